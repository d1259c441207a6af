//! Single calls, where the order of checks and what is told of an area matter more than what
//! happens to be mapped.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use mem::host::{self, Machine};
use mem::{frames, user_page};
use syscall_shim::{Errno, SysResult};

use super::env::{self, ANYONE, Task};
use crate::flags::{Access, FaultError, HUGE_SIZE, MMAP_MIN_ADDR, PAGE_SIZE, Policy, Prot, USER_END, VmFlags};
use crate::limits::{Execution, Limits};
use crate::madvise::{Advice, mincore_pages};
use crate::maps::{MapsEntry, vm_flags_line};
use crate::mremap::RemapFlags;
use crate::numa::{Nodes, check_mode};
use crate::remote::copy_vectors;
use crate::{AddressSpace, Layout, MapFile, MapFlags, MapRequest, MapTarget, SpecialPages};

const RW: Prot = Prot::READ.union(Prot::WRITE);
const AT: u64 = 0x10_0000_0000;
const MIB: u64 = 1 << 20;

/// Runs `test` in an empty space, and expects as many free frames afterwards as before.
fn space(test: impl FnOnce(&Machine, &Arc<AddressSpace>)) {
    let machine = Machine::take();
    env::install();
    user_page::zero_page();
    crate::huge_policy::POLICY.store(2, core::sync::atomic::Ordering::Relaxed);
    let before = frames::stats().free;
    let space = AddressSpace::new().unwrap();
    space.enter();
    space.activate();
    test(&machine, &space);
    machine.check();
    assert_eq!(machine.violations(), Vec::<std::string::String>::new());
    space.leave();
    machine.unload();
    space.deactivate();
    drop(space);
    assert_eq!(frames::stats().free, before, "frames that nobody has");
}

fn map(space: &AddressSpace, at: u64, pages: u64, prot: Prot, flags: MapFlags) -> SysResult<u64> {
    space.mmap(MapRequest::anonymous(at, pages * PAGE_SIZE, prot, flags | MapFlags::FIXED), &ANYONE)
}

fn map_file(space: &AddressSpace, at: u64, pages: u64, prot: Prot, flags: MapFlags, file: MapFile) -> SysResult<u64> {
    let flags = flags | MapFlags::FIXED;
    space.mmap(MapRequest { addr: at, len: pages * PAGE_SIZE, prot, flags, file: Some(file) }, &ANYONE)
}

fn open(file: &Arc<env::File>) -> MapFile {
    MapFile {
        target: MapTarget::File(file.clone()),
        offset: 0,
        may_read: true,
        may_write: true,
        may_exec: true,
        write_sealed: false,
    }
}

fn maps(space: &AddressSpace) -> Vec<(u64, u64, &'static str)> {
    let name = |entry: &MapsEntry| match &entry.path[..] {
        b"[heap]" => "heap",
        b"[stack]" => "stack",
        b"" => "",
        _ => "other",
    };
    space.maps().unwrap().iter().map(|entry| (entry.start, (entry.end - entry.start) / PAGE_SIZE, name(entry))).collect()
}

#[test]
fn mmap_checks_in_the_order_of_linux() {
    space(|_, space| {
        let anonymous = |addr, len, flags| space.mmap(MapRequest::anonymous(addr, len, RW, flags), &ANYONE);
        assert_eq!(anonymous(0, 0, MapFlags::empty()), Err(Errno::EINVAL));
        assert_eq!(anonymous(0, u64::MAX, MapFlags::empty()), Err(Errno::ENOMEM));
        assert_eq!(anonymous(0, USER_END, MapFlags::empty()), Err(Errno::ENOMEM));
        assert_eq!(anonymous(AT + 1, 1, MapFlags::FIXED), Err(Errno::EINVAL));
        assert_eq!(anonymous(0, 1, MapFlags::FIXED), Err(Errno::EPERM));
        let low = Task { low: true, ..ANYONE };
        assert_eq!(space.mmap(MapRequest::anonymous(0, 1, RW, MapFlags::FIXED), &low), Ok(0));
        assert!(anonymous(1, 1, MapFlags::empty()).unwrap() >= MMAP_MIN_ADDR);
        let low_at = anonymous(0, MIB, MapFlags::MAP_32BIT).unwrap();
        assert_eq!(low_at, 0x4000_0000);
        assert_eq!(anonymous(0x5000_0000, MIB, MapFlags::MAP_32BIT), Ok(0x5000_0000));
        let shared = MapRequest {
            flags: MapFlags::SHARED | MapFlags::GROWSDOWN,
            ..MapRequest::anonymous(0, 1, RW, MapFlags::empty())
        };
        assert_eq!(space.mmap(shared, &ANYONE), Err(Errno::EINVAL));
        let typeless = MapRequest { flags: MapFlags::ANONYMOUS, ..MapRequest::anonymous(0, 1, RW, MapFlags::empty()) };
        assert_eq!(space.mmap(typeless, &ANYONE), Err(Errno::EINVAL));
        let droppable = |more| MapRequest {
            flags: MapFlags::DROPPABLE | MapFlags::ANONYMOUS | more,
            ..MapRequest::anonymous(0, 1, RW, MapFlags::empty())
        };
        assert_eq!(space.mmap(droppable(MapFlags::LOCKED), &ANYONE), Err(Errno::EINVAL));
        let at = space.mmap(droppable(MapFlags::empty()), &ANYONE).unwrap();
        assert!(space.describe(at).unwrap().flags.contains(VmFlags::DROPPABLE | VmFlags::WIPEONFORK));
    });
}

