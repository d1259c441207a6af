/* Netlink beyond netlink.c: generic netlink, errors in words, settings and statistics, names, long dumps, addresses with labels, and
 * who hears of neighbours. */
#include "case.h"
#include "net.h"

#include <linux/genetlink.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>

static int netlink(int protocol)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    MUST(fd >= 0);
    return fd;
}

static void bytes(const char *name, const unsigned char *data, size_t len)
{
    char text[900];
    size_t n = 0;
    for (size_t i = 0; i < len && n + 3 < sizeof text; i++)
        n += snprintf(text + n, sizeof text - n, "%02x", data[i]);
    SHOW(name, "%zu: %s", len, text);
}

static void generic(const char *name, int type, int flags, int command, const void *attributes, size_t len)
{
    struct {
        struct nlmsghdr header;
        struct genlmsghdr about;
        char attributes[64];
    } request = {{NLMSG_LENGTH(4) + len, type, NLM_F_REQUEST | flags, 7, 0}, {command, 1, 0}, ""};
    static unsigned char answer[65536];
    int fd = netlink(NETLINK_GENERIC);
    memcpy(request.attributes, attributes, len);
    MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0);
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    struct nlmsghdr *header = (void *)answer;
    if (header->nlmsg_type == NLMSG_ERROR)
        SHOW(name, "%zd: %s, flags %x", n, error_name(-*(int *)NLMSG_DATA(header)), header->nlmsg_flags);
    else if (command == CTRL_CMD_GETPOLICY)
        for (int i = 0; NLMSG_OK(header, n); header = NLMSG_NEXT(header, n))
            bytes(named("%s %d", name, i++), NLMSG_DATA(header), NLMSG_PAYLOAD(header, 0));
    else
        bytes(name, NLMSG_DATA(header), NLMSG_PAYLOAD(header, 0));
    close(fd);
}

GROUP(generic_netlink)
{
    static const char name[] = "\x0b\0\2\0nlctrl\0\0", id[] = "\6\0\1\0\x10\0\0\0", none[] = "\x09\0\2\0none\0\0\0", bad[] = "\6\0\1\0\x63\0\0\0";
    static const char long_name[] = "\x18\0\2\0nlctrlnlctrlnlctrlx\0";
    generic("by name", GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, name, 12);
    generic("by number", GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, id, 8);
    generic("no such name", GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, none, 12);
    generic("no such number", GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, bad, 8);
    generic("a long name", GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, long_name, 24);
    generic("nobody", GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, "", 0);
    generic("first of all", GENL_ID_CTRL, NLM_F_DUMP, CTRL_CMD_GETFAMILY, "", 0);
    generic("policies", GENL_ID_CTRL, NLM_F_DUMP, CTRL_CMD_GETPOLICY, id, 8);
    generic("one policy", GENL_ID_CTRL, 0, CTRL_CMD_GETPOLICY, id, 8);
    generic("no such command", GENL_ID_CTRL, 0, 99, id, 8);
    generic("no such family", 99, 0, CTRL_CMD_GETFAMILY, id, 8);
    int fd = netlink(NETLINK_GENERIC), group = GENL_ID_CTRL;
    OK("join", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    group = 100;
    ERR("join another", EINVAL, setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
}

/* The error and its words. */
static void in_words(const char *name, struct request *request, int capped)
{
    int fd = netlink(NETLINK_ROUTE), on = 1;
    char answer[2048];
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) == 0 && setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &capped, sizeof on) == 0);
    request->header.nlmsg_flags |= NLM_F_ACK;
    MUST(send(fd, request, request->header.nlmsg_len, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    close(fd);
    struct nlmsghdr *header = (void *)answer;
    struct nlmsgerr *error = NLMSG_DATA(header);
    size_t quoted = sizeof error->error + (header->nlmsg_flags & NLM_F_CAPPED ? sizeof error->msg : NLMSG_ALIGN(error->msg.nlmsg_len));
    struct rtattr *text = attribute(header, quoted, NLMSGERR_ATTR_MSG);
    SHOW(name, "%s, flags %x: %s", error_name(-error->error), header->nlmsg_flags, header->nlmsg_flags & NLM_F_ACK_TLVS && text ? (char *)RTA_DATA(text) : "no words");
}

static unsigned make_pair(const char *name)
{
    struct request request = asking(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof request.link);
    char info[32] = {0};
    *(struct rtattr *)info = (struct rtattr){RTA_LENGTH(4), IFLA_INFO_KIND};
    memcpy(info + 4, "veth", 4);
    with(&request, IFLA_IFNAME, name, strlen(name) + 1);
    with(&request, IFLA_LINKINFO, info, 8);
    return ask(&request) ? 0 : if_nametoindex(name);
}

static void remove_pair(unsigned index)
{
    struct request request = asking(RTM_DELLINK, 0, sizeof request.link);
    request.link.ifi_index = index;
    ask(&request);
}

GROUP(netlink_words)
{
    own_network();
    unsigned index = make_pair("words0");
    if (!index)
        return;
    struct request request = asking(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof request.address);
    request.address = (struct ifaddrmsg){AF_INET, 24, 0, 0, index};
    with_ip(&request, IFA_LOCAL, "10.91.0.1");
    in_words("an address", &request, 0);
    in_words("twice", &request, 0);
    in_words("twice, not quoted", &request, 1);
    request.header.nlmsg_type = RTM_DELADDR, request.header.nlmsg_flags = NLM_F_REQUEST;
    in_words("not any more", &request, 0);
    in_words("removed twice", &request, 0);
    request = asking(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof request.link);
    with(&request, IFLA_LINKINFO, "\x0b\0\1\0nosuch\0\0", 12);
    in_words("no such kind", &request, 0);
    request = asking(RTM_NEWLINK, 0, sizeof request.link), request.link.ifi_index = index;
    with_number(&request, IFLA_MTU, 10);
    in_words("too small", &request, 0);
    request = asking(RTM_NEWLINK, 0, sizeof request.link), request.link.ifi_index = index;
    with_number(&request, IFLA_MTU, 100000);
    in_words("too large", &request, 0);
    request = asking(RTM_NEWROUTE, NLM_F_CREATE, sizeof request.route);
    request.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 8, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST};
    with_ip(&request, RTA_DST, "99.1.0.0");
    in_words("bits of hosts", &request, 0);
    request = asking(RTM_GETLINK, 0, sizeof request.link), request.link.ifi_index = 987654;
    in_words("no such link", &request, 0);
    remove_pair(index);
}

