//! What a segment does to a connection (RFC 9293, 3.10.7).

use super::settings::{Error, Events, State};
use super::tcb::{DELAYED_ACK, QUICK_ACKS, Tcb};
use super::{Flags, Header, Instant, SECOND, Seq, TIME_WAIT};
use crate::Bytes;

/// `ACK`s to segments that should not have come, at most two a second (RFC 5961, 7).
const CHALLENGE_EVERY: u64 = SECOND / 2;
/// Duplicate acknowledgements that mean a loss (RFC 5681, 3.2).
const LOSS: u32 = 3;

/// The answer to a segment that belongs to no connection: none to a `RST` (RFC 9293, 3.10.7.1).
pub fn reset_for(segment: &Header, len: usize) -> Option<Header> {
    if segment.flags.contains(Flags::RST) {
        return None;
    }
    let ports = Header { source: segment.destination, destination: segment.source, ..Header::default() };
    Some(if segment.flags.contains(Flags::ACK) {
        Header { seq: segment.ack, flags: Flags::RST, ..ports }
    } else {
        Header { ack: segment.seq + segment.span(len), flags: Flags::RST | Flags::ACK, ..ports }
    })
}

impl Tcb {
    /// Takes a segment of this connection. The answer is a `RST` to send; all else is asked of
    /// [`Tcb::poll_transmit`].
    pub fn receive(&mut self, segment: &Header, payload: Bytes, now: Instant) -> Option<Header> {
        self.counts.came(payload.len(), self.mss);
        match self.state {
            State::Closed => reset_for(segment, payload.len()),
            State::SynSent => self.receive_syn_ack(segment, payload, now),
            State::SynReceived => self.receive_last_of_handshake(segment, payload, now),
            _ => self.receive_synchronized(segment, payload, now),
        }
    }

    fn receive_syn_ack(&mut self, segment: &Header, payload: Bytes, now: Instant) -> Option<Header> {
        let acks = segment.flags.contains(Flags::ACK);
        if acks && (segment.ack <= self.una || segment.ack > self.max) {
            return reset_for(segment, payload.len());
        }
        if segment.flags.contains(Flags::RST) {
            if acks {
                self.finish(Some(Error::Refused));
            }
            return None;
        }
        if !segment.flags.contains(Flags::SYN) {
            return None;
        }
        self.rcv_nxt = segment.seq + 1;
        self.advertised = self.rcv_nxt + self.receive_limit.min(0xffff) as u32;
        (self.wl1, self.wl2) = (segment.seq, segment.ack);
        self.agree(segment.options.mss, segment.options.window_scale, segment.options.sack_permitted);
        // The window of a SYN is never shifted.
        self.set_window(u32::from(segment.window));
        if !acks {
            // Both sides open at once, or they are one and the same (RFC 9293, 3.5): our SYN goes
            // again, as an answer.
            self.state = State::SynReceived;
            self.nxt = self.una;
            self.rtt.forget();
            return None;
        }
        self.establish(segment, now);
        self.ack_now = true;
        self.take_payload(segment, segment.seq + 1, payload, now);
        None
    }

    /// In `SYN_RECEIVED`: the other side's `SYN,ACK`, which crosses ours, or its `ACK`.
    fn receive_last_of_handshake(&mut self, segment: &Header, payload: Bytes, now: Instant) -> Option<Header> {
        let crosses = segment.flags.contains(Flags::SYN) && segment.seq + 1 == self.rcv_nxt && payload.is_empty();
        if !crosses && !self.acceptable(segment, segment.span(payload.len())) {
            if !segment.flags.contains(Flags::RST) {
                // Our answer may have been lost.
                self.nxt = self.una;
            }
            return None;
        }
        if segment.flags.contains(Flags::RST) {
            self.finish(Some(Error::Reset));
            return None;
        }
        if !segment.flags.contains(Flags::ACK) {
            return None;
        }
        if segment.ack <= self.una || segment.ack > self.max {
            return reset_for(segment, payload.len());
        }
        self.establish(segment, now);
        if !crosses {
            self.set_window(u32::from(segment.window) << self.send_shift);
            self.take_payload(segment, segment.seq, payload, now);
        }
        None
    }

    /// The other side has our `SYN`.
    fn establish(&mut self, segment: &Header, now: Instant) {
        self.acknowledged += u64::from(segment.ack - self.una);
        self.una = segment.ack;
        self.nxt = self.nxt.max(self.una);
        self.wl2 = segment.ack;
        self.rtt.acknowledged(segment.ack, now);
        self.answered(now);
        self.timers.resend = None;
        self.state = State::Established;
        self.events |= Events::CONNECTED | Events::WRITABLE;
        self.arm_keep_alive(now);
        if self.fin_queued {
            self.state = State::FinWait1;
        }
    }

