/* /proc/sys: permissions, what is read, and what a write takes (sysctl(8), proc(5)). Others on this machine live by these settings, so
 * what is written is what is there already, or refused. */
#include "case.h"

static char path[256], text[4096];

static const char *at(const char *name)
{
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    return path;
}

static const char *contents(const char *name)
{
    int fd = open(at(name), O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    return text;
}

static long put(const char *name, const char *what, size_t n)
{
    int fd = open(at(name), O_WRONLY);
    if (fd < 0)
        return -1;
    long done = write(fd, what, n);
    int error = errno;
    close(fd);
    errno = error;
    return done;
}

static const struct row {
    const char *name;
    int mode;
    /* Written back as it is; with something out of range. */
    const char *bad;
} rows[] = {
    {"fs/dir-notify-enable", 0644, 0},
    {"fs/file-max", 0644, "-1"},
    {"fs/lease-break-time", 0644, 0},
    {"fs/leases-enable", 0644, 0},
    {"fs/mqueue/msg_default", 0644, "0"},
    {"fs/mqueue/msg_max", 0644, "65537"},
    {"fs/mqueue/msgsize_max", 0644, "127"},
    {"fs/mqueue/queues_max", 0644, 0},
    {"fs/nr_open", 0644, "7"},
    {"fs/overflowuid", 0644, "65536"},
    {"fs/pipe-max-size", 0644, "-1"},
    {"fs/inotify/max_queued_events", 0644, "-1"},
    {"fs/inotify/max_user_instances", 0644, "-1"},
    {"fs/inotify/max_user_watches", 0644, "-1"},
    {"fs/epoll/max_user_watches", 0644, "-1"},
    {"fs/pipe-user-pages-hard", 0644, "-1"},
    {"fs/pipe-user-pages-soft", 0644, "-1"},
    {"fs/suid_dumpable", 0644, "3"},
    {"fs/protected_hardlinks", 0644, "2"},
    {"fs/protected_symlinks", 0644, "-1"},
    {"fs/protected_fifos", 0644, "3"},
    {"fs/protected_regular", 0644, "3"},
    {"kernel/core_uses_pid", 0644, 0},
    {"kernel/msgmax", 0644, "-1"},
    {"kernel/msgmnb", 0644, "-1"},
    {"kernel/msgmni", 0644, "-1"},
    {"kernel/panic_on_warn", 0644, "2"},
    {"kernel/pid_max", 0644, "300"},
    {"kernel/print-fatal-signals", 0644, 0},
    {"kernel/printk_delay", 0644, "10001"},
    {"kernel/printk_ratelimit_burst", 0644, 0},
    {"kernel/sched_rr_timeslice_ms", 0644, 0},
    {"kernel/sched_rt_period_us", 0644, "0"},
    {"kernel/sched_rt_runtime_us", 0644, "-2"},
    {"kernel/shm_rmid_forced", 0644, "2"},
    {"kernel/shmmni", 0644, "-1"},
    {"kernel/threads-max", 0644, "0"},
    {"kernel/timer_migration", 0644, "2"},
    {"kernel/watchdog_thresh", 0644, "61"},
    {"vm/dirty_background_ratio", 0644, "101"},
    {"vm/dirty_ratio", 0644, "-1"},
    {"vm/max_map_count", 0644, "-1"},
    {"vm/min_free_kbytes", 0644, "-1"},
    {"vm/nr_overcommit_hugepages", 0644, "-1"},
    {"vm/oom_dump_tasks", 0644, 0},
    {"vm/overcommit_memory", 0644, "3"},
    {"vm/overcommit_ratio", 0644, 0},
    {"vm/page-cluster", 0644, "32"},
    {"vm/panic_on_oom", 0644, "3"},
    {"vm/swappiness", 0644, "201"},
};

GROUP(sysctl_numbers)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        const struct row *row = &rows[i];
        struct stat st;
        MUST(stat(at(row->name), &st) == 0);
        EQ(named("%s: mode", row->name), row->mode, st.st_mode & 0777);
        contents(row->name);
        char old[64];
        size_t n = strlen(text);
        MUST(n > 1 && n < sizeof old);
        strcpy(old, text);
        YES(named("%s: a number on a line", row->name), strspn(text, "-0123456789") == n - 1 && text[n - 1] == '\n');
        if (geteuid())
            continue;
        YES(named("%s: written back", row->name), put(row->name, old, n) == (long)n);
        YES(named("%s: without the newline", row->name), put(row->name, old, n - 1) == (long)n - 1);
        ERR(named("%s: no number", row->name), EINVAL, put(row->name, "x\n", 2));
        if (row->bad)
            ERR(named("%s: %s", row->name, row->bad), EINVAL, put(row->name, row->bad, strlen(row->bad)));
        TEXT(named("%s: as before", row->name), "same", strcmp(contents(row->name), old) ? text : "same");
    }
}

