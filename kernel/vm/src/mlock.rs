//! mlock(2) and its family. Nothing is ever paged out here, so a lock means that pages are present,
//! and it is counted.

use syscall_shim::{Errno, SysResult};

use super::address_space::{AddressSpace, Area, Locked, bytes};
use super::flags::{USER_END, VmFlags, page_down, page_up_wrapping};
use super::limits::{Limits, Rights};

impl AddressSpace {
    /// mlock2(2): locks the pages that the range touches, and makes them present unless `on_fault`.
    pub fn mlock(&self, addr: u64, len: u64, on_fault: bool, by: &impl Rights) -> SysResult<()> {
        let limits = by.limits();
        may_lock(&limits)?;
        let (start, end) = page_range(addr, len)?;
        let mut locked = self.lock();
        let count: u64 = locked
            .inner
            .areas
            .overlapping(start, end)
            .filter(|a| !a.flags.contains(VmFlags::LOCKED))
            .map(|a| a.clip(start, end).size())
            .sum();
        if !limits.may_lock && bytes(locked.inner.locked) + count > limits.memlock {
            return Err(Errno::ENOMEM);
        }
        let flags = if on_fault { VmFlags::LOCKED | VmFlags::LOCKONFAULT } else { VmFlags::LOCKED };
        locked.set_locked(start, end, flags)?;
        if !on_fault {
            locked.populate(start, end, None).map_err(|_| Errno::ENOMEM)?;
        }
        Ok(())
    }

    /// munlock(2).
    pub fn munlock(&self, addr: u64, len: u64) -> SysResult<()> {
        let (start, end) = page_range(addr, len)?;
        self.lock().set_locked(start, end, VmFlags::empty())
    }

    /// mlockall(2): `current` what is mapped, `future` what will be.
    pub fn mlockall(&self, current: bool, future: bool, on_fault: bool, by: &impl Rights) -> SysResult<()> {
        let limits = by.limits();
        may_lock(&limits)?;
        let mut locked = self.lock();
        if current && !limits.may_lock && locked.inner.areas.bytes() > limits.memlock {
            return Err(Errno::ENOMEM);
        }
        let flags = if on_fault { VmFlags::LOCKED | VmFlags::LOCKONFAULT } else { VmFlags::LOCKED };
        locked.inner.future = if future { flags } else { VmFlags::empty() };
        if current {
            let _ = locked.set_locked(0, USER_END, flags);
            if !on_fault {
                let parts: alloc::vec::Vec<(u64, u64)> = locked.inner.areas.iter().map(|a| (a.start, a.end)).collect();
                for (start, end) in parts {
                    let _ = locked.populate(start, end, None);
                }
            }
        }
        Ok(())
    }

    /// munlockall(2).
    pub fn munlockall(&self) {
        let mut locked = self.lock();
        locked.inner.future = VmFlags::empty();
        let _ = locked.set_locked(0, USER_END, VmFlags::empty());
    }
}

/// `EPERM` for who may not lock anything.
fn may_lock(limits: &Limits) -> SysResult<()> {
    if limits.may_lock || limits.memlock > 0 { Ok(()) } else { Err(Errno::EPERM) }
}

/// The pages that a byte range touches; `EINVAL` when they wrap round. As in Linux, a length that
/// rounds up to nothing is no length.
fn page_range(addr: u64, len: u64) -> SysResult<(u64, u64)> {
    let start = page_down(addr);
    let len = page_up_wrapping(len.wrapping_add(addr - start));
    let end = start.checked_add(len).ok_or(Errno::EINVAL)?;
    Ok((start, end))
}

impl Locked<'_> {
    /// Sets or clears the lock on the areas of the range; `ENOMEM` if it has holes, after doing the
    /// rest before the hole.
    fn set_locked(&mut self, start: u64, end: u64, flags: VmFlags) -> SysResult<()> {
        if start == end {
            return Ok(());
        }
        let both = VmFlags::LOCKED | VmFlags::LOCKONFAULT;
        let whole = self.inner.areas.covers(start, end);
        let (mut more, mut less) = (0, 0);
        self.inner.areas.update(start, end, |a: &mut Area| {
            // Pages of the kernel, and those that it may take away, are never locked or counted.
            if a.flags.intersects(VmFlags::DONTEXPAND | VmFlags::DROPPABLE) {
                return;
            }
            match (a.flags.contains(VmFlags::LOCKED), flags.contains(VmFlags::LOCKED)) {
                (false, true) => more += a.pages(),
                (true, false) => less += a.pages(),
                _ => {}
            }
            a.flags = (a.flags - both) | flags;
        });
        self.inner.locked = self.inner.locked + more - less;
        if whole { Ok(()) } else { Err(Errno::ENOMEM) }
    }
}
