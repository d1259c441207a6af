// compat: variants=musl,musl-static timeout=90
// Cancellation of threads: at calls that block, before them, and just as they return. musl decides by where the signal
// interrupted: before its system call's instruction has done its work the thread ends, afterwards it gets the result.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 300

static int pipe_fd[2];
static atomic_int started, cleaned;
static sem_t never;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void clean(void *argument)
{
	(void)argument;
	atomic_fetch_add(&cleaned, 1);
}

static void unlock(void *argument)
{
	pthread_mutex_unlock(argument);
	atomic_fetch_add(&cleaned, 1);
}

static void *in_read(void *argument)
{
	char byte;
	pthread_cleanup_push(clean, NULL);
	atomic_store(&started, 1);
	while (read(*(int *)argument, &byte, 1) == 1)
		;
	pthread_cleanup_pop(0);
	return NULL;
}

static void *in_sleep(void *argument)
{
	struct timespec hour = { 3600, 0 };
	(void)argument;
	pthread_cleanup_push(clean, NULL);
	atomic_store(&started, 1);
	nanosleep(&hour, NULL);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *in_semaphore(void *argument)
{
	(void)argument;
	pthread_cleanup_push(clean, NULL);
	atomic_store(&started, 1);
	sem_wait(&never);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *in_condition(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(unlock, &mutex);
	atomic_store(&started, 1);
	for (;;)
		pthread_cond_wait(&condition, &mutex);
	pthread_cleanup_pop(1);
	return NULL;
}

// Cancelled before its call: it must not wait for a byte that never comes.
static void *late(void *argument)
{
	char byte;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	atomic_store(&started, 1);
	while (atomic_load(&started) == 1)
		sched_yield();
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	read(*(int *)argument, &byte, 1);
	return NULL;
}

static void *asynchronous(void *argument)
{
	(void)argument;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	atomic_store(&started, 1);
	for (volatile long n = 0;; n++)
		;
	return NULL;
}

static void *disabled(void *argument)
{
	char byte;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	atomic_store(&started, 1);
	return read(*(int *)argument, &byte, 1) == 1 && byte == 'd' ? argument : NULL;
}

static void wait_started(void)
{
	while (!atomic_load(&started))
		sched_yield();
}

static void cancelled(const char *name, void *(*run)(void *), int *fd)
{
	pthread_t thread;
	void *result = NULL;
	atomic_store(&started, 0);
	atomic_store(&cleaned, 0);
	pthread_create(&thread, NULL, run, fd);
	wait_started();
	usleep(2000);
	pthread_cancel(thread);
	atomic_fetch_add(&started, 1);
	pthread_join(thread, &result);
	printf("%s: %s, cleaned up %d\n", name, result == PTHREAD_CANCELED ? "cancelled" : "returned", cleaned);
}

static long got;

// Takes byte after byte. What a read has taken must have been counted before the thread can end.
static void *taker(void *argument)
{
	char byte;
	(void)argument;
	atomic_store(&started, 1);
	while (read(pipe_fd[0], &byte, 1) == 1)
		got++;
	return NULL;
}

int main(void)
{
	int sockets[2];
	if (pipe(pipe_fd) || sem_init(&never, 0, 0) || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return 1;
	cancelled("read of a pipe", in_read, &pipe_fd[0]);
	cancelled("read of a socket", in_read, &sockets[0]);
	cancelled("nanosleep", in_sleep, NULL);
	cancelled("sem_wait", in_semaphore, NULL);
	cancelled("pthread_cond_wait", in_condition, NULL);
	printf("mutex is free: %d\n", pthread_mutex_trylock(&mutex) == 0);
	cancelled("before the call", late, &pipe_fd[0]);
	cancelled("asynchronous", asynchronous, NULL);

	pthread_t thread;
	void *result;
	atomic_store(&started, 0);
	pthread_create(&thread, NULL, disabled, &pipe_fd[0]);
	wait_started();
	pthread_cancel(thread);
	write(pipe_fd[1], "d", 1);
	pthread_join(thread, &result);
	printf("disabled: %s\n", result == &pipe_fd[0] ? "got its byte" : "did not");

	long written = 0, lost = 0;
	unsigned seed = 1;
	for (int round = 0; round < ROUNDS; round++) {
		got = written = 0;
		atomic_store(&started, 0);
		pthread_create(&thread, NULL, taker, NULL);
		wait_started();
		for (int n = rand_r(&seed) % 20; n >= 0; n--)
			written += write(pipe_fd[1], "x", 1);
		for (volatile int n = rand_r(&seed) % 20000; n > 0; n--)
			;
		pthread_cancel(thread);
		pthread_join(thread, &result);
		// What nobody took is still there.
		write(pipe_fd[1], "!", 1);
		char byte = 0;
		long left = -1;
		while (byte != '!' && read(pipe_fd[0], &byte, 1) == 1)
			left++;
		lost += written - got - left;
	}
	printf("bytes lost: %ld\n", lost);
	return 0;
}
