//! The options that the sockets of the Internet families share (socket(7), ip(7), ipv6(7)).
//!
//! Most of them are on or off, or a number within bounds: tables say which. The rest is spelled
//! out, by level.

pub mod general;
mod ip;
mod ipv6;
mod packet_options;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, Ordering};

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::interface;
use super::socket::{Common, Family};

/// Bits of [`Common::flags`].
#[allow(missing_docs)]
pub mod flag {
    pub const PKTINFO: u64 = 1;
    pub const RECVERR: u64 = 1 << 1;
    pub const RECVTTL: u64 = 1 << 2;
    pub const RECVTOS: u64 = 1 << 3;
    pub const PKTINFO6: u64 = 1 << 4;
    pub const RECVERR6: u64 = 1 << 5;
    pub const RECVHOPLIMIT: u64 = 1 << 6;
    pub const DONT_ROUTE: u64 = 1 << 7;
    pub const OOB_INLINE: u64 = 1 << 8;
    pub const RECVTCLASS: u64 = 1 << 9;
    pub const TIMESTAMPNS: u64 = 1 << 10;
    pub const TIMESTAMP: u64 = 1 << 11;
    /// `IP_MULTICAST_ALL`, `IPV6_MULTICAST_ALL` are off: groups that others have joined are none of
    /// ours.
    pub const ONLY_JOINED: [u64; 2] = [1 << 12, 1 << 13];
    pub const DONTFRAG6: u64 = 1 << 14;
    pub const RXQ_OVFL: u64 = 1 << 15;
    pub const NO_CHECK: u64 = 1 << 16;
    pub const ZEROCOPY: u64 = 1 << 17;
    pub const ORIGDSTADDR: u64 = 1 << 18;
    pub const ORIGDSTADDR6: u64 = 1 << 19;
    pub const FREEBIND: u64 = 1 << 20;
    pub const TRANSPARENT: u64 = 1 << 21;
    pub const HDRINCL: u64 = 1 << 22;
    pub const BIND_NO_PORT: u64 = 1 << 23;
    pub const PKTINFO2292: u64 = 1 << 24;
    pub const HOPLIMIT2292: u64 = 1 << 25;
    /// The 64-bit forms of the time stamps, which look alike.
    pub const TIMESTAMP_NEW: u64 = 1 << 26;
    pub const FLOWLABEL_FIXED: u64 = 1 << 27;
    pub const DEBUG: u64 = 1 << 28;
    pub const WIFI_STATUS: u64 = 1 << 29;
    pub const NOFCS: u64 = 1 << 30;
    pub const SELECT_ERR_QUEUE: u64 = 1 << 32;
    pub const PREFER_BUSY_POLL: u64 = 1 << 33;
    pub const RCVMARK: u64 = 1 << 34;
    pub const RCVPRIORITY: u64 = 1 << 35;
    pub const RECVOPTS: u64 = 1 << 36;
    pub const RETOPTS: u64 = 1 << 37;
    pub const PASSSEC: u64 = 1 << 38;
    pub const NODEFRAG: u64 = 1 << 39;
    pub const CHECKSUM: u64 = 1 << 40;
    pub const RECVFRAGSIZE: u64 = 1 << 41;
    pub const RFC4884: u64 = 1 << 42;
    pub const RECVRTHDR: u64 = 1 << 43;
    pub const RECVHOPOPTS: u64 = 1 << 44;
    pub const RECVDSTOPTS: u64 = 1 << 45;
    pub const RTHDR2292: u64 = 1 << 46;
    pub const HOPOPTS2292: u64 = 1 << 47;
    pub const DSTOPTS2292: u64 = 1 << 48;
    pub const RXFLOW: u64 = 1 << 49;
    pub const RECVPATHMTU: u64 = 1 << 50;
    pub const FLOWINFO_SEND: u64 = 1 << 51;
    pub const ALERT_ISOLATE: u64 = 1 << 52;
    pub const RECVFRAGSIZE6: u64 = 1 << 53;
    pub const RFC4884_6: u64 = 1 << 54;
    pub const FREEBIND6: u64 = 1 << 55;
    pub const NO_CHECK6_TX: u64 = 1 << 56;
    pub const NO_CHECK6_RX: u64 = 1 << 57;
    pub const GRO: u64 = 1 << 58;
    /// `SO_TIMESTAMPING` asks for something.
    pub const TIMESTAMPING: u64 = 1 << 59;
}

/// An option that is a number: its level and name, its value at first, and its bounds.
struct Number {
    level: u32,
    option: u32,
    default: i32,
    least: i32,
    most: i32,
}

const fn number(level: u32, option: u32, default: i32, least: i32, most: i32) -> Number {
    Number { level, option, default, least, most }
}

/// All that are no more than that. What they ask for is a hint, or is looked up by whoever heeds
/// it.
static NUMBERS: [Number; 15] = [
    number(n::SOL_SOCKET, n::SO_TXREHASH, 1, 0, 1),
    number(n::SOL_SOCKET, n::SO_PRIORITY, 0, i32::MIN, i32::MAX),
    number(n::SOL_SOCKET, n::SO_MARK, 0, i32::MIN, i32::MAX),
    number(n::SOL_SOCKET, n::SO_BUSY_POLL, 0, 0, i32::MAX),
    number(n::SOL_SOCKET, n::SO_INCOMING_CPU, -1, i32::MIN, i32::MAX),
    number(n::SOL_SOCKET, n::SO_BUF_LOCK, 0, 0, 3),
    number(n::SOL_SOCKET, n::SO_TIMESTAMPING_OLD, 0, 0, (1 << 19) - 1),
    number(n::SOL_SOCKET, n::SO_TIMESTAMPING_NEW, 0, 0, (1 << 19) - 1),
    number(n::SOL_IP, n::IP_MINTTL, 0, 0, 255),
    number(n::SOL_IP, n::IP_UNICAST_IF, 0, i32::MIN, i32::MAX),
    number(n::SOL_IP, n::IP_LOCAL_PORT_RANGE, 0, i32::MIN, i32::MAX),
    number(n::SOL_IPV6, n::IPV6_MINHOPCOUNT, 0, 0, 255),
    number(n::SOL_IPV6, n::IPV6_UNICAST_IF, 0, i32::MIN, i32::MAX),
    number(n::SOL_IPV6, n::IPV6_ADDR_PREFERENCES, 0x500, 0, i32::MAX),
    number(n::SOL_IPV6, n::IPV6_MTU, 0, 0, i32::MAX),
];

