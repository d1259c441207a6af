/* /dev/net/tun: interfaces whose other end is a program (Documentation/networking/tuntap.rst). */
#include "case.h"
#include "net.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/ip_icmp.h>

static int device(void)
{
    int fd = open("/dev/net/tun", O_RDWR);
    MUST(fd >= 0);
    return fd;
}

static int choose(int fd, const char *name, int flags)
{
    struct ifreq request = {.ifr_flags = flags};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    return ioctl(fd, TUNSETIFF, &request);
}

/* The device up, with an address. */
static unsigned up(const char *name, const char *ip, int prefix)
{
    unsigned index = if_nametoindex(name);
    MUST(index && address(RTM_NEWADDR, 0, index, ip, prefix) == 0 && link_flags(index, IFF_UP, IFF_UP) == 0);
    return index;
}

static size_t ping(unsigned char *packet, const char *from, const char *to, const char *text)
{
    size_t len = 28 + strlen(text);
    memset(packet, 0, len);
    packet[0] = 0x45;
    packet[3] = len;
    packet[8] = 64;
    packet[9] = IPPROTO_ICMP;
    inet_pton(AF_INET, from, packet + 12);
    inet_pton(AF_INET, to, packet + 16);
    uint32_t sum = 0;
    sum_words(&sum, packet, 20);
    uint16_t check = folded(sum);
    memcpy(packet + 10, &check, 2);
    packet[20] = ICMP_ECHO;
    packet[25] = 7;
    memcpy(packet + 28, text, strlen(text));
    sum = 0;
    sum_words(&sum, packet + 20, len - 20);
    check = folded(sum);
    memcpy(packet + 22, &check, 2);
    return len;
}

/* The next frame that is IPv4, whose protocol stands at `at`, or ARP where that is wanted; the kernel sends others of its own. */
static ssize_t next(int fd, unsigned char *frame, size_t room, size_t at, int protocol)
{
    for (int i = 0; i < 50; i++) {
        struct pollfd poll_ = {fd, POLLIN, 0};
        if (poll(&poll_, 1, 3000) != 1)
            return -1;
        ssize_t n = read(fd, frame, room);
        if (n < 0)
            return n;
        if (protocol ? (frame[at - 14 + 14] << 8 | frame[at + 1]) == protocol : frame[at] >> 4 == 4)
            return n;
    }
    return -1;
}

