//! The system calls that programs make, one line each.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use core::time::Duration;

use fd::OpenFile;
use fd::io::{Sink, Source};
use fd::poll::PollTable;
use fd::socket::{Ancillary, Control, Received, Socket};
use fs::OpenFlags;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::socket::{self, Family};

/// An address as programs write it: `192.0.2.1:80`, `[fe80::1%2]:80`.
pub fn at(text: &str) -> Vec<u8> {
    encode(&text.parse().unwrap())
}

/// An address as it lies in memory.
pub fn encode(address: &SocketAddr) -> Vec<u8> {
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
    family.encode(address)
}

/// An address that the kernel has told.
pub fn decode(bytes: &[u8]) -> SocketAddr {
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    match u32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
        n::AF_INET => {
            assert_eq!(bytes.len(), 16);
            SocketAddr::new(IpAddr::from(<[u8; 4]>::try_from(&bytes[4..8]).unwrap()), port)
        }
        n::AF_INET6 => {
            assert_eq!(bytes.len(), 28);
            let address = <[u8; 16]>::try_from(&bytes[8..24]).unwrap();
            let scope = u32::from_ne_bytes(bytes[24..28].try_into().unwrap());
            SocketAddr::V6(SocketAddrV6::new(address.into(), port, 0, scope))
        }
        other => panic!("family {other}"),
    }
}

/// A socket.
#[derive(Clone)]
pub struct Sock(pub Arc<OpenFile>);

impl Sock {
    /// socket(2) of an Internet family.
    pub fn new(family: Family, kind: u32, protocol: u32) -> SysResult<Sock> {
        super::start();
        socket::create(family, kind, protocol, OpenFlags::empty()).map(Sock)
    }

    /// TCP over IPv4.
    pub fn tcp() -> Sock {
        Sock::new(Family::V4, n::SOCK_STREAM, 0).unwrap()
    }

    /// TCP over IPv6.
    pub fn tcp6() -> Sock {
        Sock::new(Family::V6, n::SOCK_STREAM, 0).unwrap()
    }

    /// UDP over IPv4.
    pub fn udp() -> Sock {
        Sock::new(Family::V4, n::SOCK_DGRAM, 0).unwrap()
    }

    /// UDP over IPv6.
    pub fn udp6() -> Sock {
        Sock::new(Family::V6, n::SOCK_DGRAM, 0).unwrap()
    }

    /// UDP, bound there.
    pub fn udp_at(text: &str) -> Sock {
        let socket = if text.starts_with('[') { Sock::udp6() } else { Sock::udp() };
        socket.bind(text).unwrap();
        socket
    }

    /// A listener of TCP there.
    pub fn listener(text: &str) -> Sock {
        let socket = if text.starts_with('[') { Sock::tcp6() } else { Sock::tcp() };
        socket.bind(text).unwrap();
        socket.listen(8).unwrap();
        socket
    }

    /// A connection of TCP to there.
    pub fn connected(text: &str) -> SysResult<Sock> {
        let socket = if text.starts_with('[') { Sock::tcp6() } else { Sock::tcp() };
        socket.connect(text).map(|()| socket)
    }

    /// Both ends of a connection over the loopback.
    pub fn pair(listener: &Sock) -> (Sock, Sock) {
        let to = listener.local();
        let one = if to.is_ipv4() { Sock::tcp() } else { Sock::tcp6() };
        one.socket().connect(&encode(&to), false).unwrap();
        let (other, from) = listener.accept().unwrap();
        assert_eq!(from, one.local());
        (one, other)
    }

    /// What the calls go to.
    pub fn socket(&self) -> &dyn Socket {
        self.0.ops.as_socket().unwrap()
    }

    /// bind(2)
    pub fn bind(&self, text: &str) -> SysResult<()> {
        self.socket().bind(&at(text))
    }

    /// connect(2)
    pub fn connect(&self, text: &str) -> SysResult<()> {
        self.socket().connect(&at(text), self.0.nonblocking())
    }

    /// listen(2)
    pub fn listen(&self, backlog: i32) -> SysResult<()> {
        self.socket().listen(backlog)
    }

    /// accept(2)
    pub fn accept(&self) -> SysResult<(Sock, SocketAddr)> {
        let (file, address) = self.socket().accept(self.0.nonblocking(), OpenFlags::empty())?;
        Ok((Sock(file), decode(&address)))
    }

    /// getsockname(2)
    pub fn local(&self) -> SocketAddr {
        decode(&self.socket().local_address().unwrap())
    }

    /// getpeername(2)
    pub fn peer(&self) -> SysResult<SocketAddr> {
        self.socket().peer_address().map(|address| decode(&address))
    }

    /// send(2)
    pub fn send(&self, bytes: &[u8]) -> SysResult<usize> {
        self.send_with(bytes, None, 0)
    }

    /// sendto(2)
    pub fn send_to(&self, bytes: &[u8], to: &str) -> SysResult<usize> {
        self.send_with(bytes, Some(&at(to)), 0)
    }

    /// sendto(2) with flags.
    pub fn send_with(&self, bytes: &[u8], to: Option<&[u8]>, flags: u32) -> SysResult<usize> {
        self.send_message(bytes, to, Vec::new(), flags)
    }

