//! The tables of /proc/net (proc(5)).

use alloc::string::String;
use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::Ordering;

use inet::ip::octets;
use inet::tcp::State;

use super::interface::{self, Link};
use super::{neighbor, raw, route, tcp, udp};

/// Route flags `RTF_UP` and `RTF_GATEWAY`.
const UP: u32 = 1;
const GATEWAY: u32 = 2;
/// `RTF_HOST` and `RTF_REJECT`.
const HOST: u32 = 4;
const REJECT: u32 = 0x200;
/// Neighbour flags `ATF_COM` and `ATF_PERM`.
const COMPLETE: u8 = 2;
const LASTING: u8 = 4;
/// `TCP_LISTEN`.
const LISTENING: u8 = 10;
/// States of UDP sockets, by the numbers of TCP: connected or not.
const UDP_STATES: [u8; 2] = [7, 1];

/// An address as the tables have it: words of the host's order in hexadecimal.
fn hex(address: &SocketAddr, v6: bool) -> String {
    let mut out = String::new();
    let ip = match address.ip() {
        IpAddr::V4(v4) if v6 => IpAddr::V6(v4.to_ipv6_mapped()),
        ip => ip,
    };
    let (bytes, len) = octets(&ip);
    for word in bytes.get(..len).unwrap_or_default().chunks_exact(4) {
        let _ = write!(out, "{:08X}", u32::from_ne_bytes(word.try_into().unwrap_or_default()));
    }
    let _ = write!(out, ":{:04X}", address.port());
    out
}

/// What is told of a socket.
pub struct Line {
    /// Our end.
    pub local: SocketAddr,
    /// The other one.
    pub remote: SocketAddr,
    /// By TCP's numbers.
    pub state: u8,
    /// Bytes to send and to read; of a listener, how many may wait and how many do.
    pub queues: (usize, usize),
    /// User and inode.
    pub owner: (u32, u64),
    /// The interface that it is bound to; 0 for all.
    pub device: u32,
    /// `SO_COOKIE`, where that is known.
    pub cookie: Option<u64>,
}

fn nobody(like: &SocketAddr) -> SocketAddr {
    SocketAddr::new(inet::ip::unspecified(&like.ip()), 0)
}

/// The sockets of TCP.
pub fn tcp_lines(v6: bool) -> impl Iterator<Item = Line> {
    let listeners = tcp::listeners().into_iter().map(|listener| Line {
        local: listener.local,
        remote: nobody(&listener.local),
        state: LISTENING,
        queues: (listener.backlog.load(Ordering::Relaxed), listener.ready_len()),
        owner: (listener.lease.sharing().uid, listener.common.inode.load(Ordering::Relaxed)),
        device: listener.common.device.load(Ordering::Relaxed),
        cookie: Some(listener.common.cookie()),
    });
    let connections = tcp::connections().into_iter().map(|connection| {
        let tcb = connection.tcb.lock();
        let (state, queues) = (tcp::state_number(tcb.state()), (tcb.unsent(), tcb.readable()));
        // What only waits for stragglers is nobody's.
        let owned = !tcb.is_orphan() && tcb.state() != State::TimeWait;
        drop(tcb);
        let owner = if owned { *connection.owner.lock() } else { (0, 0) };
        Line { local: connection.flow.local, remote: connection.flow.remote, state, queues, owner, device: 0, cookie: None }
    });
    listeners.chain(connections).filter(move |line| line.local.is_ipv6() == v6)
}

/// `tcp`, `tcp6`: the lines behind the heading.
pub fn tcp(v6: bool) -> String {
    let mut out = String::new();
    for (n, line) in tcp_lines(v6).enumerate() {
        let text = alloc::format!(
            "{n:4}: {} {} {:02X} {:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {} 1 {:016x} 20 4 0 10 -1",
            hex(&line.local, v6),
            hex(&line.remote, v6),
            line.state,
            if line.state == LISTENING { 0 } else { line.queues.0 },
            line.queues.1,
            line.owner.0,
            0,
            line.owner.1,
            0
        );
        let _ = if v6 { writeln!(out, "{text}") } else { writeln!(out, "{text:<149}") };
    }
    out
}

