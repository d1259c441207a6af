//! One direction of a connected pair of `AF_UNIX` sockets, or what comes to a datagram socket: its
//! state, and sending into it. Taking out of it is [`super::receive`]'s.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ::net::clock;
use fd::io::Source;
use fd::poll::{PollQueue, ev, poll_queue};
use fd::socket::{Address, PeerCredentials, wait};
use fd::{OpenFile, owner};
use inet::bpf::{Packet, View};
use spin::Once;
use sync::SleepMutex;
use syscall_shim::{Errno, SysResult};
use usermem::buffer;

use super::in_flight::Ticket;
use super::options::Flags;
use super::{Kind, UnixSocket};

/// What Linux counts for a buffer beyond its bytes: `sizeof(struct sk_buff)`, and behind the bytes
/// `struct skb_shared_info`. How much a program can send before it must wait follows from this.
const BUFFER: usize = 256;
const TAIL: usize = 320;
/// The most bytes of a stream's and of a packet's buffer that are one block (`SKB_MAX_HEAD`,
/// `SKB_MAX_ALLOC`).
const STREAM_BLOCK: usize = 4096 - TAIL;
const PACKET_BLOCK: usize = 16384 - TAIL;
/// A stream's bytes are kept in pieces of at most this many.
const PIECE: usize = STREAM_BLOCK + 32 * 1024;
/// Datagrams that wait for a socket that is not connected to their sender
/// (`/proc/sys/net/unix/max_dgram_qlen`).
const QUEUE_MAX: usize = 10;

/// What is known of a socket as a sender, also after it has gone.
pub struct Sender {
    /// The `sockaddr_un` that it is bound to.
    pub name: Once<Address>,
    /// What it has sent and nobody has read, as Linux counts it.
    used: AtomicUsize,
    /// Woken when that becomes less.
    pub writers: PollQueue,
}

impl Sender {
    pub fn new() -> Arc<Sender> {
        Arc::new(Sender { name: Once::new(), used: AtomicUsize::new(0), writers: poll_queue() })
    }

    /// See [`Sender::used`]; also what `SIOCOUTQ` tells.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Whether poll(2) calls it writable (Linux's `unix_writable`, which counts one too many): less
    /// than a quarter of the buffer in use.
    pub fn has_room(&self, limit: usize) -> bool {
        (self.used() + 1) * 4 <= limit
    }

    fn give_back(&self, cost: usize) {
        self.used.fetch_sub(cost, Ordering::AcqRel);
        self.writers.wake(1, ev::WRITABLE);
    }
}

/// How much a buffer of so many bytes takes (`truesize`).
fn cost(kind: Kind, len: usize) -> usize {
    const PAGE: usize = base::addr::PAGE_SIZE;
    /// The most pages of a buffer (`MAX_SKB_FRAGS`).
    const FRAGMENTS: usize = 17;
    let block = if kind == Kind::Stream { STREAM_BLOCK } else { PACKET_BLOCK };
    let paged = len.saturating_sub(block).min(FRAGMENTS * PAGE).next_multiple_of(PAGE).min(len);
    BUFFER + (len - paged + TAIL).next_power_of_two() + paged.next_multiple_of(PAGE)
}

/// Bytes in the queue: a datagram, or a piece of a stream.
pub(super) struct Message {
    pub bytes: Vec<u8>,
    /// Bytes that a stream's reader has had.
    pub read: usize,
    pub cost: usize,
    pub credentials: Option<PeerCredentials>,
    pub files: Option<Ticket>,
    /// Who sent a datagram. Into a connection's queue there is one sender only.
    pub from: Option<Arc<Sender>>,
    /// When it came, if somebody asked for that.
    pub stamp: u64,
}

impl Message {
    /// Bytes that a stream's reader has not had.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }
}

/// What goes along with what is sent.
pub struct Parcel {
    /// `SCM_RIGHTS`.
    pub files: Vec<Arc<OpenFile>>,
    /// `SCM_CREDENTIALS`, or the sender's if it wants to pass them.
    pub credentials: Option<PeerCredentials>,
}

/// The messages that wait.
#[derive(Default)]
pub(super) struct Queue {
    pub messages: VecDeque<Message>,
    /// The number of the message that is out-of-band data, while that is unread. One that was read
    /// stays, empty, as the mark.
    pub urgent: Option<u64>,
    /// The number of the first message.
    pub first: u64,
}

