// A performance counter, which ring 3 may not read unless it is let. In ring 0 a processor that has counters reads one; one that has
// none must answer as in ring 3, and not that the instruction is unknown.
// compat: native=no
#include <signal.h>
#include <stdlib.h>

static void caught(int signo, siginfo_t *info, void *context)
{
    (void)context;
    _Exit(signo == SIGSEGV && info->si_code == SI_KERNEL && !info->si_addr ? 0 : 1);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    __asm__ volatile("rdpmc" ::"c"(0) : "rax", "rdx");
    return 0;
}
