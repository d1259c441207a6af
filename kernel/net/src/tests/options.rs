//! setsockopt(2) and getsockopt(2): what is taken, what is refused and why, and what is told
//! afterwards.

use alloc::vec;
use alloc::vec::Vec;
use std::thread;

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::calls::Sock;
use crate::socket::Family;

const SOCKET: u32 = n::SOL_SOCKET;
const IP: u32 = n::SOL_IP;
const IPV6: u32 = n::SOL_IPV6;
const TCP: u32 = 6;
const OK: SysResult<()> = Ok(());
const INVALID: SysResult<()> = Err(Errno::EINVAL);
const UNKNOWN: SysResult<()> = Err(Errno::ENOPROTOOPT);

/// Sets each of these and looks at what is told then.
fn check(socket: &Sock, level: u32, cases: &[(u32, i32, SysResult<()>, i32)]) {
    for (option, value, result, told) in cases {
        assert_eq!(socket.set(level, *option, *value), *result, "{level} {option} {value}");
        assert_eq!(socket.get(level, *option), Ok(*told), "{level} {option} {value}");
    }
}

/// On at first or not, then on, then off.
fn switches(socket: &Sock, level: u32, first: i32, options: &[u32]) {
    for option in options {
        assert_eq!(socket.get(level, *option), Ok(first), "{level} {option}");
        check(socket, level, &[(*option, 1, OK, 1), (*option, 0, OK, 0), (*option, first, OK, first)]);
        assert_eq!(socket.set_bytes(level, *option, &[1]).is_err(), level == SOCKET || level == TCP, "{level} {option}");
    }
}

#[test]
fn of_every_socket() {
    for socket in [Sock::tcp(), Sock::udp(), Sock::udp6(), Sock::new(Family::V4, n::SOCK_RAW, 253).unwrap()] {
        // Of raw sockets it is on at first.
        socket.set(SOCKET, n::SO_REUSEADDR, 0).unwrap();
        let options = [
            n::SO_DEBUG,
            n::SO_DONTROUTE,
            n::SO_OOBINLINE,
            n::SO_REUSEADDR,
            n::SO_REUSEPORT,
            n::SO_BROADCAST,
            n::SO_NO_CHECK,
            n::SO_RXQ_OVFL,
            n::SO_PREFER_BUSY_POLL,
            n::SO_TIMESTAMP_OLD,
            n::SO_TIMESTAMPNS_OLD,
        ];
        switches(&socket, SOCKET, 0, &options);
        let cases = [
            (n::SO_PRIORITY, 3, OK, 3),
            (n::SO_MARK, 77, OK, 77),
            (n::SO_RCVBUF, 10_000, OK, 20_000),
            (n::SO_RCVBUF, 1, OK, 2304),
            (n::SO_RCVBUF, i32::MAX, OK, 425_984),
            (n::SO_SNDBUF, 10_000, OK, 20_000),
            (n::SO_SNDBUF, 1, OK, 4608),
            (n::SO_RCVBUFFORCE, 300_000, OK, 600_000),
            (n::SO_BUSY_POLL, 5, OK, 5),
            (n::SO_BUSY_POLL, -1, INVALID, 5),
            (n::SO_TIMESTAMPING_OLD, 1 << 4, OK, 1 << 4),
        ];
        for (option, value, result, told) in cases {
            assert_eq!(socket.set(SOCKET, option, value), result, "{option}");
            let shown = if option == n::SO_RCVBUFFORCE { n::SO_RCVBUF } else { option };
            assert_eq!(socket.get(SOCKET, shown), Ok(told), "{option}");
        }
        assert_eq!(socket.set(SOCKET, 999, 1), UNKNOWN);
        assert_eq!(socket.get(SOCKET, 999), Err(Errno::ENOPROTOOPT));
        assert_eq!(socket.set_bytes(SOCKET, n::SO_REUSEADDR, &[1, 0]), INVALID);
        let linger = |on: i32, seconds: i32| [on.to_ne_bytes(), seconds.to_ne_bytes()].concat();
        assert_eq!(socket.set_bytes(SOCKET, n::SO_LINGER, &linger(1, 5)), OK);
        assert_eq!(socket.get_bytes(SOCKET, n::SO_LINGER, 8), Ok(linger(1, 5)));
        assert_eq!(socket.set_bytes(SOCKET, n::SO_LINGER, &linger(0, 0)), OK);
        let time = |seconds: i64, us: i64| [seconds.to_ne_bytes(), us.to_ne_bytes()].concat();
        for option in [n::SO_RCVTIMEO_OLD, n::SO_SNDTIMEO_OLD] {
            assert_eq!(socket.set_bytes(SOCKET, option, &time(1, 500_000)), OK);
            assert_eq!(socket.get_bytes(SOCKET, option, 16), Ok(time(1, 500_000)));
            assert_eq!(socket.set_bytes(SOCKET, option, &time(0, 1_000_000)), Err(Errno::EDOM));
        }
        assert_eq!(socket.set_bytes(SOCKET, n::SO_MAX_PACING_RATE, &9_999_999u64.to_ne_bytes()), OK);
        assert_eq!(socket.get_bytes(SOCKET, n::SO_MAX_PACING_RATE, 8), Ok(9_999_999u64.to_ne_bytes().to_vec()));
        // A cookie stays.
        let cookie = socket.get_bytes(SOCKET, n::SO_COOKIE, 8).unwrap();
        assert!(cookie != [0; 8] && socket.get_bytes(SOCKET, n::SO_COOKIE, 8) == Ok(cookie));
        assert_eq!(socket.get_bytes(SOCKET, n::SO_MEMINFO, 36).unwrap().len(), 36);
        assert_eq!(socket.error(), 0);
    }
}

