/* execve(2) and what a program is: scripts, names, privileges, what others may see of it; exceptions and the FPU's state. */
#include "case.h"
#include <elf.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

static char self[PATH_MAX];

/* What this program does as another: argv[1] says what to print. */
static void shown(void)
{
    char text[512];
    int fd = open("/proc/self/cmdline", O_RDONLY), n = read(fd, text, sizeof text);
    char *at = text;
    if (n <= 0 || !(at = memchr(text, 0, n)))
        return;
    const char *what = at + 1;
    if (at + 1 >= text + n)
        return;
    if (!strncmp(what, "show-", 5)) {
        char name[32] = "";
        prctl(PR_GET_NAME, name);
        char *base = strrchr((char *)getauxval(AT_EXECFN), '/');
        printf("%.13s, execfn %s, dumpable %d, ids %d %d, secure %lu\n", name, base ? base + 1 : (char *)getauxval(AT_EXECFN),
               prctl(PR_GET_DUMPABLE), geteuid(), getegid(), getauxval(AT_SECURE));
        fflush(stdout);
        _exit(7);
    }
    if (!strncmp(what, "args", 4)) {
        for (char *p = text; p < text + n; p += strlen(p) + 1) {
            char *base = strrchr(p, '/');
            printf("[%s]", base ? base + 1 : p);
        }
        printf("\n");
        fflush(stdout);
        _exit(n ? 8 : 9);
    }
    if (!strncmp(what, "pause", 5)) {
        if (write(1, "x", 1) == 1)
            pause();
        _exit(1);
    }
}
__attribute__((constructor(101))) static void first(void)
{
    shown();
}

static int script(const char *path, const char *text, size_t n, int mode)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0755);
    MUST(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    fchmod(fd, mode);
    return close(fd);
}

static int copy_self(const char *path, int mode)
{
    int in = open("/proc/self/exe", O_RDONLY), out = open(path, O_RDWR | O_CREAT | O_TRUNC, 0755);
    char buffer[65536];
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
        MUST(write(out, buffer, n) == n);
    close(in);
    close(out);
    return chmod(path, mode);
}

