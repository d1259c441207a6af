// epoll(7): level, edge, one-shot, nested, exclusive; what closing and duplicates do; signalfd and timerfd within it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int ep;

static void show(const char *what) {
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, 0);
    printf("%-28s %d", what, n);
    for (int i = 0; i < n; i++) printf(" [%x %llu]", e[i].events, (unsigned long long)e[i].data.u64);
    puts(n < 0 ? strerror(errno) : "");
}

static int ctl(int op, int fd, uint32_t events, uint64_t data) {
    struct epoll_event e = {.events = events, .data.u64 = data};
    int r = epoll_ctl(ep, op, fd, &e);
    if (r) printf("ctl %d: %s\n", op, strerror(errno));
    return r;
}

int main(void) {
    ep = epoll_create1(EPOLL_CLOEXEC);
    int p[2];
    pipe2(p, O_NONBLOCK);
    ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    ctl(EPOLL_CTL_MOD, p[1], EPOLLOUT, 2);
    show("empty");
    write(p[1], "abc", 3);
    show("level");
    show("level again");
    char c;
    read(p[0], &c, 1);
    show("part read");
    ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 3);
    show("edge after mod");
    show("edge again");
    write(p[1], "d", 1);
    show("edge new data");
    ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4);
    show("oneshot");
    show("oneshot spent");
    write(p[1], "e", 1);
    show("oneshot still spent");
    ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 5);
    show("rearmed");
    int d = dup(p[0]);
    ctl(EPOLL_CTL_MOD, p[0], EPOLLIN, 6);
    close(p[0]);
    show("closed, duplicate open");
    close(d);
    show("all closed");
    ctl(EPOLL_CTL_ADD, p[1], EPOLLOUT, 7);
    show("writer without reader");
    close(p[1]);
    show("gone");

    pipe2(p, O_NONBLOCK);
    ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 8);
    close(p[1]);
    show("hang-up");
    ctl(EPOLL_CTL_DEL, p[0], 0, 0);
    ctl(EPOLL_CTL_DEL, p[0], 0, 0);
    show("deleted");
    int file = open("/proc/self/exe", O_RDONLY);
    ctl(EPOLL_CTL_ADD, file, EPOLLIN, 9);
    ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 9);
    ctl(EPOLL_CTL_ADD, 1000, EPOLLIN, 9);

    int inner = epoll_create1(0), e = eventfd(0, EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 10};
    epoll_ctl(inner, EPOLL_CTL_ADD, e, &ev);
    ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 11);
    show("nested empty");
    eventfd_write(e, 1);
    show("nested ready");
    printf("loop: %d %s\n", epoll_ctl(inner, EPOLL_CTL_ADD, ep, &ev), strerror(errno));
    eventfd_t v;
    eventfd_read(e, &v);
    show("nested drained");
    ctl(EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE, 12);
    ctl(EPOLL_CTL_MOD, e, EPOLLIN, 12);
    eventfd_write(e, 7);
    show("exclusive and nested");
    eventfd_read(e, &v);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int s = signalfd(-1, &set, SFD_NONBLOCK);
    ctl(EPOLL_CTL_ADD, s, EPOLLIN, 13);
    show("no signal");
    raise(SIGUSR1);
    show("signal");
    struct signalfd_siginfo info;
    printf("read %zd signal %u\n", read(s, &info, sizeof info), info.ssi_signo);
    show("signal read");

    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    ctl(EPOLL_CTL_ADD, t, EPOLLIN, 14);
    struct itimerspec spec = {.it_value.tv_nsec = 20000000, .it_interval.tv_nsec = 0};
    timerfd_settime(t, 0, &spec, NULL);
    show("timer not due");
    struct epoll_event out;
    printf("wait %d", epoll_wait(ep, &out, 1, 5000));
    printf(" data %llu\n", (unsigned long long)out.data.u64);
    uint64_t ticks = 0;
    read(t, &ticks, 8);
    printf("ticks %llu\n", (unsigned long long)ticks);
    printf("again %zd %s\n", read(t, &ticks, 8), strerror(errno));
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    printf("time-out %d\n", epoll_wait(ep, &out, 1, 30));
    clock_gettime(CLOCK_MONOTONIC, &after);
    long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    printf("waited long enough %d\n", ms >= 29);
    printf("bad max %d %s\n", epoll_wait(ep, &out, 0, 0), strerror(errno));
    printf("not epoll %d %s\n", epoll_wait(e, &out, 1, 0), strerror(errno));
    return 0;
}
