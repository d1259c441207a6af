//! mmap(2), munmap(2) and mprotect(2): placement, checks in Linux's order, and the changes
//! themselves.

use alloc::sync::Arc;

use syscall_shim::{Errno, SysResult};

use super::account::OVERCOMMIT_MEMORY;
use super::address_space::{AddressSpace, Area, Inner, Locked, bytes};
use super::flags::{MMAP_MIN_ADDR, MapFlags, PAGE_SIZE, Policy, Prot, USER_END, VmFlags, max_map_count, page_down, page_up};
use super::limits::{INFINITY, Limits, Rights};
use super::object::{FileMap, MappedFile, Object, SharedMemory, SpecialPages};

/// Flags that old callers may pass with `MAP_SHARED` and `MAP_PRIVATE` (`LEGACY_MAP_MASK`).
const LEGACY: MapFlags = MapFlags::SHARED
    .union(MapFlags::PRIVATE)
    .union(MapFlags::FIXED)
    .union(MapFlags::ANONYMOUS)
    .union(MapFlags::DENYWRITE)
    .union(MapFlags::EXECUTABLE)
    .union(MapFlags::UNINITIALIZED)
    .union(MapFlags::GROWSDOWN)
    .union(MapFlags::LOCKED)
    .union(MapFlags::NORESERVE)
    .union(MapFlags::POPULATE)
    .union(MapFlags::NONBLOCK)
    .union(MapFlags::STACK)
    .union(MapFlags::HUGETLB)
    .union(MapFlags::MAP_32BIT)
    .union(MapFlags::HUGE_SIZES);

/// What an open file offers to mmap(2).
#[derive(Clone)]
pub enum MapTarget {
    /// Pages of its page cache.
    File(Arc<dyn MappedFile>),
    /// `/dev/zero`: as anonymous memory.
    Zero,
    /// It cannot be mapped: `ENODEV`, or what else its file system answers.
    Refused(Errno),
}

/// The file of a mapping, and what its open file description allows.
#[derive(Clone)]
pub struct MapFile {
    /// The pages.
    pub target: MapTarget,
    /// Byte offset of the mapping in the file.
    pub offset: u64,
    /// Open for reading; without it `EACCES`.
    pub may_read: bool,
    /// Open for writing; a shared mapping without it can never be written.
    pub may_write: bool,
    /// Not on a `noexec` mount.
    pub may_exec: bool,
    /// `F_SEAL_WRITE` or `F_SEAL_FUTURE_WRITE`: no shared writing, now or later.
    pub write_sealed: bool,
}

/// Arguments of mmap(2), the file already looked up.
pub struct MapRequest {
    /// Wanted address: exact with `MAP_FIXED`, else a hint.
    pub addr: u64,
    /// Length in bytes, not yet rounded.
    pub len: u64,
    /// Protection.
    pub prot: Prot,
    /// Flags, unknown bits included.
    pub flags: MapFlags,
    /// `None` with `MAP_ANONYMOUS`.
    pub file: Option<MapFile>,
}

impl MapRequest {
    /// A request for private anonymous memory.
    pub fn anonymous(addr: u64, len: u64, prot: Prot, flags: MapFlags) -> Self {
        Self { addr, len, prot, flags: flags | MapFlags::PRIVATE | MapFlags::ANONYMOUS, file: None }
    }
}

