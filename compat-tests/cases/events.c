/* Waiting for events: epoll, eventfd, poll, ppoll, select, pselect6. */
#include "case.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static int p[2], s[2];
static void note(int signal) { (void)signal; }
static void setup(void)
{
    MUST(pipe2(p, O_NONBLOCK) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    signal(SIGALRM, note);
    signal(SIGPIPE, SIG_IGN);
}
static void alarm_soon(void)
{
    struct itimerval timer = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &timer, 0);
}
static void fill(int fd)
{
    static char block[4096];
    while (write(fd, block, sizeof block) > 0)
        ;
}
static void drain(int fd)
{
    static char block[4096];
    while (read(fd, block, sizeof block) > 0)
        ;
}

static int revents(int fd, int events)
{
    struct pollfd f = {fd, events, 0};
    return poll(&f, 1, 0) < 0 ? -1 : f.revents;
}
GROUP(poll)
{
    setup();
    int all = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND;
    int file = file_with("a", ""), event = eventfd(0, 0), dir = open(".", O_RDONLY);
    SHOW("a file", "%#x", revents(file, all));
    SHOW("a directory", "%#x", revents(dir, all));
    SHOW("an empty pipe", "%#x", revents(p[0], all));
    SHOW("its other end", "%#x", revents(p[1], all));
    MUST(write(p[1], "x", 1) == 1);
    SHOW("a pipe with something in it", "%#x", revents(p[0], all));
    fill(p[1]);
    SHOW("a full pipe", "%#x", revents(p[1], all));
    drain(p[0]);
    SHOW("an eventfd", "%#x", revents(event, all));
    MUST(eventfd_write(event, 1) == 0);
    SHOW("an eventfd that has come", "%#x", revents(event, all));
    SHOW("a socket", "%#x", revents(s[0], all));
    MUST(write(s[1], "x", 1) == 1);
    SHOW("a socket with something in it", "%#x", revents(s[0], all));
    MUST(shutdown(s[1], SHUT_WR) == 0);
    SHOW("a socket whose peer writes no more", "%#x", revents(s[0], all));
    close(s[1]);
    SHOW("a socket whose peer is gone", "%#x", revents(s[0], all));
    SHOW("nothing asked, yet told", "%#x", revents(s[0], 0));
    close(p[1]);
    SHOW("a pipe without a writer", "%#x", revents(p[0], all));
    MUST(pipe(p) == 0);
    close(p[0]);
    SHOW("a pipe without a reader", "%#x", revents(p[1], all));
    SHOW("no descriptor", "%#x", revents(NOFD, all));
    SHOW("a negative descriptor", "%#x", revents(-1, all));
    struct pollfd two[] = {{file, POLLIN, 0}, {-1, POLLIN, 77}};
    EQ("how many", 1, poll(two, 2, 0));
    EQ("an unused one is cleared", 0, two[1].revents);
    EQ("none", 0, poll(NULL, 0, 0));
    EQ("time goes by", 0, poll(NULL, 0, 20));
    struct rlimit limit = {20, 20};
    ERR("more than RLIMIT_NOFILE", EINVAL, (setrlimit(RLIMIT_NOFILE, &limit), syscall(SYS_poll, two, 21, 0)));
    ERR("nowhere", EFAULT, syscall(SYS_poll, BAD, 1, 0));
    alarm_soon();
    ERR("a signal", EINTR, poll(NULL, 0, 5000));
}
GROUP(ppoll)
{
    setup();
    struct pollfd f = {p[0], POLLIN, 0};
    struct timespec none = {0, 0}, bad = {0, 1000000000}, far = {5, 0};
    uint64_t mask = 0, block = 1ull << (SIGALRM - 1);
#define PPOLL(...) syscall(SYS_ppoll, __VA_ARGS__)
    EQ("nothing", 0, PPOLL(&f, 1, &none, NULL, 8));
    ERR("too many nanoseconds", EINVAL, PPOLL(&f, 1, &bad, NULL, 8));
    ERR("a mask of 4 bytes", EINVAL, PPOLL(&f, 1, &none, &mask, 4));
    ERR("a mask nowhere", EFAULT, PPOLL(&f, 1, &none, BAD, 8));
    ERR("a time nowhere", EFAULT, PPOLL(&f, 1, BAD, NULL, 8));
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &block, NULL, 8);
    raise(SIGALRM);
    EQ("a signal stays blocked", 0, PPOLL(&f, 1, &none, NULL, 8));
    ERR("but by the mask", EINTR, PPOLL(&f, 1, &far, &mask, 8));
    MUST(write(p[1], "x", 1) == 1);
    EQ("something", 1, PPOLL(&f, 1, NULL, NULL, 8));
}
GROUP(select)
{
    setup();
#define SELECT(...) syscall(SYS_select, __VA_ARGS__)
    fd_set r, w;
    struct timeval none = {0, 0}, bad = {0, -1}, far = {5, 0};
    FD_ZERO(&r); FD_ZERO(&w);
    FD_SET(p[0], &r), FD_SET(p[1], &w);
    EQ("one of two", 1, SELECT(20, &r, &w, NULL, &none));
    YES("is the writing end", !FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w));
    MUST(write(p[1], "x", 1) == 1);
    FD_SET(p[0], &r);
    EQ("both", 2, SELECT(20, &r, &w, NULL, &none));
    FD_ZERO(&r);
    EQ("no descriptors", 0, SELECT(0, NULL, NULL, NULL, &none));
    EQ("beyond the number given", 0, (FD_SET(p[0], &r), SELECT(p[0], &r, NULL, NULL, &none)));
    ERR("a negative number", EINVAL, SELECT(-1, &r, NULL, NULL, &none));
    ERR("negative time", EINVAL, SELECT(20, NULL, NULL, NULL, &bad));
    FD_ZERO(&r); FD_SET(60, &r);
    ERR("no such descriptor", EBADF, SELECT(61, &r, NULL, NULL, &none));
    ERR("nowhere", EFAULT, SELECT(20, BAD, NULL, NULL, &none));
    alarm_soon();
    ERR("a signal", EINTR, SELECT(0, NULL, NULL, NULL, &far));
    YES("what is left", far.tv_sec == 4);
}
GROUP(pselect6)
{
    setup();
    fd_set r;
    struct timespec none = {0, 0}, bad = {-1, 0}, far = {5, 0};
    uint64_t mask = 0, block = 1ull << (SIGALRM - 1);
    struct { void *mask; size_t size; } with = {&mask, 8}, small = {&mask, 4}, nowhere = {BAD, 8};
#define PSELECT(...) syscall(SYS_pselect6, __VA_ARGS__)
    FD_ZERO(&r); FD_SET(p[0], &r);
    EQ("nothing", 0, PSELECT(20, &r, NULL, NULL, &none, NULL));
    EQ("clears what is not ready", 0, FD_ISSET(p[0], &r));
    ERR("negative time", EINVAL, PSELECT(20, NULL, NULL, NULL, &bad, NULL));
    ERR("a mask of 4 bytes", EINVAL, PSELECT(20, NULL, NULL, NULL, &none, &small));
    ERR("a mask nowhere", EFAULT, PSELECT(20, NULL, NULL, NULL, &none, &nowhere));
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &block, NULL, 8);
    raise(SIGALRM);
    ERR("a signal that the mask lets in", EINTR, PSELECT(0, NULL, NULL, NULL, &far, &with));
}

