//! Arguments that fit a register: numbers, names, flags; and strings.

use super::{MAX_ELEMENTS, MAX_PATH, MAX_STRING, Printer, names, names::Names};
use crate::flags::*;
use crate::table::Arg;
use crate::{SigSet, Signal};
use bitflags::Flags;
use linux_raw_sys::{general as raw, net};

/// Bytes of a string handled at a time.
const PIECE: usize = 64;

impl Printer<'_> {
    pub(super) fn argument(&mut self, kind: Arg, index: usize) {
        let v = self.arg(index);
        match kind {
            Arg::Int | Arg::Fd | Arg::Msec | Arg::Id => self.fmt(format_args!("{}", v as i32)),
            Arg::UInt => self.fmt(format_args!("{}", v as u32)),
            Arg::Hex => self.hex(v),
            Arg::Size | Arg::Off => self.fmt(format_args!("{}", v as i64)),
            Arg::OffHex => self.hex(v),
            Arg::Dev => self.fmt(format_args!("makedev({:#x}, {:#x})", crate::types::major(v), crate::types::minor(v))),
            Arg::Ptr => self.pointer(v),
            Arg::DirFd if v as i32 == raw::AT_FDCWD => self.put("AT_FDCWD"),
            Arg::DirFd => self.fmt(format_args!("{}", v as i32)),
            Arg::Path => self.c_string(v, MAX_PATH),
            Arg::Str => self.c_string(v, MAX_STRING),
            Arg::BufIn(len) => self.bytes(v, self.arg(len.into())),
            Arg::BufOut if self.failed() => self.pointer(v),
            Arg::BufOut => self.bytes(v, self.returned() as u64),
            Arg::RandomOut if self.failed() => self.pointer(v),
            Arg::RandomOut => self.hex_bytes(v, self.returned()),
            Arg::StrOut if self.failed() => self.pointer(v),
            Arg::StrOut => self.c_string(v, MAX_PATH),
            Arg::Argv => self.argv(v),
            Arg::Envp => self.envp(v),
            Arg::Signal => self.signal(v),
            Arg::Whence => self.named(names::WHENCE, v, "SEEK_???"),
            Arg::SigHow => self.named(names::SIG_HOW, v, "SIG_???"),
            Arg::FcntlCmd => self.named(names::FCNTL, v, "F_???"),
            Arg::FcntlArg(command) => self.fcntl_argument(self.arg(command.into()) as u32, v),
            Arg::IoctlReq => self.ioctl_request(v),
            Arg::EpollCtl => self.named(names::EPOLL_CTL, v, "EPOLL_CTL_???"),
            Arg::ClockId => self.named(names::CLOCK, v, "CLOCK_???"),
            Arg::ItimerWhich => self.named(names::ITIMER, v, "ITIMER_???"),
            Arg::Resource => self.named(names::RESOURCE, v, "RLIMIT_???"),
            Arg::Madvice => self.named(names::MADVICE, v, "MADV_???"),
            Arg::Fadvice => self.named(names::FADVICE, v, "POSIX_FADV_???"),
            Arg::SockDomain => self.named(names::DOMAIN, v, "AF_???"),
            Arg::SockType => self.socket_type(v),
            Arg::SockProtocol if matches!(self.arg(0) as u32, net::AF_INET | net::AF_INET6) => {
                self.named(names::PROTOCOL, v, "IPPROTO_???")
            }
            Arg::SockProtocol => self.fmt(format_args!("{}", v as u32)),
            Arg::ShutHow => self.named(names::SHUT, v, "SHUT_???"),
            Arg::SockLevel => self.named(names::SOL, v, "SOL_???"),
            Arg::SockOpt => self.socket_option(self.arg(index.wrapping_sub(1)), v),
            Arg::WaitIdType => self.named(names::WAIT_ID, v, "P_???"),
            Arg::SchedPolicy if v == 0 => self.put("SCHED_OTHER"),
            Arg::SchedPolicy => self.named(names::SCHED, v, "SCHED_???"),
            Arg::PrctlOp => self.named(names::PRCTL, v, "PR_???"),
            Arg::ArchPrctlOp => self.named(names::ARCH_PRCTL, v, "ARCH_???"),
            Arg::MembarrierCmd => self.named(names::MEMBARRIER, v, "MEMBARRIER_CMD_???"),
            Arg::FutexOp => self.futex_operation(v as u32),
            Arg::FlockOp => self.flags::<FlockOp>(v),
            Arg::Mode => self.octal(v as u32),
            Arg::AccessMode if v == 0 => self.put("F_OK"),
            Arg::AccessMode => self.flags::<AccessMode>(v),
            Arg::OpenFlags => self.open_flags(v),
            Arg::AtFlags => self.at_flags(v),
            Arg::Prot if v == 0 => self.put("PROT_NONE"),
            Arg::Prot => self.flags::<Prot>(v),
            Arg::MapFlags => self.flags::<MapFlags>(v),
            Arg::MremapFlags => self.flags::<MremapFlags>(v),
            Arg::MsyncFlags => self.flags::<MsyncFlags>(v),
            Arg::CloneFlags => self.clone_flags(v),
            Arg::WaitOptions => self.flags::<WaitOptions>(v),
            Arg::MsgFlags => self.flags::<MsgFlags>(v),
            Arg::SockFlags => self.flags::<SockFlags>(v),
            Arg::XattrFlags => self.flags::<XattrFlags>(v),
            Arg::TimerFlags => self.flags::<TimerFlags>(v),
            Arg::TimerfdFlags => self.flags::<TimerfdFlags>(v),
            Arg::SignalfdFlags => self.flags::<SignalfdFlags>(v),
            Arg::EventfdFlags => self.flags::<EventfdFlags>(v),
            Arg::EpollCreateFlags => self.flags::<EpollCreateFlags>(v),
            Arg::InotifyMask => self.flags::<InotifyMask>(v),
            Arg::SpliceFlags => self.flags::<SpliceFlags>(v),
            Arg::FallocMode => self.flags::<FallocMode>(v),
            Arg::RenameFlags => self.flags::<RenameFlags>(v),
            Arg::GetrandomFlags => self.flags::<GetrandomFlags>(v),
            Arg::MemfdFlags => self.flags::<MemfdFlags>(v),
            Arg::RwfFlags => self.flags::<RwfFlags>(v),
            Arg::StatxMask => self.flags::<StatxMask>(v),
            Arg::CloseRangeFlags => self.flags::<CloseRangeFlags>(v),
            _ => self.structure(kind, v, index),
        }
    }

    pub(super) fn hex(&mut self, v: u64) {
        if v == 0 { self.put("0") } else { self.fmt(format_args!("{v:#x}")) }
    }

    pub(super) fn octal(&mut self, v: u32) {
        self.fmt(format_args!("0{v:02o}"));
    }

    pub(super) fn pointer(&mut self, v: u64) {
        if v == 0 { self.put("NULL") } else { self.fmt(format_args!("{v:#x}")) }
    }

    /// A number by its name; else the number with the family's name in a comment, as strace has it.
    pub(super) fn named(&mut self, table: Names, v: u64, unknown: &str) {
        match names::find(table, u64::from(v as u32)) {
            Some(name) => self.put(name),
            None => self.fmt(format_args!("{:#x} /* {unknown} */", v as u32)),
        }
    }

    pub(super) fn flags<F>(&mut self, v: u64)
    where
        F: Flags,
        F::Bits: Into<u64>,
    {
        let mut rest = v & if size_of::<F::Bits>() < 8 { u64::from(u32::MAX) } else { u64::MAX };
        let mut separator = "";
        for flag in F::FLAGS {
            let bits: u64 = flag.value().bits().into();
            if bits != 0 && rest & bits == bits {
                self.put(separator);
                self.put(flag.name());
                (rest, separator) = (rest & !bits, "|");
            }
        }
        if rest != 0 {
            self.fmt(format_args!("{separator}{rest:#x}"));
        } else if separator.is_empty() {
            self.put("0");
        }
    }

    pub(super) fn open_flags(&mut self, v: u64) {
        // These have flags without an access mode.
        if matches!(self.name(), "pipe2" | "dup3" | "inotify_init1") {
            return self.flags::<OpenFlags>(v);
        }
        let access = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"];
        self.put(access.get((v as u32 & raw::O_ACCMODE) as usize).unwrap_or(&""));
        let rest = v & !u64::from(raw::O_ACCMODE);
        if rest != 0 {
            self.put("|");
            self.flags::<OpenFlags>(rest);
        }
    }

    fn at_flags(&mut self, v: u64) {
        match self.name() {
            // The same bit means another thing here.
            "faccessat2" if v & u64::from(raw::AT_EACCESS) != 0 => {
                self.put("AT_EACCESS");
                let rest = v & !u64::from(raw::AT_EACCESS);
                if rest != 0 {
                    self.put("|");
                    self.flags::<AtFlags>(rest);
                }
            }
            "statx" if v == 0 => self.put("AT_STATX_SYNC_AS_STAT"),
            _ => self.flags::<AtFlags>(v),
        }
    }

    pub(super) fn clone_flags(&mut self, v: u64) {
        let (signal, flags) = (v & 0xff, v & !0xff);
        if self.name() != "clone" || signal == 0 {
            return self.flags::<CloneFlags>(v);
        }
        if flags != 0 {
            self.flags::<CloneFlags>(flags);
            self.put("|");
        }
        self.signal(signal);
    }

    fn futex_operation(&mut self, v: u32) {
        let modifiers = raw::FUTEX_PRIVATE_FLAG | raw::FUTEX_CLOCK_REALTIME;
        match names::find(names::FUTEX, u64::from(v & !modifiers)) {
            Some(name) => self.put(name),
            None => return self.fmt(format_args!("{v:#x} /* FUTEX_??? */")),
        }
        if v & raw::FUTEX_PRIVATE_FLAG != 0 {
            self.put("_PRIVATE");
        }
        if v & raw::FUTEX_CLOCK_REALTIME != 0 {
            self.put("|FUTEX_CLOCK_REALTIME");
        }
    }

    fn socket_type(&mut self, v: u64) {
        let flags = u64::from(SockFlags::all().bits());
        self.named(names::SOCK_TYPE, v & !flags, "SOCK_???");
        if v & flags != 0 {
            self.put("|");
            self.flags::<SockFlags>(v & flags);
        }
    }

    fn socket_option(&mut self, level: u64, v: u64) {
        let table = match level as u32 {
            net::SOL_SOCKET => names::SO,
            net::SOL_TCP => names::TCP,
            net::SOL_IP => names::IP,
            net::SOL_IPV6 => names::IPV6,
            _ => &[],
        };
        self.named(table, v, "SO_???");
    }

    fn ioctl_request(&mut self, v: u64) {
        match names::find(names::IOCTL, u64::from(v as u32)) {
            Some(name) => self.put(name),
            // As `_IOC(dir, type, nr, size)` packs it (ioctl(2)).
            None => self.fmt(format_args!(
                "_IOC({}, {:#x}, {:#x}, {:#x})",
                v >> 30 & 3,
                v >> 8 & 0xff,
                v & 0xff,
                v >> 16 & 0x3fff
            )),
        }
    }

    pub(super) fn signal(&mut self, v: u64) {
        match Signal::new(v as u32) {
            Some(signal) => self.fmt(format_args!("{signal}")),
            None => self.fmt(format_args!("{}", v as i32)),
        }
    }

    /// `[INT TERM]`, or `~[...]` where the complement is shorter.
    pub(super) fn signal_set(&mut self, set: SigSet) {
        let inverted = set.0.count_ones() > 42;
        let shown = if inverted { SigSet(!set.0) } else { set };
        self.put(if inverted { "~[" } else { "[" });
        let mut separator = "";
        for signal in shown.iter() {
            self.put(separator);
            match signal.name() {
                Some(name) => self.put(name.strip_prefix("SIG").unwrap_or(name)),
                None if signal == Signal::SIGRTMIN => self.put("RTMIN"),
                None => self.fmt(format_args!("RT_{}", signal.number() - 32)),
            }
            separator = " ";
        }
        self.put("]");
    }

    /// Escapes one byte as strace does; `next` decides whether an octal number must have all its
    /// digits.
    fn escaped(&mut self, byte: u8, next: Option<&u8>) {
        match byte {
            b'"' => self.put("\\\""),
            b'\\' => self.put("\\\\"),
            b'\n' => self.put("\\n"),
            b'\r' => self.put("\\r"),
            b'\t' => self.put("\\t"),
            0x0b => self.put("\\v"),
            0x0c => self.put("\\f"),
            b' '..=b'~' => self.fmt(format_args!("{}", char::from(byte))),
            _ if next.is_some_and(u8::is_ascii_digit) => self.fmt(format_args!("\\{byte:03o}")),
            _ => self.fmt(format_args!("\\{byte:o}")),
        }
    }

    /// `len` bytes at `address` in quotes, piece by piece: the kernel's stack is small.
    fn quoted(&mut self, address: u64, len: usize, cut: bool) {
        let mut piece = [0; PIECE + 1];
        self.put("\"");
        for start in (0..len).step_by(PIECE) {
            let n = (len - start).min(PIECE + 1);
            let Some(part) = piece.get_mut(..n) else { break };
            if self.mem.read(address.wrapping_add(start as u64), part) < n {
                break;
            }
            for (i, byte) in part.iter().enumerate().take(PIECE) {
                self.escaped(*byte, part.get(i + 1));
            }
        }
        self.put(if cut { "\"..." } else { "\"" });
    }

    /// `len` bytes at `address`, of which at most [`MAX_STRING`] are shown.
    pub(super) fn bytes(&mut self, address: u64, len: u64) {
        if address == 0 {
            return self.put("NULL");
        }
        let mut buffer = [0; MAX_STRING];
        let shown = len.min(MAX_STRING as u64) as usize;
        let Some(part) = buffer.get_mut(..shown) else { return };
        if self.mem.read(address, part) == shown {
            self.quoted(address, shown, len > shown as u64);
        } else {
            self.pointer(address);
        }
    }

    /// As [`Self::bytes`], every byte as `\x00`.
    fn hex_bytes(&mut self, address: u64, len: usize) {
        let mut buffer = [0; MAX_STRING];
        let Some(part) = buffer.get_mut(..len.min(MAX_STRING)) else { return };
        if self.mem.read(address, part) < part.len() {
            return self.pointer(address);
        }
        self.put("\"");
        for byte in part {
            self.fmt(format_args!("\\x{byte:02x}"));
        }
        self.put(if len > MAX_STRING { "\"..." } else { "\"" });
    }

    /// Length of the NUL-terminated string at `address`, looking no further than `max` bytes;
    /// `None` if it cannot be read.
    fn string_len(&self, address: u64, max: usize) -> Option<usize> {
        let mut piece = [0; PIECE];
        for start in (0..max).step_by(PIECE) {
            let n = self.mem.read(address.wrapping_add(start as u64), &mut piece);
            let got = piece.get(..n)?;
            match got.iter().position(|b| *b == 0) {
                Some(end) => return Some(start + end),
                // Memory may end right behind the string, but not within it.
                None if n < PIECE => return None,
                None => {}
            }
        }
        Some(max)
    }

    /// A NUL-terminated string, of which at most `max` bytes are shown.
    pub(super) fn c_string(&mut self, address: u64, max: usize) {
        if address == 0 {
            return self.put("NULL");
        }
        match self.string_len(address, max + 1) {
            Some(len) => self.quoted(address, len.min(max), len > max),
            None => self.pointer(address),
        }
    }

    fn argv(&mut self, address: u64) {
        if address == 0 {
            return self.put("NULL");
        }
        self.put("[");
        for i in 0..=MAX_ELEMENTS as u64 {
            let Some(string) = self.word(address.wrapping_add(i * 8)).filter(|s| *s != 0) else { break };
            self.put(if i > 0 { ", " } else { "" });
            if i == MAX_ELEMENTS as u64 {
                self.put("...");
                break;
            }
            self.c_string(string, MAX_STRING);
        }
        self.put("]");
    }

    fn envp(&mut self, address: u64) {
        self.pointer(address);
        let present = |i: &u64| self.word(address.wrapping_add(i * 8)).is_some_and(|s| s != 0);
        if address != 0 {
            let count = (0..10_000u64).take_while(present).count();
            self.fmt(format_args!(" /* {count} var{} */", if count == 1 { "" } else { "s" }));
        }
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.mem.read(address, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
    }

    pub(super) fn int(&self, address: u64) -> Option<i32> {
        let mut bytes = [0; 4];
        (self.mem.read(address, &mut bytes) == 4).then(|| i32::from_le_bytes(bytes))
    }
}