GROUP(sysctl_writing)
{
    if (geteuid())
        return;
    const char *name = "kernel/printk_ratelimit_burst", *ten = "10\n";
    TEXT("the value", ten, contents(name));
    EQ("blanks around", 7, put(name, "  \t10\n ", 7));
    EQ("hexadecimal", 3, put(name, "0xa", 3));
    EQ("octal", 3, put(name, "012", 3));
    ERR("a NUL behind", EINVAL, put(name, "10\0", 3));
    EQ("a word behind is not taken", 3, put(name, "10 x", 4));
    EQ("a second number is not taken", 3, put(name, "10 11", 5));
    ERR("a letter behind", EINVAL, put(name, "10x", 3));
    ERR("a plus", EINVAL, put(name, "+10", 3));
    ERR("a lone minus", EINVAL, put(name, "-", 1));
    ERR("only blanks", EINVAL, put(name, "  \n", 3));
    ERR("an empty line", EINVAL, put(name, "\n", 1));
    ERR("too large", EINVAL, put(name, "99999999999", 11));
    ERR("far too large", EINVAL, put(name, "9999999999999999999999999", 25));
    OK("nothing", put(name, "", 0));
    ERR("a bad address", EFAULT, put(name, BAD, 2));
    int fd = open(at(name), O_RDWR);
    MUST(fd >= 0);
    EQ("at an offset it is dropped", 2, pwrite(fd, "99", 2, 1));
    EQ("also what is no number", 1, pwrite(fd, "x", 1, 1));
    TEXT("so nothing changed", ten, contents(name));
    EQ("the first write of a description", 3, write(fd, ten, 3));
    EQ("moves its offset", 3, lseek(fd, 0, SEEK_CUR));
    EQ("so the second is dropped", 3, write(fd, "77\n", 3));
    EQ("and moves it on", 6, lseek(fd, 0, SEEK_CUR));
    TEXT("and nothing changed", ten, contents(name));
    close(fd);
    fd = open(at(name), O_RDWR | O_TRUNC);
    YES("truncating does nothing", fd >= 0);
    TEXT("to it", ten, contents(name));
    OK("ftruncate(2) neither", ftruncate(fd, 0));
    close(fd);
}

GROUP(sysctl_reading)
{
    char buffer[16] = "";
    int fd = open(at("kernel/printk_ratelimit_burst"), O_RDONLY);
    MUST(fd >= 0);
    EQ("one byte", 1, read(fd, buffer, 1));
    EQ("it is", '1', buffer[0]);
    EQ("and then it ends", 0, read(fd, buffer, 8));
    EQ("at an offset there is nothing", 0, pread(fd, buffer, 8, 1));
    EQ("at the beginning", 3, pread(fd, buffer, 8, 0));
    EQ("far out", 0, pread(fd, buffer, 8, 1 << 30));
    OK("back", lseek(fd, 0, SEEK_SET));
    EQ("all", 3, read(fd, buffer, 8));
    EQ("from here", 5, lseek(fd, 2, SEEK_CUR));
    ERR("before the beginning", EINVAL, lseek(fd, -9, SEEK_CUR));
    ERR("to a bad address", EFAULT, syscall(SYS_pread64, fd, BAD, 8L, 0L));
    ERR("not for writing", EBADF, write(fd, "1", 1));
    close(fd);
    fd = open(at("kernel/ostype"), O_RDONLY);
    MUST(fd >= 0);
    EQ("text from its middle", 4, pread(fd, buffer, 16, 2));
    YES("the rest", !memcmp(buffer, "nux\n", 4));
    EQ("from its end", 0, pread(fd, buffer, 16, 6));
    close(fd);
}

