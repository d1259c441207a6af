// Addresses and lengths at and beyond the ends of what the calls about memory take: each in a child of its own, since some take all
// memory away from who asks.
#define GROUP_LIMIT 40
#include "case.h"
#include <linux/mempolicy.h>
#include <sys/shm.h>

#define PAGE 4096ul
#define TOP 0x7ffffffff000ul

struct place {
    const char *name;
    unsigned long value;
};

// Limits, and the right to map the lowest pages, are another matter.
#define PRIVILEGED()                                                                                                             \
    if (geteuid() != 0)                                                                                                          \
    return

// What a call answers, told by a child that may not survive it.
#define TRY(name, expression)                                                                                                    \
    do {                                                                                                                         \
        int ends_[2], status_;                                                                                                   \
        long answer_[2] = {0, 0};                                                                                                \
        MUST(pipe(ends_) == 0);                                                                                                  \
        pid_t child_ = fork();                                                                                                   \
        MUST(child_ >= 0);                                                                                                       \
        if (child_ == 0) {                                                                                                       \
            errno = 0;                                                                                                           \
            answer_[0] = (long)(expression);                                                                                     \
            answer_[1] = errno;                                                                                                  \
            syscall(SYS_write, ends_[1], answer_, sizeof answer_);                                                               \
            syscall(SYS_exit_group, 0);                                                                                          \
        }                                                                                                                        \
        close(ends_[1]);                                                                                                         \
        ssize_t told_ = read(ends_[0], answer_, sizeof answer_);                                                                 \
        close(ends_[0]);                                                                                                         \
        MUST(waitpid(child_, &status_, 0) == child_);                                                                            \
        if (told_ <= 0)                                                                                                          \
            SHOW(name, "killed by %d", WTERMSIG(status_));                                                                       \
        else if (answer_[0] == -1)                                                                                               \
            SHOW(name, "%s", error_name(answer_[1]));                                                                            \
        else                                                                                                                     \
            SHOW(name, "%s", answer_[0] == 0 ? "0" : answer_[0] > 0 && answer_[0] < 100000 ? named("%ld", answer_[0]) : "done"); \
    } while (0)

