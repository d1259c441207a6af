//! Names: making, linking, removing and moving them, each as one operation.

use crate::error::{Error, Result, corrupt};
use crate::features::RO_DIR_NLINK;
use crate::inode::Inode;
use crate::layout::{flag, put};
use crate::volume::Volume;
use alloc::vec::Vec;
use fs::inode::NewNode;
use fs::{FileType, RenameFlags};
use syscall_shim::Errno;

/// `EXT4_LINK_MAX`.
const LINK_MAX: u32 = 65000;

/// What a new inode holds.
#[derive(Clone, Copy)]
pub(crate) enum NewContent<'a> {
    Nothing,
    Device(u64),
    Link(&'a [u8]),
}

impl Volume {
    /// A directory's inode. `ENOTDIR`.
    pub(crate) fn dir_inode(&mut self, ino: u32) -> Result<Inode> {
        let inode = self.inode(ino)?;
        if inode.is_dir() { Ok(inode) } else { Err(Errno::ENOTDIR.into()) }
    }

    /// One subdirectory more or less. A count that would pass the limit becomes 1, which counts as
    /// 'many', for good.
    fn count_subdir(&self, dir: &mut Inode, more: bool) -> Result<()> {
        let links = dir.links();
        let links = match more {
            _ if links == 1 => 1,
            true if links < LINK_MAX => links + 1,
            true if self.geo.has_ro(RO_DIR_NLINK) && dir.has(flag::INDEX) => 1,
            true => return Err(Errno::EMLINK.into()),
            false if links > 2 => links - 1,
            false => 2,
        };
        dir.raw.links_count.set(links as u16);
        Ok(())
    }

    /// A new inode with a name.
    pub(crate) fn make(&mut self, dir: u32, name: &[u8], node: NewNode, content: NewContent<'_>) -> Result<u32> {
        let kind = FileType::from_mode(node.mode).ok_or(Errno::EINVAL)?;
        self.transact(|vol| {
            let mut dir = vol.dir_inode(dir)?;
            if dir.links() == 0 {
                return Err(Errno::ENOENT.into());
            }
            if vol.find(&dir, name)?.is_some() {
                return Err(Errno::EEXIST.into());
            }
            if kind == FileType::Dir {
                vol.count_subdir(&mut dir, true)?;
            }
            let mut inode = vol.new_inode(&dir, node)?;
            inode.raw.links_count.set(1);
            match content {
                NewContent::Nothing => {}
                NewContent::Device(rdev) => inode.set_rdev(rdev),
                NewContent::Link(text) => vol.set_link_text(&mut inode, text)?,
            }
            if kind == FileType::Dir {
                inode.raw.links_count.set(2);
                vol.init_dir(&mut inode, dir.ino)?;
            }
            vol.put_inode(&inode)?;
            vol.add_name(&mut dir, name, inode.ino, kind)?;
            vol.put_inode(&dir)?;
            Ok(inode.ino)
        })
    }

    /// A new regular file without a name, which a crash would delete.
    pub(crate) fn make_unnamed(&mut self, dir: u32, node: NewNode) -> Result<u32> {
        self.transact(|vol| {
            let dir = vol.dir_inode(dir)?;
            let mut inode = vol.new_inode(&dir, node)?;
            vol.add_orphan(&mut inode)?;
            vol.put_inode(&inode)?;
            Ok(inode.ino)
        })
    }

    fn set_link_text(&mut self, inode: &mut Inode, text: &[u8]) -> Result<()> {
        inode.set_size(text.len() as u64);
        if text.len() < 60 {
            let fits = put(&mut inode.raw.block, 0, text);
            return if fits { Ok(()) } else { corrupt("symbolic link") };
        }
        if text.len() >= self.geo.block_size {
            return Err(Errno::ENAMETOOLONG.into());
        }
        if self.geo.has_incompat(crate::features::INCOMPAT_EXTENTS) {
            self.use_extents(inode);
        }
        self.fill(inode, 0, 1, false)?;
        let block = self.map_one(inode, 0)?;
        let fits = put(self.fresh(block)?, 0, text);
        if fits { Ok(()) } else { corrupt("symbolic link") }
    }

