//! `SIOCETHTOOL` (ethtool(8)): what driver an interface has, and whether there is somebody at its
//! other end.

use alloc::vec::Vec;

use syscall_shim::{Errno, SysResult};
use usermem::{self, UserAddr};

use crate::interface::{Interface, Link, Port};

/// `ETHTOOL_*`.
const GET_DRIVER: u32 = 0x03;
const GET_LINK: u32 = 0x0a;
const GET_RECEIVE_CHECKSUMS: u32 = 0x14;
const GET_TRANSMIT_CHECKSUMS: u32 = 0x16;
const GET_SCATTER: u32 = 0x18;
const GET_SEGMENTS: u32 = 0x1e;
const GET_FLAGS: u32 = 0x25;
/// Lengths of the texts of `struct ethtool_drvinfo`: driver, version, firmware, place, ROM,
/// reserved.
const TEXT: usize = 32;
const DRIVER_INFO: usize = 196;

/// The name of what drives an interface.
fn driver(interface: &Interface) -> &'static str {
    match &interface.link {
        Link::Loopback(_) => "loopback",
        Link::Ethernet(Port::Card(_), _) => "virtio_net",
        Link::Ethernet(Port::Tun(_), _) => "tun",
        Link::Ethernet(Port::Veth(_), _) => "veth",
        Link::Ethernet(Port::Dummy, _) => "dummy",
    }
}

/// Answers a question. The union has the address of what is asked. `EOPNOTSUPP`.
pub fn handle(interface: &Interface, value: &[u8]) -> SysResult {
    let at = UserAddr(value.first_chunk().map_or(0, |at| u64::from_ne_bytes(*at)));
    let command = at.cast::<u32>().read()?;
    let number: u32 = match command {
        GET_DRIVER => {
            let mut out: Vec<u8> = command.to_ne_bytes().to_vec();
            out.extend_from_slice(driver(interface).as_bytes());
            out.resize(4 + TEXT, 0);
            out.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
            out.resize(DRIVER_INFO, 0);
            return usermem::copy_out(at, &out).map(|()| 0);
        }
        GET_LINK => (interface.is_up() && interface.has_carrier()).into(),
        GET_RECEIVE_CHECKSUMS | GET_TRANSMIT_CHECKSUMS | GET_SCATTER => interface.checksums().into(),
        GET_SEGMENTS => interface.card().is_some_and(|card| card.features().segments[0]).into(),
        GET_FLAGS => 0,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    at.add(4).cast::<u32>().write(number).map(|()| 0)
}
