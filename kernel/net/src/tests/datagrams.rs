//! UDP and UDP-Lite over the loopback interface, and pings.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::thread;

use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::calls::{AGAIN, Sock, at, control, eventually, put};
use crate::socket::Family;

const UDP: u32 = 17;

#[test]
fn ends_that_are_connected() {
    let one = Sock::udp_at("127.0.0.1:5201");
    let two = Sock::udp_at("127.0.0.1:5202");
    let three = Sock::udp_at("127.0.0.1:5203");
    assert_eq!(one.send(b"x"), Err(Errno::EDESTADDRREQ));
    assert_eq!(one.peer(), Err(Errno::ENOTCONN));
    one.connect("127.0.0.1:5202").unwrap();
    assert_eq!(one.peer(), Ok(two.local()));
    assert_eq!(one.write(b"hello"), Ok(5));
    eventually("it is there", || two.ioctl_int(0x541b) == Ok(5));
    assert_eq!(two.receive(2, n::MSG_PEEK | n::MSG_TRUNC).unwrap().1.full, 5);
    assert_eq!(two.read(100).unwrap(), b"hello");
    // Who is connected hears the other end alone.
    three.send_to(b"from a stranger", "127.0.0.1:5201").unwrap();
    two.send_to(b"from the friend", "127.0.0.1:5201").unwrap();
    assert_eq!(one.recv(100).unwrap(), b"from the friend");
    assert_eq!(one.recv_now(100), Err(AGAIN));
    assert_eq!(one.send_to(b"y", "127.0.0.1:5203"), Ok(1));
    assert_eq!(three.recv(9).unwrap(), b"y");
    one.socket().connect(&[0; 16], false).unwrap();
    assert_eq!(one.peer(), Err(Errno::ENOTCONN));
    one.shutdown(true, false).unwrap_err();
    one.connect("127.0.0.1:5202").unwrap();
    one.shutdown(true, true).unwrap();
    assert_eq!(one.recv(1).unwrap(), b"");
    assert_eq!(one.send(b"x"), Err(Errno::EPIPE));
    assert_eq!(one.listen(1), Err(Errno::EOPNOTSUPP));
    assert_eq!(one.accept().err(), Some(Errno::EOPNOTSUPP));
    // A port that nobody has.
    let socket = Sock::udp();
    socket.connect("127.0.0.1:5204").unwrap();
    socket.send(b"?").unwrap();
    eventually("it is refused", || socket.events() & 8 != 0);
    assert_eq!(socket.send(b"?"), Err(Errno::ECONNREFUSED));
    assert_eq!(socket.send(b"?"), Ok(1));
}

#[test]
fn lengths() {
    let one = Sock::udp_at("127.0.0.1:5205");
    let two = Sock::udp_at("127.0.0.1:5206");
    for len in [0, 1, 8191, 65507] {
        let bytes = vec![len as u8; len];
        assert_eq!(one.send_to(&bytes, "127.0.0.1:5206"), Ok(len));
        let (got, received) = two.receive(70_000, 0).unwrap();
        assert!(got == bytes && received.full == len);
    }
    assert_eq!(one.send_to(&vec![0; 65508], "127.0.0.1:5206"), Err(Errno::EMSGSIZE));
    one.send_to(b"longer", "127.0.0.1:5206").unwrap();
    let (got, received) = two.receive(3, 0).unwrap();
    assert_eq!((got.as_slice(), received.full), (&b"lon"[..], 6));
    // A queue has its bounds.
    two.set(n::SOL_SOCKET, n::SO_RCVBUF, 4000).unwrap();
    for _ in 0..100 {
        one.send_to(&[1; 500], "127.0.0.1:5206").unwrap();
    }
    let heard = core::iter::from_fn(|| two.recv_now(1000).ok()).count();
    assert!((2..20).contains(&heard), "{heard}");
    two.set(n::SOL_SOCKET, n::SO_RXQ_OVFL, 1).unwrap();
    one.send_to(b"x", "127.0.0.1:5206").unwrap();
    let (_, received) = two.receive(10, 0).unwrap();
    assert_eq!(control(&received, n::SOL_SOCKET, n::SO_RXQ_OVFL), Some(&(100 - heard as u32).to_ne_bytes()[..]));
}

