// The first process is spared the signals of others that it does not handle, gets those that it handles, and ends by its own.
// compat: native=no status=134
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t got;
static int failed;

static void handle(int signal)
{
    got = signal;
}

static void expect(const char *what, int ok)
{
    if (!ok) {
        printf("%s: no\n", what);
        failed = 1;
    }
}

// A child sends signals to all by `how`; the status that it ends with, 0 if every call succeeded.
static int in_child(int (*how)(int), const int *signals)
{
    pid_t child = fork();
    if (child == 0) {
        for (; *signals; signals++)
            if (how(*signals) < 0)
                _exit(errno);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int by_kill(int signal) { return kill(1, signal); }
static int by_tgkill(int signal) { return syscall(SYS_tgkill, 1, 1, signal); }
static int by_queue(int signal) { return sigqueue(1, signal, (union sigval){ .sival_int = 1 }); }
static int by_group(int signal)
{
    // Itself left out.
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    if (signal != SIGKILL && signal != SIGSTOP)
        sigaction(signal, &ignore, NULL);
    else
        return 0;
    return kill(0, signal);
}

static void *asleep(void *arg)
{
    for (;;)
        pause();
    return arg;
}

int main(void)
{
    // Nowhere but in a machine of its own.
    if (getpid() != 1)
        return 1;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    pthread_t thread;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, asleep, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    const int deadly[] = { SIGKILL, SIGSTOP, SIGTERM, SIGSEGV, SIGABRT, SIGTSTP, SIGRTMIN + 3, SIGUSR1, SIGINT, 0 };
    const int handled[] = { SIGUSR2, 0 };
    expect("kill", in_child(by_kill, deadly) == 0);
    expect("tgkill", in_child(by_tgkill, deadly) == 0);
    expect("sigqueue", in_child(by_queue, deadly) == 0);
    expect("the group", in_child(by_group, deadly) == 0);
    signal(SIGUSR2, handle);
    expect("one with a handler", in_child(by_kill, handled) == 0 && got == SIGUSR2);
    // Blocked, they wait, and are dropped when nobody handles them by then.
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    const int blocked[] = { SIGTERM, SIGUSR1, 0 };
    expect("blocked ones", in_child(by_kill, blocked) == 0);
    sigset_t pending;
    sigpending(&pending);
    expect("they are pending", sigismember(&pending, SIGTERM) && sigismember(&pending, SIGUSR1));
    signal(SIGUSR1, handle);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    expect("one got a handler", got == SIGUSR1);
    // The same where another thread takes it.
    sigdelset(&set, SIGUSR1);
    pthread_create(&thread, NULL, asleep, NULL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    expect("taken by another thread", in_child(by_kill, blocked) == 0);
    usleep(20000);
    // Others are killed as ever, by others and by itself.
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    int status;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    expect("a child is killed", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (failed)
        return 1;
    abort();
}
