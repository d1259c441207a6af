//! TCP over the loopback interface.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::thread;

use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::calls::{AGAIN, Sock, at, control, eventually};

const IN: u32 = 1;
const OUT: u32 = 4;
const ERR: u32 = 8;
const HUP: u32 = 0x10;
const RDHUP: u32 = 0x2000;
const TCP: u32 = 6;

#[test]
fn connections_come_and_go() {
    let listener = Sock::listener("127.0.0.1:5101");
    assert_eq!(listener.get(n::SOL_SOCKET, n::SO_ACCEPTCONN), Ok(1));
    assert_eq!(listener.events() & IN, 0);
    assert_eq!(listener.clone().nonblocking().accept().err(), Some(AGAIN));
    listener.0.set_nonblocking(false);
    let one = Sock::tcp();
    assert_eq!(one.events(), OUT | 0x100 | HUP);
    one.bind("127.0.0.1:5102").unwrap();
    one.connect("127.0.0.1:5101").unwrap();
    assert_eq!(one.connect("127.0.0.1:5101"), Err(Errno::EISCONN));
    eventually("there is one to accept", || listener.events() & IN != 0);
    let (two, from) = listener.accept().unwrap();
    assert_eq!((from, two.peer(), one.peer()), (one.local(), Ok(one.local()), Ok(two.local())));
    assert_eq!((one.events() & (IN | OUT), two.events() & (IN | OUT)), (OUT, OUT));
    assert_eq!(one.write(b"some bytes"), Ok(10));
    assert_eq!(two.ioctl_int(0x541b), Ok(10));
    assert_eq!(two.receive(4, n::MSG_PEEK).unwrap().0, b"some");
    assert_eq!(two.read(4).unwrap(), b"some");
    assert_eq!(two.receive(100, n::MSG_TRUNC).unwrap().1.copied, 6);
    assert_eq!(two.recv_now(1), Err(AGAIN));
    // Half closed: the other way goes on.
    one.shutdown(false, true).unwrap();
    assert_eq!(one.send(b"x"), Err(Errno::EPIPE));
    eventually("the end has come", || two.events() & RDHUP != 0);
    assert_eq!(two.recv(10).unwrap(), b"");
    assert_eq!(two.send(b"back"), Ok(4));
    assert_eq!(one.recv_all(4).unwrap(), b"back");
    drop(two);
    assert_eq!(one.recv(10).unwrap(), b"");
    eventually("both ends are closed", || one.events() & HUP != 0);
    assert_eq!(one.shutdown(true, true), Err(Errno::ENOTCONN));
    // Programs that write to nobody are sent a signal, unless they say otherwise.
    assert_eq!(one.write(b"x"), Err(Errno::EPIPE));
    let sent = caller::testing::take_signals(caller::Target::Thread, caller::tid());
    assert!(sent.iter().all(|info| info.si_signo == 13) && !sent.is_empty());
}

