/* AF_UNIX sockets: whose bytes a read mixes, peeking at an offset, out-of-band data, datagrams, names, and what poll(2) says. */
#include "case.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

static void pair(int type, int s[2])
{
    MUST(socketpair(AF_UNIX, type, 0, s) == 0);
}
static void done(int s[2])
{
    close(s[0]);
    close(s[1]);
}
static void put(int fd, const char *text)
{
    MUST(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}
/* What one recv gave, as text. */
static const char *got(int fd, size_t len, int flags)
{
    static char text[4][160];
    static int turn;
    char *out = text[turn++ & 3], bytes[128];
    ssize_t n = recv(fd, bytes, len, flags | MSG_DONTWAIT);
    if (n < 0)
        return error_name(errno);
    snprintf(out, 160, "%.*s", (int)n, bytes);
    return out;
}
/* What one recvmsg gave: bytes, and for whose message it holds the bytes. */
static const char *got_from(int fd, size_t len, int flags)
{
    static char text[4][200];
    static int turn;
    char *out = text[turn++ & 3], bytes[128], control[256];
    struct iovec iov = {bytes, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &msg, flags | MSG_DONTWAIT);
    if (n < 0)
        return error_name(errno);
    int used = snprintf(out, 200, "%.*s", (int)n, bytes);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        struct ucred *u = (struct ucred *)CMSG_DATA(c);
        if (c->cmsg_type != SCM_CREDENTIALS)
            used += snprintf(out + used, 200 - used, " type %d of %zu", c->cmsg_type, (size_t)(c->cmsg_len - CMSG_LEN(0)));
        else if (u->pid == getpid() && u->uid == getuid() && u->gid == getgid())
            used += snprintf(out + used, 200 - used, " mine");
        else if (u->pid == 0 && u->uid == 65534 && u->gid == 65534)
            used += snprintf(out + used, 200 - used, " nobody's");
        else
            used += snprintf(out + used, 200 - used, " %s", u->pid ? "another's" : "none");
    }
    return out;
}
static int option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -errno : value;
}
static int set(int fd, int name, int value)
{
    return setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}
static int asks(int fd, unsigned long request)
{
    int value = -1;
    return ioctl(fd, request, &value) ? -errno : value;
}
/* The events that hold, as text. */
static const char *events(int fd)
{
    static char text[4][80];
    static int turn;
    char *out = text[turn++ & 3];
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    MUST(poll(&p, 1, 0) >= 0);
    snprintf(out, 80, "%s%s%s%s%s%s", p.revents & POLLIN ? "in " : "", p.revents & POLLOUT ? "out " : "",
             p.revents & POLLPRI ? "pri " : "", p.revents & POLLRDHUP ? "rdhup " : "", p.revents & POLLHUP ? "hup " : "",
             p.revents & POLLERR ? "err " : "");
    return out;
}
static struct sockaddr_un abstract(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "%s-%d", name, getpid());
    return a;
}
#define ADDR(a) (struct sockaddr *)&(a), sizeof(a)
static int bound(int type, struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, type, 0);
    MUST(fd >= 0 && bind(fd, ADDR(*a)) == 0);
    return fd;
}
static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

