//! Ticket locks: who comes first is served first.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

use super::order::{self, Class};
use crate::arch::{clock, ipi, percpu};

/// A spinning CPU reports a lock that does not come free for so long, in TSC ticks: some seconds.
const STUCK_AFTER: u64 = 30_000_000_000;
/// How often it spins between looks at the clock.
const SPINS_PER_LOOK: u32 = 1 << 12;

/// The lock itself, whatever it does about interrupts.
pub(super) struct Raw<T: ?Sized> {
    /// The ticket that the next comer draws.
    next: AtomicU32,
    /// The ticket that is served.
    serving: AtomicU32,
    class: Class,
    value: UnsafeCell<T>,
}

// SAFETY: one guard exists at a time, so the value is reached by one CPU at a time.
unsafe impl<T: ?Sized + Send> Send for Raw<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Raw<T> {}

impl<T> Raw<T> {
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self { next: AtomicU32::new(0), serving: AtomicU32::new(0), class: Class::here(), value: UnsafeCell::new(value) }
    }
}

impl<T: ?Sized> Raw<T> {
    pub fn as_mut_ptr(&self) -> *mut T {
        self.value.get()
    }

    #[inline]
    pub fn lock(&self) -> RawGuard<'_, T> {
        order::acquire(&self.class);
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if self.serving.load(Ordering::Acquire) != ticket {
            self.wait(ticket);
        }
        RawGuard { lock: self }
    }

    /// Whether nobody held or waited for the lock at a moment of this call. What its last holder wrote is seen then.
    #[inline]
    pub fn is_free(&self) -> bool {
        // In this order: tickets are drawn before they are served.
        let serving = self.serving.load(Ordering::Acquire);
        self.next.load(Ordering::Relaxed) == serving
    }

    #[inline]
    pub fn try_lock(&self) -> Option<RawGuard<'_, T>> {
        let serving = self.serving.load(Ordering::Relaxed);
        self.next.compare_exchange(serving, serving.wrapping_add(1), Ordering::Acquire, Ordering::Relaxed).ok()?;
        order::acquired_without_wait(&self.class);
        Some(RawGuard { lock: self })
    }

    #[cold]
    fn wait(&self, ticket: u32) {
        percpu::this_cpu().contended.fetch_add(1, Ordering::Relaxed);
        let begin = clock::tsc();
        let mut reported = false;
        let mut spins = 0u32;
        while self.serving.load(Ordering::Acquire) != ticket {
            core::hint::spin_loop();
            spins = spins.wrapping_add(1);
            if spins.is_multiple_of(SPINS_PER_LOOK) && !reported && clock::tsc().wrapping_sub(begin) > STUCK_AFTER {
                reported = true;
                let own = percpu::this_cpu().id.get();
                emergency!("skiff: CPU {own} waits for seconds for a lock ({}); all CPUs:", self.class);
                ipi::show_stacks();
            }
        }
    }

    /// Serves the next ticket.
    ///
    /// # Safety
    /// The caller holds the lock, and no guard frees it a second time.
    #[inline]
    pub unsafe fn unlock(&self) {
        order::release(&self.class);
        self.serving.store(self.serving.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
}

/// Whoever has this has the lock.
pub struct RawGuard<'a, T: ?Sized> {
    lock: &'a Raw<T>,
}

impl<T: ?Sized> Deref for RawGuard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this guard's ticket is served, so no other reference to the value exists.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RawGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RawGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard holds the lock, and is gone after this.
        unsafe { self.lock.unlock() };
    }
}

/// A spin lock for data that no interrupt handler touches.
pub struct SpinLock<T: ?Sized>(Raw<T>);

/// The guard of a [`SpinLock`].
pub type SpinGuard<'a, T> = RawGuard<'a, T>;

impl<T> SpinLock<T> {
    /// A new, free lock round `value`.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self(Raw::new(value))
    }
}

impl<T: Default> Default for SpinLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// The value, without the lock.
    ///
    /// # Safety
    /// While the reference lives, nobody who has the lock changes the value.
    #[inline(always)]
    pub unsafe fn peek(&self) -> &T {
        // SAFETY: by the caller.
        unsafe { &*self.0.as_mut_ptr() }
    }

    /// Takes the lock.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_, T> {
        order::interrupts_may_come(&self.0.class);
        self.0.lock()
    }
}
