// Futex operations, their results and their errors.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long fut(void *a, int op, unsigned v, void *t, void *b, unsigned v3) { return syscall(SYS_futex, a, op, v, t, b, v3); }
static void show(const char *what, long r) {
    if (r < 0) printf("%s: %s\n", what, strerror(errno)); else printf("%s: %ld\n", what, r);
}
static int a, b, pi;
static volatile int woken, started;
static void *waiter(void *arg) {
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    long r = fut(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, 0, (uintptr_t)arg);
    if (r) printf("waiter: %s\n", strerror(errno));
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return 0;
}
static void settle(void) { usleep(60000); }
static pthread_t t[8];
static void start(int n, unsigned bits) {
    woken = started = 0;
    for (int i = 0; i < n; i++) pthread_create(&t[i], 0, waiter, (void *)(uintptr_t)bits);
    while (started < n) usleep(1000);
    settle();
}
static void join(int n) { for (int i = 0; i < n; i++) pthread_join(t[i], 0); printf("woken %d\n", woken); }

static void *locker(void *arg) {
    (void)arg;
    long r = fut(&pi, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0);
    settle(); // lets the other thread print first
    show("contended lock", r);
    printf("owner is me: %d\n", (pi & FUTEX_TID_MASK) == (int)syscall(SYS_gettid));
    show("unlock", fut(&pi, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
    return 0;
}
static void *requeued(void *arg) {
    (void)arg;
    started = 1;
    long r = fut(&a, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, 0, &pi, 0);
    settle();
    show("wait requeue pi", r);
    printf("owner is me: %d\n", (pi & FUTEX_TID_MASK) == (int)syscall(SYS_gettid));
    show("unlock", fut(&pi, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
    return 0;
}
static pthread_mutex_t robust;
static void *dies(void *arg) { (void)arg; pthread_mutex_lock(&robust); return 0; }

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    struct timespec ms = { 0, 5000000 }, bad = { 0, 1000000000 }, past = { 1, 0 };
    show("wake nobody", fut(&a, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
    show("wrong value", fut(&a, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0));
    show("time-out", fut(&a, FUTEX_WAIT_PRIVATE, 0, &ms, 0, 0));
    show("bad time", fut(&a, FUTEX_WAIT_PRIVATE, 0, &bad, 0, 0));
    show("absolute past", fut(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, &past, 0, ~0u));
    show("absolute past, realtime", fut(&a, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &past, 0, ~0u));
    show("realtime wait", fut(&a, FUTEX_WAIT_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &ms, 0, 0));
    show("no bits", fut(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, 0, 0));
    show("misaligned", fut((char *)&a + 1, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0));
    show("bad address", fut((void *)8, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0));
    show("bad address, wake", fut((void *)8, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
    show("bad address, shared wake", fut((void *)8, FUTEX_WAKE, 1, 0, 0, 0));
    show("unknown", fut(&a, 77, 0, 0, 0, 0));

    start(3, 1); show("other bits", fut(&a, FUTEX_WAKE_BITSET_PRIVATE, 9, 0, 0, 2));
    show("wake one", fut(&a, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0)); settle(); printf("woken %d\n", woken);
    show("wake rest", fut(&a, FUTEX_WAKE_BITSET_PRIVATE, 9, 0, 0, 3)); join(3);

    start(4, ~0u);
    show("cmp requeue, wrong", fut(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)9, &b, 5));
    show("cmp requeue", fut(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &b, 0));
    settle(); printf("woken %d\n", woken);
    show("second word", fut(&b, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0)); settle();
    show("first word", fut(&a, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0)); join(4);
    start(2, ~0u); show("requeue", fut(&a, FUTEX_REQUEUE_PRIVATE, 0, (void *)1, &b, 0));
    show("second", fut(&b, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0)); show("first", fut(&a, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0)); join(2);
    start(2, ~0u); show("same word", fut(&a, FUTEX_REQUEUE_PRIVATE, 1, (void *)1, &a, 0));
    show("first", fut(&a, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0)); join(2);

    start(1, ~0u); b = 5;
    show("wake op", fut(&b, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &a, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
    join(1); printf("a %d\n", a); a = 0;
    show("wake op, no match", fut(&b, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &b, FUTEX_OP(FUTEX_OP_OR, 8, FUTEX_OP_CMP_LT, 5)));
    printf("b %d\n", b);
    show("wake op, shift", fut(&b, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &b, FUTEX_OP(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_GT, 5)));
    printf("b %d\n", b); b = 0;

    show("lock", fut(&pi, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
    show("again", fut(&pi, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
    show("trylock", fut(&pi, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0, 0, 0));
    pthread_t l; pthread_create(&l, 0, locker, 0); settle();
    printf("waiters bit %d\n", !!(pi & FUTEX_WAITERS));
    show("unlock", fut(&pi, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
    pthread_join(l, 0);
    printf("pi %d\n", pi);
    show("unlock, not owner", fut(&pi, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
    pi = 4194000; show("owner that is not there", fut(&pi, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0)); pi = 0;
    show("lock", fut(&pi, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
    started = 0; pthread_create(&l, 0, requeued, 0); while (!started) usleep(1000); settle();
    show("plain wake of a requeue-pi waiter", fut(&a, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
    show("cmp requeue pi", fut(&a, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, 0, &pi, 0));
    show("unlock", fut(&pi, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
    pthread_join(l, 0);

    pthread_mutexattr_t at; pthread_mutexattr_init(&at); pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &at);
    pthread_create(&l, 0, dies, 0); pthread_join(l, 0);
    printf("robust: %s\n", strerror(pthread_mutex_lock(&robust)));
    pthread_mutex_consistent(&robust); pthread_mutex_unlock(&robust);
    printf("robust again: %s\n", strerror(pthread_mutex_lock(&robust)));
    pthread_mutexattr_t prio; pthread_mutexattr_init(&prio); pthread_mutexattr_setprotocol(&prio, PTHREAD_PRIO_INHERIT);
    pthread_mutexattr_settype(&prio, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_t m; pthread_mutex_init(&m, &prio);
    printf("prio: %s", strerror(pthread_mutex_lock(&m))); printf(", %s", strerror(pthread_mutex_lock(&m))); printf(", %s\n", strerror(pthread_mutex_unlock(&m)));
    return 0;
}
