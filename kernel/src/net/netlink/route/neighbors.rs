//! Neighbours, as far as they are known.

use alloc::vec::Vec;
use core::net::IpAddr;

use syscall_shim::{Errno, SysResult};

use super::super::message::{self, attribute, find, word};
use super::{Answers, NEW_NEIGHBOR, family, is_v4};
use crate::net::interface::{self, Interface, Link};

/// `sizeof(struct ndmsg)`.
const INFO: usize = 12;
/// `NDA_*`.
const DST: u16 = 1;
const LLADDR: u16 = 2;
/// `NUD_REACHABLE`, `RTN_UNICAST`.
const REACHABLE: u16 = 2;
const UNICAST: u8 = 1;

fn describe(interface: &Interface, ip: &IpAddr, mac: &[u8; 6]) -> Vec<u8> {
    let mut out = alloc::vec![family(ip.is_ipv4()), 0, 0, 0];
    out.extend_from_slice(&interface.index.to_ne_bytes());
    out.extend_from_slice(&REACHABLE.to_ne_bytes());
    out.extend_from_slice(&[0, UNICAST]);
    message::address(&mut out, DST, ip);
    attribute(&mut out, LLADDR, mac);
    out
}

/// All of the families wanted.
pub fn dump(wanted: impl Fn(bool) -> bool) -> Answers {
    let mut answers = Answers::new();
    for interface in interface::all().iter() {
        let Link::Ethernet(_, neighbors) = &interface.link else { continue };
        for (ip, mac) in neighbors.list().into_iter().filter(|(ip, _)| wanted(ip.is_ipv4())) {
            answers.push((NEW_NEIGHBOR, describe(interface, &ip, &mac)));
        }
    }
    answers
}

/// One. `EINVAL`, `ENODEV`, `ENOENT`.
pub fn get(body: &[u8]) -> SysResult<Answers> {
    let v4 = is_v4(body).map_err(|_| Errno::EAFNOSUPPORT)?;
    let attributes = body.get(INFO..).ok_or(Errno::EINVAL)?;
    let asked = find(attributes, DST).and_then(|value| message::ip(value, v4)).ok_or(Errno::EINVAL)?;
    let interface = match word(body, 4) {
        0 => return Err(Errno::EINVAL),
        index => interface::by_index(index).ok_or(Errno::ENODEV)?,
    };
    let Link::Ethernet(_, neighbors) = &interface.link else { return Err(Errno::ENOENT) };
    let (ip, mac) = neighbors.list().into_iter().find(|(ip, _)| *ip == asked).ok_or(Errno::ENOENT)?;
    Ok(alloc::vec![(NEW_NEIGHBOR, describe(&interface, &ip, &mac))])
}
