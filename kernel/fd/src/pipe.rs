//! Pipes and FIFOs (pipe(7), fifo(7)).
//!
//! A pipe is a ring of page buffers. The ring is behind a lock that sleeps, because bytes move to
//! and from application memory under it; how full it is and who has it open is mirrored in atomics,
//! so that polling and waiting need no lock. A write of up to `PIPE_BUF` bytes goes into one buffer
//! whole, which makes it atomic.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use fs::{InodeRef, OpenFlags, PAGE_SIZE, PageRef};
use linux_raw_sys::ioctl::FIONREAD;
use sync::SleepMutex;
use sync::wait::{WaitError, wait_exclusive, wait_until};
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::events;
use crate::io::{Segments, Sink, Source};
use crate::pipe_share::{self, Share};
use crate::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::{FileOps, OpenFile, anon};

/// Buffers of a new pipe (`PIPE_DEF_BUFFERS`): 64 KiB.
const DEFAULT_SLOTS: usize = 16;
/// `/proc/sys/fs/pipe-max-size` in bytes: the most that `F_SETPIPE_SZ` grants without
/// `CAP_SYS_RESOURCE`.
static MAX_SIZE: AtomicUsize = AtomicUsize::new(1 << 20);

/// `/proc/sys/fs/pipe-max-size`
pub fn max_size() -> usize {
    MAX_SIZE.load(Ordering::Relaxed)
}

/// Sets [`max_size`], rounded up to what a pipe can have. `EINVAL`.
pub fn set_max_size(bytes: usize) -> SysResult<()> {
    if bytes > 1 << 31 {
        return Err(Errno::EINVAL);
    }
    MAX_SIZE.store(bytes.max(PAGE_SIZE).next_power_of_two(), Ordering::Relaxed);
    Ok(())
}

/// A piece of a page in a pipe.
#[derive(Clone)]
pub(crate) struct Buffer {
    pub page: PageRef,
    pub off: usize,
    pub len: usize,
    /// A packet (`O_DIRECT`): read alone, the rest thrown away.
    pub packet: bool,
    /// The page belongs to the pipe, so that later writes may go behind these bytes.
    pub own: bool,
}

/// The content.
pub(crate) struct Ring {
    pub buffers: VecDeque<Buffer>,
}

/// A pipe.
pub struct Pipe {
    pub(crate) ring: SleepMutex<Ring>,
    /// Buffers in use; changed with `ring` locked.
    used: AtomicUsize,
    /// Buffers that there may be; changed with `ring` locked.
    slots: AtomicUsize,
    /// What these are of its user's.
    share: Share,
    readers: AtomicU32,
    writers: AtomicU32,
    /// How often it was opened for reading and for writing: what open(2) of a FIFO waits for, and
    /// `POLLHUP` depends on.
    reader_opens: AtomicU32,
    writer_opens: AtomicU32,
    pub(crate) read_queue: PollQueue,
    pub(crate) write_queue: PollQueue,
}

impl Pipe {
    fn new() -> Pipe {
        let share = Share::new(DEFAULT_SLOTS);
        Pipe {
            ring: SleepMutex::new(Ring { buffers: VecDeque::new() }),
            used: AtomicUsize::new(0),
            slots: AtomicUsize::new(share.slots()),
            share,
            readers: AtomicU32::new(0),
            writers: AtomicU32::new(0),
            reader_opens: AtomicU32::new(0),
            writer_opens: AtomicU32::new(0),
            read_queue: poll_queue(),
            write_queue: poll_queue(),
        }
    }

    /// The two ends of a new pipe(2), reading end first. `ENFILE` where the user has too many.
    pub fn open_pair(flags: OpenFlags) -> SysResult<[Arc<OpenFile>; 2]> {
        pipe_share::check_new()?;
        let creds = caller::credentials();
        let (path, inode) = anon::new_node(anon::AnonKind::Pipe, creds.fsuid, creds.fsgid);
        let pipe = inode.common().ext_or_insert(Pipe::new);
        let flags = flags & (OpenFlags::NONBLOCK | OpenFlags::DIRECT);
        Ok([flags, flags | OpenFlags::WRONLY]
            .map(|flags| OpenFile::new(path.clone(), inode.clone(), PipeEnd::new(&pipe, flags), flags)))
    }

    /// open(2) of a pipe through /proc/PID/fd: there is nobody to wait for.
    pub fn open_again(inode: &InodeRef, flags: OpenFlags) -> Arc<PipeEnd> {
        PipeEnd::new(&inode.common().ext_or_insert(Pipe::new), flags)
    }

