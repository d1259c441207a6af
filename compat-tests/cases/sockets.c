/* Sockets: socket, socketpair, bind, listen, accept, accept4, connect, shutdown, names, options, and sending and receiving. */
#include "case.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

static struct sockaddr_in local(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return a;
}
#define ADDR(a) (struct sockaddr *)&(a), sizeof(a)
static struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    MUST(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    return a;
}
/* A listener on the loopback interface, and where it is. */
static int listener(struct sockaddr_in *where)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = local(0);
    MUST(fd >= 0 && bind(fd, ADDR(a)) == 0 && listen(fd, 8) == 0);
    *where = name_of(fd);
    return fd;
}
static void tcp_pair(int pair[2])
{
    struct sockaddr_in a;
    int l = listener(&a);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(pair[0], ADDR(a)) == 0 && (pair[1] = accept(l, 0, 0)) >= 0);
    close(l);
}
static int udp(struct sockaddr_in *where)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = local(0);
    MUST(fd >= 0 && bind(fd, ADDR(a)) == 0);
    *where = name_of(fd);
    return fd;
}
static struct sockaddr_un un(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, path);
    return a;
}

GROUP(socket)
{
    struct { const char *name; int domain, type, protocol, error; } table[] = {
        {"AF_UNIX stream", AF_UNIX, SOCK_STREAM, 0, 0}, {"AF_UNIX datagram", AF_UNIX, SOCK_DGRAM, 0, 0}, {"AF_UNIX seqpacket", AF_UNIX, SOCK_SEQPACKET, 0, 0},
        {"AF_UNIX raw", AF_UNIX, SOCK_RAW, 0, 0}, {"AF_UNIX rdm", AF_UNIX, SOCK_RDM, 0, ESOCKTNOSUPPORT}, {"AF_UNIX protocol 1", AF_UNIX, SOCK_STREAM, 1, 0},
        {"AF_UNIX protocol 7", AF_UNIX, SOCK_STREAM, 7, EPROTONOSUPPORT}, {"AF_INET stream", AF_INET, SOCK_STREAM, 0, 0}, {"AF_INET TCP", AF_INET, SOCK_STREAM, IPPROTO_TCP, 0},
        {"AF_INET datagram", AF_INET, SOCK_DGRAM, 0, 0}, {"AF_INET UDP", AF_INET, SOCK_DGRAM, IPPROTO_UDP, 0}, {"AF_INET TCP as datagram", AF_INET, SOCK_DGRAM, IPPROTO_TCP, EPROTONOSUPPORT},
        {"AF_INET UDP as stream", AF_INET, SOCK_STREAM, IPPROTO_UDP, EPROTONOSUPPORT}, {"AF_INET seqpacket", AF_INET, SOCK_SEQPACKET, 0, ESOCKTNOSUPPORT},
        {"AF_INET raw without protocol", AF_INET, SOCK_RAW, 0, EPROTONOSUPPORT}, {"AF_INET protocol -1", AF_INET, SOCK_STREAM, -1, EINVAL}, {"AF_INET protocol 200", AF_INET, SOCK_STREAM, 200, EPROTONOSUPPORT},
        {"AF_INET6 stream", AF_INET6, SOCK_STREAM, 0, 0}, {"AF_INET6 datagram", AF_INET6, SOCK_DGRAM, 0, 0}, {"AF_NETLINK route", AF_NETLINK, SOCK_RAW, 0, 0},
        {"AF_NETLINK stream", AF_NETLINK, SOCK_STREAM, 0, ESOCKTNOSUPPORT}, {"AF_NETLINK protocol 99", AF_NETLINK, SOCK_RAW, 99, EPROTONOSUPPORT},
        {"domain 99", 99, SOCK_STREAM, 0, EAFNOSUPPORT}, {"domain -1", -1, SOCK_STREAM, 0, EAFNOSUPPORT}, {"AF_UNSPEC", 0, SOCK_STREAM, 0, EAFNOSUPPORT},
        {"type 0", AF_INET, 0, 0, ESOCKTNOSUPPORT}, {"type 99", AF_INET, 99, 0, EINVAL}, {"unknown flags", AF_INET, SOCK_STREAM | 0x10000, 0, EINVAL},
    };
    for (unsigned i = 0; i < COUNT(table); i++) {
        errno = 0;
        int fd = socket(table[i].domain, table[i].type, table[i].protocol);
        if (table[i].error)
            fails(table[i].name, table[i].error, fd, errno);
        else
            YES(table[i].name, fd >= 0);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EQ("SOCK_CLOEXEC", FD_CLOEXEC, fcntl(fd, F_GETFD));
    EQ("SOCK_NONBLOCK", O_NONBLOCK | O_RDWR, fcntl(fd, F_GETFL));
}

GROUP(socketpair)
{
    int s[2];
    int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (unsigned i = 0; i < COUNT(types); i++) {
        char text[8];
        OK(named("type %d", types[i]), socketpair(AF_UNIX, types[i] | SOCK_NONBLOCK, 0, s));
        MUST(write(s[0], "abc", 3) == 3 && write(s[0], "de", 2) == 2);
        SHOW(named("type %d, boundaries", types[i]), "%ld", (long)read(s[1], text, 8));
        close(s[0]);
        SHOW(named("type %d, what is left", types[i]), "%ld", (long)read(s[1], text, 8));
        errno = 0;
        long n = read(s[1], text, 8);
        SHOW(named("type %d, the end", types[i]), "%ld %s", n, n < 0 ? error_name(errno) : "");
    }
    ERR("AF_INET", EOPNOTSUPP, socketpair(AF_INET, SOCK_STREAM, 0, s));
    ERR("domain 99", EAFNOSUPPORT, socketpair(99, SOCK_STREAM, 0, s));
    ERR("into nowhere", EFAULT, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD));
    ERR("unknown flags", EINVAL, socketpair(AF_UNIX, SOCK_STREAM | 0x10000, 0, s));
}

