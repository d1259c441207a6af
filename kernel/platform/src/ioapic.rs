//! The I/O APICs: they turn the lines of devices into interrupt vectors.
//!
//! Source: 82093AA datasheet; ACPI 6.5, 5.2.12 for what the MADT says of them.

use super::acpi::{self, IoApic};
use arch::{apic, vectors};
use mem::vmalloc;
use sync::IrqSpinLock;

/// Where the I/O APIC is when no table says so; QEMU's microvm has its first there (its second, if
/// any, follows at 24).
const DEFAULT_IO_APIC: IoApic = IoApic { phys: 0xfec0_0000, gsi_base: 0 };

const SELECT: usize = 0x00;
const WINDOW: usize = 0x10;
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;

const MASKED: u32 = 1 << 16;
const LEVEL_TRIGGERED: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;
const NONE: u32 = u32::MAX;

/// Register select and window are two accesses: one user at a time.
static ACCESS: IrqSpinLock<()> = IrqSpinLock::new(());

/// One I/O APIC, mapped.
struct Registers(*mut u8);

impl Registers {
    fn read(&self, register: u32) -> u32 {
        // SAFETY: `map` mapped the registers; the lock is held.
        unsafe {
            self.0.add(SELECT).cast::<u32>().write_volatile(register);
            self.0.add(WINDOW).cast::<u32>().read_volatile()
        }
    }

    fn write(&self, register: u32, value: u32) {
        // SAFETY: as in `read`.
        unsafe {
            self.0.add(SELECT).cast::<u32>().write_volatile(register);
            self.0.add(WINDOW).cast::<u32>().write_volatile(value);
        }
    }

    /// Lines of this I/O APIC; 0 when nothing is there.
    fn lines(&self) -> u32 {
        match self.read(VERSION) {
            NONE => 0,
            version => (version >> 16 & 0xff) + 1,
        }
    }
}

/// Routes global system interrupt `gsi` to `vector` on the CPU with `apic_id`, and unmasks it.
/// False when there is no such line.
fn route(gsi: u32, vector: u8, apic_id: u32) -> bool {
    let madt = acpi::madt();
    let found: &[IoApic] = if madt.io_apics.as_slice().is_empty() { &[DEFAULT_IO_APIC] } else { madt.io_apics.as_slice() };
    let Some(io_apic) = found.iter().filter(|io_apic| io_apic.gsi_base <= gsi).max_by_key(|io_apic| io_apic.gsi_base) else {
        return false;
    };
    let Some(registers) = vmalloc::map_device(io_apic.phys, 0x20).map(Registers) else { return false };
    let _guard = ACCESS.lock();
    let line = gsi - io_apic.gsi_base;
    if line >= registers.lines() {
        return false;
    }
    let active_low = madt.active_low(gsi);
    let polarity = if active_low { ACTIVE_LOW } else { 0 };
    let entry = REDIRECTION + line * 2;
    registers.write(entry, MASKED);
    registers.write(entry + 1, apic_id << 24);
    registers.write(entry, u32::from(vector) | LEVEL_TRIGGERED | polarity);
    true
}

/// Lets `handler` be called as long as global system interrupt `gsi` is raised (level-triggered).
/// False when the machine has no such line, or no vector is left.
pub fn connect(gsi: u32, handler: fn()) -> bool {
    vectors::allocate(handler).is_some_and(|vector| route(gsi, vector, apic::id()))
}
