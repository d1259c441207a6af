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

/// Both halves of the product, of which each bit depends on many of either factor.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Flow {
    /// The keyed hash of the flow, for what an outsider learns from: it costs more than
    /// [`Flow::place`].
    pub fn hash(&self, key: Key) -> u64 {
        let [a, b] = words(&self.local.ip());
        let [c, d] = words(&self.remote.ip());
        key.hash(&[a, b, c, d, self.ports()])
    }

    fn ports(&self) -> u64 {
        u64::from(self.local.port()) << 16 | u64::from(self.remote.port())
    }

    /// Where the flow is in a table: a hash that nobody can steer who does not know the key and
    /// does not see it.
    pub fn place(&self, key: Key) -> u64 {
        let ports = self.ports();
        let [local, remote] = [self.local.ip(), self.remote.ip()];
        if let (IpAddr::V4(local), IpAddr::V4(remote)) = (local, remote) {
            let addresses = u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits());
            return fold(fold(addresses ^ key.0, ports ^ key.1), key.0);
        }
        let ([a, b], [c, d]) = (words(&local), words(&remote));
        let both = fold(a ^ key.0, b ^ key.1) ^ fold(c ^ key.1, d ^ key.0).rotate_left(32);
        fold(fold(both ^ key.0, ports ^ key.1), key.0)
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
    fn flows_spread_over_a_table() {
        let key = Key(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        for remote in ["10.0.0.1:0", "[fec0::1]:0"] {
            let mut counts = [0u32; 64];
            for port in 1024..11264 {
                let mut remote: SocketAddr = remote.parse().unwrap();
                remote.set_port(port);
                let local = if remote.is_ipv4() { "10.0.0.2:80" } else { "[fec0::2]:80" };
                let place = Flow { local: local.parse().unwrap(), remote }.place(key);
                // Both ends of the hash are used: one for the part of the table, one for the place
                // in it.
                counts[(place >> 32) as usize % 64] += 1;
                counts[place as usize % 64] += 1;
            }
            // 320 are expected: seven standard deviations to either side.
            assert!(counts.iter().all(|n| (195..=445).contains(n)), "{counts:?}");
        }
    }

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
