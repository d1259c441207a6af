//! How the time of day is kept right: the state behind adjtimex(2), and what it does to the clock
//! (RFC 1589, kernel/time/ntp.c).
//!
//! The clock goes slower or faster by the frequency that was told, by the tick, and for a while to
//! make up an offset: that of the phase-locked loop, or of adjtime(3). Once in a second, while an
//! offset is left, the rate is set anew. A leap second that was announced comes at the end of the
//! day of UTC. No pulse per second comes.

use alloc::sync::Arc;

use syscall_shim::types::{NSEC_PER_SEC, Timeval, Timex};
use syscall_shim::{Errno, SysResult};

use super::timer;
use arch::clock;
use sync::IrqSpinLock;

/// `modes`: what is set.
mod adj {
    pub const OFFSET: u32 = 0x0001;
    pub const FREQUENCY: u32 = 0x0002;
    pub const MAXERROR: u32 = 0x0004;
    pub const ESTERROR: u32 = 0x0008;
    pub const STATUS: u32 = 0x0010;
    pub const TIMECONST: u32 = 0x0020;
    pub const TAI: u32 = 0x0080;
    pub const SETOFFSET: u32 = 0x0100;
    pub const MICRO: u32 = 0x1000;
    pub const NANO: u32 = 0x2000;
    pub const TICK: u32 = 0x4000;
    /// adjtime(3): with `OFFSET` alone, or, to look only, with `NANO`'s bit too.
    pub const ADJTIME: u32 = 0x8000;
    pub const READ_ONLY: u32 = 0x2000;
}

/// Bits of `status`.
mod sta {
    pub const PLL: i32 = 0x0001;
    pub const FLL: i32 = 0x0008;
    pub const INS: i32 = 0x0010;
    pub const DEL: i32 = 0x0020;
    pub const UNSYNC: i32 = 0x0040;
    pub const FREQHOLD: i32 = 0x0080;
    pub const CLOCKERR: i32 = 0x1000;
    pub const NANO: i32 = 0x2000;
    pub const MODE: i32 = 0x4000;
    /// Those that programs cannot set.
    pub const READ_ONLY: i32 = 0x0100 | 0x0200 | 0x0400 | 0x0800 | CLOCKERR | NANO | MODE | 0x8000;
}

const TIME_ERROR: usize = 5;
const SECONDS_PER_DAY: u64 = 86_400;
/// There is no leap second to come.
const NEVER: u64 = u64::MAX;
/// Microseconds: the largest error that is told (`NTP_PHASE_LIMIT`), and by how much it grows in a
/// second.
const PHASE_LIMIT: i64 = 16_000_000;
const DRIFT: i64 = 500;
/// Nanoseconds: the largest offset of the loop (`MAXPHASE`).
const MAX_PHASE: i64 = 500_000_000;
/// Nanoseconds a second, times 2^32 (`MAXFREQ_SCALED`), and what a unit of `freq` is of it
/// (`PPM_SCALE`).
const MAX_FREQUENCY: i64 = 500_000 << SCALE;
const FREQUENCY_UNIT: i64 = 1000 << (SCALE - 16);
const SCALE: u32 = 32;
/// Microseconds: a tick, of which there are 100 in a second, and what adjtime(3) makes up in a
/// second.
const TICK: i64 = 10_000;
const TICKS: i64 = 100;
const SLEW: i64 = 500;
const MAX_CONSTANT: i64 = 10;
const MAX_TAI: i64 = 100_000;
/// The loop's gain (`SHIFT_PLL`, `SHIFT_FLL`), and the seconds between updates from which it may
/// lock on frequency.
const SHIFT_PLL: u32 = 2;
const SHIFT_FLL: u32 = 2;
const MIN_SECONDS: i64 = 256;
const MAX_SECONDS: i64 = 2048;

/// `TIME_*`: what adjtimex(2) returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leap {
    Ok = 0,
    /// A second is to be inserted at the end of the day.
    Insert = 1,
    /// One is to be left out.
    Delete = 2,
    /// The inserted second.
    During = 3,
    /// It is over, and the announcement not taken back.
    After = 4,
}

