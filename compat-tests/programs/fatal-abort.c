// Dies by abort(3); buffered output is lost, exit handlers do not run.
// compat: variants=pie,static,musl-static stderr=SIGABRT
#include <stdio.h>
#include <stdlib.h>

static void never(void) { puts("exit handler"); }

int main(void) {
  atexit(never);
  puts("flushed");
  fflush(stdout);
  abort();
}
