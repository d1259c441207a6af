//! Byte-range locks.

use super::{Lock, LockKind, Owner, Range};
use alloc::vec::Vec;

/// The byte-range locks on one file, in the order of their first byte. Locks of one owner never
/// overlap.
#[derive(Default, Debug)]
pub struct RangeLocks {
    held: Vec<Lock>,
}

impl RangeLocks {
    /// True without any lock.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The locks held.
    pub fn iter(&self) -> impl Iterator<Item = &Lock> {
        self.held.iter()
    }

    /// `F_GETLK`: a lock that keeps `want` from being set.
    pub fn conflict(&self, want: &Lock) -> Option<Lock> {
        let clash = |l: &&Lock| l.owner != want.owner && l.range.overlaps(want.range) && l.kind.conflicts(want.kind);
        self.held.iter().find(clash).copied()
    }

    /// `F_SETLK` with `F_RDLCK` or `F_WRLCK`. `Err` is the lock in the way. `Ok(true)`: a write
    /// lock of the owner was weakened, so waiters may try again.
    pub fn set(&mut self, want: Lock) -> Result<bool, Lock> {
        if let Some(blocker) = self.conflict(&want) {
            return Err(blocker);
        }
        let weakened = want.kind == LockKind::Read
            && self.held.iter().any(|l| l.owner == want.owner && l.kind == LockKind::Write && l.range.overlaps(want.range));
        self.cut(want.owner, want.range);
        self.insert_merged(want);
        Ok(weakened)
    }

    /// `F_SETLK` with `F_UNLCK`. True when something was released.
    pub fn unlock(&mut self, owner: Owner, range: Range) -> bool {
        self.cut(owner, range)
    }

    /// Drops all locks of an owner (a process closed the file, a description went away). True when
    /// there were any.
    pub fn remove_owner(&mut self, owner: Owner) -> bool {
        let before = self.held.len();
        self.held.retain(|l| l.owner != owner);
        self.held.len() != before
    }

    /// Takes `range` out of what `owner` holds, splitting locks that stick out.
    fn cut(&mut self, owner: Owner, range: Range) -> bool {
        let (mut before, mut behind) = (None, None);
        let count = self.held.len();
        self.held.retain(|lock| {
            if lock.owner != owner || !lock.range.overlaps(range) {
                return true;
            }
            if lock.range.start < range.start {
                before = Some(Lock { range: Range { start: lock.range.start, end: range.start - 1 }, ..*lock });
            }
            if lock.range.end > range.end {
                behind = Some(Lock { range: Range { start: range.end + 1, end: lock.range.end }, ..*lock });
            }
            false
        });
        let any = self.held.len() < count;
        // Locks of one owner do not overlap, so no more than one sticks out at either end.
        for rest in [before, behind].into_iter().flatten() {
            self.insert(rest);
        }
        any
    }

    /// Inserts a lock, joined with its owner's locks of the same kind that touch it.
    fn insert_merged(&mut self, mut new: Lock) {
        self.held.retain(|l| {
            let same = l.owner == new.owner && l.kind == new.kind;
            let touches =
                l.range.start <= new.range.end.saturating_add(1) && new.range.start <= l.range.end.saturating_add(1);
            if same && touches {
                new.range.start = new.range.start.min(l.range.start);
                new.range.end = new.range.end.max(l.range.end);
            }
            !(same && touches)
        });
        self.insert(new);
    }

    fn insert(&mut self, new: Lock) {
        let at = self.held.partition_point(|l| l.range.start <= new.range.start);
        self.held.insert(at, new);
    }
}
