//! Copies between page-cache pages and application memory: the one place of `files/` that handles raw pointers.
//!
//! The application may have the same page mapped and write it meanwhile, as on Linux; so no reference to the bytes is ever made.
#![allow(unsafe_code)]

use crate::mm::{PAGE_SIZE, phys_to_virt};
use crate::usermem::{self, UserAddr};
use fs::PageRef;

/// Copies `len` bytes at `off` of `page` out to `dst`, and tells how many arrived. The range is cut at the end of the page.
pub fn page_to_user(dst: UserAddr, page: &PageRef, off: usize, len: usize) -> usize {
    let off = off.min(PAGE_SIZE);
    let len = len.min(PAGE_SIZE - off);
    // SAFETY: the reference keeps the frame allocated, the direct map has all of it, and the range lies within it.
    unsafe { usermem::copy_out_raw(dst, phys_to_virt::<u8>(page.phys()).add(off), len) }
}

/// Copies `len` bytes from `src` to `off` of `page`, and tells how many arrived. The range is cut at the end of the page.
pub fn page_from_user(page: &PageRef, off: usize, src: UserAddr, len: usize) -> usize {
    let off = off.min(PAGE_SIZE);
    let len = len.min(PAGE_SIZE - off);
    // SAFETY: as above; nobody holds a Rust reference to the content of a page-cache page.
    unsafe { usermem::copy_in_raw(phys_to_virt::<u8>(page.phys()).add(off), src, len) }
}
