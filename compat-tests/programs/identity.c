// User and group ids, capabilities, process groups, prctl, as root.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static void show(const char *what, long r) { if (r < 0) printf("%s: %s\n", what, strerror(errno)); else printf("%s: %ld\n", what, r); }
static void ids(void) {
    uid_t r, e, s; gid_t g, eg, sg;
    getresuid(&r, &e, &s); getresgid(&g, &eg, &sg);
    printf("  uids %u %u %u fs %u, gids %u %u %u fs %u\n", r, e, s, setfsuid(-1), g, eg, sg, setfsgid(-1));
}
static void caps(void) {
    struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct d[2];
    syscall(SYS_capget, &h, d);
    printf("  chown: effective %d permitted %d\n", d[0].effective & 1, d[0].permitted & 1);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    ids(); caps();
    show("tid is pid", syscall(SYS_gettid) == getpid());
    gid_t groups[] = { 30, 10, 20 }, got[4];
    show("setgroups", setgroups(3, groups)); show("getgroups", getgroups(0, 0)); show("too small", getgroups(2, got));
    getgroups(4, got); printf("  %u %u %u\n", got[0], got[1], got[2]);
    show("setregid", setregid(5, 6)); ids();
    show("setresgid", setresgid(-1, 7, 8)); ids();
    show("setegid root", setegid(0)); show("setgid", setgid(9)); ids();
    show("setfsuid", setfsuid(77)); ids(); show("setfsuid back", setfsuid(0));
    show("seteuid", seteuid(1000)); ids(); caps();
    show("setuid other", setuid(2000)); show("setgroups", setgroups(0, 0)); show("seteuid back", seteuid(0)); ids(); caps();
    show("setreuid", setreuid(-1, -1)); show("keepcaps", prctl(PR_SET_KEEPCAPS, 1));
    show("setresuid", setresuid(1000, 1000, 1001)); ids(); caps();
    show("keepcaps is", prctl(PR_GET_KEEPCAPS)); show("setuid saved", setuid(1001)); ids();
    show("setuid 0", setuid(0)); show("setresuid up", setresuid(0, -1, -1)); show("setreuid swap", setreuid(1001, 1000)); ids();

    struct __user_cap_header_struct h = { 0x12345678, 0 };
    show("capget version", syscall(SYS_capget, &h, 0)); printf("  told %x\n", h.version);
    struct __user_cap_data_struct d[2] = { { ~0u, ~0u, 0 }, { 0, 0, 0 } };
    h.version = _LINUX_CAPABILITY_VERSION_3; prctl(PR_SET_KEEPCAPS, 0);
    d[0].permitted = d[0].effective = 1; show("capset lower", syscall(SYS_capset, &h, d)); caps();
    d[0].permitted = 3; show("capset raise", syscall(SYS_capset, &h, d)); 

    char name[17] = "";
    show("set name", prctl(PR_SET_NAME, "a name that is too long")); prctl(PR_GET_NAME, name); printf("  %s\n", name);
    show("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); show("set 2", prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0));
    show("set 1", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); show("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); show("set 0", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    int sig; show("pdeathsig", prctl(PR_SET_PDEATHSIG, 10)); prctl(PR_GET_PDEATHSIG, &sig); printf("  %d\n", sig); show("bad", prctl(PR_SET_PDEATHSIG, 65));
    show("dumpable", prctl(PR_SET_DUMPABLE, 0)); show("is", prctl(PR_GET_DUMPABLE)); show("bad", prctl(PR_SET_DUMPABLE, 3));
    show("slack", prctl(PR_SET_TIMERSLACK, 1234)); show("is", prctl(PR_GET_TIMERSLACK)); prctl(PR_SET_TIMERSLACK, 0); show("reset", prctl(PR_GET_TIMERSLACK));
    show("bounding 99", prctl(PR_CAPBSET_READ, 99)); show("unknown", prctl(12345)); show("seccomp", prctl(PR_GET_SECCOMP));
    show("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0)); show("ambient raise", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 5, 0, 0));

    show("getpgid", getpgid(0) == getpgrp()); show("getsid", getsid(0) > 0); show("getpgid nobody", getpgid(4194000)); show("setpgid nobody", setpgid(4194000, 0)); show("setpgid negative", setpgid(0, -1));
    struct utsname u; show("uname", uname(&u)); printf("  %s %s\n", u.sysname, u.machine);
    struct sysinfo si; show("sysinfo", sysinfo(&si)); printf("  %d %d\n", si.mem_unit >= 1, si.totalram > si.freeram);
    show("sethostname", sethostname("x", 1));
    char buf[32]; show("getrandom", syscall(SYS_getrandom, buf, 32, 0)); show("bad flags", syscall(SYS_getrandom, buf, 32, 8)); show("fault", syscall(SYS_getrandom, 8, 32, 0));
    show("arch_prctl bad", syscall(SYS_arch_prctl, 0x9999, 0)); unsigned long fs; show("get fs", syscall(SYS_arch_prctl, 0x1003, &fs)); printf("  %d\n", fs != 0);
    return 0;
}
