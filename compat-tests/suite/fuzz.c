/* Random but well-typed sequences of system calls: `fuzz SEED FIRST COUNT [BLOCK]`.
 *
 * The same seed gives the same sequences everywhere. Each sequence begins in an empty directory with nothing open and ends so. Each BLOCK
 * of them prints one line in the form of a case, with a hash of all results; with BLOCK 0 each call prints one, which is how to find what differs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 8
#define FIRST_SLOT 20
#define PAGE 4096L
#define PAGES 16
#define PICK(array) (array)[below(sizeof(array) / sizeof *(array))]

static uint64_t state, hash;
static unsigned long sequence;
static unsigned step;
static int verbose;
static char *arena, *page;
static volatile int handled;

static uint32_t below(uint32_t limit)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545f4914f6cdd1dull >> 32) % limit;
}
static void mix(const void *bytes, size_t n)
{
    for (const unsigned char *b = bytes; n--; b++)
        hash = (hash ^ *b) * 0x100000001b3ull;
}
/* Notes a result: the value, or the error if there is one. What is said of a call begins with the hash of all before it, for what is
 * mixed in besides its result. */
__attribute__((format(printf, 2, 3))) static long note(long result, const char *format, ...)
{
    int error = errno;
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (verbose)
        printf("case fuzz/%lu.%u %s: %04x, %ld %s\n", sequence, step, text, (unsigned)hash & 0xffff, result, result == -1 ? strerrorname_np(error) : "");
    long pair[2] = {result, result == -1 ? error : 0};
    mix(pair, sizeof pair);
    return result;
}

static const char *paths[] = {"a", "b", "c", "d", "d/a", "d/b", "e", "l", "l/a", "gone/x", "d/.", ".", "d/e", "a/x", "l2"};
static const char *path(void) { return PICK(paths); }
static const char *new_path(void) { return paths[below(13)]; }
static int slot(void) { return FIRST_SLOT + below(SLOTS); }
/* Puts a new descriptor where it is found again. */
static void keep(int fd)
{
    if (fd < 0)
        return;
    int to = slot();
    if (fd != to) {
        dup2(fd, to);
        close(fd);
    }
}
static char *place(void) { return arena + below(PAGES) * PAGE + PICK(((int[]){0, 0, 0, 1, 100, 4000, 4095})); }
static uint32_t length(void) { return PICK(((int[]){0, 1, 2, 10, 100, 1000, 4096, 5000, 8192})); }
static long offset(void) { return PICK(((long[]){0, 0, 1, 10, 100, 4095, 4096, 5000, 100000, -1, -100})); }
static char buffer[16384];

static void show_stat(const struct stat *st)
{
    struct { uint32_t mode, links; uint64_t size; } s = {st->st_mode, S_ISDIR(st->st_mode) ? 0 : st->st_nlink, S_ISREG(st->st_mode) ? st->st_size : 0};
    mix(&s, sizeof s);
}
static void on_signal(int signal) { handled += signal; }

