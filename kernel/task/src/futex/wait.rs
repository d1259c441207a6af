//! `FUTEX_WAIT`, `FUTEX_WAIT_BITSET`, and the sleep that all waiting operations share.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::Key;
use super::bucket::{self, Waiter};
use crate::clock::{Clock, WAS_SET};
use crate::thread::state;
use crate::wait::{WaitError, with_waker};
use crate::{current, sched, timer};
use arch::clock::monotonic_ns;
use usermem::{self, UserAddr};

/// A time on a clock.
#[derive(Clone)]
pub struct Timeout {
    /// The clock.
    pub clock: Clock,
    /// Nanoseconds on it.
    pub at: u64,
}

/// Sleeps until `done`, a signal, or the time-out. The caller has queued `waiter`, and takes it off
/// the queue afterwards.
#[inline]
pub fn sleep(waiter: &Arc<Waiter>, timeout: Option<&Timeout>, mut done: impl FnMut() -> bool) -> Result<(), WaitError> {
    let Some(timeout) = timeout else {
        return sleep_for_good(done);
    };
    sleep_until(waiter, timeout, &mut done)
}

/// [`sleep`] with no time-out.
#[inline(always)]
fn sleep_for_good(mut done: impl FnMut() -> bool) -> Result<(), WaitError> {
    let task = current();
    loop {
        sched::set_state(state::INTERRUPTIBLE);
        let result = if done() {
            Ok(())
        } else if task.signal_pending.load(Ordering::Acquire) {
            Err(WaitError::Interrupted)
        } else {
            sched::schedule();
            if done() {
                // Whoever woke it has made it a running one.
                return Ok(());
            }
            continue;
        };
        sched::set_state(state::RUNNING);
        return result;
    }
}

/// [`sleep`] with a time-out.
fn sleep_until(waiter: &Arc<Waiter>, timeout: &Timeout, done: &mut dyn FnMut() -> bool) -> Result<(), WaitError> {
    if timeout.clock.is_settable() {
        with_waker(&WAS_SET, &**waiter, || sleep_until_alarm(waiter, timeout, done))
    } else {
        sleep_until_alarm(waiter, timeout, done)
    }
}

fn sleep_until_alarm(waiter: &Arc<Waiter>, timeout: &Timeout, done: &mut dyn FnMut() -> bool) -> Result<(), WaitError> {
    let mut alarm: Option<(u64, timer::TimerId)> = None;
    let result = loop {
        let deadline = timeout.clock.monotonic_at(timeout.at);
        sched::set_state(state::INTERRUPTIBLE);
        if done() {
            break Ok(());
        }
        if current().signal_pending.load(Ordering::Acquire) {
            break Err(WaitError::Interrupted);
        }
        if deadline <= monotonic_ns() {
            break Err(WaitError::TimedOut);
        }
        if alarm.is_none_or(|(at, _)| at != deadline) {
            let new = timer::wake_at(deadline, waiter.clone());
            if let Some((_, old)) = alarm.replace((deadline, new)) {
                timer::cancel(old);
            }
        }
        sched::schedule();
    };
    sched::set_state(state::RUNNING);
    if let Some((_, id)) = alarm {
        timer::cancel(id);
    }
    result
}

/// Queues `waiter` if the word at `addr` is `expected`. `EAGAIN` if it is not, `EFAULT` if it
/// cannot be read.
#[inline(always)]
pub fn queue_if_equal(addr: UserAddr, private: bool, expected: u32, waiter: &Arc<Waiter>) -> SysResult<()> {
    let key = Key::new(addr, private)?;
    let mut bucket = bucket::lock(key);
    match usermem::load_u32_nofault(addr) {
        Ok(value) if value == expected => {
            bucket.push(key, waiter.clone());
            Ok(())
        }
        Ok(_) => Err(Errno::EAGAIN),
        Err(_) => {
            drop(bucket);
            bring_in_and_queue(addr, private, expected, waiter)
        }
    }
}

/// [`queue_if_equal`] where the page is not there.
#[cold]
fn bring_in_and_queue(addr: UserAddr, private: bool, expected: u32, waiter: &Arc<Waiter>) -> SysResult<()> {
    usermem::load_u32(addr)?;
    queue_if_equal(addr, private, expected, waiter)
}

/// [`wait`] with no time-out.
pub fn wait_for_good(addr: UserAddr, private: bool, expected: u32, bitset: u32) -> SysResult {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let waiter = Waiter::own(bitset);
    queue_if_equal(addr, private, expected, &waiter)?;
    let slept = sleep_for_good(|| waiter.woken.load(Ordering::Acquire));
    if slept.is_ok() || !bucket::unqueue(&waiter) {
        return Ok(0);
    }
    Err(Errno::ERESTARTSYS)
}

/// Sleeps while the word at `addr` is `expected`, until a wake-up whose bits meet `bitset`.
/// `EAGAIN`, `ETIMEDOUT`, `EFAULT`, `EINVAL`; a signal restarts the call as Linux does.
#[inline(never)]
pub fn wait(addr: UserAddr, private: bool, expected: u32, bitset: u32, timeout: Option<Timeout>) -> SysResult {
    let Some(timeout) = timeout else {
        return wait_for_good(addr, private, expected, bitset);
    };
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let waiter = Waiter::own(bitset);
    queue_if_equal(addr, private, expected, &waiter)?;
    let slept = sleep_until(&waiter, &timeout, &mut || waiter.woken.load(Ordering::Acquire));
    if slept.is_ok() || !bucket::unqueue(&waiter) {
        return Ok(0);
    }
    if slept == Err(WaitError::TimedOut) {
        return Err(Errno::ETIMEDOUT);
    }
    *current().restart.lock() = Some(Box::new(move || wait(addr, private, expected, bitset, Some(timeout))));
    Err(Errno::ERESTART_RESTARTBLOCK)
}
