// System V shared memory, semaphores and message queues: shmget(2), semop(2), msgsnd(2) and their kin.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

struct message {
    long type;
    char text[32];
};

static const char *err(long result) {
    if (result >= 0)
        return "ok";
    switch (errno) {
    case E2BIG: return "E2BIG";
    case EACCES: return "EACCES";
    case EAGAIN: return "EAGAIN";
    case EEXIST: return "EEXIST";
    case EFAULT: return "EFAULT";
    case EFBIG: return "EFBIG";
    case EIDRM: return "EIDRM";
    case EINTR: return "EINTR";
    case EINVAL: return "EINVAL";
    case ENOENT: return "ENOENT";
    case ENOMSG: return "ENOMSG";
    case EPERM: return "EPERM";
    case ERANGE: return "ERANGE";
    default: return "another error";
    }
}

static int end_of(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void until_asleep(pid_t pid) {
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    while (state != 'S') {
        usleep(5000);
        FILE *f = fopen(path, "r");
        if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 0;
        if (f)
            fclose(f);
    }
}

static void on_signal(int sig) {
    (void)sig;
}

static void memory(void) {
    key_t key = 0x51000000 | (getpid() & 0xffffff);
    struct shmid_ds info;
    int id = shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0640);
    printf("shmget %s", err(id));
    printf(", again %s", err(shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0640)));
    printf(", same %d", shmget(key, 5000, 0) == id);
    printf(", larger %s", err(shmget(key, 20000, 0)));
    printf(", missing %s", err(shmget(key ^ 0x1000000, 1, 0)));
    printf(", empty %s\n", err(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600)));
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
    strcpy(a, "written");
    printf("attached twice: %s %d\n", b, a != b);
    pid_t child = fork();
    if (child == 0) {
        struct shmid_ds mine;
        shmctl(id, IPC_STAT, &mine);
        strcpy(a + 9000, "by the child");
        _exit(mine.shm_nattch);
    }
    printf("in the child %d\n", end_of(child));
    printf("%s\n", b + 9000);
    child = fork();
    if (child == 0) {
        *(volatile char *)b = 1;
        _exit(0);
    }
    printf("read only: %d\n", end_of(child) == 1000 + SIGSEGV);
    shmctl(id, IPC_STAT, &info);
    printf("size %zu, attached %ld, mode %o, own %d, times %d %d\n", info.shm_segsz, (long)info.shm_nattch, info.shm_perm.mode,
           info.shm_cpid == getpid() && info.shm_perm.uid == getuid(), info.shm_ctime > 0, info.shm_atime > 0);
    info.shm_perm.mode = 0600;
    printf("set %s", err(shmctl(id, IPC_SET, &info)));
    shmctl(id, IPC_STAT, &info);
    printf(" %o\n", info.shm_perm.mode);
    printf("detach %s", err(shmdt(b)));
    printf(", again %s", err(shmdt(b)));
    printf(", elsewhere %s\n", err(shmdt(a + 4096)));
    printf("unaligned %s", err((long)shmat(id, a + 1, 0)));
    printf(", over something %s", err((long)shmat(id, a, 0)));
    printf(", remap %d\n", shmat(id, a, SHM_REMAP) == a);
    printf("remove %s", err(shmctl(id, IPC_RMID, NULL)));
    shmctl(id, IPC_STAT, &info);
    printf(", marked %o, attached %ld", info.shm_perm.mode, (long)info.shm_nattch);
    printf(", key %s\n", err(shmget(key, 1, 0)));
    printf("still there: %s\n", a);
    shmdt(a);
    printf("gone: %s", err(shmctl(id, IPC_STAT, &info)));
    printf(", %s", err((long)shmat(id, NULL, 0)));
    printf(", command %s\n", err(shmctl(id, 99, NULL)));
}

static int operate(int id, int number, int change, int flags) {
    struct sembuf operation = {number, change, flags};
    return semop(id, &operation, 1);
}

