//! Faults: signals that a thread raises by what it executes. They cannot be held back; a thread
//! that blocks or ignores one is killed by it.

use syscall_shim::types::{SIG_DFL, SIG_IGN, Sigaction, Siginfo};
use syscall_shim::{SigSet, Signal};

use super::LastFault;
use super::pending::Queued;
use super::send::post_to_task;
use crate::current_arc;
use arch::trap::{TrapFrame, vector};

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

/// Raises the signal of a fault in the current thread.
pub fn force_fault(fault: Fault, _frame: &mut TrapFrame) {
    let Some(signal) = Signal::new(fault.signo as u32) else { return };
    {
        let task = crate::current();
        let mut own = task.signals.lock();
        let cr2 = if fault.trapno == vector::PAGE_FAULT { fault.addr } else { own.fault.cr2 };
        own.fault = LastFault { trapno: fault.trapno, err: fault.error, cr2 };
    }
    force(Siginfo::fault(signal, fault.code, fault.addr));
}

/// Sends a signal to the current thread that it cannot avoid: blocked or ignored, its action
/// becomes the default.
pub fn force(info: Siginfo) {
    let Some(signal) = Signal::new(info.si_signo as u32) else { return };
    let task = current_arc();
    let sighand = &task.process.sighand;
    let mut action = sighand.action(signal);
    let blocked = task.signals.lock().mask.contains(signal);
    if blocked || action.handler == SIG_IGN {
        action.handler = SIG_DFL;
        sighand.set_action(signal, action);
    }
    if blocked {
        let mask = task.signals.lock().mask.without(SigSet::of(&[signal]));
        task.set_signal_mask(mask);
    }
    post_to_task(&task, Queued::new(info));
}

/// Sends a signal to the current thread whose default action comes, whatever the program has said.
pub fn force_default(info: Siginfo) {
    let Some(signal) = Signal::new(info.si_signo as u32) else { return };
    let sighand = &crate::current().process.sighand;
    let action = sighand.action(signal);
    sighand.set_action(signal, Sigaction { handler: SIG_DFL, ..action });
    force(info);
}

/// Raises `SIGSEGV` for a signal frame that could not be written or read (`force_sigsegv`). When it
/// is `SIGSEGV`'s own handler that cannot be started, the default action takes its place.
pub fn force_segv(failed: Option<Signal>) {
    let task = crate::current();
    if failed == Some(Signal::SIGSEGV) {
        let mut action = task.process.sighand.action(Signal::SIGSEGV);
        action.handler = SIG_DFL;
        task.process.sighand.set_action(Signal::SIGSEGV, action);
    }
    force(Siginfo::kernel(Signal::SIGSEGV));
}
