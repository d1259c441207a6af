//! What the sockets of the Internet families share: addresses, options, and the choice of the kind
//! (ip(7), ipv6(7)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use fd::socket::open;
use fd::socket_filter::Filter;
use fd::{OpenFile, capable};
use fs::OpenFlags;
use inet::tcp::Limits;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::extension::Sticky;
use super::interface::Interface;
use super::membership::Membership;
use super::ports::Sharing;
use super::query::Query;
use super::raw::RawSocket;
use super::route::{self, Hop};
use super::sockopt::{Numbers, flag};
use super::tcp::TcpSocket;
use super::udp::UdpSocket;
use super::{rule, sysctl};

const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_UDPLITE: u32 = 136;

/// Size of `struct sockaddr_in`, and the least that is taken for a `struct sockaddr_in6` (RFC
/// 2133's).
const SOCKADDR_IN: usize = 16;
const SOCKADDR_IN6_MIN: usize = 24;

/// A family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
}

impl Family {
    /// `AF_INET` or `AF_INET6`.
    pub fn number(self) -> u32 {
        match self {
            Family::V4 => n::AF_INET,
            Family::V6 => n::AF_INET6,
        }
    }

    /// Its ICMP's protocol number.
    pub fn icmp(self) -> u32 {
        match self {
            Family::V4 => super::output::ICMP.into(),
            Family::V6 => super::output::ICMPV6.into(),
        }
    }

