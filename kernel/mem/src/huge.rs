//! Frames of large pages: 512 at a time, shared between address spaces at the price of one count.
//!
//! Each frame of a large page has one reference, which all large leaves that map the page own
//! together; how many they are is the page's own count. So fork(2) copies a large leaf without a
//! look at its frames. An address space that splits its leaf gets a reference of its own to each
//! frame; whoever was the last with a large leaf gives the common references back.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

use spin::Once;

use super::size::{LARGE_PAGE as HUGE_SIZE, PAGE as PAGE_SIZE};
use super::{frames, user_page};

/// Large leaves that map each 2 MiB of physical memory.
static LEAVES: Once<Box<[AtomicU32]>> = Once::new();

/// Large pages that large leaves map.
static PAGES: AtomicUsize = AtomicUsize::new(0);

/// Bytes in large pages (`AnonHugePages` of `/proc/meminfo`).
pub fn bytes() -> u64 {
    PAGES.load(Ordering::Relaxed) as u64 * HUGE_SIZE
}

fn leaves(phys: u64) -> Option<&'static AtomicU32> {
    let table = LEAVES.call_once(|| {
        let end = frames::end().div_ceil(HUGE_SIZE) as usize;
        (0..end).map(|_| AtomicU32::new(0)).collect()
    });
    table.get((phys / HUGE_SIZE) as usize)
}

fn frames_of(phys: u64) -> impl Iterator<Item = u64> {
    (phys..phys + HUGE_SIZE).step_by(PAGE_SIZE as usize)
}

/// 2 MiB of zeroes for one large leaf. `asked`: the program wants large pages here (madvise(2)), so
/// that less has to be free.
pub fn alloc(asked: bool) -> Option<u64> {
    let total = frames::total();
    // Large pages are a luxury: never with the last of memory, which may be needed where nothing
    // smaller will do.
    let keep = if asked { total / 4 } else { total / 8 * 3 };
    if !frames::are_free(keep + frames::LARGE_PAGE_FRAMES) {
        return None;
    }
    let phys = frames::alloc_order(frames::LARGE_PAGE_ORDER)?;
    leaves(phys)?.store(1, Ordering::Relaxed);
    PAGES.fetch_add(1, Ordering::Relaxed);
    user_page::zero(phys, HUGE_SIZE);
    Some(phys)
}

/// One large leaf more maps the page.
pub fn get(phys: u64) {
    if let Some(count) = leaves(phys) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// One large leaf less.
pub fn put(phys: u64) {
    let last = leaves(phys).is_some_and(|count| count.fetch_sub(1, Ordering::Release) == 1);
    if !last {
        return;
    }
    fence(Ordering::Acquire);
    PAGES.fetch_sub(1, Ordering::Relaxed);
    // A frame with one reference has it from here, and nobody else can add one.
    if frames_of(phys).all(|frame| frames::refcount(frame) == 1) {
        frames::free_contiguous(phys, frames::LARGE_PAGE_FRAMES);
    } else {
        frames_of(phys).for_each(user_page::put);
    }
}

/// Takes a reference to each frame, for 512 small leaves that are to take a large one's place; that
/// is then [`put`]. Before they do, or a thread that meets one of them would think the frame its
/// own.
pub fn hold_frames(phys: u64) {
    frames_of(phys).for_each(user_page::get);
}

/// Takes that back.
pub fn release_frames(phys: u64) {
    frames_of(phys).for_each(user_page::put);
}

/// Whether a single large leaf and nothing else has the page's frames.
pub fn is_exclusive(phys: u64) -> bool {
    users(phys) == 1 && frames_of(phys).all(|frame| frames::refcount(frame) == 1)
}

/// How many large leaves map the page.
pub fn users(phys: u64) -> u32 {
    leaves(phys).map_or(0, |count| count.load(Ordering::Acquire))
}
