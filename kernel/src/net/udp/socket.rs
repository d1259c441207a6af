//! Datagram sockets of the Internet families.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use inet::Bytes;
use inet::tcp::Pieces;
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::covers;
use super::lite::{self, Coverage};
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::files::socket::{Address, Ancillary, Received, Socket, deadline, int, wait};
use crate::files::{FileOps, OpenFile};
use crate::net::errors::{Report, Reports};
use crate::net::output::{self, Outgoing, UDP, UDPLITE};
use crate::net::ports::{self, Lease, Protocol};
use crate::net::send_how::SendHow;
use crate::net::socket::{Common, Family, flag};
use crate::net::{multicast, poll, route};
use crate::sync::SpinLock;
use crate::task::current;
use crate::usermem::UserAddr;

/// The longest payload of a datagram over IPv4 and IPv6.
const MAX_V4: usize = 65507;
const MAX_V6: usize = 65527;
/// Levels of the options that these sockets alone have, `SOL_UDP` and `SOL_UDPLITE`: either stands for both, as on Linux.
const OWN_LEVELS: [u32; 2] = [UDP as u32, UDPLITE as u32];
/// What a datagram counts for beyond its bytes.
const OVERHEAD: usize = 576;

/// A datagram that was received.
#[derive(Clone)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Which address of ours it was for.
    pub to: IpAddr,
    /// Where it came in.
    pub interface: u32,
    /// What was left of its time to live.
    pub ttl: u8,
    /// Its type of service.
    pub tos: u8,
    /// When it came, by the clock on the wall, in nanoseconds.
    pub stamp: u64,
    /// What it says.
    pub payload: Bytes,
}

#[derive(Default)]
struct Ends {
    lease: Option<Lease>,
    /// The address that connect(2) chose, where bind(2) did not.
    source: Option<IpAddr>,
    remote: Option<SocketAddr>,
}

/// A socket.
pub struct UdpSocket {
    me: Weak<UdpSocket>,
    /// Options.
    pub common: Common,
    /// Taken before the tables of the network.
    ends: SpinLock<Ends>,
    /// What was received. A leaf lock.
    queue: SpinLock<VecDeque<Datagram>>,
    /// Bytes in `queue` with their overhead.
    held: AtomicUsize,
    /// Datagrams that there was no room for.
    pub drops: AtomicU64,
    /// What the network says of datagrams that we sent.
    error: SpinLock<Option<Errno>>,
    /// That in full, for those who ask (`IP_RECVERR`).
    reports: Reports,
    closed: [AtomicBool; 2],
    readers: PollQueue,
    /// Bytes that `MSG_MORE` has gathered, and where they go.
    corked: SpinLock<Option<(Vec<u8>, Option<SocketAddr>)>>,
    /// The owner: user and inode.
    pub owner: u32,
    /// What makes it a socket of UDP-Lite.
    pub(super) coverage: Option<Coverage>,
}

impl UdpSocket {
    /// A socket of UDP, or of UDP-Lite, that is not bound.
    pub fn new(family: Family, lite: bool) -> Arc<UdpSocket> {
        Arc::new_cyclic(|me| UdpSocket {
            me: me.clone(),
            common: Common::new(family, false),
            ends: SpinLock::new(Ends::default()),
            queue: SpinLock::new(VecDeque::new()),
            held: AtomicUsize::new(0),
            drops: AtomicU64::new(0),
            error: SpinLock::new(None),
            reports: Reports::default(),
            closed: [AtomicBool::new(false), AtomicBool::new(false)],
            readers: poll_queue(),
            corked: SpinLock::new(None),
            owner: current().credentials().euid,
            coverage: lite.then(Coverage::default),
        })
    }

    fn protocol(&self) -> u8 {
        if self.coverage.is_some() { UDPLITE } else { UDP }
    }

