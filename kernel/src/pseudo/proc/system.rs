//! The files of /proc that are about the whole system.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::pseudo::{NodeSpec, PseudoNode, format};
use syscall_shim::SysResult;

use crate::arch::clock;
use crate::task::uts;

/// Puts the files into the root of procfs.
pub fn fill(root: &Arc<PseudoNode>, dev: u64) {
    let file = |name, read: fn() -> SysResult<Vec<u8>>| {
        root.insert(name, PseudoNode::text(NodeSpec::new(dev, 0o444), read));
    };
    file("uptime", uptime);
    file("version", version);
}

fn version() -> SysResult<Vec<u8>> {
    Ok(format::version("Linux", uts::RELEASE, "skiff", uts::VERSION))
}

fn uptime() -> SysResult<Vec<u8>> {
    Ok(format::uptime(clock::monotonic_ns() / 10_000_000, 0))
}
