//! Datagrams and packets: their borders, who may send to whom, and how many wait.

use alloc::vec::Vec;
use std::thread;

use fd::poll::ev;
use fd::socket::Socket;
use fd::testing::{errno, events, ioctl_get, read, until, write};
use linux_raw_sys::ioctl::FIONREAD;
use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::{DONTWAIT, address, bound, connected, of, one, pair, receive, receive_all, send, send_to, set};
use crate::Kind;

#[test]
fn packets_have_borders() {
    for kind in [Kind::Datagram, Kind::SeqPacket] {
        let [a, b] = pair(kind);
        assert_eq!((write(&a, b"first"), write(&a, b""), write(&a, b"second")), (Ok(5), Ok(0), Ok(6)));
        let waiting = if kind == Kind::Datagram { 5 } else { 11 };
        assert_eq!(ioctl_get::<i32>(&b, FIONREAD), Ok(waiting));
        let (bytes, received) = receive_all(&b, 3, 0).unwrap();
        assert_eq!((bytes.as_slice(), received.full), (b"fir".as_slice(), 5), "the rest is lost");
        assert_eq!(receive(&b, 9, 0), Ok(Vec::new()));
        assert_eq!(receive(&b, 9, n::MSG_PEEK), Ok(b"second".to_vec()));
        assert_eq!(receive(&b, 9, 0), Ok(b"second".to_vec()));
        assert_eq!(errno(receive(&b, 9, DONTWAIT)), Some(Errno::EAGAIN));
        assert_eq!(errno(receive(&b, 9, n::MSG_OOB)), Some(Errno::EOPNOTSUPP));
        assert_eq!(errno(send(&a, b"x", n::MSG_OOB)), Some(Errno::EOPNOTSUPP));
        assert_eq!(errno(send(&a, &[0; 212_992], 0)), Some(Errno::EMSGSIZE));
        assert_eq!(send(&a, &[7; 100_000], 0), Ok(100_000));
        assert_eq!(receive(&b, 200_000, 0).unwrap(), [7; 100_000]);
    }
}

#[test]
fn the_end_of_packets() {
    let [a, b] = pair(Kind::SeqPacket);
    write(&a, b"last").unwrap();
    drop(a);
    assert_eq!((read(&b, 9), read(&b, 9)), (Ok(b"last".to_vec()), Ok(Vec::new())));
    assert_eq!(errno(write(&b, b"x")), Some(Errno::EPIPE));
    let [a, b] = pair(Kind::SeqPacket);
    write(&a, b"unread").unwrap();
    drop(b);
    assert_eq!(errno(send(&a, b"x", 0)), Some(Errno::ECONNRESET), "told once, by whatever comes first");
    assert_eq!(errno(send(&a, b"x", 0)), Some(Errno::EPIPE));
    assert_eq!(errno(send(&one(Kind::SeqPacket), b"x", 0)), Some(Errno::ENOTCONN));
    assert_eq!(errno(read(&one(Kind::SeqPacket), 1)), Some(Errno::ENOTCONN));
    let [a, b] = pair(Kind::Datagram);
    drop(b);
    assert_eq!(errno(send(&a, b"x", 0)), Some(Errno::ECONNREFUSED));
    assert_eq!(errno(send(&a, b"x", 0)), Some(Errno::ENOTCONN), "and is not connected any more");
}

#[test]
fn a_waiting_receiver_is_woken() {
    let [a, b] = pair(Kind::Datagram);
    let reader = thread::spawn({
        let b = b.clone();
        move || read(&b, 10)
    });
    until(|| !of(&b).readers.is_empty());
    write(&a, b"here").unwrap();
    assert_eq!(reader.join().unwrap(), Ok(b"here".to_vec()));
    let reader = thread::spawn({
        let b = b.clone();
        move || read(&b, 10)
    });
    until(|| !of(&b).readers.is_empty());
    of(&b).shutdown(true, false).unwrap();
    assert_eq!(reader.join().unwrap(), Ok(Vec::new()));
    assert_eq!(errno(send(&a, b"x", 0)), Some(Errno::EPIPE));
    assert_eq!(errno(receive(&b, 1, DONTWAIT)), Some(Errno::EAGAIN), "who does not wait sees no end");
    of(&b).shutdown(false, true).unwrap();
    assert_eq!(errno(send(&b, b"x", 0)), Some(Errno::EPIPE));
}

#[test]
fn datagrams_come_from_many() {
    let inbox = bound(Kind::Datagram, "\0packets-many");
    let named = bound(Kind::Datagram, "\0packets-sender");
    let nameless = one(Kind::Datagram);
    assert_eq!(send_to(&named, "\0packets-many", b"one"), Ok(3));
    assert_eq!(send_to(&nameless, "\0packets-many", b"two"), Ok(3));
    let (bytes, received) = receive_all(&inbox, 9, 0).unwrap();
    assert_eq!((bytes.as_slice(), received.address), (b"one".as_slice(), Some(address("\0packets-sender"))));
    assert_eq!(receive_all(&inbox, 9, 0).unwrap().1.address, None);
    assert_eq!(errno(send_to(&named, "\0packets-nobody", b"x")), Some(Errno::ECONNREFUSED));
    assert_eq!(errno(send(&nameless, b"x", 0)), Some(Errno::ENOTCONN));
    // Who is connected takes from its peer alone.
    of(&inbox).connect(&address("\0packets-sender"), false).unwrap();
    assert_eq!(errno(send_to(&nameless, "\0packets-many", b"x")), Some(Errno::EPERM));
    assert_eq!(errno(of(&nameless).connect(&address("\0packets-many"), false)), Some(Errno::EPERM));
    assert_eq!(send_to(&named, "\0packets-many", b"peer"), Ok(4));
    assert_eq!(of(&inbox).peer_address(), Ok(address("\0packets-sender")));
    // The connection ends, and with it what had come.
    of(&inbox).connect(&(n::AF_UNSPEC as u16).to_ne_bytes(), false).unwrap();
    assert_eq!(errno(of(&inbox).peer_address()), Some(Errno::ENOTCONN));
    assert_eq!(errno(receive(&inbox, 9, DONTWAIT)), Some(Errno::EAGAIN));
    let stream = one(Kind::Stream);
    assert_eq!(errno(of(&stream).connect(&address("\0packets-many"), false)), Some(Errno::EPROTOTYPE));
}

