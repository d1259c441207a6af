/* Bad pointers: each pointer argument of each call is given addresses where there is nothing, or not the right thing. */
#define GROUP_LIMIT 120
#include "case.h"
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

/* Arguments: one letter each.
 * f file, r read-only file, d AT_FDCWD, D directory, p q ends of a pipe, u datagram socket, x y socket pair, e epoll, i inotify, t timerfd, v eventfd;
 * P path of a file, Q path of nothing, T path of a directory, B bytes, Z zeroes, I iovec, A address, L length of an address, M message, W a set of signals,
 * H 10 ms as a timespec, E epoll event, X name of an attribute, F a signal stack, m our own process; a digit is that number, N 64, K 4096, - is -1, S SIGUSR1, O AT_EMPTY_PATH. */
static const struct { int nr; const char *name, *args; } calls[] = {
#define C(name, args) {SYS_##name, #name, args}
    C(read, "fBN"), C(write, "fBN"), C(open, "P00"), C(creat, "Q0"), C(stat, "PZ"), C(fstat, "fZ"), C(lstat, "PZ"), C(poll, "Z10"), C(pread64, "fBN0"), C(pwrite64, "fBN0"),
    C(readv, "fI1"), C(writev, "fI1"), C(preadv, "fI10"), C(pwritev, "fI10"), C(preadv2, "fI1000"), C(pwritev2, "fI1000"), C(access, "P4"), C(pipe, "Z"), C(pipe2, "Z0"),
    C(select, "1ZZZH"), C(pselect6, "1ZZZHZ"), C(ppoll, "Z1HW8"), C(mincore, "BKZ"), C(nanosleep, "HZ"), C(getitimer, "0Z"), C(setitimer, "0ZZ"), C(sendfile, "qfZN"),
    C(connect, "uAN"), C(accept, "uAL"), C(accept4, "uAL0"), C(sendto, "xBN000"), C(recvfrom, "xBN0AL"), C(sendmsg, "xM0"), C(recvmsg, "xM0"), C(sendmmsg, "xM00"), C(recvmmsg, "xM000"),
    C(bind, "uAN"), C(getsockname, "xAL"), C(getpeername, "xAL"), C(socketpair, "110Z"), C(setsockopt, "u12Z4"), C(getsockopt, "u13ZL"), C(execve, "Q00"), C(execveat, "dQ000"),
    C(wait4, "-Z1Z"), C(waitid, "0-Z5Z"), C(uname, "Z"), C(getcwd, "BN"), C(chdir, "T"), C(rename, "PQ"), C(mkdir, "Q0"), C(rmdir, "Q"), C(link, "PQ"), C(unlink, "P"), C(symlink, "PQ"),
    C(readlink, "PBN"), C(chmod, "P0"), C(chown, "P--"), C(lchown, "P--"), C(gettimeofday, "ZZ"), C(getrlimit, "7Z"), C(setrlimit, "4Z"), C(getrusage, "0Z"), C(sysinfo, "Z"), C(times, "Z"),
    C(getgroups, "9Z"), C(setgroups, "1Z"), C(getresuid, "ZZZ"), C(getresgid, "ZZZ"), C(capget, "ZZ"), C(capset, "ZZ"), C(rt_sigaction, "SZZ8"), C(rt_sigprocmask, "0WZ8"),
    C(rt_sigpending, "Z8"), C(rt_sigtimedwait, "WZH8"), C(rt_sigqueueinfo, "1SZ"), C(rt_sigsuspend, "W4"), C(sigaltstack, "FF"), C(utime, "PZ"), C(utimes, "PZ"), C(mknod, "Q00"), C(statfs, "PZ"), C(fstatfs, "fZ"),
    C(sched_setparam, "0Z"), C(sched_getparam, "0Z"), C(sched_setscheduler, "00Z"), C(sched_rr_get_interval, "0Z"), C(sched_setaffinity, "08E"), C(sched_getaffinity, "0NZ"), C(sched_setattr, "0Z0"), C(sched_getattr, "0ZN0"),
    C(arch_prctl, "00"), C(setxattr, "PXBN0"), C(lsetxattr, "PXBN0"), C(fsetxattr, "fXBN0"), C(getxattr, "PXBN"), C(lgetxattr, "PXBN"), C(fgetxattr, "fXBN"), C(listxattr, "PBN"),
    C(llistxattr, "PBN"), C(flistxattr, "fBN"), C(removexattr, "PX"), C(lremovexattr, "PX"), C(fremovexattr, "fX"), C(time, "Z"), C(futex, "Z01Z00"), C(getdents, "DBK"), C(getdents64, "DBK"),
    C(set_robust_list, "Z0"), C(get_robust_list, "0ZZ"), C(epoll_ctl, "e1pE"), C(epoll_wait, "eZ10"), C(epoll_pwait, "eZ10W8"), C(epoll_pwait2, "eZ1HW8"), C(timer_create, "1ZZ"),
    C(clock_gettime, "1Z"), C(clock_getres, "1Z"), C(clock_nanosleep, "10HZ"), C(openat, "dP00"), C(mkdirat, "dQ0"), C(mknodat, "dQ00"), C(fchownat, "dP--0"), C(futimesat, "dPZ"),
    C(newfstatat, "dPZ0"), C(unlinkat, "dP0"), C(renameat, "dPdQ"), C(renameat2, "dPdQ0"), C(linkat, "dPdQ0"), C(symlinkat, "PdQ"), C(readlinkat, "dPBN"), C(fchmodat, "dP0"), C(faccessat, "dP4"),
    C(faccessat2, "dP40"), C(splice, "fZq0N0"), C(vmsplice, "qI10"), C(utimensat, "dPZ0"), C(timerfd_settime, "t0ZZ"), C(timerfd_gettime, "tZ"), C(signalfd, "-W8"), C(signalfd4, "-W80"),
    C(inotify_add_watch, "iP1"), C(rt_tgsigqueueinfo, "11SZ"), C(prlimit64, "07ZZ"), C(name_to_handle_at, "dPZZ0"), C(getcpu, "ZZ0"), C(process_vm_readv, "mI1I10"), C(process_vm_writev, "mI1I10"),
    C(getrandom, "BN0"), C(memfd_create, "X0"), C(statx, "dP00Z"), C(copy_file_range, "fZrZN0"), C(openat2, "dPZN"), C(pidfd_send_signal, "f0Z0"), C(semop, "0Z1"), C(semtimedop, "0Z1H"),
    C(msgsnd, "0BN0"), C(msgrcv, "0BN00"), C(shmctl, "02Z"), C(msgctl, "02Z"), C(truncate, "P0"), C(chroot, "T"), C(umount2, "Q0"), C(mount, "QQX00"), C(prctl, "44"), C(adjtimex, "Z"), C(ioctl, "f9Z"),
    C(clock_adjtime, "0Z"), C(get_mempolicy, "ZZ000"), C(set_mempolicy, "0ZN"), C(mbind, "BK0ZN0"), C(move_pages, "01ZZZ0"), C(migrate_pages, "01ZZ"), C(rseq, "ZN00"), C(kcmp, "11100"), C(eventfd2, "00"),
};

