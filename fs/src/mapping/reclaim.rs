//! The caches of all files that have a disk behind them, which give way where memory is wanted.

use super::Mapping;
use crate::platform::{PageRef, platform};
use crate::sync::Mutex;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use syscall_shim::{Errno, SysResult};

/// Pages that are freed at once, so that it is not done for every page.
const BATCH: u64 = 256;

/// All such caches; dead ones fall out by themselves. A leaf lock.
static CACHES: Mutex<Vec<Weak<Mapping>>> = Mutex::new(Vec::new());
/// Which of them is asked first: each in turn.
static FIRST: AtomicUsize = AtomicUsize::new(0);
static PAGES: AtomicU64 = AtomicU64::new(0);

/// Pages in all of them.
pub fn cached_pages() -> u64 {
    PAGES.load(Ordering::Relaxed)
}

pub(super) fn count(pages: u64) {
    PAGES.fetch_add(pages, Ordering::Relaxed);
}

pub(super) fn uncount(pages: u64) {
    PAGES.fetch_sub(pages, Ordering::Relaxed);
}

pub(super) fn register(mapping: &Arc<Mapping>) {
    let mut caches = CACHES.lock();
    // Looked through only now and then: there may be many.
    if caches.len() == caches.capacity() {
        caches.retain(|cache| cache.strong_count() > 0);
    }
    caches.push(Arc::downgrade(mapping));
}

/// All caches, another one first each time.
fn all() -> Vec<Arc<Mapping>> {
    let mut all: Vec<Arc<Mapping>> = CACHES.lock().iter().filter_map(Weak::upgrade).collect();
    if !all.is_empty() {
        let first = FIRST.fetch_add(1, Ordering::Relaxed) % all.len();
        all.rotate_left(first);
    }
    all
}

/// Frees up to `want` clean pages that nobody uses. Answers how many.
pub fn evict_clean(want: u64) -> u64 {
    all().iter().fold(0, |freed, cache| if freed < want { freed + cache.evict(0, u64::MAX, want - freed).0 } else { freed })
}

/// Frees up to `want` pages, writing dirty ones back where the clean ones are not enough. Answers
/// how many.
pub fn reclaim(want: u64) -> u64 {
    let mut freed = evict_clean(want);
    for cache in all().iter().filter(|cache| cache.dirty_count() > 0) {
        if freed >= want {
            break;
        }
        cache.write_back_if_free();
        freed += cache.evict(0, u64::MAX, want - freed).0;
    }
    freed
}

/// A page for a cache. Others give theirs before memory is out, and before nothing is left for
/// programs.
pub(super) fn new_page() -> SysResult<PageRef> {
    if !platform().has_room() {
        evict_clean(BATCH);
    }
    match PageRef::alloc() {
        Err(Errno::ENOMEM) => {
            reclaim(BATCH);
            PageRef::alloc()
        }
        page => page,
    }
}
