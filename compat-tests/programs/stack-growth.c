// The stack grows to its limit of 8 MiB; running over it is caught on an alternate stack, in the main thread and in another.
// compat: variants=pie,static,musl-static cflags=-O0,-pthread
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static __thread sigjmp_buf out;
static __thread volatile long depth;

static void caught(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  printf("caught: address below this frame: %d\n", (char *)info->si_addr != (char *)&sig);
  siglongjmp(out, 1);
}

static long deeper(void) {
  volatile char frame[1000];
  frame[0] = 1;
  depth++;
  return deeper() + frame[0];
}

static long sum(long n) {
  volatile char frame[200];
  frame[n % 200] = 1;
  return n == 0 ? 0 : sum(n - 1) + frame[n % 200];
}

static void *overflow(void *arg) {
  stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&ss, NULL);
  for (int i = 0; i < 2; i++) {
    depth = 0;
    if (sigsetjmp(out, 1) == 0) deeper();
    printf("%s: deep enough %d\n", (char *)arg, depth > 50);
  }
  ss.ss_flags = SS_DISABLE;
  sigaltstack(&ss, NULL);
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  struct rlimit limit;
  getrlimit(RLIMIT_STACK, &limit);
  printf("limit %ld\n", (long)limit.rlim_cur);
  printf("sum %ld\n", sum(20000));
  char *far = alloca(6 << 20);
  memset(far, 7, 6 << 20);
  printf("alloca %d\n", far[1234567]);
  struct sigaction sa = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &sa, NULL);
  overflow("main");
  pthread_t t;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 256 * 1024);
  pthread_create(&t, &attr, overflow, "thread");
  pthread_join(t, NULL);
  puts("end");
  return 0;
}
