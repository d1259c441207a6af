//! The options of IPv4 packets (RFC 791, 3.1; RFC 1812, 5.2.4): what a program asks to be sent,
//! what has come, and the answer to it.
//!
//! As on Linux, options keep the form in which they leave: each pointer is behind the place that is
//! filled in as the packet is made, and a source route begins with its second address, as the first
//! is the packet's destination.

use arrayvec::ArrayVec;
use core::net::Ipv4Addr;

/// The most bytes that a header has room for.
pub const MAX_LEN: usize = 40;

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const COMMERCIAL_SECURITY: u8 = 134;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// What a time stamp option records (its flags).
mod stamps {
    pub const ONLY: u8 = 0;
    pub const WITH_ADDRESSES: u8 = 1;
    /// Only at the addresses that are named.
    pub const PRESPECIFIED: u8 = 3;
}

/// Options as bytes.
pub type OptionBytes = ArrayVec<u8, MAX_LEN>;

/// A packet's options. Places are where in `bytes` an option begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipv4Options {
    bytes: OptionBytes,
    source_route: Option<usize>,
    /// Where a packet goes first that is sent with a source route.
    first_hop: Option<Ipv4Addr>,
    strict: bool,
    record_route: Option<usize>,
    records_address: bool,
    stamp: Option<usize>,
    stamps_address: bool,
    stamps_time: bool,
    router_alert: bool,
}

/// What options that have come are completed with.
#[derive(Clone, Copy)]
pub struct Here {
    /// Our address, as far as the sender is concerned.
    pub address: Ipv4Addr,
    /// Milliseconds since midnight (RFC 791).
    pub time: u32,
}

fn put(bytes: &mut [u8], at: usize, what: &[u8; 4]) {
    if let Some(room) = bytes.get_mut(at..at + 4) {
        room.copy_from_slice(what);
    }
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..at + 4)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

fn byte(bytes: &[u8], at: usize) -> usize {
    bytes.get(at).copied().unwrap_or(0).into()
}

impl Ipv4Options {
    /// Options that a program asks to be sent, padded. `None` for what is malformed, or what only
    /// the `privileged` may send. `elsewhere` says whether an address is somebody else's.
    pub fn to_send(bytes: &[u8], privileged: bool, elsewhere: impl Fn(Ipv4Addr) -> bool) -> Option<Self> {
        let mut padded = OptionBytes::new();
        padded.try_extend_from_slice(bytes).ok()?;
        while padded.len() % 4 != 0 {
            padded.push(END);
        }
        let mut options = Self { bytes: padded, ..Self::default() };
        options.read(None, privileged, &elsewhere).ok().map(|()| options)
    }

    /// Options that have come, with our own entries made. `Err` with the place in them that is
    /// wrong.
    pub fn arrived(bytes: &[u8], here: Here, elsewhere: impl Fn(Ipv4Addr) -> bool) -> Result<Self, usize> {
        let mut own = OptionBytes::new();
        own.try_extend_from_slice(bytes).map_err(|_| 0_usize)?;
        let mut options = Self { bytes: own, ..Self::default() };
        options.read(Some(here), true, &elsewhere).map(|()| options)
    }

