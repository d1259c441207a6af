/* Requests of ioctl(2) that are about files, devices, namespaces and processes, and seeking in what is no ordinary file. */
#include "case.h"
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <linux/fs.h>
#include <linux/random.h>

#define NSIO 0xb7
#define GET_USERNS _IO(NSIO, 1)
#define GET_PARENT _IO(NSIO, 2)
#define GET_NSTYPE _IO(NSIO, 3)
#define GET_OWNER_UID _IO(NSIO, 4)

static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"};

GROUP(namespaces)
{
    struct stat first, second;
    char path[64], text[64], want[64];
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        int fd = open(path, O_RDONLY);
        YES(named("%s: opens", kinds[i]), fd >= 0);
        MUST(fstat(fd, &first) == 0 && stat(path, &second) == 0);
        YES(named("%s: is one file", kinds[i]), first.st_ino == second.st_ino && first.st_dev == second.st_dev);
        SHOW(named("%s: stat", kinds[i]), "%o %ld %ld", first.st_mode, (long)first.st_size, (long)first.st_nlink);
        ssize_t n = readlink(path, text, sizeof text - 1);
        text[n < 0 ? 0 : n] = 0;
        int length = strcspn(kinds[i], "_");
        snprintf(want, sizeof want, "%.*s:[%lu]", length, kinds[i], (unsigned long)first.st_ino);
        YES(named("%s: its name has its number", kinds[i]), !strcmp(text, want));
        SHOW(named("%s: NS_GET_NSTYPE", kinds[i]), "%#x", ioctl(fd, GET_NSTYPE));
        int user = ioctl(fd, GET_USERNS);
        SHOW(named("%s: NS_GET_USERNS", kinds[i]), "%s", user < 0 ? error_name(errno) : "a descriptor");
        if (user >= 0)
            EQ(named("%s: of a user namespace", kinds[i]), 0x10000000, ioctl(user, GET_NSTYPE));
        int parent = ioctl(fd, GET_PARENT);
        SHOW(named("%s: NS_GET_PARENT", kinds[i]), "%s", parent < 0 ? error_name(errno) : "a descriptor");
        unsigned uid = 77;
        int got = ioctl(fd, GET_OWNER_UID, &uid);
        SHOW(named("%s: NS_GET_OWNER_UID", kinds[i]), "%s %u", got < 0 ? error_name(errno) : "0", uid);
        ERR(named("%s: no such request", kinds[i]), ENOTTY, ioctl(fd, _IO(NSIO, 99)));
        ERR(named("%s: read", kinds[i]), EINVAL, read(fd, text, 1));
        close(fd);
    }
    ERR("for writing", EPERM, open("/proc/self/ns/uts", O_RDWR));
    int status, p[2];
    char mine[64] = "", its[64] = "";
    MUST(pipe(p) == 0 && readlink("/proc/self/ns/uts", mine, 63) > 0);
    CHILD(status, {
        char other[64] = "";
        MUST(readlink("/proc/self/ns/uts", other, 63) > 0);
        MUST(write(p[1], other, 64) == 64);
    });
    MUST(read(p[0], its, 64) == 64);
    YES("a child has the same", !strcmp(mine, its));
    DIR *dir = opendir("/proc/self/ns");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    EQ("as many are listed", 2 + (int)COUNT(kinds), n);
}

