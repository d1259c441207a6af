// Endless recursion ends in SIGSEGV at the stack's limit.
// compat: variants=pie,static stderr=SIGSEGV cflags=-O0
#include <stdio.h>

static int deeper(int n) {
  volatile char frame[4000];
  frame[0] = (char)n;
  return deeper(n + 1) + frame[0];
}

int main(void) {
  puts("before");
  fflush(stdout);
  return deeper(0);
}