// A mapping of four pages with nothing behind it for a while.
static char *area(int flags)
{
    char *all = mmap(0, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(all != MAP_FAILED);
    char *at = all + 16 * PAGE;
    MUST(munmap(all, 64 * PAGE) == 0);
    MUST(mmap(at, 4 * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
    memset(at, 7, 4 * PAGE);
    return at;
}

#define LENGTHS(p)                                                                                                               \
    struct place lengths[] = {                                                                                                   \
        {"0", 0},                                                                                                                \
        {"1", 1},                                                                                                                \
        {"4 pages", 4 * PAGE},                                                                                                   \
        {"to the top and a page", TOP - (unsigned long)(p) + PAGE},                                                              \
        {"to the hole", 0x800000000000ul - (unsigned long)(p)},                                                                  \
        {"to the kernel", 0xffff800000000000ul - (unsigned long)(p)},                                                            \
        {"1 << 47", 1ul << 47},                                                                                                  \
        {"1 << 63", 1ul << 63},                                                                                                  \
        {"to the end of all", -(unsigned long)(p) - PAGE},                                                                       \
        {"round to the start", -(unsigned long)(p)},                                                                             \
        {"-4096", -PAGE},                                                                                                        \
        {"-1", -1ul},                                                                                                            \
    }

static struct place addresses[] = {
    {"0", 0},
    {"4095", 4095},
    {"top", TOP},
    {"below top", TOP - PAGE},
    {"hole", 0x800000000000ul},
    {"kernel", 0xffff888000000000ul},
    {"kernel text", 0xffffffff80000000ul},
    {"-4096", -PAGE},
};

#define EACH(call, expression_p, expression_a)                                                                                   \
    do {                                                                                                                         \
        char *p = area(MAP_PRIVATE);                                                                                             \
        LENGTHS(p);                                                                                                              \
        for (unsigned i = 0; i < COUNT(lengths); i++) {                                                                          \
            unsigned long len = lengths[i].value;                                                                                \
            TRY(named("%s, %s", call, lengths[i].name), expression_p);                                                           \
        }                                                                                                                        \
        for (unsigned i = 0; i < COUNT(addresses); i++) {                                                                        \
            char *a = (char *)addresses[i].value;                                                                                \
            TRY(named("%s at %s", call, addresses[i].name), expression_a);                                                       \
        }                                                                                                                        \
    } while (0)

GROUP(mremap)
{
    PRIVILEGED();
    EACH("old", syscall(SYS_mremap, p, len, PAGE, 0, 0), syscall(SYS_mremap, a, PAGE, PAGE, 0, 0));
    EACH("old, may move", syscall(SYS_mremap, p, len, PAGE, MREMAP_MAYMOVE, 0),
         syscall(SYS_mremap, a, 2 * PAGE, PAGE, MREMAP_MAYMOVE, 0));
    EACH("new", syscall(SYS_mremap, p, 4 * PAGE, len, 0, 0), syscall(SYS_mremap, a, PAGE, 2 * PAGE, 0, 0));
    EACH("new, may move", syscall(SYS_mremap, p, 4 * PAGE, len, MREMAP_MAYMOVE, 0),
         syscall(SYS_mremap, a, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0));
    char *q = area(MAP_PRIVATE);
    EACH("fixed, old", syscall(SYS_mremap, p, len, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q),
         syscall(SYS_mremap, q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a));
    EACH("fixed, new", syscall(SYS_mremap, p, 4 * PAGE, len, MREMAP_MAYMOVE | MREMAP_FIXED, q),
         syscall(SYS_mremap, q, 4 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a));
    EACH("kept", syscall(SYS_mremap, p, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0),
         syscall(SYS_mremap, q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, a));
}

// What is above stays when an old length beyond the end is refused.
GROUP(mremap_above)
{
    char *p = area(MAP_PRIVATE);
    ERR("refused", EINVAL, syscall(SYS_mremap, p, 0x800000000000ul - (unsigned long)p, PAGE, 0, 0));
    EQ("still there", 7, p[3 * PAGE]);
    EQ("within", 1, syscall(SYS_mremap, p, 4 * PAGE, PAGE, 0, 0) == (long)p);
}

GROUP(munmap)
{
    EACH("munmap", munmap(p, len), munmap(a, PAGE));
}

GROUP(mprotect)
{
    EACH("mprotect", mprotect(p, len, PROT_READ), mprotect(a, PAGE, PROT_READ));
    EACH("pkey_mprotect", syscall(SYS_pkey_mprotect, p, len, PROT_READ, -1), syscall(SYS_pkey_mprotect, a, PAGE, PROT_READ, -1));
}

GROUP(madvise)
{
    static const struct {
        const char *name;
        int advice;
    } advices[] = {
        {"normal", MADV_NORMAL},     {"willneed", MADV_WILLNEED}, {"dontneed", MADV_DONTNEED},
        {"free", MADV_FREE},         {"remove", MADV_REMOVE},     {"dontfork", MADV_DONTFORK},
        {"hugepage", MADV_HUGEPAGE}, {"dontdump", MADV_DONTDUMP}, {"cold", MADV_COLD},
        {"populate", 23},            {"none such", 77},
    };
    for (unsigned k = 0; k < COUNT(advices); k++)
        EACH(advices[k].name, madvise(p, len, advices[k].advice), madvise(a, PAGE, advices[k].advice));
}

GROUP(mlock)
{
    PRIVILEGED();
    EACH("mlock", mlock(p, len), mlock(a, PAGE));
    EACH("munlock", munlock(p, len), munlock(a, PAGE));
    EACH("mlock2", syscall(SYS_mlock2, p, len, 1), syscall(SYS_mlock2, a, PAGE, 1));
}

GROUP(msync)
{
    EACH("sync", msync(p, len, MS_SYNC), msync(a, PAGE, MS_SYNC));
    EACH("async", msync(p, len, MS_ASYNC), msync(a, PAGE, MS_ASYNC));
    char *p = area(MAP_PRIVATE);
    for (int flags = 0; flags < 10; flags++)
        TRY(named("flags %d", flags), msync(p, PAGE, flags));
    TRY("flags -1", msync(p, PAGE, -1));
    TRY("unaligned", msync(p + 1, PAGE, MS_SYNC));
    TRY("-1", msync((void *)-1, PAGE, MS_SYNC));
}

GROUP(mincore)
{
    static unsigned char seen[64];
    EACH("mincore", mincore(p, len, seen), mincore(a, PAGE, seen));
}

GROUP(mmap)
{
    PRIVILEGED();
    EACH("length", mmap(0, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0,
         mmap(a, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ? -1 : 0);
    int fd = file_with("file", "contents");
    EACH("file", mmap(0, len, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
         mmap(a, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED ? -1 : 0);
    static struct place offsets[] = {
        {"1", 1},
        {"last page", 0x7ffffffffffff000},
        {"last but one", 0x7fffffffffffe000},
        {"1 << 63", 1ul << 63},
        {"-4096", -PAGE},
        {"-8192", -2 * PAGE},
    };
    for (unsigned i = 0; i < COUNT(offsets); i++)
        for (int pages = 1; pages < 4; pages++)
            TRY(named("offset %s, %d pages", offsets[i].name, pages),
                syscall(SYS_mmap, 0, pages * PAGE, PROT_READ, MAP_SHARED, fd, offsets[i].value) == -1 ? -1 : 0);
}

GROUP(brk)
{
    static char *now;
    now = sbrk(0);
    for (unsigned i = 0; i < COUNT(addresses); i++)
        EQ(named("brk at %s", addresses[i].name), 1, syscall(SYS_brk, addresses[i].value) == (long)now);
}

GROUP(remap_file_pages)
{
    char *q = area(MAP_SHARED);
    EACH("private", syscall(SYS_remap_file_pages, p, len, 0, 0, 0), syscall(SYS_remap_file_pages, a, PAGE, 0, 0, 0));
    LENGTHS(q);
    for (unsigned i = 0; i < COUNT(lengths); i++)
        TRY(named("shared, %s", lengths[i].name), syscall(SYS_remap_file_pages, q, lengths[i].value, 0, 1, 0));
    static struct place pages[] = {{"1 << 51", 1ul << 51}, {"1 << 52", 1ul << 52}, {"1 << 63", 1ul << 63}, {"-1", -1ul}};
    for (unsigned i = 0; i < COUNT(pages); i++)
        TRY(named("page %s", pages[i].name), syscall(SYS_remap_file_pages, q, PAGE, 0, pages[i].value, 0));
    OK("one page for another", syscall(SYS_remap_file_pages, q, PAGE, 0, 2, 0));
}

// A segment that was removed while it is attached stays as it is, until nobody has it.
GROUP(removed_segment)
{
    int id = shmget(IPC_PRIVATE, 4 * PAGE, 0600);
    MUST(id >= 0);
    char *p = shmat(id, 0, 0);
    MUST(p != (void *)-1);
    for (int i = 0; i < 4; i++)
        p[i * PAGE] = 'a' + i;
    OK("remap before", syscall(SYS_remap_file_pages, p, PAGE, 0, 1, 0));
    EQ("seen", 'b', p[0]);
    OK("removed", shmctl(id, IPC_RMID, 0));
    OK("remap after", syscall(SYS_remap_file_pages, p, PAGE, 0, 3, 0));
    EQ("seen after", 'd', p[0]);
    OK("detached", shmdt(p + PAGE) == 0 || shmdt(p) == 0 ? 0 : -1);
    id = shmget(IPC_PRIVATE, PAGE, 0600);
    MUST(id >= 0);
    p = shmat(id, 0, 0);
    MUST(p != (void *)-1 && shmctl(id, IPC_RMID, 0) == 0);
    ERR("the only page of it", EINVAL, syscall(SYS_remap_file_pages, p, PAGE, 0, 0, 0));
    ERR("which is gone", ENOMEM, madvise(p, PAGE, MADV_NORMAL));
}

GROUP(shmat)
{
    int id = shmget(IPC_PRIVATE, 4 * PAGE, 0600);
    MUST(id >= 0);
    for (unsigned i = 0; i < COUNT(addresses); i++) {
        TRY(named("at %s", addresses[i].name), shmat(id, (void *)addresses[i].value, 0) == (void *)-1 ? -1 : 0);
        TRY(named("rounded at %s", addresses[i].name), shmat(id, (void *)addresses[i].value, SHM_RND) == (void *)-1 ? -1 : 0);
        TRY(named("replacing at %s", addresses[i].name), shmat(id, (void *)addresses[i].value, SHM_REMAP) == (void *)-1 ? -1 : 0);
        TRY(named("detach at %s", addresses[i].name), shmdt((void *)addresses[i].value));
    }
    shmctl(id, IPC_RMID, 0);
}

GROUP(process_vm)
{
    static char own[64];
    struct iovec local = {own, sizeof own};
    char *p = area(MAP_PRIVATE);
    LENGTHS(p);
    for (unsigned i = 0; i < COUNT(lengths); i++) {
        struct iovec remote = {p, lengths[i].value};
        TRY(named("read, %s", lengths[i].name), process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
        TRY(named("write, %s", lengths[i].name), process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
    }
    for (unsigned i = 0; i < COUNT(addresses); i++) {
        struct iovec remote = {(void *)addresses[i].value, 64};
        TRY(named("read at %s", addresses[i].name), process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
        TRY(named("write at %s", addresses[i].name), process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
        TRY(named("to %s", addresses[i].name), process_vm_readv(getpid(), &remote, 1, &local, 1, 0));
    }
}

GROUP(move_pages)
{
    for (unsigned i = 0; i < COUNT(addresses); i++) {
        void *page = (void *)addresses[i].value;
        int status = 99;
        OK(named("at %s", addresses[i].name), syscall(SYS_move_pages, 0, 1, &page, 0, &status, 0));
        EQ(named("status at %s", addresses[i].name), -EFAULT, status);
    }
}
