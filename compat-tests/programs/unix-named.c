// compat: variants=pie,musl-static
// AF_UNIX with names: listening, datagrams, files and credentials that travel.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *what, long r) {
    if (r < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, r);
}

static socklen_t named(struct sockaddr_un *a, const char *path, int abstract) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path + abstract, path, strlen(path));
    return offsetof(struct sockaddr_un, sun_path) + abstract + strlen(path) + !abstract;
}

static void show(const char *what, struct sockaddr_un *a, socklen_t len) {
    printf("%s: %u ", what, len);
    for (int i = offsetof(struct sockaddr_un, sun_path); i < (int)len; i++)
        putchar(((char *)a)[i] ? ((char *)a)[i] : '@');
    printf("\n");
}

static long send_with(int fd, const char *text, int *fds, int n, struct ucred *credentials) {
    char control[256] = {0};
    struct iovec v = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control};
    if (n) {
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int))};
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    } else if (credentials) {
        m.msg_controllen = CMSG_SPACE(sizeof *credentials);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS, .cmsg_len = CMSG_LEN(sizeof *credentials)};
        memcpy(CMSG_DATA(c), credentials, sizeof *credentials);
    }
    return sendmsg(fd, &m, 0);
}

static int receive_with(int fd, int room, int flags) {
    char control[256], text[64] = {0};
    int first = -1;
    struct iovec v = {text, sizeof text - 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    long n = recvmsg(fd, &m, flags);
    printf("got %ld '%s' flags %x:", n, text, m.msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_type == SCM_RIGHTS) {
            int count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), fd;
            printf(" %d files", count);
            for (int i = 0; i < count; i++) {
                memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
                printf(" cloexec %d", fcntl(fd, F_GETFD));
                if (i == 0)
                    first = fd;
                else
                    close(fd);
            }
        } else if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred u;
            memcpy(&u, CMSG_DATA(c), sizeof u);
            printf(" credentials %d %d %d", u.pid == getpid(), u.uid == getuid(), u.gid == getgid());
        }
    }
    printf("\n");
    return first;
}

int main(void) {
    char dir[] = "unix-XXXXXX", path[64];
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/s", dir);
    struct sockaddr_un a, b;
    socklen_t len = named(&a, path, 0), blen;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    say("connect to nothing", connect(c, (void *)&a, len));
    say("listen unbound", listen(l, 1));
    say("bind", bind(l, (void *)&a, len));
    say("bind again", bind(l, (void *)&a, len));
    say("bind same name", bind(c, (void *)&a, len));
    struct stat st;
    stat(path, &st);
    printf("a socket: %d\n", S_ISSOCK(st.st_mode));
    say("open", open(path, O_RDWR));
    say("connect before listen", connect(c, (void *)&a, len));
    say("listen", listen(l, 0));
    say("connect", connect(c, (void *)&a, len));
    int d = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say("backlog full", connect(d, (void *)&a, len));
    blen = sizeof b;
    int s = accept(l, (void *)&b, &blen);
    show("peer", &b, blen);
    say("connect again", connect(c, (void *)&a, len));
    blen = sizeof b;
    getsockname(s, (void *)&b, &blen);
    b.sun_path[0] = 'u';
    printf("own name: %u\n", blen);
    blen = sizeof b;
    getpeername(c, (void *)&b, &blen);
    printf("peer of the client: %u\n", blen);
    int accepting = 0;
    blen = sizeof accepting;
    getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &blen);
    printf("accepting %d\n", accepting);
    struct ucred u = {0};
    blen = sizeof u;
    getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &blen);
    printf("peercred %d %d\n", u.pid == getpid(), u.uid == getuid());
    say("wrong type", connect(socket(AF_UNIX, SOCK_SEQPACKET, 0), (void *)&a, len));

    int p[2];
    pipe(p);
    say("send files", send_with(c, "with", p, 2, 0));
    say("send text", send_with(c, "more", 0, 0, 0));
    int r = receive_with(s, 256, 0);
    char x = 0;
    write(p[1], "!", 1);
    read(r, &x, 1);
    printf("through the file: %c\n", x);
    close(r);
    receive_with(s, 256, 0);
    send_with(c, "none", p, 2, 0);
    receive_with(s, 0, 0);
    send_with(c, "one", p, 2, 0);
    close(receive_with(s, CMSG_LEN(sizeof(int)), MSG_CMSG_CLOEXEC));
    int on = 1;
    setsockopt(s, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    send_with(c, "cred", 0, 0, 0);
    receive_with(s, 256, 0);
    u = (struct ucred){getpid(), getuid(), getgid()};
    send_with(c, "own", 0, 0, &u);
    receive_with(s, 256, 0);
    int bad = 77;
    say("bad file", send_with(c, "bad", &bad, 1, 0));
    close(l);
    say("connect to closed", connect(d, (void *)&a, len));
    unlink(path);
    close(s);
    say("read end", read(c, &x, 1));

    len = named(&a, "skiff-test-name", 1);
    l = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    say("abstract", bind(l, (void *)&a, len));
    say("taken", bind(socket(AF_UNIX, SOCK_SEQPACKET, 0), (void *)&a, len));
    listen(l, 5);
    c = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    say("connect", connect(c, (void *)&a, len));
    s = accept(l, 0, 0);
    blen = sizeof b;
    getpeername(c, (void *)&b, &blen);
    show("name", &b, blen);
    send(c, "first", 5, 0);
    send(c, "second", 6, 0);
    char text[16];
    say("packet", recv(s, text, 3, MSG_TRUNC));
    say("packet", recv(s, text, 16, 0));
    close(c);
    say("end", recv(s, text, 16, 0));
    close(l);
    say("gone", connect(socket(AF_UNIX, SOCK_SEQPACKET, 0), (void *)&a, len));

    int e = socket(AF_UNIX, SOCK_DGRAM, 0), f = socket(AF_UNIX, SOCK_DGRAM, 0);
    say("bind", bind(e, (void *)&a, len));
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    say("autobind", bind(f, (void *)&any, sizeof(sa_family_t)));
    blen = sizeof b;
    getsockname(f, (void *)&b, &blen);
    printf("autobind length %u\n", blen);
    say("sendto", sendto(f, "dgram", 5, 0, (void *)&a, len));
    blen = sizeof b;
    say("recvfrom", recvfrom(e, text, 16, 0, (void *)&b, &blen));
    printf("from length %u\n", blen);
    say("reply", sendto(e, "back", 4, 0, (void *)&b, blen));
    say("recv", recv(f, text, 16, 0));
    say("unconnected send", send(f, "x", 1, 0));
    say("connect", connect(f, (void *)&a, len));
    say("send", send(f, "conn", 4, 0));
    struct pollfd w = {.fd = e, .events = POLLIN | POLLOUT};
    poll(&w, 1, 0);
    printf("events %x\n", w.revents);
    say("recv", recv(e, text, 16, 0));
    close(e);
    say("send to closed", send(f, "x", 1, 0));
    say("sendto nobody", sendto(f, "x", 1, 0, (void *)&a, len));
    rmdir(dir);
    return 0;
}
