//! Telling a process that a message has come (mq_notify(3)).

use alloc::sync::{Arc, Weak};

use syscall_shim::types::{Siginfo, si_code};
use syscall_shim::{Errno, Signal, SysResult};

use crate::files::OpenFile;
use crate::net::netlink::NetlinkSocket;
use crate::task::signal::send::send_to_process;
use crate::task::{Process, current};

/// Bytes that the C library has sent to its thread for `SIGEV_THREAD`.
pub const COOKIE: usize = 32;
/// Its last byte: a message has come.
const WOKEN_UP: u8 = 1;
/// The registration is gone.
const REMOVED: u8 = 2;

const SIGEV_SIGNAL: i32 = 0;
const SIGEV_NONE: i32 = 1;
const SIGEV_THREAD: i32 = 2;

/// How to tell.
pub enum Notification {
    /// `SIGEV_NONE`
    Nothing,
    /// `SIGEV_SIGNAL`: a signal (none for number 0) with a value.
    Signal(Option<Signal>, u64),
    /// `SIGEV_THREAD`: a message to a netlink socket on which the C library's thread waits.
    Thread(Arc<OpenFile>, [u8; COOKIE]),
}

impl Notification {
    /// For `SIGEV_THREAD`, by way of the socket `file`. `EINVAL` if it is another kind.
    pub fn thread(file: Arc<OpenFile>, cookie: [u8; COOKIE]) -> SysResult<Self> {
        file.ops.as_socket().ok_or(Errno::ENOTSOCK)?;
        file.ops_as::<NetlinkSocket>().ok_or(Errno::EINVAL)?;
        Ok(Self::Thread(file, cookie))
    }

    /// `sigev_notify`, and `sigev_signo` of a signal.
    pub(super) fn numbers(&self) -> (i32, i32) {
        match self {
            Self::Nothing => (SIGEV_NONE, 0),
            Self::Signal(signal, _) => (SIGEV_SIGNAL, signal.map_or(0, |signal| i32::from(signal.number()))),
            Self::Thread(..) => (SIGEV_THREAD, 0),
        }
    }
}

/// Who is to be told, once.
pub(super) struct Registration {
    pub pid: i32,
    process: Weak<Process>,
    pub how: Notification,
}

impl Registration {
    /// The current process is to be told.
    pub fn new(how: Notification) -> Self {
        let process = &current().process;
        Self { pid: process.pid, process: Arc::downgrade(process), how }
    }

    /// Tells that the current process has sent a message. No lock is held.
    pub fn message_came(self) {
        match self.how {
            Notification::Nothing | Notification::Signal(None, _) => {}
            Notification::Signal(Some(signal), value) => {
                let sender = current();
                let mut info = Siginfo::queue(signal, sender.process.pid, sender.credentials().uid, value);
                info.si_code = si_code::SI_MESGQ;
                if let Some(process) = self.process.upgrade() {
                    // A full queue of signals loses it, as on Linux.
                    let _ = send_to_process(&process, info);
                }
            }
            Notification::Thread(file, cookie) => deliver(&file, cookie, WOKEN_UP),
        }
    }

    /// Tells the C library's thread that nothing will come. No lock is held.
    pub fn removed(self) {
        if let Notification::Thread(file, cookie) = self.how {
            deliver(&file, cookie, REMOVED);
        }
    }
}

fn deliver(file: &OpenFile, mut cookie: [u8; COOKIE], what: u8) {
    let [.., last] = &mut cookie;
    *last = what;
    if let Some(socket) = file.ops_as::<NetlinkSocket>() {
        socket.deliver(cookie.to_vec());
    }
}
