//! Any bytes, as packets, to every protocol of this crate: what the fuzz target and the tests feed.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::Bytes;
use crate::dhcp;
use crate::fragments::{Fragments, Key};
use crate::groups;
use crate::tcp::request::{Request, from_cookie};
use crate::tcp::{Config, Header, Limits, MS, Settings, Tcb};

/// What a connection may hold for either direction.
const LIMIT: usize = 64 << 10;

/// Feeds the bytes, cut into packets by their own lengths, and checks what must hold whatever they
/// are.
pub fn feed(bytes: &[u8]) {
    let packets = cut(bytes);
    segments(&packets);
    let mut fragments = Fragments::default();
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut client = dhcp::Client::new([2, 0, 0, 0, 0, 1], 0, 0);
    let discover = client.on_timer(0).0.map(|message| message.bytes).unwrap_or_default();
    for (now, packet) in (0u64..).map(|n| n * MS).zip(&packets) {
        let _ = groups::parse_igmp(packet);
        let _ = groups::parse_mld(packet);
        // The options alone would seldom be reached.
        let answer = [&[2], discover.get(1..240).unwrap_or_default(), packet].concat();
        for datagram in [packet, &answer[..]] {
            client.receive(datagram, now);
        }
        if let Some(lease) = client.lease() {
            assert!(lease.prefix <= 32 && lease.times.is_sorted());
        }
        if let [a, b, c, rest @ ..] = packet {
            let key = Key { source, destination: source, protocol: *a & 1, identification: (*a >> 6).into() };
            let offset = usize::from(u16::from_be_bytes([*b, *c]) & !7);
            if let Some(whole) = fragments.insert(key, offset, *c & 1 != 0, rest, now) {
                assert!(whole.len() <= 65535);
            }
            assert!(fragments.held() <= 2 << 20);
        }
    }
}

/// Each packet has its length before it.
fn cut(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while let [len, rest @ ..] = bytes {
        let (packet, behind) = rest.split_at(usize::from(*len).min(rest.len()));
        packets.push(packet);
        bytes = behind;
    }
    packets
}

/// Segments to a connection: first one that opens it, then some that are where they should be but
/// for what the packet says.
fn segments(packets: &[&[u8]]) {
    let limits = Limits { receive: LIMIT, receive_max: LIMIT, send: LIMIT };
    let config = Config { mss: 1460, default_mss: 536, limits };
    let mut headers = packets.iter().filter_map(|packet| Header::parse(packet));
    let Some((syn, _)) = headers.next() else { return };
    let iss = syn.seq;
    let request = Request::new(&syn, iss, LIMIT, 0);
    let ack = Header { seq: syn.seq + 1, ack: iss + 1, ..syn };
    let mut tcb = Tcb::accept(&request, &ack, config, Settings::default(), 0);
    tcb.write(Bytes::from(alloc::vec![7; 5000]));
    let mut now = 0;
    for packet in packets {
        let Some((mut header, end)) = Header::parse(packet) else { continue };
        let flow = crate::ip::Flow { local: ([127, 0, 0, 1], 1).into(), remote: ([127, 0, 0, 1], 2).into() };
        let _ = from_cookie(crate::siphash::Key(1, 2), &flow, &header, now);
        // Near enough to be looked at.
        header.seq = (request.irs + 1 + (header.seq.0 & 0x1ffff)).back(0x100);
        header.ack = (iss + 1 + (header.ack.0 & 0x1fff)).back(0x10);
        let _ = tcb.receive(&header, packet.get(end..).unwrap_or_default().to_vec().into(), now);
        if let [.., last] = packet {
            match last % 16 {
                0 => tcb.close_write(),
                1 => tcb.consume(tcb.readable().min(1000), now),
                2 => drop(tcb.narrow(u16::from(*last) * 8)),
                3 => tcb.set_short(*last & 16 != 0),
                4 => drop(tcb.release(now)),
                _ => {}
            }
            now += u64::from(*last) * MS;
        }
        // What is due is sent, in a bounded number of segments.
        let mut sent = 0;
        while tcb.poll_transmit(now, 1460, 8).is_some() {
            sent += 1;
            assert!(sent < 1000, "it never stops sending");
        }
        if tcb.deadline().is_some_and(|at| at <= now) {
            tcb.on_timer(now);
        }
        assert!(tcb.held() <= 4 * LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_bytes_of_nonsense() {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize
        };
        for _ in 0..4000 {
            let mut bytes: Vec<u8> = Vec::new();
            for _ in 0..1 + next() % 24 {
                // A header with sense in it and nonsense behind it, or the other way round.
                let len = 20 + next() % 60;
                bytes.push(len as u8);
                let start = bytes.len();
                bytes.extend((0..len).map(|_| next() as u8));
                if next() % 4 != 0 {
                    bytes[start + 12] = (5 + (next() % 11) as u8) << 4;
                    bytes[start + 13] = [2, 16, 24, 17, 20, 18][next() % 6];
                }
            }
            feed(&bytes);
        }
    }
}