/// The sockets of UDP or UDP-Lite that have a port.
pub fn udp_lines(protocol: u8, v6: bool) -> impl Iterator<Item = Line> {
    let line = move |socket: &alloc::sync::Arc<udp::UdpSocket>| {
        let (local, remote) = socket.ends();
        let bound = local.port() != 0 && local.is_ipv6() == v6;
        bound.then(|| Line {
            local,
            remote: remote.unwrap_or(nobody(&local)),
            state: UDP_STATES[usize::from(remote.is_some())],
            queues: (0, socket.waiting()),
            owner: (socket.owner, socket.common.inode.load(Ordering::Relaxed)),
            device: socket.common.device.load(Ordering::Relaxed),
            cookie: Some(socket.common.cookie()),
        })
    };
    udp::sockets(protocol).into_iter().filter_map(move |socket| line(&socket))
}

/// `udp`, `udp6`, and the same of UDP-Lite.
pub fn udp(protocol: u8, v6: bool) -> String {
    let mut out = String::new();
    for (n, socket) in udp::sockets(protocol).iter().enumerate() {
        let (local, remote) = socket.ends();
        if local.is_ipv6() != v6 {
            continue;
        }
        let text = alloc::format!(
            "{n:5}: {} {} {:02X} {:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {} 2 {:016x} {}",
            hex(&local, v6),
            hex(&remote.unwrap_or(nobody(&local)), v6),
            UDP_STATES[usize::from(remote.is_some())],
            0,
            socket.waiting(),
            socket.owner,
            0,
            socket.common.inode.load(Ordering::Relaxed),
            0,
            socket.drops.load(Ordering::Relaxed)
        );
        let _ = if v6 { writeln!(out, "{text}") } else { writeln!(out, "{text:<127}") };
    }
    out
}

/// `raw`, `raw6`, and `icmp`, `icmp6`, which are the sockets for pings.
pub fn raw(v6: bool, pings: bool) -> String {
    let mut out = String::new();
    for (n, socket) in raw::list(v6, pings).iter().enumerate() {
        let text = alloc::format!(
            "{}: {} {} {:02X} {:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {} 2 {:016x} {}",
            if v6 || pings { alloc::format!("{n:5}") } else { alloc::format!("{n:4}") },
            hex(&socket.local, v6),
            hex(&socket.remote.unwrap_or(nobody(&socket.local)), v6),
            UDP_STATES[usize::from(socket.remote.is_some())],
            0,
            socket.held,
            socket.owner,
            0,
            socket.inode,
            0,
            socket.drops
        );
        let _ = if pings && !v6 { writeln!(out, "{text:<127}") } else { writeln!(out, "{text}") };
    }
    out
}

/// `dev`.
pub fn dev() -> String {
    let mut out = String::new();
    for interface in interface::all().iter() {
        let (received, sent) = interface.traffic();
        let [rb, rp, rd] = [&received.bytes, &received.packets, &received.dropped].map(|n| n.load(Ordering::Relaxed));
        let [sb, sp, sd] = [&sent.bytes, &sent.packets, &sent.dropped].map(|n| n.load(Ordering::Relaxed));
        let _ = writeln!(
            out,
            "{:>6}: {rb:7} {rp:7} {:4} {rd:4} {:4} {:5} {:10} {:9} {sb:8} {sp:7} {:4} {sd:4} {:4} {:5} {:7} {:10}",
            interface.name(),
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0
        );
    }
    out
}

