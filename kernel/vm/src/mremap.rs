//! mremap(2).

use syscall_shim::{Errno, SysResult};

use super::address_space::{AddressSpace, Area, Locked, bytes};
use super::flags::{PAGE_SIZE, USER_END, VmFlags, max_map_count, page_up};
use super::limits::{Limits, Rights};
use super::put_back::{Fault, is_back};

bitflags::bitflags! {
    /// `MREMAP_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RemapFlags: u32 {
        /// The area may go elsewhere.
        const MAYMOVE = 1;
        /// It goes exactly to the new address.
        const FIXED = 2;
        /// The old area stays, empty.
        const DONTUNMAP = 4;
    }
}

impl AddressSpace {
    /// Grows, shrinks or moves an area; errors as mremap(2) gives them, in Linux's order of checks.
    pub fn mremap(
        &self,
        addr: u64,
        old_len: u64,
        new_len: u64,
        flags: RemapFlags,
        new_addr: u64,
        by: &impl Rights,
    ) -> SysResult<u64> {
        let may_move = flags.contains(RemapFlags::MAYMOVE);
        if flags.bits() & !RemapFlags::all().bits() != 0
            || (flags.contains(RemapFlags::FIXED) && !may_move)
            || (flags.contains(RemapFlags::DONTUNMAP) && (!may_move || old_len != new_len))
            || !addr.is_multiple_of(PAGE_SIZE)
        {
            return Err(Errno::EINVAL);
        }
        let old_len = page_up(old_len).ok_or(Errno::EINVAL)?;
        let new_len = page_up(new_len).filter(|l| (1..=USER_END).contains(l)).ok_or(Errno::EINVAL)?;
        let to_new = flags.intersects(RemapFlags::FIXED | RemapFlags::DONTUNMAP);
        let impossible = new_addr > USER_END - new_len
            || !new_addr.is_multiple_of(PAGE_SIZE)
            || (addr < new_addr + new_len && new_addr < addr.saturating_add(old_len));
        if to_new && impossible {
            return Err(Errno::EINVAL);
        }
        let mut locked = self.lock();
        let area = locked.inner.areas.find(addr).ok_or(Errno::EFAULT)?.clone();
        locked.check_seal(addr, addr.saturating_add(old_len.max(1)))?;
        // What is given up reaches to the program's end at most, as with munmap(2).
        if old_len > new_len && old_len > USER_END - addr && !is_back(Fault::RemapBeyondEnd) {
            return Err(Errno::EINVAL);
        }
        if to_new {
            return locked.remap_to(&area, addr, old_len, new_len, flags, new_addr, by);
        }
        if old_len >= new_len {
            if old_len > new_len {
                locked.unmap(addr + new_len, addr + old_len)?;
            }
            return Ok(addr);
        }
        locked.check_memory()?;
        locked.check_resize(&area, addr, old_len, new_len, flags, &by.limits())?;
        if old_len > 0 && addr + old_len == area.end {
            let end = addr + new_len;
            let free = locked.inner.areas.find_from(area.end).is_none_or(|next| end <= next.start_gap());
            if end <= USER_END && free {
                locked.extend(&area, end)?;
                return Ok(addr);
            }
        }
        if !may_move {
            return Err(Errno::ENOMEM);
        }
        let to = locked.place_near(0, new_len)?;
        locked.relocate(&area, addr, old_len, new_len, flags, to)
    }
}

