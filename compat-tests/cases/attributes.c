/* What files are: stat and its kin, chmod, chown, access, times, lengths. */
#include "case.h"
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <utime.h>
#include <linux/stat.h>
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define statx_(dir, path, flags, mask, to) syscall(SYS_statx, dir, path, flags, mask, to)

static mode_t mode_of(const char *path) { struct stat st; return stat(path, &st) < 0 ? -1u : st.st_mode & 07777; }

static void bad_paths(long (*call)(const char *))
{
    static char too_long[300];
    memset(too_long, 'n', 299);
    close(file_with("file", "x"));
    symlink("loop", "loop");
    MUST(mkdir("locked", 0700) == 0);
    close(file_with("locked/x", "x"));
    ERR("NULL", EFAULT, call(NULL));
    ERR("a bad address", EFAULT, call(BAD));
    ERR("a kernel address", EFAULT, call(KERNEL));
    ERR("an empty path", ENOENT, call(""));
    ERR("not there", ENOENT, call("gone"));
    ERR("below nothing", ENOENT, call("gone/x"));
    ERR("below a file", ENOTDIR, call("file/x"));
    ERR("below a loop", ELOOP, call("loop/x"));
    ERR("a long name", ENAMETOOLONG, call(too_long));
    OK("a file", call("file"));
    AS_NOBODY(ERR("no permission to search", EACCES, call("locked/x")));
}

static long stat_(const char *path) { struct stat st; return syscall(SYS_stat, path, &st); }
GROUP(stat)
{
    bad_paths(stat_);
    struct stat st;
    MUST(mkdir("d", 0751) == 0 && symlink("file", "l") == 0 && mkfifo("p", 0604) == 0 && symlink("gone", "dangling") == 0);
    ERR("a link to nothing", ENOENT, stat("dangling", &st));
    ERR("a loop", ELOOP, stat("loop", &st));
    ERR("into nowhere", EFAULT, syscall(SYS_stat, "file", BAD));
    OK("a link", stat("l", &st));
    YES("is what it leads to", S_ISREG(st.st_mode));
    EQ("length", 1, st.st_size);
    EQ("links", 1, st.st_nlink);
    EQ("owner", geteuid(), st.st_uid);
    EQ("group", getegid(), st.st_gid);
    EQ("mode", S_IFREG | 0644, st.st_mode);
    MUST(stat("d", &st) == 0);
    EQ("a directory's mode", S_IFDIR | 0751, st.st_mode);
    MUST(stat("p", &st) == 0);
    EQ("a fifo's mode", S_IFIFO | 0604, st.st_mode);
    MUST(stat("/dev/null", &st) == 0);
    EQ("/dev/null", S_IFCHR | 0666, st.st_mode);
    SHOW("its number", "%u:%u", major(st.st_rdev), minor(st.st_rdev));
    MUST(stat("/dev/zero", &st) == 0);
    SHOW("/dev/zero's number", "%u:%u", major(st.st_rdev), minor(st.st_rdev));
    int fd = open("file", O_RDWR | O_TRUNC);
    MUST(ftruncate(fd, 1 << 20) == 0 && stat("file", &st) == 0);
    EQ("blocks of a hole", 0, st.st_blocks);
    MUST(pwrite(fd, "x", 1, 0) == 1 && fsync(fd) == 0 && stat("file", &st) == 0);
    EQ("blocks of one page", 8, st.st_blocks);
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    MUST(close(file_with("new", "x")) == 0 && stat("new", &st) == 0);
    clock_gettime(CLOCK_REALTIME, &after);
    YES("times are now", st.st_mtim.tv_sec >= before.tv_sec - 1 && st.st_mtim.tv_sec <= after.tv_sec + 1);
    YES("of a new file all the same", st.st_ctim.tv_sec == st.st_mtim.tv_sec);
}

