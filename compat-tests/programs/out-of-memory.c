// Uses more memory than the machine has: the kernel says so, names the remedy and kills the program.
// compat: native=no status=137 memory=64M stderr="raise --memory"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
  for (int i = 0;; i++) {
    char *p = malloc(1 << 20);
    if (!p) return 3;
    memset(p, i, 1 << 20);
  }
}
