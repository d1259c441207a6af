//! How much time each thread has used, in the application and in the kernel.
//!
//! The sum is taken at switches, by the clock. How much of it was the kernel's is counted in ticks of the TSC at each way in
//! and out: those must be cheap, and reading a clock is not. Calls that are answered on the spot count for the application.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::Instant;
use super::super::thread::Task;
use crate::arch::clock;

/// The time that a thread has used. The CPU that runs or switches it writes; others read.
#[derive(Default)]
pub struct CpuTime {
    /// What the thread has used up to its last switch away, in nanoseconds; while it has a CPU, [`RUNS`] and the moment since which
    /// it would have had to run without a break. One word, so that others read both together.
    clock: AtomicU64,
    /// Ticks of the TSC in the kernel, up to the last way out.
    kernel: AtomicU64,
    /// TSC when the thread came into the kernel; 0 while it is in the application.
    entered: AtomicU64,
}

const RUNS: u64 = 1 << 63;

impl CpuTime {
    #[inline]
    fn leave(&self) {
        let ticks = clock::tsc().wrapping_sub(self.entered.load(Ordering::Relaxed));
        self.kernel.store(self.kernel.load(Ordering::Relaxed).wrapping_add(ticks), Ordering::Relaxed);
        self.entered.store(0, Ordering::Relaxed);
    }
}

/// Begins to charge `task`, which gets the CPU, in the kernel.
#[inline]
pub fn resume(task: &Task, now: Instant) {
    let time = &task.cpu_time;
    let used = time.clock.load(Ordering::Relaxed);
    time.clock.store(now.wrapping_sub(used) | RUNS, Ordering::Relaxed);
    time.entered.store(clock::tsc(), Ordering::Relaxed);
    task.on_cpu.store(true, Ordering::Relaxed);
}

/// Charges `task`, which loses the CPU.
#[inline]
pub fn suspend(task: &Task, now: Instant) {
    let time = &task.cpu_time;
    time.clock.store(now.wrapping_sub(time.clock.load(Ordering::Relaxed)) & !RUNS, Ordering::Relaxed);
    // 0 for the code that boot turns into an idle task.
    if time.entered.load(Ordering::Relaxed) != 0 {
        time.leave();
    }
    task.on_cpu.store(false, Ordering::Release);
}

/// The current task has come into the kernel from the application.
#[inline]
pub fn enter_kernel(task: &Task) {
    task.cpu_time.entered.store(clock::tsc(), Ordering::Relaxed);
}

/// The current task leaves the kernel for the application.
#[inline]
pub fn leave_kernel(task: &Task) {
    task.cpu_time.leave();
}

/// Nanoseconds that a thread has used: application, kernel.
pub fn cpu_time(task: &Task) -> (u64, u64) {
    let time = &task.cpu_time;
    let word = time.clock.load(Ordering::Acquire);
    let (kernel, entered) = (time.kernel.load(Ordering::Relaxed), time.entered.load(Ordering::Relaxed));
    let (now, tsc) = (clock::monotonic_ns(), clock::tsc());
    let running = word & RUNS != 0;
    let total = if running { now.saturating_sub(word & !RUNS) } else { word };
    let open = if running && entered != 0 { tsc.saturating_sub(entered) } else { 0 };
    let kernel = clock::scale().duration_ns(kernel + open).min(total);
    (total - kernel, kernel)
}
