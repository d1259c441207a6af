//! One direction of a connected pair of `AF_UNIX` sockets.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use syscall_shim::{Errno, SysResult};

use super::Kind;
use crate::files::io::{Sink, Source, put_all};
use crate::files::poll::{PollQueue, ev};
use crate::files::socket::{Address, Ancillary, Received};
use crate::sync::SleepMutex;
use crate::task::wait::{WaitError, WaitQueue, wait_exclusive};
use crate::usermem::buffer;

/// A stream's bytes are kept in pieces of at most this many.
const PIECE: usize = 32 * 1024;
/// What a message counts for beyond its bytes, so that empty datagrams fill the buffer too.
const OVERHEAD: usize = 64;

struct Message {
    bytes: Vec<u8>,
    /// Bytes that a stream's reader has had.
    read: usize,
    /// What goes along: with a stream, it is for the reader of the first byte.
    with: Ancillary,
    /// The address of the sender; empty if it has none.
    from: Address,
}

/// Messages on their way.
pub struct Channel {
    kind: Kind,
    queue: SleepMutex<VecDeque<Message>>,
    /// Messages and bytes in the queue; changed with it locked.
    messages: AtomicUsize,
    bytes: AtomicUsize,
    /// Nothing more will be written.
    ended: AtomicBool,
    /// Nobody will read.
    unread: AtomicBool,
    /// The other side was closed with bytes of ours unread: the next receive says so once.
    reset: AtomicBool,
    pub(super) readers: PollQueue,
    pub(super) writers: PollQueue,
}

impl Channel {
    /// An empty channel. The queues are the receiver's and the sender's.
    pub(super) fn new(kind: Kind, readers: PollQueue, writers: PollQueue) -> Arc<Channel> {
        Arc::new(Channel {
            kind,
            queue: SleepMutex::new(VecDeque::new()),
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            readers,
            writers,
        })
    }

    pub(super) fn has_bytes(&self) -> bool {
        self.messages.load(Ordering::Acquire) > 0
    }