static void semaphores(void) {
    union semun value = {.val = 2};
    unsigned short all[3] = {1, 5, 0}, seen[3];
    struct semid_ds info;
    int id = semget(IPC_PRIVATE, 3, 0600);
    printf("semget %s", err(id));
    printf(", too many %s", err(semget(IPC_PRIVATE, 1 << 20, 0600)));
    printf(", none %s\n", err(semget(IPC_PRIVATE, 0, 0600)));
    semctl(id, 0, SETVAL, value);
    value.array = all;
    semctl(id, 0, SETALL, value);
    value.array = seen;
    semctl(id, 0, GETALL, value);
    printf("values %d %d %d\n", seen[0], seen[1], seen[2]);
    printf("take %s", err(operate(id, 0, -1, 0)));
    printf(", no more %s", err(operate(id, 0, -1, IPC_NOWAIT)));
    printf(", zero %s", err(operate(id, 0, 0, IPC_NOWAIT)));
    printf(", not zero %s\n", err(operate(id, 1, 0, IPC_NOWAIT)));
    struct sembuf both[] = {{1, -2, 0}, {0, -1, IPC_NOWAIT}};
    printf("all or none: %s", err(semop(id, both, 2)));
    printf(" %d\n", semctl(id, 1, GETVAL));
    printf("number %s", err(operate(id, 3, 1, 0)));
    printf(", range %s", err(operate(id, 1, 32767, 0)));
    printf(", count %s", err(semop(id, both, 0)));
    printf(", %s", err(semop(id, both, 100000)));
    printf(", value %s", err(semctl(id, 0, SETVAL, (union semun){.val = -1})));
    printf(", id %s\n", err(operate(id + 1, 0, 1, 0)));
    pid_t child = fork();
    if (child == 0) {
        operate(id, 0, -1, 0);
        operate(id, 1, 7, 0);
        _exit(0);
    }
    while (semctl(id, 0, GETNCNT) == 0)
        usleep(1000);
    printf("one waits: %d\n", semctl(id, 0, GETNCNT));
    operate(id, 0, 1, 0);
    printf("woken %d", end_of(child));
    printf(", %d by the child %d\n", semctl(id, 1, GETVAL), semctl(id, 1, GETPID) == child);
    child = fork();
    if (child == 0) {
        operate(id, 1, -4, SEM_UNDO);
        operate(id, 2, 3, SEM_UNDO);
        _exit(semctl(id, 1, GETVAL));
    }
    printf("child saw %d", end_of(child));
    printf(", undone %d %d\n", semctl(id, 1, GETVAL), semctl(id, 2, GETVAL));
    struct timespec soon = {0, 20000000};
    struct sembuf take = {2, -1, 0};
    printf("time-out %s\n", err(semtimedop(id, &take, 1, &soon)));
    child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigaction(SIGUSR1, &action, NULL);
        _exit(operate(id, 2, -1, 0) < 0 ? errno == EINTR ? 1 : 2 : 0);
    }
    while (semctl(id, 2, GETNCNT) == 0)
        usleep(1000);
    kill(child, SIGUSR1);
    printf("interrupted: %d\n", end_of(child));
    child = fork();
    if (child == 0)
        _exit(operate(id, 2, -1, 0) < 0 && errno == EIDRM);
    while (semctl(id, 2, GETNCNT) == 0)
        usleep(1000);
    value.buf = &info;
    semctl(id, 0, IPC_STAT, value);
    printf("set of %ld, mode %o\n", (long)info.sem_nsems, info.sem_perm.mode);
    semctl(id, 0, IPC_RMID);
    printf("removed under a waiter: %d", end_of(child));
    printf(", %s\n", err(semctl(id, 0, GETVAL)));
}

static int put(int id, long type, const char *text, int flags) {
    struct message message = {.type = type};
    strcpy(message.text, text);
    return msgsnd(id, &message, strlen(text), flags);
}

static void take(int id, long type, int flags) {
    struct message message = {0};
    ssize_t length = msgrcv(id, &message, 10, type, flags);
    if (length < 0)
        printf(" %s", err(length));
    else
        printf(" %ld:%.*s", message.type, (int)length, message.text);
}

static void queues(void) {
    struct msqid_ds info;
    int id = msgget(IPC_PRIVATE, 0600);
    put(id, 3, "three", 0);
    put(id, 1, "one", 0);
    put(id, 2, "two", 0);
    put(id, 2, "deux", 0);
    put(id, 5, "a longer one", 0);
    msgctl(id, IPC_STAT, &info);
    printf("queued %ld, mode %o, room for %ld\n", (long)info.msg_qnum, info.msg_perm.mode, (long)info.msg_qbytes);
    printf("by type:");
    take(id, 2, 0);
    take(id, -2, 0);
    take(id, 3, MSG_EXCEPT);
    take(id, 0, 0);
    take(id, 5, 0);
    take(id, 5, MSG_NOERROR);
    take(id, 0, IPC_NOWAIT);
    printf("\n");
    printf("type %s", err(put(id, 0, "x", 0)));
    printf(", size %s", err(msgsnd(id, &info, 9000, 0)));
    printf(", pointer %s", err(msgsnd(id, (void *)8, 1, 0)));
    printf(", id %s\n", err(put(id + 1, 1, "x", 0)));
    int sent = 0;
    struct {
        long type;
        char text[4096];
    } big = {.type = 1};
    while (msgsnd(id, &big, sizeof big.text, IPC_NOWAIT) == 0)
        sent++;
    printf("full after %d: %s\n", sent, err(-1));
    pid_t child = fork();
    if (child == 0) {
        int result = msgsnd(id, &big, sizeof big.text, 0);
        _exit(result == 0 ? 3 : 4);
    }
    until_asleep(child);
    (void)!msgrcv(id, &big, sizeof big.text, 0, 0);
    printf("sent when there was room: %d\n", end_of(child));
    while (msgrcv(id, &big, sizeof big.text, 0, IPC_NOWAIT) >= 0)
        ;
    child = fork();
    if (child == 0)
        _exit(msgrcv(id, &big, sizeof big.text, 0, 0) < 0 && errno == EIDRM);
    until_asleep(child);
    msgctl(id, IPC_RMID, NULL);
    printf("removed under a waiter: %d", end_of(child));
    printf(", %s\n", err(msgctl(id, IPC_STAT, &info)));
}

static void permissions(void) {
    int id = shmget(IPC_PRIVATE, 4096, 0600), set = semget(IPC_PRIVATE, 1, 0644), queue = msgget(IPC_PRIVATE, 0600);
    struct shmid_ds info;
    pid_t child = fork();
    if (child == 0) {
        if (setgid(54321) || setuid(54321))
            _exit(9);
        printf("another user: %s", err((long)shmat(id, NULL, 0)));
        printf(" %s", err(shmctl(id, IPC_STAT, &info)));
        printf(" %s", err(shmctl(id, IPC_RMID, NULL)));
        printf(" %s", err(semctl(set, 0, GETVAL)));
        printf(" %s", err(operate(set, 0, 1, 0)));
        printf(" %s\n", err(put(queue, 1, "x", 0)));
        _exit(0);
    }
    end_of(child);
    shmctl(id, IPC_RMID, NULL);
    semctl(set, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    memory();
    semaphores();
    queues();
    permissions();
    return 0;
}
