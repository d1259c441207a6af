/* Scheduling parameters, priorities and timer slack: what they are, who may change them, what children get. */
#include "case.h"
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define RESET 0x40000000
#define FLAG_RESET 1
#define FLAG_KEEP_POLICY 8
#define FLAG_KEEP_PARAMS 16

/* linux/sched/types.h, which does not go with sched.h. */
struct attributes {
    uint32_t size, sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

static int set_scheduler(pid_t pid, int policy, int priority)
{
    struct sched_param param = {priority};
    return sched_setscheduler(pid, policy, &param);
}

/* What a child has of its own: policy, priority, nice value. */
static const char *of_child(void)
{
    static char text[64];
    int ends[2], status;
    MUST(pipe(ends) == 0);
    CHILD(status, {
        struct sched_param param = {-1};
        sched_getparam(0, &param);
        int n = snprintf(text, sizeof text, "policy %#x priority %d nice %d slack %d", sched_getscheduler(0), param.sched_priority,
                         getpriority(PRIO_PROCESS, 0), prctl(PR_GET_TIMERSLACK));
        MUST(write(ends[1], text, n) == n);
    });
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    close(ends[0]);
    close(ends[1]);
    return text;
}

GROUP(sched_setscheduler)
{
    struct sched_param param = {0};
    ERR("a negative id", EINVAL, set_scheduler(-1, SCHED_OTHER, 0));
    ERR("nobody's id", ESRCH, set_scheduler(INT_MAX, SCHED_OTHER, 0));
    ERR("nobody's id and no policy", ESRCH, set_scheduler(INT_MAX, 77, 0));
    ERR("nobody's id and no priority", ESRCH, set_scheduler(INT_MAX, SCHED_FIFO, -5));
    ERR("no policy", EINVAL, set_scheduler(0, 77, 0));
    ERR("a negative policy", EINVAL, set_scheduler(0, -1, 0));
    ERR("no parameters", EINVAL, sched_setscheduler(0, SCHED_OTHER, NULL));
    ERR("bad parameters", EFAULT, sched_setscheduler(0, SCHED_OTHER, BAD));
    ERR("a negative id and bad parameters", EINVAL, sched_setscheduler(-1, SCHED_OTHER, BAD));
    for (int policy = 0; policy < 7; policy++)
        for (int priority = -1; priority <= 100; priority += priority == 2 ? 97 : 1) {
            errno = 0;
            int status, got = 0;
            CHILD(status, _exit(set_scheduler(0, policy, priority) ? errno : 0));
            got = WEXITSTATUS(status);
            SHOW(named("policy %d priority %d", policy, priority), "%s", error_name(got));
        }
    ERR("sched_getscheduler of nobody", ESRCH, sched_getscheduler(INT_MAX));
    ERR("sched_getscheduler of a negative id", EINVAL, sched_getscheduler(-1));
    ERR("sched_getparam of nobody", ESRCH, sched_getparam(INT_MAX, &param));
    ERR("sched_getparam of a negative id", EINVAL, sched_getparam(-1, &param));
    ERR("sched_getparam to nowhere", EINVAL, sched_getparam(0, NULL));
    ERR("sched_getparam to a bad address", EFAULT, sched_getparam(0, BAD));
    ERR("sched_setparam of nobody", ESRCH, sched_setparam(INT_MAX, &param));
    ERR("sched_setparam of a negative id", EINVAL, sched_setparam(-1, &param));
    ERR("sched_setparam of nothing", EINVAL, sched_setparam(0, NULL));
    param.sched_priority = 1;
    ERR("sched_setparam with a priority that the policy has not", EINVAL, sched_setparam(0, &param));
    AS_NOBODY({
        ERR("nobody wants SCHED_FIFO", EPERM, set_scheduler(0, SCHED_FIFO, 1));
        OK("nobody wants SCHED_BATCH", set_scheduler(0, SCHED_BATCH, 0));
        OK("nobody wants SCHED_OTHER again", set_scheduler(0, SCHED_OTHER, 0));
        ERR("nobody changes another's", EPERM, set_scheduler(getppid(), SCHED_OTHER, 0));
        OK("nobody wants to be reset", set_scheduler(0, SCHED_OTHER | RESET, 0));
        ERR("and not to be any more", EPERM, set_scheduler(0, SCHED_OTHER, 0));
        OK("nobody wants SCHED_IDLE", set_scheduler(0, SCHED_IDLE | RESET, 0));
        ERR("nobody leaves SCHED_IDLE", EPERM, set_scheduler(0, SCHED_OTHER | RESET, 0));
        OK("nobody stays SCHED_IDLE", set_scheduler(0, SCHED_IDLE | RESET, 0));
    });
}

GROUP(sched_reset_on_fork)
{
    if (geteuid() != 0)
        return;
    int status;
    CHILD(status, {
        TEXT("a usual child", "policy 0 priority 0 nice 0 slack 50000", of_child());
        OK("SCHED_RR", set_scheduler(0, SCHED_RR | RESET, 5));
        EQ("is told", SCHED_RR | RESET, sched_getscheduler(0));
        EQ("no slack", 0, prctl(PR_GET_TIMERSLACK));
        TEXT("its child", "policy 0 priority 0 nice 0 slack 0", of_child());
        struct sched_param param = {7};
        OK("another priority", sched_setparam(0, &param));
        EQ("is still told", SCHED_RR | RESET, sched_getscheduler(0));
        OK("SCHED_FIFO without", set_scheduler(0, SCHED_FIFO, 3));
        EQ("is told no more", SCHED_FIFO, sched_getscheduler(0));
        TEXT("its child has all", "policy 0x1 priority 3 nice 0 slack 0", of_child());
        OK("usual again", set_scheduler(0, SCHED_OTHER, 0));
        EQ("the slack is back", 50000, prctl(PR_GET_TIMERSLACK));
    });
    CHILD(status, {
        MUST(setpriority(PRIO_PROCESS, 0, -5) == 0);
        OK("nice -5", set_scheduler(0, SCHED_OTHER | RESET, 0));
        EQ("stays", -5, getpriority(PRIO_PROCESS, 0));
        TEXT("its child's", "policy 0 priority 0 nice 0 slack 50000", of_child());
        MUST(setpriority(PRIO_PROCESS, 0, 5) == 0);
        EQ("setpriority keeps it", SCHED_OTHER | RESET, sched_getscheduler(0));
        TEXT("a nice one's child", "policy 0 priority 0 nice 5 slack 50000", of_child());
        OK("SCHED_BATCH", set_scheduler(0, SCHED_BATCH | RESET, 0));
        TEXT("its child", "policy 0x3 priority 0 nice 5 slack 50000", of_child());
    });
}

static int set_attr(pid_t pid, struct attributes *attr, unsigned flags)
{
    return syscall(SYS_sched_setattr, pid, attr, flags);
}

GROUP(sched_setattr)
{
    struct attributes attr = {.size = sizeof attr}, got = {0};
    OK("nothing special", set_attr(0, &attr, 0));
    ERR("flags of the call", EINVAL, set_attr(0, &attr, 1));
    ERR("no attributes", EINVAL, set_attr(0, NULL, 0));
    ERR("bad attributes", EFAULT, set_attr(0, BAD, 0));
    ERR("a negative id", EINVAL, set_attr(-1, &attr, 0));
    ERR("nobody's id", ESRCH, set_attr(INT_MAX, &attr, 0));
    attr.size = 0;
    OK("no size", set_attr(0, &attr, 0));
    attr.size = 40;
    ERR("too small", E2BIG, set_attr(0, &attr, 0));
    EQ("the right size is told", sizeof attr, attr.size);
    struct {
        struct attributes attr;
        uint64_t more[4];
    } large = {.attr.size = sizeof large};
    OK("larger than there is", set_attr(0, &large.attr, 0));
    large.more[3] = 1;
    ERR("with something in it", E2BIG, set_attr(0, &large.attr, 0));
    EQ("the right size is told again", sizeof attr, large.attr.size);
    char *page = edge_page(PROT_READ | PROT_WRITE);
    struct attributes *edge = (void *)(page + 4096 - sizeof attr);
    memset(edge, 0, sizeof *edge);
    edge->size = sizeof attr + 8;
    ERR("its end is not there", EFAULT, set_attr(0, edge, 0));
    attr = (struct attributes){.size = sizeof attr, .sched_policy = 77};
    ERR("no policy", EINVAL, set_attr(0, &attr, 0));
    attr = (struct attributes){.size = sizeof attr, .sched_policy = -1};
    ERR("a negative policy", EINVAL, set_attr(0, &attr, 0));
    attr = (struct attributes){.size = sizeof attr, .sched_flags = 1 << 20};
    ERR("unknown flags", EINVAL, set_attr(0, &attr, 0));
    attr = (struct attributes){.size = sizeof attr, .sched_policy = SCHED_OTHER, .sched_priority = 1};
    ERR("a priority", EINVAL, set_attr(0, &attr, 0));
    ERR("sched_getattr: flags", EINVAL, syscall(SYS_sched_getattr, 0, &got, sizeof got, 1));
    ERR("sched_getattr: small", EINVAL, syscall(SYS_sched_getattr, 0, &got, 40, 0));
    ERR("sched_getattr: large", EINVAL, syscall(SYS_sched_getattr, 0, &got, 5000, 0));
    ERR("sched_getattr: nowhere", EINVAL, syscall(SYS_sched_getattr, 0, NULL, sizeof got, 0));
    ERR("sched_getattr: bad address", EFAULT, syscall(SYS_sched_getattr, 0, BAD, sizeof got, 0));
    ERR("sched_getattr: nobody", ESRCH, syscall(SYS_sched_getattr, INT_MAX, &got, sizeof got, 0));
    ERR("sched_getattr: negative", EINVAL, syscall(SYS_sched_getattr, -1, &got, sizeof got, 0));
    OK("sched_getattr", syscall(SYS_sched_getattr, 0, &got, 48, 0));
    EQ("what fits", 48, got.size);
    int status;
    if (geteuid() != 0)
        return;
    CHILD(status, {
        attr = (struct attributes){.size = sizeof attr, .sched_policy = SCHED_RR, .sched_priority = 9, .sched_flags = FLAG_RESET};
        OK("SCHED_RR", set_attr(0, &attr, 0));
        syscall(SYS_sched_getattr, 0, &got, sizeof got, 0);
        SHOW("as told", "policy %d priority %d flags %llx nice %d", got.sched_policy, got.sched_priority,
             (unsigned long long)got.sched_flags, got.sched_nice);
        attr = (struct attributes){.size = sizeof attr, .sched_flags = FLAG_KEEP_POLICY, .sched_priority = 11};
        OK("keep the policy", set_attr(0, &attr, 0));
        syscall(SYS_sched_getattr, 0, &got, sizeof got, 0);
        SHOW("policy kept", "policy %d priority %d flags %llx", got.sched_policy, got.sched_priority,
             (unsigned long long)got.sched_flags);
        attr = (struct attributes){.size = sizeof attr, .sched_policy = SCHED_OTHER, .sched_nice = -30};
        OK("a nice value out of range", set_attr(0, &attr, 0));
        EQ("is brought into it", -20, getpriority(PRIO_PROCESS, 0));
        attr = (struct attributes){.size = sizeof attr, .sched_policy = SCHED_BATCH, .sched_flags = FLAG_KEEP_PARAMS, .sched_nice = 3};
        OK("keep the parameters", set_attr(0, &attr, 0));
        SHOW("parameters kept", "policy %d nice %d", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0));
    });
}

