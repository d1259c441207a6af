/* Datagrams, raw sockets and pings in both families: what every call answers (udp(7), raw(7), icmp(7)). */
#include "case.h"
#include "net.h"
#include "inet.h"
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

static const int families[] = {AF_INET, AF_INET6};
static const char *family_name(int family) { return family == AF_INET ? "IPv4" : "IPv6"; }
static const char *any_of(int family) { return family == AF_INET ? "0.0.0.0" : "::"; }

static const char *shown(int fd)
{
    static char texts[8][80];
    static int turn;
    char *text = texts[turn++ & 7], ip[48];
    struct end end = own_end(fd);
    if (end.at.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&end.at)->sin_addr, ip, sizeof ip);
    else
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&end.at)->sin6_addr, ip, sizeof ip);
    sprintf(text, "%s%s", ip, own_port(fd) ? ":port" : "");
    return text;
}

static int disconnect(int fd)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    return connect(fd, &none, sizeof none.sa_family);
}

GROUP(udp_life)
{
    own_network();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]), *any = any_of(families[f]);
        int r = bound_at(SOCK_DGRAM, ip), s = socket(families[f], SOCK_DGRAM, 0);
        char bytes[64];
        struct end peer = {.len = sizeof peer.at};
        SERIES(named("%s unbound", family), "%s, listen %s, accept %s, peer %s", shown(s), result(listen(s, 1)), result(accept(s, 0, 0)), result(getpeername(s, (void *)&peer.at, &peer.len)));
        SERIES(named("%s not connected", family), "send %s write %s recv %s shutdown %s", result(send(s, bytes, 5, 0)), result(write(s, bytes, 5)), result(recv(s, bytes, 5, MSG_DONTWAIT)), result(shutdown(s, SHUT_RD)));
        close(s);
        s = socket(families[f], SOCK_DGRAM, 0);
        SERIES(named("%s sendto", family), "%s %s, %s", result(send_to(s, bytes, 5, ip, own_port(r))), shown(s), heard(r));
        SERIES(named("%s bind again", family), "%s; another there %s", result(bind_to(r, ip, 0)), result(bind_to(s, ip, own_port(r))));
        close(s);
        /* Connected to any address, and to no port. */
        s = socket(families[f], SOCK_DGRAM, 0);
        const char *said = result(connect_to(s, any, 0));
        SERIES(named("%s connect to nobody", family), "%s peer %s %s", said, result(getpeername(s, (void *)&peer.at, &peer.len)), shown(s));
        said = result(disconnect(s));
        SHOW(named("%s disconnect from nobody", family), "%s %s", said, shown(s));
        close(s);
        for (int bound = 0; bound < 3; bound++) {
            s = socket(families[f], SOCK_DGRAM, 0);
            if (bound)
                MUST(bind_to(s, bound == 1 ? ip : any, 0) == 0);
            for (int round = 0; round < 2; round++) {
                const char *one = result(connect_to(s, ip, own_port(r))), *at = shown(s), *sent = result(send(s, bytes, 5, 0)), *got = heard(r);
                const char *off = result(disconnect(s)), *then = shown(s), *no = result(send(s, bytes, 5, 0));
                SHOW(named("%s bound to %s, turn %d", family, bound == 0 ? "none" : bound == 1 ? "one" : "any", round), "%s %s %s %s; %s %s %s", one,
                     at, sent, got, off, then, no);
            }
            close(s);
        }
        s = socket(families[f], SOCK_DGRAM, 0);
        MUST(connect_to(s, ip, own_port(r)) == 0);
        int other = bound_at(SOCK_DGRAM, any);
        SHOW(named("%s bind a connected one", family), "%s", result(bind_to(s, any, 0)));
        SHOW(named("%s connect again", family), "%s", result(connect_to(s, ip, own_port(other))));
        SERIES(named("%s send elsewhere", family), "%s %s", result(send_to(s, bytes, 7, ip, own_port(r))), heard(r));
        SERIES(named("%s from a stranger", family), "%s %s", result(send_to(r, bytes, 5, ip, own_port(s))), heard(s));
        SERIES(named("%s from the other side", family), "%s %s", result(send_to(other, bytes, 5, ip, own_port(s))), heard(s));
        SHOW(named("%s short address", family), "%s", result(connect(s, &(struct sockaddr){.sa_family = families[f]}, 2)));
        SHOW(named("%s port 0", family), "%s", result(send_to(s, bytes, 5, ip, 0)));
        close(s);
        close(other);
        close(r);
    }
}

