//! The lease of a card's IPv4 address: when to ask, and what an answer changes.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr};

use caller::Instant;
use inet::dhcp::{Client, Event, Lease, Message, PORTS};
use inet::ip::Cidr;
use inet::tcp::Pieces;
use sync::SpinLock;

use super::interface::Interface;
use super::output::{self, Outgoing, TTL, UDP};
use super::route::{self, Hop};
use super::timers::{self, Due};
use super::{address, poll, udp};
use crate::{clock, machine};

/// How long the machine's start waits for an answer: long enough for a lost question and a slow
/// server.
const DISCOVER_TIMEOUT_NS: u64 = 5_000_000_000;

struct Asking {
    interface: Arc<Interface>,
    client: Client,
}

/// The client, if there is one. Taken before routes, addresses and neighbours.
static ASKING: SpinLock<Option<Asking>> = SpinLock::new(None);

/// Asks for an address for `interface`, and waits a while for it: what the first program connects
/// to may need it.
pub fn start(interface: &Arc<Interface>) {
    let now = clock::monotonic_ns();
    let client = Client::new(interface.mac(), machine::random() as u32, now);
    *ASKING.lock() = Some(Asking { interface: interface.clone(), client });
    on_timer(now);
    while lease().is_none() {
        if clock::monotonic_ns().saturating_sub(now) > DISCOVER_TIMEOUT_NS {
            kerr!("{}: no DHCP server answers: going on without an IPv4 address, and asking on", interface.name());
            return;
        }
        poll::request();
        poll::poll();
        core::hint::spin_loop();
    }
}

/// Whether addresses come from DHCP.
pub fn is_used() -> bool {
    ASKING.lock().is_some()
}

fn lease() -> Option<Lease> {
    ASKING.lock().as_ref()?.client.lease().cloned()
}

/// The deadline has come, or had moved back meanwhile.
pub fn on_timer(now: Instant) {
    let mut guard = ASKING.lock();
    let Some(asking) = guard.as_mut() else { return };
    let outcome = asking.client.on_timer(now);
    asking.follow(outcome);
}

/// A datagram for the client's port. Whether it was ours to take.
pub fn receive(payload: &[u8]) -> bool {
    let mut guard = ASKING.lock();
    let Some(asking) = guard.as_mut() else { return false };
    let outcome = asking.client.receive(payload, clock::monotonic_ns());
    asking.follow(outcome);
    true
}

impl Asking {
    fn follow(&mut self, (message, event): (Option<Message>, Option<Event>)) {
        match event {
            Some(Event::Bound(lease)) => self.apply(&lease),
            Some(Event::Lost(lease)) => self.withdraw(&lease),
            None => {}
        }
        if let Some(message) = message {
            self.send(message);
        }
        timers::at(self.client.deadline(), Due::Dhcp);
    }

    fn apply(&self, lease: &Lease) {
        let own = Cidr { address: IpAddr::V4(lease.address), prefix: lease.prefix };
        if address::add(&self.interface, own).is_ok() {
            kinfo!("{}: {}/{} from {}", self.interface.name(), lease.address, lease.prefix, lease.server);
        }
        if let Some(router) = lease.router {
            route::set_default(IpAddr::V4(router), self.interface.clone());
        }
    }

    fn withdraw(&self, lease: &Lease) {
        kerr!("{}: the lease of {} has ended", self.interface.name(), lease.address);
        let _ = address::remove(&self.interface, |own| own.address == IpAddr::V4(lease.address));
        if let Some(router) = lease.router {
            route::remove_default(IpAddr::V4(router));
        }
    }

    fn send(&self, message: Message) {
        let destination = IpAddr::V4(message.destination);
        let direct = || Hop::direct(self.interface.clone(), destination);
        let hop = if message.destination.is_broadcast() {
            direct()
        } else {
            route::lookup(&destination).unwrap_or_else(|_| direct())
        };
        let mut header = [0; udp::HEADER];
        header[..2].copy_from_slice(&PORTS.1.to_be_bytes());
        header[2..4].copy_from_slice(&PORTS.0.to_be_bytes());
        header[4..6].copy_from_slice(&((udp::HEADER + message.bytes.len()) as u16).to_be_bytes());
        let mut payload = Pieces::new();
        payload.push(message.bytes.into());
        let packet = Outgoing {
            source: IpAddr::V4(message.source),
            destination,
            protocol: UDP,
            ttl: TTL,
            tos: 0,
            header: &header,
            checksum_at: Some(6),
            payload,
            segment_size: None,
            between: None,
        };
        // It is sent again if it does not arrive.
        let _ = output::send(&hop, packet);
        self.interface.kick();
    }
}

/// What resolvers read, as Linux's own client writes it (/proc/net/pnp).
pub fn pnp() -> String {
    let mut out = String::from("#PROTO: DHCP\n");
    let Some(lease) = lease() else { return out };
    if let Ok(domain) = core::str::from_utf8(&lease.domain)
        && !domain.is_empty()
    {
        let _ = writeln!(out, "domain {domain}");
    }
    let servers: Vec<Ipv4Addr> = lease.dns;
    for server in servers {
        let _ = writeln!(out, "nameserver {server}");
    }
    let _ = writeln!(out, "bootserver {}", lease.server);
    out
}
