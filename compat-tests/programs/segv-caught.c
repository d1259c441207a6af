// Catches its own SIGSEGV on an alternate stack, sees the address, mends the mapping and goes on; then jumps out of another.
// compat: variants=pie,no-pie,static
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static char *page;
static sigjmp_buf out;
static volatile int faults;

static void mend(int sig, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)sig;
  faults++;
  if (info->si_addr == page + 100) {
    printf("si_code %d, write %d\n", info->si_code, (int)((uc->uc_mcontext.gregs[REG_ERR] >> 1) & 1));
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    return;
  }
  printf("address %s, si_code %d\n", info->si_addr ? "set" : "null", info->si_code);
  siglongjmp(out, 1);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&ss, NULL);
  struct sigaction sa = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &sa, NULL);
  page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  page[100] = 'x';
  printf("written: %c\n", page[100]);
  if (sigsetjmp(out, 1) == 0) *(volatile int *)0 = 1;
  puts("after the null pointer");
  if (sigsetjmp(out, 1) == 0) ((void (*)(void))page)();
  puts("after the jump to data");
  printf("faults: %d\n", faults);
  return 0;
}