GROUP(udp_boundaries)
{
    own_network();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]);
        int r = bound_at(SOCK_DGRAM, ip), s = socket(families[f], SOCK_DGRAM, 0), n = -1;
        char bytes[600], parts[3][100];
        MUST(connect_to(s, ip, own_port(r)) == 0);
        SHOW(named("%s FIONREAD of none", family), "%s %d", result(ioctl(r, FIONREAD, &n)), n);
        for (int i = 0; i < 3; i++) {
            MUST(send(s, bytes, 100 + i, 0) == 100 + i);
            events_within(r, POLLIN, 100);
            MUST(ioctl(r, FIONREAD, &n) == 0);
            SHOW(named("%s FIONREAD of %d", family, i + 1), "%d", n);
        }
        struct iovec v[3] = {{parts[0], 50}, {parts[1], 50}, {parts[2], 50}};
        SERIES(named("%s in pieces", family), "%s %s", result(readv(r, v, 3)), result(readv(r, v, 1)));
        SHOW(named("%s MSG_TRUNC", family), "%s", result(recv(r, bytes, 10, MSG_TRUNC)));
        SHOW(named("%s none is left", family), "%s", heard(r));
        /* Empty ones count. */
        MUST(write(s, bytes, 0) == 0 && send(s, bytes, 0, 0) == 0);
        SERIES(named("%s empty", family), "%s %s %s %s", hexed(events_within(r, POLLIN, 100)), heard(r), heard(r), heard(r));
        /* Shut down for reading. */
        MUST(write(s, "abc", 3) == 3 && connect_to(r, ip, own_port(s)) == 0);
        MUST(shutdown(r, SHUT_RD) == 0);
        MUST(ioctl(r, FIONREAD, &n) == 0);
        SERIES(named("%s SHUT_RD", family), "%s %s %s", result(n), hexed(events_within(r, 0x7fff, 0)), heard(r));
        const char *after = result(write(s, "abc", 3));
        SERIES(named("%s after SHUT_RD", family), "%s: %s; waits %s; %s", after, heard(r), result(recv(r, bytes, 3, 0)), hexed(events_within(r, 0x7fff, 0)));
        SERIES(named("%s SHUT_WR", family), "%s %s", result(shutdown(s, SHUT_WR)), result(send(s, "abc", 3, 0)));
        close(r);
        close(s);
        /* The least of buffers holds one of any size. */
        r = bound_at(SOCK_DGRAM, ip);
        s = socket(families[f], SOCK_DGRAM, 0);
        set(r, SOL_SOCKET, SO_RCVBUF, 0);
        int least = option(r, SOL_SOCKET, SO_RCVBUF);
        static char much[8192], got[8192];
        for (int size = least; size < least + 2; size++) {
            int sent = send_to(s, much, size, ip, own_port(r));
            events_within(r, POLLIN, 100);
            SHOW(named("%s the least and %d", family, size - least), "%s", sent == size && recv(r, got, sizeof got, MSG_DONTWAIT) == size ? "whole" : "not");
        }
        set(r, SOL_SOCKET, SO_RCVBUF, least * 2);
        int count = 0;
        for (int i = 0; i < 8; i++)
            send_to(s, much, least, ip, own_port(r));
        events_within(r, POLLIN, 100);
        while (recv(r, got, sizeof got, MSG_DONTWAIT) > 0)
            count++;
        SHOW(named("%s as many as fit", family), "%d of %d", count, least);
        close(r);
        close(s);
    }
}

