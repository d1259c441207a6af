/* TCP in both families: what every call answers in every state, refused and half-closed connections, and what closing sends (tcp(7)). */
#include "case.h"
#include "net.h"
#include "inet.h"
#include <sys/sendfile.h>

#ifndef TCP_CM_INQ
#define TCP_CM_INQ TCP_INQ
#endif

static const int families[] = {AF_INET, AF_INET6};
static const char *family_name(int family) { return family == AF_INET ? "IPv4" : "IPv6"; }

static void before(void)
{
    own_network();
    signal(SIGPIPE, SIG_IGN);
}

/* A port of the loopback that is bound, and that nobody listens on. */
static int deaf(int family, int *port)
{
    int fd = bound_at(SOCK_STREAM, loopback_of(family));
    *port = own_port(fd);
    return fd;
}

GROUP(tcp_unconnected)
{
    before();
    for (int f = 0; f < 2; f++) {
        int fd = socket(families[f], SOCK_STREAM, 0);
        char byte = 0;
        struct end to = end_of(loopback_of(families[f]), 9);
        const char *sent = result(send(fd, &byte, 1, 0)), *named_to = result(sendto(fd, &byte, 1, 0, (void *)&to.at, to.len));
        SHOW(named("%s send, sendto", family_name(families[f])), "%s %s", sent, named_to);
        const char *none = result(recv(fd, &byte, 0, 0)), *one = result(recv(fd, &byte, 1, 0));
        SHOW(named("%s recv of none, of one", family_name(families[f])), "%s %s", none, one);
        const char *read_none = result(read(fd, &byte, 0)), *write_none = result(write(fd, &byte, 0));
        SHOW(named("%s read and write of none", family_name(families[f])), "%s %s", read_none, write_none);
        SERIES(named("%s shutdown", family_name(families[f])), "%s %s %s", result(shutdown(fd, SHUT_RD)), result(shutdown(fd, SHUT_WR)), result(shutdown(fd, 7)));
        SHOW(named("%s poll", family_name(families[f])), "%#x", events_within(fd, 0x7fff, 0));
        struct end peer = {.len = sizeof peer.at};
        ERR(named("%s getpeername", family_name(families[f])), ENOTCONN, getpeername(fd, (void *)&peer.at, &peer.len));
        ERR(named("%s accept", family_name(families[f])), EINVAL, accept(fd, 0, 0));
        int n = -1;
        SERIES(named("%s ioctls", family_name(families[f])), "%s %s", result(ioctl(fd, FIONREAD, &n)), result(ioctl(fd, TIOCOUTQ, &n)));
        struct linger linger = {1, 10};
        MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
        EQ(named("%s close does not linger", family_name(families[f])), 0, close(fd));
    }
}

