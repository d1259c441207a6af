// O_ASYNC and F_SETOWN on files of every kind that a signal may wake in turn, and a signal then: none stops the machine.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t got;

static void handle(int signal)
{
    (void)signal;
    got++;
}

// Whether the flag is shown, and how FIOASYNC answers.
static void watch(const char *name, int fd)
{
    int on = 1, off = 0;
    fcntl(fd, F_SETOWN, getpid());
    int set = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
    int shown = !!(fcntl(fd, F_GETFL) & O_ASYNC);
    got = 0;
    raise(SIGIO);
    int raised = got;
    int again = ioctl(fd, FIOASYNC, &on) ? errno : 0;
    int end = ioctl(fd, FIOASYNC, &off) ? errno : 0;
    printf("%s: %d, flag %d, raised %d, FIOASYNC %s, off %s\n", name, set, shown, raised, strerrorname_np(again), strerrorname_np(end));
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
}

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int s = 1; s < 64; s++)
        sigaddset(&set, s);
    signal(SIGIO, handle);
    int p[2], s[2], master, slave;
    if (pipe(p) || socketpair(AF_UNIX, SOCK_STREAM, 0, s) || openpty(&master, &slave, 0, 0, 0))
        return 2;
    int signals = signalfd(-1, &set, SFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), event = eventfd(0, 0);
    int process = syscall(SYS_pidfd_open, getpid(), 0), epoll = epoll_create1(0), outer = epoll_create1(0), watches = inotify_init();
    struct epoll_event in = { .events = EPOLLIN };
    epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &in);
    epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &in);
    epoll_ctl(outer, EPOLL_CTL_ADD, epoll, &in);
    watch("signalfd", signals);
    watch("timerfd", timer);
    watch("eventfd", event);
    watch("pidfd", process);
    watch("epoll", epoll);
    watch("an epoll of it", outer);
    watch("inotify", watches);
    watch("pipe", p[0]);
    watch("socket", s[0]);
    watch("pty's master", master);
    watch("pty's slave", slave);
    // All at once now: what becomes ready sends SIGIO, which makes others ready.
    got = 0;
    struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
    timerfd_settime(timer, 0, &soon, NULL);
    uint64_t one = 1;
    if (write(event, &one, 8) != 8 || write(p[1], "x", 1) != 1 || write(s[1], "x", 1) != 1 || write(master, "x\n", 2) != 2)
        return 2;
    printf("signals for what became ready: %s\n", got >= 2 ? "yes" : "no");
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    // The signal of one file is blocked and read by another.
    sigprocmask(SIG_BLOCK, &set, NULL);
    fcntl(p[0], F_SETSIG, SIGRTMIN + 1);
    if (write(p[1], "y", 1) != 1)
        return 2;
    struct signalfd_siginfo info = { 0 };
    while (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != (uint32_t)SIGRTMIN + 1)
        ;
    printf("read it: %d, of the pipe: %d\n", info.ssi_signo == (uint32_t)SIGRTMIN + 1, info.ssi_fd == p[0]);
    // A timer and a message queue's like tell by signals as well, while all of these look on.
    timer_t t;
    struct sigevent tell = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2 };
    timer_create(CLOCK_MONOTONIC, &tell, &t);
    timer_settime(t, 0, &soon, NULL);
    struct epoll_event event_now;
    int ready = epoll_wait(outer, &event_now, 1, 5000);
    printf("the outer epoll: %d\n", ready);
    while (read(signals, &info, sizeof info) != sizeof info || info.ssi_signo != (uint32_t)SIGRTMIN + 2)
        ;
    printf("alive\n");
    return 0;
}
