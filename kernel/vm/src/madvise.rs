//! madvise(2), mincore(2) and msync(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use syscall_shim::{Errno, SysResult};

use super::address_space::{AddressSpace, Area, Locked};
use super::fault;
use super::flags::{Access, FaultError, HUGE_SIZE, PAGE_SIZE, USER_END, VmFlags, page_up, page_up_wrapping};
use super::object::{MappedFile, Object};

/// `MADV_*` of madvise(2), by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Advice {
    Normal,
    Random,
    Sequential,
    WillNeed,
    DontNeed,
    Free,
    Remove,
    DontFork,
    DoFork,
    Mergeable,
    Unmergeable,
    HugePage,
    NoHugePage,
    DontDump,
    DoDump,
    WipeOnFork,
    KeepOnFork,
    Cold,
    PageOut,
    PopulateRead,
    PopulateWrite,
    DontNeedLocked,
    GuardInstall,
    GuardRemove,
}

impl Advice {
    /// The advice with this number; `EINVAL` for others (and for `MADV_COLLAPSE`, as where nothing
    /// can be collapsed).
    pub fn from_raw(raw: i32) -> SysResult<Self> {
        Ok(match raw {
            0 => Advice::Normal,
            1 => Advice::Random,
            2 => Advice::Sequential,
            3 => Advice::WillNeed,
            4 => Advice::DontNeed,
            8 => Advice::Free,
            9 => Advice::Remove,
            10 => Advice::DontFork,
            11 => Advice::DoFork,
            12 => Advice::Mergeable,
            13 => Advice::Unmergeable,
            14 => Advice::HugePage,
            15 => Advice::NoHugePage,
            16 => Advice::DontDump,
            17 => Advice::DoDump,
            18 => Advice::WipeOnFork,
            19 => Advice::KeepOnFork,
            20 => Advice::Cold,
            21 => Advice::PageOut,
            22 => Advice::PopulateRead,
            23 => Advice::PopulateWrite,
            24 => Advice::DontNeedLocked,
            102 => Advice::GuardInstall,
            103 => Advice::GuardRemove,
            _ => return Err(Errno::EINVAL),
        })
    }
}

/// A hole to punch once the lock is free: the file keeps its own locks.
type Hole = (Arc<dyn MappedFile>, u64, u64);