GROUP(eventfd2)
{
    int fd = eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t n = 0;
    EQ("EFD_CLOEXEC", FD_CLOEXEC, fcntl(fd, F_GETFD));
    EQ("EFD_NONBLOCK", O_NONBLOCK | O_RDWR, fcntl(fd, F_GETFL));
    EQ("read", 8, read(fd, &n, 8));
    EQ("the first value", 5, n);
    ERR("none then", EAGAIN, read(fd, &n, 8));
    n = 3;
    EQ("written", 8, write(fd, &n, 8));
    EQ("and more", 8, write(fd, &n, 8));
    EQ("they add up", 6, (read(fd, &n, 8), n));
    ERR("too little room", EINVAL, read(fd, &n, 7));
    ERR("too little to write", EINVAL, write(fd, &n, 7));
    n = ~0ull;
    ERR("the value that cannot be", EINVAL, write(fd, &n, 8));
    n = ~0ull - 1;
    EQ("the greatest value", 8, write(fd, &n, 8));
    n = 1;
    ERR("beyond it", EAGAIN, write(fd, &n, 8));
    n = 0;
    EQ("none", 8, write(fd, &n, 8));
    ERR("unknown flags", EINVAL, syscall(SYS_eventfd2, 0, 2));
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    EQ("EFD_SEMAPHORE", 1, (read(fd, &n, 8), n));
    EQ("twice", 1, (read(fd, &n, 8), n));
    ERR("not thrice", EAGAIN, read(fd, &n, 8));
    SHOW("lseek", "%ld", (long)lseek(fd, 5, SEEK_SET));
    fd = syscall(SYS_eventfd, 1);
    EQ("eventfd", 8, read(fd, &n, 8));
}

