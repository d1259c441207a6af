//! brk(2): the heap that grows up from the end of the program's data.

use super::address_space::{AddressSpace, Area, Layout};
use super::flags::{PAGE_SIZE, Policy, Prot, USER_END, VmFlags, page_up};
use super::limits::Rights;
use super::object::Object;

impl AddressSpace {
    /// Where the parts of the program are, and the break.
    pub fn parts(&self) -> (Layout, u64) {
        let inner = self.inner.read();
        (inner.layout, inner.brk)
    }

    /// Says where the parts are from now on (`prctl(PR_SET_MM)`).
    pub fn set_parts(&self, layout: Layout, brk: u64) {
        let mut locked = self.lock();
        locked.inner.layout = layout;
        locked.inner.brk = brk;
    }

    /// Whether an area contains `addr`, or begins above it.
    pub fn has_area_above(&self, addr: u64) -> bool {
        self.inner.read().areas.find_from(addr).is_some()
    }

    /// Whether an area maps the file of that device and number.
    pub fn maps_file(&self, dev: u64, ino: u64) -> bool {
        let is_it = |object: &Object| matches!(object, Object::File(map) if map.file.id() == (dev, ino));
        self.inner.read().areas.iter().any(|area| area.backing.as_ref().is_some_and(is_it))
    }

    /// Moves the program break to `new` and returns the break: the old one when `new` is not
    /// possible, as brk(2) does.
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
            let free = locked
                .inner
                .areas
                .find_from(from)
                .is_none_or(|next| to.checked_add(PAGE_SIZE).is_some_and(|end| end <= next.start_gap()));
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
