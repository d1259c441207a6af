//! The files of a process that show or change its memory: `maps`, `smaps`, `statm`, `mem`,
//! `pagemap`, `cmdline`, `environ`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use fs::OpenFlags;
use fs::inode::{FileHandle, Seeking};
use fs::pseudo::format as text;
use syscall_shim::{Errno, SysResult};

use super::target::Target;
use fd::capable;
use mem::{heap, vsyscall};
use vm::flags::{HUGE_SIZE, PAGE_SIZE, USER_END};
use vm::huge_policy;
use vm::maps::{MapsEntry, MemoryUse, SmapsCounts, vm_flags_line};
use vm::{AddressSpace, Prot};

const CAP_SYS_ADMIN: u32 = 21;

fn map_entry(entry: MapsEntry) -> text::MapEntry {
    text::MapEntry {
        start: entry.start,
        end: entry.end,
        read: entry.prot.contains(Prot::READ),
        write: entry.prot.contains(Prot::WRITE),
        exec: entry.prot.contains(Prot::EXEC),
        shared: entry.shared,
        offset: entry.offset,
        dev: entry.dev,
        ino: entry.ino,
        name: entry.path,
    }
}

/// What all have where the kernel is.
fn gate() -> text::MapEntry {
    text::MapEntry {
        start: vsyscall::ADDRESS,
        end: vsyscall::ADDRESS + PAGE_SIZE,
        read: false,
        write: false,
        exec: true,
        shared: false,
        offset: 0,
        dev: 0,
        ino: 0,
        name: b"[vsyscall]".to_vec(),
    }
}

/// `maps`
pub fn maps(target: &Target) -> SysResult<Vec<u8>> {
    let Some(mm) = target.mm()? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    let areas = mm.maps()?;
    entries.try_reserve_exact(areas.len() + 1).map_err(|_| Errno::ENOMEM)?;
    entries.extend(areas.into_iter().map(map_entry));
    entries.push(gate());
    text::maps(&entries).map_err(|_| Errno::ENOMEM)
}

/// Longer than any line of `numa_maps` without its path.
const NUMA_LINE: usize = 200;

/// `numa_maps`: one line for each area, by where its pages are: on the one node that there is.
pub fn numa_maps(target: &Target) -> SysResult<Vec<u8>> {
    let mut out = String::new();
    let areas = target.mm()?.map_or_else(|| Ok(Vec::new()), |mm| mm.smaps())?;
    for (entry, counts) in areas {
        out.try_reserve(entry.path.len() + NUMA_LINE).map_err(|_| Errno::ENOMEM)?;
        out += &format!("{:08x} default", entry.start);
        match entry.path.as_slice() {
            b"[heap]" => out += " heap",
            b"[stack]" => out += " stack",
            path if path.starts_with(b"/") => out += &format!(" file={}", String::from_utf8_lossy(path)),
            _ => {}
        }
        let (anon, all) = (counts.anonymous / PAGE_SIZE, counts.rss / PAGE_SIZE);
        let dirty = (counts.shared_dirty + counts.private_dirty) / PAGE_SIZE;
        let rows = [(" anon=", anon), (" dirty=", dirty), (" mapped=", all.saturating_sub(anon))];
        for (name, pages) in rows.into_iter().filter(|(_, pages)| *pages > 0) {
            out += &format!("{name}{pages}");
        }
        if all > 0 {
            out += &format!(" N0={all} kernelpagesize_kB=4");
        }
        out.push('\n');
    }
    Ok(out.into_bytes())
}

