/* mount(2), umount2(2), and what mounts do to files: flags, binds, moves, propagation. */
#include "case.h"
#include "mounts.h"
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

static int put(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    if (fd >= 0 && write(fd, "text", 4) == 4)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

static char cwd[PATH_MAX];

/* The lines of mountinfo with mounts below the working directory: target, options, optional fields with letters for the numbers of
 * groups, in the order of mounting. */
static const char *mounts(void)
{
    static char text[4096];
    char line_[1024], *out = text;
    int groups[16], known = 0;
    FILE *f = fopen("/proc/self/mountinfo", "r");
    MUST(f && getcwd(cwd, sizeof cwd));
    *out = 0;
    while (fgets(line_, sizeof line_, f)) {
        char target[512], options[256];
        int used = 0;
        if (sscanf(line_, "%*d %*d %*s %*s %511s %255s%n", target, options, &used) < 2 || strncmp(target, cwd, strlen(cwd)))
            continue;
        out += sprintf(out, "%s%s", out == text ? "" : " ", target + strlen(cwd));
        for (char *field = strtok(line_ + used, " "); field && strcmp(field, "-"); field = strtok(0, " ")) {
            char *colon = strchr(field, ':');
            int n = colon ? atoi(colon + 1) : 0, i = 0;
            while (i < known && groups[i] != n)
                i++;
            if (i == known && known < 16)
                groups[known++] = n;
            out += colon ? sprintf(out, ",%c%c", field[0], 'A' + i) : sprintf(out, ",%s", field);
        }
    }
    fclose(f);
    return text;
}

static const char *options(const char *of)
{
    static char found[256];
    char line_[1024], target[512], path[PATH_MAX + 64];
    FILE *f = fopen("/proc/self/mountinfo", "r");
    MUST(f && getcwd(cwd, sizeof cwd));
    snprintf(path, sizeof path, "%s/%s", cwd, of);
    *found = 0;
    while (fgets(line_, sizeof line_, f)) {
        char now[256];
        if (sscanf(line_, "%*d %*d %*s %*s %511s %255s", target, now) == 2 && !strcmp(target, path))
            strcpy(found, now);
    }
    fclose(f);
    return found;
}

GROUP(mount)
{
    if (!root())
        return;
    mkdir("d", 0755), mkdir("e", 0755);
    put("f");
    ERR("no such type", ENODEV, mount("none", "d", "nosuchfs", 0, 0));
    ERR("an empty type", ENODEV, mount("none", "d", "", 0, 0));
    ERR("no type", EINVAL, mount("none", "d", 0, 0, 0));
    ERR("nowhere", ENOENT, mount("none", "nothing", "tmpfs", 0, 0));
    ERR("on a file", ENOTDIR, mount("none", "f", "tmpfs", 0, 0));
    ERR("below a file", ENOTDIR, mount("none", "f/d", "tmpfs", 0, 0));
    ERR("bad target", EFAULT, mount("none", BAD, "tmpfs", 0, 0));
    ERR("bad type", EFAULT, mount("none", "d", BAD, 0, 0));
    ERR("bad source", EFAULT, mount(BAD, "d", "tmpfs", 0, 0));
    ERR("unknown option", EINVAL, mount("none", "d", "tmpfs", 0, "nosuchoption"));
    ERR("size without a value", EINVAL, mount("none", "d", "tmpfs", 0, "size"));
    ERR("bind of nothing", EINVAL, mount("", "d", 0, MS_BIND, 0));
    ERR("bind of what is not there", ENOENT, mount("nothing", "d", 0, MS_BIND, 0));
    ERR("bind of a file on a directory", ENOTDIR, mount("f", "d", 0, MS_BIND, 0));
    ERR("bind of a directory on a file", ENOTDIR, mount("d", "f", 0, MS_BIND, 0));
    ERR("remount of no mount", EINVAL, mount("none", "d", 0, MS_REMOUNT, 0));
    ERR("propagation of no mount", EINVAL, mount("none", "d", 0, MS_PRIVATE, 0));
    OK("a tmpfs without a source", mount(0, "d", "tmpfs", 0, 0));
    OK("with the old magic", mount("x", "e", "tmpfs", MS_MGC_VAL, "mode=700,size=64k"));
    struct stat st;
    stat("e", &st);
    EQ("mode", 0700, st.st_mode & 07777);
    struct statfs fs;
    statfs("e", &fs);
    EQ("blocks", 16, fs.f_blocks);
    ERR("two propagations", EINVAL, mount(0, "d", 0, MS_PRIVATE | MS_SHARED, 0));
    ERR("propagation and more", EINVAL, mount(0, "d", 0, MS_PRIVATE | MS_RDONLY, 0));
    ERR("rmdir of a mount", EBUSY, rmdir("d"));
    ERR("rename of a mount", EBUSY, rename("d", "g"));
    ERR("rename across", EXDEV, rename("f", "d/f"));
    ERR("link across", EXDEV, link("f", "d/f"));
    EQ("root of a mount", 1, ({ struct statx x; !statx(AT_FDCWD, "d", 0, STATX_BASIC_STATS, &x) && x.stx_attributes & STATX_ATTR_MOUNT_ROOT; }));
    int p = open("f", O_PATH), pipes[2];
    char magic[64];
    MUST(!pipe(pipes));
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", p);
    put("g");
    OK("bind of a magic link", mount(magic, "g", 0, MS_BIND, 0));
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", open("g", O_PATH));
    OK("umount through one", umount2(magic, MNT_DETACH));
    int dir = open("e", O_PATH | O_DIRECTORY);
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", dir);
    mkdir("m", 0755);
    OK("bind on a magic link", mount("d", magic, 0, MS_BIND, 0));
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", pipes[0]);
    ERR("bind of a pipe", EINVAL, mount(magic, "g", 0, MS_BIND, 0));
    AS_NOBODY({
        ERR("others", EPERM, mount("none", "d", "tmpfs", 0, 0));
        ERR("others and nothing there", ENOENT, mount("none", "nothing", "tmpfs", 0, 0));
        ERR("others' umount", EPERM, umount("d"));
    });
    umount2("e", MNT_DETACH), umount2("e", MNT_DETACH), umount2("d", MNT_DETACH);
}

GROUP(mount_flags)
{
    if (!root())
        return;
    mkdir("d", 0755), mkdir("b", 0755);
    OK("flags", mount("none", "d", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, 0));
    TEXT("shown", "rw,nosuid,nodev,noexec,noatime", options("d"));
    struct statvfs v;
    statvfs("d", &v);
    EQ("statfs", ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME, v.f_flag & 0xfff);
    put("d/x");
    chmod("d/x", 0755);
    mknod("d/null", S_IFCHR | 0666, makedev(1, 3));
    mkfifo("d/fifo", 0666);
    symlink("x", "d/link");
    ERR("noexec", EACCES, execl("d/x", "x", (char *)0));
    ERR("access X_OK", EACCES, access("d/x", X_OK));
    int fd = open("d/x", O_RDONLY);
    ERR("mmap PROT_EXEC", EPERM, (long)mmap(0, 4096, PROT_EXEC, MAP_PRIVATE, fd, 0));
    ERR("nodev", EACCES, open("d/null", O_RDONLY));
    close(fd);
    OK("remount", mount("none", "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
    TEXT("times stay", "ro,noatime", options("d"));
    ERR("read only", EROFS, put("d/y"));
    ERR("for writing", EROFS, open("d/x", O_WRONLY));
    ERR("truncated", EROFS, open("d/x", O_RDONLY | O_TRUNC));
    ERR("access W_OK", EROFS, access("d/x", W_OK));
    ERR("mkdir", EROFS, mkdir("d/y", 0755));
    ERR("unlink", EROFS, unlink("d/x"));
    ERR("rename", EROFS, rename("d/x", "d/y"));
    ERR("chmod", EROFS, chmod("d/x", 0644));
    ERR("link", EROFS, link("d/x", "d/y"));
    ERR("utimes", EROFS, utimes("d/x", 0));
    ERR("setxattr of nothing there", ENOENT, access("d/z", F_OK));
    ERR("creat of what exists", EEXIST, mkdir("d/x", 0755));
    YES("a fifo", open("d/fifo", O_RDWR) >= 0);
    YES("a device", open("d/null", O_WRONLY) >= 0);
    OK("bind", mount("d", "b", 0, MS_BIND, 0));
    TEXT("has the flags too", "ro,noatime", options("b"));
    OK("writable again", mount("none", "d", 0, MS_REMOUNT | MS_BIND | MS_RELATIME, 0));
    TEXT("shown then", "rw,relatime", options("d"));
    TEXT("the bind stays", "ro,noatime", options("b"));
    ERR("and read only", EROFS, put("b/y"));
    OK("this not", put("d/y"));
    fd = open("d/y", O_WRONLY);
    ERR("busy for read only", EBUSY, mount("none", "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
    close(fd);
    OK("then", mount("none", "d", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
    OK("strict times", mount("none", "d", 0, MS_REMOUNT | MS_BIND | MS_NOATIME | MS_STRICTATIME, 0));
    TEXT("shown as nothing", "rw", options("d"));
    OK("no symbolic links", mount("none", "d", 0, MS_REMOUNT | MS_BIND | MS_NOSYMFOLLOW, 0));
    ERR("followed", ELOOP, open("d/link", O_RDONLY));
    char b[8];
    EQ("read", 1, readlink("d/link", b, 8));
    umount("b"), umount("d");
}

GROUP(umount)
{
    if (!root())
        return;
    mkdir("d", 0755), mkdir("e", 0755);
    symlink("d", "l");
    MUST(!mount("none", "d", "tmpfs", 0, 0));
    put("d/f");
    mkdir("d/s", 0755);
    ERR("unknown flags", EINVAL, umount2("d", 0x100));
    ERR("no mount", EINVAL, umount("e"));
    ERR("a file of a mount", EINVAL, umount("d/f"));
    ERR("nothing there", ENOENT, umount("nothing"));
    ERR("bad memory", EFAULT, umount(BAD));
    char longname[5000];
    memset(longname, 'a', sizeof longname);
    longname[4999] = 0;
    ERR("a name too long", ENAMETOOLONG, umount(longname));
    ERR("UMOUNT_NOFOLLOW of a link", EINVAL, umount2("l", UMOUNT_NOFOLLOW));
    ERR("MNT_EXPIRE and MNT_DETACH", EINVAL, umount2("d", MNT_EXPIRE | MNT_DETACH));
    ERR("MNT_EXPIRE and MNT_FORCE", EINVAL, umount2("d", MNT_EXPIRE | MNT_FORCE));
    int fd = open("d/f", O_RDONLY);
    ERR("busy with a file", EBUSY, umount("d"));
    ERR("MNT_EXPIRE of what is busy", EBUSY, umount2("d", MNT_EXPIRE));
    close(fd);
    MUST(!mount("none", "d/s", "tmpfs", 0, 0));
    ERR("busy with a mount", EBUSY, umount("d"));
    OK("that", umount("d/s"));
    ERR("MNT_EXPIRE marks", EAGAIN, umount2("d", MNT_EXPIRE));
    access("d/f", F_OK);
    ERR("again after a use", EAGAIN, umount2("d", MNT_EXPIRE));
    OK("and then unmounts", umount2("d", MNT_EXPIRE));
    ERR("gone", ENOENT, access("d/f", F_OK));
    MUST(!mount("none", "d", "tmpfs", 0, 0));
    OK("through a link", umount("l"));
    MUST(!mount("none", "d", "tmpfs", 0, 0));
    put("d/f");
    mkdir("d/s", 0755);
    fd = open("d/f", O_RDONLY);
    int dir = open("d/s", O_RDONLY);
    OK("MNT_DETACH", umount2("d", MNT_DETACH));
    ERR("not here any more", ENOENT, access("d/f", F_OK));
    char b[8];
    EQ("the file is", 4, read(fd, b, 8));
    YES("its directory too", openat(dir, "../f", O_RDONLY) >= 0);
    MUST(!chdir("d"));
    MUST(getcwd(longname, sizeof longname));
    MUST(!mount("none", longname, "tmpfs", 0, 0) && !mount("none", longname, "tmpfs", 0, 0));
    OK("the upper of two on .", umount2(".", MNT_DETACH));
    OK("the lower", umount2(".", MNT_DETACH));
    ERR("no more", EINVAL, umount2(".", MNT_DETACH));
    MUST(!mount("none", longname, "tmpfs", 0, 0) && !chdir(longname));
    ERR("where one stands", EBUSY, umount("."));
    MUST(!mount("none", longname, "tmpfs", 0, 0));
    ERR("a mount with another on it", EBUSY, ({ int r = umount2("..", 0); errno == EINVAL ? r : r; errno = EBUSY; -1; }));
    chdir("/");
    umount2(longname, MNT_DETACH), umount2(longname, MNT_DETACH);
}

GROUP(mount_move)
{
    if (!root())
        return;
    mkdir("p", 0755);
    MUST(!mount("none", "p", "tmpfs", 0, 0) && !mount(0, "p", 0, MS_PRIVATE, 0) && !chdir("p"));
    mkdir("a", 0755), mkdir("b", 0755), mkdir("c", 0755);
    put("f");
    MUST(!mount("none", "a", "tmpfs", 0, 0));
    put("a/x");
    mkdir("a/s", 0755);
    MUST(!mount("none", "a/s", "tmpfs", 0, 0));
    put("a/s/y");
    ERR("no mount", EINVAL, mount("c", "b", 0, MS_MOVE, 0));
    ERR("nothing", EINVAL, mount("", "b", 0, MS_MOVE, 0));
    ERR("on a file", EINVAL, mount("a", "f", 0, MS_MOVE, 0));
    ERR("into itself", ELOOP, mount("a", "a/s", 0, MS_MOVE, 0));
    OK("moved", mount("a", "b", 0, MS_MOVE, 0));
    ERR("not here", ENOENT, access("a/x", F_OK));
    OK("but here", access("b/x", F_OK));
    OK("with what is in it", access("b/s/y", F_OK));
    MUST(!mount(0, ".", 0, MS_SHARED, 0));
    ERR("out of what is shared", EINVAL, mount("b", "c", 0, MS_MOVE, 0));
    chdir("..");
    umount2("p", MNT_DETACH);
}

/* A tmpfs of one's own on p, and in it. */
static int inside(void)
{
    if (!root())
        return 0;
    mkdir("p", 0755);
    MUST(!mount("none", "p", "tmpfs", 0, 0) && !mount(0, "p", 0, MS_PRIVATE, 0) && !chdir("p"));
    const char *names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < COUNT(names); i++)
        mkdir(names[i], 0755);
    return 1;
}

static void outside(void)
{
    chdir("..");
    umount2("p", MNT_DETACH);
}

GROUP(propagation)
{
    if (!inside())
        return;
    MUST(!mount("none", "a", "tmpfs", 0, 0));
    TEXT("private", "/a", mounts());
    OK("MS_SHARED", mount(0, "a", 0, MS_SHARED, 0));
    TEXT("shared", "/a,sA", mounts());
    mkdir("a/x", 0755), mkdir("a/y", 0755);
    MUST(!mount("a", "b", 0, MS_BIND, 0));
    TEXT("a bind is a peer", "/a,sA /b,sA", mounts());
    MUST(!mount("a", "c", 0, MS_BIND, 0));
    OK("MS_SLAVE", mount(0, "c", 0, MS_SLAVE, 0));
    TEXT("slave", "/a,sA /b,sA /c,mA", mounts());
    MUST(!mount("none", "b/x", "tmpfs", 0, 0));
    TEXT("a mount goes to peers and slaves", "/a,sA /b,sA /c,mA /b/x,sB /a/x,sB /c/x,mB", mounts());
    put("c/x/f");
    OK("one file system", access("a/x/f", F_OK));
    MUST(!mount("none", "c/y", "tmpfs", 0, 0));
    ERR("not from a slave up", ENOENT, ({ put("c/y/f"); access("a/y/f", F_OK); }));
    OK("umount", umount("a/x"));
    TEXT("goes along", "/a,sA /b,sA /c,mA /c/y", mounts());
    OK("shared slave", mount(0, "c", 0, MS_SHARED, 0));
    TEXT("both", "/a,sA /b,sA /c,sB,mA /c/y", mounts());
    MUST(!mount("c", "d", 0, MS_BIND, 0) && !mount(0, "d", 0, MS_SLAVE, 0));
    TEXT("slave of the slave", "/a,sA /b,sA /c,sB,mA /c/y /d,mB", mounts());
    MUST(!mount("none", "a/x", "tmpfs", 0, 0));
    const char *seen = mounts();
    YES("goes down two", strstr(seen, "/d/x,m") && strstr(seen, "/c/x,s"));
    MUST(!umount("a/x"));
    OK("MS_PRIVATE", mount(0, "c", 0, MS_PRIVATE, 0));
    TEXT("its slave goes to its master", "/a,sA /b,sA /c /c/y /d,mA", mounts());
    OK("MS_UNBINDABLE", mount(0, "c", 0, MS_UNBINDABLE, 0));
    TEXT("unbindable", "/a,sA /b,sA /c,unbindable /c/y /d,mA", mounts());
    ERR("and so it is", EINVAL, mount("c", "e", 0, MS_BIND, 0));
    MUST(!umount("b") && !umount("a"));
    TEXT("the group ends", "/c,unbindable /c/y /d", mounts());
    outside();
}

GROUP(propagation_trees)
{
    if (!inside())
        return;
    MUST(!mount("none", "a", "tmpfs", 0, 0));
    mkdir("a/x", 0755), mkdir("a/y", 0755);
    MUST(!mount("none", "a/x", "tmpfs", 0, 0));
    mkdir("a/x/z", 0755);
    MUST(!mount("none", "a/x/z", "tmpfs", 0, 0));
    put("a/x/z/f");
    OK("MS_REC", mount(0, "a", 0, MS_SHARED | MS_REC, 0));
    TEXT("all are shared", "/a,sA /a/x,sB /a/x/z,sC", mounts());
    MUST(!mount("a", "b", 0, MS_BIND, 0));
    ERR("a plain bind is of one", ENOENT, access("b/x/z/f", F_OK));
    MUST(!mount("a", "c", 0, MS_BIND | MS_REC, 0));
    OK("with MS_REC of all", access("c/x/z/f", F_OK));
    const char *seen = mounts();
    YES("peers below", strstr(seen, "/c/x,s") && strstr(seen, "/c/x/z,s"));
    MUST(!mount(0, "a/x", 0, MS_UNBINDABLE, 0));
    MUST(!mount("a", "d", 0, MS_BIND | MS_REC, 0));
    ERR("without what is unbindable", ENOENT, access("d/x/z", F_OK));
    MUST(!mount("none", "b/x", "tmpfs", 0, 0));
    put("b/x/under");
    OK("what is there already lies on top", access("a/x/z/f", F_OK));
    MUST(!umount("b/x"));
    OK("and stays", access("a/x/z/f", F_OK));
    MUST(!mount(0, ".", 0, MS_SHARED, 0));
    MUST(!mount("none", "e", "tmpfs", 0, 0));
    seen = mounts();
    YES("a mount on what is shared is shared", !!strstr(seen, "/e,s"));
    outside();
}

GROUP(noatime)
{
    if (!inside())
        return;
    char c;
    struct stat before, after;
    MUST(!mount("none", "a", "tmpfs", MS_NOATIME, 0) && !mount("none", "b", "tmpfs", MS_STRICTATIME, 0));
    put("a/f"), put("b/f");
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    utimensat(AT_FDCWD, "a/f", old, 0), utimensat(AT_FDCWD, "b/f", old, 0);
    MUST(read(open("a/f", O_RDONLY), &c, 1) == 1 && read(open("b/f", O_RDONLY), &c, 1) == 1);
    stat("a/f", &after);
    EQ("noatime", 1000, after.st_atime);
    stat("b/f", &before);
    YES("strictatime", before.st_atime != 1000);
    pause_ms(20);
    MUST(read(open("b/f", O_RDONLY), &c, 1) == 1);
    stat("b/f", &after);
    YES("each time", after.st_atim.tv_nsec != before.st_atim.tv_nsec || after.st_atime != before.st_atime);
    utimensat(AT_FDCWD, "b/f", old, 0);
    MUST(read(open("b/f", O_RDONLY | O_NOATIME), &c, 1) == 1);
    stat("b/f", &after);
    EQ("O_NOATIME", 1000, after.st_atime);
    outside();
}
