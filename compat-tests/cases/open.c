/* Opening files: open, openat, openat2, creat, umask. */
#include "case.h"
#include <linux/openat2.h>

GROUP(open)
{
    close(file_with("a", "abc"));
    MUST(mkdir("d", 0755) == 0 && symlink("a", "l") == 0 && symlink("loop", "loop") == 0 && symlink("gone", "dangling") == 0);
    MUST(mkfifo("f", 0644) == 0);
    struct { const char *path; int flags, error; } table[] = {
        {"gone", O_RDONLY, ENOENT}, {"", O_RDONLY, ENOENT}, {"gone/a", O_RDONLY | O_CREAT, ENOENT}, {"a/b", O_RDONLY, ENOTDIR},
        {"a/", O_RDONLY, ENOTDIR}, {"a/.", O_RDONLY, ENOTDIR}, {"a", O_RDONLY | O_DIRECTORY, ENOTDIR}, {"d", O_WRONLY, EISDIR},
        {"d", O_RDWR, EISDIR}, {"d", O_RDONLY | O_CREAT, EISDIR}, {"d/", O_WRONLY | O_CREAT, EISDIR}, {"new/", O_WRONLY | O_CREAT, EISDIR},
        {"loop", O_RDONLY, ELOOP}, {"l", O_RDONLY | O_NOFOLLOW, ELOOP}, {"dangling", O_RDONLY, ENOENT}, {"a", O_RDONLY | O_CREAT | O_EXCL, EEXIST},
        {"l", O_RDONLY | O_CREAT | O_EXCL, EEXIST}, {"dangling", O_RDWR | O_CREAT | O_EXCL, EEXIST}, {"d", O_RDONLY | O_CREAT | O_EXCL, EEXIST},
        {"f", O_WRONLY | O_NONBLOCK, ENXIO}, {"d", O_TMPFILE | O_RDONLY, EINVAL}, {"a", O_TMPFILE | O_RDWR, ENOTDIR}, {"gone", O_TMPFILE | O_RDWR, ENOENT},
        {"l", O_RDONLY | O_DIRECTORY, ENOTDIR}, {"loop/x", O_RDONLY, ELOOP}, {".", O_WRONLY, EISDIR}, {"d/..", O_RDWR, EISDIR},
        {"d", O_CREAT | O_DIRECTORY | O_RDONLY, EINVAL},
    };
    for (unsigned i = 0; i < COUNT(table); i++)
        ERR(named("\"%s\" %#o", table[i].path, table[i].flags), table[i].error, open(table[i].path, table[i].flags, 0644));
    struct { const char *path; int flags; } good[] = {
        {"a", O_WRONLY}, {"a", O_RDWR}, {"./a", O_RDONLY}, {"d/../a", O_RDONLY}, {"l", O_RDWR}, {"d", O_RDONLY}, {"d/", O_RDONLY},
        {"d", O_RDONLY | O_DIRECTORY}, {"f", O_RDONLY | O_NONBLOCK}, {"f", O_RDWR}, {"l", O_PATH | O_NOFOLLOW}, {"a", O_RDONLY | O_CREAT},
        {"dangling", O_RDWR | O_CREAT}, {"d", O_TMPFILE | O_RDWR}, {"a", O_RDONLY | O_NOATIME}, {"a", O_RDWR | O_SYNC}, {"a", O_RDWR | O_DSYNC},
        {"a", O_RDONLY | O_NOCTTY}, {"a", O_RDONLY | O_LARGEFILE}, {"a", O_WRONLY | O_APPEND}, {"d/.", O_RDONLY}, {"d//..//a", O_RDONLY},
    };
    for (unsigned i = 0; i < COUNT(good); i++) {
        int fd = open(good[i].path, good[i].flags, 0644);
        YES(named("\"%s\" %#o, opens", good[i].path, good[i].flags), fd >= 0);
        close(fd);
    }
    YES("through a dangling link a file is made", access("gone", F_OK) == 0);
    int fd = open("a", O_RDONLY | O_TRUNC);
    EQ("O_TRUNC with O_RDONLY", 0, lseek(fd, 0, SEEK_END));
    fd = open("e", O_RDWR | O_CREAT, 0);
    EQ("a new file of mode 0 can be written by its maker", 1, write(fd, "x", 1));
    struct stat st;
    MUST(fstat(fd, &st) == 0);
    EQ("and has mode 0", 0, st.st_mode & 07777);
    fd = open("n", O_WRONLY | O_CREAT | O_APPEND, 0644);
    MUST(write(fd, "abc", 3) == 3 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "d", 1) == 1);
    EQ("O_APPEND writes at the end", 4, lseek(fd, 0, SEEK_END));
    int path = open("a", O_PATH);
    char c;
    ERR("O_PATH, read", EBADF, read(path, &c, 1));
    ERR("O_PATH, write", EBADF, write(path, &c, 1));
    ERR("O_PATH, lseek", EBADF, lseek(path, 0, SEEK_SET));
    ERR("O_PATH, fchmod", EBADF, fchmod(path, 0600));
    ERR("O_PATH, ftruncate", EBADF, ftruncate(path, 0));
    ERR("O_PATH, mmap", EBADF, mmap(0, 4096, PROT_READ, MAP_PRIVATE, path, 0) == MAP_FAILED ? -1 : 0);
    OK("O_PATH, fstat", fstat(path, &st));
    EQ("O_PATH, flags", O_PATH, fcntl(path, F_GETFL));
    ERR("NULL", EFAULT, open(NULL, O_RDONLY));
    ERR("a bad address", EFAULT, open(BAD, O_RDONLY));
    ERR("a kernel address", EFAULT, open(KERNEL, O_RDONLY));
    static char name[5000];
    memset(name, 'n', 256);
    ERR("a name of 256 bytes", ENAMETOOLONG, open(name, O_RDONLY));
    name[255] = 0;
    ERR("a name of 255 bytes", ENOENT, open(name, O_RDONLY));
    memset(name, 'n', 4999);
    ERR("a path of 4999 bytes", ENAMETOOLONG, open(name, O_RDONLY));
    for (int i = 0; i < 4096; i += 2)
        memcpy(name + i, "./", 2);
    name[4095] = 0;
    YES("a path of 4095 bytes", open(name, O_RDONLY) >= 0);
    name[4095] = '/', name[4096] = 0;
    ERR("a path of 4096 bytes", ENAMETOOLONG, open(name, O_RDONLY));
    char *page = edge_page(PROT_READ | PROT_WRITE);
    strcpy(page + 4094, "a");
    YES("a path that ends with its page", open(page + 4094, O_RDONLY) >= 0);
    page[4095] = 'b';
    ERR("a path that goes on behind its page", EFAULT, open(page + 4094, O_RDONLY));
    for (int i = 0; i < 41; i++)
        MUST(symlink(i ? named("s%d", i - 1) : "a", named("s%d", i)) == 0);
    YES("40 links", open("s39", O_RDONLY) >= 0);
    ERR("41 links", ELOOP, open("s40", O_RDONLY));
    MUST(chmod("d", 0700) == 0);
    close(file_with("private", "x"));
    MUST(chmod("private", 0600) == 0);
    close(file_with("readable", "x"));
    MUST(chmod("readable", 0644) == 0);
    AS_NOBODY({
        ERR("no permission to read", EACCES, open("private", O_RDONLY));
        ERR("no permission to write", EACCES, open("readable", O_WRONLY));
        ERR("nor to do both", EACCES, open("readable", O_RDWR));
        ERR("nor to truncate", EACCES, open("readable", O_RDONLY | O_TRUNC));
        YES("permission to read", open("readable", O_RDONLY) >= 0);
        ERR("no permission to search", EACCES, open("d/x", O_RDONLY));
        ERR("O_NOATIME of another's file", EPERM, open("readable", O_RDONLY | O_NOATIME));
        YES("O_PATH needs none", open("private", O_PATH) >= 0);
        YES("a new file in an open directory", open("mine", O_RDWR | O_CREAT, 0600) >= 0);
    });
    struct rlimit limit = {30, 30};
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (open("a", O_RDONLY) >= 0)
        ;
    ERR("no descriptors left", EMFILE, open("a", O_RDONLY));
    ERR("and no file is made then", EMFILE, open("never", O_RDWR | O_CREAT, 0644));
    ERR("so it is not there", ENOENT, access("never", F_OK));
}

