//! The spin lock that interrupt handlers may take.

use core::ops::{Deref, DerefMut};

use super::spin_lock::{Raw, RawGuard};
use crate::cpu::irq;

/// A spin lock that keeps interrupts off on this CPU while it is held.
pub struct IrqSpinLock<T: ?Sized>(Raw<T>);

impl<T> IrqSpinLock<T> {
    /// A new, free lock round `value`.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self(Raw::new(value))
    }

    /// The value of a lock that this CPU holds with its guard forgotten.
    ///
    /// # Safety
    /// As for [`Self::force_unlock`], and no other reference to the value is in use.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn leaked(&self) -> &mut T {
        // SAFETY: this CPU holds the lock, and the caller promises that nothing else refers to the
        // value.
        unsafe { &mut *self.0.as_mut_ptr() }
    }
}

impl<T: Default> Default for IrqSpinLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> IrqSpinLock<T> {
    /// The value, without the lock.
    ///
    /// # Safety
    /// While the reference lives, nobody who has the lock changes the value.
    #[inline(always)]
    pub unsafe fn peek(&self) -> &T {
        // SAFETY: by the caller.
        unsafe { &*self.0.as_mut_ptr() }
    }

    /// Where the value is, for debuggers.
    pub fn as_ptr(&self) -> *mut T {
        self.0.as_mut_ptr()
    }

    /// Turns interrupts off and takes the lock.
    pub fn lock(&self) -> IrqSpinGuard<'_, T> {
        let saved = irq::save_and_disable();
        IrqSpinGuard { inner: self.0.lock(), interrupts: Restore(saved) }
    }

    /// Whether nobody held the lock at a moment of this call. What its last holder wrote is seen
    /// then.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.0.is_free()
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<IrqSpinGuard<'_, T>> {
        let saved = irq::save_and_disable();
        match self.0.try_lock() {
            Some(guard) => Some(IrqSpinGuard { inner: guard, interrupts: Restore(saved) }),
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
        // SAFETY: the caller promises that this CPU holds the lock and that no guard will free it a
        // second time.
        unsafe { self.0.unlock() }
    }
}

/// The guard of an [`IrqSpinLock`]; dropping it frees the lock and then restores the interrupt
/// flag.
pub struct IrqSpinGuard<'a, T: ?Sized> {
    // Dropped in this order.
    inner: RawGuard<'a, T>,
    interrupts: Restore,
}

impl<T: ?Sized> IrqSpinGuard<'_, T> {
    /// Leaves the lock held and interrupts off, for [`IrqSpinLock::force_unlock`]. Returns whether
    /// interrupts were on.
    #[inline(always)]
    pub fn forget(self) -> bool {
        let interrupts = self.interrupts.0;
        core::mem::forget(self);
        interrupts
    }
}

/// The interrupt flag as it was.
struct Restore(bool);

impl Drop for Restore {
    #[inline(always)]
    fn drop(&mut self) {
        irq::restore(self.0);
    }
}

impl<T: ?Sized> Deref for IrqSpinGuard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for IrqSpinGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
