// POSIX threads: rwlocks, semaphores, keys, once, recursive, error-checking, robust and priority-inheriting mutexes, timed
// waits, deferred and asynchronous cancellation, detached threads, pthread_kill.
// compat: variants=pie,static,musl,musl-static cpus=2
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(e) do { int r_ = (e); if (r_) { printf("%s: %s\n", #e, strerror(r_)); } } while (0)

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long shared_value;
static atomic_int readers_bad;

static void *reader(void *arg) {
  for (int i = 0; i < 500; i++) {
    pthread_rwlock_rdlock(&rw);
    if (shared_value % 2) readers_bad++;
    pthread_rwlock_unlock(&rw);
  }
  return arg;
}

static void *writer(void *arg) {
  for (int i = 0; i < 200; i++) {
    pthread_rwlock_wrlock(&rw);
    shared_value++;
    if (i % 50 == 0) sched_yield();
    shared_value++;
    pthread_rwlock_unlock(&rw);
  }
  return arg;
}

static void rwlocks(void) {
  pthread_t t[6];
  for (int i = 0; i < 6; i++) CHECK(pthread_create(&t[i], NULL, i < 4 ? reader : writer, NULL));
  for (int i = 0; i < 6; i++) pthread_join(t[i], NULL);
  printf("rwlock: %ld, bad %d\n", shared_value, readers_bad);
  pthread_rwlock_rdlock(&rw);
  printf("trywrlock %d\n", pthread_rwlock_trywrlock(&rw) == EBUSY);
  pthread_rwlock_unlock(&rw);
}

static sem_t empty, full;
static int slot[4];

static void *producer(void *arg) {
  for (int i = 1; i <= 1000; i++) {
    sem_wait(&empty);
    slot[i % 4] = i;
    sem_post(&full);
  }
  return arg;
}

static void semaphores(void) {
  sem_init(&empty, 0, 4);
  sem_init(&full, 0, 0);
  pthread_t t;
  pthread_create(&t, NULL, producer, NULL);
  long sum = 0;
  for (int i = 1; i <= 1000; i++) {
    while (sem_wait(&full)) {
    }
    sum += slot[i % 4];
    sem_post(&empty);
  }
  pthread_join(t, NULL);
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 2000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
  int r = sem_timedwait(&full, &soon);
  printf("sem: %ld, timed out %d\n", sum, r == -1 && errno == ETIMEDOUT);
}

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int destroyed, inits;
static void destroy(void *value) {
  destroyed++;
  if (value == (void *)1) pthread_setspecific(key, (void *)2);
}
static void init_once(void) { inits++; usleep(1000); }
static void *keyed(void *arg) {
  pthread_once(&once, init_once);
  pthread_setspecific(key, (void *)1);
  return arg;
}

static void keys(void) {
  pthread_key_create(&key, destroy);
  pthread_t t[4];
  for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, keyed, NULL);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  printf("keys: %d destroyed, %d once\n", destroyed, inits);
}

static pthread_mutex_t robust, pi;
static void *die_holding(void *arg) {
  pthread_mutex_lock(&robust);
  return arg;
}
static long pi_count;
static void *pi_user(void *arg) {
  for (int i = 0; i < 300; i++) {
    pthread_mutex_lock(&pi);
    pi_count++;
    if (i % 60 == 0) sched_yield();
    pthread_mutex_unlock(&pi);
  }
  return arg;
}

static void mutexes(void) {
  pthread_mutexattr_t a;
  pthread_mutex_t m;
  pthread_mutexattr_init(&a);
  pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&m, &a);
  pthread_mutex_lock(&m);
  printf("recursive %d\n", pthread_mutex_lock(&m));
  pthread_mutex_unlock(&m);
  pthread_mutex_unlock(&m);
  pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&m, &a);
  pthread_mutex_lock(&m);
  printf("errorcheck %d", pthread_mutex_lock(&m) == EDEADLK);
  pthread_mutex_unlock(&m);
  printf(" %d\n", pthread_mutex_unlock(&m) == EPERM);
  pthread_mutexattr_settype(&a, PTHREAD_MUTEX_NORMAL);
  CHECK(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
  pthread_mutex_init(&robust, &a);
  pthread_t t[4];
  pthread_create(&t[0], NULL, die_holding, NULL);
  pthread_join(t[0], NULL);
  printf("owner died %d", pthread_mutex_lock(&robust) == EOWNERDEAD);
  printf(" consistent %d", pthread_mutex_consistent(&robust));
  pthread_mutex_unlock(&robust);
  printf(" again %d\n", pthread_mutex_lock(&robust));
  pthread_mutexattr_init(&a);
  CHECK(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
  CHECK(pthread_mutex_init(&pi, &a));
  for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, pi_user, NULL);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  printf("pi %ld\n", pi_count);
  struct timespec past = {1, 0};
  pthread_mutex_init(&m, NULL);
  pthread_mutex_lock(&m);
  printf("timedlock %d\n", pthread_mutex_timedlock(&m, &past) == ETIMEDOUT);
  pthread_cond_t c;
  pthread_condattr_t ca;
  pthread_condattr_init(&ca);
  pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
  pthread_cond_init(&c, &ca);
  struct timespec soon;
  clock_gettime(CLOCK_MONOTONIC, &soon);
  soon.tv_nsec += 3000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
  printf("cond timed out %d\n", pthread_cond_timedwait(&c, &m, &soon) == ETIMEDOUT);
}

static void note(void *arg) { printf("cleanup of %s\n", (char *)arg); }
static int fds[2];
static atomic_int started;
static void *in_read(void *arg) {
  char c;
  pthread_cleanup_push(note, "read");
  started++;
  if (read(fds[0], &c, 1) == 1) puts("read?");
  pthread_cleanup_pop(0);
  return arg;
}
static void *in_cond(void *arg) {
  static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
  static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
  pthread_mutex_lock(&m);
  pthread_cleanup_push(note, "cond");
  started++;
  pthread_cond_wait(&c, &m);
  pthread_cleanup_pop(0);
  return arg;
}
static void *in_loop(void *arg) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  started++;
  for (volatile long i = 0;; i++) {
  }
  return arg;
}
static void *in_nanosleep(void *arg) {
  started++;
  sleep(100);
  return arg;
}
static void *disabled(void *arg) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  started++;
  usleep(20000);
  return arg;
}
static void cancellation(void) {
  if (pipe(fds)) return;
  void *(*all[])(void *) = {in_read, in_cond, in_loop, in_nanosleep, disabled};
  for (int i = 0; i < 5; i++) {
    pthread_t t;
    void *result;
    int before = started;
    pthread_create(&t, NULL, all[i], NULL);
    while (started == before) sched_yield();
    usleep(2000);
    pthread_cancel(t);
    pthread_join(t, &result);
    printf("cancelled %d: %d\n", i, result == PTHREAD_CANCELED);
  }
}

