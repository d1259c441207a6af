//! Addresses, routes and name servers of the interfaces: from the kernel's command line.
//!
//! `ip=ADDRESS/PREFIX` (any number), `gateway=ADDRESS` (one for each family), `dns=ADDRESS` (any number).

use alloc::string::String;
use core::fmt::Write as _;
use core::net::IpAddr;

use inet::ip::Cidr;

use super::interface;
use super::route;
use crate::arch::boot;

/// Configures the first card.
pub fn init() {
    let Some(card) = interface::all().iter().find(|i| !i.is_loopback()) else { return };
    for text in boot::options("ip") {
        match Cidr::parse(text) {
            Some(own) => card.addresses.lock().push(own),
            None => crate::kerr!("ip={text}: expected ADDRESS/PREFIX"),
        }
    }
    for text in boot::options("gateway") {
        match text.parse::<IpAddr>() {
            Ok(gateway) => route::set_default(gateway, card.clone()),
            Err(_) => crate::kerr!("gateway={text}: expected an address"),
        }
    }
}

/// The text of /etc/resolv.conf, if any name server is known.
pub fn resolv_conf() -> Option<String> {
    let mut text = String::new();
    for server in boot::options("dns").filter(|text| text.parse::<IpAddr>().is_ok()) {
        let _ = writeln!(text, "nameserver {server}");
    }
    (!text.is_empty()).then_some(text)
}
