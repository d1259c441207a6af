/* What belongs to a thread and what to its process: capabilities, ids, masks, the FPU in signal handlers; flags of descriptors; what a
 * program reads of itself in /proc. */
#include "case.h"
#include <dirent.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

static int cap(int number, int on)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data))
        return -1;
    if (on < 0)
        return data[number / 32].effective >> number % 32 & 1;
    if (on)
        data[number / 32].effective |= 1u << number % 32;
    else
        data[number / 32].effective &= ~(1u << number % 32);
    return syscall(SYS_capset, &header, data);
}

static void *drops(void *unused)
{
    OK("a thread drops one", cap(CAP_SYS_ADMIN, 0));
    EQ("it is without", 0, cap(CAP_SYS_ADMIN, -1));
    ERR("and may not mount", EPERM, mount("", ".", "tmpfs", 0, ""));
    OK("it takes it back", cap(CAP_SYS_ADMIN, 1));
    OK("it becomes another", syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY));
    EQ("it is another", NOBODY, geteuid());
    EQ("without any", 0, cap(CAP_CHOWN, -1));
    EQ("dumpable", 0, prctl(PR_GET_DUMPABLE));
    EQ("its files are another's", NOBODY, ({
           struct stat st;
           int fd = open("others", O_RDWR | O_CREAT, 0644);
           fstat(fd, &st);
           close(fd);
           st.st_uid;
       }));
    return 0;
}

GROUP(capabilities_of_threads)
{
    if (geteuid() != 0)
        return;
    chmod(".", 0777);
    pthread_t thread;
    pthread_create(&thread, 0, drops, 0);
    pthread_join(thread, 0);
    EQ("we are as we were", 0, geteuid());
    EQ("with all", 1, cap(CAP_SYS_ADMIN, -1));
    struct __user_cap_header_struct header = {0x12345678, 0};
    struct __user_cap_data_struct data[2];
    ERR("a bad version", EINVAL, syscall(SYS_capget, &header, data));
    EQ("the version to use", _LINUX_CAPABILITY_VERSION_3, header.version);
    header.version = 0x12345678;
    OK("a bad version, asked for", syscall(SYS_capget, &header, 0));
    header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, -1};
    ERR("of nobody", EINVAL, syscall(SYS_capget, &header, data));
    header.pid = 0x3fffffff;
    ERR("of one that is not there", ESRCH, syscall(SYS_capget, &header, data));
    header.pid = getppid();
    OK("of another", syscall(SYS_capget, &header, data));
    ERR("set another's", EPERM, syscall(SYS_capset, &header, data));
    int status;
    CHILD(status, {
        cap(CAP_MKNOD, 0);
        ERR("mknod without", EPERM, mknod("dev", S_IFCHR | 0666, 0x103));
        cap(CAP_SYS_CHROOT, 0);
        ERR("chroot without", EPERM, chroot("."));
        cap(CAP_NET_RAW, 0);
        int sock = socket(AF_INET, SOCK_STREAM, 0);
        SHOW("SO_BINDTODEVICE without", "%d", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) ? errno : 0);
        ERR("raw socket without", EPERM, socket(AF_INET, SOCK_RAW, 1));
        cap(CAP_DAC_OVERRIDE, 0);
        cap(CAP_DAC_READ_SEARCH, 0);
        int fd = open("closed", O_RDWR | O_CREAT, 0);
        close(fd);
        ERR("open without", EACCES, open("closed", O_RDONLY));
        cap(CAP_SYS_NICE, 0);
        errno = 0;
        ERR("nice without", EACCES, setpriority(PRIO_PROCESS, 0, -5));
        cap(CAP_SYS_RESOURCE, 0);
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_max++;
        ERR("rlimit without", EPERM, setrlimit(RLIMIT_NOFILE, &limit));
        cap(CAP_KILL, 0);
        OK("kill without", kill(getppid(), 0));
        cap(CAP_SETUID, 0);
        ERR("setuid without", EPERM, setuid(NOBODY));
        cap(CAP_CHOWN, 0);
        ERR("chown without", EPERM, chown("closed", NOBODY, -1));
        cap(CAP_FOWNER, 0);
        OK("chmod without", chmod("closed", 0644));
        cap(CAP_SETPCAP, 0);
        ERR("bounding set without", EPERM, prctl(PR_CAPBSET_DROP, CAP_CHOWN));
        cap(CAP_SYS_TIME, 0);
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        ERR("clock without", EPERM, clock_settime(CLOCK_REALTIME, &now));
        cap(CAP_IPC_LOCK, 0);
        limit = (struct rlimit){0, 0};
        setrlimit(RLIMIT_MEMLOCK, &limit);
        char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ERR("mlock without", EPERM, mlock(p, 4096));
    });
}