impl AddressSpace {
    /// Maps memory and returns its address; errors as mmap(2) gives them, in Linux's order of
    /// checks.
    pub fn mmap(&self, request: MapRequest, by: &impl Rights) -> SysResult<u64> {
        let MapRequest { addr, len, prot, mut flags, file } = request;
        if file.as_ref().is_some_and(|f| !f.offset.is_multiple_of(PAGE_SIZE)) || len == 0 {
            return Err(Errno::EINVAL);
        }
        if flags.contains(MapFlags::FIXED_NOREPLACE) {
            flags |= MapFlags::FIXED;
        }
        let addr = if flags.contains(MapFlags::FIXED) { addr } else { hint(addr) };
        let len = page_up(len).ok_or(Errno::ENOMEM)?;
        let limits = by.limits();
        let mut locked = self.lock();
        if locked.inner.areas.count() > max_map_count() {
            return Err(Errno::ENOMEM);
        }
        locked.check_memory()?;
        let addr = locked.place(addr, len, flags, by)?;
        let end = addr + len;
        if file.as_ref().is_some_and(|f| ends_beyond(f, len)) {
            return Err(Errno::EOVERFLOW);
        }
        if flags.contains(MapFlags::FIXED_NOREPLACE) && locked.inner.areas.any(addr, end) {
            return Err(Errno::EEXIST);
        }

        let mut vm = VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC | locked.inner.future;
        vm.set(VmFlags::GROWSDOWN, flags.contains(MapFlags::GROWSDOWN));
        vm.set(VmFlags::NOHUGEPAGE, flags.contains(MapFlags::STACK));
        if flags.contains(MapFlags::LOCKED) {
            if !limits.may_lock && limits.memlock == 0 {
                return Err(Errno::EPERM);
            }
            vm |= VmFlags::LOCKED;
        }
        if vm.contains(VmFlags::LOCKED)
            && !limits.may_lock
            && bytes(locked.inner.locked).saturating_add(len) > limits.memlock
        {
            return Err(Errno::EAGAIN);
        }
        let target = match &file {
            Some(file) => Some(check_file(file, prot, flags, &mut vm)?),
            None => {
                check_anonymous(flags, &mut vm)?;
                None
            }
        };
        if let (Some(MapTarget::File(mapped)), Some(file)) = (target, &file)
            && mapped.is_whole_only()
            && (file.offset != 0 || len != mapped.mapping().size())
        {
            return Err(Errno::EINVAL);
        }
        if flags.contains(MapFlags::NORESERVE) && OVERCOMMIT_MEMORY.load(core::sync::atomic::Ordering::Relaxed) != 2 {
            vm |= VmFlags::NORESERVE;
        }
        if flags.contains(MapFlags::FIXED) {
            locked.check_seal(addr, end)?;
        }
        locked.check_limits(addr, end, prot, vm, &limits)?;

        let charged = vm & (VmFlags::SHARED | VmFlags::NORESERVE) == VmFlags::empty() && prot.contains(Prot::WRITE);
        if flags.contains(MapFlags::FIXED) {
            locked.unmap(addr, end)?;
        }
        if charged {
            locked.charge(len / PAGE_SIZE)?;
            vm |= VmFlags::ACCOUNT;
        }
        let backing = match locked.backing(target, len, vm) {
            Ok(backing) => backing,
            Err(e) => {
                if charged {
                    locked.uncharge(len / PAGE_SIZE);
                }
                return Err(e);
            }
        };
        let offset = if backing.is_some() { file.as_ref().map_or(0, |f| f.offset) } else { 0 };
        locked.insert(Area { start: addr, end, prot, flags: vm, offset, backing, name: None, policy: Policy::default() });
        let populate = flags.contains(MapFlags::POPULATE) && !flags.contains(MapFlags::NONBLOCK);
        if populate || (vm.contains(VmFlags::LOCKED) && !vm.contains(VmFlags::LOCKONFAULT)) {
            let _ = locked.populate(addr, end, None);
        }
        Ok(addr)
    }

    /// Maps pages of the kernel (the vDSO) at or near `addr`; they cannot be grown or moved apart.
    pub fn mmap_special(&self, addr: u64, prot: Prot, pages: Arc<SpecialPages>) -> SysResult<u64> {
        let len = pages.frames.len() as u64 * PAGE_SIZE;
        let mut locked = self.lock();
        let addr = locked.place_near(hint(addr), len)?;
        // A debugger may write breakpoints into code; nobody anything into the kernel's data.
        let may = if prot.contains(Prot::EXEC) { VmFlags::MAYEXEC | VmFlags::MAYWRITE } else { VmFlags::empty() };
        let flags = VmFlags::MAYREAD | VmFlags::DONTEXPAND | may;
        let backing = Some(Object::Special(pages));
        locked.insert(Area {
            start: addr,
            end: addr + len,
            prot,
            flags,
            offset: 0,
            backing,
            name: None,
            policy: Policy::default(),
        });
        Ok(addr)
    }

