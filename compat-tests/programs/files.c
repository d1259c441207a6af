// Files: flags of open, names, holes, times, locks, descriptors, seals, splicing.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define TRY(call) do { errno = 0; long r_ = (long)(call); printf("%-60s %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)

static void open_flags(void) {
    puts("-- open");
    int fd = open("a", O_CREAT | O_EXCL | O_RDWR, 0640);
    TRY(open("a", O_CREAT | O_EXCL | O_RDWR, 0640));
    TRY(open(".", O_RDWR));
    TRY(open("a/", O_RDONLY));
    TRY(open("a", O_RDONLY | O_DIRECTORY));
    TRY(open("none", O_RDONLY));
    TRY(open("", O_RDONLY));
    TRY(symlink("a", "link"));
    TRY(open("link", O_RDONLY | O_NOFOLLOW));
    TRY(symlink("loop", "loop"));
    TRY(open("loop", O_RDONLY));
    TRY(write(fd, "hello world", 11));
    TRY(pwrite(fd, "J", 1, 0));
    TRY(lseek(fd, -5, SEEK_END));
    char b[32] = "";
    TRY(read(fd, b, 32));
    puts(b);
    TRY(lseek(fd, -100, SEEK_CUR));
    TRY(lseek(fd, 0, 77));
    TRY(pread(fd, b, 4, -1));
    TRY(fcntl(fd, F_GETFL) & ~O_LARGEFILE);
    TRY(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_RDONLY));
    TRY(fcntl(fd, F_GETFL) & ~O_LARGEFILE);
    TRY(pwrite(fd, "!", 1, 0));
    struct stat st;
    fstat(fd, &st);
    printf("size %ld mode %o nlink %ld blocks>0 %d\n", (long)st.st_size, st.st_mode, (long)st.st_nlink, st.st_blocks > 0);
    int p = open("a", O_PATH);
    TRY(read(p, b, 1));
    TRY(fstat(p, &st));
    TRY(fchmod(p, 0600));
    int ro = open("a", O_RDONLY);
    TRY(write(ro, "x", 1));
    TRY(ftruncate(ro, 0));
    int t = open(".", O_TMPFILE | O_RDWR, 0600);
    printf("tmpfile %d\n", t >= 0);
    TRY(write(t, "tmp", 3));
    struct iovec v[3] = {{"one", 3}, {"two", 3}, {"", 0}};
    TRY(writev(t, v, 3));
    TRY(writev(t, v, -1));
    TRY(pwritev2(t, v, 2, -1, RWF_APPEND));
    TRY(lseek(t, 0, SEEK_CUR));
    close(fd), close(p), close(ro), close(t);
}

static void names(void) {
    puts("-- names");
    TRY(mkdir("d", 0755));
    TRY(mkdir("d", 0755));
    TRY(mkdir("d/e/f", 0755));
    TRY(rmdir("."));
    TRY(rmdir("a"));
    TRY(unlink("d"));
    TRY(link("a", "d/b"));
    TRY(link("d", "d2"));
    TRY(rmdir("d"));
    TRY(rename("d", "d/x"));
    TRY(rename("a", "d"));
    TRY(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "d/b", RENAME_NOREPLACE));
    TRY(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
    TRY(access("d", X_OK));
    TRY(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
    TRY(rename("a", "d/b"));
    TRY(access("a", F_OK));
    TRY(mkfifo("fifo", 0600));
    TRY(open("fifo", O_WRONLY | O_NONBLOCK));
    TRY(mknod("reg", S_IFREG | 0600, 0));
    TRY(readlink("reg", (char[8]){0}, 8));
    char longname[300];
    memset(longname, 'n', 299), longname[299] = 0;
    TRY(mkdir(longname, 0755));
    TRY(chdir("reg"));
    TRY(chmod("none", 0));
    char cwd[8];
    TRY(getcwd(cwd, 2) ? 0 : -1);
    DIR *dir = opendir(".");
    int n = 0, dots = 0;
    for (struct dirent *e; (e = readdir(dir));) e->d_name[0] == '.' ? dots++ : n++;
    rewinddir(dir);
    int again = 0;
    while (readdir(dir)) again++;
    printf("entries %d dots %d again %d\n", n, dots, again);
    TRY(syscall(SYS_getdents64, dirfd(dir), cwd, 8));
    closedir(dir);
}

static void content(void) {
    puts("-- content");
    int fd = open("c", O_CREAT | O_RDWR, 0600);
    TRY(ftruncate(fd, 1 << 20));
    TRY(pwrite(fd, "x", 1, 300000));
    TRY(lseek(fd, 0, SEEK_DATA) <= 300000);
    TRY(lseek(fd, 300000, SEEK_HOLE) > 300000);
    TRY(lseek(fd, 1 << 20, SEEK_DATA));
    TRY(fallocate(fd, 0, 0, 2 << 20));
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 << 20));
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 299000, 5000));
    char c = 1;
    TRY(pread(fd, &c, 1, 300000));
    printf("byte %d\n", c);
    TRY(fallocate(fd, 0, -1, 5));
    TRY(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
    TRY(ftruncate(fd, 5));
    TRY(ftruncate(fd, -5));
    TRY(truncate("none", 0));
    TRY(truncate("d", 0));
    struct timespec t[2] = {{1000, 5}, {0, UTIME_OMIT}};
    TRY(futimens(fd, t));
    struct statx sx;
    TRY(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &sx));
    printf("atime %lld %u size %llu mask %d\n", sx.stx_atime.tv_sec, sx.stx_atime.tv_nsec, sx.stx_size, !!(sx.stx_mask & STATX_BASIC_STATS));
    TRY(statx(fd, "", 0, STATX_ALL, &sx));
    TRY(fsync(fd));
    int p[2];
    pipe(p);
    TRY(fsync(p[0]));
    TRY(lseek(p[0], 0, SEEK_CUR));
    TRY(pread(p[0], &c, 1, 0));
    TRY(ftruncate(p[1], 0));
    pwrite(fd, "abcde", 5, 0);
    off_t off = 1;
    TRY(sendfile(p[1], fd, &off, 10));
    printf("off %ld\n", (long)off);
    loff_t at = 0;
    TRY(splice(fd, &at, p[1], NULL, 3, 0));
    int q[2];
    pipe2(q, O_NONBLOCK);
    TRY(tee(p[0], q[1], 5, 0));
    char b[16] = "";
    TRY(read(q[0], b, 16));
    puts(b);
    TRY(read(q[0], b, 16));
    at = 3;
    int other = open("other", O_CREAT | O_RDWR, 0600);
    TRY(splice(p[0], NULL, other, &at, 100, 0));
    memset(b, 0, 16);
    TRY(pread(other, b, 16, 3));
    puts(b);
    TRY(fcntl(q[1], F_GETPIPE_SZ));
    TRY(fcntl(q[1], F_SETPIPE_SZ, 5000));
    TRY(fcntl(fd, F_GETPIPE_SZ));
    long total = 0, n;
    char page[4096] = {0};
    while ((n = write(q[1], page, sizeof page)) > 0) total += n;
    printf("filled %ld %s\n", total, strerrorname_np(errno));
    TRY(fcntl(q[1], F_SETPIPE_SZ, 4096));
    struct iovec v = {"vm", 2};
    TRY(vmsplice(p[1], &v, 1, 0));
    TRY(copy_file_range(fd, (loff_t[]){0}, fd, (loff_t[]){100}, 4, 0));
    TRY(copy_file_range(fd, (loff_t[]){0}, fd, (loff_t[]){2}, 4, 0));
}

