// A disk on which some requests fail: whoever waits gets EIO, each open file is told once of what could not be written back, and the
// console says once what went wrong.
// compat: disk=1M:faults=block-error.conf native=no stderr="vda: write of"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int wrong;

static void expect(const char *what, long result, long expected)
{
    long got = result < 0 ? -errno : result;
    if (got != expected)
        printf("%s: %ld, not %ld\n", what, got, expected), wrong = 1;
}

#define EXPECT(call, result) expect(#call, (errno = 0, (long)(call)), result)

int main(int argc, char **argv)
{
    static char buffer[8192] __attribute__((aligned(4096)));
    const char *path = argv[argc - 1];
    int a = open(path, O_RDWR), b = open(path, O_RDWR), direct = open(path, O_RDWR | O_DIRECT), dsync;
    // QEMU flushes only what it has been written to.
    EXPECT(pwrite(a, "good", 4, 0), 4);
    EXPECT(fsync(a), -EIO);
    EXPECT(fsync(a), 0);

    EXPECT(pwrite(a, "good", 4, 0), 4);
    EXPECT(pwrite(a, "lost", 4, 64 * 512), 4);
    EXPECT(pwrite(a, "good", 4, 80 * 512), 4);
    EXPECT(fsync(a), -EIO);
    EXPECT(fsync(a), 0);
    EXPECT(fdatasync(b), -EIO);
    EXPECT(fsync(b), 0);
    EXPECT(pread(direct, buffer, 512, 80 * 512), 512);
    expect("the others were written", memcmp(buffer, "good", 4), 0);

    EXPECT(pwrite(direct, buffer, 4096, 64 * 512), -EIO);
    EXPECT(pwrite(direct, buffer, 4096, 72 * 512), 4096);
    dsync = open(path, O_RDWR | O_DSYNC);
    EXPECT(pwrite(dsync, "x", 1, 64 * 512), -EIO);
    EXPECT(pwrite(dsync, "x", 1, 0), 1);
    // What that write lost the others hear of too.
    EXPECT(fsync(a), -EIO);

    // A page that cannot be read costs its neighbours nothing.
    EXPECT(pread(direct, buffer, 512, 128 * 512), -EIO);
    EXPECT(pread(a, buffer, 8192, 120 * 512), 4096);
    EXPECT(pread(a, buffer, 8192, 128 * 512), -EIO);
    EXPECT(pread(a, buffer, 8192, 136 * 512), 8192);
    EXPECT(pwrite(a, "x", 1, 128 * 512), -EIO);
    EXPECT(pwrite(a, buffer, 4096, 128 * 512), 4096);
    EXPECT(fsync(a), 0);
    return wrong;
}
