//! Memory, as the layers above see it: the crates [`mem`] and [`vm`].

pub use mem::{
    PAGE_SIZE, account, boot_memory, boot_pages, direct, frames, heap, huge, init, phys_to_virt, user_page, vmalloc,
    vsyscall,
};
pub use vm::*;
