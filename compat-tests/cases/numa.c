// Memory policies and moves of pages between nodes, of which there may be one only, and what advice on memory is taken.
#include "case.h"
#include <linux/mempolicy.h>

#define PAGE 4096ul

struct nodes {
    const char *name;
    unsigned long *mask, max;
};

static unsigned long empty[1024], first[1024] = {1}, second[1024] = {2}, both[1024] = {3}, last_of_word[1024] = {1ul << 63};
static unsigned long beyond[1024] = {1, 1}, beyond_alone[1024] = {0, 1}, far[1024] = {1, [20] = 1}, all[1024];

static struct nodes sets[] = {
    {"none", 0, 0},
    {"none of 64", 0, 64},
    {"no bits", first, 0},
    {"one bit less", first, 1},
    {"two bits", first, 2},
    {"64 bits", first, 64},
    {"65 bits", first, 65},
    {"1024 bits", first, 1024},
    {"1025 bits", first, 1025},
    {"page of bits", first, 32768},
    {"page of bits and one", first, 32769},
    {"page of bits and two", first, 32770},
    {"all bits", first, -1ul},
    {"2^63 bits", first, 1ul << 63},
    {"empty", empty, 64},
    {"second node", second, 64},
    {"second node out of sight", second, 2},
    {"both nodes", both, 64},
    {"node 63", last_of_word, 65},
    {"node 63 out of sight", last_of_word, 64},
    {"node 64", beyond, 130},
    {"node 64 alone", beyond_alone, 130},
    {"node 64 out of sight", beyond, 65},
    {"node 1280", far, 2000},
    {"bad mask", BAD, 64},
    {"kernel mask", KERNEL, 64},
    {"bad mask of no bits", BAD, 1},
};

static struct {
    const char *name;
    int mode;
} modes[] = {
    {"default", MPOL_DEFAULT},
    {"preferred", MPOL_PREFERRED},
    {"bind", MPOL_BIND},
    {"interleave", MPOL_INTERLEAVE},
    {"local", MPOL_LOCAL},
    {"preferred many", 5},
    {"weighted interleave", 6},
    {"none such", 7},
    {"static default", MPOL_DEFAULT | MPOL_F_STATIC_NODES},
    {"static bind", MPOL_BIND | MPOL_F_STATIC_NODES},
    {"static preferred", MPOL_PREFERRED | MPOL_F_STATIC_NODES},
    {"static local", MPOL_LOCAL | MPOL_F_STATIC_NODES},
    {"relative interleave", MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES},
    {"relative bind", MPOL_BIND | MPOL_F_RELATIVE_NODES},
    {"relative preferred", MPOL_PREFERRED | MPOL_F_RELATIVE_NODES},
    {"both flags", MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES},
    {"balancing bind", MPOL_BIND | (1 << 13)},
    {"balancing preferred many", 5 | (1 << 13)},
    {"balancing interleave", MPOL_INTERLEAVE | (1 << 13)},
    {"bit 12", MPOL_BIND | (1 << 12)},
    {"negative", -1},
};

// The answer of a call that gives 0 or an error.
static const char *answer(long result)
{
    return result == -1 ? error_name(errno) : named("%ld", result);
}

// The policy in force.
static const char *policy(void *addr, unsigned long flags)
{
    int mode = -77;
    unsigned long mask[16];
    memset(mask, 0xee, sizeof mask);
    long result = syscall(SYS_get_mempolicy, &mode, mask, 1025, addr, flags);
    if (result == -1)
        return error_name(errno);
    return named("mode %#x, nodes %lx %lx", mode, mask[0], mask[1]);
}

GROUP(set_mempolicy)
{
    for (unsigned i = 0; i < COUNT(modes); i++)
        for (unsigned k = 0; k < COUNT(sets); k++) {
            MUST(syscall(SYS_set_mempolicy, MPOL_DEFAULT, 0, 0) == 0);
            const char *result = answer(syscall(SYS_set_mempolicy, modes[i].mode, sets[k].mask, sets[k].max));
            SHOW(named("%s, %s", modes[i].name, sets[k].name), "%s: %s", result, policy(0, 0));
        }
}

