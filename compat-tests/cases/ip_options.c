/* Options of IPv4 packets: set, read back, sent, received and answered, over UDP, TCP, raw sockets and pings (ip(7), RFC 791). */
#include "case.h"
#include "inet.h"
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

struct bytes {
    const char *name;
    int n;
    unsigned char b[44];
};

static const struct bytes sets[] = {
    {"nothing", 0, {0}},
    {"end", 1, {0}},
    {"padding", 1, {1}},
    {"padding of 3", 3, {1, 1, 1}},
    {"behind the end", 6, {1, 0, 7, 7, 7, 7}},
    {"40 bytes", 40, {1}},
    {"41 bytes", 41, {1}},
    {"44 bytes", 44, {1}},
    {"record route", 7, {7, 7, 4}},
    {"record route of 9", 39, {7, 39, 4}},
    {"record route, no room", 3, {7, 3, 4}},
    {"record route, full", 7, {7, 7, 8}},
    {"record route, pointer 3", 7, {7, 7, 3}},
    {"record route, pointer 5", 7, {7, 7, 5}},
    {"record route, pointer 6", 11, {7, 11, 6}},
    {"record route of 2", 4, {7, 2, 4, 0}},
    {"record route, too long", 7, {7, 8, 4}},
    {"record route twice", 14, {7, 7, 4, 0, 0, 0, 0, 7, 7, 4}},
    {"kind alone", 1, {7}},
    {"length 1", 4, {7, 1, 4}},
    {"length 0", 4, {7, 0, 4}},
    {"stamps", 12, {68, 12, 5, 0}},
    {"stamps with addresses", 12, {68, 12, 5, 1}},
    {"stamps at addresses", 12, {68, 12, 5, 3, 127, 0, 0, 1}},
    {"stamps at others' addresses", 12, {68, 12, 5, 3, 9, 9, 9, 9}},
    {"stamps of kind 2", 12, {68, 12, 5, 2}},
    {"stamps, pointer 4", 12, {68, 12, 4, 0}},
    {"stamps, full", 12, {68, 12, 13, 0}},
    {"stamps, full and counted out", 12, {68, 12, 13, 0xf0}},
    {"stamps, half room", 8, {68, 8, 5, 1}},
    {"stamps of 3", 4, {68, 3, 5, 0}},
    {"loose route", 7, {131, 7, 4, 127, 0, 0, 1}},
    {"loose route of 2", 11, {131, 11, 4, 127, 0, 0, 1, 127, 0, 0, 2}},
    {"loose route of none", 3, {131, 3, 4}},
    {"loose route, odd", 8, {131, 8, 4, 127, 0, 0, 1, 0}},
    {"loose route, pointer 8", 7, {131, 7, 8, 127, 0, 0, 1}},
    {"strict route", 7, {137, 7, 4, 127, 0, 0, 1}},
    {"both routes", 14, {137, 7, 4, 127, 0, 0, 1, 131, 7, 4, 127, 0, 0, 1}},
    {"router alert", 4, {148, 4, 0, 0}},
    {"router alert of 3", 3, {148, 3, 0}},
    {"router alert of 1", 4, {148, 4, 0, 1}},
    {"security", 11, {130, 11}},
    {"stream id", 4, {136, 4, 0, 1}},
    {"unknown", 4, {200, 4, 1, 2}},
    {"several", 20, {1, 7, 7, 4, 0, 0, 0, 0, 68, 8, 5, 0, 0, 0, 0, 0, 148, 4, 0, 0}},
};

static const char *set_and_read(int fd, const struct bytes *s)
{
    static char text[200];
    unsigned char back[64];
    socklen_t n = sizeof back;
    int set = setsockopt(fd, SOL_IP, IP_OPTIONS, s->b, s->n);
    int at = sprintf(text, "%s", result(set));
    MUST(getsockopt(fd, SOL_IP, IP_OPTIONS, back, &n) == 0);
    sprintf(text + at, " %u %s", n, hex_of(back, n));
    setsockopt(fd, SOL_IP, IP_OPTIONS, 0, 0);
    return text;
}

static void set_all(int kind, int protocol)
{
    for (size_t i = 0; i < COUNT(sets); i++) {
        int fd = socket(AF_INET, kind, protocol);
        MUST(fd >= 0);
        SHOW(sets[i].name, "%s", set_and_read(fd, &sets[i]));
        close(fd);
    }
}

