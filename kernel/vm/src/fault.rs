//! Page faults: demand paging, copy-on-write, growth of stacks, large pages.
//!
//! Threads of one program fault side by side. Two that want the same page both get one ready, and
//! the slower gives its own back: the exchange of the entry decides. Where a page takes another
//! one's place (copy-on-write), the entry is first marked [`BUSY`] and every CPU drops the old
//! translation; only then does the new page go in. Otherwise a thread could write to the new page
//! and tell another one, which would still read the old.

use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::account::RssKind;
use super::address_space::{AddressSpace, Area, Locked, ReadLocked, bytes};
use super::flags::{
    Access, FaultError, HUGE_SIZE, MMAP_MIN_ADDR, PAGE_SIZE, Prot, STACK_GUARD_GAP, USER_END, VmFlags, page_down,
};
use super::limits::Rights;
use super::object::{MappedFile, Object};
use super::page_table::{ANON, BUSY, D, NX, NoMemory, P, PROTNONE, PageTable, Pte, SPECIAL, W};
use super::pages::{Faults, rss_kind};
use super::{huge, huge_policy, tlb, user_page};

/// A read fault on a file also maps the pages around it that are in memory already, this many in
/// all (Linux's `fault_around_bytes`, 64 KiB).
pub(super) const FAULT_AROUND: u64 = 16;

impl From<NoMemory> for FaultError {
    fn from(_: NoMemory) -> FaultError {
        FaultError::Oom
    }
}

impl From<FaultError> for Errno {
    /// What a system call that needs the page answers (mlock(2), madvise(2) `MADV_POPULATE_*`).
    fn from(e: FaultError) -> Errno {
        match e {
            FaultError::Maperr | FaultError::Oom => Errno::ENOMEM,
            FaultError::Accerr | FaultError::BusAdrerr => Errno::EFAULT,
        }
    }
}

impl AddressSpace {
    /// Resolves a page fault at `addr`, of the program or of the kernel on its behalf. After `Ok`
    /// the instruction is tried again. May sleep. The stack pointer plays no part: like Linux since
    /// 4.20, stacks grow wherever the access is.
    pub fn handle_fault(&self, addr: u64, access: Access, by: &impl Rights) -> Result<(), FaultError> {
        if addr >= USER_END {
            return Err(FaultError::Maperr);
        }
        let answer = self.read_lock().fault(addr, access);
        // What needs the map to change needs it alone.
        answer.unwrap_or_else(|| self.lock().fault_or_grow(addr, access, by))
    }
}

impl<'a> ReadLocked<'a> {
    /// Makes `addr` accessible, or says why it is not; `None` where only a stack that grows could
    /// have it.
    fn fault(&mut self, addr: u64, access: Access) -> Option<Result<(), FaultError>> {
        if self.space.is_reaped() {
            return Some(Err(FaultError::Oom));
        }
        let page = page_down(addr);
        let area = self.inner.areas.find(page)?;
        if let Err(refused) = check(area, access) {
            return Some(Err(refused));
        }
        let mut faults = Faults { table: &self.inner.table, batch: &mut self.batch, space: self.space };
        Some(faults.resolve(area, page, access))
    }
}

/// Whether a fault in the area may be resolved. Where a guard lies, there is nothing.
fn check(area: &Area, access: Access) -> Result<(), FaultError> {
    let prot = area.prot;
    let allowed = if access.write {
        prot.contains(Prot::WRITE)
    } else if access.exec {
        prot.contains(Prot::EXEC)
    } else {
        !prot.is_empty()
    };
    match allowed {
        _ if area.flags.contains(VmFlags::GUARD) => Err(FaultError::Maperr),
        true => Ok(()),
        false => Err(FaultError::Accerr),
    }
}

fn grants(pte: Pte, write: bool) -> bool {
    pte.has(if write { P | W } else { P })
}

/// Whether the tables let the page at `addr` be read, or written. The CPU may set a bit just when a
/// fault exchanges an entry; then nothing has changed.
fn is_mapped(table: &PageTable, addr: u64, write: bool) -> bool {
    table.leaf(addr).is_some_and(|leaf| grants(leaf.get(), write))
}