enum { NULLS, LOW, NONE, READ_ONLY, KERNEL_TEXT, DIRECT_MAP, NON_CANONICAL, LAST_BYTE, STRADDLING, MISALIGNED, KINDS };
static const char *kinds[] = {"NULL", "unmapped", "no access", "read-only", "the kernel", "the direct map", "non-canonical", "the last address", "straddling", "misaligned"};

static char areas[6][8192] __attribute__((aligned(4096)));
static int fds[128];
static const char letters[] = "PQTBZIALMWHEXF";

static void prepare(void)
{
    fds['f'] = file_with("file", "some text that can be read, and more of it: 0123456789 0123456789 0123456789");
    fds['r'] = open("file", O_RDONLY);
    fds['D'] = open(".", O_RDONLY);
    int p[2];
    MUST(pipe2(p, O_NONBLOCK) == 0);
    fds['p'] = p[0], fds['q'] = p[1];
    fds['u'] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p) == 0);
    fds['x'] = p[0], fds['y'] = p[1];
    MUST(write(p[1], "text", 4) == 4);
    fds['e'] = epoll_create1(0), fds['i'] = inotify_init1(IN_NONBLOCK), fds['t'] = timerfd_create(CLOCK_MONOTONIC, 0), fds['v'] = eventfd(0, 0);
    fds['m'] = getpid();
    mkdir("dir", 0755);
    unlink("nothing");
}

