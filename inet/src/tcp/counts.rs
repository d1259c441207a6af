//! What a connection counts of itself (RFC 4898), for those who measure it.

use super::output::Transmit;
use super::{Flags, Seq};

/// Segments and bytes that went both ways. What the device cut or put together counts as what was
/// on the wire.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Segments sent.
    pub sent: u32,
    /// Of these, with bytes.
    pub data_sent: u32,
    /// Segments received.
    pub received: u32,
    /// Of these, with bytes.
    pub data_received: u32,
    /// Bytes sent, again and again.
    pub bytes_sent: u64,
    /// Bytes sent again.
    pub bytes_again: u64,
    /// Segments sent for the first time that await an answer: with bytes, `SYN` or `FIN`.
    pub first: u32,
    /// Segments that came ahead of others.
    pub ahead: u32,
}

impl Counts {
    /// A segment goes out, where `max` was behind all that went before.
    pub(super) fn went(&mut self, segment: &Transmit, max: Seq) {
        let len = segment.len as u64;
        let pieces = segments(segment.len, segment.segment_size);
        self.sent += pieces;
        self.bytes_sent += len;
        if len > 0 {
            self.data_sent += pieces;
        }
        if segment.header.seq < max {
            self.bytes_again += len;
        } else if len > 0 || segment.header.flags.intersects(Flags::SYN | Flags::FIN) {
            self.first += pieces;
        }
    }

    /// A segment with `len` bytes has come, where the other side sends `mss` at a time.
    pub(super) fn came(&mut self, len: usize, mss: u32) {
        let pieces = segments(len, mss as usize);
        self.received += pieces;
        if len > 0 {
            self.data_received += pieces;
        }
    }
}

fn segments(len: usize, size: usize) -> u32 {
    if size == 0 { 1 } else { len.div_ceil(size).max(1) as u32 }
}
