//! Packet sockets (packet(7)): whole frames, as they come in and go out.
//!
//! Each frame is offered to every packet socket; where there is none, which is what most machines
//! have, that costs one look.

mod address;
mod blocks;
mod fanout;
mod flow;
mod membership;
mod options;
mod pages;
mod ring;
mod socket;
mod vnet;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use fd::socket::open;
use fd::{OpenFile, capable};
use fs::OpenFlags;
use inet::Bytes;
use inet::bpf::{Packet, View};
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::interface::{Interface, Looped};
use super::ioctl;
use crate::device::{Frame, HEADER_LEN};
use crate::machine;
use fanout::Fanout;

pub use address::ETHERNET;
pub use socket::PacketSocket;

/// `ETH_P_ALL`: all protocols, in both directions.
const ALL: u16 = 3;

/// Whom a frame is for (`PACKET_*`).
#[allow(missing_docs)]
pub mod kind {
    pub const HOST: u8 = 0;
    pub const BROADCAST: u8 = 1;
    pub const MULTICAST: u8 = 2;
    pub const OTHERHOST: u8 = 3;
    pub const OUTGOING: u8 = 4;
}

/// All there are. Taken before a socket's locks.
static TABLE: SpinLock<Vec<Weak<PacketSocket>>> = SpinLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether there is any.
pub fn wanted() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// socket(2) for `AF_PACKET`. `EPERM`, `ESOCKTNOSUPPORT`.
pub fn create(kind: u32, protocol: u32, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    if !capable(linux_raw_sys::general::CAP_NET_RAW) {
        return Err(Errno::EPERM);
    }
    if kind != n::SOCK_RAW && kind != n::SOCK_DGRAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    let socket = Arc::new(PacketSocket::new(kind, u16::from_be(protocol as u16)));
    let mut table = TABLE.lock();
    table.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
    table.push(Arc::downgrade(&socket));
    drop(table);
    COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(open(socket, flags))
}

/// All sockets, for who asks.
fn sockets() -> Vec<Arc<PacketSocket>> {
    TABLE.lock().iter().filter_map(Weak::upgrade).collect()
}

/// A socket, from what it knows of itself.
fn handle(socket: &PacketSocket) -> Option<Arc<PacketSocket>> {
    TABLE.lock().iter().find(|other| core::ptr::eq(other.as_ptr(), socket)).and_then(Weak::upgrade)
}

/// A socket has gone.
fn forget(socket: &PacketSocket) {
    TABLE.lock().retain(|other| !core::ptr::eq(other.as_ptr(), socket));
    COUNT.fetch_sub(1, Ordering::Relaxed);
}

/// A frame as sockets see it.
struct Seen<'a> {
    interface: &'a Interface,
    /// From the link's header on, where the link has one.
    bytes: Bytes,
    /// Bytes of the link's header.
    link: usize,
    /// `ETH_P_*`.
    protocol: u16,
    /// See [`kind`].
    kind: u8,
    /// The sender's hardware address.
    source: [u8; 6],
    /// What is known of its checksums.
    checksums: Checksums,
}

/// What is known of the checksums in a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksums {
    /// Nothing.
    Unknown,
    /// They are right.
    Right,
    /// They are still to be filled in.
    Missing,
}

impl Checksums {
    /// As `TP_STATUS_CSUM_*` say it.
    fn status(self) -> u32 {
        match self {
            Checksums::Unknown => 0,
            Checksums::Right => ring::status::CSUM_VALID,
            Checksums::Missing => ring::status::CSUM_NOT_READY,
        }
    }
}

impl Seen<'_> {
    /// For a filter whose offsets count from `start`.
    fn packet(&self, start: usize) -> Packet<'_> {
        Packet {
            view: View { head: &self.bytes, tail: &[], start, network: self.link, link: 0 },
            protocol: self.protocol,
            kind: self.kind,
            interface: self.interface.index,
            hardware: ioctl::hardware(self.interface),
            mark: 0,
            cpu: machine::cpu(),
            random: machine::random() as u32,
        }
    }
}

