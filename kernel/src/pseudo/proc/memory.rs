//! The files of `/proc/PID` about its memory.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::Ordering;

use fs::pseudo::{NodeSpec, PseudoNode, format as text};
use fs::{FileHandle, InodeRef};
use syscall_shim::{Errno, SysResult};

use super::task_dir::Target;
use crate::mm::maps::{MapsEntry, MemoryUse, SmapsCounts, vm_flags_line};
use crate::mm::{AddressSpace, Prot, frames};

/// The most of the arguments and of the environment that is shown.
const STRINGS_LIMIT: u64 = 2 << 20;

/// The address space; `None` for a zombie.
fn space(t: &Target) -> SysResult<Option<Arc<AddressSpace>>> {
    let process = t.process()?;
    Ok((!process.zombie.load(Ordering::Acquire)).then(|| process.mm()))
}

fn strings(t: &Target, range: impl Fn(&AddressSpace) -> (u64, u64)) -> SysResult<Vec<u8>> {
    let Some(mm) = space(t)? else { return Ok(Vec::new()) };
    let (start, end) = range(&mm);
    let mut bytes = vec![0; end.saturating_sub(start).min(STRINGS_LIMIT) as usize];
    let n = mm.read(start, &mut bytes);
    bytes.truncate(n);
    Ok(bytes)
}

/// `/proc/PID/cmdline`.
pub fn cmdline(t: &Target) -> SysResult<Vec<u8>> {
    strings(t, |mm| (mm.layout().arg_start, mm.layout().arg_end))
}

/// `/proc/PID/environ`.
pub fn environ(t: &Target) -> SysResult<Vec<u8>> {
    strings(t, |mm| (mm.layout().env_start, mm.layout().env_end))
}

fn map_entry(e: MapsEntry) -> text::MapEntry {
    text::MapEntry {
        start: e.start,
        end: e.end,
        read: e.prot.contains(Prot::READ),
        write: e.prot.contains(Prot::WRITE),
        exec: e.prot.contains(Prot::EXEC),
        shared: e.shared,
        offset: e.offset,
        dev: e.dev,
        ino: e.ino,
        name: e.path,
    }
}

/// `/proc/PID/maps`.
pub fn maps(t: &Target) -> SysResult<Vec<u8>> {
    let entries = space(t)?.map(|mm| mm.maps()).unwrap_or_default();
    Ok(text::maps(&entries.into_iter().map(map_entry).collect::<Vec<_>>()))
}

fn smaps_entry((e, c): (MapsEntry, SmapsCounts)) -> text::SmapsEntry {
    let pss = c.pss_x4096 / 4096;
    let anon = if c.rss == 0 { 0 } else { pss * c.anonymous / c.rss };
    text::SmapsEntry {
        rss: c.rss,
        pss,
        pss_dirty: if c.rss == 0 { 0 } else { pss * (c.shared_dirty + c.private_dirty) / c.rss },
        pss_anon: anon,
        pss_file: if e.shared { 0 } else { pss - anon },
        pss_shmem: if e.shared { pss - anon } else { 0 },
        shared_clean: c.shared_clean,
        shared_dirty: c.shared_dirty,
        private_clean: c.private_clean,
        private_dirty: c.private_dirty,
        referenced: c.referenced,
        anonymous: c.anonymous,
        lazy_free: 0,
        anon_huge: c.anon_huge,
        locked: c.locked,
        thp_eligible: false,
        vm_flags: vm_flags_line(e.prot, e.flags).into_bytes(),
        map: map_entry(e),
    }
}

fn smaps_entries(t: &Target) -> SysResult<Vec<text::SmapsEntry>> {
    let rows = space(t)?.map(|mm| mm.smaps()).unwrap_or_default();
    Ok(rows.into_iter().map(smaps_entry).collect())
}

/// `/proc/PID/smaps`.
pub fn smaps(t: &Target) -> SysResult<Vec<u8>> {
    Ok(text::smaps(&smaps_entries(t)?))
}

/// `/proc/PID/smaps_rollup`.
pub fn smaps_rollup(t: &Target) -> SysResult<Vec<u8>> {
    Ok(text::smaps_rollup(&smaps_entries(t)?))
}

