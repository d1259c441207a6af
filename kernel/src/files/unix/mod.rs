//! `AF_UNIX` sockets (unix(7)): pairs, and sockets with names.
//!
//! Each direction of a connection is a [`Channel`], as is what comes to a datagram socket. As in a pipe, its queue is behind a lock
//! that sleeps, because bytes move to and from application memory under it; its fill is mirrored in atomics for polling and waiting.
//! Who waits does so on the queues of its own socket, which stay the same whatever the socket becomes.
//!
//! Files that travel and are never received go with the channel. Sockets that travel to each other in a circle do not: nobody
//! collects them.

mod channel;
mod name;
mod socket;

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use fs::OpenFlags;
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};

use super::OpenFile;
use super::poll::{PollQueue, poll_queue};
use super::socket::{Address, PeerCredentials, open};
use crate::sync::SpinLock;

use channel::Channel;

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
    peer_name: Option<Address>,
}

/// A socket that listens, and the connections that wait for accept(2).
struct Listener {
    backlog: AtomicUsize,
    /// A leaf lock.
    waiting: SpinLock<VecDeque<Arc<UnixSocket>>>,
    closed: AtomicBool,
    /// Those whose connect(2) waits for room.
    connectors: PollQueue,
    /// Whose `SO_PEERCRED` those who connect see.
    credentials: PeerCredentials,
}

impl Listener {
    fn new(backlog: usize) -> Arc<Listener> {
        Arc::new(Listener {
            backlog: AtomicUsize::new(backlog),
            waiting: SpinLock::new(VecDeque::new()),
            closed: AtomicBool::new(false),
            connectors: poll_queue(),
            credentials: PeerCredentials::of_current(),
        })
    }
}

/// What a socket has become.
enum Role {
    Idle,
    Listening(Arc<Listener>),
    Connected(Arc<Link>),
}

/// A socket.
pub struct UnixSocket {
    me: Weak<UnixSocket>,
    /// Its type.
    pub kind: Kind,
    /// A leaf lock, except for a listener's queue.
    role: SpinLock<Role>,
    /// The `sockaddr_un` that it is bound to.
    address: SpinLock<Option<Address>>,
    /// What a datagram socket receives.
    inbox: Arc<Channel>,
    /// Woken when there is something to read, or to accept.
    readers: PollQueue,
    /// Woken when there is room to write.
    writers: PollQueue,
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO` in nanoseconds; 0 is no limit.
    receive_timeout: AtomicU64,
    send_timeout: AtomicU64,
    /// `SO_SNDBUF` and `SO_RCVBUF`, as getsockopt(2) tells them.
    send_buffer: AtomicU32,
    receive_buffer: AtomicU32,
    /// `SO_PASSCRED`.
    pass_credentials: AtomicBool,
    /// shutdown(2) of a datagram socket, which ends no channel.
    shut_for_writing: AtomicBool,
}

/// `/proc/sys/net/core/wmem_default`.
const DEFAULT_BUFFER: u32 = 212_992;

impl UnixSocket {
    fn new(kind: Kind) -> Arc<UnixSocket> {
        let readers = poll_queue();
        Arc::new_cyclic(|me| UnixSocket {
            me: me.clone(),
            kind,
            role: SpinLock::new(Role::Idle),
            address: SpinLock::new(None),
            inbox: Channel::new(kind, readers.clone(), poll_queue()),
            readers,
            writers: poll_queue(),
            receive_timeout: AtomicU64::new(0),
            send_timeout: AtomicU64::new(0),
            send_buffer: AtomicU32::new(DEFAULT_BUFFER),
            receive_buffer: AtomicU32::new(DEFAULT_BUFFER),
            pass_credentials: AtomicBool::new(false),
            shut_for_writing: AtomicBool::new(false),
        })
    }

    /// Both sides of a connection between two sockets.
    fn link_pair(a: &UnixSocket, b: &UnixSocket) -> [Link; 2] {
        let peer = PeerCredentials::of_current();
        let (to_a, to_b) = if a.kind == Kind::Datagram {
            (a.inbox.clone(), b.inbox.clone())
        } else {
            let channel =
                |from: &UnixSocket, to: &UnixSocket| Channel::new(a.kind, to.readers.clone(), from.writers.clone());
            (channel(b, a), channel(a, b))
        };
        [(to_a.clone(), to_b.clone()), (to_b, to_a)].map(|(receive, send)| Link { receive, send, peer, peer_name: None })
    }

    /// socket(2): a socket that is not connected.
    pub fn open_one(kind: Kind, flags: OpenFlags) -> Arc<OpenFile> {
        open(UnixSocket::new(kind), flags)
    }

    /// socketpair(2).
    pub fn open_pair(kind: Kind, flags: OpenFlags) -> [Arc<OpenFile>; 2] {
        let sockets = [UnixSocket::new(kind), UnixSocket::new(kind)];
        let links = Self::link_pair(&sockets[0], &sockets[1]);
        for (socket, link) in sockets.iter().zip(links) {
            *socket.role.lock() = Role::Connected(Arc::new(link));
        }
        sockets.map(|socket| open(socket, flags))
    }

    fn link(&self) -> Option<Arc<Link>> {
        match &*self.role.lock() {
            Role::Connected(link) => Some(link.clone()),
            _ => None,
        }
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Some(address) = self.address.lock().take() {
            name::forget(self, &address);
        }
        let role = core::mem::replace(&mut *self.role.lock(), Role::Idle);
        match role {
            Role::Listening(listener) => {
                listener.closed.store(true, Ordering::Release);
                let waiting = core::mem::take(&mut *listener.waiting.lock());
                for socket in &waiting {
                    // Who connected and was never accepted is told so.
                    if let Some(link) = socket.link() {
                        link.send.reset();
                    }
                }
                drop(waiting);
                listener.connectors.wake_all();
            }
            Role::Connected(link) => {
                // A peer whose bytes nobody will read learns of it.
                if link.receive.has_unread() && self.kind != Kind::Datagram {
                    link.send.reset();
                }
                link.receive.close_reading();
                if self.kind != Kind::Datagram {
                    link.send.close_writing();
                }
            }
            Role::Idle => {}
        }
        self.inbox.close_reading();
    }
}
