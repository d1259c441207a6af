//! Lines of the trace, as strace(1) prints them.

use syscall_shim::table::number;
use syscall_shim::trace::{self, MemReader};
use syscall_shim::types::*;
use syscall_shim::{Errno, SigSet, Signal, SysResult};
use zerocopy::IntoBytes;

/// A program's memory: pieces at addresses.
#[derive(Default)]
struct Memory(Vec<(u64, Vec<u8>)>);

impl Memory {
    fn with(mut self, address: u64, bytes: &[u8]) -> Self {
        self.0.push((address, bytes.to_vec()));
        self
    }
}

impl MemReader for Memory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let Some((start, bytes)) =
            self.0.iter().find(|(start, bytes)| (*start..start + bytes.len() as u64).contains(&address))
        else {
            return 0;
        };
        let rest = &bytes[(address - start) as usize..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        n
    }
}

fn line(memory: &Memory, name: &str, args: &[u64], result: SysResult) -> String {
    let nr = number(name).unwrap().into();
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let mut out = String::new();
    let pending = trace::enter(&mut out, memory, None, nr, &all);
    trace::exit(&mut out, memory, nr, &all, pending, result);
    assert_eq!(out.pop(), Some('\n'));
    // Results stand in one column; here it is only in the way.
    let (call, result) = out.rsplit_once(" = ").unwrap();
    assert!(call.len() >= 39);
    format!("{} = {result}", call.trim_end())
}

const AT_FDCWD: u64 = -100i64 as u64;

