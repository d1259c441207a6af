//! Sending: from a system call or the kernel into the queue of a process or a thread.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{CAP_KILL, RLIMIT_SIGPENDING};
use syscall_shim::types::{SIG_DFL, Siginfo, si_code};
use syscall_shim::{DefaultAction, Errno, Signal, SysResult};

use super::pending::{Charge, Queued};
use super::{ThreadSignals, init, stop};
use crate::credentials::Credentials;
use crate::ordered::Ordered;
use crate::process::Process;
use crate::table::{self, Receivers};
use crate::thread::{Task, state};
use crate::{current, sched};

/// What became of a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is pending now.
    Queued,
    /// It was pending already, and standard signals do not queue.
    AlreadyPending,
    /// The process ignores it.
    Ignored,
}

/// Whether the signal comes from a program, with its own information: then `RLIMIT_SIGPENDING`
/// holds.
fn from_program(info: &Siginfo) -> bool {
    info.si_code <= si_code::SI_USER && !matches!(info.si_code, si_code::SI_TIMER | si_code::SI_SIGIO)
}

/// Charges the signal to its receiver's user. `EAGAIN` when a real-time signal with information of
/// its own finds the limit reached; other signals then lose their information and still arrive.
fn charge(target: &Task, info: &Siginfo) -> SysResult<Result<Option<Charge>, ()>> {
    if !from_program(info) {
        return Ok(Ok(None));
    }
    let limit = target.process.rlimit(RLIMIT_SIGPENDING);
    let realtime = info.si_signo >= i32::from(Signal::SIGRTMIN.number());
    match Charge::new(target.credentials().uid, limit) {
        Some(charge) => Ok(Ok(Some(charge))),
        None if !realtime && info.si_code >= si_code::SI_USER => Ok(Ok(None)),
        None if realtime && info.si_code != si_code::SI_USER => Err(Errno::EAGAIN),
        None => Ok(Err(())),
    }
}

/// Sends to one thread (tgkill(2) and faults).
pub fn send_to_task(task: &Arc<Task>, info: Siginfo) -> SysResult<()> {
    let charge = charge(task, &info)?;
    let Some(signal) = Signal::new(info.si_signo as u32) else { return Ok(()) };
    if is_spared(task, signal, &info) {
        return Ok(());
    }
    match charge {
        Ok(charge) => {
            post_to_task(task, Queued { info, timer: None, charge });
        }
        Err(()) => {
            stop::prepare(&task.process, signal);
            let taker = {
                let mut own = task.signals.lock();
                own.pending.push_bare(signal);
                (!own.mask.contains(signal)).then(|| signal_wake_up(task, &own, &info))
            };
            if taker == Some(Taker::Dies) {
                end_process(&task.process, signal);
            }
        }
    }
    Ok(())
}

/// Sends to a process (kill(2), sigqueue(3), the kernel's own).
pub fn send_to_process(process: &Arc<Process>, info: Siginfo) -> SysResult<()> {
    let Some(signal) = Signal::new(info.si_signo as u32) else { return Ok(()) };
    let leader = process.first_thread();
    // Nobody is left to take it; a process that was not waited for yet is no error.
    let Some(leader) = leader else { return Ok(()) };
    if is_spared(&leader, signal, &info) {
        return Ok(());
    }
    match charge(&leader, &info)? {
        Ok(charge) => {
            post_to_process(process, Queued { info, timer: None, charge });
        }
        Err(()) => {
            stop::prepare(process, signal);
            let taker = {
                let threads = process.threads.lock();
                process.signals.lock().pending.push_bare(signal);
                pick(&threads, &info)
            };
            if taker == Some(Taker::Dies) {
                end_process(process, signal);
            }
        }
    }
    Ok(())
}