struct Discipline {
    status: i32,
    /// What the loop has still to make up, in nanoseconds times 2^32.
    offset: i64,
    /// Nanoseconds a second, times 2^32.
    frequency: i64,
    maxerror: i64,
    esterror: i64,
    constant: i64,
    tick: i64,
    /// Where the clock is with a leap second.
    leap: Leap,
    /// The second of the time of day before which one is inserted, or left out.
    leap_at: u64,
    /// A call at the next second of the time of day is on its way, for the leap second.
    watches_leap: bool,
    /// What adjtime(3) has still to make up, in microseconds.
    adjust: i64,
    /// Seconds of the monotonic clock when the loop was last told an offset.
    told_at: i64,
    /// Seconds of the monotonic clock up to which the above is worked out.
    at: i64,
    /// A call at the next second is on its way.
    ticking: bool,
}

/// Above the queues of timers and what publishes the clock.
static STATE: IrqSpinLock<Discipline> = IrqSpinLock::new(Discipline {
    status: sta::UNSYNC,
    offset: 0,
    frequency: 0,
    maxerror: PHASE_LIMIT,
    esterror: PHASE_LIMIT,
    constant: 2,
    tick: TICK,
    leap: Leap::Ok,
    leap_at: NEVER,
    watches_leap: false,
    adjust: 0,
    told_at: 0,
    at: 0,
    ticking: false,
});

fn seconds() -> i64 {
    (clock::monotonic_ns() / NSEC_PER_SEC) as i64
}

/// Towards zero, whatever the sign.
fn shift_right(value: i64, by: u32) -> i64 {
    if value < 0 { -(-value >> by) } else { value >> by }
}

/// adjtimex(2) for a caller who `may_set` the time: fills in the answer, whose state it returns.
/// `EPERM`, `EINVAL`.
pub fn adjust(request: &mut Timex, may_set: bool) -> SysResult {
    check(request, may_set)?;
    if request.modes & adj::SETOFFSET != 0 && request.modes & adj::ADJTIME == 0 {
        set_offset(request)?;
    }
    let told_tai = request.constant;
    let mut state = STATE.lock();
    state.catch_up();
    if request.modes & adj::ADJTIME != 0 {
        let left = state.adjust;
        if request.modes & adj::READ_ONLY == 0 {
            state.adjust = request.offset;
        }
        request.offset = left;
    } else {
        state.set(request);
        let nanoseconds = shift_right(state.offset, SCALE);
        request.offset = if state.status & sta::NANO != 0 { nanoseconds } else { nanoseconds / 1000 };
    }
    if request.modes != 0 {
        state.apply();
    }
    let nanoseconds = state.status & sta::NANO != 0;
    let now = clock::realtime_ns();
    let part = (now % NSEC_PER_SEC) as i64;
    let answer = Timex {
        modes: request.modes,
        offset: request.offset,
        freq: (state.frequency + FREQUENCY_UNIT / 2).div_euclid(FREQUENCY_UNIT),
        maxerror: state.maxerror,
        esterror: state.esterror,
        status: state.status,
        constant: state.constant,
        precision: 1,
        tolerance: MAX_FREQUENCY / FREQUENCY_UNIT,
        time: Timeval { tv_sec: (now / NSEC_PER_SEC) as i64, tv_usec: if nanoseconds { part } else { part / 1000 } },
        tick: state.tick,
        tai: clock::tai_offset(),
        ..*request
    };
    *request = answer;
    let result = if state.status & (sta::UNSYNC | sta::CLOCKERR) != 0 { TIME_ERROR } else { state.leap as usize };
    drop(state);
    if request.modes & (adj::TAI | adj::ADJTIME) == adj::TAI && (0..=MAX_TAI).contains(&told_tai) {
        super::clock::set_tai_offset(told_tai as i32);
        request.tai = told_tai as i32;
    }
    Ok(result)
}

