//! `IPV6_PKTINFO` and `IPV6_2292PKTOPTIONS`: what all packets are to have, as control messages say
//! it for one (RFC 2292, 7).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fd::socket::Control;
use inet::ipv6_headers::Headers;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::flag;
use crate::extension::Asked;
use crate::send_how::SendHow;
use crate::socket::Common;

/// Size of a `struct in6_pktinfo`, and where it names the interface.
const PKTINFO: usize = 20;
const PKTINFO_INTERFACE: usize = 16;
/// Size of a `struct cmsghdr`, to which messages are aligned.
const CMSGHDR: usize = 16;
const ALIGN: usize = 8;
/// The most that `IPV6_2292PKTOPTIONS` takes.
const MAX_LEN: usize = 64 << 10;

/// Control messages as they stand in memory. `EINVAL` for one that does not fit.
fn messages(bytes: &[u8]) -> SysResult<Vec<Control>> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(([l0, l1, l2, l3, l4, l5, l6, l7, v0, v1, v2, v3, k0, k1, k2, k3], _)) =
        rest.split_first_chunk::<CMSGHDR>()
    {
        let len = u64::from_ne_bytes([*l0, *l1, *l2, *l3, *l4, *l5, *l6, *l7]) as usize;
        let data = rest.get(CMSGHDR..len).ok_or(Errno::EINVAL)?.to_vec();
        let level = u32::from_ne_bytes([*v0, *v1, *v2, *v3]);
        out.push(Control { level, kind: u32::from_ne_bytes([*k0, *k1, *k2, *k3]), data });
        rest = rest.get(len.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    Ok(out)
}

impl Common {
    /// setsockopt(2) with `IPV6_PKTINFO`. Of the address Linux makes no use.
    pub(super) fn set_packet_info(&self, value: &[u8]) -> SysResult<()> {
        let info = value.first_chunk::<PKTINFO>().ok_or(Errno::EINVAL)?;
        let index = info[PKTINFO_INTERFACE..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let device = self.device.load(Ordering::Relaxed);
        if device != 0 && device != index {
            return Err(Errno::EINVAL);
        }
        self.sticky.set_interface(index);
        Ok(())
    }

    /// setsockopt(2) with `IPV6_2292PKTOPTIONS`: the headers that are named, and no others.
    pub(super) fn set_packet_options(&self, value: &[u8]) -> SysResult<()> {
        if value.len() > MAX_LEN {
            return Err(Errno::EINVAL);
        }
        let mut list = messages(value)?;
        list.retain(|message| message.level == n::SOL_IPV6);
        let headers = match SendHow::read(&list, true, self)?.asked {
            Some(Asked::V6(headers)) => headers,
            _ => Headers::default(),
        };
        self.sticky.change_v6(|own| *own = headers);
        Ok(())
    }

    /// getsockopt(2) with `IPV6_2292PKTOPTIONS`: what has been asked to be told, as far as it is
    /// known without a packet.
    pub(super) fn packet_options(&self) -> Vec<u8> {
        let info = || {
            let mut info = alloc::vec![0; PKTINFO_INTERFACE];
            info.extend_from_slice(&self.sticky.interface().to_ne_bytes());
            info
        };
        let hops = || i32::from(self.groups.reach(true).0).to_ne_bytes().to_vec();
        let class = || alloc::vec![0; 4];
        type Value<'a> = &'a dyn Fn() -> Vec<u8>;
        let known: [(u64, u32, Value<'_>); 5] = [
            (flag::PKTINFO6, n::IPV6_PKTINFO, &info),
            (flag::RECVHOPLIMIT, n::IPV6_HOPLIMIT, &hops),
            (flag::RECVTCLASS, n::IPV6_TCLASS, &class),
            (flag::PKTINFO2292, n::IPV6_2292PKTINFO, &info),
            (flag::HOPLIMIT2292, n::IPV6_2292HOPLIMIT, &hops),
        ];
        let mut out = Vec::new();
        for (_, kind, value) in known.iter().filter(|(bit, ..)| self.has(*bit)) {
            let data = value();
            out.extend_from_slice(&((CMSGHDR + data.len()) as u64).to_ne_bytes());
            out.extend_from_slice(&n::SOL_IPV6.to_ne_bytes());
            out.extend_from_slice(&kind.to_ne_bytes());
            out.extend_from_slice(&data);
            out.resize(out.len().next_multiple_of(ALIGN), 0);
        }
        out
    }
}
