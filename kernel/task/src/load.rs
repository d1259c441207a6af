//! Load averages (proc_loadavg(5)): how many tasks were ready to run, averaged over 1, 5 and 15
//! minutes.
//!
//! Linux samples every five seconds. That would wake an idle machine, so each run queue adds up
//! ready tasks times nanoseconds as they change, and the periods that have passed are folded in
//! when somebody schedules or asks.

use super::Instant;

/// Length of a period in nanoseconds (`LOAD_FREQ`).
const PERIOD: u64 = 5_000_000_000;
/// Bits behind the point (`FSHIFT`), and 1.
const SHIFT: u32 = 11;
const ONE: u64 = 1 << SHIFT;
/// `EXP_1`, `EXP_5`, `EXP_15`: what is left of an average after a period, e^(-5/60) and so on.
const DECAY: [u64; 3] = [1884, 2014, 2037];

/// The load of one CPU; guarded by its run queue's lock.
pub struct Load {
    averages: [u64; 3],
    /// Ready tasks times nanoseconds since the period began.
    area: u64,
    period_start: Instant,
    since: Instant,
    ready: u64,
}

impl Load {
    /// Nothing ready since boot.
    pub const fn new() -> Self {
        Self { averages: [0; 3], area: 0, period_start: 0, since: 0, ready: 0 }
    }

    /// From `now` on there are `ready` tasks, the running one included.
    #[inline(always)]
    pub fn set(&mut self, now: Instant, ready: usize) {
        if self.ready != ready as u64 {
            self.change(now, ready);
        }
    }

    /// [`Self::set`], and what has passed is counted.
    fn change(&mut self, now: Instant, ready: usize) {
        self.area += self.ready * now.saturating_sub(self.since);
        (self.since, self.ready) = (now, ready as u64);
        if now.saturating_sub(self.period_start) >= PERIOD {
            self.fold(now);
        }
    }

    /// Takes the periods that have passed into the averages, each with the mean over all of them.
    #[cold]
    fn fold(&mut self, now: Instant) {
        let elapsed = now - self.period_start;
        let mean = (u128::from(self.area) * u128::from(ONE) / u128::from(elapsed)) as u64;
        let periods = elapsed / PERIOD;
        for (average, decay) in self.averages.iter_mut().zip(DECAY) {
            let kept = power(decay, periods);
            *average = (*average * kept + mean * (ONE - kept)) >> SHIFT;
        }
        self.period_start = now;
        self.area = 0;
    }

    /// The averages in hundredths, brought up to `now`.
    pub fn averages(&mut self, now: Instant) -> [u64; 3] {
        self.change(now, self.ready as usize);
        self.averages.map(|average| (average * 100 + ONE / 2) >> SHIFT)
    }
}

/// `base` to the power of `exponent`, both of [`ONE`]'s scale and rounded (`fixed_power_int`).
fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = ONE;
    while exponent > 0 && result > 0 {
        if exponent & 1 != 0 {
            result = (result * base + ONE / 2) >> SHIFT;
        }
        base = (base * base + ONE / 2) >> SHIFT;
        exponent >>= 1;
    }
    result
}
