// compat: variants=pie,no-pie,static,musl-static
// System calls from every shape of call site: registers and flags afterwards, data below the stack pointer, branches to and
// past the instruction, code that reads, moves and rewrites itself, single steps. Each is done often enough that a kernel
// which replaces call sites has done so.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define TIMES 5

static void check(const char *what, int ok)
{
	printf("%s: %s\n", what, ok ? "ok" : "WRONG");
}

// Registers and flags: each register keeps its value; rcx and r11 get the return address and the flags.
struct state { uint64_t r[16], flags, expected_rcx; };
__attribute__((noinline)) static void registers_call(struct state *s, uint64_t flags)
{
	__asm__ volatile(
		"push %%rbx\n push %%rbp\n push %0\n"
		"push %1\n popfq\n"
		"mov $0x1111, %%rbx\n mov $0x2222, %%rbp\n mov $0x3333, %%rdx\n mov $0x4444, %%rsi\n mov $0x5555, %%rdi\n"
		"mov $0x6666, %%r8\n mov $0x7777, %%r9\n mov $0x8888, %%r10\n mov $0x9999, %%r12\n mov $0xaaaa, %%r13\n"
		"mov $0xbbbb, %%r14\n mov $0xcccc, %%r15\n mov $39, %%eax\n"
		"syscall\n"
		"1: nopl 0x0(%%rax,%%rax,1)\n"
		"pushfq\n cld\n"
		"push %%r15\n mov 16(%%rsp), %%r15\n"
		"mov %%rax, 0(%%r15)\n mov %%rbx, 8(%%r15)\n mov %%rcx, 16(%%r15)\n mov %%rdx, 24(%%r15)\n mov %%rsi, 32(%%r15)\n"
		"mov %%rdi, 40(%%r15)\n mov %%rbp, 48(%%r15)\n mov %%r8, 64(%%r15)\n mov %%r9, 72(%%r15)\n mov %%r10, 80(%%r15)\n"
		"mov %%r11, 88(%%r15)\n mov %%r12, 96(%%r15)\n mov %%r13, 104(%%r15)\n mov %%r14, 112(%%r15)\n"
		"pop %%rax\n mov %%rax, 120(%%r15)\n pop %%rax\n mov %%rax, 128(%%r15)\n"
		"lea 1b(%%rip), %%rax\n mov %%rax, 136(%%r15)\n"
		"pop %%rax\n pop %%rbp\n pop %%rbx\n"
		: : "D"(s), "S"(flags)
		: "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

static void registers(void)
{
	// Carry, parity, adjust, zero, sign, overflow, and the direction flag.
	uint64_t patterns[] = { 0x202, 0x203, 0xad7, 0x246, 0x283, 0xa02, 0x602, 0x697 };
	int ok = 1;
	for (int i = 0; i < TIMES * 8; i++) {
		struct state s = { 0 };
		registers_call(&s, patterns[i % 8]);
		static const uint64_t kept[16] = { 0, 0x1111, 0, 0x3333, 0x4444, 0x5555, 0x2222, 0, 0x6666, 0x7777, 0x8888, 0,
			0x9999, 0xaaaa, 0xbbbb, 0xcccc };
		for (int r = 0; r < 16; r++)
			if (kept[r] && s.r[r] != kept[r])
				ok = 0, printf("register %d is %#lx\n", r, (long)s.r[r]);
		uint64_t mask = 0xed5 & ~0x200ul;
		if (s.r[0] != (uint64_t)getpid() || s.r[2] != s.expected_rcx)
			ok = 0, printf("rax or rcx in round %d\n", i);
		if ((s.flags & mask) != (patterns[i % 8] & mask) || (s.r[11] & mask) != (patterns[i % 8] & mask))
			ok = 0, printf("flags %#lx, r11 %#lx for %#lx\n", (long)s.flags, (long)s.r[11], (long)patterns[i % 8]);
	}
	check("registers and flags", ok);
}

// A leaf function with live data below the stack pointer.
__attribute__((noinline)) static long red_zone(long seed)
{
	long sum;
	__asm__ volatile(
		"mov %1, -8(%%rsp)\n mov %1, -16(%%rsp)\n mov %1, -64(%%rsp)\n mov %1, -120(%%rsp)\n mov %1, -128(%%rsp)\n"
		"mov $39, %%eax\n syscall\n"
		"mov -8(%%rsp), %0\n add -16(%%rsp), %0\n add -64(%%rsp), %0\n add -120(%%rsp), %0\n add -128(%%rsp), %0\n"
		: "=&r"(sum) : "r"(seed) : "rax", "rcx", "r11", "memory", "cc");
	return sum;
}

// Shapes. Each takes a call number and returns its result, unless said otherwise.
extern char shape_cmp[], shape_cmp_at[], shape_cmp_after[], shape_ret[], shape_pops[], shape_test[], shape_rip[], shape_jmp[],
	shape_loop[], shape_call[], into_syscall[], past_syscall[], shape_pops_mid[], into_pops[];
extern long rip_result;
__asm__(
	".text\n"
	".balign 16\nshape_cmp: mov %edi, %eax\nshape_cmp_at: syscall\nshape_cmp_after: cmp $-4095, %rax\n jae 1f\n ret\n1: neg %rax\n ret\n"
	".balign 16\nshape_ret: mov %edi, %eax\n syscall\n ret\n.balign 16, 0x90\n"
	// The window is three instructions of one byte.
	".balign 16\nshape_pops: push %rbx\n push %r12\n push %rbp\n mov %edi, %eax\n syscall\nshape_pops_mid: pop %rbp\n pop %rbx\n mov %rbx, %r12\n pop %rbx\n ret\n"
	".balign 16\nshape_test: mov %edi, %eax\n syscall\n test %eax, %eax\n js 1f\n ret\n1: neg %eax\n ret\n"
	".balign 16\nshape_rip: mov %edi, %eax\n syscall\n mov %rax, rip_result(%rip)\n mov rip_result(%rip), %rax\n ret\n"
	".balign 16\nshape_jmp: mov %edi, %eax\n syscall\n jmp 1f\n .balign 16, 0x90\n1: ret\n"
	// Calls until rsi is 0: a branch in the window.
	".balign 16\nshape_loop: mov %edi, %eax\n syscall\n dec %esi\n jnz shape_loop\n ret\n"
	".balign 16\nshape_call: push %rbx\n mov %edi, %eax\n syscall\n call 1f\n pop %rbx\n ret\n1: ret\n"
	// Straight to the instruction, and past it with rax = rsi, rcx = rdx; returns rax + rcx.
	".balign 16\ninto_syscall: mov %edi, %eax\n jmp shape_cmp_at\n"
	".balign 16\npast_syscall: mov %rsi, %rax\n mov %rdx, %rcx\n call shape_cmp_after\n add %rcx, %rax\n ret\n"
	// To the middle one of the pops.
	".balign 16\ninto_pops: push %rbx\n push %r12\n push %rbp\n mov %rdi, %rax\n jmp shape_pops_mid\n"
	".data\nrip_result: .quad 0\n.text\n");

typedef long (*function)(long, long, long);

static void shapes(void)
{
	struct { const char *name; char *code; } all[] = { { "cmp", shape_cmp }, { "ret", shape_ret }, { "pops", shape_pops },
		{ "test", shape_test }, { "rip", shape_rip }, { "jmp", shape_jmp }, { "call", shape_call }, { "into", into_syscall } };
	for (unsigned s = 0; s < sizeof all / sizeof *all; s++) {
		int ok = 1;
		for (int i = 0; i < TIMES; i++) {
			ok &= ((function)all[s].code)(SYS_getpid, 0, 0) == getpid();
			ok &= ((function)all[s].code)(SYS_getuid, 0, 0) == getuid();
		}
		check(all[s].name, ok);
	}
	// The number is the descriptor too, and no such one is open.
	check("error", ((function)shape_cmp)(SYS_fcntl, 0, 0) == EBADF);
	int loops = 1, past = 1, pops = 1;
	for (int i = 1; i < 20; i++)
		loops &= ((function)shape_loop)(SYS_getpid, i, 0) == getpid();
	for (int i = 0; i < 3000; i++)
		past &= ((function)past_syscall)(0, i, 1000) == i + 1000;
	for (int i = 0; i < 3000; i++)
		pops &= ((function)into_pops)(i, 0, 0) == i;
	check("loop", loops);
	check("branch past the instruction", past);
	check("branch amid short instructions", pops);
	check("afterwards", ((function)shape_cmp)(SYS_getpid, 0, 0) == getpid());
}

// The code as the program reads it, and as the file has it.
static void own_code(void)
{
	unsigned char in_memory[2], in_file[2], mapped[2] = { 0 };
	memcpy(in_memory, shape_cmp_at, 2);
	check("a site is a system call or a jump",
		(in_memory[0] == 0x0f && in_memory[1] == 0x05) || in_memory[0] == 0xe9);
	char line[512];
	unsigned long from, to, offset, found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && from <= (uintptr_t)shape_cmp_at && (uintptr_t)shape_cmp_at < to)
			found = (uintptr_t)shape_cmp_at - from + offset;
	fclose(maps);
	int fd = open("/proc/self/exe", O_RDONLY);
	pread(fd, in_file, 2, found);
	check("the file is as it was", in_file[0] == 0x0f && in_file[1] == 0x05);
	char *again = mmap(NULL, (found & ~4095) + 8192, PROT_READ, MAP_PRIVATE, fd, 0);
	if (again != MAP_FAILED)
		memcpy(mapped, again + found, 2);
	check("another mapping is as it was", mapped[0] == 0x0f && mapped[1] == 0x05);
	close(fd);
	uintptr_t page = (uintptr_t)shape_cmp_at & ~4095ul;
	mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(in_memory, shape_cmp_at, 2);
	check("writable, it is the program's own", in_memory[0] == 0x0f && in_memory[1] == 0x05);
	check("and works", ((function)shape_cmp)(SYS_getpid, 0, 0) == getpid());
	mprotect((void *)page, 8192, PROT_READ | PROT_EXEC);
	int ok = 1;
	for (int i = 0; i < TIMES; i++)
		ok &= ((function)shape_cmp)(SYS_getpid, 0, 0) == getpid();
	check("and again", ok);
}

static size_t emit(unsigned char *at, int nr)
{
	unsigned char code[] = { 0xb8, nr, nr >> 8, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xc3 };
	memcpy(at, code, sizeof code);
	return sizeof code;
}

static int calls(void *code, long expected)
{
	int ok = 1;
	for (int i = 0; i < TIMES; i++)
		ok &= ((function)code)(0, 0, 0) == expected;
	return ok;
}

// Code that the program makes, rewrites, moves and takes away.
static void generated(void)
{
	unsigned char *code = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	// The window reaches over the end of the page.
	unsigned char *edge = code + 4096 - 8;
	emit(code, SYS_getpid);
	emit(edge, SYS_getpid);
	mprotect(code, 8192, PROT_READ | PROT_EXEC);
	check("generated", calls(code, getpid()) && calls(edge, getpid()));
	mprotect(code, 8192, PROT_READ | PROT_WRITE);
	emit(code, SYS_getuid);
	emit(edge, SYS_getuid);
	mprotect(code, 8192, PROT_READ | PROT_EXEC);
	check("rewritten", calls(code, getuid()) && calls(edge, getuid()));
	mprotect(code, 4096, PROT_NONE);
	mprotect(code, 4096, PROT_READ | PROT_EXEC);
	check("hidden and shown", calls(code, getuid()) && calls(edge, getuid()));
	unsigned char *room = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	code = mremap(code, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	check("moved", calls(code, getuid()) && calls(code + 4096 - 8, getuid()));
	munmap(code, 8192);
	mmap(code, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	emit(code, SYS_getpid);
	mprotect(code, 8192, PROT_READ | PROT_EXEC);
	check("mapped anew", calls(code, getpid()));
	mprotect(code, 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
	emit(code + 64, SYS_getpid);
	check("writable and executable", calls(code + 64, getpid()));
	emit(code + 64, SYS_getuid);
	check("rewritten at once", calls(code + 64, getuid()));
	munmap(code, 4096);
	int fd = memfd_create("code", 0);
	ftruncate(fd, 4096);
	unsigned char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	emit(shared, SYS_getpid);
	unsigned char *run = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	check("shared", calls(run, getpid()) && shared[5] == 0x0f && shared[6] == 0x05);
	unsigned char *private = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	check("private", calls(private, getpid()) && shared[5] == 0x0f && shared[6] == 0x05);
	madvise(private, 4096, MADV_DONTNEED);
	check("dropped and read again", calls(private, getpid()));
}

static volatile int steps, strange;
static char *step_from, *step_to;

static void on_trap(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info;
	char *rip = (char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	steps++;
	strange += rip < step_from || rip > step_to;
}

extern char step_begin[], step_end[];
__attribute__((noinline)) static long stepped(void)
{
	long result;
	__asm__ volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n"
		".globl step_begin\nstep_begin: mov $39, %%eax\n syscall\n cmp $-4095, %%rax\n mov %%rax, %0\n"
		"pushfq\n andq $~0x100, (%%rsp)\n popfq\n.globl step_end\nstep_end: nop\n"
		: "=r"(result) : : "rax", "rcx", "r11", "memory", "cc");
	return result;
}

static void single_steps(void)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	sigaction(SIGTRAP, &action, NULL);
	step_from = step_begin, step_to = step_end;
	int ok = 1;
	for (int i = 0; i < TIMES; i++) {
		steps = 0;
		ok &= stepped() == getpid() && steps >= 5 && steps <= 9;
	}
	check("single steps", ok);
	check("steps are in the program", strange == 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	// A kernel may leave the sites of a program alone that makes but a few calls.
	for (int i = 0; i < 500; i++)
		getppid();
	registers();
	int ok = 1;
	for (long i = 0; i < TIMES; i++)
		ok &= red_zone(1000 + i) == 5 * (1000 + i);
	check("red zone", ok);
	shapes();
	own_code();
	generated();
	single_steps();
	return 0;
}
