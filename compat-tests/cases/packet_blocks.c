/* Rings of blocks (TPACKET_V3), groups that share frames (PACKET_FANOUT) and headers before frames (PACKET_VNET_HDR). Frames go over
 * the loopback interface with a protocol of nobody's. */
#include "case.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif
#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif
#define BLOCK 8192
#define BLOCKS 4

static int protocol = 0x88b5;

static struct sockaddr_ll lo(void)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_halen = 6};
    to.sll_ifindex = if_nametoindex("lo");
    return to;
}

static int bind_lo(int fd)
{
    struct sockaddr_ll to = lo();
    return bind(fd, (void *)&to, sizeof to);
}

static int third(int type)
{
    int fd = socket(AF_PACKET, type, 0), version = TPACKET_V3;
    MUST(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) == 0);
    return fd;
}

static int ring(int fd, int which, struct tpacket_req3 request)
{
    return setsockopt(fd, SOL_PACKET, which, &request, sizeof request);
}

static void send_lo(int size, char fill)
{
    static char text[9000];
    memset(text, fill, sizeof text);
    struct sockaddr_ll to = lo();
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    MUST(sendto(fd, text, size, 0, (void *)&to, sizeof to) == size);
    close(fd);
}

GROUP(packet_blocks_shapes)
{
    if (geteuid())
        return;
    static const struct tpacket_req3 shapes[] = {
        {4096, 1, 2048, 2, 0, 0, 0},    {4096, 1, 2048, 2, 60, 100, 1}, {4096, 1, 2048, 2, 0, 3979, 0}, {4096, 1, 2048, 2, 0, 3980, 0},
        {4096, 1, 2048, 2, 0, 4096, 0}, {4096, 1, 2048, 2, 0, -1u, 0},  {4096, 1, 64, 64, 0, 0, 0},     {4096, 1, 2048, 2, 0, 0, 7},
        {100, 1, 2048, 2, 0, 0, 0},     {4096, 0, 2048, 0, 0, 0, 0},    {4096, 4, 4096, 4, 0, 8, 0},    {4096, 1, 2048, 2, 0, 0x80000000, 0},
    };
    for (unsigned i = 0; i < COUNT(shapes); i++) {
        int fd = third(SOCK_RAW);
        int result = ring(fd, PACKET_RX_RING, shapes[i]);
        SHOW(named("received %d", i), "%s", result ? strerrorname_np(errno) : "yes");
        close(fd);
        fd = third(SOCK_RAW);
        result = ring(fd, PACKET_TX_RING, shapes[i]);
        SHOW(named("to be sent %d", i), "%s", result ? strerrorname_np(errno) : "yes");
        close(fd);
    }
    int fd = third(SOCK_RAW), version = TPACKET_V2;
    ERR("a short request", EINVAL, setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &shapes[0], 16));
    OK("one", ring(fd, PACKET_RX_RING, shapes[0]));
    ERR("the version stays", EBUSY, setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
    close(fd);
}

static struct tpacket_block_desc *block(char *map, int number)
{
    return (void *)(map + number * BLOCK);
}

