//! flock(2): whole-file locks of open file descriptions.

use super::LockKind;
use alloc::vec::Vec;

/// One lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    description: u64,
    pid: i32,
    kind: LockKind,
}

/// The flock(2) locks on one file, by the number of the open file description.
#[derive(Default, Debug)]
pub struct Flocks {
    held: Vec<Held>,
}

impl Flocks {
    /// True without any lock.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Pid and kind of each lock, for /proc/locks.
    pub fn iter(&self) -> impl Iterator<Item = (i32, LockKind)> {
        self.held.iter().map(|h| (h.pid, h.kind))
    }

    /// What the description holds.
    pub fn kind(&self, description: u64) -> Option<LockKind> {
        self.held.iter().find(|h| h.description == description).map(|h| h.kind)
    }

    /// Sets or converts a lock. A conversion gives the old lock up before it asks for the new one,
    /// so a refused one loses it (flock(2), NOTES). `granted` is false when another description is
    /// in the way; `released`: waiters may try again.
    pub fn set(&mut self, description: u64, pid: i32, kind: LockKind) -> FlockOutcome {
        if self.kind(description) == Some(kind) {
            return FlockOutcome { granted: true, released: false };
        }
        let released = self.unlock(description);
        let granted = !self.held.iter().any(|h| h.kind.conflicts(kind));
        if granted {
            self.held.push(Held { description, pid, kind });
        }
        FlockOutcome { granted, released }
    }

    /// `LOCK_UN`, or the last close of the description. True when something was released.
    pub fn unlock(&mut self, description: u64) -> bool {
        let before = self.held.len();
        self.held.retain(|h| h.description != description);
        self.held.len() != before
    }
}

/// What [`Flocks::set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlockOutcome {
    /// The lock is held now.
    pub granted: bool,
    /// A lock was given up: wake the waiters.
    pub released: bool,
}
