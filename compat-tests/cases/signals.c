/* Signals: rt_sigaction, rt_sigprocmask, rt_sigpending, rt_sigsuspend, rt_sigtimedwait, rt_sigqueueinfo, rt_tgsigqueueinfo,
 * sigaltstack, pause, signalfd4. */
#include "case.h"
#include <sys/signalfd.h>

struct kernel_action { void *handler; unsigned long flags; void *restorer; uint64_t mask; };
#define MASK(signal) (1ull << ((signal) - 1))
static volatile sig_atomic_t count, last, order[16], depth, deepest;
static siginfo_t seen;
static void note(int signal) { if (count < 16) order[count] = signal; last = signal; count++; }
static void note_info(int signal, siginfo_t *info, void *context) { (void)context; seen = *info; note(signal); }
static void deep(int signal)
{
    if (++depth > deepest)
        deepest = depth;
    if (count++ < 3)
        raise(signal);
    depth--;
}
static void handle(int signal, void (*with)(int), int flags)
{
    struct sigaction action = {.sa_handler = with, .sa_flags = flags};
    MUST(sigaction(signal, &action, 0) == 0);
}
static void block(int how, int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(how, &set, 0);
}

GROUP(rt_sigaction)
{
#define ACTION(...) syscall(SYS_rt_sigaction, __VA_ARGS__)
    struct kernel_action action = {SIG_IGN, 0, 0, 0}, old;
    ERR("signal 0", EINVAL, ACTION(0, &action, &old, 8));
    ERR("signal 65", EINVAL, ACTION(65, &action, &old, 8));
    ERR("a negative signal", EINVAL, ACTION(-1, &action, &old, 8));
    ERR("SIGKILL", EINVAL, ACTION(SIGKILL, &action, NULL, 8));
    ERR("SIGSTOP", EINVAL, ACTION(SIGSTOP, &action, NULL, 8));
    OK("SIGKILL, only asking", ACTION(SIGKILL, NULL, &old, 8));
    ERR("a size of 4", EINVAL, ACTION(SIGUSR1, &action, NULL, 4));
    ERR("a size of 16", EINVAL, ACTION(SIGUSR1, &action, NULL, 16));
    ERR("from nowhere", EFAULT, ACTION(SIGUSR1, BAD, NULL, 8));
    ERR("into nowhere", EFAULT, ACTION(SIGUSR1, NULL, BAD, 8));
    for (int s = 1; s <= 64; s += s == 31 ? 3 : 1)
        if (s != SIGKILL && s != SIGSTOP && (s < 32 || s == 34 || s == 64))
            OK(named("signal %d", s), ACTION(s, &action, &old, 8));
    OK("asking", ACTION(SIGUSR1, NULL, &old, 8));
    YES("tells what was set", old.handler == SIG_IGN);
    action.mask = ~0ull;
    MUST(ACTION(SIGUSR1, &action, NULL, 8) == 0 && ACTION(SIGUSR1, NULL, &old, 8) == 0);
    YES("SIGKILL and SIGSTOP are never in the mask", old.mask == ~(MASK(SIGKILL) | MASK(SIGSTOP)));
    handle(SIGUSR1, note, 0);
    raise(SIGUSR1);
    EQ("a handler runs", 1, count);
    handle(SIGUSR1, note, SA_RESETHAND);
    raise(SIGUSR1);
    MUST(ACTION(SIGUSR1, NULL, &old, 8) == 0);
    YES("SA_RESETHAND", old.handler == SIG_DFL);
    count = 0;
    handle(SIGUSR2, deep, 0);
    raise(SIGUSR2);
    EQ("its signal is blocked in a handler", 1, deepest);
    count = deepest = depth = 0;
    handle(SIGUSR2, deep, SA_NODEFER);
    raise(SIGUSR2);
    EQ("SA_NODEFER", 4, deepest);
    struct sigaction with_info = {.sa_sigaction = note_info, .sa_flags = SA_SIGINFO};
    MUST(sigaction(SIGUSR1, &with_info, 0) == 0);
    kill(getpid(), SIGUSR1);
    SHOW("SA_SIGINFO of kill", "%d %d %d", seen.si_signo, seen.si_code, seen.si_pid == getpid());
    raise(SIGUSR1);
    EQ("of tgkill", SI_TKILL, seen.si_code);
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 77});
    SHOW("of sigqueue", "%d %d", seen.si_code, seen.si_value.sival_int);
    MUST(sigaction(SIGCHLD, &with_info, 0) == 0);
    int status;
    CHILD(status, _exit(5));
    SHOW("of a child", "%d %d", seen.si_code, seen.si_status);
    handle(SIGUSR1, note, 0);
    count = 0;
    block(SIG_BLOCK, SIGUSR1);
    block(SIG_BLOCK, 40);
    handle(40, note, 0);
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        raise(40);
    }
    block(SIG_UNBLOCK, SIGUSR1);
    EQ("standard signals are one", 1, count);
    block(SIG_UNBLOCK, 40);
    EQ("real-time signals queue", 4, count);
    signal(SIGUSR1, SIG_IGN);
    block(SIG_BLOCK, SIGUSR2);
    raise(SIGUSR2);
    signal(SIGUSR2, SIG_IGN);
    handle(SIGUSR2, note, 0);
    count = 0;
    block(SIG_UNBLOCK, SIGUSR2);
    EQ("ignoring drops what is pending", 0, count);
    count = 0;
    int many[] = {50, 45, SIGUSR2, 60};
    for (unsigned i = 0; i < COUNT(many); i++) {
        struct sigaction all = {.sa_handler = note};
        sigfillset(&all.sa_mask);
        sigaction(many[i], &all, 0);
        block(SIG_BLOCK, many[i]);
        raise(many[i]);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    SHOW("lowest numbers first", "%d %d %d %d", order[0], order[1], order[2], order[3]);
}

