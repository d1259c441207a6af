//! Telling routers which groups we listen to: IGMPv3 (RFC 3376) and MLDv2 (RFC 3810), as whole IP
//! packets.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::{self, Sum};

/// Where reports go: all routers that understand them.
pub const ROUTERS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// See [`ROUTERS_V4`].
pub const ROUTERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// IGMP's protocol number.
pub const IGMP: u8 = 2;

const IGMP_QUERY: u8 = 0x11;
const IGMP_REPORT: u8 = 0x22;
const MLD_QUERY: u8 = 130;
const MLD_REPORT: u8 = 143;
const ICMPV6: u8 = 58;
/// Groups that one report may name, so that it fits the smallest packet.
pub const MAX_GROUPS: usize = 32;

/// What a report says of a group. All senders are listened to, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// It is listened to, in answer to a query (`MODE_IS_EXCLUDE`, nobody).
    Is = 2,
    /// It is not any more (`CHANGE_TO_INCLUDE_MODE`, nobody).
    Leave = 3,
    /// It is from now on (`CHANGE_TO_EXCLUDE_MODE`, nobody).
    Join = 4,
}

/// Whether routers have to know of a group: not of those that never leave the link's own business.
pub fn is_reported(group: &IpAddr) -> bool {
    match group {
        IpAddr::V4(v4) => v4.is_multicast() && *v4 != Ipv4Addr::new(224, 0, 0, 1),
        // Interface-local groups and all nodes (RFC 3810, 6).
        IpAddr::V6(v6) => v6.is_multicast() && v6.octets()[1] & 15 > 1 && *v6 != Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    }
}

/// The packet that reports groups of one family, at most [`MAX_GROUPS`]. Its source is ours, of
/// that family.
pub fn report(source: &IpAddr, record: Record, groups: &[IpAddr]) -> Vec<u8> {
    let groups = groups.get(..groups.len().min(MAX_GROUPS)).unwrap_or_default();
    match source {
        IpAddr::V4(source) => igmp(source, record, groups),
        IpAddr::V6(source) => mld(source, record, groups),
    }
}

fn patch(out: &mut [u8], at: usize, sum: [u8; 2]) {
    if let Some(room) = out.get_mut(at..at + 2) {
        room.copy_from_slice(&sum);
    }
}

fn igmp(source: &Ipv4Addr, record: Record, groups: &[IpAddr]) -> Vec<u8> {
    const HEADER: usize = 24;
    let len = (HEADER + 8 + 8 * groups.len()) as u16;
    let [l0, l1] = len.to_be_bytes();
    // Precedence 'internetwork control', time to live 1, and the option that makes routers look
    // (RFC 2113).
    let mut out = alloc::vec![0x46, 0xc0, l0, l1, 0, 0, 0x40, 0, 1, IGMP, 0, 0];
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&ROUTERS_V4.octets());
    out.extend_from_slice(&[0x94, 4, 0, 0]);
    let sum = checksum::of(&out);
    patch(&mut out, 10, sum);
    out.extend_from_slice(&[IGMP_REPORT, 0, 0, 0, 0, 0, 0, groups.len() as u8]);
    for group in groups {
        if let IpAddr::V4(group) = group {
            out.extend_from_slice(&[record as u8, 0, 0, 0]);
            out.extend_from_slice(&group.octets());
        }
    }
    let sum = checksum::of(out.get(HEADER..).unwrap_or_default());
    patch(&mut out, HEADER + 2, sum);
    out
}

fn mld(source: &Ipv6Addr, record: Record, groups: &[IpAddr]) -> Vec<u8> {
    const HEADERS: usize = 48;
    let message = 8 + 20 * groups.len();
    let [l0, l1] = ((message + 8) as u16).to_be_bytes();
    let mut out = alloc::vec![0x60, 0, 0, 0, l0, l1, 0, 1];
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&ROUTERS_V6.octets());
    // The hop-by-hop option that makes routers look (RFC 2711), and padding.
    out.extend_from_slice(&[ICMPV6, 0, 5, 2, 0, 0, 1, 0]);
    out.extend_from_slice(&[MLD_REPORT, 0, 0, 0, 0, 0, 0, groups.len() as u8]);
    for group in groups {
        if let IpAddr::V6(group) = group {
            out.extend_from_slice(&[record as u8, 0, 0, 0]);
            out.extend_from_slice(&group.octets());
        }
    }
    let mut sum = Sum::default();
    sum.add_pseudo_header(&source.octets(), &ROUTERS_V6.octets(), ICMPV6, message);
    sum.add(out.get(HEADERS..).unwrap_or_default());
    patch(&mut out, HEADERS + 2, sum.finish());
    out
}

