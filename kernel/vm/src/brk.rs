//! brk(2): the heap that grows up from the end of the program's data.

use super::address_space::{AddressSpace, Area};
use super::flags::{PAGE_SIZE, Policy, Prot, USER_END, VmFlags, page_up};
use super::limits::Rights;

impl AddressSpace {
    /// Moves the program break to `new` and returns the break: the old one when `new` is not possible, as brk(2) does.
    pub fn brk(&self, new: u64, by: &impl Rights) -> u64 {
        let mut locked = self.lock();
        let old = locked.inner.brk;
        let layout = locked.inner.layout;
        let limits = by.limits();
        let data = layout.end_data.saturating_sub(layout.start_data);
        if new < layout.start_brk || (new - layout.start_brk).saturating_add(data) > limits.data {
            return old;
        }
        let (Some(from), Some(to)) = (page_up(old), page_up(new)) else { return old };
        if to < from {
            if locked.check_seal(to, from).and_then(|()| locked.unmap(to, from)).is_err() {
                return old;
            }
        } else if to > from {
            let free = locked.inner.areas.find_from(from).is_none_or(|next| to + PAGE_SIZE <= next.start_gap());
            let vm = VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC | VmFlags::ACCOUNT | locked.inner.future;
            let prot = Prot::READ | Prot::WRITE;
            let pages = (to - from) / PAGE_SIZE;
            let lockable = !vm.contains(VmFlags::LOCKED)
                || limits.may_lock
                || (locked.inner.locked + pages) * PAGE_SIZE <= limits.memlock;
            if to > USER_END || !free || !lockable || locked.check_limits(from, to, prot, vm, &limits).is_err() {
                return old;
            }
            if locked.check_memory().is_err() || locked.charge(pages).is_err() {
                return old;
            }
            locked.insert(Area {
                start: from,
                end: to,
                prot,
                flags: vm,
                offset: 0,
                backing: None,
                name: None,
                policy: Policy::default(),
            });
            if vm.contains(VmFlags::LOCKED) && !vm.contains(VmFlags::LOCKONFAULT) {
                let _ = locked.populate(from, to, None);
            }
        }
        locked.inner.brk = new;
        new
    }
}
