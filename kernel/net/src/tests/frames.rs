//! What goes over the wire, frame by frame: the other side is the test.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::calls::{AGAIN, Sock, control, eventually, put};
use super::tap::{THEIR_MAC, Tap};
use super::wire::{self, ARP, ICMP, ICMPV6, IPV4, IPV6, UDP};
use crate::socket::Family;

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn questions_after_our_address_are_answered() {
    let tap = Tap::new("arp0", &["10.100.0.1/24"]);
    let ours = tap.interface.mac();
    tap.put(&wire::ethernet([0xff; 6], THEIR_MAC, ARP, &wire::arp_request(THEIR_MAC, v4("10.100.0.9"), v4("10.100.0.1"))))
        .unwrap();
    let reply = tap.find(|frame| {
        let (kind, packet) = wire::ethernet_of(frame)?;
        (kind == ARP && packet[7] == 2).then(|| (frame[..6].to_vec(), packet.to_vec()))
    });
    let (to, reply) = reply.unwrap();
    assert_eq!(to, THEIR_MAC);
    assert_eq!(
        (&reply[8..14], &reply[14..18], &reply[18..24], &reply[24..28]),
        (&ours[..], &[10, 100, 0, 1][..], &THEIR_MAC[..], &[10, 100, 0, 9][..])
    );
    // Who has asked is known from then on: nobody is asked before a datagram goes there.
    let socket = Sock::udp();
    socket.send_to(b"known", "10.100.0.9:9").unwrap();
    let first = tap.find(|frame| wire::ethernet_of(frame).map(|(kind, _)| (kind, frame[..6].to_vec())));
    assert_eq!(first.unwrap(), (IPV4, THEIR_MAC.to_vec()));
    // Questions after others are left alone.
    tap.put(&wire::ethernet([0xff; 6], THEIR_MAC, ARP, &wire::arp_request(THEIR_MAC, v4("10.100.0.9"), v4("10.100.0.3"))))
        .unwrap();
    eventually("the question is looked at", || !crate::pending());
    assert!(tap.take_now().is_none());
}

#[test]
fn datagrams_wait_until_their_neighbour_is_found() {
    let tap = Tap::new("arp1", &["10.101.0.1/24"]);
    let socket = Sock::udp();
    for word in [&b"one"[..], b"two", b"three"] {
        socket.send_to(word, "10.101.0.9:4000").unwrap();
    }
    for word in [&b"one"[..], b"two", b"three"] {
        let ip = tap.find_ip(UDP);
        assert_eq!((ip.source, ip.destination, ip.ttl), (v4("10.101.0.1"), v4("10.101.0.9"), 64));
        assert_eq!(
            (&ip.payload[..2], &ip.payload[2..4]),
            (&socket.local().port().to_be_bytes()[..], &4000u16.to_be_bytes()[..])
        );
        assert!(wire::is_right4(&ip));
        assert_eq!(&ip.payload[8..], word);
    }
    // Who does not answer is not there, which a socket hears that wants to.
    socket.set(n::SOL_IP, n::IP_RECVERR, 1).unwrap();
    socket.connect("10.101.0.8:4000").unwrap();
    socket.send(b"?").unwrap();
    eventually("nobody answers", || socket.error() == i32::from(Errno::EHOSTUNREACH.0));
    let questions = core::iter::from_fn(|| tap.take_now()).filter(|frame| frame[12..14] == ARP.to_be_bytes()).count();
    assert_eq!(questions, 3);
}

