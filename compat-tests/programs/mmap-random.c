// Random mappings in a fixed arena: every observable result goes into a checksum, which must be Linux's.
// compat: timeout=120
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 1536UL
#define ARENA ((char *)0x500000000000)

static uint64_t state = 88172645463325252ULL, sum = 1469598103934665603ULL;
static uint64_t rnd(uint64_t n) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (state >> 11) % n;
}
static void note(uint64_t v) { sum = (sum ^ v) * 1099511628211ULL; }

static sigjmp_buf trap;
static void on_trap(int sig, siginfo_t *si, void *ctx) {
    (void)ctx;
    note(sig * 1000 + si->si_code);
    note((uint64_t)si->si_addr);
    siglongjmp(trap, 1);
}

static void touch(char *p, int write, int v) {
    if (sigsetjmp(trap, 0) == 0) {
        note(*(volatile char *)p);
        if (write) *(volatile char *)p = v, note(v);
    }
}

int main(void) {
    struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &sa, 0), sigaction(SIGBUS, &sa, 0);
    int fd = open("/tmp/mmap-random", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return perror("open"), 1;
    unlink("/tmp/mmap-random");
    static const int prots[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ | PROT_EXEC};
    char b[64];
    for (int i = 0; i < 50000; i++) {
        uint64_t first = rnd(PAGES), count = 1 + rnd(rnd(8) ? 16 : 700);
        if (first + count > PAGES) count = PAGES - first;
        char *p = ARENA + first * PAGE;
        int prot = prots[rnd(6)];
        long r = 0;
        errno = 0;
        switch (rnd(20)) {
        case 0: r = (long)mmap(p, count * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
        case 1: r = (long)mmap(p, count * PAGE, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
        case 2: r = (long)mmap(p, count * PAGE, prot, MAP_PRIVATE | MAP_FIXED, fd, rnd(40) * PAGE); break;
        case 3: r = (long)mmap(p, count * PAGE, prot, MAP_SHARED | MAP_FIXED, fd, rnd(40) * PAGE); break;
        case 4: r = munmap(p, count * PAGE); break;
        case 5: case 6: r = mprotect(p, count * PAGE, prot); break;
        case 7: r = madvise(p, count * PAGE, rnd(3) ? MADV_DONTNEED : MADV_WILLNEED); break;
        case 8: {
            char *to = ARENA + rnd(PAGES) * PAGE;
            r = (long)mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
            break;
        }
        case 9: if (!rnd(20)) r = ftruncate(fd, rnd(48 * PAGE)); break;
        case 10: r = pwrite(fd, "file content", 12, rnd(40 * PAGE)); break;
        case 11: memset(b, 0, sizeof b), r = pread(fd, b, 16, rnd(40 * PAGE)), note(b[0] + b[7] * 256); break;
        case 12: r = madvise(p, count * PAGE, MADV_HUGEPAGE); break;
        case 13: r = msync(p, count * PAGE, MS_ASYNC); break;
        case 14: r = rnd(4) ? 0 : mlock(p, count * PAGE) | munlock(p, count * PAGE); break;
        case 15:
            if (!rnd(10)) r = (long)mmap((char *)((uintptr_t)p & -(2UL << 20)), 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
        default: break;
        }
        note(r), note(r < 0 ? errno : 0);
        for (int k = 0; k < 6; k++) touch(ARENA + rnd(PAGES * PAGE), rnd(3) != 0, rnd(120));
        if (i % 10000 == 9999) printf("%d %016lx\n", i + 1, sum);
    }
    return 0;
}
