/* file_getattr(2), file_setattr(2). */
#include "case.h"

#include <sys/mount.h>

struct attr {
    unsigned long xflags;
    unsigned extsize, nextents, projid, cowextsize;
};

static long get(int dir, const char *path, void *attr, size_t size, unsigned flags)
{
    return syscall(468, dir, path, attr, size, flags);
}

static long set(int dir, const char *path, const void *attr, size_t size, unsigned flags)
{
    return syscall(469, dir, path, attr, size, flags);
}

static long set_flags(const char *path, unsigned long flags)
{
    struct attr attr = {.xflags = flags};
    return set(AT_FDCWD, path, &attr, sizeof attr, 0);
}

static unsigned long flags_of(const char *path)
{
    struct attr attr = {.xflags = ~0UL};
    return get(AT_FDCWD, path, &attr, sizeof attr, 0) ? ~0UL : attr.xflags;
}

/* A tmpfs, whose files have the flags. */
GROUP(file_attr)
{
    struct attr attr = {9, 9, 9, 9, 9};
    char big[5000];
    errno = 0;
    if (mkdir("t", 0755) != 0 || mount("t", "t", "tmpfs", 0, 0) != 0 || chdir("t") != 0 || (get(-1, "x", &attr, 24, 1), errno == ENOSYS))
        return;
    int fd = file_with("f", "x"), path = open("f", O_PATH), p[2];
    MUST(symlink("f", "l") == 0 && mkfifo("fifo", 0600) == 0 && mkdir("d", 0755) == 0 && pipe(p) == 0);
    OK("get", get(AT_FDCWD, "f", &attr, 24, 0));
    SHOW("told", "%lx %u %u %u %u", attr.xflags, attr.extsize, attr.nextents, attr.projid, attr.cowextsize);
    ERR("a small structure", EINVAL, get(AT_FDCWD, "f", &attr, 23, 0));
    memset(big, 1, sizeof big);
    OK("a large one", get(AT_FDCWD, "f", big, 4096, 0));
    EQ("is filled up", 0, big[24] | big[4095]);
    ERR("too large a one", E2BIG, get(AT_FDCWD, "f", big, 4097, 0));
    ERR("no address", EFAULT, get(AT_FDCWD, "f", BAD, 24, 0));
    ERR("other flags", EINVAL, get(AT_FDCWD, "f", &attr, 24, 1));
    ERR("no file", ENOENT, get(AT_FDCWD, "none", &attr, 24, 0));
    OK("a descriptor", get(fd, "", &attr, 24, AT_EMPTY_PATH));
    OK("a descriptor without a path", get(fd, 0, &attr, 24, AT_EMPTY_PATH));
    ERR("an empty path", ENOENT, get(fd, "", &attr, 24, 0));
    ERR("no path", EFAULT, get(AT_FDCWD, 0, &attr, 24, 0));
    OK("through a link", get(AT_FDCWD, "l", &attr, 24, 0));
    ERR("a link", EOPNOTSUPP, get(AT_FDCWD, "l", &attr, 24, AT_SYMLINK_NOFOLLOW));
    ERR("no descriptor", EBADF, get(NOFD, "f", &attr, 24, 0));
    ERR("no descriptor, no path", EBADF, get(NOFD, "", &attr, 24, AT_EMPTY_PATH));
    ERR("a path's descriptor", EBADF, get(path, "", &attr, 24, AT_EMPTY_PATH));
    OK("the working directory", get(AT_FDCWD, "", &attr, 24, AT_EMPTY_PATH));
    ERR("in /proc", EOPNOTSUPP, get(AT_FDCWD, "/proc/version", &attr, 24, 0));
    ERR("a device", EOPNOTSUPP, get(AT_FDCWD, "/dev/null", &attr, 24, 0));
    ERR("a FIFO", EOPNOTSUPP, get(AT_FDCWD, "fifo", &attr, 24, 0));
    ERR("a pipe", EOPNOTSUPP, get(p[0], "", &attr, 24, AT_EMPTY_PATH));
    OK("nodump, noatime", set_flags("f", 0xc0));
    EQ("as set", 0xc0, flags_of("f"));
    OK("none", set_flags("f", 0));
    EQ("none told", 0, flags_of("f"));
    static const struct {
        unsigned long flag;
        int error;
    } flags[] = {{0x1, EOPNOTSUPP},   {0x2, 0},           {0x20, EOPNOTSUPP},     {0x100, EOPNOTSUPP}, {0x200, EOPNOTSUPP}, {0x800, 0},
                 {0x1000, EINVAL},    {0x2000, EOPNOTSUPP}, {0x8000, EOPNOTSUPP}, {0x40000, EINVAL},   {0x80000000, 0},
                 {1UL << 40, EINVAL}};
    for (unsigned i = 0; i < COUNT(flags); i++)
        if (flags[i].error)
            ERR(named("flag %lx", flags[i].flag), flags[i].error, set_flags("f", flags[i].flag));
        else
            OK(named("flag %lx", flags[i].flag), set_flags("f", flags[i].flag));
    ERR("size of extents flag of a directory", EINVAL, set_flags("d", 0x800));
    OK("inherited one of a directory", set_flags("d", 0x1000));
    attr = (struct attr){.extsize = 4096};
    ERR("size of extents", EOPNOTSUPP, set(AT_FDCWD, "f", &attr, 24, 0));
    attr = (struct attr){.projid = 1};
    ERR("a project", EOPNOTSUPP, set(AT_FDCWD, "f", &attr, 24, 0));
    attr = (struct attr){.nextents = 5};
    OK("a number of extents", set(AT_FDCWD, "f", &attr, 24, 0));
    ERR("set by a small one", EINVAL, set(AT_FDCWD, "f", &attr, 23, 0));
    memset(big, 0, sizeof big);
    OK("set by a larger one", set(AT_FDCWD, "f", big, 100, 0));
    big[50] = 1;
    ERR("set by one that asks for more", E2BIG, set(AT_FDCWD, "f", big, 100, 0));
    ERR("set by too large a one", E2BIG, set(AT_FDCWD, "f", big, 4097, 0));
    ERR("set by no address", EFAULT, set(AT_FDCWD, "f", BAD, 24, 0));
    ERR("set with flags", EINVAL, set(AT_FDCWD, "f", &attr, 24, 2));
    ERR("set in /proc", EOPNOTSUPP, set(AT_FDCWD, "/proc/version", &attr, 24, 0));
    ERR("set no file", ENOENT, set(AT_FDCWD, "none", &attr, 24, 0));
    OK("set a descriptor", set(fd, "", &attr, 24, AT_EMPTY_PATH));
    if (set_flags("f", 0x8) == 0) {
        ERR("immutable", EPERM, open("f", O_RDWR));
        EQ("immutable, told", 0x8, flags_of("f"));
        OK("no more", set_flags("f", 0));
    }
    AS_NOBODY({
        EQ("get by nobody", 0, flags_of("f"));
        ERR("set by nobody", EPERM, set_flags("f", 0));
    });
    close(fd);
    close(path);
    MUST(chdir("..") == 0 && umount2("t", MNT_DETACH) == 0);
}