#[test]
fn corks_and_segments() {
    let one = Sock::udp_at("127.0.0.1:5207");
    let two = Sock::udp_at("127.0.0.1:5208");
    one.connect("127.0.0.1:5208").unwrap();
    one.set(UDP, 1, 1).unwrap();
    one.send(b"in ").unwrap();
    one.send(b"one").unwrap();
    assert_eq!(two.recv_now(10), Err(AGAIN));
    one.set(UDP, 1, 0).unwrap();
    assert_eq!(two.recv(10).unwrap(), b"in one");
    one.send_with(b"more ", None, n::MSG_MORE).unwrap();
    one.send(b"to come").unwrap();
    assert_eq!(two.recv(20).unwrap(), b"more to come");
    // Many of the same size at once, which come one by one or together.
    let bytes: Vec<u8> = (0..2500u32).map(|n| n as u8).collect();
    one.set(UDP, 103, 1000).unwrap();
    one.send(&bytes).unwrap();
    for len in [1000, 1000, 500] {
        assert_eq!(two.recv(3000).unwrap().len(), len);
    }
    two.set(UDP, 104, 1).unwrap();
    one.send(&bytes).unwrap();
    let (got, received) = two.receive(3000, 0).unwrap();
    assert!(got == bytes);
    assert_eq!(control(&received, UDP, 104), Some(&1000i32.to_ne_bytes()[..]));
    one.set(UDP, 103, 0).unwrap();
    two.set(UDP, 104, 0).unwrap();
    let by_message = put(UDP, 103, &800u16.to_ne_bytes());
    one.send_message(&bytes[..1000], None, vec![by_message], 0).unwrap();
    assert_eq!((two.recv(3000).unwrap().len(), two.recv(3000).unwrap().len()), (800, 200));
}

#[test]
fn over_ipv6_and_in_its_dress() {
    let one = Sock::udp_at("[::1]:5209");
    let two = Sock::udp_at("[::]:5210");
    one.send_to(b"six", "[::1]:5210").unwrap();
    assert_eq!(two.recv_from(10).unwrap(), (b"six".to_vec(), one.local()));
    let four = Sock::udp_at("127.0.0.1:5211");
    four.send_to(b"four", "127.0.0.1:5210").unwrap();
    assert_eq!(two.recv_from(10).unwrap(), (b"four".to_vec(), "[::ffff:127.0.0.1]:5211".parse().unwrap()));
    two.send_to(b"back", "[::ffff:127.0.0.1]:5211").unwrap();
    assert_eq!(four.recv_from(10).unwrap(), (b"back".to_vec(), "127.0.0.1:5210".parse().unwrap()));
    assert_eq!(one.send_to(b"x", "[::ffff:127.0.0.1]:5211"), Err(Errno::ENETUNREACH));
    assert_eq!(Sock::udp().send_with(b"x", Some(&at("[::1]:9")), 0), Err(Errno::EAFNOSUPPORT));
    assert_eq!(Sock::udp6().send_with(b"plain", Some(&at("127.0.0.1:5211")), 0), Ok(5));
    assert_eq!(four.recv(10).unwrap(), b"plain");
    // A port of one family is the other's too, unless they are told apart.
    assert_eq!(Sock::udp().bind("0.0.0.0:5210"), Err(Errno::EADDRINUSE));
}

