// execve(2) and its kin: arguments, descriptors, handlers, threads, scripts, posix_spawn(3), vfork(2), errors.
// compat: variants=pie,static,musl
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *self;

static const char *name(int code) {
    switch (code) {
    case 0: return "ok";
    case E2BIG: return "E2BIG";
    case EACCES: return "EACCES";
    case EBADF: return "EBADF";
    case EFAULT: return "EFAULT";
    case EINVAL: return "EINVAL";
    case ELOOP: return "ELOOP";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    case ENOENT: return "ENOENT";
    case ENOEXEC: return "ENOEXEC";
    case ENOTDIR: return "ENOTDIR";
    case ETXTBSY: return "ETXTBSY";
    default: return "another error";
    }
}

static void show(const char *what, int status) {
    if (WIFEXITED(status))
        printf("%s: exited %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("%s: killed by %d\n", what, WTERMSIG(status));
}

static void *run(const char *how) {
    char *argv[] = {"me", (char *)how, NULL};
    execv(self, argv);
    _exit(99);
}

static void *exec_in_thread(void *how) {
    return run(how);
}

static void *forever(void *unused) {
    for (;;)
        pause();
    return unused;
}

static void on_signal(int sig) {
    (void)sig;
}

// What the new program finds.
static int inspect(const char *how) {
    struct sigaction action;
    if (!strcmp(how, "fds")) {
        printf("fd 10 %s, fd 11 %s\n", fcntl(10, F_GETFD) < 0 ? "closed" : "open", fcntl(11, F_GETFD) < 0 ? "closed" : "open");
        return 1;
    }
    if (!strcmp(how, "signals")) {
        sigset_t set;
        sigaction(SIGUSR1, NULL, &action);
        printf("USR1 %s", action.sa_handler == SIG_DFL ? "default" : "other");
        sigaction(SIGUSR2, NULL, &action);
        printf(", USR2 %s", action.sa_handler == SIG_IGN ? "ignored" : "other");
        sigprocmask(SIG_SETMASK, NULL, &set);
        printf(", HUP blocked %d", sigismember(&set, SIGHUP));
        sigpending(&set);
        printf(", HUP pending %d\n", sigismember(&set, SIGHUP));
        return 2;
    }
    if (!strcmp(how, "thread")) {
        int tasks = 0;
        char line[200];
        FILE *f = fopen("/proc/self/status", "r");
        while (f && fgets(line, sizeof line, f))
            sscanf(line, "Threads: %d", &tasks);
        printf("threads %d, leader %d\n", tasks, getpid() == (int)syscall(SYS_gettid));
        return 3;
    }
    return how[0] == 'e' ? 7 : 98;
}

static int child_runs(const char *how, void (*prepare)(void)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (prepare)
            prepare();
        run(how);
    }
    waitpid(child, &status, 0);
    return status;
}

static void open_fds(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(fd, 10);
    dup3(fd, 11, O_CLOEXEC);
}

static void set_signals(void) {
    sigset_t set;
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGHUP);
}

static void threads_too(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, forever, NULL);
    pthread_create(&thread, NULL, forever, NULL);
}

static void from_a_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, forever, NULL);
    pthread_create(&thread, NULL, exec_in_thread, "thread");
    forever(NULL);
}

static int try(const char *path, char **argv, char **envp) {
    volatile int result = 0;
    pid_t child = vfork();
    if (child == 0) {
        execve(path, argv, envp);
        // The parent waits, and sees what the child writes.
        result = errno;
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return result;
}

static void put(const char *path, const char *text, mode_t mode) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0700);
    (void)!write(fd, text, strlen(text));
    fchmod(fd, mode);
    close(fd);
}

