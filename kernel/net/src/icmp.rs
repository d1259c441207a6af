//! ICMP (RFC 792) and ICMPv6 (RFC 4443): answers to pings, and errors both ways.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};

use inet::checksum::Sum;
use inet::ip::{Flow, octets};
use inet::ipv6_headers::{UNIT, len_of, next};
use inet::tcp::{Error, Pieces};
use syscall_shim::Errno;

use super::counts::{self, Count};
use super::errors::Report;
use super::extension::Carried;
use super::input::Incoming;
use super::output::{self, ICMP, ICMPV6, Outgoing, TCP, TTL, UDP, UDPLITE};
use super::{route, sysctl, tcp, udp};
use crate::clock;

/// Message types, for IPv4 and IPv6.
const ECHO_REPLY: [u8; 2] = [0, 129];
const ECHO: [u8; 2] = [8, 128];
const UNREACHABLE: [u8; 2] = [3, 1];
/// A router cannot pass the packet on because it is too long; for IPv4 that is a code of
/// `UNREACHABLE`.
const TOO_BIG: [(u8, u8); 2] = [(3, 4), (2, 0)];
const TIME_EXCEEDED: [u8; 2] = [11, 3];
const PARAMETER_PROBLEM: [u8; 2] = [12, 4];
/// Code of `UNREACHABLE`: nobody has the port.
const PORT: [u8; 2] = [3, 4];
/// Bytes of a message before what it is about.
const HEADER: usize = 8;
/// How much of a packet an error quotes.
const QUOTE: usize = 512;
/// Errors are sent at most this often (RFC 1812, 4.3.2.8).
const ERROR_EVERY: u64 = 1_000_000;

