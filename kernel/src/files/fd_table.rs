//! File descriptors: small numbers for open file descriptions.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use syscall_shim::{Errno, SysResult};

use super::{OpenFile, open_file};
use crate::mm::{PAGE_SIZE, user_page};
use crate::sync::SpinLock;
use crate::task::current;

/// A descriptor's slot.
#[derive(Clone, Default)]
enum Slot {
    #[default]
    Free,
    /// Promised to an open(2) that is under way.
    Reserved,
    Open(Arc<OpenFile>),
}

#[derive(Clone, Default)]
struct Slots {
    slots: Vec<Slot>,
    /// Close on exec, one bit per descriptor.
    cloexec: Vec<u64>,
    /// Every descriptor below is in use.
    first_free: usize,
}

/// The descriptors that the threads of a process share (`CLONE_FILES`).
pub struct FdTable {
    /// Names the owner of POSIX record locks.
    pub id: u64,
    /// A leaf lock; descriptions are dropped after it is released.
    inner: SpinLock<Slots>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A descriptor that has a number and no file yet; without [`ReservedFd::install`] the number is free again.
pub struct ReservedFd<'a> {
    table: &'a FdTable,
    fd: usize,
    cloexec: bool,
}

impl ReservedFd<'_> {
    /// Its number.
    pub fn number(&self) -> i32 {
        self.fd as i32
    }

    /// Makes the descriptor usable.
    pub fn install(self, file: Arc<OpenFile>) -> i32 {
        let mut inner = self.table.inner.lock();
        if let Some(slot) = inner.slots.get_mut(self.fd) {
            *slot = Slot::Open(file);
        }
        inner.set_cloexec(self.fd, self.cloexec);
        drop(inner);
        let fd = self.fd as i32;
        core::mem::forget(self);
        fd
    }
}

impl Drop for ReservedFd<'_> {
    fn drop(&mut self) {
        self.table.inner.lock().free(self.fd);
    }
}

/// More slots than these are made only where memory is plenty.
const FEW: usize = 1024;

/// Pages that a table of so many slots takes.
const fn pages(slots: usize) -> u64 {
    (slots * size_of::<Slot>()).div_ceil(PAGE_SIZE) as u64
}

impl Slots {
    fn allocate(&mut self, from: usize, limit: usize) -> SysResult<usize> {
        let start = from.max(self.first_free);
        let free = self.slots.get(start..).and_then(|s| s.iter().position(|s| matches!(s, Slot::Free)));
        let fd = free.map_or_else(|| self.slots.len().max(start), |i| start + i);
        if fd >= limit {
            return Err(Errno::EMFILE);
        }
        self.grow(fd)?;
        if let Some(slot) = self.slots.get_mut(fd) {
            *slot = Slot::Reserved;
        }
        if from <= self.first_free {
            self.first_free = fd + 1;
        }
        Ok(fd)
    }

    fn grow(&mut self, fd: usize) -> SysResult<()> {
        if fd >= self.slots.len() {
            let more = fd + 1 - self.slots.len();
            if more > FEW && !user_page::available(pages(fd + 1)) {
                return Err(Errno::ENOMEM);
            }
            self.slots.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
            self.slots.resize_with(fd + 1, Slot::default);
            self.cloexec.resize(self.slots.len().div_ceil(64), 0);
        }
        Ok(())
    }

    fn free(&mut self, fd: usize) -> Slot {
        self.set_cloexec(fd, false);
        self.first_free = self.first_free.min(fd);
        self.slots.get_mut(fd).map(core::mem::take).unwrap_or_default()
    }

    fn set_cloexec(&mut self, fd: usize, on: bool) {
        if let Some(word) = self.cloexec.get_mut(fd / 64) {
            *word = (*word & !(1 << (fd % 64))) | (u64::from(on) << (fd % 64));
        }
    }

    fn cloexec(&self, fd: usize) -> bool {
        self.cloexec.get(fd / 64).is_some_and(|w| w >> (fd % 64) & 1 != 0)
    }

    fn get(&self, fd: usize) -> SysResult<&Arc<OpenFile>> {
        match self.slots.get(fd) {
            Some(Slot::Open(file)) => Ok(file),
            _ => Err(Errno::EBADF),
        }
    }
}

/// `RLIMIT_NOFILE` of the caller.
fn limit() -> usize {
    usize::try_from(current().process.rlimit(linux_raw_sys::general::RLIMIT_NOFILE)).unwrap_or(usize::MAX).min(1 << 30)
}

fn index(fd: i32) -> SysResult<usize> {
    usize::try_from(fd).map_err(|_| Errno::EBADF)
}

impl FdTable {
    /// A table without descriptors.
    pub fn new() -> FdTable {
        FdTable::with(Slots::default())
    }