static void files(void)
{
    int flags[] = {O_RDONLY, O_RDWR, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_TRUNC, O_RDWR | O_CREAT | O_EXCL, O_RDWR | O_APPEND | O_CREAT, O_PATH, O_DIRECTORY, O_NOFOLLOW | O_RDONLY, O_RDONLY | O_TRUNC, O_TMPFILE | O_RDWR};
    int modes[] = {0644, 0600, 0, 0777, 04755, 01777};
    struct stat st;
    int fd = slot(), f, m;
    uint32_t n;
    long at;
    const char *p, *q;
    switch (below(34)) {
    case 0: case 1: case 2: case 3: case 4:
        p = path(), f = PICK(flags), m = PICK(modes);
        int got = open(p, f | O_NONBLOCK | O_CLOEXEC, m);
        note(got < 0 ? -1 : 0, "open %s %#o %o", p, f, m);
        keep(got);
        break;
    case 5: note(close(fd), "close %d", fd); break;
    case 6: case 7: n = length(); mix(buffer, note(read(fd, buffer, n), "read %d %u", fd, n) > 0 ? n : 0); break;
    case 8: case 9: n = length(); memset(buffer, 'a' + below(26), n); note(write(fd, buffer, n), "write %d %u", fd, n); break;
    case 10: n = length(), at = offset(); note(pread(fd, buffer, n, at), "pread %d %u %ld", fd, n, at); break;
    case 11: n = length(), at = offset(); note(pwrite(fd, buffer, n, at), "pwrite %d %u %ld", fd, n, at); break;
    case 12: at = offset(), m = below(3); note(lseek(fd, at, m), "lseek %d %ld %d", fd, at, m); break;
    case 13: at = offset(); note(ftruncate(fd, at), "ftruncate %d %ld", fd, at); break;
    case 14: p = path(), at = offset(); note(truncate(p, at), "truncate %s %ld", p, at); break;
    case 15: if (note(fstat(fd, &st), "fstat %d", fd) == 0) show_stat(&st); break;
    case 16: p = path(); if (note(stat(p, &st), "stat %s", p) == 0) show_stat(&st); break;
    case 17: p = path(); if (note(lstat(p, &st), "lstat %s", p) == 0) show_stat(&st); break;
    case 18: p = new_path(), q = new_path(); note(link(p, q), "link %s %s", p, q); break;
    case 19: p = new_path(); note(unlink(p), "unlink %s", p); break;
    case 20: case 21: p = new_path(), q = new_path(), f = PICK(((int[]){0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE}));
        note(renameat2(AT_FDCWD, p, AT_FDCWD, q, f), "rename %s %s %d", p, q, f); break;
    case 22: p = new_path(), q = new_path(); note(symlink(p, q), "symlink %s %s", p, q); break;
    case 23: p = path(); note(readlink(p, buffer, 100), "readlink %s", p); break;
    case 24: case 25: p = new_path(); note(mkdir(p, 0755), "mkdir %s", p); break;
    case 26: p = new_path(); note(rmdir(p), "rmdir %s", p); break;
    case 27: p = new_path(), m = PICK(modes); note(chmod(p, m), "chmod %s %o", p, m); break;
    case 28: p = path(), m = below(8); note(access(p, m), "access %s %d", p, m); break;
    case 29: at = offset(), n = length(), f = PICK(((int[]){0, 1, 3})); note(fallocate(fd, f, at, n), "fallocate %d %d %ld %u", fd, f, at, n); break;
    case 30: m = slot(), n = length(); note(copy_file_range(fd, 0, m, 0, n, 0), "copy_file_range %d %d %u", fd, m, n); break;
    case 31: m = slot(), n = length(); note(syscall(SYS_sendfile, fd, m, 0, n), "sendfile %d %d %u", fd, m, n); break;
    case 32: f = PICK(((int[]){LOCK_SH, LOCK_EX, LOCK_UN})); note(flock(fd, f | LOCK_NB), "flock %d %d", fd, f); break;
    case 33: { struct iovec v[3]; for (int i = 0; i < 3; i++) v[i] = (struct iovec){buffer + i * 5000, length() / 4}; f = below(2);
        note(f ? readv(fd, v, 3) : writev(fd, v, 3), "%s %d", f ? "readv" : "writev", fd); break; }
    }
}

