// A disk whose sectors have 4096 bytes.
// compat: disk=1M:sector=4096
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "show.h"

int main(int argc, char **argv)
{
    static char buffer[8192] __attribute__((aligned(4096)));
    const char *path = argv[argc - 1];
    int fd = open(path, O_RDWR), size = 0, direct = open(path, O_RDWR | O_DIRECT);
    uint64_t bytes = 0;
    ioctl(fd, BLKGETSIZE64, &bytes);
    SHOW(ioctl(fd, BLKSSZGET, &size));
    printf("%llu bytes in sectors of %d\n", (unsigned long long)bytes, size);
    SHOW(ioctl(fd, BLKPBSZGET, &size));
    printf("%d\n", size);
    SHOW(ioctl(fd, BLKBSZGET, &size));
    printf("%d\n", size);
    SHOW(ioctl(fd, BLKBSZSET, (size = 512, &size)));
    SHOW(pwrite(fd, "small", 5, 100));
    SHOW(pread(direct, buffer, 512, 0));
    SHOW(pread(direct, buffer, 4096, 512));
    SHOW(pread(direct, buffer, 4096, 0));
    printf("%.5s\n", buffer + 100);
    memset(buffer, 'x', sizeof buffer);
    SHOW(pwrite(direct, buffer, 512, 0));
    SHOW(pwrite(direct, buffer, 8192, 4096));
    SHOW(pread(fd, buffer, 3, 4095));
    printf("%d %c\n", buffer[0], buffer[1]);
    uint64_t range[2] = { 4096, 512 };
    SHOW(ioctl(fd, BLKZEROOUT, range));
    SHOW(ioctl(fd, BLKZEROOUT, (range[1] = 4096, range)));
    SHOW(pread(fd, buffer, 1, 4096));
    SHOW(fsync(fd));
    printf("%d\n", buffer[0]);
    return 0;
}
