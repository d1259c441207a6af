/* inotify(7): which events, in which order, what they coalesce to, and what inotify_add_watch refuses. */
#include "case.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

static const struct { uint32_t bit; const char *name; } bits[] = {
    {IN_ACCESS, "ACCESS"}, {IN_MODIFY, "MODIFY"}, {IN_ATTRIB, "ATTRIB"}, {IN_CLOSE_WRITE, "CLOSE_WRITE"},
    {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"}, {IN_OPEN, "OPEN"}, {IN_MOVED_FROM, "MOVED_FROM"}, {IN_MOVED_TO, "MOVED_TO"},
    {IN_CREATE, "CREATE"}, {IN_DELETE, "DELETE"}, {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVE_SELF, "MOVE_SELF"},
    {IN_UNMOUNT, "UNMOUNT"}, {IN_Q_OVERFLOW, "Q_OVERFLOW"}, {IN_IGNORED, "IGNORED"}, {IN_ISDIR, "ISDIR"},
};

static int in;
static uint32_t cookie;

/* What has come: wd, bits, name of each; equal cookies are shown as such. */
static const char *events(void)
{
    static char text[2048];
    static char buffer[65536] __attribute__((aligned(8)));
    ssize_t n = read(in, buffer, sizeof buffer);
    char *out = text;
    *out = 0;
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *e = (void *)(buffer + at);
        out += sprintf(out, "%s%d:", at ? " " : "", e->wd);
        for (size_t i = 0; i < COUNT(bits); i++)
            if (e->mask & bits[i].bit)
                out += sprintf(out, "%s%s", out[-1] == ':' ? "" : "|", bits[i].name);
        if (e->len)
            out += sprintf(out, "(%s)", e->name);
        if (e->cookie)
            out += sprintf(out, "%s", e->cookie == cookie ? "=" : "#");
        cookie = e->cookie ? e->cookie : cookie;
        at += sizeof *e + e->len;
    }
    return text;
}

static void start(const char *path, uint32_t mask)
{
    in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    MUST(in >= 0);
    if (path)
        MUST(inotify_add_watch(in, path, mask) == 1);
}

static void put(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    MUST(fd >= 0 && write(fd, "text", 4) == 4);
    close(fd);
}