fn smaps_entry((entry, counts): (MapsEntry, SmapsCounts)) -> text::SmapsEntry {
    let pss = counts.pss_x4096 / PAGE_SIZE;
    let dirty = counts.shared_dirty + counts.private_dirty;
    let (pss_anon, pss_file) = if counts.anonymous == counts.rss { (pss, 0) } else { (0, pss) };
    text::SmapsEntry {
        rss: counts.rss,
        pss,
        // Exact where the area's pages are all of one kind, a share otherwise.
        pss_dirty: if counts.rss == 0 { 0 } else { pss * dirty / counts.rss },
        pss_anon,
        pss_file,
        pss_shmem: 0,
        shared_clean: counts.shared_clean,
        shared_dirty: counts.shared_dirty,
        private_clean: counts.private_clean,
        private_dirty: counts.private_dirty,
        referenced: counts.referenced,
        anonymous: counts.anonymous,
        lazy_free: 0,
        anon_huge: counts.anon_huge,
        locked: counts.locked,
        thp_eligible: entry.dev == 0
            && !entry.shared
            && entry.end - entry.start >= HUGE_SIZE
            && huge_policy::eligible(entry.flags),
        vm_flags: vm_flags_line(entry.prot, entry.flags).into_bytes(),
        map: map_entry(entry),
    }
}

fn smaps_entries(target: &Target) -> SysResult<Vec<text::SmapsEntry>> {
    let Some(mm) = target.mm()? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    let areas = mm.smaps()?;
    entries.try_reserve_exact(areas.len()).map_err(|_| Errno::ENOMEM)?;
    for area in areas {
        heap::check()?;
        entries.push(smaps_entry(area));
    }
    Ok(entries)
}

/// `smaps`
pub fn smaps(target: &Target) -> SysResult<Vec<u8>> {
    text::smaps(&smaps_entries(target)?).map_err(|_| Errno::ENOMEM)
}

/// `smaps_rollup`
pub fn smaps_rollup(target: &Target) -> SysResult<Vec<u8>> {
    target.mm()?.ok_or(Errno::ESRCH)?;
    Ok(text::smaps_rollup(&smaps_entries(target)?))
}

/// The figures of `status`, `stat` and `statm`.
pub fn vm_status(memory: &MemoryUse) -> text::VmStatus {
    text::VmStatus {
        peak: memory.vm_peak,
        size: memory.vm_size,
        locked: memory.vm_lck,
        hwm: memory.vm_hwm,
        rss_anon: memory.rss_anon,
        rss_file: memory.rss_file,
        rss_shmem: memory.rss_shmem,
        data: memory.vm_data,
        stack: memory.vm_stk,
        exe: memory.vm_exe,
        lib: memory.vm_lib,
        page_tables: memory.vm_pte,
    }
}

/// `statm`
pub fn statm(target: &Target) -> SysResult<Vec<u8>> {
    let memory = target.mm()?.map(|mm| mm.memory_use()).unwrap_or_default();
    Ok(text::statm(&vm_status(&memory)))
}

fn read_range(mm: &AddressSpace, start: u64, end: u64) -> Vec<u8> {
    /// More than execve(2) lets strings take.
    const MAX_STRINGS: u64 = 8 << 20;
    let mut bytes = vec![0; end.saturating_sub(start).min(MAX_STRINGS) as usize];
    let got = mm.read(start, &mut bytes);
    bytes.truncate(got);
    bytes
}

/// `environ`: as it lies on the stack, with what the program made of it.
pub fn environ(target: &Target) -> SysResult<Vec<u8>> {
    let Some(mm) = target.mm()? else { return Ok(Vec::new()) };
    let layout = mm.layout();
    Ok(read_range(&mm, layout.env_start, layout.env_end))
}

/// `cmdline`: the arguments as they lie on the stack. A program that has overwritten the last one's
/// NUL to show a longer title is read on into the environment, up to the first NUL
/// (proc_pid_cmdline(5)).
pub fn cmdline(target: &Target) -> SysResult<Vec<u8>> {
    let Some(mm) = target.mm()? else { return Ok(Vec::new()) };
    let layout = mm.layout();
    let arguments = read_range(&mm, layout.arg_start, layout.arg_end);
    if arguments.last().is_none_or(|byte| *byte == 0) {
        return Ok(arguments);
    }
    let mut title = read_range(&mm, layout.arg_start, layout.env_end.max(layout.arg_end));
    let end = title.iter().position(|byte| *byte == 0).map_or(title.len(), |nul| nul + 1);
    title.truncate(end);
    Ok(title)
}