static int wait_for(struct tpacket_block_desc *desc)
{
    for (int i = 0; i < 400; i++) {
        if (__atomic_load_n(&desc->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)
            return 1;
        pause_ms(5);
    }
    return 0;
}

static void show_block(const char *name, struct tpacket_block_desc *desc)
{
    if (!wait_for(desc)) {
        SHOW(name, "never");
        return;
    }
    struct tpacket_hdr_v1 *head = &desc->hdr.bh1;
    SHOW(name, "version %u, private at %u, status %x, %u frames from %u, %u bytes, number %llu, stamps in order %d", desc->version,
         desc->offset_to_priv, head->block_status, head->num_pkts, head->offset_to_first_pkt, head->blk_len,
         (unsigned long long)head->seq_num,
         head->ts_first_pkt.ts_sec > 0 && head->ts_last_pkt.ts_sec >= head->ts_first_pkt.ts_sec);
    struct tpacket3_hdr *frame = (void *)((char *)desc + head->offset_to_first_pkt);
    for (unsigned i = 0; i < head->num_pkts && i < 3; i++) {
        struct sockaddr_ll *from = (void *)((char *)frame + TPACKET_ALIGN(sizeof *frame));
        SHOW(named("%s, frame %u", name, i), "next %u, %u of %u bytes, status %x, mac %u, net %u, hash %u, from %04x type %d: %.4s",
             frame->tp_next_offset, frame->tp_snaplen, frame->tp_len, frame->tp_status, frame->tp_mac, frame->tp_net,
             frame->hv1.tp_rxhash, ntohs(from->sll_protocol), from->sll_pkttype, (char *)frame + frame->tp_net);
        frame = (void *)((char *)frame + frame->tp_next_offset);
    }
}

static char *mapped(int fd, int milliseconds)
{
    MUST(ring(fd, PACKET_RX_RING, (struct tpacket_req3){BLOCK, BLOCKS, 2048, 16, milliseconds, 20, 0}) == 0 && bind_lo(fd) == 0);
    char *map = mmap(0, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED);
    return map;
}

static void blocks(int type)
{
    int fd = third(type);
    char *map = mapped(fd, 20);
    struct pollfd ready = {fd, POLLIN, 0};
    EQ(named("nothing yet, type %d", type), 0, poll(&ready, 1, 0));
    send_lo(10, 'a');
    EQ(named("after a while, type %d", type), 1, poll(&ready, 1, 3000));
    show_block(named("timed, type %d", type), block(map, 0));
    ERR(named("nothing for recv, type %d", type), EAGAIN, recv(fd, &ready, 1, MSG_DONTWAIT));
    close(fd);
    munmap(map, BLOCK * BLOCKS);

    fd = third(type), map = mapped(fd, 60000);
    for (int i = 0; i < 14; i++)
        send_lo(2000, 'b' + i);
    for (int i = 0; i < BLOCKS; i++)
        show_block(named("full %d, type %d", i, type), block(map, i));
    struct tpacket_stats_v3 stats;
    socklen_t len = sizeof stats;
    OK(named("counts, type %d", type), getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len));
    SHOW(named("counted, type %d", type), "%u, lost %u, froze %u, %u bytes", stats.tp_packets, stats.tp_drops, stats.tp_freeze_q_cnt, len);
    for (int i = 0; i < BLOCKS; i++)
        block(map, i)->hdr.bh1.block_status = TP_STATUS_KERNEL;
    send_lo(9000, 'y');
    send_lo(9000, 'z');
    show_block(named("before a long one, type %d", type), block(map, 0));
    show_block(named("a long one, type %d", type), block(map, 1));
    close(fd);
    munmap(map, BLOCK * BLOCKS);
}

GROUP(packet_blocks_raw)
{
    if (!geteuid())
        blocks(SOCK_RAW);
}

GROUP(packet_blocks_cooked)
{
    protocol = 0x88b6;
    if (!geteuid())
        blocks(SOCK_DGRAM);
}

GROUP(packet_blocks_sent)
{
    if (geteuid())
        return;
    protocol = 0x88ba;
    int fd = third(SOCK_DGRAM), reader = socket(AF_PACKET, SOCK_DGRAM, 0);
    char got[100];
    MUST(bind_lo(fd) == 0 && bind_lo(reader) == 0);
    OK("a ring", ring(fd, PACKET_TX_RING, (struct tpacket_req3){BLOCK, 1, 2048, 4, 0, 0, 0}));
    char *map = mmap(0, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        struct tpacket3_hdr *frame = (void *)(map + 2048 * i);
        frame->tp_len = 5 + i;
        memcpy((char *)frame + sizeof *frame, "hello!", 6);
        frame->tp_status = TP_STATUS_SEND_REQUEST;
    }
    struct sockaddr_ll to = lo();
    EQ("sent", 11, sendto(fd, 0, 0, 0, (void *)&to, sizeof to));
    EQ("first", 5, recv(reader, got, sizeof got, 0));
    EQ("second", 6, recv(reader, got, sizeof got, 0));
    SHOW("bytes", "%.6s", got);
    struct tpacket3_hdr *frame = (void *)(map + 4096);
    frame->tp_len = 5;
    frame->tp_next_offset = 100;
    frame->tp_status = TP_STATUS_SEND_REQUEST;
    ERR("a chain", EINVAL, sendto(fd, 0, 0, 0, (void *)&to, sizeof to));
    EQ("wrong", TP_STATUS_WRONG_FORMAT, frame->tp_status);
    close(fd);
}

