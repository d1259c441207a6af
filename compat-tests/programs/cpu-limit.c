// RLIMIT_CPU: SIGXCPU at the soft limit and each second after it, SIGKILL at the hard limit.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void on(int sig) {
    static const char text[] = "SIGXCPU\n";
    if (sig == SIGXCPU && write(1, text, sizeof text - 1) < 0) _exit(1);
}

int main(void) {
    struct rlimit limit = { 1, 2 };
    signal(SIGXCPU, on);
    setrlimit(RLIMIT_CPU, &limit);
    printf("start\n");
    fflush(stdout);
    for (volatile unsigned long i = 0;; i++) {}
}
