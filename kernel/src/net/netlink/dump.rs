//! What rtnetlink(7) tells of interfaces, addresses, routes and neighbours.

use alloc::vec::Vec;
use core::net::IpAddr;

use inet::ip::{Cidr, octets};
use syscall_shim::{Errno, SysResult};

use crate::net::interface::{self, Interface, Link};
use crate::net::{ioctl, route};

/// Message types: what is told is two below what is asked.
const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const GET_ROUTE: u16 = 26;
const GET_NEIGHBOR: u16 = 30;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Attributes of links, addresses and routes.
const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_QDISC: u16 = 6;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_GROUP: u16 = 27;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const TABLE_MAIN: u8 = 254;
const PERMANENT: u8 = 0x80;
/// `IF_OPER_UP`, `IF_OPER_UNKNOWN`.
const OPERATING: [u8; 2] = [6, 0];
/// `NUD_REACHABLE`.
const REACHABLE: u16 = 2;

type Answers = Vec<(u16, Vec<u8>)>;

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn address(out: &mut Vec<u8>, kind: u16, value: &IpAddr) {
    let (bytes, len) = octets(value);
    attribute(out, kind, bytes.get(..len).unwrap_or_default());
}

fn name(interface: &Interface) -> Vec<u8> {
    let mut name = interface.name.clone().into_bytes();
    name.push(0);
    name
}