    fn with(slots: Slots) -> FdTable {
        FdTable { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), inner: SpinLock::new(slots) }
    }

    /// A copy that shares the open file descriptions: for a child of fork(2), and for `unshare(CLONE_FILES)`.
    /// `ENOMEM` where a large table finds memory short.
    pub fn duplicate(&self) -> SysResult<FdTable> {
        let inner = self.inner.lock();
        if inner.slots.len() > FEW && !user_page::available(pages(inner.slots.len())) {
            return Err(Errno::ENOMEM);
        }
        let mut slots = inner.clone();
        drop(inner);
        for slot in slots.slots.iter_mut().filter(|s| matches!(s, Slot::Reserved)) {
            *slot = Slot::Free;
        }
        slots.first_free = slots.slots.iter().position(|s| matches!(s, Slot::Free)).unwrap_or(slots.slots.len());
        Ok(FdTable::with(slots))
    }

    /// The description behind a descriptor; `EBADF`, also for `O_PATH` ones.
    pub fn get(&self, fd: i32) -> SysResult<Arc<OpenFile>> {
        let file = self.get_any(fd)?;
        if file.is_path() { Err(Errno::EBADF) } else { Ok(file) }
    }

    /// The description behind a descriptor, `O_PATH` or not.
    pub fn get_any(&self, fd: i32) -> SysResult<Arc<OpenFile>> {
        self.inner.lock().get(index(fd)?).cloned()
    }

    /// The lowest free number, at least `from`. `EMFILE` at `RLIMIT_NOFILE`.
    pub fn reserve_from(&self, from: usize, cloexec: bool) -> SysResult<ReservedFd<'_>> {
        let limit = limit();
        let fd = self.inner.lock().allocate(from, limit)?;
        Ok(ReservedFd { table: self, fd, cloexec })
    }

    /// The lowest free number.
    pub fn reserve(&self, cloexec: bool) -> SysResult<ReservedFd<'_>> {
        self.reserve_from(0, cloexec)
    }

    /// Gives `file` the lowest free number. `ENFILE` if it is one too many.
    pub fn insert(&self, file: Arc<OpenFile>, cloexec: bool) -> SysResult<i32> {
        open_file::check_count()?;
        Ok(self.reserve(cloexec)?.install(file))
    }

    /// Gives two files their numbers, or neither: pipe(2), socketpair(2).
    pub fn insert_pair(&self, files: [Arc<OpenFile>; 2], cloexec: bool) -> SysResult<[i32; 2]> {
        open_file::check_count()?;
        let first = self.reserve(cloexec)?;
        let second = self.reserve(cloexec)?;
        let [a, b] = files;
        Ok([first.install(a), second.install(b)])
    }

    /// Puts `file` at the number `fd`, closing what was there: dup2(2). `EBADF` for a number beyond the limit, `EBUSY` for one that an
    /// open(2) is about to use.
    pub fn replace(&self, fd: i32, file: Arc<OpenFile>, cloexec: bool) -> SysResult<()> {
        let fd = index(fd)?;
        if fd >= limit() {
            return Err(Errno::EBADF);
        }
        let mut inner = self.inner.lock();
        inner.grow(fd)?;
        if matches!(inner.slots.get(fd), Some(Slot::Reserved)) {
            return Err(Errno::EBUSY);
        }
        let old = inner.slots.get_mut(fd).map(|slot| core::mem::replace(slot, Slot::Open(file)));
        inner.set_cloexec(fd, cloexec);
        if inner.first_free == fd {
            inner.first_free = fd + 1;
        }
        drop(inner);
        if let Some(Slot::Open(old)) = old {
            self.closed(old);
        }
        Ok(())
    }

    /// close(2).
    pub fn close(&self, fd: i32) -> SysResult<()> {
        let fd = index(fd)?;
        let mut inner = self.inner.lock();
        inner.get(fd)?;
        let old = inner.free(fd);
        drop(inner);
        if let Slot::Open(file) = old {
            self.closed(file);
        }
        Ok(())
    }

    /// What every close of a descriptor does, before the reference to the description is dropped.
    fn closed(&self, file: Arc<OpenFile>) {
        if !file.is_path() {
            file.ops.flush(&file);
            super::locks::release_process(&file, self.id);
        }
    }

    /// Whether the descriptor is closed by execve(2).
    pub fn is_cloexec(&self, fd: i32) -> SysResult<bool> {
        let fd = index(fd)?;
        let inner = self.inner.lock();
        inner.get(fd)?;
        Ok(inner.cloexec(fd))
    }

    /// `F_SETFD`.
    pub fn set_cloexec(&self, fd: i32, on: bool) -> SysResult<()> {
        let fd = index(fd)?;
        let mut inner = self.inner.lock();
        inner.get(fd)?;
        inner.set_cloexec(fd, on);
        Ok(())
    }

    /// Closes every descriptor in `first..=last`; with `mark` only marks them close-on-exec.
    pub fn close_range(&self, first: usize, last: usize, mark: bool) {
        let mut fd = first;
        loop {
            let mut inner = self.inner.lock();
            let end = inner.slots.len().min(last.saturating_add(1));
            while fd < end && inner.get(fd).is_err() {
                fd += 1;
            }
            if fd >= end {
                return;
            }
            if mark {
                inner.set_cloexec(fd, true);
            } else {
                let old = inner.free(fd);
                drop(inner);
                if let Slot::Open(file) = old {
                    self.closed(file);
                }
            }
            fd += 1;
        }
    }

    /// Closes what is marked close-on-exec: part of execve(2).
    pub fn close_on_exec(&self) {
        let marked: Vec<usize> = {
            let inner = self.inner.lock();
            (0..inner.slots.len()).filter(|fd| inner.cloexec(*fd)).collect()
        };
        for fd in marked {
            self.close_range(fd, fd, false);
        }
    }

    /// The numbers in use, in order.
    pub fn open_fds(&self) -> Vec<i32> {
        let inner = self.inner.lock();
        inner.slots.iter().enumerate().filter(|(_, s)| matches!(s, Slot::Open(_))).map(|(i, _)| i as i32).collect()
    }

    /// Number of slots, for `FDSize` of /proc/PID/status.
    pub fn capacity(&self) -> usize {
        self.inner.lock().slots.len().next_multiple_of(64).max(64)
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        self.close_range(0, usize::MAX - 1, false);
    }
}
