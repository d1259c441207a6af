// The limits of processes: RLIMIT_NPROC, memory that runs out in one of several, crashes beside each other.
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int end_of(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void *idle(void *unused) {
    pause();
    return unused;
}

// A user of its own, who may have five tasks.
static int bomb(void) {
    struct rlimit limit = {5, 5};
    pthread_t thread;
    setrlimit(RLIMIT_NPROC, &limit);
    if (setgroups(0, NULL) || setresgid(54321, 54321, 54321) || setresuid(54321, 54321, 54321))
        return 99;
    int count = 0;
    pid_t children[20];
    for (int i = 0; i < 20; i++) {
        children[count] = fork();
        if (children[count] == 0) {
            pause();
            _exit(0);
        }
        if (children[count] < 0)
            break;
        count++;
    }
    int refused = errno == EAGAIN, threads = pthread_create(&thread, NULL, idle, NULL) == EAGAIN;
    for (int i = 0; i < count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    pid_t again = fork();
    if (again == 0)
        _exit(0);
    printf("children %d, EAGAIN %d, threads %d, room again %d\n", count, refused, threads, end_of(again) == 0);
    printf("another user's process: %s\n", kill(getppid(), SIGTERM) < 0 && errno == EPERM ? "EPERM" : "?");
    printf("priority: %s, ", setpriority(PRIO_PROCESS, 0, -5) < 0 && errno == EACCES ? "EACCES" : "?");
    printf("%s\n", setpriority(PRIO_PROCESS, getppid(), 5) < 0 && errno == EPERM ? "EPERM" : "?");
    printf("become root again: %s\n", setuid(0) < 0 && errno == EPERM ? "EPERM" : "?");
    printf("chroot: %s\n", chroot("/tmp") < 0 && errno == EPERM ? "EPERM" : "?");
    limit.rlim_max = 100;
    printf("limit: %s\n", setrlimit(RLIMIT_NPROC, &limit) < 0 && errno == EPERM ? "EPERM" : "?");
    return 7;
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    pid_t child = fork();
    if (child == 0)
        _exit(bomb());
    printf("bomb: %d\n", end_of(child));
    char *memory = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 7, 1 << 20);
    child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        memset(memory, 1, 1 << 20);
        *(volatile int *)8 = 1;
    }
    printf("crash: %d, memory untouched %d\n", end_of(child) == 1000 + SIGSEGV, memory[12345] == 7 && memory[1 << 19] == 7);
    child = fork();
    if (child == 0) {
        struct rlimit limit = {64 << 20, 64 << 20};
        setrlimit(RLIMIT_AS, &limit);
        _exit(mmap(0, 128 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
    }
    printf("RLIMIT_AS of a child alone: %d", end_of(child));
    struct rlimit mine;
    getrlimit(RLIMIT_AS, &mine);
    printf(" %d\n", mine.rlim_cur == RLIM_INFINITY);
    child = fork();
    if (child == 0) {
        struct rlimit limit = {1, 1};
        setrlimit(RLIMIT_CPU, &limit);
        child = fork();
        if (child == 0)
            for (;;)
                ;
        _exit(end_of(child) == 1000 + SIGKILL);
    }
    printf("RLIMIT_CPU is inherited: %d\n", end_of(child));
    return 0;
}
