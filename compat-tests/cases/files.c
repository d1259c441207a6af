/* Files by call: what getdents, open, fallocate, statx, handles, renames, links and the rest of them answer at their edges. */
#include "case.h"
#include "tmpfs.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/select.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>

struct dirent64_ { uint64_t ino; int64_t off; unsigned short len; unsigned char type; char name[]; };

GROUP(getdents64)
{
    char b[4096], *edge = edge_page(PROT_READ | PROT_WRITE);
    in_tmpfs();
    mkdir("d", 0755);
    for (int i = 0; i < 20; i++)
        close(open(named("d/file%02d", i), O_CREAT | O_RDWR, 0600));
    int d = open("d", O_RDONLY);
    ERR("too small", EINVAL, syscall(SYS_getdents64, d, b, 1));
    ERR("nothing", EINVAL, syscall(SYS_getdents64, d, b, 0));
    ERR("bad memory", EFAULT, syscall(SYS_getdents64, d, BAD, 4096));
    ERR("kernel's memory", EFAULT, syscall(SYS_getdents64, d, KERNEL, 4096));
    ERR("a file", ENOTDIR, syscall(SYS_getdents64, open("d/file00", O_RDONLY), b, 4096));
    ERR("no file", EBADF, syscall(SYS_getdents64, NOFD, b, 4096));
    ERR("O_PATH", EBADF, syscall(SYS_getdents64, open("d", O_PATH), b, 4096));
    EQ("one", 24, syscall(SYS_getdents64, d, b, 24));
    YES("a size beyond what is there", syscall(SYS_getdents64, d, edge + 4096 - 64, 1 << 30) > 0);
    int all = 0;
    lseek(d, 0, SEEK_SET);
    for (long n; (n = syscall(SYS_getdents64, d, edge + 4096 - 200, 0x7fffffff)) > 0;)
        for (long at = 0; at < n; at += ((struct dirent64_ *)(edge + 4096 - 200 + at))->len)
            all++;
    EQ("all, none twice", 22, all);
    EQ("the end", 0, syscall(SYS_getdents64, d, b, 4096));
    mkdir("gone", 0755);
    d = open("gone", O_RDONLY);
    rmdir("gone");
    ERR("a removed directory", ENOENT, syscall(SYS_getdents64, d, b, 4096));
    ERR("too small for getdents", EINVAL, syscall(SYS_getdents, open("d", O_RDONLY), b, 1));
    ERR("bad memory for getdents", EFAULT, syscall(SYS_getdents, open("d", O_RDONLY), BAD, 4096));
}

