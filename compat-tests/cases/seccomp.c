/* seccomp(2): filters of system calls, what they say and who gets them. */
#include "case.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

/* Linux has no such call, and nobody makes it. */
#define NONE SYS_vserver
#define KILL SECCOMP_RET_KILL_THREAD

static long seccomp(unsigned op, unsigned flags, void *args)
{
    return syscall(SYS_seccomp, op, flags, args);
}

/* A filter that says `verdict` of call `nr`, and lets all others through. */
static int filter(unsigned nr, unsigned verdict, unsigned flags)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, verdict),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(code), code};
    return seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
}

static const char *ended(int status)
{
    return WIFEXITED(status) ? named("exit %d", WEXITSTATUS(status))
                             : named("signal %d%s", WTERMSIG(status), WCOREDUMP(status) ? " core" : "");
}

static void not_expected(int number)
{
    (void)number;
    _exit(99);
}

static void on_sys(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    line("case seccomp/trap, seen: signal %d code %d errno %d call %d arch %x rax %lld, goes on there %d", number, info->si_code,
         info->si_errno, info->si_syscall, info->si_arch, user->uc_mcontext.gregs[REG_RAX],
         (long long)info->si_call_addr == user->uc_mcontext.gregs[REG_RIP]);
    user->uc_mcontext.gregs[REG_RAX] = 77;
}

GROUP(seccomp)
{
    int status;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    EQ("no mode", 0, prctl(PR_GET_SECCOMP));
    ERR("no such operation", EINVAL, seccomp(9, 0, 0));
    ERR("no such flag", EINVAL, seccomp(SECCOMP_SET_MODE_FILTER, 123, 0));
    ERR("a filter at no address", EFAULT, seccomp(SECCOMP_SET_MODE_FILTER, 0, 0));
    ERR("strict with flags", EINVAL, seccomp(SECCOMP_SET_MODE_STRICT, 1, 0));
    ERR("strict with arguments", EINVAL, seccomp(SECCOMP_SET_MODE_STRICT, 0, &status));
    ERR("by prctl, no mode", EINVAL, prctl(PR_SET_SECCOMP, 0));
    ERR("by prctl, mode 3", EINVAL, prctl(PR_SET_SECCOMP, 3));
    ERR("by prctl, at no address", EFAULT, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0));
    static const unsigned actions[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO,
                                       SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW};
    for (unsigned i = 0; i < COUNT(actions); i++)
        OK(named("action %x", actions[i]), seccomp(SECCOMP_GET_ACTION_AVAIL, 0, (void *)&actions[i]));
    unsigned action = SECCOMP_RET_ALLOW | 1;
    ERR("no such action", EOPNOTSUPP, seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
    ERR("action at no address", EFAULT, seccomp(SECCOMP_GET_ACTION_AVAIL, 0, 0));
    ERR("action with flags", EINVAL, seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &action));
    AS_NOBODY({
        ERR("without the privilege", EACCES, filter(NONE, KILL, 0));
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        OK("with privileges given up", filter(NONE, SECCOMP_RET_ERRNO | 5, 0));
        ERR("and in force", 5, syscall(NONE));
    });
    CHILD(status, {
        OK("errno", filter(NONE, SECCOMP_RET_ERRNO | ENOTNAM, 0));
        ERR("errno, seen", ENOTNAM, syscall(NONE));
        EQ("mode of filters", 2, prctl(PR_GET_SECCOMP));
        OK("errno 0", filter(SYS_getppid, SECCOMP_RET_ERRNO, 0));
        EQ("errno 0, seen", 0, syscall(SYS_getppid));
        OK("errno 60000", filter(SYS_getsid, SECCOMP_RET_ERRNO | 60000, 0));
        ERR("errno 60000, seen", 4095, syscall(SYS_getsid, 0));
        OK("of a quick call", filter(SYS_getpid, SECCOMP_RET_ERRNO | 7, 0));
        ERR("of a quick call, seen", 7, syscall(SYS_getpid));
        OK("trace", filter(SYS_getpgid, SECCOMP_RET_TRACE, 0));
        ERR("trace, seen", ENOSYS, syscall(SYS_getpgid, 0));
        OK("log", filter(SYS_getuid, SECCOMP_RET_LOG, 0));
        EQ("log, seen", getuid(), syscall(SYS_getuid));
        OK("the older is stricter", filter(NONE, SECCOMP_RET_LOG, 0));
        ERR("the older is stricter, seen", ENOTNAM, syscall(NONE));
        OK("of two errors the newer", filter(NONE, SECCOMP_RET_ERRNO | 9, 0));
        ERR("of two errors the newer, seen", 9, syscall(NONE));
        ERR("strict after filters", EINVAL, seccomp(SECCOMP_SET_MODE_STRICT, 0, 0));
        ERR("strict after filters, by prctl", EINVAL, prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
        char text[4096];
        int fd = open("/proc/self/status", O_RDONLY);
        text[read(fd, text, sizeof text - 1)] = 0;
        YES("status, mode", strstr(text, "Seccomp:\t2\n"));
        YES("status, filters", strstr(text, "Seccomp_filters:\t8\n"));
    });
    CHILD(status, {
        struct sigaction trap = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
        sigaction(SIGSYS, &trap, 0);
        OK("trap", filter(NONE, SECCOMP_RET_TRAP | 0xdead, 0));
        EQ("trap, result", 77, syscall(NONE, 1, 2, 3));
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGSYS);
        sigprocmask(SIG_BLOCK, &set, 0);
        syscall(NONE);
    });
    SHOW("trap while blocked", "%s", ended(status));
    CHILD(status, {
        signal(SIGSYS, not_expected);
        filter(NONE, KILL, 0);
        syscall(NONE);
    });
    SHOW("kill", "%s", ended(status));
    CHILD(status, {
        signal(SIGSYS, SIG_IGN);
        filter(NONE, SECCOMP_RET_KILL_PROCESS, 0);
        syscall(NONE);
    });
    SHOW("kill the process", "%s", ended(status));
    CHILD(status, {
        filter(NONE, 0x12340000, 0);
        syscall(NONE);
    });
    SHOW("no such verdict", "%s", ended(status));
    CHILD(status, {
        filter(NONE, SECCOMP_RET_TRACE, 0);
        filter(NONE, KILL, 0);
        filter(NONE, SECCOMP_RET_ERRNO | 5, 0);
        syscall(NONE);
    });
    SHOW("the strictest counts", "%s", ended(status));
    CHILD(status, {
        filter(NONE, KILL, 0);
        int inner;
        CHILD(inner, {
            setenv("FILTERED", "1", 1);
            execl("/proc/self/exe", "seccomp", (char *)0);
        });
        SHOW("after fork and exec", "%s", ended(inner));
    });
    CHILD(status, { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); syscall(SYS_exit, 3); });
    SHOW("strict, exit", "%s", ended(status));
    CHILD(status, { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); syscall(SYS_getpid); });
    SHOW("strict, another call", "%s", ended(status));
    CHILD(status, { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); syscall(SYS_exit_group, 3); });
    SHOW("strict, exit_group", "%s", ended(status));
    CHILD(status, { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); prctl(PR_GET_SECCOMP); });
    SHOW("strict, asked for", "%s", ended(status));
}

