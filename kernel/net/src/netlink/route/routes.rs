//! Routes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::super::message::{self, Request, attribute, find, flag, number, word};
use super::{Answers, NEW_ROUTE, family, is_v4};
use crate::interface::{self, Interface};
use crate::query::Query;
use crate::route::{self, How, More, NextHop, Route, kind, scope, table};
use crate::rule;

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
const CACHEINFO: u16 = 12;
const TABLE: u16 = 15;
const MARK: u16 = 16;
const VIA: u16 = 18;
const PREF: u16 = 20;
const ENCAP: u16 = 22;
const UID: u16 = 25;
const IP_PROTO: u16 = 27;
const SPORT: u16 = 28;
const DPORT: u16 = 29;
const NH_ID: u16 = 30;
/// What nothing here would look at.
const REFUSED: [u16; 3] = [VIA, ENCAP, NH_ID];
/// `sizeof(struct rtnexthop)`, and of `struct rta_cacheinfo`.
const NEXT_HOP: usize = 8;
const CACHE: usize = 32;
/// `RTNH_F_DEAD`, `RTNH_F_ONLINK`, `RTNH_F_LINKDOWN`.
const DEAD: u32 = 1;
const ONLINK: u32 = 4;
const LINK_DOWN: u32 = 16;
/// `RTM_F_CLONED`, `RTM_F_LOOKUP_TABLE`, `RTM_F_FIB_MATCH`, `RTCF_BROADCAST`, `RTCF_LOCAL`.
const CLONED: u32 = 0x200;
const LOOKUP_TABLE: u32 = 0x1000;
const FIB_MATCH: u32 = 0x2000;
const TO_ALL: u32 = 0x1000_0000;
const TO_US: u32 = 0x8000_0000;
/// The loopback interface.
const LOOPBACK: u32 = 1;

/// Flags of a way: whether it is usable, and how its gateway is reached.
fn state(interface: &Interface, is_onlink: bool) -> u32 {
    let usable = match (interface.is_up(), interface.has_carrier()) {
        (false, _) => DEAD | LINK_DOWN,
        (_, false) => LINK_DOWN,
        _ => 0,
    };
    usable | if is_onlink { ONLINK } else { 0 }
}

fn put_metrics(out: &mut Vec<u8>, more: Option<&More>) {
    let Some(more) = more.filter(|more| !more.metrics.is_empty()) else { return };
    let mut nested = Vec::new();
    more.metrics.iter().for_each(|(kind, value)| attribute(&mut nested, *kind, &value.to_ne_bytes()));
    attribute(out, METRICS, &nested);
}

/// `RTM_NEWROUTE` about a route.
pub fn describe(route: &Route) -> Vec<u8> {
    let v4 = route.destination.address.is_ipv4();
    let more = route.more.as_deref();
    let several = more.is_some_and(|more| !more.others.is_empty());
    let short = u8::try_from(route.table).unwrap_or(252);
    let mut out =
        alloc::vec![family(v4), route.destination.prefix, 0, route.tos(), short, route.origin, route.scope, route.kind];
    let flags = match &route.interface {
        Some(interface) if !several => state(interface, more.is_some_and(|more| more.is_onlink)),
        _ => 0,
    };
    out.extend_from_slice(&flags.to_ne_bytes());
    attribute(&mut out, TABLE, &route.table.to_ne_bytes());
    if route.destination.prefix > 0 {
        message::address(&mut out, DST, &route.destination.network());
    }
    if route.metric != 0 || !v4 {
        attribute(&mut out, PRIORITY, &route.metric.to_ne_bytes());
    }
    put_metrics(&mut out, more);
    if let Some(source) = &route.source {
        message::address(&mut out, PREFSRC, source);
    }
    match (&route.interface, more) {
        (Some(interface), Some(more)) if several => {
            let first = NextHop {
                gateway: route.gateway,
                interface: interface.clone(),
                weight: more.weight,
                is_onlink: more.is_onlink,
            };
            let mut nested = Vec::new();
            core::iter::once(&first).chain(&more.others).for_each(|hop| put_hop(&mut nested, hop));
            attribute(&mut out, MULTIPATH, &nested);
        }
        (interface, _) => {
            if let Some(gateway) = &route.gateway {
                message::address(&mut out, GATEWAY, gateway);
            }
            match interface {
                Some(interface) => attribute(&mut out, OIF, &interface.index.to_ne_bytes()),
                None if !v4 => attribute(&mut out, OIF, &LOOPBACK.to_ne_bytes()),
                None => {}
            }
        }
    }
    if !v4 {
        attribute(&mut out, CACHEINFO, &[0; CACHE]);
        attribute(&mut out, PREF, &[0]);
    }
    out
}

