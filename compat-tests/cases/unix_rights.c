/* AF_UNIX descriptors in flight: what carries them, how many may be, and that those nobody can receive any more are collected. */
/* A busy machine takes its time for thousands of sockets. */
#define GROUP_LIMIT 60
#include "case.h"
#include <poll.h>
#include <sys/un.h>

/* Sends `n` descriptors with `len` bytes. */
static int pass(int to, const char *bytes, size_t len, const int *fds, int n, int flags)
{
    char control[CMSG_SPACE(300 * sizeof(int))] = {0};
    struct iovec iov = {(void *)bytes, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    return sendmsg(to, &msg, flags | MSG_NOSIGNAL);
}
static int pass_one(int to, int fd)
{
    return pass(to, "x", 1, &fd, 1, 0);
}

/* What one recvmsg gave, as text: result, bytes, flags, and how many descriptors, which are closed but for the last. */
static int last_fd;
static const char *take(int from, size_t len, int flags, size_t room)
{
    static char text[2][512];
    static int turn;
    char *out = text[turn ^= 1], bytes[128] = "", control[2048];
    struct iovec iov = {bytes, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    ssize_t n = recvmsg(from, &msg, flags | MSG_DONTWAIT);
    if (n < 0) {
        snprintf(out, 512, "%s", error_name(errno));
        return out;
    }
    int used = snprintf(out, 512, "%zd %.*s", n, (int)n, bytes);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        int count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), *fds = (int *)CMSG_DATA(c);
        used += snprintf(out + used, 512 - used, " fds %d", count);
        for (int i = 0; i < count; i++) {
            if (i == count - 1)
                last_fd = fds[i];
            else
                close(fds[i]);
        }
    }
    if (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
        snprintf(out + used, 512 - used, "%s%s", msg.msg_flags & MSG_CTRUNC ? " ctrunc" : "", msg.msg_flags & MSG_TRUNC ? " trunc" : "");
    return out;
}
#define ALL 2048

static void pair(int type, int s[2])
{
    MUST(socketpair(AF_UNIX, type, 0, s) == 0);
}
static void done(int s[2])
{
    close(s[0]);
    close(s[1]);
}
/* Linux collects beside, and may have looked too early: further sockets that go have it look again. */
static int hung_up(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    for (int i = 0; i < 250; i++) {
        if (poll(&p, 1, 20) == 1)
            return !!(p.revents & POLLHUP);
        int s[2];
        pair(SOCK_STREAM, s);
        pass_one(s[0], s[1]);
        done(s);
    }
    return 0;
}

/* Where a stream's reads stop. */
GROUP(scm_rights)
{
    int s[2], fds[300];
    for (int i = 0; i < 300; i++)
        fds[i] = 1;
    pair(SOCK_STREAM, s);
    MUST(write(s[0], "aa", 2) == 2 && pass(s[0], "bb", 2, fds, 1, 0) == 2 && write(s[0], "cc", 2) == 2);
    TEXT("a read stops behind what had a descriptor", "4 aabb fds 1", take(s[1], 10, 0, ALL));
    TEXT("and goes on there", "2 cc", take(s[1], 10, 0, ALL));
    MUST(write(s[0], "aa", 2) == 2 && pass(s[0], "bb", 2, fds, 1, 0) == 2);
    TEXT("the first byte brings the descriptor", "3 aab fds 1", take(s[1], 3, 0, ALL));
    TEXT("and the second nothing", "1 b", take(s[1], 3, 0, ALL));
    MUST(pass(s[0], "bb", 2, fds, 1, 0) == 2 && pass(s[0], "dd", 2, fds, 2, 0) == 2);
    TEXT("two messages with descriptors", "2 bb fds 1", take(s[1], 10, MSG_PEEK, ALL));
    TEXT("a read of nothing takes descriptors", "0  fds 1", take(s[1], 0, 0, ALL));
    TEXT("but no bytes", "4 bbdd fds 2", take(s[1], 10, 0, ALL));
    EQ("nothing with a descriptor is nothing", 0, pass(s[0], "", 0, fds, 1, 0));
    TEXT("so nothing comes", "EAGAIN", take(s[1], 10, 0, ALL));
    EQ("as many as may be", 1, pass(s[0], "x", 1, fds, 253, 0));
    ERR("one more", EINVAL, pass(s[0], "x", 1, fds, 254, 0));
    TEXT("all of them", "1 x fds 253", take(s[1], 10, 0, ALL));
    MUST(pass(s[0], "x", 1, fds, 3, 0) == 1);
    TEXT("room for two", "1 x fds 2 ctrunc", take(s[1], 10, 0, CMSG_LEN(2 * sizeof(int))));
    MUST(pass(s[0], "x", 1, fds, 1, 0) == 1);
    TEXT("room for none", "1 x ctrunc", take(s[1], 10, 0, 0));
    fds[2] = NOFD;
    ERR("one that is none", EBADF, pass(s[0], "x", 1, fds, 3, 0));
    fds[2] = 1;
    MUST(pass(s[0], "ab", 2, fds, 1, 0) == 2);
    char b[4];
    EQ("read(2) drops it", 1, read(s[1], b, 1));
    TEXT("for good", "1 b", take(s[1], 10, 0, ALL));
    done(s);
    int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 2; i++) {
        pair(types[i], s);
        MUST(pass(s[0], "ab", 2, fds, 1, 0) == 2 && pass(s[0], "", 0, fds, 2, 0) == 0);
        TEXT(named("packet %d peek", i), "1 a fds 1 trunc", take(s[1], 1, MSG_PEEK, ALL));
        TEXT(named("packet %d", i), "1 a fds 1 trunc", take(s[1], 1, 0, ALL));
        TEXT(named("packet %d without bytes", i), "0  fds 2", take(s[1], 1, 0, ALL));
        done(s);
    }
    pair(SOCK_STREAM, s);
    int zero = 0;
    if (setsockopt(s[1], SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &zero, sizeof zero) == 0)
        ERR("a receiver that wants none", EPERM, pass(s[0], "x", 1, fds, 1, 0));
    done(s);
}

