//! Locks.

use core::ops::{Deref, DerefMut};

use crate::arch::irq;

/// A spin lock for data that no interrupt handler touches.
pub use spin::mutex::SpinMutex as SpinLock;

/// A spin lock that keeps interrupts off while it is held, for data that interrupt handlers touch too.
pub struct IrqLock<T> {
    inner: SpinLock<T>,
}

/// Access to the data of an [`IrqLock`]; puts the interrupt flag back when dropped.
pub struct IrqLockGuard<'a, T> {
    guard: core::mem::ManuallyDrop<spin::mutex::SpinMutexGuard<'a, T>>,
    enabled: bool,
}

impl<T> IrqLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: SpinLock::new(value) }
    }

    /// Turns interrupts off and takes the lock.
    pub fn lock(&self) -> IrqLockGuard<'_, T> {
        let enabled = irq::save_and_disable();
        IrqLockGuard { guard: core::mem::ManuallyDrop::new(self.inner.lock()), enabled }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<IrqLockGuard<'_, T>> {
        let enabled = irq::save_and_disable();
        match self.inner.try_lock() {
            Some(guard) => Some(IrqLockGuard { guard: core::mem::ManuallyDrop::new(guard), enabled }),
            None => {
                irq::restore(enabled);
                None
            }
        }
    }
}

impl<T> Deref for IrqLockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for IrqLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Drop for IrqLockGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: dropped here once, and not used again.
        unsafe { core::mem::ManuallyDrop::drop(&mut self.guard) };
        irq::restore(self.enabled);
    }
}