static volatile int seen;
static void mutates(int n, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    struct _libc_fpstate *fpu = uc->uc_mcontext.fpregs;
    seen = fpu->_xmm[5].element[0];
    fpu->_xmm[5].element[0] = 0x1234;
    unsigned other = 0x9999;
    asm volatile("movd %0, %%xmm6; movd %0, %%xmm5" : : "r"(other) : "xmm5", "xmm6");
}
static void nests(int n, siginfo_t *info, void *context)
{
    unsigned now, value = 0x7777;
    asm volatile("movd %1, %%xmm7\n\tmov %2, %%rdi\n\tmov $39, %%eax\n\tsyscall\n\tmovd %%xmm7, %0"
                 : "=r"(now)
                 : "r"(value), "r"(0l)
                 : "xmm7", "rax", "rcx", "rdi", "r11");
    if (n == SIGUSR1)
        raise(SIGUSR2);
    asm volatile("movd %%xmm7, %0" : "=r"(now));
    seen++;
}

GROUP(fpu_in_handlers)
{
    struct sigaction action = {.sa_sigaction = mutates, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGUSR1, &action, 0);
    unsigned five = 0x5555, six = 0x6666, after5, after6;
    asm volatile("movd %2, %%xmm5; movd %3, %%xmm6; mov %4, %%edi; mov %5, %%esi; mov $200, %%eax; syscall; movd %%xmm5, %0; movd %%xmm6, %1"
                 : "=r"(after5), "=r"(after6)
                 : "r"(five), "r"(six), "r"(gettid()), "r"(SIGUSR1)
                 : "xmm5", "xmm6", "rax", "rcx", "r11", "rdi", "rsi");
    EQ("the handler sees it", 0x5555, seen);
    EQ("and changes it", 0x1234, after5);
    EQ("by its frame alone", 0x6666, after6);
    seen = 0;
    action.sa_sigaction = nests;
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGUSR2, &action, 0);
    unsigned seven = 0xabcd, after7;
    asm volatile("movd %1, %%xmm7; mov %2, %%edi; mov %3, %%esi; mov $200, %%eax; syscall; movd %%xmm7, %0"
                 : "=r"(after7)
                 : "r"(seven), "r"(gettid()), "r"(SIGUSR1)
                 : "xmm7", "rax", "rcx", "r11", "rdi", "rsi");
    EQ("nested", 2, seen);
    EQ("nested, value", 0xabcd, after7);
    int status;
    asm volatile("movd %0, %%xmm7" : : "r"(seven) : "xmm7");
    pid_t pid;
    asm volatile("mov $57, %%eax; syscall; movd %%xmm7, %1" : "=a"(pid), "=r"(after7) : : "rcx", "r11", "memory");
    if (pid == 0)
        _exit(after7 == 0xabcd ? 4 : 5);
    MUST(waitpid(pid, &status, 0) == pid);
    EQ("over fork, child", 4, WEXITSTATUS(status));
    EQ("over fork", 0xabcd, after7);
}

static const char *flags_of(int fd)
{
    return named("%x", fcntl(fd, F_GETFL));
}

