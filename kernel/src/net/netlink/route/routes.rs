//! Routes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::super::message::{self, Request, attribute, find, flag, number, word};
use super::{Answers, NEW_ROUTE, family, is_v4};
use crate::net::interface::{self, Interface};
use crate::net::route::{self, How, Route, kind, scope, table};
use crate::net::rule;

/// `sizeof(struct rtmsg)`.
const INFO: usize = 12;
/// `RTA_*`.
const DST: u16 = 1;
const SRC: u16 = 2;
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const PREFSRC: u16 = 7;
const METRICS: u16 = 8;
const MULTIPATH: u16 = 9;
const TABLE: u16 = 15;
const VIA: u16 = 18;
const ENCAP: u16 = 22;
const NH_ID: u16 = 30;
/// What nothing here would look at.
const REFUSED: [u16; 5] = [METRICS, MULTIPATH, VIA, ENCAP, NH_ID];
/// `RTNH_F_ONLINK`: the gateway is a neighbour, whatever the routes say.
const ONLINK: u32 = 4;
/// `RTM_F_CLONED`, `RTM_F_LOOKUP_TABLE`, `RTCF_LOCAL`.
const CLONED: u32 = 0x200;
const LOOKUP_TABLE: u32 = 0x1000;
const TO_US: u32 = 0x8000_0000;

/// `RTM_NEWROUTE` about a route.
pub fn describe(route: &Route) -> Vec<u8> {
    let v4 = route.destination.address.is_ipv4();
    let short = u8::try_from(route.table).unwrap_or(252);
    let mut out = alloc::vec![family(v4), route.destination.prefix, 0, 0, short, route.origin, route.scope, route.kind];
    out.extend_from_slice(&[0; 4]);
    attribute(&mut out, TABLE, &route.table.to_ne_bytes());
    if route.destination.prefix > 0 {
        message::address(&mut out, DST, &route.destination.network());
    }
    if route.metric != 0 || !v4 {
        attribute(&mut out, PRIORITY, &route.metric.to_ne_bytes());
    }
    if let Some(source) = &route.source {
        message::address(&mut out, PREFSRC, source);
    }
    if let Some(gateway) = &route.gateway {
        message::address(&mut out, GATEWAY, gateway);
    }
    if let Some(interface) = &route.interface {
        attribute(&mut out, OIF, &interface.index.to_ne_bytes());
    }
    out
}

/// All routes of the families wanted; with `strict` those of the table and through the interface that the request names.
pub fn dump(wanted: impl Fn(bool) -> bool, body: &[u8], strict: bool) -> Answers {
    let attributes = body.get(INFO..).unwrap_or_default();
    let (table, through) = match strict {
        true => (number(attributes, TABLE).or(body.get(4).map(|t| (*t).into())).unwrap_or(0), number(attributes, OIF)),
        false => (0, None),
    };
    let chosen = |route: &&Route| {
        wanted(route.destination.address.is_ipv4())
            && (table == 0 || route.table == table)
            && through.is_none_or(|index| route.interface.as_ref().is_some_and(|i| i.index == index))
    };
    let (all, local) = (route::all(), route::local());
    all.iter().chain(&local).filter(chosen).map(|route| (NEW_ROUTE, describe(route))).collect()
}

/// What a request says of a route.
struct Wish {
    v4: bool,
    destination: Cidr,
    table: u32,
    origin: u8,
    scope: u8,
    kind: u8,
    flags: u32,
    gateway: Option<IpAddr>,
    interface: Option<Arc<Interface>>,
    metric: u32,
    source: Option<IpAddr>,
}

