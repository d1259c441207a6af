//! Commits: what changed is written to the log, made durable, and goes to its place later.

use super::*;
use crate::cache::Block;
use crate::geometry::superblock_checksum;
use crate::sync::{Guard, Mutex};
use crate::volume::Transaction;
use alloc::sync::Arc;
use zerocopy::IntoBytes;

/// Blocks that are written to their places in one request.
const BATCH: usize = 64;

/// Most bytes of the log that are written at once.
const LOG_BATCH: usize = 256 << 10;

/// Blocks of the log that lie together on the disk, to be written at once.
struct Batch<'a> {
    device: &'a dyn BlockDevice,
    start: u64,
    data: Vec<u8>,
}

impl Batch<'_> {
    fn add(&mut self, at: u64, block: &[u8]) -> Result<()> {
        if at != self.start + self.data.len() as u64 || self.data.len() >= LOG_BATCH {
            self.finish()?;
            self.start = at;
        }
        self.data.try_reserve(block.len()).map_err(|_| Errno::ENOMEM)?;
        self.data.extend_from_slice(block);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if !self.data.is_empty() {
            self.device.write(self.start, &self.data)?;
            self.data.clear();
        }
        Ok(())
    }
}

impl Journal {
    /// Blocks of the ring.
    fn size(&self) -> u32 {
        self.last - self.first
    }

    /// Blocks that a transaction should not pass before it is committed: operations may add as much
    /// again.
    pub(crate) fn limit(&self) -> usize {
        self.size() as usize / 5
    }

    fn per_descriptor(&self) -> usize {
        (self.block_size - 12 - 16 - 4) / self.tag_size()
    }

    fn revokes_per_block(&self) -> usize {
        (self.block_size - 16 - 4) / if self.incompat & INCOMPAT_64BIT != 0 { 8 } else { 4 }
    }

    /// Blocks of the ring that a transaction takes.
    fn need(&self, blocks: usize, revokes: usize) -> usize {
        blocks + blocks.div_ceil(self.per_descriptor()) + revokes.div_ceil(self.revokes_per_block()) + 1
    }

    fn header(&self, kind: u32) -> Result<Vec<u8>> {
        let mut data = crate::cache::zeroed(self.block_size)?;
        let fits = put(&mut data, 0, &MAGIC.to_be_bytes())
            && put(&mut data, 4, &kind.to_be_bytes())
            && put(&mut data, 8, &self.sequence.to_be_bytes());
        if fits { Ok(data) } else { corrupt("journal") }
    }

    fn append(&mut self, batch: &mut Batch<'_>, data: &[u8]) -> Result<()> {
        batch.add(self.place(self.head)?, data)?;
        self.head = self.next(self.head);
        self.used += 1;
        Ok(())
    }

    fn seal(&self, data: &mut [u8]) -> Result<()> {
        if !self.checksums() {
            return Ok(());
        }
        let at = data.len() - 4;
        let sum = self.tail_sum(data);
        if put(data, at, &sum.to_be_bytes()) { Ok(()) } else { corrupt("journal") }
    }

    /// Writes one transaction and makes it durable.
    fn log(&mut self, device: &dyn BlockDevice, blocks: &[(u64, Block)], revoked: &[u64], time: fs::Timespec) -> Result<()> {
        let wide = self.incompat & INCOMPAT_64BIT != 0;
        let width = if wide { 8 } else { 4 };
        let mut batch = Batch { device, start: 0, data: Vec::new() };
        for chunk in revoked.chunks(self.revokes_per_block()) {
            let mut data = self.header(REVOKE)?;
            let mut fits = put(&mut data, 12, &((16 + chunk.len() * width) as u32).to_be_bytes());
            for (i, block) in chunk.iter().enumerate() {
                let bytes = block.to_be_bytes();
                fits &= put(&mut data, 16 + i * width, bytes.get(8 - width..).unwrap_or(&[]));
            }
            if !fits {
                return corrupt("journal");
            }
            self.seal(&mut data)?;
            self.append(&mut batch, &data)?;
        }
        for chunk in blocks.chunks(self.per_descriptor()) {
            let mut data = self.header(DESCRIPTOR)?;
            let mut at = 12;
            let mut contents = Vec::with_capacity(chunk.len());
            for (i, (block, content)) in chunk.iter().enumerate() {
                let escaped = be32(content, 0) == Some(MAGIC);
                let mut content = content.clone();
                if escaped {
                    let mut copy = crate::cache::copied(&content)?;
                    let _fits = put(&mut copy, 0, &[0; 4]);
                    content = alloc::sync::Arc::new(copy);
                }
                let flags = if escaped { TAG_ESCAPED } else { 0 }
                    | if i > 0 { TAG_SAME_UUID } else { 0 }
                    | if i + 1 == chunk.len() { TAG_LAST } else { 0 };
                let v3 = self.incompat & INCOMPAT_CSUM_V3 != 0;
                let mut fits = put(&mut data, at, &(*block as u32).to_be_bytes());
                if v3 {
                    let sum = self.data_sum(self.sequence, &content);
                    fits &= put(&mut data, at + 4, &flags.to_be_bytes()) && put(&mut data, at + 12, &sum.to_be_bytes());
                } else {
                    fits &= put(&mut data, at + 6, &(flags as u16).to_be_bytes());
                }
                if wide {
                    fits &= put(&mut data, at + 8, &((*block >> 32) as u32).to_be_bytes());
                }
                at += self.tag_size();
                if i == 0 {
                    let uuid = self.head_block.get(0x30..0x40).unwrap_or(&[]);
                    fits &= put(&mut data, at, uuid);
                    at += 16;
                }
                if !fits {
                    return corrupt("journal");
                }
                contents.push(content);
            }
            self.seal(&mut data)?;
            self.append(&mut batch, &data)?;
            for content in contents {
                self.append(&mut batch, &content)?;
            }
        }
        batch.finish()?;
        device.flush()?;
        let mut data = self.header(COMMIT)?;
        let mut fits = put(&mut data, 48, &(time.sec as u64).to_be_bytes()) && put(&mut data, 56, &time.nsec.to_be_bytes());
        if self.checksums() {
            let sum = self.commit_sum(&data);
            fits &= put(&mut data, 16, &sum.to_be_bytes());
        }
        if !fits {
            return corrupt("journal");
        }
        self.append(&mut batch, &data)?;
        batch.finish()?;
        device.flush()?;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }
}

