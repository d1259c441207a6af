//! The layers of a mount, and what is done in them.

use super::Places;
use super::node::Node;
use crate::inode::{InodeRef, NewNode, alloc_anon_dev};
use crate::mount::{Mount, MountFlags};
use crate::namespace::Namespace;
use crate::path::Path;
use crate::sync::Mutex;
use crate::types::*;
use crate::walk::{FsContext, LookupFlags};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use syscall_shim::{Errno, SysResult};

/// Overlays on one another, as Linux's `FILESYSTEM_MAX_STACK_DEPTH`.
const MAX_DEPTH: u32 = 2;
/// Where the device is in a number of an inode, if the layers are on several.
const DEVICE_SHIFT: u32 = 56;
/// What stands behind the prefix of a mark in names that only look like one.
const ESCAPED: &[u8] = b"overlay.";
/// Directories in the work directory that an earlier machine left are removed to this depth.
const MAX_CLEANED: u32 = 8;

/// A file of a layer.
#[derive(Clone)]
pub(super) struct Place {
    pub path: Path,
    pub inode: InodeRef,
}

impl Place {
    pub fn new(path: Path) -> SysResult<Place> {
        let inode = path.inode()?.clone();
        Ok(Place { path, inode })
    }

    pub fn is_dir(&self) -> bool {
        self.inode.file_type() == FileType::Dir
    }

    /// Device and number.
    pub fn id(&self) -> (u64, u64) {
        (self.path.mount.fs.dev(), self.inode.metadata().ino)
    }
}

/// What a name stands for in one layer.
pub(super) enum Child {
    None,
    /// It is hidden in the layers below.
    Whiteout,
    Found(Place),
}

/// By what a file is found again while it is in use.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The file of a layer that it begins with.
    File(u64, u64),
    /// A name in a directory: files below with several names become several when they are copied
    /// up.
    Name(u64, Vec<u8>),
}

/// What is made.
pub(super) enum New<'a> {
    File,
    Dir,
    Symlink(&'a [u8]),
    /// A device with that number, a FIFO or a socket.
    Special(u64),
}

/// The layer that is written to.
pub(super) struct Upper {
    pub root: Place,
    /// Where files are made before they get their place.
    pub work: Place,
}

/// What a mount knows of its layers.
pub(super) struct Layers {
    namespace: Weak<Namespace>,
    pub dev: u64,
    pub upper: Option<Upper>,
    pub lower: Vec<Place>,
    /// The devices that layers are on.
    devices: Vec<u64>,
    /// How the names of marks begin.
    prefix: &'static [u8],
    depth: u32,
    /// Files in use. A leaf lock; what is taken out is dropped after it is released.
    pub nodes: Mutex<BTreeMap<Key, Weak<Node>>>,
    /// The files below that files of the writable layer are copies of. A leaf lock.
    pub origins: Mutex<BTreeMap<(u64, u64), (u64, u64)>>,
    next_name: AtomicU64,
}

/// The same place in a mount of our own, which nothing is mounted on.
fn own(path: &Path, flags: MountFlags) -> SysResult<Place> {
    let mount = Mount::new(path.mount.fs.clone(), Some(path.mount.root.clone()), &path.mount.source, flags);
    let place = Place::new(Path::new(mount, path.dentry.clone()))?;
    if place.is_dir() { Ok(place) } else { Err(Errno::ENOTDIR) }
}

fn depth_of(place: &Place) -> u32 {
    let inode: &dyn Any = &*place.inode;
    inode.downcast_ref::<Node>().map_or(0, |node| node.layers.depth)
}

impl Layers {
    pub fn new(ns: &Arc<Namespace>, places: Places, user_xattr: bool) -> SysResult<Arc<Layers>> {
        let read = |path: &Path| own(path, MountFlags::RDONLY | MountFlags::NOATIME);
        let lower = places.lower.iter().map(read).collect::<SysResult<Vec<Place>>>()?;
        let mut layers = Layers {
            namespace: Arc::downgrade(ns),
            dev: alloc_anon_dev(),
            upper: None,
            devices: Vec::new(),
            prefix: if user_xattr { b"user.overlay." } else { b"trusted.overlay." },
            depth: lower.iter().map(depth_of).max().unwrap_or(0) + 1,
            lower,
            nodes: Mutex::new(BTreeMap::new()),
            origins: Mutex::new(BTreeMap::new()),
            next_name: AtomicU64::new(0),
        };
        if let Some((upper, work)) = places.upper {
            layers.upper = Some(layers.writable(&upper, &work)?);
        }
        if layers.depth > MAX_DEPTH {
            return Err(Errno::EINVAL);
        }
        let upper = layers.upper.iter().map(|upper| &upper.root);
        for place in upper.chain(&layers.lower) {
            let dev = place.path.mount.fs.dev();
            if !layers.devices.contains(&dev) {
                layers.devices.push(dev);
            }
        }
        Ok(Arc::new(layers))
    }