GROUP(rt_sigprocmask)
{
#define PROCMASK(...) syscall(SYS_rt_sigprocmask, __VA_ARGS__)
    uint64_t set = MASK(SIGUSR1) | MASK(SIGUSR2), old = 0;
    OK("SIG_SETMASK", PROCMASK(SIG_SETMASK, &set, &old, 8));
    OK("asking", PROCMASK(SIG_BLOCK, NULL, &old, 8));
    YES("is what was set", old == set);
    set = MASK(SIGTERM);
    OK("SIG_BLOCK", PROCMASK(SIG_BLOCK, &set, NULL, 8));
    set = MASK(SIGUSR1);
    OK("SIG_UNBLOCK", PROCMASK(SIG_UNBLOCK, &set, NULL, 8));
    MUST(PROCMASK(SIG_BLOCK, NULL, &old, 8) == 0);
    YES("both together", old == (MASK(SIGTERM) | MASK(SIGUSR2)));
    set = ~0ull;
    OK("all", PROCMASK(SIG_SETMASK, &set, NULL, 8));
    MUST(PROCMASK(SIG_BLOCK, NULL, &old, 8) == 0);
    YES("but SIGKILL and SIGSTOP", old == ~(MASK(SIGKILL) | MASK(SIGSTOP)));
    ERR("an unknown way", EINVAL, PROCMASK(3, &set, NULL, 8));
    OK("an unknown way of nothing", PROCMASK(3, NULL, &old, 8));
    ERR("a size of 4", EINVAL, PROCMASK(SIG_BLOCK, &set, NULL, 4));
    ERR("from nowhere", EFAULT, PROCMASK(SIG_BLOCK, BAD, NULL, 8));
    ERR("into nowhere", EFAULT, PROCMASK(SIG_BLOCK, NULL, BAD, 8));
}

GROUP(rt_sigpending)
{
    uint64_t set = 0;
    OK("none", syscall(SYS_rt_sigpending, &set, 8));
    YES("is none", set == 0);
    block(SIG_BLOCK, SIGUSR1);
    block(SIG_BLOCK, 50);
    raise(SIGUSR1);
    kill(getpid(), 50);
    MUST(syscall(SYS_rt_sigpending, &set, 8) == 0);
    YES("the thread's and the process's", set == (MASK(SIGUSR1) | MASK(50)));
    ERR("a size of 16", EINVAL, syscall(SYS_rt_sigpending, &set, 16));
    ERR("into nowhere", EFAULT, syscall(SYS_rt_sigpending, BAD, 8));
    signal(SIGWINCH, SIG_DFL);
    block(SIG_BLOCK, SIGWINCH);
    raise(SIGWINCH);
    MUST(syscall(SYS_rt_sigpending, &set, 8) == 0);
    SHOW("ignored by default, but blocked", "%d", !!(set & MASK(SIGWINCH)));
}