GROUP(sched_rr_get_interval)
{
    struct timespec t = {9, 9};
    ERR("a negative id", EINVAL, sched_rr_get_interval(-1, &t));
    ERR("nobody's id", ESRCH, sched_rr_get_interval(INT_MAX, &t));
    ERR("a bad address", EFAULT, sched_rr_get_interval(0, BAD));
    OK("a usual task", sched_rr_get_interval(0, &t));
    YES("has less than SCHED_RR", t.tv_sec == 0 && t.tv_nsec < 100000000);
    int status;
    if (geteuid() == 0)
        CHILD(status, {
            MUST(set_scheduler(0, SCHED_RR, 1) == 0 && sched_rr_get_interval(0, &t) == 0);
            YES("SCHED_RR", t.tv_sec == 0 && t.tv_nsec == 100000000);
            MUST(set_scheduler(0, SCHED_FIFO, 1) == 0 && sched_rr_get_interval(0, &t) == 0);
            YES("SCHED_FIFO", t.tv_sec == 0 && t.tv_nsec == 0);
        });
}

GROUP(sched_setaffinity)
{
    unsigned long mask[128] = {0}, all[128] = {0};
    int size = syscall(SYS_sched_getaffinity, 0, sizeof all, all);
    YES("its size", size > 0 && size % 8 == 0);
    ERR("no CPU", EINVAL, syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    ERR("nothing at all", EINVAL, syscall(SYS_sched_setaffinity, 0, 0, mask));
    ERR("a bad address", EFAULT, syscall(SYS_sched_setaffinity, 0, sizeof mask, BAD));
    ERR("nobody's id", ESRCH, syscall(SYS_sched_setaffinity, INT_MAX, sizeof all, all));
    ERR("a negative id", ESRCH, syscall(SYS_sched_setaffinity, -1, sizeof all, all));
    ERR("nobody's id and a bad address", EFAULT, syscall(SYS_sched_setaffinity, INT_MAX, sizeof all, BAD));
    OK("all", syscall(SYS_sched_setaffinity, 0, sizeof all, all));
    ERR("get: too small", EINVAL, syscall(SYS_sched_getaffinity, 0, 0, mask));
    ERR("get: uneven", EINVAL, syscall(SYS_sched_getaffinity, 0, 12, mask));
    ERR("get: nobody's id", ESRCH, syscall(SYS_sched_getaffinity, INT_MAX, sizeof mask, mask));
    ERR("get: a negative id", ESRCH, syscall(SYS_sched_getaffinity, -1, sizeof mask, mask));
    ERR("get: a bad address", EFAULT, syscall(SYS_sched_getaffinity, 0, sizeof mask, BAD));
    AS_NOBODY({
        ERR("another's", EPERM, syscall(SYS_sched_setaffinity, getppid(), sizeof all, all));
        EQ("another's is told", 1, size == syscall(SYS_sched_getaffinity, getppid(), sizeof mask, mask));
    });
}

static int raw_priority(int which, int who)
{
    return syscall(SYS_getpriority, which, who);
}

GROUP(getpriority)
{
    EQ("mine", 20, raw_priority(PRIO_PROCESS, 0));
    ERR("no kind", EINVAL, raw_priority(-1, 0));
    ERR("another kind", EINVAL, raw_priority(3, 0));
    ERR("nobody", ESRCH, raw_priority(PRIO_PROCESS, INT_MAX));
    ERR("a negative id", ESRCH, raw_priority(PRIO_PROCESS, -1));
    ERR("no group", ESRCH, raw_priority(PRIO_PGRP, INT_MAX));
    ERR("a negative group", ESRCH, raw_priority(PRIO_PGRP, -1));
    ERR("no user", ESRCH, raw_priority(PRIO_USER, 4000111));
    ERR("no such user", ESRCH, raw_priority(PRIO_USER, -1));
    EQ("my group", 20, raw_priority(PRIO_PGRP, 0));
    ERR("set: no kind", EINVAL, setpriority(7, 0, 0));
    ERR("set: nobody", ESRCH, setpriority(PRIO_PROCESS, INT_MAX, 0));
    ERR("set: no group", ESRCH, setpriority(PRIO_PGRP, INT_MAX, 0));
    ERR("set: no user", ESRCH, setpriority(PRIO_USER, 4000111, 0));
    AS_NOBODY({
        ERR("set: another's", EPERM, setpriority(PRIO_PROCESS, getppid(), 5));
        ERR("set: better than mine", EACCES, setpriority(PRIO_PROCESS, 0, -1));
        OK("set: worse than mine", setpriority(PRIO_PROCESS, 0, 100));
        EQ("is brought into range", 1, raw_priority(PRIO_PROCESS, 0));
        ERR("set: and back", EACCES, setpriority(PRIO_PROCESS, 0, 0));
    });
}

static int io_set(int which, int who, int value)
{
    return syscall(SYS_ioprio_set, which, who, value);
}

static int io_get(int which, int who)
{
    return syscall(SYS_ioprio_get, which, who);
}

GROUP(ioprio_set)
{
    enum { PROCESS = 1, PGROUP, USER, NONE = 0 << 13, RT = 1 << 13, BE = 2 << 13, IDLE = 3 << 13 };
    EQ("mine at first", 0, io_get(PROCESS, 0));
    EQ("my group's at first", BE | 4, io_get(PGROUP, 0));
    ERR("no kind", EINVAL, io_get(0, 0));
    ERR("another kind", EINVAL, io_get(4, 0));
    ERR("nobody's", ESRCH, io_get(PROCESS, INT_MAX));
    ERR("no group's", ESRCH, io_get(PGROUP, INT_MAX));
    ERR("no user's", ESRCH, io_get(USER, 4000111));
    ERR("set: no kind", EINVAL, io_set(0, 0, BE));
    ERR("set: nobody's", ESRCH, io_set(PROCESS, INT_MAX, BE));
    ERR("set: no group's", ESRCH, io_set(PGROUP, INT_MAX, BE));
    for (int class = 0; class < 8; class++)
        for (int level = 0; level < 10; level++)
            if (class != 1 || geteuid() == 0) {
                int status;
                CHILD(status, _exit(io_set(PROCESS, 0, class << 13 | level) ? errno : io_get(PROCESS, 0) & 0xff ? 100 + level : 99));
                SHOW(named("class %d level %d", class, level), "%s", error_name(WEXITSTATUS(status)));
            }
    OK("best effort 6", io_set(PROCESS, 0, BE | 6));
    EQ("is told", BE | 6, io_get(PROCESS, 0));
    int status;
    CHILD(status, {
        EQ("a child's", BE | 6, io_get(PROCESS, 0));
        MUST(io_set(PROCESS, 0, IDLE) == 0);
        EQ("a child's own", IDLE, io_get(PROCESS, 0));
        EQ("the best of the group", BE | 6, io_get(PGROUP, 0));
    });
    OK("of the group", io_set(PGROUP, 0, BE | 2));
    EQ("of the group is told", BE | 2, io_get(PROCESS, 0));
    OK("none", io_set(PROCESS, 0, NONE));
    EQ("none is told", 0, io_get(PROCESS, 0));
    CHILD(status, {
        MUST(setpriority(PRIO_PROCESS, 0, 19) == 0 && setpgid(0, 0) == 0);
        EQ("of nice 19", BE | 7, io_get(PGROUP, 0));
    });
    AS_NOBODY({
        ERR("nobody wants real time", EPERM, io_set(PROCESS, 0, RT | 1));
        OK("nobody wants idle", io_set(PROCESS, 0, IDLE));
        ERR("nobody changes another's", EPERM, io_set(PROCESS, getppid(), BE));
        EQ("nobody sees another's", 0, io_get(PROCESS, getppid()));
    });
}

GROUP(timer_slack)
{
    int status;
    EQ("at first", 50000, prctl(PR_GET_TIMERSLACK));
    CHILD(status, {
        OK("other", prctl(PR_SET_TIMERSLACK, 70000));
        EQ("is told", 70000, prctl(PR_GET_TIMERSLACK));
        int inner;
        CHILD(inner, {
            EQ("a child's", 70000, prctl(PR_GET_TIMERSLACK));
            OK("1", prctl(PR_SET_TIMERSLACK, 1));
            EQ("1 is told", 1, prctl(PR_GET_TIMERSLACK));
            OK("the default", prctl(PR_SET_TIMERSLACK, 0));
            EQ("is what its creator had", 70000, prctl(PR_GET_TIMERSLACK));
        });
        OK("its own default", prctl(PR_SET_TIMERSLACK, 0));
        EQ("is the usual one", 50000, prctl(PR_GET_TIMERSLACK));
    });
}
