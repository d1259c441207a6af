// How soon a task runs that is woken beside others that compute, and how late sleeps end.
//
// A line for each figure, in nanoseconds: the middle of all samples, the 99.9th percentile, and the worst. Arguments:
// --rounds=N samples of each.
#define _GNU_SOURCE
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MOST_SAMPLES = 100000, EVERY_US = 2000, MANY = 16 };

static uint64_t late[MOST_SAMPLES];
static int samples = 2000;
static atomic_int stop;
static int ends[2];

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void tell(const char *what, int count) {
    char name[64];
    qsort(late, count, sizeof *late, compare);
    snprintf(name, sizeof name, "%s,median", what);
    report(name, 1, late[count / 2], 0);
    snprintf(name, sizeof name, "%s,99.9%%", what);
    report(name, 1, late[(long)count * 999 / 1000], 0);
    snprintf(name, sizeof name, "%s,worst", what);
    report(name, 1, late[count - 1], 0);
    fflush(stdout);
}

static void *compute(void *arg) {
    uint64_t x = 88172645463325252ull;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        for (int i = 0; i < 1000; i++)
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    *(volatile uint64_t *)arg = x;
    return NULL;
}

// Computes as well, and sends the time every now and then.
static void *wake(void *arg) {
    uint64_t x = 88172645463325252ull, next = now();
    for (int i = 0; i < samples;) {
        for (int j = 0; j < 100; j++)
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        uint64_t time = now();
        if (time < next)
            continue;
        // Out of step with anybody's ticks and slices: at the end of one the sender itself has to wait, between its look at the time
        // and the sending.
        next = time + EVERY_US * 1000ull + x % 1000000;
        check(write(ends[1], &time, sizeof time) == sizeof time, "write");
        i++;
    }
    *(volatile uint64_t *)arg = x;
    return NULL;
}

// Beside `others` that compute, one of which wakes us.
static void woken_beside(int others) {
    pthread_t threads[MANY];
    static uint64_t results[MANY];
    char name[32];
    atomic_store(&stop, 0);
    for (int i = 1; i < others; i++)
        check(pthread_create(&threads[i], NULL, compute, &results[i]) == 0, "pthread_create");
    check(pthread_create(&threads[0], NULL, wake, &results[0]) == 0, "pthread_create");
    for (int i = 0; i < samples; i++) {
        uint64_t time;
        check(read(ends[0], &time, sizeof time) == sizeof time, "read");
        late[i] = now() - time;
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < others; i++)
        pthread_join(threads[i], NULL);
    snprintf(name, sizeof name, "woken-beside-%d", others);
    tell(name, samples);
}

// Beside `others` that compute.
static void sleep_beside(int others, uint64_t ns, int count) {
    pthread_t threads[MANY];
    static uint64_t results[MANY];
    char name[48];
    count = count < 1 ? 1 : count;
    atomic_store(&stop, 0);
    for (int i = 0; i < others; i++)
        check(pthread_create(&threads[i], NULL, compute, &results[i]) == 0, "pthread_create");
    for (int i = 0; i < count; i++) {
        struct timespec time = {ns / 1000000000, ns % 1000000000};
        uint64_t start = now();
        nanosleep(&time, NULL);
        late[i] = now() - start - ns;
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < others; i++)
        pthread_join(threads[i], NULL);
    snprintf(name, sizeof name, "sleep-%lu-ms-beside-%d", ns / 1000000, others);
    tell(name, count);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        sscanf(argv[i], "--rounds=%d", &samples);
    samples = samples < 1 ? 1 : samples > MOST_SAMPLES ? MOST_SAMPLES : samples;
    check(pipe(ends) == 0, "pipe");
    sleep_beside(0, 1000000, samples);
    sleep_beside(0, 25000000, samples / 25);
    for (int others = 1; others <= MANY; others *= 4) {
        woken_beside(others);
        sleep_beside(others, 1000000, samples / 4);
    }
    puts("bench-end");
    fflush(stdout);
    return 0;
}