    /// open(2) of a FIFO: waits for the other side as fifo(7) says.
    pub fn open_fifo(inode: &InodeRef, flags: OpenFlags) -> SysResult<Arc<PipeEnd>> {
        let pipe = inode.common().ext_or_insert(Pipe::new);
        let nonblock = flags.contains(OpenFlags::NONBLOCK);
        if flags.writable() && !flags.readable() && nonblock && pipe.readers.load(Ordering::Acquire) == 0 {
            return Err(Errno::ENXIO);
        }
        let end = PipeEnd::new(&pipe, flags);
        let (count, opens, queue) = match (flags.readable(), flags.writable()) {
            (true, false) => (&pipe.writers, &pipe.writer_opens, &pipe.read_queue),
            (false, true) => (&pipe.readers, &pipe.reader_opens, &pipe.write_queue),
            _ => return Ok(end),
        };
        if nonblock || count.load(Ordering::Acquire) > 0 {
            return Ok(end);
        }
        let seen = opens.load(Ordering::Acquire);
        wait_until(&[queue], None, || {
            (count.load(Ordering::Acquire) > 0 || opens.load(Ordering::Acquire) != seen).then_some(())
        })
        .map_err(|_| Errno::ERESTARTSYS)?;
        Ok(end)
    }

    /// Buffers that are free.
    pub(crate) fn room(&self) -> usize {
        self.slots.load(Ordering::Acquire).saturating_sub(self.used.load(Ordering::Acquire))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used.load(Ordering::Acquire) == 0
    }

    pub(crate) fn no_readers(&self) -> bool {
        self.readers.load(Ordering::Acquire) == 0
    }

    pub(crate) fn no_writers(&self) -> bool {
        self.writers.load(Ordering::Acquire) == 0
    }

    /// Mirrors the ring's fill after a change.
    pub(crate) fn publish(&self, ring: &Ring) {
        self.used.store(ring.buffers.len(), Ordering::Release);
    }

    pub(crate) fn wake_readers(&self) {
        self.read_queue.wake(1, ev::READABLE);
    }

    pub(crate) fn wake_writers(&self) {
        self.write_queue.wake(1, ev::WRITABLE);
    }

    /// Waits for bytes or for the last writer to go. `EAGAIN` if it may not wait.
    pub(crate) fn wait_readable(&self, nonblock: bool) -> SysResult<()> {
        if nonblock {
            return Err(Errno::EAGAIN);
        }
        wait_exclusive(&self.read_queue, None, || (!self.is_empty() || self.no_writers()).then_some(())).map_err(interrupted)
    }

    /// Waits for a free buffer or for the last reader to go.
    pub(crate) fn wait_writable(&self, nonblock: bool) -> SysResult<()> {
        if nonblock {
            return Err(Errno::EAGAIN);
        }
        wait_exclusive(&self.write_queue, None, || (self.room() > 0 || self.no_readers()).then_some(())).map_err(interrupted)
    }

    /// Reads what is there: up to the end of the sink, or one packet.
    fn take(&self, to: &mut Sink<'_>) -> SysResult<usize> {
        let mut ring = self.ring.lock();
        let was_full = self.room() == 0;
        let mut done = 0;
        let result = loop {
            let Some(front) = ring.buffers.front_mut() else { break Ok(()) };
            if to.remaining() == 0 {
                break Ok(());
            }
            let want = front.len.min(to.remaining());
            let n = match to.put_page(Some(&front.page), front.off, want) {
                Ok(n) => n,
                Err(e) => break Err(e),
            };
            front.off += n;
            front.len -= n;
            done += n;
            let packet = front.packet;
            if front.len == 0 || packet {
                ring.buffers.pop_front();
            }
            if packet || n < want {
                break Ok(());
            }
        };
        self.publish(&ring);
        drop(ring);
        // Only what makes room tells of room: an edge for epoll(7).
        if was_full && self.room() > 0 {
            self.wake_writers();
        }
        match result {
            Err(e) if done == 0 => Err(e),
            _ => Ok(done),
        }
    }

