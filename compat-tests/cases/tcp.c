/* TCP: waits that hold nobody else up, connections in every state, urgent data (tcp(7), socket(7)). */
#include "case.h"
#include "inet.h"
#include <linux/errqueue.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#ifndef SIOCATMARK
#define SIOCATMARK 0x8905
#endif

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* A listener on a free port of the loopback, and its address. */
static int listener(int backlog, struct sockaddr_in *at)
{
    socklen_t n = sizeof *at;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    *at = loopback(0);
    MUST(s >= 0 && bind(s, (void *)at, sizeof *at) == 0 && listen(s, backlog) == 0);
    MUST(getsockname(s, (void *)at, &n) == 0);
    return s;
}

/* A connection: the end that connected, and the one that was accepted. */
static void pair(int fd[2])
{
    struct sockaddr_in at;
    int l = listener(1, &at);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(fd[0], (void *)&at, sizeof at) == 0);
    fd[1] = accept(l, 0, 0);
    MUST(fd[1] >= 0);
    close(l);
}

static void limit(int fd, int name, int ms)
{
    struct timeval t = {ms / 1000, ms % 1000 * 1000};
    MUST(setsockopt(fd, SOL_SOCKET, name, &t, sizeof t) == 0);
}

static void fill(int fd)
{
    static char bytes[1 << 16];
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0 || (pause_ms(60), send(fd, bytes, 1, MSG_DONTWAIT) > 0))
        ;
}

static void *sit_in_read(void *fd)
{
    char byte;
    return (void *)(long)read(*(int *)fd, &byte, 1);
}

static void *sit_in_write(void *fd)
{
    static char bytes[1 << 20];
    long all = 0, n;
    while ((n = write(*(int *)fd, bytes, sizeof bytes)) > 0)
        all += n;
    return (void *)all;
}

static void on_signal(int signal) { (void)signal; }

GROUP(waiting)
{
    int fd[2];
    pthread_t thread;
    char byte;
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, 0);

    pair(fd);
    pthread_create(&thread, 0, sit_in_read, &fd[1]);
    pause_ms(30);
    ERR("recv without a wait beside a reader", EAGAIN, recv(fd[1], &byte, 1, MSG_DONTWAIT));
    limit(fd[1], SO_RCVTIMEO, 30);
    ERR("recv with a time-out beside a reader", EAGAIN, recv(fd[1], &byte, 1, 0));
    limit(fd[1], SO_RCVTIMEO, 0);
    struct itimerval soon = {.it_value = {0, 30000}};
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    /* Only this thread takes the signal: the reader has it blocked by its own mask. */
    setitimer(ITIMER_REAL, &soon, 0);
    pause_ms(60);
    EQ("a byte for the reader", 1, send(fd[0], "x", 1, 0));
    void *got;
    pthread_join(thread, &got);
    YES("the reader ended", got == (void *)1 || got == (void *)-1);
    if (got == (void *)-1)
        read(fd[1], &byte, 1);

    pthread_t two[2];
    pthread_create(&two[0], 0, sit_in_read, &fd[1]);
    pthread_create(&two[1], 0, sit_in_read, &fd[1]);
    pause_ms(20);
    send(fd[0], "xy", 2, 0);
    pthread_join(two[0], &got);
    EQ("one of two readers", 1, (long)got);
    pthread_join(two[1], &got);
    EQ("the other", 1, (long)got);

    fill(fd[0]);
    static char large[1 << 16];
    struct iovec much = {large, sizeof large};
    ERR("pwritev2 with RWF_NOWAIT", EAGAIN, pwritev2(fd[0], &much, 1, -1, RWF_NOWAIT));
    pthread_create(&thread, 0, sit_in_write, &fd[0]);
    pause_ms(30);
    ERR("send without a wait beside a writer", EAGAIN, send(fd[0], "x", 1, MSG_DONTWAIT));
    limit(fd[0], SO_SNDTIMEO, 30);
    ERR("send with a time-out beside a writer", EAGAIN, send(fd[0], "x", 1, 0));
    struct iovec v = {&byte, 1};
    ERR("preadv2 with RWF_NOWAIT", EAGAIN, preadv2(fd[0], &v, 1, -1, RWF_NOWAIT));
    EQ("shutdown ends the writer", 0, shutdown(fd[0], SHUT_WR));
    pthread_join(thread, &got);
    YES("the writer ended", 1);
    close(fd[0]);
    close(fd[1]);

    int status;
    pair(fd);
    pid_t child = fork();
    if (child == 0) {
        pthread_create(&thread, 0, sit_in_read, &fd[1]);
        pthread_create(&thread, 0, sit_in_read, &fd[1]);
        read(fd[1], &byte, 1);
        _exit(0);
    }
    pause_ms(50);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    EQ("a killed process with three readers", SIGKILL, WTERMSIG(status));
    close(fd[0]);
    close(fd[1]);
}

