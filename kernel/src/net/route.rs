//! Routes: through which interface, and to whom next.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::interface::{self, Interface};
use crate::sync::SpinLock;

/// A route that is not that of an interface's own network.
#[derive(Clone)]
pub struct Route {
    /// Where it leads.
    pub destination: Cidr,
    /// By way of whom.
    pub gateway: IpAddr,
    /// Through which interface.
    pub interface: Arc<Interface>,
}

static ROUTES: SpinLock<Vec<Route>> = SpinLock::new(Vec::new());

/// A way to a destination.
#[derive(Clone)]
pub struct Hop {
    /// Through which interface.
    pub interface: Arc<Interface>,
    /// Whom to hand the packet to.
    pub next: IpAddr,
}

/// Adds the default route of the gateway's family, in place of an earlier one.
pub fn set_default(gateway: IpAddr, interface: Arc<Interface>) {
    let any = if gateway.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let destination = Cidr { address: any, prefix: 0 };
    let mut routes = ROUTES.lock();
    routes.retain(|route| route.destination != destination);
    routes.push(Route { destination, gateway, interface });
}

/// Takes the default route by way of `gateway` away.
pub fn remove_default(gateway: IpAddr) {
    ROUTES.lock().retain(|route| route.destination.prefix != 0 || route.gateway != gateway);
}

/// The routes by way of a gateway.
pub fn gateways() -> Vec<Route> {
    ROUTES.lock().clone()
}

/// The way to `destination` by a certain interface: what is not on its network goes by way of a gateway there, or is looked for on
/// the link. `ENODEV`, `ENETUNREACH`.
pub fn lookup_through(destination: &IpAddr, interface: u32) -> SysResult<Hop> {
    let usual = lookup(destination);
    if let Ok(hop) = &usual
        && hop.interface.index == interface
    {
        return usual;
    }
    let interface = interface::by_index(interface).ok_or(Errno::ENODEV)?;
    // What is our own stays with us, whatever the interface.
    if interface::owner(destination).is_some() {
        return usual;
    }
    let routes = ROUTES.lock();
    let through = routes.iter().filter(|r| r.interface.index == interface.index && r.destination.contains(destination));
    let next = through.max_by_key(|r| r.destination.prefix).map_or(*destination, |r| r.gateway);
    Ok(Hop { interface: interface.clone(), next })
}

/// The way to `destination`. `ENETUNREACH`.
pub fn lookup(destination: &IpAddr) -> SysResult<Hop> {
    let direct = |interface: &Arc<Interface>| Hop { interface: interface.clone(), next: *destination };
    if interface::owner(destination).is_some() || destination.is_unspecified() {
        return interface::by_index(1).map(direct).ok_or(Errno::ENETUNREACH);
    }
    let cards = || interface::all().iter().filter(|i| !i.is_loopback());
    let for_all = destination.is_multicast() || *destination == IpAddr::V4(Ipv4Addr::BROADCAST);
    let link_local = matches!(destination, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if for_all || link_local {
        return cards().next().map(direct).ok_or(Errno::ENETUNREACH);
    }
    let on_link = cards().find(|i| i.addresses.lock().iter().any(|own| own.contains(destination)));
    if let Some(interface) = on_link {
        return Ok(direct(interface));
    }
    let routes = ROUTES.lock();
    let best = routes.iter().filter(|r| r.destination.contains(destination)).max_by_key(|r| r.destination.prefix);
    best.map(|r| Hop { interface: r.interface.clone(), next: r.gateway }).ok_or(Errno::ENETUNREACH)
}
