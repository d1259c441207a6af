/* The scheduler, the machine's names and figures, random numbers, System V IPC, futexes. */
#include "case.h"
#include <linux/futex.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/random.h>

GROUP(sched_setscheduler)
{
#define SET(...) syscall(SYS_sched_setscheduler, __VA_ARGS__)
    struct sched_param zero = {0}, ten = {10}, hundred = {100};
    struct { const char *name; int policy; struct sched_param *param; int error; } table[] = {
        {"SCHED_OTHER", SCHED_OTHER, &zero, 0}, {"SCHED_BATCH", SCHED_BATCH, &zero, 0}, {"SCHED_IDLE", SCHED_IDLE, &zero, 0}, {"SCHED_OTHER, priority 10", SCHED_OTHER, &ten, EINVAL},
        {"SCHED_FIFO, priority 0", SCHED_FIFO, &zero, EINVAL}, {"SCHED_FIFO, priority 100", SCHED_FIFO, &hundred, EINVAL}, {"SCHED_RR, priority 0", SCHED_RR, &zero, EINVAL},
        {"policy 99", 99, &zero, EINVAL}, {"policy -1", -1, &zero, EINVAL}, {"NULL", SCHED_OTHER, NULL, EINVAL}, {"nowhere", SCHED_OTHER, BAD, EFAULT},
    };
    for (unsigned i = 0; i < COUNT(table); i++)
        if (table[i].error)
            ERR(table[i].name, table[i].error, SET(0, table[i].policy, table[i].param));
        else
            OK(table[i].name, SET(0, table[i].policy, table[i].param));
    ERR("no such process", ESRCH, SET(0x3ffffe, SCHED_OTHER, &zero));
    ERR("a negative process", EINVAL, SET(-1, SCHED_OTHER, &zero));
    MUST(SET(0, SCHED_OTHER, &zero) == 0);
    AS_NOBODY({
        ERR("SCHED_FIFO, as a user", EPERM, SET(0, SCHED_FIFO, &ten));
        OK("SCHED_BATCH, as a user", SET(0, SCHED_BATCH, &zero));
    });
}
GROUP(sched_getscheduler)
{
    EQ("SCHED_OTHER", SCHED_OTHER, syscall(SYS_sched_getscheduler, 0));
    struct sched_param zero = {0};
    MUST(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &zero) == 0);
    EQ("SCHED_BATCH", SCHED_BATCH, syscall(SYS_sched_getscheduler, 0));
    ERR("no such process", ESRCH, syscall(SYS_sched_getscheduler, 0x3ffffe));
    ERR("a negative process", EINVAL, syscall(SYS_sched_getscheduler, -1));
}
GROUP(sched_setparam)
{
    struct sched_param zero = {0}, ten = {10};
    OK("0", syscall(SYS_sched_setparam, 0, &zero));
    ERR("10 of SCHED_OTHER", EINVAL, syscall(SYS_sched_setparam, 0, &ten));
    ERR("NULL", EINVAL, syscall(SYS_sched_setparam, 0, NULL));
    ERR("no such process", ESRCH, syscall(SYS_sched_setparam, 0x3ffffe, &zero));
}
GROUP(sched_getparam)
{
    struct sched_param p = {7};
    OK("ours", syscall(SYS_sched_getparam, 0, &p));
    EQ("is 0", 0, p.sched_priority);
    ERR("NULL", EINVAL, syscall(SYS_sched_getparam, 0, NULL));
    ERR("into nowhere", EFAULT, syscall(SYS_sched_getparam, 0, BAD));
    ERR("no such process", ESRCH, syscall(SYS_sched_getparam, 0x3ffffe, &p));
}
GROUP(sched_get_priority_max)
{
    int policies[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE};
    for (unsigned i = 0; i < COUNT(policies); i++)
        SHOW(named("policy %d", policies[i]), "%ld", syscall(SYS_sched_get_priority_max, policies[i]));
    ERR("policy 99", EINVAL, syscall(SYS_sched_get_priority_max, 99));
}
GROUP(sched_get_priority_min)
{
    int policies[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE};
    for (unsigned i = 0; i < COUNT(policies); i++)
        SHOW(named("policy %d", policies[i]), "%ld", syscall(SYS_sched_get_priority_min, policies[i]));
    ERR("policy 99", EINVAL, syscall(SYS_sched_get_priority_min, 99));
}
GROUP(sched_rr_get_interval)
{
    struct timespec t;
    OK("ours", syscall(SYS_sched_rr_get_interval, 0, &t));
    ERR("no such process", ESRCH, syscall(SYS_sched_rr_get_interval, 0x3ffffe, &t));
    ERR("a negative process", EINVAL, syscall(SYS_sched_rr_get_interval, -1, &t));
    ERR("into nowhere", EFAULT, syscall(SYS_sched_rr_get_interval, 0, BAD));
}
GROUP(sched_setaffinity)
{
    unsigned long mask = 1, none = 0, far = 1ul << 63;
    OK("the first CPU", syscall(SYS_sched_setaffinity, 0, 8, &mask));
    ERR("no CPU", EINVAL, syscall(SYS_sched_setaffinity, 0, 8, &none));
    ERR("no CPU that is there", EINVAL, syscall(SYS_sched_setaffinity, 0, 8, &far));
    ERR("no such process", ESRCH, syscall(SYS_sched_setaffinity, 0x3ffffe, 8, &mask));
    ERR("from nowhere", EFAULT, syscall(SYS_sched_setaffinity, 0, 8, BAD));
}
GROUP(sched_getaffinity)
{
    unsigned long mask[16] = {1}, got[16] = {0};
    MUST(syscall(SYS_sched_setaffinity, 0, 8, mask) == 0);
    YES("has a size", syscall(SYS_sched_getaffinity, 0, sizeof got, got) >= 8);
    EQ("what was set", 1, got[0]);
    ERR("an odd size", EINVAL, syscall(SYS_sched_getaffinity, 0, 9, got));
    ERR("no room", EINVAL, syscall(SYS_sched_getaffinity, 0, 0, got));
    ERR("into nowhere", EFAULT, syscall(SYS_sched_getaffinity, 0, 128, BAD));
    ERR("no such process", ESRCH, syscall(SYS_sched_getaffinity, 0x3ffffe, 128, got));
}
struct attributes { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; };
GROUP(sched_setattr)
{
    struct attributes a = {.size = 48, .nice = 3};
#define SETATTR(...) syscall(SYS_sched_setattr, __VA_ARGS__)
    OK("nice 3", SETATTR(0, &a, 0));
    EQ("is nice 3", 17, syscall(SYS_getpriority, 0, 0));
    a.size = 47;
    ERR("too small", E2BIG, SETATTR(0, &a, 0));
    a.size = 48;
    ERR("flags", EINVAL, SETATTR(0, &a, 1));
    ERR("NULL", EINVAL, SETATTR(0, NULL, 0));
    a.policy = 99;
    ERR("an unknown policy", EINVAL, SETATTR(0, &a, 0));
    a.policy = 0;
    ERR("no such process", ESRCH, SETATTR(0x3ffffe, &a, 0));
}
GROUP(sched_getattr)
{
    struct attributes a = {0};
    OK("ours", syscall(SYS_sched_getattr, 0, &a, 48, 0));
    SHOW("is", "%u %u %d", a.size, a.policy, a.nice);
    ERR("too small", EINVAL, syscall(SYS_sched_getattr, 0, &a, 47, 0));
    ERR("flags", EINVAL, syscall(SYS_sched_getattr, 0, &a, 48, 1));
    ERR("NULL", EINVAL, syscall(SYS_sched_getattr, 0, NULL, 48, 0));
    ERR("no such process", ESRCH, syscall(SYS_sched_getattr, 0x3ffffe, &a, 48, 0));
}
GROUP(sched_yield) { OK("always", syscall(SYS_sched_yield)); }
GROUP(getcpu)
{
    unsigned cpu = 99, node = 99;
    OK("both", syscall(SYS_getcpu, &cpu, &node, NULL));
    YES("are there", cpu < 64 && node < 64);
    OK("neither", syscall(SYS_getcpu, NULL, NULL, NULL));
    ERR("into nowhere", EFAULT, syscall(SYS_getcpu, BAD, NULL, NULL));
}

