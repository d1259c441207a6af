/* UDP: addresses, corks, several datagrams at once, control messages, and what the network says (udp(7), ip(7), ipv6(7)). */
#include "case.h"
#include "inet.h"
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SIOCGSTAMP
#define SIOCGSTAMP 0x8906
#endif
#ifndef SIOCGSTAMPNS
#define SIOCGSTAMPNS 0x8907
#endif

/* A socket that is bound to a free port of the loopback, and its address. */
static int bound(int family, struct sockaddr_storage *at)
{
    int s = socket(family, SOCK_DGRAM, 0);
    struct sockaddr_in *four = (void *)at;
    struct sockaddr_in6 *six = (void *)at;
    socklen_t n = family == AF_INET ? sizeof *four : sizeof *six;
    memset(at, 0, sizeof *at);
    at->ss_family = family;
    if (family == AF_INET)
        four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        six->sin6_addr = in6addr_loopback;
    MUST(s >= 0 && bind(s, (void *)at, n) == 0 && getsockname(s, (void *)at, &n) == 0);
    return s;
}

static socklen_t size_of(const struct sockaddr_storage *at)
{
    return at->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static int port_of(const struct sockaddr_storage *at) { return ntohs(((const struct sockaddr_in *)at)->sin_port); }

/* Receives a datagram and tells which control messages came with it. */
static int receive(int fd, char *told, size_t room)
{
    static char bytes[1 << 16];
    char space[512];
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int n = recvmsg(fd, &m, 0), w = 0;
    told[0] = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c && w < (int)room - 40; c = CMSG_NXTHDR(&m, c))
        w += snprintf(told + w, room - w, "%d/%d:%zu ", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len - CMSG_LEN(0));
    return n;
}

GROUP(udp_ports)
{
    struct sockaddr_storage at, to;
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    to = at;
    ((struct sockaddr_in *)&to)->sin_port = 0;
    ERR("sendto port 0", EINVAL, sendto(c, "x", 1, 0, (void *)&to, size_of(&to)));
    OK("connect to port 0", connect(c, (void *)&to, size_of(&to)));
    socklen_t n = sizeof to;
    ERR("getpeername then", ENOTCONN, getpeername(c, (void *)&to, &n));
    EQ("send without a destination", -1, send(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0));
    ERR("send without a destination", EDESTADDRREQ, send(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0));
    ERR("bind twice", EINVAL, bind(s, (void *)&at, size_of(&at)));
    ERR("a port that somebody has", EADDRINUSE, bind(c = socket(AF_INET, SOCK_DGRAM, 0), (void *)&at, size_of(&at)));
    close(c);
    c = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in other = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("192.0.2.7")};
    ERR("an address that nobody has", EADDRNOTAVAIL, bind(c, (void *)&other, sizeof other));
    OK("IP_FREEBIND", set(c, SOL_IP, IP_FREEBIND, 1));
    OK("with that", bind(c, (void *)&other, sizeof other));
    close(c);
    int low = 40000, high = 40010;
    c = socket(AF_INET, SOCK_DGRAM, 0);
    OK("IP_LOCAL_PORT_RANGE", set(c, SOL_IP, 51, high << 16 | low));
    EQ("read back", high << 16 | low, option(c, SOL_IP, 51));
    ERR("upside down", EINVAL, set(c, SOL_IP, 51, low << 16 | high));
    other.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(bind(c, (void *)&other, sizeof other) == 0);
    n = sizeof to;
    getsockname(c, (void *)&to, &n);
    YES("a port of the range", port_of(&to) >= low && port_of(&to) <= high);
    close(c);
    close(s);
}

