//! One direction of a connected pair of `AF_UNIX` sockets.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use syscall_shim::{Errno, SysResult};

use super::Kind;
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollQueue, ev, poll_queue};
use crate::sync::SleepMutex;
use crate::task::wait::{WaitError, WaitQueue, wait_exclusive};

/// A stream's bytes are kept in pieces of at most this many.
const PIECE: usize = 32 * 1024;
/// What a message counts for beyond its bytes, so that empty datagrams fill the buffer too.
const OVERHEAD: usize = 64;

struct Message {
    bytes: Vec<u8>,
    /// Bytes that a stream's reader has had.
    read: usize,
}

/// What came of receiving.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Bytes that went into the buffer.
    pub copied: usize,
    /// Length of the datagram, of which the buffer may have taken less.
    pub full: usize,
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
    pub(super) fn new(kind: Kind) -> Arc<Channel> {
        Arc::new(Channel {
            kind,
            queue: SleepMutex::new(VecDeque::new()),
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            readers: poll_queue(),
            writers: poll_queue(),
        })
    }

    pub(super) fn has_bytes(&self) -> bool {
        self.messages.load(Ordering::Acquire) > 0
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

    /// Whether a write would not wait (Linux's `unix_writable`: a quarter of the buffer in use at most).
    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.is_closed_for_writing() || self.used() * 4 <= limit
    }

    fn used(&self) -> usize {
        self.len() + self.messages.load(Ordering::Acquire) * OVERHEAD
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

    fn check_open(&self) -> SysResult<()> {
        if self.ended.load(Ordering::Acquire) {
            return Err(Errno::EPIPE);
        }
        if self.unread.load(Ordering::Acquire) {
            return Err(if self.kind == Kind::Datagram { Errno::ECONNREFUSED } else { Errno::EPIPE });
        }
        Ok(())
    }

    pub(super) fn send(
        &self,
        from: &mut Source<'_>,
        limit: usize,
        nonblock: bool,
        deadline: Option<u64>,
    ) -> SysResult<usize> {
        if self.kind != Kind::Stream {
            self.check_open()?;
            if from.remaining() + OVERHEAD > limit {
                return Err(Errno::EMSGSIZE);
            }
            let bytes = from.take_all(limit)?;
            self.wait(&self.writers, nonblock, deadline, || {
                self.used() + OVERHEAD <= limit || self.is_closed_for_writing()
            })?;
            self.check_open()?;
            let len = bytes.len();
            self.push(bytes);
            return Ok(len);
        }
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
            let mut piece = alloc::vec![0; PIECE.min(from.remaining())];
            match from.take(&mut piece) {
                Ok(n) => {
                    piece.truncate(n);
                    self.push(piece);
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

    fn push(&self, bytes: Vec<u8>) {
        let mut queue = self.queue.lock();
        queue.push_back(Message { bytes, read: 0 });
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
    ) -> SysResult<Received> {
        if self.kind == Kind::Stream && to.remaining() == 0 {
            return Ok(Received::default());
        }
        loop {
            let received = match self.kind {
                Kind::Stream => self.take_bytes(to, peek)?,
                _ => self.take_message(to, peek)?,
            };
            if let Some(received) = received {
                return Ok(received);
            }
            if self.reset.swap(false, Ordering::AcqRel) {
                return Err(Errno::ECONNRESET);
            }
            // An end is only seen with the queue empty; datagram sockets have none while they are open themselves.
            let at_end = if self.kind == Kind::Datagram { self.unread.load(Ordering::Acquire) } else { self.is_ended() };
            if at_end && !self.has_bytes() {
                return Ok(Received::default());
            }
            let ready =
                || self.has_bytes() || self.kind != Kind::Datagram && self.is_ended() || self.unread.load(Ordering::Acquire);
            self.wait(&self.readers, nonblock, deadline, ready)?;
        }
    }

    fn take_bytes(&self, to: &mut Sink<'_>, peek: bool) -> SysResult<Option<Received>> {
        let mut queue = self.queue.lock();
        let mut done = 0;
        let mut result = Ok(());
        for message in queue.iter_mut() {
            let rest = message.bytes.get(message.read..).unwrap_or_default();
            let want = rest.len().min(to.remaining());
            if want == 0 {
                break;
            }
            match to.put(rest.get(..want).unwrap_or_default()) {
                Ok(n) => {
                    if !peek {
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
        Ok(Some(Received { copied: done, full: done }))
    }

    fn take_message(&self, to: &mut Sink<'_>, peek: bool) -> SysResult<Option<Received>> {
        let mut queue = self.queue.lock();
        let Some(message) = queue.front() else { return Ok(None) };
        let full = message.bytes.len();
        let copied = if full == 0 || to.remaining() == 0 { 0 } else { to.put(&message.bytes)? };
        if !peek {
            queue.pop_front();
            self.publish(&queue);
        }
        drop(queue);
        self.writers.wake(1, ev::WRITABLE);
        Ok(Some(Received { copied, full }))
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
