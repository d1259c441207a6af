// POSIX message queues: order, limits, errors, waiting, notification, poll, /dev/mqueue.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char name[64], other[64];

static const char *err(long result) {
    return result >= 0 ? "ok" : strerrorname_np(errno);
}

static struct timespec in_ms(int ms) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += ms * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static mqd_t make(int flags, long messages, long size) {
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = size};
    return mq_open(name, O_CREAT | O_RDWR | flags, 0600, &attr);
}

static void show_attr(const char *what, mqd_t q) {
    struct mq_attr a;
    if (mq_getattr(q, &a))
        printf("%s: %s\n", what, err(-1));
    else
        printf("%s: flags %#lx, %ld of %ld messages of %ld bytes\n", what, a.mq_flags, a.mq_curmsgs, a.mq_maxmsg, a.mq_msgsize);
}

static void receive_all(mqd_t q) {
    char buffer[64];
    unsigned priority;
    ssize_t n;
    while ((n = mq_receive(q, buffer, sizeof buffer, &priority)) >= 0)
        printf(" %.*s/%u", (int)n, buffer, priority);
    printf(" then %s\n", err(n));
}

static void basics(void) {
    mqd_t q = make(O_EXCL | O_NONBLOCK, 5, 64);
    printf("open: %s\n", err(q));
    show_attr("new", q);
    printf("again: %s\n", err(make(O_EXCL, 5, 64)));
    mqd_t same = mq_open(name, O_RDONLY);
    printf("close on exec: %d\n", fcntl(same, F_GETFD));
    mq_send(q, "low", 3, 1);
    mq_send(q, "high1", 5, 9);
    mq_send(q, "", 0, 3);
    mq_send(q, "high2", 5, 9);
    mq_send(q, "top", 3, 32767);
    printf("full: %s\n", err(mq_send(q, "x", 1, 0)));
    show_attr("full", same);
    printf("received:");
    receive_all(q);
    printf("priority: %s, long: %s, read-only: %s\n", err(mq_send(q, "x", 1, 32768)), err(mq_send(q, name, 65, 0)),
           err(mq_send(same, "x", 1, 0)));
    char small[32];
    printf("short buffer: %s\n", err(mq_receive(q, small, sizeof small, NULL)));
    int null = open("/dev/null", O_RDWR);
    printf("no queue: %s %s, no descriptor: %s\n", err(mq_send(null, "x", 1, 0)), err(mq_getattr(null, &(struct mq_attr){0})),
           err(mq_send(999, "x", 1, 0)));
    struct mq_attr change = {.mq_flags = 0, .mq_maxmsg = 99}, old;
    printf("setattr: %s", err(mq_setattr(q, &change, &old)));
    printf(", was %#lx, status flags %d\n", old.mq_flags, (fcntl(q, F_GETFL) & O_NONBLOCK) != 0);
    change.mq_flags = O_APPEND;
    printf("setattr: %s\n", err(mq_setattr(q, &change, NULL)));
    struct timespec bad = {0, 1000000000}, past = {1, 0}, soon = in_ms(50);
    char buffer[64];
    printf("timeouts: %s", err(mq_timedreceive(q, buffer, 64, NULL, &bad)));
    printf(" %s", err(mq_timedreceive(q, buffer, 64, NULL, &past)));
    printf(" %s", err(mq_timedreceive(q, buffer, 64, NULL, &soon)));
    mq_send(q, "now", 3, 0);
    printf(" %s\n", err(mq_timedreceive(q, buffer, 64, NULL, &past)));
    mq_close(same);
    mqd_t write_only = mq_open(name, O_WRONLY);
    printf("write-only: %s\n", err(mq_receive(write_only, buffer, 64, NULL)));
    mq_close(write_only);
    close(null);
    printf("unlink: %s, again: %s\n", err(mq_unlink(name)), err(mq_unlink(name)));
    printf("still works: %s", err(mq_send(q, "x", 1, 0)));
    printf(" %s, open: %s\n", err(mq_receive(q, buffer, 64, NULL)), err(mq_open(name, O_RDWR)));
    mq_close(q);
}