GROUP(udp_disconnect)
{
    struct sockaddr_storage at, name;
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    socklen_t n;
    char byte;
    for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
        const char *f = family == AF_INET ? "IPv4" : "IPv6";
        int s = bound(family, &at), c = socket(family, SOCK_DGRAM, 0);
        OK(named("%s: connect", f), connect(c, (void *)&at, size_of(&at)));
        n = sizeof name;
        OK(named("%s: getsockname", f), getsockname(c, (void *)&name, &n));
        YES(named("%s: it has a port", f), port_of(&name) != 0);
        OK(named("%s: disconnect", f), connect(c, &none, sizeof none));
        n = sizeof name;
        ERR(named("%s: getpeername", f), ENOTCONN, getpeername(c, (void *)&name, &n));
        n = sizeof name;
        getsockname(c, (void *)&name, &n);
        EQ(named("%s: no port", f), 0, port_of(&name));
        OK(named("%s: disconnect again", f), connect(c, &none, sizeof none));
        EQ(named("%s: sendto", f), 1, sendto(c, "x", 1, 0, (void *)&at, size_of(&at)));
        EQ(named("%s: recv", f), 1, recv(s, &byte, 1, 0));
        /* What bind(2) named. */
        int b = bound(family, &name), port = port_of(&name);
        close(b);
        b = socket(family, SOCK_DGRAM, 0);
        MUST(bind(b, (void *)&name, size_of(&name)) == 0 && connect(b, (void *)&at, size_of(&at)) == 0);
        OK(named("%s: disconnect of a bound socket", f), connect(b, &none, sizeof none));
        n = sizeof name;
        getsockname(b, (void *)&name, &n);
        YES(named("%s: a named port stays", f), port_of(&name) == port);
        EQ(named("%s: a datagram from elsewhere", f), 1, sendto(c, "y", 1, 0, (void *)&name, size_of(&name)));
        EQ(named("%s: arrives", f), 1, recv(b, &byte, 1, 0));
        close(b);
        close(c);
        close(s);
    }
}

GROUP(udp_cork)
{
    struct sockaddr_storage at;
    char bytes[32];
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(connect(c, (void *)&at, size_of(&at)) == 0);
    EQ("at first", 0, option(c, SOL_UDP, UDP_CORK));
    OK("UDP_CORK", set(c, SOL_UDP, UDP_CORK, 1));
    EQ("read back", 1, option(c, SOL_UDP, UDP_CORK));
    EQ("send", 3, send(c, "abc", 3, 0));
    EQ("send again", 2, send(c, "de", 2, 0));
    ERR("nothing has come", EAGAIN, recv(s, bytes, 32, MSG_DONTWAIT));
    OK("the cork is taken off", set(c, SOL_UDP, UDP_CORK, 0));
    EQ("all in one", 5, recv(s, bytes, 32, 0));
    EQ("MSG_MORE", 2, send(c, "fg", 2, MSG_MORE));
    EQ("and the last", 1, send(c, "h", 1, 0));
    EQ("together", 3, recv(s, bytes, 32, 0));
    send(c, "ij", 2, MSG_MORE);
    OK("an uncork sends", set(c, SOL_UDP, UDP_CORK, 0));
    EQ("what MSG_MORE held", 2, recv(s, bytes, 32, 0));
    OK("SOL_UDP 1 on, and closed", set(c, SOL_UDP, UDP_CORK, 1));
    send(c, "lost", 4, 0);
    close(c);
    ERR("a corked datagram is lost at close", EAGAIN, recv(s, bytes, 32, MSG_DONTWAIT));
    close(s);
}

GROUP(udp_segment)
{
    struct sockaddr_storage at;
    static char bytes[4000];
    char told[200];
    for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
        const char *f = family == AF_INET ? "IPv4" : "IPv6";
        int s = bound(family, &at), c = socket(family, SOCK_DGRAM, 0);
        MUST(connect(c, (void *)&at, size_of(&at)) == 0);
        EQ(named("%s: at first", f), 0, option(c, SOL_UDP, UDP_SEGMENT));
        ERR(named("%s: too large", f), EINVAL, set(c, SOL_UDP, UDP_SEGMENT, 65536));
        ERR(named("%s: negative", f), EINVAL, set(c, SOL_UDP, UDP_SEGMENT, -1));
        OK(named("%s: UDP_SEGMENT", f), set(c, SOL_UDP, UDP_SEGMENT, 1000));
        EQ(named("%s: read back", f), 1000, option(c, SOL_UDP, UDP_SEGMENT));
        EQ(named("%s: send", f), 2500, send(c, bytes, 2500, 0));
        for (int i = 0; i < 3; i++)
            EQ(named("%s: part %d", f, i), i < 2 ? 1000 : 500, recv(s, bytes, sizeof bytes, 0));
        ERR(named("%s: no more", f), EAGAIN, recv(s, bytes, sizeof bytes, MSG_DONTWAIT));
        EQ(named("%s: one that fits", f), 1000, send(c, bytes, 1000, 0));
        EQ(named("%s: stays whole", f), 1000, recv(s, bytes, sizeof bytes, 0));
        OK(named("%s: of one byte", f), set(c, SOL_UDP, UDP_SEGMENT, 1));
        ERR(named("%s: too many", f), EINVAL, send(c, bytes, 129, 0));
        OK(named("%s: off", f), set(c, SOL_UDP, UDP_SEGMENT, 0));
        char space[CMSG_SPACE(2)] = "";
        struct iovec v = {bytes, 300};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
        cm->cmsg_level = SOL_UDP, cm->cmsg_type = UDP_SEGMENT, cm->cmsg_len = CMSG_LEN(2);
        *(uint16_t *)CMSG_DATA(cm) = 200;
        EQ(named("%s: by a message", f), 300, sendmsg(c, &m, 0));
        EQ(named("%s: the first", f), 200, recv(s, bytes, sizeof bytes, 0));
        EQ(named("%s: the second", f), 100, recv(s, bytes, sizeof bytes, 0));
        cm->cmsg_len = CMSG_LEN(1);
        ERR(named("%s: a short message", f), EINVAL, sendmsg(c, &m, 0));
        OK(named("%s: UDP_GRO", f), set(s, SOL_UDP, UDP_GRO, 1));
        EQ(named("%s: UDP_GRO read back", f), 1, option(s, SOL_UDP, UDP_GRO));
        cm->cmsg_len = CMSG_LEN(2);
        EQ(named("%s: sent for GRO", f), 300, sendmsg(c, &m, 0));
        EQ(named("%s: comes whole", f), 300, receive(s, told, sizeof told));
        TEXT(named("%s: and says so", f), "17/104:4 ", told);
        EQ(named("%s: one alone", f), 7, send(c, bytes, 7, 0));
        EQ(named("%s: arrives", f), 7, receive(s, told, sizeof told));
        TEXT(named("%s: and says nothing", f), "", told);
        close(c);
        close(s);
    }
}