GROUP(random)
{
    int bits = 0, fd = open("/dev/random", O_RDWR), size;
    MUST(fd >= 0);
    OK("RNDGETENTCNT", ioctl(fd, RNDGETENTCNT, &bits));
    EQ("is full", 256, bits);
    ERR("RNDGETENTCNT, a bad address", EFAULT, ioctl(fd, RNDGETENTCNT, BAD));
    if (geteuid() == 0) {
        bits = 8;
        OK("RNDADDTOENTCNT", ioctl(fd, RNDADDTOENTCNT, &bits));
        bits = -8;
        ERR("RNDADDTOENTCNT, less than none", EINVAL, ioctl(fd, RNDADDTOENTCNT, &bits));
        ERR("RNDADDTOENTCNT, a bad address", EFAULT, ioctl(fd, RNDADDTOENTCNT, BAD));
        struct {
            int entropy, size;
            char bytes[8];
        } pool = {8, 8, "entropy"};
        OK("RNDADDENTROPY", ioctl(fd, RNDADDENTROPY, &pool));
        pool.entropy = -1;
        ERR("RNDADDENTROPY, less than none", EINVAL, ioctl(fd, RNDADDENTROPY, &pool));
        OK("RNDZAPENTCNT", ioctl(fd, RNDZAPENTCNT));
        OK("RNDCLEARPOOL", ioctl(fd, RNDCLEARPOOL));
        OK("RNDRESEEDCRNG", ioctl(fd, RNDRESEEDCRNG));
        OK("RNDGETENTCNT of urandom", ioctl(open("/dev/urandom", O_RDONLY), RNDGETENTCNT, &bits));
        EQ("is the same", 256, bits);
    }
    ERR("RNDGETPOOL", EINVAL, ioctl(fd, RNDGETPOOL, &size));
    ERR("no such request", EINVAL, ioctl(fd, _IO('R', 0x77)));
    ERR("FIONREAD", EINVAL, ioctl(fd, FIONREAD, &size));
    ERR("TCGETS of /dev/null", ENOTTY, ioctl(open("/dev/null", O_RDWR), TCGETS, &size));
    ERR("TCGETS of /dev/zero", ENOTTY, ioctl(open("/dev/zero", O_RDWR), TCGETS, &size));
    EQ("poll", POLLIN, ({ struct pollfd q = {fd, POLLIN | POLLOUT, 0}; poll(&q, 1, 0); q.revents; }));
    AS_NOBODY({
        bits = 8;
        ERR("RNDADDTOENTCNT by others", EPERM, ioctl(fd, RNDADDTOENTCNT, &bits));
        ERR("RNDZAPENTCNT by others", EPERM, ioctl(fd, RNDZAPENTCNT));
        ERR("RNDRESEEDCRNG by others", EPERM, ioctl(fd, RNDRESEEDCRNG));
        OK("RNDGETENTCNT by others", ioctl(fd, RNDGETENTCNT, &bits));
    });
}

