//! Timers that send signals: timer_create(2), setitimer(2), alarm(2), `RLIMIT_CPU`.
//!
//! A timer that has sent its signal starts its next period when the signal is taken, so that a slow
//! program is not flooded; what it missed it learns as the overrun count (timer_getoverrun(2)).
//! Interval timers run on whether or not.
//!
//! A timer on a CPU clock guesses when its time will have been used at the earliest, looks then,
//! and guesses again. While its process does not run it waits for the scheduler to say that it
//! does.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use linux_raw_sys::general::RLIMIT_SIGPENDING;
use syscall_shim::types::{NSEC_PER_SEC, RLIM_INFINITY, Siginfo};
use syscall_shim::{Errno, Signal, SysResult};

use super::clock::{Clock, CpuKind};
use super::current;
use super::process::Process;
use super::rt_limit;
use super::signal::pending::{Charge, Queued};
use super::signal::send::{Outcome, post_to_process, post_to_task};
use super::thread::Task;
use super::timer::{self, TimerId};
use sync::IrqSpinLock;

/// Shortest period that an interval timer gets, so that its interrupts leave the program some time.
const MIN_PERIOD: u64 = 20_000;
/// `DELAYTIMER_MAX`.
const MAX_OVERRUN: u64 = i32::MAX as u64;

/// What a timer does when it expires.
pub enum Notify {
    /// Nothing: the program asks (`SIGEV_NONE`).
    Nothing,
    /// A queued signal for the process (`SIGEV_SIGNAL`).
    Process(Signal, u64),
    /// A queued signal for one thread (`SIGEV_THREAD_ID`).
    Thread(Weak<Task>, Signal, u64),
    /// A plain signal for the process (setitimer(2)).
    Interval(Signal),
    /// What `RLIMIT_CPU` says: `SIGXCPU`, and `SIGKILL` once the time on the clock has reached the
    /// hard limit.
    CpuLimit,
    /// A look at what `RLIMIT_RTTIME` says.
    RealtimeLimit,
}

/// When a timer expires next, and how often after that; nanoseconds, 0 for never.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Time left.
    pub value: u64,
    /// Period.
    pub interval: u64,
}

#[derive(Default)]
struct State {
    /// The time on `clock` at which the timer expires.
    expiry: Option<u64>,
    interval: u64,
    /// `clock` is the timer's own; else it was set relative to the time of day, which must not
    /// follow its changes.
    on_monotonic: bool,
    alarm: Option<TimerId>,
    /// Its signal is in a queue.
    queued: bool,
    /// The next period starts when the signal is taken.
    waits_for_taking: bool,
    /// Expiries since the signal was queued.
    missed: u64,
    last_overrun: i32,
    /// A CPU timer whose process does not run.
    dormant: bool,
}

/// One timer.
pub struct PosixTimer {
    /// `timer_t`, also in the siginfo.
    pub id: i32,
    clock: Clock,
    process: Weak<Process>,
    notify: Notify,
    callback: Arc<dyn Fn() + Send + Sync>,
    /// Its share of `RLIMIT_SIGPENDING`, which it always needs for its signal.
    _charge: Option<Charge>,
    /// Held while the queue of deadlines changes; no signal is sent with it held.
    state: IrqSpinLock<State>,
}

impl PosixTimer {
    fn new(id: i32, clock: Clock, process: &Arc<Process>, notify: Notify, charge: Option<Charge>) -> Arc<Self> {
        Arc::new_cyclic(|me: &Weak<Self>| {
            let me = me.clone();
            Self {
                id,
                clock,
                process: Arc::downgrade(process),
                notify,
                callback: Arc::new(move || {
                    if let Some(timer) = me.upgrade() {
                        timer.fire();
                    }
                }),
                _charge: charge,
                state: IrqSpinLock::new(State::default()),
            }
        })
    }

    fn base(&self, state: &State) -> Clock {
        if state.on_monotonic { Clock::Monotonic } else { self.clock.clone() }
    }

    /// Has the alarm go off when the expiry can have come.
    fn arm(&self, state: &mut State) {
        if let Some(alarm) = state.alarm.take() {
            timer::cancel(alarm);
        }
        state.dormant = false;
        if let Some(expiry) = state.expiry {
            let at = self.base(state).monotonic_at(expiry);
            state.alarm = Some(timer::call_at(at, self.callback.clone()));
        }
    }

