//! Packets in: from the frame to the protocol that takes it. What is malformed, or not for us, is dropped.

use alloc::sync::Arc;
use core::net::IpAddr;

use inet::Bytes;
use inet::checksum::Sum;
use inet::ip::octets;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv6Packet};

use super::interface::Interface;
use super::{arp, icmp, output, tcp, udp};
use crate::drivers::net::Received;

/// A packet of an upper protocol.
pub struct Incoming<'a> {
    /// Where it came in.
    pub interface: &'a Arc<Interface>,
    /// Who sent it.
    pub source: IpAddr,
    /// The address of ours that it is for.
    pub destination: IpAddr,
    /// The upper protocol's header, and what follows in the same piece of memory.
    pub head: Bytes,
    /// What follows elsewhere; empty for all that came over a wire.
    pub tail: Bytes,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Its checksums need no look.
    pub checked: bool,
}

impl Incoming<'_> {
    /// What stands behind a header of `len` bytes.
    pub fn payload(&self, len: usize) -> Bytes {
        if self.tail.is_empty() { self.head.slice(len, usize::MAX) } else { self.tail.clone() }
    }

    /// Whether the checksum over pseudo header and packet is right.
    pub fn checksum_is_right(&self, protocol: u8) -> bool {
        if self.checked {
            return true;
        }
        let ((source, n), (destination, _)) = (octets(&self.source), octets(&self.destination));
        let mut sum = Sum::default();
        let len = self.head.len() + self.tail.len();
        let (Some(source), Some(destination)) = (source.get(..n), destination.get(..n)) else { return false };
        sum.add_pseudo_header(source, destination, protocol, len);
        sum.add(&self.head);
        sum.add(&self.tail);
        sum.finish() == [0, 0]
    }
}

/// A frame has come in through a card.
pub fn ethernet(interface: &Arc<Interface>, received: Received) {
    let Ok(frame) = EthernetFrame::new_checked(&received.frame[..]) else { return };
    let to = frame.dst_addr();
    if !to.is_multicast() && !to.is_broadcast() && to.0 != interface.mac() {
        return;
    }
    let packet = received.frame.slice(arp::ETHERNET, usize::MAX);
    match frame.ethertype() {
        EthernetProtocol::Arp => arp::receive(interface, &packet),
        EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => ip(interface, packet, Bytes::default(), received.checked),
        _ => {}
    }
}

/// An IP packet has come in.
pub fn ip(interface: &Arc<Interface>, packet: Bytes, tail: Bytes, checked: bool) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(interface, packet, tail, checked),
        Some(6) => ipv6(interface, packet, tail, checked),
        _ => {}
    }
}

fn ipv4(interface: &Arc<Interface>, packet: Bytes, tail: Bytes, checked: bool) {
    let looped = interface.is_loopback();
    // A looped packet's length covers its tail, which is elsewhere.
    let view = if looped { Ok(Ipv4Packet::new_unchecked(&packet[..])) } else { Ipv4Packet::new_checked(&packet[..]) };
    let Ok(view) = view else { return };
    if !looped && !view.verify_checksum() {
        return;
    }
    let (source, destination) = (view.src_addr(), view.dst_addr());
    if source.is_multicast() || source.is_broadcast() || !looped && (source.is_loopback() || destination.is_loopback()) {
        return;
    }
    let ours = interface.owns(&IpAddr::V4(destination)) || looped;
    let for_all = interface.is_broadcast(&destination) || destination.is_multicast();
    let (protocol, ttl) = (view.next_header(), view.hop_limit());
    let tos = packet.get(1).copied().unwrap_or(0);
    let header = usize::from(view.header_len());
    let total = if looped { packet.len() } else { usize::from(view.total_len()) };
    let head = packet.slice(header, total.saturating_sub(header));
    if view.more_frags() || view.frag_offset() != 0 {
        return;
    }
    if !ours && !for_all {
        return;
    }
    let incoming = Incoming {
        interface,
        source: IpAddr::V4(source),
        destination: IpAddr::V4(destination),
        head,
        tail,
        ttl,
        tos,
        checked,
    };
    match protocol {
        IpProtocol::Tcp if ours => tcp::receive(&incoming),
        IpProtocol::Udp => udp::receive(&incoming, for_all),
        IpProtocol::Icmp if looped || inet::checksum::of(&incoming.head) == [0, 0] => icmp::receive(&incoming, for_all),
        _ => {}
    }
}

fn ipv6(interface: &Arc<Interface>, packet: Bytes, tail: Bytes, checked: bool) {
    let looped = interface.is_loopback();
    let view = if looped { Ok(Ipv6Packet::new_unchecked(&packet[..])) } else { Ipv6Packet::new_checked(&packet[..]) };
    let Ok(view) = view else { return };
    let (source, destination) = (view.src_addr(), view.dst_addr());
    if source.is_multicast() || !looped && (source.is_loopback() || destination.is_loopback()) {
        return;
    }
    let ours = interface.owns(&IpAddr::V6(destination)) || looped;
    if !ours && !destination.is_multicast() {
        return;
    }
    let total =
        if looped { packet.len() } else { output::header_len(&IpAddr::V6(source)) + usize::from(view.payload_len()) };
    let header = output::header_len(&IpAddr::V6(source));
    let head = packet.slice(header, total.saturating_sub(header));
    let tos = view.traffic_class();
    let (protocol, hops) = (view.next_header(), view.hop_limit());
    let incoming = Incoming {
        interface,
        source: IpAddr::V6(source),
        destination: IpAddr::V6(destination),
        head,
        tail,
        ttl: hops,
        tos,
        checked,
    };
    match protocol {
        IpProtocol::Tcp if ours => tcp::receive(&incoming),
        IpProtocol::Udp => udp::receive(&incoming, !ours),
        IpProtocol::Icmpv6 if incoming.checksum_is_right(output::ICMPV6) => {
            let Ok(message) = Icmpv6Packet::new_checked(&incoming.head[..]) else { return };
            let capabilities = smoltcp::phy::ChecksumCapabilities::ignored();
            match Icmpv6Repr::parse(&source, &destination, &message, &capabilities) {
                Ok(Icmpv6Repr::Ndisc(ndisc)) if hops == 255 => arp::receive_ndisc(interface, &source, &ndisc),
                Ok(Icmpv6Repr::Ndisc(_)) => {}
                _ => icmp::receive(&incoming, !ours),
            }
        }
        _ => {}
    }
}
