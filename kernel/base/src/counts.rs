//! Counts of system calls, one block for each CPU.

use core::sync::atomic::{AtomicU64, Ordering};

use syscall_shim::NR_SYSCALLS;

/// One for each number; the last stands for numbers that do not exist.
pub type PerCall = [AtomicU64; NR_SYSCALLS + 1];

/// The counts of one CPU, which alone changes them. The entry code counts direct calls itself.
#[repr(C)]
pub struct CallCounts {
    /// By trampolines. First, because the entry code relies on it.
    pub direct: PerCall,
    /// By `syscall` instructions.
    pub trapped: PerCall,
}

impl CallCounts {
    /// No call yet.
    pub const fn new() -> Self {
        Self {
            direct: [const { AtomicU64::new(0) }; NR_SYSCALLS + 1],
            trapped: [const { AtomicU64::new(0) }; NR_SYSCALLS + 1],
        }
    }

    /// Counts a call that was made by a `syscall` instruction.
    #[inline]
    pub fn count_trapped(&self, nr: u64) {
        let count = &self.trapped[slot(nr)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Default for CallCounts {
    fn default() -> Self {
        Self::new()
    }
}

/// Where in a [`PerCall`] call `nr` is counted.
pub const fn slot(nr: u64) -> usize {
    if nr < NR_SYSCALLS as u64 { nr as usize } else { NR_SYSCALLS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_share_a_count() {
        let counts = CallCounts::new();
        counts.count_trapped(0);
        counts.count_trapped(u64::MAX);
        counts.count_trapped(NR_SYSCALLS as u64);
        assert_eq!(counts.trapped[0].load(Ordering::Relaxed), 1);
        assert_eq!(counts.trapped[NR_SYSCALLS].load(Ordering::Relaxed), 2);
    }
}