    /// timer_settime(2): `value` is a time on the timer's clock if `absolute`, else from now.
    /// Returns the setting before.
    pub fn set(&self, new: Setting, absolute: bool) -> Setting {
        let mut state = self.state.lock();
        let old = self.left(&state);
        let queued = state.queued;
        if let Some(alarm) = state.alarm.take() {
            timer::cancel(alarm);
        }
        *state = State { queued, ..State::default() };
        if new.value != 0 {
            state.interval = new.interval;
            state.on_monotonic = !absolute && self.clock.is_settable();
            let start = if absolute { 0 } else { self.base(&state).now() };
            state.expiry = Some(start.saturating_add(new.value));
            self.note_cpu_use();
            self.arm(&mut state);
        }
        old
    }

    /// timer_gettime(2).
    pub fn get(&self) -> Setting {
        self.left(&self.state.lock())
    }

    fn left(&self, state: &State) -> Setting {
        let Some(expiry) = state.expiry else { return Setting { value: 0, interval: state.interval } };
        let now = self.base(state).now();
        let value = match expiry.checked_sub(now) {
            Some(left) if left > 0 => left,
            // Due, but not handled yet; with a period, the time to the next one counts.
            _ if state.interval > 0 => state.interval - (now - expiry) % state.interval,
            _ if matches!(self.notify, Notify::Nothing) => 0,
            _ => 1,
        };
        Setting { value, interval: state.interval }
    }

    /// timer_getoverrun(2).
    pub fn overrun(&self) -> i32 {
        self.state.lock().last_overrun
    }

    /// Stops it for good.
    fn cancel(&self) {
        let mut state = self.state.lock();
        state.expiry = None;
        state.waits_for_taking = false;
        if let Some(alarm) = state.alarm.take() {
            timer::cancel(alarm);
        }
    }

    fn note_cpu_use(&self) {
        if self.clock.is_cpu()
            && let Some(process) = self.process.upgrade()
        {
            process.timers.uses_cpu_clocks.store(true, Ordering::Release);
        }
    }

    /// Moves the expiry past now, and returns how many periods that skips beyond the first.
    fn advance(&self, state: &mut State) -> u64 {
        let Some(expiry) = state.expiry else { return 0 };
        let now = self.base(state).now();
        let skipped = now.saturating_sub(expiry) / state.interval.max(1);
        let mut next = expiry.saturating_add(state.interval.saturating_mul(skipped + 1));
        if !self.clock.is_cpu() {
            next = next.max(now.saturating_add(MIN_PERIOD.min(state.interval.max(1)))).max(expiry);
        }
        state.expiry = Some(next);
        skipped
    }

    /// The alarm went off. Interrupt context.
    fn fire(&self) {
        let Some(process) = self.process.upgrade() else { return };
        {
            let mut state = self.state.lock();
            state.alarm = None;
            let Some(expiry) = state.expiry else { return };
            if self.base(&state).now() < expiry {
                // Time used goes on only while the process runs: the scheduler says when it does
                // again.
                if self.clock.is_cpu() && !process.is_running() {
                    state.dormant = true;
                } else {
                    self.arm(&mut state);
                }
                return;
            }
            if matches!(self.notify, Notify::Nothing) {
                if state.interval != 0 {
                    self.advance(&mut state);
                }
                return;
            }
            let periodic = state.interval != 0;
            let runs_on =
                matches!(self.notify, Notify::Interval(_) | Notify::CpuLimit | Notify::RealtimeLimit) || state.queued;
            if !periodic {
                state.expiry = None;
            } else if runs_on {
                let skipped = self.advance(&mut state);
                state.missed += skipped;
                self.arm(&mut state);
            }
            if state.queued {
                state.missed += 1;
                return;
            }
            if !runs_on {
                state.queued = true;
                state.waits_for_taking = periodic;
                state.missed = 0;
            }
        }
        self.send(&process);
    }

    fn send(&self, process: &Arc<Process>) {
        let queued = |signal, value| Queued {
            info: Siginfo::timer(signal, self.id, 0, value),
            timer: process.timers.find(self.id),
            charge: None,
        };
        let outcome = match &self.notify {
            Notify::Nothing => return,
            Notify::Interval(signal) => {
                post_to_process(process, Queued::new(Siginfo::kernel(*signal)));
                return;
            }
            Notify::CpuLimit => {
                let over = self.clock.now() >= process.timers.cpu_hard_limit.load(Ordering::Acquire);
                let signal = if over { Signal::SIGKILL } else { Signal::SIGXCPU };
                post_to_process(process, Queued::new(Siginfo::kernel(signal)));
                return;
            }
            Notify::RealtimeLimit => return rt_limit::look(process),
            Notify::Process(signal, value) => post_to_process(process, queued(*signal, *value)),
            Notify::Thread(task, signal, value) => match task.upgrade() {
                Some(task) => post_to_task(&task, queued(*signal, *value)),
                None => Outcome::Ignored,
            },
        };
        if outcome == Outcome::Ignored {
            let mut state = self.state.lock();
            state.queued = false;
            if core::mem::take(&mut state.waits_for_taking) {
                self.advance(&mut state);
                self.arm(&mut state);
            }
        }
    }

