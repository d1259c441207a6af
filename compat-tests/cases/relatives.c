/* Many relatives at a time: the order in which children are told, groups, and what tasks share. */
#include "case.h"
#include <sys/prctl.h>

static pid_t ended(int code)
{
    pid_t pid = fork();
    MUST(pid >= 0);
    if (!pid)
        _exit(code);
    siginfo_t info;
    MUST(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    return pid;
}
static int code_of(pid_t which)
{
    int status;
    return waitpid(which, &status, 0) < 0 ? -1 : WEXITSTATUS(status);
}

GROUP(reaping)
{
    pid_t alive = sleeping_child(), first = ended(1), second = ended(2), third = ended(3);
    EQ("the oldest that has ended comes first", 1, code_of(-1));
    EQ("one that is named comes at once", 3, code_of(third));
    EQ("the rest stays", 2, code_of(-1));
    EQ("one that lives has nothing to tell", 0, waitpid(-1, 0, WNOHANG));
    ERR("one that was waited for is no child any more", ECHILD, waitpid(first, 0, WNOHANG));
    ERR("nor is it to be had twice", ECHILD, waitpid(second, 0, WNOHANG));
    setpgid(alive, alive);
    pid_t other = ended(4);
    EQ("those of a group alone", 0, waitpid(-alive, 0, WNOHANG));
    EQ("stops are told beside ends that are older or younger", 4, code_of(-1));
    kill(alive, SIGSTOP);
    int status = 0;
    YES("a stop is told", waitpid(-1, &status, WUNTRACED) == alive);
    YES("as one", WIFSTOPPED(status));
    pid_t last = ended(5);
    YES("an end comes behind a stop that was told", waitpid(-1, &status, WUNTRACED | WNOHANG) == last);
    siginfo_t info = {0};
    EQ("who asks for stops alone hears of no end", 0, waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG));
    kill(alive, SIGKILL);
    YES("the end of the one that was stopped", waitpid(-1, &status, 0) == alive);
    ERR("none is left", ECHILD, waitpid(-1, 0, 0));
    (void)other;
}

GROUP(many)
{
    enum { N = 300 };
    pid_t pids[N];
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        MUST(pids[i] >= 0);
        if (!pids[i])
            _exit(i % 200);
    }
    int wrong = 0;
    for (int i = N - 1; i >= N / 2; i--)
        wrong += code_of(pids[i]) != i % 200;
    EQ("each of many by its id, the youngest first", 0, wrong);
    int left = 0;
    while (waitpid(-1, 0, 0) > 0)
        left++;
    EQ("and the rest as they come", N / 2, left);

    pid_t leader = sleeping_child();
    setpgid(leader, leader);
    for (int i = 0; i < 100; i++) {
        pids[i] = sleeping_child();
        MUST(!setpgid(pids[i], leader));
    }
    pid_t outside = sleeping_child();
    OK("a signal to a group of many", kill(-leader, SIGTERM));
    int killed = 0, status;
    for (int i = 0; i < 100; i++)
        killed += waitpid(pids[i], &status, 0) == pids[i] && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    EQ("reaches each", 100, killed);
    EQ("and nobody else", 0, waitpid(outside, 0, WNOHANG));
    YES("its leader too", waitpid(leader, 0, 0) == leader);
    ERR("a group without members is none", ESRCH, kill(-leader, 0));
    ERR("nor can one join it", EPERM, setpgid(outside, leader));
    kill(outside, SIGKILL);
    waitpid(outside, 0, 0);
}

