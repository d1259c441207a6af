/* POSIX ACLs (acl(5)) by the calls for extended attributes, on a tmpfs of our own; the rules of the other name spaces (xattr(7)); and what
 * writing takes away from a file. */
#include "case.h"
#include <endian.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
#define USER_OBJ 1
#define USER 2
#define GROUP_OBJ 4
#define GROUP_ 8
#define MASK 16
#define OTHER 32
#define NOID 0xffffffffu

struct entry {
    uint16_t tag, perm;
    uint32_t id;
};
struct acl {
    uint32_t version;
    struct entry entries[16];
};

static int set(const char *path, const char *name, int count, const struct entry *entries)
{
    struct acl acl = {2, {{0}}};
    memcpy(acl.entries, entries, count * sizeof *entries);
    return setxattr(path, name, &acl, 4 + count * 8, 0);
}
#define SET(path, name, ...)                                                                                                     \
    set(path, name, sizeof((struct entry[]){__VA_ARGS__}) / sizeof(struct entry), (struct entry[]){__VA_ARGS__})

static const char *get(const char *path, const char *name)
{
    static char texts[4][512];
    static int turn;
    struct acl acl;
    char *text = texts[turn++ & 3], *to = text;
    ssize_t n = getxattr(path, name, &acl, sizeof acl);
    if (n < 0)
        return error_name(errno);
    *to = 0;
    for (int i = 0; i < (n - 4) / 8; i++) {
        struct entry *e = &acl.entries[i];
        to += sprintf(to, "%s%d:%s:%o", i ? "," : "", e->tag, e->id == NOID ? "" : named("%u", e->id), e->perm);
    }
    return text;
}

static const char *names(const char *path)
{
    static char list[1024], text[1024];
    ssize_t n = listxattr(path, list, sizeof list);
    if (n < 0)
        return error_name(errno);
    *text = 0;
    for (char *at = list; at < list + n; at += strlen(at) + 1)
        strcat(strcat(text, *text ? "," : ""), at);
    return text;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0777777 : st.st_mode & 07777;
}

static int begin(void)
{
    if (geteuid())
        return 0;
    MUST(mkdir("t", 0777) == 0 && mount("t", "t", "tmpfs", 0, "mode=777") == 0 && chdir("t") == 0);
    return 1;
}

static void end(void)
{
    MUST(chdir("..") == 0);
    umount2("t", MNT_DETACH);
}

