// The structure of what /proc and /sys tell a program about itself and the machine; values that differ between machines are only
// checked for sense.
// compat: variants=pie,musl-static
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

static char buf[1 << 20];

static int slurp(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        printf("%s: %s\n", path, strerror(errno));
        buf[0] = 0;
        return -1;
    }
    int n = 0, got;
    while ((got = read(fd, buf + n, sizeof buf - 1 - n)) > 0) n += got;
    buf[n] = 0;
    close(fd);
    return n;
}

// The value behind "Name:" at the start of a line, or NULL.
static char *field(const char *name) {
    size_t len = strlen(name);
    for (char *line = buf; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : 0)
        if (!strncmp(line, name, len) && line[len] == ':') return line + len + 1;
    return NULL;
}

static long number(const char *name) {
    char *value = field(name);
    return value ? strtol(value, 0, 10) : -1;
}

#define CHECK(what) printf("%s: %s\n", #what, (what) ? "yes" : "NO")

static int tick_fields;

static void self(void) {
    char link[64], text[256];
    snprintf(text, sizeof text, "%d", getpid());
    ssize_t n = readlink("/proc/self", link, sizeof link - 1);
    link[n < 0 ? 0 : n] = 0;
    CHECK(!strcmp(link, text));
    snprintf(text, sizeof text, "%d/task/%ld", getpid(), syscall(SYS_gettid));
    n = readlink("/proc/thread-self", link, sizeof link - 1);
    link[n < 0 ? 0 : n] = 0;
    CHECK(!strcmp(link, text));

    slurp("/proc/self/status");
    CHECK(number("Pid") == getpid() && number("Tgid") == getpid() && number("PPid") == getppid());
    CHECK(number("Threads") == 1);
    CHECK(number("VmSize") > 0 && number("VmRSS") > 0 && number("VmPeak") >= number("VmSize") && number("VmHWM") >= 0);
    CHECK(field("State") && strstr(field("State"), "R (running)") == field("State") + 1);
    for (const char **name = (const char *[]){"Name", "Umask", "State", "Tgid", "Ngid", "TracerPid", "Uid", "Gid", "FDSize",
         "Groups", "NStgid", "VmLck", "VmPin", "RssAnon", "RssFile", "RssShmem", "VmData", "VmStk", "VmExe", "VmLib", "VmPTE",
         "VmSwap", "SigQ", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
         "NoNewPrivs", "Seccomp", "Cpus_allowed", "Cpus_allowed_list", "Mems_allowed", "Mems_allowed_list",
         "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches", NULL}; *name; name++)
        if (!field(*name)) printf("status lacks %s\n", *name);

    slurp("/proc/self/stat");
    char *after = strrchr(buf, ')');
    CHECK(after && strtol(buf, 0, 10) == getpid());
    tick_fields = 2;
    for (char *p = after; p && *p; p++) tick_fields += *p == ' ';
    printf("fields of stat: %d\n", tick_fields);

    long size, resident, shared, code, lib, data, dt;
    slurp("/proc/self/statm");
    CHECK(sscanf(buf, "%ld %ld %ld %ld %ld %ld %ld", &size, &resident, &shared, &code, &lib, &data, &dt) == 7);
    CHECK(size > 0 && resident > 0 && lib == 0 && dt == 0);
}

static int global = 42;

