//! What the transports of `virtio-drivers` need of the kernel: a place for a PCI device's
//! registers. Queues and buffers are our own (`virtqueue`, `queue`).

use core::ptr::NonNull;

use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use mem::vmalloc;

/// The kernel's side of `virtio-drivers`.
#[derive(Debug)]
pub struct SkiffHal;

/// No code of the crate that we call asks for memory: that is for its own queues.
const OWN_QUEUES: &str = "the queues of virtio-drivers are not used";

// SAFETY: device registers stay mapped for good, and nothing else is given out.
unsafe impl Hal for SkiffHal {
    fn dma_alloc(_: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        unreachable!("{OWN_QUEUES}")
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        unreachable!("{OWN_QUEUES}")
    }

    unsafe fn mmio_phys_to_virt(phys: PhysAddr, size: usize) -> NonNull<u8> {
        let mapped = vmalloc::map_device(phys, size).and_then(NonNull::new);
        // The trait has no way to report this, and it can only happen at boot.
        mapped.expect("no room to map device registers")
    }

    unsafe fn share(_: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        unreachable!("{OWN_QUEUES}")
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {
        unreachable!("{OWN_QUEUES}")
    }
}