    fn read(&mut self, here: Option<Here>, privileged: bool, elsewhere: &dyn Fn(Ipv4Addr) -> bool) -> Result<(), usize> {
        let mut at = 0;
        while let Some(kind) = self.bytes.get(at).copied() {
            match kind {
                END => {
                    self.bytes.iter_mut().skip(at).for_each(|byte| *byte = END);
                    break;
                }
                NOP => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let len = byte(&self.bytes, at + 1);
            if len < 2 || at + len > self.bytes.len() {
                return Err(at);
            }
            match kind {
                STRICT_ROUTE | LOOSE_ROUTE => self.read_source_route(at, len, here.is_none())?,
                RECORD_ROUTE => self.read_record(at, len, here)?,
                TIMESTAMP => self.read_stamps(at, len, here, privileged, elsewhere)?,
                ROUTER_ALERT if len < 4 => return Err(at + 1),
                ROUTER_ALERT => self.router_alert |= self.bytes.get(at + 2..at + 4) == Some(&[0, 0]),
                // A security label is for those who have rules about them; others are for the
                // privileged.
                COMMERCIAL_SECURITY => return Err(at),
                _ if !privileged => return Err(at),
                _ => {}
            }
            at += len;
        }
        Ok(())
    }

    fn read_source_route(&mut self, at: usize, len: usize, to_send: bool) -> Result<(), usize> {
        if len < 3 {
            return Err(at + 1);
        }
        let pointer = byte(&self.bytes, at + 2);
        if pointer < 4 {
            return Err(at + 2);
        }
        if self.source_route.is_some() {
            return Err(at);
        }
        if to_send {
            if pointer != 4 || len < 7 || !(len - 3).is_multiple_of(4) {
                return Err(at + 1);
            }
            self.first_hop = address(&self.bytes, at + 3);
            self.bytes.copy_within(at + 7..at + len, at + 3);
        }
        self.strict = byte(&self.bytes, at) == usize::from(STRICT_ROUTE);
        self.source_route = Some(at);
        Ok(())
    }

    fn read_record(&mut self, at: usize, len: usize, here: Option<Here>) -> Result<(), usize> {
        if self.record_route.is_some() {
            return Err(at);
        }
        if len < 3 {
            return Err(at + 1);
        }
        let pointer = byte(&self.bytes, at + 2);
        if pointer < 4 {
            return Err(at + 2);
        }
        if pointer <= len {
            if pointer + 3 > len {
                return Err(at + 2);
            }
            if let Some(here) = here {
                put(&mut self.bytes, at + pointer - 1, &here.address.octets());
            }
            self.bytes[at + 2] += 4;
            self.records_address = true;
        }
        self.record_route = Some(at);
        Ok(())
    }

    fn read_stamps(
        &mut self,
        at: usize,
        len: usize,
        here: Option<Here>,
        privileged: bool,
        elsewhere: &dyn Fn(Ipv4Addr) -> bool,
    ) -> Result<(), usize> {
        if self.stamp.is_some() {
            return Err(at);
        }
        if len < 4 {
            return Err(at + 1);
        }
        let (pointer, flags) = (byte(&self.bytes, at + 2), self.bytes[at + 3]);
        if pointer < 5 {
            return Err(at + 2);
        }
        self.stamp = Some(at);
        if pointer > len {
            // No room was left: those who found none are counted.
            if flags & 15 != stamps::PRESPECIFIED {
                if flags >> 4 == 15 {
                    return Err(at + 3);
                }
                if here.is_some() {
                    self.bytes[at + 3] = flags + 16;
                }
            }
            return Ok(());
        }
        let kind = flags & 15;
        let pair = kind == stamps::WITH_ADDRESSES || kind == stamps::PRESPECIFIED;
        if pointer + if pair { 7 } else { 3 } > len {
            return Err(at + 2);
        }
        let place = at + pointer - 1;
        match kind {
            stamps::ONLY => self.bytes[at + 2] += 4,
            stamps::WITH_ADDRESSES => {
                if let Some(here) = here {
                    put(&mut self.bytes, place, &here.address.octets());
                }
                self.stamps_address = true;
                self.bytes[at + 2] += 8;
            }
            stamps::PRESPECIFIED => {
                if address(&self.bytes, place).is_some_and(elsewhere) {
                    return Ok(());
                }
                self.bytes[at + 2] += 8;
            }
            _ if !privileged => return Err(at + 3),
            _ => return Ok(()),
        }
        self.stamps_time = true;
        if let Some(here) = here {
            put(&mut self.bytes, if pair { place + 4 } else { place }, &here.time.to_be_bytes());
        }
        Ok(())
    }

    /// How many bytes they take in a header.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of options that have come.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether they have a source route.
    pub fn has_source_route(&self) -> bool {
        self.source_route.is_some()
    }

    /// Whether a source route has further addresses to go to.
    pub fn goes_on(&self) -> bool {
        self.source_route.is_some_and(|at| byte(&self.bytes, at + 2) <= byte(&self.bytes, at + 1))
    }

    /// Where a packet with a source route goes first, and whether that must be a neighbour.
    pub fn first_hop(&self) -> Option<(Ipv4Addr, bool)> {
        self.first_hop.map(|hop| (hop, self.strict))
    }

    /// Whether routers are to have a look at such a packet.
    pub fn alerts_routers(&self) -> bool {
        self.router_alert
    }

    /// The bytes that a packet to `destination` leaves with.
    pub fn built(&self, destination: Ipv4Addr, here: Here) -> OptionBytes {
        let mut out = self.bytes.clone();
        if let Some(at) = self.source_route {
            let len = byte(&out, at + 1);
            put(&mut out, at + len - 4, &destination.octets());
        }
        if let Some(at) = self.record_route.filter(|_| self.records_address) {
            let pointer = byte(&out, at + 2);
            put(&mut out, at + pointer.saturating_sub(5), &here.address.octets());
        }
        if let Some(at) = self.stamp {
            let pointer = byte(&out, at + 2);
            if self.stamps_address {
                put(&mut out, at + pointer.saturating_sub(9), &here.address.octets());
            }
            if self.stamps_time {
                put(&mut out, at + pointer.saturating_sub(5), &here.time.to_be_bytes());
            }
        }
        out
    }

    /// The bytes as a program had, or would have, asked for them.
    pub fn asked_for(&self) -> OptionBytes {
        fn take_back(out: &mut OptionBytes, at: usize) {
            let pointer = byte(out, at + 2).saturating_sub(4);
            if let Some(place) = out.get_mut(at + 2) {
                *place = pointer as u8;
            }
            put(out, at + pointer.saturating_sub(1), &[0; 4]);
        }
        let mut out = self.bytes.clone();
        if let (Some(at), Some(first)) = (self.source_route, self.first_hop) {
            let len = byte(&out, at + 1);
            if len >= 7 {
                out.copy_within(at + 3..at + len - 4, at + 7);
                put(&mut out, at + 3, &first.octets());
            }
        }
        if let Some(at) = self.record_route.filter(|_| self.records_address) {
            take_back(&mut out, at);
        }
        if let Some(at) = self.stamp {
            if self.stamps_time {
                take_back(&mut out, at);
                if byte(&out, at + 3) & 15 == usize::from(stamps::PRESPECIFIED) {
                    out[at + 2] = out[at + 2].saturating_sub(4);
                }
            }
            if self.stamps_address {
                take_back(&mut out, at);
            }
        }
        out
    }

    /// The options of an answer to a packet from `sender` that had these. `None` where they leave
    /// no room for what is to be recorded.
    pub fn answer(&self, sender: Ipv4Addr, elsewhere: impl Fn(Ipv4Addr) -> bool) -> Option<Self> {
        let mut out = Self::default();
        if let Some(at) = self.record_route {
            let len = byte(&self.bytes, at + 1);
            let pointer = byte(&self.bytes, at + 2);
            out.record_route = Some(0);
            out.bytes.try_extend_from_slice(self.bytes.get(at..at + len)?).ok()?;
            if self.records_address && pointer <= len {
                if pointer + 3 > len {
                    return None;
                }
                out.bytes[2] = pointer as u8 + 4;
                out.records_address = true;
            }
        }
        if let Some(at) = self.stamp {
            out.answer_stamps(self, at, &elsewhere)?;
        }
        if let Some(at) = self.source_route {
            out.answer_route(self, at, sender)?;
        }
        while out.bytes.len() % 4 != 0 {
            out.bytes.try_push(END).ok()?;
        }
        Some(out)
    }

    fn answer_stamps(&mut self, asked: &Self, at: usize, elsewhere: &dyn Fn(Ipv4Addr) -> bool) -> Option<()> {
        let start = self.bytes.len();
        let len = byte(&asked.bytes, at + 1);
        let mut pointer = byte(&asked.bytes, at + 2);
        self.stamp = Some(start);
        self.bytes.try_extend_from_slice(asked.bytes.get(at..at + len)?).ok()?;
        if pointer > len {
            return Some(());
        }
        for (wanted, of_time) in [(asked.stamps_address, false), (asked.stamps_time, true)] {
            if !wanted {
                continue;
            }
            if pointer + 3 > len {
                return None;
            }
            if !of_time {
                self.stamps_address = true;
                pointer += 4;
            } else if byte(&self.bytes, start + 3) & 15 != usize::from(stamps::PRESPECIFIED) {
                self.stamps_time = true;
                pointer += 4;
            } else if pointer + 7 <= len && !address(&self.bytes, start + pointer - 1).is_some_and(elsewhere) {
                self.stamps_time = true;
                pointer += 8;
            }
        }
        self.bytes[start + 2] = pointer as u8;
        Some(())
    }

    /// The way back is the way that was recorded, the other way round.
    fn answer_route(&mut self, asked: &Self, at: usize, sender: Ipv4Addr) -> Option<()> {
        let len = byte(&asked.bytes, at + 1);
        let passed = byte(&asked.bytes, at + 2).min(len + 1).saturating_sub(4) / 4;
        // The last was ourselves' way in; it is where the answer goes first.
        let hop = |n: usize| address(&asked.bytes, at + 3 + 4 * n);
        let Some(last) = passed.checked_sub(1) else { return Some(()) };
        let first = hop(last)?;
        let mut back: ArrayVec<Ipv4Addr, 10> = (0..last).rev().filter_map(hop).collect();
        // A route that begins with the sender itself is mended (RFC 1812).
        let mut entries = back.len() + 1;
        if hop(0) == Some(sender) {
            entries -= 1;
            back.truncate(entries);
        }
        if entries == 0 {
            return Some(());
        }
        let start = self.bytes.len();
        let kind = *asked.bytes.get(at)?;
        self.bytes.try_extend_from_slice(&[kind, (entries * 4 + 3) as u8, 4]).ok()?;
        for n in 0..entries {
            let octets = back.get(n).map_or([0; 4], Ipv4Addr::octets);
            self.bytes.try_extend_from_slice(&octets).ok()?;
        }
        (self.source_route, self.first_hop, self.strict) = (Some(start), Some(first), asked.strict);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Here = Here { address: Ipv4Addr::new(10, 0, 0, 2), time: 0x01020304 };

    fn send(bytes: &[u8]) -> Option<Ipv4Options> {
        Ipv4Options::to_send(bytes, false, |_| true)
    }

    #[test]
    fn a_route_is_recorded_at_both_ends() {
        let asked = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        let options = send(&asked).unwrap();
        assert_eq!(options.asked_for()[..], [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let sent = options.built(Ipv4Addr::LOCALHOST, HERE);
        assert_eq!(sent[..], [7, 11, 8, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        let there = Here { address: Ipv4Addr::new(10, 0, 0, 3), time: 5 };
        let come = Ipv4Options::arrived(&sent, there, |_| true).unwrap();
        assert_eq!(come.bytes(), [7, 11, 12, 10, 0, 0, 2, 10, 0, 0, 3, 0]);
        assert_eq!(come.answer(HERE.address, |_| true).unwrap().asked_for()[..], *come.bytes());
    }

    #[test]
    fn a_source_route_begins_at_its_first_address() {
        let asked = [131, 11, 4, 1, 1, 1, 1, 2, 2, 2, 2, 0];
        let options = send(&asked).unwrap();
        assert_eq!(options.first_hop(), Some((Ipv4Addr::new(1, 1, 1, 1), false)));
        assert_eq!(options.built(Ipv4Addr::new(3, 3, 3, 3), HERE)[..], [131, 11, 4, 2, 2, 2, 2, 3, 3, 3, 3, 0]);
        assert_eq!(options.asked_for()[..], asked);
    }

    #[test]
    fn stamps_have_times_and_addresses() {
        let options = send(&[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(options.built(Ipv4Addr::LOCALHOST, HERE)[..], [68, 12, 13, 1, 10, 0, 0, 2, 1, 2, 3, 4]);
        assert_eq!(options.asked_for()[..], [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        // Full: who comes now is counted.
        let come = Ipv4Options::arrived(&[68, 12, 13, 1, 10, 0, 0, 2, 1, 2, 3, 4], HERE, |_| true).unwrap();
        assert_eq!(come.bytes()[3], 0x11);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in [
            &[7_u8][..],
            &[7, 1],
            &[7, 4, 4, 0, 1],
            &[7, 7, 3, 0, 0, 0, 0],
            &[7, 7, 5, 0, 0, 0, 0],
            &[131, 6, 4, 0, 0, 0],
            &[68, 8, 4, 0, 0, 0, 0, 0],
            &[148, 3, 0],
            &[130, 4, 0, 0],
            &[7, 3, 4, 7, 3, 4],
            &[0; 41],
        ] {
            assert_eq!(send(bad), None, "{bad:?}");
        }
        assert!(Ipv4Options::to_send(&[130, 4, 0, 0], true, |_| true).is_some());
        assert_eq!(Ipv4Options::arrived(&[1, 7, 7, 3, 0, 0, 0, 0], HERE, |_| true), Err(3));
    }

    #[test]
    fn the_way_back_is_the_way_here() {
        let come = Ipv4Options::arrived(&[131, 11, 12, 1, 1, 1, 1, 2, 2, 2, 2, 0], HERE, |_| true).unwrap();
        let back = come.answer(Ipv4Addr::new(9, 9, 9, 9), |_| true).unwrap();
        assert_eq!(back.first_hop(), Some((Ipv4Addr::new(2, 2, 2, 2), false)));
        assert_eq!(back.asked_for()[..], [131, 11, 4, 2, 2, 2, 2, 1, 1, 1, 1, 0]);
    }
}
