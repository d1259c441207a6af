/* What /proc/net counts of connections and datagrams, and what it shows of sockets (proc(5), RFC 4022, RFC 4113). */
#include "case.h"
#include "net.h"
#include "inet.h"

/* A number of /proc/net/snmp or /proc/net/netstat; -1 if it is not there. */
static long count(const char *path, const char *title, const char *name)
{
    static char names[16384], values[16384];
    FILE *file = fopen(path, "r");
    long found = -1;
    MUST(file);
    while (fgets(names, sizeof names, file) && fgets(values, sizeof values, file)) {
        char *n, *v, *word, *number;
        if (strncmp(names, title, strlen(title)) || names[strlen(title)] != ':')
            continue;
        word = strtok_r(names, " \n", &n);
        number = strtok_r(values, " \n", &v);
        while (word && number) {
            if (!strcmp(word, name))
                found = atol(number);
            word = strtok_r(0, " \n", &n);
            number = strtok_r(0, " \n", &v);
        }
    }
    fclose(file);
    return found;
}

static long snmp(const char *title, const char *name) { return count("/proc/net/snmp", title, name); }

static const char *const tcp_names[] = {"ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab", "OutRsts"};
static long tcp_before[COUNT(tcp_names)];

static void remember(void)
{
    for (size_t i = 0; i < COUNT(tcp_names); i++)
        tcp_before[i] = snmp("Tcp", tcp_names[i]);
}

static void changed(const char *name)
{
    char text[300];
    int at = 0;
    for (size_t i = 0; i < COUNT(tcp_names); i++)
        at += sprintf(text + at, "%s %+ld ", tcp_names[i], snmp("Tcp", tcp_names[i]) - tcp_before[i]);
    SHOW(name, "%s", text);
}

GROUP(counts_tcp)
{
    own_network();
    int fd = socket(AF_INET, SOCK_STREAM, 0), unused = bound_at(SOCK_STREAM, "127.0.0.1");
    remember();
    ERR("refused", ECONNREFUSED, connect_to(fd, "127.0.0.1", own_port(unused)));
    changed("after one was refused");
    int p[2];
    remember();
    tcp_pair(AF_INET, p);
    changed("a connection");
    MUST(send(p[0], "a", 1, 0) == 1);
    events_within(p[1], POLLIN, 1000);
    close(p[1]);
    events_within(p[0], POLLIN, 1000);
    changed("reset by closing with bytes left");
    close(p[0]);
    changed("and closed");
    remember();
    tcp_pair(AF_INET, p);
    close(p[0]);
    events_within(p[1], POLLIN, 1000);
    changed("half closed");
    close(p[1]);
    pause_ms(5);
    changed("closed in order");
    remember();
    tcp_pair(AF_INET, p);
    struct linger now = {1, 0};
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(p[0]);
    events_within(p[1], POLLIN, 1000);
    changed("aborted");
    close(p[1]);
    remember();
    int l = bound_at(SOCK_STREAM, "127.0.0.1");
    MUST(listen(l, 5) == 0 && connect_to(fd, "127.0.0.1", own_port(l)) == 0);
    close(l);
    events_within(fd, POLLIN, 1000);
    changed("a listener closed before accept");
}

GROUP(counts_udp)
{
    own_network();
    int r = bound_at(SOCK_DGRAM, "127.0.0.1"), s = socket(AF_INET, SOCK_DGRAM, 0);
    static const char *const names[] = {"InDatagrams", "NoPorts", "OutDatagrams", "InErrors", "RcvbufErrors"};
    long old[COUNT(names)];
    char bytes[2048];
    for (int what = 0; what < 4; what++) {
        static const char *const steps[] = {"nobody there", "sent", "read", "too many"};
        for (size_t i = 0; i < COUNT(names); i++)
            old[i] = snmp("Udp", names[i]);
        if (what == 0) {
            int gone = bound_at(SOCK_DGRAM, "127.0.0.1"), port = own_port(gone);
            close(gone);
            send_to(s, "a", 1, "127.0.0.1", port);
        } else if (what == 1) {
            send_to(s, "a", 1, "127.0.0.1", own_port(r));
        } else if (what == 2) {
            recv(r, bytes, 1, MSG_PEEK);
            recv(r, bytes, 1, 0);
        } else {
            set(r, SOL_SOCKET, SO_RCVBUF, 0);
            for (int i = 0; i < 4; i++)
                send_to(s, bytes, sizeof bytes, "127.0.0.1", own_port(r));
        }
        char text[300];
        int at = 0;
        for (size_t i = 0; i < COUNT(names); i++)
            at += sprintf(text + at, "%s %+ld ", names[i], snmp("Udp", names[i]) - old[i]);
        SHOW(steps[what], "%s", text);
    }
}