GROUP(open_flags)
{
    in_tmpfs();
    mkdir("d", 0755);
    file_with("f", "text");
    symlink("f", "l"), symlink("d", "ld"), symlink("nothing", "dangling");
    mkfifo("p", 0666);
    ERR("O_DIRECT of a directory", EINVAL, open("d", O_RDONLY | O_DIRECT));
    YES("O_DIRECT of a file", open("f", O_RDONLY | O_DIRECT) >= 0);
    ERR("O_DIRECT of a device", EINVAL, open("/dev/null", O_RDONLY | O_DIRECT));
    ERR("O_DIRECT of /proc", EINVAL, open("/proc/self/stat", O_RDONLY | O_DIRECT));
    ERR("O_DIRECTORY of a file", ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
    ERR("O_NOFOLLOW of a link", ELOOP, open("l", O_RDONLY | O_NOFOLLOW));
    ERR("O_NOFOLLOW and O_DIRECTORY of a link", ENOTDIR, open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    YES("O_NOFOLLOW and O_PATH of a link", open("l", O_PATH | O_NOFOLLOW) >= 0);
    ERR("O_EXCL", EEXIST, open("f", O_RDWR | O_CREAT | O_EXCL, 0600));
    ERR("O_EXCL of a dangling link", EEXIST, open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600));
    ERR("O_CREAT of a directory", EISDIR, open("d", O_RDONLY | O_CREAT, 0600));
    ERR("O_CREAT with a slash", EISDIR, open("new/", O_RDWR | O_CREAT, 0600));
    ERR("O_CREAT and O_DIRECTORY", EINVAL, open("new", O_RDWR | O_CREAT | O_DIRECTORY, 0600));
    ERR("a directory for writing", EISDIR, open("d", O_WRONLY));
    ERR("a directory truncated", EISDIR, open("d", O_RDONLY | O_TRUNC));
    ERR("a fifo without a reader", ENXIO, open("p", O_WRONLY | O_NONBLOCK));
    ERR("a file as a directory", ENOTDIR, open("f/x", O_RDONLY));
    ERR("a slash behind a file", ENOTDIR, open("f/", O_RDONLY));
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "s"};
    MUST(!bind(s, (void *)&a, sizeof a));
    ERR("a socket", ENXIO, open("s", O_RDWR));
    int three = open("f", 3);
    YES("mode 3", three >= 0);
    char c;
    ERR("which reads nothing", EBADF, read(three, &c, 1));
    ERR("nor writes", EBADF, write(three, &c, 1));
    EQ("its flags", 3, fcntl(three, F_GETFL) & O_ACCMODE);
    ERR("O_TMPFILE for reading", EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600));
    ERR("O_TMPFILE with O_CREAT", EINVAL, open(".", O_TMPFILE | O_RDWR | O_CREAT, 0600));
    ERR("O_TMPFILE in a file", ENOTDIR, open("f", O_TMPFILE | O_RDWR, 0600));
    ERR("O_TMPFILE nowhere", ENOENT, open("nothing", O_TMPFILE | O_RDWR, 0600));
    int t = open(".", O_TMPFILE | O_RDWR, 0640), x = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
    struct stat st;
    fstat(t, &st);
    EQ("O_TMPFILE's links", 0, st.st_nlink);
    EQ("its mode", 0640, st.st_mode & 07777);
    char magic[64];
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", t);
    OK("linked", linkat(AT_FDCWD, magic, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    fstat(t, &st);
    EQ("then", 1, st.st_nlink);
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", x);
    ERR("with O_EXCL not", ENOENT, linkat(AT_FDCWD, magic, AT_FDCWD, "other", AT_SYMLINK_FOLLOW));
    EQ("F_CREATED_QUERY of O_TMPFILE", 0, fcntl(t, 1028));
    if (geteuid() == 0)
        OK("AT_EMPTY_PATH", linkat(t, "", AT_FDCWD, "again", AT_EMPTY_PATH));
    chmod(".", 0777);
    AS_NOBODY({
        ERR("O_NOATIME of another's file", EPERM, open("l", O_RDONLY | O_NOATIME));
        ERR("AT_EMPTY_PATH of others", ENOENT, linkat(t, "", AT_FDCWD, "once", AT_EMPTY_PATH));
    });
}

GROUP(o_path)
{
    in_tmpfs();
    file_with("f", "text");
    mkdir("d", 0755);
    int f = open("f", O_PATH), d = open("d", O_PATH);
    char b[16];
    struct stat st;
    ERR("read", EBADF, read(f, b, 1));
    ERR("write", EBADF, write(f, b, 1));
    ERR("ioctl", EBADF, ioctl(f, FIONREAD, b));
    ERR("fchmod", EBADF, fchmod(f, 0600));
    ERR("fchown", EBADF, fchown(f, 0, 0));
    ERR("fgetxattr", EBADF, syscall(SYS_fgetxattr, f, "user.x", b, 1));
    ERR("mmap", EBADF, (long)mmap(0, 4096, PROT_READ, MAP_PRIVATE, f, 0));
    ERR("lseek", EBADF, lseek(f, 0, SEEK_SET));
    ERR("ftruncate", EBADF, ftruncate(f, 0));
    ERR("fsync", EBADF, fsync(f));
    ERR("fallocate", EBADF, fallocate(f, 0, 0, 1));
    ERR("fadvise", EBADF, -(errno = posix_fadvise(f, 0, 0, 0)) ? -1 : 0);
    ERR("sync_file_range", EBADF, sync_file_range(f, 0, 0, 0));
    ERR("readahead", EBADF, readahead(f, 0, 1));
    ERR("getdents64", EBADF, syscall(SYS_getdents64, d, b, 16));
    ERR("futimens", EBADF, futimens(f, 0));
    OK("fstat", fstat(f, &st));
    OK("fstatfs", fstatfs(f, &(struct statfs){0}));
    OK("fchdir", ({ int r = fchdir(d); fchdir(d); chdir(".."); r; }));
    ERR("flock", EBADF, flock(f, LOCK_SH));
    ERR("epoll", EBADF, ({ struct epoll_event e = {.events = EPOLLIN}; epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, f, &e); }));
    struct pollfd p = {f, POLLIN, 0};
    EQ("poll", 1, poll(&p, 1, 0));
    EQ("POLLNVAL", POLLNVAL, p.revents);
    YES("dup", dup(f) >= 0);
    EQ("flags", O_PATH, fcntl(f, F_GETFL) & ~0100000);
    OK("fchmodat AT_EMPTY_PATH", syscall(452, f, "", 0600, AT_EMPTY_PATH));
    symlink("f", "l");
    int l = open("l", O_PATH | O_NOFOLLOW);
    EQ("readlinkat", 1, readlinkat(l, "", b, 16));
    OK("fstatat AT_EMPTY_PATH", fstatat(l, "", &st, AT_EMPTY_PATH));
    YES("is the link", S_ISLNK(st.st_mode));
}

