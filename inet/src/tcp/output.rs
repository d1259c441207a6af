//! What a connection sends, and when (RFC 9293, 3.8; RFC 896; RFC 5681).

use super::settings::State;
use super::tcb::{DELAYED_ACK, Tcb};
use super::{Flags, Header, Instant, Options, Pieces};

/// A segment to send.
#[derive(Debug)]
pub struct Transmit {
    /// Its header.
    pub header: Header,
    /// Its payload.
    pub payload: Pieces,
    /// Length of the payload.
    pub len: usize,
    /// Where `len` is more than this, the device is to cut the payload into segments of this size.
    pub segment_size: usize,
}

/// How long a cork holds a short segment back, in nanoseconds.
const CORK: u64 = 200_000_000;

impl Tcb {
    /// The next segment that is due, carrying at most `max_payload` bytes (more than a segment
    /// where the device cuts it) in at most `max_pieces` pieces. To be called until there is none.
    pub fn poll_transmit(&mut self, now: Instant, max_payload: usize, max_pieces: usize) -> Option<Transmit> {
        if self.is_quiet() {
            return None;
        }
        let max = self.max;
        let segment = self.due(now, max_payload, max_pieces);
        if let Some(segment) = &segment {
            self.counts.went(segment, max);
        }
        segment
    }

    fn due(&mut self, now: Instant, max_payload: usize, max_pieces: usize) -> Option<Transmit> {
        match self.state {
            State::Closed => None,
            State::SynSent | State::SynReceived => self.transmit_syn(now),
            _ => {
                let again = if self.resend_first { self.transmit_again(max_pieces) } else { None };
                again
                    .or_else(|| self.transmit_new(now, max_payload, max_pieces))
                    .or_else(|| self.transmit_probe())
                    .or_else(|| self.ack_now.then(|| self.segment(self.nxt.max(self.una), Flags::ACK, Pieces::new(), 0)))
            }
        }
    }

