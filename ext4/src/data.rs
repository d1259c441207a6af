//! The content of files: which blocks hold it, and changes of that.

use crate::cache::zeroed;
use crate::error::{Error, Result, corrupt};
use crate::extent::{Item, MAX_LEN};
use crate::inode::Inode;
use crate::layout::flag;
use crate::volume::Volume;
use alloc::vec::Vec;
use syscall_shim::Errno;

/// Blocks of a file that lie together on the disk, or a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First block on the disk; `None` for a hole.
    pub block: Option<u64>,
    /// Blocks, at least 1.
    pub len: u64,
    /// Allocated, but reads as zeros.
    pub unwritten: bool,
}

/// Extents that one operation frees at most.
const CUT_BUDGET: usize = 32;

impl Volume {
    /// Where `block` of a file is, and how much after it is of the same kind, `max` at most.
    pub(crate) fn map(&mut self, inode: &Inode, block: u64, max: u64) -> Result<Run> {
        let max = max.max(1);
        if inode.has(flag::INLINE_DATA) {
            return Ok(Run { block: None, len: max, unwritten: false });
        }
        if !inode.has(flag::EXTENTS) {
            let (found, len) = self.indirect_map(inode, block, max)?;
            return Ok(Run { block: (found != 0).then_some(found), len, unwritten: false });
        }
        let Ok(narrow) = u32::try_from(block) else { return Ok(Run { block: None, len: max, unwritten: false }) };
        Ok(match self.find_extent(inode, narrow)? {
            Ok(item) => {
                let skip = block - u64::from(item.first);
                let len = (u64::from(item.len) - skip).min(max);
                Run { block: Some(item.block + skip), len, unwritten: item.unwritten }
            }
            Err(end) => Run { block: None, len: (end - block).clamp(1, max), unwritten: false },
        })
    }

    /// The block of a file that must not have holes.
    pub(crate) fn map_one(&mut self, inode: &Inode, block: u64) -> Result<u64> {
        self.map(inode, block, 1)?.block.ok_or(Error::Corrupt("directory: a hole"))
    }

