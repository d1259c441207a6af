//! Routes: through which interface, and to whom next (ip-route(8)).
//!
//! A destination of our own goes to the loopback interface. Else the rules ([`super::rule`]) say
//! which tables are asked, and in a table the route with the longest prefix counts, among equals
//! the one with the lowest metric.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::ip::Cidr;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::interface::{self, Interface};
use super::netlink::events;
use super::query::Query;
use super::rule;

/// Routes that programs may add.
const MAX_ROUTES: usize = 4096;

/// Tables (`RT_TABLE_*`).
pub mod table {
    /// Asked after [`MAIN`].
    pub const DEFAULT: u32 = 253;
    /// Where routes are unless somebody says otherwise.
    pub const MAIN: u32 = 254;
    /// Our own addresses.
    pub const LOCAL: u32 = 255;
}

/// Kinds of routes (`RTN_*`).
#[allow(missing_docs)]
pub mod kind {
    pub const UNICAST: u8 = 1;
    pub const LOCAL: u8 = 2;
    pub const BROADCAST: u8 = 3;
    pub const MULTICAST: u8 = 5;
    pub const BLACKHOLE: u8 = 6;
    pub const UNREACHABLE: u8 = 7;
    pub const PROHIBIT: u8 = 8;
    pub const THROW: u8 = 9;
}

/// Who has made a route (`RTPROT_*`).
pub mod origin {
    /// The kernel, for an address.
    pub const KERNEL: u8 = 2;
    /// The configuration at the start.
    pub const BOOT: u8 = 3;
}

/// How far a destination is (`RT_SCOPE_*`).
#[allow(missing_docs)]
pub mod scope {
    pub const UNIVERSE: u8 = 0;
    pub const LINK: u8 = 253;
    pub const HOST: u8 = 254;
    pub const NOWHERE: u8 = 255;
}

/// A route.
#[derive(Clone)]
pub struct Route {
    /// Where it leads.
    pub destination: Cidr,
    /// By way of whom, unless those there are neighbours.
    pub gateway: Option<IpAddr>,
    /// Through which interface; `None` where it leads nowhere.
    pub interface: Option<Arc<Interface>>,
    /// See [`kind`].
    pub kind: u8,
    /// The lower the better.
    pub metric: u32,
    /// See [`table`].
    pub table: u32,
    /// See [`origin`].
    pub origin: u8,
    /// See [`scope`].
    pub scope: u8,
    /// The address of ours to send from.
    pub source: Option<IpAddr>,
    /// What few routes have.
    pub more: Option<Arc<More>>,
}

/// What few routes have.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct More {
    /// For packets of this type of service alone; 0 for all.
    pub tos: u8,
    /// The gateway is a neighbour, whatever the routes say (`RTNH_F_ONLINK`).
    pub is_onlink: bool,
    /// `RTAX_*`: numbers of the way, such as the largest packet.
    pub metrics: Vec<(u16, u32)>,
    /// Of several ways how much of all goes the first one, less one; and the other ways.
    pub weight: u8,
    /// See `weight`.
    pub others: Vec<NextHop>,
}

/// One of several ways of a route.
#[derive(Clone)]
pub struct NextHop {
    /// As a route's.
    pub gateway: Option<IpAddr>,
    /// As a route's.
    pub interface: Arc<Interface>,
    /// How much of all goes that way, less one.
    pub weight: u8,
    /// As a route's.
    pub is_onlink: bool,
}

impl PartialEq for NextHop {
    fn eq(&self, other: &NextHop) -> bool {
        self.gateway == other.gateway && self.interface.index == other.interface.index && self.weight == other.weight
    }
}

impl Eq for NextHop {}

impl core::fmt::Debug for NextHop {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "{:?} by {}", self.gateway, self.interface.index)
    }
}

/// `RTAX_MTU`.
const METRIC_MTU: u16 = 2;

impl Route {
    /// Whether the other one is the same as far as there can be one of them.
    fn is_like(&self, other: &Route) -> bool {
        self.destination == other.destination
            && self.metric == other.metric
            && self.table == other.table
            && self.tos() == other.tos()
    }

    /// Type of service; 0 for any.
    pub fn tos(&self) -> u8 {
        self.more.as_ref().map_or(0, |more| more.tos)
    }

    /// One of its numbers.
    fn number(&self, kind: u16) -> Option<u32> {
        let metrics = &self.more.as_ref()?.metrics;
        metrics.iter().find(|(this, _)| *this == kind).map(|(_, value)| *value)
    }

