/* What /proc/net, /proc/sys/net and /sys/class/net tell of the network, and what can be set there. */
#include "case.h"
#include "net.h"

#include <linux/if_packet.h>
#include <linux/if_ether.h>

static const char *text_of(const char *path)
{
    static char text[65536];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = 0;
    return text;
}

static const char *line_of(const char *path)
{
    char *text = (char *)text_of(path), *end = strchr(text, '\n');
    if (end)
        *end = 0;
    return text;
}

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    errno = error;
    return n < 0 ? -1 : 0;
}

/* The line of a table with this number and these words behind it. */
static int has_line(const char *path, const char *format, ...)
{
    char want[512];
    va_list list;
    va_start(list, format);
    vsnprintf(want, sizeof want, format, list);
    va_end(list);
    return strstr(text_of(path), want) != 0;
}

#define SYS(name) "/proc/sys/net/" name

GROUP(sysctl_net)
{
    own_network();
    static const char *const paths[] = {
        SYS("ipv4/ip_default_ttl"), SYS("ipv4/ip_unprivileged_port_start"), SYS("ipv4/ip_local_port_range"), SYS("ipv4/tcp_keepalive_time"),
        SYS("ipv4/tcp_keepalive_intvl"), SYS("ipv4/tcp_keepalive_probes"), SYS("ipv4/tcp_syn_retries"), SYS("ipv4/tcp_fin_timeout"), SYS("core/somaxconn"),
        SYS("ipv4/conf/lo/accept_local"), SYS("ipv4/conf/all/route_localnet"), SYS("ipv6/conf/lo/disable_ipv6"), SYS("ipv6/conf/default/hop_limit"),
        SYS("ipv4/tcp_syncookies"), SYS("ipv4/tcp_sack"), SYS("ipv4/tcp_timestamps"), SYS("ipv4/ipfrag_time"), SYS("ipv6/bindv6only"), SYS("ipv6/conf/lo/mtu"),
        SYS("ipv4/igmp_max_memberships"), SYS("ipv4/icmp_echo_ignore_all"), SYS("ipv4/ip_nonlocal_bind"),
    };
    for (size_t i = 0; i < COUNT(paths); i++)
        SHOW(paths[i] + 14, "%s", line_of(paths[i]));
    OK("ttl 77", put(SYS("ipv4/ip_default_ttl"), "77\n"));
    int fd = socket(AF_INET, SOCK_DGRAM, 0), value = 0;
    socklen_t len = sizeof value;
    getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &len);
    EQ("ttl of a socket", 77, value);
    ERR("ttl 0", EINVAL, put(SYS("ipv4/ip_default_ttl"), "0"));
    ERR("ttl 256", EINVAL, put(SYS("ipv4/ip_default_ttl"), "256"));
    ERR("ttl word", EINVAL, put(SYS("ipv4/ip_default_ttl"), "abc"));
    OK("ttl back", put(SYS("ipv4/ip_default_ttl"), "64"));
    OK("ports", put(SYS("ipv4/ip_local_port_range"), "40000 40009"));
    TEXT("ports told", "40000\t40009", line_of(SYS("ipv4/ip_local_port_range")));
    struct sockaddr_in name = {.sin_family = AF_INET};
    int inside = 1;
    for (int i = 0; i < 8; i++) {
        int other = socket(AF_INET, SOCK_DGRAM, 0);
        name.sin_port = 0;
        len = sizeof name;
        MUST(bind(other, (void *)&name, sizeof name) == 0 && getsockname(other, (void *)&name, &len) == 0);
        inside &= ntohs(name.sin_port) >= 40000 && ntohs(name.sin_port) <= 40009;
    }
    YES("ports within", inside);
    ERR("ports reversed", EINVAL, put(SYS("ipv4/ip_local_port_range"), "50000 40000"));
    OK("ports back", put(SYS("ipv4/ip_local_port_range"), "32768 60999"));
    OK("from port 80 on", put(SYS("ipv4/ip_unprivileged_port_start"), "80"));
    AS_NOBODY({
        int own = socket(AF_INET, SOCK_DGRAM, 0);
        name.sin_port = htons(79);
        ERR("port 79", EACCES, bind(own, (void *)&name, sizeof name));
        name.sin_port = htons(80);
        OK("port 80", bind(own, (void *)&name, sizeof name));
        ERR("nobody writes", EACCES, put(SYS("ipv4/ip_default_ttl"), "64"));
    });
    OK("from port 1024 on", put(SYS("ipv4/ip_unprivileged_port_start"), "1024"));
    OK("keepalive", put(SYS("ipv4/tcp_keepalive_time"), "100"));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    len = sizeof value;
    getsockopt(fd, IPPROTO_TCP, 4, &value, &len);
    EQ("keepalive of a socket", 100, value);
    OK("keepalive back", put(SYS("ipv4/tcp_keepalive_time"), "7200"));
    OK("foreign addresses", put(SYS("ipv4/ip_nonlocal_bind"), "1"));
    name.sin_port = 0;
    inet_pton(AF_INET, "10.77.0.1", &name.sin_addr);
    OK("bind to one", bind(socket(AF_INET, SOCK_DGRAM, 0), (void *)&name, sizeof name));
    OK("none", put(SYS("ipv4/ip_nonlocal_bind"), "0"));
    ERR("bind to none", EADDRNOTAVAIL, bind(socket(AF_INET, SOCK_DGRAM, 0), (void *)&name, sizeof name));
    OK("no IPv6", put(SYS("ipv6/conf/lo/disable_ipv6"), "1"));
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    ERR("no ::1", EADDRNOTAVAIL, bind(socket(AF_INET6, SOCK_DGRAM, 0), (void *)&six, sizeof six));
    OK("IPv6 again", put(SYS("ipv6/conf/lo/disable_ipv6"), "0"));
    OK("::1 again", bind(socket(AF_INET6, SOCK_DGRAM, 0), (void *)&six, sizeof six));
    ERR("no such interface", ENOENT, put(SYS("ipv4/conf/nodev0/forwarding"), "0"));
    ERR("no such congestion control", ENOENT, put(SYS("ipv4/tcp_congestion_control"), "nosuch"));
}

