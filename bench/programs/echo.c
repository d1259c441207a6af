// Round trips. `echo serve` answers on TCP and UDP port 7007; `echo tcp ADDRESS COUNT` and `echo udp ADDRESS COUNT` ask, one
// byte at a time, and print `COUNT SECONDS P50 P99`, the latter two in microseconds.
#include "bench.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7007, MOST = 16 };

static struct sockaddr_in address(const char *text) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    check(inet_pton(AF_INET, text, &a.sin_addr) == 1, text);
    return a;
}

static void no_delay(int fd) {
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0, "TCP_NODELAY");
}

static void serve(void) {
    struct sockaddr_in any = address("0.0.0.0"), from;
    struct pollfd fd[MOST] = {{socket(AF_INET, SOCK_STREAM, 0), POLLIN, 0}, {socket(AF_INET, SOCK_DGRAM, 0), POLLIN, 0}};
    int fds = 2;
    char data[2048];
    check(bind(fd[0].fd, (void *)&any, sizeof any) == 0 && listen(fd[0].fd, MOST) == 0, "TCP");
    if (fd[1].fd < 0 || bind(fd[1].fd, (void *)&any, sizeof any)) {
        perror("UDP");
        fds = 1;
    }
    int first = fds;
    for (;;) {
        check(poll(fd, fds, -1) > 0, "poll");
        if (fd[0].revents && fds < MOST) {
            int new = accept(fd[0].fd, NULL, NULL);
            check(new >= 0, "accept");
            no_delay(new);
            fd[fds++] = (struct pollfd){new, POLLIN, 0};
            continue;
        }
        if (first == 2 && fd[1].revents) {
            socklen_t len = sizeof from;
            ssize_t n = recvfrom(fd[1].fd, data, sizeof data, 0, (void *)&from, &len);
            if (n >= 0)
                sendto(fd[1].fd, data, n, 0, (void *)&from, len);
        }
        for (int i = first; i < fds; i++) {
            if (!fd[i].revents)
                continue;
            ssize_t n = read(fd[i].fd, data, sizeof data);
            if (n > 0) {
                check(write(fd[i].fd, data, n) == n, "write");
            } else {
                close(fd[i].fd);
                fd[i--] = fd[--fds];
            }
        }
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ask(int type, const char *host, long count) {
    struct sockaddr_in to = address(host);
    int fd = socket(AF_INET, type, 0);
    double *took = calloc(count, sizeof *took);
    char byte = 1;
    check(took && count > 0, "COUNT");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){5, 0}, sizeof(struct timeval));
    check(connect(fd, (void *)&to, sizeof to) == 0, "connect");
    if (type == SOCK_STREAM)
        no_delay(fd);
    uint64_t start = now();
    for (long i = 0; i < count; i++) {
        uint64_t sent = now();
        check(send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1, "round trip");
        took[i] = (now() - sent) / 1e3;
    }
    double seconds = (now() - start) / 1e9;
    qsort(took, count, sizeof *took, by_value);
    printf("%ld %f %f %f\n", count, seconds, took[count / 2], took[count - 1 - count / 100]);
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "serve"))
        serve();
    if (argc != 4)
        return 2;
    ask(!strcmp(argv[1], "udp") ? SOCK_DGRAM : SOCK_STREAM, argv[2], atol(argv[3]));
}
