//! Reading and writing the content of files, with the device's waits outside of the lock where they
//! can be.

use crate::Ext4;
use crate::cache::zeroed;
use crate::data::Run;
use crate::error::{Error, Result};
use crate::layout::flag;
use crate::volume::Volume;
use alloc::vec::Vec;
use syscall_shim::Errno;

/// Blocks that one step of a write allocates at most.
const WRITE_BLOCKS: u64 = 2048;

/// Where no file reaches: offsets are signed (off_t).
const MAX_OFFSET: u64 = i64::MAX as u64;

impl Ext4 {
    /// Where a file's content lies, from `block` of the file on: `max` blocks at most, all of one
    /// kind. For reading ahead and for direct access; content within the inode is a hole here, and
    /// [`Ext4::read`] has it.
    pub fn map_blocks(&self, ino: u32, block: u64, max: u64) -> Result<Run> {
        self.with(|vol| {
            let inode = vol.inode(ino)?;
            vol.map(&inode, block, max)
        })
    }

    /// Reads from a file at `off`: how many bytes there were, fewer only at the end of the file.
    pub fn read(&self, ino: u32, off: u64, buf: &mut [u8]) -> Result<usize> {
        let (bits, size) = self.block_shape();
        let mut done = 0;
        while done < buf.len() {
            let at = off + done as u64;
            let rest = buf.get_mut(done..).ok_or(Errno::EINVAL)?;
            let (left, run, inline) = self.with(|vol| {
                let inode = vol.inode(ino)?;
                let left = inode.size().saturating_sub(at);
                let inline = if inode.has(flag::INLINE_DATA) { Some(vol.inline_data(&inode)?) } else { None };
                let blocks = (rest.len() as u64 + size).div_ceil(size);
                Ok((left, vol.map(&inode, at >> bits, blocks)?, inline))
            })?;
            if left == 0 {
                break;
            }
            if let Some(data) = inline {
                let from = data.get(at as usize..).unwrap_or(&[]);
                let n = from.len().min(rest.len());
                rest.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                done += n;
                break;
            }
            let within = at % size;
            let n = (run.len * size - within).min(left).min(rest.len() as u64);
            let part = rest.get_mut(..n as usize).ok_or(Errno::EINVAL)?;
            match run.block.filter(|_| !run.unwritten) {
                None => part.fill(0),
                Some(block) => self.read_bytes((block << bits) + within, part)?,
            }
            done += n as usize;
        }
        Ok(done)
    }

    /// Reads any bytes of the device, by whole blocks.
    fn read_bytes(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        let (_, size) = self.block_shape();
        if at.is_multiple_of(size) && (buf.len() as u64).is_multiple_of(size) {
            return Ok(self.device.read(at, buf)?);
        }
        let mut block = zeroed(size as usize)?;
        let mut done = 0;
        while done < buf.len() {
            let here = at + done as u64;
            self.device.read(here - here % size, &mut block)?;
            let from = block.get((here % size) as usize..).unwrap_or(&[]);
            let n = from.len().min(buf.len() - done);
            let to = buf.get_mut(done..done + n).ok_or(Errno::EINVAL)?;
            to.copy_from_slice(from.get(..n).unwrap_or(&[]));
            done += n;
        }
        Ok(())
    }

    /// Writes to a file at `off`, all of it, growing the file. Content comes to the disk before
    /// anything leads to it. The times stay: they are of when a program wrote, not of when that
    /// comes here.
    pub fn write(&self, ino: u32, off: u64, data: &[u8]) -> Result<()> {
        let _alone = self.content(ino).lock();
        let (bits, size) = self.block_shape();
        let end = off.checked_add(data.len() as u64).filter(|end| *end <= MAX_OFFSET).ok_or(Errno::EFBIG)?;
        let mut at = off;
        while at < end {
            let first = at >> bits;
            let count = (end.div_ceil(size) - first).min(WRITE_BLOCKS);
            let part_end = ((first + count) << bits).min(end);
            let part = |from: u64, to: u64| data.get((from - off) as usize..(to - off) as usize).unwrap_or(&[]);
            let reached = self.promised(|vol| vol.write_step(ino, at, part(at, part_end)))?;
            if let Some((runs, upto)) = reached.outside {
                for (from, run) in runs {
                    let start = (from << bits).max(at);
                    let stop = ((from + run.len) << bits).min(upto);
                    self.with_fresh(run, start % size, part(start, stop))?;
                }
                self.promised(|vol| vol.wrote(ino, first, upto))?;
            }
            at = reached.upto;
        }
        Ok(())
    }

