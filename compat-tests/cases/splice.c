/* Pipes that fill and drain: vmsplice, splice, tee, sendfile, preadv2 and pwritev2 with flags, and the edges that epoll sees. */
#include "case.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static char page[4096], big[262144] __attribute__((aligned(4096)));

static int fill(int fd)
{
    int n = 0, old = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, old | O_NONBLOCK);
    for (ssize_t k; (k = write(fd, page, sizeof page)) > 0;)
        n += k;
    fcntl(fd, F_SETFL, old);
    return n;
}

static int pending(int fd)
{
    int n = -1;
    ioctl(fd, 0x541b /* FIONREAD */, &n);
    return n;
}

static void nothing(int s) { (void)s; }

GROUP(vmsplice)
{
    int p[2];
    MUST(!pipe(p));
    struct iovec whole = {big, 2 * 65536}, odd = {big + 100, 65536}, none = {big, 0}, bad = {(void *)0x1000, 10};
    EQ("more than the pipe takes", 65536, vmsplice(p[1], &whole, 1, 0));
    ERR("a full pipe", EAGAIN, vmsplice(p[1], &whole, 1, SPLICE_F_NONBLOCK));
    EQ("nothing into a full pipe", 0, vmsplice(p[1], &none, 1, 0));
    EQ("read", 65536, read(p[0], big + 131072, 65536));
    EQ("from within a page", 65536 - 100, vmsplice(p[1], &odd, 1, 0));
    EQ("pending", 65536 - 100, pending(p[0]));
    EQ("read back", 4096 - 100, read(p[0], big, 4096 - 100));
    EQ("which frees one", 4096, vmsplice(p[1], &whole, 1, SPLICE_F_NONBLOCK));
    struct iovec out = {big, 100000};
    EQ("out of the reading end", 65536 - 4096 + 4096, vmsplice(p[0], &out, 1, 0));
    ERR("an empty pipe", EAGAIN, vmsplice(p[0], &out, 1, SPLICE_F_NONBLOCK));
    ERR("bad memory", EFAULT, vmsplice(p[1], &bad, 1, 0));
    ERR("no pipe", EBADF, vmsplice(open("/dev/null", O_RDWR), &whole, 1, 0));
    ERR("unknown flags", EINVAL, vmsplice(p[1], &whole, 1, 0x80));
    struct iovec three[] = {{big, 10}, {big + 4096, 20}, {big + 8192, 30}};
    EQ("three pieces", 60, vmsplice(p[1], three, 3, 0));
    EQ("read as one", 60, read(p[0], big, 100));
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    fill(p[1]);
    struct sigaction act = {.sa_handler = nothing};
    sigaction(SIGALRM, &act, 0);
    alarm(1);
    ERR("O_NONBLOCK of a full pipe", EINTR, vmsplice(p[1], &whole, 1, 0));
    alarm(GROUP_LIMIT);
}

