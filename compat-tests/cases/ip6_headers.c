/* Extension headers of IPv6 packets: set, read back, named in messages, sent and heard (ipv6(7), RFC 3542, RFC 2292). */
#include "case.h"
#include "inet.h"
#include <netinet/icmp6.h>
#include <netinet/ip6.h>

struct header {
    const char *name;
    int n;
    unsigned char b[64];
};

static const struct header headers[] = {
    {"nothing", 0, {0}},
    {"4 bytes", 4, {0, 0, 1, 4}},
    {"padding", 8, {0, 0, 1, 4}},
    {"padding with a next header", 8, {17, 0, 1, 4}},
    {"12 bytes", 12, {0, 0, 1, 4}},
    {"too short for what it says", 8, {0, 1, 1, 4}},
    {"longer than it says", 16, {0, 0, 1, 4}},
    {"16 bytes", 16, {0, 1, 1, 12}},
    {"unknown, skipped", 8, {0, 0, 0x1e, 4, 1, 2, 3, 4}},
    {"unknown, drops", 8, {0, 0, 0x5e, 4, 1, 2, 3, 4}},
    {"option beyond the end", 8, {0, 0, 0x1e, 9, 1, 2, 3, 4}},
    {"padding that is not empty", 8, {0, 0, 1, 4, 1}},
    {"router alert", 8, {0, 0, 5, 2, 0, 0, 1, 0}},
    {"eight of one byte", 16, {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x1e, 4}},
    {"routing type 0", 24, {0, 2, 0, 1}},
    {"routing type 2", 24, {0, 2, 2, 1}},
    {"routing type 3", 24, {0, 2, 3, 1}},
    {"routing type 4", 24, {0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
    {"routing type 4, too many left", 24, {0, 2, 4, 1}},
    {"routing type 4, too many entries", 24, {0, 2, 4, 0, 1}},
    {"routing type 4, longer than it says", 32, {0, 2, 4, 0}},
    {"routing type 4 with a TLV", 32, {0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 6}},
    {"routing type 4 with a bad TLV", 32, {0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 9}},
};

static const struct {
    const char *name;
    int set, hear, old;
} kinds[] = {
    {"HOPOPTS", IPV6_HOPOPTS, IPV6_RECVHOPOPTS, IPV6_2292HOPOPTS},
    {"DSTOPTS", IPV6_DSTOPTS, IPV6_RECVDSTOPTS, IPV6_2292DSTOPTS},
    {"RTHDRDSTOPTS", IPV6_RTHDRDSTOPTS, 0, 0},
    {"RTHDR", IPV6_RTHDR, IPV6_RECVRTHDR, IPV6_2292RTHDR},
};

static void set_all(int type, const char *who)
{
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (size_t i = 0; i < COUNT(headers); i++) {
            int fd = socket(AF_INET6, type, 0);
            unsigned char back[128];
            socklen_t n = sizeof back;
            const char *how = result(setsockopt(fd, SOL_IPV6, kinds[k].set, headers[i].b, headers[i].n));
            int got = getsockopt(fd, SOL_IPV6, kinds[k].set, back, &n);
            SHOW(named("%s: %s, %s", who, kinds[k].name, headers[i].name), "%s %s %u %s", how, result(got), n, hex_of(back, got ? 0 : n));
            close(fd);
        }
}

GROUP(headers_set)
{
    if (geteuid() == 0) {
        set_all(SOCK_DGRAM, "datagrams");
        set_all(SOCK_STREAM, "streams");
        int fd = socket(AF_INET6, SOCK_DGRAM, 0);
        unsigned char back[64];
        OK("set", setsockopt(fd, SOL_IPV6, IPV6_HOPOPTS, headers[2].b, 8));
        ERR("a bad one", EINVAL, setsockopt(fd, SOL_IPV6, IPV6_HOPOPTS, headers[5].b, 8));
        for (socklen_t room = 0; room < 12; room += 4) {
            socklen_t n = room;
            int r = getsockopt(fd, SOL_IPV6, IPV6_HOPOPTS, back, &n);
            SHOW(named("room of %u", room), "%s %u", result(r), n);
        }
        OK("taken away", setsockopt(fd, SOL_IPV6, IPV6_HOPOPTS, 0, 0));
        socklen_t n = sizeof back;
        OK("none", getsockopt(fd, SOL_IPV6, IPV6_HOPOPTS, back, &n));
        EQ("none's length", 0, n);
    }
    AS_NOBODY(set_all(SOCK_DGRAM, "nobody"));
}

/* The messages that come with the next packet, except the TLV padding's next header, which is the packet's. */
static const char *came(int fd)
{
    static char text[600];
    unsigned char bytes[2048], control[512];
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    events_within(fd, POLLIN, 5);
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    if (n < 0)
        return error_name(errno);
    int at = sprintf(text, "%zd", n);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        at += sprintf(text + at, " %d.%d:%s", c->cmsg_level, c->cmsg_type, hex_of(CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0)));
    return text;
}

static int hearer(int type, int protocol, int old)
{
    int fd = socket(AF_INET6, type, protocol);
    MUST(fd >= 0 && bind_to(fd, "::1", 0) == 0);
    for (size_t k = 0; k < COUNT(kinds); k++)
        if (kinds[k].hear)
            MUST(set(fd, SOL_IPV6, old ? kinds[k].old : kinds[k].hear, 1) == 0);
    return fd;
}

GROUP(headers_heard)
{
    if (geteuid())
        return;
    for (int old = 0; old < 2; old++) {
        int in = hearer(SOCK_DGRAM, 0, old);
        for (size_t k = 0; k < COUNT(kinds); k++)
            for (size_t i = 0; i < COUNT(headers); i++) {
                int out = socket(AF_INET6, SOCK_DGRAM, 0);
                if (setsockopt(out, SOL_IPV6, kinds[k].set, headers[i].b, headers[i].n) == 0) {
                    const char *how = result(send_to(out, "hello", 5, "::1", own_port(in)));
                    SHOW(named("%s%s, %s", old ? "old " : "", kinds[k].name, headers[i].name), "%s %s", how, came(in));
                }
                close(out);
            }
        int out = socket(AF_INET6, SOCK_DGRAM, 0);
        MUST(setsockopt(out, SOL_IPV6, IPV6_HOPOPTS, headers[2].b, 8) == 0);
        MUST(setsockopt(out, SOL_IPV6, IPV6_RTHDRDSTOPTS, headers[2].b, 8) == 0);
        MUST(setsockopt(out, SOL_IPV6, IPV6_DSTOPTS, headers[8].b, 8) == 0);
        send_to(out, "hello", 5, "::1", own_port(in));
        SHOW(named("%sseveral", old ? "old " : ""), "%s", came(in));
        MUST(set(in, SOL_IPV6, IPV6_RECVHOPLIMIT, 1) == 0 && set(in, SOL_IPV6, IPV6_RECVPKTINFO, 1) == 0);
        MUST(set(in, SOL_IPV6, IPV6_RECVTCLASS, 1) == 0 && set(in, SOL_IPV6, IPV6_2292HOPLIMIT, 1) == 0);
        send_to(out, "hello", 5, "::1", own_port(in));
        SHOW(named("%swith others", old ? "old " : ""), "%s", came(in));
        if (!old) {
            EQ("long", 65000, send_to(out, calloc(1, 65536), 65000, "::1", own_port(in)));
            came(in);
            ERR("too long", EMSGSIZE, send_to(out, calloc(1, 65536), 65527, "::1", own_port(in)));
        }
    }
}

static ssize_t send_with(int fd, int port, int type, const struct header *h, int cut)
{
    struct end to = end_of("::1", port);
    char control[128];
    struct iovec v = {"hello", 5};
    struct msghdr m = {&to.at, to.len, &v, 1, control, CMSG_SPACE(h->n), 0};
    memset(control, 0, sizeof control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(h->n - cut), SOL_IPV6, type};
    memcpy(CMSG_DATA(c), h->b, h->n);
    return sendmsg(fd, &m, 0);
}

static const int named_types[] = {IPV6_HOPOPTS,     IPV6_DSTOPTS,     IPV6_RTHDRDSTOPTS, IPV6_RTHDR,
                                  IPV6_2292HOPOPTS, IPV6_2292DSTOPTS, IPV6_2292RTHDR,    IPV6_RECVHOPOPTS};

static void name_all(int in, int out, const char *who)
{
    for (size_t t = 0; t < COUNT(named_types); t++)
        for (size_t i = 0; i < COUNT(headers); i++) {
            const char *how = result(send_with(out, own_port(in), named_types[t], &headers[i], 0));
            SHOW(named("%s: %d, %s", who, named_types[t], headers[i].name), "%s %s", how, came(in));
        }
}

GROUP(headers_by_message)
{
    int in = hearer(SOCK_DGRAM, 0, 0), out = socket(AF_INET6, SOCK_DGRAM, 0);
    if (geteuid() == 0) {
        name_all(in, out, "root");
        ERR("cut", EINVAL, send_with(out, own_port(in), IPV6_HOPOPTS, &headers[2], 1));
        MUST(setsockopt(out, SOL_IPV6, IPV6_DSTOPTS, headers[8].b, 8) == 0);
        send_with(out, own_port(in), IPV6_HOPOPTS, &headers[2], 0);
        SHOW("in place of the socket's", "%s", came(in));
        send_to(out, "hello", 5, "::1", own_port(in));
        SHOW("the socket's again", "%s", came(in));
    }
    int other = hearer(SOCK_DGRAM, 0, 0);
    AS_NOBODY(name_all(other, socket(AF_INET6, SOCK_DGRAM, 0), "nobody"));
}

GROUP(headers_raw)
{
    if (geteuid())
        return;
    int in = hearer(SOCK_RAW, 253, 0), out = socket(AF_INET6, SOCK_RAW, 253);
    MUST(out >= 0 && setsockopt(out, SOL_IPV6, IPV6_HOPOPTS, headers[2].b, 8) == 0);
    EQ("sent", 3, send_to(out, "abc", 3, "::1", 0));
    SHOW("heard", "%s", came(in));
    /* Whole packets, with headers that no option can make. */
    int whole = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
    static const struct {
        const char *name;
        int first, n;
        unsigned char b[40];
    } packets[] = {
        {"plain", 253, 0, {0}},
        {"routing type 0, none left", 43, 8, {253, 0, 0, 0}},
        {"routing type 0, one left", 43, 24, {253, 2, 0, 1}},
        {"routing type 4, none left", 43, 24, {253, 2, 4, 0}},
        {"routing type 200, none left", 43, 8, {253, 0, 200, 0}},
        {"hop-by-hop second", 60, 16, {0, 0, 1, 4, 0, 0, 0, 0, 253, 0, 1, 4}},
        {"two destination headers", 60, 16, {60, 0, 1, 4, 0, 0, 0, 0, 253, 0, 0x1e, 4}},
        {"all", 0, 32, {60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 253, 0, 1, 4}},
        {"fragment that is whole", 44, 8, {253, 0, 0, 0, 0, 0, 0, 9}},
        {"header beyond the end", 60, 8, {253, 9, 1, 4}},
        {"no next header", 60, 8, {59, 0, 1, 4}},
    };
    for (int old = 0; old < 2; old++) {
        int ear = hearer(SOCK_RAW, 253, old);
        for (size_t i = 0; i < COUNT(packets); i++) {
            unsigned char packet[128] = {0x60, 0, 0, 0, 0, packets[i].n + 3, packets[i].first, 64};
            packet[23] = packet[39] = 1;
            memcpy(packet + 40, packets[i].b, packets[i].n);
            memcpy(packet + 40 + packets[i].n, "abc", 3);
            const char *how = result(send_to(whole, packet, 43 + packets[i].n, "::1", 0));
            SHOW(named("%s%s", old ? "old " : "", packets[i].name), "%s %s", how, came(ear));
        }
        close(ear);
    }
}

GROUP(headers_errors)
{
    if (geteuid())
        return;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), closed = bound_at(SOCK_DGRAM, "::1"), port = own_port(closed);
    close(closed);
    MUST(setsockopt(fd, SOL_IPV6, IPV6_DSTOPTS, headers[8].b, 8) == 0);
    MUST(connect_to(fd, "::1", port) == 0);
    EQ("to nobody", 1, send(fd, "x", 1, 0));
    char byte;
    events_within(fd, POLLIN, 50);
    ERR("refused", ECONNREFUSED, recv(fd, &byte, 1, MSG_DONTWAIT));
    for (int form = 0; form < 2; form++) {
        int in = bound_at(SOCK_DGRAM, "::1"), out = socket(AF_INET6, SOCK_DGRAM, 0);
        static const unsigned char bad[2][8] = {{0, 0, 0x9e, 4, 1, 2, 3, 4}, {0, 0, 0xde, 4, 1, 2, 3, 4}};
        MUST(setsockopt(out, SOL_IPV6, form ? IPV6_DSTOPTS : IPV6_HOPOPTS, bad[form], 8) == 0);
        MUST(connect_to(out, "::1", own_port(in)) == 0);
        EQ(named("an option that is answered, %d", form), 1, send(out, "x", 1, 0));
        events_within(out, POLLIN, 50);
        SHOW(named("its answer, %d", form), "%s %s", result(recv(out, &byte, 1, MSG_DONTWAIT)), came(in));
    }
}

