//! Locks and leases on files.

use alloc::sync::Arc;
use std::thread;

use caller::Target;
use caller::testing::{become_user, take_signals};
use fs::OpenFlags;
use fs::lease::LeaseBreaker as _;
use fs::locks::{LockKind, OFFSET_MAX, Owner, Range};
use syscall_shim::Errno;

use super::{Tree, until};
use crate::{FdTable, OpenFile, lease, locks};

fn range(start: u64, end: u64) -> Range {
    Range { start, end }
}

fn description(file: &OpenFile) -> Owner {
    Owner::Description(file.id)
}

#[test]
fn records_conflict_where_they_overlap() {
    let tree = Tree::new();
    let (a, b) = (tree.file("/f", b"0123456789"), tree.open("/f", OpenFlags::RDWR).unwrap());
    let set = |file: &OpenFile, kind, at| locks::lock_range(file, description(file), kind, at, false);
    assert!(locks::test_range(&b, description(&b), LockKind::Write, range(0, 9)).is_none());
    assert!(locks::held(&a, description(&a), range(0, OFFSET_MAX)).is_none());
    set(&a, LockKind::Write, range(0, 4)).unwrap();
    assert_eq!(set(&b, LockKind::Read, range(4, 5)), Err(Errno::EAGAIN));
    set(&b, LockKind::Write, range(5, OFFSET_MAX)).unwrap();
    let found = locks::test_range(&b, description(&b), LockKind::Read, range(2, 3)).unwrap();
    assert_eq!((found.kind, found.pid, found.range.end), (LockKind::Write, -1, 4));
    assert!(locks::held(&a, description(&a), range(3, 9)).is_some_and(|lock| lock.range.start == 0));
    set(&a, LockKind::Read, range(0, 4)).unwrap();
    set(&b, LockKind::Read, range(4, 4)).unwrap();
    let shown = locks::list(&a.inode);
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|line| line.class == "OFDLCK") && shown.iter().any(|line| line.end.is_none()));
    locks::unlock_range(&a, description(&a), range(0, OFFSET_MAX));
    set(&b, LockKind::Write, range(0, 4)).unwrap();
    drop(b);
    assert!(locks::list(&a.inode).is_empty(), "they go with the description");
}

#[test]
fn whole_files_are_locked_by_description() {
    let tree = Tree::new();
    let (a, b) = (tree.file("/f", b""), tree.open("/f", OpenFlags::RDWR).unwrap());
    locks::flock(&a, LockKind::Read, false).unwrap();
    locks::flock(&b, LockKind::Read, false).unwrap();
    assert_eq!(locks::flock(&a, LockKind::Write, false), Err(Errno::EAGAIN));
    locks::unflock(&b);
    locks::flock(&a, LockKind::Write, false).unwrap();
    let shown = locks::list(&a.inode);
    assert_eq!((shown.len(), shown[0].class, shown[0].pid), (1, "FLOCK", caller::pid()));
    let waiter = {
        let b = b.clone();
        thread::spawn(move || locks::flock(&b, LockKind::Write, true))
    };
    locks::unflock(&a);
    assert_eq!(waiter.join().unwrap(), Ok(()));
    locks::unflock(&a);
    drop(b);
    locks::flock(&a, LockKind::Write, false).unwrap();
}

#[test]
fn a_process_gives_its_records_up_with_any_descriptor() {
    let tree = Tree::new();
    let (one, other) = (FdTable::new(), FdTable::new());
    let file = tree.file("/f", b"0123");
    let again = one.insert(tree.open("/f", OpenFlags::RDWR).unwrap(), false).unwrap();
    let (mine, theirs) = (Owner::Process(one.id), Owner::Process(other.id));
    locks::lock_range(&file, mine, LockKind::Write, range(0, 1), false).unwrap();
    assert_eq!(locks::list(&file.inode)[0].class, "POSIX");
    assert_eq!(locks::lock_range(&file, theirs, LockKind::Write, range(0, 3), false), Err(Errno::EAGAIN));
    one.close(again).unwrap();
    locks::lock_range(&file, theirs, LockKind::Write, range(0, 3), false).unwrap();
}

