//! Interfaces: the loopback, and one for each network card.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::Bytes;
use inet::ip::Cidr;
use spin::Once;

use super::multicast::Groups;
use super::neighbor::Neighbors;
use super::poll;
use crate::drivers::net::{self as driver, Nic, Traffic};
use crate::sync::SpinLock;

/// A packet on the loopback interface: from the IP header on, and the payload where that was not copied behind it.
pub struct Looped {
    /// IP header, and at least the upper protocol's.
    pub head: Bytes,
    /// The rest.
    pub tail: Bytes,
    /// A copy for ourselves of what this interface has sent to a group; 0 for what the loopback interface carries.
    pub copy_of: u32,
    /// The payload is several datagrams of this size; 0 for one.
    pub segment: u16,
}

/// Largest packet of the loopback interface, as on Linux.
const LOOPBACK_MTU: u32 = 65536;
/// Packets that may wait there.
const LOOPBACK_QUEUE: usize = 4096;

/// What carries the packets.
pub enum Link {
    /// Back to ourselves.
    Loopback(SpinLock<VecDeque<Looped>>),
    /// A network card, and who is reached through it.
    Ethernet(Arc<Nic>, Neighbors),
}

/// An interface.
pub struct Interface {
    /// As if_nametoindex(3) tells it: from 1.
    pub index: u32,
    /// `lo`, `eth0` and so on.
    pub name: String,
    /// Its carrier.
    pub link: Link,
    /// Its addresses, each with its network. Read for every packet, so short.
    pub addresses: SpinLock<Vec<Cidr>>,
    /// The groups that it listens to.
    pub groups: Groups,
    /// What the loopback interface counts; cards count for themselves.
    traffic: Traffic,
}

static INTERFACES: Once<Vec<Arc<Interface>>> = Once::new();

/// All interfaces, by index.
pub fn all() -> &'static [Arc<Interface>] {
    INTERFACES.get().map(Vec::as_slice).unwrap_or_default()
}

/// Finds the cards.
pub fn init() {
    let nics = driver::init(poll::arrived);
    INTERFACES.call_once(|| {
        let loopback = Interface::new(1, "lo".into(), Link::Loopback(SpinLock::new(VecDeque::new())));
        loopback.addresses.lock().extend([
            Cidr { address: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 },
            Cidr { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
        ]);
        let cards = nics.iter().zip(0u32..).map(|(nic, n)| {
            Interface::new(n + 2, alloc::format!("eth{n}"), Link::Ethernet(nic.clone(), Neighbors::default()))
        });
        core::iter::once(loopback).chain(cards).map(Arc::new).collect()
    });
}

/// The interface with this index.
pub fn by_index(index: u32) -> Option<&'static Arc<Interface>> {
    all().get(index.checked_sub(1)? as usize)
}

/// The interface that has `address` for its own. All of 127.0.0.0/8 is the loopback's.
pub fn owner(address: &IpAddr) -> Option<&'static Arc<Interface>> {
    all().iter().find(|interface| interface.owns(address))
}

impl Interface {
    fn new(index: u32, name: String, link: Link) -> Interface {
        Interface {
            index,
            name,
            link,
            addresses: SpinLock::new(Vec::new()),
            groups: Groups::default(),
            traffic: Traffic::default(),
        }
    }

    /// Whether it is the loopback interface.
    pub fn is_loopback(&self) -> bool {
        matches!(self.link, Link::Loopback(_))
    }

    /// The card, if it is one.
    pub fn nic(&self) -> Option<&Arc<Nic>> {
        match &self.link {
            Link::Ethernet(nic, _) => Some(nic),
            Link::Loopback(_) => None,
        }
    }

    /// The hardware address, zeroes for the loopback.
    pub fn mac(&self) -> [u8; 6] {
        self.nic().map_or([0; 6], |nic| nic.mac)
    }

    /// The largest packet.
    pub fn mtu(&self) -> u32 {
        self.nic().map_or(LOOPBACK_MTU, |nic| u32::from(nic.mtu))
    }

    /// Whether `address` is its own.
    pub fn owns(&self, address: &IpAddr) -> bool {
        if self.is_loopback() {
            return address.is_loopback();
        }
        self.addresses.lock().iter().any(|own| own.address == *address)
    }

    /// Whether packets to `address` are for everybody on its network.
    pub fn is_broadcast(&self, address: &Ipv4Addr) -> bool {
        address.is_broadcast() || self.addresses.lock().iter().any(|own| own.broadcast() == Some(*address))
    }

    /// What it has received and sent.
    pub fn traffic(&self) -> (&Traffic, &Traffic) {
        match &self.link {
            Link::Ethernet(nic, _) => (&nic.received, &nic.sent),
            // Everything sent is received.
            Link::Loopback(_) => (&self.traffic, &self.traffic),
        }
    }

    /// Lets a packet come back.
    pub fn loop_back(&self, packet: Looped) {
        let Link::Loopback(queue) = &self.link else { return };
        self.traffic.count(packet.head.len() + packet.tail.len());
        let mut queue = queue.lock();
        if queue.len() < LOOPBACK_QUEUE {
            queue.push_back(packet);
        } else {
            self.traffic.dropped.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        }
        drop(queue);
        poll::request();
    }

    /// The source address for packets to `destination`: of its network if possible, else the first of the family that reaches as
    /// far.
    pub fn source_for(&self, destination: &IpAddr) -> Option<IpAddr> {
        let addresses = self.addresses.lock();
        let family = |own: &&Cidr| own.address.is_ipv4() == destination.is_ipv4();
        let on_link = addresses.iter().find(|own| own.contains(destination));
        let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let near = matches!(destination, IpAddr::V6(v6) if v6.is_multicast() && v6.octets()[1] & 15 <= 2);
        let wide = addresses.iter().filter(family).find(|own| link_local(&own.address) == near);
        on_link.or(wide).or_else(|| addresses.iter().find(family)).map(|own| own.address)
    }
}
