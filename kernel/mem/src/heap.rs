//! The kernel heap.
//!
//! Small allocations come from the stock of the CPU ([`magazine`]), or else from talc, which takes
//! memory from the frame allocator in blocks and gives empty blocks back. Large ones are whole
//! frames, straight from the frame allocator. Where it has none that lie side by side, single
//! frames are mapped side by side ([`pieces`]): then an allocation is not one piece of physical
//! memory, which matters to who gives it to a device.
//!
//! Programs leave the heap a reserve ([`user_page`]), and large allocations, of which most can
//! fail, leave small ones a part of it. When the heap begins to use it up, the out-of-memory killer
//! is called for.

mod magazine;

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use talc::DefaultBinning;
use talc::base::Talc;
use talc::source::GlobalAllocSource;

pub use super::shortage::{check, is_short};
use super::vmalloc::pieces;
use super::{frames, user_page};
use arch::hook::Hook;
use arch::layout::{phys_to_virt, virt_to_phys};
use base::addr::PAGE_SIZE;
use magazine::Class;
use sync::IrqSpinLock;

/// What talc takes from the frame allocator at a time; small because the first block counts on a
/// small machine.
const BLOCK_SIZE: usize = 64 << 10;
/// Allocations from here on are whole frames.
const LARGE_ALLOCATION: usize = 32 << 10;

/// Size of the last allocation if it failed, else 0.
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// Who is called when the heap begins to use up what programs left it.
static SHORTAGE: Hook = Hook::new();

/// Has `call` called when the heap begins to use up what programs left it. It must not allocate.
pub fn set_shortage_hook(call: fn()) {
    SHORTAGE.set(call);
}

/// The size of the last allocation, if it failed.
pub fn failed_allocation() -> Option<usize> {
    match FAILED.load(Ordering::Relaxed) {
        0 => None,
        size => Some(size),
    }
}

/// Whether a large allocation leaves small ones enough.
fn may_be_large(size: usize) -> bool {
    frames::are_free(user_page::reserve() as usize / 4 + size.div_ceil(PAGE_SIZE))
}

/// Whole frames as a Rust allocator.
#[derive(Debug)]
struct Frames;

// SAFETY: blocks of the frame allocator are disjoint, live until freed, and aligned to their size
// rounded up.
unsafe impl GlobalAlloc for Frames {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let frames = layout.size().max(layout.align()).div_ceil(PAGE_SIZE);
        let left = user_page::reserve() as usize;
        if !frames::are_free(left / 2 + frames) {
            SHORTAGE.call();
        }
        match frames::alloc_contiguous(frames) {
            Some(phys) => phys_to_virt(phys),
            // No such piece is aligned to more than a page.
            None if layout.align() <= PAGE_SIZE => pieces::alloc(frames).unwrap_or(ptr::null_mut()),
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let frames = layout.size().max(layout.align()).div_ceil(PAGE_SIZE);
        if pieces::owns(memory) {
            // SAFETY: the caller's promise.
            return unsafe { pieces::free(memory, frames) };
        }
        frames::free_contiguous(virt_to_phys(memory), frames);
    }
}

/// The kernel's allocator.
struct Heap {
    /// Guards the small allocations; the frame allocator's lock is taken while it is held.
    small: IrqSpinLock<Talc<GlobalAllocSource<Frames>, DefaultBinning>>,
}

impl Heap {
    /// A small block.
    fn allocate(&self, layout: Layout) -> *mut u8 {
        let class = Class::of(layout);
        if let Some(block) = class.and_then(magazine::take) {
            return block.as_ptr();
        }
        let layout = class.map_or(layout, Class::layout);
        // SAFETY: the size is not 0: of a class none is, and elsewhere the caller promises it.
        unsafe { self.small.lock().allocate(layout) }.map_or(ptr::null_mut(), |memory| memory.as_ptr())
    }
}

// SAFETY: magazines, talc and the frame allocator keep the contract; which of them has an
// allocation, and under which layout, depends on its layout alone.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let memory = if layout.size() >= LARGE_ALLOCATION {
            if may_be_large(layout.size()) {
                // SAFETY: the caller's promise.
                unsafe { Frames.alloc(layout) }
            } else {
                ptr::null_mut()
            }
        } else {
            self.allocate(layout)
        };
        if memory.is_null() {
            FAILED.store(layout.size(), Ordering::Relaxed);
        } else if FAILED.load(Ordering::Relaxed) != 0 {
            FAILED.store(0, Ordering::Relaxed);
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if layout.size() >= LARGE_ALLOCATION {
            // SAFETY: the caller's promise.
            return unsafe { Frames.dealloc(memory, layout) };
        }
        let class = Class::of(layout);
        if let Some(class) = class {
            // SAFETY: the caller's promise.
            if unsafe { magazine::keep(class, memory) } {
                return;
            }
        }
        // SAFETY: the caller's promise; the layout is the one that `allocate` used.
        unsafe { self.small.lock().deallocate(memory, class.map_or(layout, Class::layout)) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the size is valid for the alignment by the caller's promise.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let (old, new) = (Class::of(layout), Class::of(wanted));
        if old.is_some() && old == new {
            return memory;
        }
        let both_small = layout.size() < LARGE_ALLOCATION && size < LARGE_ALLOCATION;
        if both_small && old.is_none() && new.is_none() {
            // SAFETY: the caller's promise; both sizes are talc's.
            if unsafe { self.small.lock().try_realloc_in_place(memory, layout, size) } {
                return memory;
            }
        }
        // SAFETY: the caller's promise.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: two live allocations, both at least this long.
            unsafe {
                ptr::copy_nonoverlapping(memory, new, layout.size().min(size));
                self.dealloc(memory, layout);
            }
        }
        new
    }
}

#[cfg_attr(target_os = "none", global_allocator)]
// SAFETY: `Frames` may be called under the lock: it never allocates from the heap.
static HEAP: Heap = Heap { small: IrqSpinLock::new(Talc::new(GlobalAllocSource::with_block_size(Frames, BLOCK_SIZE))) };
