//! Sending: messages of a protocol, whole packets (`IP_HDRINCL`), and pings.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::Ordering;

use fd::io::Source;
use fd::socket::Ancillary;
use inet::checksum::Sum;
use inet::ip::octets;
use inet::tcp::Pieces;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::{ECHO, IPPROTO_RAW, RawSocket};
use crate::extension::Asked;
use crate::output::{self, Outgoing};
use crate::route::Hop;
use crate::send_how::SendHow;
use crate::sockopt::flag;
use crate::{interface, multicast, poll};

/// Bytes of a ping before its data.
const PING_HEADER: usize = 8;
const MAX_PACKET: usize = 65535;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

impl RawSocket {
    /// send(2) and its kin.
    pub(super) fn send(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: &Ancillary, flags: u32) -> SysResult<usize> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let len = from.remaining();
        if len > MAX_PACKET {
            return Err(Errno::EMSGSIZE);
        }
        let to = to.map(|address| self.common.family().decode(address)).transpose()?;
        if self.is_v6() && !self.ping && to.is_some_and(|to| to.port() != 0 && !self.may_name(to.port())) {
            return Err(Errno::EINVAL);
        }
        let remote = self.ends.lock().remote;
        let to = to.or(remote).ok_or(Errno::EDESTADDRREQ)?;
        let bytes = from.take_all(MAX_PACKET)?;
        let result = self.send_to(bytes, to, &SendHow::read(&with.control, to.is_ipv6(), &self.common)?);
        poll::sent();
        result.map(|()| len)
    }

    /// Whether an address may name this protocol as its port.
    fn may_name(&self, port: u16) -> bool {
        port == u16::from(self.protocol) || self.protocol == IPPROTO_RAW && port <= 255
    }

    fn send_to(&self, mut bytes: Vec<u8>, address: SocketAddr, how: &SendHow) -> SysResult<()> {
        let mut address = address;
        if address.ip().is_unspecified() {
            address.set_ip(localhost(&address.ip()));
        }
        let to = address.ip();
        if to.is_ipv6() != self.is_v6() {
            return Err(Errno::EINVAL);
        }
        if self.ping {
            self.seal_ping(&mut bytes)?;
        }
        let groups = &self.common.groups;
        let bound = self.ends.lock().local.filter(|ip| !ip.is_multicast() && !interface::is_for_all(ip));
        let asked = how.asked(&self.common, to.is_ipv6());
        let whole = !self.ping && self.common.has(flag::HDRINCL);
        // Who writes the header writes the options.
        if whole && matches!(asked, Some(Asked::V4(_))) {
            return Err(Errno::EINVAL);
        }
        let end = to;
        let to = asked.as_ref().filter(|_| !whole).map_or(end, |asked| asked.first_hop(end));
        let mut hop = self.common.way(&SocketAddr::new(to, address.port()), bound)?;
        let broadcast = matches!(to, IpAddr::V4(v4) if hop.interface.is_broadcast(&v4));
        if broadcast && !self.common.broadcast.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
        let chosen = if hop.interface.is_loopback() { Some(to) } else { hop.source_for(&to) };
        let chosen =
            chosen.map(|chosen| if to.is_multicast() && hop.interface.is_loopback() { localhost(&to) } else { chosen });
        let mut source = bound
            .or_else(|| groups.source(to.is_ipv6()).filter(|_| to.is_multicast()))
            .or(chosen)
            .ok_or(Errno::ENETUNREACH)?;
        how.apply(&mut source, &mut hop)?;
        // Only these two look whether the socket was shut down, as on Linux.
        if (whole || self.ping) && self.closed[1].load(Ordering::Acquire) {
            return Err(Errno::EPIPE);
        }
        if whole {
            return if to.is_ipv4() { send_whole(&hop, bytes, source) } else { send_whole_v6(&hop, bytes) };
        }
        let v6 = to.is_ipv6();
        let protocol = if self.protocol == IPPROTO_RAW { address.port() as u8 } else { self.protocol };
        let between = match &asked {
            Some(asked) => {
                asked.accepts(&hop)?;
                Some(asked.build(protocol, source, end)?)
            }
            None => None,
        };
        let extra = between.as_ref().map_or(0, |between| between.bytes.len());
        let whole = bytes.len() + output::header_len(&to) + extra;
        if whole > MAX_PACKET {
            return Err(Errno::EMSGSIZE);
        }
        if whole > hop.longest() as usize && self.common.refuses_fragments(v6) {
            return Err(Errno::EMSGSIZE);
        }
        self.seal(&mut bytes, &source, &to)?;
        let (group_ttl, looped) = groups.reach(v6);
        let packet = Outgoing {
            source,
            destination: to,
            protocol,
            ttl: how.ttl.unwrap_or(if to.is_multicast() { group_ttl } else { self.common.ttl(v6) }),
            tos: how.tos.unwrap_or(self.common.tos(v6)),
            header: &bytes,
            checksum_at: None,
            payload: Pieces::new(),
            segment_size: None,
            between: between.as_ref(),
        };
        if to.is_multicast() && looped && !hop.interface.is_loopback() && multicast::is_member(&hop.interface, &to) {
            output::copy_back(&hop.interface, packet.clone());
        }
        output::send(&hop, packet)
    }

    /// Puts the checksum of a message of IPv6 where it belongs (`IPV6_CHECKSUM`). `EINVAL` where
    /// there is no room.
    fn seal(&self, bytes: &mut [u8], source: &IpAddr, to: &IpAddr) -> SysResult<()> {
        let Ok(at) = usize::try_from(self.checksum_at.load(Ordering::Relaxed)) else { return Ok(()) };
        bytes.get_mut(at..at + 2).ok_or(Errno::EINVAL)?.fill(0);
        let mut sum = Sum::default();
        sum.add_pseudo_header(&octets(source).0, &octets(to).0, self.protocol, bytes.len());
        sum.add(bytes);
        let sum = match sum.finish() {
            [0, 0] => [0xff, 0xff],
            sum => sum,
        };
        bytes.get_mut(at..at + 2).ok_or(Errno::EINVAL)?.copy_from_slice(&sum);
        Ok(())
    }

    /// Puts identity and checksum into a ping. `EINVAL` for anything else.
    fn seal_ping(&self, bytes: &mut [u8]) -> SysResult<()> {
        let kind = ECHO[usize::from(self.is_v6())];
        let identity = self.identify().to_be_bytes();
        match bytes.first_chunk_mut::<PING_HEADER>() {
            Some([first, 0, sum @ .., i0, i1, _, _]) if *first == kind => {
                sum.fill(0);
                [*i0, *i1] = identity;
            }
            _ => return Err(Errno::EINVAL),
        }
        if !self.is_v6() {
            let sum = inet::checksum::of(bytes);
            if let Some(room) = bytes.get_mut(2..4) {
                room.copy_from_slice(&sum);
            }
        }
        Ok(())
    }
}

