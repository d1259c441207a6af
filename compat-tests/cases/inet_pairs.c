/* TCP and UDP between every pair of a listener's and a connector's address, in both families and in IPv4's dress of IPv6: who hears
 * whom, which ports are taken, and what closed connections keep (tcp(7), ipv6(7), socket(7)). */
#include "case.h"
#include "net.h"
#include "inet.h"

struct place {
    const char *name;
    int family;
    const char *ip;
};
static const struct place ends[] = {
    {"V4Any", AF_INET, "0.0.0.0"},      {"V4Loopback", AF_INET, "127.0.0.1"},
    {"MappedAny", AF_INET6, "::ffff:0.0.0.0"}, {"MappedLoopback", AF_INET6, "::ffff:127.0.0.1"},
    {"V6Any", AF_INET6, "::"},          {"V6Loopback", AF_INET6, "::1"},
};
enum { V4ANY, V4LO, MANY, MLO, V6ANY, V6LO };
static const struct { int listener, connector; } pairs[] = {
    {V4ANY, V4ANY}, {V4ANY, V4LO}, {V4ANY, MANY}, {V4ANY, MLO}, {V4LO, V4ANY}, {V4LO, V4LO}, {V4LO, MLO},
    {MANY, V4ANY},  {MANY, V4LO},  {MANY, MANY},  {MANY, MLO},  {MLO, V4ANY},  {MLO, V4LO},  {MLO, MLO},
    {V6ANY, V4ANY}, {V6ANY, V4LO}, {V6ANY, MANY}, {V6ANY, MLO}, {V6ANY, V6ANY}, {V6ANY, V6LO},
    {V6LO, V6ANY},  {V6LO, V6LO},
};

static socklen_t address_of(const struct place *end, int port, struct sockaddr_storage *at)
{
    memset(at, 0, sizeof *at);
    at->ss_family = end->family;
    struct sockaddr_in *four = (void *)at;
    struct sockaddr_in6 *six = (void *)at;
    if (end->family == AF_INET) {
        four->sin_port = htons(port);
        MUST(inet_pton(AF_INET, end->ip, &four->sin_addr) == 1);
        return sizeof *four;
    }
    six->sin6_port = htons(port);
    MUST(inet_pton(AF_INET6, end->ip, &six->sin6_addr) == 1);
    return sizeof *six;
}

static int port_of(const struct sockaddr_storage *at)
{
    return ntohs(at->ss_family == AF_INET ? ((struct sockaddr_in *)at)->sin_port : ((struct sockaddr_in6 *)at)->sin6_port);
}

static const char *text_of(const struct sockaddr_storage *at, socklen_t len)
{
    static char texts[8][64];
    static int turn;
    char *text = texts[turn++ & 7], ip[48];
    if (at->ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)at)->sin_addr, ip, sizeof ip);
    else
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)at)->sin6_addr, ip, sizeof ip);
    snprintf(text, 64, "%s%s/%u", ip, port_of(at) ? "" : "(no port)", len);
    return text;
}

static const char *name_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (getsockname(fd, (void *)&at, &n) < 0)
        return error_name(errno);
    return text_of(&at, n);
}

static const char *peer_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (getpeername(fd, (void *)&at, &n) < 0)
        return error_name(errno);
    return text_of(&at, n);
}

