//! The open block file.

use alloc::sync::Arc;

use fd::io::{Sink, Source};
use fd::regular::seek_to;
use fd::{FileOps, OpenFile};
use fs::mapping::Told;
use fs::{FallocateMode, Mapping, OpenFlags, PAGE_SIZE};
use linux_raw_sys::general as g;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::device::Device;
use crate::request::Operation;
use crate::{SECTOR, cache, direct, ioctl, registry};

const PAGE: u64 = PAGE_SIZE as u64;

/// An open block file.
pub struct BlockFile {
    /// The device.
    pub(crate) device: Arc<Device>,
    /// Nobody else has it (`O_EXCL`).
    exclusive: bool,
    /// What it was told of errors of writing back. A leaf lock.
    told: SpinLock<Told>,
}

impl BlockFile {
    /// Opens the device with this number. `ENXIO` without it, `EBUSY` where it is to be had alone
    /// and is not.
    pub fn open(rdev: u64, flags: OpenFlags) -> SysResult<Arc<dyn FileOps>> {
        let device = registry::find(rdev)?;
        let exclusive = flags.contains(OpenFlags::EXCL);
        if exclusive {
            device.claim()?;
        }
        device.opened();
        let told = SpinLock::new(device.cache.errors.begin());
        Ok(Arc::new(BlockFile { device, exclusive, told }))
    }

    /// How many of `len` bytes at `pos` are within the device.
    fn within(&self, pos: u64, len: usize) -> usize {
        (len as u64).min(self.device.size().saturating_sub(pos)) as usize
    }

    /// Writes the pages `[first, end)` back and flushes; tells of errors since the last time.
    fn make_durable(&self, first: u64, end: u64) -> SysResult<()> {
        // The cache keeps the error.
        let _ = self.device.cache.write_back(first, end);
        let flushed = self.device.flush();
        let mut told = *self.told.lock();
        let news = self.device.cache.errors.check(&mut told);
        *self.told.lock() = told;
        news.and(flushed)
    }
}

impl FileOps for BlockFile {
    fn seekable(&self) -> bool {
        true
    }

    fn mapping<'a>(&'a self, _file: &'a OpenFile) -> Option<&'a Arc<Mapping>> {
        Some(&self.device.cache)
    }

    fn read_at(&self, file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        let len = self.within(pos, to.remaining());
        if len == 0 {
            return Ok(0);
        }
        if file.flags().contains(OpenFlags::DIRECT) {
            return direct::read(&self.device, pos, len, to);
        }
        let done = self.device.cache.read(pos, len, &mut |page, offset, n| to.put_page(page, offset, n));
        registry::trim(&self.device);
        done
    }

    fn write_at(&self, file: &OpenFile, pos: u64, from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        if self.device.disk.read_only() {
            return Err(Errno::EPERM);
        }
        if from.remaining() == 0 {
            return Ok((0, pos));
        }
        let len = self.within(pos, from.remaining());
        if len == 0 {
            return Err(Errno::ENOSPC);
        }
        let flags = file.flags();
        let done = if flags.contains(OpenFlags::DIRECT) {
            direct::write(&self.device, pos, len, from)?
        } else {
            let cache = &self.device.cache;
            let done = cache.write(pos, len, &mut |page, offset, n| from.take_page(page, offset, n));
            if cache.dirty_count() > cache::dirty_limit() {
                // Whoever writes faster than the disk waits for it; the cache keeps the error.
                let _ = cache.write_back(0, u64::MAX);
            }
            registry::trim(&self.device);
            done?
        };
        if flags.intersects(OpenFlags::SYNC) {
            self.make_durable(pos / PAGE, (pos + done as u64).div_ceil(PAGE))?;
        }
        Ok((done, pos + done as u64))
    }

    fn seek(&self, _file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        if matches!(whence, g::SEEK_DATA | g::SEEK_HOLE) {
            return Err(Errno::EINVAL);
        }
        let size = self.device.size();
        seek_to(pos, size, offset, whence).and_then(|new| if new > size { Err(Errno::EINVAL) } else { Ok(new) })
    }

    fn pollable(&self) -> bool {
        false
    }

    fn ioctl(&self, file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        ioctl::ioctl(self, file, request, arg)
    }

    fn sync(&self, _file: &OpenFile, _data_only: bool) -> SysResult<()> {
        self.make_durable(0, u64::MAX)
    }

    fn fallocate(&self, _file: &OpenFile, mode: FallocateMode, at: u64, len: u64) -> Option<SysResult<()>> {
        Some(self.fallocate_range(mode, at, len))
    }
}

impl BlockFile {
    /// `blkdev_fallocate`: holes and zeros.
    fn fallocate_range(&self, mode: FallocateMode, at: u64, len: u64) -> SysResult<()> {
        use FallocateMode as M;
        let hole = mode == M::PUNCH_HOLE | M::KEEP_SIZE;
        if !hole && mode != M::ZERO_RANGE && mode != M::ZERO_RANGE | M::KEEP_SIZE {
            return Err(Errno::EOPNOTSUPP);
        }
        let (size, mut len) = (self.device.size(), len);
        if at >= size {
            return Err(Errno::EINVAL);
        }
        if at + len > size {
            // Past the end nothing can be kept, so only what keeps the size may name it.
            if !mode.contains(M::KEEP_SIZE) {
                return Err(Errno::EINVAL);
            }
            len = size - at;
        }
        self.check_range(at, len)?;
        self.zero(at, len)
    }

    /// `EINVAL` unless a range begins and ends with a sector, is not empty and lies on the device.
    pub(crate) fn check_range(&self, at: u64, len: u64) -> SysResult<()> {
        let mask = u64::from(self.device.disk.properties().logical_block) - 1;
        let end = at.checked_add(len).ok_or(Errno::EINVAL)?;
        if (at | len) & mask != 0 || len == 0 || end > self.device.size() { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// Has zeros in a checked range: by a request of its own where the disk knows it, or else by
    /// writing them. `EPERM`.
    pub(crate) fn zero(&self, at: u64, len: u64) -> SysResult<()> {
        let device = &self.device;
        if device.disk.read_only() {
            return Err(Errno::EPERM);
        }
        match device.clear(Operation::WriteZeroes, at, len) {
            Err(Errno::EOPNOTSUPP) => {}
            result => return result,
        }
        /// Pages of zeros that go in one request.
        const RUN: usize = 64;
        let page = fs::PageRef::alloc_buffer()?;
        let pages = core::array::from_fn::<_, RUN, _>(|_| page.clone());
        let (mut at, end) = (at, at + len);
        let range = (at / PAGE, end.div_ceil(PAGE));
        device.cache.forget(range.0, range.1)?;
        while at < end {
            let n = (end - at).min(RUN as u64 * PAGE);
            device.transfer(Operation::Write, at, &pages, n)?;
            at += n;
        }
        device.cache.forget(range.0, range.1)
    }

    /// Discards a checked range. `EOPNOTSUPP`.
    pub(crate) fn discard(&self, at: u64, len: u64) -> SysResult<()> {
        self.device.clear(Operation::Discard, at, len)
    }

    /// The sectors of a disk, in units of 512 bytes, as `BLKGETSIZE` counts them.
    pub(crate) fn units(&self) -> u64 {
        self.device.size() / SECTOR
    }
}

impl Drop for BlockFile {
    fn drop(&mut self) {
        if self.exclusive {
            self.device.unclaim();
        }
        self.device.closed();
    }
}