impl Queue {
    /// Whether the message at this place is out-of-band data that nobody has read.
    pub fn is_urgent(&self, at: usize) -> bool {
        self.urgent == Some(self.first + at as u64)
    }
}

/// Messages on their way.
pub struct ReceiveQueue {
    pub(super) kind: Kind,
    pub(super) queue: SleepMutex<Queue>,
    /// Messages and unread bytes in the queue, and how many messages ever came; changed with it
    /// locked.
    messages: AtomicUsize,
    bytes: AtomicUsize,
    came: AtomicU64,
    /// There is out-of-band data that nobody has read.
    urgent: AtomicBool,
    /// Nothing more will be written.
    ended: AtomicBool,
    /// Nobody will read.
    unread: AtomicBool,
    /// The receiver's next call fails: what it sent was lost (`ECONNRESET`).
    reset: AtomicBool,
    /// Who receives, with what it says of itself to those who send: see [`UnixSocket`].
    pub(super) receiver: Weak<UnixSocket>,
    pub(super) wants: Arc<Flags>,
    holder: Arc<AtomicU64>,
    /// Who sends into a connection.
    pub(super) sender: Option<Arc<Sender>>,
    pub(super) readers: PollQueue,
    /// Those who wait for a datagram to be taken out.
    pub(super) room: PollQueue,
}

/// How to send.
#[derive(Clone, Copy)]
pub struct How {
    /// `SO_SNDBUF`.
    pub limit: usize,
    pub nonblock: bool,
    pub deadline: Option<u64>,
}

impl ReceiveQueue {
    /// An empty queue to the socket with these parts; `sender` where it is one.
    pub(super) fn new(
        kind: Kind,
        receiver: Weak<UnixSocket>,
        (readers, wants, holder): (PollQueue, Arc<Flags>, Arc<AtomicU64>),
        sender: Option<Arc<Sender>>,
    ) -> Arc<ReceiveQueue> {
        Arc::new(ReceiveQueue {
            kind,
            queue: SleepMutex::new(Queue::default()),
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            came: AtomicU64::new(0),
            urgent: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            receiver,
            wants,
            holder,
            sender,
            readers,
            room: poll_queue(),
        })
    }

    pub(super) fn has_messages(&self) -> bool {
        self.messages.load(Ordering::Acquire) > 0
    }

    /// Whether a datagram has to wait that comes from who is not its peer.
    pub(super) fn is_full(&self) -> bool {
        self.messages.load(Ordering::Acquire) > QUEUE_MAX
    }

    /// How many messages ever came: what changes when there is something new.
    pub(super) fn came(&self) -> u64 {
        self.came.load(Ordering::Acquire)
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// What `FIONREAD` tells: all bytes, but the first datagram's only.
    pub(super) fn next_len(&self) -> usize {
        match self.kind {
            Kind::Datagram => self.queue.lock().messages.front().map_or(0, |message| message.bytes.len()),
            Kind::Stream | Kind::SeqPacket => self.len(),
        }
    }

    /// Whether closing loses something: neither one empty packet nor out-of-band data that was read
    /// is, as on Linux.
    pub(super) fn has_unread(&self) -> bool {
        self.len() > 0 || self.kind != Kind::Stream && self.messages.load(Ordering::Acquire) > 1
    }

    /// `SIOCATMARK`.
    pub(super) fn at_mark(&self) -> bool {
        let queue = self.queue.lock();
        let Some(first) = queue.messages.front() else { return false };
        let spent = self.kind == Kind::Stream && first.rest().is_empty();
        queue.is_urgent(0) || spent && (queue.urgent.is_none() || queue.is_urgent(1))
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.unread.load(Ordering::Acquire)
    }

    /// Whether its receiver has gone, or reads no more.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// The error that the receiver's call fails with, which is told once.
    pub(super) fn take_error(&self) -> SysResult<()> {
        let reset = self.is_reset() && self.reset.swap(false, Ordering::AcqRel);
        if reset { Err(Errno::ECONNRESET) } else { Ok(()) }
    }

    /// Drops what was not read.
    pub(super) fn clear(&self) {
        let dropped = {
            let mut queue = self.queue.lock();
            let dropped = core::mem::take(&mut queue.messages);
            queue.first += dropped.len() as u64;
            queue.urgent = None;
            self.publish(&queue, self.len());
            dropped
        };
        // Files that were on the way are closed with no lock held.
        for message in dropped {
            self.done(message.from.as_ref(), message.cost);
        }
        self.room.wake_key(ev::WRITABLE);
    }

    /// Nothing more will be written.
    pub(super) fn close_writing(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake_all(ev::READABLE | ev::RDHUP | ev::HUP);
    }

    /// The sender is gone.
    pub(super) fn hang_up(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake_all(ev::RDHUP | ev::HUP);
    }

    /// The receiver is gone: nobody will read what there is, nor what is still to come. The other
    /// side may keep the queue for long.
    pub(super) fn abandon(&self) {
        self.close_reading();
        self.clear();
    }

    /// Nobody will read.
    pub(super) fn close_reading(&self) {
        self.unread.store(true, Ordering::Release);
        self.wake_all(ev::READABLE | ev::RDHUP | ev::HUP);
    }

    /// The receiver learns that what it sent was lost.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.readers.wake_key(ev::ERR);
    }

