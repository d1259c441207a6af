//! `SIOCADDRT`, `SIOCDELRT` (route(8)) and `SIOCGARP` (arp(7)), for IPv4.

use core::net::{IpAddr, Ipv4Addr};

use fd::capable;
use inet::ip::Cidr;
use linux_raw_sys::general::CAP_NET_ADMIN;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};
use usermem::{self, UserAddr};

use super::{AF_INET, ARPHRD_ETHER};
use crate::interface::{self, Link, NAME};
use crate::route::{self, How, Route, kind, origin, scope, table};

/// `struct rtentry`, and where its parts are.
const ENTRY: usize = 120;
const DESTINATION: usize = 8;
const GATEWAY: usize = 24;
const MASK: usize = 40;
const FLAGS: usize = 56;
const METRIC: usize = 80;
const DEVICE: usize = 88;
/// `RTF_UP`, `RTF_GATEWAY`, `RTF_HOST`, `RTF_REJECT`.
const UP: u16 = 1;
const BY_GATEWAY: u16 = 2;
const HOST: u16 = 4;
const REJECT: u16 = 0x200;
/// `struct arpreq`.
const ARPREQ: usize = 68;
/// `ATF_COM`.
const COMPLETE: u32 = 2;

fn address(bytes: &[u8], at: usize) -> SysResult<Option<Ipv4Addr>> {
    let Some([f0, f1, _, _, a, b, c, d]) = bytes.get(at..at + 8) else { return Err(Errno::EINVAL) };
    match u16::from_ne_bytes([*f0, *f1]) {
        0 => Ok(None),
        AF_INET => Ok(Some(Ipv4Addr::new(*a, *b, *c, *d))),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Adds or takes away a route. `EPERM`, `EINVAL`, `ENODEV`, `ENETUNREACH` and what the table says.
pub fn change(adds: bool, arg: UserAddr) -> SysResult {
    if !capable(CAP_NET_ADMIN) {
        return Err(Errno::EPERM);
    }
    let mut bytes = [0; ENTRY];
    usermem::copy_in(&mut bytes, arg)?;
    let half = |at: usize| bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes);
    let flags = half(FLAGS);
    let destination = address(&bytes, DESTINATION)?.ok_or(Errno::EAFNOSUPPORT)?;
    let gateway = address(&bytes, GATEWAY)?.filter(|gateway| flags & BY_GATEWAY != 0 && !gateway.is_unspecified());
    let prefix = if flags & HOST != 0 {
        32
    } else {
        let mask = address(&bytes, MASK)?.unwrap_or(Ipv4Addr::UNSPECIFIED).to_bits();
        if mask.leading_ones() + mask.trailing_zeros() < 32 {
            return Err(Errno::EINVAL);
        }
        mask.leading_ones() as u8
    };
    let destination = Cidr { address: destination.into(), prefix };
    if destination.network() != destination.address {
        return Err(Errno::EINVAL);
    }
    let device = bytes.get(DEVICE..).and_then(|b| b.first_chunk()).map_or(0, |at| u64::from_ne_bytes(*at));
    let named = match device {
        0 => None,
        at => {
            let mut name = [0; NAME];
            usermem::copy_in(&mut name[..NAME - 1], UserAddr(at))?;
            let name = name.split(|byte| matches!(byte, 0 | b':')).next().unwrap_or_default();
            Some(interface::by_name(name).ok_or(Errno::ENODEV)?)
        }
    };
    if !adds {
        return route::remove(|route| {
            route.destination == destination
                && route.table == table::MAIN
                && gateway.is_none_or(|gateway| route.gateway == Some(gateway.into()))
                && named.as_ref().is_none_or(|named| route.interface.as_ref().is_some_and(|i| i.index == named.index))
        })
        .map(|()| 0);
    }
    if flags & UP == 0 {
        return Ok(0);
    }
    let interface = match (flags & REJECT != 0, named, gateway) {
        (true, ..) => None,
        (_, Some(named), _) => Some(named),
        (_, None, Some(gateway)) => Some(route::on_link(&gateway.into())?),
        (_, None, None) => return Err(Errno::ENODEV),
    };
    if interface.as_ref().is_some_and(|interface| !interface.is_up()) {
        return Err(Errno::ENETDOWN);
    }
    let route = Route {
        destination,
        gateway: gateway.map(IpAddr::V4),
        kind: if interface.is_some() { kind::UNICAST } else { kind::UNREACHABLE },
        scope: if gateway.is_some() || interface.is_none() { scope::UNIVERSE } else { scope::LINK },
        interface,
        metric: half(METRIC).saturating_sub(1).into(),
        table: table::MAIN,
        origin: origin::BOOT,
        source: None,
        more: None,
    };
    route::add(route, How { create: true, ..How::default() }).map(|()| 0)
}

/// `SIOCGARP`: where a neighbour is. `ENXIO` if nobody knows. None are made or forgotten by hand.
pub fn neighbor(request: u32, arg: UserAddr) -> SysResult {
    if request != i::SIOCGARP {
        return Err(if capable(CAP_NET_ADMIN) { Errno::EOPNOTSUPP } else { Errno::EPERM });
    }
    let mut bytes = [0; ARPREQ];
    usermem::copy_in(&mut bytes, arg)?;
    let asked = address(&bytes, 0)?.ok_or(Errno::EPFNOSUPPORT)?;
    let name = bytes.get(ARPREQ - NAME..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
    let interface = match name {
        [] => route::lookup(&asked.into())?.interface,
        name => interface::by_name(name).ok_or(Errno::ENODEV)?,
    };
    let Link::Ethernet(_, neighbors) = &interface.link else { return Err(Errno::ENXIO) };
    let (_, mac, _) = neighbors.list().into_iter().find(|(ip, ..)| *ip == IpAddr::V4(asked)).ok_or(Errno::ENXIO)?;
    let mut out = bytes;
    out[16..18].copy_from_slice(&ARPHRD_ETHER.to_ne_bytes());
    out[18..24].copy_from_slice(&mac);
    out[32..36].copy_from_slice(&COMPLETE.to_ne_bytes());
    let name = interface.name();
    out[ARPREQ - NAME..].fill(0);
    out.iter_mut().skip(ARPREQ - NAME).zip(name.bytes()).for_each(|(to, from)| *to = from);
    usermem::copy_out(arg, &out).map(|()| 0)
}
