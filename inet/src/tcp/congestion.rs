//! Congestion control: slow start, congestion avoidance, fast recovery (RFC 5681, RFC 6582), and
//! CUBIC's growth (RFC 9438). Windows are in bytes.

use super::cubic::Cubic;
use super::{Instant, Seq};

/// Segments of the first window (RFC 6928).
const INITIAL_SEGMENTS: u32 = 10;

/// What the path is thought to bear.
#[derive(Clone, Debug)]
pub struct Congestion {
    /// The congestion window.
    pub window: u32,
    /// Where slow start ends.
    pub threshold: u32,
    /// Acknowledged since the window last grew, in congestion avoidance.
    acknowledged: u32,
    /// While losses are repaired: the number that ends it.
    recover: Option<Seq>,
    mss: u32,
    /// Congestion avoidance by CUBIC; else by Reno.
    cubic: Option<Cubic>,
}

/// How the window grows (`TCP_CONGESTION`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Algorithm {
    /// By a segment in each round trip.
    #[default]
    Reno,
    /// By the time since the last loss.
    Cubic,
}

impl Congestion {
    pub fn new(mss: u32) -> Self {
        Self { window: INITIAL_SEGMENTS * mss, threshold: u32::MAX, acknowledged: 0, recover: None, mss, cubic: None }
    }

    /// Has the window grow by this algorithm from now on.
    pub fn choose(&mut self, algorithm: Algorithm) {
        match algorithm {
            Algorithm::Reno => self.cubic = None,
            Algorithm::Cubic => {
                self.cubic.get_or_insert_default();
            }
        }
    }

    /// Segments are smaller from now on.
    pub fn narrow(&mut self, mss: u32) {
        self.mss = mss;
    }

    /// Whether losses are being repaired.
    pub fn recovering(&self) -> bool {
        self.recover.is_some()
    }

    /// `bytes` more have arrived, up to `ack`, with round trips of `rtt`. Whether the segment that
    /// is now first is lost too (a partial acknowledgement).
    pub fn acknowledged(&mut self, bytes: u32, ack: Seq, now: Instant, rtt: u64) -> bool {
        if let Some(recover) = self.recover {
            if ack >= recover {
                self.recover = None;
                self.window = self.threshold;
                return false;
            }
            self.window = self.window.saturating_sub(bytes).saturating_add(self.mss).max(self.mss);
            return true;
        }
        if self.window < self.threshold {
            self.window = self.window.saturating_add(bytes);
        } else if let Some(cubic) = &mut self.cubic {
            self.window = cubic.grown(self.window, bytes, self.mss, now + rtt);
        } else {
            self.acknowledged = self.acknowledged.saturating_add(bytes);
            if self.acknowledged >= self.window {
                self.acknowledged -= self.window;
                self.window = self.window.saturating_add(self.mss);
            }
        }
        false
    }

    /// Where slow start ends after a loss.
    fn reduced(&mut self, flight: u32) -> u32 {
        let half = match &mut self.cubic {
            Some(cubic) => cubic.lost(self.window.min(flight.max(self.mss))),
            None => flight / 2,
        };
        half.max(2 * self.mss)
    }

    /// The third duplicate acknowledgement, with `flight` bytes on their way and everything before
    /// `sent` sent.
    pub fn lost(&mut self, flight: u32, sent: Seq) {
        self.threshold = self.reduced(flight);
        self.window = self.threshold + 3 * self.mss;
        self.recover = Some(sent);
    }

    /// A further duplicate: another segment has left the path.
    pub fn inflate(&mut self) {
        self.window = self.window.saturating_add(self.mss);
    }

    /// The retransmission timer has run out.
    pub fn timed_out(&mut self, flight: u32) {
        self.threshold = self.reduced(flight);
        self.window = self.mss;
        self.acknowledged = 0;
        self.recover = None;
    }
}
