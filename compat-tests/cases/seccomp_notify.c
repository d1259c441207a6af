/* seccomp_unotify(2): a supervisor that decides over the calls of others. */
#include "case.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define LISTEN SECCOMP_FILTER_FLAG_NEW_LISTENER
/* The call that is asked about: nobody makes it otherwise. */
#define ASKED SYS_vserver

static int filter(unsigned nr, unsigned verdict, unsigned flags)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, verdict),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(code), code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static struct seccomp_notif received;

static int receive(int fd)
{
    memset(&received, 0, sizeof received);
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &received);
}

static int respond(int fd, long value, int error, unsigned flags)
{
    struct seccomp_notif_resp response = {received.id, value, error, flags};
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static int add(int fd, unsigned flags, int from, int to, unsigned new_flags)
{
    struct seccomp_notif_addfd request = {received.id, flags, from, to, new_flags};
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &request);
}

static int events(int fd)
{
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    return poll(&entry, 1, 0) < 0 ? -1 : entry.revents;
}

static void handler(int number)
{
    (void)number;
}

static void *child(void *body)
{
    ((void (*)(void))body)();
    return 0;
}

static void asks_twice(void)
{
    long result = syscall(ASKED, 11, 12, 13, 14, 15, 16);
    SHOW("the first answer", "%ld %s", result, result == -1 ? error_name(errno) : "");
    result = syscall(ASKED);
    SHOW("the second answer", "%ld %s", result, result == -1 ? error_name(errno) : "");
    result = syscall(ASKED);
    SHOW("when it goes on", "%ld %s", result, result == -1 ? error_name(errno) : "");
}

static void takes_descriptors(void)
{
    char c = 0;
    EQ("answered by a descriptor's number", 9, syscall(ASKED));
    EQ("the descriptor works", 1, read(9, &c, 1));
    EQ("what it reads", 'x', c);
    EQ("its flag", FD_CLOEXEC, fcntl(9, F_GETFD));
    EQ("answered after one", 5, syscall(ASKED));
}

