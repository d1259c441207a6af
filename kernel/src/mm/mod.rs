//! The address spaces of programs, over the frames and tables of [`mem`].

pub mod address_space;
mod brk;
pub mod fault;
pub mod flags;
mod fork;
pub mod fs_platform;
pub mod huge_policy;
pub mod limits;
pub mod madvise;
pub mod maps;
mod mlock;
pub mod mmap;
pub mod mremap;
pub mod numa;
pub mod object;
mod pages;
pub mod remote;
mod seal;
mod shared_policy;
pub mod sites;
pub mod vma;

pub use mem::{
    PAGE_SIZE, account, boot_memory, boot_pages, direct, frames, heap, huge, init, kernel_pml4_phys, page_table,
    phys_to_virt, physical_pieces, tlb, user_page, vmalloc, vsyscall,
};

pub use address_space::{AddressSpace, Layout};
pub use flags::{Access, FaultError, MapFlags, Prot};
pub use mmap::{MapFile, MapRequest, MapTarget};
pub use object::{MappedFile, SpecialPages};

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
