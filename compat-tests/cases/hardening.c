/* What must hold of memory and of addresses, as a program can see it: no writing to text, no running of data, guard pages, what is
 * random, and no address of the kernel in what system calls give. */
#include "case.h"
#include <setjmp.h>
#include <sys/auxv.h>

static sigjmp_buf back;
static void on_fault(int signal) { (void)signal; siglongjmp(back, 1); }
static int survives(void (*what)(void *), void *at)
{
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER | SA_ONSTACK};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    if (sigsetjmp(back, 1))
        return 0;
    what(at);
    return 1;
}
static void load(void *at) { (void)*(volatile char *)at; }
static void store(void *at) { *(volatile char *)at = 1; }
static void run(void *at) { ((void (*)(void))at)(); }
static const char constant[] = "constant";
static char data[4096] = {(char)0xc3};

GROUP(hardening)
{
    EQ("own text, written", 0, survives(store, (void *)(uintptr_t)survives));
    EQ("constants, written", 0, survives(store, (void *)constant));
    EQ("data, run", 0, survives(run, data));
    char stack[16] = {(char)0xc3};
    EQ("the stack, run", 0, survives(run, stack));
    char *heap = malloc(64);
    *heap = (char)0xc3;
    EQ("the heap, run", 0, survives(run, heap));
    void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
    EQ("the vDSO, read", 1, survives(load, vdso));
    EQ("the vDSO, written", 0, survives(store, vdso));
    ERR("the vDSO, written by a system call", EFAULT, ({ int z = open("/dev/zero", O_RDONLY); read(z, vdso, 1); }));
    uintptr_t pages[] = {0, 8, 0x1000, 0xffff};
    for (unsigned i = 0; i < COUNT(pages); i++)
        EQ(named("address %#lx, read", (long)pages[i]), 0, survives(load, (void *)pages[i]));
    uintptr_t kernel[] = {0xffffffff80000000, 0xffffffff80200000, 0xffffffff80400000, 0xffffffff81000000, 0xffff800000000000, 0xffff888000000000, 0xffffffffffffffff, 0x800000000000, 0xfff0000000000000};
    char byte = 0;
    int zero = open("/dev/zero", O_RDONLY), null = file_with("sink", "");
    for (unsigned i = 0; i < COUNT(kernel); i++) {
        ERR(named("%#lx, read into", (long)kernel[i]), EFAULT, syscall(SYS_read, zero, kernel[i], 1));
        ERR(named("%#lx, written from", (long)kernel[i]), EFAULT, syscall(SYS_write, null, kernel[i], 1));
        ERR(named("%#lx, mapped over", (long)kernel[i]), ENOMEM, mmap((void *)(kernel[i] & -4096), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
        ERR(named("%#lx, unmapped", (long)kernel[i]), EINVAL, munmap((void *)(kernel[i] & -4096), 4096));
        ERR(named("%#lx, unprotected", (long)kernel[i]), ENOMEM, mprotect((void *)(kernel[i] & -4096), 4096, PROT_READ | PROT_WRITE));
        struct iovec here = {&byte, 1}, there = {(void *)kernel[i], 1};
        ERR(named("%#lx, of another process", (long)kernel[i]), EFAULT, process_vm_readv(getpid(), &here, 1, &there, 1, 0));
    }
}

GROUP(guard_pages)
{
    static char other[65536];
    stack_t alternate = {other, 0, sizeof other};
    sigaltstack(&alternate, 0);
    pthread_attr_t attributes;
    void *stack;
    size_t size, guard;
    MUST(pthread_getattr_np(pthread_self(), &attributes) == 0 && pthread_attr_getstack(&attributes, &stack, &size) == 0);
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    EQ("far below the stack", 0, survives(load, (char *)__builtin_frame_address(0) - limit.rlim_cur - (1 << 20)));
    pthread_attr_init(&attributes);
    pthread_attr_getguardsize(&attributes, &guard);
    EQ("a thread's guard", 4096, guard);
}

/* What a new program says of an address of its own. */
static uintptr_t of_new_program(const char *what)
{
    int p[2];
    char text[64] = "";
    MUST(pipe(p) == 0);
    pid_t pid = fork();
    if (!pid) {
        dup2(p[1], 1);
        setenv("SHOW_ADDRESS", what, 1);
        execl("/proc/self/exe", "cases", "address", (char *)0);
        _exit(9);
    }
    close(p[1]);
    ssize_t n = 0, more;
    while ((more = read(p[0], text + n, sizeof text - 1 - n)) > 0)
        n += more;
    close(p[0]);
    waitpid(pid, 0, 0);
    char *at = strstr(text, "0x");
    return at ? strtoul(at, 0, 16) : 0;
}
__attribute__((constructor(101))) static void show_address(void)
{
    const char *what = getenv("SHOW_ADDRESS");
    if (!what)
        return;
    uintptr_t at = !strcmp(what, "stack") ? (uintptr_t)__builtin_frame_address(0)
                 : !strcmp(what, "map") ? (uintptr_t)mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                 : !strcmp(what, "break") ? (uintptr_t)sbrk(0)
                 : !strcmp(what, "vdso") ? getauxval(AT_SYSINFO_EHDR)
                                         : (uintptr_t)show_address;
    line("%#lx", (unsigned long)at);
    _exit(0);
}

GROUP(randomness)
{
    enum { TURNS = 24 };
    const char *what[] = {"stack", "map", "break", "vdso", "text"};
    for (unsigned w = 0; w < COUNT(what); w++) {
        uintptr_t seen[TURNS], changed = 0;
        int same = 0;
        for (int i = 0; i < TURNS; i++) {
            seen[i] = of_new_program(what[w]);
            changed |= seen[i] ^ seen[0];
            for (int j = 0; j < i; j++)
                same += seen[i] == seen[j];
        }
        YES(named("%s, found", what[w]), seen[0]);
        /* A program at a fixed address has its text there. */
        if (!strcmp(what[w], "text") && !changed)
            continue;
        YES(named("%s, hardly ever twice", what[w]), same <= 2);
        YES(named("%s, at least 12 bits change", what[w]), __builtin_popcountl(changed) >= 12);
    }
    char a[16], b[16];
    memcpy(a, (void *)getauxval(AT_RANDOM), 16);
    int same = 0;
    for (int i = 1; i < 16; i++)
        same += a[i] == a[0];
    YES("AT_RANDOM is random", same < 8);
    MUST(syscall(SYS_getrandom, b, 16, 0) == 16);
    YES("and nothing that getrandom gives again", memcmp(a, b, 16));
}

/* Whether a text holds what looks like an address of the kernel: sixteen hexadecimal digits from ffff8 up. */
static int has_kernel_address(const char *text, size_t n)
{
    for (size_t i = 0; i + 16 <= n; i++) {
        size_t digits = 0;
        while (digits < 16 && strchr("0123456789abcdef", text[i + digits]) && text[i + digits])
            digits++;
        if (digits == 16 && !strncmp(text + i, "ffff", 4) && strncmp(text + i, "ffffffffff600000", 16) && strncmp(text + i, "ffffffffff601000", 16) && strncmp(text + i, "ffffffffffffffff", 16))
            return 1;
    }
    return 0;
}
/* The same in binary. */
static int has_kernel_pointer(const void *bytes, size_t n)
{
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, (const char *)bytes + i, 8);
        if (word >= 0xffff800000000000 && word < 0xffffffffffff0000)
            return 1;
    }
    return 0;
}