impl AddressSpace {
    /// Applies advice to the range. Holes give `ENOMEM` after everything mapped was advised, as in
    /// Linux.
    pub fn madvise(&self, addr: u64, len: u64, advice: Advice) -> SysResult<()> {
        let (start, end) = aligned_range(addr, len, Errno::EINVAL)?;
        if start == end {
            return Ok(());
        }
        let mut locked = self.lock();
        match advice {
            Advice::PopulateRead => return locked.populate(start, end, Some(Access::READ)).map_err(populate_error),
            Advice::PopulateWrite => return locked.populate(start, end, Some(Access::WRITE)).map_err(populate_error),
            _ => {}
        }
        let whole = locked.inner.areas.covers(start, end);
        let parts: Vec<Area> = locked.inner.areas.overlapping(start, end).map(|a| a.clip(start, end)).collect();
        let mut holes: Vec<Hole> = Vec::new();
        let mut result = Ok(());
        for part in &parts {
            result = locked.advise(part, advice, &mut holes);
            if result.is_err() {
                break;
            }
        }
        drop(locked);
        for (file, from, to) in holes {
            file.punch_hole(from, to)?;
        }
        result?;
        if whole { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// For each page from `addr`, bit 0 says whether it is in memory. `ENOMEM` at the first page
    /// that is not mapped.
    pub fn mincore(&self, addr: u64, vec: &mut [u8]) -> SysResult<()> {
        let inner = self.inner.read();
        for (i, slot) in vec.iter_mut().enumerate() {
            let at = addr + i as u64 * PAGE_SIZE;
            let area = inner.areas.find(at).ok_or(Errno::ENOMEM)?;
            let mapped = inner.table.leaf(at).is_some();
            let cached = || {
                let file = area.backing.as_ref().and_then(Object::file)?;
                file.mapping().get_page(area.offset_of(at) / PAGE_SIZE)
            };
            *slot = u8::from(mapped || cached().is_some());
        }
        Ok(())
    }

    /// msync(2): `sync` waits until shared file mappings of the range are durable, `invalidate`
    /// refuses locked memory.
    pub fn msync(&self, addr: u64, len: u64, sync: bool, invalidate: bool) -> SysResult<()> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        // As in Linux, a length that rounds up to nothing is no length.
        let (start, end) = (addr, addr.checked_add(page_up_wrapping(len)).ok_or(Errno::ENOMEM)?);
        if start == end {
            return Ok(());
        }
        let inner = self.inner.read();
        let whole = inner.areas.covers(start, end);
        let mut files: Vec<Hole> = Vec::new();
        for part in inner.areas.overlapping(start, end).map(|a| a.clip(start, end)) {
            if invalidate && part.flags.contains(VmFlags::LOCKED) {
                return Err(Errno::EBUSY);
            }
            if let Some(file) = part.backing.as_ref().and_then(Object::file)
                && sync
                && part.flags.contains(VmFlags::SHARED)
            {
                files.push((file.clone(), part.offset, part.offset + part.size()));
            }
        }
        drop(inner);
        for (file, from, to) in files {
            file.sync(from, to)?;
        }
        if whole { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// `PR_SET_VMA_ANON_NAME` of prctl(2): names the anonymous areas of the range for
    /// `/proc/PID/maps`; `None` unnames.
    pub fn set_anon_name(&self, addr: u64, len: u64, name: Option<&[u8]>) -> SysResult<()> {
        let (start, end) = aligned_range(addr, len, Errno::EINVAL)?;
        let mut locked = self.lock();
        let whole = locked.inner.areas.covers(start, end);
        if locked.inner.areas.overlapping(start, end).any(|a| a.backing.is_some()) {
            return Err(Errno::EBADF);
        }
        let name: Option<Arc<[u8]>> = name.map(Arc::from);
        locked.inner.areas.update(start, end, |a| a.name = name.clone());
        if whole { Ok(()) } else { Err(Errno::ENOMEM) }
    }
}

/// What madvise(2) says about a page that cannot be made present.
fn populate_error(e: FaultError) -> Errno {
    match e {
        FaultError::Maperr | FaultError::Oom => Errno::ENOMEM,
        FaultError::Accerr => Errno::EINVAL,
        FaultError::BusAdrerr => Errno::EFAULT,
    }
}

/// `EINVAL` for a start inside a page; `wrap` for a range that passes the end of the address space.
fn aligned_range(addr: u64, len: u64, wrap: Errno) -> SysResult<(u64, u64)> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(len).and_then(|len| addr.checked_add(len)).ok_or(wrap)?;
    Ok((addr, end))
}

impl Locked<'_> {
    /// Advice for one area part.
    fn advise(&mut self, part: &Area, advice: Advice, holes: &mut Vec<Hole>) -> SysResult<()> {
        let discards = matches!(
            advice,
            Advice::Free
                | Advice::DontNeed
                | Advice::DontNeedLocked
                | Advice::Remove
                | Advice::DontFork
                | Advice::WipeOnFork
        );
        if discards && part.keeps_contents() {
            return Err(Errno::EPERM);
        }
        let locked = part.flags.contains(VmFlags::LOCKED);
        let special = part.flags.contains(VmFlags::DONTEXPAND);
        let kernels = special && !part.flags.contains(VmFlags::MAYWRITE);
        let file = part.backing.as_ref().and_then(Object::file);
        let (set, clear) = match advice {
            Advice::Normal => (VmFlags::empty(), VmFlags::SEQ_READ | VmFlags::RAND_READ),
            Advice::Random => (VmFlags::RAND_READ, VmFlags::SEQ_READ),
            Advice::Sequential => (VmFlags::SEQ_READ, VmFlags::RAND_READ),
            Advice::DontFork => (VmFlags::DONTCOPY, VmFlags::empty()),
            Advice::DoFork => (VmFlags::empty(), VmFlags::DONTCOPY),
            Advice::Mergeable => (VmFlags::MERGEABLE, VmFlags::empty()),
            Advice::Unmergeable => (VmFlags::empty(), VmFlags::MERGEABLE),
            Advice::HugePage => (VmFlags::HUGEPAGE, VmFlags::NOHUGEPAGE),
            Advice::NoHugePage => (VmFlags::NOHUGEPAGE, VmFlags::HUGEPAGE),
            Advice::DontDump => (VmFlags::DONTDUMP, VmFlags::empty()),
            Advice::DoDump if special || part.flags.contains(VmFlags::DROPPABLE) => return Err(Errno::EINVAL),
            Advice::DoDump => (VmFlags::empty(), VmFlags::DONTDUMP),
            Advice::WipeOnFork if part.backing.is_some() => return Err(Errno::EINVAL),
            Advice::WipeOnFork => (VmFlags::WIPEONFORK, VmFlags::empty()),
            Advice::KeepOnFork if part.flags.contains(VmFlags::DROPPABLE) => return Err(Errno::EINVAL),
            Advice::KeepOnFork => (VmFlags::empty(), VmFlags::WIPEONFORK),
            Advice::Cold | Advice::PageOut | Advice::DontNeed | Advice::Free if locked => return Err(Errno::EINVAL),
            // Pages that nobody but the kernel has.
            Advice::Cold | Advice::PageOut | Advice::DontNeed | Advice::Free | Advice::DontNeedLocked if kernels => {
                return Err(Errno::EINVAL);
            }
            // There is nowhere to page out to.
            Advice::Cold | Advice::PageOut => return Ok(()),
            Advice::WillNeed => return self.will_need(part),
            Advice::Free if part.backing.is_some() => return Err(Errno::EINVAL),
            // `MADV_FREE` lets the kernel take the pages whenever it likes; it likes to at once.
            Advice::DontNeed | Advice::Free | Advice::DontNeedLocked => return self.drop_pages(part),
            Advice::Remove => {
                if locked {
                    return Err(Errno::EINVAL);
                }
                let file = file.ok_or(Errno::EINVAL)?;
                if !part.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE) {
                    return Err(Errno::EACCES);
                }
                holes.push((file.clone(), part.offset, part.offset + part.size()));
                return Ok(());
            }
            Advice::PopulateRead | Advice::PopulateWrite => return Ok(()),
            Advice::GuardInstall if locked || special => return Err(Errno::EINVAL),
            Advice::GuardRemove if special => return Err(Errno::EINVAL),
            Advice::GuardInstall => {
                self.drop_pages(part)?;
                (VmFlags::GUARD, VmFlags::empty())
            }
            Advice::GuardRemove => (VmFlags::empty(), VmFlags::GUARD),
        };
        self.inner.areas.update(part.start, part.end, |a| a.flags = (a.flags - clear) | set);
        Ok(())
    }