    /// Blocks that `bytes` take.
    pub(crate) fn blocks_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.geo.block_size as u64)
    }

    /// Fills holes in `[first, first + count)`, with extents that read as zeros where the file has
    /// extents. Answers how many blocks are there from `first` on: it may be a part, to keep the
    /// operation small.
    pub(crate) fn fill(&mut self, inode: &mut Inode, first: u64, count: u64, unwritten: bool) -> Result<u64> {
        let extents = inode.has(flag::EXTENTS);
        let limit = self.geo.max_size(extents) >> self.geo.block_bits;
        if first.checked_add(count).is_none_or(|end| end > limit) {
            return Err(Errno::EFBIG.into());
        }
        let mut done = 0;
        for _ in 0..CUT_BUDGET {
            if done >= count {
                break;
            }
            let at = first + done;
            let run = self.map(inode, at, count - done)?;
            if run.block.is_some() {
                done += run.len;
                continue;
            }
            let goal = self.data_goal(inode, at)?;
            let max = u64::from(if extents { MAX_LEN - 1 } else { 64 });
            let (block, len) = self.allocate(goal, run.len.min(max) as u32)?;
            if extents {
                let item = Item { first: at as u32, len, block, unwritten };
                self.insert_extent(inode, item)?;
            } else {
                for n in 0..u64::from(len) {
                    self.indirect_set(inode, at + n, block + n)?;
                }
            }
            self.count_blocks(inode, i64::from(len))?;
            done += u64::from(len);
        }
        Ok(done.min(count))
    }

    /// Behind what the file has before `block`.
    fn data_goal(&mut self, inode: &Inode, block: u64) -> Result<u64> {
        if block > 0
            && let Some(before) = self.map(inode, block - 1, 1)?.block
        {
            return Ok(before + 1);
        }
        if inode.has(flag::EXTENTS)
            && let Some(last) = self.last_extent(inode)?
        {
            // As far from the last extent as the blocks of the file are from each other.
            let end = last.block + u64::from(last.len);
            return Ok(end.saturating_add(block.saturating_sub(last.end()).min(2048)));
        }
        Ok(self.inode_goal(inode.ino))
    }

    /// Makes unwritten extents of `[from, to)` count as written. Answers where it stopped.
    pub(crate) fn mark_written(&mut self, inode: &mut Inode, from: u64, to: u64) -> Result<u64> {
        if !inode.has(flag::EXTENTS) {
            return Ok(to);
        }
        let mut at = from;
        for _ in 0..CUT_BUDGET {
            if at >= to {
                break;
            }
            let run = self.map(inode, at, to - at)?;
            if run.unwritten
                && let Some(block) = run.block
            {
                let end = at + run.len;
                self.cut_extents(inode, at, end, 1)?;
                let item = Item { first: at as u32, len: run.len as u32, block, unwritten: false };
                self.insert_extent(inode, item)?;
            }
            at += run.len;
        }
        Ok(at.min(to))
    }

    /// Frees the last few extents of `[from, to)`. True while there are more.
    pub(crate) fn cut(&mut self, inode: &mut Inode, from: u64, to: u64) -> Result<bool> {
        let metadata = !matches!(inode.file_type(), Some(fs::FileType::Regular));
        if inode.has(flag::INLINE_DATA) || from >= to {
            return Ok(false);
        }
        if inode.has(flag::EXTENTS) {
            let cut = self.cut_extents(inode, from, to, CUT_BUDGET)?;
            for item in &cut.removed {
                self.free_blocks(item.block, u64::from(item.len), metadata)?;
                self.count_blocks(inode, -i64::from(item.len))?;
            }
            return Ok(cut.more);
        }
        let cut = self.cut_indirect(inode, from, to, CUT_BUDGET)?;
        for (block, len) in &cut.removed {
            self.free_blocks(*block, *len, metadata)?;
            self.count_blocks(inode, -(*len as i64))?;
        }
        Ok(cut.more)
    }

    /// Frees all of `[from, to)`, an operation for each part, and has `finish` change the inode in
    /// the last one.
    pub(crate) fn cut_all(
        &mut self,
        ino: u32,
        from: u64,
        to: u64,
        finish: impl Fn(&mut Volume, &mut Inode) -> Result<()>,
    ) -> Result<()> {
        loop {
            let more = self.transact(|vol| {
                let mut inode = vol.inode(ino)?;
                let more = vol.cut(&mut inode, from, to)?;
                if !more {
                    finish(vol, &mut inode)?;
                }
                vol.put_inode(&inode)?;
                Ok(more)
            })?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Zeros the bytes `[from, to)` of a block that is on the disk and counts as written.
    pub(crate) fn zero_bytes(&mut self, inode: &Inode, from: u64, to: u64) -> Result<()> {
        if from >= to || inode.has(flag::INLINE_DATA) {
            return Ok(());
        }
        let run = self.map(inode, from >> self.geo.block_bits, 1)?;
        let (Some(block), false) = (run.block, run.unwritten) else { return Ok(()) };
        let mut data = zeroed(self.geo.block_size)?;
        let at = block << self.geo.block_bits;
        self.device.read(at, &mut data)?;
        let start = from as usize % self.geo.block_size;
        let part = data.get_mut(start..start + (to - from) as usize).ok_or(Errno::EINVAL)?;
        if part.iter().any(|byte| *byte != 0) {
            part.fill(0);
            self.device.write(at, &data)?;
        }
        Ok(())
    }

    /// Zeros what is left of blocks at the ends of `[from, to)`; answers the whole blocks between.
    pub(crate) fn zero_edges(&mut self, inode: &Inode, from: u64, to: u64) -> Result<(u64, u64)> {
        let size = self.geo.block_size as u64;
        let (first, last) = (from.div_ceil(size), to / size);
        if first > last {
            self.zero_bytes(inode, from, to)?;
            return Ok((first, first));
        }
        self.zero_bytes(inode, from, first * size)?;
        self.zero_bytes(inode, last * size, to)?;
        Ok((first, last))
    }

    /// Sets the size of a regular file, freeing what lies behind it.
    pub(crate) fn truncate(&mut self, ino: u32, size: u64) -> Result<()> {
        let inode = self.inode(ino)?;
        if size > self.geo.max_size(inode.has(flag::EXTENTS)) {
            return Err(Errno::EFBIG.into());
        }
        if inode.has(flag::INLINE_DATA) {
            return self.transact(|vol| {
                let mut inode = vol.inode(ino)?;
                if size > inode.size() {
                    vol.leave_inline(&mut inode)?;
                    inode.set_size(size);
                } else {
                    vol.shrink_inline(&mut inode, size)?;
                }
                vol.touch(&mut inode);
                vol.put_inode(&inode)
            });
        }
        let old = inode.size();
        let edge = old.min(size);
        self.zero_bytes(&inode, edge, edge.next_multiple_of(self.geo.block_size as u64))?;
        self.transact(|vol| {
            let mut inode = vol.inode(ino)?;
            inode.set_size(size);
            vol.touch(&mut inode);
            if size <= old && inode.links() > 0 {
                vol.add_orphan(&mut inode)?;
            }
            vol.put_inode(&inode)
        })?;
        if size > old {
            return Ok(());
        }
        self.cut_all(ino, self.blocks_for(size), 1 << 32, |vol, inode| match inode.links() {
            0 => Ok(()),
            _ => vol.remove_orphan(inode),
        })
    }

    /// New mtime and ctime.
    pub(crate) fn touch(&mut self, inode: &mut Inode) {
        let now = self.now();
        inode.set_mtime(now);
        inode.set_ctime(now);
    }

    /// Moves every extent from `from` on by `shift` blocks, an operation for each part. To the
    /// right from the last one on, to the left from the first.
    pub(crate) fn shift(&mut self, ino: u32, from: u64, shift: i64) -> Result<()> {
        let mut low = from;
        let mut high = 1u64 << 32;
        loop {
            let next = self.transact(|vol| {
                let mut inode = vol.inode(ino)?;
                let mut moved: Vec<Item> = Vec::new();
                if shift > 0 {
                    moved = vol.cut_extents(&mut inode, from, high, CUT_BUDGET / 4)?.removed;
                } else {
                    let mut at = low;
                    while moved.len() < CUT_BUDGET / 4 && at < 1 << 32 {
                        let run = vol.map(&inode, at, (1 << 32) - at)?;
                        if let Some(block) = run.block {
                            let item = Item { first: at as u32, len: run.len as u32, block, unwritten: run.unwritten };
                            vol.cut_extents(&mut inode, at, at + run.len, 1)?;
                            moved.push(item);
                        }
                        at += run.len;
                    }
                }
                let bounds = moved.iter().map(|item| (u64::from(item.first), item.end()));
                let bounds = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                for item in moved {
                    let first = u64::from(item.first).checked_add_signed(shift);
                    let first = first.and_then(|first| u32::try_from(first).ok()).ok_or(Errno::EFBIG)?;
                    vol.insert_extent(&mut inode, Item { first, ..item })?;
                }
                vol.put_inode(&inode)?;
                Ok(bounds)
            })?;
            match next {
                Some((first, _)) if shift > 0 => high = first,
                Some((_, end)) => low = end,
                None => return Ok(()),
            }
        }
    }

    /// Checks a block number that the caller made up from a size.
    pub(crate) fn dir_blocks(&self, inode: &Inode) -> Result<u64> {
        match inode.size() % self.geo.block_size as u64 {
            0 => Ok(inode.size() >> self.geo.block_bits),
            _ => corrupt("size of a directory"),
        }
    }
}
