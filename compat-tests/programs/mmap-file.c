// Files in memory: private and shared mappings see the file and each other, grow with it, and outlive its name.
// compat: variants=pie,musl-static
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 100 };

int main(void) {
  char name[] = "/tmp/skiff-mmap-XXXXXX";
  int fd = mkstemp(name);
  char page[PAGE];
  for (int i = 0; i < PAGES; i++) {
    memset(page, 'a' + i % 26, PAGE);
    if (write(fd, page, PAGE) != PAGE) return 1;
  }
  char *s = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  printf("%c %c %c\n", s[0], s[5 * PAGE], p[25 * PAGE + 7]);
  s[5 * PAGE] = 'S';
  p[6 * PAGE] = 'P';
  char c[2];
  pread(fd, c, 1, 5 * PAGE);
  pread(fd, c + 1, 1, 6 * PAGE);
  printf("file has %c %c; private sees %c, keeps %c\n", c[0], c[1], p[5 * PAGE], p[6 * PAGE]);
  pwrite(fd, "W", 1, 7 * PAGE);
  pwrite(fd, "W", 1, 6 * PAGE);
  printf("written: shared %c %c, private %c %c\n", s[7 * PAGE], s[6 * PAGE], p[7 * PAGE], p[6 * PAGE]);
  printf("msync %d\n", msync(s, PAGES * PAGE, MS_SYNC));
  // A mapped file as the buffer of its own read and write.
  printf("into itself %zd", pread(fd, s + 10 * PAGE, PAGE, 11 * PAGE));
  printf(" %c, and out %zd", s[10 * PAGE], pwrite(fd, s + 12 * PAGE, 2 * PAGE, 13 * PAGE));
  printf(" %c %c\n", s[13 * PAGE], s[14 * PAGE]);
  ftruncate(fd, 200 * PAGE);
  char *far = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 199 * PAGE);
  far[PAGE - 1] = 'z';
  unlink(name);
  close(fd);
  struct stat st;
  printf("name is gone %d, mapping lives %c %c\n", stat(name, &st) == -1 && errno == ENOENT, far[PAGE - 1], s[0]);
  munmap(s, PAGES * PAGE);
  printf("private lives %c\n", p[6 * PAGE]);
  int m = memfd_create("shared", 0);
  ftruncate(m, PAGE);
  char *one = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
  char *two = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, m, 0);
  strcpy(one, "through memfd");
  puts(two);
  int self = open("/proc/self/exe", O_RDONLY);
  unsigned char *elf = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self, 0);
  printf("%d%.3s\n", elf[0], elf + 1);
  printf("shared write to a read-only file %d %d\n",
         mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, self, 0) == MAP_FAILED, errno == EACCES);
  return 0;
}