GROUP(rt_sigsuspend)
{
    handle(SIGUSR1, note, 0);
    block(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    uint64_t none = 0, now = 0;
    ERR("a signal that is pending", EINTR, syscall(SYS_rt_sigsuspend, &none, 8));
    EQ("its handler ran", 1, count);
    MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8) == 0);
    YES("the mask is as before", now == MASK(SIGUSR1));
    ERR("a size of 4", EINVAL, syscall(SYS_rt_sigsuspend, &none, 4));
    ERR("from nowhere", EFAULT, syscall(SYS_rt_sigsuspend, BAD, 8));
}

GROUP(rt_sigtimedwait)
{
#define TIMEDWAIT(...) syscall(SYS_rt_sigtimedwait, __VA_ARGS__)
    uint64_t set = MASK(SIGUSR1) | MASK(45) | MASK(41);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
    siginfo_t info;
    struct timespec none = {0, 0}, soon = {0, 10000000}, bad = {0, 1000000000}, negative = {-1, 0};
    ERR("nothing there", EAGAIN, TIMEDWAIT(&set, &info, &none, 8));
    ERR("nothing comes", EAGAIN, TIMEDWAIT(&set, &info, &soon, 8));
    sigqueue(getpid(), 45, (union sigval){.sival_int = 1});
    sigqueue(getpid(), 41, (union sigval){.sival_int = 2});
    sigqueue(getpid(), 45, (union sigval){.sival_int = 3});
    for (int i = 0; i < 3; i++) {
        EQ(named("signal %d of three", i + 1), i ? 45 : 41, TIMEDWAIT(&set, &info, NULL, 8));
        SHOW(named("its value, %d", i + 1), "%d", info.si_value.sival_int);
    }
    ERR("too many nanoseconds", EINVAL, TIMEDWAIT(&set, &info, &bad, 8));
    ERR("negative seconds", EINVAL, TIMEDWAIT(&set, &info, &negative, 8));
    ERR("a size of 4", EINVAL, TIMEDWAIT(&set, &info, &none, 4));
    ERR("a set nowhere", EFAULT, TIMEDWAIT(BAD, &info, &none, 8));
    handle(SIGALRM, note, 0);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    struct timespec long_ = {5, 0};
    setitimer(ITIMER_REAL, &timer, 0);
    ERR("another signal's handler", EINTR, TIMEDWAIT(&set, &info, &long_, 8));
}

GROUP(rt_sigqueueinfo)
{
#define QUEUEINFO(...) syscall(SYS_rt_sigqueueinfo, __VA_ARGS__)
    signal(SIGUSR1, SIG_IGN);
    siginfo_t info = {.si_code = SI_QUEUE};
    OK("ourselves", QUEUEINFO(getpid(), SIGUSR1, &info));
    ERR("no such process", ESRCH, QUEUEINFO(0x3ffffe, SIGUSR1, &info));
    ERR("no such signal", EINVAL, QUEUEINFO(getpid(), 65, &info));
    ERR("from nowhere", EFAULT, QUEUEINFO(getpid(), SIGUSR1, BAD));
    info.si_code = SI_USER;
    OK("SI_USER to ourselves", QUEUEINFO(getpid(), SIGUSR1, &info));
    pid_t parent = getppid();
    ERR("SI_USER to another", EPERM, QUEUEINFO(parent, 0, &info));
    info.si_code = SI_TKILL;
    ERR("SI_TKILL to another", EPERM, QUEUEINFO(parent, 0, &info));
}
GROUP(rt_tgsigqueueinfo)
{
    signal(SIGUSR1, SIG_IGN);
    siginfo_t info = {.si_code = SI_QUEUE};
    OK("ourselves", syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &info));
    ERR("another process's thread", ESRCH, syscall(SYS_rt_tgsigqueueinfo, 1, gettid(), SIGUSR1, &info));
    ERR("thread 0", EINVAL, syscall(SYS_rt_tgsigqueueinfo, getpid(), 0, SIGUSR1, &info));
    ERR("no such signal", EINVAL, syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), 65, &info));
}

