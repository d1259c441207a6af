/* What single calls refuse, and in which order: descriptors, files, memory, clocks and tasks. */
#include "case.h"
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#ifndef ARCH_SET_GS
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#endif

static long arch_prctl(int code, unsigned long address)
{
    return syscall(SYS_arch_prctl, code, address);
}

GROUP(links_by_others)
{
    if (geteuid() != 0)
        return;
    int fd = open("mine", O_RDWR | O_CREAT, 0400);
    close(fd);
    MUST(mkfifo("fifo", 0666) == 0);
    fd = open("suid", O_RDWR | O_CREAT, 0666);
    fchmod(fd, 0666 | S_ISUID);
    fd = open("all", O_RDWR | O_CREAT, 0666);
    fchmod(fd, 0666);
    chmod("fifo", 0666);
    chmod(".", 0777);
    AS_NOBODY({
        ERR("not writable", EPERM, link("mine", "1"));
        ERR("a fifo", EPERM, link("fifo", "2"));
        ERR("set-user-ID", EPERM, link("suid", "3"));
        OK("readable and writable", link("all", "4"));
    });
    int error = link("all", "/sys/newfile") == 0 ? 0 : errno;
    YES("into /sys", error == EXDEV || error == EROFS);
    ERR("empty", ENOENT, link("", "5"));
    ERR("a slash", ENOENT, link("all", "6/"));
    ERR("a directory", EPERM, link(".", "7"));
    ERR("flags", EINVAL, linkat(1, "foo", 2, "bar", 3));
}

static int nothing(void *unused)
{
    return 0;
}

GROUP(clone_rules)
{
    char stack[8192];
    ERR("TLS without an address", EPERM, syscall(SYS_clone, SIGCHLD | CLONE_SETTLS, stack + 4096, 0, 0, 1ul << 63));
    ERR("GS without an address", EPERM, arch_prctl(ARCH_SET_GS, 1ul << 63));
    ERR("FS without an address", EPERM, arch_prctl(ARCH_SET_FS, 1ul << 63));
    ERR("FS, last", EPERM, arch_prctl(ARCH_SET_FS, 0x7ffffffff000));
    ERR("FS to nowhere", EFAULT, arch_prctl(ARCH_GET_FS, 0));
    ERR("no such code", EINVAL, arch_prctl(9999, 0));
    unsigned long gs = 1;
    OK("GS", arch_prctl(ARCH_GET_GS, (unsigned long)&gs));
    EQ("GS's value", 0, gs);
    ERR("SIGHAND without VM", EINVAL, clone(nothing, stack + 4096, CLONE_SIGHAND, 0));
    ERR("THREAD without SIGHAND", EINVAL, clone(nothing, stack + 4096, CLONE_THREAD | CLONE_VM, 0));
    ERR("FS and NEWNS", EINVAL, clone(nothing, stack + 4096, CLONE_FS | CLONE_NEWNS, 0));
    unsigned long args[11] = {1ul << 63};
    args[4] = SIGCHLD;
    ERR("clone3, flag", EINVAL, syscall(SYS_clone3, args, sizeof args));
    int status, tid = 0;
    args[0] = CLONE_PARENT_SETTID;
    args[3] = (unsigned long)&tid;
    pid_t pid = syscall(SYS_clone3, args, sizeof args);
    if (pid == 0)
        _exit(3);
    YES("clone3, tid", pid == tid);
    waitpid(pid, &status, 0);
    EQ("clone3, status", 3, WEXITSTATUS(status));
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack}, old = {0};
    MUST(sigaltstack(&alt, 0) == 0);
    CHILD(status, {
        sigaltstack(0, &old);
        _exit(old.ss_flags == 0 && old.ss_sp == stack && old.ss_size == sizeof stack ? 5 : 6);
    });
    EQ("the signal stack in a child", 5, WEXITSTATUS(status));
}

