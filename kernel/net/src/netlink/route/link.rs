//! Interfaces.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::super::message::{Request, attribute, attributes, find, flag, number, text, word};
use super::{Answers, NEW_LINK};
use crate::interface::{self, Interface, Link, Port, iff};
use crate::neighbor::Neighbors;
use crate::netlink::events;
use crate::tun::random_mac;
use crate::{address, ioctl};

/// `sizeof(struct ifinfomsg)`.
const INFO: usize = 16;

/// `IFLA_*`.
#[allow(missing_docs)]
mod ifla {
    pub const ADDRESS: u16 = 1;
    pub const BROADCAST: u16 = 2;
    pub const IFNAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const LINK: u16 = 5;
    pub const QDISC: u16 = 6;
    pub const STATS: u16 = 7;
    pub const MASTER: u16 = 10;
    pub const TXQLEN: u16 = 13;
    pub const OPERSTATE: u16 = 16;
    pub const LINKMODE: u16 = 17;
    pub const LINKINFO: u16 = 18;
    pub const IFALIAS: u16 = 20;
    pub const NET_NS_PID: u16 = 19;
    pub const STATS64: u16 = 23;
    pub const AF_SPEC: u16 = 26;
    pub const GROUP: u16 = 27;
    pub const NET_NS_FD: u16 = 28;
    pub const PROMISCUITY: u16 = 30;
    pub const NUM_TX_QUEUES: u16 = 31;
    pub const NUM_RX_QUEUES: u16 = 32;
    pub const CARRIER: u16 = 33;
    pub const PROTO_DOWN: u16 = 39;
    pub const GSO_MAX_SEGS: u16 = 40;
    pub const GSO_MAX_SIZE: u16 = 41;
    pub const MIN_MTU: u16 = 50;
    pub const MAX_MTU: u16 = 51;
    pub const PROP_LIST: u16 = 52;
    pub const ALT_IFNAME: u16 = 53;
    pub const GRO_MAX_SIZE: u16 = 58;
    pub const TSO_MAX_SIZE: u16 = 59;
    pub const TSO_MAX_SEGS: u16 = 60;
    pub const ALLMULTI: u16 = 61;
    /// `NLA_F_NESTED`.
    pub const NESTED: u16 = 0x8000;
    /// Within `AF_SPEC`, `AF_INET6`; and within that.
    pub const INET6: u16 = 10;
    pub const INET6_TOKEN: u16 = 7;
    pub const INET6_ADDR_GEN_MODE: u16 = 8;
    /// Within `LINKINFO`.
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    /// Within the data of a veth.
    pub const PEER: u16 = 1;
}

/// The largest packet that goes through in one piece, to be cut later.
const MAX_PACKET: u32 = 65536;
/// The longest alias, with its zero.
const ALIAS: usize = 256;
/// Numbers that a message of statistics has.
const STATISTICS: usize = 25;

