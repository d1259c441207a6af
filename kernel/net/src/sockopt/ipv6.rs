//! The level `SOL_IPV6` (ipv6(7), RFC 3542).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fd::capable;
use fd::socket::int;
use inet::Bytes;
use inet::ipv6_headers::{Headers, MAX_LEN, UNIT, is_segment_routing, len_of};
use linux_raw_sys::general::{CAP_NET_ADMIN, CAP_NET_RAW};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::{bit_of, flag, interface_in_order};
use crate::socket::Common;

/// Options that are on or off.
const FLAGS: [(u32, u64); 25] = [
    (n::IPV6_RECVPKTINFO, flag::PKTINFO6),
    (n::IPV6_2292PKTINFO, flag::PKTINFO2292),
    (n::IPV6_RECVERR, flag::RECVERR6),
    (n::IPV6_RECVHOPLIMIT, flag::RECVHOPLIMIT),
    (n::IPV6_2292HOPLIMIT, flag::HOPLIMIT2292),
    (n::IPV6_RECVTCLASS, flag::RECVTCLASS),
    (n::IPV6_RECVRTHDR, flag::RECVRTHDR),
    (n::IPV6_2292RTHDR, flag::RTHDR2292),
    (n::IPV6_RECVHOPOPTS, flag::RECVHOPOPTS),
    (n::IPV6_2292HOPOPTS, flag::HOPOPTS2292),
    (n::IPV6_RECVDSTOPTS, flag::RECVDSTOPTS),
    (n::IPV6_2292DSTOPTS, flag::DSTOPTS2292),
    (n::IPV6_FLOWINFO, flag::RXFLOW),
    (n::IPV6_RECVPATHMTU, flag::RECVPATHMTU),
    (n::IPV6_FLOWINFO_SEND, flag::FLOWINFO_SEND),
    (n::IPV6_ROUTER_ALERT_ISOLATE, flag::ALERT_ISOLATE),
    (n::IPV6_RECVORIGDSTADDR, flag::ORIGDSTADDR6),
    (n::IPV6_RECVFRAGSIZE, flag::RECVFRAGSIZE6),
    (n::IPV6_RECVERR_RFC4884, flag::RFC4884_6),
    (n::IPV6_FREEBIND, flag::FREEBIND6),
    (n::IPV6_TRANSPARENT, flag::TRANSPARENT),
    (n::IPV6_DONTFRAG, flag::DONTFRAG6),
    // These are kept the other way round: they are on at first.
    (n::IPV6_AUTOFLOWLABEL, flag::FLOWLABEL_FIXED),
    (n::IPV6_MULTICAST_ALL, flag::ONLY_JOINED[1]),
    (n::IPV6_HDRINCL, flag::HDRINCL),
];
/// Those of which one may leave the value out.
const SHORT: [u32; 3] = [n::IPV6_DONTFRAG, n::IPV6_AUTOFLOWLABEL, n::IPV6_RECVFRAGSIZE];
const INVERTED: u64 = flag::FLOWLABEL_FIXED | flag::ONLY_JOINED[1];
/// Headers that every packet is to carry.
const STICKY: [u32; 4] = [n::IPV6_HOPOPTS, n::IPV6_RTHDRDSTOPTS, n::IPV6_RTHDR, n::IPV6_DSTOPTS];
/// The least `IPV6_MTU`.
const MIN_MTU: i32 = n::IPV6_MIN_MTU as i32;
/// Sizes of `struct ipv6_mreq` and `struct ip6_mtuinfo`.
const MREQ: usize = 20;
/// See `MREQ`.
const MTUINFO: usize = 32;

/// The header that one of [`STICKY`] is about.
fn sticky(headers: &mut Headers, option: u32) -> &mut Bytes {
    match option {
        n::IPV6_HOPOPTS => &mut headers.hop_by_hop,
        n::IPV6_RTHDRDSTOPTS => &mut headers.before_routing,
        n::IPV6_RTHDR => &mut headers.routing,
        _ => &mut headers.destination,
    }
}

/// `IPV6_ADDR_PREFERENCES`: at most one of each group may be named; what is not is as usual.
fn preferences(number: i32) -> SysResult<i32> {
    let one_of = |choices: [u32; 3], usual: u32| match number as u32 & (choices[0] | choices[1] | choices[2]) {
        0 => Ok(usual),
        chosen if choices.contains(&chosen) => Ok(chosen),
        _ => Err(Errno::EINVAL),
    };
    let usual = n::IPV6_PREFER_SRC_PUBTMP_DEFAULT;
    let public = one_of([n::IPV6_PREFER_SRC_TMP, n::IPV6_PREFER_SRC_PUBLIC, usual], usual)?;
    let home = n::IPV6_PREFER_SRC_HOME;
    let place = one_of([n::IPV6_PREFER_SRC_COA, home, home], home)?;
    let cga = n::IPV6_PREFER_SRC_CGA;
    one_of([cga, n::IPV6_PREFER_SRC_NONCGA, cga], 0)?;
    Ok((public | place) as i32)
}

