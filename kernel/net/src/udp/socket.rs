//! Datagram sockets of the Internet families: what they hold, and what comes in.
//! [`super::transmit`] sends, [`super::receive`] reads, and [`super::file`] is what the application
//! sees.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};

use base::addr::PAGE_SIZE;
use fd::poll::{PollQueue, ev, poll_queue};
use inet::Bytes;
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::covers;
use super::lite::Coverage;
use crate::counts::{self, Count};
use crate::errors::{Report, Reports};
use crate::extension::Carried;
use crate::output::{UDP, UDPLITE};
use crate::ports::{self, Lease, Protocol};
use crate::socket::{Common, Family};
use crate::sockopt::flag;
use crate::zerocopy::ZeroCopies;
use crate::{charge, route};

/// A datagram that was received.
#[derive(Clone)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Which address of ours it was for, and which port.
    pub to: SocketAddr,
    /// Where it came in.
    pub interface: u32,
    /// What was left of its time to live.
    pub ttl: u8,
    /// Its type of service.
    pub tos: u8,
    /// When it came, by the clock on the wall, in nanoseconds.
    pub stamp: u64,
    /// Datagrams that the socket had dropped by then.
    pub drops: u64,
    /// Where it is several that came together: the size of all but the last. 0 for one alone.
    pub segment: u16,
    /// Its options, or extension headers.
    pub carried: Carried,
    /// What it says.
    pub payload: Bytes,
}

/// What the socket is bound and connected to.
#[derive(Default)]
pub(super) struct Ends {
    pub lease: Option<Lease>,
    /// The address that connect(2) chose, where bind(2) did not.
    pub source: Option<IpAddr>,
    pub remote: Option<SocketAddr>,
    /// bind(2) named the port.
    pub port_named: bool,
    /// bind(2) named an address of everybody's, from which nothing can be sent.
    pub for_all: bool,
    /// The address that bind(2) named, while there is no port.
    pub address: Option<IpAddr>,
}

/// What a cork holds back: the bytes, and where they go.
pub(super) type Corked = Option<(Vec<u8>, Option<SocketAddr>)>;

/// Bytes in the queues of all sockets with their overhead. It may pass the limit by what is queued
/// at the same moment.
static ALL_HELD: AtomicUsize = AtomicUsize::new(0);

/// How many bytes all queues together may hold: `udp_mem`'s three numbers, of which the last counts
/// (`udp_init`: an eighth of memory, three quarters of it, and twice that).
pub fn most_held() -> [usize; 3] {
    let eighth = caller::total_pages() * PAGE_SIZE / 8;
    [eighth / 4 * 3, eighth, eighth / 4 * 6]
}

