// sched_*(2), getpriority(2), resource limits, and the limit of queued signals.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void show(const char *what, long r) { if (r < 0) printf("%s: %s\n", what, strerror(errno)); else printf("%s: %ld\n", what, r); }
int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    int policies[] = { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, 4, 6, 9 };
    for (int i = 0; i < 8; i++) { printf("policy %d\n", policies[i]); show("  min", sched_get_priority_min(policies[i])); show("  max", sched_get_priority_max(policies[i])); }
    struct sched_param p = { 5 };
    show("scheduler", sched_getscheduler(0)); show("other with priority", sched_setscheduler(0, SCHED_OTHER, &p));
    p.sched_priority = 100; show("fifo 100", sched_setscheduler(0, SCHED_FIFO, &p));
    show("nobody", sched_getscheduler(4194000)); show("negative", sched_getscheduler(-1)); show("null", sched_setscheduler(0, SCHED_OTHER, 0));
    p.sched_priority = 0; show("batch", sched_setscheduler(0, SCHED_BATCH, &p)); show("is", sched_getscheduler(0)); sched_setscheduler(0, SCHED_OTHER, &p);
    struct { unsigned size, policy; unsigned long long flags; int nice; unsigned prio; unsigned long long r, d, per; unsigned umin, umax; } a = { 0 };
    show("getattr", syscall(SYS_sched_getattr, 0, &a, sizeof a, 0)); printf("  policy %u nice %d\n", a.policy, a.nice);
    show("getattr small", syscall(SYS_sched_getattr, 0, &a, 40, 0)); a.size = 48; a.nice = 3; show("setattr", syscall(SYS_sched_setattr, 0, &a, 0)); 
    errno = 0; show("nice", getpriority(PRIO_PROCESS, 0)); show("setpriority", setpriority(PRIO_PROCESS, 0, 7)); show("is", getpriority(PRIO_PROCESS, 0)); show("huge", setpriority(PRIO_PROCESS, 0, 99)); show("is", getpriority(PRIO_PROCESS, 0));
    show("bad which", getpriority(7, 0)); show("nobody", getpriority(PRIO_PROCESS, 4194000));
    cpu_set_t set; show("affinity", syscall(SYS_sched_getaffinity, 0, sizeof set, &set) > 0); printf("  cpus %d\n", CPU_COUNT(&set) > 0);
    show("small mask", syscall(SYS_sched_getaffinity, 0, 0, &set)); show("odd mask", syscall(SYS_sched_getaffinity, 0, 9, &set));
    CPU_ZERO(&set); show("no cpu", sched_setaffinity(0, sizeof set, &set)); sched_getaffinity(0, sizeof set, &set); show("same", sched_setaffinity(0, sizeof set, &set));
    unsigned cpu, node; show("getcpu", getcpu(&cpu, &node)); printf("  %d\n", CPU_ISSET(cpu, &set) != 0); show("yield", sched_yield());

    struct rlimit l = { 200, 300 }, g;
    show("setrlimit", setrlimit(RLIMIT_NOFILE, &l)); getrlimit(RLIMIT_NOFILE, &g); printf("  %ld %ld\n", (long)g.rlim_cur, (long)g.rlim_max);
    l.rlim_cur = 400; show("soft over hard", setrlimit(RLIMIT_NOFILE, &l)); show("bad resource", getrlimit(16, &g)); show("bad prlimit", prlimit(0, 99, 0, 0)); show("nobody", prlimit(4194000, 0, 0, &g));
    l = (struct rlimit){ 3, 3 }; show("sigpending", setrlimit(RLIMIT_SIGPENDING, &l));
    sigset_t s; sigemptyset(&s); sigaddset(&s, SIGRTMIN); sigprocmask(SIG_BLOCK, &s, 0);
    int sent = 0; while (sent < 10 && sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }) == 0) sent++;
    printf("limited: %d, %s\n", sent <= 3, strerror(errno)); show("kill still", kill(getpid(), SIGRTMIN));
    return 0;
}
