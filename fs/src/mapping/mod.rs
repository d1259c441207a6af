//! The page cache of one file: which page frames hold which 4 KiB of its content, and its size.
//!
//! Readers get a [`PageRef`] and copy outside of any lock. A page leaves the cache by truncation or
//! hole punching; address spaces that map the file are told first ([`MappingObserver`]), so that
//! later accesses fault.

mod backing;
mod errseq;
mod observers;
mod reclaim;
#[cfg(test)]
mod tests;
mod tree;

use crate::platform::{PAGE_SHIFT, PAGE_SIZE, PageRef};
use crate::sync::{Mutex, RwLock, SleepLock};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
pub use errseq::{ErrSeq, Told};
use observers::Observers;
pub use reclaim::{cached_pages, evict_clean, reclaim};
use syscall_shim::{Errno, SysResult};
use tree::Tree;

/// Takes `n` bytes from `offset` of a page that is read (`None` is a page of zeros); answers how
/// many it took.
pub type ReadPage<'a> = dyn FnMut(Option<&PageRef>, usize, usize) -> SysResult<usize> + 'a;
/// Puts `n` bytes at `offset` of a page that is written; answers how many it put.
pub type WritePage<'a> = dyn FnMut(&PageRef, usize, usize) -> SysResult<usize> + 'a;

/// Told when pages leave a mapping. An address space implements it.
pub trait MappingObserver: Send + Sync {
    /// Unmap the pages `[first, end)` of `mapping` (`end` may be `u64::MAX`). `even_cow`: private
    /// copies too (truncation), else only the shared pages (hole punching). Called with no spin
    /// lock held.
    fn invalidate(&self, mapping: &Mapping, first: u64, end: u64, even_cow: bool);
}

/// Where pages come from and who pays for them.
pub trait PageSource: Send + Sync {
    /// Fills a zeroed page with the content of page `index`; nothing to do for memory file systems.
    /// May sleep.
    fn fill(&self, _index: u64, _page: &PageRef) -> SysResult<()> {
        Ok(())
    }
    /// As [`Self::fill`], for pages that follow one another from `first` on.
    fn fill_run(&self, first: u64, pages: &[PageRef]) -> SysResult<()> {
        (first..).zip(pages).try_for_each(|(index, page)| self.fill(index, page))
    }
    /// How far ahead of a stream it is worth to read, in pages.
    fn read_ahead(&self) -> u64 {
        0
    }
    /// True when a missing page may hold data all the same (a disk), so that reads must fill rather
    /// than see zeros.
    fn has_backing(&self) -> bool {
        false
    }
    /// Reserves room for `pages` new pages; `ENOSPC` when the file system is full.
    fn charge(&self, _pages: u64) -> SysResult<()> {
        Ok(())
    }
    /// Gives room back.
    fn uncharge(&self, _pages: u64) {}
    /// Page `index` was written to or mapped writable.
    fn dirtied(&self, _index: u64) {}
    /// Writes a dirty page back. May sleep.
    fn write_back(&self, _index: u64, _page: &PageRef) -> SysResult<()> {
        Ok(())
    }
    /// Writes dirty pages back, by ascending index: as many as it can, whatever becomes of the
    /// others. Answers the first error.
    fn write_run(&self, pages: &[(u64, PageRef)]) -> SysResult<()> {
        let mut result = Ok(());
        for (index, page) in pages {
            result = result.and(self.write_back(*index, page));
        }
        result
    }
}

/// The page cache of one file.
pub struct Mapping {
    /// Bytes. Changed only with `tree` locked, so that a page is never added beyond an end that has
    /// just moved.
    size: AtomicU64,
    /// Counts invalidations: see [`Mapping::invalidate_seq`].
    seq: AtomicU64,
    /// Number of shared writable mappings (`i_mmap_writable`), for `F_SEAL_WRITE`.
    writable_maps: AtomicU32,
    /// True once pages were allocated ahead: writes then look for their marks.
    preallocated: AtomicBool,
    /// A leaf lock.
    tree: RwLock<Tree>,
    /// A leaf lock; observers are called after it is released.
    observers: Mutex<Observers>,
    source: Option<Arc<dyn PageSource>>,
    /// Held by who writes back, so that whoever comes later finds it done. No lock is taken outside
    /// of it by the source.
    writing: SleepLock,
    /// What writing back has met.
    pub errors: ErrSeq,
    /// Where the reader of a stream would go on, in pages, and how far ahead of it was read.
    stream_end: AtomicU64,
    window: AtomicU64,
}

