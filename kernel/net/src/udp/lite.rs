//! What UDP-Lite has that UDP has not (udplite(7)): the coverage that sockets ask for, and headers
//! that tell of it.

use core::iter;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};

use inet::tcp::Pieces;
use inet::udplite;

use super::HEADER;
use crate::input::Incoming;

/// `UDPLITE_SEND_CSCOV`.
pub const SEND: u32 = 10;
/// `UDPLITE_RECV_CSCOV`.
pub const RECEIVE: u32 = 11;

/// Nothing was asked for.
const UNSET: u32 = u32::MAX;

/// How much of a datagram a socket wants covered by its checksum: what it sends, and what it takes.
pub struct Coverage {
    send: AtomicU32,
    receive: AtomicU32,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage { send: AtomicU32::new(UNSET), receive: AtomicU32::new(UNSET) }
    }
}

impl Coverage {
    fn of(&self, option: u32) -> Option<&AtomicU32> {
        match option {
            SEND => Some(&self.send),
            RECEIVE => Some(&self.receive),
            _ => None,
        }
    }

    /// setsockopt(2): the header is always covered, 0 asks for all. `None`: not one of these
    /// options.
    pub fn set(&self, option: u32, number: i32) -> Option<()> {
        let least = udplite::HEADER as i32;
        let number = if number == 0 { 0 } else { number.clamp(least, u16::MAX.into()) };
        self.of(option).map(|slot| slot.store(number as u32, Ordering::Relaxed))
    }

    /// getsockopt(2).
    pub fn get(&self, option: u32) -> Option<i32> {
        let asked = self.of(option)?.load(Ordering::Relaxed);
        Some(if asked == UNSET { 0 } else { asked as i32 })
    }

    /// Whether the socket takes a datagram of which only the first bytes are covered; `None`: all
    /// of it is, which pleases all.
    pub fn accepts(&self, covered: Option<usize>) -> bool {
        let least = self.receive.load(Ordering::Relaxed);
        let Some(covered) = covered else { return true };
        least == UNSET || least != 0 && covered >= least as usize
    }

    /// Writes the coverage and the checksum of a datagram into its header.
    pub fn seal(&self, header: &mut [u8; HEADER], ends: (&IpAddr, &IpAddr), payload: &Pieces) {
        let len = HEADER + payload.bytes();
        let asked = u16::try_from(self.send.load(Ordering::Relaxed)).ok();
        let field = udplite::field(asked, len);
        header[4..6].copy_from_slice(&field.to_be_bytes());
        header[6..8].fill(0);
        let pieces = iter::once(&header[..]).chain(payload.iter().map(|piece| &piece[..]));
        let covered = if field == 0 { len } else { field.into() };
        let sum = match udplite::checksum(ends, covered, pieces) {
            // Zeroes would say that there is none, which is not allowed (RFC 3828, 3.1).
            [0, 0] => [0xff, 0xff],
            sum => sum,
        };
        header[6..8].copy_from_slice(&sum);
    }
}

/// How many bytes of a datagram are covered, of which the header's field is `field`: `None` within
/// for all. `None` where the datagram is to be dropped. No card knows this checksum, so it is
/// looked at here even of what came from ourselves.
pub fn covered(incoming: &Incoming<'_>, field: u16) -> Option<Option<usize>> {
    let len = incoming.head.len() + incoming.tail.len();
    let covered = udplite::covered(field, len)?;
    let pieces = [&incoming.head[..], &incoming.tail[..]].into_iter();
    let right = incoming.head.get(6..HEADER)? != [0, 0]
        && udplite::checksum((&incoming.source, &incoming.destination), covered, pieces) == [0, 0];
    right.then_some((covered < len).then_some(covered))
}
