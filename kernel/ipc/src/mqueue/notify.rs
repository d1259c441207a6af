//! Telling a process that a message has come (mq_notify(3)).

use alloc::sync::Arc;
use alloc::vec::Vec;

use caller::Recipient;
use syscall_shim::Signal;
use syscall_shim::types::{Siginfo, si_code};

/// Bytes that the C library has sent to its thread for `SIGEV_THREAD`.
pub const COOKIE: usize = 32;
/// Its last byte: a message has come.
const WOKEN_UP: u8 = 1;
/// The registration is gone.
const REMOVED: u8 = 2;

const SIGEV_SIGNAL: i32 = 0;
const SIGEV_NONE: i32 = 1;
const SIGEV_THREAD: i32 = 2;

/// What the C library's thread listens to: a socket of netlink.
pub trait Thread: Send + Sync {
    /// Sends it a cookie. No lock is held.
    fn deliver(&self, cookie: Vec<u8>);
}

/// How to tell.
pub enum Notification {
    /// `SIGEV_NONE`
    Nothing,
    /// `SIGEV_SIGNAL`: a signal (none for number 0) with a value.
    Signal(Option<Signal>, u64),
    /// `SIGEV_THREAD`: a message to the socket on which the C library's thread waits.
    Thread(Arc<dyn Thread>, [u8; COOKIE]),
}

impl Notification {
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
    process: Arc<dyn Recipient>,
    pub how: Notification,
}

impl Registration {
    /// The current process is to be told.
    pub fn new(how: Notification) -> Self {
        Self { pid: caller::pid(), process: caller::process(), how }
    }

    /// Tells that the current process has sent a message. No lock is held.
    pub fn message_came(self) {
        match self.how {
            Notification::Nothing | Notification::Signal(None, _) => {}
            Notification::Signal(Some(signal), value) => {
                let mut info = Siginfo::queue(signal, caller::pid(), caller::credentials().uid, value);
                info.si_code = si_code::SI_MESGQ;
                // A full queue of signals loses it, as on Linux.
                let _ = self.process.send(info);
            }
            Notification::Thread(thread, cookie) => deliver(&*thread, cookie, WOKEN_UP),
        }
    }

    /// Tells the C library's thread that nothing will come. No lock is held.
    pub fn removed(self) {
        if let Notification::Thread(thread, cookie) = self.how {
            deliver(&*thread, cookie, REMOVED);
        }
    }
}

fn deliver(thread: &dyn Thread, mut cookie: [u8; COOKIE], what: u8) {
    let [.., last] = &mut cookie;
    *last = what;
    thread.deliver(cookie.to_vec());
}
