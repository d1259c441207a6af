//! The calls on an `AF_UNIX` socket.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fd::io::{Sink, Source};
use fd::poll::{PollTable, ev};
use fd::socket::{Address, Ancillary, PeerCredentials, Received, Socket, deadline, int};
use fd::{FileOps, OpenFile, events};
use fs::OpenFlags;
use linux_raw_sys::ioctl::{FIONREAD, SIOCATMARK, TIOCOUTQ};
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::receive_queue::{self, Parcel, ReceiveQueue};
use super::{Kind, Peer, Role, UnixSocket, in_flight, name, receive};

impl UnixSocket {
    /// The queue to send datagrams into: to an address, or to the peer.
    fn target(&self, to: Option<&[u8]>) -> SysResult<Arc<ReceiveQueue>> {
        let Some(to) = to else {
            let link = self.link().ok_or(Errno::ENOTCONN)?;
            let peer = link.send.receiver.upgrade();
            let takes = peer.is_none_or(|peer| peer.takes_from(self));
            return if takes { Ok(link.send.clone()) } else { Err(Errno::EPERM) };
        };
        let target = name::find(name::decode(to)?)?;
        if target.kind != self.kind {
            return Err(Errno::EPROTOTYPE);
        }
        if target.takes_from(self) { Ok(target.inbox.clone()) } else { Err(Errno::EPERM) }
    }

    /// What goes along with a message into `peer_queue`: the sender's ids if it names some, or
    /// either end asks for them.
    fn parcel(&self, with: Ancillary, peer_queue: &ReceiveQueue) -> Parcel {
        let asked = self.options.flags.passes_ids() || peer_queue.wants.passes_ids();
        let own = || asked.then(PeerCredentials::of_sender);
        Parcel { files: with.files, credentials: with.credentials.or_else(own) }
    }

    fn send_with(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, flags: u32) -> SysResult<usize> {
        let how = receive_queue::How {
            limit: self.options.send_limit(),
            nonblock: flags & net::MSG_DONTWAIT != 0,
            deadline: deadline(&self.options.send_timeout),
        };
        let urgent = flags & net::MSG_OOB != 0;
        match self.kind {
            Kind::Stream => {
                let link = self.link();
                match (to, &link) {
                    (Some(_), Some(_)) => Err(Errno::EISCONN),
                    (Some(_), None) => Err(Errno::EOPNOTSUPP),
                    (None, None) => Err(Errno::ENOTCONN),
                    (None, Some(link)) => link.send.send(from, self.parcel(with, &link.send), urgent, how),
                }
            }
            Kind::Datagram if urgent => Err(Errno::EOPNOTSUPP),
            Kind::SeqPacket => {
                let link = self.link();
                // A peer that went without reading all is told of once, by whatever comes first.
                if let Some(link) = &link {
                    link.receive.take_error()?;
                }
                // An address means nothing here.
                let peer_queue = &link.ok_or(Errno::ENOTCONN)?.send;
                if urgent {
                    return Err(Errno::EOPNOTSUPP);
                }
                peer_queue.check_open()?;
                let bytes = ReceiveQueue::packet(from, how.limit)?;
                peer_queue.send_packet(bytes, self.parcel(with, peer_queue), &self.sender, || true, how)
            }
            Kind::Datagram => self.send_datagram(from, to, with, how),
        }
    }

    fn send_datagram(
        &self,
        from: &mut Source<'_>,
        to: Option<&[u8]>,
        with: Ancillary,
        how: receive_queue::How,
    ) -> SysResult<usize> {
        if let Some(to) = to {
            name::decode(to)?;
        }
        self.name_if_wanted()?;
        // The bytes are looked at before the address.
        let bytes = ReceiveQueue::packet(from, how.limit)?;
        self.inbox.take_error()?;
        if self.shut_for_writing.load(Ordering::Relaxed) {
            return Err(Errno::EPIPE);
        }
        let peer_queue = self.target(to)?;
        let peers = || self.is_peer_of(&peer_queue);
        let sent = peer_queue.send_packet(bytes, self.parcel(with, &peer_queue), &self.sender, peers, how);
        if sent == Err(Errno::ECONNREFUSED) && to.is_none() {
            self.lose_peer();
        }
        sent
    }