GROUP(fstat)
{
    struct stat st;
    int fd = file_with("a", "abc"), p[2], s[2];
    OK("a file", fstat(fd, &st));
    EQ("its length", 3, st.st_size);
    ERR("no descriptor", EBADF, fstat(NOFD, &st));
    ERR("no descriptor, -1", EBADF, syscall(SYS_fstat, -1, &st));
    ERR("into nowhere", EFAULT, syscall(SYS_fstat, fd, BAD));
    MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    OK("a pipe", fstat(p[0], &st));
    EQ("its type", S_IFIFO, st.st_mode & S_IFMT);
    OK("a socket", fstat(s[0], &st));
    EQ("its mode", S_IFSOCK | 0777, st.st_mode);
    int path = open("a", O_PATH);
    OK("O_PATH", fstat(path, &st));
    MUST(unlink("a") == 0);
    OK("a removed file", fstat(fd, &st));
    EQ("its links", 0, st.st_nlink);
}

static long lstat_(const char *path) { struct stat st; return syscall(SYS_lstat, path, &st); }
GROUP(lstat)
{
    bad_paths(lstat_);
    struct stat st;
    MUST(symlink("0123456", "l") == 0);
    OK("a link", lstat("l", &st));
    EQ("mode", S_IFLNK | 0777, st.st_mode);
    EQ("length", 7, st.st_size);
    OK("a loop", lstat("loop", &st));
    ERR("a link with a slash", ENOENT, lstat("l/", &st));
}

