//! CUBIC (RFC 9438): the window is a cubic function of the time since the last loss. All in
//! integers: bytes and milliseconds.

use super::{Instant, MS};

/// The constant C is 2/5 segments per cubic second.
const C: (i128, i128) = (2, 5);
/// What is left of the window after a loss, in tenths.
const BETA: u64 = 7;
/// Milliseconds of a second, cubed.
const CUBIC_SECOND: i128 = 1_000_000_000;
/// Where the curve is cut off, in milliseconds.
const MAX_EPOCH: i64 = 100_000;

/// What is remembered between losses.
#[derive(Clone, Debug, Default)]
pub struct Cubic {
    /// The window at the last loss.
    most: u32,
    /// When this period of growth began, and how long the curve takes to come back to `most`, in
    /// milliseconds.
    epoch: Option<(Instant, i64)>,
    /// The window that Reno would have, and what of a byte is owed to it.
    estimate: u32,
}

fn cube_root(n: u64) -> u64 {
    let mut root = 0u64;
    for bit in (0..21).rev() {
        let next = root | 1 << bit;
        if next * next * next <= n {
            root = next;
        }
    }
    root
}

impl Cubic {
    /// A loss with this window: what is left of it.
    pub fn lost(&mut self, window: u32) -> u32 {
        let left = (u64::from(window) * BETA / 10) as u32;
        // Fast convergence: a flow that did not come back to where it was makes room for others.
        self.most = if window < self.most { ((u64::from(window) * (10 + BETA)) / 20) as u32 } else { window };
        self.epoch = None;
        left
    }

    /// The window after `bytes` more were acknowledged, as it should be at `at`.
    pub fn grown(&mut self, window: u32, bytes: u32, mss: u32, at: Instant) -> u32 {
        let mss = mss.max(1);
        let (began, back) = *self.epoch.get_or_insert_with(|| {
            self.estimate = window;
            self.most = self.most.max(window);
            let missing = u64::from(self.most - window);
            let cubed = u128::from(missing) * CUBIC_SECOND as u128 * C.1 as u128 / (C.0 as u128 * u128::from(mss));
            (at, cube_root(u64::try_from(cubed).unwrap_or(u64::MAX)) as i64)
        });
        let since = i64::try_from(at.saturating_sub(began) / MS).unwrap_or(MAX_EPOCH).min(MAX_EPOCH);
        let from_top = i128::from(since - back);
        let rise = C.0 * i128::from(mss) * from_top * from_top * from_top / (C.1 * CUBIC_SECOND);
        let target = i128::from(self.most) + rise;
        let step = match u64::try_from(target - i128::from(window)) {
            // At most half as fast as slow start.
            Ok(missing) => (missing * u64::from(bytes) / u64::from(window.max(1))).min(u64::from(bytes / 2)),
            Err(_) => u64::from(bytes / 100),
        };
        // Reno's window after losses of the same size, which CUBIC does not stay behind.
        let owed = u64::from(bytes) * u64::from(mss) * 9 / (17 * u64::from(self.estimate.max(1)));
        self.estimate = self.estimate.saturating_add(u32::try_from(owed).unwrap_or(u32::MAX));
        window.saturating_add(u32::try_from(step).unwrap_or(u32::MAX)).max(self.estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cube_roots() {
        for n in [0u64, 1, 7, 8, 26, 27, 1_000_000_000, u64::MAX] {
            let root = cube_root(n);
            assert!(root.pow(3) <= n, "{n}");
            assert!((root + 1).pow(3) > n || root == (1 << 21) - 1, "{n}");
        }
    }

    /// The window of a path with round trips of 200 ms, `seconds` after a loss at a window of 100
    /// segments.
    fn after(seconds: u64) -> u32 {
        let mut cubic = Cubic::default();
        let mut window = cubic.lost(100_000);
        assert_eq!(window, 70_000);
        for round in 0..seconds * 5 {
            window = cubic.grown(window, window, 1000, round * 200 * MS);
        }
        window
    }

    #[test]
    fn comes_back_quickly_stays_and_goes_on() {
        // K is the cube root of 30 / 0.4, a little more than 4 seconds.
        assert!((92_000..100_000).contains(&after(2)), "{}", after(2));
        assert!((98_000..104_000).contains(&after(4)), "{}", after(4));
        assert!(after(8) > 115_000, "{}", after(8));
    }
}