    /// Whether who receives by `peer_queue` sends to this socket only.
    fn is_peer_of(&self, peer_queue: &ReceiveQueue) -> bool {
        let receiver = peer_queue.receiver.upgrade();
        receiver.is_some_and(|socket| socket.link().is_some_and(|theirs| Arc::ptr_eq(&theirs.send, &self.inbox)))
    }

    fn receive_with(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        let peer_queue = match (self.kind, self.link()) {
            (Kind::Datagram, _) => self.inbox.clone(),
            (_, Some(link)) => link.receive.clone(),
            (Kind::Stream, None) => return Err(Errno::EINVAL),
            (Kind::SeqPacket, None) => return Err(Errno::ENOTCONN),
        };
        let peek = flags & net::MSG_PEEK != 0;
        if flags & net::MSG_OOB != 0 {
            let stream = self.kind == Kind::Stream;
            let in_line = self.options.flags.urgent_in_line();
            return if stream { peer_queue.receive_urgent(to, peek, in_line) } else { Err(Errno::EOPNOTSUPP) };
        }
        let how = receive::How {
            peek,
            all: flags & net::MSG_WAITALL != 0,
            nonblock: flags & net::MSG_DONTWAIT != 0,
            deadline: deadline(&self.options.receive_timeout),
            least: self.options.least(),
            flags: &self.options.flags,
        };
        peer_queue.receive(to, &how)
    }

    /// What poll(2) says of shutdown(2) where nothing is connected.
    fn shut_events(&self) -> u32 {
        match (self.inbox.is_ended(), self.shut_for_writing.load(Ordering::Relaxed)) {
            (false, _) => 0,
            (true, false) => ev::READABLE | ev::RDHUP,
            (true, true) => ev::READABLE | ev::RDHUP | ev::HUP,
        }
    }

    /// Who is at the other side, or listens here.
    fn peer(&self) -> Option<Peer> {
        match &*self.role.lock() {
            Role::Connected(link) => link.peer.clone(),
            Role::Listening(listener) => Some(listener.peer.clone()),
            Role::Idle => None,
        }
    }

    /// `SO_MEMINFO` (linux/sock_diag.h).
    pub(super) fn memory(&self) -> [usize; 9] {
        let (sent, limit) = (self.sender.used(), self.options.send_limit());
        [0, self.options.receive_limit(), sent, limit, 0, 0, 0, 0, 0]
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
        self.receive_with(to, file.message_flags()).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let result = self.send_with(from, None, Ancillary::default(), file.message_flags());
        if result == Err(Errno::EPIPE) && self.kind != Kind::Datagram {
            events::broken_pipe();
        }
        result
    }

    fn flush(&self, _file: &OpenFile) {
        in_flight::suspect(self);
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        table.add(&self.sender.writers);
        let link = match &*self.role.lock() {
            Role::Listening(listener) => {
                let ready = if listener.waiting.lock().is_empty() { 0 } else { ev::READABLE };
                return ready | self.shut_events();
            }
            Role::Connected(link) => Some(link.clone()),
            Role::Idle => None,
        };
        let room = self.sender.has_room(self.options.send_limit());
        let writable = if room { ev::WRITABLE | ev::WRBAND } else { 0 };
        let Some(link) = link else {
            let more = match self.kind {
                Kind::Datagram if self.inbox.has_messages() => ev::READABLE,
                Kind::Datagram => 0,
                _ => ev::HUP,
            };
            let error = if self.inbox.is_reset() { ev::ERR } else { 0 };
            return writable | more | error | self.shut_events();
        };
        let mut events = writable;
        if self.kind == Kind::Datagram {
            table.add(&link.send.room);
            if link.send.is_full() && !self.is_peer_of(&link.send) {
                events = 0;
            }
        }
        let ended = link.receive.is_ended();
        if link.receive.has_messages() || ended {
            events |= ev::READABLE;
        }
        if ended {
            events |= ev::RDHUP;
        }
        let no_writing = match self.kind {
            Kind::Datagram => self.shut_for_writing.load(Ordering::Relaxed),
            _ => link.send.is_ended(),
        };
        if ended && no_writing {
            events |= ev::HUP;
        }
        if link.receive.is_urgent() {
            events |= ev::PRI;
        }
        if link.receive.is_reset() {
            events |= ev::ERR;
        }
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let receive = self.link().map_or_else(|| self.inbox.clone(), |link| link.receive.clone());
        let answer = match request {
            FIONREAD if matches!(&*self.role.lock(), Role::Listening(_)) => return Err(Errno::EINVAL),
            FIONREAD => receive.next_len(),
            TIOCOUTQ => self.sender.used(),
            SIOCATMARK if self.kind != Kind::Stream => return Err(Errno::EOPNOTSUPP),
            SIOCATMARK => usize::from(receive.at_mark()),
            _ => return ::net::ioctl::interface(request, arg),
        };
        arg.cast::<i32>().write(answer as i32).map(|()| 0)
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
        self.bind_to(address)
    }

