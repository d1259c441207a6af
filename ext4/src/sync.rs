//! A mutex that sleeps, over the kernel's own.

use core::ops::{Deref, DerefMut};
use fs::sync::{SleepGuard, SleepLock};

/// Guards a value over device requests: who waits, sleeps ([`SleepLock`]).
pub(crate) struct Mutex<T> {
    lock: SleepLock,
    /// Only ever taken with `lock` held, so that nobody spins for it.
    value: spin::Mutex<T>,
}

/// Access to the value, until dropped.
pub(crate) struct Guard<'a, T> {
    // Dropped in this order: the value is free when the next one is woken.
    value: spin::MutexGuard<'a, T>,
    _lock: SleepGuard<'a>,
}

impl<T> Mutex<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex { lock: SleepLock::new(), value: spin::Mutex::new(value) }
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let lock = self.lock.lock();
        Guard { value: self.value.lock(), _lock: lock }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
