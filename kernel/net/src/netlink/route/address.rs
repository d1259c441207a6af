//! Addresses.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::super::message::{self, Request, attribute, find, flag, number, word};
use super::{Answers, NEW_ADDRESS, family, is_v4};
use crate::address::{self, Note};
use crate::interface::{self, Interface, NAME};

/// `sizeof(struct ifaddrmsg)`.
const INFO: usize = 8;
/// `IFA_*`.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
/// `IFA_F_PERMANENT`.
const PERMANENT: u32 = 0x80;
/// `IFA_F_SECONDARY`, `IFA_F_NODAD`.
const SECONDARY: u32 = 1;
const NODAD: u32 = 2;

fn scope(address: &IpAddr) -> u8 {
    match address {
        address if address.is_loopback() => 254,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 253,
        _ => 0,
    }
}

/// Where an address stands among those of its interface: those of IPv4 that are known less far
/// first, those of IPv6 from the newest on, and of the link alone at the end.
fn rank(interface: &Interface, own: &Cidr) -> u8 {
    let note = interface.notes.lock().iter().find(|note| note.address == own.address).map(|note| note.scope);
    let scope = note.filter(|_| own.address.is_ipv4()).unwrap_or(scope(&own.address));
    if own.address.is_ipv4() { u8::MAX - scope } else { scope }
}

/// `RTM_NEWADDR` about an address.
pub fn describe(interface: &Interface, own: &Cidr) -> Vec<u8> {
    let v4 = own.address.is_ipv4();
    let note = interface.notes.lock().iter().find(|note| note.address == own.address).cloned();
    let beside =
        interface.addresses.lock().iter().take_while(|other| *other != own).any(|other| address::is_beside(own, other));
    let mut flags = PERMANENT | if beside { SECONDARY } else { 0 };
    flags |= note.as_ref().map_or(0, |note| note.flags);
    let scope = note.as_ref().filter(|_| v4).map_or(scope(&own.address), |note| note.scope);
    let mut out = alloc::vec![family(v4), own.prefix, flags as u8, scope];
    out.extend_from_slice(&interface.index.to_ne_bytes());
    message::address(&mut out, IFA_ADDRESS, &own.address);
    if v4 {
        message::address(&mut out, IFA_LOCAL, &own.address);
        let usual = own.broadcast().filter(|_| !interface.is_loopback());
        if let Some(broadcast) = note.as_ref().map_or(usual, |note| note.broadcast) {
            message::address(&mut out, IFA_BROADCAST, &IpAddr::V4(broadcast));
        }
        let mut name = note.map_or_else(|| interface.name(), |note| note.label).into_bytes();
        name.push(0);
        attribute(&mut out, IFA_LABEL, &name);
    }
    attribute(&mut out, IFA_FLAGS, &flags.to_ne_bytes());
    // Valid and preferred for ever; when it was made is not known.
    let times = [u32::MAX, u32::MAX, 0, 0];
    attribute(&mut out, IFA_CACHEINFO, &times.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>());
    out
}

/// The addresses of the families wanted, of one interface or, where `index` is 0, of all.
pub fn dump(wanted: impl Fn(bool) -> bool, index: u32) -> Answers {
    let mut answers = Answers::new();
    for v4 in [true, false].into_iter().filter(|v4| wanted(*v4)) {
        for interface in interface::all().iter().filter(|interface| index == 0 || interface.index == index) {
            let mut all = interface.addresses.lock().clone();
            all.retain(|own| own.address.is_ipv4() == v4);
            if !v4 {
                all.reverse();
            }
            all.sort_by_key(|own| rank(interface, own));
            answers.extend(all.iter().map(|own| (NEW_ADDRESS, describe(interface, own))));
        }
    }
    answers
}