GROUP(uname)
{
    struct utsname u;
    OK("all", syscall(SYS_uname, &u));
    TEXT("system", "Linux", u.sysname);
    TEXT("machine", "x86_64", u.machine);
    ERR("into nowhere", EFAULT, syscall(SYS_uname, BAD));
}
GROUP(sethostname)
{
    ERR("too long", EINVAL, syscall(SYS_sethostname, "x", 65));
    ERR("negative", EINVAL, syscall(SYS_sethostname, "x", -1));
    ERR("from nowhere", EFAULT, syscall(SYS_sethostname, BAD, 5));
    AS_NOBODY(ERR("as a user", EPERM, syscall(SYS_sethostname, "x", 1)));
}
GROUP(setdomainname)
{
    ERR("too long", EINVAL, syscall(SYS_setdomainname, "x", 65));
    ERR("from nowhere", EFAULT, syscall(SYS_setdomainname, BAD, 5));
    AS_NOBODY(ERR("as a user", EPERM, syscall(SYS_setdomainname, "x", 1)));
}
GROUP(sysinfo)
{
    struct sysinfo s;
    OK("all", syscall(SYS_sysinfo, &s));
    YES("makes sense", s.totalram >= s.freeram && s.mem_unit > 0 && s.procs > 0);
    ERR("into nowhere", EFAULT, syscall(SYS_sysinfo, BAD));
}
GROUP(getrandom)
{
    char a[256] = {0}, b[256] = {0};
    EQ("some", 256, getrandom(a, 256, 0));
    EQ("more", 256, getrandom(b, 256, 0));
    YES("are different", memcmp(a, b, 256));
    EQ("none", 0, getrandom(a, 0, 0));
    EQ("GRND_NONBLOCK", 16, getrandom(a, 16, GRND_NONBLOCK));
    EQ("GRND_RANDOM", 16, getrandom(a, 16, GRND_RANDOM));
    EQ("GRND_INSECURE", 16, getrandom(a, 16, 4));
    ERR("GRND_RANDOM and GRND_INSECURE", EINVAL, getrandom(a, 16, 6));
    ERR("unknown flags", EINVAL, getrandom(a, 16, 8));
    ERR("into nowhere", EFAULT, getrandom(BAD, 16, 0));
}
GROUP(reboot)
{
    ERR("wrong magic", EINVAL, syscall(SYS_reboot, 1, 2, 3, 0));
    AS_NOBODY(ERR("as a user", EPERM, syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0)));
}
GROUP(mount)
{
    MUST(mkdir("d", 0755) == 0);
    AS_NOBODY(ERR("as a user", EPERM, syscall(SYS_mount, "none", "d", "tmpfs", 0, 0)));
    if (geteuid())
        return;
    ERR("an unknown file system", ENODEV, syscall(SYS_mount, "none", "d", "no-such-fs", 0, 0));
    ERR("on nothing", ENOENT, syscall(SYS_mount, "none", "gone", "tmpfs", 0, 0));
    ERR("a type nowhere", EFAULT, syscall(SYS_mount, "none", "d", BAD, 0, 0));
}
GROUP(umount2)
{
    MUST(mkdir("d", 0755) == 0);
    AS_NOBODY(ERR("as a user", EPERM, syscall(SYS_umount2, "d", 0)));
    if (geteuid())
        return;
    ERR("no mount", EINVAL, syscall(SYS_umount2, "d", 0));
    ERR("not there", ENOENT, syscall(SYS_umount2, "gone", 0));
    ERR("unknown flags", EINVAL, syscall(SYS_umount2, "d", 0x100));
}

