//! Addresses of interfaces, and what hangs on them: routes, and who wants to know.

use alloc::string::String;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::interface::{Interface, Link, iff};
use super::netlink::events;
use super::{packet, route, slaac};

/// Addresses that programs may give one interface.
const MAX_ADDRESSES: usize = 1024;

/// What a program has said of an address of an interface besides.
#[derive(Clone)]
pub struct Note {
    /// The address.
    pub address: IpAddr,
    /// The address for all of its network, if there is to be one.
    pub broadcast: Option<Ipv4Addr>,
    /// A name that begins with the interface's.
    pub label: String,
    /// How far it is known (`RT_SCOPE_*`).
    pub scope: u8,
    /// `IFA_F_*`, of those that are for programs to know.
    pub flags: u32,
}

/// Gives an interface an address. `EEXIST`, `ENOBUFS`.
pub fn add(interface: &Arc<Interface>, own: Cidr) -> SysResult<()> {
    add_noted(interface, own, None)
}

/// The same with what a program says of it.
pub fn add_noted(interface: &Arc<Interface>, own: Cidr, note: Option<Note>) -> SysResult<()> {
    let mut addresses = interface.addresses.lock();
    let known = |other: &Cidr| other.address == own.address && (other.prefix == own.prefix || own.address.is_ipv6());
    if addresses.iter().any(known) {
        return Err(Errno::EEXIST);
    }
    if addresses.len() >= MAX_ADDRESSES || addresses.try_reserve(1).is_err() {
        return Err(Errno::ENOBUFS);
    }
    addresses.push(own);
    drop(addresses);
    if let Some(note) = note {
        interface.notes.lock().push(note);
    }
    if interface.is_up() {
        route::add_network(interface, &own);
    }
    events::address(interface, &own, true);
    Ok(())
}

/// Takes the first address away that `fits`. `EADDRNOTAVAIL`.
pub fn remove(interface: &Arc<Interface>, fits: impl Fn(&Cidr) -> bool) -> SysResult<()> {
    let mut addresses = interface.addresses.lock();
    let at = addresses.iter().position(fits).ok_or(Errno::EADDRNOTAVAIL)?;
    let own = addresses.remove(at);
    let first = !addresses.iter().take(at).any(|other| is_beside(&own, other));
    drop(addresses);
    route::remove_network(interface, &own);
    events::address(interface, &own, false);
    interface.notes.lock().retain(|note| note.address != own.address);
    // The other addresses of an IPv4 network hang on its first one.
    if first && own.address.is_ipv4() && !interface.conf.promotes_secondaries() {
        let beside: &dyn Fn(&Cidr) -> bool = &|other| is_beside(&own, other);
        while remove(interface, beside).is_ok() {}
    }
    Ok(())
}

/// Whether another address is of the same IPv4 network.
pub fn is_beside(own: &Cidr, other: &Cidr) -> bool {
    own.address.is_ipv4() && other.prefix == own.prefix && own.contains(&other.address) && own.prefix < 32
}

/// Sets the flags of an interface, and does what comes of it.
pub fn set_flags(interface: &Arc<Interface>, wanted: u32) {
    let changed = interface.set_flags(wanted);
    if changed & iff::UP != 0 {
        if interface.is_up() { has_come_up(interface) } else { has_gone_down(interface) }
    }
    if changed != 0 {
        events::link(interface, true);
    }
}

fn has_come_up(interface: &Arc<Interface>) {
    let own = interface.addresses.lock().clone();
    own.iter().for_each(|own| route::add_network(interface, own));
    if interface.conf.ipv6_is_off() {
        return;
    }
    if interface.is_loopback() {
        // Of IPv6's addresses none outlives an interface's being down.
        let _ = add(interface, Cidr { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 });
        if !own.iter().any(|own| own.address.is_ipv4()) {
            let _ = add(interface, Cidr { address: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 });
        }
    } else if !interface.link.is_point_to_point() {
        slaac::start(interface, false);
    }
}

fn has_gone_down(interface: &Arc<Interface>) {
    while remove(interface, |own| own.address.is_ipv6()).is_ok() {}
    route::remove_interface(interface);
    if let Link::Ethernet(_, neighbors) = &interface.link {
        neighbors.forget_all(interface);
    }
    packet::went_down(interface);
}

/// Takes IPv6 away from an interface, or gives it its address on the link.
pub fn set_ipv6(interface: &Arc<Interface>, on: bool) {
    if !on {
        while remove(interface, |own| own.address.is_ipv6()).is_ok() {}
    } else if interface.is_up() {
        has_come_up(interface);
    }
}

/// Takes an interface out for good.
pub fn retire(interface: &Arc<Interface>) {
    if interface.is_up() {
        interface.set_flags(interface.flags() & !iff::UP);
        has_gone_down(interface);
    }
    if !super::interface::remove(interface) {
        return;
    }
    interface.set_gone();
    while remove(interface, |_| true).is_ok() {}
    route::remove_interface(interface);
    packet::went_down(interface);
    events::link(interface, false);
}
