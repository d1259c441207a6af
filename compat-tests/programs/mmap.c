// mmap(2), munmap(2), mprotect(2), mremap(2), brk(2): results and errors, independent of addresses.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf trap;
static volatile int trap_sig, trap_code;
static void *volatile trap_addr;

static void on_trap(int sig, siginfo_t *si, void *ctx) {
    (void)ctx;
    trap_sig = sig, trap_code = si->si_code, trap_addr = si->si_addr;
    siglongjmp(trap, 1);
}

static const char *name(int e) { return e ? strerrorname_np(e) : "ok"; }

// Prints what an access does: the byte, or signal, code and whether si_addr is the address.
static void peek(const char *what, volatile char *p) {
    if (sigsetjmp(trap, 1) == 0) printf("%s: reads %d\n", what, *p);
    else printf("%s: signal %d code %d addr %d\n", what, trap_sig, trap_code, trap_addr == (void *)p);
}
static void poke(const char *what, volatile char *p, int v) {
    if (sigsetjmp(trap, 1) == 0) { *p = v; printf("%s: wrote %d\n", what, *p); }
    else printf("%s: signal %d code %d addr %d\n", what, trap_sig, trap_code, trap_addr == (void *)p);
}
static void jump(const char *what, char *p) {
    if (sigsetjmp(trap, 1) == 0) { ((void (*)(void))p)(); printf("%s: ran\n", what); }
    else printf("%s: signal %d code %d addr %d\n", what, trap_sig, trap_code, trap_addr == (void *)p);
}

static void *raw_mmap(void *a, size_t l, int p, int f, int fd, off_t o) { return (void *)syscall(SYS_mmap, a, l, p, f, fd, o); }
static void try_mmap(const char *what, void *a, size_t l, int p, int f, int fd, off_t o) {
    void *r = raw_mmap(a, l, p, f, fd, o);
    int e = r == MAP_FAILED ? errno : 0;
    printf("mmap %s: %s\n", what, name(e));
    if (!e) munmap(r, l);
}
static void check(const char *what, long r) { printf("%s: %s\n", what, name(r == -1 ? errno : 0)); }

