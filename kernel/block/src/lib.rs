//! Block devices.
//!
//! A [`driver::Driver`] serves [`request::Request`]s; the kernel's only one is virtio-blk's. A
//! [`disk::Disk`] has one, and is one [`device::Device`] as a whole and another for each partition
//! that [`partition`] finds on it. [`file`] is the open block file: by way of the device's page
//! cache, or with `O_DIRECT` past it.
//!
//! Everything that waits for a device sleeps, and no lock of the crate is held over it but that of
//! who writes a cache back.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[macro_use]
extern crate base;
#[cfg(test)]
extern crate std;

mod cache;
pub use cache::cached as cached_pages;
pub mod device;
mod direct;
pub mod disk;
pub mod driver;
pub mod file;
mod ioctl;
pub mod partition;
pub mod registry;
pub mod request;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod virtio;

/// log2 of the unit in which the kernel counts what is on a disk, whatever its own sectors are.
pub const SECTOR_SHIFT: u32 = 9;
/// That unit, in bytes.
pub const SECTOR: u64 = 1 << SECTOR_SHIFT;
