//! Neighbours, as far as they are known.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use syscall_shim::{Errno, SysResult};

use super::super::message::{self, Request, attribute, find, flag, half, word};
use super::{Answers, NEW_NEIGHBOR, family, is_v4};
use crate::interface::{self, Interface, Link};
use crate::neighbor::{Change, state};

/// `sizeof(struct ndmsg)`.
const INFO: usize = 12;
/// `NDA_*`.
const DST: u16 = 1;
const LLADDR: u16 = 2;
/// `RTN_UNICAST`.
const UNICAST: u8 = 1;

/// `RTM_NEWNEIGH` about somebody.
pub fn describe(interface: &Interface, ip: &IpAddr, mac: &[u8; 6], state: u16) -> Vec<u8> {
    let mut out = alloc::vec![family(ip.is_ipv4()), 0, 0, 0];
    out.extend_from_slice(&interface.index.to_ne_bytes());
    out.extend_from_slice(&state.to_ne_bytes());
    out.extend_from_slice(&[0, UNICAST]);
    message::address(&mut out, DST, ip);
    if state != state::FAILED {
        attribute(&mut out, LLADDR, mac);
    }
    out
}

/// All of the families wanted.
pub fn dump(wanted: impl Fn(bool) -> bool) -> Answers {
    let mut answers = Answers::new();
    for interface in interface::all().iter() {
        let Link::Ethernet(_, neighbors) = &interface.link else { continue };
        for (ip, mac, state) in neighbors.list().into_iter().filter(|(ip, ..)| wanted(ip.is_ipv4())) {
            answers.push((NEW_NEIGHBOR, describe(interface, &ip, &mac, state)));
        }
    }
    answers
}

/// One. `EINVAL`, `ENODEV`, `ENOENT`.
pub fn get(body: &[u8]) -> SysResult<Answers> {
    is_v4(body).map_err(|_| Errno::EAFNOSUPPORT)?;
    let (interface, asked) = read(body)?;
    let Link::Ethernet(_, neighbors) = &interface.link else { return Err(Errno::ENOENT) };
    let (ip, mac, state) = neighbors.list().into_iter().find(|(ip, ..)| *ip == asked).ok_or(Errno::ENOENT)?;
    Ok(alloc::vec![(NEW_NEIGHBOR, describe(&interface, &ip, &mac, state))])
}

/// Whom a request is about, and behind which interface. `EINVAL`, `ENODEV`.
fn read(body: &[u8]) -> SysResult<(Arc<Interface>, IpAddr)> {
    let attributes = body.get(INFO..).ok_or(Errno::EINVAL)?;
    let interface = match word(body, 4) {
        0 => return Err(Errno::EINVAL),
        index => interface::by_index(index).ok_or(Errno::ENODEV)?,
    };
    let v4 = is_v4(body).map_err(|_| Errno::EINVAL)?;
    let asked = find(attributes, DST).and_then(|value| message::ip(value, v4)).ok_or(Errno::EINVAL)?;
    Ok((interface, asked))
}

/// `RTM_NEWNEIGH`: somebody whose address is known by other ways than asking. `EINVAL`, `ENODEV`,
/// `ENOENT`, `EEXIST`; `EOPNOTSUPP` for states that nobody can be put into here, those of one who
/// is being asked.
pub fn new(request: &Request, body: &[u8]) -> SysResult<()> {
    let (interface, ip) = read(body)?;
    let attributes = body.get(INFO..).unwrap_or_default();
    let (state, mac) = (half(body, 8), find(attributes, LLADDR));
    if mac.is_some_and(|mac| mac.len() < 6) || mac.is_none() && state & state::FIXED != 0 {
        return Err(Errno::EINVAL);
    }
    let known = [state::REACHABLE, state::STALE, state::NOARP, state::PERMANENT].contains(&state);
    let Some(mac) = mac.and_then(|mac| mac.first_chunk::<6>()).filter(|_| known) else { return Err(Errno::EOPNOTSUPP) };
    let Link::Ethernet(_, neighbors) = &interface.link else { return Err(Errno::EOPNOTSUPP) };
    let change = Change {
        create: request.has(flag::CREATE),
        exclusive: request.has(flag::EXCL),
        replace: request.has(flag::REPLACE),
    };
    neighbors.set(&interface, ip, *mac, state, change)
}

/// `RTM_DELNEIGH`. `EINVAL`, `ENODEV`, `ENOENT`.
pub fn remove(body: &[u8]) -> SysResult<()> {
    let (interface, ip) = read(body)?;
    let Link::Ethernet(_, neighbors) = &interface.link else { return Err(Errno::ENOENT) };
    neighbors.forget(&interface, &ip)
}
