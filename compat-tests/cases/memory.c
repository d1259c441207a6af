/* Memory: mmap, munmap, mprotect, mremap, brk, madvise, mincore, msync, mlock and its kin, memfd_create, pkeys, membarrier. */
#include "case.h"
#include <setjmp.h>
#include <linux/membarrier.h>
#define P 4096L

static sigjmp_buf back;
static volatile int fault_signal, fault_code;
static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    fault_signal = signal, fault_code = info->si_code;
    siglongjmp(back, 1);
}
static void catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
}
/* How reading, writing or running at an address ends: "fine", or signal and code. */
static const char *touch(void *at, char how)
{
    if (sigsetjmp(back, 1) == 0) {
        if (how == 'r')
            (void)*(volatile char *)at;
        else if (how == 'w')
            *(volatile char *)at = 1;
        else
            ((void (*)(void))at)();
        return "fine";
    }
    return named("%s %d", fault_signal == SIGBUS ? "SIGBUS" : "SIGSEGV", fault_code);
}

GROUP(mmap)
{
    catch_faults();
    int fd = file_with("a", "0123456789"), ro = open("a", O_RDONLY), wo = open("a", O_WRONLY), dir = open(".", O_RDONLY);
#define MMAP(...) (mmap(__VA_ARGS__) == MAP_FAILED ? -1L : 0L)
    enum { R = PROT_READ, W = PROT_WRITE, X = PROT_EXEC, PR = MAP_PRIVATE, SH = MAP_SHARED, AN = MAP_ANONYMOUS };
    ERR("length 0", EINVAL, MMAP(0, 0, R, PR | AN, -1, 0));
    ERR("neither private nor shared", EINVAL, MMAP(0, P, R, AN, -1, 0));
    ERR("an odd offset", EINVAL, MMAP(0, P, R, PR, fd, 100));
    ERR("MAP_FIXED at an odd address", EINVAL, MMAP((void *)0x10001, P, R, PR | AN | MAP_FIXED, -1, 0));
    ERR("more than there are addresses", ENOMEM, MMAP(0, 1L << 48, R, PR | AN, -1, 0));
    ERR("a length that wraps", ENOMEM, MMAP(0, -P, R, PR | AN, -1, 0));
    ERR("the greatest length", ENOMEM, MMAP(0, -1, R, PR | AN, -1, 0));
    ERR("MAP_FIXED in the kernel", ENOMEM, MMAP(KERNEL, P, R, PR | AN | MAP_FIXED, -1, 0));
    ERR("no descriptor", EBADF, MMAP(0, P, R, PR, NOFD, 0));
    ERR("a file not open for reading", EACCES, MMAP(0, P, R, PR, wo, 0));
    ERR("shared writing of a read-only file", EACCES, MMAP(0, P, R | W, SH, ro, 0));
    OK("private writing of one", MMAP(0, P, R | W, PR, ro, 0));
    ERR("a directory", ENODEV, MMAP(0, P, R, PR, dir, 0));
    ERR("MAP_SHARED_VALIDATE, unknown flags", EOPNOTSUPP, MMAP(0, P, R, MAP_SHARED_VALIDATE | 0x800000, fd, 0));
    OK("MAP_SHARED_VALIDATE", MMAP(0, P, R, MAP_SHARED_VALIDATE, fd, 0));
    OK("MAP_NORESERVE", MMAP(0, 1L << 30, R | W, PR | AN | MAP_NORESERVE, -1, 0));
    OK("MAP_POPULATE", MMAP(0, 4 * P, R | W, PR | AN | MAP_POPULATE, -1, 0));
    OK("MAP_STACK and MAP_GROWSDOWN", MMAP(0, P, R | W, PR | AN | MAP_STACK | MAP_GROWSDOWN, -1, 0));
    char *low = mmap(0, P, R | W, PR | AN | MAP_32BIT, -1, 0);
    YES("MAP_32BIT", (uintptr_t)low < 1UL << 31);
    char *m = mmap(0, 3 * P, R | W, PR | AN, -1, 0);
    YES("new memory is zeroes", !m[0] && !m[2 * P]);
    YES("a hint that is taken is not used", mmap(m, P, R, PR | AN, -1, 0) != m);
    ERR("MAP_FIXED_NOREPLACE, taken", EEXIST, MMAP(m + P, P, R, PR | AN | MAP_FIXED_NOREPLACE, -1, 0));
    m[P] = 7;
    YES("MAP_FIXED replaces", mmap(m + P, P, R | W, PR | AN | MAP_FIXED, -1, 0) == m + P && m[P] == 0);
    MUST(munmap(m + P, P) == 0);
    YES("MAP_FIXED_NOREPLACE, free", mmap(m + P, P, R, PR | AN | MAP_FIXED_NOREPLACE, -1, 0) == m + P);
    struct { const char *name; int prot; } prots[] = {{"none", 0}, {"read", R}, {"read and write", R | W}, {"read and execute", R | X}, {"all", R | W | X}};
    for (unsigned i = 0; i < COUNT(prots); i++) {
        char *page = mmap(0, P, R | W, PR | AN, -1, 0);
        *page = (char)0xc3;
        MUST(mprotect(page, P, prots[i].prot) == 0);
        SHOW(named("%s, reading", prots[i].name), "%s", touch(page, 'r'));
        SHOW(named("%s, running", prots[i].name), "%s", touch(page, 'x'));
        SHOW(named("%s, writing", prots[i].name), "%s", touch(page, 'w'));
    }
    SHOW("NULL, reading", "%s", touch(NULL, 'r'));
    SHOW("the kernel, reading", "%s", touch((void *)0xffffffff80000000, 'r'));
    SHOW("the direct map, reading", "%s", touch((void *)0xffff888000000000, 'r'));
    SHOW("a non-canonical address, reading", "%s", touch((void *)0x8000000000000000, 'r'));
    char *f = mmap(0, 3 * P, R | W, SH, fd, 0);
    TEXT("a file", "0123456789", f);
    YES("zeroes behind its end", f[10] == 0 && f[P - 1] == 0);
    SHOW("a page behind its end", "%s", touch(f + P, 'r'));
    SHOW("a page behind its end, written", "%s", touch(f + 2 * P, 'w'));
    f[0] = 'x';
    char c;
    MUST(pread(fd, &c, 1, 0) == 1);
    EQ("shared writes reach the file", 'x', c);
    MUST(pwrite(fd, "y", 1, 1) == 1);
    EQ("and the other way round", 'y', f[1]);
    f[20] = 'z';
    EQ("writes behind the end do not make it longer", 10, lseek(fd, 0, SEEK_END));
    char *pr = mmap(0, P, R | W, PR, fd, 0);
    pr[2] = 'p';
    MUST(pread(fd, &c, 1, 2) == 1);
    EQ("private writes do not reach it", '2', c);
    MUST(ftruncate(fd, 0) == 0);
    SHOW("a file cut off", "%s", touch(f, 'r'));
    close(fd);
    int status;
    char *shared = mmap(0, P, R | W, SH | AN, -1, 0);
    CHILD(status, { shared[0] = 5; m[0] = 9; });
    EQ("shared memory is a child's too", 5, shared[0]);
    EQ("private memory is not", 0, m[0]);
    struct rlimit limit = {64 << 20, 64 << 20};
    MUST(setrlimit(RLIMIT_AS, &limit) == 0);
    ERR("beyond RLIMIT_AS", ENOMEM, MMAP(0, 128 << 20, R, PR | AN, -1, 0));
}

