//! One tmpfs inode.

use super::data::FileData;
use super::dir::Dir;
use super::{INODE_SPACE, Super};
use crate::acl;
use crate::inode::{Inode, InodeCommon, InodeRef, NewNode};
use crate::mapping::{Mapping, PageSource};
use crate::platform::{PAGE_SIZE, now};
use crate::sync::{Mutex, RwLock};
use crate::types::*;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use litemap::LiteMap;
use syscall_shim::{Errno, SysResult};

/// The attribute of a program's capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// What differs by file type.
pub(super) enum Kind {
    File(FileData),
    Dir(Dir),
    Symlink(Target),
    /// FIFO, socket or device: the kernel does the rest by type and number.
    Special(u64),
}

/// Where a symbolic link points. A long one counts as a page of content, which it has in Linux.
pub(super) struct Target {
    text: Box<[u8]>,
    sup: Arc<Super>,
    pages: u64,
}

impl Target {
    /// From this length on, with the final zero (`SHORT_SYMLINK_LEN`).
    const LONG: usize = 128;

    /// `ENOSPC`
    fn new(sup: &Arc<Super>, text: &[u8]) -> SysResult<Target> {
        let pages = u64::from(text.len() >= Target::LONG);
        sup.room.charge(pages)?;
        Ok(Target { text: Box::from(text), sup: sup.clone(), pages })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.sup.room.uncharge(self.pages);
    }
}

/// What an extended attribute counts for beside its name and value (`struct simple_xattr`).
const ATTRIBUTE_SPACE: usize = 40;

fn attribute_space(name: &[u8], value: &[u8]) -> u64 {
    (ATTRIBUTE_SPACE + name.len() + 1 + value.len()) as u64
}

/// What permission checks look at. Walks do so at every step, so they take no lock and may see half
/// of a change, as in Linux; whoever wants all attributes of one moment holds the lock of
/// [`Attrs`], under which these are written.
struct Access {
    mode: AtomicU32,
    uid: AtomicU32,
    gid: AtomicU32,
}

impl Access {
    fn new(node: &NewNode) -> Access {
        Access { mode: AtomicU32::new(node.mode), uid: AtomicU32::new(node.uid), gid: AtomicU32::new(node.gid) }
    }

    fn get(&self) -> AccessAttrs {
        // The mode last: a change of owner that takes set-user-ID away writes it first.
        let (uid, gid) = (self.uid.load(Ordering::Acquire), self.gid.load(Ordering::Acquire));
        AccessAttrs { mode: self.mode.load(Ordering::Relaxed), uid, gid }
    }

    fn set(&self, to: &AccessAttrs) {
        self.mode.store(to.mode, Ordering::Relaxed);
        self.uid.store(to.uid, Ordering::Release);
        self.gid.store(to.gid, Ordering::Release);
    }
}

/// What stat(2) shows and setattr changes, beyond [`Access`].
struct Attrs {
    nlink: u32,
    atime: Timespec,
    mtime: Timespec,
    ctime: Timespec,
    btime: Timespec,
}

pub(super) struct TmpNode {
    common: InodeCommon,
    pub(super) sup: Arc<Super>,
    pub(super) ino: u64,
    access: Access,
    /// A leaf lock.
    attrs: RwLock<Attrs>,
    /// A leaf lock.
    xattrs: Mutex<LiteMap<Vec<u8>, Vec<u8>>>,
    pub(super) kind: Kind,
    me: Weak<TmpNode>,
}

impl TmpNode {
    fn new(sup: &Arc<Super>, node: NewNode, nlink: u32, kind: Kind) -> SysResult<Arc<TmpNode>> {
        let ino = sup.new_ino()?;
        let time = now();
        let attrs = Attrs { nlink, atime: time, mtime: time, ctime: time, btime: time };
        Ok(Arc::new_cyclic(|me| TmpNode {
            common: InodeCommon::new(),
            sup: sup.clone(),
            ino,
            access: Access::new(&node),
            attrs: RwLock::new(attrs),
            xattrs: Mutex::new(LiteMap::new_vec()),
            kind,
            me: me.clone(),
        }))
    }

