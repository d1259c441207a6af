/* Rules that choose by what a packet is, and routes with several ways, metrics and preferred sources: ip-rule(8), ip-route(8). */
#include "case.h"
#include "net.h"

#include <linux/rtnetlink.h>

static unsigned outside, inside;

/* A pair of interfaces, one of them with addresses: 10.77.0.1/24, 10.77.1.1/24 and fd77::1/64. */
static int pair(void)
{
    own_network();
    struct request request = asking(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof request.link);
    char info[32] = {0};
    *(struct rtattr *)info = (struct rtattr){RTA_LENGTH(4), IFLA_INFO_KIND};
    memcpy(info + 4, "veth", 4);
    with(&request, IFLA_IFNAME, "rule0", 6);
    with(&request, IFLA_LINKINFO, info, 8);
    if (ask(&request) != 0)
        return 0;
    outside = if_nametoindex("rule0");
    char name[IFNAMSIZ];
    for (int i = 0; i < 32 && !inside; i++) {
        snprintf(name, sizeof name, "veth%d", i);
        inside = if_nametoindex(name);
    }
    return link_flags(outside, IFF_UP, IFF_UP) == 0 && link_flags(inside, IFF_UP, IFF_UP) == 0 &&
           address(RTM_NEWADDR, NLM_F_CREATE, outside, "10.77.0.1", 24) == 0 && address(RTM_NEWADDR, NLM_F_CREATE, outside, "10.77.1.1", 24) == 0 &&
           address(RTM_NEWADDR, NLM_F_CREATE, outside, "fd77::1", 64) == 0;
}

static void no_pair(void)
{
    struct request request = asking(RTM_DELLINK, 0, sizeof request.link);
    request.link.ifi_index = outside;
    ask(&request);
}

static struct request to_network(int type, int flags, int kind, const char *network, int prefix)
{
    struct request request = asking(type, flags, sizeof request.route);
    request.route.rtm_family = strchr(network, ':') ? AF_INET6 : AF_INET;
    request.route.rtm_dst_len = prefix;
    request.route.rtm_table = RT_TABLE_MAIN;
    request.route.rtm_protocol = RTPROT_STATIC;
    request.route.rtm_type = kind;
    with_ip(&request, RTA_DST, network);
    return request;
}

static int in_table(unsigned table, const char *network, int prefix, const char *gateway, int kind)
{
    struct request request = to_network(RTM_NEWROUTE, NLM_F_CREATE, kind, network, prefix);
    request.route.rtm_table = table;
    if (gateway)
        with_ip(&request, RTA_GATEWAY, gateway);
    return ask(&request);
}

/* The way to an address for what `more` says, as a line. */
static void way(const char *name, const char *to, struct request *more)
{
    int v6 = !!strchr(to, ':'), fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    char answer[4096], gateway[64] = "none", source[64] = "none";
    struct request request = asking(RTM_GETROUTE, 0, sizeof request.route);
    if (more)
        request = *more;
    request.route.rtm_family = v6 ? AF_INET6 : AF_INET;
    request.route.rtm_dst_len = v6 ? 128 : 32;
    with_ip(&request, RTA_DST, to);
    MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    close(fd);
    struct nlmsghdr *header = (void *)answer;
    if (header->nlmsg_type == NLMSG_ERROR) {
        SHOW(name, "%s", error_name(-((struct nlmsgerr *)NLMSG_DATA(header))->error));
        return;
    }
    struct rtmsg *body = NLMSG_DATA(header);
    struct rtattr *at;
    if ((at = attribute(header, sizeof *body, RTA_GATEWAY)))
        inet_ntop(request.route.rtm_family, RTA_DATA(at), gateway, sizeof gateway);
    if ((at = attribute(header, sizeof *body, RTA_PREFSRC)))
        inet_ntop(request.route.rtm_family, RTA_DATA(at), source, sizeof source);
    at = attribute(header, sizeof *body, RTA_OIF);
    SHOW(name, "type %d, %s by %s from %s%s", body->rtm_type, at && *(unsigned *)RTA_DATA(at) == outside ? "there" : "elsewhere", gateway, source,
         attribute(header, sizeof *body, RTA_METRICS) ? ", with metrics" : "");
}

