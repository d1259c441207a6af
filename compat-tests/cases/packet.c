/* Packet sockets and filters: packet(7), socket(7). */
#include "case.h"
#include "net.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#define LO 1

static int packet(int kind, int protocol)
{
    int fd = socket(AF_PACKET, kind, htons(protocol));
    MUST(fd >= 0);
    return fd;
}

static int udp_pair(int *from, struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t len = sizeof *to;
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    MUST(fd >= 0 && bind(fd, (void *)to, sizeof *to) == 0 && getsockname(fd, (void *)to, &len) == 0);
    *from = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(*from >= 0);
    return fd;
}

static ssize_t receive(int fd, void *bytes, size_t room, struct sockaddr_ll *from)
{
    socklen_t len = sizeof *from;
    memset(from, 0xee, sizeof *from);
    struct pollfd poll_ = {fd, POLLIN, 0};
    MUST(poll(&poll_, 1, 5000) == 1);
    return recvfrom(fd, bytes, room, 0, (void *)from, &len);
}

GROUP(packet_socket)
{
    AS_NOBODY({
        ERR("raw without a capability", EPERM, socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
        ERR("cooked without a capability", EPERM, socket(AF_PACKET, SOCK_DGRAM, 0));
    });
    own_network();
    ERR("stream", ESOCKTNOSUPPORT, socket(AF_PACKET, SOCK_STREAM, 0));
    ERR("seqpacket", ESOCKTNOSUPPORT, socket(AF_PACKET, SOCK_SEQPACKET, 0));
    int fd = packet(SOCK_RAW, ETH_P_IP);
    int value = 0;
    socklen_t len = sizeof value;
    OK("get SO_DOMAIN", getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len));
    EQ("domain", AF_PACKET, value);
    OK("get SO_PROTOCOL", getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len));
    EQ("protocol", 0, value);
    OK("get SO_TYPE", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    EQ("type", SOCK_RAW, value);
    struct sockaddr_ll own;
    len = sizeof own;
    memset(&own, 0xee, sizeof own);
    OK("getsockname unbound", getsockname(fd, (void *)&own, &len));
    SHOW("unbound", "%d %d %04x %d %d", len, own.sll_family, ntohs(own.sll_protocol), own.sll_ifindex, own.sll_halen);
    ERR("getpeername", EOPNOTSUPP, getpeername(fd, (void *)&own, &len));
    ERR("connect", EOPNOTSUPP, connect(fd, (void *)&own, sizeof own));
    ERR("listen", EOPNOTSUPP, listen(fd, 1));
    ERR("shutdown", EOPNOTSUPP, shutdown(fd, SHUT_RD));
    ERR("accept", EOPNOTSUPP, accept(fd, 0, 0));
    ERR("recv, flags", EINVAL, recv(fd, &value, 4, MSG_OOB));
    ERR("recv, nothing there", EAGAIN, recv(fd, &value, 4, MSG_DONTWAIT));
    ERR("send to nowhere", ENXIO, send(fd, &value, 4, 0));
}

GROUP(packet_bind)
{
    own_network();
    int fd = packet(SOCK_DGRAM, ETH_P_ALL);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = LO}, own;
    ERR("short", EINVAL, bind(fd, (void *)&to, sizeof to - 1));
    ERR("one byte", EINVAL, bind(fd, (void *)&to, 1));
    ERR("null", EFAULT, bind(fd, 0, sizeof to));
    to.sll_family = AF_INET;
    ERR("family", EINVAL, bind(fd, (void *)&to, sizeof to));
    to.sll_family = AF_PACKET;
    to.sll_ifindex = 9999;
    ERR("no such interface", ENODEV, bind(fd, (void *)&to, sizeof to));
    to.sll_ifindex = LO;
    OK("to lo", bind(fd, (void *)&to, sizeof to));
    OK("again", bind(fd, (void *)&to, sizeof to));
    socklen_t len = sizeof own;
    memset(&own, 0xee, sizeof own);
    OK("getsockname", getsockname(fd, (void *)&own, &len));
    SHOW("name", "%d %d %04x %d %d %d", len, own.sll_family, ntohs(own.sll_protocol), own.sll_ifindex, own.sll_hatype, own.sll_halen);
    to.sll_protocol = 0;
    OK("protocol kept", bind(fd, (void *)&to, sizeof to));
    len = sizeof own;
    OK("getsockname again", getsockname(fd, (void *)&own, &len));
    EQ("protocol", ETH_P_IP, ntohs(own.sll_protocol));
}

