//! A mounted file system under its lock: blocks through the cache, and operations that happen as a
//! whole or not at all.

use crate::cache::{Block, Cache, copied, zeroed};
use crate::device::{BlockDevice, Environment};
use crate::error::{Error, Result, corrupt};
use crate::geometry::Geometry;
use crate::journal::{Flight, Journal};
use crate::layout::Superblock;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;
use syscall_shim::Errno;

/// A mounted file system. All methods run under the lock in [`crate::Ext4`].
pub(crate) struct Volume {
    pub device: Arc<dyn BlockDevice>,
    pub env: Arc<dyn Environment>,
    pub geo: Geometry,
    /// Its counts are ahead of the disk's until the next commit.
    pub sb: Superblock,
    pub sb_dirty: bool,
    pub cache: Cache,
    /// Not here while a transaction is on its way into it.
    pub journal: Option<Journal>,
    pub flight: Option<Arc<Flight>>,
    pub txn: Transaction,
    /// Counts transactions that were taken out to be written.
    pub txn_number: u64,
    /// Blocks at which a transaction is committed before the next operation.
    pub txn_limit: usize,
    op: Option<Operation>,
    /// No more writing: asked for by the mount, forbidden by a feature, or after an error.
    pub read_only: bool,
    /// An internal error has happened since the mount.
    pub failed: bool,
    /// Content is being written: who may use what is kept for the super-user was asked before.
    pub promised: bool,
}

/// What has changed since the last commit.
#[derive(Default)]
pub(crate) struct Transaction {
    /// Changed blocks of metadata.
    pub blocks: BTreeSet<u64>,
    /// Blocks of metadata that were freed: what older transactions logged of them must not be
    /// replayed.
    pub revoked: BTreeSet<u64>,
    /// Freed ranges, by first block. They are not given out before the commit: until then a crash
    /// brings back the files that had them.
    pub freed: BTreeMap<u64, u64>,
    /// Freed blocks of metadata that an older transaction logged, and that are not yet at their
    /// places. Until the commit the file that had them may come back, with what they held.
    pub forgotten: BTreeSet<u64>,
}

impl Transaction {
    /// The first block behind a freed range that `block` is in.
    pub(crate) fn freed_until(&self, block: u64) -> Option<u64> {
        let (first, len) = self.freed.range(..=block).next_back()?;
        (block < first + len).then_some(first + len)
    }

    /// The first freed block at or after `block`.
    pub(crate) fn next_freed(&self, block: u64) -> Option<u64> {
        self.freed.range(block..).next().map(|(first, _)| *first)
    }
}

/// What it takes to undo the operation that runs.
struct Operation {
    undo: HashMap<u64, Undo>,
    sb: Superblock,
    sb_dirty: bool,
    freed: Vec<(u64, u64)>,
    forgotten: Vec<u64>,
    unrevoked: Vec<u64>,
}

struct Undo {
    /// `None` for a new block, whose content does not matter.
    data: Option<Block>,
    running: bool,
}

impl Volume {
    pub(crate) fn new(
        device: Arc<dyn BlockDevice>,
        env: Arc<dyn Environment>,
        geo: Geometry,
        sb: Superblock,
        cache_blocks: usize,
    ) -> Box<Volume> {
        Box::new(Volume {
            device,
            env,
            geo,
            sb,
            sb_dirty: false,
            cache: Cache::new(cache_blocks),
            journal: None,
            flight: None,
            txn: Transaction::default(),
            txn_number: 0,
            txn_limit: 4096,
            op: None,
            read_only: true,
            failed: false,
            promised: false,
        })
    }

    /// Reads a block of metadata.
    pub(crate) fn block(&mut self, block: u64) -> Result<Block> {
        if let Some(buffer) = self.cache.get(block) {
            return Ok(buffer.data.clone());
        }
        if block >= self.geo.blocks {
            return corrupt("block number beyond the file system");
        }
        let mut data = zeroed(self.geo.block_size)?;
        self.device.read(block << self.geo.block_bits, &mut data)?;
        let data = Arc::new(data);
        self.cache.insert(block, data.clone())?;
        Ok(data)
    }

