//! Ending the virtual machine.

use super::irq;
use super::port::{outb, outw};

/// QEMU's `isa-debug-exit`: ends QEMU with status `(value << 1) | 1`.
const ISA_DEBUG_EXIT: u16 = 0xf4;
/// PM1a control of QEMU's q35 and pc.
const QEMU_PM1A_CONTROL: u16 = 0x604;
/// Sleep enable with sleep type 0, which QEMU maps to S5.
const PM1_SLEEP_ENABLE: u16 = 1 << 13;
/// Cloud Hypervisor's ACPI shutdown device: sleep type 5 with sleep enable.
const CLOUD_HYPERVISOR_SHUTDOWN: u16 = 0x600;
const CLOUD_HYPERVISOR_S5: u8 = 5 << 2 | 1 << 5;
/// The keyboard controller's command port; pulsing its reset line ends Firecracker.
const I8042_COMMAND: u16 = 0x64;
const I8042_RESET: u8 = 0xfe;

/// Powers the machine off; `status` reaches the host where the machine has a way to carry it.
pub fn poweroff(status: u8) -> ! {
    irq::disable();
    // SAFETY: every write either ends the machine or goes to a port that nobody answers; the order is from the
    // most telling to the bluntest.
    unsafe {
        outb(ISA_DEBUG_EXIT, status & 0x7f);
        outw(QEMU_PM1A_CONTROL, PM1_SLEEP_ENABLE);
        outb(CLOUD_HYPERVISOR_SHUTDOWN, CLOUD_HYPERVISOR_S5);
        outb(I8042_COMMAND, I8042_RESET);
    }
    irq::halt_forever()
}
