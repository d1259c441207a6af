//! `AF_UNIX` sockets (unix(7)): pairs, and sockets with names.
//!
//! Each direction of a connection is a [`ReceiveQueue`], as is what comes to a datagram socket. As
//! in a pipe, its queue is behind a lock that sleeps, because bytes move to and from application
//! memory under it; its fill is mirrored in atomics for polling and waiting. Who waits does so on
//! the queues of its own socket, which stay the same whatever the socket becomes.
//!
//! Files that travel are [`in_flight`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod connect;
pub mod in_flight;
mod name;
mod options;
mod receive;
mod receive_queue;
pub mod report;
mod socket;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use caller::Credentials;
use fd::OpenFile;
use fd::poll::{PollQueue, poll_queue};
use fd::socket::{PeerCredentials, open};
use fs::OpenFlags;
use linux_raw_sys::net;
use spin::Once;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use options::Options;
use receive_queue::{ReceiveQueue, Sender};

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
    /// From socket(2)'s type without its flags. `SOCK_RAW` means datagrams, as in Linux.
    /// `ESOCKTNOSUPPORT`.
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

/// What opens a pidfd for a process.
pub type PidfdOpener = fn(i32) -> SysResult<Arc<OpenFile>>;

static PIDFD_OPENER: Once<PidfdOpener> = Once::new();

/// Says how pidfds are opened, of which `SO_PEERPIDFD` gives one. The first call counts.
pub fn set_pidfd_opener(opener: PidfdOpener) {
    PIDFD_OPENER.call_once(|| opener);
}

/// A pidfd for a process. `ESRCH`.
fn pidfd(pid: i32) -> SysResult<Arc<OpenFile>> {
    let open = PIDFD_OPENER.get().ok_or(Errno::ESRCH)?;
    open(pid)
}

/// Who is at the other side: the process that called connect(2), listen(2) or socketpair(2), as it
/// was then.
#[derive(Clone)]
struct Peer {
    pid: i32,
    ids: Arc<Credentials>,
}

impl Peer {
    fn of_current() -> Peer {
        Peer { pid: caller::pid(), ids: caller::credentials() }
    }

    /// What `SO_PEERCRED` tells.
    fn credentials(&self) -> PeerCredentials {
        PeerCredentials { pid: self.pid, uid: self.ids.euid, gid: self.ids.egid }
    }
}

/// A connection's two directions, as one side sees them.
struct Link {
    receive: Arc<ReceiveQueue>,
    send: Arc<ReceiveQueue>,
    /// Datagram sockets that connect learn nothing of who is there.
    peer: Option<Peer>,
    /// For its name.
    other: Arc<Sender>,
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
    peer: Peer,
}

impl Listener {
    fn new(backlog: usize) -> Arc<Listener> {
        Arc::new(Listener {
            backlog: AtomicUsize::new(backlog),
            waiting: SpinLock::new(VecDeque::new()),
            closed: AtomicBool::new(false),
            connectors: poll_queue(),
            peer: Peer::of_current(),
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
    /// `SO_COOKIE`.
    cookie: u64,
    /// A leaf lock, except for a listener's queue.
    role: SpinLock<Role>,
    /// Its name, and what it has sent.
    sender: Arc<Sender>,
    /// What a datagram socket receives.
    inbox: Arc<ReceiveQueue>,
    /// Woken when there is something to read, or to accept.
    readers: PollQueue,
    options: Options,
    /// The id of the open file that keeps it: its own or, until it is accepted, its listener's. 0
    /// before there is one.
    holder: Arc<AtomicU64>,
    /// The open file. A leaf lock.
    file: SpinLock<Weak<OpenFile>>,
    /// References to the open file that are in flight; changed with what is in flight locked.
    in_flight: AtomicUsize,
    /// shutdown(2) of a datagram socket, which ends no queue.
    shut_for_writing: AtomicBool,
}

/// All sockets, by cookie. A leaf lock.
static SOCKETS: SpinLock<BTreeMap<u64, Weak<UnixSocket>>> = SpinLock::new(BTreeMap::new());

impl UnixSocket {
    fn new(kind: Kind) -> Arc<UnixSocket> {
        static NEXT_COOKIE: AtomicU64 = AtomicU64::new(1);
        let readers = poll_queue();
        let options = Options::new();
        let holder = Arc::new(AtomicU64::new(0));
        let socket = Arc::new_cyclic(|me| UnixSocket {
            me: me.clone(),
            kind,
            cookie: NEXT_COOKIE.fetch_add(1, Ordering::Relaxed),
            role: SpinLock::new(Role::Idle),
            sender: Sender::new(),
            inbox: ReceiveQueue::new(kind, me.clone(), (readers.clone(), options.flags.clone(), holder.clone()), None),
            readers,
            options,
            holder,
            file: SpinLock::new(Weak::new()),
            in_flight: AtomicUsize::new(0),
            shut_for_writing: AtomicBool::new(false),
        });
        SOCKETS.lock().insert(socket.cookie, Arc::downgrade(&socket));
        socket
    }

    /// A receive queue of a connection, from `sender` to this socket.
    fn queue_from(&self, sender: &UnixSocket) -> Arc<ReceiveQueue> {
        if self.kind == Kind::Datagram {
            return self.inbox.clone();
        }
        let parts = (self.readers.clone(), self.options.flags.clone(), self.holder.clone());
        ReceiveQueue::new(self.kind, self.me.clone(), parts, Some(sender.sender.clone()))
    }

    /// Both sides of a connection between two sockets, each with its peer.
    fn link_pair(a: &UnixSocket, b: &UnixSocket, [of_a, of_b]: [Peer; 2]) -> [Link; 2] {
        let (to_a, to_b) = (a.queue_from(b), b.queue_from(a));
        [
            Link { receive: to_a.clone(), send: to_b.clone(), peer: Some(of_a), other: b.sender.clone() },
            Link { receive: to_b, send: to_a, peer: Some(of_b), other: a.sender.clone() },
        ]
    }

    /// The open file of a socket that has none yet.
    fn open(self: Arc<Self>, flags: OpenFlags) -> Arc<OpenFile> {
        let file = open(self.clone(), flags);
        *self.file.lock() = Arc::downgrade(&file);
        self.holder.store(file.id, Ordering::Release);
        file
    }

    /// Its open file, if it has one.
    fn file(&self) -> Option<Arc<OpenFile>> {
        self.file.lock().upgrade()
    }

    /// socket(2): a socket that is not connected.
    pub fn open_one(kind: Kind, flags: OpenFlags) -> Arc<OpenFile> {
        UnixSocket::new(kind).open(flags)
    }

    /// socketpair(2).
    pub fn open_pair(kind: Kind, flags: OpenFlags) -> [Arc<OpenFile>; 2] {
        let sockets = [UnixSocket::new(kind), UnixSocket::new(kind)];
        let peer = Peer::of_current();
        let links = Self::link_pair(&sockets[0], &sockets[1], [peer.clone(), peer]);
        for (socket, link) in sockets.iter().zip(links) {
            *socket.role.lock() = Role::Connected(Arc::new(link));
        }
        sockets.map(|socket| socket.open(flags))
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
        SOCKETS.lock().remove(&self.cookie);
        if let Some(address) = self.sender.name.get() {
            name::unbind(self, address);
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
                link.receive.abandon();
                if self.kind != Kind::Datagram {
                    link.send.hang_up();
                }
            }
            Role::Idle => {}
        }
        self.inbox.abandon();
        in_flight::gone();
    }
}
