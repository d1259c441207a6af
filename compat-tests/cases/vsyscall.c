/* The functions at fixed addresses that programs of long ago call for the time. */
#include "case.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#define PAGE 0xffffffffff600000ul

static int (*const get_time_of_day)(struct timeval *, void *) = (void *)PAGE;
static time_t (*const get_time)(time_t *) = (void *)(PAGE + 0x400);
static int (*const get_cpu)(unsigned *, unsigned *, void *) = (void *)(PAGE + 0x800);

static int is_there(void)
{
    char line[512];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        found |= strncmp(line, "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 ", 56) == 0 && strstr(line, " [vsyscall]\n");
    fclose(maps);
    return found;
}

static void on_sys(int number, siginfo_t *info, void *context)
{
    (void)number;
    ucontext_t *user = context;
    line("case vsyscall/trapped: code %d call %d", info->si_code, info->si_syscall);
    user->uc_mcontext.gregs[REG_RAX] = 5;
}

GROUP(vsyscall)
{
    struct timeval then, now;
    unsigned cpu = 99, node = 99;
    if (!is_there())
        return;
    gettimeofday(&then, 0);
    OK("gettimeofday", get_time_of_day(&now, 0));
    YES("is now", now.tv_sec - then.tv_sec <= 2 && now.tv_sec >= then.tv_sec);
    time_t seconds = 0, result = get_time(&seconds);
    YES("time", result == seconds && result - then.tv_sec <= 2 && result >= then.tv_sec - 1);
    OK("getcpu", get_cpu(&cpu, &node, 0));
    YES("a cpu", cpu < 64 && node == 0);
    for (int i = 0; i < 200; i++)
        get_time(&seconds);
    YES("many times", seconds - result <= 2);
    int status;
    CHILD(status, {
        struct sigaction trap = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_time, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {COUNT(code), code};
        sigaction(SIGSYS, &trap, 0);
        MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
        EQ("filtered", 5, get_time(0));
    });
}
