/* Datagrams to groups and to everybody: which way they go, and who hears them (ip(7), ipv6(7)). */
#include "case.h"
#include "net.h"
#include "inet.h"

#define GROUP_ADDRESS "224.0.2.1"
#define SECOND_GROUP "224.0.2.2"

enum membership { NONE, BY_ADDRESS, BY_INDEX };
static const char *const memberships[] = {"nobody", "address", "index"};

static int join(int fd, const char *group, enum membership how, int leave)
{
    struct ip_mreq plain = {0};
    struct ip_mreqn indexed = {0};
    inet_pton(AF_INET, group, &plain.imr_multiaddr);
    indexed.imr_multiaddr = plain.imr_multiaddr;
    plain.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
    indexed.imr_ifindex = if_nametoindex("lo");
    int option = leave ? IP_DROP_MEMBERSHIP : IP_ADD_MEMBERSHIP;
    if (how == BY_ADDRESS)
        return setsockopt(fd, IPPROTO_IP, option, &plain, sizeof plain);
    return how == BY_INDEX ? setsockopt(fd, IPPROTO_IP, option, &indexed, sizeof indexed) : 0;
}

/* How the sender comes by its interface. */
enum way { NO_WAY, BOUND, IF_ADDRESS, IF_REQUEST, IF_INDEX };
static const char *const ways[] = {"no way", "bound", "address", "request", "index"};

static int choose(int fd, enum way way)
{
    struct in_addr address = {htonl(INADDR_LOOPBACK)};
    struct ip_mreq request = {.imr_interface = address};
    struct ip_mreqn indexed = {.imr_ifindex = if_nametoindex("lo")};
    switch (way) {
    case NO_WAY:
        return 0;
    case BOUND:
        return bind_to(fd, "127.0.0.1", 0);
    case IF_ADDRESS:
        return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof address);
    case IF_REQUEST:
        return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
    default:
        return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &indexed, sizeof indexed);
    }
}

GROUP(groups_reach)
{
    own_network();
    for (int way = NO_WAY; way <= IF_INDEX; way++)
        for (int how = NONE; how <= BY_INDEX; how++)
            for (int connects = 0; connects < 2; connects++)
                for (int looped = 0; looped < 2; looped++)
                    for (int itself = 0; itself < 2; itself++) {
                        if (itself && way == BOUND)
                            continue;
                        int s = socket(AF_INET, SOCK_DGRAM, 0), r = itself ? s : socket(AF_INET, SOCK_DGRAM, 0);
                        MUST(bind_to(r, "0.0.0.0", 0) == 0 && set(s, IPPROTO_IP, IP_MULTICAST_LOOP, looped) == 0);
                        const char *chosen = result(choose(s, way)), *joined = result(join(r, GROUP_ADDRESS, how, 0));
                        long sent = connects ? connect_to(s, GROUP_ADDRESS, own_port(r)) : 0;
                        if (sent == 0)
                            sent = connects ? send(s, "hello", 5, 0) : send_to(s, "hello", 5, GROUP_ADDRESS, own_port(r));
                        const char *sending = result(sent);
                        SHOW(named("%s, joined by %s%s%s%s", ways[way], memberships[how], connects ? " connected" : "",
                                   looped ? "" : " not looped", itself ? " itself" : ""),
                             "%s %s, sent %s, heard %s", chosen, joined, sending, heard(r));
                        close(s);
                        close(r);
                    }
}

