// Growth of stacks: the main stack up to RLIMIT_STACK, MAP_GROWSDOWN areas up to their guard gap.
// compat: cflags=-O0,-w
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096UL
static sigjmp_buf trap;
static char *volatile fault;
static volatile int code;
static char alternate[65536];

static void on_segv(int sig, siginfo_t *si, void *ctx) {
    (void)ctx;
    fault = si->si_addr, code = si->si_code;
    siglongjmp(trap, sig);
}

static long descend(volatile char *from) {
    volatile char frame[4000];
    frame[0] = *from;
    return descend(frame) + frame[0];
}

// The access that faults is up to a frame beyond the limit.
static void overflow(const char *what, long low, long high) {
    char here = 0;
    if (sigsetjmp(trap, 1) == 0) descend(&here);
    long depth = (&here - fault) >> 10;
    printf("%s: code %d, depth in range %d\n", what, code, depth > low && depth < high);
}

static int reach(volatile char *p) {
    if (sigsetjmp(trap, 1)) return -code;
    *p = 1;
    return *p;
}

int main(void) {
    stack_t ss = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&ss, 0);
    struct sigaction sa = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &sa, 0);
    struct rlimit limit = {8 << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &limit);
    overflow("8 MiB", 8000, 8198);
    limit.rlim_cur = 12 << 20;
    setrlimit(RLIMIT_STACK, &limit);
    overflow("12 MiB", 12000, 12294);
    limit.rlim_cur = 8 << 20;
    setrlimit(RLIMIT_STACK, &limit);

    char *room = mmap(0, 2048 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room, 2048 * PAGE);
    char *stack = mmap(room + 2000 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    printf("in place: %d\n", stack == room + 2000 * PAGE);
    printf("one page below: %d\n", reach(stack - PAGE));
    printf("a hundred below: %d\n", reach(stack - 100 * PAGE));
    char *floor = mmap(room + 1000 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("clear of the gap: %d\n", reach(floor + 300 * PAGE));
    printf("inside the gap: %d\n", reach(floor + 100 * PAGE));
    mprotect(floor, PAGE, PROT_NONE);
    printf("a PROT_NONE floor needs none: %d\n", reach(floor + 100 * PAGE));
    char *near = mmap(room + 900 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("hint far below a stack: %d\n", near == room + 900 * PAGE);
    printf("mprotect grows down: %d\n", mprotect(stack + PAGE, PAGE, PROT_READ | PROT_GROWSDOWN));
    printf("lowest page: %d\n", reach(floor + 100 * PAGE));
    return 0;
}
