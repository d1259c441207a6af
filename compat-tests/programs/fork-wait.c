// fork(2), wait4(2), waitid(2): copies of memory, exit statuses, zombies, orphans, errors.
// compat: variants=pie,static,musl-static
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int counter = 1;
static volatile sig_atomic_t chld;
static siginfo_t last;

static void on_chld(int sig, siginfo_t *info, void *context) {
    (void)context;
    chld = sig;
    last = *info;
}

static const char *name(int code) {
    switch (code) {
    case ECHILD: return "ECHILD";
    case EFAULT: return "EFAULT";
    case EINVAL: return "EINVAL";
    case EPERM: return "EPERM";
    case ESRCH: return "ESRCH";
    default: return "another error";
    }
}

static const char *err(int result) {
    return result < 0 ? name(errno) : "ok";
}

static void show(const char *what, int status) {
    if (WIFEXITED(status))
        printf("%s: exited %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("%s: killed by %d, core %d\n", what, WTERMSIG(status), !!WCOREDUMP(status));
    else if (WIFSTOPPED(status))
        printf("%s: stopped by %d\n", what, WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        printf("%s: continued\n", what);
    else
        printf("%s: status %x\n", what, status);
}

static void copies(void) {
    int *private = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status, local = 1;
    *private = *shared = 1;
    pid_t child = fork();
    if (child == 0) {
        counter = local = *private = *shared = 2;
        _exit(getppid() != getpid() ? counter + local + *private + *shared : 99);
    }
    printf("child's id is returned: %d\n", waitpid(child, &status, 0) == child);
    show("copies", status);
    printf("parent sees %d %d %d, shared %d\n", counter, local, *private, *shared);
    // The pages are the parent's alone again: writing needs nobody.
    counter = local = *private = 3;
    printf("parent wrote %d %d %d\n", counter, local, *private);
}

static void statuses(void) {
    int signals[] = {SIGTERM, SIGKILL, SIGSEGV, SIGABRT};
    int status;
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            raise(signals[i]);
            _exit(1);
        }
        waitpid(child, &status, 0);
        show("signal", status);
    }
    pid_t child = fork();
    if (child == 0)
        exit(0x1ff);
    wait(&status);
    show("exit takes 8 bits", status);
    printf("no child left: %s\n", err(wait(&status)));
}

static void stops(void) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        raise(SIGSTOP);
        pause();
        _exit(0);
    }
    waitpid(child, &status, WUNTRACED);
    show("stop", status);
    printf("told once: %d\n", waitpid(child, &status, WUNTRACED | WNOHANG));
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    show("cont", status);
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    show("end", status);
}

static void ids(void) {
    siginfo_t info;
    pid_t child = fork();
    if (child == 0)
        _exit(5);
    memset(&info, 0xff, sizeof info);
    int result = waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    printf("waitid %d: signo %d code %d status %d pid %d uid %d\n", result, info.si_signo, info.si_code, info.si_status,
           info.si_pid == child, info.si_uid == getuid());
    printf("still there: %d\n", kill(child, 0));
    result = waitid(P_ALL, 0, &info, WEXITED);
    printf("waitid %d: %d\n", result, info.si_pid == child);
    printf("gone: %s\n", err(kill(child, 0)));
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    memset(&info, 0xff, sizeof info);
    printf("nothing yet: %d %d %d\n", waitid(P_PID, child, &info, WEXITED | WNOHANG), info.si_signo, info.si_pid);
    printf("nothing yet: %d\n", waitpid(child, NULL, WNOHANG));
    printf("group: %d\n", waitpid(0, NULL, WNOHANG));
    printf("other group: %s\n", err(waitpid(-child, NULL, WNOHANG)));
    kill(child, SIGKILL);
    struct rusage usage;
    int status;
    printf("wait4: %d\n", wait4(child, &status, 0, &usage) == child);
    show("wait4", status);
    printf("errors: %s", err(waitpid(child, &status, 0x100)));
    printf(" %s", err(waitid(P_ALL, 0, &info, 0)));
    printf(" %s", err(waitid(P_PID, 0, &info, WEXITED)));
    printf(" %s", err(waitid(99, 0, &info, WEXITED)));
    printf(" %s", err(waitpid(1 << 30, &status, 0)));
    printf(" %s\n", err(waitpid(-2147483647 - 1, &status, 0)));
    child = fork();
    if (child == 0)
        _exit(0);
    printf("bad pointer: %s", err(waitpid(child, (int *)8, 0)));
    printf(" %s\n", err(waitpid(child, &status, 0)));
}

static void notices(void) {
    struct sigaction action = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO};
    sigaction(SIGCHLD, &action, NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(3);
    while (!chld)
        usleep(1000);
    printf("SIGCHLD: code %d status %d pid %d uid %d\n", last.si_code, last.si_status, last.si_pid == child,
           last.si_uid == getuid());
    waitpid(child, NULL, 0);
    signal(SIGCHLD, SIG_IGN);
    child = fork();
    if (child == 0)
        _exit(3);
    printf("ignored: %s\n", err(waitpid(child, NULL, 0)));
    chld = 0;
    action.sa_flags = SA_SIGINFO | SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, NULL);
    child = fork();
    if (child == 0)
        _exit(3);
    int result;
    while ((result = waitpid(child, NULL, 0)) < 0 && errno == EINTR)
        ;
    printf("SA_NOCLDWAIT: %s, signal %d\n", err(result), chld);
    signal(SIGCHLD, SIG_DFL);
}

static void orphans(void) {
    int ends[2], status;
    pid_t seen = 0, top = getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (pipe(ends))
        return;
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            while (getppid() != top)
                usleep(1000);
            pid_t parent = getppid();
            (void)!write(ends[1], &parent, sizeof parent);
            _exit(9);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    show("first", status);
    (void)!read(ends[0], &seen, sizeof seen);
    printf("orphan's parent is the subreaper: %d\n", seen == getpid());
    wait(&status);
    show("orphan", status);
    // The signal for the death of a parent.
    child = fork();
    if (child == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            (void)!write(ends[1], "x", 1);
            pause();
            _exit(9);
        }
        char c;
        (void)!read(ends[0], &c, 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    wait(&status);
    show("parent died", status);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    copies();
    statuses();
    stops();
    ids();
    notices();
    orphans();
    return 42;
}
