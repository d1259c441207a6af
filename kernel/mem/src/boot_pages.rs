//! The frames of the payload and of the initrd, handed over one by one.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::direct::boot_memory;
use super::frames::{self, Frame};
use super::vmalloc;
use arch::boot;
use base::addr::PAGE_SIZE;
use base::addr::PhysRange;

/// Taken once, so that no frame is given away twice.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// One archive that the loader put into memory. What was not taken when it is dropped goes to the
/// allocator.
pub struct BootPages {
    range: PhysRange,
    payload: bool,
    archive: &'static [u8],
    taken: Vec<bool>,
}

/// The payload and the first module, in the order in which they are to be unpacked. Empty on a
/// second call.
pub fn archives() -> Vec<BootPages> {
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    let modules = boot::info().modules.as_slice();
    let payload = core::iter::once((boot::Image::read().payload, true));
    let ranges = payload.chain(modules.iter().map(|range| (*range, false)));
    let pages = |(range, payload): (PhysRange, bool)| {
        // QEMU puts a module at the end of RAM, of which the firmware has kept some for itself by
        // then. That is read where it lies, and none of its frames is given away.
        let found = boot_memory(range).map(|archive| (archive, false));
        let Some((archive, reserved)) = found.or_else(|| reserved_memory(range).map(|archive| (archive, true))) else {
            base::kerr!("the archive at {:#x}, of {} bytes, cannot be read", range.start, range.len());
            return None;
        };
        let taken = vec![reserved; range.pages().count()];
        Some(BootPages { range, payload, archive, taken })
    };
    ranges.filter(|(range, _)| !range.is_empty()).filter_map(pages).collect()
}

/// What lies outside of the RAM that is ours to use.
fn reserved_memory(range: PhysRange) -> Option<&'static [u8]> {
    let len = usize::try_from(range.len()).ok()?;
    let start = vmalloc::map_device(range.start, len)?;
    // SAFETY: mapped for good, and what the loader has put there changes no more.
    Some(unsafe { core::slice::from_raw_parts(start, len) })
}

impl BootPages {
    /// The bytes. To be read no more once pages of them have begun to be written.
    pub fn bytes(&self) -> &'static [u8] {
        self.archive
    }

    /// Whether this is the image's own archive, which mkimage made.
    pub fn is_payload(&self) -> bool {
        self.payload
    }

    /// The frame that holds the page of the archive at `offset`; `None` if that is not a whole page
    /// of its own, or gone already.
    pub fn take(&mut self, offset: usize) -> Option<Frame> {
        let phys = self.range.start + offset as u64;
        if !phys.is_multiple_of(PAGE_SIZE as u64) || offset.checked_add(PAGE_SIZE)? > self.archive.len() {
            return None;
        }
        let index = ((phys - (self.range.start & !(PAGE_SIZE as u64 - 1))) / PAGE_SIZE as u64) as usize;
        self.take_index(index)
    }

    fn take_index(&mut self, index: usize) -> Option<Frame> {
        let slot = self.taken.get_mut(index).filter(|taken| !**taken)?;
        *slot = true;
        let phys = (self.range.start & !(PAGE_SIZE as u64 - 1)) + (index * PAGE_SIZE) as u64;
        // SAFETY: a frame of the payload or a module, and `taken` lets each go once.
        unsafe { frames::adopt(phys) }
    }
}

impl Drop for BootPages {
    fn drop(&mut self) {
        for index in 0..self.taken.len() {
            drop(self.take_index(index));
        }
    }
}
