//! fallocate(2) and lseek(2): ranges of a file's content.

use crate::error::{Error, Result};
use crate::layout::flag;
use crate::volume::Volume;
use fs::{FallocateMode, FileType};
use syscall_shim::Errno;

impl Volume {
    /// fallocate(2) in all its modes that ext4 has.
    pub(crate) fn fallocate(&mut self, ino: u32, mode: FallocateMode, off: u64, len: u64) -> Result<()> {
        let inode = self.inode(ino)?;
        if inode.file_type() != Some(FileType::Regular) {
            return Err(Errno::ENODEV.into());
        }
        let end = off.checked_add(len).filter(|_| len > 0).ok_or(Errno::EINVAL)?;
        if self.read_only {
            return Err(Errno::EROFS.into());
        }
        self.transact(|vol| {
            let mut inode = vol.inode(ino)?;
            vol.leave_inline(&mut inode)?;
            vol.put_inode(&inode)
        })?;
        let inode = self.inode(ino)?;
        if !inode.has(flag::EXTENTS) && !mode.contains(FallocateMode::PUNCH_HOLE) {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if end > self.geo.max_size(inode.has(flag::EXTENTS)) {
            return Err(Errno::EFBIG.into());
        }
        let shape = mode & !FallocateMode::KEEP_SIZE;
        if shape == FallocateMode::PUNCH_HOLE {
            let (first, last) = self.zero_edges(&inode, off, end)?;
            return self.cut_all(ino, first, last, |vol, inode| {
                vol.touch(inode);
                Ok(())
            });
        }
        if shape == FallocateMode::ZERO_RANGE {
            let (first, last) = self.zero_edges(&inode, off, end)?;
            self.cut_all(ino, first, last, |_, _| Ok(()))?;
            return self.reserve(ino, off, end, mode.contains(FallocateMode::KEEP_SIZE));
        }
        if shape == FallocateMode::COLLAPSE_RANGE || shape == FallocateMode::INSERT_RANGE {
            return self.slide(ino, off, len, shape == FallocateMode::INSERT_RANGE);
        }
        match shape.is_empty() {
            true => self.reserve(ino, off, end, mode.contains(FallocateMode::KEEP_SIZE)),
            false => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    /// Allocates what is not there of `[off, end)`.
    fn reserve(&mut self, ino: u32, off: u64, end: u64, keep_size: bool) -> Result<()> {
        let (mut at, last) = (off >> self.geo.block_bits, self.blocks_for(end));
        while at < last {
            at += self.transact(|vol| {
                let mut inode = vol.inode(ino)?;
                let n = vol.fill(&mut inode, at, last - at, true)?;
                let reached = ((at + n) << vol.geo.block_bits).min(end);
                if !keep_size && reached > inode.size() {
                    inode.set_size(reached);
                }
                vol.touch(&mut inode);
                vol.put_inode(&inode)?;
                Ok(n)
            })?;
        }
        Ok(())
    }

    /// Takes a range out, or opens a hole: what lies behind moves.
    fn slide(&mut self, ino: u32, off: u64, len: u64, insert: bool) -> Result<()> {
        let size = self.inode(ino)?.size();
        let block = self.geo.block_size as u64;
        if !off.is_multiple_of(block) || !len.is_multiple_of(block) || off >= size || (!insert && off + len >= size) {
            return Err(Errno::EINVAL.into());
        }
        let (first, count) = (off / block, len / block);
        let new_size = if insert { size + len } else { size - len };
        if new_size > self.geo.max_size(true) {
            return Err(Errno::EFBIG.into());
        }
        if insert {
            // An extent that reaches over the place is cut in two, so that the part behind it can
            // move.
            if let Some(last) = self.inode(ino).and_then(|inode| self.last_extent(&inode))?
                && last.end() + count > u64::from(u32::MAX)
            {
                return Err(Error::Refused(Errno::EFBIG));
            }
            self.shift(ino, first, count as i64)?;
        } else {
            // Nothing may stay behind the end either.
            self.cut_all(ino, first, first + count, |_, _| Ok(()))?;
            self.shift(ino, first + count, -(count as i64))?;
        }
        self.transact(|vol| {
            let mut inode = vol.inode(ino)?;
            inode.set_size(new_size);
            vol.touch(&mut inode);
            vol.put_inode(&inode)
        })
    }

    /// `SEEK_DATA` and `SEEK_HOLE`: the next place of that kind at or after `off`.
    pub(crate) fn seek(&mut self, ino: u32, off: u64, data: bool) -> Result<u64> {
        let inode = self.inode(ino)?;
        let size = inode.size();
        if off >= size {
            return Err(Errno::ENXIO.into());
        }
        if inode.has(flag::INLINE_DATA) {
            return Ok(if data { off } else { size });
        }
        let last = self.blocks_for(size);
        let mut at = off >> self.geo.block_bits;
        while at < last {
            let run = self.map(&inode, at, last - at)?;
            if (run.block.is_some() && !run.unwritten) == data {
                return Ok((at << self.geo.block_bits).clamp(off, size));
            }
            at += run.len;
        }
        if data { Err(Errno::ENXIO.into()) } else { Ok(size) }
    }
}
