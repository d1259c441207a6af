/* acct(2), and huge pages of which there are none. On Linux no accounting is begun, for that is the whole machine's. */
#include "case.h"
#include <sys/acct.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/utsname.h>

static int in_skiff(void)
{
    struct utsname names;
    uname(&names);
    return strstr(names.release, "skiff") != NULL;
}

/* The records of `acct.log`. */
static int records(struct acct_v3 *out, int most)
{
    int fd = open("acct.log", O_RDONLY);
    ssize_t n = read(fd, out, most * sizeof *out);
    close(fd);
    return n % sizeof *out ? -1 : n / sizeof *out;
}

GROUP(acct)
{
    char name[PATH_MAX + 2];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    close(file_with("file", "x"));
    MUST(symlink("loop", "pool") == 0 && symlink("pool", "loop") == 0);
    AS_NOBODY({
        ERR("by nobody", EPERM, acct("file"));
        ERR("end, by nobody", EPERM, acct(NULL));
        ERR("a directory, by nobody", EPERM, acct("."));
    });
    if (geteuid())
        return;
    ERR("a directory", EISDIR, acct("."));
    ERR("a device", EACCES, acct("/dev/null"));
    ERR("missing", ENOENT, acct("none/of/these"));
    ERR("behind a file", ENOTDIR, acct("file/"));
    ERR("a loop", ELOOP, acct("loop"));
    ERR("too long", ENAMETOOLONG, acct(name));
    ERR("pointer", EFAULT, acct(BAD));
    int own = in_skiff(), status;
    close(file_with("acct.log", ""));
    YES("begun", !own || acct("acct.log") == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(42);
    waitpid(child, 0, 0);
    CHILD(status, execl("/proc/self/exe", "self", "none-of-these", (char *)0));
    CHILD(status, signal(SIGTERM, SIG_DFL); raise(SIGTERM));
    YES("ended", !own || acct(NULL) == 0);
    CHILD(status, _exit(0));
    static struct acct_v3 all[16];
    int count = records(all, 16), group = 0;
    /* The case's own line for a process of the group, where execl ran all of main. */
    YES("records", !own || count >= 3);
    for (int i = 0; own && i < count; i++)
        if (all[i].ac_pid == (unsigned)child) {
            group = 1;
            YES("exit status", all[i].ac_exitcode == 42 << 8);
            YES("version", (all[i].ac_version & 15) == 3);
            YES("forked alone", all[i].ac_flag == AFORK);
            YES("parent", all[i].ac_ppid == (unsigned)getpid());
            YES("user", all[i].ac_uid == 0 && all[i].ac_gid == 0);
            YES("time", labs(time(0) - all[i].ac_btime) < 60);
            YES("name", strlen(all[i].ac_comm) > 0);
        }
    for (int i = group; !own && i < 7; i++)
        YES(named("%s", ((const char *[]){"exit status", "version", "forked alone", "parent", "user", "time", "name"})[i]), 1);
    YES("the last ended by a signal", !own || (all[count - 1].ac_flag == (AFORK | AXSIG) && all[count - 1].ac_exitcode == SIGTERM));
    YES("none after the end", !own || records(all, 16) == count);
}

GROUP(huge_pages)
{
    AS_NOBODY(ERR("segment by nobody", EPERM, shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600 | SHM_HUGETLB)));
    ERR("segment of pages of an odd size", EINVAL, shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600 | SHM_HUGETLB | 5 << 26));
    ERR("file of pages of an odd size", ENODEV, memfd_create("huge", MFD_HUGETLB | 5U << 26));
    ERR("size without huge pages", EINVAL, memfd_create("huge", 5U << 26));
}
