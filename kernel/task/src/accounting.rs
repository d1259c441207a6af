//! Process accounting (acct(2)): a record for each process that ends, as acct(5) has it, in version
//! 3.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use syscall_shim::types::AcctV3;
use zerocopy::IntoBytes;

use super::{Process, Task};
use arch::clock;
use fd::OpenFile;
use fd::io::Source;
use sync::SpinLock;

/// Ticks in a second, and nanoseconds of one (`AHZ`).
const TICK: u64 = 10_000_000;
/// The process forked and ran no program; it left a core file; a signal ended it (`ac_flag`).
const AFORK: u8 = 0x01;
const ACORE: u8 = 0x08;
const AXSIG: u8 = 0x10;
const VERSION: u8 = 3;

/// Where records go. A leaf lock.
static FILE: SpinLock<Option<Arc<OpenFile>>> = SpinLock::new(None);
/// Whether they go anywhere, so that the end of a process need not look.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// Has records appended to the file from now on, or none written.
pub fn set(file: Option<Arc<OpenFile>>) {
    IS_ON.store(file.is_some(), Ordering::Relaxed);
    let before = core::mem::replace(&mut *FILE.lock(), file);
    drop(before);
}

/// The process ends, with its last thread `task` and that wait status; it has its memory still.
pub fn process_ends(process: &Process, task: &Task, status: u32) {
    if !IS_ON.load(Ordering::Relaxed) {
        return;
    }
    let Some(file) = FILE.lock().clone() else { return };
    let usage = process.usage();
    let credentials = task.credentials();
    let lasted = clock::monotonic_ns().saturating_sub(process.started_at);
    let flag = |is, flag| if is { flag } else { 0 };
    let record = AcctV3 {
        ac_flag: flag(!process.has_executed.load(Ordering::Relaxed), AFORK)
            | flag(status & 0x80 != 0, ACORE)
            | flag(status & 0x7f != 0, AXSIG),
        ac_version: VERSION,
        ac_tty: tty::controlling(process.sid.load(Ordering::Relaxed)).map_or(0, |terminal| terminal.shown().0 as u16),
        ac_exitcode: status,
        ac_uid: credentials.uid,
        ac_gid: credentials.gid,
        ac_pid: process.pid as u32,
        ac_ppid: process.parent().map_or(0, |parent| parent.pid as u32),
        ac_btime: (clock::realtime_ns().saturating_sub(lasted) / 1_000_000_000) as u32,
        ac_etime: float(lasted / TICK),
        ac_utime: comp(usage.cpu_ns[0] / TICK),
        ac_stime: comp(usage.cpu_ns[1] / TICK),
        ac_mem: comp(process.mm().memory_use().vm_size / 1024),
        ac_minflt: comp(usage.faults[0]),
        ac_majflt: comp(usage.faults[1]),
        ac_comm: *task.comm.lock(),
        ..AcctV3::default()
    };
    // A record that cannot be written is lost, as it is on Linux.
    let _ = file.write(&mut Source::Kernel(record.as_bytes()));
}

/// The bits of `value` as a `float`.
fn float(value: u64) -> u32 {
    const PLACES: u32 = 23;
    const BIAS: u32 = 127;
    let Some(exponent) = value.checked_ilog2() else { return 0 };
    let mantissa = if exponent > PLACES { value >> (exponent - PLACES) } else { value << (PLACES - exponent) };
    (exponent + BIAS) << PLACES | mantissa as u32 & ((1 << PLACES) - 1)
}

/// A `comp_t`: 13 bits, and 3 for a power of 8.
fn comp(mut value: u64) -> u16 {
    const MAX_MANTISSA: u64 = 0x1fff;
    let (mut exponent, mut half) = (0, false);
    while value > MAX_MANTISSA {
        half = value & 4 != 0;
        value >>= 3;
        exponent += 1;
    }
    if half {
        value += 1;
        if value > MAX_MANTISSA {
            value >>= 3;
            exponent += 1;
        }
    }
    if exponent > 7 { u16::MAX } else { exponent << 13 | value as u16 }
}