GROUP(groups_choice)
{
    own_network();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int way = NO_WAY; way <= IF_INDEX; way++) {
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (way != BOUND)
            choose(fd, way);
        unsigned char got[16] = {0};
        socklen_t n = sizeof(struct ip_mreqn);
        MUST(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, got, &n) == 0);
        SHOW(named("read back %s", ways[way]), "%u: %u.%u.%u.%u", n, got[0], got[1], got[2], got[3]);
    }
    struct ip_mreqn request = {0};
    EQ("no interface", 0, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
    request.imr_ifindex = -1;
    ERR("a bad index", EADDRNOTAVAIL, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
    request = (struct ip_mreqn){.imr_address.s_addr = inet_addr("255.255.255.255")};
    ERR("nobody's address", EADDRNOTAVAIL, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, 8));
    ERR("one byte", EINVAL, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, 1));
    request = (struct ip_mreqn){.imr_multiaddr.s_addr = inet_addr(GROUP_ADDRESS)};
    ERR("join without a way", ENODEV, setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    ERR("leave without a way", ENODEV, setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &request, sizeof request));
    request.imr_address.s_addr = inet_addr("255.255.255.255");
    ERR("join at nobody's address", ENODEV, setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    request = (struct ip_mreqn){.imr_ifindex = if_nametoindex("lo")};
    ERR("join no group", EINVAL, setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    ERR("leave no group", EADDRNOTAVAIL, setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &request, sizeof request));
    request.imr_multiaddr.s_addr = inet_addr("127.0.0.1");
    ERR("join ourselves", EINVAL, setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    ERR("leave ourselves", EADDRNOTAVAIL, setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &request, sizeof request));
    for (int how = BY_ADDRESS; how <= BY_INDEX; how++) {
        ERR(named("leave unasked by %s", memberships[how]), EADDRNOTAVAIL, join(fd, GROUP_ADDRESS, how, 1));
        EQ(named("join by %s", memberships[how]), 0, join(fd, GROUP_ADDRESS, how, 0));
        ERR(named("twice by %s", memberships[how]), EADDRINUSE, join(fd, GROUP_ADDRESS, how, 0));
        EQ(named("leave by %s", memberships[how]), 0, join(fd, GROUP_ADDRESS, how, 1));
    }
}

GROUP(groups_several)
{
    own_network();
    int r[2], s = socket(AF_INET, SOCK_DGRAM, 0), port = 0;
    choose(s, IF_ADDRESS);
    for (int i = 0; i < 2; i++) {
        r[i] = socket(AF_INET, SOCK_DGRAM, 0);
        set(r[i], SOL_SOCKET, SO_REUSEPORT, 1);
        MUST(join(r[i], GROUP_ADDRESS, BY_ADDRESS, 0) == 0 && bind_to(r[i], "0.0.0.0", port) == 0);
        port = own_port(r[i]);
    }
    for (int left = 0; left < 3; left++) {
        const char *sent = result(send_to(s, "hello", 5, GROUP_ADDRESS, port)), *one = heard(r[0]), *two = heard(r[1]);
        SHOW(named("%d have left", left), "%s: %s %s", sent, one, two);
        if (left < 2)
            join(r[left], GROUP_ADDRESS, BY_ADDRESS, 1);
    }
    /* Closing leaves. */
    for (int i = 0; i < 2; i++)
        join(r[i], GROUP_ADDRESS, BY_ADDRESS, 0);
    close(r[0]);
    const char *sent = result(send_to(s, "hello", 5, GROUP_ADDRESS, port));
    SHOW("one has closed", "%s: %s", sent, heard(r[1]));
    /* A socket that hears of its own groups alone. */
    for (int all = 0; all < 2; all++) {
        int other = socket(AF_INET, SOCK_DGRAM, 0);
        set(other, SOL_SOCKET, SO_REUSEPORT, 1);
        MUST(bind_to(other, "0.0.0.0", port) == 0 && set(other, IPPROTO_IP, IP_MULTICAST_ALL, all) == 0);
        send_to(s, "hello", 5, GROUP_ADDRESS, port);
        SHOW(named("IP_MULTICAST_ALL %d", all), "%s", heard(other));
        close(other);
    }
}

