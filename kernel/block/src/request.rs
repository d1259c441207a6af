//! What a disk is asked for.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use fs::{PAGE_SIZE, PageRef};
use sync::clock::monotonic_ns;
use sync::wait::WaitQueue;
use syscall_shim::{Errno, SysResult};

use crate::SECTOR;
use crate::disk::Disk;
use crate::driver::Properties;
use crate::stats::Stats;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Fill memory.
    Read,
    /// Write memory out.
    Write,
    /// Make durable what was written before.
    Flush,
    /// Forget what is there.
    Discard,
    /// Have zeros there.
    WriteZeroes,
}

impl Operation {
    /// Its name, in a message.
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
            Self::WriteZeroes => "write of zeros",
        }
    }
}

/// A piece of memory within a page.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The page, which lives as long as the device may look at it.
    pub page: PageRef,
    /// Where in it, and how many bytes.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

impl Segment {
    /// Where it is in physical memory.
    pub fn address(&self) -> u64 {
        self.page.phys() + u64::from(self.offset)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// The device says that it failed.
    Failed,
    /// The device does not know such a request.
    Unsupported,
    /// The device has moved fewer bytes than it was to.
    Short,
    /// The device has not answered.
    TimedOut,
}

impl Outcome {
    fn result(self) -> SysResult<()> {
        match self {
            Self::Done => Ok(()),
            Self::Unsupported => Err(Errno::EOPNOTSUPP),
            Self::Failed | Self::Short | Self::TimedOut => Err(Errno::EIO),
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Done | Self::Failed => "the disk answers with an error",
            Self::Unsupported => "the disk does not know such a request",
            Self::Short => "the disk has moved too few bytes",
            Self::TimedOut => "the disk does not answer",
        }
    }
}

/// Requests that are waited for together.
#[derive(Default)]
pub struct Batch {
    /// Requests that are not done.
    left: AtomicU32,
    /// The first error, as its number.
    errno: AtomicU32,
    /// Woken when the last one is done. A leaf.
    pub done: WaitQueue,
}

impl Batch {
    /// Whether all are done.
    pub fn is_done(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Nobody waits any longer: `EIO`. The requests stay with the driver until the device gives
    /// them back.
    pub fn give_up(&self) {
        self.fail(Errno::EIO);
    }

    fn fail(&self, errno: Errno) {
        let _ = self.errno.compare_exchange(0, errno.0.into(), Ordering::AcqRel, Ordering::Relaxed);
    }

    fn finish_one(&self, result: SysResult<()>) {
        if let Err(errno) = result {
            self.fail(errno);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.wake_all();
        }
    }

    fn result(&self) -> SysResult<()> {
        match self.errno.load(Ordering::Acquire) {
            0 => Ok(()),
            errno => Err(Errno(errno as u16)),
        }
    }
}

/// One request.
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// Where, in units of 512 bytes from the start of the disk.
    pub sector: u64,
    /// How much, in that unit.
    pub sectors: u64,
    /// The memory, for those that move bytes.
    pub segments: Vec<Segment>,
    batch: Arc<Batch>,
    disk: Arc<Disk>,
    /// Of the partition, if it is one's.
    part: Option<Arc<Stats>>,
    started: u64,
}

impl Request {
    /// Bytes that it moves.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.len)).sum()
    }

    /// Since when it is under way, in nanoseconds since boot.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Tells whoever waits how it ended, and counts it.
    pub fn finish(self, outcome: Outcome) {
        let now = monotonic_ns();
        for stats in self.part.iter().chain([&self.disk.stats]) {
            stats.ended(self.operation, self.sectors, self.started, now);
        }
        if !matches!(outcome, Outcome::Done | Outcome::Unsupported) {
            self.name(outcome);
        }
        self.batch.finish_one(outcome.result());
    }

    /// Says on the console that nobody gets an answer in time.
    pub fn name_timeout(&self) {
        self.name(Outcome::TimedOut);
    }

    /// Names what went wrong on the console, once for each kind of request of a disk.
    fn name(&self, outcome: Outcome) {
        let bit = 1 << self.operation as u32;
        if self.disk.named.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        let (disk, what, reason) = (&self.disk.name, self.operation.name(), outcome.reason());
        if self.operation == Operation::Flush {
            kerr!("{disk}: {what} failed: {reason}");
        } else {
            kerr!("{disk}: {what} of {} sectors at {} failed: {reason}", self.sectors, self.sector);
        }
    }
}

