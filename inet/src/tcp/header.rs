//! The TCP header (RFC 9293, 3.1) and its options.

use arrayvec::ArrayVec;
use bitflags::bitflags;

use super::{MAX_WINDOW_SCALE, Seq};

/// Length without options.
pub const MIN_LEN: usize = 20;
/// Length with all the options there can be.
pub const MAX_LEN: usize = 60;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;

bitflags! {
    /// Control bits.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags: u8 {
        /// The sender has sent all it had.
        const FIN = 1;
        /// The first segment.
        const SYN = 2;
        /// The connection is not, or no more.
        const RST = 4;
        /// The end of what was written at once.
        const PSH = 8;
        /// The acknowledgement is one.
        const ACK = 16;
        /// The urgent pointer is one.
        const URG = 32;
    }
}

/// The options that we know.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Shift of later windows.
    pub window_scale: Option<u8>,
    /// The sender understands `SACK`.
    pub sack_permitted: bool,
    /// What has arrived out of order: from, to (RFC 2018).
    pub sack: ArrayVec<(Seq, Seq), 3>,
}

/// A segment's header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Port of the sender.
    pub source: u16,
    /// Port of the receiver.
    pub destination: u16,
    /// Number of the first byte, or of `SYN`.
    pub seq: Seq,
    /// The number that the sender waits for, with [`Flags::ACK`].
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// Window as it stands in the header, not shifted.
    pub window: u16,
    /// How far behind `seq` the urgent data ends, with [`Flags::URG`].
    pub urgent: u16,
    /// Options.
    pub options: Options,
}

impl Header {
    /// Reads the header of a segment, and tells where its payload begins. `None` if it is cut
    /// short. The checksum is the caller's business.
    pub fn parse(bytes: &[u8]) -> Option<(Header, usize)> {
        let fixed: &[u8; MIN_LEN] = bytes.first_chunk()?;
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, off, flags, w0, w1, _, _, u0, u1] = *fixed;
        let end = usize::from(off >> 4) * 4;
        let options = bytes.get(MIN_LEN..end)?;
        let header = Header {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            seq: Seq(u32::from_be_bytes([q0, q1, q2, q3])),
            ack: Seq(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: Flags::from_bits_truncate(flags),
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options: Options::parse(options),
        };
        Some((header, end))
    }

    /// Writes the header, with a checksum of 0, and answers its length.
    pub fn emit(&self, out: &mut [u8; MAX_LEN]) -> usize {
        let end = MIN_LEN + self.options.emit(&mut out[MIN_LEN..]);
        out[0..2].copy_from_slice(&self.source.to_be_bytes());
        out[2..4].copy_from_slice(&self.destination.to_be_bytes());
        out[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        out[12] = (end as u8 / 4) << 4;
        out[13] = self.flags.bits();
        out[14..16].copy_from_slice(&self.window.to_be_bytes());
        out[16..18].fill(0);
        out[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        end
    }

    /// Sequence numbers that the segment takes, with a payload of `len` bytes.
    pub fn span(&self, len: usize) -> u32 {
        len as u32 + u32::from(self.flags.contains(Flags::SYN)) + u32::from(self.flags.contains(Flags::FIN))
    }
}

impl Options {
    /// Reads what is known and well-formed; the rest is passed over, and nothing after a broken
    /// length is read.
    fn parse(mut bytes: &[u8]) -> Options {
        let mut options = Options::default();
        while let [kind, rest @ ..] = bytes {
            match *kind {
                END => break,
                NOP => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(len) = rest.first().map(|len| usize::from(*len)).filter(|len| *len >= 2) else { break };
            let Some(value) = bytes.get(2..len) else { break };
            match (*kind, value) {
                (MSS, &[a, b]) => options.mss = Some(u16::from_be_bytes([a, b])),
                (WINDOW_SCALE, &[shift]) => options.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
                (SACK_PERMITTED, []) => options.sack_permitted = true,
                (SACK, blocks) => {
                    for block in blocks.chunks_exact(8) {
                        let (Some(from), Some(to)) = (block.first_chunk::<4>(), block.last_chunk::<4>()) else { break };
                        let _ = options.sack.try_push((Seq(u32::from_be_bytes(*from)), Seq(u32::from_be_bytes(*to))));
                    }
                }
                _ => {}
            }
            bytes = bytes.get(len..).unwrap_or_default();
        }
        options
    }

    /// Writes the options, padded to whole words. At most 40 bytes: all four kinds take 4 + 4 + 4 +
    /// 28.
    fn emit(&self, out: &mut [u8]) -> usize {
        let mut list: ArrayVec<u8, 40> = ArrayVec::new();
        let mut put = |bytes: &[u8]| {
            let _ = list.try_extend_from_slice(bytes);
        };
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            put(&[MSS, 4, a, b]);
        }
        if self.sack_permitted {
            put(&[NOP, NOP, SACK_PERMITTED, 2]);
        }
        if let Some(shift) = self.window_scale {
            put(&[NOP, WINDOW_SCALE, 3, shift]);
        }
        if !self.sack.is_empty() {
            put(&[NOP, NOP, SACK, 2 + 8 * self.sack.len() as u8]);
            for (from, to) in &self.sack {
                put(&from.0.to_be_bytes());
                put(&to.0.to_be_bytes());
            }
        }
        let len = list.len();
        if let Some(room) = out.get_mut(..len) {
            room.copy_from_slice(&list);
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut header = Header {
            source: 80,
            destination: 1024,
            seq: Seq(7),
            ack: Seq(u32::MAX),
            flags: Flags::SYN | Flags::ACK,
            window: 65535,
            urgent: 9,
            options: Options { mss: Some(1460), window_scale: Some(7), sack_permitted: true, ..Options::default() },
        };
        header.options.sack.push((Seq(1), Seq(2)));
        let mut out = [0; MAX_LEN];
        let len = header.emit(&mut out);
        assert_eq!(Header::parse(&out[..len]), Some((header, len)));
    }

    #[test]
    fn broken_headers() {
        assert_eq!(Header::parse(&[0; 19]), None);
        let mut short = [0u8; 20];
        short[12] = 6 << 4;
        assert_eq!(Header::parse(&short), None, "the options are missing");
        short[12] = 4 << 4;
        assert_eq!(Header::parse(&short), None, "an offset into the header");
    }

    #[test]
    fn broken_options() {
        assert_eq!(Options::parse(&[2, 4, 5]), Options::default());
        assert_eq!(Options::parse(&[2, 0, 5, 5]), Options::default());
        assert_eq!(Options::parse(&[99, 4, 0, 0, 2, 4, 1, 0]).mss, Some(256));
        assert_eq!(Options::parse(&[3, 3, 200]).window_scale, Some(14));
    }
}
