//! UDP (RFC 768) and UDP-Lite (RFC 3828): which socket a datagram is for.

pub mod ancillary;
mod file;
mod lite;
mod receive;
mod socket;
mod transmit;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::Ordering;

use hashbrown::HashMap;
use inet::Bytes;
use inet::ip::Flow;
use sync::SpinLock;

use super::counts::{self, Count};
use super::errors::Report;
use super::input::Incoming;
use super::output::{UDP, UDPLITE};
use super::{dhcp, icmp, secret};
use crate::clock;

pub use socket::{Datagram, UdpSocket, most_held};

/// Length of the header.
pub const HEADER: usize = 8;

/// A protocol's port: UDP and UDP-Lite have ports of their own.
type Port = (u8, u16);

/// The sockets by their port.
static TABLE: SpinLock<Option<HashMap<Port, Vec<Weak<UdpSocket>>>>> = SpinLock::new(None);

/// Adds a socket that has a port now.
fn add(socket: &Arc<UdpSocket>, port: Port) {
    TABLE.lock().get_or_insert_with(HashMap::new).entry(port).or_default().push(Arc::downgrade(socket));
}

/// Takes a socket out.
fn remove(socket: &UdpSocket, port: Port) {
    let mut guard = TABLE.lock();
    let Some(table) = guard.as_mut() else { return };
    if let Some(same_port) = table.get_mut(&port) {
        same_port.retain(|other| !core::ptr::eq(other.as_ptr(), socket));
        if same_port.is_empty() {
            table.remove(&port);
        }
    }
}

/// All sockets of a protocol that have a port.
pub fn sockets(protocol: u8) -> Vec<Arc<UdpSocket>> {
    let guard = TABLE.lock();
    let of_protocol = guard.iter().flatten().filter(|((of, _), _)| *of == protocol);
    of_protocol.flat_map(|(_, sockets)| sockets).filter_map(Weak::upgrade).collect()
}

fn candidates(port: Port) -> Vec<Arc<UdpSocket>> {
    let guard = TABLE.lock();
    let same_port = guard.as_ref().and_then(|table| table.get(&port)).map(Vec::as_slice).unwrap_or_default();
    same_port.iter().filter_map(Weak::upgrade).collect()
}

/// The socket that fits a flow best. Those who share a port share the flows (`SO_REUSEPORT`); else
/// the last one that was bound has them.
fn find(protocol: u8, flow: &Flow, interface: u32) -> Option<Arc<UdpSocket>> {
    let all = candidates((protocol, flow.local.port()));
    let fits = |socket: &Arc<UdpSocket>| socket.fit(flow.local.ip(), flow.remote, interface);
    let best = all.iter().map(fits).max().filter(|fit| *fit > 0)?;
    let equals: Vec<&Arc<UdpSocket>> = all.iter().filter(|socket| fits(socket) == best).collect();
    let shared = equals.len() > 1 && equals.iter().all(|socket| socket.common.sharing_port());
    let chosen = if shared { (flow.hash(secret()) >> 16) as usize % equals.len() } else { equals.len() - 1 };
    equals.get(chosen).map(|socket| (*socket).clone())
}

/// The fields of a header: the ports, and the two that the protocols read each in its own way.
fn header(incoming: &Incoming<'_>) -> Option<[u16; 4]> {
    let [s0, s1, d0, d1, l0, l1, c0, c1] = *incoming.head.first_chunk::<HEADER>()?;
    Some([[s0, s1], [d0, d1], [l0, l1], [c0, c1]].map(u16::from_be_bytes))
}

/// A datagram of UDP has come in. `for_all`: not for us alone.
pub fn receive(incoming: &Incoming<'_>, for_all: bool) {
    let Some([source, destination, len, sum]) = header(incoming) else { return };
    let len = usize::from(len);
    let mut payload = incoming.payload(HEADER);
    let whole = if incoming.tail.is_empty() { incoming.head.len() } else { HEADER + incoming.tail.len() };
    if len < HEADER || len > whole {
        return;
    }
    payload.truncate(len - HEADER);
    let unsummed = sum == 0 && incoming.source.is_ipv4();
    if !unsummed && !incoming.checksum_is_right(UDP) {
        return;
    }
    if (destination, source) == (inet::dhcp::PORTS.1, inet::dhcp::PORTS.0) && dhcp::receive(&payload) {
        return;
    }
    deliver(incoming, for_all, UDP, [source, destination], payload, |_| true);
}