    fn writable(&mut self, upper: &Path, work: &Path) -> SysResult<Upper> {
        let root = own(upper, MountFlags::RELATIME)?;
        let below = |a: &Path, b: &Path| a.dentry.is_ancestor_of(&b.dentry);
        if !Arc::ptr_eq(&upper.mount, &work.mount) || below(upper, work) || below(work, upper) || upper.mount.read_only() {
            return Err(Errno::EINVAL);
        }
        self.depth = self.depth.max(depth_of(&root) + 1);
        let outer = Place::new(Path::new(root.path.mount.clone(), work.dentry.clone()))?;
        if !outer.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        // Linux's own name for it.
        if let Child::Found(old) = self.child(&outer, b"work")? {
            self.clean(&outer, b"work", &old, MAX_CLEANED)?;
        }
        let work = self.make(&outer, b"work", &New::Dir, NewNode { mode: 0, uid: 0, gid: 0 })?;
        Ok(Upper { root, work })
    }

    pub fn namespace(&self) -> SysResult<Arc<Namespace>> {
        self.namespace.upgrade().ok_or(Errno::ESTALE)
    }

    pub fn writable_layer(&self) -> SysResult<&Upper> {
        self.upper.as_ref().ok_or(Errno::EROFS)
    }

    /// Calls something of the namespace as the super-user.
    pub fn act<T>(&self, call: impl FnOnce(&Namespace, &FsContext<'_>) -> SysResult<T>) -> SysResult<T> {
        let ns = self.namespace()?;
        call(&ns, &ns.kernel_context())
    }

    /// The number of a file of a layer, as the overlay tells it.
    pub fn number(&self, (dev, ino): (u64, u64)) -> u64 {
        let index = self.devices.iter().position(|device| *device == dev).unwrap_or(0);
        ino ^ (index as u64) << DEVICE_SHIFT
    }

    /// What a name stands for in a directory of a layer.
    pub fn child(&self, dir: &Place, name: &[u8]) -> SysResult<Child> {
        match self.act(|ns, ctx| ns.resolve(ctx, Some(&dir.path), name, LookupFlags::default())) {
            Err(Errno::ENOENT) => Ok(Child::None),
            Err(errno) => Err(errno),
            Ok(path) => {
                let place = Place::new(path)?;
                let whiteout = place.inode.file_type() == FileType::Char && place.inode.metadata().rdev == 0;
                Ok(if whiteout { Child::Whiteout } else { Child::Found(place) })
            }
        }
    }

    /// Whether a directory hides those below it.
    pub fn is_opaque(&self, dir: &Place) -> bool {
        dir.inode.getxattr(&self.mark("opaque")).is_ok_and(|value| value == b"y")
    }

    /// Has a directory hide those below it.
    pub fn set_opaque(&self, dir: &Place) -> SysResult<()> {
        dir.inode.setxattr(&self.mark("opaque"), b"y", XattrFlags::empty())
    }

    fn mark(&self, name: &str) -> Vec<u8> {
        [self.prefix, name.as_bytes()].concat()
    }

    /// Whether an attribute of a layer is a mark of this overlay, which nobody sees in it.
    pub fn is_mark(&self, name: &[u8]) -> bool {
        name.strip_prefix(self.prefix).is_some_and(|rest| !rest.starts_with(ESCAPED))
    }

    /// The name that an attribute has in the layers: one that would be a mark is escaped, so that
    /// an overlay can be a layer's content.
    pub fn name_below<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        match name.strip_prefix(self.prefix) {
            Some(rest) => Cow::Owned([self.prefix, ESCAPED, rest].concat()),
            None => Cow::Borrowed(name),
        }
    }

    /// The name that an attribute of a layer has in the overlay; `None` for a mark.
    pub fn name_above(&self, name: &[u8]) -> Option<Vec<u8>> {
        match name.strip_prefix(self.prefix) {
            Some(rest) => Some([self.prefix, rest.strip_prefix(ESCAPED)?].concat()),
            None => Some(name.to_vec()),
        }
    }

