//! Kernel memory that is one piece by address alone: for large allocations where no free frames lie
//! side by side.
//!
//! Each power of two of pages has places of its own, a bit for each. A place that was given back is
//! used again only after all CPUs have dropped their translations of it, which is done for many at
//! once where it may be waited for ([`clean`]): the heap is called with locks held and interrupts
//! off.

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use super::{PAGE, STACKS_END};
use crate::{direct, frames, tlb};
use base::addr::PAGE_SIZE;
use sync::IrqSpinLock;

/// The smallest pieces are of 2^3 pages, the largest of 2^18: 1 GiB.
const FIRST_ORDER: usize = 3;
const ORDERS: usize = 16;
/// Places of the smallest order; of each further one half as many, but no less than a word of bits.
const MAX_PLACES: usize = 16384;
/// Words of bits of all orders.
const WORDS: usize = first_word(ORDERS);
/// So many places that wait for the flush make it due.
const FLUSH_THRESHOLD: u32 = 32;

const fn places(level: usize) -> usize {
    let places = MAX_PLACES >> level;
    if places < 64 { 64 } else { places }
}

/// Where the bits of a level begin.
const fn first_word(level: usize) -> usize {
    let (mut word, mut below) = (0, 0);
    while below < level {
        word += places(below) / 64;
        below += 1;
    }
    word
}

/// Bytes of a place of the level.
const fn size(level: usize) -> u64 {
    PAGE << (FIRST_ORDER + level)
}

/// Address of the first place of the level.
const fn base(level: usize) -> u64 {
    let (mut addr, mut below) = (STACKS_END, 0);
    while below < level {
        addr += places(below) as u64 * size(below);
        below += 1;
    }
    addr
}

/// Behind all places.
const END: u64 = base(ORDERS);
const _: () = assert!(END <= super::AREA_END);

struct Places {
    used: [u64; WORDS],
    /// Given back, and perhaps still in some CPU's translations; used too.
    stale: [u64; WORDS],
}

/// A leaf: nothing is allocated or flushed while it is held.
static PLACES: IrqSpinLock<Places> = IrqSpinLock::new(Places { used: [0; WORDS], stale: [0; WORDS] });
/// How many places are stale.
static STALE: AtomicU32 = AtomicU32::new(0);

/// The level whose places have room for so many frames.
fn level_of(frames: usize) -> Option<usize> {
    let order = frames.checked_next_power_of_two()?.trailing_zeros() as usize;
    Some(order.saturating_sub(FIRST_ORDER)).filter(|level| *level < ORDERS)
}

fn take_place(level: usize) -> Option<u64> {
    let words = first_word(level)..first_word(level + 1);
    let first = words.start;
    let mut all = PLACES.lock();
    let (at, word) = all.used.get_mut(words)?.iter_mut().enumerate().find(|(_, word)| **word != u64::MAX)?;
    let bit = word.trailing_ones() as usize;
    *word |= 1 << bit;
    debug_assert!(all.stale[first + at] >> bit & 1 == 0);
    Some(base(level) + (at * 64 + bit) as u64 * size(level))
}

/// Takes the pages of a piece away, as far as it has any, and leaves its place to [`clean`].
fn give_place(level: usize, addr: u64, frames: usize) {
    for virt in (addr..).step_by(PAGE_SIZE).take(frames) {
        // SAFETY: nobody uses the piece any more.
        if let Some(phys) = unsafe { direct::unmap_page(virt) } {
            frames::dec(phys);
        }
    }
    let place = ((addr - base(level)) / size(level)) as usize;
    let mut all = PLACES.lock();
    if let Some(word) = all.stale.get_mut(first_word(level) + place / 64) {
        *word |= 1 << (place % 64);
        STALE.fetch_add(1, Ordering::Relaxed);
    }
}

/// A piece of so many frames, of unspecified content. `None` when memory or places are out.
pub fn alloc(frames: usize) -> Option<*mut u8> {
    let level = level_of(frames)?;
    let addr = take_place(level)?;
    for virt in (addr..).step_by(PAGE_SIZE).take(frames) {
        let mapped = frames::alloc().and_then(|frame| {
            let phys = frame.into_raw();
            // SAFETY: the place is ours and not mapped; so is the frame.
            let mapped = unsafe { direct::map_page(virt, phys, direct::MEMORY) };
            if mapped.is_none() {
                frames::dec(phys);
            }
            mapped
        });
        if mapped.is_none() {
            give_place(level, addr, frames);
            return None;
        }
    }
    Some(ptr::with_exposed_provenance_mut(addr as usize))
}

/// Whether the address is of such a piece.
pub fn owns(memory: *const u8) -> bool {
    (STACKS_END..END).contains(&(memory.addr() as u64))
}

/// Gives back what [`alloc`] gave.
///
/// # Safety
/// Nobody uses the memory any more.
pub unsafe fn free(memory: *mut u8, frames: usize) {
    if let Some(level) = level_of(frames) {
        give_place(level, memory.addr() as u64, frames);
    }
}

/// Whether enough places wait for [`clean`].
pub fn want_cleaning() -> bool {
    STALE.load(Ordering::Relaxed) >= FLUSH_THRESHOLD
}

/// Has all CPUs drop their translations of what was given back, so that its places can be used
/// again. Called with no lock held.
pub fn clean() {
    let stale = {
        let mut all = PLACES.lock();
        core::mem::replace(&mut all.stale, [0; WORDS])
    };
    tlb::flush_kernel(STACKS_END, END);
    let mut all = PLACES.lock();
    let mut count = 0;
    for (used, stale) in all.used.iter_mut().zip(stale) {
        *used &= !stale;
        count += stale.count_ones();
    }
    STALE.fetch_sub(count, Ordering::Relaxed);
}
