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
/* The pipe is looked at first, whatever is to be read, and were it nothing. */
GROUP(sendfile_looks_at_the_pipe)
{
    int socket[2], p[2], file = file_with("file", "abc"), empty = file_with("empty", "");
    static char page[4096];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, socket) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR && pipe(p) == 0);
    struct { const char *name; int fd; } from[] = {
        {"a file", file}, {"an empty file", empty}, {"a directory", open(".", O_RDONLY)}, {"a device", open("/dev/zero", O_RDONLY)},
        {"a socket", socket[0]}, {"a pipe", p[0]}, {"an eventfd", eventfd(1, EFD_NONBLOCK)}, {"an epoll", epoll_create1(0)},
    };
    for (unsigned i = 0; i < COUNT(from); i++) {
        int broken[2], full[2];
        MUST(pipe2(broken, O_NONBLOCK) == 0 && pipe2(full, O_NONBLOCK) == 0 && close(broken[0]) == 0);
        while (write(full[1], page, sizeof page) > 0)
            ;
        ERR(named("%s to a pipe that nobody reads", from[i].name), EPIPE, sendfile(broken[1], from[i].fd, 0, 10));
        ERR(named("nothing of %s to a pipe that nobody reads", from[i].name), EPIPE, sendfile(broken[1], from[i].fd, 0, 0));
        ERR(named("%s to a full pipe", from[i].name), EAGAIN, sendfile(full[1], from[i].fd, 0, 10));
        ERR(named("nothing of %s to a full pipe", from[i].name), EAGAIN, sendfile(full[1], from[i].fd, 0, 0));
        OK(named("splice nothing of %s to a pipe that nobody reads", from[i].name), splice(from[i].fd, 0, broken[1], 0, 0, 0));
        close(broken[1]), close(full[0]), close(full[1]);
    }
    EQ("the file is where it was", 0, lseek(file, 0, SEEK_CUR));
    int all[2];
    MUST(pipe(all) == 0 && ftruncate(file, 1 << 20) == 0 && fcntl(all[1], F_SETFL, O_APPEND) == 0);
    EQ("more than a pipe holds", 65536, sendfile(all[1], file, 0, 1 << 20));
    EQ("and no more was read", 65536, lseek(file, 0, SEEK_CUR));
}
/* What poll tells of sockets that were shut down, though nothing is connected. */
GROUP(shutdown_alone)
{
    struct { const char *name; int family, kind, listens, shut[3]; } all[] = {
        {"stream", AF_UNIX, SOCK_STREAM, 0, {0, 0, 0}}, {"packets", AF_UNIX, SOCK_SEQPACKET, 0, {0, 0, 0}},
        {"datagrams", AF_UNIX, SOCK_DGRAM, 0, {0, 0, 0}}, {"listening stream", AF_UNIX, SOCK_STREAM, 1, {0, 0, 0}},
        {"TCP", AF_INET, SOCK_STREAM, 0, {ENOTCONN, ENOTCONN, ENOTCONN}}, {"UDP", AF_INET, SOCK_DGRAM, 0, {ENOTCONN, ENOTCONN, ENOTCONN}},
    };
    const char *hows[] = {"reading", "writing", "both"};
    for (unsigned i = 0; i < COUNT(all); i++)
        for (int how = 0; how < 3; how++) {
            int fd = socket(all[i].family, all[i].kind | SOCK_NONBLOCK, 0);
            struct sockaddr_un at;
            named_socket(&at, named("%s-%d", all[i].name, how));
            MUST(fd >= 0 && (!all[i].listens || (bind(fd, (void *)&at, sizeof at) == 0 && listen(fd, 1) == 0)));
            if (all[i].shut[how])
                ERR(named("%s, %s", all[i].name, hows[how]), all[i].shut[how], shutdown(fd, how));
            else
                OK(named("%s, %s", all[i].name, hows[how]), shutdown(fd, how));
            struct pollfd ready = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND, 0};
            int idle = all[i].kind == SOCK_DGRAM || all[i].listens ? 0 : POLLHUP, shut = POLLIN | POLLRDNORM | POLLRDHUP;
            int out = all[i].listens ? 0 : POLLOUT | POLLWRNORM | (all[i].kind == SOCK_STREAM && all[i].family == AF_INET ? 0 : POLLWRBAND);
            poll(&ready, 1, 0);
            EQ(named("%s, %s, poll", all[i].name, hows[how]), out | idle | (how != SHUT_WR ? shut : 0) | (how == SHUT_RDWR ? POLLHUP : 0), ready.revents);
            if (all[i].listens && how == SHUT_RD) {
                int other = socket(AF_UNIX, SOCK_STREAM, 0);
                ERR("connect to one that does not read", ECONNREFUSED, connect(other, (void *)&at, sizeof at));
                ERR("accept without waiting", EAGAIN, accept(fd, 0, 0));
                MUST(fcntl(fd, F_SETFL, 0) == 0);
                ERR("accept", EINVAL, accept(fd, 0, 0));
                close(other);
            }
            close(fd);
        }
}
/* The end is told to those who would wait, and not to those who would not. */
GROUP(shutdown_udp)
{
    char byte;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(fd >= 0);
    ERR("reading", ENOTCONN, shutdown(fd, SHUT_RD));
    ERR("receive without waiting", EAGAIN, recv(fd, &byte, 1, MSG_DONTWAIT));
    ERR("peek without waiting", EAGAIN, recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK));
    OK("receive", recv(fd, &byte, 1, 0));
    OK("read", read(fd, &byte, 1));
}
/* What a peer had sent goes with it, once that is noticed. */
GROUP(datagram_peer_dies)
{
    int pair[2];
    char bytes[8];
    MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0 && send(pair[1], "sent", 4, 0) == 4 && close(pair[1]) == 0);
    EQ("before anything is sent", 4, recv(pair[0], bytes, sizeof bytes, MSG_PEEK));
    ERR("send", ECONNREFUSED, send(pair[0], "x", 1, 0));
    ERR("then", EAGAIN, recv(pair[0], bytes, sizeof bytes, 0));
    ERR("send again", ENOTCONN, send(pair[0], "x", 1, 0));
}
GROUP(copy_file_range_order)
{
    int dir = open(".", O_RDONLY), p[2], file = file_with("file", "abc");
    MUST(dir >= 0 && pipe(p) == 0);
    ERR("a pipe to a directory", EISDIR, copy_file_range(p[0], 0, dir, 0, 1, 0));
    ERR("a directory to a pipe", EISDIR, copy_file_range(dir, 0, p[1], 0, 1, 0));
    ERR("a file to a pipe", EINVAL, copy_file_range(file, 0, p[1], 0, 1, 0));
    ERR("a file to a directory", EISDIR, copy_file_range(file, 0, dir, 0, 1, 0));
}
GROUP(notify_of_nothing)
{
    int dir = open(".", O_RDONLY), file = file_with("file", "");
    MUST(dir >= 0);
    OK("of a directory", fcntl(dir, F_NOTIFY, 0));
    OK("again and again", fcntl(dir, F_NOTIFY, DN_MULTISHOT));
    OK("of a file", fcntl(file, F_NOTIFY, 0));
    ERR("of no file", EBADF, fcntl(NOFD, F_NOTIFY, 0));
}
