//! Signals: what the rest of the kernel needs of them.

use core::sync::atomic::Ordering;

use super::current;
use super::thread::{Task, state};
use crate::arch::trap::TrapFrame;

/// Per-thread signal state.
#[derive(Clone, Default)]
pub struct ThreadSignals {
    /// Blocked signals.
    pub mask: u64,
}

impl ThreadSignals {
    /// The state of a thread that this one creates: the same mask, nothing pending, no alternate stack.
    pub fn for_new_thread(&self) -> Self {
        Self { mask: self.mask }
    }
}

/// Signals pending for a process.
#[derive(Default)]
pub struct SharedSignals {}

/// Signal handlers.
#[derive(Default)]
pub struct SigHand {}

/// A fault of the application, for `siginfo_t` and `sigcontext`.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// `si_signo`
    pub signo: i32,
    /// `si_code`
    pub code: i32,
    /// `si_addr`
    pub addr: u64,
    /// The exception vector.
    pub trapno: u64,
    /// The CPU's error code.
    pub error: u64,
}

/// Raises the signal of a fault in the current thread, which cannot ignore or block it.
pub fn force_fault(fault: Fault, frame: &mut TrapFrame) {
    kerr!("{}: signal {} at rip {:#x}, address {:#x}", current().name(), fault.signo, frame.rip, fault.addr);
    super::exit::exit_group(fault.signo as u32)
}

/// Handles what is pending, on the way to the application.
pub fn handle(_frame: &mut TrapFrame) {
    let task = current();
    if super::exit::must_exit(task) {
        super::exit::exit_thread();
    }
    task.signal_pending.store(false, Ordering::Release);
}

/// Makes the thread notice that its process ends, wherever it sleeps.
pub fn wake_to_exit(task: &alloc::sync::Arc<Task>) {
    task.signal_pending.store(true, Ordering::Release);
    super::sched::wake(task, state::INTERRUPTIBLE | state::STOPPED);
}

/// What execve(2) does to signals: caught ones get their default action back, the alternate stack goes.
pub fn reset_for_exec(_task: &Task) {}
