//! The client of DHCP for IPv4 (RFC 2131, RFC 2132): its messages, and when to send which.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The server's and the client's port.
pub const PORTS: (u16, u16) = (67, 68);

const SECOND: u64 = 1_000_000_000;
/// The fixed part, and the cookie that options begin with.
const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The least length of a message that every relay passes on (RFC 951).
const MIN_MESSAGE: usize = 300;
/// A lease that names no time, or an absurd one, is asked for again after a day at most.
const MAX_LEASE: u64 = 86_400;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;

mod option {
    pub const PAD: u8 = 0;
    pub const NETMASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const DOMAIN: u8 = 15;
    pub const ADDRESS: u8 = 50;
    pub const LEASE: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const KIND: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const WANTED: u8 = 55;
    pub const RENEWAL: u8 = 58;
    pub const REBINDING: u8 = 59;
    pub const CLIENT: u8 = 61;
    pub const END: u8 = 255;
}

/// What a server has granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub prefix: u8,
    /// The way out.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// The domain to look names up in.
    pub domain: Vec<u8>,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// Seconds until it is to be renewed from its server, from any, and until it ends.
    pub times: [u64; 3],
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// Nothing yet: offers are asked for.
    Selecting,
    /// This offer is to become a lease.
    Requesting(Lease),
    /// There is a lease, since then.
    Bound(Lease, u64),
}

/// A message to send to the server's port: where to, and its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Our address, unspecified as long as there is none.
    pub source: Ipv4Addr,
    /// A server or everybody.
    pub destination: Ipv4Addr,
    /// The payload of the datagram.
    pub bytes: Vec<u8>,
}

/// What has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The address and all else is ours now, or still.
    Bound(Lease),
    /// It is not any more.
    Lost(Lease),
}

/// A client.
#[derive(Debug)]
pub struct Client {
    mac: [u8; 6],
    transaction: u32,
    state: State,
    tries: u32,
    started: u64,
    deadline: u64,
}

impl Client {
    /// A client that begins now. `transaction` is a random number.
    pub fn new(mac: [u8; 6], transaction: u32, now: u64) -> Client {
        Client { mac, transaction, state: State::Selecting, tries: 0, started: now, deadline: now }
    }

