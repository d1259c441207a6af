/* What the cases of sockets over IP share: addresses, sockets that are bound or connected, options, and results as text. */
#ifndef INET_H
#define INET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

/* An address and its length; the port in the machine's order. */
struct end {
    struct sockaddr_storage at;
    socklen_t len;
};

__attribute__((unused)) static struct end end_of(const char *ip, int port)
{
    struct end end = {.len = strchr(ip, ':') ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)};
    struct sockaddr_in *four = (void *)&end.at;
    struct sockaddr_in6 *six = (void *)&end.at;
    if (end.len == sizeof *four) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        MUST(inet_pton(AF_INET, ip, &four->sin_addr) == 1);
    } else {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        MUST(inet_pton(AF_INET6, ip, &six->sin6_addr) == 1);
    }
    return end;
}

/* Bytes as text, the first 100; four at a time. */
__attribute__((unused)) static const char *hex_of(const void *bytes, size_t n)
{
    static char texts[4][201];
    static int turn;
    char *text = texts[turn++ & 3];
    const unsigned char *b = bytes;
    *text = 0;
    for (size_t i = 0; i < n && i < 100; i++)
        sprintf(text + 2 * i, "%02x", b[i]);
    return text;
}

/* IPv4's address for everybody in a family's ear: its loopback. */
__attribute__((unused)) static const char *loopback_of(int family) { return family == AF_INET ? "127.0.0.1" : "::1"; }

__attribute__((unused)) static struct end own_end(int fd)
{
    struct end end = {.len = sizeof end.at};
    MUST(getsockname(fd, (void *)&end.at, &end.len) == 0);
    return end;
}

/* Port and address have the same places in both families' forms up to there. */
__attribute__((unused)) static int own_port(int fd)
{
    struct end end = own_end(fd);
    return ntohs(((struct sockaddr_in *)&end.at)->sin_port);
}

__attribute__((unused)) static int bind_to(int fd, const char *ip, int port)
{
    struct end end = end_of(ip, port);
    return bind(fd, (void *)&end.at, end.len);
}

__attribute__((unused)) static int connect_to(int fd, const char *ip, int port)
{
    struct end end = end_of(ip, port);
    return connect(fd, (void *)&end.at, end.len);
}

__attribute__((unused)) static int send_to(int fd, const void *bytes, size_t len, const char *ip, int port)
{
    struct end end = end_of(ip, port);
    return sendto(fd, bytes, len, 0, (void *)&end.at, end.len);
}

/* A socket that is bound to a free port there. */
__attribute__((unused)) static int bound_at(int kind, const char *ip)
{
    int fd = socket(strchr(ip, ':') ? AF_INET6 : AF_INET, kind, 0);
    MUST(fd >= 0 && bind_to(fd, ip, 0) == 0);
    return fd;
}

__attribute__((unused)) static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* A number, or the negative error. */
__attribute__((unused)) static int option(int fd, int level, int name)
{
    int value = -99;
    socklen_t n = sizeof value;
    if (getsockopt(fd, level, name, &value, &n) < 0)
        return -errno;
    return value;
}

/* A connection of TCP over the loopback: the end that connected, and the one that was accepted. */
__attribute__((unused)) static void tcp_pair(int family, int fd[2])
{
    int l = bound_at(SOCK_STREAM, loopback_of(family));
    MUST(listen(l, 1) == 0);
    fd[0] = socket(family, SOCK_STREAM, 0);
    MUST(connect_to(fd[0], loopback_of(family), own_port(l)) == 0);
    fd[1] = accept(l, 0, 0);
    MUST(fd[1] >= 0);
    close(l);
}

/* The events that there are. */
__attribute__((unused)) static int events_of(int fd, int wanted)
{
    struct pollfd p = {fd, wanted, 0};
    poll(&p, 1, 0);
    return p.revents;
}

/* Waits for events, so that what comes after does not race with the other side. */
__attribute__((unused)) static int wait_for(int fd, int wanted)
{
    struct pollfd p = {fd, wanted, 0};
    poll(&p, 1, 5000);
    return p.revents;
}

/* The events that there are by now, or that come within a while. */
__attribute__((unused)) static int events_within(int fd, int events, int ms)
{
    struct pollfd p = {fd, events, 0};
    return poll(&p, 1, ms) == 1 ? p.revents : 0;
}

__attribute__((unused)) static const char *result(long got)
{
    static char numbers[8][16];
    static int turn;
    if (got == -1)
        return error_name(errno);
    char *text = numbers[turn++ & 7];
    snprintf(text, 16, "%ld", got);
    return text;
}

__attribute__((unused)) static const char *hexed(int number)
{
    static char numbers[8][16];
    static int turn;
    char *text = numbers[turn++ & 7];
    snprintf(text, 16, "%#x", number);
    return text;
}

/* Shows the results of calls, each as a text, that are made in the order in which they stand: those of an initializer are, those of
 * arguments need not be. */
#define SERIES(name, format, ...)                                                                                                \
    do {                                                                                                                         \
        const char *series_[] = {__VA_ARGS__};                                                                                   \
        char all_[1024];                                                                                                         \
        size_t at_ = 0, next_ = 0;                                                                                               \
        for (const char *f_ = (format); *f_ && at_ < sizeof all_ - 1; f_++)                                                      \
            if (*f_ == '%' && next_ < COUNT(series_)) {                                                                          \
                at_ += snprintf(all_ + at_, sizeof all_ - at_, "%s", series_[next_++]);                                          \
                f_++;                                                                                                            \
            } else {                                                                                                             \
                all_[at_++] = *f_;                                                                                               \
            }                                                                                                                    \
        all_[at_] = 0;                                                                                                           \
        SHOW(name, "%s", all_);                                                                                                  \
    } while (0)

/* What is there to be read, without a wait. */
__attribute__((unused)) static const char *heard(int fd)
{
    char bytes[2048];
    events_within(fd, POLLIN, 5);
    return result(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT));
}

/* Reads a packet, and tells its length and the control messages that came with it. */
__attribute__((unused)) static const char *control_of(int fd, void *bytes, size_t len)
{
    static char texts[4][200];
    static int turn;
    char *text = texts[turn++ & 3], control[256];
    struct iovec v = {bytes, len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    events_within(fd, POLLIN, 50);
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    if (n < 0)
        return error_name(errno);
    int at = sprintf(text, "%zd", n);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        unsigned char *data = CMSG_DATA(c);
        at += sprintf(text + at, " %d.%d:", c->cmsg_level, c->cmsg_type);
        for (size_t i = 0; i < c->cmsg_len - CMSG_LEN(0) && i < 20; i++)
            at += sprintf(text + at, "%02x", data[i]);
    }
    return text;
}
#endif
