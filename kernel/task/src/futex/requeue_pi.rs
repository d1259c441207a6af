//! `FUTEX_WAIT_REQUEUE_PI` and `FUTEX_CMP_REQUEUE_PI`: condition variables whose mutex has priority
//! inheritance. A waiter is never woken to find the mutex taken: it is moved to the mutex's queue
//! instead.

use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::bucket::{self, Waiter};
use super::pi::{self, Attempt};
use super::wait::{Timeout, queue_if_equal, sleep};
use super::{Key, MATCH_ANY};
use crate::wait::WaitError;
use usermem::{self, UserAddr};

/// Sleeps while the word at `addr` is `expected`, until a requeue has given this thread the lock at
/// `lock`. `EINVAL` when both are one word, `ETIMEDOUT`, `EAGAIN`.
pub fn wait_requeue_pi(
    addr: UserAddr,
    private: bool,
    expected: u32,
    bitset: u32,
    timeout: Option<&Timeout>,
    lock: UserAddr,
) -> SysResult {
    if bitset == 0 || addr == lock {
        return Err(Errno::EINVAL);
    }
    let lock_key = Key::new(lock, private)?;
    if lock_key == Key::new(addr, private)? {
        return Err(Errno::EINVAL);
    }
    let waiter = Waiter::new(MATCH_ANY, Some(lock_key));
    queue_if_equal(addr, private, expected, &waiter)?;
    let slept = sleep(&waiter, timeout, || waiter.woken.load(Ordering::Acquire));
    if slept.is_err() && bucket::unqueue(&waiter) {
        // Not moved to the lock yet.
        return Err(if slept == Err(WaitError::TimedOut) { Errno::ETIMEDOUT } else { Errno::ERESTARTNOINTR });
    }
    match pi::wait_for(lock, lock_key, &waiter, timeout) {
        // It cannot be made again: the wait for the condition is over. As in Linux the caller looks
        // at it once more.
        Err(Errno::ERESTARTNOINTR) => Err(Errno::EAGAIN),
        other => other,
    }
}

/// Gives the lock at `to` to the first waiter of `from`, or queues it there, and moves up to
/// `requeue` others to the lock's queue. Returns how many. `EAGAIN` if the word at `from` is not
/// `expected`; `EINVAL` if a waiter waits for another lock, or `wake` is not 1.
pub fn requeue_pi(from: UserAddr, to: UserAddr, private: bool, wake: i32, requeue: i32, expected: u32) -> SysResult {
    if wake != 1 || requeue < 0 || from == to {
        return Err(Errno::EINVAL);
    }
    let (from_key, to_key) = (Key::new(from, private)?, Key::new(to, private)?);
    let mut done = 0;
    while done < 1 + requeue as usize {
        usermem::fault_in_u32_writable(to)?;
        usermem::load_u32(from)?;
        let mut bucket = bucket::lock(from_key);
        match usermem::load_u32_nofault(from) {
            Ok(value) if value == expected => {}
            Ok(_) if done > 0 => break,
            Ok(_) => return Err(Errno::EAGAIN),
            Err(_) => continue,
        }
        let Some(waiter) = bucket.first(from_key).cloned() else { break };
        if waiter.pi_target != Some(to_key) {
            return Err(Errno::EINVAL);
        }
        match pi::attempt(to, to_key, &waiter, true)? {
            Attempt::NotPresent => continue,
            Attempt::Taken => {
                bucket.pop(from_key, |_| true);
                waiter.finish();
            }
            Attempt::Queued => {
                bucket.pop(from_key, |_| true);
            }
        }
        done += 1;
    }
    Ok(done)
}
