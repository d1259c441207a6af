// The first process of the Linux guest: what an init must do before one program can run, and nothing else.
//
// /bench/run says what, a line each: `module PATH`, `address A.B.C.D`, `arg TEXT` (the first is the program), `env TEXT`.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEBUG_EXIT = 0xf4, MOST = 64 };

// QEMU's isa-debug-exit, as Skiff leaves: the status, and the machine is gone.
static void leave(int status) {
    if (ioperm(DEBUG_EXIT, 1, 1) == 0)
        outb(status, DEBUG_EXIT);
    for (;;)
        pause();
}

static void complain(const char *what) {
    printf("init: %s: %s\n", what, strerror(errno));
}

static void load(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
        complain(path);
    close(fd);
}

static void up(int socket, const char *interface, const char *address) {
    struct ifreq request = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    strcpy(request.ifr_name, interface);
    if (address) {
        in->sin_family = AF_INET;
        inet_pton(AF_INET, address, &in->sin_addr);
        if (ioctl(socket, SIOCSIFADDR, &request))
            complain(address);
        inet_pton(AF_INET, "255.255.255.0", &in->sin_addr);
        if (ioctl(socket, SIOCSIFNETMASK, &request))
            complain("netmask");
    }
    if (ioctl(socket, SIOCGIFFLAGS, &request))
        complain(interface);
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    if (ioctl(socket, SIOCSIFFLAGS, &request))
        complain(interface);
}

int main(void) {
    static char line[MOST * 2][512];
    char *args[MOST + 1] = {0}, *env[MOST + 1] = {0};
    int n_args = 0, n_env = 0, n = 0;

    setvbuf(stdout, NULL, _IONBF, 0);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mkdir("/dev/shm", 01777);
    mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
    int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
    up(socket_fd, "lo", NULL);
    FILE *run = fopen("/bench/run", "r");
    if (!run)
        leave(125);
    while (n < MOST * 2 && fgets(line[n], sizeof line[n], run)) {
        char *word = line[n++], *rest = strchr(word, ' ');
        word[strcspn(word, "\n")] = 0;
        if (!rest)
            continue;
        *rest++ = 0;
        if (!strcmp(word, "module"))
            load(rest);
        else if (!strcmp(word, "address"))
            up(socket_fd, "eth0", rest);
        else if (!strcmp(word, "arg") && n_args < MOST)
            args[n_args++] = rest;
        else if (!strcmp(word, "env") && n_env < MOST)
            env[n_env++] = rest;
    }
    fclose(run);
    close(socket_fd);
    pid_t child = fork();
    if (child == 0) {
        // As Skiff's first process has it.
        struct rlimit files = {1 << 20, 1 << 20};
        setrlimit(RLIMIT_NOFILE, &files);
        execve(args[0], args, env);
        complain(args[0]);
        _exit(127);
    }
    int status = 0;
    while (wait(&status) != child) {
    }
    leave(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
