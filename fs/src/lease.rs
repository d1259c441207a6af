//! Where an open or a truncation asks those who hold a lease on the file (fcntl(2), `F_SETLEASE`).
//! Leases themselves are the kernel's.

use crate::inode::InodeRef;
use core::sync::atomic::{AtomicUsize, Ordering};
use syscall_shim::SysResult;

/// Whoever knows the leases.
pub trait LeaseBreaker: Send + Sync {
    /// Tells the holders of leases that `write` access (or reading) conflicts with, and waits until
    /// none is left, unless `nonblock` (`EAGAIN`). May sleep.
    fn break_leases(&self, inode: &InodeRef, write: bool, nonblock: bool) -> SysResult<()>;
}

static BREAKER: spin::Once<&'static dyn LeaseBreaker> = spin::Once::new();
/// Leases that there are: without any, nobody is asked.
static LEASES: AtomicUsize = AtomicUsize::new(0);

/// Registers who knows the leases. The first registration stays.
pub fn set_breaker(breaker: &'static dyn LeaseBreaker) {
    BREAKER.call_once(|| breaker);
}

/// Counts a new lease.
pub fn added() {
    LEASES.fetch_add(1, Ordering::AcqRel);
}

/// Counts the end of a lease.
pub fn removed() {
    LEASES.fetch_sub(1, Ordering::AcqRel);
}

/// True while there are leases.
pub fn active() -> bool {
    LEASES.load(Ordering::Acquire) > 0
}

/// Breaks the leases on a file that is about to be opened or truncated.
pub(crate) fn break_leases(inode: &InodeRef, write: bool, nonblock: bool) -> SysResult<()> {
    match BREAKER.get().filter(|_| active()) {
        Some(breaker) => breaker.break_leases(inode, write, nonblock),
        None => Ok(()),
    }
}