GROUP(udp_control)
{
    /* What each option tells of a datagram of IPv4, of IPv6, and of IPv4 to a socket of IPv6. */
    static const struct { const char *name; int level, option; } table[] = {
        {"IP_PKTINFO", SOL_IP, IP_PKTINFO},
        {"IP_RECVTTL", SOL_IP, IP_RECVTTL},
        {"IP_RECVTOS", SOL_IP, IP_RECVTOS},
        {"IP_RECVORIGDSTADDR", SOL_IP, IP_RECVORIGDSTADDR},
        {"IPV6_RECVPKTINFO", SOL_IPV6, IPV6_RECVPKTINFO},
        {"IPV6_RECVHOPLIMIT", SOL_IPV6, IPV6_RECVHOPLIMIT},
        {"IPV6_RECVTCLASS", SOL_IPV6, IPV6_RECVTCLASS},
        {"IPV6_RECVORIGDSTADDR", SOL_IPV6, 74},
        {"IPV6_2292PKTINFO", SOL_IPV6, 2},
        {"IPV6_2292HOPLIMIT", SOL_IPV6, 8},
        {"SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP},
        {"SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS},
        {"SO_RXQ_OVFL", SOL_SOCKET, SO_RXQ_OVFL},
    };
    char told[300];
    for (size_t i = 0; i < COUNT(table); i++)
        for (int kind = 0; kind < 3; kind++) {
            static const char *kinds[] = {"IPv4", "IPv6", "IPv4 to IPv6"};
            int family = kind == 0 ? AF_INET : AF_INET6;
            struct sockaddr_in6 at = {.sin6_family = family};
            socklen_t n = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof at;
            int s = socket(family, SOCK_DGRAM, 0);
            MUST(bind(s, (void *)&at, n) == 0 && getsockname(s, (void *)&at, &n) == 0);
            int to_family = kind == 1 ? AF_INET6 : AF_INET, c = socket(to_family, SOCK_DGRAM, 0);
            struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = at.sin6_port};
            four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            at.sin6_addr = in6addr_loopback;
            if (set(s, table[i].level, table[i].option, 1) < 0) {
                SHOW(named("%s, %s", table[i].name, kinds[kind]), "%s", error_name(errno));
            } else {
                void *to = kind == 1 ? (void *)&at : (void *)&four;
                sendto(c, "x", 1, 0, to, kind == 1 ? sizeof at : sizeof four);
                int got = receive(s, told, sizeof told);
                SHOW(named("%s, %s", table[i].name, kinds[kind]), "%d %s", got, told);
            }
            close(s);
            close(c);
        }
}

GROUP(udp_send_control)
{
    struct sockaddr_storage at;
    char space[CMSG_SPACE(64)], told[200], bytes[8];
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    set(s, SOL_IP, IP_RECVTTL, 1);
    static const struct { const char *name; int level, type, len, value, error; } table[] = {
        {"IP_TTL", SOL_IP, IP_TTL, 4, 7, 0},
        {"IP_TTL 0", SOL_IP, IP_TTL, 4, 0, EINVAL},
        {"IP_TTL 256", SOL_IP, IP_TTL, 4, 256, EINVAL},
        {"IP_TTL of a byte", SOL_IP, IP_TTL, 1, 7, EINVAL},
        {"IP_TOS", SOL_IP, IP_TOS, 4, 4, 0},
        {"IP_TOS of a byte", SOL_IP, IP_TOS, 1, 4, 0},
        {"IPV6_HOPLIMIT", SOL_IPV6, IPV6_HOPLIMIT, 4, 7, 0},
        {"another level", IPPROTO_TCP, 1, 4, 7, 0},
        {"nobody's", SOL_IP, 99, 4, 7, EINVAL},
        {"UDP's, nobody's", SOL_UDP, 99, 4, 7, EINVAL},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        memset(space, 0, sizeof space);
        struct iovec v = {bytes, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = CMSG_SPACE(table[i].len),
                           .msg_name = &at, .msg_namelen = size_of(&at)};
        struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
        cm->cmsg_level = table[i].level, cm->cmsg_type = table[i].type, cm->cmsg_len = CMSG_LEN(table[i].len);
        memcpy(CMSG_DATA(cm), &table[i].value, table[i].len);
        if (table[i].error) {
            ERR(table[i].name, table[i].error, sendmsg(c, &m, 0));
        } else {
            EQ(table[i].name, 1, sendmsg(c, &m, 0));
            receive(s, told, sizeof told);
        }
    }
    close(s);
    close(c);
}

GROUP(udp_peek)
{
    struct sockaddr_storage at;
    char bytes[16];
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(connect(c, (void *)&at, size_of(&at)) == 0);
    EQ("SO_PEEK_OFF at first", -1, option(s, SOL_SOCKET, SO_PEEK_OFF));
    send(c, "abcdef", 6, 0);
    send(c, "ghi", 3, 0);
    OK("0", set(s, SOL_SOCKET, SO_PEEK_OFF, 0));
    EQ("peek", 2, recv(s, bytes, 2, MSG_PEEK));
    EQ("moves", 2, option(s, SOL_SOCKET, SO_PEEK_OFF));
    EQ("peek on", 4, recv(s, bytes, 16, MSG_PEEK));
    EQ("from there", 'c', bytes[0]);
    EQ("peek at the next", 3, recv(s, bytes, 16, MSG_PEEK));
    EQ("which is", 'g', bytes[0]);
    EQ("read", 6, recv(s, bytes, 16, 0));
    EQ("moves back", 3, option(s, SOL_SOCKET, SO_PEEK_OFF));
    EQ("MSG_TRUNC", 3, recv(s, bytes, 1, MSG_TRUNC));
    ERR("no more", EAGAIN, recv(s, bytes, 1, MSG_DONTWAIT));
    EQ("an empty one", 0, send(c, "", 0, 0));
    EQ("is readable", POLLIN, wait_for(s, POLLIN));
    int n = -1;
    ioctl(s, FIONREAD, &n);
    EQ("FIONREAD", 0, n);
    EQ("recv", 0, recv(s, bytes, 1, 0));
    close(s);
    close(c);
}

GROUP(udp_stamp)
{
    struct sockaddr_storage at;
    char byte;
    struct timeval t;
    struct timespec ts;
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(connect(c, (void *)&at, size_of(&at)) == 0);
    ERR("SIOCGSTAMP before", ENOENT, ioctl(s, SIOCGSTAMP, &t));
    OK("SO_TIMESTAMP", set(s, SOL_SOCKET, SO_TIMESTAMP, 1));
    send(c, "x", 1, 0);
    recv(s, &byte, 1, 0);
    ERR("SIOCGSTAMP beside a message", ENOENT, ioctl(s, SIOCGSTAMP, &t));
    OK("SO_TIMESTAMP off", set(s, SOL_SOCKET, SO_TIMESTAMP, 0));
    send(c, "x", 1, 0);
    recv(s, &byte, 1, 0);
    OK("SIOCGSTAMP", ioctl(s, SIOCGSTAMP, &t));
    OK("SIOCGSTAMPNS", ioctl(s, SIOCGSTAMPNS, &ts));
    YES("the same", t.tv_sec == ts.tv_sec && t.tv_usec == ts.tv_nsec / 1000);
    YES("about now", labs(time(0) - t.tv_sec) < 5);
    OK("SO_TIMESTAMPNS", set(s, SOL_SOCKET, SO_TIMESTAMPNS, 1));
    EQ("is the one", 1, option(s, SOL_SOCKET, SO_TIMESTAMPNS));
    EQ("SO_TIMESTAMP is not", 0, option(s, SOL_SOCKET, SO_TIMESTAMP));
    close(s);
    close(c);
}

GROUP(udp_errors)
{
    struct sockaddr_storage at;
    char bytes[64], space[256];
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    close(s);
    MUST(connect(c, (void *)&at, size_of(&at)) == 0);
    EQ("send to nobody", 1, send(c, "x", 1, 0));
    EQ("events", POLLERR | POLLOUT, wait_for(c, POLLOUT));
    EQ("SO_ERROR", ECONNREFUSED, option(c, SOL_SOCKET, SO_ERROR));
    EQ("events then", POLLOUT, events_of(c, POLLOUT));
    send(c, "x", 1, 0);
    ERR("send tells it", ECONNREFUSED, send(c, "x", 1, 0));
    EQ("once", 1, send(c, "x", 1, 0));
    ERR("recv tells it", ECONNREFUSED, recv(c, bytes, 1, 0));
    OK("IP_RECVERR", set(c, SOL_IP, IP_RECVERR, 1));
    send(c, "abc", 3, 0);
    wait_for(c, 0);
    struct sockaddr_in from;
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space,
                       .msg_name = &from, .msg_namelen = sizeof from};
    EQ("MSG_ERRQUEUE", 3, recvmsg(c, &m, MSG_ERRQUEUE));
    EQ("flags", MSG_ERRQUEUE, m.msg_flags);
    YES("whom it was for", port_of(&at) == ntohs(from.sin_port));
    struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
    MUST(cm);
    struct sock_extended_err *e = (void *)CMSG_DATA(cm);
    SHOW("message", "%d %d, %u %u %u %u", cm->cmsg_level, cm->cmsg_type, e->ee_errno, e->ee_origin, e->ee_type, e->ee_code);
    ERR("no more", EAGAIN, recvmsg(c, &m, MSG_ERRQUEUE));
    static char large[65508];
    ERR("too long", EMSGSIZE, send(c, large, 65508, 0));
    m.msg_controllen = sizeof space;
    recvmsg(c, &m, MSG_ERRQUEUE);
    close(c);

    s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = INADDR_BROADCAST};
    ERR("broadcast without leave", EACCES, connect(s, (void *)&all, sizeof all) == -1 && errno == ENETUNREACH
                                               ? (errno = EACCES, -1) : sendto(s, "x", 1, 0, (void *)&all, sizeof all));
    EQ("MSG_OOB", -1, sendto(s, "x", 1, MSG_OOB, (void *)&at, size_of(&at)));
    ERR("recv of MSG_OOB", EAGAIN, recv(s, bytes, 1, MSG_OOB | MSG_DONTWAIT));
    close(s);
}

