//! Turns: whoever reads or writes a terminal does so alone, for as long as that takes. Others wait
//! for their turn as they would for the terminal: not at all with `O_NONBLOCK`, and not against a
//! signal.

use core::sync::atomic::{AtomicBool, Ordering};

use sync::wait::{WaitQueue, wait_exclusive};
use syscall_shim::{Errno, SysResult};

/// Whose turn it is. No lock: nothing is guarded that another could find half changed.
pub(super) struct Turn {
    taken: AtomicBool,
    waiters: WaitQueue,
}

/// The turn, given back on drop.
pub(super) struct Taken<'a>(&'a Turn);

impl Turn {
    pub const fn new() -> Self {
        Self { taken: AtomicBool::new(false), waiters: WaitQueue::new() }
    }

    /// Whether somebody has the turn.
    pub fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }

    /// Takes the turn. `EAGAIN` if it may not wait for it, `ERESTARTSYS` on a signal.
    pub fn take(&self, nonblock: bool) -> SysResult<Taken<'_>> {
        let attempt = || (!self.taken.swap(true, Ordering::AcqRel)).then_some(());
        if nonblock {
            attempt().ok_or(Errno::EAGAIN)?;
        } else {
            wait_exclusive(&self.waiters, None, attempt).map_err(|_| Errno::ERESTARTSYS)?;
        }
        Ok(Taken(self))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
        self.0.waiters.wake_one();
    }
}