/// `route`: IPv4's main table.
pub fn route() -> String {
    let word = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u32::from_ne_bytes(v4.octets()),
        IpAddr::V6(_) => 0,
    };
    let mut routes = route::all();
    routes.retain(|route| route.destination.address.is_ipv4() && route.table == route::table::MAIN);
    routes.sort_by_key(|route| (route.destination.address, core::cmp::Reverse(route.destination.prefix), route.metric));
    let mut out = String::new();
    for route in &routes {
        let mut flags = UP | if route.gateway.is_some() { GATEWAY } else { 0 };
        flags |= if route.destination.prefix == 32 { HOST } else { 0 };
        flags |= if route.interface.is_none() { REJECT } else { 0 };
        let text = alloc::format!(
            "{}\t{:08X}\t{:08X}\t{flags:04X}\t0\t0\t{}\t{:08X}\t0\t0\t0",
            route.interface.as_ref().map_or_else(|| "*".into(), |interface| interface.name()),
            word(route.destination.address),
            route.gateway.map_or(0, word),
            route.metric,
            u32::from_ne_bytes(route.destination.netmask().octets())
        );
        let _ = writeln!(out, "{text:<127}");
    }
    out
}

/// `ipv6_route`: all tables, and Linux's entry for what leads nowhere.
pub fn ipv6_route() -> String {
    /// `RTF_NONEXTHOP`, `RTF_LOCAL`.
    const NO_NEXT: u32 = 0x20_0000;
    const LOCAL: u32 = 0x8000_0000;
    let hex = |ip: IpAddr| {
        let (bytes, _) = octets(&ip);
        bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect::<String>()
    };
    let any = IpAddr::from([0; 16]);
    let mut out = String::new();
    let (all, local) = (route::all(), route::local());
    for route in all.iter().chain(&local).filter(|route| route.destination.address.is_ipv6()) {
        let mut flags = UP | if route.gateway.is_some() { GATEWAY } else { 0 };
        flags |= if route.kind == route::kind::LOCAL { NO_NEXT | LOCAL } else { 0 };
        flags |= if route.interface.is_none() { REJECT | NO_NEXT } else { 0 };
        let _ = writeln!(
            out,
            "{} {:02x} {} 00 {} {:08x} 00000001 00000000 {flags:08x} {:>8}",
            hex(route.destination.address),
            route.destination.prefix,
            hex(any),
            hex(route.gateway.unwrap_or(any)),
            route.metric,
            route.interface.as_ref().map_or_else(|| "lo".into(), |interface| interface.name())
        );
    }
    let none = hex(any);
    let _ = writeln!(out, "{none} 00 {none} 00 {none} ffffffff 00000001 00000000 00200200 {:>8}", "lo");
    out
}

/// `if_inet6`.
pub fn if_inet6() -> String {
    let mut out = String::new();
    for interface in interface::all().iter() {
        for own in interface.addresses.lock().iter() {
            let IpAddr::V6(address) = own.address else { continue };
            let scope = match address {
                address if address.is_loopback() => 0x10,
                address if address.is_unicast_link_local() => 0x20,
                _ => 0,
            };
            for byte in address.octets() {
                let _ = write!(out, "{byte:02x}");
            }
            let _ = writeln!(out, " {:02x} {:02x} {scope:02x} 80 {:>8}", interface.index, own.prefix, interface.name());
        }
    }
    out
}

/// `arp`.
pub fn arp() -> String {
    let mut out = String::new();
    for interface in interface::all().iter() {
        let Link::Ethernet(_, neighbors) = &interface.link else { continue };
        for (ip, [a, b, c, d, e, f], state) in neighbors.list().into_iter().filter(|(ip, ..)| ip.is_ipv4()) {
            let mac = alloc::format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            let flags = if state & neighbor::state::FIXED == 0 { COMPLETE } else { COMPLETE | LASTING };
            let _ = writeln!(out, "{ip:<16} 0x{:<10x}0x{flags:<10x}{mac}     *        {}", 1, interface.name());
        }
    }
    out
}
