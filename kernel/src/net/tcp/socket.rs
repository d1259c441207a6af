//! Stream sockets of the Internet families: what the application holds.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;

use fs::OpenFlags;
use inet::ip::Flow;
use inet::tcp::request::initial_number;
use inet::tcp::{Error, State, Tcb};
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::options::{TcpOptions, tcp_info};
use super::{Connection, Listener, config, table};
use crate::arch::clock;
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::files::socket::{Address, Ancillary, Received, Socket, deadline, open, wait};
use crate::files::{FileOps, OpenFile, events};
use crate::net::ports::{self, Lease, Protocol};
use crate::net::socket::{Common, Family};
use crate::net::{poll, route, secret};
use crate::sync::{SleepMutex, SpinLock};
use crate::task::current;
use crate::usermem::UserAddr;

/// The most that a listener's backlog may be (`net.core.somaxconn`).
const SOMAXCONN: i32 = 4096;
/// Bytes that move from the application at once.
const CHUNK: usize = 64 * 1024;
const SECOND: u64 = 1_000_000_000;
const SOL_TCP: u32 = 6;

/// What a socket has become.
enum Role {
    /// Nothing yet, but perhaps bound.
    Idle(Option<Lease>),
    Listening(Arc<Listener>),
    /// Connected, or on the way there, or so once. `true` once connect(2) has told how it went.
    Connected(Arc<Connection>, bool),
}

/// A socket.
pub struct TcpSocket {
    common: Arc<Common>,
    options: Arc<TcpOptions>,
    /// Taken before all locks of the network.
    role: SpinLock<Role>,
    /// One reads, one writes at a time: the bytes of two calls do not mingle. Held over copies from and to the application.
    reading: SleepMutex<()>,
    writing: SleepMutex<()>,
    readers: PollQueue,
    writers: PollQueue,
    /// The user and the inode, for /proc/net/tcp.
    owner: u32,
}