impl Locked<'_> {
    /// As [`Locked::fault`], where a stack may grow to have the page.
    fn fault_or_grow(&mut self, addr: u64, access: Access, by: &impl Rights) -> Result<(), FaultError> {
        let page = page_down(addr);
        if !self.space.is_reaped() && self.inner.areas.find(page).is_none() {
            self.grow_stack(page, by)?;
        }
        self.fault(addr, access)
    }

    /// Makes `addr` accessible, or says why it is not.
    pub fn fault(&mut self, addr: u64, access: Access) -> Result<(), FaultError> {
        if self.space.is_reaped() {
            return Err(FaultError::Oom);
        }
        let page = page_down(addr);
        let (areas, mut pages) = self.parts();
        let area = areas.find(page).ok_or(FaultError::Maperr)?;
        check(area, access)?;
        loop {
            pages.faults().resolve(area, page, access)?;
            if is_mapped(pages.table, page, access.write) {
                return Ok(());
            }
        }
    }

    /// Extends the `GROWSDOWN` area above `page` down to it, within `RLIMIT_STACK` and clear of the
    /// area below.
    fn grow_stack(&mut self, page: u64, by: &impl Rights) -> Result<(), FaultError> {
        let limits = by.limits();
        let (areas, _) = self.parts();
        let area = areas.find_from(page).filter(|a| a.flags.contains(VmFlags::GROWSDOWN)).ok_or(FaultError::Maperr)?;
        let grown = area.start - page;
        let crowded = areas.prev(area.start).is_some_and(|below| {
            !below.flags.contains(VmFlags::GROWSDOWN) && !below.prot.is_empty() && page - below.end < STACK_GUARD_GAP
        });
        if page < MMAP_MIN_ADDR
            || crowded
            || area.end - page > limits.stack
            || areas.bytes().saturating_add(grown) > limits.address_space
        {
            return Err(FaultError::Maperr);
        }
        let (start, flags) = (area.start, area.flags);
        let count = grown / PAGE_SIZE;
        if flags.contains(VmFlags::LOCKED) && !limits.may_lock && bytes(self.inner.locked + count) > limits.memlock {
            return Err(FaultError::Maperr);
        }
        if flags.contains(VmFlags::ACCOUNT) {
            self.charge(count).map_err(|_| FaultError::Maperr)?;
        }
        self.inner.areas.grow_down(start, page);
        self.inner.peak = self.inner.peak.max(self.inner.areas.bytes());
        if flags.contains(VmFlags::LOCKED) {
            self.inner.locked += count;
        }
        Ok(())
    }

    /// Faults in `start..end`. `access: None` is what mlock(2) and `MAP_POPULATE` do: writing where
    /// the area is private and writable, so that no fault is left. Holes end it with `ENOMEM`.
    pub fn populate(&mut self, start: u64, end: u64, access: Option<Access>) -> Result<(), FaultError> {
        let (areas, mut pages) = self.parts();
        let mut at = start;
        while at < end {
            let area = areas.find(at).ok_or(FaultError::Maperr)?;
            let private_write = area.prot.contains(Prot::WRITE) && !area.flags.contains(VmFlags::SHARED);
            let wanted = access.unwrap_or(Access { write: private_write, exec: false });
            if area.flags.contains(VmFlags::GUARD) {
                return Err(FaultError::BusAdrerr);
            }
            check(area, wanted)?;
            while at < end.min(area.end) {
                match pages.table.leaf(at) {
                    Some(leaf) if grants(leaf.get(), wanted.write) => at = leaf.addr + leaf.size,
                    _ => pages.faults().resolve(area, at, wanted)?,
                }
            }
        }
        Ok(())
    }
}

impl Faults<'_, '_> {
    /// Makes the page at `addr` of `area`, which allows the access, present in the tables.
    pub fn resolve(&mut self, area: &Area, addr: u64, access: Access) -> Result<(), FaultError> {
        if self.table.leaf(addr).is_some() {
            return self.resolve_present(area, addr, access);
        }
        match &area.backing {
            None => self.resolve_anonymous(area, addr, access.write),
            Some(Object::File(map)) => self.resolve_file(area, &*map.file, addr, access.write),
            Some(Object::Special(special)) => {
                let index = (area.offset_of(addr) / PAGE_SIZE) as usize;
                let frame = *special.frames.get(index).ok_or(FaultError::BusAdrerr)?;
                Ok(self.install(area, addr, frame, false, SPECIAL)?)
            }
        }
    }