#[test]
fn of_a_device() {
    super::start();
    let socket = Sock::udp();
    assert_eq!(socket.get_bytes(SOCKET, n::SO_BINDTODEVICE, 16), Ok(Vec::new()));
    assert_eq!(socket.set_bytes(SOCKET, n::SO_BINDTODEVICE, b"nothere\0"), Err(Errno::ENODEV));
    assert_eq!(socket.set_bytes(SOCKET, n::SO_BINDTODEVICE, b"lo\0"), OK);
    assert_eq!(socket.get_bytes(SOCKET, n::SO_BINDTODEVICE, 16), Ok(b"lo\0".to_vec()));
    assert_eq!(socket.get_bytes(SOCKET, n::SO_BINDTODEVICE, 2), Err(Errno::EINVAL));
    assert_eq!(socket.get(SOCKET, n::SO_BINDTOIFINDEX), Ok(1));
    assert_eq!(socket.set_bytes(SOCKET, n::SO_BINDTODEVICE, b"\0"), OK);
    check(&socket, SOCKET, &[(n::SO_BINDTOIFINDEX, 1, OK, 1), (n::SO_BINDTOIFINDEX, 0, OK, 0)]);
}

#[test]
fn of_ip() {
    let socket = Sock::udp();
    let options = [
        n::IP_PKTINFO,
        n::IP_RECVTTL,
        n::IP_RECVTOS,
        n::IP_RECVERR,
        n::IP_RECVOPTS,
        n::IP_RETOPTS,
        n::IP_RECVORIGDSTADDR,
        n::IP_FREEBIND,
        n::IP_TRANSPARENT,
        n::IP_BIND_ADDRESS_NO_PORT,
    ];
    switches(&socket, IP, 0, &options);
    let cases = [
        (n::IP_TOS, 0x13, OK, 0x13),
        (n::IP_TTL, 7, OK, 7),
        (n::IP_TTL, 0, INVALID, 7),
        (n::IP_TTL, 256, INVALID, 7),
        (n::IP_TTL, -1, OK, 64),
        (n::IP_MTU_DISCOVER, 3, OK, 3),
        (n::IP_MTU_DISCOVER, 6, INVALID, 3),
        (n::IP_MULTICAST_TTL, 9, OK, 9),
        (n::IP_MULTICAST_LOOP, 0, OK, 0),
        (n::IP_MULTICAST_ALL, 0, OK, 0),
        (n::IP_MULTICAST_ALL, 2, INVALID, 0),
        (n::IP_MINTTL, 255, OK, 255),
        (n::IP_MINTTL, 256, INVALID, 255),
        (n::IP_LOCAL_PORT_RANGE, 0x2000_1000, OK, 0x2000_1000),
        (n::IP_LOCAL_PORT_RANGE, 0x1000_2000, INVALID, 0x2000_1000),
        (n::IP_RECVERR_RFC4884, 2, INVALID, 0),
    ];
    check(&socket, IP, &cases);
    assert_eq!(socket.get_bytes(IP, n::IP_TOS, 1), Ok(vec![0x13]));
    assert_eq!(socket.get(IP, n::IP_MTU), Err(Errno::ENOTCONN));
    assert_eq!(socket.set(IP, n::IP_HDRINCL, 1), UNKNOWN);
    assert_eq!(socket.set(IP, n::IP_UNICAST_IF, 9999i32.to_be()), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(socket.set(IP, n::IP_UNICAST_IF, 1i32.to_be()), OK);
    assert_eq!(socket.set(IP, 222, 1), UNKNOWN);
    socket.connect("127.0.0.1:9").unwrap();
    assert_eq!(socket.get(IP, n::IP_MTU), Ok(65535));
    // Record route, with room for two.
    let record = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(socket.set_bytes(IP, n::IP_OPTIONS, &record[..11]), OK);
    assert_eq!(socket.get_bytes(IP, n::IP_OPTIONS, 40).unwrap(), [&record[..11], &[0]].concat());
    assert_eq!(socket.set_bytes(IP, n::IP_OPTIONS, &[7, 40, 4]), INVALID);
    assert_eq!(socket.set_bytes(IP, n::IP_OPTIONS, &[]), OK);
    // TCP keeps two bits of a type of service for itself.
    check(&Sock::tcp(), IP, &[(n::IP_TOS, 0x13, OK, 0x10)]);
}

#[test]
fn of_ipv6() {
    let socket = Sock::udp6();
    let options = [
        n::IPV6_RECVPKTINFO,
        n::IPV6_RECVHOPLIMIT,
        n::IPV6_RECVTCLASS,
        n::IPV6_RECVERR,
        n::IPV6_RECVRTHDR,
        n::IPV6_RECVHOPOPTS,
        n::IPV6_RECVDSTOPTS,
        n::IPV6_RECVORIGDSTADDR,
    ];
    for option in options {
        check(&socket, IPV6, &[(option, 1, OK, 1), (option, 0, OK, 0)]);
        assert_eq!(socket.set_bytes(IPV6, option, &[1]), INVALID);
    }
    let cases = [
        (n::IPV6_V6ONLY, 1, OK, 1),
        (n::IPV6_V6ONLY, 0, OK, 0),
        (n::IPV6_UNICAST_HOPS, 5, OK, 5),
        (n::IPV6_UNICAST_HOPS, -2, INVALID, 5),
        (n::IPV6_UNICAST_HOPS, -1, OK, 64),
        (n::IPV6_TCLASS, 0x23, OK, 0x23),
        (n::IPV6_TCLASS, 256, INVALID, 0x23),
        (n::IPV6_MTU_DISCOVER, 2, OK, 2),
        (n::IPV6_MULTICAST_HOPS, 3, OK, 3),
        (n::IPV6_MULTICAST_LOOP, 0, OK, 0),
        (n::IPV6_MULTICAST_ALL, 0, OK, 0),
        (n::IPV6_AUTOFLOWLABEL, 0, OK, 0),
        (n::IPV6_DONTFRAG, 1, OK, 1),
        (n::IPV6_MINHOPCOUNT, 9, OK, 9),
        (n::IPV6_RECVERR_RFC4884, 2, INVALID, 0),
        (n::IPV6_ADDR_PREFERENCES, 1, OK, 0x401),
        (n::IPV6_ADDR_PREFERENCES, 3, INVALID, 0x401),
    ];
    check(&socket, IPV6, &cases);
    assert_eq!(socket.set(IPV6, n::IPV6_MTU, 1279), INVALID);
    assert_eq!(socket.set(IPV6, n::IPV6_MTU, 1280), OK);
    assert_eq!(socket.set(IPV6, n::IPV6_HDRINCL, 1), UNKNOWN);
    assert_eq!(socket.set(IPV6, n::IPV6_LEAVE_ANYCAST, 1), INVALID);
    assert_eq!(socket.set(IPV6, n::IPV6_ADDRFORM, n::AF_INET as i32), Err(Errno::ENOTCONN));
    // A header of options, all of them padding.
    let padding = [0, 0, 1, 4, 0, 0, 0, 0];
    for option in [n::IPV6_HOPOPTS, n::IPV6_DSTOPTS] {
        assert_eq!(socket.set_bytes(IPV6, option, &padding), OK);
        assert_eq!(socket.get_bytes(IPV6, option, 64), Ok(padding.to_vec()));
        assert_eq!(socket.set_bytes(IPV6, option, &padding[..7]), INVALID);
        assert_eq!(socket.set_bytes(IPV6, option, &[]), OK);
        assert_eq!(socket.get_bytes(IPV6, option, 64), Ok(Vec::new()));
    }
    assert_eq!(socket.set(IPV6, 222, 1), UNKNOWN);
    assert_eq!(Sock::udp().set(IPV6, n::IPV6_V6ONLY, 1), UNKNOWN);
}

#[test]
fn of_tcp() {
    let socket = Sock::tcp();
    switches(&socket, TCP, 0, &[n::TCP_NODELAY, n::TCP_CORK]);
    let cases = [
        (n::TCP_KEEPIDLE, 30, OK, 30),
        (n::TCP_KEEPIDLE, 0, INVALID, 30),
        (n::TCP_KEEPIDLE, 32768, INVALID, 30),
        (n::TCP_KEEPINTVL, 5, OK, 5),
        (n::TCP_KEEPCNT, 4, OK, 4),
        (n::TCP_KEEPCNT, 128, INVALID, 4),
        (n::TCP_SYNCNT, 3, OK, 3),
        (n::TCP_USER_TIMEOUT, 2500, OK, 2500),
        (n::TCP_USER_TIMEOUT, -1, INVALID, 2500),
        (n::TCP_LINGER2, 9, OK, 9),
        (n::TCP_LINGER2, 500, OK, 120),
        (n::TCP_LINGER2, -7, OK, -1),
        (n::TCP_DEFER_ACCEPT, 4, OK, 7),
        (n::TCP_MAXSEG, 1000, OK, 1000),
        (n::TCP_MAXSEG, 87, INVALID, 1000),
        (n::TCP_QUICKACK, 0, OK, 0),
        (n::TCP_FASTOPEN, 5, OK, 5),
        (n::TCP_THIN_LINEAR_TIMEOUTS, 1, OK, 1),
        (n::TCP_THIN_LINEAR_TIMEOUTS, 2, INVALID, 1),
        (n::TCP_FASTOPEN_CONNECT, 1, OK, 1),
        (n::TCP_FASTOPEN_NO_COOKIE, 1, OK, 1),
        (n::TCP_INQ, 1, OK, 1),
        (n::TCP_WINDOW_CLAMP, 100, OK, 1152),
        (n::TCP_NOTSENT_LOWAT, 777, OK, 777),
        (n::TCP_THIN_DUPACK, 1, OK, 0),
        (n::TCP_REPAIR, 0, OK, 0),
    ];
    check(&socket, TCP, &cases);
    let name = |name: &[u8]| [name, &vec![0; 16 - name.len()]].concat();
    assert_eq!(socket.get_bytes(TCP, n::TCP_CONGESTION, 16), Ok(name(b"reno")));
    assert_eq!(socket.set_bytes(TCP, n::TCP_CONGESTION, b"cubic"), OK);
    assert_eq!(socket.get_bytes(TCP, n::TCP_CONGESTION, 16), Ok(name(b"cubic")));
    assert_eq!(socket.set_bytes(TCP, n::TCP_CONGESTION, b"vegas\0"), Err(Errno::ENOENT));
    assert_eq!(socket.set_bytes(TCP, n::TCP_ULP, b"tls"), Err(Errno::ENOENT));
    assert_eq!(socket.set(TCP, n::TCP_REPAIR_QUEUE, 1), Err(Errno::EPERM));
    assert_eq!(socket.set(TCP, n::TCP_QUEUE_SEQ, 1), INVALID);
    assert_eq!(socket.get(TCP, n::TCP_REPAIR_QUEUE), Err(Errno::EINVAL));
    assert_eq!(socket.set(TCP, 222, 1), UNKNOWN);
    assert_eq!(socket.get(TCP, 222), Err(Errno::ENOPROTOOPT));
    // A closed socket's `struct tcp_info` says so.
    assert_eq!(socket.get_bytes(TCP, n::TCP_INFO, 8).unwrap()[0], 7);
}

#[test]
fn of_udp() {
    let socket = Sock::udp();
    const UDP: u32 = 17;
    let (cork, segment, gro) = (1, 103, 104);
    check(&socket, UDP, &[(cork, 1, OK, 1), (cork, 0, OK, 0), (segment, 1200, OK, 1200), (gro, 1, OK, 1), (gro, 0, OK, 0)]);
    assert_eq!(socket.set(UDP, segment, 70_000), INVALID);
    assert_eq!(socket.set(UDP, 222, 1), UNKNOWN);
    let lite = Sock::new(Family::V4, n::SOCK_DGRAM, 136).unwrap();
    check(&lite, 136, &[(10, 20, OK, 20), (11, 3, OK, 8), (10, 0, OK, 0)]);
}

#[test]
fn that_need_a_privilege() {
    super::start();
    thread::spawn(|| {
        let (udp, tcp, udp6) = (Sock::udp(), Sock::tcp(), Sock::udp6());
        caller::testing::become_user(1000, 1000);
        let denied: [(&Sock, u32, u32, i32, Errno); 10] = [
            (&udp, SOCKET, n::SO_DEBUG, 1, Errno::EACCES),
            (&udp, SOCKET, n::SO_MARK, 1, Errno::EPERM),
            (&udp, SOCKET, n::SO_PRIORITY, 7, Errno::EPERM),
            (&udp, SOCKET, n::SO_RCVBUFFORCE, 1, Errno::EPERM),
            (&udp, SOCKET, n::SO_SNDBUFFORCE, 1, Errno::EPERM),
            (&udp, SOCKET, n::SO_PREFER_BUSY_POLL, 1, Errno::EPERM),
            (&udp, IP, n::IP_TRANSPARENT, 1, Errno::EPERM),
            (&udp6, IPV6, n::IPV6_TRANSPARENT, 1, Errno::EPERM),
            (&tcp, TCP, n::TCP_REPAIR, 1, Errno::EPERM),
            (&udp, SOCKET, n::SO_BUSY_POLL, 9, Errno::EPERM),
        ];
        for (socket, level, option, value, errno) in denied {
            assert_eq!(socket.set(level, option, value), Err(errno), "{level} {option}");
        }
        assert_eq!(udp.set(SOCKET, n::SO_PRIORITY, 6), OK);
        assert_eq!(udp.bind("127.0.0.1:80"), Err(Errno::EACCES));
        let raw = Sock::new(Family::V4, n::SOCK_RAW, 1).err();
        assert_eq!(raw, Some(Errno::EPERM));
        assert_eq!(crate::packet::create(n::SOCK_RAW, 0, fs::OpenFlags::empty()).err(), Some(Errno::EPERM));
    })
    .join()
    .unwrap();
}

#[test]
fn kinds_that_there_are() {
    super::start();
    let kind = |family, kind, protocol| Sock::new(family, kind, protocol).err();
    let (v4, v6) = (Family::V4, Family::V6);
    assert_eq!(kind(v4, n::SOCK_STREAM, 17), Some(Errno::EPROTONOSUPPORT));
    assert_eq!(kind(v4, n::SOCK_DGRAM, 6), Some(Errno::EPROTONOSUPPORT));
    assert_eq!(kind(v4, n::SOCK_SEQPACKET, 0), Some(Errno::ESOCKTNOSUPPORT));
    assert_eq!(kind(v4, n::SOCK_RAW, 0), Some(Errno::EPROTONOSUPPORT));
    assert_eq!(kind(v4, n::SOCK_STREAM, 500), Some(Errno::EINVAL));
    for (family, protocol) in [(v4, 1), (v6, 58), (v4, 136), (v6, 17)] {
        let socket = Sock::new(family, n::SOCK_DGRAM, protocol).unwrap();
        assert_eq!(socket.socket().protocol(), protocol);
        assert_eq!((socket.socket().kind(), socket.socket().family()), (n::SOCK_DGRAM, family.number()));
    }
    let tcp = Sock::tcp6();
    assert_eq!((tcp.socket().kind(), tcp.socket().family(), tcp.socket().protocol()), (n::SOCK_STREAM, n::AF_INET6, 6));
}
