//! Raw sockets, which see and send whole messages of a protocol (raw(7)), and sockets for pings
//! alone (icmp(7)).

mod file;
mod filter;
mod transmit;

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use fd::poll::{PollQueue, ev, poll_queue};
use fd::socket::Address;
use inet::bpf::{Packet, View};
use inet::checksum::Sum;
use inet::ip::octets;
use sync::SpinLock;

use super::extension::Carried;
use super::input::Incoming;
use super::output::ICMPV6;
use super::socket::{Common, Family};
use super::sockopt::flag;
use crate::{charge, clock, machine};

/// Length of IPv4's header without options.
const PLAIN_HEADER: usize = 20;
const ECHO: [u8; 2] = [8, 128];
const ECHO_REPLY: [u8; 2] = [0, 129];
/// The protocol whose sockets only send, and bring their own header.
const IPPROTO_RAW: u8 = 255;

/// A packet that was received.
struct Arrived {
    from: SocketAddr,
    to: IpAddr,
    interface: u32,
    ttl: u8,
    tos: u8,
    stamp: u64,
    carried: Carried,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Ends {
    local: Option<IpAddr>,
    /// The other side, with the port that connect(2) named, which means nothing.
    remote: Option<SocketAddr>,
}

/// A socket.
pub struct RawSocket {
    /// Options.
    pub common: Common,
    protocol: u8,
    ping: bool,
    /// What tells our pings from others': the port of a ping socket. 0 until it has one.
    identity: AtomicU16,
    ends: SpinLock<Ends>,
    /// What was received. A leaf lock.
    queue: SpinLock<VecDeque<Arrived>>,
    held: AtomicUsize,
    filter: SpinLock<filter::Filter>,
    /// `IPV6_CHECKSUM`: where a checksum belongs; -1 for nowhere.
    checksum_at: AtomicI32,
    /// shutdown(2) of reading and of writing.
    closed: [AtomicBool; 2],
    /// The user who opened it.
    owner: u32,
    /// Packets that there was no room for.
    drops: AtomicU32,
    /// When the last packet that was read had come.
    last_stamp: AtomicU64,
    readers: PollQueue,
}

/// All there are. Taken before a socket's locks.
static TABLE: SpinLock<Vec<Weak<RawSocket>>> = SpinLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether there is any: most machines have none.
pub fn wanted() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// A socket, as /proc/net shows it.
pub struct Listed {
    /// Our end, with the protocol as port, or the identity of a socket for pings.
    pub local: SocketAddr,
    /// The other one, if it is connected.
    pub remote: Option<SocketAddr>,
    /// What waits to be read, as it is counted against the buffer.
    pub held: usize,
    /// The user.
    pub owner: u32,
    /// The number of its file.
    pub inode: u64,
    /// Packets that were lost.
    pub drops: u32,
}

/// The raw sockets of a family, or those for pings that have an identity.
pub fn list(v6: bool, pings: bool) -> Vec<Listed> {
    let sockets: Vec<Arc<RawSocket>> = TABLE.lock().iter().filter_map(Weak::upgrade).collect();
    let is_shown = |socket: &&Arc<RawSocket>| {
        let identity = socket.identity.load(Ordering::Relaxed);
        socket.is_v6() == v6 && socket.ping == pings && (!pings || identity != 0)
    };
    sockets.iter().filter(is_shown).map(|socket| socket.shown()).collect()
}

/// A packet has come: everybody who wants it has a copy, of IPv4's with the header.
pub fn deliver(incoming: &Incoming<'_>, protocol: u8) {
    let sockets: Vec<Arc<RawSocket>> = TABLE.lock().iter().filter_map(Weak::upgrade).collect();
    for socket in sockets {
        if protocol == socket.protocol && socket.wants(incoming) {
            socket.take(incoming, incoming.source.is_ipv4() && !socket.ping);
        }
    }
}

impl RawSocket {
    fn new(family: Family, protocol: u8, ping: bool) -> Arc<RawSocket> {
        let common = Common::new_raw(family);
        if protocol == IPPROTO_RAW {
            common.flag(flag::HDRINCL, true);
        }
        // As on Linux, these sockets share their addresses.
        common.share_addresses(true);
        let checksum_at = if family == Family::V6 && protocol == ICMPV6 { 2 } else { -1 };
        let socket = Arc::new(RawSocket {
            common,
            protocol,
            ping,
            identity: AtomicU16::new(0),
            ends: SpinLock::new(Ends::default()),
            queue: SpinLock::new(VecDeque::new()),
            held: AtomicUsize::new(0),
            filter: SpinLock::new(filter::Filter::default()),
            checksum_at: AtomicI32::new(checksum_at),
            closed: [AtomicBool::new(false), AtomicBool::new(false)],
            owner: caller::credentials().euid,
            drops: AtomicU32::new(0),
            last_stamp: AtomicU64::new(0),
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

    fn shown(&self) -> Listed {
        let ends = self.ends.lock();
        let (local, remote) = (ends.local, ends.remote);
        drop(ends);
        let any = if self.is_v6() { IpAddr::from([0; 16]) } else { IpAddr::from([0; 4]) };
        let port = if self.ping { self.identity.load(Ordering::Relaxed) } else { self.protocol.into() };
        let remote_port = |remote: SocketAddr| if self.ping { remote.port() } else { 0 };
        Listed {
            local: SocketAddr::new(local.unwrap_or(any), port),
            remote: remote.map(|remote| SocketAddr::new(remote.ip(), remote_port(remote))),
            held: self.held.load(Ordering::Relaxed),
            owner: self.owner,
            inode: self.common.inode.load(Ordering::Relaxed),
            drops: self.drops.load(Ordering::Relaxed),
        }
    }

    fn is_v6(&self) -> bool {
        self.common.family() == Family::V6
    }

    fn wants(&self, incoming: &Incoming<'_>) -> bool {
        let v6 = self.is_v6();
        let ends = self.ends.lock();
        let fits = |end: Option<IpAddr>, address: IpAddr| end.is_none_or(|end| end == address);
        let (local, remote) = (ends.local, ends.remote.map(|remote| remote.ip()));
        drop(ends);
        if incoming.source.is_ipv6() != v6
            || !fits(local, incoming.destination)
            || !fits(remote, incoming.source)
            || !self.common.takes_from(incoming.interface.index)
            || !self.common.takes_group(incoming.interface.index, &incoming.destination, &incoming.source)
        {
            return false;
        }
        if self.ping {
            let identity = self.identity.load(Ordering::Relaxed).to_be_bytes();
            return matches!(incoming.head.first_chunk(), Some([kind, _, _, _, i0, i1])
                if *kind == ECHO_REPLY[usize::from(v6)] && [*i0, *i1] == identity);
        }
        let is_icmp = u32::from(self.protocol) == self.common.family().icmp();
        // What is too short to be a message of ICMP is none.
        let short = is_icmp && !v6 && incoming.head.len() + incoming.tail.len() < 8;
        let blocked = short || is_icmp && incoming.head.first().is_some_and(|kind| self.filter.lock().blocks(*kind));
        !blocked && self.checksum_is_right(incoming)
    }

    /// Whether the checksum that `IPV6_CHECKSUM` has us look at is right. That of ICMPv6 has been
    /// looked at.
    fn checksum_is_right(&self, incoming: &Incoming<'_>) -> bool {
        if self.checksum_at.load(Ordering::Relaxed) < 0 || self.protocol == ICMPV6 {
            return true;
        }
        let mut sum = Sum::default();
        let len = incoming.head.len() + incoming.tail.len();
        sum.add_pseudo_header(&octets(&incoming.source).0, &octets(&incoming.destination).0, self.protocol, len);
        sum.add(&incoming.head);
        sum.add(&incoming.tail);
        sum.finish() == [0, 0]
    }

    fn take(&self, incoming: &Incoming<'_>, with_header: bool) {
        if self.held.load(Ordering::Relaxed) >= self.common.buffers().0 as usize {
            self.drops.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Of options there stands what we have made of them.
        let (header, options) = match (&incoming.carried, with_header) {
            (_, false) => (&[][..], &[][..]),
            (Carried::V4(options), _) => (incoming.network.get(..PLAIN_HEADER).unwrap_or_default(), options.bytes()),
            _ => (incoming.network, &[][..]),
        };
        let parts = [header, options, &incoming.head, &incoming.tail];
        let mut bytes = Vec::new();
        // What there is no memory for is lost, as on the way.
        if bytes.try_reserve_exact(parts.iter().map(|part| part.len()).sum()).is_err() {
            return;
        }
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let whole = || Packet {
            view: View { head: &bytes, network: usize::MAX, link: usize::MAX, ..View::default() },
            ..incoming.for_filter()
        };
        match self.common.filter.wanted(whole) {
            0 => return,
            wanted => bytes.truncate(wanted),
        }
        let scope = if self.is_v6() { incoming.interface.index } else { 0 };
        let packet = Arrived {
            from: scoped(incoming.source, scope),
            to: incoming.destination,
            interface: incoming.interface.index,
            ttl: incoming.ttl,
            tos: incoming.tos,
            stamp: clock::realtime_ns(),
            carried: incoming.carried.clone(),
            bytes,
        };
        let mut queue = self.queue.lock();
        if queue.try_reserve(1).is_ok() {
            self.held.fetch_add(charge(packet.bytes.len()), Ordering::Relaxed);
            queue.push_back(packet);
        }
        drop(queue);
        self.readers.wake(1, ev::READABLE);
    }

    /// Our own address: the port is a ping socket's identity, and else the protocol.
    fn encode_local(&self, ip: IpAddr) -> Address {
        let port = if self.ping { self.identity.load(Ordering::Relaxed) } else { self.protocol.into() };
        self.common.family().encode(&SocketAddr::new(ip, port))
    }

    /// The other sockets for pings of the family that have this identity.
    fn namesakes(&self, identity: u16) -> Vec<Arc<RawSocket>> {
        let mut sockets: Vec<Arc<RawSocket>> = TABLE.lock().iter().filter_map(Weak::upgrade).collect();
        let own: *const RawSocket = self;
        sockets.retain(|socket| {
            let same = socket.ping && socket.identity.load(Ordering::Relaxed) == identity;
            same && socket.is_v6() == self.is_v6() && !core::ptr::eq(Arc::as_ptr(socket), own)
        });
        sockets
    }

    /// Whether another one has this identity at this address, or where one of them is at all, and
    /// not both share it.
    fn is_taken(&self, identity: u16, local: Option<IpAddr>) -> bool {
        let meets = |other: Option<IpAddr>| other.is_none() || local.is_none() || other == local;
        let shares = self.common.sharing().address;
        let in_the_way =
            |other: &Arc<RawSocket>| !(shares && other.common.sharing().address) && meets(other.ends.lock().local);
        self.namesakes(identity).iter().any(in_the_way)
    }

    fn identify(&self) -> u16 {
        let mut new = machine::random() as u16 | 1;
        while self.identity.load(Ordering::Relaxed) == 0 && !self.namesakes(new).is_empty() {
            new = new.wrapping_add(1).max(1);
        }
        let _ = self.identity.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        self.identity.load(Ordering::Relaxed)
    }
}

/// An address without a port, of a certain link.
fn scoped(ip: IpAddr, scope: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, 0),
        IpAddr::V6(v6) => core::net::SocketAddrV6::new(v6, 0, 0, scope).into(),
    }
}

impl Drop for RawSocket {
    fn drop(&mut self) {
        let own: *const RawSocket = self;
        TABLE.lock().retain(|other| !core::ptr::eq(other.as_ptr(), own));
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}
