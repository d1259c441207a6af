//! `/proc/PID/attr`: what a security module has labelled a thread with (proc_pid_attr(5)). There is
//! none.

use alloc::sync::Arc;

use fs::pseudo::{NodeSpec, PseudoNode};
use syscall_shim::Errno;

const LABELS: [&str; 5] = ["current", "exec", "fscreate", "keycreate", "sockcreate"];

/// The directory. Without a module neither reading nor writing is known to anybody.
pub fn directory(dev: u64, spec: NodeSpec) -> Arc<PseudoNode> {
    let dir = PseudoNode::dir(spec);
    let own =
        |key: u64, mode: u32| NodeSpec::new(dev, mode).ino(spec.ino + (key << 20)).owner(spec.uid, spec.gid).size(Some(0));
    for (key, name) in (1..).zip(LABELS) {
        dir.insert(name, PseudoNode::control(own(key, 0o666), || Err(Errno::EINVAL), |_| Err(Errno::EINVAL)));
    }
    dir.insert("prev", PseudoNode::text(own(LABELS.len() as u64 + 1, 0o444), || Err(Errno::EINVAL)));
    dir
}
