/* What waits and what tells: epoll's cycles and edges, inotify beside forks and links, directories that are listed while they change. */
#include "case.h"
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

static int add(int ep, int fd, unsigned events, unsigned long data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
}

static const char *ready(int ep, int timeout)
{
    static char text[400];
    struct epoll_event events[16];
    int n = epoll_wait(ep, events, 16, timeout), used = sprintf(text, "%d:", n);
    for (int i = 0; i < n; i++)
        used += sprintf(text + used, " %x/%lx", events[i].events, (long)events[i].data.u64);
    return text;
}

GROUP(epoll_of_epolls)
{
    int a = epoll_create1(0), b = epoll_create1(0), c = epoll_create1(0), e = eventfd(0, 0);
    ERR("itself", EINVAL, add(a, a, EPOLLIN, 0));
    OK("a in b", add(b, a, EPOLLIN, 1));
    OK("b in c", add(c, b, EPOLLIN, 2));
    ERR("c in a", ELOOP, add(a, c, EPOLLIN, 3));
    OK("an eventfd in a", add(a, e, EPOLLIN, 4));
    TEXT("nothing", "0:", ready(c, 0));
    eventfd_write(e, 1);
    TEXT("through three", "1: 1/2", ready(c, 0));
    TEXT("and through two", "1: 1/1", ready(b, 0));
    TEXT("and there", "1: 1/4", ready(a, 0));
    eventfd_read(e, &(eventfd_t){0});
    TEXT("no longer", "0:", ready(c, 0));
    int chain[8], i = 1;
    chain[0] = epoll_create1(0);
    for (; i < 8; i++) {
        chain[i] = epoll_create1(0);
        if (add(chain[i], chain[i - 1], EPOLLIN, i))
            break;
    }
    SHOW("how deep", "%d %s", i, i < 8 ? strerrorname_np(errno) : "");
    int copy = dup(e);
    OK("by two descriptors", add(a, copy, EPOLLIN, 5));
    ERR("twice", EEXIST, add(a, e, EPOLLIN, 6));
    close(copy);
    eventfd_write(e, 1);
    TEXT("one closed", "2", strtok((char *)ready(a, 0), ":"));
    close(e);
    TEXT("both closed", "0:", ready(a, 0));
    int fd = open("f", O_RDWR | O_CREAT, 0644), dir = open(".", O_RDONLY);
    ERR("a file", EPERM, add(a, fd, EPOLLIN, 0));
    ERR("a directory", EPERM, add(a, dir, EPOLLIN, 0));
    ERR("into a file", EINVAL, add(fd, a, EPOLLIN, 0));
    ERR("no events to wait for", EINVAL, epoll_wait(a, &(struct epoll_event){0}, 0, 0));
    ERR("too many", EINVAL, epoll_wait(a, &(struct epoll_event){0}, 1 << 30, 0));
    ERR("no size", EINVAL, epoll_create(0));
    ERR("flags", EINVAL, epoll_create1(1));
    ERR("an unknown operation", EINVAL, epoll_ctl(a, 7, b, &(struct epoll_event){0}));
    ERR("no event", EFAULT, epoll_ctl(a, EPOLL_CTL_ADD, b, 0));
    ERR("not there", ENOENT, epoll_ctl(a, EPOLL_CTL_DEL, b, 0));
    ERR("exclusive and once", EINVAL, add(a, eventfd(0, 0), EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0));
    ERR("exclusive epoll", EINVAL, add(a, b, EPOLLIN | EPOLLEXCLUSIVE, 0));
    int x = eventfd(0, 0);
    OK("exclusive", add(a, x, EPOLLIN | EPOLLEXCLUSIVE, 0));
    ERR("exclusive, changed", EINVAL, epoll_ctl(a, EPOLL_CTL_MOD, x, &(struct epoll_event){.events = EPOLLIN}));
}

GROUP(epoll_edges)
{
    int ep = epoll_create1(0), pipes[2], e = eventfd(0, 0);
    MUST(pipe(pipes) == 0);
    OK("add", add(ep, pipes[0], EPOLLIN | EPOLLET, 1));
    TEXT("empty", "0:", ready(ep, 0));
    for (int i = 0; i < 3; i++) {
        MUST(write(pipes[1], "x", 1) == 1);
        TEXT(named("written %d", i), "1: 1/1", ready(ep, 0));
        TEXT(named("once %d", i), "0:", ready(ep, 0));
    }
    char c;
    MUST(read(pipes[0], &c, 1) == 1);
    TEXT("read", "0:", ready(ep, 0));
    close(pipes[1]);
    TEXT("closed", "1: 11/1", ready(ep, 0));
    TEXT("closed once", "0:", ready(ep, 0));
    epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u64 = 2});
    TEXT("changed", "1: 11/2", ready(ep, 0));
    OK("an eventfd", add(ep, e, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLONESHOT, 3));
    TEXT("first", "1: 4/3", ready(ep, 0));
    eventfd_write(e, 1);
    TEXT("once", "0:", ready(ep, 0));
    epoll_ctl(ep, EPOLL_CTL_MOD, e, &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u64 = 4});
    TEXT("armed again", "1: 1/4", ready(ep, 0));
    eventfd_write(e, 1);
    TEXT("another", "1: 1/4", ready(ep, 0));
    eventfd_read(e, &(eventfd_t){0});
    TEXT("read of it", "0:", ready(ep, 0));
    eventfd_write(e, 0xfffffffffffffffe);
    SHOW("full", "%s", ready(ep, 0));
    int status;
    eventfd_read(e, &(eventfd_t){0});
    ready(ep, 0);
    CHILD(status, { eventfd_write(e, 1); });
    TEXT("by a child", "1: 1/4", ready(ep, 0));
    OK("removed", epoll_ctl(ep, EPOLL_CTL_DEL, e, 0));
    TEXT("nothing", "0:", ready(ep, 20));
    struct pollfd one = {ep, POLLIN};
    OK("poll of it", poll(&one, 1, 0));
}

