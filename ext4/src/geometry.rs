//! What of the superblock never changes while mounted, checked once, in a shape to calculate with.

use crate::checksum::crc32c;
use crate::error::{Error, Result, corrupt};
use crate::features::*;
use crate::layout::{MAGIC, OLD_INODE_SIZE, Superblock};
use alloc::format;
use zerocopy::IntoBytes;

/// Sizes and places of a file system, and how it calculates checksums.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub block_size: usize,
    pub block_bits: u32,
    pub blocks: u64,
    pub first_data_block: u64,
    pub blocks_per_group: u32,
    pub inodes_per_group: u32,
    pub inodes: u32,
    pub groups: u32,
    pub inode_size: usize,
    pub first_ino: u32,
    pub desc_size: usize,
    pub reserved_gdt_blocks: u32,
    pub first_meta_bg: u32,
    pub compat: u32,
    pub incompat: u32,
    pub ro_compat: u32,
    /// `metadata_csum`.
    pub csum: bool,
    pub csum_seed: u32,
    pub uuid: [u8; 16],
    pub hash_seed: [u32; 4],
    pub hash_version: u8,
    /// Directory hashes take bytes as unsigned numbers.
    pub hash_unsigned: bool,
    pub backup_bgs: [u32; 2],
    pub want_extra_isize: u16,
}

/// The checksum that belongs into `s_checksum`.
pub(crate) fn superblock_checksum(sb: &Superblock) -> u32 {
    let bytes = sb.as_bytes();
    crc32c(!0, bytes.split_at(bytes.len() - 4).0)
}

impl Geometry {
    /// Checks the superblock of a device of `size` bytes. Names the field that does not fit.
    pub(crate) fn new(sb: &Superblock, size: u64) -> Result<Geometry> {
        if sb.magic.get() != MAGIC {
            return Err(Error::Unsupported("no ext2, ext3 or ext4 file system: s_magic".into()));
        }
        let dynamic = sb.rev_level.get() >= 1;
        let (compat, incompat, ro_compat) = match dynamic {
            true => (sb.feature_compat.get(), sb.feature_incompat.get(), sb.feature_ro_compat.get()),
            false => (0, 0, 0),
        };
        let csum = ro_compat & RO_METADATA_CSUM != 0;
        if csum && sb.checksum_type != 1 {
            return Err(Error::Unsupported(format!("unknown s_checksum_type {}", sb.checksum_type)));
        }
        if csum && sb.checksum.get() != superblock_checksum(sb) {
            return Err(Error::Checksum("superblock"));
        }
        let log = sb.log_block_size.get();
        if log > 6 {
            return corrupt("s_log_block_size");
        }
        let block_size = 1024usize << log;
        let block_bits = 10 + log;
        let wide = incompat & INCOMPAT_64BIT != 0;
        let high = if wide { u64::from(sb.blocks_count_hi.get()) << 32 } else { 0 };
        let blocks = u64::from(sb.blocks_count_lo.get()) | high;
        let first_data_block = u64::from(sb.first_data_block.get());
        if first_data_block != u64::from(log == 0) {
            return corrupt("s_first_data_block");
        }
        if blocks <= first_data_block || blocks.checked_mul(block_size as u64).is_none_or(|bytes| bytes > size) {
            return Err(Error::Unsupported(format!("s_blocks_count: {blocks} blocks, the disk has {} bytes", size)));
        }
        let blocks_per_group = sb.blocks_per_group.get();
        if blocks_per_group < 8 || !blocks_per_group.is_multiple_of(8) || blocks_per_group as usize > block_size * 8 {
            return corrupt("s_blocks_per_group");
        }
        let inode_size = if dynamic { usize::from(sb.inode_size.get()) } else { OLD_INODE_SIZE };
        if inode_size < OLD_INODE_SIZE || !inode_size.is_power_of_two() || inode_size > block_size {
            return corrupt("s_inode_size");
        }
        let inodes_per_group = sb.inodes_per_group.get();
        let per_block = (block_size / inode_size) as u32;
        if inodes_per_group < per_block || inodes_per_group as usize > block_size * 8 {
            return corrupt("s_inodes_per_group");
        }
        let groups = (blocks - first_data_block).div_ceil(u64::from(blocks_per_group));
        let groups = u32::try_from(groups).map_err(|_| Error::Corrupt("s_blocks_count"))?;
        if groups.checked_mul(inodes_per_group) != Some(sb.inodes_count.get()) {
            return corrupt("s_inodes_count");
        }
        let desc_size = match wide {
            true => usize::from(sb.desc_size.get()),
            false => 32,
        };
        if !desc_size.is_power_of_two() || desc_size > block_size || desc_size < 32 || (wide && desc_size < 64) {
            return corrupt("s_desc_size");
        }
        let first_ino = if dynamic { sb.first_ino.get() } else { 11 };
        if first_ino < 11 || first_ino > sb.inodes_count.get() {
            return corrupt("s_first_ino");
        }
        if sb.log_groups_per_flex > 31 {
            return corrupt("s_log_groups_per_flex");
        }
        let descriptor_blocks = groups.div_ceil((block_size / desc_size) as u32);
        if incompat & INCOMPAT_META_BG != 0 && sb.first_meta_bg.get() > descriptor_blocks {
            return corrupt("s_first_meta_bg");
        }
        let csum_seed = match incompat & INCOMPAT_CSUM_SEED != 0 {
            true => sb.checksum_seed.get(),
            false => crc32c(!0, &sb.uuid),
        };
        Ok(Geometry {
            block_size,
            block_bits,
            blocks,
            first_data_block,
            blocks_per_group,
            inodes_per_group,
            inodes: sb.inodes_count.get(),
            groups,
            inode_size,
            first_ino,
            desc_size,
            reserved_gdt_blocks: u32::from(sb.reserved_gdt_blocks.get()),
            first_meta_bg: sb.first_meta_bg.get(),
            compat,
            incompat,
            ro_compat,
            csum,
            csum_seed,
            uuid: sb.uuid,
            hash_seed: sb.hash_seed.map(|word| word.get()),
            hash_version: sb.def_hash_version,
            hash_unsigned: sb.flags.get() & 2 != 0,
            backup_bgs: sb.backup_bgs.map(|group| group.get()),
            want_extra_isize: sb.want_extra_isize.get(),
        })
    }

