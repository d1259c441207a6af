//! Addresses, and the pairs of them that name a flow.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::siphash::Key;

/// One direction's view of a flow: who we are and who the other side is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// An address as bytes in the order of the wire, 4 or 16 of them.
pub fn octets(address: &IpAddr) -> ([u8; 16], usize) {
    let mut out = [0; 16];
    match address {
        IpAddr::V4(v4) => {
            out[..4].copy_from_slice(&v4.octets());
            (out, 4)
        }
        IpAddr::V6(v6) => (v6.octets(), 16),
    }
}

fn words(address: &IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [bits as u64, (bits >> 64) as u64]
}

impl Flow {
    /// The keyed hash of the flow.
    pub fn hash(&self, key: Key) -> u64 {
        let [a, b] = words(&self.local.ip());
        let [c, d] = words(&self.remote.ip());
        key.hash(&[a, b, c, d, u64::from(self.local.port()) << 16 | u64::from(self.remote.port())])
    }
}

/// An IPv4 address in an IPv6 dress as itself.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The address that stands for any of our own, of the same family.
pub fn unspecified(like: &IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// A network: the addresses that share the first `prefix` bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cidr {
    /// An address of it.
    pub address: IpAddr,
    /// How many bits are the network's.
    pub prefix: u8,
}

impl Cidr {
    /// Whether `other` is in it.
    pub fn contains(&self, other: &IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            _ => false,
        }
    }

    /// Its first address.
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & self.netmask().to_bits())),
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
            }
        }
    }

    /// The netmask of an IPv4 network.
    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0))
    }

    /// The address for all of an IPv4 network.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(a) if self.prefix < 31 => Some(Ipv4Addr::from_bits(a.to_bits() | !self.netmask().to_bits())),
            _ => None,
        }
    }

    /// Reads `ADDRESS/PREFIX`; without a prefix it is the address alone.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse().ok()?, Some(prefix.parse::<u8>().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let bits = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Cidr { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let net = Cidr::parse("10.0.2.15/24").unwrap();
        assert!(net.contains(&"10.0.2.2".parse().unwrap()));
        assert!(!net.contains(&"10.0.3.2".parse().unwrap()));
        assert_eq!(net.broadcast().unwrap(), "10.0.2.255".parse::<Ipv4Addr>().unwrap());
        assert!(Cidr::parse("0.0.0.0/0").unwrap().contains(&"9.9.9.9".parse().unwrap()));
        assert!(Cidr::parse("fec0::/64").unwrap().contains(&"fec0::2".parse().unwrap()));
        assert!(Cidr::parse("1.2.3.4/33").is_none());
    }
}
