// Many processes one after another and at once; memory is back where it was afterwards.
// compat: timeout=120
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE = 200, KIB_LEFT = 2048 };

static long free_kib(void) {
    long total = 0, value;
    char line[100];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemFree: %ld", &value) == 1)
            total += value;
    fclose(f);
    return total;
}

static int fork_rounds(int rounds) {
    int good = 0, status;
    for (int i = 0; i < rounds; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(i & 63);
        good += waitpid(child, &status, 0) == child && WEXITSTATUS(status) == (i & 63);
    }
    return good;
}

static int exec_rounds(int rounds) {
    int good = 0, status;
    char *argv[] = {"me", "end", NULL};
    for (int i = 0; i < rounds; i++) {
        pid_t child;
        if (i % 2) {
            posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, NULL);
        } else if ((child = fork()) == 0) {
            execv("/proc/self/exe", argv);
            _exit(99);
        }
        good += waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5;
    }
    return good;
}

static int at_once(int count) {
    int ends[2], good = 0, status;
    char *page = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 1, 1 << 20);
    (void)!pipe(ends);
    for (int i = 0; i < count; i++)
        if (fork() == 0) {
            char c;
            close(ends[1]);
            page[i * 4096 % (1 << 20)] = i;
            // All end when the parent closes the pipe.
            (void)!read(ends[0], &c, 1);
            _exit(page[i * 4096 % (1 << 20)] == (char)i);
        }
    close(ends[1]);
    while (wait(&status) > 0)
        good += WEXITSTATUS(status) == 1;
    close(ends[0]);
    munmap(page, 1 << 20);
    return good;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "end"))
        return 5;
    int rounds = argc > 1 ? atoi(argv[1]) : 300, children = argc > 2 ? atoi(argv[2]) : AT_ONCE;
    setvbuf(stdout, NULL, _IONBF, 0);
    // Once for what stays: caches, and the heaps' own growth, which is another where there were many processes before.
    at_once(children);
    fork_rounds(50);
    exec_rounds(50);
    at_once(children);
    long before = free_kib();
    printf("forked %d of %d\n", fork_rounds(rounds), rounds);
    printf("executed %d of %d\n", exec_rounds(rounds), rounds);
    printf("at once %d of %d\n", at_once(children), children);
    long gone = before - free_kib();
    // A machine that does other things as well cannot tell.
    if (getpid() == 1 && gone > KIB_LEFT)
        printf("%ld KiB are gone\n", gone);
    return 0;
}