GROUP(negative_timeout)
{
    int fd[2];
    char byte;
    struct timeval negative = {-1, 0};
    struct timeval got;
    socklen_t n = sizeof got;
    pair(fd);
    OK("set on TCP", setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &negative, sizeof negative));
    OK("get", getsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &got, &n));
    EQ("seconds", 0, got.tv_sec);
    EQ("microseconds", 0, got.tv_usec);
    ERR("recv", EAGAIN, recv(fd[0], &byte, 1, 0));
    struct sockaddr_in at;
    int l = listener(1, &at);
    OK("set on a listener", setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &negative, sizeof negative));
    ERR("accept", EAGAIN, accept(l, 0, 0));
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    OK("set on UDP", setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &negative, sizeof negative));
    ERR("recv of UDP", EAGAIN, recv(u, &byte, 1, 0));
    OK("set for sending", setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &negative, sizeof negative));
    fill(fd[0]);
    ERR("send", EAGAIN, send(fd[0], "x", 1, 0));
    struct timeval odd = {0, -1};
    ERR("negative microseconds", EDOM, setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &odd, sizeof odd));
    odd.tv_usec = 1000000;
    ERR("too many microseconds", EDOM, setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &odd, sizeof odd));
}

GROUP(connect_to_itself)
{
    char bytes[4] = "";
    socklen_t n = sizeof(struct sockaddr_in);
    struct sockaddr_in at = loopback(0);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(s, (void *)&at, n) == 0 && getsockname(s, (void *)&at, &n) == 0);
    OK("connect", connect(s, (void *)&at, n));
    struct sockaddr_in peer;
    OK("getpeername", getpeername(s, (void *)&peer, &n));
    YES("its own port", at.sin_port == peer.sin_port);
    EQ("send", 3, send(s, "abc", 3, 0));
    EQ("recv", 3, recv(s, bytes, 3, 0));
    TEXT("what came back", "abc", bytes);
    EQ("events", POLLOUT, events_of(s, POLLIN | POLLOUT));
    OK("shutdown", shutdown(s, SHUT_WR));
    EQ("the end", 0, recv(s, bytes, 3, 0));
    close(s);
}

GROUP(shutdown_connecting)
{
    struct sockaddr_in at;
    int l = listener(0, &at), first = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(first, (void *)&at, sizeof at) == 0);
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
        int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ERR(named("connect, then %d", how), EINPROGRESS, connect(s, (void *)&at, sizeof at));
        ERR(named("connect again, then %d", how), EALREADY, connect(s, (void *)&at, sizeof at));
        ERR(named("recv, then %d", how), EAGAIN, recv(s, &at, 1, 0));
        EQ(named("events, then %d", how), 0, events_of(s, POLLIN | POLLOUT | POLLRDHUP));
        OK(named("shutdown %d", how), shutdown(s, how));
        EQ(named("events after %d", how), POLLOUT | POLLERR | POLLHUP, events_of(s, POLLIN | POLLOUT | POLLRDHUP));
        EQ(named("SO_ERROR after %d", how), ECONNRESET, option(s, SOL_SOCKET, SO_ERROR));
        EQ(named("SO_ERROR once more after %d", how), 0, option(s, SOL_SOCKET, SO_ERROR));
        EQ(named("events without the error after %d", how), POLLOUT | POLLHUP, events_of(s, POLLIN | POLLOUT | POLLRDHUP));
        ERR(named("connect after %d", how), EINPROGRESS, connect(s, (void *)&at, sizeof at));
        close(s);
    }
    close(l);
    close(first);
}