/* Senders' ids go along when either end asks as the message is sent. */
GROUP(scm_credentials)
{
    int s[2];
    for (int i = 0; i < 3; i++) {
        pair(types[i], s);
        put(s[0], "a");
        OK(named("%d SO_PASSCRED", i), set(s[1], SO_PASSCRED, 1));
        put(s[0], "b");
        put(s[0], "c");
        set(s[1], SO_PASSCRED, 0);
        put(s[0], "d");
        set(s[0], SO_PASSCRED, 1);
        put(s[0], "e");
        set(s[1], SO_PASSCRED, 1);
        TEXT(named("%d before it", i), "a nobody's", got_from(s[1], 1, 0));
        TEXT(named("%d peek", i), types[i] == SOCK_STREAM ? "bc mine" : "b mine", got_from(s[1], 9, MSG_PEEK));
        TEXT(named("%d with it", i), types[i] == SOCK_STREAM ? "bc mine" : "b mine", got_from(s[1], 9, 0));
        if (types[i] != SOCK_STREAM)
            TEXT(named("%d one more", i), "c mine", got_from(s[1], 9, 0));
        TEXT(named("%d after it", i), "d nobody's", got_from(s[1], 9, 0));
        TEXT(named("%d of a sender who passes", i), "e mine", got_from(s[1], 9, 0));
        put(s[0], "f");
        put(s[0], "g");
        TEXT(named("%d no bytes", i), types[i] == SOCK_STREAM ? " mine" : " mine", got_from(s[1], 0, 0));
        set(s[1], SO_PASSCRED, 0);
        TEXT(named("%d none wanted", i), types[i] == SOCK_STREAM ? "fg" : "g", got_from(s[1], 9, 0));
        done(s);
    }
    pair(SOCK_STREAM, s);
    set(s[1], SO_PASSCRED, 1);
    put(s[0], "a");
    int status;
    CHILD(status, put(s[0], "b"));
    put(s[0], "c");
    TEXT("bytes of two processes", "a mine", got_from(s[1], 9, 0));
    TEXT("are not mixed", "b another's", got_from(s[1], 9, 0));
    shutdown(s[0], SHUT_WR);
    TEXT("the last", "c mine", got_from(s[1], 9, 0));
    TEXT("at the end", " none", got_from(s[1], 9, 0));
    done(s);

    char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
    struct iovec iov = {"x", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    struct ucred me = {getpid(), getuid(), getgid()};
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof me);
#define AS(name, error, field, value)                                                                                            \
    do {                                                                                                                         \
        struct ucred u = me;                                                                                                     \
        u.field = value;                                                                                                         \
        memcpy(CMSG_DATA(c), &u, sizeof u);                                                                                      \
        ERR(name, error, sendmsg(s[0], &msg, 0));                                                                                \
    } while (0)
    pair(SOCK_DGRAM, s);
    memcpy(CMSG_DATA(c), &me, sizeof me);
    EQ("own ids", 1, sendmsg(s[0], &msg, 0));
    if (getuid() == 0) {
        AS("a process that is not there", ESRCH, pid, 4194303);
        AS("process 0", ESRCH, pid, 0);
        AS("process -1", ESRCH, pid, -1);
    }
    AS("no user", EINVAL, uid, -1);
    AS("no group", EINVAL, gid, -1);
    c->cmsg_len = CMSG_LEN(sizeof me - 4);
    ERR("too short", EINVAL, sendmsg(s[0], &msg, 0));
    c->cmsg_len = CMSG_LEN(sizeof me);
    AS_NOBODY({
        AS("another's process", EPERM, pid, me.pid);
        me.pid = getpid();
        me.gid = NOBODY;
        AS("another's user", EPERM, uid, 0);
        me.uid = NOBODY;
        AS("another's group", EPERM, gid, 0);
    });
    c->cmsg_type = 99;
    ERR("unknown type", EINVAL, sendmsg(s[0], &msg, 0));
    c->cmsg_level = 1234;
    EQ("unknown level", 1, sendmsg(s[0], &msg, 0));
    done(s);
}

GROUP(so_peek_off)
{
    int s[2];
    for (int i = 0; i < 3; i++) {
        int stream = types[i] == SOCK_STREAM;
        pair(types[i], s);
        EQ(named("%d at first", i), -1, option(s[1], SO_PEEK_OFF));
        OK(named("%d set", i), set(s[1], SO_PEEK_OFF, 0));
        put(s[0], "abcd");
        put(s[0], "efgh");
        TEXT(named("%d first", i), "abc", got(s[1], 3, MSG_PEEK));
        TEXT(named("%d second", i), stream ? "def" : "d", got(s[1], 3, MSG_PEEK));
        TEXT(named("%d third", i), stream ? "gh" : "efg", got(s[1], 3, MSG_PEEK));
        SHOW(named("%d now", i), "%d", option(s[1], SO_PEEK_OFF));
        TEXT(named("%d fourth", i), stream ? "EAGAIN" : "h", got(s[1], 3, MSG_PEEK));
        TEXT(named("%d beyond", i), "EAGAIN", got(s[1], 3, MSG_PEEK));
        TEXT(named("%d a read", i), "abc", got(s[1], 3, 0));
        EQ(named("%d moves it back", i), stream ? 5 : 4, option(s[1], SO_PEEK_OFF));
        put(s[0], "ij");
        TEXT(named("%d what is new", i), "ij", got(s[1], 9, MSG_PEEK));
        OK(named("%d off", i), set(s[1], SO_PEEK_OFF, -1));
        TEXT(named("%d from the start", i), stream ? "defghij" : "efgh", got(s[1], 9, MSG_PEEK));
        done(s);
    }
}

