//! mseal(2): areas that stay as they are until the process ends or runs another program.

use syscall_shim::{Errno, SysResult};

use super::address_space::{AddressSpace, Locked};
use super::flags::{PAGE_SIZE, Prot, VmFlags, page_up};
use super::object::Object;
use super::vma::Vma;

impl AddressSpace {
    /// Seals the range. `ENOMEM` where it has a hole; then nothing is sealed.
    pub fn mseal(&self, addr: u64, len: u64) -> SysResult<()> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let end = page_up(len).and_then(|len| addr.checked_add(len)).ok_or(Errno::EINVAL)?;
        if end == addr {
            return Ok(());
        }
        let mut locked = self.lock();
        if !locked.inner.areas.covers(addr, end) {
            return Err(Errno::ENOMEM);
        }
        locked.parts().1.split_edges(addr, end)?;
        locked.inner.areas.update(addr, end, |area| area.flags |= VmFlags::SEALED);
        Ok(())
    }
}

impl Locked<'_> {
    /// `EPERM` where a part of the range is sealed: it is not to be unmapped, moved, replaced or
    /// protected otherwise.
    pub fn check_seal(&self, start: u64, end: u64) -> SysResult<()> {
        let sealed = self.inner.areas.overlapping(start, end).any(|area| area.flags.contains(VmFlags::SEALED));
        if sealed { Err(Errno::EPERM) } else { Ok(()) }
    }
}

impl Vma<Object> {
    /// Whether advice that gives up its contents is refused: sealed private memory that could not
    /// be written either.
    pub fn keeps_contents(&self) -> bool {
        self.flags.contains(VmFlags::SEALED) && !self.flags.contains(VmFlags::SHARED) && !self.prot.contains(Prot::WRITE)
    }
}
