//! Sizes of pages, and ranges of physical memory.

pub use syscall_shim::PAGE_SIZE;

/// Size of a large page, in bytes.
pub const LARGE_PAGE_SIZE: usize = 2 << 20;

/// A range of physical memory, `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhysRange {
    /// First byte.
    pub start: u64,
    /// Byte after the last.
    pub end: u64,
}

impl PhysRange {
    /// Length in bytes.
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Addresses of the pages, the first rounded down.
    pub fn pages(&self) -> impl Iterator<Item = u64> + use<> {
        (self.start & !(PAGE_SIZE as u64 - 1)..self.end).step_by(PAGE_SIZE)
    }

    /// Whether the range holds no byte.
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_pages_that_it_touches() {
        let range = PhysRange { start: 0x1800, end: 0x3001 };
        assert_eq!(range.len(), 0x1801);
        assert!(range.pages().eq([0x1000, 0x2000, 0x3000]));
        assert!(PhysRange { start: 5, end: 5 }.is_empty());
    }
}