GROUP(shmget)
{
    int id = shmget(IPC_PRIVATE, 5000, 0600);
    YES("private", id >= 0);
    MUST(shmctl(id, IPC_RMID, 0) == 0);
    ERR("size 0", EINVAL, shmget(IPC_PRIVATE, 0, 0600));
    ERR("a key that is not there", ENOENT, shmget(0x5ca1ab1e, 100, 0));
    id = shmget(0x5ca1ab1e, 100, IPC_CREAT | 0600);
    YES("IPC_CREAT", id >= 0);
    YES("the same key", shmget(0x5ca1ab1e, 100, 0) == id);
    ERR("IPC_EXCL", EEXIST, shmget(0x5ca1ab1e, 100, IPC_CREAT | IPC_EXCL | 0600));
    ERR("larger than it is", EINVAL, shmget(0x5ca1ab1e, 5000, 0));
    AS_NOBODY(ERR("another's", EACCES, shmget(0x5ca1ab1e, 100, 0600)));
    MUST(shmctl(id, IPC_RMID, 0) == 0);
}
GROUP(shmat)
{
    int id = shmget(IPC_PRIVATE, 5000, 0600);
    char *a = shmat(id, 0, 0), *b = shmat(id, 0, SHM_RDONLY);
    YES("twice", a != (void *)-1 && b != (void *)-1 && a != b);
    a[4999] = 7;
    EQ("is the same memory", 7, b[4999]);
    ERR("an odd address", EINVAL, shmat(id, (void *)0x10001, 0) == (void *)-1 ? -1 : 0);
    ERR("no such segment", EINVAL, shmat(-5, 0, 0) == (void *)-1 ? -1 : 0);
    AS_NOBODY(ERR("another's", EACCES, shmat(id, 0, 0) == (void *)-1 ? -1 : 0));
    OK("shmdt", shmdt(a));
    ERR("shmdt again", EINVAL, shmdt(a));
    struct shmid_ds ds;
    MUST(shmctl(id, IPC_STAT, &ds) == 0);
    EQ("how many attach it", 1, ds.shm_nattch);
    MUST(shmctl(id, IPC_RMID, 0) == 0);
    EQ("it stays while it is attached", 7, b[4999]);
}
GROUP(shmdt)
{
    ERR("nothing there", EINVAL, shmdt((void *)0x10000));
    char *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ERR("other memory", EINVAL, shmdt(m));
}
GROUP(shmctl)
{
    int id = shmget(IPC_PRIVATE, 5000, 0640);
    struct shmid_ds ds;
    OK("IPC_STAT", shmctl(id, IPC_STAT, &ds));
    SHOW("tells", "%o %ld", ds.shm_perm.mode & 0777, (long)ds.shm_segsz);
    ds.shm_perm.mode = 0600;
    OK("IPC_SET", shmctl(id, IPC_SET, &ds));
    ERR("an unknown command", EINVAL, shmctl(id, 99, &ds));
    ERR("into nowhere", EFAULT, shmctl(id, IPC_STAT, BAD));
    AS_NOBODY(ERR("removing another's", EPERM, shmctl(id, IPC_RMID, 0)));
    OK("IPC_RMID", shmctl(id, IPC_RMID, 0));
    ERR("again", EINVAL, shmctl(id, IPC_RMID, 0));
}
GROUP(semget)
{
    int id = semget(IPC_PRIVATE, 3, 0600);
    YES("private", id >= 0);
    MUST(semctl(id, 0, IPC_RMID) == 0);
    ERR("none", EINVAL, semget(IPC_PRIVATE, 0, 0600));
    ERR("a negative number", EINVAL, semget(IPC_PRIVATE, -1, 0600));
    ERR("too many", EINVAL, semget(IPC_PRIVATE, 1 << 20, 0600));
    ERR("a key that is not there", ENOENT, semget(0x5ca1ab1e, 1, 0));
}
GROUP(semop)
{
    int id = semget(IPC_PRIVATE, 2, 0600);
    struct sembuf up = {0, 2, 0}, down = {0, -3, IPC_NOWAIT}, zero = {0, 0, IPC_NOWAIT}, beyond = {2, 1, 0}, both[] = {{0, -1, 0}, {1, -1, IPC_NOWAIT}};
    OK("up", semop(id, &up, 1));
    ERR("down too far", EAGAIN, semop(id, &down, 1));
    ERR("not zero", EAGAIN, semop(id, &zero, 1));
    ERR("all or nothing", EAGAIN, semop(id, both, 2));
    EQ("it was nothing", 2, semctl(id, 0, GETVAL));
    ERR("no such semaphore", EFBIG, semop(id, &beyond, 1));
    ERR("no operations", EINVAL, semop(id, &up, 0));
    ERR("too many operations", E2BIG, semop(id, &up, 501));
    ERR("from nowhere", EFAULT, semop(id, BAD, 1));
    up.sem_op = 32767;
    ERR("beyond the greatest value", ERANGE, semop(id, &up, 1));
    int status;
    CHILD(status, { struct sembuf undo = {1, 5, SEM_UNDO}; semop(id, &undo, 1); });
    EQ("SEM_UNDO", 0, semctl(id, 1, GETVAL));
    MUST(semctl(id, 0, IPC_RMID) == 0);
    ERR("no such set", EINVAL, semop(id, &zero, 1));
}
GROUP(semtimedop)
{
    int id = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf down = {0, -1, 0};
    struct timespec soon = {0, 20000000}, bad = {0, -1};
    ERR("in time", EAGAIN, semtimedop(id, &down, 1, &soon));
    ERR("negative nanoseconds", EINVAL, semtimedop(id, &down, 1, &bad));
    MUST(semctl(id, 0, IPC_RMID) == 0);
}
GROUP(semctl)
{
    int id = semget(IPC_PRIVATE, 2, 0600);
    OK("SETVAL", semctl(id, 1, SETVAL, 9));
    EQ("GETVAL", 9, semctl(id, 1, GETVAL));
    YES("GETPID", semctl(id, 1, GETPID) == getpid());
    EQ("GETNCNT", 0, semctl(id, 1, GETNCNT));
    EQ("GETZCNT", 0, semctl(id, 1, GETZCNT));
    unsigned short all[2] = {3, 4}, got[2];
    OK("SETALL", semctl(id, 0, SETALL, all));
    OK("GETALL", semctl(id, 0, GETALL, got));
    SHOW("what was set", "%d %d", got[0], got[1]);
    ERR("a value that is too great", ERANGE, semctl(id, 0, SETVAL, 40000));
    ERR("a negative value", ERANGE, semctl(id, 0, SETVAL, -1));
    ERR("no such semaphore", EINVAL, semctl(id, 2, GETVAL));
    ERR("an unknown command", EINVAL, semctl(id, 0, 99));
    OK("IPC_RMID", semctl(id, 0, IPC_RMID));
    ERR("again", EINVAL, semctl(id, 0, IPC_RMID));
}
struct message { long type; char text[64]; };
GROUP(msgget)
{
    int id = msgget(IPC_PRIVATE, 0600);
    YES("private", id >= 0);
    ERR("a key that is not there", ENOENT, msgget(0x5ca1ab1e, 0));
    MUST(msgctl(id, IPC_RMID, 0) == 0);
}
GROUP(msgsnd)
{
    int id = msgget(IPC_PRIVATE, 0600);
    struct message m = {1, "abc"};
    OK("a message", msgsnd(id, &m, 4, 0));
    OK("an empty one", msgsnd(id, &m, 0, 0));
    ERR("too long", EINVAL, msgsnd(id, &m, 8193, 0));
    m.type = 0;
    ERR("type 0", EINVAL, msgsnd(id, &m, 4, 0));
    ERR("from nowhere", EFAULT, msgsnd(id, BAD, 4, 0));
    m.type = 1;
    int n = 0;
    while (n < 10000 && msgsnd(id, &m, 64, IPC_NOWAIT) == 0)
        n++;
    SHOW("how many have room", "%d %s", n, error_name(errno));
    AS_NOBODY(ERR("another's", EACCES, msgsnd(id, &m, 4, 0)));
    MUST(msgctl(id, IPC_RMID, 0) == 0);
    ERR("no such queue", EINVAL, msgsnd(id, &m, 4, 0));
}
GROUP(msgrcv)
{
    int id = msgget(IPC_PRIVATE, 0600);
    struct message m, got;
    for (int i = 0; i < 5; i++) {
        m = (struct message){(long[]){3, 1, 2, 5, 4}[i], "abcd"};
        MUST(msgsnd(id, &m, 5, 0) == 0);
    }
    long wanted[] = {0, 2, -9, -4};
    for (unsigned i = 0; i < COUNT(wanted); i++) {
        EQ(named("type %ld", wanted[i]), 5, msgrcv(id, &got, 64, wanted[i], IPC_NOWAIT));
        SHOW(named("type %ld, is", wanted[i]), "%ld", got.type);
    }
    ERR("none of that type", ENOMSG, msgrcv(id, &got, 64, 77, IPC_NOWAIT));
    ERR("too little room", E2BIG, msgrcv(id, &got, 2, 0, IPC_NOWAIT));
    EQ("MSG_NOERROR", 2, msgrcv(id, &got, 2, 0, IPC_NOWAIT | MSG_NOERROR));
    ERR("none are left", ENOMSG, msgrcv(id, &got, 64, 0, IPC_NOWAIT));
    MUST(msgctl(id, IPC_RMID, 0) == 0);
    ERR("no such queue", EINVAL, msgrcv(id, &got, 64, 0, IPC_NOWAIT));
}
GROUP(msgctl)
{
    int id = msgget(IPC_PRIVATE, 0640);
    struct message m = {1, "abc"};
    struct msqid_ds ds;
    MUST(msgsnd(id, &m, 4, 0) == 0);
    OK("IPC_STAT", msgctl(id, IPC_STAT, &ds));
    SHOW("tells", "%o %ld %ld", ds.msg_perm.mode & 0777, (long)ds.msg_qnum, (long)ds.msg_qbytes);
    ds.msg_qbytes = 100;
    OK("IPC_SET", msgctl(id, IPC_SET, &ds));
    ERR("an unknown command", EINVAL, msgctl(id, 99, &ds));
    ERR("into nowhere", EFAULT, msgctl(id, IPC_STAT, BAD));
    AS_NOBODY(ERR("removing another's", EPERM, msgctl(id, IPC_RMID, 0)));
    OK("IPC_RMID", msgctl(id, IPC_RMID, 0));
    ERR("again", EINVAL, msgctl(id, IPC_RMID, 0));
}

