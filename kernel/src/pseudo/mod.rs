//! procfs (proc(5)) and sysfs (sysfs(5)): the state of the kernel, as files.
//!
//! The `fs` crate has the nodes and the texts; here is what they tell. A text is made when it is
//! read, from the live state.

mod proc;
mod sys;
mod sys_block;
mod sys_net;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use fs::pseudo::{NodeSpec, PseudoNode};
use fs::{Inode, InodeRef};
use syscall_shim::SysResult;

pub use proc::{file_system as procfs, is_user_namespace, open_namespace, process_of_directory};
pub use sys::file_system as sysfs;

/// A tree of fixed files under construction. Paths have the form `a/b/c`.
struct Tree {
    dev: u64,
    /// What files have as [`NodeSpec::size`].
    size: Option<u64>,
    root: Arc<PseudoNode>,
}

impl Tree {
    /// The directory at `path`, made with its parents where it is missing.
    fn dir(&self, path: &str) -> Arc<PseudoNode> {
        let mut at = self.root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = match at.lookup(name.as_bytes()).ok().and_then(as_pseudo_node) {
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

    fn spec(&self, mode: u32) -> NodeSpec {
        NodeSpec::new(self.dev, mode).size(self.size)
    }

    fn put(&self, path: &str, node: InodeRef) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.dir(dir).insert(name, node);
    }

    /// A file whose text never changes.
    fn fixed(&self, path: &str, text: &'static str) {
        self.put(path, PseudoNode::fixed(self.spec(0o444), text));
    }

    /// A file whose text is made when it is read.
    fn text(&self, path: &str, read: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static) {
        self.put(path, PseudoNode::text(self.spec(0o444), read));
    }

    /// A file of one line that is made when it is read.
    fn line(&self, path: &str, read: impl Fn() -> String + Send + Sync + 'static) {
        self.text(path, move || {
            let mut line = read();
            line.push('\n');
            Ok(line.into_bytes())
        });
    }

    /// A file that the super-user writes.
    fn control(
        &self,
        path: &str,
        read: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static,
        write: impl Fn(&[u8]) -> SysResult<()> + Send + Sync + 'static,
    ) {
        self.put(path, PseudoNode::control(self.spec(0o644), read, write));
    }
}

fn as_pseudo_node(node: InodeRef) -> Option<Arc<PseudoNode>> {
    let node: Arc<dyn Any + Send + Sync> = node;
    node.downcast().ok()
}