    /// As [`Volume::block`], with a check that has to be passed once.
    pub(crate) fn checked(&mut self, block: u64, what: &'static str, check: impl FnOnce(&[u8]) -> bool) -> Result<Block> {
        let data = self.block(block)?;
        let known = self.cache.get(block).is_some_and(|buffer| buffer.checked);
        if !known {
            if !check(&data) {
                return Err(Error::Checksum(what));
            }
            self.mark_checked(block);
        }
        Ok(data)
    }

    /// Says that the checksum in a block is right from here on.
    pub(crate) fn mark_checked(&mut self, block: u64) {
        if let Some(buffer) = self.cache.get(block) {
            buffer.checked = true;
        }
    }

    /// A block to be changed by the running operation.
    pub(crate) fn edit(&mut self, block: u64) -> Result<&mut Vec<u8>> {
        let data = self.block(block)?;
        self.join(block, Some(data))?;
        let buffer = self.cache.get(block).ok_or(Errno::ENOMEM)?;
        if Arc::get_mut(&mut buffer.data).is_none() {
            let copy = copied(&buffer.data)?;
            buffer.data = Arc::new(copy);
        }
        Arc::get_mut(&mut buffer.data).ok_or(Error::Refused(Errno::ENOMEM))
    }

    /// A new block of zeros for metadata, whatever was there before.
    pub(crate) fn fresh(&mut self, block: u64) -> Result<&mut Vec<u8>> {
        let before = self.cache.get(block).map(|buffer| buffer.data.clone());
        self.join(block, before)?;
        if self.txn.revoked.remove(&block)
            && let Some(op) = &mut self.op
        {
            op.unrevoked.push(block);
        }
        let data = zeroed(self.geo.block_size)?;
        self.cache.insert(block, Arc::new(data))?;
        let buffer = self.cache.get(block).ok_or(Errno::ENOMEM)?;
        buffer.running = true;
        buffer.checked = true;
        Arc::get_mut(&mut buffer.data).ok_or(Error::Refused(Errno::ENOMEM))
    }

    /// Notes a block in the transaction, and what it was before the operation.
    fn join(&mut self, block: u64, before: Option<Block>) -> Result<()> {
        let running = self.txn.blocks.contains(&block);
        let Some(op) = &mut self.op else { return Err(Errno::EROFS.into()) };
        op.undo.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        op.undo.entry(block).or_insert(Undo { data: before, running });
        self.txn.blocks.insert(block);
        if let Some(buffer) = self.cache.get(block) {
            buffer.running = true;
        }
        Ok(())
    }

    /// Notes that blocks were freed; `metadata` are those that may stand in the journal.
    pub(crate) fn note_freed(&mut self, first: u64, len: u64, metadata: bool) {
        let Some(op) = &mut self.op else { return };
        op.freed.push((first, len));
        if metadata {
            op.forgotten.extend(first..first + len);
        }
    }

    /// The first block behind a range of freed ones that `block` is in, if it is in one.
    pub(crate) fn freed_until(&self, block: u64) -> Option<u64> {
        let mine = self.op.iter().flat_map(|op| &op.freed);
        let own = mine.map(|(first, len)| (*first, first + len)).find(|(first, end)| (*first..*end).contains(&block));
        let flying = || self.flight.as_ref().and_then(|flight| flight.freed_until(block));
        own.map(|(_, end)| end).or_else(|| self.txn.freed_until(block)).or_else(flying)
    }

    /// The first freed block at or after `block`.
    pub(crate) fn next_freed(&self, block: u64) -> Option<u64> {
        let own = self.op.iter().flat_map(|op| &op.freed).map(|(first, _)| *first).filter(|first| *first >= block).min();
        let flying = self.flight.as_ref().and_then(|flight| flight.next_freed(block));
        own.into_iter().chain(self.txn.next_freed(block)).chain(flying).min()
    }