GROUP(bind)
{
    struct sockaddr_in a = local(0), foreign = local(0), v6ish = local(0);
    foreign.sin_addr.s_addr = inet_addr("192.0.2.1");
    v6ish.sin_family = AF_INET6;
    int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0), file = file_with("a", "");
    OK("any port", bind(fd, ADDR(a)));
    a = name_of(fd);
    YES("has one then", a.sin_port != 0);
    ERR("again", EINVAL, bind(fd, ADDR(a)));
    ERR("a port that is taken", EADDRINUSE, bind(other, ADDR(a)));
    ERR("an address that is not ours", EADDRNOTAVAIL, bind(other, ADDR(foreign)));
    ERR("another family", EAFNOSUPPORT, bind(other, ADDR(v6ish)));
    ERR("too short an address", EINVAL, bind(other, (struct sockaddr *)&a, 8));
    ERR("a negative length", EINVAL, bind(other, (struct sockaddr *)&a, -1));
    ERR("too long an address", EINVAL, bind(other, (struct sockaddr *)&a, 200));
    ERR("nowhere", EFAULT, syscall(SYS_bind, other, BAD, 16));
    ERR("a file", ENOTSOCK, bind(file, ADDR(a)));
    ERR("no descriptor", EBADF, bind(NOFD, ADDR(a)));
    AS_NOBODY({
        struct sockaddr_in low = local(81);
        int mine = socket(AF_INET, SOCK_STREAM, 0);
        ERR("a low port, as a user", EACCES, bind(mine, ADDR(low)));
    });
    struct sockaddr_un name = un("sock"), below = un("gone/sock"), abstract = un("");
    int u = socket(AF_UNIX, SOCK_STREAM, 0), u2 = socket(AF_UNIX, SOCK_STREAM, 0);
    OK("AF_UNIX", bind(u, ADDR(name)));
    struct stat st;
    MUST(stat("sock", &st) == 0);
    EQ("makes a socket", S_IFSOCK, st.st_mode & S_IFMT);
    ERR("AF_UNIX, taken", EADDRINUSE, bind(u2, ADDR(name)));
    struct sockaddr_un second = un("second");
    ERR("AF_UNIX, again", EINVAL, bind(u, ADDR(second)));
    ERR("AF_UNIX, nowhere", ENOENT, bind(u2, ADDR(below)));
    memcpy(abstract.sun_path, "\0skiff-case", 11);
    OK("AF_UNIX, abstract", bind(u2, (struct sockaddr *)&abstract, 2 + 11));
    int u3 = socket(AF_UNIX, SOCK_STREAM, 0), u4 = socket(AF_UNIX, SOCK_STREAM, 0);
    ERR("AF_UNIX, abstract, taken", EADDRINUSE, bind(u3, (struct sockaddr *)&abstract, 2 + 11));
    OK("AF_UNIX, autobind", bind(u4, (struct sockaddr *)&abstract, 2));
    struct sockaddr_un got;
    socklen_t len = sizeof got;
    MUST(getsockname(u4, (struct sockaddr *)&got, &len) == 0);
    SHOW("has an abstract name of five digits", "%d %d", len, got.sun_path[0]);
    MUST(mkdir("fixed", 0755) == 0);
    AS_NOBODY({
        struct sockaddr_un no = un("fixed/sock");
        int mine = socket(AF_UNIX, SOCK_STREAM, 0);
        ERR("AF_UNIX, no permission to write", EACCES, bind(mine, ADDR(no)));
    });
    int on = 1;
    int r1 = socket(AF_INET, SOCK_DGRAM, 0), r2 = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(r1, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(r2, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    a = local(0);
    MUST(bind(r1, ADDR(a)) == 0);
    a = name_of(r1);
    OK("SO_REUSEPORT of both", bind(r2, ADDR(a)));
}

GROUP(listen)
{
    struct sockaddr_in a = local(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_DGRAM, 0), file = file_with("a", ""), pair[2];
    OK("without a name, any port", listen(fd, 1));
    YES("has a port", name_of(fd).sin_port != 0);
    OK("again", listen(fd, 100));
    OK("a negative backlog", listen(fd, -1));
    ERR("a datagram socket", EOPNOTSUPP, listen(d, 1));
    ERR("a file", ENOTSOCK, listen(file, 1));
    ERR("no descriptor", EBADF, listen(NOFD, 1));
    tcp_pair(pair);
    ERR("a connected one", EINVAL, listen(pair[0], 1));
    int u = socket(AF_UNIX, SOCK_STREAM, 0);
    ERR("AF_UNIX without a name", EINVAL, listen(u, 1));
    (void)a;
}

GROUP(accept4)
{
    struct sockaddr_in a, peer;
    socklen_t len = sizeof peer;
    int l = listener(&a), file = file_with("a", ""), d = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), fresh = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(l, F_SETFL, O_NONBLOCK);
    ERR("nobody there", EAGAIN, accept4(l, 0, 0, 0));
    ERR("not listening", EINVAL, accept4(fresh, 0, 0, 0));
    ERR("a datagram socket", EOPNOTSUPP, accept4(d, 0, 0, 0));
    ERR("a file", ENOTSOCK, accept4(file, 0, 0, 0));
    ERR("no descriptor", EBADF, accept4(NOFD, 0, 0, 0));
    ERR("unknown flags", EINVAL, accept4(l, 0, 0, 1));
    MUST(connect(c, ADDR(a)) == 0);
    int fd = accept4(l, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
    YES("somebody", fd >= 0);
    YES("tells who", len == 16 && peer.sin_port == name_of(c).sin_port);
    EQ("SOCK_CLOEXEC", FD_CLOEXEC, fcntl(fd, F_GETFD));
    EQ("O_NONBLOCK is not inherited", 0, fcntl(fd, F_GETFL) & O_NONBLOCK);
    int c2 = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(c2, ADDR(a)) == 0);
    len = 4;
    fd = accept4(l, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);
    EQ("too little room tells how much", 16, len);
    EQ("SOCK_NONBLOCK", O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
    int c3 = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(c3, ADDR(a)) == 0);
    len = -1;
    ERR("a negative length", EINVAL, accept4(l, (struct sockaddr *)&peer, &len, 0));
}
GROUP(accept)
{
    struct sockaddr_in a;
    int l = listener(&a), c = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(c, ADDR(a)) == 0);
    int fd = syscall(SYS_accept, l, NULL, NULL);
    YES("somebody", fd >= 0);
    ERR("not listening", EINVAL, syscall(SYS_accept, fd, NULL, NULL));
    ERR("no descriptor", EBADF, syscall(SYS_accept, NOFD, NULL, NULL));
}

