// System V interprocess communication: what is told about all objects of a kind, and about each by its index; copies of messages; the
// settings in /proc/sys/kernel that make an id; and that a limit is found quickly.
#include "case.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif
#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif
#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#define COPY 040000

union argument {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

struct text {
    long type;
    char text[64];
};

// The index of an id, by which the *_STAT commands ask.
static int index_of(int id)
{
    return id & 0x7fff;
}

GROUP(shmctl_info)
{
    struct shminfo limits;
    struct shm_info before, after;
    int highest = shmctl(0, IPC_INFO, (struct shmid_ds *)&limits);
    YES("limits", highest >= 0);
    EQ("least", 1, limits.shmmin);
    EQ("segments of a process", limits.shmmni, limits.shmseg);
    YES("all", shmctl(0, SHM_INFO, (struct shmid_ds *)&before) >= 0);
    int id = shmget(IPC_PRIVATE, 10 * 4096 + 1, 0600);
    MUST(id >= 0);
    YES("highest", shmctl(0, SHM_INFO, (struct shmid_ds *)&after) >= index_of(id));
    YES("used", after.used_ids >= 1);
    YES("pages", after.shm_tot >= 11);
    struct shmid_ds data;
    EQ("by index", 1, shmctl(index_of(id), SHM_STAT, &data) == id);
    EQ("size", 10 * 4096 + 1, data.shm_segsz);
    EQ("by index, anybody", 1, shmctl(index_of(id), SHM_STAT_ANY, &data) == id);
    ERR("no such index", EINVAL, shmctl(32767, SHM_STAT, &data));
    ERR("negative index", EINVAL, shmctl(-1, SHM_STAT, &data));
    ERR("bad address", EFAULT, shmctl(index_of(id), SHM_STAT, BAD));
    ERR("bad address for all", EFAULT, shmctl(0, SHM_INFO, BAD));
    ERR("bad address for limits", EFAULT, shmctl(0, IPC_INFO, BAD));
    AS_NOBODY({
        ERR("another's", EACCES, shmctl(index_of(id), SHM_STAT, &data));
        EQ("another's, anybody", 1, shmctl(index_of(id), SHM_STAT_ANY, &data) == id);
    });
    OK("removed", shmctl(id, IPC_RMID, 0));
    ERR("too large", EINVAL, shmget(IPC_PRIVATE, -1ul, 0600));
}

GROUP(semctl_info)
{
    struct seminfo limits, all;
    YES("limits", semctl(0, 0, IPC_INFO, (union argument){.info = &limits}) >= 0);
    SHOW("seminfo", "%d %d %d %d %d", limits.semmnu, limits.semopm, limits.semume, limits.semusz, limits.semvmx);
    EQ("adjustment", 32767, limits.semaem);
    int id = semget(IPC_PRIVATE, 7, 0600);
    MUST(id >= 0);
    YES("highest", semctl(0, 0, SEM_INFO, (union argument){.info = &all}) >= index_of(id));
    YES("sets", all.semusz >= 1);
    YES("semaphores", all.semaem >= 7);
    struct semid_ds data;
    EQ("by index", 1, semctl(index_of(id), 0, SEM_STAT, (union argument){.buf = &data}) == id);
    EQ("semaphores of the set", 7, data.sem_nsems);
    EQ("by index, anybody", 1, semctl(index_of(id), 0, SEM_STAT_ANY, (union argument){.buf = &data}) == id);
    ERR("no such index", EINVAL, semctl(32767, 0, SEM_STAT, (union argument){.buf = &data}));
    ERR("bad address", EFAULT, semctl(index_of(id), 0, SEM_STAT, (union argument){.buf = BAD}));
    ERR("bad address for all", EFAULT, semctl(0, 0, SEM_INFO, (union argument){.info = BAD}));
    AS_NOBODY({
        ERR("another's", EACCES, semctl(index_of(id), 0, SEM_STAT, (union argument){.buf = &data}));
        EQ("another's, anybody", 1, semctl(index_of(id), 0, SEM_STAT_ANY, (union argument){.buf = &data}) == id);
    });
    OK("removed", semctl(id, 0, IPC_RMID));
}

GROUP(msgctl_info)
{
    struct msginfo limits, all;
    YES("limits", msgctl(0, IPC_INFO, (struct msqid_ds *)&limits) >= 0);
    SHOW("msginfo", "%d %d %d %d", limits.msgmap, limits.msgssz, limits.msgtql, limits.msgseg);
    int id = msgget(IPC_PRIVATE, 0600);
    MUST(id >= 0);
    struct text message = {3, "three"};
    MUST(msgsnd(id, &message, 6, 0) == 0);
    YES("highest", msgctl(0, MSG_INFO, (struct msqid_ds *)&all) >= index_of(id));
    YES("queues", all.msgpool >= 1);
    YES("messages", all.msgmap >= 1);
    YES("bytes", all.msgtql >= 6);
    struct msqid_ds data;
    EQ("by index", 1, msgctl(index_of(id), MSG_STAT, &data) == id);
    EQ("messages of the queue", 1, data.msg_qnum);
    EQ("by index, anybody", 1, msgctl(index_of(id), MSG_STAT_ANY, &data) == id);
    ERR("no such index", EINVAL, msgctl(32767, MSG_STAT, &data));
    ERR("bad address", EFAULT, msgctl(index_of(id), MSG_STAT, BAD));
    ERR("bad address for all", EFAULT, msgctl(0, MSG_INFO, BAD));
    AS_NOBODY({
        ERR("another's", EACCES, msgctl(index_of(id), MSG_STAT, &data));
        EQ("another's, anybody", 1, msgctl(index_of(id), MSG_STAT_ANY, &data) == id);
    });
    OK("removed", msgctl(id, IPC_RMID, 0));
}

GROUP(msg_copy)
{
    int id = msgget(IPC_PRIVATE, 0600);
    MUST(id >= 0);
    struct text message = {0};
    for (int i = 1; i <= 3; i++) {
        message.type = i * 10;
        snprintf(message.text, sizeof message.text, "number %d", i);
        MUST(msgsnd(id, &message, strlen(message.text) + 1, 0) == 0);
    }
    for (int i = 2; i >= 0; i--) {
        EQ(named("copy %d", i), 9, msgrcv(id, &message, sizeof message.text, i, COPY | IPC_NOWAIT));
        EQ(named("type %d", i), (i + 1) * 10, message.type);
        TEXT(named("text %d", i), named("number %d", i + 1), message.text);
    }
    ERR("behind the last", ENOMSG, msgrcv(id, &message, sizeof message.text, 3, COPY | IPC_NOWAIT));
    ERR("negative", ENOMSG, msgrcv(id, &message, sizeof message.text, -1, COPY | IPC_NOWAIT));
    ERR("waiting", EINVAL, msgrcv(id, &message, sizeof message.text, 0, COPY));
    ERR("all but", EINVAL, msgrcv(id, &message, sizeof message.text, 0, COPY | IPC_NOWAIT | MSG_EXCEPT));
    ERR("no room", E2BIG, msgrcv(id, &message, 3, 0, COPY | IPC_NOWAIT));
    ERR("cut", EINVAL, msgrcv(id, &message, 3, 0, COPY | IPC_NOWAIT | MSG_NOERROR));
    struct msqid_ds data;
    OK("stat", msgctl(id, IPC_STAT, &data));
    EQ("all are still there", 3, data.msg_qnum);
    OK("removed", msgctl(id, IPC_RMID, 0));
}

// Removed by id or as the last of many, the key is free again.
GROUP(keys)
{
    int key = 0x5e11 + getpid() * 64;
    int a = semget(key, 1, IPC_CREAT | IPC_EXCL | 0600), b = semget(key + 1, 2, IPC_CREAT | 0600);
    MUST(a >= 0 && b >= 0);
    EQ("found", 1, semget(key, 1, 0) == a);
    EQ("the other", 1, semget(key + 1, 1, 0) == b);
    ERR("there is one", EEXIST, semget(key, 1, IPC_CREAT | IPC_EXCL | 0600));
    ERR("more than it has", EINVAL, semget(key, 2, 0));
    OK("removed", semctl(a, 0, IPC_RMID));
    ERR("gone", ENOENT, semget(key, 1, 0));
    ERR("its id too", EINVAL, semctl(a, 0, GETVAL));
    int c = semget(key, 3, IPC_CREAT | IPC_EXCL | 0600);
    YES("again", c >= 0 && c != a);
    EQ("the other still", 1, semget(key + 1, 1, 0) == b);
    OK("removed again", semctl(c, 0, IPC_RMID));
    OK("the other removed", semctl(b, 0, IPC_RMID));
    // A segment that is attached when it is removed loses its key at once.
    int s = shmget(key, 4096, IPC_CREAT | 0600);
    MUST(s >= 0);
    char *p = shmat(s, 0, 0);
    OK("segment removed", shmctl(s, IPC_RMID, 0));
    ERR("segment's key", ENOENT, shmget(key, 4096, 0));
    int t = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    YES("another of the key", t >= 0 && t != s);
    struct shmid_ds data;
    OK("the old one by id", shmctl(s, IPC_STAT, &data));
    EQ("attached", 1, data.shm_nattch);
    OK("detached", shmdt(p));
    ERR("gone with that", EINVAL, shmctl(s, IPC_STAT, &data));
    EQ("the new one stays", 1, shmget(key, 4096, 0) == t);
    OK("removed as well", shmctl(t, IPC_RMID, 0));
}

static int setting(const char *name, const char *value)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return -1;
    int done = write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : -1;
    close(fd);
    return done;
}

