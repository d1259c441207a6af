//! What a socket says of groups: those it has joined, and how it sends to them (ip(7), ipv6(7)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fd::socket::int;
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::{self, UserAddr};

use super::interface::{self, Interface};
use super::route::{self, Hop};
use super::sources::{Filter, FilterRequest, SourceChange};
use super::{multicast, poll, sysctl};

/// A group that was joined.
struct Joined {
    interface: u32,
    group: IpAddr,
    filter: Filter,
}

/// By family: IPv4, IPv6.
struct Choices {
    /// The interface to send through; 0 leaves it to the routes.
    interface: [u32; 2],
    /// The address that named the interface for IPv4, from which is sent then.
    source: Ipv4Addr,
    ttl: [u8; 2],
    /// What is sent to a group of ours comes back.
    looped: [bool; 2],
    joined: Vec<Joined>,
}

/// A socket's groups.
pub struct Membership {
    stream: bool,
    /// A leaf lock.
    choices: SpinLock<Choices>,
}

pub(super) fn v4(value: &[u8], at: usize) -> SysResult<Ipv4Addr> {
    let octets: [u8; 4] = value.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
    Ok(octets.into())
}

pub(super) fn word(value: &[u8], at: usize) -> SysResult<u32> {
    value.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes).ok_or(Errno::EINVAL)
}

/// The interface that `index` or `address` names, else the one that the routes would take to
/// `group`.
pub(super) fn choose(index: u32, address: Option<Ipv4Addr>, group: &IpAddr) -> Option<Arc<Interface>> {
    match address.filter(|address| !address.is_unspecified()) {
        _ if index != 0 => interface::by_index(index),
        Some(address) => interface::owner(&IpAddr::V4(address)),
        None => Some(route::lookup(group).ok()?.interface),
    }
}

/// Size of a `struct ip_mreq`.
const IP_MREQ: usize = 8;
/// Size of a `struct ipv6_mreq`.
const IPV6_MREQ: usize = 20;
/// Size of a `struct group_req`.
const GROUP_REQ: usize = 136;

/// The address in a `struct sockaddr_storage` of the level's family.
pub(super) fn address_in(level: u32, value: &[u8], at: usize) -> SysResult<IpAddr> {
    let family = value.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    match family.map(u32::from) {
        Some(n::AF_INET) if level == n::SOL_IP => Ok(IpAddr::V4(v4(value, at + 4)?)),
        Some(n::AF_INET6) if level == n::SOL_IPV6 => v6(value, at + 8),
        _ if level == n::SOL_IP => Err(Errno::EINVAL),
        _ => Err(Errno::EADDRNOTAVAIL),
    }
}

/// Group and interface of `struct ip_mreq` and `struct ip_mreqn`, `struct ipv6_mreq` and `struct
/// group_req`.
fn request(level: u32, option: u32, value: &[u8]) -> SysResult<(IpAddr, Arc<Interface>)> {
    let (group, interface) = if option == n::MCAST_JOIN_GROUP || option == n::MCAST_LEAVE_GROUP {
        if value.len() < GROUP_REQ {
            return Err(Errno::EINVAL);
        }
        let group = address_in(level, value, 8)?;
        (group, choose(word(value, 0)?, None, &group))
    } else if level == n::SOL_IP {
        let (group, address) = (IpAddr::V4(v4(value, 0)?), v4(value, 4)?);
        (group, choose(word(value, 8).unwrap_or(0), Some(address), &group))
    } else {
        let (group, index) = (v6(value, 0)?, word(value, 16)?);
        (group, choose(index, None, &group))
    };
    if !group.is_multicast() {
        return Err(Errno::EINVAL);
    }
    Ok((group, interface.ok_or(Errno::ENODEV)?))
}

pub(super) fn v6(value: &[u8], at: usize) -> SysResult<IpAddr> {
    let octets: [u8; 16] = value.get(at..at + 16).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
    Ok(Ipv6Addr::from(octets).into())
}

impl Membership {
    /// A new socket's. Streams have none.
    pub fn new(stream: bool) -> Self {
        let choices =
            Choices { interface: [0; 2], source: Ipv4Addr::UNSPECIFIED, ttl: [1; 2], looped: [true; 2], joined: Vec::new() };
        Self { stream, choices: SpinLock::new(choices) }
    }

