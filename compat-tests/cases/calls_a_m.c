/* What the manual says of calls from abort(3) to munmap(2) and other cases do not have: memory, limits, usage, new processes. */
#include "case.h"
#include <dirent.h>
#include <mqueue.h>
#include <poll.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#define PAGE 4096L

static long field(const char *path, const char *name)
{
    char line[512];
    long value = -1;
    FILE *in = fopen(path, "r");
    while (in && fgets(line, sizeof line, in))
        if (!strncmp(line, name, strlen(name)))
            value = (value < 0 ? 0 : value) + atol(line + strlen(name));
    if (in)
        fclose(in);
    return value;
}

/* A field of the area that begins at `at`. */
static long smaps(void *at, const char *name)
{
    char line[512], head[32];
    int in_area = 0;
    long value = -1;
    FILE *in = fopen("/proc/self/smaps", "r");
    snprintf(head, sizeof head, "%lx-", (long)at);
    while (in && fgets(line, sizeof line, in)) {
        if (strchr(line, '-') && strchr(line, ':') && strchr(line, '-') < strchr(line, ':') && line[0] != 'V' && !strchr("ABCDEFGHIJKLMNOPQRSTUWXYZ", line[0]))
            in_area = !strncmp(line, head, strlen(head));
        else if (in_area && !strncmp(line, name, strlen(name)))
            value = atol(line + strlen(name));
    }
    if (in)
        fclose(in);
    return value;
}

static int resident(void *at, long pages)
{
    unsigned char there[4096];
    if (mincore(at, pages * PAGE, there))
        return -errno;
    int count = 0;
    for (long i = 0; i < pages; i++)
        count += there[i] & 1;
    return count;
}

static int present(void *at, long pages)
{
    int fd = open("/proc/self/pagemap", O_RDONLY), count = 0;
    for (long i = 0; i < pages; i++) {
        uint64_t entry = 0;
        if (pread(fd, &entry, 8, ((long)at / PAGE + i) * 8) != 8)
            return -1;
        count += entry >> 63;
    }
    close(fd);
    return count;
}

GROUP(abort)
{
    int status;
    struct rlimit core = {0, 0};
    getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = core.rlim_max;
    setrlimit(RLIMIT_CORE, &core);
    CHILD(status, abort());
    EQ("ends by", SIGABRT, WTERMSIG(status));
    CHILD(status, signal(SIGABRT, SIG_IGN); abort());
    EQ("though ignored", SIGABRT, WTERMSIG(status));
}

