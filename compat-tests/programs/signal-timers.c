// alarm(2), setitimer(2), timer_create(2) and what they interrupt; sigsuspend, sigwait, sigqueue, signalfd.
// compat: variants=pie,static,musl-static
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms;
static int wake_fd = -1;

static void on_alarm(int sig) {
  (void)sig;
  alarms++;
  if (wake_fd >= 0 && write(wake_fd, "w", 1) != 1) _exit(9);
}

static void on_info(int sig, siginfo_t *info, void *context) {
  (void)context;
  printf("signal %d, code %d, value %d, own pid %d\n", sig - (sig >= SIGRTMIN ? SIGRTMIN : 0), info->si_code, info->si_value.sival_int,
         info->si_pid == getpid());
}

static void handle(int sig, void (*f)(int), int flags) {
  struct sigaction sa = {.sa_handler = f, .sa_flags = flags};
  sigaction(sig, &sa, NULL);
}

static void in_ms(long ms, long every) {
  struct itimerval it = {{every / 1000, every % 1000 * 1000}, {ms / 1000, ms % 1000 * 1000}};
  setitimer(ITIMER_REAL, &it, NULL);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void *thread_notified(union sigval v) {
  printf("SIGEV_THREAD: %d\n", v.sival_int);
  fflush(stdout);
  alarms = 100;
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  int p[2];
  char c;
  if (pipe(p)) return 1;

  handle(SIGALRM, on_alarm, 0);
  // Again and again: the first may come before the call that it is to interrupt.
  in_ms(20, 20);
  errno = 0;
  long r = read(p[0], &c, 1);
  printf("read without SA_RESTART: %ld, EINTR %d, alarms %d\n", r, errno == EINTR, alarms > 0);
  in_ms(0, 0);

  handle(SIGALRM, on_alarm, SA_RESTART);
  wake_fd = p[1];
  in_ms(10, 0);
  r = read(p[0], &c, 1);
  printf("read with SA_RESTART: %ld %c, alarms %d\n", r, c, alarms > 1);
  wake_fd = -1;

  in_ms(20, 20);
  struct timespec t = {5, 0}, rest = {0, 0};
  r = nanosleep(&t, &rest);
  printf("nanosleep: %ld, EINTR %d, remaining %d\n", r, errno == EINTR, rest.tv_sec == 4);
  in_ms(0, 0);

  alarms = 0;
  in_ms(2, 2);
  while (alarms < 5) usleep(1000);
  in_ms(0, 0);
  puts("five ticks");

  alarm(1);
  double start = now();
  pause();
  printf("alarm after a second: %d\n", now() - start > 0.9 && now() - start < 5);
  alarm(100);
  printf("left: %u\n", alarm(0));

  // Busy: the timer interrupts a loop without system calls.
  alarms = 0;
  in_ms(10, 0);
  while (!alarms) {
  }
  puts("loop interrupted");
  alarms = 0;
  struct itimerval v = {{0, 0}, {0, 10000}};
  handle(SIGVTALRM, on_alarm, 0);
  setitimer(ITIMER_VIRTUAL, &v, NULL);
  while (!alarms) {
  }
  puts("virtual timer");

  sigset_t block, old, empty;
  sigemptyset(&empty);
  sigemptyset(&block);
  sigaddset(&block, SIGALRM);
  sigaddset(&block, SIGRTMIN + 1);
  sigaddset(&block, SIGRTMIN);
  sigaddset(&block, SIGUSR1);
  sigprocmask(SIG_BLOCK, &block, &old);
  alarms = 0;
  in_ms(5, 0);
  r = sigsuspend(&empty);
  printf("sigsuspend: %ld, EINTR %d, alarms %d\n", r, errno == EINTR, alarms);

  struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
  for (int i = 0; i < 2; i++) sigaction(SIGRTMIN + i, &sa, NULL);
  sigaction(SIGUSR1, &sa, NULL);
  for (int i = 0; i < 3; i++) {
    sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 20 + i});
    kill(getpid(), SIGUSR1);
  }
  sigset_t pending;
  sigpending(&pending);
  printf("pending: %d %d %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGRTMIN), sigismember(&pending, SIGUSR2));
  siginfo_t info;
  struct timespec zero = {0, 0};
  r = sigtimedwait(&block, &info, &zero);
  printf("sigtimedwait: SIGUSR1 %d, code %d\n", r == SIGUSR1, info.si_code);
  int fd = signalfd(-1, &block, SFD_NONBLOCK);
  struct signalfd_siginfo ssi;
  r = read(fd, &ssi, sizeof ssi);
  printf("signalfd: %d, signal %d, value %d\n", r == sizeof ssi, (int)ssi.ssi_signo - SIGRTMIN, ssi.ssi_int);
  sigprocmask(SIG_SETMASK, &old, NULL);
  errno = 0;
  r = read(fd, &ssi, sizeof ssi);
  printf("signalfd empty: %ld, EAGAIN %d\n", r, errno == EAGAIN);

  timer_t timer;
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
  timer_create(CLOCK_MONOTONIC, &ev, &timer);
  struct itimerspec its = {{0, 0}, {0, 5000000}};
  sigprocmask(SIG_BLOCK, &block, &old);
  timer_settime(timer, 0, &its, NULL);
  sigsuspend(&empty);
  sigprocmask(SIG_SETMASK, &old, NULL);
  timer_gettime(timer, &its);
  printf("disarmed %d, overrun %d\n", its.it_value.tv_sec == 0 && its.it_value.tv_nsec == 0, timer_getoverrun(timer));
  timer_delete(timer);
  ev = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 43,
                         .sigev_notify_function = (void (*)(union sigval))thread_notified};
  timer_create(CLOCK_REALTIME, &ev, &timer);
  its = (struct itimerspec){{0, 0}, {0, 5000000}};
  timer_settime(timer, 0, &its, NULL);
  while (alarms != 100) usleep(1000);
  timer_delete(timer);

  handle(SIGPIPE, SIG_IGN, 0);
  close(p[0]);
  errno = 0;
  r = write(p[1], "x", 1);
  printf("EPIPE: %ld %d\n", r, errno == EPIPE);
  puts("ends by SIGPIPE");
  handle(SIGPIPE, SIG_DFL, 0);
  r = write(p[1], "x", 1);
  puts("never");
  return 0;
}