#[test]
fn a_peer_that_turns_away_is_told() {
    let (a, b) = (bound(Kind::Datagram, "\0packets-turn-a"), bound(Kind::Datagram, "\0packets-turn-b"));
    of(&a).connect(&address("\0packets-turn-b"), false).unwrap();
    of(&b).connect(&address("\0packets-turn-a"), false).unwrap();
    write(&a, b"lost").unwrap();
    of(&b).connect(&(n::AF_UNSPEC as u16).to_ne_bytes(), false).unwrap();
    assert_ne!(events(&a) & ev::ERR, 0);
    assert_eq!(super::get(&a, n::SO_ERROR), Ok(i32::from(Errno::ECONNRESET.0)));
    assert_eq!(super::get(&a, n::SO_ERROR), Ok(0));
    // The same peer again changes nothing.
    write(&a, b"kept").unwrap();
    of(&a).connect(&address("\0packets-turn-b"), false).unwrap();
    assert_eq!(receive(&b, 9, DONTWAIT), Ok(b"kept".to_vec()));
}

#[test]
fn few_datagrams_wait_for_who_is_no_peer() {
    let inbox = bound(Kind::Datagram, "\0packets-full");
    let sender = connected(Kind::Datagram, "\0packets-full");
    let mut sent = 0;
    while send(&sender, b"x", DONTWAIT).is_ok() {
        sent += 1;
    }
    assert_eq!((sent, events(&sender) & ev::OUT), (11, 0));
    let writer = thread::spawn({
        let sender = sender.clone();
        move || write(&sender, b"y")
    });
    until(|| !of(&inbox).inbox.room.is_empty());
    assert_eq!(read(&inbox, 9), Ok(b"x".to_vec()));
    assert_eq!(writer.join().unwrap(), Ok(1));
    // Peers of each other have as many as their buffer takes.
    let [a, _b] = pair(Kind::Datagram);
    let mut sent = 0;
    while send(&a, b"x", DONTWAIT).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 278);
}

#[test]
fn packets_are_looked_at_ahead_and_stamped() {
    let [a, b] = pair(Kind::Datagram);
    write(&a, b"abcd").unwrap();
    write(&a, b"efgh").unwrap();
    set(&b, n::SO_PEEK_OFF, 5).unwrap();
    assert_eq!(receive(&b, 9, n::MSG_PEEK), Ok(b"fgh".to_vec()));
    set(&b, n::SO_PEEK_OFF, -1).unwrap();
    set(&b, n::SO_TIMESTAMP_OLD, 1).unwrap();
    let (_, received) = receive_all(&b, 9, 0).unwrap();
    assert_eq!(received.ancillary.control[0].kind, n::SO_TIMESTAMP_OLD);
    set(&b, n::SO_TIMESTAMPNS_NEW, 1).unwrap();
    set(&b, n::SO_TIMESTAMPING_NEW, 1 << 4).unwrap();
    write(&a, b"stamped").unwrap();
    receive(&b, 9, 0).unwrap();
    let (_, received) = receive_all(&b, 9, 0).unwrap();
    let kinds: Vec<_> = received.ancillary.control.iter().map(|control| (control.kind, control.data.len())).collect();
    assert_eq!(kinds, [(n::SO_TIMESTAMPNS_NEW, 16), (n::SO_TIMESTAMPING_NEW, 48)]);
    let word = |at: usize| u64::from_ne_bytes(received.ancillary.control[0].data[at..at + 8].try_into().unwrap());
    assert!(word(0) > 1_600_000_000 && word(8) < 1_000_000_000);
}

#[test]
fn a_filter_takes_parts_and_refuses() {
    // `ret len`: an instruction of BPF as `struct sock_filter`.
    let attach = |file: &fd::OpenFile, len: u32| {
        let program: [u64; 1] = [6 | u64::from(len) << 32];
        let mut fprog = [0; 16];
        fprog[0] = 1;
        fprog[8..].copy_from_slice(&(program.as_ptr().expose_provenance() as u64).to_ne_bytes());
        of(file).set_option(n::SOL_SOCKET, n::SO_ATTACH_FILTER, &fprog)
    };
    let [a, b] = pair(Kind::Datagram);
    attach(&b, 3).unwrap();
    assert_eq!((write(&a, b"abcdef"), receive(&b, 9, 0)), (Ok(6), Ok(b"abc".to_vec())));
    attach(&b, 0).unwrap();
    assert_eq!((write(&a, b"gone"), errno(receive(&b, 9, DONTWAIT))), (Ok(4), Some(Errno::EAGAIN)));
    set(&b, n::SO_DETACH_FILTER, 0).unwrap();
    assert_eq!((write(&a, b"here"), receive(&b, 9, 0)), (Ok(4), Ok(b"here".to_vec())));
}
