/* Netlink: netlink(7), rtnetlink(7); and what ioctl(2) changes of interfaces, netdevice(7). */
#include "case.h"
#include "net.h"

#include <linux/if_arp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sockios.h>
#include <net/route.h>

#define LO 1

static int netlink(int protocol)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    MUST(fd >= 0);
    return fd;
}

GROUP(netlink_socket)
{
    own_network();
    static const int families[] = {NETLINK_ROUTE, NETLINK_USERSOCK, NETLINK_SOCK_DIAG, NETLINK_NETFILTER, NETLINK_KOBJECT_UEVENT};
    for (size_t i = 0; i < COUNT(families); i++)
        YES(named("family %d", families[i]), socket(AF_NETLINK, SOCK_RAW, families[i]) >= 0);
    ERR("family 31", EPROTONOSUPPORT, socket(AF_NETLINK, SOCK_RAW, 31));
    ERR("family 32", EPROTONOSUPPORT, socket(AF_NETLINK, SOCK_RAW, 32));
    ERR("stream", ESOCKTNOSUPPORT, socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
    int fd = netlink(NETLINK_ROUTE), value = -1, pair[2];
    ERR("socketpair", EOPNOTSUPP, socketpair(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, pair));
    struct sockaddr_nl name, to = {.nl_family = AF_NETLINK};
    socklen_t len = sizeof name;
    OK("getsockname", getsockname(fd, (void *)&name, &len));
    SHOW("name unbound", "%d %d %u %x", len, name.nl_family, name.nl_pid, name.nl_groups);
    ERR("bind short", EINVAL, bind(fd, (void *)&to, sizeof to - 1));
    to.nl_family = AF_INET;
    ERR("bind family", EINVAL, bind(fd, (void *)&to, sizeof to));
    to.nl_family = AF_NETLINK;
    OK("bind", bind(fd, (void *)&to, sizeof to));
    len = sizeof name;
    OK("getsockname bound", getsockname(fd, (void *)&name, &len));
    YES("port is the process", (pid_t)name.nl_pid == getpid());
    OK("bind again", bind(fd, (void *)&name, sizeof name));
    to.nl_pid = 77;
    ERR("bind to another port", EINVAL, bind(fd, (void *)&to, sizeof to));
    int second = netlink(NETLINK_ROUTE), other = netlink(NETLINK_USERSOCK);
    to.nl_pid = name.nl_pid;
    ERR("port in use", EADDRINUSE, bind(second, (void *)&to, sizeof to));
    OK("port of another family", bind(other, (void *)&to, sizeof to));
    to.nl_pid = 0;
    OK("bind second", bind(second, (void *)&to, sizeof to));
    len = sizeof name;
    getsockname(second, (void *)&name, &len);
    YES("another port", name.nl_pid && (pid_t)name.nl_pid != getpid());
    ERR("listen", EOPNOTSUPP, listen(fd, 1));
    ERR("accept", EOPNOTSUPP, accept(fd, 0, 0));
    ERR("shutdown", EOPNOTSUPP, shutdown(fd, SHUT_RD));
    len = sizeof name;
    OK("getpeername", getpeername(fd, (void *)&name, &len));
    SHOW("peer", "%d %d %u %x", len, name.nl_family, name.nl_pid, name.nl_groups);
    to = (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_pid = 4321};
    OK("connect", connect(second, (void *)&to, sizeof to));
    getpeername(second, (void *)&name, &len);
    EQ("peer's port", 4321, name.nl_pid);
    ERR("send to nobody", ECONNREFUSED, send(second, "0123456789abcdef", 16, 0));
    to.nl_family = AF_UNSPEC;
    OK("disconnect", connect(second, (void *)&to, sizeof to));
    ERR("connect short", EINVAL, connect(second, (void *)&to, 1));
    ERR("send nothing", ENODATA, send(fd, "", 0, 0));
    ERR("send out of band", EOPNOTSUPP, send(fd, "x", 1, MSG_OOB));
    ERR("receive out of band", EOPNOTSUPP, recv(fd, &value, 4, MSG_OOB));
    ERR("receive, nothing there", EAGAIN, recv(fd, &value, 4, MSG_DONTWAIT));
    ERR("FIONREAD", ENOTTY, ioctl(fd, FIONREAD, &value));
    static const int options[] = {NETLINK_PKTINFO, NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK};
    for (size_t i = 0; i < COUNT(options); i++) {
        len = sizeof value, value = -1;
        int result = getsockopt(fd, SOL_NETLINK, options[i], &value, &len);
        SHOW(named("option %d at first", options[i]), "%d %d %d", result, value, len);
        value = 1;
        OK(named("set option %d", options[i]), setsockopt(fd, SOL_NETLINK, options[i], &value, sizeof value));
        value = -1;
        getsockopt(fd, SOL_NETLINK, options[i], &value, &len);
        EQ(named("option %d", options[i]), 1, value);
        len = 2;
        ERR(named("option %d, room", options[i]), EINVAL, getsockopt(fd, SOL_NETLINK, options[i], &value, &len));
    }
    value = RTNLGRP_LINK;
    OK("join", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &value, sizeof value));
    len = sizeof name;
    getsockname(fd, (void *)&name, &len);
    EQ("groups", 1, name.nl_groups);
    unsigned groups[8] = {0};
    len = 4;
    OK("LIST_MEMBERSHIPS", getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len));
    EQ("listed", 1, groups[0]);
    OK("leave", setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &value, sizeof value));
    len = sizeof name;
    getsockname(fd, (void *)&name, &len);
    EQ("no groups", 0, name.nl_groups);
    value = 0;
    ERR("join 0", EINVAL, setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &value, sizeof value));
    value = 9999;
    ERR("join 9999", EINVAL, setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &value, sizeof value));
    ERR("get 99", ENOPROTOOPT, getsockopt(fd, SOL_NETLINK, 99, &value, &len));
    ERR("set 99", ENOPROTOOPT, setsockopt(fd, SOL_NETLINK, 99, &value, sizeof value));
    AS_NOBODY({
        int own = netlink(NETLINK_ROUTE);
        struct sockaddr_nl wish = {.nl_family = AF_NETLINK, .nl_groups = 1};
        OK("nobody listens to links", bind(own, (void *)&wish, sizeof wish));
        own = netlink(NETLINK_NETFILTER);
        ERR("nobody and netfilter", EPERM, bind(own, (void *)&wish, sizeof wish));
        wish = (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_pid = 5};
        own = netlink(NETLINK_ROUTE);
        ERR("nobody to another", EPERM, sendto(own, "0123456789abcdef", 16, 0, (void *)&wish, sizeof wish));
        struct request request = asking(RTM_NEWLINK, 0, sizeof request.link);
        request.link.ifi_index = LO;
        ERR("nobody changes a link", EPERM, ask(&request));
        struct ifreq change = {.ifr_name = "lo"};
        ERR("nobody sets flags", EPERM, ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &change));
    });
}

