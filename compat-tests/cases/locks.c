/* Record locks of processes and of open file descriptions, flock, leases, and directory notification: fcntl(2), flock(2). */
#include "case.h"
#include <sys/file.h>

static struct flock lock(short type, off_t start, off_t len)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int set(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock l = lock(type, start, len);
    return fcntl(fd, cmd, &l);
}

/* What stands in the way, with the pid as `own`, `child`, -1 or other. */
static const char *seen(int fd, int cmd, short type, off_t start, off_t len, pid_t child)
{
    static char text[128];
    struct flock l = lock(type, start, len);
    if (fcntl(fd, cmd, &l) < 0) {
        snprintf(text, sizeof text, "%s", error_name(errno));
        return text;
    }
    const char *type_name = l.l_type == F_UNLCK ? "free" : l.l_type == F_RDLCK ? "read" : "write";
    const char *who = l.l_pid == -1 ? "-1" : l.l_pid == 0 ? "0" : l.l_pid == getpid() ? "own" : l.l_pid == child ? "child" : "other";
    snprintf(text, sizeof text, "%s %d %ld %ld %s", type_name, l.l_whence, (long)l.l_start, (long)l.l_len, who);
    return text;
}

/* A child that runs `body` and then waits to be told. */
#define HOLD(pid, ...)                                                                                                           \
    do {                                                                                                                         \
        int up_[2];                                                                                                              \
        char c_;                                                                                                                 \
        MUST(!pipe(up_));                                                                                                        \
        pid = fork();                                                                                                            \
        MUST(pid >= 0);                                                                                                          \
        if (pid == 0) {                                                                                                          \
            alarm(GROUP_LIMIT);                                                                                                  \
            __VA_ARGS__;                                                                                                         \
            write(up_[1], "x", 1);                                                                                               \
            pause();                                                                                                             \
            _exit(0);                                                                                                            \
        }                                                                                                                        \
        MUST(read(up_[0], &c_, 1) == 1);                                                                                         \
        close(up_[0]), close(up_[1]);                                                                                            \
    } while (0)

static void release(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
}