static void descriptors(void)
{
    int fd = slot(), to = slot(), p[2], f, got;
    switch (below(12)) {
    case 0: case 1: if (note(pipe2(p, O_NONBLOCK | O_CLOEXEC), "pipe2") == 0) keep(p[0]), keep(p[1]); break;
    case 2: note(dup2(fd, to), "dup2 %d %d", fd, to); break;
    case 3: got = dup(fd); note(got < 0 ? -1 : 0, "dup %d", fd); keep(got); break;
    case 4: note(fcntl(fd, F_GETFL), "F_GETFL %d", fd); break;
    case 5: f = PICK(((int[]){O_NONBLOCK, O_APPEND | O_NONBLOCK, O_NONBLOCK | O_NOATIME})); note(fcntl(fd, F_SETFL, f), "F_SETFL %d %#o", fd, f); break;
    case 6: note(fcntl(fd, F_GETFD), "F_GETFD %d", fd); break;
    case 7: got = eventfd(below(3), EFD_NONBLOCK | EFD_CLOEXEC); note(got < 0 ? -1 : 0, "eventfd"); keep(got); break;
    case 8: { int n = 0; note(ioctl(fd, FIONREAD, &n), "FIONREAD %d", fd); break; }
    case 9: { struct pollfd all[SLOTS]; for (int i = 0; i < SLOTS; i++) all[i] = (struct pollfd){FIRST_SLOT + i, POLLIN | POLLOUT | POLLRDHUP, 0};
        note(poll(all, SLOTS, 0), "poll"); for (int i = 0; i < SLOTS; i++) mix(&all[i].revents, 2); break; }
    case 10: { struct flock l = {.l_type = PICK(((short[]){F_RDLCK, F_WRLCK, F_UNLCK})), .l_start = below(10), .l_len = below(5)};
        note(fcntl(fd, F_SETLK, &l), "F_SETLK %d %d %ld %ld", fd, l.l_type, (long)l.l_start, (long)l.l_len); break; }
    case 11: f = below(8); note(syscall(SYS_close_range, fd, fd + f / 4, f & 1 ? 4 : 0), "close_range %d %d", fd, f); break;
    }
}

static int is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static void memory(void)
{
    char *at = arena + below(PAGES) * PAGE, *to = arena + below(PAGES) * PAGE;
    long n = (1 + below(4)) * PAGE;
    int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE}, prot = PICK(prots), fd = slot(), f;
    if (at + n > arena + PAGES * PAGE)
        n = PAGE;
    int pg = (at - arena) / PAGE;
    switch (below(11)) {
    case 0: case 1: f = below(2) ? MAP_PRIVATE : MAP_SHARED;
        note(mmap(at, n, prot, f | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at ? 0 : -1, "mmap %d %ld %d %d", pg, n / PAGE, prot, f); break;
    case 2: f = below(2) ? MAP_PRIVATE : MAP_SHARED;
        /* Linux maps what TCP has received; that is another story. */
        if (is_socket(fd))
            break;
        /* What was there may be gone where the file cannot be mapped. */
        if (note(mmap(at, n, prot, f | MAP_FIXED, fd, below(2) * PAGE) == at ? 0 : -1, "mmap %d %ld %d %d of %d", pg, n / PAGE, prot, f, fd) < 0)
            munmap(at, n);
        break;
    case 3: note(munmap(at, n), "munmap %d %ld", pg, n / PAGE); break;
    case 4: case 5: note(mprotect(at, n, prot), "mprotect %d %ld %d", pg, n / PAGE, prot); break;
    case 6: f = PICK(((int[]){MADV_DONTNEED, MADV_NORMAL, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK, MADV_POPULATE_READ})); note(madvise(at, n, f), "madvise %d %ld %d", pg, n / PAGE, f); break;
    case 7:
        /* Of one page: several areas at once are for newer kernels alone. */
        n = PAGE;
        if (to != at)
            note(mremap(at, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to ? 0 : -1, "mremap %d %ld to %ld", pg, n / PAGE, (to - arena) / PAGE);
        break;
    case 8: f = PICK(((int[]){MS_ASYNC, MS_SYNC, 0})); note(msync(at, n, f), "msync %d %ld %d", pg, n / PAGE, f); break;
    case 9: { char *a = place(); uint32_t len = length(); note(write(fd, a, len), "write %d from %ld %u", fd, (long)(a - arena), len); break; }
    case 10: { char *a = place(); uint32_t len = length(); note(read(fd, a, len), "read %d to %ld %u", fd, (long)(a - arena), len); break; }
    }
    /* What is there now, read as another process would. */
    struct iovec local = {page, PAGE}, remote = {at, PAGE};
    if (note(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), "look at %d", pg) == PAGE)
        mix(page, 64);
}

