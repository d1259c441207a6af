//! procfs and sysfs: what this kernel's files in /proc and /sys show. The formats are the file crate's.

mod proc;
mod sys;

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::pseudo::{NodeSpec, PROC_MAGIC, PseudoFs, PseudoNode, SYSFS_MAGIC};
use fs::{FileSystem, InodeRef};
use syscall_shim::SysResult;

/// procfs, for mounting at /proc.
pub fn procfs() -> Arc<dyn FileSystem> {
    PseudoFs::new("proc", PROC_MAGIC, proc::root)
}

/// sysfs, for mounting at /sys.
pub fn sysfs() -> Arc<dyn FileSystem> {
    PseudoFs::new("sysfs", SYSFS_MAGIC, sys::root)
}

/// A tree of fixed directories under construction.
struct Tree {
    dev: u64,
    root: Arc<PseudoNode>,
}

impl Tree {
    /// Inserts `node` at `path` (`a/b/c`), making the directories on the way.
    fn put(&self, path: &str, node: InodeRef) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.dir(dir).insert(name, node);
    }

    /// The directory at `path`, made if it is missing.
    fn dir(&self, path: &str) -> Arc<PseudoNode> {
        let mut at = self.root.clone();
        for name in path.split('/').filter(|n| !n.is_empty()) {
            at = match fs::Inode::lookup(&*at, name.as_bytes()).ok().and_then(downcast) {
                Some(next) => next,
                None => {
                    let next = PseudoNode::dir(NodeSpec::new(self.dev, 0o555));
                    at.insert(name, next.clone());
                    next
                }
            };
        }
        at
    }

    /// A file whose text never changes.
    fn fixed(&self, path: &str, text: &'static str) {
        self.put(path, PseudoNode::fixed(NodeSpec::new(self.dev, 0o444), text));
    }

    /// A file whose text is made when it is read.
    fn text(&self, path: &str, read: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static) {
        self.put(path, PseudoNode::text(NodeSpec::new(self.dev, 0o444), read));
    }

    /// A file that can be written, too.
    fn control(
        &self,
        path: &str,
        read: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static,
        write: impl Fn(&[u8]) -> SysResult<()> + Send + Sync + 'static,
    ) {
        self.put(path, PseudoNode::control(NodeSpec::new(self.dev, 0o644), read, write));
    }

    /// A symbolic link.
    fn link(&self, path: &str, target: &'static str) {
        self.put(path, PseudoNode::link(NodeSpec::new(self.dev, 0o777), move || Ok(target.as_bytes().to_vec())));
    }
}

/// The node as what it is, for going on building below it.
fn downcast(node: InodeRef) -> Option<Arc<PseudoNode>> {
    let node: Arc<dyn core::any::Any + Send + Sync> = node;
    node.downcast().ok()
}
