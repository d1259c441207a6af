// Set-user-ID programs, and what an unprivileged user may not do with other people's files and processes.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { USER = 54321, OTHER = 54322, GROUP = 54400 };
static char dir[64], path[128];

static const char *err(long result) {
    return result >= 0 ? "ok" : strerrorname_np(errno);
}

static const char *in(const char *name) {
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void become(unsigned uid, unsigned gid) {
    gid_t groups[] = {GROUP};
    if (setgroups(1, groups) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
        _exit(99);
}

static int end_of(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void as(unsigned uid, void (*body)(void)) {
    pid_t child = fork();
    if (child == 0) {
        become(uid, uid);
        body();
        _exit(0);
    }
    int end = end_of(child);
    if (end)
        printf("ended %d\n", end);
}

static void put(const char *name, unsigned mode, unsigned uid, unsigned gid) {
    int fd = open(in(name), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    (void)!write(fd, "content", 7);
    (void)!fchown(fd, uid, gid);
    fchmod(fd, mode);
    close(fd);
}

// What the program that was just executed is.
static int report(void) {
    uid_t r, e, s;
    gid_t gr, ge, gs;
    getresuid(&r, &e, &s);
    getresgid(&gr, &ge, &gs);
    printf("  uid %u %u %u, gid %u %u %u, secure %lu, dumpable %d, no_new_privs %d, preload %s\n", r, e, s, gr, ge, gs,
           getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE) == 1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), getenv("LD_LIBRARY_PATH") ? "kept" : "gone");
    char line[200];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "CapEff:", 7))
            printf("  privileged: %d\n", strtoull(line + 7, NULL, 16) != 0);
    return 0;
}

static void run(const char *name, unsigned uid, int no_new_privs) {
    pid_t child = fork();
    if (child == 0) {
        char *argv[] = {"me", "report", NULL}, *envp[] = {"LD_LIBRARY_PATH=/nowhere", NULL};
        become(uid, uid);
        if (no_new_privs)
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        execve(in(name), argv, envp);
        printf("  %s\n", err(-1));
        _exit(1);
    }
    end_of(child);
}

static void copy_self(const char *name, unsigned mode, unsigned uid, unsigned gid) {
    char buffer[65536];
    ssize_t n;
    int from = open("/proc/self/exe", O_RDONLY), to = open(in(name), O_CREAT | O_WRONLY, 0600);
    while ((n = read(from, buffer, sizeof buffer)) > 0)
        (void)!write(to, buffer, n);
    close(from);
    (void)!fchown(to, uid, gid);
    fchmod(to, mode);
    close(to);
}

static void programs(void) {
    copy_self("plain", 0755, 0, 0);
    copy_self("setuid-user", 04755, USER, 0);
    copy_self("setuid-root", 04755, 0, 0);
    copy_self("setgid", 02755, 0, GROUP);
    copy_self("locks", 02745, 0, GROUP);
    copy_self("unreadable", 0711, 0, 0);
    copy_self("no-exec", 0644, 0, 0);
    puts("plain"), run("plain", OTHER, 0);
    puts("setuid to a user, from another"), run("setuid-user", OTHER, 0);
    puts("from root"), run("setuid-user", 0, 0);
    puts("setuid root"), run("setuid-root", OTHER, 0);
    puts("with no_new_privs"), run("setuid-root", OTHER, 1);
    puts("setgid"), run("setgid", OTHER, 0);
    puts("setgid without group execution"), run("locks", OTHER, 0);
    puts("unreadable"), run("unreadable", OTHER, 0);
    puts("not executable"), run("no-exec", OTHER, 0), run("no-exec", 0, 0);
    // A script's own bits mean nothing.
    int fd = open(in("script"), O_CREAT | O_WRONLY, 0700);
    dprintf(fd, "#!%s/plain\n", dir);
    (void)!fchown(fd, USER, USER);
    fchmod(fd, 04755);
    close(fd);
    puts("script"), run("script", OTHER, 0);
}

static unsigned mode_of(const char *name) {
    struct stat st;
    return stat(in(name), &st) ? 0 : st.st_mode & 07777;
}

