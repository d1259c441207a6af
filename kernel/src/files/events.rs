//! Signals that file operations send.

use syscall_shim::Signal;

/// A write to a pipe or socket that nobody reads: `SIGPIPE` to the writing thread. The call itself answers `EPIPE`.
pub fn broken_pipe() {
    to_caller(Signal::SIGPIPE);
}

/// A write or truncation beyond `RLIMIT_FSIZE`: `SIGXFSZ`. The call itself answers `EFBIG`.
pub fn file_too_large() {
    to_caller(Signal::SIGXFSZ);
}

fn to_caller(signal: Signal) {
    kdebug!("{} from the file system is not delivered yet", signal.name().unwrap_or("a signal"));
}
