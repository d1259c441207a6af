//! Ending the virtual machine.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::acpi::{self, Register};
use arch::port::{outb, outw};
use arch::{boot, ipi, irq, percpu};
use mem::vmalloc;

/// QEMU's `isa-debug-exit`: ends QEMU with status `(value << 1) | 1`.
const ISA_DEBUG_EXIT: u16 = 0xf4;
/// PM1a control of QEMU's q35 and pc.
const QEMU_PM1A_CONTROL: u16 = 0x604;
/// Sleep enable with sleep type 0, which QEMU maps to S5.
const PM1_SLEEP_ENABLE: u16 = 1 << 13;
/// Cloud Hypervisor's sleep control register.
const CLOUD_HYPERVISOR_SLEEP_CONTROL: u16 = 0x600;
/// Sleep type 5 and sleep enable, in a sleep control register (ACPI 6.5, 4.8.3.7).
const SLEEP_CONTROL_S5: u8 = 5 << 2 | 1 << 5;
/// The keyboard controller's command port; pulsing its reset line ends Firecracker.
const I8042_COMMAND: u16 = 0x64;
const I8042_RESET: u8 = 0xfe;

/// The sleep control register, where it is in memory (QEMU's microvm); mapped ahead, because a
/// panic cannot.
static SLEEP_CONTROL: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Looks for ways to power off that have to be looked for.
pub fn init() {
    if boot::info().rsdp == 0 {
        return;
    }
    if let Some(Register::Memory(phys)) = acpi::sleep_control()
        && let Some(register) = vmalloc::map_device(phys, 1)
    {
        SLEEP_CONTROL.store(register, Ordering::Release);
    }
}

/// Powers the machine off; `status` reaches the host where the machine has a way to carry it.
pub fn poweroff(status: u8) -> ! {
    irq::disable();
    let sleep_control = SLEEP_CONTROL.load(Ordering::Acquire);
    // SAFETY: every write either ends the machine or goes to a port that nobody answers; the order
    // is from the most telling to the bluntest. The register is mapped for good.
    unsafe {
        outb(ISA_DEBUG_EXIT, status & 0x7f);
        outw(QEMU_PM1A_CONTROL, PM1_SLEEP_ENABLE);
        outb(CLOUD_HYPERVISOR_SLEEP_CONTROL, SLEEP_CONTROL_S5);
        if !sleep_control.is_null() {
            sleep_control.write_volatile(SLEEP_CONTROL_S5);
        }
        outb(I8042_COMMAND, I8042_RESET);
    }
    // They would report that this one is stuck.
    ipi::stop_others(percpu::online());
    emergency!("skiff: halted: this machine has no way to power off that the kernel knows");
    irq::halt_forever()
}
