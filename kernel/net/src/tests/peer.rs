//! Two stacks, each in a process of its own, with cables between them of which one loses frames and
//! changes their order.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, thread};

use inet::ip::Cidr;
use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::cable::{Cable, FOLDER};
use super::calls::{Sock, eventually};
use super::machine;
use crate::{Options, interface};

/// What the second stack does on TCP's ports: says again what it hears; says how much it has heard;
/// says as much as it is asked for.
const ECHO: u16 = 7;
const COUNT: u16 = 9;
const SOURCE: u16 = 19;

/// What bytes of a stream are.
fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at / 3).wrapping_add(at >> 8) as u8).collect()
}

/// The second stack.
struct Peer {
    child: Child,
    _folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Peer {
    /// Starts it. One test has it at a time.
    fn start() -> Peer {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        machine::start();
        for (name, own) in [("eth1", ["10.1.0.1/24", "fd00:1::1/64"]), ("eth2", ["10.2.0.1/24", "fd00:2::1/64"])] {
            let interface = interface::by_name(name.as_bytes()).unwrap();
            for own in own {
                // The test before may have done so.
                let _ = crate::address::add(&interface, Cidr::parse(own).unwrap());
            }
        }
        let folder = tempfile::tempdir().unwrap();
        Cable::plug_in(folder.path(), 0);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["tests::peer::second_stack", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = std::string::String::new();
        while !line.contains("ready") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the second stack does not start");
        }
        // What it says at its end is nobody's.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Peer { child, _folder: folder, _turn: turn }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        Cable::pull_out();
    }
}

#[test]
#[ignore = "the other tests of this module start it"]
fn second_stack() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    machine::start_with(false, Options { ip: vec!["10.1.0.2/24", "fd00:1::2/64", "junk"], ..Options::default() });
    let eth1 = interface::by_name(b"eth1").unwrap();
    for own in ["10.2.0.2/24", "fd00:2::2/64"] {
        crate::address::add(&eth1, Cidr::parse(own).unwrap()).unwrap();
    }
    for service in [ECHO, COUNT, SOURCE] {
        let listener = Sock::listener(&std::format!("[::]:{service}"));
        thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                thread::spawn(move || serve(service, &connection));
            }
        });
    }
    let datagrams = Sock::udp_at("[::]:7");
    thread::spawn(move || {
        while let Ok((bytes, received)) = datagrams.receive(65536, 0) {
            let _ = datagrams.send_with(&bytes, received.address.as_deref(), 0);
        }
    });
    Cable::plug_in(folder.as_ref(), 1);
    std::println!("ready");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

fn serve(service: u16, connection: &Sock) {
    match service {
        ECHO => {
            while let Ok(bytes) = connection.recv(20_000) {
                if bytes.is_empty() || connection.send(&bytes).is_err() {
                    break;
                }
            }
        }
        COUNT => {
            let heard = connection.recv_to_end().unwrap_or_default();
            let right = heard == pattern(0, heard.len());
            let _ = connection.send(std::format!("{} {right}", heard.len()).as_bytes());
        }
        _ => {
            let wanted = connection.recv_to_end().unwrap_or_default();
            let len: usize = core::str::from_utf8(&wanted).unwrap().parse().unwrap();
            let _ = connection.send(&pattern(0, len));
        }
    }
}

fn to(address: &str, service: u16) -> Sock {
    Sock::connected(&std::format!("{address}:{service}")).unwrap()
}

/// Sends so much, and hears how much has arrived.
fn send_much(address: &str, len: usize) -> Sock {
    let connection = to(address, COUNT);
    for start in (0..len).step_by(10_000) {
        let piece = pattern(start, 10_000.min(len - start));
        assert_eq!(connection.send(&piece), Ok(piece.len()));
    }
    connection.shutdown(false, true).unwrap();
    assert_eq!(connection.recv_to_end().unwrap(), std::format!("{len} true").as_bytes());
    connection
}

fn fetch_much(address: &str, len: usize) {
    let connection = to(address, SOURCE);
    connection.send(len.to_string().as_bytes()).unwrap();
    connection.shutdown(false, true).unwrap();
    assert!(connection.recv_to_end().unwrap() == pattern(0, len));
}

/// A word of `struct tcp_info`.
fn info(connection: &Sock, at: usize) -> u32 {
    let info = connection.get_bytes(n::IPPROTO_TCP as u32, 11, 256).unwrap();
    u32::from_ne_bytes(info[at..at + 4].try_into().unwrap())
}

