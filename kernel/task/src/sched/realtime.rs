//! What real-time tasks may have (sched(7)), and how it is set (`/proc/sys/kernel/sched_*`).

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use syscall_shim::{Errno, SysResult};

use super::super::Instant;

const RR_SLICE: Instant = 100_000_000;
const US: Instant = 1000;
/// `sched_rt_runtime_us` that sets no limit.
const UNLIMITED: i64 = -1;

static RR_SLICE_NOW: AtomicU64 = AtomicU64::new(RR_SLICE);
static PERIOD: AtomicU64 = AtomicU64::new(1_000_000_000);
static RUNTIME: AtomicU64 = AtomicU64::new(950_000_000);

/// `SCHED_RR`'s time slice.
pub fn rr_slice() -> Instant {
    RR_SLICE_NOW.load(Relaxed)
}

/// Sets [`rr_slice`]; `None` goes back to the default.
pub fn set_rr_slice(slice: Option<Instant>) {
    RR_SLICE_NOW.store(slice.unwrap_or(RR_SLICE), Relaxed);
}

/// In each of these periods real-time tasks leave something to the others.
pub fn period() -> Instant {
    PERIOD.load(Relaxed)
}

/// What real-time tasks may have of a [`period`].
pub fn runtime() -> Instant {
    RUNTIME.load(Relaxed)
}

/// `sched_rt_period_us`
pub fn period_us() -> i64 {
    (period() / US) as i64
}

/// Sets it. `EINVAL` when real-time tasks may have more than that.
pub fn set_period_us(us: i64) -> SysResult<()> {
    let new = us as Instant * US;
    if us <= 0 || runtime() != Instant::MAX && runtime() > new {
        return Err(Errno::EINVAL);
    }
    PERIOD.store(new, Relaxed);
    Ok(())
}

/// `sched_rt_runtime_us`
pub fn runtime_us() -> i64 {
    if runtime() == Instant::MAX { UNLIMITED } else { (runtime() / US) as i64 }
}

/// Sets it. `EINVAL` for more than the period.
pub fn set_runtime_us(us: i64) -> SysResult<()> {
    let new = if us == UNLIMITED { Instant::MAX } else { us as Instant * US };
    if us < UNLIMITED || us != UNLIMITED && new > period() {
        return Err(Errno::EINVAL);
    }
    RUNTIME.store(new, Relaxed);
    Ok(())
}