fn errno(error: Error) -> Errno {
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
        })
    }

    fn connection(&self) -> SysResult<Arc<Connection>> {
        match &*self.role.lock() {
            Role::Connected(connection, _) => Ok(connection.clone()),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// The local address and the port's lease, binding to a free port if there is none yet. Leaves the role idle without a lease.
    fn take_lease(&self, role: &mut Role, local: SocketAddr) -> SysResult<Lease> {
        match role {
            Role::Idle(lease @ Some(_)) => lease.take().ok_or(Errno::EINVAL),
            Role::Idle(None) => ports::take(Protocol::Tcp, local, self.common.sharing()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn start_connecting(&self, role: &mut Role, to: SocketAddr) -> SysResult<Arc<Connection>> {
        let mut to = to;
        // Any address means ourselves (as on Linux).
        if to.ip().is_unspecified() {
            let ip =
                if to.is_ipv4() { core::net::Ipv4Addr::LOCALHOST.into() } else { core::net::Ipv6Addr::LOCALHOST.into() };
            to.set_ip(ip);
        }
        if to.ip().is_multicast() || matches!(to.ip(), core::net::IpAddr::V4(v4) if v4.is_broadcast()) {
            return Err(Errno::ENETUNREACH);
        }
        let hop = route::lookup(&to.ip())?;
        let bound = match role {
            Role::Idle(Some(lease)) => Some(lease.local),
            _ => None,
        };
        let source = match bound.map(|local| local.ip()).filter(|ip| !ip.is_unspecified()) {
            Some(ip) => ip,
            None if hop.interface.is_loopback() => to.ip(),
            None => hop.interface.source_for(&to.ip()).ok_or(Errno::EADDRNOTAVAIL)?,
        };
        if source.is_ipv4() != to.is_ipv4() {
            return Err(Errno::ENETUNREACH);
        }
        let lease = match self.take_lease(role, SocketAddr::new(source, 0)) {
            Err(Errno::EADDRINUSE) => return Err(Errno::EADDRNOTAVAIL),
            lease => lease?,
        };
        let flow = Flow { local: SocketAddr::new(source, lease.local.port()), remote: to };
        let now = clock::monotonic_ns();
        let mut config = config(&hop, &flow, self.common.tcp_limits());
        config.mss = self.options.clamp_segment(config.mss);
        let iss = initial_number(secret(), &flow, now);
        let ports = (flow.local.port(), flow.remote.port());
        let tcb = Tcb::connect(ports, iss, config, self.options.settings(&self.common), now);
        let queues = [self.readers.clone(), self.writers.clone()];
        let connection = Connection::new(flow, tcb, hop, lease, queues);
        connection.tos.store(self.common.tos.load(Ordering::Relaxed), Ordering::Relaxed);
        connection.ttl.store(self.common.ttl(), Ordering::Relaxed);
        if !table::insert(&connection) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        *role = Role::Connected(connection.clone(), false);
        connection.transmit(&mut connection.tcb.lock(), now);
        Ok(connection)
    }

    /// How connect(2) went, once it is known.
    fn connect_result(&self, connection: &Connection) -> Option<SysResult<()>> {
        let mut tcb = connection.tcb.lock();
        match tcb.state() {
            State::SynSent => None,
            State::Closed => {
                let error = tcb.take_error().map_or(Errno::ECONNABORTED, errno);
                Some(Err(error))
            }
            _ => Some(Ok(())),
        }
    }

    fn finish_connecting(&self, connection: &Arc<Connection>, nonblock: bool) -> SysResult<()> {
        let until = deadline(&self.common.send_timeout);
        let result = match wait(&self.writers, nonblock, until, || self.connect_result(connection)) {
            Err(Errno::EAGAIN) => return Err(Errno::EINPROGRESS),
            Err(errno) => return Err(errno),
            Ok(result) => result,
        };
        let mut role = self.role.lock();
        *role = match result {
            Ok(()) => Role::Connected(connection.clone(), true),
            // It may be tried again.
            Err(_) => Role::Idle(None),
        };
        result
    }

    fn close(&self) {
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

    /// An error that nobody has been told of yet.
    fn pending_error(tcb: &mut Tcb) -> SysResult<()> {
        tcb.take_error().map_or(Ok(()), |error| Err(errno(error)))
    }

    fn send_bytes(&self, from: &mut Source<'_>, flags: u32) -> SysResult<usize> {
        let connection = self.connection().map_err(|_| Errno::EPIPE)?;
        let nonblock = flags & n::MSG_DONTWAIT != 0;
        let until = deadline(&self.common.send_timeout);
        let _writing = self.writing.lock();
        let mut done = 0;
        let result = loop {
            let ready = || {
                let mut tcb = connection.tcb.lock();
                if let Err(errno) = Self::pending_error(&mut tcb) {
                    return Some(Err(errno));
                }
                match tcb.state() {
                    State::SynSent => return None,
                    _ if tcb.write_ended() => return Some(Err(Errno::EPIPE)),
                    _ => {}
                }
                let room = tcb.room();
                if room == 0 {
                    tcb.want_room();
                    return None;
                }
                Some(Ok((room, tcb.segment_size() as usize)))
            };
            let (room, segment) = match wait(&self.writers, nonblock, until, ready) {
                Ok(Ok(room)) => room,
                Ok(Err(errno)) | Err(errno) => break Err(errno),
            };
            if from.remaining() == 0 {
                break Ok(());
            }
            // Whole segments where these are large, so that none is made of two pieces.
            let chunk = if segment > CHUNK / 2 { segment } else { CHUNK };
            let mut bytes = alloc::vec![0; from.remaining().min(chunk).min(room.max(segment))];
            match from.take(&mut bytes) {
                Ok(taken) => bytes.truncate(taken),
                Err(errno) => break Err(errno),
            }
            done += bytes.len();
            let more = flags & n::MSG_MORE != 0 || from.remaining() > 0;
            let mut tcb = connection.tcb.lock();
            tcb.settings.cork = self.options.is_corked() || more;
            tcb.write(bytes.into());
            connection.transmit(&mut tcb, clock::monotonic_ns());
        };
        if done > 0 && flags & n::MSG_MORE == 0 {
            let mut tcb = connection.tcb.lock();
            let cork = self.options.is_corked();
            if tcb.settings.cork != cork {
                tcb.settings.cork = cork;
                connection.transmit(&mut tcb, clock::monotonic_ns());
            }
        }
        poll::sent();
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }

    fn receive_bytes(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<usize> {
        let connection = self.connection()?;
        let nonblock = flags & n::MSG_DONTWAIT != 0;
        let until = deadline(&self.common.receive_timeout);
        let peek = flags & n::MSG_PEEK != 0;
        let throw_away = flags & n::MSG_TRUNC != 0;
        let _reading = self.reading.lock();
        let mut done = 0;
        let result = loop {
            if to.remaining() == 0 {
                break Ok(());
            }
            let skip = if peek { done } else { 0 };
            let ready = || {
                let mut tcb = connection.tcb.lock();
                if let Some(piece) = tcb.peek(skip) {
                    return Some(Ok(Some(piece)));
                }
                if let Err(errno) = Self::pending_error(&mut tcb) {
                    return Some(Err(errno));
                }
                if tcb.state() == State::SynSent {
                    return None;
                }
                tcb.read_ended().then_some(Ok(None))
            };
            // Once there is something, only MSG_WAITALL waits for more.
            let enough = done > 0 && flags & n::MSG_WAITALL == 0;
            let mut piece = match wait(&self.readers, nonblock || enough, until, ready) {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break Ok(()),
                Ok(Err(errno)) | Err(errno) => break Err(errno),
            };
            piece.truncate(to.remaining());
            let taken = if throw_away {
                to.skip(piece.len());
                piece.len()
            } else {
                match to.put(&piece) {
                    Ok(taken) => taken,
                    Err(errno) => break Err(errno),
                }
            };
            let short = taken < piece.len();
            drop(piece);
            done += taken;
            if !peek {
                let now = clock::monotonic_ns();
                let mut tcb = connection.tcb.lock();
                tcb.consume(taken, now);
                connection.transmit(&mut tcb, now);
            }
            if short {
                break Ok(());
            }
        };
        poll::sent();
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        self.close();
    }
}

impl FileOps for TcpSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.receive_bytes(to, if file.nonblocking() { n::MSG_DONTWAIT } else { 0 })
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let result = self.send_bytes(from, if file.nonblocking() { n::MSG_DONTWAIT } else { 0 });
        if result == Err(Errno::EPIPE) {
            events::broken_pipe();
        }
        result
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        table.add(&self.writers);
        match &*self.role.lock() {
            Role::Idle(_) => ev::OUT | ev::WRNORM | ev::HUP,
            Role::Listening(listener) => {
                if listener.has_ready() {
                    ev::READABLE
                } else {
                    0
                }
            }
            Role::Connected(connection, _) => {
                let mut tcb = connection.tcb.lock();
                let mut events = 0;
                let (read_ended, write_ended) = (tcb.read_ended(), tcb.write_ended());
                if tcb.state() == State::Closed || read_ended && write_ended {
                    events |= ev::HUP;
                }
                if read_ended {
                    events |= ev::READABLE | ev::RDHUP;
                }
                if tcb.state() != State::SynSent {
                    if tcb.readable() > 0 {
                        events |= ev::READABLE;
                    }
                    if write_ended || tcb.is_writable() {
                        events |= ev::WRITABLE;
                    } else {
                        tcb.want_room();
                    }
                }
                if tcb.error().is_some() {
                    events |= ev::ERR;
                }
                events
            }
        }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        if !matches!(request, FIONREAD | TIOCOUTQ) {
            return crate::net::ioctl::interface(request, arg);
        }
        let bytes = match (request, &*self.role.lock()) {
            (FIONREAD | TIOCOUTQ, Role::Listening(_)) => return Err(Errno::EINVAL),
            (FIONREAD, Role::Connected(connection, _)) => connection.tcb.lock().readable(),
            (TIOCOUTQ, Role::Connected(connection, _)) => connection.tcb.lock().unsent(),
            _ => 0,
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
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
        let backlog = if backlog < 0 { SOMAXCONN } else { backlog.min(SOMAXCONN) } as usize;
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
        if address.first_chunk().is_some_and(|f| u32::from(u16::from_ne_bytes(*f)) == n::AF_UNSPEC) {
            self.close();
            return Ok(());
        }
        let to = self.common.family.decode(address)?;
        let mut role = self.role.lock();
        let connection = match &*role {
            Role::Listening(_) | Role::Connected(_, true) => return Err(Errno::EISCONN),
            Role::Connected(connection, false) => {
                let connection = connection.clone();
                drop(role);
                if nonblock && self.connect_pending(&connection) {
                    return Err(Errno::EALREADY);
                }
                connection
            }
            Role::Idle(_) => {
                let connection = self.start_connecting(&mut role, to)?;
                drop(role);
                poll::sent();
                // Even over the loopback interface, where it is decided by now (as on Linux).
                if nonblock {
                    return Err(Errno::EINPROGRESS);
                }
                connection
            }
        };
        self.finish_connecting(&connection, nonblock)
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
        let connection = self.connection()?;
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
        match level {
            SOL_TCP => self.options.set(option, value)?,
            _ => self.common.set(level, option, value)?,
        }
        if let Ok(connection) = self.connection() {
            let now = clock::monotonic_ns();
            let mut tcb = connection.tcb.lock();
            tcb.settings = self.options.settings(&self.common);
            tcb.settings_changed(now);
            if level == n::SOL_SOCKET && matches!(option, n::SO_RCVBUF | n::SO_SNDBUF) {
                tcb.set_limits(self.common.tcp_limits());
            }
            connection.transmit(&mut tcb, now);
            connection.tos.store(self.common.tos.load(Ordering::Relaxed), Ordering::Relaxed);
            drop(tcb);
            poll::sent();
        }
        Ok(())
    }

    fn get_option(&self, level: u32, option: u32, _room: usize) -> SysResult<Vec<u8>> {
        let connection = self.connection().ok();
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR) => {
                let error = connection.and_then(|connection| connection.tcb.lock().take_error());
                error.map_or(0, |error| i32::from(errno(error).0))
            }
            (n::SOL_SOCKET, n::SO_ACCEPTCONN) => i32::from(matches!(&*self.role.lock(), Role::Listening(_))),
            (SOL_TCP, n::TCP_INFO) => {
                return Ok(connection.map_or_else(
                    || {
                        let mut none = alloc::vec![0; 104];
                        none[0] = if matches!(&*self.role.lock(), Role::Listening(_)) { 10 } else { 7 };
                        none
                    },
                    |connection| tcp_info(&connection.tcb.lock()),
                ));
            }
            (SOL_TCP, n::TCP_MAXSEG) if connection.is_some() => {
                connection.map_or(0, |connection| connection.tcb.lock().segment_size() as i32)
            }
            (SOL_TCP, _) => return self.options.get(option),
            (n::SOL_IP, n::IP_MTU) => match connection {
                Some(connection) => connection.hop.interface.mtu() as i32,
                None => return Err(Errno::ENOTCONN),
            },
            _ => return self.common.get(level, option),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}

impl TcpSocket {
    fn connect_pending(&self, connection: &Connection) -> bool {
        connection.tcb.lock().state() == State::SynSent
    }
}
