//! Names for addresses in the kernel, for backtraces.
//!
//! mkimage puts them into the payload: a member `.skiff/symbols` near the start of the archive, with a line
//! `hexaddress name` for each function, sorted by address. A bare kernel has none, and shows addresses alone.

mod table;

use core::fmt;

use spin::Once;

use crate::arch::boot;
use crate::mm::{self, frames};
use base::addr::PhysRange;

const MEMBER: &str = ".skiff/symbols";
/// Names longer than this many characters are cut.
const NAME_LIMIT: usize = 120;

static TABLE: Once<&'static str> = Once::new();

/// Finds the symbols in the payload, and keeps the frames they lie in from being given away with the rest of it.
pub fn init() {
    let payload = boot::Image::read().payload;
    let Some(archive) = mm::boot_memory(payload) else { return };
    let Some(table) = table::cpio_member(archive, MEMBER).and_then(|data| core::str::from_utf8(data).ok()) else { return };
    let start = payload.start + (table.as_ptr().addr() - archive.as_ptr().addr()) as u64;
    for page in (PhysRange { start, end: start + table.len() as u64 }).pages() {
        frames::inc(page);
    }
    TABLE.call_once(|| table);
}

/// The function that `addr` lies in, and how far into it.
pub fn lookup(addr: u64) -> Option<(&'static str, u64)> {
    table::lookup_in(TABLE.get()?, addr)
}

/// The function that `addr` lies in: its name, where it begins, and where the next one does.
pub fn function(addr: u64) -> Option<(&'static str, u64, u64)> {
    let (name, offset) = lookup(addr)?;
    let start = addr - offset;
    let mut later = all().skip_while(|(at, _)| *at <= start);
    Some((name, start, later.next().map_or(mm::direct::kernel_text().end, |(at, _)| at)))
}

/// All functions, by address.
pub fn all() -> impl Iterator<Item = (u64, &'static str)> {
    let lines = TABLE.get().map_or("", |table| *table).lines();
    lines.filter_map(|line| line.split_once(' ').and_then(|(at, name)| Some((u64::from_str_radix(at, 16).ok()?, name))))
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
