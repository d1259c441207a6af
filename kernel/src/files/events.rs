//! Signals that file operations send to their caller.

use core::sync::atomic::Ordering;

use syscall_shim::Signal;

use crate::task::current;
use crate::task::signal::send;

/// A write to a pipe or socket that nobody reads: `SIGPIPE` to the writing thread. The call itself answers `EPIPE`.
pub fn broken_pipe() {
    if !current().no_broken_pipe.load(Ordering::Relaxed) {
        send::raise(Signal::SIGPIPE);
    }
}

/// Runs a write that sends its caller no `SIGPIPE` (`RWF_NOSIGNAL`).
pub fn without_broken_pipe<R>(write: impl FnOnce() -> R) -> R {
    let flag = &current().no_broken_pipe;
    flag.store(true, Ordering::Relaxed);
    let result = write();
    flag.store(false, Ordering::Relaxed);
    result
}

/// A write or truncation beyond `RLIMIT_FSIZE`: `SIGXFSZ`. The call itself answers `EFBIG`.
pub fn file_too_large() {
    send::raise(Signal::SIGXFSZ);
}
