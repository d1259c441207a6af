//! Futexes (futex(2)): threads that wait for a word in memory to change.
//!
//! A word is named by a [`Key`], the same for all who can reach it. Waiters queue in hash buckets.
//! The word is read with the bucket locked, so a wake-up that follows a change of the word finds
//! whoever read the old value; because nothing may sleep with the bucket locked, the page is
//! brought in beforehand, and again if it went away in between.
//!
//! Bucket locks are taken in the order of their indices, then the priority-inheritance table's
//! (`pi`), then a run queue's.

mod bucket;
pub mod pi;
mod requeue;
mod requeue_pi;
mod robust;
mod wait;
pub mod waitv;
mod wake_op;

use syscall_shim::{Errno, SysResult};

use super::current;
pub use bucket::Waiter;
pub use requeue::requeue;
pub use requeue_pi::{requeue_pi, wait_requeue_pi};
pub use robust::exit_robust_list;
use usermem::{self, UserAddr};
pub use wait::{Timeout, wait, wait_for_good};
pub use wake_op::wake_op;

/// `FUTEX_BITSET_MATCH_ANY`.
pub const MATCH_ANY: u32 = u32::MAX;
/// The owner's thread id within a lock word.
pub const TID_MASK: u32 = 0x3fff_ffff;
/// Somebody waits for the lock.
pub const WAITERS: u32 = 0x8000_0000;
/// The owner ended without unlocking.
pub const OWNER_DIED: u32 = 0x4000_0000;

/// What names a futex word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The address space or, with the lowest bit set, the shared memory. Both are told by where the
    /// kernel keeps them, which is aligned. The second bit is for private memory by a call that
    /// does not say so.
    whose: usize,
    /// Address or offset in it.
    place: u64,
}

impl Key {
    /// The key of the word at `addr`; `private` if the program promises that nobody outside the
    /// process uses it. `EINVAL` if it is not aligned, `EFAULT` if nothing can be there.
    #[inline(always)]
    pub fn new(addr: UserAddr, private: bool) -> SysResult<Self> {
        if !addr.0.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if !addr.range_ok(4) {
            return Err(Errno::EFAULT);
        }
        let own = Self { whose: current().process.space(), place: addr.0 };
        if private { Ok(own) } else { own.or_shared() }
    }

    /// The key of the same word if it lies in shared memory.
    #[inline(never)]
    fn or_shared(self) -> SysResult<Self> {
        // What names it is its page, which must be there, and must be one that can change.
        usermem::load_u32(UserAddr(self.place))?;
        let shared = current().process.mm().shared_futex_key(self.place)?;
        // Private memory too is asked for apart from what is promised to be private
        // (`FUT_OFF_MMSHARED`).
        let own = Self { whose: self.whose | 2, ..self };
        Ok(shared.map_or(own, |(object, offset)| Self { whose: object | 1, place: offset }))
    }

    /// The bucket that its waiters are in. Keys are addresses, and a program that makes them
    /// collide slows only itself.
    #[inline(always)]
    fn bucket(&self) -> usize {
        /// 2^64 divided by the golden ratio: it spreads neighbours over the highest bits (Knuth,
        /// TAOCP 6.4).
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (self.whose as u64).rotate_left(32) ^ self.place;
        (mixed.wrapping_mul(SPREAD) >> 32) as usize % bucket::BUCKETS
    }
}

/// Wakes up to `count` waiters (at least one, as Linux does) of the word at `addr` whose bits meet
/// `bitset`. Returns how many.
pub fn wake(addr: UserAddr, private: bool, count: u32, bitset: u32) -> SysResult {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = Key::new(addr, private)?;
    if bucket::nobody_waits(key) {
        return Ok(0);
    }
    bucket::lock(key).wake(key, count.max(1) as usize, bitset)
}

/// Wakes up to `count` of those who wait for the word at `addr` as for one that may be shared: so
/// the kernel tells of a thread's end.
pub fn wake_address(addr: UserAddr, count: u32) {
    // A bad address is the program's own doing: nobody can wait there.
    let _ = wake(addr, false, count, MATCH_ANY);
}