GROUP(record_locks)
{
    int f = open("f", O_RDWR | O_CREAT, 0600), r = open("f", O_RDONLY), w = open("f", O_WRONLY);
    MUST(!ftruncate(f, 100));
    pid_t child;
    HOLD(child, {
        set(f, F_SETLK, F_WRLCK, 10, 10);
        set(f, F_SETLK, F_WRLCK, 20, 10);
        set(f, F_SETLK, F_RDLCK, 200, 0);
        set(f, F_SETLK, F_RDLCK, 15, 5);
    });
    TEXT("before", "free 0 0 10 0", seen(f, F_GETLK, F_WRLCK, 0, 10, child));
    TEXT("first", "write 0 10 5 child", seen(f, F_GETLK, F_WRLCK, 0, 0, child));
    TEXT("weakened", "read 0 15 5 child", seen(f, F_GETLK, F_WRLCK, 15, 1, child));
    TEXT("readers agree", "free 0 15 5 0", seen(f, F_GETLK, F_RDLCK, 15, 5, child));
    TEXT("the rest", "write 0 20 10 child", seen(f, F_GETLK, F_RDLCK, 15, 10, child));
    TEXT("to the end", "read 0 200 0 child", seen(f, F_GETLK, F_WRLCK, 1000, 1, child));
    TEXT("between", "free 0 30 10 0", seen(f, F_GETLK, F_WRLCK, 30, 10, child));
    ERR("taken", EAGAIN, set(f, F_SETLK, F_WRLCK, 12, 1));
    ERR("taken for readers too", EAGAIN, set(f, F_SETLK, F_RDLCK, 12, 1));
    OK("read beside read", set(f, F_SETLK, F_RDLCK, 15, 5));
    ERR("read lock of what is write only", EBADF, set(w, F_SETLK, F_RDLCK, 0, 1));
    ERR("write lock of what is read only", EBADF, set(r, F_SETLK, F_WRLCK, 0, 1));
    OK("test of it", set(r, F_GETLK, F_WRLCK, 0, 1));
    ERR("test for nothing", EINVAL, set(f, F_GETLK, F_UNLCK, 0, 1));
    ERR("no such kind", EINVAL, set(f, F_SETLK, 7, 0, 1));
    ERR("F_EXLCK", EINVAL, set(f, F_SETLK, 4, 0, 1));
    ERR("negative start", EINVAL, set(f, F_SETLK, F_RDLCK, -1, 1));
    ERR("behind the largest", EOVERFLOW, set(f, F_SETLK, F_RDLCK, LLONG_MAX, 2));
    OK("the largest", set(f, F_SETLK, F_RDLCK, LLONG_MAX, 1));
    OK("negative length", set(f, F_SETLK, F_WRLCK, 5, -5));
    ERR("before the file", EINVAL, set(f, F_SETLK, F_WRLCK, 5, -6));
    struct flock l = {.l_type = F_WRLCK, .l_whence = 9};
    ERR("bad whence", EINVAL, fcntl(f, F_SETLK, &l));
    l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 5};
    OK("from the end", fcntl(f, F_SETLK, &l));
    lseek(f, 50, SEEK_SET);
    l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = 5};
    OK("from here", fcntl(f, F_SETLK, &l));
    ERR("bad memory", EFAULT, fcntl(f, F_SETLK, BAD));
    ERR("no file", EBADF, set(NOFD, F_SETLK, F_RDLCK, 0, 1));
    ERR("O_PATH", EBADF, set(open("f", O_PATH), F_SETLK, F_RDLCK, 0, 1));
    int status;
    CHILD(status, {
        struct flock own = lock(F_WRLCK, 90, 5);
        fcntl(f, F_GETLK, &own);
        EQ("a lock from the end, as others see it", 90, own.l_start);
        YES("whose", getppid() == own.l_pid);
        EQ("not inherited", -1, set(f, F_SETLK, F_WRLCK, 51, 1));
    });
    close(open("f", O_RDONLY));
    CHILD(status, {
        TEXT("any close gives all up", "free 0 90 5 0", seen(f, F_GETLK, F_WRLCK, 90, 5, child));
    });
    release(child);
    TEXT("gone with the child", "free 0 0 0 0", seen(f, F_GETLK, F_WRLCK, 0, 0, 0));
}

static int cycle(int fd, int start, int len)
{
    struct flock l = lock(F_WRLCK, start, len);
    return fcntl(fd, F_SETLKW, &l) < 0 ? errno : 0;
}

GROUP(deadlock)
{
    int f = open("f", O_RDWR | O_CREAT, 0600), out[2];
    MUST(!pipe(out));
    /* b waits for c; c waits for a and, once a is gone, for b. */
    pid_t a, b, c;
    HOLD(a, set(f, F_SETLK, F_WRLCK, 2, 5));
    HOLD(b, { set(f, F_SETLK, F_WRLCK, 9, 5); });
    HOLD(c, { set(f, F_SETLK, F_WRLCK, 17, 5); });
    release(b), release(c);
    int ready[2], go[2];
    MUST(!pipe(ready) && !pipe(go));
    b = fork();
    if (b == 0) {
        alarm(GROUP_LIMIT);
        set(f, F_SETLK, F_WRLCK, 9, 5);
        write(ready[1], "b", 1);
        char x;
        read(go[0], &x, 1);
        int e = cycle(f, 17, 5);
        char text[2] = {'b', e == EDEADLK ? 'D' : e ? 'E' : '0'};
        write(out[1], text, 2);
        _exit(0);
    }
    c = fork();
    if (c == 0) {
        alarm(GROUP_LIMIT);
        set(f, F_SETLK, F_WRLCK, 17, 5);
        write(ready[1], "c", 1);
        pause_ms(100);
        int e = cycle(f, 2, 13);
        char text[2] = {'c', e == EDEADLK ? 'D' : e ? 'E' : '0'};
        write(out[1], text, 2);
        _exit(0);
    }
    char x[3] = "";
    MUST(read(ready[0], x, 1) == 1 && read(ready[0], x, 1) == 1);
    write(go[1], "g", 1);
    pause_ms(250);
    release(a);
    MUST(read(out[0], x, 2) == 2);
    TEXT("the one whose blocker changed", "cD", x);
    MUST(read(out[0], x, 2) == 2);
    TEXT("the other", "b0", x);
    waitpid(b, 0, 0), waitpid(c, 0, 0);
    /* The plain one: two and two. */
    HOLD(b, { set(f, F_SETLK, F_WRLCK, 0, 1); });
    OK("own", set(f, F_SETLK, F_WRLCK, 1, 1));
    release(b);
    c = fork();
    if (c == 0) {
        alarm(GROUP_LIMIT);
        set(f, F_SETLK, F_WRLCK, 0, 1);
        write(ready[1], "c", 1);
        _exit(cycle(f, 1, 1));
    }
    MUST(read(ready[0], x, 1) == 1);
    pause_ms(100);
    EQ("circle of two", EDEADLK, cycle(f, 0, 1));
    set(f, F_SETLK, F_UNLCK, 0, 0);
    int status;
    waitpid(c, &status, 0);
    EQ("and the other goes on", 0, status);
}

