//! `AF_UNIX` sockets (unix(7)): pairs made by socketpair(2). Sockets with names come with the network.
//!
//! Each direction of a pair is a [`Channel`]. As in a pipe, its queue is behind a lock that sleeps, because bytes move to and from
//! application memory under it; its fill is mirrored in atomics for polling and waiting.

mod channel;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use fs::{LookupFlags, OpenFlags};
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};

use super::io::{Sink, Source};
use super::poll::{PollTable, ev};
use super::socket::{self, Address, Ancillary, PeerCredentials, Received as Message, Socket, deadline, int};
use super::with_fs;
use super::{FileOps, OpenFile};
use crate::usermem::UserAddr;
use crate::vfs::namespace;

use channel::Channel;
pub use channel::Received;

/// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_SEQPACKET`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A stream of bytes.
    Stream,
    /// Datagrams; one socket may get them from many.
    Datagram,
    /// Datagrams over a connection.
    SeqPacket,
}

impl Kind {
    /// From socket(2)'s type without its flags. `SOCK_RAW` means datagrams, as in Linux. `ESOCKTNOSUPPORT`.
    pub fn from_type(number: u32) -> SysResult<Kind> {
        match number {
            net::SOCK_STREAM => Ok(Kind::Stream),
            net::SOCK_DGRAM | net::SOCK_RAW => Ok(Kind::Datagram),
            net::SOCK_SEQPACKET => Ok(Kind::SeqPacket),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        }
    }

    /// `SO_TYPE`.
    pub fn number(self) -> u32 {
        match self {
            Kind::Stream => net::SOCK_STREAM,
            Kind::Datagram => net::SOCK_DGRAM,
            Kind::SeqPacket => net::SOCK_SEQPACKET,
        }
    }
}

/// A connection's two directions, as one side sees them.
struct Link {
    receive: Arc<Channel>,
    send: Arc<Channel>,
    peer: PeerCredentials,
}

