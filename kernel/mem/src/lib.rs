//! Physical memory: its frames, the kernel's heap and its own mappings, page tables, and what is
//! flushed when they change.
//!
//! What programs have mapped, and why, is the layer above's; here are the means.
//!
//! Frames, page tables and what is flushed work on a host too, for the tests of this layer and of
//! those above: the module `host` stands for the machine there.
#![no_std]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

pub mod account;
#[cfg(target_os = "none")]
pub mod boot_pages;
mod cpu;
#[cfg(target_os = "none")]
pub mod direct;
pub mod frames;
#[cfg(target_os = "none")]
pub mod heap;
#[cfg(not(target_os = "none"))]
pub mod host;
pub mod huge;
pub mod page_table;
pub mod shortage;
mod size;
pub mod tlb;
pub mod user_page;
#[cfg(target_os = "none")]
pub mod vmalloc;
#[cfg(target_os = "none")]
pub mod vsyscall;

#[cfg(test)]
mod tests;

pub use base::addr::{LARGE_PAGE_SIZE, PAGE_SIZE};
#[cfg(target_os = "none")]
pub use direct::{boot_memory, kernel_pml4_phys, phys_to_virt, physical_pieces, virt_to_phys};

/// Brings up physical memory, the kernel's page tables and the heap.
#[cfg(target_os = "none")]
pub fn init(boot: &arch::boot::BootInfo) {
    let mut early = frames::EarlyFrames::new(boot);
    direct::init(boot, &mut early);
    frames::init(boot, early);
    shortage::init();
}
