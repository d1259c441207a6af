//! UDP-Lite (RFC 3828): UDP whose checksum covers as much of a datagram as its sender says.

use core::net::IpAddr;

use crate::checksum::Sum;
use crate::ip::octets;

/// The protocol's number.
pub const PROTOCOL: u8 = 136;
/// Length of the header, which is always covered.
pub const HEADER: usize = 8;

/// The header's third field, for a datagram of `len` bytes whose sender asks for `asked` bytes; 0
/// stands for all of them.
pub fn field(asked: Option<u16>, len: usize) -> u16 {
    let all = u16::try_from(len).unwrap_or(0);
    asked.filter(|asked| usize::from(*asked) < len).unwrap_or(all)
}

/// How many of a datagram's `len` bytes a header's field says are covered. `None` where a datagram
/// with it is to be dropped.
pub fn covered(field: u16, len: usize) -> Option<usize> {
    match usize::from(field) {
        0 => Some(len),
        covered if (HEADER..=len).contains(&covered) => Some(covered),
        _ => None,
    }
}

/// The checksum of a datagram that goes from `source` to `destination`: over the pseudo header,
/// which has the whole length, and the first `covered` bytes of the pieces.
pub fn checksum<'a>(
    (source, destination): (&IpAddr, &IpAddr),
    covered: usize,
    pieces: impl Iterator<Item = &'a [u8]> + Clone,
) -> [u8; 2] {
    let ((source, n), (destination, _)) = (octets(source), octets(destination));
    let mut sum = Sum::default();
    let len = pieces.clone().map(<[u8]>::len).sum();
    let [source, destination] = [&source, &destination].map(|address| address.get(..n).unwrap_or_default());
    sum.add_pseudo_header(source, destination, PROTOCOL, len);
    let mut left = covered;
    for piece in pieces {
        let part = piece.get(..left).unwrap_or(piece);
        sum.add(part);
        left -= part.len();
    }
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        assert_eq!(field(None, 28), 28);
        assert_eq!(field(Some(0), 28), 0);
        assert_eq!(field(Some(8), 28), 8);
        assert_eq!(field(Some(28), 28), 28);
        assert_eq!(field(Some(100), 28), 28);
        // A jumbogram's length does not fit; all of it is covered.
        assert_eq!(field(None, 70_000), 0);
    }

    #[test]
    fn coverage_that_is_no_coverage() {
        assert_eq!(covered(0, 28), Some(28));
        assert_eq!(covered(8, 28), Some(8));
        assert_eq!(covered(28, 28), Some(28));
        for bad in [1, 7, 29, 65535] {
            assert_eq!(covered(bad, 28), None, "{bad}");
        }
    }

    #[test]
    fn only_what_is_covered_counts() {
        let ends = (&IpAddr::from([127, 0, 0, 1]), &IpAddr::from([127, 0, 0, 2]));
        let mut bytes: alloc::vec::Vec<u8> = (0..40).map(|n: u8| n.wrapping_mul(37)).collect();
        bytes[6..8].fill(0);
        for covered in [8, 9, 13, 40] {
            let sum = checksum(ends, covered, [&bytes[..8], &bytes[8..11], &bytes[11..]].into_iter());
            let mut sent = bytes.clone();
            sent[6..8].copy_from_slice(&sum);
            for damaged in 0..sent.len() {
                sent[damaged] ^= 0x41;
                let right = checksum(ends, covered, core::iter::once(&sent[..])) == [0, 0];
                assert_eq!(right, damaged >= covered, "{covered} {damaged}");
                sent[damaged] ^= 0x41;
            }
        }
    }
}