#[test]
fn pings_are_answered() {
    let tap = Tap::new("ping0", &["10.102.0.1/24", "fd02::1/64"]);
    let message = wire::icmp(vec![8, 0, 0, 0, 0x12, 0x34, 0, 7, b'h', b'i']);
    tap.put_ip(&wire::ipv4_with(v4("10.102.0.9"), v4("10.102.0.1"), ICMP, 3, [0; 4], &[], &message));
    let ip = tap.find_ip(ICMP);
    assert_eq!((ip.source, ip.destination, ip.ttl), (v4("10.102.0.1"), v4("10.102.0.9"), 64));
    assert_eq!(inet::checksum::of(&ip.payload), [0, 0]);
    assert_eq!((ip.payload[0], &ip.payload[4..]), (0, &[0x12, 0x34, 0, 7, b'h', b'i'][..]));
    let (theirs, ours) = (v6("fd02::9"), v6("fd02::1"));
    let message = wire::icmp6(theirs, ours, vec![128, 0, 0, 0, 0x12, 0x34, 0, 8, b'y', b'o']);
    tap.put_packet(IPV6, &wire::ipv6(theirs, ours, ICMPV6, 64, &message));
    // It asks where we are, as we ask for it.
    let question = tap.find_ip6(ICMPV6, Some(135));
    assert_eq!((question.ttl, question.destination), (255, v6("ff02::1:ff00:9")));
    assert_eq!((&question.payload[8..24], &question.payload[24..26]), (&theirs.octets()[..], &[1, 1][..]));
    let mut advert = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
    advert.extend(theirs.octets());
    advert.extend([2, 1]);
    advert.extend(THEIR_MAC);
    tap.put_packet(IPV6, &wire::ipv6(theirs, ours, ICMPV6, 255, &wire::icmp6(theirs, ours, advert)));
    let reply = tap.find_ip6(ICMPV6, Some(129));
    assert!(wire::is_right6(&reply));
    assert_eq!(&reply.payload[4..], &[0x12, 0x34, 0, 8, b'y', b'o']);
    // A question of theirs is answered.
    let mut solicit = vec![135, 0, 0, 0, 0, 0, 0, 0];
    solicit.extend(ours.octets());
    solicit.extend([1, 1]);
    solicit.extend(THEIR_MAC);
    tap.put_packet(IPV6, &wire::ipv6(theirs, ours, ICMPV6, 255, &wire::icmp6(theirs, ours, solicit)));
    let advert = tap.find_ip6(ICMPV6, Some(136));
    assert_eq!((advert.ttl, &advert.payload[8..24], advert.payload[4]), (255, &ours.octets()[..], 0x60));
}

#[test]
fn what_comes_in_parts_is_put_together() {
    let tap = Tap::new("frag0", &["10.103.0.1/24", "fd03::1/64"]);
    let socket = Sock::udp_at("10.103.0.1:5400");
    let (theirs, ours) = (v4("10.103.0.9"), v4("10.103.0.1"));
    let bytes: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
    let datagram = wire::udp4(theirs, ours, 9, 5400, &bytes);
    let part = |from: usize, to: usize, more: bool| {
        let field = (from / 8) as u16 | if more { 0x2000 } else { 0 };
        let [f0, f1] = field.to_be_bytes();
        wire::ipv4_with(theirs, ours, UDP, 64, [0xab, 0xcd, f0, f1], &[], &datagram[from..to])
    };
    for (from, to, more) in [(1600, 3008, false), (0, 800, true), (800, 1600, true)] {
        tap.put_ip(&part(from, to, more));
    }
    let (got, from) = socket.recv_from(4000).unwrap();
    assert!(got == bytes && from == "10.103.0.9:9".parse().unwrap());
    // And what we send that is too long goes in parts.
    socket.send_to(&bytes, "10.103.0.9:9").unwrap();
    let mut whole = vec![0; 3008];
    let mut have = 0;
    while have < 3008 {
        let part = tap.find(|frame| {
            let (kind, packet) = wire::ethernet_of(frame)?;
            assert!(frame.len() <= 1514);
            (kind == IPV4 && packet[9] == UDP).then(|| (u16::from_be_bytes([packet[6], packet[7]]), wire::ipv4_of(packet)))
        });
        let (field, ip) = part.unwrap();
        let at = usize::from(field & 0x1fff) * 8;
        assert_eq!(field & 0x2000 != 0, at + ip.payload.len() < 3008);
        whole[at..at + ip.payload.len()].copy_from_slice(&ip.payload);
        have += ip.payload.len();
    }
    assert_eq!(whole[8..], bytes);
    // IPv6 has a header for it.
    let socket = Sock::udp_at("[fd03::1]:5401");
    let (theirs, ours) = (v6("fd03::9"), v6("fd03::1"));
    let datagram = wire::udp6(theirs, ours, 9, 5401, &bytes);
    for (from, to, more) in [(0usize, 1400usize, 1u16), (1400, 3008, 0)] {
        let mut packet = vec![UDP, 0];
        packet.extend((from as u16 | more).to_be_bytes());
        packet.extend([0, 0, 7, 7]);
        packet.extend(&datagram[from..to]);
        tap.put_packet(IPV6, &wire::ipv6(theirs, ours, 44, 64, &packet));
    }
    assert!(socket.recv(4000).unwrap() == bytes);
}

