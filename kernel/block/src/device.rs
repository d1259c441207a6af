//! A block device: a disk as a whole, or a partition of one. It has a number, a page cache, and
//! users.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fs::{Mapping, PAGE_SIZE, makedev};
use syscall_shim::{Errno, SysResult};

use crate::cache::Pages;
use crate::disk::Disk;
use crate::partition::Partition;
use crate::request::{Operation, Plan};
use crate::stats::Stats;
use crate::{SECTOR, SECTOR_SHIFT};

/// Linux gives virtio-blk the first number that is free, from the top: this one.
pub const MAJOR: u32 = 254;
/// Of partitions whose minor number would be the next disk's (`BLOCK_EXT_MAJOR`).
pub const EXTENDED_MAJOR: u32 = 259;
/// Minor numbers of a disk: itself and 15 partitions.
pub const MINORS: u32 = 16;

/// A block device.
pub struct Device {
    /// The disk.
    pub disk: Arc<Disk>,
    /// Which partition, from 1; the whole disk is 0.
    pub number: u32,
    /// Where it begins on the disk, in units of 512 bytes.
    pub start: u64,
    /// How long it is, in that unit.
    pub sectors: u64,
    /// What the partition table says of it.
    pub partition: Option<Partition>,
    /// `st_rdev` of its node.
    pub rdev: u64,
    /// The disk's, or the partition's own.
    pub stats: Arc<Stats>,
    /// Its content, as those see it who open its node.
    pub cache: Arc<Mapping>,
    /// Open files.
    opens: AtomicU32,
    /// Those of them that want it for themselves (`O_EXCL`), and mounts.
    holders: AtomicU32,
    /// Where evicting goes on, in pages.
    pub(crate) hand: AtomicU64,
    /// `BLKBSZGET`.
    pub(crate) block_size: AtomicU32,
}

impl Device {
    /// The whole disk.
    pub fn whole(disk: &Arc<Disk>) -> Arc<Device> {
        let sectors = disk.properties().sectors;
        Device::new(disk, 0, 0..sectors, None, makedev(MAJOR, disk.index * MINORS))
    }

    /// A partition.
    pub fn part(disk: &Arc<Disk>, partition: Partition, rdev: u64) -> Arc<Device> {
        let range = partition.start..partition.start.saturating_add(partition.sectors);
        Device::new(disk, partition.number, range, Some(partition), rdev)
    }

    fn new(
        disk: &Arc<Disk>,
        number: u32,
        range: core::ops::Range<u64>,
        partition: Option<Partition>,
        rdev: u64,
    ) -> Arc<Device> {
        let sectors = range.end - range.start;
        let stats = if number == 0 { disk.stats.clone() } else { Arc::default() };
        let part = (number != 0).then(|| stats.clone());
        let pages = Pages { disk: disk.clone(), part, start: range.start, sectors };
        let size = sectors.saturating_mul(SECTOR);
        Arc::new(Device {
            disk: disk.clone(),
            number,
            start: range.start,
            sectors,
            partition,
            rdev,
            stats,
            cache: Mapping::new(Some(Arc::new(pages)), size),
            opens: AtomicU32::new(0),
            holders: AtomicU32::new(0),
            hand: AtomicU64::new(0),
            block_size: AtomicU32::new(first_block_size(size, disk.properties().logical_block)),
        })
    }

    /// `vda`, `vda1`.
    pub fn name(&self) -> String {
        if self.number == 0 { self.disk.name.clone() } else { format!("{}{}", self.disk.name, self.number) }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.sectors << SECTOR_SHIFT
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.disk, (self.number != 0).then(|| self.stats.clone()))
    }

    /// Reads or writes `bytes` bytes at byte `at`, both multiples of a sector and within the
    /// device, past the cache.
    pub fn transfer(&self, operation: Operation, at: u64, pages: &[fs::PageRef], bytes: u64) -> SysResult<()> {
        let mut plan = self.plan();
        plan.transfer(operation, self.start + (at >> SECTOR_SHIFT), pages, bytes)?;
        plan.run()
    }

    /// Discards, or fills with zeros where the disk can do that by itself: `len` bytes from byte
    /// `at` on. The cache's pages are gone before and after. `EOPNOTSUPP`.
    pub fn clear(&self, operation: Operation, at: u64, len: u64) -> SysResult<()> {
        let pages = at / PAGE_SIZE as u64..(at + len).div_ceil(PAGE_SIZE as u64);
        let mut plan = self.plan();
        plan.clear(operation, self.start + (at >> SECTOR_SHIFT), len >> SECTOR_SHIFT)?;
        self.cache.forget(pages.start, pages.end)?;
        let result = plan.run();
        self.cache.forget(pages.start, pages.end)?;
        result
    }

    /// Has the disk make durable what it has acknowledged. Nothing to do where it keeps nothing
    /// back.
    pub fn flush(&self) -> SysResult<()> {
        if !self.disk.properties().write_cache {
            return Ok(());
        }
        let mut plan = self.plan();
        plan.flush()?;
        plan.run()
    }

    /// Writes the cache back and flushes.
    pub fn sync(&self) -> SysResult<()> {
        let written = self.cache.write_back(0, u64::MAX);
        written.and(self.flush())
    }

    /// Reads through the cache, for the kernel itself. `EIO` past the end.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> SysResult<()> {
        let mut done = 0;
        let got = self.cache.read(at, buffer.len(), &mut |page, offset, n| {
            if let (Some(page), Some(room)) = (page, buffer.get_mut(done..done + n)) {
                page.read(offset, room);
            }
            done += n;
            Ok(n)
        })?;
        if got == buffer.len() { Ok(()) } else { Err(Errno::EIO) }
    }

    /// Whether somebody has it open.
    pub fn is_open(&self) -> bool {
        self.opens.load(Ordering::Acquire) > 0
    }

    /// Counts an open file.
    pub(crate) fn opened(&self) {
        self.opens.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends one. With the last, what is dirty is written back, and the cache let go.
    pub(crate) fn closed(&self) {
        if self.opens.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Who cared has called fsync(2); the cache keeps the error for who opens it next.
            let _ = self.cache.write_back(0, u64::MAX);
            self.cache.evict(0, u64::MAX, u64::MAX);
        }
    }

    /// Claims it (`O_EXCL`, a mount). `EBUSY` while another has it.
    pub fn claim(&self) -> SysResult<()> {
        self.holders.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).map(|_| ()).map_err(|_| Errno::EBUSY)
    }

    /// Ends a claim.
    pub fn unclaim(&self) {
        self.holders.store(0, Ordering::Release);
    }
}

/// The largest power of two up to a page that the size is a multiple of (`set_init_blocksize`), a
/// sector at least.
fn first_block_size(size: u64, logical: u32) -> u32 {
    let mut block = logical.max(SECTOR as u32);
    while (block as usize) < PAGE_SIZE && size & u64::from(block) == 0 {
        block <<= 1;
    }
    block
}
