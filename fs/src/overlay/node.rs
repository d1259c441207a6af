//! A file of an overlay.

use super::find::Listing;
use super::layers::{Key, Layers, New, Place};
use crate::inode::{FileHandle, Inode, InodeCommon, InodeRef, Link, NewNode};
use crate::mapping::Mapping;
use crate::sync::{Mutex, SleepLock};
use crate::types::*;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::Once;
use syscall_shim::{Errno, SysResult};

/// The file.
pub struct Node {
    common: InodeCommon,
    pub(super) layers: Arc<Layers>,
    me: Weak<Node>,
    file_type: FileType,
    /// The topmost layer's, when it was found.
    base: Place,
    /// The writable layer's, from when it is there.
    pub(super) upper: Once<Place>,
    /// Those below: of directories all that are put together, of other files the one that is, or
    /// was, shown.
    pub(super) lower: Vec<Place>,
    /// The directory and the name of a file that is not in the writable layer.
    pub(super) home: Option<(Arc<Node>, Vec<u8>)>,
    /// Device and number that its own number is of, as long as it is not another file in the
    /// writable layer.
    origin: (u64, u64),
    /// It has lost its name.
    pub(super) gone: AtomicBool,
    /// Held while it is copied up. After the locks of inodes of the overlay, before those of the
    /// layers.
    pub(super) copying: SleepLock,
    pub(super) listing: Mutex<Listing>,
}

/// The node behind an inode of any file system.
pub(super) fn as_node(inode: &InodeRef) -> Option<&Node> {
    let inode: &dyn Any = &**inode;
    inode.downcast_ref()
}

impl Node {
    /// The root of the overlay.
    pub(super) fn root(layers: &Arc<Layers>) -> Arc<Node> {
        let upper = layers.upper.as_ref().map(|upper| upper.root.clone());
        let lower = match &upper {
            Some(upper) if layers.is_opaque(upper) => Vec::new(),
            _ => layers.lower.clone(),
        };
        match upper.clone().or_else(|| lower.first().cloned()) {
            Some(base) => Node::fresh(layers, base, upper, lower, None, None),
            // `Layers::new` insists on a layer.
            None => unreachable!("an overlay without layers"),
        }
    }

    /// The node of a file that these layers have, of which there is one at a time.
    pub(super) fn get(
        layers: &Arc<Layers>,
        upper: Option<Place>,
        lower: Vec<Place>,
        home: Option<(Arc<Node>, Vec<u8>)>,
    ) -> SysResult<Arc<Node>> {
        let base = upper.as_ref().or(lower.first()).cloned().ok_or(Errno::ENOENT)?;
        let upper_key = upper.as_ref().map(|place| Key::File(place.id().0, place.id().1));
        let origin = match (&upper, lower.first()) {
            (_, Some(first)) if base.is_dir() => first.id(),
            (Some(upper), _) => layers.origins.lock().get(&upper.id()).copied().unwrap_or(upper.id()),
            _ => base.id(),
        };
        let key = match &home {
            Some((dir, name)) if upper.is_none() && is_linked(&base) => Key::Name(dir.origin.1, name.clone()),
            _ => Key::File(origin.0, origin.1),
        };
        for known in [Some(&key), upper_key.as_ref()].into_iter().flatten() {
            let found = layers.nodes.lock().get(known).and_then(Weak::upgrade);
            // Where it has been copied up since the look at the layers, that is known already.
            if let Some(node) = found.filter(|node| upper.is_none() || node.upper.get().is_some()) {
                return Ok(node);
            }
        }
        let fresh = Node::fresh(layers, base, upper, lower, home, Some(origin));
        let mut nodes = layers.nodes.lock();
        if let Some(node) = nodes.get(&key).and_then(Weak::upgrade).filter(|node| node.upper.get().is_some()) {
            drop(nodes);
            return Ok(node);
        }
        nodes.insert(key, Arc::downgrade(&fresh));
        drop(nodes);
        Ok(fresh)
    }