/* Sockets that are bound to addresses which are nobody's own. */
GROUP(groups_bound)
{
    own_network();
    static const char *const addresses[] = {"224.0.2.1", "255.255.255.255", "127.255.255.255", "224.0.0.1"};
    for (size_t i = 0; i < COUNT(addresses); i++)
        for (int joins = 0; joins < 2; joins++) {
            int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
            const char *bound = result(bind_to(r, addresses[i], 0)), *joined = "";
            if (joins)
                joined = result(join(r, GROUP_ADDRESS, BY_INDEX, 0));
            set(s, SOL_SOCKET, SO_BROADCAST, 1);
            MUST(bind_to(s, "127.0.0.1", 0) == 0);
            const char *sent = result(send_to(s, "hello", 5, addresses[i], own_port(r)));
            const char *got = heard(r), *own = result(send_to(s, "hello", 5, "127.0.0.1", own_port(r)));
            SHOW(named("%s%s", addresses[i], joins ? " joined" : ""), "%s %s, sent %s, heard %s; to us %s, heard %s", bound, joined, sent, got,
                 own, heard(r));
            int any = bound_at(SOCK_DGRAM, "0.0.0.0");
            const char *from = result(send_to(r, "hello", 5, "127.0.0.1", own_port(any)));
            SHOW(named("from %s%s", addresses[i], joins ? " joined" : ""), "%s, heard %s", from, heard(any));
            close(any);
            close(r);
            close(s);
        }
    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < COUNT(addresses); i++) {
            int fd = socket(AF_INET, kind ? SOCK_STREAM : SOCK_DGRAM, 0);
            SERIES(named("%s without leave to %s", kind ? "TCP" : "UDP", addresses[i]), "connect %s, send %s", result(connect_to(fd, addresses[i], 9)), kind ? "" : result(send_to(fd, "x", 1, addresses[i], 9)));
            int b = socket(AF_INET, kind ? SOCK_STREAM : SOCK_DGRAM, 0);
            SHOW(named("%s bound to %s", kind ? "TCP" : "UDP", addresses[i]), "%s", result(bind_to(b, addresses[i], 0)));
            close(b);
            close(fd);
        }
}

GROUP(broadcast)
{
    own_network();
    MUST(address(RTM_NEWADDR, NLM_F_CREATE, if_nametoindex("lo"), "10.1.2.3", 24) == 0);
    static const char *const addresses[] = {"255.255.255.255", "10.1.2.255", "10.1.2.0", "127.255.255.255"};
    for (size_t i = 0; i < COUNT(addresses); i++)
        for (int may = 0; may < 2; may++) {
            int any = bound_at(SOCK_DGRAM, "0.0.0.0"), own = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
            set(s, SOL_SOCKET, SO_BROADCAST, may);
            set(own, SOL_SOCKET, SO_REUSEADDR, 1);
            const char *sent = result(send_to(s, "hello", 5, addresses[i], own_port(any)));
            SHOW(named("%s%s", addresses[i], may ? " allowed" : ""), "%s, heard %s", sent, heard(any));
            close(any);
            close(own);
            close(s);
        }
}

/* Who of those that share a port by SO_REUSEADDR or SO_REUSEPORT hears what is for one. */
GROUP(groups_shared_port)
{
    own_network();
    int fds[6], port = 0;
    for (int i = 0; i < 6; i++) {
        fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
        set(fds[i], SOL_SOCKET, SO_REUSEADDR, 1);
        MUST(bind_to(fds[i], "127.0.0.1", port) == 0);
        port = own_port(fds[i]);
        int s = socket(AF_INET, SOCK_DGRAM, 0);
        send_to(s, "hello", 5, "127.0.0.1", port);
        SHOW(named("the last of %d", i + 1), "%s", heard(fds[i]));
        close(s);
    }
    for (int i = 0; i < 6; i++)
        SHOW(named("%d in the end", i), "%s", heard(fds[i]));
    static const int options[] = {0, SO_REUSEADDR, SO_REUSEPORT};
    static const char *const names[] = {"none", "address", "port", "both"};
    for (int one = 0; one < 4; one++)
        for (int two = 0; two < 4; two++) {
            int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
            for (int bit = 0; bit < 2; bit++) {
                if (one & 1 << bit)
                    set(a, SOL_SOCKET, options[bit + 1], 1);
                if (two & 1 << bit)
                    set(b, SOL_SOCKET, options[bit + 1], 1);
            }
            MUST(bind_to(a, "127.0.0.1", 0) == 0);
            SHOW(named("%s then %s", names[one], names[two]), "%s", result(bind_to(b, "127.0.0.1", own_port(a))));
            close(a);
            close(b);
        }
    int two[2];
    port = 0;
    for (int i = 0; i < 2; i++) {
        two[i] = socket(AF_INET, SOCK_DGRAM, 0);
        set(two[i], SOL_SOCKET, SO_REUSEADDR, 1);
        set(two[i], SOL_SOCKET, SO_REUSEPORT, 1);
        MUST(bind_to(two[i], "127.0.0.1", port) == 0);
        port = own_port(two[i]);
    }
    for (int i = 0; i < 60; i++) {
        int s = socket(AF_INET, SOCK_DGRAM, 0);
        send_to(s, "hello", 5, "127.0.0.1", port);
        close(s);
    }
    SERIES("both share", "%s %s", heard(two[0]), heard(two[1]));
}

