//! ioctl(2) on sockets: the interfaces (netdevice(7)).

use core::net::IpAddr;

use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};

use super::interface::{self, Interface};
use crate::usermem::{self, UserAddr};

/// `struct ifreq`: a name, then a union.
const NAME: usize = 16;
const REQUEST: usize = 40;
const IFF_UP: u16 = 1;
const IFF_BROADCAST: u16 = 2;
const IFF_LOOPBACK: u16 = 8;
const IFF_RUNNING: u16 = 0x40;
const IFF_MULTICAST: u16 = 0x1000;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const AF_INET: u16 = 2;

/// `IFF_*` flags of an interface.
pub fn flags(interface: &Interface) -> u16 {
    let kind = if interface.is_loopback() { IFF_LOOPBACK } else { IFF_BROADCAST | IFF_MULTICAST };
    IFF_UP | IFF_RUNNING | kind
}

/// `ARPHRD_*` of an interface.
pub fn hardware(interface: &Interface) -> u16 {
    if interface.is_loopback() { ARPHRD_LOOPBACK } else { ARPHRD_ETHER }
}

fn sockaddr(address: core::net::Ipv4Addr) -> [u8; 16] {
    let mut out = [0; 16];
    out[..2].copy_from_slice(&AF_INET.to_ne_bytes());
    out[4..8].copy_from_slice(&address.octets());
    out
}

/// An ioctl(2) about an interface. `ENOTTY` for any other.
pub fn interface(request: u32, arg: UserAddr) -> SysResult {
    if request == i::SIOCGIFCONF {
        return list(arg);
    }
    let mut bytes = [0u8; REQUEST];
    usermem::copy_in(&mut bytes, arg)?;
    let (name, value) = bytes.split_at_mut(NAME);
    let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
    if request == i::SIOCGIFNAME {
        let index = value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let found = interface::by_index(index).ok_or(Errno::ENODEV)?;
        let mut padded = [0u8; NAME];
        padded.iter_mut().zip(found.name.bytes()).for_each(|(to, from)| *to = from);
        return usermem::copy_out(arg, &padded).map(|()| 0);
    }
    let known = [
        i::SIOCGIFINDEX,
        i::SIOCGIFFLAGS,
        i::SIOCGIFADDR,
        i::SIOCGIFNETMASK,
        i::SIOCGIFBRDADDR,
        i::SIOCGIFHWADDR,
        i::SIOCGIFMTU,
        i::SIOCGIFTXQLEN,
        i::SIOCGIFMETRIC,
    ];
    if !known.contains(&request) {
        return Err(Errno::ENOTTY);
    }
    let found = interface::all().iter().find(|interface| interface.name.as_bytes() == text).ok_or(Errno::ENODEV)?;
    let v4 = found.addresses.lock().iter().find(|own| own.address.is_ipv4()).copied();
    let mut put = |bytes: &[u8]| value.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    match request {
        i::SIOCGIFINDEX => put(&found.index.to_ne_bytes()),
        i::SIOCGIFFLAGS => put(&flags(found).to_ne_bytes()),
        i::SIOCGIFMTU => put(&found.mtu().to_ne_bytes()),
        i::SIOCGIFTXQLEN => put(&1000u32.to_ne_bytes()),
        i::SIOCGIFMETRIC => put(&0u32.to_ne_bytes()),
        i::SIOCGIFHWADDR => {
            put(&hardware(found).to_ne_bytes());
            value.iter_mut().skip(2).zip(found.mac()).for_each(|(to, from)| *to = from);
        }
        _ => {
            let own = v4.ok_or(Errno::EADDRNOTAVAIL)?;
            let address = match (request, own.address) {
                (i::SIOCGIFNETMASK, _) => own.netmask(),
                (i::SIOCGIFBRDADDR, _) if found.is_loopback() => core::net::Ipv4Addr::UNSPECIFIED,
                (i::SIOCGIFBRDADDR, _) => own.broadcast().unwrap_or(core::net::Ipv4Addr::UNSPECIFIED),
                (_, IpAddr::V4(address)) => address,
                _ => return Err(Errno::EADDRNOTAVAIL),
            };
            put(&sockaddr(address));
        }
    }
    usermem::copy_out(arg, &bytes).map(|()| 0)
}

/// `SIOCGIFCONF`: the interfaces that have an IPv4 address. `struct ifconf` is a length and a buffer.
fn list(arg: UserAddr) -> SysResult {
    let room = arg.cast::<i32>().read()?;
    let buffer = arg.add(8).cast::<u64>().read()?;
    let mut out = alloc::vec::Vec::new();
    for interface in interface::all() {
        let v4 = interface.addresses.lock().iter().find_map(|own| match own.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        if let Some(address) = v4 {
            let start = out.len();
            out.extend_from_slice(interface.name.as_bytes());
            out.resize(start + NAME, 0);
            out.extend_from_slice(&sockaddr(address));
            out.resize(start + REQUEST, 0);
        }
    }
    if buffer != 0 {
        out.truncate(usize::try_from(room).map_err(|_| Errno::EINVAL)? / REQUEST * REQUEST);
        usermem::copy_out(UserAddr(buffer), &out)?;
    }
    arg.cast::<i32>().write(out.len() as i32).map(|()| 0)
}
