/* What each call on a descriptor answers for each kind of file. */
#include "case.h"
#include "tmpfs.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <sys/un.h>
#include <sys/xattr.h>

struct kind { const char *what; int fd; };

static int pair[2], unix_pair[2];

/* One of each kind that both systems have, none of which waits. */
static size_t kinds(struct kind *k)
{
    size_t n = 0;
    sigset_t set;
    sigemptyset(&set);
    MUST(!mkdir("dir", 0755) || errno == EEXIST);
    close(file_with("file", "0123456789"));
    mkfifo("fifo", 0600);
    MUST(!pipe2(pair, O_NONBLOCK) && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, unix_pair));
    k[n++] = (struct kind){"file", open("file", O_RDWR)};
    k[n++] = (struct kind){"read only", open("file", O_RDONLY)};
    k[n++] = (struct kind){"write only", open("file", O_WRONLY)};
    k[n++] = (struct kind){"append", open("file", O_RDWR | O_APPEND)};
    k[n++] = (struct kind){"path", open("file", O_PATH)};
    k[n++] = (struct kind){"directory", open("dir", O_RDONLY)};
    k[n++] = (struct kind){"null", open("/dev/null", O_RDWR)};
    k[n++] = (struct kind){"zero", open("/dev/zero", O_RDWR)};
    k[n++] = (struct kind){"full", open("/dev/full", O_RDWR)};
    k[n++] = (struct kind){"urandom", open("/dev/urandom", O_RDONLY)};
    k[n++] = (struct kind){"pipe, reading", pair[0]};
    k[n++] = (struct kind){"pipe, writing", pair[1]};
    k[n++] = (struct kind){"fifo", open("fifo", O_RDWR | O_NONBLOCK)};
    k[n++] = (struct kind){"unix", unix_pair[0]};
    k[n++] = (struct kind){"unconnected", socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    k[n++] = (struct kind){"inet", socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    k[n++] = (struct kind){"epoll", epoll_create1(0)};
    k[n++] = (struct kind){"eventfd", eventfd(0, EFD_NONBLOCK)};
    k[n++] = (struct kind){"signalfd", signalfd(-1, &set, SFD_NONBLOCK)};
    k[n++] = (struct kind){"timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)};
    k[n++] = (struct kind){"inotify", inotify_init1(IN_NONBLOCK)};
    k[n++] = (struct kind){"memfd", memfd_create("m", MFD_ALLOW_SEALING)};
    for (size_t i = 0; i < n; i++)
        MUST(k[i].fd >= 0);
    return n;
}

static char buffer[256];

/* Where the group began. */
static const char *cwd_of_group(void)
{
    static char path[PATH_MAX];
    return *path ? path : getcwd(path, sizeof path);
}

/* `expression` with `fd`: its value or its error, for each kind. */
#define EACH(name, expression)                                                                                                   \
    do {                                                                                                                         \
        struct kind k_[40];                                                                                                      \
        size_t n_ = kinds(k_);                                                                                                   \
        for (size_t i_ = 0; i_ < n_; i_++) {                                                                                     \
            int fd = k_[i_].fd;                                                                                                  \
            errno = 0;                                                                                                           \
            long r_ = (long)(expression);                                                                                        \
            if (r_ == -1)                                                                                                        \
                SHOW(named("%s: %s", name, k_[i_].what), "%s", error_name(errno));                                              \
            else                                                                                                                 \
                SHOW(named("%s: %s", name, k_[i_].what), "%ld", r_);                                                            \
        }                                                                                                                        \
        for (size_t i_ = 0; i_ < n_; i_++)                                                                                       \
            close(k_[i_].fd);                                                                                                    \
        close(unix_pair[1]);                                                                                                     \
    } while (0)

GROUP(read_kinds)
{
    in_tmpfs();
    struct iovec v = {buffer, 8}, none = {buffer, 0};
    EACH("read 8", read(fd, buffer, 8));
    EACH("read 0", read(fd, buffer, 0));
    EACH("read into bad memory", read(fd, KERNEL, 8));
    EACH("readv", readv(fd, &v, 1));
    EACH("readv of nothing", readv(fd, &none, 1));
    EACH("readv of no vector", readv(fd, 0, 0));
    EACH("pread", pread(fd, buffer, 8, 0));
    EACH("pread of nothing", pread(fd, buffer, 0, 0));
    EACH("preadv2 RWF_NOWAIT", preadv2(fd, &v, 1, -1, RWF_NOWAIT));
    EACH("preadv2 unknown", preadv2(fd, &v, 1, -1, 0x4000));
}

GROUP(write_kinds)
{
    in_tmpfs();
    signal(SIGPIPE, SIG_IGN);
    uint64_t one = 1;
    struct iovec v = {&one, 8}, none = {buffer, 0};
    EACH("write 8", write(fd, &one, 8));
    EACH("write 0", write(fd, buffer, 0));
    EACH("write of bad memory", write(fd, KERNEL, 8));
    EACH("writev", writev(fd, &v, 1));
    EACH("writev of nothing", writev(fd, &none, 1));
    EACH("pwrite", pwrite(fd, &one, 8, 0));
    EACH("pwritev2 RWF_NOWAIT", pwritev2(fd, &v, 1, -1, RWF_NOWAIT));
    EACH("pwritev2 unknown", pwritev2(fd, &v, 1, -1, 0x4000));
    EACH("pwritev2 RWF_SYNC", pwritev2(fd, &v, 1, -1, RWF_SYNC));
}

GROUP(splice_kinds)
{
    in_tmpfs();
    signal(SIGPIPE, SIG_IGN);
    int p[2], f = file_with("source", "0123456789"), g = file_with("target", "");
    loff_t zero;
    EACH("splice to a pipe", ({ pipe(p); long r = splice(fd, 0, p[1], 0, 8, SPLICE_F_NONBLOCK); int e = errno; close(p[0]), close(p[1]); errno = e; r; }));
    EACH("splice from an empty pipe", ({ pipe(p); long r = splice(p[0], 0, fd, 0, 8, SPLICE_F_NONBLOCK); int e = errno; close(p[0]), close(p[1]); errno = e; r; }));
    EACH("splice from a pipe", ({ pipe(p); write(p[1], "\1\0\0\0\0\0\0", 8); long r = splice(p[0], 0, fd, 0, 8, SPLICE_F_NONBLOCK); int e = errno; close(p[0]), close(p[1]); errno = e; r; }));
    EACH("splice at an offset", ({ pipe(p); zero = 0; long r = splice(fd, &zero, p[1], 0, 8, SPLICE_F_NONBLOCK); int e = errno; close(p[0]), close(p[1]); errno = e; r; }));
    EACH("splice to an offset", ({ pipe(p); zero = 0; write(p[1], "\1\0\0\0\0\0\0", 8); long r = splice(p[0], 0, fd, &zero, 8, SPLICE_F_NONBLOCK); int e = errno; close(p[0]), close(p[1]); errno = e; r; }));
    EACH("tee to a pipe", ({ pipe(p); long r = tee(fd, p[1], 8, SPLICE_F_NONBLOCK); int e = errno; close(p[0]), close(p[1]); errno = e; r; }));
    EACH("sendfile to a file", ({ lseek(g, 0, SEEK_SET); sendfile(g, fd, 0, 8); }));
    EACH("sendfile from a file", ({ lseek(f, 0, SEEK_SET); sendfile(fd, f, 0, 8); }));
    EACH("copy_file_range to a file", copy_file_range(fd, 0, g, 0, 8, 0));
    EACH("copy_file_range from a file", ({ lseek(f, 0, SEEK_SET); copy_file_range(f, 0, fd, 0, 8, 0); }));
    struct iovec v = {buffer, 8};
    EACH("vmsplice", vmsplice(fd, &v, 1, SPLICE_F_NONBLOCK));
}

GROUP(place_kinds)
{
    in_tmpfs();
    cwd_of_group();
    EACH("lseek SET", lseek(fd, 0, SEEK_SET));
    EACH("lseek CUR", lseek(fd, 0, SEEK_CUR));
    EACH("lseek END", ({ long r = lseek(fd, 0, SEEK_END); r > 0 ? 1 : r; }));
    EACH("lseek DATA", lseek(fd, 0, SEEK_DATA));
    EACH("lseek 1", lseek(fd, 1, SEEK_SET));
    EACH("lseek -1", lseek(fd, -1, SEEK_SET));
    EACH("ftruncate", ftruncate(fd, 10));
    EACH("fallocate", fallocate(fd, 0, 0, 10));
    EACH("fsync", fsync(fd));
    EACH("fdatasync", fdatasync(fd));
    EACH("sync_file_range", sync_file_range(fd, 0, 0, 1));
    EACH("fadvise", (errno = posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL)) ? -1 : 0);
    EACH("readahead", readahead(fd, 0, 10));
    EACH("getdents64", ({ long r = syscall(SYS_getdents64, fd, buffer, sizeof buffer); r > 0 ? 1 : r; }));
    EACH("fchdir", ({ long r = fchdir(fd); int e = errno; if (!r && chdir(cwd_of_group())) r = 9; errno = e; r; }));
}

GROUP(control_kinds)
{
    in_tmpfs();
    struct flock l = {.l_type = F_RDLCK}, u = {.l_type = F_UNLCK};
    struct epoll_event ev = {.events = EPOLLIN};
    struct stat st;
    struct statfs fs;
    EACH("FIONREAD", ({ int n = -7; long r = ioctl(fd, FIONREAD, &n); r ? r : n == -7 ? 7 : 0; }));
    EACH("FIONBIO", ({ int on = 1; ioctl(fd, FIONBIO, &on); }));
    EACH("TCGETS", ioctl(fd, TCGETS, buffer));
    EACH("no such ioctl", ioctl(fd, 0x12345678, buffer));
    EACH("epoll", ({ int e = epoll_create1(0); long r = epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev); int x = errno; close(e); errno = x; r; }));
    EACH("poll", ({ struct pollfd p = {fd, POLLIN | POLLOUT, 0}; poll(&p, 1, 0); p.revents; }));
    EACH("flock", flock(fd, LOCK_SH | LOCK_NB));
    EACH("F_SETLK", fcntl(fd, F_SETLK, &l));
    EACH("F_SETLK unlock", fcntl(fd, F_SETLK, &u));
    EACH("F_GETLK", ({ l.l_type = F_RDLCK; fcntl(fd, F_GETLK, &l); }));
    EACH("F_SETLEASE", fcntl(fd, F_SETLEASE, F_RDLCK));
    EACH("F_GETLEASE", fcntl(fd, F_GETLEASE));
    EACH("F_NOTIFY", fcntl(fd, F_NOTIFY, DN_MODIFY));
    EACH("F_GETPIPE_SZ", fcntl(fd, F_GETPIPE_SZ));
    EACH("F_GETFL", fcntl(fd, F_GETFL) & ~0100000);
    EACH("F_SETFL", fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
    EACH("F_SETFL O_DIRECT", fcntl(fd, F_SETFL, O_DIRECT));
    EACH("F_GETOWN", fcntl(fd, F_GETOWN));
    EACH("F_GETSIG", fcntl(fd, F_GETSIG));
    EACH("F_DUPFD_QUERY", fcntl(fd, 1027, fd));
    EACH("fstat's kind", ({ fstat(fd, &st); st.st_mode & S_IFMT; }));
    EACH("fstat's links", ({ fstat(fd, &st); S_ISDIR(st.st_mode) ? 2 : st.st_nlink; }));
    EACH("fstatfs", fstatfs(fd, &fs));
    EACH("fgetxattr", fgetxattr(fd, "user.none", buffer, 8));
    EACH("flistxattr", ({ long r = flistxattr(fd, buffer, sizeof buffer); r > 0 ? 0 : r; }));
    EACH("getsockname", ({ socklen_t n = sizeof buffer; getsockname(fd, (void *)buffer, &n); }));
    EACH("accept", accept(fd, 0, 0));
    EACH("openat", ({ int o = openat(fd, "nothing", O_RDONLY); o; }));
    EACH("mmap", ({ void *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0); m == MAP_FAILED ? -1 : 0; }));
    EACH("mmap shared", ({ void *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); m == MAP_FAILED ? -1 : 0; }));
    EACH("inotify_add_watch", inotify_add_watch(fd, ".", IN_OPEN));
    EACH("timerfd_gettime", ({ struct itimerspec its; timerfd_gettime(fd, &its); }));
    EACH("epoll_wait", epoll_wait(fd, &ev, 1, 0));
}

/* A new open through /proc of each kind. */
GROUP(open_again)
{
    in_tmpfs();
    char magic[64];
    EACH("reading", ({ snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd); int o = open(magic, O_RDONLY | O_NONBLOCK); int e = errno; close(o); errno = e; o < 0 ? -1 : 0; }));
    EACH("path", ({ snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd); int o = open(magic, O_PATH); int e = errno; close(o); errno = e; o < 0 ? -1 : 0; }));
    EACH("truncate", ({ snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd); truncate(magic, 10); }));
    EACH("access", ({ snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd); access(magic, R_OK); }));
}
