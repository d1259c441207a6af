//! Descriptors of block groups, and the bitmaps they lead to.

use crate::cache::Block;
use crate::checksum::{crc16, crc32c};
use crate::error::{Result, corrupt};
use crate::features::RO_GDT_CSUM;
use crate::layout::{BG_BLOCK_UNINIT, BG_INODE_UNINIT, GroupDesc};
use crate::volume::Volume;
use zerocopy::IntoBytes;

impl GroupDesc {
    pub(crate) fn block_bitmap(&self) -> u64 {
        u64::from(self.block_bitmap_lo.get()) | u64::from(self.block_bitmap_hi.get()) << 32
    }

    pub(crate) fn inode_bitmap(&self) -> u64 {
        u64::from(self.inode_bitmap_lo.get()) | u64::from(self.inode_bitmap_hi.get()) << 32
    }

    pub(crate) fn inode_table(&self) -> u64 {
        u64::from(self.inode_table_lo.get()) | u64::from(self.inode_table_hi.get()) << 32
    }

    pub(crate) fn free_blocks(&self) -> u32 {
        u32::from(self.free_blocks_lo.get()) | u32::from(self.free_blocks_hi.get()) << 16
    }

    pub(crate) fn free_inodes(&self) -> u32 {
        u32::from(self.free_inodes_lo.get()) | u32::from(self.free_inodes_hi.get()) << 16
    }

    pub(crate) fn used_dirs(&self) -> u32 {
        u32::from(self.used_dirs_lo.get()) | u32::from(self.used_dirs_hi.get()) << 16
    }

    pub(crate) fn itable_unused(&self) -> u32 {
        u32::from(self.itable_unused_lo.get()) | u32::from(self.itable_unused_hi.get()) << 16
    }

    pub(crate) fn set_free_blocks(&mut self, n: u32) {
        self.free_blocks_lo.set(n as u16);
        self.free_blocks_hi.set((n >> 16) as u16);
    }

    pub(crate) fn set_free_inodes(&mut self, n: u32) {
        self.free_inodes_lo.set(n as u16);
        self.free_inodes_hi.set((n >> 16) as u16);
    }

    pub(crate) fn set_used_dirs(&mut self, n: u32) {
        self.used_dirs_lo.set(n as u16);
        self.used_dirs_hi.set((n >> 16) as u16);
    }

    pub(crate) fn set_itable_unused(&mut self, n: u32) {
        self.itable_unused_lo.set(n as u16);
        self.itable_unused_hi.set((n >> 16) as u16);
    }
}

/// Which of a group's bitmaps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bitmap {
    Blocks,
    Inodes,
}

impl Volume {
    /// The checksum that belongs into a descriptor, whose bytes on the disk these are.
    fn desc_checksum(&self, group: u32, desc: &[u8]) -> Option<u16> {
        let (head, rest) = (desc.get(..0x1e)?, desc.get(0x20..)?);
        if self.geo.csum {
            let seed = crc32c(self.geo.csum_seed, &group.to_le_bytes());
            return Some(crc32c(crc32c(crc32c(seed, head), &[0, 0]), rest) as u16);
        }
        Some(crc16(&[&self.geo.uuid, &group.to_le_bytes(), head, rest]))
    }

    fn has_group_checksums(&self) -> bool {
        self.geo.csum || self.geo.has_ro(RO_GDT_CSUM)
    }

    fn desc_place(&self, group: u32) -> (u64, usize) {
        let index = (group % self.geo.descs_per_block()) as usize;
        (self.geo.desc_block(group), index * self.geo.desc_size)
    }

