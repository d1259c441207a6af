// A process that is told to go on right after it was told to stop goes on, wherever it has got to with the stop; and a signal
// that comes then ends it.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 4000 };

static long ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(void)
{
    volatile unsigned long *turns = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0)
        for (;;) {
            ++*turns;
            getppid();
        }
    while (*turns == 0)
        usleep(1000);
    int rounds = 0;
    long begin = ms();
    for (; rounds < ROUNDS && ms() - begin < 2000; rounds++) {
        kill(child, SIGSTOP);
        for (volatile int i = 0; i < rounds * 7 % 200; i++)
            ;
        kill(child, SIGCONT);
        unsigned long before = *turns;
        for (long since = ms(); *turns == before && ms() - since < 5000;)
            usleep(50);
        if (*turns == before) {
            printf("stopped for good\n");
            break;
        }
    }
    printf("goes on: %s\n", rounds > 20 ? "each time" : "no");
    kill(child, SIGSTOP);
    kill(child, SIGCONT);
    kill(child, SIGTERM);
    int status;
    for (int i = 0; i < 500 && waitpid(child, &status, WNOHANG) == 0; i++)
        usleep(10000);
    printf("ended by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    kill(child, SIGKILL);
    return 0;
}