/* What is answered to odd messages. */
static void answers(const char *name, int fd, void *message, size_t len)
{
    char answer[8192];
    struct pollfd poll_ = {fd, POLLIN, 0};
    MUST(send(fd, message, len, 0) == (ssize_t)len);
    if (poll(&poll_, 1, 100) != 1) {
        SHOW(name, "nothing");
        return;
    }
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    struct nlmsghdr *header = (void *)answer;
    if (header->nlmsg_type == NLMSG_ERROR)
        SHOW(name, "%zd %d: %s, flags %x, seq %u", n, header->nlmsg_len, error_name(-((struct nlmsgerr *)NLMSG_DATA(header))->error), header->nlmsg_flags, header->nlmsg_seq);
    else
        SHOW(name, "type %d, flags %x, seq %u", header->nlmsg_type, header->nlmsg_flags, header->nlmsg_seq);
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
}

GROUP(netlink_messages)
{
    own_network();
    int fd = netlink(NETLINK_ROUTE), on = 1;
    struct request request = asking(RTM_GETLINK, 0, sizeof request.link);
    request.link.ifi_index = 1234590;
    answers("no such link", fd, &request, request.header.nlmsg_len);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    answers("no such link, capped", fd, &request, request.header.nlmsg_len);
    request.link.ifi_index = LO;
    answers("one link", fd, &request, request.header.nlmsg_len);
    request.link.ifi_index = 0;
    answers("no link named", fd, &request, request.header.nlmsg_len);
    request.header.nlmsg_flags = NLM_F_ACK;
    answers("no request", fd, &request, request.header.nlmsg_len);
    request.header.nlmsg_flags = 0;
    answers("no request, no acknowledgement", fd, &request, request.header.nlmsg_len);
    request = asking(NLMSG_DONE, NLM_F_ACK, 0);
    answers("control message", fd, &request, request.header.nlmsg_len);
    request = asking(RTM_GETLINK, NLM_F_ACK, 0);
    answers("no body", fd, &request, request.header.nlmsg_len);
    request = asking(0x0ffe, NLM_F_DUMP, sizeof request.link);
    answers("unknown type", fd, &request, request.header.nlmsg_len);
    request = asking(RTM_GETLINK, NLM_F_DUMP, sizeof request.link);
    answers("dump", fd, &request, request.header.nlmsg_len);
    request.header.nlmsg_len = 8;
    answers("length too small", fd, &request, 32);
    request.header.nlmsg_len = 100;
    answers("length too large", fd, &request, 32);
    char small[10], control[64];
    request = asking(RTM_GETADDR, NLM_F_DUMP, sizeof request.any);
    MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0);
    struct iovec part = {small, 0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    YES("peek a length", recvmsg(fd, &message, MSG_PEEK | MSG_TRUNC) >= 28 && message.msg_flags & MSG_TRUNC);
    part.iov_len = sizeof small;
    on = 1;
    OK("SO_PASSCRED", setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    struct sockaddr_nl from;
    message = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    EQ("cut", 10, recvmsg(fd, &message, 0));
    SHOW("from the kernel", "%d %u %x, %s", message.msg_namelen, from.nl_pid, from.nl_groups, message.msg_flags & MSG_TRUNC ? "cut" : "whole");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    MUST(header && header->cmsg_type == SCM_CREDENTIALS);
    struct ucred who;
    memcpy(&who, CMSG_DATA(header), sizeof who);
    SHOW("the kernel's credentials", "%d %u %u", who.pid, who.uid, who.gid);
    int filter = netlink(NETLINK_NETFILTER);
    request = asking(NFNL_SUBSYS_NFTABLES << 8 | 16, 0, sizeof(struct nfgenmsg));
    /* A kernel that has these parts would do what is asked; none that has not knows this one. */
    request.header.nlmsg_type = 99 << 8;
    answers("netfilter without the part", filter, &request, request.header.nlmsg_len);
    int event = netlink(NETLINK_KOBJECT_UEVENT);
    struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = 1};
    OK("events of devices", bind(event, (void *)&all, sizeof all));
    ERR("there are none", EAGAIN, recv(event, small, sizeof small, MSG_DONTWAIT));
    EQ("a message is taken, and that is all", 10, send(event, small, sizeof small, 0));
    int one = netlink(NETLINK_USERSOCK), two = netlink(NETLINK_USERSOCK);
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = 991};
    OK("user one", bind(one, (void *)&to, sizeof to));
    EQ("user two to one", 5, sendto(two, "hello", 5, 0, (void *)&to, sizeof to));
    EQ("user one hears", 5, recv(one, small, sizeof small, MSG_DONTWAIT));
}