static void names(void) {
    char longest[300] = "/";
    memset(longest + 1, 'a', 256);
    printf("names: %s", err(mq_open("/", O_RDWR)));
    printf(" %s", err(syscall(SYS_mq_open, "", O_RDWR, 0, NULL)));
    printf(" %s", err(syscall(SYS_mq_open, "a/b", O_RDWR, 0, NULL)));
    printf(" %s", err(syscall(SYS_mq_open, "..", O_RDWR, 0, NULL)));
    printf(" %s", err(mq_open(longest, O_RDWR)));
    printf(" %s\n", err(syscall(SYS_mq_open, 8, O_RDWR, 0, NULL)));
    printf("attributes: %s %s %s %s\n", err(make(0, 0, 1)), err(make(0, 1, 0)), err(make(0, -1, 1)), err(make(0, 65537, 1)));
    printf("missing: %s, mode 3: ", err(mq_open(name, O_RDWR)));
    mqd_t q = make(0, 1, 1);
    printf("%s\n", err(mq_open(name, O_ACCMODE)));
    struct stat st;
    fstat(q, &st);
    printf("mode %o, size %ld\n", st.st_mode, (long)st.st_size);
    mq_close(q);
    mq_unlink(name);
    umask(027);
    q = mq_open(name, O_CREAT | O_RDWR, 0666, NULL);
    fstat(q, &st);
    printf("mode %o\n", st.st_mode);
    show_attr("default", q);
    pid_t child = fork();
    if (child == 0) {
        (void)!setresgid(54321, 54321, 54321);
        (void)!setresuid(54321, 54321, 54321);
        printf("another user: open %s, unlink %s\n", err(mq_open(name, O_RDONLY)), err(mq_unlink(name)));
        struct mq_attr attr = {.mq_maxmsg = 11, .mq_msgsize = 10};
        printf("above msg_max: %s", err(mq_open(other, O_CREAT | O_RDWR, 0600, &attr)));
        attr = (struct mq_attr){.mq_maxmsg = 10, .mq_msgsize = 8193};
        printf(", msgsize_max: %s\n", err(mq_open(other, O_CREAT | O_RDWR, 0600, &attr)));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    umask(022);
    mq_close(q);
    mq_unlink(name);
}

// What one user's queues may take together.
static void limit(void) {
    struct rlimit r = {10000, 10000};
    if (fork() == 0) {
        (void)!setresuid(54322, 54322, 54322);
        setrlimit(RLIMIT_MSGQUEUE, &r);
        // 10 * (48 + 48 + 900) = 9960
        mqd_t q = make(0, 10, 900);
        struct mq_attr one = {.mq_maxmsg = 1, .mq_msgsize = 1};
        printf("limit: %s", err(q));
        printf(" %s", err(mq_open(other, O_CREAT | O_RDWR, 0600, &one)));
        mq_close(q);
        mq_unlink(name);
        q = mq_open(other, O_CREAT | O_RDWR, 0600, &one);
        printf(" %s", err(q));
        printf(" %s\n", err(make(0, 10, 900)));
        mq_close(q);
        mq_unlink(other);
        _exit(0);
    }
    wait(NULL);
}

static void *send_later(void *q) {
    usleep(50000);
    mq_send(*(mqd_t *)q, "late", 4, 2);
    return NULL;
}

static void *receive_later(void *q) {
    char buffer[16];
    usleep(50000);
    mq_receive(*(mqd_t *)q, buffer, 16, NULL);
    return NULL;
}

static volatile sig_atomic_t handled;
static void on_signal(int sig, siginfo_t *info, void *context) {
    (void)context;
    (void)sig;
    handled = info->si_code == SI_MESGQ ? info->si_value.sival_int : 1;
}

static void waiting(void) {
    mqd_t q = make(0, 2, 16);
    char buffer[16];
    pthread_t thread;
    pthread_create(&thread, NULL, send_later, &q);
    printf("waited: %zd\n", mq_receive(q, buffer, 16, NULL));
    pthread_join(thread, NULL);
    mq_send(q, "1", 1, 0);
    mq_send(q, "2", 1, 0);
    struct timespec soon = in_ms(30);
    printf("no room: %s\n", err(mq_timedsend(q, "3", 1, 0, &soon)));
    struct pollfd p = {q, POLLIN | POLLOUT, 0};
    poll(&p, 1, 0);
    printf("poll full: %#x\n", p.revents);
    pthread_create(&thread, NULL, receive_later, &q);
    p.events = POLLOUT;
    printf("poll for room: %d %#x\n", poll(&p, 1, 5000), p.revents);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, receive_later, &q);
    printf("sent when there was room: %s\n", err(mq_send(q, "4", 1, 0)));
    printf("and once more: %s\n", err(mq_send(q, "5", 1, 0)));
    pthread_join(thread, NULL);
    int e = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET}, got;
    printf("epoll: %s", err(epoll_ctl(e, EPOLL_CTL_ADD, q, &event)));
    printf(" %d", epoll_wait(e, &got, 1, 1000));
    printf(" %#x\n", got.events);
    while (mq_getattr(q, &(struct mq_attr){0}) == 0) {
        struct timespec past = {1, 0};
        if (mq_timedreceive(q, buffer, 16, NULL, &past) < 0)
            break;
    }
    poll(&p, 1, 0);
    printf("poll empty: %#x\n", p.revents);
    // A signal ends the wait; with SA_RESTART it goes on.
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGALRM, &action, NULL);
    ualarm(30000, 0);
    printf("interrupted: %s\n", err(mq_receive(q, buffer, 16, NULL)));
    action.sa_flags |= SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    ualarm(20000, 0);
    pthread_create(&thread, NULL, send_later, &q);
    printf("restarted: %zd\n", mq_receive(q, buffer, 16, NULL));
    pthread_join(thread, NULL);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 1000; i++)
            mq_send(q, (char *)&i, sizeof i, 0);
        _exit(0);
    }
    long sum = 0;
    for (int i = 0; i < 1000; i++) {
        mq_receive(q, buffer, 16, NULL);
        sum += *(int *)buffer;
    }
    waitpid(child, NULL, 0);
    printf("from a child: %ld\n", sum);
    close(e);
    mq_close(q);
    mq_unlink(name);
}