GROUP(netlink_names)
{
    own_network();
    unsigned index = make_pair("names0");
    if (!index)
        return;
    struct request request = asking(108, NLM_F_EXCL | NLM_F_CREATE, sizeof request.link);
    request.link.ifi_index = index;
    static const char list[] = "\x1a\0\x35\0a_name_that_is_longer\0\0\0";
    with(&request, 52 | NLA_F_NESTED, list, 28);
    OK("another name", ask(&request));
    ERR("twice", EEXIST, ask(&request));
    struct request look = asking(RTM_GETLINK, 0, sizeof request.link);
    with(&look, 53, "a_name_that_is_longer", 22);
    OK("found by it", ask(&look));
    request.header.nlmsg_type = 109, request.header.nlmsg_flags = NLM_F_REQUEST;
    OK("removed", ask(&request));
    ERR("removed twice", ENOENT, ask(&request));
    ERR("found no more", ENODEV, ask(&look));
    struct request alias = asking(RTM_SETLINK, 0, sizeof request.link);
    alias.link.ifi_index = index;
    with(&alias, IFLA_IFALIAS, "to the cellar", 13);
    OK("an alias", ask(&alias));
    int fd = netlink(NETLINK_ROUTE);
    char answer[8192];
    look = asking(RTM_GETLINK, 0, sizeof request.link), look.link.ifi_index = index;
    MUST(send(fd, &look, look.header.nlmsg_len, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    struct rtattr *at = attribute((void *)answer, sizeof(struct ifinfomsg), IFLA_IFALIAS);
    SHOW("told", "%s", at ? (char *)RTA_DATA(at) : "none");
    remove_pair(index);
}

GROUP(netlink_settings)
{
    own_network();
    int fd = netlink(NETLINK_ROUTE);
    char answer[4096];
    static const int families[] = {AF_INET, AF_INET6}, indices[] = {NETCONFA_IFINDEX_ALL, NETCONFA_IFINDEX_DEFAULT, 1, 987654};
    for (unsigned i = 0; i < 2 * COUNT(indices); i++) {
        struct request request = asking(RTM_GETNETCONF, 0, 4);
        request.any.rtgen_family = families[i & 1];
        with_number(&request, NETCONFA_IFINDEX, indices[i / 2]);
        MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
        struct nlmsghdr *header = (void *)answer;
        if (header->nlmsg_type == NLMSG_ERROR) {
            SHOW(named("settings of %d, family %d", indices[i / 2], families[i & 1]), "%s", error_name(-*(int *)NLMSG_DATA(header)));
            continue;
        }
        struct rtattr *index = attribute(header, 1, NETCONFA_IFINDEX), *proxy = attribute(header, 1, NETCONFA_PROXY_NEIGH);
        SHOW(named("settings of %d, family %d", indices[i / 2], families[i & 1]), "type %d, of %d, proxy %d, rp_filter %s", header->nlmsg_type,
             index ? *(int *)RTA_DATA(index) : 0, proxy ? *(int *)RTA_DATA(proxy) : -1, attribute(header, 1, NETCONFA_RP_FILTER) ? "told" : "not told");
    }
    struct {
        struct nlmsghdr header;
        struct if_stats_msg body;
    } stats = {{sizeof stats, RTM_GETSTATS, NLM_F_REQUEST, 7, 0}, {.ifindex = 1, .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)}};
    MUST(send(fd, &stats, sizeof stats, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    struct nlmsghdr *header = (void *)answer;
    struct rtattr *at = attribute(header, sizeof stats.body, IFLA_STATS_LINK_64);
    SHOW("statistics", "type %d, %zu bytes", header->nlmsg_type, at ? RTA_PAYLOAD(at) : 0);
    stats.body.filter_mask = 0;
    MUST(send(fd, &stats, sizeof stats, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    SHOW("of nothing", "%s", error_name(-*(int *)NLMSG_DATA(header)));
    stats.body.filter_mask = 1, stats.body.ifindex = 987654;
    MUST(send(fd, &stats, sizeof stats, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    SHOW("of nobody", "%s", error_name(-*(int *)NLMSG_DATA(header)));
}

/* A dump that is longer than the buffer comes whole, if it is read. */
GROUP(netlink_long_dump)
{
    own_network();
    enum { MANY = 200 };
    for (int i = 0; i < MANY; i++) {
        struct request request = asking(RTM_NEWROUTE, NLM_F_CREATE, sizeof request.route);
        request.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_BLACKHOLE};
        with_ip(&request, RTA_DST, named("10.92.%d.%d", i / 200, i % 200 + 1));
        MUST(ask(&request) == 0);
    }
    int fd = netlink(NETLINK_ROUTE), small = 1, seen = 0, done = 0;
    static char answer[65536];
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    struct request request = asking(RTM_GETROUTE, NLM_F_DUMP, sizeof request.route);
    request.route.rtm_family = AF_INET;
    MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0);
    while (!done) {
        ssize_t n = recv(fd, answer, sizeof answer, 0);
        if (n <= 0) {
            SHOW("lost", "%s", error_name(errno));
            break;
        }
        for (struct nlmsghdr *header = (void *)answer; NLMSG_OK(header, n); header = NLMSG_NEXT(header, n)) {
            struct rtattr *to = attribute(header, sizeof(struct rtmsg), RTA_DST);
            done |= header->nlmsg_type == NLMSG_DONE;
            seen += header->nlmsg_type == RTM_NEWROUTE && to && !memcmp(RTA_DATA(to), "\x0a\x5c", 2);
        }
    }
    EQ("all", MANY, seen);
    for (int i = 0; i < MANY; i++) {
        request = asking(RTM_DELROUTE, 0, sizeof request.route);
        request.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_table = RT_TABLE_MAIN, .rtm_scope = RT_SCOPE_NOWHERE};
        with_ip(&request, RTA_DST, named("10.92.%d.%d", i / 200, i % 200 + 1));
        MUST(ask(&request) == 0);
    }
}

struct listed {
    unsigned index;
    char text[400];
    size_t n;
};

static void list(struct nlmsghdr *header, void *to)
{
    struct listed *listed = to;
    struct ifaddrmsg *body = NLMSG_DATA(header);
    char text[64];
    if (body->ifa_index != listed->index || body->ifa_family != AF_INET)
        return;
    struct rtattr *own = attribute(header, sizeof *body, IFA_LOCAL), *all = attribute(header, sizeof *body, IFA_BROADCAST);
    struct rtattr *label = attribute(header, sizeof *body, IFA_LABEL);
    listed->n += snprintf(listed->text + listed->n, sizeof listed->text - listed->n, "%s%s/%d flags %x scope %d", listed->n ? ", " : "",
                          inet_ntop(AF_INET, RTA_DATA(own), text, sizeof text), body->ifa_prefixlen, body->ifa_flags, body->ifa_scope);
    if (all)
        listed->n += snprintf(listed->text + listed->n, sizeof listed->text - listed->n, " all %s", inet_ntop(AF_INET, RTA_DATA(all), text, sizeof text));
    listed->n += snprintf(listed->text + listed->n, sizeof listed->text - listed->n, " as %s", label ? (char *)RTA_DATA(label) : "nothing");
}

static void addresses(const char *name, unsigned index)
{
    struct listed listed = {index, "none", 0};
    struct request request = asking(RTM_GETADDR, 0, sizeof request.address);
    request.address.ifa_family = AF_INET;
    dump(&request, list, &listed);
    SHOW(name, "%s", listed.text);
}

static int more_address(unsigned index, const char *own, int prefix, const char *all, const char *label, int scope)
{
    struct request request = asking(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof request.address);
    request.address = (struct ifaddrmsg){AF_INET, prefix, 0, scope, index};
    with_ip(&request, IFA_LOCAL, own);
    if (all)
        with_ip(&request, IFA_BROADCAST, all);
    if (label)
        with(&request, IFA_LABEL, label, strlen(label) + 1);
    return ask(&request);
}

GROUP(netlink_address_words)
{
    own_network();
    unsigned index = make_pair("labels0");
    if (!index)
        return;
    link_flags(index, IFF_UP, IFF_UP);
    OK("plain", more_address(index, "10.93.0.1", 24, 0, 0, RT_SCOPE_UNIVERSE));
    OK("with an address for all", more_address(index, "10.93.1.1", 24, "10.93.1.255", 0, RT_SCOPE_UNIVERSE));
    OK("with a label", more_address(index, "10.93.2.1", 24, 0, "labels0:x", RT_SCOPE_LINK));
    OK("second of a network", more_address(index, "10.93.0.2", 24, 0, 0, RT_SCOPE_UNIVERSE));
    OK("third of it", more_address(index, "10.93.0.3", 24, 0, 0, RT_SCOPE_UNIVERSE));
    addresses("listed", index);
    OK("the first goes", address(RTM_DELADDR, 0, index, "10.93.0.1", 24));
    addresses("the others with it", index);
    remove_pair(index);
}

static void heard(const char *name, int fd)
{
    char answer[4096];
    struct pollfd ready = {fd, POLLIN, 0};
    while (poll(&ready, 1, 1000) == 1 && recv(fd, answer, sizeof answer, 0) > 0) {
        struct nlmsghdr *header = (void *)answer;
        struct ndmsg *body = NLMSG_DATA(header);
        struct rtattr *mac = attribute(header, sizeof *body, NDA_LLADDR);
        /* Those of IPv6 are the system's own. */
        if (body->ndm_family != AF_INET)
            continue;
        SHOW(name, "type %d, state %x, %s", header->nlmsg_type, body->ndm_state, mac ? "at a place" : "nowhere");
        return;
    }
    SHOW(name, "nothing");
}

GROUP(netlink_neighbor_events)
{
    own_network();
    unsigned index = make_pair("heard0");
    if (!index)
        return;
    link_flags(index, IFF_UP, IFF_UP);
    int fd = netlink(NETLINK_ROUTE), group = RTNLGRP_NEIGH;
    MUST(bind(fd, (void *)&(struct sockaddr_nl){AF_NETLINK}, sizeof(struct sockaddr_nl)) == 0);
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
    struct request request = asking(RTM_NEWNEIGH, NLM_F_CREATE, sizeof request.neighbor);
    request.neighbor = (struct ndmsg){.ndm_family = AF_INET, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
    with_ip(&request, NDA_DST, "10.94.0.7"), with(&request, NDA_LLADDR, "\2\0\0\0\0\7", 6);
    OK("new", ask(&request));
    heard("heard of new", fd);
    request.header.nlmsg_type = RTM_DELNEIGH, request.header.nlmsg_flags = NLM_F_REQUEST;
    OK("gone", ask(&request));
    heard("heard of failed", fd);
    heard("heard of gone", fd);
    request.header.nlmsg_type = RTM_NEWNEIGH, request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
    OK("new again", ask(&request));
    heard("heard of new again", fd);
    link_flags(index, 0, IFF_UP);
    heard("gone with the link", fd);
    remove_pair(index);
}
