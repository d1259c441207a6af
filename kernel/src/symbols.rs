//! Names for addresses in the kernel, for backtraces.
//!
//! mkimage puts them into the payload: a member `.skiff/symbols` near the start of the archive, with a line
//! `hexaddress name` for each function, sorted by address. A bare kernel has none, and shows addresses alone.

use core::fmt;

use spin::Once;

use crate::arch::boot::{self, PhysRange};
use crate::mm::{self, frames};

const MEMBER: &str = ".skiff/symbols";
/// How many members are looked at: the kernel's own come first.
const MEMBERS_LOOKED_AT: usize = 4;
/// Names longer than this many characters are cut.
const NAME_LIMIT: usize = 120;

static TABLE: Once<&'static str> = Once::new();

/// Finds the symbols in the payload, and keeps the frames they lie in from being given away with the rest of it.
pub fn init() {
    let payload = boot::payload();
    let Some(archive) = mm::boot_memory(payload) else { return };
    let Some(table) = cpio_member(archive, MEMBER).and_then(|data| core::str::from_utf8(data).ok()) else { return };
    let start = payload.start + (table.as_ptr().addr() - archive.as_ptr().addr()) as u64;
    for page in (PhysRange { start, end: start + table.len() as u64 }).pages() {
        frames::inc(page);
    }
    TABLE.call_once(|| table);
}

/// The data of one of the first members of a cpio archive (cpio(5), "New ASCII Format").
fn cpio_member<'a>(archive: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    const HEADER_SIZE: usize = 110;
    const MAGIC: &[u8] = b"070701";
    const FILE_SIZE: usize = 54;
    const NAME_SIZE: usize = 94;

    let mut rest = archive;
    for _ in 0..MEMBERS_LOOKED_AT {
        let field = |at: usize| -> Option<usize> {
            usize::from_str_radix(core::str::from_utf8(rest.get(at..at + 8)?).ok()?, 16).ok()
        };
        if !rest.starts_with(MAGIC) {
            return None;
        }
        let (file_size, name_size) = (field(FILE_SIZE)?, field(NAME_SIZE)?);
        let name = rest.get(HEADER_SIZE..HEADER_SIZE + name_size)?;
        let data = rest.get((HEADER_SIZE + name_size).next_multiple_of(4)..)?;
        if name.split(|byte| *byte == 0).next() == Some(wanted.as_bytes()) {
            return data.get(..file_size);
        }
        rest = data.get(file_size.next_multiple_of(4)..)?;
    }
    None
}

/// The function that `addr` lies in, and how far into it.
pub fn lookup(addr: u64) -> Option<(&'static str, u64)> {
    lookup_in(TABLE.get()?, addr)
}

/// Binary search over the lines of `table` for the last one at or below `addr`.
fn lookup_in(table: &str, addr: u64) -> Option<(&str, u64)> {
    let line_at = |offset: usize| {
        let start = table.get(..offset)?.rfind('\n').map_or(0, |newline| newline + 1);
        let line = table.get(start..)?.lines().next()?;
        let (address, name) = line.split_once(' ')?;
        Some((u64::from_str_radix(address, 16).ok()?, name, start, start + line.len() + 1))
    };
    let mut found = None;
    let (mut low, mut high) = (0, table.len());
    while low < high {
        // The table is ASCII but for names; `get` answers `None` inside a character, and the search ends.
        let (address, name, start, end) = line_at(low + (high - low) / 2)?;
        if address <= addr {
            found = Some((name, addr - address));
            low = end;
        } else {
            high = start;
        }
    }
    found
}

/// An address with its function's name, if there is one: `ffffffff80201234 mm::init+0x34`.
pub struct Symbolised(pub u64);

impl fmt::Display for Symbolised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbolised(f, self.0, lookup(self.0))
    }
}

/// A return address with the name of the function that will be returned to. A call can be a function's last instruction, and
/// what it returns to then belongs to the next function: so the byte before is looked up.
pub struct ReturnAddress(pub u64);

impl fmt::Display for ReturnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbolised(f, self.0, lookup(self.0 - 1).map(|(name, offset)| (name, offset + 1)))
    }
}

fn write_symbolised(f: &mut fmt::Formatter<'_>, address: u64, symbol: Option<(&str, u64)>) -> fmt::Result {
    write!(f, "{address:016x}")?;
    symbol.map_or(Ok(()), |(name, offset)| write!(f, " {name:.NAME_LIMIT$}+{offset:#x}"))
}