#[test]
fn what_cannot_be() {
    let socket = Sock::tcp();
    assert_eq!(socket.recv(1), Err(Errno::ENOTCONN));
    assert_eq!(socket.send(b"x"), Err(Errno::EPIPE));
    assert_eq!(socket.peer(), Err(Errno::ENOTCONN));
    assert_eq!(socket.shutdown(true, true), Err(Errno::ENOTCONN));
    assert_eq!(socket.accept().err(), Some(Errno::EINVAL));
    assert_eq!(socket.connect("127.0.0.1:5103"), Err(Errno::ECONNREFUSED));
    assert_eq!(socket.socket().connect(&[2, 0, 0], false), Err(Errno::EINVAL));
    assert_eq!(socket.socket().connect(&at("[::1]:80"), false), Err(Errno::EAFNOSUPPORT));
    assert_eq!(socket.bind("203.0.113.99:80"), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(Sock::tcp().connect("224.0.0.1:80"), Err(Errno::ENETUNREACH));
    let bound = Sock::tcp();
    bound.bind("127.0.0.1:5104").unwrap();
    assert_eq!(bound.bind("127.0.0.1:5105"), Err(Errno::EINVAL));
    assert_eq!(Sock::tcp().bind("127.0.0.1:5104"), Err(Errno::EADDRINUSE));
    // Both may share it who say so, unless one listens.
    let shared = [Sock::tcp(), Sock::tcp()];
    for socket in &shared {
        socket.set(n::SOL_SOCKET, n::SO_REUSEADDR, 1).unwrap();
        socket.bind("127.0.0.1:5106").unwrap();
    }
    shared[0].listen(1).unwrap();
    assert_eq!(shared[1].listen(1), Err(Errno::EADDRINUSE));
    // Two listeners that share a port.
    let shared = [Sock::tcp(), Sock::tcp()];
    for socket in &shared {
        socket.set(n::SOL_SOCKET, n::SO_REUSEPORT, 1).unwrap();
        socket.bind("127.0.0.1:5107").unwrap();
        socket.listen(20).unwrap();
        socket.0.set_nonblocking(true);
    }
    let ends: Vec<_> = (0..20).map(|_| Sock::connected("127.0.0.1:5107").unwrap()).collect();
    let mut taken = [0, 0];
    eventually("all are accepted", || {
        for (socket, taken) in shared.iter().zip(&mut taken) {
            *taken += usize::from(socket.accept().is_ok());
        }
        taken[0] + taken[1] == ends.len()
    });
    assert!(taken[0] > 0 && taken[1] > 0, "{taken:?}");
}

#[test]
fn without_waiting() {
    let listener = Sock::listener("127.0.0.1:5108");
    let one = Sock::tcp().nonblocking();
    match one.connect("127.0.0.1:5108") {
        Err(Errno::EINPROGRESS) | Ok(()) => {}
        other => panic!("{other:?}"),
    }
    eventually("it is connected", || one.events() & OUT != 0);
    assert_eq!(one.error(), 0);
    let (two, _) = listener.accept().unwrap();
    let two = two.nonblocking();
    // As much as goes in, and not more.
    let mut sent = 0;
    while let Ok(n) = one.send(&vec![7; 60_000]) {
        sent += n;
    }
    assert_eq!(one.send(b"x"), Err(AGAIN));
    assert_eq!(one.events() & OUT, 0);
    let mut heard = 0;
    eventually("all is heard", || {
        while let Ok(bytes) = two.recv(50_000) {
            assert!(bytes.iter().all(|byte| *byte == 7));
            heard += bytes.len();
        }
        heard == sent
    });
    eventually("there is room again", || one.events() & OUT != 0);
    // Nobody is at that port, which is found out later.
    let nobody = Sock::tcp().nonblocking();
    match nobody.connect("127.0.0.1:5109") {
        Err(Errno::EINPROGRESS) => {
            eventually("it is refused", || nobody.events() & ERR != 0);
            assert_eq!(nobody.error(), Errno::ECONNREFUSED.0.into());
        }
        other => assert_eq!(other, Err(Errno::ECONNREFUSED)),
    }
}

#[test]
fn much_in_both_directions_over_ipv6() {
    let listener = Sock::listener("[::1]:5110");
    let (one, two) = Sock::pair(&listener);
    const LEN: usize = 3_000_000;
    let byte = |at: usize| (at * 31 >> 3) as u8;
    let sends = |socket: &Sock| {
        for start in (0..LEN).step_by(30_000) {
            let piece: Vec<u8> = (start..start + 30_000).map(byte).collect();
            assert_eq!(socket.send(&piece), Ok(30_000));
        }
        socket.shutdown(false, true).unwrap();
    };
    let hears = |socket: &Sock| {
        let bytes = socket.recv_to_end().unwrap();
        assert!(bytes.len() == LEN && bytes.iter().enumerate().all(|(at, have)| *have == byte(at)));
    };
    thread::scope(|scope| {
        for socket in [&one, &two] {
            scope.spawn(move || sends(socket));
            scope.spawn(move || hears(socket));
        }
    });
    let info = one.get_bytes(TCP, n::TCP_INFO, 256).unwrap();
    // tcpi_bytes_acked counts the end, too.
    let word = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().unwrap());
    assert!(word(120) >= LEN as u64 && word(128) >= LEN as u64);
}

#[test]
fn ipv4_reaches_sockets_of_ipv6() {
    let listener = Sock::listener("[::]:5111");
    let one = Sock::connected("127.0.0.1:5111").unwrap();
    let (two, from) = listener.accept().unwrap();
    assert_eq!(from, std::format!("[::ffff:127.0.0.1]:{}", one.local().port()).parse().unwrap());
    two.set(n::SOL_IPV6, n::IPV6_ADDRFORM, n::AF_INET as i32).unwrap();
    assert_eq!(two.peer(), Ok(one.local()));
    assert_eq!(two.get(n::SOL_SOCKET, n::SO_DOMAIN).unwrap_or(n::AF_INET as i32), n::AF_INET as i32);
    // Unless that is not wanted.
    let only = Sock::tcp6();
    only.set(n::SOL_IPV6, n::IPV6_V6ONLY, 1).unwrap();
    only.bind("[::]:5112").unwrap();
    only.listen(1).unwrap();
    assert_eq!(only.set(n::SOL_IPV6, n::IPV6_V6ONLY, 0), Err(Errno::EINVAL));
    assert_eq!(Sock::connected("127.0.0.1:5112").err(), Some(Errno::ECONNREFUSED));
    let other = Sock::tcp6();
    other.connect("[::ffff:127.0.0.1]:5111").unwrap();
    assert_eq!(other.peer().unwrap().port(), 5111);
}