    /// setsockopt(2); `None` if the option is not about groups.
    pub fn set(&self, level: u32, option: u32, value: &[u8]) -> Option<SysResult<()>> {
        let family = usize::from(level == n::SOL_IPV6);
        Some(match (level, option) {
            (n::SOL_IP, n::IP_ADD_MEMBERSHIP | n::MCAST_JOIN_GROUP)
            | (n::SOL_IPV6, n::IPV6_ADD_MEMBERSHIP | n::MCAST_JOIN_GROUP) => self.join(level, option, value),
            (n::SOL_IP, n::IP_DROP_MEMBERSHIP | n::MCAST_LEAVE_GROUP)
            | (n::SOL_IPV6, n::IPV6_DROP_MEMBERSHIP | n::MCAST_LEAVE_GROUP) => self.leave(level, option, value),
            (
                n::SOL_IP,
                n::IP_ADD_SOURCE_MEMBERSHIP | n::IP_DROP_SOURCE_MEMBERSHIP | n::IP_BLOCK_SOURCE | n::IP_UNBLOCK_SOURCE,
            )
            | (n::SOL_IP | n::SOL_IPV6, n::MCAST_JOIN_SOURCE_GROUP | n::MCAST_LEAVE_SOURCE_GROUP)
            | (n::SOL_IP | n::SOL_IPV6, n::MCAST_BLOCK_SOURCE | n::MCAST_UNBLOCK_SOURCE) => {
                SourceChange::read(level, option, value).and_then(|change| self.change_source(change))
            }
            (n::SOL_IP, n::IP_MSFILTER) | (n::SOL_IP | n::SOL_IPV6, n::MCAST_MSFILTER) => {
                self.set_filter(level, option, value)
            }
            (n::SOL_IP, n::IP_MULTICAST_LOOP) => {
                number(value).map(|number| self.choices.lock().looped[family] = number != 0)
            }
            (n::SOL_IPV6, n::IPV6_MULTICAST_LOOP) => int(value).and_then(|number| match number {
                0 | 1 => {
                    self.choices.lock().looped[family] = number != 0;
                    Ok(())
                }
                _ => Err(Errno::EINVAL),
            }),
            (n::SOL_IP, n::IP_MULTICAST_TTL | n::IP_MULTICAST_IF) if self.stream => Err(Errno::EINVAL),
            (n::SOL_IPV6, n::IPV6_MULTICAST_HOPS | n::IPV6_MULTICAST_IF) if self.stream => Err(Errno::ENOPROTOOPT),
            (n::SOL_IP, n::IP_MULTICAST_TTL) => number(value).and_then(|number| self.set_ttl(family, number)),
            (n::SOL_IPV6, n::IPV6_MULTICAST_HOPS) => int(value).and_then(|number| self.set_ttl(family, number)),
            (n::SOL_IP, n::IP_MULTICAST_IF) => self.set_interface_v4(value),
            (n::SOL_IPV6, n::IPV6_MULTICAST_IF) => word(value, 0).and_then(|index| self.set_interface(1, index)),
            _ => return None,
        })
    }

    fn set_ttl(&self, family: usize, number: i32) -> SysResult<()> {
        let ttl = match number {
            -1 => 1,
            0..=255 => number as u8,
            _ => return Err(Errno::EINVAL),
        };
        self.choices.lock().ttl[family] = ttl;
        Ok(())
    }

    fn set_interface(&self, family: usize, index: u32) -> SysResult<()> {
        if index != 0 && interface::by_index(index).is_none() {
            return Err(if family == 0 { Errno::EADDRNOTAVAIL } else { Errno::ENODEV });
        }
        self.choices.lock().interface[family] = index;
        Ok(())
    }

    fn set_interface_v4(&self, value: &[u8]) -> SysResult<()> {
        // An address alone, or one behind a group, or an index behind both.
        let (address, index) = match value.len() {
            12.. => (v4(value, 4)?, word(value, 8)?),
            8.. => (v4(value, 4)?, 0),
            _ => (v4(value, 0)?, 0),
        };
        let index = if index != 0 || address.is_unspecified() {
            index
        } else {
            interface::owner(&IpAddr::V4(address)).ok_or(Errno::EADDRNOTAVAIL)?.index
        };
        self.set_interface(0, index)?;
        self.choices.lock().source = address;
        Ok(())
    }

