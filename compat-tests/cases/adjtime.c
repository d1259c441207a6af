/* adjtimex(2) and clock_adjtime(2): what is told can be read, and who may not tell. On Linux nothing is set that would move the
 * machine's clock: only the errors and the loop's constant, as they were before. */
#include "case.h"
#include <sys/timex.h>
#include <sys/utsname.h>

static int told(int modes, long value, struct timex *out)
{
    *out = (struct timex){.modes = modes, .maxerror = value, .esterror = value, .freq = value, .tick = value, .offset = value, .constant = value, .status = value};
    return adjtimex(out);
}

static long long elapsed(clockid_t a, clockid_t b, long ms)
{
    struct timespec from[2], to[2];
    clock_gettime(a, &from[0]);
    clock_gettime(b, &from[1]);
    pause_ms(ms);
    clock_gettime(a, &to[0]);
    clock_gettime(b, &to[1]);
    return (to[0].tv_sec - from[0].tv_sec) * 1000000000LL + to[0].tv_nsec - from[0].tv_nsec - ((to[1].tv_sec - from[1].tv_sec) * 1000000000LL + to[1].tv_nsec - from[1].tv_nsec);
}

GROUP(adjtimex_read)
{
    struct timex time = {0};
    YES("state", adjtimex(&time) >= 0);
    EQ("precision", 1, time.precision);
    EQ("tolerance", 32768000, time.tolerance);
    YES("tick", time.tick >= 9000 && time.tick <= 11000);
    YES("errors", time.maxerror >= 0 && time.maxerror <= 16000000 && time.esterror >= 0 && time.esterror <= 16000000);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    YES("time of day", labs(now.tv_sec - time.time.tv_sec) < 5);
    ERR("pointer", EFAULT, adjtimex(BAD));
    ERR("pointer of a clock's", EFAULT, syscall(SYS_clock_adjtime, CLOCK_REALTIME, BAD));
    ERR("no clock", EINVAL, syscall(SYS_clock_adjtime, 16, &time));
    ERR("another clock", EOPNOTSUPP, syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &time));
    ERR("a clock of time used", EOPNOTSUPP, syscall(SYS_clock_adjtime, CLOCK_PROCESS_CPUTIME_ID, &time));
    ERR("adjtime without an offset", EINVAL, (time.modes = 0x8000, adjtimex(&time)));
    OK("adjtime, read", (time = (struct timex){.modes = ADJ_OFFSET_SS_READ}, adjtimex(&time)) < 0);
    AS_NOBODY({
        time = (struct timex){.modes = ADJ_OFFSET_SS_READ};
        OK("adjtime, read by nobody", adjtimex(&time) < 0);
        ERR("adjtime by nobody", EPERM, (time.modes = ADJ_OFFSET_SINGLESHOT, adjtimex(&time)));
        ERR("tick by nobody", EPERM, told(ADJ_TICK, 0, &time));
        ERR("unknown modes by nobody", EPERM, told(0x0040, 0, &time));
        OK("read by nobody", told(0, 0, &time) < 0);
    });
    if (geteuid())
        return;
    ERR("tick too short", EINVAL, told(ADJ_TICK, 8999, &time));
    ERR("tick too long", EINVAL, told(ADJ_TICK, 11001, &time));
    ERR("frequency beyond any", EINVAL, told(ADJ_FREQUENCY, LONG_MAX, &time));
    time = (struct timex){.modes = ADJ_SETOFFSET, .time = {0, 1000000}};
    ERR("microseconds of a jump", EINVAL, adjtimex(&time));
    time = (struct timex){.modes = ADJ_SETOFFSET | ADJ_NANO, .time = {0, 1000000000}};
    ERR("nanoseconds of a jump", EINVAL, adjtimex(&time));
    time = (struct timex){.modes = ADJ_SETOFFSET, .time = {0, -1}};
    ERR("negative microseconds of a jump", EINVAL, adjtimex(&time));
}