GROUP(acl_set)
{
    if (!begin())
        return;
    close(file_with("file", "x"));
    MUST(mkdir("dir", 0755) == 0 && symlink("file", "link") == 0);
    TEXT("none", "ENODATA", get("file", ACCESS));
    TEXT("no default one", "ENODATA", get("dir", DEFAULT));
    OK("set", SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 4, 1000}, {GROUP_OBJ, 4, NOID}, {MASK, 6, NOID}, {OTHER, 0, NOID}));
    TEXT("get", "1::6,2:1000:4,4::4,16::6,32::0", get("file", ACCESS));
    EQ("the mode's group is the mask", 0660, mode_of("file"));
    TEXT("listed", ACCESS, names("file"));
    EQ("its size", 44, getxattr("file", ACCESS, 0, 0));
    ERR("a short buffer", ERANGE, getxattr("file", ACCESS, &(struct acl){0}, 10));
    OK("chmod", chmod("file", 0751));
    TEXT("changes owner, mask and others", "1::7,2:1000:4,4::4,16::5,32::1", get("file", ACCESS));
    OK("chmod of the group", chmod("file", 0707));
    TEXT("changes the mask", "1::7,2:1000:4,4::4,16::0,32::7", get("file", ACCESS));
    OK("one that says no more than a mode", SET("file", ACCESS, {USER_OBJ, 6, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 4, NOID}));
    TEXT("is none", "ENODATA", get("file", ACCESS));
    EQ("but the mode", 0644, mode_of("file"));
    TEXT("and not listed", "", names("file"));
    OK("with a mask it is one", SET("file", ACCESS, {USER_OBJ, 6, NOID}, {GROUP_OBJ, 7, NOID}, {MASK, 4, NOID}, {OTHER, 4, NOID}));
    EQ("with the mask as group", 0644, mode_of("file"));
    OK("removed", removexattr("file", ACCESS));
    TEXT("it is gone", "ENODATA", get("file", ACCESS));
    EQ("and the mode as it was", 0644, mode_of("file"));
    SHOW("removed again", "%s", removexattr("file", ACCESS) ? error_name(errno) : "0");
    OK("a default one", SET("dir", DEFAULT, {USER_OBJ, 7, NOID}, {GROUP_OBJ, 5, NOID}, {OTHER, 0, NOID}));
    TEXT("is kept as it is", "1::7,4::5,32::0", get("dir", DEFAULT));
    EQ("and leaves the mode", 0755, mode_of("dir"));
    TEXT("listed, too", DEFAULT, names("dir"));
    OK("an empty one", setxattr("dir", DEFAULT, &(uint32_t){2}, 4, 0));
    TEXT("removes it", "ENODATA", get("dir", DEFAULT));
    SHOW("with flags", "%s", setxattr("file", ACCESS, &(struct acl){2, {{USER_OBJ, 6, NOID}, {GROUP_OBJ, 4, NOID}, {MASK, 7, NOID}, {OTHER, 4, NOID}}}, 36, XATTR_REPLACE) ? error_name(errno) : "0");
    ERR("a default one of a file", EACCES, SET("file", DEFAULT, {USER_OBJ, 7, NOID}, {GROUP_OBJ, 5, NOID}, {OTHER, 0, NOID}));
    ERR("of a symbolic link", EOPNOTSUPP, lsetxattr("link", ACCESS, &(struct acl){2, {{USER_OBJ, 6, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 4, NOID}}}, 28, 0));
    ERR("get of a symbolic link", EOPNOTSUPP, lgetxattr("link", ACCESS, 0, 0));
    ERR("another name", EOPNOTSUPP, setxattr("file", "system.other", "x", 1, 0));
    end();
}