GROUP(descriptor_flags)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    close(fd);
    static const int flags[] = {O_RDWR | O_DIRECT | O_SYNC | O_NONBLOCK | O_APPEND, O_RDONLY | O_NOATIME, O_WRONLY | O_DSYNC | O_ASYNC,
                                O_PATH | O_RDWR | O_DIRECT | O_NOFOLLOW, O_RDONLY | O_CREAT | O_TRUNC | O_NOCTTY, O_RDWR | O_LARGEFILE, 3};
    for (unsigned i = 0; i < COUNT(flags); i++) {
        fd = open("f", flags[i], 0644);
        SHOW(named("open %x", flags[i]), "%s", flags_of(fd));
        close(fd);
    }
    fd = open(".", O_RDWR | O_DIRECT | O_SYNC | O_NONBLOCK | O_APPEND | O_PATH | O_NOFOLLOW | O_DIRECTORY);
    SHOW("a directory, O_PATH", "%s", flags_of(fd));
    close(fd);
    fd = open("f", O_RDONLY);
    OK("set", fcntl(fd, F_SETFL, O_RDWR | O_DIRECT | O_SYNC | O_NONBLOCK | O_APPEND));
    SHOW("set", "%s", flags_of(fd));
    OK("set O_ASYNC", fcntl(fd, F_SETFL, O_ASYNC));
    SHOW("set O_ASYNC", "%s", flags_of(fd));
    SHOW("owner", "%d", fcntl(fd, F_GETOWN));
    int path = open("f", O_PATH);
    int copy = fcntl(path, F_DUPFD_CLOEXEC, 100);
    EQ("a copy of O_PATH", 100, copy);
    EQ("its flag", FD_CLOEXEC, fcntl(copy, F_GETFD));
    ERR("F_SETFL of O_PATH", EBADF, fcntl(path, F_SETFL, 0));
    ERR("F_SETOWN of O_PATH", EBADF, fcntl(path, F_SETOWN, 0));
    ERR("F_GETOWN of O_PATH", EBADF, fcntl(path, F_GETOWN));
    ERR("F_GETLK of O_PATH", EBADF, fcntl(path, F_GETLK, &(struct flock){0}));
    OK("F_SETFD of O_PATH", fcntl(path, F_SETFD, FD_CLOEXEC | 0x2000));
    EQ("F_GETFD of O_PATH", FD_CLOEXEC, fcntl(path, F_GETFD));
    ERR("ioctl of O_PATH", EBADF, ioctl(path, 0x5421, &copy));
    ERR("an unknown fcntl", EINVAL, fcntl(fd, 0x7fff, 0));
    ERR("F_DUPFD, negative", EINVAL, fcntl(fd, F_DUPFD, -1));
    ERR("F_DUPFD, high", EINVAL, fcntl(fd, F_DUPFD, 1 << 30));
    ERR("dup3 of the same", EINVAL, dup3(fd, fd, 0));
    ERR("dup3, flags", EINVAL, dup3(fd, fd + 50, O_RDWR));
    EQ("dup2 of the same", fd, dup2(fd, fd));
    ERR("dup2 of nothing", EBADF, dup2(999, 999));
    ERR("dup2 too high", EBADF, dup2(fd, 1 << 30));
    struct rlimit limit, low = {20, 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    low.rlim_max = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &low);
    ERR("dup2 above the limit", EBADF, dup2(fd, 20));
    ERR("F_DUPFD above the limit", EINVAL, fcntl(fd, F_DUPFD, 20));
    while (dup(fd) >= 0)
        ;
    ERR("no more", EMFILE, dup(fd));
    ERR("epoll, no more", EMFILE, epoll_create1(0));
    int pair[2];
    ERR("pipe, no more", EMFILE, pipe(pair));
    ERR("socketpair, no more", EMFILE, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    setrlimit(RLIMIT_NOFILE, &limit);
    ERR("close_range, backwards", EINVAL, syscall(SYS_close_range, 10, 9, 0));
    ERR("close_range, flags", EINVAL, syscall(SYS_close_range, 10, 11, 8));
    OK("close_range, mark", syscall(SYS_close_range, 100, ~0u, 4));
    OK("close_range, beyond", syscall(SYS_close_range, 100000, ~0u, 0));
    OK("close_range, all", syscall(SYS_close_range, 3, ~0u, 2));
    ERR("closed", EBADF, fcntl(fd, F_GETFD));
}

GROUP(read_of_oneself)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char text[4096], dev[32], perms[8], name[4096];
    int lines = 0, good = 0, exact = 0;
    unsigned long start, end, offset, inode, last = 0;
    while (fgets(text, sizeof text, f)) {
        lines++;
        int n = sscanf(text, "%lx-%lx %7s %lx %31s %lu %4095[^\n]", &start, &end, perms, &offset, dev, &inode, name);
        good += n >= 6 && start < end && start >= last && strlen(perms) == 4 && strchr(dev, ':') == dev + 2;
        char again[4096];
        int used = snprintf(again, sizeof again, "%08lx-%08lx %s %08lx %s %lu ", start, end, perms, offset, dev, inode);
        exact += !strncmp(again, text, used) && (n == 6 ? !strcmp(text + used, "\n") : strspn(text + used, " ") == (used < 73 ? 73 - used : 0));
        last = end;
    }
    fclose(f);
    YES("maps, lines can be read", lines == good);
    YES("maps, lines as they are printed", lines == exact);
    DIR *dir = opendir("/proc/self/fd");
    int entries = 0, links = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            entries++;
            links += readlinkat(dirfd(dir), entry->d_name, text, sizeof text) > 0 && entry->d_type == DT_LNK;
        }
    closedir(dir);
    YES("fd, links", entries == links);
    dir = opendir("/proc/self/task");
    entries = 0;
    while ((entry = readdir(dir)))
        entries += entry->d_name[0] != '.' && atoi(entry->d_name) == gettid() && entry->d_type == DT_DIR;
    closedir(dir);
    EQ("task", 1, entries);
    f = fopen("/proc/self/status", "r");
    char keys[4096] = "";
    while (fgets(text, sizeof text, f))
        if (!strncmp(text, "Cap", 3) || !strncmp(text, "Threads", 7) || !strncmp(text, "State", 5) || !strncmp(text, "Umask", 5))
            strncat(keys, text, 40);
    fclose(f);
    for (char *p = keys; *p; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    if (geteuid() == 0)
        YES("status", strstr(keys, "Threads: 1 ") && strstr(keys, "Umask: 0022") && strstr(keys, "CapEff: 0"));
    f = fopen("/proc/self/mountinfo", "r");
    lines = good = 0;
    while (fgets(text, sizeof text, f)) {
        lines++;
        int id, parent, major, minor, used = 0;
        char root[512], target[512], options[512];
        if (sscanf(text, "%d %d %d:%d %511s %511s %511s %n", &id, &parent, &major, &minor, root, target, options, &used) == 7 && strstr(text + used - 1, " - "))
            good++;
    }
    fclose(f);
    YES("mountinfo", lines == good);
    f = fopen("/proc/self/stat", "r");
    MUST(fgets(text, sizeof text, f));
    fclose(f);
    int fields = 0;
    for (char *p = strrchr(text, ')'); *p; p++)
        fields += *p == ' ';
    EQ("stat, fields behind the name", 50, fields);
}

