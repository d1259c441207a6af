//! The options of a TCP socket, and of the connection behind it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::Ordering;

use fd::socket::{Socket as _, int};
use inet::tcp::State;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::Connection;
use super::options::{Stage, tcp_info};
use super::socket::{Role, SOL_TCP, TcpSocket, errno};
use crate::socket::Family;
use crate::sockopt::{flag, path_mtu_info};
use crate::{clock, poll};

const MS: u64 = 1_000_000;
/// Size of a `struct tcp_info` of a socket that is not connected.
const TCP_INFO: usize = 240;

impl TcpSocket {
    /// setsockopt(2).
    pub(super) fn set(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        match (level, option) {
            (SOL_TCP, _) => {
                let stage = match &*self.role.lock() {
                    Role::Idle(_) => Stage::Closed,
                    Role::Listening(_) => Stage::Listening,
                    Role::Connected(..) => Stage::Connected,
                };
                self.options.set(option, value, stage)?;
            }
            (n::SOL_IPV6, n::IPV6_V6ONLY) if self.common.family() == Family::V6 && self.is_bound() => {
                return Err(Errno::EINVAL);
            }
            (n::SOL_IPV6, n::IPV6_ADDRFORM) => return self.set_address_form(value),
            _ => self.common.set(level, option, value)?,
        }
        if level == n::SOL_SOCKET
            && let Role::Idle(Some(lease)) = &mut *self.role.lock()
        {
            lease.share_as(self.common.sharing());
        }
        if let Ok(connection) = self.connection() {
            if matches!(level, n::SOL_IP | n::SOL_IPV6) {
                connection.take_sticky(&self.common.sticky);
            }
            let now = clock::monotonic_ns();
            let mut tcb = connection.tcb.lock();
            tcb.settings = self.options.settings(&self.common);
            tcb.settings_changed(now);
            if level == SOL_TCP && option == n::TCP_QUICKACK {
                // An even number lets go what waits, and is none from then on.
                tcb.set_quick_ack(int(value)? & 1 != 0);
            }
            let buffers = level == n::SOL_SOCKET
                && matches!(option, n::SO_RCVBUF | n::SO_SNDBUF | n::SO_RCVBUFFORCE | n::SO_SNDBUFFORCE);
            if buffers || level == SOL_TCP && option == n::TCP_WINDOW_CLAMP {
                tcb.set_limits(self.options.clamp_window(self.common.tcp_limits()));
            }
            tcb.set_urgent_inline(self.common.has(flag::OOB_INLINE));
            connection.heed_filter(&self.common);
            connection.transmit(&mut tcb, now);
            let v6 = connection.flow.remote.is_ipv6();
            connection.tos.store(self.common.tos(v6), Ordering::Relaxed);
            connection.ttl.store(self.common.ttl(v6), Ordering::Relaxed);
            drop(tcb);
            if buffers {
                // There may be room now.
                self.writers.wake_all();
            }
            poll::sent();
        }
        Ok(())
    }

    fn is_bound(&self) -> bool {
        !matches!(&*self.role.lock(), Role::Idle(None))
    }

    /// `IPV6_ADDRFORM`: a connection of IPv4 in IPv6 dress takes it off.
    fn set_address_form(&self, value: &[u8]) -> SysResult<()> {
        if self.common.family() != Family::V6 {
            return Err(Errno::ENOPROTOOPT);
        }
        if int(value)? as u32 != n::AF_INET {
            return Err(Errno::EINVAL);
        }
        let connection = self.connection()?;
        if connection.tcb.lock().state() != State::Established {
            return Err(Errno::ENOTCONN);
        }
        if !matches!(connection.flow.remote.ip(), IpAddr::V4(_)) || self.common.v6_only.load(Ordering::Relaxed) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        self.common.become_v4();
        Ok(())
    }

    /// getsockopt(2) of what there is `room` for.
    pub(super) fn get(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        let connection = self.connection().ok();
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR) => {
                let error = connection.and_then(|connection| connection.tcb.lock().take_error()).map(errno);
                error.or_else(|| self.take_idle_error()).map_or(0, |errno| i32::from(errno.0))
            }
            (n::SOL_SOCKET, n::SO_ACCEPTCONN) => i32::from(matches!(&*self.role.lock(), Role::Listening(_))),
            (n::SOL_SOCKET, n::SO_PEERNAME) => return self.peer_address(),
            (n::SOL_SOCKET, n::SO_SNDBUF) if connection.is_some() => {
                connection.map_or(0, |connection| connection.tcb.lock().send_limit() as i32)
            }
            (SOL_TCP, n::TCP_INFO) => {
                return Ok(connection.map_or_else(
                    || {
                        let mut none = alloc::vec![0; TCP_INFO];
                        none[0] = if matches!(&*self.role.lock(), Role::Listening(_)) { 10 } else { 7 };
                        none
                    },
                    |connection| tcp_info(&connection.tcb.lock()),
                ));
            }
            (SOL_TCP, n::TCP_MAXSEG) if connection.is_some() => {
                connection.map_or(0, |connection| connection.tcb.lock().segment_size() as i32)
            }
            (SOL_TCP, n::TCP_QUICKACK) if connection.is_some() => {
                connection.is_some_and(|connection| connection.tcb.lock().quick_ack()).into()
            }
            (SOL_TCP, n::TCP_SAVED_SYN) => return saved_syn(connection, room),
            (SOL_TCP, n::TCP_TIMESTAMP) => (clock::monotonic_ns() / MS) as i32,
            // The bytes come by pages only to a mapping of the socket, of which there is none.
            (SOL_TCP, n::TCP_ZEROCOPY_RECEIVE) => return Err(Errno::EINVAL),
            (SOL_TCP, _) => return self.options.get(option),
            // As on Linux: a raw socket's protocol, another's port.
            (n::SOL_IP, n::IP_PROTOCOL) => self.local().port().into(),
            (n::SOL_IP, n::IP_MTU) | (n::SOL_IPV6, n::IPV6_MTU) => match connection {
                _ if level == n::SOL_IPV6 && self.common.family() == Family::V4 => return Err(Errno::EOPNOTSUPP),
                Some(connection) => connection.hop.mtu(),
                None => return Err(Errno::ENOTCONN),
            },
            (n::SOL_IPV6, n::IPV6_PATHMTU)
                if self.common.family() == Family::V6
                    && let Some(connection) = &connection =>
            {
                return path_mtu_info(connection.hop.mtu(), room);
            }
            (n::SOL_IPV6, n::IPV6_ADDRFORM)
                if self.common.family() == Family::V6
                    && connection.is_some_and(|connection| connection.tcb.lock().state() == State::Established) =>
            {
                self.common.family().number() as i32
            }
            _ => return self.common.get(level, option, room),
        };
        let value = number.to_ne_bytes().to_vec();
        Ok(if level == n::SOL_IP { crate::sockopt::narrowed(value, room) } else { value })
    }
}

/// The headers of the `SYN` that opened an accepted connection, once (`TCP_SAVED_SYN`). Where there
/// is no room for them they stay.
fn saved_syn(connection: Option<Arc<Connection>>, room: usize) -> SysResult<Vec<u8>> {
    let Some(connection) = connection else { return Ok(Vec::new()) };
    let mut saved = connection.saved_syn.lock();
    if saved.as_ref().is_some_and(|syn| syn.len() > room) {
        return Err(Errno::EINVAL);
    }
    Ok(saved.take().map_or(Vec::new(), |syn| syn.to_vec()))
}
