//! Whose datagrams to a group a socket takes (RFC 3678).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::interface::Interface;
use super::membership::{address_in, choose, v4, word};

/// Sources that a filter may have (`net.ipv4.igmp_max_msf`).
const MOST: usize = 10;
/// Sizes of `struct ip_mreq_source` and `struct group_source_req`, and of a `struct ip_msfilter` without sources.
const MREQ_SOURCE: usize = 12;
const GROUP_SOURCE_REQ: usize = 264;
const MSFILTER: usize = 16;

/// A filter: all but these sources, or these alone.
#[derive(Default)]
pub struct Filter {
    include: bool,
    /// `None` until one is named: so long the filter may become one of the other sort.
    sources: Option<Vec<IpAddr>>,
}

/// A change of a filter.
pub struct SourceChange {
    /// The group.
    pub group: IpAddr,
    /// Where it was joined.
    pub interface: Arc<Interface>,
    source: IpAddr,
    include: bool,
    add: bool,
    /// The group is joined for the source's sake.
    pub joins: bool,
}

impl SourceChange {
    /// Reads the argument of `IP_ADD_SOURCE_MEMBERSHIP`, `MCAST_JOIN_SOURCE_GROUP` and their like.
    pub fn read(level: u32, option: u32, value: &[u8]) -> SysResult<SourceChange> {
        let newer = (n::MCAST_JOIN_GROUP..=n::MCAST_MSFILTER).contains(&option);
        let (group, source, interface) = if newer {
            if value.len() < GROUP_SOURCE_REQ {
                return Err(Errno::EINVAL);
            }
            let (group, source) = (address_in(level, value, 8)?, address_in(level, value, 136)?);
            (group, source, choose(word(value, 0)?, None, &group))
        } else {
            if value.len() != MREQ_SOURCE {
                return Err(Errno::EINVAL);
            }
            let group = IpAddr::V4(v4(value, 0)?);
            (group, IpAddr::V4(v4(value, 8)?), choose(0, Some(v4(value, 4)?), &group))
        };
        if !group.is_multicast() {
            return Err(Errno::EINVAL);
        }
        let include = matches!(
            option,
            n::IP_ADD_SOURCE_MEMBERSHIP
                | n::IP_DROP_SOURCE_MEMBERSHIP
                | n::MCAST_JOIN_SOURCE_GROUP
                | n::MCAST_LEAVE_SOURCE_GROUP
        );
        let joins = matches!(option, n::IP_ADD_SOURCE_MEMBERSHIP | n::MCAST_JOIN_SOURCE_GROUP);
        let add = joins || matches!(option, n::IP_BLOCK_SOURCE | n::MCAST_BLOCK_SOURCE);
        Ok(SourceChange { group, interface: interface.ok_or(Errno::ENODEV)?, source, include, add, joins })
    }
}

impl Filter {
    /// A filter that lets nobody in as yet.
    pub fn none() -> Filter {
        Filter { include: true, sources: None }
    }

    /// Whether nobody is to be heard.
    pub fn lets_nobody_in(&self) -> bool {
        self.include && self.list().is_empty()
    }

    fn list(&self) -> &[IpAddr] {
        self.sources.as_deref().unwrap_or_default()
    }

    /// Whether datagrams of this source are taken.
    pub fn takes(&self, source: &IpAddr) -> bool {
        self.list().contains(source) == self.include
    }

    /// Makes a change. `EINVAL` where the filter is of the other sort, `EADDRNOTAVAIL` for a source that is there already, or not.
    pub fn change(&mut self, change: &SourceChange) -> SysResult<()> {
        if self.include != change.include {
            if self.sources.is_some() {
                return Err(Errno::EINVAL);
            }
            self.include = change.include;
        }
        if self.sources.is_none() && !change.add {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let sources = self.sources.get_or_insert_default();
        let at = sources.iter().position(|source| *source == change.source);
        match (change.add, at) {
            (true, Some(_)) | (false, None) => Err(Errno::EADDRNOTAVAIL),
            (true, None) if sources.len() >= MOST => Err(Errno::ENOBUFS),
            (true, None) => {
                sources.push(change.source);
                Ok(())
            }
            (false, Some(at)) => {
                sources.swap_remove(at);
                Ok(())
            }
        }
    }

    /// Reads a `struct ip_msfilter`: the group, where it was joined, and the filter.
    pub fn read(value: &[u8]) -> SysResult<(IpAddr, Arc<Interface>, Filter)> {
        if value.len() < MSFILTER {
            return Err(Errno::EINVAL);
        }
        let group = IpAddr::V4(v4(value, 0)?);
        let (mode, count) = (word(value, 8)?, word(value, 12)? as usize);
        if count > MOST {
            return Err(Errno::ENOBUFS);
        }
        if value.len() < MSFILTER + 4 * count || !group.is_multicast() || mode > n::MCAST_INCLUDE {
            return Err(Errno::EINVAL);
        }
        let sources: SysResult<Vec<IpAddr>> = (0..count).map(|at| v4(value, MSFILTER + 4 * at).map(IpAddr::V4)).collect();
        let interface = choose(0, Some(v4(value, 4)?), &group).ok_or(Errno::ENODEV)?;
        Ok((group, interface, Filter { include: mode == n::MCAST_INCLUDE, sources: Some(sources?) }))
    }
}