GROUP(tcp_no_listener)
{
    before();
    for (int f = 0; f < 2; f++) {
        int port, unused = deaf(families[f], &port);
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]);
        int fd = socket(families[f], SOCK_STREAM | SOCK_NONBLOCK, 0);
        char byte;
        ERR(named("%s in progress", family), EINPROGRESS, connect_to(fd, ip, port));
        SHOW(named("%s events", family), "%#x", events_within(fd, 0x7fff, 1000));
        EQ(named("%s SO_ERROR", family), ECONNREFUSED, option(fd, SOL_SOCKET, SO_ERROR));
        SHOW(named("%s events after", family), "%#x", events_within(fd, 0x7fff, 0));
        SERIES(named("%s read", family), "%s %s", result(read(fd, &byte, 1)), result(recv(fd, &byte, 1, MSG_PEEK)));
        SHOW(named("%s write", family), "%s", result(write(fd, "x", 1)));
        fcntl(fd, F_SETFL, 0);
        SHOW(named("%s connect again, told by SO_ERROR", family), "%s", result(connect_to(fd, ip, port)));
        SHOW(named("%s and again", family), "%s", result(connect_to(fd, ip, port)));
        for (int peek = 0; peek < 2; peek++) {
            int p = socket(families[f], SOCK_STREAM | SOCK_NONBLOCK, 0);
            connect_to(p, ip, port);
            events_within(p, POLLIN, 1000);
            const char *first = result(recv(p, &byte, 1, peek ? MSG_PEEK : 0)), *second = result(recv(p, &byte, 1, peek ? MSG_PEEK : 0));
            const char *again = result(connect_to(p, ip, port));
            SHOW(named("%s %s, then connect", family, peek ? "peek" : "read"), "%s %s %s", first, second, again);
            close(p);
        }
        int c = socket(families[f], SOCK_STREAM, 0);
        MUST(bind_to(c, ip, 0) == 0);
        int own = own_port(c);
        ERR(named("%s refused", family), ECONNREFUSED, connect_to(c, ip, port));
        int other = socket(families[f], SOCK_STREAM, 0);
        SERIES(named("%s the port of one refused", family), "%s %s", result(bind_to(other, ip, own)), result(own_port(c) == own));
        SHOW(named("%s refused again", family), "%s", result(connect_to(c, ip, port)));
        close(other);
        listen(unused, 5);
        int late = socket(families[f], SOCK_STREAM, 0);
        close(c);
        EQ(named("%s listens now", family), 0, connect_to(late, ip, port));
        close(late);
        SHOW(named("%s port 0", family), "%s", result(connect_to(socket(families[f], SOCK_STREAM, 0), ip, 0)));
        SHOW(named("%s nowhere", family), "%s", result(connect_to(socket(families[f], SOCK_STREAM, 0), f ? "::" : "0.0.0.0", 0)));
    }
}

GROUP(tcp_connects)
{
    before();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]);
        int l = bound_at(SOCK_STREAM, ip), port = own_port(l);
        MUST(listen(l, 10) == 0);
        int fd = socket(families[f], SOCK_STREAM | SOCK_NONBLOCK, 0);
        const char *first = result(connect_to(fd, ip, port));
        int a = accept(l, 0, 0);
        close(a);
        int events = events_within(fd, POLLOUT, 1000);
        SERIES(named("%s without a wait, closed by the other side", family), "%s %s %s %s", first, hexed(events), result(connect_to(fd, ip, port)), result(connect_to(fd, ip, port)));
        SERIES(named("%s listen, bind", family), "%s %s", result(listen(fd, 1)), result(bind_to(fd, ip, 0)));
        close(fd);
        int pair[2];
        tcp_pair(families[f], pair);
        SERIES(named("%s connected twice", family), "%s %s", result(connect_to(pair[0], ip, port)), result(connect_to(pair[1], ip, port)));
        struct end any = {.len = sizeof any.at};
        memset(&any.at, 0, sizeof any.at);
        any.at.ss_family = families[f];
        SHOW(named("%s sendto with an address", family), "%s", result(sendto(pair[0], "x", 1, 0, (void *)&any.at, any.len)));
        struct end from = {.len = sizeof from.at};
        memset(&from.at, 0, sizeof from.at);
        char byte;
        SHOW(named("%s recvfrom", family), "%s %u %u", result(recvfrom(pair[1], &byte, 1, 0, (void *)&from.at, &from.len)), from.len,
             from.at.ss_family);
        SERIES(named("%s SO_ACCEPTCONN", family), "%s %s %s", result(option(l, SOL_SOCKET, SO_ACCEPTCONN)), result(option(pair[0], SOL_SOCKET, SO_ACCEPTCONN)), result(option(pair[1], SOL_SOCKET, SO_ACCEPTCONN)));
        MUST(shutdown(l, SHUT_RD) == 0);
        SERIES(named("%s a listener shut down", family), "%s %s %s", result(option(l, SOL_SOCKET, SO_ACCEPTCONN)), result(accept(l, 0, 0)), hexed(events_within(l, 0x7fff, 0)));
        SERIES(named("%s its port", family), "%s %s", result(own_port(l) == port), result(listen(l, 1)));
    }
}