static long snmp(const char *row, int column)
{
    char *at = (char *)text_of("/proc/net/snmp");
    for (int i = 0; i < 2; i++) {
        at = strstr(at, row);
        MUST(at);
        at += i ? 0 : 1;
    }
    for (int i = 0; i <= column; i++)
        at = strchr(at, ' ') + 1;
    return atol(at);
}

static int columns_agree(const char *path)
{
    char *text = (char *)text_of(path);
    int rows = 0;
    for (char *first = strtok(text, "\n"); first; first = strtok(0, "\n"), rows++) {
        char *second = strtok(0, "\n");
        int a = 0, b = 0;
        for (char *p = first; *p; p++)
            a += *p == ' ';
        for (char *p = second ? second : ""; *p; p++)
            b += *p == ' ';
        if (a != b || !a)
            return 0;
    }
    return rows;
}

GROUP(proc_net_tables)
{
    own_network();
    YES("snmp has as many numbers as names", columns_agree("/proc/net/snmp") >= 5);
    YES("netstat too", columns_agree("/proc/net/netstat") >= 2);
    TEXT("snmp begins", "Ip: Forwarding DefaultTTL InReceives", (text_of("/proc/net/snmp"), ({ static char t[64]; snprintf(t, 37, "%s", text_of("/proc/net/snmp")); t; })));
    int sink = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof to;
    MUST(bind(sink, (void *)&to, sizeof to) == 0 && getsockname(sink, (void *)&to, &len) == 0);
    long in = snmp("Udp:", 0), none = snmp("Udp:", 1), out = snmp("Udp:", 3);
    char byte;
    for (int i = 0; i < 3; i++)
        MUST(sendto(from, "x", 1, 0, (void *)&to, sizeof to) == 1 && recv(sink, &byte, 1, 0) == 1);
    close(sink);
    sendto(from, "x", 1, 0, (void *)&to, sizeof to);
    EQ("datagrams in", 3, snmp("Udp:", 0) - in);
    EQ("for nobody", 1, snmp("Udp:", 1) - none);
    EQ("out", 4, snmp("Udp:", 3) - out);
    int packet = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
    MUST(packet >= 0);
    YES("packet lists it", strstr(text_of("/proc/net/packet"), " 3    0800   0     1 ") != 0);
    YES("netlink has a heading", !strncmp(text_of("/proc/net/netlink"), "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode", 80));
    YES("sockstat", strstr(text_of("/proc/net/sockstat"), "sockets: used ") && strstr(text_of("/proc/net/sockstat"), "UDP: inuse 1 "));
    YES("sockstat6", strstr(text_of("/proc/net/sockstat6"), "TCP6: inuse ") != 0);
    YES("igmp", strstr(text_of("/proc/net/igmp"), "\t\t\t\t010000E0     1 0:00000000\t\t0\n") != 0);
    YES("snmp6", strstr(text_of("/proc/net/snmp6"), "Udp6InDatagrams                 \t") != 0);
    YES("ptype", strstr(text_of("/proc/net/ptype"), "0800          ip_rcv\n") != 0);
    YES("ipv6_route", strstr(text_of("/proc/net/ipv6_route"), " 80200001       lo\n") != 0);
    struct request request = asking(RTM_NEWROUTE, NLM_F_CREATE, sizeof request.route);
    request.route.rtm_family = AF_INET;
    request.route.rtm_dst_len = 24;
    request.route.rtm_type = RTN_UNICAST;
    with_ip(&request, RTA_DST, "192.0.2.0");
    with_number(&request, RTA_OIF, 1);
    OK("a route", ask(&request));
    YES("route lists it", strstr(text_of("/proc/net/route"), "lo\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0 ") != 0);
    request.header.nlmsg_type = RTM_DELROUTE;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    OK("no route", ask(&request));
}