/// A datagram of UDP-Lite has come in.
pub fn receive_lite(incoming: &Incoming<'_>, for_all: bool) {
    let Some([source, destination, field, _]) = header(incoming) else { return };
    let Some(covered) = lite::covered(incoming, field) else { return };
    let enough = |socket: &UdpSocket| socket.coverage.as_ref().is_some_and(|coverage| coverage.accepts(covered));
    deliver(incoming, for_all, UDPLITE, [source, destination], incoming.payload(HEADER), enough);
}

/// Gives a datagram to the socket that it is for, or to all that want it, if `takes` says so of
/// them.
fn deliver(
    incoming: &Incoming<'_>,
    for_all: bool,
    protocol: u8,
    [source, destination]: [u16; 2],
    payload: Bytes,
    takes: impl Fn(&UdpSocket) -> bool,
) {
    let interface = incoming.interface.index;
    let remote = SocketAddr::new(incoming.source, source);
    let local = SocketAddr::new(incoming.destination, destination);
    let datagram = Datagram {
        from: remote,
        to: local,
        interface,
        ttl: incoming.ttl,
        tos: incoming.tos,
        stamp: clock::realtime_ns(),
        drops: 0,
        segment: incoming.segment,
        carried: incoming.carried.clone(),
        payload,
    };
    if for_all {
        let all = candidates((protocol, local.port()));
        for socket in all.iter().filter(|socket| socket.fit(local.ip(), remote, interface) > 0 && takes(socket)) {
            if !socket.common.takes_group(interface, &local.ip(), &remote.ip()) {
                continue;
            }
            give(socket, incoming, datagram.clone());
        }
        return;
    }
    match find(protocol, &Flow { local, remote }, interface) {
        Some(socket) if takes(&socket) => {
            give(&socket, incoming, datagram);
        }
        Some(_) => {}
        None => {
            counts::of_family(Count::UdpNoPort, remote.is_ipv6());
            icmp::port_unreachable(incoming, protocol);
        }
    }
}

/// Gives a datagram to a socket, as much of it as its filter wants.
fn give(socket: &UdpSocket, incoming: &Incoming<'_>, mut datagram: Datagram) {
    match socket.common.filter.wanted(|| incoming.for_filter()) {
        0 => {}
        wanted => {
            datagram.payload.truncate(wanted.saturating_sub(HEADER));
            socket.deliver(datagram);
        }
    }
}

/// The network says that a datagram of ours did not arrive. `hard`: it is no use to try again.
pub fn failed(protocol: u8, flow: &Flow, report: Report, hard: bool) {
    // Whatever interface the answer came by: it is about a flow.
    let all = candidates((protocol, flow.local.port()));
    let fits = |socket: &&Arc<UdpSocket>| {
        let device = socket.common.device.load(Ordering::Relaxed);
        socket.fit(flow.local.ip(), flow.remote, device)
    };
    if let Some(socket) = all.iter().filter(|socket| fits(socket) > 0).max_by_key(fits) {
        socket.fail(report, hard);
    }
}

/// Whether an address that a socket is bound to takes packets for `address`.
fn covers(bound: &IpAddr, address: &IpAddr, v6_only: bool) -> u32 {
    match (bound, address) {
        (bound, address) if bound == address => 3,
        (IpAddr::V4(bound), IpAddr::V4(_)) if bound.is_unspecified() => 2,
        (IpAddr::V6(bound), IpAddr::V6(_)) if bound.is_unspecified() => 2,
        (IpAddr::V6(bound), IpAddr::V4(_)) if bound.is_unspecified() && !v6_only => 1,
        _ => 0,
    }
}