GROUP(tcp_half_closed)
{
    before();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]);
        int p[2];
        char bytes[16];
        tcp_pair(families[f], p);
        SERIES(named("%s SHUT_WR twice", family), "%s %s", result(shutdown(p[1], SHUT_WR)), result(shutdown(p[1], SHUT_WR)));
        SERIES(named("%s events at the ends", family), "%s %s", hexed(events_within(p[1], 0x7fff, 20)), hexed(events_within(p[0], 0x7fff, 20)));
        SHOW(named("%s write after SHUT_WR", family), "%s", result(send(p[1], "x", 1, 0)));
        SERIES(named("%s the other way", family), "%s %s", result(send(p[0], "hello", 5, 0)), heard(p[1]));
        SHOW(named("%s SHUT_RDWR at the other", family), "%s", result(shutdown(p[0], SHUT_RDWR)));
        pause_ms(20);
        SERIES(named("%s in TIME_WAIT", family), "%s %s %s", result(shutdown(p[1], SHUT_WR)), hexed(events_within(p[1], 0x7fff, 0)), hexed(events_within(p[0], 0x7fff, 0)));
        SERIES(named("%s reads at the end", family), "%s %s", heard(p[0]), heard(p[1]));
        SERIES(named("%s names at the end", family), "%s %s", result(own_port(p[0]) != 0), result(own_port(p[1]) != 0));
        struct end peer = {.len = sizeof peer.at};
        SERIES(named("%s peers at the end", family), "%s %s", result(getpeername(p[0], (void *)&peer.at, &peer.len)), result(getpeername(p[1], (void *)&peer.at, &peer.len)));
        close(p[0]);
        close(p[1]);

        tcp_pair(families[f], p);
        MUST(send(p[0], "hello", 5, 0) == 5);
        events_within(p[1], POLLIN, 1000);
        MUST(shutdown(p[1], SHUT_RD) == 0);
        SHOW(named("%s SHUT_RD tells nobody", family), "%#x", events_within(p[0], POLLIN | POLLHUP, 20));
        SERIES(named("%s what had come", family), "%s, then %s", heard(p[1]), heard(p[1]));
        MUST(send(p[0], "more", 4, 0) == 4);
        pause_ms(10);
        SHOW(named("%s what comes after SHUT_RD", family), "%s", heard(p[1]));
        send(p[0], "more", 4, 0);
        pause_ms(5);
        close(p[1]);
        SERIES(named("%s closed with bytes left", family), "%s %s %s", hexed(events_within(p[0], POLLIN | POLLHUP, 1000)), heard(p[0]), heard(p[0]));
        close(p[0]);

        tcp_pair(families[f], p);
        MUST(send(p[0], "hello", 5, 0) == 5 && send(p[1], "world", 5, 0) == 5);
        events_within(p[0], POLLIN, 1000);
        events_within(p[1], POLLIN, 1000);
        close(p[1]);
        int events = events_within(p[0], POLLHUP, 1000);
        const char *first = heard(p[0]), *second = heard(p[0]), *third = heard(p[0]);
        SHOW(named("%s reset behind bytes", family), "%#x %s %s %s %s", events, first, second, third, result(send(p[0], "x", 1, 0)));
        close(p[0]);

        tcp_pair(families[f], p);
        MUST(shutdown(p[1], SHUT_WR) == 0 && send(p[0], "abc", 3, 0) == 3);
        SHOW(named("%s read behind one's own end", family), "%s", heard(p[1]));
        close(p[1]);
        pause_ms(5);
        const char *sent = result(send(p[0], "abc", 3, 0));
        pause_ms(5);
        SERIES(named("%s write to one closed", family), "%s %s %s", sent, result(send(p[0], "abc", 3, 0)), heard(p[0]));
        close(p[0]);

        /* An abort by SO_LINGER. */
        tcp_pair(families[f], p);
        struct linger now = {1, 0};
        MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
        close(p[1]);
        events = events_within(p[0], 0x7fff, 1000);
        int error = option(p[0], SOL_SOCKET, SO_ERROR), later = events_within(p[0], 0x7fff, 0);
        SERIES(named("%s aborted", family), "%s %s %s %s %s", hexed(events), error_name(error), hexed(later), heard(p[0]), result(send(p[0], "x", 1, 0)));
        close(p[0]);
        for (int what = 0; what < 3; what++) {
            tcp_pair(families[f], p);
            MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
            close(p[1]);
            events_within(p[0], POLLIN, 1000);
            char byte;
            long got = what == 0 ? send(p[0], "x", 1, 0) : what == 1 ? recv(p[0], &byte, 1, MSG_PEEK) : shutdown(p[0], SHUT_RDWR);
            const char *one = result(got);
            SERIES(named("%s aborted, %s first", family, what == 0 ? "send" : what == 1 ? "peek" : "shutdown"), "%s, then %s, SO_ERROR %s", one, result(send(p[0], "x", 1, 0)), error_name(option(p[0], SOL_SOCKET, SO_ERROR)));
            close(p[0]);
        }
        (void)bytes;
    }
}

