// pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), CLONE_PIDFD, waitid(2) with P_PIDFD, poll(2).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static const char *err(long result) {
    if (result >= 0)
        return "ok";
    switch (errno) {
    case EAGAIN: return "EAGAIN";
    case EBADF: return "EBADF";
    case ECHILD: return "ECHILD";
    case EFAULT: return "EFAULT";
    case EINVAL: return "EINVAL";
    case EPERM: return "EPERM";
    case ESRCH: return "ESRCH";
    default: return "another error";
    }
}

static int readable(int fd, int timeout) {
    struct pollfd poller = {fd, POLLIN, 0};
    poll(&poller, 1, timeout);
    return poller.revents;
}

int main(void) {
    siginfo_t info;
    setvbuf(stdout, NULL, _IONBF, 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(1, 20);
        pause();
        _exit(0);
    }
    int fd = syscall(SYS_pidfd_open, child, 0);
    printf("open %d, close on exec %d\n", fd >= 0, fcntl(fd, F_GETFD));
    printf("alive: %d\n", readable(fd, 0));
    printf("read %s, signal 0 %s\n", err(read(fd, &info, 8)), err(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0)));
    usleep(50000);
    int copy = syscall(SYS_pidfd_getfd, fd, 20, 0);
    printf("getfd %d, close on exec %d, missing %s", copy >= 0, fcntl(copy, F_GETFD), err(syscall(SYS_pidfd_getfd, fd, 77, 0)));
    printf(", flags %s\n", err(syscall(SYS_pidfd_getfd, fd, 1, 1)));
    printf("waitid, nothing yet: %d\n", waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    printf("kill %s\n", err(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0)));
    printf("ended: %d\n", readable(fd, -1));
    printf("zombie: signal %s\n", err(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0)));
    printf("waitid %s", err(waitid(P_PIDFD, fd, &info, WEXITED)));
    printf(": %d code %d status %d\n", info.si_pid == child, info.si_code, info.si_status);
    printf("gone: signal %s", err(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0)));
    printf(", wait %s, poll %d\n", err(waitid(P_PIDFD, fd, &info, WEXITED)), readable(fd, 0) & POLLIN);
    printf("errors: %s", err(syscall(SYS_pidfd_open, 0, 0)));
    printf(" %s", err(syscall(SYS_pidfd_open, -1, 0)));
    printf(" %s", err(syscall(SYS_pidfd_open, 1 << 30, 0)));
    printf(" %s", err(syscall(SYS_pidfd_open, getpid(), 1)));
    printf(" %s", err(syscall(SYS_pidfd_send_signal, 1, SIGTERM, NULL, 0)));
    printf(" %s", err(syscall(SYS_pidfd_send_signal, 99, SIGTERM, NULL, 0)));
    printf(" %s", err(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0x100)));
    printf(" %s", err(waitid(P_PIDFD, 1, &info, WEXITED)));
    printf(" %s\n", err(waitid(P_PIDFD, 99, &info, WEXITED)));
    close(fd);

    int pidfd = -1;
    struct args args = {.flags = 0x1000, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD};
    child = syscall(SYS_clone3, &args, sizeof args);
    if (child == 0)
        _exit(6);
    printf("CLONE_PIDFD %d, ", pidfd >= 0);
    fcntl(pidfd, F_SETFL, O_NONBLOCK);
    readable(pidfd, -1);
    printf("waitid %s", err(waitid(P_PIDFD, pidfd, &info, WEXITED)));
    printf(": status %d\n", info.si_status);
    close(pidfd);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    fd = syscall(SYS_pidfd_open, child, O_NONBLOCK);
    printf("nonblocking: %s\n", err(waitid(P_PIDFD, fd, &info, WEXITED)));
    kill(child, SIGKILL);
    readable(fd, -1);
    printf("nonblocking: %s", err(waitid(P_PIDFD, fd, &info, WEXITED)));
    printf(" %d\n", info.si_status);

    // clone3(2)'s errors.
    uint64_t bad[] = {0x10000, 0x800, 0x10800, 0x400000, 0x100000000ull | 0x800 | 0x100, 1};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct args wrong = {.flags = bad[i], .pidfd = (uintptr_t)&pidfd};
        printf("clone3 %s\n", err(syscall(SYS_clone3, &wrong, sizeof wrong)));
    }
    struct args wrong = {.exit_signal = 65};
    printf("exit signal %s, ", err(syscall(SYS_clone3, &wrong, sizeof wrong)));
    wrong = (struct args){.stack = 4096};
    printf("stack %s, ", err(syscall(SYS_clone3, &wrong, sizeof wrong)));
    printf("size %s, ", err(syscall(SYS_clone3, &wrong, 8)));
    printf("pointer %s\n", err(syscall(SYS_clone3, 8, sizeof wrong)));
    return 0;
}
