//! Packets out: IP headers, checksums, and the choice of what carries them.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU16, Ordering};

use inet::checksum::Sum;
use inet::ip::octets;
use inet::ipv6_headers::{next, of_packet};
use inet::tcp::Pieces;
use smoltcp::wire::EthernetProtocol;
use syscall_shim::{Errno, SysResult};

use super::arp;
use super::counts::{self, Count};
use super::extension::Between;
use super::interface::{self, Interface, Link, Looped};
use super::route::Hop;
use crate::device::{Frame, HEADER_LEN, Offload};

/// Protocol numbers.
pub const ICMP: u8 = 1;
/// See [`ICMP`].
pub const TCP: u8 = 6;
/// See [`ICMP`].
pub const UDP: u8 = 17;
/// See [`ICMP`].
pub const UDPLITE: u8 = inet::udplite::PROTOCOL;
/// See [`ICMP`].
pub const ICMPV6: u8 = 58;

/// Default hop limit (`net.ipv4.ip_default_ttl`).
pub const TTL: u8 = 64;
/// Payloads up to this size are copied behind the head: one descriptor is cheaper than two.
const COPY_BELOW: usize = 512;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

/// A packet of an upper protocol.
#[derive(Clone)]
pub struct Outgoing<'a> {
    /// Our address.
    pub source: IpAddr,
    /// Where it goes, of the same family.
    pub destination: IpAddr,
    /// The upper protocol.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// The upper protocol's header, its checksum 0.
    pub header: &'a [u8],
    /// Where in `header` the checksum belongs, if the protocol has one over the pseudo header.
    pub checksum_at: Option<usize>,
    /// What follows.
    pub payload: Pieces,
    /// The payload is to be cut into segments of this size by the device.
    pub segment_size: Option<u16>,
    /// What stands before the upper protocol's header.
    pub between: Option<&'a Between>,
}

impl Outgoing<'_> {
    fn between(&self) -> &[u8] {
        self.between.map_or(&[], |between| &between.bytes)
    }

    /// Length of the IP header, with all that stands before the upper protocol's.
    fn header_len(&self) -> usize {
        header_len(&self.source) + self.between().len()
    }
}

/// Numbers IPv4 packets, for their fragments' sake.
static IDENTIFICATION: AtomicU16 = AtomicU16::new(1);

/// Length of the IP header of a family.
pub fn header_len(address: &IpAddr) -> usize {
    if address.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER }
}

/// Appends the IP header, and what stands before the upper protocol's. `fragment` is IPv4's flags
/// and offset.
fn ip_header(packet: &Outgoing<'_>, len: usize, identification: u16, fragment: u16, out: &mut Vec<u8>) {
    let between = packet.between();
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [l0, l1] = ((IPV4_HEADER + between.len() + len) as u16).to_be_bytes();
            let ([i0, i1], [f0, f1]) = (identification.to_be_bytes(), fragment.to_be_bytes());
            let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (source.octets(), destination.octets());
            let mut header = [
                0x45 + (between.len() / 4) as u8,
                packet.tos,
                l0,
                l1,
                i0,
                i1,
                f0,
                f1,
                packet.ttl,
                packet.protocol,
                0,
                0,
                s0,
                s1,
                s2,
                s3,
                d0,
                d1,
                d2,
                d3,
            ];
            let mut sum = Sum::default();
            sum.add(&header);
            sum.add(between);
            [header[10], header[11]] = sum.finish();
            out.extend_from_slice(&header);
        }
        (source, destination) => {
            let [l0, l1] = ((between.len() + len) as u16).to_be_bytes();
            let next = packet.between.map_or(packet.protocol, |between| between.first);
            out.extend_from_slice(&[0x60 | packet.tos >> 4, packet.tos << 4, 0, 0, l0, l1, next, packet.ttl]);
            out.extend_from_slice(&octets(&source).0);
            out.extend_from_slice(&octets(&destination).0);
        }
    }
    out.extend_from_slice(between);
}

/// Appends the header that a packet with `len` bytes behind it has had.
pub fn write_header(packet: &Outgoing<'_>, len: usize, out: &mut Vec<u8>) {
    ip_header(packet, len, 0, DONT_FRAGMENT, out);
}

fn pseudo_header(packet: &Outgoing<'_>, len: usize) -> Sum {
    let ((source, n), (destination, _)) = (octets(&packet.source), octets(&packet.destination));
    let mut sum = Sum::default();
    sum.add_pseudo_header(
        source.get(..n).unwrap_or_default(),
        destination.get(..n).unwrap_or_default(),
        packet.protocol,
        len,
    );
    sum
}

