//! Frames that hold application pages and page tables: allocation with a reserve for the kernel,
//! contents, references.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;

use super::frames;
use super::size::PAGE as PAGE_SIZE;

/// Frames that applications may not take: what the kernel needs to end a program in good order when
/// memory is out.
const RESERVE_MAX: u64 = 512;

static ZERO_PAGE: Once<u64> = Once::new();
static RESERVE: AtomicU64 = AtomicU64::new(0);

/// See [`RESERVE_MAX`].
pub fn reserve() -> u64 {
    match RESERVE.load(Ordering::Relaxed) {
        0 => {
            let r = (frames::total() as u64 / 64).clamp(16, RESERVE_MAX);
            RESERVE.store(r, Ordering::Relaxed);
            r
        }
        r => r,
    }
}

/// Whether `pages` more frames may go to applications.
pub fn available(pages: u64) -> bool {
    frames::are_free((reserve() + pages) as usize)
}

/// Where the kernel sees the frame.
pub fn ptr(phys: u64) -> *mut u8 {
    crate::cpu::layout::phys_to_virt(phys)
}

/// A frame of unknown content with one reference.
pub fn alloc() -> Option<u64> {
    if !available(1) {
        return None;
    }
    frames::alloc().map(frames::Frame::into_raw)
}

/// A zeroed frame with one reference.
pub fn alloc_zeroed() -> Option<u64> {
    let phys = alloc()?;
    zero(phys, PAGE_SIZE);
    Some(phys)
}

/// Fills frames that were just allocated with zeroes.
pub fn zero(phys: u64, len: u64) {
    // SAFETY: the frames were just allocated, so nobody else uses them, and they lie in the direct
    // map.
    unsafe { ptr(phys).write_bytes(0, len as usize) };
}

/// A frame with the content of `from`.
pub fn alloc_copy(from: u64) -> Option<u64> {
    let phys = alloc()?;
    // SAFETY: both are whole frames of the direct map, and the new one is ours alone. The program
    // may write to `from` while it is copied, as on any multi-threaded machine; the bytes are not
    // interpreted here.
    unsafe { core::ptr::copy_nonoverlapping(ptr(from), ptr(phys), PAGE_SIZE as usize) };
    Some(phys)
}

/// Adds a reference.
pub fn get(phys: u64) {
    frames::inc(phys);
}

/// Gives a reference back; the last one frees the frame.
pub fn put(phys: u64) {
    frames::dec(phys);
}

/// Whether the caller's reference is the only one to the frame.
pub fn is_exclusive(phys: u64) -> bool {
    frames::refcount(phys) == 1
}

/// The frame of zeroes that read faults on untouched anonymous memory share.
pub fn zero_page() -> Option<u64> {
    match ZERO_PAGE.get() {
        Some(phys) => Some(*phys),
        None => {
            let phys = alloc_zeroed()?;
            let kept = *ZERO_PAGE.call_once(|| phys);
            if kept != phys {
                put(phys);
            }
            Some(kept)
        }
    }
}

/// Copies out of a frame; `off + buf.len()` stays within the page.
pub fn read(phys: u64, off: usize, buf: &mut [u8]) {
    debug_assert!(off + buf.len() <= PAGE_SIZE as usize);
    // SAFETY: the range is inside one frame of the direct map, `buf` is kernel memory. The program
    // may change the bytes meanwhile; they are plain data.
    unsafe { core::ptr::copy_nonoverlapping(ptr(phys).add(off), buf.as_mut_ptr(), buf.len()) };
}

/// Copies into a frame; `off + buf.len()` stays within the page.
pub fn write(phys: u64, off: usize, buf: &[u8]) {
    debug_assert!(off + buf.len() <= PAGE_SIZE as usize);
    // SAFETY: as for `read`.
    unsafe { core::ptr::copy_nonoverlapping(buf.as_ptr(), ptr(phys).add(off), buf.len()) };
}

/// Fills a part of a frame with zeroes; `off + len` stays within the page.
pub fn zero_part(phys: u64, off: usize, len: usize) {
    debug_assert!(off + len <= PAGE_SIZE as usize);
    // SAFETY: as for `read`.
    unsafe { ptr(phys).add(off).write_bytes(0, len) };
}

/// Copies a whole frame.
pub fn copy(from: u64, to: u64) {
    // SAFETY: two whole frames of the direct map; as for `read`.
    unsafe { core::ptr::copy(ptr(from), ptr(to), PAGE_SIZE as usize) };
}

/// How many references the frame has.
pub fn users(phys: u64) -> u32 {
    frames::refcount(phys)
}