GROUP(tcp_trunc)
{
    before();
    /* The first who asks for stamps is not served at once. */
    set(socket(AF_INET, SOCK_DGRAM, 0), SOL_SOCKET, SO_TIMESTAMP, 1);
    pause_ms(50);
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]);
        int p[2];
        tcp_pair(families[f], p);
        static const int flags[] = {MSG_TRUNC, MSG_TRUNC | MSG_CTRUNC, MSG_CTRUNC, MSG_TRUNC | MSG_PEEK, MSG_WAITALL | MSG_TRUNC, MSG_PEEK};
        for (size_t i = 0; i < COUNT(flags); i++)
            for (int more = 0; more < 2; more++) {
                char sent[64], got[128] = {0};
                memset(sent, 's', sizeof sent);
                if (more && flags[i] & MSG_WAITALL)
                    continue;
                MUST(send(p[0], sent, sizeof sent, 0) == sizeof sent);
                events_within(p[1], POLLIN, 1000);
                ssize_t n = recv(p[1], got, more ? 128 : 32, flags[i]);
                char first = got[0] ? got[0] : '0';
                SHOW(named("%s %#x of %s", family, flags[i], more ? "more" : "half"), "%zd '%c', left %s", n, first, heard(p[1]));
            }
        for (int on = 0; on < 2; on++) {
            char control[256], bytes[1024];
            set(p[1], SOL_TCP, TCP_INQ, 1);
            set(p[1], SOL_SOCKET, SO_TIMESTAMP, on);
            MUST(send(p[0], bytes, 1024, 0) == 1024);
            pause_ms(5);
            struct iovec v = {bytes, 400};
            struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
            ssize_t n = recvmsg(p[1], &m, 0);
            char text[200];
            int at = sprintf(text, "%zd", n);
            for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                at += sprintf(text + at, " %d.%d.%zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
            SHOW(named("%s TCP_INQ%s", family, on ? " and SO_TIMESTAMP" : ""), "%s, left %s", text, heard(p[1]));
        }
        int n = -1;
        MUST(send(p[0], "hello", 5, 0) == 5);
        events_within(p[1], POLLIN, 1000);
        SHOW(named("%s FIONREAD", family), "%s %d", result(ioctl(p[1], FIONREAD, &n)), n);
        SHOW(named("%s recv of none", family), "%s", result(recv(p[1], &n, 0, 0)));
        heard(p[1]);
        SHOW(named("%s recv of none without a wait", family), "%s", result(recv(p[1], &n, 0, MSG_DONTWAIT)));
        close(p[0]);
        close(p[1]);
    }
}