GROUP(udp_refused)
{
    own_network();
    for (int f = 0; f < 2; f++)
        for (int asks = 0; asks < 2; asks++) {
            char name[40];
            sprintf(name, "%s%s", family_name(families[f]), asks ? " asks" : "");
            const char *ip = loopback_of(families[f]);
            int gone = bound_at(SOCK_DGRAM, ip), port = own_port(gone), s = socket(families[f], SOCK_DGRAM, 0);
            close(gone);
            char bytes[64] = "hello", control[256];
            if (asks)
                MUST(set(s, f ? SOL_IPV6 : SOL_IP, f ? IPV6_RECVERR : IP_RECVERR, 1) == 0);
            MUST(connect_to(s, ip, port) == 0);
            const char *sent = result(send(s, bytes, 5, 0));
            int events = events_within(s, POLLERR, 1000);
            SERIES(named("%s send", name), "%s %s %s %s %s", sent, hexed(events), result(send(s, bytes, 5, 0)), result(send(s, bytes, 5, 0)), hexed(events_within(s, POLLERR, 1000)));
            SERIES(named("%s recv", name), "%s %s", result(recv(s, bytes, 5, MSG_DONTWAIT)), result(recv(s, bytes, 5, MSG_DONTWAIT)));
            struct iovec v = {bytes, sizeof bytes};
            struct end from = {.len = sizeof from.at};
            struct msghdr m = {&from.at, from.len, &v, 1, control, sizeof control, 0};
            const char *report = result(recvmsg(s, &m, MSG_ERRQUEUE));
            struct cmsghdr *c = *report == 'E' ? 0 : CMSG_FIRSTHDR(&m);
            struct sock_extended_err *e = c ? (void *)CMSG_DATA(c) : 0;
            SHOW(named("%s report", name), "%s %#x: %d.%d %s origin %d type %d code %d", report, m.msg_flags, c ? c->cmsg_level : 0,
                 c ? c->cmsg_type : 0, e ? error_name(e->ee_errno) : "", e ? e->ee_origin : 0, e ? e->ee_type : 0, e ? e->ee_code : 0);
            SHOW(named("%s SO_ERROR", name), "%d", option(s, SOL_SOCKET, SO_ERROR));
            close(s);
        }
}

GROUP(raw_life)
{
    own_network();
    static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, 253};
    for (int f = 0; f < 2; f++)
        for (size_t p = 0; p < COUNT(protocols); p++) {
            char name[40];
            sprintf(name, "%s %d", family_name(families[f]), protocols[p]);
            const char *ip = loopback_of(families[f]);
            int fd = socket(families[f], SOCK_RAW, protocols[p]), twin = socket(families[f], SOCK_RAW, protocols[p]);
            char bytes[64] = "abcd";
            struct end peer = {.len = sizeof peer.at};
            SERIES(named("%s unconnected", name), "%s %s %s %s %s %s", result(shutdown(fd, SHUT_WR)), result(listen(fd, 1)), result(accept(fd, 0, 0)), result(getpeername(fd, (void *)&peer.at, &peer.len)), result(send(fd, bytes, 4, 0)), result(recv(fd, bytes, 4, MSG_DONTWAIT)));
            SHOW(named("%s bind to nobody's", name), "%s", result(bind_to(fd, f ? "100::1" : "1.0.0.0", 0)));
            const char *sent = result(send_to(fd, bytes, 5, ip, 0)), *one = heard(fd);
            SHOW(named("%s heard by both", name), "%s %s %s", sent, one, heard(twin));
            const char *bound = result(bind_to(fd, ip, 0)), *connected = result(connect_to(fd, ip, 0));
            SERIES(named("%s bound and connected", name), "%s %s peer %s, %s %s", bound, connected, result(getpeername(fd, (void *)&peer.at, &peer.len)), result(send(fd, bytes, 5, 0)), heard(fd));
            SERIES(named("%s shut down", name), "%s %s %s; %s %s", result(shutdown(fd, SHUT_RDWR)), result(send(fd, bytes, 5, 0)), heard(fd), result(send_to(twin, bytes, 5, ip, 0)), heard(fd));
            close(fd);
            close(twin);
        }
    int six = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
    SHOW("IPv6 IPPROTO_RAW", "%s", result(send_to(six, "abcdefgh", 8, "::1", 0)));
}