GROUP(splice)
{
    int p[2], q[2], f = file_with("f", "0123456789");
    MUST(!pipe(p) && !pipe(q));
    ERR("empty pipe to an eventfd", EINVAL, splice(p[0], 0, eventfd(0, 0), 0, 1, 0));
    ERR("empty pipe to an epoll", EINVAL, splice(p[0], 0, epoll_create1(0), 0, 1, 0));
    ERR("empty pipe to a timerfd", EINVAL, splice(p[0], 0, timerfd_create(CLOCK_MONOTONIC, 0), 0, 1, 0));
    sigset_t set;
    sigemptyset(&set);
    ERR("empty pipe to a signalfd", EINVAL, splice(p[0], 0, signalfd(-1, &set, 0), 0, 1, 0));
    ERR("empty pipe to an inotify", EBADF, splice(p[0], 0, inotify_init(), 0, 1, 0));
    ERR("empty pipe to a directory", EBADF, splice(p[0], 0, open(".", O_RDONLY), 0, 1, 0));
    ERR("empty pipe to what is read only", EBADF, splice(p[0], 0, open("/dev/zero", O_RDONLY), 0, 1, 0));
    ERR("an eventfd to a pipe", EINVAL, splice(eventfd(1, 0), 0, p[1], 0, 8, 0));
    ERR("empty pipe with SPLICE_F_NONBLOCK", EAGAIN, splice(p[0], 0, f, 0, 1, SPLICE_F_NONBLOCK));
    ERR("empty pipe to a pipe", EAGAIN, splice(p[0], 0, q[1], 0, 1, SPLICE_F_NONBLOCK));
    ERR("a pipe to itself", EINVAL, splice(p[0], 0, p[1], 0, 1, 0));
    loff_t off = -1, end = LLONG_MAX, at = 3;
    ERR("offset of a pipe", ESPIPE, splice(p[0], &at, f, 0, 1, 0));
    ERR("offset of the other pipe", ESPIPE, splice(f, 0, p[1], &at, 1, 0));
    ERR("negative offset", EINVAL, splice(f, &off, p[1], 0, 1, 0));
    ERR("offset overflow of the source", EINVAL, splice(f, &end, p[1], 0, 2, 0));
    MUST(write(p[1], "ab", 2) == 2);
    ERR("offset overflow of the target", EINVAL, splice(p[0], 0, f, &end, 2, 0));
    ERR("negative offset of the target", EINVAL, splice(p[0], 0, f, &off, 2, 0));
    EQ("at an offset", 2, splice(p[0], 0, f, &at, 2, 0));
    EQ("which moves", 5, at);
    EQ("not the position", 0, lseek(f, 0, SEEK_CUR));
    EQ("file to pipe", 10, splice(f, 0, p[1], 0, 100, 0));
    EQ("the position moves", 10, lseek(f, 0, SEEK_CUR));
    EQ("end of the file", 0, splice(f, 0, p[1], 0, 100, 0));
    EQ("pipe to pipe", 10, splice(p[0], 0, q[1], 0, 100, 0));
    char buffer[16] = "";
    EQ("content", 10, read(q[0], buffer, 16));
    TEXT("text", "012ab56789", buffer);
    int a = open("f", O_WRONLY | O_APPEND);
    MUST(write(p[1], "x", 1) == 1);
    ERR("to O_APPEND", EINVAL, splice(p[0], 0, a, 0, 1, 0));
    ERR("two files", EINVAL, splice(f, 0, a, 0, 1, 0));
    ERR("unknown flags", EINVAL, splice(p[0], 0, f, 0, 1, 0x100));
    EQ("nothing", 0, splice(p[0], 0, f, 0, 0, 0x100));
    ERR("a pipe's wrong end", EBADF, splice(p[1], 0, f, 0, 1, 0));
    EQ("/dev/zero to a pipe", 4096, splice(open("/dev/zero", O_RDONLY), 0, q[1], 0, 4096, 0));
    EQ("to /dev/null", 4096, splice(q[0], 0, open("/dev/null", O_WRONLY), 0, 10000, 0));
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    MUST(read(p[0], buffer, 16) == 1);
    ERR("O_NONBLOCK of the pipe", EAGAIN, splice(p[0], 0, f, 0, 1, 0));
    ERR("O_NONBLOCK of either pipe", EAGAIN, splice(p[0], 0, q[1], 0, 1, 0));
    fcntl(p[0], F_SETFL, 0);
    fcntl(q[1], F_SETFL, O_NONBLOCK);
    ERR("O_NONBLOCK of the other", EAGAIN, splice(p[0], 0, q[1], 0, 1, 0));
    fill(q[1]);
    lseek(f, 0, SEEK_SET);
    ERR("to a full pipe with O_NONBLOCK", EAGAIN, splice(f, 0, q[1], 0, 1, 0));
    close(p[1]);
    EQ("no writer", 0, splice(p[0], 0, f, 0, 1, 0));
    signal(SIGPIPE, SIG_IGN);
    close(q[0]);
    ERR("no reader", EPIPE, splice(f, 0, q[1], 0, 1, 0));
}

