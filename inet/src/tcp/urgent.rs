//! Urgent data (RFC 9293, 3.8.5), of which there is one byte at a time, as on Linux: the one before
//! the urgent pointer.

use super::settings::{Events, State};
use super::tcb::Tcb;
use super::{Header, Seq};
use crate::Bytes;

/// What has become of the other side's urgent byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mark {
    /// There is none, or it was read past.
    #[default]
    None,
    /// It is on its way.
    Announced,
    /// It is this.
    Arrived(u8),
    /// The application has taken it out of band.
    Taken,
}

/// The other side's urgent byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct Urgent {
    at: Seq,
    mark: Mark,
    /// It is read with the others (`SO_OOBINLINE`).
    inline: bool,
}

impl Urgent {
    /// Whether there is none to think of.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.mark == Mark::None
    }
}

impl Tcb {
    /// The bytes written so far end in an urgent one.
    pub fn mark_urgent(&mut self) {
        let syn = u32::from(self.is_connecting());
        self.urgent_end = Some(self.una + syn + self.send.len() as u32);
    }

    /// The urgent pointer of a segment; 0 for none.
    pub(super) fn urgent_pointer(&self, seq: Seq) -> u16 {
        match self.urgent_end {
            Some(end) if end > seq => u16::try_from(end - seq).unwrap_or(u16::MAX),
            _ => 0,
        }
    }

    /// `SO_OOBINLINE`.
    pub fn set_urgent_inline(&mut self, inline: bool) {
        self.urgent.inline = inline;
    }

    /// Number of the first byte that was not read.
    fn unread(&self) -> Seq {
        self.rcv_nxt.back(self.queue.len() as u32 + u32::from(self.fin_received))
    }

    /// Bytes that are to be read before the urgent one, if that was not read past.
    fn urgent_distance(&self) -> Option<usize> {
        let unread = self.unread();
        (!self.urgent.is_none() && self.urgent.at >= unread).then(|| (self.urgent.at - unread) as usize)
    }

    /// Where the urgent byte makes a hole in what is read, if it has arrived and is not read with
    /// the rest.
    pub(super) fn urgent_hole(&self) -> Option<usize> {
        if self.urgent.is_none() || self.urgent.inline {
            return None;
        }
        self.urgent_distance().filter(|distance| *distance < self.queue.len())
    }

    /// Whether the byte `skip` behind the first unread one is the urgent one (sockatmark(3)).
    pub fn at_mark(&self, skip: usize) -> bool {
        !self.urgent.is_none() && self.urgent_distance() == Some(skip)
    }

    /// Bytes to read up to the urgent one, or all (`FIONREAD`).
    pub fn readable_to_mark(&self) -> usize {
        match self.urgent_hole() {
            Some(distance) => distance,
            None => self.queue.len(),
        }
    }

    /// Whether the urgent byte is here and was not taken (`POLLPRI`).
    pub fn has_urgent(&self) -> bool {
        matches!(self.urgent.mark, Mark::Arrived(_))
    }

    /// The urgent byte (`MSG_OOB`). `None`: it is on its way. An error: there is none to be had
    /// this way.
    #[allow(clippy::result_unit_err)]
    pub fn take_urgent(&mut self, peek: bool) -> Result<Option<u8>, ()> {
        match self.urgent.mark {
            _ if self.urgent.inline => Err(()),
            Mark::None | Mark::Taken => Err(()),
            Mark::Announced => Ok(None),
            Mark::Arrived(byte) => {
                if !peek {
                    self.urgent.mark = Mark::Taken;
                }
                Ok(Some(byte))
            }
        }
    }

    /// A segment tells where urgent data ends.
    pub(super) fn take_urgent_pointer(&mut self, segment: &Header) {
        // The pointer is one past the byte, as all implementations have it (RFC 6093, 3.1).
        let at = segment.seq + u32::from(segment.urgent).saturating_sub(1);
        let old = at < self.rcv_nxt || !self.urgent.is_none() && at <= self.urgent.at;
        if old || matches!(self.state, State::TimeWait | State::Closed) {
            return;
        }
        // The one before loses its standing: it is read like any other byte, unless it is next, and
        // gone.
        if self.urgent_hole() == Some(0) {
            self.queue.consume(1);
        }
        (self.urgent.at, self.urgent.mark) = (at, Mark::Announced);
        self.events |= Events::URGENT;
    }

    /// More bytes are in order: the urgent one may be among them.
    pub(super) fn look_for_urgent(&mut self) {
        if self.urgent.mark == Mark::Announced
            && let Some(distance) = self.urgent_distance()
            && let Some(byte) = self.queue.peek(distance).and_then(|piece| piece.first().copied())
        {
            self.urgent.mark = Mark::Arrived(byte);
        }
    }

    /// The part to read `skip` bytes on, which ends before the urgent byte, and passes over it.
    pub(super) fn peek_to_mark(&self, skip: usize) -> Option<Bytes> {
        let Some(distance) = self.urgent_distance() else { return self.queue.peek(skip) };
        if skip < distance {
            let mut piece = self.queue.peek(skip)?;
            piece.truncate(distance - skip);
            return Some(piece);
        }
        self.queue.peek(if self.urgent.inline { skip } else { skip + 1 })
    }

    /// How many bytes go out of the queue when `n` are read.
    pub(super) fn pass_mark(&mut self, n: usize) -> usize {
        match self.urgent_distance() {
            None => self.urgent.mark = Mark::None,
            Some(distance) if distance < n || distance == 0 && n > 0 => {
                self.urgent.mark = Mark::None;
                return n + usize::from(!self.urgent.inline);
            }
            Some(_) => {}
        }
        n
    }
}
