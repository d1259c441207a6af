// clone(2) and clone3(2): what flags share, what they refuse, whose child the new process is; corners of waitid(2).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK = 65536 };
static char *stack;
static volatile int touched;

static const char *err(long result) {
    return result >= 0 ? "ok" : strerrorname_np(errno);
}

static pid_t clone_with(unsigned long flags, int (*body)(void *)) {
    return clone(body, stack + STACK, flags, NULL);
}

// The raw call, without a function of its own to run.
static long raw(unsigned long flags) {
    long result = syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    if (result == 0)
        _exit(0);
    int kept = errno;
    if (result > 0)
        waitpid(result, NULL, __WALL);
    errno = kept;
    return result;
}

static long raw3(struct clone_args args) {
    long result = syscall(SYS_clone3, &args, sizeof args);
    if (result == 0)
        _exit(0);
    int kept = errno;
    if (result > 0)
        waitpid(result, NULL, __WALL);
    errno = kept;
    return result;
}

static void refusals(void) {
    printf("THREAD alone: %s\n", err(raw(CLONE_THREAD)));
    printf("THREAD and SIGHAND: %s\n", err(raw(CLONE_THREAD | CLONE_SIGHAND)));
    printf("SIGHAND alone: %s\n", err(raw(CLONE_SIGHAND | SIGCHLD)));
    printf("FS and NEWNS: %s\n", err(raw(CLONE_FS | CLONE_NEWNS | SIGCHLD)));
    printf("FS and NEWUSER: %s\n", err(raw(CLONE_FS | CLONE_NEWUSER | SIGCHLD)));
    printf("SYSVSEM and NEWIPC: %s\n", err(raw(CLONE_SYSVSEM | CLONE_NEWIPC | SIGCHLD)));
    printf("PIDFD and DETACHED: %s\n", err(raw(CLONE_PIDFD | CLONE_DETACHED | SIGCHLD)));
    printf("DETACHED: %s\n", err(raw(CLONE_DETACHED | SIGCHLD)));
    struct clone_args args = {.exit_signal = SIGCHLD};
    printf("clone3: %s\n", err(raw3(args)));
    args.exit_signal = 65;
    printf("exit signal 65: %s\n", err(raw3(args)));
    args.exit_signal = 1 | 256;
    printf("exit signal and more: %s\n", err(raw3(args)));
    args = (struct clone_args){.exit_signal = SIGCHLD, .flags = CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND};
    printf("SIGHAND and CLEAR_SIGHAND: %s\n", err(raw3(args)));
    args = (struct clone_args){.exit_signal = SIGCHLD, .flags = CLONE_CLEAR_SIGHAND};
    printf("CLEAR_SIGHAND: %s\n", err(raw3(args)));
    args.flags = CLONE_DETACHED;
    printf("DETACHED: %s\n", err(raw3(args)));
    args.flags = 0x40;
    printf("exit signal in flags: %s\n", err(raw3(args)));
    args.flags = 1ULL << 50;
    printf("unknown flag: %s\n", err(raw3(args)));
    args = (struct clone_args){.exit_signal = SIGCHLD, .flags = CLONE_PARENT};
    printf("PARENT with a signal: %s\n", err(raw3(args)));
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack = (uintptr_t)stack};
    printf("stack without size: %s\n", err(raw3(args)));
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack_size = 4096};
    printf("size without stack: %s\n", err(raw3(args)));
    args = (struct clone_args){.exit_signal = SIGCHLD, .set_tid_size = 1};
    printf("set_tid without ids: %s\n", err(raw3(args)));
    printf("short: %s\n", err(syscall(SYS_clone3, &args, 56)));
    printf("pointer: %s\n", err(syscall(SYS_clone3, 8, sizeof args)));
    char larger[sizeof args + 8];
    memset(larger, 0, sizeof larger);
    memset(larger + sizeof args, 1, 8);
    printf("larger with content: %s\n", err(syscall(SYS_clone3, larger, sizeof larger)));
    pid_t child = fork();
    if (child == 0) {
        // Root may have namespaces on Linux; others may not.
        if (setgroups(0, NULL) || setresgid(54321, 54321, 54321) || setresuid(54321, 54321, 54321))
            _exit(99);
        static const struct { const char *name; unsigned long flag; } spaces[] = {{"NEWNS", CLONE_NEWNS},
            {"NEWCGROUP", CLONE_NEWCGROUP}, {"NEWUTS", CLONE_NEWUTS}, {"NEWIPC", CLONE_NEWIPC}, {"NEWPID", CLONE_NEWPID},
            {"NEWNET", CLONE_NEWNET}};
        for (unsigned i = 0; i < sizeof spaces / sizeof *spaces; i++)
            printf("%s: %s %s\n", spaces[i].name, err(raw(spaces[i].flag | SIGCHLD)), err(unshare(spaces[i].flag)));
        pid_t wanted = 31000;
        args = (struct clone_args){.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1};
        printf("set_tid: %s\n", err(raw3(args)));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    printf("unshare: %s %s %s\n", err(unshare(0)), err(unshare(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM)), err(unshare(1)));
}