GROUP(proc_net_raw)
{
    own_network();
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int raw = socket(AF_INET, SOCK_RAW, 253), raw6 = socket(AF_INET6, SOCK_RAW, 254);
    MUST(raw >= 0 && raw6 >= 0);
    SHOW("raw: heading", "%s|", line_of("/proc/net/raw"));
    SHOW("raw6: heading", "%s|", line_of("/proc/net/raw6"));
    SHOW("icmp: heading", "%s|", line_of("/proc/net/icmp"));
    SHOW("icmp6: heading", "%s|", line_of("/proc/net/icmp6"));
    SHOW("rt_cache: heading", "%s|", line_of("/proc/net/rt_cache"));
    YES("raw", has_line("/proc/net/raw", ": 00000000:00FD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 "));
    YES("raw6", has_line("/proc/net/raw6", ": 00000000000000000000000000000000:00FE 00000000000000000000000000000000:0000 07 00000000:00000000 "));
    MUST(connect(raw, (void *)&local, sizeof local) == 0 && connect(raw6, (void *)&six, sizeof six) == 0);
    YES("raw, connected", has_line("/proc/net/raw", ": 0100007F:00FD 0100007F:0000 01 00000000:00000000 "));
    YES("raw6, connected", has_line("/proc/net/raw6", ": 00000000000000000000000001000000:00FE 00000000000000000000000001000000:0000 01 "));
    YES("sockstat counts it", has_line("/proc/net/sockstat", "\nRAW: inuse 1\n"));
    YES("sockstat6 too", has_line("/proc/net/sockstat6", "\nRAW6: inuse 1\n"));
    MUST(sendto(raw, "data", 4, 0, (void *)&local, sizeof local) == 4);
    YES("raw: what waits", !has_line("/proc/net/raw", ":00FD 0100007F:0000 01 00000000:00000000 ") && has_line("/proc/net/raw", ":00FD 0100007F:0000 01 00000000:"));
    put("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
    int ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), ping6 = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
    MUST(ping >= 0 && ping6 >= 0);
    YES("icmp: none without identity", !has_line("/proc/net/icmp", "\n   "));
    local.sin_port = htons(0x1234);
    six.sin6_port = htons(0x1234);
    MUST(bind(ping, (void *)&local, sizeof local) == 0 && bind(ping6, (void *)&six, sizeof six) == 0);
    int other = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), value = -1, off = 0;
    socklen_t n = sizeof value;
    EQ("SO_REUSEADDR of a socket for pings", 1, getsockopt(other, SOL_SOCKET, SO_REUSEADDR, &value, &n) ? -1 : value);
    OK("without it", setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off));
    ERR("an identity is taken", EADDRINUSE, bind(other, (void *)&local, sizeof local));
    OK("with it", bind(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), (void *)&local, sizeof local));
    close(other);
    SHOW("anycast6", "%s|", line_of("/proc/net/anycast6"));
    SHOW("ip6_flowlabel", "%s|", line_of("/proc/net/ip6_flowlabel"));
    YES("icmp", has_line("/proc/net/icmp", ": 0100007F:1234 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 "));
    YES("icmp6", has_line("/proc/net/icmp6", ": 00000000000000000000000001000000:1234 00000000000000000000000000000000:0000 07 "));
    close(raw);
    close(raw6);
    YES("raw: gone", !has_line("/proc/net/raw", ":00FD "));
    YES("sockstat: gone", has_line("/proc/net/sockstat", "\nRAW: inuse 0\n"));
    YES("fib_trie begins with the main table", !strncmp(text_of("/proc/net/fib_trie"), "Main:\n  +-- ", 12));
    YES("fib_trie: our address", has_line("/proc/net/fib_trie", "|-- 127.0.0.1\n"));
    YES("fib_trie: what it is", has_line("/proc/net/fib_trie", "/32 host LOCAL\n"));
    YES("fib_trie: the second table", has_line("/proc/net/fib_trie", "\nLocal:\n"));
}

