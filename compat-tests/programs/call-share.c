// compat: variants=pie,static direct=99
// Files, pipes, threads, polling and memory, often enough that the first call at each site does not count: nearly all
// calls are direct.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 2000

static int there[2], back[2];

static void *echo(void *unused)
{
	char byte;
	while (read(there[0], &byte, 1) == 1 && byte != 0)
		if (write(back[1], &byte, 1) != 1)
			break;
	return unused;
}

int main(void)
{
	char name[] = "/tmp/call-share-XXXXXX";
	int fd = mkstemp(name);
	unlink(name);
	pthread_t thread;
	if (fd < 0 || pipe(there) || pipe(back) || pthread_create(&thread, NULL, echo, NULL))
		return 1;
	long wrong = 0;
	for (int i = 0; i < ROUNDS; i++) {
		char buffer[64] = "round", byte = 'x', again = 0;
		struct stat status;
		struct pollfd fds = { back[0], POLLIN, 0 };
		wrong += pwrite(fd, buffer, sizeof buffer, i * 64L) != sizeof buffer;
		wrong += pread(fd, buffer, sizeof buffer, i * 32L / 64 * 64) != sizeof buffer;
		wrong += fstat(fd, &status) != 0 || status.st_size != (i + 1) * 64L;
		wrong += write(there[1], &byte, 1) != 1;
		wrong += poll(&fds, 1, -1) != 1;
		wrong += read(back[0], &again, 1) != 1 || again != byte;
		wrong += lseek(fd, 0, SEEK_SET) != 0;
		if (i % 10 == 0) {
			void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			wrong += page == MAP_FAILED || mprotect(page, 4096, PROT_READ) != 0 || munmap(page, 4096) != 0;
			int other = open("/dev/null", O_WRONLY);
			wrong += other < 0 || write(other, buffer, 1) != 1 || close(other) != 0;
		}
	}
	char end = 0;
	wrong += write(there[1], &end, 1) != 1;
	pthread_join(thread, NULL);
	printf("%d rounds, %ld wrong\n", ROUNDS, wrong);
	return 0;
}