    /// The way that a packet goes: of several ones by the hash of its ends, each as often as its
    /// weight says.
    fn hop(self, query: &Query) -> SysResult<Hop> {
        let (mtu, source) = (self.number(METRIC_MTU).unwrap_or(0), self.source);
        let (mut gateway, mut interface) = (self.gateway, self.interface);
        if let Some(more) = self.more.as_ref().filter(|more| !more.others.is_empty()) {
            let up = |hop: &&NextHop| hop.interface.is_up();
            let weights = more.others.iter().filter(up).map(|hop| u64::from(hop.weight) + 1);
            let own = if interface.as_ref().is_some_and(|i| i.is_up()) { u64::from(more.weight) + 1 } else { 0 };
            let ends = [query.source.map_or(0, fold), fold(query.destination)];
            let mut left = super::secret().hash(&ends) % (own + weights.sum::<u64>()).max(1);
            if left >= own {
                left -= own;
                for hop in more.others.iter().filter(up) {
                    let weight = u64::from(hop.weight) + 1;
                    if left < weight {
                        (gateway, interface) = (hop.gateway, Some(hop.interface.clone()));
                        break;
                    }
                    left -= weight;
                }
            }
        }
        let interface = interface.ok_or(Errno::ENETUNREACH)?;
        Ok(Hop { interface, next: gateway.unwrap_or(query.destination), mtu, source })
    }

    /// Whether they lead the same way besides.
    fn is_same(&self, other: &Route) -> bool {
        self.is_like(other)
            && self.gateway == other.gateway
            && self.kind == other.kind
            && self.scope == other.scope
            && self.more == other.more
            && self.interface.as_ref().map(|i| i.index) == other.interface.as_ref().map(|i| i.index)
    }

    /// The route that an address brings to its network; none for an address that is alone there.
    pub fn to_network(interface: &Arc<Interface>, own: &Cidr) -> Option<Route> {
        let v4 = own.address.is_ipv4();
        if interface.is_loopback() || own.prefix == if v4 { 32 } else { 128 } && v4 {
            return None;
        }
        Some(Route {
            destination: Cidr { address: own.network(), prefix: own.prefix },
            gateway: None,
            interface: Some(interface.clone()),
            kind: kind::UNICAST,
            metric: if v4 { 0 } else { 256 },
            table: table::MAIN,
            origin: origin::KERNEL,
            scope: if v4 { scope::LINK } else { scope::UNIVERSE },
            source: v4.then_some(own.address),
            more: None,
        })
    }

    fn default(gateway: IpAddr, interface: Arc<Interface>) -> Route {
        let v4 = gateway.is_ipv4();
        let any = if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        Route {
            destination: Cidr { address: any, prefix: 0 },
            gateway: Some(gateway),
            interface: Some(interface),
            kind: kind::UNICAST,
            metric: if v4 { 0 } else { 1024 },
            table: table::MAIN,
            origin: origin::BOOT,
            scope: scope::UNIVERSE,
            source: None,
            more: None,
        }
    }
}

/// An address as a number, for a hash.
fn fold(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64,
    }
}

/// A leaf lock.
static ROUTES: SpinLock<Vec<Route>> = SpinLock::new(Vec::new());

/// A way to a destination.
#[derive(Clone)]
pub struct Hop {
    /// Through which interface.
    pub interface: Arc<Interface>,
    /// Whom to hand the packet to.
    pub next: IpAddr,
    /// The longest packet that goes that way; 0 where the interface alone says so.
    pub mtu: u32,
    /// The address of ours to send from, where the route names one.
    pub source: Option<IpAddr>,
}

impl Hop {
    /// To a neighbour.
    pub fn direct(interface: Arc<Interface>, next: IpAddr) -> Hop {
        Hop { interface, next, mtu: 0, source: None }
    }

    /// The address of ours to send from.
    pub fn source_for(&self, destination: &IpAddr) -> Option<IpAddr> {
        self.source.or_else(|| self.interface.source_for(destination))
    }

    /// The longest packet that goes that way.
    pub fn longest(&self) -> u32 {
        if self.mtu == 0 { self.interface.mtu() } else { self.mtu.min(self.interface.mtu()) }
    }

    /// The same as sockets are told: no packet of IPv4 is longer than its length can say.
    pub fn mtu(&self) -> i32 {
        let mtu = self.longest();
        (if self.next.is_ipv4() { mtu.min(0xffff) } else { mtu }) as i32
    }
}

/// Adds the default route of the gateway's family, in place of an earlier one.
pub fn set_default(gateway: IpAddr, interface: Arc<Interface>) {
    let route = Route::default(gateway, interface);
    let mut routes = ROUTES.lock();
    if routes.iter().any(|other| other.is_same(&route)) {
        return;
    }
    routes.retain(|other| !other.is_like(&route));
    routes.push(route.clone());
    drop(routes);
    events::route(&route, true);
}

