//! `trace`, `trace=CALLS`: system calls in strace's format, sent to the host; and the counts of calls for `stats`.
//!
//! When nothing is traced, that costs a call one load.

use alloc::string::String;
use core::cmp::Reverse;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use syscall_shim::trace::{self, MemReader, Pending};
use syscall_shim::{NR_SYSCALLS, SysResult, table};

use crate::arch::{boot, direct, percpu, serial};
use crate::channel::{self, frame::Outgoing};
use crate::counters;
use crate::task::Task;
use crate::usermem::{self, UserAddr};

static ACTIVE: AtomicBool = AtomicBool::new(false);
/// A bit per system call that is traced.
static TRACED: [AtomicU64; NR_SYSCALLS.div_ceil(64)] = [const { AtomicU64::new(0) }; NR_SYSCALLS.div_ceil(64)];

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
    if crate::latency::init() {
        ACTIVE.store(true, Ordering::Relaxed);
    }
    if is_active() {
        direct::disable_quick();
    }
}

/// The counters, as `stats` prints them and `/proc/skiff/stats` shows them: a number and what it counts.
pub fn stats() -> String {
    let mut rows = counters::calls();
    rows.sort_by_key(|row| (Reverse(row.trapped + row.direct), row.nr));
    let (trapped, direct) = rows.iter().fold((0, 0), |sum, row| (sum.0 + row.trapped, sum.1 + row.direct));
    let mut text = String::new();
    let mut line = |count: u64, what: fmt::Arguments<'_>| {
        let _ = writeln!(text, "{count:>12}  {what}");
    };
    line(trapped + direct, format_args!("calls"));
    line(direct, format_args!("calls direct"));
    line(trapped, format_args!("calls trapped"));
    let (patched, restored) = crate::mm::sites::patched();
    line(patched, format_args!("call sites patched"));
    line(restored, format_args!("call sites given back"));
    for (why, count) in crate::mm::sites::refused() {
        line(count, format_args!("call sites refused: {why}"));
    }
    for row in rows {
        let name = table::name(row.nr).unwrap_or("(no such call)");
        line(row.trapped + row.direct, format_args!("{name} (trapped {})", row.trapped));
    }
    let cpus = || percpu::each(crate::task::sched::online_cpus());
    let sum = |count: fn(&percpu::PerCpu) -> &AtomicU64| cpus().map(|cpu| count(cpu).load(Ordering::Relaxed)).sum();
    let memory = crate::mm::frames::stats();
    line(sum(|cpu| &cpu.interrupts), format_args!("interrupts"));
    line(sum(|cpu| &cpu.flushes), format_args!("interrupts to drop translations"));
    line(sum(|cpu| &cpu.kicks), format_args!("interrupts to look at the run queue"));
    line(sum(|cpu| &cpu.switches), format_args!("context switches"));
    line(sum(|cpu| &cpu.contended), format_args!("waits for a spin lock"));
    line(sum(|cpu| &cpu.lock_sleeps), format_args!("sleeps for a lock"));
    let (total, free) = (memory.total as u64 * 4, memory.free as u64 * 4);
    line(total - free, format_args!("KiB of memory in use of {total}"));
    text
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

/// Whether any call is traced or timed.
#[inline]
pub fn is_active() -> bool {
    ACTIVE.load(Ordering::Relaxed)
}

/// Begins the line of a call, if it is traced.
#[cold]
pub fn enter(task: &Task, nr: u64, args: &[u64; 6]) -> Option<Line> {
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

/// With `stats`: prints what was counted, at the end; and what was timed.
pub fn print_stats() {
    output(Outgoing::Log, &crate::latency::report());
    if !boot::info().command_line().split_ascii_whitespace().any(|word| word == "stats") {
        return;
    }
    output(Outgoing::Log, &stats());
}
