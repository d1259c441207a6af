// A thread dies of a jump to nowhere and takes the process along.
// compat: stderr=SIGSEGV cpus=2
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *jump(void *arg) {
  ((void (*)(void))arg)();
  return NULL;
}

int main(void) {
  puts("before");
  fflush(stdout);
  pthread_t t;
  pthread_create(&t, NULL, jump, (void *)0xdead0000);
  for (;;) pause();
}