    fn resolve_anonymous(&mut self, area: &Area, addr: u64, write: bool) -> Result<(), FaultError> {
        // A read of untouched memory gets the page of zeroes, unless large pages are asked for.
        if (write || area.flags.contains(VmFlags::HUGEPAGE)) && self.resolve_huge(area, addr)? {
            return Ok(());
        }
        if write {
            let phys = user_page::alloc_zeroed().ok_or(FaultError::Oom)?;
            Ok(self.install(area, addr, phys, true, ANON)?)
        } else {
            let zero = user_page::zero_page().ok_or(FaultError::Oom)?;
            Ok(self.install(area, addr, zero, false, SPECIAL)?)
        }
    }

    /// Maps a large page over `addr` if the area covers it, nothing is mapped there yet and memory
    /// is free in one piece.
    fn resolve_huge(&mut self, area: &Area, addr: u64) -> Result<bool, FaultError> {
        let base = addr & !(HUGE_SIZE - 1);
        if base < area.start
            || base + HUGE_SIZE > area.end
            || !huge_policy::eligible(area.flags)
            || self.space.huge_pages_disabled()
            || !self.table.huge_slot_free(base)
        {
            return Ok(false);
        }
        let Some(phys) = huge::alloc(area.flags.contains(VmFlags::HUGEPAGE)) else { return Ok(false) };
        let mapped = self.table.map_huge(base, Pte::new(phys, area.prot, true, ANON | D));
        if mapped != Ok(true) {
            // Somebody was faster, or no table is to be had.
            huge::put(phys);
            return Ok(mapped?);
        }
        self.space.rss.add(RssKind::Anon, HUGE_SIZE / PAGE_SIZE);
        Ok(true)
    }

    fn resolve_file(&mut self, area: &Area, file: &dyn MappedFile, addr: u64, write: bool) -> Result<(), FaultError> {
        let index = area.offset_of(addr) / PAGE_SIZE;
        let shared = area.flags.contains(VmFlags::SHARED);
        let page = match file.mapping().fault(index, write && shared) {
            Ok(Some(page)) => page,
            Err(Errno::ENOMEM) => return Err(FaultError::Oom),
            Ok(None) | Err(_) => return Err(FaultError::BusAdrerr),
        };
        if write && !shared {
            let phys = user_page::alloc_copy(page.phys()).ok_or(FaultError::Oom)?;
            return Ok(self.install(area, addr, phys, true, ANON)?);
        }
        if write {
            file.written();
        }
        self.install(area, addr, page.into_raw(), write, 0)?;
        if !write && !area.flags.contains(VmFlags::RAND_READ) {
            self.fault_around(area, file, addr);
        }
        Ok(())
    }

    /// Maps neighbours of `addr` that are in the page cache. Nothing depends on it, so it stops at
    /// the first obstacle.
    pub fn fault_around(&mut self, area: &Area, file: &dyn MappedFile, addr: u64) {
        const WINDOW: u64 = FAULT_AROUND * PAGE_SIZE;
        let base = addr & !(WINDOW - 1);
        let (start, end) = (base.max(area.start), (base + WINDOW).min(area.end));
        let Ok(Some(entries)) = self.table.entries(start, end) else { return };
        let mapping = file.mapping();
        let first = area.offset_of(start) / PAGE_SIZE;
        let last = (first + entries.len() as u64).min(mapping.size().div_ceil(PAGE_SIZE));
        let mut mapped = 0;
        mapping.each_cached(first, last, &mut |index, page| {
            let Some(entry) = entries.get((index - first) as usize) else { return };
            if entry.load(Ordering::Relaxed) != 0 {
                return;
            }
            let phys = page.clone().into_raw();
            match entry.compare_exchange(0, Pte::new(phys, area.prot, false, 0).0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => mapped += 1,
                Err(_) => user_page::put(phys),
            }
        });
        if let Some(kind) = rss_kind(area, Pte::NONE).filter(|_| mapped > 0) {
            self.space.rss.add(kind, mapped);
        }
    }