static const char *const fixed[] = {"fs/aio-nr", "fs/file-nr", "kernel/cap_last_cap", "kernel/ngroups_max", "kernel/osrelease",
                                    "kernel/ostype", "kernel/version", "kernel/random/entropy_avail", "kernel/random/uuid",
                                    "kernel/pty/nr"};

GROUP(sysctl_fixed)
{
    for (unsigned i = 0; i < COUNT(fixed); i++) {
        struct stat st;
        MUST(stat(at(fixed[i]), &st) == 0);
        EQ(named("%s: mode", fixed[i]), 0444, st.st_mode & 0777);
        ERR(named("%s: for writing", fixed[i]), EACCES, open(path, O_WRONLY));
        ERR(named("%s: for both", fixed[i]), EACCES, open(path, O_RDWR));
    }
    TEXT("kernel/ostype", "Linux\n", contents("kernel/ostype"));
    TEXT("kernel/cap_last_cap", "40\n", contents("kernel/cap_last_cap"));
    TEXT("kernel/ngroups_max", "65536\n", contents("kernel/ngroups_max"));
    TEXT("kernel/arch", "x86_64\n", contents("kernel/arch"));
    TEXT("fs/pipe-user-pages-soft", "16384\n", contents("fs/pipe-user-pages-soft"));
    TEXT("fs/pipe-max-size", "1048576\n", contents("fs/pipe-max-size"));
    TEXT("fs/nr_open", "1048576\n", contents("fs/nr_open"));
    TEXT("kernel/sched_rt_runtime_us", "950000\n", contents("kernel/sched_rt_runtime_us"));
    TEXT("kernel/sem", "32000\t1024000000\t500\t32000\n", contents("kernel/sem"));
    TEXT("kernel/shmmax", "18446744073692774399\n", contents("kernel/shmmax"));
    TEXT("vm/max_map_count", "65530\n", contents("vm/max_map_count"));
}

GROUP(sysctl_special)
{
    int fd;
    ERR("drop_caches is not read", EACCES, open(at("vm/drop_caches"), O_RDONLY));
    if (geteuid() == 0) {
        ERR("compact_memory: 2", EINVAL, put("vm/compact_memory", "2", 1));
        ERR("drop_caches: 0", EINVAL, put("vm/drop_caches", "0", 1));
    }
    contents("kernel/printk");
    char old[64];
    strcpy(old, text);
    int tabs = 0;
    for (char *c = old; *c; c++)
        tabs += *c == '\t';
    EQ("printk has four numbers", 3, tabs);
    if (geteuid() == 0) {
        YES("all of them written", put("kernel/printk", old, strlen(old)) == (long)strlen(old));
        EQ("only the first", 1, put("kernel/printk", old, 1));
        TEXT("leaves the others", "same", strcmp(contents("kernel/printk"), old) ? text : "same");
        EQ("others", 7, put("kernel/printk", "4 5 2 6", 7));
        TEXT("are kept", "4\t5\t2\t6\n", contents("kernel/printk"));
        put("kernel/printk", old, strlen(old));
    }
    AS_NOBODY({
        ERR("nobody writes", EACCES, open(at("kernel/pid_max"), O_WRONLY));
        ERR("nobody changes a name", EACCES, open(at("kernel/hostname"), O_WRONLY));
        fd = open(at("kernel/ns_last_pid"), O_WRONLY);
        YES("ns_last_pid opens", fd >= 0);
        ERR("but takes nothing", EPERM, write(fd, "100", 3));
    });
    contents("kernel/domainname");
    strcpy(old, text);
    size_t n = strlen(old);
    if (geteuid() == 0) {
        EQ("a name", (long)n, put("kernel/domainname", old, n));
        fd = open(at("kernel/domainname"), O_WRONLY);
        EQ("far behind its end is dropped", 3, pwrite(fd, "xyz", 3, 100));
        close(fd);
        TEXT("so it stays", old, contents("kernel/domainname"));
    }
    if (geteuid() == 0) {
        ERR("chmod(2)", EPERM, chmod(at("kernel/pid_max"), 0600));
        ERR("chown(2)", EPERM, chown(at("kernel/pid_max"), 1, 1));
    }
}