GROUP(acl_valid)
{
    if (!begin())
        return;
    close(file_with("file", "x"));
    ERR("no owner", EINVAL, SET("file", ACCESS, {GROUP_OBJ, 4, NOID}, {OTHER, 0, NOID}));
    ERR("no group", EINVAL, SET("file", ACCESS, {USER_OBJ, 4, NOID}, {OTHER, 0, NOID}));
    ERR("no others", EINVAL, SET("file", ACCESS, {USER_OBJ, 4, NOID}, {GROUP_OBJ, 0, NOID}));
    ERR("two owners", EINVAL, SET("file", ACCESS, {USER_OBJ, 4, NOID}, {USER_OBJ, 4, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 0, NOID}));
    ERR("a user without a mask", EINVAL, SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 4, 5}, {GROUP_OBJ, 4, NOID}, {OTHER, 0, NOID}));
    ERR("a wrong order", EINVAL, SET("file", ACCESS, {OTHER, 0, NOID}, {USER_OBJ, 6, NOID}, {GROUP_OBJ, 4, NOID}));
    ERR("a group before its class", EINVAL, SET("file", ACCESS, {USER_OBJ, 6, NOID}, {GROUP_, 4, 5}, {GROUP_OBJ, 4, NOID}, {MASK, 4, NOID}, {OTHER, 0, NOID}));
    ERR("a user who is nobody", EINVAL, SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 4, NOID}, {GROUP_OBJ, 4, NOID}, {MASK, 4, NOID}, {OTHER, 0, NOID}));
    ERR("a permission that there is not", EINVAL, SET("file", ACCESS, {USER_OBJ, 9, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 0, NOID}));
    ERR("a tag that there is not", EINVAL, SET("file", ACCESS, {USER_OBJ, 6, NOID}, {64, 4, 5}, {GROUP_OBJ, 4, NOID}, {OTHER, 0, NOID}));
    ERR("another version", EOPNOTSUPP, setxattr("file", ACCESS, &(struct acl){3, {{USER_OBJ, 6, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 4, NOID}}}, 28, 0));
    ERR("half an entry", EINVAL, setxattr("file", ACCESS, &(struct acl){2, {{USER_OBJ, 6, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 4, NOID}}}, 24, 0));
    ERR("half a head", EINVAL, setxattr("file", ACCESS, &(uint32_t){2}, 2, 0));
    OK("two users", SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 4, 5}, {USER, 4, 6}, {GROUP_OBJ, 4, NOID}, {MASK, 4, NOID}, {OTHER, 0, NOID}));
    SHOW("the same user twice", "%s", SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 4, 5}, {USER, 4, 5}, {GROUP_OBJ, 4, NOID}, {MASK, 4, NOID}, {OTHER, 0, NOID}) ? error_name(errno) : "0");
    MUST(chown("file", NOBODY, NOBODY) == 0);
    AS_NOBODY({
        OK("its owner sets it", SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 4, 5}, {GROUP_OBJ, 4, NOID}, {MASK, 4, NOID}, {OTHER, 0, NOID}));
        OK("and removes it", removexattr("file", ACCESS));
    });
    MUST(chown("file", 1, 1) == 0 && chmod("file", 0666) == 0);
    AS_NOBODY({
        ERR("others do not set it", EPERM, SET("file", ACCESS, {USER_OBJ, 6, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 6, NOID}));
        ERR("nor remove it", EPERM, removexattr("file", ACCESS));
    });
    MUST(chmod("file", 02755) == 0);
    OK("set-group-ID stays for root", SET("file", ACCESS, {USER_OBJ, 6, NOID}, {GROUP_OBJ, 5, NOID}, {OTHER, 5, NOID}));
    EQ("it did", 02655, mode_of("file"));
    end();
}

#define TRY(name, want, path, flags) EQ(name, want, ({ int f_ = open(path, flags), e_ = errno; close(f_); f_ < 0 ? -e_ : 0; }))

