// Pipes between threads: data in order, blocking, EOF, non-blocking, poll and epoll, vectors, eventfd, socket-less splice.
// compat: variants=pie,musl-static cpus=2
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TOTAL = 4 << 20 };
static int fds[2];

static void *produce(void *arg) {
  static char buffer[70000];
  long sent = 0;
  unsigned seed = 7;
  while (sent < TOTAL) {
    seed = seed * 1103515245 + 12345;
    long n = 1 + (seed >> 8) % sizeof buffer;
    if (n > TOTAL - sent) n = TOTAL - sent;
    for (long i = 0; i < n; i++) buffer[i] = (char)((sent + i) * 31 >> 3);
    for (long done = 0; done < n;) {
      long w = write(fds[1], buffer + done, n - done);
      if (w < 0) return (void *)(long)errno;
      done += w;
    }
    sent += n;
  }
  close(fds[1]);
  return arg;
}

static int a[2], b[2];
static void *echo(void *arg) {
  char c;
  while (read(a[0], &c, 1) == 1) {
    c++;
    if (write(b[1], &c, 1) != 1) break;
  }
  close(b[1]);
  return arg;
}

int main(void) {
  pthread_t t;
  void *result;
  if (pipe(fds)) return 1;
  pthread_create(&t, NULL, produce, NULL);
  static char buffer[50000];
  long got = 0, bad = 0, n;
  while ((n = read(fds[0], buffer, 1 + got % sizeof buffer)) > 0)
    for (long i = 0; i < n; i++, got++) bad += buffer[i] != (char)(got * 31 >> 3);
  pthread_join(t, &result);
  printf("received %ld, bad %ld, end %ld, writer %ld\n", got, bad, n, (long)result);
  close(fds[0]);

  if (pipe(a) || pipe(b)) return 1;
  pthread_create(&t, NULL, echo, NULL);
  long sum = 0;
  for (int i = 0; i < 2000; i++) {
    char c = (char)(i & 63);
    if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) return 1;
    sum += c;
  }
  close(a[1]);
  printf("ping-pong %ld, then %zd\n", sum, read(b[0], buffer, 1));
  pthread_join(t, NULL);

  if (pipe2(fds, O_NONBLOCK | O_CLOEXEC)) return 1;
  printf("empty: %zd %d\n", read(fds[0], buffer, 1), errno == EAGAIN);
  long filled = 0;
  while ((n = write(fds[1], buffer, 1000)) > 0) filled += n;
  printf("filled %ld, %d\n", filled, errno == EAGAIN);
  printf("size %d", fcntl(fds[1], F_GETPIPE_SZ));
  int size = fcntl(fds[1], F_SETPIPE_SZ, 1 << 18);
  printf(" now %d\n", size);
  struct pollfd p[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLOUT, 0}};
  printf("poll %d", poll(p, 2, 0));
  printf(" %d %d\n", p[0].revents == POLLIN, p[1].revents == POLLOUT);
  struct iovec v[3] = {{"abc", 3}, {"", 0}, {"defg", 4}};
  while (read(fds[0], buffer, sizeof buffer) > 0) {
  }
  printf("writev %zd\n", writev(fds[1], v, 3));
  char x[3], y[10];
  struct iovec w[2] = {{x, 2}, {y, 10}};
  printf("readv %zd", readv(fds[0], w, 2));
  printf(" %.2s %.5s\n", x, y);
  close(fds[1]);
  printf("poll after close %d", poll(p, 1, -1));
  printf(" %d, read %zd\n", p[0].revents == POLLHUP, read(fds[0], buffer, 1));

  int e = eventfd(3, EFD_NONBLOCK), ep = epoll_create1(0);
  uint64_t value;
  printf("eventfd %zd", read(e, &value, 8));
  printf(" %lu, then %zd %d\n", (unsigned long)value, read(e, &value, 8), errno == EAGAIN);
  int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  struct epoll_event ev = {EPOLLIN | EPOLLET, {.u32 = 1}}, out[4];
  epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev);
  ev = (struct epoll_event){EPOLLIN, {.u32 = 2}};
  epoll_ctl(ep, EPOLL_CTL_ADD, timer, &ev);
  printf("nothing %d\n", epoll_wait(ep, out, 4, 0));
  struct itimerspec its = {{0, 3000000}, {0, 3000000}};
  timerfd_settime(timer, 0, &its, NULL);
  n = epoll_wait(ep, out, 4, 2000);
  printf("timer %ld %d, ticks %d\n", n, out[0].data.u32, read(timer, &value, 8) == 8 && value >= 1);
  close(timer);
  value = 5;
  n = write(e, &value, 8);
  n = epoll_wait(ep, out, 4, 1000);
  printf("edge %ld %d, again %d\n", n, out[0].data.u32, epoll_wait(ep, out, 4, 0));
  n = write(e, &value, 8);
  printf("new edge %d\n", epoll_wait(ep, out, 4, 0));
  fd_set set;
  FD_ZERO(&set);
  FD_SET(e, &set);
  struct timeval tv = {1, 0};
  printf("select %d %d\n", select(e + 1, &set, NULL, NULL, &tv), FD_ISSET(e, &set) != 0);
  if (pipe(a) || pipe(b)) return 1;
  n = write(a[1], "spliced and teed", 16);
  printf("tee %zd", tee(a[0], b[1], 6, 0));
  printf(" splice %zd", splice(a[0], NULL, b[1], NULL, 16, 0));
  n = read(b[0], buffer, sizeof buffer);
  printf(" %.*s\n", (int)n, buffer);
  return 0;
}
