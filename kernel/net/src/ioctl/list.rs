//! `SIOCGIFCONF`.

use alloc::vec::Vec;
use core::net::IpAddr;

use syscall_shim::{Errno, SysResult};
use usermem::{self, UserAddr};

use super::{NAME, REQUEST, sockaddr};
use crate::interface;

/// The interfaces that have an IPv4 address. `struct ifconf` is a length and a buffer.
pub fn interfaces(arg: UserAddr) -> SysResult {
    let room = arg.cast::<i32>().read()?;
    let buffer = arg.add(8).cast::<u64>().read()?;
    let mut out = Vec::new();
    for interface in interface::all().iter() {
        for own in interface.addresses.lock().iter() {
            let IpAddr::V4(address) = own.address else { continue };
            let start = out.len();
            out.extend_from_slice(interface.name().as_bytes());
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
