//! Page tables and flushes on the machine that stands for the real one.

use std::vec::Vec;

use base::prot::Prot;

use crate::host::{Machine, Touch};
use crate::page_table::{ANON, D, LastTable, PageTable, Pte};
use crate::size::{LARGE_PAGE, PAGE};
use crate::tlb::{CpuMask, Generation, TlbBatch};
use crate::{frames, huge, user_page};

const RW: Prot = Prot::READ.union(Prot::WRITE);
const AT: u64 = 0x1234_5678_9000;

fn leaf(write: bool) -> Pte {
    Pte::new(user_page::alloc_zeroed().unwrap(), RW, write, ANON | D)
}

/// Runs `test` and expects as many free frames after it as before.
fn balanced(test: impl FnOnce(&Machine)) {
    let machine = Machine::take();
    let before = frames::stats().free;
    test(&machine);
    machine.check();
    assert_eq!(machine.violations(), Vec::<std::string::String>::new());
    machine.unload();
    assert_eq!(frames::stats().free, before);
}

#[test]
fn leaves_are_where_they_were_put() {
    balanced(|machine| {
        let table = PageTable::new().unwrap();
        let pte = leaf(true);
        assert_eq!(table.map(AT, pte), Ok(true));
        assert_eq!(table.map(AT, pte), Ok(false), "one is there");
        assert_eq!(table.bytes(), 4 * PAGE);
        table.root().load();
        assert_eq!(machine.access(AT + 5, Touch::Write), Ok(pte.phys() + 5));
        assert!(machine.access(AT, Touch::Execute).is_err());
        assert!(machine.access(AT + PAGE, Touch::Read).is_err());
        let mut met = Vec::new();
        table.for_each(0, crate::size::PAGE << 35, |leaf| met.push((leaf.addr, leaf.get().phys())));
        assert_eq!(met, [(AT, pte.phys())]);
        machine.unload();
        user_page::put(table.leaf(AT).unwrap().replace(Pte::NONE).phys());
    });
}

#[test]
fn tables_go_with_what_they_mapped() {
    balanced(|machine| {
        let (cpus, generation) = (CpuMask::default(), Generation::default());
        let mut table = PageTable::new().unwrap();
        let mut last = LastTable::default();
        for page in 0..1024 {
            table.map_after(&mut last, LARGE_PAGE + page * PAGE, leaf(true)).unwrap();
        }
        table.root().load();
        cpus.add(0);
        for page in 0..1024 {
            machine.access(LARGE_PAGE + page * PAGE, Touch::Read).unwrap();
        }
        let mut batch = TlbBatch::new(&cpus, &generation);
        table.for_each(0, 4 * LARGE_PAGE, |leaf| {
            batch.touch(leaf.addr, leaf.size);
            batch.free_frame(leaf.replace(Pte::NONE).phys());
        });
        // The first of the two tables reaches out of the range.
        let free = LARGE_PAGE + PAGE..4 * LARGE_PAGE;
        table.free_unused(LARGE_PAGE, 3 * LARGE_PAGE, &free, &mut batch);
        assert_eq!(table.bytes(), 4 * PAGE);
        drop(batch);
        assert!(machine.access(LARGE_PAGE, Touch::Read).is_err());
        machine.unload();
        cpus.remove(0);
    });
}

#[test]
fn a_large_page_is_split_in_place() {
    balanced(|machine| {
        let table = PageTable::new().unwrap();
        let phys = huge::alloc(true).unwrap();
        assert_eq!(table.map_huge(LARGE_PAGE, Pte::new(phys, RW, true, ANON)), Ok(true));
        table.root().load();
        assert_eq!(machine.access(LARGE_PAGE + 7 * PAGE + 1, Touch::Write), Ok(phys + 7 * PAGE + 1));
        table.split_huge(LARGE_PAGE + PAGE).unwrap();
        assert!(!table.leaf(LARGE_PAGE).unwrap().is_huge());
        assert_eq!(huge::users(phys), 0);
        let mut count = 0;
        machine.unload();
        table.for_each(LARGE_PAGE, 2 * LARGE_PAGE, |leaf| {
            assert_eq!(leaf.get().phys(), phys + leaf.addr - LARGE_PAGE);
            user_page::put(leaf.replace(Pte::NONE).phys());
            count += 1;
        });
        assert_eq!(count, 512);
    });
}

#[test]
fn what_is_freed_too_early_is_seen() {
    let machine = Machine::take();
    let table = PageTable::new().unwrap();
    let pte = leaf(true);
    table.map(AT, pte).unwrap();
    table.root().load();
    machine.access(AT, Touch::Read).unwrap();
    table.leaf(AT).unwrap().replace(Pte::NONE);
    user_page::put(pte.phys());
    assert_eq!(machine.violations().len(), 1);
    machine.check();
    assert_eq!(machine.violations().len(), 1, "and that it is still remembered");
    machine.unload();
}

#[test]
fn a_lazy_cpu_is_left_alone_until_it_goes_on() {
    let machine = Machine::take();
    let (cpus, generation) = (CpuMask::default(), Generation::default());
    let table = PageTable::new().unwrap();
    let pte = leaf(true);
    table.map(AT, pte).unwrap();
    machine.run_on(1);
    table.root().load();
    cpus.add(1);
    machine.access(AT, Touch::Read).unwrap();
    machine.set_lazy(1, true);
    machine.run_on(0);
    let mut batch = TlbBatch::new(&cpus, &generation);
    batch.touch(AT, PAGE);
    batch.free_frame(table.leaf(AT).unwrap().replace(Pte::NONE).phys());
    drop(batch);
    machine.check();
    assert_eq!(machine.violations().len(), 0);
    assert_eq!(generation.get(), 1);
    machine.set_lazy(1, false);
    machine.run_on(1);
    let _ = machine.access(AT, Touch::Read);
    assert_eq!(machine.violations().len(), 1, "it went on without a flush");
    machine.unload();
}
