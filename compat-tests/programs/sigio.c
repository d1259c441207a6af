// Signal-driven input: F_SETOWN, O_ASYNC, and the end of it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t got;

static void handle(int signal) { got = signal; }

int main(void) {
    int p[2];
    char c;
    if (pipe(p)) return 1;
    signal(SIGIO, handle);
    fcntl(p[0], F_SETOWN, getpid());
    fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    write(p[1], "x", 1);
    printf("got SIGIO %d flags %o\n", got == SIGIO, fcntl(p[0], F_GETFL));
    read(p[0], &c, 1);
    got = 0;
    fcntl(p[0], F_SETFL, 0);
    write(p[1], "x", 1);
    printf("after the end %d\n", (int)got);
    return 0;
}
