//! JBD2, the journal of ext3 and ext4: a ring of blocks in a file of its own. All numbers in it are
//! big-endian.
//!
//! A transaction is a row of descriptor blocks, each with the blocks that it names behind it, of
//! revoke blocks, and at the end a commit block. It counts when its commit block is there.

mod commit;
mod fast;
mod replay;

pub(crate) use commit::Flight;

use crate::checksum::crc32c;
use crate::device::BlockDevice;
use crate::error::{Error, Result, corrupt};
use crate::layout::{bytes_at, put};
use crate::volume::Volume;
use alloc::format;
use alloc::vec::Vec;
use syscall_shim::Errno;

const MAGIC: u32 = 0xc03b_3998;
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const SUPER_V1: u32 = 3;
const SUPER_V2: u32 = 4;
const REVOKE: u32 = 5;

const COMPAT_CHECKSUM: u32 = 1;
const INCOMPAT_REVOKE: u32 = 1;
const INCOMPAT_64BIT: u32 = 2;
const INCOMPAT_CSUM_V2: u32 = 8;
const INCOMPAT_CSUM_V3: u32 = 0x10;
const INCOMPAT_FAST_COMMIT: u32 = 0x20;
const INCOMPAT_KNOWN: u32 = 0x3f;

const TAG_ESCAPED: u32 = 1;
const TAG_SAME_UUID: u32 = 2;
const TAG_LAST: u32 = 8;

/// Blocks that fast commits have where the superblock does not say.
const DEFAULT_FAST_BLOCKS: u32 = 256;
const SUPER_SIZE: usize = 1024;

fn be32(data: &[u8], at: usize) -> Option<u32> {
    bytes_at(data, at).map(u32::from_be_bytes)
}

/// The journal of a mounted file system.
pub(crate) struct Journal {
    /// Runs of the journal's file: first block in it, blocks, first block on the disk.
    runs: Vec<(u32, u32, u64)>,
    block_size: usize,
    compat: u32,
    incompat: u32,
    seed: u32,
    /// The superblock as it is on the disk.
    head_block: Vec<u8>,
    /// The ring is `[first, last)`; behind it are the blocks of fast commits.
    first: u32,
    last: u32,
    end: u32,
    /// Where the next transaction goes.
    head: u32,
    /// Blocks of the ring that hold what is not yet at its place.
    used: u32,
    sequence: u32,
}

impl Journal {
    /// Finds and checks the journal. `None` where there is none.
    pub(crate) fn load(vol: &mut Volume) -> Result<Option<Journal>> {
        if !vol.geo.has_compat(crate::features::COMPAT_HAS_JOURNAL) {
            return Ok(None);
        }
        let ino = vol.sb.journal_inum.get();
        if ino == 0 {
            return Err(Error::Unsupported("a journal on another device: s_journal_dev".into()));
        }
        let inode = vol.inode(ino)?;
        let blocks = u32::try_from(inode.size() >> vol.geo.block_bits).map_err(|_| Error::Corrupt("size of the journal"))?;
        let mut runs = Vec::new();
        let mut at = 0;
        while at < blocks {
            let run = vol.map(&inode, u64::from(at), u64::from(blocks - at))?;
            let Some(block) = run.block.filter(|block| vol.geo.valid(*block, run.len)) else {
                return corrupt("journal: a hole");
            };
            runs.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            runs.push((at, run.len as u32, block));
            at += run.len as u32;
        }
        let mut journal = Journal {
            runs,
            block_size: vol.geo.block_size,
            compat: 0,
            incompat: 0,
            seed: 0,
            head_block: Vec::new(),
            first: 0,
            last: blocks,
            end: blocks,
            head: 0,
            used: 0,
            sequence: 0,
        };
        journal.read_super(&*vol.device, blocks)?;
        Ok(Some(journal))
    }

    fn read_super(&mut self, device: &dyn BlockDevice, blocks: u32) -> Result<()> {
        let mut data = self.read(device, 0)?;
        data.truncate(SUPER_SIZE);
        let word = |at| be32(&data, at).unwrap_or(0);
        let kind = word(4);
        if word(0) != MAGIC || !(kind == SUPER_V1 || kind == SUPER_V2) {
            return corrupt("head of the journal's superblock");
        }
        if word(0xc) as usize != self.block_size {
            return corrupt("s_blocksize of the journal");
        }
        if kind == SUPER_V2 {
            self.compat = word(0x24);
            self.incompat = word(0x28);
        }
        if self.incompat & !INCOMPAT_KNOWN != 0 || (kind == SUPER_V2 && word(0x2c) != 0) {
            return Err(Error::Unsupported(format!(
                "unknown features of the journal: {:#x} {:#x}",
                self.incompat,
                word(0x2c)
            )));
        }
        let uuid = data.get(0x30..0x40).unwrap_or(&[]);
        self.seed = crc32c(!0, uuid);
        if self.checksums() {
            if data.get(0x50) != Some(&4) {
                return Err(Error::Unsupported("s_checksum_type of the journal".into()));
            }
            if super_sum(&data) != Some(word(0xfc)) {
                return Err(Error::Checksum("journal superblock"));
            }
        }
        self.end = word(0x10);
        self.first = word(0x14);
        let fast = match (self.incompat & INCOMPAT_FAST_COMMIT != 0, word(0x54)) {
            (false, _) => 0,
            (true, 0) => DEFAULT_FAST_BLOCKS,
            (true, n) => n,
        };
        if self.end > blocks || self.first == 0 || self.first >= self.end {
            return corrupt("s_maxlen or s_first of the journal");
        }
        self.last =
            self.end.checked_sub(fast).filter(|last| *last > self.first + 16).ok_or(Error::Corrupt("s_num_fc_blks"))?;
        self.sequence = word(0x18);
        self.head = self.first;
        if word(0x1c) >= self.last {
            return corrupt("s_start of the journal");
        }
        self.head_block = data;
        Ok(())
    }

