/* Time: clocks, sleeping, interval timers, POSIX timers, timerfd. */
#include "case.h"
#include <sys/timerfd.h>
#include <sys/timex.h>

static volatile sig_atomic_t count;
static void note(int signal) { (void)signal; count++; }
static long elapsed_ms(struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

GROUP(clock_gettime)
{
    struct timespec a, b;
    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
    for (unsigned i = 0; i < COUNT(clocks); i++) {
        OK(named("clock %d", clocks[i]), syscall(SYS_clock_gettime, clocks[i], &a));
        MUST(syscall(SYS_clock_gettime, clocks[i], &b) == 0);
        YES(named("clock %d does not go back", clocks[i]), b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
        YES(named("clock %d has nanoseconds below a second", clocks[i]), a.tv_nsec >= 0 && a.tv_nsec < 1000000000);
        MUST(clock_gettime(clocks[i], &a) == 0 && syscall(SYS_clock_gettime, clocks[i], &b) == 0);
        YES(named("clock %d of the vDSO agrees", clocks[i]), (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec < 1000000000);
    }
    int bad[] = {12, 100, -1, INT_MAX};
    for (unsigned i = 0; i < COUNT(bad); i++)
        ERR(named("clock %d, unknown", bad[i]), EINVAL, syscall(SYS_clock_gettime, bad[i], &a));
    ERR("into nowhere", EFAULT, syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD));
    clockid_t own;
    MUST(clock_getcpuclockid(0, &own) == 0);
    OK("a process's own clock", syscall(SYS_clock_gettime, own, &a));
    YES("is after 2020", (syscall(SYS_clock_gettime, CLOCK_REALTIME, &a), a.tv_sec > 1577836800));
}
GROUP(clock_getres)
{
    struct timespec t;
    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME};
    for (unsigned i = 0; i < COUNT(clocks); i++) {
        OK(named("clock %d", clocks[i]), syscall(SYS_clock_getres, clocks[i], &t));
        SHOW(named("clock %d is", clocks[i]), "%ld.%09ld", (long)t.tv_sec, t.tv_nsec);
    }
    OK("NULL", syscall(SYS_clock_getres, CLOCK_REALTIME, NULL));
    ERR("an unknown clock", EINVAL, syscall(SYS_clock_getres, 99, &t));
    ERR("into nowhere", EFAULT, syscall(SYS_clock_getres, CLOCK_REALTIME, BAD));
}
GROUP(clock_settime)
{
    struct timespec t = {0, 1000000000};
    ERR("too many nanoseconds", EINVAL, syscall(SYS_clock_settime, CLOCK_REALTIME, &t));
    t = (struct timespec){-1, 0};
    ERR("negative seconds", EINVAL, syscall(SYS_clock_settime, CLOCK_REALTIME, &t));
    clock_gettime(CLOCK_MONOTONIC, &t);
    ERR("CLOCK_MONOTONIC", EINVAL, syscall(SYS_clock_settime, CLOCK_MONOTONIC, &t));
    ERR("from nowhere", EFAULT, syscall(SYS_clock_settime, CLOCK_REALTIME, BAD));
    AS_NOBODY({
        clock_gettime(CLOCK_REALTIME, &t);
        ERR("a user", EPERM, syscall(SYS_clock_settime, CLOCK_REALTIME, &t));
    });
}
GROUP(gettimeofday)
{
    struct timeval t;
    struct timezone zone;
    OK("time", syscall(SYS_gettimeofday, &t, NULL));
    YES("microseconds", t.tv_usec >= 0 && t.tv_usec < 1000000);
    OK("time and zone", syscall(SYS_gettimeofday, &t, &zone));
    OK("nothing", syscall(SYS_gettimeofday, NULL, NULL));
    ERR("into nowhere", EFAULT, syscall(SYS_gettimeofday, BAD, NULL));
}
GROUP(time)
{
    time_t t = 0;
    YES("is stored too", syscall(SYS_time, &t) == t);
    YES("NULL", syscall(SYS_time, NULL) >= t);
    ERR("into nowhere", EFAULT, syscall(SYS_time, BAD));
}
GROUP(settimeofday)
{
    struct timeval t = {0, 1000000};
    ERR("too many microseconds", EINVAL, syscall(SYS_settimeofday, &t, NULL));
    ERR("from nowhere", EFAULT, syscall(SYS_settimeofday, BAD, NULL));
    gettimeofday(&t, NULL);
    AS_NOBODY(ERR("a user", EPERM, syscall(SYS_settimeofday, &t, NULL)));
}

GROUP(nanosleep)
{
    struct timespec from, t = {0, 30000000}, left = {9, 9};
    clock_gettime(CLOCK_MONOTONIC, &from);
    OK("30 ms", syscall(SYS_nanosleep, &t, &left));
    YES("have gone by", elapsed_ms(&from) >= 30);
    SHOW("what is left is not written", "%ld", (long)left.tv_sec);
    t = (struct timespec){0, 0};
    OK("none", syscall(SYS_nanosleep, &t, NULL));
    long bad[] = {-1, 1000000000, LONG_MAX};
    for (unsigned i = 0; i < COUNT(bad); i++) {
        t = (struct timespec){0, bad[i]};
        ERR(named("%ld nanoseconds", bad[i]), EINVAL, syscall(SYS_nanosleep, &t, NULL));
    }
    t = (struct timespec){-1, 0};
    ERR("negative seconds", EINVAL, syscall(SYS_nanosleep, &t, NULL));
    ERR("from nowhere", EFAULT, syscall(SYS_nanosleep, BAD, NULL));
    signal(SIGALRM, note);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &timer, 0);
    t = (struct timespec){5, 0};
    ERR("a signal", EINTR, syscall(SYS_nanosleep, &t, &left));
    YES("tells what is left", left.tv_sec == 4);
}
GROUP(clock_nanosleep)
{
#define SLEEP(...) syscall(SYS_clock_nanosleep, __VA_ARGS__)
    struct timespec from, t = {0, 20000000}, left;
    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
    for (unsigned i = 0; i < COUNT(clocks); i++) {
        t = (struct timespec){0, 20000000};
        clock_gettime(CLOCK_MONOTONIC, &from);
        OK(named("clock %d", clocks[i]), SLEEP(clocks[i], 0, &t, NULL));
        YES(named("clock %d, long enough", clocks[i]), elapsed_ms(&from) >= 20);
        t = (struct timespec){0, 1};
        OK(named("clock %d, until a time that has been", clocks[i]), SLEEP(clocks[i], TIMER_ABSTIME, &t, NULL));
    }
    clock_gettime(CLOCK_MONOTONIC, &t);
    from = t;
    t.tv_nsec += 30000000;
    if (t.tv_nsec >= 1000000000)
        t.tv_nsec -= 1000000000, t.tv_sec++;
    OK("until a time", SLEEP(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
    YES("which has come", elapsed_ms(&from) >= 30);
    t = (struct timespec){0, 1000000000};
    ERR("too many nanoseconds", EINVAL, SLEEP(CLOCK_MONOTONIC, 0, &t, NULL));
    t = (struct timespec){0, 1};
    ERR("CLOCK_THREAD_CPUTIME_ID", EOPNOTSUPP, SLEEP(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
    ERR("an unknown clock", EINVAL, SLEEP(99, 0, &t, NULL));
    ERR("from nowhere", EFAULT, SLEEP(CLOCK_MONOTONIC, 0, BAD, NULL));
    signal(SIGALRM, note);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &timer, 0);
    t = (struct timespec){5, 0};
    ERR("a signal", EINTR, SLEEP(CLOCK_MONOTONIC, 0, &t, &left));
    YES("tells what is left", left.tv_sec == 4);
}

GROUP(setitimer)
{
    struct itimerval set = {{0, 0}, {0, 20000}}, old;
    signal(SIGALRM, note);
    signal(SIGVTALRM, note);
    signal(SIGPROF, note);
    OK("ITIMER_REAL", syscall(SYS_setitimer, ITIMER_REAL, &set, NULL));
    pause_ms(60);
    EQ("once", 1, count);
    set.it_interval.tv_usec = 10000;
    OK("with an interval", syscall(SYS_setitimer, ITIMER_REAL, &set, NULL));
    while (count < 4)
        pause_ms(5);
    YES("goes on", count >= 4);
    memset(&set, 0, sizeof set);
    OK("off", syscall(SYS_setitimer, ITIMER_REAL, &set, &old));
    EQ("tells of the interval", 10000, old.it_interval.tv_usec);
    int kinds[] = {ITIMER_VIRTUAL, ITIMER_PROF};
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        count = 0;
        set = (struct itimerval){{0, 0}, {0, 10000}};
        OK(named("kind %d", kinds[i]), syscall(SYS_setitimer, kinds[i], &set, NULL));
        pause_ms(30);
        EQ(named("kind %d, asleep", kinds[i]), 0, count);
        for (volatile long n = 0; !count && n < 4000000000; n++)
            ;
        EQ(named("kind %d, busy", kinds[i]), 1, count);
    }
    set = (struct itimerval){{0, 0}, {0, 1000000}};
    ERR("a million microseconds", EINVAL, syscall(SYS_setitimer, ITIMER_REAL, &set, NULL));
    set.it_value.tv_usec = -1;
    ERR("minus one microsecond", EINVAL, syscall(SYS_setitimer, ITIMER_REAL, &set, NULL));
    ERR("an unknown kind", EINVAL, syscall(SYS_setitimer, 3, &old, NULL));
    ERR("from nowhere", EFAULT, syscall(SYS_setitimer, ITIMER_REAL, BAD, NULL));
    ERR("into nowhere", EFAULT, syscall(SYS_setitimer, ITIMER_VIRTUAL, &old, BAD));
}
GROUP(getitimer)
{
    struct itimerval t;
    alarm(100);
    OK("ITIMER_REAL", syscall(SYS_getitimer, ITIMER_REAL, &t));
    YES("is alarm's", t.it_value.tv_sec >= 98 && t.it_value.tv_sec <= 100);
    OK("ITIMER_PROF", syscall(SYS_getitimer, ITIMER_PROF, &t));
    EQ("is off", 0, t.it_value.tv_sec);
    ERR("an unknown kind", EINVAL, syscall(SYS_getitimer, -1, &t));
    ERR("into nowhere", EFAULT, syscall(SYS_getitimer, ITIMER_REAL, BAD));
}
GROUP(alarm)
{
    alarm(0);
    EQ("none before", 0, syscall(SYS_alarm, 100));
    EQ("rounded to seconds", 100, syscall(SYS_alarm, 50));
    EQ("off", 50, syscall(SYS_alarm, 0));
    EQ("none then", 0, syscall(SYS_alarm, 0));
    int status;
    alarm(100);
    CHILD(status, EQ("a child has none", 0, syscall(SYS_alarm, 0)));
}

GROUP(timer_create)
{
#define CREATE(...) syscall(SYS_timer_create, __VA_ARGS__)
    int timer;
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    for (unsigned i = 0; i < COUNT(clocks); i++)
        OK(named("clock %d", clocks[i]), CREATE(clocks[i], &event, &timer));
    OK("no event, SIGALRM", CREATE(CLOCK_MONOTONIC, NULL, &timer));
    ERR("an unknown clock", EINVAL, CREATE(99, &event, &timer));
    ERR("CLOCK_MONOTONIC_RAW", EOPNOTSUPP, CREATE(CLOCK_MONOTONIC_RAW, &event, &timer));
    event.sigev_notify = 77;
    ERR("an unknown way to tell", EINVAL, CREATE(CLOCK_MONOTONIC, &event, &timer));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 65;
    ERR("no such signal", EINVAL, CREATE(CLOCK_MONOTONIC, &event, &timer));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = 1;
    ERR("another process's thread", EINVAL, CREATE(CLOCK_MONOTONIC, &event, &timer));
    event._sigev_un._tid = gettid();
    OK("our own thread", CREATE(CLOCK_MONOTONIC, &event, &timer));
    ERR("an event nowhere", EFAULT, CREATE(CLOCK_MONOTONIC, BAD, &timer));
    ERR("into nowhere", EFAULT, CREATE(CLOCK_MONOTONIC, &event, BAD));
}
static int new_timer(int notify, int signal)
{
    int timer;
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal};
    MUST(CREATE(CLOCK_MONOTONIC, &event, &timer) == 0);
    return timer;
}
GROUP(timer_settime)
{
#define SETTIME(...) syscall(SYS_timer_settime, __VA_ARGS__)
    signal(SIGUSR1, note);
    int timer = new_timer(SIGEV_SIGNAL, SIGUSR1);
    struct itimerspec set = {{0, 0}, {0, 20000000}}, old;
    OK("once", SETTIME(timer, 0, &set, NULL));
    pause_ms(60);
    EQ("comes", 1, count);
    set = (struct itimerspec){{0, 10000000}, {100, 0}};
    OK("far", SETTIME(timer, 0, &set, NULL));
    OK("changed", SETTIME(timer, 0, &set, &old));
    SHOW("what it was", "%ld %ld", (long)old.it_value.tv_sec, old.it_interval.tv_nsec);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    set = (struct itimerspec){{0, 0}, now};
    OK("at a time that has been", SETTIME(timer, TIMER_ABSTIME, &set, NULL));
    pause_ms(20);
    EQ("comes at once", 2, count);
    set = (struct itimerspec){{0, 0}, {0, 1000000000}};
    ERR("too many nanoseconds", EINVAL, SETTIME(timer, 0, &set, NULL));
    set = (struct itimerspec){{0, -1}, {1, 0}};
    ERR("a negative interval", EINVAL, SETTIME(timer, 0, &set, NULL));
    set = (struct itimerspec){{0, 0}, {0, 0}};
    OK("off", SETTIME(timer, 0, &set, NULL));
    ERR("no such timer", EINVAL, SETTIME(12345, 0, &set, NULL));
    ERR("from nowhere", EFAULT, SETTIME(timer, 0, BAD, NULL));
}
GROUP(timer_gettime)
{
    int timer = new_timer(SIGEV_NONE, 0);
    struct itimerspec t, set = {{7, 0}, {100, 0}};
    OK("off", syscall(SYS_timer_gettime, timer, &t));
    EQ("is off", 0, t.it_value.tv_sec);
    MUST(SETTIME(timer, 0, &set, NULL) == 0);
    OK("on", syscall(SYS_timer_gettime, timer, &t));
    SHOW("what is left", "%ld %ld", (long)t.it_value.tv_sec, (long)t.it_interval.tv_sec);
    ERR("no such timer", EINVAL, syscall(SYS_timer_gettime, 12345, &t));
    ERR("into nowhere", EFAULT, syscall(SYS_timer_gettime, timer, BAD));
}
GROUP(timer_getoverrun)
{
    int timer = new_timer(SIGEV_SIGNAL, SIGUSR1);
    EQ("none", 0, syscall(SYS_timer_getoverrun, timer));
    ERR("no such timer", EINVAL, syscall(SYS_timer_getoverrun, 12345));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, 0);
    struct itimerspec fast = {{0, 1000000}, {0, 1000000}};
    MUST(SETTIME(timer, 0, &fast, NULL) == 0);
    pause_ms(50);
    siginfo_t info;
    MUST(sigwaitinfo(&set, &info) == SIGUSR1);
    YES("while the signal was blocked", syscall(SYS_timer_getoverrun, timer) > 10);
    EQ("in the siginfo too", SI_TIMER, info.si_code);
}
GROUP(timer_delete)
{
    int timer = new_timer(SIGEV_NONE, 0);
    OK("there", syscall(SYS_timer_delete, timer));
    ERR("again", EINVAL, syscall(SYS_timer_delete, timer));
    ERR("never there", EINVAL, syscall(SYS_timer_delete, -1));
}

