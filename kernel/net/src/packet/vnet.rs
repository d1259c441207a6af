//! What stands before a frame where a program wants it (`PACKET_VNET_HDR`): `struct virtio_net_hdr`
//! (virtio 1.2, 5.1.6), which says how far its checksums are, and into what it is to be cut.

use inet::checksum;
use syscall_shim::{Errno, SysResult};

use super::{Checksums, flow};

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`, `VIRTIO_NET_HDR_F_DATA_VALID`.
const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
/// `VIRTIO_NET_HDR_GSO_*`: TCP over IPv4, UDP fragments, TCP over IPv6, UDP; and the mark of
/// congestion that may be set besides.
const CUT: [u8; 4] = [1, 3, 4, 5];
const ECN: u8 = 0x80;

/// The header of a frame that has come in: `packet` from its IP header on, which is at `at` in what
/// the program sees.
pub fn describe(packet: &[u8], at: usize, checksums: Checksums) -> [u8; 12] {
    let mut out = [0; 12];
    match checksums {
        Checksums::Unknown => {}
        Checksums::Right => out[0] = DATA_VALID,
        Checksums::Missing => {
            if let Some((start, offset)) = flow::checksum_place(packet) {
                out[0] = NEEDS_CHECKSUM;
                out[6..8].copy_from_slice(&((at + start) as u16).to_ne_bytes());
                out[8..10].copy_from_slice(&(offset as u16).to_ne_bytes());
            }
        }
    }
    out
}

/// Does to a frame what its header wants. Whether it may be longer than the link's largest packet.
/// `EINVAL`.
pub fn apply(header: &[u8], frame: &mut [u8]) -> SysResult<bool> {
    let [flags, kind, h0, h1, s0, s1, c0, c1, o0, o1, ..] = *header else { return Err(Errno::EINVAL) };
    let half = |a, b| usize::from(u16::from_ne_bytes([a, b]));
    let (mut head, size, start, offset) = (half(h0, h1), half(s0, s1), half(c0, c1), half(o0, o1));
    let sums = flags & NEEDS_CHECKSUM != 0;
    if sums {
        head = head.max(start + offset + 2);
    }
    let kind = kind & !ECN;
    if head > frame.len() || kind != 0 && (size == 0 || !CUT.contains(&kind)) {
        return Err(Errno::EINVAL);
    }
    if sums {
        // The place of the checksum holds the sum of what the transport's own header does not have.
        let sum = match checksum::of(frame.get(start..).ok_or(Errno::EINVAL)?) {
            [0, 0] if offset == 6 => [0xff, 0xff],
            sum => sum,
        };
        let place = frame.get_mut(start + offset..).and_then(|rest| rest.first_chunk_mut::<2>());
        *place.ok_or(Errno::EINVAL)? = sum;
    }
    Ok(kind != 0)
}
