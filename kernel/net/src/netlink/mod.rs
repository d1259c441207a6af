//! Netlink sockets (netlink(7)).
//!
//! `NETLINK_ROUTE` tells of interfaces, addresses, routes, rules and neighbours, and changes them
//! ([`route`]); who has joined a group hears of changes ([`events`]). `NETLINK_SOCK_DIAG` tells of
//! sockets ([`diag`]). `NETLINK_GENERIC` has the controller alone ([`generic`]).
//! `NETLINK_NETFILTER` answers as a kernel without any of netfilter's parts does,
//! `NETLINK_KOBJECT_UEVENT` is silent, for no device comes or goes, and `NETLINK_USERSOCK` is for
//! programs among themselves. Of the other families there is none.

mod diag;
pub mod events;
mod generic;
mod message;
mod route;
mod socket;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use fd::OpenFile;
use fd::socket::open;
use fs::OpenFlags;
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

pub use diag::unix as local_sockets;
pub use diag::unix::LocalSocket;
pub use socket::NetlinkSocket;

/// `AF_NETLINK`.
pub const FAMILY: u32 = 16;

/// `NETLINK_*`.
#[allow(missing_docs)]
pub mod family {
    pub const ROUTE: u32 = 0;
    pub const USERSOCK: u32 = 2;
    pub const SOCK_DIAG: u32 = 4;
    pub const NETFILTER: u32 = 12;
    pub const KOBJECT_UEVENT: u32 = 15;
    pub const GENERIC: u32 = 16;
}

/// What a family is like.
struct Kind {
    /// How many groups there are.
    groups: u32,
    /// Everybody may join them.
    open_groups: bool,
    /// Everybody may send to others than the kernel.
    open_send: bool,
    /// The kernel takes messages.
    listens: bool,
}

fn kind_of(protocol: u32) -> Option<Kind> {
    Some(match protocol {
        family::ROUTE => Kind { groups: 38, open_groups: true, open_send: false, listens: true },
        family::USERSOCK => Kind { groups: 32, open_groups: false, open_send: true, listens: false },
        family::SOCK_DIAG => Kind { groups: 32, open_groups: true, open_send: false, listens: true },
        family::NETFILTER => Kind { groups: 32, open_groups: false, open_send: false, listens: true },
        family::GENERIC => Kind { groups: 32, open_groups: true, open_send: false, listens: true },
        family::KOBJECT_UEVENT => Kind { groups: 32, open_groups: true, open_send: false, listens: true },
        _ => return None,
    })
}

/// All sockets, in the order in which they were made. Taken before a socket's locks.
static TABLE: SpinLock<Vec<Weak<NetlinkSocket>>> = SpinLock::new(Vec::new());

/// socket(2) for `AF_NETLINK`.
pub fn create(kind: u32, protocol: u32, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    if kind != n::SOCK_RAW && kind != n::SOCK_DGRAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    let family = kind_of(protocol).ok_or(Errno::EPROTONOSUPPORT)?;
    let socket = Arc::new(NetlinkSocket::new(kind, protocol, family));
    let mut table = TABLE.lock();
    table.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
    table.push(Arc::downgrade(&socket));
    drop(table);
    Ok(open(socket, flags))
}

fn sockets() -> Vec<Arc<NetlinkSocket>> {
    TABLE.lock().iter().filter_map(Weak::upgrade).collect()
}

/// Whether there is any socket at all: most machines have none.
fn anybody() -> bool {
    !TABLE.lock().is_empty()
}

/// Sockets for /proc/net/netlink: family, port, groups, bytes held, losses.
pub fn list() -> Vec<(u32, u32, u32, usize, u32)> {
    sockets().iter().map(|socket| socket.line()).collect()
}
