//! Blocks of metadata in memory, bounded in number.
//!
//! A block is a shared, immutable buffer: readers keep it as long as they like, and a change makes
//! a copy when anybody else (a reader, the undo list of an operation, a transaction on its way to
//! the disk) holds it.

use crate::error::Result;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;
use syscall_shim::Errno;

/// The content of a block.
pub(crate) type Block = Arc<Vec<u8>>;

/// A zeroed buffer; `ENOMEM`.
pub(crate) fn zeroed(size: usize) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    data.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
    data.resize(size, 0);
    Ok(data)
}

/// A copy in a buffer of its own; `ENOMEM`.
pub(crate) fn copied(from: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    data.try_reserve_exact(from.len()).map_err(|_| Errno::ENOMEM)?;
    data.extend_from_slice(from);
    Ok(data)
}

/// One block in the cache.
pub(crate) struct Buffer {
    /// What the file system takes it to be.
    pub data: Block,
    /// What the last commit made of it, while that is not yet at its place on the disk.
    pub home: Option<Block>,
    /// Changed by the running transaction.
    pub running: bool,
    /// Its checksum was found right, or is kept right by who changes it.
    pub checked: bool,
    used: u64,
}

impl Buffer {
    fn pinned(&self) -> bool {
        self.running || self.home.is_some()
    }
}

/// The blocks in memory, by number.
pub(crate) struct Cache {
    map: HashMap<u64, Buffer>,
    clock: u64,
    limit: usize,
}

impl Cache {
    /// Keeps about `limit` blocks beside those that are yet to be written.
    pub(crate) fn new(limit: usize) -> Cache {
        Cache { map: HashMap::new(), clock: 0, limit }
    }

    /// What [`Cache::new`] was told.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The buffer of `block`.
    pub(crate) fn get(&mut self, block: u64) -> Option<&mut Buffer> {
        self.clock += 1;
        let buffer = self.map.get_mut(&block)?;
        buffer.used = self.clock;
        Some(buffer)
    }

    /// Puts content in place that is as on the disk, or will be changed at once.
    pub(crate) fn insert(&mut self, block: u64, data: Block) -> Result<()> {
        self.shrink();
        self.clock += 1;
        self.map.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let used = self.clock;
        let old = self.map.remove(&block);
        let (home, running) = old.map_or((None, false), |old| (old.home, old.running));
        self.map.insert(block, Buffer { data, home, running, checked: false, used });
        Ok(())
    }

    /// Drops a block, whatever its state.
    pub(crate) fn remove(&mut self, block: u64) {
        self.map.remove(&block);
    }

    /// All of them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Buffer)> {
        self.map.iter_mut().map(|(block, buffer)| (*block, buffer))
    }

    /// Drops the clean ones that were longest not used, once there are too many.
    fn shrink(&mut self) {
        if self.map.len() < self.limit {
            return;
        }
        let mut ages: Vec<u64> = Vec::new();
        if ages.try_reserve(self.map.len()).is_err() {
            self.map.retain(|_, buffer| buffer.pinned());
            return;
        }
        ages.extend(self.map.values().filter(|b| !b.pinned()).map(|b| b.used));
        if ages.len() < self.limit / 4 {
            return;
        }
        let middle = ages.len() / 2;
        let (_, age, _) = ages.select_nth_unstable(middle);
        let age = *age;
        self.map.retain(|_, buffer| buffer.pinned() || buffer.used > age);
    }
}