    /// Writes as much as there is room for; 0 for no room.
    fn put(&self, from: &mut Source<'_>, packet: bool) -> SysResult<usize> {
        let mut ring = self.ring.lock();
        let mut done = 0;
        let result = loop {
            let left = from.remaining();
            if left == 0 {
                break Ok(());
            }
            // A write that ends within the last page goes there whole, as Linux merges.
            let tail = left % PAGE_SIZE;
            if let Some(last) = ring.buffers.back_mut().filter(|b| done == 0 && !packet && b.own && !b.packet) {
                let end = last.off + last.len;
                if tail > 0 && end + tail <= PAGE_SIZE {
                    match from.take_page(&last.page, end, tail) {
                        // Bytes of one page go in together or not at all.
                        Ok(n) if n < tail => break Err(Errno::EFAULT),
                        Ok(n) => {
                            last.len += n;
                            done += n;
                            continue;
                        }
                        Err(e) => break Err(e),
                    }
                }
            }
            if ring.buffers.len() >= self.slots.load(Ordering::Relaxed) {
                break Ok(());
            }
            let page = match PageRef::alloc_buffer() {
                Ok(page) => page,
                Err(e) => break Err(e),
            };
            let want = left.min(PAGE_SIZE);
            match from.take_page(&page, 0, want) {
                Ok(n) if n < want => break Err(Errno::EFAULT),
                Ok(n) => {
                    ring.buffers.push_back(Buffer { page, off: 0, len: n, packet, own: true });
                    done += n;
                }
                Err(e) => break Err(e),
            }
        };
        self.publish(&ring);
        drop(ring);
        if done > 0 {
            self.wake_readers();
        }
        match result {
            Err(e) if done == 0 => Err(e),
            _ => Ok(done),
        }
    }

    /// Puts each piece of a page of the application into a buffer of its own (vmsplice(2)), as far
    /// as there is room.
    pub(crate) fn put_pages(&self, from: &mut Segments) -> SysResult<usize> {
        let mut ring = self.ring.lock();
        let mut done = 0;
        let result = loop {
            let piece = from.in_page();
            if piece == 0 || ring.buffers.len() >= self.slots.load(Ordering::Relaxed) {
                break Ok(());
            }
            let page = match PageRef::alloc_buffer() {
                Ok(page) => page,
                Err(e) => break Err(e),
            };
            match from.take_page(&page, 0, piece) {
                n if n < piece => break Err(Errno::EFAULT),
                n => ring.buffers.push_back(Buffer { page, off: 0, len: n, packet: false, own: false }),
            }
            done += piece;
        };
        self.publish(&ring);
        drop(ring);
        if done > 0 {
            self.wake_readers();
        }
        match result {
            Err(e) if done == 0 => Err(e),
            _ => Ok(done),
        }
    }

    /// Bytes to read (`FIONREAD`).
    fn bytes(&self) -> usize {
        self.ring.lock().buffers.iter().map(|b| b.len).sum()
    }

    /// `F_GETPIPE_SZ`.
    pub fn capacity(&self) -> usize {
        self.slots.load(Ordering::Relaxed) * PAGE_SIZE
    }

    /// `F_SETPIPE_SZ`: answers the capacity granted. `EBUSY` below what is in use, `EPERM` above
    /// the limit.
    pub fn set_capacity(&self, bytes: usize, privileged: bool) -> SysResult<usize> {
        if bytes > 1 << 31 {
            return Err(Errno::EINVAL);
        }
        let size = bytes.max(PAGE_SIZE).next_power_of_two();
        if size > max_size() && size > self.capacity() && !privileged {
            return Err(Errno::EPERM);
        }
        let slots = size / PAGE_SIZE;
        let mut ring = self.ring.lock();
        if slots < ring.buffers.len() {
            return Err(Errno::EBUSY);
        }
        if slots > self.slots.load(Ordering::Relaxed) {
            let more = slots - ring.buffers.len();
            ring.buffers.try_reserve_exact(more).map_err(|_| Errno::ENOMEM)?;
        }
        self.share.resize(slots)?;
        self.slots.store(slots, Ordering::Release);
        drop(ring);
        self.wake_writers();
        Ok(size)
    }
}

fn interrupted(_: WaitError) -> Errno {
    Errno::ERESTARTSYS
}

/// A pipe as one open file description has it.
pub struct PipeEnd {
    pub(crate) pipe: Arc<Pipe>,
    readable: bool,
    writable: bool,
    /// Value of `writer_opens` when it was opened: no `POLLHUP` before the first writer came.
    opened_at: u32,
}

