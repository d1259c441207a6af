//! Interfaces: the loopback, one for each network card, and those that programs make.

mod flags;
mod link;
mod registry;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use inet::Bytes;
use inet::ip::Cidr;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::address::Note;
use super::multicast::Groups;
use super::neighbor::Neighbors;
use super::sysctl::Conf;
use super::{packet, poll};
use crate::device::{Card, Frame, HEADER_LEN, Traffic};

pub use flags::iff;
pub use link::{Inbox, Link, Looped, Port};
pub use registry::{NAME, add, add_name, all, by_index, by_name, is_for_all, owner, remove, remove_name, rename};

/// Largest packet of the loopback interface, as on Linux.
const LOOPBACK_MTU: u32 = 65536;
/// Packets that may wait there.
const LOOPBACK_QUEUE: usize = 4096;
/// The largest packet where nothing else is known.
const ETHERNET_MTU: u32 = 1500;
/// `txqueuelen` where nobody says otherwise.
const TRANSMIT_QUEUE: u32 = 1000;

/// An interface.
pub struct Interface {
    /// As if_nametoindex(3) tells it: from 1.
    pub index: u32,
    /// `lo`, `eth0` and so on. A leaf lock.
    name: SpinLock<String>,
    /// Its carrier.
    pub link: Link,
    /// Its addresses, each with its network. Read for every packet, so short.
    pub addresses: SpinLock<Vec<Cidr>>,
    /// The groups that it listens to.
    pub groups: Groups,
    /// Frames from within the machine.
    pub inbox: Inbox,
    /// What /proc/sys/net says of it alone.
    pub conf: Conf,
    /// `IFF_*`.
    flags: AtomicU32,
    /// Who wants to see all frames, and all for groups: `PACKET_MR_PROMISC`, `PACKET_MR_ALLMULTI`.
    promiscuous: [AtomicU32; 2],
    mac: AtomicU64,
    mtu: AtomicU32,
    /// `txqueuelen`. There is no queue but the device's own; it is kept for who asks.
    pub transmit_queue: AtomicU32,
    /// What programs have said of some addresses. A leaf lock.
    pub notes: SpinLock<Vec<Note>>,
    /// What programs call it besides: its other names, by which it is found, and a text. Leaf
    /// locks.
    pub other_names: SpinLock<Vec<String>>,
    /// See `other_names`.
    pub alias: SpinLock<String>,
    /// `IFLA_GROUP`, which is for programs alone.
    pub group: AtomicU32,
    /// Whether its name was chosen by a program.
    pub name_assign: AtomicU8,
    /// Whether it has been taken out.
    gone: AtomicBool,
    /// In and out, where no card counts.
    traffic: [Traffic; 2],
}

