// Root forks until the machine gives no more, fills the disk and opens all the files there are: the call that asks for too much
// gets an error, another process goes on serving, and all is back afterwards.
// compat: native=no memory=128M timeout=120
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int line[2], status = 0;

#define CHECK(what, condition) \
    do { \
        int good = (condition); \
        printf("%s: %s (%s)\n", what, good ? "yes" : "NO", good ? "" : strerrorname_np(errno)); \
        status |= !good; \
    } while (0)

// Another process, which needs memory and files of its own to answer.
static void serve(void) {
    char c;
    while (read(line[1], &c, 1) == 1) {
        char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int fd = open("/proc/self/stat", O_RDONLY);
        c = page != MAP_FAILED && fd >= 0 && (page[7] = c) ? c + 1 : 0;
        close(fd);
        munmap(page, 4096);
        (void)!write(line[1], &c, 1);
    }
    _exit(0);
}

static int served(void) {
    char c = 'a';
    return write(line[0], &c, 1) == 1 && read(line[0], &c, 1) == 1 && c == 'b';
}

// Every child has children itself, until nobody can. The first goes on trying: all others may have given up while somebody else's
// short-lived process was the last that there could be.
static void bomb(void) {
    static const struct timespec forever = {1000, 0};
    pid_t first = getpid();
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        while (child < 0 && getpid() == first) {
            usleep(1000);
            child = fork();
        }
        if (child < 0)
            break;
        if (child == 0)
            i = -1;
    }
    nanosleep(&forever, NULL);
    _exit(0);
}

static int end_of(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return status;
}

static void *idle(void *unused) {
    pause();
    return unused;
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    // Nowhere but in a machine of its own.
    if (getpid() != 1)
        return 1;
    socketpair(AF_UNIX, SOCK_STREAM, 0, line);
    pid_t server = fork();
    if (server == 0) {
        close(line[0]);
        serve();
    }
    CHECK("served", served());
    for (int round = 0; round < 2; round++) {
        pid_t leader = fork();
        if (leader == 0) {
            setpgid(0, 0);
            bomb();
        }
        setpgid(leader, leader);
        // Full when the last processes that could be made are there.
        pid_t mine;
        int tries = 0;
        while ((mine = fork()) >= 0 && tries++ < 3000) {
            if (mine == 0)
                _exit(0);
            end_of(mine);
            usleep(5000);
        }
        CHECK("full", mine < 0 && errno == EAGAIN);
        pthread_t thread;
        int result = pthread_create(&thread, NULL, idle, NULL);
        CHECK("no thread either", result == EAGAIN);
        CHECK("served while full", served());
        kill(-leader, SIGKILL);
        end_of(leader);
        while (waitpid(-leader, NULL, 0) > 0)
            ;
        // The orphans are init's, which is this very process, and go as they are killed.
        while (kill(-leader, SIGKILL) == 0)
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        mine = fork();
        if (mine == 0)
            _exit(3);
        CHECK("room again", mine > 0 && WEXITSTATUS(end_of(mine)) == 3);
    }
    pid_t hoarder = fork();
    if (hoarder == 0) {
        struct rlimit limit = {1 << 20, 1 << 20};
        setrlimit(RLIMIT_NOFILE, &limit);
        int pipes = 0, ends[2];
        while (pipe(ends) == 0)
            pipes++;
        _exit(errno == EMFILE || errno == ENFILE || errno == ENOMEM ? 0 : errno);
    }
    // Its table may need more memory than there is: then it is killed.
    int last = end_of(hoarder);
    CHECK("all files", last == 0 || (WIFSIGNALED(last) && WTERMSIG(last) == SIGKILL));
    CHECK("served after files", served());
    hoarder = fork();
    if (hoarder == 0) {
        char block[65536];
        memset(block, 1, sizeof block);
        int fd = open("/tmp/full", O_CREAT | O_WRONLY, 0600);
        while (write(fd, block, sizeof block) > 0)
            ;
        _exit(errno == ENOSPC || errno == ENOMEM ? 0 : errno);
    }
    int end = end_of(hoarder);
    CHECK("full disk", WIFEXITED(end) && WEXITSTATUS(end) == 0);
    CHECK("served while the disk is full", served());
    unlink("/tmp/full");
    hoarder = fork();
    if (hoarder == 0) {
        for (;;)
            memset(malloc(1 << 20), 1, 1 << 20);
    }
    end = end_of(hoarder);
    CHECK("memory gone", WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL);
    CHECK("served after memory", served());
    close(line[0]);
    CHECK("the server ends", end_of(server) == 0);
    return status;
}