GROUP(openat)
{
    MUST(mkdir("d", 0755) == 0);
    close(file_with("d/in", "in"));
    close(file_with("out", "out"));
    int dir = open("d", O_RDONLY | O_DIRECTORY), file = open("out", O_RDONLY);
    YES("below a directory", openat(dir, "in", O_RDONLY) >= 0);
    YES("above it", openat(dir, "../out", O_RDONLY) >= 0);
    YES("AT_FDCWD", openat(AT_FDCWD, "out", O_RDONLY) >= 0);
    ERR("not there", ENOENT, openat(dir, "out", O_RDONLY));
    ERR("a file for a directory", ENOTDIR, openat(file, "in", O_RDONLY));
    ERR("no descriptor", EBADF, openat(NOFD, "in", O_RDONLY));
    ERR("no descriptor, -1", EBADF, openat(-1, "in", O_RDONLY));
    YES("an absolute path asks nobody", openat(NOFD, "/", O_RDONLY) >= 0);
    ERR("an empty path", ENOENT, openat(dir, "", O_RDONLY));
    ERR("an empty path of no descriptor", ENOENT, openat(NOFD, "", O_RDONLY));
    int path = open("d", O_PATH);
    YES("below an O_PATH", openat(path, "in", O_RDONLY) >= 0);
    YES("makes", openat(dir, "new", O_RDWR | O_CREAT, 0600) >= 0);
    OK("there", access("d/new", F_OK));
    MUST(rename("d", "e") == 0);
    YES("follows the directory's renaming", openat(dir, "in", O_RDONLY) >= 0);
    MUST(unlink("e/in") == 0 && unlink("e/new") == 0 && rmdir("e") == 0);
    ERR("in a removed directory", ENOENT, openat(dir, "x", O_RDWR | O_CREAT, 0600));
    YES("itself still opens", openat(dir, ".", O_RDONLY) >= 0);
}