GROUP(tee)
{
    int p[2], q[2];
    MUST(!pipe(p) && !pipe(q));
    ERR("empty", EAGAIN, tee(p[0], q[1], 1, SPLICE_F_NONBLOCK));
    MUST(write(p[1], "abc", 3) == 3);
    ERR("to itself", EINVAL, tee(p[0], p[1], 1, 0));
    ERR("from no pipe", EINVAL, tee(open("/dev/zero", O_RDONLY), p[1], 1, 0));
    ERR("wrong ends", EBADF, tee(p[1], q[0], 1, 0));
    EQ("part", 2, tee(p[0], q[1], 2, 0));
    EQ("stays", 3, pending(p[0]));
    EQ("there too", 2, pending(q[0]));
    EQ("nothing", 0, tee(p[0], q[1], 0, 0));
    fill(q[1]);
    ERR("full", EAGAIN, tee(p[0], q[1], 2, SPLICE_F_NONBLOCK));
    fcntl(q[1], F_SETFL, O_NONBLOCK);
    ERR("full with O_NONBLOCK", EAGAIN, tee(p[0], q[1], 2, 0));
}

GROUP(preadv2)
{
    int p[2], f = file_with("f", "0123456789");
    MUST(!pipe(p));
    char b[65536];
    struct iovec v = {b, 10}, none = {b, 0}, bad = {KERNEL, 10}, all = {big, 131072};
    ERR("writing end at 0", ESPIPE, preadv2(p[1], &v, 1, 0, 0));
    ERR("writing end at -1", EBADF, preadv2(p[1], &v, 1, -1, 0));
    ERR("position -2", EINVAL, preadv2(f, &v, 1, -2, 0));
    ERR("position -2 without a file", EINVAL, preadv2(NOFD, &v, 1, -2, 0));
    ERR("unknown flags without a file", EBADF, preadv2(NOFD, &v, 1, 0, 0x8000));
    ERR("unknown flags", EOPNOTSUPP, preadv2(f, &v, 1, 0, 0x8000));
    EQ("unknown flags and nothing to read", 0, preadv2(f, &none, 1, 0, 0x8000));
    ERR("unknown flags and bad memory", EFAULT, preadv2(f, &bad, 1, 0, 0x8000));
    EQ("RWF_APPEND", 10, preadv2(f, &v, 1, 0, RWF_APPEND));
    EQ("RWF_DSYNC", 10, preadv2(f, &v, 1, 0, RWF_DSYNC));
    ERR("RWF_ATOMIC", EOPNOTSUPP, preadv2(f, &v, 1, 0, 0x40));
    ERR("RWF_APPEND and RWF_NOAPPEND", EINVAL, preadv2(f, &v, 1, 0, 0x30));
    ERR("empty pipe, RWF_NOWAIT", EAGAIN, preadv2(p[0], &v, 1, -1, RWF_NOWAIT));
    int e = eventfd(0, 0), t = timerfd_create(CLOCK_MONOTONIC, 0);
    ERR("eventfd, RWF_NOWAIT", EAGAIN, preadv2(e, &v, 1, -1, RWF_NOWAIT));
    ERR("timerfd, RWF_NOWAIT", EAGAIN, preadv2(t, &v, 1, -1, RWF_NOWAIT));
    ERR("/proc, RWF_NOWAIT", EOPNOTSUPP, preadv2(open("/proc/self/stat", O_RDONLY), &v, 1, 0, RWF_NOWAIT));
    EQ("RWF_NOWAIT fills the pipe", 65536, pwritev2(p[1], &all, 1, -1, RWF_NOWAIT));
    ERR("and then waits not", EAGAIN, pwritev2(p[1], &all, 1, -1, RWF_NOWAIT));
    EQ("reads what there is", 10, preadv2(p[0], &v, 1, -1, RWF_NOWAIT));
    int s[2];
    MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    ERR("socket, RWF_NOWAIT", EAGAIN, preadv2(s[0], &v, 1, -1, RWF_NOWAIT));
    int more = 1;
    for (int i = 0; i < 100 && more > 0; i++)
        more = pwritev2(s[0], &all, 1, -1, RWF_NOWAIT);
    ERR("a full socket, RWF_NOWAIT", EAGAIN, pwritev2(s[0], &all, 1, -1, RWF_NOWAIT));
    YES("a socket has bytes", preadv2(s[1], &v, 1, -1, RWF_NOWAIT) == 10);
}