/* A listener there, on a free port. */
static int listener(const struct place *end, int reuse)
{
    struct sockaddr_storage at;
    socklen_t n = address_of(end, 0, &at);
    int fd = socket(end->family, SOCK_STREAM, 0);
    MUST(fd >= 0);
    if (reuse)
        MUST(set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
    MUST(bind(fd, (void *)&at, n) == 0 && listen(fd, 10) == 0);
    return fd;
}

static int connector(const struct place *end, int port, int reuse)
{
    struct sockaddr_storage at;
    socklen_t n = address_of(end, port, &at);
    int fd = socket(end->family, SOCK_STREAM, 0);
    MUST(fd >= 0);
    if (reuse)
        MUST(set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
    if (connect(fd, (void *)&at, n) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

GROUP(inet_names)
{
    own_network();
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct place *to = &ends[pairs[i].listener], *from = &ends[pairs[i].connector];
        int l = listener(to, 0);
        int c = connector(from, own_port(l), 0);
        MUST(c >= 0);
        struct sockaddr_storage at;
        socklen_t n = sizeof at;
        int a = accept(l, (void *)&at, &n);
        SHOW(named("%s to %s", from->name, to->name), "listener %s, from %s to %s, accepted %s from %s, accept said %s", name_of(l),
             name_of(c), peer_of(c), name_of(a), peer_of(a), text_of(&at, n));
        close(a);
        close(c);
        close(l);
    }
    for (size_t to = 0; to < COUNT(ends); to++)
        for (size_t from = 0; from < COUNT(ends); from++) {
            struct sockaddr_storage at, source;
            socklen_t n = address_of(&ends[to], 0, &at), source_len = sizeof source;
            int r = socket(ends[to].family, SOCK_DGRAM, 0), s = socket(ends[from].family, SOCK_DGRAM, 0);
            MUST(bind(r, (void *)&at, n) == 0);
            n = address_of(&ends[from], own_port(r), &at);
            int sent = sendto(s, "x", 1, 0, (void *)&at, n);
            const char *sending = result(sent), *name = name_of(s);
            char byte;
            struct pollfd p = {r, POLLIN, 0};
            poll(&p, 1, 10);
            int got = recvfrom(r, &byte, 1, MSG_DONTWAIT, (void *)&source, &source_len);
            SHOW(named("datagram %s to %s", ends[from].name, ends[to].name), "%s from %s, heard %s from %s", sending, name, result(got),
                 got == 1 ? text_of(&source, source_len) : "nobody");
            int c = connect(s, (void *)&at, n);
            const char *connected = result(c);
            SHOW(named("datagrams connected %s to %s", ends[from].name, ends[to].name), "%s %s %s", connected, name_of(s), peer_of(s));
            close(r);
            close(s);
        }
}

/* A connection from a port that none had before in this group: one that an earlier connection left in TIME_WAIT is given again by
 * chance, and is taken then whatever became of the new one. */
static int fresh_connector(const struct place *end, int port, int reuse)
{
    static unsigned char used[65536];
    for (;;) {
        int fd = connector(end, port, reuse);
        MUST(fd >= 0);
        int own = own_port(fd);
        if (!used[own]) {
            used[own] = 1;
            return fd;
        }
        struct linger now = {1, 0};
        MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
        close(fd);
    }
}

/* Opens a connection and closes it at one end first. */
static void closed(int i, int reuse, int acceptor_first, int *to_port, struct sockaddr_storage *bound, socklen_t *n)
{
    const struct place *to = &ends[pairs[i].listener], *from = &ends[pairs[i].connector];
    int l = listener(to, reuse);
    *to_port = own_port(l);
    int c = fresh_connector(from, *to_port, reuse), a;
    struct sockaddr_storage peer;
    MUST(getsockname(c, (void *)bound, (*n = sizeof *bound, n)) == 0);
    do {
        socklen_t len = sizeof peer;
        a = accept(l, (void *)&peer, &len);
        MUST(a >= 0);
    } while (port_of(&peer) != port_of(bound) && close(a) == 0);
    *n = sizeof *bound;
    MUST(getsockname(c, (void *)bound, n) == 0);
    int first = acceptor_first ? a : c, second = acceptor_first ? c : a;
    MUST(shutdown(first, SHUT_WR) == 0);
    MUST(wait_for(second, POLLIN) & POLLIN);
    close(second);
    pause_ms(2);
    close(first);
    close(l);
}

static const char *bound_to(int family, int reuse, const struct sockaddr_storage *at, socklen_t n, int listens)
{
    int fd = socket(family, SOCK_STREAM, 0);
    MUST(fd >= 0);
    if (reuse)
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    const char *text = result(bind(fd, (void *)at, n));
    if (*text == '0' && listens)
        text = result(listen(fd, 5));
    close(fd);
    return text;
}

GROUP(inet_time_wait)
{
    own_network();
    for (size_t i = 0; i < COUNT(pairs); i++)
        for (int reuse = 0; reuse < 2; reuse++)
            for (int acceptor_first = 0; acceptor_first < 2; acceptor_first++) {
                const struct place *to = &ends[pairs[i].listener], *from = &ends[pairs[i].connector];
                struct sockaddr_storage bound, at;
                socklen_t n, size;
                int port;
                closed(i, reuse, acceptor_first, &port, &bound, &n);
                size = address_of(to, port, &at);
                const char *plain = bound_to(from->family, 0, &bound, n, 0), *shared = bound_to(from->family, 1, &bound, n, 0);
                const char *server = bound_to(to->family, 0, &at, size, 1), *again = bound_to(to->family, 1, &at, size, 1);
                SHOW(named("%s to %s%s%s", from->name, to->name, reuse ? " reuse" : "", acceptor_first ? " acceptor first" : ""),
                     "connector's %s, with reuse %s; listener's %s, with reuse %s", plain, shared, server, again);
            }
}

GROUP(inet_fin_wait)
{
    own_network();
    int listeners[COUNT(pairs)], accepted[COUNT(pairs)], again[COUNT(pairs)];
    struct sockaddr_storage bound[COUNT(pairs)];
    socklen_t n[COUNT(pairs)];
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct place *to = &ends[pairs[i].listener], *from = &ends[pairs[i].connector];
        listeners[i] = listener(to, 0);
        int c = connector(from, own_port(listeners[i]), 0);
        MUST(c >= 0 && set(c, IPPROTO_TCP, TCP_LINGER2, 1) == 0);
        accepted[i] = accept(listeners[i], 0, 0);
        n[i] = sizeof bound[i];
        MUST(getsockname(c, (void *)&bound[i], &n[i]) == 0);
        close(c);
        again[i] = socket(from->family, SOCK_STREAM, 0);
        SHOW(named("%s to %s, bound in FIN_WAIT2", from->name, to->name), "%s", result(bind(again[i], (void *)&bound[i], n[i])));
    }
    pause_ms(2200);
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct place *to = &ends[pairs[i].listener], *from = &ends[pairs[i].connector];
        struct sockaddr_storage at;
        socklen_t size = address_of(from, own_port(listeners[i]), &at);
        const char *bind_said = result(bind(again[i], (void *)&bound[i], n[i]));
        set(accepted[i], IPPROTO_TCP, TCP_LINGER2, 0);
        shutdown(accepted[i], SHUT_WR);
        pause_ms(2);
        SHOW(named("%s to %s, after FIN_WAIT2", from->name, to->name), "bind %s, connect %s", bind_said,
             result(connect(again[i], (void *)&at, size)));
        char byte;
        const char *sent = result(send(accepted[i], "x", 1, MSG_NOSIGNAL));
        SHOW(named("%s to %s, the one left", from->name, to->name), "send %s recv %s", sent,
             result(recv(accepted[i], &byte, 1, MSG_DONTWAIT)));
    }
}

GROUP(inet_conflict)
{
    own_network();
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct place *to = &ends[pairs[i].listener], *from = &ends[pairs[i].connector];
        int l = listener(to, 0), port = own_port(l);
        int c = connector(from, port, 1), d = socket(from->family, SOCK_STREAM, 0);
        MUST(c >= 0 && set(d, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
        struct sockaddr_storage bound, at;
        socklen_t n = sizeof bound;
        MUST(getsockname(c, (void *)&bound, &n) == 0);
        const char *bind_said = result(bind(d, (void *)&bound, n));
        n = address_of(from, port, &at);
        SHOW(named("%s to %s", from->name, to->name), "bind %s, connect %s", bind_said, result(connect(d, (void *)&at, n)));
        close(l);
        close(c);
        close(d);
    }
}

GROUP(inet_closed)
{
    own_network();
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct place *to = &ends[pairs[i].listener], *from = &ends[pairs[i].connector];
        int l = listener(to, 0);
        MUST(set(l, IPPROTO_TCP, TCP_USER_TIMEOUT, 10000) == 0 && set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3) == 0);
        int c = connector(from, own_port(l), 0), opt = -1;
        MUST(c >= 0);
        fcntl(l, F_SETFL, O_NONBLOCK);
        const char *early = result(accept(l, 0, 0));
        MUST(send(c, "data", 4, 0) == 4);
        wait_for(l, POLLIN);
        int a = accept(l, 0, 0);
        char bytes[8];
        socklen_t n = sizeof opt;
        getsockopt(a, IPPROTO_TCP, TCP_USER_TIMEOUT, &opt, &n);
        const char *data = result(recv(a, bytes, 8, 0));
        close(c);
        wait_for(a, POLLIN);
        const char *first = result(send(a, "x", 1, 0));
        pause_ms(3);
        const char *second = result(send(a, "x", 1, 0));
        SHOW(named("%s to %s", from->name, to->name), "%s, then %s, time-out %d; send %s, %s; recv %s %s", early, data, opt, first, second,
             result(recv(a, bytes, 8, 0)), result(recv(a, bytes, 8, 0)));
        close(a);
        close(l);
    }
}

