//! The partition table of DOS, with the chain of tables of an extended partition.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use syscall_shim::SysResult;

use super::{Disk, MAX, Partition, number};
use crate::SECTOR;

const SIGNATURE: usize = 510;
const DISK_SIGNATURE: usize = 440;
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
/// What stands for the whole disk where there is a GUID table.
const PROTECTIVE: u8 = 0xee;
/// Linux's own number for the first logical partition.
const FIRST_LOGICAL: u32 = 5;
/// The longest chain of tables without a partition that is followed.
const MAX_EMPTY: usize = 100;

/// An entry of a table.
#[derive(Clone, Copy)]
struct Entry {
    active: u8,
    kind: u8,
    start: u64,
    count: u64,
}

impl Entry {
    fn is_extended(&self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

fn has_signature(block: &[u8]) -> bool {
    block.get(SIGNATURE..SIGNATURE + 2) == Some(&[0x55, 0xaa])
}

fn entries(block: &[u8]) -> [Entry; 4] {
    [0, 1, 2, 3].map(|index| {
        let entry = block.get(ENTRIES + index * ENTRY..).unwrap_or_default();
        Entry {
            active: entry.first().copied().unwrap_or(0),
            kind: entry.get(4).copied().unwrap_or(0),
            start: number::<4>(entry, 8),
            count: number::<4>(entry, 12),
        }
    })
}

/// Whether the table protects a disk that has a GUID table.
pub(super) fn protects(block: &[u8]) -> bool {
    has_signature(block) && entries(block).iter().any(|entry| entry.kind == PROTECTIVE && entry.start == 1)
}

/// The partitions; none where it is no such table.
pub(super) fn find(disk: &mut Disk<'_>, first: &[u8]) -> SysResult<Vec<Partition>> {
    let table = entries(first);
    // The first sector of a file system often has the signature too, and code where a table would
    // be.
    if !has_signature(first) || table.iter().any(|entry| entry.active & 0x7f != 0) {
        return Ok(Vec::new());
    }
    let signature = number::<4>(first, DISK_SIGNATURE);
    let mut found = Vec::new();
    let mut chains = Vec::new();
    for (number, entry) in (1..).zip(table).filter(|(_, entry)| entry.count != 0) {
        if entry.is_extended() {
            // Of it one sees enough to put a boot loader there, and no more.
            let shown = entry.count.min(1024u64.div_ceil(disk.block).max(1));
            add(disk, &mut found, signature, number, entry.start, shown.max(SECTOR / disk.block));
            chains.push(entry);
        } else {
            add(disk, &mut found, signature, number, entry.start, entry.count);
        }
    }
    let mut next = FIRST_LOGICAL;
    for chain in chains {
        follow(disk, &mut found, signature, &mut next, chain)?;
    }
    Ok(found)
}

/// Follows the tables in an extended partition, each of which has one partition and says where the
/// next table is.
fn follow(
    disk: &mut Disk<'_>,
    found: &mut Vec<Partition>,
    signature: u64,
    next: &mut u32,
    extended: Entry,
) -> SysResult<()> {
    let (mut at, mut empty) = (extended.start, 0);
    while *next < MAX && empty < MAX_EMPTY {
        // A table that cannot be read ends the chain: the partitions before it are there all the
        // same.
        if at >= disk.blocks {
            return Ok(());
        }
        let Ok(block) = disk.block(at) else { return Ok(()) };
        if !has_signature(&block) {
            return Ok(());
        }
        let table = entries(&block);
        empty += 1;
        for entry in table.iter().filter(|entry| entry.count != 0 && !entry.is_extended()) {
            let inside = entry.start + entry.count <= extended.count;
            if *next < MAX && (inside || at == extended.start) {
                add(disk, found, signature, *next, at + entry.start, entry.count);
                *next += 1;
                empty = 0;
            }
        }
        let Some(link) = table.iter().find(|entry| entry.count != 0 && entry.is_extended()) else { return Ok(()) };
        at = extended.start + link.start;
    }
    Ok(())
}

fn add(disk: &Disk<'_>, found: &mut Vec<Partition>, signature: u64, number: u32, start: u64, count: u64) {
    let count = count.min(disk.blocks.saturating_sub(start));
    if count == 0 {
        return;
    }
    let uuid = if signature == 0 { String::new() } else { format!("{signature:08x}-{number:02x}") };
    found.push(Partition { number, start: disk.units(start), sectors: disk.units(count), uuid, label: String::new() });
}