static void *shut_later(void *fd)
{
    pause_ms(60);
    shutdown(*(int *)fd, SHUT_WR);
    return 0;
}

static void *shut_reading_later(void *fd)
{
    pause_ms(60);
    shutdown(*(int *)fd, SHUT_RD);
    return 0;
}

GROUP(tcp_itself)
{
    before();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]);
        static char much[8 << 20];
        pthread_t thread;
        int fd = bound_at(SOCK_STREAM, ip);
        MUST(connect_to(fd, ip, own_port(fd)) == 0);
        pthread_create(&thread, 0, shut_later, &fd);
        ssize_t n = 0, one;
        while ((one = send(fd, much, sizeof much, 0)) > 0)
            n += one;
        SHOW(named("%s a write that a shutdown ends", family), "%d %s", n < (ssize_t)sizeof much, error_name(errno));
        pthread_join(thread, 0);
        close(fd);
        fd = bound_at(SOCK_STREAM, ip);
        MUST(connect_to(fd, ip, own_port(fd)) == 0);
        pthread_create(&thread, 0, shut_reading_later, &fd);
        SHOW(named("%s a read of none that a shutdown ends", family), "%s", result(recv(fd, much, 0, 0)));
        pthread_join(thread, 0);
        close(fd);
        fd = bound_at(SOCK_STREAM, ip);
        int segment = 256, buffer = 512 << 10;
        setsockopt(fd, SOL_TCP, TCP_MAXSEG, &segment, sizeof segment);
        MUST(connect_to(fd, ip, own_port(fd)) == 0);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        SERIES(named("%s small segments", family), "%s %s", result(send(fd, much, 300 << 10, 0)), result(shutdown(fd, SHUT_WR)));
        close(fd);
    }
}

GROUP(tcp_deferred)
{
    before();
    int l[2], c[2];
    for (int f = 0; f < 2; f++) {
        l[f] = bound_at(SOCK_STREAM, loopback_of(families[f]));
        set(l[f], IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
        MUST(listen(l[f], 5) == 0);
        fcntl(l[f], F_SETFL, O_NONBLOCK);
        c[f] = socket(families[f], SOCK_STREAM, 0);
        MUST(connect_to(c[f], loopback_of(families[f]), own_port(l[f])) == 0);
    }
    pause_ms(300);
    for (int f = 0; f < 2; f++)
        ERR(named("%s at once", family_name(families[f])), EAGAIN, accept(l[f], 0, 0));
    for (int f = 0; f < 2; f++) {
        events_within(l[f], POLLIN, 3000);
        YES(named("%s after its time", family_name(families[f])), accept(l[f], 0, 0) >= 0);
    }
    static const int values[] = {-1, 0, 1, 2, 3, 4, 5, 7, 8, 100, 1000};
    for (size_t i = 0; i < COUNT(values); i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int said = set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, values[i]);
        SHOW(named("set to %d", values[i]), "%d %d", said, option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT));
        close(fd);
    }
}

GROUP(tcp_backlog_full)
{
    before();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]);
        for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
            int l = bound_at(SOCK_STREAM, ip), one = socket(families[f], SOCK_STREAM, 0), two = socket(families[f], SOCK_STREAM | SOCK_NONBLOCK, 0);
            MUST(listen(l, 0) == 0 && connect_to(one, ip, own_port(l)) == 0);
            ERR(named("%s the second, %d", family, how), EINPROGRESS, connect_to(two, ip, own_port(l)));
            SERIES(named("%s waits, %d", family, how), "%s %s", hexed(events_within(two, 0x7fff, 10)), result(connect_to(two, ip, own_port(l))));
            SERIES(named("%s shut down, %d", family, how), "%s %s", result(shutdown(two, how)), hexed(events_within(two, 0x7fff, 0)));
            SERIES(named("%s after it, %d", family, how), "%s %s", error_name(option(two, SOL_SOCKET, SO_ERROR)), result(send(two, "x", 1, 0)));
            close(two);
            close(l);
            SERIES(named("%s the first, %d", family, how), "%s %s", hexed(events_within(one, 0x7fff, 1000)), heard(one));
            close(one);
        }
    }
}

