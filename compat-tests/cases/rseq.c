/* rseq(2), and the barriers of membarrier(2) that start its critical sections anew. */
#include "case.h"

#include <linux/membarrier.h>

#define SIGNATURE 0x53053053u
#define UNREGISTER 1

struct area {
    volatile unsigned cpu_id_start, cpu_id;
    volatile unsigned long section;
    unsigned flags, node, concurrency, pad;
} __attribute__((aligned(32)));

struct section {
    unsigned version, flags;
    unsigned long start, length, abort;
} __attribute__((aligned(32)));

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));
static struct area area;

static long rseq(void *at, unsigned size, int flags, unsigned signature)
{
    return syscall(SYS_rseq, at, size, flags, signature);
}

/* Gives up what the C library has registered for the thread. */
static void forget(void)
{
    if (&__rseq_size && __rseq_size)
        rseq((char *)__builtin_thread_pointer() + __rseq_offset, 32, UNREGISTER, SIGNATURE);
}

static void nothing(int number)
{
    (void)number;
}

GROUP(rseq)
{
    static struct area other;
    forget();
    ERR("not there", EINVAL, rseq(&area, 32, UNREGISTER, SIGNATURE));
    ERR("unaligned", EINVAL, rseq((char *)&area + 4, 32, 0, SIGNATURE));
    ERR("a size", EINVAL, rseq(&area, 31, 0, SIGNATURE));
    ERR("flags", EINVAL, rseq(&area, 32, 2, SIGNATURE));
    ERR("the kernel's memory", EFAULT, rseq((void *)((unsigned long)KERNEL & ~31ul), 32, 0, SIGNATURE));
    OK("registered", rseq(&area, 32, 0, SIGNATURE));
    YES("the cpu", area.cpu_id < 4096 && area.cpu_id_start == area.cpu_id);
    ERR("twice", EBUSY, rseq(&area, 32, 0, SIGNATURE));
    ERR("twice, by another signature", EPERM, rseq(&area, 32, 0, 1));
    ERR("another", EINVAL, rseq(&other, 32, 0, SIGNATURE));
    ERR("another, unregistered", EINVAL, rseq(&other, 32, UNREGISTER, SIGNATURE));
    ERR("unregistered by another signature", EPERM, rseq(&area, 32, UNREGISTER, 1));

    extern char section_start[], section_end[], section_abort[];
    struct section section = {0, 0, (unsigned long)section_start, section_end - section_start, (unsigned long)section_abort};
    struct itimerval often = {{0, 2000}, {0, 2000}};
    long aborted = 0;
    signal(SIGALRM, nothing);
    setitimer(ITIMER_REAL, &often, 0);
    __asm__ volatile("mov %2, %1\n"
                     "section_start: 1: pause\n"
                     "jmp 1b\n"
                     "section_end: jmp 2f\n"
                     ".byte 0x0f, 0xb9, 0x3d\n"
                     ".long 0x53053053\n"
                     "section_abort: mov $1, %0\n"
                     "2:"
                     : "+r"(aborted), "=m"(area.section)
                     : "r"(&section)
                     : "memory");
    memset(&often, 0, sizeof often);
    setitimer(ITIMER_REAL, &often, 0);
    EQ("interrupted", 1, aborted);
    EQ("and out of the section", 0, area.section);
    OK("unregistered", rseq(&area, 32, UNREGISTER, SIGNATURE));
    EQ("no cpu any more", -1, (int)area.cpu_id);
}

static volatile int running, seen;

static void *watches(void *unused)
{
    (void)unused;
    forget();
    MUST(rseq(&area, 32, 0, SIGNATURE) == 0);
    area.cpu_id_start = 4095;
    running = 1;
    while (area.cpu_id_start == 4095)
        ;
    seen = 1;
    MUST(rseq(&area, 32, UNREGISTER, SIGNATURE) == 0);
    return 0;
}

GROUP(membarrier_rseq)
{
#define membarrier(...) syscall(SYS_membarrier, __VA_ARGS__)
    const int command = MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, registers = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;
    pthread_t thread;
    YES("is there", membarrier(MEMBARRIER_CMD_QUERY, 0, 0) & command);
    ERR("not registered", EPERM, membarrier(command, 0, 0));
    EQ("none registered", 0, membarrier(512, 0, 0));
    OK("register", membarrier(registers, 0, 0));
    OK("register again", membarrier(registers, 0, 0));
    SHOW("registered", "%lx", membarrier(512, 0, 0));
    OK("all", membarrier(command, 0, 0));
    OK("one cpu", membarrier(command, MEMBARRIER_CMD_FLAG_CPU, 0));
    ERR("flags", EINVAL, membarrier(command, 2, 0));
    ERR("flags of another", EINVAL, membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_FLAG_CPU, 0));
    pthread_create(&thread, 0, watches, 0);
    while (!running)
        sched_yield();
    while (!seen)
        membarrier(command, 0, 0);
    pthread_join(thread, 0);
    EQ("a thread is told its cpu anew", 1, seen);
}
