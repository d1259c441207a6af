//! File descriptors: small numbers for open file descriptions.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fs::PAGE_SIZE;
use sync::{ArcTable, HasUsers, Users, Writer};
use syscall_shim::{Errno, SysResult};

use crate::{OpenFile, open_file};

/// Which descriptors are taken.
#[derive(Default)]
struct Numbers {
    /// One bit per descriptor that is in use, or promised to an open(2) that is under way; that one
    /// has no file yet.
    used: Vec<u64>,
    /// Close on exec, one bit per descriptor.
    cloexec: Vec<u64>,
    /// Every descriptor below is in use.
    first_free: usize,
}

/// The descriptors that the threads of a process share (`CLONE_FILES`).
pub struct FdTable {
    /// Names the owner of POSIX record locks.
    pub id: u64,
    /// Looked up without a lock. The lock of those who change it is a leaf; descriptions are
    /// dropped after it is released.
    files: ArcTable<OpenFile, Numbers>,
    users: Users,
}

impl HasUsers for FdTable {
    fn users(&self) -> &Users {
        &self.users
    }
}

/// The right to change a table.
struct Changing<'a>(Writer<'a, OpenFile, Numbers>);

impl<'a> Deref for Changing<'a> {
    type Target = Writer<'a, OpenFile, Numbers>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// What is done after each close.
static CLOSED: spin::Once<fn()> = spin::Once::new();

/// Has `closed` called after each close of a descriptor, with no lock held. The first call counts.
pub fn after_close(closed: fn()) {
    CLOSED.call_once(|| closed);
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A descriptor that has a number and no file yet; without [`ReservedFd::install`] the number is
/// free again.
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
        let mut files = self.table.change();
        let fd = self.fd as i32;
        // It stays reserved until here, so nothing was there.
        let before = files.replace(self.fd, Some(file));
        files.set_cloexec(self.fd, self.cloexec);
        drop(files);
        drop(before);
        core::mem::forget(self);
        fd
    }
}

impl Drop for ReservedFd<'_> {
    fn drop(&mut self) {
        self.table.change().free(self.fd);
    }
}

/// More slots than these are made only where memory is plenty.
const ALWAYS_GRANTED: usize = 1024;

/// Pages that a table of so many slots takes.
const fn pages(slots: usize) -> u64 {
    (slots * size_of::<usize>()).div_ceil(PAGE_SIZE) as u64
}

fn has(bits: &[u64], fd: usize) -> bool {
    bits.get(fd / 64).is_some_and(|word| word >> (fd % 64) & 1 != 0)
}

fn set(bits: &mut [u64], fd: usize, on: bool) {
    if let Some(word) = bits.get_mut(fd / 64) {
        *word = (*word & !(1 << (fd % 64))) | (u64::from(on) << (fd % 64));
    }
}

impl Numbers {
    /// The lowest number from `from` on that is not in use.
    fn next_free(&self, from: usize) -> usize {
        let start = from.max(self.first_free);
        let mut at = start / 64;
        let mut taken = self.used.get(at).copied().unwrap_or(0) | ((1 << (start % 64)) - 1);
        while taken == u64::MAX {
            at += 1;
            taken = self.used.get(at).copied().unwrap_or(0);
        }
        at * 64 + taken.trailing_ones() as usize
    }

    fn set_cloexec(&mut self, fd: usize, on: bool) {
        set(&mut self.cloexec, fd, on);
    }

    /// Room for `len` descriptors, none of which is in use, with their marks to be closed.
    fn copy(&self, len: usize) -> SysResult<Numbers> {
        let words = len.div_ceil(64);
        let mut copy = Numbers::default();
        for list in [&mut copy.used, &mut copy.cloexec] {
            list.try_reserve_exact(words).map_err(|_| Errno::ENOMEM)?;
        }
        copy.used.resize(words, 0);
        copy.cloexec.extend(self.cloexec.iter().take(words));
        Ok(copy)
    }

    /// The lowest number from `fd` to below `end` that is in use.
    fn next_used(&self, mut fd: usize, end: usize) -> Option<usize> {
        while fd < end {
            match self.used.get(fd / 64)? >> (fd % 64) {
                0 => fd = (fd / 64 + 1) * 64,
                word => return Some(fd + word.trailing_zeros() as usize).filter(|fd| *fd < end),
            }
        }
        None
    }
}