GROUP(kernel_addresses)
{
    const char *files[] = {"maps", "smaps", "stat", "status", "statm", "auxv", "environ", "cmdline", "wchan", "syscall", "limits", "io", "mountinfo", "fdinfo/0", "sched", "schedstat", "numa_maps", "stack"};
    static char text[1 << 16];
    for (unsigned i = 0; i < COUNT(files); i++) {
        int fd = open(named("/proc/self/%s", files[i]), O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        YES(named("/proc/self/%s has none", files[i]), n <= 0 || (!has_kernel_address(text, n) && (strcmp(files[i], "auxv") || !has_kernel_pointer(text, n))));
        close(fd);
    }
    const char *system[] = {"version", "meminfo", "stat", "uptime", "cpuinfo", "filesystems", "mounts", "net/tcp", "net/udp", "net/unix", "net/route", "locks", "loadavg", "vmstat", "iomem", "kallsyms", "modules"};
    AS_NOBODY(for (unsigned i = 0; i < COUNT(system); i++) {
        int fd = open(named("/proc/%s", system[i]), O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        YES(named("/proc/%s has none", system[i]), n <= 0 || !has_kernel_address(text, n));
        close(fd);
    });
    struct stat st;
    memset(&st, 0x5a, sizeof st);
    MUST(stat("/proc/self/maps", &st) == 0);
    YES("stat has none", !has_kernel_pointer(&st, sizeof st));
    struct { siginfo_t info; char rest[64]; } s;
    memset(&s, 0, sizeof s);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, 0);
    raise(SIGUSR1);
    MUST(sigwaitinfo(&set, &s.info) == SIGUSR1);
    YES("siginfo has none", !has_kernel_pointer(&s, sizeof s));
    struct rusage usage;
    MUST(getrusage(RUSAGE_SELF, &usage) == 0);
    YES("rusage has none", !has_kernel_pointer(&usage, sizeof usage));
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int u = socket(AF_INET6, SOCK_DGRAM, 0);
    memset(&address, 0, sizeof address);
    MUST(getsockname(u, (struct sockaddr *)&address, &len) == 0);
    YES("a socket's name has none", !has_kernel_pointer(&address, sizeof address));
    unsigned char *page = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int used = 0;
    for (int i = 0; i < 1 << 20; i++)
        used |= page[i];
    EQ("new memory is clear", 0, used);
    int fd = file_with("a", "x");
    MUST(ftruncate(fd, 65536) == 0 && read(fd, text, sizeof text) == 65536);
    YES("so is a hole", !has_kernel_pointer(text + 8, 65528));
    char buffer[4096];
    memset(buffer, 0, sizeof buffer);
    int dir = open("/proc", O_RDONLY);
    long n = syscall(SYS_getdents64, dir, buffer, sizeof buffer);
    MUST(n > 0);
    int leaks = 0;
    for (long at = 0; at < n; at += *(unsigned short *)(buffer + at + 16))
        leaks += has_kernel_pointer(buffer + at + 16, *(unsigned short *)(buffer + at + 16) - 16);
    EQ("directory entries have none", 0, leaks);
}