static void write_it(void) {
    int fd = open(in("bits"), O_WRONLY);
    (void)!write(fd, "x", 1);
    close(fd);
}

static void chmod_it(void) {
    printf("chmod to a group of mine: %s", err(chmod(in("mine"), 02755)));
    printf(" %o", mode_of("mine"));
    printf(", of others: %s", err(chmod(in("foreign-group"), 02755)));
    printf(" %o\n", mode_of("foreign-group"));
    printf("chgrp to mine: %s", err(chown(in("mine"), -1, GROUP)));
    printf(", to another: %s", err(chown(in("mine"), -1, 12345)));
    printf(", give away: %s, keep: %s\n", err(chown(in("mine"), OTHER, -1)), err(chown(in("mine"), USER, -1)));
}

static void bits(void) {
    put("bits", 06777, USER, USER);
    as(OTHER, write_it);
    printf("after a write: %o", mode_of("bits"));
    put("bits", 06777, USER, USER);
    write_it();
    printf(", by root: %o", mode_of("bits"));
    (void)!chown(in("bits"), OTHER, -1);
    printf(", after chown: %o\n", mode_of("bits"));
    put("bits", 02767, USER, USER);
    (void)!chown(in("bits"), OTHER, OTHER);
    printf("mandatory locking bit: %o\n", mode_of("bits"));
    put("mine", 0644, USER, USER);
    put("foreign-group", 0644, USER, 12345);
    as(USER, chmod_it);
    mkdir(in("setgid-dir"), 0777);
    (void)!chown(in("setgid-dir"), 0, 4242);
    chmod(in("setgid-dir"), 02777);
    mkdir(in("setgid-dir/d"), 0755);
    struct stat st;
    stat(in("setgid-dir/d"), &st);
    printf("inherited: group %u, mode %o\n", st.st_gid, st.st_mode & 07777);
}

static void unprivileged(void) {
    char link[100], text[8];
    struct stat st;
    printf("root's file: %s %s %s", err(open(in("secret"), O_RDONLY)), err(truncate(in("secret"), 0)), err(access(in("secret"), R_OK)));
    printf(" stat %s link %s\n", err(stat(in("secret"), &st)), err(symlink("secret", in("open/link"))));
    printf("through a link: %s\n", err(open(in("open/link"), O_RDONLY)));
    printf("in a closed directory: %s %s %s\n", err(open(in("closed/file"), O_RDONLY)), err(stat(in("closed/file"), &st)),
           err(chdir(in("closed"))));
    DIR *list = opendir(in("unlisted"));
    printf("unlisted: %s, %s\n", list ? "ok" : err(-1), err(open(in("unlisted/file"), O_RDONLY)));
    printf("only listed: %s", err(open(in("listed/file"), O_RDONLY)));
    printf(" %s\n", (list = opendir(in("listed"))) ? "ok" : err(-1));
    printf("by group: %s, denied to the group: %s\n", err(open(in("group"), O_RDONLY)), err(open(in("not-group"), O_RDONLY)));
    printf("own, without permission: %s", err(open(in("own"), O_RDONLY)));
    printf(", chmod %s", err(chmod(in("own"), 0400)));
    printf(", then %s\n", err(open(in("own"), O_RDONLY)));
    printf("create: %s, remove: %s, rename: %s\n", err(open(in("new"), O_CREAT | O_WRONLY, 0600)), err(unlink(in("secret"))),
           err(rename(in("own"), in("own2"))));
    printf("sticky: mine %s", err(unlink(in("sticky/mine"))));
    printf(", others' %s", err(unlink(in("sticky/theirs"))));
    printf(" %s\n", err(rmdir(in("sticky/dir"))));
    printf("chmod %s, chown %s, utimes %s, xattr %s\n", err(chmod(in("secret"), 0777)), err(chown(in("secret"), USER, -1)),
           err(utimensat(AT_FDCWD, in("secret"), NULL, 0)), err(setxattr(in("secret"), "user.a", "b", 1, 0)));
    printf("mknod %s, mount %s, chroot %s, sethostname %s\n", err(mknod(in("open/dev"), S_IFCHR | 0600, 0x103)),
           err(syscall(165, "none", "/", "tmpfs", 0, 0)), err(chroot(dir)), err(sethostname("x", 1)));
    printf("setuid %s, setgid %s, setgroups %s, nice %s\n", err(setuid(0)), err(setgid(0)), err(setgroups(0, NULL)),
           err(setpriority(PRIO_PROCESS, 0, -1)));
    pid_t parent = getppid();
    printf("kill: %s", err(kill(parent, 0)));
    printf(", setpgid %s, prlimit %s", err(setpgid(parent, 0)), err(prlimit(parent, RLIMIT_NOFILE, &(struct rlimit){9, 9}, NULL)));
    struct iovec mine = {text, 8}, theirs = {&parent, 8};
    printf(", memory %s\n", err(process_vm_readv(parent, &mine, 1, &theirs, 1, 0)));
    static const char *const files[] = {"environ", "mem", "maps", "exe", "cwd", "root", "fd", "stat", "status", "cmdline", "io"};
    printf("/proc:");
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", parent, files[i]);
        int fd = i >= 3 && i <= 5 ? (int)readlink(path, link, sizeof link) : open(path, O_RDONLY);
        const char *result = err(fd);
        if (fd >= 0 && i < 3)
            result = read(fd, text, 8) > 0 ? "read" : err(-1);
        printf(" %s %s", files[i], result);
    }
    puts("");
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", dir);
    printf("root's socket: %s\n", err(connect(s, (void *)&address, sizeof address)));
    printf("shared mapping of what I may only read: %s, private: %s\n",
           mmap(0, 4096, PROT_WRITE, MAP_SHARED, open(in("readable"), O_RDONLY), 0) == MAP_FAILED ? err(-1) : "ok",
           mmap(0, 4096, PROT_WRITE | PROT_READ, MAP_PRIVATE, open(in("readable"), O_RDONLY), 0) == MAP_FAILED ? err(-1) : "ok");
}