impl Changing<'_> {
    /// One more than the highest number in use.
    fn len_in_use(&self) -> usize {
        let last = self.used.iter().rposition(|word| *word != 0);
        last.map_or(0, |at| (at + 1) * 64).min(self.places())
    }

    /// Takes a number.
    fn allocate(&mut self, from: usize, limit: usize) -> SysResult<usize> {
        let fd = self.next_free(from);
        if fd >= limit {
            return Err(Errno::EMFILE);
        }
        self.make_room(fd)?;
        set(&mut self.used, fd, true);
        if from <= self.first_free {
            self.first_free = fd + 1;
        }
        Ok(fd)
    }

    fn make_room(&mut self, fd: usize) -> SysResult<()> {
        if fd < self.places() {
            return Ok(());
        }
        if fd >= NR_OPEN.load(Ordering::Relaxed) as usize {
            return Err(Errno::EMFILE);
        }
        if fd + 1 - self.places() > ALWAYS_GRANTED && !caller::pages_available(pages((fd + 1).next_power_of_two())) {
            return Err(Errno::ENOMEM);
        }
        let words = (fd + 1).next_power_of_two().div_ceil(64);
        let numbers: &mut Numbers = self;
        for list in [&mut numbers.used, &mut numbers.cloexec] {
            list.try_reserve(words.saturating_sub(list.len())).map_err(|_| Errno::ENOMEM)?;
        }
        if !self.grow(fd + 1) {
            return Err(Errno::ENOMEM);
        }
        let words = self.places().div_ceil(64);
        self.used.resize(words, 0);
        self.cloexec.resize(words, 0);
        Ok(())
    }

    fn free(&mut self, fd: usize) -> Option<Arc<OpenFile>> {
        self.set_cloexec(fd, false);
        set(&mut self.used, fd, false);
        self.first_free = self.first_free.min(fd);
        self.replace(fd, None)
    }

    fn check(&self, fd: usize) -> SysResult<()> {
        if self.has(fd) { Ok(()) } else { Err(Errno::EBADF) }
    }
}

/// The most that `NR_OPEN` may be set to.
pub const NR_OPEN_LIMIT: u32 = i32::MAX as u32 & !63;
/// `/proc/sys/fs/nr_open`: no table grows to more descriptors, whatever `RLIMIT_NOFILE` says.
pub static NR_OPEN: AtomicU32 = AtomicU32::new(1 << 20);

/// `RLIMIT_NOFILE` of the caller.
fn limit() -> usize {
    usize::try_from(caller::rlimit(linux_raw_sys::general::RLIMIT_NOFILE)).unwrap_or(usize::MAX).min(1 << 30)
}

fn index(fd: i32) -> SysResult<usize> {
    usize::try_from(fd).map_err(|_| Errno::EBADF)
}

impl Default for FdTable {
    fn default() -> Self {
        Self::new()
    }
}