/// Requests in the making.
pub struct Plan {
    disk: Arc<Disk>,
    part: Option<Arc<Stats>>,
    batch: Arc<Batch>,
    requests: Vec<Request>,
}

impl Plan {
    /// None yet.
    pub fn new(disk: &Arc<Disk>, part: Option<Arc<Stats>>) -> Self {
        Self { disk: disk.clone(), part, batch: Arc::default(), requests: Vec::new() }
    }

    fn properties(&self) -> &Properties {
        self.disk.driver.properties()
    }

    /// Adds a request. `ENOMEM`.
    fn push(&mut self, operation: Operation, sector: u64, sectors: u64, segments: Vec<Segment>) -> SysResult<()> {
        self.requests.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.requests.push(Request {
            operation,
            sector,
            sectors,
            segments,
            batch: self.batch.clone(),
            disk: self.disk.clone(),
            part: self.part.clone(),
            started: 0,
        });
        Ok(())
    }

    /// Adds the transfer of `bytes` bytes from `sector` on, a multiple of 512, by way of whole
    /// pages.
    pub fn transfer<'a>(
        &mut self,
        operation: Operation,
        mut sector: u64,
        pages: impl IntoIterator<Item = &'a PageRef>,
        mut bytes: u64,
    ) -> SysResult<()> {
        let (most, size) = (self.properties().max_segments.max(1), self.properties().max_segment_size);
        // Of sectors, a piece is never a part.
        let size = (size as usize).min(PAGE_SIZE).max(SECTOR as usize) & !(self.properties().logical_block as usize - 1);
        let size = if size == 0 { PAGE_SIZE } else { size };
        let mut segments = Vec::new();
        let mut count = 0;
        for page in pages {
            let mut offset = 0;
            while offset < PAGE_SIZE && bytes > 0 {
                let len = size.min(PAGE_SIZE - offset).min(usize::try_from(bytes).unwrap_or(usize::MAX));
                segments.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                segments.push(Segment { page: page.clone(), offset: offset as u32, len: len as u32 });
                (offset, bytes, count) = (offset + len, bytes - len as u64, count + len as u64);
                if segments.len() == most || bytes == 0 {
                    self.push(operation, sector, count / SECTOR, core::mem::take(&mut segments))?;
                    sector += count / SECTOR;
                    count = 0;
                }
            }
        }
        if segments.is_empty() { Ok(()) } else { self.push(operation, sector, count / SECTOR, segments) }
    }

    /// Adds the clearing of `sectors` units, in as many requests as that takes.
    pub fn clear(&mut self, operation: Operation, mut sector: u64, mut sectors: u64) -> SysResult<()> {
        let properties = self.properties();
        let limits = if operation == Operation::Discard { properties.discard } else { properties.write_zeroes };
        let unit = u64::from(properties.logical_block) / SECTOR;
        let most = limits.ok_or(Errno::EOPNOTSUPP)?.max_sectors / unit * unit;
        while sectors > 0 {
            let n = sectors.min(most.max(unit));
            self.push(operation, sector, n, Vec::new())?;
            (sector, sectors) = (sector + n, sectors - n);
        }
        Ok(())
    }

    /// Adds a flush.
    pub fn flush(&mut self) -> SysResult<()> {
        self.push(Operation::Flush, 0, 0, Vec::new())
    }

    /// Has the disk do all of it, in what order it likes, and waits for that. Answers the first
    /// error.
    pub fn run(mut self) -> SysResult<()> {
        if self.requests.is_empty() {
            return Ok(());
        }
        let now = monotonic_ns();
        self.batch.left.store(self.requests.len() as u32, Ordering::Release);
        for request in &mut self.requests {
            request.started = now;
            for stats in request.part.iter().chain([&request.disk.stats]) {
                stats.began(request.operation, now);
            }
        }
        self.disk.driver.start(core::mem::take(&mut self.requests));
        self.disk.driver.wait(&self.batch);
        self.batch.result()
    }

    /// The requests, for a look at how they were cut.
    #[cfg(test)]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }
}