GROUP(seccomp_listener)
{
    int status;
    pthread_t thread;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    struct seccomp_notif_sizes sizes;
    OK("sizes", syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
    SHOW("sizes told", "%d %d %d", sizes.seccomp_notif, sizes.seccomp_notif_resp, sizes.seccomp_data);
    ERR("sizes with flags", EINVAL, syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 1, &sizes));
    ERR("sizes at no address", EFAULT, syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, BAD));
    unsigned action = SECCOMP_RET_USER_NOTIF;
    OK("action", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    ERR("with all threads", EINVAL, filter(ASKED, SECCOMP_RET_USER_NOTIF, LISTEN | SECCOMP_FILTER_FLAG_TSYNC));
    ERR("killable alone", EINVAL, filter(ASKED, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
    CHILD(status, {
        OK("without a listener", filter(ASKED, SECCOMP_RET_USER_NOTIF, 0));
        ERR("nobody to ask", ENOSYS, syscall(ASKED));
    });
    CHILD(status, {
        int fd = filter(ASKED, SECCOMP_RET_USER_NOTIF, LISTEN);
        YES("a descriptor", fd > 2);
        EQ("closed by exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
        char link[64] = "";
        YES("its name", readlink(named("/proc/self/fd/%d", fd), link, 63) > 0);
        TEXT("called", "anon_inode:seccomp notify", link);
        ERR("a second", EBUSY, filter(ASKED, SECCOMP_RET_USER_NOTIF, LISTEN));
        OK("another filter", filter(SYS_getpgid, SECCOMP_RET_ALLOW, 0));
        EQ("nothing to receive", 0, events(fd));
        ERR("read", EINVAL, read(fd, link, 1));
        ERR("another request", EINVAL, ioctl(fd, 0x2100));
        unsigned long id = 1;
        ERR("no such call", ENOENT, ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
        ERR("an answer to none", ENOENT, respond(fd, 0, 0, 0));
        ERR("an answer with flags", EINVAL, respond(fd, 0, 0, 2));
        ERR("go on with a value", EINVAL, respond(fd, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
        ERR("an answer at no address", EFAULT, ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, BAD));
        received.flags = 1;
        ERR("receive into what is not zero", EINVAL, ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &received));
        ERR("receive at no address", EFAULT, ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, BAD));
        pthread_create(&thread, 0, child, asks_twice);
        OK("receive", receive(fd));
        SHOW("the call", "%d arch %x args %lld %lld flags %d", received.data.nr, received.data.arch, received.data.args[0],
             received.data.args[5], received.flags);
        YES("by another thread", received.pid > (unsigned)getpid());
        EQ("to be answered", POLLOUT, events(fd));
        OK("is there", ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &received.id));
        OK("answer a value", respond(fd, 77, 0, 0));
        unsigned long before = received.id;
        OK("receive again", receive(fd));
        YES("the next id", received.id == before + 1);
        OK("answer an error", respond(fd, 5, -ENOTNAM, 0));
        OK("receive the third", receive(fd));
        OK("let it go on", respond(fd, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
        pthread_join(thread, 0);
        ERR("an answer too late", ENOENT, respond(fd, 0, 0, 0));
        EQ("nothing left", 0, events(fd));
        close(fd);
        ERR("once nobody listens", ENOSYS, syscall(ASKED));
    });
    CHILD(status, {
        int fd = filter(ASKED, SECCOMP_RET_USER_NOTIF, LISTEN);
        int ends[2];
        MUST(pipe(ends) == 0 && write(ends[1], "xyz", 3) == 3);
        ERR("add to none", ENOENT, add(fd, 0, 0, 0, 0));
        pthread_create(&thread, 0, child, takes_descriptors);
        MUST(receive(fd) == 0);
        ERR("add with other flags", EINVAL, add(fd, 4, ends[0], 0, 0));
        ERR("add with a number alone", EINVAL, add(fd, 0, ends[0], 9, 0));
        ERR("add with other flags of descriptors", EINVAL, add(fd, 0, ends[0], 0, O_NONBLOCK));
        ERR("add no descriptor", EBADF, add(fd, 0, NOFD, 0, 0));
        ERR("add a large one", EINVAL, ioctl(fd, _IOC(_IOC_WRITE, 0x21, 3, 4096), &received));
        ERR("add a small one", EINVAL, ioctl(fd, _IOC(_IOC_WRITE, 0x21, 3, 16), &received));
        ERR("add beyond the limit", EBADF, add(fd, SECCOMP_ADDFD_FLAG_SETFD, ends[0], 1 << 30, 0));
        EQ("add and answer", 9, add(fd, SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND, ends[0], 9, O_CLOEXEC));
        MUST(receive(fd) == 0);
        int lowest = dup(0);
        close(lowest);
        EQ("add", lowest, add(fd, 0, ends[0], 0, 0));
        OK("answer", respond(fd, 5, 0, 0));
        ERR("add after the answer", ENOENT, (pthread_join(thread, 0), add(fd, 0, ends[0], 0, 0)));
    });
}

/* What becomes of calls whose thread or supervisor goes. */
GROUP(seccomp_unanswered)
{
    int status, fd = -1;
    int to[2];
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    /* The child's descriptor comes by its number, which pidfd_getfd takes from it. */
    for (int kind = 0; kind < 4; kind++) {
        MUST(pipe(to) == 0);
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0) {
            int listener = filter(ASKED, SECCOMP_RET_USER_NOTIF, LISTEN | (kind == 1 ? SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0));
            MUST(write(to[1], &listener, sizeof listener) == sizeof listener);
            int other[2];
            MUST(pipe(other) == 0);
            while (fcntl(listener, F_GETFD) >= 0 && poll(0, 0, 1) == 0)
                if (access("taken", F_OK) == 0)
                    break;
            close(listener);
            if (kind == 3)
                _exit(3);
            long result = syscall(ASKED);
            _exit(result == -1 ? errno : result);
        }
        int number;
        MUST(read(to[0], &number, sizeof number) == sizeof number);
        int pidfd = syscall(SYS_pidfd_open, pid, 0);
        fd = syscall(SYS_pidfd_getfd, pidfd, number, 0);
        MUST(fd >= 0);
        close(open("taken", O_CREAT | O_WRONLY, 0600));
        if (kind < 3) {
            struct pollfd entry = {fd, POLLIN, 0};
            EQ(named("a call comes, %d", kind), 1, poll(&entry, 1, 5000));
            OK(named("receive, %d", kind), receive(fd));
        }
        if (kind == 0 || kind == 1) {
            kill(pid, SIGUSR1);
            pause_ms(50);
            errno = 0;
            int valid = ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &received.id);
            SHOW(named("after a signal, %d", kind), "%d %s", valid, error_name(errno));
            if (valid == 0)
                OK(named("answer, %d", kind), respond(fd, 12, 0, 0));
        }
        if (kind == 2)
            close(fd);
        MUST(waitpid(pid, &status, 0) == pid);
        SHOW(named("ends, %d", kind), "exit %s", error_name(WEXITSTATUS(status)));
        if (kind == 0 || kind == 3) {
            EQ(named("nobody left, %d", kind), POLLHUP, events(fd));
            ERR(named("receive of nobody, %d", kind), ENOENT, receive(fd));
        }
        unlink("taken");
        close(fd);
        close(pidfd);
        close(to[0]);
        close(to[1]);
    }
}

static long per_call(int nr)
{
    struct timespec a, b;
    long least = LONG_MAX;
    for (int round = 0; round < 20; round++) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < 200; i++)
            syscall(nr, 0, 0, 0);
        clock_gettime(CLOCK_MONOTONIC, &b);
        long took = (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec;
        if (took < least)
            least = took;
    }
    return least;
}

/* What a filter lets through whatever the arguments costs no more for being filtered by many. */
GROUP(seccomp_always_allowed)
{
    int status;
    CHILD(status, {
        static struct sock_filter code[400];
        code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
        for (int i = 1; i < 399; i++)
            code[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5000 + i, 0, 0);
        code[399] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = {400, code};
        pid_t own = getpid();
        long before = per_call(SYS_getpgid);
        for (int i = 0; i < 20; i++)
            MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
        long after = per_call(SYS_getpgid);
        YES("8000 instructions are not run", after < before * 4 + 20000);
        YES("and the call is made", syscall(SYS_getpgid, 0) == getpgrp());
        YES("and the quick ones", syscall(SYS_getpid) == own);
    });
}
