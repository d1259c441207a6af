//! overlayfs: a layer that is written to over layers that are only read (Linux
//! Documentation/filesystems/overlayfs.rst). What it leaves in the writable layer is what Linux's
//! leaves: whiteouts are character devices 0/0, directories that hide those below have the
//! attribute `trusted.overlay.opaque`, so that either goes on where the other has stopped.
//!
//! [`layers`] is what a mount knows of its layers and does in them, by the namespace's own calls,
//! so that whoever sees a layer elsewhere sees it change. [`node`] is a file, `find` puts
//! directories together, `copy_up` brings a file into the writable layer before it changes,
//! `change` makes, removes and renames. Not there, as without Linux's options for them: renamed
//! directories that are below (`EXDEV`), one index for hard links that are copied up, content that
//! stays below.
//!
//! Locks: an overlay's inode is locked before those of its layers, and a layer may be an overlay
//! only once.

mod change;
mod copy_up;
mod find;
mod layers;
mod node;
pub mod options;
#[cfg(test)]
mod tests;

pub use options::Options;

use crate::inode::{FileSystem, InodeRef};
use crate::namespace::Namespace;
use crate::path::Path;
use crate::sync::SleepLock;
use crate::types::*;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use layers::Layers;
use node::Node;
use syscall_shim::{Errno, SysResult};

/// `OVERLAYFS_SUPER_MAGIC`.
const MAGIC: u64 = 0x794c_7630;

/// The places of the layers.
pub struct Places {
    /// Those that are only read, the topmost first.
    pub lower: Vec<Path>,
    /// The one that is written to, and an empty directory of its file system.
    pub upper: Option<(Path, Path)>,
}

/// A mounted overlay.
pub struct Overlay {
    layers: Arc<Layers>,
    root: Arc<Node>,
    shown: String,
    read_only: AtomicBool,
    rename_lock: SleepLock,
}

impl Overlay {
    /// An overlay of these layers. `shown` are its options for /proc/mounts. `ENOTDIR` for what is
    /// no directory; `EINVAL` where the writable layer cannot be written, its work directory is
    /// elsewhere or one lies in the other, or a layer is an overlay of overlays.
    pub fn new(ns: &Arc<Namespace>, places: Places, user_xattr: bool, shown: String) -> SysResult<Arc<Overlay>> {
        let layers = Layers::new(ns, places, user_xattr)?;
        let root = Node::root(&layers);
        let read_only = AtomicBool::new(layers.upper.is_none());
        Ok(Arc::new(Overlay { layers, root, shown, read_only, rename_lock: SleepLock::new() }))
    }

    fn written(&self) -> Option<&Arc<dyn FileSystem>> {
        self.layers.upper.as_ref().map(|upper| &upper.root.path.mount.fs)
    }
}

impl FileSystem for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn dev(&self) -> u64 {
        self.layers.dev
    }

    fn root(&self) -> InodeRef {
        self.root.clone()
    }

    fn statfs(&self) -> SysResult<StatFs> {
        let below = || self.layers.lower.first().map(|place| &place.path.mount.fs);
        let sizes = self.written().or_else(below).ok_or(Errno::EIO)?.statfs()?;
        Ok(StatFs { magic: MAGIC, ..sizes })
    }

    fn options(&self) -> String {
        self.shown.clone()
    }

    fn read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    fn reconfigure(&self, _options: &str, read_only: bool) -> SysResult<()> {
        if !read_only && self.layers.upper.is_none() {
            return Err(Errno::EROFS);
        }
        self.read_only.store(read_only, Ordering::Relaxed);
        Ok(())
    }

    fn rename_lock(&self) -> &SleepLock {
        &self.rename_lock
    }

    fn sync(&self) -> SysResult<()> {
        self.written().map_or(Ok(()), |fs| fs.sync())
    }

    fn end(&self) -> SysResult<()> {
        let mut result = self.written().map_or(Ok(()), |fs| fs.end());
        for place in &self.layers.lower {
            result = result.and(place.path.mount.fs.end());
        }
        result
    }
}
