//! Notices a CPU that takes no interrupts any more, and has it show where it is.
//!
//! Each CPU looks after the next one, in a circle. Twice within the threshold
//! (`/proc/sys/kernel/watchdog_thresh`, in seconds; 0 turns it off) it compares how many interrupts
//! that one has taken, and sends it one where none came by itself. What is idle is left alone.
//! Whoever has taken none for as long as the threshold runs with interrupts off, and gets an NMI,
//! which shows its stack ([`super::dump`]). With a single CPU nobody is left to look: there the
//! host's `--timeout` does the same.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use super::timer::{self, TimerId};
use super::{Instant, sched};
use arch::percpu::{self, MAX_CPUS, this_cpu};
use arch::{clock, ipi, irq};
use sync::IrqSpinLock;

const SECOND: Instant = 1_000_000_000;
/// The longest threshold, as on Linux.
pub const MAX_THRESHOLD: u32 = 60;
/// How often it is looked while the watch is off, so that it can be turned on.
const OFF_PERIOD: Instant = 10 * SECOND;

static THRESHOLD: AtomicU32 = AtomicU32::new(10);

/// What a CPU knows of the one that it looks after.
struct Watch {
    timer: Option<TimerId>,
    /// How many interrupts it had taken when it was last seen to take one, and when that was.
    seen: Option<(u64, Instant)>,
    reported: bool,
}

/// By the CPU that looks. Taken before the queue of deadlines.
static WATCHES: [IrqSpinLock<Watch>; MAX_CPUS] =
    [const { IrqSpinLock::new(Watch { timer: None, seen: None, reported: false }) }; MAX_CPUS];

/// Has this CPU look after the next one from now on.
pub fn start() {
    let interrupts = irq::save_and_disable();
    let own = this_cpu().id.get();
    let mut watch = WATCHES[own as usize % MAX_CPUS].lock();
    watch.seen = None;
    arm(&mut watch, clock::monotonic_ns());
    drop(watch);
    irq::restore(interrupts);
}

/// Seconds after which a CPU counts as stuck; 0: never.
pub fn threshold() -> u32 {
    THRESHOLD.load(Ordering::Relaxed)
}

/// Sets [`threshold`]. This CPU heeds it at once, the others when they next look.
pub fn set_threshold(seconds: u32) {
    THRESHOLD.store(seconds, Ordering::Relaxed);
    start();
}

/// Has this CPU look again after half the threshold.
fn arm(watch: &mut Watch, now: Instant) {
    if let Some(before) = watch.timer.take() {
        timer::cancel(before);
    }
    let period = match threshold() {
        0 => OFF_PERIOD,
        seconds => Instant::from(seconds) * SECOND / 2,
    };
    watch.timer = Some(timer::call_at(now + period, Arc::new(look)));
}

/// The CPU that `own` looks after: the next of those that run.
fn next_cpu(own: u32) -> Option<u32> {
    let others = sched::online_cpus() & !(1 << own);
    let above = others & (u64::MAX << own);
    match if above != 0 { above } else { others } {
        0 => None,
        cpus => Some(cpus.trailing_zeros()),
    }
}

fn look() {
    let now = clock::monotonic_ns();
    let own = this_cpu().id.get();
    let mut watch = WATCHES[own as usize % MAX_CPUS].lock();
    let stuck = next_cpu(own).filter(|cpu| examine(&mut watch, *cpu, now));
    arm(&mut watch, now);
    drop(watch);
    if let Some(cpu) = stuck {
        ipi::report_stuck(1 << cpu);
    }
}

/// Whether `cpu` is to be reported. One report is enough until it goes on.
fn examine(watch: &mut Watch, cpu: u32, now: Instant) -> bool {
    let other = percpu::of(cpu);
    let idle = other.lazy.load(Ordering::Relaxed) && !other.need_resched.load(Ordering::Relaxed);
    let taken = other.interrupts.load(Ordering::Relaxed);
    match watch.seen {
        Some((before, since)) if before == taken && !idle && threshold() != 0 => {
            if watch.reported || now.saturating_sub(since) < Instant::from(threshold()) * SECOND {
                return false;
            }
            watch.reported = true;
            true
        }
        _ => {
            watch.reported = false;
            watch.seen = if idle || threshold() == 0 { None } else { Some((taken, now)) };
            if watch.seen.is_some() {
                ipi::kick(cpu);
            }
            false
        }
    }
}
