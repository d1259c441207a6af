//! Addresses, routes and name servers of the interfaces: from the kernel's command line, from DHCP,
//! and from routers.
//!
//! `ip=ADDRESS/PREFIX` (any number), `ip=dhcp`, `ip=off` (no IPv4 address), `gateway=ADDRESS` (one
//! for each family), `dns=ADDRESS` (any number). Without an IPv4 address DHCP is asked, without an
//! IPv6 address the routers on the link are.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::IpAddr;

use inet::ip::Cidr;
use spin::Once;

use super::{dhcp, interface, route, slaac};

/// What the command line says.
#[derive(Default)]
pub struct Options {
    /// `ip=`
    pub ip: Vec<&'static str>,
    /// `gateway=`
    pub gateway: Vec<&'static str>,
    /// `dns=`
    pub dns: Vec<&'static str>,
}

static OPTIONS: Once<Options> = Once::new();

/// Configures the first card.
pub fn init(options: Options) {
    let options = OPTIONS.call_once(|| options);
    let Some(card) = &interface::all().iter().find(|i| !i.is_loopback()).cloned() else { return };
    let (mut v4, mut v6, mut ask) = (false, false, false);
    for text in options.ip.iter().copied() {
        match (text, Cidr::parse(text)) {
            ("dhcp", _) => ask = true,
            ("off", _) => v4 = true,
            (_, Some(own)) => {
                v4 |= own.address.is_ipv4();
                v6 |= own.address.is_ipv6();
                slaac::add(card, own);
            }
            // Refused at boot.
            _ => {}
        }
    }
    for text in &options.gateway {
        if let Ok(gateway) = text.parse::<IpAddr>() {
            route::set_default(gateway, card.clone());
        }
    }
    slaac::start(card, !v6);
    if ask || !v4 {
        dhcp::start(card);
    }
}

/// Where programs are told of name servers.
pub enum ResolvConf {
    /// The text of the file.
    Text(String),
    /// A file of ours that follows what DHCP says.
    Link(&'static str),
}

/// What /etc/resolv.conf is to be, if anything is known.
pub fn resolv_conf() -> Option<ResolvConf> {
    let mut text = String::new();
    let servers = OPTIONS.get().map(|options| options.dns.as_slice()).unwrap_or_default();
    for server in servers.iter().filter(|text| text.parse::<IpAddr>().is_ok()) {
        let _ = writeln!(text, "nameserver {server}");
    }
    if text.is_empty() && dhcp::is_used() {
        return Some(ResolvConf::Link("/proc/net/pnp"));
    }
    (!text.is_empty()).then_some(ResolvConf::Text(text))
}
