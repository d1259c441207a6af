// Out of memory, the process that has most is killed, whoever asks for more; oom_score_adj counts, and -1000 excepts. The others go on,
// and see the memory come back. Linux, asked natively, would take the host's.
// compat: native=no status=0 stderr=memory: memory=84M cpus=2
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void adjust(const char *value) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        _exit(9);
    close(fd);
}

static void take(long mib) {
    char *p = mmap(0, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        _exit(8);
    memset(p, 1, mib << 20);
}

// A child that takes so much, adjusted so, and waits.
static pid_t holder(long mib, const char *adj) {
    int ends[2];
    char c;
    if (pipe(ends))
        exit(7);
    pid_t pid = fork();
    if (pid == 0) {
        adjust(adj);
        take(mib);
        (void)!write(ends[1], "x", 1);
        for (;;)
            pause();
    }
    (void)!read(ends[0], &c, 1);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

// Whether the child was killed; one that goes on has some time to show that it does not.
static int killed(pid_t pid) {
    int status;
    for (int i = 0; i < 50; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        usleep(1000);
    }
    return 0;
}

// Whether the one that had most was killed, or the other, as expected; the one that asks gets its memory.
static int as_expected(const char *large, const char *small, int largest_is_killed) {
    pid_t a = holder(40, large), b = holder(12, small);
    pid_t asker = fork();
    if (asker == 0) {
        take(32);
        _exit(3);
    }
    int status, killed_a, killed_b;
    waitpid(asker, &status, 0);
    killed_a = killed(a);
    killed_b = killed(b);
    printf("largest %s %s, other %s %s, asker %x\n", large, killed_a ? "killed" : "goes on", small, killed_b ? "killed" : "goes on",
           status);
    kill(a, SIGKILL);
    kill(b, SIGKILL);
    waitpid(a, 0, 0);
    waitpid(b, 0, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 3 && killed_a == largest_is_killed && killed_b == !largest_is_killed;
}

int main(void) {
    for (int i = 0; i < 2; i++) {
        if (!as_expected("0", "0", 1))
            return 1;
        if (!as_expected("0", "500", 0))
            return 2;
        if (!as_expected("-1000", "500", 0))
            return 3;
    }
    return 0;
}
