// Dies of a signal that it sends to itself, with threads asleep and others busy.
// compat: cpus=2
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void *busy(void *arg) {
  for (volatile long i = 0;; i++) {
  }
  return arg;
}

static void *asleep(void *arg) {
  for (;;) pause();
  return arg;
}

int main(void) {
  pthread_t t;
  for (int i = 0; i < 2; i++) {
    pthread_create(&t, NULL, busy, NULL);
    pthread_create(&t, NULL, asleep, NULL);
  }
  puts("before");
  fflush(stdout);
  usleep(10000);
  kill(getpid(), SIGTERM);
  sleep(5);
  puts("never");
}
