/* What calls on AF_UNIX sockets look at first, and options that few use. */
#include "case.h"
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <net/if.h>

#define SO_BUSY_POLL_BUDGET_ 70
#define SO_NETNS_COOKIE_ 71
#define SO_RESERVE_MEM_ 73
#define SO_DEVMEM_DONTNEED_ 80
#define SO_INQ_ 84

static int pair[2];
static void new_pair(int type)
{
    close(pair[0]);
    close(pair[1]);
    MUST(socketpair(AF_UNIX, type, 0, pair) == 0);
}

GROUP(unix_control)
{
    new_pair(SOCK_STREAM);
    char byte = 'x';
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_controllen = 16};
    ERR("no control messages where they should be", EFAULT, sendmsg(pair[0], &message, 0));
    message.msg_controllen = -1;
    ERR("far too many", ENOBUFS, sendmsg(pair[0], &message, 0));
    message.msg_controllen = 0;
    EQ("none", 1, sendmsg(pair[0], &message, 0));
}

GROUP(unix_creation)
{
    int fds[2] = {7, 8};
    ERR("a type that cannot be", EINVAL, socket(AF_UNIX, 11, 0));
    ERR("a type that cannot be, twice", EINVAL, socketpair(AF_UNIX, 15, 0, fds));
    ERR("the old type of packets", ESOCKTNOSUPPORT, socket(AF_UNIX, SOCK_PACKET, 0));
    ERR("a family that cannot be", EAFNOSUPPORT, socket(46, 15, 0));
    ERR("no place for the pair", EFAULT, socketpair(AF_INET, SOCK_STREAM, 0, BAD));
    ERR("no pair of the Internet", EOPNOTSUPP, socketpair(AF_INET, SOCK_STREAM, 0, fds));
    int one = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    ERR("out of band, but to whom", ENOTCONN, send(one, "x", 1, MSG_OOB));
    new_pair(SOCK_SEQPACKET);
    ERR("out of band by packets", EOPNOTSUPP, send(pair[0], "x", 1, MSG_OOB));
}