GROUP(options_set)
{
    set_all(SOCK_DGRAM, 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned char back[64];
    MUST(setsockopt(fd, SOL_IP, IP_OPTIONS, sets[8].b, 7) == 0);
    for (socklen_t room = 0; room < 12; room += 3) {
        socklen_t n = room;
        int r = getsockopt(fd, SOL_IP, IP_OPTIONS, back, &n);
        SHOW(named("room of %u", room), "%s %u %s", result(r), n, hex_of(back, n));
    }
    ERR("a bad one changes nothing", EINVAL, setsockopt(fd, SOL_IP, IP_OPTIONS, sets[12].b, 7));
    socklen_t n = sizeof back;
    OK("what was set stays", getsockopt(fd, SOL_IP, IP_OPTIONS, back, &n));
    EQ("its length", 8, n);
    ERR("no memory", EFAULT, setsockopt(fd, SOL_IP, IP_OPTIONS, (void *)1, 4));
    OK("taken away", setsockopt(fd, SOL_IP, IP_OPTIONS, "", 0));
    n = sizeof back;
    OK("none", getsockopt(fd, SOL_IP, IP_OPTIONS, back, &n));
    EQ("none's length", 0, n);
    int six = socket(AF_INET6, SOCK_DGRAM, 0);
    SHOW("socket of IPv6", "%s", set_and_read(six, &sets[8]));
}

GROUP(options_set_by_others)
{
    set_all(SOCK_STREAM, 0);
    if (geteuid() == 0)
        set_all(SOCK_RAW, IPPROTO_UDP);
    AS_NOBODY(set_all(SOCK_DGRAM, 0));
}

/* The control messages of the next packet; `skip` hides the clock of a stamp. */
static const char *came(int fd, int *length)
{
    static char text[300];
    unsigned char bytes[2048], control[256];
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    events_within(fd, POLLIN, 50);
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    if (length)
        *length = n;
    if (n < 0)
        return error_name(errno);
    int at = sprintf(text, "%zd", n);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        unsigned char *data = CMSG_DATA(c);
        size_t len = c->cmsg_len - CMSG_LEN(0);
        for (size_t i = 0; i + 4 <= len; i++)
            if (data[i] == 68 && (data[i + 3] & 15) < 4) {
                int step = data[i + 3] & 3 ? 8 : 4;
                for (size_t e = i + 4; e + step <= i + data[i + 1] && e + step <= len; e += step)
                    if (memcmp(data + e + step - 4, "\0\0\0\0", 4))
                        memset(data + e + step - 4, 0xcc, 4);
                break;
            }
        at += sprintf(text + at, " %d.%d:%s", c->cmsg_level, c->cmsg_type, hex_of(data, len));
    }
    return text;
}

static int hearer(int kind, int protocol)
{
    int fd = socket(AF_INET, kind, protocol);
    MUST(fd >= 0 && bind_to(fd, "127.0.0.1", 0) == 0);
    MUST(set(fd, SOL_IP, IP_RECVOPTS, 1) == 0 && set(fd, SOL_IP, IP_RETOPTS, 1) == 0);
    return fd;
}

GROUP(options_heard)
{
    int in = hearer(SOCK_DGRAM, 0);
    for (size_t i = 0; i < COUNT(sets); i++) {
        int out = socket(AF_INET, SOCK_DGRAM, 0);
        if (setsockopt(out, SOL_IP, IP_OPTIONS, sets[i].b, sets[i].n) == 0) {
            int sent = send_to(out, "hello", 5, "127.0.0.1", own_port(in));
            const char *how = result(sent);
            SHOW(sets[i].name, "%s %s", how, came(in, 0));
        }
        close(out);
    }
    int out = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(setsockopt(out, SOL_IP, IP_OPTIONS, sets[9].b, sets[9].n) == 0);
    MUST(set(in, SOL_IP, IP_RECVOPTS, 0) == 0);
    send_to(out, "hello", 5, "127.0.0.1", own_port(in));
    SHOW("answer's alone", "%s", came(in, 0));
    MUST(set(in, SOL_IP, IP_RETOPTS, 0) == 0);
    send_to(out, "hello", 5, "127.0.0.1", own_port(in));
    SHOW("not asked for", "%s", came(in, 0));
    MUST(set(in, SOL_IP, IP_RECVOPTS, 1) == 0 && set(in, SOL_IP, IP_RECVTTL, 1) == 0 && set(in, SOL_IP, IP_PKTINFO, 1) == 0);
    MUST(set(in, SOL_IP, IP_RECVTOS, 1) == 0);
    MUST(connect_to(out, "127.0.0.1", own_port(in)) == 0);
    EQ("connected", 2, send(out, "hi", 2, 0));
    SHOW("connected, order", "%s", came(in, 0));
    EQ("longest", 65467, send(out, calloc(1, 65507), 65467, 0));
    came(in, 0);
    ERR("longer", EMSGSIZE, send(out, calloc(1, 65507), 65468, 0));
}

