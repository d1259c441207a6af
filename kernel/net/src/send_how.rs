//! Control messages that say how one datagram is to be sent (ip(7), ipv6(7), cmsg(3)).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fd::capable;
use fd::socket::{Control, int};
use inet::ipv4_options::MAX_LEN;
use inet::ipv6_headers::{Headers, len_of};
use linux_raw_sys::general::CAP_NET_RAW;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::extension::{Asked, options_to_send};
use super::interface;
use super::route::Hop;
use super::socket::Common;

/// The level of UDP's own, and the one that it has.
const SOL_UDP: u32 = super::output::UDP as u32;
const UDP_SEGMENT: u32 = 103;

/// What they say; all else is the socket's.
#[derive(Default)]
pub struct SendHow {
    /// The address to send from, where one is named.
    source: Option<IpAddr>,
    /// The interface to send through; 0 if none is named.
    interface: u32,
    /// Time to live, or hop limit.
    pub ttl: Option<u8>,
    /// Type of service, or traffic class.
    pub tos: Option<u8>,
    /// `UDP_SEGMENT`.
    pub segment: Option<u16>,
    /// `IP_RETOPTS`, or headers of IPv6.
    pub asked: Option<Asked>,
}

impl SendHow {
    /// Reads them, for a packet to an address of IPv6 if `v6`. `EINVAL` for what is not understood;
    /// what is of another level is passed over.
    pub fn read(control: &[Control], v6: bool, common: &Common) -> SysResult<Self> {
        let mut how = Self { interface: if v6 { common.sticky.interface() } else { 0 }, ..Self::default() };
        for message in control {
            let own = match message.level {
                n::SOL_IP => !v6,
                // The address of an IPv6 packet may also name the source in IPv6 dress.
                n::SOL_IPV6 => v6 || message.kind == n::IPV6_PKTINFO,
                SOL_UDP => true,
                _ => false,
            };
            if own {
                how.take(message)?;
            }
        }
        Ok(how)
    }

    fn take(&mut self, message: &Control) -> SysResult<()> {
        let data = &message.data[..];
        let byte = || int(data).or_else(|_| data.first().map(|b| i32::from(*b)).ok_or(Errno::EINVAL));
        match (message.level, message.kind) {
            (n::SOL_IP, n::IP_PKTINFO) => {
                let [i0, i1, i2, i3, a, b, c, d, ..] = *data else { return Err(Errno::EINVAL) };
                self.interface = u32::from_ne_bytes([i0, i1, i2, i3]);
                let source = Ipv4Addr::new(a, b, c, d);
                self.source = (!source.is_unspecified()).then_some(source.into());
            }
            (n::SOL_IPV6, n::IPV6_PKTINFO) => {
                let address = data.first_chunk::<16>().ok_or(Errno::EINVAL)?;
                self.interface = int(data.get(16..).unwrap_or_default())? as u32;
                let source = Ipv6Addr::from(*address);
                self.source = (!source.is_unspecified()).then(|| IpAddr::V6(source).to_canonical());
            }
            (n::SOL_IP, n::IP_TTL) => {
                self.ttl = Some(u8::try_from(int(data)?).ok().filter(|ttl| *ttl != 0).ok_or(Errno::EINVAL)?)
            }
            (n::SOL_IPV6, n::IPV6_HOPLIMIT) => match int(data)? {
                -1 => self.ttl = None,
                hops => self.ttl = Some(u8::try_from(hops).map_err(|_| Errno::EINVAL)?),
            },
            (n::SOL_IP, n::IP_TOS) => self.tos = Some(u8::try_from(byte()?).map_err(|_| Errno::EINVAL)?),
            (n::SOL_IPV6, n::IPV6_TCLASS) => match int(data)? {
                -1 => self.tos = None,
                class => self.tos = Some(u8::try_from(class).map_err(|_| Errno::EINVAL)?),
            },
            (SOL_UDP, UDP_SEGMENT) => {
                let size = data.first_chunk().filter(|_| data.len() == 2).ok_or(Errno::EINVAL)?;
                self.segment = Some(u16::from_ne_bytes(*size));
            }
            (n::SOL_IP, n::IP_RETOPTS) => {
                let bytes = data.get(..MAX_LEN).unwrap_or(data);
                self.asked = Some(Asked::V4(options_to_send(bytes)?));
            }
            (n::SOL_IPV6, kind) => self.take_header(kind, data)?,
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// An extension header of IPv6 (RFC 3542; RFC 2292's forms have numbers of their own). Each may
    /// be named once.
    fn take_header(&mut self, kind: u32, data: &[u8]) -> SysResult<()> {
        let mut headers = match self.asked.take() {
            Some(Asked::V6(headers)) => headers,
            _ => Headers::default(),
        };
        if !matches!(
            kind,
            n::IPV6_HOPOPTS
                | n::IPV6_2292HOPOPTS
                | n::IPV6_DSTOPTS
                | n::IPV6_2292DSTOPTS
                | n::IPV6_RTHDRDSTOPTS
                | n::IPV6_RTHDR
                | n::IPV6_2292RTHDR
        ) {
            return Err(Errno::EINVAL);
        }
        let once = match kind {
            n::IPV6_HOPOPTS | n::IPV6_2292HOPOPTS => !headers.hop_by_hop.is_empty(),
            n::IPV6_2292DSTOPTS => !headers.destination.is_empty(),
            _ => false,
        };
        let header = len_of(data).and_then(|len| data.get(..len)).filter(|_| !once).ok_or(Errno::EINVAL)?;
        // There is no routing header that a message may name without Mobile IPv6.
        if matches!(kind, n::IPV6_RTHDR | n::IPV6_2292RTHDR) {
            return Err(Errno::EINVAL);
        }
        if !capable(CAP_NET_RAW) {
            return Err(Errno::EPERM);
        }
        let slot = match kind {
            n::IPV6_HOPOPTS | n::IPV6_2292HOPOPTS => &mut headers.hop_by_hop,
            n::IPV6_RTHDRDSTOPTS => &mut headers.before_routing,
            _ => &mut headers.destination,
        };
        *slot = header.to_vec().into();
        self.asked = Some(Asked::V6(headers));
        Ok(())
    }

    /// The headers and options of a message: what it names itself, else what all of the socket's
    /// have.
    pub fn asked(&self, common: &Common, v6: bool) -> Option<Asked> {
        self.asked.clone().filter(|asked| asked.len() > 0).or_else(|| common.sticky.of(v6))
    }

    /// Puts the address and the interface that were named in place of those chosen.
    pub fn apply(&self, source: &mut IpAddr, hop: &mut Hop) -> SysResult<()> {
        if let Some(own) = self.source {
            if own.is_ipv4() != source.is_ipv4() {
                return Err(Errno::EINVAL);
            }
            if interface::owner(&own).is_none() {
                return Err(if own.is_ipv4() { Errno::ENETUNREACH } else { Errno::EINVAL });
            }
            *source = own;
        }
        // What goes to ourselves does so whatever the interface.
        if self.interface != 0 && self.interface != hop.interface.index && !hop.interface.is_loopback() {
            let named = interface::by_index(self.interface).ok_or(Errno::ENODEV)?;
            hop.interface = named;
        }
        Ok(())
    }
}