/* What a filtered group has started. */
__attribute__((constructor(101))) static void filtered(void)
{
    if (getenv("FILTERED")) {
        syscall(NONE);
        _exit(98);
    }
}

/* What a filter says is the sum of two words of the arguments. */
GROUP(seccomp_arguments)
{
    int status;
    CHILD(status, {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NONE, 0, 7),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]) + 4),
            BPF_STMT(BPF_ST, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
            BPF_STMT(BPF_LDX | BPF_MEM, 3),
            BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
            BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
            BPF_STMT(BPF_RET | BPF_A, 0),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {COUNT(code), code};
        OK("set", seccomp(SECCOMP_SET_MODE_FILTER, 0, &program));
        ERR("high word of the second and low of the sixth", 30, syscall(NONE, 1, 20L << 32 | 5, 2, 3, 4, 9L << 32 | 10));
    });
}

GROUP(seccomp_program)
{
    static const struct {
        const char *name;
        unsigned short code;
        unsigned k;
    } instructions[] = {
        {"a word", BPF_LD | BPF_W | BPF_ABS, 60},
        {"a word outside", BPF_LD | BPF_W | BPF_ABS, 64},
        {"a word across two", BPF_LD | BPF_W | BPF_ABS, 2},
        {"a half", BPF_LD | BPF_H | BPF_ABS, 0},
        {"a byte", BPF_LD | BPF_B | BPF_ABS, 0},
        {"indirect", BPF_LD | BPF_W | BPF_IND, 0},
        {"header length", BPF_LDX | BPF_B | BPF_MSH, 0},
        {"the length", BPF_LD | BPF_W | BPF_LEN, 0},
        {"the length to x", BPF_LDX | BPF_W | BPF_LEN, 0},
        {"a constant", BPF_LD | BPF_W | BPF_IMM, 1},
        {"scratch not written", BPF_LD | BPF_W | BPF_MEM, 1},
        {"store", BPF_ST, 1},
        {"store far", BPF_ST, 16},
        {"rest", BPF_ALU | BPF_MOD | BPF_K, 3},
        {"quotient", BPF_ALU | BPF_DIV | BPF_K, 3},
        {"quotient of 0", BPF_ALU | BPF_DIV | BPF_K, 0},
        {"exclusive or", BPF_ALU | BPF_XOR | BPF_K, 3},
        {"negation", BPF_ALU | BPF_NEG, 0},
        {"to x", BPF_MISC | BPF_TAX, 0},
        {"shift by 32", BPF_ALU | BPF_LSH | BPF_K, 32},
        {"jump out", BPF_JMP | BPF_JA, 1},
        {"ancillary", BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF},
        {"no such", 0xffff, 0},
    };
    int status;
    for (unsigned i = 0; i < COUNT(instructions); i++)
        CHILD(status, {
            struct sock_filter code[] = {{instructions[i].code, 0, 0, instructions[i].k}, BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
            struct sock_fprog program = {2, code};
            errno = 0;
            long result = seccomp(SECCOMP_SET_MODE_FILTER, 0, &program);
            SHOW(instructions[i].name, "%ld %s", result, error_name(errno));
        });
    struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {0, &code};
    ERR("none", EINVAL, seccomp(SECCOMP_SET_MODE_FILTER, 0, &program));
    program.len = 4097;
    ERR("too many", EINVAL, seccomp(SECCOMP_SET_MODE_FILTER, 0, &program));
    program = (struct sock_fprog){1, BAD};
    ERR("at no address", EFAULT, seccomp(SECCOMP_SET_MODE_FILTER, 0, &program));
    CHILD(status, {
        static struct sock_filter much[4096];
        for (int i = 0; i < 4096; i++)
            much[i] = code;
        struct sock_fprog big = {4096, much};
        int n = 0;
        while (n < 100 && seccomp(SECCOMP_SET_MODE_FILTER, 0, &big) == 0)
            n++;
        SHOW("a chain of large ones", "%d %s", n, error_name(errno));
    });
}

static int go[2], done[2];
static int kind;
static volatile int told;

static void *other(void *unused)
{
    (void)unused;
    char c;
    if (kind == 2)
        filter(NONE, SECCOMP_RET_ERRNO | 8, 0);
    MUST(write(done[1], "r", 1) == 1);
    MUST(read(go[0], &c, 1) == 1);
    syscall(NONE);
    told = errno;
    MUST(write(done[1], "d", 1) == 1);
    return 0;
}

static void *dies(void *unused)
{
    (void)unused;
    syscall(NONE);
    _exit(1);
}

static void *adds(void *unused)
{
    (void)unused;
    OK("by another thread, for all", filter(NONE, SECCOMP_RET_ERRNO | 6, SECCOMP_FILTER_FLAG_TSYNC));
    return 0;
}

GROUP(seccomp_threads)
{
    int status;
    char c;
    pthread_t thread;
    CHILD(status, {
        filter(NONE, KILL, 0);
        pthread_create(&thread, 0, dies, 0);
        pthread_join(thread, 0);
        _exit(5);
    });
    SHOW("kill ends one thread", "%s", ended(status));
    CHILD(status, {
        filter(NONE, SECCOMP_RET_KILL_PROCESS, 0);
        pthread_create(&thread, 0, dies, 0);
        pthread_join(thread, 0);
        _exit(5);
    });
    SHOW("kill the process", "%s", ended(status));
    CHILD(status, {
        ERR("before", ENOSYS, syscall(NONE));
        pthread_create(&thread, 0, adds, 0);
        pthread_join(thread, 0);
        ERR("after", 6, syscall(NONE));
    });
    for (kind = 0; kind < 3; kind++)
        CHILD(status, {
            MUST(pipe(go) == 0 && pipe(done) == 0);
            pthread_create(&thread, 0, other, 0);
            MUST(read(done[0], &c, 1) == 1);
            long result = filter(NONE, SECCOMP_RET_ERRNO | 9, kind ? SECCOMP_FILTER_FLAG_TSYNC : 0);
            SHOW(named("filter %d", kind), "%s", result == 0 ? "0" : result > 0 && result != getpid() ? "the other thread" : "error");
            if (kind == 2)
                ERR("filter of another's own, as an error", ESRCH,
                    filter(NONE, SECCOMP_RET_ERRNO | 9, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH));
            MUST(write(go[1], "g", 1) == 1 && read(done[0], &c, 1) == 1);
            SHOW(named("what the other finds, %d", kind), "%s", error_name(told));
            pthread_join(thread, 0);
        });
}