/// `timekeeping_validate_timex`.
fn check(request: &Timex, may_set: bool) -> SysResult<()> {
    let allowed = |needed: bool| if needed && !may_set { Err(Errno::EPERM) } else { Ok(()) };
    let modes = request.modes;
    if modes & adj::ADJTIME != 0 {
        if modes & adj::OFFSET == 0 {
            return Err(Errno::EINVAL);
        }
        allowed(modes & adj::READ_ONLY == 0)?;
    } else {
        allowed(modes != 0)?;
        if modes & adj::TICK != 0 && !(TICK * 9 / 10..=TICK * 11 / 10).contains(&request.tick) {
            return Err(Errno::EINVAL);
        }
    }
    if modes & adj::SETOFFSET != 0 {
        allowed(true)?;
        let unit = if modes & adj::NANO != 0 { NSEC_PER_SEC as i64 } else { 1_000_000 };
        if !(0..unit).contains(&request.time.tv_usec) {
            return Err(Errno::EINVAL);
        }
    }
    if modes & adj::FREQUENCY != 0 && request.freq.checked_mul(FREQUENCY_UNIT).is_none() {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// `ADJ_SETOFFSET`: the time of day jumps.
fn set_offset(request: &Timex) -> SysResult<()> {
    let part = if request.modes & adj::NANO != 0 { request.time.tv_usec } else { request.time.tv_usec * 1000 };
    let by =
        request.time.tv_sec.checked_mul(NSEC_PER_SEC as i64).and_then(|ns| ns.checked_add(part)).ok_or(Errno::EINVAL)?;
    let now =
        clock::realtime_ns().checked_add_signed(by).filter(|now| *now >= clock::monotonic_ns()).ok_or(Errno::EINVAL)?;
    super::clock::set_realtime(now);
    Ok(())
}

impl Discipline {
    /// `process_adjtimex_modes`.
    fn set(&mut self, request: &Timex) {
        let has = |mode| request.modes & mode != 0;
        if has(adj::STATUS) {
            if self.status & sta::PLL != 0 && request.status & sta::PLL == 0 {
                self.status = sta::UNSYNC;
                (self.leap, self.leap_at) = (Leap::Ok, NEVER);
            }
            if self.status & sta::PLL == 0 && request.status & sta::PLL != 0 {
                self.told_at = seconds();
            }
            self.status = self.status & sta::READ_ONLY | request.status & !sta::READ_ONLY;
            self.watch_leap();
        }
        if has(adj::NANO) {
            self.status |= sta::NANO;
        }
        if has(adj::MICRO) {
            self.status &= !sta::NANO;
        }
        if has(adj::FREQUENCY) {
            self.frequency = (request.freq.saturating_mul(FREQUENCY_UNIT)).clamp(-MAX_FREQUENCY, MAX_FREQUENCY);
        }
        if has(adj::MAXERROR) {
            self.maxerror = request.maxerror.clamp(0, PHASE_LIMIT);
        }
        if has(adj::ESTERROR) {
            self.esterror = request.esterror.clamp(0, PHASE_LIMIT);
        }
        if has(adj::TIMECONST) {
            let more = if self.status & sta::NANO != 0 { 0 } else { 4 };
            self.constant = (request.constant.clamp(0, MAX_CONSTANT) + more).min(MAX_CONSTANT);
        }
        if has(adj::OFFSET) {
            self.told(request.offset);
        }
        if has(adj::TICK) {
            self.tick = request.tick;
        }
    }

    /// Has the next second of the time of day looked at while a leap second is announced or has
    /// been.
    fn watch_leap(&mut self) {
        let wanted = self.status & (sta::INS | sta::DEL) != 0 || self.leap != Leap::Ok;
        if !wanted || self.watches_leap {
            return;
        }
        self.watches_leap = true;
        let into_second = clock::realtime_ns() % NSEC_PER_SEC;
        timer::call_at(clock::monotonic_ns() + NSEC_PER_SEC - into_second, Arc::new(leap_tick));
    }

    /// The second `now` of the time of day has begun (`second_overflow`). Answers by how much the
    /// clock leaps.
    fn leap_second(&mut self, now: u64) -> i32 {
        let midnight = |from: u64| from.next_multiple_of(SECONDS_PER_DAY);
        match self.leap {
            Leap::Ok if self.status & sta::INS != 0 => {
                (self.leap, self.leap_at) = (Leap::Insert, midnight(now + 1));
            }
            Leap::Ok if self.status & sta::DEL != 0 => {
                (self.leap, self.leap_at) = (Leap::Delete, midnight(now + 2) - 1);
            }
            Leap::Insert if self.status & sta::INS == 0 => (self.leap, self.leap_at) = (Leap::Ok, NEVER),
            Leap::Insert if now == self.leap_at => {
                self.leap = Leap::During;
                return -1;
            }
            Leap::Delete if self.status & sta::DEL == 0 => (self.leap, self.leap_at) = (Leap::Ok, NEVER),
            Leap::Delete if now == self.leap_at => {
                (self.leap, self.leap_at) = (Leap::After, NEVER);
                return 1;
            }
            Leap::During => (self.leap, self.leap_at) = (Leap::After, NEVER),
            Leap::After if self.status & (sta::INS | sta::DEL) == 0 => self.leap = Leap::Ok,
            Leap::Ok | Leap::Insert | Leap::Delete | Leap::After => {}
        }
        0
    }

    /// The loop learns how far off the clock is (`ntp_update_offset`).
    fn told(&mut self, offset: i64) {
        if self.status & sta::PLL == 0 {
            return;
        }
        let nanoseconds = if self.status & sta::NANO != 0 { offset } else { offset.clamp(-1_000_000, 1_000_000) * 1000 };
        let offset = nanoseconds.clamp(-MAX_PHASE, MAX_PHASE);
        let now = seconds();
        let since = if self.status & sta::FREQHOLD != 0 { 0 } else { now - self.told_at };
        self.told_at = now;
        self.status &= !sta::MODE;
        let mut more = 0;
        if since >= MIN_SECONDS && (self.status & sta::FLL != 0 || since > MAX_SECONDS) {
            self.status |= sta::MODE;
            more = (offset << (SCALE - SHIFT_FLL)) / since;
        }
        let constant = self.constant as u32;
        let since = since.min(1 << (SHIFT_PLL + 1 + constant));
        more += (offset * since) << (SCALE - 2 * (SHIFT_PLL + 2 + constant));
        self.frequency = self.frequency.saturating_add(more).clamp(-MAX_FREQUENCY, MAX_FREQUENCY);
        self.offset = offset << SCALE;
    }

    /// The seconds that have passed since the last look.
    fn catch_up(&mut self) {
        let now = seconds();
        let passed = now - self.at;
        self.at = now;
        if passed > 0 {
            self.maxerror = self.maxerror.saturating_add(passed.saturating_mul(DRIFT));
            if self.maxerror > PHASE_LIMIT {
                self.maxerror = PHASE_LIMIT;
                self.status |= sta::UNSYNC;
            }
        }
    }

    /// Sets the clock's rate for the next second, from what is told and what is left to make up.
    fn apply(&mut self) {
        // A call is on its way, which takes the next piece of what is left.
        if !self.ticking {
            self.next_second();
        }
    }

    fn next_second(&mut self) {
        let loops = shift_right(self.offset, SHIFT_PLL + self.constant as u32);
        self.offset -= loops;
        let slews = self.adjust.clamp(-SLEW, SLEW);
        self.adjust -= slews;
        let left = shift_right(self.offset, SCALE) != 0 || self.adjust != 0;
        let ticks = (self.tick - TICK) * TICKS * 1000;
        clock::correct(ticks + (self.frequency >> SCALE) + (loops >> SCALE) + slews * 1000);
        crate::vdso::publish_clock();
        // One more second than there is something left, to end the last piece.
        self.ticking = left || loops >> SCALE != 0 || slews != 0;
        if self.ticking {
            timer::call_at(clock::monotonic_ns() + NSEC_PER_SEC, Arc::new(tick));
        }
    }
}

/// The time of day was set: what is known of it holds no more (`ntp_clear`).
pub fn clear() {
    let mut state = STATE.lock();
    (state.adjust, state.offset, state.leap_at) = (0, 0, NEVER);
    (state.maxerror, state.esterror) = (PHASE_LIMIT, PHASE_LIMIT);
    state.status |= sta::UNSYNC;
}

/// A second of the time of day has begun while a leap second is announced.
fn leap_tick() {
    let mut state = STATE.lock();
    state.watches_leap = false;
    let leaps = state.leap_second(clock::realtime_ns() / NSEC_PER_SEC);
    if leaps != 0 {
        // No other lock of the clock's is above this one.
        super::clock::leap(leaps);
    }
    state.watch_leap();
}

/// A second is over.
fn tick() {
    let mut state = STATE.lock();
    state.catch_up();
    state.next_second();
}
