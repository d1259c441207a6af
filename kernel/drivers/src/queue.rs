//! Queues and buffers in memory that devices find.

use arrayvec::ArrayVec;
use virtio_drivers::transport::{SomeTransport, Transport};
use virtio_drivers::{Error, PAGE_SIZE};

use super::virtqueue::{Rings, SplitQueue};
use mem::{frames, phys_to_virt, physical_pieces};

/// Sets queue `index` of a device up, with `N` descriptors. Its memory is the device's for good.
pub fn new_queue<const N: usize>(
    transport: &mut SomeTransport<'static>,
    index: u16,
    event_idx: bool,
) -> Result<SplitQueue<N>, Error> {
    if transport.max_queue_size(index) < N as u32 {
        return Err(Error::InvalidParam);
    }
    let pages = size_of::<Rings<N>>().div_ceil(PAGE_SIZE);
    let phys = frames::alloc_contiguous(pages).ok_or(Error::DmaError)?;
    let memory = phys_to_virt::<u8>(phys);
    // SAFETY: the frames are ours, for good, and large enough; rings of zeroes are valid.
    let rings: &'static Rings<N> = unsafe {
        memory.write_bytes(0, pages * PAGE_SIZE);
        &*memory.cast()
    };
    let [descriptors, available, used] = Rings::<N>::PARTS.map(|offset| phys + offset as u64);
    transport.queue_set(index, N as u32, descriptors, available, used);
    Ok(SplitQueue::new(rings, event_idx))
}

/// Buffers as descriptors name them: each piece of physical memory that they lie in, of which there
/// are up to `MAX`.
pub fn located<'a, const MAX: usize>(buffers: impl IntoIterator<Item = &'a [u8]>) -> ArrayVec<(u64, u32), MAX> {
    let mut pieces: ArrayVec<(u64, u32), MAX> = ArrayVec::new();
    for buffer in buffers {
        pieces.extend(physical_pieces(buffer).map(|(at, len)| (at, len as u32)).take(pieces.remaining_capacity()));
    }
    pieces
}