#[test]
fn a_file_is_mapped_as_it_is_open() {
    space(|_, space| {
        let file = env::File::new(7, 4, false);
        let try_map = |prot, flags, file| map_file(space, AT, 1, prot, flags, file);
        let (shared, private) = (MapFlags::SHARED, MapFlags::PRIVATE);
        assert_eq!(try_map(RW, shared, MapFile { may_write: false, ..open(&file) }), Err(Errno::EACCES));
        assert_eq!(try_map(RW, private, MapFile { may_read: false, ..open(&file) }), Err(Errno::EACCES));
        assert_eq!(try_map(Prot::EXEC, private, MapFile { may_exec: false, ..open(&file) }), Err(Errno::EPERM));
        assert_eq!(try_map(RW, shared, MapFile { write_sealed: true, ..open(&file) }), Err(Errno::EPERM));
        assert_eq!(try_map(RW, MapFlags::empty(), open(&file)), Err(Errno::EINVAL));
        assert_eq!(try_map(RW, private | MapFlags::GROWSDOWN, open(&file)), Err(Errno::EINVAL));
        assert_eq!(try_map(RW, private, MapFile { offset: 1, ..open(&file) }), Err(Errno::EINVAL));
        assert_eq!(try_map(RW, private, MapFile { offset: i64::MAX as u64 & !4095, ..open(&file) }), Err(Errno::EOVERFLOW));
        let refused = MapFile { target: MapTarget::Refused(Errno::ENODEV), ..open(&file) };
        assert_eq!(try_map(RW, private, refused), Err(Errno::ENODEV));
        let sync = MapFlags::SHARED_VALIDATE | MapFlags::from_bits_retain(0x80000);
        assert_eq!(try_map(RW, sync, open(&file)), Err(Errno::EOPNOTSUPP));
        assert_eq!(try_map(Prot::READ, shared, MapFile { write_sealed: true, ..open(&file) }), Ok(AT));
        assert_eq!(space.mprotect(AT, 1, RW, false, &ANYONE), Err(Errno::EACCES));
        assert_eq!(try_map(RW, shared, open(&file)), Ok(AT));
        assert!(file.mapping.has_writable_maps());
        let zero = MapFile { target: MapTarget::Zero, ..open(&file) };
        assert_eq!(map_file(space, AT + MIB, 1, RW, shared, zero.clone()), Ok(AT + MIB));
        assert_eq!(map_file(space, AT + 2 * MIB, 1, RW, private, zero), Ok(AT + 2 * MIB));
        assert_eq!(space.file_at(AT + 5).map(|(file, offset)| (file.id(), offset)), Some(((2, 7), 5)));
        assert!(space.file_attached_at(AT).is_none());
        assert_eq!(space.remap_file_pages(AT, PAGE_SIZE, 2), Ok(()));
        assert_eq!(space.describe(AT).unwrap().offset, 2 * PAGE_SIZE);
        assert_eq!(space.remap_file_pages(AT + MIB, 2 * PAGE_SIZE, 0), Err(Errno::EINVAL));
        assert_eq!(space.remap_file_pages(AT + 2 * MIB, PAGE_SIZE, 0), Err(Errno::EINVAL));
        assert_eq!(space.msync(AT, PAGE_SIZE, true, false), Ok(()));
        assert_eq!(space.msync(AT + 1, PAGE_SIZE, true, false), Err(Errno::EINVAL));
        assert_eq!(space.msync(AT, MIB, true, false), Err(Errno::ENOMEM));
        assert_eq!(space.mlock(AT, 1, false, &ANYONE), Ok(()));
        assert_eq!(space.msync(AT, PAGE_SIZE, false, true), Err(Errno::EBUSY));
        assert!(space.shared_futex_key(AT).unwrap().is_some());
        assert_eq!(space.shared_futex_key(AT + 2 * MIB), Ok(None));
        assert_eq!(space.shared_futex_key(AT + 9 * MIB), Err(Errno::EFAULT));
    });
}

