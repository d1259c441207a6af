// Threads with their own and shared state: mutex, condition variable, barrier, thread-local storage, cancellation.
// compat: variants=pie,static,musl cpus=2
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long total, turn;
static __thread long mine;

static void *count(void *arg) {
  for (int i = 0; i < ROUNDS; i++) {
    pthread_mutex_lock(&lock);
    total++;
    mine++;
    pthread_mutex_unlock(&lock);
  }
  pthread_barrier_wait(&barrier);
  pthread_mutex_lock(&lock);
  while (turn != (long)arg) pthread_cond_wait(&changed, &lock);
  printf("thread %ld: %ld of %ld\n", (long)arg, mine, total);
  turn++;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return (void *)(mine * 2);
}

static void cleanup(void *arg) { printf("cleanup %s\n", (char *)arg); }

static void *sleeper(void *arg) {
  pthread_cleanup_push(cleanup, "handler");
  for (;;) pause();
  pthread_cleanup_pop(0);
  return arg;
}

int main(void) {
  pthread_t t[THREADS];
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (long i = 0; i < THREADS; i++)
    if (pthread_create(&t[i], NULL, count, (void *)i)) return 1;
  long sum = 0;
  for (int i = 0; i < THREADS; i++) {
    void *result;
    pthread_join(t[i], &result);
    sum += (long)result;
  }
  printf("joined: %ld\n", sum);
  pthread_create(&t[0], NULL, sleeper, NULL);
  usleep(20000);
  pthread_cancel(t[0]);
  void *result;
  pthread_join(t[0], &result);
  printf("cancelled: %d\n", result == PTHREAD_CANCELED);
  return 0;
}
