// A SIGSEGV handler mends the fault by changing registers, flags and the FPU state in its ucontext.
// compat: variants=pie,static,musl-static
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

static int target = 77;
static volatile int trapno, seen;

static void mend(int sig, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  greg_t *r = uc->uc_mcontext.gregs;
  seen = sig;
  trapno = (int)r[REG_TRAPNO];
  switch (sig) {
  case SIGSEGV:
    if (r[REG_RBX] == 1) { // a bad pointer: give it a good one and repeat
      r[REG_RDI] = (greg_t)(uintptr_t)&target;
    } else { // skip the instruction (3 bytes), set the carry flag and xmm0
      r[REG_RIP] += 3;
      r[REG_EFL] |= 1;
      memset(&uc->uc_mcontext.fpregs->_xmm[0], 0x11, 16);
    }
    break;
  case SIGFPE: r[REG_RCX] = 3; break;
  case SIGILL: r[REG_RIP] += 2; break;
  case SIGTRAP: r[REG_RAX] = 99; break;
  }
  (void)info;
}

int main(void) {
  struct sigaction sa = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
  int sigs[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 4; i++) sigaction(sigs[i], &sa, NULL);

  long value;
  __asm__ volatile("mov $1, %%ebx; mov $8, %%edi; movslq (%%rdi), %0" : "=a"(value) : : "rbx", "rdi", "memory");
  printf("value %ld, trap %d\n", value, trapno);

  unsigned char carry;
  uint64_t low;
  __asm__ volatile("mov $2, %%ebx; mov $8, %%edi; clc; pxor %%xmm0, %%xmm0; mov (%%rdi), %%rax; setc %0; movq %%xmm0, %1"
                   : "=r"(carry), "=r"(low)
                   :
                   : "rax", "rbx", "rdi", "xmm0", "memory");
  printf("carry %d, xmm0 %lx\n", carry, low);

  int quotient;
  __asm__ volatile("mov $21, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx; divl %%ecx" : "=a"(quotient) : : "rcx", "rdx");
  printf("quotient %d, signal %d, trap %d\n", quotient, seen, trapno);

  __asm__ volatile("ud2");
  printf("signal %d, trap %d\n", seen, trapno);

  __asm__ volatile("int3" : "=a"(value));
  printf("signal %d, trap %d, rax %ld\n", seen, trapno, value);

  // A non-canonical address is a general protection fault: no address is told.
  seen = 0;
  __asm__ volatile("mov $2, %%ebx; movabs $0x8000000000000000, %%rdi; mov (%%rdi), %%rax" : : : "rax", "rbx", "rdi", "memory");
  printf("signal %d, trap %d\n", seen, trapno);

  // So is an address in the kernel's half, as far as a program can tell.
  seen = 0;
  __asm__ volatile("mov $2, %%ebx; mov $0xffffa00000000000, %%rdi; mov (%%rdi), %%rax" : : : "rax", "rbx", "rdi", "memory");
  printf("signal %d, trap %d\n", seen, trapno);
  return 0;
}
