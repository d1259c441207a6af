// Instructions that a program may not execute: each is a signal at the instruction itself, with the processor's error code.
// And a hlt that is jumped over, which must do nothing however often an interrupt comes right behind it.
// compat: variants=pie,static,musl-static
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

static volatile unsigned long skip;
static volatile long alarms;

static void caught(int signo, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)regs[REG_RIP];
    printf("signal %d code %d address %s trap %lld error %llx at %02x", signo, info->si_code, info->si_addr ? "set" : "0",
        (long long)regs[REG_TRAPNO], (long long)regs[REG_ERR], at[0]);
    for (unsigned long i = 1; i < skip; i++) printf(" %02x", at[i]);
    puts("");
    regs[REG_RIP] += skip;
}
static void alarmed(int signo)
{
    (void)signo;
    alarms++;
}

#define TRY(name, length, ...) \
    do { \
        skip = length; \
        printf("%s: ", name); \
        __asm__ volatile(__VA_ARGS__ ::: "rax", "rcx", "rdx", "memory", "cc"); \
    } while (0)

// Half a second of steps, for interrupts to hit any of the instructions.
static long jump_over(void)
{
    long steps = 0;
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        for (int i = 0; i < 100000; i++, steps++) {
            __asm__ volatile("test $1, %%dil\n je 1f\n hlt\n 1: add $0, %%rax\n jmp 2f\n hlt\n 2:\n" ::"D"(2L) : "rax", "cc");
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < 500);
    return steps;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    TRY("hlt", 1, "hlt");
    TRY("hlt behind a branch that is not taken", 1, "test %%rsp, %%rsp\n je 1f\n hlt\n 1:");
    TRY("int $0", 2, "int $0");
    TRY("int $1", 2, "int $1");
    TRY("int3", 0, "int3");
    TRY("int $3", 0, ".byte 0xcd, 3");
    TRY("int $4", 0, "int $4");
    TRY("int $6", 2, "int $6");
    TRY("int $8", 2, "int $8");
    TRY("int $10", 2, "int $10");
    TRY("int $13", 2, "int $13");
    TRY("int $14", 2, "int $14");
    TRY("int $17", 2, "int $17");
    TRY("int $19", 2, "int $19");
    TRY("int $21", 2, "int $21");
    TRY("int $0x20", 2, "int $0x20");
    TRY("int $0x30", 2, "int $0x30");
    TRY("int $0x81", 2, "int $0x81");
    TRY("int $0xf0", 2, "int $0xf0");
    TRY("int $0xf1", 2, "int $0xf1");
    TRY("int $0xfd", 2, "int $0xfd");
    TRY("int $0xff", 2, "int $0xff");
    TRY("ud2", 2, "ud2");

    struct sigaction tick = {.sa_handler = alarmed, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &tick, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 1000}, {0, 1000}}, NULL);
    long steps = jump_over();
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("jumped over: %s, interrupted: %s\n", steps >= 100000 ? "yes" : "no", alarms >= 50 ? "often" : "too seldom");
    return 0;
}
