//! Who has which local port (bind(2), ip(7), socket(7)).

use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fd::capable;
use hashbrown::HashMap;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::sysctl;
use crate::machine;

/// The protocols, each with ports of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
}

/// How a port is to be shared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sharing {
    /// `SO_REUSEADDR`.
    pub address: bool,
    /// `SO_REUSEPORT`.
    pub port: bool,
    /// The user, for `SO_REUSEPORT`.
    pub uid: u32,
    /// A socket of IPv6.
    pub v6: bool,
    /// One that does not take IPv4 (`IPV6_V6ONLY`).
    pub v6_only: bool,
    /// The interface that the socket is bound to; 0 for all.
    pub device: u32,
}

struct Entry {
    local: IpAddr,
    sharing: Sharing,
    /// It came by connecting, which may be done from one port to many others.
    connecting: bool,
    listening: Arc<AtomicBool>,
}

/// A port's users by their number, and what Linux remembers of them for those to come
/// (`inet_bind_bucket`).
#[derive(Default)]
struct Port {
    entries: HashMap<u64, Entry>,
    /// All who have bound it share their addresses, and nobody listens: who does so too is not
    /// compared with each of them.
    shares_addresses: bool,
    /// The one who has shared the port last, if nobody since has not, and whether others must have
    /// its address to be let in unseen.
    shared: Option<(IpAddr, Sharing, bool)>,
}

type Ports = HashMap<(Protocol, u16), Port>;

/// Taken before the tables of connections.
static TABLE: SpinLock<Option<Ports>> = SpinLock::new(None);
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A port, as long as this is kept.
pub struct Lease {
    protocol: Protocol,
    /// The address that it was taken for.
    pub local: SocketAddr,
    serial: u64,
    listening: Arc<AtomicBool>,
    sharing: Sharing,
}

/// Whether an address that a socket is bound to, with `IPV6_V6ONLY` or without, stands for another
/// one too.
fn covers((wide, v6_only): (IpAddr, bool), other: IpAddr) -> bool {
    let any_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let any_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    // An IPv6 socket for any address takes IPv4 too, unless it says that it does not.
    wide == other || wide == any_v4 && other.is_ipv4() || wide == any_v6 && (other.is_ipv6() || !v6_only)
}

impl Entry {
    /// Whether packets for `local` may be meant for this one too.
    fn meets(&self, local: IpAddr, sharing: &Sharing) -> bool {
        // As on Linux, an IPv6 socket that has its address by connecting keeps sockets of IPv4 from
        // every address.
        let might_be_v4 = self.sharing.v6 && !self.sharing.v6_only;
        let all_of_v4 = !sharing.v6 && local.is_unspecified();
        let (own, other) = ((self.local, self.sharing.v6_only), (local, sharing.v6_only));
        // Who listens to different interfaces has nothing in common.
        let apart = self.sharing.device != 0 && sharing.device != 0 && self.sharing.device != sharing.device;
        !apart && (covers(own, local) || covers(other, self.local) || might_be_v4 && all_of_v4)
    }

    fn shares_port_with(&self, sharing: &Sharing) -> bool {
        self.sharing.port && sharing.port && self.sharing.uid == sharing.uid
    }

    /// Whether somebody else may not have `local` besides.
    fn excludes(&self, protocol: Protocol, local: IpAddr, sharing: &Sharing) -> bool {
        let both_addresses = self.sharing.address && sharing.address;
        let quiet = protocol != Protocol::Tcp || !self.listening.load(Ordering::Acquire);
        self.meets(local, sharing) && !(both_addresses && quiet || self.shares_port_with(sharing))
    }
}

impl Port {
    /// Whether `local` is not to be had there, by name.
    fn is_taken(&self, protocol: Protocol, local: IpAddr, sharing: &Sharing) -> bool {
        if protocol == Protocol::Tcp {
            let unseen = self.shares_addresses && sharing.address || self.lets_in(local, sharing);
            return !unseen && self.entries.values().any(|entry| entry.excludes(protocol, local, sharing));
        }
        // As on Linux, the newest one that is in the way decides for all.
        let in_the_way = |entry: &Entry| entry.meets(local, sharing) && !(entry.sharing.address && sharing.address);
        let newest = self.entries.iter().filter(|(_, entry)| in_the_way(entry)).max_by_key(|(serial, _)| **serial);
        newest.is_some_and(|(_, entry)| !entry.shares_port_with(sharing))
    }

    /// Whether one who shares the port is let in for the sake of the last one who did.
    fn lets_in(&self, local: IpAddr, sharing: &Sharing) -> bool {
        self.shared.as_ref().is_some_and(|(address, last, strict)| {
            sharing.port && last.uid == sharing.uid && (!strict || covers((*address, last.v6_only), local))
        })
    }

    /// Remembers one who binds the port, or listens there.
    fn note(&mut self, local: IpAddr, sharing: Sharing, listens: bool) {
        let first = self.entries.is_empty();
        let quiet = sharing.address && !listens;
        self.shares_addresses = quiet && (first || self.shares_addresses);
        if !sharing.port {
            self.shared = None;
        } else if first || !self.lets_in(local, &sharing) {
            self.shared = Some((local, sharing, !first));
        }
    }
}

/// `EACCES` for a port that is the super-user's to give, asked for by somebody else (ip(7)).
pub fn may_take(port: u16) -> SysResult<()> {
    const CAP_NET_BIND_SERVICE: u32 = 10;
    if (1..sysctl::get(&sysctl::UNPRIVILEGED_PORT)).contains(&port.into()) && !capable(CAP_NET_BIND_SERVICE) {
        return Err(Errno::EACCES);
    }
    Ok(())
}