GROUP(unix_full_listener)
{
    struct sockaddr_un name = {AF_UNIX, "full"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    MUST(bind(listener, (void *)&name, sizeof name) == 0 && listen(listener, 0) == 0);
    OK("the first", connect(client, (void *)&name, sizeof name));
    ERR("again, while there is no room", EAGAIN, connect(client, (void *)&name, sizeof name));
    MUST(accept(listener, 0, 0) >= 0);
    ERR("again, where there is", EISCONN, connect(client, (void *)&name, sizeof name));
}

/* What waits for room at a listener does not keep it: its close is an answer. */
GROUP(unix_listener_goes)
{
    struct sockaddr_un name = {AF_UNIX, "goes"};
    for (int type = SOCK_STREAM; type; type = type == SOCK_STREAM ? SOCK_SEQPACKET : 0) {
        int listener = socket(AF_UNIX, type, 0), client = socket(AF_UNIX, type, 0);
        MUST(bind(listener, (void *)&name, sizeof name) == 0 && listen(listener, 0) == 0);
        MUST(connect(client, (void *)&name, sizeof name) == 0);
        int told[2];
        MUST(pipe(told) == 0);
        pid_t child = fork();
        if (child == 0) {
            close(listener);
            alarm(5);
            int late = socket(AF_UNIX, type, 0);
            write(told[1], "", 1);
            _exit(connect(late, (void *)&name, sizeof name) == 0 ? 0 : errno);
        }
        char byte;
        MUST(read(told[0], &byte, 1) == 1);
        usleep(20000);
        close(listener);
        int status;
        waitpid(child, &status, 0);
        EQ("who waited is refused", ECONNREFUSED, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        ERR("who was not accepted is told", ECONNRESET, read(client, &byte, 1));
        unlink(name.sun_path);
        close(client);
    }
}

GROUP(unix_room)
{
    /* As Linux counts: a packet's first 17 pages beyond a block are pages, the rest is one piece. */
    static const int sizes[] = {1, 16000, 65536, 100000, 200000, 212960};
    char *bytes = calloc(1, 212960);
    for (unsigned i = 0; i < COUNT(sizes); i++)
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += type == SOCK_DGRAM ? 3 : 1) {
            int held = 0;
            new_pair(type);
            fcntl(pair[0], F_SETFL, O_NONBLOCK);
            send(pair[0], bytes, sizes[i], 0);
            ioctl(pair[0], SIOCOUTQ, &held);
            SHOW(named("type %d, %d bytes", type, sizes[i]), "%d", held);
        }
    free(bytes);
    new_pair(SOCK_STREAM);
    int size = 4608, sent = 0, read = 0;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    char some[100] = "";
    while (send(pair[0], some, sizeof some, 0) == sizeof some)
        sent++;
    struct pollfd room = {pair[0], POLLOUT, 0};
    while (poll(&room, 1, 0) == 0 && recv(pair[1], some, sizeof some, MSG_DONTWAIT) > 0)
        read++;
    SHOW("writable again", "after %d of %d", read, sent);
}

GROUP(unix_ioctl)
{
    new_pair(SOCK_STREAM);
    struct ifreq request = {.ifr_name = "none"};
    ERR("a driver's own, of nobody", ENODEV, ioctl(pair[0], SIOCDEVPRIVATE, &request));
    strcpy(request.ifr_name, "lo");
    ERR("a driver's own, of one without", EOPNOTSUPP, ioctl(pair[0], SIOCDEVPRIVATE, &request));
    ERR("a request that cannot be read", EFAULT, ioctl(pair[0], SIOCDEVPRIVATE, 0));
    ERR("an unknown one that cannot be read", EFAULT, ioctl(pair[0], 0x894b, 0));
    ERR("an unknown one", ENOTTY, ioctl(pair[0], 0x894b, &request));
    ERR("not of sockets", ENOTTY, ioctl(pair[0], 0x12345, 0));
    ERR("a stamp", ENOTTY, ioctl(pair[0], 0x8906, 0));
}

static int set(int option, const void *value, int size)
{
    return setsockopt(pair[0], SOL_SOCKET, option, value, size);
}

static int set_number(int option, int value)
{
    return set(option, &value, sizeof value);
}

GROUP(unix_rare_options)
{
    int number = -1, two[2] = {-1, -1};
    long wide = 0;
    char name[64] = "?";
    socklen_t len;
    new_pair(SOCK_STREAM);
    len = sizeof name;
    OK("device", getsockopt(pair[0], SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    EQ("device's length", 0, len);
    OK("device, no place", getsockopt(pair[0], SOL_SOCKET, SO_BINDTODEVICE, 0, &len));
    ERR("a device that is not there", ENODEV, set(SO_BINDTODEVICE, "nothing", 8));
    OK("device lo", set(SO_BINDTODEVICE, "lo", 2));
    len = sizeof name;
    OK("device", getsockopt(pair[0], SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    TEXT("device's name", "lo", name);
    EQ("device's length", 3, len);
    len = 15;
    ERR("device, too little room", EINVAL, getsockopt(pair[0], SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    OK("device none", set(SO_BINDTODEVICE, 0, 0));

    OK("SO_TIMESTAMPING", set_number(SO_TIMESTAMPING, 0x18));
    len = sizeof two;
    OK("SO_TIMESTAMPING", getsockopt(pair[0], SOL_SOCKET, SO_TIMESTAMPING, two, &len));
    SHOW("SO_TIMESTAMPING told", "%d: %x %x", len, two[0], two[1]);
    ERR("SO_TIMESTAMPING, unknown", EINVAL, set_number(SO_TIMESTAMPING, 1 << 30));
    ERR("SO_TIMESTAMPING, statistics alone", EINVAL, set_number(SO_TIMESTAMPING, 1 << 12));
    struct { int clock; unsigned flags; } txtime = {CLOCK_MONOTONIC, 3};
    OK("SO_TXTIME", set(SO_TXTIME, &txtime, sizeof txtime));
    len = sizeof two;
    OK("SO_TXTIME", getsockopt(pair[0], SOL_SOCKET, SO_TXTIME, two, &len));
    SHOW("SO_TXTIME told", "%d: %d %d", len, two[0], two[1]);
    txtime.flags = 4;
    ERR("SO_TXTIME, unknown", EINVAL, set(SO_TXTIME, &txtime, sizeof txtime));
    ERR("SO_TXTIME, short", EINVAL, set(SO_TXTIME, &txtime, 4));
    len = sizeof number;
    OK("SO_BPF_EXTENSIONS", getsockopt(pair[0], SOL_SOCKET, SO_BPF_EXTENSIONS, &number, &len));
    EQ("SO_BPF_EXTENSIONS told", 64, number);
    ERR("SO_ATTACH_BPF, no descriptor", EBADF, set_number(SO_ATTACH_BPF, NOFD));
    ERR("SO_ATTACH_BPF, no program", EINVAL, set_number(SO_ATTACH_BPF, 1));
    ERR("SO_ATTACH_REUSEPORT_EBPF, no descriptor", EBADF, set_number(SO_ATTACH_REUSEPORT_EBPF, NOFD));
    ERR("SO_ATTACH_REUSEPORT_CBPF", EINVAL, set_number(SO_ATTACH_REUSEPORT_CBPF, 1));
    OK("SO_CNX_ADVICE", set_number(SO_CNX_ADVICE, 1));
    OK("SO_BUSY_POLL_BUDGET", set_number(SO_BUSY_POLL_BUDGET_, 8));
    ERR("SO_BUSY_POLL_BUDGET, negative", EINVAL, set_number(SO_BUSY_POLL_BUDGET_, -1));
    ERR("SO_RESERVE_MEM, negative", EINVAL, set_number(SO_RESERVE_MEM_, -1));
    ERR("SO_DEVMEM_DONTNEED", EBADF, set_number(SO_DEVMEM_DONTNEED_, 1));
    len = 4;
    ERR("SO_COOKIE, little room", EINVAL, getsockopt(pair[0], SOL_SOCKET, SO_COOKIE, &wide, &len));
    len = 8;
    OK("SO_NETNS_COOKIE", getsockopt(pair[0], SOL_SOCKET, SO_NETNS_COOKIE_, &wide, &len));
    len = 4;
    ERR("SO_NETNS_COOKIE, little room", EINVAL, getsockopt(pair[0], SOL_SOCKET, SO_NETNS_COOKIE_, &wide, &len));
    ERR("unknown, no place", ENOPROTOOPT, getsockopt(pair[0], SOL_SOCKET, 1000, 0, &len));
    ERR("known, no place", EFAULT, getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, 0, &len));
}

static void receive(const char *name, int size)
{
    char bytes[64], control[256] = "", text[256] = "";
    struct iovec vector = {bytes, size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int n = recvmsg(pair[1], &message, MSG_DONTWAIT), at = 0;
    for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); n >= 0 && one; one = CMSG_NXTHDR(&message, one)) {
        at += sprintf(text + at, " %d of %zu bytes", one->cmsg_type, one->cmsg_len);
        if (one->cmsg_type == SO_INQ_)
            at += sprintf(text + at, ": %d", *(int *)CMSG_DATA(one));
    }
    SHOW(name, "%d%s", n, text);
}

GROUP(unix_told)
{
    int on = 1;
    new_pair(SOCK_STREAM);
    /* Since Linux 6.17. */
    MUST(setsockopt(pair[1], SOL_SOCKET, SO_INQ_, &on, sizeof on) == 0);
    MUST(send(pair[0], "0123456789", 10, 0) == 10);
    receive("what is left", 4);
    receive("nothing is left", 10);
    new_pair(SOCK_DGRAM);
    ERR("of packets there is no such thing", ENOPROTOOPT, setsockopt(pair[1], SOL_SOCKET, SO_INQ_, &on, sizeof on));
    int stamping = 0x18;
    MUST(setsockopt(pair[1], SOL_SOCKET, SO_TIMESTAMPING, &stamping, sizeof stamping) == 0);
    MUST(send(pair[0], "x", 1, 0) == 1);
    receive("stamping alone stamps nothing", 4);
    MUST(setsockopt(pair[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on) == 0);
    MUST(send(pair[0], "x", 1, 0) == 1);
    receive("together", 4);
}

GROUP(vmsplice_of_nothing)
{
    new_pair(SOCK_STREAM);
    OK("nothing into what takes nothing", vmsplice(pair[0], 0, 0, 0));
    struct iovec vector = {"x", 1};
    ERR("something", EBADF, vmsplice(pair[0], &vector, 1, 0));
}