    fn promised<T>(&self, f: impl FnOnce(&mut Volume) -> Result<T>) -> Result<T> {
        self.with(|vol| {
            vol.promised = true;
            let result = f(vol);
            vol.promised = false;
            result
        })
    }

    fn with_fresh(&self, run: Run, within: u64, bytes: &[u8]) -> Result<()> {
        let Some(block) = run.block else { return Err(Error::Corrupt("extents")) };
        write_bytes(&*self.device, block << self.bits(), self.block_shape().1, within, bytes, run.unwritten)
    }
}

/// Writes bytes from `within` of the blocks at `at` on; the rest of blocks that they do not fill is
/// zeros if `fresh`, else stays.
fn write_bytes(device: &dyn crate::BlockDevice, at: u64, size: u64, within: u64, bytes: &[u8], fresh: bool) -> Result<()> {
    let total = within + bytes.len() as u64;
    if within == 0 && total.is_multiple_of(size) {
        return Ok(device.write(at, bytes)?);
    }
    let mut data = zeroed(total.next_multiple_of(size) as usize)?;
    if !fresh {
        let last = data.len() - size as usize;
        let edges = [(within > 0).then_some(0), (!total.is_multiple_of(size) && (last > 0 || within == 0)).then_some(last)];
        for from in edges.into_iter().flatten() {
            if let Some(block) = data.get_mut(from..from + size as usize) {
                device.read(at + from as u64, block)?;
            }
        }
    }
    let place = data.get_mut(within as usize..total as usize).ok_or(Errno::EINVAL)?;
    place.copy_from_slice(bytes);
    Ok(device.write(at, &data)?)
}

/// How far a write has come.
struct Step {
    upto: u64,
    /// Blocks of the file with their places, to be written without the lock, and where the bytes
    /// for them end.
    outside: Option<(Vec<(u64, Run)>, u64)>,
}

impl Volume {
    /// Makes blocks for some of `bytes` at `at`. With a block map it also writes them, since
    /// nothing on the disk could tell that they are not yet written.
    fn write_step(&mut self, ino: u32, at: u64, bytes: &[u8]) -> Result<Step> {
        let bits = self.geo.block_bits;
        let size = self.geo.block_size as u64;
        let end = at + bytes.len() as u64;
        let first = at >> bits;
        let count = end.div_ceil(size) - first;
        self.transact(|vol| {
            let mut inode = vol.inode(ino)?;
            if inode.file_type() != Some(fs::FileType::Regular) {
                return Err(Errno::EINVAL.into());
            }
            vol.leave_inline(&mut inode)?;
            let extents = inode.has(flag::EXTENTS);
            let fresh_edge = |vol: &mut Volume, block| vol.map(&inode, block, 1).map(|run| run.block.is_none());
            let head_fresh = fresh_edge(vol, first)?;
            let tail_fresh = fresh_edge(vol, first + count - 1)?;
            let n = vol.fill(&mut inode, first, count, true)?;
            let mut runs = Vec::new();
            let mut block = first;
            while block < first + n {
                let run = vol.map(&inode, block, first + n - block)?;
                runs.push((block, run));
                block += run.len;
            }
            let upto = ((first + n) << bits).min(end);
            if extents {
                vol.put_inode(&inode)?;
                return Ok(Step { upto, outside: Some((runs, upto)) });
            }
            for block in first..first + n {
                let start = (block << bits).max(at);
                let stop = ((block + 1) << bits).min(upto);
                let run = vol.map(&inode, block, 1)?;
                let place = run.block.ok_or(Error::Corrupt("block map"))? << bits;
                let fresh = if block == first { head_fresh } else { tail_fresh };
                let part = bytes.get((start - at) as usize..(stop - at) as usize).unwrap_or(&[]);
                write_bytes(&*vol.device, place, size, start % size, part, fresh)?;
            }
            if upto > inode.size() {
                inode.set_size(upto);
            }
            vol.put_inode(&inode)?;
            Ok(Step { upto, outside: None })
        })
    }

    /// The bytes up to `upto`, from block `first` on, are on the disk.
    fn wrote(&mut self, ino: u32, first: u64, upto: u64) -> Result<()> {
        let last = self.blocks_for(upto);
        let mut at = first;
        while at < last {
            at = self.transact(|vol| {
                let mut inode = vol.inode(ino)?;
                let reached = vol.mark_written(&mut inode, at, last)?;
                let bytes = (reached << vol.geo.block_bits).min(upto);
                if bytes > inode.size() {
                    inode.set_size(bytes);
                }
                vol.put_inode(&inode)?;
                Ok(reached)
            })?;
        }
        Ok(())
    }
}