GROUP(msg_oob)
{
    int s[2];
    pair(SOCK_STREAM, s);
    ERR("nothing", EOPNOTSUPP, send(s[0], "", 0, MSG_OOB));
    TEXT("none there", "EINVAL", got(s[1], 1, MSG_OOB));
    EQ("sent", 5, send(s[0], "hello", 5, MSG_OOB));
    TEXT("events", "in out pri ", events(s[1]));
    EQ("FIONREAD", 5, asks(s[1], FIONREAD));
    EQ("before the mark", 0, asks(s[1], SIOCATMARK));
    TEXT("a read stops there", "hell", got(s[1], 9, 0));
    EQ("at the mark", 1, asks(s[1], SIOCATMARK));
    TEXT("peek at it", "o", got(s[1], 9, MSG_OOB | MSG_PEEK));
    TEXT("peek past it", "EAGAIN", got(s[1], 9, MSG_PEEK));
    TEXT("taken", "o", got(s[1], 9, MSG_OOB));
    EQ("still at the mark", 1, asks(s[1], SIOCATMARK));
    TEXT("no more", "EINVAL", got(s[1], 9, MSG_OOB));
    TEXT("nothing behind", "EAGAIN", got(s[1], 9, 0));
    EQ("which passed the mark", 0, asks(s[1], SIOCATMARK));
    put(s[0], "a");
    send(s[0], "bc", 2, MSG_OOB);
    send(s[0], "de", 2, MSG_OOB);
    TEXT("a second makes the first plain", "abcd", got(s[1], 9, 0));
    TEXT("and is left out by who reads on", "EAGAIN", got(s[1], 9, 0));
    send(s[0], "ab", 2, MSG_OOB);
    put(s[0], "cd");
    TEXT("taken early", "b", got(s[1], 9, MSG_OOB));
    TEXT("peek to its place", "a", got(s[1], 9, MSG_PEEK));
    TEXT("read to its place", "a", got(s[1], 9, 0));
    TEXT("peek behind", "cd", got(s[1], 9, MSG_PEEK));
    TEXT("read behind", "cd", got(s[1], 9, 0));
    send(s[0], "ab", 2, MSG_OOB);
    put(s[0], "cd");
    got(s[1], 9, 0);
    TEXT("who reads on at it loses it", "cd", got(s[1], 9, 0));
    OK("SO_OOBINLINE", set(s[1], SO_OOBINLINE, 1));
    send(s[0], "ab", 2, MSG_OOB);
    put(s[0], "cd");
    TEXT("in line, not by itself", "EINVAL", got(s[1], 9, MSG_OOB));
    TEXT("a read stops before it", "a", got(s[1], 9, 0));
    EQ("at the mark in line", 1, asks(s[1], SIOCATMARK));
    TEXT("and goes on with it", "bcd", got(s[1], 9, 0));
    done(s);
    pair(SOCK_STREAM, s);
    send(s[0], "x", 1, MSG_OOB);
    got(s[1], 1, MSG_OOB);
    close(s[1]);
    TEXT("taken is not unread", "", got(s[0], 1, 0));
    close(s[0]);
    pair(SOCK_STREAM, s);
    send(s[0], "x", 1, MSG_OOB);
    close(s[1]);
    TEXT("not taken is", "ECONNRESET", got(s[0], 1, 0));
    close(s[0]);
    pair(SOCK_DGRAM, s);
    ERR("a datagram", EOPNOTSUPP, send(s[0], "x", 1, MSG_OOB));
    TEXT("received", "EOPNOTSUPP", got(s[0], 1, MSG_OOB));
    EQ("its mark", -EOPNOTSUPP, asks(s[0], SIOCATMARK));
    done(s);
}

static volatile sig_atomic_t signals;
static void count(int signal)
{
    (void)signal;
    signals++;
}
GROUP(msg_oob_signal)
{
    int s[2];
    signal(SIGURG, count);
    pair(SOCK_STREAM, s);
    send(s[0], "x", 1, MSG_OOB);
    EQ("nobody's", 0, signals);
    OK("owner", fcntl(s[1], F_SETOWN, getpid()));
    send(s[0], "x", 1, MSG_OOB);
    EQ("told", 1, signals);
    put(s[0], "x");
    EQ("plain bytes", 1, signals);
    done(s);
}