/// `struct rtnexthop` and its attributes.
fn put_hop(out: &mut Vec<u8>, hop: &NextHop) {
    let mut body = Vec::new();
    if let Some(gateway) = &hop.gateway {
        message::address(&mut body, GATEWAY, gateway);
    }
    out.extend_from_slice(&((NEXT_HOP + body.len()) as u16).to_ne_bytes());
    out.extend_from_slice(&[state(&hop.interface, hop.is_onlink) as u8, hop.weight]);
    out.extend_from_slice(&hop.interface.index.to_ne_bytes());
    out.extend_from_slice(&body);
}

/// The order of the tables of Linux: those of IPv4 by destination, the longer prefixes first; those
/// of IPv6 with the networks behind what lies in them.
fn order(route: &Route) -> (bool, u8, u128, u8, u8, u32) {
    let bucket = route.table as u8;
    let longer = u8::MAX - route.destination.prefix;
    match route.destination.network() {
        IpAddr::V4(first) => (false, bucket, first.to_bits().into(), longer, u8::MAX - route.tos(), route.metric),
        IpAddr::V6(first) => {
            let rest = u128::MAX.checked_shr(route.destination.prefix.into()).unwrap_or(0);
            (true, bucket, first.to_bits() | rest, longer, 0, route.metric)
        }
    }
}

/// All routes of the families wanted; with `strict` those of the table and through the interface
/// that the request names.
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
    let mut all = route::all();
    all.extend(route::local());
    all.sort_by_key(order);
    all.iter().filter(chosen).map(|route| (NEW_ROUTE, describe(route))).collect()
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
    tos: u8,
    metrics: Vec<(u16, u32)>,
    /// Of several ways: gateways, interfaces, weights and flags.
    hops: Vec<(Option<IpAddr>, u32, u8, u32)>,
}

/// `RTAX_*`: the last one, `CC_ALGO`, which is a name, and those with bounds.
const LAST_METRIC: u16 = 17;
const CC_ALGO: u16 = 16;
const METRIC_MTU: u16 = 2;
const METRIC_ADVMSS: u16 = 8;
const METRIC_HOPLIMIT: u16 = 10;

/// `ip_metrics_convert`. `EINVAL`, `EOPNOTSUPP`.
fn metrics(nested: &[u8]) -> SysResult<Vec<(u16, u32)>> {
    let mut out: Vec<(u16, u32)> = Vec::new();
    for (kind, value) in message::attributes(nested).filter(|(kind, _)| *kind != 0) {
        let value = match (kind, value.first_chunk()) {
            (CC_ALGO, _) => return Err(Errno::EOPNOTSUPP),
            (0..=LAST_METRIC, Some(value)) => u32::from_ne_bytes(*value),
            _ => return Err(Errno::EINVAL),
        };
        let value = match kind {
            METRIC_ADVMSS => value.min(65535 - 40),
            METRIC_MTU => value.min(65535 - 15),
            METRIC_HOPLIMIT => value.min(255),
            _ => value,
        };
        out.retain(|(other, _)| *other != kind);
        out.push((kind, value));
    }
    out.retain(|(_, value)| *value != 0);
    out.sort_by_key(|(kind, _)| *kind);
    Ok(out)
}