#[test]
fn limits_bind() {
    space(|_, space| {
        let limits = |limits| Task { limits, ..ANYONE };
        let all = ANYONE.limits;
        let ask = |by: &Task, flags| space.mmap(MapRequest::anonymous(0, 4 * PAGE_SIZE, RW, flags), by);
        let none = MapFlags::empty();
        assert_eq!(ask(&limits(Limits { address_space: 3 * PAGE_SIZE, ..all }), none), Err(Errno::ENOMEM));
        assert_eq!(ask(&limits(Limits { data: 3 * PAGE_SIZE, ..all }), none), Err(Errno::ENOMEM));
        let unlocked = limits(Limits { may_lock: false, memlock: 0, ..all });
        assert_eq!(ask(&unlocked, MapFlags::LOCKED), Err(Errno::EPERM));
        let little = limits(Limits { may_lock: false, memlock: 3 * PAGE_SIZE, ..all });
        assert_eq!(ask(&little, MapFlags::LOCKED), Err(Errno::EAGAIN));
        let at = ask(&ANYONE, none).unwrap();
        assert_eq!(space.mlock(at, 1, false, &unlocked), Err(Errno::EPERM));
        assert_eq!(space.mlock(at, 4 * PAGE_SIZE, false, &little), Err(Errno::ENOMEM));
        assert_eq!(space.mlock(at, 2 * PAGE_SIZE, false, &little), Ok(()));
        assert_eq!(space.mlockall(true, false, false, &little), Err(Errno::ENOMEM));
        assert_eq!(space.mlockall(true, true, false, &ANYONE), Ok(()));
        assert_eq!(space.memory_use().vm_lck, 4 * PAGE_SIZE);
        let grown = space.mremap(at, 4 * PAGE_SIZE, 5 * PAGE_SIZE, RemapFlags::MAYMOVE, 0, &little);
        assert_eq!(grown, Err(Errno::EAGAIN));
        let later = ask(&ANYONE, none).unwrap();
        assert_eq!(space.memory_use().vm_lck, 8 * PAGE_SIZE);
        space.munlockall();
        assert_eq!(space.memory_use().vm_lck, 0);
        space.munmap(later, 4 * PAGE_SIZE).unwrap();
        space.mprotect(at, 4 * PAGE_SIZE, Prot::READ, false, &ANYONE).unwrap();
        let data = limits(Limits { data: 3 * PAGE_SIZE, ..all });
        assert_eq!(space.mprotect(at, 4 * PAGE_SIZE, RW, false, &data), Err(Errno::ENOMEM));
        let implied = Task { execution: Execution { implied: true, no_gain: false }, ..ANYONE };
        space.mprotect(at, PAGE_SIZE, Prot::READ, false, &implied).unwrap();
        assert!(space.describe(at).unwrap().prot.contains(Prot::EXEC));
        let no_gain = Task { execution: Execution { implied: false, no_gain: true }, ..ANYONE };
        assert_eq!(space.mprotect(at + PAGE_SIZE, PAGE_SIZE, Prot::EXEC, false, &no_gain), Err(Errno::EACCES));
    });
}

