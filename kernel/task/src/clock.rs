//! The clocks that programs can ask for (clock_getres(2)).

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general as g;
use syscall_shim::types::NSEC_PER_SEC;
use syscall_shim::{Errno, SysResult};

use super::process::Process;
use super::thread::Task;
use super::wait::{WaitError, WaitQueue, wait_until};
use super::{Instant, current, current_arc, sched, table};
use arch::clock;

/// Which part of the time used counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuKind {
    /// Application and kernel (`CPUCLOCK_PROF`, `CPUCLOCK_SCHED`).
    Total,
    /// The application alone (`CPUCLOCK_VIRT`).
    Application,
}

/// A clock.
#[derive(Clone)]
pub enum Clock {
    /// Time of day; clock_settime(2) moves it.
    Realtime,
    /// International atomic time: the time of day, and the leap seconds that adjtimex(2) was told
    /// of.
    Tai,
    /// Time since boot. The machine never suspends, so `CLOCK_BOOTTIME` is the same.
    Monotonic,
    /// Time that a process has used.
    Process(Weak<Process>, CpuKind),
    /// Time that a thread has used.
    Thread(Weak<Task>, CpuKind),
}

/// Woken when the time of day is set.
pub static WAS_SET: WaitQueue = WaitQueue::new();
/// How often that has happened.
static TIMES_SET: AtomicU64 = AtomicU64::new(0);

const CPUCLOCK_PERTHREAD: i32 = 4;
const CPUCLOCK_MASK: i32 = 3;
const CPUCLOCK_VIRT: i32 = 1;
const CPUCLOCK_MAX: i32 = 3;

impl Clock {
    /// The clock that `id` names (`CLOCK_*`, or one of clock_getcpuclockid(3)). `EINVAL` for
    /// others, among them the clocks that wake a suspended machine: there is no device that could.
    pub fn from_id(id: i32) -> SysResult<Self> {
        if id < 0 {
            return Self::of_task(id);
        }
        Ok(match id as u32 {
            g::CLOCK_REALTIME | g::CLOCK_REALTIME_COARSE => Self::Realtime,
            g::CLOCK_TAI => Self::Tai,
            g::CLOCK_MONOTONIC | g::CLOCK_MONOTONIC_RAW | g::CLOCK_MONOTONIC_COARSE | g::CLOCK_BOOTTIME => Self::Monotonic,
            g::CLOCK_PROCESS_CPUTIME_ID => Self::process(&current().process, CpuKind::Total),
            g::CLOCK_THREAD_CPUTIME_ID => Self::Thread(Arc::downgrade(&current_arc()), CpuKind::Total),
            _ => return Err(Errno::EINVAL),
        })
    }

    /// Whether the clock is one that is only read, or that would wake a machine that sleeps: no
    /// device here could.
    pub fn has_no_timers(id: i32) -> bool {
        matches!(
            u32::try_from(id),
            Ok(g::CLOCK_MONOTONIC_RAW
                | g::CLOCK_REALTIME_COARSE
                | g::CLOCK_MONOTONIC_COARSE
                | g::CLOCK_REALTIME_ALARM
                | g::CLOCK_BOOTTIME_ALARM)
        )
    }

    /// A number that names it (`CLOCK_*`).
    pub fn id(&self) -> u32 {
        match self {
            Self::Realtime => g::CLOCK_REALTIME,
            Self::Tai => g::CLOCK_TAI,
            Self::Monotonic => g::CLOCK_MONOTONIC,
            Self::Process(..) => g::CLOCK_PROCESS_CPUTIME_ID,
            Self::Thread(..) => g::CLOCK_THREAD_CPUTIME_ID,
        }
    }

    /// The clock of a process's time.
    pub fn process(process: &Arc<Process>, kind: CpuKind) -> Self {
        Self::Process(Arc::downgrade(process), kind)
    }

    /// `(~pid << 3) | flags`, as include/linux/posix-timers.h packs it; pid 0 is the caller.
    fn of_task(id: i32) -> SysResult<Self> {
        let kind = match id & CPUCLOCK_MASK {
            CPUCLOCK_MAX => return Err(Errno::EINVAL),
            CPUCLOCK_VIRT => CpuKind::Application,
            _ => CpuKind::Total,
        };
        let pid = !(id >> 3);
        if id & CPUCLOCK_PERTHREAD != 0 {
            let task = if pid == 0 { current_arc() } else { table::task(pid).ok_or(Errno::EINVAL)? };
            // Other processes' threads are out of reach, as in Linux.
            if !Arc::ptr_eq(&task.process, &current().process) {
                return Err(Errno::EINVAL);
            }
            return Ok(Self::Thread(Arc::downgrade(&task), kind));
        }
        let process = if pid == 0 { current().process.clone() } else { table::process(pid).ok_or(Errno::EINVAL)? };
        Ok(Self::process(&process, kind))
    }

