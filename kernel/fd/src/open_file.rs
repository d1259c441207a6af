//! The open file description (open(2)): what file descriptors share after `dup` and `fork`.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use fs::PAGE_SIZE;
use fs::file::WriteAccess;
use fs::notify::{self, event};
use fs::{Cap, FallocateMode, FileType, InodeRef, Mapping, OpenFlags, Path};
use linux_raw_sys::net::MSG_DONTWAIT;
use sync::{IrqSpinLock, SleepMutex, SpinLock};
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::epoll::Watch;
use crate::io::{Sink, Source};
use crate::owner::{Owner, Registrations, SharedOwner};
use crate::poll::{PollTable, ev};
use crate::socket::Ancillary;

/// The behaviour of one kind of open file. The defaults are what Linux answers for a file that
/// lacks the operation.
///
/// An object without state of its own per open may serve many open file descriptions; one that has
/// state (an end of a pipe) gives it back when it is dropped.
pub trait FileOps: Any + Send + Sync {
    /// The socket, if it is one.
    fn as_socket(&self) -> Option<&dyn crate::socket::Socket> {
        None
    }

    /// Whether there is a file position, so that `read_at` and `write_at` serve all reading and
    /// writing; else `read` and `write` do.
    fn seekable(&self) -> bool {
        false
    }

    /// Reads from a stream; 0 is its end. Sleeps unless `O_NONBLOCK`.
    fn read(&self, _file: &OpenFile, _to: &mut Sink<'_>) -> SysResult<usize> {
        Err(Errno::EINVAL)
    }

    /// Writes to a stream.
    fn write(&self, _file: &OpenFile, _from: &mut Source<'_>) -> SysResult<usize> {
        Err(Errno::EINVAL)
    }

    /// Reads as [`FileOps::read`] does, without sleeping whatever the description says
    /// (`RWF_NOWAIT`): `EAGAIN` where it would, and `EOPNOTSUPP` for a file that cannot promise
    /// that.
    fn read_now(&self, _file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let socket = self.as_socket().ok_or(Errno::EOPNOTSUPP)?;
        socket.receive_message(to, MSG_DONTWAIT).map(|received| received.copied)
    }

    /// Whether no read of it ever sleeps, so that an ordinary one will do for `RWF_NOWAIT`.
    fn reads_now(&self) -> bool {
        false
    }

    /// Writes without sleeping.
    fn write_now(&self, _file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let socket = self.as_socket().ok_or(Errno::EOPNOTSUPP)?;
        let result = socket.send_message(from, None, Ancillary::default(), MSG_DONTWAIT);
        if result == Err(Errno::EPIPE) {
            crate::events::broken_pipe();
        }
        result
    }

    /// Whether splice(2) and sendfile(2) can read and write it.
    fn splices(&self) -> (bool, bool) {
        (true, true)
    }

    /// Whether there is such a thing as reading and writing it: where not, even nothing is too much
    /// (`EINVAL`).
    fn can_read_and_write(&self) -> (bool, bool) {
        (true, true)
    }

    /// Reads at `pos`.
    fn read_at(&self, _file: &OpenFile, _pos: u64, _to: &mut Sink<'_>) -> SysResult<usize> {
        Err(Errno::ESPIPE)
    }

    /// Writes at `pos`, or at the end with `append`. Answers the bytes written and the position
    /// behind them.
    fn write_at(&self, _file: &OpenFile, _pos: u64, _from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        Err(Errno::ESPIPE)
    }

    /// lseek(2), given the position now; answers the new one.
    fn seek(&self, _file: &OpenFile, _pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Err(Errno::ESPIPE)
    }

    /// The events that hold now; names to `table` the queues that tell of changes. Takes spin locks
    /// only.
    fn poll(&self, _file: &OpenFile, _table: &mut PollTable) -> u32 {
        ev::READABLE | ev::WRITABLE
    }

    /// Whether epoll(7) takes it (`EPERM` otherwise): not files that are always ready.
    fn pollable(&self) -> bool {
        true
    }

    /// ioctl(2) beyond what every file knows.
    fn ioctl(&self, _file: &OpenFile, _request: u32, _arg: UserAddr) -> SysResult {
        Err(Errno::ENOTTY)
    }

    /// fsync(2), fdatasync(2). `EINVAL` for what cannot be synchronised.
    fn sync(&self, _file: &OpenFile, _data_only: bool) -> SysResult<()> {
        Err(Errno::EINVAL)
    }

