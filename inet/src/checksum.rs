//! The Internet checksum (RFC 1071).

/// A sum in the making. Pieces are added one after the other; all but the last have an even length, or [`Sum::add`] is told.
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
        let mut chunks = bytes.chunks_exact(8);
        let mut sum = u128::from(self.total);
        for chunk in &mut chunks {
            sum += u128::from(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
        let mut total = fold64(sum);
        let mut pairs = chunks.remainder().chunks_exact(2);
        for pair in &mut pairs {
            total += u64::from(u16::from_le_bytes(pair.try_into().unwrap_or_default()));
        }
        if let [last] = pairs.remainder() {
            total += u64::from(*last);
            self.odd = true;
        }
        self.total = total;
    }

    /// Adds the pseudo header of an upper protocol (RFC 9293, 3.1; RFC 8200, 8.1). The addresses have 4 or 16 bytes.
    pub fn add_pseudo_header(&mut self, source: &[u8], destination: &[u8], protocol: u8, len: usize) {
        self.add(source);
        self.add(destination);
        self.add(&(len as u32).to_be_bytes());
        self.add(&[0, protocol]);
    }

    /// The sum folded into 16 bits, not complemented: what a device that completes checksums starts from.
    pub fn folded(self) -> [u8; 2] {
        let mut sum = self.total;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (sum as u16).to_le_bytes()
    }

    /// The checksum, as its bytes stand in a header.
    pub fn finish(self) -> [u8; 2] {
        self.folded().map(|byte| !byte)
    }
}

/// Folds into 48 bits or so, which leaves room for many more additions.
fn fold64(sum: u128) -> u64 {
    let folded = (sum as u64 as u128) + (sum >> 64);
    let folded = (folded & 0xffff_ffff) + (folded >> 32);
    folded as u64
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
