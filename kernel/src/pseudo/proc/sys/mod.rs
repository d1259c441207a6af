//! /proc/sys: settings (sysctl(8), Documentation/admin-guide/sysctl), a file for each of its folders. [`setting`] says what a row can be.
//!
//! A row that can be written has the effect that Linux gives it, or is kept for those who read it back where nothing here is
//! governed by it.

mod fs;
mod kernel;
pub mod setting;
mod vm;

use alloc::sync::Arc;

use ::fs::pseudo::PseudoNode;
use setting::Settings;

use crate::net::tcp;
use crate::pseudo::Tree;

/// Puts the tree into the root of procfs.
pub fn fill(root: &Arc<PseudoNode>, dev: u64) {
    let settings = Settings { tree: Tree { dev, root: root.clone() } };
    kernel::fill(&settings);
    vm::fill(&settings);
    fs::fill(&settings);
    network(&settings);
}

fn network(s: &Settings) {
    s.fixed("net/core/netdev_max_backlog", "1000");
    s.fixed("net/core/optmem_max", "131072");
    s.fixed("net/core/rmem_default", "212992");
    s.fixed("net/core/rmem_max", "212992");
    s.fixed("net/core/somaxconn", "4096");
    s.fixed("net/core/wmem_default", "212992");
    s.fixed("net/core/wmem_max", "212992");
    s.fixed("net/unix/max_dgram_qlen", "512");
    s.uint("net/ipv4/tcp_max_tw_buckets", &tcp::MAX_TIME_WAITS, 0..=i32::MAX as u32);
}
