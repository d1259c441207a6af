//! A file.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use fs::inode::NewNode;
use fs::mapping::Mapping;
use fs::sync::SleepLock;
use fs::{
    AccessAttrs, DirEntry, FallocateMode, FileType, Inode, InodeCommon, InodeRef, MODE_BITS, Metadata, PAGE_SIZE,
    RenameFlags, S_IFCHR, S_IFDIR, S_IFREG, SetAttr, XattrFlags,
};
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use crate::content::Content;
use crate::files::Files;

const PAGE: u64 = PAGE_SIZE as u64;
/// A flag beside the mode, and as `FS_*_FL`.
const FLAGS: [(u32, u32); 4] = [(fs::IMMUTABLE, 0x10), (fs::APPEND_ONLY, 0x20), (fs::NODUMP, 0x40), (fs::NOATIME, 0x80)];
/// An attribute of which the mode tells.
const ATTRIBUTES: [(u32, &[u8]); 3] = [
    (fs::HAS_ACL, b"system.posix_acl_access"),
    (fs::HAS_DEFAULT_ACL, b"system.posix_acl_default"),
    (fs::HAS_CAPABILITY, b"security.capability"),
];

/// A file of any type.
pub struct Node {
    common: InodeCommon,
    files: Option<Arc<Files>>,
    /// Its number.
    pub ino: u32,
    file_type: FileType,
    /// As on the disk when something last changed; the size is the mapping's. A leaf lock.
    attrs: SpinLock<Metadata>,
    /// Held from the look at the disk until `attrs` has it, so that what is newer is not
    /// overwritten. Before the file system's locks.
    refreshing: SleepLock,
    mapping: Option<Arc<Mapping>>,
    me: Weak<Node>,
}

impl Node {
    /// The file, as it is on the disk.
    pub(crate) fn load(files: Arc<Files>, ino: u32) -> SysResult<Arc<Node>> {
        let attrs = attributes(&files, ino)?;
        let file_type = FileType::from_mode(attrs.mode).ok_or(Errno::EUCLEAN)?;
        Ok(Arc::new_cyclic(|me: &Weak<Node>| {
            let content = || Content { core: files.core.clone(), ino, node: me.clone() };
            let mapping = (file_type == FileType::Regular).then(|| Mapping::new(Some(Arc::new(content())), attrs.size));
            let attrs = SpinLock::new(attrs);
            let refreshing = SleepLock::new();
            Node {
                common: InodeCommon::new(),
                files: Some(files),
                ino,
                file_type,
                attrs,
                refreshing,
                mapping,
                me: me.clone(),
            }
        }))
    }

    /// What stands for a directory that cannot be read.
    pub(crate) fn lost(files: Option<Arc<Files>>, ino: u32) -> Arc<Node> {
        let attrs = SpinLock::new(Metadata { ino: ino.into(), mode: S_IFDIR, nlink: 1, ..Metadata::default() });
        let me = Weak::new();
        let (common, refreshing) = (InodeCommon::new(), SleepLock::new());
        Arc::new(Node { common, files, ino, file_type: FileType::Dir, attrs, refreshing, mapping: None, me })
    }

    fn files(&self) -> SysResult<&Arc<Files>> {
        self.files.as_ref().ok_or(Errno::EIO)
    }

    /// Bytes, as whoever reads sees them.
    pub(crate) fn size(&self) -> u64 {
        self.mapping.as_ref().map_or_else(|| self.attrs.lock().size, |mapping| mapping.size())
    }

    /// Whether a directory has it.
    pub(crate) fn has_names(&self) -> bool {
        self.attrs.lock().nlink > 0
    }

    /// Pages that are not written back.
    pub(crate) fn dirty_count(&self) -> u64 {
        self.mapping.as_ref().map_or(0, |mapping| mapping.dirty_count())
    }

    /// Has the file system keep the node as long as a page of it is dirty.
    pub(crate) fn keep_dirty(&self) {
        if let (Some(files), Some(me)) = (&self.files, self.me.upgrade()) {
            files.keep(me);
        }
    }

    /// Writes dirty pages back.
    pub(crate) fn write_back(&self) -> SysResult<()> {
        let Some(mapping) = &self.mapping else { return Ok(()) };
        mapping.write_back(0, u64::MAX)?;
        self.refresh()
    }

    /// Looks at the attributes again, after a change that leaves flags and extended attributes
    /// alone.
    pub(crate) fn refresh(&self) -> SysResult<()> {
        let files = self.files()?;
        let _one = self.refreshing.lock();
        let fresh = files.core.metadata(self.ino)?;
        let mut attrs = self.attrs.lock();
        *attrs = Metadata { dev: attrs.dev, mode: fresh.mode | attrs.mode & !MODE_BITS, ..fresh };
        Ok(())
    }

