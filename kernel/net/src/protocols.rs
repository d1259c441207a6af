//! `/proc/net/protocols`: the kinds of sockets, how many there are of each, and which of the calls
//! each has a way of its own for.

use alloc::string::String;
use core::fmt::Write as _;

use linux_raw_sys::net::SOCK_STREAM;

use super::{netlink, packet, raw, tables};
use crate::machine;

/// Name, whether there is a bound for the memory of all, the longest header, whether they come from
/// a cache of their own, and the calls: close, connect, disconnect, accept, ioctl, init, destroy,
/// shutdown, setsockopt, getsockopt, sendmsg, recvmsg, bind, backlog_rcv, hash, unhash, get_port,
/// enter_memory_pressure. The calls are Linux's.
const ROWS: [(&str, bool, u32, bool, &str); 14] = [
    ("PACKET", false, 0, false, "nnnnnnnnnnnnnnnnnn"),
    ("PINGv6", false, 0, true, "yyynnynnyyyyyynyyn"),
    ("RAWv6", false, 0, true, "yyynyyynyyyyyyyynn"),
    ("UDPLITEv6", true, 0, true, "yyynyyynyyyynnyyyn"),
    ("UDPv6", true, 0, true, "yyynyyynyyyynnyyyn"),
    ("TCPv6", true, 192, true, "yyyyyyyyyyyynyyyyy"),
    ("UNIX-STREAM", false, 0, true, "ynnnnnnnnnnnnnnnnn"),
    ("UNIX", false, 0, true, "ynnnnnnnnnnnnnnnnn"),
    ("UDP-Lite", true, 0, true, "yyynyyynyyyynnyyyn"),
    ("PING", false, 0, true, "yyynnynnyyyyyynyyn"),
    ("RAW", false, 0, true, "yyynyyynyyyyyyyynn"),
    ("UDP", true, 0, true, "yyynyyynyyyynnyyyn"),
    ("TCP", true, 192, true, "yyyyyyyyyyyynyyyyy"),
    ("NETLINK", false, 0, false, "nnnnnnnnnnnnnnnnnn"),
];

/// The lines below the heading. The sizes are those of our own sockets.
pub fn lines() -> String {
    let [tcp, udp, lite] = tables::in_use(false);
    let [tcp6, udp6, lite6] = tables::in_use(true);
    let unix = machine::local_sockets();
    let streams = unix.iter().filter(|socket| socket.kind == SOCK_STREAM).count();
    let sockets = |name: &str| match name {
        "PACKET" => packet::list().len(),
        "PINGv6" => raw::list(true, true).len(),
        "RAWv6" => raw::list(true, false).len(),
        "UDPLITEv6" => lite6,
        "UDPv6" => udp6,
        "TCPv6" => tcp6,
        "UNIX-STREAM" => streams,
        "UNIX" => unix.len() - streams,
        "UDP-Lite" => lite,
        "PING" => raw::list(false, true).len(),
        "RAW" => raw::list(false, false).len(),
        "UDP" => udp,
        "TCP" => tcp,
        _ => netlink::list().len(),
    };
    let size = |name: &str| match name {
        "TCP" | "TCPv6" => size_of::<super::tcp::TcpSocket>() + size_of::<super::tcp::Connection>(),
        "UDP" | "UDPv6" | "UDP-Lite" | "UDPLITEv6" => size_of::<super::udp::UdpSocket>(),
        _ => size_of::<raw::RawSocket>(),
    };
    let mut out = String::new();
    for (name, bounded, header, cache, calls) in ROWS {
        let (memory, pressure) = if bounded { (0, if header > 0 { "no" } else { "NI" }) } else { (-1, "NI") };
        let cache = if cache { "yes" } else { "no" };
        let _ = write!(
            out,
            "{name:<9} {:4} {:6}  {memory:6}   {pressure:<3} {header:6}   {cache:<3}  {:<10}",
            size(name),
            sockets(name),
            "kernel"
        );
        for call in calls.chars() {
            let _ = write!(out, " {call:>2}");
        }
        out.push('\n');
    }
    out
}