    fn listen(&self, backlog: i32) -> SysResult<()> {
        self.listen_with(backlog)
    }

    fn accept(&self, nonblock: bool, flags: OpenFlags) -> SysResult<(Arc<OpenFile>, Address)> {
        self.accept_one(nonblock, flags)
    }

    fn connect(&self, address: &[u8], nonblock: bool) -> SysResult<()> {
        self.connect_to(address, nonblock)
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(self.sender.name.get().cloned().unwrap_or_else(name::unnamed))
    }

    fn peer_address(&self) -> SysResult<Address> {
        let link = self.link().ok_or(Errno::ENOTCONN)?;
        Ok(link.other.name.get().cloned().unwrap_or_else(name::unnamed))
    }

    fn shutdown(&self, read: bool, write: bool) -> SysResult<()> {
        if self.kind == Kind::Datagram {
            // It is this socket alone that is shut: others go on sending to the peer.
            self.shut_for_writing.fetch_or(write, Ordering::Relaxed);
            if read {
                self.inbox.close_writing();
            }
            self.sender.writers.wake_all();
            return Ok(());
        }
        let link = match &*self.role.lock() {
            Role::Connected(link) => link.clone(),
            Role::Listening(_) | Role::Idle => {
                self.shut_for_writing.fetch_or(write, Ordering::Relaxed);
                if read {
                    self.inbox.close_writing();
                }
                self.readers.wake_all();
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
        self.send_with(from, to.filter(|to| !to.is_empty()), with, flags)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        self.receive_with(to, flags)
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        match option {
            _ if level != net::SOL_SOCKET => Err(Errno::EOPNOTSUPP),
            net::SO_INQ if self.kind != Kind::Stream && value.len() >= 4 => Err(Errno::ENOPROTOOPT),
            net::SO_INQ if value.len() != 4 || !matches!(int(value), Ok(0 | 1)) => Err(Errno::EINVAL),
            _ => self.options.set(option, value),
        }
    }

    fn get_option(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        if level != net::SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        match option {
            net::SO_PEERCRED => {
                let nobody = PeerCredentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
                Ok(self.peer().map_or(nobody, |peer| peer.credentials()).bytes().to_vec())
            }
            net::SO_PEERGROUPS => {
                let peer = self.peer().ok_or(Errno::ENODATA)?;
                Ok(peer.ids.groups.iter().flat_map(|group| group.to_ne_bytes()).collect())
            }
            net::SO_PEERPIDFD => {
                let peer = self.peer().ok_or(Errno::ENODATA)?;
                let pidfd = super::pidfd(peer.pid)?;
                let fd = fd::caller_table()?.insert(pidfd, true)?;
                Ok(fd.to_ne_bytes().to_vec())
            }
            net::SO_PEERNAME => {
                let name = self.peer_address()?;
                if name.len() < room { Err(Errno::EINVAL) } else { Ok(name) }
            }
            net::SO_ERROR => {
                let link = self.link();
                let peer_queue = link.as_ref().map_or(&self.inbox, |link| &link.receive);
                let error = peer_queue.take_error().map_or_else(|errno| i32::from(errno.0), |()| 0);
                Ok(error.to_ne_bytes().to_vec())
            }
            net::SO_ACCEPTCONN => Ok(i32::from(matches!(&*self.role.lock(), Role::Listening(_))).to_ne_bytes().to_vec()),
            net::SO_COOKIE if room < 8 => Err(Errno::EINVAL),
            net::SO_COOKIE => Ok(self.cookie.to_ne_bytes().to_vec()),
            net::SO_MEMINFO => Ok(self.memory().iter().flat_map(|word| (*word as u32).to_ne_bytes()).collect()),
            _ => self.options.get(option, room),
        }
    }
}
