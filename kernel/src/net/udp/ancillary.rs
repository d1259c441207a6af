//! What a socket is told of a datagram besides its bytes (ip(7), ipv6(7), socket(7)).

use alloc::vec::Vec;
use core::net::IpAddr;

use linux_raw_sys::net as n;

use super::Datagram;
use crate::files::socket::Control;
use crate::net::socket::{Common, flag};

impl Datagram {
    /// The control messages that a socket with these options has asked for.
    pub(super) fn control(&self, options: &Common) -> Vec<Control> {
        let mut out = Vec::new();
        let mut put = |level, kind, data: Vec<u8>| out.push(Control { level, kind, data });
        let (seconds, nanoseconds) = (self.stamp / 1_000_000_000, self.stamp % 1_000_000_000);
        if options.has(flag::TIMESTAMP) {
            let parts = [seconds, nanoseconds / 1000];
            put(n::SOL_SOCKET, n::SO_TIMESTAMP, parts.iter().flat_map(|part| part.to_ne_bytes()).collect());
        }
        if options.has(flag::TIMESTAMPNS) {
            let parts = [seconds, nanoseconds];
            put(n::SOL_SOCKET, n::SO_TIMESTAMPNS, parts.iter().flat_map(|part| part.to_ne_bytes()).collect());
        }
        if let IpAddr::V4(to) = self.to
            && options.has(flag::PKTINFO)
        {
            let mut data = (self.interface as i32).to_ne_bytes().to_vec();
            data.extend_from_slice(&to.octets());
            data.extend_from_slice(&to.octets());
            put(n::SOL_IP, n::IP_PKTINFO, data);
        }
        if options.has(flag::PKTINFO6) {
            let to = match self.to {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            let mut data = to.octets().to_vec();
            data.extend_from_slice(&self.interface.to_ne_bytes());
            put(n::SOL_IPV6, n::IPV6_PKTINFO, data);
        }
        if options.has(flag::RECVTTL) {
            put(n::SOL_IP, n::IP_TTL, i32::from(self.ttl).to_ne_bytes().to_vec());
        }
        if options.has(flag::RECVTOS) {
            put(n::SOL_IP, n::IP_TOS, alloc::vec![self.tos]);
        }
        if self.to.is_ipv6() && options.has(flag::RECVHOPLIMIT) {
            put(n::SOL_IPV6, n::IPV6_HOPLIMIT, i32::from(self.ttl).to_ne_bytes().to_vec());
        }
        if self.to.is_ipv6() && options.has(flag::RECVTCLASS) {
            put(n::SOL_IPV6, n::IPV6_TCLASS, i32::from(self.tos).to_ne_bytes().to_vec());
        }
        out
    }
}
