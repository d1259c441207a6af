//! The GUID partition table. Source: UEFI 2.10, 5.3.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use syscall_shim::SysResult;

use super::{Disk, MAX, Partition, number};

/// The fields of a header.
const SIGNATURE: &[u8] = b"EFI PART";
const HEADER_SIZE: usize = 12;
const HEADER_CRC: usize = 16;
const MY_LBA: usize = 24;
const ALTERNATE_LBA: usize = 32;
const FIRST_USABLE: usize = 40;
const LAST_USABLE: usize = 48;
const ENTRIES_LBA: usize = 72;
const ENTRY_COUNT: usize = 80;
const ENTRY_SIZE: usize = 84;
const ENTRIES_CRC: usize = 88;
const LEAST_HEADER: usize = 92;
/// The fields of an entry, and its size, which Linux takes no other of.
const KIND: core::ops::Range<usize> = 0..16;
const GUID: core::ops::Range<usize> = 16..32;
const START: usize = 32;
const END: usize = 40;
const NAME: core::ops::Range<usize> = 56..128;
const ENTRY: usize = 128;
/// The most entries that are looked at: 1 MiB of them.
const MOST_ENTRIES: u64 = 8192;

/// The partitions by the first table, or by the second, at the end, where the first is damaged.
/// `None` without any that is whole.
pub(super) fn find(disk: &mut Disk<'_>) -> SysResult<Option<Vec<Partition>>> {
    if let Some(found) = table(disk, 1)? {
        return Ok(Some(found));
    }
    let first = disk.block(1)?;
    let last = disk.blocks - 1;
    let named = number::<8>(&first, ALTERNATE_LBA);
    let is_header = first.starts_with(SIGNATURE);
    if is_header
        && (2..last).contains(&named)
        && let Some(found) = table(disk, named)?
    {
        return Ok(Some(found));
    }
    table(disk, last)
}

/// The partitions of the table whose header is block `lba`, if it is whole.
fn table(disk: &mut Disk<'_>, lba: u64) -> SysResult<Option<Vec<Partition>>> {
    let header = disk.block(lba)?;
    let size = number::<4>(&header, HEADER_SIZE) as usize;
    if !header.starts_with(SIGNATURE) || size < LEAST_HEADER {
        return Ok(None);
    }
    let Some(checked) = header.get(..size) else { return Ok(None) };
    let sum = crc32(checked.iter().enumerate().map(|(at, byte)| {
        // It is computed without itself.
        if (HEADER_CRC..HEADER_CRC + 4).contains(&at) { 0 } else { *byte }
    }));
    let (first, last) = (number::<8>(&header, FIRST_USABLE), number::<8>(&header, LAST_USABLE));
    let count = number::<4>(&header, ENTRY_COUNT);
    if u64::from(sum) != number::<4>(&header, HEADER_CRC)
        || number::<8>(&header, MY_LBA) != lba
        || first > last
        || last >= disk.blocks
        || number::<4>(&header, ENTRY_SIZE) as usize != ENTRY
        || count > MOST_ENTRIES
    {
        return Ok(None);
    }
    let entries = disk.bytes(number::<8>(&header, ENTRIES_LBA), count as usize * ENTRY)?;
    if u64::from(crc32(entries.iter().copied())) != number::<4>(&header, ENTRIES_CRC) {
        return Ok(None);
    }
    let partition = |(index, entry): (u32, &[u8])| {
        let (start, end) = (number::<8>(entry, START), number::<8>(entry, END));
        let used = entry.get(KIND)?.iter().any(|byte| *byte != 0);
        if !used || start < first || end > last || start > end {
            return None;
        }
        Some(Partition {
            number: index,
            start: disk.units(start),
            sectors: disk.units(end - start + 1),
            uuid: guid(entry.get(GUID)?),
            label: name(entry.get(NAME)?),
        })
    };
    Ok(Some((1..MAX).zip(entries.chunks_exact(ENTRY)).filter_map(partition).collect()))
}

/// A GUID as it is written: three little-endian numbers, then bytes.
fn guid(bytes: &[u8]) -> String {
    let (a, b, c) = (number::<4>(bytes, 0), number::<2>(bytes, 4), number::<2>(bytes, 6));
    let tail: String = bytes.iter().skip(8).map(|byte| format!("{byte:02x}")).collect();
    let (d, e) = tail.split_at_checked(4).unwrap_or((&tail, ""));
    format!("{a:08x}-{b:04x}-{c:04x}-{d}-{e}")
}

/// A name, of UTF-16 up to a zero. What is not printable ASCII becomes `!`, as Linux tells it.
fn name(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|unit| number::<2>(unit, 0) as u16).take_while(|unit| *unit != 0);
    units
        .map(|unit| u8::try_from(unit & 0xff).map_or('!', |c| if (0x20..0x7f).contains(&c) { c.into() } else { '!' }))
        .collect()
}

/// The CRC of Ethernet and of zip. Tables are a few KiB: a table of remainders would not be worth
/// its room.
pub(super) fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let step = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 != 0 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 })
    };
    !bytes.fold(!0, step)
}
