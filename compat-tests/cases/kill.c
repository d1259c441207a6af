/* kill(2) and its kin, clone3(2), unshare(2) and core files: whom they mean and what they refuse. */
#include "case.h"
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static volatile sig_atomic_t got, got_code, got_value;

static void handle(int signal, siginfo_t *info, void *context)
{
    (void)context;
    got = signal, got_code = info->si_code, got_value = info->si_value.sival_int;
}

static void catch(int signal)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    MUST(sigaction(signal, &action, NULL) == 0);
    got = got_code = got_value = 0;
}

static siginfo_t queued(int signal, int code)
{
    siginfo_t info = {.si_signo = signal, .si_code = code};
    info.si_pid = getpid();
    info.si_value.sival_int = 7;
    return info;
}

static int thread_id;

static void *in_thread(void *arg)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    __atomic_store_n(&thread_id, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    pause_ms(100000);
    return arg;
}

/* Another thread of this process, which blocks all signals. */
static int other_thread(void)
{
    pthread_t thread;
    if (!thread_id)
        MUST(pthread_create(&thread, NULL, in_thread, NULL) == 0);
    while (!__atomic_load_n(&thread_id, __ATOMIC_SEQ_CST))
        pause_ms(1);
    return thread_id;
}

GROUP(kill)
{
    catch(SIGUSR1);
    ERR("nobody and no signal", ESRCH, kill(INT_MAX, 1000));
    ERR("nobody", ESRCH, kill(INT_MAX, SIGKILL));
    ERR("no group and no signal", ESRCH, kill(-INT_MAX, 1000));
    ERR("no group", ESRCH, kill(-INT_MAX, 0));
    ERR("the least number", ESRCH, kill(INT_MIN, SIGKILL));
    ERR("the least number and no signal", ESRCH, kill(INT_MIN, 1000));
    ERR("no signal", EINVAL, kill(getpid(), 65));
    ERR("a negative signal", EINVAL, kill(getpid(), -1));
    ERR("no signal to my group", EINVAL, kill(0, 65));
    OK("a thread's id", kill(other_thread(), SIGUSR1));
    EQ("is the process's", SIGUSR1, got);
    ERR("tkill: no thread", EINVAL, syscall(SYS_tkill, 0, 0));
    ERR("tkill: a negative one", EINVAL, syscall(SYS_tkill, -1, 1000));
    ERR("tkill: nobody and no signal", ESRCH, syscall(SYS_tkill, INT_MAX, 1000));
    ERR("tkill: no signal", EINVAL, syscall(SYS_tkill, getpid(), 1000));
    ERR("tgkill: no thread", EINVAL, syscall(SYS_tgkill, getpid(), 0, 0));
    ERR("tgkill: no process", EINVAL, syscall(SYS_tgkill, 0, getpid(), 0));
    ERR("tgkill: another process's thread", ESRCH, syscall(SYS_tgkill, getppid(), getpid(), 0));
    ERR("tgkill: no signal", EINVAL, syscall(SYS_tgkill, getpid(), getpid(), 1000));
    OK("tgkill: a thread", syscall(SYS_tgkill, getpid(), other_thread(), 0));
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    siginfo_t info;
    MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT) == 0);
    OK("one that has ended", kill(child, SIGKILL));
    ERR("one that has ended and no signal", EINVAL, kill(child, 1000));
    MUST(waitpid(child, &status, 0) == child);
    ERR("one that was waited for", ESRCH, kill(child, SIGKILL));
    AS_NOBODY({
        ERR("somebody else's", EPERM, kill(getppid(), SIGUSR1));
        ERR("somebody else's, asked only", EPERM, kill(getppid(), 0));
        ERR("somebody else's thread", EPERM, syscall(SYS_tgkill, getppid(), getppid(), SIGUSR1));
        ERR("somebody else's, and no signal", EINVAL, kill(getppid(), 1000));
    });
}

