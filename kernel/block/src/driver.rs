//! What a driver of disks is.

use alloc::vec::Vec;

use crate::request::{Batch, Request};

/// What a disk can clear without being sent bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClearLimits {
    /// The most units of 512 bytes that one request names.
    pub max_sectors: u64,
    /// What it clears as a whole, in bytes.
    pub granularity: u32,
}

/// What a disk is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Its size, in units of 512 bytes.
    pub sectors: u64,
    /// Bytes of a sector: the least that is read or written.
    pub logical_block: u32,
    /// Bytes that it writes at once without reading first.
    pub physical_block: u32,
    /// The least and the best size of a transfer, in bytes; 0 where it does not say.
    pub io_sizes: [u32; 2],
    /// It takes no writes.
    pub read_only: bool,
    /// It may keep what is written in a cache, which [`crate::request::Operation::Flush`] empties.
    pub write_cache: bool,
    /// It can be told that sectors are of no use any more.
    pub discard: Option<ClearLimits>,
    /// It can be told to write zeros.
    pub write_zeroes: Option<ClearLimits>,
    /// The most pieces of memory in one request.
    pub max_segments: usize,
    /// The most bytes of one of these.
    pub max_segment_size: u32,
}

/// A driver's disk.
pub trait Driver: Send + Sync {
    /// What the disk is.
    fn properties(&self) -> &Properties;

    /// Has the disk begin with all of the requests. Sleeps while it has no room for them.
    fn start(&self, requests: Vec<Request>);

    /// Sleeps until all requests of `batch` are done, which the driver sees to; after a time in
    /// which a disk answers, if it ever does, it gives up ([`Batch::give_up`]).
    fn wait(&self, batch: &Batch);
}
