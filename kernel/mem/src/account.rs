//! Commit accounting (`Committed_AS`, `CommitLimit`; proc(5), `/proc/sys/vm/overcommit_memory`) and
//! resident-set counters.

use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};

use syscall_shim::{Errno, SysResult};

use super::frames;
use base::addr::PAGE_SIZE;

/// `vm.overcommit_memory`: 0 heuristic, 1 always, 2 strict.
pub static OVERCOMMIT_MEMORY: AtomicU32 = AtomicU32::new(0);
/// `vm.overcommit_ratio` in percent, for mode 2.
pub static OVERCOMMIT_RATIO: AtomicI32 = AtomicI32::new(50);

/// `vm.overcommit_kbytes`; 0 while the ratio counts.
static OVERCOMMIT_KBYTES: AtomicU64 = AtomicU64::new(0);

/// Sets `vm.overcommit_ratio`, which then counts.
pub fn set_overcommit_ratio(percent: i32) {
    OVERCOMMIT_KBYTES.store(0, Ordering::Relaxed);
    OVERCOMMIT_RATIO.store(percent, Ordering::Relaxed);
}

/// `vm.overcommit_kbytes`
pub fn overcommit_kbytes() -> i64 {
    OVERCOMMIT_KBYTES.load(Ordering::Relaxed) as i64
}

/// Sets `vm.overcommit_kbytes`, which then counts.
pub fn set_overcommit_kbytes(kbytes: u64) {
    OVERCOMMIT_KBYTES.store(kbytes, Ordering::Relaxed);
    OVERCOMMIT_RATIO.store(0, Ordering::Relaxed);
}

static COMMITTED: AtomicI64 = AtomicI64::new(0);

/// Pages that programs were promised (`Committed_AS`).
pub fn committed() -> u64 {
    COMMITTED.load(Ordering::Relaxed).max(0) as u64
}

/// Pages that may be promised in mode 2 (`CommitLimit`).
pub fn commit_limit() -> u64 {
    let kbytes = OVERCOMMIT_KBYTES.load(Ordering::Relaxed);
    if kbytes > 0 {
        return kbytes / (PAGE_SIZE as u64 / 1024);
    }
    frames::stats().total as u64 * u64::try_from(OVERCOMMIT_RATIO.load(Ordering::Relaxed)).unwrap_or(0) / 100
}

/// Promises `pages` more; `ENOMEM` where Linux's `__vm_enough_memory` refuses. In the heuristic
/// mode that is one request above all memory there is.
pub fn charge(pages: u64) -> SysResult<()> {
    if pages == 0 {
        return Ok(());
    }
    let now = COMMITTED.fetch_add(pages as i64, Ordering::Relaxed) + pages as i64;
    let enough = match OVERCOMMIT_MEMORY.load(Ordering::Relaxed) {
        1 => true,
        2 => now <= commit_limit() as i64,
        _ => pages <= frames::stats().total as u64,
    };
    if !enough {
        uncharge(pages);
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

/// Takes a promise back.
pub fn uncharge(pages: u64) {
    COMMITTED.fetch_sub(pages as i64, Ordering::Relaxed);
}

/// Which counter a resident page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RssKind {
    /// Private anonymous, also after copy-on-write.
    Anon,
    /// Page cache of a file.
    File,
    /// Page cache of tmpfs and shared anonymous memory.
    Shmem,
}

impl RssKind {
    /// In the order of their numbers.
    pub const ALL: [RssKind; 3] = [RssKind::Anon, RssKind::File, RssKind::Shmem];
}

/// Resident pages of an address space.
#[derive(Default)]
pub struct Rss {
    counts: [AtomicU64; 3],
    peak: AtomicU64,
}

impl Rss {
    /// Counts `pages` that became resident.
    pub fn add(&self, kind: RssKind, pages: u64) {
        self.counts[kind as usize].fetch_add(pages, Ordering::Relaxed);
    }

    /// Counts `pages` that left. Between two of these the sum only grows, so this is when to look
    /// how far it had come.
    pub fn sub(&self, kind: RssKind, pages: u64) {
        self.peak.fetch_max(self.total(), Ordering::Relaxed);
        self.counts[kind as usize].fetch_sub(pages, Ordering::Relaxed);
    }

    /// Pages of one kind.
    pub fn get(&self, kind: RssKind) -> u64 {
        self.counts[kind as usize].load(Ordering::Relaxed)
    }

    /// All resident pages (`VmRSS`).
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }

    /// The most there ever were (`VmHWM`).
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed).max(self.total())
    }

    /// Starts the peak anew (`/proc/PID/clear_refs` 5).
    pub fn reset_peak(&self) {
        self.peak.store(self.total(), Ordering::Relaxed);
    }
}
