//! Packets in: from the frame to the protocol that takes it. What is malformed, or not for us, is
//! dropped.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use inet::Bytes;
use inet::bpf::{Packet, View};
use inet::checksum::Sum;
use inet::fragments::{Fragments, Key};
use inet::groups;
use inet::ip::octets;
use inet::ipv4_options::Ipv4Options;
use inet::ipv6_headers::{check_options, len_of, next};
use smoltcp::wire::{EthernetFrame, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv6Packet};
use sync::SpinLock;

use super::counts::{self, Count};
use super::extension::{self, Carried};
use super::interface::{self, Interface};
use super::packet::{self, Checksums, kind};
use super::{arp, icmp, multicast, output, raw, tcp, udp};
use crate::clock;
use crate::device::Received;

/// `ETH_P_IP`, `ETH_P_IPV6`.
const ETH_P_IP: u16 = 0x800;
const ETH_P_IPV6: u16 = 0x86dd;

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
    /// The payload is several datagrams of this size; 0 for one.
    pub segment: u16,
    /// What stood before the upper protocol's header.
    pub carried: Carried,
    /// The IP header as it came in, with IPv4's options.
    pub network: &'a [u8],
}

impl Incoming<'_> {
    /// What stands behind a header of `len` bytes.
    pub fn payload(&self, len: usize) -> Bytes {
        if self.tail.is_empty() { self.head.slice(len, usize::MAX) } else { self.tail.clone() }
    }

    /// What filters see of it: the upper protocol's header and what follows.
    pub fn for_filter(&self) -> Packet<'_> {
        let view = View { head: &self.head, tail: &self.tail, network: usize::MAX, link: usize::MAX, start: 0 };
        let protocol = if self.source.is_ipv4() { ETH_P_IP } else { ETH_P_IPV6 };
        Packet { view, protocol, interface: self.interface.index, ..Packet::default() }
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
    if !interface.is_up() {
        return;
    }
    let to = frame.dst_addr();
    let kind = match to {
        _ if interface.link.is_point_to_point() => kind::HOST,
        to if to.is_broadcast() => kind::BROADCAST,
        to if to.is_multicast() => kind::MULTICAST,
        to if to.0 == interface.mac() => kind::HOST,
        _ => kind::OTHERHOST,
    };
    let other = kind == kind::OTHERHOST;
    // A card leaves out what is for others unless it is told not to.
    if packet::wanted() && (!other || interface.is_promiscuous() || interface.card().is_none()) {
        let checksums = if received.checked { Checksums::Right } else { Checksums::Unknown };
        packet::arrived(interface, &received.frame, kind, checksums);
    }
    if other {
        return;
    }
    let packet = received.frame.slice(arp::ETHERNET, usize::MAX);
    match frame.ethertype() {
        EthernetProtocol::Arp => arp::receive(interface, &packet),
        EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => ip(interface, packet, received.checked),
        _ => {}
    }
}

/// Packets that have come in parts. A leaf lock.
static FRAGMENTS: SpinLock<Option<Fragments>> = SpinLock::new(None);

/// The whole packet, once its last part is there.
fn reassemble(key: Key, offset: usize, more: bool, part: &[u8]) -> Option<Bytes> {
    let now = clock::monotonic_ns();
    let whole = FRAGMENTS.lock().get_or_insert_with(Fragments::default).insert(key, offset, more, part, now);
    whole.map(Bytes::from)
}

/// An IP packet has come in over a wire.
fn ip(interface: &Arc<Interface>, packet: Bytes, checked: bool) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(interface, packet, Bytes::default(), checked, None),
        Some(6) => ipv6(interface, packet, Bytes::default(), checked, None),
        _ => {}
    }
}

/// A packet of our own has come back, as one that came in through `interface`.
pub fn looped(interface: &Arc<Interface>, packet: Bytes, tail: Bytes, segment: u16) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(interface, packet, tail, true, Some(segment)),
        Some(6) => ipv6(interface, packet, tail, true, Some(segment)),
        _ => {}
    }
}

