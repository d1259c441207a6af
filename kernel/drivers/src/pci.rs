//! virtio over PCI: the devices of bus 0, interrupting by MSI-X, or by their line where they have
//! no MSI-X.
//!
//! Sources: PCI Local Bus 3.0, 3.2.2.3.2 (configuration mechanism #1) and 6.8.2 (MSI-X); virtio
//! 1.2, 4.1.

use alloc::vec::Vec;

use virtio_drivers::transport::SomeTransport;
use virtio_drivers::transport::pci::bus::{BarInfo, Command, ConfigurationAccess, DeviceFunction, PCI_CAP_ID_VNDR, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, VIRTIO_PCI_CAP_COMMON_CFG, virtio_device_type};

use super::hal::SkiffHal;
use super::{Device, Interrupt};
use arch::port::{inl, outl};
use arch::{apic, boot};
use mem::vmalloc;
use sync::IrqSpinLock;

const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;
const CONFIG_ENABLE: u32 = 1 << 31;

const CAPABILITY_MSIX: u8 = 0x11;
const INTERRUPT_LINE: u8 = 0x3c;
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_MASK_ALL: u32 = 1 << 30;
/// Where messages to local APICs go (SDM volume 3A, 11.11.1).
const MESSAGE_ADDRESS: u32 = 0xfee0_0000;

/// Offsets in virtio's common configuration (virtio 1.2, 4.1.4.3).
const COMMON_MSIX_CONFIG: usize = 16;
const COMMON_QUEUE_SELECT: usize = 22;
const COMMON_QUEUE_MSIX_VECTOR: usize = 26;
const COMMON_SIZE: usize = 56;
const NO_VECTOR: u16 = 0xffff;

/// The two configuration ports.
struct ConfigPorts;

/// Address and data are two accesses: one user at a time.
static CONFIG: IrqSpinLock<()> = IrqSpinLock::new(());

fn config_address(function: DeviceFunction, register: u8) -> u32 {
    CONFIG_ENABLE
        | u32::from(function.bus) << 16
        | u32::from(function.device) << 11
        | u32::from(function.function) << 8
        | u32::from(register & 0xfc)
}

impl ConfigurationAccess for ConfigPorts {
    fn read_word(&self, function: DeviceFunction, register: u8) -> u32 {
        let _guard = CONFIG.lock();
        // SAFETY: the ports are this module's, and the lock is held.
        unsafe {
            outl(CONFIG_ADDRESS, config_address(function, register));
            inl(CONFIG_DATA)
        }
    }

    fn write_word(&mut self, function: DeviceFunction, register: u8, data: u32) {
        let _guard = CONFIG.lock();
        // SAFETY: as above; what is written configures devices that only the kernel drives.
        unsafe {
            outl(CONFIG_ADDRESS, config_address(function, register));
            outl(CONFIG_DATA, data);
        }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

/// Whether there is a PCI host bridge that answers at the ports.
fn present() -> bool {
    if boot::option("pci") == Some("off") {
        return false;
    }
    let _guard = CONFIG.lock();
    // SAFETY: the address register reads back what was written, where it exists.
    unsafe {
        outl(CONFIG_ADDRESS, CONFIG_ENABLE);
        inl(CONFIG_ADDRESS) == CONFIG_ENABLE
    }
}

/// The virtio devices on bus 0.
pub(super) fn probe() -> Vec<Device> {
    if !present() {
        return Vec::new();
    }
    let mut root = PciRoot::new(ConfigPorts);
    let functions: Vec<_> = root.enumerate_bus(0).filter(|(_, info)| virtio_device_type(info).is_some()).collect();
    functions.into_iter().filter_map(|(function, _)| open(&mut root, function)).collect()
}

fn open(root: &mut PciRoot<ConfigPorts>, function: DeviceFunction) -> Option<Device> {
    root.set_command(function, Command::MEMORY_SPACE | Command::IO_SPACE | Command::BUS_MASTER);
    let transport = match PciTransport::new::<SkiffHal, _>(root, function) {
        Ok(transport) => transport,
        Err(error) => {
            kwarn!("virtio-pci device {function}: {error}");
            return None;
        }
    };
    let interrupt = match MessageInterrupts::find(root, function) {
        Some(messages) => Interrupt::Message(messages),
        None => Interrupt::Line(ConfigPorts.read_word(function, INTERRUPT_LINE) & 0xff),
    };
    Some(Device { transport: SomeTransport::Pci(transport), interrupt })
}

/// The MSI-X capability of a virtio device.
pub(super) struct MessageInterrupts {
    function: DeviceFunction,
    capability: u8,
    table: *mut u32,
    common: *mut u8,
}

// SAFETY: the pointers are to device registers, mapped for good.
unsafe impl Send for MessageInterrupts {}

impl MessageInterrupts {
    fn find(root: &mut PciRoot<ConfigPorts>, function: DeviceFunction) -> Option<Self> {
        let capability = root.capabilities(function).find(|capability| capability.id == CAPABILITY_MSIX)?.offset;
        let table = ConfigPorts.read_word(function, capability + 4);
        let table = map_bar(root, function, (table & 7) as u8, table & !7, 16)?;
        let common = root.capabilities(function).find(|capability| {
            capability.id == PCI_CAP_ID_VNDR && (capability.private_header >> 8) as u8 == VIRTIO_PCI_CAP_COMMON_CFG
        })?;
        let bar = ConfigPorts.read_word(function, common.offset + 4) as u8;
        let offset = ConfigPorts.read_word(function, common.offset + 8);
        let common = map_bar(root, function, bar, offset, COMMON_SIZE)?;
        Some(Self { function, capability, table: table.cast(), common })
    }

    /// Sends all interrupts of the device, from its configuration and its first `queues` queues, to
    /// `vector` of this CPU.
    pub(super) fn enable(&self, queues: u16, vector: u8) -> bool {
        let entry = [MESSAGE_ADDRESS | apic::id() << 12, 0, vector.into(), 0];
        for (index, word) in entry.into_iter().enumerate() {
            // SAFETY: the first entry of the device's MSI-X table, mapped for good.
            unsafe { self.table.add(index).write_volatile(word) };
        }
        let control = ConfigPorts.read_word(self.function, self.capability);
        ConfigPorts.write_word(self.function, self.capability, (control | MSIX_ENABLE) & !MSIX_MASK_ALL);
        // SAFETY: the device's common configuration, mapped for good.
        unsafe {
            let register = |offset: usize| self.common.add(offset).cast::<u16>();
            register(COMMON_MSIX_CONFIG).write_volatile(0);
            (0..queues).all(|queue| {
                register(COMMON_QUEUE_SELECT).write_volatile(queue);
                register(COMMON_QUEUE_MSIX_VECTOR).write_volatile(0);
                register(COMMON_QUEUE_MSIX_VECTOR).read_volatile() != NO_VECTOR
            })
        }
    }
}

/// Maps `len` bytes at `offset` of a memory BAR.
fn map_bar(root: &mut PciRoot<ConfigPorts>, function: DeviceFunction, bar: u8, offset: u32, len: usize) -> Option<*mut u8> {
    let BarInfo::Memory { address, .. } = root.bar_info(function, bar).ok().flatten()? else { return None };
    vmalloc::map_device(address + u64::from(offset), len)
}
