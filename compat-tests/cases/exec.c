/* execve(2): what a program gets with its file, and what its caller leaves behind. */
#include "case.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Of all capabilities those that a container has, too. */
enum { REPORT = 30, NOBODY_ID = 65534, SHOWN = 0x4ff, NET_BIND = 1 << CAP_NET_BIND_SERVICE, CHOWN = 1 << CAP_CHOWN };

/* As a program of a case, called `report`: says what it has, and ends. */
__attribute__((constructor)) static void report(int argc, char **argv, char **envp)
{
    (void)envp;
    if (argc < 1 || strcmp(argv[0], "report"))
        return;
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &head, data);
    char text[128];
    int n = snprintf(text, sizeof text, "uid %d %d gid %d %d effective %x permitted %x secure %ld dumpable %d", getuid(), geteuid(),
                     getgid(), getegid(), data[0].effective & SHOWN, data[0].permitted & SHOWN, getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE));
    _exit(write(REPORT, text, n) != n);
}

/* A copy of this program. */
static void copy(const char *path, unsigned mode)
{
    char bytes[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    MUST(from >= 0 && to >= 0);
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;)
        MUST(write(to, bytes, n) == n);
    MUST(fchmod(to, mode) == 0);
    close(from);
    close(to);
}

static void capabilities(const char *path, unsigned permitted, unsigned inheritable, int effective)
{
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | (effective ? VFS_CAP_FLAGS_EFFECTIVE : 0),
                                .data[0] = {permitted, inheritable}};
    MUST(setxattr(path, "security.capability", &data, sizeof data, 0) == 0);
}

static void nothing(void) {}
static void become_nobody(void) { MUST(setgroups(0, NULL) == 0 && setgid(NOBODY_ID) == 0 && setuid(NOBODY_ID) == 0); }
static void without_new(void)
{
    become_nobody();
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}
static void bounded(void)
{
    MUST(prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0) == 0);
    become_nobody();
}
static void without_root(void)
{
    MUST(prctl(PR_SET_SECUREBITS, 1, 0, 0, 0) == 0);
}

/* What the program says that a child made with `flags` executes when it has done `first`. */
static const char *program(const char *path, int flags, void (*first)(void))
{
    static char text[256];
    int ends[2], status;
    MUST(pipe(ends) == 0);
    pid_t child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    MUST(child >= 0);
    if (child == 0) {
        dup2(ends[1], REPORT);
        first();
        execl(path, "report", NULL);
        int n = snprintf(text, sizeof text, "%s", error_name(errno));
        _exit(write(REPORT, text, n) != n);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    close(ends[0]);
    MUST(waitpid(child, &status, 0) == child);
    return text;
}

GROUP(execve)
{
    if (geteuid() != 0)
        return;
    copy("plain", 0755);
    copy("set-uid", 04755);
    copy("set-gid", 02755);
    copy("capable", 0755);
    copy("permitted", 0755);
    copy("both", 04755);
    capabilities("capable", NET_BIND, 0, 1);
    capabilities("permitted", NET_BIND, 0, 0);
    capabilities("both", NET_BIND, 0, 1);
    static const struct { const char *name; void (*first)(void); } callers[] = {{"nobody", become_nobody},
        {"no new privileges", without_new}, {"bounded", bounded}, {"root", nothing}, {"SECBIT_NOROOT", without_root}};
    static const char *const files[] = {"plain", "set-uid", "set-gid", "capable", "permitted", "both"};
    for (unsigned i = 0; i < COUNT(callers); i++)
        for (unsigned j = 0; j < COUNT(files); j++) {
            SHOW(named("%s by %s", files[j], callers[i].name), "%s", program(files[j], 0, callers[i].first));
            SHOW(named("%s by %s that shares its directory", files[j], callers[i].name), "%s",
                 program(files[j], CLONE_FS, callers[i].first));
        }
    capabilities("capable", NET_BIND | CHOWN, 0, 1);
    SHOW("some of its capabilities are out of bounds", "%s", program("capable", 0, bounded));
    TEXT("root gains nothing where it shares", program("plain", 0, nothing), program("plain", CLONE_FS, nothing));
}

GROUP(execveat)
{
    char *argv[] = {"x", 0}, *envp[] = {0};
    ERR("no descriptor and no path", EBADF, syscall(SYS_execveat, -1, "", argv, envp, AT_EMPTY_PATH));
    ERR("linkat", EBADF, linkat(-1, "", AT_FDCWD, "new", AT_EMPTY_PATH));
    ERR("faccessat2", EBADF, syscall(SYS_faccessat2, -1, "", R_OK, AT_EMPTY_PATH));
    ERR("no path", ENOENT, syscall(SYS_execveat, -1, "", argv, envp, 0));
    ERR("the working directory", EACCES, syscall(SYS_execveat, AT_FDCWD, "", argv, envp, AT_EMPTY_PATH));
    ERR("unknown flags", EINVAL, syscall(SYS_execveat, AT_FDCWD, "x", argv, envp, 0x8000));
    ERR("a relative path from no descriptor", EBADF, syscall(SYS_execveat, -1, "x", argv, envp, 0));
    ERR("an absolute path from no descriptor", ENOENT, syscall(SYS_execveat, -1, "/nothing", argv, envp, 0));
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0);
    ERR("a directory", EACCES, syscall(SYS_execveat, dir, "", argv, envp, AT_EMPTY_PATH));
    MUST(symlink("/proc/self/exe", "link") == 0);
    ERR("a link that is not followed", ELOOP, syscall(SYS_execveat, dir, "link", argv, envp, AT_SYMLINK_NOFOLLOW));
}

/* Waits until the word is 0, woken by whoever cleared it. */
static int wait_for_zero(volatile int *word)
{
    for (int value; (value = *word);) {
        struct timespec limit = {5, 0};
        if (syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, 0, 0) == -1 && errno == ETIMEDOUT)
            return -1;
    }
    return 0;
}

static int let_go;
static volatile int cleared;

static int execute(void *arg)
{
    (void)arg;
    pause_ms(50);
    /* Waits for us to let it go, and so outlives the test of the word. */
    char fd[16];
    snprintf(fd, sizeof fd, "%d", let_go);
    execl("/proc/self/exe", "hold", fd, NULL);
    _exit(1);
}

__attribute__((constructor)) static void hold(int argc, char **argv, char **envp)
{
    (void)envp;
    char byte;
    if (argc == 2 && !strcmp(argv[0], "hold"))
        _exit(read(atoi(argv[1]), &byte, 1) != 1);
}

GROUP(exec_clears_child_tid)
{
    int ends[2], status;
    MUST(pipe(ends) == 0);
    let_go = ends[0];
    char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cleared = 1;
    pid_t child = clone(execute, stack + 65536, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, 0, &cleared);
    MUST(child > 0);
    OK("the word is cleared and we are woken", wait_for_zero(&cleared));
    EQ("the child lives", 0, waitpid(child, &status, WNOHANG));
    MUST(write(ends[1], "x", 1) == 1);
    YES("and ends", waitpid(child, &status, 0) == child && status == 0);
    /* A mutex of the robust kind, held over execve. */
    pthread_mutexattr_t attr;
    pthread_mutex_t *mutex = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(mutex, &attr);
    child = fork();
    if (child == 0) {
        pthread_mutex_lock(mutex);
        execute(0);
    }
    pause_ms(20);
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 5;
    EQ("a robust mutex", EOWNERDEAD, pthread_mutex_timedlock(mutex, &limit));
    MUST(write(ends[1], "x", 1) == 1);
    waitpid(child, &status, 0);
}
