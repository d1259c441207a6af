/* What the files of cases share.
 *
 * A GROUP holds the cases of one system call and runs in a process and an empty directory of its own, so that what one breaks
 * does not break the others. Each case prints one line, `case CALL/NAME: what was seen`, and says what it expects; where that is
 * not what was seen, ` !` and the expectation follow. Linux may have no such line: then the case itself is wrong. Names are unique,
 * and what is printed is the same in every run: no addresses, times or process ids.
 */
#ifndef CASE_H
#define CASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Seconds that a group may take. */
#ifndef GROUP_LIMIT
#define GROUP_LIMIT 20
#endif
/* Stands in no mapping of any process. */
#define BAD ((void *)0x10)
/* In the kernel's half. */
#define KERNEL ((void *)0xffffffff80000000)
/* No file descriptor. */
#define NOFD 987
#define NOBODY 65534

struct cases {
    const char *name;
    void (*run)(void);
    struct cases *next;
};
static struct cases *first_group, **last_group = &first_group;
static const char *current = "";

#define GROUP(call)                                                                                                              \
    static void group_##call(void);                                                                                             \
    static struct cases entry_##call = {#call, group_##call, 0};                                                                \
    __attribute__((constructor)) static void enter_##call(void)                                                                 \
    {                                                                                                                            \
        *last_group = &entry_##call;                                                                                             \
        last_group = &entry_##call.next;                                                                                         \
    }                                                                                                                            \
    static void group_##call(void)

/* One line, in one piece. */
__attribute__((format(printf, 1, 2))) static void line(const char *format, ...)
{
    char text[4096];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text - 1, format, list);
    va_end(list);
    if (n > (int)sizeof text - 2)
        n = sizeof text - 2;
    text[n++] = '\n';
    for (int done = 0; done < n;) {
        ssize_t more = write(1, text + done, n - done);
        if (more <= 0)
            break;
        done += more;
    }
}

static const char *error_name(int error)
{
    static char number[2][16];
    static int turn;
    const char *name = strerrorname_np(error);
    if (name)
        return name;
    turn ^= 1;
    snprintf(number[turn], sizeof number[turn], "%d", error);
    return number[turn];
}

/* Expects the value `want`. */
__attribute__((unused)) static void equal(const char *name, long want, long got, int error)
{
    char seen[64], wanted[64] = "";
    if (got == -1 && error)
        snprintf(seen, sizeof seen, "-1 %s", error_name(error));
    else
        snprintf(seen, sizeof seen, "%ld", got);
    if (got != want)
        snprintf(wanted, sizeof wanted, " ! %ld", want);
    line("case %s/%s: %s%s", current, name, seen, wanted);
}

/* Expects -1 and the error `want`. */
__attribute__((unused)) static void fails(const char *name, int want, long got, int error)
{
    char seen[64], wanted[64] = "";
    if (got == -1)
        snprintf(seen, sizeof seen, "-1 %s", error_name(error));
    else
        snprintf(seen, sizeof seen, "%s", "no error");
    if (got != -1 || error != want)
        snprintf(wanted, sizeof wanted, " ! %s", error_name(want));
    line("case %s/%s: %s%s", current, name, seen, wanted);
}

#define EQ(name, want, expression)                                                                                               \
    do {                                                                                                                         \
        errno = 0;                                                                                                               \
        long got_ = (long)(expression);                                                                                          \
        equal(name, (long)(want), got_, errno);                                                                                  \
    } while (0)
#define OK(name, expression) EQ(name, 0, expression)
#define ERR(name, want, expression)                                                                                              \
    do {                                                                                                                         \
        errno = 0;                                                                                                               \
        long got_ = (long)(expression);                                                                                          \
        fails(name, want, got_, errno);                                                                                          \
    } while (0)
/* Expects a true condition. */
#define YES(name, condition)                                                                                                     \
    do {                                                                                                                         \
        int yes_ = !!(condition);                                                                                                \
        line("case %s/%s: %s", current, name, yes_ ? "yes" : "no ! yes");                                                       \
    } while (0)
/* Expects a text. */
#define TEXT(name, want, text)                                                                                                   \
    do {                                                                                                                         \
        const char *text_ = (text), *want_ = (want);                                                                             \
        int same_ = !strcmp(text_, want_);                                                                                       \
        line("case %s/%s: \"%s\"%s%s", current, name, text_, same_ ? "" : " ! ", same_ ? "" : want_);                          \
    } while (0)
