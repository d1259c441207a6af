//! A queue of pending signals.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use syscall_shim::types::{Siginfo, si_code};
use syscall_shim::{SigSet, Signal};

use crate::posix_timer::PosixTimer;
use caller::PerUser;
use mem::heap;

/// How many queued signals and timers count against each user's `RLIMIT_SIGPENDING`.
static CHARGED: PerUser = PerUser::new();

/// One queued signal's, or one timer's, share of a user's `RLIMIT_SIGPENDING`; dropping it gives
/// the share back.
pub struct Charge(u32);

impl Charge {
    /// Takes a share for user `uid`, unless `limit` are taken already, or memory is short.
    pub fn new(uid: u32, limit: u64) -> Option<Self> {
        (!heap::is_short() && CHARGED.add(uid, 1, limit)).then_some(Self(uid))
    }

    /// How many shares user `uid` has: `SigQ` of /proc/PID/status.
    pub fn count(uid: u32) -> u64 {
        CHARGED.count(uid)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        CHARGED.sub(self.0, 1);
    }
}

/// A signal in a queue.
pub struct Queued {
    /// What the handler will see.
    pub info: Siginfo,
    /// The timer that sent it: taking the signal starts its next period.
    pub timer: Option<Arc<PosixTimer>>,
    /// Its share of the limit, if it has one, which goes back with it.
    pub charge: Option<Charge>,
}

impl Queued {
    /// A signal from the kernel.
    pub fn new(info: Siginfo) -> Self {
        Self { info, timer: None, charge: None }
    }

    /// Its number. 0 and numbers beyond 64 never get into a queue.
    pub fn signal(&self) -> Option<Signal> {
        Signal::new(self.info.si_signo as u32)
    }

    /// The information, with a timer's overruns filled in. To be called with no signal lock held.
    pub fn into_info(self) -> Siginfo {
        let mut info = self.info;
        if let Some(timer) = self.timer {
            timer.taken(&mut info);
        }
        info
    }
}

/// Pending signals: a bit for each, and what is known about them. A bit without an entry is a
/// signal whose information was lost to the limit.
#[derive(Default)]
pub struct Pending {
    set: SigSet,
    /// In the order of arrival. There may be very many, which no single block could hold.
    queue: BTreeMap<u64, Queued>,
    next: u64,
}

impl Pending {
    /// Which signals are pending.
    pub fn set(&self) -> SigSet {
        self.set
    }

    /// Adds a signal. A standard signal that is pending already is not queued a second time; then
    /// it is handed back. A timer's is queued all the same, because the timer waits until it is
    /// taken.
    pub fn push(&mut self, queued: Queued) -> Result<(), Queued> {
        let Some(signal) = queued.signal() else { return Err(queued) };
        if !signal.is_realtime() && self.set.contains(signal) && queued.timer.is_none() {
            return Err(queued);
        }
        self.set.insert(signal);
        self.queue.insert(self.next, queued);
        self.next += 1;
        Ok(())
    }

    /// Adds a signal of which nothing is known but the number.
    pub fn push_bare(&mut self, signal: Signal) {
        self.set.insert(signal);
    }

    /// Takes the first signal among `wanted`.
    pub fn take(&mut self, wanted: SigSet) -> Option<Queued> {
        let signal = self.set.intersection(wanted).next()?;
        let at = self.queue.iter().find(|(_, q)| q.signal() == Some(signal)).map(|(at, _)| *at);
        let queued = at.and_then(|at| self.queue.remove(&at));
        if !self.queue.values().any(|q| q.signal() == Some(signal)) {
            self.set.remove(signal);
        }
        Some(queued.unwrap_or_else(|| Queued::new(Siginfo::kill(signal, si_code::SI_USER, 0, 0))))
    }

    /// Takes the oldest signal that a fault raised, if it is not in `blocked`.
    pub fn take_synchronous(&mut self, blocked: SigSet) -> Option<Queued> {
        let candidates = self.set.intersection(SigSet::SYNCHRONOUS).without(blocked);
        if candidates.is_empty() {
            return None;
        }
        let at = self
            .queue
            .iter()
            .find(|(_, q)| q.info.si_code > si_code::SI_USER && q.signal().is_some_and(|s| candidates.contains(s)))
            .map(|(at, _)| *at)?;
        let queued = self.queue.remove(&at)?;
        let signal = queued.signal()?;
        if !self.queue.values().any(|q| q.signal() == Some(signal)) {
            self.set.remove(signal);
        }
        Some(queued)
    }

    /// Drops all signals in `which` and returns their entries, to be freed with no lock held.
    pub fn remove(&mut self, which: SigSet) -> BTreeMap<u64, Queued> {
        if self.set.intersection(which).is_empty() {
            return BTreeMap::new();
        }
        self.set = self.set.without(which);
        self.queue.extract_if(.., |_, q| q.signal().is_some_and(|s| which.contains(s))).collect()
    }

    /// Drops what timer `timer` has queued.
    pub fn remove_timer(&mut self, timer: &Arc<PosixTimer>) -> Vec<Queued> {
        let is_its = |q: &Queued| q.timer.as_ref().is_some_and(|t| Arc::ptr_eq(t, timer));
        // A timer has one in the queue at most.
        let gone: Vec<Queued> = self.queue.extract_if(.., |_, q| is_its(q)).map(|(_, queued)| queued).collect();
        for signal in gone.iter().filter_map(Queued::signal) {
            if !self.queue.values().any(|q| q.signal() == Some(signal)) {
                self.set.remove(signal);
            }
        }
        gone
    }
}
