/* The kernel's log. */
#include "case.h"
#include <poll.h>
#include <sys/klog.h>

/* Reads records up to one with this text, and shows it without its number and time. */
static const char *record(int fd, const char *text)
{
    static char bytes[8192];
    for (int i = 0; i < 1000; i++) {
        ssize_t n = read(fd, bytes, sizeof bytes - 1);
        if (n <= 0)
            return n == 0 ? "the end" : error_name(errno);
        bytes[n] = 0;
        char *message = strchr(bytes, ';');
        if (message && strstr(message, text)) {
            static char shown[8300];
            snprintf(shown, sizeof shown, "%.*s,N,T,-%s", (int)strcspn(bytes, ","), bytes, message);
            /* Nothing but the message: programs' records may have lines of keys behind it. */
            shown[strcspn(shown, "\n")] = 0;
            return shown;
        }
    }
    return "nothing";
}

GROUP(kmsg)
{
    if (geteuid() != 0)
        return;
    int fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK);
    MUST(fd >= 0);
    OK("to the end", lseek(fd, 0, SEEK_END));
    char small[8];
    ERR("at the end", EAGAIN, read(fd, small, sizeof small));
    struct pollfd ready = {fd, POLLIN, 0};
    OK("poll at the end", poll(&ready, 1, 0));
    EQ("write", 24, write(fd, "<7>a test of skiff test\n", 24));
    EQ("poll", 1, poll(&ready, 1, 0));
    EQ("what is ready", POLLIN, ready.revents);
    ERR("read into too little", EINVAL, read(fd, small, sizeof small));
    ERR("which then is gone", EAGAIN, read(fd, small, sizeof small));
    EQ("write once more", 24, write(fd, "<7>a test of skiff test\n", 24));
    TEXT("the kernel's facility is taken for a user's", "15,N,T,-;a test of skiff test", record(fd, "a test of"));
    EQ("write with a facility", 18, write(fd, "<31>skiff: a\tb\\\001c\n", 18));
    TEXT("what is not to be printed is escaped", "31,N,T,-;skiff: a\\x09b\\x5c\\x01c", record(fd, "skiff: a"));
    EQ("write with no level", 13, write(fd, "skiff: plain\n", 13));
    TEXT("it is a warning", "12,N,T,-;skiff: plain", record(fd, "skiff: plain"));
    EQ("write with what is no level", 13, write(fd, "<x>skiff: no\n", 13));
    TEXT("it is text", "12,N,T,-;<x>skiff: no", record(fd, "skiff: no"));
    static char long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    ERR("write too much", EINVAL, write(fd, long_text, sizeof long_text));
    ERR("write from nowhere", EFAULT, write(fd, BAD, 10));
    ERR("lseek to 1", ESPIPE, lseek(fd, 1, SEEK_SET));
    ERR("lseek from here", EINVAL, lseek(fd, 0, SEEK_CUR));
    OK("lseek to what is not cleared", lseek(fd, 0, SEEK_DATA));
    OK("lseek to the start", lseek(fd, 0, SEEK_SET));
    YES("there is something", read(fd, long_text, sizeof long_text) > 0);
    close(fd);
    fd = open("/dev/kmsg", O_WRONLY);
    MUST(fd >= 0);
    ERR("read of one open for writing", EBADF, read(fd, small, sizeof small));
    close(fd);
    AS_NOBODY({
        ERR("open for writing, as a user", EACCES, open("/dev/kmsg", O_WRONLY));
        ERR("open /proc/kmsg, as a user", EACCES, open("/proc/kmsg", O_RDONLY));
    });
}

GROUP(syslog)
{
    enum { CLOSE, OPEN, READ, READ_ALL, READ_CLEAR, CLEAR, OFF, ON, LEVEL, UNREAD, SIZE };
    static char bytes[1 << 20];
    AS_NOBODY({
        ERR("READ, as a user", EPERM, klogctl(READ, bytes, sizeof bytes));
        ERR("CLEAR, as a user", EPERM, klogctl(CLEAR, 0, 0));
        ERR("CONSOLE_LEVEL, as a user", EPERM, klogctl(LEVEL, 0, 4));
        ERR("SIZE_UNREAD, as a user", EPERM, klogctl(UNREAD, 0, 0));
        ERR("an unknown action, as a user", EPERM, klogctl(99, 0, 0));
    });
    if (geteuid() != 0)
        return;
    OK("OPEN", klogctl(OPEN, 0, 0));
    OK("CLOSE", klogctl(CLOSE, 0, 0));
    ERR("an unknown action", EINVAL, klogctl(11, 0, 0));
    ERR("a negative action", EINVAL, klogctl(-1, 0, 0));
    for (int action = READ; action <= READ_CLEAR; action++) {
        ERR(named("action %d to NULL", action), EINVAL, klogctl(action, 0, 10));
        ERR(named("action %d, a negative length", action), EINVAL, klogctl(action, bytes, -1));
        OK(named("action %d, no bytes", action), klogctl(action, bytes, 0));
        ERR(named("action %d into nowhere", action), EFAULT, klogctl(action, BAD, 4096));
    }
    ERR("CONSOLE_LEVEL 0", EINVAL, klogctl(LEVEL, 0, 0));
    ERR("CONSOLE_LEVEL 9", EINVAL, klogctl(LEVEL, 0, 9));
    YES("SIZE_BUFFER", klogctl(SIZE, 0, 0) >= 4096);
    YES("SIZE_UNREAD", klogctl(UNREAD, 0, 0) >= 0);
    int fd = open("/dev/kmsg", O_WRONLY);
    MUST(fd >= 0 && write(fd, "<7>skiff: last words\n", 21) == 21);
    close(fd);
    long n = klogctl(READ_ALL, bytes, sizeof bytes - 1);
    MUST(n > 0);
    bytes[n] = 0;
    char *last = strstr(bytes, "skiff: last words\n");
    YES("READ_ALL has it", last);
    char *first = last;
    while (first && first > bytes && first[-1] != '\n')
        first--;
    YES("with its level and time", first && !strncmp(first, "<15>[", 5) && !strncmp(last - 2, "] ", 2));
    n = klogctl(READ_ALL, bytes, 200);
    YES("the last 200 bytes at most", n >= 0 && n <= 200);
    YES("they are whole lines", n == 0 || (bytes[0] == '<' && bytes[n - 1] == '\n'));
}
