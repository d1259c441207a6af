// An overlay over two layers on a tmpfs: what is seen in it, and what it leaves in the writable layer.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "show.h"

static char place[] = "/tmp/overlay-XXXXXX";

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *dir)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, NULL, by_name);
    printf("  %s:", dir);
    for (int i = 0; i < n; i++) {
        struct stat st;
        char path[600];
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] == '.' || lstat(path, &st))
            continue;
        printf(" %s(%o", entries[i]->d_name, st.st_mode);
        if (S_ISREG(st.st_mode))
            printf(",%d,%lld", (int)st.st_nlink, (long long)st.st_size);
        if (S_ISCHR(st.st_mode))
            printf(",%u/%u", major(st.st_rdev), minor(st.st_rdev));
        if (st.st_ino != entries[i]->d_ino)
            printf(",d_ino differs");
        char value[10];
        if (getxattr(path, "trusted.overlay.opaque", value, sizeof value) == 1)
            printf(",opaque %c", value[0]);
        printf(")");
    }
    printf("\n");
}

static void all(const char *what)
{
    printf("%s\n", what);
    list("m");
    list("u");
}

static int write_file(const char *path, const char *text, int flags)
{
    int fd = open(path, O_WRONLY | flags, 0640);
    if (fd < 0)
        return -1;
    int n = write(fd, text, strlen(text));
    close(fd);
    return n;
}

static void read_file(const char *path)
{
    char text[100] = "";
    int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        strcpy(text, strerror(errno));
    if (fd >= 0)
        close(fd);
    printf("  %s: %s\n", path, text);
}

static void mount_it(void)
{
    SHOW(mount("overlay", "m", "overlay", 0, "lowerdir=l1:l2,upperdir=u,workdir=w"));
}

