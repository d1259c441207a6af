// Says hello through stdio, with its arguments and environment, and ends with a status of its own.
// compat: variants=pie,no-pie,static,static-pie,musl,musl-static args=one,two
#include <stdio.h>
#include <stdlib.h>

static void at_exit(void) { puts("bye"); }

int main(int argc, char **argv) {
  atexit(at_exit);
  printf("hello from %d arguments:", argc);
  for (int i = 1; i < argc; i++) printf(" %s", argv[i]);
  printf("\nPATH=%s HOME=%s\n", getenv("PATH"), getenv("HOME"));
  char line[100];
  printf("input: %s\n", fgets(line, sizeof line, stdin) ? line : "none");
  return 42;
}
