// A disk that may not be written to.
// compat: disk=1M:ro
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "show.h"

int main(int argc, char **argv)
{
    static char buffer[4096] __attribute__((aligned(4096)));
    const char *path = argv[argc - 1];
    int fd = open(path, O_RDWR), on = -1, direct = open(path, O_RDWR | O_DIRECT);
    printf("opened %d %d\n", fd >= 0, direct >= 0);
    SHOW(ioctl(fd, BLKROGET, &on));
    printf("read-only %d\n", on);
    SHOW(read(fd, buffer, 4096));
    SHOW(pwrite(fd, buffer, 1, 0));
    SHOW(pwrite(fd, buffer, 0, 0));
    SHOW(pwrite(fd, buffer, 1, 1 << 20));
    SHOW(pwrite(direct, buffer, 512, 0));
    SHOW(fsync(fd));
    uint64_t range[2] = { 0, 4096 };
    SHOW(ioctl(fd, BLKZEROOUT, range));
    SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
    SHOW(ioctl(fd, BLKFLSBUF, 0));
    return 0;
}
