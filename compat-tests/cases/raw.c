/* Raw sockets and pings (raw(7), icmp(7)). Without the super-user there are none. */
#include "case.h"
#include "inet.h"
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sys/ioctl.h>

#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif
/* A protocol that nobody else uses. */
#define OURS 253

static struct sockaddr_in at4(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static struct sockaddr_in6 at6(int port)
{
    return (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

GROUP(raw_addresses)
{
    if (geteuid())
        return;
    struct sockaddr_in to = at4(77), name;
    socklen_t n = sizeof name;
    char bytes[64];
    int s = socket(AF_INET, SOCK_RAW, OURS), r = socket(AF_INET, SOCK_RAW, OURS);
    MUST(s >= 0 && r >= 0);
    EQ("SO_PROTOCOL", OURS, option(s, SOL_SOCKET, SO_PROTOCOL));
    EQ("SO_TYPE", SOCK_RAW, option(s, SOL_SOCKET, SO_TYPE));
    ERR("send without a destination", EDESTADDRREQ, send(s, "x", 1, 0));
    ERR("getpeername", ENOTCONN, getpeername(s, (void *)&name, &n));
    ERR("shutdown", ENOTCONN, shutdown(s, SHUT_RDWR));
    close(s);
    s = socket(AF_INET, SOCK_RAW, OURS);
    OK("connect", connect(s, (void *)&to, sizeof to));
    n = sizeof name;
    OK("getpeername then", getpeername(s, (void *)&name, &n));
    EQ("the port that was named", 77, ntohs(name.sin_port));
    n = sizeof name;
    OK("getsockname", getsockname(s, (void *)&name, &n));
    EQ("the protocol for a port", OURS, ntohs(name.sin_port));
    EQ("send", 3, send(s, "abc", 3, 0));
    EQ("recv, the header before it", 23, recv(r, bytes, sizeof bytes, 0));
    struct iphdr *h = (void *)bytes;
    SHOW("header", "%u %u %u %u", h->version, h->ihl, h->protocol, h->ttl);
    EQ("its length", 23, ntohs(h->tot_len));
    struct sockaddr_in none = at4(0);
    none.sin_addr.s_addr = inet_addr("192.0.2.7");
    ERR("bind to nobody's address", EADDRNOTAVAIL, bind(r, (void *)&none, sizeof none));
    ERR("bind while connected", EINVAL, bind(s, (void *)&none, sizeof none));
    to.sin_port = 0;
    OK("connect to port 0", connect(s, (void *)&to, sizeof to));
    n = sizeof name;
    ERR("is nobody", ENOTCONN, getpeername(s, (void *)&name, &n));
    static char large[65536];
    ERR("too long", EMSGSIZE, send(s, large, 65516, 0));
    OK("shutdown for writing", shutdown(s, SHUT_WR));
    EQ("send then all the same", 1, send(s, "x", 1, MSG_NOSIGNAL));
    close(s);
    close(r);
    ERR("protocol 0", EPROTONOSUPPORT, socket(AF_INET, SOCK_RAW, 0));
    ERR("protocol 263", EINVAL, socket(AF_INET, SOCK_RAW, 263));
    AS_NOBODY(ERR("without leave", EPERM, socket(AF_INET, SOCK_RAW, OURS)));
}

GROUP(raw_control)
{
    if (geteuid())
        return;
    struct sockaddr_in to = at4(0);
    char bytes[64], space[256];
    int s = socket(AF_INET, SOCK_RAW, OURS), r = socket(AF_INET, SOCK_RAW, OURS);
    OK("IP_PKTINFO", set(r, SOL_IP, IP_PKTINFO, 1));
    OK("IP_RECVTTL", set(r, SOL_IP, IP_RECVTTL, 1));
    OK("IP_RECVTOS", set(r, SOL_IP, IP_RECVTOS, 1));
    OK("IP_TOS", set(s, SOL_IP, IP_TOS, 0x24));
    OK("IP_TTL", set(s, SOL_IP, IP_TTL, 33));
    MUST(sendto(s, "x", 1, 0, (void *)&to, sizeof to) == 1);
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    EQ("recvmsg", 21, recvmsg(r, &m, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        SHOW(named("message %d", c->cmsg_type), "%d %zu %d", c->cmsg_level, (size_t)c->cmsg_len, *(char *)CMSG_DATA(c));
    struct iphdr *h = (void *)bytes;
    SHOW("header", "%u %x", h->ttl, h->tos);
    close(s);
    close(r);
}

GROUP(raw_header)
{
    if (geteuid())
        return;
    struct { struct iphdr h; char data[8]; } p = {.h = {.version = 4, .ihl = 5, .ttl = 9, .protocol = OURS}}, got;
    struct sockaddr_in to = at4(0);
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), r = socket(AF_INET, SOCK_RAW, OURS);
    EQ("IP_HDRINCL of IPPROTO_RAW", 1, option(s, SOL_IP, IP_HDRINCL));
    EQ("of another", 0, option(r, SOL_IP, IP_HDRINCL));
    p.h.daddr = to.sin_addr.s_addr;
    ERR("short of a header", EINVAL, sendto(s, &p, sizeof p.h - 1, 0, (void *)&to, sizeof to));
    EQ("send", sizeof p, sendto(s, &p, sizeof p, 0, (void *)&to, sizeof to));
    EQ("recv", sizeof p, recv(r, &got, sizeof got, 0));
    EQ("length is filled in", sizeof p, ntohs(got.h.tot_len));
    YES("and the source", got.h.saddr == to.sin_addr.s_addr);
    YES("and the identification", got.h.id != 0);
    EQ("ttl is ours", 9, got.h.ttl);
    p.h.saddr = inet_addr("127.0.0.9"), p.h.daddr = inet_addr("127.0.0.8"), p.h.id = htons(77);
    EQ("send with other addresses", sizeof p, sendto(s, &p, sizeof p, 0, (void *)&to, sizeof to));
    EQ("recv of that", sizeof p, recv(r, &got, sizeof got, 0));
    YES("they stay", got.h.saddr == p.h.saddr && got.h.daddr == p.h.daddr && got.h.id == p.h.id);
    close(s);
    close(r);
}

static int echo(int s, int family, int kind, unsigned id)
{
    struct icmphdr h = {.type = kind, .un.echo.id = htons(id)};
    struct sockaddr_in four = at4(0);
    struct sockaddr_in6 six = at6(0);
    unsigned sum = htons(kind << 8) + h.un.echo.id;
    h.checksum = ~(sum + (sum >> 16));
    return family == AF_INET ? sendto(s, &h, sizeof h, 0, (void *)&four, sizeof four)
                             : sendto(s, &h, sizeof h, 0, (void *)&six, sizeof six);
}

GROUP(raw_icmp)
{
    if (geteuid())
        return;
    unsigned char bytes[64], small[2] = {0xee, 0xee};
    socklen_t n = sizeof small;
    struct timeval second = {1, 0};
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    OK("ICMP_FILTER", set(s, SOL_RAW, ICMP_FILTER, ~(1 << ICMP_ECHOREPLY)));
    EQ("read back", ~(1 << ICMP_ECHOREPLY), option(s, SOL_RAW, ICMP_FILTER));
    OK("with little room", getsockopt(s, SOL_RAW, ICMP_FILTER, small, &n));
    SHOW("what that takes", "%u %x %x", (unsigned)n, small[0], small[1]);
    EQ("echo", 8, echo(s, AF_INET, ICMP_ECHO, getpid()));
    EQ("the answer alone", 28, recv(s, bytes, sizeof bytes, 0));
    EQ("is one", ICMP_ECHOREPLY, bytes[20]);
    close(s);
    s = socket(AF_INET, SOCK_RAW, OURS);
    ERR("of another protocol", EOPNOTSUPP, set(s, SOL_RAW, ICMP_FILTER, 0));
    close(s);

    struct icmp6_filter filter, got;
    int six = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    MUST(six >= 0);
    setsockopt(six, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    EQ("IPV6_CHECKSUM of ICMPv6", 2, option(six, SOL_IPV6, IPV6_CHECKSUM));
    ERR("is not to be set", EINVAL, set(six, SOL_IPV6, IPV6_CHECKSUM, 4));
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    OK("ICMP6_FILTER", setsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter));
    n = sizeof got;
    OK("is read back", getsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &got, &n));
    EQ("its length", sizeof got, n);
    YES("the same", !memcmp(&filter, &got, sizeof got));
    EQ("echo by IPv6", 8, echo(six, AF_INET6, ICMP6_ECHO_REQUEST, getpid()));
    EQ("its answer, without a header", 8, recv(six, bytes, sizeof bytes, 0));
    EQ("of type", ICMP6_ECHO_REPLY, bytes[0]);
    close(six);
}

GROUP(raw_ipv6)
{
    if (geteuid())
        return;
    struct sockaddr_in6 to = at6(0), name;
    char bytes[64];
    socklen_t n = sizeof name;
    struct timeval soon = {0, 200000};
    int s = socket(AF_INET6, SOCK_RAW, OURS), r = socket(AF_INET6, SOCK_RAW, OURS);
    MUST(s >= 0 && r >= 0);
    setsockopt(r, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    EQ("sendto", 4, sendto(s, "abcd", 4, 0, (void *)&to, n));
    EQ("recv", 4, recv(r, bytes, sizeof bytes, 0));
    to.sin6_port = htons(OURS);
    EQ("the protocol named", 4, sendto(s, "abcd", 4, 0, (void *)&to, n));
    EQ("recv of that", 4, recv(r, bytes, sizeof bytes, 0));
    to.sin6_port = htons(OURS - 1);
    ERR("another named", EINVAL, sendto(s, "abcd", 4, 0, (void *)&to, n));
    EQ("IPV6_CHECKSUM at first", -1, option(s, SOL_IPV6, IPV6_CHECKSUM));
    ERR("odd", EINVAL, set(s, SOL_IPV6, IPV6_CHECKSUM, 3));
    OK("even", set(s, SOL_IPV6, IPV6_CHECKSUM, 2));
    EQ("read back", 2, option(s, SOL_IPV6, IPV6_CHECKSUM));
    to.sin6_port = 0;
    ERR("no room for it", EINVAL, sendto(s, "abc", 3, 0, (void *)&to, n));
    OK("a receiver that looks", set(r, SOL_IPV6, IPV6_CHECKSUM, 2));
    EQ("send with a checksum", 4, sendto(s, "ab\0\0", 4, 0, (void *)&to, n));
    EQ("it is right", 4, recv(r, bytes, sizeof bytes, 0));
    YES("and there", bytes[2] || bytes[3]);
    OK("off", set(s, SOL_IPV6, IPV6_CHECKSUM, -1));
    EQ("send with a wrong one", 4, sendto(s, "ab\0\0", 4, 0, (void *)&to, n));
    ERR("is not taken", EAGAIN, recv(r, bytes, sizeof bytes, 0));
    ERR("IPV6_V6ONLY", EINVAL, set(s, SOL_IPV6, IPV6_V6ONLY, 1));
    EQ("SOL_IP", -ENOPROTOOPT, option(s, SOL_IP, IP_TTL));
    to.sin6_port = htons(55);
    MUST(connect(s, (void *)&to, sizeof to) == 0);
    OK("getpeername", getpeername(s, (void *)&name, &n));
    EQ("its port", 55, ntohs(name.sin6_port));
    close(s);
    close(r);
}

GROUP(raw_others)
{
    if (geteuid())
        return;
    /* What raw sockets see of other protocols. */
    struct sockaddr_in to = at4(0);
    socklen_t n = sizeof to;
    char bytes[128];
    int u = socket(AF_INET, SOCK_DGRAM, 0), r = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
    MUST(bind(u, (void *)&to, n) == 0 && getsockname(u, (void *)&to, &n) == 0);
    MUST(connect(r, (void *)&to, n) == 0);
    sendto(u, "hello", 5, 0, (void *)&to, n);
    int got = 0;
    struct pollfd p = {r, POLLIN, 0};
    while (poll(&p, 1, 1000) == 1 && (got = recv(r, bytes, sizeof bytes, 0)) > 0 && memcmp(bytes + 28, "hello", 5))
        ;
    EQ("a datagram of UDP", 33, got);
    EQ("recv of UDP itself", 5, recv(u, bytes, sizeof bytes, 0));
    int b = -1;
    OK("SO_BINDTODEVICE", setsockopt(r, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    ioctl(r, FIONREAD, &b);
    EQ("FIONREAD", 0, b);
    close(u);
    close(r);
}
