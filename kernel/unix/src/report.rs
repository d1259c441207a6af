//! `/proc/net/unix` (proc_pid_net(5)).

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::sync::atomic::Ordering;

use ::net::netlink::LocalSocket;
use ::net::netlink::local_sockets::{CLOSED, ESTABLISHED, LISTENING};

use super::{Kind, Role, SOCKETS, UnixSocket};

/// `__SO_ACCEPTCON`.
const LISTENS: u32 = 0x10000;

fn inode_of(socket: Option<Arc<UnixSocket>>) -> Option<u64> {
    socket.map(|socket| socket.file().map_or(0, |file| file.inode.metadata().ino))
}

impl UnixSocket {
    fn listed(&self) -> LocalSocket {
        let (link, listener) = match &*self.role.lock() {
            Role::Connected(link) => (Some(link.clone()), None),
            Role::Listening(listener) => (None, Some(listener.clone())),
            Role::Idle => (None, None),
        };
        let state = match (&link, &listener) {
            (Some(_), _) => ESTABLISHED,
            (None, Some(_)) => LISTENING,
            (None, None) => CLOSED,
        };
        let peer = |socket: &UnixSocket| {
            let link = socket.link()?;
            inode_of(link.send.receiver.upgrade())
        };
        let receive = link.as_ref().map_or(&self.inbox, |link| &link.receive);
        let waiting: Vec<_> = listener.iter().flat_map(|listener| listener.waiting.lock().clone()).collect();
        let queues = match &listener {
            Some(listener) => (waiting.len(), listener.backlog.load(Ordering::Relaxed)),
            None => (receive.next_len(), self.sender.used()),
        };
        let unwritten = match &link {
            Some(link) if self.kind != Kind::Datagram => link.send.is_ended(),
            _ => self.shut_for_writing.load(Ordering::Relaxed),
        };
        let file = self.file().map(|file| file.inode.metadata());
        LocalSocket {
            kind: self.kind.number(),
            state,
            inode: file.as_ref().map_or(0, |metadata| metadata.ino),
            cookie: self.cookie,
            name: self.sender.name.get().and_then(|address| address.get(2..)).map(<[u8]>::to_vec),
            peer: link.as_ref().and_then(|_| peer(self)),
            waiting: waiting.iter().filter_map(|socket| peer(socket)).collect(),
            queues,
            memory: self.memory(),
            shut: u8::from(receive.is_ended()) | u8::from(unwritten) << 1,
            user: file.map_or(0, |metadata| metadata.uid),
        }
    }
}

/// All sockets.
pub fn list() -> Vec<LocalSocket> {
    let sockets: Vec<Arc<UnixSocket>> = SOCKETS.lock().values().filter_map(Weak::upgrade).collect();
    sockets.iter().map(|socket| socket.listed()).collect()
}

/// The lines under the heading. A file system may hold bytes in a name that are no UTF-8: those are
/// replaced.
pub fn lines() -> String {
    let sockets: Vec<Arc<UnixSocket>> = SOCKETS.lock().values().filter_map(Weak::upgrade).collect();
    let mut out = String::new();
    for socket in sockets {
        // `SS_UNCONNECTED` and `SS_CONNECTED`; what is not accepted yet has no file, and is
        // `SS_CONNECTING`.
        let (flags, connected) = match &*socket.role.lock() {
            Role::Listening(_) => (LISTENS, false),
            Role::Connected(_) => (0, true),
            Role::Idle => (0, false),
        };
        let inode = socket.file().map(|file| file.inode.metadata().ino);
        let state = match (connected, inode) {
            (true, None) => 2,
            (true, Some(_)) => 3,
            (false, _) => 1,
        };
        let (users, kind, inode) = (2 + u32::from(connected), socket.kind.number(), inode.unwrap_or(0));
        let _ = write!(out, "{:016x}: {users:08X} 00000000 {flags:08X} {kind:04X} {state:02X} {inode:>5}", socket.cookie);
        if let Some(name) = socket.sender.name.get().and_then(|address| address.get(2..)) {
            // An abstract name has `@` for each NUL; a path ends with one.
            let name = if name.first() == Some(&0) { name } else { name.strip_suffix(&[0]).unwrap_or(name) };
            let shown: Vec<u8> = name.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect();
            let _ = write!(out, " {}", String::from_utf8_lossy(&shown));
        }
        out.push('\n');
    }
    out
}
