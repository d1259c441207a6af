//! Memory: physical frames, the kernel's own address space and heap, and the address spaces of programs.

pub mod account;
pub mod address_space;
pub mod boot_pages;
mod brk;
pub mod direct;
pub mod fault;
pub mod flags;
mod fork;
pub mod frames;
pub mod fs_platform;
pub mod heap;
pub mod huge;
pub mod limits;
pub mod madvise;
pub mod maps;
mod mlock;
pub mod mmap;
pub mod mremap;
pub mod numa;
pub mod object;
pub mod page_table;
mod pages;
pub mod remote;
mod seal;
pub mod sites;
pub mod tlb;
pub mod user_page;
pub mod vma;
pub mod vmalloc;
pub mod vsyscall;

pub use address_space::{AddressSpace, Layout};
pub use flags::{Access, FaultError, MapFlags, Prot};
pub use mmap::{MapFile, MapRequest, MapTarget};
pub use object::{MappedFile, SpecialPages};

pub use direct::{boot_memory, kernel_pml4_phys, phys_to_virt, physical_pieces, virt_to_phys};

pub use base::addr::{LARGE_PAGE_SIZE, PAGE_SIZE};

/// The lock of an address space.
type MapLock<T> = crate::sync::SleepRwLock<T>;
/// Its guard for changes of the map.
type MapGuard<'a, T> = crate::sync::WriteGuard<'a, T>;
/// Its guard for faults, many of which hold it together.
type FaultGuard<'a, T> = crate::sync::ReadGuard<'a, T>;

/// Number of this CPU.
fn cpu_number() -> u32 {
    crate::arch::percpu::this_cpu().id.get()
}

/// Brings up physical memory, the kernel's page tables and the heap.
pub fn init(boot: &crate::arch::boot::BootInfo) {
    let mut early = frames::EarlyFrames::new(boot);
    direct::init(boot, &mut early);
    frames::init(boot, early);
    heap::init();
}
