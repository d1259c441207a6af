// What an open block device answers: its size that is no multiple of a page, its ends, its ioctls, and what is aligned wrongly.
// compat: disk=1049088
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "show.h"

#define GET(type, request)                                                                                             \
    do {                                                                                                               \
        type value = 0;                                                                                                \
        errno = 0;                                                                                                     \
        int result = ioctl(fd, request, &value);                                                                       \
        printf("%s: %d %s %lld\n", #request, result, result < 0 ? strerrorname_np(errno) : "", (long long)value);      \
    } while (0)

static char buffer[1 << 16] __attribute__((aligned(4096)));
static char pattern[1 << 16];

int main(int argc, char **argv)
{
    const char *path = argv[argc - 1];
    int fd = open(path, O_RDWR);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return printf("open: %s\n", strerrorname_np(errno)), 1;
    printf("block %d, size %lld, has a number %d\n", S_ISBLK(st.st_mode), (long long)st.st_size, major(st.st_rdev) != 0);

    GET(uint64_t, BLKGETSIZE64);
    GET(unsigned long, BLKGETSIZE);
    GET(int, BLKSSZGET);
    GET(unsigned, BLKPBSZGET);
    GET(int, BLKBSZGET);
    GET(unsigned, BLKIOMIN);
    GET(unsigned, BLKIOOPT);
    GET(int, BLKALIGNOFF);
    GET(int, BLKROGET);
    GET(unsigned, BLKDISCARDZEROES);
    int size = 1024;
    SHOW(ioctl(fd, BLKBSZSET, NULL));
    SHOW(ioctl(fd, BLKBSZSET, (size = 1000, &size)));
    SHOW(ioctl(fd, BLKBSZSET, (size = 256, &size)));
    SHOW(ioctl(fd, BLKBSZSET, (size = 512, &size)));
    GET(int, BLKBSZGET);
    SHOW(ioctl(fd, BLKRASET, 100));
    GET(long, BLKRAGET);
    SHOW(ioctl(fd, BLKFLSBUF, 0));
    SHOW(ioctl(fd, BLKSECDISCARD, NULL));

    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(lseek(fd, 1, SEEK_END));
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 0, SEEK_HOLE));
    off_t end = lseek(fd, 0, SEEK_END);
    SHOW(read(fd, buffer, 100));
    SHOW(pread(fd, buffer, 100, end - 10));
    SHOW(pread(fd, buffer, 100, end + 10));
    SHOW(pwrite(fd, buffer, 100, end - 10));
    SHOW(pwrite(fd, buffer, 1, end));
    SHOW(pwrite(fd, buffer, 0, end));
    SHOW(pwrite(fd, NULL, 1, 0));
    SHOW(ftruncate(fd, 0));

    // Across pages, and what is there afterwards.
    for (unsigned i = 0; i < sizeof pattern; i++)
        pattern[i] = i * 7 + i / 256;
    SHOW(pwrite(fd, pattern, 10000, 3000));
    SHOW(pread(fd, buffer, 10002, 2999));
    printf("same %d, beside it %d %d\n", !memcmp(buffer + 1, pattern, 10000), buffer[0], buffer[10001]);
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(syncfs(fd));
    SHOW(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    SHOW(readahead(fd, 0, 4096));

    // Past the cache.
    int direct = open(path, O_RDWR | O_DIRECT);
    SHOW(pread(direct, buffer, 12288, 0));
    printf("same %d\n", !memcmp(buffer + 3000, pattern, 12288 - 3000));
    SHOW(pread(direct, buffer, 512, 1));
    SHOW(pread(direct, buffer, 100, 0));
    SHOW(pread(direct, buffer, 0, 1));
    SHOW(pread(direct, buffer, 1024, end - 512));
    SHOW(pread(direct, buffer, 100, end));
    SHOW(pread(direct, NULL, 512, 0));
    SHOW(pwrite(direct, NULL, 512, 0));
    SHOW(pwrite(direct, pattern, 100, 0));
    SHOW(pwrite(direct, buffer, 512, end));
    memset(buffer, 'd', sizeof buffer);
    SHOW(pwrite(direct, buffer, 4096, 4096));
    SHOW(pread(fd, buffer, 3, 4095));
    printf("%d %c%c\n", buffer[0] == pattern[1095], buffer[1], buffer[2]);
    // What the cache has, and the disk does not yet, is there for who reads past it.
    SHOW(pwrite(fd, "cached", 6, 8192));
    SHOW(pread(direct, buffer, 512, 8192));
    printf("%.6s\n", buffer);
    SHOW(fcntl(fd, F_SETFL, O_DIRECT));
    SHOW(pread(fd, buffer, 512, 1));
    SHOW(fcntl(fd, F_SETFL, 0));

    // A mapping is the same cache.
    char *map = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("mapped %d: %.6s\n", map != MAP_FAILED, map + 8192);
    memcpy(map + 8192, "mapped", 6);
    SHOW(msync(map, 16384, MS_SYNC));
    SHOW(pread(direct, buffer, 512, 8192));
    printf("%.6s\n", buffer);
    memcpy(map + 8192, "again!", 6);
    munmap(map, 16384);
    SHOW(fsync(fd));
    SHOW(pread(direct, buffer, 512, 8192));
    printf("%.6s\n", buffer);

    // Zeros.
    uint64_t range[2] = { 4096, 4096 };
    SHOW(ioctl(fd, BLKZEROOUT, range));
    SHOW(pread(fd, buffer, 2, 8191));
    printf("%d %c\n", buffer[0], buffer[1]);
    SHOW(ioctl(fd, BLKDISCARD, range));
    SHOW(ioctl(fd, BLKZEROOUT, (range[0] = 1, range)));
    SHOW(ioctl(fd, BLKDISCARD, range));
    SHOW(ioctl(fd, BLKZEROOUT, (range[0] = end, range)));
    SHOW(ioctl(fd, BLKDISCARD, range));
    SHOW(ioctl(fd, BLKZEROOUT, (range[0] = -4096ull, range[1] = 8192, range)));
    SHOW(ioctl(fd, BLKDISCARD, range));
    SHOW(ioctl(fd, BLKZEROOUT, (range[0] = range[1] = 0, range)));
    SHOW(ioctl(fd, BLKDISCARD, range));
    SHOW(ioctl(fd, BLKDISCARD, NULL));
    SHOW(fallocate(fd, 0, 0, 4096));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096));
    SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
    SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 4096));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, 4096));
    SHOW(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    SHOW(pread(fd, buffer, 1, 8192));
    printf("%d\n", buffer[0]);

    // Who may.
    int reader = open(path, O_RDONLY), writer = open(path, O_WRONLY);
    range[0] = 0, range[1] = 4096;
    SHOW(ioctl(reader, BLKDISCARD, range));
    SHOW(ioctl(reader, BLKZEROOUT, range));
    SHOW(read(writer, buffer, 1));
    SHOW(write(reader, buffer, 1));
    int alone = open(path, O_RDONLY | O_EXCL);
    printf("alone %d\n", alone >= 0);
    SHOW(open(path, O_RDONLY | O_EXCL));
    close(alone);
    alone = open(path, O_RDONLY | O_EXCL);
    printf("again alone %d\n", alone >= 0);

    // In the end all is there for the next one.
    SHOW(pwrite(fd, pattern, sizeof pattern, 70001));
    close(fd), close(direct), close(reader), close(writer), close(alone);
    fd = open(path, O_RDONLY | O_DIRECT);
    SHOW(pread(fd, buffer, 512, 70144));
    printf("same %d\n", !memcmp(buffer, pattern + 70144 - 70001, 512));
    return 0;
}
