// A file system of mke2fs on a disk: mounted, filled, read, changed, unmounted, and mounted again, also read-only.
// compat: disk=16M:mkfs=ext4
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "show.h"

static const char *disk;
static char place[] = "/tmp/ext4-mount-XXXXXX";

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *dir)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, NULL, by_name);
    printf("%s:", dir);
    for (int i = 0; i < n; i++) {
        struct stat st;
        char path[600];
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && !lstat(path, &st))
            printf(" %s(%o,%d,%lld)", entries[i]->d_name, st.st_mode, (int)st.st_nlink, S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size);
    }
    printf("\n");
}

static uint32_t sum(const char *path)
{
    static char buffer[65536];
    uint32_t sum = 0;
    int fd = open(path, O_RDONLY);
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < n; i++)
            sum = sum * 31 + (unsigned char)buffer[i];
    close(fd);
    return sum;
}

int main(int argc, char **argv)
{
    disk = argv[argc - 1];
    static char pattern[1 << 20];
    for (unsigned i = 0; i < sizeof pattern; i++)
        pattern[i] = i * 13 + i / 511;
    if (!mkdtemp(place))
        return 1;
    SHOW(mount("/nowhere", place, "ext4", 0, NULL));
    SHOW(mount("/dev/null", place, "ext4", 0, NULL));
    SHOW(mount(disk, place, "ext4", 0, "nonsense"));
    SHOW(mount(disk, place, "ext4", 0, NULL));
    chdir(place);
    list(".");
    struct statfs sizes;
    SHOW(statfs(".", &sizes));
    printf("type %lx, block size %ld, name %ld, blocks %ld, inodes %ld\n", (long)sizes.f_type, (long)sizes.f_bsize, (long)sizes.f_namelen,
           (long)sizes.f_blocks, (long)sizes.f_files);

    SHOW(mkdir("dir", 0750));
    SHOW(mkdir("dir/inner", 0777));
    int fd = open("dir/file", O_RDWR | O_CREAT, 0640);
    SHOW(write(fd, pattern, sizeof pattern));
    SHOW(pwrite(fd, "end", 3, 3 << 20));
    SHOW(fsync(fd));
    SHOW(lseek(fd, 0, SEEK_HOLE));
    SHOW(lseek(fd, 1 << 20, SEEK_DATA) >= 0);
    SHOW(ftruncate(fd, 500000));
    SHOW(lseek(fd, 0, SEEK_END));
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
    memcpy(map, "mapped", 6);
    SHOW(msync(map, 8192, MS_SYNC));
    munmap(map, 8192);
    close(fd);
    SHOW(symlink("file", "dir/link"));
    SHOW(symlink("a target that is too long for the inode itself, so that it has a block of its own, as long ones have", "long"));
    SHOW(link("dir/file", "hard"));
    SHOW(mknod("fifo", S_IFIFO | 0600, 0));
    SHOW(mknod("null", S_IFCHR | 0666, 0x103));
    SHOW(setxattr("hard", "user.colour", "blue", 4, 0));
    SHOW(chmod("hard", 0604));
    SHOW(rename("dir/inner", "moved"));
    SHOW(rename("dir", "moved/dir"));
    SHOW(rmdir("moved"));
    SHOW(unlink("nothing"));
    for (int i = 0; i < 200; i++) {
        char name[64];
        snprintf(name, sizeof name, "moved/many-files-with-names-%d", i);
        close(open(name, O_WRONLY | O_CREAT, 0600));
        if (i % 3 == 0)
            unlink(name);
    }
    // Open without a name.
    fd = open("gone", O_RDWR | O_CREAT, 0600);
    write(fd, "still there", 11);
    SHOW(unlink("gone"));
    char text[16] = "";
    SHOW(pread(fd, text, 15, 0));
    printf("%s\n", text);
    SHOW(umount(place));
    close(fd);
    printf("%u\n", sum("hard"));
    chdir("/");
    SHOW(umount(place));

    SHOW(mount(disk, place, "ext4", MS_RDONLY, NULL));
    chdir(place);
    list(".");
    list("moved/dir");
    struct dirent **entries;
    printf("%d entries\n", scandir("moved", &entries, NULL, NULL));
    printf("%u\n", sum("moved/dir/link"));
    char value[16] = "";
    SHOW(getxattr("moved/dir/file", "user.colour", value, sizeof value));
    char target[200] = "";
    SHOW(readlink("long", target, sizeof target - 1));
    printf("%s %s\n", value, target);
    SHOW(open("hard", O_WRONLY));
    SHOW(open("new", O_WRONLY | O_CREAT, 0600));
    SHOW(unlink("hard"));
    SHOW(access("hard", W_OK));
    chdir("/");
    SHOW(umount(place));
    SHOW(umount(place));
    rmdir(place);
    return 0;
}