/// Takes `local`; port 0 asks for a free one, of `range` (`IP_LOCAL_PORT_RANGE`). `EADDRINUSE`.
pub fn take(protocol: Protocol, local: SocketAddr, sharing: Sharing, range: u32) -> SysResult<Lease> {
    let mut guard = TABLE.lock();
    let table = guard.get_or_insert_with(HashMap::new);
    let (mut local, ip) = (local, local.ip());
    if local.port() == 0 {
        // Of TCP's nobody is given one that is shared, unless by name.
        let free = |entry: &Entry| match protocol {
            Protocol::Tcp => !entry.meets(ip, &sharing),
            _ => !entry.excludes(protocol, ip, &sharing),
        };
        local.set_port(free_port(table, protocol, range, |_, port| port.entries.values().all(free))?);
    } else if table.get(&(protocol, local.port())).is_some_and(|port| port.is_taken(protocol, ip, &sharing)) {
        return Err(Errno::EADDRINUSE);
    }
    table.entry((protocol, local.port())).or_default().note(ip, sharing, false);
    Ok(insert(table, protocol, local, sharing, false))
}

/// Takes a free port to connect from. One from which others are connected alone will do, if
/// `unused` says that nobody is connected from it to the same address. `EADDRINUSE`.
pub fn take_to_connect(
    protocol: Protocol,
    local: IpAddr,
    sharing: Sharing,
    range: u32,
    unused: impl Fn(u16) -> bool,
) -> SysResult<Lease> {
    let mut guard = TABLE.lock();
    let table = guard.get_or_insert_with(HashMap::new);
    let free = |number, port: &Port| port.entries.values().all(|entry| entry.connecting) && unused(number);
    let port = free_port(table, protocol, range, free)?;
    Ok(insert(table, protocol, SocketAddr::new(local, port), sharing, true))
}

/// A further user of a port, as a connection of its listener is: no questions asked.
pub fn share(protocol: Protocol, local: SocketAddr, sharing: Sharing) -> Lease {
    insert(TABLE.lock().get_or_insert_with(HashMap::new), protocol, local, sharing, false)
}

fn insert(table: &mut Ports, protocol: Protocol, local: SocketAddr, sharing: Sharing, connecting: bool) -> Lease {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let listening = Arc::new(AtomicBool::new(false));
    let entry = Entry { local: local.ip(), sharing, connecting, listening: listening.clone() };
    table.entry((protocol, local.port())).or_default().entries.insert(serial, entry);
    Lease { protocol, local, serial, listening, sharing }
}

/// A port that nobody has, else one of which `shared` says that it will do.
fn free_port(table: &Ports, protocol: Protocol, range: u32, shared: impl Fn(u16, &Port) -> bool) -> SysResult<u16> {
    let within = sysctl::ports();
    let (low, high) = (range as u16, (range >> 16) as u16);
    let first = if low == 0 { within.0 } else { low.clamp(within.0, within.1) };
    let last = if high == 0 { within.1 } else { high.clamp(first, within.1) };
    let count = u64::from(last - first) + 1;
    let start = machine::random() % count;
    let ports = || (0..count).map(|n| first + ((start + n) % count) as u16);
    let unused = ports().find(|port| !table.contains_key(&(protocol, *port)));
    let others = || ports().find(|port| table.get(&(protocol, *port)).is_none_or(|users| shared(*port, users)));
    unused.or_else(others).ok_or(Errno::EADDRINUSE)
}

impl Lease {
    /// The port is listened on from now on, or no more. `EADDRINUSE` when somebody else does.
    pub fn set_listening(&self, on: bool) -> SysResult<()> {
        if on && let Some(port) = TABLE.lock().as_mut().and_then(|table| table.get_mut(&(self.protocol, self.local.port())))
        {
            let sharing = Sharing { address: true, ..self.sharing };
            for (_, entry) in port.entries.iter().filter(|(serial, _)| **serial != self.serial) {
                if entry.listening.load(Ordering::Acquire) && entry.excludes(self.protocol, self.local.ip(), &sharing) {
                    return Err(Errno::EADDRINUSE);
                }
            }
            port.note(self.local.ip(), self.sharing, true);
        }
        self.listening.store(on, Ordering::Release);
        Ok(())
    }

    /// Changes what the table has of this one.
    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(port) = TABLE.lock().as_mut().and_then(|table| table.get_mut(&(self.protocol, self.local.port())))
            && let Some(entry) = port.entries.get_mut(&self.serial)
        {
            change(entry);
        }
    }

    /// Shares the port as the socket's options say now.
    pub fn share_as(&mut self, sharing: Sharing) {
        // `SO_REUSEPORT` is for those of the user that took the port.
        let sharing = Sharing { uid: self.sharing.uid, ..sharing };
        self.sharing = sharing;
        self.change(|entry| entry.sharing = sharing);
    }

    /// The port is kept for this address alone, as while a socket for any address is connected.
    pub fn stand_for(&self, address: IpAddr) {
        self.change(|entry| entry.local = address);
    }

    /// Another hold on the same port, as nobody listens on it.
    pub fn again(&self) -> Lease {
        share(self.protocol, self.local, self.sharing)
    }

    /// How the port is shared.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut guard = TABLE.lock();
        let Some(table) = guard.as_mut() else { return };
        if let Some(port) = table.get_mut(&(self.protocol, self.local.port())) {
            port.entries.remove(&self.serial);
            if port.entries.is_empty() {
                table.remove(&(self.protocol, self.local.port()));
            }
        }
    }
}