GROUP(rt_sigqueueinfo)
{
    catch(SIGUSR1);
    siginfo_t info = queued(SIGUSR1, SI_QUEUE);
    OK("myself", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    SHOW("what came", "%d %d %d", got, got_code, got_value);
    got = 0;
    OK("by the id of a thread", syscall(SYS_rt_sigqueueinfo, other_thread(), SIGUSR1, &info));
    EQ("came too", SIGUSR1, got);
    ERR("nobody", ESRCH, syscall(SYS_rt_sigqueueinfo, INT_MAX, SIGUSR1, &info));
    ERR("nobody and no signal", ESRCH, syscall(SYS_rt_sigqueueinfo, INT_MAX, 1000, &info));
    ERR("a negative id", ESRCH, syscall(SYS_rt_sigqueueinfo, -5, SIGUSR1, &info));
    ERR("no signal", EINVAL, syscall(SYS_rt_sigqueueinfo, getpid(), 1000, &info));
    ERR("bad information", EFAULT, syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD));
    ERR("bad information for nobody", EFAULT, syscall(SYS_rt_sigqueueinfo, INT_MAX, SIGUSR1, BAD));
    info = queued(SIGUSR1, SI_USER);
    OK("as if by kill, to myself", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    ERR("as if by kill, to another", EPERM, syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &info));
    ERR("as if by kill, by the id of another thread", EPERM, syscall(SYS_rt_sigqueueinfo, other_thread(), SIGUSR1, &info));
    info = queued(SIGUSR1, SI_TKILL);
    ERR("as if by tkill, to nobody", EPERM, syscall(SYS_rt_sigqueueinfo, INT_MAX, SIGUSR1, &info));
    info = queued(SIGUSR1, SI_QUEUE);
    OK("to a thread", syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info));
    ERR("to thread 0", EINVAL, syscall(SYS_rt_tgsigqueueinfo, getpid(), 0, SIGUSR1, &info));
    ERR("to thread 0 with bad information", EFAULT, syscall(SYS_rt_tgsigqueueinfo, getpid(), 0, SIGUSR1, BAD));
    ERR("to a thread of process 0", EINVAL, syscall(SYS_rt_tgsigqueueinfo, 0, getpid(), SIGUSR1, &info));
    ERR("to another's thread", ESRCH, syscall(SYS_rt_tgsigqueueinfo, getppid(), getpid(), SIGUSR1, &info));
    info = queued(SIGUSR1, SI_USER);
    OK("as if by kill, to my thread", syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info));
    ERR("as if by kill, to another thread", EPERM, syscall(SYS_rt_tgsigqueueinfo, getpid(), other_thread(), SIGUSR1, &info));
}

GROUP(rt_sigaction)
{
    struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } action = {0}, old;
    ERR("no signal", EINVAL, syscall(SYS_rt_sigaction, 0, &action, NULL, 8));
    ERR("too large a signal", EINVAL, syscall(SYS_rt_sigaction, 65, NULL, &old, 8));
    ERR("no signal and a bad action", EFAULT, syscall(SYS_rt_sigaction, 65, BAD, NULL, 8));
    ERR("a bad action", EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8));
    ERR("nowhere to tell", EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD, 8));
    ERR("a set of another size", EINVAL, syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 16));
    ERR("SIGKILL", EINVAL, syscall(SYS_rt_sigaction, SIGKILL, &action, NULL, 8));
    ERR("SIGSTOP", EINVAL, syscall(SYS_rt_sigaction, SIGSTOP, &action, NULL, 8));
    OK("SIGKILL asked only", syscall(SYS_rt_sigaction, SIGKILL, NULL, &old, 8));
}

