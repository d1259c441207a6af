//! connect(2).

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;

use fd::socket::{deadline, wait};
use inet::ip::Flow;
use inet::tcp::request::initial_number;
use inet::tcp::{SECOND, State, Tcb};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::socket::{Role, TcpSocket, errno};
use super::{Connection, config, table};
use crate::counts::{self, Count};
use crate::extension::Asked;
use crate::ports::{self, Lease, Protocol};
use crate::socket::Family;
use crate::sockopt::flag;
use crate::{clock, poll, secret};

/// How long a connection of the loopback waits for stragglers before another may take its place
/// (`net.ipv4.tcp_tw_reuse`).
const TIME_TO_REUSE: u64 = SECOND;

impl TcpSocket {
    /// The local address and the port's lease, binding to a free port if there is none yet. Leaves
    /// the role idle without a lease.
    pub(super) fn take_lease(&self, role: &mut Role, local: SocketAddr) -> SysResult<Lease> {
        match role {
            Role::Idle(lease @ Some(_)) => lease.take().ok_or(Errno::EINVAL),
            Role::Idle(None) => ports::take(Protocol::Tcp, local, self.common.sharing(), self.port_range()),
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
        if to.is_ipv4() && self.common.family() == Family::V6 && self.common.v6_only.load(Ordering::Relaxed) {
            return Err(Errno::ENETUNREACH);
        }
        if to.ip().is_multicast() {
            return Err(Errno::ENETUNREACH);
        }
        let asked = self.common.sticky.of(to.is_ipv6());
        let extra = asked.as_ref().map_or(0, Asked::len);
        let bound = match role {
            Role::Idle(Some(lease)) => Some(lease.local),
            _ => None,
        };
        let from = bound.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let first = asked.as_ref().map_or(to.ip(), |asked| asked.first_hop(to.ip()));
        let hop = self.common.route(&SocketAddr::new(first, to.port()), from)?;
        if let Some(asked) = &asked {
            asked.accepts(&hop)?;
        }
        if matches!(to.ip(), core::net::IpAddr::V4(v4) if hop.interface.is_broadcast(&v4)) {
            return Err(Errno::ENETUNREACH);
        }
        let source = match from {
            Some(ip) => ip,
            None if hop.interface.is_loopback() => to.ip(),
            None => hop.source_for(&to.ip()).ok_or(Errno::EADDRNOTAVAIL)?,
        };
        if source.is_ipv4() != to.is_ipv4() {
            return Err(Errno::ENETUNREACH);
        }
        let now = clock::monotonic_ns();
        let flow_from = |port| Flow { local: SocketAddr::new(source, port), remote: to };
        let lease = match role {
            Role::Idle(None) => {
                let unused =
                    |port| table::find(&flow_from(port)).is_none_or(|other| other.waits_since(now) >= TIME_TO_REUSE);
                let taken = ports::take_to_connect(Protocol::Tcp, source, self.common.sharing(), self.port_range(), unused);
                taken.map_err(|_| Errno::EADDRNOTAVAIL)?
            }
            _ => self.take_lease(role, SocketAddr::new(source, 0))?,
        };
        let flow = flow_from(lease.local.port());
        let mut config = config(&hop, &flow, self.options.clamp_window(self.common.tcp_limits()), extra);
        config.mss = self.options.clamp_segment(config.mss);
        let iss = initial_number(secret(), &flow, now);
        let ports = (flow.local.port(), flow.remote.port());
        let mut tcb = Tcb::connect(ports, iss, config, self.options.settings(&self.common), now);
        tcb.set_urgent_inline(self.common.has(flag::OOB_INLINE));
        let queues = [self.readers.clone(), self.writers.clone()];
        let connection = Connection::new(flow, tcb, hop, lease, queues);
        let v6 = to.is_ipv6();
        connection.tos.store(self.common.tos(v6), Ordering::Relaxed);
        connection.ttl.store(self.common.ttl(v6), Ordering::Relaxed);
        *connection.owner.lock() = (self.owner, self.common.inode.load(Ordering::Relaxed));
        if let Some(owner) = self.signal_owner.get() {
            connection.signal_owner.call_once(|| owner.clone());
        }
        connection.heed_filter(&self.common);
        connection.sticky.copy_from(&self.common.sticky);
        *self.error.lock() = None;
        if let Some(other) = table::find(&flow).filter(|other| other.waits_since(now) >= TIME_TO_REUSE) {
            other.give_way();
        }
        if !table::insert(&connection) {
            *role = Role::Idle(connection.take_lease().filter(|_| self.keeps_port()));
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
            State::SynSent | State::SynReceived => None,
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
            Err(_) => {
                self.last_port.store(connection.flow.local.port(), Ordering::Relaxed);
                Role::Idle(connection.take_lease().filter(|_| self.keeps_port()))
            }
        };
        result
    }

    /// connect(2).
    pub(super) fn connect_to(&self, address: &[u8], nonblock: bool) -> SysResult<()> {
        if address.first_chunk().is_some_and(|f| u32::from(u16::from_ne_bytes(*f)) == n::AF_UNSPEC) {
            self.disconnect();
            return Ok(());
        }
        let to = self.common.family().decode(address)?;
        let mut role = self.role.lock();
        let connection = match &*role {
            Role::Listening(_) | Role::Connected(_, true) => return Err(Errno::EISCONN),
            Role::Connected(connection, false) => {
                let connection = connection.clone();
                drop(role);
                if nonblock && connection.tcb.lock().is_connecting() {
                    return Err(Errno::EALREADY);
                }
                connection
            }
            Role::Idle(_) => {
                let connection = self.start_connecting(&mut role, to)?;
                counts::one(Count::TcpActiveOpens);
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
}