GROUP(fallocate)
{
    in_tmpfs();
    int f = file_with("f", "0123456789"), r = open("f", O_RDONLY), p[2];
    MUST(!pipe(p));
    ERR("negative offset", EINVAL, fallocate(f, 0, -1, 1));
    ERR("no length", EINVAL, fallocate(f, 0, 0, 0));
    ERR("read only", EBADF, fallocate(r, 0, 0, 1));
    ERR("a pipe", ESPIPE, fallocate(p[1], 0, 0, 1));
    ERR("a directory", EBADF, fallocate(open(".", O_RDONLY), 0, 0, 1));
    ERR("a device", ENODEV, fallocate(open("/dev/null", O_WRONLY), 0, 0, 1));
    ERR("too far", EFBIG, fallocate(f, 0, LLONG_MAX - 1, 4096));
    ERR("unknown mode", EOPNOTSUPP, fallocate(f, 0x1000, 0, 1));
    ERR("punch without keep", EOPNOTSUPP, fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 1));
    ERR("collapse", EOPNOTSUPP, fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    ERR("insert", EOPNOTSUPP, fallocate(f, FALLOC_FL_INSERT_RANGE, 0, 4096));
    ERR("zero", EOPNOTSUPP, fallocate(f, FALLOC_FL_ZERO_RANGE, 0, 4096));
    ERR("zero and keep", EOPNOTSUPP, fallocate(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    ERR("unshare", EOPNOTSUPP, fallocate(f, FALLOC_FL_UNSHARE_RANGE, 0, 4096));
    struct stat st;
    OK("grow", fallocate(f, 0, 0, 10000));
    fstat(f, &st);
    EQ("size", 10000, st.st_size);
    EQ("blocks", 24, st.st_blocks);
    OK("keep", fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 20000));
    fstat(f, &st);
    EQ("size stays", 10000, st.st_size);
    EQ("blocks grow", 40, st.st_blocks);
    OK("punch", fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 4));
    char b[11] = "";
    pread(f, b, 10, 0);
    EQ("content", 0, memcmp(b, "01\0\0\0\0" "6789", 10));
    OK("punch pages", fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
    fstat(f, &st);
    EQ("blocks go", 24, st.st_blocks);
    struct rlimit rl = {5000, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    int g = open("g", O_RDWR | O_CREAT, 0600);
    setrlimit(RLIMIT_FSIZE, &rl);
    int result = fallocate(g, 0, 0, 6000), error = errno;
    rl.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &rl);
    fails("past RLIMIT_FSIZE", EFBIG, result, error);
}

GROUP(handles)
{
    in_tmpfs();
    file_with("f", "text");
    symlink("f", "l");
    mkdir("d", 0755);
    struct { struct file_handle h; unsigned char bytes[MAX_HANDLE_SZ]; } a = {{0}}, b = {{0}};
    int id = -1, id2 = -1;
    ERR("no room", EOVERFLOW, name_to_handle_at(AT_FDCWD, "f", &a.h, &id, 0));
    SHOW("room wanted", "%u", a.h.handle_bytes);
    a.h.handle_bytes = MAX_HANDLE_SZ + 1;
    ERR("too much room", EINVAL, name_to_handle_at(AT_FDCWD, "f", &a.h, &id, 0));
    a.h.handle_bytes = MAX_HANDLE_SZ;
    OK("a file", name_to_handle_at(AT_FDCWD, "f", &a.h, &id, 0));
    SHOW("kind", "%d %u", a.h.handle_type, a.h.handle_bytes);
    b.h.handle_bytes = MAX_HANDLE_SZ;
    OK("its link, followed", name_to_handle_at(AT_FDCWD, "l", &b.h, &id2, AT_SYMLINK_FOLLOW));
    YES("is the same", id == id2 && a.h.handle_bytes == b.h.handle_bytes && !memcmp(a.h.f_handle, b.h.f_handle, a.h.handle_bytes));
    OK("the link", name_to_handle_at(AT_FDCWD, "l", &b.h, &id2, 0));
    YES("is another", memcmp(a.h.f_handle, b.h.f_handle, a.h.handle_bytes));
    ERR("unknown flags", EINVAL, name_to_handle_at(AT_FDCWD, "f", &a.h, &id, 0x80000));
    ERR("nothing there", ENOENT, name_to_handle_at(AT_FDCWD, "nothing", &a.h, &id, 0));
    ERR("an empty name", ENOENT, name_to_handle_at(AT_FDCWD, "", &a.h, &id, 0));
    ERR("bad handle", EFAULT, name_to_handle_at(AT_FDCWD, "f", BAD, &id, 0));
    ERR("bad id", EFAULT, name_to_handle_at(AT_FDCWD, "f", &a.h, BAD, 0));
    int f = open("f", O_PATH), m = open(".", O_RDONLY);
    OK("AT_EMPTY_PATH", name_to_handle_at(f, "", &a.h, &id, AT_EMPTY_PATH));
    ERR("of /proc", EOPNOTSUPP, name_to_handle_at(AT_FDCWD, "/proc/self/stat", &b.h, &id2, 0));
    if (geteuid() == 0) {
        int g = open_by_handle_at(m, &a.h, O_RDONLY);
        YES("opened", g >= 0);
        char text[8] = "";
        read(g, text, 7);
        TEXT("content", "text", text);
        ERR("no directory for it", EBADF, open_by_handle_at(NOFD, &a.h, O_RDONLY));
        ERR("no handle", EFAULT, open_by_handle_at(m, BAD, O_RDONLY));
        b = a;
        b.h.handle_bytes = 0;
        ERR("an empty handle", EINVAL, open_by_handle_at(m, &b.h, O_RDONLY));
        b.h.handle_bytes = MAX_HANDLE_SZ + 1;
        ERR("a large handle", EINVAL, open_by_handle_at(m, &b.h, O_RDONLY));
        b = a;
        b.h.handle_type = 77;
        YES("another kind", open_by_handle_at(m, &b.h, O_RDONLY) >= 0);
        struct stat st, st2;
        OK("a directory", name_to_handle_at(AT_FDCWD, "d", &b.h, &id, 0));
        g = open_by_handle_at(m, &b.h, O_RDONLY | O_DIRECTORY);
        YES("opened too", g >= 0 && !fstat(g, &st) && !stat("d", &st2) && st.st_ino == st2.st_ino);
        ERR("a directory for writing", EISDIR, open_by_handle_at(m, &b.h, O_WRONLY));
        name_to_handle_at(AT_FDCWD, "l", &b.h, &id, 0);
        ERR("a symbolic link", ELOOP, open_by_handle_at(m, &b.h, O_RDONLY));
        YES("a symbolic link as a path", open_by_handle_at(m, &b.h, O_PATH) >= 0);
        unlink("f"), close(f), close(g);
        int gone = open_by_handle_at(m, &a.h, O_RDONLY);
        SHOW("an open file without a name", "%s", gone < 0 ? error_name(errno) : "opened");
        AS_NOBODY(ERR("others", EPERM, open_by_handle_at(m, &b.h, O_RDONLY)));
    }
}

GROUP(statx)
{
    in_tmpfs();
    int f = file_with("f", "text");
    struct statx x;
    ERR("reserved mask", EINVAL, statx(AT_FDCWD, "f", 0, 0x80000000u, &x));
    ERR("bad flags", EINVAL, statx(AT_FDCWD, "f", 0x10000000, STATX_ALL, &x));
    ERR("both kinds of sync", EINVAL, statx(AT_FDCWD, "f", AT_STATX_SYNC_TYPE, STATX_ALL, &x));
    ERR("bad memory", EFAULT, statx(AT_FDCWD, "f", 0, STATX_ALL, BAD));
    ERR("bad name", EFAULT, statx(AT_FDCWD, BAD, 0, STATX_ALL, &x));
    ERR("no directory", EBADF, statx(NOFD, "f", 0, STATX_ALL, &x));
    ERR("an empty name", ENOENT, statx(f, "", 0, STATX_ALL, &x));
    OK("nothing asked", statx(AT_FDCWD, "f", 0, 0, &x));
    SHOW("what is given", "%x", x.stx_mask & ~(STATX_DIOALIGN | 0x4000 | 0x10000));
    OK("all", statx(f, "", AT_EMPTY_PATH, STATX_ALL | STATX_MNT_ID, &x));
    SHOW("mask", "%x", x.stx_mask & 0x3fff);
    EQ("size", 4, x.stx_size);
    EQ("mode", 0100644, x.stx_mode);
    EQ("attributes that it knows", 0, (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP) & ~x.stx_attributes_mask);
    struct stat st;
    fstat(f, &st);
    YES("same number", st.st_ino == x.stx_ino && st.st_dev == makedev(x.stx_dev_major, x.stx_dev_minor));
    YES("born", x.stx_btime.tv_sec >= st.st_mtime - 5 && x.stx_btime.tv_sec <= st.st_mtime);
    uint64_t old = 0;
    OK("unique mount", statx(AT_FDCWD, "f", 0, 0x4000, &x));
    EQ("says so", 0x4000, x.stx_mask & 0x5000);
    (void)old;
}

static void touch_old(const char *path)
{
    struct timespec t[2] = {{1000, 0}, {1000, 0}};
    utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
}

/* Which times of `path` are later than when they were made old; ctime against `since`. */
static const char *times(const char *path, struct timespec since)
{
    static char text[16];
    struct stat st;
    lstat(path, &st);
    snprintf(text, sizeof text, "%s%s%s", st.st_atime != 1000 ? "a" : "", st.st_mtime != 1000 ? "m" : "",
             st.st_ctim.tv_sec > since.tv_sec || (st.st_ctim.tv_sec == since.tv_sec && st.st_ctim.tv_nsec > since.tv_nsec) ? "c" : "");
    return text;
}

#define CHANGES(name, want, path, ...)                                                                                           \
    do {                                                                                                                         \
        touch_old(path);                                                                                                         \
        struct stat before_;                                                                                                     \
        lstat(path, &before_);                                                                                                   \
        pause_ms(12);                                                                                                            \
        __VA_ARGS__;                                                                                                             \
        TEXT(name, want, times(path, before_.st_ctim));                                                                          \
    } while (0)

GROUP(file_times)
{
    in_tmpfs();
    int f = file_with("f", "text");
    char b[64];
    mkdir("d", 0755);
    CHANGES("read", "a", "f", pread(f, b, 4, 0));
    CHANGES("write", "mc", "f", pwrite(f, "x", 1, 0));
    CHANGES("write of nothing", "", "f", pwrite(f, "x", 0, 0));
    CHANGES("chmod", "c", "f", chmod("f", 0600));
    CHANGES("chown", "c", "f", chown("f", geteuid(), -1));
    CHANGES("link", "c", "f", link("f", "g"));
    CHANGES("unlink of the other", "c", "f", unlink("g"));
    CHANGES("rename", "c", "f", rename("f", "h"); rename("h", "f"));
    CHANGES("ftruncate to the same", "mc", "f", ftruncate(f, 4));
    CHANGES("truncate to another", "mc", "f", truncate("f", 8));
    CHANGES("O_TRUNC", "mc", "f", close(open("f", O_WRONLY | O_TRUNC)));
    CHANGES("O_TRUNC of an empty one", "mc", "f", close(open("f", O_WRONLY | O_TRUNC)));
    CHANGES("fallocate", "mc", "f", fallocate(f, 0, 0, 10));
    CHANGES("open", "", "f", close(open("f", O_RDWR)));
    CHANGES("directory: new file", "mc", "d", close(open("d/x", O_CREAT | O_RDWR, 0600)));
    CHANGES("directory: removed", "mc", "d", unlink("d/x"));
    CHANGES("directory: mkdir", "mc", "d", mkdir("d/s", 0755));
    CHANGES("directory: read", "a", "d", int d = open("d", O_RDONLY); syscall(SYS_getdents64, d, b, 64); close(d));
    CHANGES("directory: lookup", "", "d", access("d/s", F_OK));
    symlink("f", "l");
    CHANGES("link: read", "a", "l", readlink("l", b, 64));
    CHANGES("link: followed", "a", "l", access("l", F_OK));
    void *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    CHANGES("mmap write", "mc", "f", *(volatile char *)map = 'x'; msync(map, 4096, MS_SYNC));
    CHANGES("utimensat now", "amc", "f", utimensat(AT_FDCWD, "f", 0, 0));
}

GROUP(rename)
{
    in_tmpfs();
    file_with("f", "f"), file_with("g", "g");
    mkdir("d", 0755), mkdir("e", 0755), mkdir("e/s", 0755);
    symlink("f", "l");
#define R2(a, b, flags) syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, flags)
    ERR("unknown flags", EINVAL, R2("f", "g", 0x10));
    ERR("NOREPLACE and EXCHANGE", EINVAL, R2("f", "g", 3));
    ERR("WHITEOUT and EXCHANGE", EINVAL, R2("f", "g", 6));
    ERR("NOREPLACE", EEXIST, R2("f", "g", 1));
    OK("NOREPLACE of a free name", R2("f", "n", 1));
    OK("EXCHANGE", R2("n", "d", 2));
    struct stat st;
    lstat("n", &st);
    YES("is the directory", S_ISDIR(st.st_mode));
    ERR("EXCHANGE with nothing", ENOENT, R2("n", "nothing", 2));
    ERR("EXCHANGE with what it is in", EINVAL, R2("e", "e/s", 2));
    ERR("directory over a file", ENOTDIR, rename("n", "g"));
    ERR("file over a directory", EISDIR, rename("g", "n"));
    ERR("over a full directory", ENOTEMPTY, rename("n", "e"));
    ERR("into itself", EINVAL, rename("e", "e/s/x"));
    ERR("of .", EBUSY, rename("n/.", "x"));
    ERR("to ..", EBUSY, rename("g", "n/.."));
    ERR("a slash behind a file", ENOTDIR, rename("g/", "x"));
    ERR("to a slash behind nothing", ENOTDIR, rename("g", "x/"));
    OK("to the same", rename("g", "g"));
    link("g", "g2");
    OK("over another name of it", rename("g", "g2"));
    OK("which keeps both", access("g", F_OK) | access("g2", F_OK));
    ERR("an empty name", ENOENT, rename("", "x"));
    char name[300];
    memset(name, 'n', 256);
    name[256] = 0;
    ERR("a long name", ENAMETOOLONG, rename("g", name));
    if (geteuid() == 0) {
        OK("WHITEOUT", R2("g", "w", 4));
        OK("leaves something", lstat("g", &st));
        YES("a device 0:0", S_ISCHR(st.st_mode) && st.st_rdev == 0);
        mkdir("sticky", 01777), chmod("sticky", 01777);
        close(open("sticky/f", O_CREAT | O_RDWR, 0666));
        chmod(".", 0777);
        AS_NOBODY({
            ERR("out of a sticky directory", EPERM, rename("sticky/f", "sticky/g"));
            ERR("removed from it", EPERM, unlink("sticky/f"));
            close(open("sticky/own", O_CREAT | O_RDWR, 0666));
            OK("one's own", unlink("sticky/own"));
        });
    }
}

GROUP(mknod)
{
    struct stat st;
    OK("no type is a file", mknod("f", 0640, 0));
    stat("f", &st);
    EQ("mode", 0100640, st.st_mode);
    OK("fifo", mknod("p", S_IFIFO | 0600, 0));
    OK("socket", mknod("s", S_IFSOCK | 0600, 0));
    ERR("directory", EPERM, mknod("d", S_IFDIR | 0700, 0));
    ERR("link", EINVAL, mknod("l", S_IFLNK | 0700, 0));
    ERR("no kind", EINVAL, mknod("x", 0170000 | 0700, 0));
    ERR("exists", EEXIST, mknod("f", 0600, 0));
    ERR("a slash behind", ENOENT, mknod("x/", 0600, 0));
    if (geteuid() == 0) {
        OK("block device", mknod("b", S_IFBLK | 0600, makedev(240, 77)));
        ERR("which is not there", ENXIO, open("b", O_RDONLY));
        OK("device", mknod("c", S_IFCHR | 0600, makedev(1, 3)));
        YES("which is", open("c", O_RDWR) >= 0);
        mkdir("g", 0755);
        MUST(!chown("g", 0, 1234) && !chmod("g", 02775));
        mkdir("g/d", 0755);
        stat("g/d", &st);
        EQ("a directory in a set-group-ID one", 042755, st.st_mode);
        EQ("its group", 1234, st.st_gid);
        close(open("g/f", O_CREAT | O_RDWR, 02775));
        stat("g/f", &st);
        EQ("a file in it", 0102755, st.st_mode);
        chmod(".", 0777), chmod("g", 02777);
        AS_NOBODY({
            ERR("a device of others", EPERM, mknod("x", S_IFCHR | 0600, makedev(1, 3)));
            close(open("g/n", O_CREAT | O_RDWR, 02775));
            stat("g/n", &st);
            EQ("without the group", 0100755, st.st_mode);
        });
    }
}

GROUP(link)
{
    in_tmpfs();
    file_with("f", "x");
    mkdir("d", 0755);
    symlink("f", "l"), symlink("nothing", "dangling");
    ERR("exists", EEXIST, link("f", "d"));
    ERR("nothing there", ENOENT, link("nothing", "x"));
    ERR("a directory", EPERM, link("d", "x"));
    ERR("bad flags", EINVAL, linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x800));
    OK("a symbolic link", link("l", "l2"));
    struct stat st;
    lstat("l2", &st);
    YES("itself", S_ISLNK(st.st_mode));
    OK("followed", linkat(AT_FDCWD, "l", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW));
    lstat("f2", &st);
    YES("is the file", S_ISREG(st.st_mode));
    ERR("dangling, followed", ENOENT, linkat(AT_FDCWD, "dangling", AT_FDCWD, "x", AT_SYMLINK_FOLLOW));
    ERR("over a dangling link", EEXIST, link("f", "dangling"));
    ERR("a slash behind", ENOENT, link("f", "x/"));
    ERR("no directory", EBADF, linkat(NOFD, "f", AT_FDCWD, "x", 0));
    int f = open("f", O_RDONLY);
    ERR("a file as one", ENOTDIR, linkat(f, "f", AT_FDCWD, "x", 0));
    ERR("symlink exists", EEXIST, symlink("x", "f"));
    ERR("symlink to nothing", ENOENT, symlink("", "x"));
    char b[8];
    ERR("readlink of a file", EINVAL, readlink("f", b, 8));
    ERR("readlink into nothing", EINVAL, readlink("l", b, 0));
    ERR("readlink into bad memory", EFAULT, readlink("l", BAD, 8));
    EQ("readlink cut short", 2, readlink("dangling", b, 2));
}

