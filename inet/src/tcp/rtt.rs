//! Round-trip time and the retransmission time-out (RFC 6298), with Linux's bounds.

use super::{Instant, MS, SECOND, Seq, Settings};

/// Bounds of the time-out, where the application sets no others (`TCP_RTO_MIN`, `TCP_RTO_MAX`).
pub const MIN: u64 = 200 * MS;
/// See [`MIN`].
pub const MAX: u64 = 120 * SECOND;
/// Before anything was measured.
const INITIAL: u64 = SECOND;

/// What is known of the path's delay.
#[derive(Clone, Debug, Default)]
pub struct Rtt {
    /// Smoothed, and its variation, in nanoseconds; 0 before the first sample.
    pub smoothed: u64,
    /// See `smoothed`.
    pub variation: u64,
    /// Doublings since the last sample.
    backoff: u32,
    /// The segment that is timed: the number behind it, and when it left. One at a time, never one
    /// that was sent twice (Karn).
    timed: Option<(Seq, Instant)>,
}

impl Rtt {
    /// The time-out now, within what the application has set.
    pub fn timeout(&self, settings: &Settings) -> u64 {
        let measured = self.smoothed + (4 * self.variation).max(settings.retransmit_min);
        let base = if self.smoothed == 0 { INITIAL } else { measured };
        (base.min(MAX) << self.backoff.min(16)).min(settings.retransmit_max)
    }

    /// A time-out has passed.
    pub fn back_off(&mut self) {
        self.backoff += 1;
        self.timed = None;
    }

    /// The other side answers again.
    pub fn answered(&mut self) {
        self.backoff = 0;
    }

    /// A segment that ends before `end` leaves for the first time.
    pub fn sent(&mut self, end: Seq, now: Instant) {
        if self.timed.is_none() {
            self.timed = Some((end, now));
        }
    }

    /// Something is sent again, so an acknowledgement says nothing of when.
    pub fn forget(&mut self) {
        self.timed = None;
    }

    /// Everything before `ack` has arrived.
    pub fn acknowledged(&mut self, ack: Seq, now: Instant) {
        if let Some((_, at)) = self.timed.filter(|(end, _)| *end <= ack) {
            self.timed = None;
            self.sample(now.saturating_sub(at));
        }
    }

    /// Takes a measurement in.
    pub fn sample(&mut self, took: u64) {
        if self.smoothed == 0 {
            (self.smoothed, self.variation) = (took.max(1), took / 2);
        } else {
            self.variation = (3 * self.variation + self.smoothed.abs_diff(took)) / 4;
            self.smoothed = ((7 * self.smoothed + took) / 8).max(1);
        }
    }
}