    /// The page cache that its bytes are in, if they are in one.
    fn mapping<'a>(&'a self, file: &'a OpenFile) -> Option<&'a Arc<Mapping>> {
        file.inode.mapping()
    }

    /// fallocate(2), for what is no file of a file system but can do it all the same.
    fn fallocate(&self, _file: &OpenFile, _mode: FallocateMode, _at: u64, _len: u64) -> Option<SysResult<()>> {
        None
    }

    /// `F_SETFL` is about to change the status flags.
    fn check_flags(&self, _file: &OpenFile, _flags: OpenFlags) -> SysResult<()> {
        Ok(())
    }

    /// Whether `O_ASYNC` has a signal sent when its readiness changes: for sockets, pipes,
    /// terminals, inotify instances. On others the flag stays off, as on Linux; least of all may it
    /// on what signals themselves wake.
    fn sends_signals(&self) -> bool {
        self.as_socket().is_some()
    }

    /// Called for every close(2) of a descriptor, not only the last.
    fn flush(&self, _file: &OpenFile) {}

    /// What close(2) answers, after all: an earlier write that failed late.
    fn close_error(&self, _file: &OpenFile) -> SysResult<()> {
        Ok(())
    }

    /// Lines of /proc/PID/fdinfo/N beyond `pos`, `flags`, `mnt_id` and `ino`.
    fn fdinfo(&self, _file: &OpenFile, _out: &mut String) {}

    /// `/dev/zero` and its like: mmap(2) gives anonymous memory.
    fn maps_as_zero(&self) -> bool {
        false
    }
}

/// Status flags that `F_SETFL` can change.
const SETTABLE: OpenFlags =
    OpenFlags::APPEND.union(OpenFlags::NONBLOCK).union(OpenFlags::ASYNC).union(OpenFlags::DIRECT).union(OpenFlags::NOATIME);

/// Flags of open(2) that act once and are not kept.
const NOT_KEPT: OpenFlags =
    OpenFlags::CREAT.union(OpenFlags::EXCL).union(OpenFlags::NOCTTY).union(OpenFlags::TRUNC).union(OpenFlags::CLOEXEC);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
/// Open file descriptions that there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// `/proc/sys/fs/file-max`, once it is set.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// How many files are open (`/proc/sys/fs/file-nr`).
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// How many may be (`/proc/sys/fs/file-max`): as Linux has it, as many as take a tenth of memory at
/// a KiB each. It binds root too, which nearly every program of a machine is.
pub fn limit() -> usize {
    const MIN_FILES: usize = 8192;
    let set = LIMIT.load(Ordering::Relaxed);
    if set != usize::MAX {
        return set;
    }
    (caller::total_pages() * (PAGE_SIZE / 1024) / 10).max(MIN_FILES)
}

/// Sets [`limit`].
pub fn set_limit(most: usize) {
    LIMIT.store(most, Ordering::Relaxed);
}

/// `ENFILE` if there are more open files than may be, `ENOMEM` where memory is short.
pub fn check_count() -> SysResult<()> {
    caller::check_memory()?;
    if count() > limit() { Err(Errno::ENFILE) } else { Ok(()) }
}

/// An open file description.
pub struct OpenFile {
    /// Names the owner of the locks that belong to the description.
    pub id: u64,
    /// Where it was opened; keeps its mount and dentry.
    pub path: Path,
    /// The file.
    pub inode: InodeRef,
    /// What it does.
    pub ops: Arc<dyn FileOps>,
    /// Access mode and status flags.
    flags: AtomicU32,
    /// File offset. Held over reads and writes that use it (POSIX: these are atomic with respect to
    /// each other).
    pos: SleepMutex<u64>,
    /// Keeps the program file of a running process from being written.
    write_access: Option<WriteAccess>,
    /// Counted among the file's readers.
    reads_only: bool,
    /// open(2) created the file (`F_CREATED_QUERY`).
    pub created: bool,
    /// Who gets `SIGIO`.
    pub owner: SharedOwner,
    /// Signal-driven input and output, while it is on. A leaf lock.
    pub(crate) notifier: SpinLock<Registrations>,
    /// Entries of epoll instances that watch this description. A leaf lock.
    watches: SpinLock<Vec<Weak<Watch>>>,
}

impl OpenFile {
    /// A new description. `flags` are those of open(2).
    pub fn new(path: Path, inode: InodeRef, ops: Arc<dyn FileOps>, flags: OpenFlags) -> Arc<OpenFile> {
        OpenFile::opened(path, inode, ops, flags, None, false)
    }

