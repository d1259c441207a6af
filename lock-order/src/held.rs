//! The locks that a CPU or a task holds.

use core::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use crate::graph::ClassId;

/// Most locks that one holds at a time. What is taken beyond that is not checked.
const DEPTH: usize = 24;

/// The locks that a CPU or a task holds, in the order of taking. Only its owner uses it (a CPU with
/// interrupts off), so that no order between its parts matters.
pub struct Held {
    classes: [AtomicU16; DEPTH],
    len: AtomicUsize,
}

impl Held {
    /// None.
    pub const fn new() -> Self {
        Self { classes: [const { AtomicU16::new(0) }; DEPTH], len: AtomicUsize::new(0) }
    }

    /// One more.
    pub(crate) fn push(&self, class: ClassId) {
        let len = self.len.load(Ordering::Relaxed);
        if let Some(place) = self.classes.get(len) {
            place.store(class.get(), Ordering::Relaxed);
            self.len.store(len + 1, Ordering::Relaxed);
        }
    }

    /// The last one of a class is freed. It need not be there: it may have been taken before
    /// anything was checked.
    pub(crate) fn remove(&self, class: ClassId) {
        let len = self.len.load(Ordering::Relaxed);
        let Some(held) = self.classes.get(..len) else { return };
        let Some(at) = held.iter().rposition(|held| held.load(Ordering::Relaxed) == class.get()) else { return };
        for (to, from) in held.iter().skip(at).zip(held.iter().skip(at + 1)) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.len.store(len - 1, Ordering::Relaxed);
    }

    /// The classes, in the order of taking.
    pub(crate) fn copy(&self) -> impl Iterator<Item = ClassId> + use<> {
        let classes = self.classes.each_ref().map(|class| ClassId::known(class.load(Ordering::Relaxed)));
        classes.into_iter().take(self.len.load(Ordering::Relaxed)).flatten()
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::new()
    }
}