    /// A page is there, but not for this access: copy-on-write, first write to a shared page, or a
    /// stale translation. Where somebody changes the entry meanwhile, the access is tried again,
    /// and comes back if need be.
    fn resolve_present(&mut self, area: &Area, addr: u64, access: Access) -> Result<(), FaultError> {
        let Some(leaf) = self.table.leaf(addr) else { return Ok(()) };
        let old = leaf.get();
        if !old.present() {
            if old.has(BUSY) {
                core::hint::spin_loop();
            } else if old.has_page() {
                leaf.exchange(old, old.with_prot(area.prot, false));
            }
            return Ok(());
        }
        if !access.write || old.has(W) {
            // Another thread was faster, or this CPU's translation dates from before the entry
            // allowed more.
            if access.exec && old.has(NX) {
                leaf.exchange(old, old.with_prot(area.prot, old.has(W)));
            }
            tlb::flush_local(addr, addr + PAGE_SIZE);
            return Ok(());
        }
        let writable = Pte(old.with_prot(area.prot, true).0 | D);
        if area.flags.contains(VmFlags::SHARED) {
            if let Some(file) = area.backing.as_ref().and_then(Object::file) {
                file.mapping().mark_dirty(area.offset_of(addr) / PAGE_SIZE);
                file.written();
            }
            leaf.exchange(old, writable);
            return Ok(());
        }
        if old.has(ANON) && leaf.is_exclusive(old) {
            leaf.exchange(old, writable);
            return Ok(());
        }
        if leaf.is_huge() {
            self.table.split_huge(addr)?;
            self.batch.touch(addr & !(HUGE_SIZE - 1), HUGE_SIZE);
            return self.resolve_present(area, addr, access);
        }
        let zero = old.has(SPECIAL) && area.backing.is_none();
        let copy =
            if zero { user_page::alloc_zeroed() } else { user_page::alloc_copy(old.phys()) }.ok_or(FaultError::Oom)?;
        // The page cannot have been written while it was copied: whoever makes the entry writable
        // changes it.
        if !leaf.exchange(old, Pte(old.0 & !P | PROTNONE | BUSY)) {
            user_page::put(copy);
            return Ok(());
        }
        self.batch.touch(addr, PAGE_SIZE);
        self.batch.flush();
        leaf.replace(Pte::new(copy, area.prot, true, ANON | D));
        if let Some(kind) = rss_kind(area, old) {
            self.space.rss.sub(kind, 1);
            user_page::put(old.phys());
        }
        self.space.rss.add(RssKind::Anon, 1);
        Ok(())
    }

    /// Maps the frame `phys`, whose reference is given, at `addr`, unless somebody was faster
    /// there.
    pub fn install(&mut self, area: &Area, addr: u64, phys: u64, write: bool, soft: u64) -> Result<(), NoMemory> {
        let dirty = if write { D } else { 0 };
        let pte = Pte::new(phys, area.prot, write, soft | dirty);
        let placed = self.table.map(addr, pte);
        if placed != Ok(true) {
            if soft & SPECIAL == 0 {
                user_page::put(phys);
            }
            return placed.map(|_| ());
        }
        if let Some(kind) = rss_kind(area, pte) {
            self.space.rss.add(kind, 1);
        }
        Ok(())
    }
}

impl AddressSpace {
    /// Faults the page at `addr` in for `access` and hands its frame to `with` while the space is
    /// locked.
    pub(super) fn with_page<T>(&self, addr: u64, access: Access, with: impl FnOnce(u64) -> T) -> SysResult<T> {
        if addr >= USER_END {
            return Err(Errno::EFAULT);
        }
        let mut locked = self.lock();
        locked.fault(addr, access).map_err(|_| Errno::EFAULT)?;
        let leaf = locked.inner.table.leaf(addr).ok_or(Errno::EFAULT)?;
        let phys = leaf.get().phys() + (page_down(addr) - leaf.addr);
        Ok(with(phys))
    }
}