static const int types[] = {SOCK_STREAM, SOCK_DGRAM};

/* Binds a second socket beside a first; what Linux says of it. */
GROUP(inet_beside)
{
    own_network();
    for (int t = 0; t < 2; t++)
        for (size_t one = 0; one < COUNT(ends); one++)
            for (int only = 0; only < 2; only++) {
                if (only && one != V6ANY)
                    continue;
                struct sockaddr_storage at;
                int first = socket(ends[one].family, types[t], 0);
                set(first, IPPROTO_IPV6, IPV6_V6ONLY, only);
                socklen_t n = address_of(&ends[one], 0, &at);
                MUST(bind(first, (void *)&at, n) == 0);
                for (size_t two = 0; two < COUNT(ends); two++)
                    for (int how = 0; how < 4; how++) {
                        int second = socket(ends[two].family, types[t], 0);
                        set(first, SOL_SOCKET, SO_REUSEADDR, how & 1);
                        set(second, SOL_SOCKET, SO_REUSEADDR, how & 1);
                        if (how & 2)
                            set(second, IPPROTO_IPV6, IPV6_V6ONLY, 1);
                        n = address_of(&ends[two], own_port(first), &at);
                        SHOW(named("%s %s%s beside %s%s%s", t ? "UDP" : "TCP", ends[two].name, how & 2 ? " only" : "", ends[one].name,
                                   only ? " only" : "", how & 1 ? " reuse" : ""),
                             "%s", result(bind(second, (void *)&at, n)));
                        close(second);
                    }
                close(first);
            }
}