GROUP(adjtimex_set)
{
    struct timex before = {0}, time;
    if (geteuid() || adjtimex(&before) < 0)
        return;
    OK("maximum error", told(ADJ_MAXERROR, 12345, &time) < 0);
    YES("is read back", time.maxerror >= 12345 && time.maxerror < 20000);
    OK("estimated error", told(ADJ_ESTERROR, 123, &time) < 0);
    EQ("is told at once", 123, time.esterror);
    EQ("and later", 123, (told(0, 0, &time), time.esterror));
    EQ("error out of range", 16000000, (told(ADJ_ESTERROR, 20000000, &time), time.esterror));
    EQ("negative error", 0, (told(ADJ_ESTERROR, -5, &time), time.esterror));
    EQ("constant is told as it is with nanoseconds, or four more", before.status & STA_NANO ? 3 : 7, (told(ADJ_TIMECONST, 3, &time), time.constant));
    EQ("constant out of range", 10, (told(ADJ_TIMECONST, 100, &time), time.constant));
    EQ("offset without the loop", before.offset, (told(ADJ_OFFSET, 500, &time), time.offset));
    told(ADJ_MAXERROR, before.maxerror, &time);
    told(ADJ_ESTERROR, before.esterror, &time);
    told(ADJ_TIMECONST, before.status & STA_NANO ? before.constant : before.constant - 4, &time);
    /* What moves the clock, in a machine of our own. */
    struct utsname names;
    uname(&names);
    int own = strstr(names.release, "skiff") != NULL;
    YES("frequency", !own || (told(ADJ_FREQUENCY, 100, &time) >= 0 && time.freq == 100));
    YES("negative frequency", !own || (told(ADJ_FREQUENCY, -6553600, &time) >= 0 && time.freq == -6553600));
    YES("frequency out of range", !own || (told(ADJ_FREQUENCY, 100 << 20, &time) >= 0 && time.freq == 32768000));
    YES("no frequency", !own || (told(ADJ_FREQUENCY, 0, &time) >= 0 && time.freq == 0));
    YES("status", !own || (told(ADJ_STATUS, STA_PLL, &time) >= 0 && time.status == STA_PLL));
    YES("status that cannot be set", !own || (told(ADJ_STATUS, STA_PLL | STA_NANO | STA_CLOCKERR, &time) == TIME_OK && time.status == STA_PLL));
    YES("nanoseconds", !own || (told(ADJ_NANO, 0, &time) >= 0 && time.status == (STA_PLL | STA_NANO)));
    YES("offset", !own || (told(ADJ_OFFSET, 100000, &time) >= 0 && time.offset > 90000 && time.offset <= 100000));
    YES("microseconds", !own || (told(ADJ_MICRO | ADJ_STATUS, STA_UNSYNC, &time) == TIME_ERROR && time.status == STA_UNSYNC));
    YES("tick", !own || (told(ADJ_TICK, 10900, &time) >= 0 && time.tick == 10900));
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    YES("tick as it was", !own || (told(ADJ_TICK, 10000, &time) >= 0 && time.tick == 10000));
    clock_gettime(CLOCK_MONOTONIC, &to);
    YES("time does not go back", to.tv_sec > from.tv_sec || (to.tv_sec == from.tv_sec && to.tv_nsec >= from.tv_nsec));
    YES("the same for both clocks", llabs(elapsed(CLOCK_REALTIME, CLOCK_MONOTONIC, 20)) < 5000000);
    clock_gettime(CLOCK_REALTIME, &from);
    time = (struct timex){.modes = ADJ_SETOFFSET, .time = {100, 0}};
    YES("a jump", !own || adjtimex(&time) >= 0);
    clock_gettime(CLOCK_REALTIME, &to);
    YES("is made", !own || to.tv_sec - from.tv_sec >= 100);
    time = (struct timex){.modes = ADJ_SETOFFSET, .time = {-101, 999999}};
    YES("a jump back", !own || adjtimex(&time) >= 0);
    time = (struct timex){.modes = ADJ_OFFSET_SINGLESHOT, .offset = 1500};
    YES("adjtime", !own || (adjtimex(&time) >= 0 && time.offset == 0));
    time = (struct timex){.modes = ADJ_OFFSET_SS_READ};
    YES("what is left of it", !own || (adjtimex(&time) >= 0 && time.offset > 0 && time.offset <= 1500));
    time = (struct timex){.modes = ADJ_OFFSET_SINGLESHOT, .offset = 0};
    YES("no more", !own || adjtimex(&time) >= 0);
}
