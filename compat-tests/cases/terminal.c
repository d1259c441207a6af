/* Pseudo terminals (pty(7), termios(3), ioctl_tty(2)): what waits for what, changes of mode with data pending, packet mode, ioctls,
 * hang-up, the minimum and time of raw reads, and the files of devpts. */
#include "case.h"
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <termios.h>

/* The kernel's own shapes: libc's headers clash with them. */
struct ktermio {
    unsigned short c_iflag, c_oflag, c_cflag, c_lflag;
    unsigned char c_line, c_cc[8];
};
struct ktermios2 {
    unsigned c_iflag, c_oflag, c_cflag, c_lflag;
    unsigned char c_line, c_cc[19];
    unsigned c_ispeed, c_ospeed;
};
#define K_TCGETS2 _IOR('T', 0x2a, struct ktermios2)
#define K_TCSETS2 _IOW('T', 0x2b, struct ktermios2)
#define K_TCSETSF2 _IOW('T', 0x2d, struct ktermios2)
#ifndef TIOCPKT_IOCTL
#define TIOCPKT_IOCTL 64
#endif
#ifndef BOTHER
#define BOTHER 010000
#endif
#ifndef EXTPROC
#define EXTPROC 0200000
#endif

static int m, s, number;

static void pair(int flags)
{
    int unlock = 0;
    char name[32];
    m = open("/dev/ptmx", O_RDWR | O_NOCTTY | flags);
    MUST(m >= 0);
    MUST(ioctl(m, TIOCSPTLCK, &unlock) == 0);
    MUST(ioctl(m, TIOCGPTN, &number) == 0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    s = open(name, O_RDWR | O_NOCTTY | flags);
    MUST(s >= 0);
}

static void close_pair(void)
{
    close(s);
    close(m);
}

static void mode(unsigned set, unsigned clear, int min, int time)
{
    struct termios t;
    MUST(tcgetattr(s, &t) == 0);
    t.c_lflag = (t.c_lflag | set) & ~clear;
    t.c_cc[VMIN] = min;
    t.c_cc[VTIME] = time;
    MUST(tcsetattr(s, TCSANOW, &t) == 0);
}

static void raw(void)
{
    struct termios t;
    MUST(tcgetattr(s, &t) == 0);
    cfmakeraw(&t);
    MUST(tcsetattr(s, TCSANOW, &t) == 0);
}

static int waiting(int fd)
{
    int n = -1;
    ioctl(fd, FIONREAD, &n);
    return n;
}

/* The line discipline works behind the writer's back. */
static void settle(int fd, int count)
{
    for (int i = 0; i < 500 && waiting(fd) < count; i++)
        pause_ms(1);
}

static int revents(int fd, int events)
{
    struct pollfd p = {fd, events, 0};
    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static int revents_soon(int fd, int events)
{
    struct pollfd p = {fd, events, 0};
    return poll(&p, 1, 2000) < 0 ? -1 : p.revents;
}

static const char *quoted(const char *bytes, ssize_t n)
{
    static char text[4][512];
    static int turn;
    char *out = text[turn++ & 3], *to = out;
    if (n < 0)
        return error_name(errno);
    for (ssize_t i = 0; i < n && to < out + 480; i++)
        to += bytes[i] >= 32 && bytes[i] < 127 ? sprintf(to, "%c", bytes[i]) : sprintf(to, "\\%03o", (unsigned char)bytes[i]);
    *to = 0;
    return out;
}

static const char *take(int fd, size_t n)
{
    static char buffer[512];
    return quoted(buffer, read(fd, buffer, n));
}

static const char *take_soon(int fd, size_t n)
{
    revents_soon(fd, POLLIN | POLLPRI);
    pause_ms(2);
    return take(fd, n);
}

static void put(int fd, const char *text)
{
    MUST(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static volatile int caught;
static void catch(int number)
{
    caught = number;
}

static void *reader(void *arg)
{
    char c[16];
    errno = 0;
    long n = read(*(int *)arg, c, sizeof c);
    return (void *)(n < 0 ? -(long)errno : n);
}

static void *writer(void *arg)
{
    static char big[100000];
    long n = write(*(int *)arg, big, sizeof big);
    return (void *)(n < 0 ? -(long)errno : n);
}

static int again_of(int fd)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
}

/* While one sits in a call, nobody else waits for the terminal without wanting to. */
GROUP(pty_wait)
{
    struct sigaction action = {.sa_handler = catch};
    sigaction(SIGUSR1, &action, 0);
    char c;
    pthread_t a, b;
    void *result;
    pair(0);
    raw();
    int nonblock = again_of(s);
    MUST(nonblock >= 0);
    pthread_create(&a, 0, reader, &s);
    pause_ms(50);
    ERR("a read that may not wait beside one that does", EAGAIN, read(nonblock, &c, 1));
    pthread_create(&b, 0, reader, &s);
    pause_ms(50);
    pthread_kill(b, SIGUSR1);
    pthread_join(b, &result);
    EQ("a signal to the second reader", -EINTR, (long)result);
    put(m, "x");
    pthread_join(a, &result);
    EQ("the first one reads on", 1, (long)result);
    pthread_create(&a, 0, reader, &s);
    pause_ms(50);
    put(s, "out");
    TEXT("writing goes on beside a reader", "out", take_soon(m, 16));
    pthread_kill(a, SIGUSR1);
    pthread_join(a, &result);
    EQ("a signal to the reader", -EINTR, (long)result);

    pthread_create(&a, 0, writer, &s);
    pause_ms(100);
    ERR("a write that may not wait beside one that does", EAGAIN, write(nonblock, "x", 1));
    pthread_create(&b, 0, writer, &s);
    pause_ms(50);
    pthread_kill(b, SIGUSR1);
    pthread_join(b, &result);
    EQ("a signal to the second writer", -EINTR, (long)result);
    put(m, "y");
    settle(s, 1);
    EQ("reading goes on beside a writer", 1, read(nonblock, &c, 1));
    pthread_kill(a, SIGUSR1);
    pthread_join(a, &result);
    YES("a signal to the writer", (long)result > 0 && (long)result < 100000);
    close(nonblock);
    close_pair();

    pair(0);
    raw();
    nonblock = dup(m);
    pthread_create(&a, 0, reader, &m);
    pause_ms(50);
    pthread_create(&b, 0, reader, &m);
    pause_ms(50);
    pthread_kill(b, SIGUSR1);
    pthread_join(b, &result);
    EQ("master: a signal to the second reader", -EINTR, (long)result);
    put(s, "x");
    pthread_join(a, &result);
    EQ("master: the first one reads on", 1, (long)result);
    pthread_create(&a, 0, writer, &m);
    pause_ms(100);
    pthread_create(&b, 0, writer, &m);
    pause_ms(50);
    pthread_kill(b, SIGUSR1);
    pthread_join(b, &result);
    EQ("master: a signal to the second writer", -EINTR, (long)result);
    EQ("master: no room while it waits", 0, revents(m, POLLOUT));
    pthread_kill(a, SIGUSR1);
    pthread_join(a, &result);
    YES("master: a signal to the writer", (long)result > 0 && (long)result < 100000);
    close_pair();

    pair(0);
    raw();
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        pthread_create(&a, 0, reader, &s);
        pthread_create(&b, 0, reader, &s);
        writer(&s);
        _exit(1);
    }
    pause_ms(100);
    kill(child, SIGKILL);
    int status = 0;
    MUST(waitpid(child, &status, 0) == child);
    EQ("SIGKILL ends them all", SIGKILL, WTERMSIG(status));
    close_pair();
}

GROUP(pty_switch)
{
    pair(O_NONBLOCK);
    mode(0, ECHO, 1, 0);
    put(m, "hello");
    pause_ms(10);
    ERR("no line yet", EAGAIN, read(s, (char[8]){0}, 8));
    mode(0, ICANON, 1, 0);
    settle(s, 5);
    TEXT("raw: what was typed", "hello", take(s, 16));
    mode(ICANON, 0, 1, 0);
    put(m, "a line\nnext");
    settle(s, 7);
    EQ("FIONREAD: whole lines", 7, waiting(s));
    mode(0, ICANON, 1, 0);
    settle(s, 11);
    EQ("FIONREAD: all", 11, waiting(s));
    TEXT("all of it", "a line\\012next", take(s, 16));
    put(m, "no newline");
    settle(s, 10);
    mode(ICANON, 0, 1, 0);
    TEXT("lines again: what there is is one", "no newline", take(s, 16));
    ERR("and no more", EAGAIN, read(s, (char[8]){0}, 8));
    put(m, "GO\nBLUE\n!");
    settle(s, 8);
    mode(0, ICANON, 1, 0);
    settle(s, 9);
    mode(ICANON, 0, 1, 0);
    TEXT("there and back: one line", "GO\\012BLUE\\012!", take(s, 16));
    put(m, "ab\004cd\n");
    settle(s, 5);
    EQ("an end of file is no byte", 5, waiting(s));
    mode(0, ICANON, 1, 0);
    TEXT("raw: it is a NUL", "ab\\000cd\\012", take(s, 16));
    mode(ICANON, 0, 1, 0);
    put(m, "ab\004");
    settle(s, 2);
    TEXT("the end ends the line", "ab", take(s, 16));
    put(m, "\004");
    pause_ms(10);
    EQ("an end alone is readable", POLLIN, revents(s, POLLIN));
    EQ("and reads as nothing", 0, read(s, (char[8]){0}, 8));
    put(m, "one\ntwo\n");
    settle(s, 8);
    TEXT("a short read", "o", take(s, 1));
    mode(0, ICANON, 1, 0);
    TEXT("and the rest raw", "ne\\012two\\012", take(s, 16));
    close_pair();
}

static char big[200000];

static long drain(int fd, long most)
{
    static char buffer[4096];
    long sum = 0;
    for (;;) {
        int events = revents(fd, POLLIN);
        for (int i = 0; i < 20 && !(events & POLLIN); i++) {
            pause_ms(1);
            events = revents(fd, POLLIN);
        }
        if (!(events & POLLIN) || sum >= most)
            return sum;
        long n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            return sum;
        sum += n;
    }
}

static void *feed(void *arg)
{
    for (unsigned i = 0; i < sizeof big; i++)
        big[i] = i % 251;
    return (void *)(long)write(*(int *)arg, big, sizeof big);
}

static long compare(int fd)
{
    static unsigned char got[3000];
    unsigned long at = 0;
    while (at < sizeof big) {
        long n = read(fd, got, sizeof got);
        if (n <= 0)
            return -errno;
        for (long i = 0; i < n; i++)
            if (got[i] != at++ % 251)
                return at;
    }
    return at;
}

GROUP(pty_big)
{
    pthread_t thread;
    void *result;
    static char text[5000];
    pair(O_NONBLOCK);
    mode(0, ECHO, 1, 0);
    memset(text, 'M', sizeof text);
    text[4099] = '\n';
    EQ("a line of 4100", 4100, write(m, text, 4100));
    settle(s, 4096);
    EQ("FIONREAD", 4096, waiting(s));
    EQ("4096 of it are read", 4096, read(s, text, sizeof text));
    EQ("its end stands at the end", '\n', text[4095]);
    ERR("and no more", EAGAIN, read(s, text, 1));
    mode(0, ICANON, 1, 0);
    memset(text, 'M', sizeof text);
    EQ("raw: 4100", 4100, write(m, text, 4100));
    settle(s, 4095);
    EQ("raw: FIONREAD", 4095, waiting(s));
    put(m, "\n");
    mode(ICANON, 0, 1, 0);
    EQ("lines: the first", 4095, read(s, text, 4095));
    pause_ms(20);
    TEXT("lines: the rest of what was written", "MMMMM\\012", take_soon(s, 16));
    ERR("lines: no more", EAGAIN, read(s, text, 1));
    put(m, "GO\n");
    settle(s, 3);
    memset(text, 'M', 4096);
    EQ("more than there is room for", 4096, write(m, text, 4096));
    pause_ms(10);
    EQ("FIONREAD: still the line", 3, waiting(s));
    tcflush(s, TCIFLUSH);
    EQ("flushed", 0, waiting(s));
    mode(0, ICANON, 1, 0);
    long sum = 0, n;
    while ((n = write(m, big, sizeof big)) > 0 || revents(m, POLLOUT))
        sum += n > 0 ? n : 0;
    ERR("full", EAGAIN, write(m, big, 1));
    YES("takes some thousands", sum > 4095 && sum < 100000);
    EQ("and all of it arrives", 0, drain(s, 1 << 20) - sum);
    EQ("room again", POLLOUT, revents_soon(m, POLLOUT));
    close_pair();
    pair(0);
    raw();
    pthread_create(&thread, 0, feed, &m);
    EQ("200000 bytes to the terminal, in order", 200000, compare(s));
    pthread_join(thread, &result);
    EQ("written", 200000, (long)result);
    pthread_create(&thread, 0, feed, &s);
    EQ("200000 bytes to the master, in order", 200000, compare(m));
    pthread_join(thread, &result);
    EQ("written there", 200000, (long)result);
    close_pair();
}

GROUP(pty_packet)
{
    int on = 1, off = 0, got = -1;
    struct termios t;
    char buffer[64];
    pair(O_NONBLOCK);
    OK("TIOCGPKT", ioctl(m, TIOCGPKT, &got));
    EQ("it is off", 0, got);
    ERR("TIOCPKT at the terminal", ENOTTY, ioctl(s, TIOCPKT, &on));
    ERR("TIOCGPKT at the terminal", ENOTTY, ioctl(s, TIOCGPKT, &got));
    ERR("TIOCPKT, a bad address", EFAULT, ioctl(m, TIOCPKT, BAD));
    OK("TIOCPKT", ioctl(m, TIOCPKT, &on));
    OK("TIOCGPKT again", ioctl(m, TIOCGPKT, &got));
    EQ("it is on", 1, got);
    ERR("nothing to read", EAGAIN, read(m, buffer, sizeof buffer));
    put(s, "hello\n");
    TEXT("data", "\\000hello\\015\\012", take_soon(m, 32));
    put(s, "abc");
    TEXT("one byte of room", "\\000", take_soon(m, 1));
    TEXT("two", "\\000a", take(m, 2));
    TEXT("the rest", "\\000bc", take(m, 32));
    tcflush(s, TCIFLUSH);
    EQ("flushed input: poll", POLLIN | POLLPRI, revents(m, POLLIN | POLLPRI));
    TEXT("flushed input", "\\001", take(m, 32));
    ERR("told once", EAGAIN, read(m, buffer, sizeof buffer));
    tcflush(s, TCOFLUSH);
    TEXT("flushed output", "\\002", take(m, 32));
    tcflush(s, TCIOFLUSH);
    TEXT("flushed both", "\\003", take(m, 32));
    tcflow(s, TCOOFF);
    TEXT("stopped", "\\004", take(m, 32));
    tcflow(s, TCOON);
    TEXT("started", "\\010", take(m, 32));
    tcflow(s, TCOOFF);
    tcflow(s, TCOON);
    TEXT("stopped and started", "\\010", take(m, 32));
    tcgetattr(s, &t);
    t.c_iflag &= ~IXON;
    tcsetattr(s, TCSANOW, &t);
    TEXT("no flow control", "\\020", take(m, 32));
    t.c_iflag |= IXON;
    tcsetattr(s, TCSANOW, &t);
    TEXT("flow control", " ", take(m, 32));
    t.c_cc[VSTOP] = 1;
    tcsetattr(s, TCSANOW, &t);
    TEXT("another stop character", "\\020", take(m, 32));
    put(s, "x");
    tcflush(s, TCIFLUSH);
    pause_ms(10);
    TEXT("state before data", "\\001", take(m, 32));
    TEXT("then data", "\\000x", take(m, 32));
    t.c_lflag |= EXTPROC;
    tcsetattr(s, TCSANOW, &t);
    TEXT("external processing", "@", take(m, 32));
    tcflush(s, TCIFLUSH);
    OK("off", ioctl(m, TIOCPKT, &off));
    put(s, "y");
    TEXT("plain data", "y", take_soon(m, 32));
    close_pair();
}

static const struct request {
    const char *name;
    unsigned long request;
} numbers[] = {
    {"TIOCGPTN", TIOCGPTN}, {"TIOCGPTLCK", TIOCGPTLCK}, {"TIOCGPKT", TIOCGPKT}, {"TIOCGEXCL", TIOCGEXCL},
    {"TIOCOUTQ", TIOCOUTQ}, {"TIOCINQ", TIOCINQ},       {"TIOCGETD", TIOCGETD}, {"TIOCGSOFTCAR", TIOCGSOFTCAR},
};

GROUP(pty_ioctl)
{
    int value, zero = 0, one = 1, fd;
    pair(0);
    for (unsigned i = 0; i < COUNT(numbers); i++)
        for (int side = 0; side < 2; side++) {
            value = -77;
            int result = ioctl(side ? s : m, numbers[i].request, &value);
            int error = result < 0 ? errno : 0;
            if (numbers[i].request == TIOCGPTN && !result)
                value = value == number;
            SHOW(named("%s of the %s", numbers[i].name, side ? "terminal" : "master"), "%d %s %d", result, error_name(error), value);
        }
    for (unsigned i = 0; i < COUNT(numbers); i++)
        if (numbers[i].request != TIOCGSOFTCAR)
            ERR(named("%s, a bad address", numbers[i].name), EFAULT, ioctl(m, numbers[i].request, BAD));
    unsigned device = 0;
    OK("TIOCGDEV of the terminal", ioctl(s, TIOCGDEV, &device));
    EQ("is its number", 136, device >> 8 & 0xfff);
    OK("TIOCGDEV of the master", ioctl(m, TIOCGDEV, &device));
    EQ("is that of the terminal", 136, device >> 8 & 0xfff);
    ERR("TIOCMGET", ENOTTY, ioctl(s, TIOCMGET, &value));
    ERR("TIOCMSET", ENOTTY, ioctl(s, TIOCMSET, &zero));
    ERR("TIOCGICOUNT", ENOTTY, ioctl(s, TIOCGICOUNT, &value));
    ERR("TIOCSSOFTCAR, a bad address", EFAULT, ioctl(s, TIOCSSOFTCAR, BAD));
    OK("TIOCSSOFTCAR", ioctl(s, TIOCSSOFTCAR, &one));
    OK("TIOCGSOFTCAR then", ioctl(s, TIOCGSOFTCAR, &value));
    EQ("it is", 1, value);
    ERR("TIOCGSERIAL", ENOTTY, ioctl(s, TIOCGSERIAL, BAD));
    ERR("no such request", ENOTTY, ioctl(s, _IO('T', 0xee), 0));
    ERR("no such request of the master", ENOTTY, ioctl(m, _IO('T', 0xee), 0));
    ERR("BLKGETSIZE", ENOTTY, ioctl(s, 0x1260, &value));
    for (int turn = 1; turn < 3; turn++) {
        int set = turn == 1 ? 99 : 15;
        SHOW(named("TIOCSETD %d", set), "%s", ioctl(s, TIOCSETD, &set) ? error_name(errno) : "0");
    }
    OK("TIOCSETD 0", ioctl(s, TIOCSETD, &zero));
    OK("TCSBRK 1", ioctl(s, TCSBRK, 1));
    OK("TCSBRK 0", ioctl(s, TCSBRK, 0));
    OK("TCSBRKP", ioctl(s, TCSBRKP, 0));
    OK("TIOCSBRK", ioctl(s, TIOCSBRK, 0));
    OK("TIOCCBRK", ioctl(s, TIOCCBRK, 0));
    ERR("TCFLSH 3", EINVAL, ioctl(s, TCFLSH, 3));
    ERR("TCXONC 4", EINVAL, ioctl(s, TCXONC, 4));
    ERR("TIOCGSID without one", ENOTTY, ioctl(s, TIOCGSID, &value));
    ERR("TIOCGPGRP without one", ENOTTY, ioctl(s, TIOCGPGRP, &value));
    ERR("TIOCSPGRP without one", ENOTTY, ioctl(s, TIOCSPGRP, &one));
    ERR("TIOCNOTTY without one", ENOTTY, ioctl(s, TIOCNOTTY));
    ERR("TIOCNOTTY of the master", ENOTTY, ioctl(m, TIOCNOTTY));
    OK("TIOCGPGRP of the master", ioctl(m, TIOCGPGRP, &value));
    EQ("which has none", 0, value);
    SHOW("TIOCGSID of the master", "%s", ioctl(m, TIOCGSID, &value) ? error_name(errno) : "0");
    ERR("truncate", EINVAL, ftruncate(s, 0));
    ERR("seek", ESPIPE, lseek(s, 0, SEEK_SET));
    ERR("pread", ESPIPE, pread(s, &value, 1, 0));
    ERR("pwrite", ESPIPE, pwrite(m, "x", 1, 0));
    ERR("mmap", ENODEV, (long)mmap(0, 4096, PROT_READ, MAP_SHARED, s, 0));
    ERR("fsync", EINVAL, fsync(s));
    EQ("reading nothing", 0, read(s, &value, 0));
    EQ("writing nothing", 0, write(s, &value, 0));
    ERR("writing a bad address", EFAULT, write(s, BAD, 1));
    put(m, "a\n");
    settle(s, 2);
    ERR("reading to a bad address", EFAULT, syscall(SYS_read, s, BAD, 1L));
    fd = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    YES("TIOCGPTPEER", fd >= 0);
    EQ("close on exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    struct stat one_side, other;
    MUST(fstat(fd, &one_side) == 0 && fstat(s, &other) == 0);
    YES("is the terminal", one_side.st_ino == other.st_ino && one_side.st_rdev == other.st_rdev);
    char link[64] = "", target[64] = "", want[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    snprintf(want, sizeof want, "/dev/pts/%d", number);
    MUST(readlink(link, target, sizeof target - 1) > 0);
    YES("and called so", !strcmp(target, want));
    close(fd);
    ERR("TIOCGPTPEER of the terminal", EIO, ioctl(s, TIOCGPTPEER, O_RDWR));
    ERR("TIOCSPTLCK of the terminal", ENOTTY, ioctl(s, TIOCSPTLCK, &one));
    OK("locked again", ioctl(m, TIOCSPTLCK, &one));
    ERR("opening it then", EIO, open(want, O_RDWR | O_NOCTTY));
    OK("unlocked", ioctl(m, TIOCSPTLCK, &zero));
    OK("TIOCEXCL", ioctl(s, TIOCEXCL));
    OK("TIOCGEXCL", ioctl(s, TIOCGEXCL, &value));
    EQ("is on", 1, value);
    fd = open(want, O_RDWR | O_NOCTTY);
    YES("root opens it still", geteuid() != 0 || fd >= 0);
    if (fd >= 0)
        close(fd);
    if (geteuid() == 0)
        MUST(chmod(want, 0666) == 0);
    AS_NOBODY({ ERR("others do not", EBUSY, open(want, O_RDWR | O_NOCTTY)); });
    OK("TIOCNXCL", ioctl(s, TIOCNXCL));
    AS_NOBODY({ YES("others do", open(want, O_RDWR | O_NOCTTY) >= 0); });
    close_pair();
}

GROUP(pty_termio)
{
    struct ktermio t, before;
    struct ktermios2 t2;
    struct termios full;
    pair(O_NONBLOCK);
    OK("TCGETA", ioctl(s, TCGETA, &t));
    SHOW("its flags", "%o %o %o %o %d", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
    SHOW("its characters", "%d %d %d %d %d %d %d %d", t.c_cc[0], t.c_cc[1], t.c_cc[2], t.c_cc[3], t.c_cc[4], t.c_cc[5], t.c_cc[6], t.c_cc[7]);
    before = t;
    t.c_lflag &= ~ICANON;
    t.c_cc[0] = 5;
    OK("TCSETA", ioctl(s, TCSETA, &t));
    MUST(tcgetattr(s, &full) == 0);
    EQ("ICANON is off", 0, full.c_lflag & ICANON);
    EQ("and VINTR another", 5, full.c_cc[VINTR]);
    EQ("the high flags stay", 0100000, full.c_lflag & IEXTEN);
    EQ("the later characters stay", 021, full.c_cc[VSTART]);
    put(m, "abc");
    settle(s, 3);
    OK("TCSETAW", ioctl(s, TCSETAW, &before));
    MUST(tcgetattr(s, &full) == 0);
    EQ("ICANON is on", ICANON, full.c_lflag & ICANON);
    EQ("and keeps input", 3, waiting(s));
    OK("TCSETAF", ioctl(s, TCSETAF, &before));
    EQ("which this forgets", 0, waiting(s));
    ERR("TCGETA, a bad address", EFAULT, ioctl(s, TCGETA, BAD));
    ERR("TCSETA, a bad address", EFAULT, ioctl(s, TCSETA, BAD));
    ERR("TCSETAW, a bad address", EFAULT, ioctl(s, TCSETAW, BAD));
    ERR("TCSETAF, a bad address", EFAULT, ioctl(s, TCSETAF, BAD));
    ERR("TCSETS, a bad address", EFAULT, ioctl(s, TCSETS, BAD));
    ERR("TCGETS2, a bad address", EFAULT, ioctl(s, K_TCGETS2, BAD));
    OK("TCGETA of the master", ioctl(m, TCGETA, &t));
    EQ("is the terminal's", before.c_lflag, t.c_lflag);
    OK("TCGETS2", ioctl(s, K_TCGETS2, &t2));
    SHOW("its flags and speeds", "%o %o %o %o %u %u", t2.c_iflag, t2.c_oflag, t2.c_cflag, t2.c_lflag, t2.c_ispeed, t2.c_ospeed);
    t2.c_cflag = (t2.c_cflag & ~(unsigned)CBAUD) | BOTHER;
    t2.c_ispeed = t2.c_ospeed = 12345;
    OK("TCSETS2 with another speed", ioctl(s, K_TCSETS2, &t2));
    OK("TCGETS2 then", ioctl(s, K_TCGETS2, &t2));
    SHOW("it is", "%u %u %o", t2.c_ispeed, t2.c_ospeed, t2.c_cflag & CBAUD);
    tcgetattr(s, &full);
    cfsetspeed(&full, B9600);
    tcsetattr(s, TCSANOW, &full);
    OK("TCGETS2 after cfsetspeed", ioctl(s, K_TCGETS2, &t2));
    SHOW("9600 it is", "%u %u %o", t2.c_ispeed, t2.c_ospeed, t2.c_cflag & CBAUD);
    full.c_cflag = (full.c_cflag & ~CSIZE) | CS5 | PARENB;
    tcsetattr(s, TCSANOW, &full);
    tcgetattr(s, &full);
    EQ("the size of characters is fixed", CS8, full.c_cflag & CSIZE);
    EQ("and so is parity", 0, full.c_cflag & PARENB);
    EQ("and the receiver is on", CREAD, full.c_cflag & CREAD);
    full.c_line = 7;
    tcsetattr(s, TCSANOW, &full);
    tcgetattr(s, &full);
    SHOW("c_line", "%d", full.c_line);
    close_pair();
}

GROUP(pty_hangup)
{
    char buffer[16];
    int value;
    signal(SIGHUP, catch);
    pair(O_NONBLOCK);
    mode(0, ECHO, 1, 0);
    put(m, "pending\n");
    settle(s, 8);
    char name[32];
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    close(m);
    EQ("the master is gone: read", 0, read(s, buffer, sizeof buffer));
    ERR("write", EIO, write(s, "x", 1));
    SHOW("poll", "%#x", revents(s, POLLIN | POLLOUT | POLLPRI | POLLRDHUP));
    ERR("tcgetattr", EIO, tcgetattr(s, &(struct termios){0}));
    ERR("FIONREAD", EIO, ioctl(s, FIONREAD, &value));
    ERR("TIOCGWINSZ", EIO, ioctl(s, TIOCGWINSZ, buffer));
    ERR("TIOCSPGRP", ENOTTY, ioctl(s, TIOCSPGRP, &value));
    ERR("no such request", EIO, ioctl(s, _IO('T', 0xee), 0));
    SHOW("isatty", "%d", isatty(s));
    ERR("its name is gone", ENOENT, open(name, O_RDWR | O_NOCTTY));
    close(s);

    pair(O_NONBLOCK);
    put(s, "last words");
    EQ("before", 0, revents(m, POLLHUP));
    close(s);
    EQ("the terminal is closed", POLLIN | POLLHUP, revents_soon(m, POLLIN));
    TEXT("what was written is read", "last words", take(m, 16));
    ERR("and then", EIO, read(m, buffer, sizeof buffer));
    EQ("poll", POLLHUP | POLLOUT, revents(m, POLLIN | POLLOUT));
    OK("tcgetattr of the master", tcgetattr(m, &(struct termios){0}));
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    s = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    YES("opened again", s >= 0);
    ERR("read waits again", EAGAIN, read(m, buffer, sizeof buffer));
    EQ("no hang-up", POLLOUT, revents(m, POLLIN | POLLOUT));
    close_pair();

    m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
    MUST(m >= 0);
    ERR("never opened: read", EAGAIN, read(m, buffer, sizeof buffer));
    SHOW("never opened: poll", "%#x", revents(m, POLLIN | POLLOUT));
    EQ("never opened: write", 3, write(m, "ab\n", 3));
    int zero = 0;
    ioctl(m, TIOCSPTLCK, &zero);
    ioctl(m, TIOCGPTN, &number);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    s = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    MUST(s >= 0);
    settle(s, 3);
    TEXT("it is there when it is opened", "ab\\012", take_soon(s, 16));
    close_pair();

    pthread_t a;
    void *result;
    pair(0);
    pthread_create(&a, 0, reader, &s);
    pause_ms(50);
    close(m);
    pthread_join(a, &result);
    EQ("a reader at the terminal when the master goes", -EIO, (long)result);
    close(s);
    pair(0);
    pthread_create(&a, 0, reader, &m);
    pause_ms(50);
    close(s);
    pthread_join(a, &result);
    EQ("a reader at the master when the terminal goes", -EIO, (long)result);
    close(m);
    pair(0);
    pthread_create(&a, 0, writer, &s);
    pause_ms(50);
    close(m);
    pthread_join(a, &result);
    SHOW("a writer at the terminal when the master goes", "%s", (long)result < 0 ? error_name(-(long)result) : "some");
    close(s);

    int status;
    pair(0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    CHILD(status, {
        setsid();
        signal(SIGHUP, SIG_DFL);
        int t = open(name, O_RDWR);
        close(m);
        ioctl(t, TIOCVHANGUP);
        pause_ms(200);
    });
    if (geteuid() == 0)
        EQ("TIOCVHANGUP tells the session's leader", SIGHUP, WTERMSIG(status));
    SHOW("and ends the terminal for others: read", "%ld", (long)read(s, buffer, 1));
    ERR("and write", EIO, write(s, "x", 1));
    close_pair();
    AS_NOBODY({
        pair(0);
        ERR("TIOCVHANGUP for others", EPERM, ioctl(s, TIOCVHANGUP));
    });
}

static void *later(void *arg)
{
    pause_ms(60);
    put(m, arg);
    return 0;
}

static long since(struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

GROUP(pty_min_time)
{
    pthread_t thread;
    struct timespec start;
    pair(0);
    raw();
    mode(0, 0, 0, 0);
    EQ("0 0, nothing", 0, read(s, (char[8]){0}, 8));
    put(m, "ab");
    settle(s, 2);
    TEXT("0 0, some", "ab", take(s, 8));
    mode(0, 0, 0, 2);
    clock_gettime(CLOCK_MONOTONIC, &start);
    EQ("0 2, nothing", 0, read(s, (char[8]){0}, 8));
    long ms = since(&start);
    YES("after 200 ms", ms >= 190 && ms < 1500);
    pthread_create(&thread, 0, later, "c");
    TEXT("0 2, in time", "c", take(s, 8));
    pthread_join(thread, 0);
    mode(0, 0, 3, 0);
    put(m, "ab");
    settle(s, 2);
    EQ("3 0, poll with too few", 0, revents(s, POLLIN));
    pthread_create(&thread, 0, later, "c");
    TEXT("3 0, waits for three", "abc", take(s, 8));
    pthread_join(thread, 0);
    put(m, "abcde");
    settle(s, 5);
    TEXT("3 0, a small buffer is enough", "ab", take(s, 2));
    TEXT("3 0, the rest", "cde", take(s, 8));
    mode(0, 0, 3, 2);
    put(m, "ab");
    settle(s, 2);
    EQ("3 2, poll with too few", POLLIN, revents(s, POLLIN));
    clock_gettime(CLOCK_MONOTONIC, &start);
    TEXT("3 2, a pause ends it", "ab", take(s, 8));
    ms = since(&start);
    YES("after 200 ms too", ms >= 190 && ms < 1500);
    pthread_create(&thread, 0, later, "xyz");
    TEXT("3 2, the first may take its time", "xyz", take(s, 8));
    pthread_join(thread, 0);
    put(m, "a");
    settle(s, 1);
    pthread_create(&thread, 0, later, "b");
    TEXT("3 2, between two bytes", "ab", take(s, 8));
    pthread_join(thread, 0);
    fcntl(s, F_SETFL, O_NONBLOCK);
    mode(0, 0, 3, 0);
    ERR("3 0, may not wait, nothing", EAGAIN, read(s, (char[8]){0}, 8));
    put(m, "ab");
    settle(s, 2);
    TEXT("3 0, may not wait, too few", "ab", take(s, 8));
    mode(0, 0, 0, 2);
    SHOW("0 2, may not wait, nothing", "%s", take(s, 8));
    mode(0, 0, 0, 0);
    SHOW("0 0, may not wait, nothing", "%s", take(s, 8));
    mode(0, 0, 3, 2);
    SHOW("3 2, may not wait, nothing", "%s", take(s, 8));
    close_pair();
}

GROUP(pty_flow)
{
    char buffer[16];
    pair(O_NONBLOCK);
    OK("stopped", tcflow(s, TCOOFF));
    SHOW("writing", "%s", write(s, "abc", 3) < 0 ? error_name(errno) : "taken");
    SHOW("poll", "%#x", revents(s, POLLOUT));
    ERR("nothing comes", EAGAIN, read(m, buffer, 8));
    OK("started", tcflow(s, TCOON));
    pause_ms(10);
    SHOW("what came", "%s", take(m, 8));
    put(m, "\023");
    pause_ms(10);
    SHOW("VSTOP: writing", "%s", write(s, "abc", 3) < 0 ? error_name(errno) : "taken");
    put(m, "\021");
    pause_ms(10);
    SHOW("VSTART: what came", "%s", take(m, 8));
    EQ("and writing", 3, write(s, "abc", 3));
    TEXT("is there", "abc", take_soon(m, 8));
    OK("TCIOFF", tcflow(s, TCIOFF));
    TEXT("sends VSTOP", "\\023", take_soon(m, 8));
    OK("TCION", tcflow(s, TCION));
    TEXT("sends VSTART", "\\021", take_soon(m, 8));
    put(s, "unread");
    pause_ms(5);
    OK("TCOFLUSH", tcflush(s, TCOFLUSH));
    SHOW("what was written", "%s", take(m, 8));
    put(m, "line\n");
    settle(s, 5);
    OK("TCIFLUSH of the master", tcflush(m, TCIFLUSH));
    SHOW("leaves the terminal", "%d", waiting(s));
    OK("TCIFLUSH", tcflush(s, TCIFLUSH));
    EQ("leaves nothing", 0, waiting(s));
    close_pair();
}

GROUP(pty_job)
{
    int status, ready[2];
    MUST(pipe(ready) == 0);
    pair(0);
    CHILD(status, {
        char name[32];
        int inner;
        signal(SIGHUP, SIG_IGN);
        setsid();
        snprintf(name, sizeof name, "/dev/pts/%d", number);
        int t = open(name, O_RDWR);
        int value = 0;
        OK("TIOCGSID", ioctl(t, TIOCGSID, &value));
        YES("is ours", value == getpid());
        OK("TIOCGSID of the master", ioctl(m, TIOCGSID, &value));
        YES("the same", value == getpid());
        OK("TIOCGPGRP of the master", ioctl(m, TIOCGPGRP, &value));
        YES("is ours, too", value == getpid());
        int tty = open("/dev/tty", O_RDWR);
        YES("/dev/tty", tty >= 0);
        struct stat st;
        MUST(fstat(tty, &st) == 0);
        YES("has a number of its own", st.st_rdev == makedev(5, 0));
        unsigned device = 0;
        MUST(ioctl(tty, TIOCGDEV, &device) == 0);
        EQ("and is the terminal", 136, device >> 8 & 0xfff);
        close(tty);
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            read(t, name, 1);
            _exit(1);
        }
        waitpid(child, &inner, WUNTRACED);
        YES("a read in the background stops", WIFSTOPPED(inner) && WSTOPSIG(inner) == SIGTTIN);
        kill(child, SIGKILL);
        waitpid(child, 0, 0);
        CHILD(inner, {
            setpgid(0, 0);
            signal(SIGTTIN, SIG_IGN);
            ERR("and is refused where the signal is ignored", EIO, read(t, name, 1));
        });
        CHILD(inner, {
            setpgid(0, 0);
            EQ("a write in the background is taken", 1, write(t, "w", 1));
        });
        struct termios at;
        tcgetattr(t, &at);
        at.c_lflag |= TOSTOP;
        tcsetattr(t, TCSANOW, &at);
        child = fork();
        if (child == 0) {
            setpgid(0, 0);
            write(t, "w", 1);
            _exit(1);
        }
        waitpid(child, &inner, WUNTRACED);
        YES("but not with TOSTOP", WIFSTOPPED(inner) && WSTOPSIG(inner) == SIGTTOU);
        kill(child, SIGKILL);
        waitpid(child, 0, 0);
        child = fork();
        if (child == 0) {
            setpgid(0, 0);
            tcflush(t, TCIFLUSH);
            _exit(1);
        }
        waitpid(child, &inner, WUNTRACED);
        YES("tcflush(3) in the background stops", WIFSTOPPED(inner) && WSTOPSIG(inner) == SIGTTOU);
        kill(child, SIGKILL);
        waitpid(child, 0, 0);
        char byte = 'q';
        OK("TIOCSTI", ioctl(t, TIOCSTI, &byte));
        byte = '\n';
        OK("TIOCSTI of a newline", ioctl(t, TIOCSTI, &byte));
        TEXT("is read as if typed", "q\\012", take_soon(t, 8));
        value = 1 << 30;
        ERR("TIOCSPGRP of a group that is not there", ESRCH, ioctl(t, TIOCSPGRP, &value));
        value = getppid();
        ERR("of another session", EPERM, ioctl(t, TIOCSPGRP, &value));
        value = getpid();
        OK("of the own one", ioctl(t, TIOCSPGRP, &value));
        ERR("TIOCNOTTY of the master", ENOTTY, ioctl(m, TIOCNOTTY));
        OK("TIOCSCTTY once more", ioctl(t, TIOCSCTTY, 0));
        OK("TIOCNOTTY", ioctl(t, TIOCNOTTY));
        ERR("/dev/tty is gone", ENXIO, open("/dev/tty", O_RDWR));
        ERR("TIOCGSID then", ENOTTY, ioctl(t, TIOCGSID, &value));
        OK("TIOCSCTTY of the master", ioctl(m, TIOCSCTTY, 0));
        SHOW("makes the terminal it", "%d", open("/dev/tty", O_RDWR) >= 0);
    });
    close_pair();
}

GROUP(devpts)
{
    char name[32];
    struct stat st, master;
    pair(0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    OK("the terminal", stat(name, &st));
    EQ("is a character device", S_IFCHR, st.st_mode & S_IFMT);
    YES("of this number", st.st_rdev == makedev(136, number));
    YES("is its user's", st.st_uid == geteuid());
    EQ("has one name", 1, st.st_nlink);
    EQ("no size", 0, st.st_size);
    OK("the master", fstat(m, &master));
    EQ("has ptmx's number", makedev(5, 2), master.st_rdev);
    OK("permissions change", chmod(name, 0612));
    MUST(stat(name, &st) == 0);
    EQ("and stay", 0612, st.st_mode & 07777);
    if (geteuid() == 0) {
        OK("so does the owner", chown(name, 5, 6));
        MUST(stat(name, &st) == 0);
        YES("and stays", st.st_uid == 5 && st.st_gid == 6);
    }
    OK("times change", utimensat(AT_FDCWD, name, (struct timespec[2]){{100, 0}, {200, 0}}, 0));
    MUST(stat(name, &st) == 0);
    EQ("and stay too", 200, st.st_mtime);
    DIR *dir = opendir("/dev/pts");
    MUST(dir);
    int found = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        found += atoi(entry->d_name) == number && entry->d_name[0] != 'p' && entry->d_name[0] != '.';
    closedir(dir);
    EQ("is listed", 1, found);
    ERR("no file is made", EACCES, open("/dev/pts/x", O_CREAT | O_RDWR, 0600));
    ERR("nor a directory", EPERM, mkdir("/dev/pts/x", 0700));
    ERR("no such terminal", ENOENT, open("/dev/pts/4095", O_RDWR));
    ERR("a number with a zero before", ENOENT, open("/dev/pts/00", O_RDWR));
    ERR("unlink", EPERM, unlink(name));
    close_pair();
    ERR("gone with its master", ENOENT, stat(name, &st));
    if (geteuid() == 0) {
        int zero = 0;
        MUST(mkdir("one", 0700) == 0);
        OK("a devpts of its own", mount("devpts", "one", "devpts", 0, "newinstance,mode=0600,ptmxmode=0620,gid=7,uid=8"));
        MUST(stat("one/ptmx", &st) == 0);
        EQ("ptmxmode", 0620, st.st_mode & 07777);
        m = open("one/ptmx", O_RDWR | O_NOCTTY);
        YES("its ptmx", m >= 0);
        OK("TIOCGPTN", ioctl(m, TIOCGPTN, &number));
        EQ("counts anew", 0, number);
        OK("its terminal", stat("one/0", &st));
        EQ("mode", 0600, st.st_mode & 07777);
        YES("owner and group as mounted", st.st_uid == 8 && st.st_gid == 7);
        ioctl(m, TIOCSPTLCK, &zero);
        s = open("one/0", O_RDWR | O_NOCTTY);
        YES("opens", s >= 0);
        put(s, "x");
        TEXT("and is connected", "x", take_soon(m, 8));
        close_pair();
        ERR("its terminal is gone", ENOENT, stat("one/0", &st));
        OK("unmounted", umount("one"));
        ERR("an option that there is not", EINVAL, mount("devpts", "one", "devpts", 0, "nosuch"));
        ERR("a mode that is none", EINVAL, mount("devpts", "one", "devpts", 0, "mode=9"));
    }
}
