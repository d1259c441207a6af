//! Where the machine's memory is.

use core::ptr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::alloc::{Layout, alloc_zeroed};
use std::format;

use base::addr::{LARGE_PAGE_SIZE, PAGE_SIZE};

use super::translations::violation;
use crate::frames;

/// Where the direct map begins.
static DIRECT_MAP: AtomicUsize = AtomicUsize::new(0);
static KERNEL_PML4: AtomicU64 = AtomicU64::new(0);
/// The table below all of the kernel's entries.
static KERNEL_TABLE: AtomicU64 = AtomicU64::new(0);

/// Present, writable, accessed.
const TABLE: u64 = 1 | 1 << 1 | 1 << 5;
/// A value at the kernel's: a leaf that programs' calls must leave alone.
const KERNEL_LEAF: u64 = TABLE | 1 << 63;

pub(super) fn start(frames: usize) {
    let size = Layout::from_size_align(frames * PAGE_SIZE, LARGE_PAGE_SIZE).expect("a size and a power of two");
    // SAFETY: the size is not 0. The memory is the machine's for good.
    let memory = unsafe { alloc_zeroed(size) };
    assert!(!memory.is_null(), "no memory for the machine");
    DIRECT_MAP.store(memory.expose_provenance(), Ordering::Release);
}

/// The address of RAM at `phys` in the direct map.
#[inline]
pub fn phys_to_virt<T>(phys: u64) -> *mut T {
    ptr::with_exposed_provenance_mut(DIRECT_MAP.load(Ordering::Acquire) + phys as usize)
}

/// Physical address of the kernel's top-level page table.
pub fn kernel_pml4_phys() -> u64 {
    KERNEL_PML4.load(Ordering::Relaxed)
}

/// An entry of a page table.
pub(super) fn entry(table: u64, index: usize) -> &'static AtomicU64 {
    // SAFETY: within a frame of the machine, whose memory stays; entries are accessed as atomics
    // alone.
    unsafe { &*phys_to_virt::<AtomicU64>(table + index as u64 * 8) }
}

pub(super) fn make_kernel_tables() {
    let frame = || frames::alloc_zeroed().expect("the machine is new").into_raw();
    let (pml4, mut table) = (frame(), frame());
    KERNEL_PML4.store(pml4, Ordering::Relaxed);
    KERNEL_TABLE.store(table, Ordering::Relaxed);
    (256..512).for_each(|index| entry(pml4, index).store(table | TABLE, Ordering::Relaxed));
    for _ in 0..2 {
        let below = frame();
        entry(table, 0).store(below | TABLE, Ordering::Relaxed);
        table = below;
    }
    entry(table, 0).store(pml4 | KERNEL_LEAF, Ordering::Relaxed);
}

/// Nothing that a program may ask for changes the kernel's tables.
pub(super) fn check_kernel_tables() {
    let mut table = KERNEL_TABLE.load(Ordering::Relaxed);
    for _ in 0..2 {
        let below = entry(table, 0).load(Ordering::Relaxed);
        if frames::refcount(table) != 1 || below & TABLE != TABLE {
            return violation(format!("the kernel's page table {table:#x} was taken apart"));
        }
        table = below & !0xfff;
    }
    if entry(table, 0).load(Ordering::Relaxed) != kernel_pml4_phys() | KERNEL_LEAF {
        violation(format!("a page of the kernel was taken out of {table:#x}"));
    }
}