GROUP(sysctl_net_more)
{
    static const char *const names[] = {
        "ipv4/fib_multipath_use_neigh",
        "ipv4/fwmark_reflect",
        "ipv4/icmp_echo_enable_probe",
        "ipv4/igmp_link_local_mcast_reports",
        "ipv4/ip_autobind_reuse",
        "ipv4/ip_forward_update_priority",
        "ipv4/tcp_backlog_ack_defer",
        "ipv4/tcp_comp_sack_delay_ns",
        "ipv4/tcp_comp_sack_nr",
        "ipv4/tcp_comp_sack_slack_ns",
        "ipv4/tcp_early_demux",
        "ipv4/tcp_fastopen_blackhole_timeout_sec",
        "ipv4/tcp_fwmark_accept",
        "ipv4/tcp_migrate_req",
        "ipv4/tcp_mtu_probe_floor",
        "ipv4/tcp_no_ssthresh_metrics_save",
        "ipv4/tcp_pingpong_thresh",
        "ipv4/tcp_reflect_tos",
        "ipv4/tcp_rto_max_ms",
        "ipv4/tcp_rto_min_us",
        "ipv4/tcp_shrink_window",
        "ipv4/tcp_syn_linear_timeouts",
        "ipv4/udp_early_demux",
        "ipv6/flowlabel_reflect",
        "ipv6/fwmark_reflect",
        "ipv6/max_dst_opts_length",
        "ipv6/max_dst_opts_number",
        "ipv6/max_hbh_length",
        "ipv6/max_hbh_opts_number",
    };
    own_network();
    for (unsigned i = 0; i < COUNT(names); i++) {
        char path[128], old[64];
        snprintf(path, sizeof path, SYS("%s"), names[i]);
        snprintf(old, sizeof old, "%s", line_of(path));
        SHOW(names[i], "%s", old);
        OK(named("%s: as it is", names[i]), put(path, old));
        ERR(named("%s: a word", names[i]), EINVAL, put(path, "word"));
        if (!strncmp(names[i], "ipv4", 4))
            ERR(named("%s: below all", names[i]), EINVAL, put(path, "-1"));
    }
}

GROUP(ip_forward)
{
    own_network();
    OK("on", put(SYS("ipv4/ip_forward"), "1"));
    TEXT("for all", "1", line_of(SYS("ipv4/conf/all/forwarding")));
    TEXT("for those to come", "1", line_of(SYS("ipv4/conf/default/forwarding")));
    TEXT("for lo", "1", line_of(SYS("ipv4/conf/lo/forwarding")));
    OK("off", put(SYS("ipv4/ip_forward"), "0"));
    TEXT("so told", "0", line_of(SYS("ipv4/ip_forward")));
    TEXT("off for lo", "0", line_of(SYS("ipv4/conf/lo/forwarding")));
}

GROUP(sys_class_net)
{
    /* What Linux shows there is of the namespace that sysfs was mounted in. */
    static const struct {
        const char *name, *value;
    } files[] = {
        {"address", "00:00:00:00:00:00"}, {"addr_len", "6"}, {"broadcast", "00:00:00:00:00:00"}, {"mtu", "65536"}, {"flags", "0x9"}, {"ifindex", "1"}, {"iflink", "1"},
        {"type", "772"}, {"operstate", "unknown"}, {"carrier", "1"}, {"tx_queue_len", "1000"}, {"dev_id", "0x0"}, {"dev_port", "0"}, {"dormant", "0"}, {"link_mode", "0"}, {"netdev_group", "0"},
        {"proto_down", "0"}, {"statistics/rx_errors", "0"}, {"statistics/collisions", "0"},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/class/net/lo/%s", files[i].name);
        TEXT(files[i].name, files[i].value, line_of(path));
    }
    YES("bytes", atol(text_of("/sys/class/net/lo/statistics/rx_bytes")) >= 0);
    EQ("no such interface", -1, access("/sys/class/net/nodev0", F_OK));
}
