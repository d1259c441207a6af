//! eventfd(2): a counter to wait for.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::OpenFlags;
use sync::wait::wait_exclusive;
use syscall_shim::{Errno, SysResult};

use crate::io::{Sink, Source, put_all};
use crate::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::{FileOps, OpenFile, anon};

/// The highest count that write(2) can reach; one more is overflow.
const MAX: u64 = u64::MAX - 1;

/// An eventfd.
pub struct EventFd {
    count: AtomicU64,
    /// `EFD_SEMAPHORE`: a read takes 1.
    semaphore: bool,
    queue: PollQueue,
}

impl EventFd {
    /// A new counter, open.
    pub fn open(initial: u32, semaphore: bool, flags: OpenFlags) -> Arc<OpenFile> {
        let ops = EventFd { count: AtomicU64::new(u64::from(initial)), semaphore, queue: poll_queue() };
        let (path, inode) = anon::anon_inode("[eventfd]");
        OpenFile::new(path, inode, Arc::new(ops), flags | OpenFlags::RDWR)
    }

    /// Adds `n` as the kernel does on a program's behalf (asynchronous input and output).
    fn add(&self, n: u64) -> bool {
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |c| c.checked_add(n).filter(|sum| *sum <= MAX)).is_ok()
    }

    fn take(&self) -> Option<u64> {
        let left = |c: u64| if c == 0 { None } else { Some(if self.semaphore { c - 1 } else { 0 }) };
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, left).ok().map(|c| if self.semaphore { 1 } else { c })
    }

    fn read_count(&self, to: &mut Sink<'_>, nonblock: bool) -> SysResult<usize> {
        if to.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let value = match self.take() {
            Some(value) => value,
            None if nonblock => return Err(Errno::EAGAIN),
            None => wait_exclusive(&self.queue, None, || self.take()).map_err(|_| Errno::ERESTARTSYS)?,
        };
        self.queue.wake_key(ev::WRITABLE);
        put_all(to, &value.to_le_bytes())?;
        Ok(8)
    }
}

impl FileOps for EventFd {
    fn seek(&self, _file: &OpenFile, pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Ok(pos)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.read_count(to, file.nonblocking())
    }

    fn read_now(&self, _file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.read_count(to, true)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        if from.remaining() != 8 {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; 8];
        if from.take(&mut bytes)? < 8 {
            return Err(Errno::EFAULT);
        }
        let n = u64::from_le_bytes(bytes);
        if n == u64::MAX {
            return Err(Errno::EINVAL);
        }
        if !self.add(n) {
            if file.nonblocking() {
                return Err(Errno::EAGAIN);
            }
            wait_exclusive(&self.queue, None, || self.add(n).then_some(())).map_err(|_| Errno::ERESTARTSYS)?;
        }
        self.queue.wake_key(ev::READABLE);
        Ok(8)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.queue);
        match self.count.load(Ordering::Acquire) {
            0 => ev::OUT,
            u64::MAX => ev::IN | ev::ERR,
            MAX => ev::IN,
            _ => ev::IN | ev::OUT,
        }
    }

    fn fdinfo(&self, _file: &OpenFile, out: &mut String) {
        let _ = writeln!(out, "eventfd-count: {:16x}", self.count.load(Ordering::Relaxed));
    }
}
