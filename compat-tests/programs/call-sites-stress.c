// compat: variants=pie,static timeout=120
// Eight threads at the same call sites: four make calls there, one changes the protection of their pages, one takes them away
// and puts them back or moves them, one sends signals whose handler looks at where it interrupted, one forks. The argument
// is how many seconds (default 3).
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define REGIONS 4
#define SITES 16
#define SPACING 64
#define SIZE 4096
#define CALLERS 4

// mov %edi,%eax; mov %rsi,%rdi; mov %rdx,%rsi; xor %edx,%edx; syscall; ...; with where each instruction begins.
static const unsigned char head[] = { 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x31, 0xd2, 0x0f, 0x05 };
static const struct { unsigned char code[16], len; } tails[] = {
	{ { 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xc3 }, 7 },		// cmp; ret
	{ { 0xc3, 0x66, 0x90, 0x90 }, 4 },				// ret; padding
	{ { 0x90, 0x90, 0x90, 0xc3 }, 4 },				// nop; nop; nop; ret
	{ { 0x85, 0xc0, 0x78, 0x00, 0xc3 }, 5 },			// test; js; ret
};
static const unsigned starts = 1u << 0 | 1u << 2 | 1u << 5 | 1u << 8 | 1u << 10;
static const unsigned tail_starts[] = { 1 | 1 << 6, 1 | 1 << 1 | 1 << 3, 1 | 2 | 4 | 8, 1 | 1 << 2 | 1 << 4 };

static unsigned char *_Atomic region[REGIONS];
static pthread_rwlock_t present[REGIONS];
static atomic_long wrong_results, wrong_places, interrupted, calls, forks;
static atomic_int stop;
static pthread_t callers[CALLERS];
static int pipes[CALLERS][2];

static void fill(unsigned char *at)
{
	memset(at, 0xcc, SIZE);
	for (int s = 0; s < SITES; s++) {
		memcpy(at + s * SPACING, head, sizeof head);
		memcpy(at + s * SPACING + sizeof head, tails[s % 4].code, tails[s % 4].len);
	}
}

// A place in a region must be where an instruction of the program begins.
static void on_signal(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info;
	uintptr_t rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	atomic_fetch_add(&interrupted, 1);
	for (int r = 0; r < REGIONS; r++) {
		uintptr_t at = rip - (uintptr_t)atomic_load(&region[r]);
		if (at >= SIZE)
			continue;
		unsigned offset = at % SPACING, site = at / SPACING;
		int ok = offset < sizeof head ? starts >> offset & 1
			: site < SITES && offset - sizeof head < 16 && (tail_starts[site % 4] >> (offset - sizeof head) & 1);
		if (!ok)
			atomic_fetch_add(&wrong_places, 1);
		return;
	}
}

static void *caller(void *argument)
{
	unsigned me = (uintptr_t)argument, seed = me;
	long pid = getpid();
	while (!atomic_load(&stop)) {
		int r = rand_r(&seed) % REGIONS, s = rand_r(&seed) % SITES;
		pthread_rwlock_rdlock(&present[r]);
		long (*call)(long, long, void *) = (void *)(atomic_load(&region[r]) + s * SPACING);
		char byte = 'x';
		struct timespec moment = { 0, 20000 };
		switch (rand_r(&seed) % 8) {
		case 0:
			if (call(SYS_getppid, 0, NULL) == pid)
				atomic_fetch_add(&wrong_results, 1);
			break;
		case 1: {
			long got = call(SYS_nanosleep, (long)&moment, NULL);
			if (got != 0 && got != -4)
				atomic_fetch_add(&wrong_results, 1);
			break;
		}
		case 2:
			if (write(pipes[me][1], &byte, 1) != 1 || call(SYS_dup, pipes[me][0], NULL) < 0)
				atomic_fetch_add(&wrong_results, 1);
			break;
		default:
			if (call(SYS_getpid, 0, NULL) != pid)
				atomic_fetch_add(&wrong_results, 1);
		}
		pthread_rwlock_unlock(&present[r]);
		atomic_fetch_add(&calls, 1);
		if (byte == 'x')
			syscall(SYS_close_range, 100, ~0u, 0);
	}
	return NULL;
}

