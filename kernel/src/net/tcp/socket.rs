//! Stream sockets of the Internet families: what the application holds.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use fs::OpenFlags;
use inet::tcp::{Error, State};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::options::TcpOptions;
use super::{Connection, Listener};
use crate::arch::clock;
use crate::files::OpenFile;
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollQueue, poll_queue};
use crate::files::socket::{Address, Ancillary, Received, Socket, deadline, open, wait};
use crate::net::poll;
use crate::net::ports::{self, Lease, Protocol};
use crate::net::socket::{Common, Family};
use crate::net::sysctl;
use crate::sync::{SleepMutex, SpinLock};
use crate::task::current;

const SECOND: u64 = 1_000_000_000;
/// The level of TCP's own options.
pub(super) const SOL_TCP: u32 = 6;

/// What a socket has become.
pub(super) enum Role {
    /// Nothing yet, but perhaps bound.
    Idle(Option<Lease>),
    Listening(Arc<Listener>),
    /// Connected, or on the way there, or so once. `true` once connect(2) has told how it went.
    Connected(Arc<Connection>, bool),
}

/// A socket.
pub struct TcpSocket {
    pub(super) common: Arc<Common>,
    pub(super) options: Arc<TcpOptions>,
    /// Taken before all locks of the network.
    pub(super) role: SpinLock<Role>,
    /// One reads, one writes at a time: the bytes of two calls do not mingle. Held over copies from and to the application.
    pub(super) reading: SleepMutex<()>,
    pub(super) writing: SleepMutex<()>,
    pub(super) readers: PollQueue,
    pub(super) writers: PollQueue,
    /// The user and the inode, for /proc/net/tcp.
    owner: u32,
    /// shutdown(2) of reading, though it failed: nothing was connected.
    pub(super) shut_early: AtomicBool,
}

/// The error as system calls tell it.
pub(super) fn errno(error: Error) -> Errno {
    match error {
        Error::Refused => Errno::ECONNREFUSED,
        Error::Reset => Errno::ECONNRESET,
        Error::BrokenPipe => Errno::EPIPE,
        Error::TimedOut => Errno::ETIMEDOUT,
        Error::Unreachable => Errno::EHOSTUNREACH,
    }
}

impl TcpSocket {
    /// A socket that is not bound.
    pub fn new(family: Family) -> Arc<TcpSocket> {
        let common = Arc::new(Common::new(family, true));
        Arc::new(TcpSocket {
            common,
            options: Arc::new(TcpOptions::default()),
            role: SpinLock::new(Role::Idle(None)),
            reading: SleepMutex::new(()),
            writing: SleepMutex::new(()),
            readers: poll_queue(),
            writers: poll_queue(),
            owner: current().credentials().euid,
            shut_early: AtomicBool::new(false),
        })
    }

    /// The socket of a connection that a listener has taken.
    fn accepted(listener: &Listener, connection: Arc<Connection>) -> Arc<TcpSocket> {
        Arc::new(TcpSocket {
            common: Arc::new(listener.common.inherit()),
            options: Arc::new(listener.options.inherit()),
            readers: connection.readers.clone(),
            writers: connection.writers.clone(),
            role: SpinLock::new(Role::Connected(connection, true)),
            reading: SleepMutex::new(()),
            writing: SleepMutex::new(()),
            owner: current().credentials().euid,
            shut_early: AtomicBool::new(false),
        })
    }