/* Descriptors whose limit is reached: root is not bound. */
GROUP(scm_rights_limit)
{
    int s[2];
    /* What a user has in flight is counted in the whole machine: this one has nothing else to do. */
    int status, nobody_else = 50000 + getpid() % 10000;
    if (geteuid() != 0)
        return;
    MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, 20}) == 0);
    CHILD(status, {
        MUST(setgid(nobody_else) == 0 && setuid(nobody_else) == 0);
        pair(SOCK_SEQPACKET, s);
        int sent = 0;
        while (sent < 100 && pass_one(s[0], 1) == 1)
            sent++;
        EQ("as many in flight as may be open, and one", 21, sent);
        ERR("one more", ETOOMANYREFS, pass_one(s[0], 1));
        EQ("bytes alone", 1, write(s[0], "x", 1));
        TEXT("one arrives", "1 x fds 1", take(s[1], 9, 0, ALL));
        EQ("and another may go", 1, pass_one(s[0], 1));
        done(s);
        pair(SOCK_STREAM, s);
        EQ("closing the sockets frees all", 1, pass_one(s[0], 1));
        done(s);
    });
}

/* A socket in its own queue, in a circle of several, in a listener's unaccepted connection; with the writing end of a pipe along,
 * whose reader sees the end once the circle was collected. */