GROUP(acl_access)
{
    if (!begin())
        return;
    close(file_with("file", "x"));
    MUST(mkdir("dir", 0700) == 0);
    close(file_with("dir/file", "x"));
    MUST(SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 4, NOBODY}, {GROUP_OBJ, 0, NOID}, {MASK, 6, NOID}, {OTHER, 0, NOID}) == 0);
    AS_NOBODY({
        TRY("a user who may read", 0, "file", O_RDONLY);
        TRY("but not write", -EACCES, "file", O_WRONLY);
        OK("access(2)", access("file", R_OK));
        ERR("access(2) to write", EACCES, access("file", W_OK));
    });
    MUST(SET("file", ACCESS, {USER_OBJ, 6, NOID}, {USER, 6, NOBODY}, {GROUP_OBJ, 0, NOID}, {MASK, 4, NOID}, {OTHER, 6, NOID}) == 0);
    AS_NOBODY({
        TRY("the mask lets read", 0, "file", O_RDONLY);
        TRY("and not write, whatever others may", -EACCES, "file", O_WRONLY);
    });
    MUST(chmod("file", 0606) == 0);
    AS_NOBODY({
        TRY("an empty mask, a user of his own", 0, "file", O_RDONLY);
    });
    MUST(SET("file", ACCESS, {USER_OBJ, 0, NOID}, {GROUP_OBJ, 0, NOID}, {GROUP_, 6, NOBODY}, {MASK, 7, NOID}, {OTHER, 0, NOID}) == 0);
    AS_NOBODY({ TRY("a group", 0, "file", O_RDWR); });
    MUST(SET("file", ACCESS, {USER_OBJ, 0, NOID}, {GROUP_OBJ, 0, NOID}, {GROUP_, 4, NOBODY}, {MASK, 7, NOID}, {OTHER, 6, NOID}) == 0);
    AS_NOBODY({
        TRY("a group that may less than others: reads", 0, "file", O_RDONLY);
        TRY("and does not write", -EACCES, "file", O_WRONLY);
    });
    MUST(chown("file", 7, NOBODY) == 0 && SET("file", ACCESS, {USER_OBJ, 0, NOID}, {GROUP_OBJ, 4, NOID}, {GROUP_, 2, NOBODY}, {MASK, 7, NOID}, {OTHER, 0, NOID}) == 0);
    AS_NOBODY({
        TRY("of two groups one lets read", 0, "file", O_RDONLY);
        TRY("and the other write", 0, "file", O_WRONLY);
        TRY("but none both", -EACCES, "file", O_RDWR);
    });
    MUST(chown("file", NOBODY, 1) == 0 && SET("file", ACCESS, {USER_OBJ, 2, NOID}, {USER, 7, NOBODY}, {GROUP_OBJ, 7, NOID}, {MASK, 7, NOID}, {OTHER, 7, NOID}) == 0);
    AS_NOBODY({
        TRY("the owner is the owner", -EACCES, "file", O_RDONLY);
        TRY("and writes", 0, "file", O_WRONLY);
    });
    AS_NOBODY({ TRY("a directory that is closed", -EACCES, "dir/file", O_RDONLY); });
    MUST(SET("dir", ACCESS, {USER_OBJ, 7, NOID}, {USER, 1, NOBODY}, {GROUP_OBJ, 0, NOID}, {MASK, 7, NOID}, {OTHER, 0, NOID}) == 0);
    AS_NOBODY({
        TRY("is searched by leave", 0, "dir/file", O_RDONLY);
        TRY("but not read", -EACCES, "dir", O_RDONLY);
        TRY("nor written to", -EACCES, "dir/new", O_CREAT | O_RDWR);
    });
    MUST(SET("dir", ACCESS, {USER_OBJ, 7, NOID}, {USER, 3, NOBODY}, {GROUP_OBJ, 0, NOID}, {MASK, 7, NOID}, {OTHER, 0, NOID}) == 0);
    AS_NOBODY({
        OK("or written to by leave", mkdir("dir/new", 0700));
        OK("and removed from", unlink("dir/file"));
    });
    end();
}

