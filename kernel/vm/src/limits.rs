//! On whose behalf memory is mapped or touched: the limits that concern memory (getrlimit(2)),
//! rights, and what a process has said.

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

/// The task that asks for memory, or touches it.
pub trait Rights {
    /// The limits of its process.
    fn limits(&self) -> Limits;

    /// What its process has said about memory that is executed.
    fn execution(&self) -> Execution;

    /// `CAP_SYS_RAWIO`: it may map below [`MMAP_MIN_ADDR`], where it says so exactly.
    fn may_map_low(&self) -> bool;

    /// Whether it may have a mapping begin exactly at `addr`.
    fn may_map_at(&self, addr: u64) -> bool {
        addr >= MMAP_MIN_ADDR || self.may_map_low()
    }
}

/// What a process has said about memory that is executed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Execution {
    /// `READ_IMPLIES_EXEC` of personality(2): what may be read may be executed.
    pub implied: bool,
    /// `PR_MDWE_REFUSE_EXEC_GAIN` of prctl(2): nothing that was not executable from the first comes
    /// to be, and nothing of that can be written.
    pub no_gain: bool,
}

impl Execution {
    /// What becomes of a protection that is asked for; `executable` where it can be one with
    /// execution at all.
    pub fn implied(&self, prot: Prot, executable: bool) -> Prot {
        if self.implied && executable && prot.contains(Prot::READ) { prot | Prot::EXEC } else { prot }
    }

    /// Whether `new` may follow `old`. `EACCES`.
    pub fn check(&self, old: Prot, new: Prot) -> SysResult<()> {
        let gains = new.contains(Prot::WRITE) || !old.contains(Prot::EXEC);
        if self.no_gain && new.contains(Prot::EXEC) && gains { Err(Errno::EACCES) } else { Ok(()) }
    }
}
