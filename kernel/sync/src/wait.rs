//! Sleeping until something happens.
//!
//! A sleeper puts an entry into the queues of all that it waits for, marks itself asleep, looks once more, and lets others
//! run. A wake-up between those steps only makes it look again, so none is lost.

use crate::cpu::atomic::{AtomicUsize, Ordering, fence};
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::IrqSpinLock;
use crate::cpu::clock;
use crate::order;
pub use crate::scheduler::{Parker, Waker};
use crate::scheduler::{Sleep, calls};

struct Entry {
    waker: Arc<dyn Waker>,
    exclusive: bool,
}

/// Those who wait for one thing, in order of arrival.
pub struct WaitQueue {
    /// This lock is taken before a run queue's; a waker may take an epoll's.
    entries: IrqSpinLock<VecDeque<Entry>>,
    /// How many there are, so that nobody need be locked out to see that there is nobody. Whoever comes counts before looking
    /// at what there is to wait for; whoever wakes has changed that before looking here.
    waiting: AtomicUsize,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { entries: IrqSpinLock::new(VecDeque::new()), waiting: AtomicUsize::new(0) }
    }

    fn push(&self, entry: Entry) {
        let mut entries = self.entries.lock();
        entries.push_back(entry);
        self.waiting.store(entries.len(), Ordering::Relaxed);
        drop(entries);
        fence(Ordering::SeqCst);
    }

    /// Adds a waker that every wake-up reaches, until [`WaitQueue::remove`].
    pub fn add(&self, waker: Arc<dyn Waker>) {
        self.push(Entry { waker, exclusive: false });
    }

    /// Adds a waker of which a wake-up reaches only as many as it is meant for.
    pub fn add_exclusive(&self, waker: Arc<dyn Waker>) {
        self.push(Entry { waker, exclusive: true });
    }

    /// Takes a waker out.
    pub fn remove(&self, waker: &Arc<dyn Waker>) {
        let mut entries = self.entries.lock();
        if let Some(at) = entries.iter().position(|e| Arc::ptr_eq(&e.waker, waker)) {
            let entry = entries.remove(at);
            self.waiting.store(entries.len(), Ordering::Relaxed);
            drop(entries);
            drop(entry);
        }
    }

    /// Whether nobody waits. A hint: somebody may arrive at once.
    pub fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Wakes all that share the queue and one that is exclusive.
    pub fn wake_one(&self) {
        self.wake(1, 0);
    }

    /// Wakes everybody.
    pub fn wake_all(&self) {
        self.wake(usize::MAX, 0);
    }

    /// Wakes everybody, telling which poll events happened.
    pub fn wake_key(&self, key: u32) {
        self.wake(usize::MAX, key);
    }

    /// Wakes all that share the queue and at most `exclusive` others; `key` tells what happened (poll events).
    pub fn wake(&self, exclusive: usize, key: u32) {
        if !self.is_empty() {
            self.wake_waiting(exclusive, key);
        }
    }

    fn wake_waiting(&self, mut exclusive: usize, key: u32) {
        let entries = self.entries.lock();
        for entry in entries.iter() {
            if !entry.exclusive {
                entry.waker.wake(key);
            } else if exclusive > 0 && entry.waker.wake(key) {
                exclusive -= 1;
            }
        }
    }
}

/// Why a wait ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// A signal is pending.
    Interrupted,
    /// The deadline has passed.
    TimedOut,
}

/// Which signals end a wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// None.
    Never,
    /// One that kills the thread.
    Killed,
}

fn wait_in<T>(
    queues: &[&WaitQueue],
    deadline: Option<u64>,
    sleep: Sleep,
    exclusive: bool,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    if let Some(value) = condition() {
        return Ok(value);
    }
    let parker = calls::parker();
    let waker: Arc<dyn Waker> = parker.clone();
    for queue in queues {
        if exclusive { queue.add_exclusive(waker.clone()) } else { queue.add(waker.clone()) }
    }
    let alarm = deadline.map(|at| calls::set_alarm(at, waker.clone()));
    let result = loop {
        calls::prepare(sleep);
        // Only now: a wake-up that finds this task running sets the mark and ends no sleep, and a mark that is set has all later
        // ones pass it by. The barrier in it also keeps the look at the condition behind it.
        parker.clear_woken();
        if let Some(value) = condition() {
            break Ok(value);
        }
        if calls::is_interrupted(sleep) {
            break Err(WaitError::Interrupted);
        }
        if deadline.is_some_and(|at| clock::monotonic_ns() >= at) {
            break Err(WaitError::TimedOut);
        }
        calls::park();
    };
    calls::unprepare();
    for queue in queues {
        queue.remove(&waker);
    }
    drop(waker);
    if let Some(alarm) = alarm {
        calls::cancel_alarm(alarm);
    }
    // An exclusive wake-up that this task got but did not use belongs to the next one.
    if exclusive && result.is_err() && parker.is_woken() {
        for queue in queues {
            queue.wake_one();
        }
    }
    calls::keep_parker(parker);
    result
}

/// Sleeps until `condition` gives something, looking again after each wake-up of any of `queues`. A pending signal ends the
/// wait, and so does `deadline`. `condition` must not sleep.
pub fn wait_until<T>(
    queues: &[&WaitQueue],
    deadline: Option<u64>,
    condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    order::may_wait_for_others();
    wait_in(queues, deadline, Sleep::Interruptible, false, condition)
}

/// As [`wait_until`], as one of those of whom a wake-up needs only one.
pub fn wait_exclusive<T>(
    queue: &WaitQueue,
    deadline: Option<u64>,
    condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    order::may_wait_for_others();
    wait_in(&[queue], deadline, Sleep::Interruptible, true, condition)
}

/// Sleeps until `condition` gives something; of signals, only one that kills ends the wait.
pub fn wait_killable<T>(queue: &WaitQueue, condition: impl FnMut() -> Option<T>) -> Result<T, WaitError> {
    order::may_wait_for_others();
    wait_in(&[queue], None, Sleep::Killable, false, condition)
}

/// Sleeps until `condition` gives something, or a signal comes that is among `ends`: as one of those of whom a wake-up needs only
/// one.
pub fn wait_for_lock<T>(queue: &WaitQueue, ends: Ends, condition: impl FnMut() -> Option<T>) -> Result<T, WaitError> {
    let sleep = match ends {
        Ends::Never => Sleep::Uninterruptible,
        Ends::Killed => Sleep::Killable,
    };
    wait_in(&[queue], None, sleep, true, condition)
}

/// Sleeps until `condition` gives something; signals do not end the wait.
pub fn wait_uninterruptible<T>(queue: &WaitQueue, condition: impl FnMut() -> Option<T>) -> T {
    match wait_in(&[queue], None, Sleep::Uninterruptible, true, condition) {
        Ok(value) => value,
        Err(_) => unreachable!("no deadline and no signal can end this wait"),
    }
}

/// As [`wait_uninterruptible`], until `deadline` at the latest.
pub fn wait_uninterruptible_until<T>(queue: &WaitQueue, deadline: u64, condition: impl FnMut() -> Option<T>) -> Option<T> {
    wait_in(&[queue], Some(deadline), Sleep::Uninterruptible, false, condition).ok()
}
