//! Delivery: what happens with pending signals on the way out of the kernel, and to a system call
//! that they interrupted.

use syscall_shim::types::{SIG_DFL, SIG_IGN, Sigaction, Siginfo, si_code};
use syscall_shim::{DefaultAction, Errno, SaFlags, SigSet, Signal};

use super::{fault, frame as signal_frame, init, report, restore_saved_mask, stop};
use crate::thread::Task;
use crate::upcalls::above;
use crate::{core_dump, current, exit};
use arch::trap::TrapFrame;

const NR_RESTART_SYSCALL: u64 = linux_raw_sys::general::__NR_restart_syscall as u64;
/// Length of the `syscall` instruction.
const SYSCALL_LENGTH: u64 = 2;

/// Handles what is pending for the current thread, on its way to the application with `frame`'s
/// registers. Ends the thread if its process is ending.
pub fn handle(frame: &mut TrapFrame) {
    let task = current();
    loop {
        if exit::must_exit(task) {
            exit::exit_thread();
        }
        if core_dump::attend(task, frame) || stop::park_if_stopping(task) {
            continue;
        }
        let Some((info, continued)) = next(task) else { break };
        let Some(signal) = Signal::new(info.si_signo as u32) else { continue };
        if above().shows_signals() {
            above().signal(task, &info);
        }
        let action = take_action(task, signal);
        match action.handler {
            SIG_IGN => {}
            SIG_DFL if init::spares_taking(&task.process, signal, &info) => {}
            SIG_DFL => default_action(frame, signal, &info, continued),
            _ => run_handler(frame, task, signal, &info, &action),
        }
    }
    restart_without_handler(frame, task);
    restore_saved_mask(task);
}

/// Takes the next signal that the thread does not block: faults first, then its own, then the
/// process's. With it comes how often the process had been told to go on.
fn next(task: &Task) -> Option<(Siginfo, u32)> {
    let (queued, continued) = {
        let mut shared = task.process.signals.lock();
        let mut own = task.signals.lock();
        let blocked = own.mask;
        let wanted = SigSet(!blocked.0);
        let queued = own
            .pending
            .take_synchronous(blocked)
            .or_else(|| own.pending.take(wanted))
            .or_else(|| shared.pending.take(wanted));
        task.recalculate(&shared, &own);
        (queued?, shared.stop.continued())
    };
    Some((queued.into_info(), continued))
}

/// The action for `signal`; `SA_RESETHAND` sets it back to the default.
fn take_action(task: &Task, signal: Signal) -> Sigaction {
    let sighand = &task.process.sighand;
    let action = sighand.action(signal);
    if action.sa_flags().contains(SaFlags::SA_RESETHAND) && !matches!(action.handler, SIG_DFL | SIG_IGN) {
        sighand.set_action(signal, Sigaction { handler: SIG_DFL, ..action });
    }
    action
}

fn default_action(frame: &TrapFrame, signal: Signal, info: &Siginfo, continued: u32) {
    match signal.default_action() {
        DefaultAction::Ign | DefaultAction::Cont => {}
        DefaultAction::Stop => stop::start_group_stop(signal, continued),
        DefaultAction::Term => exit::exit_group(u32::from(signal.number())),
        DefaultAction::Core => {
            report::fatal_signal(frame, signal, info);
            core_dump::killed(frame, signal, info)
        }
    }
}

fn run_handler(frame: &mut TrapFrame, task: &Task, signal: Signal, info: &Siginfo, action: &Sigaction) {
    let flags = action.sa_flags();
    if frame.in_syscall() {
        let restart = match interrupted_by(frame) {
            Some(Errno::ERESTARTNOINTR) => true,
            Some(Errno::ERESTARTSYS) => flags.contains(SaFlags::SA_RESTART),
            Some(_) => false,
            None => false,
        };
        if restart {
            again(frame, frame.error);
        } else if interrupted_by(frame).is_some() {
            frame.rax = (-i64::from(Errno::EINTR.0)) as u64;
        }
    }
    crate::rseq::abort_section(frame);
    let old_mask = {
        let mut own = task.signals.lock();
        own.saved_mask.take().unwrap_or(own.mask)
    };
    if signal_frame::push(frame, task, signal, info, action, old_mask).is_err() {
        fault::force_segv(Some(signal));
        task.set_signal_mask(old_mask);
        frame.leave_syscall();
        return;
    }
    let mut mask = task.signals.lock().mask.union(action.sa_mask());
    if !flags.contains(SaFlags::SA_NODEFER) {
        mask.insert(signal);
    }
    task.set_signal_mask(mask);
}

/// The restart code that the interrupted system call returned, if it did.
fn interrupted_by(frame: &TrapFrame) -> Option<Errno> {
    let errno = Errno(u16::try_from(-(frame.rax as i64)).ok()?);
    matches!(errno, Errno::ERESTARTSYS | Errno::ERESTARTNOINTR | Errno::ERESTARTNOHAND | Errno::ERESTART_RESTARTBLOCK)
        .then_some(errno)
}

/// Goes back to the `syscall` instruction, which will make call `nr`.
fn again(frame: &mut TrapFrame, nr: u64) {
    frame.rax = nr;
    frame.rip = frame.rip.wrapping_sub(SYSCALL_LENGTH);
    frame.leave_syscall();
}

/// With no handler to run, an interrupted call goes on as if nothing had been.
fn restart_without_handler(frame: &mut TrapFrame, task: &Task) {
    if !frame.in_syscall() {
        return;
    }
    match interrupted_by(frame) {
        None => {}
        Some(Errno::ERESTART_RESTARTBLOCK) if task.restart.lock().is_some() => again(frame, NR_RESTART_SYSCALL),
        Some(_) => again(frame, frame.error),
    }
}

/// Whether `info` came from the kernel's own exception handling.
pub(super) fn is_fault(info: &Siginfo) -> bool {
    info.si_code > si_code::SI_USER && Signal::new(info.si_signo as u32).is_some_and(|s| SigSet::SYNCHRONOUS.contains(s))
}