GROUP(advice)
{
    in_tmpfs();
    int f = file_with("f", "text"), p[2];
    MUST(!pipe(p));
#define ADVISE(...) ((errno = posix_fadvise(__VA_ARGS__)) ? -1 : 0)
    for (int i = 0; i < 6; i++)
        OK(named("fadvise %d", i), ADVISE(f, 0, 0, i));
    ERR("fadvise of no kind", EINVAL, ADVISE(f, 0, 0, 6));
    ERR("fadvise of a negative length", EINVAL, ADVISE(f, 0, -1, 0));
    OK("fadvise of a negative offset", ADVISE(f, -1, 0, 0));
    ERR("fadvise of a pipe", ESPIPE, ADVISE(p[0], 0, 0, 0));
    ERR("fadvise of a pipe of no kind", ESPIPE, ADVISE(p[0], 0, 0, 99));
    OK("sync_file_range", sync_file_range(f, 0, 10, 7));
    ERR("sync_file_range of unknown flags", EINVAL, sync_file_range(f, 0, 10, 8));
    ERR("sync_file_range of a negative offset", EINVAL, sync_file_range(f, -1, 10, 1));
    ERR("sync_file_range of a negative length", EINVAL, sync_file_range(f, 0, -1, 1));
    ERR("sync_file_range of a pipe", ESPIPE, sync_file_range(p[0], 0, 10, 1));
    ERR("sync_file_range of a device", ESPIPE, sync_file_range(open("/dev/null", O_WRONLY), 0, 10, 1));
    OK("sync_file_range of a directory", sync_file_range(open(".", O_RDONLY), 0, 10, 1));
    ERR("readahead of a pipe", EINVAL, readahead(p[0], 0, 1));
    ERR("readahead of what is write only", EBADF, readahead(open("f", O_WRONLY), 0, 1));
    ERR("readahead of a directory", EINVAL, readahead(open(".", O_RDONLY), 0, 1));
    ERR("readahead of a socket", EINVAL, readahead(socket(AF_UNIX, SOCK_STREAM, 0), 0, 1));
    OK("readahead", readahead(f, 0, 100));
    ERR("lseek of a pipe", ESPIPE, lseek(p[0], 0, SEEK_SET));
    ERR("lseek of no kind", EINVAL, lseek(f, 0, 17));
    ERR("lseek before", EINVAL, lseek(f, -1, SEEK_SET));
    ERR("SEEK_DATA behind the end", ENXIO, lseek(f, 4, SEEK_DATA));
    EQ("SEEK_HOLE", 4, lseek(f, 0, SEEK_HOLE));
    ERR("SEEK_HOLE of a negative offset", ENXIO, lseek(f, -1, SEEK_HOLE));
    struct { uint64_t off, len; } range = {0, 4096};
    uint64_t cs[5] = {7, 7, 7, 7, 7};
    MUST(!ftruncate(f, 16384) && pwrite(f, "x", 1, 8192) == 1);
    range.len = 16384;
    OK("cachestat", syscall(451, f, &range, cs, 0));
    EQ("pages there", 2, cs[0]);
    range.len = 4096;
    syscall(451, f, &range, cs, 0);
    EQ("of the first", 1, cs[0]);
    range.len = 0;
    syscall(451, f, &range, cs, 0);
    EQ("to the end", 2, cs[0]);
    ERR("cachestat of unknown flags", EINVAL, syscall(451, f, &range, cs, 1));
    ERR("cachestat of bad memory", EFAULT, syscall(451, f, BAD, cs, 0));
    ERR("cachestat into bad memory", EFAULT, syscall(451, f, &range, BAD, 0));
    ERR("cachestat of no file", EBADF, syscall(451, NOFD, &range, cs, 0));
}

