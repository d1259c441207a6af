//! Signals that file operations send to their caller.

use syscall_shim::Signal;

use crate::task::signal::send;

/// A write to a pipe or socket that nobody reads: `SIGPIPE` to the writing thread. The call itself answers `EPIPE`.
pub fn broken_pipe() {
    send::raise(Signal::SIGPIPE);
}

/// A write or truncation beyond `RLIMIT_FSIZE`: `SIGXFSZ`. The call itself answers `EFBIG`.
pub fn file_too_large() {
    send::raise(Signal::SIGXFSZ);
}
