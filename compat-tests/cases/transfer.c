/* From file to file: sendfile, splice, tee, vmsplice, copy_file_range; and getting to the disk: fsync and its kin. */
#include "case.h"

GROUP(sendfile)
{
#define sendfile(...) syscall(SYS_sendfile, __VA_ARGS__)
    int in = file_with("in", "0123456789"), out = file_with("out", ""), p[2];
    char text[32];
    EQ("some", 4, sendfile(out, in, NULL, 4));
    EQ("moves the offset", 4, lseek(in, 0, SEEK_CUR));
    off_t at = 8;
    EQ("from an offset", 2, sendfile(out, in, &at, 100));
    EQ("which is written back", 10, at);
    EQ("the file's own stays", 4, lseek(in, 0, SEEK_CUR));
    MUST(pread(out, text, 6, 0) == 6);
    YES("what came", !memcmp(text, "012389", 6));
    EQ("at the end", 0, sendfile(out, in, &at, 5));
    EQ("none", 0, sendfile(out, in, NULL, 0));
    at = -1;
    ERR("a negative offset", EINVAL, sendfile(out, in, &at, 5));
    ERR("an offset nowhere", EFAULT, sendfile(out, in, BAD, 5));
    ERR("no descriptor to read", EBADF, sendfile(out, NOFD, NULL, 5));
    ERR("no descriptor to write", EBADF, sendfile(NOFD, in, NULL, 5));
    int ro = open("out", O_RDONLY), wo = open("in", O_WRONLY);
    ERR("not open for writing", EBADF, sendfile(ro, in, NULL, 5));
    ERR("not open for reading", EBADF, sendfile(out, wo, NULL, 5));
    int append = open("out", O_WRONLY | O_APPEND);
    ERR("O_APPEND", EINVAL, sendfile(append, in, NULL, 5));
    MUST(pipe(p) == 0);
    lseek(in, 0, SEEK_SET);
    EQ("into a pipe", 10, sendfile(p[1], in, NULL, 100));
    at = 0;
    ERR("a pipe with an offset", ESPIPE, sendfile(out, p[0], &at, 5));
    int s[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    lseek(in, 0, SEEK_SET);
    EQ("into a socket", 10, sendfile(s[0], in, NULL, 100));
    EQ("arrives", 10, read(s[1], text, 32));
}

GROUP(splice)
{
    int in = file_with("in", "0123456789"), out = file_with("out", ""), p[2], q[2];
    char text[32];
    MUST(pipe(p) == 0 && pipe(q) == 0);
    EQ("file to pipe", 6, splice(in, NULL, p[1], NULL, 6, 0));
    EQ("moves the offset", 6, lseek(in, 0, SEEK_CUR));
    EQ("pipe to pipe", 3, splice(p[0], NULL, q[1], NULL, 3, 0));
    EQ("pipe to file", 3, splice(q[0], NULL, out, NULL, 100, 0));
    loff_t at = 1;
    EQ("pipe to file at an offset", 3, splice(p[0], NULL, out, &at, 100, 0));
    EQ("which is written back", 4, at);
    MUST(pread(out, text, 4, 0) == 4);
    YES("what came", !memcmp(text, "0345", 4));
    at = 8;
    EQ("file at an offset to pipe", 2, splice(in, &at, p[1], NULL, 100, 0));
    EQ("at the end of the file", 0, splice(in, &at, p[1], NULL, 100, 0));
    EQ("none", 0, splice(in, NULL, p[1], NULL, 0, 0));
    ERR("two files", EINVAL, splice(in, NULL, out, NULL, 5, 0));
    ERR("a pipe with an offset", ESPIPE, splice(p[0], &at, out, NULL, 5, 0));
    ERR("to a pipe with an offset", ESPIPE, splice(in, NULL, p[1], &at, 5, 0));
    ERR("the same pipe", EINVAL, splice(p[0], NULL, p[1], NULL, 5, 0));
    ERR("unknown flags", EINVAL, splice(in, NULL, p[1], NULL, 5, 64));
    ERR("no descriptor", EBADF, splice(NOFD, NULL, p[1], NULL, 5, 0));
    ERR("the wrong end", EBADF, splice(in, NULL, p[0], NULL, 5, 0));
    ERR("an empty pipe with SPLICE_F_NONBLOCK", EAGAIN, splice(q[0], NULL, out, NULL, 5, SPLICE_F_NONBLOCK));
    int append = open("out", O_WRONLY | O_APPEND);
    ERR("O_APPEND", EINVAL, splice(p[0], NULL, append, NULL, 5, 0));
    close(q[1]);
    EQ("a pipe that has ended", 0, splice(q[0], NULL, out, NULL, 5, 0));
}

GROUP(tee)
{
    int p[2], q[2], file = file_with("a", "");
    char text[32];
    MUST(pipe(p) == 0 && pipe(q) == 0 && write(p[1], "abcdef", 6) == 6);
    EQ("some", 4, tee(p[0], q[1], 4, 0));
    EQ("arrives", 4, read(q[0], text, 32));
    EQ("and stays", 6, read(p[0], text, 32));
    ERR("nothing there with SPLICE_F_NONBLOCK", EAGAIN, tee(p[0], q[1], 4, SPLICE_F_NONBLOCK));
    EQ("none", 0, tee(p[0], q[1], 0, 0));
    ERR("the same pipe", EINVAL, tee(p[0], p[1], 4, 0));
    ERR("a file", EINVAL, tee(p[0], file, 4, 0));
    ERR("no descriptor", EBADF, tee(NOFD, q[1], 4, 0));
    ERR("unknown flags", EINVAL, tee(p[0], q[1], 4, 64));
}

GROUP(vmsplice)
{
    int p[2], file = file_with("a", "");
    char text[32];
    struct iovec v[] = {{"abc", 3}, {"de", 2}}, to = {text, 32};
    MUST(pipe(p) == 0);
    EQ("into a pipe", 5, vmsplice(p[1], v, 2, 0));
    EQ("out of it", 5, vmsplice(p[0], &to, 1, 0));
    EQ("no vectors", 0, vmsplice(p[1], v, 0, 0));
    ERR("a file", EBADF, vmsplice(file, v, 1, 0));
    ERR("no descriptor", EBADF, vmsplice(NOFD, v, 1, 0));
    ERR("unknown flags", EINVAL, vmsplice(p[1], v, 1, 64));
    ERR("vectors nowhere", EFAULT, vmsplice(p[1], BAD, 1, 0));
    ERR("too many vectors", EINVAL, vmsplice(p[1], v, 1025, 0));
}

GROUP(copy_file_range)
{
    int in = file_with("in", "0123456789"), out = file_with("out", ""), p[2], dir = open(".", O_RDONLY);
    loff_t from = 2, to = 5;
    EQ("with own offsets", 4, copy_file_range(in, NULL, out, NULL, 4, 0));
    EQ("moves the first", 4, lseek(in, 0, SEEK_CUR));
    EQ("and the second", 4, lseek(out, 0, SEEK_CUR));
    EQ("with given ones", 8, copy_file_range(in, &from, out, &to, 100, 0));
    SHOW("they move", "%ld %ld", (long)from, (long)to);
    EQ("the length", 13, lseek(out, 0, SEEK_END));
    EQ("from the end", 0, copy_file_range(in, &from, out, NULL, 5, 0));
    EQ("none", 0, copy_file_range(in, NULL, out, NULL, 0, 0));
    from = 0, to = 5;
    EQ("within a file", 5, copy_file_range(in, &from, in, &to, 5, 0));
    from = 0, to = 3;
    ERR("that overlaps", EINVAL, copy_file_range(in, &from, in, &to, 5, 0));
    ERR("flags", EINVAL, copy_file_range(in, NULL, out, NULL, 5, 1));
    ERR("no descriptor", EBADF, copy_file_range(NOFD, NULL, out, NULL, 5, 0));
    int ro = open("out", O_RDONLY), wo = open("in", O_WRONLY), append = open("out", O_WRONLY | O_APPEND);
    ERR("not open for writing", EBADF, copy_file_range(in, NULL, ro, NULL, 5, 0));
    ERR("not open for reading", EBADF, copy_file_range(wo, NULL, out, NULL, 5, 0));
    ERR("O_APPEND", EBADF, copy_file_range(in, NULL, append, NULL, 5, 0));
    ERR("a directory", EISDIR, copy_file_range(dir, NULL, out, NULL, 5, 0));
    MUST(pipe(p) == 0);
    ERR("a pipe", EINVAL, copy_file_range(p[0], NULL, out, NULL, 5, 0));
    ERR("offsets nowhere", EFAULT, copy_file_range(in, BAD, out, NULL, 5, 0));
}

static void syncing(long (*call)(int))
{
    int fd = file_with("a", "a"), ro = open("a", O_RDONLY), dir = open(".", O_RDONLY), path = open("a", O_PATH), p[2], s[2];
    MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    OK("a file", call(fd));
    OK("open for reading", call(ro));
    OK("a directory", call(dir));
    ERR("no descriptor", EBADF, call(NOFD));
    ERR("O_PATH", EBADF, call(path));
    int null = open("/dev/null", O_RDWR);
    SHOW("/dev/null", "%s", call(null) ? error_name(errno) : "done");
    SHOW("a pipe", "%s", call(p[1]) ? error_name(errno) : "done");
    SHOW("a socket", "%s", call(s[1]) ? error_name(errno) : "done");
}
static long fsync_(int fd) { return fsync(fd); }
static long fdatasync_(int fd) { return fdatasync(fd); }
static long syncfs_(int fd) { return syncfs(fd); }
GROUP(fsync) { syncing(fsync_); }
GROUP(fdatasync) { syncing(fdatasync_); }
GROUP(syncfs) { syncing(syncfs_); }
GROUP(sync) { OK("returns", syscall(SYS_sync)); }

GROUP(sync_file_range)
{
    int fd = file_with("a", "abc"), p[2];
    MUST(pipe(p) == 0);
    for (int flags = 0; flags < 8; flags++)
        OK(named("flags %d", flags), sync_file_range(fd, 0, 0, flags));
    ERR("unknown flags", EINVAL, sync_file_range(fd, 0, 0, 8));
    ERR("a negative offset", EINVAL, sync_file_range(fd, -1, 0, 0));
    ERR("a negative length", EINVAL, sync_file_range(fd, 0, -1, 0));
    ERR("a pipe", ESPIPE, sync_file_range(p[0], 0, 0, 0));
    ERR("no descriptor", EBADF, sync_file_range(NOFD, 0, 0, 0));
}

GROUP(fadvise64)
{
    int fd = file_with("a", "abc"), p[2];
    MUST(pipe(p) == 0);
    for (int advice = 0; advice < 6; advice++)
        OK(named("advice %d", advice), syscall(SYS_fadvise64, fd, 0, 0, advice));
    ERR("unknown advice", EINVAL, syscall(SYS_fadvise64, fd, 0, 0, 6));
    ERR("a pipe", ESPIPE, syscall(SYS_fadvise64, p[0], 0, 0, 0));
    ERR("no descriptor", EBADF, syscall(SYS_fadvise64, NOFD, 0, 0, 0));
}

GROUP(readahead)
{
    int fd = file_with("a", "abc"), wo = open("a", O_WRONLY), p[2], dir = open(".", O_RDONLY);
    MUST(pipe(p) == 0);
    OK("a file", readahead(fd, 0, 4096));
    ERR("not open for reading", EBADF, readahead(wo, 0, 4096));
    ERR("no descriptor", EBADF, readahead(NOFD, 0, 4096));
    ERR("a pipe", EINVAL, readahead(p[0], 0, 4096));
    ERR("a directory", EINVAL, readahead(dir, 0, 4096));
}
