//! `trace`, `trace=CALLS`: system calls in strace's format, sent to the host; and the counts of
//! calls for `stats`.
//!
//! When nothing is traced, that costs a call one load.

use alloc::string::String;
use core::cmp::Reverse;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use syscall_shim::trace::{self, MemReader, Pending};
use syscall_shim::types::Siginfo;
use syscall_shim::{NR_SYSCALLS, Signal, SysResult, table};

use crate::arch::{boot, percpu, serial};
use crate::counters;
use crate::sync::IrqSpinLock;
use crate::usermem::{self, UserAddr};
use observe::host_link::{self, frame::Outgoing};
use task::{self, Task};

static ACTIVE: AtomicBool = AtomicBool::new(false);
/// Signals and ends of threads are shown.
static SIGNALS: AtomicBool = AtomicBool::new(false);
/// A bit per system call that is traced.
static TRACED: [AtomicU64; NR_SYSCALLS.div_ceil(64)] = [const { AtomicU64::new(0) }; NR_SYSCALLS.div_ceil(64)];

/// Reads the command line.
pub fn init() {
    if boot::info().command_line().split_ascii_whitespace().any(|word| word == "trace") {
        TRACED.iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
        ACTIVE.store(true, Ordering::Relaxed);
    }
    for name in boot::option("trace").into_iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()) {
        if let Some(nr) = table::number(name) {
            TRACED[nr as usize / 64].fetch_or(1 << (nr % 64), Ordering::Relaxed);
            ACTIVE.store(true, Ordering::Relaxed);
        }
    }
    SIGNALS.store(is_active(), Ordering::Relaxed);
    if observe::latency::init() {
        ACTIVE.store(true, Ordering::Relaxed);
    }
}

/// The counters, as `stats` prints them and `/proc/skiff/stats` shows them: a number and what it
/// counts.
pub fn stats() -> String {
    let mut rows = counters::calls();
    rows.sort_by_key(|row| (Reverse(row.trapped + row.direct + row.vdso), row.nr));
    let sum_of = |count: fn(&counters::Count) -> u64| rows.iter().map(count).sum::<u64>();
    let (trapped, direct, vdso) = (sum_of(|row| row.trapped), sum_of(|row| row.direct), sum_of(|row| row.vdso));
    let mut text = String::new();
    let mut line = |count: u64, what: fmt::Arguments<'_>| {
        let _ = writeln!(text, "{count:>12}  {what}");
    };
    line(trapped + direct, format_args!("calls"));
    line(direct, format_args!("calls direct"));
    line(trapped, format_args!("calls trapped"));
    line(vdso, format_args!("calls answered by the vDSO"));
    let (patched, restored) = vm::patching::patched();
    line(patched, format_args!("call sites patched"));
    line(restored, format_args!("call sites given back"));
    for (why, count) in vm::patching::refused() {
        line(count, format_args!("call sites refused: {why}"));
    }
    for row in rows {
        let name = table::name(row.nr).unwrap_or("(no such call)");
        if row.vdso > 0 {
            line(row.vdso, format_args!("{name} by the vDSO"));
        }
        if row.trapped + row.direct > 0 {
            line(row.trapped + row.direct, format_args!("{name} (trapped {})", row.trapped));
        }
    }
    let cpus = || percpu::each(task::sched::online_cpus());
    let sum = |count: fn(&percpu::PerCpu) -> &AtomicU64| cpus().map(|cpu| count(cpu).load(Ordering::Relaxed)).sum();
    let memory = mem::frames::stats();
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

/// A line that has been begun: its text is with [`OPEN`], unless another thread's line came
/// between.
pub struct Line {
    pending: Pending,
}

/// The line that has been begun last, while nothing came after it: only then it can go on where it
/// is.
struct Open {
    tid: i32,
    text: String,
}

/// Held while a line is sent. Taken inside any other lock.
static OPEN: IrqSpinLock<Option<Open>> = IrqSpinLock::new(None);

/// Sends a whole line; what another thread has begun is sent before it, as unfinished.
fn emit(open: &mut Option<Open>, text: &str) {
    if let Some(Open { mut text, .. }) = open.take() {
        text.push_str(" <unfinished ...>\n");
        send(&text);
    }
    send(text);
}

/// Where a line tells whose it is: as soon as there is more than one thread.
fn whose(task: &Task) -> Option<i32> {
    (task::table::counts().0 > 1).then_some(task.tid())
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
    cfg!(not(feature = "bare")) && ACTIVE.load(Ordering::Relaxed)
}

/// Whether signals and ends of threads are shown: wherever calls are.
#[inline]
pub fn shows_signals() -> bool {
    cfg!(not(feature = "bare")) && SIGNALS.load(Ordering::Relaxed)
}

/// Begins the line of a call, if it is traced.
#[cold]
pub fn enter(task: &Task, nr: u64, args: &[u64; 6]) -> Option<Line> {
    let word = TRACED.get(nr as usize / 64)?;
    if word.load(Ordering::Relaxed) >> (nr % 64) & 1 == 0 {
        return None;
    }
    let mut text = String::new();
    let pending = trace::enter(&mut text, &Memory, whose(task), nr, args);
    let mut open = OPEN.lock();
    if matches!(table::name(nr), Some("exit" | "exit_group")) {
        trace::no_return(&mut text, pending);
        emit(&mut open, &text);
        return None;
    }
    emit(&mut open, "");
    *open = Some(Open { tid: task.tid(), text });
    Some(Line { pending })
}

/// Ends the line and sends it.
pub fn exit(task: &Task, line: Line, nr: u64, args: &[u64; 6], result: SysResult) {
    let Line { mut pending } = line;
    let own = OPEN.lock().take_if(|open| open.tid == task.tid());
    let mut text = own.map_or_else(String::new, |open| open.text);
    if text.is_empty() {
        pending = trace::resume(&mut text, whose(task), nr, pending);
    }
    trace::exit(&mut text, &Memory, nr, args, pending, result);
    emit(&mut OPEN.lock(), &text);
}

/// The thread is given a signal.
#[cold]
pub fn signal(task: &Task, info: &Siginfo) {
    let mut text = String::new();
    trace::signal(&mut text, whose(task), info);
    emit(&mut OPEN.lock(), &text);
}

/// The thread ends, with that wait status.
#[cold]
pub fn ended(task: &Task, status: u32) {
    let mut text = String::new();
    match Signal::new(status & 0x7f) {
        Some(signal) => trace::killed(&mut text, whose(task), signal, status & 0x80 != 0),
        None => trace::exited(&mut text, whose(task), (status >> 8) as u8),
    }
    emit(&mut OPEN.lock(), &text);
}

fn send(text: &str) {
    if !text.is_empty() {
        output(Outgoing::Trace, text);
    }
}

fn output(kind: Outgoing, text: &str) {
    if !host_link::active() || !host_link::write_all(kind, text.as_bytes()) {
        serial::write(text.as_bytes());
    }
}

/// With `stats`: prints what was counted, at the end; and what was timed.
pub fn print_stats() {
    output(Outgoing::Log, &observe::latency::report());
    if !boot::info().command_line().split_ascii_whitespace().any(|word| word == "stats") {
        return;
    }
    output(Outgoing::Log, &stats());
}
