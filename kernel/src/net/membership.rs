//! What a socket says of groups: those it has joined, and how it sends to them (ip(7), ipv6(7)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::interface::{self, Interface};
use super::route::{self, Hop};
use super::{multicast, poll, sysctl};
use crate::files::socket::int;
use crate::sync::SpinLock;

/// By family: IPv4, IPv6.
struct Choices {
    /// The interface to send through; 0 leaves it to the routes.
    interface: [u32; 2],
    ttl: [u8; 2],
    /// What is sent to a group of ours comes back.
    looped: [bool; 2],
    joined: Vec<(u32, IpAddr)>,
}

/// A socket's groups.
pub struct Membership {
    stream: bool,
    /// A leaf lock.
    choices: SpinLock<Choices>,
}

fn v4(value: &[u8], at: usize) -> SysResult<Ipv4Addr> {
    let octets: [u8; 4] = value.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
    Ok(octets.into())
}

fn word(value: &[u8], at: usize) -> SysResult<u32> {
    value.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes).ok_or(Errno::EINVAL)
}

/// The interface that `index` or `address` names, else the one that the routes would take to `group`.
fn choose(index: u32, address: Option<Ipv4Addr>, group: &IpAddr) -> Option<Arc<Interface>> {
    match address.filter(|address| !address.is_unspecified()) {
        _ if index != 0 => interface::by_index(index),
        Some(address) => interface::owner(&IpAddr::V4(address)),
        None => {
            let hop = route::lookup(group).ok()?;
            Some(hop.interface)
        }
    }
}

/// Group and interface of `struct ip_mreq` and `struct ip_mreqn`, `struct ipv6_mreq` and `struct group_req`.
fn request(level: u32, option: u32, value: &[u8]) -> SysResult<(IpAddr, Arc<Interface>)> {
    let (group, interface) = if option == n::MCAST_JOIN_GROUP || option == n::MCAST_LEAVE_GROUP {
        /// Where the address begins in `struct group_req`, and in the two kinds of addresses.
        const ADDRESS: usize = 8;
        let family = value.get(ADDRESS..ADDRESS + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
        let group = match family.map(u32::from) {
            Some(n::AF_INET) if level == n::SOL_IP => IpAddr::V4(v4(value, ADDRESS + 4)?),
            Some(n::AF_INET6) if level == n::SOL_IPV6 => v6(value, ADDRESS + 8)?,
            _ => return Err(Errno::EINVAL),
        };
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

fn v6(value: &[u8], at: usize) -> SysResult<IpAddr> {
    let octets: [u8; 16] = value.get(at..at + 16).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
    Ok(Ipv6Addr::from(octets).into())
}

impl Membership {
    /// A new socket's. Streams have none.
    pub fn new(stream: bool) -> Self {
        let choices = Choices { interface: [0; 2], ttl: [1; 2], looped: [true; 2], joined: Vec::new() };
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
        if index != 0 || address.is_unspecified() {
            return self.set_interface(0, index);
        }
        let owner = interface::owner(&IpAddr::V4(address)).ok_or(Errno::EADDRNOTAVAIL)?;
        self.set_interface(0, owner.index)
    }

    fn join(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        if self.stream {
            return Err(Errno::EPROTO);
        }
        let (group, interface) = request(level, option, value)?;
        let mut choices = self.choices.lock();
        if choices.joined.contains(&(interface.index, group)) {
            return Err(Errno::EADDRINUSE);
        }
        if choices.joined.len() as i64 >= sysctl::get(&sysctl::MAX_MEMBERSHIPS).into() {
            return Err(Errno::ENOBUFS);
        }
        choices.joined.push((interface.index, group));
        drop(choices);
        multicast::join(&interface, group);
        poll::sent();
        Ok(())
    }

    fn leave(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        if self.stream {
            return Err(Errno::EPROTO);
        }
        let (group, interface) = request(level, option, value)?;
        let mut choices = self.choices.lock();
        let at = choices.joined.iter().position(|joined| *joined == (interface.index, group)).ok_or(Errno::EADDRNOTAVAIL)?;
        choices.joined.swap_remove(at);
        drop(choices);
        multicast::leave(&interface, group);
        poll::sent();
        Ok(())
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
                let index = choices.interface[0];
                drop(choices);
                let own = interface::by_index(index).and_then(|interface| {
                    interface.addresses.lock().iter().find_map(|own| match own.address {
                        IpAddr::V4(v4) => Some(v4),
                        IpAddr::V6(_) => None,
                    })
                });
                return Some(own.unwrap_or(Ipv4Addr::UNSPECIFIED).octets().to_vec());
            }
            _ => return None,
        };
        Some(number.to_ne_bytes().to_vec())
    }

    /// Whether the socket has joined the group there.
    pub fn has(&self, interface: u32, group: &IpAddr) -> bool {
        self.choices.lock().joined.contains(&(interface, *group))
    }

    /// The way to a group.
    pub fn way(&self, to: &SocketAddr) -> SysResult<Hop> {
        let own = self.choices.lock().interface[usize::from(to.is_ipv6())];
        let scope = match to {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        match interface::by_index(if scope != 0 { scope } else { own }) {
            // There is no route for IPv6's groups there, as there is none on Linux.
            Some(interface) if to.is_ipv6() && interface.is_loopback() => Err(Errno::ENETUNREACH),
            Some(interface) => Ok(Hop { interface, next: to.ip() }),
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
        for (index, group) in joined {
            if let Some(interface) = interface::by_index(index) {
                multicast::leave(&interface, group);
            }
        }
    }
}
