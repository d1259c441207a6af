//! Spin locks: one word that anybody may take, and turns by ticket for those who find it taken.

use crate::cpu::atomic::{AtomicBool, AtomicU32, Ordering};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use lock_order::{self as order, Class};

use crate::cpu::{clock, ipi, percpu};

/// A spinning CPU reports a lock that does not come free for so long, in TSC ticks: some seconds.
const STUCK_AFTER: u64 = 30_000_000_000;
/// So long a waiter gives to each of those before it, in TSC ticks: more than a lock is held for,
/// far less than a host takes to run a virtual CPU again that it has put aside.
const TURN_TICKS: u64 = 1 << 15;

/// The lock itself, whatever it does about interrupts.
///
/// Waiters take turns, but no turn is binding. A virtual CPU may wait for one that its host does
/// not run, and if the lock could only go to the next in line, it would stand idle until the host
/// gets to that one, at each handing over. So a free lock is anybody's who comes just then, and a
/// waiter that has been patient with those before it passes them.
pub(super) struct Raw<T: ?Sized> {
    held: AtomicBool,
    /// The ticket that the next waiter draws.
    next: AtomicU32,
    /// Whose turn it is: of the waiters' tickets, all from this one on are still waiting. Changed
    /// by the holder alone.
    turn: AtomicU32,
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
        Self {
            held: AtomicBool::new(false),
            next: AtomicU32::new(0),
            turn: AtomicU32::new(0),
            class: Class::here(),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized> Raw<T> {
    pub fn as_mut_ptr(&self) -> *mut T {
        self.value.get()
    }

    #[inline]
    pub fn lock(&self) -> RawGuard<'_, T> {
        order::acquire(&self.class);
        if self.held.swap(true, Ordering::Acquire) {
            self.wait();
        }
        RawGuard { lock: self }
    }

    /// Whether nobody held the lock at a moment of this call. What its last holder wrote is seen
    /// then.
    #[inline]
    pub fn is_free(&self) -> bool {
        !self.held.load(Ordering::Acquire)
    }

    /// Takes the lock if it is free, after a look that leaves a taken lock's cache line with its
    /// holder.
    #[inline]
    fn take(&self) -> bool {
        !self.held.load(Ordering::Relaxed) && !self.held.swap(true, Ordering::Acquire)
    }

    #[inline]
    pub fn try_lock(&self) -> Option<RawGuard<'_, T>> {
        if !self.take() {
            return None;
        }
        order::acquired_without_wait(&self.class);
        Some(RawGuard { lock: self })
    }

    /// Takes the lock in the order of the waiters, as far as that goes.
    #[cold]
    fn wait(&self) {
        let cpu = percpu::this_cpu();
        cpu.contended.fetch_add(1, Ordering::Relaxed);
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        // How many have their turn before this waiter; none if its turn has come or has passed.
        let before = || u64::try_from(ticket.wrapping_sub(self.turn.load(Ordering::Relaxed)).cast_signed()).unwrap_or(0);
        let begin = clock::tsc();
        let mut reported = false;
        loop {
            let waited = clock::tsc().wrapping_sub(begin);
            if waited >= before() * TURN_TICKS && self.take() {
                break;
            }
            crate::cpu::relax();
            if waited > STUCK_AFTER && !reported {
                reported = true;
                let own = cpu.id.get();
                emergency!("skiff: CPU {own} waits for seconds for a lock ({}); all CPUs:", self.class);
                ipi::show_stacks();
            }
        }
        // Those whom it has passed need not wait for their turn any more.
        let turn = self.turn.load(Ordering::Relaxed);
        if ticket.wrapping_sub(turn).cast_signed() >= 0 {
            self.turn.store(ticket.wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Leaves the lock to whoever takes it first.
    ///
    /// # Safety
    /// The caller holds the lock, and no guard frees it a second time.
    #[inline]
    pub unsafe fn unlock(&self) {
        order::release(&self.class);
        self.held.store(false, Ordering::Release);
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
        // SAFETY: this guard holds the lock, so no other reference to the value exists.
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

/// A spin lock for data that no interrupt handler touches, or none that would wait for it.
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

    /// Takes the lock if it is free. An interrupt handler may do that, too: it never waits for what
    /// it has interrupted.
    #[inline]
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        self.0.try_lock()
    }
}
