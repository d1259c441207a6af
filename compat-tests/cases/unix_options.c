/* The options of SOL_SOCKET on AF_UNIX sockets. */
#include "case.h"
#include <grp.h>
#include <linux/filter.h>
#include <sys/un.h>

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
static int s[2];

static const char *read_back(int name)
{
    static char text[4][160];
    static int turn;
    char *out = text[turn++ & 3];
    int value[16];
    socklen_t len = sizeof value;
    if (getsockopt(s[0], SOL_SOCKET, name, value, &len))
        return error_name(errno);
    int used = snprintf(out, 160, "%d:", len);
    for (unsigned i = 0; i < len / 4 && i < 4; i++)
        used += snprintf(out + used, 160 - used, " %d", value[i]);
    return out;
}
static const char *set(int name, int value)
{
    int values[4] = {value, value, value, value};
    return setsockopt(s[0], SOL_SOCKET, name, values, sizeof values) ? error_name(errno) : "0";
}

/* Every number, but those of filters, of devices and of what is only told. */
GROUP(unix_options)
{
    static const int numbers[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 27, 29,
                                  30, 31, 34, 35, 36, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 49, 54, 55, 56, 58, 60, 62, 63, 64, 66,
                                  67, 69, 72, 74, 75, 76, 78, 79, 81, 82, 83};
    for (int t = 0; t < 3; t++) {
        for (unsigned i = 0; i < COUNT(numbers); i++) {
            int name = numbers[i], one = 1;
            MUST(socketpair(AF_UNIX, types[t], 0, s) == 0);
            SHOW(named("%d option %d at first", t, name), "%s", read_back(name));
            static const int values[] = {1, 0, -1, 7};
            for (int v = 0; v < 4; v++) {
                const char *result = set(name, values[v]);
                SHOW(named("%d option %d set %d", t, name, values[v]), "%s, %s", result, read_back(name));
            }
            SHOW(named("%d option %d short", t, name), "%s",
                 setsockopt(s[0], SOL_SOCKET, name, &one, 2) ? error_name(errno) : "0");
            close(s[0]);
            close(s[1]);
        }
    }
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    ERR("another level", EOPNOTSUPP, setsockopt(s[0], 6, 1, s, sizeof s));
    socklen_t len = 4;
    int value;
    ERR("another level read", EOPNOTSUPP, getsockopt(s[0], 6, 1, &value, &len));
    len = -1;
    ERR("negative length", EINVAL, getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &len));
}

GROUP(unix_options_unprivileged)
{
    static const int numbers[] = {SO_DEBUG, SO_PRIORITY, SO_MARK, SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_BUSY_POLL, 69};
    AS_NOBODY({
        for (unsigned i = 0; i < COUNT(numbers); i++) {
            MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
            for (int value = -1; value < 8; value += 4)
                SHOW(named("option %d set %d", numbers[i], value), "%s", set(numbers[i], value));
        }
    });
}

GROUP(unix_buffers)
{
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    static const int sizes[] = {0, 1, 1000, 2304, 2305, 100000, 4194304, 4194305, INT_MAX, INT_MIN};
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        set(SO_SNDBUF, sizes[i]);
        SHOW(named("SO_SNDBUF %d", sizes[i]), "%s", read_back(SO_SNDBUF));
        set(SO_RCVBUF, sizes[i]);
        SHOW(named("SO_RCVBUF %d", sizes[i]), "%s", read_back(SO_RCVBUF));
        if (geteuid())
            continue;
        set(SO_SNDBUFFORCE, sizes[i]);
        SHOW(named("SO_SNDBUFFORCE %d", sizes[i]), "%s", read_back(SO_SNDBUF));
        set(SO_RCVBUFFORCE, sizes[i]);
        SHOW(named("SO_RCVBUFFORCE %d", sizes[i]), "%s", read_back(SO_RCVBUF));
    }
    char *bytes = calloc(1, 1 << 20);
    for (int t = 0; t < 3; t++) {
        static const int lengths[] = {1, 193, 705, 1729, 3776, 3777, 7873, 16065, 65536, 212960, 212961};
        for (unsigned i = 0; i < COUNT(lengths); i++) {
            int full[2], n = 0;
            MUST(socketpair(AF_UNIX, types[t], 0, full) == 0);
            ssize_t sent, last = 0;
            while ((sent = send(full[0], bytes, lengths[i], MSG_DONTWAIT)) > 0) {
                n++;
                last = sent;
            }
            SHOW(named("%d sends of %d", t, lengths[i]), "%d, last %zd, then %s", n, last, error_name(errno));
            close(full[0]);
            close(full[1]);
        }
    }
    free(bytes);
}

