// The CPUs that a thread may run on, as the calls, /proc and /sys tell them: they agree, and a choice is seen and inherited.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[16384];

static char *slurp(const char *path) {
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    if (fd >= 0)
        close(fd);
    return n < 0 ? NULL : text;
}

// "0-3,5" as a set; what is no such list gives an empty one.
static cpu_set_t list(const char *s) {
    cpu_set_t set;
    CPU_ZERO(&set);
    while (s && *s && *s != '\n') {
        char *end;
        long first = strtol(s, &end, 10), last = first;
        if (end == s)
            break;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        for (long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, &set);
        s = *end == ',' ? end + 1 : end;
    }
    return set;
}

// "00000000,0000000f" as a set.
static cpu_set_t mask(const char *s) {
    cpu_set_t set;
    CPU_ZERO(&set);
    size_t len = strcspn(s, "\n");
    for (int cpu = 0; len-- > 0;) {
        if (s[len] == ',')
            continue;
        int digit = s[len] <= '9' ? s[len] - '0' : s[len] - 'a' + 10;
        for (int bit = 0; bit < 4; bit++)
            if (digit >> bit & 1)
                CPU_SET(cpu + bit, &set);
        cpu += 4;
    }
    return set;
}

static const char *field(const char *path, const char *name) {
    char *at = slurp(path);
    if (at && (at = strstr(at, name)))
        return at + strlen(name);
    return "";
}

static int is(cpu_set_t a, cpu_set_t b) {
    return CPU_COUNT(&a) > 0 && CPU_EQUAL(&a, &b);
}

static int within(cpu_set_t a, cpu_set_t b) {
    cpu_set_t both;
    CPU_AND(&both, &a, &b);
    return is(a, both);
}

static cpu_set_t own(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return set;
}

// What each of the three says of the calling thread.
static void agree(const char *who) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", (long)syscall(SYS_gettid));
    cpu_set_t set = own();
    printf("%s: mask %d, list %d, number of CPUs %d\n", who, is(mask(field(path, "\nCpus_allowed:\t")), set),
           is(list(field(path, "\nCpus_allowed_list:\t")), set), sysconf(_SC_NPROCESSORS_ONLN) >= CPU_COUNT(&set));
    fflush(stdout);
}

static void *thread(void *one) {
    agree("a thread");
    printf("inherited: %d\n", is(own(), *(cpu_set_t *)one));
    cpu_set_t *all = (cpu_set_t *)one + 1;
    printf("for itself: %d\n", sched_setaffinity(0, sizeof *all, all));
    agree("the thread with all");
    return NULL;
}

static const char *set(pid_t pid, size_t size, cpu_set_t *cpus) {
    return syscall(SYS_sched_setaffinity, pid, size, cpus) < 0 ? strerrorname_np(errno) : "ok";
}

int main(int argc, char **argv) {
    if (argc > 1) {
        agree("after exec");
        printf("still one: %d\n", sched_getcpu() == atoi(argv[1]));
        return 0;
    }
    cpu_set_t online = list(slurp("/sys/devices/system/cpu/online"));
    cpu_set_t present = list(slurp("/sys/devices/system/cpu/present"));
    cpu_set_t possible = list(slurp("/sys/devices/system/cpu/possible"));
    printf("online %d, is present %d, is possible %d\n", CPU_COUNT(&online) == sysconf(_SC_NPROCESSORS_ONLN),
           within(online, present), within(present, possible));
    printf("configured: %d\n", sysconf(_SC_NPROCESSORS_CONF) >= CPU_COUNT(&online));
    int directories = 0, cpu;
    char rest;
    struct dirent *entry;
    DIR *dir = opendir("/sys/devices/system/cpu");
    while (dir && (entry = readdir(dir)))
        directories += sscanf(entry->d_name, "cpu%d%c", &cpu, &rest) == 1;
    printf("a directory for each: %d\n", directories == CPU_COUNT(&present));
    slurp("/proc/self/cpuset");
    printf("cpuset: %d\n", text[0] == '/' && text[strlen(text) - 1] == '\n');

    cpu_set_t both[2], none, beyond;
    both[1] = own();
    agree("all");
    printf("all are online: %d\n", within(both[1], online));
    int last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &both[1]))
        last--;
    CPU_ZERO(&both[0]);
    CPU_ZERO(&none);
    CPU_ZERO(&beyond);
    CPU_SET(last, &both[0]);
    CPU_SET(CPU_SETSIZE - 1, &beyond);
    printf("none: %s, one that is not there: %s, nobody: %s, bad: %s, nothing: %s\n", set(0, sizeof none, &none),
           set(0, sizeof beyond, &beyond), set(0x3ffffff, sizeof none, &both[0]), set(0, sizeof none, (void *)8), set(0, 0, &none));
    CPU_OR(&beyond, &beyond, &both[0]);
    printf("one of these is there: %s\n", set(0, sizeof beyond, &beyond));
    agree("one");
    printf("it runs there: %d\n", sched_getcpu() == last);
    pthread_t other;
    pthread_create(&other, NULL, thread, both);
    pthread_join(other, NULL);
    agree("one, still");
    if (fork() == 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", last);
        agree("a child");
        execl("/proc/self/exe", argv[0], number, NULL);
        _exit(1);
    }
    wait(NULL);
    char status[64];
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    snprintf(status, sizeof status, "/proc/%d/status", child);
    printf("another process: %s", set(child, sizeof both[1], &both[1]));
    printf(" %d\n", is(list(field(status, "\nCpus_allowed_list:\t")), both[1]));
    kill(child, SIGKILL);
    wait(NULL);
    return 0;
}