#[test]
fn the_break_moves() {
    space(|_, space| {
        space.set_layout(Layout { start_brk: AT, mmap_base: USER_END - 64 * MIB, ..Layout::default() });
        assert_eq!(space.brk(0, &ANYONE), AT);
        assert_eq!(space.brk(AT + 3 * PAGE_SIZE + 1, &ANYONE), AT + 3 * PAGE_SIZE + 1);
        assert_eq!(maps(space), [(AT, 4, "heap")]);
        assert_eq!(space.write(AT, b"heap"), 4);
        assert_eq!(space.brk(AT + PAGE_SIZE, &ANYONE), AT + PAGE_SIZE);
        map(space, AT + 8 * PAGE_SIZE, 1, RW, MapFlags::empty()).unwrap();
        assert_eq!(space.brk(AT + 8 * PAGE_SIZE, &ANYONE), AT + PAGE_SIZE, "another area is there");
        let poor = Task { limits: Limits { data: 2 * PAGE_SIZE, ..ANYONE.limits }, ..ANYONE };
        assert_eq!(space.brk(AT + 3 * PAGE_SIZE, &poor), AT + PAGE_SIZE);
        space.mlockall(false, true, false, &ANYONE).unwrap();
        assert_eq!(space.brk(AT + 2 * PAGE_SIZE, &ANYONE), AT + 2 * PAGE_SIZE);
        assert_eq!(space.resident(mem::account::RssKind::Anon), 2 * PAGE_SIZE);
    });
}

#[test]
fn sealed_memory_stays() {
    space(|_, space| {
        map(space, AT, 4, Prot::READ, MapFlags::empty()).unwrap();
        assert_eq!(space.mseal(AT + 1, 1), Err(Errno::EINVAL));
        assert_eq!(space.mseal(AT, 0), Ok(()));
        assert_eq!(space.mseal(AT, 5 * PAGE_SIZE), Err(Errno::ENOMEM));
        assert_eq!(space.mseal(AT + PAGE_SIZE, PAGE_SIZE), Ok(()));
        assert_eq!(space.munmap(AT, 4 * PAGE_SIZE), Err(Errno::EPERM));
        assert_eq!(space.mprotect(AT, 4 * PAGE_SIZE, RW, false, &ANYONE), Err(Errno::EPERM));
        assert_eq!(space.madvise(AT, 4 * PAGE_SIZE, Advice::DontNeed), Err(Errno::EPERM));
        assert_eq!(map(space, AT, 4, RW, MapFlags::empty()), Err(Errno::EPERM));
        let moved = space.mremap(AT + PAGE_SIZE, PAGE_SIZE, 2 * PAGE_SIZE, RemapFlags::MAYMOVE, 0, &ANYONE);
        assert_eq!(moved, Err(Errno::EPERM));
        assert_eq!(space.munmap(AT, PAGE_SIZE), Ok(()));
    });
}

#[test]
fn the_kernels_pages_are_lent() {
    space(|machine, space| {
        let frame = user_page::alloc_zeroed().unwrap();
        user_page::write(frame, 0, b"lent");
        let pages = Arc::new(SpecialPages { name: "[vdso]", frames: vec![frame], owned: true });
        let at = space.mmap_special(AT, Prot::READ | Prot::EXEC, pages.clone()).unwrap();
        let data = space.mmap_special(0, Prot::READ, pages).unwrap();
        space.handle_fault(at, Access { write: false, exec: true }, &ANYONE).unwrap();
        assert_eq!(machine.access(at, host::Touch::Execute), Ok(frame));
        let mut bytes = [0; 4];
        assert_eq!(space.read(data, &mut bytes), 4);
        assert_eq!(&bytes, b"lent");
        assert_eq!(space.madvise(data, PAGE_SIZE, Advice::DontNeed), Err(Errno::EINVAL));
        assert_eq!(space.madvise(data, PAGE_SIZE, Advice::DoDump), Err(Errno::EINVAL));
        assert_eq!(space.madvise(data, PAGE_SIZE, Advice::GuardInstall), Err(Errno::EINVAL));
        let grown = space.mremap(data, PAGE_SIZE, 2 * PAGE_SIZE, RemapFlags::MAYMOVE, 0, &ANYONE);
        assert_eq!(grown, Err(Errno::EFAULT));
        assert_eq!(space.rss_pages(), 0);
        assert_eq!(space.describe(at).unwrap().path, b"[vdso]");
        assert!(!space.page(at).unwrap().exclusive);
    });
}

