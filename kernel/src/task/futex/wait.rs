//! `FUTEX_WAIT`, `FUTEX_WAIT_BITSET`, and the sleep that all waiting operations share.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::Key;
use super::bucket::{self, Waiter};
use crate::arch::clock::monotonic_ns;
use crate::task::clock::{Clock, WAS_SET};
use crate::task::thread::state;
use crate::task::wait::{WaitError, Waker};
use crate::task::{current, sched, timer};
use crate::usermem::{self, UserAddr};

/// A time on a clock.
#[derive(Clone)]
pub struct Timeout {
    /// The clock.
    pub clock: Clock,
    /// Nanoseconds on it.
    pub at: u64,
}

/// Sleeps until `done`, a signal, or the time-out. The caller has queued `waiter`, and takes it off the queue afterwards.
pub fn sleep(waiter: &Arc<Waiter>, timeout: Option<&Timeout>, mut done: impl FnMut() -> bool) -> Result<(), WaitError> {
    let as_waker = || -> Arc<dyn Waker> { waiter.clone() };
    let follows_clock = timeout.is_some_and(|t| t.clock.is_settable());
    if follows_clock {
        WAS_SET.add(as_waker());
    }
    let mut alarm = None;
    let result = loop {
        let deadline = timeout.map(|t| t.clock.monotonic_at(t.at));
        sched::set_state(state::INTERRUPTIBLE);
        if done() {
            break Ok(());
        }
        if current().signal_pending.load(Ordering::Acquire) {
            break Err(WaitError::Interrupted);
        }
        if let Some(deadline) = deadline {
            if deadline <= monotonic_ns() {
                break Err(WaitError::TimedOut);
            }
            if alarm.is_none_or(|(at, _)| at != deadline) {
                let new = timer::wake_at(deadline, as_waker());
                if let Some((_, old)) = alarm.replace((deadline, new)) {
                    timer::cancel(old);
                }
            }
        }
        sched::schedule();
    };
    sched::set_state(state::RUNNING);
    if let Some((_, id)) = alarm {
        timer::cancel(id);
    }
    if follows_clock {
        WAS_SET.remove(&as_waker());
    }
    result
}

/// Queues `waiter` if the word at `addr` is `expected`. `EAGAIN` if it is not, `EFAULT` if it cannot be read.
pub fn queue_if_equal(addr: UserAddr, private: bool, expected: u32, waiter: &Arc<Waiter>) -> SysResult<()> {
    loop {
        let key = Key::new(addr, private)?;
        let mut bucket = bucket::lock(key);
        match usermem::load_u32_nofault(addr) {
            Ok(value) if value == expected => {
                bucket.push(key, waiter.clone());
                return Ok(());
            }
            Ok(_) => return Err(Errno::EAGAIN),
            Err(_) => {
                drop(bucket);
                usermem::load_u32(addr)?;
            }
        }
    }
}

/// Sleeps while the word at `addr` is `expected`, until a wake-up whose bits meet `bitset`. `EAGAIN`, `ETIMEDOUT`, `EFAULT`,
/// `EINVAL`; a signal restarts the call as Linux does.
pub fn wait(addr: UserAddr, private: bool, expected: u32, bitset: u32, timeout: Option<Timeout>) -> SysResult {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let waiter = Waiter::reuse(bitset);
    let result = queue_if_equal(addr, private, expected, &waiter)
        .map(|()| sleep(&waiter, timeout.as_ref(), || waiter.woken.load(Ordering::Acquire)));
    let woken = result.is_ok_and(|slept| slept.is_ok() || !bucket::unqueue(&waiter));
    waiter.keep();
    let slept = result?;
    if woken {
        return Ok(0);
    }
    if slept == Err(WaitError::TimedOut) {
        return Err(Errno::ETIMEDOUT);
    }
    if timeout.is_none() {
        return Err(Errno::ERESTARTSYS);
    }
    *current().restart.lock() = Some(Box::new(move || wait(addr, private, expected, bitset, timeout)));
    Err(Errno::ERESTART_RESTARTBLOCK)
}