GROUP(memfd)
{
    char longname[256];
    memset(longname, 'a', 255);
    longname[249] = 0;
    YES("a name of 249", memfd_create(longname, 0) >= 0);
    longname[249] = 'a', longname[250] = 0;
    ERR("a name of 250", EINVAL, memfd_create(longname, 0));
    ERR("unknown flags", EINVAL, memfd_create("x", 0x100));
    ERR("two kinds of exec", EINVAL, memfd_create("x", 0x18));
    ERR("bad name", EFAULT, memfd_create(BAD, 0));
    int m = memfd_create("x", MFD_ALLOW_SEALING), n = memfd_create("x", 0);
    EQ("no seals", 0, fcntl(m, F_GET_SEALS));
    EQ("sealed against seals", F_SEAL_SEAL, fcntl(n, F_GET_SEALS));
    ERR("so it is", EPERM, fcntl(n, F_ADD_SEALS, F_SEAL_GROW));
    ERR("unknown seals", EINVAL, fcntl(m, F_ADD_SEALS, 0x100));
    OK("grow", fcntl(m, F_ADD_SEALS, F_SEAL_GROW));
    ERR("growing", EPERM, ftruncate(m, 10));
    ERR("writing", EPERM, write(m, "x", 1));
    m = memfd_create("x", MFD_ALLOW_SEALING);
    ftruncate(m, 8192);
    OK("shrink", fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK));
    ERR("shrinking", EPERM, ftruncate(m, 4096));
    OK("growing is another thing", ftruncate(m, 9000));
    void *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
    ERR("write while it is mapped", EBUSY, fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
    OK("future writes", fcntl(m, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    *(volatile char *)map = 'x';
    ERR("write", EPERM, write(m, "x", 1));
    ERR("a new mapping", EPERM, (long)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0));
    YES("a private one", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, m, 0) != MAP_FAILED);
    munmap(map, 4096);
    OK("write then", fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
    ERR("punch", EPERM, fallocate(m, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    OK("no more", fcntl(m, F_ADD_SEALS, F_SEAL_SEAL));
    ERR("so", EPERM, fcntl(m, F_ADD_SEALS, F_SEAL_GROW));
    char magic[64];
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", m);
    int r = open(magic, O_RDONLY);
    ERR("seals by who only reads", EPERM, fcntl(r, F_ADD_SEALS, F_SEAL_GROW));
    EQ("seen by who only reads", 0x1b, fcntl(r, F_GET_SEALS) & 0x1f);
    ERR("seals of a pipe", EINVAL, ({ int p[2]; pipe(p); fcntl(p[1], F_GET_SEALS); }));
}

GROUP(event_files)
{
    uint64_t v = 1;
    int e = eventfd(0, EFD_NONBLOCK);
    ERR("eventfd: unknown flags", EINVAL, eventfd(0, 0x1000));
    ERR("eventfd: short read", EINVAL, read(e, &v, 7));
    ERR("eventfd: short write", EINVAL, write(e, &v, 7));
    ERR("eventfd: nothing", EAGAIN, read(e, &v, 8));
    char wide[16] = {1};
    ERR("eventfd: long write", EINVAL, write(e, wide, 16));
    EQ("eventfd: write", 8, write(e, wide, 8));
    EQ("eventfd: long read", 8, read(e, wide, 16));
    v = -1;
    ERR("eventfd: all ones", EINVAL, write(e, &v, 8));
    v = -2;
    EQ("eventfd: the most", 8, write(e, &v, 8));
    v = 1;
    ERR("eventfd: one more", EAGAIN, write(e, &v, 8));
    struct pollfd p = {e, POLLIN | POLLOUT, 0};
    poll(&p, 1, 0);
    EQ("eventfd: poll", POLLIN, p.revents);
    ERR("eventfd: pread", ESPIPE, pread(e, &v, 8, 0));
    ERR("timerfd: clock", EINVAL, timerfd_create(77, 0));
    ERR("timerfd: flags", EINVAL, timerfd_create(CLOCK_MONOTONIC, 1));
    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec its = {{0, 0}, {0, 1000000000}};
    ERR("timerfd: a bad time", EINVAL, timerfd_settime(t, 0, &its, 0));
    its.it_value.tv_nsec = 1;
    ERR("timerfd: set flags", EINVAL, timerfd_settime(t, 8, &its, 0));
    ERR("timerfd: no timer", EINVAL, timerfd_settime(e, 0, &its, 0));
    ERR("timerfd: no file", EBADF, timerfd_settime(NOFD, 0, &its, 0));
    ERR("timerfd: bad memory", EFAULT, timerfd_settime(t, 0, BAD, 0));
    ERR("timerfd: nothing", EAGAIN, read(t, &v, 8));
    ERR("timerfd: write", EINVAL, write(t, &v, 8));
    ERR("timerfd: short read", EINVAL, read(t, &v, 7));
    OK("timerfd: set", timerfd_settime(t, 0, &its, 0));
    pause_ms(5);
    EQ("timerfd: read", 8, read(t, &v, 8));
    EQ("timerfd: once", 1, v);
    EQ("timerfd: TFD_IOC_SET_TICKS", 0, ({ uint64_t n = 5; ioctl(t, _IOW('T', 0, uint64_t), &n); }));
    read(t, &v, 8);
    SHOW("timerfd: ticks", "%d", (int)v);
}

GROUP(epoll_rules)
{
    int e = epoll_create1(0), p[2], f = open("f", O_RDWR | O_CREAT, 0600);
    MUST(!pipe(p));
    struct epoll_event ev = {.events = EPOLLIN};
    ERR("a file", EPERM, epoll_ctl(e, EPOLL_CTL_ADD, f, &ev));
    ERR("a directory", EPERM, epoll_ctl(e, EPOLL_CTL_ADD, open(".", O_RDONLY), &ev));
    ERR("itself", EINVAL, epoll_ctl(e, EPOLL_CTL_ADD, e, &ev));
    ERR("no such call", EINVAL, epoll_ctl(e, 17, p[0], &ev));
    ERR("bad memory", EFAULT, epoll_ctl(e, EPOLL_CTL_ADD, p[0], BAD));
    ERR("no epoll", EINVAL, epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &ev));
    ERR("not there", ENOENT, epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev));
    ERR("not there to remove", ENOENT, epoll_ctl(e, EPOLL_CTL_DEL, p[0], 0));
    OK("added", epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
    ERR("twice", EEXIST, epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
    ev.events = EPOLLIN | EPOLLEXCLUSIVE;
    ERR("EPOLLEXCLUSIVE of what is there", EINVAL, epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev));
    int q = epoll_create1(0);
    ERR("EPOLLEXCLUSIVE of an epoll", EINVAL, epoll_ctl(e, EPOLL_CTL_ADD, q, &ev));
    ev.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
    ERR("EPOLLEXCLUSIVE and EPOLLONESHOT", EINVAL, epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev));
    ev.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI;
    ERR("EPOLLEXCLUSIVE and EPOLLPRI", EINVAL, epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev));
    ev.events = EPOLLOUT | EPOLLEXCLUSIVE | EPOLLET;
    OK("EPOLLEXCLUSIVE and EPOLLET", epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev));
    ERR("then changed", EINVAL, epoll_ctl(e, EPOLL_CTL_MOD, p[1], &ev));
    OK("removed", epoll_ctl(e, EPOLL_CTL_DEL, p[1], 0));
    ev.events = EPOLLIN;
    OK("an epoll in an epoll", epoll_ctl(e, EPOLL_CTL_ADD, q, &ev));
    ERR("in a circle", ELOOP, epoll_ctl(q, EPOLL_CTL_ADD, e, &ev));
    int chain[7];
    for (int i = 0; i < 7; i++)
        chain[i] = epoll_create1(0);
    int i = 1;
    while (i < 7 && epoll_ctl(chain[i], EPOLL_CTL_ADD, chain[i - 1], &ev) == 0)
        i++;
    SHOW("how deep", "%d %s", i, error_name(errno));
    struct epoll_event got[2];
    ERR("no room", EINVAL, epoll_wait(e, got, 0, 0));
    ERR("negative room", EINVAL, epoll_wait(e, got, -1, 0));
    ERR("wait of no epoll", EINVAL, epoll_wait(p[0], got, 1, 0));
    ERR("wait of no file", EBADF, epoll_wait(NOFD, got, 1, 0));
    write(p[1], "x", 1);
    ERR("wait into bad memory", EFAULT, epoll_wait(e, BAD, 1, 0));
    EQ("stays", 1, epoll_wait(e, got, 2, 0));
    struct timespec bad = {0, 1000000000}, zero = {0, 0};
    ERR("epoll_pwait2 of a bad time", EINVAL, syscall(441, e, got, 1, &bad, 0, 0));
    EQ("epoll_pwait2", 1, syscall(441, e, got, 1, &zero, 0, 0));
    sigset_t mask;
    sigemptyset(&mask);
    ERR("a mask of another size", EINVAL, syscall(SYS_epoll_pwait, e, got, 1, 0, &mask, 4));
    ERR("epoll_create of nothing", EINVAL, epoll_create(0));
    ERR("epoll_create1 of unknown flags", EINVAL, epoll_create1(1));
    ERR("ADD with a bad epoll", EBADF, epoll_ctl(NOFD, EPOLL_CTL_ADD, p[0], &ev));
    ERR("ADD of no file", EBADF, epoll_ctl(e, EPOLL_CTL_ADD, NOFD, &ev));
    int v = eventfd(0, EFD_NONBLOCK);
    uint64_t one = 1;
    ev.events = EPOLLIN | EPOLLET | EPOLLOUT;
    int w = epoll_create1(0);
    MUST(!epoll_ctl(w, EPOLL_CTL_ADD, v, &ev));
    EQ("eventfd: at first", 1, epoll_wait(w, got, 2, 0));
    EQ("eventfd: once", 0, epoll_wait(w, got, 2, 0));
    write(v, &one, 8);
    EQ("eventfd: a write", 1, epoll_wait(w, got, 2, 0));
    write(v, &one, 8);
    EQ("eventfd: another", 1, epoll_wait(w, got, 2, 0));
    read(v, &one, 8);
    EQ("eventfd: a read", 1, epoll_wait(w, got, 2, 0));
    EQ("eventfd: nothing more", 0, epoll_wait(w, got, 2, 0));
}

