//! virtio over MMIO: the command line says where the devices are.
//!
//! Source: Documentation/admin-guide/kernel-parameters.txt,
//! `virtio_mmio.device=<size>@<base>:<irq>[:<id>]`; virtio 1.2, 4.2.

use alloc::vec::Vec;
use core::ptr::NonNull;

use virtio_drivers::transport::SomeTransport;
use virtio_drivers::transport::mmio::MmioTransport;

use super::{Device, Interrupt};
use arch::boot;
use mem::vmalloc;

/// Device type of a slot with nothing in it.
const DEVICE_ID_OFFSET: usize = 8;

/// Where a device is.
struct Slot {
    size: usize,
    base: u64,
    gsi: u32,
}

/// The devices on the command line; empty slots are passed over.
pub(super) fn probe() -> Vec<Device> {
    boot::options("virtio_mmio.device")
        .filter_map(|value| {
            let slot = parse(value);
            if slot.is_none() {
                kwarn!("virtio_mmio.device={value}: expected SIZE@BASE:IRQ");
            }
            open(slot?)
        })
        .collect()
}

fn open(slot: Slot) -> Option<Device> {
    let registers = NonNull::new(vmalloc::map_device(slot.base, slot.size)?)?;
    // SAFETY: mapped just now; reading the device type has no effect.
    let device_id = unsafe { registers.add(DEVICE_ID_OFFSET).cast::<u32>().read_volatile() };
    if device_id == 0 {
        return None;
    }
    // SAFETY: mapped for good, and the command line says that a virtio device is there; magic and
    // version are checked.
    match unsafe { MmioTransport::new(registers.cast(), slot.size) } {
        Ok(transport) => Some(Device { transport: SomeTransport::Mmio(transport), interrupt: Interrupt::Line(slot.gsi) }),
        Err(error) => {
            kwarn!("virtio-mmio device at {:#x}: {error}", slot.base);
            None
        }
    }
}

fn parse(value: &str) -> Option<Slot> {
    let (size, rest) = value.split_once('@')?;
    let mut fields = rest.split(':');
    let base = number(fields.next()?)?;
    let gsi = number(fields.next()?)?.try_into().ok()?;
    Some(Slot { size: number(size)?.try_into().ok()?, base, gsi })
}

/// A number as Linux's `memparse` takes it: decimal or 0x, with K, M or G after it.
fn number(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 10),
        b'm' | b'M' => (&text[..text.len() - 1], 20),
        b'g' | b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    value.checked_mul(1 << shift)
}
