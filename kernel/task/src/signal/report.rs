//! The report of a signal that kills a program with a core dump: what it was, where, and how the
//! program came there.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use elf_loader::{ReadAt, symbols};
use syscall_shim::types::{Siginfo, si_code};
use syscall_shim::{Errno, Signal, table};

use super::deliver::is_fault;
use crate::current;
use crate::recent_calls::Call;
use arch::clock::monotonic_ns;
use arch::trap::TrapFrame;
use mem::PAGE_SIZE;
use usermem::UserPtr;
use vm::{AddressSpace, MappedFile};

/// Frames that a backtrace goes up.
const DEPTH: usize = 32;

/// Reports of a period; a loop of crashes would fill the console, and its machine would do little
/// else. (Linux has 10 of 5 s.)
const REPORTS: u64 = 6;
/// The period, in nanoseconds.
const PERIOD: u64 = 10_000_000_000;

/// When the period began, and what was to be reported in it.
static PERIOD_START: AtomicU64 = AtomicU64::new(0);
static IN_PERIOD: AtomicU64 = AtomicU64::new(0);

/// Whether one more report may be printed.
fn permitted() -> bool {
    let now = monotonic_ns();
    let start = PERIOD_START.load(Ordering::Relaxed);
    let over = now.saturating_sub(start) > PERIOD;
    if over && PERIOD_START.compare_exchange(start, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        print_suppressed();
    }
    IN_PERIOD.fetch_add(1, Ordering::Relaxed) < REPORTS
}

/// Says how many reports were left out since the last.
pub fn print_suppressed() {
    let suppressed = IN_PERIOD.swap(0, Ordering::Relaxed).saturating_sub(REPORTS);
    if suppressed > 0 {
        kerr!("{suppressed} more programs were killed by such signals, without a report of their own");
    }
}

/// Prints the report to the log.
pub fn fatal_signal(frame: &TrapFrame, signal: Signal, info: &Siginfo) {
    if !permitted() {
        return;
    }
    let task = current();
    let mm = task.process.mm();
    kerr!("{} (pid {}, tid {}) is killed by {signal}: {}", task.name(), task.process.pid, task.tid(), cause(signal, info));
    if is_fault(info) && info.si_code != si_code::SI_KERNEL && signal != Signal::SIGTRAP {
        kerr!("  address {:#x} is in {}", info.addr(), place(&mm, info.addr()));
    }
    print_registers(frame);
    print_backtrace(frame, &mm);
    kerr!("  last system calls:");
    task.recent_calls.for_each(|call| print_call(&call));
}

/// `si_code` in words, by the names of sigaction(2).
fn cause(signal: Signal, info: &Siginfo) -> String {
    let name = match (signal, info.si_code) {
        (_, si_code::SI_USER | si_code::SI_TKILL | si_code::SI_QUEUE) => {
            return format!("sent by process {} of user {}", info.pid(), info.uid());
        }
        (_, si_code::SI_KERNEL) => "raised by the processor (SI_KERNEL)",
        (Signal::SIGSEGV, si_code::SEGV_MAPERR) => "nothing is mapped there (SEGV_MAPERR)",
        (Signal::SIGSEGV, si_code::SEGV_ACCERR) => "the mapping does not allow it (SEGV_ACCERR)",
        (Signal::SIGBUS, si_code::BUS_ADRERR) => "beyond the end of the file (BUS_ADRERR)",
        (Signal::SIGBUS, si_code::BUS_ADRALN) => "misaligned (BUS_ADRALN)",
        (Signal::SIGILL, si_code::ILL_ILLOPN) => "invalid instruction (ILL_ILLOPN)",
        (Signal::SIGFPE, si_code::FPE_INTDIV) => "integer division by zero (FPE_INTDIV)",
        (Signal::SIGFPE, si_code::FPE_FLTDIV) => "division by zero (FPE_FLTDIV)",
        (Signal::SIGFPE, si_code::FPE_FLTOVF) => "overflow (FPE_FLTOVF)",
        (Signal::SIGFPE, si_code::FPE_FLTUND) => "underflow (FPE_FLTUND)",
        (Signal::SIGFPE, si_code::FPE_FLTRES) => "inexact result (FPE_FLTRES)",
        (Signal::SIGFPE, si_code::FPE_FLTINV) => "invalid operation (FPE_FLTINV)",
        (_, code) => return format!("code {code}"),
    };
    name.to_string()
}

