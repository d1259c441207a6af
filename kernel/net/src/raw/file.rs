//! A raw socket as the application sees it.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::Ordering;

use fd::io::{Sink, Source};
use fd::poll::{PollTable, ev};
use fd::socket::{Address, Ancillary, Received, Socket, deadline, int, wait};
use fd::{FileOps, OpenFile};
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::{Arrived, RawSocket};
use crate::output::{ICMP, ICMPV6};
use crate::sockopt::narrowed;
use crate::udp::ancillary::Arrival;
use crate::{charge, interface, stamp};

/// `ICMP_FILTER` of level `SOL_RAW`, and `ICMPV6_FILTER` of level `SOL_ICMPV6`; how many words they
/// have.
const FILTER: u32 = 1;
const WORDS: (usize, usize) = (1, 8);
const SOL_ICMPV6: u32 = 58;

impl FileOps for RawSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.receive_message(to, file.message_flags()).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        self.send(from, None, &Ancillary::default(), file.message_flags())
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        let [read, write] = [0, 1].map(|n| self.closed[n].load(Ordering::Acquire));
        let mut events = ev::WRITABLE | ev::WRBAND;
        if read || !self.queue.lock().is_empty() {
            events |= ev::READABLE;
        }
        if read {
            events |= ev::RDHUP;
        }
        if read && write {
            events |= ev::HUP;
        }
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let bytes = match request {
            FIONREAD => self.queue.lock().front().map_or(0, |packet| packet.bytes.len()),
            TIOCOUTQ => 0,
            _ => {
                let last = self.last_stamp.load(Ordering::Relaxed);
                return stamp::ioctl(request, arg, last).unwrap_or_else(|| crate::ioctl::interface(request, arg));
            }
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}

impl RawSocket {
    /// The next packet, taken out unless `peek`.
    fn next(&self, peek: bool) -> Option<Arrived> {
        let mut queue = self.queue.lock();
        if peek {
            let packet = queue.front()?;
            return Some(Arrived { bytes: packet.bytes.clone(), carried: packet.carried.clone(), ..*packet });
        }
        let packet = queue.pop_front()?;
        self.held.fetch_sub(charge(packet.bytes.len()), Ordering::Relaxed);
        Some(packet)
    }

    /// `IPV6_CHECKSUM`: an even offset, or -1. That of ICMPv6 is not to be moved.
    fn set_checksum(&self, number: i32) -> SysResult<()> {
        if self.protocol == ICMPV6 || number > 0 && number % 2 != 0 {
            return Err(Errno::EINVAL);
        }
        self.checksum_at.store(number.max(-1), Ordering::Relaxed);
        Ok(())
    }
}

impl Socket for RawSocket {
    fn family(&self) -> u32 {
        self.common.family().number()
    }

    fn kind(&self) -> u32 {
        if self.ping { n::SOCK_DGRAM } else { n::SOCK_RAW }
    }

