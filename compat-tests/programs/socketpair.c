// AF_UNIX pairs: streams, datagrams, ends, errors. Prints results; Linux is the oracle.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SHOW(call) do { errno = 0; long r_ = (call); printf("%-48s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)
static int s[2];
static char b[300000];

static void *reader(void *arg) {
	long total = 0, n;
	while ((n = read(s[1], b, sizeof b)) > 0) total += n;
	return (void *)total;
}

static int events(int fd) {
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
	poll(&p, 1, 0);
	return p.revents;
}

int main(void) {
	int fds[2], v, n;
	socklen_t len;
	struct sockaddr_un un;
	signal(SIGPIPE, SIG_IGN);
	SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	printf("cloexec %d, poll %#x\n", fcntl(s[0], F_GETFD), events(s[0]));
	SHOW(write(s[0], "hello", 5)); SHOW(write(s[0], "world", 5));
	SHOW(ioctl(s[1], FIONREAD, &v)); printf("FIONREAD %d\n", v);
	SHOW(recv(s[1], b, 3, MSG_PEEK)); SHOW(recv(s[1], b, 100, 0)); printf("%.10s poll %#x\n", b, events(s[1]));
	SHOW(recv(s[1], b, 1, MSG_DONTWAIT));
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	for (n = 0; write(s[0], b, 4096) > 0;) n++;
	printf("full: %s, some %d, poll out %d\n", strerrorname_np(errno), n > 10, !!(events(s[0]) & POLLOUT));
	fcntl(s[0], F_SETFL, 0);
	pthread_t t;
	pthread_create(&t, 0, reader, 0);
	SHOW(write(s[0], b, sizeof b) == sizeof b);
	SHOW(shutdown(s[0], SHUT_WR));
	void *got;
	pthread_join(t, &got);
	printf("reader got all %d\n", (long)got == n * 4096L + (long)sizeof b);
	SHOW(write(s[0], "x", 1)); SHOW(send(s[0], "x", 1, MSG_NOSIGNAL)); SHOW(shutdown(s[0], 9));
	printf("poll %#x %#x\n", events(s[0]), events(s[1]));
	SHOW(write(s[1], "back", 4)); SHOW(read(s[0], b, 9)); SHOW(write(s[1], "lost", 4));
	close(s[0]); SHOW(write(s[1], "x", 1)); SHOW(read(s[1], b, 1)); SHOW(read(s[1], b, 1)); printf("poll %#x\n", events(s[1]));
	close(s[1]);
	for (int kind = SOCK_DGRAM;; kind = SOCK_SEQPACKET) {
		SHOW(socketpair(AF_UNIX, kind | SOCK_NONBLOCK, 0, s));
		SHOW(send(s[0], "one", 3, 0)); SHOW(send(s[0], "", 0, 0)); SHOW(send(s[0], "three", 5, 0));
		SHOW(recv(s[1], b, 100, 0)); SHOW(recv(s[1], b, 100, 0)); SHOW(recv(s[1], b, 2, MSG_PEEK)); SHOW(recv(s[1], b, 2, MSG_TRUNC));
		SHOW(recv(s[1], b, 2, 0));
		struct iovec iov = {b, 2}; struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		SHOW(send(s[0], "four", 4, 0)); SHOW(recvmsg(s[1], &m, 0)); printf("flags %#x namelen %d\n", m.msg_flags, m.msg_namelen);
		SHOW(send(s[0], b, sizeof b, 0));
		len = sizeof v; SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &len)); printf("type %d\n", v);
		close(s[1]); SHOW(send(s[0], "x", 1, 0)); SHOW(recv(s[0], b, 1, 0)); close(s[0]);
		if (kind == SOCK_SEQPACKET) break;
	}
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, fds) < 0); SHOW(socketpair(AF_UNIX, 77, 0, fds)); SHOW(socketpair(AF_UNIX, SOCK_STREAM, 5, fds));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8)); SHOW(socket(99, SOCK_STREAM, 0)); SHOW(recv(0x7777, b, 1, 0)); SHOW(recv(1, b, 1, 0));
	int c = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(write(c, "x", 1)); SHOW(read(c, b, 1)); printf("poll %#x\n", events(c));
	memset(&un, 0, sizeof un); un.sun_family = AF_UNIX; strcpy(un.sun_path, "/nowhere/at/all");
	SHOW(connect(c, (void *)&un, sizeof un)); strcpy(un.sun_path, "/tmp"); SHOW(connect(c, (void *)&un, sizeof un));
	un.sun_path[0] = 0; SHOW(connect(c, (void *)&un, sizeof un));
	len = sizeof un; SHOW(getsockname(c, (void *)&un, &len)); printf("len %d family %d\n", len, un.sun_family); SHOW(getpeername(c, (void *)&un, &len));
	struct timeval tv = {0, 20000}; SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s)); SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv)); SHOW(read(s[0], b, 1));
	return 0;
}
