//! ioctl(2) on sockets: the interfaces (netdevice(7)), routes and neighbours.

mod ethtool;
mod list;
mod route;
mod set;

pub use set::{rename, set_mac};

use core::net::IpAddr;

use fd::capable;
use linux_raw_sys::general::CAP_NET_ADMIN;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};
use usermem::{self, UserAddr};

use super::interface::{self, Interface, Link, NAME, Port};

/// `struct ifreq`: a name, then a union.
const REQUEST: usize = 40;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const AF_INET: u16 = 2;
/// The type of sockets' requests (`SOCK_IOC_TYPE`), and those that drivers have to themselves
/// (`SIOCDEVPRIVATE`).
const SOCKETS: u32 = 0x89;
const PRIVATE: core::ops::Range<u32> = 0x89f0..0x8a00;
/// Questions of ethtool(8).
const SIOCETHTOOL: u32 = 0x8946;
/// When the last packet came that was read, in microseconds and in nanoseconds.
pub const SIOCGSTAMP: u32 = 0x8906;
/// See [`SIOCGSTAMP`].
pub const SIOCGSTAMPNS: u32 = 0x8907;

/// `ARPHRD_*` of an interface.
pub fn hardware(interface: &Interface) -> u16 {
    match &interface.link {
        Link::Loopback(_) => ARPHRD_LOOPBACK,
        Link::Ethernet(Port::Tun(tun), _) => tun.hardware(),
        Link::Ethernet(..) => ARPHRD_ETHER,
    }
}

fn sockaddr(address: core::net::Ipv4Addr) -> [u8; 16] {
    let mut out = [0; 16];
    out[..2].copy_from_slice(&AF_INET.to_ne_bytes());
    out[4..8].copy_from_slice(&address.octets());
    out
}

/// Answers when a packet came, `stamp` nanoseconds after the epoch. `ENOENT` if there was none.
pub fn stamp(request: u32, stamp: u64, arg: UserAddr) -> SysResult {
    if stamp == 0 {
        return Err(Errno::ENOENT);
    }
    let part = stamp % 1_000_000_000;
    let part = if request == SIOCGSTAMP { part / 1000 } else { part };
    arg.cast::<[u64; 2]>().write([stamp / 1_000_000_000, part]).map(|()| 0)
}

/// An ioctl(2) about an interface. `ENOTTY` for any other.
pub fn interface(request: u32, arg: UserAddr) -> SysResult {
    match request {
        i::SIOCGIFCONF => return list::interfaces(arg),
        i::SIOCADDRT | i::SIOCDELRT => return route::change(request == i::SIOCADDRT, arg),
        i::SIOCGARP | i::SIOCSARP | i::SIOCDARP => return route::neighbor(request, arg),
        _ => {}
    }
    // Whatever is asked of sockets comes with a request, which is read first; only the stamps of
    // packets are others' matter.
    let stamps = [SIOCGSTAMP, SIOCGSTAMPNS].contains(&request);
    if request >> 8 & 0xff != SOCKETS || request >> 16 != 0 || stamps {
        return Err(Errno::ENOTTY);
    }
    let mut bytes = [0u8; REQUEST];
    usermem::copy_in(&mut bytes, arg)?;
    let (name, value) = bytes.split_at_mut(NAME);
    let private = PRIVATE.contains(&request);
    let known = GETS.contains(&request) || set::is_one(request) || request == i::SIOCGIFNAME;
    if !known && !private {
        return Err(Errno::ENOTTY);
    }
    if request == i::SIOCGIFNAME {
        let index = value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let found = interface::by_index(index).ok_or(Errno::ENODEV)?.name();
        let mut padded = [0u8; NAME];
        padded.iter_mut().zip(found.bytes()).for_each(|(to, from)| *to = from);
        return usermem::copy_out(arg, &padded).map(|()| 0);
    }
    // What stands behind a colon is an address's name on Linux; all of an interface's addresses
    // have its own here.
    let text = name.split(|byte| matches!(byte, 0 | b':')).next().unwrap_or_default();
    if set::is_one(request) {
        if !capable(CAP_NET_ADMIN) {
            return Err(Errno::EPERM);
        }
        let found = interface::by_name(text).ok_or(Errno::ENODEV)?;
        return set::set(&found, request, value).map(|()| 0);
    }
    let found = interface::by_name(text).ok_or(Errno::ENODEV)?;
    if private {
        return Err(Errno::EOPNOTSUPP);
    }
    if request == SIOCETHTOOL {
        return ethtool::handle(&found, value);
    }
    get(&found, request, value)?;
    usermem::copy_out(arg, &bytes).map(|()| 0)
}

const GETS: &[u32] = &[
    i::SIOCGIFINDEX,
    i::SIOCGIFFLAGS,
    i::SIOCGIFADDR,
    i::SIOCGIFDSTADDR,
    i::SIOCGIFNETMASK,
    i::SIOCGIFBRDADDR,
    i::SIOCGIFHWADDR,
    i::SIOCGIFMTU,
    i::SIOCGIFTXQLEN,
    i::SIOCGIFMETRIC,
    i::SIOCGIFMAP,
    SIOCETHTOOL,
];

/// Fills the union of a request in. `EADDRNOTAVAIL`.
fn get(found: &Interface, request: u32, value: &mut [u8]) -> SysResult<()> {
    let v4 = found.addresses.lock().iter().find(|own| own.address.is_ipv4()).copied();
    let mut put = |bytes: &[u8]| value.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    match request {
        i::SIOCGIFINDEX => put(&found.index.to_ne_bytes()),
        i::SIOCGIFFLAGS => put(&(found.flags() as u16).to_ne_bytes()),
        i::SIOCGIFMTU => put(&found.mtu().to_ne_bytes()),
        i::SIOCGIFTXQLEN => put(&found.transmit_queue.load(core::sync::atomic::Ordering::Relaxed).to_ne_bytes()),
        i::SIOCGIFMETRIC => put(&0u32.to_ne_bytes()),
        i::SIOCGIFMAP => put(&[0; 24]),
        i::SIOCGIFHWADDR => {
            put(&[0; 16]);
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
    Ok(())
}

/// `SIOCGIFHWADDR` and `SIOCSIFHWADDR` about one interface, whatever the request names.
pub fn hardware_address(interface: &alloc::sync::Arc<Interface>, request: u32, arg: UserAddr) -> SysResult {
    let mut bytes = [0u8; REQUEST];
    usermem::copy_in(&mut bytes, arg)?;
    let (_, value) = bytes.split_at_mut(NAME);
    if request == i::SIOCSIFHWADDR {
        return set::set(interface, request, value).map(|()| 0);
    }
    get(interface, request, value)?;
    usermem::copy_out(arg, &bytes).map(|()| 0)
}
