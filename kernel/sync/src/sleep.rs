//! The mutex that may be held over a sleep.

use crate::cpu::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use crate::cpu::{clock, percpu};
use crate::order::{self, Class};
#[cfg(test)]
use crate::put_back;
use crate::wait::{Ends, WaitError, WaitQueue, wait_for_lock};

/// How often a taken lock is looked at again before the caller sleeps: its holder may be about to
/// free it on another CPU.
const SPINS: u32 = 200;
/// How long those who sleep may be passed by others, in nanoseconds. To hand a lock to a sleeper
/// each time would have all wait until that gets a CPU; under a hypervisor its virtual CPU may
/// itself have to wait for one.
const OVERTAKING_LIMIT_NS: u64 = 4_000_000;

/// When [`sleep_until`] looks at its condition.
pub(crate) enum WaitPhase {
    /// Before the task is in the queue: it leaves the lock to those who wait.
    Unqueued,
    /// In the queue, before the sleep. Now it may leave the lock only to somebody who has it, and
    /// sends for the next one when that is over. A free lock it takes: who freed it may have sent
    /// for this task already, when that was not in the queue yet, or for nobody, and those who wait
    /// beside it may all be about to sleep.
    Queued,
    /// After a wake-up.
    Woken,
}

/// How often to look at a taken lock before the sleep.
pub(crate) fn spins() -> u32 {
    if percpu::online().count_ones() > 1 && !cfg!(test) { SPINS } else { 0 }
}

/// Sleeps in `queue` until `condition` gives something, or the thread is being killed where `ends`
/// says so. Counts.
pub(crate) fn sleep_until<T>(
    queue: &WaitQueue,
    ends: Ends,
    mut condition: impl FnMut(WaitPhase) -> Option<T>,
) -> Result<T, WaitError> {
    percpu::this_cpu().lock_sleeps.fetch_add(1, Ordering::Relaxed);
    let mut next = WaitPhase::Unqueued;
    wait_for_lock(queue, ends, || {
        let after = match next {
            WaitPhase::Unqueued => WaitPhase::Queued,
            _ => WaitPhase::Woken,
        };
        condition(core::mem::replace(&mut next, after))
    })
}

/// Since when somebody has waited for a lock and nobody of those who wait has got it.
pub(crate) struct OvertakingTimer(AtomicU64);

impl OvertakingTimer {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more waits.
    pub fn begin(&self, first: bool) {
        if first {
            self.renew();
        }
    }

    /// One of those who waited has the lock.
    pub fn renew(&self) {
        self.0.store(clock::monotonic_ns(), Ordering::SeqCst);
    }

    /// Whether nobody may pass those who wait any more. Means nothing where nobody waits.
    pub fn is_over(&self) -> bool {
        clock::monotonic_ns().saturating_sub(self.0.load(Ordering::SeqCst)) > OVERTAKING_LIMIT_NS
    }
}

/// A mutex whose waiters sleep; it may be held over page faults and copies to and from the
/// application. Those who come may pass those who wait, but not for longer than
/// [`OVERTAKING_LIMIT_NS`].
pub struct SleepMutex<T: ?Sized> {
    held: AtomicBool,
    waiting: AtomicU32,
    overtaking: OvertakingTimer,
    waiters: WaitQueue,
    class: Class,
    value: UnsafeCell<T>,
}

// SAFETY: `held` admits one guard at a time, so the value is reached by one task at a time.
unsafe impl<T: ?Sized + Send> Send for SleepMutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for SleepMutex<T> {}

impl<T> SleepMutex<T> {
    /// A new, free mutex round `value`.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self {
            held: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            overtaking: OvertakingTimer::new(),
            waiters: WaitQueue::new(),
            class: Class::here(),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized> SleepMutex<T> {
    /// Takes the mutex if it is free.
    pub fn try_lock(&self) -> Option<SleepGuard<'_, T>> {
        self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok().then(|| {
            order::acquired_sleeping(&self.class);
            SleepGuard { mutex: self }
        })
    }

    /// Whether one that has not been sent for may take the mutex; `own` counts it if it waits
    /// itself.
    fn may_pass(&self, own: u32) -> bool {
        self.waiting.load(Ordering::SeqCst) == own || !self.overtaking.is_over()
    }

    /// Takes the mutex, asleep until it is free. Signals do not interrupt the wait: for those whose
    /// holders wait for nobody but the machine itself.
    pub fn lock(&self) -> SleepGuard<'_, T> {
        order::acquire_sleeping(&self.class);
        if let Some(guard) = self.take_at_once() {
            return guard;
        }
        match self.wait(Ends::Never) {
            Ok(guard) => guard,
            Err(_) => unreachable!("no signal ends this wait"),
        }
    }

    /// As [`Self::lock`], unless the thread is being killed first: for those whose holders may wait
    /// for others for long. [`WaitError::Interrupted`] then.
    pub fn lock_killable(&self) -> Result<SleepGuard<'_, T>, WaitError> {
        order::acquire_sleeping(&self.class);
        self.take_at_once().map_or_else(|| self.wait(Ends::Killed), Ok)
    }

    #[inline(always)]
    fn take_at_once(&self) -> Option<SleepGuard<'_, T>> {
        if self.may_pass(0) { self.try_lock() } else { None }
    }

    #[cold]
    fn wait(&self, ends: Ends) -> Result<SleepGuard<'_, T>, WaitError> {
        for _ in 0..spins() {
            if !self.may_pass(0) {
                break;
            }
            if !self.held.load(Ordering::Relaxed)
                && let Some(guard) = self.try_lock()
            {
                return Ok(guard);
            }
            crate::cpu::relax();
        }
        // Counted before the looks that precede the sleep: whoever frees the mutex after those sees
        // that somebody waits.
        self.overtaking.begin(self.waiting.fetch_add(1, Ordering::SeqCst) == 0);
        let guard = sleep_until(&self.waiters, ends, |phase| {
            let passes = match phase {
                WaitPhase::Unqueued => self.may_pass(1),
                WaitPhase::Queued => !self.held.load(Ordering::SeqCst) || self.may_pass(1),
                WaitPhase::Woken => true,
            };
            if passes { self.try_lock() } else { None }
        });
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if guard.is_ok() {
            self.overtaking.renew();
        }
        guard
    }
}

/// The guard of a [`SleepMutex`].
pub struct SleepGuard<'a, T: ?Sized> {
    mutex: &'a SleepMutex<T>,
}

impl<T: ?Sized> Deref for SleepGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: `held` is set by this guard, so no other reference to the value exists.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for SleepGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for SleepGuard<'_, T> {
    fn drop(&mut self) {
        order::release_sleeping(&self.mutex.class);
        #[cfg(test)]
        if put_back::is(put_back::Fault::LookBeforeFree) {
            let somebody = self.mutex.waiting.load(Ordering::SeqCst) != 0;
            self.mutex.held.swap(false, Ordering::SeqCst);
            if somebody {
                self.mutex.waiters.wake_one();
            }
            return;
        }
        self.mutex.held.swap(false, Ordering::SeqCst);
        if self.mutex.waiting.load(Ordering::SeqCst) != 0 {
            self.mutex.waiters.wake_one();
        }
    }
}
