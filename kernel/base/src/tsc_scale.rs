//! The arithmetic between TSC ticks and nanoseconds.

const NANOSECONDS: u64 = 1_000_000_000;

/// Binary places of [`TscScale::mult`] behind the point: enough for every scale that KVM's clock
/// can tell, exactly.
const PLACES: u32 = 48;

/// How a TSC value becomes nanoseconds since boot: `base_ns + ((tsc - base_tsc) * mult >> 48)`.
#[derive(Clone, Copy, Debug)]
pub struct TscScale {
    /// TSC at `base_ns`.
    pub base_tsc: u64,
    /// Nanoseconds since boot at `base_tsc`.
    pub base_ns: u64,
    /// Nanoseconds per tick, times 2^48.
    pub mult: u64,
}

impl TscScale {
    /// The scale of a TSC of `hz`, which is not 0, with boot at `base_tsc`.
    pub fn from_frequency(hz: u64, base_tsc: u64) -> Self {
        let mult = (u128::from(NANOSECONDS) << PLACES) / u128::from(hz);
        Self { base_tsc, base_ns: 0, mult: mult.try_into().unwrap_or(u64::MAX) }
    }

    /// The scale that KVM's paravirtual clock tells: `base_ns + (((tsc - base_tsc) << shift) * mult
    /// >> 32)`, where a negative shift goes right.
    pub fn from_pvclock(base_tsc: u64, base_ns: u64, mult: u32, shift: i8) -> Self {
        let places = (PLACES as i32 - 32 + i32::from(shift)).clamp(0, 31);
        Self { base_tsc, base_ns, mult: u64::from(mult) << places }
    }

    /// The scale that goes on from this one at `tsc`, with another multiplier that is corrected by
    /// so many nanoseconds per second.
    pub fn continued(self, tsc: u64, mult: u64, ns_per_second: i64) -> Self {
        let rate = NANOSECONDS.saturating_add_signed(ns_per_second);
        let mult = u128::from(mult) * u128::from(rate) / u128::from(NANOSECONDS);
        Self { base_tsc: tsc.max(self.base_tsc), base_ns: self.to_ns(tsc), mult: mult.try_into().unwrap_or(u64::MAX) }
    }

    /// Nanoseconds since boot at `tsc`.
    #[inline(always)]
    pub fn to_ns(self, tsc: u64) -> u64 {
        self.base_ns.wrapping_add(self.duration_ns(tsc.saturating_sub(self.base_tsc)))
    }

    /// Nanoseconds that so many ticks take.
    #[inline(always)]
    pub fn duration_ns(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.mult)) >> PLACES) as u64
    }

    /// The TSC at `ns` nanoseconds since boot.
    pub fn to_tsc(self, ns: u64) -> u64 {
        let delta = (u128::from(ns.saturating_sub(self.base_ns)) << PLACES) / u128::from(self.mult.max(1));
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
                // The multiplier has 45 significant bits or more.
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
    fn the_scale_of_kvm_is_taken_over_exactly() {
        // 2,596,130 kHz as KVM tells it, and a slow TSC.
        for (mult, shift) in [(3_308_726_573_u32, -1_i8), (2_147_483_648, 1), (4_294_967_295, 0)] {
            let scale = TscScale::from_pvclock(1000, 7, mult, shift);
            for ticks in [0_u64, 2, 1_000_000, 1 << 40] {
                let shifted = if shift < 0 { ticks >> -shift } else { ticks << shift };
                let told = 7 + ((u128::from(shifted) * u128::from(mult)) >> 32) as u64;
                assert_eq!(scale.to_ns(1000 + ticks), told, "{mult} {shift} {ticks}");
            }
        }
    }

    #[test]
    fn a_corrected_scale_goes_on_where_the_other_was() {
        let scale = TscScale::from_frequency(2_000_000_000, 1000);
        let at = 1000 + 10 * 2_000_000_000;
        let faster = scale.continued(at, scale.mult, 500_000);
        assert_eq!(faster.to_ns(at), scale.to_ns(at));
        assert!((faster.to_ns(at + 2_000_000_000) - faster.to_ns(at)).abs_diff(1_000_500_000) <= 1);
        let back = faster.continued(at + 2_000_000_000, scale.mult, 0);
        assert_eq!(back.mult, scale.mult);
    }

    #[test]
    fn ticks_before_the_base_are_the_base() {
        let scale = TscScale::from_frequency(1_000_000_000, 1000);
        assert_eq!(scale.to_ns(0), 0);
        assert_eq!(scale.to_tsc(0), 1000);
    }
}