/* On a tmpfs, wherever the tests run. */
GROUP(file_flags)
{
    if (geteuid())
        return;
    MUST(mkdir("t", 0777) == 0 && mount("t", "t", "tmpfs", 0, "") == 0);
    int fd = open("t/file", O_CREAT | O_RDWR, 0666), value, dir;
    unsigned flags = 77;
    struct fsxattr x = {.fsx_xflags = 77};
    MUST(fd >= 0 && (dir = open("t", O_RDONLY)) >= 0);
    OK("FS_IOC_GETFLAGS", ioctl(fd, FS_IOC_GETFLAGS, &flags));
    EQ("none", 0, flags);
    ERR("FS_IOC_GETFLAGS, a bad address", EFAULT, ioctl(fd, FS_IOC_GETFLAGS, BAD));
    OK("FS_IOC_GETFLAGS of a directory", ioctl(dir, FS_IOC_GETFLAGS, &flags));
    flags = FS_NODUMP_FL;
    OK("FS_IOC_SETFLAGS nodump", ioctl(fd, FS_IOC_SETFLAGS, &flags));
    OK("FS_IOC_GETFLAGS then", ioctl(fd, FS_IOC_GETFLAGS, &flags));
    EQ("nodump", FS_NODUMP_FL, flags);
    OK("FS_IOC_FSGETXATTR", ioctl(fd, FS_IOC_FSGETXATTR, &x));
    EQ("has it, too", FS_XFLAG_NODUMP, x.fsx_xflags);
    flags = FS_COMPR_FL;
    ERR("FS_IOC_SETFLAGS compressed", EOPNOTSUPP, ioctl(fd, FS_IOC_SETFLAGS, &flags));
    flags = FS_APPEND_FL;
    OK("append only", ioctl(fd, FS_IOC_SETFLAGS, &flags));
    ERR("opening it for writing", EPERM, open("t/file", O_WRONLY));
    ERR("and truncating", EPERM, open("t/file", O_WRONLY | O_APPEND | O_TRUNC));
    int append = open("t/file", O_WRONLY | O_APPEND);
    YES("but for appending", append >= 0);
    EQ("which goes", 2, write(append, "ab", 2));
    ERR("clearing O_APPEND", EPERM, fcntl(append, F_SETFL, 0));
    ERR("truncate", EPERM, truncate("t/file", 0));
    ERR("unlink", EPERM, unlink("t/file"));
    ERR("rename", EPERM, rename("t/file", "t/other"));
    ERR("link", EPERM, link("t/file", "t/other"));
    ERR("chmod", EPERM, chmod("t/file", 0600));
    ERR("utimensat", EPERM, utimensat(AT_FDCWD, "t/file", (struct timespec[2]){{1, 0}, {1, 0}}, 0));
    struct statx sx;
    MUST(statx(AT_FDCWD, "t/file", 0, STATX_BASIC_STATS, &sx) == 0);
    SHOW("statx", "%#llx %#llx", (unsigned long long)sx.stx_attributes & 0x70, (unsigned long long)sx.stx_attributes_mask & 0x70);
    flags = FS_IMMUTABLE_FL;
    OK("immutable", ioctl(fd, FS_IOC_SETFLAGS, &flags));
    ERR("opening it", EPERM, open("t/file", O_WRONLY | O_APPEND));
    EQ("an old description still writes", 1, write(fd, "x", 1));
    ERR("chown", EPERM, chown("t/file", 1, 1));
    ERR("setxattr", EPERM, syscall(SYS_setxattr, "t/file", "user.a", "x", 1L, 0L));
    MUST(statx(AT_FDCWD, "t/file", 0, STATX_BASIC_STATS, &sx) == 0);
    SHOW("statx then", "%#llx", (unsigned long long)sx.stx_attributes & 0x70);
    flags = FS_IMMUTABLE_FL;
    OK("an immutable directory", ioctl(dir, FS_IOC_SETFLAGS, &flags));
    ERR("creating", EPERM, open("t/new", O_CREAT | O_RDWR, 0666));
    ERR("mkdir", EPERM, mkdir("t/new", 0777));
    flags = 0;
    MUST(ioctl(dir, FS_IOC_SETFLAGS, &flags) == 0 && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
    OK("none again: unlink", unlink("t/file"));
    fd = open("t/other", O_CREAT | O_RDWR, 0666);
    MUST(fchown(fd, NOBODY, NOBODY) == 0);
    AS_NOBODY({
        flags = FS_APPEND_FL;
        ERR("its owner may not make it append only", EPERM, ioctl(fd, FS_IOC_SETFLAGS, &flags));
        flags = FS_NODUMP_FL;
        OK("but nodump", ioctl(fd, FS_IOC_SETFLAGS, &flags));
    });
    loff_t length = 0;
    OK("FIOQSIZE", ioctl(fd, FIOQSIZE, &length));
    EQ("is its size", 0, length);
    OK("FIOQSIZE of a directory", ioctl(dir, FIOQSIZE, &length));
    OK("FIGETBSZ", ioctl(fd, FIGETBSZ, &value));
    EQ("a page", 4096, value);
    OK("FIONREAD", ioctl(fd, FIONREAD, &value));
    ERR("FIONREAD of a directory", ENOTTY, ioctl(dir, FIONREAD, &value));
    ERR("FIBMAP", EINVAL, ioctl(fd, FIBMAP, &value));
    SHOW("FIFREEZE", "%s", ioctl(dir, FIFREEZE, 0) ? error_name(errno) : "0");
    SHOW("FS_IOC_GETVERSION", "%s", ioctl(fd, FS_IOC_GETVERSION, &value) ? error_name(errno) : "0");
    SHOW("FS_IOC_GETFSLABEL", "%s", ioctl(fd, FS_IOC_GETFSLABEL, &value) ? error_name(errno) : "0");
    ERR("BLKGETSIZE64", ENOTTY, ioctl(fd, BLKGETSIZE64, &length));
    ERR("BLKROGET", ENOTTY, ioctl(fd, BLKROGET, &value));
    ERR("TCGETS", ENOTTY, ioctl(fd, TCGETS, &value));
    int p[2];
    MUST(pipe(p) == 0);
    ERR("FIOQSIZE of a pipe", ENOTTY, ioctl(p[0], FIOQSIZE, &length));
    ERR("FIGETBSZ, a bad address", EFAULT, ioctl(fd, FIGETBSZ, BAD));
    ERR("FIONBIO, a bad address", EFAULT, ioctl(fd, FIONBIO, BAD));
    close(fd);
    close(dir);
    close(append);
    MUST(umount2("t", MNT_DETACH) == 0);
}

struct info {
    uint64_t mask, cgroupid;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
    uint32_t coredump_mask, spare;
};
#define GET_INFO(size) (3U << 30 | 0xffU << 8 | 11 | (unsigned)(size) << 16)

GROUP(pidfd_info)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(7);
    }
    int fd = syscall(SYS_pidfd_open, child, 0), n = 0;
    MUST(fd >= 0);
    struct info info = {.mask = 0};
    OK("nothing asked for", ioctl(fd, GET_INFO(sizeof info), &info));
    SHOW("what comes", "%#llx", (unsigned long long)info.mask & 0x3);
    YES("ids", info.pid == (uint32_t)child && info.tgid == (uint32_t)child && info.ppid == (uint32_t)getpid());
    YES("users", info.ruid == getuid() && info.euid == geteuid() && info.suid == getuid() && info.fsuid == geteuid());
    YES("groups", info.rgid == getgid() && info.egid == getegid() && info.fsgid == getegid());
    ERR("a bad address", EFAULT, ioctl(fd, GET_INFO(sizeof info), BAD));
    ERR("no address", EINVAL, ioctl(fd, GET_INFO(sizeof info), 0));
    ERR("too small", ENOTTY, ioctl(fd, GET_INFO(8), &info));
    info.mask = 0;
    OK("the first version's size", ioctl(fd, GET_INFO(64), &info));
    static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"};
    for (unsigned i = 0; i < COUNT(names); i++) {
        int ns = ioctl(fd, _IO(0xff, i + 1), 0);
        YES(named("namespace: %s", names[i]), ns >= 0);
        if (ns >= 0)
            SHOW(named("its kind: %s", names[i]), "%#x", ioctl(ns, GET_NSTYPE));
        n += ns >= 0;
    }
    ERR("with an argument", EINVAL, ioctl(fd, _IO(0xff, 1), 1));
    ERR("no such request", ENOTTY, ioctl(fd, _IO(0xff, 99), 0));
    ERR("TCGETS", ENOTTY, ioctl(fd, TCGETS, &info));
    kill(child, SIGKILL);
    struct pollfd p = {fd, POLLIN, 0};
    poll(&p, 1, 2000);
    info.mask = 8;
    int got = ioctl(fd, GET_INFO(sizeof info), &info);
    SHOW("ended, not waited for", "%s %#llx", got ? error_name(errno) : "0", got ? 0ULL : (unsigned long long)info.mask & 0x9);
    waitpid(child, 0, 0);
    info.mask = 8;
    got = ioctl(fd, GET_INFO(sizeof info), &info);
    SHOW("waited for", "%s %#llx %#x", got ? error_name(errno) : "0", got ? 0ULL : (unsigned long long)info.mask & 0x8, got ? 0 : info.exit_code);
    info.mask = 0;
    ERR("waited for, without its exit", ESRCH, ioctl(fd, GET_INFO(sizeof info), &info));
    ERR("a namespace of it", ESRCH, ioctl(fd, _IO(0xff, 10), 0));
}