GROUP(connect)
{
    struct sockaddr_in a, nobody = local(1), odd = local(1), unspec = {.sin_family = AF_UNSPEC};
    int l = listener(&a), c = socket(AF_INET, SOCK_STREAM, 0), file = file_with("a", "");
    odd.sin_family = 99;
    ERR("nobody there", ECONNREFUSED, connect(c, ADDR(nobody)));
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    ERR("another family", EAFNOSUPPORT, connect(c, ADDR(odd)));
    ERR("too short an address", EINVAL, connect(c, (struct sockaddr *)&a, 8));
    ERR("nowhere", EFAULT, syscall(SYS_connect, c, BAD, 16));
    ERR("a file", ENOTSOCK, connect(file, ADDR(a)));
    ERR("no descriptor", EBADF, connect(NOFD, ADDR(a)));
    OK("somebody", connect(c, ADDR(a)));
    ERR("again", EISCONN, connect(c, ADDR(a)));
    ERR("a listener", EISCONN, connect(l, ADDR(a)));
    int n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    errno = 0;
    int r = connect(n, ADDR(a));
    YES("non-blocking", r == 0 || errno == EINPROGRESS);
    struct pollfd f = {n, POLLOUT, 0};
    EQ("is done later", 1, poll(&f, 1, 1000));
    int error = -1;
    socklen_t len = sizeof error;
    OK("SO_ERROR", getsockopt(n, SOL_SOCKET, SO_ERROR, &error, &len));
    EQ("is none", 0, error);
    struct sockaddr_in ua;
    int u = udp(&ua), sender = socket(AF_INET, SOCK_DGRAM, 0);
    OK("a datagram socket", connect(sender, ADDR(ua)));
    EQ("sends without an address", 2, send(sender, "ab", 2, 0));
    OK("AF_UNSPEC takes it back", connect(sender, ADDR(unspec)));
    ERR("then it needs one", EDESTADDRREQ, send(sender, "ab", 2, 0));
    close(u);
    MUST(connect(sender, ADDR(ua)) == 0 && send(sender, "x", 1, 0) == 1);
    pause_ms(30);
    ERR("a datagram to nobody, told later", ECONNREFUSED, send(sender, "x", 1, 0));
    struct sockaddr_un gone = un("gone"), plain = un("a"), here = un("here");
    int x = socket(AF_UNIX, SOCK_STREAM, 0), xl = socket(AF_UNIX, SOCK_STREAM, 0);
    ERR("AF_UNIX, not there", ENOENT, connect(x, ADDR(gone)));
    ERR("AF_UNIX, a file", ECONNREFUSED, connect(x, ADDR(plain)));
    MUST(bind(xl, ADDR(here)) == 0);
    ERR("AF_UNIX, not listening", ECONNREFUSED, connect(x, ADDR(here)));
    MUST(listen(xl, 1) == 0);
    OK("AF_UNIX", connect(x, ADDR(here)));
    int dg = socket(AF_UNIX, SOCK_DGRAM, 0);
    ERR("AF_UNIX, another type", EPROTOTYPE, connect(dg, ADDR(here)));
}

