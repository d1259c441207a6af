/* Terminals by what is typed at the master: editing, marks, echo, and how much waits. */
#include "case.h"

#include <asm/termbits.h>
#include <poll.h>
#include <sys/ioctl.h>

static int m, s;
static char bytes[16384];

static void open_pair(void)
{
    int number, zero = 0;
    m = open("/dev/ptmx", O_RDWR | O_NONBLOCK);
    MUST(m >= 0 && ioctl(m, TIOCSPTLCK, &zero) == 0 && ioctl(m, TIOCGPTN, &number) == 0);
    s = open(named("/dev/pts/%d", number), O_RDWR | O_NONBLOCK | O_NOCTTY);
    MUST(s >= 0);
}

static void close_pair(void)
{
    close(m);
    close(s);
}

static void mode(unsigned off, unsigned on, unsigned input)
{
    struct termios t;
    ioctl(s, TCGETS, &t);
    t.c_lflag = (t.c_lflag & ~off) | on;
    t.c_iflag |= input;
    ioctl(s, TCSETS, &t);
}

static const char *quoted(long n)
{
    static char out[2][2048];
    static int turn;
    char *at = out[turn ^= 1];
    for (long i = 0; i < n && at < out[turn] + 2000; i++)
        at += sprintf(at, bytes[i] >= ' ' && bytes[i] <= '~' ? "%c" : "\\%03o", (unsigned char)bytes[i]);
    *at = 0;
    return out[turn];
}

/* What comes at `fd`: all that is there, and all that follows soon. */
static const char *comes(int fd)
{
    long done = 0, n;
    struct pollfd wait = {fd, POLLIN, 0};
    while (done < 400 && ((n = read(fd, bytes + done, 400 - done)) > 0 || poll(&wait, 1, 30) > 0))
        done += n > 0 ? n : 0;
    return quoted(done);
}

static void typed(const char *name, const char *text, unsigned input)
{
    open_pair();
    mode(0, 0, input);
    MUST(write(m, text, strlen(text)) == (long)strlen(text));
    SHOW(named("%s, read", name), "%s", comes(s));
    SHOW(named("%s, shown", name), "%s", comes(m));
    close_pair();
}

GROUP(pty_erase)
{
    typed("a character", "word\x7f\n", 0);
    typed("a wide one", "wor\xc6\xa9\x7f\n", IUTF8);
    typed("a byte of a wide one", "wor\xc6\xa9\x7f\n", 0);
    typed("a part of a wide one", "\x80\x7f\n", IUTF8);
    typed("that byte", "\x80\x7f\n", 0);
    typed("nothing", "\x7f\x7f\n", 0);
    typed("a word", "two words\x17\n", 0);
    typed("words", "aa bb cc  \x17\x17\n", 0);
    typed("a word with a dot", "aa.bb\x17\n", 0);
    typed("a word of other letters", "a \xc3\xa9\xc3\xa9\x17\n", IUTF8);
    typed("a line", "abc def\x15gh\n", 0);
    typed("tabs", "a\tb\x7f\x7f\x7f\n", 0);
    typed("controls", "a\x01\x02\x7f\n", 0);
    typed("literal", "a\x16\x03" "b\x16\x7f\n", 0);
    typed("shown again", "abc\x12" "d\n", 0);
    static const struct {
        const char *name;
        unsigned off, on;
    } ways[] = {{"without ECHOE", ECHOE, 0}, {"with ECHOPRT", 0, ECHOPRT}, {"without ECHOKE", ECHOKE, 0}, {"without ECHOCTL", ECHOCTL, 0}};
    for (unsigned i = 0; i < COUNT(ways); i++) {
        open_pair();
        mode(ways[i].off, ways[i].on, 0);
        MUST(write(m, "ab\x7f" "c\x15" "d\x01\n", 8) == 8);
        SHOW(ways[i].name, "%s", comes(s));
        SHOW(named("%s, shown", ways[i].name), "%s", comes(m));
        close_pair();
    }
}

GROUP(pty_signal_characters)
{
    typed("interrupt", "abc\x03" "d\n", 0);
    typed("quit", "abc\x1c" "d\n", 0);
    typed("suspend", "a\x1a" "b\n", 0);
    open_pair();
    mode(0, NOFLSH, 0);
    MUST(write(m, "abc\x03" "d\n", 6) == 6);
    SHOW("with NOFLSH", "%s", comes(s));
    SHOW("with NOFLSH, shown", "%s", comes(m));
    close_pair();
    open_pair();
    mode(ICANON, 0, 0);
    MUST(write(m, "xyz\x03" "a", 5) == 5);
    SHOW("raw", "%s", comes(s));
    SHOW("raw, shown", "%s", comes(m));
    close_pair();
    open_pair();
    mode(ISIG | ICANON, 0, 0);
    MUST(write(m, "\x03", 1) == 1);
    SHOW("without ISIG", "%s", comes(s));
    close_pair();
}

GROUP(pty_marks)
{
    open_pair();
    mode(ICANON, 0, PARMRK);
    MUST(write(m, "a\xff" "b", 3) == 3);
    SHOW("PARMRK", "%s", comes(s));
    close_pair();
    open_pair();
    mode(ICANON, 0, PARMRK | ISTRIP);
    MUST(write(m, "a\xff" "b", 3) == 3);
    SHOW("PARMRK and ISTRIP", "%s", comes(s));
    close_pair();
}

/* Lines longer than there is room for lose their ends, and several of them wait. */
GROUP(pty_long_lines)
{
    open_pair();
    for (int i = 0; i < 3; i++) {
        int n = 0;
        while (n < 4100 && write(m, "M", 1) == 1)
            n++;
        EQ(named("typed %d", i), 4100, n);
        EQ(named("ended %d", i), 1, write(m, "\n", 1));
    }
    for (int i = 0; i < 3; i++) {
        struct pollfd wait = {s, POLLIN, 0};
        poll(&wait, 1, 1000);
        EQ(named("line %d", i), 4096, read(s, bytes, sizeof bytes));
        SHOW(named("end of line %d", i), "%c %d", bytes[4094], bytes[4095]);
    }
    ERR("no more", EAGAIN, read(s, bytes, 1));
    close_pair();
}
