// Handlers, masks, pending sets, flags, siginfo, real-time queues and alternate stacks.
// compat: variants=pie,static
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t count, last, depth, max_depth, runs;
static void on(int sig) { count++; last = sig; }

static void nested(int sig) {
    depth++;
    if (depth > max_depth) max_depth = depth;
    if (runs++ < 2) raise(sig);
    depth--;
}

static int order[64], norder, values[64];
static void queued(int sig, siginfo_t *info, void *ctx) {
    (void)ctx;
    order[norder] = sig;
    values[norder++] = info->si_code == SI_QUEUE ? info->si_value.sival_int : -info->si_code;
}

static char altstack[65536];
static int on_alt, alt_flags;
static void alt(int sig, siginfo_t *info, void *ctx) {
    (void)sig; (void)info;
    char here;
    on_alt = &here >= altstack && &here < altstack + sizeof altstack;
    alt_flags = ((ucontext_t *)ctx)->uc_stack.ss_flags;
    stack_t now, try = { .ss_flags = SS_DISABLE };
    sigaltstack(0, &now);
    printf("in handler: ss_flags %d, change: %s\n", now.ss_flags, sigaltstack(&try, 0) ? strerror(errno) : "ok");
}

static void set(int sig, void (*f)(int), int flags) {
    struct sigaction sa = { .sa_handler = f, .sa_flags = flags };
    if (sigaction(sig, &sa, 0)) perror("sigaction");
}
static void set3(int sig, void (*f)(int, siginfo_t *, void *), int flags) {
    struct sigaction sa = { .sa_sigaction = f, .sa_flags = flags | SA_SIGINFO };
    sigaction(sig, &sa, 0);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    set(SIGUSR1, on, 0);
    raise(SIGUSR1); kill(getpid(), SIGUSR1); syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    printf("count %d last %d\n", count, last);

    // Blocked: pending once, whatever the number of sends.
    sigset_t s, old, pend;
    sigemptyset(&s); sigaddset(&s, SIGUSR1); sigaddset(&s, SIGKILL);
    sigprocmask(SIG_BLOCK, &s, &old);
    raise(SIGUSR1); raise(SIGUSR1);
    sigpending(&pend);
    printf("pending %d, count %d\n", sigismember(&pend, SIGUSR1), count);
    sigprocmask(SIG_SETMASK, 0, &s);
    printf("kill blocked: %d\n", sigismember(&s, SIGKILL));
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("count %d\n", count);

    // The signal is blocked in its own handler, unless SA_NODEFER.
    set(SIGUSR2, nested, 0); raise(SIGUSR2); printf("depth %d\n", max_depth);
    max_depth = depth = runs = 0;
    set(SIGUSR2, nested, SA_NODEFER); raise(SIGUSR2); printf("depth with NODEFER %d\n", max_depth);

    // SA_RESETHAND.
    set(SIGUSR1, on, SA_RESETHAND); raise(SIGUSR1);
    struct sigaction sa;
    sigaction(SIGUSR1, 0, &sa); printf("reset: %d flags %x\n", sa.sa_handler == SIG_DFL, sa.sa_flags & ~0x04000000);
    // Flags that do not exist are dropped.
    sa.sa_handler = on; sa.sa_flags = SA_RESTART | 0x400 | 0x100000; sigaction(SIGUSR1, &sa, 0);
    sigaction(SIGUSR1, 0, &sa); printf("flags %x\n", sa.sa_flags & ~0x04000000);
    printf("SIGKILL: %s\n", (sigaction(SIGKILL, 0, &sa), sa.sa_handler = on, sigaction(SIGKILL, &sa, 0)) ? strerror(errno) : "ok");
    printf("65: %s\n", syscall(SYS_rt_sigaction, 65, 0, 0, 8) ? strerror(errno) : "ok");
    printf("size: %s\n", syscall(SYS_rt_sigaction, 1, 0, 0, 16) ? strerror(errno) : "ok");

    // Real-time signals queue, with values, in order of number and then of arrival.
    sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0);
    for (int i = 0; i < 3; i++)
        for (int sig = SIGRTMIN + 2; sig >= SIGRTMIN; sig--) {
            set3(sig, queued, 0);
            sigqueue(getpid(), sig, (union sigval){ .sival_int = 10 * i + sig - SIGRTMIN });
        }
    set3(SIGHUP, queued, 0); kill(getpid(), SIGHUP); kill(getpid(), SIGHUP);
    sigemptyset(&s); sigprocmask(SIG_SETMASK, &s, 0);
    for (int i = 0; i < norder; i++) printf("%d:%d ", order[i] < 32 ? order[i] : order[i] - SIGRTMIN + 100, values[i]);
    printf("\n");

    // sigtimedwait and sigwaitinfo.
    sigemptyset(&s); sigaddset(&s, SIGRTMIN); sigaddset(&s, SIGUSR2); sigprocmask(SIG_BLOCK, &s, 0);
    struct timespec zero = {0}, ms = { 0, 20000000 };
    siginfo_t info;
    printf("none: %s\n", sigtimedwait(&s, &info, &zero) < 0 ? strerror(errno) : "got");
    printf("timeout: %s\n", sigtimedwait(&s, &info, &ms) < 0 ? strerror(errno) : "got");
    sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 77 });
    int r = sigwaitinfo(&s, &info);
    printf("got %d value %d code %d self %d\n", r == SIGRTMIN, info.si_value.sival_int, info.si_code, info.si_pid == getpid());
    // An ignored signal that is waited for is not dropped while blocked.
    signal(SIGUSR2, SIG_IGN); raise(SIGUSR2);
    printf("ignored but blocked: %d\n", sigtimedwait(&s, &info, &zero));
    // Setting SIG_IGN drops what is pending.
    set(SIGUSR2, on, 0); raise(SIGUSR2); signal(SIGUSR2, SIG_IGN);
    sigpending(&pend); printf("dropped: %d\n", !sigismember(&pend, SIGUSR2));

    // Alternate stack.
    stack_t ss = { .ss_sp = altstack, .ss_size = sizeof altstack }, small = { .ss_sp = altstack, .ss_size = 1000 }, got;
    printf("small: %s\n", sigaltstack(&small, 0) ? strerror(errno) : "ok");
    sigaltstack(0, &got); printf("before: flags %d\n", got.ss_flags);
    sigaltstack(&ss, 0); sigaltstack(0, &got); printf("after: flags %d size %zu\n", got.ss_flags, got.ss_size);
    set3(SIGUSR1, alt, SA_ONSTACK); raise(SIGUSR1);
    printf("on altstack %d, uc_stack flags %d\n", on_alt, alt_flags);
    ss.ss_flags = 1u << 31; // SS_AUTODISARM
    printf("autodisarm: %s\n", sigaltstack(&ss, 0) ? strerror(errno) : "ok");
    raise(SIGUSR1);
    sigaltstack(0, &got); printf("rearmed: flags %x\n", got.ss_flags);

    // Errors of kill.
    printf("kill 0: %d\n", kill(getpid(), 0));
    printf("kill 65: %s\n", kill(getpid(), 65) ? strerror(errno) : "ok");
    printf("kill nobody: %s\n", kill(4194000, SIGTERM) ? strerror(errno) : "ok");
    printf("tgkill wrong group: %s\n", syscall(SYS_tgkill, getpid() + 1000, getpid(), 0) ? strerror(errno) : "ok");
    printf("tkill 0: %s\n", syscall(SYS_tkill, 0, 0) ? strerror(errno) : "ok");
    info.si_code = SI_USER;
    printf("fake SI_USER: %s\n", syscall(SYS_rt_sigqueueinfo, 4194000, SIGUSR1, &info) ? strerror(errno) : "ok");
    return 0;
}