GROUP(counts_names)
{
    static const char *const names[] = {"TCPOrigDataSent", "TCPSynRetrans", "TCPDSACKRecv", "TCPDSACKOfoRecv", "TW", "ListenDrops",
                                        "TCPTimeouts", "DelayedACKs", "TCPPureAcks", "TCPKeepAlive", "TCPAODroppedIcmps", "SyncookiesSent"};
    for (size_t i = 0; i < COUNT(names); i++)
        YES(named("TcpExt %s", names[i]), count("/proc/net/netstat", "TcpExt", names[i]) >= 0);
    static const char *const tcp[] = {"RetransSegs", "InErrs", "InCsumErrors"};
    for (size_t i = 0; i < COUNT(tcp); i++)
        YES(named("Tcp %s", tcp[i]), snmp("Tcp", tcp[i]) >= 0);
}

/* The line of a socket in a table, by its own port: addresses and state. */
static const char *line_of(const char *path, int port, int remote)
{
    static char texts[4][300];
    static int turn;
    char *text = texts[turn++ & 3], row[512];
    FILE *file = fopen(path, "r");
    MUST(file);
    strcpy(text, "none");
    while (fgets(row, sizeof row, file)) {
        unsigned own, other, state, uid, inode;
        char here[40], there[40];
        if (sscanf(row, " %*d: %39[0-9A-F]:%X %39[0-9A-F]:%X %X %*s %*s %*s %u %*d %u", here, &own, there, &other, &state, &uid, &inode) == 7 &&
            (int)(remote ? other : own) == port)
            sprintf(text, "%s%s %s%s %02X uid %u inode %s", here, own ? ":port" : "", there, other ? ":port" : "", state, uid, inode ? "set" : "0");
    }
    fclose(file);
    return text;
}

GROUP(counts_tables)
{
    own_network();
    for (int f = 0; f < 2; f++) {
        const char *ip = f ? "::1" : "127.0.0.1", *tcp = f ? "/proc/net/tcp6" : "/proc/net/tcp", *udp = f ? "/proc/net/udp6" : "/proc/net/udp";
        int l = bound_at(SOCK_STREAM, ip);
        SHOW(named("%s bound", tcp), "%s", line_of(tcp, own_port(l), 0));
        MUST(listen(l, 5) == 0);
        SHOW(named("%s listens", tcp), "%s", line_of(tcp, own_port(l), 0));
        int c = socket(f ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
        MUST(connect_to(c, ip, own_port(l)) == 0);
        SHOW(named("%s connected", tcp), "%s", line_of(tcp, own_port(c), 0));
        SHOW(named("%s not accepted", tcp), "%s", line_of(tcp, own_port(c), 1));
        int a = accept(l, 0, 0);
        SHOW(named("%s accepted", tcp), "%s", line_of(tcp, own_port(c), 1));
        int port = own_port(c);
        shutdown(c, SHUT_WR);
        events_within(a, POLLIN, 1000);
        pause_ms(60);
        SHOW(named("%s half closed", tcp), "%s", line_of(tcp, port, 0));
        SHOW(named("%s the other half", tcp), "%s", line_of(tcp, port, 1));
        shutdown(a, SHUT_WR);
        events_within(c, POLLIN, 1000);
        pause_ms(5);
        SHOW(named("%s closed at both", tcp), "%s", line_of(tcp, port, 0));
        SHOW(named("%s the last", tcp), "%s", line_of(tcp, port, 1));
        close(c);
        close(a);
        close(l);
        int u = bound_at(SOCK_DGRAM, ip), v = bound_at(SOCK_DGRAM, ip);
        SHOW(named("%s bound", udp), "%s", line_of(udp, own_port(u), 0));
        MUST(connect_to(u, ip, own_port(v)) == 0);
        SHOW(named("%s connected", udp), "%s", line_of(udp, own_port(u), 0));
        port = own_port(u);
        close(u);
        SHOW(named("%s closed", udp), "%s", line_of(udp, port, 0));
        int any = bound_at(SOCK_DGRAM, f ? "::" : "0.0.0.0");
        SHOW(named("%s any", udp), "%s", line_of(udp, own_port(any), 0));
    }
}
