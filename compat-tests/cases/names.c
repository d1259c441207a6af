/* Names of files: link, linkat, unlink, unlinkat, rename, renameat, renameat2, symlink, symlinkat, readlink, readlinkat, mkdir,
 * mkdirat, rmdir, mknod, mknodat. */
#include "case.h"
#include <sys/sysmacros.h>

static char too_long[300];

/* What all calls with a path answer alike. */
static void bad_paths(long (*call)(const char *))
{
    memset(too_long, 'n', 299);
    close(file_with("file", "x"));
    symlink("loop", "loop");
    struct { const char *path; int error; } table[] = {
        {NULL, EFAULT}, {BAD, EFAULT}, {KERNEL, EFAULT}, {"", ENOENT}, {"no/x", ENOENT}, {"file/x", ENOTDIR}, {"loop/x", ELOOP}, {too_long, ENAMETOOLONG},
    };
    const char *names[] = {"NULL", "a bad address", "a kernel address", "an empty path", "below nothing", "below a file", "below a loop", "a long name"};
    for (unsigned i = 0; i < COUNT(table); i++)
        ERR(names[i], table[i].error, call(table[i].path));
    MUST(mkdir("locked", 0700) == 0 && mkdir("fixed", 0755) == 0);
    close(file_with("locked/x", "x"));
    close(file_with("fixed/x", "x"));
    AS_NOBODY(ERR("no permission to search", EACCES, call("locked/x")));
}

static long links(const char *name) { struct stat st; return lstat(name, &st) < 0 ? -1 : (long)st.st_nlink; }
static long inode(const char *name) { struct stat st; return lstat(name, &st) < 0 ? -1 : (long)st.st_ino; }

static long link_from(const char *path) { return syscall(SYS_link, path, "linked"); }
GROUP(link)
{
    bad_paths(link_from);
    OK("a file", link("file", "b"));
    EQ("two links", 2, links("file"));
    YES("one inode", inode("b") == inode("file"));
    ERR("to a name that is taken", EEXIST, link("file", "b"));
    ERR("to itself", EEXIST, link("file", "file"));
    ERR("a directory", EPERM, link("fixed", "e"));
    ERR("not there", ENOENT, link("gone", "e"));
    ERR("into a directory that is not there", ENOENT, link("file", "gone/e"));
    ERR("a new name below a file", ENOTDIR, link("file", "b/e"));
    ERR("a new name that is empty", ENOENT, link("file", ""));
    ERR("a new name with a slash", ENOENT, link("file", "e/"));
    ERR("a new name nowhere", EFAULT, syscall(SYS_link, "file", BAD));
    ERR("to another file system", EXDEV, link("/proc/version", "e"));
    MUST(symlink("file", "l") == 0);
    OK("a symbolic link itself", link("l", "l2"));
    EQ("is linked", 2, links("l"));
    AS_NOBODY({
        close(file_with("mine", "x"));
        ERR("no permission to write", EACCES, link("mine", "fixed/y"));
    });
    MUST(unlink("file") == 0);
    EQ("the other name stays", 1, links("b"));
}

