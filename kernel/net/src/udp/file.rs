//! A socket of UDP as the application sees it.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::Ordering;

use fd::io::{Sink, Source};
use fd::poll::{PollTable, ev};
use fd::socket::{Address, Ancillary, Received, Socket, int};
use fd::{FileOps, OpenFile};
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::lite;
use super::socket::{UdpSocket, loopback_like};
use crate::output::{UDP, UDPLITE};
use crate::socket::Family;
use crate::sockopt::{flag, narrowed, path_mtu_info};
use crate::{interface, ports, route, stamp};

/// Levels of the options that these sockets alone have, `SOL_UDP` and `SOL_UDPLITE`: either stands
/// for both, as on Linux.
const OWN_LEVELS: [u32; 2] = [UDP as u32, UDPLITE as u32];
/// Options of the level `SOL_UDP` (linux/udp.h).
const UDP_CORK: u32 = 1;
const UDP_NO_CHECK6_TX: u32 = 101;
const UDP_NO_CHECK6_RX: u32 = 102;
const UDP_SEGMENT: u32 = 103;
pub(super) const UDP_GRO: u32 = 104;

fn family_of(address: &[u8]) -> Option<u32> {
    address.first_chunk().map(|f| u16::from_ne_bytes(*f).into())
}

impl FileOps for UdpSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.receive(to, file.message_flags()).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        self.send(from, None, &Ancillary::default(), file.message_flags())
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        let mut events = ev::WRITABLE | ev::WRBAND;
        let [read, write] = [0, 1].map(|n| self.closed[n].load(Ordering::Acquire));
        if !self.queue.lock().is_empty() || read {
            events |= ev::READABLE;
        }
        if read {
            events |= ev::RDHUP;
        }
        if read && write {
            events |= ev::HUP;
        }
        let noted = !self.reports.is_empty() || !self.zero_copies.is_empty();
        if self.error.lock().is_some() || noted {
            events |= ev::ERR;
        }
        if noted && self.common.has(flag::SELECT_ERR_QUEUE) {
            events |= ev::PRI;
        }
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let bytes = match request {
            FIONREAD => self.queue.lock().front().map_or(0, |datagram| datagram.payload.len()),
            TIOCOUTQ => 0,
            _ => {
                let last = self.last_stamp.load(Ordering::Relaxed);
                return stamp::ioctl(request, arg, last).unwrap_or_else(|| crate::ioctl::interface(request, arg));
            }
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}

impl UdpSocket {
    /// An option of its own level; `None` for one that it has not.
    fn set_own(&self, option: u32, number: i32) -> Option<SysResult<()>> {
        let on = number != 0;
        match option {
            UDP_CORK => {
                self.cork.store(on, Ordering::Relaxed);
                return Some(if on { Ok(()) } else { self.uncork() });
            }
            UDP_SEGMENT => match u16::try_from(number) {
                Ok(size) => self.segment.store(size, Ordering::Relaxed),
                Err(_) => return Some(Err(Errno::EINVAL)),
            },
            UDP_GRO => self.common.flag(flag::GRO, on),
            UDP_NO_CHECK6_TX => self.common.flag(flag::NO_CHECK6_TX, on),
            UDP_NO_CHECK6_RX => self.common.flag(flag::NO_CHECK6_RX, on),
            _ => return self.coverage.as_ref()?.set(option, number).map(Ok),
        }
        Some(Ok(()))
    }

    fn get_own(&self, option: u32) -> Option<i32> {
        let flag = |bit| i32::from(self.common.has(bit));
        Some(match option {
            UDP_CORK => self.cork.load(Ordering::Relaxed).into(),
            UDP_SEGMENT => self.segment.load(Ordering::Relaxed).into(),
            UDP_GRO => flag(flag::GRO),
            UDP_NO_CHECK6_TX => flag(flag::NO_CHECK6_TX),
            UDP_NO_CHECK6_RX => flag(flag::NO_CHECK6_RX),
            // As on Linux, UDP answers that it has none.
            lite::SEND | lite::RECEIVE => self.coverage.as_ref().and_then(|own| own.get(option)).unwrap_or(0),
            _ => return None,
        })
    }

    /// What fits the way to the other side.
    fn path_mtu(&self) -> SysResult<i32> {
        let remote = self.ends.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(route::lookup(&remote.ip())?.mtu())
    }

    /// `IPV6_ADDRFORM`: a socket that is connected by IPv4 becomes one of IPv4.
    fn set_address_form(&self, value: &[u8]) -> SysResult<()> {
        if int(value)? as u32 != n::AF_INET {
            return Err(Errno::EINVAL);
        }
        let remote = self.ends.lock().remote.ok_or(Errno::ENOTCONN)?;
        if remote.is_ipv6() || self.common.v6_only.load(Ordering::Relaxed) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        self.common.become_v4();
        Ok(())
    }
}

impl Socket for UdpSocket {
    fn family(&self) -> u32 {
        self.common.family().number()
    }