    /// A new description as open(2) makes it, with the write access of its file, and whether the
    /// file is new.
    pub fn opened(
        path: Path,
        inode: InodeRef,
        ops: Arc<dyn FileOps>,
        flags: OpenFlags,
        write_access: Option<WriteAccess>,
        created: bool,
    ) -> Arc<OpenFile> {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let reads_only = flags.readable() && !flags.writable() && inode.mapping().is_some();
        if reads_only {
            inode.common().reader_opened();
        }
        if write_access.is_some() {
            path.mount.add_writer();
        }
        Arc::new(OpenFile {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            path,
            inode,
            ops,
            flags: AtomicU32::new((flags & !NOT_KEPT).bits()),
            pos: SleepMutex::new(0),
            write_access,
            reads_only,
            created,
            owner: Arc::new(IrqSpinLock::new(Owner::default())),
            notifier: SpinLock::new(Registrations::new()),
            watches: SpinLock::new(Vec::new()),
        })
    }

    /// Access mode and status flags, as `F_GETFL` gives them.
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// `F_SETFL`.
    pub fn set_flags(self: &Arc<Self>, flags: OpenFlags) -> SysResult<()> {
        let old = self.flags();
        if (flags & !old).contains(OpenFlags::NOATIME) {
            let attrs = self.inode.access_attrs();
            if caller::credentials().fsuid != attrs.uid && !caller::capable(Cap::Fowner as u32) {
                return Err(Errno::EPERM);
            }
        }
        let is_fifo = self.inode.file_type() == FileType::Fifo;
        let direct = self.ops.mapping(self).is_some() && !self.path.dentry.is_anonymous();
        if flags.contains(OpenFlags::DIRECT) && !is_fifo && !direct {
            return Err(Errno::EINVAL);
        }
        let flags = if self.ops.sends_signals() { flags } else { flags - OpenFlags::ASYNC };
        self.ops.check_flags(self, flags)?;
        if (old ^ flags).contains(OpenFlags::APPEND) && self.inode.access_attrs().mode & fs::APPEND_ONLY != 0 {
            return Err(Errno::EPERM);
        }
        if (old ^ flags).contains(OpenFlags::ASYNC) {
            crate::owner::set_async(self, flags.contains(OpenFlags::ASYNC))?;
        }
        self.flags.store(((old & !SETTABLE) | (flags & SETTABLE)).bits(), Ordering::Relaxed);
        Ok(())
    }

    /// `FIONBIO`.
    pub fn set_nonblocking(&self, on: bool) {
        if on {
            self.flags.fetch_or(OpenFlags::NONBLOCK.bits(), Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!OpenFlags::NONBLOCK.bits(), Ordering::Relaxed);
        }
    }

