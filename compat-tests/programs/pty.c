// Pseudo terminals: line editing, raw mode, echo, signals, window size, hang-up.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int m, s;

static void show(const char *what, int fd) {
    char b[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    // The line discipline works behind the writer's back, and may be half done.
    usleep(30000);
    if (poll(&p, 1, 200) <= 0) {
        printf("%s: nothing\n", what);
        return;
    }
    ssize_t n = read(fd, b, sizeof b);
    printf("%s: %zd \"", what, n);
    for (ssize_t i = 0; i < n; i++) b[i] < 32 || b[i] == 127 ? printf("\\%03o", b[i]) : putchar(b[i]);
    printf("\"%s%s\n", n < 0 ? " " : "", n < 0 ? strerror(errno) : "");
}

static void type(const char *text) {
    if (write(m, text, strlen(text)) < 0) perror("write");
}

int main(void) {
    m = posix_openpt(O_RDWR | O_NOCTTY);
    if (m < 0) return 1;
    printf("locked: %d\n", open(ptsname(m), O_RDWR | O_NOCTTY) < 0);
    grantpt(m), unlockpt(m);
    printf("name starts with /dev/pts/: %d\n", !strncmp(ptsname(m), "/dev/pts/", 9));
    s = open(ptsname(m), O_RDWR | O_NOCTTY);
    if (s < 0) return 2;
    printf("isatty %d %d\n", isatty(m), isatty(s));
    type("hello\n");
    show("line", s);
    show("echo", m);
    type("helxx\177\177lo w\177rld\rnext");
    show("edited", s);
    show("echo", m);
    type("\025killed\027\027word\n");
    show("kill and word erase", s);
    show("echo", m);
    type("a\004");
    show("EOF after a", s);
    type("\004");
    show("EOF alone", s);
    show("echo", m);
    write(s, "out\nput\t|\n", 10);
    show("output", m);
    struct termios t;
    tcgetattr(s, &t);
    printf("flags %x %x %x\n", t.c_iflag, t.c_oflag, t.c_lflag);
    cfmakeraw(&t);
    tcsetattr(s, TCSANOW, &t);
    type("r\003\r\n");
    show("raw", s);
    show("no echo", m);
    t.c_cc[VMIN] = 0, t.c_cc[VTIME] = 1;
    tcsetattr(s, TCSANOW, &t);
    char c;
    printf("timed read %zd\n", read(s, &c, 1));
    write(s, "a\nb", 3);
    show("raw output", m);
    struct winsize w = {40, 100, 0, 0};
    ioctl(m, TIOCSWINSZ, &w);
    memset(&w, 0, sizeof w);
    ioctl(s, TIOCGWINSZ, &w);
    printf("size %d %d\n", w.ws_row, w.ws_col);
    int n = -1;
    type("xyz");
    struct pollfd ready = {.fd = s, .events = POLLIN};
    poll(&ready, 1, 1000);
    ioctl(s, FIONREAD, &n);
    printf("FIONREAD %d\n", n);
    printf("no controlling terminal: %d\n", tcgetpgrp(s) < 0 ? errno == ENOTTY : 0);
    tcflush(s, TCIFLUSH);
    close(s);
    show("master after close", m);
    struct pollfd p = {.fd = m, .events = POLLIN | POLLOUT};
    poll(&p, 1, 0);
    printf("hang-up %d\n", !!(p.revents & POLLHUP));
    s = open(ptsname(m), O_RDWR | O_NOCTTY);
    close(m);
    printf("read after hang-up %zd\n", read(s, &c, 1));
    printf("write after hang-up %zd %s\n", write(s, "x", 1), strerror(errno));
    return 0;
}