GROUP(packet_receive)
{
    own_network();
    int from, cooked = packet(SOCK_DGRAM, ETH_P_IP), raw = packet(SOCK_RAW, ETH_P_IP), all = packet(SOCK_RAW, ETH_P_ALL);
    int other = packet(SOCK_DGRAM, ETH_P_PUP), v6 = packet(SOCK_DGRAM, ETH_P_IPV6), silent = packet(SOCK_RAW, 0);
    struct sockaddr_in to;
    struct sockaddr_ll who;
    int fd = udp_pair(&from, &to);
    unsigned char bytes[256];
    EQ("send", 5, sendto(from, "hello", 5, 0, (void *)&to, sizeof to));
    EQ("cooked", 33, receive(cooked, bytes, sizeof bytes, &who));
    SHOW("cooked from", "%d %04x %d %d %d %d", who.sll_family, ntohs(who.sll_protocol), who.sll_ifindex, who.sll_hatype, who.sll_pkttype, who.sll_halen);
    SHOW("cooked packet", "%02x %d %d %.5s", bytes[0], bytes[9], bytes[3], bytes + 28);
    EQ("raw", 47, receive(raw, bytes, sizeof bytes, &who));
    SHOW("raw header", "%02x%02x %02x%02x %02x%02x %02x", bytes[0], bytes[5], bytes[6], bytes[11], bytes[12], bytes[13], bytes[14]);
    EQ("all, out", 47, receive(all, bytes, sizeof bytes, &who));
    EQ("all, out kind", PACKET_OUTGOING, who.sll_pkttype);
    EQ("all, in", 47, receive(all, bytes, sizeof bytes, &who));
    EQ("all, in kind", PACKET_HOST, who.sll_pkttype);
    ERR("another protocol", EAGAIN, recv(other, bytes, sizeof bytes, MSG_DONTWAIT));
    ERR("IPv6", EAGAIN, recv(v6, bytes, sizeof bytes, MSG_DONTWAIT));
    ERR("protocol 0", EAGAIN, recv(silent, bytes, sizeof bytes, MSG_DONTWAIT));
    EQ("the socket itself", 5, recv(fd, bytes, sizeof bytes, 0));
    sendto(from, "longer text", 11, 0, (void *)&to, sizeof to);
    int waiting = 0;
    struct pollfd poll_ = {cooked, POLLIN, 0};
    MUST(poll(&poll_, 1, 5000) == 1);
    OK("FIONREAD", ioctl(cooked, FIONREAD, &waiting));
    EQ("waiting", 39, waiting);
    EQ("peek, truncated", 39, recv(cooked, bytes, 10, MSG_PEEK | MSG_TRUNC));
    EQ("truncated", 10, recv(cooked, bytes, 10, 0));
    ERR("rest is gone", EAGAIN, recv(cooked, bytes, 10, MSG_DONTWAIT));
    struct timeval time;
    OK("SIOCGSTAMP", ioctl(cooked, SIOCGSTAMP, &time));
    YES("stamp", time.tv_sec > 1000000);
    int on = 1;
    OK("ignore outgoing", setsockopt(all, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on));
    while (recv(all, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    sendto(from, "x", 1, 0, (void *)&to, sizeof to);
    EQ("only in", 43, receive(all, bytes, sizeof bytes, &who));
    EQ("only in, kind", PACKET_HOST, who.sll_pkttype);
    ERR("only one", EAGAIN, recv(all, bytes, sizeof bytes, MSG_DONTWAIT));
}

GROUP(packet_send)
{
    own_network();
    int raw = packet(SOCK_RAW, 0), watcher = packet(SOCK_RAW, ETH_P_ALL), cooked = packet(SOCK_DGRAM, ETH_P_ALL);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = LO, .sll_halen = 6}, who;
    unsigned char frame[100] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x88, 0xb5, 'd', 'a', 't', 'a'}, bytes[200];
    ERR("header too short", EINVAL, sendto(raw, frame, 13, 0, (void *)&to, sizeof to));
    ERR("address too short", EINVAL, sendto(raw, frame, 60, 0, (void *)&to, sizeof to - 1));
    to.sll_ifindex = 9999;
    ERR("no such interface", ENXIO, sendto(raw, frame, 60, 0, (void *)&to, sizeof to));
    to.sll_ifindex = LO;
    EQ("raw", 60, sendto(raw, frame, 60, 0, (void *)&to, sizeof to));
    EQ("seen going", 60, receive(watcher, bytes, sizeof bytes, &who));
    SHOW("going", "%d %04x %d %d", who.sll_pkttype, ntohs(who.sll_protocol), who.sll_halen, memcmp(bytes, frame, 60));
    EQ("seen coming", 60, receive(watcher, bytes, sizeof bytes, &who));
    SHOW("coming", "%d %02x%02x", who.sll_pkttype, who.sll_addr[0], who.sll_addr[5]);
    while (recv(cooked, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    memcpy(to.sll_addr, "\x0a\x0b\x0c\x0d\x0e\x0f", 6);
    EQ("cooked", 4, sendto(cooked, "text", 4, 0, (void *)&to, sizeof to));
    EQ("header made", 18, receive(watcher, bytes, sizeof bytes, &who));
    SHOW("made", "%02x%02x %02x %02x%02x %.4s", bytes[0], bytes[5], bytes[6], bytes[12], bytes[13], bytes + 14);
    EQ("own frames are not seen going", 4, receive(cooked, bytes, sizeof bytes, &who));
    SHOW("but coming", "%d %.4s", who.sll_pkttype, bytes);
    to.sll_halen = 8;
    EQ("bound", 0, bind(cooked, (void *)&to, sizeof to));
    EQ("by what it is bound to", 3, send(cooked, "abc", 3, 0));
    static char large[70000];
    ERR("too large", EMSGSIZE, sendto(cooked, large, sizeof large, 0, (void *)&to, sizeof to));
    struct ifreq request = {.ifr_name = "lo"};
    MUST(ioctl(raw, SIOCGIFFLAGS, &request) == 0);
    request.ifr_flags &= ~IFF_UP;
    OK("lo down", ioctl(raw, SIOCSIFFLAGS, &request));
    ERR("the bound one is told", ENETDOWN, recv(cooked, bytes, 10, MSG_DONTWAIT));
    ERR("down", ENETDOWN, sendto(raw, frame, 60, 0, (void *)&to, sizeof to));
    request.ifr_flags |= IFF_UP;
    OK("lo up", ioctl(raw, SIOCSIFFLAGS, &request));
    EQ("up again", 60, sendto(raw, frame, 60, 0, (void *)&to, sizeof to));
}

GROUP(packet_options)
{
    own_network();
    int fd = packet(SOCK_RAW, ETH_P_IP), value, from;
    socklen_t len;
    static const struct {
        const char *name;
        int option, value, error;
    } sets[] = {
        {"AUXDATA", PACKET_AUXDATA, 1, 0}, {"ORIGDEV", PACKET_ORIGDEV, 1, 0}, {"VERSION 1", PACKET_VERSION, TPACKET_V2, 0},
        {"VERSION 7", PACKET_VERSION, 7, EINVAL}, {"RESERVE", PACKET_RESERVE, 32, 0}, {"RESERVE -1", PACKET_RESERVE, -1, EINVAL},
        {"LOSS", PACKET_LOSS, 1, 0}, {"TIMESTAMP", PACKET_TIMESTAMP, 4, 0}, {"QDISC_BYPASS", PACKET_QDISC_BYPASS, 1, 0},
        {"TX_HAS_OFF", PACKET_TX_HAS_OFF, 1, 0}, {"COPY_THRESH", PACKET_COPY_THRESH, 64, 0},
        {"IGNORE_OUTGOING 2", PACKET_IGNORE_OUTGOING, 2, EINVAL}, {"99", 99, 1, ENOPROTOOPT},
    };
    for (size_t i = 0; i < COUNT(sets); i++) {
        const char *name = named("set %s", sets[i].name);
        if (sets[i].error)
            ERR(name, sets[i].error, setsockopt(fd, SOL_PACKET, sets[i].option, &sets[i].value, 4));
        else
            OK(name, setsockopt(fd, SOL_PACKET, sets[i].option, &sets[i].value, 4));
    }
    static const int gets[] = {PACKET_AUXDATA, PACKET_ORIGDEV, PACKET_VERSION, PACKET_RESERVE, PACKET_LOSS, PACKET_TIMESTAMP, PACKET_QDISC_BYPASS, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING};
    for (size_t i = 0; i < COUNT(gets); i++) {
        value = -1, len = sizeof value;
        int result = getsockopt(fd, SOL_PACKET, gets[i], &value, &len);
        SHOW(named("get %d", gets[i]), "%d %d %d", result, value, len);
    }
    for (int version = 0; version < 4; version++) {
        value = version, len = sizeof value;
        int result = getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &value, &len);
        SHOW(named("HDRLEN %d", version), "%d %d", result, result ? errno : value);
    }
    ERR("get 99", ENOPROTOOPT, getsockopt(fd, SOL_PACKET, 99, &value, &len));
    ERR("another level", ENOPROTOOPT, setsockopt(fd, SOL_IP, 1, &value, 4));
    int cooked = packet(SOCK_DGRAM, 0);
    value = 1;
    ERR("VNET_HDR cooked", EINVAL, setsockopt(cooked, SOL_PACKET, PACKET_VNET_HDR, &value, 4));
    struct packet_mreq wish = {.mr_ifindex = LO, .mr_type = PACKET_MR_PROMISC};
    OK("promiscuous", setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wish, sizeof wish));
    OK("not so", setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &wish, sizeof wish));
    OK("not so, again", setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &wish, sizeof wish));
    ERR("short", EINVAL, setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wish, sizeof wish - 1));
    wish.mr_ifindex = 9999;
    ERR("nowhere", ENODEV, setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wish, sizeof wish));
    struct sockaddr_in to;
    unsigned char bytes[256];
    int sink = udp_pair(&from, &to);
    sendto(from, "12345", 5, 0, (void *)&to, sizeof to);
    struct iovec part = {bytes, sizeof bytes};
    union {
        struct cmsghdr header;
        char room[256];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    EQ("recvmsg", 47, recvmsg(fd, &message, 0));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    MUST(header);
    struct tpacket_auxdata data;
    memcpy(&data, CMSG_DATA(header), sizeof data);
    SHOW("auxdata", "%d %d %d: %d %d %d %d", header->cmsg_level, header->cmsg_type, (int)header->cmsg_len, data.tp_len, data.tp_snaplen, data.tp_mac, data.tp_net);
    SHOW("status", "%x", data.tp_status);
    struct tpacket_stats counts;
    len = sizeof counts;
    OK("STATISTICS", getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counts, &len));
    SHOW("counts", "%u %u", counts.tp_packets, counts.tp_drops);
    OK("STATISTICS again", getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counts, &len));
    SHOW("counts again", "%u %u", counts.tp_packets, counts.tp_drops);
    value = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, 4);
    for (int i = 0; i < 20; i++)
        sendto(from, "12345", 5, 0, (void *)&to, sizeof to);
    len = sizeof counts;
    getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counts, &len);
    SHOW("all counted", "%u", counts.tp_packets);
    YES("some lost", counts.tp_drops > 5 && counts.tp_drops < 20);
    close(sink);
}

