//! A table of counted pointers that is read without a lock and without a write to anything that
//! CPUs share.
//!
//! Whoever reads says so in a word of its own CPU, loads the pointer, counts its reference, and
//! takes the word back: some instructions in which it neither sleeps nor waits. Whoever takes a
//! pointer out, or the array, first makes it unreachable and then waits until no CPU says that it
//! reads this table; from then on nobody can come to it any more. Interrupt handlers do not read
//! such tables, and the kernel is not preempted, so one word for each CPU is enough.

use crate::cpu::atomic::{AtomicPtr, Ordering};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;

use super::{SpinGuard, SpinLock};
use crate::cpu::percpu::{self, this_cpu};

type Slots<T> = Vec<AtomicPtr<T>>;

/// Places that are made at least.
const MIN_PLACES: usize = 16;

/// The table, and in a lock what those keep who change it.
pub struct ArcTable<T, W> {
    /// From `Box::into_raw`; each pointer in it is null or from `Arc::into_raw`.
    slots: AtomicPtr<Slots<T>>,
    writer: SpinLock<W>,
    _entries: PhantomData<Arc<T>>,
}

/// The right to change the table.
pub struct Writer<'a, T, W> {
    table: &'a ArcTable<T, W>,
    state: SpinGuard<'a, W>,
}

impl<T, W> ArcTable<T, W> {
    /// A table that begins with `entries`.
    #[track_caller]
    pub fn new(entries: Vec<Option<Arc<T>>>, state: W) -> Self {
        let slots: Slots<T> = entries.into_iter().map(|entry| AtomicPtr::new(into_raw(entry))).collect();
        Self { slots: AtomicPtr::new(Box::into_raw(Box::new(slots))), writer: SpinLock::new(state), _entries: PhantomData }
    }

    /// What stands at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Arc<T>> {
        let reading = &this_cpu().reading;
        // Before the loads below, for those who look at it after they have changed what is loaded.
        reading.swap(ptr::from_ref(self).addr(), Ordering::SeqCst);
        // SAFETY: the array, and what it points to, are freed only after their last reader has said
        // that it is done; see above.
        let found = unsafe {
            let slots = &*self.slots.load(Ordering::SeqCst);
            match slots.get(index).map(|slot| slot.load(Ordering::SeqCst)) {
                Some(entry) if !entry.is_null() => {
                    Arc::increment_strong_count(entry);
                    Some(Arc::from_raw(entry))
                }
                _ => None,
            }
        };
        reading.store(0, Ordering::Release);
        found
    }

    /// Takes the lock of those who change the table.
    pub fn lock(&self) -> Writer<'_, T, W> {
        Writer { table: self, state: self.writer.lock() }
    }

    /// Waits until nobody can still use what was reachable when this was called. What made it
    /// unreachable was `SeqCst`.
    fn wait_for_readers(&self) {
        let own = this_cpu().id.get();
        for cpu in percpu::each(percpu::online() & !(1 << own)) {
            while cpu.reading.load(Ordering::SeqCst) == ptr::from_ref(self).addr() {
                crate::cpu::relax();
            }
        }
    }
}

fn into_raw<T>(entry: Option<Arc<T>>) -> *mut T {
    entry.map_or(ptr::null_mut(), |entry| Arc::into_raw(entry).cast_mut())
}

impl<T, W> Writer<'_, T, W> {
    fn slots(&self) -> &Slots<T> {
        // SAFETY: only a writer frees the array, and this is the one writer.
        unsafe { &*self.table.slots.load(Ordering::Relaxed) }
    }

    /// Number of places.
    pub fn places(&self) -> usize {
        self.slots().len()
    }

    /// Whether something stands at `index`.
    pub fn has(&self, index: usize) -> bool {
        self.slots().get(index).is_some_and(|slot| !slot.load(Ordering::Relaxed).is_null())
    }

    /// A copy of the first `len` entries; `None` when memory is out.
    pub fn entries(&self, len: usize) -> Option<Vec<Option<Arc<T>>>> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(len.min(self.places())).ok()?;
        let copy = |slot: &AtomicPtr<T>| {
            let entry = slot.load(Ordering::Relaxed);
            // SAFETY: from `Arc::into_raw`, and nobody takes it out while this writer is.
            (!entry.is_null()).then(|| unsafe {
                Arc::increment_strong_count(entry);
                Arc::from_raw(entry)
            })
        };
        entries.extend(self.slots().iter().take(len).map(copy));
        Some(entries)
    }

    /// Puts `entry` at `index`, which must be one of the places, and answers what stood there.
    /// Nobody comes to that by way of the table any more.
    pub fn replace(&mut self, index: usize, entry: Option<Arc<T>>) -> Option<Arc<T>> {
        let Some(slot) = self.slots().get(index) else { return entry };
        let old = slot.swap(into_raw(entry), Ordering::SeqCst);
        if old.is_null() {
            return None;
        }
        self.table.wait_for_readers();
        // SAFETY: from `Arc::into_raw`; the table's count is the caller's now.
        Some(unsafe { Arc::from_raw(old) })
    }

    /// Makes room for `len` entries. Whether there was memory.
    pub fn grow(&mut self, len: usize) -> bool {
        if len <= self.places() {
            return true;
        }
        let wanted = len.max(MIN_PLACES).next_power_of_two();
        let mut slots: Slots<T> = Vec::new();
        if slots.try_reserve_exact(wanted).is_err() {
            return false;
        }
        slots.extend(self.slots().iter().map(|slot| AtomicPtr::new(slot.load(Ordering::Relaxed))));
        slots.resize_with(wanted, AtomicPtr::default);
        let old = self.table.slots.swap(Box::into_raw(Box::new(slots)), Ordering::SeqCst);
        self.table.wait_for_readers();
        // SAFETY: from `Box::into_raw`, and nobody reads it any more; the pointers in it are now
        // the new array's.
        drop(unsafe { Box::from_raw(old) });
        true
    }
}

impl<T, W> Deref for Writer<'_, T, W> {
    type Target = W;
    fn deref(&self) -> &W {
        &self.state
    }
}

impl<T, W> DerefMut for Writer<'_, T, W> {
    fn deref_mut(&mut self) -> &mut W {
        &mut self.state
    }
}

impl<T, W> Drop for ArcTable<T, W> {
    fn drop(&mut self) {
        // SAFETY: nobody refers to the table any more; the pointers are from `Box::into_raw` and
        // `Arc::into_raw`.
        unsafe {
            let slots = Box::from_raw(*self.slots.get_mut());
            for slot in slots.into_iter().map(AtomicPtr::into_inner).filter(|slot| !slot.is_null()) {
                drop(Arc::from_raw(slot));
            }
        }
    }
}