/// A socket.
pub struct UdpSocket {
    me: Weak<UdpSocket>,
    /// Options.
    pub common: Common,
    /// Taken before the tables of the network.
    pub(super) ends: SpinLock<Ends>,
    /// What was received. A leaf lock.
    pub(super) queue: SpinLock<VecDeque<Datagram>>,
    /// Bytes in `queue` with their overhead.
    pub(super) held: AtomicUsize,
    /// Datagrams that there was no room for.
    pub drops: AtomicU64,
    /// What the network says of datagrams that we sent.
    pub(super) error: SpinLock<Option<Errno>>,
    /// That in full, for those who ask (`IP_RECVERR`).
    pub(super) reports: Reports,
    /// shutdown(2) of reading and of writing.
    pub(super) closed: [AtomicBool; 2],
    pub(super) readers: PollQueue,
    /// Bytes that `MSG_MORE` or `UDP_CORK` has gathered.
    pub(super) corked: SpinLock<Corked>,
    /// `UDP_CORK`.
    pub(super) cork: AtomicBool,
    /// `UDP_SEGMENT`; 0 while it is off.
    pub(super) segment: AtomicU16,
    /// When the last datagram that was read had come (`SIOCGSTAMP`); 0 for none.
    pub(super) last_stamp: AtomicU64,
    /// What has become of writes with `MSG_ZEROCOPY`.
    pub(super) zero_copies: ZeroCopies,
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
            cork: AtomicBool::new(false),
            segment: AtomicU16::new(0),
            last_stamp: AtomicU64::new(0),
            zero_copies: ZeroCopies::default(),
            owner: caller::credentials().euid,
            coverage: lite.then(Coverage::default),
        })
    }

    pub(super) fn protocol(&self) -> u8 {
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

    pub(super) fn local_of(&self, ends: &Ends) -> SocketAddr {
        let none = || SocketAddr::new(ends.address.unwrap_or(self.common.family().any()), 0);
        let bound = ends.lease.as_ref().map_or_else(none, |lease| lease.local);
        match ends.source {
            Some(source) if bound.ip().is_unspecified() => SocketAddr::new(source, bound.port()),
            _ => bound,
        }
    }

    /// How well the socket fits a datagram that came in through `interface`; 0 is not at all.
    pub(super) fn fit(&self, local: IpAddr, remote: SocketAddr, interface: u32) -> u32 {
        let ends = self.ends.lock();
        let Some(lease) = &ends.lease else { return 0 };
        if !self.common.takes_from(interface) {
            return 0;
        }
        let v6_only = self.common.family() == Family::V6 && self.common.v6_only.load(Ordering::Relaxed);
        let fit = covers(&self.local_of(&ends).ip(), &local, v6_only);
        // A socket for any address takes what is for everybody; `local` is a group or a broadcast
        // then.
        let fit = if fit == 0 && lease.local.ip() == local { 3 } else { fit };
        let own_device = if self.common.device.load(Ordering::Relaxed) == 0 { 0 } else { 8 };
        match ends.remote {
            Some(connected) if connected != remote => 0,
            Some(_) if fit > 0 => fit + 4 + own_device,
            _ if fit > 0 => fit + own_device,
            _ => 0,
        }
    }

    /// Takes a datagram if there is room. What came together stays so where the socket asks for
    /// that (`UDP_GRO`).
    pub(super) fn deliver(&self, mut datagram: Datagram) {
        if datagram.segment == 0 || self.common.has(flag::GRO) {
            return self.queue_up(datagram);
        }
        let size = usize::from(core::mem::take(&mut datagram.segment));
        let whole = core::mem::take(&mut datagram.payload);
        for at in (0..whole.len()).step_by(size) {
            self.queue_up(Datagram { payload: whole.slice(at, size), ..datagram.clone() });
        }
    }

    /// A datagram of `size` bytes with its overhead left the queue.
    pub(super) fn release(&self, size: usize) {
        self.held.fetch_sub(size, Ordering::Relaxed);
        ALL_HELD.fetch_sub(size, Ordering::Relaxed);
    }

    fn drop_one(&self, datagram: &Datagram) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        counts::of_family(Count::UdpFull, datagram.from.is_ipv6());
    }

    fn queue_up(&self, mut datagram: Datagram) {
        let size = charge(datagram.payload.len());
        let limit = self.common.buffers().0 as usize;
        let held = self.held.load(Ordering::Relaxed);
        // One of any size fits where there is none.
        if held > 0 && held + size > limit || ALL_HELD.load(Ordering::Relaxed) + size > most_held()[2] {
            self.drop_one(&datagram);
            return;
        }
        datagram.drops = self.drops.load(Ordering::Relaxed);
        let mut queue = self.queue.lock();
        if queue.try_reserve(1).is_err() {
            self.drop_one(&datagram);
            return;
        }
        self.held.fetch_add(size, Ordering::Relaxed);
        ALL_HELD.fetch_add(size, Ordering::Relaxed);
        queue.push_back(datagram);
        drop(queue);
        self.readers.wake(1, ev::READABLE | ev::RDBAND | ev::PRI);
    }

    /// A datagram did not arrive: only a connected socket, or one that asks, is told (udp(7)).
    /// `hard`: it is no use to try again.
    pub(super) fn fail(&self, report: Report, hard: bool) {
        let connected = self.ends.lock().remote == Some(report.to);
        let asks = self.common.has(if report.to.is_ipv6() { flag::RECVERR6 } else { flag::RECVERR });
        if !(asks || connected && hard) {
            return;
        }
        *self.error.lock() = Some(report.errno);
        if asks {
            self.reports.push(report);
        }
        self.readers.wake_all();
    }

    /// Sees to it that there is a port.
    pub(super) fn ensure_port(&self, ends: &mut Ends) -> SysResult<u16> {
        if let Some(lease) = &ends.lease {
            return Ok(lease.local.port());
        }
        let address = ends.address.unwrap_or(self.common.family().any());
        self.bind_to(ends, SocketAddr::new(address, 0))
    }

    pub(super) fn bind_to(&self, ends: &mut Ends, local: SocketAddr) -> SysResult<u16> {
        let protocol = if self.coverage.is_some() { Protocol::UdpLite } else { Protocol::Udp };
        let range = self.common.number(n::SOL_IP, n::IP_LOCAL_PORT_RANGE) as u32;
        let lease = ports::take(protocol, local, self.common.sharing(), range).map_err(|errno| match errno {
            Errno::EADDRINUSE if local.port() == 0 => Errno::EAGAIN,
            errno => errno,
        })?;
        let port = lease.local.port();
        (ends.lease, ends.address) = (Some(lease), None);
        if let Some(me) = self.me.upgrade() {
            super::add(&me, (self.protocol(), port));
        }
        Ok(port)
    }

    /// Ends the connection; what bind(2) did not name is given up (connect(2), `AF_UNSPEC`).
    pub(super) fn disconnect(&self) -> SysResult<()> {
        let mut ends = self.ends.lock();
        let connected = ends.remote.is_some();
        (ends.remote, ends.source) = (None, None);
        if !connected {
            return Ok(());
        }
        if let Some(lease) = &ends.lease {
            lease.stand_for(lease.local.ip());
        }
        self.common.device.store(0, Ordering::Relaxed);
        if !ends.port_named
            && let Some(lease) = ends.lease.take()
        {
            super::remove(self, (self.protocol(), lease.local.port()));
            let address = lease.local.ip();
            drop(lease);
            // An address that bind(2) named stays, with port 0; a port comes back when there is
            // need for one.
            ends.address = Some(address).filter(|address| !address.is_unspecified());
        }
        Ok(())
    }

    /// The address to send from and the way to `to`.
    pub(super) fn way(&self, ends: &Ends, to: &SocketAddr) -> SysResult<(IpAddr, route::Hop)> {
        let ours = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast() && !ends.for_all;
        let bound = Some(self.local_of(ends).ip()).filter(ours);
        let hop = self.common.way(to, bound)?;
        let group = to.ip().is_multicast();
        let bound = bound.or_else(|| self.common.groups.source(to.is_ipv6()).filter(|_| group));
        let source = match bound {
            Some(ip) => ip,
            None if hop.interface.is_loopback() && to.ip().is_multicast() => loopback_like(to),
            None if hop.interface.is_loopback() => to.ip(),
            None => hop.source_for(&to.ip()).ok_or(Errno::ENETUNREACH)?,
        };
        if source.is_ipv4() != to.is_ipv4() {
            return Err(if to.is_ipv4() { Errno::ENETUNREACH } else { Errno::EAFNOSUPPORT });
        }
        Ok((source, hop))
    }

    pub(super) fn take_error(&self) -> SysResult<()> {
        self.error.lock().take().map_or(Ok(()), Err)
    }
}

/// The loopback's address of the same family.
pub(super) fn loopback_like(address: &SocketAddr) -> IpAddr {
    match address {
        SocketAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::LOCALHOST),
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        ALL_HELD.fetch_sub(self.held.load(Ordering::Relaxed), Ordering::Relaxed);
        let lease = self.ends.lock().lease.take();
        if let Some(lease) = lease {
            super::remove(self, (self.protocol(), lease.local.port()));
        }
    }
}
