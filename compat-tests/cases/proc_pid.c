/* What /proc says of a process: its files and their permissions, forms of their texts, and what a chroot(2) hides. */
#include "case.h"
#include <dirent.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static char text[65536];

static const char *contents(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return error_name(errno);
    ssize_t n = 0, got = 0;
    while (n < (ssize_t)sizeof text - 1 && (got = read(fd, text + n, sizeof text - 1 - n)) > 0)
        n += got;
    close(fd);
    text[n] = 0;
    return got < 0 ? error_name(errno) : text;
}

static const char *target(const char *path)
{
    static char link[2][256];
    static int turn;
    char *to = link[turn++ & 1];
    ssize_t n = readlink(path, to, 255);
    if (n < 0)
        return error_name(errno);
    to[n] = 0;
    return to;
}

static const char *where(void)
{
    static char path[256];
    long n = syscall(SYS_getcwd, path, sizeof path);
    return n < 0 ? error_name(errno) : path;
}

GROUP(chroot_view)
{
    if (geteuid())
        return;
    static char here[256];
    MUST(getcwd(here, sizeof here) && mkdir("jail", 0755) == 0 && mkdir("jail/proc", 0755) == 0 && mkdir("jail/in", 0755) == 0 && mkdir("out", 0755) == 0);
    MUST(mount("proc", "jail/proc", "proc", 0, 0) == 0);
    int outside = open("out", O_RDONLY), status;
        CHILD(status, {
        int file = file_with("mapped", "x");
        void *map = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
        MUST(map != MAP_FAILED);
        MUST(chroot("jail") == 0);
        TEXT("the working directory is still outside", "(unreachable)", strncmp(where(), "(unreachable)/", 14) ? where() : "(unreachable)");
        TEXT("root", "/", target("/proc/self/root"));
        SHOW("exe is shown whole", "%d", target("/proc/self/exe")[0] == '/');
        char fd[64];
        snprintf(fd, sizeof fd, "/proc/self/fd/%d", outside);
        SHOW("a descriptor outside", "%d", !strncmp(target(fd), here, strlen(here)));
        SHOW("maps name the file", "%d", strstr(contents("/proc/self/maps"), "/mapped") != 0);
        MUST(chdir("/in") == 0);
        TEXT("inside", "/in", where());
        TEXT("cwd", "/in", target("/proc/self/cwd"));
        const char *mounts = contents("/proc/self/mounts");
        SHOW("mounts begin with", "%.*s", (int)strcspn(mounts, "\n"), mounts);
        int lines = 0;
        for (const char *c = mounts; *c; c++)
            lines += *c == '\n';
        EQ("no others", 1, lines);
        MUST(fchdir(outside) == 0);
        TEXT("out again", "(unreachable)", strncmp(where(), "(unreachable)/", 14) ? where() : "(unreachable)");
        MUST(chdir("..") == 0);
        SHOW("up", "%d", !strncmp(where(), "(unreachable)", 13));
        ERR("not in sight by name", ENOENT, chdir("/out"));
    });
    umount2("jail/proc", MNT_DETACH);
    ERR("no directory", ENOTDIR, chroot("/proc/self/stat"));
    ERR("nothing", ENOENT, chroot("absent"));
    ERR("a bad address", EFAULT, chroot(BAD));
    AS_NOBODY({
        ERR("not for others", EPERM, chroot("jail"));
        ERR("who are told so first", EPERM, chroot("."));
    });
}

static const struct {
    const char *name;
    int mode;
} files[] = {
    {"auxv", 0400}, {"cgroup", 0444}, {"clear_refs", 0200}, {"cmdline", 0444}, {"comm", 0644}, {"coredump_filter", 0644}, {"cpuset", 0444},
    {"environ", 0400}, {"gid_map", 0644}, {"io", 0400}, {"limits", 0444}, {"loginuid", 0644}, {"maps", 0444}, {"mem", 0600}, {"mountinfo", 0444},
    {"mounts", 0444}, {"mountstats", 0400}, {"numa_maps", 0444}, {"oom_adj", 0644}, {"oom_score", 0444}, {"oom_score_adj", 0644}, {"pagemap", 0400},
    {"personality", 0400}, {"projid_map", 0644}, {"sched", 0644}, {"schedstat", 0444}, {"sessionid", 0444}, {"setgroups", 0644}, {"smaps", 0444},
    {"smaps_rollup", 0444}, {"stat", 0444}, {"statm", 0444}, {"status", 0444}, {"syscall", 0400}, {"timens_offsets", 0644}, {"timers", 0444},
    {"timerslack_ns", 0666}, {"uid_map", 0644}, {"wchan", 0444},
};