GROUP(inotify_add_watch)
{
    start(0, 0);
    put("f");
    mkdir("d", 0700);
    symlink("f", "l");
    ERR("no bits", EINVAL, inotify_add_watch(in, "f", 0));
    ERR("unknown bits", EINVAL, inotify_add_watch(in, "f", IN_OPEN | 0x1000));
    ERR("no descriptor", EBADF, inotify_add_watch(NOFD, "f", IN_OPEN));
    ERR("no bits come before the descriptor", EINVAL, inotify_add_watch(NOFD, "f", 0));
    ERR("no inotify", EINVAL, inotify_add_watch(open("f", O_RDONLY), "f", IN_OPEN));
    ERR("add and create", EINVAL, inotify_add_watch(in, "f", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
    ERR("nothing there", ENOENT, inotify_add_watch(in, "nothing", IN_OPEN));
    ERR("bad memory", EFAULT, inotify_add_watch(in, BAD, IN_OPEN));
    ERR("IN_ONLYDIR of a file", ENOTDIR, inotify_add_watch(in, "f", IN_OPEN | IN_ONLYDIR));
    EQ("IN_ONLYDIR of a directory", 1, inotify_add_watch(in, "d", IN_OPEN | IN_ONLYDIR));
    EQ("a file", 2, inotify_add_watch(in, "f", IN_OPEN));
    EQ("again", 2, inotify_add_watch(in, "f", IN_ACCESS));
    EQ("by its link", 2, inotify_add_watch(in, "l", IN_ACCESS));
    EQ("the link itself", 3, inotify_add_watch(in, "l", IN_ACCESS | IN_DONT_FOLLOW));
    ERR("IN_MASK_CREATE of one that is watched", EEXIST, inotify_add_watch(in, "f", IN_OPEN | IN_MASK_CREATE));
    EQ("IN_ONESHOT alone", 1, inotify_add_watch(in, "d", IN_ONESHOT));
    EQ("IN_ISDIR alone", 1, inotify_add_watch(in, "d", IN_ISDIR));
    ERR("no such watch", EINVAL, inotify_rm_watch(in, 17));
    ERR("negative watch", EINVAL, inotify_rm_watch(in, -1));
    OK("remove", inotify_rm_watch(in, 2));
    TEXT("tells of it", "2:IGNORED", events());
    EQ("numbers are not used again", 4, inotify_add_watch(in, "f", IN_OPEN));
    ERR("unknown flags of inotify_init1", EINVAL, inotify_init1(1));
    AS_NOBODY({
        int own = inotify_init();
        ERR("what others may not read", EACCES, inotify_add_watch(own, "d", IN_OPEN));
    });
}

GROUP(inotify_file)
{
    put("f");
    start("f", IN_ALL_EVENTS);
    int fd = open("f", O_RDWR);
    TEXT("open", "1:OPEN", events());
    char b[16];
    read(fd, b, 2), read(fd, b, 1), read(fd, b, 5);
    TEXT("reads", "1:ACCESS", events());
    read(fd, b, 5);
    TEXT("at the end", "", events());
    write(fd, "x", 1), pwrite(fd, "y", 1, 0);
    TEXT("writes", "1:MODIFY", events());
    write(fd, "x", 0);
    TEXT("of nothing", "", events());
    ftruncate(fd, 1);
    TEXT("ftruncate", "1:MODIFY", events());
    ftruncate(fd, 1);
    TEXT("to the same size", "1:MODIFY", events());
    truncate("f", 3);
    TEXT("truncate", "1:MODIFY", events());
    fchmod(fd, 0600);
    TEXT("fchmod", "1:ATTRIB", events());
    chown("f", -1, -1);
    TEXT("chown of nothing", "", events());
    struct timespec now[2] = {{1, 0}, {1, 0}}, at[2] = {{1, 0}, {0, UTIME_OMIT}}, mt[2] = {{0, UTIME_OMIT}, {1, 0}};
    struct timespec none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    futimens(fd, now);
    TEXT("both times", "1:ATTRIB", events());
    futimens(fd, at);
    TEXT("access time", "1:ACCESS", events());
    futimens(fd, mt);
    TEXT("modification time", "1:MODIFY", events());
    futimens(fd, none);
    TEXT("no time", "", events());
    fsetxattr(fd, "trusted.x", "y", 1, 0);
    TEXT("setxattr", geteuid() ? "" : "1:ATTRIB", events());
    link("f", "g");
    TEXT("link", "1:ATTRIB", events());
    unlink("g");
    TEXT("unlink of another name", "1:ATTRIB", events());
    rename("f", "h");
    TEXT("rename", "1:MOVE_SELF", events());
    MUST(!posix_fallocate(fd, 0, 100));
    TEXT("fallocate", "1:MODIFY", events());
    void *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *(volatile char *)map = 'x';
    TEXT("by memory", "", events());
    munmap(map, 4096);
    int p[2];
    MUST(!pipe(p));
    loff_t zero = 0;
    splice(fd, &zero, p[1], 0, 2, 0);
    TEXT("splice from", "1:ACCESS", events());
    splice(p[0], 0, fd, 0, 2, 0);
    TEXT("splice to", "1:MODIFY", events());
    close(fd);
    TEXT("close", "1:CLOSE_WRITE", events());
    close(open("h", O_RDONLY));
    TEXT("open and close", "1:OPEN 1:CLOSE_NOWRITE", events());
    close(open("h", O_WRONLY | O_TRUNC));
    TEXT("O_TRUNC", "1:OPEN 1:MODIFY 1:CLOSE_WRITE", events());
    close(open("h", O_PATH));
    TEXT("O_PATH", "", events());
    fd = open("h", O_RDWR);
    int two = dup(fd);
    close(fd);
    TEXT("one of two descriptors", "1:OPEN", events());
    close(two);
    TEXT("the last", "1:CLOSE_WRITE", events());
    unlink("h");
    TEXT("unlink", "1:ATTRIB 1:DELETE_SELF 1:IGNORED", events());
    ERR("the watch is gone", EINVAL, inotify_rm_watch(in, 1));
}

GROUP(inotify_last_name)
{
    put("f");
    start("f", IN_ALL_EVENTS);
    MUST(inotify_add_watch(in, ".", IN_ALL_EVENTS) == 2);
    int fd = open("f", O_RDWR);
    TEXT("open", "2:OPEN(f) 1:OPEN", events());
    unlink("f");
    TEXT("unlink while open", "1:ATTRIB 2:DELETE(f)", events());
    write(fd, "x", 1);
    TEXT("write", "2:MODIFY(f) 1:MODIFY", events());
    fchmod(fd, 0600);
    TEXT("fchmod", "2:ATTRIB(f) 1:ATTRIB", events());
    close(fd);
    TEXT("close", "2:CLOSE_WRITE(f) 1:CLOSE_WRITE 1:DELETE_SELF 1:IGNORED", events());
    put("g");
    events();
    MUST(inotify_add_watch(in, "g", IN_ALL_EVENTS) == 3);
    unlink("g");
    TEXT("unlink", "3:ATTRIB 3:DELETE_SELF 3:IGNORED 2:DELETE(g)", events());
    mkdir("d", 0700);
    MUST(inotify_add_watch(in, "d", IN_ALL_EVENTS) == 4);
    TEXT("mkdir", "2:CREATE|ISDIR(d)", events());
    rmdir("d");
    TEXT("rmdir", "4:DELETE_SELF 4:IGNORED 2:DELETE|ISDIR(d)", events());
    mkdir("e", 0700);
    int dir = open("e", O_RDONLY);
    events();
    MUST(inotify_add_watch(in, "e", IN_ALL_EVENTS) == 5);
    access("e/nothing", 0);
    rmdir("e");
    TEXT("rmdir while open", "2:DELETE|ISDIR(e)", events());
    close(dir);
    TEXT("close of it", "2:CLOSE_NOWRITE|ISDIR(e) 5:CLOSE_NOWRITE|ISDIR 5:DELETE_SELF 5:IGNORED", events());
    put("a"), put("b");
    events();
    MUST(inotify_add_watch(in, "a", IN_ALL_EVENTS) == 6 && inotify_add_watch(in, "b", IN_ALL_EVENTS) == 7);
    rename("a", "b");
    TEXT("rename over", "2:MOVED_FROM(a)# 2:MOVED_TO(b)= 7:ATTRIB 6:MOVE_SELF 7:DELETE_SELF 7:IGNORED", events());
    link("b", "c");
    TEXT("link", "6:ATTRIB 2:CREATE(c)", events());
    put("x");
    events();
    rename("b", "y");
    TEXT("rename", "2:MOVED_FROM(b)# 2:MOVED_TO(y)= 6:MOVE_SELF", events());
    syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "y", 2);
    TEXT("exchange", "2:MOVED_FROM(x)# 2:MOVED_TO(y)= 2:MOVED_FROM(y)# 2:MOVED_TO(x)= 6:MOVE_SELF", events());
    mkdir("p", 0700), mkdir("q", 0700);
    events();
    MUST(inotify_add_watch(in, "p", IN_ALL_EVENTS) == 8 && inotify_add_watch(in, "q", IN_ALL_EVENTS) == 9);
    rename("p", "q");
    TEXT("rename over a directory", "2:MOVED_FROM|ISDIR(p)# 2:MOVED_TO|ISDIR(q)= 9:ATTRIB|ISDIR 8:MOVE_SELF 9:DELETE_SELF 9:IGNORED", events());
}

GROUP(inotify_directory)
{
    start(".", IN_ALL_EVENTS);
    int fd = open("f", O_WRONLY | O_CREAT, 0644);
    TEXT("create", "1:CREATE(f) 1:OPEN(f)", events());
    write(fd, "x", 1);
    close(fd);
    TEXT("write and close", "1:MODIFY(f) 1:CLOSE_WRITE(f)", events());
    mknod("n", S_IFIFO | 0600, 0);
    TEXT("mknod", "1:CREATE(n)", events());
    symlink("f", "l");
    TEXT("symlink", "1:CREATE(l)", events());
    chmod("f", 0600);
    TEXT("chmod", "1:ATTRIB(f)", events());
    truncate("f", 0);
    TEXT("truncate", "1:MODIFY(f)", events());
    mkdir("d", 0700);
    rename("f", "d/f");
    TEXT("moved out", "1:CREATE|ISDIR(d) 1:MOVED_FROM(f)#", events());
    rename("d/f", "f");
    TEXT("moved in", "1:MOVED_TO(f)#", events());
    int dir = open(".", O_RDONLY);
    TEXT("open of it", "1:OPEN|ISDIR", events());
    char b[4096];
    syscall(SYS_getdents64, dir, b, sizeof b);
    TEXT("getdents", "1:ACCESS|ISDIR", events());
    syscall(SYS_getdents64, dir, b, sizeof b);
    TEXT("getdents at the end", "1:ACCESS|ISDIR", events());
    close(dir);
    TEXT("close of it", "1:CLOSE_NOWRITE|ISDIR", events());
    chmod(".", 0777);
    TEXT("chmod of it", "1:ATTRIB|ISDIR", events());
    rmdir("d");
    unlink("l");
    TEXT("removed", "1:DELETE|ISDIR(d) 1:DELETE(l)", events());
    stat("f", &(struct stat){0});
    TEXT("stat", "", events());
    int copy = open("c", O_WRONLY | O_CREAT, 0755), own = open("/proc/self/exe", O_RDONLY);
    struct stat st;
    fstat(own, &st);
    while (sendfile(copy, own, 0, st.st_size) > 0)
        ;
    close(copy);
    events();
    int status;
    CHILD(status, {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        execl("./c", "c", "no such group", (char *)0);
    });
    EQ("executed", 0, status);
    TEXT("events of execve", "1:OPEN(c) 1:ACCESS(c) 1:CLOSE_NOWRITE(c)", events());
    put("s");
    fd = open("s", O_WRONLY | O_TRUNC);
    dprintf(fd, "#!./c\n");
    close(fd);
    chmod("s", 0755);
    events();
    CHILD(status, {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        execl("./s", "s", "no such group", (char *)0);
    });
    const char *text = events();
    YES("a script is opened", !!strstr(text, "1:OPEN(s)"));
    YES("read", !!strstr(text, "1:ACCESS(s)"));
    YES("its interpreter too", !!strstr(text, "1:OPEN(c) 1:ACCESS(c)"));
}

GROUP(inotify_masks)
{
    put("f");
    start("f", IN_MODIFY);
    close(open("f", O_RDONLY));
    TEXT("only what is asked for", "", events());
    inotify_add_watch(in, "f", IN_OPEN | IN_MASK_ADD);
    put("f");
    TEXT("IN_MASK_ADD", "1:OPEN 1:MODIFY", events());
    inotify_add_watch(in, "f", IN_CLOSE_WRITE);
    put("f");
    TEXT("replaced", "1:CLOSE_WRITE", events());
    inotify_add_watch(in, "f", IN_OPEN | IN_ONESHOT);
    put("f");
    TEXT("IN_ONESHOT", "1:OPEN 1:IGNORED", events());
    MUST(inotify_add_watch(in, ".", IN_MODIFY | IN_ATTRIB | IN_CLOSE | IN_DELETE | IN_EXCL_UNLINK) == 2);
    int fd = open("f", O_WRONLY);
    unlink("f");
    TEXT("IN_EXCL_UNLINK: unlink", "2:DELETE(f)", events());
    write(fd, "x", 1);
    TEXT("IN_EXCL_UNLINK: write", "", events());
    fchmod(fd, 0600);
    TEXT("IN_EXCL_UNLINK: chmod", "2:ATTRIB(f)", events());
    close(fd);
    TEXT("IN_EXCL_UNLINK: close", "", events());
}

GROUP(inotify_read)
{
    start(".", IN_CREATE | IN_DELETE);
    char b[512];
    ERR("no events", EAGAIN, read(in, b, sizeof b));
    ERR("no events and no room", EAGAIN, read(in, b, 0));
    ERR("write", EBADF, write(in, b, 1));
    put("f");
    int n = -1;
    ioctl(in, FIONREAD, &n);
    EQ("FIONREAD", 32, n);
    ERR("too small", EINVAL, read(in, b, 31));
    ERR("no room", EINVAL, read(in, b, 0));
    ERR("bad memory", EFAULT, read(in, BAD, 32));
    put("a name of 16 chr");
    ioctl(in, FIONREAD, &n);
    SHOW("FIONREAD after a fault", "%d", n);
    while (read(in, b, sizeof b) > 0)
        ;
    mkdir("d", 0700), rmdir("d"), mkdir("d", 0700), rmdir("d");
    EQ("room for three", 96, read(in, b, 100));
    EQ("the rest", 32, read(in, b, 100));
    struct pollfd p = {in, POLLIN, 0};
    EQ("poll", 0, poll(&p, 1, 0));
    put("g");
    EQ("poll with an event", 1, poll(&p, 1, 0));
}

GROUP(inotify_overflow)
{
    put("f");
    start("f", IN_ATTRIB | IN_MODIFY);
    int max = 0, fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY), f = open("f", O_WRONLY);
    char b[65536];
    MUST(read(fd, b, sizeof b) > 0 && sscanf(b, "%d", &max) == 1);
    for (int i = 0; i < max / 2 + 10; i++)
        fchmod(f, 0600), pwrite(f, "x", 1, 0);
    int count = 0, last = 0, wd = 0;
    for (ssize_t n; (n = read(in, b, sizeof b)) > 0;)
        for (ssize_t at = 0; at < n; at += sizeof(struct inotify_event)) {
            struct inotify_event *e = (void *)(b + at);
            count++, last = e->mask, wd = e->wd;
        }
    EQ("all and one", 1, count - max);
    EQ("which says so", IN_Q_OVERFLOW, last);
    EQ("of no watch", -1, wd);
    fchmod(f, 0600);
    TEXT("and then it goes on", "1:ATTRIB", events());
}

GROUP(inotify_unmount)
{
    if (geteuid() != 0)
        return;
    mkdir("m", 0700);
    MUST(!mount("none", "m", "tmpfs", 0, 0));
    put("m/f");
    start("m", IN_ALL_EVENTS);
    MUST(inotify_add_watch(in, "m/f", IN_ALL_EVENTS) == 2);
    MUST(!umount("m"));
    const char *text = events();
    YES("root", !!strstr(text, "1:UNMOUNT") && !!strstr(text, "1:IGNORED"));
    YES("file", !!strstr(text, "2:UNMOUNT") && !!strstr(text, "2:IGNORED"));
}

GROUP(inotify_limits)
{
    int n = 0;
    for (int fd; n < 100000 && (fd = inotify_init()) >= 0; n++)
        ;
    int error = errno, max = 0, fd = open("/proc/sys/fs/inotify/max_user_instances", O_RDONLY);
    char b[64] = "";
    if (fd >= 0 && read(fd, b, sizeof b) > 0)
        sscanf(b, "%d", &max);
    YES("no more instances than there may be", n <= max && error == EMFILE);
}
