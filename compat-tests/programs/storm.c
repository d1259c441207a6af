// Threads that start, end, send each other signals, wait for timers and pass tokens, all at once; nothing is lost.
// compat: variants=pie,static cpus=2
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { RING = 12, LAPS = 150 };
static atomic_long hits, queued, sent, exited;
static void on_usr(int sig) { (void)sig; hits++; }
static void on_rt(int sig, siginfo_t *i, void *c) { (void)sig, (void)c; queued += i->si_value.sival_int; }

static struct { pthread_mutex_t m; pthread_cond_t c; int token; } slot[RING];
static void *pass(void *arg) {
  long me = (long)arg;
  for (int lap = 0; lap < LAPS; lap++) {
    pthread_mutex_lock(&slot[me].m);
    while (!slot[me].token) pthread_cond_wait(&slot[me].c, &slot[me].m);
    slot[me].token = 0;
    pthread_mutex_unlock(&slot[me].m);
    long next = (me + 1) % RING;
    pthread_mutex_lock(&slot[next].m);
    slot[next].token = 1;
    pthread_cond_signal(&slot[next].c);
    pthread_mutex_unlock(&slot[next].m);
  }
  return NULL;
}

static atomic_int stop;
static sem_t sem;
static void *receive(void *arg) {
  while (!stop) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 300000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    if (sem_timedwait(&sem, &t) && errno != ETIMEDOUT && errno != EINTR) abort();
  }
  return arg;
}

static void *child(void *arg) {
  char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) abort();
  for (int i = 0; i < 65536; i += 4096) p[i] = 1;
  if ((long)arg % 3 == 0) sched_yield();
  munmap(p, 65536);
  exited++;
  return NULL;
}
static void *spawn(void *arg) {
  for (long i = 0; i < 200; i++) {
    pthread_t t;
    while (pthread_create(&t, NULL, child, (void *)i)) sched_yield();
    if (i % 2) pthread_join(t, NULL);
    else pthread_detach(t);
  }
  return arg;
}

int main(void) {
  struct sigaction sa = {.sa_handler = on_usr, .sa_flags = SA_RESTART}, rt = {.sa_sigaction = on_rt, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGUSR1, &sa, NULL);
  sigaction(SIGALRM, &sa, NULL);
  sigaction(SIGRTMIN, &rt, NULL);
  sem_init(&sem, 0, 0);
  struct itimerval it = {{0, 700}, {0, 700}};
  setitimer(ITIMER_REAL, &it, NULL);
  pthread_t ring[RING], receivers[3], spawners[2];
  for (int i = 0; i < RING; i++) pthread_mutex_init(&slot[i].m, NULL), pthread_cond_init(&slot[i].c, NULL);
  for (long i = 0; i < RING; i++) pthread_create(&ring[i], NULL, pass, (void *)i);
  for (int i = 0; i < 3; i++) pthread_create(&receivers[i], NULL, receive, NULL);
  for (int i = 0; i < 2; i++) pthread_create(&spawners[i], NULL, spawn, NULL);
  pthread_mutex_lock(&slot[0].m);
  slot[0].token = 1;
  pthread_cond_signal(&slot[0].c);
  pthread_mutex_unlock(&slot[0].m);
  for (int i = 0; i < 1000; i++) {
    pthread_kill(receivers[i % 3], SIGUSR1);
    if (pthread_sigqueue(receivers[(i + 1) % 3], SIGRTMIN, (union sigval){.sival_int = i}) == 0) sent += i;
    if (i % 10 == 0) sem_post(&sem);
    if (i % 50 == 0) usleep(500);
  }
  for (int i = 0; i < RING; i++) pthread_join(ring[i], NULL);
  for (int i = 0; i < 2; i++) pthread_join(spawners[i], NULL);
  while (exited < 400 || queued != sent) usleep(1000);
  stop = 1;
  for (int i = 0; i < 3; i++) pthread_join(receivers[i], NULL);
  it = (struct itimerval){{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &it, NULL);
  printf("laps done, token %d, exited %ld, queued %ld, handled some %d\n", slot[0].token, exited, queued, hits > 0);
  return 0;
}