    /// Whether blocks have checksums of the second or third kind.
    fn checksums(&self) -> bool {
        self.incompat & (INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3) != 0
    }

    /// Where the log begins that was not yet written home; 0 for none.
    pub(crate) fn start(&self) -> u32 {
        be32(&self.head_block, 0x1c).unwrap_or(0)
    }

    /// Whether the log holds anything.
    pub(crate) fn in_use(&self) -> bool {
        self.used > 0
    }

    fn place(&self, block: u32) -> Result<u64> {
        let at = self.runs.partition_point(|(first, _, _)| *first <= block).checked_sub(1);
        let run = at.and_then(|at| self.runs.get(at)).filter(|(first, len, _)| block - first < *len);
        let (first, _, disk) = run.ok_or(Error::Corrupt("block number in the journal"))?;
        Ok((disk + u64::from(block - first)) * self.block_size as u64)
    }

    fn read(&self, device: &dyn BlockDevice, block: u32) -> Result<Vec<u8>> {
        let mut data = crate::cache::zeroed(self.block_size)?;
        device.read(self.place(block)?, &mut data)?;
        Ok(data)
    }

    fn next(&self, block: u32) -> u32 {
        if block + 1 >= self.last { self.first } else { block + 1 }
    }

    /// Writes the superblock: from which block and transaction on a replay would start, 0 for an
    /// empty log.
    pub(crate) fn write_super(&mut self, device: &dyn BlockDevice, start: u32, sequence: u32) -> Result<()> {
        let checksums = self.checksums();
        let data = &mut self.head_block;
        let mut fits = put(data, 0x18, &sequence.to_be_bytes()) && put(data, 0x1c, &start.to_be_bytes());
        if be32(data, 4) == Some(SUPER_V2) {
            fits &= put(data, 0x24, &self.compat.to_be_bytes()) && put(data, 0x28, &self.incompat.to_be_bytes());
        }
        if checksums {
            fits &= put(data, 0x50, &[4]);
            let sum = super_sum(data).unwrap_or(0);
            fits &= put(data, 0xfc, &sum.to_be_bytes());
        }
        if !fits {
            return corrupt("journal superblock");
        }
        device.write(self.place(0)?, &self.head_block)?;
        Ok(device.flush()?)
    }

    /// Gives an empty journal the features with which transactions are written.
    pub(crate) fn set_features(&mut self, wide: bool, checksums: bool) {
        if be32(&self.head_block, 4) != Some(SUPER_V2) {
            return;
        }
        self.compat &= !COMPAT_CHECKSUM;
        self.incompat = INCOMPAT_REVOKE;
        if wide {
            self.incompat |= INCOMPAT_64BIT;
        }
        if checksums {
            self.incompat |= INCOMPAT_CSUM_V3;
        }
        self.last = self.end;
    }

    fn tag_size(&self) -> usize {
        if self.incompat & INCOMPAT_CSUM_V3 != 0 {
            return 16;
        }
        let sum = if self.incompat & INCOMPAT_CSUM_V2 != 0 { 2 } else { 0 };
        let wide = if self.incompat & INCOMPAT_64BIT != 0 { 4 } else { 0 };
        8 + sum + wide
    }

    /// The checksum of a block's content in the log.
    fn data_sum(&self, sequence: u32, data: &[u8]) -> u32 {
        crc32c(crc32c(self.seed, &sequence.to_be_bytes()), data)
    }

    /// The checksum of a descriptor or revoke block, in its last four bytes.
    fn tail_sum(&self, data: &[u8]) -> u32 {
        crc32c(crc32c(self.seed, data.get(..data.len() - 4).unwrap_or(&[])), &[0; 4])
    }

    fn commit_sum(&self, data: &[u8]) -> u32 {
        let sum = crc32c(self.seed, data.get(..16).unwrap_or(&[]));
        crc32c(crc32c(sum, &[0; 4]), data.get(20..).unwrap_or(&[]))
    }
}

fn super_sum(data: &[u8]) -> Option<u32> {
    let sum = crc32c(!0, data.get(..0xfc)?);
    Some(crc32c(crc32c(sum, &[0; 4]), data.get(0x100..SUPER_SIZE)?))
}