#[test]
fn streams_arrive_whole_over_a_bad_cable() {
    let _peer = Peer::start();
    let sent = send_much("10.1.0.2", 400_000);
    // tcpi_total_retrans
    assert!(info(&sent, 100) > 0, "nothing was lost");
    fetch_much("10.1.0.2", 400_000);
    send_much("[fd00:1::2]", 150_000);
    fetch_much("[fd00:1::2]", 150_000);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| send_much("10.1.0.2", 50_000));
            scope.spawn(|| fetch_much("[fd00:1::2]", 50_000));
        }
    });
    let echo = to("10.1.0.2", ECHO);
    for n in 0..50usize {
        let word = pattern(n, 1 + n * 7);
        echo.send(&word).unwrap();
        assert_eq!(echo.recv_all(word.len()).unwrap(), word);
    }
}

#[test]
fn a_good_cable_takes_segments_and_checksums_off() {
    let _peer = Peer::start();
    let eth2 = interface::by_name(b"eth2").unwrap();
    let frames = || eth2.traffic().1.packets.load(core::sync::atomic::Ordering::Relaxed);
    // The second stack looks for the first on its bad cable: what comes by the good one goes back
    // there.
    let before = frames();
    let datagrams = Sock::udp();
    datagrams.patience(500);
    let arrived = (0..100).any(|_| {
        datagrams.send_to(b"ping", "10.2.0.2:7").unwrap();
        datagrams.recv(10).is_ok()
    });
    assert!(
        arrived,
        "{} frames sent, {} received",
        frames() - before,
        eth2.traffic().0.packets.load(core::sync::atomic::Ordering::Relaxed)
    );
    let before = frames();
    send_much("10.2.0.2", 1_000_000);
    // Segments of 64 KiB and less; without such there would be seven hundred.
    let used = frames() - before;
    assert!(used < 500, "{used} frames");
    fetch_much("10.2.0.2", 300_000);
}

#[test]
fn datagrams_get_lost_or_arrive_whole() {
    let _peer = Peer::start();
    for address in ["10.1.0.2:7", "[fd00:1::2]:7"] {
        let socket = if address.starts_with('[') { Sock::udp6() } else { Sock::udp() };
        socket.connect(address).unwrap();
        socket.patience(1000);
        let mut heard = 0;
        for len in [0, 1, 1400, 1472, 3000] {
            for _ in 0..8 {
                let sent = pattern(len, len);
                assert_eq!(socket.send(&sent), Ok(len));
                // Late ones and doubles of earlier questions are shorter.
                heard += usize::from((0..3).any(|_| socket.recv(9000).is_ok_and(|bytes| bytes == sent)));
            }
        }
        assert!(heard > 10, "{heard} of 40");
    }
}

#[test]
fn who_is_not_there_is_told_of() {
    let _peer = Peer::start();
    // Nobody listens.
    assert_eq!(Sock::connected("10.1.0.2:99").err(), Some(Errno::ECONNREFUSED));
    assert_eq!(Sock::connected("[fd00:1::2]:99").err(), Some(Errno::ECONNREFUSED));
    let socket = Sock::udp();
    socket.connect("10.1.0.2:99").unwrap();
    eventually("an error of ICMP", || {
        let _ = socket.send(b"?");
        socket.error() == Errno::ECONNREFUSED.0.into()
    });
    // Nobody has the address.
    assert_eq!(Sock::connected("10.1.0.77:99").err(), Some(Errno::EHOSTUNREACH));
    // Pings are answered.
    let ping = Sock::new(crate::socket::Family::V4, n::SOCK_DGRAM, 1).unwrap();
    ping.patience(1000);
    ping.connect("10.1.0.2:0").unwrap();
    let answered = (0..50u8).any(|sequence| {
        ping.send(&[8, 0, 0, 0, 0, 0, 0, sequence, b'x']).unwrap();
        ping.recv(100).is_ok_and(|reply| reply[0] == 0 && reply[8] == b'x')
    });
    assert!(answered);
}

#[test]
fn a_peer_that_falls_silent() {
    let peer = Peer::start();
    let connection = to("10.1.0.2", ECHO);
    connection.send(b"x").unwrap();
    assert_eq!(connection.recv_all(1).unwrap(), b"x");
    let idle = to("10.1.0.2", ECHO);
    for (option, value) in [(4, 1), (5, 1), (6, 3)] {
        // TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
        idle.set(6, option, value).unwrap();
    }
    idle.set(n::SOL_SOCKET, n::SO_KEEPALIVE, 1).unwrap();
    // TCP_USER_TIMEOUT
    connection.set(6, 18, 3000).unwrap();
    Cable::pull_out();
    connection.send(b"y").unwrap();
    assert_eq!(connection.recv(1), Err(Errno::ETIMEDOUT));
    assert_eq!(idle.recv(1), Err(Errno::ETIMEDOUT));
    assert_eq!(idle.recv(1).unwrap(), b"");
    drop(peer);
}