fn family(address: &IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

/// Sends a message whose checksum is 0 as yet, as an answer to what came with the options `to`.
fn send(source: IpAddr, destination: IpAddr, tos: u8, mut message: Vec<u8>, to: &Carried) {
    let Ok(asked) = to.answer(destination) else { return };
    let end = destination;
    let destination = asked.as_ref().map_or(end, |asked| asked.first_hop(end));
    let Ok(hop) = route::lookup(&destination) else { return };
    let between = asked.map(|asked| asked.build(ICMP, source, end)).transpose();
    let Ok(between) = between else { return };
    let v6 = source.is_ipv6();
    let protocol = [ICMP, ICMPV6][family(&source)];
    counts::of_family(Count::IcmpOut, v6);
    match message.first() {
        Some(kind) if *kind == ECHO_REPLY[usize::from(v6)] => counts::of_family(Count::EchoReplyOut, v6),
        Some(kind) if *kind == UNREACHABLE[usize::from(v6)] => counts::of_family(Count::UnreachableOut, v6),
        _ => {}
    }
    let mut sum = Sum::default();
    if protocol == ICMPV6 {
        sum.add_pseudo_header(&octets(&source).0, &octets(&destination).0, ICMPV6, message.len());
    }
    sum.add(&message);
    if let Some(room) = message.get_mut(2..4) {
        room.copy_from_slice(&sum.finish());
    }
    let packet = Outgoing {
        source,
        destination,
        protocol,
        ttl: TTL,
        tos,
        header: &message,
        checksum_at: None,
        payload: Pieces::new(),
        segment_size: None,
        between: between.as_ref(),
    };
    let _ = output::send(&hop, packet);
}

/// A message has come in, its checksum found right. `for_all`: not for us alone.
pub fn receive(incoming: &Incoming<'_>, for_all: bool) {
    let Some([kind, code, ..]) = incoming.head.first_chunk::<HEADER>().copied() else { return };
    let family = family(&incoming.source);
    counts::of_family(Count::IcmpIn, family == 1);
    if kind == ECHO[family] {
        counts::of_family(Count::EchoIn, family == 1);
        if sysctl::answers_pings(family == 1, for_all) {
            let mut answer = incoming.head.to_vec();
            if let Some(start) = answer.get_mut(..4) {
                start.copy_from_slice(&[ECHO_REPLY[family], 0, 0, 0]);
            }
            send(incoming.destination, incoming.source, incoming.tos, answer, &incoming.carried);
        }
    } else if [UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM].iter().any(|kinds| kinds[family] == kind)
        || (kind, code) == TOO_BIG[family]
    {
        if kind == UNREACHABLE[family] {
            counts::of_family(Count::UnreachableIn, family == 1);
        }
        trouble(incoming, kind, code);
    }
}

/// Machine is not on the network (errno(3)).
const ENONET: Errno = Errno(64);

/// What an error means to sockets, and whether it is no use to try again (Linux's
/// `icmp_err_convert` and `icmpv6_err_convert`).
fn meaning(family: usize, kind: u8, code: u8) -> (Errno, bool) {
    match (family, kind, code) {
        (_, kind, code) if (kind, code) == TOO_BIG[family] => (Errno::EMSGSIZE, false),
        (_, kind, _) if kind == TIME_EXCEEDED[family] => (Errno::EHOSTUNREACH, false),
        (_, kind, _) if kind == PARAMETER_PROBLEM[family] => (Errno::EPROTO, true),
        (0, _, 0 | 6 | 9 | 11) => (Errno::ENETUNREACH, code == 6 || code == 9),
        (0, _, 2) => (Errno::ENOPROTOOPT, true),
        (0, _, 3) => (Errno::ECONNREFUSED, true),
        (0, _, 5) => (Errno::EOPNOTSUPP, false),
        (0, _, 7) => (Errno::EHOSTDOWN, true),
        (0, _, 8) => (ENONET, true),
        (0, _, 10 | 13..) => (Errno::EHOSTUNREACH, true),
        (0, ..) => (Errno::EHOSTUNREACH, false),
        (_, _, 0) => (Errno::ENETUNREACH, false),
        (_, _, 1 | 5 | 6) => (Errno::EACCES, true),
        (_, _, 4) => (Errno::ECONNREFUSED, true),
        _ => (Errno::EHOSTUNREACH, false),
    }
}

/// The upper protocol of a packet of IPv6 that an error quotes, and where its header begins.
fn behind_headers(first: u8, quoted: &[u8]) -> Option<(u8, usize)> {
    const START: usize = 40;
    let (mut kind, mut at) = (first, START);
    while matches!(kind, next::HOP_BY_HOP | next::ROUTING | next::DESTINATION | next::FRAGMENT) {
        let header = quoted.get(at..)?;
        at += if kind == next::FRAGMENT { UNIT } else { len_of(header)? };
        kind = *header.first()?;
    }
    Some((kind, at))
}

/// Whose packet an error quotes: the protocol, the flow as we see it, and where its header is
/// quoted.
fn quoted_flow(quoted: &[u8]) -> Option<(u8, Flow, usize)> {
    let (protocol, source, destination, at): (u8, IpAddr, IpAddr, usize) = match quoted.first()? >> 4 {
        4 => {
            let header: &[u8; 20] = quoted.first_chunk()?;
            let address = |at: usize| -> Option<[u8; 4]> { header.get(at..at + 4)?.try_into().ok() };
            (header[9], address(12)?.into(), address(16)?.into(), usize::from(header[0] & 15) * 4)
        }
        6 => {
            let header: &[u8; 40] = quoted.first_chunk()?;
            let address = |at: usize| -> Option<[u8; 16]> { header.get(at..at + 16)?.try_into().ok() };
            let (protocol, at) = behind_headers(header[6], quoted)?;
            (protocol, address(8)?.into(), address(24)?.into(), at)
        }
        _ => return None,
    };
    let port = |at: usize| -> Option<u16> { Some(u16::from_be_bytes(quoted.get(at..at + 2)?.try_into().ok()?)) };
    let (local, remote) = (SocketAddr::new(source, port(at)?), SocketAddr::new(destination, port(at + 2)?));
    Some((protocol, Flow { local, remote }, at))
}

/// Something has happened to a packet of ours.
fn trouble(incoming: &Incoming<'_>, kind: u8, code: u8) {
    let Some(quoted) = incoming.head.get(HEADER..) else { return };
    let word = |at: usize| incoming.head.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes);
    // The path's width is in the last two bytes of the header (RFC 1191), or in its last four (RFC
    // 4443, 3.2).
    let fits = if (kind, code) == TOO_BIG[family(&incoming.source)] { word(6) } else { 0 };
    tell(quoted, (kind, code), fits, incoming.source);
}

