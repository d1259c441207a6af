//! The index of a mapping: page number to page frame, sparse, 64 slots to a chunk.

use crate::platform::PageRef;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

const CHUNK: u64 = 64;
/// Chunks taken out in one go by [`Tree::remove_some`].
const BATCH: usize = 16;

/// 64 consecutive page slots.
pub(super) struct Chunk {
    pages: [Option<PageRef>; CHUNK as usize],
    /// Bit n: page n was changed since it was written back.
    dirty: u64,
    /// Bit n: page n was allocated ahead (fallocate(2)) and not written yet, so it still counts as
    /// a hole.
    unwritten: u64,
    /// Slots in use.
    pub(super) used: u32,
}

impl Chunk {
    fn new() -> Box<Chunk> {
        Box::new(Chunk { pages: [const { None }; CHUNK as usize], dirty: 0, unwritten: 0, used: 0 })
    }

    fn has_data(&self, slot: usize) -> bool {
        self.unwritten >> slot & 1 == 0 && self.pages.get(slot).is_some_and(Option::is_some)
    }

    /// Moves the slots `[first, end)` out into a chunk of their own.
    fn split_off(&mut self, first: u64, end: u64) -> Box<Chunk> {
        let mut out = Chunk::new();
        for i in first..end.min(CHUNK) {
            if let Some(slot) = self.pages.get_mut(i as usize)
                && let Some(page) = slot.take()
                && let Some(to) = out.pages.get_mut(i as usize)
            {
                *to = Some(page);
                out.used += 1;
                self.used -= 1;
                out.dirty |= self.dirty & 1 << i;
                self.dirty &= !(1 << i);
                self.unwritten &= !(1 << i);
            }
        }
        out
    }
}

#[derive(Default)]
pub(super) struct Tree {
    chunks: BTreeMap<u64, Box<Chunk>>,
    pub(super) pages: u64,
    /// Pages that were changed and not written back.
    pub(super) dirty: u64,
    /// What is being read from the backing store right now. Nothing of it is evicted meanwhile: the
    /// page that comes in later would be older than what was evicted.
    filling: Vec<Range<u64>>,
}

impl Tree {
    pub(super) fn get(&self, index: u64) -> Option<PageRef> {
        self.chunks.get(&(index / CHUNK))?.pages.get((index % CHUNK) as usize)?.clone()
    }

    /// Calls `visit` with the pages of `[first, end)`.
    pub(super) fn each(&self, first: u64, end: u64, visit: &mut dyn FnMut(u64, &PageRef)) {
        for (number, chunk) in self.chunks.range(first / CHUNK..end.div_ceil(CHUNK).max(first / CHUNK)) {
            let base = number * CHUNK;
            let (from, to) = (first.saturating_sub(base), end.saturating_sub(base).min(CHUNK));
            for (index, page) in (base + from..).zip(chunk.pages.get(from as usize..to as usize).unwrap_or(&[])) {
                if let Some(page) = page {
                    visit(index, page);
                }
            }
        }
    }

    /// Fills an empty slot, or gives the page back.
    pub(super) fn insert(&mut self, index: u64, page: PageRef) -> Result<(), PageRef> {
        let chunk = self.chunks.entry(index / CHUNK).or_insert_with(Chunk::new);
        match chunk.pages.get_mut((index % CHUNK) as usize) {
            Some(slot @ None) => {
                *slot = Some(page);
                chunk.used += 1;
                self.pages += 1;
                Ok(())
            }
            _ => Err(page),
        }
    }

    /// Sets the dirty bit of a page that is present; true if it was clear.
    pub(super) fn set_dirty(&mut self, index: u64) -> bool {
        let Some(chunk) = self.chunks.get_mut(&(index / CHUNK)) else { return false };
        let bit = 1 << (index % CHUNK);
        let fresh = chunk.dirty & bit == 0;
        chunk.dirty |= bit;
        self.dirty += u64::from(fresh);
        fresh
    }

    /// Sets the dirty bit of a page again, unless it has gone from its place meanwhile.
    pub(super) fn set_dirty_again(&mut self, index: u64, page: &PageRef) {
        if self.get(index).is_some_and(|present| present.phys() == page.phys()) {
            self.set_dirty(index);
        }
    }

    /// Marks a page that is present as allocated ahead, or as written.
    pub(super) fn set_unwritten(&mut self, index: u64, unwritten: bool) {
        let Some(chunk) = self.chunks.get_mut(&(index / CHUNK)) else { return };
        let bit = 1 << (index % CHUNK);
        chunk.unwritten = if unwritten { chunk.unwritten | bit } else { chunk.unwritten & !bit };
    }

