/* Descriptors: close, dup, dup2, dup3, close_range, fcntl, pipe. */
#include "case.h"
#include <sys/ioctl.h>
#include <linux/close_range.h>

static int flags_of(int fd) { return fcntl(fd, F_GETFD); }

GROUP(close)
{
    int fd = file_with("a", "abc");
    OK("an open file", close(fd));
    ERR("twice", EBADF, close(fd));
    ERR("minus one", EBADF, close(-1));
    ERR("the least number", EBADF, close(INT_MIN));
    ERR("beyond the table", EBADF, close(INT_MAX));
    int p[2];
    MUST(pipe(p) == 0);
    OK("a pipe's reading end", close(p[0]));
    signal(SIGPIPE, SIG_IGN);
    ERR("then writing fails", EPIPE, write(p[1], "x", 1));
    OK("the writing end", close(p[1]));
    int a = open("a", O_RDONLY), b = dup(a);
    OK("one of two names", close(a));
    char c;
    EQ("the other still reads", 1, read(b, &c, 1));
    EQ("the lowest number is free again", a, open("a", O_RDONLY));
}

GROUP(dup)
{
    int fd = file_with("a", "abcdef");
    int other = dup(fd);
    YES("the lowest free number", other > fd);
    char c;
    MUST(read(fd, &c, 1) == 1);
    EQ("the offset is shared", 1, lseek(other, 0, SEEK_CUR));
    EQ("seeking moves both", 4, (lseek(other, 4, SEEK_SET), lseek(fd, 0, SEEK_CUR)));
    MUST(fcntl(fd, F_SETFL, O_APPEND) == 0);
    YES("status flags are shared", fcntl(other, F_GETFL) & O_APPEND);
    MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    EQ("FD_CLOEXEC is not shared", 0, flags_of(other));
    EQ("nor copied", 0, flags_of(dup(fd)));
    ERR("no descriptor", EBADF, dup(-1));
    ERR("a closed one", EBADF, dup(NOFD));
    struct rlimit limit = {20, 20};
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int last = 0;
    while ((other = dup(fd)) >= 0)
        last = other;
    EQ("up to RLIMIT_NOFILE", 19, last);
    ERR("beyond it", EMFILE, dup(fd));
    close(12);
    EQ("a hole is filled", 12, dup(fd));
}

GROUP(dup2)
{
    int fd = file_with("a", "abc");
    EQ("to a chosen number", 50, dup2(fd, 50));
    EQ("to itself", fd, dup2(fd, fd));
    ERR("a closed one to itself", EBADF, dup2(NOFD, NOFD));
    ERR("from a closed one", EBADF, dup2(NOFD, 51));
    ERR("the target was not touched", EBADF, fcntl(51, F_GETFD));
    ERR("to a negative number", EBADF, dup2(fd, -1));
    ERR("to a number beyond the limit", EBADF, dup2(fd, 1 << 30));
    int p[2];
    MUST(pipe(p) == 0);
    EQ("over a pipe's writing end", p[1], dup2(fd, p[1]));
    char c;
    EQ("which closed it", 0, read(p[0], &c, 1));
    MUST(fcntl(50, F_SETFD, FD_CLOEXEC) == 0);
    EQ("over one with FD_CLOEXEC", 50, dup2(fd, 50));
    EQ("clears the flag", 0, flags_of(50));
    MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    EQ("to itself keeps FD_CLOEXEC", fd, dup2(fd, fd));
    EQ("as it was", FD_CLOEXEC, flags_of(fd));
}

GROUP(dup3)
{
    int fd = file_with("a", "abc");
    EQ("without flags", 40, dup3(fd, 40, 0));
    EQ("no FD_CLOEXEC then", 0, flags_of(40));
    EQ("with O_CLOEXEC", 41, dup3(fd, 41, O_CLOEXEC));
    EQ("FD_CLOEXEC then", FD_CLOEXEC, flags_of(41));
    ERR("to itself", EINVAL, dup3(fd, fd, 0));
    ERR("a closed one to itself", EINVAL, dup3(NOFD, NOFD, 0));
    ERR("from a closed one", EBADF, dup3(NOFD, 42, 0));
    int flags[] = {O_NONBLOCK, O_APPEND, O_RDWR, 1 << 30, -1};
    for (unsigned i = 0; i < COUNT(flags); i++)
        ERR(named("flags %#x", flags[i]), EINVAL, dup3(fd, 43, flags[i]));
    ERR("to a negative number", EBADF, dup3(fd, -5, 0));
}