/// Makes the loopback and the interfaces of the cards.
pub fn init(cards: Vec<Arc<dyn Card>>) {
    registry::start(|| {
        let loopback = Interface::new(1, "lo".into(), Link::Loopback(SpinLock::new(VecDeque::new())), [0; 6]);
        loopback.addresses.lock().extend([
            Cidr { address: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 },
            Cidr { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
        ]);
        let cards = cards.into_iter().zip(0u32..).map(|(card, n)| {
            let mac = card.features().mac;
            let link = Link::Ethernet(Port::Card(card), Neighbors::default());
            Interface::new(n + 2, alloc::format!("eth{n}"), link, mac)
        });
        let list: Vec<_> = core::iter::once(loopback).chain(cards).map(Arc::new).collect();
        for interface in &list {
            interface.flags.fetch_or(iff::UP, Ordering::Relaxed);
        }
        list
    });
}

impl Interface {
    /// An interface that is down.
    pub fn new(index: u32, name: String, link: Link, mac: [u8; 6]) -> Interface {
        let mtu = match &link {
            Link::Loopback(_) => LOOPBACK_MTU,
            Link::Ethernet(Port::Card(card), _) => card.features().mtu.into(),
            Link::Ethernet(..) => ETHERNET_MTU,
        };
        let flags = link.inborn_flags();
        let transmit_queue = if link.is_point_to_point() { 500 } else { TRANSMIT_QUEUE };
        let interface = Interface {
            index,
            name: SpinLock::new(name),
            link,
            addresses: SpinLock::new(Vec::new()),
            groups: Groups::default(),
            inbox: Inbox::default(),
            conf: Conf::default(),
            flags: AtomicU32::new(flags),
            promiscuous: Default::default(),
            mac: AtomicU64::new(0),
            mtu: AtomicU32::new(mtu),
            transmit_queue: AtomicU32::new(transmit_queue),
            notes: SpinLock::new(Vec::new()),
            other_names: SpinLock::new(Vec::new()),
            alias: SpinLock::new(String::new()),
            group: AtomicU32::new(0),
            name_assign: AtomicU8::new(1),
            gone: AtomicBool::new(false),
            traffic: Default::default(),
        };
        interface.set_mac(mac);
        interface
    }

    /// `lo`, `eth0` and so on.
    pub fn name(&self) -> String {
        self.name.lock().clone()
    }

    /// Whether it is called so.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.name.lock().as_bytes() == name || self.other_names.lock().iter().any(|other| other.as_bytes() == name)
    }

    /// Whether it is the loopback interface.
    pub fn is_loopback(&self) -> bool {
        matches!(self.link, Link::Loopback(_))
    }

    /// The card, if it is one.
    pub fn card(&self) -> Option<&Arc<dyn Card>> {
        match &self.link {
            Link::Ethernet(Port::Card(card), _) => Some(card),
            _ => None,
        }
    }

    /// The hardware address, zeroes for what has none.
    pub fn mac(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.mac.load(Ordering::Relaxed).to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// Changes the hardware address.
    pub fn set_mac(&self, [a, b, c, d, e, f]: [u8; 6]) {
        self.mac.store(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]), Ordering::Relaxed);
    }

    /// The largest packet.
    pub fn mtu(&self) -> u32 {
        self.mtu.load(Ordering::Relaxed)
    }

    /// The least and the largest that [`Interface::mtu`] may be.
    pub fn mtu_range(&self) -> (u32, u32) {
        match &self.link {
            Link::Loopback(_) => (0, i32::MAX as u32),
            Link::Ethernet(Port::Card(card), _) => (68, card.features().mtu.into()),
            Link::Ethernet(Port::Dummy, _) => (0, i32::MAX as u32),
            Link::Ethernet(Port::Tun(tun), _) if tun.is_tun() => (68, 65535),
            Link::Ethernet(Port::Tun(_), _) => (68, 65521),
            Link::Ethernet(Port::Veth(_), _) => (68, 65535),
        }
    }

    /// Changes the largest packet. `EINVAL`.
    pub fn set_mtu(&self, mtu: u32) -> SysResult<()> {
        let (least, most) = self.mtu_range();
        if !(least..=most).contains(&mtu) {
            return Err(Errno::EINVAL);
        }
        self.mtu.store(mtu, Ordering::Relaxed);
        Ok(())
    }

    /// Whether `address` is its own.
    pub fn owns(&self, address: &IpAddr) -> bool {
        if !self.is_up() {
            return false;
        }
        if self.is_loopback() {
            // All of a network there is ours (`RTN_LOCAL`), and 127.0.0.0/8 needs no look.
            let contains = |own: &Cidr| own.address == *address || address.is_ipv4() && own.contains(address);
            let inborn = address.is_ipv4() && address.is_loopback();
            return inborn || self.addresses.lock().iter().any(contains);
        }
        self.addresses.lock().iter().any(|own| own.address == *address)
    }

    /// Its first address of IPv4.
    pub fn first_v4(&self) -> Option<Ipv4Addr> {
        self.addresses.lock().iter().find_map(|own| match own.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// Whether packets to `address` are for everybody on its network.
    pub fn is_broadcast(&self, address: &Ipv4Addr) -> bool {
        address.is_broadcast() || self.addresses.lock().iter().any(|own| own.broadcast() == Some(*address))
    }

    /// What it has received and sent.
    pub fn traffic(&self) -> (&Traffic, &Traffic) {
        match &self.link {
            Link::Ethernet(Port::Card(card), _) => (card.received(), card.sent()),
            // Everything sent is received.
            Link::Loopback(_) => (&self.traffic[0], &self.traffic[0]),
            Link::Ethernet(..) => (&self.traffic[0], &self.traffic[1]),
        }
    }

    /// Lets a packet come back.
    pub fn loop_back(&self, packet: Looped) {
        let Link::Loopback(queue) = &self.link else { return };
        if packet::wanted() {
            packet::looping(self, &packet);
        }
        self.traffic[0].count(packet.head.len() + packet.tail.len() + link::ETHERNET);
        let mut queue = queue.lock();
        if queue.len() < LOOPBACK_QUEUE {
            queue.push_back(packet);
        } else {
            self.traffic[0].dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(queue);
        poll::request();
    }

    /// Sends a frame, whose head begins with room for a device's header and an Ethernet header.
    pub fn transmit(&self, frame: Frame) {
        if packet::wanted() {
            packet::leaving(self, &frame);
        }
        self.carry(frame);
    }

    /// The same, behind the packet sockets.
    pub fn carry(&self, frame: Frame) {
        match &self.link {
            Link::Ethernet(Port::Card(card), _) => card.transmit(frame),
            Link::Ethernet(port, _) => {
                let mut bytes = frame.head;
                bytes.drain(..HEADER_LEN.min(bytes.len()));
                frame.payload.iter().for_each(|piece| bytes.extend_from_slice(piece));
                let counted = bytes.len();
                let sent = &self.traffic[1];
                if port.take(self, bytes) {
                    sent.count(counted);
                } else {
                    sent.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Link::Loopback(_) => {
                let mut bytes = frame.head;
                bytes.drain(..HEADER_LEN.min(bytes.len()));
                self.deliver(Bytes::from(bytes));
            }
        }
    }

    /// A frame comes in from within the machine. Whether there was room.
    pub fn deliver(&self, frame: Bytes) -> bool {
        let len = frame.len();
        let taken = self.is_up() && self.inbox.push(frame);
        if taken {
            self.traffic[0].count(len);
            poll::request();
        } else {
            self.traffic[0].dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Tells a card of what was sent.
    pub fn kick(&self) {
        if let Some(card) = self.card() {
            card.kick();
        }
    }

    /// Whether what carries the packets completes checksums.
    pub fn checksums(&self) -> bool {
        self.card().is_some_and(|card| card.features().checksums)
    }

    /// The source address for packets to `destination`: of its network if possible, else the first
    /// of the family that reaches as far.
    pub fn source_for(&self, destination: &IpAddr) -> Option<IpAddr> {
        let addresses = self.addresses.lock();
        let family = |own: &&Cidr| own.address.is_ipv4() == destination.is_ipv4();
        let on_link = addresses.iter().find(|own| own.contains(destination));
        let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let near = matches!(destination, IpAddr::V6(v6) if v6.is_multicast() && v6.octets()[1] & 15 <= 2);
        let wide = addresses.iter().filter(family).find(|own| link_local(&own.address) == near);
        on_link.or(wide).or_else(|| addresses.iter().find(family)).map(|own| own.address)
    }

    /// Whether it has been taken out.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Marks it as taken out.
    pub fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.flags.fetch_and(!iff::UP, Ordering::Relaxed);
    }
}
