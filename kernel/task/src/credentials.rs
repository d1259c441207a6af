//! Who may look into whom.

use core::sync::atomic::Ordering;

pub use caller::{ALL_CAPABILITIES, Credentials};

use super::current;
use super::thread::Task;

/// Whether the caller, as the user `uid` and the group `gid`, may look into `task`
/// (`__ptrace_may_access`; ptrace(2), "Ptrace access mode checking"): its own process, one of the
/// same user that can do no more and may be dumped, or with the privilege any.
pub fn may_inspect(task: &Task, uid: u32, gid: u32) -> bool {
    const CAP_SYS_PTRACE: u32 = 19;
    const SUID_DUMP_USER: u32 = 1;
    let me = current();
    if task.process.pid == me.process.pid {
        return true;
    }
    let (mine, theirs) = (me.credentials(), task.credentials());
    let same = [theirs.uid, theirs.euid, theirs.suid].iter().all(|id| *id == uid)
        && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|id| *id == gid);
    let within = theirs.cap_permitted & !mine.cap_permitted == 0;
    let dumpable = task.process.dumpable.load(Ordering::Relaxed) == SUID_DUMP_USER;
    same && within && dumpable || mine.capable(CAP_SYS_PTRACE)
}
