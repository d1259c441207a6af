// Which calls have the disk flushed, by the device's own count of flushes, and what the kernel counts besides.
// compat: disk=1M
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char statistics[64];

// Reads, sectors read, writes, sectors written, flushes.
static void counts(long out[5])
{
    long field[17] = { 0 };
    FILE *file = fopen(statistics, "r");
    for (int i = 0; i < 17; i++)
        fscanf(file, "%ld", &field[i]);
    fclose(file);
    out[0] = field[0], out[1] = field[2], out[2] = field[4], out[3] = field[6], out[4] = field[15];
}

static long before[5];

static void since(const char *what)
{
    long now[5];
    counts(now);
    printf("%s: %ld sectors read, %ld written, flushed %d\n", what, now[1] - before[1], now[3] - before[3], now[4] > before[4]);
    counts(before);
}

int main(int argc, char **argv)
{
    static char buffer[8192] __attribute__((aligned(4096)));
    const char *path = argv[argc - 1];
    struct stat st;
    struct rusage usage[2];
    int fd = open(path, O_RDWR), direct = open(path, O_RDWR | O_DIRECT), dsync = open(path, O_RDWR | O_DSYNC);
    fstat(fd, &st);
    snprintf(statistics, sizeof statistics, "/sys/dev/block/%u:%u/stat", major(st.st_rdev), minor(st.st_rdev));
    counts(before);
    getrusage(RUSAGE_SELF, &usage[0]);

    pwrite(fd, buffer, 4096, 0);
    since("a write into the cache");
    fsync(fd);
    since("fsync");
    pwrite(fd, buffer, 100, 0);
    fdatasync(fd);
    since("fdatasync after a small write");
    pwrite(dsync, buffer, 8192, 8192);
    since("O_DSYNC");
    pwrite(direct, buffer, 512, 512);
    since("O_DIRECT");
    fsync(direct);
    since("and fsync");
    pread(direct, buffer, 4096, 65536);
    since("a direct read");
    getrusage(RUSAGE_SELF, &usage[1]);
    printf("%ld blocks in, %ld out\n", usage[1].ru_inblock - usage[0].ru_inblock, usage[1].ru_oublock - usage[0].ru_oublock);
    return 0;
}