impl Locked<'_> {
    /// `MREMAP_FIXED` and `MREMAP_DONTUNMAP`.
    #[allow(clippy::too_many_arguments, reason = "the call's own")]
    fn remap_to(
        &mut self,
        area: &Area,
        addr: u64,
        old_len: u64,
        new_len: u64,
        flags: RemapFlags,
        new_addr: u64,
        by: &impl Rights,
    ) -> SysResult<u64> {
        let fixed = flags.contains(RemapFlags::FIXED);
        if self.inner.areas.count() + 2 >= max_map_count() {
            return Err(Errno::ENOMEM);
        }
        if fixed && !by.may_map_at(new_addr) {
            return Err(Errno::EPERM);
        }
        if fixed {
            self.check_seal(new_addr, new_addr + new_len)?;
            self.unmap(new_addr, new_addr + new_len)?;
        }
        let old_len = if old_len > new_len && old_len > 0 {
            self.unmap(addr + new_len, addr + old_len)?;
            new_len
        } else {
            old_len
        };
        self.check_resize(area, addr, old_len, new_len, flags, &by.limits())?;
        let to = match fixed {
            true => new_addr,
            false => self.place_near(new_addr, new_len)?,
        };
        self.relocate(area, addr, old_len, new_len, flags, to)
    }

    /// `vma_to_resize`: whether the area part may take the new length.
    fn check_resize(
        &self,
        area: &Area,
        addr: u64,
        old_len: u64,
        new_len: u64,
        flags: RemapFlags,
        limits: &Limits,
    ) -> SysResult<()> {
        let shared = area.flags.contains(VmFlags::MAYSHARE);
        // Length 0 asks for a second mapping of the same pages, which private memory cannot give.
        if old_len == 0 && !shared {
            return Err(Errno::EINVAL);
        }
        if flags.contains(RemapFlags::DONTUNMAP) && area.flags.contains(VmFlags::DONTEXPAND) {
            return Err(Errno::EINVAL);
        }
        if old_len > area.end - addr {
            return Err(Errno::EFAULT);
        }
        if new_len == old_len {
            return Ok(());
        }
        if area.backing.is_some() && area.offset_of(addr).checked_add(new_len).is_none() {
            return Err(Errno::EINVAL);
        }
        if area.flags.contains(VmFlags::DONTEXPAND) {
            return Err(Errno::EFAULT);
        }
        let grown = new_len.saturating_sub(old_len);
        if area.flags.contains(VmFlags::LOCKED) && !limits.may_lock && bytes(self.inner.locked) + grown > limits.memlock {
            return Err(Errno::EAGAIN);
        }
        // An empty range overlaps nothing, so this asks about `grown` more bytes.
        self.check_limits(0, grown, area.prot, area.flags, limits)
    }

    /// Grows an area in place up to `end`.
    fn extend(&mut self, area: &Area, end: u64) -> SysResult<()> {
        if area.flags.contains(VmFlags::ACCOUNT) {
            self.charge((end - area.end) / PAGE_SIZE)?;
        }
        let mut more = area.clone();
        more.offset = area.offset_of(area.end);
        (more.start, more.end) = (area.end, end);
        self.insert(more);
        if area.flags.contains(VmFlags::LOCKED) {
            let _ = self.populate(area.end, end, None);
        }
        Ok(())
    }

    /// Moves `addr..addr + old_len` of `area` to the free range `to..to + new_len` (`move_vma`).
    fn relocate(
        &mut self,
        area: &Area,
        addr: u64,
        old_len: u64,
        new_len: u64,
        flags: RemapFlags,
        to: u64,
    ) -> SysResult<u64> {
        let keep = flags.contains(RemapFlags::DONTUNMAP);
        if self.inner.areas.count() + 3 >= max_map_count() {
            return Err(Errno::ENOMEM);
        }
        let mut moved = area.clone();
        moved.offset = area.offset_of(addr);
        (moved.start, moved.end) = (to, to + new_len);
        let charged = area.flags.contains(VmFlags::ACCOUNT);
        if charged {
            self.charge(new_len / PAGE_SIZE)?;
        }
        if old_len > 0 {
            self.restore_sites(addr, addr + old_len);
            let (areas, mut pages) = self.parts();
            let free = areas.free_around(to, to + new_len);
            if let Err(e) = pages.relocate(addr, old_len, to, &free) {
                if charged {
                    self.uncharge(new_len / PAGE_SIZE);
                }
                return Err(e);
            }
        }
        if keep {
            // The old area stays as fresh memory, and not locked.
            let count = area.clip(addr, addr + old_len).pages();
            if area.flags.contains(VmFlags::LOCKED) {
                self.inner.locked -= count;
            }
            self.inner.areas.update(addr, addr + old_len, |a| a.flags -= VmFlags::LOCKED | VmFlags::LOCKONFAULT);
        }
        if is_back(Fault::TablesBesideMoved) && !keep && old_len > 0 {
            self.unmap(addr, addr + old_len)?;
        }
        // Before the old area goes: the page tables that go with it are those between its
        // neighbours, and the moved pages are in some.
        self.insert(moved);
        if !keep && old_len > 0 {
            self.unmap(addr, addr + old_len)?;
        }
        if area.flags.contains(VmFlags::LOCKED) && !area.flags.contains(VmFlags::LOCKONFAULT) {
            let _ = self.populate(to, to + new_len, None);
        }
        Ok(to)
    }
}
