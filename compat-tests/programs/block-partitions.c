// Partitions that BLKPG makes and takes away: their nodes, their sizes, what /sys and /proc say of them, and that they are parts of
// the disk, with caches of their own.
// compat: disk=4M
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "show.h"

static const char *path;

static const char *part(int number)
{
    static char name[64];
    int digit = path[strlen(path) - 1] >= '0' && path[strlen(path) - 1] <= '9';
    snprintf(name, sizeof name, "%s%s%d", path, digit ? "p" : "", number);
    return name;
}

static int change(int disk, int op, int number, long long start, long long length)
{
    struct blkpg_partition which = { .pno = number, .start = start * 512, .length = length * 512 };
    struct blkpg_ioctl_arg arg = { .op = op, .datalen = sizeof which, .data = &which };
    return ioctl(disk, BLKPG, &arg);
}

// The line of a file of sysfs.
static void attribute(unsigned major, unsigned minor, const char *name)
{
    char file[128], text[128] = "";
    snprintf(file, sizeof file, "/sys/dev/block/%u:%u/%s", major, minor, name);
    int fd = open(file, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    printf("  %s %s", name, fd < 0 ? "is missing\n" : text);
    close(fd);
}

// Whether /proc/partitions has it, and with how many blocks.
static void listed(unsigned major, unsigned minor)
{
    FILE *list = fopen("/proc/partitions", "r");
    char line[256];
    while (fgets(line, sizeof line, list)) {
        unsigned at[2];
        unsigned long blocks;
        if (sscanf(line, "%u %u %lu", &at[0], &at[1], &blocks) == 3 && at[0] == major && at[1] == minor)
            printf("  %lu blocks\n", blocks);
    }
    fclose(list);
}

static void show_all(const char *what)
{
    printf("%s:\n", what);
    for (int number = 1; number < 8; number++) {
        int fd = open(part(number), O_RDONLY);
        if (fd < 0)
            continue;
        uint64_t size = 0;
        struct stat st;
        fstat(fd, &st);
        ioctl(fd, BLKGETSIZE64, &size);
        printf(" %d: %llu bytes\n", number, (unsigned long long)size);
        unsigned at[2] = { major(st.st_rdev), minor(st.st_rdev) };
        attribute(at[0], at[1], "partition");
        attribute(at[0], at[1], "start");
        attribute(at[0], at[1], "size");
        attribute(at[0], at[1], "ro");
        listed(at[0], at[1]);
        close(fd);
    }
}

// Nodes are made by the kernel, but where devtmpfs is not what /dev is, as in some containers, by nobody.
static void make_nodes(void)
{
    for (int number = 1; number < 8; number++) {
        char file[128], text[32] = "";
        const char *name = strrchr(path, '/') + 1;
        snprintf(file, sizeof file, "/sys/block/%s/%s/dev", name, strrchr(part(number), '/') + 1);
        int fd = open(file, O_RDONLY);
        unsigned at[2];
        if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%u:%u", &at[0], &at[1]) == 2)
            mknod(part(number), S_IFBLK | 0600, makedev(at[0], at[1]));
        else
            unlink(part(number));
        close(fd);
    }
}

static void reread(int disk, const char *what)
{
    fsync(disk);
    int result = ioctl(disk, BLKRRPART, 0);
    printf("BLKRRPART %d\n", result);
    make_nodes();
    show_all(what);
}

int main(int argc, char **argv)
{
    path = argv[argc - 1];
    int disk = open(path, O_RDWR);
    reread(disk, "none");
    SHOW(change(disk, BLKPG_ADD_PARTITION, 1, 100, 200));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 5, 1008, 120));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 6, 1508, 56));
    make_nodes();
    show_all("three");

    // A partition is a part of the disk, with a cache of its own.
    int fd = open(part(5), O_RDWR);
    SHOW(pwrite(fd, "logical", 7, 512));
    SHOW(fsync(fd));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(pwrite(fd, "x", 1, 120 * 512));
    char text[512] __attribute__((aligned(512))) = "";
    int direct = open(path, O_RDONLY | O_DIRECT);
    SHOW(pread(direct, text, 512, (1008 + 1) * 512));
    printf("%.7s\n", text);
    SHOW(ioctl(fd, BLKRRPART, 0));
    // It is in use.
    SHOW(ioctl(disk, BLKRRPART, 0));
    SHOW(change(disk, BLKPG_DEL_PARTITION, 5, 0, 0));
    close(fd);
    SHOW(change(disk, BLKPG_DEL_PARTITION, 5, 0, 0));
    SHOW(change(disk, BLKPG_DEL_PARTITION, 5, 0, 0));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 2, 400, 10));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 2, 400, 10));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 7, 409, 1));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 7, 8191, 2));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 7, -1, 2));
    SHOW(change(disk, BLKPG_ADD_PARTITION, 0, 500, 2));
    SHOW(change(disk, 77, 7, 500, 2));
    make_nodes();
    show_all("changed by hand");
    SHOW(ioctl(disk, BLKRRPART, 0));
    make_nodes();
    show_all("reread");
    return 0;
}
