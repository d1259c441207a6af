//! Addresses.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::super::message::{self, Request, attribute, find, flag, word};
use super::{Answers, NEW_ADDRESS, family, is_v4};
use crate::net::interface::{self, Interface};

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
const PERMANENT: u8 = 0x80;

fn scope(address: &IpAddr) -> u8 {
    match address {
        address if address.is_loopback() => 254,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 253,
        _ => 0,
    }
}

/// `RTM_NEWADDR` about an address.
pub fn describe(interface: &Interface, own: &Cidr) -> Vec<u8> {
    let v4 = own.address.is_ipv4();
    let mut out = alloc::vec![family(v4), own.prefix, PERMANENT, scope(&own.address)];
    out.extend_from_slice(&interface.index.to_ne_bytes());
    message::address(&mut out, IFA_ADDRESS, &own.address);
    if v4 {
        message::address(&mut out, IFA_LOCAL, &own.address);
        if let Some(broadcast) = own.broadcast().filter(|_| !interface.is_loopback()) {
            message::address(&mut out, IFA_BROADCAST, &IpAddr::V4(broadcast));
        }
        let mut name = interface.name().into_bytes();
        name.push(0);
        attribute(&mut out, IFA_LABEL, &name);
    }
    attribute(&mut out, IFA_FLAGS, &u32::from(PERMANENT).to_ne_bytes());
    // Valid and preferred for ever; when it was made is not known.
    let times = [u32::MAX, u32::MAX, 0, 0];
    attribute(&mut out, IFA_CACHEINFO, &times.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>());
    out
}

/// The addresses of the families wanted, of one interface or, where `index` is 0, of all.
pub fn dump(wanted: impl Fn(bool) -> bool, index: u32) -> Answers {
    let mut answers = Answers::new();
    for interface in interface::all().iter().filter(|interface| index == 0 || interface.index == index) {
        let all = interface.addresses.lock().clone();
        for own in all.iter().filter(|own| wanted(own.address.is_ipv4())) {
            answers.push((NEW_ADDRESS, describe(interface, own)));
        }
    }
    answers
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
    match crate::net::address::add(&interface, own) {
        Err(Errno::EEXIST) if request.has(flag::REPLACE) && !request.has(flag::EXCL) => Ok(()),
        result => result,
    }
}

/// `RTM_DELADDR`. `ENODEV`, `EADDRNOTAVAIL`.
pub fn remove(body: &[u8]) -> SysResult<()> {
    let v4 = is_v4(body)?;
    let attributes = body.get(INFO..).unwrap_or_default();
    let prefix = body.get(1).copied().unwrap_or(0);
    let address = |kind| find(attributes, kind).and_then(|value| message::ip(value, v4));
    let (local, network) = (address(IFA_LOCAL), address(IFA_ADDRESS));
    let interface = interface::by_index(word(body, 4)).ok_or(Errno::ENODEV)?;
    crate::net::address::remove(&interface, |own| {
        own.address.is_ipv4() == v4
            && local.is_none_or(|local| own.address == local)
            && match network {
                // An address of the network will do for IPv4.
                Some(network) if v4 => own.prefix == prefix && own.contains(&network),
                Some(network) => own.address == network && (prefix == 0 || own.prefix == prefix),
                None => v4 || local.is_some(),
            }
    })
}