    /// sendmsg(2)
    pub fn send_message(&self, bytes: &[u8], to: Option<&[u8]>, control: Vec<Control>, flags: u32) -> SysResult<usize> {
        let ancillary = Ancillary { control, ..Ancillary::default() };
        self.socket().send_message(&mut Source::Kernel(bytes), to, ancillary, flags | self.0.message_flags())
    }

    /// recvmsg(2)
    pub fn receive(&self, room: usize, flags: u32) -> SysResult<(Vec<u8>, Received)> {
        let mut buffer = vec![0; room];
        let received = self.socket().receive_message(&mut Sink::Kernel(&mut buffer), flags | self.0.message_flags())?;
        buffer.truncate(received.copied);
        Ok((buffer, received))
    }

    /// recv(2)
    pub fn recv(&self, room: usize) -> SysResult<Vec<u8>> {
        self.receive(room, 0).map(|(bytes, _)| bytes)
    }

    /// recv(2) of what there is.
    pub fn recv_now(&self, room: usize) -> SysResult<Vec<u8>> {
        self.receive(room, n::MSG_DONTWAIT).map(|(bytes, _)| bytes)
    }

    /// recvfrom(2)
    pub fn recv_from(&self, room: usize) -> SysResult<(Vec<u8>, SocketAddr)> {
        self.receive(room, 0).map(|(bytes, received)| (bytes, decode(&received.address.unwrap())))
    }

    /// Receives exactly so many bytes.
    pub fn recv_all(&self, len: usize) -> SysResult<Vec<u8>> {
        let mut out = Vec::new();
        while out.len() < len {
            let more = self.recv((len - out.len()).min(1 << 16))?;
            if more.is_empty() {
                break;
            }
            out.extend(more);
        }
        Ok(out)
    }

    /// Receives until the other side has sent all.
    pub fn recv_to_end(&self) -> SysResult<Vec<u8>> {
        self.recv_all(usize::MAX)
    }

    /// setsockopt(2)
    pub fn set_bytes(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        self.socket().set_option(level, option, value)
    }

    /// setsockopt(2) with an `int`.
    pub fn set(&self, level: u32, option: u32, value: i32) -> SysResult<()> {
        self.set_bytes(level, option, &value.to_ne_bytes())
    }

    /// getsockopt(2)
    pub fn get_bytes(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        let mut value = self.socket().get_option(level, option, room)?;
        value.truncate(room);
        Ok(value)
    }

    /// getsockopt(2) of an `int`.
    pub fn get(&self, level: u32, option: u32) -> SysResult<i32> {
        let value = self.get_bytes(level, option, 4)?;
        value.try_into().map(i32::from_ne_bytes).map_err(|value| panic!("{value:?} is no int"))
    }

    /// `SO_ERROR`
    pub fn error(&self) -> i32 {
        self.get(n::SOL_SOCKET, n::SO_ERROR).unwrap()
    }

    /// shutdown(2)
    pub fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        self.socket().shutdown(read, write)
    }

    /// `O_NONBLOCK`
    pub fn nonblocking(self) -> Sock {
        self.0.set_nonblocking(true);
        self
    }

    /// `SO_RCVTIMEO`, in milliseconds.
    pub fn patience(&self, ms: u64) {
        let value = [(ms / 1000).to_ne_bytes(), (ms % 1000 * 1000).to_ne_bytes()].concat();
        self.set_bytes(n::SOL_SOCKET, n::SO_RCVTIMEO_OLD, &value).unwrap();
    }

    /// poll(2) of what holds now.
    pub fn events(&self) -> u32 {
        self.0.poll(&mut PollTable::none())
    }

    /// ioctl(2) on a structure.
    pub fn ioctl(&self, request: u32, arg: &mut [u8]) -> SysResult {
        self.0.ops.ioctl(&self.0, request, UserAddr(arg.as_mut_ptr().addr() as u64))
    }

    /// ioctl(2) that answers an `int`.
    pub fn ioctl_int(&self, request: u32) -> SysResult<i32> {
        let mut out = [0; 4];
        self.ioctl(request, &mut out).map(|_| i32::from_ne_bytes(out))
    }

    /// read(2)
    pub fn read(&self, room: usize) -> SysResult<Vec<u8>> {
        let mut buffer = vec![0; room];
        let n = self.0.read(&mut Sink::Kernel(&mut buffer))?;
        buffer.truncate(n);
        Ok(buffer)
    }

    /// write(2)
    pub fn write(&self, bytes: &[u8]) -> SysResult<usize> {
        self.0.write(&mut Source::Kernel(bytes))
    }
}

/// Waits until something holds that others bring about.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    panic!("it never came to pass: {what}");
}

/// The control message of this kind.
pub fn control(received: &Received, level: u32, kind: u32) -> Option<&[u8]> {
    received.ancillary.control.iter().find(|c| (c.level, c.kind) == (level, kind)).map(|c| c.data.as_slice())
}

/// A control message.
pub fn put(level: u32, kind: u32, data: &[u8]) -> Control {
    Control { level, kind, data: data.to_vec() }
}

/// `EAGAIN`, as most calls are answered that would have to wait.
pub const AGAIN: Errno = Errno::EAGAIN;
