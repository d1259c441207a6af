//! Files behind whose pages there is a disk: pages come in runs, go out in batches, and can be had
//! again, so that they may be evicted.

use super::reclaim::new_page;
use super::{Mapping, PageSource, WritePage, pages_for};
use crate::platform::{PAGE_SIZE, PageRef};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering;
use syscall_shim::{Errno, SysResult};

/// The most pages that are read at once.
const MAX_RUN: u64 = 64;
/// How far ahead of a stream is read at first, in pages.
const FIRST_AHEAD: u64 = 4;
/// The most pages that are written at once.
const BATCH: usize = 256;
/// The most pages that are evicted under one hold of the lock.
const EVICTED: usize = 64;

/// Pages on their way in, so that they are not evicted meanwhile.
struct Filling<'a> {
    mapping: &'a Mapping,
    range: Range<u64>,
}

impl<'a> Filling<'a> {
    fn begin(mapping: &'a Mapping, range: Range<u64>) -> Self {
        mapping.tree.write().begin_fill(range.clone());
        Self { mapping, range }
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.mapping.tree.write().filled(&self.range);
    }
}

impl Mapping {
    /// The source, if missing pages are to be had from it.
    pub(super) fn backing(&self) -> Option<&Arc<dyn PageSource>> {
        self.source.as_ref().filter(|source| source.has_backing())
    }

    /// The page at `index`, which a reader of `want` pages from there on misses: it comes in
    /// together with those behind it that are missing too, and with some more where the reader has
    /// come from before it.
    pub(super) fn bring_in(&self, source: &Arc<dyn PageSource>, index: u64, want: u64) -> SysResult<PageRef> {
        let mut most = want.clamp(1, MAX_RUN) + self.ahead(index, want, source.read_ahead());
        most = most.min(pages_for(self.size()).saturating_sub(index)).max(1);
        let count = self.tree.read().missing(index, most);
        let _filling = Filling::begin(self, index..index + count.max(1));
        let mut pages = Vec::new();
        for _ in 0..count {
            match new_page() {
                Ok(page) => pages.push(page),
                Err(errno) if pages.is_empty() => return Err(errno),
                Err(_) => break,
            }
        }
        if pages.len() > 1 && source.fill_run(index, &pages).is_err() {
            // It is read alone: its neighbours' trouble is none of its own.
            pages.truncate(1);
            if let Some(page) = pages.first() {
                source.fill(index, page)?;
            }
        } else if let [page] = pages.as_slice() {
            source.fill(index, page)?;
        }
        let first = pages.first().cloned();
        for (at, page) in (index..).zip(pages) {
            match self.charge(1) {
                Err(errno) if at == index => return Err(errno),
                Err(_) => break,
                Ok(()) => {}
            }
            if self.tree.write().insert(at, page).is_err() {
                self.uncharge(1);
            }
        }
        // Who has it truncated away meanwhile does not keep this read from it.
        self.get_page(index).or(first).map_or_else(|| self.get_or_create(index), Ok)
    }

    /// How much more to read than is asked for at `index`, at most `most`.
    fn ahead(&self, index: u64, want: u64, most: u64) -> u64 {
        let streams = self.stream_end.swap(index + want, Ordering::Relaxed) == index;
        let window = match self.window.load(Ordering::Relaxed) {
            _ if !streams => 0,
            0 => FIRST_AHEAD.min(most),
            window => (window * 2).min(most),
        };
        self.window.store(window, Ordering::Relaxed);
        if streams {
            // The next miss of the same stream is behind what is read ahead.
            self.stream_end.store(index + want + window, Ordering::Relaxed);
        }
        window
    }

    /// Fills a page with what the source has, no matter what is evicted meanwhile.
    pub(super) fn fill_page(
        &self,
        index: u64,
        page: &PageRef,
        insert: impl FnOnce() -> SysResult<Option<PageRef>>,
    ) -> SysResult<Option<PageRef>> {
        let Some(source) = &self.source else { return insert() };
        if !source.has_backing() {
            source.fill(index, page)?;
            return insert();
        }
        let _filling = Filling::begin(self, index..index + 1);
        source.fill(index, page)?;
        insert()
    }

    /// Whether pages are written back somewhere.
    pub fn is_backed(&self) -> bool {
        self.backing().is_some()
    }

    /// Pages that were changed and are not written back.
    pub fn dirty_count(&self) -> u64 {
        self.tree.read().dirty
    }

    /// Writes dirty pages of `[first, end)` back, and waits for others who are at it. A page
    /// dirtied meanwhile stays dirty, as does what there is no memory to write (`ENOMEM`). One that
    /// cannot be written is clean all the same: the error, which is answered here, is what
    /// [`Mapping::errors`] keeps of it.
    pub fn write_back(&self, first: u64, end: u64) -> SysResult<()> {
        let Some(source) = self.backing() else { return Ok(()) };
        let _one = self.writing.lock();
        self.write_dirty(source, first, end)
    }

