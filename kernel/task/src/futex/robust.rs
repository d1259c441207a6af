//! Robust futexes (get_robust_list(2)): locks that a thread still holds when it ends are marked,
//! and a waiter is woken.

use core::sync::atomic::Ordering;

use syscall_shim::types::RobustListHead;

use super::{MATCH_ANY, OWNER_DIED, TID_MASK, WAITERS, wake};
use crate::thread::Task;
use usermem::{self, UserAddr, UserPtr};

/// `ROBUST_LIST_LIMIT`: a list may be a ring.
const LIMIT: usize = 2048;
/// Set in a list pointer whose lock has priority inheritance.
const PI: u64 = 1;

/// Walks the list of the ending thread, which is the current one. What cannot be read ends the
/// walk: the list is the program's own.
pub fn exit_robust_list(task: &Task) {
    let head = task.robust_list.swap(0, Ordering::AcqRel);
    if head != 0 {
        let _ = walk(task, head);
    }
    super::pi::exit(task);
}

fn walk(task: &Task, head: u64) -> syscall_shim::SysResult<()> {
    let list: RobustListHead = UserPtr::new(head).read()?;
    let word = |entry: u64| UserAddr((entry & !PI).wrapping_add(list.futex_offset as u64));
    let pending = list.list_op_pending;
    let mut entry = list.list;
    for _ in 0..LIMIT {
        if entry & !PI == head {
            break;
        }
        // Read before the lock is released: its memory may go then.
        let next = UserPtr::<u64>::new(entry & !PI).read();
        if entry & !PI != pending & !PI {
            owner_died(task, word(entry), entry & PI != 0, false)?;
        }
        entry = next?;
    }
    if pending & !PI != 0 {
        owner_died(task, word(pending), pending & PI != 0, true)?;
    }
    Ok(())
}

/// Marks one lock word (`handle_futex_death`). `pending`: the thread was just taking or releasing
/// it.
fn owner_died(task: &Task, addr: UserAddr, pi: bool, pending: bool) -> syscall_shim::SysResult<()> {
    if !addr.0.is_multiple_of(4) {
        return Err(syscall_shim::Errno::EINVAL);
    }
    let mut value = usermem::load_u32(addr)?;
    loop {
        let owner = value & TID_MASK;
        if pending && !pi && owner == 0 {
            wake(addr, false, 1, MATCH_ANY)?;
            return Ok(());
        }
        if owner != task.tid() as u32 {
            return Ok(());
        }
        let seen = usermem::compare_exchange_u32(addr, value, value & WAITERS | OWNER_DIED)?;
        if seen == value {
            break;
        }
        value = seen;
    }
    if !pi && value & WAITERS != 0 {
        wake(addr, false, 1, MATCH_ANY)?;
    }
    Ok(())
}
