// The system call of 32-bit programs, as a Linux without emulation of these answers it. (One with it would carry the call out.)
// compat: native=no
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

static void caught(int signo, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)signo;
    _Exit(info->si_code == 0x80 && regs[REG_TRAPNO] == 13 && regs[REG_ERR] == 0x402 ? 0 : 2);
}

int main(void)
{
    sigaction(SIGSEGV, &(struct sigaction){.sa_sigaction = caught, .sa_flags = SA_SIGINFO}, NULL);
    // exit(3) of 32-bit programs.
    __asm__ volatile("mov $1, %%eax\n mov $3, %%ebx\n int $0x80" ::: "rax", "rbx");
    return 1;
}
