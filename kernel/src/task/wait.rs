//! Sleeping until something happens.
//!
//! A sleeper puts an entry into the queues of all that it waits for, marks itself asleep, looks once more, and lets others
//! run. A wake-up between those steps only makes it look again, so none is lost.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use super::thread::{Task, state};
use super::{Instant, current, current_arc, sched, timer};
use crate::sync::IrqLock;

/// Something that a [`WaitQueue`] can wake. Called with interrupts off, from any context, and with the queue locked: what a waker wakes
/// in turn must never lead back to a queue that it can be in. Those of signals ([`super::signal::SigHand::arrived`]) and of epoll
/// instances come last.
pub trait Waker: Send + Sync {
    /// Tells that `key` (poll events, or 0 for 'anything') happened. Returns whether somebody was woken, which is what
    /// [`WaitQueue::wake_one`] counts.
    fn wake(&self, key: u32) -> bool;
}

struct Entry {
    waker: Arc<dyn Waker>,
    exclusive: bool,
}

/// Those who wait for one thing, in order of arrival.
pub struct WaitQueue {
    /// This lock is taken before a run queue's; a waker may take an epoll's.
    entries: IrqLock<VecDeque<Entry>>,
    /// How many there are, so that nobody need be locked out to see that there is nobody. Whoever comes counts before looking
    /// at what there is to wait for; whoever wakes has changed that before looking here.
    waiting: AtomicUsize,
}

impl WaitQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { entries: IrqLock::new(VecDeque::new()), waiting: AtomicUsize::new(0) }
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

/// A sleeping task as a waker; remembers that it was woken, so that one wake-up is not spent twice on it.
pub struct TaskWaker {
    task: Arc<Task>,
    woken: AtomicBool,
}

impl TaskWaker {
    /// The current thread's: the one of its last wait if nobody has that any more.
    fn reuse() -> Arc<Self> {
        let kept = current().waker.lock().take().filter(|waker| Arc::strong_count(waker) == 1);
        kept.unwrap_or_else(|| Arc::new(Self { task: current_arc(), woken: AtomicBool::new(false) }))
    }
}

impl Waker for TaskWaker {
    fn wake(&self, _key: u32) -> bool {
        if self.woken.swap(true, Ordering::AcqRel) {
            return false;
        }
        sched::wake(&self.task, state::INTERRUPTIBLE | state::UNINTERRUPTIBLE | state::KILLABLE);
        true
    }
}

fn wait_in<T>(
    queues: &[&WaitQueue],
    deadline: Option<Instant>,
    sleep_state: u32,
    exclusive: bool,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    if let Some(value) = condition() {
        return Ok(value);
    }
    let waker = TaskWaker::reuse();
    let as_waker: Arc<dyn Waker> = waker.clone();
    for queue in queues {
        if exclusive { queue.add_exclusive(as_waker.clone()) } else { queue.add(as_waker.clone()) }
    }
    let alarm = deadline.map(|at| timer::wake_at(at, as_waker.clone()));
    let result = loop {
        sched::set_state(sleep_state);
        // Only now: a wake-up that finds this task running sets the mark and ends no sleep, and a mark that is set has all later
        // ones pass it by. The swap also keeps the look at the condition behind it.
        waker.woken.swap(false, Ordering::SeqCst);
        if let Some(value) = condition() {
            break Ok(value);
        }
        if sleep_state == state::INTERRUPTIBLE && current().signal_pending.load(Ordering::Acquire) {
            break Err(WaitError::Interrupted);
        }
        if sleep_state == state::KILLABLE && super::signal::is_being_killed(current()) {
            break Err(WaitError::Interrupted);
        }
        if deadline.is_some_and(|at| crate::arch::clock::monotonic_ns() >= at) {
            break Err(WaitError::TimedOut);
        }
        super::schedule();
    };
    sched::set_state(state::RUNNING);
    for queue in queues {
        queue.remove(&as_waker);
    }
    drop(as_waker);
    if let Some(alarm) = alarm {
        timer::cancel(alarm);
    }
    // An exclusive wake-up that this task got but did not use belongs to the next one.
    if exclusive && result.is_err() && waker.woken.load(Ordering::Acquire) {
        for queue in queues {
            queue.wake_one();
        }
    }
    *current().waker.lock() = Some(waker);
    result
}

/// Sleeps until `condition` gives something, looking again after each wake-up of any of `queues`. A pending signal ends the
/// wait, and so does `deadline`. `condition` must not sleep.
pub fn wait_until<T>(
    queues: &[&WaitQueue],
    deadline: Option<Instant>,
    condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    wait_in(queues, deadline, state::INTERRUPTIBLE, false, condition)
}

/// As [`wait_until`], as one of those of whom a wake-up needs only one.
pub fn wait_exclusive<T>(
    queue: &WaitQueue,
    deadline: Option<Instant>,
    condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    wait_in(&[queue], deadline, state::INTERRUPTIBLE, true, condition)
}

/// Sleeps until `condition` gives something; of signals, only one that kills ends the wait.
pub fn wait_killable<T>(queue: &WaitQueue, condition: impl FnMut() -> Option<T>) -> Result<T, WaitError> {
    wait_in(&[queue], None, state::KILLABLE, false, condition)
}

/// Sleeps until `condition` gives something, or a signal comes that is among `ends`: as one of those of whom a wake-up needs only
/// one.
pub fn wait_for_lock<T>(queue: &WaitQueue, ends: Ends, condition: impl FnMut() -> Option<T>) -> Result<T, WaitError> {
    let sleep_state = match ends {
        Ends::Never => state::UNINTERRUPTIBLE,
        Ends::Killed => state::KILLABLE,
    };
    wait_in(&[queue], None, sleep_state, true, condition)
}

/// Sleeps until `condition` gives something; signals do not end the wait.
pub fn wait_uninterruptible<T>(queue: &WaitQueue, condition: impl FnMut() -> Option<T>) -> T {
    match wait_in(&[queue], None, state::UNINTERRUPTIBLE, true, condition) {
        Ok(value) => value,
        Err(_) => unreachable!("no deadline and no signal can end this wait"),
    }
}

/// As [`wait_uninterruptible`], until `deadline` at the latest.
pub fn wait_uninterruptible_until<T>(
    queue: &WaitQueue,
    deadline: Instant,
    condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    wait_in(&[queue], Some(deadline), state::UNINTERRUPTIBLE, false, condition).ok()
}