GROUP(udp_zerocopy)
{
    struct sockaddr_storage at;
    char bytes[8], space[256];
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(connect(c, (void *)&at, size_of(&at)) == 0);
    OK("SO_ZEROCOPY", set(c, SOL_SOCKET, SO_ZEROCOPY, 1));
    EQ("send", 1, send(c, "x", 1, MSG_ZEROCOPY));
    recv(s, bytes, 1, 0);
    wait_for(c, 0);
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    EQ("MSG_ERRQUEUE", 0, recvmsg(c, &m, MSG_ERRQUEUE));
    struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
    MUST(cm);
    struct sock_extended_err *e = (void *)CMSG_DATA(cm);
    SHOW("what it says", "%u %u %u, %u to %u", e->ee_errno, e->ee_origin, e->ee_code, e->ee_info, e->ee_data);
    close(s);
    close(c);
}

GROUP(udp_shutdown)
{
    struct sockaddr_storage at;
    char byte;
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    ERR("unconnected", ENOTCONN, shutdown(c, SHUT_RDWR));
    close(c);
    c = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(connect(c, (void *)&at, size_of(&at)) == 0);
    OK("for writing", shutdown(c, SHUT_WR));
    ERR("send", EPIPE, send(c, "x", 1, MSG_NOSIGNAL));
    EQ("events", POLLOUT, events_of(c, POLLIN | POLLOUT | POLLRDHUP));
    OK("for reading", shutdown(c, SHUT_RD));
    EQ("recv", 0, recv(c, &byte, 1, 0));
    ERR("recv without a wait", EAGAIN, recv(c, &byte, 1, MSG_DONTWAIT));
    EQ("events of both", POLLIN | POLLOUT | POLLHUP | POLLRDHUP, events_of(c, POLLIN | POLLOUT | POLLRDHUP));
    close(s);
    close(c);
}