/// Whether the thread's process is the first one and need not know of the signal. A blocked one it
/// may handle by the time that it takes it.
fn is_spared(task: &Task, signal: Signal, info: &Siginfo) -> bool {
    init::spares_sending(&task.process, signal, info) && !task.signals.lock().mask.contains(signal)
}

/// Whether the thread is on its way to its end: told to, or by a signal that it neither blocks nor
/// handles.
pub fn is_being_killed(task: &Task) -> bool {
    let deadly = |signal: &Signal| {
        let terminates = matches!(signal.default_action(), DefaultAction::Term | DefaultAction::Core);
        terminates && task.process.sighand.action(*signal).handler == SIG_DFL
    };
    let unblocked = || task.pending_signals().without(task.signals.lock().mask);
    crate::exit::must_exit(task) || (1..).map_while(Signal::new).filter(|s| unblocked().contains(*s)).any(|s| deadly(&s))
}

/// Sends to every process of a group, as the kernel's own (a terminal's `SIGINT`). `ESRCH` if there
/// is none.
pub fn send_to_group(pgid: i32, info: Siginfo) -> SysResult<()> {
    let mut result = Err(Errno::ESRCH);
    table::broadcast(Receivers::Group(pgid), |process| {
        let sent = send_to_process(process, info);
        if result.is_err() {
            result = sent;
        }
    });
    result
}

/// Puts a signal into a thread's queue. Usable from interrupt handlers.
pub fn post_to_task(task: &Arc<Task>, queued: Queued) -> Outcome {
    let Some(signal) = queued.signal() else { return Outcome::Ignored };
    stop::prepare(&task.process, signal);
    let (rejected, taker) = {
        let mut own = task.signals.lock();
        if is_ignored(task, &own, signal) {
            drop(own);
            drop(queued);
            return Outcome::Ignored;
        }
        let (blocked, info) = (own.mask.contains(signal), queued.info);
        let rejected = own.pending.push(queued).err();
        let taker = (rejected.is_none() && !blocked).then(|| signal_wake_up(task, &own, &info));
        (rejected, taker)
    };
    if taker == Some(Taker::Dies) {
        end_process(&task.process, signal);
    }
    task.process.sighand.arrived.wake_all();
    if rejected.is_some() { Outcome::AlreadyPending } else { Outcome::Queued }
}

/// Puts a signal into a process's queue and has a thread take it. Usable from interrupt handlers.
pub fn post_to_process(process: &Process, queued: Queued) -> Outcome {
    let Some(signal) = queued.signal() else { return Outcome::Ignored };
    stop::prepare(process, signal);
    let (rejected, taker) = {
        let threads = process.threads.lock();
        let Some(leader) = threads.first() else { return Outcome::Ignored };
        let mut shared = process.signals.lock();
        if is_ignored(leader, &leader.signals.lock(), signal) {
            drop(shared);
            drop(threads);
            drop(queued);
            return Outcome::Ignored;
        }
        let info = queued.info;
        let rejected = shared.pending.push(queued).err();
        let taker = if rejected.is_none() { pick(&threads, &info) } else { None };
        (rejected, taker)
    };
    if taker == Some(Taker::Dies) {
        end_process(process, signal);
    }
    process.sighand.arrived.wake_all();
    if rejected.is_some() { Outcome::AlreadyPending } else { Outcome::Queued }
}

/// Whether the signal can be dropped. A blocked one cannot: its action may have changed by the time
/// it is unblocked. Whoever traces sees those that are ignored too.
fn is_ignored(task: &Task, own: &ThreadSignals, signal: Signal) -> bool {
    !crate::upcalls::above().shows_signals()
        && !own.mask.union(own.real_mask).contains(signal)
        && task.process.sighand.ignores(signal)
}

/// What a signal does to the thread that takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taker {
    /// It looks at the signal on its way out of the kernel.
    Looks,
    /// It ends, and its process with it.
    Dies,
}