    /// Looks at all of them again.
    fn reload(&self) -> SysResult<()> {
        let _one = self.refreshing.lock();
        let fresh = attributes(self.files()?, self.ino)?;
        *self.attrs.lock() = fresh;
        Ok(())
    }

    /// The node of a new file of this directory.
    fn made(&self, ino: u32) -> SysResult<InodeRef> {
        let files = self.files()?;
        self.refresh()?;
        Ok(files.node(ino)?)
    }

    /// The file system, for a change.
    fn to_change(&self) -> SysResult<&Arc<Files>> {
        let files = self.files()?;
        files.settle();
        Ok(files)
    }
}

/// The attributes of a file, with what the mode says of flags and extended attributes.
fn attributes(files: &Arc<Files>, ino: u32) -> SysResult<Metadata> {
    let mut attrs = files.core.metadata(ino)?;
    let flags = files.core.flags(ino)?;
    let names = files.core.listxattr(ino)?;
    attrs.mode &= MODE_BITS;
    attrs.mode |= FLAGS.iter().filter(|(_, flag)| flags & flag != 0).fold(0, |all, (bit, _)| all | bit);
    attrs.mode |= ATTRIBUTES.iter().filter(|(_, name)| names.iter().any(|n| n == name)).fold(0, |all, (bit, _)| all | bit);
    attrs.dev = fs::FileSystem::dev(&**files);
    Ok(attrs)
}

fn of_type(node: NewNode, kind: u32) -> NewNode {
    NewNode { mode: kind | node.mode & 0o7777, ..node }
}

/// The node behind an inode of any file system.
fn as_node(inode: &InodeRef) -> Option<&Node> {
    let inode: &dyn Any = &**inode;
    inode.downcast_ref()
}

impl Inode for Node {
    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn metadata(&self) -> Metadata {
        let attrs = self.attrs.lock().clone();
        Metadata { mode: attrs.mode & MODE_BITS, size: self.mapping.as_ref().map_or(attrs.size, |m| m.size()), ..attrs }
    }

    fn access_attrs(&self) -> AccessAttrs {
        let attrs = self.attrs.lock();
        AccessAttrs { mode: attrs.mode, uid: attrs.uid, gid: attrs.gid }
    }

    fn file_type(&self) -> FileType {
        self.file_type
    }

    fn supports_acl(&self) -> bool {
        true
    }

    fn has_fileattr(&self) -> bool {
        matches!(self.file_type, FileType::Regular | FileType::Dir)
    }

    fn set_fileattr(&self, wanted: u32) -> SysResult<()> {
        if !self.has_fileattr() {
            return Err(Errno::ENOTTY);
        }
        let files = self.to_change()?;
        let mut flags = files.core.flags(self.ino)?;
        for (bit, flag) in FLAGS {
            flags = if wanted & bit != 0 { flags | flag } else { flags & !flag };
        }
        files.core.set_flags(self.ino, flags)?;
        self.reload()
    }