static void nothing(int s) { (void)s; }

GROUP(waits_end)
{
    int f = open("f", O_RDWR | O_CREAT, 0600), g = open("f", O_RDWR);
    pid_t child;
    HOLD(child, { set(f, F_SETLK, F_WRLCK, 0, 1); });
    struct sigaction act = {.sa_handler = nothing};
    sigaction(SIGALRM, &act, 0);
    struct itimerval soon = {{0, 0}, {0, 50000}};
    setitimer(ITIMER_REAL, &soon, 0);
    ERR("F_SETLKW", EINTR, set(f, F_SETLKW, F_WRLCK, 0, 1));
    setitimer(ITIMER_REAL, &soon, 0);
    ERR("F_OFD_SETLKW", EINTR, set(f, F_OFD_SETLKW, F_WRLCK, 0, 1));
    OK("flock", flock(f, LOCK_EX));
    setitimer(ITIMER_REAL, &soon, 0);
    ERR("flock of another", EINTR, flock(g, LOCK_EX));
    alarm(GROUP_LIMIT);
    release(child);
}

GROUP(ofd_locks)
{
    int f = open("f", O_RDWR | O_CREAT, 0600), g = open("f", O_RDWR);
    struct flock l = lock(F_WRLCK, 0, 10);
    l.l_pid = 1;
    ERR("a pid", EINVAL, fcntl(f, F_OFD_SETLK, &l));
    ERR("a pid to test", EINVAL, fcntl(f, F_OFD_GETLK, &l));
    OK("set", set(f, F_OFD_SETLK, F_WRLCK, 0, 10));
    OK("again", set(dup(f), F_OFD_SETLK, F_RDLCK, 5, 10));
    TEXT("by the other", "write 0 0 5 -1", seen(g, F_OFD_GETLK, F_RDLCK, 0, 0, 0));
    TEXT("by a process", "write 0 0 5 -1", seen(g, F_GETLK, F_RDLCK, 0, 0, 0));
    TEXT("even through it", "write 0 0 5 -1", seen(f, F_GETLK, F_RDLCK, 0, 0, 0));
    TEXT("by itself", "free 0 0 0 0", seen(f, F_OFD_GETLK, F_RDLCK, 0, 0, 0));
    TEXT("what it holds", "write 0 0 5 -1", seen(f, F_OFD_GETLK, F_UNLCK, 0, 0, 0));
    TEXT("what it holds behind", "read 0 5 10 -1", seen(f, F_OFD_GETLK, F_UNLCK, 7, 1, 0));
    TEXT("what the other holds", "free 0 0 0 0", seen(g, F_OFD_GETLK, F_UNLCK, 0, 0, 0));
    ERR("taken", EAGAIN, set(g, F_OFD_SETLK, F_WRLCK, 9, 1));
    ERR("taken for the process", EAGAIN, set(f, F_SETLK, F_WRLCK, 9, 1));
    int status;
    CHILD(status, EQ("the child has it too", 0, set(f, F_OFD_SETLK, F_WRLCK, 0, 1)));
    close(open("f", O_RDONLY));
    ERR("stays at a close", EAGAIN, set(g, F_OFD_SETLK, F_WRLCK, 9, 1));
    OK("given up", set(f, F_OFD_SETLK, F_UNLCK, 0, 0));
    OK("free", set(g, F_OFD_SETLK, F_WRLCK, 0, 0));
}

