/* Rings of packet sockets: frames in shared memory. Frames go over the loopback interface with a protocol of nobody's, so that others
 * do not come into the way. */
#include "case.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>

#define PROTOCOL 0x88b5
#define FRAME 2048
#define BLOCK 8192
#define BLOCKS 2
#define FRAMES (BLOCK / FRAME * BLOCKS)

static struct sockaddr_ll lo(void)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL), .sll_halen = 6};
    to.sll_ifindex = if_nametoindex("lo");
    return to;
}

static int packet_socket(int type, int version)
{
    int fd = socket(AF_PACKET, type, 0);
    MUST(fd >= 0);
    MUST(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) == 0);
    return fd;
}

static int ring(int fd, int which, unsigned block, unsigned blocks, unsigned frame, unsigned frames)
{
    struct tpacket_req request = {block, blocks, frame, frames};
    return setsockopt(fd, SOL_PACKET, which, &request, sizeof request);
}

static int bind_lo(int fd)
{
    struct sockaddr_ll to = lo();
    return bind(fd, (void *)&to, sizeof to);
}

static void send_lo(const char *text, int len)
{
    struct sockaddr_ll to = lo();
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    MUST(sendto(fd, text, len, 0, (void *)&to, sizeof to) == len);
    close(fd);
}

static void show(const char *name, char *frame, int version)
{
    struct sockaddr_ll *from = (void *)(frame + TPACKET_ALIGN(sizeof(struct tpacket_hdr)));
    if (version == TPACKET_V1) {
        struct tpacket_hdr *header = (void *)frame;
        for (int i = 0; i < 200 && !(header->tp_status & TP_STATUS_USER); i++)
            pause_ms(5);
        SHOW(name, "status %lx, %u of %u bytes, mac %d, net %d, from %04x type %d: %.10s, stamped %d", header->tp_status,
             header->tp_snaplen, header->tp_len, header->tp_mac, header->tp_net, ntohs(from->sll_protocol), from->sll_pkttype,
             frame + header->tp_net, header->tp_sec > 0);
    } else {
        struct tpacket2_hdr *header = (void *)frame;
        for (int i = 0; i < 200 && !(header->tp_status & TP_STATUS_USER); i++)
            pause_ms(5);
        SHOW(name, "status %x, %u of %u bytes, mac %d, net %d, from %04x type %d: %.10s, stamped %d", header->tp_status,
             header->tp_snaplen, header->tp_len, header->tp_mac, header->tp_net, ntohs(from->sll_protocol), from->sll_pkttype,
             frame + header->tp_net, header->tp_sec > 0);
    }
}