GROUP(in_flight_cycles)
{
    int s[2], t[2], p[2];
    MUST(pipe(p) == 0);
    pair(SOCK_STREAM, s);
    MUST(pass_one(s[0], s[1]) == 1 && pass_one(s[0], p[1]) == 1);
    close(p[1]);
    done(s);
    YES("a socket in its own queue", hung_up(p[0]));
    close(p[0]);

    MUST(pipe(p) == 0);
    pair(SOCK_STREAM, s);
    pair(SOCK_DGRAM, t);
    MUST(pass_one(s[0], t[1]) == 1 && pass_one(t[0], s[1]) == 1 && pass_one(t[0], s[0]) == 1 && pass_one(t[0], p[1]) == 1);
    close(p[1]);
    done(s);
    done(t);
    YES("two in each other's", hung_up(p[0]));
    close(p[0]);

    MUST(pipe(p) == 0);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof name;
    MUST(bind(listener, (void *)&name, sizeof(sa_family_t)) == 0 && getsockname(listener, (void *)&name, &len) == 0);
    MUST(listen(listener, 5) == 0 && connect(client, (void *)&name, len) == 0);
    MUST(pass_one(client, listener) == 1 && pass_one(client, client) == 1 && pass_one(client, p[1]) == 1);
    close(p[1]);
    close(listener);
    close(client);
    YES("a listener in a connection that it did not accept", hung_up(p[0]));
    close(p[0]);

    MUST(pipe(p) == 0);
    pair(SOCK_STREAM, s);
    pair(SOCK_STREAM, t);
    MUST(pass_one(s[0], s[1]) == 1 && pass_one(s[0], p[1]) == 1 && pass_one(t[0], s[1]) == 1);
    close(p[1]);
    done(s);
    struct pollfd poller = {p[0], POLLIN, 0};
    EQ("one that can still be received is kept", 0, poll(&poller, 1, 50));
    TEXT("and received", "1 x fds 1", take(t[1], 9, 0, ALL));
    int again = last_fd;
    TEXT("with itself in its queue", "1 x fds 1", take(again, 9, 0, ALL));
    close(again);
    EQ("and works", 0, poll(&poller, 1, 0));
    TEXT("to the end", "1 x fds 1", take(last_fd, 9, 0, ALL));
    close(last_fd);
    last_fd = -1;
    done(t);
    YES("which is an end then", hung_up(p[0]));
    close(p[0]);

    /* What waits at a socket goes with it, though its peer stays. */
    MUST(pipe(p) == 0);
    pair(SOCK_STREAM, s);
    MUST(pass_one(s[0], p[1]) == 1 && pass_one(s[0], s[0]) == 1);
    close(p[1]);
    close(s[1]);
    YES("a receiver that goes", hung_up(p[0]));
    close(s[0]);
    close(p[0]);

    /* In a process that ends. */
    int status;
    MUST(pipe(p) == 0);
    CHILD(status, {
        pair(SOCK_STREAM, s);
        pair(SOCK_STREAM, t);
        MUST(pass_one(s[0], t[1]) == 1 && pass_one(t[0], s[1]) == 1 && pass_one(t[0], p[1]) == 1);
    });
    close(p[1]);
    YES("a process that ends leaves nothing", hung_up(p[0]));
    close(p[0]);

    /* An epoll instance that watches a socket of the circle and is in it. */
    MUST(pipe(p) == 0);
    pair(SOCK_STREAM, s);
    MUST(pass_one(s[0], s[1]) == 1 && pass_one(s[0], p[1]) == 1 && pass_one(s[0], p[0]) == 1);
    int other = dup(p[0]);
    done(p);
    done(s);
    YES("with both ends of a pipe", hung_up(other));
    close(other);
}

/* So many that what is kept for good would be missed: descriptors, or memory. */
GROUP(in_flight_many)
{
    char *bytes = calloc(1, 60000);
    int s[2], kept = 0;
    for (int i = 0; i < 2000 && !kept; i++) {
        kept = socketpair(AF_UNIX, SOCK_STREAM, 0, s) != 0;
        if (!kept) {
            pass_one(s[0], s[1]);
            done(s);
        }
    }
    EQ("circles of one", 0, kept);
    for (int i = 0; i < 3000 && !kept; i++) {
        kept = socketpair(AF_UNIX, SOCK_STREAM, 0, s) != 0;
        if (!kept) {
            pass(s[0], bytes, 60000, &s[1], 1, MSG_DONTWAIT);
            done(s);
        }
    }
    EQ("circles with much in them", 0, kept);
    /* A chain, each link in the queue of the next: it goes at once, and not each in the going of the one before. */
    int last = -1, sent = 0;
    for (int i = 0; i < 1000; i++) {
        pair(SOCK_STREAM, s);
        if (last >= 0) {
            sent += pass_one(s[0], last) == 1;
            close(last);
        }
        close(s[0]);
        last = s[1];
    }
    EQ("a chain", 999, sent);
    OK("goes", close(last));
    /* A pair of which each end carries the next pair. */
    int t[2] = {-1, -1};
    for (int i = 0; i < 1000; i++) {
        pair(SOCK_SEQPACKET, s);
        if (t[0] >= 0) {
            pass(s[0], "x", 1, t, 2, 0);
            done(t);
        }
        memcpy(t, s, sizeof t);
    }
    OK("a chain of pairs", close(t[0]) | close(t[1]));
    free(bytes);
}
