// Each child takes as much of one kind of object as it gets. It meets an error of the kind that manuals name, or is killed; then the
// others go on, and what it had comes back. Linux, asked natively, would take the host's memory.
// compat: native=no status=0 memory=64M timeout=180
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define BIG (256 << 10)
// KiB that may stay with the kernel, for the next time.
#define SLACK 6144
static char bytes[BIG];
// In memory that is there already: what stopped the child, and how far it came.
static volatile long *word;
static long count;

// The child's last word: how far it came, and what stopped it.
static void stop(int error) {
    word[0] = error;
    word[1] = count;
    _exit(0);
}

static void check(long result) {
    if (result < 0)
        stop(errno);
    count++;
}

static void memory(void) {
    for (;;) {
        char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(p == MAP_FAILED ? -1 : 0);
        memset(p, 1, 1 << 20);
    }
}

static void page_tables(void) {
    char *p = mmap(0, 1ul << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(p == MAP_FAILED ? -1 : 0);
    madvise(p, 1ul << 40, MADV_NOHUGEPAGE);
    for (unsigned long at = 0; at < 1ul << 40; at += 2 << 20, count++)
        p[at] = 1;
}

static void tmpfs_bytes(void) {
    int fd = open("/tmp/full", O_RDWR | O_CREAT, 0600);
    check(fd);
    unlink("/tmp/full");
    for (;;)
        check(write(fd, bytes, BIG));
}

static void tmpfs_names(void) {
    char name[300];
    for (;;) {
        snprintf(name, sizeof name, "/tmp/many/%ld-%0200d", count, 7);
        check(symlink(name, name));
    }
}

static void tmpfs_attributes(void) {
    char name[64];
    int fd = open("/tmp/attributes", O_RDWR | O_CREAT, 0600);
    check(fd);
    unlink("/tmp/attributes");
    for (;;) {
        snprintf(name, sizeof name, "user.%ld", count);
        check(fsetxattr(fd, name, bytes, 4000, 0));
    }
}

static void pipes(void) {
    int ends[2];
    for (;;) {
        check(pipe2(ends, O_NONBLOCK));
        while (write(ends[1], bytes, 65536) > 0)
            ;
        if (errno != EAGAIN)
            stop(errno);
    }
}

static void tcp_buffers(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (void *)&to, len) | listen(listener, 100) | getsockname(listener, (void *)&to, &len));
    while (count < 80) {
        int out = socket(AF_INET, SOCK_STREAM, 0), in;
        check(out);
        check(connect(out, (void *)&to, len));
        in = accept(listener, 0, 0);
        check(in);
        fcntl(out, F_SETFL, O_NONBLOCK);
        while (write(out, bytes, 65536) > 0)
            ;
        if (errno != EAGAIN)
            stop(errno);
    }
    stop(0);
}

static void udp_buffers(void) {
    for (;;) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof to;
        int s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        check(s);
        check(bind(s, (void *)&to, len) | getsockname(s, (void *)&to, &len));
        for (int i = 0; i < 40; i++)
            if (sendto(s, bytes, 8000, 0, (void *)&to, len) < 0 && errno != EAGAIN)
                stop(errno);
    }
}

static void unix_messages(void) {
    int sent = open("/tmp", O_RDONLY);
    for (;;) {
        int s[2];
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
        char control[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec part = {bytes, 30000};
        struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(c), &sent, sizeof(int));
        while (sendmsg(s[0], &m, 0) > 0)
            ;
        if (errno != EAGAIN)
            stop(errno);
    }
}

static void epoll_sets(void) {
    int pipe_ends[100][2];
    for (int i = 0; i < 100; i++)
        check(pipe(pipe_ends[i]));
    for (;;) {
        int e = epoll_create1(0);
        check(e);
        for (int i = 0; i < 100; i++) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
            check(epoll_ctl(e, EPOLL_CTL_ADD, pipe_ends[i][1], &event));
        }
    }
}

static void inotify_watches(void) {
    int fd = inotify_init1(0);
    check(fd);
    char name[64];
    for (long i = 0;; i++) {
        snprintf(name, sizeof name, "/tmp/many/%ld", i);
        check(mkdir(name, 0700));
        check(inotify_add_watch(fd, name, IN_ALL_EVENTS));
    }
}

static void timers(void) {
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    timer_t id;
    for (;;)
        check(syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &id));
}

static void signals(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    for (;;)
        check(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 1}));
}

static int sleeper(void *stack) {
    (void)stack;
    for (;;)
        pause();
    return 0;
}

static void threads(void) {
    for (;;) {
        char *stack = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(stack == MAP_FAILED ? -1 : 0);
        check(clone(sleeper, stack + 16384, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, stack));
    }
}

static void processes(void) {
    for (;;) {
        pid_t pid = fork();
        if (pid == 0) {
            for (;;)
                pause();
        }
        check(pid);
    }
}

