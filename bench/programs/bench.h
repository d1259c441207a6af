// What the measuring programs share: a loop that finds its own length, and a line of output per round.
//
// A line is `bench NAME OPERATIONS NANOSECONDS TICKS`. TICKS is the time-stamp counter: under QEMU's `-icount shift=0` it
// counts executed instructions, whatever the guest's clock makes of it.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ROUNDS = 16, LEAST = 8 };

static uint64_t target_ns = 10 * 1000 * 1000;
static int rounds = 5;
// One measurement alone, and a number of operations of it that is given instead of found.
static char only[64];
static long fixed_operations;

static inline uint64_t ticks(void) {
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

static inline uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline void check(int ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static inline void report(const char *name, long operations, uint64_t ns, uint64_t tick) {
    printf("bench %s %ld %lu %lu\n", name, operations, ns, tick);
}

// Options of every program: --round-us=N, --rounds=N, --only=NAME, --operations=N; the rest is left in argv.
static inline int options(int argc, char **argv) {
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "--round-us=%lu", &target_ns) == 1)
            target_ns *= 1000;
        else if (sscanf(argv[i], "--rounds=%d", &rounds) == 1)
            rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
        else if (sscanf(argv[i], "--only=%63s", only) == 1 || sscanf(argv[i], "--operations=%ld", &fixed_operations) == 1)
            continue;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

// Doubles the number of operations until they take a good part of a round, then measures rounds of that many.
static inline void measure(const char *name, void (*run)(long operations)) {
    if (*only && strcmp(only, name))
        return;
    long n = fixed_operations ? fixed_operations : LEAST;
    run(n); // pays for what happens but once
    while (!fixed_operations) {
        uint64_t took = ~0ull;
        for (int i = 0; i < 2; i++) {
            uint64_t start = now();
            run(n);
            uint64_t once = now() - start;
            took = once < took ? once : took;
        }
        if (took >= target_ns / 2 || n >= 1 << 24)
            break;
        n = took > target_ns / 64 ? (long)(n * (double)target_ns / took) + 1 : n * 8;
    }
    struct { uint64_t ns, ticks; } round[MAX_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        uint64_t ns = now(), tick = ticks();
        run(n);
        round[i].ticks = ticks() - tick;
        round[i].ns = now() - ns;
    }
    for (int i = 0; i < rounds; i++)
        report(name, n, round[i].ns, round[i].ticks);
    fflush(stdout);
}
