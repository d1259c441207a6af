//! Physical memory in frames of 4 KiB, with a reference count for each.
//!
//! A buddy allocator: free memory is in blocks of `2^order` frames, aligned to their size, on one
//! list per order. The list links lie in the free blocks themselves; the only table is one `u32`
//! per frame, its state:
//!
//! | state            | meaning                                                     |
//! |------------------|-------------------------------------------------------------|
//! | `n` > 0          | in use, with `n` references                                 |
//! | 0                | inside a free block, but not its first frame                |
//! | `FREE_BLOCK + o` | first frame of a free block of order `o`                    |
//! | `NOT_RAM`        | a hole in the memory map                                    |
//!
//! Single frames come and go through short stacks in front of the lists, one for each CPU, so that
//! a page fault costs neither the splitting of a block nor the joining when the page is freed, and
//! CPUs do not meet over it; the frames there have state 0. Where memory is short, or a large block
//! is wanted, they go back to the lists.
//!
//! What the loader put into RAM (the payload, modules) starts with one reference, held by the boot;
//! [`adopt`] takes that reference over frame by frame, so that file data from the image serves as
//! page cache where it lies.

#[cfg(target_os = "none")]
mod early;
#[cfg(not(target_os = "none"))]
mod host;
mod per_cpu;

use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use base::addr::PAGE_SIZE;
use base::addr::PhysRange;
use sync::IrqSpinLock;

use crate::cpu;
use crate::cpu::layout::phys_to_virt;
#[cfg(target_os = "none")]
pub use early::{AP_TRAMPOLINE, EarlyFrames, free_boot_tables, init};
#[cfg(not(target_os = "none"))]
pub(crate) use host::start as start_host;

/// Orders go from 0 to `ORDERS - 1`: the largest block is 64 MiB.
const ORDERS: usize = 15;
/// Order of a 2 MiB page.
pub const LARGE_PAGE_ORDER: usize = 9;
/// Frames in a 2 MiB page.
pub const LARGE_PAGE_FRAMES: usize = 1 << LARGE_PAGE_ORDER;

const FREE_BLOCK: u32 = 0x8000_0000;
const NOT_RAM: u32 = u32::MAX;
/// End of a free list.
const NIL: u64 = u64::MAX;

/// One frame, with the reference to it that this handle owns: `clone` adds a reference, `drop`
/// gives one back.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(u64);

impl Frame {
    /// The frame's memory, in the direct map.
    pub fn as_ptr(&self) -> *mut u8 {
        phys_to_virt(self.0)
    }

    /// Lets go of the handle and keeps its reference, to be taken up by [`dec`].
    pub fn into_raw(self) -> u64 {
        core::mem::ManuallyDrop::new(self).0
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        inc(self.0);
        Self(self.0)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        dec(self.0);
    }
}

/// How much memory there is, in frames.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// All RAM that the memory map names.
    pub total: usize,
    /// Of these, free.
    pub free: usize,
}

/// Links of a free block, in its first bytes; physical addresses.
#[repr(C)]
struct Links {
    next: u64,
    previous: u64,
}

struct Buddy {
    heads: [u64; ORDERS],
}

/// Guards all free memory but that of the CPUs' stacks; no other lock is taken while it is held.
static BUDDY: IrqSpinLock<Buddy> = IrqSpinLock::new(Buddy { heads: [NIL; ORDERS] });
static STATES: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
static STATES_LEN: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);
/// Frames on the lists. Those on the CPUs' stacks are free too.
static FREE: AtomicUsize = AtomicUsize::new(0);

fn states() -> &'static [AtomicU32] {
    let table = STATES.load(Ordering::Acquire);
    if table.is_null() {
        return &[];
    }
    // SAFETY: `init` stored the length first; the table is never freed.
    unsafe { slice::from_raw_parts(table, STATES_LEN.load(Ordering::Relaxed)) }
}

/// State of the frame at `phys`; `None` beyond the end of memory.
fn state(phys: u64) -> Option<&'static AtomicU32> {
    states().get((phys / PAGE_SIZE as u64) as usize)
}

impl Buddy {
    fn links(phys: u64) -> *mut Links {
        phys_to_virt(phys)
    }

