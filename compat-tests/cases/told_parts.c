/* prctl(PR_SET_MM), names in /proc that cannot be made, kcmp(2) of what epoll watches, epoll's parameters and its limits of paths, and
 * files of huge pages. */
#include "case.h"

#include <linux/prctl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

/* Field `n` of /proc/self/stat, as proc(5) counts them. */
static unsigned long stat_field(int n)
{
    char text[4096];
    int fd = open("/proc/self/stat", O_RDONLY);
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = 0;
    char *at = strrchr(text, ')') + 2;
    for (int i = 3; i < n; i++)
        at = strchr(at, ' ') + 1;
    return strtoul(at, 0, 10);
}

static struct prctl_mm_map now(void)
{
    return (struct prctl_mm_map){
        .start_code = stat_field(26), .end_code = stat_field(27), .start_data = stat_field(45), .end_data = stat_field(46),
        .start_brk = stat_field(47), .brk = syscall(SYS_brk, 0), .start_stack = stat_field(28), .arg_start = stat_field(48),
        .arg_end = stat_field(49), .env_start = stat_field(50), .env_end = stat_field(51), .exe_fd = -1,
    };
}

static long set_map(struct prctl_mm_map map)
{
    return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

static void show_auxv(const char *name)
{
    unsigned long words[128];
    int fd = open("/proc/self/auxv", O_RDONLY);
    ssize_t n = read(fd, words, sizeof words);
    close(fd);
    SHOW(name, "%zd bytes, %lu %lu", n, words[0], words[1]);
}

GROUP(set_mm_map)
{
    int status;
    unsigned size = 0;
    OK("size", prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
    EQ("size told", sizeof(struct prctl_mm_map), size);
    ERR("size with a fifth argument", EINVAL, prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 1));
    ERR("size at no address", EFAULT, prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, BAD, 0, 0));
    ERR("a fourth argument", EINVAL, prctl(PR_SET_MM, PR_SET_MM_BRK, 65536, 1, 0));
    struct prctl_mm_map map = now(), other;
    OK("as it is", set_map(map));
    ERR("a size too small", EINVAL, prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map - 1, 0));
    ERR("at no address", EFAULT, prctl(PR_SET_MM, PR_SET_MM_MAP, BAD, sizeof map, 0));
#define CHANGED(name, error, change)                                                                                             \
    do {                                                                                                                         \
        other = map;                                                                                                             \
        change;                                                                                                                  \
        ERR(name, error, set_map(other));                                                                                        \
    } while (0)
    CHANGED("code that ends first", EINVAL, other.end_code = other.start_code - 1);
    CHANGED("code of no bytes", EINVAL, other.end_code = other.start_code);
    CHANGED("code too low", EINVAL, other.start_code = 1);
    CHANGED("code too high", EINVAL, other.end_code = 0x7ffffffff000);
    CHANGED("data that end first", EINVAL, other.end_data = other.start_data - 1);
    CHANGED("a break below its start", EINVAL, other.brk = other.start_brk - 1);
    CHANGED("arguments that end first", EINVAL, other.arg_end = other.arg_start - 1);
    CHANGED("environment that ends first", EINVAL, other.env_end = other.env_start - 1);
    CHANGED("a vector without address", EINVAL, other.auxv_size = 16);
    CHANGED("a vector too large", EINVAL, (other.auxv = (void *)&map, other.auxv_size = 5000));
    CHANGED("no file", EBADF, other.exe_fd = NOFD);
    CHILD(status, {
        char *area = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        strcpy(area, "a title");
        other = map;
        other.arg_start = (unsigned long)area;
        other.arg_end = other.arg_start + 8;
        OK("arguments elsewhere", set_map(other));
        char text[64];
        int fd = open("/proc/self/cmdline", O_RDONLY);
        EQ("their length", 8, read(fd, text, sizeof text));
        TEXT("shown", "a title", text);
        YES("told", stat_field(48) == other.arg_start);
    });
    CHILD(status, {
        unsigned long words[4] = {23, 1, 0, 0};
        other = map;
        other.auxv = (void *)words;
        other.auxv_size = sizeof words;
        OK("another vector", set_map(other));
        show_auxv("the vector");
    });
    CHILD(status, {
        other = map;
        other.brk = map.start_brk + 0x100000;
        OK("another break", set_map(other));
        YES("it is there", (unsigned long)syscall(SYS_brk, 0) == other.brk);
    });
    AS_NOBODY({
        ERR("a part by nobody", EPERM, prctl(PR_SET_MM, PR_SET_MM_START_CODE, map.start_code, 0, 0));
        ERR("no such part by nobody", EPERM, prctl(PR_SET_MM, 99, 0, 0, 0));
        OK("all by nobody", set_map(map));
        other = map;
        other.exe_fd = open("/proc/self/exe", O_RDONLY);
        ERR("the file by nobody", EPERM, set_map(other));
    });
}

