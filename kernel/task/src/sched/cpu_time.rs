//! How much time each thread has used, in the application and in the kernel.
//!
//! The sum is taken at switches, by the clock. How much of it was the kernel's is counted in ticks
//! of the TSC at each way in and out: those must be cheap, and reading a clock is not. Calls that
//! are answered on the spot count for the application.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::Instant;
use super::super::thread::Task;
use arch::clock;

/// The time that a thread has used. The CPU that runs or switches it writes; others read.
#[derive(Default)]
pub struct CpuTime {
    /// What the thread has used up to its last switch away, in nanoseconds; while it has a CPU,
    /// [`RUNS`] and the moment since which it would have had to run without a break. One word, so
    /// that others read both together.
    clock: AtomicU64,
    /// Ticks of the TSC in the kernel; while the thread is there, less the TSC when it came, which
    /// makes it negative.
    kernel: AtomicU64,
}

const RUNS: u64 = 1 << 63;

impl CpuTime {
    #[inline(always)]
    fn enter(&self, tsc: u64) {
        self.kernel.store(self.kernel.load(Ordering::Relaxed).wrapping_sub(tsc), Ordering::Relaxed);
    }

    #[inline(always)]
    fn leave(&self, tsc: u64) {
        self.kernel.store(self.kernel.load(Ordering::Relaxed).wrapping_add(tsc), Ordering::Relaxed);
    }
}

/// Charges `prev`, which loses the CPU, up to now, and `next`, which gets it, from now on. Both are
/// in the kernel.
#[inline]
pub fn switch(prev: &Task, next: &Task, now: Instant) {
    let tsc = clock::tsc();
    let time = &prev.cpu_time;
    time.clock.store(now.wrapping_sub(time.clock.load(Ordering::Relaxed)) & !RUNS, Ordering::Relaxed);
    time.leave(tsc);
    prev.on_cpu.store(false, Ordering::Release);
    let time = &next.cpu_time;
    time.clock.store(now.wrapping_sub(time.clock.load(Ordering::Relaxed)) | RUNS, Ordering::Relaxed);
    time.enter(tsc);
    next.on_cpu.store(true, Ordering::Relaxed);
}

/// The current task has come into the kernel from the application.
#[inline(always)]
pub fn enter_kernel(task: &Task) {
    task.cpu_time.enter(clock::tsc());
}

/// The current task leaves the kernel for the application.
#[inline(always)]
pub fn leave_kernel(task: &Task) {
    task.cpu_time.leave(clock::tsc());
}

/// Nanoseconds that a thread has used: application, kernel.
pub fn cpu_time(task: &Task) -> (u64, u64) {
    let time = &task.cpu_time;
    let word = time.clock.load(Ordering::Acquire);
    let kernel = time.kernel.load(Ordering::Relaxed);
    let (now, tsc) = (clock::monotonic_ns(), clock::tsc());
    let running = word & RUNS != 0;
    let total = if running { now.saturating_sub(word & !RUNS) } else { word };
    let kernel = if (kernel as i64) < 0 { kernel.wrapping_add(tsc) } else { kernel };
    let kernel = clock::scale().duration_ns(kernel).min(total);
    (total - kernel, kernel)
}