    /// Streams have no groups; only the older options say so, as on Linux.
    fn check_stream(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        if level == n::SOL_IPV6 && value.len() < IPV6_MREQ {
            return Err(Errno::EINVAL);
        }
        let newer = matches!(option, n::MCAST_JOIN_GROUP | n::MCAST_LEAVE_GROUP);
        if self.stream && !newer { Err(Errno::EPROTO) } else { Ok(()) }
    }

    fn join(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        self.check_stream(level, option, value)?;
        let (group, interface) = request(level, option, value)?;
        self.join_group(&interface, group, Filter::default())
    }

    fn join_group(&self, interface: &Arc<Interface>, group: IpAddr, filter: Filter) -> SysResult<()> {
        let mut choices = self.choices.lock();
        if choices.joined.iter().any(|joined| joined.interface == interface.index && joined.group == group) {
            return Err(Errno::EADDRINUSE);
        }
        if choices.joined.len() as i64 >= sysctl::get(&sysctl::MAX_MEMBERSHIPS).into() {
            return Err(Errno::ENOBUFS);
        }
        choices.joined.push(Joined { interface: interface.index, group, filter });
        drop(choices);
        multicast::join(interface, group);
        poll::sent();
        Ok(())
    }

    fn leave(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        self.check_stream(level, option, value)?;
        // What is no group was never joined, as on Linux.
        let (group, interface) = request(level, option, value).map_err(|errno| match errno {
            Errno::EINVAL if level == n::SOL_IP && option == n::IP_DROP_MEMBERSHIP && value.len() >= IP_MREQ => {
                Errno::EADDRNOTAVAIL
            }
            Errno::ENODEV if level == n::SOL_IPV6 => Errno::EADDRNOTAVAIL,
            errno => errno,
        })?;
        self.leave_group(&interface, group, Errno::EADDRNOTAVAIL)
    }

    fn leave_group(&self, interface: &Arc<Interface>, group: IpAddr, missing: Errno) -> SysResult<()> {
        let mut choices = self.choices.lock();
        let ours = |joined: &Joined| joined.interface == interface.index && joined.group == group;
        let at = choices.joined.iter().position(ours).ok_or(missing)?;
        choices.joined.swap_remove(at);
        drop(choices);
        multicast::leave(interface, group);
        poll::sent();
        Ok(())
    }

    /// Adds a source to a group's filter, or takes it out. The last one that is to be heard takes
    /// the group with it.
    fn change_source(&self, change: SourceChange) -> SysResult<()> {
        if change.joins {
            match self.join_group(&change.interface, change.group, Filter::none()) {
                Ok(()) | Err(Errno::EADDRINUSE) => {}
                Err(errno) => return Err(errno),
            }
        }
        let mut choices = self.choices.lock();
        let ours = |joined: &&mut Joined| joined.interface == change.interface.index && joined.group == change.group;
        let joined = choices.joined.iter_mut().find(ours).ok_or(Errno::EINVAL)?;
        joined.filter.change(&change)?;
        let over = joined.filter.lets_nobody_in();
        drop(choices);
        if over { self.leave_group(&change.interface, change.group, Errno::EINVAL) } else { Ok(()) }
    }

    /// `IP_MSFILTER`, `MCAST_MSFILTER`: the whole filter at once.
    fn set_filter(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        let (group, interface, filter) = Filter::read(level, option, value)?;
        if filter.lets_nobody_in() {
            return self.leave_group(&interface, group, Errno::EADDRNOTAVAIL);
        }
        let mut choices = self.choices.lock();
        let ours = |joined: &&mut Joined| joined.interface == interface.index && joined.group == group;
        choices.joined.iter_mut().find(ours).ok_or(Errno::EINVAL)?.filter = filter;
        Ok(())
    }

