//! Which flow a frame belongs to: a number that is the same for all frames between two ends, in
//! both directions.

use super::Seen;

/// Where the ports are and which addresses, in a packet of IP; the transport's protocol is the
/// last.
struct Parts<'a> {
    ends: [&'a [u8]; 2],
    upper: usize,
    protocol: u8,
}

fn parts(packet: &[u8]) -> Option<Parts<'_>> {
    match packet.first()? >> 4 {
        4 => {
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff != 0;
            let protocol = if fragment { 0 } else { *packet.get(9)? };
            let upper = usize::from(packet.first()? & 15) * 4;
            Some(Parts { ends: [packet.get(12..16)?, packet.get(16..20)?], upper, protocol })
        }
        6 => Some(Parts { ends: [packet.get(8..24)?, packet.get(24..40)?], upper: 40, protocol: *packet.get(6)? }),
        _ => None,
    }
}

/// Where the transport's header begins in a packet of IP, and where in that its checksum is, if it
/// is TCP or UDP.
pub fn checksum_place(packet: &[u8]) -> Option<(usize, usize)> {
    let parts = parts(packet)?;
    match parts.protocol {
        6 => Some((parts.upper, 16)),
        17 => Some((parts.upper, 6)),
        _ => None,
    }
}

fn fold(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// The flow's number. What is not IP is a flow by its hardware addresses.
pub fn hash(seen: &Seen<'_>) -> u32 {
    let packet = seen.bytes.get(seen.link..).unwrap_or_default();
    let ip = matches!(seen.protocol, 0x0800 | 0x86dd).then(|| parts(packet)).flatten();
    let (one, other, protocol) = match ip {
        Some(Parts { ends: [from, to], upper, protocol }) => {
            let ports = matches!(protocol, 6 | 17).then(|| packet.get(upper..upper + 4)).flatten();
            let (source, target) = ports.unwrap_or_default().split_at(ports.map_or(0, |_| 2));
            let end = |address, port| fold(address) << 16 ^ fold(port);
            (end(from, source), end(to, target), protocol)
        }
        None => {
            let address = |from| seen.bytes.get(from..from + 6).map_or(0, fold);
            if seen.link == 0 { (0, 0, 0) } else { (address(0), address(6), 0) }
        }
    };
    crate::secret().hash(&[one.min(other), one.max(other), u64::from(seen.protocol) << 8 | u64::from(protocol)]) as u32
}
