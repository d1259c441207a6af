/* The letter in /proc/PID/stat, and in that of a thread, while a call waits: those who test a wait wait for it. */
#include "case.h"
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sys/un.h>

static char state_in(const char *path)
{
    char text[512];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return '-';
    text[n] = 0;
    char *end = strrchr(text, ')');
    return end && end[1] ? end[2] : '?';
}

static char state_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return state_in(path);
}

/* The state that a process comes to, if it comes to `want` within seconds. */
static char comes_to(pid_t pid, char want)
{
    char now = '-';
    for (int i = 0; i < 2000 && (now = state_of(pid)) != want; i++)
        pause_ms(1);
    return now;
}

#define WAITS(name, ...)                                                                                                         \
    do {                                                                                                                         \
        pid_t child_ = fork();                                                                                                   \
        MUST(child_ >= 0);                                                                                                       \
        if (child_ == 0) {                                                                                                       \
            __VA_ARGS__;                                                                                                         \
            _exit(0);                                                                                                            \
        }                                                                                                                        \
        EQ(name, 'S', comes_to(child_, 'S'));                                                                                   \
        pause_ms(2);                                                                                                             \
        EQ(named("%s, still", name), 'S', state_of(child_));                                                                     \
        kill(child_, SIGKILL);                                                                                                   \
        int status_;                                                                                                             \
        waitpid(child_, &status_, 0);                                                                                            \
        EQ(named("%s, killed", name), SIGKILL, status_);                                                                         \
    } while (0)

static void fill(int fd)
{
    static char some[4096];
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (write(fd, some, sizeof some) > 0)
        ;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

GROUP(wait_signals)
{
    sigset_t none, usr1;
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, 0);
    WAITS("pause", pause());
    WAITS("sigsuspend", sigsuspend(&none));
    WAITS("sigwaitinfo", sigwaitinfo(&usr1, 0));
    WAITS("sigtimedwait", sigtimedwait(&usr1, 0, &(struct timespec){1000, 0}));
    WAITS("nanosleep", nanosleep(&(struct timespec){1000, 0}, 0));
    WAITS("clock_nanosleep", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){1L << 40, 0}, 0));
    WAITS("clock_nanosleep of processor time", clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &(struct timespec){1000, 0}, 0));
    WAITS("wait4", if (fork() == 0) { pause_ms(100000); _exit(0); } wait(0));
    WAITS("waitid", if (fork() == 0) { pause_ms(100000); _exit(0); } waitid(P_ALL, 0, 0, WEXITED | WSTOPPED));
    static int word;
    WAITS("futex", syscall(SYS_futex, &word, FUTEX_WAIT, 0, 0, 0, 0));
    WAITS("futex, private", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0));
    WAITS("futex, bits", syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, 0, 0, 1));
    static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&held);
    WAITS("a mutex", pthread_mutex_lock(&held));
}

GROUP(wait_files)
{
    int ends[2], full[2], pair[2];
    MUST(pipe(ends) == 0 && pipe(full) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    fill(full[1]);
    char byte;
    WAITS("read of a pipe", read(ends[0], &byte, 1));
    WAITS("readv of a pipe", readv(ends[0], &(struct iovec){&byte, 1}, 1));
    WAITS("write to a pipe", write(full[1], "x", 1));
    WAITS("poll", poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, -1));
    WAITS("poll of nothing", poll(0, 0, 1000000));
    WAITS("select", fd_set set; FD_ZERO(&set); FD_SET(ends[0], &set); select(ends[0] + 1, &set, 0, 0, 0));
    WAITS("pselect", pselect(0, 0, 0, 0, &(struct timespec){1000, 0}, 0));
    WAITS("ppoll", ppoll(0, 0, &(struct timespec){1000, 0}, 0));
    WAITS("epoll_wait", struct epoll_event event; epoll_wait(epoll_create1(0), &event, 1, -1));
    WAITS("splice", splice(ends[0], 0, full[1], 0, 1, 0));
    WAITS("tee", tee(ends[0], full[1], 1, 0));
    WAITS("sendfile", int file = file_with("file", "text"); syscall(SYS_sendfile, full[1], file, 0, 4));
    WAITS("vmsplice", vmsplice(full[1], &(struct iovec){"x", 1}, 1, 0));
    WAITS("recv", recv(pair[0], &byte, 1, 0));
    WAITS("recvmsg", recvmsg(pair[0], &(struct msghdr){.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1}, 0));
    WAITS("eventfd", read(eventfd(0, 0), (char[8]){0}, 8));
    WAITS("eventfd, writing", int fd = eventfd(0, 0); uint64_t most = -2; write(fd, &most, 8); write(fd, &most, 8));
    WAITS("timerfd", read(timerfd_create(CLOCK_MONOTONIC, 0), (char[8]){0}, 8));
    sigset_t none;
    sigemptyset(&none);
    WAITS("signalfd", read(signalfd(-1, &none, 0), (char[128]){0}, 128));
    WAITS("inotify", read(inotify_init(), (char[512]){0}, 512));
    MUST(mkfifo("fifo", 0600) == 0);
    WAITS("open of a fifo", open("fifo", O_RDONLY));
    WAITS("open of a fifo, to write", open("fifo", O_WRONLY));
    int lock = file_with("locked", "x");
    MUST(flock(lock, LOCK_EX) == 0);
    WAITS("flock", flock(open("locked", O_RDWR), LOCK_EX));
    MUST(fcntl(lock, F_SETLK, &(struct flock){.l_type = F_WRLCK}) == 0);
    WAITS("F_SETLKW", fcntl(lock, F_SETLKW, &(struct flock){.l_type = F_WRLCK}));
    WAITS("F_OFD_SETLKW", fcntl(open("locked", O_RDWR), F_OFD_SETLKW, &(struct flock){.l_type = F_WRLCK}));
}

