//! Memory as the man pages tell of it: a table of pages, each with all that is to be known of it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use syscall_shim::{Errno, SysResult};

use super::env::STACK;
use crate::flags::{FaultError, MMAP_MIN_ADDR, PAGE_SIZE, Prot, STACK_GUARD_GAP, USER_END, VmFlags};
use crate::madvise::Advice;

/// A page is found here by its number, not its address.
pub type PageNumber = u64;

const MIN: PageNumber = MMAP_MIN_ADDR / PAGE_SIZE;
pub const END: PageNumber = USER_END / PAGE_SIZE;
const GAP: u64 = STACK_GUARD_GAP / PAGE_SIZE;
/// Pages that a read of a file brings in together.
const AROUND: u64 = 16;

/// Where a page of a file is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub file: usize,
    pub index: u64,
    /// What is written through the mapping may reach the file.
    pub writable: bool,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub prot: Prot,
    pub flags: VmFlags,
    pub source: Option<Source>,
    /// What the program's own page holds, if it has one here.
    pub own: Option<u64>,
    /// The file's page is present.
    pub mapped: bool,
}

impl Page {
    fn joins(&self, next: &Page) -> bool {
        self.prot == next.prot
            && self.flags == next.flags
            && self.source.map(|source| Source { index: source.index + 1, ..source }) == next.source
    }

    fn is_shared(&self) -> bool {
        self.flags.contains(VmFlags::SHARED)
    }

    /// Takes away what is present.
    fn drop_content(&mut self) {
        (self.own, self.mapped) = (None, false);
    }

    fn present(&self) -> bool {
        self.own.is_some() || self.mapped
    }
}

/// A file: the pages of it that are in memory.
#[derive(Default)]
pub struct File {
    pub pages: u64,
    pub cached: BTreeMap<u64, u64>,
    pub shmem: bool,
    /// Promised for it as long as anybody maps it.
    pub charged: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    Read,
    Write(u64),
    Execute,
}

/// An address space.
#[derive(Clone, Default)]
pub struct Space {
    pub pages: BTreeMap<PageNumber, Page>,
}

impl Space {
    /// The area that holds the page.
    pub fn area(&self, page: PageNumber) -> Range<PageNumber> {
        let (mut start, mut end) = (page, page + 1);
        while let (Some(below), Some(first)) = (self.pages.get(&(start.wrapping_sub(1))), self.pages.get(&start))
            && below.joins(first)
        {
            start -= 1;
        }
        while let (Some(last), Some(above)) = (self.pages.get(&(end - 1)), self.pages.get(&end))
            && last.joins(above)
        {
            end += 1;
        }
        start..end
    }

    /// All areas.
    pub fn areas(&self) -> Vec<Range<PageNumber>> {
        let mut areas = Vec::new();
        let mut at = 0;
        while let Some((page, _)) = self.pages.range(at..).next() {
            let area = self.area(*page);
            at = area.end;
            areas.push(area);
        }
        areas
    }

    pub fn is_free(&self, range: Range<PageNumber>) -> bool {
        self.pages.range(range).next().is_none()
    }

    /// Whether a new area may be placed there: clear of the stacks above, too.
    pub fn has_room(&self, range: Range<PageNumber>) -> bool {
        let above = self.pages.range(range.start..).next();
        let bound =
            above.map_or(
                END,
                |(page, next)| {
                    if next.flags.contains(VmFlags::GROWSDOWN) { page.saturating_sub(GAP) } else { *page }
                },
            );
        range.end <= bound && range.end <= END
    }

    fn is_whole(&self, range: Range<PageNumber>) -> bool {
        self.pages.range(range.clone()).count() as u64 == range.end - range.start
    }

    pub fn count(&self, flag: VmFlags) -> u64 {
        self.pages.values().filter(|page| page.flags.contains(flag)).count() as u64
    }

    pub fn unmap(&mut self, range: Range<PageNumber>) {
        let gone: Vec<_> = self.pages.range(range).map(|(page, _)| *page).collect();
        gone.iter().for_each(|page| _ = self.pages.remove(page));
    }

    /// New pages like `first`, the first of them.
    pub fn insert(&mut self, range: Range<PageNumber>, first: &Page) {
        for (n, at) in range.enumerate() {
            let source = first.source.map(|source| Source { index: source.index + n as u64, ..source });
            self.pages.insert(at, Page { source, own: None, mapped: false, ..first.clone() });
        }
    }

