//! The extension headers of IPv6 packets (RFC 8200, 4): what a program asks to be sent, and what
//! has come.

use alloc::vec::Vec;

use crate::Bytes;

/// Values of `Next Header`.
#[allow(missing_docs)]
pub mod next {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTHENTICATION: u8 = 51;
    pub const DESTINATION: u8 = 60;
}

/// The shortest header, and the unit of their lengths.
pub const UNIT: usize = 8;
/// The longest that a program may ask for.
pub const MAX_LEN: usize = 8 * 255;

/// How long a header says that it is.
pub fn len_of(header: &[u8]) -> Option<usize> {
    header.get(1).map(|units| UNIT * (1 + usize::from(*units)))
}

/// The headers that packets are to carry, in the order in which they stand; an empty one is none.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    /// `IPV6_HOPOPTS`.
    pub hop_by_hop: Bytes,
    /// `IPV6_RTHDRDSTOPTS`: it stands only before a routing header.
    pub before_routing: Bytes,
    /// `IPV6_RTHDR`.
    pub routing: Bytes,
    /// `IPV6_DSTOPTS`.
    pub destination: Bytes,
}

impl Headers {
    fn in_order(&self) -> impl Iterator<Item = (u8, &Bytes)> {
        let before = Some(&self.before_routing).filter(|_| !self.routing.is_empty());
        let list = [
            (next::HOP_BY_HOP, Some(&self.hop_by_hop)),
            (next::DESTINATION, before),
            (next::ROUTING, Some(&self.routing)),
            (next::DESTINATION, Some(&self.destination)),
        ];
        list.into_iter().filter_map(|(kind, header)| header.filter(|header| !header.is_empty()).map(|header| (kind, header)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        [&self.hop_by_hop, &self.before_routing, &self.routing, &self.destination].iter().all(|header| header.is_empty())
    }

    /// How many bytes they take.
    pub fn len(&self) -> usize {
        self.in_order().map(|(_, header)| header.len()).sum()
    }

    /// How many of them each fragment of a packet has: all before the options for the destination
    /// alone.
    pub fn repeated(&self) -> usize {
        self.len() - self.destination.len()
    }

    /// Where a packet with a segment routing header goes first (RFC 8754, 4.1), in place of its
    /// destination.
    pub fn first_hop(&self) -> Option<[u8; 16]> {
        let last = usize::from(*self.routing.get(4)?);
        self.routing.get(UNIT + 16 * last..)?.first_chunk().copied()
    }

    /// The chain before an upper `protocol` to `destination`: what kind the first is, and all their
    /// bytes. `None` without memory.
    pub fn chain(&self, protocol: u8, destination: [u8; 16]) -> Option<(u8, Vec<u8>)> {
        let mut out = Vec::new();
        out.try_reserve_exact(self.len()).ok()?;
        let kinds = self.in_order().map(|(kind, _)| kind).skip(1).chain([protocol]);
        for ((kind, header), following) in self.in_order().zip(kinds) {
            let start = out.len();
            out.push(following);
            out.extend_from_slice(header.get(1..)?);
            if kind == next::ROUTING
                && let Some(last) = out.get_mut(start + UNIT..start + UNIT + 16)
            {
                last.copy_from_slice(&destination);
            }
        }
        let first = self.in_order().next().map_or(protocol, |(kind, _)| kind);
        Some((first, out))
    }
}

/// Whether a segment routing header is sound (RFC 8754, 2): the only routing header that a program
/// may have sent.
pub fn is_segment_routing(header: &[u8]) -> bool {
    const TYPE: u8 = 4;
    const TLV_HEADER: usize = 2;
    let [_, units, kind, left, last, ..] = *header else { return false };
    let entries = usize::from(last) + 1;
    if kind != TYPE || len_of(header) != Some(header.len()) || left > last || entries > usize::from(units) / 2 {
        return false;
    }
    let mut rest = header.get(UNIT + 16 * entries..).unwrap_or_default();
    while !rest.is_empty() {
        let len =
            if rest.first() == Some(&0) { 1 } else { TLV_HEADER + usize::from(rest.get(1).copied().unwrap_or(u8::MAX)) };
        let Some(following) = rest.get(len..) else { return false };
        rest = following;
    }
    true
}

/// The headers of a packet that has come: `first` says of which kind the first is, `bytes` are
/// those before the upper protocol.
pub fn of_packet(first: u8, bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> + Clone {
    let (mut kind, mut rest) = (first, bytes);
    core::iter::from_fn(move || {
        let len = match kind {
            next::FRAGMENT => UNIT,
            next::AUTHENTICATION => 4 * (2 + usize::from(*rest.get(1)?)),
            _ => len_of(rest)?,
        };
        let (header, following) = rest.split_at_checked(len)?;
        let this = kind;
        (kind, rest) = (*header.first()?, following);
        Some((this, header))
    })
}

/// Why a packet does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The sender is to be told of an option that is not known, and where in the header that is.
    pub told: Option<usize>,
    /// That goes for packets to many, too.
    pub of_many: bool,
}

/// Whether the options of a hop-by-hop or destination header let the packet go on (RFC 8200, 4.2;
/// Linux's bounds): what is not known says so itself, and padding is short and empty.
pub fn check_options(header: &[u8]) -> Result<(), Refusal> {
    const SILENT: Refusal = Refusal { told: None, of_many: false };
    const PAD1: u8 = 0;
    const PADN: u8 = 1;
    /// `IP6_DEFAULT_MAX_HBH_OPTS_CNT` and its like.
    const MAX_OPTIONS: usize = 8;
    const MAX_PADDING: usize = 7;
    let (mut rest, mut options, mut padding) = (header.get(2..).unwrap_or_default(), 0, 0);
    while let [kind, tail @ ..] = rest {
        if *kind == PAD1 {
            padding += 1;
            rest = tail;
        } else {
            let Some((data, following)) = tail.split_first().and_then(|(len, tail)| tail.split_at_checked((*len).into()))
            else {
                return Err(SILENT);
            };
            if *kind == PADN {
                padding += 2 + data.len();
                if data.iter().any(|byte| *byte != 0) {
                    return Err(SILENT);
                }
            } else {
                options += 1;
                padding = 0;
                // The two highest bits say what becomes of a packet whose option is not known.
                match if is_known(*kind) { 0 } else { kind >> 6 } {
                    0 => {}
                    1 => return Err(SILENT),
                    how => return Err(Refusal { told: Some(header.len() - rest.len()), of_many: how == 2 }),
                }
            }
            rest = following;
        }
        if padding > MAX_PADDING || options > MAX_OPTIONS {
            return Err(SILENT);
        }
    }
    Ok(())
}

/// Router alert, jumbo payload of no use here, CALIPSO: what has a meaning, or is passed over.
fn is_known(kind: u8) -> bool {
    kind == 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_form_a_chain() {
        let headers = Headers {
            hop_by_hop: Bytes::from(alloc::vec![9, 0, 1, 4, 0, 0, 0, 0]),
            before_routing: Bytes::from(alloc::vec![9, 0, 1, 4, 0, 0, 0, 1]),
            destination: Bytes::from(alloc::vec![9, 0, 1, 4, 0, 0, 0, 2]),
            ..Headers::default()
        };
        let (first, bytes) = headers.chain(17, [0; 16]).unwrap();
        assert_eq!((first, headers.len()), (next::HOP_BY_HOP, 16));
        assert_eq!(bytes, [60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 2]);
        let kinds: Vec<u8> = of_packet(first, &bytes).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [next::HOP_BY_HOP, next::DESTINATION]);
        assert_eq!(Headers::default().chain(6, [0; 16]), Some((6, Vec::new())));
    }

    #[test]
    fn options_say_what_becomes_of_the_packet() {
        let passes = |header: &[u8]| check_options(header).is_ok();
        assert!(passes(&[17, 0, 1, 4, 0, 0, 0, 0]));
        assert!(passes(&[17, 0, 0x1e, 4, 1, 2, 3, 4]));
        assert_eq!(check_options(&[17, 0, 0, 0x9e, 1, 0, 0, 0]), Err(Refusal { told: Some(3), of_many: true }));
        assert!(!passes(&[17, 0, 0x5e, 4, 1, 2, 3, 4]));
        assert!(!passes(&[17, 0, 1, 4, 0, 0, 0, 1]));
        assert!(!passes(&[17, 0, 1, 5, 0, 0, 0, 0]));
        assert!(!passes(&[17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    }
}