    fn wake_all(&self, key: u32) {
        self.readers.wake_key(key);
        self.room.wake_key(ev::WRITABLE | ev::HUP);
        if let Some(sender) = &self.sender {
            sender.writers.wake_key(ev::WRITABLE | ev::HUP);
        }
    }

    /// Tells what the queue has become, of which `taken` bytes were read.
    pub(super) fn publish(&self, queue: &Queue, taken: usize) {
        self.messages.store(queue.messages.len(), Ordering::Release);
        self.bytes.store(self.len().saturating_sub(taken), Ordering::Release);
        if self.is_urgent() {
            self.urgent.store(queue.urgent.is_some(), Ordering::Release);
        }
    }

    /// What cost so much has been read, of a datagram's sender or else of the connection's: there
    /// is room again.
    pub(super) fn done(&self, from: Option<&Arc<Sender>>, cost: usize) {
        if let Some(sender) = from.or(self.sender.as_ref()).filter(|_| cost > 0) {
            sender.give_back(cost);
        }
    }

    /// `EPIPE`, `ECONNREFUSED`.
    pub(super) fn check_open(&self) -> SysResult<()> {
        // A datagram socket that is gone is told from one that has been shut down.
        if self.kind == Kind::Datagram && self.is_unread() {
            return Err(Errno::ECONNREFUSED);
        }
        if self.is_ended() { Err(Errno::EPIPE) } else { Ok(()) }
    }

    /// The bytes of a packet. `EMSGSIZE`, `EFAULT`; `ENOBUFS` where there is no memory for so many
    /// at once.
    pub(super) fn packet(from: &mut Source<'_>, limit: usize) -> SysResult<Vec<u8>> {
        const SPARE: usize = 32;
        if from.remaining() + SPARE > limit {
            return Err(Errno::EMSGSIZE);
        }
        from.take_all(limit).map_err(|errno| if errno == Errno::ENOMEM { Errno::ENOBUFS } else { errno })
    }

    /// Files get on the way to here, if there are any. `EPERM` where the receiver wants none.
    fn ticket(&self, files: Vec<Arc<OpenFile>>) -> SysResult<Option<Ticket>> {
        if files.is_empty() {
            return Ok(None);
        }
        if !self.wants.takes_files() {
            return Err(Errno::EPERM);
        }
        Ticket::new(files, self.holder.clone()).map(Some)
    }

    /// Sends a packet of `sender`; `peers` says that its receiver sends to nobody else, and so
    /// takes any number of them.
    pub(super) fn send_packet(
        &self,
        mut bytes: Vec<u8>,
        parcel: Parcel,
        sender: &Arc<Sender>,
        peers: impl Fn() -> bool,
        how: How,
    ) -> SysResult<usize> {
        let files = self.ticket(parcel.files)?;
        let len = bytes.len();
        let (head, nowhere) = (bytes.as_slice(), usize::MAX);
        let packet =
            || Packet { view: View { head, network: nowhere, link: nowhere, ..View::default() }, ..Packet::default() };
        match self.wants.filter.wanted(packet) {
            // The sender is not told that nobody wants it.
            0 => return self.check_open().map(|()| len),
            wanted => bytes.truncate(wanted),
        }
        loop {
            self.check_open()?;
            if sender.used() >= how.limit {
                let free = || (sender.used() < how.limit || self.is_ended()).then_some(());
                wait(&sender.writers, how.nonblock, how.deadline, free)?;
            } else if self.kind == Kind::Datagram && self.is_full() && !peers() {
                let free = || (!self.is_full() || self.is_ended()).then_some(());
                wait(&self.room, how.nonblock, how.deadline, free)?;
            } else {
                break;
            }
        }
        let from = (self.kind == Kind::Datagram).then(|| sender.clone());
        let stamp = if self.wants.stamps() { clock::realtime_ns() } else { 0 };
        let cost = cost(self.kind, bytes.len());
        sender.used.fetch_add(cost, Ordering::AcqRel);
        self.push(Message { bytes, read: 0, cost, credentials: parcel.credentials, files, from, stamp }, false);
        Ok(len)
    }

