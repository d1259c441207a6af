/* mmap(2) and its kin: where maps may begin and end, what faults say, limits; stops and signals; programs that are no good ELF files. */
#include "case.h"
#include <elf.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>

#define MAP(address, length, prot, flags, fd, offset) (mmap((void *)(address), length, prot, flags, fd, offset))
#define MAPS(name, address, length, prot, flags, fd, offset)                                                                     \
    do {                                                                                                                         \
        errno = 0;                                                                                                               \
        void *at_ = MAP(address, length, prot, flags, fd, offset);                                                               \
        SHOW(name, "%s", at_ == MAP_FAILED ? strerrorname_np(errno) : "mapped");                                                 \
        if (at_ != MAP_FAILED)                                                                                                   \
            munmap(at_, length);                                                                                                 \
    } while (0)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static volatile int code_;
static void faulted(int n, siginfo_t *info, void *context)
{
    code_ = n * 100 + info->si_code;
    siglongjmp(back, 1);
}
static int fault_of(void *at, int how)
{
    struct sigaction action = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    code_ = 0;
    if (!sigsetjmp(back, 1)) {
        if (how == 'r')
            (void)*(volatile char *)at;
        else if (how == 'w')
            *(volatile char *)at = 1;
        else
            ((void (*)(void))at)();
    }
    return code_;
}

