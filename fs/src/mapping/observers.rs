//! Who is told before pages of a file go: the address spaces that map it.

use super::MappingObserver;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Bound;

/// How many are called between two looks at the list.
const BATCH: usize = 32;
/// So few may be dead without being looked for.
const MIN_PURGE: usize = 16;

/// The list: each by its address, which stays its own as long as it is listed. Dead ones are taken
/// out when the list has doubled, so that one more costs the same however many there are.
pub(super) struct Observers {
    entries: BTreeMap<usize, Weak<dyn MappingObserver>>,
    purge_at: usize,
}

fn key(observer: &Weak<dyn MappingObserver>) -> usize {
    observer.as_ptr().cast::<()>().addr()
}

impl Observers {
    /// Nobody.
    pub(super) const fn new() -> Self {
        Self { entries: BTreeMap::new(), purge_at: MIN_PURGE }
    }

    /// Adds one, unless it is there already.
    pub(super) fn add(&mut self, observer: Weak<dyn MappingObserver>) {
        if self.entries.len() >= self.purge_at {
            self.entries.retain(|_, observer| observer.strong_count() > 0);
            self.purge_at = (2 * self.entries.len()).max(MIN_PURGE);
        }
        self.entries.entry(key(&observer)).or_insert(observer);
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, observer: &Weak<dyn MappingObserver>) {
        self.entries.remove(&key(observer));
    }

    /// Some of those behind `last` that live, and the last key that was looked at; `None` at the
    /// end.
    pub(super) fn behind(&self, last: Option<usize>) -> Option<(usize, Vec<Arc<dyn MappingObserver>>)> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        let mut living = Vec::with_capacity(BATCH);
        for (key, observer) in self.entries.range((from, Bound::Unbounded)).take(BATCH) {
            last = Some(*key);
            living.extend(observer.upgrade());
        }
        Some((last?, living))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