/// What a request says of an address besides. `EINVAL`.
fn note(interface: &Interface, own: &Cidr, body: &[u8]) -> SysResult<Note> {
    let attributes = body.get(INFO..).unwrap_or_default();
    let broadcast = find(attributes, IFA_BROADCAST).and_then(|value| value.first_chunk::<4>());
    let label = match find(attributes, IFA_LABEL).map(message::text) {
        None => interface.name(),
        Some(label) => core::str::from_utf8(label).ok().filter(|label| label.len() < NAME).ok_or(Errno::EINVAL)?.into(),
    };
    let flags = number(attributes, IFA_FLAGS).or(body.get(2).map(|flags| u32::from(*flags))).unwrap_or(0);
    Ok(Note {
        address: own.address,
        broadcast: broadcast.map(|bytes| Ipv4Addr::from(*bytes)),
        label,
        scope: body.get(3).copied().unwrap_or(0),
        flags: if own.address.is_ipv6() { flags & NODAD } else { 0 },
    })
}

/// What a request is about: the interface, and the address if there is one.
fn read(body: &[u8]) -> SysResult<(Arc<Interface>, Option<Cidr>)> {
    let v4 = is_v4(body)?;
    if body.len() < INFO {
        return Err(Errno::EINVAL);
    }
    let attributes = body.get(INFO..).unwrap_or_default();
    let prefix = body.get(1).copied().unwrap_or(0);
    if prefix > if v4 { 32 } else { 128 } {
        return Err(Errno::EINVAL);
    }
    let address = |kind| find(attributes, kind).map(|value| message::ip(value, v4).ok_or(Errno::EINVAL)).transpose();
    let (local, other) = (address(IFA_LOCAL)?, address(IFA_ADDRESS)?);
    let interface = interface::by_index(word(body, 4)).ok_or(Errno::ENODEV)?;
    // An address at the other end of a link of two.
    if local.is_some() && other.is_some() && local != other {
        return Err(Errno::EOPNOTSUPP);
    }
    // IPv4 wants it by this name.
    let own = if v4 { local } else { local.or(other) };
    Ok((interface, own.map(|address| Cidr { address, prefix })))
}

/// `RTM_NEWADDR`. `EINVAL`, `ENODEV`, `EEXIST`, `EACCES`.
pub fn new(request: &Request, body: &[u8]) -> SysResult<()> {
    let (interface, own) = read(body)?;
    let own = own.ok_or(Errno::EINVAL)?;
    if own.address.is_multicast() || own.address.is_ipv6() && own.address.is_unspecified() {
        return Err(if own.address.is_ipv6() { Errno::EADDRNOTAVAIL } else { Errno::EINVAL });
    }
    if own.address.is_ipv6() && interface.conf.ipv6_is_off() {
        return Err(Errno::EACCES);
    }
    let note = note(&interface, &own, body)?;
    match address::add_noted(&interface, own, Some(note)) {
        Err(Errno::EEXIST) if request.has(flag::REPLACE) && !request.has(flag::EXCL) => Ok(()),
        Err(Errno::EEXIST) if own.address.is_ipv4() => Err(request.refused(Errno::EEXIST, "ipv4: Address already assigned")),
        Err(Errno::EEXIST) => Err(request.refused(Errno::EEXIST, "ipv6: address already assigned")),
        result => result,
    }
}

/// `RTM_DELADDR`. `ENODEV`, `EADDRNOTAVAIL`.
pub fn remove(request: &Request, body: &[u8]) -> SysResult<()> {
    let v4 = is_v4(body)?;
    let attributes = body.get(INFO..).unwrap_or_default();
    let prefix = body.get(1).copied().unwrap_or(0);
    let address = |kind| find(attributes, kind).and_then(|value| message::ip(value, v4));
    let (local, network) = (address(IFA_LOCAL), address(IFA_ADDRESS));
    let interface = interface::by_index(word(body, 4)).ok_or(Errno::ENODEV)?;
    address::remove(&interface, |own| {
        own.address.is_ipv4() == v4
            && local.is_none_or(|local| own.address == local)
            && match network {
                // An address of the network will do for IPv4.
                Some(network) if v4 => own.prefix == prefix && own.contains(&network),
                Some(network) => own.address == network && (prefix == 0 || own.prefix == prefix),
                None => v4 || local.is_some(),
            }
    })
    .map_err(|errno| request.refused(errno, if v4 { "ipv4: Address not found" } else { "address not found" }))
}