#[test]
fn what_is_wrong_is_left_alone() {
    let tap = Tap::new("bad0", &["10.104.0.1/24"]);
    let socket = Sock::udp_at("10.104.0.1:5402").nonblocking();
    let (theirs, ours) = (v4("10.104.0.9"), v4("10.104.0.1"));
    let good = wire::ipv4(theirs, ours, UDP, &wire::udp4(theirs, ours, 9, 5402, b"good"));
    let mut sums = [good.clone(), good.clone()];
    sums[0][11] ^= 1;
    sums[1][27] ^= 1;
    sums.iter().for_each(|packet| tap.put_ip(packet));
    // Cut short, of nobody, of ourselves, for others, too short to be a frame.
    tap.put_ip(&good[..25]);
    tap.put_ip(&wire::ipv4(v4("224.0.0.5"), ours, UDP, &wire::udp4(v4("224.0.0.5"), ours, 9, 5402, b"x")));
    tap.put_ip(&wire::ipv4(v4("127.0.0.1"), ours, UDP, &wire::udp4(v4("127.0.0.1"), ours, 9, 5402, b"x")));
    tap.put_ip(&wire::ipv4(ours, ours, UDP, &wire::udp4(ours, ours, 9, 5402, b"x")));
    tap.put_ip(&wire::ipv4(theirs, v4("10.104.0.7"), UDP, &wire::udp4(theirs, v4("10.104.0.7"), 9, 5402, b"x")));
    tap.put(&wire::ethernet([2, 7, 7, 7, 7, 7], THEIR_MAC, IPV4, &good)).unwrap();
    assert_eq!(tap.put(&[0; 10]), Err(Errno::EINVAL));
    tap.put_packet(0x88b5, b"an experiment");
    tap.put_ip(&good);
    eventually("the good one", || socket.events() & 1 != 0);
    assert_eq!(socket.recv(100).unwrap(), b"good");
    assert_eq!(socket.recv(100), Err(AGAIN));
    // A checksum of 0 is none.
    let mut unsummed = wire::udp4(theirs, ours, 9, 5402, b"free");
    unsummed[6..8].fill(0);
    tap.put_ip(&wire::ipv4(theirs, ours, UDP, &unsummed));
    eventually("the one without", || socket.events() & 1 != 0);
    assert_eq!(socket.recv(100).unwrap(), b"free");
}

#[test]
fn a_port_that_nobody_has() {
    let tap = Tap::new("port0", &["10.105.0.1/24"]);
    let (theirs, ours) = (v4("10.105.0.9"), v4("10.105.0.1"));
    let packet = wire::ipv4(theirs, ours, UDP, &wire::udp4(theirs, ours, 9, 5403, b"is anybody there?"));
    // Others' errors may have just been told.
    eventually("it is told so", || {
        tap.put_ip(&packet);
        thread::sleep(core::time::Duration::from_millis(1));
        let told = core::iter::from_fn(|| tap.take_now()).any(|frame| match wire::ethernet_of(&frame) {
            Some((ARP, question)) => {
                tap.put_packet(ARP, &wire::arp_reply(question, THEIR_MAC));
                false
            }
            Some((IPV4, found)) if found[9] == ICMP => {
                let ip = wire::ipv4_of(found);
                ip.payload[..2] == [3, 3] && ip.payload[28..] == packet[20..]
            }
            _ => false,
        });
        told
    });
    // A segment of TCP for nobody is reset.
    let mut segment = vec![0, 9, 0x15, 0x1c, 0, 0, 0, 5, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0];
    let mut sum = inet::checksum::Sum::default();
    sum.add_pseudo_header(&theirs.octets(), &ours.octets(), wire::TCP, segment.len());
    sum.add(&segment);
    segment[16..18].copy_from_slice(&sum.finish());
    tap.put_ip(&wire::ipv4(theirs, ours, wire::TCP, &segment));
    let reset = tap.find_ip(wire::TCP);
    assert!(wire::is_right4(&reset));
    assert_eq!((reset.payload[13] & 0x17, &reset.payload[8..12]), (0x14, &[0, 0, 0, 6][..]));
}

