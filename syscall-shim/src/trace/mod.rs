//! The trace: one line per system call in the format of strace(1), such as
//! `openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3`.
//!
//! A line is written in two steps, as strace does it: [`enter`] before the call, up to the first
//! argument that the call fills in, and [`exit`] after it. A call that does not return ends with
//! [`no_return`]. Nothing here runs while tracing is off.

mod names;
mod scalars;
mod structs;
mod summary;

pub use summary::summary;

use crate::table::{self, Arg};
use crate::types::Siginfo;
use crate::{Errno, Signal, SysResult, errno, errno_text};
use core::fmt::{self, Write};

/// Longest string shown, in bytes (`strace -s`).
const MAX_STRING: usize = 32;
/// Longest path shown: all of it.
const MAX_PATH: usize = 4096;
/// Most elements of an array shown.
const MAX_ELEMENTS: usize = 32;

/// The traced program's memory.
pub trait MemReader {
    /// Reads at `address` as far as it can; answers how many bytes it got.
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize;
}

/// Where results line up (`strace -a`).
const RESULT_COLUMN: usize = 40;

/// For lines that need none.
struct NoMemory;

impl MemReader for NoMemory {
    fn read(&self, _: u64, _: &mut [u8]) -> usize {
        0
    }
}

/// How far a line has come: what [`exit`] needs to finish it.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    shown: usize,
    column: usize,
}

struct Printer<'a> {
    out: &'a mut dyn Write,
    mem: &'a dyn MemReader,
    nr: u64,
    args: &'a [u64; 6],
    /// The call's result, once it has returned.
    result: Option<SysResult>,
    column: usize,
}

/// Writes a call's name and its arguments up to the first that the call fills in. `tid` is given
/// once there are several threads; the line then starts with `[pid 12] `.
pub fn enter(out: &mut dyn Write, mem: &dyn MemReader, tid: Option<i32>, nr: u64, args: &[u64; 6]) -> Pending {
    let mut p = Printer { out, mem, nr, args, result: None, column: 0 };
    p.whose(tid);
    match table::name(nr) {
        Some(name) => p.put(name),
        None => p.fmt(format_args!("syscall_{nr:#x}")),
    }
    p.put("(");
    let kinds = p.kinds();
    let shown = kinds.iter().position(|kind| is_out(*kind)).unwrap_or(kinds.len());
    p.arguments(kinds, 0, shown);
    if (1..kinds.len()).contains(&shown) {
        p.put(", ");
    }
    Pending { shown, column: p.column }
}

/// Writes the rest of a line, with a newline.
pub fn exit(out: &mut dyn Write, mem: &dyn MemReader, nr: u64, args: &[u64; 6], pending: Pending, result: SysResult) {
    let mut p = Printer { out, mem, nr, args, result: Some(result), column: pending.column };
    let kinds = p.kinds();
    p.arguments(kinds, pending.shown, kinds.len());
    p.close();
    p.result();
    p.put("\n");
}

/// Ends the line of a call that does not return: `exit_group(0) = ?`.
pub fn no_return(out: &mut dyn Write, pending: Pending) {
    let mut p = Printer { out, mem: &NoMemory, nr: 0, args: &[0; 6], result: None, column: pending.column };
    p.close();
    p.put("?\n");
}

/// Begins the rest of a line that others came after: `<... read resumed>`.
pub fn resume(out: &mut dyn Write, tid: Option<i32>, nr: u64, pending: Pending) -> Pending {
    let mut p = Printer { out, mem: &NoMemory, nr, args: &[0; 6], result: None, column: 0 };
    p.whose(tid);
    let name = p.name();
    p.fmt(format_args!("<... {name} resumed>"));
    Pending { column: p.column, ..pending }
}

/// Writes the line of a signal that a program is given: `--- SIGSEGV {si_signo=SIGSEGV, ...} ---`.
pub fn signal(out: &mut dyn Write, tid: Option<i32>, info: &Siginfo) {
    let mut p = Printer { out, mem: &NoMemory, nr: 0, args: &[0; 6], result: None, column: 0 };
    p.whose(tid);
    p.put("--- ");
    p.signal(info.si_signo as u64);
    p.put(" ");
    p.siginfo_fields(info);
    p.put(" ---\n");
}

