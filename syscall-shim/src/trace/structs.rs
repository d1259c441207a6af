//! Arguments that point to structures.

use super::{MAX_ELEMENTS, Printer, names};
use crate::flags::*;
use crate::table::Arg;
use crate::types::*;
use crate::{SigSet, Signal};
use core::net::Ipv6Addr;
use linux_raw_sys::{general as raw, ioctl, net};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

impl Printer<'_> {
    pub(super) fn structure(&mut self, kind: Arg, v: u64, index: usize) {
        // What a failed call would have filled in is not there.
        if v == 0 {
            return self.put("NULL");
        }
        if self.failed() && super::is_out(kind) {
            return self.pointer(v);
        }
        match kind {
            Arg::FdPairOut => match (self.int(v), self.int(v.wrapping_add(4))) {
                (Some(a), Some(b)) => self.fmt(format_args!("[{a}, {b}]")),
                _ => self.pointer(v),
            },
            Arg::Iovec(count) => self.iovecs(v, self.arg(count.into()), None),
            Arg::IovecOut(count) => self.iovecs(v, self.arg(count.into()), Some(self.returned() as u64)),
            Arg::StatOut => self.show(v, Self::stat),
            Arg::StatxOut => self.show(v, Self::statx),
            Arg::StatfsOut => self.show(v, Self::statfs),
            Arg::DirentsOut => self.dirents(v),
            // What is left of a sleep is only told when it is cut short.
            Arg::TimespecOut if matches!(self.name(), "nanosleep" | "clock_nanosleep") => self.pointer(v),
            Arg::Timespec | Arg::TimespecOut => self.show(v, Self::timespec),
            Arg::TimespecPair => self.pair(v, 16, Self::timespec),
            Arg::Timeval | Arg::TimevalOut => self.show(v, Self::timeval),
            Arg::Itimerval | Arg::ItimervalOut => self.show(v, |p, t: &Itimerval| {
                p.put("{it_interval=");
                p.timeval(&t.it_interval);
                p.put(", it_value=");
                p.timeval(&t.it_value);
                p.put("}");
            }),
            Arg::Itimerspec | Arg::ItimerspecOut => self.show(v, |p, t: &Itimerspec| {
                p.put("{it_interval=");
                p.timespec(&t.it_interval);
                p.put(", it_value=");
                p.timespec(&t.it_value);
                p.put("}");
            }),
            Arg::TimerIdOut => match self.int(v) {
                Some(id) => self.fmt(format_args!("[{id}]")),
                None => self.pointer(v),
            },
            Arg::SigSet | Arg::SigSetOut => match self.word(v) {
                Some(set) => self.signal_set(SigSet(set)),
                None => self.pointer(v),
            },
            Arg::SigAction | Arg::SigActionOut => self.show(v, Self::sigaction),
            Arg::Siginfo | Arg::SiginfoOut => self.show(v, Self::siginfo_fields),
            Arg::Sigevent => self.show(v, |p, e: &Sigevent| {
                p.fmt(format_args!("{{sigev_value={{sival_int={}, sival_ptr=", e.sigev_value as i32));
                p.pointer(e.sigev_value);
                p.put("}, sigev_signo=");
                p.signal(e.sigev_signo as u64);
                p.put(", sigev_notify=");
                p.named(names::SIGEV, e.sigev_notify as u64, "SIGEV_???");
                p.put("}");
            }),
            Arg::StackT | Arg::StackTOut => self.show(v, |p, s: &StackT| {
                p.put("{ss_sp=");
                p.pointer(s.ss_sp);
                p.put(", ss_flags=");
                p.flags::<SsFlags>(s.ss_flags.into());
                p.fmt(format_args!(", ss_size={}}}", s.ss_size));
            }),
            Arg::WstatusOut if self.returned() == 0 => self.pointer(v),
            Arg::WstatusOut => match self.int(v) {
                Some(word) => self.wait_status(WaitStatus::decode(word as u32)),
                None => self.pointer(v),
            },
            Arg::RusageOut => self.show(v, |p, r: &Rusage| {
                p.put("{ru_utime=");
                p.timeval(&r.ru_utime);
                p.put(", ru_stime=");
                p.timeval(&r.ru_stime);
                p.put(", ...}");
            }),
            Arg::Rlimit | Arg::RlimitOut => self.show(v, |p, r: &Rlimit| {
                p.put("{rlim_cur=");
                p.limit(r.rlim_cur);
                p.put(", rlim_max=");
                p.limit(r.rlim_max);
                p.put("}");
            }),
            Arg::UtsnameOut => {
                self.put("{sysname=");
                self.c_string(v, 64);
                self.put(", nodename=");
                self.c_string(v.wrapping_add(65), 64);
                self.put(", ...}");
            }
            Arg::SysinfoOut => self.show(v, |p, s: &Sysinfo| {
                let [one, five, fifteen] = s.loads;
                p.fmt(format_args!("{{uptime={}, loads=[{one}, {five}, {fifteen}], totalram={}, ", s.uptime, s.totalram));
                p.fmt(format_args!("freeram={}, sharedram={}, bufferram={}, ", s.freeram, s.sharedram, s.bufferram));
                p.fmt(format_args!("totalswap={}, freeswap={}, procs={}, ", s.totalswap, s.freeswap, s.procs));
                p.fmt(format_args!("totalhigh={}, freehigh={}, mem_unit={}}}", s.totalhigh, s.freehigh, s.mem_unit));
            }),
            Arg::PollFds(count) => self.pollfds(v, self.arg(count.into())),
            Arg::EpollEvent => self.show(v, Self::epoll_event),
            Arg::EpollEventsOut => self.array(v, self.returned() as u64, 12, Self::epoll_event),
            Arg::Sockaddr(len) => self.sockaddr(v, self.arg(len.into())),
            Arg::SockaddrOut => match self.int(self.arg(index + 1)) {
                Some(len) => self.sockaddr(v, len as u64),
                None => self.pointer(v),
            },
            Arg::SockLen => match self.int(v) {
                Some(len) => self.fmt(format_args!("[{len}]")),
                None => self.pointer(v),
            },
            Arg::SockOptValOut => match (self.int(self.arg(index + 1)), self.int(v)) {
                (Some(4), Some(value)) => self.fmt(format_args!("[{value}]")),
                (Some(len), _) => self.bytes(v, len as u32 as u64),
                _ => self.pointer(v),
            },
            Arg::Msghdr | Arg::MsghdrOut => self.msghdr(v, kind == Arg::MsghdrOut),
            Arg::SockOptVal(len) => match (self.arg(len.into()), self.int(v)) {
                (4, Some(value)) => self.fmt(format_args!("[{value}]")),
                (len, _) => self.bytes(v, len),
            },
            Arg::IoctlArg(request) => self.ioctl_argument(self.arg(request.into()) as u32, v),
            Arg::CpuSet(len) => self.cpu_set(v, self.arg(len.into())),
            Arg::CpuSetOut => self.cpu_set(v, self.returned() as u64),
            Arg::CloneArgs => self.clone_args(v),
            Arg::OpenHow => self.show(v, |p, how: &OpenHow| {
                p.put("{flags=");
                p.open_flags(how.flags);
                if how.mode != 0 {
                    p.put(", mode=");
                    p.octal(how.mode as u32);
                }
                p.put(", resolve=");
                p.flags::<ResolveFlags>(how.resolve);
                p.put("}");
            }),
            Arg::FutexTimeout(op) => match self.arg(op.into()) as u32 & 0x7f {
                raw::FUTEX_REQUEUE | raw::FUTEX_CMP_REQUEUE | raw::FUTEX_WAKE_OP | raw::FUTEX_CMP_REQUEUE_PI => {
                    self.fmt(format_args!("{}", v as u32));
                }
                _ => self.show(v, Self::timespec),
            },
            _ => self.pointer(v),
        }
    }

    fn load<T: FromBytes + IntoBytes>(&self, address: u64) -> Option<T> {
        let mut value = T::new_zeroed();
        let size = size_of::<T>();
        (self.mem.read(address, value.as_mut_bytes()) == size).then_some(value)
    }

    fn show<T: FromBytes + IntoBytes>(&mut self, address: u64, f: impl FnOnce(&mut Self, &T)) {
        match self.load(address) {
            Some(value) => f(self, &value),
            None => self.pointer(address),
        }
    }

    fn array<T: FromBytes + IntoBytes>(&mut self, address: u64, count: u64, stride: u64, f: impl Fn(&mut Self, &T)) {
        self.put("[");
        for i in 0..count {
            self.put(if i > 0 { ", " } else { "" });
            if i == MAX_ELEMENTS as u64 {
                self.put("...");
                break;
            }
            self.show(address.wrapping_add(i * stride), &f);
        }
        self.put("]");
    }

    fn pair<T: FromBytes + IntoBytes>(&mut self, address: u64, stride: u64, f: impl Fn(&mut Self, &T)) {
        self.array(address, 2, stride, f);
    }

    fn timespec(&mut self, t: &Timespec) {
        match t.tv_nsec as u64 {
            raw_nsec if raw_nsec == u64::from(raw::UTIME_NOW) => self.put("UTIME_NOW"),
            raw_nsec if raw_nsec == u64::from(raw::UTIME_OMIT) => self.put("UTIME_OMIT"),
            _ => self.fmt(format_args!("{{tv_sec={}, tv_nsec={}}}", t.tv_sec, t.tv_nsec)),
        }
    }

    fn timeval(&mut self, t: &Timeval) {
        self.fmt(format_args!("{{tv_sec={}, tv_usec={}}}", t.tv_sec, t.tv_usec));
    }

    fn limit(&mut self, v: u64) {
        match v {
            RLIM_INFINITY => self.put("RLIM64_INFINITY"),
            v if v > 1024 && v % 1024 == 0 => self.fmt(format_args!("{}*1024", v / 1024)),
            v => self.fmt(format_args!("{v}")),
        }
    }

    fn mode(&mut self, mode: u32) {
        let kind = match mode & raw::S_IFMT {
            raw::S_IFREG => "S_IFREG|",
            raw::S_IFDIR => "S_IFDIR|",
            raw::S_IFLNK => "S_IFLNK|",
            raw::S_IFCHR => "S_IFCHR|",
            raw::S_IFBLK => "S_IFBLK|",
            raw::S_IFIFO => "S_IFIFO|",
            raw::S_IFSOCK => "S_IFSOCK|",
            _ => "",
        };
        self.put(kind);
        for (bit, name) in [(raw::S_ISUID, "S_ISUID|"), (raw::S_ISGID, "S_ISGID|"), (raw::S_ISVTX, "S_ISVTX|")] {
            if mode & bit != 0 {
                self.put(name);
            }
        }
        self.octal(mode & 0o777);
    }

    fn stat(&mut self, s: &Stat) {
        self.put("{st_mode=");
        self.mode(s.st_mode);
        match s.st_mode & raw::S_IFMT {
            raw::S_IFCHR | raw::S_IFBLK => {
                self.fmt(format_args!(", st_rdev=makedev({:#x}, {:#x}), ...}}", major(s.st_rdev), minor(s.st_rdev)));
            }
            _ => self.fmt(format_args!(", st_size={}, ...}}", s.st_size)),
        }
    }

    fn statx(&mut self, s: &Statx) {
        self.put("{stx_mask=");
        self.flags::<StatxMask>(s.stx_mask.into());
        self.put(", stx_attributes=");
        self.hex(s.stx_attributes);
        self.put(", stx_mode=");
        self.mode(s.stx_mode.into());
        self.fmt(format_args!(", stx_size={}, ...}}", s.stx_size));
    }

    fn statfs(&mut self, s: &Statfs) {
        self.put("{f_type=");
        self.named(names::MAGIC, s.f_type as u64, "???_MAGIC");
        self.fmt(format_args!(", f_bsize={}, f_blocks={}, f_bfree={}, ", s.f_bsize, s.f_blocks, s.f_bfree));
        self.fmt(format_args!("f_bavail={}, f_files={}, f_ffree={}, ...}}", s.f_bavail, s.f_files, s.f_ffree));
    }

    fn dirents(&mut self, address: u64) {
        let (end, mut at, mut count) = (self.returned() as u64, 0, 0);
        while at < end {
            let mut len = [0; 2];
            let step = if self.mem.read(address.wrapping_add(at + 16), &mut len) == 2 { u16::from_le_bytes(len) } else { 0 };
            if step == 0 {
                break;
            }
            (at, count) = (at + u64::from(step), count + 1);
        }
        self.pointer(address);
        self.fmt(format_args!(" /* {count} entries */"));
    }

    /// `limit` is how many bytes a read has filled in.
    fn iovecs(&mut self, address: u64, count: u64, limit: Option<u64>) {
        self.put("[");
        let mut left = limit.unwrap_or(u64::MAX);
        for i in 0..count.min(MAX_ELEMENTS as u64) {
            self.put(if i > 0 { ", " } else { "" });
            let Some(iov) = self.load::<Iovec>(address.wrapping_add(i * 16)) else {
                self.pointer(address);
                break;
            };
            self.put("{iov_base=");
            let shown = iov.iov_len.min(left);
            left -= shown;
            self.bytes(iov.iov_base, shown);
            self.fmt(format_args!(", iov_len={}}}", iov.iov_len));
        }
        self.put("]");
    }

    fn sigaction(&mut self, a: &Sigaction) {
        self.put("{sa_handler=");
        match a.handler {
            SIG_DFL => self.put("SIG_DFL"),
            SIG_IGN => self.put("SIG_IGN"),
            handler => self.pointer(handler),
        }
        self.put(", sa_mask=");
        self.signal_set(a.sa_mask());
        self.put(", sa_flags=");
        self.flags::<SaFlags>(a.flags);
        if a.sa_flags().contains(SaFlags::SA_RESTORER) {
            self.put(", sa_restorer=");
            self.pointer(a.restorer);
        }
        self.put("}");
    }

    pub(super) fn siginfo_fields(&mut self, info: &Siginfo) {
        self.put("{si_signo=");
        self.signal(info.si_signo as u64);
        self.put(", si_code=");
        match names::si_code(info.si_signo, info.si_code) {
            Some(name) => self.put(name),
            None => self.fmt(format_args!("{:#x}", info.si_code)),
        }
        let is = |signals: &[Signal]| signals.iter().any(|s| i32::from(s.number()) == info.si_signo);
        if info.si_code == si_code::SI_TIMER {
            self.fmt(format_args!(
                ", si_timerid={:#x}, si_overrun={}",
                info.fields[0] as u32,
                (info.fields[0] >> 32) as u32
            ));
        } else if info.si_code <= 0 {
            self.fmt(format_args!(", si_pid={}, si_uid={}", info.pid(), info.uid()));
        } else if info.si_code == si_code::SI_KERNEL {
        } else if is(&[Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGTRAP]) {
            self.put(", si_addr=");
            self.pointer(info.addr());
        } else if is(&[Signal::SIGCHLD]) {
            self.fmt(format_args!(", si_pid={}, si_uid={}, si_status=", info.pid(), info.uid()));
            if info.si_code == si_code::CLD_EXITED {
                self.fmt(format_args!("{}", info.status()));
            } else {
                self.signal(info.status() as u64);
            }
            self.fmt(format_args!(", si_utime={}, si_stime={}", info.fields[2], info.fields[3]));
        }
        self.put("}");
    }

    fn wait_status(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::Exited(s) => self.fmt(format_args!("[{{WIFEXITED(s) && WEXITSTATUS(s) == {s}}}]")),
            WaitStatus::Signaled(n, core) => {
                self.put("[{WIFSIGNALED(s) && WTERMSIG(s) == ");
                self.signal(n.into());
                self.put(if core { " && WCOREDUMP(s)}]" } else { "}]" });
            }
            WaitStatus::Stopped(n) => {
                self.put("[{WIFSTOPPED(s) && WSTOPSIG(s) == ");
                self.signal(n.into());
                self.put("}]");
            }
            WaitStatus::Continued => self.put("[{WIFCONTINUED(s)}]"),
        }
    }

    fn pollfds(&mut self, address: u64, count: u64) {
        self.array(address, count.min(1024), 8, |p, fd: &Pollfd| {
            p.fmt(format_args!("{{fd={}", fd.fd));
            if fd.fd >= 0 {
                p.put(", events=");
                p.flags::<PollEvents>(fd.events.into());
            }
            p.put("}");
        });
    }

    /// `1 ([{fd=3, revents=POLLIN}])`.
    pub(super) fn poll_result(&mut self, ready: usize) {
        if ready == 0 {
            return self.put("0 (Timeout)");
        }
        self.fmt(format_args!("{ready} (["));
        let (address, count) = (self.arg(0), self.arg(1).min(1024));
        let mut separator = "";
        for i in 0..count {
            let Some(fd) = self.load::<Pollfd>(address.wrapping_add(i * 8)).filter(|fd| fd.revents != 0) else { continue };
            self.fmt(format_args!("{separator}{{fd={}, revents=", fd.fd));
            self.flags::<PollEvents>(fd.revents.into());
            self.put("}");
            separator = ", ";
        }
        self.put("])");
    }

    fn epoll_event(&mut self, e: &EpollEvent) {
        let (events, data) = (e.events, e.data);
        self.put("{events=");
        self.flags::<EpollFlags>(events.into());
        self.fmt(format_args!(", data={{u32={}, u64={data}}}}}", data as u32));
    }

    fn sockaddr(&mut self, address: u64, len: u64) {
        let mut bytes = [0; 128];
        let len = len.min(128) as usize;
        let Some(part) = bytes.get_mut(..len).filter(|p| p.len() >= 2) else { return self.pointer(address) };
        if self.mem.read(address, part) < len {
            return self.pointer(address);
        }
        let family = u16::from_le_bytes([bytes[0], bytes[1]]);
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        self.put("{sa_family=");
        self.named(names::DOMAIN, family.into(), "AF_???");
        match u32::from(family) {
            net::AF_UNIX if len > 2 => {
                // An abstract address starts with NUL, which strace shows as @.
                let is_abstract = bytes[2] == 0;
                self.put(if is_abstract { ", sun_path=@" } else { ", sun_path=" });
                let start = address.wrapping_add(2 + u64::from(is_abstract));
                if is_abstract { self.bytes(start, len as u64 - 3) } else { self.c_string(start, len - 2) }
            }
            net::AF_INET if len >= 16 => {
                let [a, b, c, d] = [bytes[4], bytes[5], bytes[6], bytes[7]];
                self.fmt(format_args!(", sin_port=htons({port}), sin_addr=inet_addr(\"{a}.{b}.{c}.{d}\")"));
            }
            net::AF_INET6 if len >= 28 => {
                let (words, _) = <[[u8; 4]; 7]>::read_from_prefix(&bytes).unwrap_or_default();
                let [_, flow, a, b, c, d, scope] = words.map(u32::from_be_bytes);
                let ip = Ipv6Addr::from(u128::from(a) << 96 | u128::from(b) << 64 | u128::from(c) << 32 | u128::from(d));
                self.fmt(format_args!(", sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), "));
                self.fmt(format_args!("inet_pton(AF_INET6, \"{ip}\", &sin6_addr), sin6_scope_id={}", scope.swap_bytes()));
            }
            net::AF_NETLINK if len >= 12 => {
                let (words, _) = <[u32; 3]>::read_from_prefix(&bytes).unwrap_or_default();
                let [_, pid, groups] = words;
                self.fmt(format_args!(", nl_pid={pid}, nl_groups={groups:08x}"));
            }
            _ => {}
        }
        self.put("}");
    }

    fn msghdr(&mut self, address: u64, received: bool) {
        let Some([name, name_len, iov, iov_len, control, control_len, flags]) = self.load::<[u64; 7]>(address) else {
            return self.pointer(address);
        };
        self.put("{msg_name=");
        if name == 0 {
            self.put("NULL")
        } else {
            self.sockaddr(name, name_len as u32 as u64)
        }
        self.fmt(format_args!(", msg_namelen={}, msg_iov=", name_len as u32));
        self.iovecs(iov, iov_len, received.then_some(self.returned() as u64));
        self.fmt(format_args!(", msg_iovlen={iov_len}"));
        if control != 0 {
            self.fmt(format_args!(", msg_control={control:#x}"));
        }
        self.fmt(format_args!(", msg_controllen={control_len}, msg_flags="));
        self.flags::<MsgFlags>(flags as u32 as u64);
        self.put("}");
    }

    fn cpu_set(&mut self, address: u64, len: u64) {
        self.put("[");
        let mut separator = "";
        for i in 0..len.min(128) {
            let mut byte = [0];
            if self.mem.read(address.wrapping_add(i), &mut byte) == 0 {
                break;
            }
            for bit in (0..8).filter(|bit| byte[0] >> bit & 1 != 0) {
                self.fmt(format_args!("{separator}{}", i * 8 + bit));
                separator = " ";
            }
        }
        self.put("]");
    }

    fn clone_args(&mut self, address: u64) {
        let mut args = CloneArgs::new_zeroed();
        let len = (self.arg(1).min(size_of::<CloneArgs>() as u64)) as usize;
        let read = args.as_mut_bytes().get_mut(..len).map_or(0, |part| self.mem.read(address, part));
        if read < len || len < 64 {
            return self.pointer(address);
        }
        self.put("{flags=");
        self.flags::<CloneFlags>(args.flags);
        let pidfd = if args.flags & u64::from(linux_raw_sys::general::CLONE_PIDFD) != 0 { args.pidfd } else { 0 };
        for (name, value) in [("pidfd", pidfd), ("child_tid", args.child_tid), ("parent_tid", args.parent_tid)] {
            if value != 0 {
                self.fmt(format_args!(", {name}={value:#x}"));
            }
        }
        self.put(", exit_signal=");
        self.signal(args.exit_signal);
        self.put(", stack=");
        self.pointer(args.stack);
        self.put(", stack_size=");
        self.hex(args.stack_size);
        if args.tls != 0 {
            self.fmt(format_args!(", tls={:#x}", args.tls));
        }
        self.put("}");
    }

    fn ioctl_argument(&mut self, request: u32, v: u64) {
        match request {
            _ if self.failed() => self.pointer(v),
            ioctl::FIONBIO
            | ioctl::FIOASYNC
            | ioctl::FIONREAD
            | ioctl::TIOCGPGRP
            | ioctl::TIOCSPGRP
            | ioctl::TIOCGPTN
            | ioctl::TIOCSPTLCK => match self.int(v) {
                Some(value) => self.fmt(format_args!("[{value}]")),
                None => self.pointer(v),
            },
            ioctl::TIOCGWINSZ | ioctl::TIOCSWINSZ => self.show(v, |p, w: &Winsize| {
                p.fmt(format_args!("{{ws_row={}, ws_col={}, ", w.ws_row, w.ws_col));
                p.fmt(format_args!("ws_xpixel={}, ws_ypixel={}}}", w.ws_xpixel, w.ws_ypixel));
            }),
            ioctl::TCGETS | ioctl::TCSETS | ioctl::TCSETSW | ioctl::TCSETSF => self.show(v, |p, t: &Termios| {
                p.fmt(format_args!("{{c_iflag={:#x}, c_oflag={:#x}, ", t.c_iflag, t.c_oflag));
                p.fmt(format_args!("c_cflag={:#x}, c_lflag={:#x}, ...}}", t.c_cflag, t.c_lflag));
            }),
            _ => self.pointer(v),
        }
    }

    pub(super) fn fcntl_argument(&mut self, command: u32, v: u64) {
        match command {
            raw::F_SETFD if v == u64::from(raw::FD_CLOEXEC) => self.put("FD_CLOEXEC"),
            raw::F_SETFL => self.open_flags(v),
            raw::F_SETSIG => self.signal(v),
            raw::F_ADD_SEALS => self.flags::<Seals>(v),
            raw::F_GETLK | raw::F_SETLK | raw::F_SETLKW | raw::F_OFD_GETLK | raw::F_OFD_SETLK | raw::F_OFD_SETLKW => {
                self.show(v, |p, lock: &Flock| {
                    p.put("{l_type=");
                    p.named(names::LOCK_TYPE, lock.l_type as u64, "F_???");
                    p.put(", l_whence=");
                    p.named(names::WHENCE, lock.l_whence as u64, "SEEK_???");
                    p.fmt(format_args!(", l_start={}, l_len={}}}", lock.l_start, lock.l_len));
                });
            }
            raw::F_SETOWN_EX | raw::F_GETOWN_EX => self.pointer(v),
            _ => self.fmt(format_args!("{}", v as i32)),
        }
    }

    pub(super) fn fcntl_result(&mut self, value: usize) {
        match self.arg(1) as u32 {
            raw::F_GETFL => {
                self.fmt(format_args!("{value:#x} (flags "));
                self.open_flags(value as u64);
                self.put(")");
            }
            raw::F_GETFD if value as u32 == raw::FD_CLOEXEC => self.put("0x1 (flags FD_CLOEXEC)"),
            raw::F_GET_SEALS => {
                self.fmt(format_args!("{value:#x} (seals "));
                self.flags::<Seals>(value as u64);
                self.put(")");
            }
            _ => self.fmt(format_args!("{value}")),
        }
    }
}
