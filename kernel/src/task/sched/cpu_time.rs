//! How much time each thread has used, in the application and in the kernel.
//!
//! The sum is taken at switches, by the clock. How much of it was the kernel's is counted in ticks of the TSC at each way in
//! and out: those must be cheap, and reading a clock is not. Calls that are answered on the spot count for the application.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::super::Instant;
use super::super::thread::Task;
use super::current;
use crate::arch::clock;

/// The time that a thread has used. The CPU that runs or switches it writes; the sequence number lets others read the parts
/// together.
#[derive(Default)]
pub struct CpuTime {
    /// Nanoseconds up to the last switch away.
    used: AtomicU64,
    /// Ticks of the TSC in the kernel, up to the last way out.
    kernel: AtomicU64,
    /// TSC when the thread came into the kernel; 0 while it is in the application.
    entered: AtomicU64,
    /// When the thread got the CPU, or lost it; monotonic.
    switched_at: AtomicU64,
    sequence: AtomicU32,
}

impl CpuTime {
    fn change(&self, f: impl FnOnce()) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        f();
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    #[inline]
    fn leave(&self) {
        let ticks = clock::tsc().wrapping_sub(self.entered.load(Ordering::Relaxed));
        self.kernel.store(self.kernel.load(Ordering::Relaxed).wrapping_add(ticks), Ordering::Relaxed);
        self.entered.store(0, Ordering::Relaxed);
    }
}

/// Begins to charge `task`, which gets the CPU, in the kernel.
pub fn resume(task: &Task, now: Instant) {
    let time = &task.cpu_time;
    time.change(|| {
        time.switched_at.store(now, Ordering::Relaxed);
        time.entered.store(clock::tsc(), Ordering::Relaxed);
        task.on_cpu.store(true, Ordering::Relaxed);
    });
}

/// Charges `task`, which loses the CPU.
pub fn suspend(task: &Task, now: Instant) {
    let time = &task.cpu_time;
    time.change(|| {
        let since = time.switched_at.load(Ordering::Relaxed);
        time.used.store(time.used.load(Ordering::Relaxed) + now.saturating_sub(since), Ordering::Relaxed);
        time.switched_at.store(now, Ordering::Relaxed);
        // 0 for the code that boot turns into an idle task.
        if time.entered.load(Ordering::Relaxed) != 0 {
            time.leave();
        }
    });
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
    // An interrupt handler may have interrupted the change; what it then reads of its own task is too little, if anything.
    let own = core::ptr::eq(current(), task);
    loop {
        let before = time.sequence.load(Ordering::Acquire);
        let used = time.used.load(Ordering::Relaxed);
        let (kernel, entered) = (time.kernel.load(Ordering::Relaxed), time.entered.load(Ordering::Relaxed));
        let running = task.on_cpu.load(Ordering::Relaxed);
        let since = time.switched_at.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if own || before.is_multiple_of(2) && before == time.sequence.load(Ordering::Relaxed) {
            let (now, tsc) = (clock::monotonic_ns(), clock::tsc());
            let total = used + if running { now.saturating_sub(since) } else { 0 };
            let open = if running && entered != 0 { tsc.saturating_sub(entered) } else { 0 };
            let kernel = clock::scale().duration_ns(kernel + open).min(total);
            return (total - kernel, kernel);
        }
        core::hint::spin_loop();
    }
}
