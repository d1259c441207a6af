/* Extended attributes: the twelve calls. */
#include "case.h"
#include <sys/xattr.h>

static long set_path(const char *f, const char *n, const void *v, size_t s, int fl) { return setxattr(f, n, v, s, fl); }
static long set_link(const char *f, const char *n, const void *v, size_t s, int fl) { return lsetxattr(f, n, v, s, fl); }
static long set_fd(const char *f, const char *n, const void *v, size_t s, int fl) { int fd = open(f, O_RDONLY); long r = fsetxattr(fd, n, v, s, fl); int e = errno; close(fd); errno = e; return r; }

static void setting(long (*set)(const char *, const char *, const void *, size_t, int))
{
    close(file_with("a", "a"));
    char text[16];
    OK("new", set("a", "user.one", "1", 1, 0));
    OK("changed", set("a", "user.one", "22", 2, 0));
    EQ("its length", 2, getxattr("a", "user.one", text, 16));
    ERR("XATTR_CREATE, there", EEXIST, set("a", "user.one", "3", 1, XATTR_CREATE));
    ERR("XATTR_REPLACE, not there", ENODATA, set("a", "user.two", "3", 1, XATTR_REPLACE));
    OK("XATTR_REPLACE, there", set("a", "user.one", "4", 1, XATTR_REPLACE));
    OK("XATTR_CREATE, not there", set("a", "user.two", "5", 1, XATTR_CREATE));
    ERR("unknown flags", EINVAL, set("a", "user.one", "3", 1, 4));
    OK("an empty value", set("a", "user.empty", "", 0, 0));
    EQ("is there", 0, getxattr("a", "user.empty", text, 16));
    ERR("no name space", EOPNOTSUPP, set("a", "one", "1", 1, 0));
    ERR("an unknown name space", EOPNOTSUPP, set("a", "other.one", "1", 1, 0));
    ERR("an empty name", ERANGE, set("a", "", "1", 1, 0));
    ERR("a name nowhere", EFAULT, set("a", BAD, "1", 1, 0));
    ERR("a value nowhere", EFAULT, set("a", "user.x", BAD, 1, 0));
    static char name[300] = "user.";
    memset(name + 5, 'n', 251);
    ERR("a name of 256 bytes", ERANGE, set("a", name, "1", 1, 0));
    ERR("a value of 65537 bytes", E2BIG, set("a", "user.x", text, 65537, 0));
}

GROUP(setxattr)
{
    setting(set_path);
    ERR("not there", ENOENT, setxattr("gone", "user.a", "1", 1, 0));
    MUST(mkfifo("p", 0600) == 0 && mkdir("d", 0755) == 0);
    OK("a directory", setxattr("d", "user.a", "1", 1, 0));
    ERR("a fifo", EPERM, setxattr("p", "user.a", "1", 1, 0));
    OK("trusted, as super-user", geteuid() ? 0 : setxattr("a", "trusted.a", "1", 1, 0));
    AS_NOBODY({
        ERR("trusted, as a user", EPERM, setxattr("a", "trusted.b", "1", 1, 0));
        ERR("no permission to write", EACCES, setxattr("a", "user.b", "1", 1, 0));
    });
}
GROUP(lsetxattr)
{
    setting(set_link);
    MUST(symlink("a", "l") == 0);
    ERR("a link", EPERM, lsetxattr("l", "user.a", "1", 1, 0));
}
GROUP(fsetxattr)
{
    setting(set_fd);
    ERR("no descriptor", EBADF, fsetxattr(NOFD, "user.a", "1", 1, 0));
    int path = open("a", O_PATH);
    ERR("O_PATH", EBADF, fsetxattr(path, "user.a", "1", 1, 0));
}

