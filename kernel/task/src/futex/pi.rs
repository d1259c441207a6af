//! Locks with priority inheritance (futex(2), "Priority-inheritance futexes"): the word holds the
//! owner's thread id, and an unlock hands it to the first waiter. Waiters with a real-time priority
//! come before others.
//!
//! The owner's own priority is not raised meanwhile: with one CPU per run queue and no real-time
//! throttling a waiter of higher priority is asleep, so only threads of a priority in between could
//! keep the owner from running.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::bucket::Waiter;
use super::wait::{Timeout, sleep};
use super::{Key, MATCH_ANY, OWNER_DIED, TID_MASK, WAITERS};
use crate::thread::Task;
use crate::wait::WaitError;
use crate::{current, table};
use litemap::LiteMap;
use sync::IrqSpinLock;
use usermem::{self, UserAddr};

/// A contended lock: it has waiters.
struct Lock {
    owner: u32,
    /// In the order in which they will get it.
    waiters: Vec<Arc<Waiter>>,
}

/// The contended locks, and which of them each sleeping thread waits for.
struct Table {
    locks: LiteMap<Key, Lock>,
    waits_for: LiteMap<u32, Key>,
}

static TABLE: IrqSpinLock<Table> = IrqSpinLock::new(Table { locks: LiteMap::new_vec(), waits_for: LiteMap::new_vec() });

/// Real-time priority, 0 for other policies.
fn priority(task: &Task) -> u32 {
    const SCHED_FIFO: u32 = 1;
    const SCHED_RR: u32 = 2;
    let params = task.sched.get();
    if matches!(params.policy, SCHED_FIFO | SCHED_RR) { params.rt_priority } else { 0 }
}

fn tid(task: &Task) -> u32 {
    task.tid() as u32
}

impl Table {
    fn enqueue(&mut self, key: Key, owner: u32, waiter: &Arc<Waiter>) {
        let lock = self.locks.entry(key).or_insert(Lock { owner, waiters: Vec::new() });
        let rank = priority(&waiter.task);
        let at = lock.waiters.iter().position(|w| priority(&w.task) < rank).unwrap_or(lock.waiters.len());
        lock.waiters.insert(at, waiter.clone());
        self.waits_for.insert(tid(&waiter.task), key);
    }

    /// Takes a waiter out; whether it still waited.
    fn dequeue(&mut self, key: Key, waiter: &Arc<Waiter>) -> bool {
        let Some(lock) = self.locks.get_mut(&key) else { return false };
        let Some(at) = lock.waiters.iter().position(|w| Arc::ptr_eq(w, waiter)) else { return false };
        lock.waiters.remove(at);
        if lock.waiters.is_empty() {
            self.locks.remove(&key);
        }
        self.waits_for.remove(&tid(&waiter.task));
        true
    }

    /// Makes the first waiter the owner, and returns it and whether others wait on.
    fn hand_over(&mut self, key: Key) -> Option<(Arc<Waiter>, bool)> {
        let lock = self.locks.get_mut(&key)?;
        if lock.waiters.is_empty() {
            return None;
        }
        let next = lock.waiters.remove(0);
        lock.owner = tid(&next.task);
        let more = !lock.waiters.is_empty();
        if !more {
            self.locks.remove(&key);
        }
        self.waits_for.remove(&tid(&next.task));
        Some((next, more))
    }

    /// Whether `me` waiting for a lock of `owner` would close a circle.
    fn deadlocks(&self, me: u32, mut owner: u32) -> bool {
        // A chain longer than there are waiting threads is a circle without `me`.
        for _ in 0..=self.waits_for.len() {
            if owner == me {
                return true;
            }
            let Some(lock) = self.waits_for.get(&owner).and_then(|key| self.locks.get(key)) else { return false };
            owner = lock.owner;
        }
        false
    }
}

/// What one look at the lock came to.
pub(super) enum Attempt {
    /// The thread has the lock.
    Taken,
    /// The thread waits for it.
    Queued,
    /// The word's page has to be brought in.
    NotPresent,
}

