/* Neighbours that programs make known (RTM_NEWNEIGH), on a tap of the group's own. */
#include "case.h"
#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>

static const unsigned char mac[8] = {2, 1, 2, 3, 4, 5, 6, 7};
static int tap_index;
static char tap_name[IFNAMSIZ];

static int new_tap(void)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int tap = open("/dev/net/tun", O_RDWR), fd = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(tap >= 0 && ioctl(tap, TUNSETIFF, &request) == 0);
    strcpy(tap_name, request.ifr_name);
    tap_index = if_nametoindex(tap_name);
    request.ifr_flags = IFF_UP;
    MUST(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
    close(fd);
    return tap;
}

static struct ndmsg told;

/* The error, or 0; -1 for an answer, which is in `told`. */
static int ask(int type, int flags, int family, int index, int state, const char *to, int length)
{
    struct {
        struct nlmsghdr header;
        struct ndmsg about;
        char more[64];
    } request = {{NLMSG_LENGTH(sizeof(struct ndmsg)), type, NLM_F_REQUEST | flags, 1, 0}, {family, .ndm_ifindex = index, .ndm_state = state}};
    char answer[1024], *end = request.more;
    if (to) {
        int size = family == AF_INET6 ? 16 : 4;
        *(struct rtattr *)end = (struct rtattr){RTA_LENGTH(size), NDA_DST};
        inet_pton(family, to, end + 4);
        end += 4 + size;
    }
    if (length) {
        *(struct rtattr *)end = (struct rtattr){RTA_LENGTH(length), NDA_LLADDR};
        memcpy(end + 4, mac, length);
        end += RTA_SPACE(length);
    }
    request.header.nlmsg_len = end - (char *)&request;
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    MUST(send(fd, &request, request.header.nlmsg_len, 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0);
    close(fd);
    struct nlmsghdr *header = (void *)answer;
    if (header->nlmsg_type == NLMSG_ERROR)
        return -*(int *)NLMSG_DATA(header);
    memcpy(&told, NLMSG_DATA(header), sizeof told);
    return -1;
}

static void show(const char *name, int family, const char *who)
{
    if (ask(RTM_GETNEIGH, 0, family, tap_index, 0, who, 0) == -1)
        SHOW(name, "family %d state %x flags %x", told.ndm_family, told.ndm_state, told.ndm_flags);
    else
        SHOW(name, "nobody");
}

static void show_arp(const char *name)
{
    char line_[256];
    FILE *table = fopen("/proc/net/arp", "r");
    while (fgets(line_, sizeof line_, table)) {
        char ip[64], type[16], flags[16], hardware[32], mask[16], device[32];
        if (sscanf(line_, "%63s %15s %15s %31s %15s %31s", ip, type, flags, hardware, mask, device) == 6 && !strcmp(device, tap_name))
            SHOW(name, "%s %s %s %s", ip, type, flags, hardware);
    }
    fclose(table);
}

GROUP(neighbors)
{
    if (geteuid())
        return;
    int tap = new_tap(), ack = NLM_F_ACK, make = NLM_F_ACK | NLM_F_CREATE;
    EQ("not made", ENOENT, ask(RTM_NEWNEIGH, ack, AF_INET, tap_index, NUD_PERMANENT, "192.0.2.7", 6));
    EQ("made", 0, ask(RTM_NEWNEIGH, make, AF_INET, tap_index, NUD_PERMANENT, "192.0.2.7", 6));
    EQ("made anew", EEXIST, ask(RTM_NEWNEIGH, make | NLM_F_EXCL, AF_INET, tap_index, NUD_PERMANENT, "192.0.2.7", 6));
    show("permanent", AF_INET, "192.0.2.7");
    show_arp("permanent, as a table");
    EQ("changed", 0, ask(RTM_NEWNEIGH, ack | NLM_F_REPLACE, AF_INET, tap_index, NUD_REACHABLE, "192.0.2.7", 6));
    show("reachable", AF_INET, "192.0.2.7");
    EQ("removed", 0, ask(RTM_DELNEIGH, ack, AF_INET, tap_index, 0, "192.0.2.7", 0));
    show("none", AF_INET, "192.0.2.7");
    EQ("removed again", ENOENT, ask(RTM_DELNEIGH, ack, AF_INET, tap_index, 0, "192.0.2.7", 0));
    EQ("behind nothing", EINVAL, ask(RTM_NEWNEIGH, make, AF_INET, 0, NUD_PERMANENT, "192.0.2.7", 6));
    EQ("behind what is not there", ENODEV, ask(RTM_NEWNEIGH, make, AF_INET, 123456, NUD_PERMANENT, "192.0.2.7", 6));
    EQ("nobody", EINVAL, ask(RTM_NEWNEIGH, make, AF_INET, tap_index, NUD_PERMANENT, 0, 6));
    EQ("a short address", EINVAL, ask(RTM_NEWNEIGH, make, AF_INET, tap_index, NUD_PERMANENT, "192.0.2.7", 4));
    EQ("nobody removed", EINVAL, ask(RTM_DELNEIGH, ack, AF_INET, tap_index, 0, 0, 0));
    EQ("of no family", EINVAL, ask(RTM_NEWNEIGH, make, 99, tap_index, NUD_PERMANENT, 0, 6));
    EQ("IPv6", 0, ask(RTM_NEWNEIGH, make, AF_INET6, tap_index, NUD_STALE, "fe80::9", 6));
    show("stale", AF_INET6, "fe80::9");
    EQ("IPv6 removed", 0, ask(RTM_DELNEIGH, ack, AF_INET6, tap_index, 0, "fe80::9", 0));
    AS_NOBODY(EQ("not the super-user's", EPERM, ask(RTM_NEWNEIGH, make, AF_INET, tap_index, NUD_PERMANENT, "192.0.2.7", 6)););
    close(tap);
}

/* A frame to who is known goes out without a question. */
GROUP(neighbor_known)
{
    if (geteuid())
        return;
    int tap = new_tap(), fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {0};
    struct sockaddr_in own = {AF_INET, 0, {inet_addr("192.0.2.1")}}, mask = {AF_INET, 0, {inet_addr("255.255.255.0")}};
    strcpy(request.ifr_name, tap_name);
    memcpy(&request.ifr_addr, &own, sizeof own);
    MUST(ioctl(fd, SIOCSIFADDR, &request) == 0);
    memcpy(&request.ifr_addr, &mask, sizeof mask);
    MUST(ioctl(fd, SIOCSIFNETMASK, &request) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, tap_name, strlen(tap_name)) == 0);
    EQ("made", 0, ask(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE, AF_INET, tap_index, NUD_PERMANENT, "192.0.2.77", 6));
    struct sockaddr_in to = {AF_INET, htons(9), {inet_addr("192.0.2.77")}};
    EQ("sent", 5, sendto(fd, "hello", 5, 0, (void *)&to, sizeof to));
    fcntl(tap, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 400; i++) {
        unsigned char frame[2048];
        int n = read(tap, frame, sizeof frame);
        if (n < 0)
            pause_ms(5);
        /* What is not from us to there is the system's own. */
        else if (n == 47 && frame[12] == 8 && frame[13] == 0 && frame[33] == 77) {
            SHOW("frame", "to %02x:%02x:%02x, %.5s", frame[0], frame[1], frame[5], frame + 42);
            break;
        }
    }
    close(tap);
}