impl PipeEnd {
    fn new(pipe: &Arc<Pipe>, flags: OpenFlags) -> Arc<PipeEnd> {
        let (readable, writable) = (flags.readable(), flags.writable());
        // A pipe(2) has had its writer when the reading end comes to be; a FIFO may not.
        let opened_at = if pipe.no_writers() { pipe.writer_opens.load(Ordering::Acquire) } else { u32::MAX };
        if readable {
            pipe.readers.fetch_add(1, Ordering::AcqRel);
            pipe.reader_opens.fetch_add(1, Ordering::AcqRel);
            pipe.write_queue.wake_all();
        }
        if writable {
            pipe.writers.fetch_add(1, Ordering::AcqRel);
            pipe.writer_opens.fetch_add(1, Ordering::AcqRel);
            pipe.read_queue.wake_all();
        }
        Arc::new(PipeEnd { pipe: pipe.clone(), readable, writable, opened_at })
    }
}

impl PipeEnd {
    /// The pipe.
    pub fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    /// read(2).
    pub(crate) fn read_bytes(&self, to: &mut Sink<'_>, nonblock: bool) -> SysResult<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        let mut slept = false;
        loop {
            let n = self.pipe.take(to)?;
            if n > 0 {
                // A wake-up reaches one of those who sleep; who leaves something sends for the
                // next.
                if slept && !self.pipe.is_empty() {
                    self.pipe.wake_readers();
                }
                return Ok(n);
            }
            if self.pipe.is_empty() {
                if self.pipe.no_writers() {
                    return Ok(0);
                }
                self.pipe.wait_readable(nonblock)?;
                slept = true;
            }
        }
    }

    /// write(2); with `packet` as a pipe with `O_DIRECT` has it.
    fn write_bytes(&self, from: &mut Source<'_>, packet: bool, nonblock: bool) -> SysResult<usize> {
        let (mut done, mut slept) = (0, false);
        let mut result = Ok(());
        while from.remaining() > 0 {
            let step = if self.pipe.no_readers() {
                events::broken_pipe();
                Err(Errno::EPIPE)
            } else {
                match self.pipe.put(from, packet) {
                    Ok(0) => {
                        slept = true;
                        self.pipe.wait_writable(nonblock).map(|()| 0)
                    }
                    other => other,
                }
            };
            match step {
                Ok(n) => done += n,
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        if slept && self.pipe.room() > 0 {
            self.pipe.wake_writers();
        }
        match result {
            Err(e) if done == 0 => Err(e),
            _ => Ok(done),
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        if self.readable && pipe.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            pipe.write_queue.wake_all();
        }
        if self.writable && pipe.writers.fetch_sub(1, Ordering::AcqRel) == 1 {
            pipe.read_queue.wake_all();
        }
        if pipe.no_readers() && pipe.no_writers() {
            // A FIFO keeps no bytes while nobody has it open.
            let mut ring = pipe.ring.lock();
            let gone = core::mem::take(&mut ring.buffers);
            pipe.publish(&ring);
            drop(ring);
            drop(gone);
        }
    }
}

/// `EOPNOTSUPP` for a FIFO: only a pipe(2) promises not to wait.
fn check_unnamed(file: &OpenFile) -> SysResult<()> {
    if file.path.dentry.is_anonymous() { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

impl FileOps for PipeEnd {
    fn sends_signals(&self) -> bool {
        true
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.read_bytes(to, file.nonblocking())
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        self.write_bytes(from, file.flags().contains(OpenFlags::DIRECT), file.nonblocking())
    }

    fn read_now(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        check_unnamed(file)?;
        self.read_bytes(to, true)
    }

    fn write_now(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        check_unnamed(file)?;
        self.write_bytes(from, file.flags().contains(OpenFlags::DIRECT), true)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        let pipe = &self.pipe;
        let mut events = 0;
        if self.readable {
            table.add(&pipe.read_queue);
            if !pipe.is_empty() {
                events |= ev::READABLE;
            }
            if pipe.no_writers() && pipe.writer_opens.load(Ordering::Acquire) != self.opened_at {
                events |= ev::HUP;
            }
        }
        if self.writable {
            table.add(&pipe.write_queue);
            if pipe.room() > 0 {
                events |= ev::WRITABLE;
            }
            if pipe.no_readers() {
                events |= ev::ERR;
            }
        }
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        match request {
            FIONREAD => arg.cast::<i32>().write(self.pipe.bytes() as i32).map(|()| 0),
            _ => Err(Errno::ENOTTY),
        }
    }
}
