//! `AF_UNIX` sockets (unix(7)): pairs made by socketpair(2). Sockets with names come with the network.
//!
//! Each direction of a pair is a [`Channel`]. As in a pipe, its queue is behind a lock that sleeps, because bytes move to and from
//! application memory under it; its fill is mirrored in atomics for polling and waiting.

mod channel;

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use fs::OpenFlags;
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};

use super::io::{Sink, Source};
use super::poll::{PollTable, ev};
use super::{FileOps, OpenFile, anon};
use crate::arch::clock;
use crate::task::current;
use crate::usermem::UserAddr;

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

/// The ids that `SO_PEERCRED` tells: those of the process that made the pair.
#[derive(Clone, Copy, Debug)]
pub struct PeerCredentials {
    /// Process id.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
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

    fn open(socket: Arc<UnixSocket>, flags: OpenFlags) -> Arc<OpenFile> {
        let credentials = current().credentials();
        let (path, inode) = anon::new_node(anon::AnonKind::Socket, credentials.fsuid, credentials.fsgid);
        OpenFile::new(path, inode, socket, OpenFlags::RDWR | flags & OpenFlags::NONBLOCK)
    }

    /// socket(2): a socket that is not connected.
    pub fn open_one(kind: Kind, flags: OpenFlags) -> Arc<OpenFile> {
        Self::open(UnixSocket::new(kind, None), flags)
    }

    /// socketpair(2).
    pub fn open_pair(kind: Kind, flags: OpenFlags) -> [Arc<OpenFile>; 2] {
        let credentials = current().credentials();
        let peer = PeerCredentials { pid: current().process.pid, uid: credentials.euid, gid: credentials.egid };
        let (a, b) = (Channel::new(kind), Channel::new(kind));
        [(a.clone(), b.clone()), (b, a)]
            .map(|(receive, send)| Self::open(UnixSocket::new(kind, Some(Link { receive, send, peer })), flags))
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

    /// shutdown(2). `ENOTCONN`.
    pub fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        let link = self.link.as_ref().ok_or(Errno::ENOTCONN)?;
        if read {
            link.receive.close_reading();
        }
        if write {
            link.send.close_writing();
        }
        Ok(())
    }
}

fn deadline(timeout: &AtomicU64) -> Option<u64> {
    match timeout.load(Ordering::Relaxed) {
        0 => None,
        ns => Some(clock::monotonic_ns().saturating_add(ns)),
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