#[test]
fn two_that_wait_for_each_other_are_told() {
    let tree = Tree::new();
    let file = tree.file("/f", b"01");
    let (a, b) = (Owner::Process(u64::MAX - 1), Owner::Process(u64::MAX - 2));
    locks::lock_range(&file, a, LockKind::Write, range(0, 0), false).unwrap();
    locks::lock_range(&file, b, LockKind::Write, range(1, 1), false).unwrap();
    // Whoever is the second to ask is told, and gives way.
    let ask = |owner: Owner, own: u64, wanted: u64| {
        let file = file.clone();
        thread::spawn(move || {
            let result = locks::lock_range(&file, owner, LockKind::Write, range(wanted, wanted), true);
            if result.is_err() {
                locks::unlock_range(&file, owner, range(own, own));
            }
            result
        })
    };
    let mut results = [ask(a, 0, 1), ask(b, 1, 0)].map(|thread| thread.join().unwrap());
    results.sort_by_key(Result::is_ok);
    assert_eq!(results, [Err(Errno::EDEADLK), Ok(())]);
}

#[test]
fn leases_are_broken() {
    let tree = Tree::new();
    let file = tree.file("/f", b"");
    assert_eq!(lease::set(&file, 3, None), Err(Errno::EAGAIN));
    assert_eq!(lease::set(&file, 3, Some(LockKind::Read)), Err(Errno::EAGAIN), "it is open for writing");
    lease::set(&file, 3, Some(LockKind::Write)).unwrap();
    assert_eq!(lease::get(&file), Some(LockKind::Write));
    assert_eq!(file.owner.lock().pid, caller::pid());

    let (pid, inode) = (caller::pid(), file.inode.clone());
    assert!(!lease::release(&tree.file("/other", b"")));
    let breaker = thread::spawn(move || BREAKER.break_leases(&inode, false, false));
    let mut told = 0;
    until_told(pid, &mut told);
    assert_eq!(lease::get(&file), Some(LockKind::Read), "what it is to become");
    lease::set(&file, 3, None).unwrap();
    assert_eq!((told, breaker.join().unwrap()), (1, Ok(())));

    lease::set(&file, 3, Some(LockKind::Write)).unwrap();
    assert_eq!(BREAKER.break_leases(&file.inode, true, true), Err(Errno::EAGAIN));
    assert_eq!(lease::get(&file), None);
    assert!(lease::release(&file) && !lease::release(&file));

    take_signals(Target::Process, pid);
    become_user(88, 88);
    assert_eq!(lease::set(&file, 3, Some(LockKind::Write)), Err(Errno::EACCES));
}

static BREAKER: lease::Breaker = lease::Breaker;

fn until_told(pid: i32, told: &mut usize) {
    let count = core::cell::Cell::new(0);
    until(|| {
        count.set(count.get() + take_signals(Target::Process, pid).len());
        count.get() > 0
    });
    *told = count.get();
}

#[test]
fn leases_are_for_regular_files() {
    let tree = Tree::new();
    let root = tree.open("/", OpenFlags::DIRECTORY).unwrap();
    assert_eq!(lease::set(&root, 3, Some(LockKind::Read)), Err(Errno::EINVAL));
    tree.file("/f", b"");
    let reader: Arc<OpenFile> = tree.open("/f", OpenFlags::empty()).unwrap();
    lease::set(&reader, 3, Some(LockKind::Read)).unwrap();
    let other = tree.open("/f", OpenFlags::empty()).unwrap();
    lease::set(&other, 4, Some(LockKind::Read)).unwrap();
    assert_eq!(lease::set(&other, 4, Some(LockKind::Write)), Err(Errno::EAGAIN));
    assert_eq!(BREAKER.break_leases(&reader.inode, false, true), Ok(()), "readers are in nobody's way");
    drop(other);
    assert!(lease::release(&reader));
}