/* Times, and how much a read waits for. */
GROUP(so_rcvtimeo)
{
    int s[2];
    struct timeval negative = {-1, 0}, short_time = {0, 20000}, seen = {5, 5}, huge = {LONG_MAX, 0};
    socklen_t len = sizeof seen;
    char b[16];
    for (int i = 0; i < 3; i++) {
        pair(types[i], s);
        OK(named("%d negative", i), setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &negative, sizeof negative));
        ERR(named("%d does not wait", i), EAGAIN, read(s[0], b, 1));
        OK(named("%d read back", i), getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &seen, &len) || seen.tv_sec || seen.tv_usec);
        OK(named("%d huge", i), setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &huge, sizeof huge));
        OK(named("%d huge read back", i), getsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &seen, &len) || seen.tv_sec || seen.tv_usec);
        OK(named("%d negative for writers", i), setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &negative, sizeof negative));
        int n = 0;
        while (n < 10000 && send(s[0], b, 1, 0) == 1)
            n++;
        EQ(named("%d writes before one would wait", i), 278, n);
        SHOW(named("%d SIOCOUTQ", i), "%d", asks(s[0], TIOCOUTQ));
        done(s);
    }
    pair(SOCK_STREAM, s);
    OK("SO_RCVLOWAT", set(s[1], SO_RCVLOWAT, 4));
    OK("time", setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time));
    put(s[0], "ab");
    TEXT("readable all the same", "in out ", events(s[1]));
    EQ("too few in time", 2, recv(s[1], b, 9, 0));
    put(s[0], "abcd");
    EQ("enough", 4, recv(s[1], b, 9, 0));
    put(s[0], "ab");
    EQ("MSG_WAITALL", 2, recv(s[1], b, 9, MSG_WAITALL));
    done(s);
}

GROUP(unix_datagrams)
{
    struct sockaddr_un a = abstract("a"), b = abstract("b");
    int one = bound(SOCK_DGRAM, &a), two = bound(SOCK_DGRAM, &b), three = socket(AF_UNIX, SOCK_DGRAM, 0), n = 0;
    while (n < 1000 && sendto(three, "x", 1, MSG_DONTWAIT, ADDR(a)) == 1)
        n++;
    EQ("as many wait", 11, n);
    TEXT("not connected", "out ", events(three));
    OK("connect", connect(three, ADDR(a)));
    TEXT("connected, and full", "", events(three));
    got(one, 1, 0);
    TEXT("one taken", "out ", events(three));
    OK("connected to another", connect(one, ADDR(b)));
    ERR("it takes nothing any more", EPERM, send(three, "x", 1, MSG_DONTWAIT));
    ERR("nor by address", EPERM, sendto(three, "x", 1, MSG_DONTWAIT, ADDR(a)));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ERR("nor a connection", EPERM, connect(fd, ADDR(a)));
    close(fd);
    struct ucred peer;
    socklen_t len = sizeof peer;
    OK("SO_PEERCRED", getsockopt(three, SOL_SOCKET, SO_PEERCRED, &peer, &len));
    EQ("is nobody's", 0, peer.pid);
    OK("connect back", connect(two, ADDR(a)));
    for (n = 0; n < 30; n++)
        put(two, "yy");
    TEXT("peers have no such limit", "out ", events(two));
    struct sockaddr none = {AF_UNSPEC};
    OK("disconnect", connect(one, &none, sizeof none));
    TEXT("what had come is lost", "EAGAIN", got(one, 9, 0));
    TEXT("of which the peer learns", "out err ", events(two));
    EQ("SO_ERROR", ECONNRESET, option(two, SO_ERROR));
    EQ("once", 0, option(two, SO_ERROR));
    close(one);
    ERR("gone", ECONNREFUSED, send(two, "x", 1, 0));
    ERR("and no peer", ENOTCONN, send(two, "x", 1, 0));
    close(two);
    close(three);
    int s[2];
    pair(SOCK_SEQPACKET, s);
    struct sockaddr_un nowhere = {AF_UNIX, "nowhere"};
    EQ("a packet's address means nothing", 1, sendto(s[0], "x", 1, 0, ADDR(nowhere)));
    put(s[0], "yy");
    EQ("FIONREAD of packets", 3, asks(s[1], FIONREAD));
    done(s);
    pair(SOCK_DGRAM, s);
    put(s[0], "x");
    put(s[0], "yy");
    EQ("FIONREAD of datagrams", 1, asks(s[1], FIONREAD));
    done(s);
}