/// Writes the line of a thread's end by exit(2).
pub fn exited(out: &mut dyn Write, tid: Option<i32>, status: u8) {
    let mut p = Printer { out, mem: &NoMemory, nr: 0, args: &[0; 6], result: None, column: 0 };
    p.whose(tid);
    p.fmt(format_args!("+++ exited with {status} +++\n"));
}

/// Writes the line of a process's end by a signal.
pub fn killed(out: &mut dyn Write, tid: Option<i32>, signal: Signal, core: bool) {
    let mut p = Printer { out, mem: &NoMemory, nr: 0, args: &[0; 6], result: None, column: 0 };
    p.whose(tid);
    p.fmt(format_args!("+++ killed by {signal}{} +++\n", if core { " (core dumped)" } else { "" }));
}

/// Whether the argument can be shown only after the call.
fn is_out(kind: Arg) -> bool {
    use Arg::*;
    matches!(
        kind,
        BufOut
            | IovecOut(_)
            | StrOut
            | FdPairOut
            | StatOut
            | StatxOut
            | StatfsOut
            | DirentsOut
            | TimespecOut
            | TimevalOut
            | ItimervalOut
            | ItimerspecOut
            | TimerIdOut
            | SigSetOut
            | SigActionOut
            | SiginfoOut
            | StackTOut
            | WstatusOut
            | RusageOut
            | RlimitOut
            | UtsnameOut
            | SysinfoOut
            | EpollEventsOut
            | SockaddrOut
            | SockLen
            | SockOptValOut
            | MsghdrOut
            | CpuSetOut
            | RandomOut
            | IoctlArg(_)
    )
}

/// Counts the columns of formatted text.
struct Counted<'a> {
    out: &'a mut dyn Write,
    column: &'a mut usize,
}

impl Write for Counted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self.column += text.len();
        self.out.write_str(text)
    }
}

