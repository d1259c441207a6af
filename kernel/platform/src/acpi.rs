//! The little of ACPI that the kernel needs: the MADT, for I/O APICs and CPUs, and the FADT, for
//! power-off.
//!
//! Source: ACPI 6.5, 5.2.5 (RSDP), 5.2.7 and 5.2.8 (RSDT, XSDT), 5.2.9 (FADT), 5.2.12 (MADT).
//! Tables come from the machine's firmware; a broken one is passed over, and the machine's defaults
//! stand.

use core::ptr;

use spin::Once;

use arch::boot::{self, List};
use arch::percpu::LISTED_CPUS;
use mem::{phys_to_virt, vmalloc};

const HEADER_SIZE: u32 = 36;
/// No table we read is near this size.
const TABLE_LIMIT: u32 = 1 << 20;
/// Where firmware leaves the RSDP when the loader does not say.
const BIOS_AREA: u64 = 0xe_0000;
const BIOS_AREA_SIZE: usize = 0x2_0000;

/// One I/O APIC.
#[derive(Clone, Copy, Debug)]
pub struct IoApic {
    /// Physical address of the registers.
    pub phys: u64,
    /// First global system interrupt.
    pub gsi_base: u32,
}

/// An ISA interrupt that is not wired as usual.
#[derive(Clone, Copy, Debug)]
struct Override {
    gsi: u32,
    flags: u16,
}

/// What the Multiple APIC Description Table says; empty without ACPI.
#[derive(Debug)]
pub struct Madt {
    /// All I/O APICs.
    pub io_apics: List<IoApic, 8>,
    /// APIC ids of the CPUs that can be used.
    pub cpus: List<u32, LISTED_CPUS>,
    overrides: List<Override, 16>,
}

impl Madt {
    const fn new() -> Self {
        Self {
            io_apics: List::new(IoApic { phys: 0, gsi_base: 0 }),
            cpus: List::new(0),
            overrides: List::new(Override { gsi: 0, flags: 0 }),
        }
    }

    /// Whether the line `gsi` is active when low.
    pub fn active_low(&self, gsi: u32) -> bool {
        const POLARITY: u16 = 3;
        self.overrides.as_slice().iter().any(|entry| entry.gsi == gsi && entry.flags & POLARITY == POLARITY)
    }
}

/// The MADT, read once.
pub fn madt() -> &'static Madt {
    static MADT: Once<Madt> = Once::new();
    MADT.call_once(|| {
        let mut madt = Madt::new();
        if let Some(table) = find_table(b"APIC") {
            parse_madt(table, &mut madt);
        }
        madt
    })
}

/// Bytes of a firmware table.
type Bytes = &'static [u8];

/// Maps `len` bytes of firmware memory.
fn map(phys: u64, len: usize) -> Option<Bytes> {
    let start = vmalloc::map_device(phys, len)?;
    // SAFETY: mapped for good, and nobody writes firmware tables.
    Some(unsafe { &*ptr::slice_from_raw_parts(start, len) })
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..)?.first_chunk().copied()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(offset..)?.first_chunk().copied()?))
}

pub(super) fn checksum_holds(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// A whole table, header included.
fn table_at(phys: u64) -> Option<Bytes> {
    let len = u32_at(map(phys, HEADER_SIZE as usize)?, 4)?;
    if !(HEADER_SIZE..TABLE_LIMIT).contains(&len) {
        return None;
    }
    map(phys, len as usize).filter(|table| checksum_holds(table))
}

/// The root pointer: where the loader says, else in the BIOS area.
fn root_pointer() -> Option<Bytes> {
    const SIGNATURE: &[u8] = b"RSD PTR ";
    const SIZE: usize = 36;
    let valid = |bytes: &[u8]| bytes.starts_with(SIGNATURE) && bytes.get(..20).is_some_and(checksum_holds);
    let rsdp = boot::info().rsdp;
    if rsdp != 0 {
        return map(rsdp, SIZE).filter(|bytes| valid(bytes));
    }
    // SAFETY: the direct map shows all of the first 2 MiB, and nobody writes firmware.
    let area: Bytes = unsafe { &*ptr::slice_from_raw_parts(phys_to_virt(BIOS_AREA), BIOS_AREA_SIZE) };
    area.windows(SIZE).step_by(16).find(|bytes| valid(bytes))
}

fn find_table(signature: &[u8; 4]) -> Option<Bytes> {
    let rsdp = root_pointer()?;
    let extended = rsdp.get(15).is_some_and(|revision| *revision >= 2);
    let (root, width) = match u64_at(rsdp, 24) {
        Some(xsdt) if extended && xsdt != 0 => (table_at(xsdt)?, 8),
        _ => (table_at(u32_at(rsdp, 16)?.into())?, 4),
    };
    root.get(HEADER_SIZE as usize..)?.chunks_exact(width).find_map(|entry| {
        let phys = if width == 8 { u64_at(entry, 0)? } else { u32_at(entry, 0)?.into() };
        table_at(phys).filter(|table| table.starts_with(signature))
    })
}

/// A register that the firmware describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// An I/O port.
    Port(u16),
    /// A physical address.
    Memory(u64),
}

/// The sleep control register of a machine with hardware-reduced ACPI (4.8.3.7): a byte.
pub fn sleep_control() -> Option<Register> {
    const SLEEP_CONTROL: usize = 244;
    const SYSTEM_MEMORY: u8 = 0;
    const SYSTEM_IO: u8 = 1;

    let fadt = find_table(b"FACP")?;
    // A generic address structure (5.2.3.2): the space first, the address in its last eight bytes.
    let (space, address) = (*fadt.get(SLEEP_CONTROL)?, u64_at(fadt, SLEEP_CONTROL + 4)?);
    match space {
        SYSTEM_MEMORY if address != 0 => Some(Register::Memory(address)),
        SYSTEM_IO if address != 0 => address.try_into().ok().map(Register::Port),
        _ => None,
    }
}

fn parse_madt(table: &[u8], madt: &mut Madt) {
    const LOCAL_APIC: u8 = 0;
    const IO_APIC: u8 = 1;
    const INTERRUPT_OVERRIDE: u8 = 2;
    const LOCAL_X2APIC: u8 = 9;
    const ENABLED: u32 = 1;

    let mut rest = table.get(HEADER_SIZE as usize + 8..).unwrap_or(&[]);
    while let &[kind, len, ..] = rest {
        let Some((entry, after)) = rest.split_at_checked(len.into()).filter(|_| len >= 2) else { return };
        rest = after;
        match kind {
            LOCAL_APIC if u32_at(entry, 4).is_some_and(|flags| flags & ENABLED != 0) => {
                madt.cpus.push(entry[3].into());
            }
            LOCAL_X2APIC if u32_at(entry, 8).is_some_and(|flags| flags & ENABLED != 0) => {
                madt.cpus.push(u32_at(entry, 4).unwrap_or(0));
            }
            IO_APIC => {
                if let (Some(phys), Some(gsi_base)) = (u32_at(entry, 4), u32_at(entry, 8)) {
                    madt.io_apics.push(IoApic { phys: phys.into(), gsi_base });
                }
            }
            INTERRUPT_OVERRIDE => {
                if let (Some(gsi), Some(&[low, high])) = (u32_at(entry, 4), entry.get(8..10).and_then(<[u8]>::first_chunk)) {
                    madt.overrides.push(Override { gsi, flags: u16::from_le_bytes([low, high]) });
                }
            }
            _ => {}
        }
    }
}