/* Filters. */

static int attach(int fd, struct sock_filter *program, int len)
{
    struct sock_fprog wish = {len, program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &wish, sizeof wish);
}

static int keeps(struct sock_filter *program, int len, const char *text)
{
    int from, fd = packet(SOCK_DGRAM, ETH_P_IP), sink;
    struct sockaddr_in to;
    char bytes[256];
    sink = udp_pair(&from, &to);
    MUST(attach(fd, program, len) == 0);
    sendto(from, text, strlen(text), 0, (void *)&to, sizeof to);
    MUST(recv(sink, bytes, sizeof bytes, 0) == (ssize_t)strlen(text));
    int n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    close(fd);
    close(sink);
    close(from);
    return n;
}

#define KEEPS(name, want, text, ...)                                                                                             \
    do {                                                                                                                         \
        struct sock_filter program_[] = {__VA_ARGS__};                                                                         \
        EQ(name, want, keeps(program_, COUNT(program_), text));                                                                \
    } while (0)
#define REFUSED(name, ...)                                                                                                       \
    do {                                                                                                                         \
        struct sock_filter program_[] = {__VA_ARGS__};                                                                         \
        ERR(named("refused, %s", name), EINVAL, attach(fd, program_, COUNT(program_)));                                        \
    } while (0)
