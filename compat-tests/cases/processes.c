/* Processes: fork, exec, wait, exit, groups and sessions, pidfds, prctl, limits. */
#include "case.h"
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <asm/prctl.h>
#include <sys/personality.h>

static const char *how(int status)
{
    if (WIFEXITED(status))
        return named("exit %d", WEXITSTATUS(status));
    if (WIFSIGNALED(status))
        return named("signal %d", WTERMSIG(status));
    if (WIFSTOPPED(status))
        return named("stopped %d", WSTOPSIG(status));
    return WIFCONTINUED(status) ? "continued" : "?";
}
static void end(pid_t pid) { kill(pid, SIGKILL); waitpid(pid, 0, 0); }

GROUP(fork)
{
    static int shared = 1;
    int fd = file_with("a", "0123456789"), status;
    CHILD(status, {
        YES("the child knows its parent", getppid() > 0);
        EQ("a child has what was there", 1, shared);
        shared = 2;
        lseek(fd, 5, SEEK_SET);
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        YES("its time starts anew", t.tv_sec == 0);
        EQ("its alarm is none", 0, alarm(0));
        sigset_t pending;
        sigpending(&pending);
        YES("no signal is pending", !sigismember(&pending, SIGUSR1));
    });
    EQ("the parent's stays", 1, shared);
    EQ("an open file is shared", 5, lseek(fd, 0, SEEK_CUR));
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR2);
    sigprocmask(SIG_BLOCK, &block, 0);
    signal(SIGUSR1, SIG_IGN);
    CHILD(status, {
        sigset_t now;
        sigprocmask(SIG_BLOCK, 0, &now);
        YES("the mask is inherited", sigismember(&now, SIGUSR2));
        YES("and what is ignored", signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    });
    CHILD(status, _exit(300));
    TEXT("an exit status has eight bits", "exit 44", how(status));
    struct rlimit limit = {0, 0};
    AS_NOBODY({
        MUST(setrlimit(RLIMIT_NPROC, &limit) == 0);
        ERR("beyond RLIMIT_NPROC", EAGAIN, fork());
    });
}

GROUP(vfork)
{
    volatile int seen = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        seen = 7;
        _exit(3);
    }
    int status;
    EQ("shares memory", 7, seen);
    MUST(waitpid(pid, &status, 0) == pid);
    TEXT("its end", "exit 3", how(status));
}

GROUP(execve)
{
    char *args[] = {"sh", 0}, *none[] = {0};
    close(file_with("text", "#!/no/such/interpreter\n"));
    close(file_with("junk", "\177ELFjunk"));
    close(file_with("empty", ""));
    MUST(mkdir("d", 0755) == 0 && mkdir("locked", 0700) == 0 && symlink("loop", "loop") == 0);
    ERR("no permission to execute", EACCES, execve("text", args, none));
    MUST(chmod("text", 0755) == 0 && chmod("junk", 0755) == 0 && chmod("empty", 0755) == 0);
    ERR("an interpreter that is not there", ENOENT, execve("text", args, none));
    ERR("a damaged program", ENOEXEC, execve("junk", args, none));
    ERR("an empty file", ENOEXEC, execve("empty", args, none));
    ERR("not there", ENOENT, execve("gone", args, none));
    ERR("an empty path", ENOENT, execve("", args, none));
    ERR("a directory", EACCES, execve("d", args, none));
    ERR("below a file", ENOTDIR, execve("text/x", args, none));
    ERR("a loop", ELOOP, execve("loop", args, none));
    ERR("a path nowhere", EFAULT, execve(BAD, args, none));
    ERR("arguments nowhere", EFAULT, execve("/proc/self/exe", BAD, none));
    char *bad_arg[] = {"a", BAD, 0};
    ERR("one argument nowhere", EFAULT, execve("/proc/self/exe", bad_arg, none));
    ERR("an environment nowhere", EFAULT, execve("/proc/self/exe", args, BAD));
    static char name[300];
    memset(name, 'n', 299);
    ERR("a long name", ENAMETOOLONG, execve(name, args, none));
    static char large[140000];
    memset(large, 'x', sizeof large - 1);
    char *too_large[] = {"a", large, 0};
    ERR("an argument of more than 128 KiB", E2BIG, execve("/proc/self/exe", too_large, none));
    int w = open("text", O_WRONLY);
    ERR("open for writing", ETXTBSY, execve("text", args, none));
    close(w);
    close(file_with("locked/x", "x"));
    AS_NOBODY(ERR("no permission to search", EACCES, execve("locked/x", args, none)));
    close(file_with("loop1", "#!loop2\n"));
    close(file_with("loop2", "#!loop1\n"));
    MUST(chmod("loop1", 0755) == 0 && chmod("loop2", 0755) == 0);
    ERR("interpreters in a circle", ELOOP, execve("loop1", args, none));
}