    pub fn protect(&mut self, range: Range<PageNumber>, prot: Prot) -> SysResult<()> {
        for at in range {
            let page = self.pages.get_mut(&at).ok_or(Errno::ENOMEM)?;
            let may = [(Prot::READ, VmFlags::MAYREAD), (Prot::WRITE, VmFlags::MAYWRITE), (Prot::EXEC, VmFlags::MAYEXEC)];
            if may.iter().any(|(wanted, may)| prot.contains(*wanted) && !page.flags.contains(*may)) {
                return Err(Errno::EACCES);
            }
            if prot.contains(Prot::WRITE) && !page.flags.intersects(VmFlags::SHARED | VmFlags::NORESERVE) {
                page.flags |= VmFlags::ACCOUNT;
            }
            page.prot = prot;
        }
        Ok(())
    }

    /// Brings in what the program touches, as far as it may.
    pub fn touch(&mut self, at: PageNumber, touch: Touch, files: &mut [File]) -> Result<u64, FaultError> {
        if !self.pages.contains_key(&at) {
            self.grow(at)?;
        }
        self.fault(at, touch, files)?;
        let page = self.pages.get_mut(&at).ok_or(FaultError::Maperr)?;
        match (page.source.filter(|_| page.own.is_none()), touch) {
            (Some(source), Touch::Write(value)) => _ = files[source.file].cached.insert(source.index, value),
            (None, Touch::Write(value)) => page.own = Some(value),
            (Some(source), _) => return Ok(files[source.file].cached[&source.index]),
            (None, _) => return Ok(page.own.unwrap_or(0)),
        }
        Ok(0)
    }

    fn grow(&mut self, at: PageNumber) -> Result<(), FaultError> {
        let (&start, first) = self.pages.range(at..).next().ok_or(FaultError::Maperr)?;
        let first = first.clone();
        let crowded = self.pages.range(..at).next_back().is_some_and(|(below, page)| {
            !page.flags.contains(VmFlags::GROWSDOWN) && !page.prot.is_empty() && at - (below + 1) < GAP
        });
        let is_stack = first.flags.contains(VmFlags::GROWSDOWN);
        if !is_stack || at < MIN || crowded || (self.area(start).end - at) * PAGE_SIZE > STACK {
            return Err(FaultError::Maperr);
        }
        self.insert(at..start, &first);
        Ok(())
    }

    /// A fault, if there is one, in a page that is mapped.
    fn fault(&mut self, at: PageNumber, touch: Touch, files: &mut [File]) -> Result<(), FaultError> {
        let area = self.area(at);
        let page = self.pages.get_mut(&at).ok_or(FaultError::Maperr)?;
        let allowed = match touch {
            Touch::Read => !page.prot.is_empty(),
            Touch::Write(_) => page.prot.contains(Prot::WRITE),
            Touch::Execute => page.prot.contains(Prot::EXEC),
        };
        if page.flags.contains(VmFlags::GUARD) {
            return Err(FaultError::Maperr);
        }
        if !allowed {
            return Err(FaultError::Accerr);
        }
        let write = matches!(touch, Touch::Write(_));
        let Some(source) = page.source else {
            if write {
                page.own.get_or_insert(0);
            }
            return Ok(());
        };
        let copies = write && !page.is_shared();
        if page.own.is_some() || page.mapped && !copies {
            return Ok(());
        }
        let file = &mut files[source.file];
        if source.index >= file.pages {
            return Err(FaultError::BusAdrerr);
        }
        let content = *file.cached.entry(source.index).or_default();
        if copies {
            (page.own, page.mapped) = (Some(content), false);
            return Ok(());
        }
        page.mapped = true;
        if !write && !page.flags.contains(VmFlags::RAND_READ) {
            self.fault_around(at, area, files);
        }
        Ok(())
    }

    /// Pages of the file around `at` that are in memory come along.
    fn fault_around(&mut self, at: PageNumber, within: Range<PageNumber>, files: &[File]) {
        let base = at - at % AROUND;
        for (_, page) in self.pages.range_mut(base.max(within.start)..(base + AROUND).min(within.end)) {
            let cached = |source: Source| {
                let file = &files[source.file];
                source.index < file.pages && file.cached.contains_key(&source.index)
            };
            if !page.present() && page.source.is_some_and(cached) {
                page.mapped = true;
            }
        }
    }

    /// Makes the pages present; `write: None` as mlock(2) does.
    pub fn populate(&mut self, range: Range<PageNumber>, write: Option<bool>, files: &mut [File]) -> Result<(), FaultError> {
        for at in range {
            let page = self.pages.get(&at).ok_or(FaultError::Maperr)?;
            if page.flags.contains(VmFlags::GUARD) {
                return Err(FaultError::BusAdrerr);
            }
            let writes = write.unwrap_or(page.prot.contains(Prot::WRITE) && !page.is_shared());
            self.fault(at, if writes { Touch::Write(0) } else { Touch::Read }, files)?;
        }
        Ok(())
    }