GROUP(unix_peer)
{
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    struct ucred peer;
    socklen_t len = sizeof peer;
    OK("SO_PEERCRED", getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &len));
    YES("is this process", peer.pid == getpid());
    gid_t groups[NGROUPS_MAX], own[NGROUPS_MAX];
    int n = getgroups(NGROUPS_MAX, own);
    len = sizeof groups;
    OK("SO_PEERGROUPS", getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, groups, &len));
    EQ("as many", n, len / sizeof *groups);
    YES("are its groups", !memcmp(groups, own, len));
    if (geteuid() == 0) {
        int status;
        CHILD(status, {
            gid_t three[] = {7, 8, 9};
            MUST(setgroups(3, three) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
            len = 4;
            ERR("no room for the groups", ERANGE, getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, groups, &len));
            EQ("which is told", 12, len);
            OK("room", getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, groups, &len));
            EQ("the third", 9, groups[2]);
        });
    }
    int fd = -1;
    len = sizeof fd;
    OK("SO_PEERPIDFD", getsockopt(s[0], SOL_SOCKET, 77, &fd, &len));
    OK("is a pidfd", syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    EQ("closed by exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    uint64_t cookie[2];
    len = sizeof *cookie;
    OK("SO_COOKIE", getsockopt(s[0], SOL_SOCKET, SO_COOKIE, &cookie[0], &len));
    OK("of the other", getsockopt(s[1], SOL_SOCKET, SO_COOKIE, &cookie[1], &len));
    YES("differs", cookie[0] != cookie[1]);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    len = sizeof peer;
    OK("SO_PEERCRED of nobody", getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len));
    EQ("no process", 0, peer.pid);
    EQ("no user", -1, (int)peer.uid);
    len = sizeof groups;
    ERR("SO_PEERGROUPS of nobody", ENODATA, getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len));
    len = 4;
    ERR("SO_PEERPIDFD of nobody", ENODATA, getsockopt(fd, SOL_SOCKET, 77, groups, &len));
    len = 4;
    ERR("SO_PEERSEC without a security module", ENOPROTOOPT, getsockopt(fd, SOL_SOCKET, SO_PEERSEC, groups, &len));
}

/* What comes along with a message: SO_TIMESTAMP, SO_PASSPIDFD. */
GROUP(unix_ancillary)
{
    for (int t = 0; t < 3; t++) {
        static const int wanted[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, SO_PASSCRED, 76};
        int one = 1;
        MUST(socketpair(AF_UNIX, types[t], 0, s) == 0);
        for (unsigned i = 0; i < COUNT(wanted); i++) {
            OK(named("%d option %d", t, wanted[i]), setsockopt(s[1], SOL_SOCKET, wanted[i], &one, sizeof one));
            char control[256], rights[CMSG_SPACE(sizeof(int))] = {0}, byte;
            struct iovec iov = {"x", 1};
            struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = rights, .msg_controllen = sizeof rights};
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
            memcpy(CMSG_DATA(c), &(int){1}, sizeof(int));
            MUST(sendmsg(s[0], &msg, 0) == 1);
            iov.iov_base = &byte;
            msg = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
            MUST(recvmsg(s[1], &msg, 0) == 1);
            char seen[128] = "";
            for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
                size_t len = c->cmsg_len - CMSG_LEN(0);
                snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d of %zu, ", c->cmsg_type, len);
                if (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == 4)
                    close(*(int *)CMSG_DATA(c));
            }
            SHOW(named("%d with option %d", t, wanted[i]), "%s", seen);
        }
        close(s[0]);
        close(s[1]);
    }
}

/* What a receiver's filter lets in: nothing of what does not begin with an a, and two bytes of the rest. */
GROUP(unix_filter)
{
    static const struct {
        const char *name;
        int type, kept;
    } kinds[] = {{"datagrams", SOCK_DGRAM, 1}, {"packets", SOCK_SEQPACKET, 1}, {"streams", SOCK_STREAM, 0}};
    struct sock_filter code[] = {
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 0},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 'a'},
        {BPF_RET | BPF_K, 0, 0, 2},
        {BPF_RET | BPF_K, 0, 0, 0},
    };
    struct sock_fprog program = {COUNT(code), code};
    char bytes[16];
    int ends[2], zero = 0, one = 1, value = 9;
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        MUST(socketpair(AF_UNIX, kinds[i].type, 0, ends) == 0);
        ERR(named("%s: none to detach", kinds[i].name), ENOENT, setsockopt(ends[1], SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
        OK(named("%s: attach", kinds[i].name), setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
        EQ(named("%s: the sender does not know", kinds[i].name), 3, send(ends[0], "bcd", 3, 0));
        EQ(named("%s: nor of what is cut", kinds[i].name), 4, send(ends[0], "abcd", 4, 0));
        EQ(named("%s: what comes", kinds[i].name), kinds[i].kept ? 2 : 7, recv(ends[1], bytes, sizeof bytes, MSG_DONTWAIT));
        ERR(named("%s: and no more", kinds[i].name), EAGAIN, recv(ends[1], bytes, sizeof bytes, MSG_DONTWAIT));
        EQ(named("%s: not in the other direction", kinds[i].name), 3, ({ send(ends[1], "bcd", 3, 0); recv(ends[0], bytes, sizeof bytes, MSG_DONTWAIT); }));
        OK(named("%s: lock", kinds[i].name), setsockopt(ends[1], SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one));
        socklen_t n = sizeof value;
        EQ(named("%s: locked", kinds[i].name), 1, getsockopt(ends[1], SOL_SOCKET, SO_LOCK_FILTER, &value, &n) ? -1 : value);
        ERR(named("%s: no detaching then", kinds[i].name), EPERM, setsockopt(ends[1], SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
        ERR(named("%s: nor another", kinds[i].name), EPERM, setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
        ERR(named("%s: nor unlocking", kinds[i].name), EPERM, setsockopt(ends[1], SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof zero));
        close(ends[0]);
        close(ends[1]);
    }
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    struct sock_fprog bad = {0, code};
    ERR("an empty program", EINVAL, setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &bad, sizeof bad));
    OK("attach", setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    OK("detach", setsockopt(ends[1], SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
    EQ("all comes", 3, ({ send(ends[0], "bcd", 3, 0); recv(ends[1], bytes, sizeof bytes, MSG_DONTWAIT); }));
}
