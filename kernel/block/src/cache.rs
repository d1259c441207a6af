//! Where the pages of a block device's cache come from and go to.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::{PAGE_SIZE, PageRef, PageSource};
use syscall_shim::{Errno, SysResult};

use crate::disk::Disk;
use crate::request::{Operation, Plan};
use crate::stats::Stats;
use crate::{SECTOR, SECTOR_SHIFT};

const PAGE: u64 = PAGE_SIZE as u64;
const SECTORS: u64 = PAGE / SECTOR;
/// How far ahead of a stream is read, in pages.
const READ_AHEAD: u64 = 32;
/// What the caches of all block devices may have of memory, and what of that may be dirty: one part
/// in so many.
const SHARE: u64 = 4;
const DIRTY_SHARE: u64 = 8;

/// Pages in the caches of all block devices.
static CACHED: AtomicU64 = AtomicU64::new(0);

/// Pages in the caches of all block devices.
pub fn cached() -> u64 {
    CACHED.load(Ordering::Relaxed)
}

/// How many pages there are beyond what they may have.
pub fn excess() -> u64 {
    cached().saturating_sub(caller::total_pages() as u64 / SHARE)
}

/// How many pages of one may be dirty before its writers wait.
pub fn dirty_limit() -> u64 {
    caller::total_pages() as u64 / DIRTY_SHARE
}

/// A device, as its pages see it.
pub struct Pages {
    /// The disk.
    pub disk: Arc<Disk>,
    /// The counts of a partition.
    pub part: Option<Arc<Stats>>,
    /// Where it begins, in units of 512 bytes.
    pub start: u64,
    /// How long it is.
    pub sectors: u64,
}

impl Pages {
    /// Bytes of a run of `pages` pages that are on the device: its last page may be short.
    fn bytes(&self, first: u64, pages: u64) -> u64 {
        let left = self.sectors.saturating_sub(first.saturating_mul(SECTORS)) << SECTOR_SHIFT;
        left.min(pages * PAGE)
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.disk, self.part.clone())
    }
}

impl PageSource for Pages {
    fn fill(&self, index: u64, page: &PageRef) -> SysResult<()> {
        self.fill_run(index, core::slice::from_ref(page))
    }

    fn fill_run(&self, first: u64, pages: &[PageRef]) -> SysResult<()> {
        let bytes = self.bytes(first, pages.len() as u64);
        if bytes == 0 {
            return Err(Errno::EIO);
        }
        let mut plan = self.plan();
        plan.transfer(Operation::Read, self.start + first * SECTORS, pages, bytes)?;
        caller::count_blocks_read(bytes);
        plan.run()
    }

    fn read_ahead(&self) -> u64 {
        READ_AHEAD
    }

    fn has_backing(&self) -> bool {
        true
    }

    fn charge(&self, pages: u64) -> SysResult<()> {
        CACHED.fetch_add(pages, Ordering::Relaxed);
        Ok(())
    }

    fn uncharge(&self, pages: u64) {
        CACHED.fetch_sub(pages, Ordering::Relaxed);
    }

    fn dirtied(&self, _index: u64) {
        caller::count_blocks_written(PAGE);
    }

    fn write_back(&self, index: u64, page: &PageRef) -> SysResult<()> {
        self.write_run(&[(index, page.clone())])
    }

    fn write_run(&self, pages: &[(u64, PageRef)]) -> SysResult<()> {
        let mut plan = self.plan();
        let mut result = Ok(());
        // Pages that follow one another go together.
        for run in pages.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
            let Some((first, _)) = run.first() else { continue };
            let bytes = self.bytes(*first, run.len() as u64);
            let added =
                plan.transfer(Operation::Write, self.start + first * SECTORS, run.iter().map(|(_, page)| page), bytes);
            result = result.and(added);
        }
        result.and(plan.run())
    }
}
