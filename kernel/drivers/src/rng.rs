//! virtio-rng: entropy from the host, taken once at boot. Source: virtio 1.2, 5.4.

use alloc::boxed::Box;

use bitflags::bitflags;
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error, Result};

use super::queue::{located, new_queue};
use super::virtqueue::SplitQueue;
use super::{Device, answer_in_time};
use platform::rng;

const REQUEST_QUEUE: u16 = 0;
/// Bytes asked for: a whole seed.
const SEED_SIZE: usize = 32;
/// Descriptors: the seed may lie across a page's end.
const QUEUE_SIZE: usize = 2;

bitflags! {
    /// The features that we take.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const VERSION_1 = 1 << 32;
    }
}

/// Mixes the device's entropy into the kernel's generator, and lets go of the device.
pub(super) fn init(device: Device) {
    match take_seed(device) {
        Ok((seed, len)) => rng::add_entropy(seed.get(..len).unwrap_or(&seed[..])),
        Err(error) => kwarn!("virtio-rng does not start: {error}"),
    }
}

/// What the device gives, and how many bytes of it.
fn take_seed(device: Device) -> Result<(Box<[u8; SEED_SIZE]>, usize)> {
    let (mut transport, _) = device.split();
    transport.begin_init(Features::all());
    let mut queue: SplitQueue<QUEUE_SIZE> = new_queue(&mut transport, REQUEST_QUEUE, false)?;
    queue.quiet();
    transport.finish_init();
    let seed = Box::new([0; SEED_SIZE]);
    // SAFETY: nobody looks at the seed until it comes back, and where it does not, it is never
    // freed.
    unsafe { queue.add(located::<QUEUE_SIZE>([&seed[..]]).into_iter(), true) }.ok_or(Error::QueueFull)?;
    transport.notify(REQUEST_QUEUE);
    match answer_in_time(&mut queue) {
        Some((_, len)) => Ok((seed, len as usize)),
        None => {
            Box::leak(seed);
            Err(Error::NotReady)
        }
    }
}
