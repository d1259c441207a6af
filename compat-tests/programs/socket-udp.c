// compat: variants=pie,musl-static
// Datagrams of the Internet families over the loopback interface.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *what, long r) {
    if (r < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, r);
}

static struct sockaddr_in bound(int s) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    bind(s, (void *)&a, len);
    getsockname(s, (void *)&a, &len);
    return a;
}

int main(void) {
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = bound(a), from;
    socklen_t len = sizeof from;
    char text[70000];
    say("no destination", send(b, "x", 1, 0));
    say("sendto", sendto(b, "hello", 5, 0, (void *)&to, sizeof to));
    say("recvfrom", recvfrom(a, text, 3, MSG_TRUNC, (void *)&from, &len));
    printf("from %s, port %d, length %d\n", inet_ntoa(from.sin_addr), from.sin_port != 0, len);
    say("empty", sendto(b, "", 0, 0, (void *)&to, sizeof to));
    int waiting = 9;
    ioctl(a, FIONREAD, &waiting);
    printf("waiting %d\n", waiting);
    say("recv empty", recv(a, text, 3, 0));
    say("again", recv(a, text, 3, MSG_DONTWAIT));
    say("large", sendto(b, text, 65507, 0, (void *)&to, sizeof to));
    say("recv large", recv(a, text, sizeof text, 0));
    say("too large", sendto(b, text, 65508, 0, (void *)&to, sizeof to));
    say("connect", connect(b, (void *)&to, sizeof to));
    len = sizeof from;
    getsockname(b, (void *)&from, &len);
    printf("source %s\n", inet_ntoa(from.sin_addr));
    say("send", send(b, "one", 3, 0));
    say("send more", send(b, "tw", 2, MSG_MORE));
    say("send rest", send(b, "o", 1, 0));
    struct iovec v[2] = {{text, 10}, {text + 10, 10}};
    struct mmsghdr m[3] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
    int one = 1;
    setsockopt(a, SOL_IP, IP_PKTINFO, &one, sizeof one);
    char control[2][64];
    for (int i = 0; i < 2; i++) {
        m[i].msg_hdr.msg_control = control[i];
        m[i].msg_hdr.msg_controllen = sizeof control[i];
    }
    say("recvmmsg", recvmmsg(a, m, 2, 0, 0));
    printf("%u %u %.3s %.3s\n", m[0].msg_len, m[1].msg_len, text, text + 10);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m[0].msg_hdr);
    if (c) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        printf("level %d type %d to %s\n", c->cmsg_level, c->cmsg_type, inet_ntoa(info.ipi_addr));
    }
    struct sockaddr_in other = bound(socket(AF_INET, SOCK_DGRAM, 0));
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    bound(s);
    say("connected elsewhere", sendto(b, "z", 1, 0, (void *)&other, sizeof other));
    close(a);
    say("send to nobody", send(b, "x", 1, 0));
    usleep(20000);
    struct pollfd f = {.fd = b, .events = POLLIN};
    printf("poll %d\n", poll(&f, 1, 1000));
    printf("err %d\n", !!(f.revents & POLLERR));
    say("refused", recv(b, text, 3, MSG_DONTWAIT));
    say("refused once", recv(b, text, 3, MSG_DONTWAIT));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    say("disconnect", connect(b, &none, sizeof none));
    say("no peer", getpeername(b, (void *)&from, &len));
    say("shutdown unconnected", shutdown(b, SHUT_RD));
    struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_BROADCAST)};
    int w = socket(AF_INET, SOCK_DGRAM, 0);
    long r = sendto(w, "x", 1, 0, (void *)&all, sizeof all);
    printf("broadcast refused: %d\n", r < 0 && (errno == EACCES || errno == ENETUNREACH));

    int six = socket(AF_INET6, SOCK_DGRAM, 0), four = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any}, peer;
    say("bind6", bind(six, (void *)&any, sizeof any));
    len = sizeof any;
    getsockname(six, (void *)&any, &len);
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = any.sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    say("4 to 6", sendto(four, "4", 1, 0, (void *)&to, sizeof to));
    len = sizeof peer;
    say("recv", recvfrom(six, text, 9, 0, (void *)&peer, &len));
    printf("from %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, 100));
    say("reply", sendto(six, "re", 2, 0, (void *)&peer, len));
    say("recv", recv(four, text, 9, 0));
    any.sin6_addr = in6addr_loopback;
    say("6 to 6", sendto(six, "me", 2, 0, (void *)&any, sizeof any));
    len = sizeof peer;
    say("recv", recvfrom(six, text, 9, 0, (void *)&peer, &len));
    printf("from %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, 100));
    return 0;
}