fn ipv4(interface: &Arc<Interface>, packet: Bytes, tail: Bytes, checked: bool, looped: Option<u16>) {
    let (looped, segment) = (looped.is_some(), looped.unwrap_or(0));
    // A looped packet's length covers its tail, which is elsewhere.
    let view = if looped { Ok(Ipv4Packet::new_unchecked(&packet[..])) } else { Ipv4Packet::new_checked(&packet[..]) };
    let Ok(view) = view else { return };
    counts::one(Count::IpIn);
    if !looped && inet::checksum::of(packet.get(..usize::from(view.header_len())).unwrap_or_default()) != [0, 0] {
        return;
    }
    let (source, destination) = (view.src_addr(), view.dst_addr());
    if source.is_multicast() || source.is_broadcast() {
        return;
    }
    // Martians (RFC 1812, 5.3.7).
    if !looped && (source.is_loopback() || destination.is_loopback()) && !interface.conf.routes_localnet() {
        return;
    }
    if !looped && interface::owner(&IpAddr::V4(source)).is_some() && !interface.conf.accepts_local() {
        return;
    }
    let group = destination.is_multicast();
    // Whatever the network's address will be, an answer to who asks for it is for us.
    let broadcast = || interface.is_broadcast(&destination) || destination.is_broadcast();
    let ours = !group && (interface.owns(&IpAddr::V4(destination)) || looped && !broadcast());
    let for_all = !ours && (group && multicast::is_member(interface, &IpAddr::V4(destination)) || broadcast());
    if !ours && !for_all {
        return;
    }
    let header = usize::from(view.header_len());
    let total = if looped { packet.len() } else { usize::from(view.total_len()) };
    let carried = match packet.get(PLAIN_IPV4..header) {
        None | Some([]) => Carried::Nothing,
        Some(options) => {
            // What is for many is for an address of ours all the same.
            let own = if ours { Some(destination) } else { interface.first_v4() };
            let here = extension::here(IpAddr::V4(own.unwrap_or(Ipv4Addr::UNSPECIFIED)));
            match Ipv4Options::arrived(options, here, extension::is_elsewhere) {
                // We are nobody's router.
                Ok(options) if options.goes_on() => return,
                Ok(options) if options.has_source_route() && !interface.conf.accepts_source_routes() => return,
                Ok(options) => Carried::V4(Arc::new(options)),
                Err(at) if ours => {
                    return icmp::parameter_problem(source, destination, (PLAIN_IPV4 + at) as u8, &packet, &tail);
                }
                Err(_) => return,
            }
        }
    };
    let mut incoming = Incoming {
        interface,
        source: IpAddr::V4(source),
        destination: IpAddr::V4(destination),
        head: packet.slice(header, total.saturating_sub(header)),
        tail,
        ttl: view.hop_limit(),
        tos: packet.get(1).copied().unwrap_or(0),
        checked,
        segment,
        carried,
        network: packet.get(..header).unwrap_or_default(),
    };
    let protocol = view.next_header();
    let (offset, more) = (usize::from(view.frag_offset()), view.more_frags());
    if more || offset != 0 {
        let key = Key {
            source: incoming.source,
            destination: incoming.destination,
            protocol: protocol.into(),
            identification: view.ident().into(),
        };
        let Some(whole) = reassemble(key, offset, more, &incoming.head) else { return };
        (incoming.head, incoming.checked) = (whole, false);
    }
    counts::one(Count::IpDelivered);
    if raw::wanted() {
        raw::deliver(&incoming, protocol.into());
    }
    match protocol {
        IpProtocol::Tcp if ours => tcp::receive(&incoming),
        IpProtocol::Udp => udp::receive(&incoming, for_all),
        IpProtocol::Unknown(output::UDPLITE) => udp::receive_lite(&incoming, for_all),
        // A program may have written it.
        IpProtocol::Icmp if inet::checksum::of(&incoming.head) == [0, 0] => icmp::receive(&incoming, for_all),
        IpProtocol::Igmp if inet::checksum::of(&incoming.head) == [0, 0] => {
            if let Some(query) = groups::parse_igmp(&incoming.head) {
                multicast::query_received(interface, &query);
            }
        }
        _ => {}
    }
}

/// Extension headers that a packet may have before it is thought to be up to something.
const MAX_EXTENSIONS: usize = 8;
/// Types of routing headers (RFC 6554, RFC 8754).
const RPL_ROUTING: u8 = 3;
const SEGMENT_ROUTING: u8 = 4;
/// IPv4's header without options.
const PLAIN_IPV4: usize = 20;