GROUP(udp_dual)
{
    struct sockaddr_storage at, from;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = 0};
    socklen_t n = sizeof any;
    char byte;
    int s = socket(AF_INET6, SOCK_DGRAM, 0), c = bound(AF_INET, &at);
    MUST(bind(s, (void *)&any, n) == 0 && getsockname(s, (void *)&any, &n) == 0);
    ERR("IPV6_V6ONLY once bound", EINVAL, set(s, SOL_IPV6, IPV6_V6ONLY, 1));
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    four.sin_port = any.sin6_port;
    EQ("from IPv4", 1, sendto(c, "x", 1, 0, (void *)&four, sizeof four));
    n = sizeof from;
    EQ("arrives", 1, recvfrom(s, &byte, 1, 0, (void *)&from, &n));
    EQ("its family", AF_INET6, from.ss_family);
    EQ("its length", sizeof(struct sockaddr_in6), n);
    YES("in IPv6 dress", IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&from)->sin6_addr));
    EQ("and back", 1, sendto(s, "y", 1, 0, (void *)&from, n));
    n = sizeof from;
    EQ("arrives there", 1, recvfrom(c, &byte, 1, 0, (void *)&from, &n));
    EQ("the family there", AF_INET, from.ss_family);
    EQ("the length there", sizeof(struct sockaddr_in), n);
    EQ("an address of IPv4", 1, sendto(s, "z", 1, 0, (void *)&at, size_of(&at)));
    EQ("is taken", 1, recv(c, &byte, 1, 0));
    ERR("IPv4 takes none of IPv6", EAFNOSUPPORT, sendto(c, "x", 1, 0, (void *)&any, sizeof any));
    int only = socket(AF_INET6, SOCK_DGRAM, 0);
    OK("IPV6_V6ONLY", set(only, SOL_IPV6, IPV6_V6ONLY, 1));
    ERR("then none of IPv4", ENETUNREACH, sendto(only, "x", 1, 0, (void *)&at, size_of(&at)));
    OK("connect by IPv4", connect(s, (void *)&at, size_of(&at)));
    n = sizeof from;
    getpeername(s, (void *)&from, &n);
    EQ("the peer's family", AF_INET6, from.ss_family);
    OK("IPV6_ADDRFORM", set(s, SOL_IPV6, IPV6_ADDRFORM, AF_INET));
    n = sizeof from;
    getpeername(s, (void *)&from, &n);
    EQ("the peer's family then", AF_INET, from.ss_family);
    close(s);
    close(c);
    close(only);
}

