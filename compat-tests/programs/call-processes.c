// compat: variants=pie,static,musl-static direct=98
// What each process has of its own: the vDSO, addresses by chance, and call sites. A child of fork(2) has its parent's
// addresses, and sites that one of them uses first work in both; a program that is executed starts anew, elsewhere. Nearly
// all calls of all of them together are direct.
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS 4000
#define TIMES 8
#define SITES 6

struct places { uintptr_t code, stack, heap, mapped, vdso; };

extern char **environ;

// Each is a site of its own: fcntl(rdi, F_GETFD), which answers 1 for a descriptor that is closed by exec.
#define SITE(n) \
	__attribute__((noinline)) static long site##n(long fd) \
	{ \
		long result = SYS_fcntl; \
		__asm__ volatile("syscall" : "+a"(result) : "D"(fd), "S"(F_GETFD) : "rcx", "r11", "memory"); \
		return result; \
	}
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5)
static long (*const site[SITES])(long) = { site0, site1, site2, site3, site4, site5 };

static struct places here(void)
{
	int local;
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page, 4096);
	return (struct places){ (uintptr_t)here, (uintptr_t)&local & ~0xfffful, (uintptr_t)sbrk(0), (uintptr_t)page,
		getauxval(AT_SYSINFO_EHDR) };
}

// The vDSO is an ELF file, in the list of mappings, and its clock is the kernel's.
static int vdso_works(void)
{
	uintptr_t at = getauxval(AT_SYSINFO_EHDR), start = 0;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps))
		if (strstr(line, "[vdso]"))
			sscanf(line, "%lx", &start);
	fclose(maps);
	if (!at || at != start || memcmp((void *)at, ELFMAG, SELFMAG))
		return 0;
	for (int i = 0; i < 1000; i++) {
		struct timespec before, between, after;
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before);
		clock_gettime(CLOCK_MONOTONIC, &between);
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &after);
		long long b = before.tv_sec * 1000000000ll + before.tv_nsec, m = between.tv_sec * 1000000000ll + between.tv_nsec,
			  a = after.tv_sec * 1000000000ll + after.tv_nsec;
		if (b > m || m > a)
			return 0;
	}
	return 1;
}

static int calls_work(long fd, int from, int to)
{
	int ok = 1;
	for (int i = 0; i < CALLS; i++)
		for (int s = from; s < to; s++)
			ok &= site[s](fd) == 1 && site[s](-1) == -9;
	return ok;
}

static int same(struct places a, struct places b)
{
	return a.code == b.code && a.stack == b.stack && a.heap == b.heap && a.mapped == b.mapped && a.vdso == b.vdso;
}

static int end_of(pid_t child)
{
	int status;
	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A child, and its child: each uses sites that the one before has used, and one more.
static void forked(long fd)
{
	printf("parent: calls %d, vdso %d\n", calls_work(fd, 0, 2), vdso_works());
	fflush(stdout);
	struct places mine = here();
	pid_t child = fork();
	if (child == 0) {
		int ok = same(mine, here()) && calls_work(fd, 0, 4) && vdso_works();
		mine = here();
		pid_t grandchild = fork();
		if (grandchild == 0)
			_exit(same(mine, here()) && calls_work(fd, 1, 5) && vdso_works() ? 21 : 1);
		// Both at once, at a site that is new to both.
		ok &= calls_work(fd, 4, 5);
		_exit(ok && end_of(grandchild) == 21 ? 20 : 1);
	}
	int ok = calls_work(fd, 3, 4);
	printf("child: %d, parent meanwhile %d", end_of(child), ok);
	printf(", and afterwards %d\n", calls_work(fd, 0, SITES));
	fflush(stdout);
	child = vfork();
	if (child == 0)
		_exit(getauxval(AT_SYSINFO_EHDR) == mine.vdso && site5(fd) == 1 ? 22 : 1);
	printf("vfork: %d\n", end_of(child));
}

// Programs executed one after another: how many different places each part was at.
static void executed(long fd, const char *name)
{
	struct places seen[TIMES];
	int good = 0, ends[2];
	(void)!pipe(ends);
	char number[16], out[16], *argv[] = { "again", number, out, NULL };
	snprintf(number, sizeof number, "%ld", fd);
	snprintf(out, sizeof out, "%d", ends[1]);
	for (int i = 0; i < TIMES; i++) {
		pid_t child;
		if (i % 2)
			posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ);
		else if ((child = fork()) == 0)
			execv("/proc/self/exe", argv), _exit(99);
		good += end_of(child) == 23 && read(ends[0], &seen[i], sizeof *seen) == sizeof *seen;
	}
	int different[5] = { 0 };
	for (int i = 0; i < TIMES; i++)
		for (int part = 0; part < 5; part++) {
			int known = 0;
			for (int j = 0; j < i; j++)
				known |= ((uintptr_t *)&seen[i])[part] == ((uintptr_t *)&seen[j])[part];
			different[part] += !known;
		}
	printf("%s: %d of %d;", name, good, TIMES);
	const char *names[] = { "code", "stack", "heap", "mappings", "vdso" };
	for (int part = 0; part < 5; part++)
		printf(" %s %s", names[part], different[part] > 1 ? "moves" : "stays");
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		// In the program that was executed: the parent's descriptors, but for one that is its own.
		struct places mine = here();
		int fd = fcntl(atoi(argv[1]), F_DUPFD_CLOEXEC, 0);
		int ok = calls_work(fd, 0, SITES) && vdso_works();
		ok &= write(atoi(argv[2]), &mine, sizeof mine) == sizeof mine;
		return ok ? 23 : 1;
	}
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), kept = dup(fd);
	forked(fd);
	executed(kept, "by chance");
	personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
	executed(kept, "not by chance");
	return 0;
}