int main(void)
{
    mkdtemp(place);
    if (chdir(place))
        perror("chdir");
    // Skiff has one namespace.
    unshare(CLONE_NEWNS);
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    SHOW(mount("tmpfs", place, "tmpfs", 0, NULL));
    if (chdir("/") || chdir(place))
        perror("chdir");
    umask(022);
    const char *dirs[] = {"l1", "l2", "u", "w", "m", "l1/both", "l2/both", "l2/deep", "l2/deep/er", "l1/gone", "l2/gone", "u/own"};
    for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
        mkdir(dirs[i], 0755);
    const char *files[] = {"l1/a", "l2/a", "l2/b", "l1/both/1", "l2/both/2", "l2/both/3", "l2/deep/er/f", "l1/gone/x", "u/own/y", "l1/link1", "l1/c"};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        write_file(files[i], files[i], O_CREAT);
    link("l1/link1", "l1/link2");
    symlink("a", "l1/sym");
    mkfifo("l1/fifo", 0600);
    mknod("l1/both/3", S_IFCHR, 0);
    SHOW(setxattr("l2/deep/er/f", "user.x", "1", 1, 0));
    SHOW(chown("l2/deep/er/f", 5, 6));
    SHOW(chmod("l2/deep/er/f", 04751));
    struct timespec old[2] = {{1000, 1}, {2000, 2}};
    utimensat(AT_FDCWD, "l2/deep/er/f", old, 0);
    utimensat(AT_FDCWD, "l2/deep/er", old, 0);

    printf("wrong options\n");
    SHOW(mount("overlay", "m", "overlay", 0, "lowerdir=l1,upperdir=u"));
    SHOW(mount("overlay", "m", "overlay", 0, "upperdir=u,workdir=w"));
    SHOW(mount("overlay", "m", "overlay", 0, "lowerdir=nothing,upperdir=u,workdir=w"));
    SHOW(mount("overlay", "m", "overlay", 0, "lowerdir=l1,upperdir=u,workdir=u/own"));

    mount_it();
    struct statfs fs;
    SHOW(statfs("m", &fs));
    printf("  magic %lx\n", (long)fs.f_type);
    all("as it is at first");
    list("m/both");
    list("m/deep/er");
    read_file("m/a");
    read_file("m/both/3");

    struct stat before, after, dir, lower;
    stat("m/deep/er/f", &before);
    stat("l2/deep/er/f", &lower);
    stat("m/deep", &dir);
    printf("devices: file and directory %d, overlay and layer %d\n", before.st_dev == dir.st_dev, before.st_dev == lower.st_dev);
    int reader = open("m/deep/er/f", O_RDONLY);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 0);
    SHOW(write_file("m/deep/er/f", "new", O_APPEND));
    stat("m/deep/er/f", &after);
    printf("copied up: number %d, owner %d:%d, mode %o, size %lld\n", before.st_ino == after.st_ino, after.st_uid, after.st_gid, after.st_mode,
           (long long)after.st_size);
    char value[10] = "";
    SHOW(getxattr("m/deep/er/f", "user.x", value, sizeof value));
    printf("  read by the old descriptor: ");
    char text[100] = "";
    pread(reader, text, sizeof text - 1, 0);
    printf("%s, mapped %.12s\n", text, map);
    munmap(map, 4096);
    close(reader);
    stat("u/deep/er", &dir);
    printf("  its directory keeps its time: %lld\n", (long long)dir.st_mtime);
    read_file("l2/deep/er/f");
    read_file("u/deep/er/f");
    all("one is copied up");

    SHOW(chmod("m/a", 0600));
    stat("u/a", &after);
    printf("  %o, %lld\n", after.st_mode, (long long)after.st_size);
    SHOW(truncate("m/b", 1));
    read_file("m/b");
    read_file("l2/b");
    SHOW(unlink("m/b"));
    SHOW(unlink("m/sym"));
    SHOW(symlink("b", "m/sym"));
    SHOW(unlink("m/b"));
    all("removed");
    SHOW(write_file("m/b", "again", O_CREAT | O_EXCL));
    read_file("m/b");

    printf("directories\n");
    SHOW(rmdir("m/gone"));
    SHOW(unlink("m/gone/x"));
    SHOW(rmdir("m/gone"));
    list("u");
    SHOW(mkdir("m/gone", 0711));
    list("m/gone");
    SHOW(mkdir("m/both/new", 0755));
    list("u/both");
    SHOW(rename("m/both", "m/moved"));
    SHOW(rename("m/own", "m/moved"));
    SHOW(rename("m/moved", "m/deep/moved"));
    list("m/deep/moved");
    SHOW(mkdir("m/empty", 0755));
    SHOW(rename("m/empty", "m/both"));
    SHOW(unlink("m/both/1"));
    SHOW(unlink("m/both/2"));
    SHOW(rmdir("m/both/new"));
    list("m/both");
    SHOW(rename("m/empty", "m/both"));
    all("an empty one over one that was emptied");
    list("u/both");

    printf("files\n");
    SHOW(rename("m/c", "m/d"));
    SHOW(rename("m/a", "m/c"));
    SHOW(renameat2(AT_FDCWD, "m/c", AT_FDCWD, "m/d", RENAME_EXCHANGE));
    SHOW(renameat2(AT_FDCWD, "m/c", AT_FDCWD, "m/d", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "m/b", AT_FDCWD, "m/b2", RENAME_WHITEOUT));
    read_file("m/c");
    read_file("m/d");
    SHOW(link("m/link1", "m/link3"));
    SHOW(write_file("m/link3", "L", 0));
    read_file("m/link1");
    read_file("m/link2");
    SHOW(link("m/deep/er/f", "m/f2"));
    stat("m/f2", &after);
    printf("  the same number: %d\n", after.st_ino == before.st_ino);
    SHOW(rename("m/fifo", "m/fifo2"));
    SHOW(mknod("m/white", S_IFCHR, 0));
    SHOW(mknod("m/null", S_IFCHR | 0600, makedev(1, 3)));
    all("renamed and linked");

    printf("attributes\n");
    SHOW(setxattr("m/link2", "trusted.overlay.opaque", "y", 1, 0));
    SHOW(getxattr("m/gone", "trusted.overlay.opaque", value, sizeof value));
    SHOW(setxattr("m/link2", "user.y", "2", 1, XATTR_REPLACE));
    SHOW(access("u/link2", F_OK));
    SHOW(setxattr("m/link2", "user.y", "2", 1, 0));
    SHOW(access("u/link2", F_OK));
    SHOW(removexattr("m/deep/er/f", "user.x"));

    int unnamed = open("m/gone", O_TMPFILE | O_RDWR, 0600);
    printf("without a name: %d\n", unnamed >= 0);
    char path[300];
    snprintf(path, sizeof path, "/proc/self/fd/%d", unnamed);
    SHOW(write(unnamed, "t", 1));
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "m/gone/named", AT_SYMLINK_FOLLOW));
    list("m/gone");
    int open_one = open("m/deep/moved/y", O_RDWR);
    SHOW(unlink("m/deep/moved/y"));
    SHOW(fchmod(open_one, 0604));
    SHOW(fstat(open_one, &after));
    printf("  %o, %d names\n", after.st_mode, (int)after.st_nlink);
    close(open_one);
    close(unnamed);

    printf("a directory that changes while it is read\n");
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "m/gone/n%d", i);
        write_file(path, "", O_CREAT);
    }
    DIR *stream = opendir("m/gone");
    struct dirent *entry;
    int removed = 0;
    while ((entry = readdir(stream)))
        if (entry->d_name[0] == 'n' && entry->d_name[1] != 'a') {
            snprintf(path, sizeof path, "m/gone/%s", entry->d_name);
            removed += unlink(path) == 0;
        }
    closedir(stream);
    printf("  %d removed\n", removed);
    list("m/gone");

    printf("mounted again\n");
    SHOW(umount("m"));
    mount_it();
    all("as it was left");
    list("m/both");
    list("m/gone");
    list("m/deep");
    SHOW(mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    SHOW(write_file("m/new", "", O_CREAT));
    SHOW(umount("m"));
    SHOW(mount("overlay", "m", "overlay", 0, "lowerdir=u:l1:l2"));
    SHOW(write_file("m/new", "", O_CREAT));
    list("m");
    SHOW(umount("m"));
    if (chdir("/"))
        perror("chdir");
    SHOW(umount(place));
    SHOW(rmdir(place));
    return 0;
}