GROUP(acl_inherit)
{
    if (!begin())
        return;
    umask(027);
    MUST(mkdir("dir", 0755) == 0);
    MUST(SET("dir", DEFAULT, {USER_OBJ, 7, NOID}, {USER, 6, 5}, {GROUP_OBJ, 5, NOID}, {MASK, 7, NOID}, {OTHER, 5, NOID}) == 0);
    int fd = open("dir/file", O_CREAT | O_RDWR, 0666);
    MUST(fd >= 0);
    EQ("a file's mode: no umask", 0664, mode_of("dir/file"));
    TEXT("a file's", "1::6,2:5:6,4::5,16::6,32::4", get("dir/file", ACCESS));
    TEXT("a file's default one", "ENODATA", get("dir/file", DEFAULT));
    MUST(mkdir("dir/sub", 0777) == 0);
    EQ("a directory's mode", 0775, mode_of("dir/sub"));
    TEXT("a directory's", "1::7,2:5:6,4::5,16::7,32::5", get("dir/sub", ACCESS));
    TEXT("a directory's default one", "1::7,2:5:6,4::5,16::7,32::5", get("dir/sub", DEFAULT));
    MUST(mkdir("dir/narrow", 0700) == 0);
    TEXT("a narrow directory's", "1::7,2:5:6,4::5,16::0,32::0", get("dir/narrow", ACCESS));
    EQ("its mode", 0700, mode_of("dir/narrow"));
    MUST(mkfifo("dir/fifo", 0666) == 0);
    TEXT("a FIFO's", "1::6,2:5:6,4::5,16::6,32::4", get("dir/fifo", ACCESS));
    MUST(symlink("x", "dir/link") == 0);
    MUST(SET("dir", DEFAULT, {USER_OBJ, 7, NOID}, {GROUP_OBJ, 4, NOID}, {OTHER, 4, NOID}) == 0);
    close(open("dir/plain", O_CREAT | O_RDWR, 0666));
    EQ("one that says no more than a mode: the mode", 0644, mode_of("dir/plain"));
    TEXT("and nothing else", "ENODATA", get("dir/plain", ACCESS));
    MUST(mkdir("dir/plain-dir", 0777) == 0);
    TEXT("a directory's default one, too", "1::7,4::4,32::4", get("dir/plain-dir", DEFAULT));
    TEXT("but no other", "ENODATA", get("dir/plain-dir", ACCESS));
    fd = open("dir", O_TMPFILE | O_RDWR, 0666);
    YES("without a name", fd >= 0);
    struct stat st;
    MUST(fstat(fd, &st) == 0);
    EQ("its mode, too", 0644, st.st_mode & 0777);
    close(open("plain", O_CREAT | O_RDWR, 0666));
    EQ("elsewhere there is the umask", 0640, mode_of("plain"));
    OK("a link", link("dir/file", "dir/second"));
    TEXT("is the same file", "1::6,2:5:6,4::5,16::6,32::4", get("dir/second", ACCESS));
    OK("moved out", rename("dir/second", "second"));
    TEXT("it keeps it", "1::6,2:5:6,4::5,16::6,32::4", get("second", ACCESS));
    end();
}

/* A capability as setcap(8) writes it. */
static const uint32_t capability[5] = {0x02000001, 1 << 10, 0, 0, 0};

static int has_capability(const char *path)
{
    return getxattr(path, "security.capability", 0, 0) == sizeof capability;
}

static void give(const char *path)
{
    MUST(setxattr(path, "security.capability", capability, sizeof capability, 0) == 0);
}

GROUP(privileges)
{
    if (!begin())
        return;
    int fd = file_with("file", "contents");
    give("file");
    YES("it is there", has_capability("file"));
    EQ("writing", 1, write(fd, "x", 1));
    YES("takes it away", !has_capability("file"));
    give("file");
    OK("truncating", truncate("file", 3));
    YES("takes it away, too", !has_capability("file"));
    give("file");
    OK("ftruncate", ftruncate(fd, 2));
    YES("and ftruncate", !has_capability("file"));
    give("file");
    close(open("file", O_WRONLY | O_TRUNC));
    YES("and O_TRUNC", !has_capability("file"));
    give("file");
    OK("chown", chown("file", 1, 1));
    YES("and chown", !has_capability("file"));
    give("file");
    OK("chown of nothing", chown("file", -1, -1));
    SHOW("and that", "%d", has_capability("file"));
    give("file");
    OK("fallocate", fallocate(fd, 0, 0, 10));
    SHOW("and fallocate", "%d", has_capability("file"));
    give("file");
    OK("chmod", chmod("file", 0755));
    YES("but not chmod", has_capability("file"));
    OK("utimensat", utimensat(AT_FDCWD, "file", 0, 0));
    YES("nor new times", has_capability("file"));
    EQ("reading", 1, pread(fd, &(char){0}, 1, 0));
    YES("nor reading", has_capability("file"));
    close(fd);
    fd = open("file", O_RDWR);
    give("file");
    char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED);
    *map = 'y';
    SHOW("a store to a mapping", "%d", has_capability("file"));
    close(fd);
    MUST(mkdir("dir", 0777) == 0);
    OK("chown of a directory", chown("dir", 2, 2));
    end();
}

static const char *const spaces[] = {"user.x", "trusted.x", "security.x", "system.x", "nospace.x", "user.", "trusted.", "security.", "user", "x"};