// Each thread has its own policy, and hands it to those that it starts.
static void *another(void *unused)
{
    SHOW("of a new thread", "%s", policy(0, 0));
    OK("changed", syscall(SYS_set_mempolicy, MPOL_PREFERRED, first, 64));
    return unused;
}

GROUP(policy_of_threads)
{
    OK("set", syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, first, 64));
    pthread_t thread;
    MUST(pthread_create(&thread, 0, another, 0) == 0);
    MUST(pthread_join(thread, 0) == 0);
    SHOW("of the first thread", "%s", policy(0, 0));
    int status;
    CHILD(status, SHOW("of a child", "%s", policy(0, 0)));
}

static char *area(void)
{
    char *at = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(at != MAP_FAILED);
    MUST(munmap(at + 4 * PAGE, 4 * PAGE) == 0);
    at[0] = at[PAGE] = 1;
    return at;
}

GROUP(mbind)
{
    for (unsigned i = 0; i < COUNT(modes); i++)
        for (unsigned k = 0; k < COUNT(sets); k++) {
            char *p = area();
            const char *result = answer(syscall(SYS_mbind, p, PAGE, modes[i].mode, sets[k].mask, sets[k].max, 0));
            SHOW(named("%s, %s", modes[i].name, sets[k].name), "%s: %s; %s", result, policy(p, MPOL_F_ADDR),
                 policy(p + PAGE, MPOL_F_ADDR));
            MUST(munmap(p, 4 * PAGE) == 0);
        }
    static unsigned flags[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 0x80000000u};
    for (unsigned i = 0; i < COUNT(flags); i++) {
        char *p = area();
        SHOW(named("flags %#x", flags[i]), "%s", answer(syscall(SYS_mbind, p, 2 * PAGE, MPOL_BIND, first, 64, flags[i])));
        SHOW(named("default, flags %#x", flags[i]), "%s",
             answer(syscall(SYS_mbind, p, 2 * PAGE, MPOL_DEFAULT, 0, 0, flags[i])));
        MUST(munmap(p, 4 * PAGE) == 0);
    }
    char *p = area();
    ERR("unaligned", EINVAL, syscall(SYS_mbind, p + 1, PAGE, MPOL_BIND, first, 64, 0));
    OK("length 0", syscall(SYS_mbind, p, 0, MPOL_BIND, first, 64, 0));
    OK("length 1", syscall(SYS_mbind, p, 1, MPOL_BIND, first, 64, 0));
    ERR("beyond", EFAULT, syscall(SYS_mbind, p, 5 * PAGE, MPOL_BIND, first, 64, 0));
    SHOW("beyond, first page", "%s", policy(p + PAGE, MPOL_F_ADDR));
    ERR("unmapped", EFAULT, syscall(SYS_mbind, p + 4 * PAGE, PAGE, MPOL_BIND, first, 64, 0));
    SHOW("default beyond", "%s", answer(syscall(SYS_mbind, p, 5 * PAGE, MPOL_DEFAULT, 0, 0, 0)));
    SHOW("default unmapped", "%s", answer(syscall(SYS_mbind, p + 4 * PAGE, PAGE, MPOL_DEFAULT, 0, 0, 0)));
    SHOW("length -1", "%s", answer(syscall(SYS_mbind, p, -1ul, MPOL_BIND, first, 64, 0)));
    SHOW("length -4096", "%s", answer(syscall(SYS_mbind, p, -PAGE, MPOL_BIND, first, 64, 0)));
    SHOW("at the kernel", "%s", answer(syscall(SYS_mbind, 0xffff888000000000ul, PAGE, MPOL_BIND, first, 64, 0)));
    int status;
    OK("bound", syscall(SYS_mbind, p, 2 * PAGE, MPOL_INTERLEAVE, first, 64, 0));
    CHILD(status, SHOW("of a child", "%s", policy(p, MPOL_F_ADDR)));
    AS_NOBODY(SHOW("all, as another", "%s", answer(syscall(SYS_mbind, p, PAGE, MPOL_BIND, first, 64, MPOL_MF_MOVE_ALL))));
}