static ssize_t send_with(int fd, int port, int type, const void *data, size_t len)
{
    struct end to = end_of("127.0.0.1", port);
    char control[128];
    struct iovec v = {"hello", 5};
    struct msghdr m = {&to.at, to.len, &v, 1, control, CMSG_SPACE(len), 0};
    memset(control, 0, sizeof control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(len), SOL_IP, type};
    memcpy(CMSG_DATA(c), data, len);
    return sendmsg(fd, &m, 0);
}

GROUP(options_by_message)
{
    int in = hearer(SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
    static const struct bytes *tried[] = {&sets[0], &sets[2], &sets[8], &sets[9], &sets[10], &sets[12], &sets[22], &sets[38], &sets[43], &sets[6]};
    for (size_t i = 0; i < COUNT(tried); i++) {
        const char *how = result(send_with(out, own_port(in), IP_RETOPTS, tried[i]->b, tried[i]->n));
        SHOW(tried[i]->name, "%s %s", how, came(in, 0));
    }
    ERR("IP_OPTIONS is no message", EINVAL, send_with(out, own_port(in), IP_OPTIONS, sets[2].b, 4));
    ERR("IP_RECVOPTS is no message", EINVAL, send_with(out, own_port(in), IP_RECVOPTS, sets[2].b, 4));
    MUST(setsockopt(out, SOL_IP, IP_OPTIONS, sets[38].b, 4) == 0);
    send_with(out, own_port(in), IP_RETOPTS, sets[2].b, 1);
    SHOW("in place of the socket's", "%s", came(in, 0));
    send_to(out, "hello", 5, "127.0.0.1", own_port(in));
    SHOW("the socket's again", "%s", came(in, 0));
}

GROUP(options_raw)
{
    if (geteuid())
        return;
    int in = socket(AF_INET, SOCK_RAW, 253), out = socket(AF_INET, SOCK_RAW, 253);
    MUST(in >= 0 && out >= 0 && set(in, SOL_IP, IP_RECVOPTS, 1) == 0 && bind_to(in, "127.0.0.1", 0) == 0);
    MUST(setsockopt(out, SOL_IP, IP_OPTIONS, sets[8].b, 7) == 0);
    EQ("sent", 3, send_to(out, "abc", 3, "127.0.0.1", 0));
    unsigned char packet[64];
    EQ("length", 31, recv(in, packet, sizeof packet, 0));
    SHOW("header", "%02x %s %s", packet[0], hex_of(packet + 2, 2), hex_of(packet + 20, 11));
    send_to(out, "abc", 3, "127.0.0.1", 0);
    SHOW("message", "%s", came(in, 0));
    MUST(set(out, SOL_IP, IP_HDRINCL, 1) == 0);
    memset(packet, 0, sizeof packet);
    ERR("with a header of one's own", EINVAL, send_to(out, packet, 40, "127.0.0.1", 0));
    MUST(setsockopt(out, SOL_IP, IP_OPTIONS, 0, 0) == 0);
    ERR("with a header of one's own, and none", EINVAL, send_to(out, packet, 40, "127.0.0.1", 0));
    close(out);
    out = socket(AF_INET, SOCK_RAW, 253);
    MUST(out >= 0 && set(out, SOL_IP, IP_HDRINCL, 1) == 0);
    /* A whole packet with options. */
    static const unsigned char bad[4] = {7, 4, 4, 0}, good[8] = {7, 7, 4};
    struct iphdr *ip = (void *)packet;
    *ip = (struct iphdr){.version = 4, .ihl = 7, .ttl = 9, .protocol = 253};
    ip->saddr = ip->daddr = htonl(INADDR_LOOPBACK);
    memcpy(packet + 20, good, 8);
    memcpy(packet + 28, "raw", 3);
    EQ("whole packet", 31, send_to(out, packet, 31, "127.0.0.1", 0));
    SHOW("whole packet, heard", "%s", came(in, 0));
    int errors = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    MUST(errors >= 0);
    ip->ihl = 6;
    memcpy(packet + 20, bad, 4);
    EQ("bad options", 27, send_to(out, packet, 27, "127.0.0.1", 0));
    SHOW("bad options are not heard", "%s", came(in, 0));
    unsigned char told[128];
    for (int tries = 0; tries < 8; tries++) {
        events_within(errors, POLLIN, 50);
        int n = recv(errors, told, sizeof told, MSG_DONTWAIT);
        if (n >= 52 && told[20] == ICMP_PARAMETERPROB && told[28 + 9] == 253) {
            SHOW("told", "%d.%d at %d, quotes %02x", told[20], told[21], told[24], told[28]);
            break;
        }
    }
    /* Source routes are not for us. */
    memcpy(packet + 20, "\x83\x07\x08\x7f\x00\x00\x01\x00", 8);
    ip->ihl = 7;
    send_to(out, packet, 31, "127.0.0.1", 0);
    SHOW("source routed", "%s", came(in, 0));
}

GROUP(options_ping)
{
    if (geteuid())
        return;
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    MUST(fd >= 0);
    struct {
        struct icmphdr h;
        char data[8];
    } ping = {.h = {.type = ICMP_ECHO, .un.echo = {htons(getpid()), htons(7)}}};
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof ping / 2; i++)
        sum += ((unsigned short *)&ping)[i];
    sum = (sum >> 16) + (sum & 0xffff);
    ping.h.checksum = ~(sum + (sum >> 16));
    static const int tried[] = {8, 9, 2, 38, 23};
    for (size_t i = 0; i < COUNT(tried); i++) {
        const struct bytes *s = &sets[tried[i]];
        MUST(setsockopt(fd, SOL_IP, IP_OPTIONS, s->b, s->n) == 0);
        MUST(send_to(fd, &ping, sizeof ping, "127.0.0.1", 0) == sizeof ping);
        unsigned char packet[128];
        for (int tries = 0; tries < 20; tries++) {
            events_within(fd, POLLIN, 50);
            int n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
            int header = (packet[0] & 15) * 4;
            struct icmphdr *h = (void *)(packet + header);
            if (n >= header + 8 && h->type == ICMP_ECHOREPLY && h->un.echo.id == ping.h.un.echo.id) {
                int shows = header - 20;
                if (packet[20] == 68)
                    shows = 4;
                SHOW(named("answer to %s", s->name), "%d %s", n, hex_of(packet + 20, shows));
                break;
            }
        }
    }
    int errors = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(setsockopt(errors, SOL_IP, IP_OPTIONS, sets[8].b, 7) == 0);
    int closed = bound_at(SOCK_DGRAM, "127.0.0.1"), port = own_port(closed);
    close(closed);
    MUST(connect_to(errors, "127.0.0.1", port) == 0);
    EQ("to nobody", 1, send(errors, "x", 1, 0));
    events_within(errors, POLLIN, 50);
    ERR("refused", ECONNREFUSED, recv(errors, ping.data, 1, MSG_DONTWAIT));
}

