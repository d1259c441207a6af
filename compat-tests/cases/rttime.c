/* RLIMIT_RTTIME: how long a thread may run by a real-time policy without sleeping. */
#include "case.h"

static volatile int told;

static void on_limit(int number)
{
    (void)number;
    told++;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void run(double seconds)
{
    for (double end = now() + seconds; now() < end;)
        ;
}

static int begin(long soft, long hard, int policy)
{
    signal(SIGXCPU, on_limit);
    struct rlimit limit = {soft, hard};
    struct sched_param param = {policy == SCHED_OTHER ? 0 : 1};
    MUST(setrlimit(RLIMIT_RTTIME, &limit) == 0);
    return sched_setscheduler(0, policy, &param);
}

GROUP(rttime)
{
    int status;
    CHILD(status, _exit(begin(100000, 200000, SCHED_FIFO) != 0));
    if (status != 0)
        return; /* Nobody here may be a real-time task. */
    CHILD(status, {
        begin(50000, 3000000, SCHED_FIFO);
        for (double end = now() + 3; !told && now() < end;)
            ;
        EQ("told once", 1, told);
        struct rlimit limit;
        getrlimit(RLIMIT_RTTIME, &limit);
        EQ("the soft limit goes up", 1050000, limit.rlim_cur);
    });
    CHILD(status, {
        begin(50000, 200000, SCHED_RR);
        run(5);
    });
    SHOW("past the hard limit", "signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    CHILD(status, {
        begin(150000, 5000000, SCHED_FIFO);
        for (int i = 0; i < 8; i++) {
            run(0.03);
            pause_ms(1);
        }
        EQ("sleeping in between", 0, told);
    });
    CHILD(status, {
        begin(30000, 60000, SCHED_OTHER);
        run(0.2);
        EQ("as an ordinary task", 0, told);
    });
    CHILD(status, {
        begin(50000, 3000000, SCHED_FIFO);
        int inner;
        CHILD(inner, {
            for (double end = now() + 3; !told && now() < end;)
                ;
            EQ("a child's own", 1, told);
        });
    });
}
