// Work for as many threads as there are CPUs. The work of an operation is the same whatever their number is, so that a
// machine with two CPUs should need half the time for each.
#define _GNU_SOURCE
#include "bench.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, FAULTS = 512, BLOCKS = 64, MOST = 64, VALUES = 256 };

static int threads;

struct share {
    void (*work)(long operations);
    long operations;
};

static void *run_share(void *arg) {
    struct share *share = arg;
    share->work(share->operations);
    return NULL;
}

// Runs `work` on all CPUs with an equal share each.
static void spread(void (*work)(long), long operations) {
    pthread_t other[MOST];
    struct share share = {work, operations / threads + 1};
    for (int i = 1; i < threads; i++)
        check(pthread_create(&other[i], NULL, run_share, &share) == 0, "pthread_create");
    run_share(&share);
    for (int i = 1; i < threads; i++)
        pthread_join(other[i], NULL);
}

static volatile uint64_t sink;
static volatile double float_sink;

static void integers(long n) {
    uint64_t x = 88172645463325252ull, sum = 0;
    for (n *= 1000; n > 0; n--) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        sum += x * 2685821657736338717ull;
    }
    sink = sum;
}

static void floats(long n) {
    double value[VALUES];
    for (int i = 0; i < VALUES; i++)
        value[i] = i;
    while (n-- > 0)
        for (int i = 1; i < VALUES; i++)
            value[i] = value[i] * 0.999 + value[i - 1] * 0.001;
    float_sink = value[VALUES - 1];
}

static void faults(long n) {
    for (; n > 0; n -= FAULTS) {
        char *p = mmap(NULL, FAULTS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(p != MAP_FAILED, "mmap");
        madvise(p, FAULTS * PAGE, MADV_NOHUGEPAGE);
        for (long i = 0; i < FAULTS && i < n; i++)
            *(volatile char *)(p + i * PAGE) = 1;
        munmap(p, FAULTS * PAGE);
    }
}

static void allocations(long n) {
    void *block[BLOCKS] = {0};
    uint64_t x = 88172645463325252ull;
    while (n-- > 0) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        void **slot = &block[x % BLOCKS];
        free(*slot);
        *slot = malloc(16 + (x >> 32) % 4096);
        check(*slot != NULL, "malloc");
        *(volatile char *)*slot = 1;
    }
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
}

// One lock for all threads: most operations are quiet, and some sleep and wake.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t guarded;

static void locked(long n) {
    while (n-- > 0) {
        pthread_mutex_lock(&lock);
        guarded++;
        pthread_mutex_unlock(&lock);
        for (int i = 0; i < 50; i++)
            __asm__ volatile("");
    }
}

// Futex calls on a word of each thread's own: they share nothing that the program knows of.
static void own_futex(long n) {
    uint32_t word = 0;
    while (n-- > 0) {
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

// Each thread has a descriptor and a file of its own, in the one table of the process.
static void own_read(long n) {
    char byte;
    int fd = open("/dev/zero", O_RDONLY);
    check(fd >= 0, "open");
    while (n-- > 0)
        check(read(fd, &byte, 1) == 1, "read");
    close(fd);
}

// All threads ask for the same path.
static void same_stat(long n) {
    struct stat st;
    while (n-- > 0)
        check(stat("/dev/zero", &st) == 0, "stat");
}

#define SPREAD(work)                                                                                                         \
    static void spread_##work(long n) {                                                                                      \
        spread(work, n);                                                                                                     \
    }
SPREAD(integers)
SPREAD(floats)
SPREAD(faults)
SPREAD(allocations)
SPREAD(locked)
SPREAD(own_futex)
SPREAD(own_read)
SPREAD(same_stat)

int main(int argc, char **argv) {
    cpu_set_t set;
    options(argc, argv);
    check(sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity");
    threads = CPU_COUNT(&set) > MOST ? MOST : CPU_COUNT(&set);
    measure("pthread,integers", spread_integers);
    measure("pthread,floats", spread_floats);
    measure("page-fault", spread_faults);
    measure("malloc+free", spread_allocations);
    measure("mutex,one-for-all", spread_locked);
    measure("futex-wait+wake,own-word", spread_own_futex);
    measure("read,own-descriptor", spread_own_read);
    measure("stat,same-path", spread_same_stat);
    puts("bench-end");
}