    /// The descriptor of `group`, its checksum and places checked.
    pub(crate) fn desc(&mut self, group: u32) -> Result<GroupDesc> {
        let (block, at) = self.desc_place(group);
        let data = self.block(block)?;
        let Some(bytes) = data.get(at..at + self.geo.desc_size) else { return corrupt("group descriptor") };
        let mut desc = GroupDesc::default();
        let n = bytes.len().min(64);
        if let (Some(to), Some(from)) = (desc.as_mut_bytes().get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        if self.has_group_checksums() && self.desc_checksum(group, bytes) != Some(desc.checksum.get()) {
            return Err(crate::Error::Checksum("group descriptor"));
        }
        let table = u64::from(self.geo.inodes_per_group).div_ceil((self.geo.block_size / self.geo.inode_size) as u64);
        let geo = &self.geo;
        if !geo.valid(desc.block_bitmap(), 1) || !geo.valid(desc.inode_bitmap(), 1) || !geo.valid(desc.inode_table(), table)
        {
            return corrupt("places in a group descriptor");
        }
        if desc.free_blocks() > geo.blocks_per_group || desc.free_inodes() > geo.inodes_per_group {
            return corrupt("free counts in a group descriptor");
        }
        Ok(desc)
    }

    /// Writes a descriptor with its checksum.
    pub(crate) fn put_desc(&mut self, group: u32, desc: &GroupDesc) -> Result<()> {
        let (block, at) = self.desc_place(group);
        let size = self.geo.desc_size;
        let old = self.block(block)?;
        let Some(old) = old.get(at..at + size) else { return corrupt("group descriptor") };
        let mut bytes = crate::cache::copied(old)?;
        let n = size.min(64);
        if let (Some(to), Some(from)) = (bytes.get_mut(..n), desc.as_bytes().get(..n)) {
            to.copy_from_slice(from);
        }
        if self.has_group_checksums() {
            let sum = self.desc_checksum(group, &bytes).unwrap_or(0);
            let _fits = crate::layout::put(&mut bytes, 0x1e, &sum.to_le_bytes());
        }
        let data = self.edit(block)?;
        match crate::layout::put(data, at, &bytes) {
            true => Ok(()),
            false => corrupt("group descriptor"),
        }
    }

    fn bitmap_bytes(&self, kind: Bitmap) -> usize {
        let bits = match kind {
            Bitmap::Blocks => self.geo.blocks_per_group,
            Bitmap::Inodes => self.geo.inodes_per_group,
        };
        bits as usize / 8
    }

    /// A bitmap of a group as it is, or would be if it had been written.
    pub(crate) fn bitmap(&mut self, group: u32, desc: &GroupDesc, kind: Bitmap) -> Result<Block> {
        let (block, uninit) = match kind {
            Bitmap::Blocks => (desc.block_bitmap(), BG_BLOCK_UNINIT),
            Bitmap::Inodes => (desc.inode_bitmap(), BG_INODE_UNINIT),
        };
        if self.has_group_checksums() && desc.flags.get() & uninit != 0 {
            return Ok(alloc::sync::Arc::new(self.initial_bitmap(group, desc, kind)?));
        }
        if !self.geo.csum {
            return self.block(block);
        }
        let (seed, len) = (self.geo.csum_seed, self.bitmap_bytes(kind));
        let wide = self.geo.desc_size >= 64;
        let (lo, hi) = match kind {
            Bitmap::Blocks => (desc.block_bitmap_csum_lo.get(), desc.block_bitmap_csum_hi.get()),
            Bitmap::Inodes => (desc.inode_bitmap_csum_lo.get(), desc.inode_bitmap_csum_hi.get()),
        };
        self.checked(block, "bitmap", |data| {
            let sum = crc32c(seed, data.get(..len).unwrap_or(data));
            if wide { sum == u32::from(lo) | u32::from(hi) << 16 } else { sum as u16 == lo }
        })
    }

    /// The bitmap of a group that nobody has used yet.
    fn initial_bitmap(&self, group: u32, desc: &GroupDesc, kind: Bitmap) -> Result<alloc::vec::Vec<u8>> {
        let mut bits = crate::cache::zeroed(self.geo.block_size)?;
        let all = self.geo.block_size * 8;
        if kind == Bitmap::Inodes {
            set_bits(&mut bits, self.geo.inodes_per_group as usize, all);
            return Ok(bits);
        }
        let start = self.geo.group_start(group);
        let count = self.geo.group_blocks(group);
        set_bits(&mut bits, 0, self.geo.base_blocks(group) as usize);
        set_bits(&mut bits, count as usize, all);
        let table = u64::from(self.geo.inodes_per_group).div_ceil((self.geo.block_size / self.geo.inode_size) as u64);
        for (first, len) in [(desc.block_bitmap(), 1), (desc.inode_bitmap(), 1), (desc.inode_table(), table)] {
            let from = first.clamp(start, start + u64::from(count)) - start;
            let to = (first + len).clamp(start, start + u64::from(count)) - start;
            set_bits(&mut bits, from as usize, to as usize);
        }
        Ok(bits)
    }

    /// Changes a bitmap, and its checksum in the descriptor, which the caller writes.
    pub(crate) fn edit_bitmap(
        &mut self,
        group: u32,
        desc: &mut GroupDesc,
        kind: Bitmap,
        change: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let (block, uninit) = match kind {
            Bitmap::Blocks => (desc.block_bitmap(), BG_BLOCK_UNINIT),
            Bitmap::Inodes => (desc.inode_bitmap(), BG_INODE_UNINIT),
        };
        let now = self.bitmap(group, desc, kind)?;
        let (seed, len) = (self.geo.csum_seed, self.bitmap_bytes(kind));
        let data = if desc.flags.get() & uninit != 0 && self.has_group_checksums() {
            desc.flags.set(desc.flags.get() & !uninit);
            let data = self.fresh(block)?;
            data.copy_from_slice(&now);
            data
        } else {
            drop(now);
            self.edit(block)?
        };
        change(data)?;
        let sum = crc32c(seed, data.get(..len).unwrap_or(data));
        self.mark_checked(block);
        if self.geo.csum {
            let (lo, hi) = match kind {
                Bitmap::Blocks => (&mut desc.block_bitmap_csum_lo, &mut desc.block_bitmap_csum_hi),
                Bitmap::Inodes => (&mut desc.inode_bitmap_csum_lo, &mut desc.inode_bitmap_csum_hi),
            };
            lo.set(sum as u16);
            hi.set((sum >> 16) as u16);
        }
        Ok(())
    }
}

/// Whether bit `n` is set; beyond the end it is.
pub(crate) fn bit(bits: &[u8], n: usize) -> bool {
    bits.get(n / 8).is_none_or(|byte| byte & 1 << (n % 8) != 0)
}

/// Sets the bits `[from, to)`.
pub(crate) fn set_bits(bits: &mut [u8], from: usize, to: usize) {
    change_bits(bits, from, to, |byte, mask| *byte |= mask);
}

/// Clears the bits `[from, to)`.
pub(crate) fn clear_bits(bits: &mut [u8], from: usize, to: usize) {
    change_bits(bits, from, to, |byte, mask| *byte &= !mask);
}

fn change_bits(bits: &mut [u8], from: usize, to: usize, change: impl Fn(&mut u8, u8)) {
    let mut n = from;
    while n < to {
        let take = (8 - n % 8).min(to - n);
        let mask = (0xffu16 >> (8 - take)) as u8;
        if let Some(byte) = bits.get_mut(n / 8) {
            change(byte, mask << (n % 8));
        }
        n += take;
    }
}

/// The first bit at or after `from`, before `to`, that is `set`.
pub(crate) fn find_bit(bits: &[u8], from: usize, to: usize, set: bool) -> Option<usize> {
    let skip = if set { 0 } else { 0xff };
    let mut n = from;
    while n < to {
        if n.is_multiple_of(8) && bits.get(n / 8) == Some(&skip) {
            n += 8;
        } else if bit(bits, n) == set {
            return Some(n);
        } else {
            n += 1;
        }
    }
    None
}

impl Default for GroupDesc {
    fn default() -> GroupDesc {
        zerocopy::FromZeros::new_zeroed()
    }
}