static const char *told(int in)
{
    static char text[2000];
    char buffer[4096] __attribute__((aligned(8)));
    int used = 0;
    text[0] = 0;
    ssize_t n = read(in, buffer, sizeof buffer);
    for (char *p = buffer; n > 0 && p < buffer + n;) {
        struct inotify_event *event = (void *)p;
        used += sprintf(text + used, "%s%x%s%s", used ? " " : "", event->mask, event->len ? "/" : "", event->len ? event->name : "");
        p += sizeof *event + event->len;
    }
    return text;
}

GROUP(inotify_beside)
{
    int in = inotify_init1(IN_NONBLOCK), status;
    mkdir("d", 0777);
    int wd = inotify_add_watch(in, "d", IN_ALL_EVENTS);
    SHOW("begin", "%s", told(in));
    CHILD(status, {
        int fd = open("d/f", O_RDWR | O_CREAT, 0644);
        if (write(fd, "x", 1) != 1)
            _exit(1);
        close(fd);
    });
    SHOW("a child's", "%s", told(in));
    int fd = open("d/f", O_RDWR);
    link("d/f", "other");
    chmod("other", 0600);
    SHOW("by another name", "%s", told(in));
    rename("d/f", "d/g");
    rename("d/g", "h");
    rename("h", "d/i");
    SHOW("renamed", "%s", told(in));
    truncate("d/i", 10);
    ftruncate(fd, 5);
    utimensat(AT_FDCWD, "d/i", 0, 0);
    SHOW("changed", "%s", told(in));
    if (read(fd, &status, 0) || write(fd, &status, 0) || pread(fd, &status, 4, 100))
        return;
    SHOW("nothing read", "%s", told(in));
    mkdir("d/s", 0700);
    symlink("x", "d/l");
    mknod("d/p", S_IFIFO | 0600, 0);
    DIR *dir = opendir("d");
    while (readdir(dir))
        ;
    closedir(dir);
    SHOW("made and listed", "%s", told(in));
    int fw = inotify_add_watch(in, "d/i", IN_DELETE_SELF | IN_ATTRIB | IN_CLOSE);
    unlink("d/i");
    unlink("other");
    SHOW("names gone", "%s", told(in));
    close(fd);
    SHOW("closed", "%s", told(in));
    rmdir("d/s"), unlink("d/l"), unlink("d/p"), rmdir("d");
    SHOW("all gone", "%s", told(in));
    ERR("no watch", EINVAL, inotify_rm_watch(in, wd));
    ERR("no watch of the file", EINVAL, inotify_rm_watch(in, fw));
    ERR("empty", EAGAIN, read(in, &status, 4));
    ERR("no mask", EINVAL, inotify_add_watch(in, ".", 0));
    ERR("nothing there", ENOENT, inotify_add_watch(in, "none", IN_OPEN));
    ERR("no directory", ENOTDIR, inotify_add_watch(in, "/proc/self/exe", IN_OPEN | IN_ONLYDIR));
    ERR("no inotify", EINVAL, inotify_add_watch(eventfd(0, 0), ".", IN_OPEN));
    ERR("write", EBADF, write(in, "x", 1));
    ERR("flags", EINVAL, inotify_init1(1));
}

GROUP(directories_listed)
{
    mkdir("d", 0777);
    for (int i = 0; i < 40; i++)
        close(open(named("d/file%02d", i), O_RDWR | O_CREAT, 0644));
    int fd = open("d", O_RDONLY);
    char buffer[200];
    long n, entries = 0, places[64];
    while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            struct dirent64 *entry = (void *)p;
            if (entries < 64)
                places[entries] = entry->d_off;
            entries++;
            p += entry->d_reclen;
        }
    EQ("entries", 42, entries);
    EQ("at its end", 0, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    lseek(fd, places[30], SEEK_SET);
    for (entries = 0; (n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0;)
        for (char *p = buffer; p < buffer + n; p += ((struct dirent64 *)p)->d_reclen)
            entries++;
    EQ("from a place", 11, entries);
    lseek(fd, 0, SEEK_SET);
    ERR("too small", EINVAL, syscall(SYS_getdents64, fd, buffer, 8));
    ERR("to nowhere", EFAULT, syscall(SYS_getdents64, fd, 0, 100));
    entries = 0;
    while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            struct dirent64 *entry = (void *)p;
            if (entry->d_name[0] == 'f') {
                entries++;
                unlink(named("d/%s", entry->d_name));
            }
            p += entry->d_reclen;
        }
    EQ("removed while listed", 40, entries);
    OK("empty", rmdir("d"));
    SHOW("a removed directory", "%ld %s", syscall(SYS_getdents64, fd, buffer, sizeof buffer), strerrorname_np(errno));
    int proc = open("/proc", O_RDONLY | O_DIRECTORY);
    entries = 0;
    while ((n = syscall(SYS_getdents64, proc, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n; p += ((struct dirent64 *)p)->d_reclen)
            entries += !strcmp(((struct dirent64 *)p)->d_name, "self") && ((struct dirent64 *)p)->d_type == DT_LNK;
    EQ("/proc/self", 1, entries);
    SHOW("/proc, end", "%ld", lseek(proc, 0, SEEK_END));
    ERR("a file", ENOTDIR, syscall(SYS_getdents64, open("f", O_RDWR | O_CREAT, 0644), buffer, sizeof buffer));
    ERR("O_PATH", EBADF, syscall(SYS_getdents64, open(".", O_PATH), buffer, sizeof buffer));
}
