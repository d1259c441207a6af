/* Calls that few programs make: ustat, sysfs, vhangup, setxattrat and its kin, process_madvise, guard pages, pidfds of threads,
 * SCHED_DEADLINE, clocks that wake a machine. */
#include "case.h"
#include <poll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>
#include <linux/fs.h>

#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif
#define PIDFD_SELF_THREAD_ (-10000)
#define PIDFD_SELF_PROCESS_ (-10001)

GROUP(ustat)
{
    struct stat st;
    char out[64];
    MUST(stat("/proc", &st) == 0);
    OK("a file system", syscall(SYS_ustat, (unsigned)st.st_dev, out));
    ERR("no such device", EINVAL, syscall(SYS_ustat, 0x7fffffffu, out));
    ERR("device 0", EINVAL, syscall(SYS_ustat, 0, out));
    ERR("no buffer", EFAULT, syscall(SYS_ustat, (unsigned)st.st_dev, BAD));
}

GROUP(sysfs)
{
    char name[64] = "";
    long count = syscall(SYS_sysfs, 3, 0, 0), index = syscall(SYS_sysfs, 1, "proc", 0);
    YES("there are some", count > 3);
    YES("proc is one", index >= 0 && index < count);
    OK("name of its number", syscall(SYS_sysfs, 2, index, name));
    TEXT("the name", "proc", name);
    ERR("unknown name", EINVAL, syscall(SYS_sysfs, 1, "nosuchfs", 0));
    ERR("no name", EFAULT, syscall(SYS_sysfs, 1, 0, 0));
    ERR("number too large", EINVAL, syscall(SYS_sysfs, 2, 1000, name));
    ERR("bad buffer", EFAULT, syscall(SYS_sysfs, 2, 0, BAD));
    ERR("unknown option", EINVAL, syscall(SYS_sysfs, 4, 0, 0));
}

GROUP(vhangup)
{
    int status;
    CHILD(status, {
        setsid();
        OK("no terminal", syscall(SYS_vhangup));
    });
    AS_NOBODY(ERR("not allowed", EPERM, syscall(SYS_vhangup)));
    if (geteuid() == 0) {
        int master = posix_openpt(O_RDWR | O_NOCTTY);
        MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
        CHILD(status, {
            signal(SIGHUP, SIG_IGN);
            setsid();
            int slave = open(ptsname(master), O_RDWR);
            MUST(slave >= 0);
            char c;
            OK("with a terminal", syscall(SYS_vhangup));
            EQ("reads end", 0, read(slave, &c, 1));
            ERR("writes fail", EIO, write(slave, "x", 1));
            ERR("no terminal any more", ENXIO, open("/dev/tty", O_RDWR));
        });
    }
}