struct map_query {
    uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags, page_size, vma_offset, inode;
    uint32_t dev_major, dev_minor, name_size, build_id_size;
    uint64_t name, build_id;
};
#define MAP_QUERY _IOWR('f', 17, struct map_query)

GROUP(map_query)
{
    int fd = open("/proc/self/maps", O_RDONLY);
    MUST(fd >= 0);
    char name[256] = "";
    char *area = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(area != MAP_FAILED && mprotect(area + 4096, 4096, PROT_READ | PROT_EXEC) == 0);
    struct map_query q = {.size = sizeof q, .query_addr = (uintptr_t)area + 5000};
    OK("an area", ioctl(fd, MAP_QUERY, &q));
    YES("its ends", q.vma_start == (uintptr_t)area + 4096 && q.vma_end == (uintptr_t)area + 8192);
    EQ("readable and executable", 5, q.vma_flags);
    EQ("its pages", 4096, q.page_size);
    EQ("no file", 0, q.inode | q.vma_offset | q.dev_major | q.dev_minor);
    int file = file_with("mapped", "contents");
    struct stat st;
    MUST(fstat(file, &st) == 0);
    char *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    MUST(shared != MAP_FAILED);
    q = (struct map_query){.size = sizeof q, .query_addr = (uintptr_t)shared, .name_size = sizeof name, .name = (uintptr_t)name};
    OK("a file", ioctl(fd, MAP_QUERY, &q));
    EQ("readable, writable, shared", 11, q.vma_flags);
    YES("its inode", q.inode == st.st_ino);
    YES("its name", strstr(name, "/mapped") && q.name_size == strlen(name) + 1);
    q.name_size = 3;
    ERR("a short buffer for the name", ENAMETOOLONG, ioctl(fd, MAP_QUERY, &q));
    q.name_size = 10;
    q.name = 0;
    ERR("a size without a buffer", EINVAL, ioctl(fd, MAP_QUERY, &q));
    q = (struct map_query){.size = sizeof q, .query_addr = 0};
    ERR("nothing there", ENOENT, ioctl(fd, MAP_QUERY, &q));
    q.query_flags = 0x10;
    OK("or the next one", ioctl(fd, MAP_QUERY, &q));
    YES("which begins later", q.vma_start > 0);
    q = (struct map_query){.size = sizeof q, .query_addr = 0, .query_flags = 0x10 | 0x20};
    OK("the next one with a file", ioctl(fd, MAP_QUERY, &q));
    YES("has one", q.inode != 0);
    q = (struct map_query){.size = sizeof q, .query_addr = (uintptr_t)area, .query_flags = 4};
    ERR("executable", ENOENT, ioctl(fd, MAP_QUERY, &q));
    q.query_flags = 4 | 0x10;
    OK("or the next executable", ioctl(fd, MAP_QUERY, &q));
    YES("is that page", q.vma_start == (uintptr_t)area + 4096);
    q.query_flags = 0x1000;
    ERR("flags that there are not", EINVAL, ioctl(fd, MAP_QUERY, &q));
    q.query_flags = 0;
    q.size = 8;
    ERR("too small", EINVAL, ioctl(fd, MAP_QUERY, &q));
    ERR("a bad address", EFAULT, ioctl(fd, MAP_QUERY, BAD));
    ERR("no such request", ENOTTY, ioctl(fd, _IO('f', 99), 0));
}

