/* Rare options of TCP: bounds, what a listener keeps of a SYN, keys, and what cannot be had (tcp(7), linux/tcp.h). */
#include "case.h"
#include "inet.h"
#include <netinet/ip.h>

enum { SAVE_SYN = 27, SAVED_SYN = 28, FASTOPEN_KEY = 33, ZEROCOPY_RECEIVE = 35, TX_DELAY = 37, RTO_MAX_MS = 44, RTO_MIN_US = 45, DELACK_MAX_US = 46 };

static const struct {
    const char *name;
    int option;
    int tried[9];
} bounds[] = {
    {"SAVE_SYN", SAVE_SYN, {-1, 0, 1, 2, 3, 4, 100, 1 << 16, 1 << 30}},
    {"TX_DELAY", TX_DELAY, {-1, 0, 1, 1000, 1 << 20, 100, -2, 5, 0}},
    {"RTO_MAX_MS", RTO_MAX_MS, {-1, 0, 999, 1000, 2000, 60000, 100000, 120000, 120001}},
    {"RTO_MIN_US", RTO_MIN_US, {-1, 0, 999, 20000, 100000, 160000, 200000, 200001, 1 << 30}},
    {"DELACK_MAX_US", DELACK_MAX_US, {-1, 0, 999, 20000, 100000, 160000, 200000, 200001, 1 << 30}},
};

GROUP(tcp_bounds)
{
    int fds[4];
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    fds[1] = bound_at(SOCK_STREAM, "127.0.0.1");
    MUST(listen(fds[1], 1) == 0);
    tcp_pair(AF_INET, fds + 2);
    static const char *who[] = {"new", "listening", "connected", "accepted"};
    for (size_t f = 0; f < COUNT(fds); f++)
        for (size_t b = 0; b < COUNT(bounds); b++) {
            EQ(named("%s: %s at first", who[f], bounds[b].name), b == 2 ? 120000 : b > 2 ? 200000 : 0, option(fds[f], IPPROTO_TCP, bounds[b].option));
            for (size_t i = 0; i < 9; i++) {
                int v = bounds[b].tried[i];
                const char *how = result(set(fds[f], IPPROTO_TCP, bounds[b].option, v));
                SHOW(named("%s: %s %d", who[f], bounds[b].name, v), "%s %d", how, option(fds[f], IPPROTO_TCP, bounds[b].option));
            }
            char byte = 1;
            ERR(named("%s: %s of one byte", who[f], bounds[b].name), EINVAL, setsockopt(fds[f], IPPROTO_TCP, bounds[b].option, &byte, 1));
        }
    EQ("bytes go on", 5, send(fds[2], "hello", 5, 0));
    char text[8];
    EQ("bytes arrive", 5, recv(fds[3], text, 5, MSG_WAITALL));
}

GROUP(tcp_inherited)
{
    int l = bound_at(SOCK_STREAM, "127.0.0.1"), c = socket(AF_INET, SOCK_STREAM, 0);
    static const int chosen[] = {1, 1000, 5000, 60000, 80000};
    for (size_t b = 0; b < COUNT(bounds); b++)
        OK(named("%s", bounds[b].name), set(l, IPPROTO_TCP, bounds[b].option, chosen[b]));
    MUST(listen(l, 1) == 0 && connect_to(c, "127.0.0.1", own_port(l)) == 0);
    int a = accept(l, 0, 0);
    for (size_t b = 0; b < COUNT(bounds); b++)
        EQ(named("%s, accepted", bounds[b].name), chosen[b], option(a, IPPROTO_TCP, bounds[b].option));
}

