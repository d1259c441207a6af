/* Reading and writing: read, write, pread64, pwrite64, readv, writev, preadv, pwritev, preadv2, pwritev2, lseek. */
#include "case.h"

static void reading(int (*make)(void), long (*call)(int, void *, size_t))
{
    int fd = make();
    char text[64];
    EQ("some", 4, call(fd, text, 4));
    YES("are the first", !memcmp(text, "0123", 4));
    fd = make();
    EQ("more than there is", 10, call(fd, text, 64));
    fd = make();
    EQ("none", 0, call(fd, text, 0));
    EQ("none into nowhere", 0, call(fd, NULL, 0));
    ERR("NULL", EFAULT, call(fd, NULL, 4));
    ERR("a bad address", EFAULT, call(fd, BAD, 4));
    ERR("a kernel address", EFAULT, call(fd, KERNEL, 4));
    ERR("no descriptor", EBADF, call(NOFD, text, 4));
    int w = open("data", O_WRONLY);
    ERR("not open for reading", EBADF, call(w, text, 4));
    int d = open(".", O_RDONLY);
    ERR("a directory", EISDIR, call(d, text, 4));
    char *page = edge_page(PROT_READ | PROT_WRITE);
    fd = make();
    EQ("as much as has room", 3, call(fd, page + 4093, 10));
    fd = make();
    char *read_only = edge_page(PROT_READ);
    ERR("into a read-only page", EFAULT, call(fd, read_only, 4));
    fd = make();
    EQ("a length beyond all memory", 10, call(fd, page, SSIZE_MAX) == 10 ? 10 : call(fd, page, 4096));
}

static int make_data(void) { return file_with("data", "0123456789"); }
static long pread_(int fd, void *p, size_t n) { return pread(fd, p, n, 0); }
static long readv_(int fd, void *p, size_t n) { struct iovec v = {p, n}; return readv(fd, &v, 1); }
static long preadv_(int fd, void *p, size_t n) { struct iovec v = {p, n}; return preadv(fd, &v, 1, 0); }
static long preadv2_(int fd, void *p, size_t n) { struct iovec v = {p, n}; return preadv2(fd, &v, 1, -1, 0); }
static long read_(int fd, void *p, size_t n) { return read(fd, p, n); }

GROUP(read)
{
    reading(make_data, read_);
    int fd = make_data();
    char text[64];
    MUST(lseek(fd, 8, SEEK_SET) == 8);
    EQ("near the end", 2, read(fd, text, 64));
    EQ("at the end", 0, read(fd, text, 64));
    MUST(lseek(fd, 1000, SEEK_SET) == 1000);
    EQ("behind the end", 0, read(fd, text, 64));
    MUST(ftruncate(fd, 100) == 0 && lseek(fd, 50, SEEK_SET) == 50);
    EQ("a hole", 50, read(fd, text, 64));
    int zero = 1;
    for (int i = 0; i < 50; i++)
        zero &= text[i] == 0;
    YES("a hole is zeroes", zero);
    int null = open("/dev/null", O_RDWR), zeroes = open("/dev/zero", O_RDWR);
    EQ("/dev/null", 0, read(null, text, 64));
    EQ("/dev/zero", 64, read(zeroes, text, 64));
    int self = open("/proc/self/stat", O_RDONLY);
    YES("/proc", read(self, text, 64) == 64);
}

GROUP(pread64)
{
    reading(make_data, pread_);
    int fd = make_data();
    char text[64];
    struct { long at, want; } table[] = {{0, 10}, {5, 5}, {9, 1}, {10, 0}, {11, 0}, {1L << 40, 0}, {LONG_MAX - 64, 0}};
    for (unsigned i = 0; i < COUNT(table); i++)
        EQ(named("at %ld", table[i].at), table[i].want, pread(fd, text, 64, table[i].at));
    ERR("at a negative offset", EINVAL, pread(fd, text, 4, -1));
    EQ("does not move the offset", 0, lseek(fd, 0, SEEK_CUR));
}