GROUP(headers_tcp)
{
    if (geteuid())
        return;
    int l = bound_at(SOCK_STREAM, "::1"), c = socket(AF_INET6, SOCK_STREAM, 0);
    unsigned char back[64];
    socklen_t n = sizeof back;
    MUST(setsockopt(l, SOL_IPV6, IPV6_HOPOPTS, headers[2].b, 8) == 0 && listen(l, 1) == 0);
    MUST(setsockopt(c, SOL_IPV6, IPV6_DSTOPTS, headers[8].b, 8) == 0);
    OK("connected", connect_to(c, "::1", own_port(l)));
    int a = accept(l, 0, 0);
    MUST(a >= 0);
    OK("accepted's", getsockopt(a, SOL_IPV6, IPV6_HOPOPTS, back, &n));
    SHOW("accepted's are the listener's", "%u %s", n, hex_of(back, n));
    MUST(send(c, "hello", 5, 0) == 5);
    EQ("heard", 5, recv(a, back, 5, MSG_WAITALL));
    OK("taken away", setsockopt(c, SOL_IPV6, IPV6_DSTOPTS, 0, 0));
    MUST(send(c, "hello", 5, 0) == 5);
    EQ("heard again", 5, recv(a, back, 5, MSG_WAITALL));
    MUST(send(a, "hello", 5, 0) == 5);
    EQ("answered", 5, recv(c, back, 5, MSG_WAITALL));
    unsigned char all[256];
    static const int asked[] = {0, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_2292PKTINFO, IPV6_2292HOPLIMIT, IPV6_RECVHOPOPTS};
    for (size_t i = 0; i < COUNT(asked); i++) {
        if (asked[i])
            MUST(set(c, SOL_IPV6, asked[i], 1) == 0);
        n = sizeof all;
        int r = getsockopt(c, SOL_IPV6, IPV6_2292PKTOPTIONS, all, &n);
        SHOW(named("PKTOPTIONS with %d", asked[i]), "%s %u %s", result(r), n, hex_of(all, r ? 0 : n));
    }
    n = sizeof all;
    int d = socket(AF_INET6, SOCK_DGRAM, 0);
    ERR("PKTOPTIONS of datagrams", ENOPROTOOPT, getsockopt(d, SOL_IPV6, IPV6_2292PKTOPTIONS, all, &n));
    /* RFC 2292's way to set several. */
    char control[64] = {0};
    struct cmsghdr *m = (void *)control;
    *m = (struct cmsghdr){CMSG_LEN(8), SOL_IPV6, IPV6_2292HOPOPTS};
    memcpy(CMSG_DATA(m), headers[2].b, 8);
    SHOW("PKTOPTIONS set", "%s", result(setsockopt(d, SOL_IPV6, IPV6_2292PKTOPTIONS, control, CMSG_SPACE(8))));
    n = sizeof back;
    OK("PKTOPTIONS read", getsockopt(d, SOL_IPV6, IPV6_HOPOPTS, back, &n));
    SHOW("PKTOPTIONS have set", "%u %s", n, hex_of(back, n));
    SHOW("PKTOPTIONS of nothing", "%s", result(setsockopt(d, SOL_IPV6, IPV6_2292PKTOPTIONS, control, 0)));
    n = sizeof back;
    MUST(getsockopt(d, SOL_IPV6, IPV6_HOPOPTS, back, &n) == 0);
    EQ("PKTOPTIONS of nothing take away", 0, n);
    m->cmsg_type = 200;
    SHOW("PKTOPTIONS of an unknown kind", "%s", result(setsockopt(d, SOL_IPV6, IPV6_2292PKTOPTIONS, control, CMSG_SPACE(8))));
    static const unsigned char info[20] = {[15] = 1};
    for (int i = 0; i < 24; i += 4)
        SHOW(named("PKTINFO of %d", i), "%s", result(setsockopt(d, SOL_IPV6, IPV6_PKTINFO, info, i)));
}