static void errors(void) {
    char directory[] = "/tmp/exec-XXXXXX", path[100], interpreter[300], *argv[] = {"x", NULL}, *none[] = {NULL};
    if (!mkdtemp(directory) || chdir(directory))
        return;
    put("garbage", "\x7f\x45LF and nothing more", 0755);
    put("text", "hello\n", 0755);
    put("empty", "", 0755);
    put("plain", "#!/bin/sh\n", 0644);
    put("nowhere", "#!/no/such/interpreter\n", 0755);
    put("loop", "#!./loop\n", 0755);
    put("bare", "#!\n", 0755);
    printf("garbage %s, text %s, empty %s", name(try("./garbage", argv, none)), name(try("./text", argv, none)),
           name(try("./empty", argv, none)));
    printf(", not executable %s, no interpreter %s", name(try("./plain", argv, none)), name(try("./nowhere", argv, none)));
    printf(", own interpreter %s, bare %s\n", name(try("./loop", argv, none)), name(try("./bare", argv, none)));
    printf("directory %s, missing %s, through a file %s, ", name(try("/", argv, none)), name(try("./missing", argv, none)),
           name(try("./text/x", argv, none)));
    memset(interpreter, 'x', sizeof interpreter);
    interpreter[299] = 0;
    printf("long name %s, bad pointer %s, bad argv %s\n", name(try(interpreter, argv, none)), name(try((char *)8, argv, none)),
           name(try(self, (char **)8, none)));
    char *big = malloc(200000), *huge[] = {"x", big, NULL};
    memset(big, 'a', 199999);
    big[199999] = 0;
    printf("long argument %s\n", name(try(self, huge, none)));
    int fd = open("busy", O_CREAT | O_WRONLY, 0755);
    (void)!write(fd, "x", 1);
    printf("open for writing %s\n", name(try("./busy", argv, none)));
    close(fd);
    snprintf(path, sizeof path, "%s/link", directory);
    (void)!symlink("text", path);
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    int result = syscall(SYS_execveat, dir, "link", argv, none, AT_SYMLINK_NOFOLLOW);
    printf("execveat: link %s", name(result < 0 ? errno : 0));
    result = syscall(SYS_execveat, dir, "text", argv, none, 0x80000);
    printf(", flags %s", name(result < 0 ? errno : 0));
    result = syscall(SYS_execveat, 99, "text", argv, none, 0);
    printf(", descriptor %s\n", name(result < 0 ? errno : 0));
    const char *files[] = {"garbage", "text", "empty", "plain", "nowhere", "loop", "bare", "busy", "link"};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    (void)!chdir("/");
    rmdir(directory);
}

static void spawn(void) {
    pid_t child;
    int status, ends[2];
    char *argv[] = {"me", "exit", NULL}, text[10] = "";
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t set;
    printf("spawn %s", name(posix_spawn(&child, self, NULL, NULL, argv, environ)));
    waitpid(child, &status, 0);
    show("", status);
    printf("spawn of nothing %s\n", name(posix_spawn(&child, "/no/such/file", NULL, NULL, argv, environ)));
    (void)!pipe(ends);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawnattr_init(&attributes);
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&attributes, &set);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    char *fds[] = {"me", "fds", NULL};
    printf("spawn with actions %s\n", name(posix_spawn(&child, self, &actions, &attributes, fds, environ)));
    close(ends[1]);
    waitpid(child, &status, 0);
    (void)!read(ends[0], text, 5);
    show(text, status);
}

int main(int argc, char **argv) {
    static char path[4096];
    setvbuf(stdout, NULL, _IONBF, 0);
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    self = path;
    if (argc > 1)
        return inspect(argv[1]);
    show("exec", child_runs("exit", NULL));
    show("descriptors", child_runs("fds", open_fds));
    show("signals", child_runs("signals", set_signals));
    show("other threads end", child_runs("thread", threads_too));
    show("exec in a thread", child_runs("thread", from_a_thread));
    int status, fd = open(self, O_RDONLY | O_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        char *arguments[] = {"me", "exit", NULL};
        fexecve(fd, arguments, environ);
        _exit(99);
    }
    waitpid(child, &status, 0);
    show("fexecve", status);
    spawn();
    errors();
    return 0;
}