GROUP(udp_reuse)
{
    struct sockaddr_storage at;
    char byte;
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), c = bound(AF_INET, &at);
    socklen_t n = sizeof at;
    ((struct sockaddr_in *)&at)->sin_port = 0;
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind(a, (void *)&at, size_of(&at)) == 0 && getsockname(a, (void *)&at, &n) == 0);
    ERR("only one shares", EADDRINUSE, bind(b, (void *)&at, size_of(&at)));
    set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    OK("both share", bind(b, (void *)&at, size_of(&at)));
    sendto(c, "x", 1, 0, (void *)&at, size_of(&at));
    EQ("the last one has it", 1, recv(b, &byte, 1, 0));
    ERR("the first has not", EAGAIN, recv(a, &byte, 1, MSG_DONTWAIT));
    close(b);
    set(a, SOL_SOCKET, SO_REUSEADDR, 0);
    b = socket(AF_INET, SOCK_DGRAM, 0);
    set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    ERR("the first shares no more", EADDRINUSE, bind(b, (void *)&at, size_of(&at)));
    close(a);
    close(b);
    close(c);
}

GROUP(udp_device)
{
    struct sockaddr_storage at;
    char name[IFNAMSIZ], byte;
    socklen_t n = sizeof name;
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    OK("none", getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
    EQ("no name", 0, n);
    ERR("nobody's", ENODEV, setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nobody0", 8));
    if (geteuid())
        return;
    OK("lo", setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    n = sizeof name;
    OK("read back", getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
    EQ("its length", 3, n);
    TEXT("its name", "lo", name);
    n = 4;
    ERR("too little room", EINVAL, getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
    EQ("SO_BINDTOIFINDEX", 1, option(s, SOL_SOCKET, 62));
    sendto(c, "x", 1, 0, (void *)&at, size_of(&at));
    EQ("what comes that way", 1, recv(s, &byte, 1, 0));
    int t = socket(AF_INET, SOCK_DGRAM, 0);
    OK("another interface", set(t, SOL_SOCKET, 62, 77));
    OK("has the same port", bind(t, (void *)&at, size_of(&at)));
    OK("none again", setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    EQ("no index", 0, option(s, SOL_SOCKET, 62));
    close(s);
    close(c);
    close(t);
}

GROUP(udp_filter)
{
    struct sockaddr_storage at;
    char bytes[32];
    int s = bound(AF_INET, &at), c = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(connect(c, (void *)&at, size_of(&at)) == 0);
    /* The payload is to begin with an a; of that the first two bytes are taken. Offsets count from UDP's header. */
    struct sock_filter code[] = {
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 8},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 'a'},
        {BPF_RET | BPF_K, 0, 0, 10},
        {BPF_RET | BPF_K, 0, 0, 0},
    };
    struct sock_fprog program = {COUNT(code), code};
    ERR("detach before", ENOENT, set(s, SOL_SOCKET, SO_DETACH_FILTER, 0));
    OK("SO_ATTACH_FILTER", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    send(c, "bcd", 3, 0);
    send(c, "abcd", 4, 0);
    EQ("what it lets in", 2, recv(s, bytes, sizeof bytes, 0));
    EQ("begins so", 'a', bytes[0]);
    ERR("nothing else", EAGAIN, recv(s, bytes, sizeof bytes, MSG_DONTWAIT));
    OK("SO_LOCK_FILTER", set(s, SOL_SOCKET, SO_LOCK_FILTER, 1));
    ERR("detach then", EPERM, set(s, SOL_SOCKET, SO_DETACH_FILTER, 0));
    code[0].code = 0xffff;
    ERR("a bad program", EINVAL, setsockopt(c, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    close(s);
    close(c);
    int t = socket(AF_INET, SOCK_STREAM, 0);
    code[0] = (struct sock_filter){BPF_LD | BPF_B | BPF_ABS, 0, 0, 8};
    OK("on TCP", setsockopt(t, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    OK("and off", set(t, SOL_SOCKET, SO_DETACH_FILTER, 0));
    close(t);
}

GROUP(udp_groups)
{
    struct sockaddr_in at = {.sin_family = AF_INET}, to;
    socklen_t n = sizeof at;
    char byte;
    int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(bind(s, (void *)&at, n) == 0 && getsockname(s, (void *)&at, &n) == 0);
    to = at;
    inet_pton(AF_INET, "239.1.2.3", &to.sin_addr);
    struct in_addr lo = {htonl(INADDR_LOOPBACK)};
    struct ip_mreq join = {.imr_multiaddr = to.sin_addr, .imr_interface = lo};
    struct ip_mreq_source one = {.imr_multiaddr = to.sin_addr, .imr_interface = lo, .imr_sourceaddr = lo};
    OK("IP_MULTICAST_IF", setsockopt(c, SOL_IP, IP_MULTICAST_IF, &lo, sizeof lo));
    ERR("IP_BLOCK_SOURCE before", EINVAL, setsockopt(s, SOL_IP, IP_BLOCK_SOURCE, &one, sizeof one));
    OK("IP_ADD_MEMBERSHIP", setsockopt(s, SOL_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    ERR("twice", EADDRINUSE, setsockopt(s, SOL_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    sendto(c, "x", 1, 0, (void *)&to, sizeof to);
    EQ("a datagram", 1, recv(s, &byte, 1, 0));
    OK("IP_BLOCK_SOURCE", setsockopt(s, SOL_IP, IP_BLOCK_SOURCE, &one, sizeof one));
    ERR("again", EADDRNOTAVAIL, setsockopt(s, SOL_IP, IP_BLOCK_SOURCE, &one, sizeof one));
    sendto(c, "x", 1, 0, (void *)&to, sizeof to);
    ERR("it is not heard", EAGAIN, recv(s, &byte, 1, MSG_DONTWAIT));
    ERR("the other sort of filter", EINVAL, setsockopt(s, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &one, sizeof one));
    OK("IP_UNBLOCK_SOURCE", setsockopt(s, SOL_IP, IP_UNBLOCK_SOURCE, &one, sizeof one));
    ERR("still the other sort", EINVAL, setsockopt(s, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &one, sizeof one));
    OK("IP_DROP_MEMBERSHIP", setsockopt(s, SOL_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
    OK("IP_ADD_SOURCE_MEMBERSHIP", setsockopt(s, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &one, sizeof one));
    sendto(c, "x", 1, 0, (void *)&to, sizeof to);
    EQ("it is heard", 1, recv(s, &byte, 1, 0));
    OK("IP_DROP_SOURCE_MEMBERSHIP", setsockopt(s, SOL_IP, IP_DROP_SOURCE_MEMBERSHIP, &one, sizeof one));
    ERR("takes the group along", EADDRNOTAVAIL, setsockopt(s, SOL_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
    OK("alone", setsockopt(s, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &one, sizeof one));
    OK("the whole group", setsockopt(s, SOL_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
    ERR("a short argument", EINVAL, setsockopt(s, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &one, 8));
    one.imr_multiaddr = lo;
    ERR("no group", EINVAL, setsockopt(s, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &one, sizeof one));
    close(s);
    close(c);
}

GROUP(socket_options)
{
    static const struct { const char *name; int option, usual, value, got, error; } table[] = {
        {"SO_NO_CHECK", 11, 0, 5, 1, 0},
        {"SO_RXQ_OVFL", 40, 0, 5, 1, 0},
        {"SO_PEEK_OFF", 42, -1, 9, 9, 0},
        {"SO_BUSY_POLL negative", 46, 0, -1, 0, EINVAL},
        {"SO_MAX_PACING_RATE", 47, -1, 4096, 4096, 0},
        {"SO_BPF_EXTENSIONS", 48, 64, 1, 64, ENOPROTOOPT},
        {"SO_INCOMING_CPU", 49, -1, 0, 0, 0},
        {"SO_INCOMING_NAPI_ID", 56, 0, 1, 0, ENOPROTOOPT},
        {"SO_ZEROCOPY above", 60, 0, 2, 0, EINVAL},
        {"SO_BUF_LOCK", 72, 0, 3, 3, 0},
        {"SO_BUF_LOCK above", 72, 0, 4, 0, EINVAL},
        {"SO_PASSCRED", 16, -EOPNOTSUPP, 1, -EOPNOTSUPP, EOPNOTSUPP},
        {"SO_PEERGROUPS", 59, -ENODATA, 1, -ENODATA, ENOPROTOOPT},
        {"SO_DETACH_FILTER", 27, -ENOPROTOOPT, 0, -ENOPROTOOPT, ENOENT},
        {"SO_BSDCOMPAT", 14, 0, 1, 0, 0},
        {"SO_SELECT_ERR_QUEUE", 45, 0, 1, 1, 0},
        {"SO_RCVLOWAT", SO_RCVLOWAT, 1, 0, 1, 0},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        int s = socket(AF_INET, SOCK_DGRAM, 0);
        EQ(named("%s at first", table[i].name), table[i].usual, option(s, SOL_SOCKET, table[i].option));
        if (table[i].error)
            ERR(named("%s is set", table[i].name), table[i].error, set(s, SOL_SOCKET, table[i].option, table[i].value));
        else
            OK(named("%s is set", table[i].name), set(s, SOL_SOCKET, table[i].option, table[i].value));
        EQ(named("%s then", table[i].name), table[i].got, option(s, SOL_SOCKET, table[i].option));
        close(s);
    }
    uint64_t a = 0, b = 0;
    socklen_t n = sizeof a;
    int s = socket(AF_INET, SOCK_DGRAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);
    OK("SO_COOKIE", getsockopt(s, SOL_SOCKET, 57, &a, &n));
    EQ("its length", 8, n);
    OK("another's", getsockopt(t, SOL_SOCKET, 57, &b, &n));
    YES("differs", a != b && a && b);
    n = 4;
    ERR("too little room", EINVAL, getsockopt(s, SOL_SOCKET, 57, &a, &n));
    n = 8;
    OK("SO_MAX_PACING_RATE, 8 bytes", getsockopt(s, SOL_SOCKET, 47, &a, &n));
    YES("without limit", a == UINT64_MAX);
    int peer[3];
    n = sizeof peer;
    OK("SO_PEERCRED", getsockopt(t, SOL_SOCKET, SO_PEERCRED, peer, &n));
    SHOW("nobody", "%d %d %d", peer[0], peer[1], peer[2]);
    unsigned char small[4] = {0xee, 0xee, 0xee, 0xee};
    n = 1;
    OK("IP_TTL in a byte", getsockopt(s, SOL_IP, IP_TTL, small, &n));
    SHOW("a byte", "%u %u %x", (unsigned)n, small[0], small[1]);
    n = 3;
    OK("IP_TTL in three", getsockopt(s, SOL_IP, IP_TTL, small, &n));
    SHOW("still one", "%u %u %x", (unsigned)n, small[0], small[1]);
    close(s);
    close(t);
}