    pub fn fork(&self) -> Self {
        let mut child = Self::default();
        for (at, page) in self.pages.iter().filter(|(_, page)| !page.flags.contains(VmFlags::DONTCOPY)) {
            let mut copy = page.clone();
            copy.flags -= VmFlags::LOCKED | VmFlags::LOCKONFAULT;
            copy.mapped = false;
            if page.flags.contains(VmFlags::WIPEONFORK) {
                copy.own = None;
            }
            child.pages.insert(*at, copy);
        }
        child
    }

    pub fn lock(&mut self, range: Range<PageNumber>, on_fault: bool, files: &mut [File]) -> SysResult<()> {
        let flags = if on_fault { VmFlags::LOCKED | VmFlags::LOCKONFAULT } else { VmFlags::LOCKED };
        self.set_locked(range.clone(), flags)?;
        if on_fault { Ok(()) } else { self.populate(range, None, files).map_err(|_| Errno::ENOMEM) }
    }

    pub fn set_locked(&mut self, range: Range<PageNumber>, flags: VmFlags) -> SysResult<()> {
        for (_, page) in self.pages.range_mut(range.clone()) {
            page.flags = (page.flags - (VmFlags::LOCKED | VmFlags::LOCKONFAULT)) | flags;
        }
        if self.is_whole(range) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Gives the advice; the holes that are to be punched into files are left to the caller, also
    /// with an error.
    pub fn advise(
        &mut self,
        range: Range<PageNumber>,
        advice: Advice,
        files: &mut [File],
        holes: &mut Vec<(usize, u64)>,
    ) -> SysResult<()> {
        let populate = match advice {
            Advice::PopulateRead => Some(false),
            Advice::PopulateWrite => Some(true),
            _ => None,
        };
        if populate.is_some() {
            return self.populate(range, populate, files).map_err(|error| match error {
                FaultError::Maperr | FaultError::Oom => Errno::ENOMEM,
                FaultError::Accerr => Errno::EINVAL,
                FaultError::BusAdrerr => Errno::EFAULT,
            });
        }
        let whole = self.is_whole(range.clone());
        let mut at = range.start;
        while let Some((&next, _)) = self.pages.range(at..range.end).next() {
            let area = self.area(next);
            let part = next..area.end.min(range.end);
            at = part.end;
            self.advise_part(part, advice, files, holes)?;
        }
        if whole { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    fn advise_part(
        &mut self,
        part: Range<PageNumber>,
        advice: Advice,
        files: &mut [File],
        holes: &mut Vec<(usize, u64)>,
    ) -> SysResult<()> {
        if advice == Advice::WillNeed {
            let first = &self.pages[&part.start];
            if first.source.is_some() && !first.prot.is_empty() && !first.flags.contains(VmFlags::GUARD) {
                part.clone().step_by(AROUND as usize).for_each(|at| self.fault_around(at, part.clone(), files));
            }
            return Ok(());
        }
        for (_, page) in self.pages.range_mut(part) {
            let locked = page.flags.contains(VmFlags::LOCKED);
            match advice {
                Advice::Normal => page.flags -= VmFlags::SEQ_READ | VmFlags::RAND_READ,
                Advice::Random => page.flags = (page.flags - VmFlags::SEQ_READ) | VmFlags::RAND_READ,
                Advice::DontFork => page.flags |= VmFlags::DONTCOPY,
                Advice::DoFork => page.flags -= VmFlags::DONTCOPY,
                Advice::HugePage => page.flags = (page.flags - VmFlags::NOHUGEPAGE) | VmFlags::HUGEPAGE,
                Advice::NoHugePage => page.flags = (page.flags - VmFlags::HUGEPAGE) | VmFlags::NOHUGEPAGE,
                Advice::WipeOnFork if page.source.is_some() => return Err(Errno::EINVAL),
                Advice::WipeOnFork => page.flags |= VmFlags::WIPEONFORK,
                Advice::KeepOnFork => page.flags -= VmFlags::WIPEONFORK,
                Advice::Cold | Advice::DontNeed | Advice::Free | Advice::Remove | Advice::GuardInstall if locked => {
                    return Err(Errno::EINVAL);
                }
                Advice::Cold => {}
                Advice::Free if page.source.is_some() => return Err(Errno::EINVAL),
                Advice::DontNeed | Advice::DontNeedLocked | Advice::Free => page.drop_content(),
                Advice::Remove => {
                    let source = page.source.ok_or(Errno::EINVAL)?;
                    if !page.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE) {
                        return Err(Errno::EACCES);
                    }
                    holes.push((source.file, source.index));
                }
                Advice::GuardInstall => {
                    page.drop_content();
                    page.flags |= VmFlags::GUARD;
                }
                Advice::GuardRemove => page.flags -= VmFlags::GUARD,
                other => unreachable!("{other:?} is not among the advice that tests give"),
            }
        }
        Ok(())
    }

    /// Pages `index..` of the file are gone; with `own` what was copied from them, too.
    pub fn forget(&mut self, file: usize, index: Range<u64>, own: bool) {
        for page in self.pages.values_mut() {
            if page.source.is_some_and(|source| source.file == file && index.contains(&source.index)) {
                page.mapped = false;
                if own {
                    page.own = None;
                }
            }
        }
    }
}

/// The arguments of mremap(2), rounded.
#[derive(Clone, Copy, Debug)]
pub struct Remap {
    pub at: PageNumber,
    pub old: u64,
    pub new: u64,
    pub may_move: bool,
    pub fixed: bool,
    pub keep: bool,
    pub to: PageNumber,
}

impl Space {
    /// mremap(2). `placed` is where the area went if it was for the kernel to choose.
    pub fn remap(&mut self, call: Remap, placed: PageNumber, files: &mut [File]) -> SysResult<PageNumber> {
        let Remap { at, old, new, may_move, fixed, keep, to } = call;
        let elsewhere = fixed || keep;
        if fixed && !may_move || keep && (!may_move || old != new) || new == 0 || new > END {
            return Err(Errno::EINVAL);
        }
        if elsewhere && (to > END - new || at < to + new && to < at.saturating_add(old)) {
            return Err(Errno::EINVAL);
        }
        let first = self.pages.get(&at).ok_or(Errno::EFAULT)?.clone();
        let area_end = self.area(at).end;
        if old > new && old > END - at {
            return Err(Errno::EINVAL);
        }
        if elsewhere {
            if fixed && to < MIN {
                return Err(Errno::EPERM);
            }
            if fixed {
                self.unmap(to..to + new);
            }
            if old > new {
                self.unmap(at + new..at + old);
            }
            let old = old.min(new);
            resizable(&first, at, old, area_end)?;
            return Ok(self.relocate(&first, at..at + old, if fixed { to } else { placed }, new, keep, files));
        }
        if old >= new {
            self.unmap(at + new..at + old);
            return Ok(at);
        }
        resizable(&first, at, old, area_end)?;
        if old > 0 && at + old == area_end && self.has_room(area_end..at + new) {
            let mut more = first.clone();
            more.source = first.source.map(|source| Source { index: source.index + old, ..source });
            self.insert(area_end..at + new, &more);
            if first.flags.contains(VmFlags::LOCKED) {
                let _ = self.populate(area_end..at + new, None, files);
            }
            return Ok(at);
        }
        if !may_move {
            return Err(Errno::ENOMEM);
        }
        Ok(self.relocate(&first, at..at + old, placed, new, false, files))
    }

    fn relocate(
        &mut self,
        first: &Page,
        from: Range<PageNumber>,
        to: PageNumber,
        new: u64,
        keep: bool,
        files: &mut [File],
    ) -> PageNumber {
        let moved: Vec<(bool, Option<u64>)> =
            self.pages.range(from.clone()).map(|(_, page)| (page.mapped, page.own)).collect();
        if keep {
            for (_, page) in self.pages.range_mut(from) {
                page.drop_content();
                page.flags -= VmFlags::LOCKED | VmFlags::LOCKONFAULT;
            }
        } else {
            self.unmap(from);
        }
        self.insert(to..to + new, first);
        for (at, (mapped, own)) in (to..).zip(moved) {
            if let Some(page) = self.pages.get_mut(&at) {
                (page.mapped, page.own) = (mapped, own);
            }
        }
        if first.flags.contains(VmFlags::LOCKED) && !first.flags.contains(VmFlags::LOCKONFAULT) {
            let _ = self.populate(to..to + new, None, files);
        }
        to
    }
}

fn resizable(first: &Page, at: PageNumber, old: u64, area_end: PageNumber) -> SysResult<()> {
    if old == 0 && !first.flags.contains(VmFlags::MAYSHARE) {
        return Err(Errno::EINVAL);
    }
    if old > area_end - at { Err(Errno::EFAULT) } else { Ok(()) }
}
