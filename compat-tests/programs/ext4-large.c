// A file larger than the machine's memory is written and read, by calls and by a mapping: caches give way, also to programs.
// compat: disk=96M:mkfs=ext4 memory=48
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

enum { CHUNK = 1 << 18, CHUNKS = 256 };

static void fill(uint32_t *chunk, unsigned number)
{
    for (unsigned i = 0; i < CHUNK / 4; i++)
        chunk[i] = number * 2654435761u + i;
}

int main(int argc, char **argv)
{
    char place[] = "/tmp/ext4-large-XXXXXX", file[64];
    static uint32_t chunk[CHUNK / 4], expected[CHUNK / 4];
    if (!mkdtemp(place) || mount(argv[argc - 1], place, "ext4", 0, NULL))
        return printf("mount: %s\n", strerrorname_np(errno)), 1;
    snprintf(file, sizeof file, "%s/large", place);
    int fd = open(file, O_RDWR | O_CREAT, 0600), wrong = 0;
    for (unsigned i = 0; i < CHUNKS; i++) {
        fill(chunk, i);
        if (write(fd, chunk, CHUNK) != CHUNK)
            return printf("write %u: %s\n", i, strerrorname_np(errno)), 1;
    }
    printf("fsync %d\n", fsync(fd));
    for (unsigned i = 0; i < CHUNKS; i++) {
        fill(expected, i);
        if (pread(fd, chunk, CHUNK, (off_t)i * CHUNK) != CHUNK)
            return printf("read %u: %s\n", i, strerrorname_np(errno)), 1;
        wrong += memcmp(chunk, expected, CHUNK) != 0;
    }
    printf("%d chunks read wrong\n", wrong);
    char *map = mmap(NULL, (size_t)CHUNK * CHUNKS, PROT_READ, MAP_SHARED, fd, 0);
    for (unsigned i = 0; i < CHUNKS; i += 4) {
        fill(expected, i);
        wrong += memcmp(map + (size_t)i * CHUNK, expected, CHUNK) != 0;
        madvise(map + (size_t)i * CHUNK, CHUNK, MADV_DONTNEED);
    }
    munmap(map, (size_t)CHUNK * CHUNKS);
    printf("%d chunks mapped wrong\n", wrong);
    // A program that needs the memory gets it.
    char *own = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(own, 1, 16 << 20);
    printf("%d\n", own[12345678]);
    close(fd);
    printf("umount %d\n", umount(place));
    rmdir(place);
    return 0;
}