static const char *opened(const char *path, int flags)
{
    int fd = open(path, flags);
    const char *said = fd >= 0 ? "open" : strerrorname_np(errno);
    if (fd >= 0)
        close(fd);
    return said;
}

/* What a process that has become another may still see of itself, and others of it. */
GROUP(after_setuid)
{
    if (geteuid() != 0)
        return;
    static const char *const paths[] = {"/proc/self", "/proc/self/fd", "/proc/self/fd/0", "/proc/self/fdinfo", "/proc/self/fdinfo/0", "/proc/self/task",
                                        "/proc/self/task/%d/fd", "/proc/self/environ", "/proc/self/maps", "/proc/self/mem", "/proc/self/status",
                                        "/proc/self/exe", "/proc/self/cwd", "/proc/self/ns/mnt", "/proc/self/auxv", "/proc/self/oom_score_adj"};
    for (int dumpable = 0; dumpable < 2; dumpable++)
        AS_NOBODY({
            EQ(named("%d, dumpable", dumpable), 0, prctl(PR_GET_DUMPABLE));
            prctl(PR_SET_DUMPABLE, dumpable);
            struct stat st;
            char text[64];
            int null = open("/dev/null", O_RDONLY);
            dup2(null, 0);
            for (unsigned i = 0; i < COUNT(paths); i++) {
                snprintf(text, sizeof text, paths[i], gettid());
                SHOW(named("%d, %s", dumpable, paths[i]), "%s, owner %d", opened(text, O_RDONLY), stat(text, &st) ? -errno : (int)(st.st_uid == NOBODY));
            }
            SHOW(named("%d, links", dumpable), "%d %d", readlink("/proc/self/fd/0", text, sizeof text) > 0, readlink("/proc/self/exe", text, sizeof text) > 0);
            pid_t pid = fork();
            if (pid == 0)
                for (;;)
                    pause();
            char c;
            struct iovec here = {&c, 1}, there = {&c, 1};
            snprintf(text, sizeof text, "/proc/%d/mem", pid);
            SHOW(named("%d, a child's mem", dumpable), "%s", opened(text, O_RDONLY));
            snprintf(text, sizeof text, "/proc/%d/fd", pid);
            SHOW(named("%d, a child's fd", dumpable), "%s", opened(text, O_RDONLY));
            long n = process_vm_readv(pid, &here, 1, &there, 1, 0);
            SHOW(named("%d, process_vm_readv", dumpable), "%ld %s", n, n < 0 ? strerrorname_np(errno) : "");
            kill(pid, SIGKILL);
        });
    int status;
    CHILD(status, {
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        int set = 0;
        setgid(getgid());
        prctl(PR_GET_PDEATHSIG, &set);
        EQ("the same, signal", SIGUSR1, set);
        EQ("the same, dumpable", 1, prctl(PR_GET_DUMPABLE));
        setgid(NOBODY);
        prctl(PR_GET_PDEATHSIG, &set);
        EQ("another group, signal", 0, set);
        EQ("another group, dumpable", 0, prctl(PR_GET_DUMPABLE));
    });
    CHILD(status, {
        setresuid(NOBODY, 0, 0);
        EQ("another real user, dumpable", 1, prctl(PR_GET_DUMPABLE));
        setfsuid(NOBODY);
        EQ("another fsuid, dumpable", 0, prctl(PR_GET_DUMPABLE));
    });
    CHILD(status, {
        cap(CAP_SYS_ADMIN, 0);
        EQ("less, dumpable", 1, prctl(PR_GET_DUMPABLE));
    });
}
