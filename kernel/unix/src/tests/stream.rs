//! Streams: order, waiting, ends, out-of-band data.

use alloc::vec::Vec;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use caller::Target;
use caller::testing::{interrupter, take_signals};
use fd::poll::ev;
use fd::testing::{errno, events, ioctl_get, read, until, write};
use linux_raw_sys::ioctl::{FIONREAD, SIOCATMARK, TIOCOUTQ};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, Signal};

use super::{DONTWAIT, address, of, one, pair, receive, receive_all, send, set, set_timeout};
use crate::Kind;
use fd::socket::Socket;

const OOB: u32 = n::MSG_OOB;

#[test]
fn bytes_flow_both_ways() {
    let [a, b] = pair(Kind::Stream);
    assert_eq!((write(&a, b"hello "), write(&a, b"world"), write(&b, b"x")), (Ok(6), Ok(5), Ok(1)));
    assert_eq!(ioctl_get::<i32>(&b, FIONREAD), Ok(11));
    // What a buffer takes on Linux: 256 of its head, and 512 for bytes with 320 behind them.
    assert_eq!(ioctl_get::<i32>(&a, TIOCOUTQ), Ok(2 * 768));
    assert_eq!(read(&b, 8), Ok(b"hello wo".to_vec()));
    assert_eq!(read(&b, 8), Ok(b"rld".to_vec()));
    assert_eq!((read(&a, 8), ioctl_get::<i32>(&a, TIOCOUTQ)), (Ok(b"x".to_vec()), Ok(0)));
    assert_eq!((read(&a, 0), write(&a, b"")), (Ok(Vec::new()), Ok(0)));
    assert_eq!(of(&a).family(), n::AF_UNIX);
    assert_eq!((Socket::kind(of(&a)), of(&a).protocol()), (n::SOCK_STREAM, 0));
}

#[test]
fn a_reader_sleeps_until_something_comes() {
    let [a, b] = pair(Kind::Stream);
    assert_eq!(errno(receive(&a, 1, DONTWAIT)), Some(Errno::EAGAIN));
    let reader = thread::spawn({
        let a = a.clone();
        move || read(&a, 10)
    });
    until(|| !of(&a).readers.is_empty());
    write(&b, b"late").unwrap();
    assert_eq!(reader.join().unwrap(), Ok(b"late".to_vec()));
    let (tell, told) = channel();
    let reader = thread::spawn({
        let a = a.clone();
        move || {
            tell.send(interrupter()).unwrap();
            read(&a, 10)
        }
    });
    told.recv().unwrap()();
    assert_eq!(reader.join().unwrap(), Err(Errno::ERESTARTSYS));
    // With a time-out the call is not begun again.
    set_timeout(&a, n::SO_RCVTIMEO_OLD, 60_000);
    let (tell, told) = channel();
    let reader = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        read(&a, 10)
    });
    told.recv().unwrap()();
    assert_eq!(reader.join().unwrap(), Err(Errno::EINTR));
}

#[test]
fn time_passes() {
    let [a, _b] = pair(Kind::Stream);
    set_timeout(&a, n::SO_RCVTIMEO_NEW, 40);
    set_timeout(&a, n::SO_SNDTIMEO_NEW, 40);
    let begun = Instant::now();
    assert_eq!(errno(read(&a, 1)), Some(Errno::EAGAIN));
    assert!(begun.elapsed() >= Duration::from_millis(38));
    let begun = Instant::now();
    while write(&a, &[0; 4096]).is_ok() {}
    assert!(begun.elapsed() >= Duration::from_millis(38));
}