    fn kind(&self) -> u32 {
        n::SOCK_DGRAM
    }

    fn protocol(&self) -> u32 {
        UdpSocket::protocol(self).into()
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let local = self.common.local(self.common.family().decode(address)?)?;
        if !self.common.may_bind(&local.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        ports::may_take(local.port())?;
        let mut ends = self.ends.lock();
        if ends.lease.is_some() {
            return Err(Errno::EINVAL);
        }
        self.bind_to(&mut ends, local).map_err(|errno| if errno == Errno::EAGAIN { Errno::EADDRINUSE } else { errno })?;
        self.common.note_bound(&local.ip());
        if let Some(lease) = &mut ends.lease {
            lease.share_as(self.common.sharing());
        }
        ends.port_named = local.port() != 0;
        ends.for_all = interface::is_for_all(&local.ip());
        Ok(())
    }

    fn connect(&self, address: &[u8], _nonblock: bool) -> SysResult<()> {
        if family_of(address) == Some(n::AF_UNSPEC) {
            return self.disconnect();
        }
        let mut to = self.destination(address)?;
        let mut ends = self.ends.lock();
        if to.ip().is_unspecified() {
            to.set_ip(loopback_like(&to));
        }
        ends.source = None;
        let (source, hop) = self.way(&ends, &to)?;
        if matches!(to.ip(), IpAddr::V4(v4) if hop.interface.is_broadcast(&v4))
            && !self.common.broadcast.load(Ordering::Relaxed)
        {
            return Err(Errno::EACCES);
        }
        self.ensure_port(&mut ends)?;
        (ends.remote, ends.source) = (Some(to), Some(source));
        if let Some(lease) = ends.lease.as_ref().filter(|lease| lease.local.ip().is_unspecified()) {
            lease.stand_for(source);
        }
        Ok(())
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(self.common.family().encode(&self.local_of(&self.ends.lock())))
    }

    fn peer_address(&self) -> SysResult<Address> {
        // As on Linux, port 0 is nobody.
        let remote = self.ends.lock().remote.filter(|remote| remote.port() != 0).ok_or(Errno::ENOTCONN)?;
        Ok(self.common.family().encode(&remote))
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        let connected = self.ends.lock().remote.is_some();
        if read {
            self.closed[0].store(true, Ordering::Release);
        }
        if write {
            self.closed[1].store(true, Ordering::Release);
        }
        self.readers.wake_all();
        // As on Linux, it has its effect all the same.
        if connected { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, flags: u32) -> SysResult<usize> {
        self.send(from, to, &with, flags)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        self.receive(to, flags)
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        if OWN_LEVELS.contains(&level) {
            let number = int(value)?;
            return self.set_own(option, number).unwrap_or(Err(Errno::ENOPROTOOPT));
        }
        match (level, option) {
            (n::SOL_IPV6, n::IPV6_V6ONLY) if self.common.family() == Family::V6 && self.ends.lock().lease.is_some() => {
                return Err(Errno::EINVAL);
            }
            (n::SOL_IPV6, n::IPV6_ADDRFORM) if self.common.family() == Family::V6 => return self.set_address_form(value),
            _ => {}
        }
        self.common.set(level, option, value)?;
        if level == n::SOL_SOCKET
            && let Some(lease) = &mut self.ends.lock().lease
        {
            lease.share_as(self.common.sharing());
        }
        Ok(())
    }

    fn get_option_of(&self, level: u32, option: u32, room: usize, buffer: UserAddr) -> SysResult<Vec<u8>> {
        match self.common.group_filter(level, option, room, buffer) {
            Some(filter) => filter,
            None => self.get_option(level, option, room),
        }
    }

    fn get_option(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR) => self.error.lock().take().map_or(0, |error| i32::from(error.0)),
            (n::SOL_SOCKET, n::SO_ACCEPTCONN) => 0,
            (n::SOL_SOCKET, n::SO_PEERNAME) => return self.peer_address(),
            (n::SOL_IP, n::IP_MTU) => self.path_mtu()?,
            (n::SOL_IPV6, n::IPV6_PATHMTU) if self.common.family() == Family::V6 && self.ends.lock().remote.is_some() => {
                return path_mtu_info(self.path_mtu()?, room);
            }
            (n::SOL_IPV6, n::IPV6_MTU) if self.common.family() == Family::V6 => self.path_mtu()?,
            // As on Linux: a raw socket's protocol, another's port.
            (n::SOL_IP, n::IP_PROTOCOL) => self.ends().0.port().into(),
            (n::SOL_IPV6, n::IPV6_ADDRFORM) if self.common.family() == Family::V6 && self.ends.lock().remote.is_some() => {
                self.common.family().number() as i32
            }
            (level, _) if OWN_LEVELS.contains(&level) => self.get_own(option).ok_or(Errno::ENOPROTOOPT)?,
            _ => return self.common.get(level, option, room),
        };
        let value = number.to_ne_bytes().to_vec();
        Ok(if level == n::SOL_IP { narrowed(value, room) } else { value })
    }
}
