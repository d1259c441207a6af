//! Time-out arguments that Linux updates with the time that is left.

use core::sync::atomic::Ordering;

use syscall_shim::SysResult;
use syscall_shim::types::{Timespec, Timeval};

use crate::arch::clock::monotonic_ns;
use crate::usermem::UserPtr;
use task::{Instant, current};

/// Where the time that is left goes.
#[derive(Clone, Copy)]
enum Place {
    Nowhere,
    Timespec(UserPtr<Timespec>),
    Timeval(UserPtr<Timeval>),
}

/// A time-out of the application.
pub struct Timeout {
    /// When to give up: `None` for never, 0 for at once.
    pub deadline: Option<Instant>,
    place: Place,
}

/// The deadline `ns` nanoseconds from now; 0 for none to wait.
pub fn after_ns(ns: u64) -> Instant {
    if ns == 0 { 0 } else { monotonic_ns().saturating_add(ns) }
}

/// The deadline of a time-out in milliseconds, negative for none.
pub fn after_ms(ms: i32) -> Option<Instant> {
    u64::try_from(ms).ok().map(|ms| after_ns(ms * 1_000_000))
}

impl Timeout {
    /// `EINVAL` for times that are not.
    pub fn from_timespec(arg: UserPtr<Timespec>) -> SysResult<Timeout> {
        match arg.non_null() {
            Some(arg) => Ok(Timeout { deadline: Some(after_ns(arg.read()?.to_ns()?)), place: Place::Timespec(arg) }),
            None => Ok(Timeout { deadline: None, place: Place::Nowhere }),
        }
    }

    /// As [`Timeout::from_timespec`]; microseconds of a second and more are carried, as select(2)
    /// does.
    pub fn from_timeval(arg: UserPtr<Timeval>) -> SysResult<Timeout> {
        match arg.non_null() {
            Some(arg) => {
                let t = arg.read()?;
                let t = Timeval { tv_sec: t.tv_sec.saturating_add(t.tv_usec / 1_000_000), tv_usec: t.tv_usec % 1_000_000 };
                Ok(Timeout { deadline: Some(after_ns(t.to_ns()?)), place: Place::Timeval(arg) })
            }
            None => Ok(Timeout { deadline: None, place: Place::Nowhere }),
        }
    }

    /// Writes the time that is left to the caller's structure. A failure is passed over, as on
    /// Linux. A personality with `STICKY_TIMEOUTS` has the structure stay as it is.
    pub fn write_back(&self) {
        const STICKY_TIMEOUTS: u32 = 0x400_0000;
        if current().process.personality.load(Ordering::Relaxed) & STICKY_TIMEOUTS != 0 {
            return;
        }
        let left = self.deadline.map_or(0, |at| at.saturating_sub(monotonic_ns()));
        let _ = match self.place {
            Place::Nowhere => Ok(()),
            Place::Timespec(arg) => arg.write(Timespec::from_ns(left)),
            Place::Timeval(arg) => arg.write(Timeval::from_ns(left)),
        };
    }
}