GROUP(fixed_names)
{
    int fd = file_with("f", "x");
    static const char *const names[] = {"/proc/none", "/proc/self/none", "/proc/sys/none", "/proc/self/fd/none"};
    for (unsigned i = 0; i < COUNT(names); i++) {
        ERR(named("link %s", names[i]), ENOENT, link("f", names[i]));
        ERR(named("mkdir %s", names[i]), ENOENT, mkdir(names[i], 0700));
        ERR(named("symlink %s", names[i]), ENOENT, symlink("f", names[i]));
        ERR(named("mknod %s", names[i]), ENOENT, mknod(names[i], S_IFREG | 0600, 0));
        ERR(named("creat %s", names[i]), ENOENT, open(names[i], O_CREAT | O_WRONLY, 0600));
        ERR(named("rename %s", names[i]), EXDEV, rename("f", names[i]));
    }
    ERR("link over one that is there", EEXIST, link("f", "/proc/version"));
    ERR("link in /sys", EXDEV, link("f", "/sys/none"));
    ERR("mkdir in /sys", EPERM, mkdir("/sys/none", 0700));
    ERR("creat in /sys", EACCES, open("/sys/none", O_CREAT | O_WRONLY, 0600));
    close(fd);
}

struct slot {
    unsigned efd, tfd, toff;
};

static long epoll_cmp(int fd, const void *slot)
{
    return syscall(SYS_kcmp, getpid(), getpid(), 7, fd, slot);
}

GROUP(kcmp_epoll)
{
    int epoll = epoll_create1(0), p[2];
    struct epoll_event event = {.events = EPOLLIN};
    MUST(pipe(p) == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &event) == 0);
    int copy = dup(p[0]);
    struct slot slot = {epoll, p[0], 0};
    OK("the same", epoll_cmp(p[0], &slot));
    OK("a duplicate", epoll_cmp(copy, &slot));
    long order = epoll_cmp(p[1], &slot);
    YES("another", order == 1 || order == 2);
    slot.toff = 1;
    ERR("only one of that number", ENOENT, epoll_cmp(p[0], &slot));
    slot = (struct slot){epoll, NOFD, 0};
    ERR("not watched", ENOENT, epoll_cmp(p[0], &slot));
    slot = (struct slot){p[1], p[0], 0};
    ERR("no instance", EINVAL, epoll_cmp(p[0], &slot));
    slot.efd = NOFD;
    ERR("no descriptor", EBADF, epoll_cmp(p[0], &slot));
    ERR("no slot", EFAULT, epoll_cmp(p[0], BAD));
    ERR("neither", EFAULT, epoll_cmp(NOFD, BAD));
    ERR("no such kind", EINVAL, syscall(SYS_kcmp, getpid(), getpid(), 8, 0, 0));
}

struct busy {
    unsigned usecs;
    unsigned short budget;
    unsigned char prefer, pad;
};