GROUP(close_range)
{
    int fd = file_with("a", "abc");
    for (int i = 30; i < 40; i++)
        MUST(dup2(fd, i) == i);
    OK("a range", close_range(32, 34, 0));
    EQ("below it", 0, flags_of(31));
    ERR("its first", EBADF, flags_of(32));
    ERR("its last", EBADF, flags_of(34));
    EQ("above it", 0, flags_of(35));
    OK("with holes in it", close_range(32, 35, 0));
    OK("CLOSE_RANGE_CLOEXEC", close_range(36, 37, CLOSE_RANGE_CLOEXEC));
    EQ("sets the flag only", FD_CLOEXEC, flags_of(36));
    EQ("of those in it", 0, flags_of(38));
    ERR("the last below the first", EINVAL, close_range(39, 38, 0));
    ERR("unknown flags", EINVAL, close_range(39, 39, 8));
    ERR("all flags", EINVAL, close_range(39, 39, ~0));
    OK("beyond the table", close_range(5000, ~0u, 0));
    OK("CLOSE_RANGE_UNSHARE", close_range(39, 39, CLOSE_RANGE_UNSHARE));
    ERR("closes", EBADF, flags_of(39));
    OK("all above 30", close_range(30, ~0u, 0));
    ERR("none is left", EBADF, flags_of(30));
}