GROUP(futex)
{
#define FUTEX(...) syscall(SYS_futex, __VA_ARGS__)
    int word = 5, other = 7;
    struct timespec soon = {0, 20000000}, bad = {0, 1000000000}, negative = {-1, 0};
    ERR("FUTEX_WAIT, another value", EAGAIN, FUTEX(&word, FUTEX_WAIT, 4, NULL));
    ERR("FUTEX_WAIT, in time", ETIMEDOUT, FUTEX(&word, FUTEX_WAIT, 5, &soon));
    ERR("FUTEX_WAIT, too many nanoseconds", EINVAL, FUTEX(&word, FUTEX_WAIT, 5, &bad));
    ERR("FUTEX_WAIT, negative", EINVAL, FUTEX(&word, FUTEX_WAIT, 5, &negative));
    ERR("FUTEX_WAIT at an odd address", EINVAL, FUTEX((char *)&word + 1, FUTEX_WAIT, 5, NULL));
    ERR("FUTEX_WAIT nowhere", EFAULT, FUTEX(BAD, FUTEX_WAIT, 5, NULL));
    EQ("FUTEX_WAKE, nobody", 0, FUTEX(&word, FUTEX_WAKE, 1));
    ERR("FUTEX_WAKE at an odd address", EINVAL, FUTEX((char *)&word + 1, FUTEX_WAKE, 1));
    ERR("FUTEX_WAIT_BITSET of no bits", EINVAL, FUTEX(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
    ERR("FUTEX_WAKE_BITSET of no bits", EINVAL, FUTEX(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    struct timespec past = {1, 0};
    ERR("FUTEX_WAIT_BITSET until a time that has been", ETIMEDOUT, FUTEX(&word, FUTEX_WAIT_BITSET, 5, &past, NULL, ~0));
    ERR("FUTEX_CMP_REQUEUE, another value", EAGAIN, FUTEX(&word, FUTEX_CMP_REQUEUE, 1, 1L, &other, 4));
    EQ("FUTEX_CMP_REQUEUE, nobody", 0, FUTEX(&word, FUTEX_CMP_REQUEUE, 1, 1L, &other, 5));
    EQ("FUTEX_REQUEUE, nobody", 0, FUTEX(&word, FUTEX_REQUEUE, 1, 1L, &other, 0));
    EQ("FUTEX_WAKE_OP", 0, FUTEX(&word, FUTEX_WAKE_OP, 1, 1L, &other, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)));
    EQ("changes the second", 10, other);
    ERR("an unknown operation", ENOSYS, FUTEX(&word, 99, 1));
    int lock = 0;
    OK("FUTEX_LOCK_PI", FUTEX(&lock, FUTEX_LOCK_PI, 0, NULL));
    YES("is ours", lock == gettid());
    ERR("FUTEX_LOCK_PI again", EDEADLK, FUTEX(&lock, FUTEX_LOCK_PI, 0, NULL));
    ERR("FUTEX_TRYLOCK_PI of our own", EDEADLK, FUTEX(&lock, FUTEX_TRYLOCK_PI, 0));
    OK("FUTEX_UNLOCK_PI", FUTEX(&lock, FUTEX_UNLOCK_PI));
    EQ("is free", 0, lock);
    ERR("FUTEX_UNLOCK_PI of what is not ours", EPERM, FUTEX(&lock, FUTEX_UNLOCK_PI));
    lock = 0x3ffffe;
    ERR("FUTEX_LOCK_PI of nobody's", ESRCH, FUTEX(&lock, FUTEX_LOCK_PI, 0, NULL));
    int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (!pid)
        _exit(FUTEX(shared, FUTEX_WAIT, 0, NULL) == 0 ? 3 : 4);
    while (FUTEX(shared, FUTEX_WAKE, 1) == 0)
        pause_ms(2);
    int status;
    MUST(waitpid(pid, &status, 0) == pid);
    EQ("between processes", 3, WEXITSTATUS(status));
}
GROUP(get_robust_list)
{
    void *head = 0;
    size_t len = 0;
    OK("ours", syscall(SYS_get_robust_list, 0, &head, &len));
    EQ("its size", 24, len);
    ERR("no such process", ESRCH, syscall(SYS_get_robust_list, 0x3ffffe, &head, &len));
    ERR("into nowhere", EFAULT, syscall(SYS_get_robust_list, 0, BAD, &len));
}
GROUP(set_robust_list)
{
    static struct robust_list_head head;
    OK("a list", syscall(SYS_set_robust_list, &head, 24));
    ERR("another size", EINVAL, syscall(SYS_set_robust_list, &head, 16));
}
GROUP(rseq)
{
    static char area[64] __attribute__((aligned(32)));
    ERR("a second registration", EINVAL, syscall(SYS_rseq, area, 32, 0, 0x53053053));
    ERR("unknown flags", EINVAL, syscall(SYS_rseq, area, 32, 4, 0x53053053));
}