    /// Whether [`Tcb::poll_transmit`] surely has nothing to send.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        let settled = !(self.is_connecting() || self.ack_now || self.probe || self.resend_first);
        // All that there is, `FIN` included, was sent.
        settled && self.nxt - self.una == self.send.len() as u32 + u32::from(self.fin_queued && !self.fin_acked)
    }

    fn transmit_syn(&mut self, now: Instant) -> Option<Transmit> {
        if self.nxt != self.una {
            return None;
        }
        let answers = self.state == State::SynReceived;
        let options = Options {
            mss: Some(self.config.mss),
            // An answer names what the other side's SYN did.
            window_scale: (!answers || self.scaled).then_some(self.receive_shift),
            sack_permitted: !answers || self.sack,
            ..Options::default()
        };
        let window = self.receive_limit.min(0xffff) as u16;
        let header = Header {
            source: self.ports.0,
            destination: self.ports.1,
            seq: self.una,
            ack: self.rcv_nxt,
            flags: if answers { Flags::SYN | Flags::ACK } else { Flags::SYN },
            window,
            options,
            ..Header::default()
        };
        self.nxt = self.una + 1;
        if self.max == self.una {
            self.rtt.sent(self.nxt, now);
        }
        self.max = self.max.max(self.nxt);
        self.timers.resend = Some(now + self.rtt.timeout(&self.settings));
        Some(Transmit { header, payload: Pieces::new(), len: 0, segment_size: 0 })
    }

    /// The first unacknowledged segment once more.
    fn transmit_again(&mut self, max_pieces: usize) -> Option<Transmit> {
        self.resend_first = false;
        self.rtt.forget();
        let mut payload = Pieces::new();
        let sent = (self.max - self.una) as usize;
        let len = self.send.read(0, sent.min(self.mss as usize), max_pieces, &mut payload);
        let fin = self.fin_sent() && len == self.send.len();
        if len == 0 && !fin {
            return None;
        }
        self.retransmits += 1;
        let flags = if fin { Flags::ACK | Flags::FIN } else { Flags::ACK };
        Some(self.segment(self.una, flags, payload, len))
    }

    fn transmit_new(&mut self, now: Instant, max_payload: usize, max_pieces: usize) -> Option<Transmit> {
        let offset = (self.nxt - self.una) as usize;
        let unsent = self.send.len().saturating_sub(offset);
        let fin_out = self.nxt - self.una > self.send.len() as u32;
        let mss = self.mss as usize;
        let usable = (self.window.min(self.congestion.window) as usize).saturating_sub(offset);
        let mut len = unsent.min(usable).min(max_payload.max(mss));
        if len > mss && len < unsent {
            len -= len % mss;
        }
        let fin_due = self.fin_queued && !self.fin_acked && !fin_out;
        if unsent > 0 {
            if len == 0 {
                self.arm_probe(now, offset);
                return None;
            }
            if len < mss && !self.may_send_short(now, len, unsent, offset) {
                return None;
            }
        } else if !fin_due {
            return None;
        }
        let mut payload = Pieces::new();
        let len = self.send.read(offset, len, max_pieces, &mut payload);
        let last = len == unsent;
        let mut flags = Flags::ACK;
        if last && len > 0 {
            flags |= Flags::PSH;
        }
        // Bytes soon after bytes are an answer.
        self.answering |= len > 0 && now.saturating_sub(self.data_at) < DELAYED_ACK;
        if last && fin_due {
            flags |= Flags::FIN;
        }
        let seq = self.nxt;
        self.nxt = seq + len as u32 + u32::from(flags.contains(Flags::FIN));
        if seq < self.max {
            self.retransmits += 1;
        } else {
            self.rtt.sent(self.nxt, now);
        }
        self.max = self.max.max(self.nxt);
        if self.timers.resend.is_none() || offset == 0 {
            self.timers.resend = Some(now + self.rtt.timeout(&self.settings));
        }
        self.timers.cork = None;
        Some(self.segment(seq, flags, payload, len))
    }

    /// Whether a segment of less than full size may go: Nagle's rule, corks, and the sender's side
    /// of silly windows.
    fn may_send_short(&mut self, now: Instant, len: usize, unsent: usize, offset: usize) -> bool {
        if self.nxt < self.max {
            return true;
        }
        if len < unsent {
            // The window is the limit: half of the largest one ever seen will do, or nothing at all
            // on its way and time passing.
            let will_do = len * 2 >= self.window_max as usize;
            if !will_do && offset == 0 {
                self.arm_probe(now, offset);
            }
            return will_do;
        }
        if self.fin_queued || self.urgent_end.is_some() {
            return true;
        }
        if self.settings.cork {
            match self.timers.cork {
                None => {
                    self.timers.cork = Some(now + CORK);
                    return false;
                }
                Some(at) => return now >= at,
            }
        }
        self.settings.no_delay || offset == 0
    }

    /// With nothing on its way, a closed window is asked after.
    fn arm_probe(&mut self, now: Instant, offset: usize) {
        if offset == 0 && self.timers.resend.is_none() {
            self.timers.resend = Some(now + self.rtt.timeout(&self.settings));
        }
    }

    /// An empty segment from before the window, which makes the other side answer.
    fn transmit_probe(&mut self) -> Option<Transmit> {
        core::mem::take(&mut self.probe).then(|| self.segment(self.una.back(1), Flags::ACK, Pieces::new(), 0))
    }

    /// A segment of the synchronized states. It carries every acknowledgement that is due.
    fn segment(&mut self, seq: super::Seq, flags: Flags, payload: Pieces, len: usize) -> Transmit {
        let mut options = Options::default();
        if self.sack && self.queue.has_gaps() {
            let base = self.rcv_nxt;
            options.sack.extend(self.queue.gaps().iter().map(|(from, to)| (base + *from, base + *to)));
        }
        // The right edge never moves back (RFC 9293, 3.8.6).
        let offered = self.advertised.max(self.rcv_nxt) - self.rcv_nxt;
        let unit = 1 << self.receive_shift;
        let window = self.receive_window().max(offered.next_multiple_of(unit)) >> self.receive_shift;
        let window = window.min(0xffff);
        self.advertised = self.advertised.max(self.rcv_nxt + (window << self.receive_shift));
        self.ack_now = false;
        (self.unacknowledged, self.pushed) = (0, 0);
        self.timers.delayed_ack = None;
        let urgent = self.urgent_pointer(seq);
        let header = Header {
            source: self.ports.0,
            destination: self.ports.1,
            seq,
            ack: self.rcv_nxt,
            flags: if urgent > 0 { flags | Flags::URG } else { flags },
            window: window as u16,
            urgent,
            options,
        };
        let room = self.mss as usize - if header.options.sack.is_empty() { 0 } else { 4 + 8 * header.options.sack.len() };
        Transmit { header, payload, len, segment_size: room }
    }
}