    /// Whether operations must not sleep.
    pub fn nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }

    /// `MSG_DONTWAIT` if operations must not sleep, for those of a socket.
    pub fn message_flags(&self) -> u32 {
        if self.nonblocking() { MSG_DONTWAIT } else { 0 }
    }

    /// Whether it was opened with `O_PATH`.
    pub fn is_path(&self) -> bool {
        self.flags().contains(OpenFlags::PATH)
    }

    /// The behaviour as a `T`, if it is one.
    pub fn ops_as<T: FileOps>(&self) -> Option<&T> {
        let ops: &dyn Any = &*self.ops;
        ops.downcast_ref()
    }

    /// `EBADF` unless open for reading.
    pub fn check_readable(&self) -> SysResult<()> {
        if self.flags().readable() { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// `EBADF` unless open for writing.
    pub fn check_writable(&self) -> SysResult<()> {
        if self.flags().writable() { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// read(2).
    pub fn read(&self, to: &mut Sink<'_>) -> SysResult<usize> {
        self.check_readable()?;
        let n = if self.ops.seekable() {
            let mut pos = self.pos.lock();
            let n = self.ops.read_at(self, *pos, to)?;
            *pos += n as u64;
            n
        } else {
            self.ops.read(self, to)?
        };
        self.did_read(n);
        Ok(n)
    }

    /// pread(2).
    pub fn read_at(&self, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        self.check_readable()?;
        let n = self.ops.read_at(self, pos, to)?;
        self.did_read(n);
        Ok(n)
    }

    /// write(2).
    pub fn write(&self, from: &mut Source<'_>) -> SysResult<usize> {
        self.write_with(from, self.flags().contains(OpenFlags::APPEND))
    }

    /// write(2) that appends or does not, whatever `O_APPEND` says (`RWF_APPEND`, `RWF_NOAPPEND`).
    pub fn write_with(&self, from: &mut Source<'_>, append: bool) -> SysResult<usize> {
        self.check_writable()?;
        let n = if self.ops.seekable() {
            let mut pos = self.pos.lock();
            let (n, end) = self.ops.write_at(self, *pos, from, append)?;
            if n > 0 {
                *pos = end;
            }
            n
        } else {
            self.ops.write(self, from)?
        };
        self.did_write(n)?;
        Ok(n)
    }

    /// pwrite(2). On Linux `O_APPEND` appends here too, whatever the offset.
    pub fn write_at(&self, pos: u64, from: &mut Source<'_>) -> SysResult<usize> {
        self.write_at_with(pos, from, self.flags().contains(OpenFlags::APPEND))
    }

    /// pwrite(2) that appends or does not, whatever `O_APPEND` says.
    pub fn write_at_with(&self, pos: u64, from: &mut Source<'_>, append: bool) -> SysResult<usize> {
        self.check_writable()?;
        let (n, _) = self.ops.write_at(self, pos, from, append)?;
        self.did_write(n)?;
        Ok(n)
    }

    /// read(2) that does not sleep (`RWF_NOWAIT`).
    pub fn read_now(&self, place: Option<u64>, to: &mut Sink<'_>) -> SysResult<usize> {
        self.check_readable()?;
        if self.ops.reads_now() {
            return match place {
                Some(pos) => self.read_at(pos, to),
                None => self.read(to),
            };
        }
        let n = self.ops.read_now(self, to)?;
        self.did_read(n);
        Ok(n)
    }

    /// write(2) that does not sleep.
    pub fn write_now(&self, from: &mut Source<'_>) -> SysResult<usize> {
        self.check_writable()?;
        let n = self.ops.write_now(self, from)?;
        self.did_write(n)?;
        Ok(n)
    }

    /// Counts a read of `n` bytes and tells who watches.
    pub(crate) fn did_read(&self, n: usize) {
        caller::count_read(n);
        if n > 0 {
            notify::notify_open_file(&self.path, event::ACCESS);
        }
    }

    fn did_write(&self, n: usize) -> SysResult<()> {
        caller::count_written(n);
        if n == 0 {
            return Ok(());
        }
        notify::notify_open_file(&self.path, event::MODIFY);
        if self.flags().intersects(OpenFlags::SYNC) && self.inode.file_type() == FileType::Regular {
            self.inode.sync(!self.flags().contains(OpenFlags::SYNC))?;
        }
        Ok(())
    }

    /// lseek(2).
    pub fn seek(&self, offset: i64, whence: u32) -> SysResult<u64> {
        let mut pos = self.pos.lock();
        let new = self.ops.seek(self, *pos, offset, whence)?;
        *pos = new;
        Ok(new)
    }

    /// The file offset now.
    pub fn position(&self) -> u64 {
        *self.pos.lock()
    }

    /// The file offset for show: never waits, and answers 0 while an operation that moves it is
    /// under way. /proc/PID/fdinfo asks this of the very file that is being read.
    pub fn position_now(&self) -> u64 {
        self.pos.try_lock().map_or(0, |pos| *pos)
    }

    /// Runs `f` with the file offset, which it may move.
    pub fn with_position<R>(&self, f: impl FnOnce(&mut u64) -> R) -> R {
        f(&mut self.pos.lock())
    }

    /// The events that hold now.
    pub fn poll(&self, table: &mut PollTable) -> u32 {
        self.ops.poll(self, table)
    }

    /// Notes an epoll instance that is to forget this description when it goes.
    pub(crate) fn add_watch(&self, watch: Weak<Watch>) {
        let mut watches = self.watches.lock();
        // Looked through only now and then: there may be many.
        if watches.len() == watches.capacity() {
            watches.retain(|w| w.strong_count() > 0);
        }
        watches.push(watch);
    }

    /// Entries of epoll instances that watch this description.
    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        self.watches.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        let watches = core::mem::take(&mut *self.watches.lock());
        for watch in watches {
            if let Some(watch) = watch.upgrade() {
                watch.file_closed();
            }
        }
        if self.is_path() {
            return;
        }
        crate::locks::release_description(self);
        crate::lease::release(self);
        if self.reads_only {
            self.inode.common().reader_closed();
        }
        if self.write_access.is_some() {
            self.path.mount.remove_writer();
        }
        if notify::active() {
            let closed = if self.flags().writable() { event::CLOSE_WRITE } else { event::CLOSE_NOWRITE };
            notify::notify_open_file(&self.path, closed);
        }
    }
}