struct packet {
    struct iphdr ip;
    struct udphdr udp;
    char data[8];
};

static struct packet packet_to(int port)
{
    struct packet p;
    memset(&p, 0, sizeof p);
    p.ip.ihl = 5;
    p.ip.version = 4;
    p.ip.ttl = 7;
    p.ip.protocol = IPPROTO_UDP;
    p.ip.daddr = htonl(INADDR_LOOPBACK);
    p.udp.source = p.udp.dest = htons(port);
    p.udp.len = htons(16);
    memcpy(p.data, "payload", 8);
    return p;
}

GROUP(raw_whole)
{
    own_network();
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), r = socket(AF_INET, SOCK_RAW, IPPROTO_UDP), u = bound_at(SOCK_DGRAM, "127.0.0.1");
    struct packet p = packet_to(own_port(u)), got;
    int other_one = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    SERIES("unconnected", "%s %s %s %s", result(shutdown(other_one, SHUT_WR)), result(listen(s, 1)), result(accept(s, 0, 0)), result(send(s, &p, sizeof p, 0)));
    SHOW("shut down", "%s", result(send_to(other_one, &p, sizeof p, "127.0.0.1", 0)));
    SHOW("too small", "%s", result(send_to(s, "abc", 3, "127.0.0.1", 0)));
    for (int other = 0; other < 2; other++)
        for (int with = 0; with < 2; with++) {
            int from = with ? socket(AF_INET, SOCK_RAW, IPPROTO_UDP) : s;
            if (with)
                MUST(set(from, SOL_IP, IP_HDRINCL, 1) == 0);
            p = packet_to(own_port(u));
            if (other)
                p.ip.daddr = 42;
            const char *sent = result(send_to(from, &p, sizeof p, "127.0.0.1", 0));
            events_within(r, POLLIN, 100);
            struct sockaddr_in source = {0};
            socklen_t n = sizeof source;
            memset(&got, 0, sizeof got);
            const char *raw = result(recvfrom(r, &got, sizeof got, MSG_DONTWAIT, (void *)&source, &n));
            SHOW(named("%s%s", with ? "IP_HDRINCL" : "IPPROTO_RAW", other ? " to elsewhere" : ""),
                 "%s %s from %s id %d ttl %d to %s len %d data %.8s; UDP %s; sender %s", sent, raw, inet_ntoa(source.sin_addr), got.ip.id != 0,
                 got.ip.ttl, got.ip.daddr == p.ip.daddr ? "it" : "another", ntohs(got.ip.tot_len), got.data, heard(u), heard(from));
            if (with)
                close(from);
        }
}

static uint16_t checksum(const void *bytes, size_t n)
{
    uint32_t sum = 0;
    sum_words(&sum, bytes, n);
    return folded(sum);
}