/* Shows what Linux alone can say what is right about. */
#define SHOW(name, ...)                                                                                                          \
    do {                                                                                                                         \
        char show_[1024];                                                                                                        \
        snprintf(show_, sizeof show_, __VA_ARGS__);                                                                              \
        line("case %s/%s: %s", current, name, show_);                                                                           \
    } while (0)
/* A name made of parts, for tables of cases. */
__attribute__((unused, format(printf, 1, 2))) static const char *named(const char *format, ...)
{
    static char names[4][160];
    static int turn;
    va_list list;
    va_start(list, format);
    char *name = names[turn++ & 3];
    vsnprintf(name, 160, format, list);
    va_end(list);
    return name;
}
#define COUNT(array) (sizeof(array) / sizeof *(array))
/* What cannot go wrong; ends the group. */
#define MUST(condition)                                                                                                          \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            line("case %s/prepared: no, line %d: %s %s ! yes", current, __LINE__, #condition, error_name(errno));               \
            _exit(1);                                                                                                            \
        }                                                                                                                        \
    } while (0)

/* A new file with these contents, open for reading and writing. */
__attribute__((unused)) static int file_with(const char *path, const char *contents)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    MUST(fd >= 0);
    MUST(write(fd, contents, strlen(contents)) == (ssize_t)strlen(contents));
    MUST(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* Runs `body` in a child; the wait status. */
#define CHILD(status, ...)                                                                                                       \
    do {                                                                                                                         \
        pid_t child_ = fork();                                                                                                   \
        MUST(child_ >= 0);                                                                                                       \
        if (child_ == 0) {                                                                                                       \
            __VA_ARGS__;                                                                                                         \
            _exit(0);                                                                                                            \
        }                                                                                                                        \
        MUST(waitpid(child_, &(status), 0) == child_);                                                                           \
    } while (0)
/* Cases as an ordinary user. Nothing is printed where we are no super-user, who alone can become another. */
#define AS_NOBODY(...)                                                                                                           \
    do {                                                                                                                         \
        int as_status_;                                                                                                          \
        if (geteuid() == 0)                                                                                                      \
            CHILD(as_status_, {                                                                                                  \
                MUST(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);                                                              \
                __VA_ARGS__;                                                                                                     \
            });                                                                                                                  \
    } while (0)

/* A child that sleeps until it is killed. */
__attribute__((unused)) static pid_t sleeping_child(void)
{
    pid_t pid = fork();
    MUST(pid >= 0);
    if (!pid)
        for (;;)
            pause();
    return pid;
}

__attribute__((unused)) static void pause_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&time, &time) == -1 && errno == EINTR)
        ;
}

/* A page of `protection` with one behind it that is not there: for buffers that straddle. */
__attribute__((unused)) static char *edge_page(int protection)
{
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(page != MAP_FAILED);
    memset(page, 'e', 4096);
    MUST(munmap(page + 4096, 4096) == 0);
    MUST(mprotect(page, 4096, protection) == 0);
    return page;
}

static int wanted_group(const char *name, int argc, char **argv)
{
    const char *skip = getenv("SKIP_GROUPS");
    size_t n = strlen(name);
    while (skip && (skip = strstr(skip, name))) {
        if (skip[-1] == ' ' && (skip[n] == ' ' || !skip[n]))
            return 0;
        skip++;
    }
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name))
            return 1;
    return argc < 2;
}

/* Runs all groups, or those named. SKIP_GROUPS, " A B", leaves out those that have ended a machine. */
int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    for (struct cases *group = first_group; group; group = group->next) {
        if (!wanted_group(group->name, argc, argv))
            continue;
        char dir[128];
        snprintf(dir, sizeof dir, "%s.dir", group->name);
        mkdir(dir, 0777);
        chmod(dir, 0777);
        line("group %s", group->name);
        pid_t pid = fork();
        if (pid == 0) {
            current = group->name;
            setpgid(0, 0);
            /* Whatever the shell had that started the tests; where it may not be better again, cases of priorities say so. */
            umask(022);
            setpriority(PRIO_PROCESS, 0, 0);
            if (chdir(dir) < 0)
                _exit(2);
            alarm(GROUP_LIMIT);
            group->run();
            fflush(stdout);
            _exit(0);
        }
        int status = 0;
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            line("died %s: not started", group->name);
        else if (WIFSIGNALED(status))
            line("died %s: signal %d", group->name, WTERMSIG(status));
        kill(-pid, SIGKILL);
    }
    return 0;
}
#endif