GROUP(fcntl)
{
    int fd = file_with("a", "abc");
    EQ("F_DUPFD", 100, fcntl(fd, F_DUPFD, 100));
    EQ("F_DUPFD, taken", 101, fcntl(fd, F_DUPFD, 100));
    EQ("F_DUPFD_CLOEXEC", 102, fcntl(fd, F_DUPFD_CLOEXEC, 100));
    EQ("its flag", FD_CLOEXEC, flags_of(102));
    ERR("F_DUPFD, negative", EINVAL, fcntl(fd, F_DUPFD, -1));
    ERR("F_DUPFD, beyond the limit", EINVAL, fcntl(fd, F_DUPFD, 1 << 30));
    ERR("F_DUPFD of a closed one", EBADF, fcntl(NOFD, F_DUPFD, 0));
    ERR("F_GETFD of a closed one", EBADF, fcntl(NOFD, F_GETFD));
    ERR("an unknown command", EINVAL, fcntl(fd, 9999));
    ERR("an unknown command on a closed one", EBADF, fcntl(NOFD, 9999));
    OK("F_SETFD", fcntl(fd, F_SETFD, FD_CLOEXEC));
    EQ("F_GETFD", FD_CLOEXEC, flags_of(fd));
    OK("F_SETFD, other bits", fcntl(fd, F_SETFD, 6));
    EQ("are not kept", 0, flags_of(fd));
    struct { const char *name; int flag; } flags[] = {{"O_APPEND", O_APPEND}, {"O_NONBLOCK", O_NONBLOCK}, {"O_NOATIME", O_NOATIME}};
    for (unsigned i = 0; i < COUNT(flags); i++) {
        OK(named("F_SETFL %s", flags[i].name), fcntl(fd, F_SETFL, flags[i].flag));
        EQ(named("F_GETFL %s", flags[i].name), flags[i].flag | O_RDWR, fcntl(fd, F_GETFL) & ~0100000);
    }
    OK("F_SETFL cannot change the access mode", fcntl(fd, F_SETFL, O_WRONLY));
    EQ("which stays", O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
    OK("F_SETFL ignores creation flags", fcntl(fd, F_SETFL, O_CREAT | O_EXCL | O_TRUNC));
    EQ("and does not truncate", 3, lseek(fd, 0, SEEK_END));
    OK("F_GETOWN, none", fcntl(fd, F_GETOWN));
    OK("F_SETOWN, ourselves", fcntl(fd, F_SETOWN, getpid()));
    YES("F_GETOWN", fcntl(fd, F_GETOWN) == getpid());
    OK("F_SETOWN, a group", fcntl(fd, F_SETOWN, -getpgrp()));
    ERR("F_SETOWN, no such process", ESRCH, fcntl(fd, F_SETOWN, 0x3ffffff));
    struct f_owner_ex owner = {F_OWNER_TID, gettid()};
    OK("F_SETOWN_EX, a thread", fcntl(fd, F_SETOWN_EX, &owner));
    memset(&owner, 0, sizeof owner);
    OK("F_GETOWN_EX", fcntl(fd, F_GETOWN_EX, &owner));
    YES("tells of the thread", owner.type == F_OWNER_TID && owner.pid == gettid());
    owner.type = 77;
    ERR("F_SETOWN_EX, unknown type", EINVAL, fcntl(fd, F_SETOWN_EX, &owner));
    OK("F_GETSIG", fcntl(fd, F_GETSIG));
    OK("F_SETSIG", fcntl(fd, F_SETSIG, SIGUSR1));
    EQ("F_GETSIG, then", SIGUSR1, fcntl(fd, F_GETSIG));
    ERR("F_SETSIG, no signal", EINVAL, fcntl(fd, F_SETSIG, 65));
    int p[2];
    MUST(pipe(p) == 0);
    EQ("F_GETPIPE_SZ", 65536, fcntl(p[0], F_GETPIPE_SZ));
    EQ("F_SETPIPE_SZ rounds up", 8192, fcntl(p[0], F_SETPIPE_SZ, 5000));
    EQ("F_SETPIPE_SZ, the least", 4096, fcntl(p[0], F_SETPIPE_SZ, 1));
    EQ("both ends", 4096, fcntl(p[1], F_GETPIPE_SZ));
    ERR("F_SETPIPE_SZ, too much", EINVAL, fcntl(p[0], F_SETPIPE_SZ, -1));
    ERR("F_GETPIPE_SZ of a file", EBADF, fcntl(fd, F_GETPIPE_SZ));
    MUST(fcntl(p[0], F_SETPIPE_SZ, 65536) == 65536);
    char block[20000] = "";
    MUST(write(p[1], block, sizeof block) == sizeof block);
    ERR("F_SETPIPE_SZ below what it holds", EBUSY, fcntl(p[0], F_SETPIPE_SZ, 4096));
    ERR("F_GETLK without a place", EFAULT, fcntl(fd, F_GETLK, NULL));
    ERR("F_SETLK without a place", EFAULT, fcntl(fd, F_SETLK, BAD));
    int path = open("a", O_PATH);
    EQ("F_GETFD of an O_PATH", 0, flags_of(path));
    ERR("F_SETFL of an O_PATH", EBADF, fcntl(path, F_SETFL, O_NONBLOCK));
    ERR("F_GETLK of an O_PATH", EBADF, fcntl(path, F_GETLK, block));
    OK("F_GETLEASE: none", fcntl(fd, F_GETLEASE) - F_UNLCK);
}

GROUP(record_locks)
{
    current = "fcntl";
    int fd = file_with("a", "abcdefghij");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 4};
    OK("F_SETLK for writing", fcntl(fd, F_SETLK, &lock));
    OK("again, our own", fcntl(fd, F_SETLK, &lock));
    int status;
    CHILD(status, {
        int mine = open("a", O_RDWR);
        struct flock l = lock;
        ERR("another's is in the way", EAGAIN, fcntl(mine, F_SETLK, &l));
        l.l_type = F_RDLCK;
        ERR("of a reader too", EAGAIN, fcntl(mine, F_SETLK, &l));
        OK("F_GETLK", fcntl(mine, F_GETLK, &l));
        SHOW("what is in the way", "type %d from %ld for %ld, parent %d", l.l_type, (long)l.l_start, (long)l.l_len, l.l_pid == getppid());
        l = (struct flock){.l_type = F_WRLCK, .l_start = 6, .l_len = 2};
        OK("beside it", fcntl(mine, F_SETLK, &l));
        l = (struct flock){.l_type = F_WRLCK, .l_start = 0, .l_len = 2};
        OK("before it", fcntl(mine, F_SETLK, &l));
        l = (struct flock){.l_type = F_WRLCK, .l_start = 5, .l_len = 0};
        ERR("to the end of the file", EAGAIN, fcntl(mine, F_SETLK, &l));
    });
    CHILD(status, {
        int mine = open("a", O_RDWR);
        struct flock l = {.l_type = F_WRLCK, .l_start = 0, .l_len = 0};
        OK("F_GETLK of all", fcntl(mine, F_GETLK, &l));
        SHOW("locks end with their process", "from %ld for %ld", (long)l.l_start, (long)l.l_len);
    });
    int again = open("a", O_RDONLY);
    close(again);
    CHILD(status, {
        int mine = open("a", O_RDWR);
        struct flock l = lock;
        OK("closing any descriptor of the file gives them up", fcntl(mine, F_SETLK, &l));
    });
    MUST(fcntl(fd, F_SETLK, &lock) == 0);
    lock.l_type = F_UNLCK;
    lock.l_start = 3;
    lock.l_len = 1;
    OK("F_UNLCK in the middle", fcntl(fd, F_SETLK, &lock));
    CHILD(status, {
        int mine = open("a", O_RDWR);
        struct flock l = {.l_type = F_WRLCK, .l_start = 3, .l_len = 1};
        OK("frees the middle", fcntl(mine, F_SETLK, &l));
        l.l_start = 4;
        ERR("and no more", EAGAIN, fcntl(mine, F_SETLK, &l));
    });
    lock = (struct flock){.l_type = 9};
    ERR("an unknown type", EINVAL, fcntl(fd, F_SETLK, &lock));
    lock = (struct flock){.l_type = F_RDLCK, .l_whence = 9};
    ERR("an unknown whence", EINVAL, fcntl(fd, F_SETLK, &lock));
    lock = (struct flock){.l_type = F_RDLCK, .l_start = -1};
    ERR("before the file", EINVAL, fcntl(fd, F_SETLK, &lock));
    lock = (struct flock){.l_type = F_RDLCK, .l_start = 5, .l_len = -3};
    OK("a negative length", fcntl(fd, F_SETLK, &lock));
    lock = (struct flock){.l_type = F_RDLCK, .l_start = 2, .l_len = -3};
    ERR("a negative length, before the file", EINVAL, fcntl(fd, F_SETLK, &lock));
    int only = open("a", O_RDONLY);
    lock = (struct flock){.l_type = F_WRLCK};
    ERR("a write lock needs a file open for writing", EBADF, fcntl(only, F_SETLK, &lock));
    int wronly = open("a", O_WRONLY);
    lock = (struct flock){.l_type = F_RDLCK};
    ERR("a read lock one open for reading", EBADF, fcntl(wronly, F_SETLK, &lock));
    lock = (struct flock){.l_type = F_WRLCK, .l_len = 2};
    OK("F_OFD_SETLK", fcntl(fd, F_OFD_SETLK, &lock));
    lock = (struct flock){.l_type = F_WRLCK, .l_len = 2};
    int other = open("a", O_RDWR);
    ERR("is another opening's", EAGAIN, fcntl(other, F_OFD_SETLK, &lock));
    lock = (struct flock){.l_type = F_WRLCK, .l_len = 2, .l_pid = 5};
    ERR("F_OFD_SETLK wants no pid", EINVAL, fcntl(fd, F_OFD_SETLK, &lock));
}