GROUP(execveat)
{
    char *args[] = {"x", 0};
    int dir = open(".", O_RDONLY), file = file_with("a", "x");
#define EXECVEAT(...) syscall(SYS_execveat, __VA_ARGS__)
    ERR("not there", ENOENT, EXECVEAT(dir, "gone", args, args + 1, 0));
    ERR("no descriptor", EBADF, EXECVEAT(NOFD, "gone", args, args + 1, 0));
    ERR("not a directory", ENOTDIR, EXECVEAT(file, "gone", args, args + 1, 0));
    ERR("an empty path", ENOENT, EXECVEAT(file, "", args, args + 1, 0));
    ERR("no permission", EACCES, EXECVEAT(file, "", args, args + 1, AT_EMPTY_PATH));
    ERR("unknown flags", EINVAL, EXECVEAT(dir, "a", args, args + 1, AT_REMOVEDIR));
    MUST(symlink("a", "l") == 0);
    ERR("AT_SYMLINK_NOFOLLOW", ELOOP, EXECVEAT(dir, "l", args, args + 1, AT_SYMLINK_NOFOLLOW));
}

GROUP(wait4)
{
    int status = 0;
    ERR("no children", ECHILD, wait4(-1, &status, 0, 0));
    pid_t pid = sleeping_child();
    EQ("WNOHANG", 0, wait4(pid, &status, WNOHANG, 0));
    ERR("another's child", ECHILD, wait4(1, &status, 0, 0));
    ERR("a group without children", ECHILD, wait4(-0x3fffff, &status, 0, 0));
    ERR("unknown options", EINVAL, wait4(pid, &status, 0x100, 0));
    ERR("a group that cannot be", ESRCH, wait4(INT_MIN, &status, 0, 0));
    kill(pid, SIGSTOP);
    YES("WUNTRACED", wait4(pid, &status, WUNTRACED, 0) == pid);
    TEXT("stopped", "stopped 19", how(status));
    EQ("told once", 0, wait4(pid, &status, WUNTRACED | WNOHANG, 0));
    kill(pid, SIGCONT);
    YES("WCONTINUED", wait4(pid, &status, WCONTINUED, 0) == pid);
    TEXT("continued", "continued", how(status));
    kill(pid, SIGTERM);
    struct rusage usage;
    YES("the group", wait4(0, &status, 0, &usage) == pid);
    TEXT("killed", "signal 15", how(status));
    ERR("again", ECHILD, wait4(pid, &status, 0, 0));
    int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGVTALRM, SIGIO, SIGSYS, 34, 64};
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (unsigned i = 0; i < COUNT(signals); i++) {
        CHILD(status, { signal(signals[i], SIG_DFL); raise(signals[i]); });
        SHOW(named("after signal %d", signals[i]), "%s", how(status));
    }
    int ignored[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
    for (unsigned i = 0; i < COUNT(ignored); i++) {
        CHILD(status, { signal(ignored[i], SIG_DFL); raise(ignored[i]); _exit(9); });
        TEXT(named("after signal %d, ignored", ignored[i]), "exit 9", how(status));
    }
    pid = fork();
    if (!pid)
        _exit(0);
    ERR("a status nowhere", EFAULT, syscall(SYS_wait4, pid, BAD, 0, 0));
    signal(SIGCHLD, SIG_IGN);
    pid = fork();
    if (!pid)
        _exit(0);
    ERR("with SIGCHLD ignored none is kept", ECHILD, wait4(pid, &status, 0, 0));
}