GROUP(flock)
{
    int f = open("f", O_RDWR | O_CREAT, 0600), g = open("f", O_RDONLY);
    OK("exclusive", flock(f, LOCK_EX));
    ERR("taken", EAGAIN, flock(g, LOCK_SH | LOCK_NB));
    OK("a process's lock is another thing", set(f, F_SETLK, F_WRLCK, 0, 0));
    OK("shared", flock(f, LOCK_SH));
    OK("both", flock(g, LOCK_SH | LOCK_NB));
    ERR("upgrade", EAGAIN, flock(g, LOCK_EX | LOCK_NB));
    OK("the refused one has lost its own", flock(f, LOCK_EX | LOCK_NB));
    OK("unlock", flock(f, LOCK_UN));
    OK("unlock again", flock(f, LOCK_UN));
    ERR("nothing", EINVAL, flock(f, 0));
    ERR("two at once", EINVAL, flock(f, LOCK_SH | LOCK_EX));
    OK("LOCK_MAND", flock(f, LOCK_MAND | LOCK_READ));
    ERR("no file", EBADF, flock(NOFD, LOCK_SH));
    ERR("O_PATH", EBADF, flock(open("f", O_PATH), LOCK_SH));
    OK("a directory", flock(open(".", O_RDONLY), LOCK_EX));
    int p[2];
    MUST(!pipe(p));
    OK("a pipe", flock(p[0], LOCK_EX));
}

static volatile int signals, last_fd;
static void on_signal(int s, siginfo_t *info, void *u)
{
    (void)s, (void)u;
    signals++;
    last_fd = info->si_fd;
}

static void catch (int signal)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(signal, &act, 0);
    signals = 0;
}

GROUP(leases)
{
    int f = open("f", O_RDWR | O_CREAT, 0600);
    EQ("none", F_UNLCK, fcntl(f, F_GETLEASE));
    ERR("end of none", EAGAIN, fcntl(f, F_SETLEASE, F_UNLCK));
    ERR("no such kind", EINVAL, fcntl(f, F_SETLEASE, 9));
    ERR("read lease of what is open for writing", EAGAIN, fcntl(f, F_SETLEASE, F_RDLCK));
    OK("write lease", fcntl(f, F_SETLEASE, F_WRLCK));
    EQ("which shows", F_WRLCK, fcntl(f, F_GETLEASE));
    catch (SIGIO);
    ERR("an open that may not wait", EAGAIN, open("f", O_RDONLY | O_NONBLOCK));
    EQ("tells the holder", 1, signals);
    EQ("what it is to become", F_RDLCK, fcntl(f, F_GETLEASE));
    ERR("another", EAGAIN, open("f", O_RDONLY | O_NONBLOCK));
    EQ("tells nothing new", 1, signals);
    ERR("for writing", EAGAIN, open("f", O_WRONLY | O_NONBLOCK));
    EQ("tells more", 2, signals);
    EQ("what it is to become then", F_UNLCK, fcntl(f, F_GETLEASE));
    int path = open("f", O_PATH);
    YES("O_PATH breaks nothing", path >= 0);
    OK("stat neither", stat("f", &(struct stat){0}));
    OK("ended", fcntl(f, F_SETLEASE, F_UNLCK));
    int r = open("f", O_RDONLY | O_NONBLOCK);
    YES("free", r >= 0);
    ERR("write lease while another reads", EAGAIN, fcntl(f, F_SETLEASE, F_WRLCK));
    close(f);
    OK("read lease", fcntl(r, F_SETLEASE, F_RDLCK));
    int r2 = open("f", O_RDONLY | O_NONBLOCK);
    YES("readers do not break it", r2 >= 0);
    OK("a second", fcntl(r2, F_SETLEASE, F_RDLCK));
    ERR("write lease beside", EAGAIN, fcntl(r2, F_SETLEASE, F_WRLCK));
    signals = 0;
    ERR("a writer breaks both", EAGAIN, open("f", O_WRONLY | O_NONBLOCK));
    EQ("and tells", 1, !!signals);
    close(r), close(r2);
    f = open("f", O_RDWR | O_NONBLOCK);
    YES("gone with the descriptions", f >= 0);
    catch (SIGRTMIN);
    MUST(!fcntl(f, F_SETSIG, SIGRTMIN));
    OK("lease again", fcntl(f, F_SETLEASE, F_WRLCK));
    int status;
    pid_t child = fork();
    if (child == 0) {
        close(f);
        alarm(GROUP_LIMIT);
        _exit(open("f", O_RDWR) < 0);
    }
    for (int i = 0; i < 300 && !signals; i++)
        pause_ms(10);
    EQ("a child waits and tells", 1, signals);
    EQ("by which descriptor", f, last_fd);
    EQ("and goes on waiting", 0, waitpid(child, &status, WNOHANG));
    OK("let go", fcntl(f, F_SETLEASE, F_UNLCK));
    waitpid(child, &status, 0);
    EQ("it is in", 0, status);
    OK("once more", fcntl(f, F_SETLEASE, F_WRLCK));
    signals = 0;
    child = fork();
    if (child == 0) {
        alarm(GROUP_LIMIT);
        _exit(truncate("f", 5) < 0);
    }
    for (int i = 0; i < 300 && !signals; i++)
        pause_ms(10);
    EQ("truncate tells", 1, signals);
    OK("let go again", fcntl(f, F_SETLEASE, F_UNLCK));
    waitpid(child, &status, 0);
    EQ("it is done", 0, status);
    ERR("a directory", EINVAL, fcntl(open(".", O_RDONLY), F_SETLEASE, F_RDLCK));
    close(f);
    chmod("f", 0666);
    AS_NOBODY({
        ERR("of another's file", EACCES, fcntl(open("f", O_RDONLY), F_SETLEASE, F_RDLCK));
        ERR("of nothing", EBADF, fcntl(NOFD, F_SETLEASE, F_RDLCK));
    });
}

