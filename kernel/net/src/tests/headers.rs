//! Headers and options that programs have sent, and whom they hear in groups. All goes over the
//! loopback.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv6Addr, SocketAddr};

use fd::socket::Control;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::calls::{AGAIN, Sock, at, control, eventually, put};
use super::rtnetlink::{Netlink, attribute};

/// An extension header of eight bytes, all of it padding.
const PADDING: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];

fn v6(kind: u32, data: &[u8]) -> Control {
    put(n::SOL_IPV6, kind, data)
}

fn int(value: i32) -> [u8; 4] {
    value.to_ne_bytes()
}

/// Two sockets of IPv6, of which the second is told everything.
fn ends(port: u16) -> (Sock, Sock) {
    let one = Sock::udp6();
    one.connect(&std::format!("[::1]:{port}")).unwrap();
    let two = Sock::udp_at(&std::format!("[::1]:{port}"));
    for option in [
        n::IPV6_RECVPKTINFO,
        n::IPV6_RECVHOPLIMIT,
        n::IPV6_RECVTCLASS,
        n::IPV6_RECVHOPOPTS,
        n::IPV6_RECVDSTOPTS,
        n::IPV6_RECVRTHDR,
    ] {
        two.set(n::SOL_IPV6, option, 1).unwrap();
    }
    (one, two)
}

#[test]
fn what_a_message_asks_for() {
    let (one, two) = ends(5601);
    let asked = vec![
        v6(n::IPV6_HOPLIMIT, &int(7)),
        v6(n::IPV6_TCLASS, &int(0x2c)),
        v6(n::IPV6_HOPOPTS, &PADDING),
        v6(n::IPV6_DSTOPTS, &PADDING),
    ];
    assert_eq!(one.send_message(b"all of it", None, asked, 0), Ok(9));
    let (bytes, received) = two.receive(20, 0).unwrap();
    assert_eq!(bytes, b"all of it");
    let get = |kind| control(&received, n::SOL_IPV6, kind).map(<[u8]>::to_vec);
    assert_eq!((get(n::IPV6_HOPLIMIT), get(n::IPV6_TCLASS)), (Some(int(7).to_vec()), Some(int(0x2c).to_vec())));
    // The next header is the network's to say.
    assert_eq!(get(n::IPV6_HOPOPTS).unwrap()[1..], PADDING[1..]);
    assert_eq!(get(n::IPV6_DSTOPTS).unwrap()[1..], PADDING[1..]);
    let refused = |message: Control| one.send_message(b"x", None, vec![message], 0);
    assert_eq!(refused(v6(n::IPV6_HOPLIMIT, &int(256))), Err(Errno::EINVAL));
    assert_eq!(refused(v6(n::IPV6_HOPLIMIT, &[1])), Err(Errno::EINVAL));
    assert_eq!(refused(v6(n::IPV6_HOPOPTS, &PADDING[..5])), Err(Errno::EINVAL));
    assert_eq!(refused(v6(n::IPV6_RTHDR, &PADDING)), Err(Errno::EINVAL));
    assert_eq!(refused(v6(99, &PADDING)), Err(Errno::EINVAL));
    let twice = vec![v6(n::IPV6_HOPOPTS, &PADDING), v6(n::IPV6_HOPOPTS, &PADDING)];
    assert_eq!(one.send_message(b"x", None, twice, 0), Err(Errno::EINVAL));
    // From an address that is not ours.
    let foreign = [&"2001:db8:9::9".parse::<Ipv6Addr>().unwrap().octets()[..], &[0; 4]].concat();
    assert_eq!(refused(v6(n::IPV6_PKTINFO, &foreign)), Err(Errno::EINVAL));
    // -1 is what is usual.
    one.send_message(b"usual", None, vec![v6(n::IPV6_HOPLIMIT, &int(-1)), v6(n::IPV6_TCLASS, &int(-1))], 0).unwrap();
    let (_, received) = two.receive(20, 0).unwrap();
    assert_eq!(control(&received, n::SOL_IPV6, n::IPV6_HOPLIMIT), Some(&int(64)[..]));
    std::thread::spawn(move || {
        caller::testing::become_user(1000, 1000);
        assert_eq!(one.send_message(b"x", None, vec![v6(n::IPV6_HOPOPTS, &PADDING)], 0), Err(Errno::EPERM));
    })
    .join()
    .unwrap();
}

