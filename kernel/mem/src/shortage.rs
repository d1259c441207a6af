//! When memory is so short that programs are refused what the kernel would have to keep for them.

use core::sync::atomic::{AtomicUsize, Ordering};

use syscall_shim::{Errno, SysResult};

use super::{frames, user_page};

/// Free frames below which memory [is short](is_short).
static SHORT_BELOW: AtomicUsize = AtomicUsize::new(0);

/// Whether memory is so short that programs should not have the kernel keep more for them: what
/// they ask for is refused, rather than that the kernel lacks what it cannot do without. Begins
/// earlier than programs' own pages end.
#[inline]
pub fn is_short() -> bool {
    !frames::are_free(SHORT_BELOW.load(Ordering::Relaxed))
}

/// To be called when it is known how much memory there is.
pub fn init() {
    SHORT_BELOW.store(user_page::reserve() as usize * 3 / 2, Ordering::Relaxed);
}

/// `ENOMEM` where memory [is short](is_short).
#[inline]
pub fn check() -> SysResult<()> {
    if is_short() { Err(Errno::ENOMEM) } else { Ok(()) }
}