GROUP(xattrat)
{
    struct {
        uint64_t value;
        uint32_t size, flags;
        uint64_t more;
    } args = {(uint64_t) "value", 5, 0, 0};
    char out[64] = "";
    int fd = file_with("file", "x");
    symlink("file", "link");
    OK("set", syscall(SYS_setxattrat, AT_FDCWD, "file", 0, "user.one", &args, 16));
    args.flags = XATTR_CREATE;
    ERR("create again", EEXIST, syscall(SYS_setxattrat, AT_FDCWD, "file", 0, "user.one", &args, 16));
    OK("by descriptor", syscall(SYS_setxattrat, fd, "", AT_EMPTY_PATH, "user.two", &args, 16));
    OK("no path", syscall(SYS_setxattrat, fd, 0, AT_EMPTY_PATH, "user.three", &args, 16));
    int path = open("file", O_PATH);
    ERR("a path descriptor", EBADF, syscall(SYS_setxattrat, path, "", AT_EMPTY_PATH, "user.four", &args, 16));
    ERR("link itself", EPERM, syscall(SYS_setxattrat, AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, "user.one", &args, 16));
    ERR("unknown flag", EINVAL, syscall(SYS_setxattrat, AT_FDCWD, "file", 1, "user.one", &args, 16));
    ERR("small arguments", EINVAL, syscall(SYS_setxattrat, AT_FDCWD, "file", 0, "user.one", &args, 15));
    ERR("vast arguments", E2BIG, syscall(SYS_setxattrat, AT_FDCWD, "file", 0, "user.one", &args, 4097));
    args.more = 1;
    ERR("unknown arguments", E2BIG, syscall(SYS_setxattrat, AT_FDCWD, "file", 0, "user.one", &args, 24));
    args.value = (uint64_t)out;
    args.size = sizeof out;
    ERR("get with flags", EINVAL, syscall(SYS_getxattrat, AT_FDCWD, "file", 0, "user.one", &args, 16));
    args.flags = 0;
    EQ("get", 5, syscall(SYS_getxattrat, AT_FDCWD, "file", 0, "user.one", &args, 16));
    TEXT("the value", "value", out);
    EQ("get through the link", 5, syscall(SYS_getxattrat, AT_FDCWD, "link", 0, "user.one", &args, 16));
    ERR("get none", ENODATA, syscall(SYS_getxattrat, AT_FDCWD, "file", 0, "user.none", &args, 16));
    EQ("list", 9 + 9 + 11, syscall(SYS_listxattrat, AT_FDCWD, "file", 0, out, sizeof out));
    ERR("list, no room", ERANGE, syscall(SYS_listxattrat, fd, "", AT_EMPTY_PATH, out, 3));
    OK("remove", syscall(SYS_removexattrat, AT_FDCWD, "file", 0, "user.one"));
    ERR("remove again", ENODATA, syscall(SYS_removexattrat, fd, "", AT_EMPTY_PATH, "user.one"));
    ERR("no file", ENOENT, syscall(SYS_removexattrat, AT_FDCWD, "nofile", 0, "user.one"));
}

static void *page_of(size_t n)
{
    char *page = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(page != MAP_FAILED);
    memset(page, 'p', n);
    return page;
}

GROUP(process_madvise)
{
    char *page = page_of(8192);
    struct iovec one = {page, 8192}, odd = {page + 1, 4096}, none = {(void *)0x10000000, 4096}, two[] = {one, none};
    int own = syscall(SYS_pidfd_open, getpid(), 0);
    MUST(own >= 0);
    EQ("cold", 8192, syscall(SYS_process_madvise, own, &one, 1, MADV_COLD, 0));
    EQ("own memory emptied", 8192, syscall(SYS_process_madvise, own, &one, 1, MADV_DONTNEED, 0));
    EQ("it is zero", 0, page[0]);
    EQ("without a descriptor", 8192, syscall(SYS_process_madvise, PIDFD_SELF_PROCESS_, &one, 1, MADV_COLD, 0));
    EQ("as far as it goes", 8192, syscall(SYS_process_madvise, own, two, 2, MADV_COLD, 0));
    EQ("nothing", 0, syscall(SYS_process_madvise, own, &one, 0, MADV_COLD, 0));
    ERR("flags", EINVAL, syscall(SYS_process_madvise, own, &one, 1, MADV_COLD, 1));
    ERR("no descriptor", EBADF, syscall(SYS_process_madvise, -1, &one, 1, MADV_COLD, 0));
    ERR("no pidfd", EBADF, syscall(SYS_process_madvise, 1, &one, 1, MADV_COLD, 0));
    ERR("unknown advice", EINVAL, syscall(SYS_process_madvise, own, &one, 1, 99, 0));
    ERR("too many", EINVAL, syscall(SYS_process_madvise, own, &one, 2000, MADV_COLD, 0));
    ERR("within a page", EINVAL, syscall(SYS_process_madvise, own, &odd, 1, MADV_COLD, 0));
    ERR("nothing there", ENOMEM, syscall(SYS_process_madvise, own, &none, 1, MADV_COLD, 0));
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    int other = syscall(SYS_pidfd_open, child, 0);
    EQ("another's", 8192, syscall(SYS_process_madvise, other, &one, 1, MADV_COLD, 0));
    ERR("another's emptied", EINVAL, syscall(SYS_process_madvise, other, &one, 1, MADV_DONTNEED, 0));
    ERR("release one that lives", EINVAL, syscall(SYS_process_mrelease, other, 0));
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    ERR("one that has ended", ESRCH, syscall(SYS_process_madvise, other, &one, 1, MADV_COLD, 0));
    ERR("release one that has ended", ESRCH, syscall(SYS_process_mrelease, other, 0));
    ERR("release with flags", EINVAL, syscall(SYS_process_mrelease, other, 1));
    ERR("release no descriptor", EBADF, syscall(SYS_process_mrelease, -1, 0));
}

