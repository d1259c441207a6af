//! Advisory file locks as pure data: fcntl(2) byte ranges (of processes and of open file
//! descriptions) and flock(2).
//!
//! The kernel hangs one [`FileLocks`] on each inode that has locks
//! ([`crate::InodeCommon::ext_or_insert`]) next to a wait queue, tries again whenever a call
//! reports that something was released, and asks [`Deadlocks`] before a process sleeps.

mod deadlock;
mod flock;
mod ranges;
#[cfg(test)]
mod tests;

pub use deadlock::Deadlocks;
pub use flock::{FlockOutcome, Flocks};
pub use ranges::RangeLocks;

use syscall_shim::{Errno, SysResult};

/// The last byte that a range can reach (`OFFSET_MAX`).
pub const OFFSET_MAX: u64 = i64::MAX as u64;

/// Who holds a byte-range lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// A process (traditional locks): a number of its descriptor table.
    Process(u64),
    /// An open file description (`F_OFD_SETLK`): a number of it.
    Description(u64),
}

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// `F_RDLCK`, `LOCK_SH`.
    Read,
    /// `F_WRLCK`, `LOCK_EX`.
    Write,
}

impl LockKind {
    /// True when two owners cannot hold these two at once.
    pub fn conflicts(self, other: LockKind) -> bool {
        self == LockKind::Write || other == LockKind::Write
    }
}

/// A range of bytes, `end` included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Last byte; [`OFFSET_MAX`] for 'to the end of the file, wherever that is'.
    pub end: u64,
}

impl Range {
    /// The range of a `struct flock` whose `l_whence` stands for the position `base`
    /// (`flock_to_posix_lock`). `EOVERFLOW` and `EINVAL` for what leaves 0..=[`OFFSET_MAX`].
    pub fn from_flock(base: u64, l_start: i64, l_len: i64) -> SysResult<Range> {
        let base = i64::try_from(base).map_err(|_| Errno::EOVERFLOW)?;
        let start = base.checked_add(l_start).ok_or(Errno::EOVERFLOW)?;
        if start < 0 {
            return Err(Errno::EINVAL);
        }
        let (start, end) = match l_len {
            0 => (start, i64::MAX),
            1.. => (start, start.checked_add(l_len - 1).ok_or(Errno::EOVERFLOW)?),
            _ => {
                let first = start.checked_add(l_len).filter(|s| *s >= 0).ok_or(Errno::EINVAL)?;
                (first, start - 1)
            }
        };
        Ok(Range { start: start as u64, end: end as u64 })
    }

    /// `l_len` as `F_GETLK` reports it: 0 for a range without end.
    pub fn l_len(self) -> i64 {
        if self.end >= OFFSET_MAX { 0 } else { (self.end - self.start + 1) as i64 }
    }

    /// True when the ranges share a byte.
    pub fn overlaps(self, other: Range) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// A byte-range lock, held or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who.
    pub owner: Owner,
    /// The pid that `F_GETLK` reports: -1 for locks of open file descriptions.
    pub pid: i32,
    /// Shared or exclusive.
    pub kind: LockKind,
    /// What.
    pub range: Range,
}

/// All locks of one file.
#[derive(Default, Debug)]
pub struct FileLocks {
    /// fcntl(2).
    pub ranges: RangeLocks,
    /// flock(2).
    pub flocks: Flocks,
}

impl FileLocks {
    /// True when there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.flocks.is_empty()
    }
}
