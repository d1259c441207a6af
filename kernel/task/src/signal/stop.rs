//! Stopping and continuing a process (job control: signal(7), wait(2)).

use core::sync::atomic::Ordering;

use syscall_shim::types::{Siginfo, si_code};
use syscall_shim::{SaFlags, SigSet, Signal};

use super::SharedSignals;
use super::pending::Queued;
use crate::process::Process;
use crate::thread::{Task, state};
use crate::{current, sched};

/// The signals that stop a process by default.
pub const STOP_SIGNALS: SigSet = SigSet::of(&[Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]);

/// Whether a process is stopped.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopState {
    /// The signal that stops it; threads park themselves while there is one.
    stopping: Option<Signal>,
    /// Threads that are parked.
    parked: usize,
    /// All threads are parked, and the parent was told.
    stopped: bool,
    /// The process was continued and the parent is to be told.
    announce_continue: bool,
    /// What wait(2) with `WUNTRACED` has not yet reported.
    unreported_stop: Option<Signal>,
    /// What wait(2) with `WCONTINUED` has not yet reported.
    unreported_continue: bool,
    /// How often the process was told to go on: a stop that was taken before the last time is over
    /// before it begins.
    continued: u32,
}

impl StopState {
    /// Whether all threads are parked: `T (stopped)` in /proc/PID/status.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The stop that wait(2) has not reported yet; `take` marks it reported.
    pub fn report_stop(&mut self, take: bool) -> Option<Signal> {
        if take { self.unreported_stop.take() } else { self.unreported_stop }
    }

    /// The continuation that wait(2) has not reported yet; `take` marks it reported.
    pub fn report_continue(&mut self, take: bool) -> bool {
        let was = self.unreported_continue;
        self.unreported_continue &= !take;
        was
    }

    /// All threads are parked from now on, if they are. Returns the signal that stopped them, for
    /// the parent.
    fn complete(&mut self, threads: usize) -> Option<Signal> {
        let signal = self.stopping.filter(|_| self.parked >= threads && !self.stopped)?;
        self.stopped = true;
        self.unreported_stop = Some(signal);
        Some(signal)
    }

    /// How often the process was told to go on, for [`begin`]; read as the stop signal is taken.
    pub fn continued(&self) -> u32 {
        self.continued
    }

    /// No stop, and what outlasts one.
    fn ended(&self) -> Self {
        Self { parked: self.parked, continued: self.continued, ..Self::default() }
    }

    /// Whether threads have something to do about it on their way out of the kernel.
    pub fn concerns_threads(&self) -> bool {
        self.stopping.is_some() || self.announce_continue
    }
}

/// What sending `signal` does at once, before it is queued: `SIGCONT` cancels pending stops and
/// wakes a stopped process, a stop signal cancels a pending `SIGCONT`. `SIGKILL` wakes a stopped
/// process as well.
pub fn prepare(process: &Process, signal: Signal) {
    let cancels = match signal {
        Signal::SIGCONT => STOP_SIGNALS,
        Signal::SIGKILL => SigSet::EMPTY,
        s if STOP_SIGNALS.contains(s) => SigSet::of(&[Signal::SIGCONT]),
        _ => return,
    };
    let mut dropped = alloc::vec::Vec::new();
    {
        let threads = process.threads.lock();
        let mut shared = process.signals.lock();
        dropped.push(shared.pending.remove(cancels));
        if !STOP_SIGNALS.contains(signal) {
            shared.stop.continued = shared.stop.continued.wrapping_add(1);
        }
        if !STOP_SIGNALS.contains(signal) && shared.stop.stopping.is_some() {
            let stop = &mut shared.stop;
            if signal == Signal::SIGCONT {
                stop.unreported_continue = stop.stopped;
                stop.announce_continue = stop.stopped;
            }
            stop.stopping = None;
            stop.stopped = false;
            stop.unreported_stop = None;
        }
        for thread in threads.iter() {
            dropped.push(thread.signals.lock().pending.remove(cancels));
            if !STOP_SIGNALS.contains(signal) {
                thread.signal_pending.store(true, Ordering::Release);
                sched::notify(thread, state::STOPPED);
            }
        }
    }
    drop(dropped);
}

/// Begins a stop of the current process by `signal`: every thread will park itself. Not if it was
/// told to go on since the signal was taken, when it had been so `continued` times: a `SIGCONT`
/// that nobody handles leaves no other trace.
pub fn start_group_stop(signal: Signal, continued: u32) {
    let process = &current().process;
    let threads = process.threads.lock();
    let mut shared = process.signals.lock();
    if process.exiting.load(Ordering::Acquire) || shared.stop.continued != continued {
        return;
    }
    shared.stop = StopState { stopping: Some(signal), ..shared.stop.ended() };
    for thread in threads.iter() {
        thread.signal_pending.store(true, Ordering::Release);
        sched::notify(thread, state::INTERRUPTIBLE);
    }
}

/// Parks the current thread while its process is stopped, and tells the parent about stops and
/// continuations. Returns whether it did anything; then the caller looks again.
pub fn park_if_stopping(task: &Task) -> bool {
    let process = &task.process;
    let event = {
        let threads = process.threads.lock().len();
        let mut shared = process.signals.lock();
        if core::mem::take(&mut shared.stop.announce_continue) {
            Some((si_code::CLD_CONTINUED, Signal::SIGCONT))
        } else {
            if shared.stop.stopping.is_none() {
                return false;
            }
            // Marked before the lock is free, so that a SIGCONT from now on finds a task to wake.
            sched::set_state(state::STOPPED);
            shared.stop.parked += 1;
            shared.stop.complete(threads).map(|signal| (si_code::CLD_STOPPED, signal))
        }
    };
    if let Some((code, signal)) = event {
        notify_parent(process, code, signal);
        if code == si_code::CLD_CONTINUED {
            return true;
        }
    }
    while task.run_state() == state::STOPPED {
        sched::schedule();
    }
    process.signals.lock().stop.parked -= 1;
    true
}

/// A thread of a process that is being stopped has ended instead: the others may all be parked
/// already.
pub fn thread_ended(process: &Process) {
    let threads = process.threads.lock().len();
    let stopped = process.signals.lock().stop.complete(threads);
    if let Some(signal) = stopped {
        notify_parent(process, si_code::CLD_STOPPED, signal);
    }
}

/// Tells the parent that the process was stopped or continued: `SIGCHLD`, unless it set
/// `SA_NOCLDSTOP`, and a wake-up.
fn notify_parent(process: &Process, code: i32, signal: Signal) {
    let Some(parent) = process.parent() else { return };
    let uid = current().credentials().uid;
    let action = parent.sighand.action(Signal::SIGCHLD);
    if !action.sa_flags().contains(SaFlags::SA_NOCLDSTOP) {
        let (user, system) = process.cpu_time();
        let (utime, stime) = ((user / 10_000_000) as i64, (system / 10_000_000) as i64);
        let info = Siginfo::child(code, process.pid, uid, i32::from(signal.number()), utime, stime);
        let _ = super::send::post_to_process(&parent, Queued::new(info));
    }
    parent.child_wait.wake_all();
}

impl SharedSignals {
    /// Ends a stop without telling anybody: the process is ending.
    pub fn cancel_stop(&mut self) {
        self.stop = self.stop.ended();
    }
}
