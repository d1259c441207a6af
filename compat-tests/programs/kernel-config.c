// What /proc/config.gz says of an option is what the calls and files of that option answer.
// compat: flags=--add=/bin/gzip
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static char config[1 << 20];

// 1: built in or a module, 0: not set, -1: not named.
static int option(const char *name)
{
    char line[128];
    const char *at;
    snprintf(line, sizeof line, "\nCONFIG_%s=", name);
    if ((at = strstr(config, line)))
        return at[strlen(line)] != 'n';
    snprintf(line, sizeof line, "\n# CONFIG_%s is not set\n", name);
    return strstr(config, line) ? 0 : -1;
}

static int is_there(long nr)
{
    errno = 0;
    long result = syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
    if (result >= 0)
        close(result);
    return !(result < 0 && errno == ENOSYS);
}

// Linux may withhold by other means what an option offers, so there only what is not set is looked at.
static const struct {
    const char *option;
    long call;
} calls[] = {
    {"SYSVIPC", SYS_shmget}, {"POSIX_MQUEUE", SYS_mq_unlink}, {"CROSS_MEMORY_ATTACH", SYS_process_vm_readv}, {"EPOLL", SYS_epoll_create1},
    {"FUTEX", SYS_set_robust_list}, {"SIGNALFD", SYS_signalfd4}, {"TIMERFD", SYS_timerfd_create}, {"EVENTFD", SYS_eventfd2},
    {"ADVISE_SYSCALLS", SYS_madvise}, {"MEMBARRIER", SYS_membarrier}, {"RSEQ", SYS_rseq}, {"KCMP", SYS_kcmp},
    {"CACHESTAT_SYSCALL", 451}, {"NUMA", SYS_mbind}, {"FHANDLE", SYS_name_to_handle_at}, {"FILE_LOCKING", SYS_flock},
    {"INOTIFY_USER", SYS_inotify_init1}, {"FANOTIFY", SYS_fanotify_init}, {"MEMFD_CREATE", SYS_memfd_create}, {"SECRETMEM", SYS_memfd_secret},
    {"USERFAULTFD", SYS_userfaultfd}, {"AIO", SYS_io_setup}, {"IO_URING", SYS_io_uring_setup}, {"KEYS", SYS_add_key},
    {"SECCOMP", SYS_seccomp}, {"SECURITY_LANDLOCK", SYS_landlock_create_ruleset}, {"BPF_SYSCALL", SYS_bpf}, {"PERF_EVENTS", SYS_perf_event_open},
    {"SWAP", SYS_swapoff}, {"MODULES", SYS_delete_module}, {"MODIFY_LDT_SYSCALL", SYS_modify_ldt}, {"BSD_PROCESS_ACCT", SYS_acct},
    {"QUOTACTL", SYS_quotactl}, {"POSIX_TIMERS", SYS_timer_create}, {"SYSFS_SYSCALL", SYS_sysfs}, {"KEXEC", SYS_kexec_load},
    {"USELIB", SYS_uselib},
};
static const struct {
    const char *option, *path;
} files[] = {
    {"SYSVIPC_SYSCTL", "/proc/sys/kernel/msgmax"}, {"POSIX_MQUEUE_SYSCTL", "/proc/sys/fs/mqueue/msg_max"}, {"PROC_PAGE_MONITOR", "/proc/self/pagemap"},
    {"TRANSPARENT_HUGEPAGE", "/sys/kernel/mm/transparent_hugepage/enabled"}, {"CHECKPOINT_RESTORE", "/proc/sys/kernel/msg_next_id"},
    {"KALLSYMS", "/proc/kallsyms"}, {"USER_NS", "/proc/self/ns/user"}, {"UNIX98_PTYS", "/dev/ptmx"}, {"TUN", "/dev/net/tun"}, {"IPV6", "/proc/net/if_inet6"},
    {"CGROUPS", "/proc/self/cgroup"}, {"PACKET", "/proc/net/packet"}, {"SECURITY_SELINUX", "/sys/fs/selinux"}, {"SCHED_AUTOGROUP", "/proc/self/autogroup"},
};

int main(void)
{
    struct utsname names;
    uname(&names);
    int skiff = strstr(names.release, "skiff") != NULL, wrong = 0, named = 0;
    FILE *in = fopen("/proc/config.gz", "r");
    if (in) {
        fclose(in);
        int ends[2];
        if (pipe(ends) || fork() == 0) {
            dup2(ends[1], 1);
            close(ends[0]);
            close(ends[1]);
            execlp("gzip", "gzip", "-dc", "/proc/config.gz", (char *)NULL);
            _exit(127);
        }
        close(ends[1]);
        in = fdopen(ends[0], "r");
        size_t length = fread(config, 1, sizeof config - 1, in);
        if (length < 1000 || option("IKCONFIG_PROC") != 1)
            printf("it cannot be read\n");
    } else if (skiff) {
        printf("it is not there\n");
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int is = option(calls[i].option);
        named += is >= 0;
        if (skiff ? is != is_there(calls[i].call) : is == 0 && is_there(calls[i].call)) {
            printf("%s is %d\n", calls[i].option, is);
            wrong++;
        }
    }
    for (size_t i = 0; skiff && i < sizeof files / sizeof *files; i++) {
        int is = option(files[i].option);
        if (is == -1 || (is == 1 && access(files[i].path, F_OK))) {
            printf("%s is %d\n", files[i].option, is);
            wrong++;
        }
    }
    printf("wrong: %d\n", wrong);
    return 0;
}