GROUP(pwritev2)
{
    int p[2], f = file_with("f", "0123456789"), a = open("f", O_WRONLY | O_APPEND);
    MUST(!pipe(p));
    struct iovec v = {"ab", 2}, none = {"", 0};
    ERR("reading end at 0", ESPIPE, pwritev2(p[0], &v, 1, 0, 0));
    ERR("reading end at -1", EBADF, pwritev2(p[0], &v, 1, -1, 0));
    EQ("pipe at -1", 2, pwritev2(p[1], &v, 1, -1, 0));
    ERR("position -2", EINVAL, pwritev2(f, &v, 1, -2, 0));
    ERR("unknown flags", EOPNOTSUPP, pwritev2(f, &v, 1, 0, 0x8000));
    EQ("unknown flags and nothing to write", 0, pwritev2(f, &none, 1, 0, 0x8000));
    EQ("RWF_APPEND", 2, pwritev2(f, &v, 1, 0, RWF_APPEND));
    EQ("position stays", 0, lseek(f, 0, SEEK_CUR));
    EQ("RWF_APPEND at -1", 2, pwritev2(f, &v, 1, -1, RWF_APPEND));
    EQ("position moves", 14, lseek(f, 0, SEEK_CUR));
    EQ("O_APPEND wins over the position", 2, pwritev2(a, &v, 1, 0, 0));
    EQ("RWF_NOAPPEND wins over O_APPEND", 2, pwritev2(a, &v, 1, 0, 0x20));
    struct stat st;
    fstat(f, &st);
    EQ("size", 16, st.st_size);
    ERR("RWF_APPEND and RWF_NOAPPEND", EINVAL, pwritev2(f, &v, 1, 0, 0x30));
    ERR("RWF_ATOMIC", EOPNOTSUPP, pwritev2(f, &v, 1, 0, 0x40));
    int e = eventfd(0, 0);
    uint64_t one = 1;
    struct iovec w = {&one, 8};
    ERR("eventfd, RWF_NOWAIT", EOPNOTSUPP, pwritev2(e, &w, 1, -1, RWF_NOWAIT));
    EQ("eventfd", 8, pwritev2(e, &w, 1, -1, 0));
    signal(SIGPIPE, SIG_IGN);
    close(p[0]);
    ERR("no reader, RWF_NOWAIT", EPIPE, pwritev2(p[1], &v, 1, -1, RWF_NOWAIT));
}

GROUP(sendfile)
{
    int p[2], f = file_with("f", "0123456789"), g = file_with("g", "");
    MUST(!pipe(p));
    off_t off = -1, far = LLONG_MAX, at = 4;
    ERR("negative offset", EINVAL, sendfile(g, f, &off, 1));
    ERR("offset overflow", EINVAL, sendfile(g, f, &far, 2));
    EQ("at an offset", 6, sendfile(g, f, &at, 100));
    EQ("which moves", 10, at);
    ERR("to an eventfd", EINVAL, sendfile(eventfd(0, 0), f, 0, 8));
    ERR("from a pipe", EINVAL, sendfile(g, p[0], 0, 8));
    ERR("to O_APPEND", EINVAL, sendfile(open("g", O_WRONLY | O_APPEND), f, 0, 8));
    ERR("to a directory", EBADF, sendfile(open(".", O_RDONLY), f, 0, 8));
    ERR("from a directory", EINVAL, sendfile(g, open(".", O_RDONLY), 0, 8));
    ERR("from what is write only", EBADF, sendfile(g, open("f", O_WRONLY), 0, 8));
    ERR("to what is read only", EBADF, sendfile(open("g", O_RDONLY), f, 0, 8));
    fill(p[1]);
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    ERR("to a full pipe", EAGAIN, sendfile(p[1], f, 0, 8));
}