fn read(body: &[u8]) -> SysResult<Wish> {
    let v4 = is_v4(body)?;
    let Some([_, prefix, source_prefix, tos, table, origin, scope, kind]) = body.first_chunk::<8>().copied() else {
        return Err(Errno::EINVAL);
    };
    let attributes = body.get(INFO..).ok_or(Errno::EINVAL)?;
    if prefix > if v4 { 32 } else { 128 } || source_prefix > if v4 { 0 } else { 128 } {
        return Err(Errno::EINVAL);
    }
    if source_prefix != 0 || tos != 0 || REFUSED.iter().any(|kind| find(attributes, *kind).is_some()) {
        return Err(Errno::EOPNOTSUPP);
    }
    let address = |kind| find(attributes, kind).map(|value| message::ip(value, v4).ok_or(Errno::EINVAL)).transpose();
    let any = if v4 { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let destination = Cidr { address: address(DST)?.unwrap_or(any), prefix };
    if v4 && destination.network() != destination.address {
        return Err(Errno::EINVAL);
    }
    let interface = match number(attributes, OIF) {
        None | Some(0) => None,
        Some(index) => Some(interface::by_index(index).ok_or(Errno::ENODEV)?),
    };
    let table = match number(attributes, TABLE).unwrap_or(table.into()) {
        0 => table::MAIN,
        table => table,
    };
    Ok(Wish {
        v4,
        destination: Cidr { address: destination.network(), prefix },
        table,
        origin,
        scope,
        kind,
        flags: word(body, 8),
        gateway: address(GATEWAY)?.filter(|gateway| !gateway.is_unspecified()),
        interface,
        metric: number(attributes, PRIORITY).unwrap_or(0),
        source: address(PREFSRC)?,
    })
}

/// `RTM_NEWROUTE`. `EINVAL`, `ENODEV`, `ENETDOWN`, `ENETUNREACH`, `EHOSTUNREACH`, `EEXIST`, `ENOENT`.
pub fn new(request: &Request, body: &[u8]) -> SysResult<()> {
    let wish = read(body)?;
    let nowhere = match wish.kind {
        kind::UNICAST => false,
        0 if !wish.v4 => false,
        kind::BLACKHOLE | kind::UNREACHABLE | kind::PROHIBIT | kind::THROW => true,
        kind::LOCAL..=kind::MULTICAST => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    };
    if wish.v4 && nowhere && (wish.gateway.is_some() || wish.interface.is_some()) {
        return Err(Errno::EINVAL);
    }
    let interface = if nowhere { None } else { Some(through(&wish)?) };
    // Only ours are sent from.
    if let Some(source) = &wish.source
        && interface::owner(source).is_none()
    {
        return Err(Errno::EINVAL);
    }
    let route = Route {
        destination: wish.destination,
        gateway: wish.gateway,
        interface,
        kind: if wish.kind == 0 { kind::UNICAST } else { wish.kind },
        metric: if wish.metric == 0 && !wish.v4 { 1024 } else { wish.metric },
        table: wish.table,
        origin: wish.origin,
        scope: if wish.v4 { wish.scope } else { scope::UNIVERSE },
        source: wish.source,
    };
    let how = How {
        exclusive: request.has(flag::EXCL),
        replace: request.has(flag::REPLACE),
        create: request.has(flag::CREATE) || !wish.v4 && !request.has(flag::REPLACE),
        append: request.has(flag::APPEND),
    };
    route::add(route, how)
}

/// The interface of a route that leads somewhere.
fn through(wish: &Wish) -> SysResult<Arc<Interface>> {
    let far = if wish.v4 { Errno::ENETUNREACH } else { Errno::EHOSTUNREACH };
    let interface = match (&wish.interface, &wish.gateway) {
        (Some(interface), _) => interface.clone(),
        (None, Some(gateway)) => route::on_link(gateway).map_err(|error| if wish.v4 { error } else { far })?,
        (None, None) => return Err(Errno::ENODEV),
    };
    if !interface.is_up() {
        return Err(Errno::ENETDOWN);
    }
    if let (Some(gateway), Some(named)) = (&wish.gateway, &wish.interface)
        && wish.flags & ONLINK == 0
        && !matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local())
    {
        let neighbor = route::on_link(gateway).map_err(|error| if wish.v4 { error } else { far })?;
        if neighbor.index != named.index {
            return Err(far);
        }
    }
    Ok(interface)
}

