// Nobody waits long for the CPU beside one other who computes, whatever either has done before.
// compat: cpus=2
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
enum { ROUNDS = 3, ALONE = 200, SOON = 10 };

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void compute(uint64_t ms)
{
    for (uint64_t end = now() + ms * MS; now() < end;)
        ;
}

static void on_cpu(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        exit(2);
}

// What the processes of a round tell each other. A busy host holds them up alike: time is what the other one computes meanwhile.
static volatile struct { uint64_t turns, asked, longest; int stop; } *shared;
static int to_old[2], to_new[2];
static double turns_per_ms;

static void turn(void)
{
    for (volatile int i = 0; i < 20; i++)
        ;
    shared->turns++;
}

// As many as there are where nobody is in the way.
static void calibrate(void)
{
    for (int i = 0; i < 30; i++) {
        uint64_t before = shared->turns, begin = now(), t;
        while ((t = now()) < begin + MS)
            for (int j = 0; j < 20; j++)
                turn();
        double rate = (shared->turns - before) * (double)MS / (t - begin);
        if (rate > turns_per_ms)
            turns_per_ms = rate;
    }
}

// The most that the other one computes between two looks of the caller, who computes for so many milliseconds, or yields.
static uint64_t longest_gap(uint64_t ms, int yields)
{
    uint64_t longest = 0, last = shared->turns;
    for (uint64_t end = now() + ms * MS; now() < end;)
        for (int i = 0; i < 100; i++) {
            uint64_t turns = shared->turns;
            if (turns - last > longest)
                longest = turns - last;
            last = turns;
            if (yields)
                sched_yield();
        }
    return longest;
}

static void until_stopped(void)
{
    while (!shared->stop)
        turn();
}

static void wait_for(int fd)
{
    char c;
    if (read(fd, &c, 1) != 1)
        exit(2);
}

static void wake(int fd)
{
    if (write(fd, "x", 1) != 1)
        exit(2);
}

// It has run alone for long, sleeps, and is woken by one that has hardly run.
static void old_one_is_woken(void)
{
    compute(ALONE);
    wake(to_new[1]);
    wait_for(to_old[0]);
    shared->longest = shared->turns - shared->asked;
    shared->stop = 1;
}

static void new_one_wakes(void)
{
    wait_for(to_new[0]);
    compute(20);
    shared->asked = shared->turns;
    wake(to_old[1]);
    until_stopped();
}

// It has run alone for long, wakes another one and goes on.
static void old_one_wakes(void)
{
    compute(ALONE);
    wake(to_new[1]);
    shared->longest = longest_gap(100, 0);
    shared->stop = 1;
}

static void new_one_is_woken(void)
{
    wait_for(to_new[0]);
    until_stopped();
}

// It has run alone for long and makes children that compute.
static void old_one_forks(void)
{
    compute(ALONE);
    pid_t child = fork();
    if (child == 0) {
        until_stopped();
        _exit(0);
    }
    shared->longest = longest_gap(100, 0);
    shared->stop = 1;
    waitpid(child, NULL, 0);
    wake(to_new[1]);
}

static void nothing(void)
{
    wait_for(to_new[0]);
}

// It has run beside others with the least weight, and gets the usual one.
static void policy_changes(int policy)
{
    struct sched_param none = { 0 };
    if (sched_setscheduler(0, policy, &none))
        exit(2);
    wake(to_new[1]);
    compute(50);
    if (sched_setscheduler(0, SCHED_OTHER, &none))
        exit(2);
    shared->longest = longest_gap(100, 0);
    shared->stop = 1;
}

static void idle_no_more(void)
{
    policy_changes(SCHED_IDLE);
}

static void batch_no_more(void)
{
    policy_changes(SCHED_BATCH);
}

// It has run alone on another CPU for long, and comes to this one.
static void moves_here(void)
{
    on_cpu(1);
    compute(ALONE);
    wake(to_new[1]);
    on_cpu(0);
    shared->longest = longest_gap(100, 0);
    shared->stop = 1;
}

// It gives way all the time beside one with the least weight, which takes its turn and no more.
static void gives_way(void)
{
    wake(to_new[1]);
    shared->longest = longest_gap(200, 1);
    shared->stop = 1;
}

static void computes_nicely(void)
{
    if (setpriority(PRIO_PROCESS, 0, 19))
        exit(2);
    new_one_is_woken();
}

static void run(const char *name, void (*first)(void), void (*second)(void))
{
    double best = 1e9;
    for (int round = 0; round < ROUNDS && best >= SOON; round++) {
        shared->longest = shared->asked = shared->stop = 0;
        if (pipe(to_old) || pipe(to_new))
            exit(2);
        void (*part[])(void) = { first, second };
        pid_t pids[2];
        for (int i = 0; i < 2; i++)
            if ((pids[i] = fork()) == 0) {
                part[i]();
                _exit(0);
            }
        for (int i = 0; i < 2; i++) {
            int status;
            if (waitpid(pids[i], &status, 0) != pids[i] || status)
                printf("%s: status %x\n", name, status);
        }
        if (shared->longest / turns_per_ms < best)
            best = shared->longest / turns_per_ms;
        close(to_old[0]), close(to_old[1]), close(to_new[0]), close(to_new[1]);
    }
    if (best < SOON)
        printf("%s: soon\n", name);
    else
        printf("%s: after %.1f ms\n", name, best);
    fflush(stdout);
}

int main(void)
{
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    on_cpu(0);
    calibrate();
    run("one that has run long is woken", old_one_is_woken, new_one_wakes);
    run("one that has run long wakes another", old_one_wakes, new_one_is_woken);
    run("one that has run long forks", old_one_forks, nothing);
    run("one leaves SCHED_IDLE", idle_no_more, new_one_is_woken);
    run("one leaves SCHED_BATCH", batch_no_more, new_one_is_woken);
    run("one that has run long comes from another CPU", moves_here, new_one_is_woken);
    run("one gives way to a nice one", gives_way, computes_nicely);
    return 0;
}
