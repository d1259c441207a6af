//! `SIOCSIF*`: what the super-user changes.

use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr};
use core::sync::atomic::Ordering;

use fd::socket::int;
use inet::ip::Cidr;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};

use super::{AF_INET, hardware};
use crate::address;
use crate::interface::{self, Interface, NAME};
use crate::netlink::events;

/// Whether a request changes an interface.
pub fn is_one(request: u32) -> bool {
    matches!(
        request,
        i::SIOCSIFFLAGS
            | i::SIOCSIFADDR
            | i::SIOCSIFDSTADDR
            | i::SIOCSIFBRDADDR
            | i::SIOCSIFNETMASK
            | i::SIOCSIFMETRIC
            | i::SIOCSIFMTU
            | i::SIOCSIFHWADDR
            | i::SIOCSIFTXQLEN
            | i::SIOCSIFNAME
    )
}

/// Changes it.
pub fn set(interface: &Arc<Interface>, request: u32, value: &[u8]) -> SysResult<()> {
    match request {
        i::SIOCSIFFLAGS => {
            let low = value.first_chunk().map_or(0, |low| u16::from_ne_bytes(*low));
            address::set_flags(interface, interface.flags() & !0xffff | u32::from(low));
        }
        i::SIOCSIFMTU => {
            interface.set_mtu(u32::try_from(int(value)?).map_err(|_| Errno::EINVAL)?)?;
            events::link(interface, true);
        }
        i::SIOCSIFTXQLEN => {
            let len = u32::try_from(int(value)?).map_err(|_| Errno::EINVAL)?;
            interface.transmit_queue.store(len, Ordering::Relaxed);
            events::link(interface, true);
        }
        i::SIOCSIFHWADDR => {
            let [k0, k1, a, b, c, d, e, f, ..] = *value else { return Err(Errno::EINVAL) };
            if u16::from_ne_bytes([k0, k1]) != hardware(interface) {
                return Err(Errno::EINVAL);
            }
            set_mac(interface, &[a, b, c, d, e, f])?;
        }
        i::SIOCSIFNAME => {
            let name = value.get(..NAME).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
            rename(interface, name)?;
        }
        i::SIOCSIFMETRIC => return Err(Errno::EOPNOTSUPP),
        _ => set_address(interface, request, value)?,
    }
    Ok(())
}

/// Changes the hardware address. `EOPNOTSUPP` where there is none, `EADDRNOTAVAIL` for one that
/// cannot be one's own.
pub fn set_mac(interface: &Interface, address: &[u8; 6]) -> SysResult<()> {
    if interface.is_loopback() || interface.link.is_point_to_point() {
        return Err(Errno::EOPNOTSUPP);
    }
    if address[0] & 1 != 0 || *address == [0; 6] {
        return Err(Errno::EADDRNOTAVAIL);
    }
    interface.set_mac(*address);
    events::link(interface, true);
    Ok(())
}

/// Gives an interface another name.
pub fn rename(interface: &Interface, name: &[u8]) -> SysResult<()> {
    if interface.is_named(name) {
        return Ok(());
    }
    interface::rename(interface, name)?;
    interface.name_assign.store(4, Ordering::Relaxed);
    events::link(interface, true);
    Ok(())
}

/// The network that an address of the old classes had (`inet_abc_len`).
fn class(address: Ipv4Addr) -> SysResult<u8> {
    match address.octets() {
        [0, ..] | [255, 255, 255, 255] => Ok(if address.is_unspecified() { 0 } else { 32 }),
        [1..=127, ..] => Ok(8),
        [128..=191, ..] => Ok(16),
        [192..=223, ..] => Ok(24),
        _ => Err(Errno::EINVAL),
    }
}

fn set_address(interface: &Arc<Interface>, request: u32, value: &[u8]) -> SysResult<()> {
    let [f0, f1, _, _, a, b, c, d, ..] = *value else { return Err(Errno::EINVAL) };
    if u16::from_ne_bytes([f0, f1]) != AF_INET {
        return Err(Errno::EINVAL);
    }
    let new = Ipv4Addr::new(a, b, c, d);
    let present = interface.addresses.lock().iter().find(|own| own.address.is_ipv4()).copied();
    if request == i::SIOCSIFADDR {
        let prefix = if interface.link.is_point_to_point() { 32 } else { class(new)? };
        if let Some(own) = present {
            if own.address == IpAddr::V4(new) {
                return Ok(());
            }
            address::remove(interface, |other| *other == own)?;
        }
        return if new.is_unspecified() { Ok(()) } else { address::add(interface, Cidr { address: new.into(), prefix }) };
    }
    let own = present.ok_or(Errno::EADDRNOTAVAIL)?;
    match request {
        i::SIOCSIFNETMASK => {
            let bits = new.to_bits();
            if bits.leading_ones() + bits.trailing_zeros().min(32) < 32 {
                return Err(Errno::EINVAL);
            }
            let changed = Cidr { prefix: bits.leading_ones() as u8, ..own };
            if changed != own {
                address::remove(interface, |other| *other == own)?;
                address::add(interface, changed)?;
            }
            Ok(())
        }
        // It follows from the network.
        i::SIOCSIFBRDADDR if own.broadcast().is_none_or(|broadcast| broadcast == new) => Ok(()),
        _ => Err(Errno::EOPNOTSUPP),
    }
}