static void real_ids(void) {
    // access(2) asks with the real ids, open(2) with the effective ones.
    if (setresuid(OTHER, 0, 0))
        _exit(98);
    printf("effective root: open %s, access %s", err(open(in("secret"), O_RDONLY)), err(access(in("secret"), R_OK)));
    printf(", faccessat %s\n", err(faccessat(AT_FDCWD, in("secret"), R_OK, AT_EACCESS)));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1 && !strcmp(argv[1], "report"))
        return report();
    if (argc > 2)
        return report();
    umask(022);
    strcpy(dir, "/tmp/set-id-XXXXXX");
    (void)!mkdtemp(dir);
    chmod(dir, 0755);
    programs();
    bits();
    put("secret", 0600, 0, 0);
    put("readable", 0644, 0, 0);
    put("group", 0640, 0, GROUP);
    put("not-group", 0604, 0, GROUP);
    put("own", 0, USER, USER);
    static const struct { const char *name; unsigned mode; } dirs[] = {{"closed", 0700}, {"unlisted", 0711}, {"listed", 0744},
        {"sticky", 01777}, {"open", 0777}};
    for (unsigned i = 0; i < 5; i++) {
        mkdir(in(dirs[i].name), 0700);
        chmod(path, dirs[i].mode);
    }
    put("closed/file", 0644, 0, 0);
    put("unlisted/file", 0644, 0, 0);
    put("listed/file", 0644, 0, 0);
    put("sticky/mine", 0600, USER, USER);
    put("sticky/theirs", 0666, OTHER, OTHER);
    mkdir(in("sticky/dir"), 0777);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", dir);
    bind(s, (void *)&address, sizeof address);
    listen(s, 1);
    chmod(address.sun_path, 0755);
    as(USER, unprivileged);
    pid_t child = fork();
    if (child == 0) {
        real_ids();
        _exit(0);
    }
    end_of(child);
    char command[100];
    snprintf(command, sizeof command, "%s", dir);
    if (fork() == 0) {
        execlp("rm", "rm", "-r", command, NULL);
        _exit(0);
    }
    wait(NULL);
    return 0;
}
