//! `FUTEX_REQUEUE`, `FUTEX_CMP_REQUEUE`: wake some waiters and move others to a second word.

use syscall_shim::{Errno, SysResult};

use super::Key;
use super::bucket::Pair;
use usermem::{self, UserAddr};

/// Wakes up to `wake` waiters of `from` and moves up to `requeue` others to `to`; returns how many
/// of both. With `expected`, only if the word at `from` has that value: else `EAGAIN`.
pub fn requeue(from: (UserAddr, bool), to: (UserAddr, bool), wake: i32, requeue: i32, expected: Option<u32>) -> SysResult {
    let (Ok(wake), Ok(requeue)) = (usize::try_from(wake), usize::try_from(requeue)) else {
        return Err(Errno::EINVAL);
    };
    let (from_key, to_key) = (Key::new(from.0, from.1)?, Key::new(to.0, to.1)?);
    let mut pair = loop {
        let pair = Pair::lock(from_key, to_key);
        let Some(expected) = expected else { break pair };
        match usermem::load_u32_nofault(from.0) {
            Ok(value) if value == expected => break pair,
            Ok(_) => return Err(Errno::EAGAIN),
            Err(_) => {
                drop(pair);
                usermem::load_u32(from.0)?;
            }
        }
    };
    let mut woken = 0;
    let mut moved = alloc::vec::Vec::new();
    while woken + moved.len() < wake.saturating_add(requeue) {
        let bucket = pair.of(from_key);
        if bucket.first(from_key).is_some_and(|w| w.pi_target.is_some()) {
            return Err(Errno::EINVAL);
        }
        let Some(waiter) = bucket.pop(from_key, |_| true) else { break };
        if woken < wake {
            waiter.finish();
            woken += 1;
        } else {
            moved.push(waiter);
        }
    }
    let total = woken + moved.len();
    for waiter in moved {
        pair.of(to_key).push(to_key, waiter);
    }
    Ok(total)
}