    /// Whether closing loses something: one empty packet is nothing, as on Linux.
    pub(super) fn has_unread(&self) -> bool {
        self.len() > 0 || self.messages.load(Ordering::Acquire) > 1
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// What `FIONREAD` tells: all bytes of a stream, the first datagram's of others.
    pub(super) fn next_len(&self) -> usize {
        match self.kind {
            Kind::Stream => self.len(),
            _ => self.queue.lock().front().map_or(0, |message| message.bytes.len()),
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.unread.load(Ordering::Acquire)
    }

    pub(super) fn is_closed_for_writing(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.unread.load(Ordering::Acquire)
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// Whether the connection was reset, which is told once.
    pub(super) fn take_reset(&self) -> bool {
        self.reset.swap(false, Ordering::AcqRel)
    }

    /// Whether a write would not wait (Linux's `unix_writable`: a quarter of the buffer in use at most).
    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.is_closed_for_writing() || self.used() * 4 <= limit
    }

    fn used(&self) -> usize {
        self.len() + self.messages.load(Ordering::Acquire) * OVERHEAD
    }

    /// Drops what was not read.
    pub(super) fn clear(&self) {
        let dropped = {
            let mut queue = self.queue.lock();
            let dropped = core::mem::take(&mut *queue);
            self.publish(&queue);
            dropped
        };
        // Files that were on the way are closed with no lock held.
        drop(dropped);
        self.writers.wake_key(ev::WRITABLE);
    }

    /// Nothing more will be written.
    pub(super) fn close_writing(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Nobody will read.
    pub(super) fn close_reading(&self) {
        self.unread.store(true, Ordering::Release);
        self.wake_all();
    }

    /// The reader of this direction learns that what it sent was lost.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
    }

    fn wake_all(&self) {
        self.readers.wake_key(ev::READABLE | ev::RDHUP | ev::HUP);
        self.writers.wake_key(ev::WRITABLE | ev::HUP);
    }

    fn publish(&self, queue: &VecDeque<Message>) {
        self.messages.store(queue.len(), Ordering::Release);
        self.bytes.store(queue.iter().map(|m| m.bytes.len() - m.read).sum(), Ordering::Release);
    }

    /// `EPIPE`, `ECONNREFUSED`.
    pub(super) fn check_open(&self) -> SysResult<()> {
        // A datagram socket that is gone is told from one that has been shut down.
        if self.kind == Kind::Datagram && self.unread.load(Ordering::Acquire) {
            return Err(Errno::ECONNREFUSED);
        }
        if self.is_ended() {
            return Err(Errno::EPIPE);
        }
        Ok(())
    }

    /// The bytes of a packet. `EMSGSIZE`, `EFAULT`.
    pub(super) fn packet(from: &mut Source<'_>, limit: usize) -> SysResult<Vec<u8>> {
        if from.remaining() + OVERHEAD > limit {
            return Err(Errno::EMSGSIZE);
        }
        from.take_all(limit)
    }

    /// Sends a packet.
    pub(super) fn send_packet(
        &self,
        bytes: Vec<u8>,
        (with, sender): (Ancillary, Address),
        limit: usize,
        nonblock: bool,
        deadline: Option<u64>,
    ) -> SysResult<usize> {
        self.check_open()?;
        self.wait(&self.writers, nonblock, deadline, || self.used() + OVERHEAD <= limit || self.is_closed_for_writing())?;
        self.check_open()?;
        let len = bytes.len();
        self.push(bytes, with, sender);
        Ok(len)
    }

    /// Sends bytes of a stream.
    pub(super) fn send(
        &self,
        from: &mut Source<'_>,
        (with, sender): (Ancillary, Address),
        limit: usize,
        nonblock: bool,
        deadline: Option<u64>,
    ) -> SysResult<usize> {
        let credentials = with.credentials;
        let mut with = Some(with);
        let mut done = 0;
        let result = loop {
            if let Err(errno) = self.check_open() {
                break Err(errno);
            }
            if from.remaining() == 0 {
                break Ok(());
            }
            // As in Linux, a piece goes in whole while the buffer is not full, even if that overfills it.
            if self.used() >= limit {
                let free = || self.used() < limit || self.is_closed_for_writing();
                match self.wait(&self.writers, nonblock, deadline, free) {
                    Ok(()) => continue,
                    Err(errno) => break Err(errno),
                }
            }
            let mut piece = match buffer(PIECE.min(from.remaining())) {
                Ok(piece) => piece,
                Err(errno) => break Err(errno),
            };
            match from.take(&mut piece) {
                // A piece goes in whole or not at all.
                Ok(n) if n < piece.len() => break Err(Errno::EFAULT),
                Ok(n) => {
                    // The first piece takes the files along.
                    let with = with.take().unwrap_or(Ancillary { credentials, ..Ancillary::default() });
                    self.push(piece, with, sender.clone());
                    done += n;
                }
                Err(errno) => break Err(errno),
            }
        };
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }

    fn push(&self, bytes: Vec<u8>, with: Ancillary, from: Address) {
        let mut queue = self.queue.lock();
        queue.push_back(Message { bytes, read: 0, with, from });
        self.publish(&queue);
        drop(queue);
        self.readers.wake(1, ev::READABLE);
    }

    pub(super) fn receive(
        &self,
        to: &mut Sink<'_>,
        peek: bool,
        nonblock: bool,
        deadline: Option<u64>,
        by_sender: bool,
    ) -> SysResult<Received> {
        loop {
            // Without room there is nothing to take, but something to wait for.
            if self.kind == Kind::Stream && to.remaining() == 0 && self.has_bytes() {
                return Ok(Received::default());
            }
            // What came before a reset can still be read of a stream alone.
            if self.kind != Kind::Stream && self.take_reset() {
                return Err(Errno::ECONNRESET);
            }
            let received = match self.kind {
                Kind::Stream => self.take_bytes(to, peek, by_sender)?,
                _ => self.take_message(to, peek)?,
            };
            if let Some(received) = received {
                return Ok(received);
            }
            if self.take_reset() {
                return Err(Errno::ECONNRESET);
            }
            // An end is only seen with the queue empty. Of datagram sockets only those see it that would wait, as on Linux.
            let at_end = match self.kind {
                Kind::Datagram if nonblock => self.unread.load(Ordering::Acquire),
                _ => self.is_ended(),
            };
            if at_end && !self.has_bytes() {
                return Ok(Received::default());
            }
            self.wait(&self.readers, nonblock, deadline, || {
                self.has_bytes() || !(nonblock && self.kind == Kind::Datagram) && self.is_ended()
            })?;
        }
    }

    /// Takes bytes of a stream. Those of different senders are not mixed with `by_sender`, nor are bytes behind files with what is
    /// before them (unix(7), `SCM_RIGHTS`).
    fn take_bytes(&self, to: &mut Sink<'_>, peek: bool, by_sender: bool) -> SysResult<Option<Received>> {
        let mut queue = self.queue.lock();
        let mut done = 0;
        let mut result = Ok(());
        let mut with = Ancillary::default();
        let mut from = Address::new();
        for message in queue.iter_mut() {
            let new_sender = by_sender && message.with.credentials != with.credentials;
            if done > 0 && (new_sender || !message.with.files.is_empty() || !with.files.is_empty()) {
                break;
            }
            let rest = message.bytes.get(message.read..).unwrap_or_default();
            let want = rest.len().min(to.remaining());
            if want == 0 {
                break;
            }
            match to.put(rest.get(..want).unwrap_or_default()) {
                Ok(n) => {
                    if done == 0 {
                        from = message.from.clone();
                        with.credentials = message.with.credentials;
                    }
                    if peek {
                        with.files.extend(message.with.files.iter().cloned());
                    } else {
                        with.files.append(&mut message.with.files);
                        message.read += n;
                    }
                    done += n;
                    if n < want {
                        break;
                    }
                }
                Err(errno) => {
                    result = Err(errno);
                    break;
                }
            }
        }
        while queue.front().is_some_and(|message| message.read == message.bytes.len()) {
            queue.pop_front();
        }
        self.publish(&queue);
        drop(queue);
        if done == 0 {
            return result.map(|()| None);
        }
        if !peek {
            self.writers.wake(1, ev::WRITABLE);
        }
        let address = (!from.is_empty()).then_some(from);
        Ok(Some(Received { copied: done, full: done, address, ancillary: with, flags: 0 }))
    }

    fn take_message(&self, to: &mut Sink<'_>, peek: bool) -> SysResult<Option<Received>> {
        let mut queue = self.queue.lock();
        let Some(message) = queue.front() else { return Ok(None) };
        let full = message.bytes.len();
        let copied = full.min(to.remaining());
        // A message that does not arrive whole is an error, and is gone.
        let arrived =
            message.bytes.get(..copied).map_or(Ok(()), |bytes| if copied == 0 { Ok(()) } else { put_all(to, bytes) });
        let (with, from) = if peek {
            (message.with.clone(), message.from.clone())
        } else {
            let taken = queue.pop_front().map(|message| (message.with, message.from));
            self.publish(&queue);
            taken.unwrap_or_default()
        };
        drop(queue);
        self.writers.wake(1, ev::WRITABLE);
        arrived?;
        let address = (!from.is_empty()).then_some(from);
        Ok(Some(Received { copied, full, address, ancillary: with, flags: 0 }))
    }

    /// Sleeps until `ready`. `EAGAIN` if it may not, or when the socket's time-out has passed.
    fn wait(&self, queue: &WaitQueue, nonblock: bool, deadline: Option<u64>, ready: impl Fn() -> bool) -> SysResult<()> {
        if ready() {
            return Ok(());
        }
        if nonblock {
            return Err(Errno::EAGAIN);
        }
        wait_exclusive(queue, deadline, || ready().then_some(())).map_err(|error| match error {
            WaitError::TimedOut => Errno::EAGAIN,
            // With a time-out set, a handler's return does not restart the call (signal(7)).
            WaitError::Interrupted if deadline.is_some() => Errno::EINTR,
            WaitError::Interrupted => Errno::ERESTARTSYS,
        })
    }
}
