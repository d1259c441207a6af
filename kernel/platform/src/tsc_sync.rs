//! Whether the TSCs of two CPUs agree: neither may ever read less than the other has read before.

use core::sync::atomic::{AtomicU32, Ordering};

use arch::clock;
use sync::SpinLock;

/// Readings of the CPU that starts; the other reads for as long.
const READINGS: usize = 500;

struct Shared {
    /// The last reading of either.
    last: u64,
    /// By how much one was behind the other, at most.
    warp: u64,
}

static SHARED: SpinLock<Shared> = SpinLock::new(Shared { last: 0, warp: 0 });
static PARTIES: AtomicU32 = AtomicU32::new(0);
static FINISHED: AtomicU32 = AtomicU32::new(0);

fn read() {
    let mut shared = SHARED.lock();
    // SAFETY: a fence: the TSC is not read ahead of the lock.
    unsafe { core::arch::x86_64::_mm_lfence() };
    let now = clock::tsc();
    shared.warp = shared.warp.max(shared.last.saturating_sub(now));
    shared.last = now;
}

/// Compares this CPU's TSC with that of the one that calls [`take_part`]; 0 if they agree, else how
/// many ticks they are off.
pub fn compare() -> u64 {
    *SHARED.lock() = Shared { last: 0, warp: 0 };
    FINISHED.store(0, Ordering::Relaxed);
    PARTIES.store(1, Ordering::Release);
    while FINISHED.load(Ordering::Acquire) == 0 {
        read();
    }
    PARTIES.store(0, Ordering::Relaxed);
    SHARED.lock().warp
}

/// The other side of [`compare`].
pub fn take_part() {
    while PARTIES.load(Ordering::Acquire) == 0 {
        core::hint::spin_loop();
    }
    for _ in 0..READINGS {
        read();
    }
    FINISHED.store(1, Ordering::Release);
}