GROUP(shutdown)
{
    int pair[2], file = file_with("a", ""), fresh = socket(AF_INET, SOCK_STREAM, 0);
    char c;
    tcp_pair(pair);
    signal(SIGPIPE, SIG_IGN);
    ERR("not connected", ENOTCONN, shutdown(fresh, SHUT_WR));
    ERR("an unknown way", EINVAL, shutdown(pair[0], 9));
    ERR("a file", ENOTSOCK, shutdown(file, SHUT_WR));
    ERR("no descriptor", EBADF, shutdown(NOFD, SHUT_WR));
    OK("SHUT_WR", shutdown(pair[0], SHUT_WR));
    ERR("no writing then", EPIPE, write(pair[0], "x", 1));
    EQ("the peer reads the end", 0, read(pair[1], &c, 1));
    EQ("and may still write", 1, write(pair[1], "x", 1));
    EQ("which arrives", 1, read(pair[0], &c, 1));
    OK("SHUT_RD", shutdown(pair[0], SHUT_RD));
    EQ("reading gives the end", 0, read(pair[0], &c, 1));
    int s[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    OK("AF_UNIX, SHUT_RDWR", shutdown(s[0], SHUT_RDWR));
    EQ("the peer reads the end too", 0, read(s[1], &c, 1));
    ERR("and cannot write", EPIPE, write(s[1], "x", 1));
}

GROUP(getsockname)
{
    struct sockaddr_in a = local(0), got;
    socklen_t len = sizeof got;
    int fd = socket(AF_INET, SOCK_STREAM, 0), file = file_with("a", "");
    OK("no name yet", getsockname(fd, (struct sockaddr *)&got, &len));
    YES("all zeroes", got.sin_port == 0 && got.sin_addr.s_addr == 0 && got.sin_family == AF_INET && len == 16);
    MUST(bind(fd, ADDR(a)) == 0);
    OK("a name", getsockname(fd, (struct sockaddr *)&got, &len));
    YES("is the loopback's", ntohl(got.sin_addr.s_addr) == INADDR_LOOPBACK);
    len = 2;
    OK("too little room", getsockname(fd, (struct sockaddr *)&got, &len));
    EQ("tells how much", 16, len);
    len = -1;
    ERR("a negative length", EINVAL, getsockname(fd, (struct sockaddr *)&got, &len));
    len = 16;
    ERR("into nowhere", EFAULT, syscall(SYS_getsockname, fd, BAD, &len));
    ERR("a length nowhere", EFAULT, syscall(SYS_getsockname, fd, &got, BAD));
    ERR("a file", ENOTSOCK, getsockname(file, (struct sockaddr *)&got, &len));
    ERR("no descriptor", EBADF, getsockname(NOFD, (struct sockaddr *)&got, &len));
    int s[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    len = sizeof got;
    OK("AF_UNIX without a name", getsockname(s[0], (struct sockaddr *)&got, &len));
    EQ("is two bytes", 2, len);
}
GROUP(getpeername)
{
    int pair[2], file = file_with("a", ""), fresh = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in got;
    socklen_t len = sizeof got;
    tcp_pair(pair);
    OK("a peer", getpeername(pair[0], (struct sockaddr *)&got, &len));
    YES("is the other's own name", got.sin_port == name_of(pair[1]).sin_port);
    ERR("none", ENOTCONN, getpeername(fresh, (struct sockaddr *)&got, &len));
    ERR("a file", ENOTSOCK, getpeername(file, (struct sockaddr *)&got, &len));
    ERR("no descriptor", EBADF, getpeername(NOFD, (struct sockaddr *)&got, &len));
    ERR("into nowhere", EFAULT, syscall(SYS_getpeername, pair[0], BAD, &len));
}

GROUP(setsockopt)
{
    int t = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0), x = socket(AF_UNIX, SOCK_STREAM, 0), file = file_with("a", "");
    struct { const char *name; int level, option, value; } ints[] = {
        {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1}, {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1}, {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1}, {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1},
        {"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 3}, {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 5}, {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1}, {"TCP_CORK", IPPROTO_TCP, TCP_CORK, 1},
        {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 30}, {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 5}, {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 4}, {"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 3},
        {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 1000}, {"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1}, {"IP_TTL", IPPROTO_IP, IP_TTL, 33}, {"IP_TOS", IPPROTO_IP, IP_TOS, 16},
    };
    for (unsigned i = 0; i < COUNT(ints); i++) {
        int got = -1;
        socklen_t len = sizeof got;
        OK(ints[i].name, setsockopt(t, ints[i].level, ints[i].option, &ints[i].value, 4));
        OK(named("%s, asking", ints[i].name), getsockopt(t, ints[i].level, ints[i].option, &got, &len));
        EQ(named("%s, is kept", ints[i].name), ints[i].value, got);
    }
    int value = 4096, got;
    socklen_t len = sizeof got;
    OK("SO_RCVBUF", setsockopt(t, SOL_SOCKET, SO_RCVBUF, &value, 4));
    OK("SO_SNDBUF", setsockopt(t, SOL_SOCKET, SO_SNDBUF, &value, 4));
    MUST(getsockopt(t, SOL_SOCKET, SO_RCVBUF, &got, &len) == 0);
    EQ("is doubled", 8192, got);
    struct linger linger = {1, 5}, lingers;
    OK("SO_LINGER", setsockopt(t, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    len = sizeof lingers;
    MUST(getsockopt(t, SOL_SOCKET, SO_LINGER, &lingers, &len) == 0);
    SHOW("is kept", "%d %d", lingers.l_onoff, lingers.l_linger);
    struct timeval time = {1, 500000};
    OK("SO_RCVTIMEO", setsockopt(t, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    time.tv_usec = 1000000;
    ERR("too many microseconds", EDOM, setsockopt(t, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    OK("SO_BROADCAST", setsockopt(u, SOL_SOCKET, SO_BROADCAST, &value, 4));
    OK("SO_PASSCRED", setsockopt(x, SOL_SOCKET, SO_PASSCRED, &value, 4));
    ERR("too short a value", EINVAL, setsockopt(t, SOL_SOCKET, SO_KEEPALIVE, &value, 2));
    ERR("SO_LINGER of an int", EINVAL, setsockopt(t, SOL_SOCKET, SO_LINGER, &value, 4));
    ERR("an unknown option", ENOPROTOOPT, setsockopt(t, SOL_SOCKET, 9999, &value, 4));
    ERR("an unknown TCP option", ENOPROTOOPT, setsockopt(t, IPPROTO_TCP, 9999, &value, 4));
    ERR("an unknown level", ENOPROTOOPT, setsockopt(t, 999, 1, &value, 4));
    ERR("SO_TYPE cannot be set", ENOPROTOOPT, setsockopt(t, SOL_SOCKET, SO_TYPE, &value, 4));
    ERR("SO_ERROR cannot be set", ENOPROTOOPT, setsockopt(t, SOL_SOCKET, SO_ERROR, &value, 4));
    ERR("from nowhere", EFAULT, setsockopt(t, SOL_SOCKET, SO_KEEPALIVE, BAD, 4));
    ERR("a negative length", EINVAL, setsockopt(t, SOL_SOCKET, SO_KEEPALIVE, &value, -1));
    ERR("a file", ENOTSOCK, setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &value, 4));
    ERR("no descriptor", EBADF, setsockopt(NOFD, SOL_SOCKET, SO_KEEPALIVE, &value, 4));
    value = 0;
    ERR("IP_TTL of 0", EINVAL, setsockopt(t, IPPROTO_IP, IP_TTL, &value, 4));
    ERR("TCP_KEEPIDLE of 0", EINVAL, setsockopt(t, IPPROTO_TCP, TCP_KEEPIDLE, &value, 4));
}
GROUP(getsockopt)
{
    struct sockaddr_in a;
    int l = listener(&a), u = socket(AF_INET, SOCK_DGRAM, 0), x[2], file = file_with("a", ""), got;
    socklen_t len = sizeof got;
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, x) == 0);
    struct { const char *name; int fd, option, want; } table[] = {
        {"SO_TYPE, stream", l, SO_TYPE, SOCK_STREAM}, {"SO_TYPE, datagram", u, SO_TYPE, SOCK_DGRAM}, {"SO_TYPE, seqpacket", x[0], SO_TYPE, SOCK_SEQPACKET},
        {"SO_DOMAIN, AF_INET", l, SO_DOMAIN, AF_INET}, {"SO_DOMAIN, AF_UNIX", x[0], SO_DOMAIN, AF_UNIX}, {"SO_PROTOCOL, TCP", l, SO_PROTOCOL, IPPROTO_TCP}, {"SO_PROTOCOL, UDP", u, SO_PROTOCOL, IPPROTO_UDP},
        {"SO_ACCEPTCONN, listening", l, SO_ACCEPTCONN, 1}, {"SO_ACCEPTCONN, not", u, SO_ACCEPTCONN, 0}, {"SO_ERROR", l, SO_ERROR, 0}, {"SO_KEEPALIVE", l, SO_KEEPALIVE, 0},
    };
    for (unsigned i = 0; i < COUNT(table); i++) {
        got = -1, len = sizeof got;
        OK(table[i].name, getsockopt(table[i].fd, SOL_SOCKET, table[i].option, &got, &len));
        EQ(named("%s, is", table[i].name), table[i].want, got);
    }
    len = 2;
    OK("cut off", getsockopt(l, SOL_SOCKET, SO_TYPE, &got, &len));
    EQ("tells how much", 2, len);
    len = -1;
    ERR("a negative length", EINVAL, getsockopt(l, SOL_SOCKET, SO_TYPE, &got, &len));
    len = 4;
    ERR("an unknown option", ENOPROTOOPT, getsockopt(l, SOL_SOCKET, 9999, &got, &len));
    ERR("into nowhere", EFAULT, getsockopt(l, SOL_SOCKET, SO_TYPE, BAD, &len));
    ERR("a length nowhere", EFAULT, getsockopt(l, SOL_SOCKET, SO_TYPE, &got, BAD));
    ERR("a file", ENOTSOCK, getsockopt(file, SOL_SOCKET, SO_TYPE, &got, &len));
    struct ucred cred;
    len = sizeof cred;
    OK("SO_PEERCRED", getsockopt(x[0], SOL_SOCKET, SO_PEERCRED, &cred, &len));
    YES("is ourselves", cred.pid == getpid() && cred.uid == geteuid());
    struct tcp_info info;
    len = sizeof info;
    OK("TCP_INFO", getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len));
    EQ("listens", TCP_LISTEN, info.tcpi_state);
}

GROUP(sendto)
{
    struct sockaddr_in a, nowhere = local(0);
    int u = udp(&a), s = socket(AF_INET, SOCK_DGRAM, 0), pair[2], file = file_with("a", ""), fresh = socket(AF_INET, SOCK_STREAM, 0), x[2];
    char text[64];
    signal(SIGPIPE, SIG_IGN);
    tcp_pair(pair);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, x) == 0);
    EQ("a datagram", 3, sendto(s, "abc", 3, 0, ADDR(a)));
    EQ("an empty one", 0, sendto(s, "", 0, 0, ADDR(a)));
    EQ("arrives", 3, recv(u, text, 64, 0));
    EQ("and so does the empty one", 0, recv(u, text, 64, MSG_DONTWAIT));
    ERR("without an address", EDESTADDRREQ, sendto(s, "abc", 3, 0, 0, 0));
    ERR("to port 0", EINVAL, sendto(s, "abc", 3, 0, ADDR(nowhere)));
    static char large[70000];
    ERR("more than a datagram holds", EMSGSIZE, sendto(s, large, 65508, 0, ADDR(a)));
    ERR("too short an address", EINVAL, sendto(s, "abc", 3, 0, (struct sockaddr *)&a, 4));
    ERR("an address nowhere", EFAULT, syscall(SYS_sendto, s, "abc", 3, 0, BAD, 16));
    ERR("from nowhere", EFAULT, sendto(s, BAD, 3, 0, ADDR(a)));
    ERR("MSG_OOB of a datagram", EOPNOTSUPP, sendto(s, "a", 1, MSG_OOB, ADDR(a)));
    EQ("a stream", 3, sendto(pair[0], "abc", 3, 0, 0, 0));
    ERR("a stream that is not connected", EPIPE, sendto(fresh, "abc", 3, MSG_NOSIGNAL, 0, 0));
    ERR("a file", ENOTSOCK, sendto(file, "abc", 3, 0, 0, 0));
    ERR("no descriptor", EBADF, sendto(NOFD, "abc", 3, 0, 0, 0));
    ERR("AF_UNIX with an address", EISCONN, sendto(x[0], "abc", 3, 0, ADDR(a)));
    long n = 0, more;
    while ((more = send(x[0], large, sizeof large, MSG_DONTWAIT)) > 0)
        n += more;
    ERR("MSG_DONTWAIT, full", EAGAIN, send(x[0], large, 1, MSG_DONTWAIT));
    close(x[1]);
    int status;
    CHILD(status, { signal(SIGPIPE, SIG_DFL); send(x[0], "x", 1, 0); });
    SHOW("SIGPIPE", "%d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    CHILD(status, { signal(SIGPIPE, SIG_DFL); send(x[0], "x", 1, MSG_NOSIGNAL); });
    SHOW("MSG_NOSIGNAL", "%d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}

GROUP(recvfrom)
{
    struct sockaddr_in a, from;
    socklen_t len = sizeof from;
    int u = udp(&a), s = socket(AF_INET, SOCK_DGRAM, 0), pair[2], file = file_with("a", ""), fresh = socket(AF_INET, SOCK_STREAM, 0);
    char text[64];
    tcp_pair(pair);
    ERR("nothing there", EAGAIN, recvfrom(u, text, 64, MSG_DONTWAIT, 0, 0));
    MUST(sendto(s, "abcdef", 6, 0, ADDR(a)) == 6);
    EQ("MSG_PEEK", 6, recvfrom(u, text, 64, MSG_PEEK, 0, 0));
    EQ("MSG_TRUNC and MSG_PEEK", 6, recvfrom(u, text, 2, MSG_PEEK | MSG_TRUNC, 0, 0));
    EQ("cut off", 3, recvfrom(u, text, 3, 0, (struct sockaddr *)&from, &len));
    YES("tells who", len == 16 && from.sin_family == AF_INET && from.sin_port == name_of(s).sin_port);
    ERR("the rest is lost", EAGAIN, recvfrom(u, text, 64, MSG_DONTWAIT, 0, 0));
    MUST(write(pair[0], "abcdef", 6) == 6);
    EQ("a stream, MSG_PEEK", 4, recv(pair[1], text, 4, MSG_PEEK));
    EQ("a stream, again", 4, recv(pair[1], text, 4, 0));
    EQ("a stream, the rest", 2, recv(pair[1], text, 64, 0));
    ERR("a stream, nothing", EAGAIN, recv(pair[1], text, 64, MSG_DONTWAIT));
    int status;
    MUST(write(pair[0], "ab", 2) == 2);
    CHILD(status, { pause_ms(30); write(pair[0], "cdef", 4); });
    EQ("MSG_WAITALL", 6, recv(pair[1], text, 6, MSG_WAITALL));
    ERR("a stream that is not connected", ENOTCONN, recv(fresh, text, 64, 0));
    ERR("into nowhere", EFAULT, (write(pair[0], "x", 1), recv(pair[1], BAD, 1, 0)));
    ERR("a file", ENOTSOCK, recv(file, text, 64, 0));
    ERR("no descriptor", EBADF, recv(NOFD, text, 64, 0));
    ERR("MSG_OOB, none", EINVAL, recv(pair[1], text, 1, MSG_OOB));
    struct timeval time = {0, 30000};
    setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    ERR("SO_RCVTIMEO", EAGAIN, recv(u, text, 64, 0));
    int n = -1;
    MUST(sendto(s, "abc", 3, 0, ADDR(a)) == 3);
    OK("FIONREAD", ioctl(u, FIONREAD, &n));
    EQ("the next datagram's length", 3, n);
    errno = 0;
    close(pair[0]);
    EQ("what is left", 1, recv(pair[1], text, 64, 0));
    EQ("the end", 0, recv(pair[1], text, 64, 0));
    int reset[2];
    tcp_pair(reset);
    struct linger hard = {1, 0};
    setsockopt(reset[0], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(reset[0]);
    pause_ms(20);
    ERR("a connection that was reset", ECONNRESET, recv(reset[1], text, 64, 0));
}

GROUP(sendmsg)
{
    int x[2], file = file_with("a", "file"), d[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, x) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
    struct iovec v[] = {{"abc", 3}, {"de", 2}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    EQ("two vectors", 5, sendmsg(x[0], &m, 0));
    m.msg_iovlen = 0;
    EQ("none", 0, sendmsg(x[0], &m, 0));
    m.msg_iovlen = 1025;
    ERR("1025 vectors", EMSGSIZE, sendmsg(x[0], &m, 0));
    m.msg_iovlen = 1, m.msg_iov = BAD;
    ERR("vectors nowhere", EFAULT, sendmsg(x[0], &m, 0));
    ERR("nowhere", EFAULT, syscall(SYS_sendmsg, x[0], BAD, 0));
    ERR("a file", ENOTSOCK, sendmsg(file, &m, 0));
    union { char bytes[CMSG_SPACE(sizeof(int) * 4)]; struct cmsghdr align; } control = {{0}};
    m = (struct msghdr){.msg_iov = v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    *(int *)CMSG_DATA(c) = file;
    EQ("SCM_RIGHTS", 3, sendmsg(d[0], &m, 0));
    *(int *)CMSG_DATA(c) = NOFD;
    ERR("SCM_RIGHTS, no descriptor", EBADF, sendmsg(d[0], &m, 0));
    c->cmsg_type = 99;
    ERR("an unknown type", EINVAL, sendmsg(d[0], &m, 0));
    c->cmsg_len = 4;
    ERR("too short a header", EINVAL, sendmsg(d[0], &m, 0));
    c->cmsg_len = 4000;
    ERR("too long a header", EINVAL, sendmsg(d[0], &m, 0));
}
GROUP(recvmsg)
{
    int d[2], file = file_with("a", "file");
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
    char text[64];
    struct iovec out = {"abcdef", 6}, in = {text, 64};
    union { char bytes[CMSG_SPACE(sizeof(int) * 4)]; struct cmsghdr align; } control = {{0}};
    struct msghdr s = {.msg_iov = &out, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * 2)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&s);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * 2), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    ((int *)CMSG_DATA(c))[0] = file, ((int *)CMSG_DATA(c))[1] = d[0];
    MUST(sendmsg(d[0], &s, 0) == 6);
    struct msghdr m = {.msg_iov = &in, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memset(&control, 0, sizeof control);
    EQ("a message", 6, recvmsg(d[1], &m, MSG_CMSG_CLOEXEC));
    c = CMSG_FIRSTHDR(&m);
    YES("has descriptors", c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(8));
    int got = *(int *)CMSG_DATA(c);
    EQ("MSG_CMSG_CLOEXEC", FD_CLOEXEC, fcntl(got, F_GETFD));
    EQ("of the same file", 4, read(got, text, 64));
    EQ("which shares the offset", 4, lseek(file, 0, SEEK_CUR));
    c = CMSG_FIRSTHDR(&s);
    s.msg_control = &control;
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * 2), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    ((int *)CMSG_DATA(c))[0] = file, ((int *)CMSG_DATA(c))[1] = file;
    MUST(sendmsg(d[0], &s, 0) == 6);
    m.msg_control = NULL, m.msg_controllen = 0;
    in.iov_len = 3;
    EQ("no room for either", 3, recvmsg(d[1], &m, 0));
    EQ("is told", MSG_CTRUNC | MSG_TRUNC, m.msg_flags);
    ERR("nothing there", EAGAIN, recvmsg(d[1], &m, MSG_DONTWAIT));
    ERR("nowhere", EFAULT, syscall(SYS_recvmsg, d[1], BAD, 0));
    ERR("a file", ENOTSOCK, recvmsg(file, &m, 0));
    int on = 1;
    setsockopt(d[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    MUST(write(d[0], "x", 1) == 1);
    m.msg_control = &control, m.msg_controllen = sizeof control;
    EQ("SO_PASSCRED", 1, recvmsg(d[1], &m, 0));
    c = CMSG_FIRSTHDR(&m);
    YES("tells who", c && c->cmsg_type == SCM_CREDENTIALS && ((struct ucred *)CMSG_DATA(c))->pid == getpid());
}

GROUP(sendmmsg)
{
    int d[2], file = file_with("a", "");
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
    struct iovec v[] = {{"a", 1}, {"bc", 2}, {"def", 3}};
    struct mmsghdr m[3] = {{{.msg_iov = v, .msg_iovlen = 1}, 0}, {{.msg_iov = v + 1, .msg_iovlen = 1}, 0}, {{.msg_iov = v + 2, .msg_iovlen = 1}, 0}};
    EQ("three", 3, sendmmsg(d[0], m, 3, 0));
    SHOW("their lengths", "%u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    EQ("none", 0, sendmmsg(d[0], m, 0, 0));
    v[1].iov_base = BAD;
    EQ("a bad second", 1, sendmmsg(d[0], m, 3, 0));
    v[0].iov_base = BAD;
    ERR("a bad first", EFAULT, sendmmsg(d[0], m, 3, 0));
    ERR("nowhere", EFAULT, syscall(SYS_sendmmsg, d[0], BAD, 1, 0));
    ERR("a file", ENOTSOCK, sendmmsg(file, m, 1, 0));
}
GROUP(recvmmsg)
{
    int d[2], file = file_with("a", "");
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
    MUST(write(d[0], "a", 1) == 1 && write(d[0], "bc", 2) == 2);
    char text[3][8];
    struct iovec v[] = {{text[0], 8}, {text[1], 8}, {text[2], 8}};
    struct mmsghdr m[3] = {{{.msg_iov = v, .msg_iovlen = 1}, 0}, {{.msg_iov = v + 1, .msg_iovlen = 1}, 0}, {{.msg_iov = v + 2, .msg_iovlen = 1}, 0}};
    EQ("two of three", 2, recvmmsg(d[1], m, 3, MSG_DONTWAIT, NULL));
    SHOW("their lengths", "%u %u", m[0].msg_len, m[1].msg_len);
    ERR("none", EAGAIN, recvmmsg(d[1], m, 3, MSG_DONTWAIT, NULL));
    MUST(write(d[0], "a", 1) == 1);
    EQ("MSG_WAITFORONE", 1, recvmmsg(d[1], m, 3, MSG_WAITFORONE, NULL));
    struct timespec bad = {0, 1000000000};
    ERR("too many nanoseconds", EINVAL, recvmmsg(d[1], m, 1, 0, &bad));
    ERR("a file", ENOTSOCK, recvmmsg(file, m, 1, 0, NULL));
}