static int futex;
static int waiter(void *stack) {
    (void)stack;
    for (;;)
        syscall(SYS_futex, &futex, FUTEX_WAIT, 0, 0, 0, 0);
    return 0;
}

static void futex_waiters(void) {
    for (;;) {
        char *stack = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(stack == MAP_FAILED ? -1 : 0);
        check(clone(waiter, stack + 16384, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, stack));
    }
}

static void mappings(void) {
    for (;;) {
        check(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
        check(mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    }
}

static void locks(void) {
    int fd = open("/tmp/locked", O_RDWR | O_CREAT, 0600);
    check(fd);
    unlink("/tmp/locked");
    struct flock lock = {.l_type = F_WRLCK, .l_len = 1};
    for (int i = 0; i < 5000; i++) {
        lock.l_start = 2 * i;
        check(fcntl(fd, F_SETLK, &lock));
    }
    stop(0);
}

static void shared_memory(void) {
    for (;;) {
        int id = shmget(IPC_PRIVATE, 1 << 20, 0600);
        check(id);
        char *p = shmat(id, 0, 0);
        shmctl(id, IPC_RMID, 0);
        check(p == (void *)-1 ? -1 : 0);
        memset(p, 1, 1 << 20);
    }
}

static void message_queues(void) {
    struct {
        long type;
        char text[8192];
    } message = {1, ""};
    for (;;) {
        int id = msgget(IPC_PRIVATE, 0600);
        check(id);
        while (msgsnd(id, &message, 8192, IPC_NOWAIT) == 0)
            ;
        if (errno != EAGAIN)
            stop(errno);
    }
}

static void posix_queues(void) {
    char name[32];
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    for (;;) {
        snprintf(name, sizeof name, "/q%ld", count);
        mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
        if (q < 0)
            stop(errno);
        mq_unlink(name);
        while (mq_send(q, bytes, 8192, 1) == 0)
            ;
        if (errno != EAGAIN)
            stop(errno);
        count++;
    }
}

static void environment(void) {
    enum { STRINGS = 60000 };
    static char *strings[STRINGS + 1];
    for (int i = 0; i < STRINGS; i++)
        strings[i] = "VARIABLE=of fifty bytes and some more, all the same text";
    char *arguments[] = {"true", 0};
    execve("/proc/self/exe", arguments, strings);
    stop(errno);
}

static void deep_directories(void) {
    check(chdir("/tmp/many"));
    for (;;) {
        check(mkdir("a-directory-below-the-other", 0700));
        check(chdir("a-directory-below-the-other"));
    }
}

static void dentries(void) {
    struct stat st;
    char name[300];
    for (count = 0; count < 60000; count++) {
        snprintf(name, sizeof name, "/tmp/none/%ld-%0100d", count, 7);
        if (stat(name, &st) == 0 || errno != ENOENT)
            stop(errno);
    }
    stop(0);
}

static void ptys(void) {
    for (;;) {
        int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
        check(fd);
    }
}

static void descriptors(void) {
    for (;;)
        check(open("/tmp", O_RDONLY));
}

static const struct kind {
    const char *name;
    void (*take)(void);
    // What may stop it; a kill always may where memory is out.
    int errors[5];
} kinds[] = {
    {"memory", memory, {ENOMEM}},
    {"page tables", page_tables, {ENOMEM}},
    {"tmpfs", tmpfs_bytes, {ENOSPC}},
    {"names", tmpfs_names, {ENOSPC}},
    {"attributes", tmpfs_attributes, {ENOSPC}},
    {"pipes", pipes, {ENFILE, EMFILE, ENOMEM}},
    {"buffers of TCP", tcp_buffers, {0, ENFILE, EMFILE, ENOMEM, ENOBUFS}},
    {"buffers of UDP", udp_buffers, {ENFILE, EMFILE, ENOMEM, ENOBUFS}},
    {"AF_UNIX messages", unix_messages, {ENFILE, EMFILE, ENOMEM, ENOBUFS, ETOOMANYREFS}},
    {"epoll sets", epoll_sets, {ENFILE, EMFILE, ENOMEM, ENOSPC}},
    {"inotify watches", inotify_watches, {ENOSPC, ENOMEM}},
    {"timers", timers, {EAGAIN, ENOMEM}},
    {"queued signals", signals, {EAGAIN}},
    {"threads", threads, {EAGAIN, ENOMEM}},
    {"processes", processes, {EAGAIN, ENOMEM}},
    {"futex waiters", futex_waiters, {EAGAIN, ENOMEM}},
    {"mappings", mappings, {ENOMEM}},
    {"locks", locks, {0, ENOLCK}},
    {"shared memory", shared_memory, {ENOSPC, ENOMEM}},
    {"message queues", message_queues, {ENOSPC, ENOMEM}},
    {"POSIX queues", posix_queues, {EMFILE, ENOSPC, ENOMEM, ENFILE}},
    {"environment", environment, {E2BIG, ENOMEM}},
    {"deep directories", deep_directories, {ENOSPC, ENOMEM}},
    {"dentries", dentries, {0, ENOMEM}},
    {"ptys", ptys, {ENOSPC, EMFILE, ENFILE, ENOMEM, EIO}},
    {"descriptors", descriptors, {EMFILE, ENFILE, ENOMEM}},
};

static long free_kib(void) {
    struct sysinfo now;
    sysinfo(&now);
    return (long)(now.freeram * now.mem_unit / 1024);
}

// Empties the working directory, however deep it is.
static void empty(void) {
    for (long depth = 0;;) {
        DIR *dir = opendir(".");
        struct dirent *entry;
        char below[256] = "";
        while (dir && !below[0] && (entry = readdir(dir)))
            if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && unlink(entry->d_name) && rmdir(entry->d_name))
                snprintf(below, sizeof below, "%s", entry->d_name);
        if (dir)
            closedir(dir);
        if (below[0]) {
            if (chdir(below))
                return;
            depth++;
        } else if (depth-- == 0 || chdir("..")) {
            return;
        }
    }
}

// Removes what no end of a process removes.
static void clean(void) {
    struct msqid_ds data;
    for (int i = 0; i < 32768; i++) {
        int id = msgctl(i, 11 /* MSG_STAT */, &data);
        if (id >= 0)
            msgctl(id, IPC_RMID, 0);
        else if (i > 1000)
            break;
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir("/tmp/many") == 0)
            empty();
        _exit(0);
    }
    if (pid > 0)
        waitpid(pid, 0, 0);
    rmdir("/tmp/many");
    // Those whose parents are gone.
    while (waitpid(-1, 0, WNOHANG) > 0)
        ;
}

