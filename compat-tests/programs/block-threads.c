// Threads write and read one disk at the same time, each its own blocks: through the cache, past it, and synchronously. Then all is
// read back by one that goes past the cache.
// compat: disk=8M cpus=2
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 6, BLOCK = 4096, BLOCKS = 8 * 1024 * 1024 / BLOCK, ROUNDS = 300 };

static const char *path;
static unsigned char latest[BLOCKS];

static void fill(char *block, int number, unsigned char version)
{
    for (int i = 0; i < BLOCK; i += 8) {
        uint64_t word = (uint64_t)number << 32 | (uint64_t)version << 16 | i;
        memcpy(block + i, &word, 8);
    }
}

static void *work(void *arg)
{
    long own = (long)arg;
    static const int flags[] = { 0, O_DIRECT, O_DSYNC };
    int fd = open(path, O_RDWR | flags[own % 3]);
    char *block, *expected;
    if (fd < 0 || posix_memalign((void **)&block, BLOCK, BLOCK) || posix_memalign((void **)&expected, BLOCK, BLOCK))
        return (void *)"open";
    unsigned seed = own + 1;
    for (int round = 0; round < ROUNDS; round++) {
        int number = rand_r(&seed) % (BLOCKS / THREADS) * THREADS + own;
        if (latest[number]) {
            fill(expected, number, latest[number]);
            if (pread(fd, block, BLOCK, (off_t)number * BLOCK) != BLOCK || memcmp(block, expected, BLOCK))
                return (void *)"what was written is not there";
        }
        fill(block, number, ++latest[number]);
        if (pwrite(fd, block, BLOCK, (off_t)number * BLOCK) != BLOCK)
            return (void *)"write";
        if (round % 100 == 99 && fsync(fd))
            return (void *)"fsync";
    }
    close(fd);
    free(block);
    free(expected);
    return NULL;
}

int main(int argc, char **argv)
{
    path = argv[argc - 1];
    int keep = open(path, O_RDWR);
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        printf("thread %d: %s\n", i, problem ? (char *)problem : "ok");
    }
    printf("fsync %d\n", fsync(keep));
    int fd = open(path, O_RDONLY | O_DIRECT), wrong = 0, written = 0;
    char *run, expected[BLOCK];
    if (posix_memalign((void **)&run, BLOCK, 256 * BLOCK))
        return 1;
    for (int first = 0; first < BLOCKS; first += 256) {
        if (pread(fd, run, 256 * BLOCK, (off_t)first * BLOCK) != 256 * BLOCK)
            return printf("read: %s\n", strerrorname_np(errno)), 1;
        for (int i = 0; i < 256; i++) {
            memset(expected, 0, BLOCK);
            if (latest[first + i])
                fill(expected, first + i, latest[first + i]);
            written += latest[first + i] != 0;
            wrong += memcmp(run + i * BLOCK, expected, BLOCK) != 0;
        }
    }
    printf("%d blocks written, %d wrong\n", written, wrong);
    return 0;
}
