//! Devices: virtio over MMIO and PCI.
//!
//! Found devices wait in a list until a driver takes them. What a driver drives, the layer above
//! sees by that layer's trait: disks by those of `block`, network cards by `net::device::Card`.
//! Unsafe code is only where memory of a device is touched.
// There are no such devices on a host; `kernel/tests` runs what needs none.
#![cfg(target_os = "none")]
#![no_std]

extern crate alloc;
#[macro_use]
extern crate base;

pub mod block;
pub mod console;
mod hal;
mod mmio;
pub mod net;
mod pci;
mod queue;
mod rng;
mod virtqueue;

use alloc::vec::Vec;

use virtio_drivers::transport::{DeviceType, SomeTransport, Transport};

use virtqueue::SplitQueue;

use arch::{clock, vectors};
use sync::IrqSpinLock;

/// A virtio device that no driver has taken yet.
pub struct Device {
    /// Its registers.
    pub transport: SomeTransport<'static>,
    interrupt: Interrupt,
}

/// How a device interrupts.
enum Interrupt {
    /// By a line of the I/O APIC, up until the driver acknowledges.
    Line(u32),
    /// By messages of its own.
    Message(pci::MessageInterrupts),
}

impl Device {
    /// Takes the device apart: registers, and what [`DeviceInterrupt::connect`] needs.
    pub fn split(self) -> (SomeTransport<'static>, DeviceInterrupt) {
        (self.transport, DeviceInterrupt(self.interrupt))
    }
}

/// The interrupt of a device whose registers a driver has taken.
pub struct DeviceInterrupt(Interrupt);

impl DeviceInterrupt {
    /// Lets `handler` be called for every interrupt of the device, in interrupt context. `queues`
    /// is how many queues the driver has set up. False when the machine cannot deliver it.
    pub fn connect(&self, queues: u16, handler: fn()) -> bool {
        match &self.0 {
            Interrupt::Line(gsi) => platform::ioapic::connect(*gsi, handler),
            Interrupt::Message(messages) => vectors::allocate(handler).is_some_and(|vector| messages.enable(queues, vector)),
        }
    }

    /// Whether the driver has to read the device's interrupt status to end an interrupt.
    pub fn needs_acknowledge(&self) -> bool {
        matches!(self.0, Interrupt::Line(_))
    }
}

/// How long a device may take to answer what is asked of it while it is set up, in TSC ticks.
const SETUP_TIMEOUT_TICKS: u64 = 2_000_000_000;

/// Waits for a chain of buffers to come back while a device is set up: its token, and how many
/// bytes the device has written.
fn answer_in_time<const N: usize>(queue: &mut SplitQueue<N>) -> Option<(u16, u32)> {
    let start = clock::tsc();
    while clock::tsc().saturating_sub(start) < SETUP_TIMEOUT_TICKS {
        if let Some(answer) = queue.pop() {
            return Some(answer);
        }
        core::hint::spin_loop();
    }
    None
}

/// Devices found and not taken.
static DEVICES: IrqSpinLock<Vec<Device>> = IrqSpinLock::new(Vec::new());

/// Finds the virtio devices, and starts those that the kernel itself uses: of a console the port
/// `console_port`, where one is wanted.
pub fn init(console_port: Option<u16>) {
    let mut found = mmio::probe();
    found.extend(pci::probe());
    *DEVICES.lock() = found;

    while let Some(device) = take(DeviceType::EntropySource) {
        rng::init(device);
    }
    self::block::init();
    if let Some(port) = console_port
        && let Some(device) = take(DeviceType::Console)
        && let Err(error) = console::init(device, port)
    {
        kerr!("virtio-console does not start: {error}");
    }
}

/// Hands over the first device of this type that nobody has taken.
pub fn take(device_type: DeviceType) -> Option<Device> {
    let mut devices = DEVICES.lock();
    let index = devices.iter().position(|device| device.transport.device_type() == device_type)?;
    Some(devices.remove(index))
}