/// Takes the default route by way of `gateway` away.
pub fn remove_default(gateway: IpAddr) {
    take_out(|route| route.destination.prefix == 0 && route.gateway == Some(gateway));
}

/// Adds the route that an address brings.
pub fn add_network(interface: &Arc<Interface>, own: &Cidr) {
    let Some(route) = Route::to_network(interface, own) else { return };
    let mut routes = ROUTES.lock();
    if routes.iter().any(|other| other.is_same(&route)) {
        return;
    }
    routes.push(route.clone());
    drop(routes);
    events::route(&route, true);
}

/// Takes the route away that an address has brought, where no other address brings it.
pub fn remove_network(interface: &Arc<Interface>, own: &Cidr) {
    let Some(route) = Route::to_network(interface, own) else { return };
    let others = interface.addresses.lock().iter().any(|other| {
        other.prefix == own.prefix && other.address.is_ipv4() == own.address.is_ipv4() && other.network() == own.network()
    });
    if !others {
        take_out(|other| other.origin == origin::KERNEL && other.is_same(&route));
    }
}

/// Takes routes out, and tells of it.
fn take_out(which: impl Fn(&Route) -> bool) {
    let mut gone = Vec::new();
    ROUTES.lock().retain(|route| {
        let goes = which(route);
        if goes {
            gone.push(route.clone());
        }
        !goes
    });
    gone.iter().for_each(|route| events::route(route, false));
}

/// Takes all routes through an interface away.
pub fn remove_interface(interface: &Interface) {
    take_out(|route| route.interface.as_ref().is_some_and(|through| through.index == interface.index));
}

/// How a route is added (`NLM_F_*`).
#[derive(Clone, Copy, Default)]
pub struct How {
    /// Only if it is not there.
    pub exclusive: bool,
    /// In place of one that is like it.
    pub replace: bool,
    /// Also where there is none.
    pub create: bool,
    /// Behind those that are like it.
    pub append: bool,
}

/// Adds a route. `EEXIST`, `ENOENT`, `ENOBUFS`.
pub fn add(route: Route, how: How) -> SysResult<()> {
    let mut routes = ROUTES.lock();
    let like = routes.iter().position(|other| other.is_like(&route));
    let same = routes.iter().any(|other| other.is_same(&route));
    match like {
        Some(_) if how.exclusive => return Err(Errno::EEXIST),
        Some(at) if how.replace => {
            if let Some(place) = routes.get_mut(at) {
                *place = route.clone();
            }
        }
        _ if same => return Err(Errno::EEXIST),
        None if !how.create => return Err(Errno::ENOENT),
        _ if routes.len() >= MAX_ROUTES || routes.try_reserve(1).is_err() => return Err(Errno::ENOBUFS),
        Some(at) if !how.append => routes.insert(at, route.clone()),
        _ => routes.push(route.clone()),
    }
    drop(routes);
    events::route(&route, true);
    Ok(())
}

/// Takes the first route away that `fits`. `ESRCH`.
pub fn remove(fits: impl Fn(&Route) -> bool) -> SysResult<()> {
    let mut routes = ROUTES.lock();
    let at = routes.iter().position(fits).ok_or(Errno::ESRCH)?;
    let route = routes.remove(at);
    drop(routes);
    events::route(&route, false);
    Ok(())
}

/// All routes but those to our own addresses.
pub fn all() -> Vec<Route> {
    ROUTES.lock().clone()
}

/// The routes of the table `LOCAL`, which nothing but our addresses make.
pub fn local() -> Vec<Route> {
    let mut routes = Vec::new();
    for interface in interface::all().iter().filter(|interface| interface.is_up()) {
        for own in interface.addresses.lock().iter() {
            let v4 = own.address.is_ipv4();
            let route = |address: IpAddr, prefix: u8, kind: u8, scope: u8| Route {
                destination: Cidr { address, prefix },
                gateway: None,
                interface: Some(interface.clone()),
                kind,
                metric: 0,
                table: table::LOCAL,
                origin: origin::KERNEL,
                scope,
                source: v4.then_some(own.address),
                more: None,
            };
            if v4 && interface.is_loopback() && own.prefix < 32 {
                routes.push(route(own.network(), own.prefix, kind::LOCAL, scope::HOST));
            }
            let (whole, near) = if v4 { (32, scope::HOST) } else { (128, scope::UNIVERSE) };
            routes.push(route(own.address, whole, kind::LOCAL, near));
            if let Some(broadcast) = own.broadcast() {
                routes.push(route(broadcast.into(), 32, kind::BROADCAST, scope::LINK));
            }
        }
        if !interface.is_loopback() && interface.addresses.lock().iter().any(|own| own.address.is_ipv6()) {
            let all_groups = Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0);
            routes.push(Route {
                destination: Cidr { address: all_groups.into(), prefix: 8 },
                gateway: None,
                interface: Some(interface.clone()),
                kind: kind::MULTICAST,
                metric: 256,
                table: table::LOCAL,
                origin: origin::KERNEL,
                scope: scope::UNIVERSE,
                source: None,
                more: None,
            });
        }
    }
    routes
}