#[test]
fn urgent_bytes() {
    let listener = Sock::listener("127.0.0.1:5113");
    let (one, two) = Sock::pair(&listener);
    one.send(b"abc").unwrap();
    one.send_with(b"!", None, n::MSG_OOB).unwrap();
    one.send(b"def").unwrap();
    eventually("the mark is known", || two.events() & 2 != 0);
    assert_eq!(two.receive(10, n::MSG_OOB).unwrap().0, b"!");
    assert_eq!(two.receive(10, n::MSG_OOB).err(), Some(Errno::EINVAL));
    // SIOCATMARK
    assert_eq!(two.ioctl_int(0x8905), Ok(0));
    assert_eq!(two.recv(10).unwrap(), b"abc");
    assert_eq!(two.ioctl_int(0x8905), Ok(1));
    assert_eq!(two.recv_all(3).unwrap(), b"def");
    // In line.
    two.set(n::SOL_SOCKET, n::SO_OOBINLINE, 1).unwrap();
    one.send_with(b"?", None, n::MSG_OOB).unwrap();
    assert_eq!(two.recv_all(1).unwrap(), b"?");
}

#[test]
fn resets_and_lingering() {
    let listener = Sock::listener("127.0.0.1:5114");
    let (one, two) = Sock::pair(&listener);
    let linger = |seconds: i32| [1i32.to_ne_bytes(), seconds.to_ne_bytes()].concat();
    one.set_bytes(n::SOL_SOCKET, n::SO_LINGER, &linger(0)).unwrap();
    drop(one);
    assert_eq!(two.recv(1), Err(Errno::ECONNRESET));
    assert_eq!(two.recv(1).unwrap(), b"");
    assert_eq!(two.send(b"x"), Err(Errno::EPIPE));
    // Bytes that nobody has read reset it as well.
    let (one, two) = Sock::pair(&listener);
    one.send(b"unread").unwrap();
    eventually("they are there", || two.events() & IN != 0);
    drop(two);
    eventually("it is reset", || one.events() & ERR != 0);
    assert_eq!(one.error(), Errno::ECONNRESET.0.into());
    let (one, two) = Sock::pair(&listener);
    one.set_bytes(n::SOL_SOCKET, n::SO_LINGER, &linger(5)).unwrap();
    one.send(b"read").unwrap();
    drop(one);
    assert_eq!(two.recv_to_end().unwrap(), b"read");
    // A connection is taken apart by AF_UNSPEC.
    let (one, two) = Sock::pair(&listener);
    one.socket().connect(&[0; 16], false).unwrap();
    assert_eq!(one.peer(), Err(Errno::ENOTCONN));
    assert_eq!(two.recv(1), Err(Errno::ECONNRESET));
    one.connect("127.0.0.1:5114").unwrap();
}

#[test]
fn time_outs() {
    let listener = Sock::listener("127.0.0.1:5115");
    let (one, _two) = Sock::pair(&listener);
    one.patience(200);
    let before = crate::clock::monotonic_ns();
    assert_eq!(one.recv(1), Err(AGAIN));
    assert!(crate::clock::monotonic_ns() - before >= 200_000_000);
    let time = [0u64.to_ne_bytes(), 100_000u64.to_ne_bytes()].concat();
    one.set_bytes(n::SOL_SOCKET, n::SO_SNDTIMEO_OLD, &time).unwrap();
    let mut sent = 0;
    let last = loop {
        match one.send(&vec![0; 100_000]) {
            Ok(100_000) => sent += 100_000,
            other => break other,
        }
    };
    assert!(sent > 0 && (last == Err(AGAIN) || last.is_ok_and(|n| n < 100_000)), "{last:?}");
    listener.patience(100);
    assert_eq!(listener.accept().err(), Some(AGAIN));
}

#[test]
fn a_signal_ends_a_wait() {
    let listener = Sock::listener("127.0.0.1:5116");
    let (one, _two) = Sock::pair(&listener);
    let interrupt = caller::testing::interrupter();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        interrupt();
    });
    assert_eq!(one.recv(1), Err(Errno::ERESTARTSYS));
    other.join().unwrap();
}

