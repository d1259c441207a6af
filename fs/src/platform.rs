//! What this crate needs from the machine it runs on: page frames, the wall clock, and a way to
//! sleep.
//!
//! The kernel registers one [`Platform`] at boot; host tests register one over `std`
//! (`testing::install`).

use crate::types::Timespec;
use core::num::NonZeroU64;
use core::sync::atomic::AtomicU32;
use syscall_shim::{Errno, SysResult};

pub use syscall_shim::PAGE_SIZE;

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// The host of this crate. Page frames are named by physical address (page aligned, never 0) and
/// reference counted.
pub trait Platform: Send + Sync {
    /// A zeroed frame with reference count 1, or `None` when memory is exhausted. Called with no
    /// spin lock held.
    fn alloc_page(&self) -> Option<u64>;
    /// As [`Platform::alloc_page`], for bytes that are on their way: where files may have no more,
    /// these still may.
    fn alloc_buffer_page(&self) -> Option<u64> {
        self.alloc_page()
    }
    /// Whether there is memory enough for caches to grow without others giving way.
    fn has_room(&self) -> bool {
        true
    }
    /// Whether there is memory for more that a program has kept: inodes, names, attributes.
    fn may_keep(&self) -> bool {
        true
    }
    /// Adds a reference.
    fn ref_page(&self, phys: u64);
    /// Drops a reference; the last one frees the frame.
    fn unref_page(&self, phys: u64);
    /// How many references there are.
    fn page_references(&self, phys: u64) -> u32;
    /// Copies `buf.len()` bytes out of the frame. `off + buf.len() <= PAGE_SIZE`.
    fn read_page(&self, phys: u64, off: usize, buf: &mut [u8]);
    /// Copies `buf` into the frame. `off + buf.len() <= PAGE_SIZE`.
    fn write_page(&self, phys: u64, off: usize, buf: &[u8]);
    /// Zeroes part of the frame. `off + len <= PAGE_SIZE`.
    fn zero_page(&self, phys: u64, off: usize, len: usize);
    /// Copies a whole frame.
    fn copy_page(&self, src: u64, dst: u64);
    /// `CLOCK_REALTIME`, as file timestamps use it (Linux's coarse clock is enough).
    fn now(&self) -> Timespec;
    /// Sleeps (not interruptible by signals) while `*word == expected`, until [`Platform::wake`]
    /// for the same word. Spurious returns are allowed; a change of `word` between the caller's
    /// test and the sleep must not be missed (futex semantics).
    fn wait(&self, word: &AtomicU32, expected: u32);
    /// Wakes every sleeper of `word`.
    fn wake(&self, word: &AtomicU32);
}

static PLATFORM: spin::Once<&'static dyn Platform> = spin::Once::new();

/// Registers the platform. The first registration stays.
pub fn set_platform(platform: &'static dyn Platform) {
    PLATFORM.call_once(|| platform);
}

/// The registered platform. Panics when none is: that is a mistake in the boot order, not in any
/// input.
pub fn platform() -> &'static dyn Platform {
    match PLATFORM.get() {
        Some(p) => *p,
        None => panic!("fs: used before set_platform"),
    }
}

/// The time for timestamps.
pub fn now() -> Timespec {
    platform().now()
}

/// An owned reference to one page frame. `Clone` adds a reference, `Drop` gives it back.
#[derive(PartialEq, Eq)]
pub struct PageRef(NonZeroU64);

impl PageRef {
    /// A new zeroed frame; `ENOMEM` when there is none.
    pub fn alloc() -> SysResult<PageRef> {
        platform().alloc_page().map(PageRef::from_raw).ok_or(Errno::ENOMEM)
    }

    /// As [`PageRef::alloc`], for bytes that are on their way, as in a pipe.
    pub fn alloc_buffer() -> SysResult<PageRef> {
        platform().alloc_buffer_page().map(PageRef::from_raw).ok_or(Errno::ENOMEM)
    }

    /// Takes over one reference that the caller owns.
    pub fn from_raw(phys: u64) -> PageRef {
        // Bit 0 makes the number non-zero, so that Option<PageRef> stays 8 bytes in the page tree.
        PageRef(NonZeroU64::MIN | phys)
    }

    /// Gives the reference to the caller, who must return it with `from_raw` or `unref_page`.
    pub fn into_raw(self) -> u64 {
        let phys = self.phys();
        core::mem::forget(self);
        phys
    }

    /// The frame's physical address.
    pub fn phys(&self) -> u64 {
        self.0.get() & !1
    }

    /// How many references to the frame there are, this one included.
    pub fn references(&self) -> u32 {
        platform().page_references(self.phys())
    }

    /// Copies out of the page; the range is clipped to the page. Returns the bytes copied.
    pub fn read(&self, off: usize, buf: &mut [u8]) -> usize {
        let n = buf.len().min(PAGE_SIZE.saturating_sub(off));
        if let Some(b) = buf.get_mut(..n) {
            platform().read_page(self.phys(), off, b);
        }
        n
    }

    /// Copies into the page; the range is clipped to the page. Returns the bytes copied.
    pub fn write(&self, off: usize, buf: &[u8]) -> usize {
        let n = buf.len().min(PAGE_SIZE.saturating_sub(off));
        if let Some(b) = buf.get(..n) {
            platform().write_page(self.phys(), off, b);
        }
        n
    }

    /// Zeroes part of the page; the range is clipped to the page.
    pub fn zero(&self, off: usize, len: usize) {
        let off = off.min(PAGE_SIZE);
        platform().zero_page(self.phys(), off, len.min(PAGE_SIZE - off));
    }

    /// A new frame with the same content.
    pub fn duplicate(&self) -> SysResult<PageRef> {
        let copy = PageRef::alloc()?;
        platform().copy_page(self.phys(), copy.phys());
        Ok(copy)
    }
}

impl Clone for PageRef {
    fn clone(&self) -> PageRef {
        platform().ref_page(self.phys());
        PageRef(self.0)
    }
}

impl Drop for PageRef {
    fn drop(&mut self) {
        platform().unref_page(self.phys());
    }
}

impl core::fmt::Debug for PageRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PageRef({:#x})", self.phys())
    }
}
