//! Settings of the network (Documentation/networking/ip-sysctl.rst) that change something here.
//! /proc/sys/net shows them.

mod conf;

use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::Relaxed;

pub use conf::{Conf, Place, V4, V6, all_interfaces, for_new_interfaces, number_of, set as set_conf};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub static $name: AtomicI32 = AtomicI32::new($value);)*
    };
}

numbers! {
    /// Time to live of what says nothing else.
    DEFAULT_TTL = 64;
    /// From which port on everybody may bind.
    UNPRIVILEGED_PORT = 1024;
    /// Addresses that are not ours may be bound to, by family.
    NONLOCAL_BIND = 0;
    /// See `NONLOCAL_BIND`.
    NONLOCAL_BIND6 = 0;
    /// Pings are not answered.
    ECHO_IGNORE_ALL = 0;
    /// Pings to everybody are not answered.
    ECHO_IGNORE_BROADCASTS = 1;
    /// See `ECHO_IGNORE_ALL`, for IPv6.
    ECHO_IGNORE_ALL6 = 0;
    /// Groups that a socket may join.
    MAX_MEMBERSHIPS = 20;
    /// Seconds until an idle connection is asked whether it is alive.
    KEEPALIVE_TIME = 7200;
    /// Seconds between such questions.
    KEEPALIVE_INTERVAL = 75;
    /// How many of them there are.
    KEEPALIVE_PROBES = 9;
    /// How often a SYN is repeated.
    SYN_RETRIES = 6;
    /// Seconds that a closed connection waits for the other end.
    FIN_TIMEOUT = 60;
    /// The most that a listener's backlog may be.
    SOMAXCONN = 4096;
    /// Buffers of sockets that say nothing else, and the most that SO_RCVBUF and SO_SNDBUF take.
    RMEM_DEFAULT = 212_992;
    /// See `RMEM_DEFAULT`.
    RMEM_MAX = 212_992;
    /// See `RMEM_DEFAULT`.
    WMEM_DEFAULT = 212_992;
    /// See `RMEM_DEFAULT`.
    WMEM_MAX = 212_992;
    /// IPv6 sockets do not take IPv4 unless they say so.
    BIND_V6_ONLY = 0;
}

/// Ports that are given out to those who ask for none.
pub static PORT_RANGE: [AtomicI32; 2] = [AtomicI32::new(32768), AtomicI32::new(60999)];
/// Whose groups may open sockets for pings. Linux begins with nobody's; everybody's is what
/// containers have.
pub static PING_GROUPS: [AtomicI32; 2] = [AtomicI32::new(0), AtomicI32::new(i32::MAX)];
/// Least, first and largest buffers of TCP.
pub static TCP_RMEM: [AtomicI32; 3] = [AtomicI32::new(4096), AtomicI32::new(131_072), AtomicI32::new(6_291_456)];
/// See [`TCP_RMEM`].
pub static TCP_WMEM: [AtomicI32; 3] = [AtomicI32::new(4096), AtomicI32::new(16_384), AtomicI32::new(4_194_304)];

/// What a setting says.
pub fn get(setting: &AtomicI32) -> i32 {
    setting.load(Relaxed)
}

/// First and last of the ports that are given out to those who ask for none.
pub fn ports() -> (u16, u16) {
    let [first, last] = PORT_RANGE.each_ref().map(|end| end.load(Relaxed) as u16);
    (first, last.max(first))
}

/// How far packets of IPv6 go that say nothing else.
pub fn hop_limit() -> u8 {
    for_new_interfaces().hop_limit()
}

/// Whether the caller may open a socket for pings.
pub fn may_ping() -> bool {
    let [first, last] = PING_GROUPS.each_ref().map(|end| end.load(Relaxed) as u32);
    let credentials = caller::credentials();
    core::iter::once(&credentials.egid).chain(&credentials.groups).any(|group| (first..=last).contains(group))
}

/// Whether pings are answered. `for_all`: they are not for us alone.
pub fn answers_pings(v6: bool, for_all: bool) -> bool {
    let on = |setting: &AtomicI32| setting.load(Relaxed) != 0;
    match (v6, for_all) {
        (false, true) => !on(&ECHO_IGNORE_ALL) && !on(&ECHO_IGNORE_BROADCASTS),
        (false, false) => !on(&ECHO_IGNORE_ALL),
        // Linux answers those to groups; RFC 4443, 4.2, leaves it open.
        (true, true) => false,
        (true, false) => !on(&ECHO_IGNORE_ALL6),
    }
}