static void show_link(struct nlmsghdr *header, void *with)
{
    struct ifinfomsg *info = NLMSG_DATA(header);
    struct rtattr *name = attribute(header, sizeof *info, IFLA_IFNAME), *mtu = attribute(header, sizeof *info, IFLA_MTU);
    struct rtattr *mac = attribute(header, sizeof *info, IFLA_ADDRESS), *state = attribute(header, sizeof *info, IFLA_OPERSTATE);
    struct rtattr *queue = attribute(header, sizeof *info, IFLA_TXQLEN);
    if (!name || strcmp(RTA_DATA(name), with))
        return;
    SHOW(named("link %s", (char *)with), "type %d, flags %x, mtu %d, address %d, state %d, queue %d", info->ifi_type, info->ifi_flags,
         mtu ? *(int *)RTA_DATA(mtu) : -1, mac ? (int)RTA_PAYLOAD(mac) : -1, state ? *(char *)RTA_DATA(state) : -1, queue ? *(int *)RTA_DATA(queue) : -1);
}

static void show(const char *name)
{
    struct request request = asking(RTM_GETLINK, 0, sizeof request.link);
    dump(&request, show_link, (void *)name);
}

static int make_link(const char *kind, const char *name, const char *peer)
{
    struct request request = asking(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof request.link);
    with(&request, IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = (void *)((char *)&request + request.header.nlmsg_len), *data = 0, *other = 0;
    with(&request, IFLA_LINKINFO, 0, 0);
    with(&request, IFLA_INFO_KIND, kind, strlen(kind));
    if (peer) {
        struct ifinfomsg body = {0};
        data = (void *)((char *)&request + request.header.nlmsg_len);
        with(&request, IFLA_INFO_DATA, 0, 0);
        other = (void *)((char *)&request + request.header.nlmsg_len);
        with(&request, 1, &body, sizeof body);
        with(&request, IFLA_IFNAME, peer, strlen(peer) + 1);
        other->rta_len = (char *)&request + request.header.nlmsg_len - (char *)other;
        data->rta_len = (char *)&request + request.header.nlmsg_len - (char *)data;
    }
    info->rta_len = (char *)&request + request.header.nlmsg_len - (char *)info;
    return ask(&request);
}

static int remove_link(const char *name)
{
    struct request request = asking(RTM_DELLINK, 0, sizeof request.link);
    request.link.ifi_index = if_nametoindex(name);
    if (!request.link.ifi_index)
        with(&request, IFLA_IFNAME, name, strlen(name) + 1);
    return ask(&request);
}

GROUP(netlink_links)
{
    own_network();
    show("lo");
    ERR("remove lo", EOPNOTSUPP, remove_link("lo"));
    ERR("remove nothing", ENODEV, remove_link("nodevice?!"));
    OK("lo down", link_flags(LO, 0, IFF_UP));
    show("lo");
    OK("lo up", link_flags(LO, IFF_UP, IFF_UP));
    struct request request = asking(RTM_NEWLINK, 0, sizeof request.link);
    request.link.ifi_index = LO;
    with_number(&request, IFLA_MTU, 1400);
    OK("mtu of lo", ask(&request));
    show("lo");
    request = asking(RTM_NEWLINK, NLM_F_EXCL, sizeof request.link);
    request.link.ifi_index = LO;
    ERR("exclusive", EEXIST, ask(&request));
    request = asking(RTM_NEWLINK, 0, sizeof request.link);
    request.link.ifi_index = 99999;
    ERR("no such index", ENODEV, ask(&request));
    ERR("no such kind", EOPNOTSUPP, make_link("nosuchkind", "x0", 0));
    if (make_link("veth", "d0", "p0") == 0) {
        show("d0");
        ERR("again", EEXIST, make_link("veth", "d0", "p0"));
        ERR("bad name", EINVAL, make_link("veth", "a/b", "p1"));
        unsigned index = if_nametoindex("d0");
        OK("up", link_flags(index, IFF_UP, IFF_UP));
        request = asking(RTM_NEWLINK, 0, sizeof request.link);
        request.link.ifi_index = index;
        with(&request, IFLA_IFNAME, "d1", 3);
        OK("rename", ask(&request));
        YES("renamed", if_nametoindex("d1") == index && !if_nametoindex("d0"));
        request = asking(RTM_NEWLINK, 0, sizeof request.link);
        request.link.ifi_index = index;
        with(&request, IFLA_IFNAME, "lo", 3);
        ERR("rename to one that is there", EEXIST, ask(&request));
        request = asking(RTM_NEWLINK, 0, sizeof request.link);
        request.link.ifi_index = index;
        with(&request, IFLA_ADDRESS, "\x02\1\2\3\4\5", 6);
        OK("hardware address", ask(&request));
        request = asking(RTM_NEWLINK, 0, sizeof request.link);
        request.link.ifi_index = index;
        with(&request, IFLA_ADDRESS, "\x03\1\2\3\4\5", 6);
        ERR("a group's hardware address", EADDRNOTAVAIL, ask(&request));
        OK("remove", remove_link("d1"));
        EQ("gone", 0, if_nametoindex("d1"));
    }
    if (make_link("veth", "v0", "v1") == 0) {
        unsigned one = if_nametoindex("v0"), two = if_nametoindex("v1");
        show("v0");
        OK("up", link_flags(one, IFF_UP, IFF_UP));
        OK("peer up", link_flags(two, IFF_UP, IFF_UP));
        OK("remove both", remove_link("v1"));
        EQ("peer gone", 0, if_nametoindex("v0"));
    }
}

struct found {
    unsigned char ip[16];
    int len, seen, kind, scope, origin, oif, prefix;
    unsigned priority;
};

static void look_for_route(struct nlmsghdr *header, void *data)
{
    struct found *found = data;
    struct rtmsg *body = NLMSG_DATA(header);
    struct rtattr *to = attribute(header, sizeof *body, RTA_DST), *through = attribute(header, sizeof *body, RTA_OIF);
    struct rtattr *priority = attribute(header, sizeof *body, RTA_PRIORITY);
    if (!to || (int)RTA_PAYLOAD(to) != found->len || memcmp(RTA_DATA(to), found->ip, found->len) || body->rtm_dst_len != found->prefix)
        return;
    found->seen++;
    found->kind = body->rtm_type;
    found->scope = body->rtm_scope;
    found->origin = body->rtm_protocol;
    found->oif = through ? *(int *)RTA_DATA(through) : 0;
    found->priority = priority ? *(unsigned *)RTA_DATA(priority) : 0;
}

static struct found route_to(const char *text, int prefix)
{
    struct found found = {.prefix = prefix, .len = strchr(text, ':') ? 16 : 4};
    struct request request = asking(RTM_GETROUTE, 0, sizeof request.route);
    inet_pton(found.len == 16 ? AF_INET6 : AF_INET, text, found.ip);
    request.route.rtm_family = found.len == 16 ? AF_INET6 : AF_INET;
    dump(&request, look_for_route, &found);
    return found;
}

static void count_address(struct nlmsghdr *header, void *data)
{
    struct found *found = data;
    struct ifaddrmsg *body = NLMSG_DATA(header);
    struct rtattr *ip = attribute(header, sizeof *body, IFA_ADDRESS);
    if (ip && (int)RTA_PAYLOAD(ip) == found->len && !memcmp(RTA_DATA(ip), found->ip, found->len))
        found->seen++, found->prefix = body->ifa_prefixlen, found->scope = body->ifa_scope, found->oif = body->ifa_index;
}

static int reach(const char *text)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, text, &to.sin_addr);
    int result = connect(fd, (void *)&to, sizeof to), error = errno;
    close(fd);
    errno = error;
    return result;
}

