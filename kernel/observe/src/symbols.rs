//! Names for addresses in the kernel, for backtraces.
//!
//! mkimage puts them into the payload: a member `.skiff/symbols` near the start of the archive,
//! with a line `hexaddress name` for each function, sorted by address. A bare kernel has none, and
//! shows addresses alone.

mod table;

pub use base::symbol::{ReturnAddress, Symbolised};
use spin::Once;

use arch::boot;
use base::addr::PhysRange;
use mem::frames;

const MEMBER: &str = ".skiff/symbols";

static TABLE: Once<&'static str> = Once::new();

/// Finds the symbols in the payload, and keeps the frames they lie in from being given away with
/// the rest of it.
pub fn init() {
    let payload = boot::Image::read().payload;
    let Some(archive) = mem::boot_memory(payload) else { return };
    let Some(table) = table::cpio_member(archive, MEMBER).and_then(|data| core::str::from_utf8(data).ok()) else { return };
    let start = payload.start + (table.as_ptr().addr() - archive.as_ptr().addr()) as u64;
    for page in (PhysRange { start, end: start + table.len() as u64 }).pages() {
        frames::inc(page);
    }
    TABLE.call_once(|| table);
    base::symbol::set_lookup(lookup);
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
    Some((name, start, later.next().map_or(mem::direct::kernel_text().end, |(at, _)| at)))
}

/// All functions, by address.
pub fn all() -> impl Iterator<Item = (u64, &'static str)> {
    let lines = TABLE.get().map_or("", |table| *table).lines();
    lines.filter_map(|line| line.split_once(' ').and_then(|(at, name)| Some((u64::from_str_radix(at, 16).ok()?, name))))
}
