//! Who has which local port (bind(2), ip(7), socket(7)).

use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashMap;
use syscall_shim::{Errno, SysResult};

use super::sysctl;
use crate::files::capable;

use crate::platform::rng;
use crate::sync::SpinLock;

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
    listening: Arc<AtomicBool>,
}

static TABLE: SpinLock<Option<HashMap<(Protocol, u16), HashMap<u64, Entry>>>> = SpinLock::new(None);
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

/// Whether two local addresses stand for packets in common.
fn overlap(a: (IpAddr, bool), b: (IpAddr, bool)) -> bool {
    let any_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let any_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    // An IPv6 socket for any address takes IPv4 too, unless it says that it does not.
    let covers = |(wide, v6_only): (IpAddr, bool), other: IpAddr| {
        wide == any_v4 && other.is_ipv4() || wide == any_v6 && (other.is_ipv6() || !v6_only)
    };
    a.0 == b.0 || covers(a, b.0) || covers(b, a.0)
}

impl Entry {
    /// Whether somebody else may not have `local` besides.
    fn excludes(&self, protocol: Protocol, local: IpAddr, sharing: &Sharing) -> bool {
        // As on Linux, an IPv6 socket that has its address by connecting keeps sockets of IPv4 from every address.
        let might_be_v4 = self.sharing.v6 && !self.sharing.v6_only;
        let all_of_v4 = !sharing.v6 && local.is_unspecified();
        if !overlap((self.local, self.sharing.v6_only), (local, sharing.v6_only)) && !(might_be_v4 && all_of_v4) {
            return false;
        }
        // Who listens to different interfaces has nothing in common.
        if self.sharing.device != 0 && sharing.device != 0 && self.sharing.device != sharing.device {
            return false;
        }
        let both_addresses = self.sharing.address && sharing.address;
        let quiet = protocol != Protocol::Tcp || !self.listening.load(Ordering::Acquire);
        let both_ports = self.sharing.port && sharing.port && self.sharing.uid == sharing.uid;
        !(both_addresses && quiet || both_ports)
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
    let mut local = local;
    if local.port() == 0 {
        local.set_port(free_port(table, protocol, local.ip(), &sharing, range)?);
    } else if let Some(entries) = table.get(&(protocol, local.port()))
        && entries.values().any(|entry| entry.excludes(protocol, local.ip(), &sharing))
    {
        return Err(Errno::EADDRINUSE);
    }
    Ok(insert(table, protocol, local, sharing))
}

/// A further user of a port, as a connection of its listener is: no questions asked.
pub fn share(protocol: Protocol, local: SocketAddr, sharing: Sharing) -> Lease {
    insert(TABLE.lock().get_or_insert_with(HashMap::new), protocol, local, sharing)
}

fn insert(
    table: &mut HashMap<(Protocol, u16), HashMap<u64, Entry>>,
    protocol: Protocol,
    local: SocketAddr,
    sharing: Sharing,
) -> Lease {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let listening = Arc::new(AtomicBool::new(false));
    let entry = Entry { local: local.ip(), sharing, listening: listening.clone() };
    table.entry((protocol, local.port())).or_default().insert(serial, entry);
    Lease { protocol, local, serial, listening, sharing }
}

/// A port that nobody has, else one that may be shared.
fn free_port(
    table: &HashMap<(Protocol, u16), HashMap<u64, Entry>>,
    protocol: Protocol,
    local: IpAddr,
    sharing: &Sharing,
    range: u32,
) -> SysResult<u16> {
    let within = sysctl::ports();
    let (low, high) = (range as u16, (range >> 16) as u16);
    let first = if low == 0 { within.0 } else { low.clamp(within.0, within.1) };
    let last = if high == 0 { within.1 } else { high.clamp(first, within.1) };
    let count = u64::from(last - first) + 1;
    let start = rng::next_u64() % count;
    let ports = || (0..count).map(|n| first + ((start + n) % count) as u16);
    let unused = ports().find(|port| !table.contains_key(&(protocol, *port)));
    let shared = || {
        ports().find(|port| {
            let entries = table.get(&(protocol, *port));
            entries.is_none_or(|entries| !entries.values().any(|entry| entry.excludes(protocol, local, sharing)))
        })
    };
    unused.or_else(shared).ok_or(Errno::EADDRINUSE)
}

impl Lease {
    /// The port is listened on from now on, or no more. `EADDRINUSE` when somebody else does.
    pub fn set_listening(&self, on: bool) -> SysResult<()> {
        if on {
            let mut guard = TABLE.lock();
            let table = guard.get_or_insert_with(HashMap::new);
            let others = table.get(&(self.protocol, self.local.port())).into_iter().flatten();
            let sharing = Sharing { address: true, ..self.sharing };
            for (_, entry) in others.filter(|(serial, _)| **serial != self.serial) {
                if entry.listening.load(Ordering::Acquire) && entry.excludes(self.protocol, self.local.ip(), &sharing) {
                    return Err(Errno::EADDRINUSE);
                }
            }
        }
        self.listening.store(on, Ordering::Release);
        Ok(())
    }

    /// Shares the port as the socket's options say now.
    pub fn share_as(&mut self, sharing: Sharing) {
        // `SO_REUSEPORT` is for those of the user that took the port.
        self.sharing = Sharing { uid: self.sharing.uid, ..sharing };
        if let Some(entry) = TABLE.lock().as_mut().and_then(|table| table.get_mut(&(self.protocol, self.local.port())))
            && let Some(entry) = entry.get_mut(&self.serial)
        {
            entry.sharing = self.sharing;
        }
    }

    /// The port is kept for this address alone, as while a socket for any address is connected.
    pub fn stand_for(&self, address: IpAddr) {
        if let Some(entry) = TABLE.lock().as_mut().and_then(|table| table.get_mut(&(self.protocol, self.local.port())))
            && let Some(entry) = entry.get_mut(&self.serial)
        {
            entry.local = address;
        }
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
        if let Some(entries) = table.get_mut(&(self.protocol, self.local.port())) {
            entries.remove(&self.serial);
            if entries.is_empty() {
                table.remove(&(self.protocol, self.local.port()));
            }
        }
    }
}