static long openat2_(int dir, const char *path, struct open_how how, size_t size) { return syscall(SYS_openat2, dir, path, &how, size); }
#define HOW(...) (struct open_how){__VA_ARGS__}, sizeof(struct open_how)

GROUP(openat2)
{
    MUST(mkdir("d", 0755) == 0 && symlink("in", "d/l") == 0 && symlink("../out", "d/up") == 0 && symlink("/", "d/abs") == 0);
    close(file_with("d/in", "in"));
    close(file_with("out", "out"));
    int dir = open("d", O_RDONLY);
    YES("plain", openat2_(dir, "in", HOW(.flags = O_RDONLY)) >= 0);
    YES("through a link", openat2_(dir, "l", HOW(.flags = O_RDONLY)) >= 0);
    struct { const char *name, *path; int resolve, error; } table[] = {
        {"RESOLVE_BENEATH", "in", RESOLVE_BENEATH, 0}, {"RESOLVE_BENEATH", "l", RESOLVE_BENEATH, 0}, {"RESOLVE_BENEATH", "../out", RESOLVE_BENEATH, EXDEV},
        {"RESOLVE_BENEATH", "up", RESOLVE_BENEATH, EXDEV}, {"RESOLVE_BENEATH", "/", RESOLVE_BENEATH, EXDEV}, {"RESOLVE_BENEATH", "abs", RESOLVE_BENEATH, EXDEV},
        {"RESOLVE_IN_ROOT", "/in", RESOLVE_IN_ROOT, 0}, {"RESOLVE_IN_ROOT", "../in", RESOLVE_IN_ROOT, 0}, {"RESOLVE_IN_ROOT", "../out", RESOLVE_IN_ROOT, ENOENT},
        {"RESOLVE_IN_ROOT", "abs", RESOLVE_IN_ROOT, 0}, {"RESOLVE_NO_SYMLINKS", "in", RESOLVE_NO_SYMLINKS, 0}, {"RESOLVE_NO_SYMLINKS", "l", RESOLVE_NO_SYMLINKS, ELOOP},
        {"RESOLVE_NO_SYMLINKS", "abs/x", RESOLVE_NO_SYMLINKS, ELOOP}, {"RESOLVE_NO_XDEV", "in", RESOLVE_NO_XDEV, 0}, {"RESOLVE_NO_XDEV", "/proc/version", RESOLVE_NO_XDEV, EXDEV},
        {"RESOLVE_NO_MAGICLINKS", "/proc/self/exe", RESOLVE_NO_MAGICLINKS, ELOOP}, {"RESOLVE_NO_MAGICLINKS", "l", RESOLVE_NO_MAGICLINKS, 0},
        {"both roots", "in", RESOLVE_BENEATH | RESOLVE_IN_ROOT, EINVAL}, {"unknown bits", "in", 0x8000, EINVAL},
    };
    for (unsigned i = 0; i < COUNT(table); i++) {
        const char *name = named("%s %s", table[i].name, table[i].path);
        long fd = openat2_(dir, table[i].path, HOW(.flags = O_RDONLY, .resolve = table[i].resolve));
        if (table[i].error)
            fails(name, table[i].error, fd < 0 ? -1 : 0, errno);
        else
            YES(name, fd >= 0);
    }
    ERR("unknown flags", EINVAL, openat2_(dir, "in", HOW(.flags = 1ull << 40)));
    ERR("a mode without O_CREAT", EINVAL, openat2_(dir, "in", HOW(.flags = O_RDONLY, .mode = 0600)));
    ERR("too large a mode", EINVAL, openat2_(dir, "n", HOW(.flags = O_RDWR | O_CREAT, .mode = 010000)));
    YES("a mode with O_CREAT", openat2_(dir, "n", HOW(.flags = O_RDWR | O_CREAT, .mode = 0600)) >= 0);
    ERR("O_PATH with O_RDWR and O_CREAT", EINVAL, openat2_(dir, "n", HOW(.flags = O_PATH | O_CREAT, .mode = 0600)));
    ERR("too small a size", EINVAL, openat2_(dir, "in", (struct open_how){.flags = 0}, 23));
    ERR("size 0", EINVAL, openat2_(dir, "in", (struct open_how){.flags = 0}, 0));
    char large[64] = {0};
    YES("a larger structure of zeroes", syscall(SYS_openat2, dir, "in", large, sizeof large) >= 0);
    large[40] = 1;
    ERR("a larger structure with more in it", E2BIG, syscall(SYS_openat2, dir, "in", large, sizeof large));
    ERR("a size beyond a page", E2BIG, syscall(SYS_openat2, dir, "in", large, 5000));
    ERR("NULL", EFAULT, syscall(SYS_openat2, dir, "in", NULL, 24));
}