/// `RTA_MULTIPATH`. `EINVAL`.
fn hops(mut nested: &[u8], v4: bool) -> SysResult<Vec<(Option<IpAddr>, u32, u8, u32)>> {
    if nested.len() < NEXT_HOP {
        return Err(Errno::ERANGE);
    }
    let mut out = Vec::new();
    while let [l0, l1, flags, weight, index @ ..] = nested {
        let len = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let body = nested.get(NEXT_HOP..len).ok_or(Errno::EINVAL)?;
        let gateway = find(body, GATEWAY).map(|value| message::ip(value, v4).ok_or(Errno::EINVAL)).transpose()?;
        out.push((gateway, word(index, 0), *weight, u32::from(*flags)));
        nested = nested.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    if out.is_empty() { Err(Errno::EINVAL) } else { Ok(out) }
}

fn read(request: &Request, body: &[u8]) -> SysResult<Wish> {
    let v4 = is_v4(body)?;
    let Some([_, prefix, source_prefix, tos, table, origin, scope, kind]) = body.first_chunk::<8>().copied() else {
        return Err(Errno::EINVAL);
    };
    let attributes = body.get(INFO..).ok_or(Errno::EINVAL)?;
    if prefix > if v4 { 32 } else { 128 } || source_prefix > if v4 { 0 } else { 128 } {
        return Err(Errno::EINVAL);
    }
    if source_prefix != 0 || tos != 0 && !v4 || REFUSED.iter().any(|kind| find(attributes, *kind).is_some()) {
        return Err(Errno::EOPNOTSUPP);
    }
    let address = |kind| find(attributes, kind).map(|value| message::ip(value, v4).ok_or(Errno::EINVAL)).transpose();
    let any = if v4 { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let destination = Cidr { address: address(DST)?.unwrap_or(any), prefix };
    if v4 && destination.network() != destination.address {
        return Err(request.refused(Errno::EINVAL, "Invalid prefix for given prefix length"));
    }
    let hops = find(attributes, MULTIPATH).map(|nested| hops(nested, v4)).transpose()?.unwrap_or_default();
    let first = hops.first().copied();
    let interface = match first.map(|hop| hop.1).or(number(attributes, OIF)) {
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
        flags: first.map_or(word(body, 8), |hop| hop.3),
        gateway: first.and_then(|hop| hop.0).or(address(GATEWAY)?).filter(|gateway| !gateway.is_unspecified()),
        interface,
        metric: number(attributes, PRIORITY).unwrap_or(0),
        source: address(PREFSRC)?,
        tos,
        metrics: find(attributes, METRICS).map(metrics).transpose()?.unwrap_or_default(),
        hops,
    })
}

/// `RTM_NEWROUTE`. `EINVAL`, `ENODEV`, `ENETDOWN`, `ENETUNREACH`, `EHOSTUNREACH`, `EEXIST`,
/// `ENOENT`.
pub fn new(request: &Request, body: &[u8]) -> SysResult<()> {
    let wish = read(request, body)?;
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
    let refused = |errno| match errno {
        Errno::ENETUNREACH if wish.v4 => request.refused(errno, "Nexthop has invalid gateway"),
        Errno::ENETDOWN if wish.v4 => request.refused(errno, "Device for nexthop is not up"),
        errno => errno,
    };
    let interface = if nowhere { None } else { Some(through(&wish).map_err(refused)?) };
    let more = more(&wish)?;
    // Only ours are sent from.
    if let Some(source) = &wish.source
        && interface::owner(source).is_none()
    {
        return Err(request.refused(Errno::EINVAL, "Invalid prefsrc address"));
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
        more: (more != More::default()).then(|| Arc::new(more)),
    };
    let how = How {
        exclusive: request.has(flag::EXCL),
        replace: request.has(flag::REPLACE),
        create: request.has(flag::CREATE) || !wish.v4 && !request.has(flag::REPLACE),
        append: request.has(flag::APPEND),
    };
    route::add(route, how)
}

/// What a wish has that few routes have.
fn more(wish: &Wish) -> SysResult<More> {
    let mut others = Vec::new();
    for (gateway, index, weight, flags) in wish.hops.iter().skip(1) {
        let interface = match index {
            0 => None,
            index => Some(interface::by_index(*index).ok_or(Errno::ENODEV)?),
        };
        let hop = (*gateway, interface, *flags);
        let interface = way(wish.v4, hop)?;
        others.push(NextHop { gateway: *gateway, interface, weight: *weight, is_onlink: flags & ONLINK != 0 });
    }
    Ok(More {
        tos: wish.tos,
        is_onlink: wish.flags & ONLINK != 0,
        metrics: wish.metrics.clone(),
        weight: wish.hops.first().map_or(0, |hop| hop.2),
        others,
    })
}

/// The interface of a route that leads somewhere.
fn through(wish: &Wish) -> SysResult<Arc<Interface>> {
    way(wish.v4, (wish.gateway, wish.interface.clone(), wish.flags))
}

/// The interface of one way: by gateway, interface and flags.
fn way(v4: bool, (via, named, flags): (Option<IpAddr>, Option<Arc<Interface>>, u32)) -> SysResult<Arc<Interface>> {
    let far = if v4 { Errno::ENETUNREACH } else { Errno::EHOSTUNREACH };
    let interface = match (&named, &via) {
        (Some(interface), _) => interface.clone(),
        (None, Some(gateway)) => route::on_link(gateway).map_err(|error| if v4 { error } else { far })?,
        (None, None) => return Err(Errno::ENODEV),
    };
    if !interface.is_up() {
        return Err(Errno::ENETDOWN);
    }
    if let (Some(gateway), Some(named)) = (&via, &named)
        && flags & ONLINK == 0
        && !matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local())
    {
        let neighbor = route::on_link(gateway).map_err(|error| if v4 { error } else { far })?;
        if neighbor.index != named.index {
            return Err(far);
        }
    }
    Ok(interface)
}

