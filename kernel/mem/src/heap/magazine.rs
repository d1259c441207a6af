//! Each CPU's small stock of free blocks, by size: most allocations and releases meet no lock and
//! no search.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use arch::irq;
use arch::percpu::{MAX_CPUS, this_cpu};

/// Sizes are rounded up to a multiple of this; it is also the alignment that every block has.
const GRAIN: usize = 16;
/// Larger blocks are not kept.
const LARGEST: usize = 1024;
const CLASSES: usize = 20;
/// How much memory the blocks of one size may take, and how many they may be.
const MAX_BYTES: usize = 4096;
const MAX_BLOCKS: usize = 32;

/// The sizes of blocks: each 16 bytes up to 128, then four to each power of two.
static SIZES: [u16; CLASSES] = {
    let mut sizes = [0; CLASSES];
    let mut class = 0;
    let mut size: usize = 0;
    while class < CLASSES {
        size += if size < 128 { GRAIN } else { (1 << size.ilog2()) / 4 };
        sizes[class] = size as u16;
        class += 1;
    }
    assert!(size == LARGEST);
    sizes
};

/// Which class a size has, by its number of grains.
static CLASS_OF: [u8; LARGEST / GRAIN + 1] = {
    let mut table = [0; LARGEST / GRAIN + 1];
    let mut grains = 0;
    while grains <= LARGEST / GRAIN {
        let mut class = 0;
        while (SIZES[class] as usize) < grains * GRAIN {
            class += 1;
        }
        table[grains] = class as u8;
        grains += 1;
    }
    table
};

/// A size of blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Class(u8);

impl Class {
    /// The class from which allocations of this layout come, always; `None` if they are not kept.
    #[inline]
    pub fn of(layout: Layout) -> Option<Self> {
        if layout.align() > GRAIN {
            return None;
        }
        CLASS_OF.get(layout.size().div_ceil(GRAIN)).map(|class| Self(*class))
    }

    fn index(self) -> usize {
        usize::from(self.0) % CLASSES
    }

    /// What is asked of the heap for a block of this class.
    pub fn layout(self) -> Layout {
        let size = usize::from(SIZES[self.index()]);
        // SAFETY: the alignment is a power of two, and the sizes are small.
        unsafe { Layout::from_size_align_unchecked(size, GRAIN) }
    }

    /// How many blocks are kept at most.
    fn room(self) -> usize {
        (MAX_BYTES / usize::from(SIZES[self.index()])).min(MAX_BLOCKS)
    }
}

/// Free blocks of one size; the link to the next lies in each.
#[derive(Clone, Copy)]
struct Stack {
    top: *mut *mut u8,
    len: usize,
}

#[repr(align(128))]
struct Magazine(UnsafeCell<[Stack; CLASSES]>);

// SAFETY: each CPU uses its own, with interrupts off.
unsafe impl Sync for Magazine {}

static CPUS: [Magazine; MAX_CPUS] = [const { Magazine::new() }; MAX_CPUS];

impl Magazine {
    const fn new() -> Self {
        Self(UnsafeCell::new([Stack { top: core::ptr::null_mut(), len: 0 }; CLASSES]))
    }
}

/// Calls `f` with this CPU's blocks of a class.
#[inline]
fn with<R>(class: Class, f: impl FnOnce(&mut Stack) -> R) -> R {
    let interrupts = irq::save_and_disable();
    let own = CPUS[this_cpu().id.get() as usize % MAX_CPUS].0.get();
    // SAFETY: with interrupts off nothing else runs on this CPU, and no other CPU touches its
    // blocks. `f` allocates nothing.
    let result = f(unsafe { &mut (*own)[class.index()] });
    irq::restore(interrupts);
    result
}

/// Takes a block that this CPU has kept.
#[inline]
pub fn take(class: Class) -> Option<NonNull<u8>> {
    with(class, |stack| {
        let top = NonNull::new(stack.top)?;
        // SAFETY: the block is free and kept here, so its first word is the link that `keep` wrote.
        stack.top = unsafe { top.read() }.cast();
        stack.len -= 1;
        Some(top.cast())
    })
}

/// Keeps a free block; `false` if there is no room for it.
///
/// # Safety
/// The block is of this class, and nobody uses it any more.
#[inline]
pub unsafe fn keep(class: Class, block: *mut u8) -> bool {
    with(class, |stack| {
        if stack.len >= class.room() {
            return false;
        }
        let link: *mut *mut u8 = block.cast();
        // SAFETY: the block is free, at least a grain long and aligned to one.
        unsafe { link.write(stack.top.cast()) };
        stack.top = link;
        stack.len += 1;
        true
    })
}
