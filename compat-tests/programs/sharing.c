// What processes share: mappings, futexes, robust mutexes, semaphores, record locks, offsets, pipes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    pthread_mutex_t mutex, robust;
    pthread_cond_t condition;
    pthread_barrier_t barrier;
    sem_t semaphore;
    int counter, turn;
};

static struct shared *shared;

static pid_t child_of(void (*body)(int), int argument) {
    pid_t child = fork();
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    return child;
}

static int end_of(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void add(int times) {
    for (int i = 0; i < times; i++) {
        pthread_mutex_lock(&shared->mutex);
        int value = shared->counter;
        if (i % 50 == 0)
            usleep(10);
        shared->counter = value + 1;
        pthread_mutex_unlock(&shared->mutex);
    }
}

static void take_turns(int me) {
    for (int i = 0; i < 20; i++) {
        pthread_mutex_lock(&shared->mutex);
        while (shared->turn % 3 != me)
            pthread_cond_wait(&shared->condition, &shared->mutex);
        shared->turn++;
        pthread_cond_broadcast(&shared->condition);
        pthread_mutex_unlock(&shared->mutex);
    }
}

static void meet(int unused) {
    (void)unused;
    int result = pthread_barrier_wait(&shared->barrier);
    _exit(result == PTHREAD_BARRIER_SERIAL_THREAD ? 1 : 0);
}

static void die_with_lock(int how) {
    pthread_mutex_lock(&shared->robust);
    if (how == 0)
        _exit(0);
    if (how == 1)
        kill(getpid(), SIGKILL);
    // Close on exec: the parent sees the end of the pipe.
    execl("/proc/self/exe", "me", "exec", NULL);
}

static void post(int times) {
    for (int i = 0; i < times; i++)
        sem_post(&shared->semaphore);
}

static void locks(void) {
    pthread_mutexattr_t attribute;
    pthread_condattr_t condition;
    pthread_barrierattr_t barrier;
    pid_t children[3];
    pthread_mutexattr_init(&attribute);
    pthread_mutexattr_setpshared(&attribute, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &attribute);
    pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->robust, &attribute);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&shared->condition, &condition);
    pthread_barrierattr_init(&barrier);
    pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->barrier, &barrier, 3);
    sem_init(&shared->semaphore, 1, 0);
    for (int i = 0; i < 3; i++)
        children[i] = child_of(add, 500);
    for (int i = 0; i < 3; i++)
        end_of(children[i]);
    printf("mutex: %d\n", shared->counter);
    for (int i = 0; i < 3; i++)
        children[i] = child_of(take_turns, i);
    for (int i = 0; i < 3; i++)
        end_of(children[i]);
    printf("condition: %d\n", shared->turn);
    for (int i = 0; i < 3; i++)
        children[i] = child_of(meet, 0);
    int last = 0;
    for (int i = 0; i < 3; i++)
        last += end_of(children[i]);
    printf("barrier: %d\n", last);
    for (int how = 0; how < 3; how++) {
        int executed[2];
        char c;
        (void)!pipe2(executed, O_CLOEXEC);
        pid_t child = child_of(die_with_lock, how);
        close(executed[1]);
        if (how < 2)
            end_of(child);
        else
            (void)!read(executed[0], &c, 1);
        int result = pthread_mutex_lock(&shared->robust);
        printf("robust: %s\n", result == EOWNERDEAD ? "EOWNERDEAD" : "another result");
        pthread_mutex_consistent(&shared->robust);
        pthread_mutex_unlock(&shared->robust);
        if (how == 2)
            end_of(child);
    }
    pid_t child = child_of(post, 100);
    for (int i = 0; i < 100; i++)
        sem_wait(&shared->semaphore);
    printf("semaphore: %d\n", end_of(child));
}

