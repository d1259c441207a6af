//! Sequence numbers: a circle, on which one is before another if the way to it is the shorter one
//! forward.

use core::cmp::Ordering;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seq(pub u32);

impl PartialOrd for Seq {
    fn partial_cmp(&self, other: &Seq) -> Option<Ordering> {
        Some((self.0.wrapping_sub(other.0) as i32).cmp(&0))
    }
}

impl Add<u32> for Seq {
    type Output = Seq;
    fn add(self, n: u32) -> Seq {
        Seq(self.0.wrapping_add(n))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, n: u32) {
        *self = *self + n;
    }
}

impl Sub<Seq> for Seq {
    type Output = u32;
    /// The way forward from `other`.
    fn sub(self, other: Seq) -> u32 {
        self.0.wrapping_sub(other.0)
    }
}

impl Seq {
    /// The number `n` before.
    pub fn back(self, n: u32) -> Seq {
        Seq(self.0.wrapping_sub(n))
    }

    /// The later of two.
    pub fn max(self, other: Seq) -> Seq {
        if other > self { other } else { self }
    }
}
