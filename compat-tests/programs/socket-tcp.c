// compat: variants=pie,musl-static timeout=90
// Streams of the Internet families over the loopback interface.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>


static void say(const char *what, long r) {
    if (r < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, r);
}

static struct sockaddr_in local(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return a;
}

static int listener(struct sockaddr_in *a, int backlog) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    *a = local(0);
    socklen_t len = sizeof *a;
    if (bind(s, (void *)a, len) || listen(s, backlog) || getsockname(s, (void *)a, &len)) {
        perror("listener");
        exit(1);
    }
    return s;
}

static void pair(int out[2]) {
    struct sockaddr_in a;
    int l = listener(&a, 5);
    out[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(out[0], (void *)&a, sizeof a))
        perror("connect");
    out[1] = accept(l, 0, 0);
    close(l);
}

static void *sender(void *arg) {
    int fd = *(int *)arg;
    char block[10007];
    size_t total = 0;
    for (int n = 0; total < 8000000; n++) {
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (char)((total + i) * 31 >> 3);
        ssize_t w = write(fd, block, sizeof block - n % 7000);
        if (w < 0)
            break;
        total += w;
    }
    shutdown(fd, SHUT_WR);
    return (void *)total;
}

static void bulk(void) {
    int p[2];
    pair(p);
    pthread_t t;
    pthread_create(&t, 0, sender, &p[0]);
    static char buffer[70000];
    size_t got = 0, wrong = 0;
    ssize_t n;
    for (int k = 1; (n = read(p[1], buffer, 1 + k * 7919 % sizeof buffer)) > 0; k++) {
        for (ssize_t i = 0; i < n; i++)
            wrong += buffer[i] != (char)((got + i) * 31 >> 3);
        got += n;
    }
    void *sent;
    pthread_join(t, &sent);
    printf("bulk: end %zd, all %d, wrong %zu\n", n, got == (size_t)sent, wrong);
    close(p[0]);
    close(p[1]);
}

static void events(const char *what, int fd) {
    struct pollfd f = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
    usleep(20000);
    poll(&f, 1, 0);
    printf("%s:%s%s%s%s%s\n", what, f.revents & POLLIN ? " in" : "", f.revents & POLLOUT ? " out" : "",
           f.revents & POLLRDHUP ? " rdhup" : "", f.revents & POLLHUP ? " hup" : "", f.revents & POLLERR ? " err" : "");
}

static void ends(void) {
    int p[2];
    char c[8];
    events("fresh", socket(AF_INET, SOCK_STREAM, 0));
    pair(p);
    events("connected", p[0]);
    say("write", write(p[0], "abc", 3));
    events("with data", p[1]);
    int waiting;
    ioctl(p[1], FIONREAD, &waiting);
    printf("waiting %d\n", waiting);
    say("peek", recv(p[1], c, 2, MSG_PEEK));
    say("trunc", recv(p[1], c, 2, MSG_TRUNC));
    say("read", read(p[1], c, 8));
    say("again", recv(p[1], c, 8, MSG_DONTWAIT));
    shutdown(p[0], SHUT_WR);
    events("peer ended", p[1]);
    say("read end", read(p[1], c, 8));
    say("write back", write(p[1], "xy", 2));
    usleep(10000);
    say("read back", read(p[0], c, 8));
    say("write after shutdown", send(p[0], "z", 1, MSG_NOSIGNAL));
    close(p[1]);
    events("both ended", p[0]);
    close(p[0]);

    pair(p);
    struct linger hard = {1, 0};
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(p[0]);
    events("reset", p[1]);
    say("read reset", read(p[1], c, 8));
    say("read after reset", read(p[1], c, 8));
    say("write after reset", send(p[1], "z", 1, MSG_NOSIGNAL));
    close(p[1]);

    pair(p);
    write(p[0], "unread", 6);
    usleep(10000);
    close(p[1]);
    usleep(10000);
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(p[0], SOL_SOCKET, SO_ERROR, &error, &len);
    printf("closed with unread data: %s\n", strerror(error));
    close(p[0]);

    pair(p);
    close(p[1]);
    usleep(10000);
    say("first write to closed", send(p[0], "a", 1, MSG_NOSIGNAL));
    usleep(10000);
    say("second write to closed", send(p[0], "a", 1, MSG_NOSIGNAL));
    close(p[0]);
}

