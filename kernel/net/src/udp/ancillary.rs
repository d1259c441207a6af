//! What a socket is told of a datagram besides its bytes (ip(7), ipv6(7), socket(7)).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use fd::socket::Control;
use inet::ipv6_headers::{next, of_packet};
use linux_raw_sys::net as n;

use super::Datagram;
use super::file::UDP_GRO;
use crate::extension::{Asked, Carried};
use crate::output::UDP;
use crate::socket::{Common, Family};
use crate::sockopt::flag;
use crate::{interface, stamp};

/// Everything of a datagram that can be asked for, besides time stamps.
const ANY: u64 = flag::RXQ_OVFL | flag::GRO | ANY_V4 | ANY_V6;
const ANY_V4: u64 = flag::PKTINFO | flag::RECVTTL | flag::RECVTOS | flag::ORIGDSTADDR | flag::RECVOPTS | flag::RETOPTS;
const ANY_V6: u64 = flag::PKTINFO6
    | flag::PKTINFO2292
    | flag::RECVHOPLIMIT
    | flag::HOPLIMIT2292
    | flag::RECVTCLASS
    | flag::ORIGDSTADDR6
    | HEADERS_V6;
const HEADERS_V6: u64 =
    flag::RECVHOPOPTS | flag::RECVDSTOPTS | flag::RECVRTHDR | flag::HOPOPTS2292 | flag::DSTOPTS2292 | flag::RTHDR2292;

/// What of a packet sockets are told, whatever their kind.
pub struct Arrival<'a> {
    /// The socket's options.
    pub options: &'a Common,
    /// Where the packet came in, and for which address of ours.
    pub interface: u32,
    /// See `interface`.
    pub to: core::net::SocketAddr,
    /// What was left of its time to live.
    pub ttl: u8,
    /// Its type of service.
    pub tos: u8,
    /// The address that `IP_PKTINFO` says an answer would come from, where that is not to be found
    /// out.
    pub answered_from: Option<Ipv4Addr>,
    /// Who sent it.
    pub from: IpAddr,
    /// Its options, or extension headers.
    pub carried: &'a Carried,
}

/// The kinds of headers that control messages tell of, by option (RFC 3542, and RFC 2292's forms).
const HOP_BY_HOP: [(u64, u32); 2] = [(flag::RECVHOPOPTS, n::IPV6_HOPOPTS), (flag::HOPOPTS2292, n::IPV6_2292HOPOPTS)];
const DESTINATION: [(u64, u32); 2] = [(flag::RECVDSTOPTS, n::IPV6_DSTOPTS), (flag::DSTOPTS2292, n::IPV6_2292DSTOPTS)];
const ROUTING: [(u64, u32); 2] = [(flag::RECVRTHDR, n::IPV6_RTHDR), (flag::RTHDR2292, n::IPV6_2292RTHDR)];