    fn push(&mut self, phys: u64, order: usize) {
        let head = self.heads[order];
        // SAFETY: the block is free, so its memory is ours; so is that of the list's head.
        unsafe {
            Self::links(phys).write(Links { next: head, previous: NIL });
            if head != NIL {
                (*Self::links(head)).previous = phys;
            }
        }
        self.heads[order] = phys;
        if let Some(state) = state(phys) {
            state.store(FREE_BLOCK + order as u32, Ordering::Relaxed);
        }
    }

    fn remove(&mut self, phys: u64, order: usize) {
        // SAFETY: the block is on the list of its order, so it and its neighbours are free.
        unsafe {
            let Links { next, previous } = Self::links(phys).read();
            if next != NIL {
                (*Self::links(next)).previous = previous;
            }
            if previous == NIL {
                self.heads[order] = next;
            } else {
                (*Self::links(previous)).next = next;
            }
        }
        if let Some(state) = state(phys) {
            state.store(0, Ordering::Relaxed);
        }
    }

    /// Takes a block off the lists.
    fn take(&mut self, order: usize) -> Option<u64> {
        let from = (order..ORDERS).find(|&o| self.heads[o] != NIL)?;
        let phys = self.heads[from];
        self.remove(phys, from);
        for half in (order..from).rev() {
            self.push(phys + (PAGE_SIZE << half) as u64, half);
        }
        Some(phys)
    }

    /// Puts a block whose frames all have state 0 on the lists, joined with its free neighbours.
    fn give(&mut self, mut phys: u64, mut order: usize) {
        while order + 1 < ORDERS {
            let buddy = phys ^ (PAGE_SIZE << order) as u64;
            match state(buddy) {
                Some(state) if state.load(Ordering::Relaxed) == FREE_BLOCK + order as u32 => {
                    self.remove(buddy, order);
                    phys = phys.min(buddy);
                    order += 1;
                }
                _ => break,
            }
        }
        self.push(phys, order);
    }

    /// As [`Self::take`], and as [`Self::give`], counted.
    fn alloc(&mut self, order: usize) -> Option<u64> {
        let phys = self.take(order)?;
        FREE.fetch_sub(1 << order, Ordering::Relaxed);
        Some(phys)
    }

    /// Frees the frames of `range` in blocks as large as alignment allows.
    fn free_range(&mut self, range: PhysRange) {
        let mut phys = range.start;
        while phys < range.end {
            let frames = (range.end - phys) / PAGE_SIZE as u64;
            let frame = phys / PAGE_SIZE as u64;
            let order = (frame.trailing_zeros().min(frames.ilog2()) as usize).min(ORDERS - 1);
            FREE.fetch_add(1 << order, Ordering::Relaxed);
            self.give(phys, order);
            phys += (PAGE_SIZE << order) as u64;
        }
    }
}

/// A free frame, its content unspecified.
pub fn alloc() -> Option<Frame> {
    alloc_order(0).map(Frame)
}

/// A block, without regard to what other CPUs keep.
fn take(order: usize) -> Option<u64> {
    if order == 0 {
        return per_cpu::take();
    }
    BUDDY.lock().alloc(order)
}

/// A free frame filled with zeros.
pub fn alloc_zeroed() -> Option<Frame> {
    let frame = alloc()?;
    // SAFETY: the frame is ours alone.
    unsafe { frame.as_ptr().write_bytes(0, PAGE_SIZE) };
    Some(frame)
}

/// `2^order` frames in one piece, aligned to their size: the physical address of the first. Each
/// frame has one reference, and may be given back alone with [`dec`] or together with
/// [`free_order`].
pub fn alloc_order(order: usize) -> Option<u64> {
    if order >= ORDERS {
        return None;
    }
    let phys = take(order).or_else(|| {
        per_cpu::drain();
        take(order)
    })?;
    set_states(phys, 1 << order, 1);
    Some(phys)
}

/// `frames` frames in one piece, aligned to the next power of two; each has one reference.
pub fn alloc_contiguous(frames: usize) -> Option<u64> {
    let order = frames.checked_next_power_of_two()?.trailing_zeros() as usize;
    let phys = alloc_order(order)?;
    let end = phys + (PAGE_SIZE << order) as u64;
    free_frames(PhysRange { start: phys + (frames * PAGE_SIZE) as u64, end });
    Some(phys)
}

/// Gives back what [`alloc_contiguous`] gave.
pub fn free_contiguous(phys: u64, frames: usize) {
    free_frames(PhysRange { start: phys, end: phys + (frames * PAGE_SIZE) as u64 });
}

