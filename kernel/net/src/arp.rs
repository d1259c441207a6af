//! Asking for hardware addresses, and answering: ARP for IPv4, neighbour discovery for IPv6.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, NdiscNeighborFlags,
    NdiscRepr, RawHardwareAddress,
};

use super::interface::{Interface, Link};
use super::{output, slaac};
use crate::device::{Frame, HEADER_LEN};

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;

/// The start of a frame's head: room for the device's header, then the Ethernet header.
pub fn ethernet_head(interface: &Interface, to: [u8; 6], protocol: EthernetProtocol, capacity: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEADER_LEN + ETHERNET + capacity);
    let mut start = [0; HEADER_LEN + ETHERNET];
    start[HEADER_LEN..HEADER_LEN + 6].copy_from_slice(&to);
    start[HEADER_LEN + 6..HEADER_LEN + 12].copy_from_slice(&interface.mac());
    start[HEADER_LEN + 12..].copy_from_slice(&u16::from(protocol).to_be_bytes());
    head.extend_from_slice(&start);
    head
}

/// Asks where `to` is.
pub fn request(interface: &Interface, to: &IpAddr) {
    match to {
        IpAddr::V4(to) => {
            if let Some(IpAddr::V4(source)) = interface.source_for(&IpAddr::V4(*to)) {
                send_arp(interface, ArpOperation::Request, [0xff; 6], source, *to, [0; 6]);
            }
        }
        IpAddr::V6(to) => {
            let Some(IpAddr::V6(source)) = interface.source_for(&IpAddr::V6(*to)) else { return };
            let lladdr = Some(RawHardwareAddress::from(EthernetAddress(interface.mac())));
            let repr = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr: *to, lladdr });
            send_ndisc(interface, &source, &solicited_node(to), &repr);
        }
    }
}

/// The group that everybody with an address like `address` listens to (RFC 4291, 2.7.1).
pub fn solicited_node(address: &Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

fn send_arp(interface: &Interface, operation: ArpOperation, to: [u8; 6], source: Ipv4Addr, target: Ipv4Addr, mac: [u8; 6]) {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(interface.mac()),
        source_protocol_addr: source,
        target_hardware_addr: EthernetAddress(mac),
        target_protocol_addr: target,
    };
    let mut head = ethernet_head(interface, to, EthernetProtocol::Arp, repr.buffer_len());
    let start = head.len();
    head.resize(start + repr.buffer_len(), 0);
    if let Some(room) = head.get_mut(start..) {
        repr.emit(&mut ArpPacket::new_unchecked(room));
    }
    interface.transmit(Frame { head, payload: Default::default(), offload: None });
}

/// Sends a message of neighbour discovery, whose hop limit proves that it comes from the link.
pub fn send_ndisc(interface: &Interface, source: &Ipv6Addr, to: &Ipv6Addr, repr: &Icmpv6Repr) {
    let mut message = alloc::vec![0; repr.buffer_len()];
    repr.emit(source, to, &mut Icmpv6Packet::new_unchecked(&mut message[..]), &ChecksumCapabilities::default());
    output::send_on_link(interface, &IpAddr::V6(*source), &IpAddr::V6(*to), output::ICMPV6, 255, &message);
}

/// An ARP packet has come.
pub fn receive(interface: &Interface, packet: &[u8]) {
    let Link::Ethernet(_, neighbors) = &interface.link else { return };
    let Ok(Ok(repr)) = ArpPacket::new_checked(packet).map(|packet| ArpRepr::parse(&packet)) else { return };
    let ArpRepr::EthernetIpv4 { operation, source_hardware_addr, source_protocol_addr, target_protocol_addr, .. } = repr
    else {
        return;
    };
    if !source_hardware_addr.is_unicast() || source_protocol_addr.is_multicast() {
        return;
    }
    let for_us = interface.owns(&IpAddr::V4(target_protocol_addr));
    if !source_protocol_addr.is_unspecified() {
        neighbors.learn(interface, IpAddr::V4(source_protocol_addr), source_hardware_addr.0, for_us);
    }
    if operation == ArpOperation::Request && for_us {
        let mac = source_hardware_addr.0;
        send_arp(interface, ArpOperation::Reply, mac, target_protocol_addr, source_protocol_addr, mac);
    }
}

fn mac_of(address: Option<RawHardwareAddress>) -> Option<[u8; 6]> {
    address?.as_bytes().try_into().ok()
}

/// A message of neighbour discovery has come. The caller has checked its hop limit.
pub fn receive_ndisc(interface: &Arc<Interface>, source: &Ipv6Addr, message: &NdiscRepr) {
    let Link::Ethernet(_, neighbors) = &interface.link else { return };
    match message {
        NdiscRepr::NeighborSolicit { target_addr, lladdr } if interface.owns(&IpAddr::V6(*target_addr)) => {
            if let Some(mac) = mac_of(*lladdr)
                && !source.is_unspecified()
            {
                neighbors.learn(interface, IpAddr::V6(*source), mac, true);
            }
            let to = if source.is_unspecified() { Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) } else { *source };
            let answer = NdiscRepr::NeighborAdvert {
                flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
                target_addr: *target_addr,
                lladdr: Some(RawHardwareAddress::from(EthernetAddress(interface.mac()))),
            };
            send_ndisc(interface, target_addr, &to, &Icmpv6Repr::Ndisc(answer));
        }
        NdiscRepr::NeighborAdvert { target_addr, lladdr, .. } => {
            if let Some(mac) = mac_of(*lladdr) {
                slaac::conflict(interface, target_addr, &mac);
                neighbors.learn(interface, IpAddr::V6(*target_addr), mac, false);
            }
        }
        NdiscRepr::RouterAdvert { .. } => slaac::receive(interface, source, message),
        _ => {}
    }
}