    pub(crate) fn has_compat(&self, bit: u32) -> bool {
        self.compat & bit != 0
    }

    pub(crate) fn has_incompat(&self, bit: u32) -> bool {
        self.incompat & bit != 0
    }

    pub(crate) fn has_ro(&self, bit: u32) -> bool {
        self.ro_compat & bit != 0
    }

    /// Descriptors in a block.
    pub(crate) fn descs_per_block(&self) -> u32 {
        (self.block_size / self.desc_size) as u32
    }

    /// First block of a group.
    pub(crate) fn group_start(&self, group: u32) -> u64 {
        self.first_data_block + u64::from(group) * u64::from(self.blocks_per_group)
    }

    /// Blocks of a group: the last one may be short.
    pub(crate) fn group_blocks(&self, group: u32) -> u32 {
        (self.blocks - self.group_start(group)).min(u64::from(self.blocks_per_group)) as u32
    }

    /// The group of a block within the file system.
    pub(crate) fn group_of(&self, block: u64) -> u32 {
        (block.saturating_sub(self.first_data_block) / u64::from(self.blocks_per_group)) as u32
    }

    /// Whether the `len` blocks from `block` on lie within the file system, behind the superblock.
    pub(crate) fn valid(&self, block: u64, len: u64) -> bool {
        block > self.first_data_block && block.checked_add(len).is_some_and(|end| end <= self.blocks)
    }

    /// Whether a group has a copy of the superblock and of the descriptors.
    pub(crate) fn has_super(&self, group: u32) -> bool {
        let power = |base: u32| {
            let mut n = base;
            while n < group {
                n = n.saturating_mul(base);
            }
            n == group
        };
        if group == 0 {
            true
        } else if self.has_compat(COMPAT_SPARSE_SUPER2) {
            self.backup_bgs.contains(&group)
        } else if group == 1 || !self.has_ro(RO_SPARSE_SUPER) {
            true
        } else {
            group & 1 == 1 && (power(3) || power(5) || power(7))
        }
    }

    /// The block that holds the descriptor of `group`.
    pub(crate) fn desc_block(&self, group: u32) -> u64 {
        let n = group / self.descs_per_block();
        if self.has_incompat(INCOMPAT_META_BG) && n >= self.first_meta_bg {
            let first = n * self.descs_per_block();
            return self.group_start(first) + u64::from(self.has_super(first));
        }
        self.first_data_block + 1 + u64::from(n)
    }

    /// Blocks at the start of a group that its superblock and descriptors take, with what is kept
    /// free for resizing.
    pub(crate) fn base_blocks(&self, group: u32) -> u32 {
        let has_super = self.has_super(group);
        let per_block = self.descs_per_block();
        let meta = group / per_block;
        if !self.has_incompat(INCOMPAT_META_BG) || meta < self.first_meta_bg {
            let descs = match self.has_incompat(INCOMPAT_META_BG) {
                true => self.first_meta_bg,
                false => self.groups.div_ceil(per_block),
            };
            return if has_super { 1 + descs.saturating_add(self.reserved_gdt_blocks) } else { 0 };
        }
        // In a meta group its first, second and last group have the descriptors.
        let place = group % per_block;
        u32::from(has_super) + u32::from(place == 0 || place == 1 || place == per_block - 1)
    }

    /// Largest file of `extents` or block maps, in bytes.
    pub(crate) fn max_size(&self, extents: bool) -> u64 {
        let blocks = if extents {
            u64::from(u32::MAX)
        } else {
            let per = (self.block_size / 4) as u64;
            (12 + per + per * per + per * per * per).min(u64::from(u32::MAX))
        };
        // `i_blocks` counts sectors in 32 bits, without huge_file.
        (blocks << self.block_bits).min(fs::MAX_FILE_SIZE)
    }
}