    fn protocol(&self) -> u32 {
        self.protocol.into()
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let local = self.common.family().decode(address)?;
        if self.ends.lock().remote.is_some() {
            return Err(Errno::EINVAL);
        }
        // Pings go from one address.
        if self.ping && self.is_v6() && (local.is_ipv4() || local.ip().is_multicast()) {
            return Err(Errno::EINVAL);
        }
        if self.ping && (local.ip().is_multicast() || interface::is_for_all(&local.ip())) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if !self.common.may_bind(&local.ip()) || local.is_ipv6() != self.is_v6() {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let own = Some(local.ip()).filter(|ip| !ip.is_unspecified());
        if self.ping {
            if self.identity.load(Ordering::Relaxed) != 0 {
                return Err(Errno::EINVAL);
            }
            match local.port() {
                0 => drop(self.identify()),
                port if self.is_taken(port, own) => return Err(Errno::EADDRINUSE),
                port => self.identity.store(port, Ordering::Relaxed),
            }
        }
        self.ends.lock().local = own;
        Ok(())
    }

    fn connect(&self, address: &[u8], _nonblock: bool) -> SysResult<()> {
        if address.first_chunk().is_some_and(|f| u32::from(u16::from_ne_bytes(*f)) == n::AF_UNSPEC) {
            let mut ends = self.ends.lock();
            (ends.remote, ends.local) = (None, None);
            return Ok(());
        }
        let mut to = self.common.family().decode(address)?;
        if to.ip().is_unspecified() {
            to.set_ip(super::transmit::localhost(&to.ip()));
        }
        let hop = self.common.route(&to, None)?;
        let source = if hop.interface.is_loopback() { Some(to.ip()) } else { hop.source_for(&to.ip()) };
        if self.ping {
            self.identify();
        }
        let mut ends = self.ends.lock();
        ends.remote = Some(to);
        ends.local = ends.local.or(source);
        Ok(())
    }

    fn local_address(&self) -> SysResult<Address> {
        let local = self.ends.lock().local;
        Ok(self.encode_local(local.unwrap_or(self.common.family().any())))
    }

    fn peer_address(&self) -> SysResult<Address> {
        // As on Linux, port 0 is nobody, though the ports of raw sockets mean nothing.
        let remote = self.ends.lock().remote.filter(|remote| remote.port() != 0).ok_or(Errno::ENOTCONN)?;
        Ok(self.common.family().encode(&remote))
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        let connected = self.ends.lock().remote.is_some();
        for (closed, now) in self.closed.iter().zip([read, write]) {
            closed.fetch_or(now, Ordering::AcqRel);
        }
        self.readers.wake_all();
        if connected { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, flags: u32) -> SysResult<usize> {
        self.send(from, to, &with, flags)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & n::MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN);
        }
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let until = deadline(&self.common.receive_timeout);
        let nonblock = flags & n::MSG_DONTWAIT != 0;
        let next = || match self.next(flags & n::MSG_PEEK != 0) {
            Some(packet) => Some(Some(packet)),
            None => (!nonblock && self.closed[0].load(Ordering::Acquire)).then_some(None),
        };
        let Some(packet) = wait(&self.readers, nonblock, until, next)? else { return Ok(Received::default()) };
        if !stamp::is_wanted(&self.common) {
            self.last_stamp.store(packet.stamp, Ordering::Relaxed);
        }
        let full = packet.bytes.len();
        let copied = if full == 0 || to.remaining() == 0 { 0 } else { to.put(&packet.bytes)? };
        let address = Some(self.common.family().encode(&packet.from));
        let mut control = stamp::control(&self.common, packet.stamp);
        let Arrived { interface, ttl, tos, .. } = packet;
        let (from, carried) = (packet.from.ip(), &packet.carried);
        let to = core::net::SocketAddr::new(packet.to, 0);
        let answered_from = if self.ping { Some(core::net::Ipv4Addr::UNSPECIFIED) } else { None };
        Arrival { options: &self.common, interface, to, ttl, tos, answered_from, from, carried }.control(&mut control);
        Ok(Received { copied, full, address, ancillary: Ancillary { control, ..Ancillary::default() }, flags: 0 })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        let v6 = self.is_v6();
        match (level, option) {
            (n::SOL_RAW, FILTER) if self.protocol == ICMP && !self.ping && !v6 => self.filter.lock().set(value, WORDS.0),
            (SOL_ICMPV6, FILTER) if self.protocol == ICMPV6 && !self.ping && v6 => self.filter.lock().set(value, WORDS.1),
            (n::SOL_RAW, FILTER) if !v6 => return Err(Errno::EOPNOTSUPP),
            (SOL_ICMPV6, _) if v6 && self.protocol != ICMPV6 => return Err(Errno::EOPNOTSUPP),
            (n::SOL_IPV6 | n::SOL_RAW, n::IPV6_CHECKSUM) if v6 && !self.ping => return self.set_checksum(int(value)?),
            (n::SOL_RAW, _) if v6 && !self.ping && value.len() < 4 => return Err(Errno::EINVAL),
            _ => return self.common.set(level, option, value),
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
        let v6 = self.is_v6();
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR | n::SO_ACCEPTCONN) => 0,
            (n::SOL_SOCKET, n::SO_PEERNAME) => return self.peer_address(),
            (n::SOL_RAW, FILTER) if self.protocol == ICMP && !self.ping && !v6 => {
                return Ok(self.filter.lock().bytes(WORDS.0));
            }
            (SOL_ICMPV6, FILTER) if self.protocol == ICMPV6 && !self.ping && v6 => {
                return Ok(self.filter.lock().bytes(WORDS.1));
            }
            (n::SOL_IPV6 | n::SOL_RAW, n::IPV6_CHECKSUM) if v6 && !self.ping => self.checksum_at.load(Ordering::Relaxed),
            (n::SOL_RAW, _) if !v6 && self.protocol == ICMP && !self.ping => return Err(Errno::ENOPROTOOPT),
            (SOL_ICMPV6, _) if v6 && self.protocol != ICMPV6 => return Err(Errno::EOPNOTSUPP),
            (n::SOL_IP, n::IP_MTU) | (n::SOL_IPV6, n::IPV6_MTU) if v6 == (level == n::SOL_IPV6) => {
                let remote: IpAddr = self.ends.lock().remote.ok_or(Errno::ENOTCONN)?.ip();
                self.common.route(&core::net::SocketAddr::new(remote, 0), None)?.mtu()
            }
            (n::SOL_IP, n::IP_PROTOCOL) if !v6 => self.protocol.into(),
            _ => return self.common.get(level, option, room),
        };
        let value = number.to_ne_bytes().to_vec();
        Ok(if level == n::SOL_IP { narrowed(value, room) } else { value })
    }
}
