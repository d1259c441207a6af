//! A mounted file system.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use block::device::Device;
use ext4::{Ext4, MountOptions};
use fs::platform::platform;
use fs::sync::SleepLock;
use fs::{FileSystem, InodeRef, StatFs};
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use crate::device::{Disk, Machine};
use crate::node::Node;
use crate::options::{Options, TYPES};

/// The root directory's number.
const ROOT: u32 = 2;
/// Blocks of metadata that are kept.
const CACHE_BLOCKS: usize = 1024;
/// Dirty pages beyond which writers write back themselves; and where memory is short.
const ENOUGH_DIRTY: u64 = 4096;
const ENOUGH_DIRTY_WHERE_SHORT: u64 = 256;

/// Whether one has been mounted to be written to.
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Whether what programs have written may not be on a disk yet: for a kernel that has failed. Takes
/// no lock.
pub fn has_written() -> bool {
    WRITTEN.load(Ordering::Relaxed)
}

/// A mounted file system.
pub struct Files {
    /// What is on the disk.
    pub(crate) core: Arc<Ext4>,
    kind: &'static str,
    device: Claimed,
    options: Options,
    /// Nodes that are in use, by number. A leaf lock.
    nodes: SpinLock<BTreeMap<u32, Weak<Node>>>,
    /// Those with dirty pages, which stay for that. A leaf lock; what is taken out is dropped after
    /// it is released.
    dirty: SpinLock<BTreeMap<u32, Arc<Node>>>,
    /// Files whose last name and last user are gone. A leaf lock.
    released: SpinLock<Vec<u32>>,
    /// The root, until somebody has asked for it.
    root: SpinLock<Option<Arc<Node>>>,
    rename_lock: SleepLock,
    me: Weak<Files>,
}

/// Mounts what is on a device. `EBUSY` where somebody has the device for himself, `EINVAL` for what
/// is no such file system, or has features that are not known, which the console names; `EROFS`
/// where it can only be read and is to be written.
pub fn mount(device: Arc<Device>, kind: &str, options: &str, read_only: bool, random: fn() -> u64) -> SysResult<Arc<Files>> {
    let kind = TYPES.into_iter().find(|known| *known == kind).ok_or(Errno::ENODEV)?;
    let options = Options::parse(options)?;
    device.claim()?;
    let device = Claimed(device);
    let core = Arc::new(open(&device.0, options, read_only, random)?);
    WRITTEN.fetch_or(!core.read_only(), Ordering::Relaxed);
    let files = Arc::new_cyclic(|me| Files {
        core,
        kind,
        device,
        options,
        nodes: SpinLock::new(BTreeMap::new()),
        dirty: SpinLock::new(BTreeMap::new()),
        released: SpinLock::new(Vec::new()),
        root: SpinLock::new(None),
        rename_lock: SleepLock::new(),
        me: me.clone(),
    });
    let root = files.node(ROOT)?;
    *files.root.lock() = Some(root);
    Ok(files)
}

/// A device that is a file system's.
struct Claimed(Arc<Device>);

impl Drop for Claimed {
    fn drop(&mut self) {
        self.0.unclaim();
    }
}

fn open(device: &Arc<Device>, options: Options, read_only: bool, random: fn() -> u64) -> SysResult<Ext4> {
    // What was written by way of the node is read from the disk.
    device.sync()?;
    device.cache.forget(0, u64::MAX)?;
    let machine = Arc::new(Machine { name: device.name(), random });
    let read_only = read_only || device.disk.read_only();
    let disk = Arc::new(Disk { device: device.clone(), read_only: device.disk.read_only() });
    let how = MountOptions { read_only, no_replay: options.no_replay, cache_blocks: CACHE_BLOCKS };
    Ext4::mount(disk, machine, how).map_err(|error| {
        kerr!("{} cannot be mounted: {error}", device.name());
        error.errno()
    })
}

impl Files {
    /// The node of a file, of which there is one at a time.
    pub(crate) fn node(&self, ino: u32) -> SysResult<Arc<Node>> {
        if let Some(node) = self.live(ino) {
            return Ok(node);
        }
        let files = self.me.upgrade().ok_or(Errno::ESTALE)?;
        let fresh = Node::load(files, ino)?;
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.get(&ino).and_then(Weak::upgrade) {
            drop(nodes);
            return Ok(node);
        }
        nodes.insert(ino, Arc::downgrade(&fresh));
        Ok(fresh)
    }

    /// The node, if somebody uses it.
    pub(crate) fn live(&self, ino: u32) -> Option<Arc<Node>> {
        self.nodes.lock().get(&ino).and_then(Weak::upgrade)
    }

    /// Nobody uses a node any more; without a name the file goes.
    pub(crate) fn unused(&self, ino: u32, has_names: bool) {
        let mut nodes = self.nodes.lock();
        if nodes.get(&ino).is_some_and(|node| node.strong_count() == 0) {
            nodes.remove(&ino);
        }
        drop(nodes);
        if !has_names {
            let mut released = self.released.lock();
            // Without memory for it the disk's own list of orphans remembers it, until the next
            // mount.
            if released.try_reserve(1).is_ok() {
                released.push(ino);
            }
        }
    }

    /// Files that are in use and have no name.
    fn nameless(&self) -> Vec<Arc<Node>> {
        let live: Vec<Arc<Node>> = self.nodes.lock().values().filter_map(Weak::upgrade).collect();
        live.into_iter().filter(|node| !node.has_names()).collect()
    }