GROUP(tcp_copies)
{
    before();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]);
        int p[2], pipe_ends[2];
        char bytes[4096];
        tcp_pair(families[f], p);
        MUST(pipe(pipe_ends) == 0 && write(pipe_ends[1], bytes, 2048) == 2048);
        SERIES(named("%s from a pipe", family), "%s %s", result(splice(pipe_ends[0], 0, p[0], 0, 4096, 0)), heard(p[1]));
        MUST(write(p[0], bytes, 1000) == 1000 && shutdown(p[0], SHUT_WR) == 0);
        events_within(p[1], POLLIN, 1000);
        SERIES(named("%s to a pipe", family), "%s %s", result(splice(p[1], 0, pipe_ends[1], 0, 4096, 0)), result(read(pipe_ends[0], bytes, 4096)));
        SHOW(named("%s at the end", family), "%s", result(splice(p[1], 0, pipe_ends[1], 0, 4096, 0)));
        int file = file_with("data", "0123456789");
        SERIES(named("%s sendfile", family), "%s %s", result(sendfile(p[1], file, 0, 100)), heard(p[0]));
        SHOW(named("%s sendfile after the end", family), "%s", result(sendfile(p[0], file, 0, 100)));
        close(p[0]);
        close(p[1]);
    }
}

/* Many at once that come and go. */
static void *come_and_go(void *family)
{
    for (int i = 0; i < 20; i++) {
        int p[2];
        tcp_pair((long)family, p);
        if (write(p[0], "abc", 3) != 3)
            return (void *)1;
        close(p[i & 1]);
        close(p[!(i & 1)]);
    }
    return 0;
}

GROUP(tcp_many)
{
    before();
    pthread_t threads[16];
    void *failed;
    long failures = 0;
    for (int i = 0; i < 16; i++)
        pthread_create(&threads[i], 0, come_and_go, (void *)(long)families[i & 1]);
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], &failed);
        failures += (long)failed;
    }
    EQ("come and go", 0, failures);
    int l = bound_at(SOCK_STREAM, "127.0.0.1"), fds[257], events = 0, odd = 0;
    MUST(listen(l, 256) == 0);
    for (int i = 0; i < 257; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        MUST(connect_to(fds[i], "127.0.0.1", own_port(l)) == -1 && errno == EINPROGRESS);
    }
    MUST(shutdown(l, SHUT_RD) == 0);
    for (int i = 0; i < 257; i++) {
        events = events_within(fds[i], 0x7fff, 1000);
        int error = option(fds[i], SOL_SOCKET, SO_ERROR);
        if (error == 0 ? events != (POLLOUT | POLLWRNORM) : error != ECONNRESET && error != ECONNREFUSED)
            odd++;
        if (error)
            events = events_within(fds[i], 0x7fff, 0);
    }
    SHOW("a listener that goes", "odd %d, events %#x", odd, events);
}

static void few_ports(void)
{
    int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY);
    MUST(fd >= 0 && write(fd, "40000 40049", 11) == 11);
    close(fd);
}

static void all_ports(void)
{
    int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY);
    MUST(fd >= 0 && write(fd, "32768 60999", 11) == 11);
    close(fd);
}

