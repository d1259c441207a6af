//! Sleeping until something happens.
//!
//! A sleeper puts an entry into the queues of all that it waits for, marks itself asleep, looks
//! once more, and lets others run. A wake-up between those steps only makes it look again, so none
//! is lost.

use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;
use core::ptr::NonNull;

use intrusive_collections::{LinkedList, LinkedListLink, UnsafeRef, intrusive_adapter};

use crate::IrqSpinLock;
use crate::cpu::atomic::{AtomicUsize, Ordering, fence};
use crate::cpu::clock;
use crate::order;
#[cfg(test)]
use crate::put_back::{self, Fault};
pub use crate::scheduler::{Parker, Waker};
use crate::scheduler::{Sleep, calls};

/// One who waits, as the queue sees it. It lies where whoever waits has put it, so that no queue
/// allocates anything.
struct Entry {
    link: LinkedListLink,
    waker: NonNull<dyn Waker>,
    exclusive: bool,
}

impl Entry {
    fn new(waker: &dyn Waker, exclusive: bool) -> Self {
        // SAFETY: only the lifetime is changed. `WaitQueue::push` makes its caller keep the waker
        // for as long as it is called.
        let waker = unsafe { core::mem::transmute::<NonNull<dyn Waker + '_>, NonNull<dyn Waker>>(NonNull::from(waker)) };
        Self { link: LinkedListLink::new(), waker, exclusive }
    }
}

// SAFETY: the link is used with the queue locked, the rest is read only, and wakers are `Send` and
// `Sync`.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

intrusive_adapter!(InQueue = UnsafeRef<Entry>: Entry { link => LinkedListLink });

/// Those who wait for one thing, in order of arrival.
pub struct WaitQueue {
    /// This lock is taken before a run queue's; a waker may take an epoll's.
    entries: IrqSpinLock<LinkedList<InQueue>>,
    /// How many there are, so that nobody need be locked out to see that there is nobody. Whoever
    /// comes counts before looking at what there is to wait for; whoever wakes has changed that
    /// before looking here.
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
        Self { entries: IrqSpinLock::new(LinkedList::new(InQueue::NEW)), waiting: AtomicUsize::new(0) }
    }

    /// Puts an entry at the end.
    ///
    /// # Safety
    /// The entry is in no queue. Until [`Self::remove`] it stays where it is, and its waker exists.
    unsafe fn push(&self, entry: &Entry) {
        // SAFETY: it stays there for as long as it is in the queue, by the caller.
        let entry = unsafe { UnsafeRef::from_raw(entry) };
        let mut entries = self.entries.lock();
        entries.push_back(entry);
        self.waiting.store(self.waiting.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        drop(entries);
        fence(Ordering::SeqCst);
    }

    /// Takes an entry out. Nobody uses it after that.
    ///
    /// # Safety
    /// The entry is in this queue.
    unsafe fn remove(&self, entry: &Entry) {
        let mut entries = self.entries.lock();
        // SAFETY: it is in this list, by the caller.
        unsafe { entries.cursor_mut_from_ptr(entry) }.remove();
        self.waiting.store(self.waiting.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
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

    /// Wakes all that share the queue and at most `exclusive` others; `key` tells what happened
    /// (poll events).
    pub fn wake(&self, exclusive: usize, key: u32) {
        if !self.is_empty() {
            self.wake_waiting(exclusive, key);
        }
    }

    fn wake_waiting(&self, mut exclusive: usize, key: u32) {
        let entries = self.entries.lock();
        for entry in entries.iter() {
            if entry.exclusive && exclusive == 0 {
                continue;
            }
            // SAFETY: the entry is in the queue, so that its waker exists, by `push`.
            let woken = unsafe { entry.waker.as_ref() }.wake(key);
            if entry.exclusive && woken {
                exclusive -= 1;
            }
        }
    }
}

/// A waker's place in a queue, which it has until this is dropped.
pub struct Registration<Q: Deref<Target = WaitQueue>> {
    queue: Q,
    entry: Box<Entry>,
    /// Kept for the entry.
    _waker: Arc<dyn Waker>,
}

impl<Q: Deref<Target = WaitQueue>> Registration<Q> {
    /// Adds a waker to `queue`. A wake-up reaches only as many exclusive ones as it is meant for,
    /// and all others.
    pub fn new(queue: Q, waker: Arc<dyn Waker>, exclusive: bool) -> Self {
        let entry = Box::new(Entry::new(&*waker, exclusive));
        // SAFETY: the entry and a count of the waker stay until `drop`, which takes the entry out.
        unsafe { queue.push(&entry) };
        Self { queue, entry, _waker: waker }
    }
}

impl<Q: Deref<Target = WaitQueue>> Drop for Registration<Q> {
    fn drop(&mut self) {
        // SAFETY: `new` put it there.
        unsafe { self.queue.remove(&self.entry) };
    }
}

/// A waker's places in several queues at once, in memory of the caller's.
struct Places<'a> {
    queues: &'a [&'a WaitQueue],
    entries: &'a [Entry],
}

impl<'a> Places<'a> {
    /// Puts each entry into the queue of the same index.
    ///
    /// # Safety
    /// The entries are in no queue, and their wakers exist until this is dropped, which it is.
    unsafe fn take(queues: &'a [&'a WaitQueue], entries: &'a [Entry]) -> Self {
        for (queue, entry) in queues.iter().zip(entries) {
            // SAFETY: the entries are borrowed until `drop` takes them out; the wakers exist by the
            // caller.
            unsafe { queue.push(entry) };
        }
        Self { queues, entries }
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        for (queue, entry) in self.queues.iter().zip(self.entries) {
            // SAFETY: `take` put it there.
            unsafe { queue.remove(entry) };
        }
    }
}

