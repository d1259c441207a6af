//! The set of areas (VMAs) of one address space: lookup, split, merge and search for free room.
//!
//! Pure logic without page tables, so that it can be tested alone. Areas never overlap, are never
//! empty and are page-aligned; neighbours that agree in everything are merged, as `/proc/PID/maps`
//! shows them on Linux.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included, Unbounded};
use core::ops::Range;

use super::flags::{PAGE_SIZE, Policy, Prot, STACK_GUARD_GAP, VmFlags};

/// What lies behind an area that is not private anonymous memory.
pub trait Backing: Clone {
    /// Whether two areas with these backings may be one (their offsets being contiguous).
    fn same(&self, other: &Self) -> bool;
}

/// One area of address space with uniform protection, flags and backing.
#[derive(Clone, Debug)]
pub struct Vma<B> {
    /// First byte.
    pub start: u64,
    /// First byte after the area.
    pub end: u64,
    /// Access granted.
    pub prot: Prot,
    /// Everything else that must agree for two areas to merge.
    pub flags: VmFlags,
    /// Byte offset of `start` in the backing object; meaningless without one.
    pub offset: u64,
    /// `None`: private anonymous memory.
    pub backing: Option<B>,
    /// `PR_SET_VMA_ANON_NAME`.
    pub name: Option<Arc<[u8]>>,
    /// mbind(2).
    pub policy: Policy,
}

impl<B: Backing> Vma<B> {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Length in pages.
    pub fn pages(&self) -> u64 {
        self.size() / PAGE_SIZE
    }

    /// Offset in the backing object of the page that holds `addr`.
    pub fn offset_of(&self, addr: u64) -> u64 {
        self.offset + (addr - self.start)
    }

    /// Lowest address that a new, unrelated area must stay below: includes the guard gap of stacks.
    pub fn start_gap(&self) -> u64 {
        if self.flags.contains(VmFlags::GROWSDOWN) { self.start.saturating_sub(STACK_GUARD_GAP) } else { self.start }
    }

    fn joins(&self, next: &Self) -> bool {
        self.end == next.start
            && self.prot == next.prot
            && self.flags == next.flags
            && self.name == next.name
            && self.policy == next.policy
            && match (&self.backing, &next.backing) {
                (None, None) => true,
                (Some(a), Some(b)) => a.same(b) && self.offset + self.size() == next.offset,
                _ => false,
            }
    }

    /// The part of the area inside `start..end`, which must overlap it.
    pub fn clip(&self, start: u64, end: u64) -> Self {
        let mut part = self.clone();
        part.start = self.start.max(start);
        part.end = self.end.min(end);
        part.offset = self.offset_of(part.start);
        part
    }
}

/// Where the last search from the top ended, so that the next need not begin at the top again.
#[derive(Clone, Copy, Default)]
struct Hint {
    /// The upper bound that searches began from.
    high: u64,
    /// Between here and `high` ...
    at: u64,
    /// ... no free range is larger than this many bytes.
    hole: u64,
}

/// The areas of an address space, by start address.
pub struct VmaSet<B> {
    areas: BTreeMap<u64, Vma<B>>,
    bytes: u64,
    hint: Hint,
}

impl<B: Backing> Default for VmaSet<B> {
    fn default() -> Self {
        Self { areas: BTreeMap::new(), bytes: 0, hint: Hint::default() }
    }
}

impl<B: Backing> VmaSet<B> {
    /// How many areas there are.
    pub fn count(&self) -> usize {
        self.areas.len()
    }

    /// Sum of all lengths in bytes (`VmSize`).
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All areas in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Vma<B>> {
        self.areas.values()
    }

    /// The area that contains `addr`.
    pub fn find(&self, addr: u64) -> Option<&Vma<B>> {
        self.areas.range(..=addr).next_back().map(|(_, v)| v).filter(|v| v.end > addr)
    }

    /// The first area that ends above `addr`: it contains `addr` or is the next one.
    pub fn find_from(&self, addr: u64) -> Option<&Vma<B>> {
        self.find(addr).or_else(|| self.areas.range((Excluded(addr), Unbounded)).next().map(|(_, v)| v))
    }

    /// The last area that ends at or below `addr`... or below the area which contains it.
    pub fn prev(&self, addr: u64) -> Option<&Vma<B>> {
        self.areas.range(..addr).next_back().map(|(_, v)| v)
    }

    /// The free range around `start..end`, where nothing is mapped; open upwards where no area is
    /// above.
    pub fn free_around(&self, start: u64, end: u64) -> Range<u64> {
        let floor = self.prev(start).map_or(0, |below| below.end);
        floor..self.find_from(end).map_or(u64::MAX, |above| above.start)
    }

    /// The areas that overlap `start..end`, ascending.
    pub fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = &Vma<B>> {
        let first = self.find(start).map_or(start, |v| v.start);
        self.areas.range((Included(first), Excluded(end.max(first)))).map(|(_, v)| v)
    }

    /// Whether any area overlaps `start..end`.
    pub fn any(&self, start: u64, end: u64) -> bool {
        self.overlapping(start, end).next().is_some()
    }

    /// Whether `start..end` is mapped without a hole.
    pub fn covers(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        for v in self.overlapping(start, end) {
            if v.start > at {
                return false;
            }
            at = v.end;
        }
        at >= end
    }