/// `RTM_NEWLINK` about an interface.
pub fn describe(interface: &Interface) -> Vec<u8> {
    let mut out = alloc::vec![0, 0];
    out.extend_from_slice(&ioctl::hardware(interface).to_ne_bytes());
    out.extend_from_slice(&interface.index.to_ne_bytes());
    out.extend_from_slice(&interface.flags().to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    let mut name = interface.name().into_bytes();
    name.push(0);
    attribute(&mut out, ifla::IFNAME, &name);
    let [promiscuous, all_groups] = interface.promiscuity();
    let (least, most) = interface.mtu_range();
    let words = [
        (ifla::TXQLEN, interface.transmit_queue.load(Ordering::Relaxed)),
        (ifla::MTU, interface.mtu()),
        (ifla::MIN_MTU, least),
        (ifla::MAX_MTU, if most == i32::MAX as u32 { 0 } else { most }),
        (ifla::GROUP, interface.group.load(Ordering::Relaxed)),
        (ifla::PROMISCUITY, promiscuous),
        (ifla::ALLMULTI, all_groups),
        (ifla::NUM_TX_QUEUES, 1),
        (ifla::NUM_RX_QUEUES, 1),
        (ifla::GSO_MAX_SIZE, MAX_PACKET),
        (ifla::GSO_MAX_SEGS, u16::MAX.into()),
        (ifla::GRO_MAX_SIZE, MAX_PACKET),
        (ifla::TSO_MAX_SIZE, 8 * u32::from(u16::MAX)),
        (ifla::TSO_MAX_SEGS, u16::MAX.into()),
    ];
    words.iter().for_each(|(kind, value)| attribute(&mut out, *kind, &value.to_ne_bytes()));
    attribute(&mut out, ifla::OPERSTATE, &[interface.operating()]);
    attribute(&mut out, ifla::LINKMODE, &[0]);
    attribute(&mut out, ifla::CARRIER, &[(interface.is_up() && interface.has_carrier()).into()]);
    attribute(&mut out, ifla::PROTO_DOWN, &[0]);
    attribute(&mut out, ifla::QDISC, if interface.is_up() { b"noqueue\0" } else { b"noop\0" });
    if !interface.link.is_point_to_point() {
        attribute(&mut out, ifla::ADDRESS, &interface.mac());
        attribute(&mut out, ifla::BROADCAST, &if interface.is_loopback() { [0; 6] } else { [0xff; 6] });
    }
    statistics(interface, &mut out);
    if let Link::Ethernet(Port::Veth(peer), _) = &interface.link
        && let Some(peer) = peer.lock().upgrade()
    {
        attribute(&mut out, ifla::LINK, &peer.index.to_ne_bytes());
    }
    let alias = interface.alias.lock().clone();
    if !alias.is_empty() {
        attribute(&mut out, ifla::IFALIAS, &[alias.as_bytes(), b"\0"].concat());
    }
    let names = interface.other_names.lock().clone();
    if !names.is_empty() {
        let mut list = Vec::new();
        names.iter().for_each(|name| attribute(&mut list, ifla::ALT_IFNAME, &[name.as_bytes(), b"\0"].concat()));
        attribute(&mut out, ifla::PROP_LIST | ifla::NESTED, &list);
    }
    let (mut inet6, mut families) = (Vec::new(), Vec::new());
    attribute(&mut inet6, ifla::INET6_ADDR_GEN_MODE, &[interface.conf.address_generation() as u8]);
    if !interface.is_loopback() && !interface.link.is_point_to_point() {
        attribute(&mut inet6, ifla::INET6_TOKEN, &[0; 16]);
    }
    attribute(&mut families, ifla::INET6, &inet6);
    attribute(&mut out, ifla::AF_SPEC, &families);
    if let Some(kind) = kind(interface) {
        let mut info = Vec::new();
        attribute(&mut info, ifla::INFO_KIND, kind);
        attribute(&mut out, ifla::LINKINFO, &info);
    }
    out
}

fn kind(interface: &Interface) -> Option<&'static [u8]> {
    match &interface.link {
        Link::Ethernet(Port::Tun(_), _) => Some(b"tun\0"),
        Link::Ethernet(Port::Veth(_), _) => Some(b"veth\0"),
        Link::Ethernet(Port::Dummy, _) => Some(b"dummy\0"),
        _ => None,
    }
}

/// Packets and bytes each way, then errors and losses (`struct rtnl_link_stats64`).
fn statistics(interface: &Interface, out: &mut Vec<u8>) {
    let numbers = numbers(interface);
    let short: Vec<u8> = numbers.iter().take(24).flat_map(|n| (*n as u32).to_ne_bytes()).collect();
    attribute(out, ifla::STATS64, &counts(interface));
    attribute(out, ifla::STATS, &short);
}

/// As `struct rtnl_link_stats64`.
pub fn counts(interface: &Interface) -> Vec<u8> {
    numbers(interface).iter().flat_map(|n| n.to_ne_bytes()).collect()
}

fn numbers(interface: &Interface) -> [u64; STATISTICS] {
    let (received, sent) = interface.traffic();
    let of = [&received.packets, &sent.packets, &received.bytes, &sent.bytes];
    let mut numbers = [0u64; STATISTICS];
    numbers.iter_mut().zip(of).for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
    numbers[6] = received.dropped.load(Ordering::Relaxed);
    numbers[7] = sent.dropped.load(Ordering::Relaxed);
    numbers
}

/// All interfaces.
pub fn dump() -> Answers {
    interface::all().iter().map(|interface| (NEW_LINK, describe(interface))).collect()
}

fn attributes_of(body: &[u8]) -> &[u8] {
    body.get(INFO..).unwrap_or_default()
}

/// The interface that a request names, by its index or else its name; `None` where it names none
/// that is there. `EINVAL`.
fn named(body: &[u8]) -> SysResult<Option<Arc<Interface>>> {
    if body.len() < INFO {
        return Err(Errno::EINVAL);
    }
    match (word(body, 4) as i32, name_in(body)) {
        (..0, _) => Err(Errno::EINVAL),
        (0, Some(name)) => Ok(interface::by_name(text(name))),
        (0, None) => Ok(None),
        (index, _) => Ok(interface::by_index(index as u32)),
    }
}