GROUP(pidfd_send_signal)
{
    catch(SIGUSR1);
    int self = open("/proc/self", O_RDONLY | O_DIRECTORY), thread = open("/proc/thread-self", O_RDONLY | O_DIRECTORY);
    int process = syscall(SYS_pidfd_open, getpid(), 0), path = open("/proc/self", O_PATH), root = open("/proc", O_RDONLY);
    int file = open("/proc/self/stat", O_RDONLY), inner = open("/proc/self/fd", O_RDONLY);
    siginfo_t info = queued(SIGUSR1, SI_QUEUE);
    MUST(self >= 0 && thread >= 0 && process >= 0 && root >= 0 && file >= 0);
    OK("my directory in /proc", syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0));
    EQ("came", SIGUSR1, got);
    OK("with information", syscall(SYS_pidfd_send_signal, self, SIGUSR1, &info, 0));
    SHOW("what came", "%d %d %d", got, got_code, got_value);
    ERR("my thread's", EBADF, syscall(SYS_pidfd_send_signal, thread, SIGUSR1, NULL, 0));
    ERR("by its path alone", EBADF, syscall(SYS_pidfd_send_signal, path, SIGUSR1, NULL, 0));
    ERR("/proc", EBADF, syscall(SYS_pidfd_send_signal, root, SIGUSR1, NULL, 0));
    ERR("a file in it", EBADF, syscall(SYS_pidfd_send_signal, file, SIGUSR1, NULL, 0));
    ERR("a directory in it", EBADF, syscall(SYS_pidfd_send_signal, inner, SIGUSR1, NULL, 0));
    ERR("no descriptor", EBADF, syscall(SYS_pidfd_send_signal, NOFD, SIGUSR1, NULL, 0));
    ERR("unknown flags", EINVAL, syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 8));
    ERR("two at once", EINVAL, syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 3));
    OK("the thread", syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 1));
    EQ("came by tgkill", SI_TKILL, got_code);
    OK("the process", syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 2));
    EQ("came by kill", SI_USER, got_code);
    setpgid(0, 0);
    OK("the group", syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 4));
    ERR("no signal", EINVAL, syscall(SYS_pidfd_send_signal, process, 1000, NULL, 0));
    ERR("another signal than in the information", EINVAL, syscall(SYS_pidfd_send_signal, process, SIGUSR2, &info, 0));
    ERR("bad information", EFAULT, syscall(SYS_pidfd_send_signal, process, SIGUSR1, BAD, 0));
    info = queued(SIGUSR1, SI_USER);
    OK("as if by kill, to myself", syscall(SYS_pidfd_send_signal, process, SIGUSR1, &info, 0));
    ERR("as if by kill, to my group", EPERM, syscall(SYS_pidfd_send_signal, process, SIGUSR1, &info, 4));
    int status;
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    char name[32];
    snprintf(name, sizeof name, "/proc/%d", child);
    int dir = open(name, O_RDONLY);
    OK("a child", syscall(SYS_pidfd_send_signal, dir, SIGKILL, NULL, 0));
    MUST(waitpid(child, &status, 0) == child);
    EQ("is killed", SIGKILL, status);
    ERR("and then gone", ESRCH, syscall(SYS_pidfd_send_signal, dir, SIGKILL, NULL, 0));
    ERR("pidfd_getfd does not take it", EBADF, syscall(SYS_pidfd_getfd, self, 0, 0));
}

/* Calls clone3 with arguments of this size that end at the end of a page; a child ends at once. */
static long clone3_at_edge(size_t size, size_t there, int last)
{
    char *page = edge_page(PROT_READ | PROT_WRITE);
    char *args = page + 4096 - there;
    memset(args, 0, there);
    uint64_t signal = SIGCHLD;
    if (there >= 40)
        memcpy(args + 32, &signal, 8);
    if (last)
        args[there - 1] = 1;
    long pid = syscall(SYS_clone3, args, size);
    int error = errno;
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    errno = error;
    return pid > 0 ? 0 : pid;
}