GROUP(listener_states)
{
    struct sockaddr_in at, other;
    socklen_t n = sizeof other;
    int l = listener(1, &at), s = socket(AF_INET, SOCK_STREAM, 0);
    EQ("SO_ACCEPTCONN", 1, option(l, SOL_SOCKET, SO_ACCEPTCONN));
    ERR("connect of a listener", EISCONN, connect(l, (void *)&at, sizeof at));
    ERR("recv of a listener", ENOTCONN, recv(l, &other, 1, 0));
    ERR("send of a listener", EPIPE, send(l, "x", 1, MSG_NOSIGNAL));
    ERR("getpeername of a listener", ENOTCONN, getpeername(l, (void *)&other, &n));
    EQ("events of a listener", 0, events_of(l, POLLIN | POLLOUT));
    OK("shutdown for writing", shutdown(l, SHUT_WR));
    OK("it still listens", connect(s, (void *)&at, sizeof at));
    EQ("events with somebody waiting", POLLIN, wait_for(l, POLLIN | POLLOUT));
    OK("shutdown for reading", shutdown(l, SHUT_RD));
    EQ("SO_ACCEPTCONN then", 0, option(l, SOL_SOCKET, SO_ACCEPTCONN));
    ERR("accept then", EINVAL, accept(l, 0, 0));
    EQ("events then", POLLOUT | POLLHUP, events_of(l, POLLIN | POLLOUT));
    EQ("who waited is reset", POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP, wait_for(s, POLLIN | POLLOUT | POLLRDHUP));
    ERR("recv of who waited", ECONNRESET, recv(s, &other, 1, 0));
    EQ("recv once more", 0, recv(s, &other, 1, 0));
    OK("listen again", listen(l, 1));
    close(s);
    close(l);

    /* A port that bind(2) named stays, one that the kernel chose does not. */
    s = socket(AF_INET, SOCK_STREAM, 0);
    at = loopback(0);
    MUST(bind(s, (void *)&at, sizeof at) == 0 && getsockname(s, (void *)&at, &n) == 0);
    close(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(s, (void *)&at, sizeof at) == 0 && listen(s, 1) == 0 && shutdown(s, SHUT_RD) == 0);
    MUST(getsockname(s, (void *)&other, &n) == 0);
    YES("a named port stays", at.sin_port == other.sin_port);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    MUST(listen(s, 1) == 0);
    OK("disconnect of a listener", connect(s, &none, sizeof none));
    MUST(getsockname(s, (void *)&other, &n) == 0);
    YES("the port stays there too", at.sin_port == other.sin_port);
    EQ("it listens no more", 0, option(s, SOL_SOCKET, SO_ACCEPTCONN));
    close(s);
}

static void *shut_soon(void *fd)
{
    pause_ms(30);
    shutdown(*(int *)fd, SHUT_RD);
    return 0;
}

GROUP(accept_ends)
{
    struct sockaddr_in at;
    int l = listener(1, &at);
    pthread_t thread;
    pthread_create(&thread, 0, shut_soon, &l);
    ERR("accept while the listener is shut down", EINVAL, accept(l, 0, 0));
    pthread_join(thread, 0);
    close(l);
}