#[test]
fn errors_come_to_who_has_sent() {
    let tap = Tap::new("err0", &["10.106.0.1/24"]);
    let socket = Sock::udp_at("10.106.0.1:5404").nonblocking();
    socket.set(n::SOL_IP, n::IP_RECVERR, 1).unwrap();
    let told = |kind: u8, code: u8, more: u16| {
        socket.send_to(b"lost", "10.106.0.9:77").unwrap();
        let sent = tap.find(|frame| {
            let (kind, packet) = wire::ethernet_of(frame)?;
            (kind == IPV4 && packet[9] == UDP).then(|| packet.to_vec())
        });
        let [m0, m1] = more.to_be_bytes();
        let message = wire::icmp([&[kind, code, 0, 0, 0, 0, m0, m1][..], &sent.unwrap()].concat());
        tap.put_ip(&wire::ipv4(v4("10.106.0.254"), v4("10.106.0.1"), ICMP, &message));
        eventually("the error", || socket.events() & 8 != 0);
        let (bytes, received) = socket.receive(100, n::MSG_ERRQUEUE).unwrap();
        assert_eq!((bytes.as_slice(), received.flags & n::MSG_ERRQUEUE), (&b"lost"[..], n::MSG_ERRQUEUE));
        let error = control(&received, n::SOL_IP, n::IP_RECVERR).unwrap().to_vec();
        assert_eq!((error[4], error[5], error[6]), (2, kind, code));
        assert_eq!(error[20..24], [10, 106, 0, 254]);
        let _ = socket.error();
        (u32::from_ne_bytes(error[..4].try_into().unwrap()), u32::from_ne_bytes(error[8..12].try_into().unwrap()))
    };
    let cases = [
        (3, 0, 0, Errno::ENETUNREACH),
        (3, 1, 0, Errno::EHOSTUNREACH),
        (3, 2, 0, Errno::ENOPROTOOPT),
        (3, 3, 0, Errno::ECONNREFUSED),
        (3, 5, 0, Errno::EOPNOTSUPP),
        (3, 7, 0, Errno(112)),
        (3, 13, 0, Errno::EHOSTUNREACH),
        (11, 0, 0, Errno::EHOSTUNREACH),
        (12, 0, 0, Errno::EPROTO),
        (3, 4, 1400, Errno::EMSGSIZE),
    ];
    for (kind, code, more, errno) in cases {
        assert_eq!(told(kind, code, more), (errno.0.into(), more.into()), "{kind} {code}");
    }
    assert_eq!(socket.receive(100, n::MSG_ERRQUEUE).map(|_| ()), Err(AGAIN));
}

