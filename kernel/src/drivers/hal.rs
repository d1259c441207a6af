//! Memory for virtio devices: all of the kernel's heap and every frame is in the direct map, so a physical address is a
//! subtraction away, and devices see the same memory.

use core::ptr::NonNull;

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::mm::{frames, phys_to_virt, virt_to_phys, vmalloc};

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

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        virt_to_phys(buffer.as_ptr())
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
