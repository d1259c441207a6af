//! Memory, as the layers above see it: the crates [`mem`] and [`vm`].

pub use mem::{
    PAGE_SIZE, account, boot_memory, boot_pages, direct, frames, heap, huge, init, kernel_pml4_phys, phys_to_virt,
    physical_pieces, user_page, vmalloc, vsyscall,
};
pub use vm::*;