static int join(int fd, int id, int type, int flags)
{
    int value = id | (type | flags) << 16;
    return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, sizeof value);
}

static int member(int id, int type, int flags)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    MUST(fd >= 0 && bind_lo(fd) == 0 && join(fd, id, type, flags) == 0);
    return fd;
}

static int told(int fd)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, &len) ? -errno : value;
}

static int drain(int fd)
{
    char byte;
    int n = 0;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
        n++;
    return n;
}

GROUP(packet_fanout_joins)
{
    if (geteuid())
        return;
    protocol = 0x88bb;
    int a = socket(AF_PACKET, SOCK_DGRAM, 0), b = socket(AF_PACKET, SOCK_DGRAM, 0), id = getpid() & 0xffff, none = 0;
    EQ("none", 0, told(a));
    ERR("nowhere", EINVAL, join(a, id, PACKET_FANOUT_LB, 0));
    MUST(bind_lo(a) == 0 && bind_lo(b) == 0);
    ERR("no kind", EINVAL, join(a, id, 8, 0));
    ERR("rolls twice", EINVAL, join(a, id, PACKET_FANOUT_ROLLOVER, PACKET_FANOUT_FLAG_ROLLOVER));
    ERR("a short value", EINVAL, setsockopt(a, SOL_PACKET, PACKET_FANOUT, &none, 2));
    ERR("a long value", EINVAL, setsockopt(a, SOL_PACKET, PACKET_FANOUT, (char[12]){0}, 12));
    ERR("data of none", EINVAL, setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &none, 4));
    ERR("statistics of none", EINVAL, getsockopt(a, SOL_PACKET, PACKET_ROLLOVER_STATS, &(struct tpacket_rollover_stats){0}, &(socklen_t){24}));
    OK("one", join(a, id, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_IGNORE_OUTGOING));
    EQ("told", PACKET_FANOUT_LB | PACKET_FANOUT_FLAG_IGNORE_OUTGOING, told(a) >> 16);
    YES("its number", id == (told(a) & 0xffff));
    ERR("again", EALREADY, join(a, id, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_IGNORE_OUTGOING));
    ERR("of another kind", EINVAL, join(b, id, PACKET_FANOUT_CPU, PACKET_FANOUT_FLAG_IGNORE_OUTGOING));
    ERR("with other flags", EINVAL, join(b, id, PACKET_FANOUT_LB, 0));
    ERR("bound anew", EINVAL, bind_lo(a));
    ERR("data of another kind", EINVAL, setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &none, 4));
    int other = socket(AF_PACKET, SOCK_DGRAM, htons(0x88bc));
    ERR("another protocol", EINVAL, join(other, id, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_IGNORE_OUTGOING));
    OK("two", join(b, id, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_IGNORE_OUTGOING));
    close(a);
    close(b);
    OK("left, and of another kind", join(other, id, PACKET_FANOUT_HASH, 0));
    close(other);
    struct fanout_args most = {.id = id, .type_flags = PACKET_FANOUT_RND, .max_num_members = 1};
    a = socket(AF_PACKET, SOCK_DGRAM, htons(protocol)), b = socket(AF_PACKET, SOCK_DGRAM, htons(protocol));
    OK("one at most", setsockopt(a, SOL_PACKET, PACKET_FANOUT, &most, sizeof most));
    ERR("a second", ENOSPC, setsockopt(b, SOL_PACKET, PACKET_FANOUT, &most, sizeof most));
    most.max_num_members = 2;
    ERR("another most", EINVAL, setsockopt(b, SOL_PACKET, PACKET_FANOUT, &most, sizeof most));
    close(a);
    most.max_num_members = 1 << 17;
    ERR("too many at most", EINVAL, setsockopt(b, SOL_PACKET, PACKET_FANOUT, &most, sizeof most));
    ERR("one of its own with a number", EINVAL, join(b, 77, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_UNIQUEID));
    OK("one of its own", join(b, 0, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_UNIQUEID));
    EQ("without its flag", PACKET_FANOUT_LB, told(b) >> 16);
    close(b);
}