GROUP(moving)
{
    pid_t a = sleeping_child(), b = sleeping_child();
    OK("a group of its own", setpgid(a, a));
    OK("another joins", setpgid(b, a));
    OK("it leaves again", setpgid(b, b));
    OK("the old group is signalled", kill(-a, SIGKILL));
    EQ("who has left it is spared", 0, (waitpid(a, 0, 0), waitpid(b, 0, WNOHANG)));
    ERR("one that was waited for leaves no group", ESRCH, kill(-a, 0));
    OK("the new one is", kill(-b, SIGKILL));
    int status = 0;
    siginfo_t info;
    MUST(!waitid(P_PID, b, &info, WEXITED | WNOWAIT));
    OK("a member that nobody waited for makes a group", kill(-b, 0));
    EQ("and ends so", SIGKILL, (waitpid(b, &status, 0), WTERMSIG(status)));

    /* A grandchild's end is the reaper's to hear, also where it ended before its parent. */
    MUST(!prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    pid_t parent = fork();
    if (!parent) {
        ended(7);
        pid_t later = sleeping_child();
        kill(later, SIGTERM);
        _exit(6);
    }
    EQ("the parent", 6, code_of(parent));
    int ends = 0, signalled = 0;
    for (int i = 0; i < 2 && waitpid(-1, &status, 0) > 0; i++) {
        ends += WIFEXITED(status) && WEXITSTATUS(status) == 7;
        signalled += WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    }
    EQ("an ended grandchild comes to the reaper", 1, ends);
    EQ("one that ends later too", 1, signalled);
    ERR("and no more", ECHILD, waitpid(-1, 0, 0));
}

static char stack[1 << 16];
static int close_first(void *fd)
{
    close(*(int *)fd);
    return 0;
}
static __attribute__((noreturn)) int waits(void *unused)
{
    (void)unused;
    for (;;)
        pause();
}

GROUP(sharing)
{
    int fd = open("/dev/null", O_RDONLY), status;
    pid_t pid = clone(close_first, stack + sizeof stack, CLONE_FILES | SIGCHLD, &fd);
    waitpid(pid, &status, 0);
    ERR("a table that is shared loses what one closes", EBADF, fcntl(fd, F_GETFD));
    fd = open("/dev/null", O_RDONLY);
    MUST(!unshare(CLONE_FILES));
    EQ("alone it stays as it is", 0, fcntl(fd, F_GETFD));

    /* Of two who share, one stops to: the other's table is its own. */
    pid = clone(waits, stack + sizeof stack, CLONE_FILES | SIGCHLD, 0);
    OK("unshare", unshare(CLONE_FILES));
    close(fd);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    struct stat about;
    OK("the other keeps what one closes", lstat(path, &about));
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);

    fd = open("/dev/null", O_RDONLY);
    pid = clone(waits, stack + sizeof stack, CLONE_FILES | SIGCHLD, 0);
    OK("close_range of a copy", syscall(SYS_close_range, fd, fd, 2));
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    OK("leaves the other's", lstat(path, &about));
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);

    pid = clone(waits, stack + sizeof stack, CLONE_FS | SIGCHLD, 0);
    OK("unshare of directories", unshare(CLONE_FS));
    MUST(!chdir("/"));
    snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    char seen[PATH_MAX] = "";
    YES("the other stays where it was", readlink(path, seen, sizeof seen - 1) > 0 && strcmp(seen, "/"));
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
}

/* How many forks an unprivileged user with that limit can do beside `before` processes of its own. */
static int forks(int before, rlim_t limit)
{
    int made[2], status;
    MUST(!pipe(made));
    pid_t pid = fork();
    if (!pid) {
        struct rlimit rlimit = {limit, limit};
        MUST(!setrlimit(RLIMIT_NPROC, &rlimit));
        MUST(!setresgid(54321, 54321, 54321) && !setresuid(54321, 54321, 54321));
        pid_t pids[64];
        int n = 0;
        for (int i = 0; i < before; i++) {
            pid_t one = fork();
            if (!one)
                _exit(0);
            waitpid(one, 0, 0);
        }
        while (n < 64 && (pids[n] = fork()) >= 0) {
            if (!pids[n])
                for (;;)
                    pause();
            n++;
        }
        int error = errno;
        for (int i = 0; i < n; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], 0, 0);
        }
        char answer = error == EAGAIN ? n : 100;
        MUST(write(made[1], &answer, 1) == 1);
        _exit(0);
    }
    char answer = -1;
    close(made[1]);
    MUST(read(made[0], &answer, 1) == 1);
    waitpid(pid, &status, 0);
    close(made[0]);
    return answer;
}

GROUP(limit)
{
    if (geteuid())
        return;
    EQ("as many as the limit, with the one that asks", 7, forks(0, 8));
    EQ("those that have ended do not count", 7, forks(5, 8));
    EQ("nor those of another user", 0, forks(0, 1));
}
