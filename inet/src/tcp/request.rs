//! Connections that are half open: our `SYN,ACK` has no answer yet.
//!
//! A request is all that a listener remembers of one. When it has too many it remembers none: the
//! `SYN,ACK`'s own number is a cookie (RFC 4987, 3.6), from which the answer brings back what
//! matters, except for window scaling and SACK.

use super::tcb::window_shift;
use super::{Flags, Header, Instant, Options, SECOND, Seq};
use crate::ip::Flow;
use crate::siphash::Key;

/// Tries to send a `SYN,ACK` (`net.ipv4.tcp_synack_retries`).
const RETRIES: u32 = 5;
/// How long a cookie is good, twice at most: it counts these.
const COOKIE_PERIOD: u64 = 64 * SECOND;
/// Segment sizes that a cookie can remember (as Linux's table for Ethernet and below).
const COOKIE_MSS: [u16; 4] = [536, 1220, 1440, 1460];

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Our first number.
    pub iss: Seq,
    /// The other side's.
    pub irs: Seq,
    /// The other side's largest segment, if it said.
    pub mss: Option<u16>,
    /// The shift of its windows, if it scales.
    pub window_shift: Option<u8>,
    /// It understands SACK.
    pub sack: bool,
    /// The window that our `SYN,ACK` offers.
    pub window: u16,
    /// When the first `SYN,ACK` left; `None` once it was sent again.
    sent: Option<Instant>,
    /// When the next is due.
    pub deadline: Instant,
    tries: u32,
}

impl Request {
    /// From a `SYN`. `receive` is the buffer that the connection will have at first.
    pub fn new(syn: &Header, iss: Seq, receive: usize, now: Instant) -> Request {
        Request {
            iss,
            irs: syn.seq,
            mss: syn.options.mss,
            window_shift: syn.options.window_scale,
            sack: syn.options.sack_permitted,
            window: receive.min(0xffff) as u16,
            sent: Some(now),
            deadline: now + SECOND,
            tries: 0,
        }
    }

    /// The `SYN,ACK`, to the sender of `ports` (ours first). `mss` is ours, `receive_max` the most
    /// that the window may grow to.
    pub fn syn_ack(&self, ports: (u16, u16), mss: u16, receive_max: usize) -> Header {
        let options = Options {
            mss: Some(mss),
            window_scale: self.window_shift.map(|_| window_shift(receive_max)),
            sack_permitted: self.sack,
            ..Options::default()
        };
        Header {
            source: ports.0,
            destination: ports.1,
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN | Flags::ACK,
            window: self.window,
            options,
            ..Header::default()
        }
    }

    /// Whether `segment` repeats the `SYN`.
    pub fn is_repeated_by(&self, segment: &Header) -> bool {
        segment.flags.contains(Flags::SYN) && !segment.flags.contains(Flags::ACK) && segment.seq == self.irs
    }

    /// Whether `segment` answers the `SYN,ACK`.
    pub fn is_answered_by(&self, segment: &Header) -> bool {
        segment.flags.contains(Flags::ACK)
            && !segment.flags.intersects(Flags::SYN | Flags::RST)
            && segment.ack == self.iss + 1
            && segment.seq > self.irs
            && segment.seq <= self.irs + 1 + u32::from(self.window)
    }

    /// The deadline has passed. Whether the `SYN,ACK` is to be sent again; if not, the request is
    /// forgotten.
    pub fn try_again(&mut self, now: Instant) -> bool {
        self.tries += 1;
        self.sent = None;
        self.deadline = now + (SECOND << self.tries.min(6));
        self.tries <= RETRIES
    }

    /// How often the `SYN,ACK` was sent again.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// How long the answer took, if it can be told.
    pub fn round_trip(&self, now: Instant) -> Option<u64> {
        self.sent.map(|sent| now.saturating_sub(sent))
    }
}

/// The first number of a connection of ours (RFC 6528): it grows by 250 a millisecond, from a start
/// that outsiders do not know.
pub fn initial_number(key: Key, flow: &Flow, now: Instant) -> Seq {
    Seq((flow.hash(key) as u32).wrapping_add((now / 4000) as u32))
}

/// The cookie that answers `syn`.
pub fn cookie(key: Key, flow: &Flow, syn: &Header, now: Instant) -> Request {
    let mss = syn.options.mss.unwrap_or(COOKIE_MSS[0]);
    let index = COOKIE_MSS.iter().rposition(|known| *known <= mss).unwrap_or(0) as u32;
    let iss = cookie_number(key, flow, syn.seq, now / COOKIE_PERIOD, index);
    Request { window_shift: None, sack: false, sent: None, ..Request::new(syn, iss, 0xffff, now) }
}

fn cookie_number(key: Key, flow: &Flow, irs: Seq, period: u64, index: u32) -> Seq {
    let hash = key.hash(&[flow.hash(key), u64::from(irs.0), period, u64::from(index)]);
    Seq(hash as u32 & !7 | (period as u32 & 1) << 2 | index)
}

/// The request that `ack` answers, if its acknowledgement is a cookie of ours.
pub fn from_cookie(key: Key, flow: &Flow, ack: &Header, now: Instant) -> Option<Request> {
    if !ack.flags.contains(Flags::ACK) || ack.flags.intersects(Flags::SYN | Flags::RST) {
        return None;
    }
    let (iss, irs) = (ack.ack.back(1), ack.seq.back(1));
    let index = iss.0 & 3;
    let period = now / COOKIE_PERIOD;
    let good = [period, period.wrapping_sub(1)].into_iter().any(|p| cookie_number(key, flow, irs, p, index) == iss);
    let mss = COOKIE_MSS.get(index as usize).copied();
    good.then_some(Request {
        iss,
        irs,
        mss,
        window_shift: None,
        sack: false,
        window: 0xffff,
        sent: None,
        deadline: now,
        tries: 0,
    })
}