static int change_places(void *unused) {
    touched = 1;
    umask(0);
    return chdir("/proc") + (unused != NULL);
}

static int change_files(void *unused) {
    return close(10) + (unused != NULL);
}

static int change_handler(void *unused) {
    signal(SIGUSR1, SIG_IGN);
    return unused != NULL;
}

static int write_memory(void *unused) {
    touched++;
    return unused != NULL;
}

static int status_of(pid_t child) {
    int status = -1;
    waitpid(child, &status, __WALL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static void sharing(void) {
    char where[100];
    struct sigaction action;
    (void)!chdir("/");
    umask(022);
    printf("own places: %d", status_of(clone_with(SIGCHLD, change_places)));
    printf(" %s %o", getcwd(where, sizeof where), umask(022));
    printf(", FS: %d", status_of(clone_with(CLONE_FS | SIGCHLD, change_places)));
    printf(" %s %o\n", getcwd(where, sizeof where), umask(022));
    (void)!chdir("/");
    dup2(0, 10);
    status_of(clone_with(SIGCHLD, change_files));
    printf("own files: %s", err(fcntl(10, F_GETFD)));
    status_of(clone_with(CLONE_FILES | SIGCHLD, change_files));
    printf(", FILES: %s\n", err(fcntl(10, F_GETFD)));
    signal(SIGUSR1, SIG_DFL);
    status_of(clone_with(CLONE_VM | SIGCHLD, change_handler));
    sigaction(SIGUSR1, NULL, &action);
    printf("own actions: %d", action.sa_handler == SIG_IGN);
    status_of(clone_with(CLONE_VM | CLONE_SIGHAND | SIGCHLD, change_handler));
    sigaction(SIGUSR1, NULL, &action);
    printf(", SIGHAND: %d\n", action.sa_handler == SIG_IGN);
    touched = 0;
    status_of(clone_with(SIGCHLD, write_memory));
    printf("own memory: %d", touched);
    status_of(clone_with(CLONE_VM | SIGCHLD, write_memory));
    printf(", VM: %d", touched);
    status_of(clone_with(CLONE_VM | CLONE_VFORK | SIGCHLD, write_memory));
    printf(", VFORK: %d\n", touched);
}

static int linger(void *unused) {
    usleep(50000);
    return 3 + (unused != NULL);
}

static void ids(void) {
    static volatile pid_t in_parent, in_child = 77;
    pid_t child = clone(linger, stack + STACK, CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD,
                        NULL, &in_parent, NULL, &in_child);
    while (in_child == 77)
        usleep(1000);
    printf("ids: %d %d", in_parent == child, in_child == child);
    // The end clears the word and wakes who waits there.
    while (in_child)
        syscall(SYS_futex, &in_child, FUTEX_WAIT, child, NULL, NULL, 0);
    printf(", cleared %d, status %d\n", in_child, status_of(child));
}

// Ends without SIGCHLD: only __WCLONE and __WALL see such a child.
static void without_signal(void) {
    int status;
    pid_t child = clone_with(0, linger);
    printf("no signal: %s", err(waitpid(child, &status, 0)));
    printf(", WCLONE %d", waitpid(child, &status, __WCLONE) == child);
    child = clone_with(SIGUSR2, linger);
    signal(SIGUSR2, SIG_IGN);
    printf(", another: %s", err(waitpid(-1, &status, 0)));
    printf(", WALL %d\n", waitpid(-1, &status, __WALL) == child);
    signal(SIGUSR2, SIG_DFL);
}

static void parents(void) {
    int ends[2], status;
    pid_t sibling = 0;
    (void)!pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        pid_t other = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
        if (other == 0)
            _exit(getppid() == 1 ? 9 : 8);
        (void)!write(ends[1], &other, sizeof other);
        _exit(waitpid(other, &status, 0) < 0 && errno == ECHILD ? 4 : 5);
    }
    (void)!read(ends[0], &sibling, sizeof sibling);
    int first = status_of(child), second = status_of(sibling);
    printf("PARENT: child %d, sibling %s\n", first, second == 8 || (second == 9 && getpid() == 1) ? "mine" : "not mine");
    close(ends[0]);
    close(ends[1]);
}

static const char *code(int code) {
    static const char *const names[] = {"?", "EXITED", "KILLED", "DUMPED", "TRAPPED", "STOPPED", "CONTINUED"};
    return code >= 0 && code < 7 ? names[code] : "other";
}

static void waits(void) {
    siginfo_t info;
    struct rusage usage;
    printf("no children: %s", err(waitid(P_ALL, 0, &info, WEXITED)));
    printf(" %s\n", err(waitpid(-1, NULL, WNOHANG)));
    printf("bad: %s", err(waitid(P_ALL, 0, &info, 0)));
    printf(" %s", err(waitid(P_ALL, 0, &info, WEXITED | 0x100)));
    printf(" %s", err(waitid(99, 0, &info, WEXITED)));
    printf(" %s", err(waitid(P_PID, 0, &info, WEXITED)));
    printf(" %s", err(waitid(P_PID, -1, &info, WEXITED)));
    printf(" %s", err(waitid(P_PGID, -1, &info, WEXITED)));
    printf(" %s", err(waitpid(-1, NULL, 0x100)));
    printf(" %s\n", err(syscall(SYS_wait4, INT32_MIN, NULL, 0, NULL)));
    int ends[2];
    (void)!pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        raise(SIGSTOP);
        (void)!read(ends[0], &usage, 1);
        _exit(7);
    }
    waitid(P_PID, child, &info, WSTOPPED | WNOWAIT);
    printf("%s %d", code(info.si_code), info.si_status == SIGSTOP);
    memset(&info, 0x55, sizeof info);
    printf(", nobody of my group: %s", err(waitid(P_PGID, getpgrp(), &info, WSTOPPED | WNOHANG)));
    printf(", its group: %s", err(waitid(P_PGID, child, &info, WSTOPPED)));
    printf(" %d %s", info.si_pid == child, code(info.si_code));
    memset(&info, 0x55, sizeof info);
    printf(", once: %d", waitid(P_PGID, child, &info, WSTOPPED | WNOHANG));
    printf(" pid %d signal %d\n", info.si_pid, info.si_signo);
    kill(child, SIGCONT);
    waitid(P_PID, child, &info, WCONTINUED);
    printf("%s %d", code(info.si_code), info.si_status == SIGCONT);
    (void)!write(ends[1], "", 1);
    close(ends[0]);
    close(ends[1]);
    syscall(SYS_waitid, P_PID, child, &info, WEXITED | WNOWAIT, &usage);
    printf(", %s %d uid %d", code(info.si_code), info.si_status, info.si_uid);
    printf(", nothing but its end: %s", err(waitid(P_PID, child, &info, WSTOPPED | WCONTINUED)));
    printf(", kept: %d", waitid(P_PID, child, NULL, WEXITED));
    printf(", gone: %s\n", err(waitid(P_PID, child, &info, WEXITED)));
    // Ignored children leave nothing behind; wait(2) waits for all of them.
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            usleep(1000 * i);
            _exit(i);
        }
    printf("ignored: %s", err(wait(NULL)));
    signal(SIGCHLD, SIG_DFL);
    struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, NULL);
    if (fork() == 0)
        _exit(0);
    printf(" %s\n", err(wait(NULL)));
    signal(SIGCHLD, SIG_DFL);
    child = fork();
    if (child == 0)
        _exit(5);
    printf("bad status pointer: %s", err(syscall(SYS_wait4, child, 8, 0, NULL)));
    printf(", and the child: %s\n", err(waitpid(child, NULL, 0)));
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    stack = mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    // A parent that is not the first process: it may have siblings.
    pid_t child = fork();
    if (child == 0) {
        refusals();
        sharing();
        ids();
        without_signal();
        parents();
        waits();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return status != 0;
}
