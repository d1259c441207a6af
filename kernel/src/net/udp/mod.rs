//! UDP (RFC 768): which socket a datagram is for.

mod socket;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hashbrown::HashMap;
use inet::ip::Flow;

use super::errors::Report;
use super::input::Incoming;
use super::output::UDP;
use super::{dhcp, icmp, secret};
use crate::arch::clock;
use crate::sync::SpinLock;

pub use socket::{Datagram, UdpSocket};

/// Length of the header.
pub const HEADER: usize = 8;

/// The sockets by their port.
static TABLE: SpinLock<Option<HashMap<u16, Vec<Weak<UdpSocket>>>>> = SpinLock::new(None);

/// Adds a socket that has a port now.
fn add(socket: &Arc<UdpSocket>, port: u16) {
    TABLE.lock().get_or_insert_with(HashMap::new).entry(port).or_default().push(Arc::downgrade(socket));
}

/// Takes a socket out.
fn remove(socket: &UdpSocket, port: u16) {
    let mut guard = TABLE.lock();
    let Some(table) = guard.as_mut() else { return };
    if let Some(same_port) = table.get_mut(&port) {
        same_port.retain(|other| !core::ptr::eq(other.as_ptr(), socket));
        if same_port.is_empty() {
            table.remove(&port);
        }
    }
}

/// All sockets that have a port.
pub fn sockets() -> Vec<Arc<UdpSocket>> {
    TABLE.lock().iter().flat_map(HashMap::values).flatten().filter_map(Weak::upgrade).collect()
}

fn candidates(port: u16) -> Vec<Arc<UdpSocket>> {
    let guard = TABLE.lock();
    let same_port = guard.as_ref().and_then(|table| table.get(&port)).map(Vec::as_slice).unwrap_or_default();
    same_port.iter().filter_map(Weak::upgrade).collect()
}

/// The socket that fits a flow best; those who share a port share the flows.
fn find(flow: &Flow) -> Option<Arc<UdpSocket>> {
    let all = candidates(flow.local.port());
    let fits = |socket: &Arc<UdpSocket>| socket.fit(flow.local.ip(), flow.remote);
    let best = all.iter().map(fits).max().filter(|fit| *fit > 0)?;
    let equals: Vec<&Arc<UdpSocket>> = all.iter().filter(|socket| fits(socket) == best).collect();
    let chosen = if equals.len() > 1 { (flow.hash(secret()) >> 16) as usize % equals.len() } else { 0 };
    equals.get(chosen).map(|socket| (*socket).clone())
}

/// A datagram has come in.
pub fn receive(incoming: &Incoming<'_>, for_all: bool) {
    let Some([s0, s1, d0, d1, l0, l1, c0, c1]) = incoming.head.first_chunk::<HEADER>().copied() else { return };
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let mut payload = incoming.payload(HEADER);
    let whole = if incoming.tail.is_empty() { incoming.head.len() } else { HEADER + incoming.tail.len() };
    if len < HEADER || len > whole {
        return;
    }
    payload.truncate(len - HEADER);
    let unsummed = [c0, c1] == [0, 0] && incoming.source.is_ipv4();
    if !unsummed && !incoming.checksum_is_right(UDP) {
        return;
    }
    if u16::from_be_bytes([d0, d1]) == inet::dhcp::PORTS.1
        && u16::from_be_bytes([s0, s1]) == inet::dhcp::PORTS.0
        && dhcp::receive(&payload)
    {
        return;
    }
    let remote = SocketAddr::new(incoming.source, u16::from_be_bytes([s0, s1]));
    let local = SocketAddr::new(incoming.destination, u16::from_be_bytes([d0, d1]));
    let datagram = Datagram {
        from: remote,
        to: local.ip(),
        interface: incoming.interface.index,
        ttl: incoming.ttl,
        tos: incoming.tos,
        stamp: clock::realtime_ns(),
        payload,
    };
    if for_all {
        for socket in candidates(local.port()).iter().filter(|socket| socket.fit(local.ip(), remote) > 0) {
            if !socket.takes_group(incoming.interface.index, &local.ip()) {
                continue;
            }
            socket.deliver(datagram.clone());
        }
        return;
    }
    match find(&Flow { local, remote }) {
        Some(socket) => socket.deliver(datagram),
        None => icmp::port_unreachable(incoming),
    }
}

/// The network says that a datagram of ours did not arrive. `hard`: it is no use to try again.
pub fn failed(flow: &Flow, report: Report, hard: bool) {
    if let Some(socket) = find(flow) {
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