static void connecting(void) {
    struct sockaddr_in a;
    int l = listener(&a, 1);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int r = connect(s, (void *)&a, sizeof a);
    say("nonblocking connect", r);
    events("connecting", s);
    int error = -1;
    socklen_t len = sizeof error;
    getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len);
    printf("SO_ERROR %d\n", error);
    say("connect again", connect(s, (void *)&a, sizeof a));
    say("and again", connect(s, (void *)&a, sizeof a));
    struct sockaddr_in peer;
    len = sizeof peer;
    getpeername(s, (void *)&peer, &len);
    printf("peer is the listener: %d\n", peer.sin_port == a.sin_port && peer.sin_addr.s_addr == a.sin_addr.s_addr);
    int c = accept4(l, (void *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    printf("accepted: %s %d nonblock %d cloexec %d\n", inet_ntoa(peer.sin_addr), len, !!(fcntl(c, F_GETFL) & O_NONBLOCK),
           fcntl(c, F_GETFD));
    fcntl(l, F_SETFL, O_NONBLOCK);
    say("accept", accept(l, 0, 0));
    close(l);
    int t = socket(AF_INET, SOCK_STREAM, 0);
    say("refused", connect(t, (void *)&a, sizeof a));
    events("after refusal", t);
    int u = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    r = connect(u, (void *)&a, sizeof a);
    printf("refused later: %d\n", r < 0);
    struct pollfd f = {.fd = u, .events = POLLOUT};
    poll(&f, 1, 1000);
    printf("err %d hup %d\n", !!(f.revents & POLLERR), !!(f.revents & POLLHUP));
    getsockopt(u, SOL_SOCKET, SO_ERROR, &error, &len);
    printf("SO_ERROR %s\n", strerror(error));
    say("read unconnected", read(socket(AF_INET, SOCK_STREAM, 0), &r, 1));
    say("send unconnected", send(socket(AF_INET, SOCK_STREAM, 0), &r, 1, MSG_NOSIGNAL));
    say("accept unlistening", accept(t, 0, 0));
    struct sockaddr_in six = a;
    six.sin_family = AF_INET6;
    say("wrong family", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&six, sizeof six));
    say("short address", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, 8));
}