/// Has a thread that does not block the signal take it: the leader if it can, else one that has
/// nothing else to handle. Without such a thread the signal stays pending until one unblocks it.
fn pick(threads: &Ordered<Task>, info: &Siginfo) -> Option<Taker> {
    let signal = Signal::new(info.si_signo as u32)?;
    let takes = |task: &&Arc<Task>| {
        let state = task.run_state();
        !task.signals.lock().mask.contains(signal)
            && state != state::DEAD
            && (state != state::STOPPED || signal == Signal::SIGKILL)
    };
    let is_free = |task: &&Arc<Task>| takes(task) && !task.signal_pending.load(Ordering::Acquire);
    let task = threads.iter().find(is_free).or_else(|| threads.iter().find(takes))?;
    let own = task.signals.lock();
    Some(signal_wake_up(task, &own, info))
}

/// Makes a thread notice what is pending for it, also where it sleeps. `own` are its locked
/// signals, and if the signal is for its process, that one's queue is locked too.
fn signal_wake_up(task: &Arc<Task>, own: &ThreadSignals, info: &Siginfo) -> Taker {
    task.signal_pending.store(true, Ordering::Release);
    let signal = Signal::new(info.si_signo as u32);
    let stopped = if signal == Some(Signal::SIGKILL) { state::STOPPED } else { 0 };
    sched::notify(task, state::INTERRUPTIBLE | state::KILLABLE | stopped);
    if signal.is_some_and(|signal| kills_at_once(task, own, signal, info)) { Taker::Dies } else { Taker::Looks }
}

/// Whether the signal ends the process as soon as it is sent. Not if it leaves a core file, which
/// shows the process as the signal finds it; nor if somebody traces, who sees it taken.
fn kills_at_once(task: &Task, own: &ThreadSignals, signal: Signal, info: &Siginfo) -> bool {
    let process = &task.process;
    signal == Signal::SIGKILL
        || signal.default_action() == DefaultAction::Term
            && process.sighand.action(signal).handler == SIG_DFL
            // sigwait(3) takes it.
            && !own.real_mask.contains(signal)
            && !crate::upcalls::above().shows_signals()
            && !init::spares_taking(process, signal, info)
}

/// Has all threads of a process end that a signal kills, not only the one that takes it: any of
/// them may sleep on something that another one has. No lock of signals is held.
fn end_process(process: &Process, signal: Signal) {
    crate::exit::begin_group_exit(process, u32::from(signal.number()));
}

/// Makes a thread notice that it has to end, wherever it sleeps.
pub fn wake_to_exit(task: &Arc<Task>) {
    {
        // With both queues locked, since somebody may be recomputing it who has not seen that the
        // task must end.
        let _shared = task.process.signals.lock();
        let _own = task.signals.lock();
        task.signal_pending.store(true, Ordering::Release);
    }
    sched::notify(task, state::INTERRUPTIBLE | state::KILLABLE | state::STOPPED);
}

/// Sends to the current thread what a failed write to a closed pipe or socket, or a file beyond its
/// limit, raises.
pub fn raise(signal: Signal) {
    let task = crate::current_arc();
    let info = Siginfo::kill(signal, si_code::SI_USER, task.process.pid, task.credentials().uid);
    post_to_task(&task, Queued::new(info));
}

/// Whether a thread with credentials `sender` may send `signal` to `target` (kill(2)); `None` is
/// signal 0.
pub fn may_signal(sender: &Credentials, target: &Task, signal: Option<Signal>) -> bool {
    let receiver = target.credentials();
    let same_user = [sender.euid, sender.uid].iter().any(|id| *id == receiver.suid || *id == receiver.uid);
    let me = current();
    core::ptr::eq(&raw const *me.process, &raw const *target.process)
        || same_user
        || sender.capable(CAP_KILL)
        || signal == Some(Signal::SIGCONT)
            && me.process.sid.load(Ordering::Relaxed) == target.process.sid.load(Ordering::Relaxed)
}