static int bindable(const char *text)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET};
    inet_pton(AF_INET, text, &to.sin_addr);
    int result = bind(fd, (void *)&to, sizeof to), error = errno;
    close(fd);
    errno = error;
    return result;
}

GROUP(netlink_addresses)
{
    own_network();
    ERR("foreign", EADDRNOTAVAIL, bindable("10.99.0.1"));
    OK("add", address(RTM_NEWADDR, 0, LO, "10.99.0.1", 24));
    OK("ours", bindable("10.99.0.1"));
    ERR("again", EEXIST, address(RTM_NEWADDR, 0, LO, "10.99.0.1", 24));
    ERR("again, exclusive", EEXIST, address(RTM_NEWADDR, NLM_F_EXCL, LO, "10.99.0.1", 24));
    OK("replace", address(RTM_NEWADDR, NLM_F_REPLACE, LO, "10.99.0.1", 24));
    ERR("prefix 33", EINVAL, address(RTM_NEWADDR, 0, LO, "10.99.0.2", 33));
    ERR("no such interface", ENODEV, address(RTM_NEWADDR, 0, 9999, "10.99.0.2", 24));
    struct found found = {.len = 4};
    struct request request = asking(RTM_GETADDR, 0, sizeof request.address);
    request.address.ifa_family = AF_INET;
    inet_pton(AF_INET, "10.99.0.1", found.ip);
    dump(&request, count_address, &found);
    SHOW("listed", "%d times, prefix %d, scope %d, interface %d", found.seen, found.prefix, found.scope, found.oif);
    OK("remove", address(RTM_DELADDR, 0, LO, "10.99.0.1", 24));
    ERR("remove again", EADDRNOTAVAIL, address(RTM_DELADDR, 0, LO, "10.99.0.1", 24));
    ERR("foreign again", EADDRNOTAVAIL, bindable("10.99.0.1"));
    OK("add IPv6", address(RTM_NEWADDR, 0, LO, "fd99::1", 64));
    ERR("IPv6 again", EEXIST, address(RTM_NEWADDR, 0, LO, "fd99::1", 64));
    OK("remove IPv6", address(RTM_DELADDR, 0, LO, "fd99::1", 64));
    ERR("remove IPv6 again", EADDRNOTAVAIL, address(RTM_DELADDR, 0, LO, "fd99::1", 64));
    request = asking(RTM_NEWADDR, 0, sizeof request.address);
    request.address.ifa_family = AF_INET;
    request.address.ifa_index = LO;
    ERR("no address", EINVAL, ask(&request));
    request.address.ifa_family = 77;
    ERR("family 77", EOPNOTSUPP, ask(&request));
}