impl Printer<'_> {
    fn whose(&mut self, tid: Option<i32>) {
        if let Some(tid) = tid {
            self.fmt(format_args!("[pid {tid:>5}] "));
        }
    }

    /// Ends the argument list and moves to the column of results.
    fn close(&mut self) {
        self.put(")");
        let pad = RESULT_COLUMN.saturating_sub(self.column + 1);
        self.fmt(format_args!("{:pad$} = ", ""));
    }

    fn put(&mut self, text: &str) {
        self.column += text.len();
        // The writer is the kernel's own buffer; a line that does not fit is cut.
        let _ = self.out.write_str(text);
    }

    fn fmt(&mut self, arguments: fmt::Arguments<'_>) {
        let mut counted = Counted { out: self.out, column: &mut self.column };
        let _ = counted.write_fmt(arguments);
    }

    fn arg(&self, index: usize) -> u64 {
        self.args.get(index).copied().unwrap_or(0)
    }

    fn name(&self) -> &'static str {
        table::name(self.nr).unwrap_or("")
    }

    /// The kinds of the arguments worth showing: those the operation looks at.
    fn kinds(&self) -> &'static [Arg] {
        use linux_raw_sys::general as raw;
        let kinds = table::args(self.nr);
        let creates = |flags: u64| flags as u32 & (raw::O_CREAT | raw::O_TMPFILE & !raw::O_DIRECTORY) != 0;
        let count = match self.name() {
            "open" | "mq_open" if !creates(self.arg(1)) => 2,
            "openat" if !creates(self.arg(2)) => 3,
            "fcntl" => match self.arg(1) as u32 {
                raw::F_GETFD
                | raw::F_GETFL
                | raw::F_GETOWN
                | raw::F_GETSIG
                | raw::F_GETPIPE_SZ
                | raw::F_GET_SEALS
                | raw::F_GETLEASE => 2,
                _ => 3,
            },
            "futex" => match self.arg(1) as u32 & !(raw::FUTEX_PRIVATE_FLAG | raw::FUTEX_CLOCK_REALTIME) {
                raw::FUTEX_WAKE => 3,
                raw::FUTEX_UNLOCK_PI | raw::FUTEX_TRYLOCK_PI => 2,
                raw::FUTEX_WAIT | raw::FUTEX_LOCK_PI | raw::FUTEX_LOCK_PI2 => 4,
                raw::FUTEX_REQUEUE => 5,
                _ => 6,
            },
            "mremap" if self.arg(3) as u32 & raw::MREMAP_FIXED == 0 => 4,
            "prctl" => match self.arg(0) {
                1 | 15 | 16 | 4 | 36 => 2,
                2 | 3 | 7 => 1,
                _ => 5,
            },
            _ => kinds.len(),
        };
        kinds.get(..count).unwrap_or(kinds)
    }

    fn arguments(&mut self, kinds: &[Arg], from: usize, to: usize) {
        use linux_raw_sys::general as raw;
        if self.name() == "clone" && from == 0 {
            return self.clone_arguments();
        }
        // futex(2) leaves out what operations on bits do not look at, and calls all bits by a name.
        let operation = self.arg(1) as u32 & !(raw::FUTEX_PRIVATE_FLAG | raw::FUTEX_CLOCK_REALTIME);
        let left_out = match self.name() {
            "futex" if operation == raw::FUTEX_WAIT_BITSET => 4..5,
            "futex" if operation == raw::FUTEX_WAKE_BITSET => 3..5,
            _ => 0..0,
        };
        for (i, kind) in kinds.iter().enumerate().take(to).skip(from).filter(|(i, _)| !left_out.contains(i)) {
            if i > from {
                self.put(", ");
            }
            if i == 5 && !left_out.is_empty() && self.arg(5) as u32 == raw::FUTEX_BITSET_MATCH_ANY {
                self.put("FUTEX_BITSET_MATCH_ANY");
            } else {
                self.argument(*kind, i);
            }
        }
    }

    /// clone(2)'s arguments by name, as strace has them.
    fn clone_arguments(&mut self) {
        use linux_raw_sys::general as raw;
        let flags = self.arg(0) as u32;
        self.put("child_stack=");
        self.pointer(self.arg(1));
        self.put(", flags=");
        self.clone_flags(self.arg(0));
        let named = [
            (raw::CLONE_PARENT_SETTID | raw::CLONE_PIDFD, ", parent_tid=", 2),
            (raw::CLONE_SETTLS, ", tls=", 4),
            (raw::CLONE_CHILD_SETTID | raw::CLONE_CHILD_CLEARTID, ", child_tidptr=", 3),
        ];
        for (wanted, name, index) in named {
            if flags & wanted != 0 {
                self.put(name);
                self.pointer(self.arg(index));
            }
        }
    }

    fn failed(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn returned(&self) -> usize {
        self.result.and_then(Result::ok).unwrap_or(0)
    }

    fn result(&mut self) {
        let value = match self.result {
            None => return,
            Some(Err(e)) => return self.error(e),
            Some(Ok(value)) => value,
        };
        match self.name() {
            "mmap" | "mremap" | "brk" | "shmat" => self.fmt(format_args!("{value:#x}")),
            "umask" => self.octal(value as u32),
            "fcntl" => self.fcntl_result(value),
            "poll" | "ppoll" => self.poll_result(value),
            "select" | "pselect6" if value == 0 => self.put("0 (Timeout)"),
            _ => self.fmt(format_args!("{}", value as i64)),
        }
    }

    fn error(&mut self, e: Errno) {
        let name = errno::name(e).unwrap_or("E?");
        let text = errno_text::text(e).unwrap_or("Unknown error");
        // A call that restarts has no result that the program sees.
        let shown = if e.0 >= 512 { "?" } else { "-1" };
        self.fmt(format_args!("{shown} {name} ({text})"));
    }
}
