/* Mounts by descriptor (fsopen and its family), what statmount and listmount tell of them, pivot_root. */
#include "case.h"
#include "mounts.h"
#include <sys/mount.h>

#define TMPFS_MAGIC_ 0x01021994
enum { SET_FLAG, SET_STRING, SET_BINARY, SET_PATH, SET_PATH_EMPTY, SET_FD, CREATE, RECONFIGURE };
enum { ATTR_RDONLY = 1, ATTR_NOSUID = 2, ATTR_NODEV = 4, ATTR_NOEXEC = 8, ATTR_NOATIME = 16, ATTR_ATIME = 0x70, ATTR_IDMAP = 0x100000 };
enum { FROM_EMPTY = 4, TO_EMPTY = 0x40, SET_GROUP = 0x100, BENEATH = 0x200, CLONE = 1, RECURSIVE = 0x8000 };

struct request {
    uint32_t size, spare;
    uint64_t id, param, ns;
};
struct told {
    uint32_t size, opts;
    uint64_t mask;
    uint32_t major, minor;
    uint64_t magic;
    uint32_t sb_flags, type;
    uint64_t id, parent;
    uint32_t old_id, old_parent;
    uint64_t attr, propagation, group, master, from;
    uint32_t root, point;
    uint64_t ns;
    uint32_t subtype, source, opt_count, opt_array, sec_count, sec_array;
    uint64_t supported;
    uint32_t maps[4];
    uint64_t spare[43];
    char text[3584];
};

static long fsopen_(const char *kind, unsigned flags)
{
    return syscall(SYS_fsopen, kind, flags);
}

static long config(int fd, unsigned command, const char *key, const void *value, int aux)
{
    return syscall(SYS_fsconfig, fd, command, key, value, aux);
}

static long fsmount_(int fd, unsigned flags, unsigned attributes)
{
    return syscall(SYS_fsmount, fd, flags, attributes);
}

static long move(int from, const char *from_path, const char *to, unsigned flags)
{
    return syscall(SYS_move_mount, from, from_path, AT_FDCWD, to, flags);
}

static long tree(const char *path, unsigned flags)
{
    return syscall(SYS_open_tree, AT_FDCWD, path, flags);
}

static long set_attributes(const char *path, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation, size_t size)
{
    uint64_t attributes[4] = {set, clear, propagation, 0};
    return syscall(SYS_mount_setattr, AT_FDCWD, path, flags, attributes, size);
}

static const char *message(int fd)
{
    static char text[256];
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n < 0)
        return error_name(errno);
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    return text;
}

static uint64_t id_of(const char *path)
{
    struct statx st;
    MUST(statx(AT_FDCWD, path, 0, 0x4000, &st) == 0);
    return st.stx_mnt_id;
}

/* A tmpfs by itself, with a file and a directory in it. */
static int new_tree(void)
{
    int context = fsopen_("tmpfs", 0);
    MUST(context >= 0 && config(context, CREATE, 0, 0, 0) == 0);
    int fd = fsmount_(context, 1, 0);
    MUST(fd >= 0);
    close(context);
    int file = openat(fd, "in", O_CREAT | O_RDWR, 0600);
    MUST(file >= 0 && mkdirat(fd, "sub", 0755) == 0);
    close(file);
    return fd;
}