// The code stays executable, whatever else changes.
static void *protector(void *argument)
{
	unsigned seed = 77;
	while (!atomic_load(&stop)) {
		int r = rand_r(&seed) % REGIONS;
		pthread_rwlock_rdlock(&present[r]);
		unsigned char *at = atomic_load(&region[r]);
		mprotect(at, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
		// Writing what is there is no change.
		at[SIZE - 1] = 0xcc;
		if (memcmp(at + (rand_r(&seed) % SITES) * SPACING, head, sizeof head) != 0 && !argument)
			atomic_fetch_add(&wrong_results, 1);
		mprotect(at, SIZE, PROT_READ | PROT_EXEC);
		pthread_rwlock_unlock(&present[r]);
		usleep(rand_r(&seed) % 3000);
	}
	return NULL;
}

static void *mapper(void *argument)
{
	(void)argument;
	unsigned seed = 99;
	while (!atomic_load(&stop)) {
		int r = rand_r(&seed) % REGIONS;
		pthread_rwlock_wrlock(&present[r]);
		unsigned char *at = atomic_load(&region[r]);
		if (rand_r(&seed) % 2) {
			munmap(at, SIZE);
			at = mmap(at, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			fill(at);
			mprotect(at, SIZE, PROT_READ | PROT_EXEC);
		} else {
			unsigned char *to = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			at = mremap(at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		}
		atomic_store(&region[r], at);
		pthread_rwlock_unlock(&present[r]);
		usleep(rand_r(&seed) % 5000);
	}
	return NULL;
}

static void *signaller(void *argument)
{
	(void)argument;
	unsigned seed = 55;
	while (!atomic_load(&stop)) {
		pthread_kill(callers[rand_r(&seed) % CALLERS], SIGUSR1);
		usleep(rand_r(&seed) % 500);
	}
	return NULL;
}

// The child uses the sites, and the parent's are none the worse for it.
static void *forker(void *argument)
{
	(void)argument;
	unsigned seed = 33;
	while (!atomic_load(&stop)) {
		for (int r = 0; r < REGIONS; r++)
			pthread_rwlock_rdlock(&present[r]);
		pid_t child = fork();
		if (child == 0) {
			int bad = 0;
			for (int i = 0; i < 50; i++) {
				unsigned char *at = atomic_load(&region[i % REGIONS]);
				if (i == 25)
					mprotect(at, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
				long (*call)(long, long, void *) = (void *)(at + (rand_r(&seed) % SITES) * SPACING);
				bad |= call(SYS_getpid, 0, NULL) != getpid();
			}
			_exit(bad);
		}
		for (int r = 0; r < REGIONS; r++)
			pthread_rwlock_unlock(&present[r]);
		int status = 0;
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			atomic_fetch_add(&wrong_results, 1);
		atomic_fetch_add(&forks, 1);
		usleep(20000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 3;
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	sigaction(SIGUSR1, &action, NULL);
	// Unlike other handlers' signals, this one must not end a child's calls early.
	for (int r = 0; r < REGIONS; r++) {
		pthread_rwlock_init(&present[r], NULL);
		unsigned char *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		fill(at);
		mprotect(at, SIZE, PROT_READ | PROT_EXEC);
		atomic_store(&region[r], at);
	}
	for (int c = 0; c < CALLERS; c++)
		if (pipe(pipes[c]) != 0)
			return 1;
	pthread_t others[4];
	void *(*const work[4])(void *) = { protector, mapper, signaller, forker };
	for (uintptr_t c = 0; c < CALLERS; c++)
		pthread_create(&callers[c], NULL, caller, (void *)c);
	for (int o = 0; o < 4; o++)
		pthread_create(&others[o], NULL, work[o], NULL);
	sleep(seconds);
	atomic_store(&stop, 1);
	for (int o = 0; o < 4; o++)
		pthread_join(others[o], NULL);
	for (int c = 0; c < CALLERS; c++)
		pthread_join(callers[c], NULL);
	fprintf(stderr, "%ld calls, %ld signals, %ld forks\n", calls, interrupted, forks);
	printf("wrong results: %ld\n", wrong_results);
	printf("wrong places: %ld\n", wrong_places);
	printf("work was done: %d\n", calls > 100 && interrupted > 10 && forks > 0);
	return 0;
}