GROUP(proc_files)
{
    for (unsigned i = 0; i < COUNT(files); i++) {
        struct stat st;
        char path[64];
        snprintf(path, sizeof path, "/proc/self/%s", files[i].name);
        int got = stat(path, &st);
        EQ(named("%s: mode", files[i].name), files[i].mode, got ? -1 : (int)st.st_mode & 07777);
        if (files[i].mode & 0400)
            YES(named("%s: is read", files[i].name), ({ int fd = open(path, O_RDONLY); fd >= 0 && (read(fd, text, 4096) >= 0 || !strcmp(files[i].name, "mem")); }));
    }
    TEXT("timens_offsets", "monotonic           0         0\nboottime            0         0\n", contents("/proc/self/timens_offsets"));
    contents("/proc/self/sched");
    YES("sched tells of switches", strstr(text, "\nnr_switches") && strstr(text, "\nnr_voluntary_switches") && strstr(text, "\npolicy"));
    char comm[64];
    snprintf(comm, sizeof comm, "(%d, #threads: 1)", getpid());
    YES("and begins with the process", strstr(text, comm) && strstr(text, comm) < strchr(text, '\n'));
    contents("/proc/self/numa_maps");
    YES("numa_maps: a stack", strstr(text, " default stack anon="));
    YES("numa_maps: a heap or a library", strstr(text, " default heap") || strstr(text, " default file=/"));
    YES("numa_maps: the size of pages", strstr(text, " N0=") && strstr(text, " kernelpagesize_kB=4\n"));
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_ptr = (void *)0x1234};
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    char want[256];
    snprintf(want, sizeof want, "ID: %d\nsignal: 10/0000000000001234\nnotify: signal/pid.%d\nClockID: 1\n", (int)(long)timer, getpid());
    YES("timers", !strcmp(contents("/proc/self/timers"), want));
    timer_delete(timer);
    TEXT("no timers", "", contents("/proc/self/timers"));
}

GROUP(sysvipc)
{
    char line_of[512];
    struct stat st;
    int shm = shmget(IPC_PRIVATE, 12345, 0640), sem = semget(IPC_PRIVATE, 3, 0604), msg = msgget(IPC_PRIVATE, 0644);
    MUST(shm >= 0 && sem >= 0 && msg >= 0);
    struct {
        long type;
        char text[10];
    } message = {7, "contents"};
    MUST(msgsnd(msg, &message, 9, 0) == 0);
    static const char *const names[] = {"shm", "sem", "msg"};
    int ids[] = {shm, sem, msg}, fields[] = {14, 8, 12}, modes[] = {0640, 0604, 0644};
    for (int i = 0; i < 3; i++) {
        char path[64], id[32], *at;
        snprintf(path, sizeof path, "/proc/sysvipc/%s", names[i]);
        MUST(stat(path, &st) == 0);
        EQ(named("%s: mode", names[i]), 0444, st.st_mode & 07777);
        contents(path);
        SHOW(named("%s: heading", names[i]), "%.*s", (int)strcspn(text, "\n"), text);
        snprintf(id, sizeof id, "         0 %10d ", ids[i]);
        at = strstr(text, id);
        snprintf(line_of, sizeof line_of, "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
        long f[16] = {0};
        int n = 0;
        for (char *word = strtok(line_of + (at ? 21 : 0), " "); word && n < 16; word = strtok(0, " "))
            f[n++] = strtol(word, 0, n == 0 ? 8 : 10);
        EQ(named("%s: fields", names[i]), fields[i], n);
        EQ(named("%s: permissions", names[i]), modes[i], f[0]);
        if (i == 0)
            YES("shm: size, creator, attachments, owner", f[1] == 12345 && f[2] == getpid() && f[4] == 0 && f[5] == (long)geteuid());
        if (i == 1)
            YES("sem: count, owner", f[1] == 3 && f[2] == (long)geteuid());
        if (i == 2)
            YES("msg: bytes, messages, sender", f[1] == 9 && f[2] == 1 && f[3] == getpid());
    }
    shmctl(shm, IPC_RMID, 0);
    semctl(sem, 0, IPC_RMID);
    msgctl(msg, IPC_RMID, 0);
}


static const char *const system_files[] = {"buddyinfo", "cgroups", "cmdline", "cpuinfo", "devices", "diskstats", "dma", "execdomains", "filesystems", "interrupts", "iomem", "kallsyms", "loadavg", "locks", "meminfo", "misc", "partitions", "softirqs", "stat", "swaps", "tty/drivers", "tty/ldiscs", "uptime", "version", "vmstat", "zoneinfo"};

GROUP(proc_system)
{
    for (unsigned i = 0; i < COUNT(system_files); i++) {
        struct stat st;
        char path[64];
        snprintf(path, sizeof path, "/proc/%s", system_files[i]);
        EQ(named("%s: mode", system_files[i]), 0444, stat(path, &st) ? -1 : (int)st.st_mode & 07777);
        YES(named("%s: is read", system_files[i]), ({ int fd = open(path, O_RDONLY); fd >= 0 && read(fd, text, 4096) >= 0; }));
    }
    TEXT("execdomains", "0-0\tLinux           \t[kernel]\n", contents("/proc/execdomains"));
    contents("/proc/interrupts");
    YES("interrupts: a column for each processor", strstr(text, "           CPU0") == text);
    contents("/proc/softirqs");
    YES("softirqs: the kinds", strstr(text, "\n          HI:") && strstr(text, "\n       TIMER:") && strstr(text, "\n         RCU:"));
    contents("/proc/zoneinfo");
    YES("zoneinfo", !strncmp(text, "Node 0, zone ", 13) && strstr(text, "\n  pages free     ") && strstr(text, "\n        managed  "));
}

/* Lines of a file that begin with `start`. */
static int lines(const char *path, const char *start)
{
    int n = 0;
    contents(path);
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : 0)
        n += !strncmp(line, start, strlen(start));
    return n;
}

