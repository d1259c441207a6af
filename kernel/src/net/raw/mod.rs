//! Raw sockets, which see and send whole messages of a protocol (raw(7)), and sockets for pings alone (icmp(7)).

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use inet::tcp::Pieces;
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::input::Incoming;
use super::output::{self, ICMP, ICMPV6, Outgoing};
use super::route;
use super::socket::{Common, Family};
use super::{interface, poll};
use crate::arch::rng;
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::files::socket::{Address, Ancillary, Received, Socket, deadline, int, wait};
use crate::files::{FileOps, OpenFile};
use crate::sync::SpinLock;
use crate::usermem::UserAddr;

/// `ICMP_FILTER` of level `SOL_RAW`, and `ICMPV6_FILTER` of level `SOL_ICMPV6`: types that are not wanted, a bit for each.
const FILTER: u32 = 1;
const SOL_ICMPV6: u32 = 58;
const ECHO: [u8; 2] = [8, 128];
const ECHO_REPLY: [u8; 2] = [0, 129];
/// Bytes of a ping before its data.
const PING_HEADER: usize = 8;
const LONGEST: usize = 65535;
/// What a packet counts for beyond its bytes.
const OVERHEAD: usize = 576;
const IPV4_HEADER: usize = 20;

struct Packet {
    from: IpAddr,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Ends {
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
}

/// A socket.
pub struct RawSocket {
    common: Common,
    protocol: u8,
    ping: bool,
    /// What tells our pings from others': the port of a ping socket. 0 until it has one.
    identity: AtomicU16,
    ends: SpinLock<Ends>,
    /// What was received. A leaf lock.
    queue: SpinLock<VecDeque<Packet>>,
    held: AtomicUsize,
    filter: SpinLock<[u32; 8]>,
    /// `IP_HDRINCL`.
    header_included: AtomicBool,
    readers: PollQueue,
}

/// All there are. Taken before a socket's locks.
static TABLE: SpinLock<Vec<Weak<RawSocket>>> = SpinLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether there is any: most machines have none.
pub fn wanted() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// A packet has come: everybody who wants it has a copy. `header` is its IPv4 header.
pub fn deliver(incoming: &Incoming<'_>, protocol: u8, header: &[u8]) {
    let sockets: Vec<Arc<RawSocket>> = TABLE.lock().iter().filter_map(Weak::upgrade).collect();
    for socket in sockets {
        if u32::from(protocol) == u32::from(socket.protocol) && socket.wants(incoming) {
            socket.take(incoming, if socket.ping { &[] } else { header });
        }
    }
}

impl RawSocket {
    fn new(family: Family, protocol: u8, ping: bool) -> Arc<RawSocket> {
        let socket = Arc::new(RawSocket {
            common: Common::new(family, false),
            protocol,
            ping,
            identity: AtomicU16::new(0),
            ends: SpinLock::new(Ends::default()),
            queue: SpinLock::new(VecDeque::new()),
            held: AtomicUsize::new(0),
            filter: SpinLock::new([0; 8]),
            header_included: AtomicBool::new(u32::from(protocol) == n::IPPROTO_RAW as u32),
            readers: poll_queue(),
        });
        TABLE.lock().push(Arc::downgrade(&socket));
        COUNT.fetch_add(1, Ordering::Relaxed);
        socket
    }

    /// A socket for all of a protocol. The caller may have one.
    pub fn raw(family: Family, protocol: u8) -> Arc<RawSocket> {
        Self::new(family, protocol, false)
    }

    /// A socket for pings.
    pub fn ping(family: Family) -> Arc<RawSocket> {
        Self::new(family, family.icmp() as u8, true)
    }

    fn wants(&self, incoming: &Incoming<'_>) -> bool {
        let v6 = self.common.family == Family::V6;
        let ends = self.ends.lock();
        let fits = |end: Option<IpAddr>, address: IpAddr| end.is_none_or(|end| end == address);
        if incoming.source.is_ipv6() != v6 || !fits(ends.local, incoming.destination) || !fits(ends.remote, incoming.source)
        {
            return false;
        }
        drop(ends);
        let Some([kind, _, _, _, i0, i1]) = incoming.head.first_chunk::<6>().copied() else { return !self.ping };
        if self.ping {
            return kind == ECHO_REPLY[usize::from(v6)]
                && self.identity.load(Ordering::Relaxed) == u16::from_be_bytes([i0, i1]);
        }
        let is_icmp = u32::from(self.protocol) == self.common.family.icmp();
        let filter = self.filter.lock();
        let bit = filter.get(usize::from(kind) / 32).is_some_and(|word| word & 1 << (kind % 32) != 0);
        // IPv4's filter knows the first 32 types only.
        !(is_icmp && bit)
    }

    fn take(&self, incoming: &Incoming<'_>, header: &[u8]) {
        let bytes = [header, &incoming.head, &incoming.tail].concat();
        if self.held.load(Ordering::Relaxed) >= self.common.buffers().0 as usize {
            return;
        }
        self.held.fetch_add(bytes.len() + OVERHEAD, Ordering::Relaxed);
        self.queue.lock().push_back(Packet { from: incoming.source, bytes });
        self.readers.wake(1, ev::READABLE);
    }

