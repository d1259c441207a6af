//! The address spaces of programs: areas, page faults, mmap(2) and its family, the part of fork(2)
//! that concerns memory, and call sites that are jumps.
//!
//! Frames, page tables and translation buffers are [`mem`]'s, files are [`fs`]'s, and the task that
//! asks is a [`limits::Rights`]. None of these needs a machine, so that the tests of this crate run
//! on a host the code that runs in the kernel.
#![no_std]
// Tests say by it who the scheduler is.
#![cfg_attr(not(test), forbid(unsafe_code))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod address_space;
mod brk;
pub mod fault;
pub mod flags;
mod fork;
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
pub mod patching;
mod put_back;
pub mod remote;
mod seal;
mod shared_policy;
pub mod vma;

#[cfg(test)]
mod tests;

use mem::{account, huge, page_table, shortage, tlb, user_page};

pub use address_space::{AddressSpace, Layout};
pub use flags::{Access, FaultError, MapFlags, Prot};
pub use mmap::{MapFile, MapRequest, MapTarget};
pub use object::{MappedFile, SpecialPages};

/// The lock of an address space.
type MapLock<T> = ::sync::SleepRwLock<T>;
/// Its guard for changes of the map.
type MapGuard<'a, T> = ::sync::WriteGuard<'a, T>;
/// Its guard for faults, many of which hold it together.
type FaultGuard<'a, T> = ::sync::ReadGuard<'a, T>;
