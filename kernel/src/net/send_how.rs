//! Control messages that say how one datagram is to be sent (ip(7), ipv6(7), cmsg(3)).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::interface;
use super::route::Hop;
use crate::files::socket::{Control, int};

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
}

impl SendHow {
    /// Reads them, for a packet to an address of IPv6 if `v6`. `EINVAL` for what is not understood; what is of another level is passed
    /// over.
    pub fn read(control: &[Control], v6: bool) -> SysResult<Self> {
        let mut how = Self::default();
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
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
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
