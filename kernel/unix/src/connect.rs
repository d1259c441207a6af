//! How `AF_UNIX` sockets come to each other: bind(2), listen(2), connect(2), accept(2).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use fd::OpenFile;
use fd::poll::ev;
use fd::socket::{Address, Socket, deadline, wait};
use fs::OpenFlags;
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};

use super::{Kind, Link, Listener, Peer, Role, UnixSocket, name};

/// The most that a listener's backlog may be (`net.core.somaxconn`).
const SOMAXCONN: i32 = 4096;

impl UnixSocket {
    pub(super) fn bind_to(&self, address: &[u8]) -> SysResult<()> {
        let name = name::decode(address)?;
        let me = self.me.upgrade().ok_or(Errno::EINVAL)?;
        if self.sender.name.get().is_some() {
            // Asking once more for any name is not an error.
            return match name {
                [] => Ok(()),
                // A bad name is told of first.
                name => Err(name::is_free(&me, name).err().unwrap_or(Errno::EINVAL)),
            };
        }
        let bound = name::bind(&me, name)?;
        self.sender.name.call_once(|| bound);
        Ok(())
    }

    /// A socket whose name or ids somebody wants to know gets a name before it turns to others.
    pub(super) fn name_if_wanted(&self) -> SysResult<()> {
        if self.options.flags.passes_ids() && self.sender.name.get().is_none() {
            return self.bind_to(&name::unnamed());
        }
        Ok(())
    }

    pub(super) fn listen_with(&self, backlog: i32) -> SysResult<()> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        if self.sender.name.get().is_none() {
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

    pub(super) fn accept_one(&self, nonblock: bool, flags: OpenFlags) -> SysResult<(Arc<OpenFile>, Address)> {
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
        let until = deadline(&self.options.receive_timeout);
        let accepted = wait(&self.readers, nonblock, until, next)?.ok_or(Errno::EINVAL)?;
        listener.connectors.wake(1, ev::WRITABLE);
        let peer = accepted.peer_address().unwrap_or_else(|_| name::unnamed());
        Ok((accepted.open(flags), peer))
    }

    pub(super) fn connect_to(&self, address: &[u8], nonblock: bool) -> SysResult<()> {
        let family = address.first_chunk().map(|family| u32::from(u16::from_ne_bytes(*family)));
        if self.kind == Kind::Datagram && family == Some(net::AF_UNSPEC) {
            self.set_peer(None);
            return Ok(());
        }
        let name = name::decode(address)?;
        self.name_if_wanted()?;
        let target = name::find(name)?;
        if target.kind != self.kind {
            return Err(Errno::EPROTOTYPE);
        }
        if self.kind == Kind::Datagram {
            if !target.takes_from(self) {
                return Err(Errno::EPERM);
            }
            let link =
                Link { receive: self.inbox.clone(), send: target.inbox.clone(), peer: None, other: target.sender.clone() };
            self.set_peer(Some(link));
            return Ok(());
        }
        self.connect_stream(target, nonblock)
    }

    /// Who is connected takes datagrams from its peer alone.
    pub(super) fn takes_from(&self, sender: &UnixSocket) -> bool {
        self.link().is_none_or(|theirs| Arc::ptr_eq(&theirs.send, &sender.inbox))
    }

    /// Connects a datagram socket, or ends its connection. What has come from the old peer is lost,
    /// of which that learns if it is connected too.
    fn set_peer(&self, link: Option<Link>) {
        let new = link.as_ref().map(|link| link.send.clone());
        let role = link.map_or(Role::Idle, |link| Role::Connected(Arc::new(link)));
        let old = core::mem::replace(&mut *self.role.lock(), role);
        let Role::Connected(old) = old else { return };
        if new.is_some_and(|new| Arc::ptr_eq(&new, &old.send)) {
            return;
        }
        if self.inbox.has_messages() {
            self.inbox.clear();
            let peer = old.send.receiver.upgrade();
            if peer.is_some_and(|peer| peer.link().is_some_and(|theirs| Arc::ptr_eq(&theirs.send, &self.inbox))) {
                old.send.reset();
            }
        }
        old.send.room.wake_all();
    }

    /// The peer of a datagram socket is gone, and with it the connection and what it had sent.
    pub(super) fn lose_peer(&self) {
        let old = core::mem::replace(&mut *self.role.lock(), Role::Idle);
        drop(old);
        self.inbox.clear();
    }

    fn connect_stream(&self, to: Arc<UnixSocket>, nonblock: bool) -> SysResult<()> {
        let listener = match &*to.role.lock() {
            Role::Listening(listener) if !to.inbox.is_ended() => listener.clone(),
            _ => return Err(Errno::ECONNREFUSED),
        };
        let free = || match &*self.role.lock() {
            Role::Idle => Ok(()),
            Role::Connected(_) => Err(Errno::EISCONN),
            Role::Listening(_) => Err(Errno::EINVAL),
        };
        let until = deadline(&self.options.send_timeout);
        let accepted = UnixSocket::new(self.kind);
        accepted.options.inherit(&to.options);
        accepted.holder.store(to.holder.load(Ordering::Acquire), Ordering::Release);
        let [ours, theirs] = UnixSocket::link_pair(self, &accepted, [listener.peer.clone(), Peer::of_current()]);
        *accepted.role.lock() = Role::Connected(Arc::new(theirs));
        if let Some(name) = to.sender.name.get() {
            accepted.sender.name.call_once(|| name.clone());
        }
        let mut accepted = Some(accepted);
        let readers = to.readers.clone();
        // Who waits for room does not keep the listener from going.
        drop(to);
        wait(&listener.connectors, nonblock, until, || {
            // As on Linux, room at the listener is waited for first.
            let free = free();
            let mut waiting = listener.waiting.lock();
            if listener.closed.load(Ordering::Acquire) {
                return Some(Err(Errno::ECONNREFUSED));
            }
            if waiting.len() > listener.backlog.load(Ordering::Relaxed) {
                return None;
            }
            if free.is_ok() {
                waiting.extend(accepted.take());
            }
            Some(free)
        })??;
        *self.role.lock() = Role::Connected(Arc::new(ours));
        readers.wake(1, ev::READABLE);
        self.readers.wake_all();
        self.sender.writers.wake_all();
        Ok(())
    }
}