/// `RTM_DELROUTE`. `ESRCH`.
pub fn remove(body: &[u8]) -> SysResult<()> {
    let wish = read(body)?;
    route::remove(|route| {
        route.destination == wish.destination
            && route.table == wish.table
            && (wish.kind == 0 || route.kind == wish.kind)
            && (!wish.v4 || wish.scope == scope::NOWHERE || route.scope == wish.scope)
            && (wish.origin == 0 || route.origin == wish.origin)
            && (wish.metric == 0 || route.metric == wish.metric)
            && wish.source.is_none_or(|source| route.source == Some(source))
            && wish.gateway.is_none_or(|gateway| route.gateway == Some(gateway))
            && wish.interface.as_ref().is_none_or(|named| route.interface.as_ref().is_some_and(|i| i.index == named.index))
    })
}

/// `RTM_GETROUTE` for one destination, as `ip route get` asks. `EINVAL`, `ENETUNREACH` and what the routes say.
pub fn get(body: &[u8]) -> SysResult<Answers> {
    let v4 = is_v4(body)?;
    let attributes = body.get(INFO..).ok_or(Errno::EINVAL)?;
    let address = |kind| find(attributes, kind).map(|value| message::ip(value, v4).ok_or(Errno::EINVAL)).transpose();
    let asked = address(DST)?.unwrap_or(if v4 { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) });
    let given = address(SRC)?;
    if given.is_some_and(|source| interface::owner(&source).is_none()) {
        return Err(Errno::EINVAL);
    }
    let ours = interface::owner(&asked).is_some() || asked.is_unspecified();
    let hop = route::lookup(&asked)?;
    let found = if ours { None } else { route::find(&asked).ok() };
    let named = number(attributes, OIF).filter(|index| *index != 0);
    if named.is_some_and(|index| index != hop.interface.index) {
        return Err(Errno::ENETUNREACH);
    }
    let looked_up = word(body, 8) & LOOKUP_TABLE != 0 || !v4;
    let table = match (&found, ours) {
        (_, true) if looked_up && (!v4 || rule::are_changed()) => table::LOCAL,
        (Some(route), false) if looked_up => route.table,
        _ => table::MAIN,
    };
    let kind = match asked {
        _ if ours => kind::LOCAL,
        IpAddr::V4(address) if address.is_multicast() => kind::MULTICAST,
        IpAddr::V4(address) if hop.interface.is_broadcast(&address) => kind::BROADCAST,
        _ => kind::UNICAST,
    };
    let origin = if v4 { 0 } else { found.as_ref().map_or(route::origin::KERNEL, |route| route.origin) };
    let whole = if v4 { 32 } else { 128 };
    let short = u8::try_from(table).unwrap_or(252);
    let mut out = alloc::vec![family(v4), whole, 0, 0, short, origin, 0, kind];
    out.extend_from_slice(&(CLONED | if ours && v4 { TO_US } else { 0 }).to_ne_bytes());
    attribute(&mut out, TABLE, &table.to_ne_bytes());
    message::address(&mut out, DST, &asked);
    attribute(&mut out, OIF, &hop.interface.index.to_ne_bytes());
    let exactly = interface::owner(&asked).filter(|owner| owner.addresses.lock().iter().any(|own| own.address == asked));
    let own = if exactly.is_some() { Some(asked) } else { hop.interface.source_for(&asked) };
    if let Some(source) = given.or(found.and_then(|route| route.source)).or(own) {
        message::address(&mut out, PREFSRC, &source);
    }
    if hop.next != asked {
        message::address(&mut out, GATEWAY, &hop.next);
    }
    Ok(alloc::vec![(NEW_ROUTE, out)])
}
