//! Which memory goes into a core file: by `coredump_filter` and madvise(2), as Linux decides
//! (`vma_dump_size`).

use alloc::vec;
use alloc::vec::Vec;

use syscall_shim::SysResult;
use syscall_shim::core_file::{FileMapping, PF_R, PF_W, PF_X, Segment};

use super::output::Output;
use vm::flags::{PAGE_SIZE, VmFlags};
use vm::maps::{MapsEntry, SmapsCounts};
use vm::{AddressSpace, Prot};

/// Bits of `coredump_filter`.
mod filter {
    pub const ANON_PRIVATE: u32 = 1 << 0;
    pub const ANON_SHARED: u32 = 1 << 1;
    pub const MAPPED_PRIVATE: u32 = 1 << 2;
    pub const MAPPED_SHARED: u32 = 1 << 3;
    pub const ELF_HEADERS: u32 = 1 << 4;
}

/// A mapping, and how to write it.
pub struct Part {
    /// Its program header.
    pub segment: Segment,
    /// Pages that are not in memory are not left out: they are a file's.
    of_file: bool,
}

/// All mappings, and those of files.
pub fn parts(mm: &AddressSpace, wanted: u32) -> SysResult<(Vec<Part>, Vec<FileMapping>)> {
    let mut parts = Vec::new();
    let mut files = Vec::new();
    for (area, counts) in mm.smaps()? {
        let of_file = area.ino != 0;
        let dumped = if is_dumped(mm, &area, &counts, wanted) {
            area.end - area.start
        } else if has_elf_header(mm, &area, wanted) {
            PAGE_SIZE
        } else {
            0
        };
        let flag = |prot, flag| if area.prot.contains(prot) { flag } else { 0 };
        let flags = flag(Prot::READ, PF_R) | flag(Prot::WRITE, PF_W) | flag(Prot::EXEC, PF_X);
        parts.push(Part { segment: Segment { start: area.start, end: area.end, dumped, flags }, of_file });
        if of_file {
            files.push(FileMapping { start: area.start, end: area.end, offset: area.offset, path: area.path });
        }
    }
    Ok((parts, files))
}

fn is_dumped(mm: &AddressSpace, area: &MapsEntry, counts: &SmapsCounts, wanted: u32) -> bool {
    if area.path == b"[vdso]" {
        return true;
    }
    // Clock data, and what holds the jumps of call sites.
    if area.flags.contains(VmFlags::DONTDUMP) || area.path == b"[vvar]" || area.path == b"[skiff-calls]" {
        return false;
    }
    if area.shared {
        let deleted = area.path.ends_with(b" (deleted)");
        return wanted & if deleted { filter::ANON_SHARED } else { filter::MAPPED_SHARED } != 0;
    }
    if area.ino == 0 {
        return wanted & filter::ANON_PRIVATE != 0;
    }
    let changed = || match area.prot.contains(Prot::EXEC) && !area.prot.contains(Prot::WRITE) {
        // Pages that were copied for the jumps of call sites alone have nothing of the program's.
        true => counts.anonymous > 0 && differs_from_file(mm, area),
        false => counts.anonymous > 0,
    };
    wanted & filter::MAPPED_PRIVATE != 0 || wanted & filter::ANON_PRIVATE != 0 && changed()
}

/// The first page of a program or library tells debuggers which one it is.
fn has_elf_header(mm: &AddressSpace, area: &MapsEntry, wanted: u32) -> bool {
    let mut magic = [0; 4];
    wanted & filter::ELF_HEADERS != 0
        && area.ino != 0
        && area.offset == 0
        && area.prot.contains(Prot::READ)
        && mm.read(area.start, &mut magic) == magic.len()
        && magic == *b"\x7fELF"
}

fn differs_from_file(mm: &AddressSpace, area: &MapsEntry) -> bool {
    let Some((file, _)) = mm.file_at(area.start) else { return true };
    let mut ours = vec![0; PAGE_SIZE as usize];
    let mut theirs = vec![0; PAGE_SIZE as usize];
    mm.present(area.start, area.end).into_iter().any(|(start, end)| {
        (start..end).step_by(PAGE_SIZE as usize).any(|at| {
            if mm.page(at).is_none_or(|page| !page.anonymous) {
                return false;
            }
            let page = file.mapping().get_or_create((area.offset + at - area.start) / PAGE_SIZE);
            let got = page.map(|page| page.read(0, &mut theirs));
            read(mm, at, &mut ours);
            got.is_err() || ours != theirs
        })
    })
}

/// The program's own bytes: where a call site is a jump, what stood there.
fn read(mm: &AddressSpace, at: u64, page: &mut [u8]) -> usize {
    let n = mm.read(at, page);
    mm.unpatched(at, page);
    n
}

/// Writes the contents of a mapping.
pub fn write(mm: &AddressSpace, part: &Part, to: &mut Output) -> SysResult<()> {
    let Segment { start, dumped, .. } = part.segment;
    let end = start + dumped;
    let ranges = if part.of_file && dumped > 0 { vec![(start, end)] } else { mm.present(start, end) };
    let mut page = vec![0; PAGE_SIZE as usize];
    let mut at = start;
    for (from, to_end) in ranges {
        to.skip(from - at);
        for address in (from..to_end).step_by(PAGE_SIZE as usize) {
            // A page beyond the end of its file, or one that was taken meanwhile, reads as zeroes.
            match read(mm, address, &mut page) {
                n if n == page.len() && page.iter().any(|byte| *byte != 0) => to.put(&page)?,
                _ => to.skip(PAGE_SIZE),
            }
        }
        at = to_end;
    }
    to.skip(end - at);
    Ok(())
}
