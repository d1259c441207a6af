// A group that forks all the time is killed as a whole: a process that is being made when the signal is sent does not survive it.
// compat: cpus=2
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 150, MEMBERS = 24, TOUCHED = 1 << 20 };

// Each process makes the next one and waits, so that one fork is under way at every moment.
static void grow(void) {
    for (int i = 0; i < MEMBERS; i++) {
        pid_t child = fork();
        if (child < 0)
            _exit(1);
        if (child > 0)
            for (;;)
                pause();
    }
    for (;;)
        pause();
}

static void sleep_us(long us) {
    nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

// Every member holds the pipe's other end: it is at its end when all are gone.
static int all_gone(int fd) {
    struct pollfd pipe = {fd, 0, 0};
    return poll(&pipe, 1, 10000) == 1 && pipe.revents == POLLHUP;
}

static int round_of(int round, int signal) {
    int ends[2];
    if (pipe(ends))
        return 0;
    pid_t leader = fork();
    if (leader == 0) {
        close(ends[0]);
        setpgid(0, 0);
        grow();
    }
    close(ends[1]);
    setpgid(leader, leader);
    // At another moment of the growth each time.
    sleep_us(100 + (round * 97) % 4000);
    int sent = kill(-leader, signal) == 0;
    int status = 0;
    int ended = waitpid(leader, &status, 0) == leader && WIFSIGNALED(status) && WTERMSIG(status) == signal;
    int gone = all_gone(ends[0]);
    if (!gone)
        kill(-leader, SIGKILL);
    close(ends[0]);
    return sent && ended && gone;
}

// Signal 0 only asks: the group forks on, however often that happens.
static int asked_all_the_time(void) {
    pid_t leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        for (int i = 0; i < 100; i++) {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            if (child < 0 || waitpid(child, NULL, 0) != child)
                _exit(1);
        }
        _exit(3);
    }
    setpgid(leader, leader);
    int status = 0, there = 1;
    while (waitpid(leader, &status, WNOHANG) == 0)
        there &= kill(-leader, 0) == 0;
    return there && WEXITSTATUS(status) == 3;
}

int main(void) {
    // Makes a fork take its time.
    char *memory = mmap(0, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    memset(memory, 1, TOUCHED);
    int good[2] = {0};
    for (int round = 0; round < ROUNDS; round++)
        good[round % 2] += round_of(round, round % 2 ? SIGTERM : SIGKILL);
    printf("killed as a whole: %d of %d by SIGKILL, %d of %d by SIGTERM\n", good[0], ROUNDS / 2, good[1], ROUNDS / 2);
    printf("asked all the time: %s\n", asked_all_the_time() ? "forks on" : "FAILED");
    return 0;
}
