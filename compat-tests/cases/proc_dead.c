/* What /proc shows of processes that run, are zombies, or are gone, by descriptors from before and anew. */
#include "case.h"

#include <regex.h>
#include <sys/epoll.h>
#include <sys/statfs.h>

static char text[1 << 16];

static long slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    long done = 0, n = -1;
    while (fd >= 0 && (n = read(fd, text + done, sizeof text - 1 - done)) > 0)
        done += n;
    text[done] = 0;
    if (fd >= 0)
        close(fd);
    return n < 0 ? -1 : done;
}

static int matches(const char *pattern)
{
    regex_t expression;
    MUST(regcomp(&expression, pattern, REG_EXTENDED | REG_NEWLINE) == 0);
    int found = !regexec(&expression, text, 0, 0, 0);
    regfree(&expression);
    return found;
}

/* A child that sleeps. */
static pid_t start(void)
{
    int ready[2];
    char c;
    MUST(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        MUST(write(ready[1], "r", 1) == 1);
        for (;;)
            pause();
    }
    MUST(read(ready[0], &c, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void become_zombie(pid_t pid)
{
    siginfo_t info;
    kill(pid, SIGKILL);
    MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0);
}

static const char *files[] = {"cmdline", "comm", "gid_map", "io", "maps", "smaps", "smaps_rollup", "numa_maps", "stat", "statm",
                              "status", "uid_map", "setgroups", "oom_score", "oom_score_adj", "limits", "mountinfo", "mounts",
                              "wchan", "personality", "loginuid", "timers"};
static const char *links[] = {"exe", "cwd", "root", "ns/net", "ns/pid", "ns/user", "ns/mnt", "ns/uts", "ns/pid_for_children", "fd/0"};
static const char *dirs[] = {".", "fd", "fdinfo", "ns", "map_files"};

static const char *shown(long n)
{
    return n < 0 ? error_name(errno) : named("%ld", n);
}

static void look(const char *when, int dir, int *open_files, int *open_dirs)
{
    char buffer[4096];
    struct stat st;
    for (unsigned i = 0; i < COUNT(files); i++) {
        SHOW(named("%s, %s from before", when, files[i]), "%s", shown(read(open_files[i], buffer, 1)));
        int fd = openat(dir, files[i], O_RDONLY);
        SHOW(named("%s, %s", when, files[i]), "%s %s", fd < 0 ? error_name(errno) : "open", fd < 0 ? "" : shown(read(fd, buffer, 1)));
        close(fd);
    }
    for (unsigned i = 0; i < COUNT(links); i++) {
        SHOW(named("%s, link %s", when, links[i]), "%s", shown(readlinkat(dir, links[i], buffer, 1)));
        SHOW(named("%s, link %s followed", when, links[i]), "%s", shown(fstatat(dir, links[i], &st, 0)));
    }
    for (unsigned i = 0; i < COUNT(dirs); i++) {
        long n = syscall(SYS_getdents64, open_dirs[i], buffer, sizeof buffer);
        SHOW(named("%s, directory %s", when, dirs[i]), "%s", n < 0 ? error_name(errno) : n > 48 ? "some" : n > 0 ? "dots" : "none");
    }
}

static void opened(pid_t pid, int *dir, int *open_files, int *open_dirs)
{
    *dir = open(named("/proc/%d", pid), O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < COUNT(files); i++)
        MUST((open_files[i] = openat(*dir, files[i], O_RDONLY)) >= 0);
    for (unsigned i = 0; i < COUNT(dirs); i++)
        MUST((open_dirs[i] = openat(*dir, dirs[i], O_RDONLY | O_DIRECTORY)) >= 0);
}

GROUP(proc_dead)
{
    int dir, open_files[COUNT(files)], open_dirs[COUNT(dirs)];
    pid_t pid = start();
    opened(pid, &dir, open_files, open_dirs);
    become_zombie(pid);
    look("zombie", dir, open_files, open_dirs);
    slurp(named("/proc/%d/status", pid));
    YES("zombie's state", matches("^State:\tZ \\(zombie\\)$") && matches("^Threads:\t1$") && !matches("^VmSize"));
    slurp(named("/proc/%d/statm", pid));
    TEXT("zombie's statm", "0 0 0 0 0 0 0\n", text);
    static const char *gone[] = {"environ", "auxv"};
    for (int i = 0; i < 2; i++)
        ERR(named("zombie's %s", gone[i]), ESRCH, openat(dir, gone[i], O_RDONLY));
    waitpid(pid, 0, 0);
    pid = start();
    opened(pid, &dir, open_files, open_dirs);
    become_zombie(pid);
    waitpid(pid, 0, 0);
    look("gone", dir, open_files, open_dirs);
}

GROUP(proc_dead_mem)
{
    static char data[] = "of before";
    char got[sizeof data];
    pid_t pid = start();
    int mem = open(named("/proc/%d/mem", pid), O_RDONLY);
    EQ("while it lives", sizeof data, pread(mem, got, sizeof data, (off_t)data));
    become_zombie(pid);
    EQ("a zombie's", 0, pread(mem, got, sizeof data, (off_t)data));
    waitpid(pid, 0, 0);
    EQ("of one that is gone", 0, pread(mem, got, sizeof data, (off_t)data));
    mem = open("/proc/self/mem", O_RDONLY);
    ERR("where nothing is", EIO, pread(mem, got, 1, 0));
}

static void *waits(void *gate)
{
    char c;
    return (void *)(long)read(*(int *)gate, &c, 1);
}

GROUP(proc_task)
{
    struct stat st;
    int gate[2];
    pthread_t threads[3];
    MUST(pipe(gate) == 0 && stat("/proc/self/task", &st) == 0);
    EQ("links of one thread", 3, st.st_nlink);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], 0, waits, gate);
    stat("/proc/self/task", &st);
    EQ("links of four", 6, st.st_nlink);
    close(gate[1]);
    int dir = open("/proc/self/task", O_RDONLY);
    EQ("the end", 0, lseek(dir, 0, SEEK_END));
    EQ("behind it", 5, lseek(dir, 5, SEEK_END));
    ERR("data", ENXIO, lseek(dir, 0, SEEK_DATA));
    EQ("end of /proc", 0, lseek(open("/proc", O_RDONLY), 0, SEEK_END));
    EQ("end of /proc/sys", 0, lseek(open("/proc/sys", O_RDONLY), 0, SEEK_END));
    EQ("end of /sys", 0, lseek(open("/sys", O_RDONLY), 0, SEEK_END));
    ERR("no thread's task", ENOENT, stat("/proc/thread-self/task", &st));
}