/* IPv6's groups: lo has no route to them, unless one is named. */
GROUP(groups_v6)
{
    own_network();
    static const char *const addresses[] = {"ff01::1", "ff02::1", "ff05::1234", "ff0e::1"};
    int lo = if_nametoindex("lo");
    for (size_t i = 0; i < COUNT(addresses); i++)
        for (int joins = 0; joins < 2; joins++)
            for (int names = 0; names < 2; names++) {
                int r = socket(AF_INET6, SOCK_DGRAM, 0), s = socket(AF_INET6, SOCK_DGRAM, 0);
                struct ipv6_mreq request = {.ipv6mr_interface = lo};
                inet_pton(AF_INET6, addresses[i], &request.ipv6mr_multiaddr);
                MUST(bind_to(r, "::", 0) == 0);
                const char *joined = joins ? result(setsockopt(r, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request)) : "";
                const char *named_if = names ? result(set(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, lo)) : "";
                const char *sent = result(send_to(s, "hello", 5, addresses[i], own_port(r)));
                SHOW(named("%s%s%s", addresses[i], joins ? " joined" : "", names ? " named" : ""), "%s %s, %s, heard %s", joined, named_if, sent,
                     heard(r));
                const char *left = joins ? result(setsockopt(r, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &request, sizeof request)) : "";
                const char *again = joins ? result(setsockopt(r, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &request, sizeof request)) : "";
                SHOW(named("%s%s%s left", addresses[i], joins ? " joined" : "", names ? " named" : ""), "%s %s", left, again);
                close(r);
                close(s);
            }
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct ipv6_mreq request = {.ipv6mr_interface = lo};
    ERR("join no group", EINVAL, setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
    ERR("leave no group", EINVAL, setsockopt(fd, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &request, sizeof request));
    inet_pton(AF_INET6, "ff05::1234", &request.ipv6mr_multiaddr);
    request.ipv6mr_interface = 77;
    ERR("join nowhere", ENODEV, setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
    SHOW("leave nowhere", "%s", result(setsockopt(fd, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &request, sizeof request)));
    ERR("IPV6_MULTICAST_IF nowhere", ENODEV, set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, 77));
}

/* Whole filters of sources, set and read back. */
static int filter(int fd, int mode, int count, const char *const *sources)
{
    char buffer[16 + 4 * 8];
    struct ip_msfilter *f = (void *)buffer;
    memset(buffer, 0, sizeof buffer);
    f->imsf_multiaddr.s_addr = inet_addr(GROUP_ADDRESS);
    f->imsf_interface.s_addr = htonl(INADDR_LOOPBACK);
    f->imsf_fmode = mode;
    f->imsf_numsrc = count;
    for (int i = 0; i < count; i++)
        f->imsf_slist[i].s_addr = inet_addr(sources[i]);
    return setsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(count));
}

static const char *filter_of(int fd, int room)
{
    static char texts[4][200];
    static int turn;
    char buffer[16 + 4 * 8], *text = texts[turn++ & 3];
    struct ip_msfilter *f = (void *)buffer;
    memset(buffer, 0, sizeof buffer);
    f->imsf_multiaddr.s_addr = inet_addr(GROUP_ADDRESS);
    f->imsf_interface.s_addr = htonl(INADDR_LOOPBACK);
    f->imsf_numsrc = room;
    socklen_t n = IP_MSFILTER_SIZE(room);
    if (getsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, &n) < 0)
        return error_name(errno);
    int at = sprintf(text, "%u: %u %u", n, f->imsf_fmode, f->imsf_numsrc);
    for (int i = 0; i < room && i < (int)f->imsf_numsrc; i++)
        at += sprintf(text + at, " %s", inet_ntoa(f->imsf_slist[i]));
    return text;
}

