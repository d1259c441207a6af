//! The content of a regular file: page cache and seals.

use super::Room;
use crate::mapping::{Mapping, PageSource};
use crate::platform::PAGE_SIZE;
use crate::types::*;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use syscall_shim::{Errno, SysResult};

const PAGE: u64 = PAGE_SIZE as u64;

pub(super) struct FileData {
    pub(super) mapping: Arc<Mapping>,
    /// Changed under the inode's lock.
    seals: AtomicU32,
}

impl FileData {
    pub(super) fn new(room: Arc<Room>, seals: Seals) -> FileData {
        let source: Arc<dyn PageSource> = room;
        FileData { mapping: Mapping::new(Some(source), 0), seals: AtomicU32::new(seals.bits()) }
    }

    pub(super) fn seals(&self) -> Seals {
        Seals::from_bits_truncate(self.seals.load(Ordering::Acquire))
    }

    /// `F_ADD_SEALS` (`memfd_add_seals`).
    pub(super) fn add_seals(&self, mut add: Seals, writable_maps: bool, executable: bool) -> SysResult<()> {
        let now = self.seals();
        if now.contains(Seals::SEAL) {
            return Err(Errno::EPERM);
        }
        if add.contains(Seals::WRITE) && !now.contains(Seals::WRITE) && writable_maps {
            return Err(Errno::EBUSY);
        }
        // A sealed executable must not change by any way, or the seal would say nothing.
        if add.contains(Seals::EXEC) && executable {
            add |= Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::FUTURE_WRITE;
        }
        self.seals.store((now | add).bits(), Ordering::Release);
        Ok(())
    }

    /// `shmem_write_begin`: sealed against writing refuses all; sealed against growth lets through
    /// the pages that end within the file.
    pub(super) fn prepare_write(&self, off: u64, len: u64) -> SysResult<u64> {
        let seals = self.seals();
        if seals.intersects(Seals::WRITE | Seals::FUTURE_WRITE) {
            return Err(Errno::EPERM);
        }
        let end = off.saturating_add(len);
        let size = self.mapping.size();
        if !seals.contains(Seals::GROW) || end <= size {
            return Ok(len);
        }
        let allowed = (size / PAGE * PAGE).saturating_sub(off).min(len);
        if allowed == 0 { Err(Errno::EPERM) } else { Ok(allowed) }
    }

    pub(super) fn truncate(&self, size: u64) -> SysResult<()> {
        let (old, seals) = (self.mapping.size(), self.seals());
        if (size < old && seals.contains(Seals::SHRINK)) || (size > old && seals.contains(Seals::GROW)) {
            return Err(Errno::EPERM);
        }
        self.mapping.truncate(size)
    }

    pub(super) fn fallocate(&self, mode: FallocateMode, off: u64, len: u64) -> SysResult<()> {
        use FallocateMode as M;
        if !(M::KEEP_SIZE | M::PUNCH_HOLE).contains(mode) {
            return Err(Errno::EOPNOTSUPP);
        }
        let seals = self.seals();
        let erases = mode.contains(M::PUNCH_HOLE);
        if erases && seals.intersects(Seals::WRITE | Seals::FUTURE_WRITE) {
            return Err(Errno::EPERM);
        }
        let end = off + len;
        let grows = !mode.contains(M::KEEP_SIZE) && end > self.mapping.size();
        if grows && seals.contains(Seals::GROW) {
            return Err(Errno::EPERM);
        }
        if erases {
            self.mapping.punch(off, len)?;
        } else {
            self.allocate(off / PAGE, end.div_ceil(PAGE))?;
        }
        if grows {
            self.mapping.grow(end);
        }
        Ok(())
    }

    /// Fills the holes in `[first, end)` with pages, all or none.
    fn allocate(&self, first: u64, end: u64) -> SysResult<()> {
        let mut added: Vec<u64> = Vec::new();
        for index in first..end {
            match self.mapping.preallocate(index) {
                Ok(true) if added.try_reserve(1).is_ok() => added.push(index),
                Ok(false) => {}
                other => {
                    let e = other.err().unwrap_or(Errno::ENOSPC);
                    for index in added.into_iter().chain([index]) {
                        self.mapping.punch(index * PAGE, PAGE)?;
                    }
                    return Err(e);
                }
            }
        }
        Ok(())
    }
}