GROUP(flock)
{
    int sys_flock = SYS_flock;
#define flock(fd, how) syscall(sys_flock, fd, how)
    int fd = file_with("a", "abc"), other = open("a", O_RDONLY);
    enum { SH = 1, EX = 2, NB = 4, UN = 8 };
    OK("shared", flock(fd, SH));
    OK("shared by two", flock(other, SH | NB));
    ERR("exclusive while shared", EAGAIN, flock(fd, EX | NB));
    OK("unlock", flock(other, UN));
    OK("exclusive then", flock(fd, EX | NB));
    ERR("exclusive twice", EAGAIN, flock(other, EX | NB));
    ERR("shared while exclusive", EAGAIN, flock(other, SH | NB));
    int copy = dup(fd);
    OK("a copy has the same lock", flock(copy, EX | NB));
    close(fd);
    ERR("which stays with the copy", EAGAIN, flock(other, SH | NB));
    close(copy);
    OK("until that is closed", flock(other, EX | NB));
    OK("read-only descriptors can lock exclusively", flock(other, EX));
    ERR("nothing", EINVAL, flock(other, 0));
    ERR("only LOCK_NB", EINVAL, flock(other, NB));
    ERR("two at once", EINVAL, flock(other, SH | EX));
    ERR("no descriptor", EBADF, flock(-1, SH));
    int path = open("a", O_PATH);
    ERR("O_PATH", EBADF, flock(path, SH));
    int p[2];
    MUST(pipe(p) == 0);
    OK("a pipe", flock(p[0], EX));
    int third = open("a", O_RDWR);
    int status;
    CHILD(status, {
        struct sigaction quiet = {.sa_handler = (void (*)(int))exit};
        (void)quiet;
        struct itimerval timer = {{0, 0}, {0, 50000}};
        signal(SIGALRM, SIG_DFL);
        setitimer(ITIMER_REAL, &timer, 0);
        flock(third, EX);
    });
    SHOW("waiting ends with a signal", "%d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}

GROUP(pipe)
{
    int p[2];
    OK("made", pipe(p));
    EQ("reading end's mode", O_RDONLY, fcntl(p[0], F_GETFL));
    EQ("writing end's mode", O_WRONLY, fcntl(p[1], F_GETFL));
    ERR("NULL", EFAULT, syscall(SYS_pipe, NULL));
    ERR("a bad place", EFAULT, syscall(SYS_pipe, BAD));
    char c = 0;
    EQ("a byte in", 1, write(p[1], "x", 1));
    EQ("a byte out", 1, read(p[0], &c, 1));
    EQ("the same", 'x', c);
    ERR("reading from the writing end", EBADF, read(p[1], &c, 1));
    ERR("writing to the reading end", EBADF, write(p[0], "x", 1));
    ERR("seeking", ESPIPE, lseek(p[0], 0, SEEK_SET));
    ERR("pread", ESPIPE, pread(p[0], &c, 1, 0));
    ERR("pwrite", ESPIPE, pwrite(p[1], &c, 1, 0));
    ERR("ftruncate", EINVAL, ftruncate(p[1], 0));
    ERR("fsync", EINVAL, fsync(p[1]));
    ERR("mmap", ENODEV, mmap(0, 4096, PROT_READ, MAP_SHARED, p[0], 0) == MAP_FAILED ? -1 : 0);
    MUST(fcntl(p[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
    ERR("empty and non-blocking", EAGAIN, read(p[0], &c, 1));
    EQ("no bytes wanted", 0, read(p[0], &c, 0));
    EQ("no bytes given", 0, write(p[1], &c, 0));
    static char block[70000];
    EQ("partial write", 65536, write(p[1], block, sizeof block));
    ERR("full", EAGAIN, write(p[1], "x", 1));
    int n = 0;
    OK("FIONREAD", ioctl(p[0], FIONREAD, &n));
    EQ("tells what it holds", 65536, n);
    EQ("partial read", 65536, read(p[0], block, sizeof block));
    MUST(write(p[1], block, 63000) == 63000);
    ERR("PIPE_BUF bytes are written whole or not", EAGAIN, write(p[1], block, PIPE_BUF));
    struct stat st;
    OK("fstat", fstat(p[0], &st));
    YES("is a fifo", S_ISFIFO(st.st_mode));
    EQ("mode", 0600, st.st_mode & 07777);
    EQ("size", 0, st.st_size);
    close(p[1]);
    EQ("what is left is read after the end", 63000, read(p[0], block, sizeof block));
    EQ("then the end", 0, read(p[0], block, 1));
    struct rlimit limit = {10, 10};
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (dup(p[0]) >= 0)
        ;
    ERR("no descriptors left", EMFILE, pipe(p));
    close(9);
    ERR("one left", EMFILE, pipe(p));
    EQ("which is still free", 9, dup(0));
}

GROUP(pipe2)
{
    int p[2];
    struct { const char *name; int flags, fd, fl; } good[] = {
        {"no flags", 0, 0, 0},
        {"O_CLOEXEC", O_CLOEXEC, FD_CLOEXEC, 0},
        {"O_NONBLOCK", O_NONBLOCK, 0, O_NONBLOCK},
        {"both", O_CLOEXEC | O_NONBLOCK, FD_CLOEXEC, O_NONBLOCK},
        
    };
    for (unsigned i = 0; i < COUNT(good); i++) {
        OK(good[i].name, pipe2(p, good[i].flags));
        EQ(named("%s, FD_CLOEXEC", good[i].name), good[i].fd, flags_of(p[0]));
        EQ(named("%s, reading end", good[i].name), good[i].fl, fcntl(p[0], F_GETFL));
        EQ(named("%s, writing end", good[i].name), good[i].fl | O_WRONLY, fcntl(p[1], F_GETFL));
    }
    int bad[] = {O_RDWR, O_APPEND, O_CREAT, 1 << 30};
    for (unsigned i = 0; i < COUNT(bad); i++)
        ERR(named("flags %#x", bad[i]), EINVAL, pipe2(p, bad[i]));
    ERR("a bad place", EFAULT, pipe2(BAD, 0));
    MUST(pipe2(p, O_DIRECT) == 0);
    MUST(write(p[1], "abc", 3) == 3 && write(p[1], "de", 2) == 2);
    char text[10];
    EQ("O_DIRECT keeps packets apart", 3, read(p[0], text, 10));
    EQ("a short read", 1, read(p[0], text, 1));
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    ERR("loses the rest of a packet", EAGAIN, read(p[0], text, 10));
}
