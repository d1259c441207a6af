//! Content within the inode (`inline_data`): the 60 bytes of `i_block`, then the attribute
//! `system.data`.

use crate::dirblock;
use crate::error::{Error, Result, corrupt};
use crate::features::INCOMPAT_EXTENTS;
use crate::inode::Inode;
use crate::layout::{flag, u32_at};
use crate::volume::Volume;
use alloc::vec::Vec;

const IN_BLOCK: usize = 60;

impl Volume {
    /// The content of a file that is within its inode.
    pub(crate) fn inline_data(&mut self, inode: &Inode) -> Result<Vec<u8>> {
        let mut data = Vec::from(inode.raw.block);
        data.extend_from_slice(&self.inline_rest(inode)?);
        if inode.size() > data.len() as u64 {
            return corrupt("i_size of inline data");
        }
        data.truncate(inode.size() as usize);
        Ok(data)
    }

    /// The entries of a directory that is within its inode, with `.` and `..`.
    pub(crate) fn inline_entries(&mut self, dir: &Inode) -> Result<Vec<(u32, u8, Vec<u8>)>> {
        let parent = u32_at(&dir.raw.block, 0).unwrap_or(0);
        let mut list = Vec::from([(dir.ino, 2, Vec::from(b".")), (parent, 2, Vec::from(b".."))]);
        let rest = self.inline_rest(dir)?;
        for part in [dir.raw.block.get(4..).unwrap_or(&[]), &rest] {
            dirblock::each(part, part.len(), |entry| {
                list.push((entry.ino, entry.kind, Vec::from(entry.name)));
                true
            })?;
        }
        Ok(list)
    }

    /// Gives a file or directory blocks, if it has its content in the inode. The caller writes the
    /// inode.
    pub(crate) fn leave_inline(&mut self, inode: &mut Inode) -> Result<()> {
        if !inode.has(flag::INLINE_DATA) {
            return Ok(());
        }
        if inode.is_dir() {
            let entries = self.inline_entries(inode)?;
            let parent = entries.get(1).map_or(0, |(ino, _, _)| *ino);
            self.clear_inline(inode)?;
            inode.set_size(0);
            self.init_dir(inode, parent)?;
            for (ino, kind, name) in entries.iter().skip(2) {
                let file_type = dirblock::file_type_of(*kind).unwrap_or(fs::FileType::Regular);
                self.add_name(inode, name, *ino, file_type)?;
            }
            return Ok(());
        }
        let mut data = self.inline_data(inode)?;
        let size = inode.size();
        self.clear_inline(inode)?;
        if size == 0 {
            return Ok(());
        }
        if data.len() > self.geo.block_size {
            return corrupt("i_size of inline data");
        }
        data.resize(self.geo.block_size, 0);
        self.fill(inode, 0, 1, false)?;
        let block = self.map(inode, 0, 1)?.block.ok_or(Error::Corrupt("extents"))?;
        // Before the transaction that leads to it is committed.
        self.device.write(block << self.geo.block_bits, &data)?;
        Ok(())
    }

    /// Cuts content that stays within the inode.
    pub(crate) fn shrink_inline(&mut self, inode: &mut Inode, size: u64) -> Result<()> {
        let size = size as usize;
        let mut rest = self.inline_rest(inode)?;
        if let Some(gone) = inode.raw.block.get_mut(size.min(IN_BLOCK)..) {
            gone.fill(0);
        }
        if let Some(gone) = rest.get_mut(size.saturating_sub(IN_BLOCK)..) {
            gone.fill(0);
        }
        self.set_inline_rest(inode, Some(rest))?;
        inode.set_size(size as u64);
        Ok(())
    }

    fn clear_inline(&mut self, inode: &mut Inode) -> Result<()> {
        self.set_inline_rest(inode, None)?;
        inode.set_flag(flag::INLINE_DATA, false);
        inode.raw.block = [0; 60];
        if self.geo.has_incompat(INCOMPAT_EXTENTS) {
            self.use_extents(inode);
        }
        Ok(())
    }
}