    /// The text of a symbolic link.
    pub(crate) fn link_text(&mut self, inode: &Inode) -> Result<Vec<u8>> {
        if inode.file_type() != Some(FileType::Symlink) {
            return Err(Errno::EINVAL.into());
        }
        let size = inode.size() as usize;
        let text = if inode.has(flag::INLINE_DATA) {
            self.inline_data(inode)?
        } else if inode.is_fast_symlink() {
            Vec::from(inode.raw.block.get(..size).unwrap_or(&[]))
        } else {
            let block = self.map_one(inode, 0)?;
            let data = self.block(block)?;
            crate::cache::copied(data.get(..size).ok_or(Error::Corrupt("i_size of a symbolic link"))?)?
        };
        if text.is_empty() || text.contains(&0) {
            return corrupt("text of a symbolic link");
        }
        Ok(text)
    }

    /// A further name.
    pub(crate) fn link(&mut self, dir: u32, name: &[u8], ino: u32) -> Result<()> {
        self.transact(|vol| {
            let mut dir = vol.dir_inode(dir)?;
            let mut inode = vol.inode(ino)?;
            let kind = inode.file_type().ok_or(Error::Corrupt("i_mode"))?;
            if inode.is_dir() {
                return Err(Errno::EPERM.into());
            }
            if vol.find(&dir, name)?.is_some() {
                return Err(Errno::EEXIST.into());
            }
            if inode.links() >= LINK_MAX {
                return Err(Errno::EMLINK.into());
            }
            if inode.links() == 0 {
                vol.remove_orphan(&mut inode)?;
            }
            inode.raw.links_count.set(inode.links() as u16 + 1);
            inode.set_ctime(vol.now());
            vol.put_inode(&inode)?;
            vol.add_name(&mut dir, name, ino, kind)?;
            vol.put_inode(&dir)
        })
    }

    /// One name of an inode less; the last one puts it among the orphans. The caller writes the
    /// inode.
    fn drop_link(&mut self, inode: &mut Inode) -> Result<()> {
        let left = if inode.is_dir() { 0 } else { inode.links().saturating_sub(1) };
        inode.raw.links_count.set(left as u16);
        inode.set_ctime(self.now());
        if left == 0 {
            self.add_orphan(inode)?;
        }
        Ok(())
    }

    /// Removes a name: `directory` says of what. The inode itself goes with [`Volume::evict`].
    pub(crate) fn unlink(&mut self, dir: u32, name: &[u8], directory: bool) -> Result<u32> {
        self.transact(|vol| {
            let mut dir = vol.dir_inode(dir)?;
            let mut inode = vol.lookup(&dir, name)?;
            match (directory, inode.is_dir()) {
                (true, false) => return Err(Errno::ENOTDIR.into()),
                (false, true) => return Err(Errno::EISDIR.into()),
                (true, true) if !vol.is_empty_dir(&inode)? => return Err(Errno::ENOTEMPTY.into()),
                _ => {}
            }
            vol.remove_name(&mut dir, name)?;
            if directory {
                vol.count_subdir(&mut dir, false)?;
                inode.set_size(0);
            }
            vol.put_inode(&dir)?;
            vol.drop_link(&mut inode)?;
            vol.put_inode(&inode)?;
            Ok(inode.ino)
        })
    }

