//! Blocks: finding free ones near a goal in one piece, and giving them back.

use crate::error::{Result, corrupt};
use crate::group::{Bitmap, bit, clear_bits, find_bit, set_bits};
use crate::inode::Inode;
use crate::layout::GroupDesc;
use crate::volume::Volume;
use syscall_shim::Errno;

/// Bitmaps that are looked through for a run of the whole length before a shorter one will do.
const GROUPS_FOR_A_WHOLE_RUN: u32 = 16;

impl Volume {
    /// Free blocks of the whole file system.
    pub(crate) fn free_blocks_count(&self) -> u64 {
        u64::from(self.sb.free_blocks_count_lo.get()) | u64::from(self.sb.free_blocks_count_hi.get()) << 32
    }

    pub(crate) fn set_free_blocks_count(&mut self, n: u64) {
        self.sb.free_blocks_count_lo.set(n as u32);
        if self.geo.has_incompat(crate::features::INCOMPAT_64BIT) {
            self.sb.free_blocks_count_hi.set((n >> 32) as u32);
        }
        self.sb_dirty = true;
    }

    /// Blocks that are kept for the super-user.
    pub(crate) fn reserved(&self) -> u64 {
        let high = if self.geo.has_incompat(crate::features::INCOMPAT_64BIT) { self.sb.r_blocks_count_hi.get() } else { 0 };
        u64::from(self.sb.r_blocks_count_lo.get()) | u64::from(high) << 32
    }

    /// Whether the caller may use them.
    pub(crate) fn may_use_reserve(&self) -> bool {
        self.env.may_use_reserve(self.sb.def_resuid.get().into(), self.sb.def_resgid.get().into())
    }

    /// Where an inode's first block would best be: in its group, or after the bitmaps and inodes of
    /// the group's neighbours.
    pub(crate) fn inode_goal(&self, ino: u32) -> u64 {
        let group = ino.saturating_sub(1) / self.geo.inodes_per_group;
        self.geo.group_start(group.min(self.geo.groups - 1)) + 1
    }

    /// Takes between 1 and `want` blocks in one piece, near `goal`. `ENOSPC`.
    pub(crate) fn allocate(&mut self, goal: u64, want: u32) -> Result<(u64, u32)> {
        let goal = if self.geo.valid(goal, 1) { goal } else { self.geo.first_data_block + 1 };
        let home = self.geo.group_of(goal);
        // Content was promised its place when the program wrote it.
        let mut most = u64::from(self.geo.blocks_per_group);
        if !self.promised && !self.may_use_reserve() {
            most = most.min(self.free_blocks_count().saturating_sub(self.reserved()));
        }
        if most == 0 {
            return Err(Errno::ENOSPC.into());
        }
        let want = want.clamp(1, most as u32);
        let mut best: Option<(u32, usize, usize)> = None;
        let mut looked = 0;
        for step in 0..self.geo.groups {
            let group = ((u64::from(home) + u64::from(step)) % u64::from(self.geo.groups)) as u32;
            let desc = self.desc(group)?;
            if desc.free_blocks() == 0 {
                continue;
            }
            let from = if step == 0 { (goal - self.geo.group_start(group)) as usize } else { 0 };
            let found = self.find_run(group, &desc, from, want as usize)?;
            if let Some((start, len)) = found {
                if len >= want as usize || (step == 0 && start == from) {
                    best = Some((group, start, len));
                    break;
                }
                if best.is_none_or(|(_, _, old)| len > old) {
                    best = Some((group, start, len));
                }
                looked += 1;
                if looked >= GROUPS_FOR_A_WHOLE_RUN {
                    break;
                }
            }
        }
        let Some((group, start, len)) = best else { return Err(Errno::ENOSPC.into()) };
        let len = len.min(want as usize);
        let block = self.geo.group_start(group) + start as u64;
        self.take_blocks(group, start, len)?;
        Ok((block, len as u32))
    }