/// Does `f` while `waker` is in `queue`.
pub fn with_waker<R>(queue: &WaitQueue, waker: &dyn Waker, f: impl FnOnce() -> R) -> R {
    let (queues, entries) = ([queue], [Entry::new(waker, false)]);
    // SAFETY: the entry is new, and the waker is borrowed for longer than `f` takes.
    let places = unsafe { Places::take(&queues, &entries) };
    let result = f();
    drop(places);
    result
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

/// Waits in a few queues, with the entries on the stack.
fn wait_in<T, const N: usize>(
    queues: [&WaitQueue; N],
    deadline: Option<u64>,
    sleep: Sleep,
    exclusive: bool,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    if let Some(value) = condition() {
        return Ok(value);
    }
    let parker = calls::parker();
    let entries = [(); N].map(|()| Entry::new(&*parker, exclusive));
    let result = sleep_in(&queues, &entries, &parker, deadline, sleep, exclusive, condition);
    calls::keep_parker(parker);
    result
}

/// Sleeps in queues. The entries are new, one for each queue, with `parker` as their waker.
fn sleep_in<T>(
    queues: &[&WaitQueue],
    entries: &[Entry],
    parker: &Arc<dyn Parker>,
    deadline: Option<u64>,
    sleep: Sleep,
    exclusive: bool,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    // SAFETY: they are new, and `parker` outlives this call.
    let places = unsafe { Places::take(queues, entries) };
    let alarm = deadline.map(|at| calls::set_alarm(at, parker.clone()));
    let result = loop {
        #[cfg(test)]
        if put_back::is(Fault::LookBeforeMark) {
            if let Some(value) = condition() {
                break Ok(value);
            }
            calls::prepare(sleep);
            parker.clear_woken();
            calls::park();
            continue;
        }
        calls::prepare(sleep);
        // Only now: a wake-up that finds this task running sets the mark and ends no sleep, and a
        // mark that is set has all later ones pass it by. The barrier in it also keeps the look at
        // the condition behind it.
        parker.clear_woken();
        if let Some(value) = condition() {
            break Ok(value);
        }
        #[cfg(test)]
        if put_back::is(Fault::ClearAfterLook) {
            parker.clear_woken();
            calls::prepare(sleep);
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
    drop(places);
    if let Some(alarm) = alarm {
        calls::cancel_alarm(alarm);
    }
    // An exclusive wake-up that this task got but did not use belongs to the next one.
    if exclusive && result.is_err() && parker.is_woken() {
        for queue in queues {
            queue.wake_one();
        }
    }
    result
}

/// Sleeps until `condition` gives something, looking again after each wake-up of any of `queues`. A
/// pending signal ends the wait, and so does `deadline`. `condition` must not sleep.
pub fn wait_until<T, const N: usize>(
    queues: &[&WaitQueue; N],
    deadline: Option<u64>,
    condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    order::may_wait_for_others();
    wait_in(*queues, deadline, Sleep::Interruptible, false, condition)
}

/// As [`wait_until`], for as many queues as a program chooses. `Err` where there is no
/// memory to wait in them.
pub fn wait_until_any<T>(
    queues: &[&WaitQueue],
    deadline: Option<u64>,
    condition: impl FnMut() -> Option<T>,
) -> Result<Result<T, WaitError>, TryReserveError> {
    match queues {
        [] => return Ok(wait_until(&[], deadline, condition)),
        [only] => return Ok(wait_until(&[only], deadline, condition)),
        [one, other] => return Ok(wait_until(&[one, other], deadline, condition)),
        _ => order::may_wait_for_others(),
    }
    let parker = calls::parker();
    let mut entries = Vec::new();
    entries.try_reserve_exact(queues.len())?;
    entries.extend(queues.iter().map(|_| Entry::new(&*parker, false)));
    let result = sleep_in(queues, &entries, &parker, deadline, Sleep::Interruptible, false, condition);
    calls::keep_parker(parker);
    Ok(result)
}

/// As [`wait_until`], as one of those of whom a wake-up needs only one.
pub fn wait_exclusive<T>(
    queue: &WaitQueue,
    deadline: Option<u64>,
    condition: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    order::may_wait_for_others();
    wait_in([queue], deadline, Sleep::Interruptible, true, condition)
}

/// Sleeps until `condition` gives something; of signals, only one that kills ends the wait.
pub fn wait_killable<T>(queue: &WaitQueue, condition: impl FnMut() -> Option<T>) -> Result<T, WaitError> {
    order::may_wait_for_others();
    wait_in([queue], None, Sleep::Killable, false, condition)
}

/// Sleeps until `condition` gives something, or a signal comes that is among `ends`: as one of
/// those of whom a wake-up needs only one.
pub fn wait_for_lock<T>(queue: &WaitQueue, ends: Ends, condition: impl FnMut() -> Option<T>) -> Result<T, WaitError> {
    let sleep = match ends {
        Ends::Never => Sleep::Uninterruptible,
        Ends::Killed => Sleep::Killable,
    };
    wait_in([queue], None, sleep, true, condition)
}

/// Sleeps until `condition` gives something; signals do not end the wait.
pub fn wait_uninterruptible<T>(queue: &WaitQueue, condition: impl FnMut() -> Option<T>) -> T {
    match wait_in([queue], None, Sleep::Uninterruptible, true, condition) {
        Ok(value) => value,
        Err(_) => unreachable!("no deadline and no signal can end this wait"),
    }
}

/// Sleeps until `condition` gives something, or until `deadline`, whatever signals come, as one of
/// those in each of `queues` of whom a wake-up needs only one.
pub fn wait_uninterruptible_in<T, const N: usize>(
    queues: [&WaitQueue; N],
    deadline: u64,
    condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    wait_in(queues, Some(deadline), Sleep::Uninterruptible, true, condition).ok()
}

/// As [`wait_uninterruptible`], until `deadline` at the latest.
pub fn wait_uninterruptible_until<T>(queue: &WaitQueue, deadline: u64, condition: impl FnMut() -> Option<T>) -> Option<T> {
    wait_in([queue], Some(deadline), Sleep::Uninterruptible, false, condition).ok()
}