GROUP(packet_ring_shapes)
{
    if (geteuid())
        return;
    static const unsigned shapes[][4] = {
        {100, 1, 64, 1}, {4096, 1, 10, 1}, {4096, 1, 100, 40}, {4096, 1, 2048, 3}, {4096, 0, 2048, 1}, {0, 0, 0, 0},
        {4096, 1, 2048, 2}, {0, 1, 2048, 2}, {-4096, 1, 2048, 2}, {4096, -1, 2048, 2}, {4096, 1, 8192, 0}, {8192, 2, 1536, 10},
    };
    for (unsigned i = 0; i < COUNT(shapes); i++) {
        int fd = packet_socket(SOCK_RAW, TPACKET_V1);
        const unsigned *s = shapes[i];
        int result = ring(fd, PACKET_RX_RING, s[0], s[1], s[2], s[3]);
        SHOW(named("%d %d %d %d", (int)s[0], (int)s[1], s[2], s[3]), "%s", result ? strerrorname_np(errno) : "yes");
        close(fd);
    }
    int fd = packet_socket(SOCK_RAW, TPACKET_V2), number = 1;
    ERR("nothing to map", EINVAL, mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    OK("one", ring(fd, PACKET_RX_RING, BLOCK, BLOCKS, FRAME, FRAMES));
    ERR("another", EBUSY, ring(fd, PACKET_RX_RING, BLOCK, BLOCKS, FRAME, FRAMES));
    ERR("the version stays", EBUSY, setsockopt(fd, SOL_PACKET, PACKET_VERSION, &number, sizeof number));
    ERR("what is reserved stays", EBUSY, setsockopt(fd, SOL_PACKET, PACKET_RESERVE, &number, sizeof number));
    ERR("what becomes of bad frames stays", EBUSY, setsockopt(fd, SOL_PACKET, PACKET_LOSS, &number, sizeof number));
    OK("none", ring(fd, PACKET_RX_RING, 0, 0, 0, 0));
    OK("one again", ring(fd, PACKET_RX_RING, BLOCK, BLOCKS, FRAME, FRAMES));
    OK("one to send", ring(fd, PACKET_TX_RING, BLOCK, 1, FRAME, FRAMES / 2));
    ERR("a part", EINVAL, mmap(0, BLOCK, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    ERR("beyond", EINVAL, mmap(0, BLOCK * 3, PROT_READ, MAP_SHARED, fd, 4096) == MAP_FAILED ? -1 : 0);
    void *map = mmap(0, BLOCK * 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    YES("all", map != MAP_FAILED);
    ERR("another while it is mapped", EBUSY, ring(fd, PACKET_RX_RING, 0, 0, 0, 0));
    OK("unmapped", munmap(map, BLOCK * 3));
    OK("none", ring(fd, PACKET_RX_RING, 0, 0, 0, 0));
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    ERR("no socket else has one", ENODEV, mmap(0, 4096, PROT_READ, MAP_SHARED, other, 0) == MAP_FAILED ? -1 : 0);
}

static void receive(int type, int version)
{
    int fd = packet_socket(type, version);
    MUST(ring(fd, PACKET_RX_RING, BLOCK, BLOCKS, FRAME, FRAMES) == 0 && bind_lo(fd) == 0);
    char *map = mmap(0, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED);
    struct pollfd ready = {fd, POLLIN | POLLOUT, 0};
    EQ(named("ready, type %d version %d", type, version), POLLOUT, poll(&ready, 1, 0) ? ready.revents : 0);
    send_lo("first one", 10);
    ready.events = POLLIN;
    EQ(named("frames, type %d version %d", type, version), 1, poll(&ready, 1, 2000));
    show(named("first, type %d version %d", type, version), map, version);
    ERR(named("not by recv, type %d version %d", type, version), EAGAIN, recv(fd, map, 1, MSG_DONTWAIT));
    static char large[3000];
    memset(large, 'y', sizeof large);
    send_lo(large, sizeof large);
    show(named("cut, type %d version %d", type, version), map + FRAME, version);
    for (int i = 2; i < FRAMES + 1; i++)
        send_lo("more", 5);
    show(named("last, type %d version %d", type, version), map + FRAME * (FRAMES - 1), version);
    struct tpacket_stats stats;
    socklen_t len = sizeof stats;
    for (int i = 0; i < 200; i++) {
        struct pollfd none = {fd, 0, 0};
        poll(&none, 1, 5);
    }
    OK(named("statistics, type %d version %d", type, version), getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len));
    SHOW(named("counted, type %d version %d", type, version), "%u, lost %u", stats.tp_packets, stats.tp_drops);
    for (int i = 0; i < FRAMES; i++)
        *(volatile unsigned *)(map + FRAME * i) = TP_STATUS_KERNEL;
    EQ(named("none any more, type %d version %d", type, version), 0, poll(&ready, 1, 0));
    int copies = 1;
    MUST(setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &copies, sizeof copies) == 0);
    send_lo(large, sizeof large);
    show(named("cut and copied, type %d version %d", type, version), map, version);
    char all[4000];
    EQ(named("the copy, type %d version %d", type, version), 3000 + (type == SOCK_RAW ? 14 : 0), recv(fd, all, sizeof all, 0));
    /* The mapping keeps the socket. */
    close(fd);
    send_lo("after all", 10);
    show(named("closed, type %d version %d", type, version), map + FRAME, version);
    munmap(map, BLOCK * BLOCKS);
}

GROUP(packet_ring_receive)
{
    if (geteuid())
        return;
    for (int version = TPACKET_V1; version <= TPACKET_V2; version++) {
        receive(SOCK_DGRAM, version);
        receive(SOCK_RAW, version);
    }
}

static void transmit(int version)
{
    int sink = socket(AF_PACKET, SOCK_DGRAM, 0);
    MUST(bind_lo(sink) == 0);
    struct timeval limit = {2, 0};
    setsockopt(sink, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int off = 1;
    setsockopt(sink, SOL_PACKET, PACKET_IGNORE_OUTGOING, &off, sizeof off);
    int fd = packet_socket(SOCK_DGRAM, version);
    MUST(ring(fd, PACKET_TX_RING, BLOCK, BLOCKS, FRAME, FRAMES) == 0);
    char *map = mmap(0, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED);
    struct sockaddr_ll to = lo();
    EQ(named("nothing to send, version %d", version), 0, sendto(fd, 0, 0, 0, (void *)&to, sizeof to));
    int len = version == TPACKET_V1 ? 8 : 4;
    for (int i = 0; i < 3; i++) {
        char *frame = map + FRAME * i;
        *(unsigned *)(frame + len) = 8;
        sprintf(frame + 32, "packet%d", i);
        *(volatile unsigned *)frame = TP_STATUS_SEND_REQUEST;
    }
    EQ(named("three, version %d", version), 24, sendto(fd, 0, 0, 0, (void *)&to, sizeof to));
    for (int i = 0; i < 3; i++) {
        char bytes[64] = "";
        int n = recv(sink, bytes, sizeof bytes, 0);
        SHOW(named("packet %d, version %d", i, version), "%d %s, status %x", n, bytes, *(volatile unsigned *)(map + FRAME * i) & 7);
    }
    char *frame = map + FRAME * 3;
    *(unsigned *)(frame + len) = FRAME;
    *(volatile unsigned *)frame = TP_STATUS_SEND_REQUEST;
    ERR(named("too large, version %d", version), EMSGSIZE, sendto(fd, 0, 0, 0, (void *)&to, sizeof to));
    EQ(named("and marked, version %d", version), TP_STATUS_WRONG_FORMAT, *(volatile unsigned *)frame);
    *(unsigned *)(frame + len) = 5;
    *(volatile unsigned *)frame = TP_STATUS_SEND_REQUEST;
    EQ(named("mended, version %d", version), 5, sendto(fd, 0, 0, 0, (void *)&to, sizeof to));
    to.sll_ifindex = 123456;
    ERR(named("through nothing, version %d", version), ENXIO, sendto(fd, 0, 0, 0, (void *)&to, sizeof to));
    munmap(map, BLOCK * BLOCKS);
    close(fd);
    close(sink);
}

GROUP(packet_ring_transmit)
{
    if (geteuid())
        return;
    transmit(TPACKET_V1);
    transmit(TPACKET_V2);
}
