// compat: variants=pie,musl-static
// The loopback interface, as netlink and ioctl(2) tell of it.
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct ifaddrs *all;
    if (getifaddrs(&all)) {
        perror("getifaddrs");
        return 1;
    }
    char text[64], mask[64];
    for (struct ifaddrs *i = all; i; i = i->ifa_next)
        if (!strcmp(i->ifa_name, "lo") && i->ifa_addr && i->ifa_addr->sa_family == AF_INET) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text, sizeof text);
            inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_netmask)->sin_addr, mask, sizeof mask);
            printf("lo %s %s up %d loopback %d running %d\n", text, mask, !!(i->ifa_flags & IFF_UP),
                   !!(i->ifa_flags & IFF_LOOPBACK), !!(i->ifa_flags & IFF_RUNNING));
        }
    freeifaddrs(all);
    unsigned index = if_nametoindex("lo");
    printf("found %d, %s\n", index > 0, if_indextoname(index, text));
    printf("none %u\n", if_nametoindex("nosuch0"));
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {0};
    strcpy(r.ifr_name, "lo");
    if (ioctl(s, SIOCGIFADDR, &r) == 0)
        printf("address %s\n", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    if (ioctl(s, SIOCGIFFLAGS, &r) == 0)
        printf("flags up %d\n", !!(r.ifr_flags & IFF_UP));
    strcpy(r.ifr_name, "nosuch0");
    printf("unknown: %d %s\n", ioctl(s, SIOCGIFADDR, &r), strerror(errno));
    struct ifreq list[8];
    struct ifconf c = {.ifc_len = sizeof list, .ifc_req = list};
    int lo = 0;
    if (ioctl(s, SIOCGIFCONF, &c) == 0)
        for (int i = 0; i < c.ifc_len / (int)sizeof *list; i++)
            lo += !strcmp(list[i].ifr_name, "lo");
    printf("listed %d\n", lo);
    return 0;
}