static int route(int kind, int flags, int type, const char *to, int prefix, unsigned through, const char *by, unsigned table)
{
    struct request request = asking(kind, flags, sizeof request.route);
    request.route.rtm_family = strchr(to, ':') ? AF_INET6 : AF_INET;
    request.route.rtm_dst_len = prefix;
    request.route.rtm_type = type;
    request.route.rtm_protocol = RTPROT_STATIC;
    request.route.rtm_scope = kind == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
    with_ip(&request, RTA_DST, to);
    if (through)
        with_number(&request, RTA_OIF, through);
    if (by)
        with_ip(&request, RTA_GATEWAY, by);
    if (table)
        with_number(&request, RTA_TABLE, table);
    return ask(&request);
}

GROUP(netlink_routes)
{
    own_network();
    int create = NLM_F_CREATE, only = NLM_F_CREATE | NLM_F_EXCL;
    ERR("without NLM_F_CREATE", ENOENT, route(RTM_NEWROUTE, 0, RTN_UNICAST, "192.0.2.0", 24, LO, 0, 0));
    OK("add", route(RTM_NEWROUTE, create, RTN_UNICAST, "192.0.2.0", 24, LO, 0, 0));
    ERR("again", EEXIST, route(RTM_NEWROUTE, create, RTN_UNICAST, "192.0.2.0", 24, LO, 0, 0));
    ERR("again, exclusive", EEXIST, route(RTM_NEWROUTE, only, RTN_UNICAST, "192.0.2.0", 24, LO, 0, 0));
    OK("replace", route(RTM_NEWROUTE, create | NLM_F_REPLACE, RTN_UNICAST, "192.0.2.0", 24, LO, 0, 0));
    struct found found = route_to("192.0.2.0", 24);
    SHOW("listed", "%d times, type %d, scope %d, protocol %d, through %d", found.seen, found.kind, found.scope, found.origin, found.oif);
    OK("reached", reach("192.0.2.9"));
    OK("remove", route(RTM_DELROUTE, 0, 0, "192.0.2.0", 24, LO, 0, 0));
    ERR("remove again", ESRCH, route(RTM_DELROUTE, 0, 0, "192.0.2.0", 24, LO, 0, 0));
    ERR("host's bits", EINVAL, route(RTM_NEWROUTE, create, RTN_UNICAST, "192.0.2.1", 24, LO, 0, 0));
    ERR("prefix 33", EINVAL, route(RTM_NEWROUTE, create, RTN_UNICAST, "192.0.2.0", 33, LO, 0, 0));
    ERR("nowhere", ENODEV, route(RTM_NEWROUTE, create, RTN_UNICAST, "192.0.2.0", 24, 0, 0, 0));
    ERR("no such interface", ENODEV, route(RTM_NEWROUTE, create, RTN_UNICAST, "192.0.2.0", 24, 9999, 0, 0));
    static const struct {
        const char *name;
        int type, error;
    } dead[] = {{"unreachable", RTN_UNREACHABLE, EHOSTUNREACH}, {"prohibit", RTN_PROHIBIT, EACCES}, {"blackhole", RTN_BLACKHOLE, EINVAL}};
    for (size_t i = 0; i < COUNT(dead); i++) {
        OK(named("add %s", dead[i].name), route(RTM_NEWROUTE, create, dead[i].type, "198.51.100.0", 24, 0, 0, 0));
        ERR(named("%s is", dead[i].name), dead[i].error, reach("198.51.100.7"));
        OK(named("remove %s", dead[i].name), route(RTM_DELROUTE, 0, dead[i].type, "198.51.100.0", 24, 0, 0, 0));
    }
    OK("longest", route(RTM_NEWROUTE, create, RTN_UNICAST, "198.51.100.0", 24, LO, 0, 0));
    OK("longer", route(RTM_NEWROUTE, create, RTN_PROHIBIT, "198.51.100.128", 25, 0, 0, 0));
    OK("lower half", reach("198.51.100.7"));
    ERR("upper half", EACCES, reach("198.51.100.130"));
    OK("no longer", route(RTM_DELROUTE, 0, RTN_PROHIBIT, "198.51.100.128", 25, 0, 0, 0));
    OK("IPv6", route(RTM_NEWROUTE, create, RTN_UNICAST, "2001:db8::", 64, LO, 0, 0));
    ERR("IPv6 again", EEXIST, route(RTM_NEWROUTE, create, RTN_UNICAST, "2001:db8::", 64, LO, 0, 0));
    found = route_to("2001:db8::", 64);
    SHOW("IPv6 listed", "%d times, type %d, through %d, priority %u", found.seen, found.kind, found.oif, found.priority);
    OK("remove IPv6", route(RTM_DELROUTE, 0, 0, "2001:db8::", 64, LO, 0, 0));
    ERR("remove IPv6 again", ESRCH, route(RTM_DELROUTE, 0, 0, "2001:db8::", 64, LO, 0, 0));
    /* Rules. */
    OK("in another table", route(RTM_NEWROUTE, create, RTN_PROHIBIT, "203.0.113.0", 24, 0, 0, 99));
    OK("in the main one", route(RTM_NEWROUTE, create, RTN_UNICAST, "203.0.113.0", 24, LO, 0, 0));
    OK("main counts", reach("203.0.113.1"));
    struct request rule = asking(RTM_NEWRULE, NLM_F_EXCL, sizeof rule.rule);
    rule.rule.family = AF_INET;
    rule.rule.table = 99;
    rule.rule.action = FR_ACT_TO_TBL;
    rule.rule.dst_len = 24;
    with_number(&rule, FRA_PRIORITY, 12345);
    with_ip(&rule, FRA_DST, "203.0.113.0");
    OK("rule", ask(&rule));
    ERR("rule again", EEXIST, ask(&rule));
    ERR("the rule counts", EACCES, reach("203.0.113.1"));
    rule.header.nlmsg_type = RTM_DELRULE;
    ERR("remove in bulk", EOPNOTSUPP, ask(&rule));
    rule.header.nlmsg_flags = NLM_F_REQUEST;
    OK("remove the rule", ask(&rule));
    ERR("remove it again", ENOENT, ask(&rule));
    OK("main counts again", reach("203.0.113.1"));
    ERR("gateway that is nowhere", ENETUNREACH, route(RTM_NEWROUTE, create, RTN_UNICAST, "203.0.114.0", 24, LO, "100.64.9.9", 0));
    OK("interface down", link_flags(LO, 0, IFF_UP));
    EQ("its routes are gone", 0, route_to("198.51.100.0", 24).seen);
    ERR("down", ENETDOWN, route(RTM_NEWROUTE, create, RTN_UNICAST, "192.0.2.0", 24, LO, 0, 0));
    OK("up again", link_flags(LO, IFF_UP, IFF_UP));
    OK("127.0.0.1 is back", reach("127.0.0.1"));
    OK("nothing is left", route(RTM_DELROUTE, 0, RTN_PROHIBIT, "203.0.113.0", 24, 0, 0, 99));
}