    fn fresh(
        layers: &Arc<Layers>,
        base: Place,
        upper: Option<Place>,
        lower: Vec<Place>,
        home: Option<(Arc<Node>, Vec<u8>)>,
        origin: Option<(u64, u64)>,
    ) -> Arc<Node> {
        let (file_type, id) = (base.inode.file_type(), lower.first().unwrap_or(&base).id());
        Arc::new_cyclic(|me| Node {
            common: InodeCommon::new(),
            layers: layers.clone(),
            me: me.clone(),
            file_type,
            base,
            upper: upper.map_or_else(Once::new, Once::initialized),
            lower,
            home,
            origin: origin.unwrap_or(id),
            gone: AtomicBool::new(false),
            copying: SleepLock::new(),
            listing: Mutex::new(Listing::default()),
        })
    }

    /// A reference to itself.
    pub(super) fn myself(&self) -> SysResult<Arc<Node>> {
        self.me.upgrade().ok_or(Errno::ESTALE)
    }

    /// The file that is shown.
    pub(super) fn real(&self) -> &Place {
        self.upper.get().unwrap_or(&self.base)
    }

    /// The inode that is shown.
    fn inode(&self) -> &InodeRef {
        &self.real().inode
    }

    /// Whether several directories are put together.
    pub(super) fn is_merged(&self) -> bool {
        self.file_type == FileType::Dir && self.lower.len() + usize::from(self.upper.get().is_some()) > 1
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        let split = self.file_type != FileType::Dir && self.lower.first().is_some_and(is_linked);
        match self.upper.get() {
            Some(upper) if split => self.layers.number(upper.id()),
            _ => self.layers.number(self.origin),
        }
    }

    /// Remembers, once it is copied up, that the copy is this file.
    pub(super) fn copied(&self, to: Place) {
        let id = to.id();
        if self.file_type != FileType::Dir && self.lower.first().is_some_and(|lower| !is_linked(lower)) {
            self.layers.origins.lock().insert(id, self.origin);
        }
        let old = self.layers.nodes.lock().insert(Key::File(id.0, id.1), self.me.clone());
        drop(old);
        self.upper.call_once(|| to);
    }
}

/// Whether a file has several names.
fn is_linked(place: &Place) -> bool {
    !place.is_dir() && place.inode.metadata().nlink > 1
}

impl Inode for Node {
    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn metadata(&self) -> Metadata {
        let real = self.inode().metadata();
        let nlink = if self.is_merged() { 1 } else { real.nlink };
        // A name that only the layer below still has is gone here.
        let nlink = if self.gone.load(Ordering::Acquire) && self.upper.get().is_none() { 0 } else { nlink };
        Metadata { dev: self.layers.dev, ino: self.number(), nlink, ..real }
    }

    fn access_attrs(&self) -> AccessAttrs {
        self.inode().access_attrs()
    }

    fn file_type(&self) -> FileType {
        self.file_type
    }

    fn supports_acl(&self) -> bool {
        self.inode().supports_acl()
    }

    fn has_fileattr(&self) -> bool {
        self.inode().has_fileattr()
    }

    fn set_fileattr(&self, flags: u32) -> SysResult<()> {
        self.copy_up(false)?.inode.set_fileattr(flags)
    }

