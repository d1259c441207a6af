//! Time: timespec(3type), timeval(3type), timer_settime(2), getitimer(2), adjtimex(2), times(2).

use crate::Errno;

abi_structs! {
    /// `struct timespec`.
    Timespec [16] { tv_sec: i64, tv_nsec: i64, }
    /// `struct timeval`.
    Timeval [16] { tv_sec: i64, tv_usec: i64, }
    /// `struct timezone` (gettimeofday(2)).
    Timezone [8] { tz_minuteswest: i32, tz_dsttime: i32, }
    /// `struct itimerspec` (timer_settime(2)).
    Itimerspec [32] { it_interval: Timespec, it_value: Timespec, }
    /// `struct itimerval` (getitimer(2)).
    Itimerval [32] { it_interval: Timeval, it_value: Timeval, }
    /// `struct tms` (times(2)), in ticks of 1/100 s.
    Tms [32] { tms_utime: i64, tms_stime: i64, tms_cutime: i64, tms_cstime: i64, }
    /// `struct timex` (adjtimex(2)).
    Timex [208] {
        modes: u32, pad0: u32, offset: i64, freq: i64, maxerror: i64, esterror: i64, status: i32, pad1: u32, constant: i64,
        precision: i64, tolerance: i64, time: Timeval, tick: i64, ppsfreq: i64, jitter: i64, shift: i32, pad2: u32, stabil: i64,
        jitcnt: i64, calcnt: i64, errcnt: i64, stbcnt: i64, tai: i32, pad3: [i32; 11],
    }
}

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: u64 = 1_000_000_000;

impl Timespec {
    /// From nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self { tv_sec: (ns / NSEC_PER_SEC) as i64, tv_nsec: (ns % NSEC_PER_SEC) as i64 }
    }

    /// To nanoseconds, capped at `u64::MAX` (584 years, "never"). `EINVAL` for a negative time or
    /// `tv_nsec` out of range.
    pub fn to_ns(self) -> Result<u64, Errno> {
        if self.tv_sec < 0 || !(0..NSEC_PER_SEC as i64).contains(&self.tv_nsec) {
            return Err(Errno::EINVAL);
        }
        Ok((self.tv_sec as u64).saturating_mul(NSEC_PER_SEC).saturating_add(self.tv_nsec as u64))
    }

    /// Whether both fields are zero: a disarmed timer.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl Timeval {
    /// From nanoseconds, rounded down.
    pub const fn from_ns(ns: u64) -> Self {
        Self { tv_sec: (ns / NSEC_PER_SEC) as i64, tv_usec: (ns % NSEC_PER_SEC / 1000) as i64 }
    }

    /// To nanoseconds, as [`Timespec::to_ns`].
    pub fn to_ns(self) -> Result<u64, Errno> {
        if !(0..1_000_000).contains(&self.tv_usec) {
            return Err(Errno::EINVAL);
        }
        Timespec { tv_sec: self.tv_sec, tv_nsec: self.tv_usec * 1000 }.to_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timespec_range() {
        assert_eq!(Timespec { tv_sec: 1, tv_nsec: 5 }.to_ns(), Ok(1_000_000_005));
        assert_eq!(Timespec { tv_sec: 0, tv_nsec: 1_000_000_000 }.to_ns(), Err(Errno::EINVAL));
        assert_eq!(Timespec { tv_sec: -1, tv_nsec: 0 }.to_ns(), Err(Errno::EINVAL));
        assert_eq!(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }.to_ns(), Ok(u64::MAX));
        assert_eq!(Timeval { tv_sec: 0, tv_usec: 1_000_000 }.to_ns(), Err(Errno::EINVAL));
        assert_eq!(Timespec::from_ns(2_000_000_001), Timespec { tv_sec: 2, tv_nsec: 1 });
    }
}