/* Where there are but fifty ports to choose from. */
GROUP(tcp_few_ports)
{
    before();
    few_ports();
    for (int f = 0; f < 2; f++) {
        const char *family = family_name(families[f]), *ip = loopback_of(families[f]);
        int done = 0, p[2];
        char bytes[100];
        /* Connections that are reset leave nothing behind. */
        for (; done < 120; done++) {
            int l = socket(families[f], SOCK_STREAM, 0);
            if (bind_to(l, ip, 0) < 0 || listen(l, 1) < 0)
                break;
            p[0] = socket(families[f], SOCK_STREAM, 0);
            if (connect_to(p[0], ip, own_port(l)) < 0)
                break;
            p[1] = accept(l, 0, 0);
            close(l);
            if (send(p[0], bytes, 100, 0) != 100 || !events_within(p[1], POLLIN, 1000))
                break;
            close(p[1]);
            close(p[0]);
        }
        SHOW(named("%s reset", family), "%d %s", done, done < 120 ? error_name(errno) : "");
        /* From one port to many. */
        int listeners[4], ends[300], count = 0, error = 0;
        for (int i = 0; i < 4; i++) {
            listeners[i] = socket(families[f], SOCK_STREAM, 0);
            MUST(bind_to(listeners[i], ip, 30001 + i) == 0 && listen(listeners[i], 100) == 0);
        }
        for (; count < 300; count++) {
            ends[count] = socket(families[f], SOCK_STREAM, 0);
            if (connect_to(ends[count], ip, 30001 + count % 4) < 0) {
                error = errno;
                close(ends[count]);
                break;
            }
        }
        /* Each port serves all four, but for the few that others may hold. */
        SHOW(named("%s connected to four", family), "%d %s", count > 150 && count <= 200, error_name(error));
        struct linger now = {1, 0};
        for (int i = 0; i < count; i++) {
            setsockopt(ends[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close(ends[i]);
        }
        for (int i = 0; i < 4; i++)
            close(listeners[i]);
        /* Those that only wait for stragglers give way after a while. */
        int l = socket(families[f], SOCK_STREAM, 0), slept = 0;
        MUST(bind_to(l, ip, 30005) == 0 && listen(l, 10) == 0);
        for (done = 0; done < 90; done++) {
            int c = socket(families[f], SOCK_STREAM, 0);
            set(c, SOL_SOCKET, SO_REUSEADDR, 1);
            if (connect_to(c, ip, 30005) < 0) {
                error = errno;
                close(c);
                if (slept || error != EADDRNOTAVAIL)
                    break;
                slept = 1;
                pause_ms(1500);
                done--;
                continue;
            }
            int a = accept(l, 0, 0);
            shutdown(c, SHUT_RDWR);
            events_within(a, POLLIN, 1000);
            close(a);
            close(c);
        }
        SHOW(named("%s closed by the one that connects", family), "%d, slept %d", done, slept);
        for (done = 0; done < 120; done++) {
            int c = socket(families[f], SOCK_STREAM, 0);
            if (connect_to(c, ip, 30005) < 0)
                break;
            int a = accept(l, 0, 0);
            shutdown(a, SHUT_RDWR);
            events_within(c, POLLIN, 1000);
            close(c);
            close(a);
        }
        SHOW(named("%s closed by the one that accepts", family), "%d %s", done, done < 120 ? error_name(errno) : "");
        close(l);
        /* All bound. */
        int fds[2][64];
        for (int kind = 0; kind < 2; kind++) {
            int n = 0;
            for (; n < 64; n++) {
                fds[kind][n] = socket(families[f], kind ? SOCK_DGRAM : SOCK_STREAM, 0);
                if (bind_to(fds[kind][n], ip, 0) < 0)
                    break;
            }
            SHOW(named("%s all bound, %s", family, kind ? "UDP" : "TCP"), "at least 40 %d, %s", n >= 40, error_name(errno));
            int late = socket(families[f], kind ? SOCK_DGRAM : SOCK_STREAM, 0);
            SHOW(named("%s all bound, connect %s", family, kind ? "UDP" : "TCP"), "%s", result(connect_to(late, ip, 30009)));
            if (kind)
                SHOW(named("%s all bound, sendto", family), "%s", result(send_to(socket(families[f], SOCK_DGRAM, 0), "x", 1, ip, 30009)));
            close(late);
            for (int i = 0; i <= n && i < 64; i++)
                close(fds[kind][i]);
        }
    }
    all_ports();
}
