//! Building blocks for procfs, sysfs and the like: nodes whose content the kernel generates.
//!
//! A file system is a [`PseudoFs`] around a root [`PseudoNode`]. Nodes are made from closures;
//! [`format`](mod@format) has the texts of proc(5) over plain structures.

pub mod format;
mod node;
pub mod sysctl;
#[cfg(test)]
mod tests;

pub use node::{DirSource, NodeSpec, PseudoEntry, PseudoNode};

use crate::inode::{FileSystem, InodeRef, alloc_anon_dev};
use crate::sync::SleepLock;
use crate::types::{NAME_MAX, StatFs};
use alloc::string::String;
use alloc::sync::Arc;
use syscall_shim::SysResult;

/// `PROC_SUPER_MAGIC` of statfs(2).
pub const PROC_MAGIC: u64 = 0x9fa0;
/// `SYSFS_MAGIC`.
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
/// `DEVPTS_SUPER_MAGIC`.
pub const DEVPTS_MAGIC: u64 = 0x1cd1;
/// `ANON_INODE_FS_MAGIC`.
pub const ANON_INODE_MAGIC: u64 = 0x0904_1934;
/// `PIPEFS_MAGIC`.
pub const PIPEFS_MAGIC: u64 = 0x5049_5045;
/// `SOCKFS_MAGIC`.
pub const SOCKFS_MAGIC: u64 = 0x534f_434b;

/// A file system of generated nodes, without content of its own.
pub struct PseudoFs {
    name: &'static str,
    magic: u64,
    dev: u64,
    root: InodeRef,
    options: String,
    rename_lock: SleepLock,
}

impl PseudoFs {
    /// A file system whose root `make_root` makes for the device number it is given.
    pub fn new(name: &'static str, magic: u64, make_root: impl FnOnce(u64) -> InodeRef) -> Arc<PseudoFs> {
        PseudoFs::with_options(name, magic, String::new(), make_root)
    }

    /// The same with the options that /proc/mounts shows.
    pub fn with_options(
        name: &'static str,
        magic: u64,
        options: String,
        make_root: impl FnOnce(u64) -> InodeRef,
    ) -> Arc<PseudoFs> {
        let dev = alloc_anon_dev();
        Arc::new(PseudoFs { name, magic, dev, root: make_root(dev), options, rename_lock: SleepLock::new() })
    }
}

impl FileSystem for PseudoFs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn root(&self) -> InodeRef {
        self.root.clone()
    }

    fn options(&self) -> String {
        self.options.clone()
    }

    fn has_fixed_names(&self) -> bool {
        self.magic == PROC_MAGIC
    }

    fn statfs(&self) -> SysResult<StatFs> {
        Ok(StatFs {
            magic: self.magic,
            bsize: crate::PAGE_SIZE as u64,
            frsize: crate::PAGE_SIZE as u64,
            namelen: NAME_MAX as u64,
            fsid: self.dev,
            ..StatFs::default()
        })
    }

    fn rename_lock(&self) -> &SleepLock {
        &self.rename_lock
    }
}