#[test]
fn a_listener_has_room_for_few() {
    let listener = Sock::tcp();
    listener.bind("127.0.0.1:5117").unwrap();
    listener.listen(1).unwrap();
    let first = [Sock::connected("127.0.0.1:5117").unwrap(), Sock::connected("127.0.0.1:5117").unwrap()];
    let third = Sock::tcp().nonblocking();
    assert_eq!(third.connect("127.0.0.1:5117"), Err(Errno::EINPROGRESS));
    thread::sleep(Duration::from_millis(30));
    assert_eq!(third.events() & (OUT | ERR), 0);
    // As soon as one has been taken there is room.
    let taken = listener.accept().unwrap();
    eventually("the third is connected", || third.events() & OUT != 0);
    drop((first, taken));
    // Who listens no longer leaves those that wait alone.
    drop(listener);
    eventually("it is reset", || third.events() & (ERR | HUP) != 0);
}

#[test]
fn options_of_connections() {
    let listener = Sock::tcp();
    listener.set(n::SOL_SOCKET, n::SO_KEEPALIVE, 1).unwrap();
    listener.set(TCP, n::TCP_NODELAY, 1).unwrap();
    listener.set(TCP, n::TCP_SAVE_SYN, 1).unwrap();
    listener.set(TCP, n::TCP_MAXSEG, 1000).unwrap();
    listener.bind("127.0.0.1:5118").unwrap();
    listener.listen(4).unwrap();
    let (one, two) = Sock::pair(&listener);
    // What the listener had the connection has.
    assert_eq!((two.get(n::SOL_SOCKET, n::SO_KEEPALIVE), two.get(TCP, n::TCP_NODELAY)), (Ok(1), Ok(1)));
    let syn = two.get_bytes(TCP, n::TCP_SAVED_SYN, 200).unwrap();
    assert_eq!((syn[0], syn[9], syn[33] & 0x12), (0x45, 6, 2));
    assert_eq!(two.get_bytes(TCP, n::TCP_SAVED_SYN, 200).unwrap(), b"");
    assert!(two.get(TCP, n::TCP_MAXSEG).unwrap() <= 1000);
    assert_eq!(one.get(n::SOL_IP, n::IP_MTU), Ok(65535));
    two.set(TCP, n::TCP_INQ, 1).unwrap();
    two.set(n::SOL_SOCKET, n::SO_TIMESTAMP_OLD, 1).unwrap();
    one.send(b"twelve bytes").unwrap();
    eventually("they are there", || two.ioctl_int(0x541b) == Ok(12));
    let (_, received) = two.receive(5, 0).unwrap();
    assert_eq!(control(&received, TCP, n::TCP_CM_INQ), Some(&7i32.to_ne_bytes()[..]));
    assert_eq!(control(&received, n::SOL_SOCKET, n::SO_TIMESTAMP_OLD).map(<[u8]>::len), Some(16));
    two.recv_all(7).unwrap();
    // A cork holds small pieces back.
    one.set(TCP, n::TCP_CORK, 1).unwrap();
    one.send(b"a").unwrap();
    one.send(b"b").unwrap();
    assert_eq!(two.recv_now(10), Err(AGAIN));
    one.set(TCP, n::TCP_CORK, 0).unwrap();
    assert_eq!(two.recv_all(2).unwrap(), b"ab");
    // SO_RCVLOWAT and SO_PEEK_OFF.
    two.set(n::SOL_SOCKET, n::SO_RCVLOWAT, 4).unwrap();
    one.send(b"abc").unwrap();
    eventually("they are there", || two.ioctl_int(0x541b) == Ok(3));
    assert_eq!(two.events() & IN, 0);
    one.send(b"def").unwrap();
    eventually("it is enough", || two.events() & IN != 0);
    two.set(n::SOL_SOCKET, n::SO_PEEK_OFF, 2).unwrap();
    assert_eq!(two.receive(2, n::MSG_PEEK).unwrap().0, b"cd");
    assert_eq!(two.receive(2, n::MSG_PEEK).unwrap().0, b"ef");
    assert_eq!(two.recv_all(6).unwrap(), b"abcdef");
    assert_eq!(one.set(TCP, n::TCP_WINDOW_CLAMP, 0), Err(Errno::EINVAL));
    assert_eq!(one.set(TCP, n::TCP_FASTOPEN, 1), Err(Errno::EINVAL));
    one.set(TCP, n::TCP_QUICKACK, 1).unwrap();
    assert_eq!(one.get(TCP, n::TCP_QUICKACK), Ok(1));
    one.set(n::SOL_SOCKET, n::SO_RCVBUF, 8192).unwrap();
    assert_eq!(one.get(n::SOL_SOCKET, n::SO_RCVBUF), Ok(16384));
    assert_eq!(one.ioctl_int(0x5411), Ok(0));
    assert_eq!(one.ioctl_int(0x894b), Ok(0));
}

