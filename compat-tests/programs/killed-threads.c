// A signal that kills ends all threads of a process, whichever of them takes it and wherever the others sleep.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int ends[2], pipes[2], pairs[2], master, slave;
static char big[1 << 20];

static void *reads_socket(void *arg) { recv(ends[0], &(char){ 0 }, 1, 0); return arg; }
static void *writes_socket(void *arg) { for (;;) if (write(ends[1], big, sizeof big) < 0) break; return arg; }
static void *reads_pipe(void *arg) { read(pipes[0], &(char){ 0 }, 1); return arg; }
static void *writes_pair(void *arg) { for (;;) if (write(pairs[1], big, sizeof big) < 0) break; return arg; }
static void *reads_terminal(void *arg) { read(slave, &(char){ 0 }, 1); return arg; }
static void *on_futex(void *arg) { static int word; syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0); return arg; }
static void *in_vfork(void *arg)
{
    if (vfork() == 0) {
        // It outlives its parent, and must not keep the output open for that long.
        close(STDIN_FILENO), close(STDOUT_FILENO), close(STDERR_FILENO);
        alarm(10);
        for (;;)
            pause();
    }
    return arg;
}
static void *waits_for_signal(void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigwait(&set, &(int){ 0 });
    return arg;
}

static void make_files(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, size) || listen(listener, 1) || getsockname(listener, (void *)&address, &size)
        || connect(ends[0], (void *)&address, size) || (ends[1] = accept(listener, NULL, NULL)) < 0 || pipe(pipes)
        || socketpair(AF_UNIX, SOCK_STREAM, 0, pairs) || openpty(&master, &slave, NULL, NULL, NULL))
        exit(2);
}

// Two threads of each kind, so that one of them holds what there is to hold and the other one waits for that.
static void run(const char *name, int signal, int blocked_by_main, void *(*const *kinds)(void *))
{
    pid_t child = fork();
    if (child == 0) {
        alarm(0);
        make_files();
        sigset_t all;
        sigfillset(&all);
        for (; *kinds; kinds++)
            for (int i = 0; i < 2; i++) {
                pthread_t thread;
                if (pthread_create(&thread, NULL, *kinds, NULL))
                    _exit(3);
            }
        if (blocked_by_main)
            pthread_sigmask(SIG_BLOCK, &all, NULL);
        for (;;)
            pause();
    }
    usleep(100000);
    kill(child, signal);
    int status = 0;
    for (int i = 0; i < 500; i++) {
        if (waitpid(child, &status, WNOHANG) == child) {
            printf("%s: killed by %d\n", name, WIFSIGNALED(status) ? WTERMSIG(status) : -status);
            fflush(stdout);
            return;
        }
        usleep(10000);
    }
    printf("%s: lives on\n", name);
    exit(1);
}

int main(void)
{
    void *(*sockets[])(void *) = { reads_socket, writes_socket, writes_pair, NULL };
    void *(*terminal[])(void *) = { reads_terminal, reads_pipe, NULL };
    void *(*others[])(void *) = { on_futex, waits_for_signal, in_vfork, NULL };
    int signals[] = { SIGKILL, SIGTERM, SIGRTMIN + 4 };
    for (int i = 0; i < 3; i++)
        for (int blocked = 0; blocked < 2; blocked++) {
            run("sockets", signals[i], blocked, sockets);
            run("a terminal and a pipe", signals[i], blocked, terminal);
            run("others", signals[i], blocked, others);
        }
    return 0;
}