GROUP(proc_children)
{
    const char *path = "/proc/thread-self/children";
    char want[64];
    if (access(path, F_OK) < 0)
        return;
    EQ("none", 0, slurp(path));
    pid_t first = start(), second = start();
    snprintf(want, sizeof want, "%d %d ", first, second);
    slurp(path);
    YES("two", strcmp(text, want) == 0);
    become_zombie(first);
    slurp(path);
    YES("one of them a zombie", strcmp(text, want) == 0);
    waitpid(first, 0, 0);
    snprintf(want, sizeof want, "%d ", second);
    slurp(path);
    YES("one", strcmp(text, want) == 0);
    ERR("not of the process", ENOENT, access("/proc/self/children", F_OK));
}

/* Those who poll a name's file learn that it was set: once for each open description. */
GROUP(proc_names_poll)
{
    static const char *names[] = {"/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"};
    for (int i = 0; i < 2; i++) {
        char was[80];
        int first = open(names[i], O_RDONLY), second = open(names[i], O_RDONLY), set = epoll_create1(0);
        struct epoll_event event = {0}, got[2];
        long n = read(first, was, sizeof was);
        MUST(n > 0);
        OK(named("%d: added for errors", i), epoll_ctl(set, EPOLL_CTL_ADD, first, &event));
        event.events = EPOLLPRI;
        OK(named("%d: added for news", i), epoll_ctl(set, EPOLL_CTL_ADD, second, &event));
        EQ(named("%d: nothing new", i), 0, epoll_wait(set, got, 2, 0));
        int file = open(names[i], O_WRONLY);
        if (file < 0)
            continue;
        YES(named("%d: set", i), write(file, was, n) == n);
        n = epoll_wait(set, got, 2, 0);
        EQ(named("%d: both know", i), 2, n);
        SHOW(named("%d: events", i), "%x", got[0].events | got[1].events);
        EQ(named("%d: once", i), 0, epoll_wait(set, got, 2, 0));
    }
}

GROUP(proc_limits)
{
    struct stat st;
    static const char *settings[] = {"user/max_user_namespaces", "user/max_pid_namespaces", "user/max_net_namespaces",
                                     "user/max_inotify_instances", "user/max_inotify_watches"};
    for (unsigned i = 0; i < COUNT(settings); i++) {
        YES(settings[i], slurp(named("/proc/sys/%s", settings[i])) > 1 && matches("^[1-9][0-9]*$"));
        stat(named("/proc/sys/%s", settings[i]), &st);
        EQ(named("%s, mode", settings[i]), 0100644, st.st_mode);
    }
    YES("actions of seccomp", slurp("/proc/sys/kernel/seccomp/actions_avail") > 0 && matches("^kill_process kill_thread trap errno"));
}
