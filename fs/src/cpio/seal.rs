//! The seal behind an archive: what tells a damaged one.
//!
//! 24 bytes after the trailer: [`MAGIC`], the archive's length, and XXH64 of it (seed 0), both
//! little-endian. The sum is quick to compute without the CPU's help, which the kernel has not got:
//! it keeps its hands off vector registers.

use super::CpioError;
use xxhash_rust::xxh64::Xxh64;

/// Opens a seal.
pub const MAGIC: [u8; 8] = *b"SKIFFSUM";
/// Its length.
pub const LEN: usize = 24;

/// Sums up pieces.
#[derive(Clone)]
pub struct Sum(Xxh64);

impl Sum {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(Xxh64::new(0))
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum so far.
    pub fn value(&self) -> u64 {
        self.0.digest()
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

/// The seal of an archive of `len` bytes.
pub fn seal(len: u64, sum: &Sum) -> [u8; LEN] {
    let mut seal = [0; LEN];
    seal[..8].copy_from_slice(&MAGIC);
    seal[8..16].copy_from_slice(&len.to_le_bytes());
    seal[16..].copy_from_slice(&sum.value().to_le_bytes());
    seal
}

/// The length and sum that the last bytes of an archive tell, if they are a seal.
pub fn read(last: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| last.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    (last.len() == LEN && last.starts_with(&MAGIC)).then(|| word(8).zip(word(16))).flatten()
}

/// An archive without its seal. One that was not made by mkimage has none, unless it is `required`.
/// With `check`, the sum must be right.
pub fn unsealed(bytes: &[u8], required: bool, check: bool) -> Result<&[u8], CpioError> {
    let Some((archive, last)) = bytes.len().checked_sub(LEN).and_then(|at| bytes.split_at_checked(at)) else {
        return if required { Err(CpioError::Damaged) } else { Ok(bytes) };
    };
    match read(last) {
        None if required => Err(CpioError::Damaged),
        None => Ok(bytes),
        Some((len, sum)) => {
            let mut own = Sum::new();
            if check {
                own.add(archive);
            }
            let good = len == archive.len() as u64 && (!check || own.value() == sum);
            if good { Ok(archive) } else { Err(CpioError::Damaged) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_flipped_bit_shows() {
        let mut sealed = Vec::from(&b"an archive"[..]);
        let mut sum = Sum::new();
        sum.add(&sealed);
        sealed.extend(seal(10, &sum));
        assert_eq!(unsealed(&sealed, true, true), Ok(&b"an archive"[..]));
        assert_eq!(unsealed(b"an archive", false, true), Ok(&b"an archive"[..]));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unsealed(&damaged, true, true), Err(CpioError::Damaged), "bit {bit}");
        }
        assert_eq!(unsealed(&sealed[1..], true, true), Err(CpioError::Damaged));
    }
}