GROUP(fsopen)
{
    AS_NOBODY(ERR("not allowed", EPERM, fsopen_("nosuchfs", 99)));
    if (!root())
        return;
    ERR("unknown type", ENODEV, fsopen_("nosuchfs", 0));
    ERR("unknown flag", EINVAL, fsopen_("tmpfs", 2));
    ERR("no name", EFAULT, fsopen_(0, 0));
    int fd = fsopen_("tmpfs", 1);
    EQ("close-on-exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    TEXT("no message", "ENODATA", message(fd));
    ERR("write", EINVAL, write(fd, "x", 1));
    ERR("seek", ESPIPE, lseek(fd, 0, SEEK_SET));
    char link[64] = "";
    MUST(readlink(named("/proc/self/fd/%d", fd), link, sizeof link - 1) > 0);
    TEXT("its name", "anon_inode:[fscontext]", link);
}

GROUP(fsconfig)
{
    if (!root())
        return;
    int fd = fsopen_("tmpfs", 0);
    MUST(fd >= 0);
    ERR("flag without key", EINVAL, config(fd, SET_FLAG, 0, 0, 0));
    ERR("flag with value", EINVAL, config(fd, SET_FLAG, "rw", "x", 0));
    ERR("flag with number", EINVAL, config(fd, SET_FLAG, "rw", 0, 1));
    OK("flag", config(fd, SET_FLAG, "rw", 0, 0));
    ERR("unknown flag", EINVAL, config(fd, SET_FLAG, "foo", 0, 0));
    TEXT("message of it", "e tmpfs: Unknown parameter 'foo'", message(fd));
    TEXT("told once", "ENODATA", message(fd));
    ERR("text without key", EINVAL, config(fd, SET_STRING, 0, "x", 0));
    ERR("text without value", EINVAL, config(fd, SET_STRING, "size", 0, 0));
    ERR("text with number", EINVAL, config(fd, SET_STRING, "size", "1m", 1));
    OK("text", config(fd, SET_STRING, "size", "1m", 0));
    ERR("bad value", EINVAL, config(fd, SET_STRING, "size", "zzz", 0));
    TEXT("message of the value", "e tmpfs: Bad value for 'size'", message(fd));
    ERR("text of no parameter", EINVAL, config(fd, SET_STRING, "sizex", "1", 0));
    TEXT("message of the parameter", "e tmpfs: Unknown parameter 'sizex'", message(fd));
    OK("source", config(fd, SET_STRING, "source", "src", 0));
    ERR("another source", EINVAL, config(fd, SET_STRING, "source", "src", 0));
    TEXT("message of the source", "e Multiple sources", message(fd));
    ERR("source as a flag", EINVAL, config(fd, SET_FLAG, "source", 0, 0));
    ERR("size as a flag", EINVAL, config(fd, SET_FLAG, "size", 0, 0));
    ERR("bytes", EINVAL, config(fd, SET_BINARY, "size", "x", 1));
    ERR("no bytes", EINVAL, config(fd, SET_BINARY, "size", "x", 0));
    ERR("a path", EINVAL, config(fd, SET_PATH, "size", "/", AT_FDCWD));
    ERR("a path from nowhere", EINVAL, config(fd, SET_PATH, "size", "/", -1));
    ERR("a descriptor", EINVAL, config(fd, SET_FD, "size", 0, 0));
    ERR("no descriptor", EBADF, config(fd, SET_FD, "size", 0, NOFD));
    ERR("unknown command", EOPNOTSUPP, config(fd, 99, 0, 0, 0));
    ERR("negative context", EINVAL, config(-1, SET_FLAG, "rw", 0, 0));
    ERR("no context", EBADF, config(NOFD, SET_FLAG, "rw", 0, 0));
    ERR("another file", EINVAL, config(0, SET_FLAG, "rw", 0, 0));
    ERR("create with key", EINVAL, config(fd, CREATE, "x", 0, 0));
    ERR("reconfigure too early", EBUSY, config(fd, RECONFIGURE, 0, 0, 0));
    ERR("mount too early", EINVAL, fsmount_(fd, 0, 0));
    OK("create", config(fd, CREATE, 0, 0, 0));
    ERR("create again", EBUSY, config(fd, CREATE, 0, 0, 0));
    ERR("parameter too late", EBUSY, config(fd, SET_STRING, "size", "2m", 0));
}

GROUP(fsmount)
{
    AS_NOBODY(ERR("not allowed", EPERM, fsmount_(-1, 99, 0)));
    if (!root())
        return;
    int context = fsopen_("tmpfs", 0);
    MUST(context >= 0 && config(context, CREATE, 0, 0, 0) == 0);
    ERR("unknown flag", EINVAL, fsmount_(context, 2, 0));
    ERR("unknown attribute", EINVAL, fsmount_(context, 0, 0x1000));
    ERR("times of two kinds", EINVAL, fsmount_(context, 0, 0x30));
    ERR("no context", EBADF, fsmount_(-1, 0, 0));
    ERR("another file", EINVAL, fsmount_(0, 0, 0));
    int fd = fsmount_(context, 1, ATTR_NODEV | ATTR_NOEXEC);
    YES("mounted", fd >= 0);
    EQ("close-on-exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    EQ("a place", O_PATH, fcntl(fd, F_GETFL) & O_PATH);
    ERR("once", EBUSY, fsmount_(context, 0, 0));
    int file = openat(fd, "in", O_CREAT | O_RDWR, 0600);
    YES("has files", file >= 0);
    close(file);
    OK("a change begins", config(context, SET_STRING, "size", "2m", 0));
    OK("and is made", config(context, RECONFIGURE, 0, 0, 0));
    OK("read-only", config(context, SET_FLAG, "ro", 0, 0));
    OK("is made", config(context, RECONFIGURE, 0, 0, 0));
    ERR("no new files", EROFS, openat(fd, "more", O_CREAT | O_RDWR, 0600));
    int proc = fsopen_("proc", 0);
    OK("proc", config(proc, CREATE, 0, 0, 0));
    int mounted = fsmount_(proc, 0, 0);
    OK("its files", faccessat(mounted, "self/status", F_OK, 0));
    int sys = fsopen_("sysfs", 0);
    OK("sysfs", config(sys, CREATE, 0, 0, 0));
}

GROUP(move_mount)
{
    AS_NOBODY(ERR("not allowed", EPERM, move(-1, "", "", 0x400)));
    if (!root())
        return;
    mkdir("one", 0755);
    mkdir("two", 0755);
    close(file_with("file", ""));
    int fd = new_tree();
    ERR("unknown flag", EINVAL, move(fd, "", "one", 0x400));
    ERR("flags that exclude each other", EINVAL, move(fd, "", "one", SET_GROUP | BENEATH));
    ERR("empty path", ENOENT, move(fd, "", "one", 0));
    ERR("no target", ENOENT, move(fd, "", "none", FROM_EMPTY));
    ERR("a file as target", EINVAL, move(fd, "", "file", FROM_EMPTY));
    ERR("no descriptor", EBADF, move(-1, "", "one", FROM_EMPTY));
    ERR("not a mount", EINVAL, move(fd, "sub", "one", 0));
    OK("moved", move(fd, "", "one", FROM_EMPTY));
    OK("its files", access("one/in", F_OK));
    OK("moved on", move(fd, "", "two", FROM_EMPTY));
    ERR("gone", ENOENT, access("one/in", F_OK));
    ERR("into itself", ELOOP, move(fd, "", "two/sub", FROM_EMPTY));
    OK("by its path", move(AT_FDCWD, "two", "one", 0));
    ERR("in use", EBUSY, umount("one"));
    close(fd);
    OK("unmounted", umount("one"));
    fd = new_tree();
    close(fd);
    fd = new_tree();
    OK("below", move(fd, "", "one", FROM_EMPTY));
    int lower = new_tree();
    MUST(unlinkat(lower, "in", 0) == 0);
    OK("beneath it", move(lower, "", "one", FROM_EMPTY | BENEATH));
    OK("the upper is seen", access("one/in", F_OK));
    close(fd);
    close(lower);
    OK("upper unmounted", umount("one"));
    ERR("the lower is seen", ENOENT, access("one/in", F_OK));
    OK("lower unmounted", umount("one"));
    lower = new_tree();
    ERR("beneath nothing", EINVAL, move(lower, "", "one", FROM_EMPTY | BENEATH));
}

GROUP(open_tree)
{
    AS_NOBODY({
        ERR("not allowed", EPERM, tree("/", CLONE));
        YES("a place", tree("/", 0) >= 0);
    });
    if (!root())
        return;
    mkdir("one", 0755);
    mkdir("two", 0755);
    int made = new_tree();
    MUST(move(made, "", "one", FROM_EMPTY) == 0);
    close(made);
    MUST(mount("none", "one/sub", "tmpfs", 0, 0) == 0 && mkdir("one/sub/deep", 0755) == 0);
    ERR("unknown flag", EINVAL, tree("one", 2));
    ERR("recursive, not a copy", EINVAL, tree("one", RECURSIVE));
    ERR("no such place", ENOENT, tree("none", CLONE));
    int fd = tree("one", CLONE | RECURSIVE | O_CLOEXEC), flat = tree("one", CLONE);
    EQ("close-on-exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    OK("a copy", faccessat(fd, "in", F_OK, 0));
    OK("what is mounted in it", faccessat(fd, "sub/deep", F_OK, 0));
    ERR("not in the other", ENOENT, faccessat(flat, "sub/deep", F_OK, 0));
    OK("moved", move(fd, "", "two", FROM_EMPTY));
    OK("files there", access("two/sub/deep", F_OK));
    ERR("onto itself", ELOOP, move(fd, "", "two", FROM_EMPTY));
    close(fd);
    OK("stays", access("two/sub/deep", F_OK));
    close(flat);
    int directory = open("one/sub", O_PATH);
    int file = tree("one/in", CLONE);
    YES("a file", file >= 0);
    close(file);
    close(directory);
    OK("taken apart", umount2("two", MNT_DETACH));
    OK("the original", umount("one/sub"));
    OK("is not in use", umount("one"));
}

GROUP(mount_setattr)
{
    AS_NOBODY({
        ERR("size first", EINVAL, set_attributes("/", 0, 1, 0, 0, 3));
        ERR("not allowed", EPERM, set_attributes("/", 0, 1, 0, 0, 32));
    });
    if (!root())
        return;
    mkdir("one", 0755);
    int fd = new_tree();
    MUST(move(fd, "", "one", FROM_EMPTY) == 0);
    close(fd);
    MUST(mount("none", "one/sub", "tmpfs", 0, 0) == 0);
    OK("read-only", set_attributes("one", 0, ATTR_RDONLY, 0, 0, 32));
    ERR("no new files", EROFS, open("one/new", O_CREAT | O_RDWR, 0600));
    int below = open("one/sub/new", O_CREAT | O_RDWR, 0600);
    YES("below there are", below >= 0);
    ERR("all of it, in use", EBUSY, set_attributes("one", RECURSIVE, ATTR_RDONLY, 0, 0, 32));
    OK("written again", set_attributes("one", 0, 0, ATTR_RDONLY, 0, 32));
    ERR("in use: nothing changes", EBUSY, set_attributes("one", RECURSIVE, ATTR_RDONLY | ATTR_NOSUID, 0, 0, 32));
    close(below);
    OK("all of it", set_attributes("one", RECURSIVE, ATTR_RDONLY, 0, 0, 32));
    ERR("no new files below", EROFS, open("one/sub/newer", O_CREAT | O_RDWR, 0600));
    OK("all back", set_attributes("one", RECURSIVE, 0, ATTR_RDONLY, 0, 32));
    ERR("times not cleared", EINVAL, set_attributes("one", 0, ATTR_NOATIME, 0, 0, 32));
    ERR("times cleared in part", EINVAL, set_attributes("one", 0, ATTR_NOATIME, ATTR_NOATIME, 0, 32));
    OK("times", set_attributes("one", 0, ATTR_NOATIME, ATTR_ATIME, 0, 32));
    ERR("unknown attribute", EINVAL, set_attributes("one", 0, 0x1000, 0, 0, 32));
    OK("nothing, nowhere", set_attributes("none", 0, 0, 0, 0, 32));
    ERR("nowhere", ENOENT, set_attributes("none", 0, ATTR_NOSUID, 0, 0, 32));
    mkdir("one/sub/plain", 0755);
    ERR("not a mount", EINVAL, set_attributes("one/sub/plain", 0, ATTR_NOSUID, 0, 0, 32));
    ERR("small", EINVAL, set_attributes("one", 0, ATTR_NOSUID, 0, 0, 31));
    ERR("vast", E2BIG, set_attributes("one", 0, ATTR_NOSUID, 0, 0, 5000));
    ERR("unknown flag", EINVAL, set_attributes("one", 1, ATTR_NOSUID, 0, 0, 32));
    ERR("no attributes", EFAULT, syscall(SYS_mount_setattr, AT_FDCWD, "one", 0, 0, 32));
    OK("shared", set_attributes("one", RECURSIVE, 0, 0, MS_SHARED, 32));
    ERR("two kinds", EINVAL, set_attributes("one", 0, 0, 0, MS_SHARED | MS_PRIVATE, 32));
    ERR("no kind", EINVAL, set_attributes("one", 0, 0, 0, 1, 32));
    OK("private", set_attributes("one", RECURSIVE, 0, 0, MS_PRIVATE, 32));
    ERR("clear a mapping", EINVAL, set_attributes("one", 0, 0, ATTR_IDMAP, 0, 32));
    uint64_t mapped[4] = {ATTR_IDMAP, 0, 0, (uint64_t)-1};
    ERR("mapping by a negative", EINVAL, syscall(SYS_mount_setattr, AT_FDCWD, "one", 0, mapped, 32));
    mapped[3] = NOFD;
    ERR("mapping by none", EBADF, syscall(SYS_mount_setattr, AT_FDCWD, "one", 0, mapped, 32));
    mapped[3] = open("/proc/self/ns/user", O_RDONLY);
    ERR("mapping by the own", EPERM, syscall(SYS_mount_setattr, AT_FDCWD, "one", 0, mapped, 32));
}

GROUP(fspick)
{
    AS_NOBODY(ERR("not allowed", EPERM, syscall(SYS_fspick, -1, "/", 99)));
    if (!root())
        return;
    mkdir("one", 0755);
    MUST(mount("none", "one", "tmpfs", 0, 0) == 0 && mkdir("one/plain", 0755) == 0);
    ERR("unknown flag", EINVAL, syscall(SYS_fspick, AT_FDCWD, "one", 0x10));
    ERR("nowhere", ENOENT, syscall(SYS_fspick, AT_FDCWD, "none", 0));
    ERR("not a mount", EINVAL, syscall(SYS_fspick, AT_FDCWD, "one/plain", 0));
    int fd = syscall(SYS_fspick, AT_FDCWD, "one", 1);
    YES("picked", fd >= 0);
    ERR("is not created", EBUSY, config(fd, CREATE, 0, 0, 0));
    ERR("nor mounted", EBUSY, fsmount_(fd, 0, 0));
    OK("a parameter", config(fd, SET_STRING, "size", "2m", 0));
    OK("changed", config(fd, RECONFIGURE, 0, 0, 0));
    OK("read-only", config(fd, SET_FLAG, "ro", 0, 0));
    OK("changed again", config(fd, RECONFIGURE, 0, 0, 0));
    ERR("no new files", EROFS, open("one/new", O_CREAT | O_RDWR, 0600));
    ERR("bad value", EINVAL, config(fd, SET_STRING, "nr_inodes", "x", 0));
}

static struct told told;

static long about(uint64_t id, uint64_t mask, size_t size)
{
    struct request request = {24, 0, id, mask, 0};
    memset(&told, 0, sizeof told);
    return syscall(457, &request, &told, size, 0);
}

GROUP(statmount)
{
    if (!root())
        return;
    mkdir("one", 0755);
    MUST(mount("src", "one", "tmpfs", MS_NODEV | MS_NOEXEC, "size=2m") == 0);
    uint64_t id = id_of("one");
    OK("all", about(id, 0x16ef, 4096));
    SHOW("mask and size", "%lx %u", (long)told.mask, told.size);
    SHOW("basic", "magic %lx flags %x attr %lx propagation %lx", (long)told.magic, told.sb_flags, (long)told.attr,
         (long)told.propagation);
    YES("its number", told.id == id && told.parent == id_of("."));
    TEXT("type", "tmpfs", told.text + told.type);
    TEXT("root", "/", told.text + told.root);
    TEXT("source", "src", told.text + told.source);
    TEXT("options", "size=2048k", told.text + told.opts + (strncmp(told.text + told.opts, "rw,", 3) ? 0 : 3));
    SHOW("where the texts are", "%u %u %u", told.type, told.root, told.opts);
    OK("point", about(id, 0x10, 4096));
    char cwd[2048];
    MUST(getcwd(cwd, sizeof cwd - 8));
    strcat(cwd, "/one");
    YES("where", !strcmp(cwd, told.text + told.point));
    OK("nothing", about(id, 0, sizeof(struct told) - 3584));
    EQ("size of nothing", 512, told.size);
    OK("small", about(id, 3, 16));
    EQ("size of small", 16, told.size);
    ERR("a text, no room", EOVERFLOW, about(id, 0x20, 512));
    ERR("a text, too little room", EOVERFLOW, about(id, 0x20, 518));
    OK("a text, just room", about(id, 0x20, 519));
    ERR("everything, no room", EOVERFLOW, about(id, -1, 512));
    OK("unknown bit", about(id, 1UL << 40, 512));
    ERR("no such mount", ENOENT, about(-1, 0, 512));
    ERR("number 0", EINVAL, about(0, 0, 512));
    ERR("number of the old kind", EINVAL, about(5, 0, 512));
    struct request request = {24, 0, id, 1, 0};
    ERR("flags", EINVAL, syscall(457, &request, &told, 512, 1));
    ERR("bad buffer", EFAULT, syscall(457, &request, BAD, 512, 0));
    ERR("no request", EFAULT, syscall(457, 0, &told, 512, 0));
    request.spare = 1;
    ERR("spare", EINVAL, syscall(457, &request, &told, 512, 0));
    request.spare = 0;
    request.size = 8;
    ERR("small request", EINVAL, syscall(457, &request, &told, 512, 0));
    request.size = 5000;
    ERR("vast request", E2BIG, syscall(457, &request, &told, 512, 0));
    request.size = 32;
    request.ns = 77777;
    ERR("no such namespace", ENOENT, syscall(457, &request, &told, 512, 0));
    MUST(chroot("one") == 0);
    OK("out of sight of the super-user", about(id_of("/") + 0, 1, 512));
    int status;
    CHILD(status, {
        MUST(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
        OK("in sight", about(id, 1, 512));
    });
}

GROUP(statmount_chroot)
{
    if (!root())
        return;
    uint64_t outer = id_of("/"), ids[4];
    struct request request = {24, 0, outer, 0, 0};
    mkdir("jail", 0755);
    MUST(chroot("jail") == 0);
    int status;
    CHILD(status, {
        MUST(setegid(NOBODY) == 0 && seteuid(NOBODY) == 0);
        ERR("out of sight", EPERM, about(outer, 1, 512));
        ERR("list out of sight", EPERM, syscall(458, &request, ids, 4, 0));
    });
}

GROUP(listmount)
{
    if (!root())
        return;
    uint64_t ids[128];
    mkdir("one", 0755);
    MUST(mount("none", "one", "tmpfs", 0, 0) == 0 && mkdir("one/a", 0755) == 0 && mkdir("one/b", 0755) == 0);
    MUST(mount("none", "one/a", "tmpfs", 0, 0) == 0 && mount("none", "one/b", "tmpfs", 0, 0) == 0);
    MUST(mkdir("one/b/c", 0755) == 0 && mount("none", "one/b/c", "tmpfs", 0, 0) == 0);
    struct request request = {24, 0, id_of("one"), 0, 0};
    EQ("below", 3, syscall(458, &request, ids, 128, 0));
    YES("in order", ids[0] == id_of("one/a") && ids[1] == id_of("one/b") && ids[2] == id_of("one/b/c"));
    EQ("backwards", 3, syscall(458, &request, ids, 128, 1));
    YES("in that order", ids[2] == id_of("one/a") && ids[1] == id_of("one/b") && ids[0] == id_of("one/b/c"));
    EQ("two of them", 2, syscall(458, &request, ids, 2, 0));
    request.param = id_of("one/a");
    EQ("behind one", 2, syscall(458, &request, ids, 128, 0));
    EQ("before one", 0, syscall(458, &request, ids, 128, 1));
    request.param = 5;
    ERR("behind an old number", EINVAL, syscall(458, &request, ids, 128, 0));
    request.param = 0;
    ERR("flags", EINVAL, syscall(458, &request, ids, 128, 2));
    ERR("too many", EOVERFLOW, syscall(458, &request, ids, 1000001, 0));
    EQ("none", 0, syscall(458, &request, ids, 0, 0));
    ERR("bad buffer", EFAULT, syscall(458, &request, BAD, 128, 0));
    request.id = 1UL << 50;
    ERR("no such mount", ENOENT, syscall(458, &request, ids, 128, 0));
    request.id = 3;
    ERR("number of the old kind", EINVAL, syscall(458, &request, ids, 128, 0));
    request.id = -1;
    YES("the whole tree", syscall(458, &request, ids, 128, 0) >= 5);
}

GROUP(pivot_root)
{
    AS_NOBODY(ERR("not allowed", EPERM, syscall(SYS_pivot_root, "none", "none")));
    if (!root())
        return;
    int status;
    mkdir("old", 0755);
    close(file_with("file", ""));
    MUST(mount("none", "old", "tmpfs", 0, 0) == 0 && mkdir("old/new", 0755) == 0 && mkdir("old/plain", 0755) == 0);
    MUST(mount("none", "old/new", "tmpfs", 0, 0) == 0 && mkdir("old/new/put", 0755) == 0);
    ERR("nothing there", ENOENT, syscall(SYS_pivot_root, "none", "none"));
    ERR("a file", ENOTDIR, syscall(SYS_pivot_root, "file", "file"));
    CHILD(status, {
        MUST(chroot("old") == 0 && chdir("/") == 0);
        ERR("the old one on the root", EBUSY, syscall(SYS_pivot_root, "plain", "plain"));
        ERR("the root itself", EBUSY, syscall(SYS_pivot_root, "/", "/"));
        OK("pivot", syscall(SYS_pivot_root, "new", "new/put"));
        OK("the old root", access("/put/plain", F_OK));
        ERR("not at its place", ENOENT, access("/plain", F_OK));
        char cwd[64] = "";
        getcwd(cwd, sizeof cwd);
        TEXT("working directory", "/", cwd);
        OK("old one unmounted", umount2("/put", MNT_DETACH));
        ERR("is gone", ENOENT, access("/put/plain", F_OK));
    });
    EQ("went well", 0, status);
}
