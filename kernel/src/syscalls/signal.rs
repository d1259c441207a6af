//! Signals: rt_sigaction(2), rt_sigprocmask(2), rt_sigreturn(2), sigaltstack(2), kill(2) and their
//! kin.

use core::sync::atomic::Ordering;

use alloc::sync::Arc;
use syscall_shim::types::{Sigaction, Siginfo, StackT, Timespec, si_code};
use syscall_shim::{Errno, SaFlags, SigSet, Signal, SysResult};

use crate::arch::clock::monotonic_ns;
use crate::usermem::UserPtr;
use task::family::FIRST_PID;
use task::signal::send::{may_signal, send_to_process, send_to_task};
use task::signal::{frame, wait};
use task::table::Receivers;
use task::thread::{Task, with_frame};
use task::{Process, current, current_arc, table};

/// Size of the kernel's `sigset_t`.
const SIGSET_SIZE: usize = 8;

fn check_size(size: usize) -> SysResult<()> {
    if size == SIGSET_SIZE { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Signal `signum`; `None` is signal 0, which only asks whether it could be sent. `EINVAL`.
pub(super) fn signal_or_probe(signum: i32) -> SysResult<Option<Signal>> {
    match signum {
        0 => Ok(None),
        n => u32::try_from(n).ok().and_then(Signal::new).map(Some).ok_or(Errno::EINVAL),
    }
}

/// rt_sigaction(2).
pub fn rt_sigaction(signum: i32, act: UserPtr<Sigaction>, oldact: UserPtr<Sigaction>, size: usize) -> SysResult {
    check_size(size)?;
    let new = act.non_null().map(UserPtr::read).transpose()?;
    let signal = signal_or_probe(signum)?.ok_or(Errno::EINVAL)?;
    let process = &current().process;
    let old = process.sighand.action(signal);
    if let Some(mut new) = new {
        if SigSet::UNBLOCKABLE.contains(signal) {
            return Err(Errno::EINVAL);
        }
        // Unknown flags are cleared, so that programs can tell what there is (sigaction(2),
        // "Dynamically probing").
        new.flags = new.sa_flags().difference(SaFlags::SA_UNSUPPORTED).bits();
        new.mask = new.sa_mask().without(SigSet::UNBLOCKABLE).0;
        process.set_signal_action(signal, new);
    }
    oldact.write_if_some(old)?;
    Ok(0)
}

/// rt_sigprocmask(2).
pub fn rt_sigprocmask(how: i32, set: UserPtr<u64>, oldset: UserPtr<u64>, size: usize) -> SysResult {
    const SIG_BLOCK: i32 = linux_raw_sys::general::SIG_BLOCK as i32;
    const SIG_UNBLOCK: i32 = linux_raw_sys::general::SIG_UNBLOCK as i32;
    const SIG_SETMASK: i32 = linux_raw_sys::general::SIG_SETMASK as i32;
    check_size(size)?;
    let task = current();
    let old = task.signals.lock().mask;
    if let Some(set) = set.non_null() {
        let set = SigSet(set.read()?);
        task.set_signal_mask(match how {
            SIG_BLOCK => old.union(set),
            SIG_UNBLOCK => old.without(set),
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        });
    }
    oldset.write_if_some(old.0)?;
    Ok(0)
}

/// rt_sigreturn(2).
pub fn rt_sigreturn() -> SysResult {
    let task = current();
    with_frame(|registers| {
        frame::pop(registers, task);
        Ok(registers.rax as usize)
    })
}

/// rt_sigpending(2): of the blocked signals, those that are pending.
pub fn rt_sigpending(set: UserPtr<u8>, size: usize) -> SysResult {
    let task = current();
    let pending = task.pending_signals().intersection(task.signals.lock().mask);
    let bytes = pending.0.to_le_bytes();
    set.write_slice(bytes.get(..size).ok_or(Errno::EINVAL)?)?;
    Ok(0)
}

/// rt_sigtimedwait(2).
pub fn rt_sigtimedwait(set: UserPtr<u64>, info: UserPtr<Siginfo>, timeout: UserPtr<Timespec>, size: usize) -> SysResult {
    check_size(size)?;
    let set = SigSet(set.read()?);
    let deadline = match timeout.non_null() {
        None => None,
        Some(timeout) => match timeout.read()?.to_ns()? {
            0 => Some(0),
            ns => Some(monotonic_ns().saturating_add(ns)),
        },
    };
    let taken = wait::timed_wait(set, deadline)?;
    info.write_if_some(taken)?;
    Ok(taken.si_signo as usize)
}

/// rt_sigsuspend(2).
pub fn rt_sigsuspend(set: UserPtr<u64>, size: usize) -> SysResult {
    check_size(size)?;
    Err(wait::suspend(SigSet(set.read()?)))
}

/// pause(2).
pub fn pause() -> SysResult {
    Err(wait::pause())
}

/// sigaltstack(2).
pub fn sigaltstack(new: UserPtr<StackT>, old: UserPtr<StackT>) -> SysResult {
    let rsp = with_frame(|frame| frame.rsp);
    let task = current();
    let before = task.signals.lock().altstack;
    if let Some(new) = new.non_null() {
        let stack = before.replaced_by(&new.read()?, rsp)?;
        task.signals.lock().altstack = stack;
    }
    old.write_if_some(before.describe(rsp))?;
    Ok(0)
}

/// The information of a signal from this thread.
fn info_from_me(signal: Signal, code: i32) -> Siginfo {
    let task = current();
    Siginfo::kill(signal, code, task.process.pid, task.credentials().uid)
}

/// Sends signal `signum` of kill(2) to a process. `EINVAL`, `EPERM`.
pub(super) fn kill_process(process: &Arc<Process>, signum: i32) -> SysResult<()> {
    let signal = signal_or_probe(signum)?;
    if let Some(task) = process.first_thread()
        && !may_signal(&current().credentials(), &task, signal)
    {
        return Err(Errno::EPERM);
    }
    match signal {
        Some(signal) => send_to_process(process, info_from_me(signal, si_code::SI_USER)),
        None => Ok(()),
    }
}

/// Sends to all of `to` but the ones that `spared` accepts: success if one got it, else the last
/// error, `ESRCH` if there is none.
fn kill_all(to: Receivers, spared: impl Fn(&Process) -> bool, signum: i32) -> SysResult {
    let mut result = Err(Errno::ESRCH);
    let mut send = |process: &Arc<Process>| {
        if spared(process) {
            return;
        }
        match kill_process(process, signum) {
            Ok(()) => result = Ok(0),
            Err(errno) if result.is_err() => result = Err(errno),
            Err(_) => {}
        }
    };
    if signum != 0 {
        table::broadcast(to, send);
    } else {
        // Nothing is sent: whoever asks all the time must not keep the receivers from forking.
        to.iter().for_each(|process| send(&process));
    }
    result
}

pub(super) fn kill_group(pgid: i32, signum: i32) -> SysResult {
    kill_all(Receivers::Group(pgid), |_| false, signum)
}

/// The process that `pid` names: a thread's id names its process. `ESRCH`.
fn process_named(pid: i32) -> SysResult<Arc<Process>> {
    table::process(pid).or_else(|| table::task(pid).map(|t| t.process.clone())).ok_or(Errno::ESRCH)
}

/// kill(2).
pub fn kill(pid: i32, signum: i32) -> SysResult {
    match pid {
        1.. => kill_process(&process_named(pid)?, signum).map(|()| 0),
        0 => kill_group(current().process.pgid.load(Ordering::Relaxed), signum),
        -1 => {
            let me = current().process.pid;
            kill_all(Receivers::All, |process| process.pid == me || process.pid == FIRST_PID, signum)
        }
        i32::MIN => Err(Errno::ESRCH),
        group => kill_group(-group, signum),
    }
}

/// The thread `tid`, of process `tgid` if that is given.
fn find_thread(tgid: Option<i32>, tid: i32) -> SysResult<Arc<Task>> {
    if tid <= 0 || tgid.is_some_and(|tgid| tgid <= 0) {
        return Err(Errno::EINVAL);
    }
    table::task(tid).filter(|task| tgid.is_none_or(|tgid| task.process.pid == tgid)).ok_or(Errno::ESRCH)
}

fn kill_thread(tgid: Option<i32>, tid: i32, signum: i32) -> SysResult {
    let task = find_thread(tgid, tid)?;
    let mut info = info_from_me(Signal::SIGKILL, si_code::SI_TKILL);
    info.si_signo = signum;
    send_to_thread_checked(&task, signum, info)
}

/// tkill(2).
pub fn tkill(tid: i32, signum: i32) -> SysResult {
    kill_thread(None, tid, signum)
}

/// tgkill(2).
pub fn tgkill(tgid: i32, tid: i32, signum: i32) -> SysResult {
    kill_thread(Some(tgid), tid, signum)
}

/// The information that a program passes along with a signal to thread or process `to`. It cannot
/// pretend to be the kernel or kill(2), except to itself.
pub(super) fn info_from_user(signum: i32, info: UserPtr<Siginfo>, to: i32) -> SysResult<Siginfo> {
    let mut info = info.read()?;
    info.si_signo = signum;
    if (info.si_code >= 0 || info.si_code == si_code::SI_TKILL) && current().tid() != to {
        return Err(Errno::EPERM);
    }
    Ok(info)
}

/// rt_sigqueueinfo(2).
pub fn rt_sigqueueinfo(pid: i32, signum: i32, info: UserPtr<Siginfo>) -> SysResult {
    let info = info_from_user(signum, info, pid)?;
    send_checked(&process_named(pid)?, signum, info)
}

/// Sends a signal with a program's own information, if the caller may.
pub(super) fn send_checked(process: &Arc<Process>, signum: i32, info: Siginfo) -> SysResult {
    let signal = signal_or_probe(signum)?;
    if let Some(task) = process.first_thread()
        && !may_signal(&current().credentials(), &task, signal)
    {
        return Err(Errno::EPERM);
    }
    if signal.is_some() {
        send_to_process(process, info)?;
    }
    Ok(0)
}

/// rt_tgsigqueueinfo(2).
pub fn rt_tgsigqueueinfo(tgid: i32, tid: i32, signum: i32, info: UserPtr<Siginfo>) -> SysResult {
    info.read()?;
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let info = info_from_user(signum, info, tid)?;
    send_to_thread_checked(&find_thread(Some(tgid), tid)?, signum, info)
}

/// As [`send_checked`], to a thread.
pub(super) fn send_to_thread_checked(task: &Arc<Task>, signum: i32, info: Siginfo) -> SysResult {
    let signal = signal_or_probe(signum)?;
    if !may_signal(&current().credentials(), task, signal) {
        return Err(Errno::EPERM);
    }
    if signal.is_some() {
        send_to_task(task, info)?;
    }
    Ok(0)
}

/// restart_syscall(2).
pub fn restart_syscall() -> SysResult {
    let restart = current_arc().restart.lock().take();
    restart.map_or(Err(Errno::EINTR), |restart| restart())
}