impl Mapping {
    /// An empty cache of a file of `size` bytes. Without a source, missing pages are zeros and cost
    /// nothing.
    pub fn new(source: Option<Arc<dyn PageSource>>, size: u64) -> Arc<Mapping> {
        let mapping = Arc::new(Mapping {
            size: AtomicU64::new(size),
            seq: AtomicU64::new(0),
            writable_maps: AtomicU32::new(0),
            preallocated: AtomicBool::new(false),
            tree: RwLock::new(Tree::default()),
            observers: Mutex::new(Observers::new()),
            source,
            writing: SleepLock::new(),
            errors: ErrSeq::new(),
            stream_end: AtomicU64::new(0),
            window: AtomicU64::new(0),
        });
        if mapping.backing().is_some() {
            reclaim::register(&mapping);
        }
        mapping
    }

    /// File size in bytes.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Pages held.
    pub fn page_count(&self) -> u64 {
        self.tree.read().pages
    }

    /// Changes with every invalidation. A page fault reads it first, gets the page, and with its
    /// page-table lock held installs the page only if the number is still the same; else it starts
    /// again. That closes the race with truncation, whose observers take the same page-table lock.
    pub fn invalidate_seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// The page at `index`, if it is in the cache.
    pub fn get_page(&self, index: u64) -> Option<PageRef> {
        self.tree.read().get(index)
    }

    /// Calls `visit` with those of the pages `[first, end)` that are in the cache, ascending. It
    /// must not come back to this mapping.
    pub fn each_cached(&self, first: u64, end: u64, visit: &mut dyn FnMut(u64, &PageRef)) {
        self.tree.read().each(first, end, visit);
    }

    /// The page at `index`, filled from the source or zeroed. Does not look at the size. `ENOMEM`,
    /// `ENOSPC`, or the source's error.
    pub fn get_or_create(&self, index: u64) -> SysResult<PageRef> {
        match self.get_page(index) {
            Some(page) => Ok(page),
            None => self.add_page(index, None).and_then(|p| p.ok_or(Errno::EIO)),
        }
    }

    /// The page for a page fault; `Ok(None)` at or past the end of the file (the program gets
    /// `SIGBUS`). `write` marks it dirty.
    pub fn fault(&self, index: u64, write: bool) -> SysResult<Option<PageRef>> {
        if index >= pages_for(self.size()) {
            return Ok(None);
        }
        let page = match self.get_page(index) {
            Some(page) => Some(page),
            None => self.add_page(index, Some(()))?,
        };
        if page.is_some() {
            self.mark_written(index);
            if write {
                self.mark_dirty(index);
            }
        }
        Ok(page)
    }

    /// Makes sure of a page for later (fallocate(2)): it reads as zeros and counts as a hole until
    /// it is written. True when it was missing.
    pub fn preallocate(&self, index: u64) -> SysResult<bool> {
        if self.get_page(index).is_some() {
            return Ok(false);
        }
        self.preallocated.store(true, Ordering::Relaxed);
        self.get_or_create(index).map_err(|errno| self.full(errno))?;
        self.tree.write().set_unwritten(index, true);
        Ok(true)
    }

    fn mark_written(&self, index: u64) {
        if self.preallocated.load(Ordering::Relaxed) {
            self.tree.write().set_unwritten(index, false);
        }
    }

    /// Puts a page into an empty slot without copying (a page of the initrd). Charged like any
    /// other. `EEXIST` when the slot is taken.
    pub fn insert_page(&self, index: u64, page: PageRef) -> SysResult<()> {
        self.charge(1)?;
        if self.tree.write().insert(index, page).is_err() {
            self.uncharge(1);
            return Err(Errno::EEXIST);
        }
        Ok(())
    }

    /// Allocates, fills and inserts; `Ok(None)` when `bounded` and the file has become too short
    /// meanwhile.
    fn add_page(&self, index: u64, bounded: Option<()>) -> SysResult<Option<PageRef>> {
        self.charge(1)?;
        let insert = |fresh: &PageRef| {
            let mut tree = self.tree.write();
            if bounded.is_some() && index >= pages_for(self.size()) {
                return Ok(None);
            }
            match tree.insert(index, fresh.clone()) {
                Ok(()) => Ok(Some(fresh.clone())),
                Err(_) => Ok(tree.get(index)),
            }
        };
        let fresh = if self.backing().is_some() { reclaim::new_page() } else { PageRef::alloc() };
        let result = fresh.and_then(|fresh| {
            let page = self.fill_page(index, &fresh, || insert(&fresh))?;
            Ok((page.as_ref() == Some(&fresh), page))
        });
        match result {
            Ok((true, page)) => Ok(page),
            Ok((false, page)) => {
                self.uncharge(1);
                Ok(page)
            }
            Err(errno) => {
                self.uncharge(1);
                Err(errno)
            }
        }
    }

