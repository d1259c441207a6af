//! How much of a stream the host has and has not passed on yet, and what became of the rest.
//!
//! The three output streams share the channel with the kernel's own messages and the exit status.
//! Were a stream to fill it, a standard output that nobody reads would hold back all of these; so
//! of each stream at most [`WINDOW`] bytes are on their way, and the host tells how many it has
//! passed on, and which of them it could not.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Bytes that may be on their way: the size of a pipe (pipe(7)).
pub const WINDOW: usize = 64 * 1024;
/// A pipe without a reader (errno(3)): unlike others, this stays.
const EPIPE: u32 = 32;

/// One stream.
#[derive(Debug)]
pub struct Flow {
    in_flight: AtomicUsize,
    /// Bytes that the host is done with, since boot.
    passed: AtomicU64,
    /// An error number that no call has answered yet; 0 for none.
    error: AtomicU32,
    broken: AtomicBool,
    /// Some call has answered with an error of the host.
    told: AtomicBool,
}

impl Flow {
    /// With nothing on its way.
    pub const fn new() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            passed: AtomicU64::new(0),
            error: AtomicU32::new(0),
            broken: AtomicBool::new(false),
            told: AtomicBool::new(false),
        }
    }

    /// Takes as much of `len` bytes as there is room for.
    pub fn reserve(&self, len: usize) -> usize {
        let mut now = self.in_flight.load(Ordering::Relaxed);
        loop {
            let room = len.min(WINDOW.saturating_sub(now));
            match self.in_flight.compare_exchange_weak(now, now + room, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return room,
                Err(other) => now = other,
            }
        }
    }

    /// The host is done with bytes.
    pub fn passed_on(&self, len: usize) {
        self.passed.fetch_add(len as u64, Ordering::AcqRel);
        self.return_credit(len);
    }

    /// Bytes of a reservation that were not sent after all.
    pub fn return_credit(&self, len: usize) {
        // What the host says must not wrap.
        let less = |now: usize| Some(now.saturating_sub(len));
        let _ = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
    }

    /// The host could not pass bytes on.
    pub fn failed(&self, errno: u32) {
        self.broken.fetch_or(errno == EPIPE, Ordering::Relaxed);
        self.error.store(errno, Ordering::Release);
    }

    /// The error that the next call has to answer, if there is one.
    pub fn take_error(&self) -> Option<u32> {
        // Looked at first: a write of shared memory costs those who have no error.
        if self.error.load(Ordering::Acquire) == 0 {
            return None;
        }
        let errno = self.error.swap(if self.is_broken() { EPIPE } else { 0 }, Ordering::AcqRel);
        self.told.fetch_or(errno != 0, Ordering::Relaxed);
        (errno != 0).then_some(errno)
    }

    /// Nobody reads it any more.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// All that was sent by now, for [`Flow::has_passed`].
    pub fn sent(&self) -> u64 {
        // In this order: what moves from one to the other in between counts twice, and not at all
        // never.
        let in_flight = self.in_flight.load(Ordering::Acquire) as u64;
        in_flight + self.passed.load(Ordering::Acquire)
    }

    /// The host is done with all up to there. Where bytes were counted twice, with all that there
    /// is.
    pub fn has_passed(&self, sent: u64) -> bool {
        self.passed.load(Ordering::Acquire) >= sent || self.in_flight.load(Ordering::Acquire) == 0
    }

    /// Whether the program knows that something was not passed on.
    pub fn error_reported(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_window_is_on_its_way() {
        let flow = Flow::new();
        assert_eq!(flow.reserve(WINDOW - 1), WINDOW - 1);
        assert_eq!((flow.reserve(7), flow.reserve(7)), (1, 0));
        flow.return_credit(5);
        assert_eq!(flow.reserve(7), 5);
        let sent = flow.sent();
        assert!(!flow.has_passed(sent));
        flow.passed_on(WINDOW - 1);
        assert_eq!((flow.has_passed(sent), flow.reserve(9)), (false, 9));
        flow.passed_on(1);
        assert!(flow.has_passed(sent) && !flow.has_passed(flow.sent()));
        flow.passed_on(2 * WINDOW);
        assert_eq!(flow.reserve(1), 1);
    }

    #[test]
    fn an_error_is_told_once_and_a_broken_pipe_always() {
        let flow = Flow::new();
        assert_eq!((flow.take_error(), flow.error_reported()), (None, false));
        flow.failed(28);
        assert_eq!((flow.take_error(), flow.take_error(), flow.error_reported()), (Some(28), None, true));
        flow.failed(EPIPE);
        assert_eq!((flow.take_error(), flow.take_error(), flow.is_broken()), (Some(EPIPE), Some(EPIPE), true));
    }
}