/* The port that a connection took by itself. */
GROUP(inet_ephemeral)
{
    own_network();
    for (int t = 0; t < 2; t++)
        for (size_t one = 0; one < COUNT(ends); one++)
            for (int reuse = 0; reuse < 2; reuse++) {
                struct sockaddr_storage at;
                int l = socket(ends[one].family, types[t], 0), c = socket(ends[one].family, types[t], 0);
                if (reuse) {
                    set(l, SOL_SOCKET, SO_REUSEADDR, 1);
                    set(c, SOL_SOCKET, SO_REUSEADDR, 1);
                }
                socklen_t n = address_of(&ends[one], 0, &at);
                MUST(bind(l, (void *)&at, n) == 0);
                if (!t)
                    MUST(listen(l, 5) == 0);
                n = address_of(&ends[one], own_port(l), &at);
                MUST(connect(c, (void *)&at, n) == 0);
                for (size_t two = 0; two < COUNT(ends); two++)
                    for (int how = 0; how < 4; how++) {
                        int s = socket(ends[two].family, types[t], 0);
                        set(s, SOL_SOCKET, SO_REUSEADDR, how & 1);
                        if (how & 2)
                            set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
                        n = address_of(&ends[two], own_port(c), &at);
                        SHOW(named("%s %s%s%s at the port of one to %s%s", t ? "UDP" : "TCP", ends[two].name, how & 2 ? " only" : "",
                                   how & 1 ? " reuse" : "", ends[one].name, reuse ? " reuse" : ""),
                             "%s", result(bind(s, (void *)&at, n)));
                        close(s);
                    }
                close(l);
                close(c);
            }
}

static const char *const operations[] = {"bind", "connect", "sendto"};
static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

GROUP(inet_operations)
{
    own_network();
    for (size_t e = 0; e < COUNT(ends); e++)
        for (size_t o = 0; o < COUNT(orders); o++) {
            int fd = socket(AF_INET6, SOCK_DGRAM, 0);
            for (int i = 0; i < 3; i++) {
                int what = orders[o][i];
                struct sockaddr_storage at;
                socklen_t n = address_of(&ends[e], what ? 1337 : 0, &at);
                long got = what == 0 ? bind(fd, (void *)&at, n) : what == 1 ? connect(fd, (void *)&at, n) : sendto(fd, "hello", 6, 0, (void *)&at, n);
                const char *said = result(got);
                SHOW(named("%s %zu %s", ends[e].name, o, operations[what]), "%s %s %s", said, name_of(fd), peer_of(fd));
            }
            close(fd);
        }
}

