//! The calls on an `AF_UNIX` socket.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fs::OpenFlags;
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};

use super::channel::Channel;
use super::{Kind, Link, Listener, Role, UnixSocket, name};
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollTable, ev};
use crate::files::socket::{self, Address, Ancillary, PeerCredentials, Received, Socket, deadline, int, wait};
use crate::files::{FileOps, OpenFile, events};
use crate::usermem::UserAddr;

/// The most that a listener's backlog may be (`net.core.somaxconn`).
const SOMAXCONN: i32 = 4096;

impl UnixSocket {
    /// The channel to send into, and the address of a datagram's sender.
    fn target(&self, to: Option<&[u8]>) -> SysResult<Arc<Channel>> {
        let link = self.link();
        let Some(to) = to else {
            return match (link, &*self.role.lock()) {
                (Some(link), _) => Ok(link.send.clone()),
                _ => Err(Errno::ENOTCONN),
            };
        };
        match (self.kind, link.is_some()) {
            (Kind::Datagram, _) => {
                let target = name::find(name::decode(to)?)?;
                if target.kind != self.kind {
                    return Err(Errno::EPROTOTYPE);
                }
                // Who is connected takes datagrams from its peer alone.
                let foreign = target.link().is_some_and(|theirs| !Arc::ptr_eq(&theirs.send, &self.inbox));
                if foreign { Err(Errno::EPERM) } else { Ok(target.inbox.clone()) }
            }
            (_, true) => Err(Errno::EISCONN),
            (_, false) => Err(Errno::EOPNOTSUPP),
        }
    }

    fn send_with(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, nonblock: bool) -> SysResult<usize> {
        if self.kind == Kind::Datagram && self.shut_for_writing.load(Ordering::Relaxed) {
            return Err(Errno::EPIPE);
        }
        let limit = self.send_buffer.load(Ordering::Relaxed) as usize;
        let credentials = with.credentials.unwrap_or_else(PeerCredentials::of_current);
        let with = Ancillary { credentials: Some(credentials), ..with };
        let sender = self.address.lock().clone().unwrap_or_default();
        // A peer that went without reading all is told of once, of packets by whatever comes first.
        if self.kind == Kind::SeqPacket && self.link().is_some_and(|link| link.receive.take_reset()) {
            return Err(Errno::ECONNRESET);
        }
        let until = deadline(&self.send_timeout);
        let sent = match self.kind {
            Kind::Stream => self.target(to)?.send(from, (with, sender), limit, nonblock, until),
            Kind::SeqPacket => {
                let channel = self.target(to)?;
                channel.check_open()?;
                channel.send_packet(Channel::packet(from, limit)?, (with, sender), limit, nonblock, until)
            }
            // The bytes are looked at before the address.
            Kind::Datagram => {
                let bytes = Channel::packet(from, limit)?;
                self.target(to)?.send_packet(bytes, (with, sender), limit, nonblock, until)
            }
        };
        if sent == Err(Errno::ECONNREFUSED) && to.is_none() && self.kind == Kind::Datagram {
            // The peer is gone, and with it the connection and what it had sent.
            *self.role.lock() = Role::Idle;
            self.inbox.clear();
        }
        sent
    }

    fn receive_with(&self, to: &mut Sink<'_>, nonblock: bool, peek: bool) -> SysResult<Received> {
        let channel = match (self.kind, self.link()) {
            (Kind::Datagram, _) => self.inbox.clone(),
            (_, Some(link)) => link.receive.clone(),
            (Kind::Stream, None) => return Err(Errno::EINVAL),
            (Kind::SeqPacket, None) => return Err(Errno::ENOTCONN),
        };
        let credentials = self.pass_credentials.load(Ordering::Relaxed);
        let mut received = channel.receive(to, peek, nonblock, deadline(&self.receive_timeout), credentials)?;
        if !credentials {
            received.ancillary.credentials = None;
        }
        Ok(received)
    }