static void sockets(void)
{
    int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}, fd = slot(), p[2], f, value;
    uint32_t n = PICK(((int[]){0, 1, 10, 100}));
    socklen_t len = sizeof value;
    switch (below(12)) {
    case 0: case 1: f = PICK(types); if (note(socketpair(AF_UNIX, f | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p), "socketpair %d", f) == 0) keep(p[0]), keep(p[1]); break;
    case 2: f = PICK(types); value = socket(below(2) ? AF_UNIX : AF_INET, f | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); note(value < 0 ? -1 : 0, "socket %d", f); keep(value); break;
    case 3: case 4: memset(buffer, 's', n); f = PICK(((int[]){0, MSG_NOSIGNAL, MSG_DONTWAIT})); note(send(fd, buffer, n, f | MSG_NOSIGNAL), "send %d %u %#x", fd, n, f); break;
    case 5: case 6: f = PICK(((int[]){0, MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT})); note(recv(fd, buffer, n, f), "recv %d %u %#x", fd, n, f); break;
    case 7: f = below(4); note(shutdown(fd, f), "shutdown %d %d", fd, f); break;
    case 8: f = PICK(((int[]){SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_DOMAIN})); value = 0; if (note(getsockopt(fd, SOL_SOCKET, f, &value, &len), "getsockopt %d %d", fd, f) == 0) mix(&value, 4); break;
    case 9: { struct sockaddr_un a = {AF_UNIX, "sock"}; strcpy(a.sun_path, PICK(((const char *[]){"c", "d/b", "e", "gone/s"}))); f = below(3);
        note(f == 0 ? bind(fd, (void *)&a, sizeof a) : f == 1 ? listen(fd, 2) : connect(fd, (void *)&a, sizeof a), "%s %d %s", f == 0 ? "bind" : f == 1 ? "listen" : "connect", fd, a.sun_path); break; }
    case 10: f = accept4(fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC); note(f < 0 ? -1 : 0, "accept %d", fd); keep(f); break;
    case 11: { struct iovec v[2] = {{buffer, n}, {buffer, 3}}; struct msghdr m = {.msg_iov = v, .msg_iovlen = 2}; f = below(2);
        if (f) note(recvmsg(fd, &m, 0), "recvmsg %d", fd), mix(&m.msg_flags, 4); else note(sendmsg(fd, &m, MSG_NOSIGNAL), "sendmsg %d", fd); break; }
    }
}

static void signals(void)
{
    int numbers[] = {SIGUSR1, SIGUSR2, SIGWINCH, 40, 64, SIGCHLD}, s = PICK(numbers), f;
    sigset_t set;
    struct timespec none = {0, 0};
    sigemptyset(&set);
    sigaddset(&set, s);
    switch (below(9)) {
    case 0: case 1: f = below(2); note(signal(s, f ? on_signal : SIG_IGN) == SIG_ERR ? -1 : 0, "signal %d %d", s, f); break;
    case 2: case 3: f = below(2); note(sigprocmask(f ? SIG_BLOCK : SIG_UNBLOCK, &set, 0), "sigprocmask %d %d", f, s); break;
    case 4: note(raise(s), "raise %d", s); break;
    case 5: note(sigqueue(getpid(), s, (union sigval){.sival_int = below(100)}), "sigqueue %d", s); break;
    case 6: sigpending(&set); mix(&set, 8); break;
    case 7: { siginfo_t info = {0}; if (note(sigtimedwait(&set, &info, &none), "sigtimedwait %d", s) > 0) mix(&info.si_code, 4), mix(&info.si_value, 4); break; }
    case 8: note(handled, "handled"); break;
    }
}

