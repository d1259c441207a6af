//! Memory for virtio devices: nearly all of the kernel's heap and every frame is in the direct map, so a physical address is a
//! subtraction away, and devices see the same memory. What is not in one piece is copied.

use core::ptr::NonNull;

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::mm::{frames, phys_to_virt, physical_pieces, virt_to_phys, vmalloc};

/// The kernel's side of `virtio-drivers`.
#[derive(Debug)]
pub struct SkiffHal;

// SAFETY: DMA memory is whole frames, zeroed, unaliased until freed; device registers stay mapped for good.
unsafe impl Hal for SkiffHal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let Some(phys) = frames::alloc_contiguous(pages) else { return (0, NonNull::dangling()) };
        let memory = phys_to_virt::<u8>(phys);
        // SAFETY: the frames are ours.
        unsafe { memory.write_bytes(0, pages * PAGE_SIZE) };
        (phys, NonNull::new(memory).unwrap_or(NonNull::dangling()))
    }

    unsafe fn dma_dealloc(phys: PhysAddr, _: NonNull<u8>, pages: usize) -> i32 {
        frames::free_contiguous(phys, pages);
        0
    }

    unsafe fn mmio_phys_to_virt(phys: PhysAddr, size: usize) -> NonNull<u8> {
        let mapped = vmalloc::map_device(phys, size).and_then(NonNull::new);
        // The trait has no way to report this, and it can only happen at boot.
        mapped.expect("no room to map device registers")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        // SAFETY: the buffer is valid by the caller's promise.
        let bytes = unsafe { buffer.as_ref() };
        if physical_pieces(bytes).nth(1).is_none() {
            return virt_to_phys(buffer.as_ptr());
        }
        let frames = frames::alloc_contiguous(bytes.len().div_ceil(PAGE_SIZE));
        // The trait has no way to report this.
        let phys = frames.expect("no memory in one piece for a device");
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: the frames are ours and long enough.
            unsafe { phys_to_virt::<u8>(phys).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
        phys
    }

    unsafe fn unshare(phys: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        if phys == virt_to_phys(buffer.as_ptr()) {
            return;
        }
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: the frames are those that `share` made for this buffer, and the device is done with them.
            unsafe { phys_to_virt::<u8>(phys).copy_to_nonoverlapping(buffer.as_ptr().cast(), buffer.len()) };
        }
        frames::free_contiguous(phys, buffer.len().div_ceil(PAGE_SIZE));
    }
}
