// Places behind a hlt that was not executed, and the ways that lead to one: interrupts come at a high rate, from a timer and from a
// second thread that has pages of all CPUs flushed, and none must be taken for what ended a hlt. And one that is executed
// again and again is seen each time.
// compat: variants=pie,no-pie,static cpus=2 cflags=-O1,-pthread,-Wno-unused-parameter
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define EACH_MS 100
#define HLTS 5

static volatile int done;
static volatile long faults, wrong, handled;
static volatile uintptr_t expected; // the hlt that is to be skipped
static volatile uintptr_t elsewhere; // where it goes on, if not behind it

static void caught(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info;
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    int executed = (uintptr_t)regs[REG_RIP] == expected;
    *(executed ? &faults : &wrong) += 1;
    regs[REG_RIP] = executed && elsewhere ? elsewhere : (uintptr_t)regs[REG_RIP] + 1;
}

// A handler whose first instruction stands behind a hlt.
extern char handler_behind[];
__asm__(".text\n.balign 64\nnop\nnop\nnop\n.fill 64, 1, 0x90\n hlt\nhandler_behind: incq handled(%rip)\n ret\n");

static void *flush(void *page)
{
    while (!done) {
        *(volatile char *)page = 1;
        mprotect(page, 4096, PROT_READ);
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
    }
    return NULL;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
// Calls `what` again and again for a while.
#define TRY(name, rounds, ...) \
    do { \
        long end = now_ms() + EACH_MS, count = 0; \
        do { \
            for (int i = 0; i < rounds; i++, count++) { __VA_ARGS__; } \
        } while (now_ms() < end); \
        printf("%s: %s\n", name, wrong ? "taken for a hlt" : count > 100 ? "ok" : "too few"); \
        wrong = 0; \
    } while (0)

#define FUNCTION(name, address) void (*volatile name)(void) = (void (*)(void))(address)

// System calls whose window ends in a branch over a hlt, or amid the instruction before the place that they go on at.
#define PADDING ".balign 16\n.fill 64, 1, 0x90\n"
__attribute__((naked, noinline)) static long site_branch(long nr)
{
    __asm__(PADDING "mov %edi, %eax\n syscall\n test %eax, %eax\n jnz 1f\n hlt\n1: ret\n");
}
__attribute__((naked, noinline)) static long site_jump(long nr)
{
    __asm__(PADDING "mov %edi, %eax\n syscall\n inc %eax\n jmp 1f\n hlt\n1: dec %eax\n ret\n");
}
// f4 is what is left of the load when the jump to the stub stands over the rest.
__attribute__((naked, noinline)) static long site_tail(long nr)
{
    __asm__(PADDING "push %rbp\n mov %rsp, %rbp\n mov %rdi, -0xc(%rbp)\n mov %edi, %eax\n syscall\n mov -0xc(%rbp), %rax\n pop %rbp\n ret\n");
}
// Branches to a place behind a hlt that leave no trace in registers.
extern void *behind_table[];
__attribute__((naked, noinline)) static void by_table(long index)
{
    __asm__(PADDING "lea behind_table(%rip), %rsi\n jmp *(%rsi,%rdi,8)\n hlt\n1: ret\n"
        ".pushsection .data.rel\nbehind_table: .quad 1b, 1b\n.popsection\n");
}
__attribute__((naked, noinline)) static void by_slot(void)
{
    __asm__(PADDING "jmp *2f(%rip)\n hlt\n1: ret\n .pushsection .data.rel\n2: .quad 1b\n.popsection\n");
}
__attribute__((naked, noinline)) static void by_thread_slot(void **slot)
{
    // The thread's own variable by its segment.
    __asm__(PADDING "mov %fs:0, %rax\n sub %rax, %rdi\n lea 1f(%rip), %rax\n mov %rax, %fs:(%rdi)\n xor %eax, %eax\n jmp *%fs:(%rdi)\n hlt\n1: ret\n");
}
__attribute__((naked, noinline)) static void by_return(void)
{
    __asm__(PADDING "lea 1f(%rip), %rax\n push %rax\n xor %eax, %eax\n ret\n hlt\n1: ret\n");
}
__attribute__((naked, noinline)) static void by_return_and_pop(void)
{
    __asm__(PADDING "push %rdi\n push %rdi\n lea 1f(%rip), %rax\n push %rax\n xor %eax, %eax\n ret $16\n hlt\n1: ret\n");
}
__attribute__((naked, noinline)) static void by_far_return(void)
{
    __asm__(PADDING "mov %cs, %ecx\n lea 1f(%rip), %rax\n push %rcx\n push %rax\n xor %eax, %eax\n lretq\n hlt\n1: ret\n");
}
__attribute__((naked, noinline)) static void by_interrupt_return(void)
{
    __asm__(PADDING "mov %rsp, %rdx\n mov %ss, %eax\n push %rax\n push %rdx\n pushfq\n mov %cs, %eax\n push %rax\n"
        " lea 1f(%rip), %rax\n push %rax\n xor %eax, %eax\n iretq\n hlt\n1: ret\n");
}
__attribute__((naked, noinline)) static void by_count(void)
{
    __asm__(PADDING "mov $1, %ecx\n jecxz 1f\n dec %ecx\n jrcxz 1f\n hlt\n1: mov $2, %ecx\n loop 1f\n hlt\n1: ret\n");
}
// A function whose entry stands behind a hlt.
extern char entry_behind[];
__asm__(".text\n" PADDING "hlt\nentry_behind: xor %eax, %eax\n ret\n");
__attribute__((naked, noinline)) static void by_tail_call(void)
{
    __asm__(PADDING "jmp entry_behind\n");
}
// And one that no other code of the program's branches to.
extern char other_entry[];
__asm__(".text\n" PADDING "hlt\nother_entry: xor %eax, %eax\n ret\n");
static void (*volatile entry)(void) = (void (*)(void))other_entry;
// A hlt, and what goes on behind it. `round` makes the registers differ from those that the last handler returned to.
extern char executed[], far_behind[];
__attribute__((naked, noinline)) static void execute(long round)
{
    __asm__(PADDING "executed: hlt\n ret\n hlt\nfar_behind: ret\n");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGSEGV, &(struct sigaction){.sa_sigaction = caught, .sa_flags = SA_SIGINFO}, NULL);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = (void (*)(int))handler_behind, .sa_flags = SA_RESTART}, NULL);
    pthread_t other;
    pthread_create(&other, NULL, flush, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 200}, {0, 200}}, NULL);

    TRY("a branch in a call site's window", 1000, site_branch(SYS_getpid));
    TRY("a jump in a call site's window", 1000, site_jump(SYS_getpid));
    TRY("what a call site's jump leaves", 1000, site_tail(SYS_getpid));
    TRY("a jump by a table", 1000, by_table(i & 1));
    TRY("a jump by a word of memory", 1000, by_slot());
    static __thread void *slot;
    TRY("a jump by a word of the thread's", 1000, by_thread_slot(&slot));
    TRY("a return", 1000, by_return());
    TRY("a return that takes arguments off", 1000, by_return_and_pop());
    TRY("a far return", 1000, by_far_return());
    TRY("a return from an interrupt", 1000, by_interrupt_return());
    TRY("branches on a counter", 1000, by_count());
    TRY("a tail call", 1000, by_tail_call());
    TRY("a call by a pointer", 1000, entry());

    // From another mapping, by a jump that goes through memory, as procedure linkage tables do; and one that is direct.
    unsigned char *code = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(code, 0xf4, 4096);
    memcpy(code + 4096, "\xff\x25\x02\x00\x00\x00\x90\x90", 8); // jmp *8(here)
    memcpy(code + 4096 + 8, &(void *){other_entry}, 8);
    memset(code + 8192, 0x90, 256);
    memcpy(code + 8192 + 128, "\xf4\xc3", 2);                   // hlt; ret
    memcpy(code + 4096 + 32, "\xe9\x5c\x10\x00\x00", 5);        // jmp behind that hlt
    memcpy(code + 4096 + 64, "\xff\x25\x02\x00\x00\x00\x90\x90", 8);
    memcpy(code + 4096 + 72, &(void *){code + 8192 + 129}, 8);
    mprotect(code + 8192, 4096, PROT_READ | PROT_EXEC);
    FUNCTION(linked, code + 4096);
    mprotect(code + 4096, 4096, PROT_READ | PROT_EXEC);
    TRY("a tail call from other code", 1000, linked());
    // The area before is data, and full of f4.
    unsigned char *first = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(first, 0xf4, 4096);
    first[4096] = 0xc3;
    mprotect(first + 4096, 4096, PROT_READ | PROT_EXEC);
    mprotect(code + 4096, 4096, PROT_READ | PROT_WRITE);
    memcpy(code + 4096 + 96, "\xff\x25\x02\x00\x00\x00\x90\x90", 8);
    memcpy(code + 4096 + 104, &(void *){first + 4096}, 8);
    mprotect(code + 4096, 4096, PROT_READ | PROT_EXEC);
    FUNCTION(first_byte, code + 4096 + 96);
    TRY("the first byte of an area", 1000, first_byte());
    FUNCTION(direct, code + 4096 + 32);
    FUNCTION(second, code + 4096 + 64);
    TRY("a jump from the page before", 1000, direct());
    TRY("a jump from there through memory", 1000, second());
    mprotect(code + 4096, 4096, PROT_READ | PROT_EXEC | PROT_WRITE);
    TRY("a jump from the area before", 1000, direct());
    // lea -0xc(%rbp), %eax from one area into the next; ret.
    memcpy(first + 3 * 4096 - 2, "\x8d\x45", 2);
    memcpy(first + 3 * 4096, "\xf4\xc3", 2);
    mprotect(first + 2 * 4096, 4096, PROT_READ | PROT_EXEC);
    mprotect(first + 3 * 4096, 4096, PROT_READ | PROT_EXEC | PROT_WRITE);
    FUNCTION(across, first + 3 * 4096 - 2);
    TRY("an instruction from one area into the next", 1000, across());

    expected = (uintptr_t)executed;
    for (int i = 0; i < HLTS; i++) execute(i);
    printf("a hlt is seen each time, and skipped: %s\n", !wrong && faults == HLTS ? "ok" : "WRONG");
    elsewhere = (uintptr_t)far_behind;
    faults = 0;
    for (int i = 0; i < HLTS; i++) execute(i);
    printf("the same, going on behind another: %s\n", !wrong && faults == HLTS ? "ok" : "WRONG");
    printf("interrupted: %s\n", handled > 100 ? "often" : "too seldom");
    done = 1;
    pthread_join(other, NULL);
    return 0;
}