GROUP(in_another_root)
{
    if (geteuid() != 0)
        return;
    char cwd[PATH_MAX], text[PATH_MAX + 32], other[64];
    MUST(getcwd(cwd, sizeof cwd));
    int out = open("outside", O_RDWR | O_CREAT, 0644), proc = open("/proc", O_RDONLY | O_DIRECTORY);
    mkdir("new", 0755);
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    ERR("not a directory", ENOTDIR, chroot("outside"));
    ERR("none", ENOENT, chroot("/foo/bar"));
    AS_NOBODY({ ERR("as nobody", EPERM, chroot("new")); });
    int status;
    CHILD(status, {
        OK("chroot", chroot("new"));
        long n = syscall(SYS_getcwd, text, sizeof text);
        YES("getcwd", n == (long)(strlen(cwd) + 14) && !strncmp(text, "(unreachable)", 13) && !strcmp(text + 13, cwd));
        struct stat a, b;
        OK(".", stat(".", &a));
        ERR("by its old name", ENOENT, stat(cwd, &a));
        int up = openat(dir, "..", O_RDONLY);
        YES("..", up >= 0);
        OK("/", chdir("/"));
        EQ("getcwd of /", 2, syscall(SYS_getcwd, text, sizeof text));
        stat("..", &a);
        stat("/", &b);
        YES(".. of /", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
        snprintf(other, sizeof other, "self/fd/%d", out);
        OK("what is outside, by its descriptor", fstatat(proc, other, &a, 0));
        OK("standard input", fstatat(proc, "self/fd/0", &a, 0));
        int foo = open("/foo", O_RDWR | O_CREAT, 0644);
        snprintf(other, sizeof other, "self/fd/%d", foo);
        n = readlinkat(proc, other, text, sizeof text);
        text[n > 0 ? n : 0] = 0;
        TEXT("the name of what is inside", "/foo", text);
        char *map = mmap(0, 4096, PROT_READ, MAP_PRIVATE, foo, 0);
        int maps = openat(proc, "self/maps", O_RDONLY);
        static char all[65536];
        size_t used = 0;
        for (ssize_t got; (got = read(maps, all + used, sizeof all - 1 - used)) > 0;)
            used += got;
        YES("maps", strstr(all, " /foo\n") && !strstr(all, "/new/foo"));
        munmap(map, 4096);
    });
    EQ("status", 0, status);
}

static int futex(void *word, int op, int value, struct timespec *timeout, void *word2, int value3)
{
    return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}
static int word_ = 1;
static void *waits_private(void *result)
{
    struct timespec time = {0, 150000000};
    *(int *)result = futex(&word_, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, &time, 0, 0) == 0 ? 0 : errno;
    return 0;
}
static void *waits_shared(void *result)
{
    struct timespec time = {0, 150000000};
    *(int *)result = futex(&word_, FUTEX_WAIT, 1, &time, 0, 0) == 0 ? 0 : errno;
    return 0;
}

GROUP(futex_kinds)
{
    int result = -1;
    pthread_t thread;
    pthread_create(&thread, 0, waits_private, &result);
    pause_ms(50);
    EQ("shared wakes private", 0, futex(&word_, FUTEX_WAKE, 1, 0, 0, 0));
    pthread_join(thread, 0);
    EQ("private times out", ETIMEDOUT, result);
    pthread_create(&thread, 0, waits_shared, &result);
    pause_ms(50);
    EQ("private wakes shared", 0, futex(&word_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0));
    pthread_join(thread, 0);
    EQ("shared times out", ETIMEDOUT, result);
    int a = 1, pi = 0;
    EQ("WAKE_OP at 0", 0, futex(0, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, &a, FUTEX_OP(FUTEX_OP_SET, 2, 0, 0)));
    EQ("WAKE_OP at 0, value", 2, a);
    OK("PI", futex(&pi, FUTEX_LOCK_PI, 0, 0, 0, 0));
    YES("PI, value", pi == gettid());
    ERR("PI twice", EDEADLK, futex(&pi, FUTEX_LOCK_PI, 0, 0, 0, 0));
    ERR("PI tried", EDEADLK, futex(&pi, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
    OK("PI, unlock", futex(&pi, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
    ERR("PI, unlock twice", EPERM, futex(&pi, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
    struct timespec bad = {0, 1000000000};
    ERR("a bad time", EINVAL, futex(&word_, FUTEX_WAIT, 1, &bad, 0, 0));
    ERR("an odd address", EINVAL, futex((char *)&word_ + 1, FUTEX_WAIT, 1, 0, 0, 0));
    ERR("no bits", EINVAL, futex(&word_, FUTEX_WAIT_BITSET, 1, 0, 0, 0));
    int status;
    /* Copy-on-write broken by the waker. */
    int *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    for (int shared = 0; shared < 2; shared++) {
        word_ = 1;
        pthread_create(&thread, 0, shared ? waits_shared : waits_private, &result);
        pause_ms(40);
        pid_t pid = fork();
        if (pid == 0)
            for (;;)
                pause();
        word_++;
        EQ(shared ? "after copying, shared" : "after copying, private", 1, futex(&word_, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), 1, 0, 0, 0));
        pthread_join(thread, 0);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
}

GROUP(memory_locks)
{
    char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK("not locked", msync(p, 4096, MS_INVALIDATE));
    OK("mlock", mlock(p, 4096));
    ERR("locked", EBUSY, msync(p, 4096, MS_INVALIDATE));
    OK("beside", msync(p + 4096, 4096, MS_INVALIDATE));
    OK("munlock", munlock(p, 4096));
    OK("unlocked", msync(p, 4096, MS_INVALIDATE));
    OK("munlock twice", munlock(p, 4096));
    OK("mlock2", syscall(SYS_mlock2, p, 4096, 1));
    ERR("mlock2, locked", EBUSY, msync(p, 4096, MS_INVALIDATE));
    ERR("mlock2, flags", EINVAL, syscall(SYS_mlock2, p, 4096, 2));
    ERR("MADV_DONTNEED", EINVAL, madvise(p, 4096, MADV_DONTNEED));
    munmap(p, 4096);
    ERR("mlock of nothing", ENOMEM, mlock(p, 4096));
    ERR("munlock of nothing", ENOMEM, munlock(p, 4096));
    int status;
    CHILD(status, {
        OK("mlockall, future", mlockall(MCL_FUTURE));
        char *q = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ERR("future", EBUSY, msync(q, 4096, MS_INVALIDATE));
        OK("munlockall", munlockall());
        OK("past", msync(q, 4096, MS_INVALIDATE));
        OK("mlockall, now", mlockall(MCL_CURRENT));
        ERR("now", EBUSY, msync(q, 4096, MS_INVALIDATE));
        q = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        OK("later", msync(q, 4096, MS_INVALIDATE));
        q = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
        ERR("MAP_LOCKED", EBUSY, msync(q, 4096, MS_INVALIDATE));
        q = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ERR("PROT_NONE", ENOMEM, mlock(q, 4096));
        SHOW("PROT_NONE stays locked", "%d", msync(q, 4096, MS_INVALIDATE));
        mprotect(q, 4096, PROT_READ | PROT_WRITE);
        ERR("no flags", EINVAL, mlockall(0));
        ERR("on fault alone", EINVAL, mlockall(4));
    });
    AS_NOBODY({
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_MEMLOCK, &none);
        char *q = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ERR("no limit, mlock", EPERM, mlock(q, 4096));
        ERR("no limit, mlockall", EPERM, mlockall(MCL_FUTURE));
        EQ("no limit, MAP_LOCKED", EPERM, mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? errno : 0);
    });
    AS_NOBODY({
        struct rlimit page = {4096, 4096};
        setrlimit(RLIMIT_MEMLOCK, &page);
        char *q = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        OK("a page", mlock(q, 4096));
        OK("the same page", mlock(q, 4096));
        ERR("two pages", ENOMEM, mlock(q, 8192));
        EQ("a page more, MAP_LOCKED", EAGAIN, mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? errno : 0);
        EQ("mremap of it", EAGAIN, mremap(q, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? errno : 0);
    });
}

static void count_signals(int n)
{
}

GROUP(sizes_of_files)
{
    signal(SIGXFSZ, count_signals);
    int status;
    CHILD(status, {
        /* What is printed must not be limited. */
        struct rlimit limit = {1024, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
        int fd = open("f", O_RDWR | O_CREAT, 0644);
        sigset_t set, was;
        sigemptyset(&set);
        sigaddset(&set, SIGXFSZ);
        sigprocmask(SIG_BLOCK, &set, &was);
        struct timespec now = {0, 0};
#define LIMITED(name, expression)                                                                                             \
    do {                                                                                                                         \
        setrlimit(RLIMIT_FSIZE, &limit);                                                                                         \
        long got_ = (expression), error_ = errno, signal_ = sigtimedwait(&set, 0, &now);                                         \
        setrlimit(RLIMIT_FSIZE, &all);                                                                                           \
        SHOW(name, "%ld %s, signal %ld", got_, got_ < 0 ? strerrorname_np(error_) : "", signal_);                                \
    } while (0)
        LIMITED("fallocate", fallocate(fd, 0, 1024, 10));
        LIMITED("fallocate, beyond", fallocate(fd, 0, 100, 1000));
        LIMITED("ftruncate", ftruncate(fd, 1025));
        LIMITED("write", pwrite(fd, "x", 1, 1024));
        LIMITED("half a write", pwrite(fd, "xy", 2, 1023));
    });
    int fd = open("g", O_RDWR | O_CREAT, 0644), read_only = open("g", O_RDONLY), pipes[2];
    ERR("no length", EINVAL, fallocate(fd, 0, 0, 0));
    ERR("a negative offset", EINVAL, fallocate(fd, 0, -1, 1));
    ERR("a negative length", EINVAL, fallocate(fd, 0, 0, -1));
    ERR("too long", EFBIG, fallocate(fd, 0, 0x7fffffffffffffff, 1));
    ERR("no writing", EBADF, fallocate(read_only, 0, 0, 1));
    ERR("an unknown mode", EOPNOTSUPP, fallocate(fd, 0x4000, 0, 1));
    MUST(pipe(pipes) == 0);
    ERR("a pipe", ESPIPE, fallocate(pipes[1], 0, 0, 1));
    int efd = eventfd(0, 0), ep = epoll_create1(0), tfd = timerfd_create(CLOCK_MONOTONIC, 0);
    sigset_t set;
    sigemptyset(&set);
    int sfd = signalfd(-1, &set, 0), sock = socket(AF_UNIX, SOCK_STREAM, 0), dir = open(".", O_RDONLY);
    ERR("an eventfd", ENODEV, fallocate(efd, 0, 0, 1));
    ERR("an epoll", ENODEV, fallocate(ep, 0, 0, 1));
    ERR("a timerfd", ENODEV, fallocate(tfd, 0, 0, 1));
    ERR("a signalfd", ENODEV, fallocate(sfd, 0, 0, 1));
    ERR("a socket", ENODEV, fallocate(sock, 0, 0, 1));
    ERR("a directory", EBADF, fallocate(dir, 0, 0, 1));
    int null = open("/dev/null", O_RDWR);
    ERR("/dev/null", ENODEV, fallocate(null, 0, 0, 1));
    ERR("fadvise of a pipe", ESPIPE, posix_fadvise(pipes[0], 0, 10, 0) ? (errno = ESPIPE, -1) : 0);
    EQ("fadvise, bad advice", EINVAL, posix_fadvise(fd, 0, 10, 12));
    EQ("fadvise, negative", EINVAL, posix_fadvise(fd, 0, -1, 0));
    ERR("fsync of a pipe", EINVAL, fsync(pipes[0]));
    OK("fsync of a directory", fsync(dir));
    ERR("fsync of a socket", EINVAL, fsync(sock));
    ERR("sync_file_range flags", EINVAL, sync_file_range(fd, 0, 1, 8));
    ERR("sync_file_range of a pipe", ESPIPE, sync_file_range(pipes[0], 0, 1, 0));
}

GROUP(membarriers)
{
    SHOW("query", "%lx", syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) & 0x1f);
    ERR("flags", EINVAL, syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 2, 0));
    OK("global", syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
    OK("global expedited", syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
    int status;
    CHILD(status, {
        ERR("not registered", EPERM, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
        OK("register", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
        OK("registered", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    });
    OK("register global", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
}

GROUP(nodes)
{
    OK("a socket", mknod("s", S_IFSOCK | 0644, 0));
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un name = {AF_UNIX, "s"};
    ERR("connect to it", ECONNREFUSED, connect(sock, (void *)&name, sizeof name));
    ERR("open it", ENXIO, open("s", O_RDONLY));
    ERR("there", EEXIST, mknod("s", S_IFREG | 0644, 0));
    OK("a file", mknod("f", 0644, 0));
    ERR("a directory", EPERM, mknod("d", S_IFDIR | 0755, 0));
    ERR("a link", EINVAL, mknod("l", S_IFLNK | 0755, 0));
    ERR("no kind", EINVAL, mknod("n", 0170000 | 0755, 0));
    if (geteuid() == 0) {
        OK("a device", mknod("null", S_IFCHR | 0666, makedev(1, 3)));
        int fd = open("null", O_RDWR);
        EQ("write to it", 1, write(fd, "x", 1));
        OK("a device of nobody", mknod("none", S_IFCHR | 0666, makedev(240, 3)));
        ERR("open it", ENXIO, open("none", O_RDONLY));
        OK("a block device of nobody", mknod("block", S_IFBLK | 0666, makedev(240, 3)));
        ERR("open the block device", ENXIO, open("block", O_RDONLY));
        OK("a whiteout", mknod("white", S_IFCHR, 0));
    }
    chmod(".", 0777);
    AS_NOBODY({
        ERR("a device", EPERM, mknod("x", S_IFCHR | 0666, makedev(1, 3)));
        ERR("a block device", EPERM, mknod("x", S_IFBLK | 0666, makedev(7, 0)));
        OK("a fifo", mknod("y", S_IFIFO | 0666, 0));
        OK("a whiteout as nobody", mknod("z", S_IFCHR, 0));
    });
}