static pthread_t main_thread;
static atomic_int handled;
static void handler(int sig) {
  (void)sig;
  if (!pthread_equal(pthread_self(), main_thread)) handled++;
}
static void *waits(void *arg) {
  started++;
  errno = 0;
  if (read(fds[0], &started, 1) == -1) return (void *)(long)errno;
  return arg;
}
static void kills(void) {
  main_thread = pthread_self();
  struct sigaction sa = {.sa_handler = handler};
  sigaction(SIGUSR1, &sa, NULL);
  pthread_t t;
  void *result;
  int before = started;
  pthread_create(&t, NULL, waits, NULL);
  while (started == before) sched_yield();
  usleep(5000);
  do pthread_kill(t, SIGUSR1); // again where the first came before the read
  while (usleep(5000), pthread_tryjoin_np(t, &result));
  printf("pthread_kill: handled %d, EINTR %d\n", handled > 0, (long)result == EINTR);
}

static void *quick(void *arg) { return arg; }
static void many(void) {
  int failed = 0;
  for (int i = 0; i < 300; i++) {
    pthread_t t[4];
    for (int k = 0; k < 4; k++) failed += pthread_create(&t[k], NULL, quick, (void *)(long)k) != 0;
    for (long k = 0; k < 4; k++) {
      void *result;
      pthread_join(t[k], &result);
      failed += result != (void *)k;
    }
  }
  printf("1200 threads, failed %d\n", failed);
}

static pthread_spinlock_t spin;
static long spun;
static void *spinner(void *arg) {
  for (int i = 0; i < 1000; i++) {
    pthread_spin_lock(&spin);
    spun++;
    pthread_spin_unlock(&spin);
  }
  return arg;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  rwlocks();
  semaphores();
  keys();
  mutexes();
  cancellation();
  kills();
  many();
  pthread_spin_init(&spin, 0);
  pthread_t t[3];
  for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, spinner, NULL);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  printf("spun %ld\n", spun);
  char name[16] = "";
  pthread_setname_np(pthread_self(), "renamed");
  pthread_getname_np(pthread_self(), name, sizeof name);
  puts(name);
  return 0;
}