    /// A file has lost a name.
    pub(crate) fn lost_name(&self, ino: u32) -> SysResult<()> {
        match self.live(ino) {
            Some(node) => node.refresh(),
            None => Ok(self.core.release(ino)?),
        }
    }

    /// Deletes files that have gone. Whoever changes something, or asks what is free, does it: the
    /// last user may have been one that must not wait.
    pub(crate) fn settle(&self) {
        if self.released.lock().is_empty() || self.read_only() {
            return;
        }
        let released = core::mem::take(&mut *self.released.lock());
        for ino in released {
            if self.live(ino).is_none() && self.core.release(ino).is_err() {
                kwarn!("{}: file {ino} cannot be deleted: fsck will do it", self.device.0.name());
            }
        }
    }

    /// Lets go of dirty files that have neither a name nor a user, whose pages nobody will read;
    /// then deletes what has gone.
    fn settle_all(&self) {
        let mut from = 0;
        loop {
            let mut dirty = self.dirty.lock();
            let useless = |node: &Arc<Node>| Arc::strong_count(node) == 1 && !node.has_names();
            let found = dirty.range(from..).find(|(_, node)| useless(node)).map(|(ino, _)| *ino);
            let node = found.and_then(|ino| dirty.remove(&ino));
            drop(dirty);
            let Some(node) = node else { break };
            from = node.ino;
        }
        self.settle();
    }

    /// A node has dirty pages.
    pub(crate) fn keep(&self, node: Arc<Node>) {
        let before = self.dirty.lock().insert(node.ino, node);
        drop(before);
    }

    /// Whether so many bytes more can be written, with all that is dirty. `ENOSPC`, `EROFS`.
    pub(crate) fn reserve(&self, bytes: u64) -> SysResult<()> {
        if self.read_only() {
            return Err(Errno::EROFS);
        }
        self.settle();
        let dirty: u64 = self.dirty.lock().values().map(|node| node.dirty_count()).sum();
        let wanted = (dirty + 1) * fs::PAGE_SIZE as u64 + bytes;
        let all = self.core.may_use_reserve();
        let room =
            || self.core.statfs().map(|sizes| if all { sizes.bfree } else { sizes.bavail }.saturating_mul(sizes.bsize));
        let enough = if platform().has_room() { ENOUGH_DIRTY } else { ENOUGH_DIRTY_WHERE_SHORT };
        if dirty > enough || room()? < wanted {
            self.settle_all();
            // Another error is told to those whose pages they are, at their next fsync(2).
            if self.write_back() == Err(Errno::ENOMEM) {
                return Err(Errno::ENOMEM);
            }
            if room()? < bytes {
                return Err(Errno::ENOSPC);
            }
        }
        Ok(())
    }

    /// Writes all dirty pages. Answers the first error.
    fn write_back(&self) -> SysResult<()> {
        let nodes: Vec<Arc<Node>> = self.dirty.lock().values().cloned().collect();
        let mut result = Ok(());
        for node in nodes {
            result = result.and(node.write_back());
            let mut dirty = self.dirty.lock();
            let clean = if node.dirty_count() == 0 { dirty.remove(&node.ino) } else { None };
            drop(dirty);
            drop(clean);
        }
        result
    }
}

impl FileSystem for Files {
    fn name(&self) -> &'static str {
        self.kind
    }

    fn dev(&self) -> u64 {
        self.device.0.rdev
    }

    fn root(&self) -> InodeRef {
        let first = self.root.lock().take();
        match first.map_or_else(|| self.node(ROOT), Ok) {
            Ok(root) => root,
            Err(_) => Node::lost(self.me.upgrade(), ROOT),
        }
    }

    fn statfs(&self) -> SysResult<StatFs> {
        self.settle_all();
        Ok(self.core.statfs()?)
    }

    fn options(&self) -> String {
        if self.options.no_replay { "norecovery".into() } else { String::new() }
    }

    fn read_only(&self) -> bool {
        self.core.read_only()
    }

    fn reconfigure(&self, options: &str, read_only: bool) -> SysResult<()> {
        Options::parse(options)?;
        self.settle_all();
        match (self.read_only(), read_only) {
            (false, true) if !self.nameless().is_empty() => Err(Errno::EBUSY),
            (false, true) => self.end(),
            (true, false) => Ok(self.core.make_writable()?),
            _ => Ok(()),
        }
    }

    fn rename_lock(&self) -> &SleepLock {
        &self.rename_lock
    }

    fn sync(&self) -> SysResult<()> {
        if self.read_only() {
            return Ok(());
        }
        self.settle_all();
        let written = self.write_back();
        self.settle();
        written.and(Ok(self.core.sync()?))
    }

    fn end(&self) -> SysResult<()> {
        if self.read_only() {
            return Ok(());
        }
        self.settle_all();
        // Nobody comes back to a file without a name. They are held until nothing can be deleted a
        // second time.
        let nameless = self.nameless();
        for node in &nameless {
            let dirty = self.dirty.lock().remove(&node.ino);
            drop(dirty);
            self.core.release(node.ino)?;
        }
        let synced = self.sync();
        synced.and(Ok(self.core.unmount()?))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.end().is_err() {
            kerr!("{}: not all that was written is on the disk", self.device.0.name());
        }
    }
}