// The next object gets the id that was asked for, and the one behind it any.
GROUP(next_id)
{
    // Where that can be had, among objects that nobody else makes.
    unshare(CLONE_NEWIPC);
    if (setting("msg_next_id", "131075") != 0)
        return;
    int a = msgget(IPC_PRIVATE, 0600);
    EQ("message queue", 131075, a);
    int b = msgget(IPC_PRIVATE, 0600);
    YES("only one", b >= 0 && b != a);
    OK("asked for again", setting("msg_next_id", "131075"));
    int c = msgget(IPC_PRIVATE, 0600);
    YES("which is taken", c >= 0 && c != a && c != b && index_of(c) > 3);
    msgctl(a, IPC_RMID, 0);
    msgctl(b, IPC_RMID, 0);
    msgctl(c, IPC_RMID, 0);
    OK("shared memory", setting("shm_next_id", "65541"));
    a = shmget(IPC_PRIVATE, 1, 0600);
    EQ("segment", 65541, a);
    shmctl(a, IPC_RMID, 0);
    OK("semaphores", setting("sem_next_id", "98310"));
    a = semget(IPC_PRIVATE, 1, 0600);
    EQ("set", 98310, a);
    semctl(a, 0, IPC_RMID);
}

// At the limit, and with many, no call looks at all that there are.
GROUP(many)
{
    enum { MOST = 20000 };
    static int ids[MOST];
    int n = 0, key = 0x7a000000 + (getpid() & 0xff) * 0x8000;
    while (n < MOST && (ids[n] = semget(key + n, 1, IPC_CREAT | IPC_EXCL | 0600)) >= 0)
        n++;
    EQ("made", MOST, n);
    int found = 0;
    for (int i = 0; i < n; i++)
        found += semget(key + i, 1, 0) == ids[i];
    EQ("found", MOST, found);
    for (int i = n; i--;)
        semctl(ids[i], 0, IPC_RMID);
    ERR("gone", ENOENT, semget(key, 1, 0));
}
