//! /proc/sys: settings (sysctl(8), Documentation/admin-guide/sysctl), a file for each of its
//! folders. [`setting`] says what a row can be.
//!
//! A row that can be written has the effect that Linux gives it, or is kept for those who read it
//! back where nothing here is governed by it.

mod fs;
mod kernel;
mod net;
mod polled;
pub mod setting;
mod vm;

use alloc::sync::Arc;

use ::fs::pseudo::PseudoNode;
use setting::Settings;

use crate::pseudo::Tree;

/// Puts the tree into the root of procfs.
pub fn fill(root: &Arc<PseudoNode>, dev: u64) {
    let settings = Settings { tree: Tree { dev, size: None, root: root.clone() } };
    kernel::fill(&settings);
    vm::fill(&settings);
    fs::fill(&settings);
    net::fill(&settings);
}
