//! `struct sockaddr_ll`.

use fd::socket::Address;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use crate::interface::Interface;
use crate::ioctl;

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
/// `sizeof(struct sockaddr_ll)`.
const SOCKADDR_LL: usize = 20;
/// Where its hardware address begins.
const HARDWARE: usize = 12;

/// What of an address counts to send, or to bind.
pub struct Place {
    /// `ETH_P_*`.
    pub protocol: u16,
    /// The interface's index; 0 for any.
    pub interface: u32,
    /// A hardware address, if one is given.
    pub hardware: Option<[u8; 6]>,
}

/// Reads one. `EINVAL`.
pub fn decode(bytes: &[u8], to_send: bool) -> SysResult<Place> {
    if bytes.len() < SOCKADDR_LL {
        return Err(Errno::EINVAL);
    }
    let [f0, f1, p0, p1, i0, i1, i2, i3, _, _, _, halen, hardware @ ..] = bytes else { return Err(Errno::EINVAL) };
    if !to_send && u32::from(u16::from_ne_bytes([*f0, *f1])) != n::AF_PACKET {
        return Err(Errno::EINVAL);
    }
    if to_send && bytes.len() < HARDWARE + usize::from(*halen) {
        return Err(Errno::EINVAL);
    }
    let hardware = hardware.first_chunk().copied().filter(|_| *halen != 0);
    let interface = u32::from_ne_bytes([*i0, *i1, *i2, *i3]);
    Ok(Place { protocol: u16::from_be_bytes([*p0, *p1]), interface, hardware })
}

/// Writes one.
pub fn encode(protocol: u16, index: u32, hardware: u16, kind: u8, address: &[u8]) -> Address {
    let mut out = (n::AF_PACKET as u16).to_ne_bytes().to_vec();
    out.extend_from_slice(&protocol.to_be_bytes());
    out.extend_from_slice(&index.to_ne_bytes());
    out.extend_from_slice(&hardware.to_ne_bytes());
    out.extend_from_slice(&[kind, address.len() as u8]);
    out.extend_from_slice(address);
    out
}

/// The address of an interface, as getsockname(2) tells it.
pub fn own(protocol: u16, index: u32, interface: Option<&Interface>) -> Address {
    match interface {
        Some(interface) if interface.link.is_point_to_point() => encode(protocol, index, ioctl::hardware(interface), 0, &[]),
        Some(interface) => encode(protocol, index, ioctl::hardware(interface), 0, &interface.mac()),
        None => encode(protocol, index, 0, 0, &[]),
    }
}

/// The address of a sender, which always has its full size.
pub fn sender(protocol: u16, interface: &Interface, kind: u8, source: &[u8; 6]) -> Address {
    let source: &[u8] = if interface.link.is_point_to_point() { &[] } else { source };
    let mut out = encode(protocol, interface.index, ioctl::hardware(interface), kind, source);
    out.resize(SOCKADDR_LL, 0);
    out
}