#[test]
fn what_all_packets_have() {
    let (one, two) = ends(5602);
    one.set_bytes(n::SOL_IPV6, n::IPV6_DSTOPTS, &PADDING).unwrap();
    one.set(n::SOL_IPV6, n::IPV6_UNICAST_HOPS, 9).unwrap();
    one.send(b"x").unwrap();
    let (_, received) = two.receive(20, 0).unwrap();
    assert_eq!(control(&received, n::SOL_IPV6, n::IPV6_DSTOPTS).unwrap()[1..], PADDING[1..]);
    assert_eq!(control(&received, n::SOL_IPV6, n::IPV6_HOPLIMIT), Some(&int(9)[..]));
    // The older way names them as messages.
    let message = |kind: u32, data: &[u8]| {
        let head = [&(16 + data.len() as u64).to_ne_bytes()[..], &n::SOL_IPV6.to_ne_bytes(), &kind.to_ne_bytes()].concat();
        [&head[..], data].concat()
    };
    one.set_bytes(n::SOL_IPV6, n::IPV6_2292PKTOPTIONS, &message(n::IPV6_2292HOPOPTS, &PADDING)).unwrap();
    one.send(b"y").unwrap();
    let (_, received) = two.receive(20, 0).unwrap();
    assert!(control(&received, n::SOL_IPV6, n::IPV6_DSTOPTS).is_none());
    assert_eq!(control(&received, n::SOL_IPV6, n::IPV6_HOPOPTS).unwrap()[1..], PADDING[1..]);
    let cut = message(n::IPV6_2292HOPOPTS, &PADDING);
    assert_eq!(one.set_bytes(n::SOL_IPV6, n::IPV6_2292PKTOPTIONS, &cut[..20]), Err(Errno::EINVAL));
    one.set_bytes(n::SOL_IPV6, n::IPV6_2292PKTOPTIONS, &[]).unwrap();
    // Streams tell what they were asked to tell.
    let stream = Sock::tcp6();
    for option in [n::IPV6_RECVPKTINFO, n::IPV6_RECVHOPLIMIT, n::IPV6_RECVTCLASS] {
        stream.set(n::SOL_IPV6, option, 1).unwrap();
    }
    let told = stream.get_bytes(n::SOL_IPV6, n::IPV6_2292PKTOPTIONS, 200).unwrap();
    assert_eq!(told.len(), 40 + 24 + 24);
    assert_eq!(told[12..16], n::IPV6_PKTINFO.to_ne_bytes());
    let info = [&[0; 16][..], &int(1)].concat();
    one.set_bytes(n::SOL_IPV6, n::IPV6_PKTINFO, &info).unwrap();
    assert_eq!(one.set_bytes(n::SOL_IPV6, n::IPV6_PKTINFO, &info[..10]), Err(Errno::EINVAL));
}

