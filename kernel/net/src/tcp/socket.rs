//! Stream sockets of the Internet families: what the application holds.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use fd::OpenFile;
use fd::io::{Sink, Source};
use fd::owner::SharedOwner;
use fd::poll::{PollQueue, ev, poll_queue};
use fd::socket::{Address, Ancillary, Control, Received, Socket, deadline, open, wait};
use fs::OpenFlags;
use inet::tcp::{Error, State};
use linux_raw_sys::net as n;
use spin::Once;
use sync::{SleepMutex, SpinLock};
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::options::TcpOptions;
use super::{Connection, Listener};
use crate::ports::{self, Lease, Protocol};
use crate::socket::{Common, Family};
use crate::sockopt::flag;
use crate::zerocopy::{MSG_ZEROCOPY, ZeroCopies};
use crate::{clock, poll, stamp, sysctl};

const SECOND: u64 = 1_000_000_000;
/// sendto(2) connects first (tcp(7), `TCP_FASTOPEN`).
const MSG_FASTOPEN: u32 = 0x2000_0000;
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
    /// One reads, one writes at a time. Held over copies from and to the application, and over no
    /// wait for the other side.
    pub(super) reading: SleepMutex<()>,
    pub(super) writing: SleepMutex<()>,
    pub(super) readers: PollQueue,
    pub(super) writers: PollQueue,
    /// The user and the inode, for /proc/net/tcp.
    pub(super) owner: u32,
    /// shutdown(2) of reading, though it failed: nothing was connected.
    pub(super) shut_early: AtomicBool,
    /// An error that outlives its connection.
    pub(super) error: SpinLock<Option<Errno>>,
    /// The port of the last connection, which getsockname(2) goes on telling.
    pub(super) last_port: AtomicU16,
    /// bind(2) named a port, which the socket keeps when a connection is over.
    port_named: AtomicBool,
    /// Whom `F_SETOWN` names.
    pub(super) signal_owner: Once<SharedOwner>,
    /// What has become of writes with `MSG_ZEROCOPY`.
    pub(super) zero_copies: ZeroCopies,
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
    /// An open file of a socket that is not bound.
    pub fn create(family: Family, flags: OpenFlags) -> Arc<OpenFile> {
        let common = Arc::new(Common::new(family, true));
        let queues = [poll_queue(), poll_queue()];
        Self::open(common, Arc::new(TcpOptions::default()), Role::Idle(None), queues, flags)
    }

    fn open(
        common: Arc<Common>,
        options: Arc<TcpOptions>,
        role: Role,
        [readers, writers]: [PollQueue; 2],
        flags: OpenFlags,
    ) -> Arc<OpenFile> {
        let socket = Arc::new(TcpSocket {
            common,
            options,
            role: SpinLock::new(role),
            reading: SleepMutex::new(()),
            writing: SleepMutex::new(()),
            readers,
            writers,
            owner: caller::credentials().euid,
            shut_early: AtomicBool::new(false),
            error: SpinLock::new(None),
            last_port: AtomicU16::new(0),
            port_named: AtomicBool::new(false),
            signal_owner: Once::new(),
            zero_copies: ZeroCopies::default(),
        });
        let file = open(socket.clone(), flags);
        socket.common.note_file(&file);
        socket.signal_owner.call_once(|| file.owner.clone());
        file
    }

    /// An open file of a connection that a listener has taken.
    fn accepted(listener: &Listener, connection: Arc<Connection>, flags: OpenFlags) -> Arc<OpenFile> {
        let queues = [connection.readers.clone(), connection.writers.clone()];
        let (common, options) = (Arc::new(listener.common.inherit()), Arc::new(listener.options.inherit()));
        common.sticky.copy_from(&connection.sticky);
        let filter = common.clone();
        let file = Self::open(common, options, Role::Connected(connection.clone(), true), queues, flags);
        connection.signal_owner.call_once(|| file.owner.clone());
        connection.heed_filter(&filter);
        file
    }

    /// `IP_LOCAL_PORT_RANGE`.
    pub(super) fn port_range(&self) -> u32 {
        self.common.number(n::SOL_IP, n::IP_LOCAL_PORT_RANGE) as u32
    }

    /// Where the socket is bound.
    pub(super) fn local(&self) -> SocketAddr {
        let any = SocketAddr::new(self.common.family().any(), self.last_port.load(Ordering::Relaxed));
        match &*self.role.lock() {
            Role::Idle(lease) => lease.as_ref().map_or(any, |lease| lease.local),
            Role::Listening(listener) => listener.local,
            Role::Connected(connection, _) => connection.flow.local,
        }
    }

    /// Whether the port stays when a connection is over.
    pub(super) fn keeps_port(&self) -> bool {
        self.port_named.load(Ordering::Relaxed)
    }

    /// What a socket without a connection answers to a read: an error that was left, else whether
    /// it was shut down.
    pub(super) fn idle_error(&self) -> SysResult<bool> {
        self.take_idle_error().map_or(Ok(self.shut_early.load(Ordering::Relaxed)), Err)
    }

    /// Takes the error that outlived its connection.
    pub(super) fn take_idle_error(&self) -> Option<Errno> {
        self.error.lock().take()
    }

    /// The connection. `ENOTCONN`.
    pub(super) fn connection(&self) -> SysResult<Arc<Connection>> {
        match &*self.role.lock() {
            Role::Connected(connection, _) => Ok(connection.clone()),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// Gives up what the socket has become.
    fn close(&self) {
        let role = core::mem::replace(&mut *self.role.lock(), Role::Idle(None));
        match role {
            Role::Idle(_) => {}
            Role::Listening(listener) => listener.stop(),
            Role::Connected(connection, _) => self.close_connection(&connection),
        }
    }

    /// Ends what the socket has become at once; it may be bound, connected or listen again
    /// (connect(2), `AF_UNSPEC`). A port that bind(2) named stays.
    pub(super) fn disconnect(&self) {
        let mut role = self.role.lock();
        let lease = match &*role {
            Role::Idle(_) => return,
            Role::Connected(connection, _) => connection.take_lease(),
            Role::Listening(listener) => Some(listener.lease.again()),
        };
        if let Some(lease) = &lease {
            self.last_port.store(lease.local.port(), Ordering::Relaxed);
        }
        let old = core::mem::replace(&mut *role, Role::Idle(lease.filter(|_| self.keeps_port())));
        drop(role);
        match old {
            Role::Listening(listener) => listener.stop(),
            Role::Connected(connection, _) => connection.release(clock::monotonic_ns(), true),
            Role::Idle(_) => {}
        }
        self.shut_early.store(false, Ordering::Relaxed);
        self.readers.wake_all();
        self.writers.wake_all();
    }

    /// What a reader has asked to be told along with bytes: when the last segment came, and how
    /// much is left.
    fn control(&self) -> Vec<Control> {
        let Ok(connection) = self.connection() else { return Vec::new() };
        let tcb = connection.tcb.lock();
        let (heard, ended) = (tcb.heard_at(), tcb.read_ended());
        let left = tcb.readable_to_mark();
        drop(tcb);
        let at = clock::realtime_ns().saturating_sub(clock::monotonic_ns().saturating_sub(heard));
        let mut out = stamp::control(&self.common, at);
        if self.options.inq.load(Ordering::Relaxed) {
            // An end counts as something that there is to read.
            let left = if left == 0 && ended { 1 } else { left as i32 };
            out.push(Control { level: SOL_TCP, kind: n::TCP_CM_INQ, data: left.to_ne_bytes().to_vec() });
        }
        out
    }

    fn close_connection(&self, connection: &Arc<Connection>) {
        let lingers = self.common.lingers.load(Ordering::Relaxed);
        let linger = if lingers { self.common.linger.load(Ordering::Relaxed) } else { -1 };
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
        self.common.family().number()
    }

    fn kind(&self) -> u32 {
        n::SOCK_STREAM
    }

    fn protocol(&self) -> u32 {
        SOL_TCP
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let local = self.common.local(self.common.family().decode(address)?)?;
        if local.ip().is_ipv6() && local.ip().is_multicast() {
            return Err(Errno::EINVAL);
        }
        if !self.common.may_bind(&local.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        ports::may_take(local.port())?;
        let mut role = self.role.lock();
        let Role::Idle(None) = *role else { return Err(Errno::EINVAL) };
        let mut lease = ports::take(Protocol::Tcp, local, self.common.sharing(), self.port_range())?;
        self.common.note_bound(&local.ip());
        lease.share_as(self.common.sharing());
        *role = Role::Idle(Some(lease));
        self.port_named.store(local.port() != 0, Ordering::Relaxed);
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
        let lease = self.take_lease(&mut role, SocketAddr::new(self.common.family().any(), 0))?;
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
        let connection = wait(&self.readers, nonblock, until, || listener.take_ready().transpose())??;
        let address = self.common.family().encode(&connection.flow.remote);
        let file = TcpSocket::accepted(&listener, connection.clone(), flags);
        *connection.owner.lock() = (self.owner, file.inode.metadata().ino);
        Ok((file, address))
    }

    fn connect(&self, address: &[u8], nonblock: bool) -> SysResult<()> {
        self.connect_to(address, nonblock)
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(self.common.family().encode(&self.local()))
    }

    fn peer_address(&self) -> SysResult<Address> {
        let connection = self.connection()?;
        let tcb = connection.tcb.lock();
        if tcb.is_connecting() || matches!(tcb.state(), State::TimeWait | State::Closed) {
            return Err(Errno::ENOTCONN);
        }
        Ok(self.common.family().encode(&connection.flow.remote))
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        let role = self.role.lock();
        match &*role {
            Role::Listening(_) => {
                drop(role);
                if read {
                    self.disconnect();
                }
                return Ok(());
            }
            // A connection that is not there yet is given up.
            Role::Connected(connection, _) if connection.tcb.lock().state() == State::SynSent => {
                drop(role);
                self.disconnect();
                *self.error.lock() = Some(Errno::ECONNRESET);
                return Ok(());
            }
            _ => drop(role),
        }
        let connection = self.connection().inspect_err(|_| {
            self.shut_early.fetch_or(read, Ordering::Relaxed);
        })?;
        let mut tcb = connection.tcb.lock();
        if matches!(tcb.state(), State::TimeWait | State::Closed) {
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

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, _: Ancillary, flags: u32) -> SysResult<usize> {
        // Without a cookie the handshake comes first, as with connect(2).
        if flags & MSG_FASTOPEN != 0 {
            let to = to.ok_or(Errno::EINVAL)?;
            self.connect_to(to, flags & n::MSG_DONTWAIT != 0)?;
        }
        let len = from.remaining();
        let sent = self.send_bytes(from, flags)?;
        if flags & MSG_ZEROCOPY != 0 && len > 0 && self.common.has(flag::ZEROCOPY) {
            self.zero_copies.done();
            self.readers.wake_key(ev::ERR);
        }
        Ok(sent)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & n::MSG_ERRQUEUE != 0 {
            return self.zero_copies.receive(self.common.family()).ok_or(Errno::EAGAIN);
        }
        if flags & n::MSG_OOB != 0 {
            let (copied, flags) = self.receive_urgent(to, flags)?;
            return Ok(Received { copied, full: copied, flags, ..Received::default() });
        }
        let copied = self.receive_bytes(to, flags)?;
        let mut received = Received { copied, full: copied, ..Received::default() };
        if self.options.inq.load(Ordering::Relaxed) || self.common.has(flag::TIMESTAMP | flag::TIMESTAMPNS) {
            received.ancillary.control = self.control();
        }
        Ok(received)
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        self.set(level, option, value)
    }

    fn get_option_of(&self, level: u32, option: u32, room: usize, buffer: UserAddr) -> SysResult<Vec<u8>> {
        match self.common.group_filter(level, option, room, buffer) {
            Some(filter) => filter,
            None => self.get_option(level, option, room),
        }
    }

    fn get_option(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        self.get(level, option, room)
    }
}
