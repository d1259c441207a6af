//! Locks against a model that keeps one entry per byte.

use super::*;
use std::vec::Vec;

const SPAN: u64 = 12;

fn lock(owner: u64, kind: LockKind, start: u64, end: u64) -> Lock {
    Lock { owner: Owner::Process(owner), pid: owner as i32, kind, range: Range { start, end } }
}

#[test]
fn ranges_of_struct_flock() {
    let range = |start, end| Ok(Range { start, end });
    assert_eq!(Range::from_flock(0, 10, 5), range(10, 14));
    assert_eq!(Range::from_flock(100, -10, 0), range(90, OFFSET_MAX));
    assert_eq!(Range::from_flock(0, 10, -5), range(5, 9));
    assert_eq!(Range::from_flock(0, 10, -11), Err(Errno::EINVAL));
    assert_eq!(Range::from_flock(0, -1, 1), Err(Errno::EINVAL));
    assert_eq!(Range::from_flock(1, i64::MAX, 0), Err(Errno::EOVERFLOW));
    assert_eq!(Range::from_flock(0, 2, i64::MAX), Err(Errno::EOVERFLOW));
    assert_eq!(Range { start: 3, end: OFFSET_MAX }.l_len(), 0);
    assert_eq!(Range { start: 3, end: 3 }.l_len(), 1);
}

#[test]
fn random_calls_agree_with_bytes() {
    let mut seed = 42u64;
    let mut next = |n: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % n
    };
    for _ in 0..300 {
        let mut locks = RangeLocks::default();
        let mut model: Vec<Vec<Option<LockKind>>> = std::vec![std::vec![None; SPAN as usize]; 3];
        for _ in 0..60 {
            let owner = next(3);
            let start = next(SPAN);
            let end = start + next(SPAN - start);
            let bytes = start as usize..=end as usize;
            let kind = [LockKind::Read, LockKind::Write][next(2) as usize];
            if next(3) == 0 {
                let released = model[owner as usize][bytes.clone()].iter().any(Option::is_some);
                assert_eq!(locks.unlock(Owner::Process(owner), Range { start, end }), released);
                model[owner as usize][bytes].fill(None);
                continue;
            }
            let want = lock(owner, kind, start, end);
            let clash = |held: &Option<LockKind>| held.is_some_and(|h| h.conflicts(kind));
            let refused = (0..3).any(|o| o != owner as usize && model[o][bytes.clone()].iter().any(clash));
            assert_eq!(locks.conflict(&want).is_some(), refused);
            assert_eq!(locks.set(want).is_err(), refused);
            if !refused {
                model[owner as usize][bytes].fill(Some(kind));
            }
            check(&locks, &model);
        }
    }
}

/// The list says what the model says, in as few entries as possible.
fn check(locks: &RangeLocks, model: &[Vec<Option<LockKind>>]) {
    let mut entries = 0;
    for (owner, bytes) in model.iter().enumerate() {
        for (at, held) in bytes.iter().enumerate() {
            let found: Vec<_> = locks
                .iter()
                .filter(|l| l.owner == Owner::Process(owner as u64) && (l.range.start..=l.range.end).contains(&(at as u64)))
                .collect();
            assert!(found.len() <= 1);
            assert_eq!(found.first().map(|l| l.kind), *held);
            entries += usize::from(held.is_some() && (at == 0 || bytes[at - 1] != *held));
        }
    }
    assert_eq!(locks.iter().count(), entries);
}

#[test]
fn weakening_wakes() {
    let mut locks = RangeLocks::default();
    assert_eq!(locks.set(lock(1, LockKind::Write, 0, 9)), Ok(false));
    assert_eq!(locks.set(lock(1, LockKind::Read, 3, 4)), Ok(true));
    assert_eq!(locks.set(lock(2, LockKind::Read, 3, 4)), Ok(false));
    let blocker = locks.set(lock(1, LockKind::Write, 0, 9)).unwrap_err();
    assert_eq!((blocker.owner, blocker.range), (Owner::Process(2), Range { start: 3, end: 4 }));
    assert!(locks.remove_owner(Owner::Process(2)) && !locks.remove_owner(Owner::Process(2)));
    assert_eq!(locks.set(lock(1, LockKind::Write, 0, OFFSET_MAX)), Ok(false));
    assert_eq!(locks.iter().count(), 1);
}

#[test]
fn process_and_description_conflict() {
    let mut locks = RangeLocks::default();
    locks.set(lock(1, LockKind::Write, 0, 9)).unwrap();
    let ofd = Lock { owner: Owner::Description(1), pid: -1, ..lock(1, LockKind::Read, 5, 5) };
    assert!(locks.set(ofd).is_err());
}

#[test]
fn flocks() {
    let mut f = Flocks::default();
    let granted = |released| FlockOutcome { granted: true, released };
    assert_eq!(f.set(1, 10, LockKind::Read), granted(false));
    assert_eq!(f.set(2, 10, LockKind::Read), granted(false));
    assert_eq!(f.set(1, 10, LockKind::Read), granted(false));
    assert_eq!(f.set(1, 10, LockKind::Write), FlockOutcome { granted: false, released: true });
    assert_eq!(f.kind(1), None, "the refused conversion lost the old lock");
    assert!(f.unlock(2));
    assert_eq!(f.set(1, 10, LockKind::Write), granted(false));
    assert_eq!(f.set(1, 10, LockKind::Read), granted(true));
}

#[test]
fn circles_are_found() {
    let mut graph = Deadlocks::default();
    let p = Owner::Process;
    assert!(graph.wait(p(1), p(2)) && graph.wait(p(2), p(3)));
    assert!(!graph.wait(p(3), p(1)));
    graph.done(p(1));
    assert!(graph.wait(p(3), p(1)));
    assert!(graph.wait(Owner::Description(1), p(1)), "descriptions are not followed");
}
