//! Sending datagrams: where they go, corks, and several at once.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::Ordering;

use fd::io::Source;
use fd::socket::Ancillary;
use inet::Bytes;
use inet::tcp::Pieces;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::HEADER;
use super::socket::{UdpSocket, loopback_like};
use crate::errors::Report;
use crate::extension::Between;
use crate::output::{self, Outgoing};
use crate::route::Hop;
use crate::send_how::SendHow;
use crate::socket::Family;
use crate::sockopt::flag;
use crate::zerocopy::MSG_ZEROCOPY;
use crate::{multicast, poll};

/// The longest payload of a datagram over IPv4 and IPv6.
const MAX_V4: usize = 65507;
const MAX_V6: usize = 65527;
/// Datagrams that one call may cut its bytes into (`UDP_MAX_SEGMENTS`).
const MAX_SEGMENTS: usize = 128;

impl UdpSocket {
    /// Reads the address that something is to be sent to: sockets of IPv6 take those of IPv4 too,
    /// as on Linux.
    pub(super) fn destination(&self, address: &[u8]) -> SysResult<SocketAddr> {
        let family = self.common.family();
        let v4 = address.first_chunk().is_some_and(|f| u32::from(u16::from_ne_bytes(*f)) == n::AF_INET);
        let to = if family == Family::V6 && v4 { Family::V4.decode(address)? } else { family.decode(address)? };
        if to.is_ipv4() && family == Family::V6 && self.common.v6_only.load(Ordering::Relaxed) {
            return Err(Errno::ENETUNREACH);
        }
        Ok(to)
    }

