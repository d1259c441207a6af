/* Who a process is: users, groups, capabilities. All as super-user; each group of cases is a process of its own. */
#include "case.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>

/* Not the C library's: those change every thread. */
#define CALL(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

static const char *users(void) { unsigned r, e, s; CALL(getresuid, &r, &e, &s); return named("%d %d %d", r, e, s); }
static const char *groups_(void) { unsigned r, e, s; CALL(getresgid, &r, &e, &s); return named("%d %d %d", r, e, s); }

GROUP(getuid)
{
    if (geteuid())
        return;
    EQ("super-user", 0, CALL(getuid));
    MUST(CALL(setresuid, 1, 2, 3) == 0);
    EQ("the real one", 1, CALL(getuid));
}
GROUP(geteuid)
{
    if (geteuid())
        return;
    MUST(CALL(setresuid, 1, 2, 3) == 0);
    EQ("the effective one", 2, CALL(geteuid));
}
GROUP(getgid)
{
    if (geteuid())
        return;
    MUST(CALL(setresgid, 1, 2, 3) == 0);
    EQ("the real one", 1, CALL(getgid));
}
GROUP(getegid)
{
    if (geteuid())
        return;
    MUST(CALL(setresgid, 1, 2, 3) == 0);
    EQ("the effective one", 2, CALL(getegid));
}

GROUP(setuid)
{
    if (geteuid())
        return;
    int status;
    CHILD(status, {
        OK("as super-user", CALL(setuid, 5));
        TEXT("sets all three", "5 5 5", users());
        ERR("and cannot go back", EPERM, CALL(setuid, 0));
        OK("to who one is", CALL(setuid, 5));
    });
    CHILD(status, {
        MUST(CALL(setresuid, 5, 6, 7) == 0);
        OK("a user, to the real one", CALL(setuid, 5));
        TEXT("sets the effective one", "5 5 7", users());
        OK("to the saved one", CALL(setuid, 7));
        TEXT("sets it", "5 7 7", users());
        ERR("to another", EPERM, CALL(setuid, 8));
    });
    ERR("minus one", EINVAL, CALL(setuid, -1));
}

GROUP(setgid)
{
    if (geteuid())
        return;
    int status;
    CHILD(status, {
        OK("as super-user", CALL(setgid, 5));
        TEXT("sets all three", "5 5 5", groups_());
    });
    CHILD(status, {
        MUST(CALL(setresgid, 5, 6, 7) == 0 && CALL(setuid, 9) == 0);
        OK("a user, to the real one", CALL(setgid, 5));
        OK("to the saved one", CALL(setgid, 7));
        ERR("to another", EPERM, CALL(setgid, 8));
    });
    ERR("minus one", EINVAL, CALL(setgid, -1));
}

static void pairs(long (*set)(int, int), const char *(*get)(void), long (*start)(int, int, int), int is_group)
{
    struct { int real, effective; const char *then; int error; } table[] = {
        {-1, -1, "5 6 7", 0}, {6, -1, "6 6 6", 0}, {-1, 5, "5 5 7", 0}, {-1, 7, "5 7 7", 0}, {6, 5, "6 5 5", 0}, {7, -1, "", EPERM}, {-1, 8, "", EPERM}, {8, -1, "", EPERM},
    };
    for (unsigned i = 0; i < COUNT(table); i++) {
        int status;
        CHILD(status, {
            MUST(start(5, 6, 7) == 0);
            if (is_group)
                MUST(CALL(setuid, 9) == 0);
            const char *name = named("a user, %d %d", table[i].real, table[i].effective);
            if (table[i].error) {
                ERR(name, table[i].error, set(table[i].real, table[i].effective));
            } else {
                OK(name, set(table[i].real, table[i].effective));
                TEXT(named("%s, then", name), table[i].then, get());
            }
        });
    }
}
static long reuid(int r, int e) { return CALL(setreuid, r, e); }
static long regid(int r, int e) { return CALL(setregid, r, e); }
static long resuid(int r, int e, int s) { return CALL(setresuid, r, e, s); }
static long resgid(int r, int e, int s) { return CALL(setresgid, r, e, s); }
GROUP(setreuid)
{
    if (geteuid())
        return;
    pairs(reuid, users, resuid, 0);
    OK("as super-user", CALL(setreuid, 3, 4));
    TEXT("the saved one follows", "3 4 4", users());
}
GROUP(setregid)
{
    if (geteuid())
        return;
    pairs(regid, groups_, resgid, 1);
    OK("as super-user", CALL(setregid, 3, 4));
    TEXT("the saved one follows", "3 4 4", groups_());
}

static void triples(long (*set)(int, int, int), const char *(*get)(void), int is_group)
{
    struct { int r, e, s, error; } table[] = {{-1, -1, -1, 0}, {7, 7, 7, 0}, {6, 7, 5, 0}, {5, -1, -1, 0}, {-1, 8, -1, EPERM}, {8, -1, -1, EPERM}, {-1, -1, 8, EPERM}, {0, 0, 0, EPERM}};
    for (unsigned i = 0; i < COUNT(table); i++) {
        int status;
        CHILD(status, {
            MUST(set(5, 6, 7) == 0);
            if (is_group)
                MUST(CALL(setuid, 9) == 0);
            const char *name = named("a user, %d %d %d", table[i].r, table[i].e, table[i].s);
            if (table[i].error)
                ERR(name, table[i].error, set(table[i].r, table[i].e, table[i].s));
            else
                OK(name, set(table[i].r, table[i].e, table[i].s));
            SHOW(named("%s, then", name), "%s", get());
        });
    }
}
GROUP(setresuid) { if (!geteuid()) triples(resuid, users, 0); }
GROUP(setresgid) { if (!geteuid()) triples(resgid, groups_, 1); }