/// Takes the lock at `addr` for `waiter`'s thread, or queues it. `EDEADLK`, `ESRCH` when the owner
/// does not exist, `EAGAIN` when it is taken and `queue` is not set.
pub(super) fn attempt(addr: UserAddr, key: Key, waiter: &Arc<Waiter>, queue: bool) -> SysResult<Attempt> {
    let me = tid(&waiter.task);
    let mut table = TABLE.lock();
    let Ok(mut value) = usermem::load_u32_nofault(addr) else { return Ok(Attempt::NotPresent) };
    loop {
        let owner = value & TID_MASK;
        if owner == me {
            return Err(Errno::EDEADLK);
        }
        let waited_for = table.locks.contains_key(&key);
        let new = if owner == 0 && !waited_for {
            me | value & OWNER_DIED
        } else {
            if table.deadlocks(me, owner) {
                return Err(Errno::EDEADLK);
            }
            if !queue {
                return Err(Errno::EAGAIN);
            }
            value | WAITERS
        };
        match usermem::compare_exchange_u32_nofault(addr, value, new) {
            Ok(seen) if seen != value => value = seen,
            Ok(_) if new & TID_MASK == me => return Ok(Attempt::Taken),
            Ok(_) => {
                table.enqueue(key, owner, waiter);
                return Ok(Attempt::Queued);
            }
            Err(_) => return Ok(Attempt::NotPresent),
        }
    }
}

/// `FUTEX_LOCK_PI`, `FUTEX_LOCK_PI2`, and with `wait` unset `FUTEX_TRYLOCK_PI`.
pub fn lock(addr: UserAddr, private: bool, wait: bool, timeout: Option<&Timeout>) -> SysResult {
    let key = Key::new(addr, private)?;
    let waiter = Waiter::new(MATCH_ANY, None);
    loop {
        usermem::fault_in_u32_writable(addr)?;
        let owner = usermem::load_u32(addr)? & TID_MASK;
        // An owner that has ended without a robust list never unlocks. (The word may have changed
        // meanwhile: look again.)
        if owner != 0 && table::task(owner as i32).is_none() && !TABLE.lock().locks.contains_key(&key) {
            if usermem::load_u32(addr)? & TID_MASK == owner {
                return Err(Errno::ESRCH);
            }
            continue;
        }
        match attempt(addr, key, &waiter, wait)? {
            Attempt::Taken => return Ok(0),
            Attempt::NotPresent => continue,
            Attempt::Queued => return wait_for(addr, key, &waiter, timeout),
        }
    }
}

/// Sleeps until the lock is handed over.
pub(super) fn wait_for(addr: UserAddr, key: Key, waiter: &Arc<Waiter>, timeout: Option<&Timeout>) -> SysResult {
    let slept = sleep(waiter, timeout, || waiter.woken.load(Ordering::Acquire));
    if slept.is_err() && TABLE.lock().dequeue(key, waiter) {
        return Err(if slept == Err(WaitError::TimedOut) { Errno::ETIMEDOUT } else { Errno::ERESTARTNOINTR });
    }
    own(addr, key)?;
    Ok(0)
}

/// Makes sure that the word says what the table says: an owner that died could not write its
/// successor's id.
fn own(addr: UserAddr, key: Key) -> SysResult<()> {
    let me = tid(current());
    let mut value = usermem::load_u32(addr)?;
    while value & TID_MASK != me {
        let waiters = if TABLE.lock().locks.contains_key(&key) { WAITERS } else { 0 };
        let seen = usermem::compare_exchange_u32(addr, value, me | value & OWNER_DIED | waiters)?;
        if seen == value {
            break;
        }
        value = seen;
    }
    Ok(())
}

/// `FUTEX_UNLOCK_PI`. `EPERM` for a thread that is not the owner.
pub fn unlock(addr: UserAddr, private: bool) -> SysResult {
    let me = tid(current());
    // As in Linux before it is asked whether there can be a lock here.
    if addr.cast::<u32>().read()? & TID_MASK != me {
        return Err(Errno::EPERM);
    }
    let key = Key::new(addr, private)?;
    loop {
        usermem::fault_in_u32_writable(addr)?;
        let mut table = TABLE.lock();
        let Ok(value) = usermem::load_u32_nofault(addr) else { continue };
        if value & TID_MASK != me {
            return Err(Errno::EPERM);
        }
        let next = table.locks.get(&key).and_then(|lock| lock.waiters.first()).map(|w| tid(&w.task));
        let more = table.locks.get(&key).is_some_and(|lock| lock.waiters.len() > 1);
        let new = next.map_or(0, |next| next | if more { WAITERS } else { 0 });
        if usermem::compare_exchange_u32_nofault(addr, value, new) != Ok(value) {
            continue;
        }
        if let Some((next, _)) = table.hand_over(key) {
            next.finish();
        }
        return Ok(0);
    }
}

/// The thread ends: its contended locks go to their first waiters, who find `FUTEX_OWNER_DIED` in
/// the word where the lock was robust.
pub fn exit(task: &Task) {
    let me = tid(task);
    let mut table = TABLE.lock();
    let owned: Vec<Key> = table.locks.iter().filter(|(_, lock)| lock.owner == me).map(|(key, _)| *key).collect();
    for key in owned {
        if let Some((next, _)) = table.hand_over(key) {
            next.finish();
        }
    }
}
