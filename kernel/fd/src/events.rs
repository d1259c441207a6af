//! Signals that file operations send to their caller.

use syscall_shim::Signal;

/// A write to a pipe or socket that nobody reads: `SIGPIPE` to the writing thread. The call itself
/// answers `EPIPE`.
pub fn broken_pipe() {
    if caller::broken_pipe() {
        caller::raise(Signal::SIGPIPE);
    }
}

/// Runs a write that sends its caller no `SIGPIPE` (`RWF_NOSIGNAL`).
pub fn without_broken_pipe<R>(write: impl FnOnce() -> R) -> R {
    caller::set_broken_pipe(false);
    let result = write();
    caller::set_broken_pipe(true);
    result
}

/// A write or truncation beyond `RLIMIT_FSIZE`: `SIGXFSZ`. The call itself answers `EFBIG`.
pub fn file_too_large() {
    caller::raise(Signal::SIGXFSZ);
}