GROUP(getresuid)
{
    unsigned r, e, s;
    OK("all", CALL(getresuid, &r, &e, &s));
    ERR("into nowhere", EFAULT, CALL(getresuid, &r, BAD, &s));
    ERR("NULL", EFAULT, CALL(getresuid, NULL, &e, &s));
}
GROUP(getresgid)
{
    unsigned r, e, s;
    OK("all", CALL(getresgid, &r, &e, &s));
    ERR("into nowhere", EFAULT, CALL(getresgid, &r, &e, BAD));
}

GROUP(setfsuid)
{
    if (geteuid())
        return;
    EQ("tells who it was", 0, CALL(setfsuid, 5));
    EQ("and then", 5, CALL(setfsuid, -1));
    EQ("-1 changes nothing", 5, CALL(setfsuid, 6));
    close(file_with("root", "x"));
    int fd = open("mine", O_CREAT | O_RDWR, 0600);
    struct stat st;
    fstat(fd, &st);
    EQ("new files are that user's", 6, st.st_uid);
    MUST(CALL(setresuid, 1, 1, 1) == 0);
    EQ("it follows the effective user", 1, CALL(setfsuid, 50));
    EQ("a user cannot be another", 1, CALL(setfsuid, -1));
}
GROUP(setfsgid)
{
    if (geteuid())
        return;
    EQ("tells who it was", 0, CALL(setfsgid, 5));
    int fd = open("mine", O_CREAT | O_RDWR, 0600);
    struct stat st;
    fstat(fd, &st);
    EQ("new files are that group's", 5, st.st_gid);
    EQ("it is kept", 5, CALL(setfsgid, -1));
}

GROUP(setgroups)
{
    if (geteuid())
        return;
    unsigned list[] = {30, 10, 20}, got[8];
    OK("three", CALL(setgroups, 3, list));
    EQ("are there", 3, CALL(getgroups, 8, got));
    SHOW("in order", "%u %u %u", got[0], got[1], got[2]);
    OK("none", CALL(setgroups, 0, NULL));
    EQ("are there then", 0, CALL(getgroups, 8, got));
    ERR("too many", EINVAL, CALL(setgroups, 65537, list));
    ERR("from nowhere", EFAULT, CALL(setgroups, 2, BAD));
    MUST(CALL(setgroups, 1, list + 1) == 0);
    close(file_with("a", "x"));
    MUST(chown("a", -1, 10) == 0 && chmod("a", 0040) == 0);
    int status;
    CHILD(status, {
        MUST(CALL(setgid, 77) == 0 && CALL(setuid, 77) == 0);
        OK("they give access", access("a", R_OK));
        ERR("a user cannot change them", EPERM, CALL(setgroups, 0, NULL));
    });
}
GROUP(getgroups)
{
    if (geteuid())
        return;
    unsigned list[] = {1, 2, 3}, got[8];
    MUST(CALL(setgroups, 3, list) == 0);
    EQ("how many", 3, CALL(getgroups, 0, NULL));
    ERR("too little room", EINVAL, CALL(getgroups, 2, got));
    ERR("negative room", EINVAL, CALL(getgroups, -1, got));
    ERR("into nowhere", EFAULT, CALL(getgroups, 8, BAD));
}

GROUP(capget)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    OK("version 3", CALL(capget, &head, data));
    if (geteuid() == 0)
        YES("a super-user may change owners", data[0].effective & 1 << CAP_CHOWN);
    head.version = 0x12345;
    ERR("an unknown version", EINVAL, CALL(capget, &head, data));
    EQ("tells the right one", _LINUX_CAPABILITY_VERSION_3, head.version);
    head.version = 1;
    OK("asking for the version", CALL(capget, &head, NULL));
    head.version = _LINUX_CAPABILITY_VERSION_1;
    OK("version 1", CALL(capget, &head, data));
    head.version = _LINUX_CAPABILITY_VERSION_3;
    head.pid = 0x3fffff;
    ERR("no such process", ESRCH, CALL(capget, &head, data));
    head.pid = -1;
    ERR("a negative process", EINVAL, CALL(capget, &head, data));
    head.pid = 0;
    ERR("into nowhere", EFAULT, CALL(capget, &head, BAD));
    ERR("from nowhere", EFAULT, CALL(capget, BAD, data));
    AS_NOBODY({
        MUST(CALL(capget, &head, data) == 0);
        EQ("a user has none", 0, data[0].effective);
    });
}

GROUP(capset)
{
    if (geteuid())
        return;
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    MUST(CALL(capget, &head, data) == 0);
    data[0].effective &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH | 1 << CAP_CHOWN);
    OK("giving up", CALL(capset, &head, data));
    close(file_with("a", "x"));
    MUST(chmod("a", 0) == 0);
    ERR("then permissions bind", EACCES, open("a", O_RDONLY));
    ERR("and files are not given away", EPERM, chown("a", 5, 5));
    data[0].effective |= 1 << CAP_DAC_OVERRIDE;
    OK("taking back what is permitted", CALL(capset, &head, data));
    YES("works again", open("a", O_RDONLY) >= 0);
    data[0].permitted &= ~(1 << CAP_DAC_OVERRIDE);
    ERR("effective beyond permitted", EPERM, CALL(capset, &head, data));
    data[0].effective &= ~(1 << CAP_DAC_OVERRIDE);
    OK("giving up for good", CALL(capset, &head, data));
    data[0].permitted |= 1 << CAP_DAC_OVERRIDE;
    ERR("it does not come back", EPERM, CALL(capset, &head, data));
    head.pid = 1;
    ERR("another process's", EPERM, CALL(capset, &head, data));
    head.version = 5;
    ERR("an unknown version", EINVAL, CALL(capset, &head, data));
}