#define RET(n) BPF_STMT(BPF_RET | BPF_K, n)
#define RETA BPF_STMT(BPF_RET | BPF_A, 0)

GROUP(filter)
{
    own_network();
    KEEPS("all", 33, "hello", RET(0xffff));
    KEEPS("nothing", -1, "hello", RET(0));
    KEEPS("a part", 20, "hello", RET(20));
    KEEPS("length", 33, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), RETA);
    KEEPS("UDP", 33, "hello", BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 1), RET(99), RET(0));
    KEEPS("not TCP", -1, "hello", BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 1), RET(99), RET(0));
    KEEPS("IP header's length", 20, "hello", BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0), RETA);
    KEEPS("behind the header", 13, "hello", BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4), RETA);
    KEEPS("beyond the end", -1, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 30), RET(99));
    KEEPS("at the end", 33, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 29), RET(99));
    KEEPS("protocol", 8, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 8), RETA);
    KEEPS("interface", 1, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX), RETA);
    KEEPS("hardware", 33, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_HATYPE), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 772, 0, 1), RET(99), RET(0));
    KEEPS("kind", 7, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 7), RETA);
    KEEPS("payload's offset", 28, "hello", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PAY_OFFSET), RETA);
    KEEPS("from the network header", 17, "hello", BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF + 9), RETA);
    KEEPS("from the link's header", 8, "hello", BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_LL_OFF + 12), RETA);
    KEEPS("memory", 21, "hello", BPF_STMT(BPF_LD | BPF_IMM, 21), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_LD | BPF_MEM, 3), RETA);
    KEEPS("division by 0", -1, "hello", BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0), BPF_STMT(BPF_LD | BPF_IMM, 8), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RET(99));
    KEEPS("arithmetic", 30, "hello", BPF_STMT(BPF_LD | BPF_IMM, 4), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 8), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 2), BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 8), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x3e), RETA);
    KEEPS("negated", 5, "hello", BPF_STMT(BPF_LD | BPF_IMM, -5), BPF_STMT(BPF_ALU | BPF_NEG, 0), RETA);
    int fd = packet(SOCK_RAW, 0), value = 0;
    REFUSED("no return", BPF_STMT(BPF_LD | BPF_IMM, 0));
    REFUSED("jump out", BPF_STMT(BPF_JMP | BPF_JA, 1), RET(0));
    REFUSED("branch out", BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), RET(0));
    REFUSED("divides by 0", BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(0));
    REFUSED("shifts too far", BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RET(0));
    REFUSED("no such word", BPF_STMT(BPF_ST, 16), RET(0));
    REFUSED("word not written", BPF_STMT(BPF_LD | BPF_MEM, 1), RET(0));
    REFUSED("no such instruction", BPF_STMT(0xff, 0), RET(0));
    REFUSED("no such fact", BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + 99), RET(0));
    struct sock_filter good[] = {BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), RETA}, back[4];
    ERR("length 0", EINVAL, attach(fd, good, 0));
    ERR("length 4097", EINVAL, attach(fd, good, 4097));
    ERR("null", EINVAL, attach(fd, 0, 2));
    ERR("bad address", EFAULT, attach(fd, BAD, 2));
    struct sock_fprog wish = {2, good};
    ERR("short structure", EINVAL, setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &wish, sizeof wish - 1));
    ERR("detach none", ENOENT, setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &value, sizeof value));
    ERR("get SO_DETACH_FILTER", ENOPROTOOPT, getsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &value, &(socklen_t){4}));
    socklen_t len = 4;
    OK("get none", getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
    EQ("none", 0, len);
    OK("attach", attach(fd, good, 2));
    len = 0;
    OK("get length", getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
    EQ("length", 2, len);
    len = 1;
    ERR("get, too little room", EINVAL, getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
    len = 4;
    OK("get", getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
    SHOW("got", "%d %d", len, memcmp(good, back, sizeof good));
    value = 1;
    OK("lock", setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &value, sizeof value));
    ERR("attach, locked", EPERM, attach(fd, good, 2));
    ERR("detach, locked", EPERM, setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &value, sizeof value));
    value = 0;
    ERR("unlock", EPERM, setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &value, sizeof value));
    len = 4;
    OK("get lock", getsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &value, &len));
    EQ("locked", 1, value);
}
