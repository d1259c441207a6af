// Clocks go forward, sleeps last as long as asked, and the calendar is right.
// compat: variants=pie,static,musl-static
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static long long ns(clockid_t c) {
  struct timespec t;
  return clock_gettime(c, &t) ? -1 : t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(void) {
  clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                        CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
  for (int i = 0; i < 9; i++) {
    struct timespec res;
    long long last = ns(clocks[i]);
    int back = 0;
    for (int k = 0; k < 20000; k++) {
      long long t = ns(clocks[i]);
      back += t < last;
      last = t;
    }
    printf("clock %d: works %d, backwards %d, resolution known %d\n", i, last > 0, back,
           clock_getres(clocks[i], &res) == 0 && res.tv_sec == 0);
  }
  struct timespec bad;
  printf("bad clock %d %d\n", clock_gettime(99, &bad), errno == EINVAL);
  struct timeval tv;
  gettimeofday(&tv, NULL);
  long long real = ns(CLOCK_REALTIME);
  printf("same time: %d %d\n", llabs(real - (tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL)) < 1000000000LL,
         llabs(real / 1000000000 - time(NULL)) <= 1);
  printf("this century: %d\n", tv.tv_sec > 1700000000 && tv.tv_sec < 4100000000);
  long long asked[] = {1000, 100000, 1000000, 20000000};
  for (int i = 0; i < 4; i++) {
    struct timespec t = {0, asked[i]};
    long long start = ns(CLOCK_MONOTONIC);
    nanosleep(&t, NULL);
    long long took = ns(CLOCK_MONOTONIC) - start;
    printf("slept %lld: enough %d, not too long %d\n", asked[i], took >= asked[i], took < 2000000000LL);
  }
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  at.tv_nsec += 5000000;
  if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
  printf("absolute %d", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL));
  printf(", reached %d\n", ns(CLOCK_REALTIME) >= at.tv_sec * 1000000000LL + at.tv_nsec);
  struct timespec wrong = {0, 1000000000};
  printf("invalid %d %d\n", nanosleep(&wrong, NULL), errno == EINVAL);
  long long cpu = ns(CLOCK_PROCESS_CPUTIME_ID), thread = ns(CLOCK_THREAD_CPUTIME_ID);
  while (ns(CLOCK_THREAD_CPUTIME_ID) - thread < 30000000) {
  }
  printf("cpu time %d\n", ns(CLOCK_PROCESS_CPUTIME_ID) - cpu >= 29000000);
  cpu = ns(CLOCK_PROCESS_CPUTIME_ID);
  usleep(30000);
  printf("asleep %d\n", ns(CLOCK_PROCESS_CPUTIME_ID) - cpu < 25000000);
  struct rusage ru;
  getrusage(RUSAGE_SELF, &ru);
  printf("rusage %d, rss %d\n", ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec > 10000, ru.ru_maxrss > 0);
  struct tms tms;
  printf("times %d, clock() %d, ticks %ld\n", times(&tms) != -1, clock() > 10000, sysconf(_SC_CLK_TCK));
  setenv("TZ", "UTC0", 1);
  time_t t = 1700000000;
  char text[100];
  strftime(text, sizeof text, "%A %Y-%m-%d %H:%M:%S %Z", localtime(&t));
  puts(text);
  struct tm tm = {.tm_year = 100, .tm_mon = 1, .tm_mday = 30};
  printf("mktime %ld\n", (long)mktime(&tm));
  return 0;
}
