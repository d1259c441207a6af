//! Waiting for signals: sigsuspend(2), pause(2), sigtimedwait(2).

use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, SigSet, SysResult};

use crate::wait::{WaitError, wait_until};
use crate::{Instant, current};

/// Sleeps until a signal is pending. Returns the error that makes the call end with `EINTR` after
/// the handler.
pub fn pause() -> Errno {
    let _ = wait_until::<(), 0>(&[], None, || None);
    Errno::ERESTARTNOHAND
}

/// Sleeps with `mask` in force until a signal is pending; the handler runs under it, and then the
/// old mask returns.
pub fn suspend(mask: SigSet) -> Errno {
    let task = current();
    let old = task.set_signal_mask(mask);
    task.signals.lock().saved_mask = Some(old);
    pause()
}

/// Takes a signal among `wanted` as soon as one is pending. `EAGAIN` at `deadline`, `EINTR` when
/// another signal comes.
pub fn timed_wait(wanted: SigSet, deadline: Option<Instant>) -> SysResult<Siginfo> {
    let wanted = wanted.without(SigSet::UNBLOCKABLE);
    let task = current();
    if let Some(info) = task.take_signal(wanted) {
        return Ok(info);
    }
    if deadline == Some(0) {
        return Err(Errno::EAGAIN);
    }
    // Unblocked for the time of the sleep, so that senders pick this thread; `real_mask` keeps them
    // from dropping signals that the process ignores.
    let old = {
        let mut own = task.signals.lock();
        own.real_mask = own.mask;
        own.mask
    };
    task.set_signal_mask(old.without(wanted));
    let slept = wait_until::<(), 0>(&[], deadline, || None);
    task.signals.lock().real_mask = SigSet::EMPTY;
    task.set_signal_mask(old);
    match task.take_signal(wanted) {
        Some(info) => Ok(info),
        None if slept == Err(WaitError::TimedOut) => Err(Errno::EAGAIN),
        None => Err(Errno::EINTR),
    }
}
