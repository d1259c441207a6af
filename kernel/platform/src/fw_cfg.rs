//! QEMU's firmware configuration device, for what a machine without firmware tables says nowhere
//! else.
//!
//! Source: QEMU, docs/specs/fw_cfg.rst.

use arch::cpuid;
use arch::port::{inb, outw};

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;

const SIGNATURE: u16 = 0x0000;
const CPU_COUNT: u16 = 0x0005;

fn read<const N: usize>(item: u16) -> [u8; N] {
    // SAFETY: these ports are the device's; where there is none, reads give all ones.
    unsafe {
        outw(SELECTOR, item);
        core::array::from_fn(|_| inb(DATA))
    }
}

/// How many CPUs the machine has; `None` where there is no such device.
pub fn cpu_count() -> Option<u32> {
    let is_qemu = cpuid::is_virtual() && read(SIGNATURE) == *b"QEMU";
    is_qemu.then(|| u16::from_le_bytes(read(CPU_COUNT)).into())
}