/// A socket.
pub struct UnixSocket {
    /// Its type.
    pub kind: Kind,
    /// `None` for a socket that is not connected.
    link: Option<Link>,
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO` in nanoseconds; 0 is no limit.
    pub receive_timeout: AtomicU64,
    /// See `receive_timeout`.
    pub send_timeout: AtomicU64,
    /// `SO_SNDBUF` and `SO_RCVBUF`, as getsockopt(2) tells them.
    pub send_buffer: AtomicU32,
    /// See `send_buffer`.
    pub receive_buffer: AtomicU32,
    /// `SO_PASSCRED`.
    pub pass_credentials: AtomicBool,
}

/// `/proc/sys/net/core/wmem_default`.
const DEFAULT_BUFFER: u32 = 212_992;

impl UnixSocket {
    fn new(kind: Kind, link: Option<Link>) -> Arc<UnixSocket> {
        Arc::new(UnixSocket {
            kind,
            link,
            receive_timeout: AtomicU64::new(0),
            send_timeout: AtomicU64::new(0),
            send_buffer: AtomicU32::new(DEFAULT_BUFFER),
            receive_buffer: AtomicU32::new(DEFAULT_BUFFER),
            pass_credentials: AtomicBool::new(false),
        })
    }

    /// socket(2): a socket that is not connected.
    pub fn open_one(kind: Kind, flags: OpenFlags) -> Arc<OpenFile> {
        socket::open(UnixSocket::new(kind, None), flags)
    }

    /// socketpair(2).
    pub fn open_pair(kind: Kind, flags: OpenFlags) -> [Arc<OpenFile>; 2] {
        let peer = PeerCredentials::of_current();
        let (a, b) = (Channel::new(kind), Channel::new(kind));
        [(a.clone(), b.clone()), (b, a)]
            .map(|(receive, send)| socket::open(UnixSocket::new(kind, Some(Link { receive, send, peer })), flags))
    }

    /// Whether the socket has a peer.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// `SO_PEERCRED`.
    pub fn peer(&self) -> Option<PeerCredentials> {
        self.link.as_ref().map(|link| link.peer)
    }

    /// Sends; the answer is the number of bytes. `ENOTCONN`, `EPIPE` (the signal is the caller's business), `EMSGSIZE`, `EAGAIN`.
    pub fn send(&self, from: &mut Source<'_>, nonblock: bool) -> SysResult<usize> {
        let link = self.link.as_ref().ok_or(Errno::ENOTCONN)?;
        let limit = self.send_buffer.load(Ordering::Relaxed) as usize;
        link.send.send(from, limit, nonblock, deadline(&self.send_timeout))
    }

    /// Receives into `to`, leaving the bytes in the queue with `peek`.
    pub fn receive(&self, to: &mut Sink<'_>, nonblock: bool, peek: bool) -> SysResult<Received> {
        let Some(link) = &self.link else {
            return Err(if self.kind == Kind::Stream { Errno::EINVAL } else { Errno::ENOTCONN });
        };
        link.receive.receive(to, peek, nonblock, deadline(&self.receive_timeout))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // A peer whose bytes nobody will read learns of it.
            if link.receive.has_bytes() {
                link.send.reset();
            }
            link.receive.close_reading();
            link.send.close_writing();
        }
    }
}

impl FileOps for UnixSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.receive(to, file.nonblocking(), false).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let result = self.send(from, file.nonblocking());
        if result == Err(Errno::EPIPE) && self.kind != Kind::Datagram {
            super::events::broken_pipe();
        }
        result
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        let Some(link) = &self.link else {
            return if self.kind == Kind::Datagram { ev::WRITABLE } else { ev::OUT | ev::WRBAND | ev::HUP };
        };
        table.add(&link.receive.readers);
        table.add(&link.send.writers);
        let mut events = 0;
        let ended = link.receive.is_ended();
        if link.receive.has_bytes() || ended {
            events |= ev::READABLE;
        }
        if ended {
            events |= ev::RDHUP;
        }
        if ended && link.send.is_closed_for_writing() {
            events |= ev::HUP;
        }
        if link.receive.is_reset() {
            events |= ev::ERR;
        }
        if link.send.has_room(self.send_buffer.load(Ordering::Relaxed) as usize) {
            events |= ev::WRITABLE | ev::WRBAND;
        }
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let bytes = match (request, &self.link) {
            (FIONREAD, Some(link)) => link.receive.next_len(),
            (TIOCOUTQ, Some(link)) => link.send.len(),
            (FIONREAD | TIOCOUTQ, None) => 0,
            _ => return Err(Errno::ENOTTY),
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}

/// `sizeof(struct sockaddr_un)`.
const SOCKADDR_UN_SIZE: usize = 110;
/// The address of who has no name: the family alone.
fn unnamed() -> Address {
    (net::AF_UNIX as u16).to_ne_bytes().to_vec()
}

impl Socket for UnixSocket {
    fn family(&self) -> u32 {
        net::AF_UNIX
    }

    fn kind(&self) -> u32 {
        self.kind.number()
    }

    fn bind(&self, _address: &[u8]) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn connect(&self, address: &[u8], _nonblock: bool) -> SysResult<()> {
        let Some((family, path)) = address.split_first_chunk::<2>().filter(|_| address.len() <= SOCKADDR_UN_SIZE) else {
            return Err(Errno::EINVAL);
        };
        if u32::from(u16::from_ne_bytes(*family)) != net::AF_UNIX || path.is_empty() {
            return Err(Errno::EINVAL);
        }
        if self.is_connected() {
            return Err(Errno::EISCONN);
        }
        if path.first() == Some(&0) {
            return Err(Errno::ECONNREFUSED);
        }
        let text = path.split(|&b| b == 0).next().unwrap_or_default();
        let found = with_fs(|ctx| namespace().resolve(ctx, None, text, LookupFlags::FOLLOW))?;
        found.inode()?;
        Err(Errno::ECONNREFUSED)
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(unnamed())
    }

    fn peer_address(&self) -> SysResult<Address> {
        if self.is_connected() { Ok(unnamed()) } else { Err(Errno::ENOTCONN) }
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        let link = self.link.as_ref().ok_or(Errno::ENOTCONN)?;
        if read {
            link.receive.close_reading();
        }
        if write {
            link.send.close_writing();
        }
        Ok(())
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, flags: u32) -> SysResult<usize> {
        if flags & net::MSG_OOB != 0 || !with.files.is_empty() {
            return Err(Errno::EOPNOTSUPP);
        }
        if to.is_some() {
            return Err(match (self.kind, self.is_connected()) {
                (Kind::Datagram, _) => Errno::ECONNREFUSED,
                (_, true) => Errno::EISCONN,
                (_, false) => Errno::EOPNOTSUPP,
            });
        }
        self.send(from, flags & net::MSG_DONTWAIT != 0)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Message> {
        if flags & net::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let nonblock = flags & net::MSG_DONTWAIT != 0;
        let peek = flags & net::MSG_PEEK != 0;
        let mut received = self.receive(to, nonblock, peek)?;
        let all = flags & net::MSG_WAITALL != 0 && !peek && self.kind == Kind::Stream;
        while all && to.remaining() > 0 {
            match self.receive(to, nonblock, false) {
                Ok(more) if more.copied > 0 => received.copied += more.copied,
                _ => break,
            }
        }
        Ok(Message { copied: received.copied, full: received.full, ..Message::default() })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        /// Least buffer that Linux grants (`SOCK_MIN_SNDBUF`), and the most without privilege (`wmem_max`), both doubled.
        const BUFFER: core::ops::RangeInclusive<u32> = 4608..=425_984;
        if level != net::SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        if matches!(option, net::SO_RCVTIMEO | net::SO_SNDTIMEO) {
            let slot = if option == net::SO_RCVTIMEO { &self.receive_timeout } else { &self.send_timeout };
            slot.store(socket::timeval(value)?, Ordering::Relaxed);
            return Ok(());
        }
        let number = int(value)?;
        match option {
            net::SO_SNDBUF | net::SO_RCVBUF => {
                let granted = (number.max(0) as u32).saturating_mul(2).clamp(*BUFFER.start(), *BUFFER.end());
                let slot = if option == net::SO_SNDBUF { &self.send_buffer } else { &self.receive_buffer };
                slot.store(granted, Ordering::Relaxed);
            }
            net::SO_PASSCRED => self.pass_credentials.store(number != 0, Ordering::Relaxed),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn get_option(&self, level: u32, option: u32, _room: usize) -> SysResult<Vec<u8>> {
        if level != net::SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        let number = match option {
            net::SO_PEERCRED => {
                let nobody = PeerCredentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
                return Ok(self.peer().unwrap_or(nobody).bytes().to_vec());
            }
            net::SO_RCVTIMEO => return Ok(socket::timeval_bytes(self.receive_timeout.load(Ordering::Relaxed))),
            net::SO_SNDTIMEO => return Ok(socket::timeval_bytes(self.send_timeout.load(Ordering::Relaxed))),
            net::SO_ERROR | net::SO_ACCEPTCONN => 0,
            net::SO_SNDBUF => self.send_buffer.load(Ordering::Relaxed),
            net::SO_RCVBUF => self.receive_buffer.load(Ordering::Relaxed),
            net::SO_PASSCRED => u32::from(self.pass_credentials.load(Ordering::Relaxed)),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