/* What a good pointer of this kind leads to. */
static void *good(char letter, int at)
{
    static struct iovec vectors[6];
    char *area = areas[at];
    memset(area, 0, 4096);
    switch (letter) {
    case 'P': return strcpy(area, "file");
    case 'Q': return strcpy(area, "nothing");
    case 'T': return strcpy(area, "dir");
    case 'B': return memset(area, 'b', 4096);
    case 'X': return strcpy(area, "user.name");
    case 'I': *(struct iovec *)area = (struct iovec){memset(area + 1024, 'i', 64), 64}; break;
    case 'A': *(struct sockaddr_in *)area = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}; break;
    case 'L': *(int *)area = 64; break;
    case 'M': vectors[at] = (struct iovec){area + 1024, 16}; *(struct msghdr *)area = (struct msghdr){.msg_iov = &vectors[at], .msg_iovlen = 1}; break;
    case 'H': *(struct timespec *)area = (struct timespec){0, 1000000}; break;
    case 'E': ((struct epoll_event *)area)->events = EPOLLIN; break;
    case 'F': *(stack_t *)area = (stack_t){area + 64, 0, 4096}; break;
    }
    return area;
}

static void *bad(int kind, const void *good, char *edge, char *none)
{
    switch (kind) {
    case NULLS: return NULL;
    case LOW: return BAD;
    case NONE: return none;
    case READ_ONLY: mprotect((void *)good, 4096, PROT_READ); return (void *)good;
    case KERNEL_TEXT: return KERNEL;
    case DIRECT_MAP: return (void *)0xffff888000100000;
    case NON_CANONICAL: return (void *)0x8000000000000000;
    case LAST_BYTE: return (void *)0x7fffffffefff;
    case STRADDLING: memcpy(edge + 4094, good, 2); return edge + 4094;
    default: memmove((char *)good + 1, good, 2048); return (char *)good + 1;
    }
}

static void sweep(unsigned from, unsigned to)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (unsigned c = from; c < to && c < COUNT(calls); c++) {
        current = calls[c].name;
        for (int arg = 0; calls[c].args[arg]; arg++) {
            if (!strchr(letters, calls[c].args[arg]))
                continue;
            for (int kind = 0; kind < KINDS; kind++) {
                pid_t pid = fork();
                MUST(pid >= 0);
                if (pid) {
                    int status;
                    waitpid(pid, &status, 0);
                    if (WIFSIGNALED(status))
                        line("case %s/pointer %d, %s: signal %d", current, arg, kinds[kind], WTERMSIG(status));
                    continue;
                }
                prepare();
                char *edge = edge_page(PROT_READ | PROT_WRITE), *none = mmap(0, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                long a[6] = {0};
                for (int i = 0; calls[c].args[i]; i++) {
                    char letter = calls[c].args[i];
                    a[i] = letter >= '0' && letter <= '9' ? letter - '0' : letter == 'N' ? 64 : letter == 'K' ? 4096 : letter == '-' ? -1 : letter == 'S' ? SIGUSR1 :
                           letter == 'd' ? AT_FDCWD : letter == 'O' ? AT_EMPTY_PATH : strchr(letters, letter) ? (long)good(letter, i) : fds[(int)letter];
                }
                a[arg] = (long)bad(kind, (void *)a[arg], edge, none);
                alarm(1);
                errno = 0;
                long result = syscall(calls[c].nr, a[0], a[1], a[2], a[3], a[4], a[5]);
                int error = errno;
                SHOW(named("pointer %d, %s", arg, kinds[kind]), "%s", result == -1 ? error_name(error) : "done");
                _exit(0);
            }
        }
    }
}
/* Four groups, so that one can fail alone. */
GROUP(pointers_1) { sweep(0, 40); }
GROUP(pointers_2) { sweep(40, 80); }
GROUP(pointers_3) { sweep(80, 125); }
GROUP(pointers_4) { sweep(125, 1000); }
