//! The allocator of the machine that tests have.

use core::sync::atomic::AtomicU32;

use alloc::boxed::Box;
use alloc::vec::Vec;
use base::addr::{PAGE_SIZE, PhysRange};

/// Starts it with so many frames, the first of which nobody gets.
pub(crate) fn start(frames: usize) {
    let states: Vec<AtomicU32> = (0..frames).map(|_| AtomicU32::new(0)).collect();
    let all = PhysRange { start: 0, end: (frames * PAGE_SIZE) as u64 };
    let free = PhysRange { start: PAGE_SIZE as u64, ..all };
    super::start(&[all], &[free], Box::leak(states.into_boxed_slice()).as_mut_ptr());
}
