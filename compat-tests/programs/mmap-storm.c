// Eight threads map, unmap and protect pages under each other's eyes: what was changed and announced is never seen as it was.
// compat: variants=pie,static cpus=2 timeout=150
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS = 8, OWNERS = 4, ROUNDS = 200, PAGES = 4, PAGE = 4096 };
enum { WRITABLE, READ_ONLY, NO_ACCESS, UNMAPPED, STATES };

// What an owner has done to its pages. Even sequence numbers are announcements; odd ones say that it changes them.
static struct slot {
  _Atomic unsigned long sequence;
  _Atomic int state;
  _Atomic unsigned long generation;  // in the first word of each page
  char *at;
} slots[OWNERS];

static _Thread_local sigjmp_buf back;
static _Thread_local volatile sig_atomic_t trying;
static atomic_long stale_reads, stale_writes, stale_maps, foreign, looks[STATES];
static atomic_int owners_left = OWNERS;

static void on_fault(int sig) {
  if (!trying) {
    static const char text[] = "a fault where none can be\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(1);
  }
  siglongjmp(back, sig);
}

static volatile unsigned long *word(struct slot *s, int page) { return (volatile unsigned long *)(s->at + page * PAGE); }

// Whether the first word of a page could be read; a write stores what is there already, further down in the page.
static int look(struct slot *s, int page, int write, unsigned long *value) {
  trying = 1;
  int ok = 0;
  if (!sigsetjmp(back, 0)) {
    *value = *word(s, page);
    if (write) word(s, page)[8] = 1;
    ok = 1;
  }
  trying = 0;
  return ok;
}

static void check(struct slot *s, int page, int write) {
  unsigned long before = atomic_load(&s->sequence);
  int state = atomic_load(&s->state);
  unsigned long generation = atomic_load(&s->generation), value = 0;
  if (before & 1) return;
  int ok = look(s, page, write, &value);
  if (atomic_load(&s->sequence) != before) {
    // Changed meanwhile: then only old or new contents, never another page's.
    if (ok && value && value >> 32 != (unsigned long)(s - slots) + 1) foreign++;
    return;
  }
  looks[state]++;
  switch (state) {
    case WRITABLE:
      if (!ok || value != generation) stale_reads++;
      break;
    case READ_ONLY:
      if (ok && write) stale_writes++;
      if (ok ? value != generation : !write) stale_reads++;
      break;
    default:
      if (ok) stale_maps++;
  }
}

static void change(struct slot *s, unsigned long round) {
  unsigned long id = (unsigned long)(s - slots) + 1;
  atomic_fetch_add(&s->sequence, 1);
  int state = round % STATES, prot = state == WRITABLE ? PROT_READ | PROT_WRITE : state == READ_ONLY ? PROT_READ : PROT_NONE;
  if (state == WRITABLE) {
    // New pages in the old place.
    if (mmap(s->at, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != s->at) abort();
    atomic_store(&s->generation, id << 32 | round);
    for (int i = 0; i < PAGES; i++) *word(s, i) = s->generation;
  } else if (state == UNMAPPED) {
    // The place stays taken, or somebody else's mapping would land there.
    if (madvise(s->at, PAGES * PAGE, MADV_DONTNEED)) abort();
    if (mmap(s->at, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != s->at) abort();
  } else if (mprotect(s->at, PAGES * PAGE, prot)) {
    abort();
  }
  atomic_store(&s->state, state);
  atomic_fetch_add(&s->sequence, 1);
}

// Memory of its own that comes and goes: its frames are those that others have just given back.
static void churn(unsigned long mark) {
  size_t size = (1 + mark % 5) * 2 * PAGE;
  unsigned long *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) abort();
  for (size_t i = 0; i < size / sizeof *p; i += PAGE / sizeof *p) {
    if (p[i]) foreign++;
    p[i] = 0xdead000000000000 | mark;
  }
  for (size_t i = 0; i < size / sizeof *p; i += PAGE / sizeof *p)
    if (p[i] != (0xdead000000000000 | mark)) foreign++;
  munmap(p, size);
}

static void *run(void *arg) {
  unsigned me = (unsigned)(long)arg, seed = me * 7919 + 1;
  if (me < OWNERS) {
    for (unsigned long round = 0; round < ROUNDS; round++) {
      change(&slots[me], round);
      for (int i = 0; i < 6; i++) seed = seed * 1103515245 + 12345, check(&slots[seed >> 16 & (OWNERS - 1)], seed >> 20 & 3, seed >> 24 & 1);
      churn(round);
    }
    owners_left--;
  }
  while (owners_left) {
    for (int i = 0; i < 16; i++) seed = seed * 1103515245 + 12345, check(&slots[seed >> 16 & (OWNERS - 1)], seed >> 20 & 3, seed >> 24 & 1);
    churn(seed >> 16);
  }
  return NULL;
}

int main(void) {
  struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGBUS, &sa, NULL);
  for (int i = 0; i < OWNERS; i++) {
    slots[i].at = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    slots[i].state = NO_ACCESS;
  }
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, run, (void *)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  printf("stale reads %ld, stale writes %ld, stale mappings %ld, foreign %ld\n", stale_reads, stale_writes, stale_maps, foreign);
  int seen = 0;
  for (int i = 0; i < STATES; i++) seen += looks[i] > 0;
  printf("looked at pages in %d states\n", seen);
  return 0;
}