static long newfstatat_(const char *path) { struct stat st; return syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0); }
GROUP(newfstatat)
{
    bad_paths(newfstatat_);
    struct stat st;
    MUST(mkdir("d", 0755) == 0 && symlink("a", "d/l") == 0);
    int fd = file_with("d/a", "abc"), dir = open("d", O_RDONLY);
    OK("in a directory", fstatat(dir, "a", &st, 0));
    OK("a link", fstatat(dir, "l", &st, 0));
    EQ("followed", S_IFREG, st.st_mode & S_IFMT);
    OK("AT_SYMLINK_NOFOLLOW", fstatat(dir, "l", &st, AT_SYMLINK_NOFOLLOW));
    EQ("not followed", S_IFLNK, st.st_mode & S_IFMT);
    OK("AT_EMPTY_PATH", syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH));
    EQ("the descriptor's own", 3, st.st_size);
    OK("AT_EMPTY_PATH with AT_FDCWD", syscall(SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
    EQ("the working directory", S_IFDIR, st.st_mode & S_IFMT);
    OK("AT_NO_AUTOMOUNT", fstatat(dir, "a", &st, AT_NO_AUTOMOUNT));
    ERR("unknown flags", EINVAL, fstatat(dir, "a", &st, 0x10000));
    ERR("no descriptor", EBADF, fstatat(NOFD, "a", &st, 0));
    ERR("not a directory", ENOTDIR, fstatat(fd, "a", &st, 0));
    ERR("an empty path of a directory", ENOENT, syscall(SYS_newfstatat, dir, "", &st, 0));
}

static long statx_path(const char *path) { struct statx sx; return statx_(AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx); }
GROUP(statx)
{
    bad_paths(statx_path);
    struct statx sx;
    int fd = file_with("a", "abcde");
    OK("all", statx_(AT_FDCWD, "a", 0, STATX_ALL, &sx));
    EQ("length", 5, sx.stx_size);
    EQ("mode", S_IFREG | 0644, sx.stx_mode);
    YES("basic fields are told", (sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    OK("nothing asked for", statx_(AT_FDCWD, "a", 0, 0, &sx));
    OK("AT_STATX_DONT_SYNC", statx_(AT_FDCWD, "a", AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
    OK("AT_STATX_FORCE_SYNC", statx_(AT_FDCWD, "a", AT_STATX_FORCE_SYNC, STATX_SIZE, &sx));
    ERR("both", EINVAL, statx_(AT_FDCWD, "a", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
    ERR("the reserved bit", EINVAL, statx_(AT_FDCWD, "a", 0, STATX__RESERVED, &sx));
    ERR("unknown flags", EINVAL, statx_(AT_FDCWD, "a", 0x80000, STATX_SIZE, &sx));
    OK("AT_EMPTY_PATH", statx_(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
    ERR("no descriptor", EBADF, statx_(NOFD, "a", 0, STATX_SIZE, &sx));
    ERR("into nowhere", EFAULT, statx_(AT_FDCWD, "a", 0, STATX_SIZE, BAD));
    MUST(symlink("a", "l") == 0);
    OK("AT_SYMLINK_NOFOLLOW", statx_(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx));
    EQ("a link", S_IFLNK, sx.stx_mode & S_IFMT);
}

static long chmod_(const char *path) { return syscall(SYS_chmod, path, 0644); }
GROUP(chmod)
{
    bad_paths(chmod_);
    close(file_with("a", "a"));
    MUST(mkdir("d", 0755) == 0 && symlink("a", "l") == 0);
    int modes[] = {0, 0400, 0200, 0100, 0777, 0644, 01644, 02755, 04755, 06755, 07777};
    for (unsigned i = 0; i < COUNT(modes); i++) {
        MUST(chmod("a", modes[i]) == 0);
        EQ(named("a file, %o", modes[i]), modes[i], mode_of("a"));
        MUST(chmod("d", modes[i]) == 0);
        EQ(named("a directory, %o", modes[i]), modes[i], mode_of("d"));
    }
    OK("more bits than there are", chmod("a", 0170000 | 0600));
    EQ("are not kept", 0600, mode_of("a"));
    OK("a link", chmod("l", 0640));
    EQ("changes what it leads to", 0640, mode_of("a"));
    struct stat before, after;
    MUST(stat("a", &before) == 0);
    pause_ms(20);
    MUST(chmod("a", 0640) == 0 && stat("a", &after) == 0);
    YES("changes the time of change", after.st_ctim.tv_nsec != before.st_ctim.tv_nsec);
    YES("but no other", after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
    AS_NOBODY(ERR("another's", EPERM, chmod("file", 0777)));
}

GROUP(fchmod)
{
    int fd = file_with("a", "a"), ro = open("a", O_RDONLY), path = open("a", O_PATH), p[2];
    OK("a file", fchmod(fd, 0604));
    EQ("its mode", 0604, mode_of("a"));
    OK("one open for reading", fchmod(ro, 0640));
    ERR("no descriptor", EBADF, fchmod(NOFD, 0600));
    ERR("O_PATH", EBADF, fchmod(path, 0600));
    MUST(pipe(p) == 0);
    OK("a pipe", fchmod(p[0], 0640));
    int dir = open(".", O_RDONLY);
    OK("a directory", fchmod(dir, 0777));
    MUST(chmod("a", 0644) == 0);
    AS_NOBODY(ERR("another's", EPERM, fchmod(ro, 0777)));
}

static long fchmodat_(const char *path) { return syscall(SYS_fchmodat, AT_FDCWD, path, 0644); }
GROUP(fchmodat)
{
    bad_paths(fchmodat_);
    MUST(mkdir("d", 0755) == 0);
    int fd = file_with("d/a", "a"), dir = open("d", O_RDONLY);
    OK("in a directory", fchmodat(dir, "a", 0600, 0));
    EQ("its mode", 0600, mode_of("d/a"));
    ERR("no descriptor", EBADF, fchmodat(NOFD, "a", 0600, 0));
    ERR("not a directory", ENOTDIR, fchmodat(fd, "a", 0600, 0));
}

static long fchmodat2_(const char *path) { return syscall(SYS_fchmodat2, AT_FDCWD, path, 0644, 0); }
GROUP(fchmodat2)
{
    bad_paths(fchmodat2_);
    int fd = file_with("a", "a");
    MUST(symlink("a", "l") == 0);
    OK("AT_EMPTY_PATH", syscall(SYS_fchmodat2, fd, "", 0611, AT_EMPTY_PATH));
    EQ("its mode", 0611, mode_of("a"));
    ERR("AT_SYMLINK_NOFOLLOW of a link", EOPNOTSUPP, syscall(SYS_fchmodat2, AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
    OK("AT_SYMLINK_NOFOLLOW of a file", syscall(SYS_fchmodat2, AT_FDCWD, "a", 0600, AT_SYMLINK_NOFOLLOW));
    ERR("unknown flags", EINVAL, syscall(SYS_fchmodat2, AT_FDCWD, "a", 0600, AT_REMOVEDIR));
}

static long chown_(const char *path) { return syscall(SYS_chown, path, -1, -1); }
GROUP(chown)
{
    bad_paths(chown_);
    if (geteuid() != 0)
        return;
    struct stat st;
    close(file_with("a", "a"));
    MUST(symlink("a", "l") == 0);
    OK("both", chown("a", 12, 34));
    MUST(stat("a", &st) == 0);
    SHOW("who has it", "%u:%u", st.st_uid, st.st_gid);
    OK("the owner alone", chown("a", 56, -1));
    MUST(stat("a", &st) == 0);
    SHOW("who has it then", "%u:%u", st.st_uid, st.st_gid);
    OK("the group alone", chown("a", -1, 78));
    OK("neither", chown("a", -1, -1));
    OK("through a link", chown("l", 90, 90));
    MUST(stat("a", &st) == 0);
    EQ("changes what it leads to", 90, st.st_uid);
    MUST(lstat("l", &st) == 0);
    EQ("not the link", 0, st.st_uid);
    struct { int mode, then; } bits[] = {{04755, 0755}, {02755, 0755}, {06755, 0755}, {02644, 02644}, {04644, 0644}, {01777, 01777}};
    for (unsigned i = 0; i < COUNT(bits); i++) {
        MUST(chmod("a", bits[i].mode) == 0 && chown("a", 1, 1) == 0);
        EQ(named("mode %o afterwards", bits[i].mode), bits[i].then, mode_of("a"));
    }
    MUST(mkdir("d", 06755) == 0 && chmod("d", 06755) == 0 && chown("d", 1, 1) == 0);
    EQ("a directory keeps its bits", 06755, mode_of("d"));
    MUST(chown("a", NOBODY, NOBODY) == 0);
    AS_NOBODY({
        ERR("give away", EPERM, chown("a", 0, -1));
        ERR("another's", EPERM, chown("file", NOBODY, -1));
        ERR("to a group that one is not in", EPERM, chown("a", -1, 0));
        OK("to one's own group", chown("a", -1, NOBODY));
        OK("to who has it", chown("a", NOBODY, -1));
    });
}

GROUP(fchown)
{
    int fd = file_with("a", "a"), path = open("a", O_PATH);
    OK("nothing", fchown(fd, -1, -1));
    ERR("no descriptor", EBADF, fchown(NOFD, -1, -1));
    ERR("O_PATH", EBADF, fchown(path, -1, -1));
    AS_NOBODY(ERR("another's", EPERM, fchown(fd, NOBODY, -1)));
}

static long lchown_(const char *path) { return syscall(SYS_lchown, path, -1, -1); }
GROUP(lchown)
{
    bad_paths(lchown_);
    MUST(symlink("gone", "l") == 0);
    OK("a link to nothing", lchown("l", getuid(), -1));
    AS_NOBODY(ERR("another's", EPERM, lchown("l", NOBODY, -1)));
}

GROUP(fchownat)
{
    int fd = file_with("a", "a"), dir = open(".", O_RDONLY);
    MUST(symlink("gone", "l") == 0);
    OK("in a directory", fchownat(dir, "a", -1, -1, 0));
    OK("AT_EMPTY_PATH", fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
    OK("AT_SYMLINK_NOFOLLOW", fchownat(dir, "l", -1, -1, AT_SYMLINK_NOFOLLOW));
    ERR("a link to nothing", ENOENT, fchownat(dir, "l", -1, -1, 0));
    ERR("an empty path", ENOENT, fchownat(fd, "", -1, -1, 0));
    ERR("unknown flags", EINVAL, fchownat(dir, "a", -1, -1, AT_REMOVEDIR));
    ERR("no descriptor", EBADF, fchownat(NOFD, "a", -1, -1, 0));
    ERR("not a directory", ENOTDIR, fchownat(fd, "a", -1, -1, 0));
}

static long access_(const char *path) { return syscall(SYS_access, path, F_OK); }
GROUP(access)
{
    bad_paths(access_);
    int modes[] = {0, 0400, 0200, 0100, 0644, 0755, 0007, 0070, 0004, 0002, 0001};
    for (unsigned i = 0; i < COUNT(modes); i++) {
        close(file_with(named("f%o", modes[i]), "x"));
        MUST(chmod(named("f%o", modes[i]), modes[i]) == 0);
    }
    for (unsigned i = 0; i < COUNT(modes); i++)
        for (int ask = 1; ask <= 7; ask++)
            if (ask == 1 || ask == 2 || ask == 4 || ask == 6)
                SHOW(named("super-user, %o for %d", modes[i], ask), "%d", access(named("f%o", modes[i]), ask) ? errno : 0);
    AS_NOBODY(for (unsigned i = 0; i < COUNT(modes); i++) for (int ask = 1; ask <= 7; ask++)
        if (ask == 1 || ask == 2 || ask == 4 || ask == 5)
            SHOW(named("user, %o for %d", modes[i], ask), "%d", access(named("f%o", modes[i]), ask) ? errno : 0));
    ERR("an unknown mode", EINVAL, access("file", 8));
    ERR("a negative mode", EINVAL, access("file", -1));
    MUST(symlink("gone", "l") == 0);
    ERR("a link to nothing", ENOENT, access("l", F_OK));
}

GROUP(faccessat)
{
    int fd = file_with("a", "a"), dir = open(".", O_RDONLY);
    OK("in a directory", syscall(SYS_faccessat, dir, "a", R_OK));
    ERR("no descriptor", EBADF, syscall(SYS_faccessat, NOFD, "a", R_OK));
    ERR("not a directory", ENOTDIR, syscall(SYS_faccessat, fd, "a", R_OK));
    ERR("an unknown mode", EINVAL, syscall(SYS_faccessat, dir, "a", 9));
}

GROUP(faccessat2)
{
#define FACCESSAT2(...) syscall(SYS_faccessat2, __VA_ARGS__)
    int fd = file_with("a", "a"), dir = open(".", O_RDONLY);
    MUST(symlink("gone", "l") == 0 && chmod("a", 0600) == 0);
    OK("AT_EACCESS", FACCESSAT2(dir, "a", R_OK, AT_EACCESS));
    OK("AT_EMPTY_PATH", FACCESSAT2(fd, "", R_OK, AT_EMPTY_PATH));
    OK("AT_SYMLINK_NOFOLLOW", FACCESSAT2(dir, "l", F_OK, AT_SYMLINK_NOFOLLOW));
    ERR("followed", ENOENT, FACCESSAT2(dir, "l", F_OK, 0));
    ERR("unknown flags", EINVAL, FACCESSAT2(dir, "a", R_OK, AT_SYMLINK_FOLLOW));
    int status;
    if (geteuid() == 0)
        CHILD(status, {
            MUST(seteuid(NOBODY) == 0);
            OK("asks for the real user", FACCESSAT2(AT_FDCWD, "a", R_OK, 0));
            ERR("AT_EACCESS for the effective one", EACCES, FACCESSAT2(AT_FDCWD, "a", R_OK, AT_EACCESS));
        });
}

static long mtime_of(const char *path) { struct stat st; return lstat(path, &st) < 0 ? -1 : st.st_mtim.tv_sec; }
GROUP(utimensat)
{
    int fd = file_with("a", "a"), dir = open(".", O_RDONLY);
    MUST(symlink("a", "l") == 0);
    struct timespec set[] = {{100, 5}, {200, 6}}, now[] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, omit[] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    struct stat st;
    OK("both", utimensat(dir, "a", set, 0));
    MUST(stat("a", &st) == 0);
    SHOW("are set", "%ld.%ld %ld.%ld", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    OK("UTIME_OMIT", utimensat(dir, "a", omit, 0));
    EQ("changes nothing", 200, mtime_of("a"));
    OK("UTIME_NOW", utimensat(dir, "a", now, 0));
    YES("is now", mtime_of("a") > 1000000);
    struct timespec one[] = {{7, 0}, {0, UTIME_OMIT}};
    MUST(utimensat(dir, "a", set, 0) == 0);
    OK("one of two", utimensat(dir, "a", one, 0));
    MUST(stat("a", &st) == 0);
    SHOW("the other stays", "%ld %ld", (long)st.st_atim.tv_sec, (long)st.st_mtim.tv_sec);
    OK("NULL is now", utimensat(dir, "a", NULL, 0));
    OK("the link itself", utimensat(dir, "l", set, AT_SYMLINK_NOFOLLOW));
    EQ("its time", 200, mtime_of("l"));
    OK("a descriptor", futimens(fd, set));
    long bad[] = {-1, 1000000000, 2000000000, LONG_MAX};
    for (unsigned i = 0; i < COUNT(bad); i++) {
        struct timespec wrong[] = {{1, 0}, {1, bad[i]}};
        ERR(named("nanoseconds %ld", bad[i]), EINVAL, utimensat(dir, "a", wrong, 0));
    }
    struct timespec early[] = {{-5, 0}, {-5, 0}};
    OK("before 1970", utimensat(dir, "a", early, 0));
    EQ("is kept", -5, mtime_of("a"));
    ERR("not there", ENOENT, utimensat(dir, "gone", set, 0));
    ERR("unknown flags", EINVAL, utimensat(dir, "a", set, 0x8000));
    ERR("no descriptor", EBADF, utimensat(NOFD, "a", set, 0));
    ERR("no descriptor, no path", EBADF, syscall(SYS_utimensat, NOFD, NULL, set, 0));
    ERR("times nowhere", EFAULT, syscall(SYS_utimensat, dir, "a", BAD, 0));
    OK("AT_EMPTY_PATH", utimensat(fd, "", set, AT_EMPTY_PATH));
    MUST(chmod("a", 0666) == 0);
    AS_NOBODY({
        OK("now, as one who may write", utimensat(AT_FDCWD, "a", NULL, 0));
        OK("UTIME_NOW of both too", utimensat(AT_FDCWD, "a", now, 0));
        ERR("another time", EPERM, utimensat(AT_FDCWD, "a", set, 0));
        struct timespec half[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
        ERR("now and omit", EPERM, utimensat(AT_FDCWD, "a", half, 0));
    });
    MUST(chmod("a", 0644) == 0);
    AS_NOBODY(ERR("now, as one who may not write", EACCES, utimensat(AT_FDCWD, "a", NULL, 0)));
}

static long utime_(const char *path) { struct utimbuf t = {1, 2}; return syscall(SYS_utime, path, &t); }
GROUP(utime)
{
    bad_paths(utime_);
    struct utimbuf t = {11, 22};
    OK("both", utime("file", &t));
    EQ("are set", 22, mtime_of("file"));
    OK("NULL is now", utime("file", NULL));
    YES("now", mtime_of("file") > 1000000);
    ERR("times nowhere", EFAULT, syscall(SYS_utime, "file", BAD));
}

static long utimes_(const char *path) { struct timeval t[] = {{1, 0}, {2, 0}}; return syscall(SYS_utimes, path, t); }
GROUP(utimes)
{
    bad_paths(utimes_);
    struct timeval t[] = {{11, 999999}, {22, 5}}, bad[] = {{1, 1000000}, {1, 0}};
    OK("both", utimes("file", t));
    struct stat st;
    MUST(stat("file", &st) == 0);
    SHOW("are set", "%ld.%ld %ld.%ld", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ERR("a million microseconds", EINVAL, utimes("file", bad));
    bad[0].tv_usec = -1;
    ERR("minus one microsecond", EINVAL, utimes("file", bad));
}

GROUP(futimesat)
{
    int dir = open(".", O_RDONLY);
    close(file_with("a", "a"));
    struct timeval t[] = {{11, 0}, {22, 0}};
    OK("in a directory", syscall(SYS_futimesat, dir, "a", t));
    EQ("is set", 22, mtime_of("a"));
    ERR("no descriptor", EBADF, syscall(SYS_futimesat, NOFD, "a", t));
    ERR("not there", ENOENT, syscall(SYS_futimesat, dir, "gone", t));
}

static long truncate_(const char *path) { return syscall(SYS_truncate, path, 1L); }
GROUP(truncate)
{
    bad_paths(truncate_);
    MUST(mkdir("d", 0755) == 0 && mkfifo("p", 0600) == 0);
    OK("longer", truncate("file", 100));
    OK("shorter", truncate("file", 5));
    EQ("its length", 5, ({ struct stat st; stat("file", &st); st.st_size; }));
    ERR("a negative length", EINVAL, truncate("file", -1));
    ERR("a directory", EISDIR, truncate("d", 0));
    ERR("a fifo", EINVAL, truncate("p", 0));
    MUST(chmod("file", 0644) == 0);
    AS_NOBODY(ERR("no permission to write", EACCES, truncate("file", 0)));
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {50, RLIM_INFINITY};
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    ERR("beyond RLIMIT_FSIZE", EFBIG, truncate("file", 51));
    OK("up to it", truncate("file", 50));
}

GROUP(ftruncate)
{
    int fd = file_with("a", "abc"), ro = open("a", O_RDONLY), dir = open(".", O_RDONLY), s[2];
    OK("longer", ftruncate(fd, 10));
    char text[10];
    EQ("what is new", 10, pread(fd, text, 10, 0));
    YES("is zeroes", !memcmp(text, "abc\0\0\0\0\0\0\0", 10));
    MUST(lseek(fd, 8, SEEK_SET) == 8);
    OK("shorter", ftruncate(fd, 2));
    EQ("the offset stays", 8, lseek(fd, 0, SEEK_CUR));
    OK("and longer again", ftruncate(fd, 4));
    MUST(pread(fd, text, 4, 0) == 4);
    YES("what was cut off is gone", !memcmp(text, "ab\0\0", 4));
    ERR("negative", EINVAL, ftruncate(fd, -1));
    ERR("open for reading", EINVAL, ftruncate(ro, 0));
    ERR("a directory", EINVAL, ftruncate(dir, 0));
    ERR("no descriptor", EBADF, ftruncate(NOFD, 0));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    ERR("a socket", EINVAL, ftruncate(s[0], 0));
    int null = open("/dev/null", O_RDWR);
    ERR("/dev/null", EINVAL, ftruncate(null, 0));
}

GROUP(fallocate)
{
    int fd = file_with("a", "0123456789"), ro = open("a", O_RDONLY), p[2], dir = open(".", O_RDONLY);
    struct stat st;
    OK("longer", fallocate(fd, 0, 0, 10000));
    MUST(fstat(fd, &st) == 0);
    EQ("its length", 10000, st.st_size);
    YES("has blocks", st.st_blocks >= 20);
    OK("FALLOC_FL_KEEP_SIZE", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
    MUST(fstat(fd, &st) == 0);
    EQ("keeps it", 10000, st.st_size);
    OK("FALLOC_FL_PUNCH_HOLE", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3));
    char text[10];
    MUST(pread(fd, text, 10, 0) == 10);
    YES("makes zeroes", !memcmp(text, "01\0\0\0" "56789", 10));
    ERR("a hole without FALLOC_FL_KEEP_SIZE", EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
    ERR("length 0", EINVAL, fallocate(fd, 0, 0, 0));
    ERR("negative length", EINVAL, fallocate(fd, 0, 0, -1));
    ERR("negative offset", EINVAL, fallocate(fd, 0, -1, 1));
    ERR("unknown mode", EOPNOTSUPP, fallocate(fd, 0x4000, 0, 1));
    ERR("open for reading", EBADF, fallocate(ro, 0, 0, 1));
    ERR("no descriptor", EBADF, fallocate(NOFD, 0, 0, 1));
    ERR("a directory", EBADF, fallocate(dir, 0, 0, 1));
    MUST(pipe(p) == 0);
    ERR("a pipe", ESPIPE, fallocate(p[1], 0, 0, 1));
    int null = open("/dev/null", O_RDWR);
    ERR("/dev/null", ENODEV, fallocate(null, 0, 0, 1));
    ERR("beyond what files can be", EFBIG, fallocate(fd, 0, LONG_MAX - 10, 100));
}

static long statfs_(const char *path) { struct statfs s; return syscall(SYS_statfs, path, &s); }
GROUP(statfs)
{
    bad_paths(statfs_);
    struct statfs s;
    OK("/proc", statfs("/proc", &s));
    EQ("its type", 0x9fa0, s.f_type);
    OK("/dev/shm or the like", statfs(".", &s));
    EQ("longest name", 255, s.f_namelen);
    YES("less free than there is", s.f_bfree <= s.f_blocks && s.f_bavail <= s.f_bfree);
    ERR("into nowhere", EFAULT, syscall(SYS_statfs, ".", BAD));
}

GROUP(fstatfs)
{
    struct statfs s;
    int fd = file_with("a", ""), p[2];
    OK("a file", fstatfs(fd, &s));
    ERR("no descriptor", EBADF, fstatfs(NOFD, &s));
    ERR("into nowhere", EFAULT, syscall(SYS_fstatfs, fd, BAD));
    MUST(pipe(p) == 0);
    OK("a pipe", fstatfs(p[0], &s));
    EQ("pipefs", 0x50495045, s.f_type);
    int path = open("a", O_PATH);
    OK("O_PATH", fstatfs(path, &s));
}
