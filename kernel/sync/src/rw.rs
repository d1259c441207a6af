//! The lock that many may read under at the same time, held over sleeps.

use crate::cpu::atomic::{AtomicU32, Ordering};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use crate::order::{self, Class};
use crate::sleep::{OvertakingTimer, WaitPhase, sleep_until, spins};
use crate::wait::{Ends, WaitQueue};

/// In the state: somebody writes. The other bits count those who read.
const WRITER: u32 = 1 << 31;

/// A value that several tasks read together, or one changes; whoever waits sleeps. Those who come
/// may pass those who wait, until these have waited for some time ([`OvertakingTimer`]): then
/// nobody overtakes them, neither readers a writer nor the reverse.
pub struct SleepRwLock<T: ?Sized> {
    state: AtomicU32,
    readers_waiting: AtomicU32,
    writers_waiting: AtomicU32,
    overtaking: OvertakingTimer,
    readers: WaitQueue,
    writers: WaitQueue,
    class: Class,
    value: UnsafeCell<T>,
}

// SAFETY: `state` admits one writer's guard alone, or readers' guards, which give shared references
// only.
unsafe impl<T: ?Sized + Send> Send for SleepRwLock<T> {}
// SAFETY: as above; readers share the value between CPUs, hence `Sync`.
unsafe impl<T: ?Sized + Send + Sync> Sync for SleepRwLock<T> {}

impl<T> SleepRwLock<T> {
    /// A new, free lock round `value`.
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self {
            state: AtomicU32::new(0),
            readers_waiting: AtomicU32::new(0),
            writers_waiting: AtomicU32::new(0),
            overtaking: OvertakingTimer::new(),
            readers: WaitQueue::new(),
            writers: WaitQueue::new(),
            class: Class::here(),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized> SleepRwLock<T> {
    fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & WRITER == 0 {
            match self.state.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    order::acquired_sleeping(&self.class);
                    return Some(ReadGuard { lock: self });
                }
                Err(now) => state = now,
            }
        }
        None
    }

    fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.state.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok().then(|| {
            order::acquired_sleeping(&self.class);
            WriteGuard { lock: self }
        })
    }

    /// Whether a reader that has not been sent for may take the lock.
    fn readers_may_pass(&self) -> bool {
        self.writers_waiting.load(Ordering::SeqCst) == 0 || !self.overtaking.is_over()
    }

    /// The same for a writer, where `own` counts it if it waits itself.
    fn writers_may_pass(&self, own: u32) -> bool {
        self.readers_waiting.load(Ordering::SeqCst) == 0 && self.writers_waiting.load(Ordering::SeqCst) == own
            || !self.overtaking.is_over()
    }

    /// Takes the lock for reading, asleep while somebody writes. Not to be taken twice by one task:
    /// a writer may wait in between.
    #[inline]
    pub fn read(&self) -> ReadGuard<'_, T> {
        order::acquire_sleeping(&self.class);
        if self.readers_may_pass()
            && let Some(guard) = self.try_read()
        {
            return guard;
        }
        self.wait(&self.readers, &self.readers_waiting, |_| self.readers_may_pass(), || self.try_read())
    }

    /// Takes the lock for changes, asleep while anybody has it.
    #[inline]
    pub fn write(&self) -> WriteGuard<'_, T> {
        order::acquire_sleeping(&self.class);
        if self.writers_may_pass(0)
            && let Some(guard) = self.try_write()
        {
            return guard;
        }
        self.wait(&self.writers, &self.writers_waiting, |own| self.writers_may_pass(own), || self.try_write())
    }

    #[cold]
    fn wait<G>(
        &self,
        queue: &WaitQueue,
        waiting: &AtomicU32,
        may_pass: impl Fn(u32) -> bool,
        take: impl Fn() -> Option<G>,
    ) -> G {
        for _ in 0..spins() {
            if !may_pass(0) {
                break;
            }
            if let Some(guard) = take() {
                return guard;
            }
            crate::cpu::relax();
        }
        // Counted before the looks that precede the sleep: whoever frees the lock after those sees
        // that somebody waits.
        waiting.fetch_add(1, Ordering::SeqCst);
        self.overtaking.begin(self.waiting() == 1);
        let slept = sleep_until(queue, Ends::Never, |phase| {
            let passes = match phase {
                WaitPhase::Unqueued => may_pass(1),
                WaitPhase::Queued => self.state.load(Ordering::SeqCst) == 0 || may_pass(1),
                WaitPhase::Woken => true,
            };
            if passes { take() } else { None }
        });
        let Ok(guard) = slept else { unreachable!("no signal ends this wait") };
        waiting.fetch_sub(1, Ordering::SeqCst);
        self.overtaking.renew();
        guard
    }

    fn waiting(&self) -> u32 {
        self.readers_waiting.load(Ordering::SeqCst) + self.writers_waiting.load(Ordering::SeqCst)
    }

    /// The lock is free, or a writer has left it. Readers that wait go first, all together, and the
    /// last of them lets the next writer in.
    fn freed(&self, by_writer: bool) {
        if by_writer && self.readers_waiting.load(Ordering::SeqCst) != 0 {
            self.readers.wake_all();
        } else if self.writers_waiting.load(Ordering::SeqCst) != 0 {
            self.writers.wake_one();
        }
    }
}

/// Shared access to what a [`SleepRwLock`] guards.
pub struct ReadGuard<'a, T: ?Sized> {
    lock: &'a SleepRwLock<T>,
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard is counted in `state`, so no writer exists.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        order::release_sleeping(&self.lock.class);
        if self.lock.state.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.lock.freed(false);
        }
    }
}

/// Sole access to what a [`SleepRwLock`] guards.
pub struct WriteGuard<'a, T: ?Sized> {
    lock: &'a SleepRwLock<T>,
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard set `WRITER`, so nobody else has the value.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        order::release_sleeping(&self.lock.class);
        self.lock.state.fetch_sub(WRITER, Ordering::SeqCst);
        self.lock.freed(true);
    }
}