GROUP(get_mempolicy)
{
    char *p = area();
    int mode;
    unsigned long mask[16];
    for (unsigned flags = 0; flags < 17; flags++) {
        SHOW(named("flags %u", flags), "%s", policy(0, flags));
        SHOW(named("flags %u, page", flags), "%s", policy(p, flags));
        SHOW(named("flags %u, within a page", flags), "%s", policy(p + 5, flags));
        SHOW(named("flags %u, no page yet", flags), "%s", policy(p + 3 * PAGE, flags));
        SHOW(named("flags %u, unmapped", flags), "%s", policy(p + 4 * PAGE, flags));
        SHOW(named("flags %u, kernel", flags), "%s", policy(KERNEL, flags));
    }
    SHOW("flags 1 << 32", "%s", policy(0, 1ul << 32));
    OK("nothing asked", syscall(SYS_get_mempolicy, 0, 0, 0, 0, 0));
    ERR("bad mode", EFAULT, syscall(SYS_get_mempolicy, BAD, 0, 0, 0, 0));
    ERR("bad mask", EFAULT, syscall(SYS_get_mempolicy, 0, BAD, 1024, 0, 0));
    static unsigned long sizes[] = {0, 1, 2, 63, 64, 65, 128, 129, 1023, 1024, 1025, 32768, 32769, 32770, 1ul << 32, -1ul};
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        memset(all, 0xee, sizeof all);
        const char *result = answer(syscall(SYS_get_mempolicy, &mode, all, sizes[i], 0, 0));
        unsigned written = 0;
        while (written < sizeof all && ((unsigned char *)all)[written] != 0xee)
            written++;
        SHOW(named("mask of %lx", sizes[i]), "%s, %u bytes", result, written);
    }
    OK("interleaved", syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, first, 64));
    SHOW("next node", "%s", policy(0, MPOL_F_NODE));
    OK("bound", syscall(SYS_set_mempolicy, MPOL_BIND, first, 64));
    SHOW("node of bound", "%s", policy(0, MPOL_F_NODE));
    SHOW("page of bound", "%s", policy(p, MPOL_F_ADDR));
    OK("allowed", syscall(SYS_get_mempolicy, &mode, mask, 1024, 0, MPOL_F_MEMS_ALLOWED));
}

GROUP(set_mempolicy_home_node)
{
    char *p = area();
    SHOW("no policy", "%s", answer(syscall(450, p, PAGE, 0, 0)));
    OK("bound", syscall(SYS_mbind, p, 2 * PAGE, MPOL_BIND, first, 64, 0));
    SHOW("bound", "%s", answer(syscall(450, p, PAGE, 0, 0)));
    SHOW("node 1", "%s", answer(syscall(450, p, PAGE, 1, 0)));
    SHOW("node -1", "%s", answer(syscall(450, p, PAGE, -1ul, 0)));
    SHOW("flags", "%s", answer(syscall(450, p, PAGE, 0, 1)));
    SHOW("unaligned", "%s", answer(syscall(450, p + 1, PAGE, 0, 0)));
    SHOW("length 0", "%s", answer(syscall(450, p, 0, 0, 0)));
    SHOW("length -1", "%s", answer(syscall(450, p, -1ul, 0, 0)));
    SHOW("unmapped", "%s", answer(syscall(450, p + 4 * PAGE, PAGE, 0, 0)));
    OK("interleaved", syscall(SYS_mbind, p, 2 * PAGE, MPOL_INTERLEAVE, first, 64, 0));
    SHOW("of interleaved", "%s", answer(syscall(450, p, PAGE, 0, 0)));
}

GROUP(migrate_pages)
{
    for (unsigned k = 0; k < COUNT(sets); k++) {
        SHOW(named("from %s", sets[k].name), "%s", answer(syscall(SYS_migrate_pages, 0, sets[k].max, sets[k].mask, first)));
        SHOW(named("to %s", sets[k].name), "%s", answer(syscall(SYS_migrate_pages, 0, sets[k].max, first, sets[k].mask)));
    }
    ERR("no such process", ESRCH, syscall(SYS_migrate_pages, 0x3ffffff, 64, first, first));
    ERR("process -1", ESRCH, syscall(SYS_migrate_pages, -1, 64, first, first));
    OK("own", syscall(SYS_migrate_pages, getpid(), 64, first, first));
    pid_t parent = getpid();
    AS_NOBODY({
        ERR("of another's", EPERM, syscall(SYS_migrate_pages, parent, 64, first, first));
        OK("own of another", syscall(SYS_migrate_pages, 0, 64, first, first));
        SHOW("elsewhere", "%s", answer(syscall(SYS_migrate_pages, 0, 64, first, second)));
        SHOW("both", "%s", answer(syscall(SYS_migrate_pages, 0, 64, first, both)));
    });
}

