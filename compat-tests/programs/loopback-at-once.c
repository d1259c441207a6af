// What is sent on the loopback can be received when the call that sent it returns, also while other
// CPUs are at the network's work.
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 8000 };

struct ends {
    int from, to;
};

static void check(int failed, const char *what) {
    if (failed) {
        perror(what);
        exit(1);
    }
}

static int bound(int kind, struct sockaddr_in *address) {
    int fd = socket(AF_INET, kind, 0);
    socklen_t len = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check(fd < 0 || bind(fd, (struct sockaddr *)address, len), "bind");
    check(getsockname(fd, (struct sockaddr *)address, &len), "getsockname");
    return fd;
}

static struct ends datagrams(void) {
    struct sockaddr_in from, to;
    struct ends ends = {bound(SOCK_DGRAM, &from), bound(SOCK_DGRAM, &to)};
    check(connect(ends.from, (struct sockaddr *)&to, sizeof to), "connect");
    return ends;
}

static struct ends stream(void) {
    struct sockaddr_in address;
    int listener = bound(SOCK_STREAM, &address);
    struct ends ends = {socket(AF_INET, SOCK_STREAM, 0), -1};
    check(listen(listener, 1), "listen");
    check(connect(ends.from, (struct sockaddr *)&address, sizeof address), "connect");
    ends.to = accept(listener, NULL, NULL);
    check(ends.to < 0, "accept");
    close(listener);
    return ends;
}

// How many of the rounds find nothing where something was sent.
static long missed(struct ends (*make)(void)) {
    struct ends ends = make();
    long missed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int got = 0;
        check(send(ends.from, &round, sizeof round, 0) != sizeof round, "send");
        if (recv(ends.to, &got, sizeof got, MSG_DONTWAIT) != sizeof got) {
            check(errno != EAGAIN, "recv");
            missed++;
            check(recv(ends.to, &got, sizeof got, 0) != sizeof got, "recv");
        }
        check(got != round, "the bytes");
    }
    close(ends.from);
    close(ends.to);
    return missed;
}

static pthread_barrier_t all_here;

static void *run(void *unused) {
    (void)unused;
    pthread_barrier_wait(&all_here);
    return (void *)(missed(datagrams) + missed(stream));
}

int main(void) {
    pthread_t threads[THREADS];
    long all = 0;
    pthread_barrier_init(&all_here, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, run, NULL), "pthread_create");
    for (int i = 0; i < THREADS; i++) {
        void *missed;
        pthread_join(threads[i], &missed);
        all += (long)missed;
    }
    printf("%ld of %d sends were not there at once\n", all, 2 * THREADS * ROUNDS);
    return 0;
}