GROUP(waitid)
{
    siginfo_t info;
    pid_t pid = fork();
    if (!pid)
        _exit(7);
    OK("WNOWAIT", waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    SHOW("tells", "signal %d code %d status %d pid %d", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
    OK("and keeps it", waitid(P_PID, pid, &info, WEXITED));
    ERR("then it is gone", ECHILD, waitid(P_PID, pid, &info, WEXITED));
    pid = sleeping_child();
    memset(&info, 1, sizeof info);
    OK("WNOHANG", waitid(P_PID, pid, &info, WEXITED | WNOHANG));
    SHOW("tells nothing", "pid %d signal %d", info.si_pid, info.si_signo);
    ERR("nothing to wait for", EINVAL, waitid(P_PID, pid, &info, WNOHANG));
    ERR("unknown options", EINVAL, waitid(P_PID, pid, &info, WEXITED | 0x100));
    ERR("unknown kind", EINVAL, waitid(77, pid, &info, WEXITED));
    ERR("P_PID of 0", EINVAL, waitid(P_PID, 0, &info, WEXITED));
    ERR("P_PIDFD, no descriptor", EBADF, waitid(P_PIDFD, NOFD, &info, WEXITED));
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    kill(pid, SIGSTOP);
    OK("WSTOPPED", waitid(P_PIDFD, pidfd, &info, WSTOPPED));
    SHOW("stopped", "code %d status %d", info.si_code, info.si_status);
    kill(pid, SIGCONT);
    OK("WCONTINUED", waitid(P_PIDFD, pidfd, &info, WCONTINUED));
    SHOW("continued", "code %d status %d", info.si_code, info.si_status);
    kill(pid, SIGKILL);
    OK("P_ALL", waitid(P_ALL, 0, &info, WEXITED));
    SHOW("killed", "code %d status %d", info.si_code, info.si_status);
    ERR("no children", ECHILD, waitid(P_ALL, 0, &info, WEXITED));
}

GROUP(exit_group)
{
    int status, codes[] = {0, 1, 127, 255, 256, -1};
    for (unsigned i = 0; i < COUNT(codes); i++) {
        CHILD(status, syscall(SYS_exit_group, codes[i]));
        SHOW(named("%d", codes[i]), "%s", how(status));
    }
}
GROUP(exit)
{
    int status;
    CHILD(status, syscall(SYS_exit, 5));
    TEXT("of the only thread", "exit 5", how(status));
}

GROUP(setpgid)
{
    pid_t pid = sleeping_child();
    OK("ourselves", setpgid(0, 0));
    YES("is a leader", getpgrp() == getpid());
    OK("a child", setpgid(pid, pid));
    YES("its group", getpgid(pid) == pid);
    OK("back to ours", setpgid(pid, getpid()));
    ERR("a group that is not there", EPERM, setpgid(pid, 0x3ffffe));
    ERR("a negative group", EINVAL, setpgid(pid, -1));
    ERR("no such process", ESRCH, setpgid(0x3ffffe, 0));
    ERR("neither child nor ourselves", ESRCH, setpgid(1, 0));
    end(pid);
    int status;
    CHILD(status, {
        MUST(setsid() == getpid());
        ERR("a session's leader", EPERM, setpgid(0, 0));
    });
}
GROUP(getpgid)
{
    YES("ours", getpgid(0) == getpgid(getpid()) && getpgid(0) == getpgrp());
    ERR("no such process", ESRCH, getpgid(0x3ffffe));
    ERR("a negative process", ESRCH, getpgid(-1));
}
GROUP(getpgrp) { YES("is getpgid(0)", syscall(SYS_getpgrp) == getpgid(0)); }
GROUP(setsid)
{
    ERR("a group's leader", EPERM, setsid());
    int status;
    CHILD(status, {
        pid_t me = getpid();
        YES("another process", setsid() == me);
        YES("leads a session", getsid(0) == me);
        YES("and a group", getpgrp() == me);
        ERR("again", EPERM, setsid());
        ERR("has no terminal", ENXIO, open("/dev/tty", O_RDWR));
    });
}
GROUP(getsid)
{
    YES("ours", getsid(0) == getsid(getpid()));
    ERR("no such process", ESRCH, getsid(0x3ffffe));
}
GROUP(getpid)
{
    YES("is the thread's", syscall(SYS_getpid) == syscall(SYS_gettid));
    char text[32] = "";
    MUST(readlink("/proc/self", text, 31) > 0);
    YES("is /proc/self", atoi(text) == getpid());
}
GROUP(gettid) { YES("of the first thread is the process", syscall(SYS_gettid) == getpid()); }
GROUP(getppid)
{
    pid_t me = getpid();
    int status;
    CHILD(status, YES("a child's", syscall(SYS_getppid) == me));
    int p[2];
    MUST(pipe(p) == 0);
    pid_t middle = fork();
    if (!middle) {
        pid_t own = getpid();
        if (!fork()) {
            while (getppid() == own)
                pause_ms(1);
            char done = getppid() != own;
            write(p[1], &done, 1);
        }
        _exit(0);
    }
    waitpid(middle, 0, 0);
    char done = 0;
    MUST(read(p[0], &done, 1) == 1);
    EQ("an orphan has another", 1, done);
}

GROUP(kill)
{
    pid_t pid = sleeping_child();
    int status;
    OK("signal 0", kill(pid, 0));
    ERR("no such signal", EINVAL, kill(pid, 65));
    ERR("a negative signal", EINVAL, kill(pid, -1));
    ERR("no such process", ESRCH, kill(0x3ffffe, 0));
    ERR("no such group", ESRCH, kill(-0x3ffffe, 0));
    OK("our own group", kill(0, 0));
    AS_NOBODY(ERR("another's", EPERM, kill(pid, SIGTERM)));
    OK("a signal", kill(pid, SIGTERM));
    MUST(waitpid(pid, &status, 0) == pid);
    TEXT("ends it", "signal 15", how(status));
    pid = fork();
    if (!pid)
        _exit(0);
    siginfo_t info;
    MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0);
    OK("a zombie", kill(pid, SIGTERM));
    MUST(waitpid(pid, &status, 0) == pid);
    TEXT("ended before", "exit 0", how(status));
    ERR("INT_MIN", ESRCH, kill(INT_MIN, 0));
}
GROUP(tkill)
{
    OK("ourselves", syscall(SYS_tkill, gettid(), 0));
    ERR("no such thread", ESRCH, syscall(SYS_tkill, 0x3ffffe, 0));
    ERR("thread 0", EINVAL, syscall(SYS_tkill, 0, 0));
    ERR("a negative thread", EINVAL, syscall(SYS_tkill, -1, 0));
    ERR("no such signal", EINVAL, syscall(SYS_tkill, gettid(), 65));
}
GROUP(tgkill)
{
    OK("ourselves", syscall(SYS_tgkill, getpid(), gettid(), 0));
    ERR("a thread of another process", ESRCH, syscall(SYS_tgkill, 1, gettid(), 0));
    ERR("thread 0", EINVAL, syscall(SYS_tgkill, getpid(), 0, 0));
    ERR("process 0", EINVAL, syscall(SYS_tgkill, 0, gettid(), 0));
    ERR("no such signal", EINVAL, syscall(SYS_tgkill, getpid(), gettid(), 65));
}

GROUP(clone)
{
#define CLONE(flags) syscall(SYS_clone, flags, 0, 0, 0, 0)
    ERR("CLONE_THREAD without CLONE_SIGHAND", EINVAL, CLONE(CLONE_THREAD | CLONE_VM));
    ERR("CLONE_SIGHAND without CLONE_VM", EINVAL, CLONE(CLONE_SIGHAND));
    ERR("CLONE_FS and CLONE_NEWNS", EINVAL, CLONE(CLONE_FS | CLONE_NEWNS));
    ERR("CLONE_PIDFD and CLONE_PARENT_SETTID into nowhere", EINVAL, CLONE(CLONE_PIDFD | CLONE_PARENT_SETTID));
    int fd = file_with("a", "abc"), status;
    long pid = CLONE(CLONE_FILES | SIGCHLD);
    if (!pid) {
        close(fd);
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0) == pid);
    ERR("CLONE_FILES shares descriptors", EBADF, lseek(fd, 0, SEEK_SET));
    MUST(mkdir("d", 0755) == 0);
    pid = CLONE(CLONE_FS | SIGCHLD);
    if (!pid) {
        umask(0);
        _exit(chdir("d"));
    }
    MUST(waitpid(pid, &status, 0) == pid);
    OK("CLONE_FS shares the working directory", access("../d", F_OK));
    EQ("and the mask", 0, umask(022));
    pid = CLONE(0);
    if (!pid)
        _exit(4);
    ERR("no exit signal, plain wait", ECHILD, waitpid(pid, &status, 0));
    YES("__WALL", waitpid(pid, &status, __WALL) == pid);
    int pidfd = -1;
    pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
    if (!pid)
        _exit(0);
    YES("CLONE_PIDFD", pidfd > 0 && fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    waitpid(pid, &status, 0);
}
GROUP(clone3)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    int status;
#define CLONE3(size) syscall(SYS_clone3, &args, (size_t)(size))
    long pid = CLONE3(sizeof args);
    if (!pid)
        _exit(6);
    MUST(waitpid(pid, &status, 0) == pid);
    TEXT("as fork", "exit 6", how(status));
    ERR("too small a size", EINVAL, CLONE3(63));
    ERR("size 0", EINVAL, CLONE3(0));
    ERR("too large a size", E2BIG, CLONE3(5000));
    ERR("nowhere", EFAULT, syscall(SYS_clone3, BAD, sizeof args));
    args.flags = 1ull << 40;
    ERR("unknown flags", EINVAL, CLONE3(sizeof args));
    args.flags = CLONE_DETACHED;
    ERR("CLONE_DETACHED", EINVAL, CLONE3(sizeof args));
    args.flags = CLONE_THREAD;
    ERR("CLONE_THREAD with an exit signal", EINVAL, CLONE3(sizeof args));
    args = (struct clone_args){.exit_signal = 65};
    ERR("an unknown exit signal", EINVAL, CLONE3(sizeof args));
    args = (struct clone_args){.stack_size = 4096, .exit_signal = SIGCHLD};
    ERR("a stack's size without a stack", EINVAL, CLONE3(sizeof args));
    args = (struct clone_args){.stack = 4096, .exit_signal = SIGCHLD};
    ERR("a stack without its size", EINVAL, CLONE3(sizeof args));
    pid_t tid = 1;
    args = (struct clone_args){.set_tid = (uintptr_t)&tid, .exit_signal = SIGCHLD};
    ERR("set_tid without a size", EINVAL, CLONE3(sizeof args));
    args = (struct clone_args){.set_tid = (uintptr_t)&tid, .set_tid_size = 1, .exit_signal = SIGCHLD};
    ERR("set_tid that is taken", EEXIST, CLONE3(sizeof args));
}