static void maps(void) {
    int here = 0, stack = 0, heap = 0, vdso = 0, bad = 0, order = 1;
    unsigned long last = 0, end, start;
    free(malloc(1000));
    sbrk(4096);
    char exe[256] = "";
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    CHECK(n > 0 && exe[0] == '/');
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], perms[8], name[256];
    while (f && fgets(line, sizeof line, f)) {
        unsigned long offset, ino;
        unsigned major, minor;
        name[0] = 0;
        if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %255[^\n]", &start, &end, perms, &offset, &major, &minor, &ino, name) < 7)
            bad++;
        if (name[0] && line[73] != name[0] && !strchr("/[", line[73])) bad++;
        order &= start >= last && start < end;
        last = end;
        unsigned long at = (unsigned long)&global;
        if (at >= start && at < end) here = !strcmp(perms, "rw-p") && (!strcmp(name, exe) || !name[0]);
        stack |= !strcmp(name, "[stack]") && (unsigned long)&order >= start && (unsigned long)&order < end;
        heap |= !strcmp(name, "[heap]");
        vdso |= !strcmp(name, "[vdso]") && !strcmp(perms, "r-xp");
    }
    if (f) fclose(f);
    printf("maps: bad %d ordered %d data %d stack %d heap %d vdso %d\n", bad, order, here, stack, heap, vdso);

    slurp("/proc/self/smaps");
    int areas = 0, rss = 0;
    for (char *p = buf; (p = strstr(p, "\nVmFlags:")); p++) areas++;
    for (char *p = buf; (p = strstr(p, "\nRss:")); p++) rss += atoi(p + 5);
    CHECK(areas > 5 && rss > 0);
    slurp("/proc/self/smaps_rollup");
    CHECK(strstr(buf, "[rollup]") && number("Rss") > 0 && number("Pss") > 0 && number("Private_Dirty") > 0);

    int fd = open("/proc/self/mem", O_RDWR);
    int copy = 0, changed = 43;
    CHECK(pread(fd, &copy, sizeof copy, (off_t)(unsigned long)&global) == sizeof copy && copy == 42);
    CHECK(pwrite(fd, &changed, sizeof changed, (off_t)(unsigned long)&global) == sizeof changed && *(volatile int *)&global == 43);
    CHECK(pread(fd, &copy, sizeof copy, 4096) == -1 && errno == EIO);
    close(fd);
    fd = open("/proc/self/pagemap", O_RDONLY);
    unsigned long entry = 0;
    CHECK(pread(fd, &entry, 8, (unsigned long)&global / 4096 * 8) == 8 && entry >> 63);
    CHECK(pread(fd, &entry, 7, 0) == -1 && errno == EINVAL);
    close(fd);
    fd = open("/proc/self/clear_refs", O_WRONLY);
    CHECK(write(fd, "5\n", 2) == 2 && write(fd, "9\n", 2) == -1 && errno == EINVAL);
    close(fd);
}

static void strings(char **argv, char **envp) {
    int n = slurp("/proc/self/cmdline");
    CHECK(n > 0 && buf[n - 1] == 0 && !strcmp(buf, argv[0]));
    n = slurp("/proc/self/environ");
    CHECK(envp[0] ? !strcmp(buf, envp[0]) : n == 0);
    n = slurp("/proc/self/auxv");
    Elf64_auxv_t *aux = (void *)buf;
    while (aux->a_type != AT_NULL && aux->a_type != AT_ENTRY) aux++;
    CHECK(n % 16 == 0 && aux->a_type == AT_ENTRY && aux->a_un.a_val == getauxval(AT_ENTRY));

    prctl(PR_SET_NAME, "by-prctl");
    slurp("/proc/self/comm");
    printf("comm %s", buf);
    int fd = open("/proc/self/comm", O_RDWR);
    CHECK(write(fd, "a-name-that-is-far-too-long", 27) == 27);
    close(fd);
    slurp("/proc/thread-self/comm");
    printf("comm %s", buf);
}