GROUP(copy_file_range)
{
    int f = file_with("f", "0123456789"), g = file_with("g", ""), p[2];
    MUST(!pipe(p));
    loff_t off = -1, far = LLONG_MAX, at = 4, to = 0;
    ERR("offset that wraps", EOVERFLOW, copy_file_range(f, &off, g, 0, 1, 0));
    off = -2;
    ERR("negative offset", EINVAL, copy_file_range(f, &off, g, 0, 1, 0));
    EQ("offset behind the end", 0, copy_file_range(f, &far, g, 0, 2, 0));
    ERR("offset overflow of the target", EFBIG, copy_file_range(f, 0, g, &far, 2, 0));
    ERR("flags", EINVAL, copy_file_range(f, 0, g, 0, 2, 1));
    ERR("a pipe", EINVAL, copy_file_range(p[0], 0, g, 0, 2, 0));
    ERR("to a pipe", EINVAL, copy_file_range(f, 0, p[1], 0, 2, 0));
    ERR("a directory", EISDIR, copy_file_range(open(".", O_RDONLY), 0, g, 0, 2, 0));
    ERR("to O_APPEND", EBADF, copy_file_range(f, 0, open("g", O_WRONLY | O_APPEND), 0, 2, 0));
    ERR("from what is write only", EBADF, copy_file_range(open("f", O_WRONLY), 0, g, 0, 2, 0));
    ERR("to what is read only", EBADF, copy_file_range(f, 0, open("g", O_RDONLY), 0, 2, 0));
    EQ("at offsets", 6, copy_file_range(f, &at, g, &to, 100, 0));
    EQ("source moves", 10, at);
    EQ("target moves", 6, to);
    EQ("at the end", 0, copy_file_range(f, &at, g, &to, 100, 0));
    at = 0, to = 5;
    ERR("overlap", EINVAL, copy_file_range(f, &at, f, &to, 8, 0));
    EQ("beside", 5, copy_file_range(f, &at, f, &to, 5, 0));
    EQ("nothing", 0, copy_file_range(f, &at, f, &to, 0, 0));
    struct rlimit rl = {4, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &rl);
    at = 0, to = 4;
    long result = copy_file_range(f, &at, g, &to, 5, 0);
    int error = errno;
    rl.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &rl);
    fails("past RLIMIT_FSIZE", EFBIG, result, error);
}

/* Edges: what epoll with EPOLLET reports of a pipe. */
GROUP(pipe_edges)
{
    int p[2], e = epoll_create1(0);
    MUST(!pipe2(p, O_NONBLOCK));
    MUST(fcntl(p[1], F_SETPIPE_SZ, 8192) == 8192);
    struct epoll_event in = {.events = EPOLLIN | EPOLLET, .data.fd = 0}, out = {.events = EPOLLOUT | EPOLLET, .data.fd = 1}, got[4];
    MUST(!epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in) && !epoll_ctl(e, EPOLL_CTL_ADD, p[1], &out));
    EQ("writable at first", 1, epoll_wait(e, got, 4, 0));
    EQ("a write", 100, write(p[1], page, 100));
    EQ("is an edge of the reader", 1, epoll_wait(e, got, 4, 0));
    EQ("once", 0, epoll_wait(e, got, 4, 0));
    EQ("another write", 100, write(p[1], page, 100));
    EQ("is another edge", 1, epoll_wait(e, got, 4, 0));
    EQ("a read that makes no room", 50, read(p[0], page, 50));
    EQ("is none", 0, epoll_wait(e, got, 4, 0));
    EQ("a read to the end of a pipe that was not full", 150, read(p[0], page, 4096));
    EQ("is none for the writer", 0, epoll_wait(e, got, 4, 0));
    EQ("filled", 8192, fill(p[1]));
    EQ("an edge of the reader", 1, epoll_wait(e, got, 4, 0));
    EQ("half a page read", 2048, read(p[0], page, 2048));
    EQ("is no edge of the writer", 0, epoll_wait(e, got, 4, 0));
    EQ("the other half", 2048, read(p[0], page, 2048));
    int n = epoll_wait(e, got, 4, 0);
    EQ("is one", 1, n);
    EQ("of the writer", 1, got[0].data.fd);
}

static int order[2];
static void *reader(void *arg)
{
    char c;
    if (read(order[0], &c, 1) == 1)
        __atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void *writer(void *arg)
{
    if (write(order[1], big, 65536) == 65536)
        __atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* A wake-up reaches one of those who sleep: none may be forgotten. */
GROUP(pipe_sleepers)
{
    pthread_t t[8];
    int count = 0;
    MUST(!pipe(order));
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], 0, reader, &count);
    pause_ms(50);
    EQ("a write for all", 8, write(order[1], "abcdefgh", 8));
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], 0);
    EQ("readers", 8, count);
    count = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], 0, writer, &count);
    pause_ms(50);
    long total = 0;
    while (total < 4 * 65536) {
        ssize_t n = read(order[0], big + 131072, 131072);
        MUST(n > 0);
        total += n;
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], 0);
    EQ("writers", 4, count);
    EQ("bytes", 4 * 65536, total);
}
