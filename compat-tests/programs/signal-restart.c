// What a handler does to system calls that it interrupts: EINTR and the restart rules (signal(7)).
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t hits;
static void on(int sig) { (void)sig; hits++; }
static int fds[2];
static void writer(int sig) { (void)sig; hits++; if (write(fds[1], "x", 1) != 1) abort(); }

static void action(void (*f)(int), int flags) {
    struct sigaction sa = { .sa_handler = f, .sa_flags = flags };
    sigaction(SIGALRM, &sa, 0);
    hits = 0;
}
static void arm(int ms) { struct itimerval t = { {0, 0}, {0, ms * 1000} }; setitimer(ITIMER_REAL, &t, 0); }
static void show(const char *what, long r) { printf("%s: %s, hits %d\n", what, r < 0 ? strerror(errno) : "ok", hits); }
static long ms_since(struct timespec *t) {
    struct timespec n; clock_gettime(CLOCK_MONOTONIC, &n);
    return (n.tv_sec - t->tv_sec) * 1000 + (n.tv_nsec - t->tv_nsec) / 1000000;
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    char c; struct timespec start;
    if (pipe(fds)) return 1;
    action(on, 0); arm(30); show("read", read(fds[0], &c, 1));
    action(writer, SA_RESTART); arm(30); show("read restarted", read(fds[0], &c, 1));
    struct pollfd p = { .fd = fds[0], .events = POLLIN };
    action(on, SA_RESTART); arm(30); show("poll", poll(&p, 1, 5000));
    action(on, SA_RESTART); arm(30);
    struct timespec req = { 5, 0 }, rem = { 0 };
    show("nanosleep", nanosleep(&req, &rem));
    printf("left %d\n", rem.tv_sec == 4);
    action(on, SA_RESTART); arm(30);
    printf("clock_nanosleep: %s\n", strerror(clock_nanosleep(CLOCK_MONOTONIC, 0, &req, &rem)));
    // An ignored signal does not even interrupt.
    signal(SIGALRM, SIG_IGN); arm(20);
    clock_gettime(CLOCK_MONOTONIC, &start);
    req = (struct timespec){ 0, 80000000 };
    show("ignored", nanosleep(&req, 0));
    printf("long enough %d\n", ms_since(&start) >= 80);
    action(on, 0); arm(20); show("pause", pause());
    sigset_t s, old; sigemptyset(&s); sigaddset(&s, SIGALRM); sigprocmask(SIG_BLOCK, &s, &old);
    sigset_t empty; sigemptyset(&empty);
    action(on, SA_RESTART); arm(20); show("sigsuspend", sigsuspend(&empty));
    sigset_t now; sigprocmask(SIG_SETMASK, 0, &now); printf("mask back: %d\n", sigismember(&now, SIGALRM));
    struct timespec five = { 5, 0 };
    arm(20); show("ppoll", ppoll(&p, 1, &five, &empty));
    fd_set set; FD_ZERO(&set); FD_SET(fds[0], &set);
    arm(20); show("pselect", pselect(fds[0] + 1, &set, 0, 0, &five, &empty));
    sigprocmask(SIG_SETMASK, 0, &now); printf("mask back: %d\n", sigismember(&now, SIGALRM));
    sigprocmask(SIG_SETMASK, &old, 0);
    int word = 0;
    action(on, 0); arm(20);
    show("futex", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0));
    struct timespec fifty = { 0, 90000000 };
    action(on, SA_RESTART); arm(20); clock_gettime(CLOCK_MONOTONIC, &start);
    show("futex with time-out", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &fifty));
    sigset_t usr; sigemptyset(&usr); sigaddset(&usr, SIGUSR1); siginfo_t info;
    action(on, SA_RESTART); arm(20); show("sigtimedwait", sigtimedwait(&usr, &info, &five));
    return 0;
}
