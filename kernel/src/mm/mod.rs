//! Memory: physical frames, the kernel's own address space and heap, and the address spaces of programs.

pub mod direct;
pub mod frames;
pub mod heap;
pub mod vmalloc;

pub use direct::{kernel_pml4_phys, phys_to_virt, virt_to_phys};

/// Size of a page and of a frame, in bytes.
pub const PAGE_SIZE: usize = 4096;
/// Size of a large page, in bytes.
pub const LARGE_PAGE_SIZE: usize = 2 << 20;

/// Brings up physical memory, the kernel's page tables and the heap.
pub fn init(boot: &crate::arch::boot::BootInfo) {
    let mut early = frames::EarlyFrames::new(boot);
    direct::init(boot, &mut early);
    frames::init(boot, early);
}