GROUP(raw_pings)
{
    own_network();
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), twin = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    struct icmphdr ping = {.type = ICMP_ECHO, .un.echo = {2014, 2012}};
    const char *bad = result(send_to(fd, &ping, sizeof ping, "127.0.0.1", 0)), *first = heard(fd);
    SHOW("a bad checksum", "%s %s %s", bad, first, heard(fd));
    heard(twin);
    ping.checksum = checksum(&ping, sizeof ping);
    const char *good = result(send_to(fd, &ping, sizeof ping, "127.0.0.1", 0));
    first = heard(fd);
    const char *second = heard(fd), *third = heard(fd), *also = heard(twin);
    SHOW("a good one", "%s %s %s %s, twin %s %s", good, first, second, third, also, heard(twin));
    MUST(bind_to(fd, "127.0.0.1", 0) == 0 && connect_to(fd, "127.0.0.1", 0) == 0);
    good = result(send(fd, &ping, sizeof ping, 0));
    first = heard(fd);
    SHOW("connected", "%s %s %s", good, first, heard(fd));
    while (*heard(twin) != 'E')
        ;
    good = result(send_to(fd, &ping, 6, "127.0.0.1", 0));
    first = heard(fd);
    SHOW("a short one", "%s %s %s", good, first, heard(twin));
    int value = 0;
    SERIES("IPv6's options", "%s %s", result(setsockopt(fd, SOL_IPV6, IPV6_CHECKSUM, &value, sizeof value)), error_name(-option(fd, SOL_IPV6, IPV6_CHECKSUM)));
    SERIES("ICMPv6's filter", "%s %s", result(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &value, sizeof value)), error_name(-option(fd, IPPROTO_ICMPV6, ICMP6_FILTER)));
}

static void allow_pings(void)
{
    int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
    MUST(fd >= 0 && write(fd, "0 2147483647", 12) == 12);
    close(fd);
}

GROUP(pings)
{
    own_network();
    allow_pings();
    static const char *const addresses[] = {"0.0.0.0", "255.255.255.255", "127.0.0.1", "127.255.255.255", "224.0.2.1", "224.0.0.1", "192.168.1.1",
                                            "::", "::1", "ff05::1234", "ff01::1", "ff02::1", "ff02::2", "fc00::1", "::ffff:127.0.0.1"};
    for (int f = 0; f < 2; f++) {
        int protocol = f ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]);
        for (size_t i = 0; i < COUNT(addresses); i++) {
            int fd = socket(families[f], SOCK_DGRAM, protocol);
            MUST(fd >= 0);
            SHOW(named("%s bind to %s", family, addresses[i]), "%s", result(bind_to(fd, addresses[i], 0)));
            close(fd);
        }
        int fd = socket(families[f], SOCK_DGRAM, protocol);
        MUST(bind_to(fd, ip, 0) == 0);
        char message[8] = {f ? (char)ICMP6_ECHO_REQUEST : ICMP_ECHO}, got[64];
        static char giant[2 << 20];
        giant[0] = message[0];
        SHOW(named("%s too large", family), "%s", result(send_to(fd, giant, sizeof giant, ip, 0)));
        SHOW(named("%s too short", family), "%s", result(send_to(fd, message, 6, ip, 0)));
        message[0] = 0;
        SHOW(named("%s no ping", family), "%s", result(send_to(fd, message, 8, ip, 0)));
        message[0] = giant[0];
        static const struct { const char *name; int v6, option; } asked[] = {
            {"tos", 0, IP_RECVTOS}, {"ttl", 0, IP_RECVTTL}, {"info", 0, IP_PKTINFO}, {"class", 1, IPV6_RECVTCLASS},
            {"hops", 1, IPV6_RECVHOPLIMIT}, {"info", 1, IPV6_RECVPKTINFO}};
        int level = f ? IPPROTO_IPV6 : IPPROTO_IP;
        for (size_t i = 0; i < COUNT(asked); i++) {
            if (asked[i].v6 != f)
                continue;
            set(fd, level, f ? IPV6_TCLASS : IP_TOS, 42);
            set(fd, level, asked[i].option, 1);
            const char *sent = result(send_to(fd, message, 8, ip, 0)), *answer = control_of(fd, got, sizeof got);
            SHOW(named("%s %s", family, asked[i].name), "%s %s type %d", sent, answer, (unsigned char)got[0]);
            set(fd, level, asked[i].option, 0);
        }
        SERIES(named("%s connected", family), "%s %s %s", result(connect_to(fd, ip, 0)), result(send(fd, message, 8, 0)), heard(fd));
        close(fd);
    }
}