static long offset(int fd, long off, int whence)
{
    long at = lseek(fd, off, whence);
    return at < 0 ? -errno : at;
}

static const char *const texts[] = {"/proc/self/status", "/proc/self/maps", "/proc/self/stat", "/proc/self/mounts", "/proc/meminfo", "/proc/version", "/proc/sys/kernel/hostname", "/proc/self/comm", "/proc/self/limits"};

GROUP(seek)
{
    char one[8192], other[8192];
    for (unsigned i = 0; i < COUNT(texts); i++) {
        int fd = open(texts[i], O_RDONLY);
        MUST(fd >= 0);
        SHOW(named("%s", texts[i]), "set %ld, cur %ld, end %ld, end-1 %ld, negative %ld, data %ld, hole %ld, whence 9 %ld", offset(fd, 7, SEEK_SET), offset(fd, 3, SEEK_CUR),
             offset(fd, 0, SEEK_END), offset(fd, -1, SEEK_END), offset(fd, -1, SEEK_SET), offset(fd, 0, SEEK_DATA), offset(fd, 0, SEEK_HOLE), offset(fd, 0, 9));
        SHOW(named("%s: far", texts[i]), "%ld %ld", offset(fd, LONG_MAX, SEEK_SET), offset(fd, 1L << 40, SEEK_SET));
        if (strcmp(texts[i], "/proc/version") == 0 || strcmp(texts[i], "/proc/self/mounts") == 0 || strcmp(texts[i], "/proc/self/comm") == 0) {
            offset(fd, 0, SEEK_SET);
            ssize_t n = read(fd, one, sizeof one), rest;
            rest = pread(fd, other, sizeof other, 5);
            YES(named("%s: pread at 5", texts[i]), rest == n - 5 && !memcmp(one + 5, other, rest));
            EQ(named("%s: pread at its end", texts[i]), 0, pread(fd, other, sizeof other, n));
            EQ(named("%s: pread far behind", texts[i]), 0, pread(fd, other, sizeof other, 1 << 20));
            YES(named("%s: its offset stays", texts[i]), lseek(fd, 0, SEEK_CUR) == n);
            offset(fd, 2, SEEK_SET);
            rest = read(fd, other, 3);
            YES(named("%s: read at 2", texts[i]), rest == 3 && !memcmp(one + 2, other, 3));
        }
        close(fd);
    }
}