#[test]
fn files() {
    let m = Memory::default().with(0x1000, b"/etc/passwd\0").with(0x2000, b"a\0\x011\n\"\xff").with(0x3000, &[b'x'; 100]);
    let l = |name, args: &[u64], result| line(&m, name, args, result);
    assert_eq!(
        l("openat", &[AT_FDCWD, 0x1000, 0o2000000], Ok(3)),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#
    );
    assert_eq!(
        l("openat", &[AT_FDCWD, 0x1000, 0o1101, 0o644], Err(Errno::EACCES)),
        r#"openat(AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)"#
    );
    assert_eq!(l("read", &[3, 0x2000, 4096], Ok(7)), r#"read(3, "a\0\0011\n\"\377", 4096) = 7"#);
    assert_eq!(
        l("read", &[3, 0x2000, 4096], Err(Errno::EAGAIN)),
        "read(3, 0x2000, 4096) = -1 EAGAIN (Resource temporarily unavailable)"
    );
    assert_eq!(l("write", &[1, 0x3000, 100], Ok(100)), format!("write(1, \"{}\"..., 100) = 100", "x".repeat(32)));
    assert_eq!(l("write", &[1, 0x9999, 5], Err(Errno::EFAULT)), "write(1, 0x9999, 5) = -1 EFAULT (Bad address)");
    assert_eq!(
        l("access", &[0x1000, 4], Err(Errno::ENOENT)),
        r#"access("/etc/passwd", R_OK) = -1 ENOENT (No such file or directory)"#
    );
    assert_eq!(l("lseek", &[3, 0, 2], Ok(10)), "lseek(3, 0, SEEK_END) = 10");
    assert_eq!(l("fcntl", &[3, 3], Ok(0o4002)), "fcntl(3, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)");
    assert_eq!(l("fcntl", &[3, 2, 1], Ok(0)), "fcntl(3, F_SETFD, FD_CLOEXEC) = 0");
    assert_eq!(l("umask", &[0o22], Ok(0o77)), "umask(022) = 077");
    assert_eq!(
        l("ioctl", &[1, 0x5401, 0x7000], Err(Errno::ENOTTY)),
        "ioctl(1, TCGETS, 0x7000) = -1 ENOTTY (Inappropriate ioctl for device)"
    );
}

#[test]
fn memory() {
    let m = Memory::default();
    assert_eq!(
        line(&m, "mmap", &[0, 8192, 3, 0x22, u64::from(u32::MAX), 0], Ok(0x7fff_f7ff_d000)),
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7ffd000"
    );
    assert_eq!(
        line(&m, "mmap", &[0x40_0000, 4096, 0, 0x812, 3, 0x1000], Ok(0x40_0000)),
        "mmap(0x400000, 4096, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x1000) = 0x400000"
    );
    assert_eq!(line(&m, "madvise", &[0x1000, 4096, 4], Ok(0)), "madvise(0x1000, 4096, MADV_DONTNEED) = 0");
    assert_eq!(line(&m, "brk", &[0], Ok(0x55_5555_0000)), "brk(NULL) = 0x5555550000");
}

#[test]
fn structures() {
    let stat = Stat { st_mode: 0o100644, st_size: 1234, ..Stat::default() };
    let action = Sigaction { handler: 0x4000, flags: 0x1400_0004, restorer: 0x5000, mask: SigSet::of(&[Signal::SIGINT]).0 };
    let limit = Rlimit { rlim_cur: 8192 * 1024, rlim_max: RLIM_INFINITY };
    let ts = Timespec { tv_sec: 1, tv_nsec: 500 };
    let m = Memory::default()
        .with(0x1000, stat.as_bytes())
        .with(0x2000, action.as_bytes())
        .with(0x3000, limit.as_bytes())
        .with(0x4000, ts.as_bytes())
        .with(0x5000, &(!SigSet::UNBLOCKABLE.0).to_le_bytes())
        .with(0x6000, [Pollfd { fd: 3, events: 1, revents: 1 }, Pollfd { fd: 4, events: 4, revents: 0 }].as_bytes())
        .with(0x7000, [Iovec { iov_base: 0x8000, iov_len: 3 }, Iovec { iov_base: 0x8003, iov_len: 3 }].as_bytes())
        .with(0x8000, b"abcdef")
        .with(0x9000, EpollEvent { events: 0x8000_0001, data: 7 }.as_bytes())
        .with(0xa000, &0x8bi32.to_le_bytes());
    let l = |name, args: &[u64], result| line(&m, name, args, result);
    assert_eq!(l("fstat", &[3, 0x1000], Ok(0)), "fstat(3, {st_mode=S_IFREG|0644, st_size=1234, ...}) = 0");
    assert_eq!(
        l("rt_sigaction", &[2, 0x2000, 0, 8], Ok(0)),
        "rt_sigaction(SIGINT, {sa_handler=0x4000, sa_mask=[INT], sa_flags=SA_RESTORER|SA_RESTART|SA_SIGINFO, sa_restorer=0x5000}, NULL, 8) = 0"
    );
    assert_eq!(
        l("prlimit64", &[0, 3, 0, 0x3000], Ok(0)),
        "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0"
    );
    assert_eq!(l("clock_gettime", &[1, 0x4000], Ok(0)), "clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=500}) = 0");
    assert_eq!(l("rt_sigprocmask", &[0, 0x5000, 0, 8], Ok(0)), "rt_sigprocmask(SIG_BLOCK, ~[KILL STOP], NULL, 8) = 0");
    assert_eq!(
        l("poll", &[0x6000, 2, u64::from(u32::MAX)], Ok(1)),
        "poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, -1) = 1 ([{fd=3, revents=POLLIN}])"
    );
    assert_eq!(
        l("writev", &[1, 0x7000, 2], Ok(6)),
        r#"writev(1, [{iov_base="abc", iov_len=3}, {iov_base="def", iov_len=3}], 2) = 6"#
    );
    assert_eq!(
        l("readv", &[1, 0x7000, 2], Ok(4)),
        r#"readv(1, [{iov_base="abc", iov_len=3}, {iov_base="d", iov_len=3}], 2) = 4"#
    );
    assert_eq!(
        l("epoll_ctl", &[5, 1, 3, 0x9000], Ok(0)),
        "epoll_ctl(5, EPOLL_CTL_ADD, 3, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0"
    );
    assert_eq!(
        l("wait4", &[u64::MAX, 0xa000, 0, 0], Ok(12)),
        "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}], 0, NULL) = 12"
    );
}

#[test]
fn sockets() {
    let m = Memory::default()
        .with(0x1000, &[2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
        .with(0x2000, b"\x01\0/run/x\0")
        .with(0x3000, &[10, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
        .with(0x4000, &16i32.to_le_bytes())
        .with(0x5000, &1i32.to_le_bytes());
    let l = |name, args: &[u64], result| line(&m, name, args, result);
    assert_eq!(
        l("socket", &[2, 0o2004001, 6], Ok(3)),
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_TCP) = 3"
    );
    let inet = r#"{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}"#;
    assert_eq!(l("bind", &[3, 0x1000, 16], Ok(0)), format!("bind(3, {inet}, 16) = 0"));
    assert_eq!(l("accept4", &[3, 0x1000, 0x4000, 0o4000], Ok(4)), format!("accept4(3, {inet}, [16], SOCK_NONBLOCK) = 4"));
    assert_eq!(l("connect", &[3, 0x2000, 9], Ok(0)), r#"connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 9) = 0"#);
    assert_eq!(
        l("connect", &[3, 0x3000, 28], Err(Errno::EINPROGRESS)),
        concat!(
            r#"connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), "#,
            r#"sin6_scope_id=0}, 28) = -1 EINPROGRESS (Operation now in progress)"#
        )
    );
    assert_eq!(l("setsockopt", &[3, 1, 2, 0x5000, 4], Ok(0)), "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
}

#[test]
fn processes() {
    let pointers: Vec<u8> = [0x2000u64, 0x2003, 0].iter().flat_map(|p| p.to_le_bytes()).collect();
    let m = Memory::default().with(0x1000, &pointers).with(0x2000, b"ls\0-l\0").with(0x3000, b"/bin/ls\0");
    let l = |name, args: &[u64], result| line(&m, name, args, result);
    assert_eq!(l("execve", &[0x3000, 0x1000, 0x1000], Ok(0)), r#"execve("/bin/ls", ["ls", "-l"], 0x1000 /* 2 vars */) = 0"#);
    assert_eq!(l("futex", &[0x10, 129, 1], Ok(1)), "futex(0x10, FUTEX_WAKE_PRIVATE, 1) = 1");
    assert_eq!(
        l("futex", &[0x10, 128, 2, 0], Err(Errno::ERESTARTSYS)),
        "futex(0x10, FUTEX_WAIT_PRIVATE, 2, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"
    );
    assert_eq!(l("tgkill", &[1, 2, 23], Ok(0)), "tgkill(1, 2, SIGURG) = 0");
    assert_eq!(l("kill", &[1, 34], Ok(0)), "kill(1, SIGRT_2) = 0");
    let mut out = String::new();
    let pending = trace::enter(&mut out, &m, Some(7), number("exit_group").unwrap().into(), &[3, 0, 0, 0, 0, 0]);
    trace::no_return(&mut out, pending);
    trace::exited(&mut out, None, 3);
    trace::killed(&mut out, None, Signal::SIGSEGV, true);
    trace::signal(&mut out, None, &Siginfo::fault(Signal::SIGSEGV, si_code::SEGV_MAPERR, 0));
    assert_eq!(
        out,
        "[pid     7] exit_group(3)               = ?\n+++ exited with 3 +++\n+++ killed by SIGSEGV (core dumped) +++\n\
         --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---\n"
    );
}

#[test]
fn any_arguments_whatever() {
    let m = Memory::default().with(0x1000, &[0xff; 4096]);
    let mut out = String::new();
    for nr in 0..500 {
        for word in [0, 1, 0x1000, 0x1ff0, u64::MAX, 1 << 63] {
            let args = [word; 6];
            let pending = trace::enter(&mut out, &m, None, nr, &args);
            trace::exit(&mut out, &m, nr, &args, pending, Ok(word as usize));
            let pending = trace::enter(&mut out, &m, None, nr, &args);
            trace::exit(&mut out, &m, nr, &args, pending, Err(Errno(4000)));
        }
        out.clear();
    }
}