#[test]
fn other_spaces_are_read_and_written() {
    space(|_, space| {
        map(space, AT, 3, RW, MapFlags::empty()).unwrap();
        map(space, AT + 3 * PAGE_SIZE, 1, Prot::READ, MapFlags::empty()).unwrap();
        let text = [7; 3 * PAGE_SIZE as usize];
        assert_eq!(space.write(AT + 100, &text), 3 * PAGE_SIZE as usize - 100);
        assert_eq!(space.write_exact(AT + 3 * PAGE_SIZE, b"x"), Err(Errno::EFAULT));
        assert_eq!(space.read(USER_END, &mut [0; 8]), 0);
        let child = space.fork().unwrap();
        let mut bytes = [0; 200];
        assert_eq!(child.read(AT, &mut bytes), 200);
        assert_eq!((bytes[99], bytes[100]), (0, 7));
        let (from, to) = ([[AT, 150], [AT + PAGE_SIZE, 50]], [[AT + 2 * PAGE_SIZE, 120], [AT + PAGE_SIZE, 80]]);
        assert_eq!(copy_vectors(space, &from, &child, &to), Ok(200));
        assert_eq!(copy_vectors(space, &[[0, 8]], &child, &to), Err(Errno::EFAULT));
        assert_eq!(copy_vectors(space, &[[AT, 500]], &child, &to), Ok(200));
        assert_eq!(child.read(AT + 2 * PAGE_SIZE, &mut bytes), 200);
        assert_eq!((bytes[99], bytes[100]), (0, 7));
        assert!(child.translate(AT).is_some() && child.translate(USER_END).is_none() && child.translate(MIB).is_none());
        assert_eq!(space.present(AT, AT + 4 * PAGE_SIZE), [(AT, AT + 3 * PAGE_SIZE)]);
    });
}

#[test]
fn what_is_told_of_areas_is_true() {
    space(|_, space| {
        space.set_layout(Layout {
            mmap_base: USER_END - 64 * MIB,
            start_brk: AT,
            start_stack: AT + 9 * PAGE_SIZE,
            start_code: AT + 20 * PAGE_SIZE,
            end_code: AT + 21 * PAGE_SIZE,
            ..Layout::default()
        });
        let file = env::File::new(7, 4, false);
        space.brk(AT + PAGE_SIZE, &ANYONE);
        map(space, AT + 8 * PAGE_SIZE, 2, RW, MapFlags::GROWSDOWN).unwrap();
        map_file(space, AT + 20 * PAGE_SIZE, 1, Prot::READ | Prot::EXEC, MapFlags::PRIVATE, open(&file)).unwrap();
        map(space, AT + 21 * PAGE_SIZE, 1, Prot::READ | Prot::EXEC, MapFlags::empty()).unwrap();
        assert_eq!(
            maps(space),
            [
                (AT, 1, "heap"),
                (AT + 8 * PAGE_SIZE, 2, "stack"),
                (AT + 20 * PAGE_SIZE, 1, "other"),
                (AT + 21 * PAGE_SIZE, 1, "")
            ]
        );
        let executable: Vec<_> = space.executable().unwrap().into_iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(executable, [(AT + 20 * PAGE_SIZE, AT + 22 * PAGE_SIZE)]);
        space.write(AT, b"x");
        space.read(AT + 20 * PAGE_SIZE, &mut [0]);
        let all = space.smaps().unwrap();
        let (heap, code) = (&all[0].1, &all[2].1);
        assert_eq!((heap.rss, heap.private_dirty, heap.anonymous), (PAGE_SIZE, PAGE_SIZE, PAGE_SIZE));
        assert_eq!((code.rss, code.private_clean, code.referenced), (PAGE_SIZE, PAGE_SIZE, PAGE_SIZE));
        let child = space.fork().unwrap();
        assert_eq!(space.smaps().unwrap()[0].1.shared_dirty, PAGE_SIZE);
        drop(child);
        space.clear_referenced(true, false);
        assert_eq!(space.smaps().unwrap()[0].1.referenced, 0);
        let memory = space.memory_use();
        assert_eq!((memory.vm_size, memory.vm_stk, memory.vm_exe), (5 * PAGE_SIZE, 2 * PAGE_SIZE, PAGE_SIZE));
        assert_eq!(memory.vm_rss(), 2 * PAGE_SIZE);
        assert_eq!(space.peak_rss(), 2 * PAGE_SIZE);
        space.reset_peak_rss();
        let page = space.page(AT).unwrap();
        assert!(page.anonymous && page.exclusive);
        assert_eq!(space.set_anon_name(AT + 8 * PAGE_SIZE, 2 * PAGE_SIZE, Some(b"name")), Ok(()));
        assert_eq!(space.set_anon_name(AT + 20 * PAGE_SIZE, PAGE_SIZE, None), Err(Errno::EBADF));
        assert_eq!(space.set_anon_name(AT + 2 * PAGE_SIZE, PAGE_SIZE, None), Err(Errno::ENOMEM));
        let entry = space.describe(AT).unwrap();
        assert_eq!(vm_flags_line(entry.prot, entry.flags), "rd wr mr mw me ac ");
        let mut present = [9; 3];
        assert_eq!(space.mincore(AT, &mut present[..1]), Ok(()));
        assert_eq!(space.mincore(AT, &mut present), Err(Errno::ENOMEM));
        assert_eq!(present[0], 1);
        assert_eq!(space.mincore(AT + 20 * PAGE_SIZE, &mut present[..2]), Ok(()));
        assert_eq!(present[..2], [1, 0]);
        assert_eq!(mincore_pages(1, 1), Err(Errno::EINVAL));
        assert_eq!(mincore_pages(USER_END, 1), Err(Errno::ENOMEM));
        assert_eq!(mincore_pages(AT, 4097), Ok(2));
    });
}

