//! The mutex that may be held over a sleep.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::order;
use crate::task::wait::WaitQueue;

/// How often a taken mutex is looked at again before the caller sleeps: its holder may be about to free it on another CPU.
const SPINS: u32 = 200;

/// A mutex whose waiters sleep; it may be held over page faults and copies to and from the application.
pub struct SleepMutex<T: ?Sized> {
    held: AtomicBool,
    /// Waiters that were woken in vain.
    starving: AtomicU32,
    waiters: WaitQueue,
    value: UnsafeCell<T>,
}

// SAFETY: `held` admits one guard at a time, so the value is reached by one task at a time.
unsafe impl<T: ?Sized + Send> Send for SleepMutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for SleepMutex<T> {}

impl<T> SleepMutex<T> {
    /// A new, free mutex round `value`.
    pub const fn new(value: T) -> Self {
        Self {
            held: AtomicBool::new(false),
            starving: AtomicU32::new(0),
            waiters: WaitQueue::new(),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized> SleepMutex<T> {
    /// Takes the mutex if it is free.
    pub fn try_lock(&self) -> Option<SleepGuard<'_, T>> {
        self.held
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| SleepGuard { mutex: self })
    }

    /// Takes the mutex, asleep until it is free. Signals do not interrupt the wait. A waiter that was woken and came too late all
    /// the same has the next turn: those who come later queue up behind it, or threads that keep their CPU would keep the
    /// mutex too.
    pub fn lock(&self) -> SleepGuard<'_, T> {
        order::may_sleep();
        let spins = if crate::task::sched::online_cpus().count_ones() > 1 { SPINS } else { 0 };
        for spin in 0..=spins {
            if self.starving.load(Ordering::SeqCst) != 0 {
                break;
            }
            if !self.held.load(Ordering::Relaxed)
                && let Some(guard) = self.try_lock()
            {
                return guard;
            }
            if spin < spins {
                core::hint::spin_loop();
            }
        }
        self.wait()
    }

    #[cold]
    fn wait(&self) -> SleepGuard<'_, T> {
        /// Looks before this task is in the queue, and in it before it sleeps.
        const BEFORE_SLEEP: u32 = 2;
        let (mut looks, mut starves) = (0, false);
        let guard = crate::task::wait::wait_uninterruptible(&self.waiters, || {
            looks += 1;
            // Whoever starves gets the mutex and frees it later, which wakes the next one in the queue.
            if looks > BEFORE_SLEEP || self.starving.load(Ordering::SeqCst) == 0 {
                let guard = self.try_lock();
                if guard.is_some() {
                    return guard;
                }
            }
            if looks > BEFORE_SLEEP && !starves {
                starves = true;
                self.starving.fetch_add(1, Ordering::SeqCst);
            }
            None
        });
        if starves {
            self.starving.fetch_sub(1, Ordering::SeqCst);
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
        self.mutex.held.store(false, Ordering::Release);
        self.mutex.waiters.wake_one();
    }
}
