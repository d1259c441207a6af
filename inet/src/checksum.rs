//! The Internet checksum (RFC 1071).

/// A sum in the making. Pieces are added one after the other; all but the last have an even length,
/// or [`Sum::add`] is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    total: u64,
    /// An odd number of bytes has been added, so the next one is the low half of its word.
    odd: bool,
}

impl Sum {
    /// Adds bytes, eight at a time.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.odd
            && let Some((first, rest)) = bytes.split_first()
        {
            self.total += u64::from(*first) << 8;
            self.odd = false;
            bytes = rest;
        }
        // Native order throughout; the carry makes the sum of wider words the same (RFC 1071, 2).
        let (words, rest) = bytes.as_chunks::<8>();
        let (mut sum, mut carries) = (self.total, 0u64);
        for word in words {
            let (next, carry) = sum.overflowing_add(u64::from_le_bytes(*word));
            sum = next;
            carries += u64::from(carry);
        }
        let mut total = (sum & 0xffff_ffff) + (sum >> 32) + carries;
        let (pairs, rest) = rest.as_chunks::<2>();
        for pair in pairs {
            total += u64::from(u16::from_le_bytes(*pair));
        }
        if let [last] = rest {
            total += u64::from(*last);
            self.odd = true;
        }
        self.total = total;
    }

    /// Adds the pseudo header of an upper protocol (RFC 9293, 3.1; RFC 8200, 8.1). The addresses
    /// have 4 or 16 bytes.
    pub fn add_pseudo_header(&mut self, source: &[u8], destination: &[u8], protocol: u8, len: usize) {
        match (source, destination) {
            (&[a, b, c, d], &[e, f, g, h]) => {
                self.total += u64::from(u32::from_le_bytes([a, b, c, d])) + u64::from(u32::from_le_bytes([e, f, g, h]));
            }
            _ => {
                self.add(source);
                self.add(destination);
            }
        }
        self.total += u64::from((len as u32).to_be()) + u64::from(u16::from_le_bytes([0, protocol]));
    }

    /// The sum folded into 16 bits, not complemented: what a device that completes checksums starts
    /// from.
    pub fn folded(self) -> [u8; 2] {
        let sum = (self.total & 0xffff_ffff) + (self.total >> 32);
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        (sum as u16).to_le_bytes()
    }

    /// The checksum, as its bytes stand in a header.
    pub fn finish(self) -> [u8; 2] {
        self.folded().map(|byte| !byte)
    }
}

/// The checksum of one piece.
pub fn of(bytes: &[u8]) -> [u8; 2] {
    let mut sum = Sum::default();
    sum.add(bytes);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(bytes: &[u8]) -> [u8; 2] {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }

    #[test]
    fn as_the_rfc_sums_it() {
        let bytes: alloc::vec::Vec<u8> = (0..4000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
        for len in [0, 1, 2, 3, 7, 8, 9, 20, 1459, 1460, 4000] {
            assert_eq!(of(&bytes[..len]), slow(&bytes[..len]), "{len}");
        }
    }

    #[test]
    fn pieces_of_odd_length() {
        let bytes: alloc::vec::Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(5)).collect();
        for (a, b) in [(1, 2), (3, 50), (9, 10), (7, 99)] {
            let mut sum = Sum::default();
            sum.add(&bytes[..a]);
            sum.add(&bytes[a..b]);
            sum.add(&bytes[b..]);
            assert_eq!(sum.finish(), of(&bytes), "{a} {b}");
        }
    }
}