GROUP(wait_sockets)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(listener, (void *)&at, sizeof at) == 0 && listen(listener, 4) == 0 && getsockname(listener, (void *)&at, &length) == 0);
    MUST(bind(local, (void *)&(struct sockaddr_un){AF_UNIX, "socket"}, 9) == 0 && listen(local, 0) == 0);
    WAITS("accept", accept(listener, 0, 0));
    WAITS("accept of a local socket", accept(local, 0, 0));
    int client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(client, (void *)&at, sizeof at) == 0);
    char byte;
    WAITS("recv of TCP", recv(client, &byte, 1, 0));
    WAITS("send to TCP", static char some[65536]; while (send(client, some, sizeof some, 0) > 0));
    at.sin_port = 0;
    MUST(bind(datagrams, (void *)&at, sizeof at) == 0);
    WAITS("recv of UDP", recv(datagrams, &byte, 1, 0));
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    WAITS("send to a full local socket", static char some[1024]; while (send(pair[0], some, sizeof some, 0) > 0));
}

GROUP(wait_ipc)
{
    int queue = msgget(IPC_PRIVATE, 0600), set = semget(IPC_PRIVATE, 2, 0600);
    MUST(queue >= 0 && set >= 0);
    struct { long type; char text[4096]; } message = {1, ""};
    struct sembuf down = {0, -1, 0}, zero = {1, 0, 0};
    MUST(semctl(set, 1, SETVAL, 1) == 0);
    WAITS("msgrcv", msgrcv(queue, &message, 10, 0, 0));
    while (msgsnd(queue, &message, sizeof message.text, IPC_NOWAIT) == 0)
        ;
    WAITS("msgsnd", msgsnd(queue, &message, sizeof message.text, 0));
    WAITS("semop", semop(set, &down, 1));
    WAITS("semop for zero", semop(set, &zero, 1));
    WAITS("semtimedop", semtimedop(set, &down, 1, &(struct timespec){1000, 0}));
    EQ("GETNCNT", 0, semctl(set, 0, GETNCNT));
    msgctl(queue, IPC_RMID, 0);
    semctl(set, 0, IPC_RMID);
    mqd_t mq = mq_open("/waiting-cases", O_RDWR | O_CREAT, 0600, &(struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 8});
    MUST(mq >= 0);
    mq_unlink("/waiting-cases");
    WAITS("mq_receive", mq_receive(mq, (char[8]){0}, 8, 0));
    MUST(mq_send(mq, "x", 1, 0) == 0);
    WAITS("mq_send", mq_send(mq, "x", 1, 0));
}

static void *one_sleeps(void *arg)
{
    __atomic_store_n((int *)arg, (int)gettid(), __ATOMIC_SEQ_CST);
    pause_ms(100000);
    return 0;
}

GROUP(other_states)
{
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0)
        for (;;)
            ;
    EQ("one that computes", 'R', comes_to(child, 'R'));
    kill(child, SIGSTOP);
    EQ("one that is stopped", 'T', comes_to(child, 'T'));
    kill(child, SIGCONT);
    EQ("one that goes on", 'R', comes_to(child, 'R'));
    kill(child, SIGKILL);
    EQ("one that is dead", 'Z', comes_to(child, 'Z'));
    EQ("and nobody's after that", '-', (waitpid(child, 0, 0), state_of(child)));
    static int tid;
    pthread_t thread;
    MUST(pthread_create(&thread, 0, one_sleeps, &tid) == 0);
    while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
        ;
    char path[64], now = '-';
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    for (int i = 0; i < 2000 && (now = state_in(path)) != 'S'; i++)
        pause_ms(1);
    EQ("a thread that sleeps", 'S', now);
    EQ("oneself", 'R', state_of(getpid()));
    EQ("oneself, as a thread", 'R', state_in("/proc/thread-self/stat"));
    int ends[2];
    MUST(pipe(ends) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (vfork() == 0) {
            char byte;
            syscall(SYS_read, ends[0], &byte, 1);
            _exit(0);
        }
        _exit(0);
    }
    YES("the parent of a vfork", strchr("DS", comes_to(parent, 'D')));
    MUST(write(ends[1], "x", 1) == 1);
    waitpid(parent, 0, 0);
}
