//! The kernel's dynamic area: stacks with guard pages, device registers, and large allocations that
//! no free frames lie together for.
//!
//! The first GiB is for device registers, mapped once and kept. Then come stacks: each lies above
//! an unmapped guard page, so that running out of stack is a page fault and not a silent overwrite.
//! Freed stacks are kept for the next thread, up to a limit, because to make one costs page table
//! work and zeroed memory. The upper half is for [`pieces`].

pub mod pieces;

use alloc::vec::Vec;
use core::ptr;

use super::direct::{self, DYNAMIC_AREA};
use super::{frames, tlb};
use base::addr::PAGE_SIZE;
use sync::IrqSpinLock;

const PAGE: u64 = PAGE_SIZE as u64;
const DEVICES_SIZE: u64 = 1 << 30;
const STACKS: u64 = DYNAMIC_AREA + DEVICES_SIZE;
const STACKS_END: u64 = DYNAMIC_AREA + (256 << 30);
/// The area is one top-level entry, made at boot.
const AREA_END: u64 = DYNAMIC_AREA + (512 << 30);
/// Free stacks that keep their memory.
const CACHED_STACKS: usize = 16;

/// Guards the lists of this module; the locks of the page tables, frames and heap are taken while
/// it is held.
static AREA: IrqSpinLock<Area> = IrqSpinLock::new(Area {
    next_device: DYNAMIC_AREA,
    next_stack: STACKS,
    devices: Vec::new(),
    cached: Vec::new(),
    unmapped: Vec::new(),
    flushed: Vec::new(),
});

struct Area {
    next_device: u64,
    next_stack: u64,
    /// Device pages mapped so far: physical, virtual.
    devices: Vec<(u64, u64)>,
    /// Free stacks with their memory.
    cached: Vec<Slot>,
    /// Free address ranges of stacks whose memory was given back. CPUs may still have translations
    /// of them.
    unmapped: Vec<Slot>,
    /// Free address ranges of which no CPU has translations.
    flushed: Vec<Slot>,
}

/// The addresses of a stack, without its guard page.
#[derive(Clone, Copy)]
struct Slot {
    bottom: u64,
    size: u64,
}

impl Area {
    /// Takes a slot of `size` off a list.
    fn take(list: &mut Vec<Slot>, size: u64) -> Option<Slot> {
        let index = list.iter().rposition(|slot| slot.size == size)?;
        Some(list.swap_remove(index))
    }

    fn new_slot(&mut self, size: u64) -> Option<Slot> {
        let bottom = self.next_stack + PAGE;
        if STACKS_END - bottom < size {
            return None;
        }
        self.next_stack = bottom + size;
        Some(Slot { bottom, size })
    }
}

impl Slot {
    fn pages(self) -> impl Iterator<Item = u64> {
        (self.bottom..self.bottom + self.size).step_by(PAGE_SIZE)
    }

    /// Puts memory behind the slot.
    fn map(self) -> Option<()> {
        for virt in self.pages() {
            let mapped = frames::alloc().and_then(|frame| {
                let phys = frame.into_raw();
                // SAFETY: the slot is the caller's and not mapped yet; the frame is ours.
                let mapped = unsafe { direct::map_page(virt, phys, direct::MEMORY) };
                if mapped.is_none() {
                    frames::dec(phys);
                }
                mapped
            });
            if mapped.is_none() {
                self.unmap();
                return None;
            }
        }
        Some(())
    }

    /// Gives the memory behind the slot back, as far as it has any.
    fn unmap(self) {
        for virt in self.pages() {
            // SAFETY: nobody uses the stack any more.
            if let Some(phys) = unsafe { direct::unmap_page(virt) } {
                frames::dec(phys);
            }
        }
    }
}

/// A kernel stack with an unmapped page below it.
pub struct KernelStack {
    slot: Slot,
}

impl KernelStack {
    /// A stack of `size` bytes, rounded up to whole pages; `None` when memory is out. The content
    /// is unspecified.
    pub fn new(size: usize) -> Option<Self> {
        let size = size.next_multiple_of(PAGE_SIZE) as u64;
        let slot = {
            let mut area = AREA.lock();
            if let Some(slot) = Area::take(&mut area.cached, size) {
                return Some(Self { slot });
            }
            Area::take(&mut area.flushed, size)
        };
        let slot = match slot {
            Some(slot) => slot,
            None => Self::clean_slot(size)?,
        };
        if slot.map().is_none() {
            AREA.lock().unmapped.push(slot);
            return None;
        }
        Some(Self { slot })
    }

    /// An address range without memory: one that was in use, once all CPUs have forgotten what was
    /// there, or a new one.
    fn clean_slot(size: u64) -> Option<Slot> {
        let mut dirty = core::mem::take(&mut AREA.lock().unmapped);
        let start = dirty.iter().map(|slot| slot.bottom).min();
        let end = dirty.iter().map(|slot| slot.bottom + slot.size).max();
        if let (Some(start), Some(end)) = (start, end) {
            tlb::flush_kernel(start, end);
        }
        let slot = Area::take(&mut dirty, size);
        let mut area = AREA.lock();
        area.flushed.append(&mut dirty);
        slot.or_else(|| area.new_slot(size))
    }

    /// Lowest address.
    pub fn bottom(&self) -> u64 {
        self.slot.bottom
    }

    /// Address after the last byte: the initial stack pointer.
    pub fn top(&self) -> u64 {
        self.slot.bottom + self.slot.size
    }
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        {
            let mut area = AREA.lock();
            if area.cached.len() < CACHED_STACKS {
                area.cached.push(self.slot);
                return;
            }
        }
        self.slot.unmap();
        AREA.lock().unmapped.push(self.slot);
    }
}

/// Maps `len` bytes of device registers (or firmware tables) at `phys`, uncached; the mapping stays
/// for good. `None` when memory or addresses are out.
pub fn map_device(phys: u64, len: usize) -> Option<*mut u8> {
    let first = phys & !(PAGE - 1);
    let end = phys.checked_add(len as u64)?.checked_next_multiple_of(PAGE)?;
    let mut area = AREA.lock();
    if end - first == PAGE
        && let Some((_, virt)) = area.devices.iter().find(|(page, _)| *page == first)
    {
        return Some(ptr::with_exposed_provenance_mut((virt + phys - first) as usize));
    }
    let base = area.next_device;
    if STACKS - base < end - first {
        return None;
    }
    area.next_device = base + (end - first);
    for page in (first..end).step_by(PAGE_SIZE) {
        let virt = base + (page - first);
        // SAFETY: a fresh address; device memory is not Rust's.
        unsafe { direct::map_page(virt, page, direct::DEVICE)? };
        area.devices.push((page, virt));
    }
    Some(ptr::with_exposed_provenance_mut((base + phys - first) as usize))
}
