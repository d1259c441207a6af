//! The queues of waiters.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};

use syscall_shim::{Errno, SysResult};

use super::Key;
use crate::thread::{Task, state};
use crate::wait::Waker;
use crate::{current, current_arc, sched};
use sync::{IrqSpinGuard, IrqSpinLock};

/// Number of hash buckets.
pub const BUCKETS: usize = 256;

/// One sleeper on one word.
pub struct Waiter {
    /// Who sleeps.
    pub task: Arc<Task>,
    /// Changed while it is not queued.
    bitset: AtomicU32,
    /// Taken off the queue and woken.
    pub woken: AtomicBool,
    /// The bucket that it is in; changed with both buckets locked.
    bucket: AtomicUsize,
    /// `FUTEX_WAIT_REQUEUE_PI`: the lock that it wants to be moved to. Only a requeue to that lock
    /// may wake it.
    pub pi_target: Option<Key>,
}

impl Waiter {
    /// The current thread as a waiter, not queued yet.
    pub fn new(bitset: u32, pi_target: Option<Key>) -> Arc<Self> {
        let (bitset, woken) = (AtomicU32::new(bitset), AtomicBool::new(false));
        Arc::new(Self { task: current_arc(), bitset, woken, bucket: AtomicUsize::new(0), pi_target })
    }

    /// The current thread as a waiter for a word alone, always the same one. Who woke it in an
    /// earlier wait may only now come to wake the task, which then finds that it is not woken and
    /// sleeps on.
    #[inline(always)]
    pub fn own(bitset: u32) -> Arc<Self> {
        let mut own = current().futex_waiter.lock();
        let waiter = match &*own {
            Some(waiter) => waiter,
            None => own.insert(Self::new(bitset, None)),
        };
        waiter.bitset.store(bitset, Ordering::Relaxed);
        waiter.woken.store(false, Ordering::Relaxed);
        waiter.clone()
    }

    /// Marks it as woken and makes its task run. It is off its queue already.
    #[inline(always)]
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
pub struct Bucket(VecDeque<Entry>);

/// A bucket, and how many wait in it, which is stored with the bucket locked.
struct Slot {
    waiting: AtomicUsize,
    bucket: IrqSpinLock<Bucket>,
}

static TABLE: [Slot; BUCKETS] =
    [const { Slot { waiting: AtomicUsize::new(0), bucket: IrqSpinLock::new(Bucket(VecDeque::new())) } }; BUCKETS];

/// Locks the bucket of `key`.
#[inline(always)]
pub fn lock(key: Key) -> IrqSpinGuard<'static, Bucket> {
    TABLE[key.bucket()].bucket.lock()
}

/// Whether nobody waits for the word that a wake-up, which would find its value changed, is for;
/// told without the lock.
///
/// A waiter takes the lock by an instruction that is a full barrier (SDM 3A, 9.2.3.9), and reads
/// the word after that. If it read the old value, the caller, which fences behind the program's
/// change of the word, sees the lock taken, or freed again by the waiter, whose place in the queue
/// is seen then too.
#[inline(always)]
pub fn nobody_waits(key: Key) -> bool {
    let slot = &TABLE[key.bucket()];
    fence(Ordering::SeqCst);
    slot.bucket.is_free() && slot.waiting.load(Ordering::Relaxed) == 0
}

impl Bucket {
    /// Queues a waiter.
    #[inline]
    pub fn push(&mut self, key: Key, waiter: Arc<Waiter>) {
        let index = key.bucket();
        waiter.bucket.store(index, Ordering::Release);
        self.0.push_back(Entry { key, waiter });
        self.publish(index);
    }

    /// Lets wakers see without the lock how many wait. This bucket's index is `index`.
    #[inline(always)]
    fn publish(&self, index: usize) {
        TABLE[index].waiting.store(self.0.len(), Ordering::Relaxed);
    }

    /// Takes out the first waiter of `key` that `filter` accepts.
    #[inline(always)]
    pub fn pop(&mut self, key: Key, mut filter: impl FnMut(&Waiter) -> bool) -> Option<Arc<Waiter>> {
        // Nearly always it is the first, if there is one.
        let first = self.0.front()?;
        let entry = if first.key == key && filter(&first.waiter) {
            self.0.pop_front()
        } else {
            let at = self.0.iter().position(|e| e.key == key && filter(&e.waiter))?;
            self.0.remove(at)
        };
        self.publish(key.bucket());
        entry.map(|e| e.waiter)
    }

    /// The first waiter of `key`.
    pub fn first(&self, key: Key) -> Option<&Arc<Waiter>> {
        self.0.iter().find(|e| e.key == key).map(|e| &e.waiter)
    }

    /// Wakes up to `count` waiters of `key` whose bits meet `bitset`; returns how many. `EINVAL`
    /// for waiters that a requeue to their lock must wake.
    #[inline(always)]
    pub fn wake(&mut self, key: Key, count: usize, bitset: u32) -> SysResult {
        let mut woken = 0;
        while woken < count && !self.0.is_empty() {
            let Some(waiter) = self.pop(key, |w| w.bitset.load(Ordering::Relaxed) & bitset != 0) else { break };
            if waiter.pi_target.is_some() {
                self.0.push_front(Entry { key, waiter });
                self.publish(key.bucket());
                return Err(Errno::EINVAL);
            }
            waiter.finish();
            woken += 1;
        }
        Ok(woken)
    }
}

/// Takes a waiter off whichever queue it is on. Returns whether it was on one: if not, it was
/// woken.
pub fn unqueue(waiter: &Arc<Waiter>) -> bool {
    loop {
        let index = waiter.bucket.load(Ordering::Acquire);
        let Some(slot) = TABLE.get(index) else { return false };
        let mut bucket = slot.bucket.lock();
        if waiter.bucket.load(Ordering::Acquire) != index {
            // Moved to another word meanwhile.
            continue;
        }
        let at = bucket.0.iter().position(|e| Arc::ptr_eq(&e.waiter, waiter));
        let entry = at.and_then(|at| bucket.0.remove(at));
        bucket.publish(index);
        return entry.is_some();
    }
}

/// The buckets of two words, both locked.
pub struct Pair {
    // Freed in this order: the lock taken last restores the interrupt flag first.
    high: Option<IrqSpinGuard<'static, Bucket>>,
    low: IrqSpinGuard<'static, Bucket>,
    low_index: usize,
}

impl Pair {
    /// Locks the buckets of `a` and `b`.
    pub fn lock(a: Key, b: Key) -> Self {
        let (low, high) = (a.bucket().min(b.bucket()), a.bucket().max(b.bucket()));
        let low_guard = TABLE[low].bucket.lock();
        let high_guard = (high != low).then(|| TABLE[high].bucket.lock());
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