GROUP(xattr_spaces)
{
    if (!begin())
        return;
    close(file_with("file", "x"));
    MUST(mkdir("dir", 01777) == 0 && mkfifo("fifo", 0666) == 0 && symlink("nowhere", "link") == 0 && mknod("device", S_IFCHR | 0666, 0x103) == 0);
    static const char *const files[] = {"file", "dir", "fifo", "device", "link"};
    for (unsigned i = 0; i < COUNT(spaces); i++)
        for (unsigned j = 0; j < COUNT(files); j++) {
            int put = lsetxattr(files[j], spaces[i], "v", 1, 0) ? errno : 0, got = lgetxattr(files[j], spaces[i], 0, 0) < 0 ? errno : 0;
            int gone = lremovexattr(files[j], spaces[i]) ? errno : 0;
            SHOW(named("%s of %s", spaces[i], files[j]), "%s %s %s", put ? error_name(put) : "0", got ? error_name(got) : "0", gone ? error_name(gone) : "0");
        }
    MUST(setxattr("file", "trusted.secret", "s", 1, 0) == 0 && setxattr("file", "user.open", "o", 1, 0) == 0 && setxattr("file", "security.other", "o", 1, 0) == 0);
    MUST(chmod("file", 0666) == 0 && chown("fifo", NOBODY, NOBODY) == 0 && chown("dir", 1, 1) == 0);
    AS_NOBODY({
        ERR("trusted. is not for others to see", ENODATA, getxattr("file", "trusted.secret", 0, 0));
        ERR("nor to set", EPERM, setxattr("file", "trusted.secret", "s", 1, 0));
        EQ("security. is to be seen", 1, getxattr("file", "security.other", 0, 0));
        ERR("not to be set", EPERM, setxattr("file", "security.other", "s", 1, 0));
        OK("user. by those who write", setxattr("file", "user.mine", "s", 1, 0));
        ERR("user. of a FIFO", EPERM, setxattr("fifo", "user.mine", "s", 1, 0));
        ERR("user. of a sticky directory of another", EPERM, setxattr("dir", "user.mine", "s", 1, 0));
    });
    static char big[65537], long_name[300] = "user.";
    memset(long_name + 5, 'n', 251);
    EQ("a name of 255", 0, (long_name[255] = 0, setxattr("file", long_name, "v", 1, 0)));
    long_name[255] = 'n';
    ERR("a name of 256", ERANGE, setxattr("file", long_name, "v", 1, 0));
    OK("the largest value", setxattr("file", "user.big", big, 65536, 0));
    ERR("a larger one", E2BIG, setxattr("file", "user.big", big, 65537, 0));
    EQ("it stays", 65536, getxattr("file", "user.big", 0, 0));
    ERR("a short buffer", ERANGE, getxattr("file", "user.big", big, 100));
    ERR("listing to a short buffer", ERANGE, listxattr("file", big, 3));
    OK("nothing as a value", setxattr("file", "user.none", 0, 0, 0));
    OK("is nothing", getxattr("file", "user.none", big, 10));
    ERR("CREATE of what is there", EEXIST, setxattr("file", "user.none", "v", 1, XATTR_CREATE));
    ERR("REPLACE of what is not", ENODATA, setxattr("file", "user.absent", "v", 1, XATTR_REPLACE));
    ERR("other flags", EINVAL, setxattr("file", "user.x", "v", 1, 4));
    ERR("an empty name", ERANGE, setxattr("file", "", "v", 1, 0));
    ERR("a bad address", EFAULT, setxattr("file", "user.x", BAD, 1, 0));
    ERR("a bad name", EFAULT, setxattr("file", BAD, "v", 1, 0));
    ERR("get to a bad address", EFAULT, getxattr("file", "user.open", BAD, 10));
    ERR("removing what is not there", ENODATA, removexattr("file", "user.absent"));
    end();
}
