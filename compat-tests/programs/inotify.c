// inotify(7): events of a directory and of a file, in their order and with their names.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int in;
static unsigned first_cookie;

static void drain(const char *what) {
    char buf[4096] __attribute__((aligned(8)));
    printf("%s:", what);
    ssize_t n;
    while ((n = read(in, buf, sizeof buf)) > 0) {
        for (char *p = buf; p < buf + n;) {
            struct inotify_event *e = (struct inotify_event *)p;
            if (e->cookie && !first_cookie) first_cookie = e->cookie;
            printf(" [wd %d mask %x cookie %u len %u %s]", e->wd, e->mask, e->cookie ? e->cookie - first_cookie + 1 : 0, e->len,
                   e->len ? e->name : "");
            p += sizeof *e + e->len;
        }
    }
    printf(" %s\n", n < 0 ? strerror(errno) : "end");
}

int main(void) {
    char dir[] = "/tmp/inotifyXXXXXX";
    if (!mkdtemp(dir) || chdir(dir)) return 1;
    in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int wd = inotify_add_watch(in, dir, IN_ALL_EVENTS);
    printf("wd %d again %d\n", wd, inotify_add_watch(in, dir, IN_ALL_EVENTS));
    drain("nothing");
    int fd = open("a", O_CREAT | O_RDWR, 0644);
    if (write(fd, "x", 1) != 1) return 1;
    lseek(fd, 0, SEEK_SET);
    char c;
    if (read(fd, &c, 1) != 1) return 1;
    close(fd);
    drain("create, write, read, close");
    chmod("a", 0600);
    rename("a", "b");
    drain("chmod, rename");
    mkdir("sub", 0755);
    int bytes = 0;
    ioctl(in, FIONREAD, &bytes);
    printf("FIONREAD %d\n", bytes);
    rmdir("sub");
    drain("mkdir, rmdir");
    int file = inotify_add_watch(in, "b", IN_DELETE_SELF | IN_ATTRIB | IN_MODIFY | IN_ONESHOT);
    truncate("b", 10);
    drain("oneshot truncate");
    printf("rm of gone %d %s\n", inotify_rm_watch(in, file), strerror(errno));
    char small[4];
    mkdir("s", 0755);
    printf("small read %zd %s\n", read(in, small, sizeof small), strerror(errno));
    drain("after small");
    printf("rm %d\n", inotify_rm_watch(in, wd));
    drain("removed");
    printf("bad mask %d %s\n", inotify_add_watch(in, dir, 0), strerror(errno));
    printf("onlydir %d %s\n", inotify_add_watch(in, "b", IN_ONLYDIR | IN_CREATE), strerror(errno));
    unlink("b");
    rmdir("s");
    chdir("/");
    rmdir(dir);
    return 0;
}