    /// The connection. `ENOTCONN`.
    pub(super) fn connection(&self) -> SysResult<Arc<Connection>> {
        match &*self.role.lock() {
            Role::Connected(connection, _) => Ok(connection.clone()),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// Gives up what the socket has become.
    pub(super) fn close(&self) {
        let role = core::mem::replace(&mut *self.role.lock(), Role::Idle(None));
        match role {
            Role::Idle(_) => {}
            Role::Listening(listener) => listener.stop(),
            Role::Connected(connection, _) => self.close_connection(&connection),
        }
    }

    fn close_connection(&self, connection: &Arc<Connection>) {
        let linger = self.common.linger.load(Ordering::Relaxed);
        connection.release(clock::monotonic_ns(), linger == 0);
        if linger > 0 {
            // close(2) waits until what was written has arrived, or so long.
            let until = clock::monotonic_ns().saturating_add(linger as u64 * SECOND);
            let gone = || {
                let state = connection.tcb.lock().state();
                let waiting = matches!(state, State::FinWait1 | State::Closing | State::LastAck);
                (!waiting).then_some(())
            };
            let _ = wait(&self.writers, false, Some(until), gone);
        }
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        self.close();
    }
}

impl Socket for TcpSocket {
    fn family(&self) -> u32 {
        self.common.family.number()
    }

    fn kind(&self) -> u32 {
        n::SOCK_STREAM
    }

    fn protocol(&self) -> u32 {
        SOL_TCP
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let local = self.common.local(self.common.family.decode(address)?)?;
        if !self.common.may_bind(&local.ip()) || local.ip().is_multicast() {
            return Err(Errno::EADDRNOTAVAIL);
        }
        ports::may_take(local.port())?;
        let mut role = self.role.lock();
        let Role::Idle(None) = *role else { return Err(Errno::EINVAL) };
        *role = Role::Idle(Some(ports::take(Protocol::Tcp, local, self.common.sharing())?));
        Ok(())
    }

    fn listen(&self, backlog: i32) -> SysResult<()> {
        let most = sysctl::get(&sysctl::SOMAXCONN);
        let backlog = if backlog < 0 { most } else { backlog.min(most) } as usize;
        let mut role = self.role.lock();
        match &*role {
            Role::Listening(listener) => {
                listener.backlog.store(backlog, Ordering::Relaxed);
                return Ok(());
            }
            Role::Connected(..) => return Err(Errno::EINVAL),
            Role::Idle(_) => {}
        }
        let lease = self.take_lease(&mut role, SocketAddr::new(self.common.family.any(), 0))?;
        if let Err(errno) = lease.set_listening(true) {
            *role = Role::Idle(Some(lease));
            return Err(errno);
        }
        let local = lease.local;
        let listener =
            Listener::start(local, lease, backlog, self.readers.clone(), self.common.clone(), self.options.clone());
        *role = Role::Listening(listener);
        Ok(())
    }

    fn accept(&self, nonblock: bool, flags: OpenFlags) -> SysResult<(Arc<OpenFile>, Address)> {
        let listener = match &*self.role.lock() {
            Role::Listening(listener) => listener.clone(),
            _ => return Err(Errno::EINVAL),
        };
        let until = deadline(&self.common.receive_timeout);
        let connection = wait(&self.readers, nonblock, until, || listener.take_ready())?;
        let address = self.common.family.encode(&connection.flow.remote);
        let file = open(TcpSocket::accepted(&listener, connection.clone()), flags);
        *connection.owner.lock() = (self.owner, file.inode.metadata().ino);
        Ok((file, address))
    }

    fn connect(&self, address: &[u8], nonblock: bool) -> SysResult<()> {
        self.connect_to(address, nonblock)
    }

    fn local_address(&self) -> SysResult<Address> {
        let any = SocketAddr::new(self.common.family.any(), 0);
        let local = match &*self.role.lock() {
            Role::Idle(lease) => lease.as_ref().map_or(any, |lease| lease.local),
            Role::Listening(listener) => listener.local,
            Role::Connected(connection, _) => connection.flow.local,
        };
        Ok(self.common.family.encode(&local))
    }

    fn peer_address(&self) -> SysResult<Address> {
        let connection = self.connection()?;
        if matches!(connection.tcb.lock().state(), State::SynSent | State::Closed) {
            return Err(Errno::ENOTCONN);
        }
        Ok(self.common.family.encode(&connection.flow.remote))
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        let mut role = self.role.lock();
        if let Role::Listening(listener) = &*role {
            let listener = listener.clone();
            if read {
                *role = Role::Idle(None);
                drop(role);
                listener.stop();
            }
            return Ok(());
        }
        drop(role);
        let connection = self.connection().inspect_err(|_| {
            self.shut_early.fetch_or(read, Ordering::Relaxed);
        })?;
        let mut tcb = connection.tcb.lock();
        if tcb.state() == State::Closed {
            return Err(Errno::ENOTCONN);
        }
        if read {
            tcb.close_read();
        }
        if write {
            tcb.close_write();
            connection.transmit(&mut tcb, clock::monotonic_ns());
        }
        tcb.take_events();
        drop(tcb);
        self.readers.wake_all();
        self.writers.wake_all();
        poll::sent();
        Ok(())
    }

    fn send_message(&self, from: &mut Source<'_>, _to: Option<&[u8]>, _: Ancillary, flags: u32) -> SysResult<usize> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        self.send_bytes(from, flags)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & n::MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN);
        }
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EINVAL);
        }
        let copied = self.receive_bytes(to, flags)?;
        Ok(Received { copied, full: copied, ..Received::default() })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        self.set(level, option, value)
    }

    fn get_option(&self, level: u32, option: u32, _room: usize) -> SysResult<Vec<u8>> {
        self.get(level, option)
    }
}