GROUP(creat)
{
    int fd = creat("a", 0640);
    YES("makes", fd >= 0);
    EQ("for writing only", O_WRONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
    MUST(write(fd, "abc", 3) == 3);
    YES("again", creat("a", 0600) >= 0);
    struct stat st;
    MUST(stat("a", &st) == 0);
    EQ("truncates", 0, st.st_size);
    EQ("and keeps the mode", 0640, st.st_mode & 07777);
    MUST(mkdir("d", 0755) == 0);
    ERR("a directory", EISDIR, syscall(SYS_creat, "d", 0600));
    ERR("nowhere", ENOENT, syscall(SYS_creat, "x/y", 0600));
    ERR("below a file", ENOTDIR, syscall(SYS_creat, "a/y", 0600));
    ERR("a bad address", EFAULT, syscall(SYS_creat, BAD, 0600));
}

GROUP(umask)
{
    EQ("what it was", 022, umask(077));
    struct stat st;
    int masks[] = {0, 022, 077, 0777, 0177, 0111};
    for (unsigned i = 0; i < COUNT(masks); i++) {
        umask(masks[i]);
        MUST(open(named("f%d", i), O_CREAT | O_RDWR, 0666) >= 0 && stat(named("f%d", i), &st) == 0);
        EQ(named("%o, a file", masks[i]), 0666 & ~masks[i], st.st_mode & 07777);
        MUST(mkdir(named("d%d", i), 0777) == 0 && stat(named("d%d", i), &st) == 0);
        EQ(named("%o, a directory", masks[i]), 0777 & ~masks[i], st.st_mode & 07777);
        MUST(mkfifo(named("p%d", i), 0666) == 0 && stat(named("p%d", i), &st) == 0);
        EQ(named("%o, a fifo", masks[i]), 0666 & ~masks[i], st.st_mode & 07777);
    }
    umask(07777);
    EQ("only nine bits", 0777, umask(022));
    int status;
    umask(035);
    CHILD(status, EQ("children have it", 035, umask(0)));
    EQ("and do not change ours", 035, umask(0));
    MUST(chmod("f0", 0777) == 0 && stat("f0", &st) == 0);
    EQ("chmod asks no umask", 0777, st.st_mode & 07777);
}