/// Nobody has answered at whose address a packet of ours is.
pub fn nobody_there(packet: &[u8]) {
    /// The code of `UNREACHABLE` for a host, or an address.
    const HOST: [u8; 2] = [1, 3];
    if let Some((_, flow, _)) = quoted_flow(packet) {
        let source = flow.local.ip();
        let family = family(&source);
        tell(packet, (UNREACHABLE[family], HOST[family]), 0, source);
    }
}

/// Tells the socket that has sent a packet. `fits`: what the path bears, where that is the trouble.
fn tell(quoted: &[u8], (kind, code): (u8, u8), fits: u16, offender: IpAddr) {
    let Some((protocol, flow, payload_at)) = quoted_flow(quoted) else { return };
    let family = family(&offender);
    let (errno, hard) = meaning(family, kind, code);
    match protocol {
        UDP | UDPLITE => {
            let payload = quoted.get(payload_at + udp::HEADER..).unwrap_or_default().to_vec();
            let (offender, to) = (Some(offender), flow.remote);
            udp::failed(protocol, &flow, Report { errno, kind, code, info: fits.into(), offender, to, payload }, hard);
        }
        TCP if (kind, code) == TOO_BIG[family] => tcp::too_big(&flow, fits),
        TCP if kind == UNREACHABLE[family] => {
            let error = if code == PORT[family] { Error::Refused } else { Error::Unreachable };
            tcp::failed(&flow, error);
        }
        _ => {}
    }
}

/// Nobody has the port that a datagram is for.
pub fn port_unreachable(incoming: &Incoming<'_>, protocol: u8) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = clock::monotonic_ns();
    if !incoming.interface.is_loopback() && now.saturating_sub(LAST.swap(now, Ordering::Relaxed)) < ERROR_EVERY {
        return;
    }
    let family = family(&incoming.source);
    let mut message = alloc::vec![UNREACHABLE[family], PORT[family], 0, 0, 0, 0, 0, 0];
    let between = incoming.carried.quoted(protocol);
    let quoted = Outgoing {
        source: incoming.source,
        destination: incoming.destination,
        protocol,
        ttl: incoming.ttl,
        tos: incoming.tos,
        header: &[],
        checksum_at: None,
        payload: Pieces::new(),
        segment_size: None,
        between: Some(&between),
    };
    output::write_header(&quoted, incoming.head.len() + incoming.tail.len(), &mut message);
    message.extend(incoming.head.iter().chain(incoming.tail.iter()).take(QUOTE));
    send(incoming.destination, incoming.source, 0, message, &incoming.carried);
}

/// A packet that is to be answered has an option of IPv6 at byte `at` that is not known (RFC 8200,
/// 4.2). `taken` are the headers before the one that is looked at.
pub fn unknown_option(incoming: &Incoming<'_>, taken: &[u8], at: usize) {
    /// `ICMPV6_UNK_OPTION`.
    const UNKNOWN: u8 = 2;
    let own = if incoming.destination.is_multicast() { incoming.interface.source_for(&incoming.source) } else { None };
    let mut message = alloc::vec![PARAMETER_PROBLEM[1], UNKNOWN, 0, 0];
    message.extend((at as u32).to_be_bytes());
    let quoted = incoming.network.iter().chain(taken).chain(incoming.head.iter()).chain(incoming.tail.iter());
    message.extend(quoted.take(QUOTE));
    send(own.unwrap_or(incoming.destination), incoming.source, 0, message, &Carried::Nothing);
}

/// A packet's header is wrong at byte `at`: its sender is told (RFC 792). The packet may be in two
/// pieces.
pub fn parameter_problem(source: Ipv4Addr, destination: Ipv4Addr, at: u8, packet: &[u8], tail: &[u8]) {
    let mut message = alloc::vec![PARAMETER_PROBLEM[0], 0, 0, 0, at, 0, 0, 0];
    message.extend(packet.iter().chain(tail).take(QUOTE));
    send(destination.into(), source.into(), 0, message, &Carried::Nothing);
}
