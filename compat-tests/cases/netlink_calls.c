/* What calls and general options do on netlink and packet sockets. */
#include "case.h"
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <poll.h>

static int number_of(int fd, int option)
{
    int number = -7;
    socklen_t len = sizeof number;
    return getsockopt(fd, SOL_SOCKET, option, &number, &len) ? -errno : number;
}

static int set_number(int fd, int option, int number)
{
    return setsockopt(fd, SOL_SOCKET, option, &number, sizeof number);
}

static int ready(int fd)
{
    struct pollfd one = {fd, POLLIN | POLLOUT | POLLWRNORM | POLLWRBAND | POLLPRI, 0};
    poll(&one, 1, 0);
    return one.revents;
}

GROUP(netlink_options)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    ERR("SO_REUSEPORT", EOPNOTSUPP, set_number(fd, SO_REUSEPORT, 1));
    OK("no SO_REUSEPORT", set_number(fd, SO_REUSEPORT, 0));
    ERR("SO_ZEROCOPY", EOPNOTSUPP, set_number(fd, SO_ZEROCOPY, 0));
    ERR("SO_PEEK_OFF", EOPNOTSUPP, set_number(fd, SO_PEEK_OFF, 1));
    EQ("SO_PEEK_OFF told", -EOPNOTSUPP, number_of(fd, SO_PEEK_OFF));
    OK("SO_PASSSEC", set_number(fd, SO_PASSSEC, 1));
    EQ("SO_PASSSEC told", 1, number_of(fd, SO_PASSSEC));
    ERR("SO_ATTACH_REUSEPORT_EBPF", EBADF, set_number(fd, SO_ATTACH_REUSEPORT_EBPF, NOFD));
    struct sockaddr_nl name;
    socklen_t len = sizeof name;
    OK("SO_PEERNAME", getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &name, &len));
    SHOW("the kernel", "%d bytes, family %d port %u", len, name.nl_family, name.nl_pid);
    len = 64;
    char more[64];
    ERR("SO_PEERNAME, much room", EINVAL, getsockopt(fd, SOL_SOCKET, SO_PEERNAME, more, &len));
    EQ("ready", POLLOUT | POLLWRNORM | POLLWRBAND, ready(fd));
}

GROUP(netlink_sending)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    struct nlmsghdr nothing = {sizeof nothing, NLMSG_NOOP, 0, 0, 0};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    EQ("an address of no length", sizeof nothing, sendto(fd, &nothing, sizeof nothing, 0, (void *)&kernel, 0));
    ERR("half an address", EINVAL, sendto(fd, &nothing, sizeof nothing, 0, (void *)&kernel, 6));
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec vector = {&nothing, sizeof nothing};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ERR("files", EINVAL, sendmsg(fd, &message, 0));
}

GROUP(packet_general)
{
    if (geteuid())
        return;
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    char name[64];
    socklen_t len = sizeof name;
    ERR("SO_PEERNAME", ENOTCONN, getsockopt(fd, SOL_SOCKET, SO_PEERNAME, name, &len));
    ERR("SO_REUSEPORT", EOPNOTSUPP, set_number(fd, SO_REUSEPORT, 1));
    EQ("SO_PEEK_OFF told", -EOPNOTSUPP, number_of(fd, SO_PEEK_OFF));
    ERR("nowhere, and no frame either", ENXIO, send(fd, BAD, 100, 0));
    EQ("ready", POLLOUT | POLLWRNORM | POLLWRBAND, ready(fd));
}