    /// Moves a name. Answers the inode that lost its last name, or 0.
    pub(crate) fn rename(
        &mut self,
        from: (u32, &[u8]),
        to: (u32, &[u8]),
        flags: RenameFlags,
        whiteout: NewNode,
    ) -> Result<u32> {
        self.transact(|vol| {
            let same = from.0 == to.0;
            let mut old_dir = vol.dir_inode(from.0)?;
            let moved = vol.lookup(&old_dir, from.1)?;
            let kind = moved.file_type().ok_or(Error::Corrupt("i_mode"))?;
            let mut new_dir = vol.dir_inode(to.0)?;
            let target = match vol.lookup(&new_dir, to.1) {
                Ok(target) => Some(target),
                Err(Error::Refused(Errno::ENOENT)) => None,
                Err(error) => return Err(error),
            };
            if flags.contains(RenameFlags::EXCHANGE) {
                let target = target.ok_or(Errno::ENOENT)?;
                return vol.exchange(from, to, moved, target);
            }
            if let Some(target) = &target {
                if flags.contains(RenameFlags::NOREPLACE) {
                    return Err(Errno::EEXIST.into());
                }
                if target.ino == moved.ino {
                    return Ok(0);
                }
                match (moved.is_dir(), target.is_dir()) {
                    (true, false) => return Err(Errno::ENOTDIR.into()),
                    (false, true) => return Err(Errno::EISDIR.into()),
                    (true, true) if !vol.is_empty_dir(target)? => return Err(Errno::ENOTEMPTY.into()),
                    _ => {}
                }
            }
            let mut gone = 0;
            if let Some(mut target) = target {
                vol.replace_name(&mut new_dir, to.1, moved.ino, kind)?;
                if target.is_dir() {
                    target.set_size(0);
                    vol.count_subdir(&mut new_dir, false)?;
                }
                vol.drop_link(&mut target)?;
                if target.links() == 0 {
                    gone = target.ino;
                }
                vol.put_inode(&target)?;
            } else {
                vol.add_name(&mut new_dir, to.1, moved.ino, kind)?;
            }
            if moved.is_dir() && !same {
                vol.count_subdir(&mut new_dir, true)?;
            }
            vol.put_inode(&new_dir)?;
            if same {
                old_dir = vol.dir_inode(from.0)?;
            }
            if flags.contains(RenameFlags::WHITEOUT) {
                let mut white = vol.new_inode(&old_dir, NewNode { mode: fs::S_IFCHR, ..whiteout })?;
                white.raw.links_count.set(1);
                vol.put_inode(&white)?;
                vol.replace_name(&mut old_dir, from.1, white.ino, FileType::Char)?;
            } else {
                vol.remove_name(&mut old_dir, from.1)?;
            }
            let mut moved = vol.inode(moved.ino)?;
            moved.set_ctime(vol.now());
            if moved.is_dir() && !same {
                vol.count_subdir(&mut old_dir, false)?;
                vol.set_parent(&mut moved, to.0)?;
            }
            vol.put_inode(&old_dir)?;
            vol.put_inode(&moved)?;
            Ok(gone)
        })
    }

    /// Has `..` of a directory lead to another parent. Its own times stay.
    fn set_parent(&mut self, dir: &mut Inode, parent: u32) -> Result<()> {
        let (mtime, ctime) = (dir.mtime(), dir.ctime());
        self.replace_name(dir, b"..", parent, FileType::Dir)?;
        dir.set_mtime(mtime);
        dir.set_ctime(ctime);
        Ok(())
    }

    fn exchange(&mut self, from: (u32, &[u8]), to: (u32, &[u8]), one: Inode, other: Inode) -> Result<u32> {
        let kind = |inode: &Inode| inode.file_type().ok_or(Error::Corrupt("i_mode"));
        for ((dir, name), inode, moved_in) in [(from, &one, &other), (to, &other, &one)] {
            let mut dir = self.dir_inode(dir)?;
            self.replace_name(&mut dir, name, moved_in.ino, kind(moved_in)?)?;
            if from.0 != to.0 && moved_in.is_dir() != inode.is_dir() {
                self.count_subdir(&mut dir, moved_in.is_dir())?;
            }
            self.put_inode(&dir)?;
        }
        for (inode, dir) in [(one.ino, to.0), (other.ino, from.0)] {
            let mut inode = self.inode(inode)?;
            inode.set_ctime(self.now());
            if inode.is_dir() && from.0 != to.0 {
                self.set_parent(&mut inode, dir)?;
            }
            self.put_inode(&inode)?;
        }
        Ok(0)
    }
}