/// A transaction on its way into the log, while operations go on.
pub(crate) struct Flight {
    /// Held by whoever writes the log; then the journal, and what became of it, for whoever comes
    /// first.
    landed: Mutex<Option<(Journal, Result<()>)>>,
    /// Its freed blocks are still not to be given out, nor what they held to be dropped.
    txn: Transaction,
}

/// What [`Volume::launch`] leaves to be written without the lock.
pub(crate) struct Cargo {
    journal: Journal,
    device: Arc<dyn BlockDevice>,
    blocks: Vec<(u64, Block)>,
    revoked: Vec<u64>,
    time: fs::Timespec,
    pub flight: Arc<Flight>,
}

impl Flight {
    /// Keeps everybody from the journal until [`Cargo::write`] is done. To be called before the
    /// volume's lock is let go.
    pub(crate) fn hold(&self) -> Guard<'_, Option<(Journal, Result<()>)>> {
        self.landed.lock()
    }

    /// The first block behind a freed range that `block` is in.
    pub(crate) fn freed_until(&self, block: u64) -> Option<u64> {
        self.txn.freed_until(block)
    }

    /// The first freed block at or after `block`.
    pub(crate) fn next_freed(&self, block: u64) -> Option<u64> {
        self.txn.next_freed(block)
    }
}

impl Cargo {
    /// Writes the transaction and makes it durable.
    pub(crate) fn write(mut self, mut landed: Guard<'_, Option<(Journal, Result<()>)>>) {
        let result = self.journal.log(&*self.device, &self.blocks, &self.revoked, self.time);
        *landed = Some((self.journal, result));
    }
}

