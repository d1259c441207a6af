// The main thread ends by pthread_exit(3); the last of the others decides the status.
// compat: variants=pie,static,musl cpus=2
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_t leader;

static void *last(void *arg) {
  void *result;
  pthread_join(leader, &result);
  printf("joined main: %s\n", (char *)result);
  usleep(5000);
  puts("last thread ends");
  fflush(stdout);
  if (arg) _exit(5);
  return NULL;
}

static void *detached(void *arg) {
  for (volatile int i = 0; i < 100000; i++) {
  }
  return arg;
}

int main(void) {
  leader = pthread_self();
  pthread_t t;
  for (int i = 0; i < 20; i++) {
    pthread_create(&t, NULL, detached, NULL);
    pthread_detach(t);
  }
  pthread_create(&t, NULL, last, "five");
  pthread_exit("main's result");
}
