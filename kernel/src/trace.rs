//! `trace`, `trace=CALLS`: system calls in strace's format, sent to the host; and the counts of calls for `stats`.
//!
//! When both are off, a call costs one load and one addition.

use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use syscall_shim::trace::{self, MemReader, Pending};
use syscall_shim::{NR_SYSCALLS, Status, SysResult, table};

use crate::arch::{boot, serial};
use crate::channel::{self, frame::Outgoing};
use crate::task::{Task, current};
use crate::usermem::{self, UserAddr};

static ACTIVE: AtomicBool = AtomicBool::new(false);
/// A bit per system call that is traced.
static TRACED: [AtomicU64; NR_SYSCALLS.div_ceil(64)] = [const { AtomicU64::new(0) }; NR_SYSCALLS.div_ceil(64)];
/// How often each call was made; the last one counts numbers that do not exist.
static COUNTS: [AtomicU64; NR_SYSCALLS + 1] = [const { AtomicU64::new(0) }; NR_SYSCALLS + 1];

/// Reads the command line.
pub fn init() {
    if boot::info().command_line().split_ascii_whitespace().any(|word| word == "trace") {
        TRACED.iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
        ACTIVE.store(true, Ordering::Relaxed);
    }
    for name in boot::option("trace").into_iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()) {
        match table::number(name) {
            Some(nr) => {
                TRACED[nr as usize / 64].fetch_or(1 << (nr % 64), Ordering::Relaxed);
                ACTIVE.store(true, Ordering::Relaxed);
            }
            None => kwarn!("trace={name}: there is no such system call"),
        }
    }
}

/// Counts a call; the first of each that is absent is named in the log.
#[inline]
pub fn count(nr: u64) {
    let slot = (nr as usize).min(NR_SYSCALLS);
    if COUNTS[slot].fetch_add(1, Ordering::Relaxed) == 0 && matches!(table::status(nr), Status::Absent) {
        match table::name(nr) {
            Some(name) => kwarn!("{}: system call {name} ({nr}) is absent: ENOSYS", current().name()),
            None => kwarn!("{}: there is no system call {nr}: ENOSYS", current().name()),
        }
    }
}

/// How often each call was made that was made at all: number, count.
pub fn counts() -> impl Iterator<Item = (u64, u64)> {
    COUNTS.iter().enumerate().map(|(nr, count)| (nr as u64, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0)
}

/// A line that has been begun.
pub struct Line {
    text: String,
    pending: Pending,
}

struct Memory;

impl MemReader for Memory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        usermem::copy_in_partial(buffer, UserAddr(address))
    }
}

/// Begins the line of a call, if it is traced.
#[inline]
pub fn enter(task: &Task, nr: u64, args: &[u64; 6]) -> Option<Line> {
    if !ACTIVE.load(Ordering::Relaxed) {
        return None;
    }
    begin(task, nr, args)
}

#[cold]
fn begin(task: &Task, nr: u64, args: &[u64; 6]) -> Option<Line> {
    let word = TRACED.get(nr as usize / 64)?;
    if word.load(Ordering::Relaxed) >> (nr % 64) & 1 == 0 {
        return None;
    }
    let several = task.process.threads.lock().len() > 1;
    let mut text = String::new();
    let pending = trace::enter(&mut text, &Memory, several.then_some(task.tid()), nr, args);
    let line = Line { text, pending };
    if matches!(table::name(nr), Some("exit" | "exit_group")) {
        let Line { mut text, pending } = line;
        trace::no_return(&mut text, pending);
        send(&text);
        return None;
    }
    Some(line)
}

/// Ends the line and sends it.
pub fn exit(line: Line, nr: u64, args: &[u64; 6], result: SysResult) {
    let Line { mut text, pending } = line;
    trace::exit(&mut text, &Memory, nr, args, pending, result);
    send(&text);
}

/// Sends one or more whole lines.
pub fn send(text: &str) {
    output(Outgoing::Trace, text);
}

fn output(kind: Outgoing, text: &str) {
    if !channel::active() || !channel::write_all(kind, text.as_bytes()) {
        serial::write(text.as_bytes());
    }
}

/// With `stats`: prints what was counted, at the end.
pub fn print_stats() {
    if !boot::info().command_line().split_ascii_whitespace().any(|word| word == "stats") {
        return;
    }
    let mut rows: alloc::vec::Vec<(u64, u64)> = counts().collect();
    rows.sort_by_key(|&(nr, count)| (core::cmp::Reverse(count), nr));
    let total: u64 = rows.iter().map(|row| row.1).sum();
    let cpu = crate::arch::percpu::this_cpu();
    let memory = crate::mm::frames::stats();
    let mut text = String::new();
    let mut line = |args: core::fmt::Arguments<'_>| {
        let _ = core::fmt::Write::write_fmt(&mut text, args);
    };
    line(format_args!("{:>12}  calls\n", total));
    for (nr, count) in rows {
        line(format_args!("{count:>12}  {}\n", table::name(nr).unwrap_or("(no such call)")));
    }
    line(format_args!("{:>12}  interrupts\n", cpu.interrupts.load(Ordering::Relaxed)));
    line(format_args!("{:>12}  context switches\n", cpu.switches.load(Ordering::Relaxed)));
    line(format_args!("{:>12}  KiB of memory in use of {}\n", (memory.total - memory.free) * 4, memory.total * 4));
    output(Outgoing::Log, &text);
}
