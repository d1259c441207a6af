/* What random sequences of calls found to differ. */
#include "case.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static void named_socket(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
}

GROUP(shutdown_datagram)
{
    int pair[2], alone = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    char byte;
    MUST(alone >= 0 && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0);
    ERR("send with no peer", ENOTCONN, send(alone, "x", 1, 0));
    ERR("send from nowhere with no peer", EFAULT, send(alone, BAD, 1, 0));
    OK("writing, with no peer", shutdown(alone, SHUT_WR));
    ERR("then send", EPIPE, send(alone, "x", 1, 0));
    OK("reading", shutdown(pair[0], SHUT_RD));
    ERR("the peer sends", EPIPE, send(pair[1], "x", 1, 0));
    ERR("receive without waiting", EAGAIN, recv(pair[0], &byte, 1, 0));
    MUST(fcntl(pair[0], F_SETFL, 0) == 0);
    OK("receive", recv(pair[0], &byte, 1, 0));
    struct pollfd ready = {pair[0], POLLIN | POLLRDHUP, 0};
    EQ("poll", 1, poll(&ready, 1, 0));
    EQ("what is ready", POLLIN | POLLRDHUP, ready.revents);
    EQ("its own side sends", 1, send(pair[0], "x", 1, 0));
    close(pair[0]);
    ERR("the peer is gone", ECONNREFUSED, send(pair[1], "x", 1, 0));
}
GROUP(shutdown_early)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte;
    MUST(fd >= 0);
    ERR("receive, not connected", ENOTCONN, recv(fd, &byte, 1, 0));
    ERR("reading, not connected", ENOTCONN, shutdown(fd, SHUT_RD));
    OK("then receive", recv(fd, &byte, 1, 0));
}
GROUP(unix_order)
{
    int pair[2], packets[2];
    struct sockaddr_un idle, other;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    named_socket(&idle, "idle");
    MUST(fd >= 0 && bind(fd, (void *)&idle, sizeof idle) == 0);
    ERR("connect one that is connected to one that does not listen", ECONNREFUSED, connect(pair[0], (void *)&idle, sizeof idle));
    named_socket(&other, "no/such");
    ERR("bind again, where there is no directory", ENOENT, bind(fd, (void *)&other, sizeof other));
    ERR("bind again to the same", EADDRINUSE, bind(fd, (void *)&idle, sizeof idle));
    named_socket(&other, "another");
    ERR("bind again", EINVAL, bind(fd, (void *)&other, sizeof other));
    ERR("leaves nothing", ENOENT, access("another", F_OK));
    MUST(send(packets[0], "x", 1, 0) == 1 && send(packets[1], "y", 1, 0) == 1);
    close(packets[1]);
    char byte;
    ERR("a packet behind a reset", ECONNRESET, recv(packets[0], &byte, 1, 0));
    EQ("then the packet", 1, recv(packets[0], &byte, 1, 0));
    int again[2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, again) == 0 && send(again[0], "", 0, 0) == 0);
    close(again[1]);
    OK("an empty packet lost is no reset", recv(again[0], &byte, 1, 0));
    ERR("send nothing from nowhere to nobody", EPIPE, send(packets[0], BAD, 1, MSG_NOSIGNAL));
}
GROUP(whole_or_nothing)
{
    int p[2], pair[2];
    char *edge = edge_page(PROT_READ | PROT_WRITE);
    MUST(pipe2(p, O_NONBLOCK) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    ERR("a page to a pipe that is not all there", EFAULT, write(p[1], edge + 4000, 200));
    EQ("what is there", 96, write(p[1], edge + 4000, 96));
    ERR("more of the same page", EFAULT, write(p[1], edge + 4090, 10));
    ERR("to a stream", EFAULT, write(pair[0], edge + 4000, 200));
    char *two = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(two != MAP_FAILED && munmap(two + 8192, 4096) == 0);
    EQ("a page and a part to a pipe", 4096, write(p[1], two + 100, 8192));
}
GROUP(sendfile_nothing)
{
    int p[2], file = file_with("file", "abc"), empty = file_with("empty", "");
    MUST(pipe(p) == 0);
    struct { const char *name; int fd, nothing, something; } from[] = {
        {"an eventfd", eventfd(1, EFD_NONBLOCK), 0, EINVAL}, {"an epoll", epoll_create1(0), 0, EINVAL},
        {"a timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 0, EINVAL}, {"inotify", inotify_init1(IN_NONBLOCK), 0, EINVAL},
        {"a directory", open(".", O_RDONLY), 0, EINVAL}, {"a pipe", p[0], EINVAL, EINVAL},
    };
    for (unsigned i = 0; i < COUNT(from); i++) {
        if (from[i].nothing)
            ERR(named("nothing of %s", from[i].name), from[i].nothing, sendfile(file, from[i].fd, 0, 0));
        else
            OK(named("nothing of %s", from[i].name), sendfile(file, from[i].fd, 0, 0));
        ERR(named("something of %s", from[i].name), from[i].something, sendfile(file, from[i].fd, 0, 10));
        OK(named("nothing of %s to a pipe", from[i].name), sendfile(p[1], from[i].fd, 0, 0));
        ERR(named("something of %s to a pipe", from[i].name), EINVAL, sendfile(p[1], from[i].fd, 0, 10));
    }
    OK("an empty file to an eventfd", sendfile(from[0].fd, empty, 0, 10));
}
GROUP(vectors_of_nothing)
{
    char bytes[8];
    struct iovec none[2] = {{bytes, 0}, {bytes + 1, 0}};
    int event = eventfd(1, EFD_NONBLOCK), epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    ERR("read an epoll", EINVAL, readv(epoll, none, 2));
    ERR("write an epoll", EINVAL, writev(epoll, none, 2));
    ERR("write a timerfd", EINVAL, writev(timer, none, 2));
    OK("read a timerfd", readv(timer, none, 2));
    OK("read an eventfd", readv(event, none, 2));
    OK("write an eventfd", writev(event, none, 2));
}
