// Dies of a wild write: Skiff names signal, address and mapping, and the status is that of a shell.
// compat: stderr=SIGSEGV
#include <stdio.h>

int main(void) {
  puts("before");
  fflush(stdout);
  *(volatile int *)0x1234 = 1;
  puts("never");
}
