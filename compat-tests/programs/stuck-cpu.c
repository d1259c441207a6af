// A CPU that runs with interrupts off for longer than the watchdog's threshold is reported, with where it is; and it goes on.
// compat: native=no cpus=2 stderr="has not answered an interrupt"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *threshold = "/proc/sys/kernel/watchdog_thresh";
static void run_on(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("sched_setaffinity");
        exit(1);
    }
}

static int set(const char *value) {
    int fd = open(threshold, O_WRONLY);
    int result = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    close(fd);
    return result;
}

// The application has the processor's privileges: nothing else keeps interrupts away for so long. It ends by itself, because
// another thread that makes a system call meanwhile may have to wait for this CPU. The vDSO tells the time without a call.
static void *spin(void *arg) {
    struct timespec begin, now;
    run_on(1);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    __asm__ volatile("cli");
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (now.tv_sec - begin.tv_sec < 4);
    __asm__ volatile("sti");
    return arg;
}

int main(void) {
    char text[8] = "";
    pthread_t thread;
    run_on(0);
    if (read(open(threshold, O_RDONLY), text, 7) != 3 || strcmp(text, "10\n") || set("61") || !set("1"))
        return 1;
    pthread_create(&thread, NULL, spin, NULL);
    pthread_join(thread, NULL);
    return 0;
}