/// `auxv`
pub fn auxv(target: &Target) -> SysResult<Vec<u8>> {
    if target.mm()?.is_none() {
        return Ok(Vec::new());
    }
    Ok(text::auxv(&target.process()?.auxv.lock()))
}

/// `clear_refs`. 5 starts the peak of the resident set anew. The kernel keeps no soft-dirty bits,
/// and it is the processor that sets the referenced ones.
pub fn clear_refs(target: &Target, bytes: &[u8]) -> SysResult<()> {
    let mm = target.mm()?.ok_or(Errno::ESRCH)?;
    match bytes.trim_ascii() {
        b"1" | b"2" | b"3" => mm.clear_referenced(bytes.trim_ascii() != b"3", bytes.trim_ascii() != b"2"),
        b"5" => mm.reset_peak_rss(),
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// An open `mem`: it stays with the memory that there was when it was opened, which is empty once
/// nobody has it any more.
struct Mem(Arc<AddressSpace>);

/// Opens `mem`.
pub fn open_mem(target: &Target, _flags: OpenFlags) -> SysResult<Arc<dyn FileHandle>> {
    target.check_access()?;
    Ok(Arc::new(Mem(target.mm()?.ok_or(Errno::ESRCH)?)))
}

impl FileHandle for Mem {
    fn seeking(&self) -> Seeking {
        Seeking::Memory
    }

    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize> {
        match self.0.read(off, buf) {
            0 if !buf.is_empty() && self.0.is_used() => Err(Errno::EIO),
            got => Ok(got),
        }
    }

    fn write_at(&self, off: u64, buf: &[u8]) -> SysResult<usize> {
        match self.0.write(off, buf) {
            0 if !buf.is_empty() && self.0.is_used() => Err(Errno::EIO),
            put => Ok(put),
        }
    }
}

/// An open `pagemap`: a word of 64 bits for each page of the address space
/// (Documentation/admin-guide/mm/pagemap.rst).
struct PageMap {
    mm: Arc<AddressSpace>,
    /// Frame numbers are for those who may use them.
    frames: bool,
}

/// Bytes of an entry.
const ENTRY: u64 = 8;
const PRESENT: u64 = 1 << 63;
const FILE_OR_SHARED: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;

/// Opens `pagemap`.
pub fn open_pagemap(target: &Target, _flags: OpenFlags) -> SysResult<Arc<dyn FileHandle>> {
    target.check_access()?;
    let mm = target.mm()?.ok_or(Errno::ESRCH)?;
    Ok(Arc::new(PageMap { mm, frames: capable(CAP_SYS_ADMIN) }))
}

impl FileHandle for PageMap {
    fn seeking(&self) -> Seeking {
        Seeking::Memory
    }

    /// Whole entries only: `EINVAL` otherwise.
    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize> {
        if !off.is_multiple_of(ENTRY) || !(buf.len() as u64).is_multiple_of(ENTRY) {
            return Err(Errno::EINVAL);
        }
        let mut done = 0;
        for word in buf.chunks_exact_mut(ENTRY as usize) {
            let addr = (off + done) / ENTRY * PAGE_SIZE;
            if addr >= USER_END {
                break;
            }
            let entry = self.mm.page(addr).map_or(0, |page| {
                let frame = if self.frames { page.phys / PAGE_SIZE } else { 0 };
                let kind = if page.anonymous { 0 } else { FILE_OR_SHARED };
                let exclusive = if page.exclusive { EXCLUSIVE } else { 0 };
                PRESENT | kind | exclusive | frame
            });
            word.copy_from_slice(&entry.to_le_bytes());
            done += ENTRY;
        }
        Ok(done as usize)
    }

    fn write_at(&self, _off: u64, _buf: &[u8]) -> SysResult<usize> {
        Err(Errno::EINVAL)
    }
}