    fn connect_stream(&self, to: &Arc<UnixSocket>, nonblock: bool) -> SysResult<()> {
        let listener = match &*to.role.lock() {
            Role::Listening(listener) if !to.inbox.is_ended() => listener.clone(),
            _ => return Err(Errno::ECONNREFUSED),
        };
        let own = PeerCredentials::of_current();
        let until = deadline(&self.send_timeout);
        let accepted = UnixSocket::new(self.kind);
        let [ours, theirs] = UnixSocket::link_pair(self, &accepted);
        let theirs = Link { peer: own, peer_name: self.address.lock().clone(), ..theirs };
        let ours = Link { peer: listener.credentials, peer_name: to.address.lock().clone(), ..ours };
        *accepted.role.lock() = Role::Connected(Arc::new(theirs));
        *accepted.address.lock() = to.address.lock().clone();
        let mut accepted = Some(accepted);
        wait(&listener.connectors, nonblock, until, || {
            let mut waiting = listener.waiting.lock();
            if listener.closed.load(Ordering::Acquire) {
                return Some(Err(Errno::ECONNREFUSED));
            }
            if waiting.len() > listener.backlog.load(Ordering::Relaxed) {
                return None;
            }
            waiting.extend(accepted.take());
            Some(Ok(()))
        })??;
        *self.role.lock() = Role::Connected(Arc::new(ours));
        to.readers.wake(1, ev::READABLE);
        self.readers.wake_all();
        self.writers.wake_all();
        Ok(())
    }

    /// What poll(2) says of shutdown(2) where nothing is connected.
    fn shut_events(&self) -> u32 {
        match (self.inbox.is_ended(), self.shut_for_writing.load(Ordering::Relaxed)) {
            (false, _) => 0,
            (true, false) => ev::READABLE | ev::RDHUP,
            (true, true) => ev::READABLE | ev::RDHUP | ev::HUP,
        }
    }
}

impl FileOps for UnixSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        // Unlike recv(2), read(2) of nothing asks nobody.
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.receive_with(to, file.message_flags() != 0, false).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let result = self.send_with(from, None, Ancillary::default(), file.message_flags() != 0);
        if result == Err(Errno::EPIPE) && self.kind != Kind::Datagram {
            events::broken_pipe();
        }
        result
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        table.add(&self.writers);
        let link = match &*self.role.lock() {
            Role::Listening(listener) => {
                let ready = if listener.waiting.lock().is_empty() { 0 } else { ev::READABLE };
                return ready | self.shut_events();
            }
            Role::Connected(link) => Some(link.clone()),
            Role::Idle => None,
        };
        let limit = self.send_buffer.load(Ordering::Relaxed) as usize;
        let Some(link) = link else {
            let more = match self.kind {
                Kind::Datagram if self.inbox.has_bytes() => ev::READABLE,
                Kind::Datagram => 0,
                _ => ev::HUP,
            };
            return ev::WRITABLE | ev::WRBAND | more | self.shut_events();
        };
        table.add(&link.send.writers);
        let mut events = 0;
        let ended = link.receive.is_ended();
        if link.receive.has_bytes() || ended {
            events |= ev::READABLE;
        }
        if ended {
            events |= ev::RDHUP;
        }
        let no_writing = match self.kind {
            Kind::Datagram => self.shut_for_writing.load(Ordering::Relaxed),
            _ => link.send.is_closed_for_writing(),
        };
        if ended && no_writing {
            events |= ev::HUP;
        }
        if link.receive.is_reset() {
            events |= ev::ERR;
        }
        if link.send.has_room(limit) {
            events |= ev::WRITABLE | ev::WRBAND;
        }
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let link = self.link();
        let bytes = match (request, &link) {
            (FIONREAD | TIOCOUTQ, _) if matches!(&*self.role.lock(), Role::Listening(_)) => return Err(Errno::EINVAL),
            (FIONREAD, Some(link)) => link.receive.next_len(),
            (FIONREAD, None) => self.inbox.next_len(),
            (TIOCOUTQ, Some(link)) => link.send.len(),
            (TIOCOUTQ, None) => 0,
            _ => return crate::net::ioctl::interface(request, arg),
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}

