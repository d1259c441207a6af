// exit(3) from a thread runs the exit handlers in reverse, flushes, and cuts the status to eight bits.
// compat: variants=pie,static,musl cpus=2
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void first(void) { puts("registered first"); }
static void second(void) { puts("registered second"); }
__attribute__((constructor)) static void constructor(void) { puts("constructor"); }
__attribute__((destructor)) static void destructor(void) { puts("destructor"); }

static void *leave(void *arg) {
  (void)arg;
  printf("unflushed");
  exit(0x1234 + 7);
}

int main(void) {
  atexit(first);
  atexit(second);
  pthread_t t;
  pthread_create(&t, NULL, leave, NULL);
  for (;;) pause();
}
