// Process groups and sessions: setpgid(2), setsid(2), kill(2) by group, orphaned groups, the controlling terminal.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t got[65];

static void note(int sig) {
    got[sig]++;
}

static const char *err(long result) {
    if (result >= 0)
        return "ok";
    switch (errno) {
    case EACCES: return "EACCES";
    case EINVAL: return "EINVAL";
    case EIO: return "EIO";
    case ENOTTY: return "ENOTTY";
    case ENXIO: return "ENXIO";
    case EPERM: return "EPERM";
    case ESRCH: return "ESRCH";
    default: return "another error";
    }
}

static int end_of(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static pid_t sleeper(void) {
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    return child;
}

static void groups(void) {
    pid_t one = sleeper(), two = sleeper(), three = sleeper();
    printf("own group %s, ", err(setpgid(one, 0)));
    printf("join %s\n", err(setpgid(two, one)));
    printf("same group %d, other %d\n", getpgid(two) == one, getpgid(three) == getpgrp());
    printf("no such group %s, negative %s", err(setpgid(three, 1 << 30)), err(setpgid(three, -1)));
    printf(", no process %s\n", err(setpgid(1 << 30, 0)));
    pid_t other = fork();
    if (other == 0)
        _exit(setpgid(getppid(), 0) < 0 && errno == ESRCH);
    printf("no child %d\n", end_of(other));
    printf("kill a group %s\n", err(kill(-one, SIGTERM)));
    printf("%d ", end_of(one));
    printf("%d\n", end_of(two));
    printf("empty group %s\n", err(kill(-one, SIGTERM)));
    kill(three, SIGKILL);
    end_of(three);
    int ends[2];
    (void)!pipe2(ends, O_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "me", "sleep", NULL);
        _exit(1);
    }
    char c;
    close(ends[1]);
    (void)!read(ends[0], &c, 1);
    printf("after exec %s\n", err(setpgid(child, 0)));
    kill(child, SIGKILL);
    end_of(child);
    child = fork();
    if (child == 0) {
        printf("setsid %d", setsid() == getpid());
        printf(", ids %d %d", getsid(0) == getpid(), getpgrp() == getpid());
        printf(", again %s", err(setsid()));
        printf(", leader's group %s\n", err(setpgid(0, 0)));
        _exit(open("/dev/tty", O_RDWR) < 0 && errno == ENXIO ? 3 : 4);
    }
    printf("session %d\n", end_of(child));
}

// A stopped group that loses its last tie to the session is continued with SIGHUP.
static void orphaned_group(void) {
    int ends[2];
    char text[10] = "";
    (void)!pipe(ends);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0) {
            pid_t member = fork();
            if (member == 0) {
                setpgid(0, 0);
                signal(SIGHUP, note);
                signal(SIGCONT, note);
                raise(SIGSTOP);
                usleep(1000);
                snprintf(text, sizeof text, "%d %d", got[SIGHUP], got[SIGCONT]);
                (void)!write(ends[1], text, 4);
                _exit(0);
            }
            waitpid(member, NULL, WUNTRACED);
            _exit(0);
        }
        wait(NULL);
        _exit(0);
    }
    end_of(child);
    (void)!read(ends[0], text, 4);
    printf("orphaned group: %s\n", text);
    while (wait(NULL) > 0)
        ;
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void terminal(void) {
    int master, slave, ends[2];
    char text[100] = "";
    (void)!pipe(ends);
    openpty(&master, &slave, NULL, NULL, NULL);
    pid_t leader = fork();
    if (leader == 0) {
        setsid();
        printf("control %s", err(ioctl(slave, TIOCSCTTY, 0)));
        printf(", foreground %d, session %d\n", tcgetpgrp(slave) == getpgrp(), tcgetsid(slave) == getpid());
        printf("/dev/tty %s\n", err(open("/dev/tty", O_RDWR)));
        signal(SIGTTOU, SIG_IGN);
        pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            signal(SIGTTOU, SIG_DFL);
            while (tcgetpgrp(slave) != getpgrp())
                usleep(1000);
            (void)!write(ends[1], "r", 1);
            for (;;)
                pause();
        }
        setpgid(job, job);
        printf("give it the terminal %s", err(tcsetpgrp(slave, job)));
        printf(", no such group %s\n", err(tcsetpgrp(slave, 1 << 30)));
        int status;
        waitpid(job, &status, WUNTRACED);
        printf("the job: stopped %d by %d\n", WIFSTOPPED(status), WIFSTOPPED(status) ? WSTOPSIG(status) == SIGTSTP : 0);
        tcsetpgrp(slave, getpgrp());
        // In the background now, reading stops it.
        kill(-job, SIGKILL);
        printf("end %d\n", end_of(job) - 1000);
        job = fork();
        if (job == 0) {
            setpgid(0, 0);
            signal(SIGTTOU, SIG_DFL);
            (void)!read(slave, text, 1);
            _exit(0);
        }
        waitpid(job, &status, WUNTRACED);
        printf("reading in the background: stopped %d by SIGTTIN %d\n", WIFSTOPPED(status), WSTOPSIG(status) == SIGTTIN);
        kill(job, SIGKILL);
        end_of(job);
        signal(SIGHUP, SIG_DFL);
        (void)!write(ends[1], "r", 1);
        for (;;)
            pause();
    }
    (void)!read(ends[0], text, 1);
    (void)!write(master, "\032", 1);
    (void)!read(ends[0], text, 1);
    (void)!write(master, "\003", 1);
    printf("^C ends the leader: %d\n", end_of(leader) == 1000 + SIGINT);
    // The session's end hangs up on its foreground group.
    leader = fork();
    if (leader == 0) {
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        if (fork() == 0) {
            signal(SIGHUP, note);
            (void)!write(ends[1], "x", 1);
            while (!got[SIGHUP])
                usleep(1000);
            (void)!write(ends[1], "h", 1);
            _exit(0);
        }
        (void)!read(ends[0], text, 1);
        _exit(0);
    }
    end_of(leader);
    (void)!read(ends[0], text, 1);
    printf("hung up: %c\n", text[0]);
}

int main(int argc, char **argv) {
    (void)argv;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1)
        sleep(100);
    groups();
    orphaned_group();
    terminal();
    return 0;
}
