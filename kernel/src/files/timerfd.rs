//! timerfd_create(2): a timer that is read.
//!
//! The timer interrupt counts expirations and sets the next; the lock is one that turns interrupts
//! off. A timer on the time of day that finds its time not yet come, because somebody moved the
//! clock back, waits on.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::fmt::Write as _;

use fs::OpenFlags;
use syscall_shim::types::{Itimerspec, Timespec};
use syscall_shim::{Errno, SysResult};

use crate::sync::IrqSpinLock;
use crate::usermem::UserAddr;
use fd::io::{Sink, put_all};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::{FileOps, OpenFile, anon, capable};
use task::clock::{self, Clock};
use task::timer::{self, TimerId};
use task::wait::{Waker, wait_exclusive};

const CAP_WAKE_ALARM: u32 = 35;
/// ioctl(2): sets the count of expirations.
const TFD_IOC_SET_TICKS: u32 = 0x4008_5400;

#[derive(Default)]
struct State {
    /// The time on the clock of the next expiration; 0 when disarmed.
    next: u64,
    /// Period in nanoseconds; 0 for once.
    interval: u64,
    /// Expirations since the last read.
    ticks: u64,
    /// The deadline in the queue of timers.
    armed: Option<TimerId>,
    /// `TFD_TIMER_CANCEL_ON_SET`: the count of clock changes when it was set.
    cancel_at: Option<u64>,
    /// `TFD_TIMER_ABSTIME`, for fdinfo.
    absolute: bool,
}

/// A timerfd.
pub struct TimerFd {
    me: Weak<TimerFd>,
    clock_id: i32,
    clock: Clock,
    state: IrqSpinLock<State>,
    queue: PollQueue,
}

/// Wakes the timerfd at its deadline.
struct Alarm(Weak<TimerFd>);

impl Waker for Alarm {
    fn wake(&self, _key: u32) -> bool {
        let Some(timer) = self.0.upgrade() else { return false };
        timer.expire();
        // Whoever waits is woken through the queue; never the last reference, as the timer cancels
        // its alarm when it goes.
        timer.queue.wake_key(ev::READABLE);
        true
    }
}

impl TimerFd {
    /// A new, disarmed timer on the clock `id`, open. `EINVAL` for a clock that has no timerfd.
    pub fn open(clock_id: i32, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
        use linux_raw_sys::general as g;
        let known =
            [g::CLOCK_REALTIME, g::CLOCK_MONOTONIC, g::CLOCK_BOOTTIME, g::CLOCK_REALTIME_ALARM, g::CLOCK_BOOTTIME_ALARM];
        if !u32::try_from(clock_id).is_ok_and(|id| known.contains(&id)) {
            return Err(Errno::EINVAL);
        }
        if matches!(clock_id as u32, g::CLOCK_REALTIME_ALARM | g::CLOCK_BOOTTIME_ALARM) && !capable(CAP_WAKE_ALARM) {
            return Err(Errno::EPERM);
        }
        // The machine never sleeps, so that a timer that would wake it is one like others.
        let clock = match clock_id as u32 {
            g::CLOCK_REALTIME_ALARM => Clock::Realtime,
            g::CLOCK_BOOTTIME_ALARM => Clock::Monotonic,
            _ => Clock::from_id(clock_id)?,
        };
        let ops = Arc::new_cyclic(|me| TimerFd {
            me: me.clone(),
            clock_id,
            clock,
            state: IrqSpinLock::new(State::default()),
            queue: poll_queue(),
        });
        let (path, inode) = anon::anon_inode("[timerfd]");
        Ok(OpenFile::new(path, inode, ops, flags | OpenFlags::RDWR))
    }

    /// Counts what is due and sets the deadline of what comes next.
    fn expire(&self) {
        let mut state = self.state.lock();
        let now = self.clock.now();
        if state.next != 0 && now >= state.next {
            if state.interval == 0 {
                state.ticks += 1;
                state.next = 0;
            } else {
                let due = (now - state.next) / state.interval + 1;
                state.ticks += due;
                state.next = state.next.saturating_add(due.saturating_mul(state.interval));
            }
        }
        self.arm(&mut state);
    }

