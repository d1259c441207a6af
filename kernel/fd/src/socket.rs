//! What every kind of socket does (socket(7)), whatever its family. The system calls decode their
//! arguments and call this.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::OpenFlags;
use sync::clock;
use sync::wait::{WaitError, wait_exclusive, wait_until};
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::io::{Sink, Source};
use crate::poll::PollQueue;
use crate::{FileOps, OpenFile, anon};

/// A socket address as it lies in memory: the family, and what it makes of the rest.
pub type Address = Vec<u8>;

/// The ids that `SCM_CREDENTIALS` and `SO_PEERCRED` tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerCredentials {
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl PeerCredentials {
    /// Those that a message of the caller's has, if it names none itself: the real ones.
    pub fn of_sender() -> Self {
        let credentials = caller::credentials();
        Self { pid: caller::pid(), uid: credentials.uid, gid: credentials.gid }
    }

    /// As `struct ucred`.
    pub fn bytes(&self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&self.pid.to_ne_bytes());
        out[4..8].copy_from_slice(&self.uid.to_ne_bytes());
        out[8..].copy_from_slice(&self.gid.to_ne_bytes());
        out
    }
}

/// A control message other than those that the system calls know (cmsg(3)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// `cmsg_level`.
    pub level: u32,
    /// `cmsg_type`.
    pub kind: u32,
    /// What follows.
    pub data: Vec<u8>,
}

/// What goes along with bytes.
#[derive(Clone, Default)]
pub struct Ancillary {
    /// `SCM_RIGHTS`.
    pub files: Vec<Arc<OpenFile>>,
    /// `SCM_CREDENTIALS`.
    pub credentials: Option<PeerCredentials>,
    /// Whose pidfd `SCM_PIDFD` is to give.
    pub pidfd: Option<i32>,
    /// Everything else.
    pub control: Vec<Control>,
}

/// What came of receiving.
#[derive(Default)]
pub struct Received {
    /// Bytes that went into the buffer.
    pub copied: usize,
    /// Length of the datagram, of which the buffer may have taken less.
    pub full: usize,
    /// Who sent it; empty for nobody that has a name.
    pub address: Option<Address>,
    /// What came along.
    pub ancillary: Ancillary,
    /// `MSG_*` flags beyond `MSG_TRUNC` and `MSG_CTRUNC`.
    pub flags: u32,
}

/// A socket. `flags` are `MSG_*`, of which the caller has handled `MSG_NOSIGNAL` and
/// `MSG_CMSG_CLOEXEC`, and has turned `O_NONBLOCK` into `MSG_DONTWAIT`.
pub trait Socket: FileOps {
    /// `SO_DOMAIN`.
    fn family(&self) -> u32;

    /// `SO_TYPE`.
    fn kind(&self) -> u32;

    /// `SO_PROTOCOL`.
    fn protocol(&self) -> u32 {
        0
    }

    /// bind(2).
    fn bind(&self, address: &[u8]) -> SysResult<()>;

    /// listen(2).
    fn listen(&self, _backlog: i32) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// accept(2): the new socket with these flags, and the address of the other side.
    fn accept(&self, _nonblock: bool, _flags: OpenFlags) -> SysResult<(Arc<OpenFile>, Address)> {
        Err(Errno::EOPNOTSUPP)
    }

    /// connect(2).
    fn connect(&self, address: &[u8], nonblock: bool) -> SysResult<()>;

    /// getsockname(2).
    fn local_address(&self) -> SysResult<Address>;

    /// getpeername(2).
    fn peer_address(&self) -> SysResult<Address>;

    /// shutdown(2).
    fn shutdown(&self, read: bool, write: bool) -> SysResult<()>;

    /// send(2) and its kin.
    fn send_message(
        &self,
        from: &mut Source<'_>,
        address: Option<&[u8]>,
        ancillary: Ancillary,
        flags: u32,
    ) -> SysResult<usize>;

    /// recv(2) and its kin.
    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received>;

    /// setsockopt(2).
    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()>;

