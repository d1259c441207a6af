/* What the cases of the network share: a network of their own on Linux, and the messages of rtnetlink(7). */
#ifndef NET_H
#define NET_H

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

/* Where there are namespaces of networks, one of our own, so that nothing of the machine's is changed; without, the machine's, which
 * is ours. The loopback interface is up in both. Leaves the group where an ordinary user may do neither. */
__attribute__((unused)) static void own_network(void)
{
    if (geteuid() != 0)
        _exit(0);
    if (unshare(CLONE_NEWNET) < 0)
        errno = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo"};
    MUST(fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0);
    request.ifr_flags |= IFF_UP;
    MUST(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
    /* As it is at first, whatever a group before has made of it. */
    request.ifr_mtu = 65536;
    MUST(ioctl(fd, SIOCSIFMTU, &request) == 0);
    request.ifr_qlen = 1000;
    MUST(ioctl(fd, SIOCSIFTXQLEN, &request) == 0);
    close(fd);
}

/* A request to rtnetlink. */
struct request {
    struct nlmsghdr header;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtmsg route;
        struct fib_rule_hdr rule;
        struct ndmsg neighbor;
        struct rtgenmsg any;
    };
    char attributes[512];
};

__attribute__((unused)) static struct request asking(int kind, int flags, size_t body)
{
    struct request request;
    memset(&request, 0, sizeof request);
    request.header.nlmsg_type = kind;
    request.header.nlmsg_flags = NLM_F_REQUEST | flags;
    request.header.nlmsg_seq = 7;
    request.header.nlmsg_len = NLMSG_LENGTH(body);
    return request;
}

__attribute__((unused)) static void with(struct request *request, int kind, const void *value, size_t len)
{
    struct rtattr *attribute = (void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
    attribute->rta_type = kind;
    attribute->rta_len = RTA_LENGTH(len);
    if (len)
        memcpy(RTA_DATA(attribute), value, len);
    request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(RTA_LENGTH(len));
}

__attribute__((unused)) static void with_number(struct request *request, int kind, unsigned value)
{
    with(request, kind, &value, sizeof value);
}

__attribute__((unused)) static void with_ip(struct request *request, int kind, const char *text)
{
    char address[16];
    int v6 = !!strchr(text, ':');
    MUST(inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1);
    with(request, kind, address, v6 ? 16 : 4);
}

/* Sends it and waits for the acknowledgement: 0, or -1 and errno. */
__attribute__((unused)) static int ask(struct request *request)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    char answer[8192];
    MUST(fd >= 0);
    request->header.nlmsg_flags |= NLM_F_ACK;
    MUST(send(fd, request, request->header.nlmsg_len, 0) == request->header.nlmsg_len);
    for (;;) {
        MUST(recv(fd, answer, sizeof answer, 0) > 0);
        struct nlmsghdr *header = (void *)answer;
        if (header->nlmsg_type != NLMSG_ERROR)
            continue;
        int error = ((struct nlmsgerr *)NLMSG_DATA(header))->error;
        close(fd);
        errno = -error;
        return error ? -1 : 0;
    }
}

/* Calls `each` for all answers of a dump. */
__attribute__((unused)) static void dump(struct request *request, void (*each)(struct nlmsghdr *, void *), void *with)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    static char answer[65536];
    MUST(fd >= 0);
    request->header.nlmsg_flags |= NLM_F_DUMP;
    MUST(send(fd, request, request->header.nlmsg_len, 0) == request->header.nlmsg_len);
    for (;;) {
        ssize_t n = recv(fd, answer, sizeof answer, 0);
        MUST(n > 0);
        for (struct nlmsghdr *header = (void *)answer; NLMSG_OK(header, n); header = NLMSG_NEXT(header, n)) {
            if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
                close(fd);
                return;
            }
            each(header, with);
        }
    }
}

/* The attribute of a type behind a body of `skip` bytes. */
__attribute__((unused)) static struct rtattr *attribute(struct nlmsghdr *header, size_t skip, int kind)
{
    struct rtattr *at = (void *)((char *)NLMSG_DATA(header) + NLMSG_ALIGN(skip));
    int len = header->nlmsg_len - NLMSG_SPACE(skip);
    for (; RTA_OK(at, len); at = RTA_NEXT(at, len))
        if ((at->rta_type & NLA_TYPE_MASK) == kind)
            return at;
    return 0;
}

__attribute__((unused)) static int address(int kind, int flags, unsigned index, const char *text, int prefix)
{
    struct request request = asking(kind, flags, sizeof request.address);
    request.address.ifa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    request.address.ifa_prefixlen = prefix;
    request.address.ifa_index = index;
    if (request.address.ifa_family == AF_INET6)
        request.address.ifa_flags = IFA_F_NODAD;
    with_ip(&request, IFA_LOCAL, text);
    return ask(&request);
}

__attribute__((unused)) static int link_flags(unsigned index, unsigned flags, unsigned change)
{
    struct request request = asking(RTM_NEWLINK, 0, sizeof request.link);
    request.link.ifi_index = index;
    request.link.ifi_flags = flags;
    request.link.ifi_change = change;
    return ask(&request);
}

__attribute__((unused)) static void sum_words(uint32_t *sum, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i + 1 < len; i += 2)
        *sum += bytes[i] << 8 | bytes[i + 1];
    if (len & 1)
        *sum += bytes[len - 1] << 8;
}

__attribute__((unused)) static uint16_t folded(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons(~sum & 0xffff);
}
#endif
