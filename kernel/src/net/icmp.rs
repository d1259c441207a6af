//! ICMP (RFC 792) and ICMPv6 (RFC 4443): answers to pings, and errors both ways.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};

use inet::checksum::Sum;
use inet::ip::{Flow, octets};
use inet::tcp::{Error, Pieces};
use syscall_shim::Errno;

use super::input::Incoming;
use super::output::{self, ICMP, ICMPV6, Outgoing, TCP, TTL, UDP};
use super::{route, tcp, udp};
use crate::arch::clock;

/// Message types, for IPv4 and IPv6.
const ECHO_REPLY: [u8; 2] = [0, 129];
const ECHO: [u8; 2] = [8, 128];
const UNREACHABLE: [u8; 2] = [3, 1];
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

/// Sends a message whose checksum is 0 as yet.
fn send(source: IpAddr, destination: IpAddr, mut message: Vec<u8>) {
    let Ok(hop) = route::lookup(&destination) else { return };
    let protocol = [ICMP, ICMPV6][family(&source)];
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
        tos: 0,
        header: &message,
        checksum_at: None,
        payload: Pieces::new(),
        segment_size: None,
    };
    let _ = output::send(&hop, packet);
}

/// A message has come in, its checksum found right. `for_all`: not for us alone.
pub fn receive(incoming: &Incoming<'_>, for_all: bool) {
    let Some([kind, code, ..]) = incoming.head.first_chunk::<HEADER>().copied() else { return };
    let family = family(&incoming.source);
    if kind == ECHO[family] {
        // Pings to everybody are not answered (net.ipv4.icmp_echo_ignore_broadcasts).
        if !for_all {
            let mut answer = incoming.head.to_vec();
            if let Some(start) = answer.get_mut(..4) {
                start.copy_from_slice(&[ECHO_REPLY[family], 0, 0, 0]);
            }
            send(incoming.destination, incoming.source, answer);
        }
    } else if kind == UNREACHABLE[family]
        && let Some(quoted) = incoming.head.get(HEADER..)
    {
        unreachable(quoted, family, code);
    }
}

/// Whose packet an error quotes: the protocol, and the flow as we see it.
fn quoted_flow(quoted: &[u8]) -> Option<(u8, Flow)> {
    let (protocol, source, destination, at): (u8, IpAddr, IpAddr, usize) = match quoted.first()? >> 4 {
        4 => {
            let header: &[u8; 20] = quoted.first_chunk()?;
            let address = |at: usize| -> Option<[u8; 4]> { header.get(at..at + 4)?.try_into().ok() };
            (header[9], address(12)?.into(), address(16)?.into(), usize::from(header[0] & 15) * 4)
        }
        6 => {
            let header: &[u8; 40] = quoted.first_chunk()?;
            let address = |at: usize| -> Option<[u8; 16]> { header.get(at..at + 16)?.try_into().ok() };
            (header[6], address(8)?.into(), address(24)?.into(), 40)
        }
        _ => return None,
    };
    let port = |at: usize| -> Option<u16> { Some(u16::from_be_bytes(quoted.get(at..at + 2)?.try_into().ok()?)) };
    let (local, remote) = (SocketAddr::new(source, port(at)?), SocketAddr::new(destination, port(at + 2)?));
    Some((protocol, Flow { local, remote }))
}

fn unreachable(quoted: &[u8], family: usize, code: u8) {
    let Some((protocol, flow)) = quoted_flow(quoted) else { return };
    match protocol {
        UDP => {
            let error = if code == PORT[family] { Errno::ECONNREFUSED } else { Errno::EHOSTUNREACH };
            udp::failed(&flow, error);
        }
        TCP => {
            let error = if code == PORT[family] { Error::Refused } else { Error::Unreachable };
            tcp::failed(&flow, error);
        }
        _ => {}
    }
}

/// Nobody has the port that a datagram is for.
pub fn port_unreachable(incoming: &Incoming<'_>) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = clock::monotonic_ns();
    if !incoming.interface.is_loopback() && now.saturating_sub(LAST.swap(now, Ordering::Relaxed)) < ERROR_EVERY {
        return;
    }
    let family = family(&incoming.source);
    let mut message = alloc::vec![UNREACHABLE[family], PORT[family], 0, 0, 0, 0, 0, 0];
    let quoted = Outgoing {
        source: incoming.source,
        destination: incoming.destination,
        protocol: UDP,
        ttl: incoming.ttl,
        tos: incoming.tos,
        header: &[],
        checksum_at: None,
        payload: Pieces::new(),
        segment_size: None,
    };
    output::write_header(&quoted, incoming.head.len(), &mut message);
    message.extend_from_slice(incoming.head.get(..incoming.head.len().min(QUOTE)).unwrap_or_default());
    send(incoming.destination, incoming.source, message);
}