    /// Sends bytes of a stream; with `urgent` the last is out-of-band data.
    pub(super) fn send(&self, from: &mut Source<'_>, parcel: Parcel, urgent: bool, how: How) -> SysResult<usize> {
        let Some(sender) = &self.sender else { return Err(Errno::ENOTCONN) };
        let credentials = parcel.credentials;
        let mut files = self.ticket(parcel.files)?;
        if urgent && from.remaining() == 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut done = 0;
        let result = loop {
            if let Err(errno) = self.check_open() {
                break Err(errno);
            }
            let left = from.remaining();
            if left == 0 {
                break Ok(());
            }
            // As in Linux, a piece goes in whole while the buffer is not full, even if that
            // overfills it.
            if sender.used() >= how.limit {
                let free = || (sender.used() < how.limit || self.is_ended()).then_some(());
                match wait(&sender.writers, how.nonblock, how.deadline, free) {
                    Ok(()) => continue,
                    Err(errno) => break Err(errno),
                }
            }
            let mark = urgent && left == 1;
            let want = if urgent && left > 1 { left - 1 } else { left };
            let bytes = match piece(from, want.min(PIECE).min((how.limit / 2).saturating_sub(64).max(1))) {
                Ok(bytes) => bytes,
                Err(errno) => break Err(errno),
            };
            let len = bytes.len();
            let cost = cost(self.kind, len);
            sender.used.fetch_add(cost, Ordering::AcqRel);
            // The first piece takes the files along.
            self.push(Message { bytes, read: 0, cost, credentials, files: files.take(), from: None, stamp: 0 }, mark);
            done += len;
        };
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }

    fn push(&self, message: Message, urgent: bool) {
        let mut queue = self.queue.lock();
        if self.is_unread() {
            // The receiver went just now, and has cleared the queue or is about to.
            drop(queue);
            self.done(message.from.as_ref(), message.cost);
            return;
        }
        self.bytes.store(self.len() + message.bytes.len(), Ordering::Release);
        if urgent {
            queue.urgent = Some(queue.first + queue.messages.len() as u64);
            self.urgent.store(true, Ordering::Release);
        }
        queue.messages.push_back(message);
        self.messages.store(queue.messages.len(), Ordering::Release);
        self.came.store(queue.first + queue.messages.len() as u64, Ordering::Release);
        drop(queue);
        if urgent {
            self.readers.wake_key(ev::READABLE | ev::PRI);
            if let Some(file) = self.receiver.upgrade().and_then(|socket| socket.file()) {
                owner::tell_urgent(&file.owner);
            }
        } else {
            self.readers.wake(1, ev::READABLE);
        }
    }
}

impl Drop for ReceiveQueue {
    fn drop(&mut self) {
        // The senders of datagrams outlive them.
        self.clear();
    }
}

/// Takes so many bytes of a stream, or fewer where memory is in small pieces. `ENOBUFS`, and
/// `EFAULT` unless all can be read.
fn piece(from: &mut Source<'_>, want: usize) -> SysResult<Vec<u8>> {
    const MIN_BLOCK: usize = base::addr::PAGE_SIZE;
    caller::check_memory().map_err(|_| Errno::ENOBUFS)?;
    let bytes = buffer(want).or_else(|errno| if want > MIN_BLOCK { buffer(MIN_BLOCK) } else { Err(errno) });
    let mut bytes = bytes.map_err(|_| Errno::ENOBUFS)?;
    if from.take(&mut bytes)? < bytes.len() { Err(Errno::EFAULT) } else { Ok(bytes) }
}