GROUP(clone3)
{
    ERR("no size", EINVAL, clone3_at_edge(0, 88, 0));
    ERR("smaller than the first version", EINVAL, clone3_at_edge(63, 88, 0));
    OK("the first version", clone3_at_edge(64, 64, 0));
    OK("between versions", clone3_at_edge(65, 65, 0));
    OK("the second version", clone3_at_edge(80, 80, 0));
    OK("the third version", clone3_at_edge(88, 88, 0));
    OK("larger", clone3_at_edge(89, 89, 0));
    ERR("larger with something in it", E2BIG, clone3_at_edge(89, 89, 1));
    ERR("larger and not there", EFAULT, clone3_at_edge(89, 88, 0));
    OK("a page", clone3_at_edge(4096, 4096, 0));
    ERR("more than a page", E2BIG, clone3_at_edge(4097, 4096, 0));
    ERR("not there", EFAULT, clone3_at_edge(88, 80, 0));
    ERR("nowhere", EFAULT, syscall(SYS_clone3, NULL, 88));
    static const struct { const char *name; int error; uint64_t args[11]; size_t size; } bad[] = {
        {"unknown flags", EINVAL, {1ull << 40}, 88},
        {"an exit signal among the flags", EINVAL, {SIGCHLD}, 88},
        {"no exit signal", EINVAL, {0, 0, 0, 0, 65}, 88},
        {"a large exit signal", EINVAL, {0, 0, 0, 0, 1ull << 32}, 88},
        {"a stack without size", EINVAL, {0, 0, 0, 0, SIGCHLD, 4096}, 88},
        {"a size without stack", EINVAL, {0, 0, 0, 0, SIGCHLD, 0, 4096}, 88},
        {"a thread with an exit signal", EINVAL, {CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, SIGCHLD}, 88},
        {"a thread without the actions", EINVAL, {CLONE_THREAD | CLONE_VM}, 88},
        {"actions without memory", EINVAL, {CLONE_SIGHAND, 0, 0, 0, SIGCHLD}, 88},
        {"actions shared and cleared", EINVAL, {CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND, 0, 0, 0, SIGCHLD}, 88},
        {"an id list without size", EINVAL, {0, 0, 0, 0, SIGCHLD, 0, 0, 0, 4096}, 88},
        {"a size without ids", EINVAL, {0, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 1}, 88},
        {"too many ids", EINVAL, {0, 0, 0, 0, SIGCHLD, 0, 0, 0, 4096, 33}, 88},
        {"ids that are not there", EFAULT, {0, 0, 0, 0, SIGCHLD, 0, 0, 0, 16, 1}, 88},
        {"a cgroup in an old version", EINVAL, {CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD}, 80},
        {"a cgroup's number too large", EINVAL, {CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 1ull << 31}, 88},
        {"no cgroup", EBADF, {CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, NOFD}, 88},
        {"a pidfd nowhere", EFAULT, {CLONE_PIDFD, 16, 0, 0, SIGCHLD}, 88},
        {"a pidfd of a detached one", EINVAL, {CLONE_PIDFD | CLONE_DETACHED, 16, 0, 0, SIGCHLD}, 88},
    };
    for (unsigned i = 0; i < COUNT(bad); i++) {
        errno = 0;
        long pid = syscall(SYS_clone3, bad[i].args, bad[i].size);
        if (pid == 0)
            _exit(0);
        fails(bad[i].name, bad[i].error, pid, errno);
    }
}

GROUP(unshare)
{
    ERR("everything", EINVAL, unshare(-1));
    ERR("what is no flag", EINVAL, unshare(CLONE_PTRACE));
    ERR("the exit signal", EINVAL, unshare(SIGCHLD));
    OK("nothing", unshare(0));
    OK("files, directory, semaphores", unshare(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM));
    OK("what one thread has for itself", unshare(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM));
    other_thread();
    ERR("memory, with another thread", EINVAL, unshare(CLONE_VM));
    ERR("actions, with another thread", EINVAL, unshare(CLONE_SIGHAND));
    ERR("the thread group, with another thread", EINVAL, unshare(CLONE_THREAD));
    ERR("users, with another thread", EINVAL, unshare(CLONE_NEWUSER));
    OK("files, with another thread", unshare(CLONE_FILES));
}

GROUP(core)
{
    static const long limits[] = {0, 4095, 4096, 10000};
    for (unsigned i = 0; i < COUNT(limits); i++) {
        int status;
        CHILD(status, {
            struct rlimit limit = {limits[i], limits[i]};
            MUST(prctl(PR_SET_DUMPABLE, 1) == 0 && setrlimit(RLIMIT_CORE, &limit) == 0);
            abort();
        });
        SHOW(named("a limit of %ld", limits[i]), "signal %d core %d", WTERMSIG(status), !!WCOREDUMP(status));
        unlink("core");
    }
}

GROUP(tsc)
{
    int value = 0;
    OK("PR_GET_TSC", prctl(PR_GET_TSC, &value));
    EQ("is on", PR_TSC_ENABLE, value);
    OK("PR_SET_TSC on", prctl(PR_SET_TSC, PR_TSC_ENABLE));
    ERR("PR_SET_TSC of nothing", EINVAL, prctl(PR_SET_TSC, 0));
    ERR("PR_GET_TSC to nowhere", EFAULT, prctl(PR_GET_TSC, BAD));
}