impl Common {
    pub(super) fn set_ipv6(&self, option: u32, value: &[u8]) -> SysResult<()> {
        if let Some(bit) = bit_of(&FLAGS, option) {
            if option == n::IPV6_HDRINCL && !self.raw {
                return Err(Errno::ENOPROTOOPT);
            }
            let number = match int(value) {
                Err(_) if SHORT.contains(&option) => 0,
                number => number?,
            };
            match option {
                n::IPV6_RECVERR_RFC4884 if !matches!(number, 0 | 1) => return Err(Errno::EINVAL),
                n::IPV6_TRANSPARENT if number != 0 && !capable(CAP_NET_RAW) && !capable(CAP_NET_ADMIN) => {
                    return Err(Errno::EPERM);
                }
                _ => {}
            }
            self.flag(bit, (number != 0) != (bit & INVERTED != 0));
            return Ok(());
        }
        if STICKY.contains(&option) {
            check_sticky(option, value)?;
            let header = len_of(value).and_then(|len| value.get(..len)).unwrap_or_default();
            self.sticky.change_v6(|headers| *sticky(headers, option) = header.to_vec().into());
            return Ok(());
        }
        let tclass = |number: i32| number.max(0) as u8 & if self.stream { !3 } else { !0 };
        let known = self.numbers.get(n::SOL_IPV6, option).is_some();
        match option {
            n::IPV6_2292PKTOPTIONS => return self.set_packet_options(value),
            n::IPV6_PKTINFO => return self.set_packet_info(value),
            n::IPV6_ROUTER_ALERT if value.len() < 4 => return Err(Errno::EINVAL),
            n::IPV6_UNICAST_IF if value.len() != 4 => return Err(Errno::EINVAL),
            n::IPV6_JOIN_ANYCAST | n::IPV6_LEAVE_ANYCAST if value.len() < MREQ => return Err(Errno::EINVAL),
            // None can have been joined.
            n::IPV6_LEAVE_ANYCAST => return Err(Errno::ENOENT),
            n::IPV6_IPSEC_POLICY | n::IPV6_XFRM_POLICY => {
                return Err(match value {
                    [] => Errno::EMSGSIZE,
                    _ if option == n::IPV6_IPSEC_POLICY => Errno::EOPNOTSUPP,
                    _ => Errno::EINVAL,
                });
            }
            n::IPV6_V6ONLY | n::IPV6_UNICAST_HOPS | n::IPV6_TCLASS | n::IPV6_MTU_DISCOVER | n::IPV6_ADDRFORM => {}
            _ if !known => return Err(Errno::ENOPROTOOPT),
            _ => {}
        }
        let number = int(value)?;
        match option {
            n::IPV6_V6ONLY if self.raw => return Err(Errno::EINVAL),
            n::IPV6_V6ONLY => self.v6_only.store(number != 0, Ordering::Relaxed),
            n::IPV6_UNICAST_HOPS => match number {
                -1..=255 => self.hops.store(number, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            n::IPV6_TCLASS => match number {
                -1..=255 => self.tos[1].store(tclass(number), Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            n::IPV6_MTU_DISCOVER => return self.set_discover(1, number),
            // Those that can be turned have done so before they come here.
            n::IPV6_ADDRFORM => return Err(Errno::EINVAL),
            n::IPV6_MTU if number != 0 && number < MIN_MTU => return Err(Errno::EINVAL),
            n::IPV6_ADDR_PREFERENCES => {
                let chosen = preferences(number)?;
                return self.numbers.set(n::SOL_IPV6, option, chosen).unwrap_or(Ok(()));
            }
            n::IPV6_UNICAST_IF => {
                interface_in_order(number)?;
                return self.numbers.set(n::SOL_IPV6, option, number).unwrap_or(Ok(()));
            }
            _ => return self.numbers.set(n::SOL_IPV6, option, number).unwrap_or(Err(Errno::ENOPROTOOPT)),
        }
        Ok(())
    }

    pub(super) fn get_ipv6(&self, option: u32, room: usize) -> SysResult<Vec<u8>> {
        if let Some(bit) = bit_of(&FLAGS, option) {
            if option == n::IPV6_HDRINCL && !self.raw {
                return Err(Errno::ENOPROTOOPT);
            }
            return Ok(i32::from(self.has(bit) != (bit & INVERTED != 0)).to_ne_bytes().to_vec());
        }
        let number = match option {
            n::IPV6_V6ONLY => self.v6_only.load(Ordering::Relaxed).into(),
            n::IPV6_UNICAST_HOPS => self.ttl(true).into(),
            n::IPV6_TCLASS => self.tos(true).into(),
            n::IPV6_MTU_DISCOVER => self.discover[1].load(Ordering::Relaxed).into(),
            n::IPV6_ROUTER_ALERT => 0,
            n::IPV6_MTU => return Err(Errno::ENOTCONN),
            n::IPV6_ADDRFORM => return Err(if self.raw { Errno::ENOPROTOOPT } else { Errno::ENOTCONN }),
            n::IPV6_PATHMTU => return Err(if room < MTUINFO { Errno::EINVAL } else { Errno::ENOTCONN }),
            n::IPV6_2292PKTOPTIONS if self.stream => return Ok(self.packet_options()),
            option if STICKY.contains(&option) => return Ok(sticky(&mut self.sticky.v6(), option).to_vec()),
            _ => self.numbers.get(n::SOL_IPV6, option).ok_or(Errno::ENOPROTOOPT)?,
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}

/// Whether a program may have such a header sent. `EPERM`, `EINVAL`.
fn check_sticky(option: u32, value: &[u8]) -> SysResult<()> {
    if option != n::IPV6_RTHDR && !capable(CAP_NET_RAW) {
        return Err(Errno::EPERM);
    }
    let whole =
        value.len().is_multiple_of(UNIT) && value.len() <= MAX_LEN && len_of(value).is_some_and(|len| len <= value.len());
    match value {
        [] => Ok(()),
        _ if !whole || option == n::IPV6_RTHDR && !is_segment_routing(value) => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}
