//! The file system as a whole: its sizes, and its free blocks told to the device.

use crate::error::Result;
use crate::group::{Bitmap, find_bit};
use crate::volume::Volume;
use fs::StatFs;

impl Volume {
    /// Blocks that the file system takes for itself.
    fn overhead(&mut self) -> u64 {
        let noted = u64::from(self.sb.overhead_blocks.get());
        if noted > 0 {
            return noted;
        }
        let per_group = 2 + self.geo.inodes_per_group.div_ceil((self.geo.block_size / self.geo.inode_size) as u32);
        let base: u64 = (0..self.geo.groups).map(|group| u64::from(self.geo.base_blocks(group))).sum();
        let journal = self.inode(self.sb.journal_inum.get()).map_or(0, |inode| inode.size() >> self.geo.block_bits);
        self.geo.first_data_block + base + u64::from(per_group) * u64::from(self.geo.groups) + journal
    }

    pub(crate) fn statfs(&mut self) -> Result<StatFs> {
        let reserved = self.reserved();
        let free = self.free_blocks_count();
        let word = |at: usize| crate::layout::bytes_at(&self.geo.uuid, at).map_or(0, u64::from_le_bytes);
        let fsid = word(0) ^ word(8);
        let overhead = self.overhead();
        Ok(StatFs {
            magic: crate::SUPER_MAGIC,
            bsize: self.geo.block_size as u64,
            blocks: self.geo.blocks.saturating_sub(overhead),
            bfree: free,
            bavail: free.saturating_sub(reserved),
            files: u64::from(self.geo.inodes),
            ffree: u64::from(self.sb.free_inodes_count.get()),
            fsid,
            namelen: fs::NAME_MAX as u64,
            frsize: self.geo.block_size as u64,
            flags: 0,
        })
    }

    /// FITRIM. What was freed counts once it is durable.
    pub(crate) fn trim(&mut self, min: u64) -> Result<u64> {
        self.commit()?;
        let min = (min >> self.geo.block_bits).max(1) as usize;
        let mut told = 0;
        for group in 0..self.geo.groups {
            let desc = self.desc(group)?;
            let bits = self.bitmap(group, &desc, Bitmap::Blocks)?;
            let count = self.geo.group_blocks(group) as usize;
            let mut at = 0;
            while let Some(free) = find_bit(&bits, at, count, false) {
                at = find_bit(&bits, free, count, true).unwrap_or(count);
                if at - free >= min {
                    let start = (self.geo.group_start(group) + free as u64) << self.geo.block_bits;
                    let len = ((at - free) as u64) << self.geo.block_bits;
                    self.device.discard(start, len)?;
                    told += len;
                }
            }
        }
        Ok(told)
    }
}