fn free_frames(range: PhysRange) {
    cpu::frames_freed(range.start, (range.len() / PAGE_SIZE as u64) as usize);
    set_states(range.start, (range.len() / PAGE_SIZE as u64) as usize, 0);
    BUDDY.lock().free_range(range);
}

fn set_states(phys: u64, frames: usize, value: u32) {
    let first = (phys / PAGE_SIZE as u64) as usize;
    for state in states().get(first..first + frames).unwrap_or(&[]) {
        state.store(value, Ordering::Relaxed);
    }
}

/// Adds a reference to a frame in use.
pub fn inc(phys: u64) {
    if let Some(state) = state(phys) {
        let before = state.fetch_add(1, Ordering::Relaxed);
        debug_assert!(before != 0 && before < FREE_BLOCK, "inc of frame {phys:#x} in state {before:#x}");
    }
}

/// Gives a reference back; with the last one the frame is free. Says whether it was the last.
pub fn dec(phys: u64) -> bool {
    let Some(state) = state(phys) else { return false };
    let before = state.fetch_sub(1, Ordering::Release);
    assert!(before != 0 && before < FREE_BLOCK, "frame {phys:#x} given back once too often (state {before:#x})");
    if before != 1 {
        return false;
    }
    core::sync::atomic::fence(Ordering::Acquire);
    cpu::frames_freed(phys, 1);
    per_cpu::give(phys & !(PAGE_SIZE as u64 - 1));
    true
}

/// References to the frame at `phys`; 0 for what is free or not RAM.
pub fn refcount(phys: u64) -> u32 {
    let count = state(phys).map_or(0, |state| state.load(Ordering::Acquire));
    if count < FREE_BLOCK { count } else { 0 }
}

fn is_used(phys: u64) -> bool {
    refcount(phys) != 0
}

/// Takes over the reference that the boot holds to a frame of the payload or of a module.
///
/// # Safety
/// Called at most once for each frame, and only for frames of `arch::boot::Image::payload` or of
/// the boot modules.
pub unsafe fn adopt(phys: u64) -> Option<Frame> {
    is_used(phys).then_some(Frame(phys))
}

/// First physical address behind all memory.
pub fn end() -> u64 {
    (states().len() * PAGE_SIZE) as u64
}

/// How much memory there is and how much of it is free.
pub fn stats() -> Stats {
    Stats { total: total(), free: FREE.load(Ordering::Relaxed) + per_cpu::len() }
}

/// How many free blocks there are of each order; the last counts larger blocks as so many of its
/// own. What moves meanwhile may be counted twice or not at all.
pub fn free_blocks<const N: usize>() -> [usize; N] {
    let mut counts = [0; N];
    let orders = states().iter().filter_map(|state| match state.load(Ordering::Relaxed) {
        NOT_RAM => None,
        state => state.checked_sub(FREE_BLOCK).map(|order| order as usize),
    });
    for order in orders {
        let at = order.min(N - 1);
        counts[at] += 1 << (order - at);
    }
    counts
}

/// All RAM, in frames.
pub fn total() -> usize {
    TOTAL.load(Ordering::Relaxed)
}

/// Whether at least `frames` are free. Where there is plenty, that is seen at a glance.
#[inline]
pub fn are_free(frames: usize) -> bool {
    FREE.load(Ordering::Relaxed) >= frames || are_free_with_stacks(frames)
}

#[cold]
fn are_free_with_stacks(frames: usize) -> bool {
    stats().free >= frames
}

/// Starts the allocator: RAM is in the ranges `ram`, ascending, of which `free` are free. `table`
/// is memory for the states, one for each frame up to the end of RAM, and is never freed.
fn start(ram: &[PhysRange], free: &[PhysRange], table: *mut AtomicU32) {
    let frames = (ram.last().map_or(0, |range| range.end) / PAGE_SIZE as u64) as usize;
    STATES_LEN.store(frames, Ordering::Relaxed);
    STATES.store(table, Ordering::Release);

    set_states(0, frames, NOT_RAM);
    for range in ram {
        let frames = (range.len() / PAGE_SIZE as u64) as usize;
        set_states(range.start, frames, 1);
        TOTAL.fetch_add(frames, Ordering::Relaxed);
    }
    for range in free {
        free_frames(*range);
    }
}
