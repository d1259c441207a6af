// Processes: how long one takes from its making to its parent's knowing of its end.
#define _GNU_SOURCE
#include "bench.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

static char *hello[] = {"/bench/hello", NULL};
static int quiet;

static void reap(pid_t child) {
    int status;
    check(child > 0, "fork");
    check(waitpid(child, &status, 0) == child && status == 0, "child");
}

static void fork_exit_wait(long n) {
    while (n--) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        reap(child);
    }
}

static void vfork_exit_wait(long n) {
    while (n--) {
        pid_t child = vfork();
        if (child == 0)
            _exit(0);
        reap(child);
    }
}

static void fork_exec_wait(long n) {
    while (n--) {
        pid_t child = fork();
        if (child == 0) {
            dup2(quiet, 1);
            execv(hello[0], hello);
            _exit(127);
        }
        reap(child);
    }
}

static void spawn_wait(long n) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, quiet, 1);
    while (n--) {
        pid_t child = 0;
        check(posix_spawn(&child, hello[0], &actions, NULL, hello, environ) == 0, "posix_spawn");
        reap(child);
    }
    posix_spawn_file_actions_destroy(&actions);
}

// The child changes one page: it alone is copied.
static char *large;

static void fork_write_wait(long n) {
    while (n--) {
        pid_t child = fork();
        if (child == 0) {
            *(volatile char *)large = 2;
            _exit(0);
        }
        reap(child);
    }
}

static void with_touched(const char *name, size_t mib, int huge) {
    size_t len = mib << 20;
    large = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(large != MAP_FAILED, "mmap");
    if (!huge)
        madvise(large, len, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < len; i += PAGE)
        *(volatile char *)(large + i) = 1;
    measure(name, fork_write_wait);
    munmap(large, len);
}

int main(int argc, char **argv) {
    options(argc, argv);
    size_t mib = argv[1] ? strtoul(argv[1], NULL, 10) : 1024;
    quiet = open("/dev/null", O_WRONLY);
    check(quiet >= 0, "/dev/null");
    measure("fork+exit+wait", fork_exit_wait);
    measure("vfork+exit+wait", vfork_exit_wait);
    measure("fork+exec-static-hello+wait", fork_exec_wait);
    measure("posix_spawn-static-hello+wait", spawn_wait);
    char name[64];
    snprintf(name, sizeof name, "fork+write+wait,%zu-MiB", mib);
    with_touched(name, mib, 1);
    snprintf(name, sizeof name, "fork+write+wait,%zu-MiB-of-4K-pages", mib);
    with_touched(name, mib, 0);
    puts("bench-end");
}