fn seen<'a>(interface: &'a Interface, frame: Bytes, kind: u8, checksums: Checksums) -> Option<Seen<'a>> {
    let header: [u8; ETHERNET] = *frame.first_chunk()?;
    let [_, _, _, _, _, _, a, b, c, d, e, f, p0, p1] = header;
    let bare = interface.link.is_point_to_point();
    let (bytes, link) = if bare { (frame.slice(ETHERNET, usize::MAX), 0) } else { (frame, ETHERNET) };
    Some(Seen {
        interface,
        bytes,
        link,
        protocol: u16::from_be_bytes([p0, p1]),
        kind,
        source: [a, b, c, d, e, f],
        checksums,
    })
}

/// Offers a frame to everybody but `sender` and its group: to each socket, and to each group once.
fn offer(seen: &Seen<'_>, sender: Option<&PacketSocket>) {
    let own = sender.and_then(PacketSocket::fanout);
    let mut groups: Vec<Arc<Fanout>> = own.into_iter().collect();
    let skipped = groups.len();
    for socket in sockets() {
        match socket.fanout() {
            Some(group) if groups.iter().any(|other| Arc::ptr_eq(other, &group)) => {}
            Some(group) => groups.push(group),
            None if sender.is_some_and(|sender| core::ptr::eq(sender, &*socket)) => {}
            None => socket.offered(seen),
        }
    }
    groups.iter().skip(skipped).for_each(|group| group.offered(seen));
}

/// A frame has come in, from the Ethernet header on.
pub fn arrived(interface: &Interface, frame: &Bytes, kind: u8, checksums: Checksums) {
    if let Some(seen) = seen(interface, frame.clone(), kind, checksums) {
        offer(&seen, None);
    }
}

/// A frame goes out.
pub fn leaving(interface: &Interface, frame: &Frame) {
    leaving_from(interface, frame, None);
}

fn leaving_from(interface: &Interface, frame: &Frame, sender: Option<&PacketSocket>) {
    let len = frame.head.len() + frame.payload.bytes();
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(len).is_err() {
        return;
    }
    bytes.extend_from_slice(frame.head.get(HEADER_LEN..).unwrap_or_default());
    frame.payload.iter().for_each(|piece| bytes.extend_from_slice(piece));
    let checksums = if frame.offload.is_some() { Checksums::Missing } else { Checksums::Unknown };
    if let Some(seen) = seen(interface, Bytes::from(bytes), kind::OUTGOING, checksums) {
        offer(&seen, sender);
    }
}

/// A packet of the loopback interface, in the dress of a frame.
fn dressed(packet: &Looped) -> Option<Bytes> {
    let protocol: u16 = match packet.head.first()? >> 4 {
        4 => 0x0800,
        _ => 0x86dd,
    };
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(ETHERNET + packet.head.len() + packet.tail.len()).ok()?;
    bytes.resize(ETHERNET - 2, 0);
    bytes.extend_from_slice(&protocol.to_be_bytes());
    bytes.extend_from_slice(&packet.head);
    bytes.extend_from_slice(&packet.tail);
    Some(Bytes::from(bytes))
}

/// Of what never leaves the machine nobody computes them, as long as it is of a protocol that a
/// card would do it for.
fn checksums(packet: &Looped) -> Checksums {
    let protocol = match packet.head.first().map(|byte| byte >> 4) {
        Some(4) => packet.head.get(9),
        _ => packet.head.get(6),
    };
    if matches!(protocol, Some(6 | 17)) { Checksums::Missing } else { Checksums::Unknown }
}

/// A packet goes into the loopback interface.
pub fn looping(interface: &Interface, packet: &Looped) {
    // What an interface has sent to a group itself is its own affair.
    if packet.copy_of == 0
        && let Some(frame) = dressed(packet)
        && let Some(seen) = seen(interface, frame, kind::OUTGOING, checksums(packet))
    {
        offer(&seen, None);
    }
}

/// A packet comes out of the loopback interface.
pub fn looped(interface: &Interface, packet: &Looped) {
    if packet.copy_of == 0
        && let Some(frame) = dressed(packet)
    {
        arrived(interface, &frame, kind::HOST, checksums(packet));
    }
}

/// An interface is down: who is bound to it is told.
pub fn went_down(interface: &Interface) {
    if wanted() {
        sockets().iter().for_each(|socket| socket.went_down(interface));
    }
}

/// Sockets for /proc/net/packet: kind, protocol, interface, whether it receives, bytes held, owner.
pub fn list() -> Vec<(u32, u16, u32, bool, usize, u32)> {
    sockets().iter().map(|socket| socket.line()).collect()
}
