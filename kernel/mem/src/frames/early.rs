//! Free memory before the allocator is up.

use core::sync::atomic::AtomicU32;

use arch::boot::{self, BootInfo, List};
use arch::layout::{self, phys_to_virt};
use base::addr::{PAGE_SIZE, PhysRange};

use super::{dec, start};

/// The boot page tables show this much memory; early frames come from below.
const EARLY_LIMIT: u64 = 1 << 30;
/// Page kept for the start code of further CPUs, which begin in real mode below 1 MiB.
pub const AP_TRAMPOLINE: u64 = 0x8000;

/// Room for the memory map and for what each reserved range splits off.
const EARLY_RANGES: usize = 160;

/// The free memory before the allocator is up: frames are cut off and never given back.
pub struct EarlyFrames {
    ranges: List<PhysRange, EARLY_RANGES>,
}

impl EarlyFrames {
    /// All RAM but page 0, the trampoline, the kernel, the payload and the modules.
    pub fn new(boot: &BootInfo) -> Self {
        let mut early = Self { ranges: List::new(PhysRange::default()) };
        for range in boot.memory.as_slice() {
            early.ranges.push(*range);
        }
        let page = PAGE_SIZE as u64;
        early.reserve(PhysRange { start: 0, end: page });
        early.reserve(PhysRange { start: AP_TRAMPOLINE, end: AP_TRAMPOLINE + page });
        early.reserve(layout::kernel_image());
        early.reserve(boot::Image::read().payload);
        for module in boot.modules.as_slice() {
            early.reserve(*module);
        }
        early
    }

    /// Takes `hole`, widened to whole pages, out of the free ranges.
    fn reserve(&mut self, hole: PhysRange) {
        if hole.is_empty() {
            return;
        }
        let page = PAGE_SIZE as u64;
        let hole = PhysRange { start: hole.start & !(page - 1), end: hole.end.next_multiple_of(page) };
        let mut rest: List<PhysRange, EARLY_RANGES> = List::new(PhysRange::default());
        for range in self.ranges.as_slice() {
            let below = PhysRange { start: range.start, end: range.end.min(hole.start) };
            let above = PhysRange { start: range.start.max(hole.end), end: range.end };
            for part in [below, above] {
                if !part.is_empty() {
                    rest.push(part);
                }
            }
        }
        self.ranges = rest;
    }

    /// Cuts `frames` zeroed frames off the largest range below [`EARLY_LIMIT`].
    pub fn alloc(&mut self, frames: usize) -> Option<u64> {
        let size = (frames * PAGE_SIZE) as u64;
        let low_len = |range: &PhysRange| range.end.min(EARLY_LIMIT).saturating_sub(range.start);
        let range = self.ranges.as_mut_slice().iter_mut().max_by_key(|range| low_len(range))?;
        if low_len(range) < size {
            return None;
        }
        let phys = range.start;
        range.start += size;
        // SAFETY: free memory, mapped by the boot page tables and by ours.
        unsafe { phys_to_virt::<u8>(phys).write_bytes(0, size as usize) };
        Some(phys)
    }
}

/// Starts the allocator with what `early` has left. The direct map is up.
pub fn init(boot: &BootInfo, mut early: EarlyFrames) {
    let end = boot.memory.as_slice().last().map_or(0, |range| range.end);
    let frames = (end / PAGE_SIZE as u64) as usize;
    let table = early.alloc((frames * size_of::<AtomicU32>()).div_ceil(PAGE_SIZE)).expect("no room for the frame table");
    start(boot.memory.as_slice(), early.ranges.as_slice(), phys_to_virt(table));
}

/// Gives back the page tables that CPUs start with: to be called when none will start any more.
pub fn free_boot_tables() {
    for phys in layout::boot_tables().pages() {
        dec(phys);
    }
}