    /// Unmaps whatever is in the range; a hole is no error.
    pub fn munmap(&self, addr: u64, len: u64) -> SysResult<()> {
        if !addr.is_multiple_of(PAGE_SIZE) || addr > USER_END || len > USER_END - addr {
            return Err(Errno::EINVAL);
        }
        let end = addr + page_up(len).filter(|l| *l > 0).ok_or(Errno::EINVAL)?;
        let mut locked = self.lock();
        let before = locked.inner.areas.count();
        if locked.inner.areas.len_without(addr, end) > before {
            // Only a hole in the middle of an area is one area more.
            if before >= max_map_count() {
                return Err(Errno::ENOMEM);
            }
            locked.check_memory()?;
        }
        locked.check_seal(addr, end)?;
        locked.unmap(addr, end)
    }

    /// Changes the protection of the range. A hole gives `ENOMEM` after the areas before it have
    /// changed, as in Linux. `grows_down` is `PROT_GROWSDOWN`: from the start of the area, which
    /// must be a stack.
    pub fn mprotect(&self, addr: u64, len: u64, prot: Prot, grows_down: bool, by: &impl Rights) -> SysResult<()> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let end = page_up(len).and_then(|len| addr.checked_add(len)).filter(|end| *end > addr).ok_or(Errno::ENOMEM)?;
        let mut locked = self.lock();
        let first = locked.inner.areas.find_from(addr).ok_or(Errno::ENOMEM)?;
        let mut start = addr;
        if grows_down {
            if first.start >= end {
                return Err(Errno::ENOMEM);
            }
            if !first.flags.contains(VmFlags::GROWSDOWN) {
                return Err(Errno::EINVAL);
            }
            start = first.start;
        } else if first.start > addr {
            return Err(Errno::ENOMEM);
        }
        let mut at = start;
        let (execution, asked) = (by.execution(), prot);
        while at < end {
            let area = locked.inner.areas.find(at).ok_or(Errno::ENOMEM)?;
            let (to, old, flags) = (area.end.min(end), area.prot, area.flags);
            if flags.contains(VmFlags::SEALED) {
                return Err(Errno::EPERM);
            }
            let allowed = flags.bits() >> VmFlags::MAYREAD.bits().trailing_zeros();
            let prot = execution.implied(asked, flags.contains(VmFlags::MAYEXEC));
            if prot.bits() & !allowed != 0 {
                return Err(Errno::EACCES);
            }
            execution.check(old, prot)?;
            if prot != old {
                locked.protect(at, to, prot, flags, by)?;
            }
            at = to;
        }
        Ok(())
    }
}

/// Whether the mapping ends behind the largest offset that its file can have (`file_mmap_ok`).
fn ends_beyond(file: &MapFile, len: u64) -> bool {
    let last = if matches!(file.target, MapTarget::File(_)) { i64::MAX as u64 } else { u64::MAX };
    file.offset.checked_add(len).is_none_or(|end| end > last)
}

/// The page of a hint, raised to the lowest address allowed (`round_hint_to_min`).
fn hint(addr: u64) -> u64 {
    let addr = page_down(addr);
    if addr != 0 && addr < MMAP_MIN_ADDR { MMAP_MIN_ADDR } else { addr }
}

/// Checks of a file mapping; returns what to map and adjusts the area's flags.
fn check_file<'f>(file: &'f MapFile, prot: Prot, flags: MapFlags, vm: &mut VmFlags) -> SysResult<&'f MapTarget> {
    let kind = flags & MapFlags::TYPE;
    if ![MapFlags::SHARED, MapFlags::PRIVATE, MapFlags::SHARED_VALIDATE].contains(&kind) {
        return Err(Errno::EINVAL);
    }
    // Only DAX files take MAP_SYNC, and there are none here.
    if kind == MapFlags::SHARED_VALIDATE && flags.bits() & !(LEGACY | MapFlags::SHARED_VALIDATE).bits() != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if kind != MapFlags::PRIVATE {
        if prot.contains(Prot::WRITE) && !file.may_write {
            return Err(Errno::EACCES);
        }
        *vm |= VmFlags::SHARED | VmFlags::MAYSHARE;
        if !file.may_write {
            *vm -= VmFlags::MAYWRITE | VmFlags::SHARED;
        }
    }
    if !file.may_read {
        return Err(Errno::EACCES);
    }
    if !file.may_exec {
        if prot.contains(Prot::EXEC) {
            return Err(Errno::EPERM);
        }
        *vm -= VmFlags::MAYEXEC;
    }
    if let MapTarget::Refused(e) = file.target {
        return Err(e);
    }
    if flags.contains(MapFlags::GROWSDOWN) {
        return Err(Errno::EINVAL);
    }
    if file.write_sealed && vm.contains(VmFlags::SHARED) {
        if prot.contains(Prot::WRITE) {
            return Err(Errno::EPERM);
        }
        *vm -= VmFlags::MAYWRITE;
    }
    Ok(&file.target)
}

