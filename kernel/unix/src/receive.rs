//! Taking messages out of a [`ReceiveQueue`].

use alloc::vec::Vec;

use fd::io::{Sink, put_all};
use fd::poll::ev;
use fd::socket::{Ancillary, PeerCredentials, Received, wait};
use syscall_shim::{Errno, SysResult};

use super::Kind;
use super::options::Flags;
use super::receive_queue::{Message, Queue, ReceiveQueue};

/// How to receive.
pub struct How<'a> {
    pub peek: bool,
    /// `MSG_WAITALL`.
    pub all: bool,
    pub nonblock: bool,
    pub deadline: Option<u64>,
    /// `SO_RCVLOWAT`.
    pub least: usize,
    /// The receiver's, who may have asked for the senders' ids, out-of-band data in line, and the
    /// like.
    pub flags: &'a Flags,
}

/// What a call on a stream has got so far.
#[derive(Default)]
struct Progress {
    received: Received,
    /// The sender of what there is, once there is something. `None` within for one that passed no
    /// ids.
    sender: Option<Option<PeerCredentials>>,
    /// How many messages had come when the queue was looked at.
    seen: u64,
}

/// What a look at the queue gave.
enum Look {
    /// The call is over.
    Done,
    /// Only what is still to come could go on.
    Empty,
}

/// What one look at the queue took out of it.
#[derive(Default)]
struct Taken {
    bytes: usize,
    cost: usize,
    /// Messages whose files nobody received: they are closed with no lock held.
    unwanted: Vec<Message>,
}

impl Taken {
    /// Takes the first message out, read or not.
    fn first_of(&mut self, queue: &mut Queue) {
        let Some(message) = queue.messages.pop_front() else { return };
        queue.first += 1;
        self.bytes += message.rest().len();
        self.cost += message.cost;
        if message.files.is_some() {
            self.unwanted.push(message);
        }
    }
}

impl ReceiveQueue {
    /// Receives a packet, or bytes of a stream.
    pub(super) fn receive(&self, to: &mut Sink<'_>, how: &How<'_>) -> SysResult<Received> {
        match self.kind {
            Kind::Stream => self.receive_bytes(to, how),
            Kind::Datagram | Kind::SeqPacket => self.receive_packet(to, how),
        }
    }