#[test]
fn what_came_with_a_datagram() {
    let tap = Tap::new("ctl0", &["10.107.0.1/24", "fd07::1/64"]);
    let socket = Sock::udp_at("0.0.0.0:5405");
    let options = [n::IP_PKTINFO, n::IP_RECVTTL, n::IP_RECVTOS, n::IP_RECVORIGDSTADDR, n::IP_RECVOPTS];
    options.iter().for_each(|option| socket.set(n::SOL_IP, *option, 1).unwrap());
    socket.set(n::SOL_SOCKET, n::SO_TIMESTAMPNS_OLD, 1).unwrap();
    let (theirs, ours) = (v4("10.107.0.9"), v4("10.107.0.1"));
    let mut packet =
        wire::ipv4_with(theirs, ours, UDP, 9, [0; 4], &[7, 7, 4, 0, 0, 0, 0, 0], &wire::udp4(theirs, ours, 9, 5405, b"x"));
    packet[1] = 0x2c;
    packet[10..12].fill(0);
    let sum = inet::checksum::of(&packet[..28]);
    packet[10..12].copy_from_slice(&sum);
    tap.put_ip(&packet);
    let (_, received) = socket.receive(10, 0).unwrap();
    let get = |kind| control(&received, n::SOL_IP, kind).unwrap().to_vec();
    let info = get(n::IP_PKTINFO);
    assert_eq!(
        (&info[..4], &info[4..8], &info[8..12]),
        (&tap.interface.index.to_ne_bytes()[..], &ours.octets()[..], &ours.octets()[..])
    );
    assert_eq!((get(n::IP_TTL), get(n::IP_TOS)), (9i32.to_ne_bytes().to_vec(), vec![0x2c]));
    assert_eq!(get(n::IP_ORIGDSTADDR), super::calls::at("10.107.0.1:5405"));
    // The route has been recorded in an option.
    assert_eq!(get(n::IP_RECVOPTS)[..7], [7, 7, 8, 10, 107, 0, 1]);
    assert_eq!(control(&received, n::SOL_SOCKET, n::SO_TIMESTAMPNS_OLD).unwrap().len(), 16);
    // The way out is chosen by what goes along.
    let mut info = vec![0; 12];
    info[..4].copy_from_slice(&tap.interface.index.to_ne_bytes());
    let ttl = put(n::SOL_IP, n::IP_TTL, &5i32.to_ne_bytes());
    let tos = put(n::SOL_IP, n::IP_TOS, &[0x18]);
    let sent = socket.send_message(
        b"out",
        Some(&super::calls::at("10.107.0.9:9")),
        vec![put(n::SOL_IP, n::IP_PKTINFO, &info), ttl, tos],
        0,
    );
    assert_eq!(sent, Ok(3));
    let ip = tap.find_ip(UDP);
    assert_eq!((ip.source, ip.ttl, ip.tos), (ours, 5, 0x18));
    let odd = socket.send_message(b"out", Some(&super::calls::at("10.107.0.9:9")), vec![put(n::SOL_IP, n::IP_TTL, &[1])], 0);
    assert_eq!(odd, Err(Errno::EINVAL));
    // IPv6.
    let socket = Sock::udp_at("[::]:5406");
    let options = [n::IPV6_RECVPKTINFO, n::IPV6_RECVHOPLIMIT, n::IPV6_RECVTCLASS, n::IPV6_RECVHOPOPTS, n::IPV6_RECVDSTOPTS];
    options.iter().for_each(|option| socket.set(n::SOL_IPV6, *option, 1).unwrap());
    let (theirs, ours) = (v6("fd07::9"), v6("fd07::1"));
    let mut inner = vec![60, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 1, 4, 0, 0, 0, 0];
    inner.extend(wire::udp6(theirs, ours, 9, 5406, b"six"));
    let mut packet = wire::ipv6(theirs, ours, 0, 33, &inner);
    packet[0] = 0x62;
    packet[1] = 0x30;
    tap.put_packet(IPV6, &packet);
    let (bytes, received) = socket.receive(10, 0).unwrap();
    assert_eq!(bytes, b"six");
    let get = |kind| control(&received, n::SOL_IPV6, kind).unwrap().to_vec();
    assert_eq!(get(n::IPV6_PKTINFO), [&ours.octets()[..], &tap.interface.index.to_ne_bytes()].concat());
    assert_eq!((get(n::IPV6_HOPLIMIT), get(n::IPV6_TCLASS)), (33i32.to_ne_bytes().to_vec(), 0x23i32.to_ne_bytes().to_vec()));
    assert_eq!(get(n::IPV6_HOPOPTS), [60, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(get(n::IPV6_DSTOPTS), [17, 0, 1, 4, 0, 0, 0, 0]);
}

#[test]
fn an_option_that_nobody_knows() {
    let tap = Tap::new("opt0", &["fd08::1/64"]);
    let (theirs, ours) = (v6("fd08::9"), v6("fd08::1"));
    // One that must be told of: its two highest bits say so.
    let mut inner = vec![UDP, 0, 0x80 | 0x1e, 4, 0, 0, 0, 0];
    inner.extend(wire::udp6(theirs, ours, 9, 5407, b"x"));
    let packet = wire::ipv6(theirs, ours, 60, 64, &inner);
    let mut advert = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
    advert.extend(theirs.octets());
    advert.extend([2, 1]);
    advert.extend(THEIR_MAC);
    let advert = wire::ipv6(theirs, ours, ICMPV6, 255, &wire::icmp6(theirs, ours, advert));
    tap.put_packet(IPV6, &packet);
    tap.find_ip6(ICMPV6, Some(135));
    tap.put_packet(IPV6, &advert);
    let told = tap.find_ip6(ICMPV6, Some(4));
    assert_eq!((told.payload[1], &told.payload[4..8], &told.payload[8..]), (2, &42u32.to_be_bytes()[..], &packet[..]));
}

#[test]
fn groups_are_asked_for_and_heard() {
    let tap = Tap::new("grp0", &["10.109.0.1/24", "fd09::1/64"]);
    let index = tap.interface.index;
    let socket = Sock::udp_at("0.0.0.0:5408").nonblocking();
    let mreqn = |group: [u8; 4]| [&group[..], &[10, 109, 0, 1], &index.to_ne_bytes()].concat();
    let group = v4("239.1.2.3");
    socket.set_bytes(n::SOL_IP, n::IP_ADD_MEMBERSHIP, &mreqn(group.octets())).unwrap();
    assert_eq!(socket.set_bytes(n::SOL_IP, n::IP_ADD_MEMBERSHIP, &mreqn(group.octets())), Err(Errno::EADDRINUSE));
    assert_eq!(socket.set_bytes(n::SOL_IP, n::IP_ADD_MEMBERSHIP, &mreqn([10, 1, 1, 1])), Err(Errno::EINVAL));
    // IGMP says so.
    let report = tap.find_ip(2);
    assert_eq!((report.ttl, report.header), (1, 24));
    assert_eq!(inet::checksum::of(&report.payload), [0, 0]);
    assert!(report.payload.windows(4).any(|w| w == group.octets()));
    let theirs = v4("10.109.0.9");
    let datagram = wire::ipv4(theirs, group, UDP, &wire::udp4(theirs, group, 9, 5408, b"to all"));
    let frame = wire::ethernet([1, 0, 0x5e, 1, 2, 3], THEIR_MAC, IPV4, &datagram);
    tap.put(&frame).unwrap();
    eventually("the group's datagram", || socket.events() & 1 != 0);
    assert_eq!(socket.recv(100).unwrap(), b"to all");
    // A source that is not wanted.
    let source = |group: [u8; 4], source: [u8; 4]| [&group[..], &[10, 109, 0, 1], &source].concat();
    socket.set_bytes(n::SOL_IP, n::IP_BLOCK_SOURCE, &source(group.octets(), theirs.octets())).unwrap();
    tap.put(&frame).unwrap();
    eventually("it is looked at", || !crate::pending());
    assert_eq!(socket.recv(100), Err(AGAIN));
    socket.set_bytes(n::SOL_IP, n::IP_UNBLOCK_SOURCE, &source(group.octets(), theirs.octets())).unwrap();
    // A question is answered within its time.
    let mut query = vec![0x11, 10, 0, 0, 0, 0, 0, 0];
    let sum = inet::checksum::of(&query);
    query[2..4].copy_from_slice(&sum);
    core::iter::from_fn(|| tap.take_now()).for_each(drop);
    let query = wire::ipv4_with(theirs, v4("224.0.0.1"), 2, 1, [0; 4], &[0x94, 4, 0, 0], &query);
    tap.put(&wire::ethernet([1, 0, 0x5e, 0, 0, 1], THEIR_MAC, IPV4, &query)).unwrap();
    assert!(tap.find_ip(2).payload.windows(4).any(|w| w == group.octets()));
    socket.set_bytes(n::SOL_IP, n::IP_DROP_MEMBERSHIP, &mreqn(group.octets())).unwrap();
    assert_eq!(socket.set_bytes(n::SOL_IP, n::IP_DROP_MEMBERSHIP, &mreqn(group.octets())), Err(Errno::EADDRNOTAVAIL));
    tap.put(&frame).unwrap();
    eventually("it is looked at", || !crate::pending());
    assert_eq!(socket.recv(100), Err(AGAIN));
    // What we send to a group goes out by the interface that was chosen, with a hop limit of 1, and
    // comes back to who has joined.
    socket.set_bytes(n::SOL_IP, n::IP_MULTICAST_IF, &mreqn([0; 4])).unwrap();
    socket.send_to(b"from us", "239.1.2.3:99").unwrap();
    let ip = tap.find_ip(UDP);
    assert_eq!((ip.destination, ip.ttl, ip.source), (group, 1, v4("10.109.0.1")));
    // IPv6 has MLD.
    let socket = Sock::udp_at("[::]:5409").nonblocking();
    let group = v6("ff05::1:3");
    let mreq = [&group.octets()[..], &index.to_ne_bytes()].concat();
    socket.set_bytes(n::SOL_IPV6, n::IPV6_ADD_MEMBERSHIP, &mreq).unwrap();
    let theirs = v6("fd09::9");
    let datagram = wire::ipv6(theirs, group, UDP, 9, &wire::udp6(theirs, group, 9, 5409, b"six"));
    tap.put(&wire::ethernet([0x33, 0x33, 0, 1, 0, 3], THEIR_MAC, IPV6, &datagram)).unwrap();
    eventually("the group's datagram", || socket.events() & 1 != 0);
    assert_eq!(socket.recv(100).unwrap(), b"six");
    socket.set_bytes(n::SOL_IPV6, n::IPV6_DROP_MEMBERSHIP, &mreq).unwrap();
    assert_eq!(socket.set_bytes(n::SOL_IPV6, n::IPV6_DROP_MEMBERSHIP, &mreq), Err(Errno::EADDRNOTAVAIL));
}

#[test]
fn raw_sockets_see_and_send_headers() {
    let tap = Tap::new("raw0", &["10.110.0.1/24", "fd0a::1/64"]);
    let raw = Sock::new(Family::V4, n::SOCK_RAW, 253).unwrap();
    raw.bind("10.110.0.1:0").unwrap();
    let (theirs, ours) = (v4("10.110.0.9"), v4("10.110.0.1"));
    let packet = wire::ipv4_with(theirs, ours, 253, 17, [0; 4], &[], b"raw bytes");
    tap.put_ip(&packet);
    let (bytes, from) = raw.recv_from(100).unwrap();
    assert_eq!((bytes, from.ip()), (packet, IpAddr::V4(theirs)));
    raw.send_to(b"out", "10.110.0.9:0").unwrap();
    let ip = tap.find_ip(253);
    assert_eq!((ip.source, ip.payload.as_slice()), (ours, &b"out"[..]));
    // With the program's own header: what is 0 is filled in.
    raw.set(n::SOL_IP, n::IP_HDRINCL, 1).unwrap();
    let mut own = wire::ipv4_with(v4("0.0.0.0"), theirs, 254, 3, [0; 4], &[], b"own");
    own[10..12].fill(0);
    raw.send_to(&own, "10.110.0.9:0").unwrap();
    let ip = tap.find_ip(254);
    assert_eq!((ip.source, ip.ttl, ip.payload.as_slice()), (ours, 3, &b"own"[..]));
    assert_eq!(raw.send_to(&own[..10], "10.110.0.9:0"), Err(Errno::EINVAL));
    // A filter of ICMP: echo replies alone.
    let icmp = Sock::new(Family::V4, n::SOCK_RAW, 1).unwrap().nonblocking();
    icmp.bind("10.110.0.1:0").unwrap();
    icmp.set(255, 1, !1).unwrap();
    assert_eq!(icmp.get(255, 1), Ok(!1));
    tap.put_ip(&wire::ipv4(theirs, ours, ICMP, &wire::icmp(vec![8, 0, 0, 0, 0, 1, 0, 1])));
    tap.put_ip(&wire::ipv4(theirs, ours, ICMP, &wire::icmp(vec![0, 0, 0, 0, 0, 1, 0, 2])));
    eventually("the reply", || icmp.events() & 1 != 0);
    assert_eq!(icmp.recv(100).unwrap()[20..], wire::icmp(vec![0, 0, 0, 0, 0, 1, 0, 2]));
    assert_eq!(icmp.recv(100), Err(AGAIN));
    // IPv6 gives no header, and fills a checksum in where it is told to.
    let raw = Sock::new(Family::V6, n::SOCK_RAW, 253).unwrap();
    raw.bind("[fd0a::1]:0").unwrap();
    raw.set(n::SOL_IPV6, n::IPV6_CHECKSUM, 2).unwrap();
    assert_eq!(raw.get(n::SOL_IPV6, n::IPV6_CHECKSUM), Ok(2));
    raw.send_to(&[1, 2, 0, 0], "[fd0a::1]:0").unwrap();
    let bytes = raw.recv(100).unwrap();
    assert_eq!((bytes.len(), &bytes[..2]), (4, &[1, 2][..]));
    assert_ne!(bytes[2..], [0, 0]);
}

#[test]
fn a_tun_has_packets_alone() {
    // IFF_TUN with struct tun_pi.
    let tun = Tap::with_flags("tun7", 1, &["10.111.0.1/24"]);
    let socket = Sock::udp_at("10.111.0.1:5410");
    let (theirs, ours) = (v4("10.111.0.9"), v4("10.111.0.1"));
    let packet = wire::ipv4(theirs, ours, UDP, &wire::udp4(theirs, ours, 9, 5410, b"in"));
    tun.put(&[&[0, 0, 8, 0][..], &packet].concat()).unwrap();
    assert_eq!(socket.recv_from(10).unwrap(), (b"in".to_vec(), "10.111.0.9:9".parse().unwrap()));
    socket.send_to(b"out", "10.111.0.9:9").unwrap();
    let sent = tun.find(|frame| (frame[2..4] == [8, 0]).then(|| wire::ipv4_of(&frame[4..]))).unwrap();
    assert_eq!((sent.destination, &sent.payload[8..]), (theirs, &b"out"[..]));
    assert!(tun.interface.link.is_point_to_point());
}

#[test]
fn files_of_tun() {
    use linux_raw_sys::ioctl as i;
    let tap = Tap::new("tap7", &[]);
    let file = Sock(tap.file.clone());
    let mut request = super::tap::ifreq("", &[]);
    file.ioctl(i::TUNGETIFF, &mut request).unwrap();
    assert_eq!((&request[..5], u16::from_ne_bytes([request[16], request[17]]) & 2), (&b"tap7\0"[..], 2));
    let features = super::tap::device().ioctl_int(i::TUNGETFEATURES).unwrap();
    assert_eq!(features & 0x5003, 0x5003);
    assert_eq!(file.ioctl_int(i::TUNGETVNETHDRSZ), Ok(10));
    assert_eq!(file.ioctl(i::TUNSETVNETHDRSZ, &mut 9i32.to_ne_bytes()), Err(Errno::EINVAL));
    assert_eq!(file.ioctl(i::TUNSETSNDBUF, &mut 5000i32.to_ne_bytes()), Ok(0));
    assert_eq!(file.ioctl_int(i::TUNGETSNDBUF), Ok(5000));
    assert_eq!(file.ioctl(i::TUNSETCARRIER, &mut 0i32.to_ne_bytes()), Ok(0));
    assert!(!tap.interface.has_carrier());
    assert_eq!(file.ioctl(0x1234, &mut [0; 40]), Err(Errno::EINVAL));
    // Another file cannot have it at the same time; nor does it have any without asking.
    let other = super::tap::device();
    assert_eq!(other.read(10), Err(Errno(77)));
    assert_eq!(other.ioctl(i::TUNSETIFF, &mut super::tap::ifreq("tap7", &0x1002u16.to_ne_bytes())), Err(Errno::EBUSY));
    assert_eq!(other.ioctl(i::TUNSETIFF, &mut super::tap::ifreq("lo", &0x1002u16.to_ne_bytes())), Err(Errno::EINVAL));
    assert_eq!(other.ioctl(i::TUNSETIFF, &mut super::tap::ifreq("new", &0u16.to_ne_bytes())), Err(Errno::EINVAL));
    // It goes with its file, unless it is to stay.
    let index = tap.interface.index;
    drop((tap, file));
    assert!(crate::interface::by_index(index).is_none());
    let tap = Tap::new("tap8", &[]);
    let file = Sock(tap.file.clone());
    assert_eq!(file.0.ops.ioctl(&file.0, i::TUNSETPERSIST, usermem::UserAddr(1)), Ok(0));
    let index = tap.interface.index;
    drop((tap, file));
    assert!(crate::interface::by_index(index).is_some());
    let again = super::tap::device();
    again.ioctl(i::TUNSETIFF, &mut super::tap::ifreq("tap8", &0x1002u16.to_ne_bytes())).unwrap();
    assert_eq!(again.0.ops.ioctl(&again.0, i::TUNSETPERSIST, usermem::UserAddr(0)), Ok(0));
    drop(again);
    assert!(crate::interface::by_index(index).is_none());
}
