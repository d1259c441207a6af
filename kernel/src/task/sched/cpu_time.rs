//! How much time each thread has used, in the application and in the kernel.

use core::sync::atomic::{Ordering, fence};

use super::super::Instant;
use super::super::thread::Task;
use super::current;
use crate::arch::clock;

/// Index into [`Task::cpu_ns`] for time in the application.
const APPLICATION: usize = 0;
/// And for time in the kernel.
pub const KERNEL: usize = 1;

/// Charges the time since the last call to `to`. Only the CPU that runs or switches `task` calls this, and no interrupt
/// handler does unless it came from the application; the sequence number lets others read the parts together.
pub fn charge(task: &Task, now: Instant, to: usize) {
    let sequence = task.charge_sequence.load(Ordering::Relaxed);
    task.charge_sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
    fence(Ordering::Release);
    let since = task.charged_at.load(Ordering::Relaxed);
    task.charged_at.store(now, Ordering::Relaxed);
    let used = task.cpu_ns[to].load(Ordering::Relaxed) + now.saturating_sub(since);
    task.cpu_ns[to].store(used, Ordering::Relaxed);
    task.charge_sequence.store(sequence.wrapping_add(2), Ordering::Release);
}

/// Begins to charge `task`, which gets the CPU.
pub fn resume(task: &Task, now: Instant) {
    let sequence = task.charge_sequence.load(Ordering::Relaxed);
    task.charge_sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
    fence(Ordering::Release);
    task.charged_at.store(now, Ordering::Relaxed);
    task.on_cpu.store(true, Ordering::Relaxed);
    task.charge_sequence.store(sequence.wrapping_add(2), Ordering::Release);
}

/// Charges `task`, which loses the CPU, for the last time.
pub fn suspend(task: &Task, now: Instant) {
    charge(task, now, KERNEL);
    task.on_cpu.store(false, Ordering::Release);
}

/// Charges the current task's time since the last call to the application, which it comes from.
pub fn charge_application() {
    charge(current(), clock::monotonic_ns(), APPLICATION);
}

/// Charges the current task's time since the last call to the kernel, which it leaves.
pub fn charge_kernel() {
    charge(current(), clock::monotonic_ns(), KERNEL);
}

/// Nanoseconds that a thread has used: application, kernel. What a running thread used since it was last charged counts for
/// the application.
pub fn cpu_time(task: &Task) -> (u64, u64) {
    // An interrupt handler may have interrupted the change; what it then reads of its own task is too little, if anything.
    let own = core::ptr::eq(current(), task);
    loop {
        let before = task.charge_sequence.load(Ordering::Acquire);
        let user = task.cpu_ns[APPLICATION].load(Ordering::Relaxed);
        let system = task.cpu_ns[KERNEL].load(Ordering::Relaxed);
        let running = task.on_cpu.load(Ordering::Relaxed);
        let since = task.charged_at.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if own || before.is_multiple_of(2) && before == task.charge_sequence.load(Ordering::Relaxed) {
            let open = if running { clock::monotonic_ns().saturating_sub(since) } else { 0 };
            return (user + open, system);
        }
        core::hint::spin_loop();
    }
}