    fn setattr(&self, attr: &SetAttr) -> SysResult<()> {
        let files = self.to_change()?;
        let kill = attr.kill_capability && self.access_attrs().mode & fs::HAS_CAPABILITY != 0;
        files.core.setattr(self.ino, &SetAttr { kill_capability: kill, ..*attr })?;
        if kill { self.reload() } else { self.refresh() }
    }

    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let files = self.files()?;
        let ino = files.core.lookup(self.ino, name)?;
        Ok(files.node(ino)?)
    }

    fn create(&self, name: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.made(self.to_change()?.core.create(self.ino, name, of_type(node, S_IFREG))?)
    }

    fn mknod(&self, name: &[u8], node: NewNode, rdev: u64) -> SysResult<InodeRef> {
        let core = &self.to_change()?.core;
        let device = matches!(FileType::from_mode(node.mode), Some(FileType::Char | FileType::Block));
        let ino = if device { core.mknod(self.ino, name, node, rdev) } else { core.create(self.ino, name, node) };
        self.made(ino?)
    }

    fn mkdir(&self, name: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.made(self.to_change()?.core.create(self.ino, name, of_type(node, S_IFDIR))?)
    }

    fn symlink(&self, name: &[u8], target: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.made(self.to_change()?.core.symlink(self.ino, name, target, node)?)
    }

    fn tmpfile(&self, node: NewNode) -> SysResult<InodeRef> {
        self.made(self.to_change()?.core.tmpfile(self.ino, of_type(node, S_IFREG))?)
    }

    fn link(&self, name: &[u8], inode: &InodeRef) -> SysResult<()> {
        let node = as_node(inode).ok_or(Errno::EXDEV)?;
        self.to_change()?.core.link(self.ino, name, node.ino)?;
        node.refresh()?;
        self.refresh()
    }

    fn unlink(&self, name: &[u8]) -> SysResult<()> {
        let files = self.to_change()?;
        let ino = files.core.unlink(self.ino, name)?;
        files.lost_name(ino)?;
        self.refresh()
    }

    fn rmdir(&self, name: &[u8]) -> SysResult<()> {
        let files = self.to_change()?;
        let ino = files.core.rmdir(self.ino, name)?;
        files.lost_name(ino)?;
        self.refresh()
    }

    fn rename(&self, old_name: &[u8], new_dir: &InodeRef, new_name: &[u8], flags: RenameFlags) -> SysResult<()> {
        let files = self.to_change()?;
        let to = as_node(new_dir).ok_or(Errno::EXDEV)?;
        let moved = files.core.lookup(self.ino, old_name)?;
        let other = files.core.lookup(to.ino, new_name).ok();
        let whiteout = NewNode { mode: S_IFCHR, uid: 0, gid: 0 };
        let lost = files.core.rename((self.ino, old_name), (to.ino, new_name), flags, whiteout)?;
        if lost != 0 {
            files.lost_name(lost)?;
        }
        for ino in [Some(moved), other.filter(|ino| *ino != lost)].into_iter().flatten() {
            if let Some(node) = files.live(ino) {
                node.refresh()?;
            }
        }
        to.refresh()?;
        self.refresh()
    }

    fn readdir(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        Ok(self.files()?.core.readdir(self.ino, cookie, emit)?)
    }

    fn readlink(&self) -> SysResult<Vec<u8>> {
        Ok(self.files()?.core.readlink(self.ino)?)
    }

    fn mapping(&self) -> Option<&Arc<Mapping>> {
        self.mapping.as_ref()
    }

    fn prepare_write(&self, _off: u64, len: u64) -> SysResult<u64> {
        self.files()?.reserve(len)?;
        Ok(len)
    }

    fn truncate(&self, size: u64) -> SysResult<()> {
        let mapping = self.mapping.as_ref().ok_or(Errno::EINVAL)?;
        let files = self.to_change()?;
        // What is dirty and stays is on the disk before the size changes there; what is written
        // beside that would grow it again.
        mapping.change_below(|| {
            files.core.truncate(self.ino, size)?;
            mapping.truncate(size)
        })?;
        self.refresh()
    }

    fn fallocate(&self, mode: FallocateMode, off: u64, len: u64) -> SysResult<()> {
        let mapping = self.mapping.as_ref().ok_or(Errno::EOPNOTSUPP)?;
        let files = self.to_change()?;
        mapping.change_below(|| {
            files.core.fallocate(self.ino, mode, off, len)?;
            let moves = FallocateMode::COLLAPSE_RANGE | FallocateMode::INSERT_RANGE;
            if mode.intersects(moves) {
                mapping.discard(off / PAGE, u64::MAX);
            } else if mode.intersects(FallocateMode::PUNCH_HOLE | FallocateMode::ZERO_RANGE) {
                mapping.discard(off / PAGE, (off + len).div_ceil(PAGE));
            }
            self.refresh()?;
            let size = self.attrs.lock().size;
            if size < mapping.size() {
                return mapping.truncate(size);
            }
            mapping.grow(size);
            Ok(())
        })
    }

    fn seek_data(&self, off: u64) -> SysResult<u64> {
        self.write_back()?;
        Ok(self.files()?.core.seek_data(self.ino, off)?)
    }

    fn seek_hole(&self, off: u64) -> SysResult<u64> {
        self.write_back()?;
        Ok(self.files()?.core.seek_hole(self.ino, off)?)
    }

    fn sync(&self, _data_only: bool) -> SysResult<()> {
        let files = self.files()?;
        if fs::FileSystem::read_only(&**files) {
            return Ok(());
        }
        let written = self.write_back();
        files.settle();
        written.and(Ok(files.core.sync()?))
    }

    fn has_whiteouts(&self) -> bool {
        true
    }

    fn getxattr(&self, name: &[u8]) -> SysResult<Vec<u8>> {
        Ok(self.files()?.core.getxattr(self.ino, name)?)
    }

    fn setxattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> SysResult<()> {
        self.to_change()?.core.setxattr(self.ino, name, value, flags)?;
        self.reload()
    }

    fn listxattr(&self) -> SysResult<Vec<Vec<u8>>> {
        Ok(self.files()?.core.listxattr(self.ino)?)
    }

    fn removexattr(&self, name: &[u8]) -> SysResult<()> {
        self.to_change()?.core.removexattr(self.ino, name)?;
        self.reload()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let has_names = self.has_names();
        if let Some(files) = &self.files {
            files.unused(self.ino, has_names);
        }
    }
}
