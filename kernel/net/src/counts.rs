//! What has happened, as /proc/net/snmp tells it (RFC 4293, RFC 4022, RFC 4113).

use core::sync::atomic::{AtomicU64, Ordering};

/// Something that is counted. Of what is counted by family, IPv6's follows IPv4's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(usize)]
pub enum Count {
    IpIn,
    Ip6In,
    IpDelivered,
    Ip6Delivered,
    IpOut,
    Ip6Out,
    IcmpIn,
    Icmp6In,
    IcmpOut,
    Icmp6Out,
    EchoIn,
    Echo6In,
    EchoReplyOut,
    EchoReply6Out,
    UnreachableIn,
    Unreachable6In,
    UnreachableOut,
    Unreachable6Out,
    UdpIn,
    Udp6In,
    UdpNoPort,
    Udp6NoPort,
    UdpOut,
    Udp6Out,
    TcpActiveOpens,
    TcpPassiveOpens,
    TcpIn,
    TcpOut,
    TcpResetsOut,
    TcpAttemptFails,
    TcpEstabResets,
    TcpDataOut,
    UdpFull,
    Udp6Full,
}

const COUNTERS: usize = Count::Udp6Full as usize + 1;

static COUNTS: [AtomicU64; COUNTERS] = [const { AtomicU64::new(0) }; COUNTERS];

/// Counts one.
pub fn one(what: Count) {
    count(what as usize);
}

/// Counts one of a family.
pub fn of_family(what: Count, v6: bool) {
    count(what as usize + usize::from(v6));
}

fn count(at: usize) {
    if let Some(slot) = COUNTS.get(at) {
        slot.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often it has happened.
pub fn get(what: Count) -> u64 {
    COUNTS.get(what as usize).map_or(0, |slot| slot.load(Ordering::Relaxed))
}