impl Arrival<'_> {
    /// The control messages of the levels `SOL_IP` and `SOL_IPV6`: a packet of IPv4 has those of
    /// IPv4, and on a socket of IPv6 also the address in IPv6 dress.
    pub fn control(&self, out: &mut Vec<Control>) {
        let options = self.options;
        if options.family() == Family::V6 {
            self.pktinfo_v6(out);
        }
        let mut put = |level, kind, data: Vec<u8>| out.push(Control { level, kind, data });
        let word = |value: u8| i32::from(value).to_ne_bytes().to_vec();
        if let IpAddr::V4(to) = self.to.ip() {
            if options.has(flag::PKTINFO) {
                let mut data = (self.interface as i32).to_ne_bytes().to_vec();
                let own = self.answered_from.unwrap_or_else(|| own_address(self.interface, to));
                data.extend_from_slice(&own.octets());
                data.extend_from_slice(&to.octets());
                put(n::SOL_IP, n::IP_PKTINFO, data);
            }
            if options.has(flag::RECVTTL) {
                put(n::SOL_IP, n::IP_TTL, word(self.ttl));
            }
            if options.has(flag::RECVTOS) {
                put(n::SOL_IP, n::IP_TOS, alloc::vec![self.tos]);
            }
            if let Carried::V4(came) = self.carried {
                if options.has(flag::RECVOPTS) {
                    put(n::SOL_IP, n::IP_RECVOPTS, came.bytes().to_vec());
                }
                // Those of an answer, where there can be one.
                if options.has(flag::RETOPTS)
                    && let Ok(answer) = self.carried.answer(self.from)
                {
                    let bytes = answer.map_or(Vec::new(), |asked| match asked {
                        Asked::V4(options) => options.asked_for().to_vec(),
                        Asked::V6(_) => Vec::new(),
                    });
                    put(n::SOL_IP, n::IP_RETOPTS, bytes);
                }
            }
            if options.has(flag::ORIGDSTADDR) {
                put(n::SOL_IP, n::IP_ORIGDSTADDR, Family::V4.encode(&self.to));
            }
            return;
        }
        if options.has(flag::RECVHOPLIMIT) {
            put(n::SOL_IPV6, n::IPV6_HOPLIMIT, word(self.ttl));
        }
        if options.has(flag::RECVTCLASS) {
            put(n::SOL_IPV6, n::IPV6_TCLASS, word(self.tos));
        }
        self.headers(0, out);
        if options.has(flag::HOPLIMIT2292) {
            out.push(Control { level: n::SOL_IPV6, kind: n::IPV6_2292HOPLIMIT, data: word(self.ttl) });
        }
        self.headers(1, out);
        if options.has(flag::ORIGDSTADDR6) {
            let data = Family::V6.encode(&self.to);
            out.push(Control { level: n::SOL_IPV6, kind: n::IPV6_ORIGDSTADDR, data });
        }
    }

    /// The extension headers, by the options of RFC 3542 (0) or RFC 2292 (1).
    fn headers(&self, form: usize, out: &mut Vec<Control>) {
        let Carried::V6(first, bytes) = self.carried else { return };
        if !self.options.has(HEADERS_V6) {
            return;
        }
        let mut following = of_packet(*first, bytes);
        while let Some((kind, header)) = following.next() {
            // RFC 2292 knows of two headers for the destination at most, one before the routing
            // header.
            let mut later = following.clone().map(|(kind, _)| kind).take_while(|kind| *kind != next::ROUTING);
            if form == 1 && kind == next::DESTINATION && later.any(|kind| kind == next::DESTINATION) {
                continue;
            }
            let options = match kind {
                next::HOP_BY_HOP => HOP_BY_HOP,
                next::DESTINATION => DESTINATION,
                next::ROUTING => ROUTING,
                _ => continue,
            };
            let (bit, kind) = options[form];
            if self.options.has(bit) {
                out.push(Control { level: n::SOL_IPV6, kind, data: header.to_vec() });
            }
        }
    }

    fn pktinfo_v6(&self, out: &mut Vec<Control>) {
        let to = match self.to.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        for (bit, kind) in [(flag::PKTINFO6, n::IPV6_PKTINFO), (flag::PKTINFO2292, n::IPV6_2292PKTINFO)] {
            // The old form is for packets of IPv6 alone.
            if self.options.has(bit) && (kind == n::IPV6_PKTINFO || self.to.is_ipv6()) {
                let mut data = to.octets().to_vec();
                data.extend_from_slice(&self.interface.to_ne_bytes());
                out.push(Control { level: n::SOL_IPV6, kind, data });
            }
        }
    }
}

/// The address that an answer would come from: the one that was meant, or the interface's where
/// many were.
fn own_address(interface: u32, to: Ipv4Addr) -> Ipv4Addr {
    let Some(interface) = interface::by_index(interface) else { return to };
    if !to.is_multicast() && !interface.is_broadcast(&to) {
        return to;
    }
    interface.first_v4().unwrap_or(to)
}

impl Datagram {
    /// The control messages that a socket with these options has asked for.
    pub(super) fn control(&self, options: &Common) -> Vec<Control> {
        if !options.has(ANY) && !stamp::is_wanted(options) {
            return Vec::new();
        }
        let mut out = stamp::control(options, self.stamp);
        if options.has(flag::RXQ_OVFL) && self.drops > 0 {
            let data = (self.drops as u32).to_ne_bytes().to_vec();
            out.push(Control { level: n::SOL_SOCKET, kind: n::SO_RXQ_OVFL, data });
        }
        if options.has(flag::GRO) && self.segment > 0 {
            out.push(Control { level: UDP.into(), kind: UDP_GRO, data: i32::from(self.segment).to_ne_bytes().to_vec() });
        }
        let Datagram { interface, from, to, ttl, tos, .. } = *self;
        let (from, carried) = (from.ip(), &self.carried);
        Arrival { options, interface, to, ttl, tos, answered_from: None, from, carried }.control(&mut out);
        out
    }
}