/// The loopback's address of the same family.
pub(super) fn localhost(like: &IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { core::net::Ipv6Addr::LOCALHOST.into() }
}

/// Sends a packet whose header the application wrote, except for what Linux fills in itself: length
/// and checksum, and what is 0 of source and identification.
fn send_whole(hop: &Hop, mut bytes: Vec<u8>, source: IpAddr) -> SysResult<()> {
    if bytes.len() > hop.longest() as usize {
        return Err(Errno::EMSGSIZE);
    }
    let len = bytes.len() as u16;
    let header = bytes.first_chunk_mut::<IPV4_HEADER>().ok_or(Errno::EINVAL)?;
    let header_len = usize::from(header[0] & 15) * 4;
    header[2..4].copy_from_slice(&len.to_be_bytes());
    if header[4..6] == [0, 0] {
        header[4..6].copy_from_slice(&output::identification().to_be_bytes());
    }
    if let (IpAddr::V4(source), [0, 0, 0, 0]) = (source, &header[12..16]) {
        header[12..16].copy_from_slice(&source.octets());
    }
    header[10..12].fill(0);
    let sum = inet::checksum::of(bytes.get(..header_len.max(IPV4_HEADER)).ok_or(Errno::EINVAL)?);
    if let Some(room) = bytes.get_mut(10..12) {
        room.copy_from_slice(&sum);
    }
    output::send_whole(hop, bytes);
    Ok(())
}

/// Sends a packet of IPv6 whose header the application wrote, as it stands.
fn send_whole_v6(hop: &Hop, bytes: Vec<u8>) -> SysResult<()> {
    if bytes.len() > hop.longest() as usize {
        return Err(Errno::EMSGSIZE);
    }
    if bytes.len() < IPV6_HEADER {
        return Err(Errno::EINVAL);
    }
    output::send_whole(hop, bytes);
    Ok(())
}