    /// Cuts the area that contains `addr` in two at `addr`.
    fn split_at(&mut self, addr: u64) {
        let Some(v) = self.find(addr) else { return };
        if v.start == addr {
            return;
        }
        let (start, end) = (v.start, v.end);
        let high = v.clip(addr, end);
        if let Some(low) = self.areas.get_mut(&start) {
            low.end = addr;
        }
        self.areas.insert(addr, high);
    }

    /// Joins the areas that meet at `addr` if they agree.
    fn merge_at(&mut self, addr: u64) {
        let Some(low) = self.prev(addr) else { return };
        let Some(high) = self.areas.get(&addr) else { return };
        if low.joins(high) {
            let (start, end) = (low.start, high.end);
            self.areas.remove(&addr);
            if let Some(low) = self.areas.get_mut(&start) {
                low.end = end;
            }
        }
    }

    /// Adds an area to a free range and merges it with its neighbours.
    pub fn insert(&mut self, vma: Vma<B>) {
        debug_assert!(vma.start < vma.end && !self.any(vma.start, vma.end));
        self.bytes += vma.size();
        let (start, end) = (vma.start, vma.end);
        match self.areas.range_mut(..start).next_back() {
            // The usual case by far: memory next to memory of the same kind.
            Some((_, low)) if low.joins(&vma) => low.end = end,
            _ => {
                self.areas.insert(start, vma);
            }
        }
        self.merge_at(end);
    }

    /// Removes everything in `start..end` and puts the parts taken out into `out`, ascending.
    pub fn remove(&mut self, start: u64, end: u64, out: &mut Vec<Vma<B>>) {
        let inside = |(at, last): (&u64, &Vma<B>)| *at >= start && last.end <= end;
        if self.areas.first_key_value().is_some_and(inside) && self.areas.last_key_value().is_some_and(inside) {
            out.extend(core::mem::take(self).areas.into_values());
            return;
        }
        self.split_at(start);
        self.split_at(end);
        let before = out.len();
        while let Some((&key, _)) = self.areas.range((Included(start), Excluded(end.max(start)))).next() {
            if let Some(v) = self.areas.remove(&key) {
                self.bytes -= v.size();
                out.push(v);
            }
        }
        if out.len() > before {
            let ceiling = self.areas.range(end..).next().map_or(u64::MAX, |(_, v)| v.start);
            self.hint.at = self.hint.at.max(ceiling).min(self.hint.high);
        }
    }

    /// Applies `change` to every area part in `start..end`, splitting at the ends and merging what
    /// agrees afterwards.
    pub fn update(&mut self, start: u64, end: u64, mut change: impl FnMut(&mut Vma<B>)) {
        self.split_at(start);
        self.split_at(end);
        let mut at = start;
        while let Some((&key, v)) = self.areas.range_mut((Included(at), Excluded(end.max(at)))).next() {
            change(v);
            at = v.end;
            self.merge_at(key);
        }
        self.merge_at(end);
    }

    /// Moves the start of the area at `start` down to `new_start` (stack growth); the room must be
    /// free.
    pub fn grow_down(&mut self, start: u64, new_start: u64) {
        if let Some(mut v) = self.areas.remove(&start) {
            let grown = start - new_start;
            self.bytes += grown;
            v.offset = v.offset.saturating_sub(grown);
            v.start = new_start;
            self.areas.insert(new_start, v);
            self.merge_at(new_start);
        }
    }

    /// How many areas there will be after `start..end` is unmapped, before merging.
    pub fn len_without(&self, start: u64, end: u64) -> usize {
        let (mut inside, mut cuts) = (0, 0);
        for v in self.overlapping(start, end) {
            inside += usize::from(v.start >= start && v.end <= end);
            cuts += usize::from(v.start < start && v.end > end);
        }
        self.areas.len() + cuts - inside
    }

    /// The highest free range of `len` bytes in `low..high`, outside the guard gaps of stacks.
    pub fn gap_top_down(&mut self, len: u64, low: u64, high: u64) -> Option<u64> {
        if self.hint.high != high || len <= self.hint.hole {
            self.hint = Hint { high, at: high, hole: 0 };
        }
        let from = self.hint.at;
        let mut hole = self.hint.hole;
        // An area that starts at or above the bound may still reach down below it with its guard
        // gap.
        let mut ceiling = self.areas.range(from..).next().map_or(from, |(_, v)| v.start_gap().min(from));
        let mut found = None;
        for v in self.areas.range(..from).map(|(_, v)| v).rev() {
            let room = ceiling.saturating_sub(v.end.max(low));
            if room >= len {
                found = Some(ceiling - len);
                break;
            }
            hole = hole.max(room);
            ceiling = ceiling.min(v.start_gap());
            if ceiling <= low {
                break;
            }
        }
        let at = found.or_else(|| ceiling.checked_sub(len).filter(|at| *at >= low))?;
        // The range found counts as free until an area is in it.
        self.hint = Hint { high, at: at + len, hole };
        Some(at)
    }

    /// The lowest such range.
    pub fn gap_bottom_up(&self, len: u64, low: u64, high: u64) -> Option<u64> {
        let place = |floor: u64, ceiling: u64| (floor.checked_add(len)? <= ceiling).then_some(floor);
        let mut floor = low;
        let first = self.find(low).map_or(low, |v| v.start);
        for v in self.areas.range(first..).map(|(_, v)| v) {
            if v.start > floor
                && let Some(at) = place(floor, v.start_gap().min(high))
            {
                return Some(at);
            }
            floor = floor.max(v.end);
            if floor >= high {
                return None;
            }
        }
        place(floor, high)
    }
}