impl Volume {
    /// Commits before an operation would find the transaction too large for the log, or the memory
    /// too full of it.
    pub(crate) fn make_room(&mut self) -> Result<()> {
        let limit = self.txn_limit;
        if self.txn.blocks.len() >= limit || self.txn.revoked.len() >= limit * 8 {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes everything durable that operations have changed, without letting the lock go.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.land()?;
        if let Some(cargo) = self.launch()? {
            let flight = cargo.flight.clone();
            cargo.write(flight.hold());
            self.land()?;
        }
        Ok(())
    }

    /// Takes the running transaction out, to be written by [`Cargo::write`]; the caller then calls
    /// [`Volume::land`]. `None` when everything is durable already.
    pub(crate) fn launch(&mut self) -> Result<Option<Cargo>> {
        let result = self.land().and_then(|()| self.try_launch());
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    fn try_launch(&mut self) -> Result<Option<Cargo>> {
        if self.failed {
            return Err(Error::Device);
        }
        if self.sb_dirty {
            self.store_super()?;
        }
        if self.txn.blocks.is_empty() && self.txn.revoked.is_empty() {
            self.device.flush()?;
            return Ok(None);
        }
        self.txn_number += 1;
        let txn = core::mem::take(&mut self.txn);
        let Some(mut journal) = self.journal.take() else {
            self.write_in_place(&txn)?;
            return Ok(None);
        };
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(txn.blocks.len()).map_err(|_| Errno::ENOMEM)?;
        for block in &txn.blocks {
            let buffer = self.cache.get(*block).ok_or(Error::Corrupt("cache: a changed block is gone"))?;
            blocks.push((*block, buffer.data.clone()));
        }
        let revoked: Vec<u64> = txn.revoked.iter().copied().collect();
        let need = journal.need(blocks.len(), revoked.len()) as u32;
        if need + 1 >= journal.size() {
            return Err(Error::Corrupt("journal: too small for an operation"));
        }
        if journal.used + need >= journal.size() {
            self.write_home(&mut journal)?;
        }
        if journal.used == 0 {
            let (head, sequence) = (journal.head, journal.sequence);
            if journal.start() != head || be32(&journal.head_block, 0x18) != Some(sequence) {
                journal.write_super(&*self.device, head, sequence)?;
            }
        }
        // From here on these are what belongs to their places, and stay in memory until they are
        // there.
        for (block, data) in &blocks {
            if let Some(buffer) = self.cache.get(*block) {
                buffer.home = Some(data.clone());
                buffer.running = false;
            }
        }
        let flight = Arc::new(Flight { landed: Mutex::new(None), txn });
        self.flight = Some(flight.clone());
        let (device, time) = (self.device.clone(), self.env.now());
        Ok(Some(Cargo { journal, device, blocks, revoked, time, flight }))
    }

    /// Waits until a transaction that was taken out is written, and ends it. Any caller does that
    /// for all.
    pub(crate) fn land(&mut self) -> Result<()> {
        let Some(flight) = self.flight.take() else { return Ok(()) };
        let landed = flight.hold().take();
        let Some((journal, result)) = landed else {
            self.fail(&Error::Device);
            return Err(Error::Device);
        };
        // What is in the log only is kept in memory too.
        let full = journal.used > journal.size() / 2 || journal.used as usize > 2 * self.cache.limit();
        self.journal = Some(journal);
        if let Err(error) = result {
            self.fail(&error);
            return Err(error);
        }
        for block in &flight.txn.forgotten {
            self.cache.remove(*block);
        }
        if full { self.checkpoint() } else { Ok(()) }
    }

    fn write_in_place(&mut self, txn: &Transaction) -> Result<()> {
        for block in &txn.blocks {
            if let Some(buffer) = self.cache.get(*block) {
                buffer.home = Some(buffer.data.clone());
                buffer.running = false;
            }
        }
        self.write_buffers()?;
        Ok(self.device.flush()?)
    }

    /// Writes what was committed to its place, neighbours together.
    fn write_buffers(&mut self) -> Result<()> {
        let mut list: Vec<(u64, Block)> = Vec::new();
        for (block, buffer) in self.cache.iter_mut() {
            if let Some(home) = &buffer.home {
                list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                list.push((block, home.clone()));
            }
        }
        list.sort_unstable_by_key(|(block, _)| *block);
        let mut rest = &list[..];
        while let Some((first, _)) = rest.first() {
            let n = rest.iter().zip(*first..).take(BATCH).take_while(|((block, _), want)| block == want).count();
            let (run, behind) = rest.split_at(n);
            let mut data = Vec::new();
            data.try_reserve_exact(n * self.geo.block_size).map_err(|_| Errno::ENOMEM)?;
            run.iter().for_each(|(_, block)| data.extend_from_slice(block));
            self.device.write(first << self.geo.block_bits, &data)?;
            rest = behind;
        }
        for (_, buffer) in self.cache.iter_mut() {
            buffer.home = None;
        }
        Ok(())
    }

    fn write_home(&mut self, journal: &mut Journal) -> Result<()> {
        self.write_buffers()?;
        self.device.flush()?;
        journal.used = 0;
        let (head, sequence) = (journal.head, journal.sequence);
        journal.write_super(&*self.device, head, sequence)
    }

    /// Brings everything committed to its place, so that the log is empty.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        self.land()?;
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let result = if journal.used > 0 { self.write_home(&mut journal) } else { Ok(()) };
        self.journal = Some(journal);
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    /// Puts the superblock with its counts into the transaction.
    fn store_super(&mut self) -> Result<()> {
        self.sb.wtime.set(self.env.now().sec as u32);
        if self.geo.csum {
            self.sb.checksum.set(superblock_checksum(&self.sb));
        }
        let (sb, at) = (self.sb, self.super_place());
        self.amend(at.0, |data| put(data, at.1, sb.as_bytes()))?;
        self.sb_dirty = false;
        Ok(())
    }

    /// The block that holds the superblock, and its place there.
    fn super_place(&self) -> (u64, usize) {
        (1024 >> self.geo.block_bits, 1024 % self.geo.block_size)
    }

    /// Tells the next check that something was wrong, past the journal, which is not used any more.
    pub(crate) fn note_error(&mut self) {
        let size = self.geo.block_size;
        let (block, at) = self.super_place();
        let Ok(mut data) = crate::cache::zeroed(size) else { return };
        let device = self.device.clone();
        if device.read_only() || device.read(block << self.geo.block_bits, &mut data).is_err() {
            return;
        }
        let Some(bytes) = data.get_mut(at..at + 1024) else { return };
        let Ok(sb) = <crate::layout::Superblock as zerocopy::FromBytes>::mut_from_bytes(bytes) else { return };
        sb.state.set(sb.state.get() | 2);
        sb.error_count.set(sb.error_count.get().saturating_add(1));
        if self.geo.csum {
            sb.checksum.set(superblock_checksum(sb));
        }
        if device.write(block << self.geo.block_bits, &data).and_then(|()| device.flush()).is_err() {
            self.env.message("ext4: the error could not be noted on the disk".into());
        }
    }
}
