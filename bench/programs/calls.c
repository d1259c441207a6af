// System calls one by one: how long each takes, and how many instructions.
#define _GNU_SOURCE
#include "bench.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, FAULTS = 256 };

// A site as every libc has it, and the same in memory that the program may write, where no rewriting reaches it.
__asm__(".text\n"
        ".balign 16\n"
        ".type null_site, @function\n"
        "null_site: mov $110, %eax\n" // getppid
        "syscall\n"
        "ret\n"
        ".balign 16, 0x90\n"
        ".size null_site, . - null_site\n");
extern void null_site(void);
static void (*null_writable)(void);

#define TIMES(name, call)                                                                                                    \
    static void name(long n) {                                                                                               \
        while (n--) {                                                                                                        \
            call;                                                                                                            \
        }                                                                                                                    \
    }

static int zero, null_file, pipe_fd[2], event, polled, sockets[2];
static char byte, *file_page;
static struct timespec spec;
static struct stat status;
static struct epoll_event ready;
static _Atomic uint32_t word;
static volatile sig_atomic_t caught;

TIMES(null_direct, null_site())
TIMES(null_trap, null_writable())
TIMES(null_libc, getppid())
TIMES(null_syscall, syscall(SYS_getppid))
TIMES(clock_vdso, clock_gettime(CLOCK_MONOTONIC, &spec))
TIMES(clock_call, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &spec))
TIMES(cpu_vdso, sched_getcpu())
TIMES(read_zero, check(read(zero, &byte, 1) == 1, "read"))
TIMES(write_null, check(write(null_file, &byte, 1) == 1, "write"))
TIMES(pipe_1, check(write(pipe_fd[1], &byte, 1) == 1 && read(pipe_fd[0], &byte, 1) == 1, "pipe"))
TIMES(socket_1, check(write(sockets[1], &byte, 1) == 1 && read(sockets[0], &byte, 1) == 1, "socketpair"))
TIMES(futex_wake, syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0))
TIMES(epoll_ready, check(epoll_wait(polled, &ready, 1, -1) == 1, "epoll_wait"))
TIMES(yield, sched_yield())
TIMES(signal_self, raise(SIGUSR1))
TIMES(stat_path, check(stat("/etc/hostname", &status) == 0, "stat"))
TIMES(fstat_fd, check(fstat(zero, &status) == 0, "fstat"))

static void poll_ready(long n) {
    struct pollfd fd = {event, POLLIN, 0};
    while (n--)
        check(poll(&fd, 1, -1) == 1, "poll");
}

static void open_read_close(long n) {
    while (n--) {
        int fd = open("/etc/hostname", O_RDONLY);
        check(fd >= 0 && read(fd, &byte, 1) == 1, "/etc/hostname");
        close(fd);
    }
}

static void *map(size_t len) {
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(p != MAP_FAILED, "mmap");
    return p;
}

static void map_unmap(long n) {
    while (n--)
        munmap(map(16 * PAGE), 16 * PAGE);
}

static void map_touch_unmap(long n) {
    while (n--) {
        char *p = map(PAGE);
        *(volatile char *)p = 1;
        munmap(p, PAGE);
    }
}

static void protect(long n) {
    while (n--)
        mprotect(file_page, PAGE, n & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
}

// Pages of one large mapping, so that a fault is nearly all there is to each.
static void page_fault(long n) {
    for (; n > 0; n -= FAULTS) {
        char *p = map(FAULTS * PAGE);
        madvise(p, FAULTS * PAGE, MADV_NOHUGEPAGE);
        for (long i = 0; i < FAULTS && i < n; i++)
            *(volatile char *)(p + i * PAGE) = 1;
        munmap(p, FAULTS * PAGE);
    }
}

static void caught_one(int number) {
    caught = number;
}

// Two threads hand each other the turn. An operation is a turn: one switch of context where there is one CPU.
static void *partner_futex(void *limit) {
    for (uint32_t turn = 0; turn < (uintptr_t)limit; turn += 2) {
        for (uint32_t seen; (seen = word) != turn + 1;)
            syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        word = turn + 2;
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void futex_turns(long n) {
    pthread_t partner;
    n = (n + 1) / 2 * 2;
    word = 0;
    check(pthread_create(&partner, NULL, partner_futex, (void *)n) == 0, "pthread_create");
    for (uint32_t turn = 0; turn < n; turn += 2) {
        word = turn + 1;
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        for (uint32_t seen; (seen = word) != turn + 2;)
            syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
    pthread_join(partner, NULL);
}

static int there[2], back[2];

static void *partner_pipe(void *limit) {
    char turn;
    for (uintptr_t i = 0; i < (uintptr_t)limit; i += 2)
        check(read(there[0], &turn, 1) == 1 && write(back[1], &turn, 1) == 1, "pipe");
    return NULL;
}

static void pipe_turns(long n) {
    pthread_t partner;
    n = (n + 1) / 2 * 2;
    check(pthread_create(&partner, NULL, partner_pipe, (void *)n) == 0, "pthread_create");
    for (long i = 0; i < n; i += 2)
        check(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
    pthread_join(partner, NULL);
}

static void *nothing(void *arg) {
    return arg;
}

static void thread_join(long n) {
    while (n--) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, nothing, NULL) == 0, "pthread_create");
        pthread_join(thread, NULL);
    }
}

int main(int argc, char **argv) {
    options(argc, argv);
    zero = open("/dev/zero", O_RDONLY);
    null_file = open("/dev/null", O_WRONLY);
    event = eventfd(1, 0);
    polled = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN};
    check(zero >= 0 && null_file >= 0 && !pipe(pipe_fd) && !pipe(there) && !pipe(back), "files");
    check(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
    check(!epoll_ctl(polled, EPOLL_CTL_ADD, event, &wanted), "epoll_ctl");
    signal(SIGUSR1, caught_one);
    file_page = map(PAGE);
    *file_page = 1;
    null_writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(null_writable != MAP_FAILED, "mmap");
    memcpy(null_writable, null_site, 16);

    measure("null,own-site", null_direct);
    measure("null,writable-site", null_trap);
    measure("null,libc-getppid", null_libc);
    measure("null,libc-syscall()", null_syscall);
    measure("clock_gettime,vdso", clock_vdso);
    measure("clock_gettime,call", clock_call);
    measure("sched_getcpu", cpu_vdso);
    measure("read-1,/dev/zero", read_zero);
    measure("write-1,/dev/null", write_null);
    measure("write-1+read-1,pipe", pipe_1);
    measure("write-1+read-1,unix-socket", socket_1);
    measure("futex-wake,no-waiter", futex_wake);
    measure("futex-turn,2-threads", futex_turns);
    measure("pipe-turn,2-threads", pipe_turns);
    measure("sched_yield,alone", yield);
    measure("epoll_wait,ready", epoll_ready);
    measure("poll,ready", poll_ready);
    measure("raise+handler", signal_self);
    measure("fstat", fstat_fd);
    measure("stat,/etc/hostname", stat_path);
    measure("open+read+close", open_read_close);
    measure("mmap+munmap,64K", map_unmap);
    measure("mmap+touch+munmap,4K", map_touch_unmap);
    measure("page-fault", page_fault);
    measure("mprotect,4K", protect);
    measure("thread-create+join", thread_join);
    puts("bench-end");
}
