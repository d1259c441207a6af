//! Rust's `std::net` and `std::os::unix::net`, as programs use them.

#[path = "rust/case.rs"]
mod case;

use case::{eq, err, kind, ok, same};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixDatagram, UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

const EAGAIN: i32 = 11;
const EINVAL: i32 = 22;
const EPIPE: i32 = 32;
const EADDRINUSE: i32 = 98;
const EADDRNOTAVAIL: i32 = 99;
const EMSGSIZE: i32 = 90;
const EDESTADDRREQ: i32 = 89;
const ENOTCONN: i32 = 107;
const ECONNREFUSED: i32 = 111;
const ENOENT: i32 = 2;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn main() {
    case::run(&[
        ("std_tcp_v4", || tcp(V4)),
        ("std_tcp_v6", || tcp(V6)),
        ("std_tcp_many", many),
        ("std_tcp_end", end),
        ("std_udp_v4", || udp(V4)),
        ("std_udp_v6", || udp(V6)),
        ("std_unix_stream", unix_stream),
        ("std_unix_datagram", unix_datagram),
    ]);
}

fn pair(ip: IpAddr) -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    (client, listener.accept().unwrap().0, address)
}

fn tcp(ip: IpAddr) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    eq("own address", ip, address.ip());
    eq("a port", true, address.port() >= 32768);
    err("the port again", EADDRINUSE, TcpListener::bind(address));
    ok("nonblocking listener", listener.set_nonblocking(true));
    err("nobody comes", EAGAIN, listener.accept());
    ok("blocking again", listener.set_nonblocking(false));
    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, from) = listener.accept().unwrap();
    same("who came", client.local_addr().unwrap(), from);
    same("where to", address, client.peer_addr().unwrap());
    same("the server's own", address, server.local_addr().unwrap());
    eq("no delay, at first", false, client.nodelay().unwrap());
    ok("set it", client.set_nodelay(true));
    eq("no delay, then", true, client.nodelay().unwrap());
    if ip == V4 {
        eq("time to live", 64, client.ttl().unwrap());
        ok("set that", client.set_ttl(99));
        eq("which it has", 99, client.ttl().unwrap());
        err("not 256", EINVAL, client.set_ttl(256));
    }
    eq("no error", true, client.take_error().unwrap().is_none());
    eq("no limit of time", None, client.read_timeout().unwrap());
    kind("none of 0", ErrorKind::InvalidInput, client.set_read_timeout(Some(Duration::ZERO)));
    ok("30 ms", client.set_read_timeout(Some(Duration::from_millis(32))));
    eq("read back, in ticks", true, client.read_timeout().unwrap().is_some_and(|t| (20..=40).contains(&t.as_millis())));
    let start = Instant::now();
    err("nothing comes", EAGAIN, client.read(&mut [0; 4]));
    eq("after that time", true, start.elapsed() >= Duration::from_millis(25));
    client.set_read_timeout(None).unwrap();
    server.write_all(b"hello").unwrap();
    let mut bytes = [0; 16];
    same("peek", 5, client.peek(&mut bytes).unwrap());
    eq("read after it", 5, client.read(&mut bytes).unwrap());
    eq("what was read", b"hello".to_vec(), bytes[..5].to_vec());
    ok("nonblocking", client.set_nonblocking(true));
    err("no more", EAGAIN, client.read(&mut bytes));
    err("no more to peek", EAGAIN, client.peek(&mut bytes));
    client.set_nonblocking(false).unwrap();
    let mut twin = client.try_clone().unwrap();
    twin.write_all(b"by a clone").unwrap();
    drop(twin);
    eq("from a clone", 10, server.read(&mut bytes).unwrap());
    ok("shut writing", client.shutdown(Shutdown::Write));
    eq("the end", 0, server.read(&mut bytes).unwrap());
    err("write all the same", EPIPE, client.write(b"x"));
    eq("the other way", 3, server.write(b"abc").unwrap());
    eq("which comes", 3, client.read(&mut bytes).unwrap());
    ok("shut reading", client.shutdown(Shutdown::Read));
    eq("is at the end", 0, client.read(&mut bytes).unwrap());
    drop((client, server, listener));
    err("nobody listens", ECONNREFUSED, TcpStream::connect(address));
    err("within a time", ECONNREFUSED, TcpStream::connect_timeout(&address, Duration::from_secs(2)));
    err("an address of others", EADDRNOTAVAIL, TcpListener::bind((IpAddr::from([192, 0, 2, 1]), 0)));
    kind("connect to no address", ErrorKind::InvalidInput, TcpStream::connect(&[][..]));
    let real = TcpListener::bind((ip, 0)).unwrap();
    let all = [address, real.local_addr().unwrap()];
    ok("the second of two addresses", TcpStream::connect(&all[..]));
}