/* How many numbers follow `name` in the text. */
static int numbers_behind(const char *name)
{
    char *at = strstr(text, name), *end;
    int n = 0;
    for (at = at ? at + strlen(name) : 0; at; at = end, n++) {
        strtoul(at, &end, 10);
        if (end == at || strspn(at, " ") > 24)
            break;
        if (*end == '\n')
            return n + 1;
    }
    return n;
}

GROUP(proc_kernel)
{
    struct stat st;
    YES("buddyinfo: a zone", lines("/proc/buddyinfo", "Node 0, zone ") > 0);
    EQ("buddyinfo: free blocks of each order", 11, numbers_behind("Normal"));
    MUST(stat("/proc/pagetypeinfo", &st) == 0);
    EQ("pagetypeinfo: mode", 0400, st.st_mode & 07777);
    if (geteuid() == 0) {
        EQ("pagetypeinfo: order", 1, lines("/proc/pagetypeinfo", "Page block order: 9\n"));
        YES("pagetypeinfo: a row", strstr(text, ", zone   Normal, type    Unmovable "));
        YES("pagetypeinfo: blocks", strstr(text, "\nNumber of blocks type     Unmovable "));
        contents("/proc/iomem");
        char *ram = strstr(text, "-"), *name = strstr(text, " : System RAM\n");
        YES("iomem: memory", ram && name && strtoul(ram + 1, 0, 16) > 0);
        unsigned long addr = 0;
        char kind, symbol[512];
        int fields = sscanf(contents("/proc/kallsyms"), "%lx %c %511s", &addr, &kind, symbol);
        YES("kallsyms: addresses", fields == 3 && addr > 1UL << 63);
    }
    AS_NOBODY({
        unsigned long addr = 1;
        contents("/proc/iomem");
        YES("iomem: none for everybody", strstr(text, "00000000-00000000 : System RAM\n"));
        sscanf(contents("/proc/kallsyms"), "%lx", &addr);
        EQ("kallsyms: none for everybody", 0, addr);
        ERR("pagetypeinfo: nor that", EACCES, open("/proc/pagetypeinfo", O_RDONLY));
    });
    EQ("tty/drivers: terminals of processes", 1, lines("/proc/tty/drivers", "pty_slave            /dev/pts      136 0-1048575 pty:slave\n"));
    EQ("tty/drivers: the console", 1, lines("/proc/tty/drivers", "/dev/console         /dev/console    5       1 system:console\n"));
    EQ("tty/ldiscs", 1, lines("/proc/tty/ldiscs", "n_tty       0\n"));
}

GROUP(proc_stack)
{
    struct stat st;
    MUST(stat("/proc/self/stack", &st) == 0);
    EQ("mode", 0400, st.st_mode & 07777);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    for (int i = 0; i < 200 && state != 'S'; i++, pause_ms(5)) {
        char *end = strrchr(contents(path), ')');
        state = end ? end[2] : 0;
    }
    snprintf(path, sizeof path, "/proc/%d/stack", child);
    if (geteuid() == 0) {
        YES("of one who sleeps", lines(path, "[<0>] ") > 0);
        YES("of the reader", lines("/proc/self/stack", "[<0>] ") > 0);
        YES("of a thread", lines("/proc/thread-self/stack", "[<0>] ") > 0);
        char *into = text + strcspn(text, "+"), *slash = strchr(into, '/');
        YES("how far into how long a function", slash && strtoul(into + 1, 0, 16) <= strtoul(slash + 1, 0, 16));
    }
    if (geteuid() == 0) {
        snprintf(path, sizeof path, "/proc/%d/wchan", child);
        YES("what it sleeps in", strlen(contents(path)) > 1 && !strpbrk(text, " \n"));
        snprintf(path, sizeof path, "/proc/%d/stack", child);
    }
    TEXT("who runs sleeps in nothing", "0", contents("/proc/self/wchan"));
    AS_NOBODY(ERR("nobody else's business", EACCES, open(path, O_RDONLY)));
    kill(child, SIGKILL);
    MUST(waitpid(child, 0, 0) == child);
}

