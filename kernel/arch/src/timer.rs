//! The timer interrupt of each CPU: one at a time, at a given moment.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{apic, clock, cpuid, msr};

/// Whether deadlines are TSC values; else they are counts of the APIC timer.
static TSC_DEADLINE: AtomicBool = AtomicBool::new(false);
/// Ticks of the APIC timer per second.
static APIC_FREQUENCY: AtomicU64 = AtomicU64::new(0);

const NANOSECONDS: u64 = 1_000_000_000;

/// Gets this CPU's timer ready, with no interrupt due. The clock is up.
pub fn init() {
    let frequency = match cpuid::hypervisor_frequencies().1 {
        0 => NANOSECONDS,
        frequency => frequency,
    };
    APIC_FREQUENCY.store(frequency, Ordering::Relaxed);
    TSC_DEADLINE.store(cpuid::has_tsc_deadline(), Ordering::Relaxed);
    apic::unmask_timer(cpuid::has_tsc_deadline());
}

/// Has vector [`super::vectors::TIMER`] raised on this CPU at `deadline` (nanoseconds of
/// [`clock::monotonic_ns`]), and not before that unless the timer cannot reach so far: whoever
/// handles it looks at the clock. A deadline in the past is due at once; `None` stops the timer.
/// Each call replaces the one before.
pub fn program(deadline: Option<u64>) {
    if TSC_DEADLINE.load(Ordering::Relaxed) {
        // 0 disarms; the TSC is never that small.
        let value = deadline.map_or(0, |ns| clock::scale().to_tsc(ns).max(1));
        // SAFETY: CPUID says that the MSR exists.
        unsafe { msr::write(msr::TSC_DEADLINE, value) };
        return;
    }
    let Some(deadline) = deadline else { return apic::set_timer_count(0) };
    let ns = deadline.saturating_sub(clock::monotonic_ns());
    let ticks = u128::from(ns) * u128::from(APIC_FREQUENCY.load(Ordering::Relaxed)) / u128::from(NANOSECONDS);
    // One tick too late rather than too early: an early interrupt would find nothing due and come
    // again.
    apic::set_timer_count((ticks + 1).min(u32::MAX.into()) as u32);
}