    /// Its signal was taken from the queue: the next period starts, and `info` gets the overruns.
    pub fn taken(&self, info: &mut Siginfo) {
        let mut state = self.state.lock();
        state.queued = false;
        let mut overrun = core::mem::take(&mut state.missed);
        if core::mem::take(&mut state.waits_for_taking) {
            overrun += self.advance(&mut state);
            self.arm(&mut state);
        }
        state.last_overrun = overrun.min(MAX_OVERRUN) as i32;
        info.fields[0] = u64::from(self.id as u32) | (state.last_overrun as u64) << 32;
    }
}

/// The timers of a process.
#[derive(Default)]
pub struct ProcessTimers {
    posix: IrqSpinLock<BTreeMap<i32, Arc<PosixTimer>>>,
    next_id: AtomicI32,
    /// `ITIMER_REAL`, `ITIMER_VIRTUAL`, `ITIMER_PROF`; made when first used.
    intervals: IrqSpinLock<[Option<Arc<PosixTimer>>; 3]>,
    uses_cpu_clocks: AtomicBool,
    /// Watches `RLIMIT_CPU`, whose hard limit, in nanoseconds, is beside it.
    cpu_limit: IrqSpinLock<Option<Arc<PosixTimer>>>,
    cpu_hard_limit: AtomicU64,
    /// Watches `RLIMIT_RTTIME`.
    realtime_limit: IrqSpinLock<Option<Arc<PosixTimer>>>,
}

impl ProcessTimers {
    /// timer_create(2). `notify` gets the new id, which is the default `sigev_value`. `EAGAIN` at
    /// `RLIMIT_SIGPENDING`.
    pub fn create(&self, process: &Arc<Process>, clock: Clock, notify: impl FnOnce(i32) -> Notify) -> SysResult<i32> {
        let charge = Charge::new(current().credentials().uid, process.rlimit(RLIMIT_SIGPENDING)).ok_or(Errno::EAGAIN)?;
        let mut timers = self.posix.lock();
        let id = loop {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if !timers.contains_key(&id) {
                break id;
            }
        };
        timers.insert(id, PosixTimer::new(id, clock, process, notify(id), Some(charge)));
        Ok(id)
    }

    /// The timers as /proc/PID/timers lists them.
    pub fn list(&self, pid: i32) -> String {
        let mut out = String::new();
        for timer in self.posix.lock().values() {
            let (signal, value, kind, whom, id) = match &timer.notify {
                Notify::Process(signal, value) => (signal.number(), *value, "signal", "pid", pid),
                Notify::Thread(task, signal, value) => {
                    (signal.number(), *value, "signal", "tid", task.upgrade().map_or(0, |task| task.tid()))
                }
                Notify::Nothing | Notify::Interval(_) | Notify::CpuLimit | Notify::RealtimeLimit => {
                    (0, 0, "none", "pid", pid)
                }
            };
            out += &format!("ID: {}\nsignal: {signal}/{value:016x}\nnotify: {kind}/{whom}.{id}\n", timer.id);
            out += &format!("ClockID: {}\n", timer.clock.id());
        }
        out
    }

    fn find(&self, id: i32) -> Option<Arc<PosixTimer>> {
        self.posix.lock().get(&id).cloned()
    }

    /// The timer `id`. `EINVAL`.
    pub fn get(&self, id: i32) -> SysResult<Arc<PosixTimer>> {
        self.find(id).ok_or(Errno::EINVAL)
    }

    /// timer_delete(2). A signal that it has queued goes with it.
    pub fn delete(&self, process: &Process, id: i32) -> SysResult<()> {
        let timer = self.posix.lock().remove(&id).ok_or(Errno::EINVAL)?;
        timer.cancel();
        let mut dropped = process.signals.lock().pending.remove_timer(&timer);
        for thread in process.threads() {
            dropped.extend(thread.signals.lock().pending.remove_timer(&timer));
        }
        drop(dropped);
        current().recalculate_signals();
        Ok(())
    }

    /// The interval timer `which` (`ITIMER_*`). `EINVAL`.
    pub fn interval(&self, process: &Arc<Process>, which: i32) -> SysResult<Arc<PosixTimer>> {
        let (clock, signal) = match which {
            0 => (Clock::Monotonic, Signal::SIGALRM),
            1 => (Clock::process(process, CpuKind::Application), Signal::SIGVTALRM),
            2 => (Clock::process(process, CpuKind::Total), Signal::SIGPROF),
            _ => return Err(Errno::EINVAL),
        };
        let mut intervals = self.intervals.lock();
        let slot = intervals.get_mut(which as usize).ok_or(Errno::EINVAL)?;
        Ok(slot.get_or_insert_with(|| PosixTimer::new(-1, clock, process, Notify::Interval(signal), None)).clone())
    }

