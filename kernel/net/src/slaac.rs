//! IPv6 addresses without a server (RFC 4862): one for the link from the hardware address, others
//! from what routers announce.
//!
//! Others on the link are asked whether an address is theirs (RFC 4862, 5.4, duplicate address
//! detection). It is used meanwhile, as RFC 4429 has it: hardware addresses are seldom given twice,
//! and a machine that boots should not wait for a second.

use alloc::sync::Arc;
use core::net::{IpAddr, Ipv6Addr};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use caller::Instant;
use inet::ip::Cidr;
use smoltcp::wire::{EthernetAddress, Icmpv6Repr, NdiscPrefixInfoFlags, NdiscRepr, RawHardwareAddress};

use super::interface::Interface;
use super::timers::{self, Due};
use super::{address, arp, route};
use crate::clock;

const SECOND: u64 = 1_000_000_000;
/// Questions after routers, and the time between them (RFC 4861, 10).
const QUESTIONS: u32 = 3;
const ASK_EVERY: u64 = 4 * SECOND;
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Addresses that announcements may give an interface: a liar on the link does not fill memory.
const MAX_ANNOUNCED: usize = 16;

/// How long somebody may take to say that an address is not ours (`RetransTimer`). Later nobody
/// takes one away.
const CONFLICTS_FOR: u64 = SECOND;

/// When addresses were last asked after.
static PROBED: AtomicU64 = AtomicU64::new(0);
/// Questions asked so far.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// The lower half of addresses that are made from a hardware address (RFC 4291, appendix A).
fn identifier(mac: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac;
    [a ^ 2, b, c, 0xff, 0xfe, d, e, f]
}

fn with_prefix(prefix: &Ipv6Addr, mac: [u8; 6]) -> Ipv6Addr {
    let mut octets = prefix.octets();
    if let Some(low) = octets.last_chunk_mut::<8>() {
        *low = identifier(mac);
    }
    octets.into()
}

/// Gives the interface its address on the link, and asks for routers if `announced` addresses are
/// wanted.
pub fn start(interface: &Arc<Interface>, announced: bool) {
    let link = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
    let own = Cidr { address: IpAddr::V6(with_prefix(&link, interface.mac())), prefix: 64 };
    /// `IN6_ADDR_GEN_MODE_NONE`.
    const NONE: i32 = 1;
    if interface.conf.address_generation() != NONE {
        add(interface, own);
    }
    if announced {
        solicit_router(interface);
    }
}

/// Gives the interface an address, and asks whether somebody else has it.
pub fn add(interface: &Arc<Interface>, own: Cidr) {
    if address::add(interface, own).is_err() {
        return;
    }
    if let IpAddr::V6(address) = own.address {
        PROBED.store(clock::monotonic_ns(), Ordering::Relaxed);
        let question = NdiscRepr::NeighborSolicit { target_addr: address, lladdr: None };
        let group = arp::solicited_node(&address);
        arp::send_ndisc(interface, &Ipv6Addr::UNSPECIFIED, &group, &Icmpv6Repr::Ndisc(question));
        interface.kick();
    }
}

/// Somebody else says that `address` is at `mac`. If it has just become ours, it is so no longer.
pub fn conflict(interface: &Arc<Interface>, address: &Ipv6Addr, mac: &[u8; 6]) {
    let late = clock::monotonic_ns().saturating_sub(PROBED.load(Ordering::Relaxed)) > CONFLICTS_FOR;
    if late || *mac == interface.mac() || !interface.owns(&IpAddr::V6(*address)) {
        return;
    }
    let _ = address::remove(interface, |own| own.address == IpAddr::V6(*address));
    kerr!("{}: somebody else has the address {address}, so it is not used", interface.name());
}

fn solicit_router(interface: &Arc<Interface>) {
    ASKED.fetch_add(1, Ordering::Relaxed);
    if let Some(IpAddr::V6(source)) = interface.source_for(&IpAddr::V6(ALL_ROUTERS)) {
        let lladdr = Some(RawHardwareAddress::from(EthernetAddress(interface.mac())));
        arp::send_ndisc(interface, &source, &ALL_ROUTERS, &Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { lladdr }));
        interface.kick();
    }
    timers::at(clock::monotonic_ns() + ASK_EVERY, Due::Routers(interface.index));
}

/// Nobody may have answered yet.
pub fn on_timer(interface: &Arc<Interface>, _now: Instant) {
    let answered = interface.addresses.lock().iter().any(|own| is_global(&own.address));
    if !answered && ASKED.load(Ordering::Relaxed) < QUESTIONS {
        solicit_router(interface);
    }
}

fn is_global(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if !v6.is_unicast_link_local() && !v6.is_loopback())
}

/// A router at `source` announces itself. The caller has checked that it is on the link.
pub fn receive(interface: &Arc<Interface>, source: &Ipv6Addr, message: &NdiscRepr) {
    let NdiscRepr::RouterAdvert { router_lifetime, prefix_info, .. } = message else { return };
    // Only where addresses are not set by hand.
    if ASKED.load(Ordering::Relaxed) == 0 || !source.is_unicast_link_local() {
        return;
    }
    let router = IpAddr::V6(*source);
    if router_lifetime.total_millis() > 0 {
        route::set_default(router, interface.clone());
    } else {
        route::remove_default(router);
    }
    let Some(prefix) = prefix_info else { return };
    let wanted = prefix.flags.contains(NdiscPrefixInfoFlags::ADDRCONF)
        && prefix.prefix_len == 64
        && !prefix.prefix.is_unicast_link_local()
        && !prefix.prefix.is_multicast()
        && prefix.valid_lifetime >= prefix.preferred_lifetime;
    if !wanted {
        return;
    }
    let own = Cidr { address: IpAddr::V6(with_prefix(&prefix.prefix, interface.mac())), prefix: 64 };
    let (known, count) = {
        let addresses = interface.addresses.lock();
        (addresses.contains(&own), addresses.len())
    };
    if prefix.valid_lifetime.total_millis() == 0 {
        let _ = address::remove(interface, |other| *other == own);
    } else if !known && count < MAX_ANNOUNCED {
        add(interface, own);
    }
}