GROUP(packet_fanout_in_turn)
{
    if (geteuid())
        return;
    protocol = 0x88bd;
    int id = getpid() & 0xffff;
    int fd[3] = {member(id, PACKET_FANOUT_LB, 0), member(id, PACKET_FANOUT_LB, 0), member(id, PACKET_FANOUT_LB, 0)};
    for (int i = 0; i < 9; i++)
        send_lo(10, 'a');
    pause_ms(20);
    SHOW("in turn", "%d %d %d", drain(fd[0]), drain(fd[1]), drain(fd[2]));
    close(fd[1]);
    for (int i = 0; i < 8; i++)
        send_lo(10, 'a');
    pause_ms(20);
    SHOW("after one has left", "%d %d", drain(fd[0]), drain(fd[2]));
    struct sockaddr_ll to = lo();
    EQ("what a member sends", 4, sendto(fd[0], "from", 4, 0, (void *)&to, sizeof to));
    pause_ms(20);
    SHOW("comes to one", "%d", drain(fd[0]) + drain(fd[2]));
}

GROUP(packet_fanout_kinds)
{
    if (geteuid())
        return;
    protocol = 0x88be;
    int id = getpid() & 0xffff;
    static const int kinds[] = {PACKET_FANOUT_HASH, PACKET_FANOUT_RND, PACKET_FANOUT_CPU, PACKET_FANOUT_QM, PACKET_FANOUT_EBPF};
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        int a = member(id, kinds[i], 0), b = member(id, kinds[i], 0);
        for (int n = 0; n < 6; n++)
            send_lo(10, 'a');
        pause_ms(20);
        int first = drain(a), second = drain(b);
        SHOW(named("kind %d", kinds[i]), "%d%s", first + second, kinds[i] == PACKET_FANOUT_HASH && first && second ? ", spread" : "");
        close(a);
        close(b);
    }
    int a = member(id, PACKET_FANOUT_CBPF, 0), b = member(id, PACKET_FANOUT_CBPF, 0);
    for (int n = 0; n < 4; n++)
        send_lo(10, 1);
    pause_ms(20);
    SHOW("without a program", "%d %d", drain(a), drain(b));
    struct sock_filter code[] = {{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0}, {BPF_RET | BPF_A, 0, 0, 0}};
    struct sock_fprog program = {2, code};
    ERR("a short program", EINVAL, setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &program, 8));
    OK("a program", setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof program));
    for (int n = 0; n < 5; n++)
        send_lo(10, n & 1);
    pause_ms(20);
    SHOW("by the first byte", "%d %d", drain(a), drain(b));
    close(a);
    close(b);
}