GROUP(maps_where)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644), reads = open("f", O_RDONLY), writes = open("f", O_WRONLY), path = open("f", O_PATH);
    MUST(ftruncate(fd, 2048) == 0);
    int zero = open("/dev/zero", O_RDWR), random = open("/dev/random", O_RDONLY), null = open("/dev/null", O_RDWR), dir = open(".", O_RDONLY);
    int efd = eventfd(0, 0), ep = epoll_create1(0), pipes[2];
    MUST(pipe(pipes) == 0);
    static const off_t offsets[] = {0x7fffffffffffe000, 0x7ffffffffffff000, -0x7fffffffffffffff - 1, -8192, -4096, 1, 40960};
    for (unsigned i = 0; i < COUNT(offsets); i++) {
        MAPS(named("a file, shared, offset %lx", offsets[i]), 0, 4096, PROT_READ, MAP_SHARED, fd, offsets[i]);
        MAPS(named("a file, two pages, offset %lx", offsets[i]), 0, 8192, PROT_READ, MAP_PRIVATE, fd, offsets[i]);
        MAPS(named("/dev/zero, offset %lx", offsets[i]), 0, 4096, PROT_READ, MAP_SHARED, zero, offsets[i]);
        MAPS(named("nothing, offset %lx", offsets[i]), 0, 4096, PROT_READ, ANON, -1, offsets[i]);
    }
    MAPS("/dev/random", 0, 4096, PROT_READ, MAP_PRIVATE, random, 0);
    MAPS("/dev/null", 0, 4096, PROT_READ, MAP_PRIVATE, null, 0);
    MAPS("a directory", 0, 4096, PROT_READ, MAP_PRIVATE, dir, 0);
    MAPS("an eventfd", 0, 4096, PROT_READ, MAP_PRIVATE, efd, 0);
    MAPS("an epoll", 0, 4096, PROT_READ, MAP_PRIVATE, ep, 0);
    MAPS("a pipe", 0, 4096, PROT_READ, MAP_PRIVATE, pipes[0], 0);
    MAPS("/dev/zero, odd length", 0, 6000, PROT_READ, MAP_SHARED, zero, 0);
    MAPS("no length", 0, 0, PROT_NONE, ANON, -1, 0);
    MAPS("no kind", 0, 4096, PROT_NONE, MAP_ANONYMOUS, -1, 0);
    MAPS("SHARED_VALIDATE of nothing", 0, 4096, PROT_NONE, MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MAPS("SHARED_VALIDATE, unknown", 0, 4096, PROT_READ, MAP_SHARED_VALIDATE | 0x800000, fd, 0);
    MAPS("a bad descriptor", 0, 4096, PROT_NONE, MAP_PRIVATE, 999, 0);
    MAPS("O_PATH", 0, 4096, PROT_READ, MAP_PRIVATE, path, 0);
    MAPS("only to write", 0, 4096, PROT_WRITE, MAP_SHARED, writes, 0);
    MAPS("shared, only to read", 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reads, 0);
    MAPS("private, only to read", 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, reads, 0);
    MAPS("too long", 0, 1ul << 47, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    MAPS("much too long", 0, -4095ul, PROT_NONE, ANON, -1, 0);
    MAPS("odd, fixed", 0x30000001, 4096, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    MAPS("odd, no replacing", 0x30000001, 4096, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    MAPS("odd hint", 0x30000001, 4096, PROT_NONE, ANON, -1, 0);
    MAPS("beyond the end", 0x7ffffffff000, 4096, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    MAPS("in the upper half", 0xffff800000000000, 4096, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    MAPS("hint in the upper half", 0xffff800000000000, 4096, PROT_NONE, ANON, -1, 0);
    EQ("fixed", 0x30000000, MAP(0x30000000, 4096, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0));
    *(int *)0x30000000 = 7;
    MAPS("there, no replacing", 0x30000000, 4096, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    MAPS("half there, no replacing", 0x2ffff000, 8192, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    MAPS("both", 0x30000000, 4096, PROT_NONE, ANON | MAP_FIXED | MAP_FIXED_NOREPLACE, -1, 0);
    EQ("still there", 7, *(int *)0x30000000);
    EQ("high", 0x300000000000, MAP(0x300000000000, 4096, PROT_NONE, ANON | MAP_FIXED, -1, 0));
    EQ("32 bits", 0, (unsigned long)MAP(0, 4096, PROT_NONE, ANON | MAP_32BIT, -1, 0) >> 31);
    ERR("mprotect, odd", EINVAL, mprotect((void *)0x30000001, 4095, PROT_READ));
    ERR("mprotect, huge", ENOMEM, mprotect((void *)0x30000000, -1, PROT_READ));
    OK("mprotect, none", mprotect((void *)0x30000000, 0, PROT_READ));
    ERR("mprotect, both ways", EINVAL, mprotect((void *)0x30000000, 4096, PROT_GROWSDOWN | PROT_GROWSUP));
    ERR("mprotect, down", EINVAL, mprotect((void *)0x30000000, 4096, PROT_READ | PROT_GROWSDOWN));
    ERR("munmap, odd", EINVAL, munmap((void *)0x30000001, 4096));
    ERR("munmap, none", EINVAL, munmap((void *)0x30000000, 0));
    ERR("munmap, huge", EINVAL, munmap((void *)0x30000000, -1ul));
    OK("munmap of nothing", munmap((void *)0x31000000, 4096));
    ERR("msync, flags", EINVAL, msync((void *)0x30000000, 4096, MS_SYNC | MS_ASYNC));
    ERR("msync, unknown", EINVAL, msync((void *)0x30000000, 4096, 8));
    ERR("msync, odd", EINVAL, msync((void *)0x30000001, 4096, MS_SYNC));
    ERR("msync of nothing", ENOMEM, msync((void *)0x31000000, 4096, MS_SYNC));
    OK("msync, no length", msync((void *)0x30000000, 0, MS_SYNC));
    unsigned char vector[4];
    ERR("mincore, odd", EINVAL, mincore((void *)0x30000001, 4096, vector));
    ERR("mincore of nothing", ENOMEM, mincore((void *)0x31000000, 4096, vector));
    ERR("mincore, huge", ENOMEM, mincore((void *)0x30000000, -1ul, vector));
    ERR("mincore, to nowhere", EFAULT, mincore((void *)0x30000000, 4096, 0));
    OK("mincore", mincore((void *)0x30000000, 4096, vector));
    EQ("resident", 1, vector[0] & 1);
}

GROUP(faults)
{
    char *none = mmap(0, 4096, PROT_NONE, ANON, -1, 0), *gone = mmap(0, 4096, PROT_READ, ANON, -1, 0);
    char *reads = mmap(0, 4096, PROT_READ, ANON, -1, 0), *writes = mmap(0, 4096, PROT_READ | PROT_WRITE, ANON, -1, 0);
    *writes = (char)0xc3;
    munmap(gone, 4096);
    for (int i = 0; i < 3; i++) {
        char how = "rwx"[i];
        SHOW(named("no access, %c", how), "%d", fault_of(none, how));
        SHOW(named("gone, %c", how), "%d", fault_of(gone, how));
        SHOW(named("to read, %c", how), "%d", fault_of(reads, how));
        SHOW(named("to write, %c", how), "%d", fault_of(writes, how));
        SHOW(named("no address, %c", how), "%d", fault_of((void *)0x8000000000000000, how));
        SHOW(named("low, %c", how), "%d", fault_of((void *)8, how));
    }
    mprotect(writes, 4096, PROT_NONE);
    SHOW("taken away", "%d", fault_of(writes, 'r'));
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    MUST(ftruncate(fd, 4096) == 0);
    char *file = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SHOW("a file", "%d", fault_of(file, 'w'));
    SHOW("behind a file", "%d", fault_of(file + 4096, 'r'));
    MUST(ftruncate(fd, 0) == 0);
    SHOW("cut", "%d", fault_of(file, 'r'));
    SHOW("cut, written", "%d", fault_of(file, 'w'));
    MUST(ftruncate(fd, 4096) == 0);
    SHOW("longer again", "%d %d", fault_of(file, 'r'), *file);
}

GROUP(stops)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    MUST(waitpid(pid, &status, WUNTRACED) == pid);
    YES("stopped", WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    OK("SIGTERM", kill(pid, SIGTERM));
    pause_ms(100);
    OK("still stopped", waitpid(pid, &status, WNOHANG));
    OK("SIGCONT", kill(pid, SIGCONT));
    MUST(waitpid(pid, &status, 0) == pid);
    EQ("ended", SIGTERM, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    MUST(waitpid(pid, &status, WUNTRACED) == pid);
    AS_NOBODY({
        ERR("another's SIGKILL", EPERM, kill(pid, SIGKILL));
        OK("another's SIGCONT", kill(pid, SIGCONT));
    });
    MUST(waitpid(pid, &status, 0) == pid);
    EQ("went on", 0, status);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    ERR("no such group", ESRCH, kill(-pid, SIGKILL));
    OK("a group", setpgid(pid, pid));
    OK("the same", setpgid(pid, pid));
    pid_t other = fork();
    if (other == 0)
        for (;;)
            pause();
    ERR("a group that is not there", EPERM, setpgid(pid, other));
    kill(other, SIGKILL);
    waitpid(other, 0, 0);
    OK("kill the group", kill(-pid, SIGKILL));
    EQ("wait for the group", pid == waitpid(-pid, &status, 0), 1);
    ERR("gone", ESRCH, kill(-pid, SIGKILL));
    ERR("nobody to wait for", ECHILD, waitpid(-pid, &status, 0));
    ERR("signal 200", EINVAL, kill(getpid(), 200));
    ERR("signal 65", EINVAL, kill(getpid(), 65));
}

static struct {
    Elf64_Ehdr header;
    Elf64_Phdr program[3];
    unsigned char code[64];
    char path[64];
} file_;

static void plain(void)
{
    memset(&file_, 0, sizeof file_);
    memcpy(file_.header.e_ident, ELFMAG, SELFMAG);
    file_.header.e_ident[EI_CLASS] = ELFCLASS64;
    file_.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file_.header.e_ident[EI_VERSION] = EV_CURRENT;
    file_.header.e_type = ET_EXEC;
    file_.header.e_machine = EM_X86_64;
    file_.header.e_version = EV_CURRENT;
    file_.header.e_phoff = offsetof(typeof(file_), program);
    file_.header.e_ehsize = sizeof(Elf64_Ehdr);
    file_.header.e_phentsize = sizeof(Elf64_Phdr);
    file_.header.e_phnum = 1;
    file_.header.e_entry = 0x40000 + offsetof(typeof(file_), code);
    file_.program[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W | PF_X, 0, 0x40000, 0x40000, sizeof file_, sizeof file_, 4096};
    static const unsigned char exits[] = {0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05};
    memcpy(file_.code, exits, sizeof exits);
}

static void interpreter(const char *path, size_t n)
{
    plain();
    file_.header.e_phnum = 2;
    file_.program[1] = (Elf64_Phdr){PT_INTERP, PF_R, offsetof(typeof(file_), path), 0, 0, n, n, 1};
    memcpy(file_.path, path, n);
}

static void put(size_t n, int mode)
{
    unlink("p");
    int fd = open("p", O_RDWR | O_CREAT, 0755);
    MUST(fd >= 0 && write(fd, &file_, n) == (ssize_t)n);
    fchmod(fd, mode);
    close(fd);
}

static const char *runs(size_t n, int mode)
{
    static char out[32];
    int status;
    put(n, mode);
    CHILD(status, {
        char *const none[] = {"p", 0};
        execve("./p", none, none + 1);
        _exit(errno);
    });
    if (WIFSIGNALED(status))
        sprintf(out, "signal %d", WTERMSIG(status));
    else
        sprintf(out, "%s", WEXITSTATUS(status) == 42 ? "runs" : strerrorname_np(WEXITSTATUS(status)));
    return out;
}
#define RUNS(name) SHOW(name, "%s", runs(sizeof file_, 0755))

GROUP(odd_programs)
{
    plain();
    RUNS("plain");
    SHOW("may not be executed", "%s", runs(sizeof file_, 0644));
    SHOW("magic alone", "%s", runs(4, 0755));
    SHOW("half a header", "%s", runs(32, 0755));
    SHOW("a header alone", "%s", runs(64, 0755));
    SHOW("no code", "%s", runs(sizeof file_.header + sizeof file_.program, 0755));
    plain();
    file_.header.e_phoff = 0x100000;
    RUNS("program headers beyond the end");
    plain();
    file_.header.e_phnum = 3;
    SHOW("a program header too many", "%s", runs(sizeof file_.header + 2 * sizeof(Elf64_Phdr), 0755));
    plain();
    file_.header.e_phnum = 0;
    RUNS("no program headers");
    plain();
    file_.header.e_phentsize = 57;
    RUNS("odd program headers");
    plain();
    file_.header.e_machine = EM_PPC64;
    RUNS("another machine");
    plain();
    file_.header.e_type = ET_REL;
    RUNS("an object");
    plain();
    file_.program[0].p_offset += 1;
    RUNS("an offset that does not fit");
    plain();
    file_.program[0].p_memsz = 16;
    RUNS("less memory than file");
    plain();
    file_.header.e_type = ET_DYN;
    file_.program[0].p_vaddr = 0xfffffffffffff000 - file_.program[0].p_memsz;
    RUNS("addresses that overflow");
    interpreter("/f/b\0", 5);
    RUNS("no interpreter");
    interpreter("/f/b", 4);
    RUNS("an interpreter without end");
    interpreter("", 1);
    RUNS("an interpreter of one byte");
    interpreter("\0", 2);
    RUNS("an interpreter without name");
    interpreter("/\0", 2);
    RUNS("an interpreter that is a directory");
    plain();
    file_.header.e_machine = EM_PPC64;
    file_.header.e_type = ET_DYN;
    put(sizeof file_, 0755);
    rename("p", "i");
    interpreter("i\0", 2);
    RUNS("an interpreter for another machine");
    plain();
    file_.header.e_type = ET_DYN;
    file_.program[0].p_vaddr = 0;
    file_.header.e_entry -= 0x40000;
    put(sizeof file_, 0755);
    rename("p", "i");
    interpreter("i\0", 2);
    RUNS("an interpreter by a relative path");
    chmod("i", 0644);
    RUNS("an interpreter that may not be executed");
    if (geteuid() == 0) {
        chmod("i", 0755);
        chmod(".", 0755);
        /* Stops itself instead, to be looked at. */
        plain();
        static const unsigned char stops[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc7, 0xbe, 19, 0, 0, 0, 0xb8, 62, 0, 0, 0, 0x0f, 0x05,
                                              0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05};
        file_.header.e_type = ET_DYN;
        file_.program[0].p_vaddr = 0;
        file_.header.e_entry -= 0x40000;
        memcpy(file_.code, stops, sizeof stops);
        put(sizeof file_, 0111);
        MUST(rename("p", "i") == 0);
        interpreter("i\0", 2);
        put(sizeof file_, 0755);
        for (int i = 0; i < 2; i++) {
            AS_NOBODY({
                char *const none[] = {"p", 0};
                prctl(PR_SET_DUMPABLE, 1);
                pid_t pid = fork();
                if (pid == 0) {
                    execve("./p", none, none + 1);
                    _exit(1);
                }
                int status;
                MUST(waitpid(pid, &status, WUNTRACED) == pid);
                SHOW(named("its interpreter may%s be read", i ? "" : " not"), "%s, memory %s", WIFSTOPPED(status) ? "stopped" : "ended",
                     open(named("/proc/%d/mem", pid), O_RDONLY) >= 0 ? "open" : strerrorname_np(errno));
                kill(pid, SIGKILL);
            });
            chmod("i", 0755);
        }
    }
}