    /// An address without a port, except that a ping socket's port is its identity.
    fn encode(&self, ip: IpAddr, own: bool) -> Address {
        let port = if self.ping && own { self.identity.load(Ordering::Relaxed) } else { 0 };
        // A raw socket of IPv4 tells its protocol as its port, for what it is itself.
        let port = if own && !self.ping && self.common.family == Family::V4 { self.protocol.into() } else { port };
        self.common.family.encode(&SocketAddr::new(ip, port))
    }

    fn identify(&self) -> u16 {
        let mut new = rng::next_u64() as u16 | 1;
        while self.identity.load(Ordering::Relaxed) == 0 && taken(new) {
            new = new.wrapping_add(1).max(1);
        }
        let _ = self.identity.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        self.identity.load(Ordering::Relaxed)
    }

    fn send(&self, mut bytes: Vec<u8>, to: Option<SocketAddr>) -> SysResult<()> {
        let ends = self.ends.lock();
        let mut to = to.map(|to| to.ip()).or(ends.remote).ok_or(Errno::EDESTADDRREQ)?;
        let bound = ends.local;
        drop(ends);
        if to.is_unspecified() {
            to = if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { core::net::Ipv6Addr::LOCALHOST.into() };
        }
        if to.is_ipv6() != (self.common.family == Family::V6) {
            return Err(Errno::EINVAL);
        }
        if self.ping {
            let kind = ECHO[usize::from(to.is_ipv6())];
            let identity = self.identify().to_be_bytes();
            match bytes.first_chunk_mut::<PING_HEADER>() {
                Some([first, 0, sum @ .., i0, i1, _, _]) if *first == kind => {
                    sum.fill(0);
                    [*i0, *i1] = identity;
                }
                _ => return Err(Errno::EINVAL),
            }
            if to.is_ipv4() {
                let sum = inet::checksum::of(&bytes);
                bytes[2..4].copy_from_slice(&sum);
            }
        }
        let groups = &self.common.groups;
        let hop = if to.is_multicast() { groups.way(&SocketAddr::new(to, 0))? } else { route::lookup(&to)? };
        let broadcast = matches!(to, IpAddr::V4(v4) if hop.interface.is_broadcast(&v4));
        if broadcast && !self.common.broadcast.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
        let chosen = if hop.interface.is_loopback() { Some(to) } else { hop.interface.source_for(&to) };
        let source = bound.or(chosen).ok_or(Errno::ENETUNREACH)?;
        let own_header = !self.ping && to.is_ipv4() && self.header_included.load(Ordering::Relaxed);
        let ttl = if to.is_multicast() { groups.reach(to.is_ipv6()).0 } else { self.common.ttl() };
        let mut packet = Outgoing {
            source,
            destination: to,
            protocol: self.protocol,
            ttl,
            tos: self.common.tos.load(Ordering::Relaxed),
            header: &[],
            checksum_at: None,
            payload: Pieces::new(),
            segment_size: None,
        };
        if own_header {
            // What the header says, except what Linux fills in itself; its options are not kept.
            let header = bytes.first_chunk::<IPV4_HEADER>().ok_or(Errno::EINVAL)?;
            let len = usize::from(header[0] & 15) * 4;
            let [.., s0, s1, s2, s3, _, _, _, _] = *header;
            let named = Ipv4Addr::new(s0, s1, s2, s3);
            if !named.is_unspecified() {
                packet.source = named.into();
            }
            (packet.tos, packet.ttl, packet.protocol) = (header[1], header[8], header[9]);
            packet.header = bytes.get(len.max(IPV4_HEADER)..).ok_or(Errno::EINVAL)?;
            return output::send(&hop, packet);
        }
        if self.protocol == ICMPV6 {
            bytes.get_mut(2..4).ok_or(Errno::EINVAL)?.fill(0);
            packet.checksum_at = Some(2);
        }
        packet.header = &bytes;
        output::send(&hop, packet)
    }
}

/// Whether a ping socket has this identity.
fn taken(identity: u16) -> bool {
    let sockets: Vec<Arc<RawSocket>> = TABLE.lock().iter().filter_map(Weak::upgrade).collect();
    sockets.iter().any(|socket| socket.ping && socket.identity.load(Ordering::Relaxed) == identity)
}

impl Drop for RawSocket {
    fn drop(&mut self) {
        let own: *const RawSocket = self;
        TABLE.lock().retain(|other| !core::ptr::eq(other.as_ptr(), own));
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FileOps for RawSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.receive_message(to, file.message_flags()).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let flags = file.message_flags();
        self.send_message(from, None, Ancillary::default(), flags)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        ev::WRITABLE | if self.queue.lock().is_empty() { 0 } else { ev::READABLE }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let bytes = match request {
            FIONREAD => self.queue.lock().front().map_or(0, |packet| packet.bytes.len()),
            TIOCOUTQ => 0,
            _ => return super::ioctl::interface(request, arg),
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}

impl Socket for RawSocket {
    fn family(&self) -> u32 {
        self.common.family.number()
    }

    fn kind(&self) -> u32 {
        if self.ping { n::SOCK_DGRAM } else { n::SOCK_RAW }
    }

    fn protocol(&self) -> u32 {
        self.protocol.into()
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let local = self.common.family.decode(address)?;
        if !self.common.may_bind(&local.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if self.ping {
            if self.identity.load(Ordering::Relaxed) != 0 {
                return Err(Errno::EINVAL);
            }
            match local.port() {
                0 => drop(self.identify()),
                port if taken(port) => return Err(Errno::EADDRINUSE),
                port => self.identity.store(port, Ordering::Relaxed),
            }
        }
        self.ends.lock().local = Some(local.ip()).filter(|ip| !ip.is_unspecified());
        Ok(())
    }

    fn connect(&self, address: &[u8], _nonblock: bool) -> SysResult<()> {
        if address.first_chunk().is_some_and(|f| u32::from(u16::from_ne_bytes(*f)) == n::AF_UNSPEC) {
            self.ends.lock().remote = None;
            return Ok(());
        }
        let to = self.common.family.decode(address)?;
        let hop = route::lookup(&to.ip())?;
        let source = if hop.interface.is_loopback() { Some(to.ip()) } else { hop.interface.source_for(&to.ip()) };
        if self.ping {
            self.identify();
        }
        let mut ends = self.ends.lock();
        ends.remote = Some(to.ip());
        ends.local = ends.local.or(source);
        Ok(())
    }

    fn local_address(&self) -> SysResult<Address> {
        let local = self.ends.lock().local;
        Ok(self.encode(local.unwrap_or(self.common.family.any()), true))
    }

    fn peer_address(&self) -> SysResult<Address> {
        let remote = self.ends.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(self.encode(remote, false))
    }

    fn shutdown(&self, _read: bool, _write: bool) -> SysResult<()> {
        if self.ends.lock().remote.is_some() { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, _: Ancillary, flags: u32) -> SysResult<usize> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let to = to.map(|address| self.common.family.decode(address)).transpose()?;
        let len = from.remaining();
        if len > LONGEST {
            return Err(Errno::EMSGSIZE);
        }
        let bytes = from.take_all(LONGEST)?;
        let result = self.send(bytes, to);
        poll::sent();
        result.map(|()| len)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & n::MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN);
        }
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let until = deadline(&self.common.receive_timeout);
        let peek = flags & n::MSG_PEEK != 0;
        let next = || {
            let mut queue = self.queue.lock();
            if peek {
                let packet = queue.front()?;
                return Some(Packet { from: packet.from, bytes: packet.bytes.clone() });
            }
            let packet = queue.pop_front()?;
            self.held.fetch_sub(packet.bytes.len() + OVERHEAD, Ordering::Relaxed);
            Some(packet)
        };
        let packet = wait(&self.readers, flags & n::MSG_DONTWAIT != 0, until, next)?;
        let full = packet.bytes.len();
        let copied = if full == 0 || to.remaining() == 0 { 0 } else { to.put(&packet.bytes)? };
        let address = Some(self.encode(packet.from, false));
        Ok(Received { copied, full, address, ..Received::default() })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        match (level, option) {
            (n::SOL_RAW, FILTER) if self.protocol == ICMP && !self.ping => {
                self.filter.lock()[0] = int(value)? as u32;
            }
            (SOL_ICMPV6, FILTER) if self.protocol == ICMPV6 && !self.ping => {
                let mut filter = self.filter.lock();
                for (word, bytes) in filter.iter_mut().zip(value.chunks_exact(4)) {
                    *word = bytes.try_into().map_or(0, u32::from_ne_bytes);
                }
            }
            (n::SOL_IP, n::IP_HDRINCL) if !self.ping && self.common.family == Family::V4 => {
                self.header_included.store(int(value)? != 0, Ordering::Relaxed);
            }
            _ => return self.common.set(level, option, value),
        }
        Ok(())
    }

    fn get_option(&self, level: u32, option: u32, _room: usize) -> SysResult<Vec<u8>> {
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR | n::SO_ACCEPTCONN) => 0,
            (n::SOL_RAW, FILTER) if self.protocol == ICMP && !self.ping => self.filter.lock()[0] as i32,
            (n::SOL_IP, n::IP_HDRINCL) if !self.ping => self.header_included.load(Ordering::Relaxed).into(),
            (SOL_ICMPV6, FILTER) if self.protocol == ICMPV6 && !self.ping => {
                return Ok(self.filter.lock().iter().flat_map(|word| word.to_ne_bytes()).collect());
            }
            (n::SOL_IP, n::IP_MTU) => {
                let remote = self.ends.lock().remote.ok_or(Errno::ENOTCONN)?;
                let hop = route::lookup(&remote)?;
                interface::by_index(hop.interface.index).map_or(0, |interface| interface.mtu() as i32)
            }
            _ => return self.common.get(level, option),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