/// A table for routes that none are in yet.
pub fn free_table() -> Option<u32> {
    let routes = ROUTES.lock();
    (1..table::DEFAULT).find(|table| routes.iter().all(|route| route.table != *table))
}

/// What a table says of a destination; `None` if nothing.
fn look_up_in_table(routes: &[Route], table: u32, query: &Query) -> Option<SysResult<Route>> {
    let fits = |route: &&Route| {
        route.table == table
            && route.destination.contains(&query.destination)
            && (route.more.is_none() || route.tos() == 0 || route.tos() == query.tos)
            && is_usable(route)
    };
    let order = |route: &&Route| (route.destination.prefix, route.tos(), core::cmp::Reverse(route.metric));
    // Of those that are alike the first counts.
    let best = routes.iter().rev().filter(fits).max_by_key(order)?;
    match best.kind {
        kind::THROW => None,
        kind::BLACKHOLE => Some(Err(Errno::EINVAL)),
        kind::UNREACHABLE => Some(Err(Errno::EHOSTUNREACH)),
        kind::PROHIBIT => Some(Err(Errno::EACCES)),
        _ => Some(Ok(best.clone())),
    }
}

fn is_usable(route: &Route) -> bool {
    let others = route.more.as_ref().map_or(&[][..], |more| &more.others);
    route.interface.as_ref().is_none_or(|interface| interface.is_up()) || others.iter().any(|hop| hop.interface.is_up())
}

/// The route to a destination that is not our own. `ENETUNREACH` and what routes that lead nowhere
/// say.
pub fn find(query: &Query) -> SysResult<Route> {
    let routes = ROUTES.lock();
    rule::walk(query, |table| look_up_in_table(&routes, table, query))
}

/// The way to `destination` by a certain interface: what is not on its network goes by way of a
/// gateway there, or is looked for on the link. `ENODEV`, `ENETUNREACH`.
pub fn lookup_through(query: &Query, interface: u32) -> SysResult<Hop> {
    let destination = &query.destination;
    let usual = lookup_for(query);
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
    let fits = |route: &&Route| {
        route.interface.as_ref().is_some_and(|through| through.index == interface.index)
            && route.destination.contains(destination)
    };
    let best = routes.iter().filter(fits).max_by_key(|route| route.destination.prefix);
    let next = best.and_then(|route| route.gateway).unwrap_or(*destination);
    drop(routes);
    Ok(Hop::direct(interface, next))
}

/// The way to `destination` for a packet of the kernel's own.
pub fn lookup(destination: &IpAddr) -> SysResult<Hop> {
    lookup_for(&Query::to(destination))
}

/// The way to a destination. `ENETUNREACH` and what [`find`] says.
pub fn lookup_for(query: &Query) -> SysResult<Hop> {
    let destination = &query.destination;
    if interface::owner(destination).is_some() || destination.is_unspecified() {
        let loopback = interface::by_index(1).filter(|loopback| loopback.is_up());
        return loopback.map(|interface| Hop::direct(interface, *destination)).ok_or(Errno::ENETUNREACH);
    }
    let for_all = destination.is_multicast() || *destination == IpAddr::V4(Ipv4Addr::BROADCAST);
    let link_local = matches!(destination, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let found = find(query);
    if (for_all || link_local) && !found.as_ref().is_ok_and(|route| route.destination.prefix > 0) {
        let first = interface::all().iter().find(|i| !i.is_loopback() && i.is_up()).cloned();
        return first.map(|interface| Hop::direct(interface, *destination)).ok_or(Errno::ENETUNREACH);
    }
    found?.hop(query)
}

/// The interface behind which a gateway is a neighbour. `ENETUNREACH`.
pub fn on_link(gateway: &IpAddr) -> SysResult<Arc<Interface>> {
    if let Some(owner) = interface::owner(gateway) {
        return Ok(owner);
    }
    let route = find(&Query::to(gateway)).map_err(|_| Errno::ENETUNREACH)?;
    route.interface.filter(|_| route.gateway.is_none()).ok_or(Errno::ENETUNREACH)
}