#[test]
fn stacks_grow_as_far_as_they_may() {
    space(|_, space| {
        let top = AT + 64 * MIB;
        map(space, top, 1, RW, MapFlags::GROWSDOWN).unwrap();
        let touch = |at| space.handle_fault(at, Access::WRITE, &ANYONE);
        assert_eq!(touch(top - PAGE_SIZE), Ok(()));
        assert_eq!(touch(top + PAGE_SIZE - env::STACK), Ok(()));
        assert_eq!(touch(top - env::STACK), Err(FaultError::Maperr));
        assert_eq!(space.write(top - env::STACK, b"x"), 0, "nobody else has it grow");
        assert_eq!(space.mprotect(top, PAGE_SIZE, Prot::READ, true, &ANYONE), Ok(()));
        assert_eq!(maps(space), [(top + PAGE_SIZE - env::STACK, env::STACK / PAGE_SIZE, "")]);
        map(space, AT, 1, RW, MapFlags::empty()).unwrap();
        assert_eq!(space.mprotect(AT, PAGE_SIZE, Prot::READ, true, &ANYONE), Err(Errno::EINVAL));
        assert_eq!(space.mprotect(AT + PAGE_SIZE, PAGE_SIZE, Prot::READ, true, &ANYONE), Err(Errno::ENOMEM));
        assert_eq!(touch(USER_END), Err(FaultError::Maperr));
        let locked = Task { limits: Limits { may_lock: false, memlock: 0, ..ANYONE.limits }, ..ANYONE };
        map(space, AT + 32 * MIB, 1, RW, MapFlags::GROWSDOWN | MapFlags::LOCKED).unwrap();
        assert_eq!(space.handle_fault(AT + 32 * MIB - 1, Access::WRITE, &locked), Err(FaultError::Maperr));
    });
}

