//! The queues of waiters.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use syscall_shim::{Errno, SysResult};

use super::Key;
use crate::sync::{IrqGuard, IrqLock};
use crate::task::thread::{Task, state};
use crate::task::wait::Waker;
use crate::task::{current, current_arc, sched};

/// Number of hash buckets.
pub const BUCKETS: usize = 256;

/// One sleeper on one word.
pub struct Waiter {
    /// Who sleeps.
    pub task: Arc<Task>,
    bitset: u32,
    /// Taken off the queue and woken.
    pub woken: AtomicBool,
    /// The bucket that it is in; changed with both buckets locked.
    bucket: AtomicUsize,
    /// `FUTEX_WAIT_REQUEUE_PI`: the lock that it wants to be moved to. Only a requeue to that lock may wake it.
    pub pi_target: Option<Key>,
}

impl Waiter {
    /// The current thread as a waiter, not queued yet.
    pub fn new(bitset: u32, pi_target: Option<Key>) -> Arc<Self> {
        Arc::new(Self { task: current_arc(), bitset, woken: AtomicBool::new(false), bucket: AtomicUsize::new(0), pi_target })
    }

    /// The current thread as a waiter for a word alone: the one of its last wait if nobody has that any more.
    pub fn reuse(bitset: u32) -> Arc<Self> {
        let mut kept = current().futex_waiter.lock().take();
        if let Some(waiter) = kept.as_mut().and_then(Arc::get_mut) {
            waiter.bitset = bitset;
            *waiter.woken.get_mut() = false;
        } else {
            kept = None;
        }
        kept.unwrap_or_else(|| Self::new(bitset, None))
    }

    /// Leaves it for [`Self::reuse`].
    pub fn keep(self: Arc<Self>) {
        *current().futex_waiter.lock() = Some(self);
    }

    /// Marks it as woken and makes its task run. It is off its queue already.
    pub fn finish(&self) {
        self.woken.store(true, Ordering::Release);
        sched::wake(&self.task, state::INTERRUPTIBLE);
    }
}

/// The alarm of a time-out, and a change of the time of day, only make the task look again.
impl Waker for Waiter {
    fn wake(&self, _key: u32) -> bool {
        sched::wake(&self.task, state::INTERRUPTIBLE)
    }
}

struct Entry {
    key: Key,
    waiter: Arc<Waiter>,
}

/// One bucket: waiters in order of arrival.
#[derive(Default)]
pub struct Bucket(VecDeque<Entry>);

static TABLE: [IrqLock<Bucket>; BUCKETS] = [const { IrqLock::new(Bucket(VecDeque::new())) }; BUCKETS];

/// Locks the bucket of `key`.
pub fn lock(key: Key) -> IrqGuard<'static, Bucket> {
    TABLE[key.bucket()].lock()
}

impl Bucket {
    /// Queues a waiter.
    pub fn push(&mut self, key: Key, waiter: Arc<Waiter>) {
        waiter.bucket.store(key.bucket(), Ordering::Release);
        self.0.push_back(Entry { key, waiter });
    }

    /// Takes out the first waiter of `key` that `filter` accepts.
    pub fn pop(&mut self, key: Key, mut filter: impl FnMut(&Waiter) -> bool) -> Option<Arc<Waiter>> {
        // Nearly always it is the first, if there is one.
        let first = self.0.front()?;
        if first.key == key && filter(&first.waiter) {
            // Alone it may as well be taken from the end, which is less work.
            let entry = if self.0.len() == 1 { self.0.pop_back() } else { self.0.pop_front() };
            return entry.map(|e| e.waiter);
        }
        let at = self.0.iter().position(|e| e.key == key && filter(&e.waiter))?;
        self.0.remove(at).map(|e| e.waiter)
    }

    /// The first waiter of `key`.
    pub fn first(&self, key: Key) -> Option<&Arc<Waiter>> {
        self.0.iter().find(|e| e.key == key).map(|e| &e.waiter)
    }

    /// Wakes up to `count` waiters of `key` whose bits meet `bitset`; returns how many. `EINVAL` for waiters that a requeue to
    /// their lock must wake.
    pub fn wake(&mut self, key: Key, count: usize, bitset: u32) -> SysResult {
        let mut woken = 0;
        while woken < count {
            let Some(waiter) = self.pop(key, |w| w.bitset & bitset != 0) else { break };
            if waiter.pi_target.is_some() {
                self.0.push_front(Entry { key, waiter });
                return Err(Errno::EINVAL);
            }
            waiter.finish();
            woken += 1;
        }
        Ok(woken)
    }
}

/// Takes a waiter off whichever queue it is on. Returns whether it was on one: if not, it was woken.
pub fn unqueue(waiter: &Arc<Waiter>) -> bool {
    loop {
        let index = waiter.bucket.load(Ordering::Acquire);
        let Some(bucket) = TABLE.get(index) else { return false };
        let mut bucket = bucket.lock();
        if waiter.bucket.load(Ordering::Acquire) != index {
            // Moved to another word meanwhile.
            continue;
        }
        let at = bucket.0.iter().position(|e| Arc::ptr_eq(&e.waiter, waiter));
        let entry = at.and_then(|at| bucket.0.remove(at));
        return entry.is_some();
    }
}

/// The buckets of two words, both locked.
pub struct Pair {
    // Freed in this order: the lock taken last restores the interrupt flag first.
    high: Option<IrqGuard<'static, Bucket>>,
    low: IrqGuard<'static, Bucket>,
    low_index: usize,
}

impl Pair {
    /// Locks the buckets of `a` and `b`.
    pub fn lock(a: Key, b: Key) -> Self {
        let (low, high) = (a.bucket().min(b.bucket()), a.bucket().max(b.bucket()));
        let low_guard = TABLE[low].lock();
        let high_guard = (high != low).then(|| TABLE[high].lock());
        Self { high: high_guard, low: low_guard, low_index: low }
    }

    /// The bucket of one of the two keys.
    pub fn of(&mut self, key: Key) -> &mut Bucket {
        match &mut self.high {
            Some(high) if key.bucket() != self.low_index => high,
            _ => &mut self.low,
        }
    }
}