    /// The time on it, in nanoseconds; 0 once the thread or process is gone.
    pub fn now(&self) -> u64 {
        let of_kind = |(user, system): (u64, u64), kind| match kind {
            CpuKind::Total => user + system,
            CpuKind::Application => user,
        };
        match self {
            Self::Realtime => clock::realtime_ns(),
            Self::Tai => clock::realtime_ns().saturating_add_signed(tai_ahead()),
            Self::Monotonic => clock::monotonic_ns(),
            Self::Process(process, kind) => process.upgrade().map_or(0, |p| of_kind(p.cpu_time(), *kind)),
            Self::Thread(task, kind) => task.upgrade().map_or(0, |t| of_kind(sched::cpu_time(&t), *kind)),
        }
    }

    /// Whether it measures time used.
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Process(..) | Self::Thread(..))
    }

    /// Whether setting the time of day moves it.
    pub fn is_settable(&self) -> bool {
        matches!(self, Self::Realtime | Self::Tai)
    }

    /// The monotonic time at which it will show `time`, the soonest that can be for time used.
    pub fn monotonic_at(&self, time: u64) -> Instant {
        match self {
            Self::Monotonic => time,
            // Where the time of day was set to less than the time since boot, the base is negative.
            Self::Realtime => time.saturating_add_signed((clock::realtime_base_ns() as i64).wrapping_neg()),
            Self::Tai => Self::Realtime.monotonic_at(time.saturating_add_signed(-tai_ahead())),
            // Several threads of a process can run at a time.
            Self::Process(..) => {
                let left = time.saturating_sub(self.now());
                clock::monotonic_ns().saturating_add(left.div_ceil(u64::from(sched::online_cpus().count_ones())))
            }
            Self::Thread(..) => clock::monotonic_ns().saturating_add(time.saturating_sub(self.now())),
        }
    }
}

/// Nanoseconds that `CLOCK_TAI` is ahead of the time of day.
fn tai_ahead() -> i64 {
    i64::from(clock::tai_offset()) * NSEC_PER_SEC as i64
}

/// Sets the time of day (clock_settime(2)), and has everybody who waits for a time of day look
/// again.
pub fn set_realtime(ns: u64) {
    clock::set_realtime_ns(ns);
    was_set();
}

/// Tells how many seconds `CLOCK_TAI` is ahead (adjtimex(2)).
pub fn set_tai_offset(seconds: i32) {
    clock::set_tai_offset(seconds);
    was_set();
}

/// A second is inserted into the time of day (`leaps` is -1), or left out (1). For interrupt
/// context: sleepers look again, and timers when they expire, which is no later than before but for
/// one that has a second less to go.
pub(super) fn leap(leaps: i32) {
    clock::set_realtime_ns(clock::realtime_ns().saturating_add_signed(i64::from(leaps) * NSEC_PER_SEC as i64));
    clock::set_tai_offset(clock::tai_offset() - leaps);
    crate::vdso::publish_clock();
    TIMES_SET.fetch_add(1, Ordering::AcqRel);
    WAS_SET.wake_all();
}

fn was_set() {
    crate::vdso::publish_clock();
    TIMES_SET.fetch_add(1, Ordering::AcqRel);
    WAS_SET.wake_all();
    for process in table::processes() {
        process.timers.clock_was_set();
    }
}

/// How often the time of day was set: timerfd's `TFD_TIMER_CANCEL_ON_SET` compares it.
pub fn times_set() -> u64 {
    TIMES_SET.load(Ordering::Acquire)
}

/// Sleeps until `clock` shows `time`; a signal ends the sleep early.
pub fn sleep_until(clock: &Clock, time: u64) -> Result<(), WaitError> {
    loop {
        let set = times_set();
        let deadline = clock.monotonic_at(time);
        let was_set = || (times_set() != set).then_some(());
        let slept = match clock.is_settable() {
            true => wait_until(&[&WAS_SET], Some(deadline), was_set),
            false => wait_until(&[], Some(deadline), was_set),
        };
        match slept {
            Err(WaitError::TimedOut) if clock.now() >= time => return Ok(()),
            Err(WaitError::Interrupted) => return Err(WaitError::Interrupted),
            // The clock was set, or has not run as fast as it could.
            _ => {}
        }
    }
}