GROUP(move_pages)
{
    char *p = area();
    char *read_only = area();
    MUST(mprotect(read_only, PAGE, PROT_READ) == 0);
    volatile char *untouched = area();
    char seen = untouched[2 * PAGE];
    int fd = file_with("file", "contents");
    char *file = mmap(0, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    MUST(file != MAP_FAILED && file[0] == 'c' && seen == 0);
    struct {
        const char *name;
        void *page;
    } pages[] = {
        {"page", p},
        {"within", p + PAGE + 77},
        {"not yet", p + 3 * PAGE},
        {"zeroes", (void *)(untouched + 2 * PAGE)},
        {"unmapped", p + 4 * PAGE},
        {"read only", read_only},
        {"file", file},
        {"beyond file", file + PAGE},
        {"null", 0},
        {"kernel", KERNEL},
        {"top", (void *)-PAGE},
    };
    static int targets[] = {0, 1, 2, 63, 64, 1023, 1024, 100000, -1, INT_MIN};
    for (unsigned i = 0; i < COUNT(pages); i++) {
        int status = 99;
        const char *result = answer(syscall(SYS_move_pages, 0, 1, &pages[i].page, 0, &status, 0));
        SHOW(named("where, %s", pages[i].name), "%s, %d", result, status);
        for (unsigned k = 0; k < COUNT(targets); k++)
            for (int flags = 2; flags <= 6; flags += 2) {
                status = 99;
                result = answer(syscall(SYS_move_pages, 0, 1, &pages[i].page, &targets[k], &status, flags));
                SHOW(named("%s to %d by %d", pages[i].name, targets[k], flags), "%s, %d", result, status);
            }
    }
    void *list[3] = {p, p + 4 * PAGE, p + PAGE};
    int nodes[3] = {0, 0, 0}, status[3] = {99, 99, 99};
    for (int bad = 0; bad < 3; bad++) {
        nodes[0] = nodes[1] = nodes[2] = 0;
        nodes[bad] = 77;
        memset(status, 0x11, sizeof status);
        const char *result = answer(syscall(SYS_move_pages, 0, 3, list, nodes, status, MPOL_MF_MOVE));
        SHOW(named("%d is bad", bad), "%s, %d %d %d", result, status[0], status[1], status[2]);
    }
    nodes[0] = nodes[1] = nodes[2] = 0;
    SHOW("three", "%s, %d %d %d", answer(syscall(SYS_move_pages, 0, 3, list, nodes, status, MPOL_MF_MOVE)), status[0], status[1],
         status[2]);
    OK("none", syscall(SYS_move_pages, 0, 0, 0, 0, 0, 0));
    OK("none of bad", syscall(SYS_move_pages, 0, 0, BAD, BAD, BAD, 0));
    for (unsigned flags = 1; flags <= 32; flags = flags * 2 + (flags == 4))
        SHOW(named("flags %u", flags), "%s", answer(syscall(SYS_move_pages, 0, 1, list, 0, status, flags)));
    SHOW("flags alone", "%s", answer(syscall(SYS_move_pages, 0, 1, list, nodes, status, 0)));
    ERR("bad pages", EFAULT, syscall(SYS_move_pages, 0, 1, BAD, 0, status, 0));
    ERR("bad status", EFAULT, syscall(SYS_move_pages, 0, 1, list, 0, BAD, 0));
    ERR("bad nodes", EFAULT, syscall(SYS_move_pages, 0, 1, list, BAD, status, MPOL_MF_MOVE));
    ERR("bad pages to move", EFAULT, syscall(SYS_move_pages, 0, 1, BAD, nodes, status, MPOL_MF_MOVE));
    ERR("bad status of moved", EFAULT, syscall(SYS_move_pages, 0, 1, list, nodes, BAD, MPOL_MF_MOVE));
    ERR("no such process", ESRCH, syscall(SYS_move_pages, 0x3ffffff, 1, list, 0, status, 0));
    ERR("process -1", ESRCH, syscall(SYS_move_pages, -1, 1, list, 0, status, 0));
    OK("own", syscall(SYS_move_pages, getpid(), 1, list, 0, status, 0));
    pid_t parent = getpid();
    AS_NOBODY({
        ERR("of another's", EPERM, syscall(SYS_move_pages, parent, 1, list, 0, status, 0));
        SHOW("all, as another", "%s", answer(syscall(SYS_move_pages, 0, 1, list, nodes, status, MPOL_MF_MOVE_ALL)));
        SHOW("all, none to move", "%s", answer(syscall(SYS_move_pages, 0, 1, list, 0, status, MPOL_MF_MOVE_ALL)));
    });
}

// Which advice is taken for which memory.
GROUP(advice)
{
    int fd = file_with("file", "contents");
    MUST(ftruncate(fd, 4 * PAGE) == 0);
    int only_read = open("file", O_RDONLY);
    struct {
        const char *name;
        char *at;
    } kinds[] = {
        {"private", mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
        {"no access", mmap(0, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
        {"shared", mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)},
        {"file", mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)},
        {"private of file", mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)},
        {"file to read", mmap(0, 2 * PAGE, PROT_READ, MAP_SHARED, only_read, 0)},
        {"locked", mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0)},
    };
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        MUST(kinds[i].at != MAP_FAILED);
        for (int advice = -1; advice < 25; advice++)
            SHOW(named("%d, %s", advice, kinds[i].name), "%s", answer(madvise(kinds[i].at, 2 * PAGE, advice)));
    }
    for (int advice = 25; advice < 102; advice++)
        SHOW(named("%d", advice), "%s", answer(madvise(kinds[0].at, PAGE, advice)));
    OK("merging is there", access("/sys/kernel/mm/ksm/run", F_OK));
}