/// The name that a request has, be it the first one or another.
fn name_in(body: &[u8]) -> Option<&[u8]> {
    let attributes = attributes_of(body);
    find(attributes, ifla::IFNAME).or_else(|| find(attributes, ifla::ALT_IFNAME))
}

/// `RTM_NEWLINKPROP`, `RTM_DELLINKPROP`: names besides the first one. `EINVAL`, `ENODEV`, `EEXIST`,
/// `ENOENT`.
pub fn change_names(body: &[u8], add: bool) -> SysResult<()> {
    let found = named(body)?;
    if word(body, 4) == 0 && name_in(body).is_none() {
        return Err(Errno::EINVAL);
    }
    let found = found.ok_or(Errno::ENODEV)?;
    let list = find(attributes_of(body), ifla::PROP_LIST).unwrap_or_default();
    for (_, name) in attributes(list).filter(|(kind, _)| *kind == ifla::ALT_IFNAME) {
        if add { interface::add_name(&found, text(name))? } else { interface::remove_name(&found, text(name))? }
    }
    events::link(&found, true);
    Ok(())
}

/// One interface. `EINVAL`, `ENODEV`.
pub fn get(body: &[u8]) -> SysResult<Answers> {
    let found = named(body)?;
    if word(body, 4) == 0 && name_in(body).is_none() {
        return Err(Errno::EINVAL);
    }
    let found = found.ok_or(Errno::ENODEV)?;
    Ok(alloc::vec![(NEW_LINK, describe(&found))])
}

/// `RTM_NEWLINK`: changes an interface, or makes one.
pub fn new(request: &Request, body: &[u8]) -> SysResult<()> {
    if let Some(found) = named(body)? {
        return match () {
            () if request.has(flag::EXCL) => Err(Errno::EEXIST),
            () if request.has(flag::REPLACE) => Err(Errno::EOPNOTSUPP),
            () => change(request, &found, body),
        };
    }
    if !request.has(flag::CREATE) {
        return Err(Errno::ENODEV);
    }
    make(request, body)
}

/// `RTM_SETLINK`: changes an interface.
pub fn set(request: &Request, body: &[u8]) -> SysResult<()> {
    change(request, &named(body)?.ok_or(Errno::ENODEV)?, body)
}

/// `RTM_DELLINK`. `EOPNOTSUPP` for those that are not of a program's making.
pub fn remove(body: &[u8]) -> SysResult<()> {
    let found = named(body)?;
    if word(body, 4) == 0 && name_in(body).is_none() {
        return Err(Errno::EINVAL);
    }
    let found = found.ok_or(Errno::ENODEV)?;
    if kind(&found).is_none() {
        return Err(Errno::EOPNOTSUPP);
    }
    // A pair goes together.
    let peer = match &found.link {
        Link::Ethernet(Port::Veth(peer), _) => peer.lock().upgrade(),
        _ => None,
    };
    address::retire(&found);
    if let Some(peer) = peer {
        address::retire(&peer);
    }
    Ok(())
}

/// What cannot be changed: there are no bridges and no other namespaces.
const REFUSED: [u16; 3] = [ifla::MASTER, ifla::NET_NS_PID, ifla::NET_NS_FD];

fn mac(value: &[u8]) -> SysResult<[u8; 6]> {
    value.try_into().map_err(|_| Errno::EINVAL)
}

fn change(request: &Request, interface: &Arc<Interface>, body: &[u8]) -> SysResult<()> {
    let attributes = attributes_of(body);
    if REFUSED.iter().any(|kind| find(attributes, *kind).is_some()) {
        return Err(Errno::EOPNOTSUPP);
    }
    if let Some(value) = find(attributes, ifla::ADDRESS) {
        ioctl::set_mac(interface, &mac(value)?)?;
    }
    if let Some(mtu) = number(attributes, ifla::MTU) {
        set_mtu(request, interface, mtu)?;
    }
    if let Some(alias) = find(attributes, ifla::IFALIAS) {
        let alias = core::str::from_utf8(text(alias)).map_err(|_| Errno::EINVAL)?;
        if alias.len() >= ALIAS {
            return Err(Errno::EINVAL);
        }
        *interface.alias.lock() = alias.into();
    }
    let families = find(attributes, ifla::AF_SPEC).unwrap_or_default();
    if let Some(mode) = find(find(families, ifla::INET6).unwrap_or_default(), ifla::INET6_ADDR_GEN_MODE) {
        // From the hardware address, or none; addresses of other kinds are not made here.
        let mode = mode.first().copied().filter(|mode| *mode <= 1).ok_or(Errno::EINVAL)?;
        interface.conf.set_address_generation(mode.into());
    }
    if let Some(group) = number(attributes, ifla::GROUP) {
        interface.group.store(group, Ordering::Relaxed);
    }
    if let Some(name) = find(attributes, ifla::IFNAME).map(text).filter(|_| word(body, 4) != 0) {
        ioctl::rename(interface, name)?;
    }
    if let Some(len) = number(attributes, ifla::TXQLEN) {
        interface.transmit_queue.store(len, Ordering::Relaxed);
    }
    let (flags, mask) = (word(body, 8), word(body, 12));
    if flags != 0 || mask != 0 {
        let now = interface.flags();
        let wanted = if mask == 0 { flags } else { flags & mask | now & !mask };
        if wanted & iff::UP != now & iff::UP || wanted != now {
            address::set_flags(interface, wanted);
            return Ok(());
        }
    }
    events::link(interface, true);
    Ok(())
}

