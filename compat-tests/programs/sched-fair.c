// Whoever is ready gets its share of one CPU, whatever the others do: sleep and wake each other, spin, or have other nice values.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull

static atomic_bool stop;
static atomic_ullong turns;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t used(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t process_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void compute(uint64_t ns)
{
    for (uint64_t end = used() + ns; used() < end;)
        ;
}

struct end { int from, to; };

// Waits for its turn, computes, and hands over: a ring of these is never asleep as a whole.
static void *hand_over(void *arg)
{
    struct end *end = arg;
    char c;
    while (read(end->from, &c, 1) == 1) {
        compute(200000);
        atomic_fetch_add(&turns, 1);
        if (write(end->to, &c, 1) != 1)
            break;
    }
    close(end->to);
    return NULL;
}

// A busy host holds everybody up alike: what counts is how much the others do meanwhile.
struct spin { unsigned long long most_turns; uint64_t cpu; int nice; };

static void *spin(void *arg)
{
    struct spin *spin = arg;
    if (spin->nice)
        setpriority(PRIO_PROCESS, syscall(SYS_gettid), spin->nice);
    unsigned long long before = turns;
    while (!stop) {
        unsigned long long seen = turns;
        if (seen - before > spin->most_turns)
            spin->most_turns = seen - before;
        before = seen;
    }
    spin->cpu = used();
    return NULL;
}

// Beside a few who sleep and wake each other, and are never all asleep.
static void beside_a_ring(int size, int tokens)
{
    enum { MOST = 4 };
    int pipes[MOST][2];
    struct end ends[MOST];
    pthread_t ring[MOST], third;
    struct spin spinner = { 0 };
    stop = 0;
    for (int i = 0; i < size; i++)
        if (pipe(pipes[i]))
            exit(2);
    for (int i = 0; i < size; i++) {
        ends[i] = (struct end){ pipes[i][0], pipes[(i + 1) % size][1] };
        pthread_create(&ring[i], NULL, hand_over, &ends[i]);
    }
    if (write(pipes[0][1], "xxxx", tokens) != tokens)
        exit(2);
    usleep(100000);
    unsigned long long turns_before = turns;
    uint64_t begin = process_cpu();
    pthread_create(&third, NULL, spin, &spinner);
    usleep(1000000);
    stop = 1;
    pthread_join(third, NULL);
    uint64_t all = process_cpu() - begin;
    printf("a ring of %d with %d to hand on: %s\n", size, tokens, turns > turns_before + 100 ? "goes on" : "stands still");
    for (int i = 0; i < size; i++)
        pthread_cancel(ring[i]);
    for (int i = 0; i < size; i++)
        pthread_join(ring[i], NULL);
    printf("the spinner has a share: %s\n", spinner.cpu > all / 10 ? "yes" : "no");
    if (spinner.most_turns > 1500)
        printf("%llu turns of the others without the spinner\n", spinner.most_turns);
}

// A thread that sleeps most of the time runs soon after it is woken, though another one spins.
static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void wake_up_latency(void)
{
    enum { ROUNDS = 151 };
    static uint64_t late[ROUNDS];
    struct spin spinners[2] = { { 0 } };
    pthread_t threads[2];
    stop = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, spin, &spinners[i]);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t at = now() + 3 * MS;
        struct timespec t = { at / 1000000000, at % 1000000000 };
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
            ;
        late[i] = now() - at;
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    qsort(late, ROUNDS, sizeof *late, compare);
    // The median: a busy host holds single ones up.
    if (late[ROUNDS / 2] < 10 * MS)
        printf("woken within 10 ms of the time\n");
    else
        printf("woken %llu ms late\n", (unsigned long long)(late[ROUNDS / 2] / MS));
}

// Nice values divide the CPU, and starve nobody.
static void nice_values(void)
{
    struct spin spinners[2] = { { .nice = 0 }, { .nice = 10 } };
    pthread_t threads[2];
    stop = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, spin, &spinners[i]);
    usleep(1000000);
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("nice 0 has more than nice 10: %s\n", spinners[0].cpu > 3 * spinners[1].cpu ? "yes" : "no");
    printf("nice 10 runs: %s\n", spinners[1].cpu > 20 * MS ? "yes" : "no");
}

int main(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one))
        return 2;
    for (int size = 2; size <= 3; size++)
        for (int tokens = 1; tokens < size; tokens++)
            beside_a_ring(size, tokens);
    wake_up_latency();
    nice_values();
    return 0;
}