static struct request to_table(int type, unsigned table, unsigned priority, int action)
{
    struct request request = asking(type, type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof request.rule);
    request.rule.family = AF_INET;
    request.rule.table = table;
    request.rule.action = action;
    if (priority)
        with_number(&request, FRA_PRIORITY, priority);
    return request;
}

static struct request question(void)
{
    return asking(RTM_GETROUTE, 0, sizeof(struct rtmsg));
}

GROUP(rule_selectors)
{
    if (!pair())
        return;
    OK("usual", in_table(RT_TABLE_MAIN, "10.78.0.0", 16, "10.77.0.2", RTN_UNICAST));
    for (int i = 0; i < 9; i++)
        OK(named("table %d", 70 + i), in_table(70 + i, "10.78.0.0", 16, named("10.77.0.%d", 70 + i), RTN_UNICAST));
    way("none", "10.78.1.1", 0);

    struct request by_source = to_table(RTM_NEWRULE, 70, 500, FR_ACT_TO_TBL), q;
    by_source.rule.src_len = 32;
    with_ip(&by_source, FRA_SRC, "10.77.1.1");
    OK("by source", ask(&by_source));
    way("another source", "10.78.1.1", 0);
    q = question(), q.route.rtm_src_len = 32, with_ip(&q, RTA_SRC, "10.77.1.1");
    way("its source", "10.78.1.1", &q);

    struct request by_mark = to_table(RTM_NEWRULE, 71, 501, FR_ACT_TO_TBL);
    with_number(&by_mark, FRA_FWMARK, 0x12), with_number(&by_mark, FRA_FWMASK, 0xff);
    OK("by mark", ask(&by_mark));
    q = question(), with_number(&q, RTA_MARK, 0x3412);
    way("its mark", "10.78.1.1", &q);
    q = question(), with_number(&q, RTA_MARK, 0x3413);
    way("another mark", "10.78.1.1", &q);

    struct request by_user = to_table(RTM_NEWRULE, 72, 502, FR_ACT_TO_TBL);
    with(&by_user, FRA_UID_RANGE, (unsigned[2]){1000, 2000}, 8);
    OK("by user", ask(&by_user));
    q = question(), with_number(&q, RTA_UID, 1500);
    way("its user", "10.78.1.1", &q);
    way("another user", "10.78.1.1", 0);

    struct request by_port = to_table(RTM_NEWRULE, 73, 503, FR_ACT_TO_TBL);
    with(&by_port, FRA_IP_PROTO, (char[1]){IPPROTO_UDP}, 1), with(&by_port, FRA_DPORT_RANGE, (unsigned short[2]){53, 60}, 4);
    OK("by port", ask(&by_port));
    unsigned short port = htons(55), other = htons(61);
    q = question(), with(&q, RTA_IP_PROTO, (char[1]){IPPROTO_UDP}, 1), with(&q, RTA_DPORT, &port, 2);
    way("its port", "10.78.1.1", &q);
    q = question(), with(&q, RTA_IP_PROTO, (char[1]){IPPROTO_UDP}, 1), with(&q, RTA_DPORT, &other, 2);
    way("another port", "10.78.1.1", &q);
    q = question(), with(&q, RTA_IP_PROTO, (char[1]){IPPROTO_TCP}, 1), with(&q, RTA_DPORT, &port, 2);
    way("another protocol", "10.78.1.1", &q);

    struct request by_interface = to_table(RTM_NEWRULE, 74, 504, FR_ACT_TO_TBL);
    with(&by_interface, FRA_OIFNAME, "rule0", 6);
    OK("by interface", ask(&by_interface));
    q = question(), with_number(&q, RTA_OIF, outside);
    way("its interface", "10.78.1.1", &q);
    way("no interface", "10.78.1.1", 0);

    struct request by_tos = to_table(RTM_NEWRULE, 75, 505, FR_ACT_TO_TBL);
    by_tos.rule.tos = 0x10;
    OK("by type of service", ask(&by_tos));
    q = question(), q.route.rtm_tos = 0x10;
    way("its type", "10.78.1.1", &q);

    struct request not_there = to_table(RTM_NEWRULE, 76, 506, FR_ACT_TO_TBL);
    not_there.rule.flags = FIB_RULE_INVERT, not_there.rule.dst_len = 24;
    with_ip(&not_there, FRA_DST, "10.78.1.0");
    OK("not there", ask(&not_there));
    way("there", "10.78.1.1", 0);
    way("elsewhere", "10.78.2.1", 0);

    /* Packets choose as questions do. */
    int fd = socket(AF_INET, SOCK_DGRAM, 0), mark = 0x12;
    struct sockaddr_in to = {AF_INET, htons(9), {inet_addr("10.78.1.1")}};
    OK("prohibited in the table of the mark", in_table(71, "10.78.1.1", 32, 0, RTN_PROHIBIT));
    OK("without the mark", connect(fd, (void *)&to, sizeof to));
    OK("marked", setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
    ERR("with the mark", EACCES, connect(fd, (void *)&to, sizeof to));
    OK("prohibited in the table of the source", in_table(70, "10.78.1.2", 32, 0, RTN_UNREACHABLE));
    int bound = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in from = {AF_INET, 0, {inet_addr("10.77.1.1")}};
    to.sin_addr.s_addr = inet_addr("10.78.1.2");
    MUST(bind(bound, (void *)&from, sizeof from) == 0);
    ERR("from the source", EHOSTUNREACH, connect(bound, (void *)&to, sizeof to));
    OK("from another", connect(socket(AF_INET, SOCK_DGRAM, 0), (void *)&to, sizeof to));

    struct request *all[] = {&by_source, &by_mark, &by_user, &by_port, &by_interface, &by_tos, &not_there};
    for (unsigned i = 0; i < COUNT(all); i++) {
        ERR(named("again %u", i), EEXIST, ask(all[i]));
        all[i]->header.nlmsg_type = RTM_DELRULE, all[i]->header.nlmsg_flags = NLM_F_REQUEST;
        OK(named("removed %u", i), ask(all[i]));
        ERR(named("removed again %u", i), ENOENT, ask(all[i]));
    }
    no_pair();
}

GROUP(rule_actions)
{
    if (!pair())
        return;
    OK("usual", in_table(RT_TABLE_MAIN, "10.79.0.0", 16, "10.77.0.2", RTN_UNICAST));
    static const struct {
        const char *name;
        int action, error;
    } dead[] = {{"blackhole", FR_ACT_BLACKHOLE, 0}, {"unreachable", FR_ACT_UNREACHABLE, 0}, {"prohibit", FR_ACT_PROHIBIT, 0}, {"nop", FR_ACT_NOP, 0}};
    for (unsigned i = 0; i < COUNT(dead); i++) {
        struct request rule = to_table(RTM_NEWRULE, 0, 600, dead[i].action);
        rule.rule.dst_len = 24;
        with_ip(&rule, FRA_DST, "10.79.1.0");
        OK(named("new %s", dead[i].name), ask(&rule));
        way(dead[i].name, "10.79.1.1", 0);
        way(named("beside %s", dead[i].name), "10.79.2.1", 0);
        rule.header.nlmsg_type = RTM_DELRULE, rule.header.nlmsg_flags = NLM_F_REQUEST;
        OK(named("no %s", dead[i].name), ask(&rule));
    }
    struct request jump = to_table(RTM_NEWRULE, 0, 600, FR_ACT_GOTO), stop = to_table(RTM_NEWRULE, 0, 601, FR_ACT_PROHIBIT);
    with_number(&jump, FRA_GOTO, 32766);
    stop.rule.dst_len = 24, with_ip(&stop, FRA_DST, "10.79.1.0");
    OK("a stop", ask(&stop));
    way("stopped", "10.79.1.1", 0);
    OK("a jump", ask(&jump));
    way("over the stop", "10.79.1.1", 0);
    struct request back = to_table(RTM_NEWRULE, 0, 700, FR_ACT_GOTO), nowhere = to_table(RTM_NEWRULE, 0, 700, FR_ACT_GOTO);
    with_number(&back, FRA_GOTO, 600);
    ERR("a jump back", EINVAL, ask(&back));
    ERR("a jump to nothing", EINVAL, ask(&nowhere));
    jump.header.nlmsg_type = RTM_DELRULE, jump.header.nlmsg_flags = NLM_F_REQUEST;
    stop.header.nlmsg_type = RTM_DELRULE, stop.header.nlmsg_flags = NLM_F_REQUEST;
    OK("no jump", ask(&jump));
    OK("no stop", ask(&stop));
    /* The usual idiom: what is more than the default of the main table, then a table of one's own. */
    OK("default", in_table(80, "10.0.0.0", 8, "10.77.0.80", RTN_UNICAST));
    struct request suppress = to_table(RTM_NEWRULE, RT_TABLE_MAIN, 600, FR_ACT_TO_TBL), own = to_table(RTM_NEWRULE, 80, 601, FR_ACT_TO_TBL);
    with_number(&suppress, FRA_SUPPRESS_PREFIXLEN, 16);
    OK("suppressed", ask(&suppress));
    OK("own", ask(&own));
    way("of the own table", "10.79.1.1", 0);
    way("of the main table", "10.77.0.9", 0);
    suppress.header.nlmsg_type = own.header.nlmsg_type = RTM_DELRULE;
    suppress.header.nlmsg_flags = own.header.nlmsg_flags = NLM_F_REQUEST;
    OK("not suppressed", ask(&suppress));
    OK("none", ask(&own));
    no_pair();
}

static size_t hop(char *at, const char *gateway, int weight, unsigned index)
{
    struct rtnexthop *next = (void *)at;
    *next = (struct rtnexthop){16, 0, weight, index};
    struct rtattr *via = (void *)(at + sizeof *next);
    *via = (struct rtattr){8, RTA_GATEWAY};
    MUST(inet_pton(AF_INET, gateway, RTA_DATA(via)) == 1);
    return 16;
}

struct seen {
    const char *network;
    char text[400];
};

static void see(struct nlmsghdr *header, void *with)
{
    struct seen *seen = with;
    struct rtmsg *body = NLMSG_DATA(header);
    char text[64];
    struct rtattr *at = attribute(header, sizeof *body, RTA_DST);
    if (!at || strcmp(inet_ntop(body->rtm_family, RTA_DATA(at), text, sizeof text), seen->network))
        return;
    int n = snprintf(seen->text, sizeof seen->text, "type %d, service %x, flags %x;", body->rtm_type, body->rtm_tos, body->rtm_flags);
    if ((at = attribute(header, sizeof *body, RTA_GATEWAY)))
        n += snprintf(seen->text + n, sizeof seen->text - n, " by %s", inet_ntop(body->rtm_family, RTA_DATA(at), text, sizeof text));
    if ((at = attribute(header, sizeof *body, RTA_METRICS))) {
        int len = RTA_PAYLOAD(at);
        for (struct rtattr *one = RTA_DATA(at); RTA_OK(one, len); one = RTA_NEXT(one, len))
            n += snprintf(seen->text + n, sizeof seen->text - n, " metric %d=%u", one->rta_type, *(unsigned *)RTA_DATA(one));
    }
    if ((at = attribute(header, sizeof *body, RTA_MULTIPATH))) {
        int len = RTA_PAYLOAD(at);
        for (struct rtnexthop *one = RTA_DATA(at); RTNH_OK(one, len); len -= RTNH_ALIGN(one->rtnh_len), one = RTNH_NEXT(one))
            n += snprintf(seen->text + n, sizeof seen->text - n, " hop %s, weight %d, flags %x", one->rtnh_ifindex == (int)outside ? "there" : "elsewhere",
                          one->rtnh_hops, one->rtnh_flags);
    }
}

static void listed(const char *name, const char *network)
{
    struct seen seen = {network, "none"};
    struct request request = asking(RTM_GETROUTE, 0, sizeof request.route);
    request.route.rtm_family = AF_INET;
    dump(&request, see, &seen);
    SHOW(name, "%s", seen.text);
}

GROUP(route_ways)
{
    if (!pair())
        return;
    struct request several = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.80.0.0", 16);
    char hops[64];
    size_t len = hop(hops, "10.77.0.5", 2, 0);
    len += hop(hops + len, "10.77.0.6", 0, outside);
    with(&several, RTA_MULTIPATH, hops, len);
    OK("several ways", ask(&several));
    listed("several ways, listed", "10.80.0.0");
    several.header.nlmsg_flags |= NLM_F_EXCL;
    ERR("again", EEXIST, ask(&several));
    /* Both are taken. */
    int taken[2] = {0};
    for (int i = 1; i < 120; i++) {
        struct request request = asking(RTM_GETROUTE, 0, sizeof request.route);
        char answer[4096];
        int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        request.route.rtm_family = AF_INET, request.route.rtm_dst_len = 32;
        with_ip(&request, RTA_DST, named("10.80.%d.7", i));
        MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
        struct rtattr *at = attribute((void *)answer, sizeof(struct rtmsg), RTA_GATEWAY);
        if (at)
            taken[((unsigned char *)RTA_DATA(at))[3] == 6]++;
        close(fd);
    }
    SHOW("spread", "%d, both %d, by weight %d", taken[0] + taken[1], taken[0] > 0 && taken[1] > 0, taken[0] > taken[1]);
    several.header.nlmsg_type = RTM_DELROUTE, several.header.nlmsg_flags = NLM_F_REQUEST;
    OK("removed", ask(&several));
    struct request empty = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.80.0.0", 16);
    with(&empty, RTA_MULTIPATH, hops, 4);
    ERR("a short hop", ERANGE, ask(&empty));

    struct request metrics = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.81.0.0", 16);
    with_ip(&metrics, RTA_GATEWAY, "10.77.0.5");
    char nested[24];
    *(struct rtattr *)nested = (struct rtattr){8, RTAX_MTU}, *(unsigned *)(nested + 4) = 1200;
    *(struct rtattr *)(nested + 8) = (struct rtattr){8, RTAX_ADVMSS}, *(unsigned *)(nested + 12) = 70000;
    *(struct rtattr *)(nested + 16) = (struct rtattr){8, RTAX_HOPLIMIT}, *(unsigned *)(nested + 20) = 300;
    with(&metrics, RTA_METRICS, nested, sizeof nested);
    OK("metrics", ask(&metrics));
    listed("metrics, listed", "10.81.0.0");
    way("metrics, asked for", "10.81.0.1", 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), mtu = 0, strict = IP_PMTUDISC_DO;
    struct sockaddr_in to = {AF_INET, htons(9), {inet_addr("10.81.0.1")}};
    socklen_t size = sizeof mtu;
    MUST(connect(fd, (void *)&to, sizeof to) == 0 && setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &strict, sizeof strict) == 0);
    OK("its size", getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &size));
    EQ("the route's", 1200, mtu);
    static char large[1400];
    EQ("as long as that", 1172, send(fd, large, 1172, 0));
    ERR("longer", EMSGSIZE, send(fd, large, 1173, 0));
    struct request wrong = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.82.0.0", 16);
    with_ip(&wrong, RTA_GATEWAY, "10.77.0.5");
    ((struct rtattr *)nested)->rta_type = 99;
    with(&wrong, RTA_METRICS, nested, 8);
    ERR("no such metric", EINVAL, ask(&wrong));

    struct request source = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.83.0.0", 16);
    with_ip(&source, RTA_GATEWAY, "10.77.0.5"), with_ip(&source, RTA_PREFSRC, "10.77.1.1");
    OK("a source", ask(&source));
    way("from it", "10.83.0.1", 0);
    to.sin_addr.s_addr = inet_addr("10.83.0.1");
    int second = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in own;
    size = sizeof own;
    MUST(connect(second, (void *)&to, sizeof to) == 0 && getsockname(second, (void *)&own, &size) == 0);
    SHOW("connected from", "%s", inet_ntoa(own.sin_addr));
    struct request foreign = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.84.0.0", 16);
    with_ip(&foreign, RTA_GATEWAY, "10.77.0.5"), with_ip(&foreign, RTA_PREFSRC, "10.99.1.1");
    ERR("a source that is not ours", EINVAL, ask(&foreign));

    struct request service = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.85.0.0", 16), q = question();
    service.route.rtm_tos = 0x10;
    with_ip(&service, RTA_GATEWAY, "10.77.0.5");
    OK("of a type of service", ask(&service));
    way("of no type", "10.85.0.1", 0);
    q.route.rtm_tos = 0x10;
    way("of its type", "10.85.0.1", &q);
    struct request onlink = to_network(RTM_NEWROUTE, NLM_F_CREATE, RTN_UNICAST, "10.86.0.0", 16);
    onlink.route.rtm_flags = RTNH_F_ONLINK;
    with_ip(&onlink, RTA_GATEWAY, "1.2.3.4"), with_number(&onlink, RTA_OIF, outside);
    OK("a far neighbour", ask(&onlink));
    listed("a far neighbour, listed", "10.86.0.0");
    OK("IPv6", in_table(RT_TABLE_MAIN, "fd78::", 64, "fd77::5", RTN_UNICAST));
    way("IPv6, asked for", "fd78::1", 0);
    no_pair();
}