impl Socket for UnixSocket {
    fn family(&self) -> u32 {
        net::AF_UNIX
    }

    fn kind(&self) -> u32 {
        self.kind.number()
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let name = name::decode(address)?;
        let me = self.me.upgrade().ok_or(Errno::EINVAL)?;
        if self.address.lock().is_some() {
            // Asking once more for any name is not an error.
            return match name {
                [] => Ok(()),
                // A bad name is told of first.
                name => Err(name::is_free(name).err().unwrap_or(Errno::EINVAL)),
            };
        }
        let bound = name::bind(&me, name)?;
        *self.address.lock() = Some(bound);
        Ok(())
    }

    fn listen(&self, backlog: i32) -> SysResult<()> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        if self.address.lock().is_none() {
            return Err(Errno::EINVAL);
        }
        let backlog = if backlog < 0 { SOMAXCONN } else { backlog.min(SOMAXCONN) } as usize;
        let mut role = self.role.lock();
        match &*role {
            Role::Listening(listener) => {
                listener.backlog.store(backlog, Ordering::Relaxed);
                listener.connectors.wake_all();
            }
            Role::Connected(_) => return Err(Errno::EINVAL),
            Role::Idle => *role = Role::Listening(Listener::new(backlog)),
        }
        Ok(())
    }

    fn accept(&self, nonblock: bool, flags: OpenFlags) -> SysResult<(Arc<OpenFile>, Address)> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        let listener = match &*self.role.lock() {
            Role::Listening(listener) => listener.clone(),
            _ => return Err(Errno::EINVAL),
        };
        let next = || {
            let next = listener.waiting.lock().pop_front();
            let ended = listener.closed.load(Ordering::Acquire) || !nonblock && self.inbox.is_ended();
            if next.is_none() && ended { Some(None) } else { next.map(Some) }
        };
        let accepted = wait(&self.readers, nonblock, deadline(&self.receive_timeout), next)?.ok_or(Errno::EINVAL)?;
        listener.connectors.wake(1, ev::WRITABLE);
        accepted.pass_credentials.store(self.pass_credentials.load(Ordering::Relaxed), Ordering::Relaxed);
        let peer = accepted.peer_address().unwrap_or_else(|_| name::unnamed());
        Ok((socket::open(accepted, flags), peer))
    }

    fn connect(&self, address: &[u8], nonblock: bool) -> SysResult<()> {
        if self.kind == Kind::Datagram {
            if address.first_chunk().is_some_and(|f| u32::from(u16::from_ne_bytes(*f)) == net::AF_UNSPEC) {
                *self.role.lock() = Role::Idle;
                return Ok(());
            }
            let target = name::find(name::decode(address)?)?;
            if target.kind != self.kind {
                return Err(Errno::EPROTOTYPE);
            }
            if target.link().is_some_and(|theirs| !Arc::ptr_eq(&theirs.send, &self.inbox)) {
                return Err(Errno::EPERM);
            }
            let peer_name = target.address.lock().clone();
            let link = Link {
                receive: self.inbox.clone(),
                send: target.inbox.clone(),
                peer: PeerCredentials::of_current(),
                peer_name,
            };
            *self.role.lock() = Role::Connected(Arc::new(link));
            return Ok(());
        }
        let target = name::find(name::decode(address)?)?;
        if target.kind != self.kind {
            return Err(Errno::EPROTOTYPE);
        }
        if !matches!(&*target.role.lock(), Role::Listening(_)) {
            return Err(Errno::ECONNREFUSED);
        }
        match &*self.role.lock() {
            Role::Idle => {}
            Role::Connected(_) => return Err(Errno::EISCONN),
            Role::Listening(_) => return Err(Errno::EINVAL),
        }
        self.connect_stream(&target, nonblock)
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(self.address.lock().clone().unwrap_or_else(name::unnamed))
    }

    fn peer_address(&self) -> SysResult<Address> {
        let link = self.link().ok_or(Errno::ENOTCONN)?;
        Ok(link.peer_name.clone().unwrap_or_else(name::unnamed))
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        if self.kind == Kind::Datagram {
            // It is this socket alone that is shut: others go on sending to the peer.
            self.shut_for_writing.fetch_or(write, Ordering::Relaxed);
            if read {
                self.inbox.close_writing();
            }
            self.writers.wake_all();
            return Ok(());
        }
        let link = match &*self.role.lock() {
            Role::Connected(link) => link.clone(),
            Role::Listening(_) | Role::Idle => {
                self.shut_for_writing.fetch_or(write, Ordering::Relaxed);
                if read {
                    self.inbox.close_writing();
                    self.readers.wake_all();
                }
                return Ok(());
            }
        };
        if read {
            link.receive.close_reading();
        }
        if write {
            link.send.close_writing();
        }
        Ok(())
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, flags: u32) -> SysResult<usize> {
        if flags & net::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        self.send_with(from, to, with, flags & net::MSG_DONTWAIT != 0)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & net::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let nonblock = flags & net::MSG_DONTWAIT != 0;
        let peek = flags & net::MSG_PEEK != 0;
        let mut received = self.receive_with(to, nonblock, peek)?;
        let all = flags & net::MSG_WAITALL != 0 && !peek && self.kind == Kind::Stream;
        while all && to.remaining() > 0 && received.ancillary.files.is_empty() {
            match self.receive_with(to, nonblock, false) {
                Ok(more) if more.copied > 0 => {
                    received.copied += more.copied;
                    received.ancillary.files.extend(more.ancillary.files);
                }
                _ => break,
            }
        }
        if self.kind == Kind::Stream {
            received.full = received.copied;
        }
        Ok(received)
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        /// Least buffer that Linux grants (`SOCK_MIN_SNDBUF`), and the most without privilege (`wmem_max`), both doubled.
        const BUFFER: core::ops::RangeInclusive<u32> = 4608..=425_984;
        if level != net::SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        if matches!(option, net::SO_RCVTIMEO | net::SO_SNDTIMEO) {
            let slot = if option == net::SO_RCVTIMEO { &self.receive_timeout } else { &self.send_timeout };
            slot.store(socket::timeval(value)?, Ordering::Relaxed);
            return Ok(());
        }
        let number = int(value)?;
        match option {
            net::SO_SNDBUF | net::SO_RCVBUF => {
                let granted = (number.max(0) as u32).saturating_mul(2).clamp(*BUFFER.start(), *BUFFER.end());
                let slot = if option == net::SO_SNDBUF { &self.send_buffer } else { &self.receive_buffer };
                slot.store(granted, Ordering::Relaxed);
            }
            net::SO_PASSCRED => self.pass_credentials.store(number != 0, Ordering::Relaxed),
            // These mean nothing here, and are taken as on Linux.
            net::SO_REUSEADDR | net::SO_REUSEPORT | net::SO_KEEPALIVE | net::SO_BROADCAST | net::SO_LINGER => {}
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn get_option(&self, level: u32, option: u32, _room: usize) -> SysResult<Vec<u8>> {
        if level != net::SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        let number = match option {
            net::SO_PEERCRED => {
                let nobody = PeerCredentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
                return Ok(self.link().map_or(nobody, |link| link.peer).bytes().to_vec());
            }
            net::SO_RCVTIMEO => return Ok(socket::timeval_bytes(self.receive_timeout.load(Ordering::Relaxed))),
            net::SO_SNDTIMEO => return Ok(socket::timeval_bytes(self.send_timeout.load(Ordering::Relaxed))),
            net::SO_ERROR => {
                let reset = self.link().is_some_and(|link| link.receive.take_reset());
                if reset { Errno::ECONNRESET.0 as u32 } else { 0 }
            }
            net::SO_ACCEPTCONN => u32::from(matches!(&*self.role.lock(), Role::Listening(_))),
            net::SO_SNDBUF => self.send_buffer.load(Ordering::Relaxed),
            net::SO_RCVBUF => self.receive_buffer.load(Ordering::Relaxed),
            net::SO_PASSCRED => u32::from(self.pass_credentials.load(Ordering::Relaxed)),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
