// Large, small and impossible allocations, and their return to the system.
// compat: variants=pie,static,musl-static memory=256M
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
  errno = 0;
  void *volatile none = malloc((size_t)1 << 46);
  printf("64 TiB: %d, ENOMEM %d\n", none != NULL, errno == ENOMEM);
  char *p = malloc(100 << 20);
  for (size_t i = 0; i < 100 << 20; i += 4096) p[i] = (char)(i >> 12);
  long sum = 0;
  for (size_t i = 0; i < 100 << 20; i += 4096) sum += p[i];
  printf("100 MiB: %ld\n", sum);
  p = realloc(p, 120 << 20);
  printf("kept %d, zero %d\n", p[4096 * 77], p[(120 << 20) - 1]);
  free(p);
  for (int round = 0; round < 8; round++) {
    p = malloc(90 << 20);
    memset(p, round, 90 << 20);
    free(p);
  }
  enum { N = 20000 };
  static char *all[N];
  unsigned seed = 1;
  for (int round = 0; round < 100000; round++) {
    seed = seed * 1103515245 + 12345;
    unsigned i = (seed >> 8) % N, size = (seed >> 4) % 3000;
    free(all[i]);
    all[i] = malloc(size + 1);
    memset(all[i], (int)i, size + 1);
    all[i][size] = 0;
  }
  for (int i = 0; i < N; i++)
    if (all[i] && all[i][0] && all[i][0] != (char)i) printf("spoilt %d\n", i);
  // A reservation far above the memory costs nothing.
  char *big = mmap(NULL, (size_t)64 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  printf("reserved %d\n", big != MAP_FAILED);
  mprotect(big + (32L << 30), 1 << 20, PROT_READ | PROT_WRITE);
  big[32L << 30] = 5;
  printf("used %d\n", big[32L << 30]);
  return 0;
}
