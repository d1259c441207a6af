//! The network: interfaces and routes below, sockets on top, and between them the state machines of
//! the crate `inet`.
//!
//! Everything runs in the context of whoever comes by: [`poll`] takes what has arrived and does
//! what is due, when an application is about to go on, when a CPU is about to halt, and when a
//! socket call has something for the loopback interface. Interrupt handlers only say that there is
//! something to do, so no lock here is taken by one, and all of them are spin locks.
//!
//! A packet finds its socket by one look into a hashed table; nothing done per packet, per wake-up
//! or per timer grows with the number of sockets.
//!
//! Locks, in the order in which they may be taken: the DHCP client, a listener, a connection, the
//! tables of ports and connections, routes and addresses, groups, neighbours, a queue of an
//! interface. Wait queues may be woken under any of them.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[macro_use]
extern crate base;
#[cfg(test)]
extern crate std;

mod address;
mod arp;
pub mod clock;
mod config;
pub mod counts;
pub mod device;
mod dhcp;
mod errors;
mod extension;
mod icmp;
mod input;
pub mod interface;
pub mod ioctl;
pub mod machine;
mod membership;
mod multicast;
mod neighbor;
pub mod netlink;
pub mod output;
pub mod packet;
mod poll;
mod ports;
pub mod protocols;
mod query;
mod raw;
pub mod report;
mod route;
mod rule;
mod send_how;
mod slaac;
pub mod socket;
pub mod sockopt;
mod sources;
mod stamp;
pub mod sysctl;
pub mod tables;
pub mod tcp;
#[cfg(test)]
mod tests;
mod timers;
pub mod tun;
pub mod udp;
mod zerocopy;

pub use config::{Options, ResolvConf, resolv_conf};
pub use dhcp::pnp;
pub use poll::{arrived, pending, poll};

use alloc::sync::Arc;
use alloc::vec::Vec;

use inet::siphash::Key;
use spin::Once;

use device::Card;
use machine::Machine;

/// The secret of this boot: table positions, first numbers, cookies.
fn secret() -> Key {
    static KEY: Once<Key> = Once::new();
    *KEY.call_once(|| Key(machine::random(), machine::random()))
}

/// What a packet of `len` bytes counts for in a socket's buffer: what it takes on Linux
/// (`skb->truesize`), for `SO_RCVBUF` to mean the same.
fn charge(len: usize) -> usize {
    /// `struct sk_buff`; its shared part with all headers; the largest that is one piece, and what
    /// is beside pages.
    const BUFF: usize = 256;
    const EXTRA: usize = 412;
    const LINEAR: usize = 16 << 10;
    if len + EXTRA > LINEAR { len.next_multiple_of(4096) + 1024 } else { (len + EXTRA).next_power_of_two().max(512) + BUFF }
}

/// Makes the interfaces of the cards, and gives them their addresses. `arrived` is to be called
/// when frames have come.
pub fn init(machine: &'static dyn Machine, cards: Vec<Arc<dyn Card>>, options: Options) {
    machine::set(machine);
    tcp::init_limits();
    interface::init(cards);
    config::init(options);
}
