/* Directories: getdents64, getdents, chdir, fchdir, getcwd, chroot; and inotify on them. */
#include "case.h"
#include <dirent.h>
#include <sys/inotify.h>

struct entry64 { uint64_t ino; int64_t off; unsigned short len; unsigned char type; char name[]; };
struct entry32 { unsigned long ino, off; unsigned short len; char name[]; };

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

GROUP(getdents64)
{
    MUST(mkdir("d", 0755) == 0 && mkdir("d/sub", 0755) == 0 && symlink("x", "d/link") == 0 && mkfifo("d/fifo", 0600) == 0);
    close(file_with("d/file", ""));
    int fd = open("d", O_RDONLY);
    char buffer[4096], seen[8][32];
    long n = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    YES("entries", n > 0);
    int count = 0;
    for (long at = 0; at < n && count < 8;) {
        struct entry64 *e = (void *)(buffer + at);
        snprintf(seen[count++], 32, "%s %d", e->name, e->type);
        at += e->len;
    }
    qsort(seen, count, sizeof *seen, by_name);
    for (int i = 0; i < count; i++)
        SHOW(named("entry %d", i), "%s", seen[i]);
    EQ("then the end", 0, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    EQ("and again", 0, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    EQ("rewinding", 0, lseek(fd, 0, SEEK_SET));
    EQ("gives all again", n, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    lseek(fd, 0, SEEK_SET);
    ERR("too little room", EINVAL, syscall(SYS_getdents64, fd, buffer, 8));
    long total = 0, turns = 0;
    for (long more; (more = syscall(SYS_getdents64, fd, buffer, 32)) > 0; turns++)
        total += more;
    SHOW("one at a time", "%ld bytes in %ld", total, turns);
    int file = open("d/file", O_RDONLY);
    ERR("a file", ENOTDIR, syscall(SYS_getdents64, file, buffer, sizeof buffer));
    ERR("no descriptor", EBADF, syscall(SYS_getdents64, NOFD, buffer, sizeof buffer));
    lseek(fd, 0, SEEK_SET);
    ERR("into nowhere", EFAULT, syscall(SYS_getdents64, fd, BAD, sizeof buffer));
    int path = open("d", O_PATH);
    ERR("O_PATH", EBADF, syscall(SYS_getdents64, path, buffer, sizeof buffer));
    MUST(mkdir("e", 0755) == 0);
    int gone = open("e", O_RDONLY);
    MUST(rmdir("e") == 0);
    ERR("a removed directory", ENOENT, syscall(SYS_getdents64, gone, buffer, sizeof buffer));
    MUST(mkdir("many", 0755) == 0);
    for (int i = 0; i < 300; i++)
        close(file_with(named("many/%d", i), ""));
    DIR *dir = opendir("many");
    int all = 0, removed = 0;
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && ++all)
            removed += unlink(named("many/%s", e->d_name)) == 0;
    SHOW("removing while reading", "%d seen, %d removed", all, removed);
    OK("and the directory is empty", rmdir("many"));
}

GROUP(getdents)
{
    MUST(mkdir("d", 0755) == 0);
    close(file_with("d/file", ""));
    int fd = open("d", O_RDONLY);
    char buffer[1024];
    long n = syscall(SYS_getdents, fd, buffer, sizeof buffer);
    int count = 0, regular = 0;
    for (long at = 0; at < n; count++) {
        struct entry32 *e = (void *)(buffer + at);
        regular += buffer[at + e->len - 1] == DT_REG && !strcmp(e->name, "file");
        at += e->len;
    }
    SHOW("entries", "%d, %d file", count, regular);
    ERR("no descriptor", EBADF, syscall(SYS_getdents, NOFD, buffer, sizeof buffer));
    lseek(fd, 0, SEEK_SET);
    ERR("too little room", EINVAL, syscall(SYS_getdents, fd, buffer, 3));
}

GROUP(chdir)
{
    MUST(mkdir("d", 0755) == 0 && mkdir("locked", 0700) == 0 && symlink("d", "l") == 0 && symlink("loop", "loop") == 0);
    close(file_with("a", ""));
    ERR("not there", ENOENT, chdir("gone"));
    ERR("a file", ENOTDIR, chdir("a"));
    ERR("a loop", ELOOP, chdir("loop"));
    ERR("an empty path", ENOENT, chdir(""));
    ERR("a bad address", EFAULT, chdir(BAD));
    AS_NOBODY(ERR("no permission to search", EACCES, chdir("locked")));
    OK("a link", chdir("l"));
    OK("is where the link leads", access("../d", F_OK));
    OK("dot dot", chdir(".."));
    OK("the root", chdir("/"));
    OK("above the root", chdir(".."));
    char text[64];
    MUST(getcwd(text, 64));
    TEXT("is the root", "/", text);
}

GROUP(fchdir)
{
    MUST(mkdir("d", 0755) == 0);
    int fd = open("d", O_RDONLY), path = open("d", O_PATH), file = file_with("a", ""), up = open(".", O_RDONLY);
    OK("a directory", fchdir(fd));
    OK("back", fchdir(up));
    OK("O_PATH", fchdir(path));
    ERR("a file", ENOTDIR, fchdir(file));
    ERR("no descriptor", EBADF, fchdir(NOFD));
    int status;
    CHILD(status, chdir("/"));
    OK("a child's is its own", access("../a", F_OK));
    MUST(fchdir(up) == 0 && chmod("d", 0600) == 0);
    AS_NOBODY(ERR("no permission to search", EACCES, fchdir(fd)));
}

GROUP(getcwd)
{
    char text[4096];
    MUST(mkdir("d", 0755) == 0 && chdir("/") == 0);
    EQ("the root, with its zero", 2, syscall(SYS_getcwd, text, 64));
    ERR("too small", ERANGE, syscall(SYS_getcwd, text, 1));
    ERR("no room", ERANGE, syscall(SYS_getcwd, text, 0));
    ERR("into nowhere", EFAULT, syscall(SYS_getcwd, BAD, 64));
    MUST(chdir("/proc") == 0);
    EQ("/proc", 6, syscall(SYS_getcwd, text, 64));
    EQ("just large enough", 6, syscall(SYS_getcwd, text, 6));
    ERR("one too small", ERANGE, syscall(SYS_getcwd, text, 5));
    TEXT("what is there", "/proc", text);
}

/* Deeper than a path may be long: 40 directories of 120 letters each. */
GROUP(getcwd_deep)
{
    char name[121], text[8192];
    struct stat there, up;
    memset(name, 'z', 120);
    name[120] = 0;
    for (int i = 0; i < 40; i++)
        MUST(mkdir(name, 0755) == 0 && chdir(name) == 0);
    ERR("getcwd", ENAMETOOLONG, syscall(SYS_getcwd, text, sizeof text));
    ERR("getcwd, no room", ENAMETOOLONG, syscall(SYS_getcwd, text, 8));
    ERR("/proc/self/cwd, read", ENAMETOOLONG, readlink("/proc/self/cwd", text, sizeof text));
    OK("/proc/self/cwd, followed", stat("/proc/self/cwd", &there));
    OK("from here", stat(".", &up));
    YES("the same", there.st_ino == up.st_ino);
    int fd = open("f", O_RDWR | O_CREAT, 0600), self = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    char number[16];
    sprintf(number, "%d", fd);
    ERR("/proc/self/fd, read", ENAMETOOLONG, readlinkat(self, number, text, sizeof text));
    for (int i = 0; i < 10; i++)
        MUST(chdir("..") == 0);
    YES("not so deep", syscall(SYS_getcwd, text, sizeof text) > 3600);
    for (int i = 0; i < 30; i++)
        MUST(chdir("..") == 0);
}

GROUP(chroot)
{
    MUST(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
    close(file_with("a", ""));
    ERR("not there", ENOENT, chroot("gone"));
    ERR("a file", ENOTDIR, chroot("a"));
    ERR("a bad address", EFAULT, chroot(BAD));
    AS_NOBODY(ERR("as a user", EPERM, chroot("d")));
    if (geteuid() != 0)
        return;
    OK("as super-user", chroot("d"));
    OK("/ is there", access("/e", F_OK));
    OK("the working directory stays", access("a", F_OK));
    MUST(chdir("/") == 0);
    ERR("above it there is nothing", ENOENT, access("../a", F_OK));
    OK("dot dot of / is /", access("/../../e", F_OK));
}

static const char *events(int fd)
{
    static char text[1024];
    char buffer[2048] __attribute__((aligned(8)));
    *text = 0;
    long n = read(fd, buffer, sizeof buffer);
    for (long at = 0; at < n;) {
        struct inotify_event *e = (void *)(buffer + at);
        sprintf(text + strlen(text), "%x%s%s ", e->mask, e->len ? ":" : "", e->len ? e->name : "");
        at += sizeof *e + e->len;
    }
    return text;
}

GROUP(inotify_add_watch)
{
    MUST(mkdir("d", 0755) == 0);
    close(file_with("d/a", "a"));
    int fd = inotify_init1(IN_NONBLOCK), file = open("d/a", O_RDONLY);
    EQ("a first watch", 1, inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    EQ("the same again", 1, inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    ERR("IN_MASK_CREATE, there", EEXIST, inotify_add_watch(fd, "d", IN_CREATE | IN_MASK_CREATE));
    ERR("not there", ENOENT, inotify_add_watch(fd, "gone", IN_CREATE));
    ERR("no events", EINVAL, inotify_add_watch(fd, "d", 0));
    ERR("IN_ONLYDIR of a file", ENOTDIR, inotify_add_watch(fd, "d/a", IN_CREATE | IN_ONLYDIR));
    ERR("no descriptor", EBADF, inotify_add_watch(NOFD, "d", IN_CREATE));
    ERR("not an inotify", EINVAL, inotify_add_watch(file, "d", IN_CREATE));
    ERR("a bad address", EFAULT, inotify_add_watch(fd, BAD, IN_CREATE));
    close(open("d/b", O_CREAT | O_RDWR, 0600));
    SHOW("a new file", "%s", events(fd));
    int b = open("d/b", O_RDWR);
    write(b, "x", 1);
    close(b);
    SHOW("written", "%s", events(fd));
    b = open("d/b", O_RDONLY);
    char c;
    read(b, &c, 1);
    close(b);
    SHOW("read", "%s", events(fd));
    chmod("d/b", 0644);
    SHOW("its mode", "%s", events(fd));
    rename("d/b", "d/c");
    SHOW("renamed", "%s", events(fd));
    rename("d/c", "c");
    SHOW("moved out", "%s", events(fd));
    rename("c", "d/c");
    SHOW("moved in", "%s", events(fd));
    link("d/c", "d/e");
    SHOW("linked", "%s", events(fd));
    truncate("d/c", 5);
    SHOW("truncated", "%s", events(fd));
    unlink("d/c");
    SHOW("removed", "%s", events(fd));
    mkdir("d/s", 0755);
    SHOW("a directory", "%s", events(fd));
    rmdir("d/s");
    SHOW("and removed", "%s", events(fd));
}

GROUP(inotify_rm_watch)
{
    MUST(mkdir("d", 0755) == 0);
    int fd = inotify_init1(IN_NONBLOCK), file = file_with("a", "");
    MUST(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE_SELF) == 1);
    ERR("no such watch", EINVAL, inotify_rm_watch(fd, 2));
    ERR("no descriptor", EBADF, inotify_rm_watch(NOFD, 1));
    ERR("not an inotify", EINVAL, inotify_rm_watch(file, 1));
    OK("a watch", inotify_rm_watch(fd, 1));
    SHOW("tells of its end", "%s", events(fd));
    ERR("again", EINVAL, inotify_rm_watch(fd, 1));
    EQ("numbers are not used again", 2, inotify_add_watch(fd, "d", IN_DELETE_SELF));
    MUST(rmdir("d") == 0);
    SHOW("the directory removed", "%s", events(fd));
}

GROUP(inotify_init1)
{
    int fd = inotify_init1(0);
    EQ("no flags", O_RDONLY, fcntl(fd, F_GETFL));
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    EQ("IN_NONBLOCK", O_NONBLOCK, fcntl(fd, F_GETFL));
    EQ("IN_CLOEXEC", FD_CLOEXEC, fcntl(fd, F_GETFD));
    ERR("unknown flags", EINVAL, inotify_init1(1));
    char text[512];
    ERR("nothing to read", EAGAIN, read(fd, text, 512));
    MUST(inotify_add_watch(fd, ".", IN_CREATE) == 1);
    close(file_with("a-name", ""));
    ERR("too little room", EINVAL, read(fd, text, 8));
    ERR("writing", EBADF, write(fd, text, 8));
}