    /// getsockopt(2): the value, which the caller cuts to the room there is.
    fn get_option(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>>;

    /// The same, for the few options that look at what the buffer holds.
    fn get_option_of(&self, level: u32, option: u32, room: usize, _buffer: UserAddr) -> SysResult<Vec<u8>> {
        self.get_option(level, option, room)
    }
}

/// An open file for a new socket.
pub fn open(socket: Arc<dyn FileOps>, flags: OpenFlags) -> Arc<OpenFile> {
    let credentials = caller::credentials();
    let (path, inode) = anon::new_node(anon::AnonKind::Socket, credentials.fsuid, credentials.fsgid);
    OpenFile::new(path, inode, socket, OpenFlags::RDWR | flags & OpenFlags::NONBLOCK)
}

/// A time-out of less than nothing, with which nobody waits, and the moment when it ends.
const NEGATIVE: u64 = u64::MAX;
const PAST: u64 = 0;

/// A time-out of a socket (`SO_RCVTIMEO`) as the moment when it ends.
pub fn deadline(timeout: &AtomicU64) -> Option<u64> {
    match timeout.load(Ordering::Relaxed) {
        0 => None,
        NEGATIVE => Some(PAST),
        ns => Some(clock::monotonic_ns().saturating_add(ns)),
    }
}

/// Sleeps until `ready`. `EAGAIN` if it may not, or when the socket's time-out has passed.
pub fn wait<T>(
    queue: &PollQueue,
    nonblock: bool,
    deadline: Option<u64>,
    mut ready: impl FnMut() -> Option<T>,
) -> SysResult<T> {
    if let Some(value) = ready() {
        return Ok(value);
    }
    if nonblock {
        return Err(Errno::EAGAIN);
    }
    if deadline == Some(PAST) {
        return Err(Errno::EAGAIN);
    }
    wait_exclusive(queue, deadline, ready).map_err(|error| wait_errno(error, deadline))
}

/// Sleeps until `ready`, as one of those whom every wake-up reaches: what they wait for may be
/// shared. `EAGAIN` when the socket's time-out has passed.
pub fn wait_all<T>(queue: &PollQueue, deadline: Option<u64>, ready: impl FnMut() -> Option<T>) -> SysResult<T> {
    if deadline == Some(PAST) {
        return Err(Errno::EAGAIN);
    }
    wait_until(&[queue], deadline, ready).map_err(|error| wait_errno(error, deadline))
}

fn wait_errno(error: WaitError, deadline: Option<u64>) -> Errno {
    match error {
        WaitError::TimedOut => Errno::EAGAIN,
        // With a time-out set, a handler's return does not restart the call (signal(7)).
        WaitError::Interrupted if deadline.is_some() => Errno::EINTR,
        WaitError::Interrupted => Errno::ERESTARTSYS,
    }
}

/// The `int` that most options are. `EINVAL` if there are not enough bytes.
pub fn int(value: &[u8]) -> SysResult<i32> {
    value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)
}

/// The time in a `struct timeval`, in nanoseconds, as [`deadline`] takes it.
pub fn timeval(value: &[u8]) -> SysResult<u64> {
    let word = |at: usize| -> SysResult<i64> {
        let bytes = value.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::EINVAL)?;
        Ok(i64::from_ne_bytes(bytes))
    };
    let (seconds, microseconds) = (word(0)?, word(8)?);
    if !(0..1_000_000).contains(&microseconds) {
        return Err(Errno::EDOM);
    }
    let Ok(seconds) = u64::try_from(seconds) else { return Ok(NEGATIVE) };
    let ns = seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(microseconds as u64 * 1000));
    // More than can be counted is no limit.
    Ok(ns.filter(|ns| *ns != NEGATIVE).unwrap_or(0))
}

/// A `struct timeval`.
pub fn timeval_bytes(ns: u64) -> Vec<u8> {
    let ns = if ns == NEGATIVE { 0 } else { ns };
    let mut out = (ns / 1_000_000_000).to_ne_bytes().to_vec();
    out.extend_from_slice(&(ns % 1_000_000_000 / 1000).to_ne_bytes());
    out
}