static stack_t inside;
static volatile int disarm_error;
static void on_stack(int signal)
{
    (void)signal;
    stack_t other = {.ss_flags = SS_DISABLE};
    sigaltstack(0, &inside);
    disarm_error = sigaltstack(&other, 0) < 0 ? errno : 0;
}
GROUP(sigaltstack)
{
    static char memory[65536];
    stack_t stack = {memory, 0, sizeof memory}, old;
    OK("asking", sigaltstack(NULL, &old));
    EQ("there is none", SS_DISABLE, old.ss_flags);
    OK("set", sigaltstack(&stack, NULL));
    OK("asking then", sigaltstack(NULL, &old));
    YES("is what was set", old.ss_sp == memory && old.ss_size == sizeof memory && old.ss_flags == 0);
    handle(SIGUSR1, on_stack, SA_ONSTACK);
    raise(SIGUSR1);
    EQ("SS_ONSTACK in a handler", SS_ONSTACK, inside.ss_flags);
    EQ("it cannot be changed there", EPERM, disarm_error);
    handle(SIGUSR1, on_stack, 0);
    raise(SIGUSR1);
    EQ("a handler without SA_ONSTACK is not on it", 0, inside.ss_flags);
    MUST(sigaltstack(&stack, NULL) == 0);
    stack_t small = {memory, 0, 2047}, odd = {memory, 99, sizeof memory}, off = {.ss_flags = SS_DISABLE};
    ERR("too small", ENOMEM, sigaltstack(&small, NULL));
    ERR("unknown flags", EINVAL, sigaltstack(&odd, NULL));
    ERR("from nowhere", EFAULT, syscall(SYS_sigaltstack, BAD, NULL));
    ERR("into nowhere", EFAULT, syscall(SYS_sigaltstack, NULL, BAD));
    int status;
    CHILD(status, { sigaltstack(NULL, &old); YES("a child has it", old.ss_sp == memory); });
    OK("SS_DISABLE", sigaltstack(&off, NULL));
    OK("asking again", sigaltstack(NULL, &old));
    EQ("there is none again", SS_DISABLE, old.ss_flags);
}

GROUP(pause)
{
    handle(SIGALRM, note, SA_RESTART);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &timer, 0);
    ERR("until a handler has run", EINTR, pause());
    EQ("it did", 1, count);
}

GROUP(signalfd4)
{
    uint64_t set = MASK(SIGUSR1) | MASK(45);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
    int file = file_with("a", "");
#define SIGNALFD(...) syscall(SYS_signalfd4, __VA_ARGS__)
    int fd = SIGNALFD(-1, &set, 8, SFD_NONBLOCK | SFD_CLOEXEC);
    YES("made", fd >= 0);
    EQ("SFD_CLOEXEC", FD_CLOEXEC, fcntl(fd, F_GETFD));
    EQ("SFD_NONBLOCK", O_NONBLOCK | O_RDWR, fcntl(fd, F_GETFL));
    struct signalfd_siginfo info[4];
    ERR("nothing there", EAGAIN, read(fd, info, sizeof info));
    ERR("too little room", EINVAL, read(fd, info, sizeof *info - 1));
    raise(SIGUSR1);
    sigqueue(getpid(), 45, (union sigval){.sival_int = 9});
    EQ("two signals", 2 * sizeof *info, read(fd, info, sizeof info));
    SHOW("the first", "%u %d", info[0].ssi_signo, info[0].ssi_code);
    SHOW("the second", "%u %d %d", info[1].ssi_signo, info[1].ssi_code, info[1].ssi_int);
    ERR("none are left", EAGAIN, read(fd, info, sizeof info));
    set = MASK(SIGUSR2);
    EQ("changed", fd, SIGNALFD(fd, &set, 8, 0));
    raise(SIGUSR1);
    ERR("another signal", EAGAIN, read(fd, info, sizeof info));
    ERR("unknown flags", EINVAL, SIGNALFD(-1, &set, 8, 1));
    ERR("a size of 4", EINVAL, SIGNALFD(-1, &set, 4, 0));
    ERR("a file", EINVAL, SIGNALFD(file, &set, 8, 0));
    ERR("no descriptor", EBADF, SIGNALFD(NOFD, &set, 8, 0));
    ERR("from nowhere", EFAULT, SIGNALFD(-1, BAD, 8, 0));
    ERR("writing", EINVAL, write(fd, info, sizeof info));
}