static sem_t told;
static void on_message(union sigval value) {
    printf("thread told: %d\n", value.sival_int);
    sem_post(&told);
}

static void show_file(mqd_t q) {
    char text[100] = "", *pid;
    int n = pread(q, text, 99, 0);
    pid = strstr(text, "NOTIFY_PID:");
    if (pid)
        printf("%.*s%s (%d bytes)\n", (int)(pid - text), text, atoi(pid + 11) == getpid() ? "me" : atoi(pid + 11) ? "other" : "none", n);
}

static void notification(void) {
    mqd_t q = make(O_NONBLOCK, 4, 16);
    char buffer[16];
    // The first child's message interrupts the wait for it, which is to go on: else a later one finds this child.
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    printf("notify: %s", err(mq_notify(q, &event)));
    printf(" %s\n", err(mq_notify(q, &event)));
    pid_t child = fork();
    if (child == 0) {
        printf("busy for a child: %s", err(mq_notify(q, &event)));
        printf(", not its own: %s\n", err(mq_notify(q, NULL)));
        mq_send(q, "from child", 10, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    printf("signal value: %d\n", handled);
    handled = 0;
    mq_send(q, "x", 1, 0);
    printf("once only: %d\n", handled);
    printf("not empty: %s", err(mq_notify(q, &event)));
    mq_send(q, "x", 1, 0);
    printf(" %d\n", handled);
    show_file(q);
    receive_all(q);
    mq_send(q, "x", 1, 0);
    printf("from empty: %d\n", handled);
    receive_all(q);
    show_file(q);
    mq_notify(q, &event);
    printf("withdrawn: %s\n", err(mq_notify(q, NULL)));
    // A process's registration goes when it closes the queue, and when it ends.
    mq_notify(q, &event);
    close(dup(q));
    show_file(q);
    if (fork() == 0) {
        mq_notify(q, &event);
        _exit(0);
    }
    wait(NULL);
    show_file(q);
    event.sigev_notify = SIGEV_NONE;
    printf("none: %s", err(mq_notify(q, &event)));
    mq_send(q, "x", 1, 0);
    printf(" %s\n", err(mq_notify(q, &event)));
    mq_notify(q, NULL);
    receive_all(q);
    event.sigev_notify = 77;
    printf("bad: %s", err(mq_notify(q, &event)));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 65;
    printf(" %s %s\n", err(mq_notify(q, &event)), err(mq_notify(0, NULL)));
    sem_init(&told, 0, 0);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_message, .sigev_value.sival_int = 7};
    printf("thread: %s\n", err(mq_notify(q, &event)));
    mq_send(q, "x", 1, 0);
    sem_wait(&told);
    mq_receive(q, buffer, 16, NULL);
    mq_close(q);
    mq_unlink(name);
}

static void directory(void) {
    char path[100];
    struct stat st;
    mqd_t q = make(O_NONBLOCK, 4, 16);
    mq_send(q, "12345", 5, 0);
    snprintf(path, sizeof path, "/dev/mqueue%s", name);
    int fd = open(path, O_RDONLY);
    // Not every Linux has it mounted.
    if (fd >= 0 || getpid() == 1) {
        char text[100] = "";
        if (fd < 0 || read(fd, text, 99) != 60 || strncmp(text, "QSIZE:5 ", 8) || stat(path, &st) || st.st_size != 80)
            printf("wrong: %d %s\n", fd, text);
        if (open("/dev/mqueue/two/levels", O_CREAT | O_RDWR, 0600) >= 0 || mkdir("/dev/mqueue/dir", 0700) == 0)
            printf("not flat\n");
        unlink(path);
        if (mq_open(name, O_RDWR) >= 0)
            printf("still there\n");
    } else {
        mq_unlink(name);
    }
    printf("write: %s\n", err(write(q, "x", 1)));
    mq_close(q);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    snprintf(name, sizeof name, "/skiff-mqueue-%d", getpid());
    snprintf(other, sizeof other, "/skiff-mqueue-other-%d", getpid());
    basics();
    names();
    limit();
    waiting();
    notification();
    directory();
    return 0;
}