    /// Both ends, for /proc/net/udp.
    pub fn ends(&self) -> (SocketAddr, Option<SocketAddr>) {
        let ends = self.ends.lock();
        (self.local_of(&ends), ends.remote)
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn local_of(&self, ends: &Ends) -> SocketAddr {
        let bound = ends.lease.as_ref().map_or(SocketAddr::new(self.common.family.any(), 0), |lease| lease.local);
        match ends.source {
            Some(source) if bound.ip().is_unspecified() => SocketAddr::new(source, bound.port()),
            _ => bound,
        }
    }

    /// How well the socket fits a datagram; 0 is not at all.
    pub(super) fn fit(&self, local: IpAddr, remote: SocketAddr) -> u32 {
        let ends = self.ends.lock();
        let Some(lease) = &ends.lease else { return 0 };
        let v6_only = self.common.family == Family::V6 && self.common.v6_only.load(Ordering::Relaxed);
        let fit = covers(&self.local_of(&ends).ip(), &local, v6_only);
        // A socket for any address takes what is for everybody; `local` is a group or a broadcast then.
        let fit = if fit == 0 && lease.local.ip() == local { 3 } else { fit };
        match ends.remote {
            Some(connected) if connected != remote => 0,
            Some(_) if fit > 0 => fit + 4,
            _ => fit,
        }
    }

    /// Takes a datagram if there is room.
    pub(super) fn deliver(&self, datagram: Datagram) {
        if self.closed[0].load(Ordering::Acquire) {
            return;
        }
        let size = datagram.payload.len() + OVERHEAD;
        let limit = self.common.buffers().0 as usize;
        if self.held.load(Ordering::Relaxed) >= limit {
            self.drops.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut queue = self.queue.lock();
        self.held.fetch_add(size, Ordering::Relaxed);
        queue.push_back(datagram);
        drop(queue);
        self.readers.wake(1, ev::READABLE | ev::RDBAND | ev::PRI);
    }

    /// A datagram did not arrive: only a connected socket, or one that asks, is told (udp(7)). `hard`: it is no use to try again.
    pub(super) fn fail(&self, report: Report, hard: bool) {
        let connected = self.ends.lock().remote == Some(report.to);
        let asks = self.common.has(flag::RECVERR | flag::RECVERR6);
        if !(asks || connected && hard) {
            return;
        }
        *self.error.lock() = Some(report.errno);
        if asks {
            self.reports.push(report);
        }
        self.readers.wake_all();
    }

    /// Takes a report (`MSG_ERRQUEUE`).
    fn receive_report(&self, to: &mut Sink<'_>) -> SysResult<Received> {
        let (report, next) = self.reports.pop().ok_or(Errno::EAGAIN)?;
        *self.error.lock() = next;
        let full = report.payload.len();
        let copied = if full == 0 || to.remaining() == 0 { 0 } else { to.put(&report.payload)? };
        let ancillary = Ancillary { control: alloc::vec![report.control()], ..Ancillary::default() };
        let address = Some(self.common.family.encode(&report.to));
        Ok(Received { copied, full, address, ancillary, flags: n::MSG_ERRQUEUE })
    }

    /// Sees to it that there is a port.
    fn ensure_port(&self, ends: &mut Ends) -> SysResult<u16> {
        if let Some(lease) = &ends.lease {
            return Ok(lease.local.port());
        }
        self.bind_to(ends, SocketAddr::new(self.common.family.any(), 0))
    }

    fn bind_to(&self, ends: &mut Ends, local: SocketAddr) -> SysResult<u16> {
        let protocol = if self.coverage.is_some() { Protocol::UdpLite } else { Protocol::Udp };
        let lease = ports::take(protocol, local, self.common.sharing()).map_err(|errno| match errno {
            Errno::EADDRINUSE if local.port() == 0 => Errno::EAGAIN,
            errno => errno,
        })?;
        let port = lease.local.port();
        ends.lease = Some(lease);
        if let Some(me) = self.me.upgrade() {
            super::add(&me, (self.protocol(), port));
        }
        Ok(port)
    }

    /// The address to send from and the way to `to`.
    fn way(&self, ends: &Ends, to: &SocketAddr) -> SysResult<(IpAddr, route::Hop)> {
        let hop = if to.ip().is_multicast() { self.common.groups.way(to)? } else { route::lookup(&to.ip())? };
        let bound =
            ends.lease.as_ref().map(|lease| lease.local.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_multicast());
        let source = match bound.or(ends.source) {
            Some(ip) => ip,
            None if hop.interface.is_loopback() && to.ip().is_multicast() => loopback_like(to),
            None if hop.interface.is_loopback() => to.ip(),
            None => hop.interface.source_for(&to.ip()).ok_or(Errno::ENETUNREACH)?,
        };
        if source.is_ipv4() != to.is_ipv4() {
            return Err(if to.is_ipv4() { Errno::ENETUNREACH } else { Errno::EAFNOSUPPORT });
        }
        Ok((source, hop))
    }

    fn send_to(&self, payload: Vec<u8>, to: Option<SocketAddr>, how: &SendHow) -> SysResult<()> {
        let mut ends = self.ends.lock();
        let mut to = to.or(ends.remote).ok_or(Errno::EDESTADDRREQ)?;
        if to.port() == 0 {
            return Err(Errno::EINVAL);
        }
        if to.ip().is_unspecified() {
            to.set_ip(loopback_like(&to));
        }
        let port = self.ensure_port(&mut ends)?;
        let (mut source, mut hop) = self.way(&ends, &to)?;
        drop(ends);
        how.apply(&mut source, &mut hop)?;
        if payload.len() > if to.is_ipv4() { MAX_V4 } else { MAX_V6 } {
            return Err(Errno::EMSGSIZE);
        }
        let broadcast = matches!(to.ip(), IpAddr::V4(v4) if hop.interface.is_broadcast(&v4));
        if broadcast && !self.common.broadcast.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
        let mut header = [0; super::HEADER];
        header[..2].copy_from_slice(&port.to_be_bytes());
        header[2..4].copy_from_slice(&to.port().to_be_bytes());
        header[4..6].copy_from_slice(&((super::HEADER + payload.len()) as u16).to_be_bytes());
        let mut pieces = Pieces::new();
        pieces.push(payload.into());
        let whole = output::header_len(&source) + super::HEADER + pieces.bytes();
        if whole > hop.interface.mtu() as usize && self.common.refuses_fragments(to.is_ipv6()) {
            return Err(Errno::EMSGSIZE);
        }
        let checksum_at = match &self.coverage {
            None => Some(6),
            Some(coverage) => {
                coverage.seal(&mut header, (&source, &to.ip()), &pieces);
                None
            }
        };
        let group = to.ip().is_multicast();
        let (group_ttl, looped) = self.common.groups.reach(to.is_ipv6());
        let packet = Outgoing {
            source,
            destination: to.ip(),
            protocol: self.protocol(),
            ttl: how.ttl.unwrap_or(if group { group_ttl } else { self.common.ttl() }),
            tos: how.tos.unwrap_or(self.common.tos.load(Ordering::Relaxed)),
            header: &header,
            checksum_at,
            payload: pieces,
            segment_size: None,
        };
        if group && looped && !hop.interface.is_loopback() && multicast::is_member(&hop.interface, &to.ip()) {
            output::copy_back(&hop.interface, packet.clone());
        }
        // A time to live of 0 does not leave the machine.
        if group && packet.ttl == 0 && !hop.interface.is_loopback() {
            return Ok(());
        }
        output::send(&hop, packet)
    }

    /// See [`Common::takes_group`].
    pub fn takes_group(&self, interface: u32, group: &IpAddr) -> bool {
        self.common.takes_group(interface, group)
    }

    fn take_error(&self) -> SysResult<()> {
        self.error.lock().take().map_or(Ok(()), Err)
    }
}

fn loopback_like(address: &SocketAddr) -> IpAddr {
    match address {
        SocketAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::LOCALHOST),
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let lease = self.ends.lock().lease.take();
        if let Some(lease) = lease {
            super::remove(self, (self.protocol(), lease.local.port()));
        }
    }
}

impl FileOps for UdpSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.receive_message(to, file.message_flags()).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let flags = file.message_flags();
        self.send_message(from, None, Ancillary::default(), flags)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        let mut events = ev::WRITABLE | ev::WRBAND;
        let [read, write] = [0, 1].map(|n| self.closed[n].load(Ordering::Acquire));
        if !self.queue.lock().is_empty() || read {
            events |= ev::READABLE;
        }
        if read {
            events |= ev::RDHUP;
        }
        if read && write {
            events |= ev::HUP;
        }
        if self.error.lock().is_some() || !self.reports.is_empty() {
            events |= ev::ERR;
        }
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let bytes = match request {
            FIONREAD => self.queue.lock().front().map_or(0, |datagram| datagram.payload.len()),
            TIOCOUTQ => 0,
            _ => return crate::net::ioctl::interface(request, arg),
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}

impl Socket for UdpSocket {
    fn family(&self) -> u32 {
        self.common.family.number()
    }

