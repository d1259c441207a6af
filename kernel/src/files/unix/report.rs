//! `/proc/net/unix` (proc_pid_net(5)).

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::{Role, SOCKETS, UnixSocket};

/// `__SO_ACCEPTCON`.
const LISTENS: u32 = 0x10000;

/// The lines under the heading. A file system may hold bytes in a name that are no UTF-8: those are replaced.
pub fn lines() -> String {
    let sockets: Vec<Arc<UnixSocket>> = SOCKETS.lock().values().filter_map(Weak::upgrade).collect();
    let mut out = String::new();
    for socket in sockets {
        // `SS_UNCONNECTED` and `SS_CONNECTED`; what is not accepted yet has no file, and is `SS_CONNECTING`.
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