static void get_route(const char *name, const char *to)
{
    int fd = netlink(NETLINK_ROUTE);
    char answer[4096];
    struct request request = asking(RTM_GETROUTE, 0, sizeof request.route);
    request.route.rtm_family = AF_INET;
    request.route.rtm_dst_len = 32;
    with_ip(&request, RTA_DST, to);
    MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    struct nlmsghdr *header = (void *)answer;
    if (header->nlmsg_type == NLMSG_ERROR) {
        SHOW(name, "%s", error_name(-((struct nlmsgerr *)NLMSG_DATA(header))->error));
    } else {
        struct rtmsg *body = NLMSG_DATA(header);
        struct rtattr *through = attribute(header, sizeof *body, RTA_OIF), *source = attribute(header, sizeof *body, RTA_PREFSRC);
        struct rtattr *table = attribute(header, sizeof *body, RTA_TABLE);
        char text[32] = "none";
        if (source)
            inet_ntop(AF_INET, RTA_DATA(source), text, sizeof text);
        SHOW(name, "message %x, len %d, type %d, scope %d, protocol %d, flags %x, table %d, through %d, from %s", header->nlmsg_flags, body->rtm_dst_len, body->rtm_type, body->rtm_scope,
             body->rtm_protocol, body->rtm_flags, table ? *(int *)RTA_DATA(table) : -1, through ? *(int *)RTA_DATA(through) : -1, text);
    }
    close(fd);
}

