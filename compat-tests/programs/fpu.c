// Floating-point and vector registers, rounding and exception flags survive preemption, signals and faults in each thread.
// compat: variants=pie,static cflags=-O2,-pthread,-frounding-math cpus=2
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile double noise = 1.5;
static volatile int ticks;

static void on_tick(int sig) {
  (void)sig;
  ticks++;
  fesetround(FE_UPWARD);
  for (int i = 0; i < 50; i++) noise = sqrt(noise * 3.7 + i);
  __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm5; movdqa %%xmm0, %%xmm9; movdqa %%xmm0, %%xmm15" ::: "xmm0", "xmm5", "xmm9", "xmm15");
}

static int registers_kept(uint64_t seed) {
  uint64_t in[8], out[8];
  for (int i = 0; i < 8; i++) in[i] = seed * (i + 1);
  __asm__ volatile("movq (%0), %%xmm0; movq 8(%0), %%xmm3; movq 16(%0), %%xmm7; movq 24(%0), %%xmm8; movq 32(%0), %%xmm12; movq 40(%0), %%xmm15\n"
                   "mov $20000, %%ecx; 1: dec %%ecx; jnz 1b\n"
                   "movq %%xmm0, (%1); movq %%xmm3, 8(%1); movq %%xmm7, 16(%1); movq %%xmm8, 24(%1); movq %%xmm12, 32(%1); movq %%xmm15, 40(%1)"
                   :
                   : "r"(in), "r"(out)
                   : "ecx", "memory", "xmm0", "xmm3", "xmm7", "xmm8", "xmm12", "xmm15");
  return memcmp(in, out, 48) == 0;
}

#pragma GCC push_options
#pragma GCC target("avx")
static int wide_kept(uint64_t seed) {
  uint64_t in[4], out[4];
  for (int i = 0; i < 4; i++) in[i] = seed ^ (0x9e3779b97f4a7c15 * (i + 1));
  __asm__ volatile("vmovdqu (%0), %%ymm6; mov $20000, %%ecx; 1: dec %%ecx; jnz 1b; vmovdqu %%ymm6, (%1); vzeroupper"
                   :
                   : "r"(in), "r"(out)
                   : "ecx", "memory", "xmm6");
  return memcmp(in, out, 32) == 0;
}
#pragma GCC pop_options

static void *compute(void *arg) {
  long id = (long)arg;
  int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  fesetround(modes[id % 4]);
  feclearexcept(FE_ALL_EXCEPT);
  volatile double one = 1, three = 3;
  double first = one / three, sum = 0;
  long double wide = 0;
  long bad = 0;
  int avx = __builtin_cpu_supports("avx");
  for (int round = 0; round < 120; round++) {
    bad += !registers_kept(0x1234567 * (id + 1) + round);
    if (avx) bad += !wide_kept(0x7654321 * (id + 1) + round);
    bad += one / three != first;
    bad += fegetround() != modes[id % 4];
    for (int i = 1; i < 300; i++) sum += sin(i * (double)(id + 1)) / i, wide += 1.0L / i;
    if (round % 10 == 0) sched_yield();
  }
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static long turn;
  for (;;) {
    pthread_mutex_lock(&lock);
    if (turn == id) break;
    pthread_mutex_unlock(&lock);
    usleep(1000);
  }
  printf("thread %ld: bad %ld, sum %a, wide %La, inexact %d, divbyzero %d\n", id, bad, sum, wide, !!fetestexcept(FE_INEXACT),
         !!fetestexcept(FE_DIVBYZERO));
  turn++;
  pthread_mutex_unlock(&lock);
  return NULL;
}

int main(void) {
  struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &sa, NULL);
  struct itimerval it = {{0, 1500}, {0, 1500}};
  setitimer(ITIMER_REAL, &it, NULL);
  pthread_t t[6];
  for (long i = 0; i < 6; i++) pthread_create(&t[i], NULL, compute, (void *)i);
  for (int i = 0; i < 6; i++) pthread_join(t[i], NULL);
  // A fast machine is done before the timer has come often.
  while (ticks <= 5) usleep(1000);
  it = (struct itimerval){{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &it, NULL);
  printf("rounding of main %d\n", fegetround() == FE_TONEAREST);
  return 0;
}