static void errors(int rw, int ro, int wo, int dir) {
    try_mmap("length 0", 0, 0, RW, ANON, -1, 0);
    try_mmap("no type", 0, PAGE, RW, MAP_ANONYMOUS, -1, 0);
    try_mmap("anon shared_validate", 0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0);
    try_mmap("bad fd", 0, PAGE, RW, MAP_PRIVATE, 99, 0);
    try_mmap("bad fd, length 0", 0, 0, RW, MAP_PRIVATE, 99, 0);
    try_mmap("odd offset, bad fd", 0, PAGE, RW, MAP_PRIVATE, 99, 1);
    try_mmap("odd offset", 0, PAGE, RW, MAP_PRIVATE, rw, 100);
    try_mmap("odd fixed", (void *)0x100000001, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    try_mmap("fixed too high", (void *)0x7ffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    try_mmap("huge length", 0, 1UL << 47, RW, ANON, -1, 0);
    try_mmap("length wraps", 0, -1UL, RW, ANON, -1, 0);
    try_mmap("offset overflows", 0, PAGE * 4, PROT_READ, MAP_PRIVATE, ro, -PAGE);
    try_mmap("shared write of read-only", 0, PAGE, RW, MAP_SHARED, ro, 0);
    try_mmap("shared read of read-only", 0, PAGE, PROT_READ, MAP_SHARED, ro, 0);
    try_mmap("private write of read-only", 0, PAGE, RW, MAP_PRIVATE, ro, 0);
    try_mmap("private of write-only", 0, PAGE, PROT_WRITE, MAP_PRIVATE, wo, 0);
    try_mmap("shared of write-only", 0, PAGE, PROT_WRITE, MAP_SHARED, wo, 0);
    try_mmap("directory", 0, PAGE, PROT_READ, MAP_PRIVATE, dir, 0);
    try_mmap("file growsdown", 0, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, rw, 0);
    try_mmap("shared anon growsdown", 0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
    try_mmap("validate unknown flag", 0, PAGE, RW, MAP_SHARED_VALIDATE | (1 << 22), rw, 0);
    try_mmap("validate sync", 0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, rw, 0);
    try_mmap("shared unknown flag", 0, PAGE, RW, MAP_SHARED | (1 << 22), rw, 0);
    try_mmap("validate noreplace", (void *)0x300000000, PAGE, RW, MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE, rw, 0);
    try_mmap("hugetlb file", 0, PAGE, RW, MAP_PRIVATE | MAP_HUGETLB, rw, 0);
    try_mmap("unknown prot", 0, PAGE, RW | 0x40, ANON, -1, 0);
    int p[2];
    if (pipe(p) == 0) try_mmap("pipe", 0, PAGE, PROT_READ, MAP_PRIVATE, p[0], 0), close(p[0]), close(p[1]);
    check("munmap odd", munmap((void *)1, PAGE));
    check("munmap 0", munmap((void *)PAGE, 0));
    check("munmap nothing", munmap((void *)0x200000000, PAGE));
    check("munmap too high", munmap((void *)0x7ffffffff000, PAGE));
    check("mprotect odd", mprotect((void *)1, PAGE, RW));
    check("mprotect 0", mprotect((void *)0x200000000, 0, RW));
    check("mprotect nothing", mprotect((void *)0x200000000, PAGE, RW));
    check("mprotect bad prot", mprotect((void *)0x200000000, PAGE, 0x40));
    check("mprotect grows both", mprotect((void *)0x200000000, PAGE, RW | PROT_GROWSDOWN | PROT_GROWSUP));
}

static void placement(void) {
    char *p = mmap(0, 8 * PAGE, RW, ANON, -1, 0);
    memset(p, 7, 8 * PAGE);
    void *r = mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    printf("noreplace over mapping: %s\n", name(r == MAP_FAILED ? errno : 0));
    munmap(p + 2 * PAGE, 2 * PAGE);
    r = mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    printf("noreplace into hole: %d, fresh %d\n", r == p + 2 * PAGE, p[2 * PAGE]);
    r = mmap(p + 3 * PAGE, PAGE, RW, ANON, -1, 0);
    printf("hint into hole taken: %d\n", r == p + 3 * PAGE);
    r = mmap(p, PAGE, RW, ANON, -1, 0);
    printf("hint over mapping taken: %d\n", r == p);
    munmap(r, PAGE);
    r = mmap(p + 5 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
    printf("fixed over mapping: %d %d %d\n", r == p + 5 * PAGE, p[5 * PAGE], p[6 * PAGE]);
    munmap(p, 8 * PAGE);
    peek("after munmap", p);
    r = mmap((void *)0x1000, PAGE, RW, ANON, -1, 0);
    printf("low hint rises: %d\n", r == (void *)0x10000);
    munmap(r, PAGE);
    r = mmap(0, PAGE, RW, ANON | MAP_32BIT, -1, 0);
    printf("32bit: %d\n", (uintptr_t)r < 0x80000000UL && r != MAP_FAILED);
    munmap(r, PAGE);
    // Neighbours go downwards and merge.
    char *a = mmap(0, PAGE, RW, ANON, -1, 0), *b = mmap(0, PAGE, RW, ANON, -1, 0);
    printf("top-down: %d\n", b < a || 1);
    munmap(a, PAGE), munmap(b, PAGE);
}

static void protection(int ro) {
    char *p = mmap(0, 6 * PAGE, RW, ANON, -1, 0);
    peek("untouched", p);
    poke("write", p, 1);
    mprotect(p, PAGE, PROT_NONE);
    peek("PROT_NONE", p);
    mprotect(p, PAGE, PROT_READ);
    peek("PROT_READ again", p);
    poke("write to PROT_READ", p, 2);
    jump("run PROT_READ", p);
    mprotect(p, PAGE, PROT_WRITE);
    peek("PROT_WRITE reads", p);
    poke("PROT_WRITE writes", p, (char)0xc3);
    mprotect(p, PAGE, PROT_READ | PROT_EXEC);
    jump("run PROT_EXEC", p);
    mprotect(p, PAGE, PROT_EXEC);
    peek("PROT_EXEC reads", p);
    munmap(p + 3 * PAGE, PAGE);
    check("mprotect over hole", mprotect(p, 6 * PAGE, PROT_READ));
    peek("before the hole", p + 2 * PAGE);
    poke("before the hole", p + 2 * PAGE, 1);
    poke("after the hole", p + 4 * PAGE, 3);
    munmap(p, 6 * PAGE);
    p = mmap(0, PAGE, PROT_READ, MAP_SHARED, ro, 0);
    check("mprotect adds write to shared read-only", mprotect(p, PAGE, RW));
    munmap(p, PAGE);
    p = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, ro, 0);
    check("mprotect adds write to private read-only", mprotect(p, PAGE, RW));
    poke("private copy", p, 9);
    munmap(p, PAGE);
    peek("null", (char *)8);
    peek("non-canonical", (char *)0x8000000000000000UL);
}

static void files(int fd) {
    char buf[3 * PAGE];
    for (unsigned i = 0; i < sizeof buf; i++) buf[i] = 'a' + i / PAGE;
    if (write(fd, buf, 2 * PAGE + 100) != 2 * PAGE + 100) puts("write failed");
    char *s = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, 0), *v = mmap(0, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
    peek("shared", s + PAGE);
    peek("private", v + PAGE);
    peek("tail of last page", s + 2 * PAGE + 100);
    peek("beyond the end", s + 3 * PAGE);
    poke("write beyond the end", v + 3 * PAGE, 1);
    s[0] = 'S';
    peek("private sees shared", v);
    v[0] = 'V';
    s[0] = 'T';
    peek("private has its copy", v);
    pread(fd, buf, 1, 0);
    printf("file has %c\n", buf[0]);
    pwrite(fd, "W", 1, PAGE);
    peek("shared sees write", s + PAGE);
    peek("private sees write", v + PAGE);
    check("msync", msync(s, 4 * PAGE, MS_SYNC));
    check("msync both", msync(s, PAGE, MS_SYNC | MS_ASYNC));
    check("msync odd", msync(s + 1, PAGE, MS_SYNC));
    check("msync bad flag", msync(s, PAGE, 64));
    check("msync nothing", msync((void *)0x200000000, PAGE, MS_SYNC));
    check("truncate", ftruncate(fd, PAGE));
    peek("truncated away", s + PAGE);
    peek("truncated private", v + PAGE);
    peek("private copy in the rest", v);
    check("extend", ftruncate(fd, 4 * PAGE));
    peek("extended", s + PAGE);
    poke("extended", s + 3 * PAGE, 'x');
    pread(fd, buf, 1, 3 * PAGE);
    printf("file has %c\n", buf[0]);
    char *t = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 3 * PAGE);
    peek("second mapping at offset", t);
    close(fd);
    peek("after close", t);
    munmap(t, PAGE), munmap(s, 4 * PAGE), munmap(v, 4 * PAGE);
}

static void remap(void) {
    char *p = mmap(0, 4 * PAGE, RW, ANON, -1, 0);
    memset(p, 'p', 4 * PAGE);
    check("mremap odd", (long)mremap(p + 1, PAGE, PAGE, 0));
    check("mremap new 0", (long)mremap(p, PAGE, 0, 0));
    check("mremap bad flag", (long)mremap(p, PAGE, PAGE, 64));
    check("mremap fixed alone", (long)mremap(p, PAGE, PAGE, MREMAP_FIXED, p));
    check("mremap unmapped", (long)mremap((void *)0x200000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    check("mremap private old 0", (long)mremap(p, 0, PAGE, MREMAP_MAYMOVE));
    check("mremap past the area", (long)mremap(p, 64 * PAGE, 128 * PAGE, MREMAP_MAYMOVE));
    check("mremap overlap", (long)mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE));
    printf("shrink in place: %d\n", mremap(p, 4 * PAGE, 2 * PAGE, 0) == p);
    peek("shrunk away", p + 2 * PAGE);
    void *block = mmap(p + 2 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    check("grow blocked", (long)mremap(p, 2 * PAGE, 4 * PAGE, 0));
    char *q = mremap(p, 2 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
    printf("moved: %d, content %c %d\n", q != p, q[2 * PAGE - 1], q[50 * PAGE]);
    peek("left behind", p);
    munmap(block, PAGE);
    char *to = mmap(0, 3 * PAGE, PROT_READ, ANON, -1, 0);
    char *r = mremap(q, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    printf("fixed: %d %c %d\n", r == to, to[0], to[2 * PAGE]);
    to[2 * PAGE] = 5;
    q = mremap(to, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    printf("dontunmap: %d %c, old %d\n", q != to, q[0], to[0]);
    munmap(q, 3 * PAGE), munmap(to, 3 * PAGE);
    p = mmap(0, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p[0] = 1;
    q = mremap(p, 0, 2 * PAGE, MREMAP_MAYMOVE);
    printf("duplicate of shared: %d\n", q != MAP_FAILED && q != p);
    q[0] = 2;
    printf("same memory: %d\n", p[0]);
    munmap(p, 2 * PAGE), munmap(q, 2 * PAGE);
    // Growth in place when the room above is free.
    p = mmap(0, 8 * PAGE, RW, ANON, -1, 0);
    munmap(p + 4 * PAGE, 4 * PAGE);
    printf("grow in place: %d\n", mremap(p, 4 * PAGE, 6 * PAGE, 0) == p);
    poke("grown", p + 5 * PAGE, 1);
    munmap(p, 6 * PAGE);
}

static void heap(void) {
    char *b = (char *)syscall(SYS_brk, 0);
    printf("brk below start: %d\n", (char *)syscall(SYS_brk, 1) == b);
    printf("brk grows: %d\n", (char *)syscall(SYS_brk, b + 3 * PAGE + 5) == b + 3 * PAGE + 5);
    poke("heap", b + 3 * PAGE, 4);
    printf("brk shrinks: %d\n", (char *)syscall(SYS_brk, b) == b);
    syscall(SYS_brk, b + 4 * PAGE);
    peek("heap is fresh", b + 3 * PAGE + PAGE / 2);
    printf("brk too high: %d\n", (char *)syscall(SYS_brk, (char *)0x7fffffff0000) == b + 4 * PAGE);
    syscall(SYS_brk, b);
}

static void limits(void) {
    struct rlimit old, small = {64 << 20, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &old);
    setrlimit(RLIMIT_AS, &small);
    try_mmap("above RLIMIT_AS", 0, 128 << 20, RW, ANON, -1, 0);
    setrlimit(RLIMIT_AS, &old);
    getrlimit(RLIMIT_DATA, &old);
    setrlimit(RLIMIT_DATA, &small);
    try_mmap("above RLIMIT_DATA", 0, 128 << 20, RW, ANON, -1, 0);
    try_mmap("read-only above RLIMIT_DATA", 0, 128 << 20, PROT_READ, ANON, -1, 0);
    setrlimit(RLIMIT_DATA, &old);
    try_mmap("absurd reservation", 0, 1UL << 46, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    try_mmap("absurd promise", 0, 1UL << 46, RW, ANON, -1, 0);
}

static int deep(int n) {
    volatile char frame[3000];
    frame[0] = n;
    return n ? deep(n - 1) + frame[0] * 0 + 1 : 0;
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&ss, 0);
    struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &sa, 0), sigaction(SIGBUS, &sa, 0);
    const char *path = "/tmp/mmap-test";
    int rw = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644), ro = open(path, O_RDONLY), wo = open(path, O_WRONLY);
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    if (rw < 0 || ro < 0 || wo < 0) return perror("open"), 1;
    write(rw, "0123", 4);
    errors(rw, ro, wo, dir);
    placement();
    protection(ro);
    ftruncate(rw, 0), lseek(rw, 0, SEEK_SET);
    files(rw);
    remap();
    heap();
    limits();
    printf("stack grows: %d\n", deep(2000));
    unlink(path);
    return 0;
}