static void saved(int family, int kind)
{
    const char *ip = loopback_of(family), *who = named("IPv%d, %d", family == AF_INET ? 4 : 6, kind);
    int l = bound_at(SOCK_STREAM, ip), c = socket(family, SOCK_STREAM, 0);
    MUST(set(l, IPPROTO_TCP, SAVE_SYN, kind) == 0 && listen(l, 1) == 0 && connect_to(c, ip, own_port(l)) == 0);
    int a = accept(l, 0, 0);
    unsigned char bytes[256];
    socklen_t n = 10;
    if (kind)
        ERR(named("%s: little room", who), EINVAL, getsockopt(a, IPPROTO_TCP, SAVED_SYN, bytes, &n));
    n = sizeof bytes;
    OK(named("%s: read", who), getsockopt(a, IPPROTO_TCP, SAVED_SYN, bytes, &n));
    if (kind) {
        int link = kind == 2 ? 14 : 0, network = family == AF_INET ? 20 : 40;
        unsigned char *ip_header = bytes + link;
        struct tcphdr *tcp = (void *)(ip_header + network);
        YES(named("%s: length", who), (int)n == link + network + tcp->doff * 4);
        SHOW(named("%s: network", who), "%#x %d", ip_header[0], family == AF_INET ? ip_header[9] : ip_header[6]);
        YES(named("%s: a SYN", who), tcp->syn && !tcp->ack && !tcp->fin && ntohs(tcp->dest) == own_port(l) && ntohs(tcp->source) == own_port(c));
        if (link)
            SHOW(named("%s: link", who), "%02x%02x", bytes[12], bytes[13]);
    } else {
        EQ(named("%s: nothing", who), 0, n);
    }
    n = sizeof bytes;
    OK(named("%s: once", who), getsockopt(a, IPPROTO_TCP, SAVED_SYN, bytes, &n));
    EQ(named("%s: nothing is left", who), 0, n);
    n = sizeof bytes;
    OK(named("%s: of who connected", who), getsockopt(c, IPPROTO_TCP, SAVED_SYN, bytes, &n));
    EQ(named("%s: has none", who), 0, n);
    ERR(named("%s: not to be set", who), ENOPROTOOPT, set(a, IPPROTO_TCP, SAVED_SYN, 1));
    close(l), close(c), close(a);
}

GROUP(tcp_saved_syn)
{
    for (int kind = 0; kind < 3; kind++) {
        saved(AF_INET, kind);
        saved(AF_INET6, kind);
    }
}

GROUP(tcp_rare)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    unsigned char key[64] = {1, 2, 3}, back[64];
    for (int len = 0; len <= 40; len += 4)
        SHOW(named("key of %d", len), "%s", result(setsockopt(fd, IPPROTO_TCP, FASTOPEN_KEY, key, len)));
    for (socklen_t room = 8; room <= 64; room *= 2) {
        socklen_t n = room;
        memset(back, 0xee, sizeof back);
        int r = getsockopt(fd, IPPROTO_TCP, FASTOPEN_KEY, back, &n);
        SHOW(named("key read with %u", room), "%s %u %02x%02x%02x%02x", result(r), n, back[0], back[1], back[2], back[3]);
    }
    int pair[2];
    tcp_pair(AF_INET, pair);
    for (size_t f = 0; f < 2; f++) {
        int s = f ? pair[0] : fd;
        const char *who = f ? "connected" : "new";
        for (int room = 0; room < 12; room += 4) {
            socklen_t n = room;
            memset(back, 0, sizeof back);
            SHOW(named("%s: zero copies into %d", who, room), "%s", result(getsockopt(s, IPPROTO_TCP, ZEROCOPY_RECEIVE, back, &n)));
        }
        socklen_t n = 4;
        int first = -1, second = -1;
        OK(named("%s: time stamp", who), getsockopt(s, IPPROTO_TCP, TCP_TIMESTAMP, &first, &n));
        pause_ms(3);
        OK(named("%s: again", who), getsockopt(s, IPPROTO_TCP, TCP_TIMESTAMP, &second, &n));
        YES(named("%s: it goes on", who), second - first >= 2 && second - first < 5000);
        ERR(named("%s: not to be set", who), EPERM, set(s, IPPROTO_TCP, TCP_TIMESTAMP, 5));
        ERR(named("%s: queue", who), EPERM, set(s, IPPROTO_TCP, TCP_REPAIR_QUEUE, 1));
        ERR(named("%s: window", who), EPERM, set(s, IPPROTO_TCP, 29, 1));
        SHOW(named("%s: sequence", who), "%s %d", result(set(s, IPPROTO_TCP, TCP_QUEUE_SEQ, 1)), option(s, IPPROTO_TCP, TCP_QUEUE_SEQ));
        EQ(named("%s: queue read", who), -EINVAL, option(s, IPPROTO_TCP, TCP_REPAIR_QUEUE));
        EQ(named("%s: window read", who), -EINVAL, option(s, IPPROTO_TCP, 29));
        ERR(named("%s: options", who), EINVAL, set(s, IPPROTO_TCP, TCP_REPAIR_OPTIONS, 1));
        EQ(named("%s: repaired", who), 0, option(s, IPPROTO_TCP, TCP_REPAIR));
    }
    int l = bound_at(SOCK_STREAM, "127.0.0.1");
    MUST(listen(l, 1) == 0);
    ERR("listeners are not repaired", EPERM, set(l, IPPROTO_TCP, TCP_REPAIR, 1));
    AS_NOBODY(ERR("repair is for the privileged", EPERM, set(fd, IPPROTO_TCP, TCP_REPAIR, 1)));
    ERR("no clamp of 0", EINVAL, set(l, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0));
}

