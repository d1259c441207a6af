//! Copies between page-cache pages and application memory.
//!
//! The application may have the same page mapped and write it meanwhile, as on Linux; so no
//! reference to the bytes is ever made.

use fs::{PAGE_SIZE, PageRef};

use crate::UserAddr;

/// Copies `len` bytes at `off` of `page` out to `dst`, and tells how many arrived. The range is cut
/// at the end of the page.
#[cfg(target_os = "none")]
pub fn page_to_user(dst: UserAddr, page: &PageRef, off: usize, len: usize) -> usize {
    let off = off.min(PAGE_SIZE);
    let len = len.min(PAGE_SIZE - off);
    // SAFETY: the reference keeps the frame allocated, the direct map has all of it, and the range
    // lies within it.
    unsafe { crate::copy_out_raw(dst, arch::layout::phys_to_virt::<u8>(page.phys()).add(off), len) }
}

/// Copies `len` bytes from `src` to `off` of `page`, and tells how many arrived. The range is cut
/// at the end of the page.
#[cfg(target_os = "none")]
pub fn page_from_user(page: &PageRef, off: usize, src: UserAddr, len: usize) -> usize {
    let off = off.min(PAGE_SIZE);
    let len = len.min(PAGE_SIZE - off);
    // SAFETY: as above; nobody holds a Rust reference to the content of a page-cache page.
    unsafe { crate::copy_in_raw(arch::layout::phys_to_virt::<u8>(page.phys()).add(off), src, len) }
}

/// As in the kernel; on a host, pages are where its platform has them.
#[cfg(not(target_os = "none"))]
pub fn page_to_user(dst: UserAddr, page: &PageRef, off: usize, len: usize) -> usize {
    let mut bytes = [0; PAGE_SIZE];
    let len = page.read(off, bytes.get_mut(..len).unwrap_or_default());
    crate::copy_out_partial(dst, bytes.get(..len).unwrap_or_default())
}

/// As in the kernel.
#[cfg(not(target_os = "none"))]
pub fn page_from_user(page: &PageRef, off: usize, src: UserAddr, len: usize) -> usize {
    let mut bytes = [0; PAGE_SIZE];
    let room = bytes.get_mut(..len.min(PAGE_SIZE.saturating_sub(off))).unwrap_or_default();
    let len = crate::copy_in_partial(room, src);
    page.write(off, bytes.get(..len).unwrap_or_default())
}
