// Dies of touching a page behind the end of a mapped file.
// compat: stderr=SIGBUS
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
  char name[] = "/tmp/skiff-bus-XXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  if (write(fd, "x", 1) != 1) return 1;
  char *p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
  printf("first byte %c\n", *(volatile char *)p);
  fflush(stdout);
  return ((volatile char *)p)[4096];
}
