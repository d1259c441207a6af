//! Locks: one that sleeps, for what is held across page allocation, copying to application memory,
//! or a disk; and spinning ones for the rest, under which nothing sleeps. Each has its class in the
//! order of locks ([`lock_order`]).

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

use lock_order::Class;

use crate::platform::platform;

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// A mutual-exclusion lock in four bytes. Uncontended it is one atomic operation; contended it
/// sleeps in [`crate::Platform::wait`]. Not recursive; not for interrupt handlers.
pub struct SleepLock {
    state: AtomicU32,
    class: Class,
}

impl Default for SleepLock {
    #[track_caller]
    fn default() -> SleepLock {
        SleepLock::new()
    }
}

impl SleepLock {
    /// An unlocked lock.
    #[track_caller]
    pub const fn new() -> SleepLock {
        SleepLock { state: AtomicU32::new(FREE), class: Class::here() }
    }

    /// Takes the lock, sleeping while another thread has it.
    pub fn lock(&self) -> SleepGuard<'_> {
        lock_order::acquire_sleeping(&self.class);
        if self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
                platform().wait(&self.state, CONTENDED);
            }
        }
        lock_order::acquired_sleeping(&self.class);
        SleepGuard { lock: self }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<SleepGuard<'_>> {
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).ok()?;
        lock_order::acquired_sleeping(&self.class);
        Some(SleepGuard { lock: self })
    }
}

/// Holds a [`SleepLock`] until dropped.
pub struct SleepGuard<'a> {
    lock: &'a SleepLock,
}

impl Drop for SleepGuard<'_> {
    fn drop(&mut self) {
        lock_order::release_sleeping(&self.lock.class);
        if self.lock.state.swap(FREE, Ordering::Release) == CONTENDED {
            platform().wake(&self.lock.state);
        }
    }
}

/// A spinning lock. Nothing sleeps while it is held, and no interrupt handler takes it.
pub struct Mutex<T> {
    class: Class,
    inner: spin::Mutex<T>,
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> Mutex<T> {
    /// An unlocked lock round `value`.
    #[track_caller]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { class: Class::here(), inner: spin::Mutex::new(value) }
    }

    /// The value, of a lock that nobody else has.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Takes the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, spin::MutexGuard<'_, T>> {
        Guard::new(&self.class, || self.inner.lock())
    }
}

/// A spinning lock under which many may read. Nothing sleeps while it is held, and no interrupt
/// handler takes it.
pub struct RwLock<T> {
    class: Class,
    inner: spin::RwLock<T>,
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> RwLock<T> {
    /// An unlocked lock round `value`.
    #[track_caller]
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { class: Class::here(), inner: spin::RwLock::new(value) }
    }

    /// Takes the lock together with others that read.
    #[inline]
    pub fn read(&self) -> Guard<'_, spin::RwLockReadGuard<'_, T>> {
        Guard::new(&self.class, || self.inner.read())
    }

    /// The value, of a lock that nobody else has.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Takes the lock alone.
    #[inline]
    pub fn write(&self) -> Guard<'_, spin::RwLockWriteGuard<'_, T>> {
        Guard::new(&self.class, || self.inner.write())
    }
}

/// Holds a spinning lock until dropped.
pub struct Guard<'a, G> {
    inner: G,
    class: &'a Class,
}

impl<'a, G> Guard<'a, G> {
    #[inline]
    fn new(class: &'a Class, take: impl FnOnce() -> G) -> Self {
        lock_order::interrupts_may_come(class);
        lock_order::acquire(class);
        Guard { inner: take(), class }
    }
}

impl<G: Deref> Deref for Guard<'_, G> {
    type Target = G::Target;
    #[inline(always)]
    fn deref(&self) -> &G::Target {
        &self.inner
    }
}

impl<G: DerefMut> DerefMut for Guard<'_, G> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.inner
    }
}

impl<G> Drop for Guard<'_, G> {
    #[inline]
    fn drop(&mut self) {
        lock_order::release(self.class);
    }
}
