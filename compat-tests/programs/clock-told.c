// compat: native=no status=0
/* What the kernel is told of the time and tells again: the time zone, how far atomic time is ahead, and a leap second, which comes at
 * the end of the day and which atomic time does not see. Linux is not asked: its clock is everybody's. What is expected is what
 * kernel/time/{time,ntp}.c do. */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static int state(void)
{
    struct timex t;
    memset(&t, 0, sizeof t);
    return adjtimex(&t);
}

static int check(const char *what, long want, long got)
{
    if (want != got)
        printf("%s: %ld, not %ld\n", what, got, want);
    return want != got;
}

static void sleep_until(time_t second, long ns)
{
    struct timespec at = {second, ns};
    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, 0);
}

static int ahead(long (*call)(int, struct timespec *))
{
    struct timespec real, tai;
    call(CLOCK_REALTIME, &real);
    call(CLOCK_TAI, &tai);
    return ((tai.tv_sec - real.tv_sec) * 1000000000LL + tai.tv_nsec - real.tv_nsec + 500000000) / 1000000000;
}

static long by_vdso(int clock, struct timespec *time)
{
    return clock_gettime(clock, time);
}

static long by_call(int clock, struct timespec *time)
{
    return syscall(SYS_clock_gettime, clock, time);
}

static int zone(void)
{
    struct timezone told = {-120, 1}, far = {16 * 60, 0}, seen = {9, 9};
    struct timeval time;
    int bad = check("zone at first", 0, syscall(SYS_gettimeofday, 0, &seen) | seen.tz_minuteswest | seen.tz_dsttime);
    bad |= check("zone told", 0, syscall(SYS_settimeofday, 0, &told));
    bad |= check("zone too far", -1, syscall(SYS_settimeofday, 0, &far));
    syscall(SYS_gettimeofday, &time, &seen);
    return bad | check("zone", -120, seen.tz_minuteswest) | check("summer time", 1, seen.tz_dsttime);
}

static int atomic_time(void)
{
    struct timex t;
    memset(&t, 0, sizeof t);
    int bad = check("at first", 0, ahead(by_vdso));
    t.modes = ADJ_TAI;
    t.constant = 37;
    adjtimex(&t);
    bad |= check("told again", 37, t.tai) | check("ahead", 37, ahead(by_vdso)) | check("by system call", 37, ahead(by_call));
    struct timespec at, now;
    clock_gettime(CLOCK_TAI, &at);
    at.tv_sec++;
    clock_nanosleep(CLOCK_TAI, TIMER_ABSTIME, &at, 0);
    clock_gettime(CLOCK_TAI, &now);
    double late = now.tv_sec - at.tv_sec + (now.tv_nsec - at.tv_nsec) / 1e9;
    bad |= check("slept until then", 1, late >= 0 && late < 1);
    memset(&t, 0, sizeof t);
    t.modes = ADJ_TAI;
    t.constant = -1;
    adjtimex(&t);
    return bad | check("a negative one", 37, t.tai);
}

int main(void)
{
    int others = zone() | atomic_time();
    time_t day = (time(0) / 86400 + 1) * 86400;
    struct timespec at = {day - 3, 500000000}, real, tai;
    struct timex t;
    int bad = others | check("set", 0, clock_settime(CLOCK_REALTIME, &at));
    memset(&t, 0, sizeof t);
    t.modes = ADJ_STATUS | ADJ_TAI | ADJ_MAXERROR;
    t.constant = 36;
    t.status = STA_INS;
    bad |= check("announced", TIME_OK, adjtimex(&t));
    sleep_until(day - 1, 500000000);
    bad |= check("to come", TIME_INS, state());
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    /* The second 23:59:59 is there twice: the clock goes back as it ends. */
    sleep_until(day, 200000000);
    clock_gettime(CLOCK_MONOTONIC, &now);
    double took = now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
    bad |= check("took 1.7 seconds", 1, took > 1.6 && took < 2.6);
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_TAI, &tai);
    bad |= check("atomic time", 37, tai.tv_sec - real.tv_sec);
    bad |= check("over", TIME_WAIT, state());
    memset(&t, 0, sizeof t);
    t.modes = ADJ_STATUS;
    t.status = 0;
    adjtimex(&t);
    sleep_until(day + 2, 0);
    bad |= check("taken back", TIME_OK, state());
    puts(bad ? "wrong" : "right");
    return bad;
}