    fn receive_bytes(&self, to: &mut Sink<'_>, how: &How<'_>) -> SysResult<Received> {
        let target = if how.all { to.remaining() } else { how.least.min(to.remaining()) }.max(1);
        let mut progress = Progress::default();
        loop {
            let look = self.take_bytes(to, how, &mut progress)?;
            if matches!(look, Look::Done) || progress.received.copied >= target {
                break;
            }
            // An error and an end are only seen with the queue empty.
            let waited = self.take_error().and_then(|()| {
                if self.is_ended() && self.came() == progress.seen {
                    return Ok(false);
                }
                let ready = || (self.came() != progress.seen || self.is_ended() || self.is_reset()).then_some(());
                wait(&self.readers, how.nonblock, how.deadline, ready).map(|()| true)
            });
            match waited {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if progress.received.copied > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        let Progress { mut received, sender, .. } = progress;
        received.full = received.copied;
        received.ancillary.credentials = how.flags.passes_credentials(sender);
        received.ancillary.pidfd = how.flags.passes_pidfd(sender);
        received.ancillary.control.extend(how.flags.left(self.len()));
        Ok(received)
    }

    /// Takes bytes of a stream. Those of different senders are not mixed for who wants to know
    /// them, nor is anything added to what came with files, nor behind the mark of out-of-band
    /// data.
    fn take_bytes(&self, to: &mut Sink<'_>, how: &How<'_>, progress: &mut Progress) -> SysResult<Look> {
        let mut queue = self.queue.lock();
        progress.seen = self.came();
        let mut taken = Taken::default();
        let mut skip = how.flags.peek_offset(how.peek).unwrap_or(0);
        // Where a peek has come to; who reads is always at the first message.
        let mut at = 0;
        let received = &mut progress.received;
        let look = loop {
            if !pass_mark(&mut queue, &mut at, how, received.copied > 0, &mut taken) {
                break Ok(Look::Done);
            }
            let Some(message) = queue.messages.get_mut(at) else { break Ok(Look::Empty) };
            if skip > 0 && skip >= message.rest().len() {
                skip -= message.rest().len();
                at += 1;
                continue;
            }
            if progress.sender.is_some_and(|sender| sender != message.credentials) && how.flags.passes_ids() {
                break Ok(Look::Done);
            }
            let rest = message.rest().get(skip..).unwrap_or_default();
            let (want, left) = (rest.len().min(to.remaining()), rest.len());
            let got = if want == 0 { Ok(0) } else { to.put(rest.get(..want).unwrap_or_default()) };
            let n = match got {
                Ok(n) => n,
                Err(_) if received.copied > 0 => break Ok(Look::Done),
                Err(errno) => break Err(errno),
            };
            progress.sender.get_or_insert(message.credentials);
            received.copied += n;
            let files = if how.peek {
                message.files.as_ref().map(|ticket| ticket.peek())
            } else {
                message.read += n;
                taken.bytes += n;
                message.files.take().map(|ticket| ticket.take())
            };
            let with_files = files.is_some();
            received.ancillary.files.extend(files.into_iter().flatten());
            if how.peek {
                skip = 0;
                at += 1;
            } else if n == left {
                taken.first_of(&mut queue);
            }
            if n < left || with_files || to.remaining() == 0 {
                break Ok(Look::Done);
            }
        };
        how.flags.move_peek_offset(how.peek, if how.peek { received.copied } else { taken.bytes });
        // A peek looks at the queue once.
        let look = if how.peek && received.copied > 0 { look.map(|_| Look::Done) } else { look };
        self.publish(&queue, taken.bytes);
        drop(queue);
        if received.address.is_none() && received.copied > 0 {
            received.address = self.sender.as_ref().and_then(|sender| sender.name.get().cloned());
        }
        self.done(None, taken.cost);
        look
    }

    /// `MSG_OOB`. `EINVAL` if there is no such byte.
    pub(super) fn receive_urgent(&self, to: &mut Sink<'_>, peek: bool, in_line: bool) -> SysResult<Received> {
        let mut queue = self.queue.lock();
        let first = queue.first;
        let at = queue.urgent.filter(|_| !in_line).map(|number| (number - first) as usize).ok_or(Errno::EINVAL)?;
        let message = queue.messages.get_mut(at).ok_or(Errno::EINVAL)?;
        let copied = if to.remaining() == 0 { 0 } else { to.put(message.rest())? };
        if !peek {
            let taken = message.rest().len();
            message.read += taken;
            queue.urgent = None;
            self.publish(&queue, taken);
        }
        Ok(Received { copied, full: copied, flags: linux_raw_sys::net::MSG_OOB, ..Received::default() })
    }

    fn receive_packet(&self, to: &mut Sink<'_>, how: &How<'_>) -> SysResult<Received> {
        loop {
            self.take_error()?;
            let seen = self.came();
            if let Some(received) = self.take_packet(to, how)? {
                return Ok(received);
            }
            // Of datagram sockets only those see an end that would wait, as on Linux.
            let sees_end = self.kind == Kind::SeqPacket || !how.nonblock;
            if self.is_ended() && sees_end && self.came() == seen {
                return Ok(Received::default());
            }
            let ends = || sees_end && self.is_ended();
            let ready = || (self.came() != seen || ends() || self.is_reset()).then_some(());
            wait(&self.readers, how.nonblock, how.deadline, ready)?;
        }
    }

    fn take_packet(&self, to: &mut Sink<'_>, how: &How<'_>) -> SysResult<Option<Received>> {
        let mut queue = self.queue.lock();
        let mut skip = how.flags.peek_offset(how.peek).unwrap_or(0);
        let mut at = 0;
        while let Some(message) = queue.messages.get(at).filter(|message| skip > 0 && skip >= message.bytes.len()) {
            skip -= message.bytes.len();
            at += 1;
        }
        let Some(message) = queue.messages.get(at) else { return Ok(None) };
        let rest = message.bytes.get(skip..).unwrap_or_default();
        let (full, copied) = (rest.len(), rest.len().min(to.remaining()));
        // A message that does not arrive whole is an error, and is gone.
        let arrived = if copied == 0 { Ok(()) } else { put_all(to, rest.get(..copied).unwrap_or_default()) };
        let sender = message.from.as_ref().or(self.sender.as_ref());
        let mut received = Received {
            copied,
            full,
            address: sender.and_then(|sender| sender.name.get().cloned()),
            ancillary: Ancillary {
                control: how.flags.stamp(message.stamp),
                credentials: how.flags.passes_credentials(Some(message.credentials)),
                pidfd: how.flags.passes_pidfd(Some(message.credentials)),
                ..Ancillary::default()
            },
            flags: 0,
        };
        if how.peek {
            received.ancillary.files = message.files.as_ref().map(|ticket| ticket.peek()).unwrap_or_default();
            how.flags.move_peek_offset(true, copied);
        } else if let Some(mut message) = queue.messages.pop_front() {
            queue.first += 1;
            self.publish(&queue, message.bytes.len());
            drop(queue);
            how.flags.move_peek_offset(false, message.bytes.len());
            received.ancillary.files = message.files.take().map(|ticket| ticket.take()).unwrap_or_default();
            self.done(message.from.as_ref(), message.cost);
            if self.kind == Kind::Datagram {
                self.room.wake_key(ev::WRITABLE);
            }
        }
        arrived.map(|()| Some(received))
    }
}

/// Deals with out-of-band data at this place, as Linux's `manage_oob` does; false if a call that
/// has `some` bytes ends here. Where it is not to be received in line, it is left out: dropped by
/// who reads on past it, stepped over by who peeks.
fn pass_mark(queue: &mut Queue, at: &mut usize, how: &How<'_>, some: bool, taken: &mut Taken) -> bool {
    let Some(message) = queue.messages.get(*at) else { return true };
    if message.rest().is_empty() {
        // It was read by MSG_OOB, and was only the mark any more.
        if some && queue.urgent.is_none() {
            return false;
        }
        if how.peek { *at += 1 } else { taken.first_of(queue) }
    }
    if !queue.is_urgent(*at) {
        return true;
    }
    if some {
        return false;
    }
    match (how.peek, how.flags.urgent_in_line()) {
        (true, false) => *at += 1,
        (true, true) => {}
        (false, in_line) => {
            queue.urgent = None;
            if !in_line {
                taken.first_of(queue);
            }
        }
    }
    true
}
