//! The machine round the processors: what its firmware tells of it, its interrupt lines, its other
//! CPUs, its sources of chance, and how it is switched off.
// There is no such machine on a host.
#![cfg(target_os = "none")]
#![no_std]

#[macro_use]
extern crate base;

mod acpi;
mod fw_cfg;
pub mod ioapic;
mod mp_table;
pub mod poweroff;
pub mod rng;
pub mod smp;
mod tsc_sync;

use arch::apic;
use mem::{PAGE_SIZE, vmalloc};

/// Sets up this CPU's local APIC.
pub fn init_apic() {
    apic::init(|phys| vmalloc::map_device(phys, PAGE_SIZE));
}
