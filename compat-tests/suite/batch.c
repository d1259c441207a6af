/* Runs many tests in one machine: `batch LIST [ID...]`.
 *
 * LIST has one test a line: id, seconds, directory, program and arguments, with tabs between. Each runs in a session of its own, with
 * its directory new and empty ("-"), or as it is. Around its output stand lines that begin with the byte 1:
 * `begin ID`, `calls ID NAME=COUNT...` where the kernel counts calls, and `end ID STATUS MILLISECONDS`. STATUS is as a shell has it, or `timeout`.
 * It needs nothing but a libc, on Linux as on Skiff. On Linux it ends with who started it, and its test with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_WORDS 64
#define MOST_CALLS 600

static volatile pid_t running;

/* Whoever wanted to know is gone. */
static void on_term(int signal)
{
    if (running > 0) {
        kill(-running, SIGKILL);
        kill(running, SIGKILL);
    }
    _exit(128 + signal);
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int removed(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st, (void)flag, (void)where;
    remove(path);
    return 0;
}

struct count {
    char name[32];
    long count;
};

/* The counts of system calls by name: the rows of /proc/skiff/stats that say how many of them trapped. */
static int read_counts(struct count *counts)
{
    FILE *file = fopen("/proc/skiff/stats", "r");
    int n = 0;
    char text[256], word[64];
    while (file && fgets(text, sizeof text, file) && n < MOST_CALLS)
        if (sscanf(text, " %ld %31s %63s", &counts[n].count, counts[n].name, word) == 3 && !strcmp(word, "(trapped"))
            n++;
        else if (sscanf(text, " %ld %31s %63s", &counts[n].count, counts[n].name, word) == 2 &&
                 strcmp(counts[n].name, "interrupts") && strcmp(counts[n].name, "calls"))
            n++;
    if (file)
        fclose(file);
    return n;
}

static void show_counts(const char *id, const struct count *before, int before_len)
{
    static struct count after[MOST_CALLS];
    int len = read_counts(after);
    if (!len)
        return;
    printf("\1calls %s", id);
    for (int i = 0; i < len; i++) {
        long had = 0;
        for (int j = 0; j < before_len; j++)
            if (!strcmp(before[j].name, after[i].name))
                had = before[j].count;
        if (after[i].count > had)
            printf(" %s=%ld", after[i].name, after[i].count - had);
    }
    printf("\n");
    fflush(stdout);
}

/* Asks the kernel to show what every task does. */
static void show_tasks(void)
{
    int fd = access("/proc/skiff", F_OK) ? -1 : open("/proc/sysrq-trigger", O_WRONLY);
    if (fd >= 0) {
        if (write(fd, "t", 1) < 0)
            perror("sysrq-trigger");
        close(fd);
    }
}

static void run(char **words, int n)
{
    const char *id = words[0], *dir = words[2];
    long limit = atol(words[1]) * 1000, start = now_ms();
    int status = 0, fresh = !strcmp(dir, "-");
    static struct count before[MOST_CALLS];
    int before_len = read_counts(before);
    char own[4096], here[4000];
    if (fresh) {
        if (!getcwd(here, sizeof here))
            strcpy(here, "/tmp");
        snprintf(own, sizeof own, "%s/%s.test", here, id);
        mkdir(own, 0777);
        chmod(own, 0777);
        dir = own;
    }
    words[n] = 0;
    printf("\1begin %s\n", id);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        signal(SIGTERM, SIG_DFL);
        int null = open("/dev/null", O_RDONLY);
        if (null >= 0)
            dup2(null, 0);
        if (null > 2)
            close(null);
        dup2(1, 2);
        close_range(3, ~0u, 0);
        if (chdir(dir) < 0) {
            printf("%s: %s\n", dir, strerror(errno));
            fflush(stdout);
            _exit(125);
        }
        execv(words[3], words + 3);
        printf("%s: %s\n", words[3], strerror(errno));
        fflush(stdout);
        _exit(127);
    }
    running = pid;
    int timed_out = 0;
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd wait = {pidfd, POLLIN, 0};
    long left;
    while ((left = start + limit - now_ms()) > 0 && poll(&wait, 1, (int)left) < 0 && errno == EINTR)
        ;
    if (waitpid(pid, &status, WNOHANG) == 0) {
        timed_out = 1;
        show_tasks();
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    kill(-pid, SIGKILL);
    running = 0;
    close(pidfd);
    printf("\n");
    fflush(stdout);
    show_counts(id, before, before_len);
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (timed_out)
        printf("\1end %s timeout %ld\n", id, now_ms() - start);
    else
        printf("\1end %s %d %ld\n", id, code, now_ms() - start);
    fflush(stdout);
    if (fresh)
        nftw(own, removed, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    FILE *list = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!list) {
        fprintf(stderr, "usage: batch LIST [ID...]\n");
        return 125;
    }
    /* The test of a suite is as its user would start it: the signals of this process are its own business. */
    if (access("/proc/skiff", F_OK) != 0) {
        signal(SIGTERM, on_term);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    }
    static char text[65536];
    while (fgets(text, sizeof text, list)) {
        char *words[MOST_WORDS + 1], *rest = text;
        int n = 0, wanted = argc < 3;
        text[strcspn(text, "\n")] = 0;
        for (char *word; n < MOST_WORDS && (word = strsep(&rest, "\t"));)
            words[n++] = word;
        for (int i = 2; i < argc && n; i++)
            wanted |= !strcmp(argv[i], words[0]);
        if (n >= 4 && wanted)
            run(words, n);
    }
    return 0;
}