impl FdTable {
    fn change(&self) -> Changing<'_> {
        Changing(self.files.lock())
    }

    /// A table without descriptors.
    pub fn new() -> FdTable {
        FdTable::with(Vec::new(), Numbers::default())
    }

    fn with(files: Vec<Option<Arc<OpenFile>>>, numbers: Numbers) -> FdTable {
        FdTable {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            files: ArcTable::new(files, numbers),
            users: Users::default(),
        }
    }

    /// A copy that shares the open file descriptions: for a child of fork(2), and for
    /// `unshare(CLONE_FILES)`. `ENOMEM` where a large table finds memory short.
    pub fn duplicate(&self) -> SysResult<FdTable> {
        let files = self.change();
        let len = files.len_in_use();
        let entries = files.entries(len).ok_or(Errno::ENOMEM)?;
        let mut numbers = files.copy(entries.len())?;
        drop(files);
        for (fd, _) in entries.iter().enumerate().filter(|(_, file)| file.is_some()) {
            set(&mut numbers.used, fd, true);
        }
        numbers.first_free = numbers.next_free(0);
        Ok(FdTable::with(entries, numbers))
    }

    /// The description behind a descriptor; `EBADF`, also for `O_PATH` ones.
    pub fn get(&self, fd: i32) -> SysResult<Arc<OpenFile>> {
        let file = self.get_any(fd)?;
        if file.is_path() { Err(Errno::EBADF) } else { Ok(file) }
    }

    /// The description behind a descriptor, `O_PATH` or not.
    pub fn get_any(&self, fd: i32) -> SysResult<Arc<OpenFile>> {
        self.files.get(index(fd)?).ok_or(Errno::EBADF)
    }

    /// The lowest free number, at least `from`. `EMFILE` at `RLIMIT_NOFILE`.
    pub fn reserve_from(&self, from: usize, cloexec: bool) -> SysResult<ReservedFd<'_>> {
        let limit = limit();
        let fd = self.change().allocate(from, limit)?;
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

    /// Puts `file` at the number `fd`, closing what was there: dup2(2). `EBADF` for a number beyond
    /// the limit, `EBUSY` for one that an open(2) is about to use.
    pub fn replace(&self, fd: i32, file: Arc<OpenFile>, cloexec: bool) -> SysResult<()> {
        let fd = index(fd)?;
        if fd >= limit() {
            return Err(Errno::EBADF);
        }
        let mut files = self.change();
        files.make_room(fd)?;
        if has(&files.used, fd) && !files.has(fd) {
            return Err(Errno::EBUSY);
        }
        set(&mut files.used, fd, true);
        let old = files.replace(fd, Some(file));
        files.set_cloexec(fd, cloexec);
        if files.first_free == fd {
            files.first_free = fd + 1;
        }
        drop(files);
        if let Some(old) = old {
            self.closed(old);
        }
        Ok(())
    }

    /// close(2).
    pub fn close(&self, fd: i32) -> SysResult<()> {
        let fd = index(fd)?;
        let mut files = self.change();
        files.check(fd)?;
        let old = files.free(fd);
        drop(files);
        let Some(old) = old else { return Ok(()) };
        let late = if old.is_path() { Ok(()) } else { old.ops.close_error(&old) };
        self.closed(old);
        late
    }

    /// What every close of a descriptor does, with the dropping of the reference to the
    /// description.
    fn closed(&self, file: Arc<OpenFile>) {
        if !file.is_path() {
            file.ops.flush(&file);
            crate::locks::release_process(&file, self.id);
            crate::dnotify::flush(&file, self.id);
        }
        drop(file);
        if let Some(closed) = CLOSED.get() {
            closed();
        }
    }

    /// Whether the descriptor is closed by execve(2).
    pub fn is_cloexec(&self, fd: i32) -> SysResult<bool> {
        let fd = index(fd)?;
        let files = self.change();
        files.check(fd)?;
        Ok(has(&files.cloexec, fd))
    }

    /// `F_SETFD`.
    pub fn set_cloexec(&self, fd: i32, on: bool) -> SysResult<()> {
        let fd = index(fd)?;
        let mut files = self.change();
        files.check(fd)?;
        files.set_cloexec(fd, on);
        Ok(())
    }

    /// Closes every descriptor in `first..=last`; with `mark` only marks them close-on-exec.
    pub fn close_range(&self, first: usize, last: usize, mark: bool) {
        let mut fd = first;
        loop {
            let mut files = self.change();
            let end = files.places().min(last.saturating_add(1));
            let Some(next) = files.next_used(fd, end) else { return };
            fd = next + 1;
            if !files.has(next) {
                continue;
            }
            if mark {
                files.set_cloexec(next, true);
            } else {
                let old = files.free(next);
                drop(files);
                if let Some(old) = old {
                    self.closed(old);
                }
            }
        }
    }

    /// Closes what is marked close-on-exec: part of execve(2).
    pub fn close_on_exec(&self) {
        let mut from = 0;
        loop {
            let marked = {
                let files = self.change();
                (from..files.places()).find(|fd| has(&files.cloexec, *fd))
            };
            let Some(fd) = marked else { return };
            self.close_range(fd, fd, false);
            from = fd + 1;
        }
    }

    /// The numbers in use, in order.
    pub fn open_fds(&self) -> Vec<i32> {
        let files = self.change();
        (0..files.places()).filter(|fd| files.has(*fd)).map(|fd| fd as i32).collect()
    }

    /// Number of slots, for `FDSize` of /proc/PID/status.
    pub fn capacity(&self) -> usize {
        self.change().places().next_multiple_of(64).max(64)
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        self.close_range(0, usize::MAX - 1, false);
    }
}