static long get_path(const char *f, const char *n, void *v, size_t s) { return getxattr(f, n, v, s); }
static long get_link(const char *f, const char *n, void *v, size_t s) { return lgetxattr(f, n, v, s); }
static long get_fd(const char *f, const char *n, void *v, size_t s) { int fd = open(f, O_RDONLY); long r = fgetxattr(fd, n, v, s); int e = errno; close(fd); errno = e; return r; }
static void getting(long (*get)(const char *, const char *, void *, size_t))
{
    close(file_with("a", "a"));
    MUST(setxattr("a", "user.one", "value", 5, 0) == 0);
    char text[64] = "";
    EQ("there", 5, get("a", "user.one", text, 64));
    TEXT("its value", "value", text);
    EQ("its length", 5, get("a", "user.one", NULL, 0));
    ERR("too small", ERANGE, get("a", "user.one", text, 4));
    EQ("just large enough", 5, get("a", "user.one", text, 5));
    ERR("not there", ENODATA, get("a", "user.two", text, 64));
    ERR("an unknown name space", EOPNOTSUPP, get("a", "other.one", text, 64));
    ERR("an empty name", ERANGE, get("a", "", text, 64));
    ERR("into nowhere", EFAULT, get("a", "user.one", BAD, 64));
    ERR("a name nowhere", EFAULT, get("a", BAD, text, 64));
}
GROUP(getxattr)
{
    getting(get_path);
    char text[8];
    ERR("no such file", ENOENT, getxattr("gone", "user.one", text, 8));
    AS_NOBODY(ERR("trusted, as a user", ENODATA, getxattr("a", "trusted.x", text, 8)));
}
GROUP(lgetxattr)
{
    getting(get_link);
    MUST(symlink("a", "l") == 0);
    char text[8];
    ERR("a link", ENODATA, lgetxattr("l", "user.one", text, 8));
}
GROUP(fgetxattr)
{
    getting(get_fd);
    char text[8];
    ERR("no descriptor", EBADF, fgetxattr(NOFD, "user.one", text, 8));
}

static long list_path(const char *f, void *v, size_t s) { return listxattr(f, v, s); }
static long list_link(const char *f, void *v, size_t s) { return llistxattr(f, v, s); }
static long list_fd(const char *f, void *v, size_t s) { int fd = open(f, O_RDONLY); long r = flistxattr(fd, v, s); int e = errno; close(fd); errno = e; return r; }
static void listing(long (*list)(const char *, void *, size_t))
{
    close(file_with("a", "a"));
    char text[64];
    EQ("none", 0, list("a", text, 64));
    MUST(setxattr("a", "user.one", "1", 1, 0) == 0 && setxattr("a", "user.two", "2", 1, 0) == 0);
    EQ("two", 18, list("a", text, 64));
    YES("names end with zeroes", text[8] == 0 && text[17] == 0);
    EQ("their length", 18, list("a", NULL, 0));
    ERR("too small", ERANGE, list("a", text, 17));
    ERR("into nowhere", EFAULT, list("a", BAD, 64));
}
GROUP(listxattr)
{
    listing(list_path);
    char text[8];
    ERR("no such file", ENOENT, listxattr("gone", text, 8));
}
GROUP(llistxattr)
{
    listing(list_link);
    MUST(symlink("a", "l") == 0);
    char text[64];
    EQ("a link", 0, llistxattr("l", text, 64));
}
GROUP(flistxattr)
{
    listing(list_fd);
    char text[8];
    ERR("no descriptor", EBADF, flistxattr(NOFD, text, 8));
}

static long remove_path(const char *f, const char *n) { return removexattr(f, n); }
static long remove_link(const char *f, const char *n) { return lremovexattr(f, n); }
static long remove_fd(const char *f, const char *n) { int fd = open(f, O_RDONLY); long r = fremovexattr(fd, n); int e = errno; close(fd); errno = e; return r; }
static void removing(long (*drop)(const char *, const char *))
{
    close(file_with("a", "a"));
    char text[8];
    MUST(setxattr("a", "user.one", "1", 1, 0) == 0);
    OK("there", drop("a", "user.one"));
    ERR("is gone", ENODATA, getxattr("a", "user.one", text, 8));
    ERR("not there", ENODATA, drop("a", "user.one"));
    ERR("an unknown name space", EOPNOTSUPP, drop("a", "other.one"));
    ERR("an empty name", ERANGE, drop("a", ""));
    ERR("a name nowhere", EFAULT, drop("a", BAD));
}
GROUP(removexattr)
{
    removing(remove_path);
    ERR("no such file", ENOENT, removexattr("gone", "user.a"));
    MUST(setxattr("a", "user.one", "1", 1, 0) == 0);
    AS_NOBODY(ERR("no permission to write", EACCES, removexattr("a", "user.one")));
}
GROUP(lremovexattr) { removing(remove_link); }
GROUP(fremovexattr)
{
    removing(remove_fd);
    ERR("no descriptor", EBADF, fremovexattr(NOFD, "user.a"));
}