GROUP(options_tcp)
{
    static const int tried[] = {2, 8, 9, 22, 38, 44};
    for (size_t i = 0; i < COUNT(tried); i++) {
        const struct bytes *s = &sets[tried[i]];
        int l = bound_at(SOCK_STREAM, "127.0.0.1"), c = socket(AF_INET, SOCK_STREAM, 0);
        MUST(listen(l, 1) == 0 && setsockopt(c, SOL_IP, IP_OPTIONS, s->b, s->n) == 0);
        MUST(connect_to(c, "127.0.0.1", own_port(l)) == 0);
        int a = accept(l, 0, 0);
        MUST(a >= 0);
        unsigned char back[64];
        socklen_t n = sizeof back;
        MUST(getsockopt(a, SOL_IP, IP_OPTIONS, back, &n) == 0);
        for (socklen_t p = 0; p + 4 < n; p++)
            if (back[p] == 68) {
                memset(back + p + (back[p + 3] & 15 ? 8 : 4), 0xcc, 4);
                break;
            }
        SHOW(named("accepted with %s", s->name), "%u %s", n, hex_of(back, n));
        n = sizeof back;
        MUST(getsockopt(c, SOL_IP, IP_OPTIONS, back, &n) == 0);
        SHOW(named("kept by who sent %s", s->name), "%u %s", n, hex_of(back, n));
        EQ(named("bytes with %s", s->name), 5, send(c, "hello", 5, 0));
        EQ(named("heard with %s", s->name), 5, recv(a, back, 5, MSG_WAITALL));
        MUST(send(a, "hello", 5, 0) == 5);
        EQ(named("answered with %s", s->name), 5, recv(c, back, 5, MSG_WAITALL));
        OK(named("changed while connected, %s", s->name), setsockopt(c, SOL_IP, IP_OPTIONS, sets[38].b, 4));
        MUST(send(c, "again", 5, 0) == 5);
        EQ(named("heard again with %s", s->name), 5, recv(a, back, 5, MSG_WAITALL));
        close(l), close(c), close(a);
    }
    int l = bound_at(SOCK_STREAM, "127.0.0.1"), c = socket(AF_INET, SOCK_STREAM, 0);
    MUST(setsockopt(l, SOL_IP, IP_OPTIONS, sets[38].b, 4) == 0 && listen(l, 1) == 0);
    MUST(connect_to(c, "127.0.0.1", own_port(l)) == 0);
    int a = accept(l, 0, 0);
    unsigned char back[64];
    socklen_t n = sizeof back;
    OK("the listener's are not inherited", getsockopt(a, SOL_IP, IP_OPTIONS, back, &n));
    EQ("none", 0, n);
}