static int dies_at(volatile char *at, int writes)
{
    int status;
    CHILD(status, {
        if (writes)
            *at = 1;
        else
            (void)*at;
    });
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

GROUP(guard_pages)
{
    const int install = 102, remove_ = 103;
    char *page = page_of(5 * 4096);
    OK("install", madvise(page + 4096, 8192, install));
    EQ("a read", SIGSEGV, dies_at(page + 4096, 0));
    EQ("a write", SIGSEGV, dies_at(page + 8192, 1));
    EQ("beside", 0, dies_at(page, 1));
    EQ("behind", 0, dies_at(page + 3 * 4096, 1));
    ERR("a system call", EFAULT, write(open("/dev/null", O_WRONLY), page + 4096, 1) == 1 ? read(open("/dev/zero", 0), page + 4096, 1) : -1);
    ERR("populate", EFAULT, madvise(page, 5 * 4096, MADV_POPULATE_WRITE));
    OK("emptying leaves it", madvise(page, 5 * 4096, MADV_DONTNEED));
    EQ("still there", SIGSEGV, dies_at(page + 4096, 0));
    OK("protection", mprotect(page, 5 * 4096, PROT_READ));
    EQ("still there then", SIGSEGV, dies_at(page + 4096, 0));
    OK("and back", mprotect(page, 5 * 4096, PROT_READ | PROT_WRITE));
    OK("remove", madvise(page, 5 * 4096, remove_));
    EQ("usable", 0, dies_at(page + 4096, 1));
    EQ("empty", 0, page[4096]);
    OK("again", madvise(page, 4096, install));
    OK("unmap", munmap(page, 4096));
    MUST(mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
    EQ("a new page", 0, dies_at(page, 1));
    ERR("nothing there", ENOMEM, madvise((void *)0x10000000, 4096, install));
    MUST(mlock(page, 4096) == 0);
    ERR("locked", EINVAL, madvise(page, 4096, install));
    OK("remove from locked", madvise(page, 4096, remove_));
}

static int thread_id, ready[2], go_on[2];

static void *waits(void *unused)
{
    char c;
    thread_id = gettid();
    MUST(write(ready[1], "x", 1) == 1 && read(go_on[0], &c, 1) == 1);
    return unused;
}

static int events_of(int fd)
{
    struct pollfd poll_fd = {fd, 0x7fff, 0};
    poll(&poll_fd, 1, 0);
    return poll_fd.revents;
}

static const char *shown(int fd)
{
    char name[64], text[512] = "";
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    int info = open(name, O_RDONLY);
    MUST(info >= 0 && read(info, text, sizeof text - 1) > 0);
    close(info);
    char *line_ = strstr(text, "Pid:");
    int pid = line_ ? atoi(line_ + 4) : 0;
    return pid == getpid() ? "process" : pid == thread_id ? "thread" : pid == -1 ? "gone" : "?";
}

GROUP(pidfd_thread)
{
    pthread_t thread;
    char c;
    MUST(pipe(ready) == 0 && pipe(go_on) == 0);
    MUST(pthread_create(&thread, 0, waits, 0) == 0 && read(ready[0], &c, 1) == 1);
    int fd = syscall(SYS_pidfd_open, thread_id, O_EXCL);
    YES("a thread", fd >= 0);
    EQ("it runs", 0, events_of(fd));
    TEXT("shown as", "thread", shown(fd));
    OK("may be signalled", syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    YES("its files", syscall(SYS_pidfd_getfd, fd, 0, 0) >= 0);
    siginfo_t info;
    ERR("no child", ECHILD, syscall(SYS_waitid, P_PIDFD, fd, &info, WEXITED | WNOHANG, 0));
    MUST(write(go_on[1], "x", 1) == 1 && pthread_join(thread, 0) == 0);
    struct pollfd poll_fd = {fd, POLLIN, 0};
    EQ("its end is told", 1, poll(&poll_fd, 1, 5000));
    EQ("events", POLLIN | POLLHUP, poll_fd.revents);
    TEXT("shown at the end as", "gone", shown(fd));
    ERR("no signal any more", ESRCH, syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    ERR("no files any more", ESRCH, syscall(SYS_pidfd_getfd, fd, 0, 0));
    int leader = syscall(SYS_pidfd_open, getpid(), O_EXCL);
    TEXT("the leader", "process", shown(leader));
    OK("signal to oneself", syscall(SYS_pidfd_send_signal, PIDFD_SELF_THREAD_, 0, 0, 0));
    OK("signal to one's process", syscall(SYS_pidfd_send_signal, PIDFD_SELF_PROCESS_, 0, 0, 0));
    ERR("files of oneself", EBADF, syscall(SYS_pidfd_getfd, PIDFD_SELF_THREAD_, 0, 0));
    ERR("wait for oneself", EINVAL, syscall(SYS_waitid, P_PIDFD, PIDFD_SELF_THREAD_, &info, WEXITED | WNOHANG, 0));
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    fd = syscall(SYS_pidfd_open, child, 0);
    kill(child, SIGKILL);
    poll_fd.fd = fd;
    EQ("a child's end", 1, poll(&poll_fd, 1, 5000));
    EQ("events of a zombie", POLLIN, poll_fd.revents);
    waitpid(child, 0, 0);
    EQ("events once waited for", POLLIN | POLLHUP, events_of(fd) & (POLLIN | POLLHUP));
}

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static long set_deadline(uint64_t runtime, uint64_t deadline, uint64_t period, uint64_t flags)
{
    struct attributes attributes = {48, 6, flags, 0, 0, runtime, deadline, period};
    return syscall(SYS_sched_setattr, 0, &attributes, 0);
}

GROUP(deadline)
{
    const uint64_t ms = 1000000;
    int status;
    ERR("no deadline", EINVAL, set_deadline(10 * ms, 0, 0, 0));
    ERR("runtime past the deadline", EINVAL, set_deadline(10 * ms, 5 * ms, 30 * ms, 0));
    ERR("deadline past the period", EINVAL, set_deadline(10 * ms, 30 * ms, 20 * ms, 0));
    ERR("tiny runtime", EINVAL, set_deadline(1000, 30 * ms, 30 * ms, 0));
    ERR("short period", EINVAL, set_deadline(2000, 50000, 50000, 0));
    ERR("long period", EINVAL, set_deadline(10 * ms, 5000 * ms, 5000 * ms, 0));
    struct sched_param none = {0};
    ERR("without parameters", EINVAL, syscall(SYS_sched_setscheduler, 0, 6, &none));
    AS_NOBODY(ERR("not allowed", EPERM, set_deadline(10 * ms, 30 * ms, 30 * ms, 0)));
    if (geteuid() != 0)
        return;
    CHILD(status, {
        struct attributes got = {0};
        OK("set", set_deadline(10 * ms, 20 * ms, 30 * ms, 0));
        EQ("policy", 6, syscall(SYS_sched_getscheduler, 0));
        OK("get", syscall(SYS_sched_getattr, 0, &got, sizeof got, 0));
        SHOW("got", "policy %u flags %lu nice %d priority %u, %lu of %lu in %lu", got.policy, (long)got.flags, got.nice,
             got.priority, (long)got.runtime, (long)got.deadline, (long)got.period);
        ERR("no children", EAGAIN, fork());
        OK("period by default", set_deadline(10 * ms, 20 * ms, 0, 1));
        OK("get again", syscall(SYS_sched_getattr, 0, &got, sizeof got, 0));
        SHOW("got then", "flags %lu, %lu in %lu", (long)got.flags, (long)got.runtime, (long)got.period);
        pid_t child = fork();
        if (child == 0)
            _exit(syscall(SYS_sched_getscheduler, 0));
        int ended;
        MUST(child > 0 && waitpid(child, &ended, 0) == child);
        EQ("a child has none of it", 0, WEXITSTATUS(ended));
        sched_yield();
        OK("back", syscall(SYS_sched_setscheduler, 0, 0, &none));
        EQ("an ordinary one", 0, syscall(SYS_sched_getscheduler, 0));
    });
}

GROUP(alarm_clocks)
{
    struct timespec soon = {0, 1000000};
    ERR("no sleep", EOPNOTSUPP, syscall(SYS_clock_nanosleep, CLOCK_REALTIME_ALARM, 0, &soon, 0));
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    ERR("no timer", EOPNOTSUPP, syscall(SYS_timer_create, CLOCK_BOOTTIME_ALARM, &event, &timer));
    AS_NOBODY(ERR("not allowed", EPERM, timerfd_create(CLOCK_BOOTTIME_ALARM, 0)));
    if (geteuid() != 0)
        return;
    for (int i = 0; i < 2; i++) {
        int fd = timerfd_create(i ? CLOCK_REALTIME_ALARM : CLOCK_BOOTTIME_ALARM, 0);
        struct itimerspec at = {{0, 0}, {0, 1000000}};
        uint64_t count = 0;
        MUST(fd >= 0);
        OK(named("set %d", i), timerfd_settime(fd, 0, &at, 0));
        EQ(named("expires %d", i), 8, read(fd, &count, 8));
    }
}

static volatile int broken;

static void on_pipe(int signal)
{
    broken = signal;
}

GROUP(rwf_nosignal)
{
    int pipe_[2], pair[2];
    struct iovec one = {"x", 1};
    MUST(pipe(pipe_) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    signal(SIGPIPE, on_pipe);
    close(pipe_[0]);
    close(pair[0]);
    ERR("pipe", EPIPE, syscall(SYS_pwritev2, pipe_[1], &one, 1, -1L, 0, 0x100));
    ERR("socket", EPIPE, syscall(SYS_pwritev2, pair[1], &one, 1, -1L, 0, 0x100));
    EQ("no signal", 0, broken);
    ERR("pipe without", EPIPE, syscall(SYS_pwritev2, pipe_[1], &one, 1, -1L, 0, 0));
    EQ("a signal", SIGPIPE, broken);
    int fd = file_with("file", "abc");
    EQ("file", 1, syscall(SYS_pwritev2, fd, &one, 1, 0L, 0, 0x100));
    char c;
    struct iovec in = {&c, 1};
    EQ("read", 1, syscall(SYS_preadv2, fd, &in, 1, 0L, 0, 0x100));
    ERR("unknown flag", EOPNOTSUPP, syscall(SYS_preadv2, fd, &in, 1, 0L, 0, 0x200));
}

GROUP(rare_prctl)
{
    OK("stop counters", prctl(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0));
    OK("counters go on", prctl(PR_TASK_PERF_EVENTS_ENABLE, 0, 0, 0, 0));
    ERR("speculation, unknown", ENODEV, prctl(PR_GET_SPECULATION_CTRL, 99, 0, 0, 0));
    ERR("speculation, more", EINVAL, prctl(PR_GET_SPECULATION_CTRL, 99, 1, 0, 0));
    AS_NOBODY(ERR("flusher, not allowed", EPERM, prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)));
}

/* The protection of the area at `at`, from /proc/self/maps. */
static const char *protection_of(void *at)
{
    static char protection[8];
    char text[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    MUST(maps);
    strcpy(protection, "none");
    while (fgets(text, sizeof text, maps)) {
        unsigned long from, to;
        char shown[8];
        if (sscanf(text, "%lx-%lx %7s", &from, &to, shown) == 3 && from <= (unsigned long)at && (unsigned long)at < to)
            strcpy(protection, shown);
    }
    fclose(maps);
    return protection;
}

GROUP(personalities)
{
    int status;
    char names[6][65];
    CHILD(status, {
        MUST(syscall(SYS_personality, 0x0400000) == 0);
        void *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        TEXT("what is read is executed", "r-xp", protection_of(page));
        MUST(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
        TEXT("also by mprotect", "rwxp", protection_of(page));
        MUST(mprotect(page, 4096, PROT_NONE) == 0);
        TEXT("what is not read is not", "---p", protection_of(page));
    });
    CHILD(status, {
        MUST(syscall(SYS_personality, 0x0020000) == 0 && syscall(SYS_uname, names) == 0);
        names[2][4] = 0;
        TEXT("release", "2.6.", names[2]);
    });
    CHILD(status, {
        MUST(syscall(SYS_personality, 8) == 0 && syscall(SYS_uname, names) == 0);
        TEXT("machine", "i686", names[4]);
    });
}

GROUP(exec_gain)
{
    int status;
    CHILD(status, {
        ERR("unknown bit", EINVAL, prctl(65, 4, 0, 0, 0));
        ERR("not inherited alone", EINVAL, prctl(65, 2, 0, 0, 0));
        ERR("more", EINVAL, prctl(65, 1, 1, 0, 0));
        EQ("not set", 0, prctl(66, 0, 0, 0, 0));
        char *early = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        OK("set", prctl(65, 1, 0, 0, 0));
        EQ("is set", 1, prctl(66, 0, 0, 0, 0));
        ERR("written and executed", EACCES, mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
        char *plain = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ERR("later executed", EACCES, mprotect(plain, 4096, PROT_READ | PROT_EXEC));
        OK("stays executed", mprotect(early, 4096, PROT_READ | PROT_EXEC));
        ERR("and written", EACCES, mprotect(early, 4096, 7));
        OK("taken away", mprotect(early, 4096, PROT_READ));
        ERR("for good", EACCES, mprotect(early, 4096, PROT_EXEC));
        ERR("cannot be undone", EPERM, prctl(65, 0, 0, 0, 0));
        int ended;
        CHILD(ended, EQ("a child has it", 1, prctl(66, 0, 0, 0, 0)));
    });
    CHILD(status, {
        OK("for this one", prctl(65, 3, 0, 0, 0));
        int ended;
        CHILD(ended, EQ("a child has none", 0, prctl(66, 0, 0, 0, 0)));
    });
}

GROUP(kept_prctl)
{
    int status;
    CHILD(status, {
        EQ("machine checks", 2, prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
        OK("early", prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
        EQ("is early", 1, prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
        ERR("unknown", EINVAL, prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 3, 0, 0));
        ERR("clear with more", EINVAL, prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0));
        OK("clear", prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
        EQ("as before", 2, prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    });
}

GROUP(times_of_day)
{
    struct timespec far_ = {1L << 62, 0}, end = {9223372036 - 30 * 365 * 24 * 3600L, 0};
    struct timeval far_us = {1L << 62, 0};
    ERR("the end of time", EINVAL, syscall(SYS_clock_settime, CLOCK_REALTIME, &far_));
    ERR("thirty years before it", EINVAL, syscall(SYS_clock_settime, CLOCK_REALTIME, &end));
    ERR("settimeofday", EINVAL, syscall(SYS_settimeofday, &far_us, 0));
    AS_NOBODY({
        ERR("wrong before forbidden", EINVAL, syscall(SYS_clock_settime, CLOCK_REALTIME, &far_));
        ERR("forbidden", EPERM, syscall(SYS_settimeofday, &(struct timeval){1000000000, 0}, 0));
        ERR("groups: forbidden before wrong", EPERM, syscall(SYS_setgroups, 70000, 0));
    });
    if (geteuid() == 0)
        ERR("too many groups", EINVAL, syscall(SYS_setgroups, 70000, 0));
}
