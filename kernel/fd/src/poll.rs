//! Readiness: what an open file is asked, and who is told when it changes.
//!
//! [`crate::FileOps::poll`] answers the events that hold now and names, through a [`PollTable`],
//! the wait queues that are woken when they change. It takes spin locks only, so it may be called
//! between a task's going to sleep and its sleeping.

use alloc::sync::Arc;
use alloc::vec::Vec;

use sync::wait::WaitQueue;
use syscall_shim::{Errno, SysResult};

/// Event bits; poll(2) and epoll(7) number them alike.
#[allow(missing_docs)]
pub mod ev {
    pub const IN: u32 = 0x1;
    pub const PRI: u32 = 0x2;
    pub const OUT: u32 = 0x4;
    pub const ERR: u32 = 0x8;
    pub const HUP: u32 = 0x10;
    pub const NVAL: u32 = 0x20;
    pub const RDNORM: u32 = 0x40;
    pub const RDBAND: u32 = 0x80;
    pub const WRNORM: u32 = 0x100;
    pub const WRBAND: u32 = 0x200;
    pub const MSG: u32 = 0x400;
    pub const RDHUP: u32 = 0x2000;
    /// Bytes to read.
    pub const READABLE: u32 = IN | RDNORM;
    /// Room to write.
    pub const WRITABLE: u32 = OUT | WRNORM;
    /// What is reported whether asked for or not.
    pub const ALWAYS: u32 = ERR | HUP;
}

/// A wait queue that may outlive what it belongs to, because somebody still waits on it.
pub type PollQueue = Arc<WaitQueue>;

/// A new queue.
pub fn poll_queue() -> PollQueue {
    Arc::new(WaitQueue::new())
}

/// Collects the wait queues of the files that are polled.
#[derive(Default)]
pub struct PollTable {
    /// `None`: the caller wants the events only.
    queues: Option<Vec<PollQueue>>,
    /// There was no memory for all of them.
    lacking: bool,
}

impl PollTable {
    /// A table that collects.
    pub fn collecting() -> PollTable {
        PollTable { queues: Some(Vec::new()), lacking: false }
    }

    /// A table that collects nothing.
    pub const fn none() -> PollTable {
        PollTable { queues: None, lacking: false }
    }

    /// Called by a file: `queue` is woken when its events change.
    pub fn add(&mut self, queue: &PollQueue) {
        if let Some(queues) = self.queues.as_mut().filter(|all| !all.iter().any(|q| Arc::ptr_eq(q, queue))) {
            match queues.try_reserve(1) {
                Ok(()) => queues.push(queue.clone()),
                Err(_) => self.lacking = true,
            }
        }
    }

    /// The queues named so far; there may be as many as a program polls files. `ENOMEM`.
    pub fn into_queues(self) -> SysResult<Vec<PollQueue>> {
        if self.lacking { Err(Errno::ENOMEM) } else { Ok(self.queues.unwrap_or_default()) }
    }
}