/* How many sockets of a kind /proc/net/protocols counts, or -1. */
static int counted(const char *kind, char *rest)
{
    char row[256], name[32];
    int size, n, found = -1;
    FILE *f = fopen("/proc/net/protocols", "r");
    MUST(f);
    while (fgets(row, sizeof row, f))
        if (sscanf(row, "%31s %d %d", name, &size, &n) == 3 && !strcmp(name, kind)) {
            found = n;
            strcpy(rest, strstr(row, "kernel") - 12);
        }
    fclose(f);
    return found;
}

GROUP(protocols)
{
    static const char *kinds[] = {"TCP", "TCPv6", "UDP", "UDPv6", "UDP-Lite", "RAW", "RAWv6", "PING", "PINGv6", "UNIX", "UNIX-STREAM", "PACKET", "NETLINK"};
    char rest[256] = "", row[256];
    for (size_t i = 0; i < COUNT(kinds); i++) {
        YES(named("%s is there", kinds[i]), counted(kinds[i], rest) >= 0);
        rest[strcspn(rest, "\n")] = 0;
        SHOW(named("%s's calls", kinds[i]), "%s", rest);
    }
    FILE *f = fopen("/proc/net/protocols", "r");
    MUST(f && fgets(row, sizeof row, f));
    TEXT("heading", "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em", strtok(row, "\n"));
    fclose(f);
    f = fopen("/proc/net/psched", "r");
    MUST(f && fgets(row, sizeof row, f));
    TEXT("psched", "000003e8 00000040 000f4240 3b9aca00", strtok(row, "\n"));
    fclose(f);
    f = fopen("/proc/net/softnet_stat", "r");
    unsigned processed[2] = {0};
    for (int turn = 0; turn < 2; turn++) {
        int lines = 0;
        rewind(f);
        while (fgets(row, sizeof row, f)) {
            unsigned n;
            MUST(sscanf(row, "%x", &n) == 1);
            processed[turn] += n;
            lines++;
            if (!turn && lines == 1)
                EQ("width", 135, strlen(row));
        }
        YES(named("a line for each CPU, %d", turn), lines == sysconf(_SC_NPROCESSORS_ONLN));
        int fd[2];
        tcp_pair(AF_INET, fd);
    }
    YES("packets are counted", processed[1] > processed[0]);
}