/// What a router asks: after which group, `None` for all, and within how many milliseconds it wants
/// to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// The group.
    pub group: Option<IpAddr>,
    /// The longest delay in milliseconds.
    pub within: u64,
}

/// A number in the form of a byte or two with an exponent (RFC 3376, 4.1.1; RFC 3810, 5.1.3).
fn number(code: u64, mantissa_bits: u32) -> u64 {
    let top = 1 << (mantissa_bits + 3);
    if code < top {
        return code;
    }
    let mantissa = code & ((1 << mantissa_bits) - 1) | 1 << mantissa_bits;
    mantissa << ((code >> mantissa_bits & 7) + 3)
}

/// Reads an IGMP message, its checksum found right.
pub fn parse_igmp(message: &[u8]) -> Option<Query> {
    let [kind, code, _, _, a, b, c, d, ..] = *message else { return None };
    let group = Ipv4Addr::new(a, b, c, d);
    // IGMPv1 has no code, and means ten seconds (RFC 2236, 4).
    let tenths = if code == 0 { 100 } else { number(code.into(), 4) };
    let group = (!group.is_unspecified()).then_some(IpAddr::V4(group));
    (kind == IGMP_QUERY).then_some(Query { group, within: tenths * 100 })
}

/// Reads an MLD message, its checksum found right.
pub fn parse_mld(message: &[u8]) -> Option<Query> {
    let header: &[u8; 24] = message.first_chunk()?;
    let group = Ipv6Addr::from(*header.last_chunk::<16>()?);
    let within = number(u16::from_be_bytes([header[4], header[5]]).into(), 12);
    let group = (!group.is_unspecified()).then_some(IpAddr::V6(group));
    (header[0] == MLD_QUERY).then_some(Query { group, within })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_well_formed() {
        let group: IpAddr = "239.1.2.3".parse().unwrap();
        let packet = report(&"10.0.2.15".parse().unwrap(), Record::Join, &[group]);
        assert_eq!(packet.len(), 40);
        assert_eq!((checksum::of(&packet[..24]), checksum::of(&packet[24..])), ([0, 0], [0, 0]));
        assert_eq!(packet[24..], [0x22, 0, packet[26], packet[27], 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 2, 3]);

        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let packet = report(&IpAddr::V6(source), Record::Leave, &["ff05::7".parse().unwrap()]);
        assert_eq!((packet.len(), packet[5], packet[48]), (76, 36, 143));
        let mut sum = Sum::default();
        sum.add_pseudo_header(&source.octets(), &ROUTERS_V6.octets(), ICMPV6, 28);
        sum.add(&packet[48..]);
        assert_eq!(sum.finish(), [0, 0]);
    }

    #[test]
    fn queries() {
        let all = Query { group: None, within: 10_000 };
        assert_eq!(parse_igmp(&[0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]), Some(all));
        assert_eq!(parse_igmp(&[0x11, 0, 0, 0, 0, 0, 0, 0]), Some(all), "the oldest version");
        assert_eq!(parse_igmp(&[0x11, 0x8f, 0, 0, 239, 0, 0, 1]).unwrap().within, 31 * 8 * 100);
        assert_eq!(parse_igmp(&[0x22, 0, 0, 0, 0, 0, 0, 0]), None);
        let mut message = [0; 28];
        message[0] = 130;
        message[4] = 0x27;
        message[5] = 0x10;
        assert_eq!(parse_mld(&message), Some(all));
        assert_eq!(parse_mld(&message[..20]), None);
    }

    #[test]
    fn what_need_not_be_reported() {
        for (group, reported) in [("224.0.0.1", false), ("224.0.0.251", true), ("ff02::1", false), ("ff01::5", false)] {
            assert_eq!(is_reported(&group.parse().unwrap()), reported, "{group}");
        }
        assert!(is_reported(&"ff02::fb".parse().unwrap()));
    }
}
