//! Errors of writing back, each of which every open file that was open then is told of once
//! (Linux's `errseq_t`).

use core::sync::atomic::{AtomicU32, Ordering};
use syscall_shim::{Errno, SysResult};

/// The low bits hold the error's number.
const ERRNO: u32 = (1 << 12) - 1;
/// Somebody has looked at the error: the next one, though it be the same, counts anew.
const SEEN: u32 = 1 << 12;
/// One more error.
const STEP: u32 = 1 << 13;

/// The last error, and how many there were that somebody may have seen.
#[derive(Debug, Default)]
pub struct ErrSeq(AtomicU32);

/// What an open file has been told of so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told(u32);

impl ErrSeq {
    /// No error.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Notes an error.
    pub fn set(&self, errno: Errno) {
        let change = |old: u32| {
            let new = old & !(ERRNO | SEEN) | u32::from(errno.0) & ERRNO;
            // One that nobody has seen is seen together with this one.
            Some(if old & SEEN != 0 { new.wrapping_add(STEP) } else { new })
        };
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }

    /// Where a file that is opened now begins: an error that nobody has seen yet is told to it too.
    pub fn begin(&self) -> Told {
        let now = self.0.load(Ordering::Acquire);
        Told(if now & SEEN == 0 { 0 } else { now })
    }

    /// The error that came since `told`, which is told by that.
    pub fn check(&self, told: &mut Told) -> SysResult<()> {
        let now = self.0.load(Ordering::Acquire);
        if now == told.0 {
            return Ok(());
        }
        let seen = now | SEEN;
        let news = told.0 | SEEN != seen;
        // Where another error came meanwhile, the next call tells it.
        let _ = self.0.compare_exchange(now, seen, Ordering::AcqRel, Ordering::Relaxed);
        told.0 = seen;
        let errno = Errno((now & ERRNO) as u16);
        if news && errno != Errno(0) { Err(errno) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_told_once() {
        let errors = ErrSeq::new();
        let (mut a, mut b) = (errors.begin(), errors.begin());
        assert_eq!(errors.check(&mut a), Ok(()));
        errors.set(Errno::EIO);
        assert_eq!(errors.check(&mut a), Err(Errno::EIO));
        assert_eq!(errors.check(&mut a), Ok(()));
        assert_eq!(errors.check(&mut b), Err(Errno::EIO));
        assert_eq!(errors.check(&mut b), Ok(()));
        errors.set(Errno::ENOSPC);
        errors.set(Errno::EIO);
        assert_eq!((errors.check(&mut a), errors.check(&mut a)), (Err(Errno::EIO), Ok(())));
        assert_eq!((errors.check(&mut b), errors.check(&mut b)), (Err(Errno::EIO), Ok(())));
    }

    #[test]
    fn a_new_file_is_told_of_what_nobody_has_seen() {
        let errors = ErrSeq::new();
        errors.set(Errno::EIO);
        let (mut a, mut b) = (errors.begin(), errors.begin());
        assert_eq!(errors.check(&mut a), Err(Errno::EIO));
        // It was open when the error was still unseen.
        assert_eq!(errors.check(&mut b), Err(Errno::EIO));
        let mut late = errors.begin();
        assert_eq!(errors.check(&mut late), Ok(()));
        // The same error once more is one more.
        errors.set(Errno::EIO);
        assert_eq!(errors.check(&mut late), Err(Errno::EIO));
        assert_eq!(errors.check(&mut a), Err(Errno::EIO));
    }
}