    pub(super) fn new_dir(sup: &Arc<Super>, node: NewNode) -> SysResult<Arc<TmpNode>> {
        TmpNode::new(sup, node, 2, Kind::Dir(Dir::default()))
    }

    pub(super) fn new_file(sup: &Arc<Super>, node: NewNode, nlink: u32, seals: Seals) -> SysResult<Arc<TmpNode>> {
        TmpNode::new(sup, node, nlink, Kind::File(FileData::new(sup.room.clone(), seals)))
    }

    /// A node of the type in `node.mode`, with one link.
    fn new_special(sup: &Arc<Super>, node: NewNode, rdev: u64) -> SysResult<Arc<TmpNode>> {
        if node.mode & S_IFMT == S_IFREG {
            return TmpNode::new_file(sup, node, 1, Seals::SEAL);
        }
        TmpNode::new(sup, node, 1, Kind::Special(rdev))
    }

    pub(super) fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir(_))
    }

    pub(super) fn dir(&self) -> SysResult<&Dir> {
        match &self.kind {
            Kind::Dir(dir) => Ok(dir),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn file(&self) -> SysResult<&FileData> {
        match &self.kind {
            Kind::File(file) => Ok(file),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Changes the link count, with ctime.
    pub(super) fn add_links(&self, by: i32) {
        let mut attrs = self.attrs.write();
        attrs.nlink = attrs.nlink.saturating_add_signed(by);
        attrs.ctime = now();
    }

    /// An attribute came or went: what permission checks look at says so.
    fn note_xattr(&self, name: &[u8], there: bool) {
        let bit = match name {
            acl::ACCESS => HAS_ACL,
            acl::DEFAULT => HAS_DEFAULT_ACL,
            CAPABILITY => HAS_CAPABILITY,
            _ => return,
        };
        let _attrs = self.attrs.write();
        let mut access = self.access.get();
        access.mode = if there { access.mode | bit } else { access.mode & !bit };
        self.access.set(&access);
    }

    /// One name of a file is gone.
    pub(super) fn lose_name(&self) {
        if self.attrs.read().nlink > 1 {
            self.sup.give_space(INODE_SPACE);
        }
        self.add_links(-1);
    }

    /// mtime and ctime now: the directory or content changed.
    pub(super) fn touch(&self) {
        let time = now();
        let mut attrs = self.attrs.write();
        attrs.mtime = time;
        attrs.ctime = time;
    }

    fn size_and_blocks(&self) -> (u64, u64) {
        match &self.kind {
            Kind::File(file) => (file.mapping.size(), file.mapping.page_count() * (PAGE_SIZE as u64 / 512)),
            Kind::Dir(dir) => (dir.size(), 0),
            Kind::Symlink(target) => (target.text.len() as u64, target.pages * (PAGE_SIZE as u64 / 512)),
            Kind::Special(_) => (0, 0),
        }
    }

    fn add(&self, name: &[u8], make: impl FnOnce(&Arc<Super>) -> SysResult<Arc<TmpNode>>) -> SysResult<InodeRef> {
        let dir = self.dir()?;
        let node = make(&self.sup)?;
        dir.insert(name, node.clone())?;
        if node.is_dir() {
            self.add_links(1);
        }
        self.touch();
        Ok(node)
    }
}

impl Inode for TmpNode {
    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn metadata(&self) -> Metadata {
        let (size, blocks) = self.size_and_blocks();
        let a = self.attrs.read();
        let AccessAttrs { mode, uid, gid } = self.access.get();
        let rdev = if let Kind::Special(rdev) = self.kind { rdev } else { 0 };
        Metadata {
            dev: self.sup.dev,
            ino: self.ino,
            mode: mode & MODE_BITS,
            nlink: a.nlink,
            uid,
            gid,
            rdev,
            size,
            blksize: PAGE_SIZE as u32,
            blocks,
            atime: a.atime,
            mtime: a.mtime,
            ctime: a.ctime,
            btime: a.btime,
        }
    }

    fn access_attrs(&self) -> AccessAttrs {
        self.access.get()
    }

    fn supports_acl(&self) -> bool {
        true
    }

    fn has_fileattr(&self) -> bool {
        matches!(self.kind, Kind::File(_) | Kind::Dir(_))
    }

    fn set_fileattr(&self, flags: u32) -> SysResult<()> {
        if !self.has_fileattr() {
            return Err(Errno::ENOTTY);
        }
        const KNOWN: u32 = IMMUTABLE | APPEND_ONLY | NODUMP | NOATIME;
        let mut attrs = self.attrs.write();
        let mut access = self.access.get();
        access.mode = access.mode & !KNOWN | flags & KNOWN;
        self.access.set(&access);
        attrs.ctime = now();
        Ok(())
    }

    fn setattr(&self, attr: &SetAttr) -> SysResult<()> {
        let time = now();
        let mut a = self.attrs.write();
        let mut access = self.access.get();
        if let Some(mode) = attr.mode {
            access.mode = access.mode & !0o7777 | mode & 0o7777;
        }
        if attr.kill_capability && access.mode & HAS_CAPABILITY != 0 {
            access.mode &= !HAS_CAPABILITY;
            let removed = self.xattrs.lock().remove(CAPABILITY);
            if let Some(value) = removed {
                self.sup.give_space(attribute_space(CAPABILITY, &value));
            }
        }
        access.uid = attr.uid.unwrap_or(access.uid);
        access.gid = attr.gid.unwrap_or(access.gid);
        self.access.set(&access);
        a.atime = attr.atime.unwrap_or(a.atime);
        a.mtime = attr.mtime.unwrap_or(a.mtime);
        if !attr.keep_ctime {
            a.ctime = attr.ctime.unwrap_or(time);
        }
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let found = self.dir()?.get(name).ok_or(Errno::ENOENT)?;
        Ok(found)
    }

    fn create(&self, name: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.add(name, |sup| TmpNode::new_file(sup, node, 1, Seals::SEAL))
    }

    fn mknod(&self, name: &[u8], node: NewNode, rdev: u64) -> SysResult<InodeRef> {
        self.add(name, |sup| TmpNode::new_special(sup, node, rdev))
    }

    fn mkdir(&self, name: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.add(name, |sup| TmpNode::new_dir(sup, node))
    }

    fn symlink(&self, name: &[u8], target: &[u8], node: NewNode) -> SysResult<InodeRef> {
        self.add(name, |sup| TmpNode::new(sup, node, 1, Kind::Symlink(Target::new(sup, target)?)))
    }

    fn tmpfile(&self, node: NewNode) -> SysResult<InodeRef> {
        self.dir()?;
        let file = TmpNode::new_file(&self.sup, node, 0, Seals::SEAL)?;
        Ok(file)
    }

    fn link(&self, name: &[u8], inode: &InodeRef) -> SysResult<()> {
        let node = super::as_tmp(inode).and_then(|n| n.me.upgrade()).ok_or(Errno::EXDEV)?;
        if node.is_dir() {
            return Err(Errno::EPERM);
        }
        // A file counts once more for each name beyond its first; what was never linked has none.
        let counted = node.attrs.read().nlink > 0;
        if counted {
            self.sup.take_space(INODE_SPACE)?;
        }
        if let Err(errno) = self.dir()?.insert(name, node.clone()) {
            if counted {
                self.sup.give_space(INODE_SPACE);
            }
            return Err(errno);
        }
        node.add_links(1);
        self.touch();
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> SysResult<()> {
        let victim = self.dir()?.remove(name, |node| if node.is_dir() { Err(Errno::EISDIR) } else { Ok(()) })?;
        victim.lose_name();
        self.touch();
        Ok(())
    }

    fn rmdir(&self, name: &[u8]) -> SysResult<()> {
        let victim = {
            let _tree = self.sup.tree.lock();
            self.dir()?.remove(name, |node| node.dir()?.kill())?
        };
        victim.add_links(-2);
        self.add_links(-1);
        self.touch();
        Ok(())
    }

    fn rename(&self, old_name: &[u8], new_dir: &InodeRef, new_name: &[u8], flags: RenameFlags) -> SysResult<()> {
        let new_dir = super::as_tmp(new_dir).ok_or(Errno::EXDEV)?;
        super::dir::rename(self, old_name, new_dir, new_name, flags)
    }

    fn readdir(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        Ok(self.dir()?.read(cookie, emit))
    }

    fn readlink(&self) -> SysResult<Vec<u8>> {
        match &self.kind {
            Kind::Symlink(target) => Ok(target.text.to_vec()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn mapping(&self) -> Option<&Arc<Mapping>> {
        match &self.kind {
            Kind::File(file) => Some(&file.mapping),
            _ => None,
        }
    }

    fn prepare_write(&self, off: u64, len: u64) -> SysResult<u64> {
        self.file()?.prepare_write(off, len)
    }

    fn truncate(&self, size: u64) -> SysResult<()> {
        let file = self.file()?;
        let old = file.mapping.size();
        file.truncate(size)?;
        // An unchanged size is no modification, only a change of status.
        if size == old {
            self.add_links(0)
        } else {
            self.touch()
        }
        Ok(())
    }

    fn fallocate(&self, mode: FallocateMode, off: u64, len: u64) -> SysResult<()> {
        self.file()?.fallocate(mode, off, len)?;
        self.touch();
        Ok(())
    }

    fn seek_data(&self, off: u64) -> SysResult<u64> {
        self.file()?.mapping.seek_data(off)
    }

    fn seek_hole(&self, off: u64) -> SysResult<u64> {
        self.file()?.mapping.seek_hole(off)
    }

    fn seals(&self) -> SysResult<Seals> {
        Ok(self.file()?.seals())
    }

    fn add_seals(&self, seals: Seals, writable_maps: bool) -> SysResult<()> {
        let executable = self.access_attrs().mode & 0o111 != 0;
        self.file()?.add_seals(seals, writable_maps, executable)
    }

    fn handle(&self) -> SysResult<(i32, Vec<u8>)> {
        /// As Linux's tmpfs: a generation and the number. Numbers are not used again, so one
        /// generation will do.
        const KIND: i32 = 1;
        const GENERATION: u32 = 1;
        self.sup.handles.lock().insert(self.ino, self.me.clone());
        let bytes = GENERATION.to_le_bytes().into_iter().chain(self.ino.to_le_bytes());
        Ok((KIND, bytes.collect()))
    }

    fn has_whiteouts(&self) -> bool {
        self.is_dir()
    }

    fn getxattr(&self, name: &[u8]) -> SysResult<Vec<u8>> {
        self.xattrs.lock().get(name).cloned().ok_or(Errno::ENODATA)
    }

    fn setxattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> SysResult<()> {
        let mut xattrs = self.xattrs.lock();
        match xattrs.contains_key(name) {
            true if flags.contains(XattrFlags::CREATE) => return Err(Errno::EEXIST),
            false if flags.contains(XattrFlags::REPLACE) => return Err(Errno::ENODATA),
            _ => {}
        }
        self.sup.take_space(attribute_space(name, value))?;
        let old = xattrs.insert(name.to_vec(), value.to_vec());
        drop(xattrs);
        self.note_xattr(name, true);
        if let Some(old) = old {
            self.sup.give_space(attribute_space(name, &old));
        }
        self.add_links(0);
        Ok(())
    }

    fn listxattr(&self) -> SysResult<Vec<Vec<u8>>> {
        Ok(self.xattrs.lock().keys().cloned().collect())
    }

    fn removexattr(&self, name: &[u8]) -> SysResult<()> {
        let removed = self.xattrs.lock().remove(name).ok_or(Errno::ENODATA)?;
        self.sup.give_space(attribute_space(name, &removed));
        self.note_xattr(name, false);
        self.add_links(0);
        Ok(())
    }
}

impl Drop for TmpNode {
    fn drop(&mut self) {
        let attributes: u64 = self.xattrs.get_mut().iter().map(|(name, value)| attribute_space(name, value)).sum();
        self.sup.give_space(INODE_SPACE + attributes);
        let mut handles = self.sup.handles.lock();
        if !handles.is_empty() {
            handles.remove(&self.ino);
        }
        drop(handles);
        // Nested directories go one by one: a deep tree must not become a deep recursion.
        let Kind::Dir(dir) = &self.kind else { return };
        let mut work = dir.take_all();
        while let Some(node) = work.pop() {
            if let Some(last) = Arc::into_inner(node)
                && let Kind::Dir(dir) = &last.kind
            {
                work.extend(dir.take_all());
            }
        }
    }
}