/// Many clients, each with a thread of its own on either side.
fn many() {
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let each = |stream: TcpStream| {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while let Some(Ok(line)) = lines.next() {
                let answer = line.chars().rev().collect::<String>() + "\n";
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        };
        let all: Vec<_> = listener.incoming().take(20).map(|s| thread::spawn(move || each(s.unwrap()))).collect();
        all.into_iter().filter(|_| true).map(thread::JoinHandle::join).filter(Result::is_ok).count()
    });
    let client = move |n: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        (0..50).all(|i| {
            let mut answer = String::new();
            writeln!(stream, "{n} asks {i}").unwrap();
            answers.read_line(&mut answer).unwrap();
            answer.trim().chars().rev().collect::<String>() == format!("{n} asks {i}")
        })
    };
    let clients: Vec<_> = (0..20).map(|n| thread::spawn(move || client(n))).collect();
    eq("clients with right answers", 20, clients.into_iter().filter_map(|c| c.join().ok()).filter(|right| *right).count());
    eq("threads of the server", 20, server.join().unwrap());

    let (mut client, mut server, _) = pair(V4);
    let sender = thread::spawn(move || {
        let bytes: Vec<u8> = (0..4 << 20).map(|n: u32| (n % 251) as u8).collect();
        client.write_all(&bytes).unwrap();
        bytes.len()
    });
    let mut all = Vec::new();
    eq("4 MiB", 4 << 20, server.read_to_end(&mut all).unwrap());
    eq("sent", 4 << 20, sender.join().unwrap());
    eq("as they were", true, all.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8));
}

fn end() {
    let (mut client, server, _) = pair(V4);
    drop(server);
    eq("the other side is closed", 0, client.read(&mut [0; 4]).unwrap());
    let broken = case::eventually(|| client.write(b"x").is_err());
    eq("writing fails in time", true, broken);
    err("and again", EPIPE, client.write(b"x"));
    let (client, mut server, _) = pair(V4);
    server.write_all(b"unread").unwrap();
    thread::sleep(Duration::from_millis(20));
    drop(client);
    let mut bytes = [0; 4];
    kind("closed with bytes unread", ErrorKind::ConnectionReset, server.read(&mut bytes));
    eq("told once", 0, server.read(&mut bytes).unwrap());
    let (client, server, _) = pair(V6);
    let reader = thread::spawn({
        let mut client = client.try_clone().unwrap();
        move || client.read(&mut [0; 4]).unwrap()
    });
    thread::sleep(Duration::from_millis(10));
    client.shutdown(Shutdown::Both).unwrap();
    eq("shutdown wakes a reader", 0, reader.join().unwrap());
    ok(
        "shut what is shut",
        client.shutdown(Shutdown::Both).or_else(|e| match e.raw_os_error() {
            Some(ENOTCONN) => Ok(()),
            _ => Err(e),
        }),
    );
    drop(server);
    let listener = TcpListener::bind((V4, 0)).unwrap();
    eq("a descriptor", true, listener.as_raw_fd() > 2);
    let twin = listener.as_fd().try_clone_to_owned().unwrap();
    drop(listener);
    let listener = TcpListener::from(twin);
    ok("a duplicate listens", TcpStream::connect(listener.local_addr().unwrap()));
}

