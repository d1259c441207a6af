// Dies of an integer division by zero.
// compat: variants=pie,static stderr=SIGFPE
#include <stdio.h>

int main(int argc, char **argv) {
  (void)argv;
  volatile int zero = argc - 1, ten = 10;
  puts("before");
  fflush(stdout);
  return ten / zero;
}