    fn kind(&self) -> u32 {
        n::SOCK_DGRAM
    }

    fn protocol(&self) -> u32 {
        UdpSocket::protocol(self).into()
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let local = self.common.local(self.common.family.decode(address)?)?;
        if !self.common.may_bind(&local.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        ports::may_take(local.port())?;
        let mut ends = self.ends.lock();
        if ends.lease.is_some() {
            return Err(Errno::EINVAL);
        }
        self.bind_to(&mut ends, local).map_err(|errno| if errno == Errno::EAGAIN { Errno::EADDRINUSE } else { errno })?;
        Ok(())
    }

    fn connect(&self, address: &[u8], _nonblock: bool) -> SysResult<()> {
        let mut ends = self.ends.lock();
        if address.first_chunk().is_some_and(|f| u32::from(u16::from_ne_bytes(*f)) == n::AF_UNSPEC) {
            (ends.remote, ends.source) = (None, None);
            return Ok(());
        }
        let mut to = self.common.family.decode(address)?;
        if to.ip().is_unspecified() {
            to.set_ip(loopback_like(&to));
        }
        ends.source = None;
        let (source, hop) = self.way(&ends, &to)?;
        if matches!(to.ip(), IpAddr::V4(v4) if hop.interface.is_broadcast(&v4))
            && !self.common.broadcast.load(Ordering::Relaxed)
        {
            return Err(Errno::EACCES);
        }
        self.ensure_port(&mut ends)?;
        (ends.remote, ends.source) = (Some(to), Some(source));
        Ok(())
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(self.common.family.encode(&self.local_of(&self.ends.lock())))
    }

    fn peer_address(&self) -> SysResult<Address> {
        let remote = self.ends.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(self.common.family.encode(&remote))
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        let connected = self.ends.lock().remote.is_some();
        if read {
            self.closed[0].store(true, Ordering::Release);
        }
        if write {
            self.closed[1].store(true, Ordering::Release);
        }
        self.readers.wake_all();
        // As on Linux, it has its effect all the same.
        if connected { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, ancillary: Ancillary, flags: u32) -> SysResult<usize> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let to = to.map(|address| self.common.family.decode(address)).transpose()?;
        if to.is_none() && self.ends.lock().remote.is_none() {
            return Err(Errno::EDESTADDRREQ);
        }
        let how = SendHow::read(&ancillary.control)?;
        if self.closed[1].load(Ordering::Acquire) {
            return Err(Errno::EPIPE);
        }
        let len = from.remaining();
        if len > MAX_V6 {
            return Err(Errno::EMSGSIZE);
        }
        self.take_error()?;
        let bytes = from.take_all(MAX_V6)?;
        let mut corked = self.corked.lock();
        let (mut payload, corked_to) = corked.take().unwrap_or_default();
        payload.extend_from_slice(&bytes);
        let to = corked_to.or(to);
        if flags & n::MSG_MORE != 0 {
            *corked = Some((payload, to));
            return Ok(len);
        }
        drop(corked);
        let result = self.send_to(payload, to, &how);
        poll::sent();
        result.map(|()| len)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & n::MSG_ERRQUEUE != 0 {
            return self.receive_report(to);
        }
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let [peek, nonblock] = [n::MSG_PEEK, n::MSG_DONTWAIT].map(|flag| flags & flag != 0);
        let until = deadline(&self.common.receive_timeout);
        let next = || {
            if let Some(error) = self.error.lock().take() {
                return Some(Err(error));
            }
            let mut queue = self.queue.lock();
            let datagram = if peek { queue.front().cloned() } else { queue.pop_front() };
            if let Some(datagram) = datagram {
                if !peek {
                    self.held.fetch_sub(datagram.payload.len() + OVERHEAD, Ordering::Relaxed);
                }
                return Some(Ok(Some(datagram)));
            }
            // The end of what may be read is told to those alone who would wait, as on Linux.
            (!nonblock && self.closed[0].load(Ordering::Acquire)).then_some(Ok(None))
        };
        let Some(datagram) = wait(&self.readers, nonblock, until, next)?? else {
            return Ok(Received::default());
        };
        let full = datagram.payload.len();
        let copied = if full == 0 || to.remaining() == 0 { 0 } else { to.put(&datagram.payload)? };
        let control = datagram.control(&self.common);
        Ok(Received {
            copied,
            full,
            address: Some(self.common.family.encode(&datagram.from)),
            ancillary: Ancillary { control, ..Ancillary::default() },
            flags: 0,
        })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        if OWN_LEVELS.contains(&level) {
            let number = int(value)?;
            return self.coverage.as_ref().and_then(|own| own.set(option, number)).ok_or(Errno::ENOPROTOOPT);
        }
        self.common.set(level, option, value)
    }

    fn get_option(&self, level: u32, option: u32, _room: usize) -> SysResult<Vec<u8>> {
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR) => self.error.lock().take().map_or(0, |error| i32::from(error.0)),
            (n::SOL_SOCKET, n::SO_ACCEPTCONN) => 0,
            (n::SOL_IP, n::IP_MTU) => {
                let ends = self.ends.lock();
                let remote = ends.remote.ok_or(Errno::ENOTCONN)?;
                route::lookup(&remote.ip())?.interface.mtu() as i32
            }
            // As on Linux, UDP answers that it has none.
            (level, lite::SEND | lite::RECEIVE) if OWN_LEVELS.contains(&level) => {
                self.coverage.as_ref().and_then(|own| own.get(option)).unwrap_or(0)
            }
            (level, _) if OWN_LEVELS.contains(&level) => return Err(Errno::ENOPROTOOPT),
            _ => return self.common.get(level, option),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
