/* mount(2): what a tmpfs may hold, read-only mounts and what is no file of theirs, limits, and who is told. */
#include "case.h"
#include "mounts.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static int new_dir(const char *path)
{
    return mkdir(path, 0777);
}

static off_t size_of(int fd)
{
    struct stat st;
    MUST(fstat(fd, &st) == 0);
    return st.st_size;
}

/* A fresh tmpfs of these options at `t`, and an empty file in it. */
static int fresh(const char *options)
{
    new_dir("t");
    MUST(mount("", "t", "tmpfs", 0, options) == 0);
    int fd = open("t/f", O_RDWR | O_CREAT, 0777);
    MUST(fd >= 0);
    return fd;
}

static void done(int fd)
{
    close(fd);
    MUST(umount2("t", MNT_DETACH) == 0);
}

GROUP(tmpfs_room)
{
    if (!root())
        return;
    for (int i = 0; i < 3; i++) {
        static const char *const options[] = {"size=2048", "nr_blocks=1", "size=4096"};
        int fd = fresh(options[i]);
        OK(named("%s, a page", options[i]), fallocate(fd, 0, 0, 4096));
        EQ(named("%s, its size", options[i]), 4096, size_of(fd));
        ERR(named("%s, a byte more", options[i]), ENOSPC, fallocate(fd, 0, 0, 4097));
        EQ(named("%s, its size then", options[i]), 4096, size_of(fd));
        OK(named("%s, longer", options[i]), ftruncate(fd, 4097));
        EQ(named("%s, its size longer", options[i]), 4097, size_of(fd));
        OK(named("%s, nothing", options[i]), ftruncate(fd, 0));
        OK(named("%s, again", options[i]), fallocate(fd, 0, 0, 4096));
        done(fd);
    }
    int fd = fresh("size=8192");
    ERR("all or nothing", ENOSPC, fallocate(fd, 0, 0, 8193));
    EQ("all or nothing, size", 0, size_of(fd));
    OK("all", fallocate(fd, 0, 0, 8192));
    done(fd);
    fd = fresh("size=4096");
    lseek(fd, 4094, SEEK_SET);
    EQ("half a write", 2, write(fd, "abcd", 4));
    ERR("no write", ENOSPC, write(fd, "abcd", 4));
    done(fd);
    char buffer[4098] = "";
    fd = fresh("size=12288");
    lseek(fd, 4096, SEEK_SET);
    EQ("pages 1", 4, write(fd, buffer, 4));
    EQ("pages 2", 4091, write(fd, buffer, 4091));
    EQ("pages 3", 2, write(fd, buffer, 2));
    EQ("pages 4", 4097, write(fd, buffer, 4097));
    EQ("pages 5", 4094, write(fd, buffer, 4098));
    ERR("pages 6", ENOSPC, write(fd, buffer, 1));
    done(fd);
    char text[200];
    memset(text, 'a', sizeof text);
    fd = fresh("size=4096");
    text[127] = 0;
    OK("a short link", symlink(text, "t/1"));
    text[127] = 'a', text[128] = 0;
    OK("a long link", symlink(text, "t/2"));
    ERR("another", ENOSPC, symlink(text, "t/3"));
    text[127] = 0;
    OK("another short one", symlink(text, "t/4"));
    ERR("no room beside", ENOSPC, fallocate(fd, 0, 0, 4096));
    OK("the long one goes", unlink("t/2"));
    OK("room again", fallocate(fd, 0, 0, 4096));
    done(fd);
    fd = fresh("size=4096");
    OK("longer than the room", ftruncate(fd, 8192));
    char *map = mmap(0, 8192, PROT_READ, MAP_PRIVATE, fd, 0);
    MUST(map != MAP_FAILED);
    EQ("a hole read by memory", 0, map[4094]);
    int status;
    CHILD(status, {
        volatile char c = map[4096];
        (void)c;
    });
    EQ("a hole without room", SIGBUS, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    struct stat st;
    fstat(fd, &st);
    EQ("its blocks", 8, st.st_blocks);
    EQ("a hole read by a call", 4096, pread(fd, buffer, 4096, 4096));
    munmap(map, 8192);
    done(fd);
    new_dir("e");
    static const char *const bad[] = {"size", "size=", "size=x", "mode=9", "nr_blocks", "nr_inodes=", "foo", "foo=1", "uid=-1",
                                      "uid=x", "gid"};
    for (unsigned i = 0; i < COUNT(bad); i++)
        ERR(named("option %s", bad[i]), EINVAL, mount("", "e", "tmpfs", 0, bad[i]));
    static const char *const good[] = {"size=1k,mode=0700", "size=0", "nr_inodes=0", "size=50%", "inode64", "huge=never", "", "mode=01777"};
    for (unsigned i = 0; i < COUNT(good); i++) {
        OK(named("option %s", good[i]), mount("", "e", "tmpfs", 0, good[i]));
        umount2("e", MNT_DETACH);
    }
}

GROUP(tmpfs_remount)
{
    if (!root())
        return;
    int fd = fresh("size=8192");
    struct statfs fs;
    OK("larger", mount("", "t", 0, MS_REMOUNT, "size=16384"));
    statfs("t", &fs);
    EQ("larger, blocks", 4, fs.f_blocks);
    OK("room", fallocate(fd, 0, 0, 16384));
    ERR("smaller than its files", EINVAL, mount("", "t", 0, MS_REMOUNT, "size=4096"));
    OK("without", mount("", "t", 0, MS_REMOUNT, 0));
    statfs("t", &fs);
    EQ("without, blocks", 4, fs.f_blocks);
    ERR("unknown", EINVAL, mount("", "t", 0, MS_REMOUNT, "foo"));
    OK("inodes", mount("", "t", 0, MS_REMOUNT, "nr_inodes=100"));
    statfs("t", &fs);
    EQ("inodes, files", 100, fs.f_files);
    OK("mode", mount("", "t", 0, MS_REMOUNT, "mode=0700"));
    struct stat st;
    stat("t", &st);
    SHOW("mode", "%o", st.st_mode);
    ERR("read-only, a writer", EBUSY, mount("", "t", 0, MS_REMOUNT | MS_RDONLY, 0));
    close(fd);
    OK("read-only", mount("", "t", 0, MS_REMOUNT | MS_RDONLY, 0));
    new_dir("b");
    OK("bind", mount("t", "b", 0, MS_BIND, 0));
    ERR("bind, write", EROFS, open("b/g", O_RDWR | O_CREAT, 0666));
    OK("bind, rw", mount("", "b", 0, MS_REMOUNT | MS_BIND, 0));
    ERR("bind, write still", EROFS, open("b/g", O_RDWR | O_CREAT, 0666));
    OK("rw", mount("", "t", 0, MS_REMOUNT, 0));
    fd = open("b/g", O_RDWR | O_CREAT, 0666);
    YES("bind, write now", fd >= 0);
    close(fd);
    OK("bind, ro", mount("", "b", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
    fd = open("t/g", O_RDWR | O_CREAT, 0666);
    YES("the other", fd >= 0);
    ERR("the bind", EROFS, open("b/g", O_RDWR));
    close(fd);
    umount2("b", MNT_DETACH);
    umount2("t", MNT_DETACH);
    ERR("no mount", EINVAL, mount("", "b", "tmpfs", MS_REMOUNT, ""));
}

GROUP(read_only)
{
    if (!root())
        return;
    int fd = fresh("");
    close(fd);
    MUST(mkfifo("t/fifo", 0666) == 0);
    MUST(mknod("t/null", S_IFCHR | 0666, makedev(1, 3)) == 0);
    MUST(mount("", "t", 0, MS_REMOUNT | MS_RDONLY, 0) == 0);
    ERR("access", EROFS, access("t", W_OK));
    ERR("access of a file", EROFS, access("t/f", W_OK));
    OK("access of a fifo", access("t/fifo", W_OK));
    OK("access of a device", access("t/null", W_OK));
    fd = open("t/fifo", O_RDWR);
    EQ("a fifo", 1, write(fd, "x", 1));
    close(fd);
    fd = open("t/null", O_WRONLY);
    EQ("a device", 1, write(fd, "x", 1));
    close(fd);
    ERR("a file", EROFS, open("t/f", O_WRONLY));
    ERR("a file, O_TRUNC", EROFS, open("t/f", O_RDONLY | O_TRUNC));
    ERR("a file that is there, O_CREAT", EROFS, open("t/f", O_RDWR | O_CREAT, 0666));
    fd = open("t/f", O_RDONLY | O_CREAT, 0666);
    YES("a file that is there, O_CREAT to read", fd >= 0);
    ERR("fchmod", EROFS, fchmod(fd, 0600));
    ERR("fchown", EROFS, fchown(fd, 1, 1));
    ERR("futimens", EROFS, futimens(fd, 0));
    close(fd);
    ERR("mkdir of what is there", EEXIST, mkdir("t/f", 0700));
    ERR("mkdir", EROFS, mkdir("t/g", 0700));
    ERR("unlink", EROFS, unlink("t/f"));
    ERR("unlink of none", EROFS, unlink("t/none"));
    ERR("rename of none", EROFS, rename("t/none", "t/other"));
    ERR("rename", EROFS, rename("t/f", "t/other"));
    ERR("link", EROFS, link("t/f", "t/other"));
    ERR("symlink of what is there", EEXIST, symlink("x", "t/f"));
    ERR("O_TMPFILE", EROFS, open("t", O_TMPFILE | O_RDWR, 0600));
    ERR("truncate", EROFS, truncate("t/f", 0));
    umount2("t", MNT_DETACH);

    fd = open("n", O_RDWR | O_CREAT, 0666);
    close(fd);
    OK("bind of a device", mount("/dev/null", "n", 0, MS_BIND, 0));
    OK("bind of a device, ro", mount("/dev/null", "n", 0, MS_BIND | MS_REMOUNT | MS_RDONLY, 0));
    fd = open("n", O_RDWR);
    EQ("bind of a device, write", 2, write(fd, "xy", 2));
    close(fd);
    umount2("n", MNT_DETACH);
    new_dir("d");
    ERR("a directory on a file", ENOTDIR, mount("d", "n", 0, MS_BIND, 0));
    ERR("a file on a directory", ENOTDIR, mount("n", "d", 0, MS_BIND, 0));
}

GROUP(mount_others)
{
    if (!root())
        return;
    new_dir("d");
    ERR("no such kind", ENODEV, mount("", "d", "foobar", 0, ""));
    ERR("empty kind", ENODEV, mount("", "d", "", 0, ""));
    ERR("no kind", EINVAL, mount("", "d", 0, 0, ""));
    ERR("no target", ENOENT, mount("", "none", "tmpfs", 0, ""));
    int status;
    CHILD(status, {
        setuid(NOBODY);
        ERR("as nobody", EPERM, mount("", "d", "tmpfs", 0, ""));
        ERR("as nobody, no target", ENOENT, mount("", "none", "tmpfs", 0, ""));
        ERR("umount as nobody", EPERM, umount("d"));
    });
    ERR("two kinds of propagation", EINVAL, mount("", "d", "", MS_SHARED | MS_PRIVATE, 0));
    int fd = eventfd(0, 0);
    int error = mount("test", named("/proc/self/fd/%d", fd), "tmpfs", 0, 0) == 0 ? 0 : errno;
    YES("on an eventfd", error == EINVAL || error == ENOENT);
    close(fd);
    OK("proc without a source", mount(0, "d", "proc", 0, 0));
    FILE *f = fopen("/proc/self/mounts", "r");
    char text[512], source[64] = "", target[256], kind[64];
    char cwd[256];
    MUST(getcwd(cwd, sizeof cwd - 4));
    strcat(cwd, "/d");
    while (fgets(text, sizeof text, f))
        if (sscanf(text, "%63s %255s %63s", source, target, kind) == 3 && !strcmp(target, cwd))
            break;
    fclose(f);
    TEXT("its source", "none", source);
    TEXT("its kind", "proc", kind);
    OK("umount of it", umount2("d", 0));
    OK("noatime and strictatime", mount("", "d", "tmpfs", MS_NOATIME | MS_STRICTATIME, ""));
    fd = file_with("d/f", "text");
    struct stat before, after;
    fstat(fd, &before);
    pause_ms(20);
    EQ("read", 4, read(fd, text, 4));
    fstat(fd, &after);
    YES("the time of access", memcmp(&before.st_atim, &after.st_atim, sizeof after.st_atim));
    close(fd);
    fd = open("d/f", O_RDONLY);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    new_dir("e");
    file_with("g", "");
    umount2("d", MNT_DETACH);
    ERR("bind of what was unmounted", EINVAL, mount(path, "g", "", MS_BIND, 0));
    OK("flags", mount("d", "e", "tmpfs", MS_BIND, ""));
    struct statfs fs;
    OK("flags, nodev", mount("d", "e", "tmpfs", MS_REMOUNT | MS_BIND | MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOATIME, ""));
    statfs("e", &fs);
    SHOW("flags", "%lx", (unsigned long)fs.f_flags);
    OK("flags, none", mount("d", "e", "tmpfs", MS_REMOUNT | MS_BIND, ""));
    statfs("e", &fs);
    SHOW("flags then", "%lx", (unsigned long)fs.f_flags);
    umount2("e", MNT_DETACH);
    OK("noexec", mount("", "e", "tmpfs", MS_NOEXEC, "mode=0777"));
    fd = file_with("e/f", "text");
    fchmod(fd, 0777);
    EQ("noexec, mmap", EPERM, mmap(0, 4096, PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno : 0);
    void *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    YES("noexec, mmap to read", p != MAP_FAILED);
    ERR("noexec, mprotect", EACCES, mprotect(p, 4096, PROT_EXEC));
    char *const none[] = {0};
    close(fd);
    ERR("noexec, execve", EACCES, execve("e/f", none, none));
    ERR("rename of a mount", EBUSY, rename("e", "h"));
    ERR("rmdir of a mount", EBUSY, rmdir("e"));
    ERR("umount with a map", EBUSY, umount("e"));
    munmap(p, 4096);
    OK("umount", umount("e"));
    ERR("umount, nofollow", EINVAL, umount2("/proc/self/exe", UMOUNT_NOFOLLOW));
}

static const char *told(int ep)
{
    struct epoll_event event;
    int n = epoll_wait(ep, &event, 1, 0);
    return n == 0 ? "no" : n == 1 ? named("%x", event.events) : "error";
}

GROUP(mounts_told)
{
    if (!root())
        return;
    new_dir("d");
    new_dir("p");
    MUST(mount("", "p", "tmpfs", 0, "") == 0);
    MUST(mount("", "p", "", MS_PRIVATE, "") == 0);
    new_dir("p/1");
    new_dir("p/2");
    static const char *const paths[] = {"/proc/self/mounts", "/proc/self/mountinfo"};
    for (int i = 0; i < 2; i++) {
        int fd = open(paths[i], O_RDONLY), ep = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLPRI | EPOLLERR};
        MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
        TEXT(named("%d, at first", i), "no", told(ep));
        MUST(mount("", "d", "tmpfs", 0, "") == 0);
        TEXT(named("%d, mount", i), "a", told(ep));
        TEXT(named("%d, once", i), "no", told(ep));
        MUST(mount("", "d", 0, MS_REMOUNT | MS_RDONLY, 0) == 0);
        TEXT(named("%d, remount", i), "a", told(ep));
        TEXT(named("%d, remount once", i), "no", told(ep));
        MUST(mount("", "d", 0, MS_REMOUNT, 0) == 0);
        TEXT(named("%d, remount back", i), "a", told(ep));
        MUST(umount2("d", 0) == 0);
        TEXT(named("%d, umount", i), "a", told(ep));
        TEXT(named("%d, umount once", i), "no", told(ep));
        MUST(mount("", "p/1", "tmpfs", 0, "") == 0);
        TEXT(named("%d, another", i), "a", told(ep));
        MUST(mount("p/1", "p/2", "", MS_MOVE, "") == 0);
        TEXT(named("%d, move", i), "a", told(ep));
        TEXT(named("%d, move once", i), "no", told(ep));
        MUST(mount("", "p/2", "", MS_SHARED, "") == 0);
        SHOW(named("%d, shared", i), "%s", told(ep));
        MUST(umount2("p/2", 0) == 0);
        close(ep);
        close(fd);
    }
    umount2("p", MNT_DETACH);
}

/* Doubles the mounts below a place twelve times, and takes them all away at once. */
GROUP(many_mounts)
{
    if (!root())
        return;
    new_dir("p");
    MUST(mount("", "p", "tmpfs", 0, "") == 0);
    new_dir("p/d");
    MUST(mount("p/d", "p/d", 0, MS_BIND, 0) == 0 && mount("", "p/d", "", MS_SHARED, "") == 0);
    for (int i = 0; i < 12; i++)
        OK(named("on a peer, %d", i), mount("p/d", "p/d", 0, MS_BIND, 0));
    OK("umount", umount2("p", MNT_DETACH));
    new_dir("r");
    new_dir("r/b");
    MUST(mount("r", "r", 0, MS_BIND, 0) == 0);
    for (int i = 0; i < 12; i++)
        OK(named("in itself, %d", i), mount("r", "r/b", 0, MS_BIND | MS_REC, 0));
    OK("umount in itself", umount2("r", MNT_DETACH));
}