GROUP(inet_reuse_port)
{
    own_network();
    for (int t = 0; t < 2; t++) {
        struct sockaddr_storage at;
        for (int one = 0; one < 2; one++) {
            int first = socket(AF_INET, types[t], 0);
            set(first, SOL_SOCKET, SO_REUSEPORT, one);
            socklen_t n = address_of(&ends[V4LO], 0, &at);
            MUST(bind(first, (void *)&at, n) == 0);
            n = address_of(&ends[V4LO], own_port(first), &at);
            if (!t)
                listen(first, 1);
            for (int j = 0; j < 4; j++) {
                int second = socket(AF_INET, types[t], 0);
                set(second, SOL_SOCKET, SO_REUSEPORT, j & 1);
                SHOW(named("%s %d then %d, turn %d", t ? "UDP" : "TCP", one, j & 1, j), "%s", result(bind(second, (void *)&at, n)));
                close(second);
            }
            close(first);
        }
        int first = socket(AF_INET, types[t], 0), second = socket(AF_INET, types[t], 0);
        set(first, SOL_SOCKET, SO_REUSEPORT, 1);
        socklen_t n = address_of(&ends[V4LO], 0, &at);
        MUST(bind(first, (void *)&at, n) == 0);
        n = address_of(&ends[V4LO], own_port(first), &at);
        close(first);
        SHOW(named("%s after one that shared", t ? "UDP" : "TCP"), "%s", result(bind(second, (void *)&at, n)));
        close(second);
    }
    /* All listeners of a port get their share. */
    static const struct { int to, from; } shared[] = {{V4ANY, V4LO}, {V4LO, MLO}, {V6ANY, V4LO}, {V6ANY, V6LO}, {V6LO, V6LO}};
    for (size_t i = 0; i < COUNT(shared); i++)
        for (int t = 0; t < 2; t++) {
            enum { LISTENERS = 3, TRIES = 200 };
            int fds[LISTENERS], counts[LISTENERS] = {0}, port = 0, moved = 0;
            for (int k = 0; k < LISTENERS; k++) {
                struct sockaddr_storage at;
                socklen_t n = address_of(&ends[shared[i].to], port, &at);
                fds[k] = socket(ends[shared[i].to].family, types[t], 0);
                set(fds[k], SOL_SOCKET, SO_REUSEPORT, 1);
                MUST(bind(fds[k], (void *)&at, n) == 0);
                if (!t)
                    MUST(listen(fds[k], 40) == 0);
                port = own_port(fds[k]);
            }
            for (int k = 0; k < TRIES; k++) {
                struct sockaddr_storage at;
                socklen_t n = address_of(&ends[shared[i].from], port, &at);
                int c = socket(ends[shared[i].from].family, types[t], 0), who = -1;
                MUST(connect(c, (void *)&at, n) == 0);
                for (int round = 0; round < 1 + t; round++) {
                    struct pollfd p[LISTENERS];
                    if (t)
                        MUST(send(c, "x", 1, 0) == 1);
                    for (int j = 0; j < LISTENERS; j++)
                        p[j] = (struct pollfd){fds[j], POLLIN, 0};
                    MUST(poll(p, LISTENERS, 3000) == 1);
                    for (int j = 0; j < LISTENERS; j++)
                        if (p[j].revents) {
                            char byte;
                            counts[j]++;
                            moved += who >= 0 && who != j;
                            who = j;
                            if (t) {
                                MUST(recv(fds[j], &byte, 1, 0) == 1);
                            } else {
                                struct linger now = {1, 0};
                                int a = accept(fds[j], 0, 0);
                                setsockopt(a, SOL_SOCKET, SO_LINGER, &now, sizeof now);
                                close(a);
                            }
                        }
                }
                close(c);
            }
            int fair = 1;
            for (int j = 0; j < LISTENERS; j++) {
                fair &= counts[j] > TRIES * (1 + t) / 6;
                close(fds[j]);
            }
            SHOW(named("%s from %s to %s", t ? "UDP" : "TCP", ends[shared[i].from].name, ends[shared[i].to].name), "fair %d, moved %d", fair, moved);
        }
}
