/* Sockets that are bound to interfaces: who shares a port with whom, in what order they come, and who hears (socket(7)). */
#include "case.h"
#include "net.h"
#include "inet.h"
#include <linux/if_tun.h>

static const char *const devices[] = {"", "lo", "seq1", "seq2", "seq3"};

static void make_devices(void)
{
    for (size_t i = 2; i < COUNT(devices); i++) {
        int fd = open("/dev/net/tun", O_RDWR);
        struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
        strcpy(request.ifr_name, devices[i]);
        MUST(fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0);
    }
}

static unsigned seed = 12345;
static unsigned any(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % below;
}

/* Sequences of sockets that are bound to one port, each with its options; now and then one is closed. */
GROUP(device_sequences)
{
    own_network();
    make_devices();
    for (int turn = 0; turn < 240; turn++) {
        int kind = turn & 1 ? SOCK_DGRAM : SOCK_STREAM, fds[7], port = 0;
        char text[400];
        int at = 0, few = turn % 3;
        for (int i = 0; i < 7; i++) {
            int shares_port = any(2), shares_address = few ? any(2) : 0, device = any(few == 2 ? 2 : COUNT(devices));
            fds[i] = socket(AF_INET, kind, 0);
            set(fds[i], SOL_SOCKET, SO_REUSEPORT, shares_port);
            set(fds[i], SOL_SOCKET, SO_REUSEADDR, shares_address);
            MUST(setsockopt(fds[i], SOL_SOCKET, SO_BINDTODEVICE, devices[device], strlen(devices[device]) + 1) == 0);
            const char *said = result(bind_to(fds[i], "127.0.0.1", port));
            if (!port)
                port = own_port(fds[i]);
            at += sprintf(text + at, "%s%s%s:%s ", *devices[device] ? devices[device] : "all", shares_port ? "+port" : "",
                          shares_address ? "+address" : "", said);
            if (i == 4 && any(2)) {
                close(fds[any(4)]);
                at += sprintf(text + at, "one closed ");
            }
        }
        for (int i = 0; i < 7; i++)
            close(fds[i]);
        SHOW(named("%s %d", kind == SOCK_DGRAM ? "UDP" : "TCP", turn), "%s", text);
    }
}

/* How many of a hundred each of three sockets hears. Whether one that is bound to the interface goes before one that is bound to none
 * depends on Linux on the CPU. */
GROUP(device_shares)
{
    own_network();
    make_devices();
    static const char *const tables[][3] = {{"", "", ""}, {"seq1", "", ""}, {"lo", "seq1", "seq2"}, {"lo", "lo", "lo"}};
    static const struct { const char *to, *from; } ends[] = {{"0.0.0.0", "127.0.0.1"}, {"127.0.0.1", "::ffff:127.0.0.1"}, {"::", "127.0.0.1"},
                                                            {"::", "::1"}, {"::1", "::1"}};
    for (size_t t = 0; t < COUNT(tables); t++)
        for (size_t e = 0; e < COUNT(ends); e++)
            for (int datagrams = 0; datagrams < 2; datagrams++) {
                int fds[3], counts[3] = {0}, port = 0, kind = datagrams ? SOCK_DGRAM : SOCK_STREAM, sent = 0;
                for (int i = 0; i < 3; i++) {
                    fds[i] = socket(strchr(ends[e].to, ':') ? AF_INET6 : AF_INET, kind, 0);
                    set(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
                    MUST(setsockopt(fds[i], SOL_SOCKET, SO_BINDTODEVICE, tables[t][i], strlen(tables[t][i]) + 1) == 0);
                    if (bind_to(fds[i], ends[e].to, port) < 0) {
                        SHOW(named("%s bind to %s for %s, table %zu", datagrams ? "UDP" : "TCP", ends[e].to, tables[t][i], t), "%s", error_name(errno));
                        continue;
                    }
                    if (!datagrams)
                        MUST(listen(fds[i], 40) == 0);
                    port = own_port(fds[i]);
                }
                for (int n = 0; n < 100; n++) {
                    int c = socket(strchr(ends[e].from, ':') ? AF_INET6 : AF_INET, kind, 0);
                    if (connect_to(c, ends[e].from, port) < 0 || (datagrams && send(c, "x", 1, 0) != 1)) {
                        close(c);
                        continue;
                    }
                    sent++;
                    struct pollfd p[3] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}, {fds[2], POLLIN, 0}};
                    poll(p, 3, 500);
                    for (int i = 0; i < 3; i++)
                        if (p[i].revents) {
                            char byte;
                            counts[i]++;
                            if (datagrams) {
                                recv(fds[i], &byte, 1, 0);
                            } else {
                                struct linger now = {1, 0};
                                int a = accept(fds[i], 0, 0);
                                setsockopt(a, SOL_SOCKET, SO_LINGER, &now, sizeof now);
                                close(a);
                            }
                        }
                    close(c);
                }
                char text[200];
                int at = 0;
                for (int i = 0; i < 3; i++) {
                    at += sprintf(text + at, "%s:%s ", *tables[t][i] ? tables[t][i] : "all", counts[i] == 0 ? "none" : counts[i] == 100 ? "all of them" : counts[i] > 10 ? "a part" : "few");
                    close(fds[i]);
                }
                SHOW(named("%s %s to %s, table %zu", datagrams ? "UDP" : "TCP", ends[e].from, ends[e].to, t), "%d: %s", sent, text);
            }
}

GROUP(device_broadcast)
{
    own_network();
    for (int bound = 0; bound < 2; bound++) {
        int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
        MUST(setsockopt(r, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0 && bind_to(r, "0.0.0.0", 0) == 0);
        set(s, SOL_SOCKET, SO_BROADCAST, 1);
        if (bound)
            MUST(bind_to(s, "127.0.0.1", 0) == 0);
        SERIES(bound ? "bound" : "not bound", "%s, heard %s", result(send_to(s, "hello", 5, "255.255.255.255", own_port(r))), heard(r));
    }
    char name[20];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t n = 20;
    SHOW("no device", "%s %u", result(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n)), n);
    SHOW("not there", "%s %s", result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nowhere", 8)), result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 0)));
    SHOW("one that is too long", "%s", result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo\0aaaaaaaaaaaaaaaaaaaaaaaa", 24)));
    for (socklen_t room = 0; room < 18; room++) {
        n = room;
        SHOW(named("room for %u", room), "%s %u", result(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n)), n);
    }
}