GROUP(dnotify)
{
    int d = open(".", O_RDONLY), f = open("f", O_RDWR | O_CREAT, 0600);
    catch (SIGRTMIN);
    MUST(!fcntl(d, F_SETSIG, SIGRTMIN));
    ERR("a file", ENOTDIR, fcntl(f, F_NOTIFY, DN_MODIFY));
    OK("nothing of a file", fcntl(f, F_NOTIFY, 0));
    OK("modifications", fcntl(d, F_NOTIFY, DN_MODIFY));
    write(f, "x", 1);
    EQ("a write", 1, signals);
    EQ("of which", d, last_fd);
    write(f, "x", 1);
    EQ("once", 1, signals);
    OK("many", fcntl(d, F_NOTIFY, DN_MODIFY | DN_CREATE | DN_MULTISHOT));
    write(f, "x", 1);
    EQ("a write", 2, signals);
    close(open("g", O_RDWR | O_CREAT, 0600));
    EQ("a new file", 3, signals);
    chmod("g", 0644);
    EQ("what is not asked for", 3, signals);
    OK("more", fcntl(d, F_NOTIFY, DN_ATTRIB | DN_DELETE | DN_RENAME | DN_MULTISHOT));
    chmod("g", 0600);
    EQ("attributes", 4, signals);
    rename("g", "h");
    SHOW("rename", "%d", signals > 4);
    signals = 0;
    unlink("h");
    EQ("removed", 1, signals);
    OK("end", fcntl(d, F_NOTIFY, 0));
    write(f, "x", 1);
    EQ("nothing any more", 1, signals);
    OK("again", fcntl(d, F_NOTIFY, DN_MODIFY | DN_MULTISHOT));
    close(dup(d));
    write(f, "x", 1);
    EQ("a close ends it", 1, signals);
}

