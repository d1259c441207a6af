//! `SCHED_DEADLINE` (sched(7)): of the tasks that have a budget in each period, the one whose
//! deadline is next runs first, before all other real-time tasks.
//!
//! A task that has used up its budget gets the next one at once, with a deadline that is a period
//! later (a constant-bandwidth server that postpones): others with a deadline are as safe from it
//! as if it slept. What all real-time tasks leave to the others holds for these too.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use syscall_shim::{Errno, SysResult};

use super::super::Instant;
use super::{online_cpus, realtime};

/// What a program asks for, in nanoseconds: `runtime` in each `period`, each time before `deadline`
/// has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// `sched_runtime`
    pub runtime: u64,
    /// `sched_deadline`
    pub deadline: u64,
    /// `sched_period`
    pub period: u64,
    /// `SCHED_FLAG_RECLAIM` and `SCHED_FLAG_DL_OVERRUN`, kept for those who ask.
    pub flags: u64,
}

/// The shares of one CPU that all budgets are, of [`WHOLE`].
static PROMISED: AtomicU64 = AtomicU64::new(0);
const WHOLE: u64 = 1 << 20;

impl Budget {
    /// The budget for these parameters; without a period it is the deadline. `EINVAL` for what
    /// cannot be kept.
    pub fn new(runtime: u64, deadline: u64, period: u64, flags: u64) -> SysResult<Self> {
        const MIN_RUNTIME: u64 = 1 << 10;
        const PERIODS: core::ops::RangeInclusive<u64> = 100_000..=4_194_304_000;
        let period = if period == 0 { deadline } else { period };
        let ordered = (MIN_RUNTIME..=deadline).contains(&runtime) && deadline <= period;
        if !ordered || !PERIODS.contains(&period) {
            return Err(Errno::EINVAL);
        }
        Ok(Self { runtime, deadline, period, flags })
    }

    fn share(&self) -> u64 {
        (self.runtime * WHOLE).checked_div(self.period).unwrap_or(0)
    }
}

/// Promises `new` instead of `old`. `EBUSY` where that is more than real-time tasks may have of the
/// CPUs.
pub fn promise(old: Budget, new: Budget) -> SysResult<()> {
    let all = match realtime::runtime() {
        Instant::MAX => u64::MAX,
        runtime => runtime * WHOLE / realtime::period() * u64::from(online_cpus().count_ones()),
    };
    let change = |promised: u64| {
        let promised = promised.saturating_sub(old.share()) + new.share();
        (new.share() <= old.share() || promised <= all).then_some(promised)
    };
    PROMISED.fetch_update(Relaxed, Relaxed, change).map(|_| ()).map_err(|_| Errno::EBUSY)
}

/// A task's budget and what is left of it; the lock of the task's run queue guards it.
#[derive(Default)]
pub struct Deadline {
    runtime: AtomicU64,
    deadline: AtomicU64,
    period: AtomicU64,
    flags: AtomicU64,
    /// When its present budget has to be used.
    at: AtomicU64,
    left: AtomicU64,
}

impl Deadline {
    /// What it has now; nothing for tasks of other policies.
    pub fn budget(&self) -> Budget {
        Budget {
            runtime: self.runtime.load(Relaxed),
            deadline: self.deadline.load(Relaxed),
            period: self.period.load(Relaxed),
            flags: self.flags.load(Relaxed),
        }
    }

    /// Gives it another one, which it can use from the next time it is ready.
    pub fn set(&self, Budget { runtime, deadline, period, flags }: Budget) {
        self.runtime.store(runtime, Relaxed);
        self.deadline.store(deadline, Relaxed);
        self.period.store(period, Relaxed);
        self.flags.store(flags, Relaxed);
        self.at.store(0, Relaxed);
    }

    /// The task becomes ready: what is left of its budget counts as long as it is no more than its
    /// share of the time that is left.
    pub(super) fn ready(&self, now: Instant) -> Instant {
        let (at, left) = (self.at.load(Relaxed), self.left.load(Relaxed));
        let Budget { runtime, deadline, period, .. } = self.budget();
        let remains = at.saturating_sub(now);
        if remains == 0 || u128::from(left) * u128::from(period) > u128::from(runtime) * u128::from(remains) {
            self.at.store(now + deadline, Relaxed);
            self.left.store(runtime, Relaxed);
        }
        self.at.load(Relaxed)
    }

    /// The present deadline.
    pub(super) fn at(&self) -> Instant {
        self.at.load(Relaxed)
    }

    /// It has run for `ran`.
    pub(super) fn used(&self, ran: u64) {
        match self.left.load(Relaxed).checked_sub(ran) {
            Some(left) if left > 0 => self.left.store(left, Relaxed),
            _ => self.give_up(),
        }
    }

    /// What is left of the budget goes; the next one has a later deadline.
    pub(super) fn give_up(&self) {
        self.at.fetch_add(self.period.load(Relaxed), Relaxed);
        self.left.store(self.runtime.load(Relaxed), Relaxed);
    }

    /// The longest that it may run before its deadline changes.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Relaxed)
    }
}