    /// Makes a file in a directory of the writable layer, with the owner and mode that are said.
    pub fn make(&self, dir: &Place, name: &[u8], new: &New<'_>, node: NewNode) -> SysResult<Place> {
        let at = Some(&dir.path);
        let path = self.act(|ns, ctx| match new {
            New::File => ns.mknod(ctx, at, name, S_IFREG | 0o600, 0),
            New::Dir => ns.mkdir(ctx, at, name, 0o700),
            New::Symlink(target) => ns.symlink(ctx, target, at, name),
            New::Special(rdev) => ns.mknod(ctx, at, name, node.mode & S_IFMT, *rdev),
        })?;
        let place = Place::new(path)?;
        let mode = (!matches!(new, New::Symlink(_))).then_some(node.mode & 0o7777);
        let attr = SetAttr { mode, uid: Some(node.uid), gid: Some(node.gid), ..SetAttr::default() };
        match place.inode.setattr(&attr) {
            Ok(()) => Ok(place),
            Err(errno) => {
                self.discard(dir, name, &place);
                Err(errno)
            }
        }
    }

    /// Makes a file in the work directory. Answers its name there.
    pub fn make_aside(&self, new: &New<'_>, node: NewNode) -> SysResult<(Place, String)> {
        let work = &self.writable_layer()?.work;
        let name = self.free_name();
        Ok((self.make(work, name.as_bytes(), new, node)?, name))
    }

    /// A name in the work directory that nothing has.
    pub fn free_name(&self) -> String {
        format!("#{:x}", self.next_name.fetch_add(1, Ordering::Relaxed))
    }

    /// A whiteout in the work directory. Answers its name there.
    pub fn whiteout_aside(&self) -> SysResult<String> {
        self.make_aside(&New::Special(0), NewNode { mode: S_IFCHR, uid: 0, gid: 0 }).map(|(_, name)| name)
    }

    /// Moves what is in the work directory to its place.
    pub fn put(&self, name: &str, dir: &Place, to: &[u8], flags: RenameFlags) -> SysResult<()> {
        let work = &self.writable_layer()?.work;
        let moved = self.act(|ns, ctx| ns.rename(ctx, Some(&work.path), name.as_bytes(), Some(&dir.path), to, flags));
        if moved.is_err()
            && let Ok(Child::Found(place)) = self.child(work, name.as_bytes())
        {
            self.discard(work, name.as_bytes(), &place);
        }
        moved
    }

    /// Removes what is in the work directory under this name, whatever it is.
    pub fn drop_aside(&self, name: &str) {
        let Some(upper) = &self.upper else { return };
        let removed = match self.child(&upper.work, name.as_bytes()) {
            Ok(Child::Found(place)) => self.clean(&upper.work, name.as_bytes(), &place, 1),
            Ok(Child::Whiteout) => self.act(|ns, ctx| ns.unlink(ctx, Some(&upper.work.path), name.as_bytes())),
            _ => Ok(()),
        };
        // What stays is removed by the next mount.
        let _ = removed;
    }

    /// Removes a file that could not be finished.
    fn discard(&self, dir: &Place, name: &[u8], place: &Place) {
        let at = Some(&dir.path);
        let is_dir = place.is_dir();
        let _ = self.act(|ns, ctx| if is_dir { ns.rmdir(ctx, at, name) } else { ns.unlink(ctx, at, name) });
    }

    /// Removes a file, and what is in it to that depth.
    fn clean(&self, dir: &Place, name: &[u8], place: &Place, depth: u32) -> SysResult<()> {
        if !place.is_dir() {
            return self.act(|ns, ctx| ns.unlink(ctx, Some(&dir.path), name));
        }
        for inner in names(place)? {
            match self.child(place, &inner)? {
                Child::Found(found) if depth > 0 => self.clean(place, &inner, &found, depth - 1)?,
                Child::Whiteout => self.act(|ns, ctx| ns.unlink(ctx, Some(&place.path), &inner))?,
                _ => {}
            }
        }
        self.act(|ns, ctx| ns.rmdir(ctx, Some(&dir.path), name))
    }

    /// Removes the whiteouts in a directory of the writable layer, which else is empty.
    pub fn clear_whiteouts(&self, dir: &Place) -> SysResult<()> {
        for name in names(dir)? {
            if let Child::Whiteout = self.child(dir, &name)? {
                self.act(|ns, ctx| ns.unlink(ctx, Some(&dir.path), &name))?;
            }
        }
        Ok(())
    }
}

/// The names in a directory of a layer.
fn names(dir: &Place) -> SysResult<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    dir.inode.readdir(2, &mut |entry| {
        all.push(entry.name.to_vec());
        true
    })?;
    Ok(all)
}