    /// The run at `from` if that is free; else the first of `want` blocks after it or in the whole
    /// group; else the longest.
    fn find_run(&mut self, group: u32, desc: &GroupDesc, from: usize, want: usize) -> Result<Option<(usize, usize)>> {
        let bits = self.bitmap(group, desc, Bitmap::Blocks)?;
        let start = self.geo.group_start(group);
        let count = self.geo.group_blocks(group) as usize;
        let mut best: Option<(usize, usize)> = None;
        for (low, high) in [(from, count), (0, from)] {
            let mut at = low;
            while let Some(free) = find_bit(&bits, at, high, false) {
                let mut end = find_bit(&bits, free, high.min(free + want), true).unwrap_or(high.min(free + want));
                if let Some(until) = self.freed_until(start + free as u64) {
                    at = (until - start) as usize;
                    continue;
                }
                if let Some(freed) = self.next_freed(start + free as u64) {
                    end = end.min((freed - start).min(count as u64) as usize);
                }
                let len = end - free;
                if len >= want || free == from {
                    return Ok(Some((free, len)));
                }
                if best.is_none_or(|(_, old)| len > old) {
                    best = Some((free, len));
                }
                at = end;
            }
        }
        Ok(best)
    }

    fn take_blocks(&mut self, group: u32, start: usize, len: usize) -> Result<()> {
        let mut desc = self.desc(group)?;
        self.check_no_system(group, &desc, start, len)?;
        let left = desc.free_blocks().checked_sub(len as u32);
        let Some(left) = left else { return corrupt("free blocks count of a group") };
        self.edit_bitmap(group, &mut desc, Bitmap::Blocks, |bits| {
            set_bits(bits, start, start + len);
            Ok(())
        })?;
        desc.set_free_blocks(left);
        self.put_desc(group, &desc)?;
        let total = self.free_blocks_count().saturating_sub(len as u64);
        self.set_free_blocks_count(total);
        Ok(())
    }

    /// Refuses blocks that hold the group's own bitmaps and inodes, whatever a bitmap says.
    fn check_no_system(&self, group: u32, desc: &GroupDesc, start: usize, len: usize) -> Result<()> {
        let first = self.geo.group_start(group) + start as u64;
        let end = first + len as u64;
        let table = u64::from(self.geo.inodes_per_group).div_ceil((self.geo.block_size / self.geo.inode_size) as u64);
        let system = [(desc.block_bitmap(), 1), (desc.inode_bitmap(), 1), (desc.inode_table(), table)];
        let base = start < self.geo.base_blocks(group) as usize;
        if base || system.iter().any(|(at, n)| *at < end && first < at + n) {
            return corrupt("block bitmap: a block of the file system's own");
        }
        Ok(())
    }

    /// Gives blocks back. `metadata` are those that were written through the journal.
    pub(crate) fn free_blocks(&mut self, block: u64, len: u64, metadata: bool) -> Result<()> {
        if !self.geo.valid(block, len) {
            return corrupt("range of blocks to be freed");
        }
        let (mut at, end) = (block, block + len);
        while at < end {
            let group = self.geo.group_of(at);
            let start = (at - self.geo.group_start(group)) as usize;
            let n = (end - at).min(u64::from(self.geo.group_blocks(group)) - start as u64) as usize;
            let mut desc = self.desc(group)?;
            self.check_no_system(group, &desc, start, n)?;
            self.edit_bitmap(group, &mut desc, Bitmap::Blocks, |bits| {
                if (start..start + n).any(|i| !bit(bits, i)) {
                    return corrupt("block bitmap: a block of a file is free");
                }
                clear_bits(bits, start, start + n);
                Ok(())
            })?;
            desc.set_free_blocks(desc.free_blocks() + n as u32);
            self.put_desc(group, &desc)?;
            let total = self.free_blocks_count() + n as u64;
            self.set_free_blocks_count(total);
            at += n as u64;
        }
        self.note_freed(block, len, metadata);
        Ok(())
    }

    /// A block for an inode's own structures.
    pub(crate) fn new_metadata_block(&mut self, inode: &mut Inode, goal: u64) -> Result<u64> {
        let (block, _) = self.allocate(goal, 1)?;
        self.count_blocks(inode, 1)?;
        Ok(block)
    }

    /// Gives one of these back.
    pub(crate) fn free_metadata_block(&mut self, inode: &mut Inode, block: u64) -> Result<()> {
        self.count_blocks(inode, -1)?;
        self.free_blocks(block, 1, true)
    }
}