    /// The other side lives.
    pub(super) fn answered(&mut self, now: Instant) {
        self.heard_at = now;
        (self.tries, self.probes) = (0, 0);
        self.silent_since = None;
        self.rtt.answered();
    }

    fn challenge(&mut self, now: Instant) {
        if now.saturating_sub(self.last_challenge) >= CHALLENGE_EVERY || self.last_challenge == 0 {
            self.last_challenge = now.max(1);
            self.ack_now = true;
        }
    }

    /// Whether any part of the segment is in the window (RFC 9293, 3.10.7.4, table 6).
    fn acceptable(&self, segment: &Header, len: u32) -> bool {
        let window = self.advertised.max(self.rcv_nxt) - self.rcv_nxt;
        let inside = |seq: Seq| seq >= self.rcv_nxt && seq < self.rcv_nxt + window;
        match (len, window) {
            (0, 0) => segment.seq == self.rcv_nxt,
            (0, _) => inside(segment.seq),
            (_, 0) => false,
            (_, _) => inside(segment.seq) || inside((segment.seq + len).back(1)),
        }
    }

    fn receive_synchronized(&mut self, segment: &Header, payload: Bytes, now: Instant) -> Option<Header> {
        if !self.acceptable(segment, segment.span(payload.len())) {
            if segment.flags.contains(Flags::RST) {
                return None;
            }
            // A probe of a closed window carries an acknowledgement all the same.
            if segment.flags.contains(Flags::ACK) && segment.seq <= self.rcv_nxt && !segment.flags.contains(Flags::SYN) {
                self.take_ack(segment, payload.len(), now);
            }
            // Old data and keep-alive probes are answered at once; anything else may be an attack.
            if segment.seq < self.rcv_nxt && !segment.flags.contains(Flags::SYN) || self.receive_window() == 0 {
                self.ack_now = true;
            } else {
                self.challenge(now);
            }
            return None;
        }
        if segment.flags.contains(Flags::RST) {
            if segment.seq != self.rcv_nxt {
                self.challenge(now);
                return None;
            }
            let error = match self.state {
                State::CloseWait => Some(Error::BrokenPipe),
                State::TimeWait => None,
                _ => Some(Error::Reset),
            };
            self.finish(error);
            return None;
        }
        if segment.flags.contains(Flags::SYN) {
            self.challenge(now);
            return None;
        }
        if !segment.flags.contains(Flags::ACK) {
            return None;
        }
        if segment.ack > self.max {
            self.challenge(now);
            return None;
        }
        self.take_ack(segment, payload.len(), now);
        if self.state == State::Closed {
            return None;
        }
        // Nobody will ever read it: the other side should know (RFC 1122, 4.2.2.13).
        if self.orphan
            && !payload.is_empty()
            && segment.seq + payload.len() as u32 > self.rcv_nxt
            && self.state != State::TimeWait
        {
            let reset = reset_for(segment, payload.len());
            self.finish(None);
            return reset;
        }
        if segment.flags.contains(Flags::URG) {
            self.take_urgent_pointer(segment);
        }
        self.take_payload(segment, segment.seq, payload, now);
        None
    }

    fn take_ack(&mut self, segment: &Header, payload: usize, now: Instant) {
        self.answered(now);
        let ack = segment.ack;
        if ack > self.max {
            return;
        }
        if ack > self.una {
            self.take_new_ack(ack, now);
        } else if ack == self.una
            && payload == 0
            && !segment.flags.contains(Flags::FIN)
            && self.max != self.una
            && u32::from(segment.window) << self.send_shift == self.window
        {
            self.take_duplicate(now);
        }
        if segment.seq > self.wl1 || segment.seq == self.wl1 && ack >= self.wl2 {
            let before = self.window;
            self.set_window(u32::from(segment.window) << self.send_shift);
            (self.wl1, self.wl2) = (segment.seq, ack);
            if before == 0 && self.window > 0 && self.max == self.una {
                // The window has opened; probing ends.
                self.timers.resend = None;
            }
        }
    }