    /// send(2) and its kin.
    pub(super) fn send(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: &Ancillary, flags: u32) -> SysResult<usize> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let len = from.remaining();
        if len > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE);
        }
        // No address at all is as good as one of no family, as on Linux.
        let unnamed = |address: &&[u8]| {
            let family = address.first_chunk().map(|f| u32::from(u16::from_ne_bytes(*f)));
            self.common.family() == Family::V6 && family == Some(n::AF_UNSPEC)
        };
        let to = to.filter(|address| !unnamed(address)).map(|address| self.destination(address)).transpose()?;
        if to.is_some_and(|to| to.port() == 0) {
            return Err(Errno::EINVAL);
        }
        let remote = self.ends.lock().remote;
        let towards = to.or(remote).ok_or(Errno::EDESTADDRREQ)?;
        let how = SendHow::read(&with.control, towards.is_ipv6(), &self.common)?;
        if self.closed[1].load(Ordering::Acquire) {
            return Err(Errno::EPIPE);
        }
        self.take_error()?;
        let bytes = from.take_all(usize::from(u16::MAX))?;
        let more = flags & n::MSG_MORE != 0 || self.cork.load(Ordering::Relaxed);
        let mut corked = self.corked.lock();
        let result = if corked.is_none() && !more {
            drop(corked);
            self.send_to(bytes, towards, &how)
        } else {
            let (mut payload, corked_to) = corked.take().unwrap_or((Vec::new(), Some(towards)));
            if payload.len() + len > longest(&towards) || payload.try_reserve(len).is_err() {
                *corked = Some((payload, corked_to));
                return Err(Errno::EMSGSIZE);
            }
            payload.extend_from_slice(&bytes);
            if more {
                *corked = Some((payload, corked_to));
                return Ok(len);
            }
            drop(corked);
            self.send_to(payload, corked_to.unwrap_or(towards), &how)
        };
        if flags & MSG_ZEROCOPY != 0 && len > 0 && self.common.has(flag::ZEROCOPY) {
            self.zero_copies.done();
        }
        poll::sent();
        result.map(|()| len)
    }

    /// Sends what a cork holds back (`UDP_CORK` is taken off).
    pub(super) fn uncork(&self) -> SysResult<()> {
        let held = self.corked.lock().take();
        let Some((payload, Some(to))) = held else { return Ok(()) };
        let result = self.send_to(payload, to, &SendHow::default());
        poll::sent();
        result
    }

    fn send_to(&self, payload: Vec<u8>, to: SocketAddr, how: &SendHow) -> SysResult<()> {
        let mut ends = self.ends.lock();
        let mut to = to;
        if to.ip().is_unspecified() {
            to.set_ip(loopback_like(&to));
        }
        let port = self.ensure_port(&mut ends)?;
        let asked = how.asked(&self.common, to.is_ipv6());
        let target = asked.as_ref().map_or(to.ip(), |asked| asked.first_hop(to.ip()));
        let (mut source, mut hop) = self.way(&ends, &SocketAddr::new(target, to.port()))?;
        drop(ends);
        how.apply(&mut source, &mut hop)?;
        let between = match &asked {
            Some(asked) => {
                asked.accepts(&hop)?;
                Some(asked.build(self.protocol(), source, to.ip())?)
            }
            None => None,
        };
        let extra = between.as_ref().map_or(0, |between| between.bytes.len());
        let broadcast = matches!(target, IpAddr::V4(v4) if hop.interface.is_broadcast(&v4));
        if broadcast && !self.common.broadcast.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
        if payload.len() + extra > longest(&to) {
            return self.too_long(to, hop.longest());
        }
        let whole = output::header_len(&source) + extra + HEADER;
        let mtu = hop.longest();
        let segment = usize::from(how.segment.unwrap_or(self.segment.load(Ordering::Relaxed)));
        if segment == 0 || payload.len() <= segment {
            if whole + payload.len() > mtu as usize && self.common.refuses_fragments(to.is_ipv6()) {
                return self.too_long(to, mtu);
            }
            let way = Way { source: SocketAddr::new(source, port), to, target, hop, between };
            return self.emit(&way, how, payload.into(), 0);
        }
        if whole + segment > mtu as usize {
            return Err(Errno::EMSGSIZE);
        }
        if payload.len() > segment * MAX_SEGMENTS || self.common.has(flag::NO_CHECK) {
            return Err(Errno::EINVAL);
        }
        let payload = Bytes::from(payload);
        let way = Way { source: SocketAddr::new(source, port), to, target, hop, between };
        // To ourselves they go together, lest they be put together again.
        if way.hop.interface.is_loopback() {
            return self.emit(&way, how, payload, segment as u16);
        }
        (0..payload.len()).step_by(segment).try_for_each(|at| self.emit(&way, how, payload.slice(at, segment), 0))
    }

    /// A datagram is too long for the way there, of which those who ask are told more
    /// (`IP_RECVERR`).
    fn too_long(&self, to: SocketAddr, mtu: u32) -> SysResult<()> {
        if self.common.has(if to.is_ipv6() { flag::RECVERR6 } else { flag::RECVERR }) {
            self.reports.push(Report::local(Errno::EMSGSIZE, mtu, to));
            self.readers.wake_all();
        }
        Err(Errno::EMSGSIZE)
    }

    /// Sends one datagram, or to ourselves several of `segment` bytes.
    fn emit(&self, way: &Way, how: &SendHow, payload: Bytes, segment: u16) -> SysResult<()> {
        let Way { to, target, hop, .. } = way;
        let (source, port, v6) = (way.source.ip(), way.source.port(), to.is_ipv6());
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&port.to_be_bytes());
        header[2..4].copy_from_slice(&to.port().to_be_bytes());
        header[4..6].copy_from_slice(&((HEADER + payload.len()) as u16).to_be_bytes());
        let pieces = Pieces::from(payload);
        let unsummed = if v6 { flag::NO_CHECK6_TX } else { flag::NO_CHECK };
        let checksum_at = match &self.coverage {
            None => (!self.common.has(unsummed)).then_some(6),
            Some(coverage) => {
                coverage.seal(&mut header, (&source, target), &pieces);
                None
            }
        };
        let group = to.ip().is_multicast();
        let (group_ttl, looped) = self.common.groups.reach(v6);
        let packet = Outgoing {
            source,
            destination: *target,
            protocol: self.protocol(),
            ttl: how.ttl.unwrap_or(if group { group_ttl } else { self.common.ttl(v6) }),
            tos: how.tos.unwrap_or(self.common.tos(v6)),
            header: &header,
            checksum_at,
            payload: pieces,
            segment_size: (segment > 0).then_some(segment),
            between: way.between.as_ref(),
        };
        if group && looped && !hop.interface.is_loopback() && multicast::is_member(&hop.interface, &to.ip()) {
            output::copy_back(&hop.interface, packet.clone());
        }
        // What is for everybody is for us too.
        let everybody = matches!(to.ip(), IpAddr::V4(v4) if !hop.interface.is_loopback() && hop.interface.is_broadcast(&v4));
        if everybody {
            output::copy_back(&hop.interface, packet.clone());
        }
        // A time to live of 0 does not leave the machine.
        if group && packet.ttl == 0 && !hop.interface.is_loopback() {
            return Ok(());
        }
        output::send(hop, packet)
    }
}

/// How datagrams leave.
struct Way {
    source: SocketAddr,
    /// Where they go in the end, and first: that differs with a source route.
    to: SocketAddr,
    target: IpAddr,
    hop: Hop,
    between: Option<Between>,
}

fn longest(to: &SocketAddr) -> usize {
    if to.is_ipv4() { MAX_V4 } else { MAX_V6 }
}