GROUP(proc_attr)
{
    static const char *const names[] = {"current", "exec", "fscreate", "keycreate", "sockcreate", "prev"};
    for (unsigned i = 0; i < COUNT(names); i++) {
        struct stat st;
        char path[64];
        snprintf(path, sizeof path, "/proc/self/attr/%s", names[i]);
        MUST(stat(path, &st) == 0);
        EQ(named("%s: mode", names[i]), i < 5 ? 0666 : 0444, st.st_mode & 07777);
        int fd = open(path, i < 5 ? O_RDWR : O_RDONLY);
        ERR(named("%s: no label", names[i]), EINVAL, read(fd, text, 64));
        if (i < 5)
            ERR(named("%s: for none", names[i]), EINVAL, write(fd, "label", 5));
        close(fd);
    }
    ERR("no other", ENOENT, open("/proc/self/attr/other", O_RDONLY));
    YES("of a thread", access("/proc/thread-self/attr/current", F_OK) == 0);
    int fd = open("/proc/self/autogroup", O_RDWR);
    YES("autogroup is read", read(fd, text, 64) >= 0);
    ERR("autogroup takes no word", EINVAL, write(fd, "x", 1));
}

static long moved(int fd, long by, int whence)
{
    long at = lseek(fd, by, whence);
    return at < 0 ? -errno : at;
}

GROUP(proc_seek)
{
    static const char *const ends[] = {"/proc/self/cmdline", "/proc/self/environ", "/proc/self/auxv", "/proc/self/oom_adj", "/proc/self/oom_score_adj", "/proc/self/coredump_filter",
                                       "/proc/self/loginuid", "/proc/self/sessionid", "/proc/self/attr/current", "/proc/self/mem", "/proc/self/pagemap", "/proc/sys/kernel/printk",
                                       "/sys/devices/system/cpu/online", "/sys/class/net/lo/mtu"};
    for (unsigned i = 0; i < COUNT(ends); i++) {
        int fd = open(ends[i], O_RDONLY);
        struct stat st;
        MUST(fd >= 0 && fstat(fd, &st) == 0);
        SHOW(named("%s: size", ends[i]), "%ld", (long)st.st_size);
        SHOW(ends[i], "set %ld, cur %ld, end %ld, end-1 %ld, data %ld, hole %ld, negative %ld", moved(fd, 3, SEEK_SET), moved(fd, 3, SEEK_CUR), moved(fd, 3, SEEK_END), moved(fd, -1, SEEK_END),
             moved(fd, 3, SEEK_DATA), moved(fd, 3, SEEK_HOLE), lseek(fd, -8192, SEEK_SET));
    }
    ERR("no memory there", EIO, ({ int fd = open("/proc/self/mem", O_RDONLY); lseek(fd, -8192, SEEK_SET); read(fd, text, 8); }));
    OK("times of a process's file can be set", utimensat(AT_FDCWD, "/proc/self/comm", 0, 0));
    if (geteuid() == 0)
        OK("and those of a setting", utimensat(AT_FDCWD, "/proc/sys/kernel/printk", 0, 0));
}

GROUP(proc_map_files)
{
    if (geteuid())
        return;
    struct stat st;
    static char here[256];
    int fd = file_with("mapped", "x");
    char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0), *none = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(map != MAP_FAILED && none != MAP_FAILED && getcwd(here, sizeof here) && stat("/proc/self/map_files", &st) == 0);
    EQ("mode", 0500, st.st_mode & 07777);
    char path[128];
    snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)map, (long)map + 4096);
    YES("a link to the file", !strncmp(target(path), here, strlen(here)) && !strcmp(target(path) + strlen(here), "/mapped"));
    YES("a link", lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
    YES("of it", stat(path, &st) == 0 && st.st_size == 1);
    YES("is listed", ({
        DIR *dir = opendir("/proc/self/map_files");
        int found = 0;
        for (struct dirent *entry; dir && (entry = readdir(dir));)
            found |= entry->d_type == DT_LNK && !strcmp(entry->d_name, strrchr(path, '/') + 1);
        closedir(dir);
        found;
    }));
    munmap(map, 4096);
    ERR("no longer", ENOENT, readlink(path, text, 64));
    snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)none, (long)none + 4096);
    ERR("none without a file", ENOENT, readlink(path, text, 64));
    ERR("no range", ENOENT, readlink("/proc/self/map_files/x", text, 64));
}
