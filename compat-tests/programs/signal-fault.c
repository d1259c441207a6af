// Faults: signal, code and address, a handler that changes registers, FPU state in the frame.
// compat: variants=pie,static
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf env;
static volatile int sig, code;
static volatile uint64_t addr, trapno, err, rip_is_addr;
static void jump(int s, siginfo_t *info, void *ctx) {
    ucontext_t *uc = ctx;
    sig = s; code = info->si_code; addr = (uint64_t)info->si_addr;
    trapno = uc->uc_mcontext.gregs[REG_TRAPNO]; err = uc->uc_mcontext.gregs[REG_ERR];
    rip_is_addr = addr == (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    siglongjmp(env, 1);
}
static char *page;
// Whether a page was there (bit 0 of a page fault's error code) depends on what else the system did with it.
#define TRY(name, what, base) do { \
    if (!sigsetjmp(env, 1)) { what; printf("%s: no fault\n", name); } \
    else printf("%s: signal %d code %d address %lx%s trap %ld err %lx\n", name, sig, code, \
        rip_is_addr ? 0L : (long)(addr - (uint64_t)(base)), rip_is_addr ? " (rip)" : "", (long)trapno, (long)(trapno == 14 ? err & ~1 : err)); \
} while (0)

static const unsigned short cw = 0x340; // no exception masked

// Skips the faulting instruction and supplies a result.
static void fix(int s, siginfo_t *info, void *ctx) {
    (void)s; (void)info;
    ucontext_t *uc = ctx;
    uc->uc_mcontext.gregs[REG_RIP] += 2; // mov (%rbx),%eax
    uc->uc_mcontext.gregs[REG_RAX] = 4242;
    printf("segments: cs %llx ss %llx\n", uc->uc_mcontext.gregs[REG_CSGSFS] & 0xffff,
        (unsigned long long)uc->uc_mcontext.gregs[REG_CSGSFS] >> 48);
    uint32_t *fx = (uint32_t *)uc->uc_mcontext.fpregs;
    printf("fp magic %x, mxcsr %x, cw %x\n", fx[464 / 4], fx[6], fx[0] & 0xffff);
    printf("xmm0 %x\n", uc->uc_mcontext.fpregs->_xmm[0].element[0]);
    uc->uc_mcontext.fpregs->_xmm[0].element[0] = 0x12345678;
    // The handler starts with a clean FPU.
    unsigned mxcsr; __asm__("stmxcsr %0" : "=m"(mxcsr));
    printf("handler mxcsr %x\n", mxcsr);
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm9, %%xmm9" ::: "xmm0", "xmm9");
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    struct sigaction sa = { .sa_sigaction = jump, .sa_flags = SA_SIGINFO };
    int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    for (int i = 0; i < 5; i++) sigaction(sigs[i], &sa, 0);
    page = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 4096, 4096, PROT_NONE);
    TRY("null read", (void)*(volatile int *)0, 0);
    TRY("null write", *(volatile int *)16 = 1, 0);
    TRY("read-only", page[5] = 1, page);
    TRY("no access", (void)*(volatile char *)(page + 4100), page);
    TRY("non-canonical", (void)*(volatile char *)0x8000000000000000, 0);
    TRY("jump to null", ((void (*)(void))0)(), 0);
    TRY("no exec", ((void (*)(void))page)(), page);
    TRY("divide", __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; idiv %%ecx" ::: "eax", "ecx", "edx"), 0);
    TRY("ud2", __builtin_trap(), 0);
    TRY("int3", __asm__ volatile("int3"), 0);
    // x87 only: QEMU's translator does not raise SSE's exceptions.
    TRY("float divide", __asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" :: "m"(cw)), 0);
    TRY("float invalid", __asm__ volatile("fninit; fldcw %0; fldz; fldz; fdivrp; fwait" :: "m"(cw)), 0);
    __asm__ volatile("fninit");
    char name[] = "/tmp/skiff-fault-XXXXXX";
    int fd = mkstemp(name);
    if (fd >= 0) {
        unlink(name);
        char *file = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
        TRY("beyond the file", (void)*(volatile char *)(file + 10), file);
    }

    sa.sa_sigaction = fix; sigaction(SIGSEGV, &sa, 0);
    uint64_t result; uint32_t low, nine = 0;
    __asm__ volatile("mov $0xabcdef, %%eax; movd %%eax, %%xmm0; mov $99, %%eax; movd %%eax, %%xmm9;"
        "xor %%ebx, %%ebx; mov (%%rbx), %%eax; movd %%xmm0, %1; movd %%xmm9, %2"
        : "=&a"(result), "=r"(low), "=r"(nine) : : "rbx", "xmm0", "xmm9", "memory");
    printf("fixed: %lu, xmm0 %x, xmm9 %u\n", result, low, nine);
    return 0;
}