GROUP(refused)
{
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    int b = socket(AF_INET, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    at = loopback(0);
    MUST(bind(b, (void *)&at, n) == 0 && getsockname(b, (void *)&at, &n) == 0);
    ERR("connect to nobody", EINPROGRESS, connect(s, (void *)&at, n));
    EQ("events", POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP, wait_for(s, POLLIN | POLLOUT | POLLRDHUP));
    ERR("recv", ECONNREFUSED, recv(s, &at, 1, MSG_PEEK));
    EQ("recv again", 0, recv(s, &at, 1, 0));
    n = sizeof at;
    ERR("connect again", ECONNABORTED, connect(s, (void *)&at, n));
    OK("listen", listen(b, 1));
    getsockname(b, (void *)&at, &n);
    ERR("connect to somebody", EINPROGRESS, connect(s, (void *)&at, n));
    EQ("connected", POLLOUT, wait_for(s, POLLOUT));
    OK("connect tells so", connect(s, (void *)&at, n));
    ERR("and then", EISCONN, connect(s, (void *)&at, n));
    close(s);
    close(b);
}

GROUP(reset)
{
    int fd[2];
    char byte;
    signal(SIGPIPE, SIG_IGN);
    struct linger none = {1, 0};
    pair(fd);
    MUST(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0);
    close(fd[1]);
    EQ("events after a reset", POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP, wait_for(fd[0], POLLIN | POLLOUT | POLLRDHUP));
    ERR("send", ECONNRESET, send(fd[0], "x", 1, 0));
    ERR("send again", EPIPE, send(fd[0], "x", 1, 0));
    EQ("recv", 0, recv(fd[0], &byte, 1, 0));
    EQ("events without the error", POLLIN | POLLOUT | POLLHUP | POLLRDHUP, events_of(fd[0], POLLIN | POLLOUT | POLLRDHUP));
    struct sockaddr_in peer;
    socklen_t n = sizeof peer;
    ERR("getpeername", ENOTCONN, getpeername(fd[0], (void *)&peer, &n));
    ERR("shutdown", ENOTCONN, shutdown(fd[0], SHUT_RDWR));
    close(fd[0]);

    pair(fd);
    send(fd[0], "unread", 6, 0);
    wait_for(fd[1], POLLIN);
    send(fd[1], "kept", 4, 0);
    wait_for(fd[0], POLLIN);
    close(fd[1]);
    wait_for(fd[0], POLLHUP);
    char bytes[8] = "";
    EQ("what had come is read", 4, recv(fd[0], bytes, 8, 0));
    ERR("then the reset", ECONNRESET, recv(fd[0], bytes, 8, 0));
    close(fd[0]);

    pair(fd);
    shutdown(fd[1], SHUT_WR);
    EQ("events after the other's FIN", POLLIN | POLLOUT | POLLRDHUP, wait_for(fd[0], POLLIN | POLLRDHUP) | events_of(fd[0], POLLOUT));
    shutdown(fd[0], SHUT_WR);
    EQ("events after both", POLLIN | POLLOUT | POLLHUP | POLLRDHUP, events_of(fd[0], POLLIN | POLLOUT | POLLRDHUP));
    wait_for(fd[1], POLLHUP);
    ERR("shutdown in TIME_WAIT", ENOTCONN, shutdown(fd[1], SHUT_WR));
    close(fd[0]);
    close(fd[1]);
}

GROUP(disconnect)
{
    int fd[2];
    char byte;
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_in name;
    socklen_t n = sizeof name;
    pair(fd);
    OK("connect to nobody", connect(fd[0], &none, sizeof none));
    ERR("getpeername", ENOTCONN, getpeername(fd[0], (void *)&name, &n));
    MUST(getsockname(fd[0], (void *)&name, &n) == 0);
    YES("the last port is told", name.sin_port != 0);
    EQ("no address", 0, name.sin_addr.s_addr);
    wait_for(fd[1], POLLHUP);
    ERR("the other is reset", ECONNRESET, recv(fd[1], &byte, 1, 0));
    struct sockaddr_in at;
    int l = listener(1, &at);
    OK("connect anew", connect(fd[0], (void *)&at, sizeof at));
    close(l);
    close(fd[0]);
    close(fd[1]);
}

static volatile int urgent;
static void on_urgent(int signal)
{
    (void)signal;
    urgent++;
}

GROUP(urgent)
{
    int fd[2], mark;
    char bytes[16] = "";
    struct sigaction action = {.sa_handler = on_urgent, .sa_flags = SA_RESTART};
    sigaction(SIGURG, &action, 0);
    pair(fd);
    MUST(fcntl(fd[1], F_SETFL, O_NONBLOCK) == 0 && fcntl(fd[1], F_SETOWN, getpid()) == 0);
    ERR("none as yet", EINVAL, recv(fd[1], bytes, 1, MSG_OOB));
    EQ("send with MSG_OOB", 3, send(fd[0], "ab!", 3, MSG_OOB));
    EQ("send", 2, send(fd[0], "cd", 2, 0));
    EQ("events", POLLIN | POLLPRI, wait_for(fd[1], POLLPRI) | events_of(fd[1], POLLIN));
    pause_ms(5);
    EQ("SIGURG", 1, urgent);
    OK("SIOCATMARK", ioctl(fd[1], SIOCATMARK, &mark));
    EQ("not at the mark", 0, mark);
    OK("FIONREAD", ioctl(fd[1], FIONREAD, &mark));
    EQ("up to the mark", 2, mark);
    EQ("peek", 1, recv(fd[1], bytes, 1, MSG_OOB | MSG_PEEK));
    struct iovec v = {bytes, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    EQ("recvmsg", 1, recvmsg(fd[1], &m, MSG_OOB));
    EQ("its flags", MSG_OOB, m.msg_flags);
    EQ("the byte", '!', bytes[0]);
    ERR("once only", EINVAL, recv(fd[1], bytes, 1, MSG_OOB));
    EQ("events then", POLLIN, events_of(fd[1], POLLIN | POLLPRI));
    EQ("read stops at the mark", 2, recv(fd[1], bytes, 9, 0));
    OK("SIOCATMARK there", ioctl(fd[1], SIOCATMARK, &mark));
    EQ("at the mark", 1, mark);
    EQ("read goes on behind it", 2, recv(fd[1], bytes, 9, 0));
    bytes[2] = 0;
    TEXT("what is there", "cd", bytes);
    ERR("nothing else", EAGAIN, recv(fd[1], bytes, 9, 0));

    OK("SO_OOBINLINE", set(fd[1], SOL_SOCKET, SO_OOBINLINE, 1));
    EQ("read back", 1, option(fd[1], SOL_SOCKET, SO_OOBINLINE));
    send(fd[0], "xy?", 3, MSG_OOB);
    wait_for(fd[1], POLLPRI);
    ERR("MSG_OOB with it", EINVAL, recv(fd[1], bytes, 1, MSG_OOB));
    EQ("read up to the mark", 2, recv(fd[1], bytes, 9, 0));
    EQ("read of the byte", 1, recv(fd[1], bytes, 9, 0));
    EQ("which is", '?', bytes[0]);

    OK("out of line again", set(fd[1], SOL_SOCKET, SO_OOBINLINE, 0));
    send(fd[0], "1", 1, MSG_OOB);
    wait_for(fd[1], POLLPRI);
    send(fd[0], "2", 1, MSG_OOB);
    for (int i = 0; i < 100 && recv(fd[1], bytes, 1, MSG_OOB | MSG_PEEK) == 1 && bytes[0] != '2'; i++)
        pause_ms(5);
    EQ("a newer one", 1, recv(fd[1], bytes, 1, MSG_OOB));
    EQ("takes the older one's place", '2', bytes[0]);
    close(fd[0]);
    close(fd[1]);
}

GROUP(inq)
{
    int fd[2], left = 0;
    char bytes[64], space[CMSG_SPACE(64)];
    pair(fd);
    EQ("at first", 0, option(fd[1], IPPROTO_TCP, TCP_INQ));
    ERR("2", EINVAL, set(fd[1], IPPROTO_TCP, TCP_INQ, 2));
    OK("1", set(fd[1], IPPROTO_TCP, TCP_INQ, 1));
    EQ("read back", 1, option(fd[1], IPPROTO_TCP, TCP_INQ));
    send(fd[0], bytes, 64, 0);
    while (ioctl(fd[1], FIONREAD, &left) == 0 && left < 64)
        pause_ms(1);
    static const int sizes[] = {40, 16, 8};
    for (int i = 0; i < 3; i++) {
        int size = sizes[i];
        struct iovec v = {bytes, size};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        EQ(named("recvmsg of %d", size), size, recvmsg(fd[1], &m, 0));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c)
            memcpy(&left, CMSG_DATA(c), sizeof left);
        SHOW(named("message after %d", size), "%d %d %d", c ? c->cmsg_level : 0, c ? c->cmsg_type : 0, left);
    }
    close(fd[0]);
    struct iovec v = {bytes, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    wait_for(fd[1], POLLRDHUP);
    EQ("recvmsg at the end", 0, recvmsg(fd[1], &m, 0));
    close(fd[1]);
}

GROUP(tcp_options)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), fd[2];
    char name[20];
    socklen_t n;
    static const struct { const char *name; int option, usual, value, got, error; } table[] = {
        {"TCP_NODELAY", TCP_NODELAY, 0, 5, 1, 0},
        {"TCP_CORK", TCP_CORK, 0, 5, 1, 0},
        {"TCP_KEEPIDLE", TCP_KEEPIDLE, 7200, 32767, 32767, 0},
        {"TCP_KEEPIDLE above", TCP_KEEPIDLE, 7200, 32768, 7200, EINVAL},
        {"TCP_KEEPIDLE 0", TCP_KEEPIDLE, 7200, 0, 7200, EINVAL},
        {"TCP_KEEPINTVL", TCP_KEEPINTVL, 75, 32767, 32767, 0},
        {"TCP_KEEPCNT", TCP_KEEPCNT, 9, 127, 127, 0},
        {"TCP_KEEPCNT above", TCP_KEEPCNT, 9, 128, 9, EINVAL},
        {"TCP_SYNCNT", TCP_SYNCNT, 6, 20, 20, 0},
        {"TCP_SYNCNT above", TCP_SYNCNT, 6, 256, 6, EINVAL},
        {"TCP_LINGER2", TCP_LINGER2, 60, 59, 59, 0},
        {"TCP_LINGER2 negative", TCP_LINGER2, 60, -1234, -1, 0},
        {"TCP_LINGER2 above", TCP_LINGER2, 60, 121, 120, 0},
        {"TCP_DEFER_ACCEPT", TCP_DEFER_ACCEPT, 0, 3, 3, 0},
        {"TCP_DEFER_ACCEPT negative", TCP_DEFER_ACCEPT, 0, -1, 0, 0},
        {"TCP_WINDOW_CLAMP", TCP_WINDOW_CLAMP, 0, 1, 1152, 0},
        {"TCP_QUICKACK", TCP_QUICKACK, 1, 0, 0, 0},
        {"TCP_USER_TIMEOUT", TCP_USER_TIMEOUT, 0, 100, 100, 0},
        {"TCP_USER_TIMEOUT negative", TCP_USER_TIMEOUT, 0, -1, 0, EINVAL},
        {"TCP_MAXSEG", TCP_MAXSEG, 536, 1024, 1024, 0},
        {"TCP_MAXSEG below", TCP_MAXSEG, 536, 10, 536, EINVAL},
        {"TCP_MAXSEG above", TCP_MAXSEG, 536, 75000, 536, EINVAL},
        {"TCP_NOTSENT_LOWAT", TCP_NOTSENT_LOWAT, 0, 4096, 4096, 0},
        {"TCP_FASTOPEN", TCP_FASTOPEN, 0, 5, 5, 0},
        {"TCP_FASTOPEN_CONNECT", TCP_FASTOPEN_CONNECT, 0, 1, 1, 0},
        {"TCP_THIN_LINEAR_TIMEOUTS", TCP_THIN_LINEAR_TIMEOUTS, 0, 1, 1, 0},
        {"TCP_THIN_LINEAR_TIMEOUTS above", TCP_THIN_LINEAR_TIMEOUTS, 0, 2, 0, EINVAL},
        {"TCP_INQ above", TCP_INQ, 0, -1, 0, EINVAL},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        int fresh = socket(AF_INET, SOCK_STREAM, 0);
        EQ(named("%s at first", table[i].name), table[i].usual, option(fresh, IPPROTO_TCP, table[i].option));
        if (table[i].error)
            ERR(named("%s is set", table[i].name), table[i].error, set(fresh, IPPROTO_TCP, table[i].option, table[i].value));
        else
            OK(named("%s is set", table[i].name), set(fresh, IPPROTO_TCP, table[i].option, table[i].value));
        EQ(named("%s then", table[i].name), table[i].got, option(fresh, IPPROTO_TCP, table[i].option));
        close(fresh);
    }
    static const char *known[] = {"reno", "cubic"};
    for (size_t i = 0; i < COUNT(known); i++) {
        OK(named("TCP_CONGESTION %s", known[i]), setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, known[i], strlen(known[i])));
        n = sizeof name;
        memset(name, '1', sizeof name);
        OK(named("%s is read back", known[i]), getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &n));
        EQ(named("%s, its length", known[i]), 16, n);
        TEXT(named("%s, the name", known[i]), known[i], name);
    }
    ERR("TCP_CONGESTION of nobody", ENOENT, setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nobody", 6));
    ERR("TCP_CONGESTION of nothing", EINVAL, setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "", 0));
    n = 6;
    OK("TCP_CONGESTION, little room", getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &n));
    EQ("what it takes", 6, n);
    ERR("TCP_ULP of nobody", ENOENT, setsockopt(s, IPPROTO_TCP, TCP_ULP, "nobody", 6));
    ERR("a short value", EINVAL, setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &n, 3));
    ERR("an option that nobody knows", ENOPROTOOPT, set(s, IPPROTO_TCP, 99, 1));
    EQ("it is not told either", -ENOPROTOOPT, option(s, IPPROTO_TCP, 99));
    EQ("another level", -EOPNOTSUPP, option(s, IPPROTO_UDP, 1));
    ERR("set of another level", ENOPROTOOPT, set(s, IPPROTO_UDP, 1, 1));

    pair(fd);
    ERR("TCP_WINDOW_CLAMP 0 of a connection", EINVAL, set(fd[0], IPPROTO_TCP, TCP_WINDOW_CLAMP, 0));
    ERR("TCP_FASTOPEN of a connection", EINVAL, set(fd[0], IPPROTO_TCP, TCP_FASTOPEN, 1));
    struct tcp_info info;
    n = sizeof info;
    send(fd[0], "abc", 3, 0);
    wait_for(fd[1], POLLIN);
    OK("TCP_INFO", getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &n));
    EQ("its length", sizeof info, n);
    EQ("state", TCP_ESTABLISHED, info.tcpi_state);
    EQ("ca_state", 0, info.tcpi_ca_state);
    YES("window, time-out and segment", info.tcpi_snd_cwnd > 0 && info.tcpi_rto > 0 && info.tcpi_snd_mss > 0);
    n = 1;
    OK("TCP_INFO, one byte", getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &n));
    EQ("one byte", 1, n);
    struct linger set_ = {1, 5}, got;
    n = sizeof got;
    OK("SO_LINGER", setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &set_, sizeof set_));
    set_.l_onoff = 0, set_.l_linger = 9;
    OK("SO_LINGER off", setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &set_, sizeof set_));
    OK("SO_LINGER read back", getsockopt(fd[0], SOL_SOCKET, SO_LINGER, &got, &n));
    SHOW("linger", "%d %d", got.l_onoff, got.l_linger);
    struct iovec v = {&info, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_namelen = -1, .msg_name = &got};
    ERR("recvmsg with a negative length", EINVAL, recvmsg(fd[1], &m, MSG_DONTWAIT));
    socklen_t negative = -1;
    ERR("recvfrom with a negative length", EINVAL, recvfrom(fd[1], &info, 1, MSG_DONTWAIT, (void *)&got, &negative));
    close(fd[0]);
    close(fd[1]);
    close(s);
}

