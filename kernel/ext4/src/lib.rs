//! ext2, ext3 and ext4 as file systems of the kernel: the crate `ext4` between a block device and
//! the page cache.
//!
//! [`files`] is a mounted file system, `node` a file of it, `content` what is behind its page
//! cache, `device` what is below. Metadata goes past the block device's own cache; whoever has its
//! node open meanwhile sees what was written before or after, as it happens.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[macro_use]
extern crate base;
#[cfg(test)]
extern crate caller as _;
#[cfg(test)]
extern crate std;

mod content;
mod device;
pub mod files;
mod node;
mod options;
#[cfg(test)]
mod tests;

pub use files::{Files, has_written, mount};
pub use options::{NAMES, Options};