GROUP(netlink_get_route)
{
    own_network();
    get_route("own", "127.0.0.2");
    OK("prohibit", route(RTM_NEWROUTE, NLM_F_CREATE, RTN_PROHIBIT, "198.51.100.0", 24, 0, 0, 0));
    get_route("prohibited", "198.51.100.1");
    if (make_link("veth", "d0", "p0") == 0) {
        unsigned index = if_nametoindex("d0");
        link_flags(index, IFF_UP, IFF_UP);
        link_flags(if_nametoindex("p0"), IFF_UP, IFF_UP);
        OK("address", address(RTM_NEWADDR, 0, index, "10.98.0.1", 24));
        struct found found = route_to("10.98.0.0", 24);
        SHOW("network", "%d times, type %d, scope %d, protocol %d", found.seen, found.kind, found.scope, found.origin);
        OK("by a gateway", route(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.97.0.0", 16, 0, "10.98.0.2", 0));
        OK("by ourselves", route(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.96.0.0", 16, 0, "10.98.0.1", 0));
        OK("removed", address(RTM_DELADDR, 0, index, "10.98.0.1", 24));
        EQ("network gone", 0, route_to("10.98.0.0", 24).seen);
        remove_link("d0");
    }
    OK("no more", route(RTM_DELROUTE, 0, RTN_PROHIBIT, "198.51.100.0", 24, 0, 0, 0));
}

static int next_event(int fd, char *text, size_t room)
{
    char answer[8192];
    struct pollfd poll_ = {fd, POLLIN, 0};
    if (poll(&poll_, 1, 300) != 1 || recv(fd, answer, sizeof answer, 0) <= 0)
        return 0;
    struct nlmsghdr *header = (void *)answer;
    snprintf(text, room, "%d", header->nlmsg_type);
    return header->nlmsg_type;
}

GROUP(netlink_events)
{
    own_network();
    char text[64] = "";
    int addresses = netlink(NETLINK_ROUTE), links = netlink(NETLINK_ROUTE), routes = netlink(NETLINK_ROUTE), silent = netlink(NETLINK_ROUTE);
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR}, from;
    MUST(bind(addresses, (void *)&to, sizeof to) == 0);
    to.nl_groups = RTMGRP_LINK;
    MUST(bind(links, (void *)&to, sizeof to) == 0);
    int group = RTNLGRP_IPV4_ROUTE;
    to.nl_groups = 0;
    MUST(bind(routes, (void *)&to, sizeof to) == 0 && setsockopt(routes, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
    OK("add", address(RTM_NEWADDR, 0, LO, "10.95.0.1", 32));
    EQ("new address", RTM_NEWADDR, next_event(addresses, text, sizeof text));
    OK("remove", address(RTM_DELADDR, 0, LO, "10.95.0.1", 32));
    char byte;
    socklen_t len = sizeof from;
    MUST(recvfrom(addresses, &byte, 1, MSG_PEEK, (void *)&from, &len) == 1);
    SHOW("from", "%u %x", from.nl_pid, from.nl_groups);
    EQ("address gone", RTM_DELADDR, next_event(addresses, text, sizeof text));
    struct request request = asking(RTM_NEWLINK, 0, sizeof request.link);
    request.link.ifi_index = LO;
    with_number(&request, IFLA_MTU, 1500);
    OK("mtu", ask(&request));
    EQ("link changed", RTM_NEWLINK, next_event(links, text, sizeof text));
    while (recv(routes, text, sizeof text, MSG_DONTWAIT) > 0)
        ;
    OK("route", route(RTM_NEWROUTE, NLM_F_CREATE, RTN_PROHIBIT, "198.51.100.0", 24, 0, 0, 0));
    EQ("new route", RTM_NEWROUTE, next_event(routes, text, sizeof text));
    OK("no route", route(RTM_DELROUTE, 0, RTN_PROHIBIT, "198.51.100.0", 24, 0, 0, 0));
    EQ("route gone", RTM_DELROUTE, next_event(routes, text, sizeof text));
    int unbound = netlink(NETLINK_ROUTE);
    group = RTNLGRP_IPV4_IFADDR;
    OK("join without a port", setsockopt(unbound, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    OK("add another", address(RTM_NEWADDR, 0, LO, "10.95.0.2", 32));
    OK("remove it", address(RTM_DELADDR, 0, LO, "10.95.0.2", 32));
    ERR("who has no port hears nothing", EAGAIN, recv(unbound, text, sizeof text, MSG_DONTWAIT));
    ERR("who has joined nothing hears nothing", EAGAIN, recv(silent, text, sizeof text, MSG_DONTWAIT));
}

static struct sockaddr ip_name(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr out;
    inet_pton(AF_INET, text, &in.sin_addr);
    memcpy(&out, &in, sizeof out);
    return out;
}

static const char *ip_text(struct sockaddr *name)
{
    static char text[32];
    return inet_ntop(AF_INET, &((struct sockaddr_in *)name)->sin_addr, text, sizeof text);
}

GROUP(ioctl_interfaces)
{
    own_network();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo"};
    OK("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &request));
    EQ("flags", IFF_UP | IFF_LOOPBACK | IFF_RUNNING, request.ifr_flags);
    OK("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &request));
    EQ("mtu", 65536, request.ifr_mtu);
    OK("SIOCGIFTXQLEN", ioctl(fd, SIOCGIFTXQLEN, &request));
    EQ("queue", 1000, request.ifr_qlen);
    OK("SIOCGIFHWADDR", ioctl(fd, SIOCGIFHWADDR, &request));
    EQ("hardware", ARPHRD_LOOPBACK, request.ifr_hwaddr.sa_family);
    OK("SIOCGIFINDEX", ioctl(fd, SIOCGIFINDEX, &request));
    EQ("index", LO, request.ifr_ifindex);
    OK("SIOCGIFNAME", ioctl(fd, SIOCGIFNAME, &request));
    TEXT("name", "lo", request.ifr_name);
    request.ifr_ifindex = 9999;
    ERR("SIOCGIFNAME of nothing", ENODEV, ioctl(fd, SIOCGIFNAME, &request));
    OK("SIOCGIFMETRIC", ioctl(fd, SIOCGIFMETRIC, &request));
    EQ("metric", 0, request.ifr_metric);
    OK("SIOCGIFMAP", ioctl(fd, SIOCGIFMAP, &request));
    OK("SIOCGIFADDR", ioctl(fd, SIOCGIFADDR, &request));
    TEXT("address", "127.0.0.1", ip_text(&request.ifr_addr));
    OK("SIOCGIFNETMASK", ioctl(fd, SIOCGIFNETMASK, &request));
    TEXT("mask", "255.0.0.0", ip_text(&request.ifr_netmask));
    strcpy(request.ifr_name, "nodev0");
    ERR("flags of nothing", ENODEV, ioctl(fd, SIOCGIFFLAGS, &request));
    ERR("set flags of nothing", ENODEV, ioctl(fd, SIOCSIFFLAGS, &request));
    ERR("bad address", EFAULT, ioctl(fd, SIOCGIFFLAGS, BAD));
    strcpy(request.ifr_name, "lo");
    request.ifr_mtu = 3000;
    OK("SIOCSIFMTU", ioctl(fd, SIOCSIFMTU, &request));
    request.ifr_mtu = 0;
    ioctl(fd, SIOCGIFMTU, &request);
    EQ("new mtu", 3000, request.ifr_mtu);
    request.ifr_mtu = -1;
    ERR("negative mtu", EINVAL, ioctl(fd, SIOCSIFMTU, &request));
    request.ifr_qlen = 77;
    OK("SIOCSIFTXQLEN", ioctl(fd, SIOCSIFTXQLEN, &request));
    request.ifr_qlen = -5;
    ERR("negative queue", EINVAL, ioctl(fd, SIOCSIFTXQLEN, &request));
    ioctl(fd, SIOCGIFTXQLEN, &request);
    EQ("new queue", 77, request.ifr_qlen);
    request.ifr_metric = 3;
    ERR("SIOCSIFMETRIC", EOPNOTSUPP, ioctl(fd, SIOCSIFMETRIC, &request));
    if (make_link("veth", "d0", "p0") == 0) {
        strcpy(request.ifr_name, "d0");
        ERR("no address yet", EADDRNOTAVAIL, ioctl(fd, SIOCGIFADDR, &request));
        request.ifr_addr = ip_name("10.5.6.7");
        OK("SIOCSIFADDR", ioctl(fd, SIOCSIFADDR, &request));
        ioctl(fd, SIOCGIFNETMASK, &request);
        TEXT("mask by class", "255.0.0.0", ip_text(&request.ifr_netmask));
        request.ifr_netmask = ip_name("255.255.255.0");
        OK("SIOCSIFNETMASK", ioctl(fd, SIOCSIFNETMASK, &request));
        ioctl(fd, SIOCGIFNETMASK, &request);
        TEXT("new mask", "255.255.255.0", ip_text(&request.ifr_netmask));
        request.ifr_netmask = ip_name("255.0.255.0");
        ERR("mask with holes", EINVAL, ioctl(fd, SIOCSIFNETMASK, &request));
        ioctl(fd, SIOCGIFADDR, &request);
        TEXT("address kept", "10.5.6.7", ip_text(&request.ifr_addr));
        ioctl(fd, SIOCGIFFLAGS, &request);
        request.ifr_flags |= IFF_UP;
        OK("up", ioctl(fd, SIOCSIFFLAGS, &request));
        link_flags(if_nametoindex("p0"), IFF_UP, IFF_UP);
        struct rtentry entry = {.rt_dst = ip_name("172.20.0.0"), .rt_genmask = ip_name("255.255.0.0"), .rt_gateway = ip_name("10.5.6.9"), .rt_flags = RTF_UP | RTF_GATEWAY};
        OK("SIOCADDRT", ioctl(fd, SIOCADDRT, &entry));
        ERR("SIOCADDRT again", EEXIST, ioctl(fd, SIOCADDRT, &entry));
        EQ("there", 1, route_to("172.20.0.0", 16).seen);
        OK("SIOCDELRT", ioctl(fd, SIOCDELRT, &entry));
        ERR("SIOCDELRT again", ESRCH, ioctl(fd, SIOCDELRT, &entry));
        struct arpreq neighbor = {.arp_pa = ip_name("10.5.6.9"), .arp_dev = "d0"};
        ERR("SIOCGARP, unknown", ENXIO, ioctl(fd, SIOCGARP, &neighbor));
        request.ifr_addr = ip_name("0.0.0.0");
        OK("no address any more", ioctl(fd, SIOCSIFADDR, &request));
        ERR("none", EADDRNOTAVAIL, ioctl(fd, SIOCGIFADDR, &request));
        strcpy(request.ifr_newname, "e7");
        OK("SIOCSIFNAME", ioctl(fd, SIOCSIFNAME, &request));
        YES("renamed", if_nametoindex("e7") != 0);
        remove_link("e7");
    }
}