    /// Runs `f` as one operation: what it changes reaches the disk together, and nothing of it
    /// remains when it fails. One that runs within another is part of that.
    pub(crate) fn transact<T>(&mut self, mut f: impl FnMut(&mut Volume) -> Result<T>) -> Result<T> {
        if self.op.is_some() {
            return f(self);
        }
        self.make_room()?;
        let mut result = self.attempt(&mut f);
        // What was freed is there to be had after a commit.
        let waiting = !self.txn.freed.is_empty() || self.flight.is_some();
        if matches!(result, Err(Error::Refused(Errno::ENOSPC))) && waiting {
            self.commit()?;
            result = self.attempt(&mut f);
        }
        if let Err(error) = &result
            && error.is_internal()
        {
            self.fail(error);
        }
        result
    }

    fn attempt<T>(&mut self, f: &mut impl FnMut(&mut Volume) -> Result<T>) -> Result<T> {
        if self.read_only {
            return Err(Errno::EROFS.into());
        }
        self.op = Some(Operation {
            undo: HashMap::new(),
            sb: self.sb,
            sb_dirty: self.sb_dirty,
            freed: Vec::new(),
            forgotten: Vec::new(),
            unrevoked: Vec::new(),
        });
        let result = f(self);
        let Some(op) = self.op.take() else { return result };
        match &result {
            Ok(_) => self.keep(op),
            Err(_) => self.undo(op),
        }
        result
    }

    fn keep(&mut self, op: Operation) {
        for (first, len) in op.freed {
            self.txn.freed.insert(first, len);
        }
        for block in op.forgotten {
            let logged = match self.cache.get(block) {
                Some(buffer) if buffer.home.is_some() => {
                    buffer.running = false;
                    self.txn.forgotten.insert(block);
                    true
                }
                _ => {
                    self.cache.remove(block);
                    false
                }
            };
            self.txn.blocks.remove(&block);
            // Also one that is at home already may stand in the log's older part.
            let journaled = self.journal.as_ref().is_some_and(|journal| logged || journal.in_use());
            if journaled || self.flight.is_some() {
                self.txn.revoked.insert(block);
            }
        }
    }

    fn undo(&mut self, op: Operation) {
        for (block, undo) in op.undo {
            if !undo.running {
                self.txn.blocks.remove(&block);
            }
            match (self.cache.get(block), undo.data) {
                (Some(buffer), Some(data)) => {
                    buffer.data = data;
                    buffer.running = undo.running;
                }
                (_, None) => self.cache.remove(block),
                (None, _) => {}
            }
        }
        self.txn.revoked.extend(op.unrevoked);
        self.sb = op.sb;
        self.sb_dirty = op.sb_dirty;
    }

    /// Changes a block outside of any operation, right before a commit.
    pub(crate) fn amend(&mut self, block: u64, change: impl FnOnce(&mut [u8]) -> bool) -> Result<()> {
        let mut data = copied(&self.block(block)?)?;
        if !change(&mut data) {
            return corrupt("superblock");
        }
        self.cache.insert(block, Arc::new(data))?;
        if let Some(buffer) = self.cache.get(block) {
            buffer.running = true;
        }
        self.txn.blocks.insert(block);
        Ok(())
    }

    /// After an internal error nothing is written any more.
    pub(crate) fn fail(&mut self, error: &Error) {
        if self.failed {
            return;
        }
        self.failed = true;
        let after = if self.read_only { "" } else { ": it is read-only from now on" };
        self.env.message(format!("ext4: error in the file system: {error}{after}"));
        self.read_only = true;
        self.note_error();
    }

    /// The time now, cut to what inodes can hold.
    pub(crate) fn now(&self) -> fs::Timespec {
        self.env.now()
    }
}
