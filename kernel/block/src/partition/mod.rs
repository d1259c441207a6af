//! What partitions a disk has: a GUID partition table, or that of DOS.
//!
//! A table is untrusted input. What it says is taken where Linux takes it; a disk without a table
//! that makes sense has no partitions.

mod gpt;
mod mbr;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use syscall_shim::{Errno, SysResult};

use crate::SECTOR;

/// The most partitions of a disk (`DISK_MAX_PARTS`).
pub const MAX: u32 = 256;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// Where it begins, in units of 512 bytes.
    pub start: u64,
    /// How long it is, in that unit.
    pub sectors: u64,
    /// What names it among all partitions (`PARTUUID`).
    pub uuid: String,
    /// The name that the table gives it.
    pub label: String,
}

/// A disk to look at.
struct Disk<'a> {
    read: &'a mut dyn FnMut(u64, &mut [u8]) -> SysResult<()>,
    /// Bytes of a sector of its own.
    block: u64,
    /// How many of these it has.
    blocks: u64,
}

impl Disk<'_> {
    /// `len` bytes of what begins with block `lba`.
    fn bytes(&mut self, lba: u64, len: usize) -> SysResult<Vec<u8>> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
        buffer.resize(len, 0);
        (self.read)(lba.checked_mul(self.block).ok_or(Errno::EIO)?, &mut buffer)?;
        Ok(buffer)
    }

    /// Block `lba`.
    fn block(&mut self, lba: u64) -> SysResult<Vec<u8>> {
        let len = usize::try_from(self.block).map_err(|_| Errno::EINVAL)?;
        self.bytes(lba, len)
    }

    /// Units of 512 bytes in so many of the disk's own sectors.
    fn units(&self, blocks: u64) -> u64 {
        blocks.saturating_mul(self.block / SECTOR)
    }
}

/// The partitions of a disk of `sectors` units of 512 bytes, whose own sectors have `block` bytes.
/// `read` fills a buffer from a byte of the disk on. The error is `read`'s.
pub fn find(sectors: u64, block: u32, read: &mut dyn FnMut(u64, &mut [u8]) -> SysResult<()>) -> SysResult<Vec<Partition>> {
    let block = u64::from(block).max(SECTOR);
    let mut disk = Disk { read, block, blocks: sectors / (block / SECTOR) };
    if disk.blocks < 2 {
        return Ok(vec![]);
    }
    let first = disk.block(0)?;
    if mbr::protects(&first)
        && let Some(found) = gpt::find(&mut disk)?
    {
        return Ok(found);
    }
    mbr::find(&mut disk, &first)
}

/// A little-endian number of up to 8 bytes at `at`; 0 where there are fewer.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..at + N).unwrap_or_default();
    field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
