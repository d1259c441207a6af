//! The arithmetic between TSC ticks and nanoseconds.

const NANOSECONDS: u64 = 1_000_000_000;

/// How a TSC value becomes nanoseconds since boot:
/// `base_ns + (((tsc - base_tsc) << shift) * mult >> 32)`, where a negative shift goes right.
#[derive(Clone, Copy, Debug)]
pub struct TscScale {
    /// TSC at `base_ns`.
    pub base_tsc: u64,
    /// Nanoseconds since boot at `base_tsc`.
    pub base_ns: u64,
    /// Nanoseconds per shifted tick, times 2^32.
    pub mult: u32,
    /// Binary places that the difference is shifted before the multiplication.
    pub shift: i8,
}

impl TscScale {
    /// The scale of a TSC of `hz`, which is not 0, with boot at `base_tsc`.
    pub fn from_frequency(hz: u64, base_tsc: u64) -> Self {
        // As in Linux's pvclock: normalise ticks so that the multiplier uses its 32 bits.
        let mut shift = 0i8;
        let mut scaled = hz;
        while scaled > NANOSECONDS * 2 {
            scaled >>= 1;
            shift -= 1;
        }
        while scaled <= NANOSECONDS {
            scaled <<= 1;
            shift += 1;
        }
        // Not `scaled`: shifting may have dropped bits.
        let hz_shifted = if shift < 0 { u128::from(hz) } else { u128::from(hz) << shift };
        let nanoseconds = if shift < 0 { u128::from(NANOSECONDS) << -shift } else { u128::from(NANOSECONDS) };
        let mult = ((nanoseconds << 32) / hz_shifted).min(u32::MAX.into()) as u32;
        Self { base_tsc, base_ns: 0, mult, shift }
    }

    /// Nanoseconds since boot at `tsc`.
    pub fn to_ns(self, tsc: u64) -> u64 {
        self.base_ns.wrapping_add(self.duration_ns(tsc.saturating_sub(self.base_tsc)))
    }

    /// Nanoseconds that so many ticks take.
    pub fn duration_ns(self, ticks: u64) -> u64 {
        let shifted = if self.shift < 0 { ticks >> -self.shift } else { ticks << self.shift };
        ((u128::from(shifted) * u128::from(self.mult)) >> 32) as u64
    }

    /// The TSC at `ns` nanoseconds since boot.
    pub fn to_tsc(self, ns: u64) -> u64 {
        let shifted = (u128::from(ns.saturating_sub(self.base_ns)) << 32) / u128::from(self.mult.max(1));
        let delta = if self.shift < 0 { shifted << -self.shift } else { shifted >> self.shift };
        self.base_tsc.saturating_add(delta.try_into().unwrap_or(u64::MAX))
    }

    /// Ticks per second.
    pub fn frequency(self) -> u64 {
        self.to_tsc(self.base_ns + NANOSECONDS) - self.base_tsc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_second_at_any_frequency() {
        for hz in [1_000_000, 24_000_000, 999_999_999, 1_000_000_000, 1_000_000_001, 2_596_130_000, 5_700_000_000] {
            let scale = TscScale::from_frequency(hz, 12345);
            for seconds in [1, 60, 86_400, 10 * 365 * 86_400] {
                let ns = scale.to_ns(12345 + hz * seconds);
                // The multiplier has 31 or 32 significant bits.
                assert!(ns.abs_diff(seconds * NANOSECONDS) <= seconds + 1, "{hz} Hz, {seconds} s: {ns}");
            }
        }
    }

    #[test]
    fn deadlines_go_there_and_back() {
        let scale = TscScale { base_ns: 7_000, ..TscScale::from_frequency(2_596_130_000, 1 << 40) };
        for ns in [7_000, 8_000, 1_000_000_007, 1 << 50] {
            assert!(scale.to_ns(scale.to_tsc(ns)).abs_diff(ns) <= 1);
        }
    }

    #[test]
    fn ticks_before_the_base_are_the_base() {
        let scale = TscScale::from_frequency(1_000_000_000, 1000);
        assert_eq!(scale.to_ns(0), 0);
        assert_eq!(scale.to_tsc(0), 1000);
    }
}