    /// When [`Client::on_timer`] is to be called.
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    /// What there is at present.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound(lease, _) => Some(lease),
            _ => None,
        }
    }

    fn restart(&mut self, now: u64) {
        self.state = State::Selecting;
        self.transaction = self.transaction.wrapping_add(1);
        (self.tries, self.started, self.deadline) = (0, now, now);
    }

    /// The deadline has come: what to send, and what is lost by it.
    pub fn on_timer(&mut self, now: u64) -> (Option<Message>, Option<Event>) {
        if now < self.deadline {
            return (None, None);
        }
        let mut event = None;
        if let State::Bound(lease, since) = &self.state
            && now >= since + lease.times[2] * SECOND
        {
            event = Some(Event::Lost(lease.clone()));
            self.restart(now);
        }
        // A server that offers and does not grant is not waited for.
        if matches!(self.state, State::Requesting(_)) && self.tries >= 4 {
            self.restart(now);
        }
        let message = match &self.state {
            State::Selecting => {
                self.deadline = now + (SECOND << self.tries.min(6));
                self.message(DISCOVER, now, None, Ipv4Addr::UNSPECIFIED)
            }
            State::Requesting(offer) => {
                self.deadline = now + (SECOND << self.tries.min(6));
                self.message(REQUEST, now, Some(offer), Ipv4Addr::UNSPECIFIED)
            }
            State::Bound(lease, since) => {
                // Half of the time that is left, but not more often than once a minute (RFC 2131,
                // 4.4.5).
                let [_, rebinding, end] = lease.times.map(|seconds| since + seconds * SECOND);
                let limit = if now < rebinding { rebinding } else { end };
                self.deadline = (now + (limit.saturating_sub(now) / 2).max(60 * SECOND)).min(limit);
                let mut message = self.message(REQUEST, now, None, lease.address);
                if now < rebinding {
                    message.destination = lease.server;
                }
                message
            }
        };
        self.tries += 1;
        (Some(message), event)
    }

    fn message(&self, kind: u8, now: u64, offer: Option<&Lease>, own: Ipv4Addr) -> Message {
        let mut out = alloc::vec![0; FIXED];
        // A request (1) over Ethernet (1) with addresses of 6 bytes.
        out[..3].copy_from_slice(&[1, 1, 6]);
        out[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        let seconds = (now.saturating_sub(self.started) / SECOND).min(0xffff) as u16;
        out[8..10].copy_from_slice(&seconds.to_be_bytes());
        // Without an address we hear only what is sent to all.
        if own.is_unspecified() {
            out[10] = 0x80;
        }
        out[12..16].copy_from_slice(&own.octets());
        out[28..34].copy_from_slice(&self.mac);
        out.extend_from_slice(&COOKIE);
        out.extend_from_slice(&[option::KIND, 1, kind, option::CLIENT, 7, 1]);
        out.extend_from_slice(&self.mac);
        if let Some(offer) = offer {
            out.extend_from_slice(&[option::ADDRESS, 4]);
            out.extend_from_slice(&offer.address.octets());
            out.extend_from_slice(&[option::SERVER, 4]);
            out.extend_from_slice(&offer.server.octets());
        }
        if kind != DECLINE {
            out.extend_from_slice(&[option::WANTED, 7, option::NETMASK, option::ROUTER, option::DNS, option::DOMAIN]);
            out.extend_from_slice(&[option::LEASE, option::RENEWAL, option::REBINDING]);
        }
        out.push(option::END);
        out.resize(out.len().max(MIN_MESSAGE), option::PAD);
        Message { source: own, destination: Ipv4Addr::BROADCAST, bytes: out }
    }

    /// Takes a message of a server, if it is for us and makes sense.
    pub fn receive(&mut self, bytes: &[u8], now: u64) -> (Option<Message>, Option<Event>) {
        let Some((kind, lease)) = parse(bytes, self.transaction, &self.mac) else { return (None, None) };
        match (&self.state, kind) {
            (State::Selecting, OFFER) => {
                let Some(offer) = lease else { return (None, None) };
                self.state = State::Requesting(offer);
                (self.tries, self.deadline) = (0, now);
                self.on_timer(now)
            }
            (State::Requesting(_) | State::Bound(..), ACK) => {
                let Some(lease) = lease else { return (None, None) };
                let before = match &self.state {
                    State::Bound(before, _) if before.address != lease.address => Some(before.clone()),
                    _ => None,
                };
                self.deadline = now + lease.times[0] * SECOND;
                self.tries = 0;
                self.state = State::Bound(lease.clone(), now);
                match before {
                    // An answer to a request for one address that grants another: nothing that a
                    // server should do.
                    Some(before) => {
                        self.restart(now);
                        (None, Some(Event::Lost(before)))
                    }
                    None => (None, Some(Event::Bound(lease))),
                }
            }
            (State::Requesting(_), NAK) => {
                self.restart(now);
                (None, None)
            }
            (State::Bound(lease, _), NAK) => {
                let lost = lease.clone();
                self.restart(now);
                (None, Some(Event::Lost(lost)))
            }
            _ => (None, None),
        }
    }
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    value.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

fn seconds(value: &[u8]) -> Option<u64> {
    value.first_chunk::<4>().map(|bytes| u64::from(u32::from_be_bytes(*bytes)))
}

/// Reads an answer: its kind, and what it grants, if that can be used.
fn parse(bytes: &[u8], transaction: u32, mac: &[u8; 6]) -> Option<(u8, Option<Lease>)> {
    let fixed: &[u8; FIXED] = bytes.first_chunk()?;
    if fixed[0] != 2 || fixed[4..8] != transaction.to_be_bytes() || fixed[28..34] != *mac {
        return None;
    }
    let options = bytes.get(FIXED..)?.strip_prefix(&COOKIE)?;
    let mut kind = None;
    let mut lease = Lease {
        address: address(&fixed[16..20])?,
        prefix: 0,
        router: None,
        dns: Vec::new(),
        domain: Vec::new(),
        server: Ipv4Addr::UNSPECIFIED,
        times: [0; 3],
    };
    let mut mask = None;
    let mut overload = 0;
    let mut take = |code: u8, value: &[u8]| match code {
        option::KIND => kind = value.first().copied(),
        option::NETMASK => mask = address(value),
        option::ROUTER => lease.router = address(value),
        option::DNS => lease.dns = value.chunks_exact(4).take(3).filter_map(address).collect(),
        option::DOMAIN => {
            let good = value.iter().all(|c| c.is_ascii_alphanumeric() || b".-_".contains(c));
            lease.domain = if good { value.to_vec() } else { Vec::new() };
        }
        option::SERVER => lease.server = address(value).unwrap_or(Ipv4Addr::UNSPECIFIED),
        option::LEASE => lease.times[2] = seconds(value).unwrap_or(0),
        option::RENEWAL => lease.times[0] = seconds(value).unwrap_or(0),
        option::REBINDING => lease.times[1] = seconds(value).unwrap_or(0),
        option::OVERLOAD => overload = value.first().copied().unwrap_or(0),
        _ => {}
    };
    each_option(options, &mut take);
    // Options may go on in the fields for a file and for the server's name (RFC 2132, 9.3).
    let further = [(1, 108..236), (2, 44..108)];
    let flags = overload;
    let mut take_more = |code: u8, value: &[u8]| match code {
        option::ROUTER => lease.router = lease.router.or(address(value)),
        option::DNS if lease.dns.is_empty() => lease.dns = value.chunks_exact(4).take(3).filter_map(address).collect(),
        option::NETMASK => mask = mask.or(address(value)),
        _ => {}
    };
    for (bit, range) in further {
        if flags & bit != 0 {
            each_option(fixed.get(range).unwrap_or_default(), &mut take_more);
        }
    }
    let own = lease.address;
    let mask = mask.map(|mask| mask.to_bits()).filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32);
    let class = match own.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    };
    lease.prefix = mask.map_or(class, |mask| mask.leading_ones() as u8);
    let [renewal, rebinding, end] = &mut lease.times;
    *end = if *end == 0 { MAX_LEASE } else { (*end).clamp(10, u64::from(u32::MAX)) };
    if *rebinding == 0 || *rebinding > *end {
        *rebinding = *end - *end / 8;
    }
    if *renewal == 0 || *renewal > *rebinding {
        *renewal = (*end / 2).min(*rebinding);
    }
    let usable = !own.is_unspecified() && !own.is_multicast() && !own.is_broadcast() && !own.is_loopback();
    Some((kind?, usable.then_some(lease)))
}

