//! The resource limits of the running program that concern memory (getrlimit(2)).

use linux_raw_sys::general;

use super::flags::{MMAP_MIN_ADDR, Prot};
use syscall_shim::{Errno, SysResult};

/// No limit.
pub const INFINITY: u64 = u64::MAX;

/// Soft limits in bytes, and the privilege to lock memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `RLIMIT_AS`
    pub address_space: u64,
    /// `RLIMIT_DATA`
    pub data: u64,
    /// `RLIMIT_STACK`
    pub stack: u64,
    /// `RLIMIT_MEMLOCK`
    pub memlock: u64,
    /// `CAP_IPC_LOCK`: `memlock` does not bind.
    pub may_lock: bool,
}

/// Whether the current process gets no large pages (`PR_SET_THP_DISABLE`).
pub fn huge_pages_disabled() -> bool {
    crate::task::current().process.thp_disabled.load(core::sync::atomic::Ordering::Relaxed)
}

/// Whether the current task may have a mapping begin exactly at `addr`: below [`MMAP_MIN_ADDR`] that takes `CAP_SYS_RAWIO`.
pub fn may_map_at(addr: u64) -> bool {
    const CAP_SYS_RAWIO: u32 = 17;
    addr >= MMAP_MIN_ADDR || crate::task::current().credentials().capable(CAP_SYS_RAWIO)
}

/// Those of the current task.
pub fn current() -> Limits {
    const CAP_IPC_LOCK: u32 = 14;
    let task = crate::task::current();
    let limits = task.process.rlimits.lock();
    let soft = |resource: u32| limits.get(resource as usize).map_or(INFINITY, |limit| limit.soft);
    Limits {
        address_space: soft(general::RLIMIT_AS),
        data: soft(general::RLIMIT_DATA),
        stack: soft(general::RLIMIT_STACK),
        memlock: soft(general::RLIMIT_MEMLOCK),
        may_lock: task.credentials().capable(CAP_IPC_LOCK),
    }
}

/// What a process has said about memory that is executed.
pub struct Execution {
    /// `READ_IMPLIES_EXEC` of personality(2): what may be read may be executed.
    pub implied: bool,
    /// `PR_MDWE_REFUSE_EXEC_GAIN` of prctl(2): nothing that was not executable from the first comes to be, and nothing of that can be
    /// written.
    pub no_gain: bool,
}

/// What the current process has said.
pub fn execution() -> Execution {
    const READ_IMPLIES_EXEC: u32 = 0x040_0000;
    let process = &crate::task::current().process;
    let relaxed = core::sync::atomic::Ordering::Relaxed;
    Execution {
        implied: process.personality.load(relaxed) & READ_IMPLIES_EXEC != 0,
        no_gain: process.no_exec_gain.load(relaxed) != 0,
    }
}

impl Execution {
    /// What becomes of a protection that is asked for; `executable` where it can be one with execution at all.
    pub fn implied(&self, prot: Prot, executable: bool) -> Prot {
        if self.implied && executable && prot.contains(Prot::READ) { prot | Prot::EXEC } else { prot }
    }

    /// Whether `new` may follow `old`. `EACCES`.
    pub fn check(&self, old: Prot, new: Prot) -> SysResult<()> {
        let gains = new.contains(Prot::WRITE) || !old.contains(Prot::EXEC);
        if self.no_gain && new.contains(Prot::EXEC) && gains { Err(Errno::EACCES) } else { Ok(()) }
    }
}