GROUP(epoll_create1)
{
    EQ("EPOLL_CLOEXEC", FD_CLOEXEC, fcntl(epoll_create1(EPOLL_CLOEXEC), F_GETFD));
    EQ("no flags", 0, fcntl(epoll_create1(0), F_GETFD));
    ERR("unknown flags", EINVAL, epoll_create1(1));
    char c;
    ERR("reading", EINVAL, read(epoll_create1(0), &c, 1));
    struct rlimit limit = {3, 3};
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (dup(0) >= 0)
        ;
    ERR("no descriptors left", EMFILE, epoll_create1(0));
}
GROUP(epoll_create)
{
    YES("a size", syscall(SYS_epoll_create, 1) >= 0);
    ERR("size 0", EINVAL, syscall(SYS_epoll_create, 0));
    ERR("a negative size", EINVAL, syscall(SYS_epoll_create, -1));
}
GROUP(epoll_ctl)
{
    setup();
    int ep = epoll_create1(0), other = epoll_create1(0), file = file_with("a", ""), dir = open(".", O_RDONLY);
    struct epoll_event e = {EPOLLIN, {.u64 = 1}};
    OK("EPOLL_CTL_ADD", epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    ERR("again", EEXIST, epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    int copy = dup(p[0]);
    OK("a copy", epoll_ctl(ep, EPOLL_CTL_ADD, copy, &e));
    OK("EPOLL_CTL_MOD", epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
    OK("EPOLL_CTL_DEL", epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
    ERR("EPOLL_CTL_DEL, not there", ENOENT, epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
    ERR("EPOLL_CTL_MOD, not there", ENOENT, epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
    ERR("itself", EINVAL, epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
    ERR("a file", EPERM, epoll_ctl(ep, EPOLL_CTL_ADD, file, &e));
    ERR("a directory", EPERM, epoll_ctl(ep, EPOLL_CTL_ADD, dir, &e));
    ERR("no descriptor", EBADF, epoll_ctl(ep, EPOLL_CTL_ADD, NOFD, &e));
    ERR("no epoll", EBADF, epoll_ctl(NOFD, EPOLL_CTL_ADD, p[0], &e));
    ERR("not an epoll", EINVAL, epoll_ctl(file, EPOLL_CTL_ADD, p[0], &e));
    ERR("an unknown operation", EINVAL, epoll_ctl(ep, 9, copy, &e));
    ERR("an event nowhere", EFAULT, syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p[0], BAD));
    OK("another epoll", epoll_ctl(ep, EPOLL_CTL_ADD, other, &e));
    ERR("in a circle", ELOOP, epoll_ctl(other, EPOLL_CTL_ADD, ep, &e));
    e.events = EPOLLIN | EPOLLEXCLUSIVE;
    OK("EPOLLEXCLUSIVE", epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e));
    ERR("cannot be changed", EINVAL, epoll_ctl(ep, EPOLL_CTL_MOD, s[0], &e));
    e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
    ERR("EPOLLEXCLUSIVE with EPOLLONESHOT", EINVAL, epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &e));
    e.events = EPOLLIN | EPOLLEXCLUSIVE;
    ERR("EPOLLEXCLUSIVE of an epoll", EINVAL, epoll_ctl(ep, EPOLL_CTL_ADD, epoll_create1(0), &e));
    int chain = epoll_create1(0);
    e.events = EPOLLIN;
    int made = 0;
    for (int last = chain; made < 10; made++) {
        int next = epoll_create1(0);
        if (epoll_ctl(next, EPOLL_CTL_ADD, last, &e) < 0)
            break;
        last = next;
    }
    SHOW("how deep they nest", "%d %s", made, error_name(errno));
}

static int wait_now(int ep, struct epoll_event *events) { return epoll_wait(ep, events, 8, 0); }
GROUP(epoll_wait)
{
    setup();
    int ep = epoll_create1(0), file = file_with("a", "");
    struct epoll_event e = {EPOLLIN, {.u64 = 1}}, got[8];
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e) == 0);
    EQ("nothing", 0, wait_now(ep, got));
    MUST(write(p[1], "x", 1) == 1);
    EQ("something", 1, wait_now(ep, got));
    SHOW("it is", "%#x %d", got[0].events, (int)got[0].data.u64);
    EQ("still, level-triggered", 1, wait_now(ep, got));
    e.events = EPOLLIN | EPOLLET;
    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e) == 0);
    EQ("EPOLLET, the first time", 1, wait_now(ep, got));
    EQ("EPOLLET, the second time", 0, wait_now(ep, got));
    MUST(write(p[1], "y", 1) == 1);
    EQ("EPOLLET, more", 1, wait_now(ep, got));
    e.events = EPOLLIN | EPOLLONESHOT;
    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e) == 0);
    EQ("EPOLLONESHOT, the first time", 1, wait_now(ep, got));
    MUST(write(p[1], "y", 1) == 1);
    EQ("EPOLLONESHOT, more", 0, wait_now(ep, got));
    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e) == 0);
    EQ("armed again", 1, wait_now(ep, got));
    e.events = EPOLLOUT | EPOLLIN | EPOLLRDHUP;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e) == 0);
    EQ("a socket", 1, wait_now(ep, got));
    SHOW("can be written", "%#x", got[0].events);
    close(s[1]);
    wait_now(ep, got);
    SHOW("and tells of its peer's end", "%#x", got[0].events);
    ERR("no room", EINVAL, epoll_wait(ep, got, 0, 0));
    ERR("negative room", EINVAL, epoll_wait(ep, got, -1, 0));
    ERR("into nowhere", EFAULT, syscall(SYS_epoll_wait, ep, BAD, 8, 0));
    ERR("a file", EINVAL, epoll_wait(file, got, 8, 0));
    ERR("no descriptor", EBADF, epoll_wait(NOFD, got, 8, 0));
    int empty = epoll_create1(0);
    EQ("time goes by", 0, epoll_wait(empty, got, 8, 20));
    alarm_soon();
    ERR("a signal", EINTR, epoll_wait(empty, got, 8, 5000));
    int copy = dup(s[0]);
    close(s[0]);
    EQ("a copy keeps it", 1, wait_now(ep, got));
    close(copy);
    EQ("closing the last takes it out", 0, wait_now(ep, got));
    for (int i = 0; i < 5; i++) {
        int fd = eventfd(1, 0);
        e.events = EPOLLIN, e.data.u64 = i;
        MUST(epoll_ctl(empty, EPOLL_CTL_ADD, fd, &e) == 0);
    }
    int seen = 0;
    for (int i = 0; i < 5; i++)
        if (epoll_wait(empty, got, 1, 0) == 1)
            seen |= 1 << got[0].data.u64;
    EQ("one at a time, all have their turn", 31, seen);
    EQ("an epoll is ready itself", POLLIN, revents(empty, POLLIN));
}
GROUP(epoll_pwait)
{
    int ep = epoll_create1(0);
    setup();
    uint64_t mask = 0, block = 1ull << (SIGALRM - 1);
    struct epoll_event got[1];
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &block, NULL, 8);
    raise(SIGALRM);
    EQ("no mask", 0, syscall(SYS_epoll_pwait, ep, got, 1, 0, NULL, 8));
    ERR("a mask", EINTR, syscall(SYS_epoll_pwait, ep, got, 1, 5000, &mask, 8));
    ERR("a mask of 4 bytes", EINVAL, syscall(SYS_epoll_pwait, ep, got, 1, 0, &mask, 4));
    ERR("a mask nowhere", EFAULT, syscall(SYS_epoll_pwait, ep, got, 1, 0, BAD, 8));
}
GROUP(epoll_pwait2)
{
    int ep = epoll_create1(0);
    struct epoll_event got[1];
    struct timespec none = {0, 0}, soon = {0, 20000000}, bad = {0, 1000000000};
    EQ("no time", 0, syscall(SYS_epoll_pwait2, ep, got, 1, &none, NULL, 8));
    EQ("some time", 0, syscall(SYS_epoll_pwait2, ep, got, 1, &soon, NULL, 8));
    ERR("too many nanoseconds", EINVAL, syscall(SYS_epoll_pwait2, ep, got, 1, &bad, NULL, 8));
    ERR("a time nowhere", EFAULT, syscall(SYS_epoll_pwait2, ep, got, 1, BAD, NULL, 8));
}