    fn take_new_ack(&mut self, ack: Seq, now: Instant) {
        let advanced = ack - self.una;
        let had = self.send.len();
        let fin_acked = self.fin_sent() && advanced as usize > had;
        self.send.acknowledge(advanced as usize);
        self.acknowledged += u64::from(advanced);
        self.una = ack;
        self.nxt = self.nxt.max(ack);
        self.urgent_end = self.urgent_end.filter(|end| *end > ack);
        self.duplicates = 0;
        self.rtt.acknowledged(ack, now);
        self.resend_first = self.congestion.acknowledged(advanced, ack, now, self.rtt.smoothed);
        self.timers.resend = (self.max != self.una).then(|| now + self.rtt.timeout(&self.settings));
        if self.wants_room && self.is_writable() {
            self.wants_room = false;
            self.events |= Events::WRITABLE;
        }
        if fin_acked {
            self.fin_acknowledged(now);
        }
    }

    fn fin_acknowledged(&mut self, now: Instant) {
        self.fin_acked = true;
        self.timers.resend = None;
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                if self.orphan {
                    self.timers.end = Some(now + self.settings.linger2);
                }
                self.events |= Events::WRITABLE;
            }
            State::Closing => self.enter_time_wait(now),
            State::LastAck => self.finish(None),
            _ => {}
        }
    }

    fn take_duplicate(&mut self, _now: Instant) {
        self.duplicates += 1;
        if self.congestion.recovering() {
            self.congestion.inflate();
        } else if self.duplicates == LOSS {
            self.congestion.lost(self.flight(), self.max);
            self.resend_first = true;
        }
    }

    fn enter_time_wait(&mut self, now: Instant) {
        self.state = State::TimeWait;
        self.timers.end = Some(now + TIME_WAIT);
        self.timers.keep_alive = None;
        self.events |= Events::CLOSED;
    }

    /// Takes the payload from `seq` on, and `FIN` behind it.
    fn take_payload(&mut self, segment: &Header, seq: Seq, mut payload: Bytes, now: Instant) {
        let open = matches!(self.state, State::Established | State::FinWait1 | State::FinWait2);
        let fin_at = seq + payload.len() as u32;
        let mut fin = segment.flags.contains(Flags::FIN);
        if !open {
            // The other side's FIN was lost on the way back, or never acknowledged.
            if fin || !payload.is_empty() {
                self.ack_now = true;
                if self.state == State::TimeWait {
                    self.timers.end = Some(now + TIME_WAIT);
                }
            }
            return;
        }
        if !payload.is_empty() {
            let seen = if seq < self.rcv_nxt { self.rcv_nxt - seq } else { 0 };
            payload.advance(seen as usize);
            let ahead = (seq + seen) - self.rcv_nxt;
            let window = self.advertised.max(self.rcv_nxt) - self.rcv_nxt;
            let fits = window.saturating_sub(ahead) as usize;
            if payload.len() > fits {
                payload.truncate(fits);
                fin = false;
            }
            let len = payload.len() as u32;
            self.counts.ahead += u32::from(ahead > 0);
            let had_gaps = self.queue.has_gaps();
            let in_order = if len > 0 { self.queue.insert(ahead, payload) as u32 } else { 0 };
            self.rcv_nxt += in_order;
            self.unacknowledged += in_order;
            let short = in_order < self.mss || segment.flags.contains(Flags::PSH);
            self.pushed = self.pushed.saturating_add(short.into());
            if in_order > 0 {
                self.events |= Events::READABLE;
                self.look_for_urgent();
            }
            if now.saturating_sub(self.data_at) > self.rtt.timeout(&self.settings) {
                self.quick_acks = QUICK_ACKS;
            }
            self.data_at = now;
            let quick = !self.answering && self.quick_acks > 0;
            // What is old, ahead, or closes a gap is told at once (RFC 5681, 4.2), as is every
            // second full segment.
            if in_order == 0 || had_gaps || self.unacknowledged >= 2 * self.mss || quick {
                self.quick_acks = self.quick_acks.saturating_sub(quick.into());
                self.ack_now = true;
            } else if self.timers.delayed_ack.is_none() {
                self.timers.delayed_ack = Some(now + self.settings.delayed_ack_max.min(DELAYED_ACK));
            }
        }
        if fin && fin_at == self.rcv_nxt && !self.queue.has_gaps() {
            self.take_fin(now);
        } else if fin {
            self.ack_now = true;
        }
    }

    fn take_fin(&mut self, now: Instant) {
        self.fin_received = true;
        self.answering = true;
        self.rcv_nxt += 1;
        self.ack_now = true;
        self.events |= Events::READABLE | Events::ENDED;
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(now),
            _ => {}
        }
    }
}