#[test]
fn options_of_ipv4() {
    let one = Sock::udp();
    let two = Sock::udp_at("127.0.0.1:5603");
    two.set(n::SOL_IP, n::IP_RECVOPTS, 1).unwrap();
    two.set(n::SOL_IP, n::IP_RETOPTS, 1).unwrap();
    // A time stamp, asked for by one message alone.
    let stamp = [0x44, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    one.send_message(b"x", Some(&at("127.0.0.1:5603")), vec![put(n::SOL_IP, n::IP_RETOPTS, &stamp)], 0).unwrap();
    let (_, received) = two.receive(9, 0).unwrap();
    let options = control(&received, n::SOL_IP, n::IP_RECVOPTS).unwrap();
    assert_eq!((options[0], options[1], options[2] > 5), (0x44, 12, true));
    assert!(options[4..8] != [0; 4], "it is stamped");
    assert!(control(&received, n::SOL_IP, n::IP_RETOPTS).is_some());
    let odd = put(n::SOL_IP, n::IP_RETOPTS, &[0x44, 90, 5]);
    assert_eq!(one.send_message(b"x", Some(&at("127.0.0.1:5603")), vec![odd], 0), Err(Errno::EINVAL));
    for (kind, data) in [(n::IP_TTL, &int(0)[..]), (n::IP_TOS, &[]), (n::IP_PKTINFO, &[1, 2]), (77, &[0; 4])] {
        let message = vec![put(n::SOL_IP, kind, data)];
        assert_eq!(one.send_message(b"x", Some(&at("127.0.0.1:5603")), message, 0), Err(Errno::EINVAL), "{kind}");
    }
}

/// Sends to a group over the loopback, and says whether it was heard.
fn is_heard(sender: &Sock, group: &str, listener: &Sock) -> bool {
    sender.send_to(b"?", group).unwrap();
    // What is sent behind it comes behind it.
    let port = listener.local().port();
    sender.send_to(b"!", &std::format!("127.0.0.1:{port}")).unwrap();
    let mut heard = Vec::new();
    eventually("the second has come", || {
        heard.extend(listener.recv_now(9).unwrap_or_default());
        heard.ends_with(b"!")
    });
    heard.len() > 1
}

#[test]
fn sources_of_groups() {
    let listener = Sock::udp_at("0.0.0.0:5604");
    let sender = Sock::udp_at("127.0.0.1:0");
    sender.set_bytes(n::SOL_IP, n::IP_MULTICAST_IF, &[127, 0, 0, 1]).unwrap();
    let to = "239.8.8.8:5604";
    let mreq = |source: [u8; 4]| [&[239, 8, 8, 8][..], &[127, 0, 0, 1], &source].concat();
    let (ours, other) = ([127, 0, 0, 1], [127, 0, 0, 9]);
    let set = |option: u32, value: &[u8]| listener.set_bytes(n::SOL_IP, option, value);
    assert_eq!(set(n::IP_BLOCK_SOURCE, &mreq(ours)), Err(Errno::EINVAL));
    // Some alone are wanted.
    assert_eq!(set(n::IP_ADD_SOURCE_MEMBERSHIP, &mreq(other)), Ok(()));
    assert!(!is_heard(&sender, to, &listener));
    assert_eq!(set(n::IP_ADD_SOURCE_MEMBERSHIP, &mreq(ours)), Ok(()));
    assert_eq!(set(n::IP_ADD_SOURCE_MEMBERSHIP, &mreq(ours)), Err(Errno::EADDRNOTAVAIL));
    assert!(is_heard(&sender, to, &listener));
    assert_eq!(set(n::IP_BLOCK_SOURCE, &mreq(ours)), Err(Errno::EINVAL));
    // struct ip_msfilter: group, interface, mode, count, sources.
    let filter = |mode: u32, sources: &[[u8; 4]]| {
        let head = [&[239, 8, 8, 8][..], &ours, &mode.to_ne_bytes(), &(sources.len() as u32).to_ne_bytes()].concat();
        [&head[..], &sources.concat()].concat()
    };
    let read = |mut given: Vec<u8>| -> SysResult<Vec<u8>> {
        let buffer = UserAddr(given.as_mut_ptr().addr() as u64);
        listener.socket().get_option_of(n::SOL_IP, n::IP_MSFILTER, given.len(), buffer)
    };
    assert_eq!(read(filter(0, &[[0; 4]; 4])), Ok(filter(1, &[other, ours])));
    assert_eq!(set(n::IP_MSFILTER, &filter(0, &[ours])), Ok(()));
    assert!(!is_heard(&sender, to, &listener));
    assert_eq!(read(filter(0, &[[0; 4]; 4])), Ok(filter(0, &[ours])));
    assert_eq!(set(n::IP_UNBLOCK_SOURCE, &mreq(ours)), Ok(()));
    assert!(is_heard(&sender, to, &listener));
    assert_eq!(set(n::IP_UNBLOCK_SOURCE, &mreq(ours)), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(set(n::IP_MSFILTER, &filter(0, &[ours; 11])), Err(Errno::ENOBUFS));
    assert_eq!(set(n::IP_MSFILTER, &filter(2, &[ours])), Err(Errno::EINVAL));
    assert_eq!(set(n::IP_MSFILTER, &filter(0, &[ours])[..15]), Err(Errno::EINVAL));
    // Nobody at all: the group is left.
    assert_eq!(set(n::IP_MSFILTER, &filter(1, &[])), Ok(()));
    assert_eq!(set(n::IP_MSFILTER, &filter(1, &[])), Err(Errno::EADDRNOTAVAIL));
    assert!(!is_heard(&sender, to, &listener));
    assert_eq!(set(n::IP_DROP_SOURCE_MEMBERSHIP, &mreq(ours)), Err(Errno::EINVAL));
}

#[test]
fn sources_the_newer_way() {
    let listener = Sock::udp_at("0.0.0.0:5605");
    let sender = Sock::udp_at("127.0.0.1:0");
    sender.set_bytes(n::SOL_IP, n::IP_MULTICAST_IF, &[127, 0, 0, 1]).unwrap();
    let storage = |text: &str| {
        let mut out = at(text);
        out.resize(128, 0);
        out
    };
    // struct group_req, struct group_source_req.
    let group = || [&[1, 0, 0, 0, 0, 0, 0, 0][..], &storage("239.7.7.7:0")].concat();
    let source = |text: &str| [&group()[..], &storage(text)].concat();
    let set = |option: u32, value: &[u8]| listener.set_bytes(n::SOL_IP, option, value);
    assert_eq!(set(n::MCAST_JOIN_GROUP, &group()), Ok(()));
    assert_eq!(set(n::MCAST_JOIN_GROUP, &group()), Err(Errno::EADDRINUSE));
    assert!(is_heard(&sender, "239.7.7.7:5605", &listener));
    assert_eq!(set(n::MCAST_BLOCK_SOURCE, &source("127.0.0.1:0")), Ok(()));
    assert!(!is_heard(&sender, "239.7.7.7:5605", &listener));
    assert_eq!(set(n::MCAST_UNBLOCK_SOURCE, &source("127.0.0.1:0")), Ok(()));
    assert_eq!(set(n::MCAST_LEAVE_GROUP, &group()), Ok(()));
    assert_eq!(set(n::MCAST_LEAVE_GROUP, &group()), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(set(n::MCAST_JOIN_SOURCE_GROUP, &source("127.0.0.1:0")), Ok(()));
    assert!(is_heard(&sender, "239.7.7.7:5605", &listener));
    // struct group_filter
    let filter = |mode: u32, sources: &[&str]| {
        let head = [&group()[..], &mode.to_ne_bytes(), &(sources.len() as u32).to_ne_bytes()].concat();
        sources.iter().fold(head, |head, text| [head, storage(text)].concat())
    };
    assert_eq!(set(n::MCAST_MSFILTER, &filter(1, &["127.0.0.2:0", "127.0.0.1:0"])), Ok(()));
    let mut given = filter(0, &["0.0.0.0:0"; 3]);
    let buffer = UserAddr(given.as_mut_ptr().addr() as u64);
    let told = listener.socket().get_option_of(n::SOL_IP, n::MCAST_MSFILTER, given.len(), buffer).unwrap();
    assert_eq!(told[136..144], [1u32.to_ne_bytes(), 2u32.to_ne_bytes()].concat());
    assert_eq!((&told[144..272], &told[272..400]), (&storage("127.0.0.2:0")[..], &storage("127.0.0.1:0")[..]));
    assert_eq!(set(n::MCAST_LEAVE_SOURCE_GROUP, &source("127.0.0.1:0")), Ok(()));
    assert_eq!(set(n::MCAST_LEAVE_SOURCE_GROUP, &source("127.0.0.2:0")), Ok(()));
    assert_eq!(set(n::MCAST_JOIN_GROUP, &group()[..50]), Err(Errno::EINVAL));
    // Streams have none.
    assert_eq!(Sock::tcp().set_bytes(n::SOL_IP, n::IP_ADD_MEMBERSHIP, &[239, 7, 7, 7, 127, 0, 0, 1]), Err(Errno::EPROTO));
}

#[test]
fn filters_of_dumps() {
    let socket = Sock::udp_at("127.0.0.1:5606");
    let nl = Netlink::new(4);
    let mut request = vec![2, 17, 0, 0, 0xff, 0xff, 0xff, 0xff];
    request.resize(56, 0xff);
    let found = |program: &[u8]| {
        let body = [&request[..], &attribute(1, program)].concat();
        let all = nl.dump(20, &body).unwrap();
        all.iter().any(|(_, _, body)| body[4..6] == 5606u16.to_be_bytes())
    };
    // An instruction with a condition of a host: family, bits, port, address.
    let host = |code: u8, bits: u8, port: i32, address: [u8; 4]| {
        [&[code, 16][..], &20u16.to_ne_bytes(), &[2, bits, 0, 0], &port.to_ne_bytes(), &address].concat()
    };
    assert!(found(&host(7, 32, 5606, [127, 0, 0, 1])));
    assert!(found(&host(7, 8, -1, [127, 9, 9, 9])));
    assert!(!found(&host(7, 32, 5607, [127, 0, 0, 1])));
    assert!(!found(&host(7, 9, -1, [127, 200, 0, 1])));
    assert!(!found(&host(8, 32, -1, [127, 0, 0, 1])));
    assert!(found(&host(8, 0, -1, [0; 4])));
    // The port is this one; or not, and then a jump over it.
    let port = |code: u8, no: u16, port: u16| [&[code, 8][..], &no.to_ne_bytes(), &[0, 0], &port.to_ne_bytes()].concat();
    assert!(found(&port(11, 12, 5606)) && !found(&port(11, 12, 5607)) && found(&port(12, 12, 0)));
    assert!(found(&port(4, 12, 0)) && found(&port(5, 12, 0)));
    let either = [port(11, 12, 1), vec![1, 4, 12, 0], port(11, 12, 5606)].concat();
    assert!(found(&either));
    // On no device.
    assert!(found(&[9, 8, 12, 0, 0, 0, 0, 0]) && !found(&[9, 8, 12, 0, 9, 0, 0, 0]));
    for wrong in [&[99, 4, 4, 0][..], &[7, 8, 4, 0, 2, 32, 0, 0], &[11, 3, 12, 0, 0, 0, 0, 0], &[1, 8, 8, 0]] {
        let body = [&request[..], &attribute(1, wrong)].concat();
        assert_eq!(nl.dump(20, &body), Err(Errno::EINVAL), "{wrong:?}");
    }
    drop(socket);
}

#[test]
fn addresses_that_are_short_or_strange() {
    let socket = Sock::udp6();
    let address = super::calls::encode(&"[::1]:9".parse::<SocketAddr>().unwrap());
    // RFC 2133's had no scope.
    assert_eq!(socket.socket().connect(&address[..24], false), Ok(()));
    assert_eq!(socket.socket().connect(&address[..23], false), Err(Errno::EINVAL));
    assert_eq!(socket.socket().bind(&address[..2]), Err(Errno::EINVAL));
    // Bound to any, and connected to any: that is ourselves.
    let any = Sock::udp();
    any.connect("0.0.0.0:5607").unwrap();
    assert_eq!(any.peer(), Ok("127.0.0.1:5607".parse().unwrap()));
    assert_eq!(any.clone().nonblocking().recv(1), Err(AGAIN));
}