    /// Has `change` change what the disk has, size included, past the pages: dirty ones are written
    /// before, and nobody writes any back meanwhile. `change` itself must not ask for it, so it
    /// uses [`Mapping::truncate`] and [`Mapping::discard`].
    pub fn change_below<T>(&self, change: impl FnOnce() -> SysResult<T>) -> SysResult<T> {
        let _one = self.writing.lock();
        if let Some(source) = self.backing() {
            self.write_dirty(source, 0, u64::MAX)?;
        }
        change()
    }

    /// Takes the pages `[first, end)` out as they are.
    pub fn discard(&self, first: u64, end: u64) {
        self.drop_range(first, end, false);
    }

    /// Writes dirty pages back, unless somebody is at it, who may be the one that wants memory for
    /// that. [`Mapping::errors`] keeps the error.
    pub(super) fn write_back_if_free(&self) {
        if let (Some(source), Some(_one)) = (self.backing(), self.writing.try_lock()) {
            let _ = self.write_dirty(source, 0, u64::MAX);
        }
    }

    /// As [`Mapping::write_back`], for whoever holds `writing`.
    fn write_dirty(&self, source: &Arc<dyn PageSource>, first: u64, end: u64) -> SysResult<()> {
        let mut result = Ok(());
        let mut next = first;
        while next < end {
            let mut batch: Vec<(u64, PageRef)> = Vec::new();
            {
                let mut tree = self.tree.write();
                while batch.len() < BATCH
                    && let Some((index, page)) = tree.take_dirty(next, end)
                {
                    next = index + 1;
                    batch.push((index, page));
                }
            }
            if batch.is_empty() {
                break;
            }
            match source.write_run(&batch) {
                Ok(()) => {}
                // Nothing is wrong with the disk: they are written when there is memory again.
                Err(Errno::ENOMEM) => {
                    let mut tree = self.tree.write();
                    batch.iter().for_each(|(index, page)| tree.set_dirty_again(*index, page));
                    return Err(Errno::ENOMEM);
                }
                Err(errno) => {
                    self.errors.set(errno);
                    result = result.and(Err(errno));
                }
            }
            if self.has_writable_maps() {
                // What is mapped writable changes without a word, and may have changed while it was
                // written.
                let mut tree = self.tree.write();
                for (index, _) in batch.iter().filter(|(_, page)| page.references() > 2) {
                    tree.set_dirty(*index);
                }
            }
        }
        result
    }

    /// Frees up to `want` pages from page `first` to before `end` that are clean and that nobody
    /// uses. Answers how many, and where to go on; `None` at the end.
    pub fn evict(&self, first: u64, end: u64, want: u64) -> (u64, Option<u64>) {
        let (mut count, mut next) = (0, Some(first));
        while let Some(from) = next.filter(|_| count < want) {
            let (pages, on) = self.tree.write().evict(from, end, EVICTED.min((want - count) as usize));
            next = on;
            count += pages.len() as u64;
            self.uncharge(pages.len() as u64);
        }
        (count, next)
    }

    /// Takes the pages `[first, end)` out, mapped or not: what the disk has was changed past them.
    /// They are written back first.
    pub fn forget(&self, first: u64, end: u64) -> SysResult<()> {
        let result = self.write_back(first, end);
        self.drop_range(first, end, false);
        result
    }

    /// Has `copy` write a page that is not in the cache as a whole, without asking the source for
    /// what it was.
    pub(super) fn write_whole(&self, index: u64, copy: &mut WritePage<'_>) -> SysResult<usize> {
        let page = new_page()?;
        let got = copy(&page, 0, PAGE_SIZE)?;
        if got == PAGE_SIZE && self.insert_whole(index, &page)? {
            return Ok(got);
        }
        // Somebody else has brought it in, or the copy fell short.
        let present = self.get_or_create(index)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(got).map_err(|_| Errno::ENOMEM)?;
        bytes.resize(got, 0);
        page.read(0, &mut bytes);
        present.write(0, &bytes);
        self.mark_dirty(index);
        Ok(got)
    }

    /// Puts a page that was written as a whole into a slot, if that is empty.
    fn insert_whole(&self, index: u64, page: &PageRef) -> SysResult<bool> {
        self.charge(1)?;
        let mut tree = self.tree.write();
        if tree.insert(index, page.clone()).is_err() {
            drop(tree);
            self.uncharge(1);
            return Ok(false);
        }
        let fresh = tree.set_dirty(index);
        drop(tree);
        if let Some(source) = self.source.as_ref().filter(|_| fresh) {
            source.dirtied(index);
        }
        Ok(true)
    }
}