GROUP(linkat)
{
    MUST(mkdir("d", 0755) == 0);
    close(file_with("a", "a"));
    MUST(symlink("a", "l") == 0);
    int dir = open("d", O_RDONLY), fd = open("a", O_RDONLY);
    OK("into a directory", linkat(AT_FDCWD, "a", dir, "x", 0));
    OK("from one", linkat(dir, "x", AT_FDCWD, "y", 0));
    OK("a symbolic link", linkat(AT_FDCWD, "l", AT_FDCWD, "l2", 0));
    EQ("itself", 2, links("l"));
    OK("AT_SYMLINK_FOLLOW", linkat(AT_FDCWD, "l", AT_FDCWD, "z", AT_SYMLINK_FOLLOW));
    EQ("what it leads to", 4, links("a"));
    OK("AT_EMPTY_PATH", linkat(fd, "", AT_FDCWD, "e", AT_EMPTY_PATH));
    ERR("an empty path without it", ENOENT, linkat(fd, "", AT_FDCWD, "f", 0));
    ERR("unknown flags", EINVAL, linkat(AT_FDCWD, "a", AT_FDCWD, "f", AT_REMOVEDIR));
    ERR("no descriptor", EBADF, linkat(NOFD, "a", AT_FDCWD, "f", 0));
    ERR("no descriptor to go to", EBADF, linkat(AT_FDCWD, "a", NOFD, "f", 0));
    ERR("a file for a directory", ENOTDIR, linkat(fd, "a", AT_FDCWD, "f", 0));
    int unnamed = open(".", O_TMPFILE | O_RDWR, 0600);
    OK("an unnamed file", linkat(AT_FDCWD, named("/proc/self/fd/%d", unnamed), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    EQ("has a name", 1, links("named"));
    unnamed = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    ERR("one of O_EXCL", ENOENT, linkat(AT_FDCWD, named("/proc/self/fd/%d", unnamed), AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
}

static long unlink_(const char *path) { return syscall(SYS_unlink, path); }
GROUP(unlink)
{
    bad_paths(unlink_);
    ERR("not there", ENOENT, unlink("gone"));
    ERR("a directory", EISDIR, unlink("fixed"));
    ERR("a directory with a slash", EISDIR, unlink("fixed/"));
    ERR("a file with a slash", ENOTDIR, unlink("file/"));
    ERR("dot", EISDIR, unlink("."));
    ERR("dot dot", EISDIR, unlink(".."));
    int fd = open("file", O_RDWR);
    OK("an open file", unlink("file"));
    EQ("which has no link then", 0, ({ struct stat st; fstat(fd, &st); st.st_nlink; }));
    EQ("and still is read", 1, ({ char c; read(fd, &c, 1); }));
    EQ("and written", 3, write(fd, "abc", 3));
    ERR("again", ENOENT, unlink("file"));
    MUST(symlink("fixed", "l") == 0);
    OK("a link to a directory", unlink("l"));
    OK("leaves that", access("fixed", F_OK));
    MUST(mkfifo("p", 0600) == 0);
    OK("a fifo", unlink("p"));
    OK("a loop", unlink("loop"));
    AS_NOBODY(ERR("no permission to write", EACCES, unlink("fixed/x")));
    MUST(mkdir("sticky", 0777) == 0 && chmod("sticky", 01777) == 0);
    close(file_with("sticky/x", "x"));
    AS_NOBODY({
        ERR("another's in a sticky directory", EPERM, unlink("sticky/x"));
        close(file_with("sticky/mine", "x"));
        OK("one's own there", unlink("sticky/mine"));
    });
}

GROUP(unlinkat)
{
    MUST(mkdir("d", 0755) == 0 && mkdir("d/sub", 0755) == 0 && mkdir("d/full", 0755) == 0);
    close(file_with("d/a", "a"));
    close(file_with("d/full/a", "a"));
    int dir = open("d", O_RDONLY), fd = open("d/a", O_RDONLY);
    ERR("a directory", EISDIR, unlinkat(dir, "sub", 0));
    OK("AT_REMOVEDIR", unlinkat(dir, "sub", AT_REMOVEDIR));
    ERR("AT_REMOVEDIR of a file", ENOTDIR, unlinkat(dir, "a", AT_REMOVEDIR));
    ERR("AT_REMOVEDIR of one with something in it", ENOTEMPTY, unlinkat(dir, "full", AT_REMOVEDIR));
    ERR("AT_REMOVEDIR of dot", EINVAL, unlinkat(dir, ".", AT_REMOVEDIR));
    ERR("AT_REMOVEDIR of dot dot", ENOTEMPTY, unlinkat(dir, "..", AT_REMOVEDIR));
    OK("a file", unlinkat(dir, "a", 0));
    ERR("unknown flags", EINVAL, unlinkat(dir, "a", AT_SYMLINK_FOLLOW));
    ERR("no descriptor", EBADF, unlinkat(NOFD, "a", 0));
    ERR("a file for a directory", ENOTDIR, unlinkat(fd, "a", 0));
    ERR("an empty path", ENOENT, unlinkat(dir, "", 0));
    ERR("a bad address", EFAULT, unlinkat(dir, BAD, 0));
}

static long rename_from(const char *path) { return syscall(SYS_rename, path, "renamed"); }
GROUP(rename)
{
    bad_paths(rename_from);
    MUST(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0 && mkdir("d/sub", 0755) == 0);
    close(file_with("a", "aa"));
    close(file_with("b", "b"));
    long was = inode("a");
    OK("to a new name", rename("a", "c"));
    YES("the same file", inode("c") == was);
    ERR("the old name is gone", ENOENT, access("a", F_OK));
    int fd = open("b", O_RDONLY);
    OK("over a file", rename("c", "b"));
    YES("takes its place", inode("b") == was);
    EQ("the old one stays open", 0, ({ struct stat st; fstat(fd, &st); st.st_nlink; }));
    OK("to itself", rename("b", "b"));
    MUST(link("b", "b2") == 0);
    OK("to another link of the same file", rename("b", "b2"));
    EQ("does nothing", 2, links("b"));
    ERR("a file over a directory", EISDIR, rename("b", "d"));
    ERR("a directory over a file", ENOTDIR, rename("d", "b"));
    ERR("a directory over a full one", ENOTEMPTY, rename("e", "d"));
    OK("a directory over an empty one", rename("e", "d/sub"));
    ERR("a directory into itself", EINVAL, rename("d", "d/x"));
    ERR("a directory into a child", EINVAL, rename("d", "d/sub/x"));
    ERR("over its own parent", ENOTEMPTY, rename("d/sub", "d"));
    ERR("not there", ENOENT, rename("gone", "x"));
    ERR("to nowhere", ENOENT, rename("b", "gone/x"));
    ERR("a file to a name with a slash", ENOTDIR, rename("b", "x/"));
    OK("a directory to a name with a slash", rename("d", "dd/"));
    ERR("dot", EBUSY, rename(".", "x"));
    ERR("over dot dot", EBUSY, rename("b", ".."));
    ERR("to another file system", EXDEV, rename("b", "/proc/x"));
    ERR("a new name nowhere", EFAULT, syscall(SYS_rename, "b", BAD));
    ERR("an empty new name", ENOENT, rename("b", ""));
    MUST(symlink("b", "l") == 0);
    OK("a link itself", rename("l", "l2"));
    EQ("stays a link", 1, ({ char t[9]; readlink("l2", t, 9); }));
    EQ("of the parent's links", 3, links("dd"));
    AS_NOBODY({
        ERR("no permission to write", EACCES, rename("fixed/x", "y"));
        ERR("nor to write there", EACCES, rename("b", "fixed/y"));
    });
}

GROUP(renameat)
{
    MUST(mkdir("d", 0755) == 0);
    close(file_with("a", "a"));
    int dir = open("d", O_RDONLY), fd = open("a", O_RDONLY);
    OK("into a directory", renameat(AT_FDCWD, "a", dir, "x"));
    OK("and back", renameat(dir, "x", AT_FDCWD, "a"));
    ERR("no descriptor", EBADF, renameat(NOFD, "a", dir, "x"));
    ERR("no descriptor to go to", EBADF, renameat(AT_FDCWD, "a", NOFD, "x"));
    ERR("a file for a directory", ENOTDIR, renameat(fd, "a", dir, "x"));
    ERR("a file to go to", ENOTDIR, renameat(AT_FDCWD, "a", fd, "x"));
}

GROUP(renameat2)
{
#define RENAME2(a, b, f) syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, f)
    MUST(mkdir("d", 0755) == 0 && mkdir("d/in", 0755) == 0);
    close(file_with("a", "a"));
    close(file_with("b", "b"));
    long a = inode("a"), b = inode("b");
    ERR("RENAME_NOREPLACE, taken", EEXIST, RENAME2("a", "b", RENAME_NOREPLACE));
    OK("RENAME_NOREPLACE, free", RENAME2("a", "c", RENAME_NOREPLACE));
    OK("RENAME_EXCHANGE", RENAME2("c", "b", RENAME_EXCHANGE));
    YES("has changed both", inode("c") == b && inode("b") == a);
    ERR("RENAME_EXCHANGE with nothing", ENOENT, RENAME2("b", "gone", RENAME_EXCHANGE));
    OK("RENAME_EXCHANGE of file and directory", RENAME2("b", "d", RENAME_EXCHANGE));
    OK("which are now where the other was", access("b/in", F_OK));
    ERR("RENAME_EXCHANGE with its own child", EINVAL, RENAME2("b", "b/in", RENAME_EXCHANGE));
    ERR("both flags", EINVAL, RENAME2("b", "c", RENAME_EXCHANGE | RENAME_NOREPLACE));
    ERR("unknown flags", EINVAL, RENAME2("b", "c", 64));
    ERR("RENAME_NOREPLACE to itself", EEXIST, RENAME2("c", "c", RENAME_NOREPLACE));
}

static long symlink_at(const char *path) { return syscall(SYS_symlink, "to", path); }
GROUP(symlink)
{
    bad_paths(symlink_at);
    OK("to nothing", symlink("anything at all", "l"));
    EQ("its length", 15, ({ struct stat st; lstat("l", &st); st.st_size; }));
    EQ("its mode", 0777, ({ struct stat st; lstat("l", &st); st.st_mode & 07777; }));
    ERR("a name that is taken", EEXIST, symlink("x", "l"));
    ERR("over a file", EEXIST, symlink("x", "file"));
    ERR("an empty target", ENOENT, symlink("", "m"));
    ERR("a target nowhere", EFAULT, syscall(SYS_symlink, BAD, "m"));
    ERR("a name with a slash", ENOENT, symlink("x", "m/"));
    static char target[5000];
    memset(target, 't', 4095);
    OK("a target of 4095 bytes", symlink(target, "m"));
    target[4095] = 't';
    ERR("a target of 4096 bytes", ENAMETOOLONG, symlink(target, "n"));
    AS_NOBODY(ERR("no permission to write", EACCES, symlink("x", "fixed/y")));
}

GROUP(symlinkat)
{
    MUST(mkdir("d", 0755) == 0);
    int dir = open("d", O_RDONLY), fd = file_with("a", "");
    OK("in a directory", symlinkat("x", dir, "l"));
    ERR("taken", EEXIST, symlinkat("x", dir, "l"));
    ERR("no descriptor", EBADF, symlinkat("x", NOFD, "l"));
    ERR("a file", ENOTDIR, symlinkat("x", fd, "l"));
    ERR("an empty name", ENOENT, symlinkat("x", dir, ""));
}

static long readlink_(const char *path) { char t[9]; return syscall(SYS_readlink, path, t, 9); }
GROUP(readlink)
{
    bad_paths(readlink_);
    char text[64] = "";
    MUST(symlink("target", "l") == 0);
    EQ("a link", 6, readlink("l", text, 64));
    TEXT("its text", "target", text);
    EQ("cut short", 3, readlink("l", text, 3));
    ERR("no room", EINVAL, readlink("l", text, 0));
    ERR("less than no room", EINVAL, syscall(SYS_readlink, "l", text, -1));
    ERR("a file", EINVAL, readlink("file", text, 64));
    ERR("a directory", EINVAL, readlink("fixed", text, 64));
    ERR("not there", ENOENT, readlink("gone", text, 64));
    ERR("into nowhere", EFAULT, readlink("l", BAD, 64));
    YES("/proc/self/exe", readlink("/proc/self/exe", text, 64) > 0);
    YES("/proc/self/cwd", readlink("/proc/self/cwd", text, 64) > 0);
}

GROUP(readlinkat)
{
    MUST(mkdir("d", 0755) == 0 && symlink("to", "d/l") == 0);
    int dir = open("d", O_RDONLY), fd = file_with("a", "");
    char text[64];
    EQ("in a directory", 2, readlinkat(dir, "l", text, 64));
    ERR("no descriptor", EBADF, readlinkat(NOFD, "l", text, 64));
    ERR("a file", ENOTDIR, readlinkat(fd, "l", text, 64));
    ERR("an empty path of a directory", ENOENT, readlinkat(dir, "", text, 64));
    int path = openat(dir, "l", O_PATH | O_NOFOLLOW);
    EQ("an empty path of a link", 2, readlinkat(path, "", text, 64));
    ERR("no room", EINVAL, readlinkat(dir, "l", text, 0));
}

static long mkdir_(const char *path) { return syscall(SYS_mkdir, path, 0755); }
GROUP(mkdir)
{
    bad_paths(mkdir_);
    OK("new", mkdir("d", 0777));
    struct stat st;
    MUST(stat("d", &st) == 0);
    EQ("its mode", 0755, st.st_mode & 07777);
    EQ("its links", 2, st.st_nlink);
    ERR("again", EEXIST, mkdir("d", 0777));
    ERR("over a file", EEXIST, mkdir("file", 0777));
    ERR("over a link to nothing", EEXIST, (symlink("gone", "l"), mkdir("l", 0777)));
    ERR("dot", EEXIST, mkdir(".", 0777));
    ERR("the root", EEXIST, mkdir("/", 0777));
    OK("with a slash", mkdir("e/", 0700));
    OK("with many slashes", mkdir("d//f///", 0700));
    ERR("dot in nothing", ENOENT, mkdir("gone/.", 0700));
    EQ("links of the parent", 3, links("d"));
    OK("sticky", mkdir("s", 01777));
    MUST(stat("s", &st) == 0);
    EQ("its bit", 01755, st.st_mode & 07777);
    MUST(chmod("d", 02755) == 0);
    OK("in a directory with a group", mkdir("d/g", 0755));
    MUST(stat("d/g", &st) == 0);
    EQ("inherits the bit", 02755, st.st_mode & 07777);
    AS_NOBODY(ERR("no permission to write", EACCES, mkdir("fixed/y", 0755)));
}

GROUP(mkdirat)
{
    MUST(mkdir("d", 0755) == 0);
    int dir = open("d", O_RDONLY), fd = file_with("a", "");
    OK("in a directory", mkdirat(dir, "x", 0755));
    ERR("taken", EEXIST, mkdirat(dir, "x", 0755));
    ERR("no descriptor", EBADF, mkdirat(NOFD, "x", 0755));
    ERR("a file", ENOTDIR, mkdirat(fd, "x", 0755));
    ERR("an empty path", ENOENT, mkdirat(dir, "", 0755));
    MUST(rmdir("d/x") == 0 && rmdir("d") == 0);
    ERR("in a removed one", ENOENT, mkdirat(dir, "y", 0755));
}

static long rmdir_(const char *path) { return syscall(SYS_rmdir, path); }
GROUP(rmdir)
{
    bad_paths(rmdir_);
    MUST(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0 && symlink("d/e", "l") == 0);
    ERR("with something in it", ENOTEMPTY, rmdir("d"));
    ERR("a file", ENOTDIR, rmdir("file"));
    ERR("a link", ENOTDIR, rmdir("l"));
    ERR("dot", EINVAL, rmdir("."));
    ERR("ending in dot", EINVAL, rmdir("d/."));
    ERR("ending in dot dot", ENOTEMPTY, rmdir("d/e/.."));
    ERR("the root", EBUSY, rmdir("/"));
    ERR("not there", ENOENT, rmdir("gone"));
    int fd = open("d/e", O_RDONLY);
    OK("an open one", rmdir("d/e/"));
    EQ("has no links", 0, ({ struct stat st; fstat(fd, &st); st.st_nlink; }));
    ERR("nothing can be made there", ENOENT, openat(fd, "x", O_CREAT | O_RDWR, 0600));
    MUST(chdir("d") == 0);
    OK("the working directory", rmdir("../d"));
    char text[200];
    ERR("has no path then", ENOENT, getcwd(text, 200) ? 0 : -1);
    MUST(fchdir(fd) == 0);
    AS_NOBODY(ERR("below a removed one", ENOENT, rmdir("x")));
}

static long mknod_(const char *path) { return syscall(SYS_mknod, path, S_IFREG | 0644, 0); }
GROUP(mknod)
{
    bad_paths(mknod_);
    struct { const char *name; int type; } types[] = {{"a file", S_IFREG}, {"a fifo", S_IFIFO}, {"a socket", S_IFSOCK}, {"no type, a file", 0}};
    for (unsigned i = 0; i < COUNT(types); i++) {
        struct stat st;
        OK(types[i].name, mknod(named("n%d", i), types[i].type | 0666, 0));
        MUST(stat(named("n%d", i), &st) == 0);
        EQ(named("%s, its mode", types[i].name), (types[i].type ? types[i].type : S_IFREG) | 0644, st.st_mode);
    }
    ERR("taken", EEXIST, mknod("n0", S_IFIFO | 0600, 0));
    ERR("a directory", EPERM, mknod("m", S_IFDIR | 0700, 0));
    ERR("an unknown type", EINVAL, mknod("m", 0170000 | 0700, 0));
    ERR("a symbolic link", EINVAL, mknod("m", S_IFLNK | 0700, 0));
    AS_NOBODY({
        ERR("a device, as a user", EPERM, mknod("m", S_IFCHR | 0600, makedev(1, 3)));
        OK("a fifo, as a user", mknod("mine", S_IFIFO | 0600, 0));
    });
    ERR("a socket cannot be opened", ENXIO, open("n2", O_RDWR));
}

GROUP(mknodat)
{
    MUST(mkdir("d", 0755) == 0);
    int dir = open("d", O_RDONLY), fd = file_with("a", "");
    OK("in a directory", mknodat(dir, "p", S_IFIFO | 0600, 0));
    ERR("taken", EEXIST, mknodat(dir, "p", S_IFIFO | 0600, 0));
    ERR("no descriptor", EBADF, mknodat(NOFD, "p", S_IFIFO | 0600, 0));
    ERR("a file", ENOTDIR, mknodat(fd, "p", S_IFIFO | 0600, 0));
}
