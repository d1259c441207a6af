//! What the sockets of the Internet families share: addresses, options, and the choice of the kind (ip(7), ipv6(7)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use fs::OpenFlags;
use inet::tcp::Limits;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::membership::Membership;
use super::ports::Sharing;
use super::raw::RawSocket;
use super::sysctl;
use super::tcp::TcpSocket;
use super::udp::UdpSocket;
use crate::files::socket::{int, open, timeval, timeval_bytes};
use crate::files::{OpenFile, capable};
use crate::sync::SpinLock;
use crate::task::current;

const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_UDPLITE: u32 = 136;

/// Size of `struct sockaddr_in`, and the least that is taken for a `struct sockaddr_in6` (RFC 2133's).
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
                    // Any IPv4 address is any address at all.
                    IpAddr::V4(v4) if v4.is_unspecified() => Ipv6Addr::UNSPECIFIED,
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
fn default_ttl() -> u8 {
    sysctl::get(&sysctl::DEFAULT_TTL) as u8
}

/// Options that all kinds have.
pub struct Common {
    /// The family.
    pub family: Family,
    stream: bool,
    reuse_address: AtomicBool,
    reuse_port: AtomicBool,
    /// `SO_BROADCAST`.
    pub broadcast: AtomicBool,
    /// `SO_KEEPALIVE`.
    pub keep_alive: AtomicBool,
    /// `SO_LINGER` in seconds; negative while it is off.
    pub linger: AtomicI32,
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO` in nanoseconds; 0 is no limit.
    pub receive_timeout: AtomicU64,
    /// See `receive_timeout`.
    pub send_timeout: AtomicU64,
    /// `SO_RCVBUF` and `SO_SNDBUF`; 0 while the kernel chooses.
    receive_buffer: AtomicU32,
    send_buffer: AtomicU32,
    default_buffers: [u32; 2],
    priority: AtomicI32,
    mark: AtomicI32,
    /// `SO_RCVLOWAT`.
    pub low_water: AtomicI32,
    /// `IPV6_V6ONLY`.
    pub v6_only: AtomicBool,
    /// `IP_TOS` or `IPV6_TCLASS`.
    pub tos: AtomicU8,
    ttl: AtomicU8,
    /// `IPV6_UNICAST_HOPS`; -1 for what is usual.
    hops: AtomicI32,
    /// `IP_MTU_DISCOVER` and `IPV6_MTU_DISCOVER`.
    discover: [AtomicU8; 2],
    /// `IP_BIND_ADDRESS_NO_PORT`, which is a hint: ports are found while there are any.
    bind_no_port: AtomicBool,
    free_bind: AtomicBool,
    transparent: AtomicBool,
    /// `IP_RECVERR` and its like: bit by bit, see [`Flag`].
    pub flags: AtomicU32,
    /// Groups.
    pub groups: Membership,
    /// The interface that the socket is bound to, and its name (`SO_BINDTODEVICE`).
    pub device: SpinLock<Vec<u8>>,
}

/// Bits of [`Common::flags`].
#[allow(missing_docs)]
pub mod flag {
    pub const PKTINFO: u32 = 1;
    pub const RECVERR: u32 = 2;
    pub const RECVTTL: u32 = 4;
    pub const RECVTOS: u32 = 8;
    pub const PKTINFO6: u32 = 16;
    pub const RECVERR6: u32 = 32;
    pub const RECVHOPLIMIT: u32 = 64;
    pub const DONT_ROUTE: u32 = 128;
    pub const OOB_INLINE: u32 = 256;
    pub const RECVTCLASS: u32 = 512;
    pub const TIMESTAMPNS: u32 = 1024;
    pub const TIMESTAMP: u32 = 2048;
    /// `IP_MULTICAST_ALL`, `IPV6_MULTICAST_ALL` are off: groups that others have joined are none of ours.
    pub const ONLY_JOINED: [u32; 2] = [4096, 8192];
    pub const DONTFRAG6: u32 = 16384;
}

impl Common {
    /// The options of a new socket.
    pub fn new(family: Family, stream: bool) -> Common {
        Common {
            family,
            stream,
            reuse_address: AtomicBool::new(false),
            reuse_port: AtomicBool::new(false),
            broadcast: AtomicBool::new(false),
            keep_alive: AtomicBool::new(false),
            linger: AtomicI32::new(-1),
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
            priority: AtomicI32::new(0),
            mark: AtomicI32::new(0),
            low_water: AtomicI32::new(1),
            v6_only: AtomicBool::new(family == Family::V6 && sysctl::get(&sysctl::BIND_V6_ONLY) != 0),
            tos: AtomicU8::new(0),
            ttl: AtomicU8::new(0),
            hops: AtomicI32::new(-1),
            discover: [AtomicU8::new(1), AtomicU8::new(1)],
            bind_no_port: AtomicBool::new(false),
            free_bind: AtomicBool::new(false),
            transparent: AtomicBool::new(false),
            // IPv6 sockets are told of none but their own IPv4 groups.
            flags: AtomicU32::new(if family == Family::V6 { flag::ONLY_JOINED[0] } else { 0 }),
            groups: Membership::new(stream),
            device: SpinLock::new(Vec::new()),
        }
    }

    /// A copy, as accept(2) makes one for a connection.
    pub fn inherit(&self) -> Common {
        let copy = Common::new(self.family, true);
        let bools = [
            (&self.reuse_address, &copy.reuse_address),
            (&self.reuse_port, &copy.reuse_port),
            (&self.keep_alive, &copy.keep_alive),
            (&self.v6_only, &copy.v6_only),
        ];
        bools.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        copy.linger.store(self.linger.load(Ordering::Relaxed), Ordering::Relaxed);
        let words = [(&self.receive_buffer, &copy.receive_buffer), (&self.send_buffer, &copy.send_buffer)];
        words.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        let times = [(&self.receive_timeout, &copy.receive_timeout), (&self.send_timeout, &copy.send_timeout)];
        times.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        copy.tos.store(self.tos.load(Ordering::Relaxed), Ordering::Relaxed);
        copy
    }

    /// How a port is to be shared.
    pub fn sharing(&self) -> Sharing {
        Sharing {
            address: self.reuse_address.load(Ordering::Relaxed),
            port: self.reuse_port.load(Ordering::Relaxed),
            uid: current().credentials().euid,
            v6_only: self.family == Family::V6 && self.v6_only.load(Ordering::Relaxed),
        }
    }

    /// Time to live.
    pub fn ttl(&self) -> u8 {
        if self.family == Family::V6 {
            return u8::try_from(self.hops.load(Ordering::Relaxed)).unwrap_or(sysctl::hop_limit());
        }
        match self.ttl.load(Ordering::Relaxed) {
            0 => default_ttl(),
            ttl => ttl,
        }
    }

    /// Whether what is too long for the interface is refused (`EMSGSIZE`), and not sent in fragments: `IP_PMTUDISC_DO` and
    /// `IP_PMTUDISC_PROBE`.
    pub fn refuses_fragments(&self, v6: bool) -> bool {
        let discover = self.discover[usize::from(v6)].load(Ordering::Relaxed);
        matches!(discover, 2 | 3) || v6 && self.has(flag::DONTFRAG6)
    }

    /// Whether a datagram for the group is for this socket too.
    pub fn takes_group(&self, interface: u32, group: &IpAddr) -> bool {
        let only = flag::ONLY_JOINED[usize::from(group.is_ipv6())];
        !group.is_multicast() || !self.has(only) || self.groups.has(interface, group)
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
        address.is_unspecified()
            || address.is_multicast()
            || super::interface::owner(address).is_some()
            || self.free_bind.load(Ordering::Relaxed)
            || self.transparent.load(Ordering::Relaxed)
            || sysctl::get(if address.is_ipv4() { &sysctl::NONLOCAL_BIND } else { &sysctl::NONLOCAL_BIND6 }) != 0
            || matches!(address, IpAddr::V4(v4) if super::interface::all().iter().any(|i| i.is_broadcast(v4)))
    }

    /// Checks a decoded address against family and `IPV6_V6ONLY`, and gives an unspecified one the family's form.
    pub fn local(&self, address: SocketAddr) -> SysResult<SocketAddr> {
        if address.is_ipv4() && self.family == Family::V6 && self.v6_only.load(Ordering::Relaxed) {
            return Err(Errno::EINVAL);
        }
        Ok(address)
    }

    fn flag(&self, bit: u32, on: bool) {
        if on {
            self.flags.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Whether a bit of [`flag`] is set.
    pub fn has(&self, bit: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & bit != 0
    }

    /// setsockopt(2) of the levels that all share. `ENOPROTOOPT` for what the kind itself may know.
    pub fn set(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        if (level != n::SOL_IPV6 || self.family == Family::V6)
            && let Some(result) = self.groups.set(level, option, value)
        {
            return result;
        }
        match level {
            n::SOL_SOCKET => self.set_socket(option, value),
            n::SOL_IP => self.set_ip(option, value),
            n::SOL_IPV6 if self.family == Family::V6 => self.set_ipv6(option, value),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn set_socket(&self, option: u32, value: &[u8]) -> SysResult<()> {
        /// Least buffers (`SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF`).
        const LEAST: (u32, u32) = (2304, 4608);
        match option {
            n::SO_RCVTIMEO => return timeval(value).map(|ns| self.receive_timeout.store(ns, Ordering::Relaxed)),
            n::SO_SNDTIMEO => return timeval(value).map(|ns| self.send_timeout.store(ns, Ordering::Relaxed)),
            n::SO_LINGER => {
                let [on, seconds] = [int(value)?, int(value.get(4..).unwrap_or_default())?];
                self.linger.store(if on == 0 { -1 } else { seconds.clamp(0, i32::MAX) }, Ordering::Relaxed);
                return Ok(());
            }
            n::SO_BINDTODEVICE => return self.bind_to_device(value),
            n::SO_ATTACH_FILTER | n::SO_DETACH_FILTER => return Err(Errno::ENOPROTOOPT),
            _ => {}
        }
        let number = int(value)?;
        let on = number != 0;
        // A negative number is a large one.
        let most = |setting| sysctl::get(setting) as u32;
        let doubled = |least: u32, most: u32| (number as u32).min(most).saturating_mul(2).max(least);
        match option {
            n::SO_REUSEADDR => self.reuse_address.store(on, Ordering::Relaxed),
            n::SO_REUSEPORT => self.reuse_port.store(on, Ordering::Relaxed),
            n::SO_BROADCAST => self.broadcast.store(on, Ordering::Relaxed),
            n::SO_KEEPALIVE => self.keep_alive.store(on, Ordering::Relaxed),
            n::SO_DONTROUTE => self.flag(flag::DONT_ROUTE, on),
            n::SO_OOBINLINE => self.flag(flag::OOB_INLINE, on),
            // The last one asked for counts.
            n::SO_TIMESTAMP | n::SO_TIMESTAMPNS => {
                self.flag(flag::TIMESTAMP, on && option == n::SO_TIMESTAMP);
                self.flag(flag::TIMESTAMPNS, on && option == n::SO_TIMESTAMPNS);
            }
            n::SO_RCVBUF => self.receive_buffer.store(doubled(LEAST.0, most(&sysctl::RMEM_MAX)), Ordering::Relaxed),
            n::SO_SNDBUF => self.send_buffer.store(doubled(LEAST.1, most(&sysctl::WMEM_MAX)), Ordering::Relaxed),
            n::SO_RCVBUFFORCE | n::SO_SNDBUFFORCE => {
                if !capable(linux_raw_sys::general::CAP_NET_ADMIN) {
                    return Err(Errno::EPERM);
                }
                let (slot, least) =
                    if option == n::SO_RCVBUFFORCE { (&self.receive_buffer, LEAST.0) } else { (&self.send_buffer, LEAST.1) };
                slot.store(doubled(least, i32::MAX as u32 / 2), Ordering::Relaxed);
            }
            n::SO_RCVLOWAT => self.low_water.store(if number < 0 { i32::MAX } else { number.max(1) }, Ordering::Relaxed),
            n::SO_PRIORITY => self.priority.store(number, Ordering::Relaxed),
            n::SO_MARK => self.mark.store(number, Ordering::Relaxed),
            n::SO_TYPE | n::SO_PROTOCOL | n::SO_DOMAIN | n::SO_ERROR | n::SO_ACCEPTCONN => return Err(Errno::ENOPROTOOPT),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn bind_to_device(&self, value: &[u8]) -> SysResult<()> {
        let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
        let known = name.is_empty() || super::interface::by_name(name).is_some();
        if !known {
            return Err(Errno::ENODEV);
        }
        *self.device.lock() = name.to_vec();
        Ok(())
    }

    fn set_ip(&self, option: u32, value: &[u8]) -> SysResult<()> {
        // A byte will do, or nothing, as on Linux.
        let number = int(value).unwrap_or_else(|_| value.first().map_or(0, |b| i32::from(*b)));
        match option {
            // TCP uses the two lowest bits itself (RFC 3168).
            n::IP_TOS => self.tos.store(number as u8 & if self.stream { !3 } else { !0 }, Ordering::Relaxed),
            n::IP_TTL => match number {
                -1 => self.ttl.store(0, Ordering::Relaxed),
                1..=255 => self.ttl.store(number as u8, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            n::IP_FREEBIND | n::IP_TRANSPARENT | n::IP_MULTICAST_ALL if value.is_empty() => return Err(Errno::EINVAL),
            n::IP_FREEBIND => self.free_bind.store(number != 0, Ordering::Relaxed),
            n::IP_TRANSPARENT => self.transparent.store(number != 0, Ordering::Relaxed),
            n::IP_PKTINFO => self.flag(flag::PKTINFO, number != 0),
            n::IP_RECVERR => self.flag(flag::RECVERR, number != 0),
            n::IP_RECVTTL => self.flag(flag::RECVTTL, number != 0),
            n::IP_RECVTOS => self.flag(flag::RECVTOS, number != 0),
            n::IP_MTU_DISCOVER => self.set_discover(0, number)?,
            n::IP_BIND_ADDRESS_NO_PORT => self.bind_no_port.store(number != 0, Ordering::Relaxed),
            n::IP_MULTICAST_ALL => match number {
                0 | 1 => self.flag(flag::ONLY_JOINED[0], number == 0),
                _ => return Err(Errno::EINVAL),
            },
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn set_ipv6(&self, option: u32, value: &[u8]) -> SysResult<()> {
        // The one option that takes nothing for 0.
        if option == n::IPV6_DONTFRAG {
            self.flag(flag::DONTFRAG6, int(value).is_ok_and(|number| number != 0));
            return Ok(());
        }
        let number = int(value);
        match option {
            n::IPV6_V6ONLY | n::IPV6_UNICAST_HOPS | n::IPV6_TCLASS | n::IPV6_RECVPKTINFO | n::IPV6_RECVERR => {}
            n::IPV6_RECVHOPLIMIT | n::IPV6_RECVTCLASS | n::IPV6_MTU_DISCOVER | n::IPV6_MULTICAST_ALL | n::IPV6_FREEBIND => {}
            _ => return Err(Errno::ENOPROTOOPT),
        }
        let number = number?;
        match option {
            n::IPV6_V6ONLY => self.v6_only.store(number != 0, Ordering::Relaxed),
            n::IPV6_UNICAST_HOPS => match number {
                -1..=255 => self.hops.store(number, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            n::IPV6_TCLASS => match number {
                -1..=255 => self.tos.store(number.max(0) as u8 & if self.stream { !3 } else { !0 }, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            n::IPV6_RECVPKTINFO => self.flag(flag::PKTINFO6, number != 0),
            n::IPV6_RECVERR => self.flag(flag::RECVERR6, number != 0),
            n::IPV6_RECVHOPLIMIT => self.flag(flag::RECVHOPLIMIT, number != 0),
            n::IPV6_RECVTCLASS => self.flag(flag::RECVTCLASS, number != 0),
            n::IPV6_MTU_DISCOVER => self.set_discover(1, number)?,
            n::IPV6_MULTICAST_ALL => self.flag(flag::ONLY_JOINED[1], number == 0),
            n::IPV6_FREEBIND => self.free_bind.store(number != 0, Ordering::Relaxed),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn set_discover(&self, family: usize, number: i32) -> SysResult<()> {
        if !(0..=5).contains(&number) {
            return Err(Errno::EINVAL);
        }
        self.discover[family].store(number as u8, Ordering::Relaxed);
        Ok(())
    }

    /// getsockopt(2) of the levels that all share.
    pub fn get(&self, level: u32, option: u32) -> SysResult<Vec<u8>> {
        if (level != n::SOL_IPV6 || self.family == Family::V6)
            && let Some(value) = self.groups.get(level, option)
        {
            return Ok(value);
        }
        let flag = |bit| i32::from(self.has(bit));
        let on = |bool: &AtomicBool| i32::from(bool.load(Ordering::Relaxed));
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_RCVTIMEO) => return Ok(timeval_bytes(self.receive_timeout.load(Ordering::Relaxed))),
            (n::SOL_SOCKET, n::SO_SNDTIMEO) => return Ok(timeval_bytes(self.send_timeout.load(Ordering::Relaxed))),
            (n::SOL_SOCKET, n::SO_LINGER) => {
                let seconds = self.linger.load(Ordering::Relaxed);
                let mut out = i32::from(seconds >= 0).to_ne_bytes().to_vec();
                out.extend_from_slice(&seconds.max(0).to_ne_bytes());
                return Ok(out);
            }
            (n::SOL_SOCKET, n::SO_BINDTODEVICE) => {
                let mut name = self.device.lock().clone();
                if !name.is_empty() {
                    name.push(0);
                }
                return Ok(name);
            }
            (n::SOL_SOCKET, n::SO_REUSEADDR) => on(&self.reuse_address),
            (n::SOL_SOCKET, n::SO_REUSEPORT) => on(&self.reuse_port),
            (n::SOL_SOCKET, n::SO_BROADCAST) => on(&self.broadcast),
            (n::SOL_SOCKET, n::SO_KEEPALIVE) => on(&self.keep_alive),
            (n::SOL_SOCKET, n::SO_TIMESTAMP) => flag(flag::TIMESTAMP),
            (n::SOL_SOCKET, n::SO_TIMESTAMPNS) => flag(flag::TIMESTAMPNS),
            (n::SOL_SOCKET, n::SO_DONTROUTE) => flag(flag::DONT_ROUTE),
            (n::SOL_SOCKET, n::SO_OOBINLINE) => flag(flag::OOB_INLINE),
            (n::SOL_SOCKET, n::SO_RCVBUF) => self.buffers().0 as i32,
            (n::SOL_SOCKET, n::SO_SNDBUF) => self.buffers().1 as i32,
            (n::SOL_SOCKET, n::SO_RCVLOWAT) => self.low_water.load(Ordering::Relaxed),
            (n::SOL_SOCKET, n::SO_SNDLOWAT) => 1,
            (n::SOL_SOCKET, n::SO_PRIORITY) => self.priority.load(Ordering::Relaxed),
            (n::SOL_SOCKET, n::SO_MARK) => self.mark.load(Ordering::Relaxed),
            (n::SOL_SOCKET, n::SO_DOMAIN) => self.family.number() as i32,
            (n::SOL_SOCKET, n::SO_INCOMING_NAPI_ID | n::SO_BUSY_POLL) => 0,
            (n::SOL_IP, n::IP_TOS) => self.tos.load(Ordering::Relaxed).into(),
            (n::SOL_IP, n::IP_TTL) => match self.ttl.load(Ordering::Relaxed) {
                0 => default_ttl().into(),
                ttl => ttl.into(),
            },
            (n::SOL_IP, n::IP_FREEBIND) => on(&self.free_bind),
            (n::SOL_IP, n::IP_TRANSPARENT) => on(&self.transparent),
            (n::SOL_IP, n::IP_PKTINFO) => flag(flag::PKTINFO),
            (n::SOL_IP, n::IP_RECVERR) => flag(flag::RECVERR),
            (n::SOL_IP, n::IP_RECVTTL) => flag(flag::RECVTTL),
            (n::SOL_IP, n::IP_RECVTOS) => flag(flag::RECVTOS),
            (n::SOL_IP, n::IP_MTU_DISCOVER) => self.discover[0].load(Ordering::Relaxed).into(),
            (n::SOL_IP, n::IP_BIND_ADDRESS_NO_PORT) => on(&self.bind_no_port),
            (n::SOL_IP, n::IP_MULTICAST_ALL) => 1 - flag(flag::ONLY_JOINED[0]),
            (n::SOL_IP, n::IP_MTU) => return Err(Errno::ENOTCONN),
            (n::SOL_IPV6, _) if self.family != Family::V6 => return Err(Errno::EOPNOTSUPP),
            (n::SOL_IPV6, n::IPV6_V6ONLY) => on(&self.v6_only),
            (n::SOL_IPV6, n::IPV6_UNICAST_HOPS) => self.ttl().into(),
            (n::SOL_IPV6, n::IPV6_TCLASS) => self.tos.load(Ordering::Relaxed).into(),
            (n::SOL_IPV6, n::IPV6_RECVPKTINFO) => flag(flag::PKTINFO6),
            (n::SOL_IPV6, n::IPV6_RECVERR) => flag(flag::RECVERR6),
            (n::SOL_IPV6, n::IPV6_RECVHOPLIMIT) => flag(flag::RECVHOPLIMIT),
            (n::SOL_IPV6, n::IPV6_RECVTCLASS) => flag(flag::RECVTCLASS),
            (n::SOL_IPV6, n::IPV6_MTU_DISCOVER) => self.discover[1].load(Ordering::Relaxed).into(),
            (n::SOL_IPV6, n::IPV6_DONTFRAG) => flag(flag::DONTFRAG6),
            (n::SOL_IPV6, n::IPV6_MULTICAST_ALL) => 1 - flag(flag::ONLY_JOINED[1]),
            (n::SOL_IPV6, n::IPV6_FREEBIND) => on(&self.free_bind),
            (n::SOL_IPV6, n::IPV6_MTU) => return Err(Errno::ENOTCONN),
            (n::SOL_SOCKET | n::SOL_IP, _) => return Err(Errno::ENOPROTOOPT),
            _ if self.family == Family::V4 => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}

/// `IPPROTO_MAX`.
const MOST_PROTOCOLS: u32 = 263;

/// socket(2) for `AF_INET` and `AF_INET6`.
pub fn create(family: Family, kind: u32, protocol: u32, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    match (kind, protocol) {
        (_, MOST_PROTOCOLS..) => Err(Errno::EINVAL),
        (n::SOCK_STREAM, 0 | IPPROTO_TCP) => Ok(open(TcpSocket::new(family), flags)),
        (n::SOCK_DGRAM, 0 | IPPROTO_UDP) => Ok(open(UdpSocket::new(family, false), flags)),
        (n::SOCK_DGRAM, IPPROTO_UDPLITE) => Ok(open(UdpSocket::new(family, true), flags)),
        (n::SOCK_DGRAM, protocol) if protocol == family.icmp() && !sysctl::may_ping() => Err(Errno::EACCES),
        (n::SOCK_DGRAM, protocol) if protocol == family.icmp() => Ok(open(RawSocket::ping(family), flags)),
        (n::SOCK_RAW, 1..=255) => {
            if !capable(linux_raw_sys::general::CAP_NET_RAW) {
                return Err(Errno::EPERM);
            }
            Ok(open(RawSocket::raw(family, protocol as u8), flags))
        }
        (n::SOCK_STREAM | n::SOCK_DGRAM | n::SOCK_RAW, _) => Err(Errno::EPROTONOSUPPORT),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}