GROUP(readv)
{
    reading(make_data, readv_);
    int fd = make_data();
    char a[4], b[4], c[4];
    struct iovec v[] = {{a, 3}, {b, 0}, {c, 4}};
    EQ("into three", 7, readv(fd, v, 3));
    YES("in order", !memcmp(a, "012", 3) && !memcmp(c, "3456", 4));
    EQ("the rest", 3, readv(fd, v, 3));
    EQ("no vectors", 0, readv(fd, v, 0));
    ERR("minus one vectors", EINVAL, readv(fd, v, -1));
    ERR("1025 vectors", EINVAL, readv(fd, v, 1025));
    ERR("vectors nowhere", EFAULT, readv(fd, BAD, 1));
    struct iovec long_one = {a, (size_t)-1};
    ERR("a negative length", EINVAL, readv(fd, &long_one, 1));
    struct iovec second_bad[] = {{a, 2}, {BAD, 2}};
    lseek(fd, 0, SEEK_SET);
    EQ("a bad second vector", 2, readv(fd, second_bad, 2));
    static struct iovec many[1024];
    static char bytes[1024];
    for (int i = 0; i < 1024; i++)
        many[i] = (struct iovec){bytes + i, 1};
    lseek(fd, 0, SEEK_SET);
    EQ("1024 vectors", 10, readv(fd, many, 1024));
}

GROUP(preadv)
{
    reading(make_data, preadv_);
    int fd = make_data(), p[2];
    char text[8];
    struct iovec v = {text, 8};
    EQ("at 7", 3, preadv(fd, &v, 1, 7));
    ERR("at a negative offset", EINVAL, preadv(fd, &v, 1, -1));
    MUST(pipe(p) == 0);
    ERR("a pipe", ESPIPE, preadv(p[0], &v, 1, 0));
}

GROUP(preadv2)
{
    reading(make_data, preadv2_);
    int fd = make_data(), p[2];
    char text[8];
    struct iovec v = {text, 8};
    EQ("offset -1 is the file's own", 8, preadv2(fd, &v, 1, -1, 0));
    EQ("which moves", 2, preadv2(fd, &v, 1, -1, 0));
    EQ("RWF_NOWAIT", 3, preadv2(fd, &v, 1, 7, RWF_NOWAIT));
    EQ("RWF_HIPRI", 3, preadv2(fd, &v, 1, 7, RWF_HIPRI));
    ERR("unknown flags", EOPNOTSUPP, preadv2(fd, &v, 1, 0, 0x4000));
    MUST(pipe(p) == 0);
    ERR("an empty pipe with RWF_NOWAIT", EAGAIN, preadv2(p[0], &v, 1, -1, RWF_NOWAIT));
    ERR("a pipe at an offset", ESPIPE, preadv2(p[0], &v, 1, 0, 0));
}

static long pwrite_(int fd, const void *p, size_t n) { return pwrite(fd, p, n, 0); }
static long writev_(int fd, const void *p, size_t n) { struct iovec v = {(void *)p, n}; return writev(fd, &v, 1); }
static long pwritev_(int fd, const void *p, size_t n) { struct iovec v = {(void *)p, n}; return pwritev(fd, &v, 1, 0); }
static long pwritev2_(int fd, const void *p, size_t n) { struct iovec v = {(void *)p, n}; return pwritev2(fd, &v, 1, -1, 0); }
static long write_(int fd, const void *p, size_t n) { return write(fd, p, n); }

