//! A lock that sleeps, for what is held across page allocation, copying to application memory, or a disk.

use crate::platform::platform;
use core::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// A mutual-exclusion lock in four bytes. Uncontended it is one atomic operation; contended it sleeps in
/// [`crate::Platform::wait`]. Not recursive; not for interrupt handlers.
#[derive(Default)]
pub struct SleepLock {
    state: AtomicU32,
}

impl SleepLock {
    /// An unlocked lock.
    pub const fn new() -> SleepLock {
        SleepLock { state: AtomicU32::new(FREE) }
    }

    /// Takes the lock, sleeping while another thread has it.
    pub fn lock(&self) -> SleepGuard<'_> {
        if self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
                platform().wait(&self.state, CONTENDED);
            }
        }
        SleepGuard { lock: self }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<SleepGuard<'_>> {
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(SleepGuard { lock: self })
    }
}

/// Holds a [`SleepLock`] until dropped.
pub struct SleepGuard<'a> {
    lock: &'a SleepLock,
}

impl Drop for SleepGuard<'_> {
    fn drop(&mut self) {
        if self.lock.state.swap(FREE, Ordering::Release) == CONTENDED {
            platform().wake(&self.lock.state);
        }
    }
}