static void binding(void) {
    struct sockaddr_in a, b;
    int l = listener(&a, 5);
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    say("bind taken", bind(s, (void *)&a, sizeof a));
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    say("bind taken, reuse", bind(s, (void *)&a, sizeof a));
    b = local(0);
    b.sin_addr.s_addr = htonl(0x01020304);
    say("bind elsewhere", bind(s, (void *)&b, sizeof b));
    b = local(0);
    say("bind any port", bind(s, (void *)&b, sizeof b));
    say("bind twice", bind(s, (void *)&b, sizeof b));
    close(l);
    int x[2];
    for (int i = 0; i < 2; i++) {
        x[i] = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(x[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        socklen_t len = sizeof b;
        if (i == 0)
            b = local(0);
        say("reuseport bind", bind(x[i], (void *)&b, sizeof b));
        say("reuseport listen", listen(x[i], 9));
        getsockname(x[0], (void *)&b, &len);
    }
    int mine[2] = {0, 0};
    for (int i = 0; i < 40; i++) {
        int c = socket(AF_INET, SOCK_STREAM, 0);
        connect(c, (void *)&b, sizeof b);
        struct pollfd f[2] = {{.fd = x[0], .events = POLLIN}, {.fd = x[1], .events = POLLIN}};
        poll(f, 2, 1000);
        int which = f[0].revents ? 0 : 1;
        close(accept(x[which], 0, 0));
        mine[which]++;
        close(c);
    }
    printf("both got some: %d\n", mine[0] > 0 && mine[1] > 0 && mine[0] + mine[1] == 40);
    say("listen on connected", listen(socket(AF_UNIX, SOCK_DGRAM, 0), 1));
}

static void six(void) {
    int l = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    socklen_t len = sizeof a;
    say("bind6", bind(l, (void *)&a, len));
    listen(l, 5);
    getsockname(l, (void *)&a, &len);
    char text[64];
    for (int v = 4; v <= 6; v += 2) {
        int c = socket(v == 4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
        struct sockaddr_in a4 = local(ntohs(a.sin6_port));
        struct sockaddr_in6 a6 = a, peer;
        a6.sin6_addr = in6addr_loopback;
        say("connect", v == 4 ? connect(c, (void *)&a4, sizeof a4) : connect(c, (void *)&a6, sizeof a6));
        len = sizeof peer;
        int s = accept(l, (void *)&peer, &len);
        printf("from %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
        len = sizeof peer;
        getsockname(s, (void *)&peer, &len);
        printf("to %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
        write(c, "six", 3);
        printf("%zd\n", read(s, text, 9));
        close(c);
        close(s);
    }
}

static void edges(void) {
    int p[2], e = epoll_create1(0);
    pair(p);
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, got;
    epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev);
    int n = epoll_wait(e, &got, 1, 1000);
    printf("edge: %d %x\n", n, n > 0 ? got.events : 0);
    printf("none: %d\n", epoll_wait(e, &got, 1, 50));
    write(p[0], "a", 1);
    n = epoll_wait(e, &got, 1, 1000);
    printf("data: %d %x\n", n, n > 0 ? got.events : 0);
    printf("none: %d\n", epoll_wait(e, &got, 1, 50));
    write(p[0], "b", 1);
    n = epoll_wait(e, &got, 1, 1000);
    printf("more: %d %x\n", n, n > 0 ? got.events : 0);
    shutdown(p[0], SHUT_WR);
    n = epoll_wait(e, &got, 1, 1000);
    printf("end: %d %x\n", n, n > 0 ? got.events : 0);
    char block[65536] = {0};
    long total = 0;
    ssize_t w;
    while ((w = write(p[1], block, sizeof block)) > 0)
        total += w;
    printf("full: %s, much %d\n", strerror(errno), total > 100000);
    printf("none: %d\n", epoll_wait(e, &got, 1, 50));
    long drained = 0;
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    while (drained < total) {
        w = read(p[0], block, sizeof block);
        if (w > 0)
            drained += w;
        else
            usleep(1000);
    }
    n = epoll_wait(e, &got, 1, 1000);
    printf("room: %d %x\n", n, n > 0 ? got.events : 0);
    close(p[0]);
    close(p[1]);
}

static void messages(void) {
    int p[2];
    pair(p);
    char a[4], b[8];
    struct iovec out[2] = {{"head", 4}, {"tail!", 5}}, in[2] = {{a, 4}, {b, 8}};
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};
    say("sendmsg", sendmsg(p[0], &m, 0));
    m.msg_iov = in;
    usleep(10000);
    say("recvmsg", recvmsg(p[1], &m, 0));
    printf("%.4s %.5s flags %x\n", a, b, m.msg_flags);
    send(p[0], "ab", 2, MSG_MORE);
    usleep(20000);
    say("corked", recv(p[1], b, 8, MSG_DONTWAIT));
    send(p[0], "cd", 2, 0);
    say("uncorked", recv(p[1], b, 4, MSG_WAITALL));
    struct timeval t = {0, 30000};
    setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    say("timeout", read(p[1], b, 1));
    int file = open("/proc/self/exe", O_RDONLY);
    off_t at = 1;
    say("sendfile", sendfile(p[0], file, &at, 3));
    printf("offset %ld\n", (long)at);
    say("elf", recv(p[1], b, 3, MSG_WAITALL));
    printf("%.3s\n", b);
    say("oob", recv(p[1], b, 1, MSG_OOB));
    say("errqueue", recv(p[1], b, 1, MSG_ERRQUEUE));
    say("shutdown twice", shutdown(p[0], SHUT_RDWR));
    usleep(10000);
    say("read after own shutdown", read(p[0], b, 1));
    signal(SIGPIPE, SIG_IGN);
    say("sigpipe ignored", write(p[0], b, 1));
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    bulk();
    ends();
    connecting();
    binding();
    six();
    edges();
    messages();
    return 0;
}