/// A socket's values of [`NUMBERS`].
pub struct Numbers([AtomicI32; NUMBERS.len()]);

impl Default for Numbers {
    fn default() -> Self {
        Self(core::array::from_fn(|at| AtomicI32::new(NUMBERS.get(at).map_or(0, |number| number.default))))
    }
}

impl Numbers {
    /// Takes the values of another socket.
    pub fn copy_from(&self, other: &Self) {
        self.0.iter().zip(&other.0).for_each(|(to, from)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
    }

    fn find(&self, level: u32, option: u32) -> Option<(&Number, &AtomicI32)> {
        NUMBERS.iter().zip(&self.0).find(|(number, _)| number.level == level && number.option == option)
    }

    /// The value of an option that is in the table.
    pub fn get(&self, level: u32, option: u32) -> Option<i32> {
        self.find(level, option).map(|(_, value)| value.load(Ordering::Relaxed))
    }

    fn set(&self, level: u32, option: u32, to: i32) -> Option<SysResult<()>> {
        let (number, value) = self.find(level, option)?;
        if !(number.least..=number.most).contains(&to) {
            return Some(Err(Errno::EINVAL));
        }
        value.store(to, Ordering::Relaxed);
        Some(Ok(()))
    }
}

/// The bit of an option that is on or off, where its level has no more to say.
fn bit_of(table: &[(u32, u64)], option: u32) -> Option<u64> {
    table.iter().find(|(name, _)| *name == option).map(|(_, bit)| *bit)
}

/// The interface that an option names by its index in the network's order, as `IP_UNICAST_IF` does.
/// `EADDRNOTAVAIL`.
fn interface_in_order(value: i32) -> SysResult<()> {
    let index = u32::from_be(value as u32);
    if index == 0 || interface::by_index(index).is_some() { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) }
}

impl Common {
    /// setsockopt(2) of the levels that all share. `ENOPROTOOPT` for what the kind itself may know.
    pub fn set(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        self.has_level(level)?;
        if (level != n::SOL_IPV6 || self.family() == Family::V6)
            && let Some(result) = self.groups.set(level, option, value)
        {
            return result;
        }
        match level {
            n::SOL_SOCKET => self.set_general(option, value),
            n::SOL_IP => self.set_ip(option, value),
            n::SOL_IPV6 if self.family() == Family::V6 => self.set_ipv6(option, value),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    /// Raw sockets of IPv6 have no options of IPv4.
    fn has_level(&self, level: u32) -> SysResult<()> {
        let without = level == n::SOL_IP && self.raw && self.family() == Family::V6;
        if without { Err(Errno::ENOPROTOOPT) } else { Ok(()) }
    }

    /// A filter of sources, read back; `None` for all other options.
    pub fn group_filter(&self, level: u32, option: u32, room: usize, buffer: UserAddr) -> Option<SysResult<Vec<u8>>> {
        if level == n::SOL_IP && self.has_level(level).is_err() || level == n::SOL_IPV6 && self.family() == Family::V4 {
            return None;
        }
        self.groups.filter(level, option, room, buffer)
    }

    /// The value of an option that is a number; 0 for one that is not known.
    pub fn number(&self, level: u32, option: u32) -> i32 {
        self.numbers.get(level, option).unwrap_or(0)
    }

    /// getsockopt(2) of the levels that all share, for a caller that has `room` bytes.
    pub fn get(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        self.has_level(level)?;
        let value = match level {
            _ if (level != n::SOL_IPV6 || self.family() == Family::V6)
                && let Some(value) = self.groups.get(level, option) =>
            {
                value
            }
            n::SOL_SOCKET => return self.get_general(option, room),
            n::SOL_IP => self.get_ip(option)?,
            n::SOL_IPV6 if self.family() == Family::V6 => self.get_ipv6(option, room)?,
            // A level that is not there.
            _ => return Err(if self.family() == Family::V6 { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP }),
        };
        // An address is no number.
        let narrows = level == n::SOL_IP && option != n::IP_MULTICAST_IF;
        Ok(if narrows { narrowed(value, room) } else { value })
    }
}

/// The value of `IPV6_PATHMTU`, a `struct ip6_mtuinfo`: nobody's address, and what fits the way to
/// the other side.
pub fn path_mtu_info(mtu: i32, room: usize) -> SysResult<Vec<u8>> {
    const ADDRESS: usize = 28;
    if room < ADDRESS + 4 {
        return Err(Errno::EINVAL);
    }
    let mut out = alloc::vec![0; ADDRESS];
    out.extend_from_slice(&mtu.to_ne_bytes());
    Ok(out)
}

/// A number of the level `SOL_IP` as one byte, where it is one and there is no room for more.
pub fn narrowed(mut value: Vec<u8>, room: usize) -> Vec<u8> {
    if let [_, rest @ ..] = &value[..]
        && (1..4).contains(&room)
        && value.len() == 4
        && *rest == [0, 0, 0]
    {
        value.truncate(1);
    }
    value
}
