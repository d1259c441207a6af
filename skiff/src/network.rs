//! The machine's network: which of the host's ports lead into it, and how it is attached.

use crate::error::{Error, Result};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::str::FromStr;

/// The guest's addresses in QEMU's user networking, which has them fixed.
const USER_OPTIONS: [&str; 5] = ["ip=10.0.2.15/24", "gateway=10.0.2.2", "dns=10.0.2.3", "ip=fec0::15/64", "gateway=fe80::2"];

/// A port of the host that leads to one of the guest's: `[ADDRESS:]PORT:GUESTPORT[/udp]`. Port 0 of
/// the host is any free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Where the host listens.
    pub address: IpAddr,
    /// The host's port.
    pub host: u16,
    /// The guest's port.
    pub guest: u16,
    /// UDP instead of TCP.
    pub udp: bool,
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Publish, String> {
        let wrong = || format!("{text}: expected [ADDRESS:]PORT:GUESTPORT[/udp]");
        let (ports, udp) = match text.rsplit_once('/') {
            Some((ports, "udp")) => (ports, true),
            Some((ports, "tcp")) => (ports, false),
            Some(_) => return Err(wrong()),
            None => (text, false),
        };
        let (rest, guest) = ports.rsplit_once(':').unwrap_or((ports, ports));
        let (address, host) = match rest.rsplit_once(':') {
            Some((address, host)) => (address.trim_matches(['[', ']']).parse().map_err(|_| wrong())?, host),
            None => (IpAddr::V4(Ipv4Addr::LOCALHOST), rest),
        };
        let guest = guest.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        Ok(Publish { address, host: host.parse().map_err(|_| wrong())?, guest, udp })
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.udp { "udp" } else { "tcp" };
        write!(f, "{protocol}:{}:{}-:{}", self.address, self.host, self.guest)
    }
}

impl Publish {
    /// Chooses a free port where none is named, and makes sure that a named one is free.
    pub fn settle(mut self) -> Result<Publish> {
        let taken = |e: std::io::Error| Error::Port { address: self.address, port: self.host, why: e };
        let local = if self.udp {
            UdpSocket::bind((self.address, self.host)).and_then(|s| s.local_addr())
        } else {
            TcpListener::bind((self.address, self.host)).and_then(|s| s.local_addr())
        };
        self.host = local.map_err(taken)?.port();
        Ok(self)
    }
}

/// Whether the kernel takes `text` as an address of the machine.
pub fn check_address(text: &str) -> Result<()> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let good = match (address.parse::<IpAddr>(), prefix.map(str::parse::<u8>)) {
        (Err(_), prefix) => prefix.is_none() && matches!(address, "dhcp" | "off"),
        (Ok(_), None) => true,
        (Ok(address), Some(prefix)) => prefix.is_ok_and(|prefix| prefix <= if address.is_ipv4() { 32 } else { 128 }),
    };
    if good { Ok(()) } else { Err(Error::Usage(format!("--ip {text}: expected ADDRESS/PREFIX, dhcp or off"))) }
}

/// How the machine is attached to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// QEMU's user networking: no privileges, and only published ports lead in.
    User {
        /// The ports.
        ports: Vec<Publish>,
        /// The guest's addresses, where it is not to take those that it is known to get.
        addresses: Vec<String>,
    },
    /// An interface of the host that exists and that we may open.
    Tap {
        /// Its name.
        name: String,
        /// The guest's addresses with their prefixes.
        addresses: Vec<String>,
        /// The guest's routers.
        gateways: Vec<String>,
    },
}

impl Network {
    /// QEMU's arguments, for a device on the `virtio-BUS`.
    pub fn arguments(&self, bus: &str) -> Vec<String> {
        let backend = match self {
            Network::User { ports, .. } => {
                let forwards: String = ports.iter().map(|port| format!(",hostfwd={port}")).collect();
                format!("user,id=net{forwards}")
            }
            Network::Tap { name, .. } => format!("tap,id=net,ifname={name},script=no,downscript=no"),
        };
        // A card on PCI would bring a boot ROM that nobody needs.
        let rom = if bus == "pci" { ",romfile=" } else { "" };
        vec!["-netdev".into(), backend, "-device".into(), format!("virtio-net-{bus},netdev=net{rom}")]
    }

    /// Options of the kernel's command line.
    pub fn options(&self) -> Vec<String> {
        match self {
            Network::User { addresses, .. } if addresses.is_empty() => USER_OPTIONS.map(str::to_owned).to_vec(),
            Network::User { addresses, .. } => addresses.iter().map(|address| format!("ip={address}")).collect(),
            Network::Tap { addresses, gateways, .. } => {
                let own = addresses.iter().map(|address| format!("ip={address}"));
                own.chain(gateways.iter().map(|gateway| format!("gateway={gateway}"))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        let port: Publish = "8080:80".parse().unwrap();
        assert_eq!(port.to_string(), "tcp:127.0.0.1:8080-:80");
        assert_eq!("0.0.0.0:53:5353/udp".parse::<Publish>().unwrap().to_string(), "udp:0.0.0.0:53-:5353");
        assert_eq!("6379".parse::<Publish>().unwrap().guest, 6379);
        for wrong in ["", "80:", "a:80", "1:2:3", "80:80/sctp", "80:0"] {
            assert!(wrong.parse::<Publish>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        for right in ["10.0.0.2/24", "fd00::2/64", "10.0.0.2", "dhcp", "off"] {
            assert!(check_address(right).is_ok(), "{right}");
        }
        for wrong in ["", "x", "10.0.0.2/33", "10.0.0/8", "dhcp/8", "fd00::2/129"] {
            assert!(check_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_free_port_is_found_and_a_taken_one_noticed() {
        let port = "0:80".parse::<Publish>().unwrap().settle().unwrap();
        assert_ne!(port.host, 0);
        let held = TcpListener::bind((port.address, 0)).unwrap();
        let taken = Publish { host: held.local_addr().unwrap().port(), ..port };
        assert!(taken.settle().is_err());
    }
}