/// The checksum of the whole packet.
fn full_checksum(packet: &Outgoing<'_>, len: usize) -> [u8; 2] {
    let mut sum = pseudo_header(packet, len);
    sum.add(packet.header);
    for piece in packet.payload.iter() {
        sum.add(piece);
    }
    match sum.finish() {
        // UDP says 'no checksum' by zeroes (RFC 768).
        [0, 0] if packet.protocol == UDP => [0xff, 0xff],
        sum => sum,
    }
}

/// Sends a packet. `EMSGSIZE` if it does not fit the interface.
pub fn send(hop: &Hop, packet: Outgoing<'_>) -> SysResult<()> {
    let v6 = packet.source.is_ipv6();
    counts::of_family(Count::IpOut, v6);
    if packet.protocol == UDP {
        counts::of_family(Count::UdpOut, v6);
    }
    let len = packet.header.len() + packet.payload.bytes();
    let whole = packet.header_len() + len;
    match &hop.interface.link {
        Link::Loopback(_) => {
            if whole > 65535 + IPV6_HEADER {
                return Err(Errno::EMSGSIZE);
            }
            hop.interface.loop_back(looped(packet, len));
            Ok(())
        }
        Link::Ethernet(_, neighbors) => {
            let fits = whole <= hop.longest() as usize || packet.segment_size.is_some();
            if !fits {
                return fragment(hop, packet);
            }
            let copied = if len - packet.header.len() <= COPY_BELOW { len } else { packet.header.len() };
            let mut head = start_frame(&hop.interface, &packet, copied);
            ip_header(&packet, len, IDENTIFICATION.fetch_add(1, Ordering::Relaxed), DONT_FRAGMENT, &mut head);
            let at = head.len();
            head.extend_from_slice(packet.header);
            let mut offload = None;
            if let Some(offset) = packet.checksum_at {
                let sum = if hop.interface.checksums() {
                    let head_len = (at - HEADER_LEN + packet.header.len()) as u16;
                    offload = Some(Offload {
                        start: (at - HEADER_LEN) as u16,
                        offset: offset as u16,
                        segments: packet.segment_size.map(|size| (size, head_len)),
                        v6: packet.source.is_ipv6(),
                    });
                    pseudo_header(&packet, len).folded()
                } else {
                    full_checksum(&packet, len)
                };
                if let Some(room) = head.get_mut(at + offset..at + offset + 2) {
                    room.copy_from_slice(&sum);
                }
            }
            let mut payload = packet.payload;
            if copied == len {
                payload.iter().for_each(|piece| head.extend_from_slice(piece));
                payload = Pieces::new();
            }
            neighbors.send(&hop.interface, &hop.next, Frame { head, payload, offload });
            Ok(())
        }
    }
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

fn start_frame(interface: &Interface, packet: &Outgoing<'_>, room: usize) -> Vec<u8> {
    let protocol = if packet.source.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
    arp::ethernet_head(interface, [0; 6], protocol, packet.header_len() + room)
}

fn looped(packet: Outgoing<'_>, len: usize) -> Looped {
    let mut head = Vec::with_capacity(packet.header_len() + packet.header.len());
    // Longer than 64 KiB only for our own eyes: the length field is not looked at there.
    ip_header(&packet, len.min(65535 - packet.header_len()), 0, DONT_FRAGMENT, &mut head);
    head.extend_from_slice(packet.header);
    let segment = if packet.protocol == TCP { 0 } else { packet.segment_size.unwrap_or(0) };
    Looped { head: head.into(), tail: packet.payload.joined(), copy_of: 0, segment }
}

/// A new number for a packet.
pub fn identification() -> u16 {
    IDENTIFICATION.fetch_add(1, Ordering::Relaxed)
}

/// Sends a whole packet as it stands.
pub fn send_whole(hop: &Hop, packet: Vec<u8>) {
    match &hop.interface.link {
        Link::Loopback(_) => {
            let looped = Looped { head: packet.into(), tail: Default::default(), copy_of: 0, segment: 0 };
            hop.interface.loop_back(looped);
        }
        Link::Ethernet(_, neighbors) => {
            let protocol = if hop.next.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
            let mut head = arp::ethernet_head(&hop.interface, [0; 6], protocol, packet.len());
            head.extend_from_slice(&packet);
            neighbors.send(&hop.interface, &hop.next, Frame { head, payload: Pieces::new(), offload: None });
        }
    }
}

/// Lets a packet that goes out through `interface` to a group come in there too.
pub fn copy_back(interface: &Interface, packet: Outgoing<'_>) {
    let len = packet.header.len() + packet.payload.bytes();
    if let Some(loopback) = interface::by_index(1) {
        loopback.loop_back(Looped { copy_of: interface.index, ..looped(packet, len) });
    }
}

/// Sends a packet in fragments (RFC 791, 3.2; RFC 8200, 4.5).
fn fragment(hop: &Hop, packet: Outgoing<'_>) -> SysResult<()> {
    let Link::Ethernet(_, neighbors) = &hop.interface.link else { return Err(Errno::EMSGSIZE) };
    let len = packet.header.len() + packet.payload.bytes();
    if len + packet.between().len() > 65535 - IPV4_HEADER {
        return Err(Errno::EMSGSIZE);
    }
    // Options for the destination alone are a part of what is cut.
    let whole = packet.between.cloned().unwrap_or_else(|| Between { first: packet.protocol, ..Between::default() });
    let (repeated, once) = whole.bytes.split_at_checked(whole.repeated).unwrap_or((&whole.bytes, &[]));
    let mut body = Vec::with_capacity(once.len() + packet.header.len());
    body.extend_from_slice(once);
    body.extend_from_slice(packet.header);
    for piece in packet.payload.iter() {
        body.extend_from_slice(piece);
    }
    if let Some(at) = packet.checksum_at {
        let sum = full_checksum(&packet, len);
        let at = once.len() + at;
        if let Some(room) = body.get_mut(at..at + 2) {
            room.copy_from_slice(&sum);
        }
    }
    let v4 = packet.source.is_ipv4();
    let extra = if v4 { 0 } else { 8 };
    let step = (hop.longest() as usize).saturating_sub(header_len(&packet.source) + repeated.len() + extra).max(8) & !7;
    let mut between = Between { first: whole.first, bytes: repeated.to_vec(), repeated: whole.repeated };
    let following = if v4 { packet.protocol } else { lead_to_fragment(&mut between) };
    let identification = IDENTIFICATION.fetch_add(1, Ordering::Relaxed);
    let mut offset = 0;
    while let Some(part) = body.get(offset..body.len().min(offset + step)).filter(|part| !part.is_empty()) {
        let last = offset + part.len() == body.len();
        let mut head = start_frame(&hop.interface, &packet, part.len());
        if v4 {
            let flags = (offset / 8) as u16 | if last { 0 } else { MORE_FRAGMENTS };
            let this = Outgoing { payload: Pieces::new(), header: &[], between: Some(&between), ..packet };
            ip_header(&this, part.len(), identification, flags, &mut head);
        } else {
            let outer = Outgoing { payload: Pieces::new(), header: &[], between: Some(&between), ..packet };
            ip_header(&outer, 8 + part.len(), 0, 0, &mut head);
            let field = (offset as u16 & !7) | u16::from(!last);
            head.extend_from_slice(&[following, 0]);
            head.extend_from_slice(&field.to_be_bytes());
            head.extend_from_slice(&u32::from(identification).to_be_bytes());
        }
        head.extend_from_slice(part);
        neighbors.send(&hop.interface, &hop.next, Frame { head, payload: Pieces::new(), offload: None });
        offset += step;
        if v4 && offset == step {
            keep_copied(&mut between.bytes);
        }
    }
    Ok(())
}

/// Has the headers before a fragment's own lead to that, and answers what its own leads to.
fn lead_to_fragment(between: &mut Between) -> u8 {
    let (mut last, mut at) = (None, 0);
    for (_, header) in of_packet(between.first, &between.bytes) {
        last = Some(at);
        at += header.len();
    }
    let place = match last.and_then(|at| between.bytes.get_mut(at)) {
        Some(place) => place,
        None => &mut between.first,
    };
    core::mem::replace(place, next::FRAGMENT)
}

/// Leaves of IPv4's options those that every fragment has (RFC 791, 3.1: the copied flag).
fn keep_copied(options: &mut [u8]) {
    const COPIED: u8 = 0x80;
    const NOP: u8 = 1;
    let mut at = 0;
    while let Some([kind, len, ..]) = options.get(at..) {
        let len = match kind {
            0 => break,
            1 => 1,
            _ => usize::from(*len).max(2),
        };
        if kind & COPIED == 0
            && let Some(option) = options.get_mut(at..at + len)
        {
            option.fill(NOP);
        }
        at += len;
    }
}

/// Sends a complete message to somebody on the interface's own link.
pub fn send_on_link(interface: &Interface, source: &IpAddr, to: &IpAddr, protocol: u8, ttl: u8, message: &[u8]) {
    let Link::Ethernet(_, neighbors) = &interface.link else { return };
    let packet = Outgoing {
        source: *source,
        destination: *to,
        protocol,
        ttl,
        tos: 0,
        header: message,
        checksum_at: None,
        payload: Pieces::new(),
        segment_size: None,
        between: None,
    };
    let mut head = start_frame(interface, &packet, message.len());
    ip_header(&packet, message.len(), 0, DONT_FRAGMENT, &mut head);
    head.extend_from_slice(message);
    neighbors.send(interface, to, Frame { head, payload: Pieces::new(), offload: None });
}