/// Where an address lies: module and offset into its file, or the mapping.
fn place(mm: &AddressSpace, addr: u64) -> String {
    let Some(area) = mm.describe(addr) else { return "no mapping".to_string() };
    let path = String::from_utf8_lossy(&area.path).into_owned();
    let offset = addr - area.start + area.offset;
    match path.as_str() {
        "" => format!("anonymous memory {:x}-{:x}", area.start, area.end),
        path if path.starts_with('[') => format!("{path} {:x}-{:x}", area.start, area.end),
        path => format!("{path}+{offset:#x}"),
    }
}

/// A mapped file, by its page cache.
struct Cached(Arc<dyn MappedFile>);

impl ReadAt for Cached {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mapping = self.0.mapping();
        let len = buffer.len().min(mapping.size().saturating_sub(offset) as usize);
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let in_page = at as usize % PAGE_SIZE;
            let part = (len - done).min(PAGE_SIZE - in_page);
            let Some(to) = buffer.get_mut(done..done + part) else { break };
            mapping.get_or_create(at / PAGE_SIZE as u64)?.read(in_page, to);
            done += part;
        }
        Ok(len)
    }

    fn size(&self) -> u64 {
        self.0.mapping().size()
    }
}

/// The function that holds `addr`, as ` (name+0x12)`, or nothing where that is not known.
fn function(mm: &AddressSpace, addr: u64) -> String {
    let symbol = match mm.file_at(addr) {
        Some((file, offset)) => symbols::lookup(&Cached(file), offset),
        None => mm
            .describe(addr)
            .filter(|area| area.path == b"[vdso]")
            .and_then(|area| symbols::lookup(syscall_shim::vdso::IMAGE, addr - area.start)),
    };
    symbol.map_or(String::new(), |s| format!(" ({:#}+{:#x})", rustc_demangle::demangle(&s.name), s.offset))
}

fn print_registers(f: &TrapFrame) {
    kerr!("  rip {:016x}  rsp {:016x}  rflags {:08x}", f.rip, f.rsp, f.rflags);
    kerr!("  rax {:016x}  rbx {:016x}  rcx {:016x}  rdx {:016x}", f.rax, f.rbx, f.rcx, f.rdx);
    kerr!("  rsi {:016x}  rdi {:016x}  rbp {:016x}  r8  {:016x}", f.rsi, f.rdi, f.rbp, f.r8);
    kerr!("  r9  {:016x}  r10 {:016x}  r11 {:016x}  r12 {:016x}", f.r9, f.r10, f.r11, f.r12);
    kerr!("  r13 {:016x}  r14 {:016x}  r15 {:016x}", f.r13, f.r14, f.r15);
}

/// Follows the frame pointers. A program built without them ends the walk early.
fn print_backtrace(frame: &TrapFrame, mm: &AddressSpace) {
    kerr!("  backtrace:");
    kerr!("    {:#018x}  {}{}", frame.rip, place(mm, frame.rip), function(mm, frame.rip));
    let mut rbp = frame.rbp;
    let mut lowest = frame.rsp;
    for _ in 0..DEPTH {
        if rbp < lowest || !rbp.is_multiple_of(8) {
            break;
        }
        let Ok([next, return_address]) = UserPtr::<[u64; 2]>::new(rbp).read() else { break };
        if return_address == 0 || mm.describe(return_address).is_none() {
            break;
        }
        // The call is before the address it returns to, which may be in the next function.
        let called_from = return_address - 1;
        kerr!("    {return_address:#018x}  {}{}", place(mm, return_address), function(mm, called_from));
        lowest = rbp + 16;
        rbp = next;
    }
}

fn print_call(call: &Call) {
    let name = table::name(call.nr).unwrap_or("?");
    let count = table::args(call.nr).len();
    let args: Vec<String> = call.args.iter().take(count).map(|arg| format!("{arg:#x}")).collect();
    let result = match call.result {
        None => "<running>".to_string(),
        Some(value @ -4095..0) => format!("-1 {:?}", Errno(-value as u16)),
        Some(value) => format!("{value:#x}"),
    };
    let more = if count > call.args.len() { ", ..." } else { "" };
    kerr!("    {name}({}{more}) = {result}", args.join(", "));
}