static void writing(long (*call)(int, const void *, size_t))
{
    int fd = file_with("data", "");
    EQ("some", 4, call(fd, "abcd", 4));
    EQ("make the file longer", 4, lseek(fd, 0, SEEK_END));
    EQ("none", 0, call(fd, "", 0));
    EQ("none from nowhere", 0, call(fd, NULL, 0));
    ERR("NULL", EFAULT, call(fd, NULL, 4));
    ERR("a bad address", EFAULT, call(fd, BAD, 4));
    ERR("a kernel address", EFAULT, call(fd, KERNEL, 4));
    ERR("no descriptor", EBADF, call(NOFD, "a", 1));
    int r = open("data", O_RDONLY);
    ERR("not open for writing", EBADF, call(r, "a", 1));
    int d = open(".", O_RDONLY);
    ERR("a directory", EBADF, call(d, "a", 1));
    EQ("what failed did not change the length", 4, lseek(fd, 0, SEEK_END));
    char *page = edge_page(PROT_READ);
    fd = file_with("data", "");
    EQ("from a read-only page", 10, call(fd, page, 10));
    fd = file_with("data", "");
    long n = call(fd, page + 4093, 10);
    SHOW("as much as there is", "%ld, length %ld", n, (long)lseek(fd, 0, SEEK_END));
    fd = file_with("data", "");
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {6, RLIM_INFINITY};
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    EQ("up to RLIMIT_FSIZE", 6, call(fd, "abcdefgh", 8));
    MUST(lseek(fd, 6, SEEK_SET) == 6);
    limit.rlim_cur = 0;
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    ERR("beyond it", EFBIG, call(fd, "a", 1));
    limit.rlim_cur = RLIM_INFINITY;
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

GROUP(write)
{
    writing(write_);
    int fd = file_with("data", "");
    int status;
    CHILD(status, {
        struct rlimit limit = {0, 0};
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_CORE, &limit);
        setrlimit(RLIMIT_FSIZE, &limit);
        int other = file_with("other", "");
        write(other, "a", 1);
    });
    SHOW("SIGXFSZ", "%d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    MUST(lseek(fd, 100, SEEK_SET) == 100);
    EQ("behind the end", 1, write(fd, "x", 1));
    EQ("leaves a hole", 101, lseek(fd, 0, SEEK_END));
    int null = open("/dev/null", O_RDWR), full = open("/dev/full", O_RDWR);
    EQ("/dev/null", 5, write(null, "abcde", 5));
    ERR("/dev/full", ENOSPC, write(full, "a", 1));
    int p[2];
    MUST(pipe(p) == 0);
    close(p[0]);
    CHILD(status, { signal(SIGPIPE, SIG_DFL); write(p[1], "x", 1); });
    SHOW("SIGPIPE", "%d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    signal(SIGPIPE, SIG_IGN);
    ERR("a pipe without a reader", EPIPE, write(p[1], "x", 1));
}

GROUP(pwrite64)
{
    writing(pwrite_);
    int fd = file_with("data", "0123456789"), p[2];
    EQ("in the middle", 2, pwrite(fd, "ab", 2, 4));
    EQ("the offset does not move", 0, lseek(fd, 0, SEEK_CUR));
    char text[11] = "";
    MUST(read(fd, text, 10) == 10);
    TEXT("what is there then", "0123ab6789", text);
    ERR("at a negative offset", EINVAL, pwrite(fd, "a", 1, -1));
    ERR("at the greatest offset", EINVAL, pwrite(fd, "a", 1, LONG_MAX));
    MUST(pipe(p) == 0);
    ERR("a pipe", ESPIPE, pwrite(p[1], "a", 1, 0));
    int append = open("data", O_WRONLY | O_APPEND);
    EQ("O_APPEND", 1, pwrite(append, "z", 1, 0));
    EQ("writes at the end all the same", 11, lseek(fd, 0, SEEK_END));
}

GROUP(writev)
{
    writing(writev_);
    int fd = file_with("data", "");
    struct iovec v[] = {{"abc", 3}, {NULL, 0}, {"de", 2}};
    EQ("three", 5, writev(fd, v, 3));
    EQ("no vectors", 0, writev(fd, v, 0));
    ERR("minus one vectors", EINVAL, writev(fd, v, -1));
    ERR("1025 vectors", EINVAL, writev(fd, v, 1025));
    ERR("vectors nowhere", EFAULT, writev(fd, BAD, 1));
    struct iovec negative = {"a", (size_t)-1};
    ERR("a negative length", EINVAL, writev(fd, &negative, 1));
    struct iovec second[] = {{"ab", 2}, {BAD, 2}};
    fd = file_with("data", "");
    EQ("a bad second vector", 2, writev(fd, second, 2));
    EQ("the first is written", 2, lseek(fd, 0, SEEK_END));
    int p[2];
    MUST(pipe(p) == 0);
    EQ("a pipe", 5, writev(p[1], v, 3));
}

GROUP(pwritev)
{
    writing(pwritev_);
    int fd = file_with("data", "0123"), p[2];
    struct iovec v[] = {{"ab", 2}, {"c", 1}};
    EQ("at 3", 3, pwritev(fd, v, 2, 3));
    EQ("length", 6, lseek(fd, 0, SEEK_END));
    ERR("at a negative offset", EINVAL, pwritev(fd, v, 1, -2));
    MUST(pipe(p) == 0);
    ERR("a pipe", ESPIPE, pwritev(p[1], v, 1, 0));
}

GROUP(pwritev2)
{
    writing(pwritev2_);
    int fd = file_with("data", "0123");
    struct iovec v = {"ab", 2};
    EQ("RWF_APPEND at 0", 2, pwritev2(fd, &v, 1, 0, RWF_APPEND));
    EQ("writes at the end", 6, lseek(fd, 0, SEEK_END));
    EQ("RWF_DSYNC", 2, pwritev2(fd, &v, 1, 0, RWF_DSYNC));
    EQ("RWF_SYNC", 2, pwritev2(fd, &v, 1, 0, RWF_SYNC));
    ERR("unknown flags", EOPNOTSUPP, pwritev2(fd, &v, 1, 0, 0x4000));
    ERR("at offset -2", EINVAL, pwritev2(fd, &v, 1, -2, 0));
}

GROUP(lseek)
{
    int fd = file_with("a", "0123456789");
    struct { int whence; long offset, want; int error; } table[] = {
        {SEEK_SET, 0, 0, 0}, {SEEK_SET, 5, 5, 0}, {SEEK_SET, 100, 100, 0}, {SEEK_SET, -1, 0, EINVAL}, {SEEK_SET, LONG_MIN, 0, EINVAL},
        {SEEK_END, 0, 10, 0}, {SEEK_END, -10, 0, 0}, {SEEK_END, -11, 0, EINVAL}, {SEEK_END, 5, 15, 0}, {SEEK_END, LONG_MAX, 0, EINVAL},
        {5, 0, 0, EINVAL}, {-1, 0, 0, EINVAL}, {99, 0, 0, EINVAL}, {SEEK_DATA, 0, 0, 0}, {SEEK_DATA, 9, 9, 0}, {SEEK_DATA, 10, 0, ENXIO},
        {SEEK_DATA, -1, 0, ENXIO}, {SEEK_HOLE, 0, 10, 0}, {SEEK_HOLE, 9, 10, 0}, {SEEK_HOLE, 10, 0, ENXIO}, {SEEK_HOLE, -1, 0, ENXIO},
    };
    for (unsigned i = 0; i < COUNT(table); i++) {
        const char *name = named("whence %d, %ld", table[i].whence, table[i].offset);
        if (table[i].error)
            ERR(name, table[i].error, lseek(fd, table[i].offset, table[i].whence));
        else
            EQ(name, table[i].want, lseek(fd, table[i].offset, table[i].whence));
    }
    lseek(fd, 4, SEEK_SET);
    EQ("SEEK_CUR", 6, lseek(fd, 2, SEEK_CUR));
    EQ("SEEK_CUR back", 0, lseek(fd, -6, SEEK_CUR));
    ERR("SEEK_CUR before the start", EINVAL, lseek(fd, -1, SEEK_CUR));
    EQ("a failure leaves the offset", 0, lseek(fd, 0, SEEK_CUR));
    ERR("no descriptor", EBADF, lseek(NOFD, 0, SEEK_SET));
    EQ("the file does not grow", 10, (lseek(fd, 1000, SEEK_SET), lseek(fd, 0, SEEK_END)));
    int s[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    ERR("a socket", ESPIPE, lseek(s[0], 0, SEEK_SET));
    int null = open("/dev/null", O_RDONLY);
    EQ("/dev/null", 0, lseek(null, 5, SEEK_SET));
    MUST(ftruncate(fd, 1 << 20) == 0 && pwrite(fd, "x", 1, 512 << 10) == 1);
    YES("SEEK_DATA finds the data in a sparse file", lseek(fd, 4096, SEEK_DATA) <= 512 << 10);
}
