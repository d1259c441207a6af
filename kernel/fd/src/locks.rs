//! Advisory locks: flock(2) and the record locks of fcntl(2). What conflicts with what is the file
//! crate's; this is where the locks hang on the inode, and where those who wait for them sleep.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::locks::{Deadlocks, FileLocks, Lock, LockKind, OFFSET_MAX, Owner, Range};
use fs::pseudo::format::LockLine;
use fs::{InodeRef, Metadata};
use sync::SpinLock;
use sync::wait::{WaitQueue, wait_until};
use syscall_shim::{Errno, SysResult};

use crate::OpenFile;

/// The locks of one file.
struct Locks {
    /// A leaf lock.
    table: SpinLock<FileLocks>,
    /// Woken when something is released.
    waiters: WaitQueue,
}

/// Which process sleeps for which. Taken with no other lock held.
static DEADLOCKS: SpinLock<Deadlocks> = SpinLock::new(Deadlocks::new());

fn locks_of(inode: &InodeRef) -> Arc<Locks> {
    inode.common().ext_or_insert(|| Locks { table: SpinLock::new(FileLocks::default()), waiters: WaitQueue::new() })
}

/// The range from `range.start` to `range.end` as `owner` would lock it.
fn lock_for(owner: Owner, kind: LockKind, range: Range) -> Lock {
    let pid = if matches!(owner, Owner::Process(_)) { caller::pid() } else { -1 };
    Lock { owner, pid, kind, range }
}

/// The locks that are held on a file, as /proc/locks and /proc/PID/fdinfo show them.
pub fn list(inode: &InodeRef) -> Vec<LockLine> {
    let Some(locks) = inode.common().get_ext::<Locks>() else { return Vec::new() };
    let Metadata { dev, ino, .. } = inode.metadata();
    let table = locks.table.lock();
    let range = table.ranges.iter().map(|lock| LockLine {
        class: if matches!(lock.owner, Owner::Process(_)) { "POSIX" } else { "OFDLCK" },
        write: lock.kind == LockKind::Write,
        pid: lock.pid,
        dev,
        ino,
        start: lock.range.start,
        end: Some(lock.range.end).filter(|end| *end < OFFSET_MAX),
    });
    let whole = table.flocks.iter().map(|(pid, kind)| LockLine {
        class: "FLOCK",
        write: kind == LockKind::Write,
        pid,
        dev,
        ino,
        start: 0,
        end: None,
    });
    range.chain(whole).collect()
}

/// `F_GETLK`: the lock in the way, if there is one.
pub fn test_range(file: &OpenFile, owner: Owner, kind: LockKind, range: Range) -> Option<Lock> {
    let locks = file.inode.common().get_ext::<Locks>()?;
    let conflict = locks.table.lock().ranges.conflict(&lock_for(owner, kind, range));
    conflict
}

/// `F_OFD_GETLK` with `F_UNLCK`: the first lock of the owner in the range.
pub fn held(file: &OpenFile, owner: Owner, range: Range) -> Option<Lock> {
    let locks = file.inode.common().get_ext::<Locks>()?;
    let table = locks.table.lock();
    table.ranges.iter().find(|lock| lock.owner == owner && lock.range.overlaps(range)).copied()
}

/// `F_SETLK` and `F_SETLKW`. `EAGAIN` when it may not wait, `EDEADLK` when waiting would never end.
pub fn lock_range(file: &OpenFile, owner: Owner, kind: LockKind, range: Range, wait: bool) -> SysResult<()> {
    caller::check_memory().map_err(|_| Errno::ENOLCK)?;
    let want = lock_for(owner, kind, range);
    let locks = locks_of(&file.inode);
    loop {
        let result = locks.table.lock().ranges.set(want);
        let blocker = match result {
            Ok(weakened) => {
                if weakened {
                    locks.waiters.wake_all();
                }
                return Ok(());
            }
            Err(_) if !wait => return Err(Errno::EAGAIN),
            Err(blocker) => blocker,
        };
        if !DEADLOCKS.lock().wait(owner, blocker.owner) {
            return Err(Errno::EDEADLK);
        }
        // Also for another blocker: to wait for that one may never end.
        let free = || {
            let now = locks.table.lock().ranges.conflict(&want);
            now.is_none_or(|now| now.owner != blocker.owner).then_some(())
        };
        let slept = wait_until(&[&locks.waiters], None, free);
        DEADLOCKS.lock().done(owner);
        slept.map_err(|_| Errno::ERESTARTSYS)?;
    }
}

/// `F_SETLK` with `F_UNLCK`.
pub fn unlock_range(file: &OpenFile, owner: Owner, range: Range) {
    let Some(locks) = file.inode.common().get_ext::<Locks>() else { return };
    let released = locks.table.lock().ranges.unlock(owner, range);
    if released {
        locks.waiters.wake_all();
    }
}

/// flock(2) with `LOCK_SH` or `LOCK_EX`.
pub fn flock(file: &OpenFile, kind: LockKind, wait: bool) -> SysResult<()> {
    caller::check_memory().map_err(|_| Errno::ENOLCK)?;
    let pid = caller::pid();
    let locks = locks_of(&file.inode);
    let attempt = || {
        let outcome = locks.table.lock().flocks.set(file.id, pid, kind);
        if outcome.released {
            locks.waiters.wake_all();
        }
        outcome.granted.then_some(())
    };
    if attempt().is_some() {
        return Ok(());
    }
    if !wait {
        return Err(Errno::EAGAIN);
    }
    wait_until(&[&locks.waiters], None, attempt).map_err(|_| Errno::ERESTARTSYS)
}

/// flock(2) with `LOCK_UN`.
pub fn unflock(file: &OpenFile) {
    let Some(locks) = file.inode.common().get_ext::<Locks>() else { return };
    let released = locks.table.lock().flocks.unlock(file.id);
    if released {
        locks.waiters.wake_all();
    }
}

/// Gives up what the open file description holds: its last reference is gone.
pub fn release_description(file: &OpenFile) {
    let Some(locks) = file.inode.common().get_ext::<Locks>() else { return };
    let released = {
        let mut table = locks.table.lock();
        let ranges = table.ranges.remove_owner(Owner::Description(file.id));
        table.flocks.unlock(file.id) | ranges
    };
    if released {
        locks.waiters.wake_all();
    }
}

/// Gives up the record locks that the process with the descriptor table `owner` holds on the file:
/// it closed a descriptor of it.
pub fn release_process(file: &OpenFile, owner: u64) {
    let Some(locks) = file.inode.common().get_ext::<Locks>() else { return };
    let released = locks.table.lock().ranges.remove_owner(Owner::Process(owner));
    if released {
        locks.waiters.wake_all();
    }
}
