//! virtio-rng: entropy from the host, taken once at boot.

use virtio_drivers::device::rng::VirtIORng;

use super::{Device, SkiffHal};
use crate::platform::rng;

/// Bytes asked for: a whole seed.
const SEED_SIZE: usize = 32;

/// Mixes the device's entropy into the kernel's generator, and lets go of the device.
pub(super) fn init(device: Device) {
    let (transport, _) = device.split();
    let mut seed = [0; SEED_SIZE];
    let taken = VirtIORng::<SkiffHal, _>::new(transport).and_then(|mut device| device.request_entropy(&mut seed));
    match taken {
        Ok(len) => rng::add_entropy(seed.get(..len).unwrap_or(&seed)),
        Err(error) => kwarn!("virtio-rng does not start: {error}"),
    }
}
