//! Frames and packets, made and taken apart by hand: a second opinion on what the stack makes of
//! them.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use inet::checksum::{Sum, of};

use crate::device::{Frame, HEADER_LEN};

/// `ETH_P_*`.
pub const IPV4: u16 = 0x800;
/// See [`IPV4`].
pub const ARP: u16 = 0x806;
/// See [`IPV4`].
pub const IPV6: u16 = 0x86dd;
/// `IPPROTO_*`.
pub const ICMP: u8 = 1;
/// See [`ICMP`].
pub const TCP: u8 = 6;
/// See [`ICMP`].
pub const UDP: u8 = 17;
/// See [`ICMP`].
pub const ICMPV6: u8 = 58;

/// The bytes that leave.
pub fn gathered(frame: &Frame) -> Vec<u8> {
    let mut bytes = frame.head[HEADER_LEN..].to_vec();
    frame.payload.iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

/// Type and content of a frame.
pub fn ethernet_of(frame: &[u8]) -> Option<(u16, &[u8])> {
    Some((u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]), &frame[14..]))
}

/// A frame.
pub fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16, content: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), content].concat()
}

/// The answer to a question after an address.
pub fn arp_reply(question: &[u8], mac: [u8; 6]) -> Vec<u8> {
    let mut reply = question[..8].to_vec();
    reply[7] = 2;
    reply.extend(mac);
    reply.extend(&question[24..28]);
    reply.extend(&question[8..18]);
    reply
}

/// A question after an address.
pub fn arp_request(mac: [u8; 6], from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut out = vec![0, 1, 8, 0, 6, 4, 0, 1];
    out.extend(mac);
    out.extend(from.octets());
    out.extend([0; 6]);
    out.extend(to.octets());
    out
}

/// A packet of either family.
pub struct Ip<A> {
    /// The sender.
    pub source: A,
    /// For whom it is.
    pub destination: A,
    /// The upper protocol.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Bytes of the header.
    pub header: usize,
    /// What is behind it.
    pub payload: Vec<u8>,
}

/// Takes a packet apart, whose checksum must be right.
pub fn ipv4_of(packet: &[u8]) -> Ip<Ipv4Addr> {
    let header = usize::from(packet[0] & 15) * 4;
    assert_eq!((packet[0] >> 4, of(&packet[..header])), (4, [0, 0]));
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let address = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    Ip {
        source: address(12),
        destination: address(16),
        protocol: packet[9],
        ttl: packet[8],
        tos: packet[1],
        header,
        payload: packet[header..total].to_vec(),
    }
}

/// A packet.
pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(source, destination, protocol, 64, [0; 4], &[], payload)
}

/// A packet with what a fragment has (identification, flags and offset) and with options.
pub fn ipv4_with(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    ttl: u8,
    fragment: [u8; 4],
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut out = vec![0x40 | (header / 4) as u8, 0];
    out.extend(((header + payload.len()) as u16).to_be_bytes());
    out.extend(fragment);
    out.extend([ttl, protocol, 0, 0]);
    out.extend(source.octets());
    out.extend(destination.octets());
    out.extend(options);
    let sum = of(&out);
    out[10..12].copy_from_slice(&sum);
    out.extend(payload);
    out
}

/// Takes a packet apart.
pub fn ipv6_of(packet: &[u8]) -> Ip<Ipv6Addr> {
    assert_eq!(packet[0] >> 4, 6);
    let len = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    Ip {
        source: address(8),
        destination: address(24),
        protocol: packet[6],
        ttl: packet[7],
        tos: packet[0] << 4 | packet[1] >> 4,
        header: 40,
        payload: packet[40..40 + len].to_vec(),
    }
}

/// A packet.
pub fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend([protocol, hops]);
    out.extend(source.octets());
    out.extend(destination.octets());
    out.extend(payload);
    out
}

fn sum4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, bytes: &[u8]) -> [u8; 2] {
    let mut sum = Sum::default();
    sum.add_pseudo_header(&source.octets(), &destination.octets(), protocol, bytes.len());
    sum.add(bytes);
    sum.finish()
}

fn sum6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, bytes: &[u8]) -> [u8; 2] {
    let mut sum = Sum::default();
    sum.add_pseudo_header(&source.octets(), &destination.octets(), protocol, bytes.len());
    sum.add(bytes);
    sum.finish()
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = from.to_be_bytes().to_vec();
    out.extend(to.to_be_bytes());
    out.extend(((8 + payload.len()) as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    out
}

/// A datagram.
pub fn udp4(source: Ipv4Addr, destination: Ipv4Addr, from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = udp(from, to, payload);
    let sum = sum4(source, destination, UDP, &out);
    out[6..8].copy_from_slice(&sum);
    out
}

/// A datagram.
pub fn udp6(source: Ipv6Addr, destination: Ipv6Addr, from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = udp(from, to, payload);
    let sum = sum6(source, destination, UDP, &out);
    out[6..8].copy_from_slice(&sum);
    out
}

/// Puts the checksum into a message of ICMP.
pub fn icmp(mut message: Vec<u8>) -> Vec<u8> {
    let sum = of(&message);
    message[2..4].copy_from_slice(&sum);
    message
}

/// Puts the checksum into a message of ICMPv6.
pub fn icmp6(source: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let sum = sum6(source, destination, ICMPV6, &message);
    message[2..4].copy_from_slice(&sum);
    message
}

/// Whether the upper protocol's checksum is right.
pub fn is_right4(ip: &Ip<Ipv4Addr>) -> bool {
    sum4(ip.source, ip.destination, ip.protocol, &ip.payload) == [0, 0]
}

/// See [`is_right4`].
pub fn is_right6(ip: &Ip<Ipv6Addr>) -> bool {
    sum6(ip.source, ip.destination, ip.protocol, &ip.payload) == [0, 0]
}