static const char *const sources[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3"};

static int group_filter(int fd, int level, int mode, int count)
{
    struct {
        struct group_filter f;
        struct sockaddr_storage more[4];
    } all;
    memset(&all, 0, sizeof all);
    all.f.gf_interface = if_nametoindex("lo");
    struct end group = end_of(level == IPPROTO_IP ? GROUP_ADDRESS : "ff05::1234", 0);
    memcpy(&all.f.gf_group, &group.at, sizeof group.at);
    all.f.gf_fmode = mode;
    all.f.gf_numsrc = count;
    for (int i = 0; i < count; i++) {
        struct end source = end_of(level == IPPROTO_IP ? sources[i] : i ? "::2" : "::1", 0);
        memcpy(&all.f.gf_slist[i], &source.at, sizeof source.at);
    }
    return setsockopt(fd, level, MCAST_MSFILTER, &all, GROUP_FILTER_SIZE(count));
}

static const char *group_filter_of(int fd, int level, int room)
{
    static char texts[4][200];
    static int turn;
    char *text = texts[turn++ & 3], ip[48];
    struct {
        struct group_filter f;
        struct sockaddr_storage more[4];
    } all;
    memset(&all, 0, sizeof all);
    all.f.gf_interface = if_nametoindex("lo");
    struct end group = end_of(level == IPPROTO_IP ? GROUP_ADDRESS : "ff05::1234", 0);
    memcpy(&all.f.gf_group, &group.at, sizeof group.at);
    all.f.gf_numsrc = room;
    socklen_t n = GROUP_FILTER_SIZE(room);
    if (getsockopt(fd, level, MCAST_MSFILTER, &all, &n) < 0)
        return error_name(errno);
    int at = sprintf(text, "%u: %u %u", n, all.f.gf_fmode, all.f.gf_numsrc);
    for (int i = 0; i < room && i < (int)all.f.gf_numsrc; i++) {
        struct sockaddr_storage *s = &all.f.gf_slist[i];
        if (s->ss_family == AF_INET)
            inet_ntop(AF_INET, &((struct sockaddr_in *)s)->sin_addr, ip, sizeof ip);
        else
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)s)->sin6_addr, ip, sizeof ip);
        at += sprintf(text + at, " %s", ip);
    }
    return text;
}

GROUP(groups_filters)
{
    own_network();
    int fd = bound_at(SOCK_DGRAM, "0.0.0.0"), s = bound_at(SOCK_DGRAM, "127.0.0.1");
    SERIES("not joined", "%s; set %s %s", filter_of(fd, 3), result(filter(fd, MCAST_INCLUDE, 1, sources)), result(filter(fd, MCAST_EXCLUDE, 1, sources)));
    MUST(join(fd, GROUP_ADDRESS, BY_ADDRESS, 0) == 0);
    SHOW("joined", "%s", filter_of(fd, 3));
    SHOW("another mode", "%s", result(filter(fd, 2, 1, sources)));
    for (int mode = 0; mode < 2; mode++)
        for (int count = 0; count <= 3; count++) {
            if (mode == MCAST_INCLUDE && !count)
                continue;
            const char *said = result(filter(fd, mode, count, sources));
            const char *sent = result(send_to(s, "hello", 5, GROUP_ADDRESS, own_port(fd)));
            const char *got = heard(fd);
            SERIES(named("%s of %d", mode == MCAST_INCLUDE ? "these" : "all but", count), "%s, sent %s, heard %s; %s; room for one %s; none %s", said, sent, got, filter_of(fd, 3), filter_of(fd, 1), filter_of(fd, 0));
            SERIES(named("the new form: %s of %d", mode == MCAST_INCLUDE ? "these" : "all but", count), "%s; room for one %s", group_filter_of(fd, IPPROTO_IP, 3), group_filter_of(fd, IPPROTO_IP, 1));
        }
    for (int mode = 0; mode < 2; mode++)
        for (int count = 1; count <= 3; count++) {
            const char *said = result(group_filter(fd, IPPROTO_IP, mode, count));
            SHOW(named("set by the new form: %s of %d", mode == MCAST_INCLUDE ? "these" : "all but", count), "%s; %s", said, filter_of(fd, 3));
        }
    SERIES("nobody", "%s; then %s", result(filter(fd, MCAST_INCLUDE, 0, sources)), filter_of(fd, 3));
    int six = bound_at(SOCK_DGRAM, "::");
    SERIES("IPv6, not joined", "%s; %s", group_filter_of(six, IPPROTO_IPV6, 2), result(group_filter(six, IPPROTO_IPV6, MCAST_INCLUDE, 1)));
    struct ipv6_mreq request = {.ipv6mr_interface = if_nametoindex("lo")};
    inet_pton(AF_INET6, "ff05::1234", &request.ipv6mr_multiaddr);
    MUST(setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request) == 0);
    SHOW("IPv6, joined", "%s", group_filter_of(six, IPPROTO_IPV6, 2));
    for (int mode = 0; mode < 2; mode++)
        for (int count = 1; count <= 2; count++) {
            const char *said = result(group_filter(six, IPPROTO_IPV6, mode, count));
            SERIES(named("IPv6, %s of %d", mode == MCAST_INCLUDE ? "these" : "all but", count), "%s; %s; %s", said, group_filter_of(six, IPPROTO_IPV6, 2), group_filter_of(six, IPPROTO_IPV6, 1));
        }
}