/// The figures of `status` and `statm`.
pub fn vm_status(mm: &AddressSpace) -> text::VmStatus {
    let m: MemoryUse = mm.memory_use();
    text::VmStatus {
        peak: m.vm_peak,
        size: m.vm_size,
        locked: m.vm_lck,
        hwm: m.vm_hwm,
        rss_anon: m.rss_anon,
        rss_file: m.rss_file,
        rss_shmem: m.rss_shmem,
        data: m.vm_data,
        stack: m.vm_stk,
        exe: m.vm_exe,
        lib: m.vm_lib,
        page_tables: m.vm_pte,
    }
}

/// `/proc/PID/statm`.
pub fn statm(t: &Target) -> SysResult<Vec<u8>> {
    Ok(text::statm(&space(t)?.map(|mm| vm_status(&mm)).unwrap_or_default()))
}

/// `/proc/PID/oom_score`: the share of memory in thousandths, shifted by the adjustment (`oom_badness`).
pub fn oom_score(t: &Target) -> SysResult<Vec<u8>> {
    let adjust = i64::from(t.process()?.oom_score_adj.load(Ordering::Relaxed));
    let total = frames::stats().total as i64 * 4096;
    let used = space(t)?.map_or(0, |mm| mm.memory_use().vm_rss() as i64);
    let points = (used * 1000 / total.max(1) + adjust).clamp(0, 1000);
    // Printed on a scale where an idle process without adjustment has 666 (since Linux 5.10).
    Ok(format!("{}\n", (points + 1000) * 2 / 3).into_bytes())
}

fn number(bytes: &[u8]) -> SysResult<i32> {
    core::str::from_utf8(bytes).ok().and_then(|s| s.trim().parse().ok()).ok_or(Errno::EINVAL)
}

/// `/proc/PID/oom_score_adj`.
pub fn oom_score_adj(t: &Target) -> SysResult<Vec<u8>> {
    Ok(format!("{}\n", t.process()?.oom_score_adj.load(Ordering::Relaxed)).into_bytes())
}

/// Writing it. Less than before takes `CAP_SYS_RESOURCE`.
pub fn set_oom_score_adj(t: &Target, bytes: &[u8]) -> SysResult<()> {
    let value = number(bytes)?;
    if !(-1000..=1000).contains(&value) {
        return Err(Errno::EINVAL);
    }
    let process = t.process()?;
    if value < process.oom_score_adj.load(Ordering::Relaxed) && !crate::files::capable(fs::Cap::SysResource as u32) {
        return Err(Errno::EACCES);
    }
    process.oom_score_adj.store(value, Ordering::Relaxed);
    Ok(())
}

/// `/proc/PID/oom_adj`: the same on the old scale, -17 to 15.
pub fn oom_adj(t: &Target) -> SysResult<Vec<u8>> {
    let value = match t.process()?.oom_score_adj.load(Ordering::Relaxed) {
        1000 => 15,
        adjust => adjust * 17 / 1000,
    };
    Ok(format!("{value}\n").into_bytes())
}

/// Writing it.
pub fn set_oom_adj(t: &Target, bytes: &[u8]) -> SysResult<()> {
    match number(bytes)? {
        15 => set_oom_score_adj(t, b"1000"),
        value @ -17..=14 => set_oom_score_adj(t, format!("{}", value * 1000 / 17).as_bytes()),
        _ => Err(Errno::EINVAL),
    }
}

/// `/proc/PID/mem`, open: offsets are addresses.
struct Memory(Arc<AddressSpace>);

impl FileHandle for Memory {
    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize> {
        match self.0.read(off, buf) {
            0 if !buf.is_empty() => Err(Errno::EIO),
            n => Ok(n),
        }
    }
    fn write_at(&self, off: u64, buf: &[u8]) -> SysResult<usize> {
        match self.0.write(off, buf) {
            0 if !buf.is_empty() => Err(Errno::EIO),
            n => Ok(n),
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `/proc/PID/mem`.
pub fn mem(_dev: u64, target: Target, spec: NodeSpec) -> InodeRef {
    PseudoNode::opener(spec, move |_| {
        let mm = space(&target)?.ok_or(Errno::ESRCH)?;
        let handle: Arc<dyn FileHandle> = Arc::new(Memory(mm));
        Ok(handle)
    })
}
