// Dies of an instruction that does not exist.
// compat: variants=pie,static stderr=SIGILL
#include <stdio.h>

int main(void) {
  puts("before");
  fflush(stdout);
  __asm__ volatile("ud2");
}
