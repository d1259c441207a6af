//! Locks.
//!
//! The kernel is preempted only where it says so, so a [`SpinLock`] may be held with interrupts on as long as no interrupt
//! handler takes it. What interrupt handlers touch (run queues, wait queues, timers, pending signals, the heap) is behind an
//! [`IrqLock`]. Only a [`SleepMutex`] may be held over something that can sleep: a page fault, a copy to or from the
//! application, a disk read.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::irq;
use crate::task::wait::WaitQueue;

/// A spin lock for data that no interrupt handler touches.
pub type SpinLock<T> = spin::mutex::SpinMutex<T>;
/// The guard of a [`SpinLock`].
pub type SpinGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T>;

/// A spin lock that keeps interrupts off on this CPU while it is held.
pub struct IrqLock<T: ?Sized>(spin::mutex::SpinMutex<T>);

impl<T> IrqLock<T> {
    /// A new, free lock round `value`.
    pub const fn new(value: T) -> Self {
        Self(spin::mutex::SpinMutex::new(value))
    }

    /// The value of a lock that this CPU holds with its guard forgotten.
    ///
    /// # Safety
    /// As for [`Self::force_unlock`], and no other reference to the value is in use.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn leaked(&self) -> &mut T {
        // SAFETY: this CPU holds the lock, and the caller promises that nothing else refers to the value.
        unsafe { &mut *self.0.as_mut_ptr() }
    }
}

impl<T: Default> Default for IrqLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> IrqLock<T> {
    /// Turns interrupts off and takes the lock.
    pub fn lock(&self) -> IrqGuard<'_, T> {
        let saved = irq::save_and_disable();
        IrqGuard { inner: Some(self.0.lock()), saved }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<IrqGuard<'_, T>> {
        let saved = irq::save_and_disable();
        match self.0.try_lock() {
            Some(guard) => Some(IrqGuard { inner: Some(guard), saved }),
            None => {
                irq::restore(saved);
                None
            }
        }
    }

    /// Frees a lock that this CPU left held across a context switch.
    ///
    /// # Safety
    /// The caller took the lock and forgot its guard; interrupts stay off.
    pub unsafe fn force_unlock(&self) {
        // SAFETY: the caller promises that this CPU holds the lock and that no guard will free it a second time.
        unsafe { self.0.force_unlock() }
    }
}

/// The guard of an [`IrqLock`]; dropping it frees the lock and then restores the interrupt flag.
pub struct IrqGuard<'a, T: ?Sized> {
    inner: Option<SpinGuard<'a, T>>,
    saved: bool,
}

impl<T: ?Sized> Deref for IrqGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.inner {
            Some(guard) => guard,
            None => unreachable!("the guard is taken only by drop"),
        }
    }
}

impl<T: ?Sized> DerefMut for IrqGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.inner {
            Some(guard) => guard,
            None => unreachable!("the guard is taken only by drop"),
        }
    }
}

impl<T: ?Sized> Drop for IrqGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.inner.take());
        irq::restore(self.saved);
    }
}

/// A mutex whose waiters sleep; it may be held over page faults and copies to and from the application.
pub struct SleepMutex<T: ?Sized> {
    held: AtomicBool,
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
        Self { held: AtomicBool::new(false), waiters: WaitQueue::new(), value: UnsafeCell::new(value) }
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

    /// Takes the mutex, asleep until it is free. Signals do not interrupt the wait.
    pub fn lock(&self) -> SleepGuard<'_, T> {
        if let Some(guard) = self.try_lock() {
            return guard;
        }
        crate::task::wait::wait_uninterruptible(&self.waiters, || self.try_lock())
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
