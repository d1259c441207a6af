// Job control within one process: SIGSTOP stops it, SIGCONT from a timer continues it, and the two cancel each other.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t conts, tstps, ticks, stop;
static void on(int sig) { if (sig == SIGCONT) conts++; else tstps++; }
static void *count(void *arg) {
    while (!stop) { ticks++; usleep(2000); }
    return arg;
}
static void later(int ms) {
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT };
    timer_t t;
    timer_create(CLOCK_MONOTONIC, &ev, &t);
    struct itimerspec its = { { 0, 0 }, { 0, ms * 1000000L } };
    timer_settime(t, 0, &its, 0);
}
static long ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000 + t.tv_nsec / 1000000; }

int main(void) {
    pthread_t t;
    sigset_t s, p;
    pthread_create(&t, 0, count, 0);
    for (int i = 0; i < 500 && !ticks; i++)
        usleep(5000);
    printf("other thread runs: %d\n", ticks > 0);
    later(150);
    long start = ms();
    int before = ticks;
    kill(getpid(), SIGSTOP);
    // The signal is taken on the way out of kill(2), or by the other thread soon after.
    while (ms() - start < 100) usleep(1000);
    printf("stopped for a while: %d, all threads: %d\n", ms() - start >= 140, ticks - before < 30);
    signal(SIGCONT, on);
    later(100);
    start = ms();
    raise(SIGSTOP);
    // Either thread may run the handler.
    for (int i = 0; i < 500 && !conts; i++) usleep(1000);
    printf("again: %d, handler ran: %d\n", ms() - start >= 90, conts);
    signal(SIGTSTP, on);
    raise(SIGTSTP);
    printf("SIGTSTP caught: %d\n", tstps);
    sigemptyset(&s); sigaddset(&s, SIGTSTP); sigaddset(&s, SIGCONT);
    pthread_sigmask(SIG_BLOCK, &s, 0);
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP); sigpending(&p); printf("pending stop %d\n", sigismember(&p, SIGTSTP));
    raise(SIGCONT); sigpending(&p); printf("stop %d cont %d\n", sigismember(&p, SIGTSTP), sigismember(&p, SIGCONT));
    raise(SIGTSTP); sigpending(&p); printf("stop %d cont %d\n", sigismember(&p, SIGTSTP), sigismember(&p, SIGCONT));
    stop = 1;
    pthread_join(t, 0);
    return 0;
}