GROUP(timerfd_create)
{
    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    for (unsigned i = 0; i < COUNT(clocks); i++)
        YES(named("clock %d", clocks[i]), timerfd_create(clocks[i], 0) >= 0);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    EQ("TFD_CLOEXEC", FD_CLOEXEC, fcntl(fd, F_GETFD));
    EQ("TFD_NONBLOCK", O_NONBLOCK | O_RDWR, fcntl(fd, F_GETFL));
    ERR("CLOCK_PROCESS_CPUTIME_ID", EINVAL, timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    ERR("an unknown clock", EINVAL, timerfd_create(99, 0));
    ERR("unknown flags", EINVAL, timerfd_create(CLOCK_MONOTONIC, 1));
    uint64_t n;
    ERR("off, read", EAGAIN, read(fd, &n, 8));
    ERR("too little room", EINVAL, read(fd, &n, 7));
    ERR("written", EINVAL, write(fd, &n, 8));
}
GROUP(timerfd_settime)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), file = file_with("a", "");
    uint64_t n = 0;
    struct itimerspec set = {{0, 0}, {0, 20000000}}, old;
    OK("once", timerfd_settime(fd, 0, &set, NULL));
    EQ("reading waits", 8, read(fd, &n, 8));
    EQ("one expiry", 1, n);
    set = (struct itimerspec){{0, 5000000}, {0, 5000000}};
    MUST(timerfd_settime(fd, 0, &set, NULL) == 0);
    pause_ms(40);
    MUST(read(fd, &n, 8) == 8);
    YES("many expiries", n >= 5);
    set = (struct itimerspec){{3, 0}, {100, 0}};
    OK("changed", timerfd_settime(fd, 0, &set, &old));
    EQ("tells of the interval", 5000000, old.it_interval.tv_nsec);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    set = (struct itimerspec){{0, 0}, now};
    OK("at a time that has been", timerfd_settime(fd, TFD_TIMER_ABSTIME, &set, NULL));
    EQ("has come", 8, read(fd, &n, 8));
    set = (struct itimerspec){{0, 0}, {0, 1000000000}};
    ERR("too many nanoseconds", EINVAL, timerfd_settime(fd, 0, &set, NULL));
    set = (struct itimerspec){{0, 0}, {0, 0}};
    OK("off", timerfd_settime(fd, 0, &set, NULL));
    ERR("unknown flags", EINVAL, timerfd_settime(fd, 8, &set, NULL));
    ERR("a file", EINVAL, timerfd_settime(file, 0, &set, NULL));
    ERR("no descriptor", EBADF, timerfd_settime(NOFD, 0, &set, NULL));
    ERR("from nowhere", EFAULT, timerfd_settime(fd, 0, BAD, NULL));
}
GROUP(timerfd_gettime)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), file = file_with("a", "");
    struct itimerspec t, set = {{3, 0}, {100, 0}};
    OK("off", timerfd_gettime(fd, &t));
    EQ("is off", 0, t.it_value.tv_sec);
    MUST(timerfd_settime(fd, 0, &set, NULL) == 0);
    OK("on", timerfd_gettime(fd, &t));
    SHOW("what is left", "%ld %ld", (long)t.it_value.tv_sec, (long)t.it_interval.tv_sec);
    ERR("a file", EINVAL, timerfd_gettime(file, &t));
    ERR("no descriptor", EBADF, timerfd_gettime(NOFD, &t));
    ERR("into nowhere", EFAULT, timerfd_gettime(fd, BAD));
}
GROUP(adjtimex)
{
    struct timex t = {.modes = 0};
    YES("reading", syscall(SYS_adjtimex, &t) >= 0);
    ERR("from nowhere", EFAULT, syscall(SYS_adjtimex, BAD));
    t.modes = ADJ_TICK;
    t.tick = 1;
    ERR("a tick that cannot be", EINVAL, syscall(SYS_adjtimex, &t));
    AS_NOBODY({
        t.modes = ADJ_OFFSET;
        ERR("a user", EPERM, syscall(SYS_adjtimex, &t));
    });
}
