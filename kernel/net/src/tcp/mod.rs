//! TCP: which connection or listener a segment belongs to, and what they send.

mod connect;
mod connection;
mod file;
mod listener;
mod options;
mod socket;
mod sockopt;
mod table;
mod transfer;
mod tuning;

use core::net::SocketAddr;

use inet::ip::Flow;
use inet::tcp::{Config, Flags, Header, Limits, Transmit, reset_for};
use syscall_shim::SysResult;

use super::counts::{self, Count};
use super::extension::Asked;
use super::input::Incoming;
use super::output::{self, Outgoing, TCP, TTL};
use super::route::{self, Hop};
use crate::clock;

pub use connection::{Connection, MAX_TIME_WAITS, init_limits};
pub use listener::Listener;
pub use options::state_number;
pub use socket::TcpSocket;
pub use table::{connections, listeners};

/// Length of the header without options.
const HEADER: u32 = 20;
/// What segments may carry over paths of unknown width, IPv4 and IPv6.
const DEFAULT_MSS: [u16; 2] = inet::tcp::DEFAULT_MSS;
/// The largest payload of the loopback interface, as on Linux.
const LOOPBACK_MSS: u32 = 65495;
/// What a device is given to cut at most.
const MAX_CUT: usize = 60 * 1024;

/// A segment has come in.
pub fn receive(incoming: &Incoming<'_>) {
    if !incoming.checksum_is_right(TCP) {
        return;
    }
    let Some((header, end)) = Header::parse(&incoming.head) else { return };
    let payload = incoming.payload(end);
    let flow = Flow {
        local: SocketAddr::new(incoming.destination, header.destination),
        remote: SocketAddr::new(incoming.source, header.source),
    };
    counts::one(Count::TcpIn);
    let now = clock::monotonic_ns();
    if let Some(connection) = table::find(&flow) {
        // A new connection may take the place of one that only waits for stragglers (RFC 9293,
        // 3.6.1).
        let opens = header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK);
        if !connection.passes(incoming) {
            return;
        }
        if !(opens && connection.make_way(&header)) {
            return connection.receive(&header, payload, now);
        }
    }
    let handled = table::listener_for(&flow, incoming.interface.index).is_some_and(|listener| {
        // What a filter does not let in is passed over, not refused.
        let wanted = listener.common.filter.wanted(|| incoming.for_filter()) > 0;
        !wanted || listener.receive(&flow, incoming, &header, payload.clone(), now)
    });
    if !handled && let Some(reset) = reset_for(&header, payload.len()) {
        send_header(&flow, &reset, None);
    }
}

/// The network says that a segment of ours did not arrive.
pub fn failed(flow: &Flow, error: inet::tcp::Error) {
    if let Some(connection) = table::find(flow) {
        connection.unreachable(error);
    }
}

/// A packet of ours is too long for the path, which takes `mtu` bytes.
pub fn too_big(flow: &Flow, mtu: u16) {
    if let Some(connection) = table::find(flow) {
        let headers = output::header_len(&flow.remote.ip()) as u16 + HEADER as u16;
        // Nothing narrower is believed than what every path must bear (RFC 791, RFC 8200, 5), but
        // for a margin.
        let least = if flow.remote.is_ipv4() { 552 } else { 1280 };
        connection.narrow(mtu.max(least) - headers);
    }
}

/// Sends a segment without payload that belongs to no connection, with these options or headers.
fn send_header(flow: &Flow, header: &Header, asked: Option<Asked>) {
    if header.flags.contains(Flags::RST) {
        counts::one(Count::TcpResetsOut);
    }
    let first = flow.remote.ip();
    if let Ok(hop) = route::lookup(&asked.as_ref().map_or(first, |asked| asked.first_hop(first))) {
        let transmit = Transmit { header: header.clone(), payload: Default::default(), len: 0, segment_size: 0 };
        let _ = send(&hop, flow, transmit, (0, TTL), asked);
    }
}

/// Sends a segment.
fn send(hop: &Hop, flow: &Flow, transmit: Transmit, (tos, ttl): (u8, u8), asked: Option<Asked>) -> SysResult<()> {
    counts::one(Count::TcpOut);
    if transmit.len > 0 {
        counts::one(Count::TcpDataOut);
    }
    let mut header = [0; 60];
    let len = transmit.header.emit(&mut header);
    let (source, end) = (flow.local.ip(), flow.remote.ip());
    let destination = asked.as_ref().map_or(end, |asked| asked.first_hop(end));
    let between = match asked {
        Some(asked) => Some(asked.build(TCP, source, end)?),
        None => None,
    };
    let cut = transmit.segment_size > 0 && transmit.len > transmit.segment_size && !hop.interface.is_loopback();
    output::send(
        hop,
        Outgoing {
            source,
            destination,
            protocol: TCP,
            ttl,
            tos,
            header: header.get(..len).unwrap_or_default(),
            checksum_at: Some(16),
            payload: transmit.payload,
            segment_size: cut.then_some(transmit.segment_size as u16),
            between: between.as_ref(),
        },
    )
}

/// The most that a segment to that hop may carry, beside `extra` bytes of options or headers.
fn segment_size(hop: &Hop, flow: &Flow, extra: usize) -> u16 {
    let headers = output::header_len(&flow.remote.ip()) as u32 + HEADER + extra as u32;
    hop.longest().saturating_sub(headers).min(LOOPBACK_MSS) as u16
}

fn config(hop: &Hop, flow: &Flow, limits: Limits, extra: usize) -> Config {
    let mss = segment_size(hop, flow, extra);
    let default_mss = DEFAULT_MSS[usize::from(flow.remote.is_ipv6())];
    Config { mss, default_mss, limits }
}

/// What a connection may hand over at once: bytes, and pieces of memory.
fn batch(hop: &Hop, flow: &Flow) -> (usize, usize) {
    match hop.interface.card() {
        Some(card) if card.features().segments[usize::from(flow.remote.is_ipv6())] => (MAX_CUT, 8),
        Some(_) => (0, 8),
        None => (0, 1),
    }
}
