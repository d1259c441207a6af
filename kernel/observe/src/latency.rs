//! How long system calls take: `latency` on the command line keeps a histogram for each, `summary`
//! prints the table of `strace -c` at the end. Time is the clock's, sleep included.
//!
//! Off, it costs nothing: the gate is the trace's.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;
use syscall_shim::{NR_SYSCALLS, table};

use arch::boot;

/// Bucket N has the calls that took less than 2^N nanoseconds, and no less than half of that; the
/// last all others.
pub const BUCKETS: usize = 36;

/// One call's.
pub struct Latency {
    /// Calls that failed.
    errors: AtomicU64,
    /// Nanoseconds of all.
    total: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// A copy of [`Latency`].
pub struct Row {
    /// The call.
    pub nr: u64,
    /// How often it was made.
    pub count: u64,
    /// How often it failed.
    pub errors: u64,
    /// Nanoseconds of all.
    pub total: u64,
    /// As [`BUCKETS`] says.
    pub buckets: [u64; BUCKETS],
}

static CALLS: Once<Box<[Latency]>> = Once::new();

fn option(name: &str) -> bool {
    boot::info().command_line().split_ascii_whitespace().any(|word| word == name)
}

/// Reads the command line; whether calls are to be timed.
pub fn init() -> bool {
    if !option("latency") && !option("summary") {
        return false;
    }
    CALLS.call_once(|| {
        let new = || Latency {
            errors: AtomicU64::new(0),
            total: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        };
        (0..NR_SYSCALLS).map(|_| new()).collect()
    });
    true
}

/// Counts a call that has returned.
pub fn record(nr: u64, ns: u64, failed: bool) {
    let Some(call) = CALLS.get().and_then(|calls| calls.get(nr as usize)) else { return };
    let bucket = (u64::BITS - ns.leading_zeros()) as usize;
    call.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    call.total.fetch_add(ns, Ordering::Relaxed);
    call.errors.fetch_add(failed.into(), Ordering::Relaxed);
}

/// The calls that were made, those that took longest first.
pub fn rows() -> Vec<Row> {
    let row = |(nr, call): (usize, &Latency)| {
        let buckets = core::array::from_fn(|n| call.buckets[n].load(Ordering::Relaxed));
        let (errors, total) = (call.errors.load(Ordering::Relaxed), call.total.load(Ordering::Relaxed));
        Row { nr: nr as u64, count: buckets.iter().sum(), errors, total, buckets }
    };
    let calls = CALLS.get().map_or(&[][..], |calls| calls);
    let mut rows: Vec<Row> = calls.iter().enumerate().map(row).filter(|row| row.count > 0).collect();
    rows.sort_by_key(|row| (Reverse(row.total), row.nr));
    rows
}

/// What is printed at the end.
pub fn report() -> String {
    let rows = rows();
    let mut text = String::new();
    if option("summary") {
        let calls: Vec<_> = rows.iter().map(|row| (row.nr, row.count, row.errors, row.total)).collect();
        syscall_shim::trace::summary(&mut text, &calls);
    }
    if option("latency") {
        rows.iter().for_each(|row| histogram(&mut text, row));
    }
    text
}

/// A line for each bucket that is not empty.
fn histogram(text: &mut String, row: &Row) {
    const WIDTH: u64 = 40;
    let name = table::name(row.nr).unwrap_or("?");
    let _ = writeln!(text, "{name}: {} calls, mean {} ns", row.count, row.total / row.count.max(1));
    let most = row.buckets.iter().max().copied().unwrap_or(0).max(1);
    for (n, count) in row.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
        let bar = (count * WIDTH).div_ceil(most) as usize;
        let _ =
            writeln!(text, "  < {:>12} ns  {count:>10}  {}", 1u64 << n, &"########################################"[..bar]);
    }
}