/// The messages that answer a request of this type. `all`: a dump. `EOPNOTSUPP`.
pub fn answer(kind: u16, all: bool, body: &[u8]) -> SysResult<Answers> {
    let family = body.first().copied().unwrap_or(0);
    let wanted = |v4: bool| family == 0 || family == if v4 { AF_INET } else { AF_INET6 };
    match kind {
        GET_LINK => links(all, body),
        GET_ADDRESS if all => Ok(addresses(wanted)),
        GET_ROUTE if all => Ok(routes(wanted)),
        GET_NEIGHBOR if all => Ok(neighbors(wanted)),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn links(all: bool, body: &[u8]) -> SysResult<Answers> {
    let index = super::word(body, 4);
    let asked = named(body);
    let answers: Answers = interface::all()
        .iter()
        .filter(|interface| all || interface.index == index || asked == Some(interface.name.as_bytes()))
        .map(|interface| (GET_LINK - 2, link(interface)))
        .collect();
    if answers.is_empty() && !all { Err(Errno::ENODEV) } else { Ok(answers) }
}

/// The interface name that a request carries.
fn named(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body.get(16..)?;
    while rest.len() >= 4 {
        let len = usize::from(super::half(rest, 0));
        let value = rest.get(4..len)?;
        if super::half(rest, 2) == IFLA_IFNAME {
            return value.split(|byte| *byte == 0).next();
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
    None
}

fn link(interface: &Interface) -> Vec<u8> {
    /// `IFF_LOWER_UP`.
    const LOWER_UP: u32 = 1 << 16;
    let mut out = alloc::vec![0, 0];
    out.extend_from_slice(&ioctl::hardware(interface).to_ne_bytes());
    out.extend_from_slice(&interface.index.to_ne_bytes());
    out.extend_from_slice(&(u32::from(ioctl::flags(interface)) | LOWER_UP).to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    attribute(&mut out, IFLA_IFNAME, &name(interface));
    attribute(&mut out, IFLA_TXQLEN, &1000u32.to_ne_bytes());
    attribute(&mut out, IFLA_OPERSTATE, &[OPERATING[usize::from(interface.is_loopback())]]);
    attribute(&mut out, IFLA_MTU, &interface.mtu().to_ne_bytes());
    attribute(&mut out, IFLA_GROUP, &0u32.to_ne_bytes());
    attribute(&mut out, IFLA_QDISC, b"noqueue\0");
    attribute(&mut out, IFLA_ADDRESS, &interface.mac());
    let broadcast = if interface.is_loopback() { [0; 6] } else { [0xff; 6] };
    attribute(&mut out, IFLA_BROADCAST, &broadcast);
    out
}

fn scope(address: &IpAddr) -> u8 {
    match address {
        address if address.is_loopback() => 254,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 253,
        _ => 0,
    }
}

fn addresses(wanted: impl Fn(bool) -> bool) -> Answers {
    let mut answers = Answers::new();
    for interface in interface::all() {
        let all = interface.addresses.lock().clone();
        for own in all.iter().filter(|own| wanted(own.address.is_ipv4())) {
            answers.push((GET_ADDRESS - 2, one_address(interface, own)));
        }
    }
    answers
}

fn one_address(interface: &Interface, own: &Cidr) -> Vec<u8> {
    let v4 = own.address.is_ipv4();
    let mut out = alloc::vec![if v4 { AF_INET } else { AF_INET6 }, own.prefix, PERMANENT, scope(&own.address)];
    out.extend_from_slice(&interface.index.to_ne_bytes());
    address(&mut out, IFA_ADDRESS, &own.address);
    if v4 {
        address(&mut out, IFA_LOCAL, &own.address);
        if let Some(broadcast) = own.broadcast().filter(|_| !interface.is_loopback()) {
            address(&mut out, IFA_BROADCAST, &IpAddr::V4(broadcast));
        }
        attribute(&mut out, IFA_LABEL, &name(interface));
    }
    attribute(&mut out, IFA_FLAGS, &u32::from(PERMANENT).to_ne_bytes());
    out
}

fn route_message(interface: &Interface, destination: &Cidr, gateway: Option<&IpAddr>, source: Option<&IpAddr>) -> Vec<u8> {
    /// `RTPROT_BOOT` and `RTPROT_KERNEL`, `RT_SCOPE_LINK`, `RTN_UNICAST`.
    const ORIGIN: [u8; 2] = [3, 2];
    const SCOPE_LINK: u8 = 253;
    const UNICAST: u8 = 1;
    let family = if destination.address.is_ipv4() { AF_INET } else { AF_INET6 };
    let direct = gateway.is_none();
    let scope = if direct && family == AF_INET { SCOPE_LINK } else { 0 };
    let mut out = alloc::vec![family, destination.prefix, 0, 0, TABLE_MAIN, ORIGIN[usize::from(direct)], scope, UNICAST];
    out.extend_from_slice(&[0; 4]);
    attribute(&mut out, RTA_TABLE, &u32::from(TABLE_MAIN).to_ne_bytes());
    if destination.prefix > 0 {
        address(&mut out, RTA_DST, &destination.address);
    }
    if let Some(source) = source.filter(|_| family == AF_INET) {
        address(&mut out, RTA_PREFSRC, source);
    }
    if let Some(gateway) = gateway {
        address(&mut out, RTA_GATEWAY, gateway);
    }
    attribute(&mut out, RTA_OIF, &interface.index.to_ne_bytes());
    out
}

fn routes(wanted: impl Fn(bool) -> bool) -> Answers {
    let mut answers = Answers::new();
    for route in route::gateways().iter().filter(|route| wanted(route.gateway.is_ipv4())) {
        answers.push((GET_ROUTE - 2, route_message(&route.interface, &route.destination, Some(&route.gateway), None)));
    }
    for interface in interface::all().iter().filter(|interface| !interface.is_loopback()) {
        let all = interface.addresses.lock().clone();
        for own in all.iter().filter(|own| wanted(own.address.is_ipv4())) {
            let network = Cidr { address: own.network(), ..*own };
            answers.push((GET_ROUTE - 2, route_message(interface, &network, None, Some(&own.address))));
        }
    }
    answers
}

fn neighbors(wanted: impl Fn(bool) -> bool) -> Answers {
    let mut answers = Answers::new();
    for interface in interface::all() {
        let Link::Ethernet(_, neighbors) = &interface.link else { continue };
        for (ip, mac) in neighbors.list().into_iter().filter(|(ip, _)| wanted(ip.is_ipv4())) {
            let mut out = alloc::vec![if ip.is_ipv4() { AF_INET } else { AF_INET6 }, 0, 0, 0];
            out.extend_from_slice(&interface.index.to_ne_bytes());
            out.extend_from_slice(&REACHABLE.to_ne_bytes());
            out.extend_from_slice(&[0, 1]);
            address(&mut out, NDA_DST, &ip);
            attribute(&mut out, NDA_LLADDR, &mac);
            answers.push((GET_NEIGHBOR - 2, out));
        }
    }
    answers
}