fn each_option(mut bytes: &[u8], take: &mut impl FnMut(u8, &[u8])) {
    while let [code, rest @ ..] = bytes {
        match *code {
            option::PAD => bytes = rest,
            option::END => return,
            code => {
                let Some((len, rest)) = rest.split_first() else { return };
                let Some((value, rest)) = rest.split_at_checked(usize::from(*len)) else { return };
                take(code, value);
                bytes = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn answer(to: &[u8], kind: u8, options: &[u8]) -> Vec<u8> {
        let mut out = to[..FIXED].to_vec();
        out[0] = 2;
        out[16..20].copy_from_slice(&[10, 0, 2, 15]);
        out.extend_from_slice(&COOKIE);
        out.extend_from_slice(&[option::KIND, 1, kind, option::SERVER, 4, 10, 0, 2, 2]);
        out.extend_from_slice(options);
        out.push(option::END);
        out
    }

    const GRANT: [u8; 24] = [1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 6, 4, 10, 0, 2, 3, 51, 4, 0, 0, 0, 100];

    fn bound() -> Client {
        let mut client = Client::new(MAC, 77, 0);
        let discover = client.on_timer(0).0.unwrap();
        assert_eq!((discover.destination, discover.bytes.len()), (Ipv4Addr::BROADCAST, MIN_MESSAGE));
        let (request, event) = client.receive(&answer(&discover.bytes, OFFER, &GRANT), SECOND);
        assert_eq!(event, None);
        let Some(Event::Bound(lease)) = client.receive(&answer(&request.unwrap().bytes, ACK, &GRANT), SECOND).1 else {
            panic!("no lease")
        };
        assert_eq!((lease.address, lease.prefix), (Ipv4Addr::new(10, 0, 2, 15), 24));
        assert_eq!((lease.router, lease.dns.len()), (Some(Ipv4Addr::new(10, 0, 2, 2)), 1));
        assert_eq!(lease.times, [50, 88, 100]);
        client
    }

    #[test]
    fn a_lease_is_got_renewed_and_lost() {
        let mut client = bound();
        assert_eq!(client.deadline(), 51 * SECOND);
        assert_eq!(client.on_timer(50 * SECOND), (None, None));
        let renewal = client.on_timer(51 * SECOND).0.unwrap();
        assert_eq!((renewal.source, renewal.destination), ([10, 0, 2, 15].into(), [10, 0, 2, 2].into()));
        let (_, event) = client.receive(&answer(&renewal.bytes, ACK, &GRANT), 52 * SECOND);
        assert!(matches!(event, Some(Event::Bound(_))));
        assert_eq!(client.deadline(), 102 * SECOND);
        // Nobody answers any more: first the server is asked, then everybody, then it is over.
        let mut asked = Vec::new();
        loop {
            let now = client.deadline();
            let (message, event) = client.on_timer(now);
            asked.push(message.unwrap().destination);
            if let Some(Event::Lost(lease)) = event {
                assert_eq!((lease.prefix, now), (24, 152 * SECOND));
                break;
            }
        }
        assert_eq!(asked, [Ipv4Addr::new(10, 0, 2, 2), Ipv4Addr::BROADCAST, Ipv4Addr::BROADCAST]);
    }

    #[test]
    fn silence_is_asked_ever_less_often() {
        let mut client = Client::new(MAC, 1, 0);
        let mut times = Vec::new();
        for _ in 0..9 {
            let now = client.deadline();
            times.push(now / SECOND);
            assert!(client.on_timer(now).0.is_some());
        }
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 127, 191]);
    }

    #[test]
    fn refusals_and_strangers() {
        let mut client = Client::new(MAC, 1, 0);
        let discover = client.on_timer(0).0.unwrap().bytes;
        let mut other = answer(&discover, OFFER, &GRANT);
        other[28] = 9;
        assert_eq!(client.receive(&other, 0), (None, None), "another's hardware address");
        let request = client.receive(&answer(&discover, OFFER, &GRANT), 0).0.unwrap().bytes;
        assert_eq!(client.receive(&answer(&request, NAK, &[]), 0), (None, None));
        assert_ne!(client.on_timer(0).0.unwrap().bytes[4..8], discover[4..8], "it begins anew");
        let mut client = bound();
        let renewal = client.on_timer(51 * SECOND).0.unwrap().bytes;
        assert!(matches!(client.receive(&answer(&renewal, NAK, &[]), 0).1, Some(Event::Lost(_))));
    }

    #[test]
    fn nonsense_is_survived() {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize
        };
        for _ in 0..20_000 {
            let mut client = Client::new(MAC, 77, 0);
            let discover = client.on_timer(0).0.unwrap().bytes;
            let mut bytes = answer(&discover, (next() % 9) as u8, &GRANT);
            for _ in 0..next() % 4 {
                let at = FIXED + next() % (bytes.len() - FIXED);
                bytes[at] = next() as u8;
            }
            bytes.truncate(next() % 300);
            client.receive(&bytes, 0);
            client.receive(&bytes, 1);
            if let Some(lease) = client.lease() {
                assert!(lease.prefix <= 32 && lease.times.is_sorted());
            }
            client.on_timer(client.deadline());
        }
    }
}