GROUP(epoll_params)
{
    int epoll = epoll_create1(0);
    struct busy busy = {9, 9, 9, 9};
    OK("get", ioctl(epoll, 0x80088a02, &busy));
    SHOW("at first", "%u %u %u %u", busy.usecs, busy.budget, busy.prefer, busy.pad);
    busy = (struct busy){100, 8, 1, 0};
    OK("set", ioctl(epoll, 0x40088a01, &busy));
    busy = (struct busy){0};
    OK("get again", ioctl(epoll, 0x80088a02, &busy));
    SHOW("then", "%u %u %u %u", busy.usecs, busy.budget, busy.prefer, busy.pad);
    busy = (struct busy){1, 1, 0, 1};
    ERR("with padding", EINVAL, ioctl(epoll, 0x40088a01, &busy));
    busy = (struct busy){1, 1, 2, 0};
    ERR("another preference", EINVAL, ioctl(epoll, 0x40088a01, &busy));
    busy = (struct busy){1U << 31, 1, 0, 0};
    ERR("too long", EINVAL, ioctl(epoll, 0x40088a01, &busy));
    ERR("no address", EFAULT, ioctl(epoll, 0x40088a01, BAD));
    ERR("another request", EINVAL, ioctl(epoll, 0x8a03, 0));
    AS_NOBODY({
        busy = (struct busy){1, 65, 0, 0};
        ERR("a large budget by nobody", EPERM, ioctl(epoll, 0x40088a01, &busy));
    });
}

GROUP(epoll_paths)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2500)
        return;
    struct epoll_event event = {.events = EPOLLIN};
    int file = eventfd(0, 0), n;
    for (n = 0; n < 1100; n++)
        if (epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, file, &event) < 0)
            break;
    EQ("of one step", 1100, n);
    int middle = epoll_create1(0);
    OK("one more", epoll_ctl(middle, EPOLL_CTL_ADD, file, &event));
    for (n = 0; n < 600; n++)
        if (epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, middle, &event) < 0)
            break;
    int error = errno;
    SHOW("of two steps", "%d %s", n, error_name(error));
    int other = eventfd(0, 0);
    OK("another file by the same", epoll_ctl(middle, EPOLL_CTL_ADD, other, &event));
    int second = epoll_create1(0);
    OK("a chain of another", epoll_ctl(second, EPOLL_CTL_ADD, other, &event));
    int above = epoll_create1(0);
    ERR("one path too many for the file", EINVAL, epoll_ctl(above, EPOLL_CTL_ADD, second, &event));
    OK("the middle lets it go", epoll_ctl(middle, EPOLL_CTL_DEL, other, 0));
    OK("now there is room", epoll_ctl(above, EPOLL_CTL_ADD, second, &event));
}

GROUP(huge_files)
{
    static const unsigned known[] = {0, 21, 30}, unknown[] = {16, 20, 22, 31, 34};
    for (unsigned i = 0; i < COUNT(known); i++) {
        int fd = syscall(SYS_memfd_create, "huge", 4U | known[i] << 26);
        long page = known[i] == 30 ? 1L << 30 : 2L << 20;
        YES(named("pages of 2^%u", known[i]), fd >= 0);
        if (fd < 0)
            continue;
        struct stat info;
        fstat(fd, &info);
        SHOW(named("file of 2^%u", known[i]), "size %ld, blocks of %ld, mode %o", (long)info.st_size, (long)info.st_blksize, info.st_mode);
        ERR(named("part of a page of 2^%u", known[i]), EINVAL, ftruncate(fd, 4096));
        OK(named("whole page of 2^%u", known[i]), ftruncate(fd, page));
        char c = 'x';
        EQ(named("read 2^%u", known[i]), 1, read(fd, &c, 1));
        EQ(named("what is read, 2^%u", known[i]), 0, c);
        ERR(named("write 2^%u", known[i]), EINVAL, write(fd, "x", 1));
        EQ(named("seals of 2^%u", known[i]), F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
        close(fd);
    }
    for (unsigned i = 0; i < COUNT(unknown); i++)
        ERR(named("pages of 2^%u", unknown[i]), ENODEV, syscall(SYS_memfd_create, "huge", 4U | unknown[i] << 26));
    int fd = syscall(SYS_memfd_create, "sealed", 4U | 2U);
    MUST(fd >= 0);
    OK("no seals", fcntl(fd, F_GET_SEALS));
    OK("a page", ftruncate(fd, 2 << 20));
    OK("sealed", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
    ERR("no larger", EPERM, ftruncate(fd, 4 << 20));
    ERR("no smaller", EPERM, ftruncate(fd, 0));
    char name[64] = "";
    YES("its name", readlink(named("/proc/self/fd/%d", fd), name, 63) > 0);
    TEXT("called", "/memfd:sealed (deleted)", name);
}