    /// A file that is in memory alone finds its file system full where memory is out.
    fn full(&self, errno: Errno) -> Errno {
        let in_memory = !self.source.as_ref().is_some_and(|source| source.has_backing());
        if errno == Errno::ENOMEM && in_memory { Errno::ENOSPC } else { errno }
    }

    fn charge(&self, pages: u64) -> SysResult<()> {
        let Some(source) = &self.source else { return Ok(()) };
        source.charge(pages)?;
        if source.has_backing() {
            reclaim::count(pages);
        }
        Ok(())
    }

    fn uncharge(&self, pages: u64) {
        if let Some(source) = self.source.as_ref().filter(|_| pages > 0) {
            source.uncharge(pages);
            if source.has_backing() {
                reclaim::uncount(pages);
            }
        }
    }

    /// Records that page `index` was changed.
    pub fn mark_dirty(&self, index: u64) {
        let Some(source) = &self.source else { return };
        if source.has_backing() && self.tree.write().set_dirty(index) {
            source.dirtied(index);
        }
    }

    /// Hands the content of `[off, off+len)`, cut at the end of the file, to `copy(page,
    /// offset_in_page, n)`, page by page. `None` stands for zeros. `copy` answers the bytes it
    /// took: fewer than `n` ends the read, an error ends it unless bytes were already taken. No
    /// lock is held meanwhile. Returns the bytes taken.
    pub fn read(&self, off: u64, len: usize, copy: &mut ReadPage<'_>) -> SysResult<usize> {
        let backing = self.backing();
        let mut done = 0;
        while done < len {
            let pos = off + done as u64;
            let left = self.size().saturating_sub(pos);
            let in_page = (pos % PAGE_SIZE as u64) as usize;
            let n = (PAGE_SIZE - in_page).min(len - done).min(usize::try_from(left).unwrap_or(usize::MAX));
            if n == 0 {
                break;
            }
            let index = pos >> PAGE_SHIFT;
            let page = match (self.get_page(index), backing) {
                (None, Some(source)) => {
                    let want = (in_page as u64 + (len - done) as u64).min(left + in_page as u64).div_ceil(PAGE_SIZE as u64);
                    self.bring_in(source, index, want).map(Some)
                }
                (page, _) => Ok(page),
            };
            match page.and_then(|p| copy(p.as_ref(), in_page, n)) {
                Ok(got) => {
                    done += got;
                    if got < n {
                        break;
                    }
                }
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Has `copy(page, offset_in_page, n)` write `[off, off+len)` page by page, growing the file.
    /// Same rules as [`Mapping::read`]. The caller holds the inode's lock and has checked limits
    /// and seals.
    pub fn write(&self, off: u64, len: usize, copy: &mut WritePage<'_>) -> SysResult<usize> {
        let mut done = 0;
        while done < len {
            let pos = off + done as u64;
            let in_page = (pos % PAGE_SIZE as u64) as usize;
            let n = (PAGE_SIZE - in_page).min(len - done);
            let index = pos >> PAGE_SHIFT;
            let step = if n == PAGE_SIZE && self.backing().is_some() && self.get_page(index).is_none() {
                self.write_whole(index, copy)
            } else {
                // The page is held until it is marked: a clean one that nobody holds may be
                // evicted.
                self.get_or_create(index).map_err(|errno| self.full(errno)).and_then(|page| {
                    let got = copy(&page, in_page, n)?;
                    self.mark_written(index);
                    self.mark_dirty(index);
                    Ok(got)
                })
            };
            match step {
                Ok(got) => {
                    done += got;
                    if got > 0 {
                        self.grow(pos + got as u64);
                    }
                    if got < n {
                        break;
                    }
                }
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Raises the size to at least `size`.
    pub fn grow(&self, size: u64) {
        if self.size() < size {
            let _tree = self.tree.write();
            self.size.fetch_max(size, Ordering::AcqRel);
        }
    }

    /// Sets the size; when it shrinks, unmaps and frees what lies beyond and zeroes the rest of the
    /// last page. The caller holds the inode's lock.
    pub fn truncate(&self, size: u64) -> SysResult<()> {
        let old = {
            let _tree = self.tree.write();
            self.size.swap(size, Ordering::AcqRel)
        };
        // With an unchanged size too: fallocate(2) may have put pages behind the end.
        if size <= old {
            self.drop_range(pages_for(size), u64::MAX, true);
            self.zero_partial(size, size.next_multiple_of(PAGE_SIZE as u64))?;
        }
        Ok(())
    }

    /// Makes `[off, off+len)` read as zeros, freeing whole pages. The size stays. The caller holds
    /// the inode's lock.
    pub fn punch(&self, off: u64, len: u64) -> SysResult<()> {
        let end = off.saturating_add(len);
        let first = pages_for(off);
        let last = end >> PAGE_SHIFT;
        if first > last {
            return self.zero_partial(off, end);
        }
        self.zero_partial(off, first << PAGE_SHIFT)?;
        if first < last {
            self.drop_range(first, last, false);
        }
        self.zero_partial(last << PAGE_SHIFT, end)
    }

    /// Zeroes `[from, to)`, which lies within one page.
    fn zero_partial(&self, from: u64, to: u64) -> SysResult<()> {
        if from >= to {
            return Ok(());
        }
        let index = from >> PAGE_SHIFT;
        let backed = self.source.as_ref().is_some_and(|s| s.has_backing());
        let page = if backed { Some(self.get_or_create(index)?) } else { self.get_page(index) };
        if let Some(page) = page {
            page.zero((from % PAGE_SIZE as u64) as usize, (to - from) as usize);
            self.mark_dirty(index);
        }
        Ok(())
    }

    /// Unmaps and frees the pages `[first, end)`.
    fn drop_range(&self, first: u64, end: u64, even_cow: bool) {
        self.seq.fetch_add(1, Ordering::AcqRel);
        self.invalidate(first, end, even_cow);
        loop {
            // In batches, so that the lock is short and frames are freed outside of it.
            let batch = self.tree.write().remove_some(first, end);
            if batch.is_empty() {
                break;
            }
            let n = batch.iter().map(|c| u64::from(c.used)).sum();
            drop(batch);
            self.uncharge(n);
        }
        // A fault that came between the first call and the removal has mapped a page that is no
        // longer the file's (Linux unmaps twice for the same reason).
        self.seq.fetch_add(1, Ordering::AcqRel);
        self.invalidate(first, end, even_cow);
    }

    fn invalidate(&self, first: u64, end: u64, even_cow: bool) {
        let mut last = None;
        loop {
            // The lock is free again where they are called, and where the last reference to one may
            // be dropped.
            let next = self.observers.lock().behind(last);
            let Some((reached, observers)) = next else { return };
            last = Some(reached);
            for observer in observers {
                observer.invalidate(self, first, end, even_cow);
            }
        }
    }

    /// Registers an address space. Registering twice is registering once; dead ones fall out by
    /// themselves.
    pub fn add_observer(&self, observer: Weak<dyn MappingObserver>) {
        self.observers.lock().add(observer);
    }

    /// Ends a registration.
    pub fn remove_observer(&self, observer: &Weak<dyn MappingObserver>) {
        self.observers.lock().remove(observer);
    }

    /// Counts a shared writable memory mapping (also one that mprotect may make writable).
    pub fn add_writable_map(&self) {
        self.writable_maps.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends one.
    pub fn remove_writable_map(&self) {
        self.writable_maps.fetch_sub(1, Ordering::AcqRel);
    }

    /// True while a shared writable mapping exists.
    pub fn has_writable_maps(&self) -> bool {
        self.writable_maps.load(Ordering::Acquire) > 0
    }

    /// `SEEK_DATA` over the pages with data; `ENXIO` when no data follows.
    pub fn seek_data(&self, off: u64) -> SysResult<u64> {
        let size = self.size();
        if off >= size {
            return Err(Errno::ENXIO);
        }
        let found = self.tree.read().next_page(off >> PAGE_SHIFT).map(|i| (i << PAGE_SHIFT).max(off));
        found.filter(|pos| *pos < size).ok_or(Errno::ENXIO)
    }

    /// `SEEK_HOLE` over the pages with data.
    pub fn seek_hole(&self, off: u64) -> SysResult<u64> {
        let size = self.size();
        if off >= size {
            return Err(Errno::ENXIO);
        }
        let index = self.tree.read().next_hole(off >> PAGE_SHIFT);
        Ok((index << PAGE_SHIFT).max(off).min(size))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let pages = self.tree.get_mut().pages;
        self.uncharge(pages);
    }
}

/// Pages that `size` bytes reach into.
fn pages_for(size: u64) -> u64 {
    (size >> PAGE_SHIFT) + u64::from(!size.is_multiple_of(PAGE_SIZE as u64))
}