    fn setattr(&self, attr: &SetAttr) -> SysResult<()> {
        // That a file below was read is told nobody.
        if attr.keep_ctime && self.upper.get().is_none() {
            return Ok(());
        }
        self.copy_up(false)?.inode.setattr(attr)
    }

    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        Ok(self.find(name)?)
    }

    fn create(&self, name: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.add(name, &New::File, node)
    }

    fn mknod(&self, name: &[u8], node: NewNode, rdev: u64) -> SysResult<InodeRef> {
        let device = node.mode & S_IFMT;
        // As a device it would be a whiteout.
        if device == S_IFCHR && rdev == 0 {
            return Err(Errno::EPERM);
        }
        self.add(name, &if device == S_IFREG { New::File } else { New::Special(rdev) }, node)
    }

    fn mkdir(&self, name: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.add(name, &New::Dir, node)
    }

    fn symlink(&self, name: &[u8], target: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.add(name, &New::Symlink(target), node)
    }

    fn tmpfile(&self, node: NewNode) -> SysResult<InodeRef> {
        self.add_unnamed(node)
    }

    fn link(&self, name: &[u8], inode: &InodeRef) -> SysResult<()> {
        self.add_link(name, as_node(inode).ok_or(Errno::EXDEV)?)
    }

    fn unlink(&self, name: &[u8]) -> SysResult<()> {
        self.remove(name)
    }

    fn rmdir(&self, name: &[u8]) -> SysResult<()> {
        self.remove(name)
    }

    fn rename(&self, old_name: &[u8], new_dir: &InodeRef, new_name: &[u8], flags: RenameFlags) -> SysResult<()> {
        self.move_name(old_name, as_node(new_dir).ok_or(Errno::EXDEV)?, new_name, flags)
    }

    fn readdir(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        self.list(cookie, emit)
    }

    fn readlink(&self) -> SysResult<Vec<u8>> {
        self.inode().readlink()
    }

    fn follow_link(&self) -> SysResult<Link> {
        self.inode().follow_link()
    }

    fn mapping(&self) -> Option<&Arc<Mapping>> {
        self.inode().mapping()
    }

    fn before_writing(&self, truncates: bool) -> SysResult<()> {
        self.copy_up(truncates).map(|_| ())
    }

    fn open(&self, flags: OpenFlags) -> SysResult<Option<Arc<dyn FileHandle>>> {
        self.inode().open(flags)
    }

    fn special(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.inode().special()
    }

    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize> {
        self.inode().read_at(off, buf)
    }

    fn write_at(&self, off: u64, buf: &[u8]) -> SysResult<usize> {
        self.copy_up(false)?.inode.write_at(off, buf)
    }

    fn prepare_write(&self, off: u64, len: u64) -> SysResult<u64> {
        self.copy_up(false)?.inode.prepare_write(off, len)
    }

    fn truncate(&self, size: u64) -> SysResult<()> {
        self.copy_up(size == 0)?.inode.truncate(size)
    }

    fn fallocate(&self, mode: FallocateMode, off: u64, len: u64) -> SysResult<()> {
        self.copy_up(false)?.inode.fallocate(mode, off, len)
    }

    fn seek_data(&self, off: u64) -> SysResult<u64> {
        self.inode().seek_data(off)
    }

    fn seek_hole(&self, off: u64) -> SysResult<u64> {
        self.inode().seek_hole(off)
    }

    fn sync(&self, data_only: bool) -> SysResult<()> {
        self.upper.get().map_or(Ok(()), |upper| upper.inode.sync(data_only))
    }

    fn getxattr(&self, name: &[u8]) -> SysResult<Vec<u8>> {
        self.inode().getxattr(&self.layers.name_below(name))
    }

    fn setxattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> SysResult<()> {
        let name = self.layers.name_below(name);
        // Nothing is copied up for what fails.
        match self.inode().getxattr(&name) {
            Ok(_) if flags.contains(XattrFlags::CREATE) => return Err(Errno::EEXIST),
            Err(Errno::ENODATA) if flags.contains(XattrFlags::REPLACE) => return Err(Errno::ENODATA),
            _ => {}
        }
        self.copy_up(false)?.inode.setxattr(&name, value, flags)
    }

    fn listxattr(&self) -> SysResult<Vec<Vec<u8>>> {
        Ok(self.inode().listxattr()?.iter().filter_map(|name| self.layers.name_above(name)).collect())
    }

    fn removexattr(&self, name: &[u8]) -> SysResult<()> {
        let name = self.layers.name_below(name);
        if self.upper.get().is_none() {
            self.inode().getxattr(&name)?;
        }
        self.copy_up(false)?.inode.removexattr(&name)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let upper = self.upper.get().map(Place::id);
        let is_last = self.upper.get().is_some_and(|upper| upper.inode.metadata().nlink == 0);
        let name = self.home.take().map(|(dir, name)| Key::Name(dir.origin.1, name));
        let ids = [Some(self.origin), upper].into_iter().flatten().map(|(dev, ino)| Key::File(dev, ino));
        let mut nodes = self.layers.nodes.lock();
        for key in ids.chain(name) {
            if nodes.get(&key).is_some_and(|node| node.strong_count() == 0) {
                nodes.remove(&key);
            }
        }
        drop(nodes);
        if let Some(id) = upper.filter(|_| is_last) {
            self.layers.origins.lock().remove(&id);
        }
    }
}