/* What is told of datagrams along with them. */
GROUP(groups_told)
{
    own_network();
    static const struct { const char *name; int option; } asked[] = {
        {"IP_PKTINFO", IP_PKTINFO}, {"IP_RECVTTL", IP_RECVTTL}, {"IP_RECVTOS", IP_RECVTOS}, {"IP_RECVORIGDSTADDR", IP_RECVORIGDSTADDR}};
    char bytes[64];
    for (size_t i = 0; i < COUNT(asked); i++)
        for (int to = 0; to < 3; to++) {
            int r = socket(AF_INET, SOCK_DGRAM, 0), s = bound_at(SOCK_DGRAM, "127.0.0.1");
            MUST(bind_to(r, "0.0.0.0", 0) == 0 && join(r, GROUP_ADDRESS, BY_INDEX, 0) == 0 && set(r, IPPROTO_IP, asked[i].option, 1) == 0);
            set(s, SOL_SOCKET, SO_BROADCAST, 1);
            set(s, IPPROTO_IP, IP_MULTICAST_TTL, 7);
            set(s, IPPROTO_IP, IP_TTL, 9);
            set(s, IPPROTO_IP, IP_TOS, 0x28);
            const char *address = to == 0 ? "127.0.0.5" : to == 1 ? GROUP_ADDRESS : "255.255.255.255";
            MUST(send_to(s, "hello", 5, address, own_port(r)) == 5);
            const char *told = control_of(r, bytes, sizeof bytes);
            /* A port is different each time. */
            if (asked[i].option == IP_RECVORIGDSTADDR)
                SHOW(named("%s, to %s", asked[i].name, address), "%.11s, port, %.8s", told, strlen(told) > 15 ? told + 15 : "");
            else
                SHOW(named("%s, to %s", asked[i].name, address), "%s", told);
            close(r);
            close(s);
        }
    static const struct { const char *name; int option; } six[] = {
        {"IPV6_RECVPKTINFO", IPV6_RECVPKTINFO}, {"IPV6_RECVHOPLIMIT", IPV6_RECVHOPLIMIT}, {"IPV6_RECVTCLASS", IPV6_RECVTCLASS}};
    for (size_t i = 0; i < COUNT(six); i++)
        for (int mapped = 0; mapped < 2; mapped++) {
            int r = bound_at(SOCK_DGRAM, "::"), s = bound_at(SOCK_DGRAM, mapped ? "127.0.0.1" : "::1");
            MUST(set(r, IPPROTO_IPV6, six[i].option, 1) == 0);
            set(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
            set(s, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
            MUST(send_to(s, "hello", 5, mapped ? "127.0.0.1" : "::1", own_port(r)) == 5);
            SHOW(named("%s%s", six[i].name, mapped ? ", IPv4" : ""), "%s", control_of(r, bytes, sizeof bytes));
            close(r);
            close(s);
        }
}