GROUP(unix_names)
{
    struct sockaddr_un path = {AF_UNIX, "socket"}, later = {AF_UNIX, "later"}, seen;
    struct stat st;
    socklen_t len = sizeof seen;
    umask(022);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), n;
    OK("fchmod", fchmod(listener, 0640));
    OK("bind", bind(listener, ADDR(path)));
    OK("stat", stat("socket", &st));
    EQ("mode", S_IFSOCK | 0640, st.st_mode);
    OK("listen", listen(listener, 1));
    struct ucred peer;
    socklen_t size = sizeof peer;
    OK("SO_PEERCRED of a listener", getsockopt(listener, SOL_SOCKET, SO_PEERCRED, &peer, &size));
    YES("is its own", peer.pid == getpid());
    OK("connect", connect(client, ADDR(path)));
    OK("SO_PASSCRED of the listener", set(listener, SO_PASSCRED, 1));
    int server = accept(listener, (void *)&seen, &len);
    EQ("a client without a name", 2, len);
    EQ("does not come to who connected before", 0, option(server, SO_PASSCRED));
    OK("bind late", bind(client, ADDR(later)));
    len = sizeof seen;
    OK("getpeername", getpeername(server, (void *)&seen, &len));
    TEXT("sees it", "later", seen.sun_path);
    put(client, "x");
    char b[4];
    len = sizeof seen;
    memset(&seen, 0, sizeof seen);
    EQ("recvfrom", 1, recvfrom(server, b, 1, 0, (void *)&seen, &len));
    TEXT("does too", "later", seen.sun_path);
    put(server, "x");
    len = sizeof seen;
    memset(&seen, 0, sizeof seen);
    EQ("recvfrom the server", 1, recvfrom(client, b, 1, 0, (void *)&seen, &len));
    TEXT("the listener's name", "socket", seen.sun_path);
    close(client);
    len = sizeof seen;
    memset(&seen, 0, sizeof seen);
    OK("getpeername of who has gone", getpeername(server, (void *)&seen, &len));
    TEXT("still", "later", seen.sun_path);
    close(server);
    for (n = 0; n < 2; n++) {
        client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        OK(named("waits %d", n), connect(client, ADDR(path)));
    }
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ERR("no more room", EAGAIN, connect(client, ADDR(path)));
    struct timeval time = {0, 20000};
    int waits = socket(AF_UNIX, SOCK_STREAM, 0);
    setsockopt(waits, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    ERR("nor in time", EAGAIN, connect(waits, ADDR(path)));
    OK("listen once more", listen(listener, 5));
    OK("makes room", connect(client, ADDR(path)));
    int other = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    ERR("another type", EPROTOTYPE, connect(other, ADDR(path)));
    ERR("connected already", EISCONN, connect(client, ADDR(path)));
    ERR("a listener", EINVAL, connect(listener, ADDR(path)));
    ERR("in use", EADDRINUSE, bind(other, ADDR(path)));
    close(listener);
    ERR("nobody", ECONNREFUSED, connect(other, ADDR(path)));

    int s[2];
    pair(SOCK_DGRAM, s);
    set(s[0], SO_PASSCRED, 1);
    put(s[0], "x");
    len = sizeof seen;
    OK("who passes ids has a name", getsockname(s[0], (void *)&seen, &len));
    EQ("of five digits", 8, len);
    done(s);
}

GROUP(unix_pairs)
{
    int s[2];
    struct { const char *name; int domain, type, protocol, error; } table[] = {
        {"AF_INET stream", AF_INET, SOCK_STREAM, 0, EOPNOTSUPP}, {"AF_INET datagram", AF_INET, SOCK_DGRAM, 0, EOPNOTSUPP},
        {"AF_INET packet", AF_INET, SOCK_SEQPACKET, 0, ESOCKTNOSUPPORT}, {"AF_INET protocol 300", AF_INET, SOCK_STREAM, 300, EINVAL},
        {"AF_INET6", AF_INET6, SOCK_STREAM, 0, EOPNOTSUPP}, {"AF_NETLINK", AF_NETLINK, SOCK_RAW, 0, EOPNOTSUPP},
        {"domain 99", 99, SOCK_STREAM, 0, EAFNOSUPPORT}, {"type 9", AF_UNIX, 9, 0, ESOCKTNOSUPPORT}, {"protocol 7", AF_UNIX, SOCK_STREAM, 7, EPROTONOSUPPORT},
        {"flags", AF_UNIX, SOCK_STREAM | 0x40, 0, EINVAL},
    };
    for (unsigned i = 0; i < COUNT(table); i++)
        ERR(table[i].name, table[i].error, socketpair(table[i].domain, table[i].type, table[i].protocol, s));
    ERR("no place", EFAULT, socketpair(AF_UNIX, SOCK_STREAM, 0, BAD));
}