/// Changes the largest packet, and says what is wrong with it. `EINVAL`.
fn set_mtu(request: &Request, interface: &Interface, mtu: u32) -> SysResult<()> {
    let small = mtu < interface.mtu_range().0;
    let text = if small { "mtu less than device minimum" } else { "mtu greater than device maximum" };
    interface.set_mtu(mtu).map_err(|errno| request.refused(errno, text))
}

/// What a request says of an interface to be made.
struct Wish<'a> {
    body: &'a [u8],
    pattern: &'a [u8],
}

impl Wish<'_> {
    fn attributes(&self) -> &[u8] {
        attributes_of(self.body)
    }

    fn make(&self, port: Port) -> SysResult<Arc<Interface>> {
        let attributes = self.attributes();
        let pattern = find(attributes, ifla::IFNAME).map(text).unwrap_or(self.pattern);
        let mac = find(attributes, ifla::ADDRESS).map(mac).transpose()?.unwrap_or_else(random_mac);
        let link = Link::Ethernet(port, Neighbors::default());
        let made = interface::add(pattern, |index, name: String| Interface::new(index, name, link, mac))?;
        if let Some(Err(error)) = number(attributes, ifla::MTU).map(|mtu| made.set_mtu(mtu)) {
            interface::remove(&made);
            return Err(error);
        }
        if let Some(len) = number(attributes, ifla::TXQLEN) {
            made.transmit_queue.store(len, Ordering::Relaxed);
        }
        Ok(made)
    }

    /// Tells of it, and sets its flags.
    fn finish(&self, made: &Arc<Interface>) {
        events::link(made, true);
        let (flags, mask) = (word(self.body, 8), word(self.body, 12));
        if flags & iff::UP != 0 && (mask == 0 || mask & iff::UP != 0) {
            address::set_flags(made, made.flags() | iff::UP);
        }
    }
}

/// Makes an interface of the kind that the request names. `EOPNOTSUPP` for those that there are
/// not.
fn make(request: &Request, body: &[u8]) -> SysResult<()> {
    let attributes = attributes_of(body);
    if word(body, 4) != 0 || REFUSED.iter().any(|kind| find(attributes, *kind).is_some()) {
        return Err(Errno::EOPNOTSUPP);
    }
    let info = find(attributes, ifla::LINKINFO).unwrap_or_default();
    match find(info, ifla::INFO_KIND).map(text) {
        Some(b"dummy") => {
            let wish = Wish { body, pattern: b"dummy%d" };
            wish.finish(&wish.make(Port::Dummy)?);
            Ok(())
        }
        Some(b"veth") => {
            let data = find(info, ifla::INFO_DATA).unwrap_or_default();
            let other = find(data, ifla::PEER).filter(|peer| peer.len() >= INFO).unwrap_or(&[0; INFO]);
            let wishes = [Wish { body: other, pattern: b"veth%d" }, Wish { body, pattern: b"veth%d" }];
            let [second, first] = &wishes;
            let nobody = || Port::Veth(SpinLock::new(Weak::new()));
            let peer = second.make(nobody())?;
            let made = first.make(nobody()).inspect_err(|_| {
                interface::remove(&peer);
            })?;
            for (one, other) in [(&made, &peer), (&peer, &made)] {
                if let Link::Ethernet(Port::Veth(end), _) = &one.link {
                    *end.lock() = Arc::downgrade(other);
                }
            }
            second.finish(&peer);
            first.finish(&made);
            Ok(())
        }
        Some(b"tun") => Err(request.refused(Errno::EOPNOTSUPP, "tun/tap creation via rtnetlink is not supported.")),
        _ => Err(request.refused(Errno::EOPNOTSUPP, "Unknown device type")),
    }
}