    /// `RLIMIT_CPU` is `soft` and `hard` seconds from now on, or none where that is
    /// `RLIM_INFINITY`.
    pub fn set_cpu_limit(&self, process: &Arc<Process>, soft: u64, hard: u64) {
        self.cpu_hard_limit.store(hard.saturating_mul(NSEC_PER_SEC), Ordering::Release);
        let mut limit = self.cpu_limit.lock();
        if limit.is_none() && soft == RLIM_INFINITY {
            return;
        }
        let clock = Clock::process(process, CpuKind::Total);
        let timer = limit.get_or_insert_with(|| PosixTimer::new(-1, clock, process, Notify::CpuLimit, None));
        let value = if soft == RLIM_INFINITY { 0 } else { soft.saturating_mul(NSEC_PER_SEC).max(1) };
        // The soft limit's signal comes again each second.
        timer.set(Setting { value, interval: NSEC_PER_SEC }, true);
    }

    /// Has what real-time threads use looked at each `period` of the process's time, or not at all
    /// (0).
    pub(super) fn watch_realtime(&self, process: &Arc<Process>, period: u64) {
        let mut limit = self.realtime_limit.lock();
        if limit.is_none() && period == 0 {
            return;
        }
        let clock = Clock::process(process, CpuKind::Total);
        let timer = limit.get_or_insert_with(|| PosixTimer::new(-1, clock, process, Notify::RealtimeLimit, None));
        timer.set(Setting { value: period, interval: period }, false);
    }

    /// Calls `f` with each timer, no lock held. There may be many, and memory for a list of them
    /// missing.
    fn for_each(&self, f: impl Fn(&Arc<PosixTimer>)) {
        let mut from = i32::MIN;
        loop {
            let next = self.posix.lock().range(from..).next().map(|(id, timer)| (*id, timer.clone()));
            let Some((id, timer)) = next else { break };
            f(&timer);
            let Some(behind) = id.checked_add(1) else { break };
            from = behind;
        }
        let intervals = self.intervals.lock().clone();
        intervals.iter().flatten().for_each(&f);
        let limit = self.cpu_limit.lock().clone();
        limit.iter().for_each(&f);
        let limit = self.realtime_limit.lock().clone();
        limit.iter().for_each(&f);
    }

    /// Called when a thread of the process gets a CPU: timers on CPU clocks that gave up waiting
    /// start again.
    pub fn process_runs(&self) {
        if !self.uses_cpu_clocks.load(Ordering::Acquire) {
            return;
        }
        self.for_each(|timer| {
            let mut state = timer.state.lock();
            if state.dormant {
                timer.arm(&mut state);
            }
        });
    }

    /// The time of day was set: absolute timers on it come sooner or later.
    pub fn clock_was_set(&self) {
        self.for_each(|timer| {
            let mut state = timer.state.lock();
            if timer.clock.is_settable() && !state.on_monotonic && !state.waits_for_taking {
                timer.arm(&mut state);
            }
        });
    }

    /// What `execve` does: timer_create(2)'s timers go, interval timers stay.
    pub fn delete_posix(&self, process: &Process) {
        loop {
            let first = self.posix.lock().first_key_value().map(|(id, _)| *id);
            let Some(id) = first else { return };
            let _ = self.delete(process, id);
        }
    }

    /// Stops all timers: the process has ended.
    pub fn stop_all(&self) {
        self.for_each(|timer| timer.cancel());
        // One by one, with no lock held while they are dropped.
        loop {
            let first = self.posix.lock().pop_first();
            if first.is_none() {
                break;
            }
        }
        *self.intervals.lock() = [None, None, None];
        *self.cpu_limit.lock() = None;
    }
}

/// `SIGEV_SIGNAL` for a timer made without a sigevent: `SIGALRM` with the timer's id.
pub fn default_notify(id: i32) -> Notify {
    Notify::Process(Signal::SIGALRM, id as u64)
}

/// Checks a `SIGEV_THREAD_ID`'s thread: it must be of this process. `EINVAL`.
pub fn thread_of_process(tid: i32) -> SysResult<Weak<Task>> {
    let task = super::table::task(tid).ok_or(Errno::EINVAL)?;
    if !Arc::ptr_eq(&task.process, &current().process) {
        return Err(Errno::EINVAL);
    }
    Ok(Arc::downgrade(&task))
}