static const char *const folders[] = {"here", "/proc", "/proc/self", "/proc/self/fd", "/proc/self/task", "/proc/sys/kernel", "/sys", "/dev/pts"};

GROUP(seek_directories)
{
    MUST(mkdir("here", 0777) == 0);
    for (int i = 0; i < 5; i++)
        close(open(named("here/%d", i), O_CREAT | O_WRONLY, 0666));
    for (unsigned i = 0; i < COUNT(folders); i++) {
        int fd = open(folders[i], O_RDONLY | O_DIRECTORY);
        MUST(fd >= 0);
        OK(named("%s: to the beginning", folders[i]), offset(fd, 0, SEEK_SET));
        EQ(named("%s: negative", folders[i]), -EINVAL, offset(fd, -1, SEEK_SET));
        EQ(named("%s: no such whence", folders[i]), -EINVAL, offset(fd, 0, 9));
        ERR(named("%s: read", folders[i]), EISDIR, read(fd, &fd, 0));
        DIR *dir = fdopendir(fd);
        char names[64][64];
        long places[64];
        int n = 0;
        for (struct dirent *entry; n < 64; n++) {
            places[n] = telldir(dir);
            if (!(entry = readdir(dir)))
                break;
            snprintf(names[n], 64, "%s", entry->d_name);
        }
        int right = 0;
        for (int j = n - 1; j >= 0; j--) {
            seekdir(dir, places[j]);
            struct dirent *entry = readdir(dir);
            right += entry && !strcmp(entry->d_name, names[j]);
        }
        YES(named("%s: each is found again where it was", folders[i]), right == n);
        rewinddir(dir);
        struct dirent *entry = readdir(dir);
        YES(named("%s: rewound", folders[i]), entry && !strcmp(entry->d_name, names[0]));
        closedir(dir);
    }
}

GROUP(mounts_poll)
{
    if (geteuid())
        return;
    int fd = open("/proc/self/mounts", O_RDONLY), info = open("/proc/self/mountinfo", O_RDONLY), e = epoll_create1(0);
    MUST(fd >= 0 && info >= 0 && e >= 0 && mkdir("m", 0777) == 0);
    struct pollfd p = {fd, POLLIN | POLLPRI, 0};
    char buffer[16384];
    while (poll(&p, 1, 0), p.revents & POLLPRI)
        p.revents = 0;
    EQ("unchanged", POLLIN, p.revents);
    struct epoll_event event = {.events = EPOLLPRI | EPOLLERR};
    OK("epoll takes it", epoll_ctl(e, EPOLL_CTL_ADD, fd, &event));
    MUST(mount("m", "m", "tmpfs", 0, "") == 0);
    int n;
    for (int i = 0; i < 20 && (n = epoll_wait(e, &event, 1, 100)) == 1 && !(event.events & EPOLLPRI); i++)
        ;
    EQ("a mount is told", EPOLLPRI | EPOLLERR, event.events);
    p.fd = info;
    EQ("to another description, too", 1, poll(&p, 1, 100));
    EQ("in this way", POLLIN | POLLPRI | POLLERR, p.revents);
    MUST(umount("m") == 0);
    EQ("and an unmount", 1, poll(&p, 1, 100));
    YES("by an event of its own", p.revents & POLLPRI);
    YES("and is read", pread(info, buffer, sizeof buffer, 0) > 0);
}
