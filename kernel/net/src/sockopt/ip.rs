//! The level `SOL_IP` (ip(7)).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fd::capable;
use fd::socket::int;
use linux_raw_sys::general::{CAP_NET_ADMIN, CAP_NET_RAW};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::{bit_of, flag, interface_in_order};
use crate::extension::options_to_send;
use crate::socket::{Common, Family, default_ttl};

/// Options that are on or off.
const FLAGS: [(u32, u64); 16] = [
    (n::IP_PKTINFO, flag::PKTINFO),
    (n::IP_RECVTTL, flag::RECVTTL),
    (n::IP_RECVTOS, flag::RECVTOS),
    (n::IP_RECVOPTS, flag::RECVOPTS),
    (n::IP_RETOPTS, flag::RETOPTS),
    (n::IP_RECVERR, flag::RECVERR),
    (n::IP_RECVORIGDSTADDR, flag::ORIGDSTADDR),
    (n::IP_CHECKSUM, flag::CHECKSUM),
    (n::IP_PASSSEC, flag::PASSSEC),
    (n::IP_FREEBIND, flag::FREEBIND),
    (n::IP_TRANSPARENT, flag::TRANSPARENT),
    (n::IP_NODEFRAG, flag::NODEFRAG),
    (n::IP_BIND_ADDRESS_NO_PORT, flag::BIND_NO_PORT),
    (n::IP_RECVFRAGSIZE, flag::RECVFRAGSIZE),
    (n::IP_RECVERR_RFC4884, flag::RFC4884),
    (n::IP_HDRINCL, flag::HDRINCL),
];

impl Common {
    pub(super) fn set_ip(&self, option: u32, value: &[u8]) -> SysResult<()> {
        // A byte will do, or nothing, as on Linux.
        let number = int(value).unwrap_or_else(|_| value.first().map_or(0, |b| i32::from(*b)));
        let on = number != 0;
        // TCP uses the two lowest bits of a type of service itself (RFC 3168).
        let tos = |number: i32| number as u8 & if self.stream { !3 } else { !0 };
        match option {
            n::IP_FREEBIND | n::IP_TRANSPARENT | n::IP_MULTICAST_ALL | n::IP_MINTTL if value.is_empty() => {
                return Err(Errno::EINVAL);
            }
            n::IP_HDRINCL | n::IP_NODEFRAG if !self.raw || self.family() == Family::V6 => return Err(Errno::ENOPROTOOPT),
            n::IP_RECVFRAGSIZE if self.stream => return Err(Errno::EINVAL),
            n::IP_RECVERR_RFC4884 if !matches!(number, 0 | 1) => return Err(Errno::EINVAL),
            n::IP_TRANSPARENT if on && !capable(CAP_NET_RAW) && !capable(CAP_NET_ADMIN) => return Err(Errno::EPERM),
            n::IP_UNICAST_IF => {
                if value.len() != 4 {
                    return Err(Errno::EINVAL);
                }
                interface_in_order(number)?;
            }
            n::IP_LOCAL_PORT_RANGE => {
                let (low, high) = (number as u32 & 0xffff, number as u32 >> 16);
                if value.len() != 4 || low != 0 && high != 0 && low > high {
                    return Err(Errno::EINVAL);
                }
            }
            n::IP_ROUTER_ALERT => return Err(Errno::EINVAL),
            // There is nothing that would keep secrets; what is asked for is looked at all the
            // same, as on Linux.
            n::IP_IPSEC_POLICY | n::IP_XFRM_POLICY => {
                let other = option == n::IP_IPSEC_POLICY || self.family() == Family::V6;
                return Err(match value {
                    [] => Errno::EMSGSIZE,
                    _ if other => Errno::EOPNOTSUPP,
                    _ => Errno::EINVAL,
                });
            }
            _ => {}
        }
        if let Some(bit) = bit_of(&FLAGS, option) {
            self.flag(bit, on);
            return Ok(());
        }
        match option {
            n::IP_TOS => self.tos[0].store(tos(number), Ordering::Relaxed),
            n::IP_TTL => match number {
                _ if value.is_empty() => return Err(Errno::EINVAL),
                -1 => self.ttl.store(0, Ordering::Relaxed),
                1..=255 => self.ttl.store(number as u8, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            n::IP_OPTIONS => return self.set_options(value),
            n::IP_MTU_DISCOVER => return self.set_discover(0, number),
            n::IP_MULTICAST_ALL => match number {
                0 | 1 => self.flag(flag::ONLY_JOINED[0], number == 0),
                _ => return Err(Errno::EINVAL),
            },
            _ => return self.numbers.set(n::SOL_IP, option, number).unwrap_or(Err(Errno::ENOPROTOOPT)),
        }
        Ok(())
    }

    /// `IP_OPTIONS`.
    fn set_options(&self, value: &[u8]) -> SysResult<()> {
        // As on Linux, none are options too: a raw socket that has had any sends no headers of the
        // application's own.
        self.sticky.set_v4(Some(options_to_send(value)?));
        Ok(())
    }

    pub(super) fn set_discover(&self, family: usize, number: i32) -> SysResult<()> {
        if !(0..=5).contains(&number) {
            return Err(Errno::EINVAL);
        }
        self.discover[family].store(number as u8, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn get_ip(&self, option: u32) -> SysResult<Vec<u8>> {
        if let Some(bit) = bit_of(&FLAGS, option) {
            return Ok(i32::from(self.has(bit)).to_ne_bytes().to_vec());
        }
        let number = match option {
            n::IP_TOS => self.tos(false).into(),
            n::IP_TTL => match self.ttl.load(Ordering::Relaxed) {
                0 => default_ttl().into(),
                ttl => ttl.into(),
            },
            n::IP_OPTIONS => return Ok(self.sticky.v4().map_or(Vec::new(), |options| options.asked_for().to_vec())),
            n::IP_PKTOPTIONS if self.stream => return Ok(Vec::new()),
            n::IP_MTU_DISCOVER => self.discover[0].load(Ordering::Relaxed).into(),
            n::IP_MULTICAST_ALL => 1 - i32::from(self.has(flag::ONLY_JOINED[0])),
            n::IP_ROUTER_ALERT => 0,
            n::IP_MTU => return Err(Errno::ENOTCONN),
            _ => self.numbers.get(n::SOL_IP, option).ok_or(Errno::ENOPROTOOPT)?,
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
