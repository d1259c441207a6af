//! futex_waitv(2): waiting for one of several words.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::MATCH_ANY;
use super::bucket::{self, Waiter};
use super::wait::{Timeout, queue_if_equal, sleep};
use crate::wait::WaitError;
use usermem::UserAddr;

/// One word to wait for.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Where it is.
    pub addr: UserAddr,
    /// Nobody outside the process uses it.
    pub private: bool,
    /// The value that it must have.
    pub expected: u32,
}

/// Sleeps until one of `words` is woken, and returns its index. `EAGAIN` if one has not its
/// expected value.
pub fn wait_any(words: &[Word], timeout: Option<&Timeout>) -> SysResult {
    let mut waiters: Vec<Arc<Waiter>> = Vec::new();
    for word in words {
        let waiter = Waiter::new(MATCH_ANY, None);
        if let Err(errno) = queue_if_equal(word.addr, word.private, word.expected, &waiter) {
            // One that was woken meanwhile counts, as its waker thinks it did.
            return leave(&waiters).ok_or(errno);
        }
        waiters.push(waiter);
    }
    let Some(first) = waiters.first() else { return Err(Errno::EINVAL) };
    let any_woken = || waiters.iter().any(|w| w.woken.load(Ordering::Acquire));
    let slept = sleep(first, timeout, any_woken);
    let woken = leave(&waiters);
    match (woken, slept) {
        (Some(index), _) => Ok(index),
        (None, Err(WaitError::TimedOut)) => Err(Errno::ETIMEDOUT),
        (None, _) => Err(Errno::ERESTARTSYS),
    }
}

/// Takes all off their queues; the index of the last that had been woken.
fn leave(waiters: &[Arc<Waiter>]) -> Option<usize> {
    let mut woken = None;
    for (index, waiter) in waiters.iter().enumerate() {
        if !bucket::unqueue(waiter) {
            woken = Some(index);
        }
    }
    woken
}