fn check_anonymous(flags: MapFlags, vm: &mut VmFlags) -> SysResult<()> {
    match flags & MapFlags::TYPE {
        // What may be taken away at any time makes no sense where it is locked, and is neither
        // copied nor dumped. It never is taken.
        MapFlags::DROPPABLE if flags.intersects(MapFlags::LOCKED | MapFlags::GROWSDOWN) => Err(Errno::EINVAL),
        MapFlags::DROPPABLE => {
            *vm |= VmFlags::DROPPABLE | VmFlags::NORESERVE | VmFlags::WIPEONFORK | VmFlags::DONTDUMP;
            *vm -= VmFlags::LOCKED | VmFlags::LOCKONFAULT;
            Ok(())
        }
        MapFlags::SHARED if flags.contains(MapFlags::GROWSDOWN) => Err(Errno::EINVAL),
        MapFlags::SHARED => {
            *vm |= VmFlags::SHARED | VmFlags::MAYSHARE;
            Ok(())
        }
        MapFlags::PRIVATE => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

impl Locked<'_> {
    /// Chooses or checks the address of a new area (`get_unmapped_area`).
    fn place(&mut self, addr: u64, len: u64, flags: MapFlags, by: &impl Rights) -> SysResult<u64> {
        if len > USER_END {
            return Err(Errno::ENOMEM);
        }
        if flags.contains(MapFlags::FIXED) {
            if addr > USER_END - len {
                return Err(Errno::ENOMEM);
            }
            if !addr.is_multiple_of(PAGE_SIZE) {
                return Err(Errno::EINVAL);
            }
            return if by.may_map_at(addr) { Ok(addr) } else { Err(Errno::EPERM) };
        }
        if flags.contains(MapFlags::MAP_32BIT) {
            let (low, high) = (0x4000_0000, 0x8000_0000);
            if addr != 0 && addr.checked_add(len).is_some_and(|end| end <= high && self.is_free(addr, end)) {
                return Ok(addr);
            }
            return self.inner.areas.gap_bottom_up(len, low, high).ok_or(Errno::ENOMEM);
        }
        self.place_near(addr, len)
    }

    /// Chooses the address of a new area: `addr` if it is free and not 0, or else where areas go.
    pub fn place_near(&mut self, addr: u64, len: u64) -> SysResult<u64> {
        if len > USER_END {
            return Err(Errno::ENOMEM);
        }
        if addr != 0 && addr <= USER_END - len && self.is_free(addr, addr + len) {
            return Ok(addr);
        }
        let base = self.inner.layout.mmap_base;
        let areas = &mut self.inner.areas;
        areas
            .gap_top_down(len, MMAP_MIN_ADDR, base)
            .or_else(|| areas.gap_bottom_up(len, base, USER_END))
            .ok_or(Errno::ENOMEM)
    }

    /// Whether a hint can be followed: nothing there, and clear of the next stack's guard gap.
    fn is_free(&self, start: u64, end: u64) -> bool {
        self.inner.areas.find_from(start).is_none_or(|next| end <= next.start_gap())
    }

    /// `RLIMIT_AS` and `RLIMIT_DATA` for a new area at `start..end`, what it replaces not counted
    /// (`may_expand_vm`).
    pub fn check_limits(&self, start: u64, end: u64, prot: Prot, vm: VmFlags, limits: &Limits) -> SysResult<()> {
        if limits.address_space != INFINITY {
            let replaced: u64 = self.inner.areas.overlapping(start, end).map(|a| a.clip(start, end).size()).sum();
            if self.inner.areas.bytes() - replaced + (end - start) > limits.address_space {
                return Err(Errno::ENOMEM);
            }
        }
        if limits.data != INFINITY && is_data(prot, vm) && self.inner.data_bytes() + (end - start) > limits.data {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// What lies behind a new area.
    fn backing(&self, target: Option<&MapTarget>, len: u64, vm: VmFlags) -> SysResult<Option<Object>> {
        let shared = vm.contains(VmFlags::SHARED);
        let file: Arc<dyn MappedFile> = match target {
            Some(MapTarget::File(file)) => file.clone(),
            Some(MapTarget::Refused(e)) => return Err(*e),
            _ if vm.contains(VmFlags::MAYSHARE) => SharedMemory::create(len, vm.contains(VmFlags::NORESERVE))?,
            _ => return Ok(None),
        };
        Ok(Some(Object::File(FileMap::new(file, shared && vm.contains(VmFlags::MAYWRITE)))))
    }

    /// Gives one area part a new protection.
    fn protect(&mut self, start: u64, end: u64, prot: Prot, flags: VmFlags, by: &impl Rights) -> SysResult<()> {
        let split = |area: &Area| usize::from(area.start < start) + usize::from(end < area.end);
        let more = self.inner.areas.find(start).map_or(0, split);
        if more > 0 && self.inner.areas.count() + more > max_map_count() {
            return Err(Errno::ENOMEM);
        }
        self.check_memory()?;
        let private = VmFlags::SHARED | VmFlags::NORESERVE | VmFlags::ACCOUNT;
        let charge = prot.contains(Prot::WRITE) && !flags.intersects(private);
        if prot.contains(Prot::WRITE) {
            let limits = by.limits();
            let grows = self.inner.areas.find(start).is_some_and(|a| !is_data(a.prot, a.flags));
            if limits.data != INFINITY
                && grows
                && is_data(prot, flags)
                && self.inner.data_bytes() + (end - start) > limits.data
            {
                return Err(Errno::ENOMEM);
            }
        }
        // What the program may write is its own code again.
        if prot.contains(Prot::WRITE) {
            self.restore_sites(start, end);
        }
        let (_, mut pages) = self.parts();
        pages.split_edges(start, end)?;
        if charge {
            self.charge((end - start) / PAGE_SIZE)?;
        }
        let (areas, mut pages) = self.parts();
        areas.update(start, end, |a| {
            a.prot = prot;
            a.flags.set(VmFlags::ACCOUNT, charge || a.flags.contains(VmFlags::ACCOUNT));
        });
        pages.protect(start, end, prot, flags.contains(VmFlags::SHARED));
        Ok(())
    }
}

impl Inner {
    /// Private writable memory that is no stack (`VmData`).
    pub fn data_bytes(&self) -> u64 {
        self.areas.iter().filter(|a| is_data(a.prot, a.flags)).map(Area::size).sum()
    }
}

/// Linux's `is_data_mapping`.
fn is_data(prot: Prot, flags: VmFlags) -> bool {
    prot.contains(Prot::WRITE) && !flags.intersects(VmFlags::SHARED | VmFlags::GROWSDOWN)
}

impl AddressSpace {
    /// remap_file_pages(2): the range, which lies in one shared mapping of a file, shows the file
    /// from page `page` on.
    pub fn remap_file_pages(&self, addr: u64, len: u64, page: u64) -> SysResult<()> {
        let (start, len) = (page_down(addr), page_down(len));
        let end = start.checked_add(len).filter(|end| *end > start).ok_or(Errno::EINVAL)?;
        page.checked_add(len / PAGE_SIZE).ok_or(Errno::EINVAL)?;
        let mut locked = self.lock();
        let area = locked.inner.areas.find(start).ok_or(Errno::EINVAL)?;
        if !area.flags.contains(VmFlags::SHARED) || end > area.end {
            return Err(Errno::EINVAL);
        }
        let offset = page.checked_mul(PAGE_SIZE).filter(|offset| offset.saturating_add(len) <= i64::MAX as u64);
        let mut area = area.clip(start, end);
        locked.check_seal(start, end)?;
        area.offset = offset.ok_or(Errno::EOVERFLOW)?;
        locked.unmap(start, end)?;
        // As in Linux, the old area is gone before the file is asked for the new one.
        let segment = area.backing.as_ref().and_then(Object::file).filter(|file| file.goes_with_last_area());
        if let Some(file) = segment {
            let its = |other: &Area| {
                other.backing.as_ref().and_then(Object::file).is_some_and(|of| of.identity() == file.identity())
            };
            if !locked.inner.areas.iter().any(its) {
                return Err(Errno::EINVAL);
            }
        }
        locked.insert(area);
        Ok(())
    }
}