#[test]
fn ports_are_given_out() {
    let sockets: Vec<Sock> = (0..50).map(|_| Sock::udp_at("127.0.0.1:0")).collect();
    let mut ports: Vec<u16> = sockets.iter().map(|socket| socket.local().port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert!(ports.len() == 50 && ports[0] >= 32768 && ports[49] <= 60999);
    let narrow = Sock::udp();
    narrow.set(n::SOL_IP, n::IP_LOCAL_PORT_RANGE, 40_000 << 16 | 40_000).unwrap();
    narrow.bind("127.0.0.7:0").unwrap();
    assert_eq!(narrow.local().port(), 40_000);
    assert_eq!(Sock::udp().bind("127.0.0.7:40000"), Err(Errno::EADDRINUSE));
    // Those that share a port share its datagrams by who sends them.
    let shared: Vec<Sock> = (0..3)
        .map(|_| {
            let socket = Sock::udp();
            socket.set(n::SOL_SOCKET, n::SO_REUSEPORT, 1).unwrap();
            socket.bind("127.0.0.1:5212").unwrap();
            socket
        })
        .collect();
    for _ in 0..4 {
        for socket in &sockets {
            socket.send_to(b"x", "127.0.0.1:5212").unwrap();
        }
    }
    // Another test may be at the network's work, and what was sent last arrives with that.
    let mut heard = [0; 3];
    eventually("all datagrams are heard", || {
        for (socket, heard) in shared.iter().zip(&mut heard) {
            *heard += core::iter::from_fn(|| socket.recv_now(10).ok()).count();
        }
        heard.iter().sum::<usize>() == 200
    });
    assert!(heard.iter().all(|count| *count > 0 && count % 4 == 0), "{heard:?}");
}

#[test]
fn to_everybody_and_to_groups() {
    let socket = Sock::udp();
    assert_eq!(socket.send_to(b"x", "255.255.255.255:5213"), Err(Errno::EACCES));
    let listeners: Vec<Sock> = (0..2)
        .map(|_| {
            let socket = Sock::udp();
            socket.set(n::SOL_SOCKET, n::SO_REUSEADDR, 1).unwrap();
            socket.bind("0.0.0.0:5213").unwrap();
            let lo = [&[239, 9, 9, 9][..], &[127, 0, 0, 1]].concat();
            socket.set_bytes(n::SOL_IP, n::IP_ADD_MEMBERSHIP, &lo).unwrap();
            socket
        })
        .collect();
    socket.set_bytes(n::SOL_IP, n::IP_MULTICAST_IF, &[127, 0, 0, 1]).unwrap();
    socket.send_to(b"all", "239.9.9.9:5213").unwrap();
    for listener in &listeners {
        assert_eq!(listener.recv(10).unwrap(), b"all");
    }
    let igmp = crate::tables::igmp();
    assert!(igmp.contains("090909EF"), "{igmp}");
}

#[test]
fn checksums_over_a_part() {
    let lite = || Sock::new(Family::V4, n::SOCK_DGRAM, 136).unwrap();
    let (one, two) = (lite(), lite());
    two.bind("127.0.0.1:5214").unwrap();
    one.set(136, 10, 12).unwrap();
    one.send_to(b"covered in part", "127.0.0.1:5214").unwrap();
    assert_eq!(two.recv(100).unwrap(), b"covered in part");
    // Who wants more covered hears nothing.
    two.set(136, 11, 20).unwrap();
    one.send_to(b"too little", "127.0.0.1:5214").unwrap();
    thread::sleep(Duration::from_millis(5));
    assert_eq!(two.recv_now(100), Err(AGAIN));
    one.set(136, 10, 0).unwrap();
    one.send_to(b"all", "127.0.0.1:5214").unwrap();
    assert_eq!(two.recv(100).unwrap(), b"all");
    // Its ports are its own.
    Sock::udp_at("127.0.0.1:5214");
}

#[test]
fn pings_of_ourselves() {
    let ping = Sock::new(Family::V4, n::SOCK_DGRAM, 1).unwrap();
    ping.bind("127.0.0.1:77").unwrap();
    ping.send_to(&[8, 0, 0, 0, 0, 0, 0, 5, b'p'], "127.0.0.1:0").unwrap();
    let (reply, from) = ping.recv_from(100).unwrap();
    // The identifier is the socket's.
    assert_eq!((reply[0], &reply[4..]), (0, &[0, 77, 0, 5, b'p'][..]));
    assert_eq!(from, "127.0.0.1:0".parse().unwrap());
    assert_eq!(ping.send_to(&[0, 0, 0, 0, 0, 0, 0, 5], "127.0.0.1:0"), Err(Errno::EINVAL));
    let ping = Sock::new(Family::V6, n::SOCK_DGRAM, 58).unwrap();
    ping.connect("[::1]:0").unwrap();
    ping.send(&[128, 0, 0, 0, 0, 0, 0, 6]).unwrap();
    assert_eq!(ping.recv(100).unwrap()[6..8], [0, 6]);
}

#[test]
fn filters_of_datagrams() {
    let socket = Sock::udp_at("127.0.0.1:5215");
    // The first byte of the payload must be an `a`: ldb [8]; jeq #'a', 0, 1; ret #9; ret #0.
    let op = |code: u16, yes: u8, no: u8, k: u32| {
        u64::from_ne_bytes([&code.to_ne_bytes()[..], &[yes, no], &k.to_ne_bytes()].concat().try_into().unwrap())
    };
    let program = [op(0x30, 0, 0, 8), op(0x15, 0, 1, 97), op(6, 0, 0, 9), op(6, 0, 0, 0)];
    let fprog = [4u64.to_ne_bytes(), (program.as_ptr().addr() as u64).to_ne_bytes()].concat();
    socket.set_bytes(n::SOL_SOCKET, n::SO_ATTACH_FILTER, &fprog).unwrap();
    let other = Sock::udp();
    for word in [&b"beta"[..], b"alpha", b"gamma"] {
        other.send_to(word, "127.0.0.1:5215").unwrap();
    }
    // Nine bytes are wanted, of which eight are the header.
    assert_eq!(socket.recv(10).unwrap(), b"a");
    assert_eq!(socket.recv_now(10), Err(AGAIN));
    socket.set(n::SOL_SOCKET, n::SO_LOCK_FILTER, 1).unwrap();
    assert_eq!(socket.set(n::SOL_SOCKET, n::SO_DETACH_FILTER, 0), Err(Errno::EPERM));
    assert_eq!(socket.set(n::SOL_SOCKET, n::SO_LOCK_FILTER, 0), Err(Errno::EPERM));
}

#[test]
fn when_packets_came() {
    let one = Sock::udp_at("127.0.0.1:5216");
    // SIOCGSTAMP
    assert_eq!(one.ioctl(0x8906, &mut [0; 16]), Err(Errno::ENOENT));
    one.send_to(b"x", "127.0.0.1:5216").unwrap();
    one.recv(1).unwrap();
    let mut stamp = [0; 16];
    one.ioctl(0x8906, &mut stamp).unwrap();
    let seconds = u64::from_ne_bytes(stamp[..8].try_into().unwrap());
    assert!(seconds.abs_diff(crate::clock::realtime_ns() / 1_000_000_000) < 10);
}