// Whether others can do what programs do.
static int others_go_on(void) {
    int ends[2], status;
    char c = 0;
    char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || pipe(ends))
        return 0;
    memset(p, 1, 1 << 20);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(ends[1], "x", 1) == 1 ? 5 : 6);
    if (pid < 0 || read(ends[0], &c, 1) != 1 || waitpid(pid, &status, 0) != pid)
        return 0;
    close(ends[0]);
    close(ends[1]);
    munmap(p, 1 << 20);
    return c == 'x' && WIFEXITED(status) && WEXITSTATUS(status) == 5;
}

static int expected(const struct kind *kind, int error) {
    for (int i = 0; i < 5; i++)
        if (kind->errors[i] == error && (error || i == 0))
            return 1;
    return 0;
}

static int try(const struct kind *kind) {
    mkdir("/tmp/many", 0700);
    long before = free_kib(), after;
    int status, good;
    struct timespec begin, done;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    word[0] = -1;
    word[1] = 0;
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        struct rlimit many = {1 << 20, 1 << 20}, all = {RLIM_INFINITY, RLIM_INFINITY};
        setrlimit(RLIMIT_NOFILE, &many);
        setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){100000, 100000});
        setrlimit(RLIMIT_MSGQUEUE, &all);
        setrlimit(RLIMIT_NPROC, &all);
        kind->take();
        stop(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        return 0;
    kill(-pid, SIGKILL);
    int killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    good = killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0 && expected(kind, word[0]));
    clean();
    int on = others_go_on();
    // The children of the child, and what goes with them, take a moment.
    for (int i = 0; i < 400 && (after = free_kib()) < before - SLACK; i++) {
        usleep(5000);
        while (waitpid(-1, 0, WNOHANG) > 0)
            ;
    }
    const char *end = killed ? "killed" : word[0] == 0 ? "all done" : word[0] < 0 ? "no word" : strerrorname_np(word[0]);
    printf("%-18s %s%s, others %s, memory %s\n", kind->name, end, good ? "" : " (unexpected)", on ? "go on" : "FAIL",
           after >= before - SLACK ? "is back" : "is LOST");
    clock_gettime(CLOCK_MONOTONIC, &done);
    fprintf(stderr, "%-18s %ld of them, %ld KiB before, %ld after, %ld ms\n", kind->name, word[1], before, after,
            (done.tv_sec - begin.tv_sec) * 1000 + (done.tv_nsec - begin.tv_nsec) / 1000000);
    fflush(stdout);
    return good && on && after >= before - SLACK;
}

int main(int argc, char **argv) {
    int bad = 0;
    word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED)
        return 99;
    signal(SIGPIPE, SIG_IGN);
    // What each first use of something leaves is not counted as lost.
    others_go_on();
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int wanted = argc < 2;
        for (int i = 1; i < argc; i++)
            wanted |= !strcmp(argv[i], kinds[k].name);
        bad += wanted && !try(&kinds[k]);
    }
    return bad;
}