GROUP(munmap)
{
    catch_faults();
    char *m = mmap(0, 6 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK("the middle", munmap(m + 2 * P, P));
    SHOW("it is gone", "%s", touch(m + 2 * P, 'r'));
    SHOW("before it", "%s", touch(m + P, 'r'));
    SHOW("behind it", "%s", touch(m + 3 * P, 'r'));
    OK("again", munmap(m + 2 * P, P));
    OK("over the hole", munmap(m + P, 3 * P));
    OK("a length that is no multiple", munmap(m, 1));
    SHOW("takes the page", "%s", touch(m, 'r'));
    ERR("length 0", EINVAL, munmap(m, 0));
    ERR("an odd address", EINVAL, munmap(m + 1, P));
    ERR("beyond the address space", EINVAL, munmap(KERNEL, P));
    ERR("a length beyond it", EINVAL, munmap(m, LONG_MAX));
}

GROUP(mprotect)
{
    catch_faults();
    char *m = mmap(0, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    m[P] = 1;
    OK("a page to read-only", mprotect(m + P, P, PROT_READ));
    SHOW("writing", "%s", touch(m + P, 'w'));
    SHOW("reading", "%s", touch(m + P, 'r'));
    SHOW("the next one", "%s", touch(m + 2 * P, 'w'));
    OK("back", mprotect(m + P, P, PROT_READ | PROT_WRITE));
    SHOW("writing then", "%s", touch(m + P, 'w'));
    OK("length 0", mprotect(m, 0, PROT_READ));
    ERR("an odd address", EINVAL, mprotect(m + 1, P, PROT_READ));
    ERR("unknown bits", EINVAL, mprotect(m, P, 0x100));
    ERR("both ways of growing", EINVAL, mprotect(m, P, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP));
    ERR("PROT_GROWSDOWN of what does not grow", EINVAL, mprotect(m, P, PROT_READ | PROT_GROWSDOWN));
    MUST(munmap(m + 3 * P, P) == 0);
    ERR("what is not mapped", ENOMEM, mprotect(m + 3 * P, P, PROT_READ));
    ERR("partly mapped", ENOMEM, mprotect(m, 4 * P, PROT_READ));
    SHOW("what was mapped has changed", "%s", touch(m, 'w'));
    ERR("the kernel", ENOMEM, mprotect((void *)0xffffffff80000000, P, PROT_READ));
    close(file_with("a", "abc"));
    int ro = open("a", O_RDONLY);
    char *f = mmap(0, P, PROT_READ, MAP_SHARED, ro, 0);
    ERR("a shared mapping of a read-only file, to writing", EACCES, mprotect(f, P, PROT_READ | PROT_WRITE));
    f = mmap(0, P, PROT_READ, MAP_PRIVATE, ro, 0);
    OK("a private one", mprotect(f, P, PROT_READ | PROT_WRITE));
    ERR("a length that wraps", ENOMEM, mprotect(m, -P, PROT_READ));
}

GROUP(mremap)
{
    catch_faults();
#define MREMAP(...) (mremap(__VA_ARGS__) == MAP_FAILED ? -1L : 0L)
    char *m = mmap(0, 8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *to;
    m[0] = 'a', m[P] = 'b';
    YES("smaller stays", mremap(m, 8 * P, 4 * P, 0) == m);
    SHOW("what was cut off", "%s", touch(m + 4 * P, 'r'));
    YES("larger, there is room", mremap(m, 4 * P, 6 * P, 0) == m);
    EQ("new memory is zeroes", 0, m[5 * P]);
    MUST(mmap(m + 6 * P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m + 6 * P);
    ERR("larger, no room", ENOMEM, MREMAP(m, 6 * P, 7 * P, 0));
    to = mremap(m, 6 * P, 7 * P, MREMAP_MAYMOVE);
    YES("MREMAP_MAYMOVE moves", to != m && to[0] == 'a' && to[P] == 'b');
    SHOW("the old place is free", "%s", touch(m, 'r'));
    char *place = mmap(0, 8 * P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    YES("MREMAP_FIXED", mremap(to, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place && place[0] == 'a');
    SHOW("may be written there", "%s", touch(place, 'w'));
    SHOW("the rest of the old place stays", "%s", touch(to + 3 * P, 'r'));
    char *copy = mremap(place, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    YES("MREMAP_DONTUNMAP moves the contents", copy != MAP_FAILED && copy[P] == 'b');
    EQ("and leaves empty pages", 0, place[P]);
    ERR("an odd address", EINVAL, MREMAP(copy + 1, P, P, 0));
    ERR("new length 0", EINVAL, MREMAP(copy, P, 0, MREMAP_MAYMOVE));
    ERR("unknown flags", EINVAL, MREMAP(copy, P, P, 8));
    ERR("MREMAP_FIXED alone", EINVAL, MREMAP(copy, P, P, MREMAP_FIXED, place));
    ERR("MREMAP_FIXED to an odd address", EINVAL, MREMAP(copy, P, P, MREMAP_FIXED | MREMAP_MAYMOVE, place + 1));
    ERR("MREMAP_FIXED over itself", EINVAL, MREMAP(copy, 2 * P, 2 * P, MREMAP_FIXED | MREMAP_MAYMOVE, copy + P));
    ERR("MREMAP_DONTUNMAP with another length", EINVAL, MREMAP(copy, P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
    MUST(munmap(copy, 2 * P) == 0);
    ERR("not mapped", EFAULT, MREMAP(copy, P, 2 * P, MREMAP_MAYMOVE));
    ERR("old length 0 of private memory", EINVAL, MREMAP(to + 3 * P, 0, P, MREMAP_MAYMOVE));
    char *shared = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[0] = 's';
    char *twin = mremap(shared, 0, P, MREMAP_MAYMOVE);
    YES("old length 0 of shared memory is a second mapping", twin != MAP_FAILED && twin[0] == 's' && (shared[1] = 't') && twin[1] == 't');
}

GROUP(brk)
{
    catch_faults();
    char *end = (char *)syscall(SYS_brk, 0);
    YES("is somewhere", end);
    YES("grows", (char *)syscall(SYS_brk, end + 3 * P) == end + 3 * P);
    EQ("with zeroes", 0, end[2 * P]);
    end[2 * P] = 1;
    YES("shrinks", (char *)syscall(SYS_brk, end) == end);
    SHOW("what is gone", "%s", touch((char *)(((uintptr_t)end + P - 1) & -P) + P, 'r'));
    YES("grows again", (char *)syscall(SYS_brk, end + 3 * P) == end + 3 * P);
    EQ("with zeroes again", 0, end[2 * P]);
    YES("too far changes nothing", (char *)syscall(SYS_brk, -1) == end + 3 * P);
    YES("below the start changes nothing", (char *)syscall(SYS_brk, 1) == end + 3 * P);
    struct rlimit limit = {0, RLIM_INFINITY};
    MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
    YES("beyond RLIMIT_DATA changes nothing", (char *)syscall(SYS_brk, end + 64 * P) == end + 3 * P);
}

GROUP(madvise)
{
    char *m = mmap(0, 8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct { const char *name; int advice; } good[] = {
        {"MADV_NORMAL", 0}, {"MADV_RANDOM", 1}, {"MADV_SEQUENTIAL", 2}, {"MADV_WILLNEED", 3}, {"MADV_DONTNEED", 4}, {"MADV_FREE", 8}, {"MADV_DONTFORK", 10},
        {"MADV_DOFORK", 11}, {"MADV_HUGEPAGE", 14}, {"MADV_NOHUGEPAGE", 15}, {"MADV_DONTDUMP", 16}, {"MADV_DODUMP", 17}, {"MADV_WIPEONFORK", 18},
        {"MADV_KEEPONFORK", 19}, {"MADV_COLD", 20}, {"MADV_PAGEOUT", 21}, {"MADV_POPULATE_READ", 22}, {"MADV_POPULATE_WRITE", 23},
    };
    for (unsigned i = 0; i < COUNT(good); i++)
        OK(good[i].name, madvise(m, 2 * P, good[i].advice));
    m[0] = 1;
    MUST(madvise(m, P, MADV_DONTNEED) == 0);
    EQ("MADV_DONTNEED forgets", 0, m[0]);
    m[P] = 2;
    MUST(madvise(m + P, P, MADV_WIPEONFORK) == 0 && madvise(m + 2 * P, P, MADV_DONTFORK) == 0);
    int status;
    CHILD(status, EQ("MADV_WIPEONFORK in a child", 0, m[P]));
    CHILD(status, ERR("MADV_DONTFORK in a child", ENOMEM, mprotect(m + 2 * P, P, PROT_READ)));
    EQ("ours stays", 2, m[P]);
    ERR("an odd address", EINVAL, madvise(m + 1, P, MADV_NORMAL));
    ERR("unknown advice", EINVAL, madvise(m, P, 1000));
    OK("length 0", madvise(m, 0, MADV_DONTNEED));
    MUST(munmap(m + 4 * P, P) == 0);
    ERR("a hole", ENOMEM, madvise(m + 3 * P, 3 * P, MADV_DONTNEED));
    ERR("a length that wraps", EINVAL, madvise(m, -P, MADV_NORMAL));
    int fd = file_with("a", "abc");
    char *shared = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ERR("MADV_FREE of a file", EINVAL, madvise(shared, P, MADV_FREE));
    ERR("MADV_WIPEONFORK of a file", EINVAL, madvise(shared, P, MADV_WIPEONFORK));
    OK("MADV_DONTNEED of a file", madvise(shared, P, MADV_DONTNEED));
    EQ("keeps it", 'a', shared[0]);
    MUST(mprotect(m, P, PROT_READ) == 0);
    ERR("MADV_POPULATE_WRITE of what is read-only", EINVAL, madvise(m, P, MADV_POPULATE_WRITE));
}

GROUP(mincore)
{
    unsigned char in[8] = {0};
    char *m = mmap(0, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(madvise(m, 4 * P, MADV_NOHUGEPAGE) == 0);
    m[P] = 1;
    OK("memory", mincore(m, 4 * P, in));
    SHOW("which pages are there", "%d%d%d%d", in[0] & 1, in[1] & 1, in[2] & 1, in[3] & 1);
    ERR("an odd address", EINVAL, mincore(m + 1, P, in));
    ERR("into nowhere", EFAULT, mincore(m, P, BAD));
    MUST(munmap(m + 2 * P, P) == 0);
    ERR("a hole", ENOMEM, mincore(m, 4 * P, in));
    OK("length 0", mincore(m, 0, in));
    ERR("the kernel", ENOMEM, mincore(KERNEL, P, in));
}

GROUP(msync)
{
    int fd = file_with("a", "abc");
    char *m = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int flags = 0; flags < 8; flags++)
        if ((flags & 5) == 5)
            ERR(named("flags %d", flags), EINVAL, msync(m, P, flags));
        else
            OK(named("flags %d", flags), msync(m, P, flags));
    ERR("unknown flags", EINVAL, msync(m, P, 8));
    ERR("an odd address", EINVAL, msync(m + 1, P, MS_SYNC));
    OK("length 0", msync(m, 0, MS_SYNC));
    MUST(munmap(m, P) == 0);
    ERR("not mapped", ENOMEM, msync(m, P, MS_SYNC));
}

GROUP(mlock)
{
    char *m = mmap(0, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char in[4];
    OK("memory", mlock(m, 2 * P));
    MUST(mincore(m, 4 * P, in) == 0);
    YES("is there then", in[0] & 1 && in[1] & 1);
    OK("length 0", mlock(m, 0));
    OK("an odd address", mlock(m + 1, 1));
    MUST(munmap(m + 3 * P, P) == 0);
    ERR("a hole", ENOMEM, mlock(m, 4 * P));
    ERR("a length that wraps", EINVAL, mlock(m, -P));
    ERR("MADV_DONTNEED of what is locked", EINVAL, madvise(m, P, MADV_DONTNEED));
    OK("munlock", munlock(m, 2 * P));
    AS_NOBODY({
        struct rlimit limit = {2 * P, 2 * P};
        MUST(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
        munlockall();
        ERR("beyond RLIMIT_MEMLOCK", ENOMEM, mlock(m, 3 * P));
        limit.rlim_cur = limit.rlim_max = 0;
        MUST(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
        ERR("RLIMIT_MEMLOCK of 0", EPERM, mlock(m, P));
    });
}

GROUP(mlock2)
{
    char *m = mmap(0, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK("no flags", syscall(SYS_mlock2, m, P, 0));
    OK("MLOCK_ONFAULT", syscall(SYS_mlock2, m, P, 1));
    ERR("unknown flags", EINVAL, syscall(SYS_mlock2, m, P, 2));
}

GROUP(munlock)
{
    char *m = mmap(0, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK("what is not locked", munlock(m, P));
    MUST(munmap(m + P, P) == 0);
    ERR("a hole", ENOMEM, munlock(m, 2 * P));
}

GROUP(mlockall)
{
    OK("MCL_CURRENT", mlockall(MCL_CURRENT));
    OK("MCL_FUTURE", mlockall(MCL_FUTURE));
    ERR("no flags", EINVAL, mlockall(0));
    ERR("MCL_ONFAULT alone", EINVAL, mlockall(4));
    ERR("unknown flags", EINVAL, mlockall(8));
}
GROUP(munlockall) { OK("always", munlockall()); }

GROUP(memfd_create)
{
    int fd = memfd_create("name", 0);
    YES("made", fd >= 0);
    EQ("empty", 0, lseek(fd, 0, SEEK_END));
    EQ("written", 3, write(fd, "abc", 3));
    char text[64] = "";
    MUST(readlink(named("/proc/self/fd/%d", fd), text, 63) > 0);
    TEXT("its name", "/memfd:name (deleted)", text);
    EQ("no seals may be added", F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
    ERR("so none are", EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    fd = memfd_create("s", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    EQ("MFD_CLOEXEC", FD_CLOEXEC, fcntl(fd, F_GETFD));
    EQ("MFD_ALLOW_SEALING", 0, fcntl(fd, F_GET_SEALS));
    MUST(ftruncate(fd, 100) == 0);
    OK("F_SEAL_SHRINK", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    ERR("it does not shrink", EPERM, ftruncate(fd, 50));
    OK("it grows", ftruncate(fd, 200));
    OK("F_SEAL_GROW", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    ERR("it does not grow", EPERM, ftruncate(fd, 300));
    ERR("nor by writing", EPERM, pwrite(fd, "x", 1, 250));
    char *m = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ERR("F_SEAL_WRITE while mapped for writing", EBUSY, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    MUST(munmap(m, P) == 0);
    OK("F_SEAL_WRITE", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    ERR("it is not written", EPERM, pwrite(fd, "x", 1, 0));
    ERR("nor mapped for writing", EPERM, mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    OK("but privately", mmap(0, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
    EQ("all seals", F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, fcntl(fd, F_GET_SEALS));
    OK("F_SEAL_SEAL", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    ERR("no more then", EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    ERR("unknown seals", EINVAL, fcntl(memfd_create("t", MFD_ALLOW_SEALING), F_ADD_SEALS, 0x1000));
    ERR("unknown flags", EINVAL, memfd_create("s", 0x100));
    ERR("a name nowhere", EFAULT, syscall(SYS_memfd_create, BAD, 0));
    static char name[300];
    memset(name, 'n', 249);
    YES("a name of 249 bytes", memfd_create(name, 0) >= 0);
    name[249] = 'n';
    ERR("a name of 250 bytes", EINVAL, memfd_create(name, 0));
    int file = file_with("a", "");
    SHOW("F_GET_SEALS of a pipe", "%s", ({ int p[2]; pipe(p); fcntl(p[0], F_GET_SEALS) < 0 ? error_name(errno) : "?"; }));
    close(file);
}

GROUP(membarrier)
{
#define membarrier(...) syscall(SYS_membarrier, __VA_ARGS__)
    long all = membarrier(MEMBARRIER_CMD_QUERY, 0);
    int wanted[] = {MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
                    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE};
    for (unsigned i = 0; i < COUNT(wanted); i++)
        YES(named("command %d is there", wanted[i]), all & wanted[i]);
    ERR("private, before registering", EPERM, membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
    ERR("sync core, before registering", EPERM, membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0));
    OK("registering", membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0));
    OK("private", membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
    OK("registering for sync core", membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0));
    OK("sync core", membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0));
    OK("global", membarrier(MEMBARRIER_CMD_GLOBAL, 0));
    OK("global expedited", membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0));
    ERR("flags", EINVAL, membarrier(MEMBARRIER_CMD_GLOBAL, 2));
    ERR("an unknown command", EINVAL, membarrier(1 << 20, 0));
}

GROUP(process_vm_readv)
{
    char from[] = "0123456789", text[16] = "";
    struct iovec local = {text, 10}, remote = {from, 10}, bad = {BAD, 4}, two[] = {{text, 3}, {text + 3, 7}};
    pid_t me = getpid();
    EQ("our own memory", 10, process_vm_readv(me, &local, 1, &remote, 1, 0));
    TEXT("arrives", "0123456789", text);
    EQ("scattered", 10, process_vm_readv(me, two, 2, &remote, 1, 0));
    ERR("remote nowhere", EFAULT, process_vm_readv(me, &local, 1, &bad, 1, 0));
    ERR("local nowhere", EFAULT, process_vm_readv(me, &bad, 1, &remote, 1, 0));
    ERR("flags", EINVAL, process_vm_readv(me, &local, 1, &remote, 1, 1));
    ERR("no such process", ESRCH, process_vm_readv(0x3fffff, &local, 1, &remote, 1, 0));
    EQ("no vectors", 0, process_vm_readv(me, &local, 0, &remote, 1, 0));
    ERR("too many vectors", EINVAL, process_vm_readv(me, &local, 1, &remote, 1025, 0));
    AS_NOBODY(ERR("another's", EPERM, process_vm_readv(me, &local, 1, &remote, 1, 0)));
}

GROUP(process_vm_writev)
{
    char to[] = "..........", text[] = "0123456789";
    struct iovec local = {text, 10}, remote = {to, 10}, bad = {BAD, 4};
    EQ("our own memory", 10, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
    TEXT("arrives", "0123456789", to);
    ERR("remote nowhere", EFAULT, process_vm_writev(getpid(), &local, 1, &bad, 1, 0));
    ERR("no such process", ESRCH, process_vm_writev(0x3fffff, &local, 1, &remote, 1, 0));
    char *page = edge_page(PROT_READ);
    struct iovec ro = {page, 4};
    ERR("read-only memory", EFAULT, process_vm_writev(getpid(), &local, 1, &ro, 1, 0));
}
