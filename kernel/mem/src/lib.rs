//! Physical memory: its frames, the kernel's heap and its own mappings, page tables, and what is flushed when they change.
//!
//! What programs have mapped, and why, is the layer above's; here are the means.
#![no_std]

extern crate alloc;

pub mod account;
pub mod boot_pages;
pub mod direct;
pub mod frames;
// Host tests have their own.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod heap;
pub mod huge;
pub mod page_table;
mod size;
pub mod tlb;
pub mod user_page;
pub mod vmalloc;
pub mod vsyscall;

pub use base::addr::{LARGE_PAGE_SIZE, PAGE_SIZE};
pub use direct::{boot_memory, kernel_pml4_phys, phys_to_virt, physical_pieces, virt_to_phys};

/// Brings up physical memory, the kernel's page tables and the heap.
pub fn init(boot: &arch::boot::BootInfo) {
    let mut early = frames::EarlyFrames::new(boot);
    direct::init(boot, &mut early);
    frames::init(boot, early);
    heap::init();
}