GROUP(packet_fanout_rolls)
{
    if (geteuid())
        return;
    protocol = 0x88bf;
    int id = getpid() & 0xffff, small = 1;
    int a = member(id, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_ROLLOVER), b = member(id, PACKET_FANOUT_LB, PACKET_FANOUT_FLAG_ROLLOVER);
    struct tpacket_rollover_stats stats = {0};
    socklen_t len = sizeof stats;
    OK("statistics", getsockopt(a, SOL_PACKET, PACKET_ROLLOVER_STATS, &stats, &len));
    SHOW("before", "%llu %llu %llu", stats.tp_all, stats.tp_huge, stats.tp_failed);
    MUST(setsockopt(a, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    for (int i = 0; i < 40; i++)
        send_lo(1000, 'a');
    pause_ms(20);
    int first = drain(a), second = drain(b);
    len = sizeof stats;
    OK("statistics after", getsockopt(a, SOL_PACKET, PACKET_ROLLOVER_STATS, &stats, &len));
    SHOW("a full one's frames go to the other", "all %d, most to the other %d, rolled %d", first + second, second > first, stats.tp_all > 10);
    close(a);
    close(b);
    a = member(id, PACKET_FANOUT_ROLLOVER, 0), b = member(id, PACKET_FANOUT_ROLLOVER, 0);
    for (int i = 0; i < 10; i++)
        send_lo(10, 'a');
    pause_ms(20);
    SHOW("the first while it has room", "%d %d", drain(a), drain(b));
}

static int option(int fd, int name, int value)
{
    return setsockopt(fd, SOL_PACKET, name, &value, sizeof value);
}

static int value_of(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_PACKET, name, &value, &len) ? -errno : value;
}

GROUP(packet_vnet_header)
{
    if (geteuid())
        return;
    protocol = ETH_P_IP;
    int cooked = socket(AF_PACKET, SOCK_DGRAM, 0), fd = socket(AF_PACKET, SOCK_RAW, 0);
    ERR("not for cooked ones", EINVAL, option(cooked, PACKET_VNET_HDR, 1));
    EQ("none", 0, value_of(fd, PACKET_VNET_HDR_SZ));
    OK("on", option(fd, PACKET_VNET_HDR, 7));
    EQ("told", 1, value_of(fd, PACKET_VNET_HDR));
    EQ("its size", 10, value_of(fd, PACKET_VNET_HDR_SZ));
    ERR("of no size", EINVAL, option(fd, PACKET_VNET_HDR_SZ, 11));
    OK("longer", option(fd, PACKET_VNET_HDR_SZ, 12));
    EQ("on still", 1, value_of(fd, PACKET_VNET_HDR));
    OK("short", option(fd, PACKET_VNET_HDR_SZ, 10));
    MUST(bind_lo(fd) == 0);

    /* A datagram to ourselves, as it comes by. */
    int udp = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in own = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof own;
    MUST(bind(udp, (void *)&own, sizeof own) == 0 && getsockname(udp, (void *)&own, &len) == 0);
    MUST(sendto(sender, "vnet", 4, 0, (void *)&own, sizeof own) == 4);
    unsigned char got[200];
    struct virtio_net_hdr *head = (void *)got;
    struct pollfd ready = {fd, POLLIN, 0};
    for (int i = 0; i < 100 && poll(&ready, 1, 1000) == 1; i++) {
        int n = recv(fd, got, sizeof got, 0);
        if (n != 10 + 14 + 28 + 4 || memcmp(got + 10 + 36, &own.sin_port, 2))
            continue;
        SHOW("received", "%d bytes, flags %d, kind %d, checksum from %d at %d: %.4s", n, head->flags, head->gso_type, head->csum_start,
             head->csum_offset, got + 52);
        break;
    }
    int short_one = 0;
    MUST(sendto(sender, "more", 4, 0, (void *)&own, sizeof own) == 4);
    for (int i = 0; i < 100 && poll(&ready, 1, 1000) == 1 && !short_one; i++) {
        ERR("no room for it", EINVAL, recv(fd, got, 9, 0));
        short_one = 1;
    }
    memset(got, 0, sizeof got);
    EQ("shorter than the header", -1, send(fd, got, 9, 0));
    head->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, head->csum_start = 40, head->csum_offset = 16;
    ERR("a checksum beyond the frame", EINVAL, send(fd, got, 10 + 50, 0));
    head->flags = 0, head->gso_type = 77, head->gso_size = 100;
    ERR("to be cut in no way", EINVAL, send(fd, got, 10 + 60, 0));
    head->gso_type = VIRTIO_NET_HDR_GSO_TCPV4, head->gso_size = 0;
    ERR("to be cut into nothing", EINVAL, send(fd, got, 10 + 60, 0));
    head->gso_type = 0, head->hdr_len = 100;
    ERR("a head beyond the frame", EINVAL, send(fd, got, 10 + 60, 0));
    head->hdr_len = 0;
    EQ("without anything", 10 + 60, send(fd, got, 10 + 60, 0));
}