GROUP(fcntl_others)
{
    int f = open("f", O_RDWR | O_CREAT, 0600), g = open("f", O_RDWR), two = dup(f);
    EQ("F_DUPFD_QUERY of itself", 1, fcntl(f, 1027, f));
    EQ("F_DUPFD_QUERY of a copy", 1, fcntl(f, 1027, two));
    EQ("F_DUPFD_QUERY of another", 0, fcntl(f, 1027, g));
    ERR("F_DUPFD_QUERY of nothing", EBADF, fcntl(f, 1027, NOFD));
    EQ("F_CREATED_QUERY of a new file", 1, fcntl(f, 1028));
    EQ("F_CREATED_QUERY of an old file", 0, fcntl(g, 1028));
    EQ("F_CREATED_QUERY of O_CREAT of an old file", 0, fcntl(open("f", O_RDWR | O_CREAT, 0600), 1028));
    uint64_t hint = 77;
    OK("F_GET_RW_HINT", fcntl(f, F_GET_RW_HINT, &hint));
    EQ("hint", 0, hint);
    hint = RWH_WRITE_LIFE_LONG;
    OK("F_SET_RW_HINT", fcntl(f, F_SET_RW_HINT, &hint));
    hint = 0;
    OK("F_GET_RW_HINT of the same file", fcntl(g, F_GET_RW_HINT, &hint));
    EQ("hint of the file", RWH_WRITE_LIFE_LONG, hint);
    hint = 9;
    ERR("F_SET_RW_HINT of no value", EINVAL, fcntl(f, F_SET_RW_HINT, &hint));
    ERR("F_SET_RW_HINT of bad memory", EFAULT, fcntl(f, F_SET_RW_HINT, BAD));
    ERR("F_GET_FILE_RW_HINT", EINVAL, fcntl(f, F_GET_FILE_RW_HINT, &hint));
    ERR("no such command", EINVAL, fcntl(f, 4711, 0));
    ERR("F_DUPFD beyond the limit", EINVAL, fcntl(f, F_DUPFD, 1 << 30));
    ERR("F_DUPFD negative", EINVAL, fcntl(f, F_DUPFD, -1));
    int path = open("f", O_PATH), p[2];
    MUST(!pipe(p));
    ERR("F_SETFL of O_PATH", EBADF, fcntl(path, F_SETFL, O_NONBLOCK));
    EQ("F_GETFL of O_PATH", O_PATH, fcntl(path, F_GETFL) & ~0100000);
    EQ("F_GETFD of O_PATH", 0, fcntl(path, F_GETFD));
    EQ("F_CREATED_QUERY of O_PATH", 0, fcntl(path, 1028));
    ERR("F_GETLK of O_PATH", EBADF, set(path, F_GETLK, F_RDLCK, 0, 0));
    ERR("O_DIRECT of a device", EINVAL, fcntl(open("/dev/null", O_RDWR), F_SETFL, O_DIRECT));
    OK("O_DIRECT of a pipe", fcntl(p[0], F_SETFL, O_DIRECT));
    OK("O_DIRECT of a file", fcntl(f, F_SETFL, O_DIRECT));
    ERR("pipe's size of a file", EBADF, fcntl(f, F_GETPIPE_SZ));
    EQ("pipe's size of 0", 4096, fcntl(p[0], F_SETPIPE_SZ, 0));
    EQ("pipe's size of 1", 4096, fcntl(p[0], F_SETPIPE_SZ, 1));
    EQ("pipe's size rounds up", 32768, fcntl(p[0], F_SETPIPE_SZ, 5 * 4096));
    ERR("pipe's size beyond all", EINVAL, fcntl(p[0], F_SETPIPE_SZ, 0x80000001u));
    chmod("f", 0666);
    AS_NOBODY({
        int own = open("f", O_RDWR);
        MUST(own >= 0);
        ERR("O_NOATIME of another's file", EPERM, fcntl(own, F_SETFL, O_NOATIME));
        hint = 1;
        ERR("F_SET_RW_HINT of another's file", EPERM, fcntl(own, F_SET_RW_HINT, &hint));
        EQ("pipe's size up to the limit", 1 << 20, fcntl(p[0], F_SETPIPE_SZ, 1 << 20));
        ERR("pipe's size beyond the limit", EPERM, fcntl(p[0], F_SETPIPE_SZ, 1 << 21));
    });
}