    /// The first dirty page of `[first, end)`, marked clean.
    pub(super) fn take_dirty(&mut self, first: u64, end: u64) -> Option<(u64, PageRef)> {
        for (number, chunk) in self.chunks.range_mut(first / CHUNK..) {
            let base = number * CHUNK;
            if base >= end {
                break;
            }
            let from = first.saturating_sub(base).min(CHUNK - 1);
            let bits = if base + from < first { 0 } else { chunk.dirty & (u64::MAX << from) };
            if bits == 0 {
                continue;
            }
            let i = u64::from(bits.trailing_zeros());
            if base + i >= end {
                break;
            }
            chunk.dirty &= !(1 << i);
            self.dirty = self.dirty.saturating_sub(1);
            if let Some(Some(page)) = chunk.pages.get(i as usize) {
                return Some((base + i, page.clone()));
            }
        }
        None
    }

    /// How many pages from `index` on are missing, up to `most`.
    pub(super) fn missing(&self, index: u64, most: u64) -> u64 {
        (0..most).find(|n| self.get(index + n).is_some()).unwrap_or(most)
    }

    /// Notes that pages are on their way in. Pair with [`Self::filled`].
    pub(super) fn begin_fill(&mut self, range: Range<u64>) {
        self.filling.push(range);
    }

    /// Ends what [`Self::begin_fill`] began.
    pub(super) fn filled(&mut self, range: &Range<u64>) {
        if let Some(at) = self.filling.iter().position(|other| other == range) {
            self.filling.swap_remove(at);
        }
    }

    /// Takes up to `want` pages of `[first, end)` out that are clean, on no way in, and nobody's
    /// but this tree's. Answers them, and where to go on: `None` at the end.
    pub(super) fn evict(&mut self, first: u64, end: u64, want: usize) -> (Vec<PageRef>, Option<u64>) {
        let mut out = Vec::new();
        let mut emptied = Vec::new();
        let mut next = None;
        for (number, chunk) in self.chunks.range_mut(first / CHUNK..end.div_ceil(CHUNK).max(first / CHUNK)) {
            let base = number * CHUNK;
            if out.len() >= want {
                next = Some(base);
                break;
            }
            let (from, to) = (first.saturating_sub(base), end.saturating_sub(base).min(CHUNK));
            let busy = |index: u64| self.filling.iter().any(|range| range.contains(&index));
            for i in from..to {
                let kept = chunk.dirty >> i & 1 != 0 || chunk.unwritten >> i & 1 != 0 || busy(base + i);
                let Some(slot) = chunk.pages.get_mut(i as usize).filter(|_| !kept) else { continue };
                if let Some(page) = slot.take_if(|page| page.references() == 1) {
                    out.push(page);
                    chunk.used -= 1;
                }
            }
            if chunk.used == 0 {
                emptied.push(*number);
            }
        }
        for number in emptied {
            self.chunks.remove(&number);
        }
        self.pages -= out.len() as u64;
        (out, next)
    }

    /// Takes some of the pages in `[first, end)` out; an empty answer means that none are left.
    // Chunks are half a kilobyte each, so they move from the map by pointer.
    #[allow(clippy::vec_box)]
    pub(super) fn remove_some(&mut self, first: u64, end: u64) -> Vec<Box<Chunk>> {
        let last = end.saturating_sub(1) / CHUNK;
        let mut out = Vec::new();
        if first >= end {
            return out;
        }
        // The chunks at both ends may keep pages outside of the range, and are then met again
        // without effect.
        let numbers: Vec<u64> = self.chunks.range(first / CHUNK..=last).map(|(n, _)| *n).take(BATCH + 2).collect();
        for number in numbers {
            if out.len() == BATCH {
                break;
            }
            let base = number * CHUNK;
            let whole = first <= base && end.saturating_sub(base) >= CHUNK;
            let taken = if whole {
                self.chunks.remove(&number)
            } else {
                self.chunks.get_mut(&number).map(|c| c.split_off(first.saturating_sub(base), end - base))
            };
            if self.chunks.get(&number).is_some_and(|c| c.used == 0) {
                self.chunks.remove(&number);
            }
            if let Some(chunk) = taken.filter(|c| c.used > 0) {
                self.pages -= u64::from(chunk.used);
                self.dirty -= u64::from(chunk.dirty.count_ones()).min(self.dirty);
                out.push(chunk);
            }
        }
        out
    }

    /// The first page with data at or after `index`.
    pub(super) fn next_page(&self, index: u64) -> Option<u64> {
        self.chunks.range(index / CHUNK..).find_map(|(number, chunk)| {
            let base = number * CHUNK;
            let skip = index.saturating_sub(base) as usize;
            let slot = (skip..CHUNK as usize).find(|i| chunk.has_data(*i))?;
            Some(base + slot as u64)
        })
    }

    /// The first page without data at or after `index`.
    pub(super) fn next_hole(&self, index: u64) -> u64 {
        let mut at = index;
        for (number, chunk) in self.chunks.range(index / CHUNK..) {
            let base = number * CHUNK;
            if base > at {
                break;
            }
            let skip = (at - base) as usize;
            if let Some(i) = (skip..CHUNK as usize).find(|i| !chunk.has_data(*i)) {
                return base + i as u64;
            }
            at = base + CHUNK;
        }
        at
    }
}
