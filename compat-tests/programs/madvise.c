// madvise(2), mincore(2), mlock(2) family, shared memory: results and errors.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static void check(const char *what, long r) { printf("%s: %s\n", what, r == -1 ? strerrorname_np(errno) : "ok"); }

static void core(const char *what, void *p, int n) {
    unsigned char v[16] = {0};
    long r = mincore(p, n * PAGE, v);
    printf("%s:", what);
    if (r) printf(" %s", strerrorname_np(errno));
    else for (int i = 0; i < n; i++) printf(" %d", v[i] & 1);
    puts("");
}

static long field(const char *file, const char *key) {
    char line[256];
    FILE *f = fopen(file, "r");
    long v = -1;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) v = atol(line + strlen(key));
    if (f) fclose(f);
    return v;
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    char *p = mmap(0, 8 * PAGE, RW, ANON, -1, 0);
    core("untouched", p, 8);
    p[0] = 1, p[3 * PAGE] = 3;
    core("two touched", p, 8);
    check("dontneed", madvise(p, PAGE, MADV_DONTNEED));
    printf("after dontneed: %d %d\n", p[0], p[3 * PAGE]);
    check("populate write", madvise(p, 8 * PAGE, MADV_POPULATE_WRITE));
    core("populated", p, 8);
    check("odd", madvise(p + 1, PAGE, MADV_DONTNEED));
    check("unknown", madvise(p, PAGE, 77));
    check("length 0", madvise(p, 0, MADV_DONTNEED));
    check("wraps", madvise(p, -2 * PAGE, MADV_DONTNEED));
    munmap(p + 4 * PAGE, PAGE);
    check("over a hole", madvise(p, 8 * PAGE, MADV_DONTNEED));
    core("both sides advised", p, 4);
    core("hole", p, 8);
    check("populate over a hole", madvise(p, 8 * PAGE, MADV_POPULATE_READ));
    mprotect(p, PAGE, PROT_READ);
    check("populate write of read-only", madvise(p, PAGE, MADV_POPULATE_WRITE));
    int all[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_FREE, MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE,
                 MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        char what[32];
        sprintf(what, "advice %d", all[i]);
        check(what, madvise(p, 2 * PAGE, all[i]));
    }
    check("remove anonymous", madvise(p, PAGE, MADV_REMOVE));
    check("mincore odd", mincore(p + 1, PAGE, (unsigned char *)&all));
    check("mincore bad vector", mincore(p, PAGE, (unsigned char *)8));

    check("mlock", mlock(p, 2 * PAGE));
    core("locked", p, 2);
    check("dontneed of locked", madvise(p, PAGE, MADV_DONTNEED));
    check("munlock", munlock(p, 2 * PAGE));
    check("mlock hole", mlock(p + 3 * PAGE, 3 * PAGE));
    check("mlock wraps", mlock(p, -2 * PAGE));
    check("mlock2 onfault", syscall(SYS_mlock2, p, PAGE, 1));
    check("mlock2 bad flag", syscall(SYS_mlock2, p, PAGE, 2));
    check("mlockall 0", mlockall(0));
    check("mlockall onfault alone", mlockall(4));
    check("munlockall", munlockall());
    munmap(p, 8 * PAGE);

    int fd = memfd_create("m", MFD_ALLOW_SEALING);
    check("memfd", fd);
    ftruncate(fd, 4 * PAGE);
    char *s = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, 0), *r = mmap(0, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    memset(s, 's', 4 * PAGE);
    check("seal write while mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    check("remove", madvise(s + PAGE, PAGE, MADV_REMOVE));
    printf("punched: %d %d %d\n", r[0], r[PAGE], r[2 * PAGE]);
    check("dontneed shared", madvise(s, 4 * PAGE, MADV_DONTNEED));
    printf("still there: %c\n", s[0]);
    check("free of file", madvise(s, PAGE, MADV_FREE));
    check("wipeonfork of shared", madvise(s, PAGE, MADV_WIPEONFORK));
    munmap(s, 4 * PAGE);
    munmap(r, 4 * PAGE);
    check("seal write", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    s = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    check("map sealed writable", s == MAP_FAILED ? -1 : 0);
    s = mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0), r = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    check("map sealed shared read-only", r == MAP_FAILED ? -1 : 0);
    check("mprotect sealed", mprotect(r, PAGE, RW));
    s[0] = 'q';
    printf("private of sealed: %c %c\n", s[0], r[0]);
    munmap(r, PAGE);

    // Large areas, touched here and there.
    size_t big = 64 << 20;
    char *b = mmap(0, big, RW, ANON | MAP_NORESERVE, -1, 0);
    for (size_t i = 0; i < big; i += 1 << 20) b[i] = i >> 20;
    int bad = 0;
    for (size_t i = 0; i < big; i += 1 << 20) bad += b[i] != (char)(i >> 20);
    printf("sparse: %d\n", bad);
    munmap(b, big);
    char *h = mmap(0, 8 << 20, RW, ANON, -1, 0);
    madvise(h, 8 << 20, MADV_HUGEPAGE);
    memset(h, 'h', 8 << 20);
    mprotect(h + (3 << 20), PAGE, PROT_READ);
    madvise(h + (4 << 20) + PAGE, PAGE, MADV_DONTNEED);
    munmap(h + (5 << 20), PAGE);
    h[(3 << 20) + PAGE] = 'i';
    printf("large pages cut: %c %c %d %c\n", h[3 << 20], h[(3 << 20) + PAGE], h[(4 << 20) + PAGE], h[(5 << 20) + PAGE]);
    char *m = mremap(h + PAGE, 2 << 20, 3 << 20, MREMAP_MAYMOVE);
    printf("large pages moved: %d\n", m != MAP_FAILED && m[0] == 'h' && m[(2 << 20) - 1] == 'h' && m[2 << 20] == 0);

    char from[6] = "hello", to[6] = "";
    struct iovec local = {to, 5}, remote = {from, 5}, two[2] = {{to, 5}, {(void *)8, 5}};
    printf("process_vm_readv: %zd %s\n", process_vm_readv(getpid(), &local, 1, &remote, 1, 0), to);
    from[0] = 'j';
    printf("process_vm_writev: %zd %s\n", process_vm_writev(getpid(), &(struct iovec){from, 5}, 1, &(struct iovec){to, 5}, 1, 0), to);
    printf("partial: %zd\n", process_vm_readv(getpid(), &(struct iovec){from, 10}, 1, two, 2, 0));
    check("process_vm flags", process_vm_readv(getpid(), &local, 1, &remote, 1, 1));
    check("process_vm bad remote", process_vm_readv(getpid(), &local, 1, &(struct iovec){(void *)8, 4}, 1, 0));
    check("process_vm no process", process_vm_readv(999999, &local, 1, &remote, 1, 0));

    check("pkey_mprotect -1", syscall(SYS_pkey_mprotect, s, PAGE, PROT_READ, -1));
    check("pkey_mprotect 5", syscall(SYS_pkey_mprotect, s, PAGE, PROT_READ, 5));
    check("pkey_free 3", syscall(SYS_pkey_free, 3));
    check("membarrier query", syscall(SYS_membarrier, 0, 0, 0) < 0 ? -1 : 0);
    check("membarrier private unregistered", syscall(SYS_membarrier, 8, 0, 0));
    check("membarrier register", syscall(SYS_membarrier, 16, 0, 0));
    check("membarrier private", syscall(SYS_membarrier, 8, 0, 0));
    check("membarrier bad", syscall(SYS_membarrier, 3, 0, 0));
    check("membarrier bad flag", syscall(SYS_membarrier, 0, 9, 0));
    int mode = -1;
    unsigned long mask[16] = {0};
    check("get_mempolicy", syscall(SYS_get_mempolicy, &mode, mask, 1024, 0, 0));
    printf("policy %d mask %lu\n", mode, mask[0]);
    check("set_mempolicy", syscall(SYS_set_mempolicy, 0, 0, 0));
    check("set_mempolicy bad", syscall(SYS_set_mempolicy, 99, 0, 0));
    check("mbind odd", syscall(SYS_mbind, s + 1, PAGE, 0, 0, 0, 0));
    check("mbind default", syscall(SYS_mbind, s, PAGE, 0, 0, 0, 0));
    printf("status knows VmRSS: %d\n", field("/proc/self/status", "VmRSS:") > 0);
    return 0;
}
