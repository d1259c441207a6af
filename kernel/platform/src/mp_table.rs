//! The MP table: where firmware and VMMs without ACPI say which CPUs there are.
//!
//! Source: Intel MultiProcessor Specification 1.4, chapter 4.

use core::ptr;

use base::addr::PhysRange;

use super::acpi::checksum_holds;
use arch::boot::List;
use arch::percpu::LISTED_CPUS;
use mem::{phys_to_virt, vmalloc};

/// The word in the BIOS data area that tells the segment of the extended BIOS data area.
const EBDA_SEGMENT: u64 = 0x40e;
const KIB: u64 = 1024;
const BASE_MEMORY_END: u64 = 640 * KIB;
const BIOS_ROM: PhysRange = PhysRange { start: 0xf_0000, end: 0x10_0000 };

const POINTER_SIZE: usize = 16;
const HEADER_SIZE: usize = 44;
const PROCESSOR_SIZE: usize = 20;
const OTHER_SIZE: usize = 8;

/// Memory below 1 MiB.
fn low(range: PhysRange) -> &'static [u8] {
    // SAFETY: the direct map shows all of the first 2 MiB, and nobody writes where firmware has its
    // tables.
    unsafe { &*ptr::slice_from_raw_parts(phys_to_virt(range.start), range.len() as usize) }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(offset..)?.first_chunk().copied()?))
}

/// The physical address of the configuration table, from the floating pointer (4.1).
fn find_table() -> Option<u64> {
    let segment = u16_at(low(PhysRange { start: EBDA_SEGMENT, end: EBDA_SEGMENT + 2 }), 0)?;
    let ebda = u64::from(segment) << 4;
    let ebda = if (0x8_0000..BASE_MEMORY_END).contains(&ebda) { ebda } else { BASE_MEMORY_END - KIB };
    let places = [
        PhysRange { start: ebda, end: (ebda + KIB).min(BASE_MEMORY_END) },
        PhysRange { start: BASE_MEMORY_END - KIB, end: BASE_MEMORY_END },
        BIOS_ROM,
    ];
    places.into_iter().find_map(|place| {
        low(place).windows(POINTER_SIZE).step_by(16).find_map(|pointer| {
            let valid = pointer.starts_with(b"_MP_") && checksum_holds(pointer);
            valid.then(|| u32::from_le_bytes([pointer[4], pointer[5], pointer[6], pointer[7]]).into())
        })
    })
}

/// APIC ids of the CPUs that can be used; empty where there is no such table, or a broken one.
pub fn cpus() -> List<u32, LISTED_CPUS> {
    let mut cpus = List::new(0);
    let Some(phys) = find_table().filter(|phys| *phys != 0) else { return cpus };
    let bytes = |len: usize| -> Option<&'static [u8]> {
        let start = vmalloc::map_device(phys, len)?;
        // SAFETY: mapped for good, and nobody writes firmware tables.
        Some(unsafe { &*ptr::slice_from_raw_parts(start, len) })
    };
    let table = bytes(HEADER_SIZE).filter(|header| header.starts_with(b"PCMP")).and_then(|header| {
        let len = usize::from(u16_at(header, 4)?);
        bytes(len.max(HEADER_SIZE)).filter(|table| checksum_holds(table))
    });
    if let Some(table) = table {
        parse(table, &mut cpus);
    }
    cpus
}

/// Collects the processor entries (4.3.1), which come first.
fn parse(table: &[u8], cpus: &mut List<u32, LISTED_CPUS>) {
    const PROCESSOR: u8 = 0;
    const ENABLED: u8 = 1;
    let count = u16_at(table, 34).unwrap_or(0);
    let mut rest = table.get(HEADER_SIZE..).unwrap_or(&[]);
    for _ in 0..count {
        let size = if rest.first() == Some(&PROCESSOR) { PROCESSOR_SIZE } else { OTHER_SIZE };
        let Some((entry, after)) = rest.split_at_checked(size) else { return };
        rest = after;
        if entry[0] == PROCESSOR && entry[3] & ENABLED != 0 {
            cpus.push(entry[1].into());
        }
    }
}
