//! /proc.

mod system;

use alloc::sync::Arc;

use fs::FileSystem;
use fs::pseudo::{NodeSpec, PROC_MAGIC, PseudoFs, PseudoNode};

/// The inode number of procfs's root (`PROC_ROOT_INO`).
const ROOT_INO: u64 = 1;

/// A procfs.
pub fn file_system() -> Arc<dyn FileSystem> {
    PseudoFs::new("proc", PROC_MAGIC, |dev| {
        let root = PseudoNode::dir(NodeSpec::new(dev, 0o555).ino(ROOT_INO));
        system::fill(&root, dev);
        root
    })
}
