//! Whose datagrams to a group a socket takes (RFC 3678).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::interface::Interface;
use super::membership::{address_in, choose, v4, word};
use super::socket::Family;

/// Sources that a filter may have (`net.ipv4.igmp_max_msf`).
const MAX_SOURCES: usize = 10;
/// Sizes of `struct ip_mreq_source` and `struct group_source_req`, and of a `struct ip_msfilter`
/// without sources.
const MREQ_SOURCE: usize = 12;
const GROUP_SOURCE_REQ: usize = 264;
const MSFILTER: usize = 16;
/// The same of a `struct group_filter`, and the size of a `struct sockaddr_storage`.
const GROUP_FILTER: usize = 144;
const STORAGE: usize = 128;
/// Sources that a filter of IPv6 may have (`net.ipv6.mld_max_msf`).
const MAX_SOURCES_V6: usize = 64;

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

    /// Makes a change. `EINVAL` where the filter is of the other sort, `EADDRNOTAVAIL` for a source
    /// that is there already, or not.
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
            (true, None) if sources.len() >= MAX_SOURCES => Err(Errno::ENOBUFS),
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

    /// Reads a `struct ip_msfilter` or a `struct group_filter`: the group, where it was joined, and
    /// the filter.
    pub fn read(level: u32, option: u32, value: &[u8]) -> SysResult<(IpAddr, Arc<Interface>, Filter)> {
        let form = Form::of(option);
        if value.len() < form.head {
            return Err(Errno::EINVAL);
        }
        let (mode, count) = (word(value, form.mode)?, word(value, form.mode + 4)? as usize);
        if count > if level == n::SOL_IP { MAX_SOURCES } else { MAX_SOURCES_V6 } {
            return Err(Errno::ENOBUFS);
        }
        if value.len() < form.head + form.source * count {
            return Err(Errno::EINVAL);
        }
        let sources = (0..count).map(|at| form.address(level, value, form.head + form.source * at));
        let sources: Vec<IpAddr> = sources.collect::<SysResult<_>>().map_err(|_| Errno::EADDRNOTAVAIL)?;
        let (group, interface) = form.group(level, value)?;
        if !group.is_multicast() || mode > n::MCAST_INCLUDE {
            return Err(Errno::EINVAL);
        }
        let interface = interface.ok_or(Errno::ENODEV)?;
        Ok((group, interface, Filter { include: mode == n::MCAST_INCLUDE, sources: Some(sources) }))
    }

    /// Writes the filter behind the group and interface of `given`, with as many sources as were
    /// asked for and there is `room` for.
    pub fn write(&self, asked: &FilterRequest, room: usize, given: &[u8]) -> Vec<u8> {
        let form = Form::of(asked.option);
        let mut out = given.get(..form.mode).unwrap_or_default().to_vec();
        out.extend_from_slice(&u32::from(self.include).to_ne_bytes());
        out.extend_from_slice(&(self.list().len() as u32).to_ne_bytes());
        out.resize(form.head, 0);
        let fit = asked.count.min(room.saturating_sub(form.head) / form.source);
        for source in self.list().iter().take(fit) {
            let from = out.len();
            match source {
                IpAddr::V4(v4) if asked.option == n::IP_MSFILTER => out.extend_from_slice(&v4.octets()),
                IpAddr::V4(_) => out.extend_from_slice(&Family::V4.encode(&SocketAddr::new(*source, 0))),
                IpAddr::V6(_) => out.extend_from_slice(&Family::V6.encode(&SocketAddr::new(*source, 0))),
            }
            out.resize(from + form.source, 0);
        }
        out
    }
}

/// Where a filter's parts are in `struct ip_msfilter` and `struct group_filter`.
struct Form {
    option: u32,
    /// Up to the sources.
    head: usize,
    mode: usize,
    /// Size of each source.
    source: usize,
}

impl Form {
    fn of(option: u32) -> Form {
        match option {
            n::IP_MSFILTER => Form { option, head: MSFILTER, mode: 8, source: 4 },
            _ => Form { option, head: GROUP_FILTER, mode: 136, source: STORAGE },
        }
    }

    fn address(&self, level: u32, value: &[u8], at: usize) -> SysResult<IpAddr> {
        if self.option == n::IP_MSFILTER { v4(value, at).map(IpAddr::V4) } else { address_in(level, value, at) }
    }

    fn group(&self, level: u32, value: &[u8]) -> SysResult<(IpAddr, Option<Arc<Interface>>)> {
        if self.option == n::IP_MSFILTER {
            let group = IpAddr::V4(v4(value, 0)?);
            return Ok((group, choose(0, Some(v4(value, 4)?), &group)));
        }
        let group = address_in(level, value, 8)?;
        Ok((group, choose(word(value, 0)?, None, &group)))
    }
}

/// What getsockopt(2) is asked of a filter.
pub struct FilterRequest {
    option: u32,
    /// The group.
    pub group: IpAddr,
    /// Where it was joined.
    pub interface: u32,
    count: usize,
}

impl FilterRequest {
    /// Bytes that the longer of the two forms has before its sources.
    pub const MAX_LEN: usize = GROUP_FILTER;

    /// Reads the head of a filter.
    pub fn read(level: u32, option: u32, given: &[u8]) -> SysResult<FilterRequest> {
        let form = Form::of(option);
        if given.len() < form.head {
            return Err(Errno::EINVAL);
        }
        let (group, interface) = form.group(level, given)?;
        if !group.is_multicast() {
            return Err(Errno::EINVAL);
        }
        let missing = if option == n::IP_MSFILTER { Errno::ENODEV } else { Errno::EADDRNOTAVAIL };
        let interface = interface.ok_or(missing)?.index;
        Ok(FilterRequest { option, group, interface, count: word(given, form.mode + 4)? as usize })
    }
}