static void descriptors(void) {
    char link[64], target[256];
    int pipes[2], fd = open("/dev/null", O_RDWR | O_APPEND | O_CLOEXEC);
    if (pipe(pipes)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = 0;
    printf("fd -> %s\n", target);
    struct stat st, via;
    lstat(link, &st);
    printf("mode of the link %o\n", st.st_mode);
    CHECK(!stat(link, &via) && S_ISCHR(via.st_mode));
    snprintf(link, sizeof link, "/proc/self/fd/%d", pipes[0]);
    n = readlink(link, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = 0;
    fstat(pipes[0], &st);
    char expected[64];
    snprintf(expected, sizeof expected, "pipe:[%lu]", (unsigned long)st.st_ino);
    CHECK(!strcmp(target, expected));
    lstat(link, &st);
    printf("mode of the link %o\n", st.st_mode);
    snprintf(link, sizeof link, "/proc/self/fd/%d", pipes[1]);
    int again = open(link, O_WRONLY);
    CHECK(again >= 0 && write(again, "x", 1) == 1 && read(pipes[0], target, 1) == 1);
    close(again);

    int listed = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; dir && (e = readdir(dir));) listed += e->d_type == DT_LNK && atoi(e->d_name) == fd;
    if (dir) closedir(dir);
    CHECK(listed == 1);
    CHECK(open("/proc/self/fd/077", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(open("/proc/self/fd/9999", O_RDONLY) == -1 && errno == ENOENT);

    snprintf(link, sizeof link, "/proc/self/fdinfo/%d", fd);
    slurp(link);
    printf("flags %lo pos %ld\n", strtol(field("flags") ? field("flags") : "0", 0, 8) & ~(long)0100000, number("pos"));
    int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (file >= 0 && write(file, "12345", 5) == 5) {
        struct flock lock = {.l_type = F_WRLCK, .l_start = 1, .l_len = 2};
        fcntl(file, F_SETLK, &lock);
        snprintf(link, sizeof link, "/proc/self/fdinfo/%d", file);
        slurp(link);
        CHECK(number("pos") == 5 && strstr(buf, "POSIX  ADVISORY  WRITE"));
        slurp("/proc/locks");
        CHECK(strstr(buf, "POSIX  ADVISORY  WRITE"));
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        n = readlink(link, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
        CHECK(strstr(target, " (deleted)"));
    }
}

static pthread_barrier_t barrier;

static void *thread(void *arg) {
    *(long *)arg = syscall(SYS_gettid);
    prctl(PR_SET_NAME, "worker");
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void tasks(void) {
    pthread_t id;
    long tid;
    char path[64];
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&id, NULL, thread, &tid);
    pthread_barrier_wait(&barrier);
    int count = 0, found = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        count++;
        found |= atol(e->d_name) == tid;
    }
    if (dir) closedir(dir);
    printf("threads %d found %d\n", count, found);
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", tid);
    slurp(path);
    printf("comm of the thread %s", buf);
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/status", tid, tid);
    slurp(path);
    CHECK(number("Pid") == tid && number("Tgid") == getpid() && number("Threads") == 2);
    struct stat st;
    CHECK(!stat("/proc/self/task", &st) && S_ISDIR(st.st_mode));
    pthread_barrier_wait(&barrier);
    pthread_join(id, NULL);
    CHECK(open("/proc/self/task/1234567/comm", O_RDONLY) == -1 && errno == ENOENT);
}

static void small(void) {
    slurp("/proc/self/limits");
    CHECK(strstr(buf, "Max open files  ") && strstr(buf, "Max stack size  "));
    slurp("/proc/self/oom_score_adj");
    int fd = open("/proc/self/oom_score_adj", O_RDWR);
    CHECK(write(fd, "500", 3) == 3 && write(fd, "1001", 4) == -1 && errno == EINVAL);
    close(fd);
    slurp("/proc/self/oom_score_adj");
    printf("oom_score_adj %s", buf);
    slurp("/proc/self/oom_adj");
    printf("oom_adj %s", buf);
    slurp("/proc/self/coredump_filter");
    printf("coredump_filter %s", buf);
    slurp("/proc/self/timerslack_ns");
    printf("timerslack_ns %s", buf);
    slurp("/proc/self/personality");
    printf("personality %s", buf);
    slurp("/proc/self/uid_map");
    printf("uid_map %s", buf);
    slurp("/proc/self/setgroups");
    printf("setgroups %s", buf);
    slurp("/proc/self/io");
    CHECK(number("rchar") > 0 && number("syscr") > 0 && field("cancelled_write_bytes"));
    slurp("/proc/self/cgroup");
    CHECK(strstr(buf, ":/"));
    slurp("/proc/self/mounts");
    CHECK(strstr(buf, " /proc proc rw,") && strstr(buf, " / "));
    slurp("/proc/self/mountinfo");
    CHECK(strstr(buf, " - proc proc rw"));
    char link[64];
    ssize_t n = readlink("/proc/self/ns/uts", link, sizeof link);
    CHECK(n > 5 && !memcmp(link, "uts:[", 5));
    n = readlink("/proc/self/root", link, sizeof link);
    CHECK(n == 1 && link[0] == '/');
    n = readlink("/proc/self/cwd", link, sizeof link);
    CHECK(n > 0 && link[0] == '/');
    struct stat st;
    for (const char **name = (const char *[]){"environ", "maps", "mem", "fd", "comm", "exe", "auxv", "stat", "task", "clear_refs", NULL};
         *name; name++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/%s", *name);
        printf("%s %o\n", *name, lstat(path, &st) ? 0 : st.st_mode);
    }
}

static void machine(void) {
    slurp("/proc/meminfo");
    CHECK(number("MemTotal") > 0 && number("MemFree") > 0 && number("MemAvailable") > 0 && number("MemFree") <= number("MemTotal"));
    CHECK(field("Cached") && field("Shmem") && field("Committed_AS") && number("Hugepagesize") == 2048);
    slurp("/proc/cpuinfo");
    CHECK(strstr(buf, "processor\t: 0\n") && strstr(buf, " sse2 ") && strstr(buf, "\nflags\t\t: fpu "));
    unsigned long user, nice, system, idle;
    slurp("/proc/stat");
    CHECK(sscanf(buf, "cpu %lu %lu %lu %lu", &user, &nice, &system, &idle) == 4 && strstr(buf, "\ncpu0 ") && strstr(buf, "\nbtime "));
    double up, idle_seconds, one, five, fifteen;
    slurp("/proc/uptime");
    CHECK(sscanf(buf, "%lf %lf", &up, &idle_seconds) == 2 && up > 0);
    int ready, all, last;
    slurp("/proc/loadavg");
    CHECK(sscanf(buf, "%lf %lf %lf %d/%d %d", &one, &five, &fifteen, &ready, &all, &last) == 6 && ready > 0 && all >= ready);
    slurp("/proc/version");
    CHECK(!strncmp(buf, "Linux version ", 14));
    slurp("/proc/filesystems");
    CHECK(strstr(buf, "nodev\tproc\n") && strstr(buf, "nodev\ttmpfs\n"));
    for (const char **path = (const char *[]){"/proc/sys/kernel/ostype", "/proc/sys/kernel/cap_last_cap", "/proc/sys/kernel/ngroups_max",
         "/proc/sys/vm/max_map_count", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/core/somaxconn", "/proc/sys/fs/nr_open",
         "/proc/sys/fs/pipe-max-size", "/proc/sys/kernel/overflowuid", "/proc/sys/kernel/sem", "/proc/sys/kernel/random/poolsize",
         "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "/sys/devices/system/node/online", NULL}; *path; path++) {
        slurp(*path);
        printf("%s %s", *path, buf);
    }
    char first[64];
    slurp("/proc/sys/kernel/random/boot_id");
    CHECK(strlen(buf) == 37 && buf[8] == '-' && buf[13] == '-');
    strcpy(first, buf);
    slurp("/proc/sys/kernel/random/boot_id");
    CHECK(!strcmp(first, buf));
    slurp("/proc/sys/kernel/random/uuid");
    strcpy(first, buf);
    slurp("/proc/sys/kernel/random/uuid");
    CHECK(strcmp(first, buf) && buf[14] == '4');
    slurp("/sys/devices/system/cpu/online");
    CHECK(buf[0] == '0');
    CHECK(sysconf(_SC_NPROCESSORS_CONF) >= sysconf(_SC_NPROCESSORS_ONLN) && sysconf(_SC_NPROCESSORS_ONLN) > 0);
    slurp("/sys/devices/system/cpu/cpu0/topology/core_id");
    CHECK(buf[0] == '0');
    CHECK(open("/proc/version", O_WRONLY) == -1 || geteuid() == 0);
    CHECK(mkdir("/proc/new", 0777) == -1 && errno == ENOENT);
    CHECK(unlink("/proc/version") == -1 && errno == EPERM);
    CHECK(open("/proc/nothing", O_RDONLY) == -1 && errno == ENOENT);
}

int main(int argc, char **argv, char **envp) {
    (void)argc;
    setvbuf(stdout, NULL, _IONBF, 0);
    self();
    maps();
    strings(argv, envp);
    descriptors();
    tasks();
    small();
    machine();
    return 0;
}