    fn arm(&self, state: &mut State) {
        if let Some(id) = state.armed.take() {
            timer::cancel(id);
        }
        if state.next != 0 {
            state.armed = Some(timer::wake_at(self.clock.monotonic_at(state.next), Arc::new(Alarm(self.me.clone()))));
        }
    }

    fn remaining(&self, state: &State) -> Itimerspec {
        let now = self.clock.now();
        // An armed timer never shows zero, which would mean disarmed.
        let value = if state.next == 0 { 0 } else { state.next.saturating_sub(now).max(1) };
        Itimerspec { it_interval: Timespec::from_ns(state.interval), it_value: Timespec::from_ns(value) }
    }

    /// timerfd_settime(2): answers the setting before.
    pub fn set(&self, new: Itimerspec, absolute: bool, cancel_on_set: bool) -> SysResult<Itimerspec> {
        let (value, interval) = (new.it_value.to_ns()?, new.it_interval.to_ns()?);
        let mut state = self.state.lock();
        let old = self.remaining(&state);
        state.next = match value {
            0 => 0,
            at if absolute => at,
            after => self.clock.now().saturating_add(after),
        };
        state.interval = if value == 0 { 0 } else { interval };
        state.ticks = 0;
        state.absolute = absolute;
        state.cancel_at = (absolute && cancel_on_set && self.clock.is_settable()).then(clock::times_set);
        self.arm(&mut state);
        Ok(old)
    }

    /// timerfd_gettime(2).
    pub fn get(&self) -> Itimerspec {
        self.remaining(&self.state.lock())
    }

    /// The expirations to report; `ECANCELED` once after the clock was set.
    fn take(&self) -> Option<SysResult<u64>> {
        let mut state = self.state.lock();
        let changes = clock::times_set();
        if state.cancel_at.is_some_and(|at| at != changes) {
            state.cancel_at = Some(changes);
            state.ticks = 0;
            return Some(Err(Errno::ECANCELED));
        }
        match core::mem::take(&mut state.ticks) {
            0 => None,
            n => Some(Ok(n)),
        }
    }
}

impl TimerFd {
    fn read_ticks(&self, to: &mut Sink<'_>, nonblock: bool) -> SysResult<usize> {
        if to.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let ticks = match self.take() {
            Some(ticks) => ticks?,
            None if nonblock => return Err(Errno::EAGAIN),
            None => wait_exclusive(&self.queue, None, || self.take()).map_err(|_| Errno::ERESTARTSYS)??,
        };
        put_all(to, &ticks.to_le_bytes())?;
        Ok(8)
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        if let Some(id) = self.state.lock().armed.take() {
            timer::cancel(id);
        }
    }
}

impl FileOps for TimerFd {
    fn seek(&self, _file: &OpenFile, pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Ok(pos)
    }

    fn can_read_and_write(&self) -> (bool, bool) {
        (true, false)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.read_ticks(to, file.nonblocking())
    }

    fn read_now(&self, _file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.read_ticks(to, true)
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        if request != TFD_IOC_SET_TICKS {
            return Err(Errno::ENOTTY);
        }
        let ticks = arg.cast::<u64>().read()?;
        if ticks == 0 {
            return Err(Errno::EINVAL);
        }
        {
            let mut state = self.state.lock();
            if state.cancel_at.is_some_and(|at| at != clock::times_set()) {
                return Err(Errno::ECANCELED);
            }
            state.ticks = ticks;
        }
        self.queue.wake_key(ev::READABLE);
        Ok(0)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.queue);
        let state = self.state.lock();
        let canceled = state.cancel_at.is_some_and(|at| at != clock::times_set());
        if state.ticks > 0 || canceled { ev::IN } else { 0 }
    }

    fn fdinfo(&self, _file: &OpenFile, out: &mut String) {
        let state = self.state.lock();
        let now = self.remaining(&state);
        let flags = u32::from(state.absolute) | u32::from(state.cancel_at.is_some()) << 1;
        let _ = write!(
            out,
            "clockid: {}\nticks: {}\nsettime flags: 0{:o}\nit_value: ({}, {})\nit_interval: ({}, {})\n",
            self.clock_id,
            state.ticks,
            flags,
            now.it_value.tv_sec,
            now.it_value.tv_nsec,
            now.it_interval.tv_sec,
            now.it_interval.tv_nsec
        );
    }
}