GROUP(tun_device)
{
    struct stat status;
    OK("there", stat("/dev/net/tun", &status));
    YES("a character device", S_ISCHR(status.st_mode) && status.st_rdev == (10 << 8 | 200));
    own_network();
    int fd = device(), other = device(), value;
    char bytes[64] = {0};
    ERR("read, no interface", EBADFD, read(fd, bytes, sizeof bytes));
    ERR("write, no interface", EBADFD, write(fd, bytes, sizeof bytes));
    struct ifreq request = {.ifr_flags = IFF_TAP};
    ERR("TUNGETIFF, no interface", EBADFD, ioctl(fd, TUNGETIFF, &request));
    ERR("TUNSETPERSIST, no interface", EBADFD, ioctl(fd, TUNSETPERSIST, 1));
    struct pollfd poll_ = {fd, POLLIN | POLLOUT, 0};
    EQ("poll, no interface", 1, poll(&poll_, 1, 0));
    EQ("events", POLLERR, poll_.revents);
    OK("TUNGETFEATURES", ioctl(fd, TUNGETFEATURES, &value));
    YES("tun, tap and headers", (value & (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) == (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
    ERR("neither tun nor tap", EINVAL, choose(fd, "t0", IFF_NO_PI));
    ERR("bad address", EFAULT, ioctl(fd, TUNSETIFF, BAD));
    ERR("name of another kind", EINVAL, choose(fd, "lo", IFF_TUN));
    ERR("odd name", EINVAL, choose(fd, "a/b", IFF_TUN));
    strcpy(request.ifr_name, "w%d");
    OK("by a pattern", ioctl(fd, TUNSETIFF, &request));
    TEXT("name", "w0", request.ifr_name);
    ERR("twice", EEXIST, choose(fd, "t1", IFF_TUN));
    ERR("in use", EBUSY, choose(other, "w0", IFF_TAP));
    ERR("of the other kind", EINVAL, choose(other, "w0", IFF_TUN));
    ERR("exclusive", EBUSY, choose(other, "w0", IFF_TAP | IFF_TUN_EXCL));
    memset(&request, 0, sizeof request);
    OK("TUNGETIFF", ioctl(fd, TUNGETIFF, &request));
    SHOW("it says", "%s %x", request.ifr_name, (unsigned short)request.ifr_flags);
    ERR("unknown ioctl", EINVAL, ioctl(fd, 0x5499, 0));
    ERR("write while down", EIO, write(fd, bytes, sizeof bytes));
    ERR("write too little", EINVAL, write(fd, bytes, 3));
    ERR("write no header", EINVAL, write(fd, bytes, 10));
    OK("SIOCGIFHWADDR", ioctl(fd, SIOCGIFHWADDR, &request));
    EQ("hardware", ARPHRD_ETHER, request.ifr_hwaddr.sa_family);
    memcpy(request.ifr_hwaddr.sa_data, "\x02\x11\x22\x33\x44\x55", 6);
    OK("SIOCSIFHWADDR", ioctl(fd, SIOCSIFHWADDR, &request));
    OK("TUNSETLINK", ioctl(fd, TUNSETLINK, ARPHRD_ETHER));
    value = 0;
    OK("TUNGETSNDBUF", ioctl(fd, TUNGETSNDBUF, &value));
    EQ("buffer", INT_MAX, value);
    value = 0;
    ERR("TUNSETSNDBUF 0", EINVAL, ioctl(fd, TUNSETSNDBUF, &value));
    OK("TUNGETVNETHDRSZ", ioctl(fd, TUNGETVNETHDRSZ, &value));
    EQ("header", 10, value);
    value = 9;
    ERR("TUNSETVNETHDRSZ 9", EINVAL, ioctl(fd, TUNSETVNETHDRSZ, &value));
    OK("TUNSETOFFLOAD 0", ioctl(fd, TUNSETOFFLOAD, 0));
    close(fd);
    EQ("gone with the descriptor", 0, if_nametoindex("w0"));
    OK("persistent", choose(other, "p0", IFF_TUN | IFF_NO_PI));
    OK("TUNSETPERSIST", ioctl(other, TUNSETPERSIST, 1));
    OK("TUNSETOWNER", ioctl(other, TUNSETOWNER, NOBODY));
    close(other);
    YES("stays", if_nametoindex("p0") != 0);
    int first = device(), second = device();
    AS_NOBODY({
        ERR("nobody makes none", EPERM, choose(first, "n0", IFF_TUN));
        OK("nobody attaches to his own", choose(second, "p0", IFF_TUN | IFF_NO_PI));
    });
    close(first);
    close(second);
    fd = device();
    OK("attach again", choose(fd, "p0", IFF_TUN | IFF_NO_PI));
    OK("no longer persistent", ioctl(fd, TUNSETPERSIST, 0));
    close(fd);
    EQ("gone", 0, if_nametoindex("p0"));
}

GROUP(tun_packets)
{
    own_network();
    int fd = device();
    unsigned char packet[256], frame[2048];
    OK("tun", choose(fd, "t0", IFF_TUN | IFF_NO_PI));
    unsigned index = up("t0", "10.91.0.1", 24);
    struct ifreq request = {.ifr_name = "t0"};
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    ioctl(sock, SIOCGIFFLAGS, &request);
    SHOW("flags", "%x", (unsigned short)request.ifr_flags);
    ioctl(sock, SIOCGIFHWADDR, &request);
    EQ("hardware", ARPHRD_NONE, request.ifr_hwaddr.sa_family);
    ERR("nothing", EINVAL, write(fd, packet, 0));
    packet[0] = 0x15;
    ERR("no version", EINVAL, write(fd, packet, 20));
    size_t len = ping(packet, "10.91.0.2", "10.91.0.1", "tun and tap");
    EQ("ping", len, write(fd, packet, len));
    EQ("answer", len, next(fd, frame, sizeof frame, 0, 0));
    SHOW("answered", "type %d to %d.%d.%d.%d: %.11s", frame[20], frame[16], frame[17], frame[18], frame[19], frame + 28);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4242)}, from;
    inet_pton(AF_INET, "10.91.0.7", &to.sin_addr);
    EQ("UDP out", 5, sendto(sock, "hello", 5, 0, (void *)&to, sizeof to));
    EQ("UDP seen", 33, next(fd, frame, sizeof frame, 0, 0));
    SHOW("UDP", "protocol %d, to %d.%d.%d.%d:%d, %.5s", frame[9], frame[16], frame[17], frame[18], frame[19], frame[22] << 8 | frame[23], frame + 28);
    /* The answer: ends exchanged, checksums that only the sum's order could change stay right. */
    unsigned char swap[4];
    memcpy(swap, frame + 12, 4), memcpy(frame + 12, frame + 16, 4), memcpy(frame + 16, swap, 4);
    memcpy(swap, frame + 20, 2), memcpy(frame + 20, frame + 22, 2), memcpy(frame + 22, swap, 2);
    EQ("UDP in", 33, write(fd, frame, 33));
    socklen_t size = sizeof from;
    EQ("UDP received", 5, recvfrom(sock, frame, sizeof frame, 0, (void *)&from, &size));
    SHOW("sender", "%s:%d", inet_ntoa(from.sin_addr), ntohs(from.sin_port));
    int seen = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
    MUST(seen >= 0);
    len = ping(packet, "10.91.0.2", "10.91.0.1", "packet socket");
    EQ("ping again", len, write(fd, packet, len));
    struct sockaddr_ll who;
    size = sizeof who;
    EQ("as a packet socket has it", len, recvfrom(seen, frame, sizeof frame, 0, (void *)&who, &size));
    SHOW("from", "%d %04x %d %d %d, %s", size, ntohs(who.sll_protocol), who.sll_hatype, who.sll_pkttype, who.sll_halen, memcmp(frame, packet, len) ? "changed" : "the same");
    YES("interface", who.sll_ifindex == (int)index);
    next(fd, frame, sizeof frame, 0, 0);
    struct sockaddr_ll dest = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = index};
    len = ping(packet, "10.91.0.1", "10.91.0.2", "sent whole");
    EQ("sent by a packet socket", len, sendto(seen, packet, len, 0, (void *)&dest, sizeof dest));
    EQ("read", len, next(fd, frame, sizeof frame, 0, 0));
    EQ("the same", 0, memcmp(frame, packet, len));
    EQ("cut", 20, (sendto(seen, packet, len, 0, (void *)&dest, sizeof dest), next(fd, frame, 20, 0, 0)));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (read(fd, frame, sizeof frame) > 0)
        ;
    ERR("nothing more", EAGAIN, read(fd, frame, sizeof frame));
    close(fd);
    ERR("no way any more", ENETUNREACH, sendto(sock, "hello", 5, 0, (void *)&to, sizeof to));
    fd = device();
    OK("with packet information", choose(fd, "t1", IFF_TUN));
    up("t1", "10.92.0.1", 24);
    memcpy(packet, "\0\0\x08\0", 4);
    len = 4 + ping(packet + 4, "10.92.0.2", "10.92.0.1", "info");
    EQ("ping with it", len, write(fd, packet, len));
    EQ("answer with it", len, next(fd, frame, sizeof frame, 4, 0));
    SHOW("information", "%02x%02x %02x%02x", frame[0], frame[1], frame[2], frame[3]);
    close(fd);
}