    /// The address that stands for any.
    pub fn any(self) -> IpAddr {
        match self {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// Reads a `sockaddr`. IPv4 addresses in IPv6 dress come out as IPv4. `EINVAL`, `EAFNOSUPPORT`.
    pub fn decode(self, bytes: &[u8]) -> SysResult<SocketAddr> {
        let [f0, f1, p0, p1, rest @ ..] = bytes else { return Err(Errno::EINVAL) };
        let port = u16::from_be_bytes([*p0, *p1]);
        let family = u32::from(u16::from_ne_bytes([*f0, *f1]));
        match self {
            Family::V4 => {
                if bytes.len() < SOCKADDR_IN {
                    return Err(Errno::EINVAL);
                }
                let address: [u8; 4] = *rest.first_chunk().ok_or(Errno::EINVAL)?;
                match family {
                    n::AF_INET => {}
                    // An old habit that bind(2) bears with.
                    n::AF_UNSPEC if address == [0; 4] => {}
                    _ => return Err(Errno::EAFNOSUPPORT),
                }
                Ok(SocketAddr::new(Ipv4Addr::from(address).into(), port))
            }
            Family::V6 => {
                if bytes.len() < SOCKADDR_IN6_MIN {
                    return Err(Errno::EINVAL);
                }
                if family != n::AF_INET6 {
                    return Err(Errno::EAFNOSUPPORT);
                }
                let address: [u8; 16] = *rest.get(4..).and_then(|r| r.first_chunk()).ok_or(Errno::EINVAL)?;
                let scope = rest.get(20..24).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
                let v6 = SocketAddrV6::new(address.into(), port, 0, scope);
                Ok(match v6.ip().to_ipv4_mapped() {
                    Some(v4) => SocketAddr::new(v4.into(), port),
                    None => SocketAddr::V6(v6),
                })
            }
        }
    }

    /// Writes a `sockaddr` of this family.
    pub fn encode(self, address: &SocketAddr) -> Vec<u8> {
        let mut out = (self.number() as u16).to_ne_bytes().to_vec();
        out.extend_from_slice(&address.port().to_be_bytes());
        match (self, address.ip()) {
            (Family::V4, IpAddr::V4(v4)) => {
                out.extend_from_slice(&v4.octets());
                out.resize(SOCKADDR_IN, 0);
            }
            (_, ip) => {
                let v6 = match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&v6.octets());
                let scope = match address {
                    SocketAddr::V6(full) if full.ip().is_unicast_link_local() => full.scope_id(),
                    _ => 0,
                };
                out.extend_from_slice(&scope.to_ne_bytes());
            }
        }
        out
    }
}

/// Time to live of what says nothing else.
pub(super) fn default_ttl() -> u8 {
    sysctl::get(&sysctl::DEFAULT_TTL) as u8
}

/// Options that all kinds have.
pub struct Common {
    /// Whether it is a socket of IPv6: `IPV6_ADDRFORM` can end that.
    v6: AtomicBool,
    /// A socket of TCP.
    pub(super) stream: bool,
    /// A raw socket.
    pub(super) raw: bool,
    pub(super) reuse_address: AtomicBool,
    pub(super) reuse_port: AtomicBool,
    /// `SO_BROADCAST`.
    pub broadcast: AtomicBool,
    /// `SO_KEEPALIVE`.
    pub keep_alive: AtomicBool,
    /// `SO_LINGER`: whether it is on, and its seconds.
    pub lingers: AtomicBool,
    /// See `lingers`.
    pub linger: AtomicI32,
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO`, as [`fd::socket::deadline`] takes them.
    pub receive_timeout: AtomicU64,
    /// See `receive_timeout`.
    pub send_timeout: AtomicU64,
    /// `SO_RCVBUF` and `SO_SNDBUF`; 0 while the kernel chooses.
    pub(super) receive_buffer: AtomicU32,
    pub(super) send_buffer: AtomicU32,
    default_buffers: [u32; 2],
    /// `SO_RCVLOWAT`.
    pub low_water: AtomicI32,
    /// `IPV6_V6ONLY`.
    pub v6_only: AtomicBool,
    /// `IP_TOS` and `IPV6_TCLASS`.
    pub(super) tos: [AtomicU8; 2],
    pub(super) ttl: AtomicU8,
    /// `IPV6_UNICAST_HOPS`; -1 for what is usual.
    pub(super) hops: AtomicI32,
    /// `IP_MTU_DISCOVER` and `IPV6_MTU_DISCOVER`.
    pub(super) discover: [AtomicU8; 2],
    /// Options that are on or off: bit by bit, see [`flag`].
    pub flags: AtomicU64,
    /// Options that are numbers.
    pub(super) numbers: Numbers,
    /// `SO_MAX_PACING_RATE`.
    pub(super) pacing: AtomicU64,
    /// `SO_PEEK_OFF`; negative while it is off.
    pub(super) peek_offset: AtomicI32,
    /// `SO_COOKIE`; 0 until somebody asks.
    pub(super) cookie: AtomicU64,
    /// `IP_OPTIONS`, `IPV6_HOPOPTS` and its like.
    pub(super) sticky: Sticky,
    /// Groups.
    pub groups: Membership,
    /// The interface that the socket is bound to (`SO_BINDTODEVICE`); 0 for all.
    pub device: AtomicU32,
    /// `SO_ATTACH_FILTER`.
    pub filter: Filter,
    /// The number of the socket's file, for /proc/net.
    pub inode: AtomicU64,
}

impl Common {
    /// The options of a new socket.
    pub fn new(family: Family, stream: bool) -> Common {
        Common {
            v6: AtomicBool::new(family == Family::V6),
            stream,
            raw: false,
            reuse_address: AtomicBool::new(false),
            reuse_port: AtomicBool::new(false),
            broadcast: AtomicBool::new(false),
            keep_alive: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            linger: AtomicI32::new(0),
            receive_timeout: AtomicU64::new(0),
            send_timeout: AtomicU64::new(0),
            receive_buffer: AtomicU32::new(0),
            send_buffer: AtomicU32::new(0),
            default_buffers: if stream {
                [&sysctl::TCP_RMEM[1], &sysctl::TCP_WMEM[1]]
            } else {
                [&sysctl::RMEM_DEFAULT, &sysctl::WMEM_DEFAULT]
            }
            .map(|setting| sysctl::get(setting) as u32),
            low_water: AtomicI32::new(1),
            v6_only: AtomicBool::new(family == Family::V6 && sysctl::get(&sysctl::BIND_V6_ONLY) != 0),
            tos: [AtomicU8::new(0), AtomicU8::new(0)],
            ttl: AtomicU8::new(0),
            hops: AtomicI32::new(-1),
            discover: [AtomicU8::new(1), AtomicU8::new(1)],
            // IPv6 sockets are told of none but their own IPv4 groups.
            flags: AtomicU64::new(if family == Family::V6 { flag::ONLY_JOINED[0] } else { 0 }),
            numbers: Numbers::default(),
            pacing: AtomicU64::new(u64::MAX),
            peek_offset: AtomicI32::new(-1),
            cookie: AtomicU64::new(0),
            sticky: Sticky::default(),
            groups: Membership::new(stream),
            device: AtomicU32::new(0),
            filter: Filter::default(),
            inode: AtomicU64::new(0),
        }
    }

    /// The options of a new raw socket.
    pub fn new_raw(family: Family) -> Common {
        Common { raw: true, ..Common::new(family, false) }
    }

    /// A copy, as accept(2) makes one for a connection.
    pub fn inherit(&self) -> Common {
        let copy = Common { filter: self.filter.inherit(), ..Common::new(self.family(), true) };
        let bools = [
            (&self.reuse_address, &copy.reuse_address),
            (&self.reuse_port, &copy.reuse_port),
            (&self.keep_alive, &copy.keep_alive),
            (&self.lingers, &copy.lingers),
            (&self.v6_only, &copy.v6_only),
        ];
        bools.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        let numbers = [(&self.linger, &copy.linger), (&self.low_water, &copy.low_water), (&self.hops, &copy.hops)];
        numbers.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        let words = [
            (&self.receive_buffer, &copy.receive_buffer),
            (&self.send_buffer, &copy.send_buffer),
            (&self.device, &copy.device),
        ];
        words.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        let times = [
            (&self.receive_timeout, &copy.receive_timeout),
            (&self.send_timeout, &copy.send_timeout),
            (&self.flags, &copy.flags),
            (&self.pacing, &copy.pacing),
        ];
        times.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        for (from, to) in self.tos.iter().chain([&self.ttl]).zip(copy.tos.iter().chain([&copy.ttl])) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        copy.numbers.copy_from(&self.numbers);
        copy.sticky.copy_from(&self.sticky);
        // The options of IPv4 are the answer to those that the other side has sent.
        copy.sticky.set_v4(None);
        copy
    }

    /// Remembers the number of the socket's file.
    pub fn note_file(&self, file: &OpenFile) {
        self.inode.store(file.inode.metadata().ino, Ordering::Relaxed);
    }

    /// The family.
    pub fn family(&self) -> Family {
        if self.v6.load(Ordering::Relaxed) { Family::V6 } else { Family::V4 }
    }

    /// Makes it a socket of IPv4 (`IPV6_ADDRFORM`).
    pub fn become_v4(&self) {
        self.v6.store(false, Ordering::Relaxed);
    }

    /// How a port is to be shared.
    pub fn sharing(&self) -> Sharing {
        Sharing {
            address: self.reuse_address.load(Ordering::Relaxed),
            port: self.reuse_port.load(Ordering::Relaxed),
            uid: caller::credentials().euid,
            device: self.device.load(Ordering::Relaxed),
            v6: self.family() == Family::V6,
            v6_only: self.family() == Family::V6 && self.v6_only.load(Ordering::Relaxed),
        }
    }

    /// The socket has been bound there: one that has an address of IPv6 has nothing of IPv4, and
    /// says so (`IPV6_V6ONLY`).
    pub fn note_bound(&self, local: &IpAddr) {
        if local.is_ipv6() && !local.is_unspecified() {
            self.v6_only.store(true, Ordering::Relaxed);
        }
    }

    /// Sets `SO_REUSEADDR`.
    pub fn share_addresses(&self, on: bool) {
        self.reuse_address.store(on, Ordering::Relaxed);
    }

    /// `SO_REUSEPORT`.
    pub fn sharing_port(&self) -> bool {
        self.reuse_port.load(Ordering::Relaxed)
    }

    /// Time to live, or hop limit.
    pub fn ttl(&self, v6: bool) -> u8 {
        if v6 {
            return u8::try_from(self.hops.load(Ordering::Relaxed)).unwrap_or(sysctl::hop_limit());
        }
        match self.ttl.load(Ordering::Relaxed) {
            0 => default_ttl(),
            ttl => ttl,
        }
    }

    /// Type of service, or traffic class.
    pub fn tos(&self, v6: bool) -> u8 {
        self.tos[usize::from(v6)].load(Ordering::Relaxed)
    }

    /// Where `MSG_PEEK` begins (`SO_PEEK_OFF`).
    pub fn peek_start(&self) -> usize {
        self.peek_offset.load(Ordering::Relaxed).max(0) as usize
    }

    /// So many bytes were peeked at, or read: `SO_PEEK_OFF` moves with them.
    pub fn peeked(&self, peek: bool, n: usize) {
        let offset = self.peek_offset.load(Ordering::Relaxed);
        if offset >= 0 {
            let n = i32::try_from(n).unwrap_or(i32::MAX);
            let moved = if peek { offset.saturating_add(n) } else { offset.saturating_sub(n).max(0) };
            self.peek_offset.store(moved, Ordering::Relaxed);
        }
    }

    /// Whether packets that came in through this interface are for the socket (`SO_BINDTODEVICE`).
    pub fn takes_from(&self, interface: u32) -> bool {
        let device = self.device.load(Ordering::Relaxed);
        device == 0 || device == interface
    }

    /// Whether the socket is bound to an interface.
    pub fn is_bound_to_device(&self) -> bool {
        self.device.load(Ordering::Relaxed) != 0
    }

    /// The way to an address, from one of ours if that is settled, by the interface that the socket
    /// is bound to, if it is.
    pub fn route(&self, to: &SocketAddr, from: Option<IpAddr>) -> SysResult<Hop> {
        let query = Query { source: from, ..self.query(to) };
        match self.device.load(Ordering::Relaxed) {
            0 => route::lookup_for(&query),
            device => route::lookup_through(&query, device),
        }
    }

    /// What a way is looked for. Who asks is of interest to rules alone, and there are seldom any.
    fn query(&self, to: &SocketAddr) -> Query {
        let query = Query::to(&to.ip());
        if !rule::are_changed() {
            return query;
        }
        Query {
            tos: self.tos(to.is_ipv6()) & 0x1c,
            mark: self.numbers.get(n::SOL_SOCKET, n::SO_MARK).unwrap_or(0) as u32,
            outgoing: self.device.load(Ordering::Relaxed),
            user: caller::credentials().euid,
            protocol: match (self.raw, self.stream) {
                (true, _) => 0,
                (_, true) => IPPROTO_TCP as u8,
                (_, false) => IPPROTO_UDP as u8,
            },
            ports: [0, to.port()],
            ..query
        }
    }

    /// The way to an address, a group or everybody, from the address that the socket is bound to.
    pub fn way(&self, to: &SocketAddr, from: Option<IpAddr>) -> SysResult<Hop> {
        let all = matches!(to.ip(), IpAddr::V4(v4) if v4.is_broadcast());
        if all || to.ip().is_multicast() {
            return self.groups.way(to, self.device.load(Ordering::Relaxed), from);
        }
        self.route(to, from)
    }

    /// Whether what is too long for the interface is refused (`EMSGSIZE`), and not sent in
    /// fragments: `IP_PMTUDISC_DO` and `IP_PMTUDISC_PROBE`.
    pub fn refuses_fragments(&self, v6: bool) -> bool {
        let discover = self.discover[usize::from(v6)].load(Ordering::Relaxed);
        matches!(discover, 2 | 3) || v6 && self.has(flag::DONTFRAG6)
    }

    /// Whether a datagram for the group from `source` is for this socket too.
    pub fn takes_group(&self, interface: u32, group: &IpAddr, source: &IpAddr) -> bool {
        let only = flag::ONLY_JOINED[usize::from(group.is_ipv6())];
        !group.is_multicast() || self.groups.takes(interface, group, source).unwrap_or_else(|| !self.has(only))
    }

    /// `SO_RCVBUF`, `SO_SNDBUF` as getsockopt(2) tells them.
    pub fn buffers(&self) -> (u32, u32) {
        let of = |slot: &AtomicU32, default| match slot.load(Ordering::Relaxed) {
            0 => default,
            bytes => bytes,
        };
        (of(&self.receive_buffer, self.default_buffers[0]), of(&self.send_buffer, self.default_buffers[1]))
    }

    /// The buffers of a connection. Those that the application has not set grow.
    pub fn tcp_limits(&self) -> Limits {
        let receive = self.receive_buffer.load(Ordering::Relaxed) as usize;
        let send = self.send_buffer.load(Ordering::Relaxed) as usize;
        let most = |setting| sysctl::get(setting) as usize;
        Limits {
            // Half of what is set is Linux's own bookkeeping.
            receive: if receive == 0 { self.default_buffers[0] as usize / 2 } else { receive / 2 },
            receive_max: if receive == 0 { most(&sysctl::TCP_RMEM[2]) / 3 * 2 } else { receive / 2 },
            send: if send == 0 { most(&sysctl::TCP_WMEM[2]) / 4 } else { send },
        }
    }

    /// Whether an address may be bound to: our own, or any.
    pub fn may_bind(&self, address: &IpAddr) -> bool {
        let device = self.device.load(Ordering::Relaxed);
        let elsewhere = |owner: Arc<Interface>| device != 0 && owner.index != device;
        if address.is_ipv6() && super::interface::owner(address).is_some_and(elsewhere) {
            return false;
        }
        address.is_unspecified()
            || address.is_multicast()
            || super::interface::owner(address).is_some()
            || self.has(flag::FREEBIND | flag::FREEBIND6 | flag::TRANSPARENT)
            || sysctl::get(if address.is_ipv4() { &sysctl::NONLOCAL_BIND } else { &sysctl::NONLOCAL_BIND6 }) != 0
            || super::interface::is_for_all(address)
    }

    /// Checks a decoded address against family and `IPV6_V6ONLY`, and gives an unspecified one the
    /// family's form.
    pub fn local(&self, address: SocketAddr) -> SysResult<SocketAddr> {
        if address.is_ipv4() && self.family() == Family::V6 && self.v6_only.load(Ordering::Relaxed) {
            return Err(Errno::EINVAL);
        }
        Ok(address)
    }

    /// Sets or clears bits of [`flag`].
    pub(super) fn flag(&self, bits: u64, on: bool) {
        if on {
            self.flags.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Whether one of these bits of [`flag`] is set.
    pub fn has(&self, bits: u64) -> bool {
        self.flags.load(Ordering::Relaxed) & bits != 0
    }
}

/// `IPPROTO_MAX`.
const MAX_PROTOCOLS: u32 = 263;

/// socket(2) for `AF_INET` and `AF_INET6`.
pub fn create(family: Family, kind: u32, protocol: u32, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    match (kind, protocol) {
        (_, MAX_PROTOCOLS..) => Err(Errno::EINVAL),
        (n::SOCK_STREAM, 0 | IPPROTO_TCP) => Ok(TcpSocket::create(family, flags)),
        (n::SOCK_DGRAM, 0 | IPPROTO_UDP) => Ok(open_udp(family, false, flags)),
        (n::SOCK_DGRAM, IPPROTO_UDPLITE) => Ok(open_udp(family, true, flags)),
        (n::SOCK_DGRAM, protocol) if protocol == family.icmp() && !sysctl::may_ping() => Err(Errno::EACCES),
        (n::SOCK_DGRAM, protocol) if protocol == family.icmp() => Ok(open_raw(RawSocket::ping(family), flags)),
        (n::SOCK_RAW, 1..=255) => {
            if !capable(linux_raw_sys::general::CAP_NET_RAW) {
                return Err(Errno::EPERM);
            }
            Ok(open_raw(RawSocket::raw(family, protocol as u8), flags))
        }
        (n::SOCK_STREAM | n::SOCK_DGRAM | n::SOCK_RAW, _) => Err(Errno::EPROTONOSUPPORT),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

fn open_udp(family: Family, lite: bool, flags: OpenFlags) -> Arc<OpenFile> {
    let socket = UdpSocket::new(family, lite);
    let file = open(socket.clone(), flags);
    socket.common.note_file(&file);
    file
}

fn open_raw(socket: Arc<RawSocket>, flags: OpenFlags) -> Arc<OpenFile> {
    let file = open(socket.clone(), flags);
    socket.common.note_file(&file);
    file
}