/// Takes the extension headers off (RFC 8200, 4), and answers which protocol is behind them. `None`
/// for what is not complete or not to be taken.
fn take_extensions(incoming: &mut Incoming<'_>, first: u8) -> Option<u8> {
    let mut protocol = first;
    let mut taken = Vec::new();
    for position in 0..MAX_EXTENSIONS {
        match protocol {
            // It may come first only (RFC 8200, 4.1).
            next::HOP_BY_HOP if position > 0 => return None,
            next::HOP_BY_HOP | next::ROUTING | next::DESTINATION => {
                let header = incoming.head.get(..len_of(&incoming.head)?)?;
                let [following, _, kind, segments_left, ..] = *header else { return None };
                // We are nobody's router, and segment routing's headers are not taken without
                // (`seg6_enabled`).
                let passes = match protocol {
                    next::ROUTING => segments_left == 0 && !matches!(kind, RPL_ROUTING | SEGMENT_ROUTING),
                    _ => match check_options(header) {
                        Ok(()) => true,
                        Err(refusal) => {
                            let at = refusal.told.filter(|_| refusal.of_many || !incoming.destination.is_multicast());
                            if let Some(at) = at {
                                let before = incoming.network.len() + taken.len();
                                icmp::unknown_option(incoming, &taken, before + at);
                            }
                            false
                        }
                    },
                };
                if !passes || taken.try_reserve(header.len()).is_err() {
                    return None;
                }
                taken.extend_from_slice(header);
                incoming.head.advance(header.len());
                protocol = following;
            }
            next::FRAGMENT => {
                if let Some(header) = incoming.head.get(..8)
                    && taken.try_reserve(8).is_ok()
                {
                    taken.extend_from_slice(header);
                }
                let [following, _, o0, o1, id @ ..] = *incoming.head.first_chunk::<8>()?;
                let field = u16::from_be_bytes([o0, o1]);
                let key = Key {
                    source: incoming.source,
                    destination: incoming.destination,
                    protocol: 0,
                    identification: u32::from_be_bytes(id),
                };
                incoming.head.advance(8);
                let (offset, more) = (usize::from(field & !7), field & 1 != 0);
                if offset != 0 || more {
                    incoming.head = reassemble(key, offset, more, &incoming.head)?;
                    incoming.checked = false;
                }
                protocol = following;
            }
            other => {
                if !taken.is_empty() {
                    incoming.carried = Carried::V6(first, taken.into());
                }
                return Some(other);
            }
        }
    }
    None
}

fn ipv6(interface: &Arc<Interface>, packet: Bytes, tail: Bytes, checked: bool, looped: Option<u16>) {
    let (looped, segment) = (looped.is_some(), looped.unwrap_or(0));
    let view = if looped { Ok(Ipv6Packet::new_unchecked(&packet[..])) } else { Ipv6Packet::new_checked(&packet[..]) };
    let Ok(view) = view else { return };
    counts::one(Count::Ip6In);
    let (source, destination) = (view.src_addr(), view.dst_addr());
    if source.is_multicast() || !looped && (source.is_loopback() || destination.is_loopback()) {
        return;
    }
    if interface.conf.ipv6_is_off() {
        return;
    }
    let group = destination.is_multicast();
    let ours = !group && (interface.owns(&IpAddr::V6(destination)) || looped);
    if !(ours || group && multicast::is_member(interface, &IpAddr::V6(destination))) {
        return;
    }
    let header = output::header_len(&IpAddr::V6(source));
    let total = if looped { packet.len() } else { header + usize::from(view.payload_len()) };
    let hops = view.hop_limit();
    let mut incoming = Incoming {
        interface,
        source: IpAddr::V6(source),
        destination: IpAddr::V6(destination),
        head: packet.slice(header, total.saturating_sub(header)),
        tail,
        ttl: hops,
        tos: view.traffic_class(),
        checked,
        segment,
        carried: Carried::Nothing,
        network: packet.get(..header).unwrap_or_default(),
    };
    counts::one(Count::Ip6Delivered);
    let Some(protocol) = take_extensions(&mut incoming, view.next_header().into()) else { return };
    if raw::wanted() {
        raw::deliver(&incoming, protocol);
    }
    match IpProtocol::from(protocol) {
        IpProtocol::Tcp if ours => tcp::receive(&incoming),
        IpProtocol::Udp => udp::receive(&incoming, !ours),
        IpProtocol::Unknown(output::UDPLITE) => udp::receive_lite(&incoming, !ours),
        IpProtocol::Icmpv6 if incoming.checksum_is_right(output::ICMPV6) => {
            if let Some(query) = groups::parse_mld(&incoming.head) {
                return multicast::query_received(interface, &query);
            }
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
