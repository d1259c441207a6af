//! `profile=HZ`: when each CPU is to be looked at. What is then seen is the business of who knows
//! of tasks.

use core::sync::atomic::{AtomicU64, Ordering};

use arch::percpu::this_cpu;
use arch::{boot, clock};

/// The highest frequency that can be asked for, in samples a second.
const MAX_HERTZ: u64 = 10_000;

/// Nanoseconds between samples of a CPU; 0 when nothing is sampled.
static PERIOD: AtomicU64 = AtomicU64::new(0);

/// Whether the command line asks for samples.
pub fn wanted() -> bool {
    boot::option("profile").is_some()
}

/// Reads the command line.
pub fn init() {
    let Some(hertz) = boot::option("profile") else { return };
    match hertz.parse::<u64>() {
        Ok(hertz @ 1..=MAX_HERTZ) => PERIOD.store(1_000_000_000 / hertz, Ordering::Relaxed),
        _ => kwarn!("profile={hertz}: expected 1 to {MAX_HERTZ}"),
    }
}

/// Nanoseconds between samples of a CPU; 0 when nothing is sampled.
#[inline]
pub fn period() -> u64 {
    if cfg!(feature = "bare") { 0 } else { PERIOD.load(Ordering::Relaxed) }
}

/// When this CPU's next sample is due, in nanoseconds since boot.
#[inline]
pub fn next() -> Option<u64> {
    match period() {
        0 => None,
        period => Some(this_cpu().next_sample.get().min(clock::monotonic_ns() + period)),
    }
}