#[test]
fn a_writer_waits_for_room() {
    let [a, b] = pair(Kind::Stream);
    let mut sent = 0;
    while send(&a, b"x", DONTWAIT).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 278, "as many single bytes as on Linux");
    assert_eq!((errno(send(&a, b"x", DONTWAIT)), events(&a) & ev::OUT), (Some(Errno::EAGAIN), 0));
    let writer = thread::spawn({
        let a = a.clone();
        move || write(&a, &[b'y'; 300_000])
    });
    until(|| !of(&a).sender.writers.is_empty());
    let mut got = Vec::new();
    while got.len() < 300_278 {
        got.extend(read(&b, 65_536).unwrap());
    }
    assert_eq!(writer.join().unwrap(), Ok(300_000));
    assert!(got.iter().filter(|byte| **byte == b'x').count() == 278);
    assert_eq!((events(&a) & ev::OUT, ioctl_get::<i32>(&a, TIOCOUTQ)), (ev::OUT, Ok(0)));
    // Part of a write counts when the reader goes.
    let writer = thread::spawn({
        let a = a.clone();
        move || write(&a, &[0; 1 << 20])
    });
    until(|| !of(&a).sender.writers.is_empty());
    drop(b);
    let part = writer.join().unwrap().unwrap();
    assert!(part > 100_000 && part < 1 << 20, "{part}");
    assert_eq!(errno(write(&a, b"x")), Some(Errno::EPIPE));
}

#[test]
fn the_end_of_a_stream() {
    let [a, b] = pair(Kind::Stream);
    write(&a, b"rest").unwrap();
    drop(a);
    assert_eq!(events(&b) & (ev::IN | ev::RDHUP | ev::HUP | ev::ERR), ev::IN | ev::RDHUP | ev::HUP);
    assert_eq!((read(&b, 10), read(&b, 10)), (Ok(b"rest".to_vec()), Ok(Vec::new())));
    assert_eq!(errno(write(&b, b"x")), Some(Errno::EPIPE));
    let sent = take_signals(Target::Thread, caller::tid());
    assert_eq!(sent.iter().map(|info| info.si_signo).collect::<Vec<_>>(), [Signal::SIGPIPE.number() as i32]);
    let [a, b] = pair(Kind::Stream);
    write(&a, b"unread").unwrap();
    drop(b);
    assert_ne!(events(&a) & ev::ERR, 0);
    assert_eq!((errno(read(&a, 1)), read(&a, 1)), (Some(Errno::ECONNRESET), Ok(Vec::new())), "told once");
}

#[test]
fn shutdown_of_either_direction() {
    let [a, b] = pair(Kind::Stream);
    let reader = thread::spawn({
        let b = b.clone();
        move || read(&b, 10)
    });
    until(|| !of(&b).readers.is_empty());
    of(&a).shutdown(false, true).unwrap();
    assert_eq!(reader.join().unwrap(), Ok(Vec::new()));
    assert_eq!((errno(send(&a, b"x", DONTWAIT)), events(&b) & (ev::RDHUP | ev::HUP)), (Some(Errno::EPIPE), ev::RDHUP));
    assert_eq!((write(&b, b"back"), read(&a, 10)), (Ok(4), Ok(b"back".to_vec())), "the other direction is open");
    of(&a).shutdown(true, false).unwrap();
    assert_eq!(errno(send(&b, b"x", DONTWAIT)), Some(Errno::EPIPE));
    assert_eq!(events(&a) & (ev::RDHUP | ev::HUP), ev::RDHUP | ev::HUP);
}

#[test]
fn as_much_as_was_asked_for() {
    let [a, b] = pair(Kind::Stream);
    let reader = thread::spawn({
        let b = b.clone();
        move || receive(&b, 6, n::MSG_WAITALL)
    });
    write(&a, b"abc").unwrap();
    until(|| of(&b).link().unwrap().receive.len() == 0);
    assert!(!reader.is_finished());
    write(&a, b"defg").unwrap();
    assert_eq!(reader.join().unwrap(), Ok(b"abcdef".to_vec()));
    set(&b, n::SO_RCVLOWAT, 4).unwrap();
    assert_eq!(receive(&b, 10, DONTWAIT), Ok(b"g".to_vec()), "less, where it may not wait");
    write(&a, b"12").unwrap();
    let reader = thread::spawn(move || read(&b, 10));
    write(&a, b"34").unwrap();
    assert_eq!(reader.join().unwrap(), Ok(b"1234".to_vec()));
}