GROUP(select_rules)
{
    fd_set s;
    struct timeval zero = {0, 0}, bad = {0, -1}, left = {0, 30000};
    FD_ZERO(&s);
    ERR("negative count", EINVAL, select(-1, 0, 0, 0, &zero));
    ERR("bad time", EINVAL, select(0, 0, 0, 0, &bad));
    FD_SET(NOFD, &s);
    EQ("a number beyond the table", 0, select(NOFD + 1, &s, 0, 0, &zero));
    FD_ZERO(&s);
    FD_SET(60, &s);
    ERR("no file", EBADF, select(61, &s, 0, 0, &zero));
    ERR("bad memory", EFAULT, select(10, BAD, 0, 0, &zero));
    EQ("nothing", 0, select(0, 0, 0, 0, &left));
    EQ("no time left", 0, left.tv_sec * 1000000 + left.tv_usec);
    struct rlimit rl, few;
    getrlimit(RLIMIT_NOFILE, &rl);
    struct pollfd p[20] = {{0}};
    few = rl;
    few.rlim_cur = 16;
    setrlimit(RLIMIT_NOFILE, &few);
    long r = poll(p, 17, 0);
    int e = errno;
    setrlimit(RLIMIT_NOFILE, &rl);
    fails("more than there may be files", EINVAL, r, e);
    p[0] = (struct pollfd){NOFD, POLLIN, 0};
    EQ("poll of no file", 1, poll(p, 1, 0));
    EQ("says so", POLLNVAL, p[0].revents);
    p[0] = (struct pollfd){-5, POLLIN, 77};
    EQ("poll of a negative one", 0, poll(p, 1, 0));
    EQ("says nothing", 0, p[0].revents);
    ERR("poll of bad memory", EFAULT, poll(BAD, 1, 0));
    struct timespec t = {0, -1}, ok = {0, 20000000};
    ERR("ppoll of a bad time", EINVAL, ppoll(p, 0, &t, 0));
    ERR("ppoll: a mask of another size", EINVAL, syscall(SYS_ppoll, p, 0, &ok, &s, 4));
    /* STICKY_TIMEOUTS: what is left is not told. */
    if (syscall(SYS_personality, 0x4000000) >= 0) {
        left = (struct timeval){0, 20000};
        select(0, 0, 0, 0, &left);
        EQ("STICKY_TIMEOUTS", 20000, left.tv_usec);
        struct timespec raw = {0, 10000000};
        syscall(SYS_ppoll, p, 0, &raw, 0, 8);
        EQ("STICKY_TIMEOUTS of ppoll", 10000000, raw.tv_nsec);
    }
}

GROUP(close_range_flags)
{
    int a = dup(1), b = dup(1);
    ERR("unknown flags", EINVAL, syscall(SYS_close_range, a, b, 1));
    ERR("backwards", EINVAL, syscall(SYS_close_range, b, a, 0));
    OK("CLOEXEC", syscall(SYS_close_range, a, b, 4));
    EQ("is set", FD_CLOEXEC, fcntl(b, F_GETFD));
    OK("close", syscall(SYS_close_range, a, b, 0));
    ERR("closed", EBADF, fcntl(a, F_GETFD));
    OK("nothing there", syscall(SYS_close_range, 500, ~0u, 0));
    OK("UNSHARE", syscall(SYS_close_range, 500, ~0u, 2));
    ERR("dup3 to the same", EINVAL, dup3(1, 1, 0));
    ERR("dup3 with flags", EINVAL, dup3(1, 5, 1));
    ERR("dup2 beyond", EBADF, dup2(1, 1 << 30));
    ERR("dup2 to a negative one", EBADF, dup2(1, -1));
    ERR("dup2 of nothing to itself", EBADF, dup2(NOFD, NOFD));
}