#[test]
fn accepting_waits_for_data() {
    let listener = Sock::tcp().nonblocking();
    listener.set(TCP, n::TCP_DEFER_ACCEPT, 3).unwrap();
    listener.bind("127.0.0.1:5119").unwrap();
    listener.listen(4).unwrap();
    let one = Sock::connected("127.0.0.1:5119").unwrap();
    thread::sleep(Duration::from_millis(10));
    assert_eq!(listener.accept().err(), Some(AGAIN));
    one.send(b"now").unwrap();
    eventually("it is accepted", || listener.events() & IN != 0);
    let (two, _) = listener.accept().unwrap();
    assert_eq!(two.recv_all(3).unwrap(), b"now");
}

#[test]
fn sending_at_once() {
    // MSG_FASTOPEN connects, and sends along.
    let listener = Sock::listener("127.0.0.1:5120");
    let one = Sock::tcp();
    assert_eq!(one.send_with(b"first", Some(&at("127.0.0.1:5120")), 0x2000_0000), Ok(5));
    let (two, _) = listener.accept().unwrap();
    assert_eq!(two.recv_all(5).unwrap(), b"first");
    // What has become of writes without copies is told.
    one.set(n::SOL_SOCKET, n::SO_ZEROCOPY, 1).unwrap();
    one.send_with(b"zero", None, 0x400_0000).unwrap();
    eventually("it is told", || one.events() & ERR != 0);
    let (_, received) = one.receive(10, n::MSG_ERRQUEUE).unwrap();
    let told = control(&received, n::SOL_IP, n::IP_RECVERR).unwrap();
    // SO_EE_ORIGIN_ZEROCOPY, from the first to the first.
    assert_eq!((told[4], &told[8..16]), (5, &[0; 8][..]));
    assert_eq!(two.recv_all(4).unwrap(), b"zero");
}

#[test]
fn filters_of_connections() {
    let listener = Sock::listener("127.0.0.1:5121");
    // ret #0: nobody may speak.
    let nothing: Vec<u64> = vec![u64::from_ne_bytes([6, 0, 0, 0, 0, 0, 0, 0])];
    let fprog = [1u64.to_ne_bytes(), (nothing.as_ptr().addr() as u64).to_ne_bytes()].concat();
    let (one, two) = Sock::pair(&listener);
    two.set_bytes(n::SOL_SOCKET, n::SO_ATTACH_FILTER, &fprog).unwrap();
    assert_eq!(two.get_bytes(n::SOL_SOCKET, n::SO_GET_FILTER, 8), Ok(nothing[0].to_ne_bytes().to_vec()));
    one.send(b"unheard").unwrap();
    thread::sleep(Duration::from_millis(10));
    assert_eq!(two.recv_now(10), Err(AGAIN));
    two.set(n::SOL_SOCKET, n::SO_DETACH_FILTER, 0).unwrap();
    assert_eq!(two.set(n::SOL_SOCKET, n::SO_DETACH_FILTER, 0), Err(Errno::ENOENT));
    // It is sent again.
    assert_eq!(two.recv_all(7).unwrap(), b"unheard");
    assert_eq!(two.set_bytes(n::SOL_SOCKET, n::SO_ATTACH_FILTER, &[0; 16]), Err(Errno::EINVAL));
}

#[test]
fn closed_connections_wait_for_stragglers() {
    let listener = Sock::listener("127.0.0.1:5122");
    let one = Sock::tcp();
    one.set(n::SOL_SOCKET, n::SO_REUSEADDR, 1).unwrap();
    one.bind("127.0.0.1:5123").unwrap();
    one.connect("127.0.0.1:5122").unwrap();
    let (two, _) = listener.accept().unwrap();
    let port = one.local().port();
    drop(one);
    drop(two);
    let line = std::format!(":{port:04X} 0100007F:1402 06");
    eventually("it is told of", || crate::report::tcp(false).contains(&line));
    // The port may be had by who says so, as the one before has.
    assert_eq!(Sock::tcp().bind(&std::format!("127.0.0.1:{port}")), Err(Errno::EADDRINUSE));
    let again = Sock::tcp();
    again.set(n::SOL_SOCKET, n::SO_REUSEADDR, 1).unwrap();
    again.bind(&std::format!("127.0.0.1:{port}")).unwrap();
}