GROUP(pidfd_open)
{
    pid_t pid = sleeping_child();
    int fd = syscall(SYS_pidfd_open, pid, 0);
    YES("a child", fd >= 0);
    EQ("is closed on exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    YES("PIDFD_NONBLOCK", fcntl(syscall(SYS_pidfd_open, pid, O_NONBLOCK), F_GETFL) & O_NONBLOCK);
    ERR("unknown flags", EINVAL, syscall(SYS_pidfd_open, pid, 0x100));
    ERR("no such process", ESRCH, syscall(SYS_pidfd_open, 0x3ffffe, 0));
    ERR("process 0", EINVAL, syscall(SYS_pidfd_open, 0, 0));
    ERR("a negative one", EINVAL, syscall(SYS_pidfd_open, -1, 0));
    char c;
    ERR("reading", EINVAL, read(fd, &c, 1));
    end(pid);
    ERR("one that is gone", ESRCH, syscall(SYS_pidfd_open, pid, 0));
}
GROUP(pidfd_send_signal)
{
    pid_t pid = sleeping_child();
    int fd = syscall(SYS_pidfd_open, pid, 0), file = file_with("a", ""), status;
#define SEND(...) syscall(SYS_pidfd_send_signal, __VA_ARGS__)
    OK("signal 0", SEND(fd, 0, NULL, 0));
    ERR("no such signal", EINVAL, SEND(fd, 65, NULL, 0));
    ERR("unknown flags", EINVAL, SEND(fd, 0, NULL, 64));
    ERR("a file", EBADF, SEND(file, 0, NULL, 0));
    ERR("no descriptor", EBADF, SEND(NOFD, 0, NULL, 0));
    ERR("a siginfo nowhere", EFAULT, SEND(fd, SIGTERM, BAD, 0));
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    ERR("a siginfo of another signal", EINVAL, SEND(fd, SIGTERM, &info, 0));
    info = (siginfo_t){.si_signo = SIGTERM, .si_code = SI_USER};
    ERR("a siginfo of kill", EPERM, SEND(fd, SIGTERM, &info, 0));
    AS_NOBODY(ERR("another's", EPERM, SEND(fd, SIGTERM, NULL, 0)));
    OK("a signal", SEND(fd, SIGTERM, NULL, 0));
    MUST(waitpid(pid, &status, 0) == pid);
    TEXT("ends it", "signal 15", how(status));
    ERR("one that is gone", ESRCH, SEND(fd, 0, NULL, 0));
}
GROUP(pidfd_getfd)
{
    int file = file_with("a", "abc");
    pid_t pid = sleeping_child();
    int fd = syscall(SYS_pidfd_open, pid, 0);
#define GETFD(...) syscall(SYS_pidfd_getfd, __VA_ARGS__)
    int got = GETFD(fd, file, 0);
    YES("a child's file", got >= 0);
    EQ("is closed on exec", FD_CLOEXEC, fcntl(got, F_GETFD));
    EQ("shares the offset", 2, (lseek(file, 2, SEEK_SET), lseek(got, 0, SEEK_CUR)));
    ERR("no such descriptor there", EBADF, GETFD(fd, NOFD, 0));
    ERR("flags", EINVAL, GETFD(fd, file, 1));
    ERR("a file", EBADF, GETFD(file, 0, 0));
    AS_NOBODY(ERR("another's", EPERM, GETFD(fd, file, 0)));
    end(pid);
    ERR("one that is gone", ESRCH, GETFD(fd, file, 0));
}

GROUP(prctl)
{
    char name[17] = "";
    OK("PR_SET_NAME", prctl(PR_SET_NAME, "a name of more than 15"));
    OK("PR_GET_NAME", prctl(PR_GET_NAME, name));
    TEXT("cut off", "a name of more ", name);
    ERR("PR_SET_NAME nowhere", EFAULT, prctl(PR_SET_NAME, BAD));
    int got = -1;
    OK("PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, SIGUSR1));
    OK("PR_GET_PDEATHSIG", prctl(PR_GET_PDEATHSIG, &got));
    EQ("is kept", SIGUSR1, got);
    ERR("PR_SET_PDEATHSIG, no signal", EINVAL, prctl(PR_SET_PDEATHSIG, 65));
    OK("PR_SET_PDEATHSIG, none", prctl(PR_SET_PDEATHSIG, 0));
    EQ("PR_GET_DUMPABLE", 1, prctl(PR_GET_DUMPABLE));
    OK("PR_SET_DUMPABLE", prctl(PR_SET_DUMPABLE, 0));
    EQ("is kept too", 0, prctl(PR_GET_DUMPABLE));
    ERR("PR_SET_DUMPABLE, 2", EINVAL, prctl(PR_SET_DUMPABLE, 2));
    EQ("PR_GET_NO_NEW_PRIVS", 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    ERR("PR_SET_NO_NEW_PRIVS, 0", EINVAL, prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    OK("PR_SET_NO_NEW_PRIVS", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    EQ("cannot be taken back", 1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    OK("PR_SET_CHILD_SUBREAPER", prctl(PR_SET_CHILD_SUBREAPER, 1));
    OK("PR_GET_CHILD_SUBREAPER", prctl(PR_GET_CHILD_SUBREAPER, &got));
    EQ("is set", 1, got);
    pid_t me = getpid();
    int status, p[2];
    MUST(pipe(p) == 0);
    CHILD(status, {
        pid_t own = getpid();
        if (!fork()) {
            while (getppid() == own)
                pause_ms(1);
            char mine = getppid() == me;
            write(p[1], &mine, 1);
        }
    });
    char mine = 0;
    MUST(read(p[0], &mine, 1) == 1);
    EQ("orphans come to it", 1, mine);
    EQ("PR_GET_KEEPCAPS", 0, prctl(PR_GET_KEEPCAPS));
    OK("PR_SET_KEEPCAPS", prctl(PR_SET_KEEPCAPS, 1));
    ERR("PR_SET_KEEPCAPS, 2", EINVAL, prctl(PR_SET_KEEPCAPS, 2));
    EQ("PR_CAPBSET_READ", 1, prctl(PR_CAPBSET_READ, 0));
    ERR("PR_CAPBSET_READ, no capability", EINVAL, prctl(PR_CAPBSET_READ, 1000));
    EQ("PR_GET_TIMING", 0, prctl(PR_GET_TIMING));
    YES("PR_SET_TIMERSLACK", prctl(PR_SET_TIMERSLACK, 12345) == 0);
    EQ("PR_GET_TIMERSLACK", 12345, prctl(PR_GET_TIMERSLACK));
    EQ("PR_GET_TSC", 0, prctl(PR_GET_TSC, &got));
    ERR("an unknown option", EINVAL, prctl(123456));
    EQ("PR_GET_SECCOMP", 0, prctl(PR_GET_SECCOMP));
    EQ("PR_GET_THP_DISABLE", 0, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

GROUP(arch_prctl)
{
    unsigned long base = 0;
    OK("ARCH_GET_FS", syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
    YES("is the thread's own", base && *(unsigned long *)base == base);
    ERR("into nowhere", EFAULT, syscall(SYS_arch_prctl, ARCH_GET_FS, BAD));
    ERR("ARCH_SET_FS in the kernel", EPERM, syscall(SYS_arch_prctl, ARCH_SET_FS, KERNEL));
    ERR("an unknown code", EINVAL, syscall(SYS_arch_prctl, 0x9999, 0));
}
GROUP(personality)
{
    EQ("Linux", 0, personality(0xffffffff));
    EQ("is told before it changes", 0, personality(ADDR_NO_RANDOMIZE));
    EQ("then", ADDR_NO_RANDOMIZE, personality(0));
}

GROUP(getrusage)
{
    struct rusage usage;
    OK("RUSAGE_SELF", getrusage(RUSAGE_SELF, &usage));
    YES("takes memory", usage.ru_maxrss > 0);
    OK("RUSAGE_CHILDREN", getrusage(RUSAGE_CHILDREN, &usage));
    OK("RUSAGE_THREAD", getrusage(RUSAGE_THREAD, &usage));
    ERR("another", EINVAL, getrusage(2, &usage));
    ERR("into nowhere", EFAULT, syscall(SYS_getrusage, RUSAGE_SELF, BAD));
}
GROUP(times)
{
    struct tms tms;
    YES("all", syscall(SYS_times, &tms) > 0);
    EQ("no children", 0, tms.tms_cutime);
    YES("NULL", syscall(SYS_times, NULL) > 0);
    ERR("into nowhere", EFAULT, syscall(SYS_times, BAD));
}

GROUP(getpriority)
{
    EQ("is 20 minus nice", 20, syscall(SYS_getpriority, PRIO_PROCESS, 0));
    ERR("no such process", ESRCH, syscall(SYS_getpriority, PRIO_PROCESS, 0x3ffffe));
    ERR("unknown kind", EINVAL, syscall(SYS_getpriority, 3, 0));
}
GROUP(setpriority)
{
    OK("nicer", setpriority(PRIO_PROCESS, 0, 5));
    EQ("then", 15, syscall(SYS_getpriority, PRIO_PROCESS, 0));
    OK("too nice", setpriority(PRIO_PROCESS, 0, 100));
    EQ("is 19", 1, syscall(SYS_getpriority, PRIO_PROCESS, 0));
    ERR("no such process", ESRCH, setpriority(PRIO_PROCESS, 0x3ffffe, 0));
    ERR("unknown kind", EINVAL, setpriority(9, 0, 0));
    AS_NOBODY({
        ERR("a user, less nice", EACCES, setpriority(PRIO_PROCESS, 0, 0));
        OK("as nice", setpriority(PRIO_PROCESS, 0, 19));
    });
    OK("a super-user, less nice", geteuid() ? 0 : setpriority(PRIO_PROCESS, 0, -20));
}

GROUP(getrlimit)
{
    struct rlimit limit;
    for (int i = 0; i < 16; i++)
        OK(named("limit %d", i), syscall(SYS_getrlimit, i, &limit));
    ERR("no such limit", EINVAL, syscall(SYS_getrlimit, 16, &limit));
    ERR("into nowhere", EFAULT, syscall(SYS_getrlimit, 0, BAD));
}
GROUP(setrlimit)
{
    struct rlimit limit = {10, 5};
    ERR("more than the greatest", EINVAL, syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit));
    limit = (struct rlimit){5, 1L << 40};
    ERR("RLIMIT_NOFILE beyond fs.nr_open", EPERM, syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit));
    ERR("no such limit", EINVAL, syscall(SYS_setrlimit, 16, &limit));
    ERR("from nowhere", EFAULT, syscall(SYS_setrlimit, 0, BAD));
    AS_NOBODY({
        struct rlimit now = {50, 60};
        OK("a user, less", setrlimit(RLIMIT_NOFILE, &now));
        now.rlim_max = 61;
        ERR("a user, more", EPERM, setrlimit(RLIMIT_NOFILE, &now));
    });
}
GROUP(prlimit64)
{
    struct rlimit limit, set = {100, 200};
    pid_t pid = sleeping_child();
    OK("ours", prlimit(0, RLIMIT_NOFILE, &set, &limit));
    OK("read back", prlimit(0, RLIMIT_NOFILE, NULL, &limit));
    SHOW("what is set", "%ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
    OK("a child's", prlimit(pid, RLIMIT_STACK, &set, NULL));
    ERR("no such process", ESRCH, prlimit(0x3ffffe, RLIMIT_NOFILE, NULL, &limit));
    ERR("no such limit", EINVAL, prlimit(0, 16, NULL, &limit));
    AS_NOBODY(ERR("another's", EPERM, prlimit(pid, RLIMIT_NOFILE, NULL, &limit)));
    end(pid);
}

GROUP(unshare)
{
    OK("nothing", syscall(SYS_unshare, 0));
    OK("CLONE_FILES", syscall(SYS_unshare, CLONE_FILES));
    OK("CLONE_FS", syscall(SYS_unshare, CLONE_FS));
    ERR("unknown flags", EINVAL, syscall(SYS_unshare, 1));
}
GROUP(set_tid_address) { YES("is the thread's number", syscall(SYS_set_tid_address, 0) == gettid()); }
GROUP(kcmp)
{
    int a = file_with("a", ""), b = dup(a), c = open("a", O_RDONLY);
    pid_t me = getpid();
    EQ("KCMP_FILE, copies", 0, syscall(SYS_kcmp, me, me, 0, a, b));
    YES("KCMP_FILE, two openings", syscall(SYS_kcmp, me, me, 0, a, c) > 0);
    EQ("KCMP_VM", 0, syscall(SYS_kcmp, me, me, 1, 0, 0));
    ERR("KCMP_FILE, no descriptor", EBADF, syscall(SYS_kcmp, me, me, 0, a, NOFD));
    ERR("unknown kind", EINVAL, syscall(SYS_kcmp, me, me, 99, 0, 0));
    ERR("no such process", ESRCH, syscall(SYS_kcmp, me, 0x3ffffe, 1, 0, 0));
}
