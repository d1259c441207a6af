//! Groups that interfaces listen to (RFC 1112, RFC 3376, RFC 3810).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use caller::Instant;
use inet::groups::{self, Query, Record};
use inet::tcp::Pieces;
use smoltcp::wire::EthernetProtocol;
use sync::SpinLock;

use super::arp;
use super::interface::{Interface, Link};
use super::timers::{self, Due};
use crate::device::Frame;
use crate::{clock, machine};

const MS: u64 = 1_000_000;
/// A change is told again after this, lest it was lost (RFC 3376, 8.11).
const AGAIN: u64 = 1000 * MS;
/// The longest time that a query is left without an answer.
const MAX_DELAY_MS: u64 = 10_000;

/// A group, and how many sockets have joined it.
struct Group {
    address: IpAddr,
    sockets: usize,
}

/// The groups of an interface. A leaf lock.
#[derive(Default)]
pub struct Groups(SpinLock<Vec<Group>>);

/// A socket joins a group.
pub fn join(interface: &Arc<Interface>, address: IpAddr) {
    let mut list = interface.groups.0.lock();
    if let Some(group) = list.iter_mut().find(|group| group.address == address) {
        group.sockets += 1;
        return;
    }
    list.push(Group { address, sockets: 1 });
    drop(list);
    report(interface, Record::Join, &[address]);
    timers::at(clock::monotonic_ns() + AGAIN, Due::Groups(interface.index));
}

/// A socket leaves a group.
pub fn leave(interface: &Arc<Interface>, address: IpAddr) {
    let mut list = interface.groups.0.lock();
    let Some(at) = list.iter().position(|group| group.address == address) else { return };
    if let Some(group) = list.get_mut(at) {
        group.sockets -= 1;
        if group.sockets > 0 {
            return;
        }
    }
    list.swap_remove(at);
    drop(list);
    report(interface, Record::Leave, &[address]);
}

/// Whether the interface takes packets for a group: joined, or one that everybody is in.
pub fn is_member(interface: &Interface, address: &IpAddr) -> bool {
    let inborn = match address {
        IpAddr::V4(v4) => v4.octets() == [224, 0, 0, 1],
        IpAddr::V6(v6) => {
            let all_nodes = matches!(v6.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]);
            let mine = |own: &IpAddr| matches!(own, IpAddr::V6(own) if arp::solicited_node(own) == *v6);
            all_nodes || interface.addresses.lock().iter().any(|own| mine(&own.address))
        }
    };
    inborn || interface.groups.0.lock().iter().any(|group| group.address == *address)
}

/// All groups that were joined, for /proc/net/igmp and its like.
pub fn joined(interface: &Interface) -> Vec<(IpAddr, usize)> {
    interface.groups.0.lock().iter().map(|group| (group.address, group.sockets)).collect()
}

/// A router asks.
pub fn query_received(interface: &Arc<Interface>, query: &Query) {
    if !interface.groups.0.lock().is_empty() {
        // Everybody answers at a moment of its own.
        let delay = machine::random() % query.within.clamp(1, MAX_DELAY_MS) * MS;
        timers::at(clock::monotonic_ns() + delay, Due::Groups(interface.index));
    }
}

/// It is time to say which groups there are.
pub fn on_timer(interface: &Arc<Interface>, _now: Instant) {
    let all: Vec<IpAddr> = joined(interface).into_iter().map(|(address, _)| address).collect();
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = all.into_iter().partition(IpAddr::is_ipv4);
    for family in [v4, v6] {
        for part in family.chunks(groups::MAX_GROUPS) {
            report(interface, Record::Is, part);
        }
    }
}

/// Tells the routers about groups of one family.
fn report(interface: &Interface, record: Record, of: &[IpAddr]) {
    let Link::Ethernet(_, neighbors) = &interface.link else { return };
    let reported: Vec<IpAddr> = of.iter().copied().filter(groups::is_reported).collect();
    let Some(first) = reported.first() else { return };
    let (protocol, to) = if first.is_ipv4() {
        (EthernetProtocol::Ipv4, IpAddr::V4(groups::ROUTERS_V4))
    } else {
        (EthernetProtocol::Ipv6, IpAddr::V6(groups::ROUTERS_V6))
    };
    // MLD wants an address of the link.
    let Some(source) = interface.source_for(&to) else { return };
    let packet = groups::report(&source, record, &reported);
    let mut head = arp::ethernet_head(interface, [0; 6], protocol, packet.len());
    head.extend_from_slice(&packet);
    neighbors.send(interface, &to, Frame { head, payload: Pieces::new(), offload: None });
    interface.kick();
}