static void locks(void) {
    puts("-- locks");
    int a = open("l", O_CREAT | O_RDWR, 0600), b = open("l", O_RDWR);
    TRY(flock(a, LOCK_EX));
    TRY(flock(b, LOCK_SH | LOCK_NB));
    TRY(flock(a, LOCK_SH));
    TRY(flock(b, LOCK_SH | LOCK_NB));
    TRY(flock(a, LOCK_UN));
    TRY(flock(a, 77));
    struct flock w = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    TRY(fcntl(a, F_OFD_SETLK, &w));
    struct flock r = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 0};
    TRY(fcntl(b, F_OFD_SETLK, &r));
    TRY(fcntl(b, F_OFD_GETLK, &r));
    printf("type %d whence %d start %ld len %ld pid %d\n", r.l_type, r.l_whence, (long)r.l_start, (long)r.l_len, r.l_pid);
    r = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 1};
    TRY(fcntl(b, F_SETLK, &r));
    close(a);
    TRY(fcntl(b, F_SETLK, &r));
    r.l_pid = 1;
    TRY(fcntl(b, F_OFD_SETLK, &r));
    int ro = open("l", O_RDONLY);
    w = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    TRY(fcntl(ro, F_SETLK, &w));
}

static void descriptors(void) {
    puts("-- descriptors");
    int fd = open("c", O_RDONLY);
    TRY(dup3(fd, fd, 0));
    TRY(dup2(fd, fd) == fd);
    TRY(dup2(fd, 100));
    TRY(dup3(fd, 101, O_CLOEXEC));
    TRY(fcntl(101, F_GETFD));
    TRY(fcntl(100, F_GETFD));
    TRY(fcntl(fd, F_DUPFD_CLOEXEC, 100));
    TRY(fcntl(fd, F_DUPFD, 1 << 30));
    TRY(dup2(fd, 1 << 30));
    TRY(syscall(SYS_close_range, 100, 101, 4));
    TRY(fcntl(100, F_GETFD));
    TRY(syscall(SYS_close_range, 100, 200, 0));
    TRY(fcntl(100, F_GETFD));
    TRY(close(100));
    TRY(syscall(SYS_close_range, 5, 4, 0));
    int m = memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    TRY(ftruncate(m, 4096));
    TRY(fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK));
    TRY(ftruncate(m, 100));
    TRY(ftruncate(m, 8192));
    TRY(fcntl(m, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
    TRY(write(m, "x", 1));
    TRY(ftruncate(m, 10000));
    TRY(fcntl(m, F_GET_SEALS));
    TRY(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
    char link[64] = "", path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", m);
    TRY(readlink(path, link, 63));
    puts(link);
    TRY(setxattr("c", "user.key", "value", 5, XATTR_CREATE) < 0 && errno != EOPNOTSUPP);
    TRY(getxattr("c", "other.key", link, 10));
}

int main(void) {
    char dir[] = "/tmp/filesXXXXXX";
    umask(022);
    if (!mkdtemp(dir) || chdir(dir)) return 1;
    open_flags();
    names();
    content();
    locks();
    descriptors();
    chdir("/");
    return 0;
}
