// Settings of /proc/sys take effect at once. They are the machine's own here: on a host others live by them.
// compat: native=no
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;

static void check(const char *what, int right) {
    if (!right) {
        printf("wrong: %s (%s)\n", what, strerror(errno));
        failures++;
    }
}

static void set(const char *name, const char *value) {
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    int fd = open(path, O_WRONLY);
    check(name, fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value));
    close(fd);
}

static long get(const char *name) {
    char path[128], text[64] = "";
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    int fd = open(path, O_RDONLY);
    if (read(fd, text, sizeof text - 1) <= 0) return -1;
    close(fd);
    return atol(text);
}

static pid_t born(void) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, 0, 0);
    return pid;
}

int main(void) {
    set("kernel/ns_last_pid", "5000");
    check("the next id is the one behind", born() == 5001);
    set("kernel/pid_max", "5003");
    check("the last one below pid_max", born() == 5002);
    check("then they begin anew", born() == 300);
    set("kernel/pid_max", "4194304");

    set("kernel/threads-max", "20");
    int n = 0;
    pid_t children[40];
    while (n < 40 && (children[n] = fork()) > 0) n++;
    if (n < 40 && children[n] == 0) {
        for (;;) pause();
    }
    check("threads-max is EAGAIN", n < 40 && children[n] == -1 && errno == EAGAIN);
    for (int i = 0; i < n; i++) kill(children[i], 9);
    while (wait(0) > 0) {}
    set("kernel/threads-max", "4000");

    struct timespec slice;
    set("kernel/sched_rr_timeslice_ms", "40");
    struct sched_param p = {.sched_priority = 1};
    check("SCHED_RR", sched_setscheduler(0, SCHED_RR, &p) == 0 && sched_rr_get_interval(0, &slice) == 0);
    check("has this slice", slice.tv_sec == 0 && slice.tv_nsec == 40000000);
    set("kernel/sched_rr_timeslice_ms", "0");
    check("0 goes back", get("kernel/sched_rr_timeslice_ms") == 100);
    p.sched_priority = 0;
    sched_setscheduler(0, SCHED_OTHER, &p);

    set("vm/max_map_count", "100");
    int failed = 0;
    char *area = mmap(0, 400 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 400 && !failed; i += 2) failed = mprotect(area + i * 4096, 4096, PROT_NONE) < 0 && errno == ENOMEM;
    check("max_map_count is ENOMEM", failed);
    set("vm/max_map_count", "65530");
    check("and no more", mprotect(area + 399 * 4096, 4096, PROT_NONE) == 0);

    struct rlimit limit = {3000, 3000};
    set("fs/nr_open", "2000");
    check("RLIMIT_NOFILE is bounded by nr_open", setrlimit(RLIMIT_NOFILE, &limit) == -1 && errno == EPERM);
    set("fs/nr_open", "4096");
    check("and no more", setrlimit(RLIMIT_NOFILE, &limit) == 0);

    int fds[2];
    set("fs/pipe-max-size", "60000");
    check("pipe-max-size is rounded up", get("fs/pipe-max-size") == 65536);
    check("root may have more", pipe(fds) == 0 && fcntl(fds[0], F_SETPIPE_SZ, 1 << 17) == 1 << 17);

    set("kernel/shm_next_id", "1234");
    int shm = shmget(IPC_PRIVATE, 4096, 0600);
    check("shm_next_id", shm == 1234 && get("kernel/shm_next_id") == -1);
    set("kernel/shmmax", "10000");
    check("shmmax is EINVAL", shmget(IPC_PRIVATE, 10001, 0600) == -1 && errno == EINVAL);
    set("kernel/msgmax", "10");
    struct { long type; char text[20]; } message = {1, ""};
    int queue = msgget(IPC_PRIVATE, 0600);
    check("msgmax is EINVAL", msgsnd(queue, &message, 11, 0) == -1 && errno == EINVAL);
    check("and below it goes", msgsnd(queue, &message, 10, 0) == 0);

    set("fs/inotify/max_user_instances", "2");
    int one = inotify_init(), two = inotify_init(), three = inotify_init();
    check("max_user_instances is EMFILE", one >= 0 && two >= 0 && three == -1 && errno == EMFILE);

    set("fs/file-max", "100");
    int opened = 0, fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0 && opened < 300) opened++;
    check("file-max is ENFILE", fd == -1 && errno == ENFILE);
    for (int i = 3; i < 400; i++) close(i);
    set("fs/file-max", "100000");

    set("fs/protected_hardlinks", "1");
    set("fs/protected_symlinks", "1");
    mkdir("/tmp/sticky", 01777);
    chmod("/tmp/sticky", 01777);
    close(open("/tmp/sticky/file", O_CREAT | O_WRONLY, 0600));
    if (symlink("file", "/tmp/sticky/link")) failures++;
    chown("/tmp/sticky/file", 1, 1);
    lchown("/tmp/sticky/link", 1, 1);
    check("root follows no other's link there", open("/tmp/sticky/link", O_RDONLY) == -1 && errno == EACCES);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(7) || setuid(7)) _exit(2);
        _exit(link("/tmp/sticky/file", "/tmp/sticky/name") == -1 && errno == EPERM ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    check("nor do others name another's file", status == 0);

    set("vm/overcommit_kbytes", "1000");
    check("one setting takes the other back", get("vm/overcommit_ratio") == 0);
    set("vm/overcommit_ratio", "50");
    check("and back", get("vm/overcommit_kbytes") == 0);
    printf("%d wrong\n", failures);
    return failures != 0;
}