GROUP(mlocked)
{
    long before = field("/proc/self/status", "VmLck:");
    char *area = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(area != MAP_FAILED);
    MUST(mmap(area + 3 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    munmap(area + 3 * PAGE, PAGE);
    char *low = area;
    OK("mlock", mlock(low, 3 * PAGE));
    EQ("resident", 3, resident(low, 3));
    EQ("VmLck", before + 12, field("/proc/self/status", "VmLck:"));
    EQ("Locked", 12, smaps(low, "Locked:"));
    EQ("Rss", 12, smaps(low, "Rss:"));
    EQ("Size", 12, smaps(low, "Size:"));
    OK("munlock", munlock(low, 3 * PAGE));
    EQ("Locked, after", 0, smaps(low, "Locked:"));
    EQ("still resident", 3, resident(low, 3));
    ERR("a hole", ENOMEM, mlock(low, 5 * PAGE));
    OK("mlock2 on fault", syscall(SYS_mlock2, area + 4 * PAGE, 4 * PAGE, 1));
    EQ("none resident", 0, resident(area + 4 * PAGE, 4));
    area[4 * PAGE] = 1;
    EQ("one resident", 1, resident(area + 4 * PAGE, 4));
    EQ("VmLck of all", before + 12 + 16, field("/proc/self/status", "VmLck:"));
    ERR("mlock2 flags", EINVAL, syscall(SYS_mlock2, area + 4 * PAGE, PAGE, 2));
    OK("mlockall of what comes", mlockall(MCL_FUTURE));
    char *next = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EQ("resident at once", 4, resident(next, 4));
    OK("mlockall on fault", mlockall(MCL_FUTURE | MCL_ONFAULT));
    next = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EQ("resident at fault", 0, resident(next, 4));
    EQ("and locked", 16, smaps(next, "Locked:") >= 0 ? 16 : -1);
    OK("munlockall", munlockall());
    EQ("VmLck, none", 0, field("/proc/self/status", "VmLck:"));
    ERR("mlockall of nothing", EINVAL, mlockall(0));
    ERR("mlockall on fault alone", EINVAL, mlockall(MCL_ONFAULT));
    ERR("mlockall flags", EINVAL, mlockall(8));
    OK("MAP_LOCKED", (next = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0)) == MAP_FAILED);
    EQ("VmLck of it", 16, field("/proc/self/status", "VmLck:"));
    AS_NOBODY({
        struct rlimit none = {0, 0}, page = {PAGE, PAGE};
        munlockall();
        setrlimit(RLIMIT_MEMLOCK, &page);
        ERR("over the limit", ENOMEM, mlock(area, 3 * PAGE));
        OK("within the limit", mlock(area, PAGE));
        munlock(area, PAGE);
        ERR("all over the limit", ENOMEM, mlockall(MCL_CURRENT));
        ERR("MAP_LOCKED over the limit", EAGAIN, mmap(0, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? -1 : 0);
        setrlimit(RLIMIT_MEMLOCK, &none);
        ERR("no limit to lock within", EPERM, mlock(area, PAGE));
        ERR("all, neither", EPERM, mlockall(MCL_CURRENT));
        ERR("MAP_LOCKED, neither", EPERM, mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? -1 : 0);
        OK("munlock, as everybody", munlock(area, PAGE));
        OK("munlockall, as everybody", munlockall());
    });
}

GROUP(mincore_pages)
{
    char *shared = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *there = (unsigned char *)shared;
    int status;
    EQ("fresh", 0, resident(mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4));
    (void)there;
    CHILD(status, mlock(shared, 4 * PAGE); _exit(resident(shared, 4)));
    EQ("locked by the child", 4, WEXITSTATUS(status));
    EQ("and there for the parent", 4, resident(shared, 4));
    int file = file_with("file", "x");
    MUST(ftruncate(file, 4 * PAGE) == 0);
    char page[4096] = "y";
    for (int i = 0; i < 4; i++)
        MUST(pwrite(file, page, PAGE, i * PAGE) == PAGE);
    char *map = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EQ("a file that was written", 4, resident(map, 4));
    unsigned char vector[4];
    ERR("unaligned", EINVAL, mincore(map + 1, PAGE, vector));
    ERR("nowhere", ENOMEM, mincore(0, PAGE, vector));
    ERR("far", ENOMEM, mincore(map, 1L << 46, vector));
    ERR("vector", EFAULT, mincore(map, PAGE, BAD));
    ERR("kernel's", ENOMEM, mincore((void *)(1L << 47), PAGE, vector));
    map = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    EQ("populated", 4, present(map, 4));
    map = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, file, 0);
    EQ("populated, private", 4, present(map, 4));
    map = mmap(0, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    EQ("populated, anonymous", 4, present(map, 4));
    map = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EQ("not populated", 0, present(map, 4));
}

GROUP(getrusage_peak)
{
    struct rusage usage;
    int status;
    static int *seen;
    seen = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *big = mmap(0, 24 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(big != MAP_FAILED);
    memset(big, 1, 24 << 20);
    getrusage(RUSAGE_SELF, &usage);
    long own = usage.ru_maxrss;
    YES("self", own >= 24 << 10);
    CHILD(status, {
        getrusage(RUSAGE_SELF, &usage);
        seen[0] = usage.ru_maxrss;
        getrusage(RUSAGE_CHILDREN, &usage);
        seen[1] = usage.ru_maxrss;
    });
    YES("a child begins with its parent's", labs(seen[0] - own) < 4096);
    EQ("its children's", 0, seen[1]);
    munmap(big, 24 << 20);
    getrusage(RUSAGE_SELF, &usage);
    YES("the peak stays", usage.ru_maxrss >= own);
    CHILD(status, getrusage(RUSAGE_SELF, &usage); seen[0] = usage.ru_maxrss);
    YES("a child of one that is small again", seen[0] < own - (16 << 10));
    CHILD(status, {
        CHILD(status, {
            char *huge = mmap(0, 48 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(huge, 1, 48 << 20);
        });
    });
    getrusage(RUSAGE_CHILDREN, &usage);
    YES("a grandchild's is the children's", usage.ru_maxrss >= 48 << 10);
    signal(SIGCHLD, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        char *huge = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(huge, 1, 64 << 20);
        _exit(0);
    }
    waitpid(child, 0, 0);
    signal(SIGCHLD, SIG_DFL);
    getrusage(RUSAGE_CHILDREN, &usage);
    YES("one that nobody waits for is not", usage.ru_maxrss < 64 << 10);
    CHILD(status, {
        char *huge = mmap(0, 80 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(huge, 1, 80 << 20);
        execl("/proc/self/exe", "self", "none-of-these", (char *)0);
    });
    getrusage(RUSAGE_CHILDREN, &usage);
    YES("an exec keeps it", usage.ru_maxrss >= 80 << 10);
    ERR("who", EINVAL, getrusage(-2, &usage));
    ERR("pointer", EFAULT, getrusage(RUSAGE_SELF, BAD));
}

GROUP(mmap_kinds)
{
    int file = file_with("file", "text");
    ERR("shared and validated, unknown flags", EOPNOTSUPP, mmap(0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 1 << 25, file, 0) == MAP_FAILED ? -1 : 0);
    OK("shared, unknown flags", mmap(0, PAGE, PROT_READ, MAP_SHARED | 1 << 25, file, 0) == MAP_FAILED);
    ERR("MAP_SYNC", EOPNOTSUPP, mmap(0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x80000, file, 0) == MAP_FAILED ? -1 : 0);
    ERR("no kind", EINVAL, mmap(0, PAGE, PROT_READ, 0, file, 0) == MAP_FAILED ? -1 : 0);
    ERR("kind 3 anonymous", EINVAL, mmap(0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | 1 << 25, -1, 0) == MAP_FAILED ? -1 : 0);
    ERR("length 0", EINVAL, mmap(0, 0, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED ? -1 : 0);
    ERR("write only, shared", EACCES, mmap(0, PAGE, PROT_READ, MAP_SHARED, open("file", O_WRONLY), 0) == MAP_FAILED ? -1 : 0);
    ERR("read only, shared, to be written", EACCES, mmap(0, PAGE, PROT_WRITE, MAP_SHARED, open("file", O_RDONLY), 0) == MAP_FAILED ? -1 : 0);
    ERR("MAP_DROPPABLE shared", EINVAL, mmap(0, PAGE, PROT_READ, MAP_SHARED | 8, file, 0) == MAP_FAILED ? -1 : 0);
    char *drop = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | 8, -1, 0);
    YES("MAP_DROPPABLE", drop != MAP_FAILED);
    if (drop != MAP_FAILED) {
        int status;
        *drop = 1;
        CHILD(status, _exit(*drop));
        EQ("is wiped at fork", 0, WEXITSTATUS(status));
    }
    /* A stack that grows. */
    char *room = mmap(0, 512 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room, 512 * PAGE);
    char *grows = mmap(room + 500 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    YES("MAP_GROWSDOWN", grows == room + 500 * PAGE);
    int status;
    CHILD(status, for (int i = 1; i < 200; i++) grows[-i * PAGE] = 1);
    EQ("grows", 0, status);
    CHILD(status, mmap(grows - 8 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); for (int i = 1; i < 8; i++) grows[-i * PAGE] = 1);
    EQ("keeps a distance from others", SIGSEGV, WTERMSIG(status));
    ERR("offset not a page", EINVAL, mmap(0, PAGE, PROT_READ, MAP_PRIVATE, file, 1) == MAP_FAILED ? -1 : 0);
    char *map = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHILD(status, map[PAGE] = 1);
    EQ("past the end of the file", SIGBUS, WTERMSIG(status));
    map[100] = 'x';
    struct stat now;
    fstat(file, &now);
    EQ("a write behind the end does not grow", 4, now.st_size);
    ERR("fixed, no replace", EEXIST, mmap(map, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ? -1 : 0);
    ERR("of a directory", ENODEV, mmap(0, PAGE, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0) == MAP_FAILED ? -1 : 0);
    int ends[2];
    MUST(pipe(ends) == 0);
    ERR("of a pipe", ENODEV, mmap(0, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0) == MAP_FAILED ? -1 : 0);
    ERR("of a path", EBADF, mmap(0, PAGE, PROT_READ, MAP_PRIVATE, open("file", O_PATH), 0) == MAP_FAILED ? -1 : 0);
    ERR("without execution", EPERM, mount("none", ".", "tmpfs", MS_NOEXEC, 0) == 0 ? (file = open("/proc/self/cwd/../mmap_kinds.dir/x", O_RDWR | O_CREAT, 0777), ftruncate(file, PAGE), mmap(0, PAGE, PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED ? -1 : 0) : (errno = EPERM, -1));
    close(file);
    umount2(".", MNT_DETACH);
}

GROUP(munmap_limit)
{
    long limit = field("/proc/sys/vm/max_map_count", "");
    int count = 0;
    char **area = malloc((limit + 1) * sizeof *area);
    YES("a limit", limit > 1000 && area);
    while (count <= limit) {
        area[count] = mmap(0, 3 * PAGE, count & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area[count] == MAP_FAILED)
            break;
        count++;
    }
    int error = errno;
    EQ("at the limit", ENOMEM, error);
    YES("about as many", count > limit - 200 && count <= limit);
    ERR("munmap that would need one more", ENOMEM, munmap(area[count / 2] + PAGE, PAGE));
    OK("munmap of an end", munmap(area[count / 2] + 2 * PAGE, PAGE));
    OK("munmap of all of one", munmap(area[count / 2], 2 * PAGE));
}

GROUP(munmap_errors)
{
    char *area = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ERR("unaligned", EINVAL, munmap(area + 1, PAGE));
    ERR("length 0", EINVAL, munmap(area, 0));
    ERR("length -1", EINVAL, munmap(area, -1));
    ERR("beyond", EINVAL, munmap((void *)(1L << 47), PAGE));
    OK("of nothing", munmap(area + (1L << 30), PAGE));
    OK("mprotect splits", mprotect(area + PAGE, PAGE, PROT_READ));
    OK("and joins", mprotect(area + PAGE, PAGE, PROT_READ | PROT_WRITE));
    ERR("mprotect of a hole", ENOMEM, (munmap(area + 2 * PAGE, PAGE), mprotect(area, 4 * PAGE, PROT_READ)));
    ERR("mprotect unaligned", EINVAL, mprotect(area + 1, PAGE, PROT_READ));
    ERR("mprotect of both directions", EINVAL, mprotect(area, PAGE, PROT_GROWSUP | PROT_GROWSDOWN | PROT_READ));
    ERR("mprotect of what does not grow", EINVAL, mprotect(area, PAGE, PROT_GROWSDOWN | PROT_READ));
    int file = file_with("file", "x"), reader = open("file", O_RDONLY);
    char *map = mmap(0, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    ERR("mprotect of a read-only file", EACCES, mprotect(map, PAGE, PROT_READ | PROT_WRITE));
    (void)file;
    ERR("mremap unaligned", EINVAL, mremap(area + 1, PAGE, 2 * PAGE, 0) == MAP_FAILED ? -1 : 0);
    ERR("mremap of nothing", EFAULT, mremap(area + (1L << 30), PAGE, 2 * PAGE, 0) == MAP_FAILED ? -1 : 0);
    ERR("mremap without room", ENOMEM, (mmap(area + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), mremap(area, PAGE, 2 * PAGE, 0)) == MAP_FAILED ? -1 : 0);
    ERR("msync flags", EINVAL, msync(area, PAGE, MS_ASYNC | MS_SYNC));
    ERR("msync unaligned", EINVAL, msync(area + 1, PAGE, MS_SYNC));
    munmap(area + 3 * PAGE, PAGE);
    ERR("msync of a hole", ENOMEM, msync(area, 4 * PAGE, MS_SYNC));
    mlock(area, PAGE);
    ERR("msync of locked memory", EBUSY, msync(area, PAGE, MS_INVALIDATE));
    OK("msync of anonymous memory", msync(area, PAGE, MS_SYNC));
}

struct clone_three {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static long clone3(struct clone_three *args, size_t size)
{
    long pid = syscall(SYS_clone3, args, size);
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, 0, __WALL);
    return pid < 0 ? -1 : 0;
}

GROUP(clone3_errors)
{
#define TRY(...) clone3(&(struct clone_three){__VA_ARGS__}, sizeof(struct clone_three))
    OK("plain", TRY(.exit_signal = SIGCHLD));
    ERR("no arguments", EFAULT, clone3(0, sizeof(struct clone_three)));
    ERR("size 0", EINVAL, clone3(&(struct clone_three){}, 0));
    ERR("a short one", EINVAL, clone3(&(struct clone_three){}, 63));
    ERR("a far too long one", E2BIG, clone3(&(struct clone_three){}, 1 << 20));
    ERR("sighand without memory", EINVAL, TRY(.flags = CLONE_SIGHAND));
    ERR("thread without sighand", EINVAL, TRY(.flags = CLONE_THREAD | CLONE_VM));
    ERR("fs with a new tree", EINVAL, TRY(.flags = CLONE_FS | CLONE_NEWNS));
    ERR("pidfd to nowhere", EFAULT, TRY(.flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = 16));
    ERR("signal", EINVAL, TRY(.exit_signal = 256));
    ERR("signal 65", EINVAL, TRY(.exit_signal = 65));
    ERR("stack without size", EINVAL, TRY(.stack = 4096, .exit_signal = SIGCHLD));
    ERR("size without stack", EINVAL, TRY(.stack_size = 4096, .exit_signal = SIGCHLD));
    ERR("a stack nowhere", EINVAL, TRY(.stack = 1UL << 63, .stack_size = 4096, .exit_signal = SIGCHLD));
    ERR("detached", EINVAL, TRY(.flags = CLONE_DETACHED, .exit_signal = SIGCHLD));
    ERR("unknown flag", EINVAL, TRY(.flags = 1ULL << 40, .exit_signal = SIGCHLD));
    ERR("signal in the flags", EINVAL, TRY(.flags = SIGCHLD));
    ERR("set_tid without size", EINVAL, TRY(.set_tid = 16, .exit_signal = SIGCHLD));
    ERR("too many ids", EINVAL, TRY(.set_tid = 16, .set_tid_size = 33, .exit_signal = SIGCHLD));
    ERR("ids to read nowhere", EFAULT, TRY(.set_tid = 16, .set_tid_size = 1, .exit_signal = SIGCHLD));
    pid_t taken = getpid();
    ERR("an id that is taken", EEXIST, TRY(.set_tid = (uintptr_t)&taken, .set_tid_size = 1, .exit_signal = SIGCHLD));
    ERR("a group of processes that is none", EBADF, TRY(.flags = CLONE_INTO_CGROUP, .cgroup = NOFD, .exit_signal = SIGCHLD));
    int fd = -1, tid = -1;
    OK("pidfd and id", TRY(.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = (uintptr_t)&fd, .parent_tid = (uintptr_t)&tid, .exit_signal = SIGCHLD));
    YES("both told", fd > 2 && tid > 1);
    OK("cleared handlers", TRY(.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD));
    int status;
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, (void (*)(int))exit);
    long pid = syscall(SYS_clone3, &(struct clone_three){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD}, sizeof(struct clone_three));
    if (pid == 0) {
        struct sigaction one, two;
        sigaction(SIGUSR1, 0, &one);
        sigaction(SIGUSR2, 0, &two);
        _exit((one.sa_handler == SIG_IGN) + 2 * (two.sa_handler == SIG_DFL));
    }
    waitpid(pid, &status, 0);
    EQ("what was ignored stays, the rest not", 3, WEXITSTATUS(status));
    pid = syscall(SYS_clone3, &(struct clone_three){}, sizeof(struct clone_three));
    if (pid == 0)
        _exit(0);
    ERR("no exit signal, not waited for", ECHILD, waitpid(pid, 0, 0));
    YES("but with __WCLONE", waitpid(pid, 0, __WCLONE) == pid);
}

static int waits_for_end(void *fd)
{
    char byte;
    return syscall(SYS_read, (int)(long)fd, &byte, 1) != 0;
}

GROUP(kcmp_shared)
{
    static const struct { const char *name; int flag, kind; } kinds[] = {
        {"memory", CLONE_VM, KCMP_VM}, {"files", CLONE_FILES, KCMP_FILES}, {"fs", CLONE_FS, KCMP_FS}, {"handlers", CLONE_SIGHAND | CLONE_VM, KCMP_SIGHAND},
        {"io", CLONE_IO, KCMP_IO}, {"undo", CLONE_SYSVSEM, KCMP_SYSVSEM},
    };
    static char stack[65536];
    int set = semget(IPC_PRIVATE, 1, 0600), status;
    syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3);
    semop(set, &(struct sembuf){0, 1, SEM_UNDO}, 1);
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (int shared = 0; shared < 2; shared++) {
            int ends[2], kind = kinds[i].kind;
            MUST(pipe2(ends, O_CLOEXEC) == 0);
            pid_t pid = clone(waits_for_end, stack + sizeof stack, (shared ? kinds[i].flag : 0) | SIGCHLD, (void *)(long)ends[0]);
            MUST(pid > 0);
            long order = syscall(SYS_kcmp, getpid(), pid, kind, 0, 0), back = syscall(SYS_kcmp, pid, getpid(), kind, 0, 0);
            TEXT(named("%s, %s", kinds[i].name, shared ? "shared" : "own"), shared ? "equal" : "ordered",
                order == 0 && back == 0 ? "equal" : order > 0 && back > 0 && order + back == 3 ? "ordered" : "neither");
            MUST(write(ends[1], "x", 1) == 1);
            waitpid(pid, 0, 0);
            close(ends[0]);
            close(ends[1]);
        }
    /* Who shares the undo list undoes when the last of them ends. */
    EQ("value", 1, semctl(set, 0, GETVAL));
    long pid = syscall(SYS_clone, CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        semop(set, &(struct sembuf){0, 5, SEM_UNDO}, 1);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    EQ("not undone yet", 6, semctl(set, 0, GETVAL));
    CHILD(status, semop(set, &(struct sembuf){0, 5, SEM_UNDO}, 1));
    EQ("its own is undone", 6, semctl(set, 0, GETVAL));
    OK("unshare", unshare(CLONE_SYSVSEM));
    EQ("all undone", 0, semctl(set, 0, GETVAL));
    semctl(set, 0, IPC_RMID);
    EQ("priority is told on", 2 << 13 | 3, syscall(SYS_ioprio_get, 1, 0));
    pid = syscall(SYS_clone, CLONE_IO | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 5);
        _exit(0);
    }
    waitpid(pid, 0, 0);
    EQ("a shared priority", 2 << 13 | 5, syscall(SYS_ioprio_get, 1, 0));
    CHILD(status, syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6));
    EQ("an own priority", 2 << 13 | 5, syscall(SYS_ioprio_get, 1, 0));
    ERR("kind", EINVAL, syscall(SYS_kcmp, getpid(), getpid(), KCMP_TYPES, 0, 0));
    ERR("kind -1", EINVAL, syscall(SYS_kcmp, getpid(), getpid(), -1, 0, 0));
    ERR("nobody", ESRCH, syscall(SYS_kcmp, getpid(), 1 << 22, KCMP_VM, 0, 0));
    ERR("no such file", EBADF, syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 0, NOFD));
}

GROUP(mq_errors)
{
    struct mq_attr good = {.mq_maxmsg = 4, .mq_msgsize = 16}, zero = {.mq_maxmsg = 0, .mq_msgsize = 16}, small = {.mq_maxmsg = 4, .mq_msgsize = 0};
    char name[300] = "/";
    memset(name + 1, 'n', 256);
    ERR("missing", ENOENT, mq_open("/none-of-these", O_RDWR));
    ERR("no messages", EINVAL, mq_open("/cases-zero", O_RDWR | O_CREAT, 0600, &zero));
    ERR("no size", EINVAL, mq_open("/cases-zero", O_RDWR | O_CREAT, 0600, &small));
    ERR("negative", EINVAL, mq_open("/cases-zero", O_RDWR | O_CREAT, 0600, &(struct mq_attr){.mq_maxmsg = -1, .mq_msgsize = 1}));
    ERR("name", ENAMETOOLONG, mq_open(name, O_RDWR | O_CREAT, 0600, &good));
    ERR("no name", EINVAL, mq_open("none", O_RDWR | O_CREAT, 0600, &good));
    ERR("name with a slash", EACCES, mq_open("/a/b", O_RDWR | O_CREAT, 0600, &good));
    ERR("empty", ENOENT, mq_open("/", O_RDWR | O_CREAT, 0600, &good));
    mqd_t mq = mq_open("/cases-mq", O_RDWR | O_CREAT | O_EXCL, 0600, &good);
    MUST(mq >= 0);
    ERR("there", EEXIST, mq_open("/cases-mq", O_RDWR | O_CREAT | O_EXCL, 0600, &good));
    AS_NOBODY(ERR("another's", EACCES, mq_open("/cases-mq", O_RDWR)); ERR("unlink of another's", EACCES, mq_unlink("/cases-mq")));
    char text[16];
    ERR("longer than a message", EMSGSIZE, mq_send(mq, "0123456789abcdefg", 17, 0));
    ERR("priority", EINVAL, mq_send(mq, "x", 1, 32768));
    OK("highest priority", mq_send(mq, "x", 1, 32767));
    ERR("short buffer", EMSGSIZE, mq_receive(mq, text, 15, 0));
    unsigned priority = 0;
    EQ("received", 1, mq_receive(mq, text, 16, &priority));
    EQ("its priority", 32767, priority);
    struct timespec past = {1, 0}, bad = {1, 1000000000}, before = {-1, 0};
    ERR("time past", ETIMEDOUT, mq_timedreceive(mq, text, 16, 0, &past));
    ERR("nanoseconds", EINVAL, mq_timedreceive(mq, text, 16, 0, &bad));
    ERR("seconds", EINVAL, mq_timedreceive(mq, text, 16, 0, &before));
    ERR("time pointer", EFAULT, syscall(SYS_mq_timedreceive, mq, text, 16, 0, BAD));
    ERR("no queue", EBADF, mq_receive(0, text, 16, 0));
    ERR("closed", EBADF, mq_receive(NOFD, text, 16, 0));
    ERR("buffer", EFAULT, (mq_send(mq, "y", 1, 1), mq_receive(mq, BAD, 16, 0)));
    while (mq_timedsend(mq, "z", 1, 0, &past) == 0)
        ;
    int error = errno;
    EQ("full", ETIMEDOUT, error);
    ERR("full, nanoseconds", EINVAL, mq_timedsend(mq, "z", 1, 0, &bad));
    mqd_t reader = mq_open("/cases-mq", O_RDONLY | O_NONBLOCK), writer = mq_open("/cases-mq", O_WRONLY | O_NONBLOCK);
    ERR("writing by a reader", EBADF, mq_send(reader, "x", 1, 0));
    ERR("reading by a writer", EBADF, mq_receive(writer, text, 16, 0));
    ERR("full, at once", EAGAIN, mq_send(writer, "x", 1, 0));
    while (mq_receive(reader, text, 16, 0) >= 0)
        ;
    error = errno;
    EQ("empty, at once", EAGAIN, error);
    struct sigevent event = {.sigev_notify = 1234};
    ERR("notify how", EINVAL, mq_notify(mq, &event));
    event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65};
    ERR("notify which", EINVAL, syscall(SYS_mq_notify, mq, &event));
    event.sigev_signo = SIGUSR1;
    ERR("notify of no queue", EBADF, mq_notify(0, &event));
    OK("notify", mq_notify(mq, &event));
    ERR("notify twice", EBUSY, mq_notify(mq, &event));
    OK("notify no more", mq_notify(mq, 0));
    struct rlimit files = {3, 3};
    int status;
    CHILD(status, setrlimit(RLIMIT_NOFILE, &files); ERR("descriptors", EMFILE, mq_open("/cases-mq", O_RDWR)));
    OK("unlink", mq_unlink("/cases-mq"));
    ERR("unlink twice", ENOENT, mq_unlink("/cases-mq"));
    ERR("unlink of a long name", ENAMETOOLONG, mq_unlink(name));
}

GROUP(msg_limits)
{
    struct { long type; char text[8200]; } message = {1, ""};
    int queue = msgget(IPC_PRIVATE, 0600), status;
    MUST(queue >= 0);
    ERR("type 0", EINVAL, (message.type = 0, msgsnd(queue, &message, 1, 0)));
    ERR("type -1", EINVAL, (message.type = -1, msgsnd(queue, &message, 1, 0)));
    message.type = 1;
    ERR("size -1", EINVAL, msgsnd(queue, &message, -1, 0));
    ERR("size over the limit", EINVAL, msgsnd(queue, &message, 8193, 0));
    ERR("pointer", EFAULT, msgsnd(queue, (void *)-1, 1, 0));
    ERR("no queue", EINVAL, msgsnd(-1, &message, 1, 0));
    OK("an empty one", msgsnd(queue, &message, 0, 0));
    EQ("received", 0, msgrcv(queue, &message, 0, 0, 0));
    OK("eight", msgsnd(queue, &message, 8, 0));
    ERR("too big", E2BIG, msgrcv(queue, &message, 4, 0, 0));
    EQ("cut", 4, msgrcv(queue, &message, 4, 0, MSG_NOERROR));
    ERR("none", ENOMSG, msgrcv(queue, &message, 4, 0, IPC_NOWAIT));
    ERR("negative size", EINVAL, msgrcv(queue, &message, -1, 0, 0));
    for (int type = 1; type < 4; type++) {
        message.type = type;
        OK(named("type %d", type), msgsnd(queue, &message, type, 0));
    }
    EQ("all but 1", 2, msgrcv(queue, &message, 8, 1, MSG_EXCEPT));
    EQ("at most 3", 1, msgrcv(queue, &message, 8, -3, 0));
    EQ("the first", 3, msgrcv(queue, &message, 8, 0, 0));
    CHILD(status, alarm(0); signal(SIGUSR1, (void (*)(int))getpid); pid_t parent = getpid(); if (fork() == 0) { pause_ms(20); kill(parent, SIGUSR1); _exit(0); }
        ERR("interrupted", EINTR, msgrcv(queue, &message, 8, 0, 0)));
    pid_t waiter = fork();
    if (waiter == 0) {
        ERR("removed meanwhile", EIDRM, msgrcv(queue, &message, 8, 0, 0));
        _exit(0);
    }
    pause_ms(20);
    OK("removed", msgctl(queue, IPC_RMID, 0));
    waitpid(waiter, 0, 0);
    AS_NOBODY(struct msqid_ds about; int own = msgget(IPC_PRIVATE, 0); ERR("no access", EACCES, msgctl(own, IPC_STAT, &about)); msgctl(own, IPC_RMID, 0));
    ERR("key without a queue", ENOENT, msgget(0x7a5e0001, 0));
    ERR("command", EINVAL, msgctl(msgget(IPC_PRIVATE, 0600), 100, 0));
}

GROUP(mseal)
{
    const int mseal = 462;
    char *area = mmap(0, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *other = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (syscall(mseal, area, 0, 0) < 0)
        return;
    ERR("flags", EINVAL, syscall(mseal, area, PAGE, 1));
    ERR("unaligned", EINVAL, syscall(mseal, area + 1, PAGE, 0));
    ERR("length that wraps", EINVAL, syscall(mseal, area, -1L, 0));
    OK("length 0", syscall(mseal, area, 0, 0));
    OK("length that rounds up", syscall(mseal, area + 2 * PAGE, PAGE + 1, 0));
    OK("again", syscall(mseal, area + 2 * PAGE, PAGE, 0));
    char *sealed = area + 2 * PAGE;
    ERR("mprotect", EPERM, mprotect(sealed, PAGE, PROT_READ | PROT_WRITE));
    ERR("mprotect to the same", EPERM, mprotect(sealed, PAGE, PROT_READ));
    ERR("pkey_mprotect", EPERM, syscall(SYS_pkey_mprotect, sealed, PAGE, PROT_NONE, -1));
    ERR("munmap", EPERM, munmap(sealed, PAGE));
    ERR("munmap of more", EPERM, munmap(area, 8 * PAGE));
    YES("nothing was unmapped", mprotect(area, PAGE, PROT_READ) == 0);
    ERR("mmap over it", EPERM, mmap(sealed, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
    ERR("mremap, smaller", EPERM, mremap(sealed, 2 * PAGE, PAGE, 0) == MAP_FAILED ? -1 : 0);
    ERR("mremap, larger", EPERM, mremap(sealed, 2 * PAGE, 20 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    ERR("mremap onto it", EPERM, mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, sealed) == MAP_FAILED ? -1 : 0);
    ERR("MADV_DONTNEED", EPERM, madvise(sealed, PAGE, MADV_DONTNEED));
    ERR("MADV_FREE", EPERM, madvise(sealed, PAGE, MADV_FREE));
    ERR("MADV_DONTFORK", EPERM, madvise(sealed, PAGE, MADV_DONTFORK));
    ERR("MADV_WIPEONFORK", EPERM, madvise(sealed, PAGE, MADV_WIPEONFORK));
    OK("MADV_WILLNEED", madvise(sealed, PAGE, MADV_WILLNEED));
    OK("mlock", mlock(sealed, PAGE));
    OK("munlock", munlock(sealed, PAGE));
    OK("beside it", munmap(area, 2 * PAGE));
    OK("behind it", munmap(area + 4 * PAGE, 4 * PAGE));
    OK("what can be written", syscall(mseal, other, PAGE, 0));
    *other = 'x';
    OK("gives up its contents", madvise(other, PAGE, MADV_DONTNEED));
    EQ("its contents", 0, *other);
    munmap(other + PAGE, PAGE);
    ERR("a hole", ENOMEM, syscall(mseal, other, 2 * PAGE, 0));
    int status;
    CHILD(status, ERR("in a child", EPERM, munmap(sealed, PAGE)));
    EQ("a child ends", 0, status);
}
