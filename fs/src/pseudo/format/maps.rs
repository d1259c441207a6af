//! /proc/PID/maps, smaps and smaps_rollup.

use super::Text;
use crate::types::{major, minor};
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// Column where the name begins (`show_map_vma`: 25 + 6 * sizeof(void *), less one, and a blank).
const NAME_COLUMN: usize = 73;

/// One mapping.
#[derive(Clone, Debug, Default)]
pub struct MapEntry {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// `PROT_READ`.
    pub read: bool,
    /// `PROT_WRITE`.
    pub write: bool,
    /// `PROT_EXEC`.
    pub exec: bool,
    /// `MAP_SHARED`.
    pub shared: bool,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Device of the file.
    pub dev: u64,
    /// Inode number of the file.
    pub ino: u64,
    /// Path, `[heap]`, `[stack]`, `[vdso]`, or empty.
    pub name: Vec<u8>,
}

/// What smaps adds to a mapping; all figures in bytes.
#[derive(Clone, Debug, Default)]
pub struct SmapsEntry {
    /// The mapping.
    pub map: MapEntry,
    /// Resident.
    pub rss: u64,
    /// Resident, shared pages divided by their users.
    pub pss: u64,
    /// The dirty part of it.
    pub pss_dirty: u64,
    /// Its split by kind of page: anonymous.
    pub pss_anon: u64,
    /// Of files.
    pub pss_file: u64,
    /// Of shared memory.
    pub pss_shmem: u64,
    /// Used by several, unchanged.
    pub shared_clean: u64,
    /// Used by several, changed.
    pub shared_dirty: u64,
    /// Used by this process alone, unchanged.
    pub private_clean: u64,
    /// Used by this process alone, changed.
    pub private_dirty: u64,
    /// Marked referenced.
    pub referenced: u64,
    /// Not of a file.
    pub anonymous: u64,
    /// `MADV_FREE`.
    pub lazy_free: u64,
    /// In huge anonymous pages.
    pub anon_huge: u64,
    /// Locked in memory.
    pub locked: u64,
    /// Huge pages could be used.
    pub thp_eligible: bool,
    /// Two-letter flags, each with a blank behind (`rd wr mr mw me ac `).
    pub vm_flags: Vec<u8>,
}

/// At least as many bytes as the line takes: a name's byte may be escaped.
fn line_room(m: &MapEntry) -> usize {
    2 * NAME_COLUMN + 4 * m.name.len()
}

fn line(out: &mut Text, m: &MapEntry) {
    let start = out.0.len();
    let flag = |on, c| if on { c } else { '-' };
    out.put(format_args!(
        "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ",
        m.start,
        m.end,
        flag(m.read, 'r'),
        flag(m.write, 'w'),
        flag(m.exec, 'x'),
        if m.shared { 's' } else { 'p' },
        m.offset,
        major(m.dev),
        minor(m.dev),
        m.ino
    ));
    if !m.name.is_empty() {
        let column = start + NAME_COLUMN - 1;
        if out.0.len() < column {
            out.0.resize(column, b' ');
        }
        out.0.push(b' ');
        out.escaped(&m.name, b"\n");
    }
    out.0.push(b'\n');
}

/// /proc/PID/maps. Fails where there is no memory for the text.
pub fn maps(entries: &[MapEntry]) -> Result<Vec<u8>, TryReserveError> {
    let mut out = Text::default();
    for entry in entries {
        out.0.try_reserve(line_room(entry))?;
        line(&mut out, entry);
    }
    Ok(out.0)
}

/// /proc/PID/smaps. Fails where there is no memory for the text.
pub fn smaps(entries: &[SmapsEntry]) -> Result<Vec<u8>, TryReserveError> {
    /// More than the rows of one mapping take.
    const ROWS: usize = 1024;
    let mut out = Text::default();
    for e in entries {
        out.0.try_reserve(line_room(&e.map) + ROWS + e.vm_flags.len())?;
        line(&mut out, &e.map);
        out.kb("Size:", 16, e.map.end - e.map.start);
        out.kb("KernelPageSize:", 16, 4096);
        out.kb("MMUPageSize:", 16, 4096);
        figures(&mut out, e, false);
        out.put(format_args!("THPeligible:    {:>8}\n", u8::from(e.thp_eligible)));
        out.bytes(b"VmFlags: ");
        out.bytes(&e.vm_flags);
        out.bytes(b"\n");
    }
    Ok(out.0)
}

/// /proc/PID/smaps_rollup: the sums over all mappings.
pub fn smaps_rollup(entries: &[SmapsEntry]) -> Vec<u8> {
    let mut out = Text::default();
    let mut sum = SmapsEntry::default();
    for e in entries {
        sum.rss += e.rss;
        sum.pss += e.pss;
        sum.pss_dirty += e.pss_dirty;
        sum.pss_anon += e.pss_anon;
        sum.pss_file += e.pss_file;
        sum.pss_shmem += e.pss_shmem;
        sum.shared_clean += e.shared_clean;
        sum.shared_dirty += e.shared_dirty;
        sum.private_clean += e.private_clean;
        sum.private_dirty += e.private_dirty;
        sum.referenced += e.referenced;
        sum.anonymous += e.anonymous;
        sum.lazy_free += e.lazy_free;
        sum.anon_huge += e.anon_huge;
        sum.locked += e.locked;
    }
    let start = entries.first().map_or(0, |e| e.map.start);
    let end = entries.last().map_or(0, |e| e.map.end);
    line(&mut out, &MapEntry { start, end, name: b"[rollup]".to_vec(), ..MapEntry::default() });
    figures(&mut out, &sum, true);
    out.0
}

fn figures(out: &mut Text, e: &SmapsEntry, rollup: bool) {
    let mut row = |label, bytes| out.kb(label, 16, bytes);
    row("Rss:", e.rss);
    row("Pss:", e.pss);
    row("Pss_Dirty:", e.pss_dirty);
    if rollup {
        row("Pss_Anon:", e.pss_anon);
        row("Pss_File:", e.pss_file);
        row("Pss_Shmem:", e.pss_shmem);
    }
    row("Shared_Clean:", e.shared_clean);
    row("Shared_Dirty:", e.shared_dirty);
    row("Private_Clean:", e.private_clean);
    row("Private_Dirty:", e.private_dirty);
    row("Referenced:", e.referenced);
    row("Anonymous:", e.anonymous);
    row("KSM:", 0);
    row("LazyFree:", e.lazy_free);
    row("AnonHugePages:", e.anon_huge);
    for label in ["ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:", "Private_Hugetlb:", "Swap:", "SwapPss:"] {
        row(label, 0);
    }
    row("Locked:", e.locked);
}