/* Runs a program and answers what it wrote, with its status or why it could not be run. */
static const char *run(int dir, const char *path, char *const argv[], int flags, void (*before)(void))
{
    static char out[600];
    int ends[2];
    MUST(pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *const none[] = {0};
        dup2(ends[1], 1);
        if (before)
            before();
        syscall(SYS_execveat, dir, path, argv, none, flags);
        dprintf(1, "%s", strerrorname_np(errno));
        _exit(99);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t n; (n = read(ends[0], out + used, sizeof out - 20 - used)) > 0;)
        used += n;
    close(ends[0]);
    int status;
    MUST(waitpid(pid, &status, 0) == pid);
    while (used && out[used - 1] == '\n')
        used--;
    if (WIFSIGNALED(status))
        sprintf(out + used, ", signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 99)
        sprintf(out + used, ", %d", WEXITSTATUS(status));
    else
        out[used] = 0;
    return out;
}

static void nobody(void)
{
    MUST(setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
}
static void nobody_no_new(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    nobody();
}

GROUP(scripts)
{
    MUST(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    MUST(symlink(self, "prog") == 0);
    char *args[] = {"REPLACED", 0}, *none[] = {0}, *more[] = {"REPLACED", "1", "2", 0};
    char text[300];
#define SCRIPT(line) script("s", line, sizeof line - 1, 0755)
    SCRIPT("#!prog args foo");
    TEXT("one argument", "[prog][args foo][s][1][2], 8", run(AT_FDCWD, "./s", more, 0, 0));
    TEXT("argv[0] is lost", "[prog][args foo][s], 8", run(AT_FDCWD, "./s", args, 0, 0));
    TEXT("argv[0] is added", "[prog][args foo][s], 8", run(AT_FDCWD, "./s", none, 0, 0));
    SCRIPT("#!prog args\0bar\n");
    TEXT("NUL ends", "[prog][args][s], 8", run(AT_FDCWD, "./s", args, 0, 0));
    SCRIPT("#! \t prog \t args \t \n");
    TEXT("blanks", "[prog][args][s], 8", run(AT_FDCWD, "./s", args, 0, 0));
    SCRIPT("#!\n\n");
    TEXT("no path", "ENOEXEC", run(AT_FDCWD, "./s", args, 0, 0));
    SCRIPT("#!");
    TEXT("no path, no end", "EACCES", run(AT_FDCWD, "./s", args, 0, 0));
    SCRIPT("#!   ");
    TEXT("blanks alone", "EACCES", run(AT_FDCWD, "./s", args, 0, 0));
    SCRIPT("#!none\n");
    TEXT("no interpreter", "ENOENT", run(AT_FDCWD, "./s", args, 0, 0));
    SCRIPT("#!.\n");
    TEXT("a directory", "EACCES", run(AT_FDCWD, "./s", args, 0, 0));
    script("s", "#!prog show-1", 13, 0755);
    TEXT("names", "s, execfn s, dumpable 1, ids 0 0, secure 0, 7", run(AT_FDCWD, "./s", args, 0, 0));
    memset(text, 'a', sizeof text);
    memcpy(text, "#!prog args ", 12);
    script("s", text, 300, 0755);
    SHOW("a long line", "%zu", strlen(run(AT_FDCWD, "./s", args, 0, 0)));
    memcpy(text, "#!./progaaaaa", 13);
    script("s", text, 300, 0755);
    TEXT("a long path", "ENOEXEC", run(AT_FDCWD, "./s", args, 0, 0));
    for (int i = 1; i <= 7; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", i);
        snprintf(text, sizeof text, i == 1 ? "#!prog args" : "#!./n%d", i - 1);
        script(name, text, strlen(text), 0755);
    }
    SHOW("4 deep", "%s", run(AT_FDCWD, "./n4", args, 0, 0));
    SHOW("5 deep", "%s", run(AT_FDCWD, "./n5", args, 0, 0));
    SHOW("6 deep", "%s", run(AT_FDCWD, "./n6", args, 0, 0));
    SHOW("7 deep", "%s", run(AT_FDCWD, "./n7", args, 0, 0));
    script("n", "#!prog args", 11, 0644);
    TEXT("may not be executed", "EACCES", run(AT_FDCWD, "./n", args, 0, 0));
    copy_self("copy", 0644);
    script("n", "#!copy args", 11, 0755);
    TEXT("interpreter may not be executed", "EACCES", run(AT_FDCWD, "./n", args, 0, 0));
    char from[32] = "prog", to[32], script_to[32];
    for (int i = 0; i < 21; i++) {
        snprintf(to, sizeof to, "i%d", i);
        MUST(symlink(from, to) == 0);
        strcpy(from, to);
    }
    script("s", "#!i20 args", 10, 0755);
    strcpy(from, "s");
    for (int i = 0; i < 42; i++) {
        snprintf(script_to, sizeof script_to, "l%d", i);
        MUST(symlink(from, script_to) == 0);
        strcpy(from, script_to);
    }
    TEXT("links to it and to the interpreter", "[i20][args][l20], 8", run(AT_FDCWD, "./l20", args, 0, 0));
    TEXT("too many links", "ELOOP", run(AT_FDCWD, "./l41", args, 0, 0));
    int fd = open("s", O_RDONLY | O_CLOEXEC);
    TEXT("by a descriptor that closes", "ENOENT", run(fd, "", args, AT_EMPTY_PATH, 0));
    int dir = open(".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    TEXT("in a directory that closes", "ENOENT", run(dir, "s", args, 0, 0));
    int keeps = dup2(fd, 77), keeps_dir = dup2(dir, 78);
    TEXT("by a descriptor", "[i20][args][77], 8", run(keeps, "", args, AT_EMPTY_PATH, 0));
    TEXT("in a directory", "[i20][args][s], 8", run(keeps_dir, "s", args, 0, 0));
    script("t", "#!prog show-1", 13, 0755);
    int t = open("t", O_RDONLY);
    dup2(t, 79);
    TEXT("names by a descriptor", "program_rules, execfn 79, dumpable 1, ids 0 0, secure 0, 7", run(79, "", args, AT_EMPTY_PATH, 0));
    TEXT("a link, not followed", "ELOOP", run(AT_FDCWD, "prog", args, AT_SYMLINK_NOFOLLOW, 0));
    char *shows[] = {"x", "show-2", 0};
    copy_self("copy", 0755);
    int program = open("copy", O_RDONLY);
    dup2(program, 80);
    TEXT("a program by a descriptor", "copy, execfn 80, dumpable 1, ids 0 0, secure 0, 7", run(80, "", shows, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 0));
    TEXT("an absolute path, no directory", "EINVAL", run(-1, "", args, 0xffff, 0));
    TEXT("a file for a directory", "ENOTDIR", run(80, "copy", args, 0, 0));
    TEXT("a directory itself", "EACCES", run(78, "", args, AT_EMPTY_PATH, 0));
    TEXT("no path", "ENOENT", run(78, "", args, 0, 0));
}

GROUP(exec_privileges)
{
    if (geteuid() != 0)
        return;
    chmod(".", 0755);
    char *shows[] = {"x", "show-2", 0};
    copy_self("plain", 0755);
    copy_self("suid", 0755 | S_ISUID);
    copy_self("sgid", 0755 | S_ISGID);
    copy_self("unreadable", 0111);
    SHOW("set-user-ID", "%s", run(AT_FDCWD, "./suid", shows, 0, nobody));
    SHOW("set-group-ID", "%s", run(AT_FDCWD, "./sgid", shows, 0, nobody));
    SHOW("no new privileges", "%s", run(AT_FDCWD, "./suid", shows, 0, nobody_no_new));
    SHOW("without", "%s", run(AT_FDCWD, "./plain", shows, 0, nobody));
    SHOW("not readable", "%s", run(AT_FDCWD, "./unreadable", shows, 0, nobody));
    SHOW("not readable, root", "%s", run(AT_FDCWD, "./unreadable", shows, 0, 0));
    script("script", "#!./plain show-3", 16, 0111);
    SHOW("a script that is not readable", "%s", run(AT_FDCWD, "./script", shows, 0, nobody));
    script("script", "#!./unreadable show-3", 21, 0755);
    SHOW("a script's interpreter not readable", "%s", run(AT_FDCWD, "./script", shows, 0, nobody));
    script("script", "#!./plain show-3", 16, 0755 | S_ISUID);
    SHOW("set-user-ID of a script", "%s", run(AT_FDCWD, "./script", shows, 0, nobody));

    /* A file that runs is not written. */
    int ends[2];
    MUST(pipe(ends) == 0);
    char *pauses[] = {"x", "pause", 0}, *const none[] = {0};
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        execve("./plain", pauses, none);
        _exit(1);
    }
    char c;
    EQ("runs", 1, read(ends[0], &c, 1));
    ERR("open to write", ETXTBSY, open("plain", O_WRONLY));
    ERR("open to truncate", ETXTBSY, open("plain", O_RDONLY | O_TRUNC));
    ERR("truncate", ETXTBSY, truncate("plain", 0));
    OK("unlink", unlink("plain"));
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    int fd = open("suid", O_WRONLY);
    TEXT("open for writing", "ETXTBSY", run(AT_FDCWD, "./suid", shows, 0, 0));
    close(fd);

    /* The memory of a program that was, by a descriptor. */
    int mem = open("/proc/self/mem", O_RDONLY), ready[2], status;
    MUST(pipe2(ready, O_CLOEXEC) == 0);
    pid = fork();
    if (pid == 0) {
        close(ready[0]);
        int own = open("/proc/self/mem", O_RDONLY);
        pid_t child = fork();
        if (child == 0) {
            char text[8];
            if (read(ends[0], &c, 1) == 1)
                pause_ms(20);
            EQ("memory of what was", 0, pread(own, text, 4, (long)&status));
            _exit(0);
        }
        dup2(ends[1], 1);
        execve("./suid", pauses, none);
        _exit(1);
    }
    close(ready[1]);
    EQ("the reader ends", 0, read(ready[0], &c, 1));
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    YES("one's own memory", pread(mem, &c, 1, (long)&c) == 1);
    close(mem);
}

static void *sleeper(void *ready)
{
    *(volatile int *)ready = 1;
    for (;;)
        pause();
}

static char *const show_args[] = {"x", "show-2", 0};
static void *execs(void *unused)
{
    char *const none[] = {0};
    execve("/proc/self/exe", show_args, none);
    return 0;
}

GROUP(exec_threads)
{
    int status;
    for (int from_thread = 0; from_thread < 2; from_thread++) {
        CHILD(status, {
            int ready = 0;
            pthread_t thread;
            pthread_create(&thread, 0, sleeper, &ready);
            while (!*(volatile int *)&ready)
                sched_yield();
            if (from_thread) {
                pthread_t other;
                pthread_create(&other, 0, execs, 0);
                for (;;)
                    pause();
            }
            execs(0);
        });
        EQ(from_thread ? "from a thread" : "with a thread", 7, WEXITSTATUS(status));
    }
    int efd = eventfd(0, EFD_CLOEXEC), kept = eventfd(0, 0);
    YES("descriptors", efd >= 0 && kept >= 0);
}

#define DIES(name, signal_, ...)                                                                                                 \
    do {                                                                                                                         \
        int status_;                                                                                                             \
        CHILD(status_, { __VA_ARGS__; });                                                                                        \
        EQ(name, signal_, WIFSIGNALED(status_) ? WTERMSIG(status_) : 0);                                                         \
    } while (0)

static void code_exits(int n, siginfo_t *info, void *context)
{
    _exit(info->si_code == SI_KERNEL ? 100 : info->si_code);
}

#define CAUGHT(name, signal_, code, ...)                                                                                         \
    do {                                                                                                                         \
        int status_;                                                                                                             \
        CHILD(status_, {                                                                                                         \
            struct sigaction sa_ = {.sa_sigaction = code_exits, .sa_flags = SA_SIGINFO};                                         \
            sigaction(signal_, &sa_, 0);                                                                                         \
            __VA_ARGS__;                                                                                                         \
        });                                                                                                                      \
        EQ(name, code, WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_));                                          \
    } while (0)

GROUP(exceptions)
{
    static volatile int zero, one = 1, quotient;
    static const unsigned short control = 0x37f & ~4;
    DIES("hlt", SIGSEGV, asm volatile("hlt"));
    CAUGHT("hlt, code", SIGSEGV, 100, asm volatile("hlt"));
    CAUGHT("no address", SIGSEGV, 100, *(volatile char *)0x8000000000000000ul = 1);
    CAUGHT("no address, read", SIGSEGV, 100, (void)*(volatile char *)0x0000900000000000ul);
    CAUGHT("nothing there", SIGSEGV, SEGV_MAPERR, *(volatile char *)16 = 1);
    CAUGHT("read-only", SIGSEGV, SEGV_ACCERR, *(volatile char *)mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1);
    DIES("division", SIGFPE, quotient = one / zero);
    CAUGHT("division, code", SIGFPE, FPE_INTDIV, quotient = one / zero);
    asm volatile("fildl %1; fidivl %2; fistpl %0" : "=m"(quotient) : "m"(one), "m"(zero));
    EQ("x87, masked", -2147483648l, quotient);
    CAUGHT("x87, code", SIGFPE, FPE_FLTDIV,
           asm volatile("fldcw %0; fildl %1; fidivl %2; fistpl %3; fwait" : : "m"(control), "m"(one), "m"(zero), "m"(quotient)));
    unsigned now = 0;
    asm volatile("cvtsi2ssl %1, %%xmm0; cvtsi2ssl %2, %%xmm1; divss %%xmm1, %%xmm0; syscall; stmxcsr %0"
                 : "=m"(now)
                 : "m"(one), "m"(zero), "a"(SYS_getpid)
                 : "xmm0", "xmm1", "rcx", "r11");
    EQ("SSE over a call", 4, now & 4);
    DIES("int $3", SIGTRAP, asm volatile(".byte 0xcd, 3"));
    DIES("int3", SIGTRAP, asm volatile("int3"));
    CAUGHT("int3, code", SIGTRAP, 100, asm volatile("int3"));
    CAUGHT("ud2, code", SIGILL, ILL_ILLOPN, asm volatile("ud2"));
    DIES("alignment flag and hlt", SIGSEGV, asm volatile("sub $128, %%rsp; pushf; orl $0x40000, (%%rsp); popf; add $128, %%rsp; hlt" : : : "cc"));
    asm volatile("sub $128, %%rsp; pushf; orl $0x40000, (%%rsp); popf; pushf; andl $~0x40000, (%%rsp); popf; add $128, %%rsp" : : : "cc");
    DIES("trap flag", SIGTRAP, asm volatile("sub $128, %%rsp; pushf; orl $0x100, (%%rsp); popf; nop; nop; add $128, %%rsp" : : : "cc"));
    CAUGHT("trap flag, code", SIGTRAP, TRAP_TRACE, asm volatile("sub $128, %%rsp; pushf; orl $0x100, (%%rsp); popf; nop; nop; add $128, %%rsp" : : : "cc"));
    DIES("trap flag over a call", SIGTRAP, asm volatile("sub $128, %%rsp; pushf; orl $0x100, (%%rsp); popf; mov $39, %%eax; syscall; nop; add $128, %%rsp" : : : "cc", "rax", "rcx", "r11"));
}