/// `RTM_DELROUTE`. `ESRCH`.
pub fn remove(request: &Request, body: &[u8]) -> SysResult<()> {
    let wish = read(request, body)?;
    route::remove(|route| {
        route.destination == wish.destination
            && route.table == wish.table
            && (wish.kind == 0 || route.kind == wish.kind)
            && (!wish.v4 || wish.scope == scope::NOWHERE || route.scope == wish.scope)
            && (wish.origin == 0 || route.origin == wish.origin)
            && (wish.metric == 0 || route.metric == wish.metric)
            && (!wish.v4 || route.tos() == wish.tos)
            && (wish.metrics.is_empty() || route.more.as_ref().is_some_and(|more| more.metrics == wish.metrics))
            && wish.source.is_none_or(|source| route.source == Some(source))
            && wish.gateway.is_none_or(|gateway| route.gateway == Some(gateway))
            && wish.interface.as_ref().is_none_or(|named| route.interface.as_ref().is_some_and(|i| i.index == named.index))
    })
}

/// `RTM_GETROUTE` for one destination, as `ip route get` asks. `EINVAL`, `ENETUNREACH` and what the
/// routes say.
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
    let byte = |kind| find(attributes, kind).and_then(|value| value.first()).copied().unwrap_or(0);
    let port =
        |kind| find(attributes, kind).and_then(|value| value.first_chunk()).map_or(0, |port| u16::from_be_bytes(*port));
    let named = number(attributes, OIF).filter(|index| *index != 0);
    let user = number(attributes, UID).unwrap_or_else(|| caller::credentials().euid);
    let query = Query {
        source: given,
        tos: body.get(3).copied().unwrap_or(0),
        mark: number(attributes, MARK).unwrap_or(0),
        outgoing: named.unwrap_or(0),
        user,
        protocol: byte(IP_PROTO),
        ports: [port(SPORT), port(DPORT)],
        ..Query::to(&asked)
    };
    let hop = route::lookup_for(&query)?;
    let found = if ours { None } else { route::find(&query).ok() };
    if word(body, 8) & FIB_MATCH != 0
        && let Some(route) = &found
    {
        return Ok(alloc::vec![(NEW_ROUTE, describe(route))]);
    }
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
    let cloned = CLONED
        | match kind {
            kind::LOCAL if v4 => TO_US,
            kind::BROADCAST => TO_US | TO_ALL,
            _ => 0,
        };
    out.extend_from_slice(&cloned.to_ne_bytes());
    attribute(&mut out, TABLE, &table.to_ne_bytes());
    message::address(&mut out, DST, &asked);
    if !v4 || given.is_some() {
        if let Some(length) = out.get_mut(2) {
            *length = whole;
        }
        message::address(&mut out, SRC, &given.unwrap_or(IpAddr::from([0; 16])));
    }
    attribute(&mut out, OIF, &hop.interface.index.to_ne_bytes());
    let exactly = interface::owner(&asked).filter(|owner| owner.addresses.lock().iter().any(|own| own.address == asked));
    let own = if exactly.is_some() { Some(asked) } else { hop.interface.source_for(&asked) };
    let preferred = found.as_ref().and_then(|route| route.source).or(own);
    // One that was asked for is known.
    if let Some(source) = preferred.filter(|_| !v4 || given.is_none()) {
        message::address(&mut out, PREFSRC, &source);
    }
    if hop.next != asked {
        message::address(&mut out, GATEWAY, &hop.next);
    }
    put_metrics(&mut out, found.as_ref().and_then(|route| route.more.as_deref()));
    if v4 {
        attribute(&mut out, UID, &user.to_ne_bytes());
    } else {
        let metric = found.as_ref().map_or(0, |route| route.metric);
        attribute(&mut out, PRIORITY, &metric.to_ne_bytes());
    }
    attribute(&mut out, CACHEINFO, &[0; CACHE]);
    if !v4 {
        attribute(&mut out, PREF, &[0]);
    }
    Ok(alloc::vec![(NEW_ROUTE, out)])
}
