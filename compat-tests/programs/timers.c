// Clocks, sleeps, interval timers, POSIX timers.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static void show(const char *what, long r) {
    if (r < 0) printf("%s: %s\n", what, strerror(errno)); else printf("%s: %ld\n", what, r);
}
static volatile sig_atomic_t alarms, value, code, overruns;
static timer_t tm;
static void on(int sig) { (void)sig; alarms++; }
static void rt(int sig, siginfo_t *info, void *c) {
    (void)sig; (void)c;
    alarms++; value = info->si_value.sival_int; code = info->si_code;
    overruns += info->si_overrun;
    if (info->si_overrun != timer_getoverrun(tm)) overruns = -1000000;
}
static double now(int clock) { struct timespec t; clock_gettime(clock, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void burn(double s) { double e = now(CLOCK_MONOTONIC) + s; while (now(CLOCK_MONOTONIC) < e) {} }

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    struct timespec ts;
    int ids[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11 };
    for (int i = 0; i < 11; i++) { errno = 0; printf("clock %d: %d %d\n", ids[i], clock_gettime(ids[i], &ts), syscall(SYS_clock_gettime, ids[i], &ts)); }
    show("clock 10", clock_gettime(10, &ts)); show("clock 12", clock_gettime(12, &ts)); show("clock -7", syscall(SYS_clock_gettime, 0x7fffffff, &ts));
    printf("resolution %d", clock_getres(CLOCK_MONOTONIC, &ts)); printf(" %ld %ld\n", ts.tv_sec, ts.tv_nsec);
    double a = now(CLOCK_MONOTONIC); usleep(30000); double b = now(CLOCK_MONOTONIC);
    printf("slept enough %d, not too long %d\n", b - a >= 0.03, b - a < 1.0);
    a = now(CLOCK_REALTIME); printf("time agrees %d\n", labs(time(0) - (long)a) <= 1);
    ts = (struct timespec){ 0, 1000000000 }; show("bad nanosleep", nanosleep(&ts, 0));
    ts = (struct timespec){ -1, 0 }; show("negative nanosleep", nanosleep(&ts, 0));
    clock_gettime(CLOCK_MONOTONIC, &ts); ts.tv_nsec += 20000000; if (ts.tv_nsec >= 1000000000) { ts.tv_sec++; ts.tv_nsec -= 1000000000; }
    show("absolute", -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0));
    printf("reached %d\n", now(CLOCK_MONOTONIC) >= ts.tv_sec + ts.tv_nsec / 1e9);
    clock_gettime(CLOCK_REALTIME, &ts); ts.tv_sec--; show("absolute past", -clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, 0));
    printf("thread clock: %s\n", strerror(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, 0)));
    printf("raw clock: %s\n", strerror(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &ts, 0)));
    a = now(CLOCK_PROCESS_CPUTIME_ID); burn(0.05); b = now(CLOCK_PROCESS_CPUTIME_ID);
    printf("cpu time moves %d\n", b > a); a = now(CLOCK_THREAD_CPUTIME_ID); usleep(50000); b = now(CLOCK_THREAD_CPUTIME_ID);
    printf("not while asleep %d\n", b - a < 0.04);

    signal(SIGALRM, on);
    struct itimerval it = { { 0, 20000 }, { 0, 20000 } }, old;
    setitimer(ITIMER_REAL, &it, 0); while (alarms < 3) pause();
    getitimer(ITIMER_REAL, &old); printf("interval %ld, running %d\n", (long)old.it_interval.tv_usec, old.it_value.tv_usec > 0);
    it = (struct itimerval){ 0 }; setitimer(ITIMER_REAL, &it, &old); printf("was %ld\n", (long)old.it_interval.tv_usec);
    alarms = 0; usleep(50000); printf("stopped %d\n", alarms == 0);
    printf("alarm %u", alarm(10)); printf(" %u", alarm(20)); printf(" %u\n", alarm(0));
    show("itimer 3", getitimer(3, &old)); it.it_value.tv_usec = 1000000; show("bad itimer", setitimer(ITIMER_REAL, &it, 0));
    signal(SIGPROF, on); signal(SIGVTALRM, on);
    it = (struct itimerval){ { 0, 0 }, { 0, 20000 } }; alarms = 0;
    setitimer(ITIMER_PROF, &it, 0); usleep(60000); printf("PROF while asleep %d\n", alarms); burn(0.3); printf("PROF %d\n", alarms);
    alarms = 0; setitimer(ITIMER_VIRTUAL, &it, 0); double end = now(CLOCK_MONOTONIC) + 3;
    while (!alarms && now(CLOCK_MONOTONIC) < end) for (volatile int i = 0; i < 100000; i++) {}
    printf("VIRTUAL %d\n", alarms);

    struct sigaction sa = { .sa_sigaction = rt, .sa_flags = SA_SIGINFO }; sigaction(SIGRTMIN, &sa, 0);
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42 };
    alarms = 0; show("create", timer_create(CLOCK_MONOTONIC, &ev, &tm));
    struct itimerspec its = { { 0, 10000000 }, { 0, 10000000 } }, got;
    show("settime", timer_settime(tm, 0, &its, 0));
    while (alarms < 3) pause();
    printf("value %d code %d overruns %d\n", value, code, overruns >= 0);
    sigset_t s; sigemptyset(&s); sigaddset(&s, SIGRTMIN); sigprocmask(SIG_BLOCK, &s, 0);
    usleep(100000); overruns = 0; sigprocmask(SIG_UNBLOCK, &s, 0); usleep(1000);
    printf("overran %d\n", overruns >= 5);
    timer_gettime(tm, &got); printf("interval %ld running %d\n", got.it_interval.tv_nsec, got.it_value.tv_nsec > 0);
    its = (struct itimerspec){ 0 }; show("stop", timer_settime(tm, 0, &its, &got)); alarms = 0; usleep(30000); printf("stopped %d\n", alarms == 0);
    its.it_value.tv_nsec = 1; show("absolute past", timer_settime(tm, TIMER_ABSTIME, &its, 0)); usleep(1000); printf("at once %d\n", alarms);
    its.it_value.tv_nsec = 1000000000; show("bad settime", timer_settime(tm, 0, &its, 0));
    show("delete", timer_delete(tm)); show("again", syscall(SYS_timer_delete, tm));
    ev.sigev_signo = 65; show("bad signal", timer_create(CLOCK_REALTIME, &ev, &tm));
    ev.sigev_signo = SIGRTMIN; ev.sigev_notify = 77; show("bad notify", timer_create(CLOCK_REALTIME, &ev, &tm));
    ev.sigev_notify = SIGEV_THREAD_ID; ev._sigev_un._tid = getpid(); show("thread", timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &tm));
    alarms = 0; its = (struct itimerspec){ { 0, 0 }, { 0, 20000000 } }; timer_settime(tm, 0, &its, 0); usleep(60000); int asleep = alarms; burn(0.2);
    printf("cpu timer: asleep %d, busy %d\n", asleep, alarms);
    ev.sigev_notify = SIGEV_NONE; show("none", timer_create(CLOCK_REALTIME, &ev, &tm)); its.it_value.tv_sec = 5; timer_settime(tm, 0, &its, 0); timer_gettime(tm, &got); printf("left %ld\n", got.it_value.tv_sec);
    struct tms t; printf("times %d\n", times(&t) > 0); struct rusage ru; show("getrusage", getrusage(RUSAGE_SELF, &ru)); printf("maxrss %d\n", ru.ru_maxrss > 0); show("bad who", getrusage(5, &ru));
    return 0;
}
