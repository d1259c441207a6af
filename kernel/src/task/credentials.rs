//! User and group ids, and the capabilities that follow from them.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::current;
use super::thread::Task;

/// The ids of a thread (credentials(7)).
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Vec<u32>,
    pub cap_permitted: u64,
    pub cap_effective: u64,
    pub cap_inheritable: u64,
    pub cap_bounding: u64,
    pub cap_ambient: u64,
    pub securebits: u32,
    pub keep_caps: bool,
}

/// All capabilities that Linux 6.1 knows: 0..=40, a bit each.
pub const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

impl Credentials {
    /// `SECBIT_KEEP_CAPS` of `securebits`.
    pub const KEEP_CAPS: u32 = 1 << 4;

    /// The super-user's, as the first process has them.
    pub fn root() -> Self {
        Self {
            cap_permitted: ALL_CAPABILITIES,
            cap_effective: ALL_CAPABILITIES,
            cap_bounding: ALL_CAPABILITIES,
            ..Self::default()
        }
    }

    /// Whether capability number `cap` (`CAP_*`) is effective.
    pub fn capable(&self, cap: u32) -> bool {
        self.cap_effective >> cap & 1 != 0
    }
}

/// Whether the caller, as the user `uid` and the group `gid`, may look into `task` (`__ptrace_may_access`; ptrace(2), "Ptrace access mode
/// checking"): its own process, one of the same user that can do no more and may be dumped, or with the privilege any.
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