    /// `IP_MSFILTER`, `MCAST_MSFILTER` read back: what `buffer` holds names group and interface,
    /// and for how many sources there is room. `None` for any other option.
    pub fn filter(&self, level: u32, option: u32, room: usize, buffer: UserAddr) -> Option<SysResult<Vec<u8>>> {
        if !matches!((level, option), (n::SOL_IP, n::IP_MSFILTER) | (n::SOL_IP | n::SOL_IPV6, n::MCAST_MSFILTER)) {
            return None;
        }
        Some(usermem::read_bytes(buffer, room.min(FilterRequest::MAX_LEN)).and_then(|given| {
            let asked = FilterRequest::read(level, option, &given)?;
            let choices = self.choices.lock();
            let ours = |joined: &&Joined| joined.interface == asked.interface && joined.group == asked.group;
            let joined = choices.joined.iter().find(ours).ok_or(Errno::EADDRNOTAVAIL)?;
            Ok(joined.filter.write(&asked, room, &given))
        }))
    }

    /// getsockopt(2).
    pub fn get(&self, level: u32, option: u32) -> Option<Vec<u8>> {
        let family = usize::from(level == n::SOL_IPV6);
        let choices = self.choices.lock();
        let number = match (level, option) {
            (n::SOL_IP, n::IP_MULTICAST_LOOP) | (n::SOL_IPV6, n::IPV6_MULTICAST_LOOP) => choices.looped[family].into(),
            (n::SOL_IP, n::IP_MULTICAST_TTL) | (n::SOL_IPV6, n::IPV6_MULTICAST_HOPS) => choices.ttl[family].into(),
            (n::SOL_IPV6, n::IPV6_MULTICAST_IF) => choices.interface[1],
            (n::SOL_IP, n::IP_MULTICAST_IF) => {
                return Some(choices.source.octets().to_vec());
            }
            _ => return None,
        };
        Some(number.to_ne_bytes().to_vec())
    }

    /// Whether the socket takes what `source` sends to the group there; `None` if it has not
    /// joined.
    pub fn takes(&self, interface: u32, group: &IpAddr, source: &IpAddr) -> Option<bool> {
        let choices = self.choices.lock();
        let joined = choices.joined.iter().find(|joined| joined.interface == interface && joined.group == *group)?;
        Some(joined.filter.takes(source))
    }

    /// The address to send to groups from, where one was named.
    pub fn source(&self, v6: bool) -> Option<IpAddr> {
        let source = self.choices.lock().source;
        (!v6 && !source.is_unspecified()).then_some(IpAddr::V4(source))
    }

    /// The way to a group, or to everybody. Where nothing else says which, it leads through the
    /// interface that has the address `from`.
    pub fn way(&self, to: &SocketAddr, device: u32, from: Option<IpAddr>) -> SysResult<Hop> {
        let own = if to.ip().is_multicast() { self.choices.lock().interface[usize::from(to.is_ipv6())] } else { 0 };
        let scope = match to {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let first = [device, scope, own].into_iter().find(|index| *index != 0).unwrap_or(0);
        match interface::by_index(first) {
            // There is no route for IPv6's groups there, as there is none on Linux.
            Some(interface) if to.is_ipv6() && interface.is_loopback() => Err(Errno::ENETUNREACH),
            Some(interface) => Ok(Hop::direct(interface, to.ip())),
            None if let Some(interface) =
                from.filter(|from| from.is_ipv4() && to.is_ipv4()).and_then(|from| interface::owner(&from)) =>
            {
                Ok(Hop::direct(interface, to.ip()))
            }
            None => route::lookup(&to.ip()),
        }
    }

    /// How far packets to groups go, and whether they come back.
    pub fn reach(&self, v6: bool) -> (u8, bool) {
        let choices = self.choices.lock();
        (choices.ttl[usize::from(v6)], choices.looped[usize::from(v6)])
    }
}

/// A number; for IPv4 a byte will do, as on Linux.
fn number(value: &[u8]) -> SysResult<i32> {
    int(value).or_else(|_| value.first().map(|b| i32::from(*b)).ok_or(Errno::EINVAL))
}

impl Drop for Membership {
    fn drop(&mut self) {
        let joined = core::mem::take(&mut self.choices.lock().joined);
        for Joined { interface, group, .. } in joined {
            if let Some(interface) = interface::by_index(interface) {
                multicast::leave(&interface, group);
            }
        }
    }
}