GROUP(tap_frames)
{
    own_network();
    static const unsigned char ours[6] = {2, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa}, theirs[6] = {2, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb};
    int fd = device();
    unsigned char frame[2048], packet[256];
    OK("tap", choose(fd, "a0", IFF_TAP | IFF_NO_PI));
    struct request request = asking(RTM_NEWLINK, 0, sizeof request.link);
    unsigned index = if_nametoindex("a0");
    request.link.ifi_index = index;
    with(&request, IFLA_ADDRESS, ours, 6);
    OK("hardware address", ask(&request));
    up("a0", "10.93.0.1", 24);
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(42)};
    inet_pton(AF_INET, "10.93.0.2", &to.sin_addr);
    EQ("UDP to a neighbour", 5, sendto(sock, "hello", 5, 0, (void *)&to, sizeof to));
    YES("a question after it", next(fd, frame, sizeof frame, 12, ETH_P_ARP) >= 42);
    SHOW("question", "to %02x%02x from %02x%02x, operation %d, who is %d.%d.%d.%d", frame[0], frame[5], frame[6], frame[11], frame[21], frame[38], frame[39], frame[40], frame[41]);
    unsigned char answer[42] = {0};
    memcpy(answer, ours, 6), memcpy(answer + 6, theirs, 6);
    memcpy(answer + 12, "\x08\x06\0\1\x08\0\6\4\0\2", 10);
    memcpy(answer + 22, theirs, 6), memcpy(answer + 28, frame + 38, 4), memcpy(answer + 32, ours, 6), memcpy(answer + 38, frame + 28, 4);
    EQ("answer", 42, write(fd, answer, 42));
    EQ("then the datagram", 47, next(fd, frame, sizeof frame, 12, ETH_P_IP));
    SHOW("datagram", "to %02x%02x, %.5s", frame[0], frame[5], frame + 42);
    memcpy(packet, ours, 6), memcpy(packet + 6, theirs, 6), memcpy(packet + 12, "\x08\0", 2);
    size_t len = 14 + ping(packet + 14, "10.93.0.2", "10.93.0.1", "tap");
    EQ("ping", len, write(fd, packet, len));
    EQ("pong", len, next(fd, frame, sizeof frame, 12, ETH_P_IP));
    SHOW("pong is", "type %d, to %02x%02x", frame[34], frame[0], frame[5]);
    struct arpreq known = {.arp_dev = "a0"};
    memcpy(&known.arp_pa, &to, sizeof known.arp_pa);
    OK("SIOCGARP", ioctl(sock, SIOCGARP, &known));
    SHOW("neighbour", "%d %02x%02x", known.arp_ha.sa_family, (unsigned char)known.arp_ha.sa_data[0], (unsigned char)known.arp_ha.sa_data[5]);
    close(fd);
    /* Nobody answers. */
    fd = device();
    OK("tap again", choose(fd, "a1", IFF_TAP | IFF_NO_PI));
    up("a1", "10.94.0.1", 24);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "10.94.0.2", &to.sin_addr);
    ERR("nobody there", EHOSTUNREACH, connect(stream, (void *)&to, sizeof to));
    close(fd);
}
