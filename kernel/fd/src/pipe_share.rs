//! How many pages the pipes of each user may have (pipe(7), `/proc/sys/fs/pipe-user-pages-soft` and
//! `-hard`).

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use linux_raw_sys::general::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE};
use syscall_shim::{Errno, SysResult};

use caller::PerUser;
use caller::capable;

/// Pages beyond which new pipes are small and none grows; 0 for no limit.
pub static USER_PAGES_SOFT: AtomicU64 = AtomicU64::new(16384);
/// Pages beyond which there are no new pipes; 0 for no limit.
pub static USER_PAGES_HARD: AtomicU64 = AtomicU64::new(0);

/// Buffers of a new pipe beyond the soft limit (`PIPE_MIN_DEF_BUFFERS`).
const MIN_SLOTS: usize = 2;
const NO_LIMIT: u64 = u64::MAX;

static PAGES: PerUser = PerUser::new();

/// What one pipe has of its user's share; dropping it gives that back.
pub(crate) struct Share {
    uid: u32,
    pages: AtomicUsize,
}

fn is_beyond(count: u64, limit: &AtomicU64) -> bool {
    let limit = limit.load(Ordering::Relaxed);
    limit != 0 && count > limit
}

fn privileged() -> bool {
    capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN)
}

/// `ENFILE` where the caller may have no more pipes.
pub(crate) fn check_new() -> SysResult<()> {
    let count = PAGES.count(caller::credentials().uid) + MIN_SLOTS as u64;
    if is_beyond(count, &USER_PAGES_HARD) && !privileged() { Err(Errno::ENFILE) } else { Ok(()) }
}

impl Share {
    /// The share of the caller's new pipe of `slots` buffers; it may get fewer.
    pub fn new(slots: usize) -> Self {
        let uid = caller::credentials().uid;
        let beyond = is_beyond(PAGES.count(uid) + slots as u64, &USER_PAGES_SOFT);
        let pages = if beyond && !privileged() { MIN_SLOTS } else { slots };
        PAGES.add(uid, pages as u64, NO_LIMIT);
        Self { uid, pages: AtomicUsize::new(pages) }
    }

    /// Buffers that it stands for.
    pub fn slots(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    /// Changes the number of buffers; called with the pipe locked. `EPERM` for growth beyond the
    /// limits.
    pub fn resize(&self, slots: usize) -> SysResult<()> {
        let old = self.slots();
        let count = (PAGES.count(self.uid) + slots as u64).saturating_sub(old as u64);
        let beyond = is_beyond(count, &USER_PAGES_SOFT) || is_beyond(count, &USER_PAGES_HARD);
        if slots > old && beyond && !privileged() {
            return Err(Errno::EPERM);
        }
        PAGES.add(self.uid, slots as u64, NO_LIMIT);
        PAGES.sub(self.uid, old as u64);
        self.pages.store(slots, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        PAGES.sub(self.uid, self.slots() as u64);
    }
}