    /// Takes the pages of the part out; they come back as zeroes or from the file.
    fn drop_pages(&mut self, part: &Area) -> SysResult<()> {
        self.forget_sites(part.start, part.end);
        let (_, mut pages) = self.parts();
        pages.split_edges(part.start, part.end)?;
        pages.zap(part, part.start, part.end, true);
        if part.size() >= HUGE_SIZE {
            pages.table.free_unused(part.start, part.end, &(part.start..part.end), pages.batch);
        }
        Ok(())
    }

    /// Maps pages of files that are in memory already. Files on tmpfs always are.
    fn will_need(&mut self, part: &Area) -> SysResult<()> {
        let (_, mut pages) = self.parts();
        if let Some(file) = part.backing.as_ref().and_then(Object::file)
            && !part.prot.is_empty()
            && !part.flags.contains(VmFlags::GUARD)
        {
            for at in (part.start..part.end).step_by((fault::FAULT_AROUND * PAGE_SIZE) as usize) {
                pages.faults().fault_around(part, &**file, at);
            }
        }
        Ok(())
    }
}

/// The pages that mincore(2) reports on: `EINVAL` for a start inside a page, `ENOMEM` outside of
/// application memory.
pub fn mincore_pages(addr: u64, len: u64) -> SysResult<usize> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    if addr > USER_END || len > USER_END - addr {
        return Err(Errno::ENOMEM);
    }
    Ok(len.div_ceil(PAGE_SIZE) as usize)
}
