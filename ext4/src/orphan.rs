//! Files without a name that are still in use, and files that are being cut: a list on the disk,
//! for the mount after a crash.

use crate::checksum::crc32c;
use crate::error::{Error, Result, corrupt};
use crate::features::{COMPAT_ORPHAN_FILE, RO_ORPHAN_PRESENT};
use crate::inode::Inode;
use crate::layout::{put, u32_at};
use crate::volume::Volume;
use alloc::format;
use alloc::vec::Vec;
use syscall_shim::Errno;

/// `ob_magic` at the end of a block of the orphan file.
const ORPHAN_BLOCK_MAGIC: u32 = 0x0b10_ca04;

impl Volume {
    /// The inodes of the list, from the newest on, and the number that follows the last (0).
    fn orphans(&mut self) -> Result<Vec<u32>> {
        let mut list = Vec::new();
        let mut next = self.sb.last_orphan.get();
        while next != 0 {
            if next < self.geo.first_ino || next > self.geo.inodes || list.len() as u32 >= self.geo.inodes {
                return corrupt("orphan list");
            }
            list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            list.push(next);
            next = self.raw_inode(next)?.raw.dtime.get();
        }
        Ok(list)
    }

    /// Puts an inode into the list. The caller writes it.
    pub(crate) fn add_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        if self.orphans()?.contains(&inode.ino) {
            return Ok(());
        }
        inode.raw.dtime.set(self.sb.last_orphan.get());
        self.sb.last_orphan.set(inode.ino);
        self.sb_dirty = true;
        Ok(())
    }

    /// Takes an inode out of the list, if it is in it. The caller writes it.
    pub(crate) fn remove_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        let list = self.orphans()?;
        let Some(at) = list.iter().position(|ino| *ino == inode.ino) else { return Ok(()) };
        let next = list.get(at + 1).copied().unwrap_or(0);
        match at.checked_sub(1).and_then(|before| list.get(before)) {
            None => {
                self.sb.last_orphan.set(next);
                self.sb_dirty = true;
            }
            Some(before) => {
                let mut before = self.raw_inode(*before)?;
                before.raw.dtime.set(next);
                self.put_inode(&before)?;
            }
        }
        inode.raw.dtime.set(0);
        Ok(())
    }

    /// Frees a file that has no name and no user any more; does nothing for one that has a name.
    pub(crate) fn evict(&mut self, ino: u32) -> Result<()> {
        let inode = self.inode(ino)?;
        if inode.links() > 0 || self.read_only {
            return Ok(());
        }
        self.cut_all(ino, 0, 1 << 32, |vol, inode| {
            vol.drop_xattr_block(inode)?;
            vol.remove_orphan(inode)?;
            vol.free_inode(inode)
        })
    }

    /// Ends what a crash left half done: deletes files without names, cuts the others to their
    /// size.
    pub(crate) fn recover_orphans(&mut self) -> Result<()> {
        let (mut deleted, mut cut) = (0, 0);
        // Each round takes one out; what does not go is an error, and the loop's bound is for lists
        // that bite their tail.
        for _ in 0..self.geo.inodes {
            let ino = self.sb.last_orphan.get();
            if ino == 0 {
                break;
            }
            if ino < self.geo.first_ino || ino > self.geo.inodes {
                return corrupt("orphan list");
            }
            self.recover_orphan(ino, &mut deleted, &mut cut)?;
            if self.sb.last_orphan.get() == ino {
                return corrupt("orphan list");
            }
        }
        if self.geo.has_compat(COMPAT_ORPHAN_FILE) && self.sb.feature_ro_compat.get() & RO_ORPHAN_PRESENT != 0 {
            self.recover_orphan_file(&mut deleted, &mut cut)?;
        }
        if deleted + cut > 0 {
            self.env.message(format!("ext4: {deleted} files without a name deleted, {cut} cut to their size"));
        }
        Ok(())
    }

    fn recover_orphan(&mut self, ino: u32, deleted: &mut u32, cut: &mut u32) -> Result<()> {
        let inode = self.inode(ino)?;
        if inode.links() == 0 {
            *deleted += 1;
            return self.evict(ino);
        }
        *cut += 1;
        let blocks = self.blocks_for(inode.size());
        self.cut_all(ino, blocks, 1 << 32, |vol, inode| vol.remove_orphan(inode))
    }

    fn recover_orphan_file(&mut self, deleted: &mut u32, cut: &mut u32) -> Result<()> {
        let file = self.inode(self.sb.orphan_file_inum.get())?;
        let seed = self.inode_seed(&file);
        let size = self.geo.block_size;
        for n in 0..self.dir_blocks(&file)? {
            let block = self.map_one(&file, n)?;
            let data = self.block(block)?;
            if u32_at(&data, size - 8) != Some(ORPHAN_BLOCK_MAGIC) {
                return corrupt("ob_magic of the orphan file");
            }
            let sum = |data: &[u8]| crc32c(crc32c(seed, &block.to_le_bytes()), data.get(..size - 8).unwrap_or(data));
            if self.geo.csum && u32_at(&data, size - 4) != Some(sum(&data)) {
                return Err(Error::Checksum("orphan file"));
            }
            for at in (0..size - 8).step_by(4) {
                let ino = u32_at(&data, at).unwrap_or(0);
                if ino == 0 {
                    continue;
                }
                if ino < self.geo.first_ino || ino > self.geo.inodes {
                    return corrupt("orphan file");
                }
                self.recover_orphan(ino, deleted, cut)?;
                let csum = self.geo.csum;
                self.transact(|vol| {
                    let data = vol.edit(block)?;
                    let mut fits = put(data, at, &[0; 4]);
                    if csum {
                        let sum = sum(data);
                        fits &= put(data, size - 4, &sum.to_le_bytes());
                    }
                    if fits { Ok(()) } else { corrupt("orphan file") }
                })?;
            }
        }
        let flags = self.sb.feature_ro_compat.get();
        self.sb.feature_ro_compat.set(flags & !RO_ORPHAN_PRESENT);
        self.sb_dirty = true;
        Ok(())
    }
}
