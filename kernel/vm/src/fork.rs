//! Duplication of an address space for fork(2): areas are copied, private pages are shared until
//! one side writes.

use alloc::sync::Arc;

use syscall_shim::SysResult;

use super::address_space::AddressSpace;
use super::flags::VmFlags;
use super::object::Object;

impl AddressSpace {
    /// A copy-on-write duplicate. `ENOMEM` if the copy cannot be promised its memory; then the
    /// original is as it was, some of its pages merely read-only until their next write fault.
    pub fn fork(&self) -> SysResult<Arc<AddressSpace>> {
        let child = AddressSpace::new()?;
        child.disable_huge_pages(self.huge_pages_disabled());
        let mut parent = self.lock();
        parent.check_memory()?;
        let mut to = child.lock();
        to.inner.layout = parent.inner.layout;
        to.inner.brk = parent.inner.brk;
        let (areas, mut pages) = parent.parts();
        for area in areas.iter().filter(|a| !a.flags.contains(VmFlags::DONTCOPY)) {
            let mut copy = area.clone();
            copy.backing = area.backing.as_ref().map(Object::for_child);
            // mlock(2): memory locks are not inherited.
            copy.flags -= VmFlags::LOCKED | VmFlags::LOCKONFAULT;
            if copy.flags.contains(VmFlags::ACCOUNT) {
                to.charge(copy.pages())?;
            }
            to.insert(copy);
            if !area.flags.contains(VmFlags::WIPEONFORK) {
                pages.duplicate(area, &mut to.inner.table, &child.rss)?;
            }
        }
        child.inherit_sites(self);
        drop(to);
        drop(parent);
        Ok(child)
    }
}