// A shared futex is named by its page, which must be there; a private one by its address alone.
GROUP(futex_pages)
{
    int fd = file_with("file", "contents");
    struct {
        const char *name;
        unsigned *at;
    } words[] = {
        {"plain", mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
        {"no access", mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
        {"to read", mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
        {"to write", mmap(0, PAGE, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
        {"shared", mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)},
        {"shared, no access", mmap(0, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)},
        {"shared, to read", mmap(0, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0)},
        {"file, to read", mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0)},
        {"private file, to read", mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0)},
        {"private file", mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)},
        {"behind the file", (void *)((char *)mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) + PAGE)},
        {"unmapped", (unsigned *)(area() + 4 * PAGE)},
        {"null", 0},
        {"kernel", KERNEL},
        {"unaligned", (unsigned *)(area() + 2)},
    };
    static unsigned here;
    static const struct timespec soon = {0, 1000};
    for (unsigned i = 0; i < COUNT(words); i++)
        for (int flag = 0; flag <= 128; flag += 128) {
            unsigned *at = words[i].at;
            const char *name = words[i].name, *kind = flag ? "private" : "shared";
            SHOW(named("wake, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 1 | flag, 1, 0, 0, 0)));
            SHOW(named("wake bits, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 10 | flag, 1, 0, 0, 1)));
            SHOW(named("wait, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 0 | flag, 77, &soon, 0, 0)));
            SHOW(named("requeue, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 3 | flag, 1, 1, &here, 0)));
            SHOW(named("requeue to, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, &here, 3 | flag, 1, 1, at, 0)));
            SHOW(named("compare, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 4 | flag, 1, 1, &here, 77)));
            SHOW(named("wake op, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 5 | flag, 1, 1, &here, 0)));
            SHOW(named("wake op on, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, &here, 5 | flag, 1, 1, at, 0)));
            SHOW(named("lock, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 8 | flag, 0, 0, 0, 0)));
            SHOW(named("unlock, %s, %s", kind, name), "%s", answer(syscall(SYS_futex, at, 7 | flag, 0, 0, 0, 0)));
        }
}
