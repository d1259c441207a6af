//! Members in the order in which they came, each taken out by the place that it was given: whatever
//! their number, nobody looks for one of them.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

/// What remembers its place in the one list of its kind that it can be in.
pub trait HasPlace {
    /// The place; 0 before it has any.
    fn place(&self) -> &AtomicU64;
}

/// The list.
pub struct Ordered<T> {
    last: u64,
    members: BTreeMap<u64, Arc<T>>,
}

impl<T: HasPlace> Ordered<T> {
    /// Nobody.
    pub const fn new() -> Self {
        Self { last: 0, members: BTreeMap::new() }
    }

    /// Adds a member that is in no other list, behind all others.
    pub fn push(&mut self, member: Arc<T>) {
        self.last += 1;
        member.place().store(self.last, Ordering::Relaxed);
        self.members.insert(self.last, member);
    }

    /// Takes a member out, if it is one.
    pub fn remove(&mut self, member: &T) -> Option<Arc<T>> {
        self.contains(member).then(|| self.members.remove(&member.place().load(Ordering::Relaxed))).flatten()
    }

    /// Whether it is a member.
    pub fn contains(&self, member: &T) -> bool {
        self.members.get(&member.place().load(Ordering::Relaxed)).is_some_and(|found| core::ptr::eq(&**found, member))
    }

    /// The member at a place.
    pub fn at(&self, place: u64) -> Option<&Arc<T>> {
        self.members.get(&place)
    }

    /// The one that came first.
    pub fn first(&self) -> Option<&Arc<T>> {
        self.members.first_key_value().map(|(_, member)| member)
    }

    /// All, in the order of their coming.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.members.values()
    }

    /// Those from a place on, with theirs.
    pub fn from(&self, place: u64) -> impl Iterator<Item = (u64, &Arc<T>)> {
        self.members.range(place..).map(|(place, member)| (*place, member))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes all out.
    pub fn take(&mut self) -> impl Iterator<Item = Arc<T>> + use<T> {
        core::mem::take(&mut self.members).into_values()
    }
}

/// How many members are looked up at a time where a list is gone through that others change
/// meanwhile.
const BATCH: usize = 32;

/// Goes through what others change meanwhile, without a copy of it: `look_up` gives what there is
/// from a key on, with its keys, in their order, to be kept. What comes or goes meanwhile is among
/// the answers or not.
pub fn in_batches<K: Copy, T>(
    first: K,
    look_up: impl Fn(K, &mut Batch<K, T>),
    next: impl Fn(K) -> Option<K>,
) -> impl Iterator<Item = Arc<T>> {
    let mut from = Some(first);
    core::iter::from_fn(move || {
        let mut batch = Batch { members: arrayvec::ArrayVec::new(), last: None };
        look_up(from.take()?, &mut batch);
        // One that is not full is the last.
        from = batch.last.filter(|_| batch.members.is_full()).and_then(&next);
        (!batch.members.is_empty()).then_some(batch.members)
    })
    .flatten()
}

/// What was looked up at a time.
pub struct Batch<K, T> {
    members: arrayvec::ArrayVec<Arc<T>, BATCH>,
    last: Option<K>,
}

impl<K: Copy, T> Batch<K, T> {
    /// What is in it.
    pub fn members(&self) -> &[Arc<T>] {
        &self.members
    }

    /// Keeps as many as there is room for.
    pub fn fill<'a>(&mut self, found: impl Iterator<Item = (K, &'a Arc<T>)>)
    where
        T: 'a,
    {
        for (key, member) in found.take(self.members.remaining_capacity()) {
            self.members.push(member.clone());
            self.last = Some(key);
        }
    }
}