GROUP(zerocopy)
{
    int fd[2];
    char bytes[32] = "", space[CMSG_SPACE(64)];
    pair(fd);
    EQ("at first", 0, option(fd[0], SOL_SOCKET, SO_ZEROCOPY));
    ERR("2", EINVAL, set(fd[0], SOL_SOCKET, SO_ZEROCOPY, 2));
    EQ("MSG_ZEROCOPY without it", 4, send(fd[0], bytes, 4, MSG_ZEROCOPY));
    OK("1", set(fd[0], SOL_SOCKET, SO_ZEROCOPY, 1));
    EQ("send", 4, send(fd[0], bytes, 4, MSG_ZEROCOPY));
    EQ("send again", 4, send(fd[0], bytes, 4, MSG_ZEROCOPY));
    recv(fd[1], bytes, 12, MSG_WAITALL);
    YES("POLLERR", wait_for(fd[0], 0) & POLLERR);
    pause_ms(20);
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    EQ("recvmsg", 0, recvmsg(fd[0], &m, MSG_ERRQUEUE));
    EQ("flags", MSG_ERRQUEUE, m.msg_flags);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    MUST(c);
    struct sock_extended_err *e = (void *)CMSG_DATA(c);
    SHOW("message", "%d %d %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
    SHOW("what it says", "%u %u %u %u, %u to %u", e->ee_errno, e->ee_origin, e->ee_type, e->ee_code, e->ee_info, e->ee_data);
    ERR("no more", EAGAIN, recvmsg(fd[0], &m, MSG_ERRQUEUE));
    close(fd[0]);
    close(fd[1]);
}

GROUP(groups_on_tcp)
{
    /* Linux joins groups on streams by the newer option alone. */
    struct group_req join = {0};
    struct sockaddr_in *group = (void *)&join.gr_group;
    struct ip_mreqn old = {.imr_ifindex = 1};
    struct sockaddr_in at;
    int l = listener(1, &at), s = socket(AF_INET, SOCK_STREAM, 0);
    join.gr_interface = 1;
    group->sin_family = AF_INET;
    inet_pton(AF_INET, "224.0.0.251", &group->sin_addr);
    old.imr_multiaddr = group->sin_addr;
    ERR("IP_ADD_MEMBERSHIP", EPROTO, setsockopt(l, SOL_IP, IP_ADD_MEMBERSHIP, &old, sizeof old));
    OK("MCAST_JOIN_GROUP", setsockopt(l, SOL_IP, MCAST_JOIN_GROUP, &join, sizeof join));
    MUST(connect(s, (void *)&at, sizeof at) == 0);
    int a = accept(l, 0, 0);
    ERR("a connection has not joined", EADDRNOTAVAIL, setsockopt(a, SOL_IP, MCAST_LEAVE_GROUP, &join, sizeof join));
    OK("MCAST_LEAVE_GROUP", setsockopt(l, SOL_IP, MCAST_LEAVE_GROUP, &join, sizeof join));
    close(a);
    close(s);
    close(l);
}

GROUP(addrform)
{
    struct sockaddr_in6 at6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    socklen_t n = sizeof at6;
    int l = socket(AF_INET6, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(l, (void *)&at6, n) == 0 && listen(l, 1) == 0 && getsockname(l, (void *)&at6, &n) == 0);
    struct sockaddr_in at = loopback(ntohs(at6.sin6_port)), name;
    MUST(connect(s, (void *)&at, sizeof at) == 0);
    int a = accept(l, 0, 0);
    EQ("IPV6_ADDRFORM of a listener", -ENOTCONN, option(l, SOL_IPV6, IPV6_ADDRFORM));
    EQ("of a connection", AF_INET6, option(a, SOL_IPV6, IPV6_ADDRFORM));
    ERR("to another family", EINVAL, set(a, SOL_IPV6, IPV6_ADDRFORM, AF_INET6));
    OK("to IPv4", set(a, SOL_IPV6, IPV6_ADDRFORM, AF_INET));
    EQ("SO_DOMAIN", AF_INET, option(a, SOL_SOCKET, SO_DOMAIN));
    n = sizeof name;
    OK("getpeername", getpeername(a, (void *)&name, &n));
    EQ("its family", AF_INET, name.sin_family);
    EQ("its length", sizeof name, n);
    ERR("once only", ENOPROTOOPT, set(a, SOL_IPV6, IPV6_ADDRFORM, AF_INET));
    ERR("the listener may not", ENOTCONN, set(l, SOL_IPV6, IPV6_ADDRFORM, AF_INET));
    close(a);
    close(s);
    close(l);
}

GROUP(backlog)
{
    struct sockaddr_in at;
    int l = listener(0, &at), s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ERR(named("connect %d", i), EINPROGRESS, connect(s[i], (void *)&at, sizeof at));
    }
    pause_ms(20);
    EQ("the first is connected", POLLOUT, events_of(s[0], POLLOUT));
    EQ("the second waits", 0, events_of(s[1], POLLOUT));
    close(l);
    close(s[0]);
    close(s[1]);
}