static void named(void) {
    char name[40];
    snprintf(name, sizeof name, "/skiff-%d", getpid());
    sem_t *semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
    if (semaphore == SEM_FAILED) {
        printf("sem_open failed\n");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        sem_t *again = sem_open(name, 0);
        sem_post(again);
        _exit(again != SEM_FAILED);
    }
    sem_wait(semaphore);
    sem_unlink(name);
    printf("named semaphore: %d\n", end_of(child));
    int fd = shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0600);
    (void)!ftruncate(fd, 8192);
    char *mine = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    child = fork();
    if (child == 0) {
        int again = shm_open(name, O_RDWR, 0);
        char *theirs = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
        theirs[5000] = 77;
        _exit(0);
    }
    end_of(child);
    shm_unlink(name);
    printf("named memory: %d\n", mine[5000]);
}

static int lock_range(int fd, int cmd, int type, int start) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = 1};
    return fcntl(fd, cmd, &lock) < 0 ? errno : cmd == F_GETLK ? lock.l_pid : 0;
}

static void files(void) {
    char path[] = "/tmp/sharing-XXXXXX", text[10] = "";
    int go[2], fd = mkstemp(path);
    unlink(path);
    (void)!pipe(go);
    (void)!write(fd, "abcdefgh", 8);
    lseek(fd, 0, SEEK_SET);
    pid_t child = fork();
    if (child == 0) {
        (void)!read(fd, text, 3);
        _exit(0);
    }
    end_of(child);
    (void)!read(fd, text, 3);
    printf("shared offset: %s\n", text);
    lock_range(fd, F_SETLK, F_WRLCK, 0);
    child = fork();
    if (child == 0) {
        int busy = lock_range(fd, F_SETLK, F_WRLCK, 0) == EAGAIN, holder = lock_range(fd, F_GETLK, F_WRLCK, 0) == getppid();
        _exit(busy + 2 * holder);
    }
    printf("record lock is not inherited: %d\n", end_of(child));
    // Each waits for the other's.
    child = fork();
    if (child == 0) {
        lock_range(fd, F_SETLK, F_WRLCK, 1);
        (void)!write(go[1], "x", 1);
        _exit(lock_range(fd, F_SETLKW, F_WRLCK, 0) != 0);
    }
    (void)!read(go[0], text, 1);
    usleep(100000);
    int result = lock_range(fd, F_SETLKW, F_WRLCK, 1);
    printf("deadlock: %s\n", result == EDEADLK ? "EDEADLK" : "another result");
    lock_range(fd, F_SETLK, F_UNLCK, 0);
    printf("the other goes on: %d\n", end_of(child));
    // A lock goes with its process.
    child = fork();
    if (child == 0) {
        lock_range(fd, F_SETLK, F_WRLCK, 5);
        (void)!write(go[1], "x", 1);
        pause();
    }
    (void)!read(go[0], text, 1);
    printf("held: %d", lock_range(fd, F_SETLK, F_WRLCK, 5) == EAGAIN);
    kill(child, SIGKILL);
    printf(", then free: %d\n", lock_range(fd, F_SETLKW, F_WRLCK, 5));
    end_of(child);
    // flock(2) belongs to the description, which the child shares.
    flock(fd, LOCK_EX);
    child = fork();
    if (child == 0)
        _exit(flock(fd, LOCK_EX | LOCK_NB) == 0);
    printf("flock is inherited: %d\n", end_of(child));
    // A file's mapping.
    char *map = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    child = fork();
    if (child == 0) {
        map[0] = 'Z';
        private[1] = 'Y';
        _exit(0);
    }
    end_of(child);
    printf("mapped: %.2s %.2s\n", map, private);
    // A reader sees the end when the last writer is gone, in whichever process.
    int ends[2];
    (void)!pipe(ends);
    child = fork();
    if (child == 0) {
        usleep(20000);
        (void)!write(ends[1], "late", 4);
        _exit(0);
    }
    close(ends[1]);
    memset(text, 0, sizeof text);
    ssize_t first = read(ends[0], text, 4), second = read(ends[0], text + 4, 4);
    printf("pipe: %zd %zd %s\n", first, second, text);
    end_of(child);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        usleep(20000);
        return 0;
    }
    setvbuf(stdout, NULL, _IONBF, 0);
    shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    locks();
    named();
    files();
    return 0;
}