#[test]
fn looking_ahead() {
    let [a, b] = pair(Kind::Stream);
    write(&a, b"abc").unwrap();
    write(&a, b"def").unwrap();
    assert_eq!(receive(&b, 10, n::MSG_PEEK), Ok(b"abcdef".to_vec()));
    set(&b, n::SO_PEEK_OFF, 2).unwrap();
    assert_eq!(receive(&b, 2, n::MSG_PEEK), Ok(b"cd".to_vec()));
    assert_eq!(receive(&b, 9, n::MSG_PEEK), Ok(b"ef".to_vec()));
    assert_eq!(errno(receive(&b, 9, n::MSG_PEEK | DONTWAIT)), Some(Errno::EAGAIN));
    assert_eq!(read(&b, 4), Ok(b"abcd".to_vec()));
    assert_eq!(super::get(&b, n::SO_PEEK_OFF), Ok(2), "it goes back by what was read");
    set(&b, n::SO_PEEK_OFF, -1).unwrap();
    set(&b, n::SO_INQ, 1).unwrap();
    let (bytes, received) = receive_all(&b, 1, 0).unwrap();
    assert_eq!(
        (bytes.as_slice(), received.ancillary.control[0].data.as_slice()),
        (b"e".as_slice(), 1i32.to_ne_bytes().as_slice())
    );
}

#[test]
fn out_of_band_data() {
    let [a, b] = pair(Kind::Stream);
    assert_eq!(errno(receive(&b, 1, OOB)), Some(Errno::EINVAL));
    write(&a, b"ab").unwrap();
    send(&a, b"c!", OOB).unwrap();
    write(&a, b"de").unwrap();
    assert_eq!(events(&b) & ev::PRI, ev::PRI);
    assert_eq!((read(&b, 10), ioctl_get::<i32>(&b, SIOCATMARK)), (Ok(b"abc".to_vec()), Ok(1)), "up to the mark");
    assert_eq!((receive(&b, 1, OOB | n::MSG_PEEK), receive(&b, 1, OOB)), (Ok(b"!".to_vec()), Ok(b"!".to_vec())));
    assert_eq!(errno(receive(&b, 1, OOB)), Some(Errno::EINVAL), "it is read");
    assert_eq!((events(&b) & ev::PRI, read(&b, 10)), (0, Ok(b"de".to_vec())));
    // Whoever reads on past it loses it.
    send(&a, b"x", OOB).unwrap();
    write(&a, b"yz").unwrap();
    assert_eq!(receive(&b, 10, n::MSG_PEEK), Ok(b"yz".to_vec()));
    assert_eq!(read(&b, 10), Ok(b"yz".to_vec()));
    assert_eq!(errno(receive(&b, 1, OOB)), Some(Errno::EINVAL));
    set(&b, n::SO_OOBINLINE, 1).unwrap();
    send(&a, b"in", OOB).unwrap();
    assert_eq!(errno(receive(&b, 1, OOB)), Some(Errno::EINVAL));
    assert_eq!((read(&b, 10), read(&b, 10)), (Ok(b"i".to_vec()), Ok(b"n".to_vec())));
    assert_eq!(errno(send(&a, b"", OOB)), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(ioctl_get::<i32>(&pair(Kind::SeqPacket)[0], SIOCATMARK)), Some(Errno::EOPNOTSUPP));
}

#[test]
fn who_is_not_connected() {
    let alone = one(Kind::Stream);
    assert_eq!(errno(read(&alone, 1)), Some(Errno::EINVAL));
    assert_eq!(errno(send(&alone, b"x", 0)), Some(Errno::ENOTCONN));
    let to = of(&alone).send_message(&mut fd::io::Source::Kernel(b"x"), Some(&address("/x")), Default::default(), 0);
    assert_eq!(errno(to), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(of(&alone).peer_address()), Some(Errno::ENOTCONN));
    assert_eq!(events(&alone), ev::WRITABLE | ev::WRBAND | ev::HUP);
    of(&alone).shutdown(true, true).unwrap();
    assert_eq!(events(&alone) & (ev::IN | ev::RDHUP | ev::HUP), ev::IN | ev::RDHUP | ev::HUP);
    let [a, _b] = pair(Kind::Stream);
    let to = of(&a).send_message(&mut fd::io::Source::Kernel(b"x"), Some(&address("/x")), Default::default(), 0);
    assert_eq!(errno(to), Some(Errno::EISCONN));
}
