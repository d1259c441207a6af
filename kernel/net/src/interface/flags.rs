//! `IFF_*` of an interface (netdevice(7)).

use core::sync::atomic::Ordering;

use super::{Interface, Link, Port};

/// The flags, as getifaddrs(3) tells them.
#[allow(missing_docs)]
pub mod iff {
    pub const UP: u32 = 1;
    pub const BROADCAST: u32 = 2;
    pub const DEBUG: u32 = 4;
    pub const LOOPBACK: u32 = 8;
    pub const POINTOPOINT: u32 = 0x10;
    pub const NOTRAILERS: u32 = 0x20;
    pub const RUNNING: u32 = 0x40;
    pub const NOARP: u32 = 0x80;
    pub const PROMISC: u32 = 0x100;
    pub const ALLMULTI: u32 = 0x200;
    pub const MULTICAST: u32 = 0x1000;
    pub const PORTSEL: u32 = 0x2000;
    pub const AUTOMEDIA: u32 = 0x4000;
    pub const DYNAMIC: u32 = 0x8000;
    pub const LOWER_UP: u32 = 0x1_0000;
}

/// What a program may turn on and off.
const SETTABLE: u32 = iff::DEBUG
    | iff::NOTRAILERS
    | iff::NOARP
    | iff::DYNAMIC
    | iff::MULTICAST
    | iff::PORTSEL
    | iff::AUTOMEDIA
    | iff::PROMISC
    | iff::ALLMULTI
    | iff::UP;

impl Link {
    /// What an interface of this kind has from the start.
    pub fn inborn_flags(&self) -> u32 {
        match self {
            Link::Loopback(_) => iff::LOOPBACK,
            Link::Ethernet(Port::Dummy, _) => iff::BROADCAST | iff::NOARP,
            Link::Ethernet(Port::Tun(tun), _) if tun.is_tun() => iff::POINTOPOINT | iff::NOARP | iff::MULTICAST,
            Link::Ethernet(..) => iff::BROADCAST | iff::MULTICAST,
        }
    }

    /// Whether there is nobody there but one.
    pub fn is_point_to_point(&self) -> bool {
        self.inborn_flags() & iff::POINTOPOINT != 0
    }
}

/// `IF_OPER_*` (RFC 2863).
pub mod oper {
    /// Nobody tells.
    pub const UNKNOWN: u8 = 0;
    /// Down.
    pub const DOWN: u8 = 2;
    /// Down, since what is below is.
    pub const LOWER_LAYER_DOWN: u8 = 3;
    /// Up.
    pub const UP: u8 = 6;
}

impl Interface {
    /// Whether it takes part.
    pub fn is_up(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & iff::UP != 0
    }

    /// Whether neighbours have no hardware addresses, or none that is asked for.
    pub fn asks_nobody(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & iff::NOARP != 0
    }

    /// Whether there is somebody at the other end.
    pub fn has_carrier(&self) -> bool {
        match &self.link {
            Link::Loopback(_) | Link::Ethernet(Port::Card(_) | Port::Dummy, _) => true,
            Link::Ethernet(Port::Tun(tun), _) => tun.is_attached(),
            Link::Ethernet(Port::Veth(peer), _) => self.is_up() && peer.lock().upgrade().is_some_and(|peer| peer.is_up()),
        }
    }

    /// `operstate`.
    pub fn operating(&self) -> u8 {
        match &self.link {
            Link::Ethernet(Port::Veth(_), _) if self.is_up() && !self.has_carrier() => oper::LOWER_LAYER_DOWN,
            _ if !self.is_up() || !self.has_carrier() => oper::DOWN,
            Link::Ethernet(Port::Card(_) | Port::Veth(_), _) => oper::UP,
            _ => oper::UNKNOWN,
        }
    }

    /// The flags as programs see them.
    pub fn flags(&self) -> u32 {
        let flags = self.flags.load(Ordering::Relaxed);
        match (flags & iff::UP != 0, self.has_carrier()) {
            (true, true) => flags | iff::RUNNING | iff::LOWER_UP,
            _ => flags,
        }
    }

    /// Sets the flags that can be set: what of them has changed.
    pub fn set_flags(&self, wanted: u32) -> u32 {
        let before = self.flags.load(Ordering::Relaxed);
        let after = before & !SETTABLE | wanted & SETTABLE;
        self.flags.store(after, Ordering::Relaxed);
        let changed = before ^ after;
        for (slot, bit) in self.promiscuous.iter().zip([iff::PROMISC, iff::ALLMULTI]) {
            match (changed & bit != 0, after & bit != 0) {
                (true, true) => drop(slot.fetch_add(1, Ordering::Relaxed)),
                (true, false) => drop(slot.fetch_sub(1, Ordering::Relaxed)),
                _ => {}
            }
        }
        changed
    }

    /// Whether frames for others are wanted.
    pub fn is_promiscuous(&self) -> bool {
        self.promiscuous[0].load(Ordering::Relaxed) > 0
    }

    /// How many want them, and how many want frames for all groups.
    pub fn promiscuity(&self) -> [u32; 2] {
        [0, 1].map(|n: usize| self.promiscuous[n].load(Ordering::Relaxed))
    }

    /// One more wants frames for others, or one less; of groups alone or of all.
    pub fn want_all(&self, groups: bool, more: bool) {
        let slot = &self.promiscuous[usize::from(groups)];
        if more {
            slot.fetch_add(1, Ordering::Relaxed)
        } else {
            slot.fetch_sub(1, Ordering::Relaxed)
        };
    }
}