#[test]
fn memory_policies_are_those_of_one_node() {
    space(|_, space| {
        const BIND: u32 = 2;
        const INTERLEAVE: u32 = 3;
        let ours = Nodes { first: 1, others: false };
        assert!(ours.has_ours() && ours.is_ours());
        assert_eq!(check_mode(99), Err(Errno::EINVAL));
        assert_eq!(check_mode(BIND | 3 << 14), Err(Errno::EINVAL));
        assert_eq!(check_mode(BIND), Ok(()));
        let bind = Policy::new(BIND, ours).unwrap();
        assert_eq!(Policy::new(BIND, Nodes { first: 2, others: false }), Err(Errno::EINVAL));
        assert_eq!(Policy::new(0, ours), Err(Errno::EINVAL));
        assert_eq!(Policy::new(1, Nodes::default()).unwrap().mode, 4);
        map(space, AT, 4, RW, MapFlags::empty()).unwrap();
        assert_eq!(space.mbind(AT, AT + 5 * PAGE_SIZE, bind), Err(Errno::EFAULT));
        assert_eq!(space.mbind(AT + PAGE_SIZE, AT + 2 * PAGE_SIZE, bind), Ok(()));
        assert_eq!(maps(space).len(), 3);
        let own = Policy::new(INTERLEAVE, ours).unwrap();
        assert_eq!(space.get_mempolicy(AT + PAGE_SIZE, 2, own), Ok((2, 1)));
        assert_eq!(space.get_mempolicy(AT, 3, own), Ok((0, 0)));
        assert_eq!(space.get_mempolicy(0, 0, own), Ok((3, 1)));
        assert_eq!(space.get_mempolicy(0, 1, own), Ok((0, 1)));
        assert_eq!(space.get_mempolicy(0, 4, own), Ok((0, 1)));
        assert_eq!(space.get_mempolicy(AT, 0, own), Err(Errno::EINVAL));
        assert_eq!(space.get_mempolicy(0, 8, own), Err(Errno::EINVAL));
        assert_eq!(space.check_home_node(AT, AT + 4 * PAGE_SIZE), Ok(()));
        assert_eq!(space.check_home_node(AT, AT + PAGE_SIZE), Err(Errno::ENOENT));
        assert_eq!(space.node_of(AT), -i32::from(Errno::ENOENT.0));
        assert_eq!(space.node_of(AT + MIB), -i32::from(Errno::EFAULT.0));
        space.read(AT, &mut [0]);
        assert_eq!(space.node_of(AT), -i32::from(Errno::EFAULT.0));
        space.write(AT, b"x");
        assert_eq!(space.node_of(AT), 0);
        assert_eq!(space.membarrier(0), Ok(1023));
        assert_eq!(space.membarrier(8), Err(Errno::EPERM));
        assert_eq!(space.membarrier(16), Ok(0));
        assert_eq!(space.membarrier(8), Ok(0));
        assert_eq!(space.membarrier(512), Ok(16));
        assert_eq!(space.membarrier(3), Err(Errno::EINVAL));
        assert_eq!(space.membarrier(1), Ok(0));
    });
}

#[test]
fn large_pages_come_where_they_fit() {
    space(|machine, space| {
        crate::huge_policy::POLICY.store(0, core::sync::atomic::Ordering::Relaxed);
        let base = AT + HUGE_SIZE;
        map(space, base - PAGE_SIZE, 1024, RW, MapFlags::empty()).unwrap();
        space.handle_fault(base + 5, Access::WRITE, &ANYONE).unwrap();
        assert_eq!(space.rss_pages(), 512);
        machine.access(base + 5, host::Touch::Write).unwrap();
        assert_eq!(space.smaps().unwrap()[0].1.anon_huge, HUGE_SIZE);
        space.handle_fault(base - 1, Access::WRITE, &ANYONE).unwrap();
        assert_eq!(space.rss_pages(), 513);
        let child = space.fork().unwrap();
        assert_eq!(space.smaps().unwrap()[0].1.shared_dirty, HUGE_SIZE + PAGE_SIZE);
        space.handle_fault(base + 5, Access::WRITE, &ANYONE).unwrap();
        drop(child);
        assert_eq!(space.mprotect(base + PAGE_SIZE, PAGE_SIZE, Prot::READ, false, &ANYONE), Ok(()));
        assert_eq!(space.munmap(base + 8 * PAGE_SIZE, PAGE_SIZE), Ok(()));
        assert_eq!(space.rss_pages(), 512);
        space.disable_huge_pages(true);
        assert!(space.fork().unwrap().huge_pages_disabled());
        map(space, AT + 64 * MIB, 512, RW, MapFlags::empty()).unwrap();
        space.handle_fault(AT + 64 * MIB, Access::WRITE, &ANYONE).unwrap();
        assert_eq!(space.rss_pages(), 513);
    });
}

#[test]
fn who_is_reaped_finds_no_memory() {
    space(|_, space| {
        map(space, AT, 4, RW, MapFlags::empty()).unwrap();
        assert_eq!(space.write(AT, &[1; 8192]), 8192);
        assert_eq!(space.pages_for_oom(), 2 + 4);
        assert!(space.is_used() && !space.is_shared());
        space.reap();
        assert_eq!(space.rss_pages(), 0);
        assert_eq!(space.handle_fault(AT, Access::READ, &ANYONE), Err(FaultError::Oom));
        assert_eq!(space.write(AT, b"x"), 0);
    });
}