static void processes(void)
{
    int status = 0, f = below(8);
    sigset_t none;
    if (below(8)) {
        note(waitpid(-1, &status, WNOHANG), "waitpid");
        return;
    }
    signal(SIGCHLD, SIG_DFL);
    pid_t pid = fork();
    if (pid == 0) {
        sigemptyset(&none);
        if (f == 0) {
            signal(SIGUSR1, SIG_DFL);
            sigprocmask(SIG_SETMASK, &none, 0);
            raise(SIGUSR1);
        }
        if (f == 1)
            close(slot());
        if (f == 2 && lseek(slot(), 7, SEEK_SET) < 0)
            _exit(99);
        _exit(f + below(50));
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    note(status & 0xffff, "child %d", f);
}

static void epolls(void)
{
    int ep = slot(), fd = slot(), f;
    struct epoll_event e = {PICK(((uint32_t[]){EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLOUT})), {.u64 = fd}}, got[8];
    switch (below(4)) {
    case 0: f = epoll_create1(EPOLL_CLOEXEC); note(f < 0 ? -1 : 0, "epoll_create1"); keep(f); break;
    case 1: case 2: f = PICK(((int[]){EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL})); note(epoll_ctl(ep, f, fd, &e), "epoll_ctl %d %d %d %#x", ep, f, fd, e.events); break;
    case 3: { int n = note(epoll_wait(ep, got, 8, 0), "epoll_wait %d", ep); uint64_t sum = 0; for (int i = 0; i < n; i++) sum += got[i].events * 1000003ull + got[i].data.u64; mix(&sum, 8); break; }
    }
}

static void remove_all(void)
{
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
            if (paths[i][0] != '.' && strcmp(paths[i], "d/.")) {
                if (unlink(paths[i]) < 0)
                    rmdir(paths[i]);
            }
}

static void usual_signals(void)
{
    int usual[] = {SIGUSR1, SIGUSR2, SIGWINCH, 40, 64};
    for (unsigned i = 0; i < sizeof usual / sizeof *usual; i++)
        signal(usual[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
}

static void one(uint64_t seed)
{
    state = (seed * 0x9e3779b97f4a7c15ull) ^ ((sequence + 1) * 0xd1342543de82ef95ull);
    state = state ? state : 1;
    for (int i = 0; i < 4; i++)
        below(2);
    handled = 0;
    void (*kinds[])(void) = {files, files, files, files, descriptors, descriptors, memory, memory, sockets, sockets, signals, epolls};
    unsigned steps = 4 + below(20), kind = below(20);
    for (step = 0; step < steps; step++) {
        if (below(256) == 0)
            processes();
        else
            kinds[kind < 12 && below(3) ? kind : below(12)]();
    }
    sigset_t all;
    usual_signals();
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
    close_range(FIRST_SLOT, ~0u, 0);
    mmap(arena, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    remove_all();
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    uint64_t seed = strtoull(argv[1], 0, 10);
    unsigned long first = strtoul(argv[2], 0, 10), count = strtoul(argv[3], 0, 10), block = argc > 4 ? strtoul(argv[4], 0, 10) : 100;
    verbose = block == 0;
    char dir[] = "/dev/shm/fuzz.XXXXXX";
    if (!mkdtemp(dir) || chdir(dir) < 0) {
        perror(dir);
        return 2;
    }
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    usual_signals();
    page = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* What lies behind is nobody's, wherever it is. */
    arena = mmap(0, (PAGES + 16) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mprotect(arena, PAGES * PAGE, PROT_READ | PROT_WRITE);
    hash = 0xcbf29ce484222325ull;
    setvbuf(stdout, 0, _IOFBF, 1 << 16);
    for (sequence = first; sequence < first + count; sequence++) {
        one(seed);
        if (!verbose && ((sequence + 1) % block == 0 || sequence + 1 == first + count)) {
            printf("case fuzz/%lu to %lu: %016llx\n", sequence / block * block, sequence, (unsigned long long)hash);
            fflush(stdout);
            hash = 0xcbf29ce484222325ull;
        }
    }
    fflush(stdout);
    if (chdir("/") == 0)
        rmdir(dir);
    return 0;
}
