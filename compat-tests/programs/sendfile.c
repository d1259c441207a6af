// sendfile(2): which files may be sent from and to, what is left of the positions, and the errors.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static void show(const char *what, long result) {
    printf("%s: %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
}

static int temporary(int flags) { return open("/tmp", O_TMPFILE | flags, 0600); }

int main(void) {
    int out = temporary(O_RDWR), pipe_in[2], pipe_out[2], pair[2];
    pipe(pipe_in);
    pipe(pipe_out);
    write(pipe_in[1], "abc", 3);
    show("pipe to file", sendfile(out, pipe_in[0], NULL, 3));
    show("pipe to pipe", sendfile(pipe_out[1], pipe_in[0], NULL, 3));
    show("nothing from a pipe", sendfile(out, pipe_in[0], NULL, 0));
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    write(pair[1], "abc", 3);
    show("socket to file", sendfile(out, pair[0], NULL, 3));
    show("socket to pipe", sendfile(pipe_out[1], pair[0], NULL, 3));

    int master = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(master);
    unlockpt(master);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    write(master, "hey\n", 4);
    show("terminal to file", sendfile(out, terminal, NULL, 3));
    show("terminal to pipe", sendfile(pipe_out[1], terminal, NULL, 3));

    int zero = open("/dev/zero", O_RDONLY), root = open("/", O_RDONLY);
    show("zero to file", sendfile(out, zero, NULL, 3));
    show("zero to pipe", sendfile(pipe_out[1], zero, NULL, 3));
    show("directory to file", sendfile(out, root, NULL, 8));

    int in = temporary(O_RDWR), append = temporary(O_RDWR | O_APPEND), only_out = temporary(O_WRONLY);
    write(in, "hello", 5);
    lseek(in, 0, SEEK_SET);
    show("file to file", sendfile(out, in, NULL, 3));
    show("file to file, more than there is", sendfile(out, in, NULL, 10));
    show("file to file, at the end", sendfile(out, in, NULL, 10));
    off_t at = 2;
    show("file at 2", sendfile(out, in, &at, 100));
    printf("offset %ld position %ld\n", (long)at, (long)lseek(in, 0, SEEK_CUR));
    lseek(in, 0, SEEK_SET);
    show("file to terminal", sendfile(terminal, in, NULL, 3));
    show("file to O_APPEND", sendfile(append, in, NULL, 3));
    show("file to directory", sendfile(root, in, NULL, 3));
    at = -1;
    show("offset -1", sendfile(out, in, &at, 3));
    at = 0;
    show("pipe at 0", sendfile(out, pipe_in[0], &at, 3));
    show("from O_WRONLY", sendfile(out, only_out, NULL, 3));
    show("to O_RDONLY", sendfile(zero, in, NULL, 3));
    show("to -1", sendfile(-1, in, NULL, 3));
    show("from -1", sendfile(out, -1, NULL, 3));
    show("bad offset", sendfile(out, in, (off_t *)8, 3));

    char text[64] = {0};
    printf("written %ld\n", (long)pread(out, text, sizeof text, 0));
    for (size_t i = 0; i < 14; i++) putchar(text[i] ? text[i] : '.');
    putchar('\n');
    return 0;
}