fn udp(ip: IpAddr) {
    let (a, b) = (UdpSocket::bind((ip, 0)).unwrap(), UdpSocket::bind((ip, 0)).unwrap());
    let (at_a, at_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
    err("the port again", EADDRINUSE, UdpSocket::bind(at_a));
    err("send to nobody in particular", EDESTADDRREQ, a.send(b"x"));
    err("not connected", ENOTCONN, a.peer_addr());
    eq("send to", 5, a.send_to(b"hello", at_b).unwrap());
    let mut bytes = [0; 16];
    same("peek", (5, at_a), b.peek_from(&mut bytes).unwrap());
    same("receive", (5, at_a), b.recv_from(&mut bytes).unwrap());
    a.send_to(b"too long for it", at_b).unwrap();
    same("a short buffer", (4, at_a), b.recv_from(&mut bytes[..4]).unwrap());
    b.set_nonblocking(true).unwrap();
    err("the rest is lost", EAGAIN, b.recv_from(&mut bytes));
    b.set_nonblocking(false).unwrap();
    eq("nothing", 0, a.send_to(b"", at_b).unwrap());
    same("is a datagram", (0, at_a), b.recv_from(&mut bytes).unwrap());
    b.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    err("in time", EAGAIN, b.recv(&mut bytes));
    err("too long", EMSGSIZE, a.send_to(&vec![0; 65536], at_b));
    a.connect(at_b).unwrap();
    same("connected", at_b, a.peer_addr().unwrap());
    eq("send", 3, a.send(b"abc").unwrap());
    eq("comes", 3, b.recv(&mut bytes).unwrap());
    let stranger = UdpSocket::bind((ip, 0)).unwrap();
    stranger.send_to(b"stranger", at_a).unwrap();
    a.set_nonblocking(true).unwrap();
    err("only from there", EAGAIN, a.recv(&mut bytes));
    a.set_nonblocking(false).unwrap();
    drop(b);
    let _ = a.send(b"x");
    err("nobody is there", ECONNREFUSED, a.recv(&mut bytes));
    eq("told once", true, a.take_error().unwrap().is_none());
    eq("broadcast is off", false, a.broadcast().unwrap());
    ok("and on", a.set_broadcast(true));
    eq("it is", true, a.broadcast().unwrap());
    if ip == V4 {
        eq("groups come back", true, a.multicast_loop_v4().unwrap());
        ok("not any more", a.set_multicast_loop_v4(false));
        eq("do they", false, a.multicast_loop_v4().unwrap());
        eq("they go no further", 1, a.multicast_ttl_v4().unwrap());
        err("no group", EINVAL, a.join_multicast_v4(&Ipv4Addr::new(10, 0, 0, 1), &Ipv4Addr::UNSPECIFIED));
    }
}

fn unix_stream() {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    a.write_all(b"pair").unwrap();
    let mut bytes = [0; 8];
    eq("a pair", 4, b.read(&mut bytes).unwrap());
    eq("without a name", true, a.local_addr().unwrap().is_unnamed());
    drop(a);
    eq("the end", 0, b.read(&mut bytes).unwrap());
    err("write to nobody", EPIPE, b.write(b"x"));

    let listener = UnixListener::bind("s").unwrap();
    err("the name again", EADDRINUSE, UnixListener::bind("s"));
    eq("its name", Some("s".into()), listener.local_addr().unwrap().as_pathname().map(|p| p.display().to_string()));
    let client = UnixStream::connect("s").unwrap();
    let (server, from) = listener.accept().unwrap();
    eq("who came has no name", true, from.is_unnamed());
    eq("the peer's name", Some("s".into()), client.peer_addr().unwrap().as_pathname().map(|p| p.display().to_string()));
    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    err("nothing in time", EAGAIN, (&client).read(&mut bytes));
    let mut all = Vec::new();
    let writer = thread::spawn(move || (&server).write_all(&vec![7; 1 << 20]).is_ok());
    client.set_read_timeout(None).unwrap();
    eq("a MiB", 1 << 20, (&client).read_to_end(&mut all).unwrap());
    eq("written", true, writer.join().unwrap());
    drop(listener);
    err("nobody listens", ECONNREFUSED, UnixStream::connect("s"));
    err("no such name", ENOENT, UnixStream::connect("none"));
    kind("a long name", ErrorKind::InvalidInput, UnixStream::connect("x".repeat(200)));
    std::fs::remove_file("s").unwrap();

    let name = unix::SocketAddr::from_abstract_name(format!("skiff case {}", std::process::id())).unwrap();
    let listener = UnixListener::bind_addr(&name).unwrap();
    ok("an abstract name", UnixStream::connect_addr(&name));
    err("which is taken", EADDRINUSE, UnixListener::bind_addr(&name));
    drop(listener);
    err("and gone", ECONNREFUSED, UnixStream::connect_addr(&name));
}

fn unix_datagram() {
    let (a, b) = UnixDatagram::pair().unwrap();
    a.send(b"one").unwrap();
    a.send(b"").unwrap();
    a.send(b"three").unwrap();
    let mut bytes = [0; 8];
    eq("borders are kept", [3, 0, 5], [(); 3].map(|()| b.recv(&mut bytes).unwrap()));
    let (server, client) = (UnixDatagram::bind("server").unwrap(), UnixDatagram::bind("client").unwrap());
    eq("send to a name", 2, client.send_to(b"hi", "server").unwrap());
    let (n, from) = server.recv_from(&mut bytes).unwrap();
    eq("from a name", (2, Some("client".into())), (n, from.as_pathname().map(|p| p.display().to_string())));
    err("not connected", ENOTCONN, client.send(b"x"));
    client.connect("server").unwrap();
    same("connected", 1, client.send(b"x").unwrap());
    let unnamed = UnixDatagram::unbound().unwrap();
    unnamed.send_to(b"y", "server").unwrap();
    server.recv(&mut bytes).unwrap();
    eq("from no name", true, server.recv_from(&mut bytes).unwrap().1.is_unnamed());
    server.set_nonblocking(true).unwrap();
    err("nothing more", EAGAIN, server.recv(&mut bytes));
    drop(server);
    err("nobody is there", ECONNREFUSED, client.send(b"x"));
    err("not even the name", ENOENT, client.send_to(b"x", "none"));
    client.shutdown(Shutdown::Write).unwrap();
    err("shut", EPIPE, client.send_to(b"x", "client"));
}