/* One line of /proc/net/unix, without what differs. */
static const char *shown(const char *name)
{
    static char text[256];
    FILE *f = fopen("/proc/net/unix", "r");
    char entry[256];
    snprintf(text, sizeof text, "none");
    MUST(f && fgets(entry, sizeof entry, f));
    while (fgets(entry, sizeof entry, f)) {
        unsigned users, protocol, flags, type, state;
        long inode;
        char path[120] = "";
        if (sscanf(entry, "%*x: %x %x %x %x %x %ld %119s", &users, &protocol, &flags, &type, &state, &inode, path) < 6)
            snprintf(text, sizeof text, "odd: %s", entry);
        else if (!strcmp(path, name))
            snprintf(text, sizeof text, "%x %x type %x state %x%s", protocol, flags, type, state, inode ? " inode" : "");
    }
    fclose(f);
    return text;
}
GROUP(proc_net_unix)
{
    struct sockaddr_un a = abstract("shown"), p = {AF_UNIX, "shown-path"};
    char name[64], path[64];
    snprintf(name, sizeof name, "@shown-%d", getpid());
    snprintf(path, sizeof path, "shown-path-%d", getpid());
    strcpy(p.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(fd, (void *)&a, offsetof(struct sockaddr_un, sun_path) + strlen(name)) == 0);
    TEXT("bound", "0 0 type 1 state 1 inode", shown(name));
    listen(fd, 1);
    TEXT("listening", "0 10000 type 1 state 1 inode", shown(name));
    close(fd);
    TEXT("closed", "none", shown(name));
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    MUST(bind(fd, ADDR(p)) == 0);
    TEXT("a path", "0 0 type 2 state 1 inode", shown(path));
    MUST(connect(fd, ADDR(p)) == 0);
    TEXT("connected", "0 0 type 2 state 3 inode", shown(path));
    close(fd);
}

/* The state after shutdown(2) and close(2). */
GROUP(unix_ends)
{
    int s[2];
    for (int i = 0; i < 3; i++) {
        pair(types[i], s);
        TEXT(named("%d open", i), "out ", events(s[0]));
        shutdown(s[1], SHUT_WR);
        TEXT(named("%d peer writes no more", i), types[i] == SOCK_DGRAM ? "out " : "in out rdhup ", events(s[0]));
        TEXT(named("%d itself", i), "out ", events(s[1]));
        shutdown(s[1], SHUT_RD);
        TEXT(named("%d peer is shut", i), types[i] == SOCK_DGRAM ? "out " : "in out rdhup hup ", events(s[0]));
        TEXT(named("%d itself shut", i), "in out rdhup hup ", events(s[1]));
        ERR(named("%d write", i), EPIPE, send(s[0], "x", 1, MSG_NOSIGNAL));
        done(s);
        pair(types[i], s);
        put(s[0], "x");
        close(s[1]);
        TEXT(named("%d unread and closed", i), types[i] == SOCK_DGRAM ? "out " : "in out rdhup hup err ", events(s[0]));
        EQ(named("%d SO_ERROR", i), types[i] == SOCK_DGRAM ? 0 : ECONNRESET, option(s[0], SO_ERROR));
        close(s[0]);
    }
}

/* The owner of a socket by ioctl(2). */
GROUP(fiosetown)
{
    int s[2], p[2], me = getpid(), group = -getpgrp(), bad = 4194303;
    pair(SOCK_STREAM, s);
    EQ("at first", 0, asks(s[0], 0x8903 /* FIOGETOWN */));
    OK("FIOSETOWN", ioctl(s[0], 0x8901, &me));
    YES("FIOGETOWN", asks(s[0], 0x8903) == me);
    YES("F_GETOWN", fcntl(s[0], F_GETOWN) == me);
    OK("SIOCSPGRP", ioctl(s[0], 0x8902, &group));
    YES("SIOCGPGRP", asks(s[0], 0x8904) == group);
    ERR("nobody", ESRCH, ioctl(s[0], 0x8901, &bad));
    bad = INT_MIN;
    ERR("the least", EINVAL, ioctl(s[0], 0x8901, &bad));
    ERR("no place", EFAULT, ioctl(s[0], 0x8901, BAD));
    MUST(pipe(p) == 0);
    ERR("a pipe", ENOTTY, ioctl(p[0], 0x8901, &me));
    done(p);
    done(s);
}
